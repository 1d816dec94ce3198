"""Every format comes back as it was written, and no broken file harms a scan."""
import gzip
import io
import json
import os
import socket
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import h5py
import nibabel
import numpy as np
import pandas as pd
import pydicom
import pytest
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    MRImageStorage,
    RLELossless,
    generate_uid,
)
from scipy.io import savemat

from brainclust.data import slices as slices_module, unpacking
from brainclust.data.cheng import MAXIMUM_SLICE_BYTES
from brainclust.data.images import stretch_to_uint8
from brainclust.data.labels import SCAN_COLUMNS
from brainclust.data.scan_table import read_scan_table
from brainclust.data.slices import read_slice, read_tumour_mask
from brainclust.synthetic.phantoms import make_phantoms

# Warnings are the subject of tests of their own below.
pytestmark = [pytest.mark.filterwarnings("ignore:.*identifying tags"),
              pytest.mark.filterwarnings("ignore::UserWarning:pydicom")]
UNCOMPRESSED = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian,
                DeflatedExplicitVRLittleEndian]


@pytest.fixture(scope="module")
def slices() -> np.ndarray:
    """Phantom slices, uint8 (N, 64, 64), each using the whole range of greys so that a stretch
    changes nothing.
    """
    images = make_phantoms(
        patients_per_class=2, slices_per_patient=2, image_size=64, seed=3, test_fraction=0.0).images
    return np.stack([stretch_to_uint8(image) for image in images])


def dicom_bytes(
    stored,
    syntax=ExplicitVRLittleEndian,
    photometric="MONOCHROME2",
    bits=8,
    **tags,
) -> bytes:
    """Return a DICOM MR image in one transfer syntax.

    `stored` is (H, W), or (F, H, W) for several frames.
    """
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = MRImageStorage
    dataset.SOPInstanceUID = generate_uid()
    dataset.Modality = "MR"
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    pydicom.pixels.set_pixel_data(dataset, stored, photometric, bits)
    if syntax == RLELossless:
        dataset.compress(syntax)
    elif syntax in (JPEGBaseline8Bit, JPEG2000Lossless):
        frames = []
        for frame in stored.reshape(-1, *stored.shape[-2:]):
            options = ({"format": "JPEG", "quality": 95} if syntax == JPEGBaseline8Bit
                       else {"format": "JPEG2000", "no_jp2": True})
            Image.fromarray(frame).save(file := io.BytesIO(), **options)
            frames.append(file.getvalue())
        dataset.PixelData = encapsulate(frames)
        dataset["PixelData"].VR = "OB"
    elif syntax == ExplicitVRBigEndian and stored.dtype.itemsize > 1:
        dataset.PixelData = stored.astype(stored.dtype.newbyteorder(">")).tobytes()
    dataset.file_meta.TransferSyntaxUID = syntax
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def nifti_bytes(image: nibabel.Nifti1Image, suffix=".nii") -> bytes:
    """Return the bytes of a NIfTI file."""
    content = image.to_bytes()
    return gzip.compress(content, 1) if suffix == ".nii.gz" else content


def volume_of(slices: np.ndarray) -> np.ndarray:
    """Return the volume in canonical order whose axial slices are displayed as these."""
    return slices.transpose(2, 1, 0)[::-1, ::-1]


def cheng_bytes(image, mask, patient="101", label=1.) -> bytes:
    """Return one file of Cheng's collection.

    MATLAB 7.3, which is HDF5 behind a header of 512 bytes.
    """
    with h5py.File(file := io.BytesIO(), "w", userblock_size=512) as written:
        struct = written.create_group("cjdata")
        struct["image"] = image.T
        struct["tumorMask"] = mask.T.astype(np.uint8)
        struct["PID"], struct["label"] = (np.array([[ord(c)] for c in patient], np.uint16),
                                          np.array([[label]]))
    content = bytearray(file.getvalue())
    content[:126] = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(126)
    return bytes(content)


def image_bytes(pixels, format="PNG", **options) -> bytes:
    """Return an image file's bytes."""
    Image.fromarray(pixels).save(file := io.BytesIO(), format=format, **options)
    return file.getvalue()


def write(path: Path, content: bytes) -> Path:
    """Write a file, its folder included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def pixels_of(table: pd.DataFrame) -> np.ndarray:
    """Return all slices of a table in its order."""
    return np.stack([read_slice(path) for path in table["path"]])


# Round trips --------------------------------------------------------------------------------------

@pytest.mark.parametrize("suffix", [".dcm", ".IMA", ""])
@pytest.mark.parametrize("syntax", [*UNCOMPRESSED, RLELossless, JPEG2000Lossless],
                         ids=lambda uid: getattr(uid, "name", uid))
def test_dicom_slices_come_back(slices, tmp_path, syntax, suffix):
    bits = 16 if syntax == JPEG2000Lossless else 12  # Pillow writes whole bytes
    for i, pixels in enumerate(slices[:4]):
        write(tmp_path / f"8/IM{i}{suffix}", dicom_bytes(pixels, syntax, PatientID=f"p{i}"))
        write(tmp_path / f"16/IM{i}{suffix}",
              dicom_bytes(pixels.astype(np.uint16) * 15 + 100, syntax, bits=bits))
    table, unreadable = read_scan_table(tmp_path)
    assert len(unreadable) == 0 and list(table["bit_depth"]) == [bits] * 4 + [8] * 4
    np.testing.assert_array_equal(pixels_of(table), np.concatenate([slices[:4]] * 2))
    assert list(table["group"]) == [""] * 4 + ["p0", "p1", "p2", "p3"]


def test_lossy_dicom_is_close(slices, tmp_path):
    path = write(tmp_path / "a.dcm", dicom_bytes(slices[0], JPEGBaseline8Bit))
    assert np.abs(read_slice(path).astype(int) - slices[0]).mean() < 2


def test_photometric_interpretations(slices, tmp_path):
    grey = slices[0]
    neutral = np.full_like(grey, 128)  # chroma of grey
    for name, content in {
        "black.dcm": dicom_bytes(255 - grey, photometric="MONOCHROME1"),
        "rgb.dcm": dicom_bytes(np.stack([grey] * 3, -1), photometric="RGB"),
        "ybr.dcm": dicom_bytes(np.stack([grey, neutral, neutral], -1), photometric="YBR_FULL"),
    }.items():
        np.testing.assert_array_equal(
            read_slice(write(tmp_path / name, content)), grey, err_msg=name)


def test_window_and_rescale_by_hand(tmp_path):
    stored = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    path = write(tmp_path / "a.dcm",
                 dicom_bytes(stored, bits=12, RescaleSlope=0.5, RescaleIntercept=-24,
                             WindowCenter=[1000, 40], WindowWidth=[1001, 80]))
    expected = np.clip((stored * .5 - 24 - 499.5) / 1000, 0, 1) * 255  # PS3.3, C.11.2.1.2.1
    np.testing.assert_allclose(read_slice(path), expected, atol=.51)


def test_signed_values_and_look_up_tables(tmp_path):
    stored = np.arange(-2048, 2048, dtype=np.int16).reshape(64, 64)
    path = write(tmp_path / "signed.dcm", dicom_bytes(stored, bits=16))
    np.testing.assert_allclose(read_slice(path), (stored + 2048.) / 4095 * 255, atol=.51)
    table = pydicom.Dataset()
    # 12 bits used of 16, inverted
    table.LUTDescriptor = [4096, 0, 16]
    table.LUTData = list(range(4096))[::-1]
    table["LUTDescriptor"].VR = table["LUTData"].VR = "US"
    path = write(tmp_path / "table.dcm",
                 dicom_bytes((stored + 2048).astype(np.uint16), bits=12, VOILUTSequence=[table]))
    np.testing.assert_allclose(read_slice(path), (2047. - stored) / 4095 * 255, atol=.51)


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, RLELossless, DeflatedExplicitVRLittleEndian],
    ids=lambda uid: uid.name)
def test_multiframe_dicom_comes_back(slices, tmp_path, syntax):
    deep = slices[:4].astype(np.uint16) * 16
    tags = dict(PatientID="p1", PixelSpacing=[.5, .5], WindowCenter=2040.5, WindowWidth=4081,
                ImageOrientationPatient=[0, 1, 0, 0, 0, -1])
    write(tmp_path / "glioma/multi.dcm", dicom_bytes(deep, syntax, bits=12, **tags))
    table, unreadable = read_scan_table(tmp_path, cache_folder=tmp_path.parent / "cache")
    np.testing.assert_array_equal(pixels_of(table), slices[:4])
    assert set(table["volume"]) == {str(tmp_path / "glioma/multi.dcm")} and list(
        table["frame"]) == [0, 1, 2, 3]
    facts = table[["plane", "group", "class_name", "voxel_width"]].drop_duplicates().values.tolist()
    assert facts == [["sagittal", "p1", "glioma", .5]]
    assert (len(read_scan_table(tmp_path, cache_folder=tmp_path.parent / "cache", volume_step=3)[0])
            == 2)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.float32])
@pytest.mark.parametrize("code", ["RAS", "LPS", "LAS", "RPI", "ASR", "SLP", "IPL", "PIR"])
def test_nifti_comes_back_in_every_orientation(slices, tmp_path, code, kind):
    image = nibabel.Nifti1Image(
        volume_of(slices).astype(kind), np.diag([-0.9, -0.9, 5.0, 1.0]) @ np.diag([-1.0, -1, 1, 1]))
    turned = image.as_reoriented(ornt_transform(io_orientation(image.affine), axcodes2ornt(code)))
    for suffix in (".nii", ".nii.gz"):
        write(tmp_path / f"scans/v{suffix}", nifti_bytes(turned, suffix))
        table, _ = read_scan_table(tmp_path / "scans", cache_folder=tmp_path / "cache")
        floats = stretch_to_uint8(slices, 0, np.percentile(slices, 99.9))
        np.testing.assert_array_equal(pixels_of(table), floats if kind == np.float32 else slices)
        assert table[
            ["voxel_width", "voxel_height", "plane"]
        ].drop_duplicates().values.tolist() == [[0.9, 0.9, "axial"]]
        (tmp_path / f"scans/v{suffix}").unlink()


def square(pixels: np.ndarray, height: float, width: float) -> np.ndarray:
    """Return a slice with its rows enlarged until its pixels are square."""
    rows = round(len(pixels) * height / width)
    return cv2.resize(pixels, (pixels.shape[1], rows), interpolation=cv2.INTER_LINEAR)


def test_nifti_planes_and_steps(slices, tmp_path):
    # right, anterior, superior
    volume = np.random.default_rng(0).integers(0, 256, (20, 30, 40), np.uint8)
    write(tmp_path / "scans/v.nii.gz",
          nifti_bytes(nibabel.Nifti1Image(volume, np.diag([1.0, 2, 3, 1])), ".nii.gz"))
    read = lambda **settings: read_scan_table(
        tmp_path / "scans", cache_folder=tmp_path / "cache", **settings)[0]
    expected = {"axial": [volume[::-1, ::-1, i].T for i in range(40)],
                "coronal": [volume[::-1, i, ::-1].T for i in range(30)],
                "sagittal": [volume[i, ::-1, ::-1].T for i in range(20)]}
    for plane, sizes in {"axial": (2, 1), "coronal": (3, 1), "sagittal": (3, 2)}.items():
        with pytest.warns(UserWarning, match="not square"):
            table = read(volume_plane=plane)
        squares = [square(pixels, *sizes) for pixels in expected[plane]]
        np.testing.assert_array_equal(pixels_of(table), squares)
        assert {*zip(table["voxel_height"], table["voxel_width"])} == {(sizes[1], sizes[1])}
    with pytest.warns(UserWarning, match="not square"):
        table = read(volume_step=7)
    np.testing.assert_array_equal(
        pixels_of(table), [square(pixels, 2, 1) for pixels in expected["axial"][::7]])


def test_matlab_comes_back(slices, tmp_path):
    mask = slices[0] > 128
    for i, label in enumerate((1., 2., 3.)):
        fields = dict(
            image=slices[i].astype(np.int16) * 8, mask=mask, patient=f"MR04{i}D", label=label)
        write(tmp_path / f"{i}.mat", cheng_bytes(**fields))
    table, unreadable = read_scan_table(tmp_path)
    np.testing.assert_array_equal(pixels_of(table), slices[:3])
    assert list(table["class_name"]) == ["meningioma", "glioma", "pituitary"] and list(
        table["label"]) == [1, 0, 3]
    assert list(table["group"]) == ["MR040D", "MR041D", "MR042D"]
    np.testing.assert_array_equal(read_tumour_mask(table["path"][0]), mask)


@pytest.mark.parametrize("deflated", [False, True])
def test_matlab_5_is_refused_with_what_to_do(slices, tmp_path, deflated):
    struct = dict(
        PID="MR040D", image=slices[0].astype(np.int16), label=1.0, tumorMask=slices[0] > 128)
    savemat(tmp_path / "old.mat", {"cjdata": struct}, do_compression=deflated)
    write(tmp_path / "new.mat", cheng_bytes(slices[0].astype(np.int16), slices[0] > 128))
    table, unreadable = read_scan_table(tmp_path)
    assert (len(table) == 1 and unreadable["reason"][0].startswith("MATLAB format 5: ")
            and "-v7.3" in unreadable["reason"][0])


def test_deep_pictures_come_back(slices, tmp_path):
    deep = slices[0].astype(np.uint16) * 257
    for name in ("a.png", "b.tif", "c.tiff"):
        write(tmp_path / name, image_bytes(deep, {"a": "PNG"}.get(name[0], "TIFF")))
    write(tmp_path / "d.tif", image_bytes(slices[0].astype(np.float32) / 7, "TIFF"))
    table, _ = read_scan_table(tmp_path)
    np.testing.assert_array_equal(pixels_of(table), [slices[0]] * 4)
    assert list(table["bit_depth"]) == [16, 16, 16, 32]


# Layouts and labels -------------------------------------------------------------------------------

def brats(folder: Path, slices: np.ndarray, patients=("BraTS19_A_1", "BraTS19_B_1")) -> Path:
    """Write a collection laid out as BraTS."""
    for patient in patients:
        for ending in ("flair", "t1ce", "seg"):
            image = nibabel.Nifti1Image(volume_of(slices), np.eye(4))
            write(folder / "HGG" / patient / f"{patient}_{ending}.nii.gz",
                  nifti_bytes(image, ".nii.gz"))
    return folder


def test_brats_layout(slices, tmp_path):
    table, unreadable = read_scan_table(
        brats(tmp_path / "brats", slices), cache_folder=tmp_path / "cache")
    assert len(table) == 4 * len(slices) and set(table["class_name"]) == {"glioma"}
    assert table.groupby("group")["volume"].nunique().to_dict() == {
        "BraTS19_A_1": 2, "BraTS19_B_1": 2}
    assert [Path(p).name for p in unreadable["path"]] == [
        "BraTS19_A_1_seg.nii.gz", "BraTS19_B_1_seg.nii.gz"]
    assert all(reason.startswith("segmentation: ") for reason in unreadable["reason"])
    assert list(table)[:len(SCAN_COLUMNS)] == SCAN_COLUMNS


def test_a_row_of_the_csv_speaks_for_a_volume_or_a_folder(slices, tmp_path):
    folder = brats(tmp_path / "scans", slices)
    for i in range(3):
        write(folder / f"series/IM{i}", dicom_bytes(slices[i]))
    (folder / "labels.csv").write_text(
        "path,label,patient\nHGG/BraTS19_A_1,glioma,a\n"
        "HGG/BraTS19_B_1/BraTS19_B_1_t1ce,no,b\nseries,pituitary,c\n")
    table, unreadable = read_scan_table(folder, cache_folder=tmp_path / "cache")
    n = len(slices)
    counts = table.groupby(["group", "class_name"]).size().to_dict()
    assert counts == {("a", "glioma"): 2 * n, ("b", "notumor"): n, ("c", "pituitary"): 3}
    assert sorted(unreadable["reason"].str.split(":").str[0]) == [
        "not listed", "segmentation", "segmentation"]


def test_labels_inside_files_yield_to_the_folder(slices, tmp_path):
    content = cheng_bytes(slices[0], slices[0] > 9, label=1.)
    write(tmp_path / "bare/1.mat", content)
    write(tmp_path / "sorted/glioma/1.mat", content)
    write(tmp_path / "hidden/unlabelled/1.mat", content)
    assert list(read_scan_table(tmp_path / "bare")[0]["class_name"]) == ["meningioma"]
    with pytest.warns(
        UserWarning, match=r"1 of the files are labelled otherwise inside \(meningioma\)"):
        assert list(read_scan_table(tmp_path / "sorted")[0]["class_name"]) == ["glioma"]
    assert list(read_scan_table(tmp_path / "hidden")[0]["label"]) == [-1]
    with pytest.raises(ValueError, match="inside the files must be among cat, dog; got meningioma"):
        read_scan_table(tmp_path / "bare", classes=("cat", "dog"))


def test_one_warning_per_kind_and_never_a_value(slices, tmp_path):
    # the last holds three frames and is still one file
    for i, pixels in enumerate([*slices[:4], slices[:3]]):
        write(tmp_path / f"{i}.dcm",
              dicom_bytes(pixels, PatientName="Doe^Jane", PatientID=f"77{i}",
                          BurnedInAnnotation="YES", Modality="CT" if i else "MR"))
    with pytest.warns(UserWarning) as caught:
        read_scan_table(tmp_path)
    sentences = sorted(str(w.message) for w in caught)
    assert [s.split()[0] for s in sentences] == [
        "4", "5", "5"] and "PatientName, PatientID" in sentences[1]
    assert not any("Doe" in s or "77" in s for s in sentences)


# Unpacking ----------------------------------------------------------------------------------------

def test_interrupted_unpacking_leaves_nothing(slices, tmp_path, monkeypatch):
    folder = brats(tmp_path / "scans", slices, ["p"])
    cache = tmp_path / "cache"
    def interrupt(volume, folder):
        (folder / "frame-00000.png").write_bytes(b"half")
        raise KeyboardInterrupt
    with monkeypatch.context() as patched:
        patched.setattr(unpacking, "write_unpacked", interrupt)
        with pytest.raises(KeyboardInterrupt):
            read_scan_table(folder, cache_folder=cache, workers=1)
    assert list((cache / "volumes").iterdir()) == []
    assert len(read_scan_table(folder, cache_folder=cache)[0]) == 2 * len(slices)


def test_copies_unpacked_at_once_share_one_folder(slices, tmp_path):
    content = nifti_bytes(nibabel.Nifti1Image(volume_of(slices), np.eye(4)))
    for i in range(8):
        write(tmp_path / f"scans/{i}.nii", content)
    table, _ = read_scan_table(tmp_path / "scans", cache_folder=tmp_path / "cache", workers=8)
    assert len(list((tmp_path / "cache/volumes").iterdir())) == 1
    assert (table.groupby("volume").size().tolist() == [len(slices)] * 8
            and table["group"].nunique() == 8)


def test_a_full_disk_is_no_property_of_the_files(slices, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(unpacking, "write_unpacked", full)
    with pytest.raises(OSError, match="the disk is full"):
        read_scan_table(brats(tmp_path / "scans", slices), cache_folder=tmp_path / "cache")


# Broken files -------------------------------------------------------------------------------------

def good_files(slices: np.ndarray) -> dict[str, bytes]:
    """Return one good file per format."""
    grey = slices[0]
    volume = nibabel.Nifti1Image(volume_of(slices).astype(np.int16) * 10, np.eye(4))
    return {"a.png": image_bytes(grey), "b.jpg": image_bytes(grey, "JPEG"),
            "c.tif": image_bytes(grey.astype(np.uint16), "TIFF"), "d.bmp": image_bytes(grey, "BMP"),
            "e.webp": image_bytes(grey, "WEBP"), "f.mat": cheng_bytes(grey * np.int16(5), grey > 9),
            "g.dcm": dicom_bytes(grey), "h.dcm": dicom_bytes(grey, RLELossless),
            "i.dcm": dicom_bytes(grey, DeflatedExplicitVRLittleEndian),
            "j.dcm": dicom_bytes(slices[:3]), "k": dicom_bytes(grey, JPEG2000Lossless),
            "l.nii": nifti_bytes(volume), "m.nii.gz": nifti_bytes(volume, ".nii.gz")}


def bombs() -> dict[str, tuple[bytes, str]]:
    """Return files that are small and would decode to gigabytes, with the reason each must be
    given.
    """
    def inflating_to_a_gigabyte(wbits, start=b""):
        packer = zlib.compressobj(1, wbits=wbits)
        return (packer.compress(start) + b"".join(packer.compress(bytes(2**24)) for _ in range(64))
                + packer.flush())
    deflated = dicom_bytes(np.zeros((8, 8), np.uint8), DeflatedExplicitVRLittleEndian)
    start = 144 + int.from_bytes(deflated[140:144], "little")
    header = nibabel.Nifti1Header()
    header.set_data_shape((30_000, 30_000, 3))
    small = nifti_bytes(nibabel.Nifti1Image(np.ones((9, 9, 9), np.uint8), np.eye(4)))
    with h5py.File(mat := io.BytesIO(), "w") as file:
        file.create_dataset(
            "cjdata/image", (2**20, 2**20), "i2", chunks=(2**10, 2**10), compression="gzip")
        file["cjdata/PID"], file["cjdata/label"] = np.array([[65]]), np.array([[1.]])
    savemat(five := io.BytesIO(), {"cjdata": {"image": np.zeros((10_000, 30_000), np.uint8)}},
            do_compression=True)
    wide = Image.new("L", (30_000, 9))
    wide.save(strip := io.BytesIO(), format="PNG")
    square = bytearray(image_bytes(np.zeros((9, 9), np.uint8)))
    # the size in the header, and then the header's checksum
    square[16:24] = struct.pack(">II", 30_000, 30_000)
    square[29:33] = struct.pack(">I", zlib.crc32(square[12:29]))
    rows = pydicom.dcmread(io.BytesIO(dicom_bytes(np.zeros((8, 8), np.uint8))))
    rows.Rows = rows.Columns = 65_535
    rows.save_as(claimed := io.BytesIO())
    contents = {"deflated.dcm": deflated[:start] + inflating_to_a_gigabyte(-15),
                "header.nii.gz": gzip.compress(header.binaryblock), "chunks.mat": mat.getvalue(),
                "five.mat": five.getvalue(), "wide.png": strip.getvalue(),
                "square.png": bytes(square), "claimed.dcm": claimed.getvalue(),
                "header.nii": header.binaryblock}
    tail = {
        "tail.nii.gz": (inflating_to_a_gigabyte(31, small), "cannot be decoded: more than 64 MB")}
    return {name: (content, "MATLAB format 5" if name == "five.mat" else "too large")
            for name, content in contents.items()} | tail


def mutations(
    good: dict[str, bytes],
    slices: np.ndarray,
    count: int,
) -> dict[str, tuple[bytes, str]]:
    """Return broken files by name with the reason each must be given.

    "" where a decoder may still find an image, "read" where only the name is wrong.
    """
    rng = np.random.default_rng(0)
    pixel = np.zeros((1, 1), np.uint8)
    hole = volume_of(slices).astype(np.float32)
    nothing = hole * np.nan
    broken = {
        "hole.nii": (nifti_bytes(nibabel.Nifti1Image(nothing, np.eye(4))), "values not finite"),
        "dot.png": (image_bytes(pixel), "too small"), "dot.dcm": (dicom_bytes(pixel), "too small"),
        "dot.nii": (nifti_bytes(nibabel.Nifti1Image(pixel[None], np.eye(4))), "too small"),
        "moments.nii": (nifti_bytes(nibabel.Nifti1Image(np.stack([hole] * 2, -1), np.eye(4)))[:-9],
                        "truncated"),
        "complex.nii": (nifti_bytes(nibabel.Nifti1Image(hole.astype(np.complex64), np.eye(4))),
                        "not grey"), **bombs()}
    names = list(good)
    for i in range(count - len(broken)):
        name = names[i % len(names)]
        way = i // len(names) % 5
        content = bytearray(good[name])
        suffix = slices_module.file_suffix(name)
        target = f"{i:04d}{suffix}"
        reason = ""
        if way == 0:
            content = content[:rng.integers(1, len(content) * 9 // 10)]
        elif way == 1:
            for place in rng.integers(0, len(content), rng.integers(1, 20)):
                content[place] ^= 1 << rng.integers(8)
        elif way == 2:
            # told apart by their content, whatever their name, but for Cheng's, which has no mark
            wrong = [s for s in (".png", ".dcm", ".mat", ".nii", ".nii.gz") if s != suffix]
            target = f"{i:04d}{rng.choice(wrong)}"
            reason = "" if suffix == ".mat" else "read"
        elif way == 3:
            content = b""
            target = f"{i:04d}{suffix or '.dcm'}"
            reason = "empty file"
        else:
            content = rng.bytes(rng.integers(1, 5000))
        broken[target] = (bytes(content), reason)
    return broken


SCAN = """
import json, sys, warnings
from pathlib import Path
from brainclust.data.scan_table import read_scan_table
warnings.simplefilter("ignore")
status = lambda: Path("/proc/self/status").read_text()
memory = lambda name: int(status().split(name + ":")[1].split()[0]) / 1024
if sys.platform == "linux":
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of the imports
    before = memory("VmRSS")
table, unreadable = read_scan_table(sys.argv[1], cache_folder=sys.argv[2], workers=4)
table.to_pickle(sys.argv[3]); unreadable.to_pickle(sys.argv[4])
print(json.dumps({"grown": memory("VmHWM") - before if sys.platform == "linux" else 0}))
"""


def scan_apart(folder: Path, out: Path) -> tuple[pd.DataFrame, pd.DataFrame, float]:
    """Scan in a process of its own, which can be stopped if it hangs.

    Return its two tables and the megabytes it grew by.
    """
    command = [sys.executable, "-c", SCAN, folder, out / "cache", out / "table", out / "unreadable"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return (pd.read_pickle(out / "table"), pd.read_pickle(out / "unreadable"),
            json.loads(done.stdout)["grown"])


@pytest.mark.parametrize("count", [250, pytest.param(1000, marks=pytest.mark.nightly)])
def test_broken_files(slices, tmp_path, count):
    good = good_files(slices)
    broken = mutations(good, slices, count)
    folder = tmp_path / "scans"
    for name, content in good.items():
        write(folder / "good" / name, content)
    for name, (content, _) in broken.items():
        write(folder / "broken" / name, content)
    table, unreadable, grown = scan_apart(folder, tmp_path)
    assert grown < 300  # MB; one bomb would be a thousand

    sources = table["volume"].where(table["volume"] != "", table["path"])
    read = {Path(p) for p in sources}
    refused = dict(zip(map(Path, unreadable["path"]), unreadable["reason"]))
    assert len(refused) == len(unreadable) and not read & set(refused)  # each file once
    assert read | set(refused) == {folder / "good" / n for n in good} | {
        folder / "broken" / n for n in broken}
    assert {p.name for p in read if p.parent.name == "good"} == set(good)
    strange = [reason for reason in refused.values()
               if ": " not in reason or "\n" in reason or len(reason) >= 300]
    assert not strange
    for name, (_, reason) in broken.items():
        if reason:
            assert refused.get(folder / "broken" / name, "read").startswith(reason), name
    # cut, random
    hopeless = [n for n in broken if n[:4].isdigit() and int(n[:4]) // len(good) % 5 in (0, 4)]
    assert not [name for name in hopeless if folder / "broken" / name not in refused]
    for path in table["path"]:  # what was found readable can be read again
        assert read_slice(path).ndim == 2


@pytest.fixture()
def oddities(slices, tmp_path) -> Path:
    """Make a folder of sockets, pipes and links beside one valid slice."""
    folder = tmp_path / "scans"
    write(folder / "good.png", image_bytes(slices[0]))
    os.mkfifo(folder / "pipe.png")
    os.mkfifo(folder / "pipe")
    os.mkfifo(folder / "pipe.nii.gz")
    for name in ("device.dcm", "device.nii"):
        (folder / name).symlink_to("/dev/zero")
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    (folder / "first.png").symlink_to(folder / "second.png")
    (folder / "second.png").symlink_to(folder / "first.png")
    (folder / "again").symlink_to(folder)
    with (folder / "sparse.png").open("wb") as file:
        file.truncate(MAXIMUM_SLICE_BYTES + 1)
    return folder


def test_what_is_no_file_is_not_waited_for(oddities, tmp_path, monkeypatch):
    monkeypatch.chdir(oddities)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as plug:
        plug.bind("plug.png")
        table, unreadable, _ = scan_apart(oddities, tmp_path)
    assert [Path(p).name for p in table["path"]] == ["good.png"]
    reasons = {Path(p).name: reason for p, reason in zip(unreadable["path"], unreadable["reason"])}
    assert {name: reason.split(":")[0] for name, reason in reasons.items()} == {
        **dict.fromkeys(
            ("pipe.png", "pipe.nii.gz", "device.dcm", "device.nii", "plug.png"), "not a file"),
        "pipe": "suffix not read",
        **dict.fromkeys(("gone.png", "first.png", "second.png"), "cannot be opened"),
        "sparse.png": "too large"}


def test_forbidden_files_and_folders_are_listed(slices, tmp_path, monkeypatch):
    for name in ("glioma/good.png", "glioma/forbidden.png", "glioma/forbidden.nii", "locked/a.png"):
        write(tmp_path / name, image_bytes(slices[0]))
    open_path, list_folder = Path.open, os.scandir
    def denied(path):
        raise PermissionError(13, "Permission denied", str(path))
    monkeypatch.setattr(Path, "open",
                        lambda path, *a, **k: (
                            denied(path) if "forbidden" in path.name else open_path(path, *a, **k)))
    monkeypatch.setattr(
        os, "scandir",
        lambda path: denied(path) if Path(path).name == "locked" else list_folder(path))
    table, unreadable = read_scan_table(tmp_path)
    assert [Path(p).name for p in table["path"]] == ["good.png"]
    assert {Path(p).name: r for p, r in zip(unreadable["path"], unreadable["reason"])} == {
        "forbidden.png": "cannot be opened: Permission denied",
        "forbidden.nii": "cannot be opened: Permission denied",
        "locked": "cannot be listed: the folder may not be read"}
