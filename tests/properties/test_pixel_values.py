"""Grey levels and shapes of pixels, compared with pydicom, nibabel and tifffile."""

import io
import struct
import warnings
import zlib
from pathlib import Path

import cv2
import nibabel
import numpy as np
import pydicom
import pytest
import tifffile
from hypothesis import given, strategies as st
from pydicom.pixels import set_pixel_data
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from brainclust.data.dicom import padded_pixels
from brainclust.data.dicom_attributes import pixel_spacing, positive_pair
from brainclust.data.images import (
    DecodedSlice,
    UnreadableSlice,
    blacken_air,
    constant_air,
    decode_deep_tiff,
    decode_picture,
    grey_from_deep,
    square_pixels,
    square_sides,
    stretch_to_uint8,
)
from brainclust.data.scan_files import inspect_file
from brainclust.data.slices import decode_slice, read_slice
from brainclust.data.volumes import decode_nifti, own_axis
from brainclust.imaging.preprocessing import preprocess_slice

GREY = np.random.default_rng(0).permutation(1024).reshape(32, 32).astype(np.uint16) * 4


def head_fraction(path: Path, cache: Path) -> float:
    """Return the fraction of a prepared middle slice that is head."""
    rows = inspect_file(path, cache)
    middle = rows[len(rows) // 2]
    return (preprocess_slice(read_slice(middle["path"]), 192, "none") > 20).mean()


def ball(*shape: int) -> np.ndarray:
    """Return a volume with a bright ellipsoid that fills most of it."""
    axes = np.meshgrid(*(np.linspace(-1, 1, side) for side in shape), indexing="ij")
    return np.where(sum(axis**2 for axis in axes) < 0.64, 700, 0).astype(np.int16)


def dicom(pixels: np.ndarray, photometric="MONOCHROME2", bits=12, **tags) -> bytes:
    """Return the bytes of one DICOM slice."""
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    dataset.SOPInstanceUID = generate_uid()
    dataset.Modality = "MR"
    for name, value in tags.items():
        setattr(dataset, name, value)
    set_pixel_data(dataset, pixels, photometric, bits)
    dataset.save_as(file := io.BytesIO(), enforce_file_format=True)
    return file.getvalue()


def tiff(values: np.ndarray, **options) -> bytes:
    """Return the bytes of a TIFF file."""
    tifffile.imwrite(file := io.BytesIO(), values, **options)
    return file.getvalue()


def png(values: np.ndarray, colour_type: int, *chunks: bytes) -> bytes:
    """Return the bytes of a PNG of 16 bits."""
    chunk = lambda name, data: (struct.pack(">I", len(data)) + name + data
                                + struct.pack(">I", zlib.crc32(name + data)))
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, colour_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
            + b"".join(chunk(*c) for c in chunks)
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


@pytest.mark.parametrize(("sizes", "shape"), [
    ((2, 1, 1), (60, 120, 120)), ((1, 3, 1), (120, 40, 120)), ((1.5, 0.75, 1), (80, 160, 120)),
    ((6, 1, 1), (20, 120, 120)), ((1, 5, 1), (120, 24, 120)), ((0.9, 0.9, 6), (120, 120, 20)),
    ((1, 1, 1), (20, 120, 120)),
])
@pytest.mark.parametrize("code", ["RAS", "PIR", "LSA"])
def test_a_ball_is_round_whatever_its_voxels(sizes, shape, code, tmp_path):
    """Show the same ball by voxels of any shape, in any order of axes."""
    image = nibabel.Nifti1Image(ball(*shape), np.diag([*sizes, 1]))
    turn = nibabel.orientations.ornt_transform(
        nibabel.io_orientation(image.affine), nibabel.orientations.axcodes2ornt(code))
    nibabel.save(image.as_reoriented(turn), tmp_path / "ball.nii.gz")
    fraction = head_fraction(tmp_path / "ball.nii.gz", tmp_path / "cache")
    assert fraction == pytest.approx(np.pi / 4 * 0.64, abs=0.05)


@pytest.mark.parametrize("tags", [
    {"PixelSpacing": [1, 2]}, {"ImagerPixelSpacing": [0.5, 1]}, {"PixelAspectRatio": [1, 2]},
    {"NominalScannedPixelSpacing": [0.1, 0.2]},
    {"PixelSpacing": [0, 0], "PixelAspectRatio": [3, 6]},
])
def test_a_disc_in_dicom_is_round(tags, tmp_path):
    """Resample a slice by any attribute that states the shape of its pixels."""
    disc = ball(3, 120, 120)[1].astype(np.uint16)
    (tmp_path / "disc.dcm").write_bytes(dicom(np.ascontiguousarray(disc[:, ::2]), **tags))
    assert read_slice(tmp_path / "disc.dcm").shape == (120, 120)
    fraction = head_fraction(tmp_path / "disc.dcm", tmp_path)
    assert fraction == pytest.approx(np.pi / 4 * 0.64, abs=0.02)


@pytest.mark.parametrize("spacing", [[0.5, 0.5], [0.5, 0.503], [0, 1], [-1, 2], [1, 400], None])
def test_square_and_unknown_pixels_stay(spacing):
    """Leave every grey level of a slice whose pixels are square, or of no usable size."""
    data = dicom(GREY, PixelSpacing=spacing)
    stored = pydicom.dcmread(io.BytesIO(data)).pixel_array
    np.testing.assert_array_equal(decode_slice(data, ".dcm").pixels, stretch_to_uint8(stored))


def test_square_sides_are_bounded():
    """Keep the field's shape, and a length that memory can hold."""
    assert square_sides(100, 200, 1) == (100, 200)
    assert square_sides(100, 200, 2.5) == (250, 200)
    assert square_sides(100, 200, 0.5) == (100, 400)
    assert max(square_sides(8192, 8192, 30)) == 8192


def test_a_volume_cut_in_its_own_plane_equals_nibabel(tmp_path):
    """Cut thick coronal slices as they are stored, and name the plane."""
    stored = np.random.default_rng(0).integers(0, 256, (40, 9, 50), np.uint8)
    nibabel.save(nibabel.Nifti1Image(stored, np.diag([1, 7, 1, 1])), tmp_path / "v.nii")
    volume = decode_nifti(tmp_path / "v.nii", "axial")
    loaded = np.asanyarray(nibabel.load(tmp_path / "v.nii").dataobj)
    for i, pixels in enumerate(volume.slices):
        np.testing.assert_array_equal(pixels, loaded[::-1, i, ::-1].T)
    assert volume.facts[0]["notes"] == ("own plane: coronal",)
    assert own_axis((40, 50, 60), (1, 1, 1)) is None
    assert own_axis((40, 50, 60), (3.1, 1, 1)) == 0
    assert own_axis((400, 500, 60), (1, 1, 1)) == 2


COLOUR = np.stack([GREY] * 3, -1)
DEEP = {
    "png rgb": (png(COLOUR, 2), GREY),
    "png grey and alpha": (png(np.dstack([GREY, GREY * 0 + 65535]), 4), GREY),
    "png rgba": (png(np.dstack([COLOUR, GREY * 0 + 65535]), 6), GREY),
    "rgb": (tiff(COLOUR, photometric="rgb"), GREY),
    "big endian": (tiff(COLOUR, photometric="rgb", byteorder=">"), GREY),
    "bigtiff": (tiff(COLOUR, photometric="rgb", bigtiff=True), GREY),
    "tiles": (tiff(COLOUR, photometric="rgb", tile=(16, 16)), GREY),
    "lzw": (cv2.imencode(".tif", COLOUR)[1].tobytes(), GREY),
    "planar": (tiff(np.moveaxis(COLOUR, 2, 0).copy(), photometric="rgb", planarconfig="separate"),
               GREY),
    "rgba": (tiff(np.dstack([COLOUR, GREY * 0 + 65535]), photometric="rgb",
                  extrasamples=["unassalpha"]), GREY),
    "white is 0": (tiff(4092 - GREY, photometric="miniswhite"), GREY),
    "white is 0, floats": (tiff(np.float32(4092) - GREY, photometric="miniswhite"), GREY),
    "int8": (tiff((GREY // 16 - 128).astype(np.int8)), GREY // 16),
    "int16": (tiff((GREY - 2000.).astype(np.int16)), GREY),
    "uint32": (tiff(GREY.astype(np.uint32) << 20), GREY),
    "int64": (tiff(GREY.astype(np.int64) - 9), GREY),
    "float16": (tiff(GREY.astype(np.float16)), GREY.astype(np.float16)),
    "float64": (tiff(GREY / 7), GREY),
    "float rgb": (tiff((COLOUR / 4092).astype(np.float32), photometric="rgb"), GREY),
    "float planar": (tiff(np.moveaxis(COLOUR, 2, 0) / 4092, photometric="rgb",
                          planarconfig="separate"), GREY),
}


@pytest.mark.parametrize("name", DEEP)
def test_deep_pictures_keep_their_depth(name):
    """Decode deep grey and colour to the stretch of its exact values."""
    data, expected = DEEP[name]
    decoded = decode_picture(data)
    assert np.abs(decoded.pixels.astype(int) - stretch_to_uint8(expected)).max() <= (
        "float" in name)
    assert decoded.facts["bit_depth"] in (8, 16, 32, 64)
    if "png" not in name:
        np.testing.assert_array_equal(decode_deep_tiff(data).pixels, decoded.pixels)


@pytest.mark.parametrize(("values", "options", "reason"), [
    (GREY.astype(np.complex64), {}, "not grey"),
    (np.stack([GREY] * 6, -1), {"photometric": "minisblack", "planarconfig": "contig"},
     "colours not read"),
    (np.stack([GREY] * 4, -1), {"photometric": "separated"}, "colours not read"),
    (np.stack([GREY / 3] * 4), {"photometric": "minisblack"}, "several pages"),
    (np.stack([GREY.astype(np.float16)] * 2), {"photometric": "minisblack"}, "several pages"),
    (np.zeros((4, 4)), {}, "too small"), (np.full((9, 9), np.nan), {}, "values not finite"),
])
def test_what_no_decoder_reads_is_named(values, options, reason):
    """Refuse deep pictures that are not one grey or colour image."""
    with pytest.raises(UnreadableSlice, match=reason):
        decode_picture(tiff(values, **options))


def test_deep_luminance_and_transparency_by_hand():
    """Weigh red, green and blue, and lay transparent pixels on black."""
    pure = np.zeros((2, 2, 3), np.uint16)
    pure[0, 0] = 1000
    pure[0, 1, 0] = pure[1, 0, 1] = 1000
    np.testing.assert_array_equal(grey_from_deep(pure), [[255, 76], [150, 0]])
    opacity = np.array([[1, .5], [0, 1]])
    shown = grey_from_deep(np.full((2, 2), 1000, np.uint16), opacity)
    np.testing.assert_array_equal(shown, [[255, 128], [0, 255]])
    np.testing.assert_array_equal(grey_from_deep(pure[..., 0], inverted=True), [[0, 0], [255, 255]])


@pytest.mark.parametrize("tags", [
    {"PixelPaddingValue": 4095}, {"PixelPaddingValue": 4095, "PixelPaddingRangeLimit": 4000},
    {"PixelPaddingValue": 4095, "RescaleSlope": 2, "RescaleIntercept": -5},
    {"PixelPaddingValue": 4095, "WindowCenter": 2000, "WindowWidth": 9000},
    {"PixelPaddingValue": 4095, "RescaleSlope": -1, "RescaleIntercept": 4095},
])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_the_darkest_grey(tags, photometric):
    """Show padding no brighter than the darkest tissue, in either photometric interpretation."""
    stored = (GREY // 2 + 500).astype(np.uint16)
    stored[:, :5] = 4095
    shown = decode_slice(dicom(stored, photometric, **tags), ".dcm").pixels
    assert shown[:, :5].max() <= shown[:, 5:].min()
    assert "WindowCenter" in tags or shown.max() == 255


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int16])
@pytest.mark.parametrize("scale", ["inside", "everywhere", "undershot", "hot", "unit"])
def test_air_of_normalised_volumes_is_black(scale, kind, tmp_path):
    """Show air as black, however the head was normalised."""
    head = ball(40, 40, 40) > 0
    tissue = np.random.default_rng(0).normal(size=head.shape)
    values = {"inside": np.where(head, tissue, 0), "everywhere": np.where(head, tissue + 4, -1),
              "undershot": np.where(head, tissue / 4 + 2, 0), "hot": np.where(head, tissue + 4, -1),
              "unit": np.where(head, np.tanh(tissue) / 2 + .5, -1)}[scale]
    if scale == "undershot":
        values[20, 20, 2:5] = -1
    if scale == "hot":
        values = values + np.random.default_rng(1).normal(0, .1, head.shape)
        values[20, 20, 20] = -30
    stored = (values * 1000).astype(kind)
    nibabel.save(nibabel.Nifti1Image(stored, np.eye(4)), tmp_path / "v.nii")
    slices = decode_nifti(tmp_path / "v.nii").slices
    assert np.median(slices[:, 0]) <= 20
    assert np.median(slices[20, 15:25, 15:25]) > 60


def test_ordinary_values_are_left_alone():
    """Return unsigned values, and signed values whose air is the minimum, as they are."""
    for values in (GREY, GREY.astype(np.int16) - 5, GREY / 4092, GREY - 9.):
        found, low = blacken_air(values)
        assert found is values
        assert low is None
    assert constant_air(GREY) is None
    assert constant_air(np.pad(GREY, 2, constant_values=7)) == 7
    assert constant_air(np.zeros((1, 1))) is None


def test_notes_name_what_was_done(tmp_path):
    """Tell the user of squares, and of a size that was not believed."""
    notes = [decode_slice(dicom(GREY, PixelSpacing=s), ".dcm").facts["notes"]
             for s in ([2, 1], [1, 400], [1, 1])]
    assert notes == [("pixels not square: 1 x 2 mm",), ("pixel size not believed: 400 x 1 mm",), ()]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nibabel.save(nibabel.Nifti1Image(ball(30, 30, 30), np.eye(4)), tmp_path / "v.nii.gz")
        assert inspect_file(tmp_path / "v.nii.gz", tmp_path)[0]["notes"] == []


numbers = st.one_of(st.none(), st.floats(), st.integers(-5, 5), st.text(max_size=3))


@given(pair=st.one_of(numbers, st.lists(numbers, max_size=3)))
def test_any_pair_is_positive_or_unknown(pair):
    """Read two positive numbers, or none."""
    first, second = positive_pair(pair)
    assert (first > 0 and second > 0) or (np.isnan(first) and np.isnan(second))
    dataset = pydicom.Dataset()
    assert np.isnan(pixel_spacing(dataset)).all()


@given(height=st.floats(1e-9, 1e9), width=st.floats(1e-9, 1e9), rows=st.integers(8, 99),
       columns=st.integers(8, 99))
def test_squares_cover_the_same_field(height, width, rows, columns):
    """Keep the field of view, or leave the slice as it is."""
    stored = DecodedSlice(np.zeros((rows, columns), np.uint8), "L",
                          {"voxel_height": height, "voxel_width": width})
    squared = square_pixels(stored)
    if squared.pixels is stored.pixels: return
    side = squared.facts["voxel_height"]
    assert side == squared.facts["voxel_width"]
    found = np.array(squared.pixels.shape) * side
    np.testing.assert_allclose(found, [rows * height, columns * width], rtol=.07)


@given(padding=st.integers(-40_000, 70_000), limit=st.one_of(st.none(), st.integers(-9, 9)))
def test_padding_is_found_or_absent(padding, limit):
    """Mark some pixels, never all, whatever the padding."""
    dataset = pydicom.Dataset()
    dataset.add_new(0x00280120, "SL", padding)
    dataset.add_new(0x00280121, "SL", limit)
    for kind in (np.int16, np.uint16, np.uint8):
        stored = np.arange(100).astype(kind).reshape(10, 10)
        outside = padded_pixels(stored, dataset)
        assert outside is None or 0 < outside.sum() < 100
        assert padded_pixels(np.zeros((3, 3), kind), dataset) is None
