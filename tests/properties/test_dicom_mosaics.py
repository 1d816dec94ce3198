"""Properties of brainclust.data.dicom_mosaics: a mosaic is a volume."""
import numpy as np
import pydicom
import pytest
from hypothesis import given, strategies as st
from test_formats import dicom_bytes, write

from brainclust.data import dicom, dicom_mosaics, volumes
from brainclust.data.images import UnreadableSlice, VolumeFile
from brainclust.data.scan_files import inspect_file

MOSAIC = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]


def heads(count: int, size: int = 24, seed: int = 0) -> np.ndarray:
    """Return slices (N, size, size) with air at their borders."""
    rng = np.random.default_rng(seed)
    inside = np.hypot(*np.mgrid[-1:1:size * 1j, -1:1:size * 1j]) < .8
    return np.stack([inside * rng.integers(300, 1500, inside.shape) for _ in range(count)]
                    ).astype(np.uint16)


def mosaic_of(slices: np.ndarray) -> np.ndarray:
    """Return the smallest square grid that holds the slices."""
    side = int(np.ceil(np.sqrt(len(slices))))
    size = slices.shape[1]
    tiles = np.zeros((side * side, size, size), np.uint16)
    tiles[:len(slices)] = slices
    return tiles.reshape(side, side, size, size).swapaxes(1, 2).reshape(side * size, side * size)


@given(count=st.integers(2, 40), stated=st.booleans(), seed=st.integers(0, 9))
def test_the_slices_of_a_mosaic_come_back(count, stated, seed):
    """Take a mosaic apart, with and without the number of its slices."""
    slices = heads(count, seed=seed)
    picture = mosaic_of(slices)
    found = dicom_mosaics.mosaic_tiles(picture, count if stated else 0)
    assert np.array_equal(found, slices)
    assert dicom_mosaics.grid_side(picture) == int(np.ceil(np.sqrt(count)))


@pytest.mark.parametrize("count", [3, 16, 20])
@pytest.mark.parametrize("suffix", [".dcm", ".IMA", ""])
def test_a_file_of_a_mosaic_is_a_volume(tmp_path, count, suffix):
    """Read each slice of a mosaic as a slice of one volume."""
    data = dicom_bytes(mosaic_of(heads(count)), bits=12, ImageType=MOSAIC, PatientID="p")
    with pytest.raises(VolumeFile):
        dicom.decode_dicom(data)
    path = write(tmp_path / f"mosaic{suffix}", data)
    facts = inspect_file(path, tmp_path / "cache")
    assert [(f["width"], f["height"], f["patient"]) for f in facts] == [(24, 24, "p")] * count
    assert [f["frame"] for f in facts] == list(range(count))
    every_second = volumes.decode_mosaic(dicom.parse_dicom(data), step=2)
    assert list(every_second.frames) == list(range(0, count, 2))


def test_the_number_is_read_wherever_it_stands():
    """Find the number in the private attribute or in the scanner's own header."""
    value = b"\x03\0\0\0\x03\0\0\0M\0\0\0\x03\0\0\0" + b"48 \0"
    header = b"SV10" + bytes(40) + b"NumberOfImagesInMosaic".ljust(64, b"\0")
    header += b"\x01\0\0\0US\0\0" + bytes(12) + value
    assert dicom_mosaics.header_count(header) == 48
    dataset = pydicom.Dataset()
    dataset.ImageType = MOSAIC
    assert dicom_mosaics.is_mosaic(dataset)
    assert dicom_mosaics.mosaic_count(dataset) == 0
    dataset.add_new((0x0029, 0x1010), "OB", header)
    assert dicom_mosaics.mosaic_count(dataset) == 48
    dataset.add_new((0x0019, 0x100A), "US", 30)
    assert dicom_mosaics.mosaic_count(dataset) == 30
    dataset.add_new((0x0019, 0x100A), "UN", b"\x1f\0")  # as implicit files keep it
    assert dicom_mosaics.mosaic_count(dataset) == 31


@pytest.mark.parametrize("rows", [24, 40])
def test_a_slice_of_a_mosaic_is_a_slice(rows):
    """Read a slice that a converter cut from a mosaic, which still calls itself one."""
    data = dicom_bytes(
        heads(1, rows)[0], bits=12, ImageType=MOSAIC, AcquisitionMatrix=[24, 0, 0, 24])
    assert dicom.decode_dicom(data).pixels.shape == (rows, rows)


@pytest.mark.parametrize(("count", "reason"), [(0, "no dark seams"), (48, "does not divide")])
def test_a_mosaic_without_a_grid_is_refused(count, reason):
    """Refuse a mosaic whose grid is unknown, by the name of the attribute."""
    bright = np.random.default_rng(0).integers(900, 1500, (96, 96))
    with pytest.raises(UnreadableSlice, match=f"NumberOfImagesInMosaic.*{reason}"):
        dicom_mosaics.mosaic_tiles(bright, count)
