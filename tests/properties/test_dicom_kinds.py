"""Properties of brainclust.data.dicom_kinds: only plain anatomy is trained on."""
import numpy as np
import pydicom
import pytest
from test_formats import dicom_bytes

from brainclust.data import dicom, dicom_kinds, dicom_series, scan_table
from brainclust.data.slices import read_slice

CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
RAMP = np.tile(np.arange(32, dtype=np.uint8) * 7, (32, 1))
COLOURED = np.stack([RAMP, RAMP // 3, 255 - RAMP], axis=-1)


def file_of(*image_type, stored=RAMP, **tags) -> bytes:
    """Return a DICOM file of an image type."""
    colour = "RGB" if stored.ndim == 3 else "MONOCHROME2"
    tags = tags | ({"ImageType": list(image_type)} if image_type else {})
    return dicom_bytes(stored, photometric=colour, **tags)


NOT_ANATOMY = {
    "phase image": [file_of("ORIGINAL", "PRIMARY", "P", "ND"), file_of("ORIGINAL", "PRIMARY", "P"),
                    file_of("ORIGINAL", "PRIMARY", "PHASE MAP", "P", "FFE"),
                    file_of("ORIGINAL", "PRIMARY", "VELOCITY MAP", "P", "PCA"),
                    file_of(ComplexImageComponent="PHASE")],
    "FA map": [file_of("DERIVED", "PRIMARY", "DIFFUSION", "FA", "ND", "NORM"),
               file_of("DERIVED", "SECONDARY", "FA_COLOR"),
               file_of("DERIVED", "PRIMARY", "FA MAP")],
    "ADC map": [file_of("DERIVED", "PRIMARY", "DIFFUSION", "ADC", "ND"),
                file_of("DERIVED", "PRIMARY", "ADC_UNSPECIFIED", "ADC", "UNSPECIFIED"),
                file_of("DERIVED", "SECONDARY", "eADC")],
    "parametric map": [file_of("DERIVED", "PRIMARY", "PERFUSION", "RELCBF"),
                       file_of("DERIVED", "PRIMARY", "T2 MAP"),
                       file_of("DERIVED", "PRIMARY", "MTT"),
                       file_of(SOPClassUID="1.2.840.10008.5.1.4.1.1.30")],
    "colour map": [file_of("DERIVED", "SECONDARY", stored=COLOURED)],
    "projection": [file_of("DERIVED", "SECONDARY", "MIP"), file_of("DERIVED", "PRIMARY", "CSA MIP"),
                   file_of("DERIVED", "SECONDARY", "PROJECTION IMAGE", "MINIP"),
                   file_of(VolumeBasedCalculationTechnique="MAX_IP")],
    "localizer": [file_of("ORIGINAL", "PRIMARY", "LOCALIZER"),
                  file_of("DERIVED", "SECONDARY", "SCOUT"),
                  file_of("ORIGINAL", "PRIMARY", "M", "LOCALISER")],
    "screen capture": [file_of("DERIVED", "SECONDARY", "SCREEN SAVE"),
                       file_of(SOPClassUID=CAPTURE, BurnedInAnnotation="YES"),
                       file_of(SOPClassUID=CAPTURE, ConversionType="WSD", stored=COLOURED),
                       file_of(SOPClassUID=CAPTURE, ConversionType="SI", stored=COLOURED)]}
ANATOMY = [file_of(), file_of("ORIGINAL", "PRIMARY"), file_of("DERIVED", "SECONDARY"),
           file_of("ORIGINAL", "PRIMARY", "M", "ND", "NORM"), file_of("DERIVED", "PRIMARY", "MPR"),
           file_of("ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"),
           file_of("ORIGINAL", "PRIMARY", "T2_STAR", "NONE"),
           file_of("DERIVED", "PRIMARY", "DIFFUSION", "TRACEW", "ND"),
           file_of("ORIGINAL", "PRIMARY", "M_PCA", "M", "PCA"),
           file_of(SOPClassUID=CAPTURE), file_of(SOPClassUID=CAPTURE, ConversionType="WSD"),
           file_of(SOPClassUID=CAPTURE, ConversionType="DI", BurnedInAnnotation="NO"),
           file_of(SOPClassUID=CAPTURE, ConversionType="WSD", stored=np.stack([RAMP] * 3, -1)),
           file_of("DERIVED", "SECONDARY", stored=np.stack([RAMP] * 3, -1))]


@pytest.mark.parametrize("kind", NOT_ANATOMY)
def test_an_image_that_is_not_anatomy_is_named(kind):
    """Read an image of every kind, with a note of its kind."""
    for data in NOT_ANATOMY[kind]:
        facts = dicom.decode_dicom(data).facts
        assert facts["kind"] == kind
        assert f"not anatomy: {kind}" in facts["notes"]


def test_plain_slices_stay_plain():
    """Note no kind of plain slices, secondary captures of magnitude images among them."""
    kinds = [dicom.decode_dicom(data).facts.get("kind", "") for data in ANATOMY]
    assert kinds == [""] * len(ANATOMY)


@pytest.mark.parametrize(("uid", "modality", "name"), [
    ("1.2.840.10008.5.1.4.1.1.481.3", "RTSTRUCT", "RT Structure Set Storage"),
    ("1.2.840.10008.5.1.4.1.1.88.11", "SR", "Basic Text SR Storage"),
    ("1.2.840.10008.5.1.4.1.1.88.59", "KO", "Key Object Selection Document Storage"),
    ("1.2.840.10008.5.1.4.1.1.11.1", "PR", "Grayscale Softcopy Presentation State Storage"),
    ("1.2.840.10008.5.1.4.1.1.104.1", "DOC", "Encapsulated PDF Storage"),
    ("1.2.840.10008.5.1.4.1.1.66.4", "SEG", "Segmentation Storage")])
def test_an_object_without_an_image_is_named(uid, modality, name):
    """Name objects that are not images by their storage class."""
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.SOPClassUID = uid
    dataset.Modality = modality
    assert dicom_kinds.object_name(dataset) == name
    assert dicom_kinds.not_a_picture(dataset).endswith(f"modality {modality} ({name})")


@pytest.mark.parametrize("noise", [0, 6])
def test_the_noise_of_a_lossy_grey_picture_is_not_colour(noise):
    """Find colour in a picture of colours, not in grey that was compressed as colour."""
    rng = np.random.default_rng(0)
    grey = np.stack([RAMP] * 3, -1).astype(int)
    noisy = np.clip(grey + rng.integers(-noise, noise + 1, grey.shape), 0, 255).astype(np.uint8)
    assert not dicom_kinds.is_coloured(noisy)
    assert dicom_kinds.is_coloured(COLOURED)
    assert not dicom_kinds.is_coloured(RAMP)


def test_damaged_image_types_have_no_kind():
    """Survive an image type that is empty, short or no text."""
    for value in (None, "", [], ["ORIGINAL"], [""], ["A", "B", ""]):
        dataset = pydicom.Dataset()
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
        dataset.ImageType = value
        assert [word for word in dicom_kinds.image_words(dataset, dataset) if word] == []
        assert dicom_kinds.image_kind(dataset, dataset, RAMP) == ""


def test_a_collection_leaves_out_what_is_not_anatomy(tmp_path, recwarn):
    """Leave out every kind with its reason and count; an explicit file is read."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for kind, files in NOT_ANATOMY.items():
        for i, data in enumerate(files):
            (folder / f"{kind}-{i}.dcm").write_bytes(data)
    for i, data in enumerate(ANATOMY):
        (folder / f"plain-{i}.dcm").write_bytes(data)
    table, left_out = scan_table.read_scan_table(folder, cache_folder=tmp_path / "cache")
    assert len(table) == len(ANATOMY)
    counts = left_out["reason"].value_counts()
    assert {name.split(":")[0]: n for name, n in counts.items()} == {
        kind: len(files) for kind, files in NOT_ANATOMY.items()}
    said = [str(warning.message) for warning in recwarn]
    sentences = dicom_series.series_sentences(left_out["reason"])
    assert len(sentences) == len(NOT_ANATOMY) and set(sentences) <= set(said)
    assert read_slice(folder / "phase image-0.dcm").shape == (32, 32)


@pytest.mark.parametrize("kind", ["FA map", "ADC map", "parametric map"])
def test_a_collection_of_maps_is_read(tmp_path, kind):
    """Read maps if the collection holds nothing else, but no phase images."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for i, data in enumerate(NOT_ANATOMY[kind]):
        (folder / f"{i}.dcm").write_bytes(data)
    (folder / "phase.dcm").write_bytes(NOT_ANATOMY["phase image"][0])
    with pytest.warns(UserWarning, match=f"do not show plain anatomy .{kind}"):
        table, left_out = scan_table.read_scan_table(folder, cache_folder=tmp_path / "cache")
    assert len(table) == len(NOT_ANATOMY[kind])
    assert list(left_out["reason"]) == [dicom_series.KIND_REASONS["phase image"]]
