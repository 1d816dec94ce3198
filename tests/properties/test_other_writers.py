"""Files as other programs write them: each shows its true grey levels, or names what it is."""

import gzip
import io
import struct
from unittest.mock import patch

import nibabel
import numpy as np
import pydicom
import pytest
import tifffile
from examples import small_predictor
from PIL import Image
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRBigEndian, ImplicitVRLittleEndian
from test_formats import dicom_bytes

from brainclust.data import (
    dicom,
    dicom_attributes,
    dicom_kinds,
    images,
    scan_files,
    scan_table,
    slices,
    volumes,
)
from brainclust.imaging import dicom_maps
from brainclust.runs import prediction_files

STORED = np.arange(1024, dtype=np.uint16).reshape(32, 32)
SQUARES = np.rint(4095 * np.linspace(0, 1, 1024)**2).astype(np.uint16)
GREY = np.tile(np.arange(32, dtype=np.uint8) * 8, (32, 1))


def shown(data: bytes) -> np.ndarray:
    """Return the pixels of a DICOM file."""
    return slices.decode_slice(data, ".dcm").pixels.astype(int)


def again(data: bytes, syntax) -> bytes:
    """Write a file of words in another transfer syntax."""
    dataset = pydicom.dcmread(io.BytesIO(data))
    dataset.file_meta.TransferSyntaxUID = syntax
    little = syntax != ExplicitVRBigEndian
    if not little:
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
        for keyword in ("ModalityLUTSequence", "VOILUTSequence"):
            for table in dataset.get(keyword) or []:
                if isinstance(table.LUTData, bytes):
                    table.LUTData = np.frombuffer(table.LUTData, "<u2").astype(">u2").tobytes()
    pydicom.dcmwrite(file := io.BytesIO(), dataset, enforce_file_format=True,
                     implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=little)
    return file.getvalue()


def table_of(entries: np.ndarray, bits: int, kind: str, first: int = 0) -> pydicom.Dataset:
    """Return a look-up table: numbers (US), words (OW) or packed bytes (OB)."""
    table = pydicom.Dataset()
    table.LUTDescriptor = [len(entries), first, bits]
    content = {"US": entries.tolist(), "OW": entries.astype("<u2").tobytes(),
               "OB": entries.astype(np.uint8).tobytes()}[kind]
    table.add_new("LUTData", "US" if kind == "US" else "OW", content)
    return table

# --- look-up tables -------------------------------------------------------------------------------


@pytest.mark.parametrize("keyword", ["VOILUTSequence", "ModalityLUTSequence"])
@pytest.mark.parametrize("kind", ["US", "OW"])
@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_tables_of_words_equal_tables_of_numbers(keyword, kind, syntax):
    """Apply a table in every transfer syntax, without a note of damage."""
    data = dicom_bytes(STORED, bits=10, **{keyword: [table_of(SQUARES, 12, kind)]})
    data = again(data, syntax) if syntax else data
    np.testing.assert_allclose(shown(data), SQUARES[STORED] / 4095 * 255, atol=.51)
    assert not slices.decode_slice(data, ".dcm").facts["notes"]


@pytest.mark.parametrize("kind", ["US", "OW", "OB"])
@pytest.mark.parametrize("first", [0, 200, 700])
def test_tables_of_eight_bits_have_thousands_of_entries(kind, first):
    """Look up values far above 255, and clip those outside of the table."""
    entries = (SQUARES // 16)[:1024 - first]
    data = dicom_bytes(STORED, bits=10, VOILUTSequence=[table_of(entries, 8, kind, first)])
    values = entries[np.clip(STORED.astype(int) - first, 0, len(entries) - 1)].astype(float)
    np.testing.assert_allclose(
        shown(data), (values - values.min()) / np.ptp(values) * 255, atol=.51)
    frame = dicom.frame_attributes(dicom.parse_dicom(data))
    read, start = dicom_attributes.table_entries(frame, "VOILUTSequence")
    assert start == first and read.tolist() == entries.tolist()
    assert dicom_attributes.look_up(np.array([-9, 5000]), read, start).tolist() == [
        entries[0], entries[-1]]


@pytest.mark.parametrize("length", [0, 2, 1000])
def test_a_short_table_is_taken_away(length):
    """Show the slice without a table that has fewer entries than it states."""
    table = table_of(SQUARES, 12, "OW")
    table.LUTData = bytes(length)
    data = dicom_bytes(STORED, bits=10, VOILUTSequence=[table])
    np.testing.assert_allclose(shown(data), STORED / 1023 * 255, atol=.51)
    assert slices.decode_slice(data, ".dcm").facts["notes"] == (
        "attributes replaced: VOILUTSequence",)


@pytest.mark.parametrize("writing", ["LINEAR_EXACT", "linear exact", " LINEAR-EXACT "])
def test_the_function_of_a_window_in_any_writing(writing):
    """Apply the window of a function whose name is not written as in the standard."""
    dataset = pydicom.Dataset()
    dataset.WindowCenter = 500
    dataset.WindowWidth = 400
    dataset.add(pydicom.DataElement(
        "VOILUTFunction", "CS", writing, validation_mode=pydicom.config.IGNORE))
    values = STORED.astype(float)
    expected = np.clip((values - 500) / 400 + .5, 0, 1) * 255
    np.testing.assert_allclose(dicom.apply_window(values, dataset), expected, atol=.51)
    dataset["VOILUTFunction"].value = "UNKNOWN"
    expected = np.clip((values - 499.5) / 399 + .5, 0, 1) * 255
    np.testing.assert_allclose(dicom.apply_window(values, dataset), expected, atol=.51)

# --- palettes, bits and frames --------------------------------------------------------------------


@pytest.mark.parametrize(("bits", "factor", "brightest"), [
    (8, 1, 255), (16, 257, 255), (16, 1, 255), (16, 100, 99.2)])
def test_a_palette_keeps_its_brightness(bits, factor, brightest):
    """Show full intensity as 255, and a dim palette dim."""
    dataset = pydicom.dcmread(io.BytesIO(dicom_bytes(GREY)))
    dataset.PhotometricInterpretation = "PALETTE COLOR"
    colours = (np.arange(256) * factor).astype("<u2" if bits == 16 else np.uint8)
    for name in ("Red", "Green", "Blue"):
        setattr(dataset, f"{name}PaletteColorLookupTableDescriptor", [256, 0, bits])
        dataset[f"{name}PaletteColorLookupTableDescriptor"].VR = "US"
        setattr(dataset, f"{name}PaletteColorLookupTableData", colours.tobytes())
    dataset.save_as(file := io.BytesIO())
    np.testing.assert_allclose(shown(file.getvalue()), GREY / 255 * brightest, atol=1)
    expanded = dicom.expand_palette(GREY, dataset)
    assert expanded.dtype == np.uint8 and expanded.shape == (32, 32, 3)
    assert dicom.expand_palette(expanded, dataset) is expanded


def test_a_coloured_palette_is_a_colour_map():
    """Leave out a map whose colours are a palette, as one of three channels."""
    dataset = pydicom.dcmread(io.BytesIO(dicom_bytes(GREY, ImageType=["DERIVED", "SECONDARY"])))
    dataset.PhotometricInterpretation = "PALETTE COLOR"
    for name, power in (("Red", 1), ("Green", 3), ("Blue", 9)):
        setattr(dataset, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 8])
        dataset[f"{name}PaletteColorLookupTableDescriptor"].VR = "US"
        setattr(dataset, f"{name}PaletteColorLookupTableData",
                (255 * np.linspace(0, 1, 256)**power).astype(np.uint8).tobytes())
    dataset.save_as(file := io.BytesIO())
    assert slices.decode_slice(file.getvalue(), ".dcm").facts["kind"] == "colour map"


@pytest.mark.parametrize(("stored", "high"), [(12, 15), (12, 13), (10, 15), (10, 12)])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("syntax", [None, ExplicitVRBigEndian])
def test_values_in_the_upper_bits_are_read(stored, high, signed, syntax):
    """Move values down to where decoders expect them, whatever lies around them."""
    rng = np.random.default_rng(0)
    values = STORED.astype(int) - 512 * signed
    words = (values & (2**stored - 1)) << (high + 1 - stored)
    words |= rng.integers(0, 2**(high + 1 - stored), STORED.shape)
    words |= rng.integers(0, 2**(15 - high), STORED.shape) << (high + 1)
    dataset = pydicom.dcmread(io.BytesIO(dicom_bytes(
        words.astype(np.uint16), bits=16, WindowCenter=300 - 512 * signed, WindowWidth=400)))
    dataset.BitsStored = stored
    dataset.HighBit = high
    dataset.PixelRepresentation = int(signed)
    dataset.save_as(file := io.BytesIO())
    data = file.getvalue()
    data = again(data, syntax) if syntax else data
    expected = np.clip((STORED - 299.5) / 399 + .5, 0, 1) * 255
    np.testing.assert_allclose(shown(data), expected, atol=.51)


@pytest.mark.parametrize("missing", [0, 1, 3])
def test_frames_without_a_window_are_stretched_alone(missing, tmp_path):
    """Leave windowed frames as they are where others state no window."""
    groups = []
    for frame in range(4):
        group, window = (pydicom.Dataset() for _ in range(2))
        window.WindowCenter = 512
        window.WindowWidth = 1024
        if frame != missing:
            group.FrameVOILUTSequence = [window]
        groups.append(group)
    path = tmp_path / "a.dcm"
    path.write_bytes(dicom_bytes(
        np.stack([STORED] * 4), bits=10, SOPClassUID=EnhancedMRImageStorage,
        PerFrameFunctionalGroupsSequence=groups))
    found = volumes.decode_multiframe(path).slices
    np.testing.assert_allclose(found, np.stack([STORED / 1023 * 255] * 4), atol=1.5)


@pytest.mark.parametrize("count", [2, 9, 20])
def test_frames_that_are_not_counted_are_read(count, tmp_path):
    """Count the frames of a file that does not, rather than take them for colours."""
    data = dicom_bytes(np.stack([STORED + frame for frame in range(count)]), bits=11)
    dataset = pydicom.dcmread(io.BytesIO(data))
    del dataset.NumberOfFrames
    dataset.save_as(tmp_path / "a.dcm")
    found = scan_files.inspect_file(tmp_path / "a.dcm", tmp_path / "cache")
    assert len(found) == count and found[0]["width"] == 32
    assert found[0]["notes"] == ["attributes replaced: NumberOfFrames"]


@pytest.mark.parametrize("rows", [31, 20, 9])
def test_pixels_left_over_are_noted(rows, tmp_path):
    """Note that a file holds more rows than it states; padding is not noted."""
    dataset = pydicom.dcmread(io.BytesIO(dicom_bytes(STORED, bits=10)))
    dataset.PixelData += bytes(2)
    dataset.save_as(file := io.BytesIO())
    assert not slices.decode_slice(file.getvalue(), ".dcm").facts["notes"]
    dataset.Rows = rows
    dataset.save_as(tmp_path / "a.dcm")
    with pytest.warns(UserWarning, match="hold more pixels than Rows"):
        scan_table.read_scan_table(tmp_path, cache_folder=tmp_path / "cache")


@pytest.mark.parametrize(("kind", "words"), [
    ("localizer", "3-PLANE LOC"), ("localizer", "LOC"), ("localizer", "3PL LOCALIZER"),
    ("ADC map", "dADC"), ("ADC map", "Exponential ADC"), ("ADC map", "ADC (10^-6 mm2/s)"),
    ("parametric map", "MD"), ("parametric map", "Mean_Diffusivity"),
    ("phase image", "I"), ("phase image", "I_FFE"), ("", "TENSOR_B0"), ("", "LOCAL"), ("", "IR")])
def test_kinds_in_other_writings(kind, words):
    """Name the kind of an image in the writings of several scanners."""
    dataset = pydicom.dcmread(io.BytesIO(
        dicom_bytes(GREY, ImageType=["DERIVED", "PRIMARY", words])))
    assert dicom_kinds.image_kind(dataset, dataset, GREY) == kind

# --- NIfTI ----------------------------------------------------------------------------------------


VOXELS = np.random.default_rng(0).integers(300, 900, (20, 18, 16)).astype(np.int16)
NAN = struct.pack("<f", np.nan)
HEADERS = {  # place and bytes; codes of the transforms at 252 and 254, sform from 280
    "sform of zeros": {280: bytes(48)}, "flat sform": {280: bytes(16)}, "sform of NaN": {280: NAN},
    "no sform, pixdim NaN": {80: NAN, 252: bytes(4)}, "pixdim 0": {80: bytes(12), 252: bytes(4)},
    "quaternion too long": {252: b"\1\0\0\0", 256: struct.pack("<3f", 1, 1, 1)},
    "offset of NaN": {252: b"\1\0\0\0", 268: NAN},
    "intercept of NaN": {112: struct.pack("<f", 1) + NAN}}


@pytest.mark.parametrize("name", HEADERS)
def test_a_damaged_header_does_not_cost_the_volume(name, tmp_path):
    """Read the voxels, and note that the place is unknown where it is."""
    plain = nibabel.Nifti1Image(VOXELS, np.eye(4)).to_bytes()
    (tmp_path / "plain.nii").write_bytes(plain)
    content = bytearray(plain)
    for place, written in HEADERS[name].items():
        content[place:place + len(written)] = written
    (tmp_path / "damaged.nii").write_bytes(content)
    expected, found = (volumes.decode_nifti(tmp_path / f"{n}.nii") for n in ("plain", "damaged"))
    lost = name != "intercept of NaN"
    sides = -1 if lost else 1  # without a place, columns count from the right by custom
    np.testing.assert_array_equal(found.slices[..., ::sides], expected.slices)
    assert ("no orientation: the header states none" in found.facts[0]["notes"]) == lost


@pytest.mark.parametrize("tail", [b"\n", b"junk", bytes(9), b"\x1f", b"PK\3\4" * 99])
def test_bytes_behind_a_compressed_volume_do_not_count(tail, tmp_path):
    """Read a volume to which a program or a transfer has added bytes."""
    content = gzip.compress(nibabel.Nifti1Image(VOXELS, np.eye(4)).to_bytes())
    for name, data in (("plain", content), ("longer", content + tail)):
        (tmp_path / f"{name}.nii.gz").write_bytes(data)
    expected, found = (volumes.decode_nifti(tmp_path / f"{n}.nii.gz") for n in ("plain", "longer"))
    np.testing.assert_array_equal(found.slices, expected.slices)
    flipped = bytearray(content)
    flipped[-6] ^= 1  # in the checksum
    (tmp_path / "flipped.nii.gz").write_bytes(flipped)
    (fact,) = scan_files.inspect_file(tmp_path / "flipped.nii.gz", tmp_path / "cache")
    assert fact["reason"].startswith("cannot be decoded")

# --- pictures -------------------------------------------------------------------------------------


def as_picture(form: str, pixels: np.ndarray = GREY) -> bytes:
    """Return a picture in one of the formats of Pillow."""
    Image.fromarray(pixels).save(file := io.BytesIO(), form)
    return file.getvalue()


OTHER_FORMATS = {
    "GIF": as_picture("GIF"), "JPEG 2000": as_picture("JPEG2000"), "PDF": as_picture("PDF"),
    "zip": b"PK\3\4" + bytes(99), "HEIC": b"\0\0\0\x18ftypheic" + bytes(99),
    "AVIF": b"\0\0\0\x1cftypavif" + bytes(99), "NRRD": b"NRRD0004\ntype: short\n"}


@pytest.mark.parametrize("name", OTHER_FORMATS)
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_other_formats_are_called_by_their_name(name, suffix, tmp_path):
    """Name the format, and the remedy, behind the suffix of a picture."""
    (tmp_path / f"a{suffix}").write_bytes(OTHER_FORMATS[name])
    (fact,) = scan_files.inspect_file(tmp_path / f"a{suffix}", tmp_path / "cache")
    assert fact["reason"].startswith("format not read: the content is") and name in fact["reason"]
    assert "save" in fact["reason"] or "unpack" in fact["reason"]


@pytest.mark.parametrize("name", ["a.gif", "a.avif", "a.heic", "a.jp2", "a.zip", "a.tar.gz"])
def test_other_suffixes_have_a_remedy(name, tmp_path):
    """Give a remedy for pictures and archives whose suffix is not read."""
    (tmp_path / name).write_bytes(b"content")
    reason = scan_files.refusal(tmp_path / name)
    assert reason.endswith(("save it as PNG", "the folder of its images"))


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_a_picture_that_is_stored_turned_has_a_note(orientation, form):
    """Read a picture as stored, and say that viewers turn it."""
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(GREY[:16]).save(file := io.BytesIO(), form, exif=exif)
    decoded = images.decode_picture(file.getvalue())
    assert decoded.pixels.shape == (16, 32)
    notes = () if orientation == 1 else (f"stored turned: EXIF orientation {orientation}",)
    assert decoded.facts.get("notes", ()) == notes


@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("factor", [1, 3, 4])
def test_tiff_of_twelve_bits(photometric, factor):
    """Unpack 12 bits, black as 0 or as the maximum."""
    values = STORED * factor
    stored = values if photometric else 4095 - values
    first, second = stored[:, ::2], stored[:, 1::2]
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], -1)
    data = packed.astype(np.uint8).tobytes()
    tags = [(256, 32), (257, 32), (258, 12), (259, 1), (262, photometric), (273, 8), (277, 1),
            (278, 32), (279, len(data))]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    file = b"II*\0" + struct.pack("<I", 8 + len(data)) + data
    file += struct.pack("<H", len(tags)) + entries + bytes(4)
    found = slices.decode_slice(file, ".tif").pixels
    np.testing.assert_allclose(found, STORED / 1023 * 255, atol=1)
    with tifffile.TiffFile(io.BytesIO(file)) as opened:
        assert opened.pages[0].bitspersample == 12

# --- maps -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".dcm.gz", ".gz", ".img"])
def test_a_compressed_series_gets_a_segmentation(suffix, tmp_path, monkeypatch):
    """Write DICOM-SEG for slices that are compressed as files."""
    predictor = small_predictor()  # other tests use it, too
    table = predictor.table
    monkeypatch.setattr(
        predictor, "table", lambda prepared: table(prepared).assign(in_distribution=True))
    monkeypatch.setattr(
        predictor, "explain", lambda prepared, targets: prepared.astype(np.float32) / 255)
    (tmp_path / "in").mkdir()
    for place in range(4):
        data = dicom_bytes(
            GREY, StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.3.4", SliceThickness=3,
            PixelSpacing=[1, 1], ImagePositionPatient=[0, 0, 3 * place],
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0], FrameOfReferenceUID="1.2.3.5",
            StudyDate="20200101", StudyTime="120000")
        path = tmp_path / "in" / f"{place}{suffix}"
        path.write_bytes(gzip.compress(data))
        assert dicom_maps.read_source(path).SeriesInstanceUID == "1.2.3.4"
    with patch.object(prediction_files, "brain_and_tumour",
                      lambda image, cam: (image > 0, image > 180)):
        prediction_files.predict_files(
            predictor, [tmp_path / "in"], tmp_path / "out.csv", cache_folder=tmp_path / "cache",
            maps=tmp_path / "maps")
    assert len(list(tmp_path.glob("maps/*.dcm"))) == 1
    assert not list(tmp_path.glob("maps/*_mask.png"))
