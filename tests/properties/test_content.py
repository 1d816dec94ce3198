"""Properties of brainclust.data.formats: files are recognised by their content."""
import gzip
import io
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pydicom
import pytest
from hypothesis import given, strategies as st
from PIL import Image
from test_formats import dicom_bytes, image_bytes, nifti_bytes, write

from brainclust.data import formats, scan_files, scan_table, volumes
from brainclust.data.images import UnreadableSlice
from brainclust.data.slices import read_slice

GREY = np.arange(256, dtype=np.uint8).reshape(16, 16)
DICOM = dicom_bytes(GREY.astype(np.uint16) * 4 + 100, bits=12)
VOLUME = np.pad(np.random.default_rng(0).random((12, 14, 10)).astype(np.float32) + 1, 4)


def bare(implicit: bool, little: bool) -> bytes:
    """Return the data set of the DICOM file alone, in one encoding."""
    dataset = pydicom.dcmread(io.BytesIO(DICOM))
    alone = pydicom.Dataset({element.tag: element for element in dataset})
    if not little:
        alone["PixelData"].value = dataset.pixel_array.astype(">u2").tobytes()
    pydicom.filewriter.dcmwrite(
        file := io.BytesIO(), alone, implicit_vr=implicit, little_endian=little)
    return file.getvalue()


def read_scans(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the folder `scans`, with a cache beside it."""
    return scan_table.read_scan_table(folder / "scans", cache_folder=folder / "cache")


@pytest.mark.parametrize("name", [
    "a.img", "a.IMG", "a.MR", "a.dc3", "a.acr", "a.dcm_", "a.0001_anon", "a.v2", "a.dcm.bak",
    "a.7", "IM0007", "a.png", "a.jpg", "a.mat", "a.dcm.gz", "a.gz", "A.DCM.GZ"])
def test_dicom_is_read_under_any_name(tmp_path, name):
    """Read DICOM under every suffix, and compressed."""
    data = gzip.compress(DICOM) if name.lower().endswith("gz") else DICOM
    path = write(tmp_path / "scans" / name, data)
    assert np.array_equal(read_slice(path), GREY)
    table, left_out = read_scans(tmp_path)
    assert (list(table["path"]), len(left_out)) == ([str(path)], 0)


@pytest.mark.parametrize("data", [DICOM[128:], bare(True, True), bare(False, True),
                                  bare(False, False)], ids=["mark", "implicit", "explicit", "big"])
@pytest.mark.parametrize("name", ["a", "a.acr", "a.IMA", "a.123"])
def test_dicom_is_read_without_its_preamble(tmp_path, name, data):
    """Read files that begin with their data set, as of before the standard."""
    assert formats.content_format(data[:formats.HEAD_BYTES]) == "DICOM"
    assert formats.is_data_set(data[:formats.HEAD_BYTES]) == (data[:4] != b"DICM")
    path = write(tmp_path / name, data)
    assert scan_files.refusal(path) == ""
    assert np.array_equal(read_slice(path), GREY)


@pytest.mark.parametrize(("name", "form"), [
    ("a.jfif", "JPEG"), ("a.JFIF", "JPEG"), ("a.jpe", "JPEG"), ("a.jpg_large", "JPEG"),
    ("a.dcm", "PNG"), ("a", "PNG"), ("a.tiff_", "TIFF"), ("a.dib", "BMP"), ("a.jpg", "WEBP")])
def test_pictures_are_read_under_any_name(tmp_path, name, form):
    """Read a picture whatever its suffix is."""
    path = write(tmp_path / name, image_bytes(GREY, form))
    assert scan_files.refusal(path) == ""
    with Image.open(io.BytesIO(image_bytes(GREY, form))) as picture:
        assert np.array_equal(read_slice(path), np.asarray(picture.convert("L")))


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.gz", "a.img", "a", "a.volume"])
@pytest.mark.parametrize("compressed", [False, True])
def test_a_volume_is_read_under_any_name(tmp_path, name, compressed):
    """Read a volume whether it is compressed or not, the same with a cold and a warm cache."""
    data = nifti_bytes(nibabel.Nifti1Image(VOLUME, np.eye(4)))
    path = write(tmp_path / name, gzip.compress(data) if compressed else data)
    assert volumes.is_nifti(path)
    cold = scan_files.inspect_file(path, tmp_path / "cache")
    assert len(cold) == 10
    assert scan_files.inspect_file(path, tmp_path / "cache") == cold
    other = write(tmp_path / "other.nii", path.read_bytes())
    shutil.rmtree(tmp_path / "cache")
    again = scan_files.inspect_file(other, tmp_path / "cache")
    assert [s["sha256"] for s in again] == [s["sha256"] for s in cold]


@pytest.mark.parametrize("kind", [nibabel.Nifti1Pair, nibabel.Nifti2Pair, nibabel.AnalyzeImage,
                                  nibabel.Spm2AnalyzeImage])
def test_a_pair_is_one_volume(tmp_path, kind):
    """Read voxels with the header beside them, once, and refuse either alone by name."""
    (tmp_path / "scans").mkdir()
    nibabel.save(kind((VOLUME * 100).astype(np.int16), np.eye(4)), tmp_path / "scans/p1.img")
    assert formats.pair_header(tmp_path / "scans/p1.img") == tmp_path / "scans/p1.hdr"
    table, left_out = read_scans(tmp_path)
    assert (len(table), set(table["patient_from"])) == (10, {"file names"})
    reasons = dict(zip(left_out["path"], left_out["reason"]))  # SPM writes a .mat beside the pair
    assert reasons[str(tmp_path / "scans/p1.hdr")].startswith("header: its voxels are read from")
    header = (tmp_path / "scans/p1.hdr").rename(tmp_path / "alone.hdr")
    assert scan_files.refusal(header).startswith("header without voxels")
    assert "needs its header .hdr" in scan_files.refusal(tmp_path / "scans/p1.img")


@pytest.mark.parametrize("fill", [np.nan, -np.inf])
@pytest.mark.parametrize("low", [0, -1.5])
def test_a_background_that_is_not_finite_is_black(tmp_path, fill, low):
    """Show NaN as background, and tissue between finite limits."""
    voxels = np.where(VOLUME > 0, VOLUME + low, fill).astype(np.float32)
    path = tmp_path / "a.nii"
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), path)
    facts = scan_files.inspect_file(path, tmp_path / "cache")
    assert len(facts) == 10
    assert all(f["notes"][-1].startswith("values not finite") for f in facts)
    assert read_slice(facts[5]["path"])[0].max() == 0
    cleaned, notes = volumes.finite_values(voxels)
    assert np.isfinite(cleaned).all() and len(notes) == 1


@given(data=st.binary(max_size=2000))
def test_noise_is_of_no_format(data):
    """Recognise nothing in random bytes, unless they begin with a mark."""
    known = formats.content_format(data[:formats.HEAD_BYTES])
    assert known in ("", "DICOM", "NIfTI", "header", "picture", "gzip")
    assert formats.inflate_head(gzip.compress(data)) == data[:formats.HEAD_BYTES]
    assert formats.inflated(gzip.compress(data), 2000) == data


def test_a_foreign_file_is_opened_once(tmp_path, monkeypatch):
    """Open a file of a foreign suffix once, for all questions about its format."""
    paths = [write(tmp_path / f"{i}.txt", b"text" * 500) for i in range(5)]
    write(tmp_path / "a.png", image_bytes(GREY))
    opened = []
    real = open
    monkeypatch.setattr("builtins.open", lambda file, *a, **k: (opened.append(str(file)),
                                                                  real(file, *a, **k))[1])
    for _ in range(3):
        assert [formats.file_format(path) for path in paths] == [""] * 5
    assert opened == [str(path) for path in paths]
    assert formats.file_format(tmp_path) == formats.file_format(tmp_path / "absent") == ""


@pytest.mark.parametrize("size", [10**6, 10**7])
def test_inflation_is_bounded(size):
    """Stop at the bound, before the content is in memory."""
    with pytest.raises(UnreadableSlice, match="inflates to more than"):
        formats.inflated(gzip.compress(bytes(size)), 10**5)
