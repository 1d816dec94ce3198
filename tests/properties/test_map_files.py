"""Maps lie on their source: NIfTI in the voxels of the volume, DICOM-SEG on the images."""

import contextlib
import io
from itertools import permutations
from pathlib import Path
from unittest.mock import patch

import highdicom
import nibabel
import numpy as np
import pandas as pd
import pydicom
import pytest
from examples import small_predictor
from hypothesis import given, strategies as st
from PIL import Image
from pydicom import Dataset
from pydicom.uid import EnhancedMRImageStorage, generate_uid
from strategies import seeds
from test_formats import dicom_bytes

from brainclust.data.dicom_attributes import PLANES
from brainclust.data.scan_files import inspect_file
from brainclust.data.scan_table import read_scan_table
from brainclust.data.unpacking import unpack_volume
from brainclust.imaging import dicom_maps, map_files, volume_maps
from brainclust.runs import evaluation, prediction_files

MODEL = "0123456789abcdef"


def head(*shape: int) -> np.ndarray:
    """Return a volume with a grey ellipsoid."""
    axes = np.meshgrid(*(np.linspace(-1, 1, side) for side in shape), indexing="ij")
    return np.where(sum(axis**2 for axis in axes) < 0.8, 90, 0).astype(np.int16)


BLOB = (slice(20, 30), slice(9, 19), slice(10, 18))  # off centre along each stored axis
ROTATION = nibabel.eulerangles.euler2mat(0.1, -0.15, 0.2)


@pytest.fixture
def marking(monkeypatch):
    """Return a predictor of tumours, whose mask and map are the bright pixels of the slice."""
    predictor = small_predictor()  # other tests use it, too
    table = predictor.table
    monkeypatch.setattr(
        predictor, "table", lambda prepared: table(prepared).assign(in_distribution=True))
    monkeypatch.setattr(
        predictor, "explain", lambda prepared, targets: prepared.astype(np.float32) / 255)
    with patch.object(prediction_files, "brain_and_tumour",
                      lambda image, cam: (image > 0, image > 180)):
        yield predictor


def predict(predictor, source, folder, **options) -> tuple[pd.DataFrame, str]:
    """Predict files with maps, and return the table and the sentences."""
    with contextlib.redirect_stderr(io.StringIO()) as said:
        prediction_files.predict_files(predictor, [source], folder / "out.csv",
                                       cache_folder=folder / "cache", maps=folder / "maps",
                                       **options)
    text = dict.fromkeys(("path", "cam", "mask", "SOPInstanceUID", "SeriesInstanceUID"), str)
    return pd.read_csv(folder / "out.csv", keep_default_na=False, dtype=text), said.getvalue()


def overlap(mask: np.ndarray, truth: np.ndarray) -> float:
    """Return the Dice coefficient of two masks."""
    return 2 * (mask & truth).sum() / (mask.sum() + truth.sum())

# --- NIfTI ----------------------------------------------------------------------------------------


AFFINES = {
    "canonical": np.diag([1, 1, 1, 1.0]), "both sides flipped": np.diag([-1, -1, 1, 1.0]),
    "all flipped": np.diag([-1, -1, -1, 1.0]), "anisotropic": np.diag([-1, 1.4, 2.5, 1]),
    "coronal, stored last": np.array([[-1, 0, 0, 20], [0, 0, 1.2, 3], [0, -1, 0, 9], [0, 0, 0, 1]]),
    "sagittal, stored first": np.array([[0, 0, -1, 7], [-1, 0, 0, 8], [0, 1, 0, 9.0],
                                        [0, 0, 0, 1]]),
    "oblique": nibabel.affines.from_matvec(ROTATION @ np.diag([1, -1.3, 1.1]), [3, 4, 5]),
    "thick coronal": np.array([[-1, 0, 0, 0], [0, 0, 5, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]])}


KINDS = ("float32", "uint8", "scaled", "4-D", "nifti2")
VOLUMES = [*((name, "int16") for name in AFFINES),
           *((name, kind) for name in ("anisotropic", "oblique") for kind in KINDS)]


@pytest.mark.parametrize(("name", "kind"), VOLUMES)
def test_a_mask_lies_on_the_blob_of_its_volume(name, kind, marking, tmp_path):
    """Write maps in the grid, with the affine and the codes of the volume."""
    voxels = head(40, 36, 32)
    voxels[BLOB] = 250
    values = {"float32": voxels / 7, "uint8": voxels, "4-D": voxels[..., None]}.get(kind, voxels)
    family = nibabel.Nifti2Image if kind == "nifti2" else nibabel.Nifti1Image
    image = family(values.astype({"float32": np.float32, "uint8": np.uint8}.get(kind, np.int16)),
                   AFFINES[name])
    image.set_sform(AFFINES[name], 4)
    image.set_qform(AFFINES[name], 1)
    image.header.set_xyzt_units("mm", "sec")
    if kind == "scaled":
        image.header.set_slope_inter(2.5, -3)
    nibabel.save(image, tmp_path / "head.nii.gz")
    table, _ = predict(marking, tmp_path / "head.nii.gz", tmp_path)
    mask = nibabel.load(table["mask"].max())
    cam = nibabel.load(table["cam"].max())
    truth = np.zeros(voxels.shape, bool)
    truth[BLOB] = True
    marked = np.asarray(mask.dataobj)
    assert marked.dtype == np.uint8 and set(np.unique(marked)) == {0, 1}
    assert overlap(marked > 0, truth) > 0.8
    for found in (mask, cam):
        assert found.shape == voxels.shape and isinstance(found, family)
        for field in ("srow_x", "srow_y", "srow_z", "sform_code", "qform_code", "quatern_b",
                      "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z",
                      "xyzt_units"):
            np.testing.assert_array_equal(found.header[field], nibabel.load(
                tmp_path / "head.nii.gz").header[field])
        np.testing.assert_array_equal(found.header["pixdim"][:4], image.header["pixdim"][:4])
    shown = np.asarray(cam.dataobj)
    assert shown[truth].mean() > 200 and shown[~truth].mean() < 120
    assert (table["stored_axis"] >= 0).all() and (table["frame"] >= 0).all()
    for row in table.itertuples():  # the table tells which stored slice is meant
        assert np.take(shown, row.stored_index, row.stored_axis).any()
        if not row.mask: continue
        assert row.mask == table["mask"].max()
    inside = {row.stored_index for row in table.itertuples()
              if np.take(truth, row.stored_index, row.stored_axis).any()}
    assert inside == set(np.arange(*BLOB[table["stored_axis"][0]].indices(99)))
    assert not list(tmp_path.glob("maps/*.png")) and not list(tmp_path.glob(".out*"))


@pytest.mark.parametrize("name", ["anisotropic", "oblique"])
def test_a_mask_of_cropped_slices_lies_on_its_blob(name, marking, tmp_path, monkeypatch):
    """Put maps of slices that were cut to their head back at their place."""
    monkeypatch.setitem(marking.settings, "crop", "head")
    voxels = np.pad(head(40, 36, 32), ((30, 6), (4, 20), (0, 0)))
    blob = tuple(slice(part.start + before, part.stop + before)
                 for part, before in zip(BLOB, (30, 4, 0)))
    voxels[blob] = 250
    nibabel.save(nibabel.Nifti1Image(voxels, AFFINES[name]), tmp_path / "head.nii.gz")
    table, _ = predict(marking, tmp_path / "head.nii.gz", tmp_path)
    truth = np.zeros(voxels.shape, bool)
    truth[blob] = True
    assert overlap(np.asarray(nibabel.load(table["mask"].max()).dataobj) > 0, truth) > 0.8
    shown = np.asarray(nibabel.load(table["cam"].max()).dataobj)
    assert shown[truth].mean() > 200 and shown[~truth].mean() < 120


@given(seed=seeds(), order=st.sampled_from(list(permutations(range(3)))),
       flips=st.tuples(*[st.sampled_from([-1, 1])] * 3), plane=st.sampled_from(PLANES),
       step=st.integers(1, 3), turned=st.booleans())
def test_stored_slices_return_to_their_voxels(seed, order, flips, plane, step, turned,
                                              tmp_path_factory):
    """Give back every voxel that was read, and 0 elsewhere."""
    folder = tmp_path_factory.mktemp("volume")
    rng = np.random.default_rng(seed)
    voxels = rng.integers(100, 256, rng.integers(8, 12, 3), np.uint8)
    voxels.flat[:2] = 0, 255
    matrix = np.diag(flips)[:, list(order)].astype(float)
    affine = nibabel.affines.from_matvec(ROTATION @ matrix if turned else matrix, [1, 2, 3])
    nibabel.save(nibabel.Nifti1Image(voxels, affine), folder / "v.nii")
    facts = unpack_volume(folder / "v.nii", folder, plane, step)
    slices = {fact["frame"]: np.array(Image.open(fact["path"])) for fact in facts}
    volume_maps.write_volume_map(slices, plane, folder / "v.nii", folder / "m.nii.gz", "cam")
    found = nibabel.load(folder / "m.nii.gz")
    returned = np.asarray(found.dataobj)
    axis = facts[0]["stored_axis"]
    read = [fact["stored_index"] for fact in facts]
    assert len(read) == len(range(0, voxels.shape[axis], step))
    np.testing.assert_array_equal(np.take(returned, read, axis), np.take(voxels, read, axis))
    assert not np.delete(returned, read, axis).any()
    missing = volume_maps.NOT_READ in found.header["descrip"].item().decode()
    assert missing == (len(read) < voxels.shape[axis])


@pytest.mark.parametrize("codes", [(0, 0), (1, 0), (0, 2), (3, 1)])
def test_codes_of_the_header_are_kept(codes, tmp_path):
    """Keep sform and qform as they are, also where they differ or are unset."""
    image = nibabel.Nifti1Image(head(12, 11, 10), np.diag([2, 2, 3, 1.0]))
    image.header["descrip"] = b"a name"
    image.set_sform(np.diag([-2, 2, 3, 1.0]), codes[0])
    image.set_qform(np.diag([2, -2, 3, 1.0]), codes[1])
    header = volume_maps.map_header(image.header, "mask", complete=True)
    for field in ("sform_code", "qform_code", "srow_x", "quatern_c", "pixdim"):
        np.testing.assert_array_equal(header[field], image.header[field])
    assert header.get_intent()[0] == "label" and header.get_data_dtype() == np.uint8
    assert b"a name" not in header["descrip"].item()
    nibabel.save(image, tmp_path / "v.nii")
    volume_maps.write_volume_map({}, "axial", tmp_path / "v.nii", tmp_path / "m.nii.gz", read=10)
    written = nibabel.load(tmp_path / "m.nii.gz")
    np.testing.assert_array_equal(written.affine, nibabel.load(tmp_path / "v.nii").affine)


@pytest.mark.parametrize("stored", [(40, 64), (64, 40), (30, 64)])
def test_maps_return_to_pixels_that_are_not_square(stored):
    """Undo the resampling to squares, with the block where it was."""
    fact = {"height": 64, "width": 64, "stored_height": stored[0], "stored_width": stored[1]}
    mask = np.zeros((64, 64), bool)
    mask[16:32, 32:48] = True
    restored = volume_maps.restore_stored(mask, fact)
    assert restored.shape == stored
    rows, columns = (np.flatnonzero(restored.any(axis=axis)) for axis in (1, 0))
    assert abs(rows[0] - stored[0] / 4) <= 1 and abs(rows[-1] + 1 - stored[0] / 2) <= 1
    assert abs(columns[0] - stored[1] / 2) <= 1

# --- DICOM ----------------------------------------------------------------------------------------


SERIES, STUDY, SPACE = (generate_uid(entropy_srcs=[word]) for word in ("series", "study", "space"))
STACK = head(40, 48, 6)
STACK[26:34, 8:18, 2:5] = 250  # rows, columns, slices: below and left of the centre


def series_tags(number: int, **changes) -> dict:
    """Return the attributes of a slice of a series; those that are None are left out."""
    tags = {"SOPInstanceUID": generate_uid(entropy_srcs=["slice", str(number)]),
            "SeriesInstanceUID": SERIES, "StudyInstanceUID": STUDY, "FrameOfReferenceUID": SPACE,
            "PixelSpacing": [0.5, 0.75], "ImageOrientationPatient": [1, 0, 0, 0, 0.8, 0.6],
            "ImagePositionPatient": [-20, round(-2.4 * number, 3), round(3.2 * number, 3)],
            "SliceThickness": 3, "PatientID": "p 1", "InstanceNumber": number + 1}
    return {name: value for name, value in (tags | changes).items() if value is not None}


def write_series(folder: Path, **changes) -> list[Path]:
    """Write a series of six files, in an order that is not that of the slices."""
    folder.mkdir()
    for number in range(6):
        content = dicom_bytes(STACK[..., number].astype(np.uint8), **series_tags(number, **changes))
        (folder / f"im{(number * 5) % 6}.dcm").write_bytes(content)
    return sorted(folder.iterdir())


def check_segmentation(path: str) -> highdicom.seg.Segmentation:
    """Read a segmentation, and check what a validator of DICOM asks for."""
    found = highdicom.seg.segread(path)
    for name in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID",
                 "SeriesNumber", "InstanceNumber", "Modality", "Manufacturer",
                 "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions", "ContentDate",
                 "ContentTime", "ImageType", "SegmentationType", "ContentLabel", "Rows", "Columns",
                 "NumberOfFrames", "BitsAllocated", "FrameOfReferenceUID", "SegmentSequence",
                 "DimensionOrganizationSequence", "DimensionIndexSequence",
                 "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
                 "ReferencedSeriesSequence", "LossyImageCompression"):
        assert found.get(name) not in (None, ""), name
    for name in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyID",
                 "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName"):
        assert name in found, name
    assert found.Modality == "SEG" and found.SegmentationType == "BINARY"
    assert found.file_meta.MediaStorageSOPInstanceUID == found.SOPInstanceUID
    assert len(found.PerFrameFunctionalGroupsSequence) == found.NumberOfFrames
    (segment,) = found.SegmentSequence
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == "108369006"
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodingSchemeDesignator == "SCT"
    assert segment.SegmentAlgorithmType == "AUTOMATIC"
    assert segment.SegmentationAlgorithmIdentificationSequence[0].AlgorithmName == "brainclust"
    assert "not for diagnosis" in segment.SegmentDescription
    assert "not for diagnosis" in found.SeriesDescription
    return found


def test_a_series_over_several_parts_has_one_segmentation(marking, tmp_path):
    """Join files of three parts, and refer to each of them."""
    files = write_series(tmp_path / "series")
    table, said = predict(marking, tmp_path / "series", tmp_path, part=2)
    assert "DICOM-SEG" not in said
    (written,) = tmp_path.glob("maps/*.dcm")
    found = check_segmentation(str(written))
    assert set(table["mask"]) == {"", str(written)}
    assert all(Image.open(cam).size == (48, 40) for cam in table["cam"])
    sources = [pydicom.dcmread(file) for file in files]
    uids = [source.SOPInstanceUID for source in sources]
    assert table["SOPInstanceUID"].tolist() == uids
    assert set(table["SeriesInstanceUID"]) == {SERIES}
    listed = found.ReferencedSeriesSequence[0]
    assert listed.SeriesInstanceUID == SERIES
    assert {item.ReferencedSOPInstanceUID for item in listed.ReferencedInstanceSequence} == {*uids}
    assert (found.StudyInstanceUID, found.FrameOfReferenceUID, found.PatientID) == (
        STUDY, SPACE, "p 1")
    pixels = found.get_pixels_by_source_instance(
        uids, segment_numbers=[1], assert_missing_frames_are_empty=True)[..., 0] > 0
    truth = np.stack([source.pixel_array > 200 for source in sources])
    assert overlap(pixels, truth) > 0.8
    # in space, too: the centre of the marked pixels is that of the block
    volume = found.get_volume(combine_segments=True)
    centre = volume.affine @ [*np.argwhere(volume.array > 0).mean(axis=0), 1]
    middle = np.argwhere(STACK > 200).mean(axis=0)
    along_column = 0.5 * middle[0] * np.array([0, 0.8, 0.6])
    expected = along_column + [0.75 * middle[1] - 20, -2.4 * middle[2], 3.2 * middle[2]]
    assert np.linalg.norm(centre[:3] - expected) < 0.6


def enhanced(positions, orientations, **changes) -> bytes:
    """Return the bytes of an enhanced MR file with a place per frame."""
    frames = []
    for position, orientation in zip(positions, orientations):
        group, plane, directions = (Dataset() for _ in range(3))
        plane.ImagePositionPatient = list(position)
        directions.ImageOrientationPatient = list(orientation)
        group.PlanePositionSequence = [plane]
        group.PlaneOrientationSequence = [directions]
        frames.append(group)
    measures, shared = (Dataset() for _ in range(2))
    measures.PixelSpacing = [1, 1]
    measures.SliceThickness = 2
    shared.PixelMeasuresSequence = [measures]
    tags = series_tags(0, SOPClassUID=EnhancedMRImageStorage, PixelSpacing=None,
                       ImageOrientationPatient=None, ImagePositionPatient=None,
                       SliceThickness=None, PerFrameFunctionalGroupsSequence=frames,
                       SharedFunctionalGroupsSequence=[shared])
    stack = np.moveaxis(STACK, 2, 0).astype(np.uint8)[:len(frames)]
    return dicom_bytes(stack, **tags | changes)


AXIAL, SAGITTAL = [1, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, -1]
MULTIFRAME = {
    "a volume": ([(0, 0, 2 * z) for z in range(6)], [AXIAL] * 6, 1),
    # of two volumes, the first is read
    "two echoes": ([(0, 0, 2 * (z % 3)) for z in range(6)], [AXIAL] * 6, 1),
    "two orientations": ([(2 * z, 0, 2 * z) for z in range(6)], [AXIAL] * 3 + [SAGITTAL] * 3, 2),
    "shifted in the plane": ([(5 * (z % 2), 0, 2 * (z // 2)) for z in range(6)], [AXIAL] * 6, 2),
    "jitter": ([(0, 0, 2 * z) for z in range(6)],
               [[1, 1e-6 * z, 0, 0, 1, 0] for z in range(6)], 1)}


@pytest.mark.parametrize("name", MULTIFRAME)
def test_a_multiframe_file_is_referred_to_by_frame(name, marking, tmp_path):
    """Write a segmentation per stack, whose frames refer to those of the source."""
    positions, orientations, stacks = MULTIFRAME[name]
    (tmp_path / "source.dcm").write_bytes(enhanced(positions, orientations))
    table, said = predict(marking, tmp_path / "source.dcm", tmp_path)
    assert "DICOM-SEG" not in said
    source = pydicom.dcmread(tmp_path / "source.dcm")
    written = sorted(tmp_path.glob("maps/*.dcm"))
    assert len(written) == stacks and set(table["mask"]) - {""} == set(map(str, written))
    marked = {}
    for path in written:
        found = check_segmentation(str(path))
        pixels = found.pixel_array.reshape(-1, 40, 48)
        for image, groups in zip(pixels, found.PerFrameFunctionalGroupsSequence):
            item = groups.DerivationImageSequence[0].SourceImageSequence[0]
            assert item.ReferencedSOPInstanceUID == source.SOPInstanceUID
            frame = int(item.ReferencedFrameNumber) - 1
            assert tuple(groups.PlanePositionSequence[0].ImagePositionPatient) == positions[frame]
            marked[frame] = image > 0
    # of which some lie in another stack, or in a volume that is not read
    expected = [2] if name == "two echoes" else [2, 3, 4]
    assert sorted(marked) == expected
    for frame, image in marked.items():
        assert overlap(image, STACK[..., frame] > 200) > 0.8
    assert table.loc[table["mask"] != "", "frame"].tolist() == expected


REASONS = {
    "SOPInstanceUID": {"SOPInstanceUID": None}, "SeriesInstanceUID": {"SeriesInstanceUID": None},
    "StudyInstanceUID": {"StudyInstanceUID": None}, "not an identifier": {"SOPInstanceUID": "=1+1"},
    "ImagePositionPatient": {"ImagePositionPatient": None},
    "ImageOrientationPatient": {"ImageOrientationPatient": [0] * 6},
    "PixelSpacing": {"PixelSpacing": None}}


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.parametrize("name", REASONS)
def test_a_slice_without_identifiers_or_place_gets_a_picture(name, marking, tmp_path):
    """Write a PNG of the stored pixels, and give the reason."""
    dataset = pydicom.dcmread(io.BytesIO(dicom_bytes(STACK[..., 2].astype(np.uint8),
                                                     **series_tags(2))))
    for attribute, value in REASONS[name].items():
        setattr(dataset, attribute, value)
        if value is None:
            del dataset[attribute]
    dataset.save_as(tmp_path / "source.dcm")
    table, said = predict(marking, tmp_path / "source.dcm", tmp_path)
    assert "1 tumour masks of DICOM slices are PNG, not DICOM-SEG: no " in said
    mask = np.array(Image.open(table["mask"][0]))
    assert Path(table["mask"][0]).parent == tmp_path / "maps"
    assert overlap(mask > 0, STACK[..., 2] > 200) > 0.8 and set(np.unique(mask)) == {0, 255}
    assert not list(tmp_path.glob("maps/*.dcm"))


DAMAGED = {
    "no frame of reference": {"FrameOfReferenceUID": None},
    "no thickness": {"SliceThickness": None},
    "no patient": {"PatientID": None}, "wrong date": {"StudyDate": "1999", "StudyTime": "noon"},
    "wrong sex": {"PatientSex": "FEMALE"}, "empty thickness": {"SliceThickness": ""},
    "accents": {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Müller^Jürgen"}}


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
@pytest.mark.parametrize("name", DAMAGED)
def test_a_header_with_gaps_still_has_a_segmentation(name, marking, tmp_path):
    """Complete what a derived object needs, and repeat nothing that is invalid."""
    write_series(tmp_path / "series", **DAMAGED[name])
    _, said = predict(marking, tmp_path / "series", tmp_path)
    assert "DICOM-SEG" not in said
    (written,) = tmp_path.glob("maps/*.dcm")
    found = check_segmentation(str(written))
    measures = found.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert float(measures.SliceThickness) == (4 if "thickness" in name else 3)
    assert found.PatientName == DAMAGED[name].get("PatientName", "")
    assert not found.StudyDate and not found.PatientSex


def test_without_highdicom_masks_are_pictures(marking, tmp_path):
    """Say which extra is needed, and write PNG."""
    write_series(tmp_path / "series")
    with patch.dict("sys.modules", {"highdicom": None}):
        table, said = predict(marking, tmp_path / "series", tmp_path)
    assert 'pip install "brainclust[dicom]"' in said and said.count("DICOM-SEG") == 2
    assert {Path(mask).suffix for mask in table["mask"] if mask} == {".png"}


def test_an_interrupted_call_leaves_no_half_series(marking, tmp_path):
    """Resume with the same files as a call without an interruption."""
    write_series(tmp_path / "series")
    voxels = head(40, 36, 32)
    voxels[BLOB] = 250
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), tmp_path / "series" / "z.nii.gz")
    plain = marking.table
    calls = []

    def interrupted(prepared):
        calls.append(1)
        if len(calls) == 3: raise KeyboardInterrupt
        return plain(prepared)

    marking.table = interrupted
    with pytest.raises(KeyboardInterrupt), contextlib.redirect_stderr(io.StringIO()):
        predict(marking, tmp_path / "series", tmp_path, part=2)
    assert not list(tmp_path.glob("maps/*_mask*"))
    marking.table = plain
    resumed, _ = predict(marking, tmp_path / "series", tmp_path, part=2)
    first = {path.name: path.read_bytes() for path in tmp_path.glob("maps/*") if "dcm" not in
             path.name}
    again, _ = predict(marking, tmp_path / "series", tmp_path, part=3)
    assert resumed.equals(again)
    assert first == {path.name: path.read_bytes() for path in tmp_path.glob("maps/*")
                     if "dcm" not in path.name}
    assert len(list(tmp_path.glob("maps/*.dcm"))) == 1
    assert len(list(tmp_path.glob("maps/*.nii.gz"))) == 2

# --- the functions --------------------------------------------------------------------------------


def test_a_damaged_header_is_completed(tmp_path):
    """Complete headers without a change to the source."""
    files = write_series(tmp_path / "series", FrameOfReferenceUID=None, SliceThickness=None)
    sources = [dicom_maps.read_source(file) for file in files]
    planes = [dicom_maps.masked_plane(source, -1, STACK[..., 0] > 200) for source in sources]
    (stack,) = dicom_maps.divide_stacks([*planes, *planes])
    headers = dicom_maps.completed_headers(stack)
    assert {header.FrameOfReferenceUID for header in headers} == {
        dicom_maps.derived_uid(SERIES, "space")}
    assert {float(header.SliceThickness) for header in headers} == {4}
    assert not any("SliceThickness" in source for source in sources)
    with pytest.raises(dicom_maps.NotSegmentable, match="no SliceThickness"):
        dicom_maps.completed_headers(stack[:1])
    assert dicom_maps.tumour_segment().SegmentLabel == "Tumour"
    assert dicom_maps.make_segmentation(
        [dicom_maps.masked_plane(source, -1, STACK[..., 2] > 200) for source in sources],
        MODEL).DeviceSerialNumber == MODEL


def test_pieces_wait_for_their_volume(tmp_path):
    """Write PNG at once for a picture, and a piece for a volume or a series."""
    folders = map_files.MapFolders(tmp_path / "maps", tmp_path / "pieces")
    size = {"path": "a.png", "width": 9, "height": 7}
    mask = np.ones((32, 32), bool)
    for fact, waits in ((size, ()), ({**size, "stored_axis": 2}, ("cam", "mask")),
                        ({**size, "SeriesInstanceUID": ""}, ("mask",))):
        for image, kind in ((mask, "mask"), (mask * 0.5, "cam")):
            path = map_files.write_piece(image, fact, folders)
            assert path.parent == (folders.pieces if kind in waits else folders.maps)
            assert np.unique(np.array(Image.open(path))) == (255 if kind == "mask" else 128)
    names = [map_files.map_name("a/b.nii.gz"), map_files.map_name("a/b.nii.gz", 3),
             map_files.map_name("c/b.nii.gz"), map_files.map_name("a/b.dcm", series="1.2")]
    assert len(set(names)) == 4 and all(name.startswith("b-") for name in names)
    assert names[3] == map_files.map_name("b.dcm", series="1.2")


def test_a_table_without_volumes_stays_as_it_is(tmp_path):
    """Join nothing without a volume or a series."""
    folders = map_files.MapFolders(tmp_path / "maps", tmp_path / "pieces")
    table = pd.DataFrame({"path": ["a.png"], "frame": [-1], "stored_axis": [-1], "class": ["x"],
                          "plane": [""], "cam": ["maps/a_cam.png"], "mask": ["maps/a_mask.png"],
                          "SOPInstanceUID": [""], "SeriesInstanceUID": [""]})
    assert map_files.join_volumes(table, folders).equals(table)
    assert map_files.join_series_maps(table, folders, MODEL) == ({}, [])
    assert map_files.series_planes(table.assign(path="absent.dcm", mask="")) == ([], {})
    map_files.make_writable(tmp_path / "maps")
    map_files.check_maps(tmp_path / "maps", [tmp_path / "a.png"])


def test_the_scan_table_names_the_source_of_each_slice(tmp_path):
    """Keep identifiers and stored places, also beside a user's column of that name."""
    files = write_series(tmp_path / "scans")
    nibabel.save(nibabel.Nifti1Image(head(40, 36, 32), np.diag([-1, 1, -1, 1.0])),
                 tmp_path / "scans" / "v.nii.gz")
    Image.fromarray(STACK[..., 2].astype(np.uint8)).save(tmp_path / "scans" / "p.png")
    (tmp_path / "scans" / "labels.csv").write_text(
        "path,label,SOPInstanceUID,stored_index\n"
        + "".join(f"{name},glioma,mine,7\n" for name in ("v.nii.gz", "p.png",
                                                         *(file.name for file in files))))
    table, left_out = read_scan_table(tmp_path / "scans", cache_folder=tmp_path / "cache")
    assert left_out["reason"].str.startswith("air:").all()  # at the ends of the series
    by = table.set_index(table["volume"].where(table["volume"] != "", table["path"]).map(
        lambda path: Path(path).suffix))
    assert by.loc[".dcm", "SeriesInstanceUID"].eq(SERIES).all() and by.loc[".dcm",
                                                                      "SOPInstanceUID"].is_unique
    volume = table[table["volume"].str.endswith(".nii.gz")]
    assert (volume["stored_axis"] == 2).all()
    assert (volume["stored_index"] == 31 - volume["frame"]).all()
    picture = table[table["path"].str.endswith("p.png")].iloc[0]
    assert (picture["SOPInstanceUID"], picture["stored_index"]) == ("", -1)
    assert set(table["sopinstanceuid"]) == {"mine"} and set(table["csv_stored_index"]) == {"7"}
    named = evaluation.source_columns(table)  # as in a run's table of test predictions
    assert set(named) == {"volume", "frame", "SOPInstanceUID", "SeriesInstanceUID", "stored_axis",
                          "stored_index"}
    assert evaluation.source_columns(table[["path", "frame"]].query("frame < 0")) == {}
    facts = inspect_file(files[0], tmp_path)[0]
    assert facts["SOPInstanceUID"] == pydicom.dcmread(files[0]).SOPInstanceUID
