"""Invalid and damaged input for the maps of volumes and series."""

import os
from pathlib import Path
from unittest.mock import patch

import nibabel
import numpy as np
import pytest
from assertions import refused
from pydicom import Dataset
from test_formats import dicom_bytes

from brainclust.data.images import UnreadableSlice
from brainclust.imaging import dicom_maps, map_files, volume_maps

GREY = np.arange(120, dtype=np.uint8).reshape(10, 12)
PLACE = {"SeriesInstanceUID": "1.2.3", "StudyInstanceUID": "1.2", "PixelSpacing": [1, 1],
         "ImagePositionPatient": [0, 0, 0], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}


@pytest.mark.parametrize("frame, shape", [(3, (4, 5)), (-1, (4, 5)), (0, (5, 4)), (0, (4, 6))])
def test_slices_of_another_volume_are_refused(frame, shape):
    """Refuse slices that do not fit the voxels."""
    slices = {frame: np.zeros(shape, np.uint8)}
    refused(volume_maps.stored_volume, slices, "axial", (5, 4, 3), np.eye(4))
    fitting = volume_maps.stored_volume({2: np.ones((4, 5), np.uint8)}, "axial", (5, 4, 3),
                                        np.eye(4))
    assert fitting.shape == (5, 4, 3) and fitting.sum() == 20


def test_a_volume_that_is_gone_is_refused(tmp_path):
    """Leave no file behind if the volume has become another file."""
    (tmp_path / "v.nii").write_bytes(b"something else" * 99)
    with pytest.raises(UnreadableSlice, match="not NIfTI"):
        volume_maps.write_volume_map({}, "axial", tmp_path / "v.nii", tmp_path / "m.nii.gz")
    nibabel.save(nibabel.Nifti1Image(np.zeros((9, 9, 9), np.int16), np.eye(4)), tmp_path / "v.nii")
    refused(volume_maps.write_volume_map, {0: GREY}, "axial", tmp_path / "v.nii",
            tmp_path / "m.nii.gz")
    assert [path.name for path in tmp_path.iterdir()] == ["v.nii"]


def source(tmp_path: Path, pixels=GREY, **tags) -> Dataset:
    """Write an image and read it as a source of masks."""
    (tmp_path / "a.dcm").write_bytes(dicom_bytes(pixels, **PLACE | tags))
    return dicom_maps.read_source(tmp_path / "a.dcm")


def test_a_file_that_is_not_dicom_is_no_source(tmp_path):
    """Refuse text and files that are absent."""
    (tmp_path / "a.dcm").write_text("no picture")
    for name in ("a.dcm", "absent.dcm"):
        with pytest.raises(UnreadableSlice):
            dicom_maps.read_source(tmp_path / name)


@pytest.mark.parametrize("place", [
    {"ImagePositionPatient": [0, 0]}, {"ImagePositionPatient": [0, 0, "1e999"]},
    {"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, {"PixelSpacing": [0, 1]},
    {"PixelSpacing": [1]}])
def test_a_place_that_is_damaged_is_named(place, tmp_path):
    """Name the attribute that is damaged."""
    with pytest.raises(dicom_maps.NotSegmentable, match=f"no usable {next(iter(place))}"):
        dicom_maps.masked_plane(source(tmp_path, **place), -1, GREY > 9)


def test_frames_without_a_place_are_refused(tmp_path):
    """Refuse frames of a file that has one place for all, and tiles of a picture."""
    frames = source(tmp_path, np.stack([GREY, GREY]))
    with pytest.raises(dicom_maps.NotSegmentable, match="for each frame"):
        dicom_maps.masked_plane(frames, 1, GREY > 9)
    with pytest.raises(dicom_maps.NotSegmentable, match="part of its picture"):
        dicom_maps.masked_plane(source(tmp_path), -1, GREY[:5] > 9)


@pytest.mark.parametrize("thickness", [{"SliceThickness": 3}, {"SpacingBetweenSlices": 3},
                                       {"SliceThickness": 0, "SpacingBetweenSlices": "3.0"}])
def test_a_single_slice_needs_a_thickness(thickness, tmp_path):
    """Take the distance of the slices in its place, and refuse a slice without both."""
    plane = dicom_maps.masked_plane(source(tmp_path, **thickness), -1, GREY > 9)
    assert plane.thickness == 3
    assert dicom_maps.make_segmentation([plane], "model").NumberOfFrames == 1
    bare = dicom_maps.masked_plane(source(tmp_path), -1, GREY > 9)
    with pytest.raises(dicom_maps.NotSegmentable, match="no SliceThickness"):
        dicom_maps.make_segmentation([bare], "model")


def test_an_object_that_highdicom_refuses_is_named(tmp_path):
    """Give highdicom's reason instead of its error."""
    plane = dicom_maps.masked_plane(source(tmp_path, SliceThickness=1), -1, GREY > 9)
    with patch("highdicom.seg.Segmentation", side_effect=KeyError("an attribute")):
        with pytest.raises(dicom_maps.NotSegmentable, match="refuses its attributes .'an attr"):
            dicom_maps.make_segmentation([plane], "model")


def test_a_folder_that_cannot_be_written_to_is_named_at_once(tmp_path):
    """Give one sentence for a file in the place of the folder, and for a read-only one."""
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="cannot be written .*choose another place"):
        map_files.make_writable(tmp_path / "file")
    with pytest.raises(OSError, match="cannot be written .*choose another place"):
        map_files.make_writable(tmp_path / "file" / "maps")
    with patch("tempfile.mkstemp", side_effect=PermissionError(13, os.strerror(13))):
        with pytest.raises(OSError, match="cannot be written .Permission denied"):
            map_files.make_writable(tmp_path / "maps")
