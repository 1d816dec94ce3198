"""Files of 3D Slicer and other programs are named, and label maps are not scans."""
from pathlib import Path

import nibabel
import numpy as np
import pytest

from brainclust.data import other_formats, scan_files, scan_table, volumes


def write_case(folder: Path, labels: str, kind: str = "int16", values: int = 3) -> None:
    """Write a scan and, under another name, a label map of the same grid."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    grey = rng.integers(0, 900, (18, 20, 16)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(grey, np.diag([2, 2, 2, 1])), folder / "T1.nii.gz")
    if labels.endswith((".nii", ".nii.gz")):
        mask = rng.integers(0, values, grey.shape).astype(kind)
        nibabel.save(nibabel.Nifti1Image(mask, np.diag([2, 2, 2, 1])), folder / labels)
    else:
        (folder / labels).write_bytes(b"NRRD0004\n# made by a program\n")


@pytest.mark.parametrize("name", [
    "Segmentation.nii.gz", "Segmentation-label.nii.gz", "T1-label.nii.gz", "Segmentation_1.nii",
    "Segmentation-tumor-label.nii.gz", "tumour.nii.gz", "Untitled.nii.gz", "scan_2.nii.gz"])
@pytest.mark.parametrize(("kind", "values"), [("int16", 3), ("uint8", 2), ("float32", 5)])
def test_label_maps_of_slicer_are_no_scans(name, kind, values, tmp_path):
    """Leave out a label map of any name and type, and read the scan."""
    write_case(tmp_path / "data/p1", name, kind, values)
    table, left_out = scan_table.read_scan_table(tmp_path / "data", cache_folder=tmp_path / "c")
    assert {Path(v).name for v in table["volume"]} == {"T1.nii.gz"}
    assert left_out["reason"].str.startswith("segmentation").tolist() == [True]


@pytest.mark.parametrize(("name", "start"), [
    ("T1.nrrd", "suffix not read: .nrrd, save it as .nii.gz"),
    ("Segmentation.seg.nrrd", "segmentation: 3D Slicer"), ("T1.NRRD", "suffix not read: .nrrd"),
    ("T1.nhdr", "suffix not read: .nhdr"), ("a.mha", "suffix not read: .mha"),
    ("orig.mgz", "suffix not read: .mgz, convert"), ("scene.mrml", "suffix not read: .mrml"),
    ("scene.mrb", "suffix not read: .mrb"), ("Segmentation_ColorTable.ctbl", "suffix not read"),
    ("F.mrk.json", "suffix not read"), ("scans.zip", "suffix not read: .zip, unpack it"),
    ("scans.tar.gz", "suffix not read: .tar.gz, unpack"), ("A.RAR", "suffix not read: .rar, unp")])
def test_files_of_other_programs_are_named_with_a_remedy(name, start, tmp_path):
    """Give each format its reason."""
    write_case(tmp_path / "data", name)
    _, left_out = scan_table.read_scan_table(tmp_path / "data", cache_folder=tmp_path / "c")
    (reason,) = left_out["reason"]
    assert reason.startswith(start)
    assert other_formats.format_reason(Path(name)) == reason


def test_a_folder_of_another_format_is_refused_with_the_remedy(tmp_path):
    """Say how to make the files readable where nothing else is there."""
    for suffix, remedy in ((".nrrd", "Save it as .nii.gz, in 3D Slicer"), (".mgz", "Convert it"),
                           (".txt", "Give the folder")):
        folder = tmp_path / suffix
        folder.mkdir()
        (folder / f"a{suffix}").write_bytes(b"x")
        with pytest.raises(ValueError, match=remedy):
            scan_files.list_scan_files(folder)


@pytest.mark.parametrize("values", [
    np.arange(729.).reshape(9, 9, 9), np.zeros((9, 9, 9)), np.full((9, 9, 9), np.nan),
    np.arange(729).reshape(9, 9, 9) % 7 * 100, np.where(np.arange(729) > 9, 1., np.inf)])
def test_grey_values_are_no_labels(values):
    """Tell scans, empty and damaged volumes from label maps."""
    assert not volumes.is_label_map(values)


@pytest.mark.parametrize("top", [1, 4, 50, 255])
def test_few_whole_numbers_are_labels(top):
    """Recognise few small whole numbers, and the two values of a mask."""
    mask = (np.arange(729).reshape(9, 9, 9) % 9 == 0) * top
    assert volumes.is_label_map(mask) and volumes.is_label_map(mask.astype(float))
    assert volumes.is_label_map(np.arange(729) % 6) and not volumes.is_label_map(mask == 0)
