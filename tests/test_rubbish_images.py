"""Rubbish in files, slices, tables and audits: the documented result comes back, or a sentence."""
import io
import json
import sys
import tempfile
import zlib
from functools import cache
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pydicom
import pytest
import torch
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp
from PIL import EpsImagePlugin, Image

from brainclust.analysis import label_errors, shortcuts
from brainclust.app import collection
from brainclust.core import runtime
from brainclust.data import (
    audit, audit_report, cheng, cleaning, dicom, duplicates, images as images_module, labels as
    labels_module, scan_table, slices as slices_module, splits as splits_module, volumes)
from brainclust.imaging import (
    augmentation, brain_mask, masks, plane as plane_module, preprocessing, quality,
    skull_stripping, slice_cache, transforms)
from brainclust.synthetic import (
    anatomy as anatomy_module, phantoms, randomisation, rendering, training_phantoms, tumours)
from brainclust.core.config import CLASSES
from brainclust.core.files import save_table
from rubbish import (LAYOUTS, answer, at_most, no_pictures, pictures, points, scan_tables, seeds,
                     sentence, stacks, survives, untidy)
from test_formats import cheng_bytes, dicom_bytes, image_bytes, nifti_bytes

pytestmark = [pytest.mark.filterwarnings("ignore::UserWarning:pydicom"),
              pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")]
REFUSED = (ValueError, TypeError)
SLOW = settings(max_examples=settings().max_examples // 3)


def unlike(function, image, **named) -> None:
    """The same picture in every layout gives the same result."""
    expected = function(np.ascontiguousarray(image), **named)
    for how in LAYOUTS:
        np.testing.assert_equal(function(untidy(image, how), **named), expected, err_msg=how)


def grown() -> float:
    """Megabytes of memory at the highest since the last call; 0 where Linux does not say."""
    if sys.platform != "linux": return 0.
    of = lambda name: (
        int(Path("/proc/self/status").read_text().split(name + ":")[1].split()[0]) / 1024)
    high = of("VmHWM")
    Path("/proc/self/clear_refs").write_text("5")
    return high - of("VmRSS")


# Files --------------------------------------------------------------------------------------------

@cache
def small_files() -> dict[str, bytes]:
    """One small file per format and way of compression."""
    rng = np.random.default_rng(0)
    grey = (np.add.outer(np.arange(16), np.arange(12)) * 9 + rng.integers(0, 9, (16, 12))).astype(
        np.uint8)
    volume = nibabel.Nifti1Image(np.stack([grey.astype(np.int16) * 10] * 9), np.diag([1, 2, 3, 1.]))
    from pydicom.uid import (DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit,
                             RLELossless)
    tags = dict(PatientID="p1", PixelSpacing=[0.5, 0.5], WindowCenter=100, WindowWidth=200,
                RescaleSlope=2, RescaleIntercept=1)
    return {
        ".png": image_bytes(grey), "palette.png": image_bytes(grey, bits=4),
        "rgb.png": image_bytes(np.stack([grey] * 3, -1)), ".jpg": image_bytes(grey, "JPEG"),
        ".bmp": image_bytes(grey, "BMP"), ".webp": image_bytes(grey, "WEBP"),
        ".tif": image_bytes(grey, "TIFF"),
        "deep.tif": image_bytes(grey.astype(np.uint16), "TIFF", compression="tiff_lzw"),
        "float.tif": image_bytes(grey.astype(np.float32), "TIFF", compression="tiff_adobe_deflate"),
        ".mat": cheng_bytes(grey * np.int16(5), grey > 60),
        ".dcm": dicom_bytes(grey.astype(np.uint16), bits=12, **tags),
        "deflated.dcm": dicom_bytes(grey, DeflatedExplicitVRLittleEndian),
        "rle.dcm": dicom_bytes(grey, RLELossless), "j2k.dcm": dicom_bytes(grey, JPEG2000Lossless),
        "jpeg.dcm": dicom_bytes(grey, JPEGBaseline8Bit),
        "frames.dcm": dicom_bytes(np.stack([grey] * 3)), ".nii": nifti_bytes(volume),
        ".nii.gz": nifti_bytes(volume, ".nii.gz")}


@st.composite
def damage(draw, content: bytes) -> bytes:
    """Bytes flipped, overwritten, cut out, doubled, put in or cut off.

    Mostly near the beginning, where headers are.
    """
    broken = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        end = draw(st.sampled_from([40, 400, len(content)]))
        place = draw(st.integers(0, max(0, min(end, len(broken)) - 1)))
        kind = draw(
            st.sampled_from(
                ["flip", "flip", "value", "word", "cut out", "double", "put in", "cut off"]))
        if kind == "flip" and broken:
            broken[place] ^= 1 << draw(st.integers(0, 7))
        if kind == "value" and broken:
            broken[place] = draw(st.sampled_from([0, 1, 127, 128, 255]))
        if kind == "word":
            broken[place : place + 4] = draw(
                st.sampled_from([b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f"]))
        if kind == "cut out":
            del broken[place:place + draw(st.integers(1, 64))]
        if kind == "double":
            broken[place:place] = broken[place:place + draw(st.integers(1, 64))]
        if kind == "put in":
            broken[place:place] = draw(st.binary(min_size=1, max_size=16))
        if kind == "cut off":
            del broken[place + 1:]
    return bytes(broken)


def whole_slice(pixels: np.ndarray, facts: dict) -> None:
    """Pixels are a slice, and what the file says can be written down."""
    assert (pixels.dtype == np.uint8 and pixels.ndim == 2 and 8 <= min(pixels.shape)
            and max(pixels.shape) <= 8192)
    assert set(facts) <= {"bit_depth", "voxel_height", "voxel_width", "plane", "patient",
                          "class_name", "notes"}
    json.dumps(facts, ensure_ascii=False).encode()


@pytest.mark.parametrize("name", list(small_files()))
@given(draw=st.data())
def test_damaged_bytes_give_pixels_or_a_reason(name, draw, tmp_path):
    content, suffix = (draw.draw(damage(small_files()[name])),
                       slices_module.file_suffix(name if name[0] != "." else f"a{name}"))
    file = tmp_path / f"a{suffix}"
    file.write_bytes(content)
    grown()
    with at_most(), runtime.quiet_libraries():
        try:
            if suffix in slices_module.VOLUME_SUFFIXES or name == "frames.dcm":
                with slices_module.reasons_for_failures():
                    volume = (volumes.decode_nifti(file) if suffix in slices_module.VOLUME_SUFFIXES
                              else volumes.decode_multiframe(file))
                assert len(volume.slices) == len(volume.frames) == len(volume.facts)
                for pixels, facts in zip(volume.slices[:3], volume.facts):
                    whole_slice(pixels, facts)
            else:
                decoded = slices_module.decode_slice(content, suffix)
                whole_slice(decoded.pixels, decoded.facts)
        except images_module.UnreadableSlice as error:
            assert ": " in sentence(error), error
    assert grown() < 400
    with runtime.quiet_libraries():
        facts = scan_table.inspect_file(file, tmp_path / "cache")[0]
    assert "reason" in facts or facts["sha256"]


@given(draw=st.data(),
       name=st.sampled_from(["decode_picture", "decode_cheng", "decode_dicom", "load_cheng",
                             "parse_dicom", "parse_deflated", "inflate"]))
def test_decoders_take_any_bytes(draw, name):
    content = draw.draw(
        st.binary(max_size=600) | st.sampled_from(list(small_files().values())).flatmap(damage))
    function = {"decode_picture": images_module.decode_picture, "decode_cheng": cheng.decode_cheng,
                "decode_dicom": dicom.decode_dicom,
                "load_cheng": lambda b: cheng.load_cheng(b, ["image"]),
                "parse_dicom": dicom.parse_dicom, "parse_deflated": dicom.parse_deflated,
                "inflate": lambda b: dicom.inflate(b, 10**6)}[name]
    with at_most(), runtime.quiet_libraries():
        try:
            with slices_module.reasons_for_failures():
                function(content)
        except images_module.UnreadableSlice as error:
            sentence(error)


def test_a_preamble_is_not_taken_for_a_picture(tmp_path, monkeypatch):
    def interpreter(*_, **__):
        raise AssertionError("the interpreter was called")
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", interpreter)
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n%%EndComments\nshowpage\n"
    colour = dicom_bytes(np.full((20, 20, 3), 90, np.uint8), photometric="RGB")
    # the preamble of a DICOM file is anybody's
    (tmp_path / "a.dcm").write_bytes(postscript.ljust(128)[:128] + colour[128:])
    data = audit_report.picture_data(str(tmp_path / "a.dcm"), "RGB")
    assert data.startswith("data:image/jpeg;base64,")


@given(images=stacks(side=32), ruin=st.sampled_from(["nothing", "a slice", "the list", "all"]),
       content=st.binary(max_size=9))
def test_unpacked_volumes_come_back_or_are_unpacked_again(images, ruin, content, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unpacked")
    volume = volumes.DecodedVolume(
        images[:, 0], range(len(images)), "uint8", [{"plane": "axial"}] * len(images))
    shown = ~volumes.empty_slices(volume.slices)
    written = answer(lambda: volumes.write_unpacked(volume, folder) or True,
                     refuses=(images_module.UnreadableSlice,))
    if written is None:
        assert not shown.any()
        return
    files = sorted(folder.iterdir())
    if ruin == "a slice":
        files[0].write_bytes(content)
    if ruin == "the list":
        (folder / "slices.json").write_bytes(content)
    if ruin == "all":
        [file.unlink() for file in files]
    found = volumes.read_unpacked(folder)
    assert (found is None) == (ruin != "nothing")
    if found is None: return
    assert [fact["frame"] for fact in found] == list(np.flatnonzero(shown))
    for fact, pixels in zip(found, volume.slices[shown]):
        np.testing.assert_array_equal(slices_module.read_slice(fact["path"]), pixels)


@pytest.mark.parametrize("patient", ["", "\ud800", "a\nb", "骨", "x" * 300])
def test_patients_of_matlab_files_can_be_written_down(patient):
    content = cheng_bytes(
        np.arange(400, dtype=np.int16).reshape(20, 20), np.zeros((20, 20)), patient or "0")
    decoded = answer(slices_module.decode_slice, content, ".mat",
                     refuses=(images_module.UnreadableSlice,))
    assert (decoded is None) == (len(patient) > 256 or not patient.isprintable())
    if decoded is not None:
        decoded.facts["patient"].encode()


@given(image=pictures(smallest=8), stored=st.sampled_from(["0 and 1", "black and white"]),
       wrong=st.booleans())
def test_masks(image, stored, wrong, tmp_path):
    truth = image > 127
    (tmp_path / "images").mkdir(exist_ok=True), (tmp_path / "masks").mkdir(exist_ok=True)
    Image.fromarray(truth.astype(np.uint8) * (1 if stored == "0 and 1" else 255)).save(
        tmp_path / "masks/a.png")
    path, shape = (slices_module.mask_path(tmp_path / "images/a.jpg"),
                   (image.shape[0] + wrong, image.shape[1]))
    mask = answer(slices_module.read_mask, path, shape, refuses=(images_module.UnreadableSlice,))
    assert (mask is None) == wrong
    if not wrong:
        np.testing.assert_array_equal(mask, truth)
    squares = preprocessing.prepare_masks([path, "", path], 16, 1)
    assert squares.shape == (3, 16, 16) and squares.dtype == bool and not squares[1].any()
    np.testing.assert_array_equal(squares[0], preprocessing.prepare_mask(path, 16))
    assert preprocessing.prepare_masks([], 16).shape == (0, 16, 16)
    if truth.all() or not truth.any():
        height, width = truth.shape
        # a line may vanish
        assert squares[0].any() == truth.any() or min(height, width) * 16 < max(height, width)


@pytest.mark.parametrize("content", [b"", b"text", b"\x89HDF\r\n\x1a\n" + bytes(90)])
def test_a_mask_that_cannot_be_read_is_named(content, tmp_path):
    (tmp_path / "7.mat").write_bytes(content)
    for function in (slices_module.read_tumour_mask, slices_module.read_mask):
        for name in ("7.mat", "gone.mat"):
            with pytest.raises(images_module.UnreadableSlice, match=name) as error:
                function(tmp_path / name)
            sentence(error.value)


# Greys --------------------------------------------------------------------------------------------

NUMBERS = st.sampled_from(
    [np.uint8, np.int8, np.int16, np.uint16, np.int64, np.uint64, np.float16, np.float32,
     np.float64])

@given(draw=st.data())
def test_stretching_any_numbers(draw):
    values = draw.draw(hnp.arrays(draw.draw(NUMBERS), hnp.array_shapes(max_dims=3, max_side=9)))
    values = untidy(values, draw.draw(st.sampled_from(LAYOUTS)))
    before = values.copy()
    stretched = answer(images_module.stretch_to_uint8, values,
                       refuses=(images_module.UnreadableSlice,))
    np.testing.assert_array_equal(values, before)
    with np.errstate(over="ignore"):
        span = float(values.max()) - float(values.min())
    assert (stretched is None) == (not np.isfinite(span))
    if stretched is None: return
    assert stretched.dtype == np.uint8 and stretched.shape == values.shape
    if span > 1e-300:
        assert stretched.min() == 0 and stretched.max() == 255
    elif span == 0:
        assert not stretched.any()
    order = np.argsort(values.ravel(), kind="stable")
    assert (np.diff(stretched.ravel()[order].astype(int)) >= 0).all()
    low, high = dicom.volume_limits(values)
    assert low == float(values.min()) and low <= high <= float(values.max())
    with_limits = images_module.stretch_to_uint8(values, low, high)
    assert with_limits.shape == values.shape and with_limits.dtype == np.uint8
    frames = dicom.show_frames(list(np.atleast_3d(values)), inverted=draw.draw(st.booleans()))
    assert all(frame.dtype == np.uint8 for frame in frames)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.float16])
def test_limits_of_a_range_wider_than_half_of_its_type(dtype):
    limits = np.finfo(dtype) if dtype is np.float16 else np.iinfo(dtype)
    values = np.array([limits.min, limits.max], dtype)
    low, high = dicom.volume_limits(values)
    assert low == float(limits.min) < 0 < high <= float(limits.max)
    assert high == pytest.approx(np.percentile(values.astype(np.float64), 99.9))


@given(mode=st.sampled_from(["1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I", "F",
                             "LA", "PA", "RGBX", "RGBa", "La", "I;16", "I;16B", "I;16L"]),
       width=st.integers(1, 9), height=st.integers(1, 9), seed=seeds())
def test_pictures_of_every_mode(mode, width, height, seed):
    bands = {"RGB": 3, "RGBA": 4, "CMYK": 4, "YCbCr": 3, "LAB": 3, "HSV": 3, "I": 4, "F": 4,
             "LA": 2, "PA": 2, "RGBX": 4, "RGBa": 4, "La": 2}
    size = 2 if mode.startswith("I;") else bands.get(mode, 1)
    raw = np.random.default_rng(seed).integers(0, 256, (height, width, size)).astype(np.uint8)
    if mode == "F":
        raw = raw[..., 0].astype(np.float32)
    if mode == "I":
        raw = raw[..., 0].astype(np.int32)
    if mode == "1":
        raw = np.packbits(raw[..., 0] > 127, axis=1)
    grey = images_module.grey_from_picture(Image.frombytes(mode, (width, height), raw.tobytes()))
    assert grey.shape == (height, width) and grey.dtype == np.uint8


FLOATS = hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9))

@given(image=pictures() | FLOATS | hnp.arrays(np.int16, (5, 4)),
       centre=st.none() | st.floats() | st.integers(-9999, 9999),
       width=st.none() | st.floats() | st.integers(-9, 9999),
       slope=st.sampled_from([None, 1, 2, -1, 1e300]), padding=st.sampled_from([None, 0, 255, -3]))
def test_frames_through_any_window(image, centre, width, slope, padding):
    attributes = pydicom.Dataset()
    attributes.PhotometricInterpretation, attributes.BitsStored, attributes.PixelRepresentation = (
        "MONOCHROME2", 8, 0)
    plain = lambda number: None if number is None else f"{number:.6g}"[:16]
    attributes.WindowCenter, attributes.WindowWidth = plain(centre), plain(width)
    if slope is not None:
        attributes.RescaleSlope, attributes.RescaleIntercept = slope, 0
    if padding is not None:
        attributes.add_new("PixelPaddingValue", "SS", padding)
    with np.errstate(all="ignore"):
        shown = survives(dicom.render_frame, image, attributes)
        window = survives(dicom.apply_window, image, attributes)
    if isinstance(shown, np.ndarray):
        assert shown.shape == image.shape
    if isinstance(window, np.ndarray):
        assert window.shape == image.shape and window.dtype == np.uint8


@given(image=stacks(), index=st.integers(-2, 9), plane=st.sampled_from(dicom.PLANES))
def test_slices_of_volumes(image, index, plane):
    volume, axis = image[:, 0], dicom.PLANES.index(plane)
    if 0 <= index < volume.shape[axis]:
        cut = volumes.cut_slice(volume, plane, index)
        np.testing.assert_array_equal(cut, np.take(volume, index, axis)[::-1, ::-1].T)
    else:
        survives(volumes.cut_slice, volume, plane, index)
    empty = volumes.empty_slices(volume)
    assert empty.shape == (len(volume),) and empty.dtype == bool
    if volume.max() == 0:
        assert empty.all()


@given(orientation=st.none() | st.text(max_size=6)
       | st.lists(st.floats() | st.integers(-1, 1), max_size=8))
def test_planes_of_any_direction(orientation):
    with np.errstate(all="ignore"):
        assert dicom.plane_of(orientation) in ("", "oblique", *dicom.PLANES)


# Names and rows -----------------------------------------------------------------------------------

MANY = tuple(f"class{i}" for i in range(10_000))

def test_ten_thousand_classes_are_read_in_seconds(tmp_path):
    with at_most(120):
        files = [Path(f"Training/{name}/a.png") for name in MANY]
        rows = labels_module.labels_from_tree(files, MANY, tmp_path)
        assert list(rows["class_name"]) == list(MANY)
        (tmp_path / "labels.csv").write_text(
            "file,label\n" + "".join(f"{name}.png,{name}\n" for name in MANY))
        rows = labels_module.labels_from_csv([Path(f"{name}.png") for name in MANY], MANY, tmp_path)
        assert list(rows["class_name"]) == list(MANY) and rows["file"].nunique() == 10_000
        with pytest.raises(ValueError, match="knee") as error:
            labels_module.labels_from_tree([*files, Path("Training/knee/a.png")], MANY, tmp_path)
        sentence(error.value)
    Image.fromarray(np.eye(9, dtype=np.uint8) * 255).save(tmp_path / "class7.png")
    (tmp_path / "labels.csv").write_text("file,label\nclass7.png,class9999\n")
    table, _ = scan_table.read_scan_table(tmp_path, MANY, cache_folder=tmp_path / "cache")
    assert list(table["label"]) == [9999]


SCRIPTS = st.sampled_from(["глиома", "骨", "a_b", "A b", "tumour", "-1", "?"])

@given(names=st.lists(st.text(min_size=1, max_size=6) | SCRIPTS, min_size=2, max_size=4,
                      unique=True))
def test_classes_of_any_script_stay_apart(names):
    told = answer(lambda: [labels_module.normalise_class_name(name, names) for name in names],
                  refuses=(ValueError,))
    if told is not None:
        assert told == names
    else:
        assert (len({labels_module.squash_name(n) for n in names} | {""}) <= len(names)
                or {"-1", "-1.0"} & {n.strip() for n in names})
    assert (labels_module.normalise_class_name("", CLASSES) == ""
            and labels_module.normalise_class_name("кот") is None)


@given(header=st.lists(st.sampled_from(["path", "file", "id", "label", "Label", " label ", "split",
                                        "patient", "sha256", "", "a"]), max_size=5),
       rows=st.lists(st.lists(st.sampled_from(["a", "a.png", "glioma", "train", "", '"', "\x00",
                                               "é", "1,2", "=1+1", "\n"]), max_size=6), max_size=4),
       raw=st.none() | st.binary(max_size=60))
def test_any_label_file(header, rows, raw, tmp_path):
    text = "\n".join([",".join(header), *map(",".join, rows)])
    (tmp_path / "labels.csv").write_bytes(raw if raw is not None else text.encode())
    (tmp_path / "a.png").write_bytes(small_files()[".png"])
    found = answer(labels_module.read_csv_rows, tmp_path / "labels.csv", refuses=(ValueError,))
    if found is not None:
        assert {"file", "label"} <= set(found) and found.columns.is_unique and len(found)
    table = answer(
        labels_module.labels_from_csv, [Path("a.png")], CLASSES, tmp_path, refuses=(ValueError,))
    if table is not None:
        assert set(table["class_name"]) <= {*CLASSES, ""} and set(table["split"]) <= {
            "train", "test"}
    placed = answer(audit.place_by_csv, tmp_path, [Path("a.png")], refuses=(ValueError,))
    assert (placed is None) or list(placed["file"]) == [Path("a.png")]
    answer(scan_table.read_scan_table, tmp_path, cache_folder=tmp_path / "cache",
           refuses=(ValueError,))


@given(values=st.lists(st.sampled_from(["train", "Testing", "val", "", "x", "骨"]), min_size=1))
def test_columns_are_translated_whole(values):
    column = pd.Series(values, name="split", dtype=object)
    told = answer(labels_module.translate_column, column, labels_module.split_of, ("train", "test"),
                  Path("labels.csv"), refuses=(ValueError,))
    assert (told is None) == any(labels_module.split_of(v) is None for v in values)
    if told is not None:
        assert len(told) == len(values)


@given(own=st.lists(st.sampled_from(["", "glioma", "meningioma", "骨"]), min_size=1, max_size=6),
       inside=st.booleans())
def test_labels_inside_files(own, inside):
    table = pd.DataFrame({"class_name": "glioma", "own_label": [inside] * len(own)})
    told = answer(scan_table.settle_labels, table, own, [("not MR: CT",)] * len(own), CLASSES,
                  refuses=(ValueError,))
    assert (told is None) == (inside and "骨" in own)
    if told is None: return
    names, notes = told
    assert names == (own if inside else ["glioma"] * len(own)) and len(notes) == len(own)
    rows = table.assign(group="", split="train", reason="", path="a")
    joined = scan_table.join_facts(rows, [[{"class_name": name}] * 2 for name in own], CLASSES)
    assert len(joined) == 2 * len(own) and list(joined["class_name"]) == list(np.repeat(names, 2))
    sentences = scan_table.note_sentences(notes)
    assert 1 <= len(sentences) <= 2 and all("\n" not in s for s in sentences)


@given(table=scan_tables(least=0), validation=st.booleans())
def test_classes_are_counted_whole(table, validation):
    if validation:
        table["split"] = table["split"].where(table.index % 2 == 0, "validation")
    counts = scan_table.class_counts(table)
    assert list(counts) == ["class_name", "split", "slices"] and counts["slices"].sum() == len(
        table)
    assert "" not in set(counts["class_name"])


# Cleaning -----------------------------------------------------------------------------------------

@st.composite
def thumbnails(
    draw,
    minimum: int = 1,
    maximum: int = 12,
    side: int | None = None,
) -> np.ndarray:
    """(N, S, S) of any real type, S even: noise, duplicates, turned duplicates, constant ones."""
    n, size, rng = (draw(st.integers(minimum, maximum)), side or draw(st.sampled_from([2, 8, 32])),
                    np.random.default_rng(draw(seeds())))
    images = rng.integers(0, 256, (n, size, size)).astype(float)
    for i in range(1, n):
        kind = draw(
            st.sampled_from(["own", "own", "copy", "turned", "constant", "almost", "lighter"]))
        if kind == "copy":
            images[i] = images[i - 1]
        if kind == "turned":
            images[i] = duplicates.orient(images[i - 1],
                                          draw(st.sampled_from(duplicates.ORIENTATIONS)))
        if kind == "constant":
            images[i] = draw(st.sampled_from([0, 7, 255]))
        if kind == "almost":
            images[i] = images[i - 1] + rng.normal(0, 3, (size, size))
        if kind == "lighter":
            images[i] = images[i - 1] * .5 + 40
    return untidy(
        images.astype(draw(st.sampled_from([np.float16, np.float32, np.float64, np.int16]))),
        draw(st.sampled_from(LAYOUTS)))


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's, 0 for constants."""
    a, b = (x.ravel().astype(float) - x.astype(float).mean() for x in (a, b))
    return float(a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-12))


@given(images=thumbnails(), scale=st.sampled_from([1, 1e-200, 1e-320, 1e150, 1e300]))
def test_unit_rows_have_length_one_or_none(images, scale):
    images = images if scale == 1 else images.astype(float) * scale
    rows = duplicates.unit_rows(images)
    length = np.linalg.norm(rows, axis=1)
    varied = np.array([image.min() < image.max() for image in images])
    assert rows.dtype == np.float32 and rows.shape == (len(images), images[0].size)
    np.testing.assert_allclose(length, varied, atol=1e-5)
    if scale == 1:
        np.testing.assert_allclose(
            rows @ rows.T, [[correlation(a, b) for b in images] for a in images], atol=1e-4)
    unlike(duplicates.unit_rows, images)
    waves = duplicates.frequencies(images, block=3)
    np.testing.assert_allclose(np.linalg.norm(waves, axis=(1, 2)), varied, atol=1e-4)


def test_no_thumbnail_at_all():
    none = np.zeros((0, 32, 32), np.float16)
    assert duplicates.unit_rows(none).shape == (0, 1024) and duplicates.frequencies(none).shape == (
        0, 32, 32)
    assert len(duplicates.near_duplicate_pairs(none)) == 0
    assert len(duplicates.confirm_pairs(none, np.zeros(0, int), np.zeros(0, int), .9, True)) == 0


@given(images=thumbnails(), place=st.integers(0, 7))
def test_an_orientation_correlates_with_itself(images, place):
    turned = duplicates.orient(images, duplicates.ORIENTATIONS[place])
    scores = duplicates.orientation_correlations(
        duplicates.frequencies(images), duplicates.frequencies(turned))
    varied = np.array([image.min() < image.max() for image in images])
    assert scores.shape == (len(images), 8) and np.abs(scores).max() < 1 + 1e-4
    np.testing.assert_allclose(scores[:, place], varied, atol=1e-4)
    for k, name in enumerate(duplicates.ORIENTATIONS):
        np.testing.assert_allclose(
            scores[:, k],
            [correlation(duplicates.orient(a, name), b) for a, b in zip(images, turned)], atol=2e-3)


@given(images=thumbnails(minimum=2), oriented=st.booleans())
def test_descriptors_are_never_farther_than_the_pictures(images, oriented):
    rows = duplicates.unit_rows(images)
    names = duplicates.ORIENTATIONS if oriented else ("same",)
    apart = np.min(
        [np.linalg.norm(
             duplicates.unit_rows(duplicates.orient(images, name))[:, None] - rows[None], axis=2)
         for name in names], axis=0)
    for found in (duplicates.descriptors(images, oriented),
                  duplicates.search_points(images, oriented, block=5)):
        assert len(found) == len(images) and found.dtype == np.float32
        assert (np.linalg.norm(found[:, None] - found[None], axis=2) <= apart + 2e-3).all()


@given(x=points(most=60), radius=st.floats(.01, 3), max_points=st.integers(1, 9))
def test_candidates_are_all_pairs_within_the_radius(x, radius, max_points):
    cells = duplicates.divide_space(x, max_points)
    assert sorted(np.concatenate(cells)) == list(range(len(x))) and max(map(len, cells)) <= max(
        max_points, 1)
    if np.abs(x).max() > 10:
        return  # the products of large numbers hide small distances; pictures have length 1
    pairs = [pair for i, j in duplicates.candidate_pairs(x, radius)
             for pair in zip(i.tolist(), j.tolist())]
    apart = np.linalg.norm(x[:, None].astype(float) - x[None], axis=2)
    sure = {(i, j) for i, j in zip(*np.nonzero(apart < radius - 1e-2)) if i < j}
    assert (len(set(pairs)) == len(pairs) and sure <= set(pairs)
            and all(i < j and apart[i, j] < radius + 1e-2 for i, j in pairs))


@given(sizes=st.lists(st.integers(0, 5), max_size=9), minimum=st.integers(1, 9))
def test_gathered_blocks_hold_what_came_in(sizes, minimum):
    blocks = [(np.arange(n), np.arange(n) + 1) for n in sizes]
    gathered = list(duplicates.gather(iter(blocks), minimum))
    for side in (0, 1):
        np.testing.assert_array_equal(
            np.concatenate([np.zeros(0, int), *(g[side] for g in gathered)]),
            np.concatenate([np.zeros(0, int), *(b[side] for b in blocks)]))
    assert all(len(i) >= minimum for i, _ in gathered[:-1])


@given(images=thumbnails(), threshold=st.sampled_from([.5, .9, .99]), oriented=st.booleans(),
       max_pairs=st.sampled_from([1, 10**6]))
@pytest.mark.filterwarnings("ignore:There are more than")
def test_near_copies_are_those_that_correlate(images, threshold, oriented, max_pairs):
    pairs = duplicates.near_duplicate_pairs(images, threshold, oriented, max_pairs)
    names = duplicates.ORIENTATIONS if oriented else ("same",)
    best = {(i, j): max(correlation(duplicates.orient(images[i], name), images[j])
                        for name in names)
            for j in range(len(images)) for i in range(j)}
    found = dict(zip(zip(pairs["i"], pairs["j"]), pairs["score"]))
    assert list(found) == sorted(found) and len(found) == len(pairs)
    for pair, score in found.items():
        assert abs(best[pair] - score) < 2e-3 and score > threshold and score <= 1
    for turn, i, j, score in zip(pairs["orientation"], pairs["i"], pairs["j"], pairs["score"]):
        assert abs(correlation(duplicates.orient(images[i], turn), images[j]) - score) < 2e-3
    sure = pd.DataFrame([pair for pair, score in best.items() if score > threshold + 2e-3],
                        columns=["i", "j"], dtype=int)
    if max_pairs > 1:
        assert set(zip(sure["i"], sure["j"])) <= set(found)
    parts = duplicates.join_parts(np.arange(len(images)), pairs)
    assert (parts[sure["i"]] == parts[sure["j"]]).all()
    forest = duplicates.spanning_pairs(pairs, len(images))
    assert len(forest) < max(1, len(images))
    np.testing.assert_array_equal(duplicates.join_parts(np.arange(len(images)), forest), parts)


@pytest.mark.parametrize("threshold", [0, 1, -1, 2, np.nan])
def test_a_threshold_that_is_none(threshold):
    with pytest.raises(ValueError, match="must be a correlation between 0 and 1") as error:
        duplicates.near_duplicate_pairs(np.zeros((2, 32, 32)), threshold)
    sentence(error.value)


@given(image=pictures(), kind=st.sampled_from(sorted(duplicates.DUPLICATE_KINDS)), seed=seeds())
def test_copies_are_pictures(image, kind, seed):
    make = lambda picture: duplicates.DUPLICATE_KINDS[kind](picture, np.random.default_rng(seed))
    assert make(image).dtype == np.uint8 and make(image).ndim == 2 and make(image).size
    unlike(make, image)
    for function in (duplicates.resize_duplicate, duplicates.recompress_duplicate,
                     duplicates.relight_duplicate):
        assert function(image, np.random.default_rng(seed)).dtype == np.uint8


def shuffled(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    return table.sample(frac=1, random_state=seed)


def pairs_of(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Copies as `duplicate_pairs` lists them: exact ones, and near ones drawn at random."""
    rng, pictures_of = (np.random.default_rng(seed),
                        {h: i for i, h in enumerate(sorted(set(table["pixels_sha256"])))})
    images = rng.integers(0, 256, (len(pictures_of), 32, 32))
    for i in range(1, len(images)):
        if rng.random() < .3:
            images[i] = duplicates.orient(images[i - 1], rng.choice(duplicates.ORIENTATIONS))
    small = np.array([images[pictures_of[h]] for h in table["pixels_sha256"]], np.float16).reshape(
        -1, 32, 32)
    return duplicates.duplicate_pairs(table, small)


@SLOW
@given(table=scan_tables(least=0), seed=seeds())
def test_every_slice_is_kept_or_removed_with_a_reason(table, seed):
    pairs = pairs_of(table, seed)
    kept, removed = cleaning.clean_scan_table(table, pairs=pairs)
    assert (sorted([*kept["path"], *removed["path"]]) == sorted(table["path"])
            and (kept["grey_std"] >= 5).all())
    assert removed["reason"].str.len().gt(9).all() and set(removed["duplicate_of"]) <= {
        "", *kept["path"]} | set(removed["path"])
    assert kept["pixels_sha256"].is_unique and list(kept.index) == list(range(len(kept)))
    again, gone = cleaning.clean_scan_table(shuffled(table, seed), pairs=pairs)
    by = lambda t: t.sort_values("path", ignore_index=True)
    (pd.testing.assert_frame_equal(by(again), by(kept)),
     pd.testing.assert_frame_equal(by(gone), by(removed)))
    # as two tables laid together
    repeated = cleaning.clean_scan_table(table.set_axis([0] * len(table)), pairs=pairs)
    pd.testing.assert_frame_equal(repeated[0], kept)
    usable = table[table["grey_std"] >= 5]
    verdicts = pd.concat(
        [cleaning.find_exact_duplicates(usable), cleaning.find_disputed(usable, pairs)])
    assert set(table.loc[verdicts.index, "path"]) == set(
        removed.loc[~removed["reason"].str.startswith("blank"), "path"])
    counts = cleaning.removal_report(removed)
    assert counts["slices"].sum() == len(removed) and not counts["reason"].str.contains(":").any()
    sentences = cleaning.describe_preparation(removed, kept, .2, 0)
    assert all("\n" not in s for s in sentences)
    fought = cleaning.conflicts(table, pairs)
    assert ((fought["class_a"] != fought["class_b"]).all() and (fought["class_a"] != "").all()
            and fought["score"].is_monotonic_decreasing)
    if len(kept):
        grouped = splits_module.group_kept(table, kept, removed, pairs)
        assert grouped["group"].notna().all() and grouped["clean"].dtype == bool
        assert (grouped["patient"] == kept["group"].to_numpy()).all()
        leaks = splits_module.leak_counts(grouped, removed)
        assert (leaks["test"].sum() == (kept["split"] == "test").sum()
                and (leaks["unclean"] <= leaks["test"]).all())


@given(table=scan_tables(), seed=seeds())
def test_pairs_of_copies(table, seed):
    pairs = pairs_of(table, seed)
    place = {path: i for i, path in enumerate(table["path"])}
    assert list(pairs) == ["path_a", "path_b", "kind", "score", "orientation"]
    assert all(place[a] < place[b] for a, b in zip(pairs["path_a"], pairs["path_b"]))
    rows = table.set_index("path")
    assert (rows.loc[[*pairs["path_a"], *pairs["path_b"]], "grey_std"] >= 5).all()
    equal = (rows.loc[pairs["path_a"], "pixels_sha256"].to_numpy()
             == rows.loc[pairs["path_b"], "pixels_sha256"].to_numpy())
    np.testing.assert_array_equal(equal, pairs["kind"] != "near")
    exact = table.assign(picture=pd.factorize(table["pixels_sha256"])[0]).reset_index(drop=True)
    chained = duplicates.exact_pairs(exact)
    counts = exact["picture"].value_counts()
    assert len(chained) == (counts * (counts - 1) // 2).sum()
    near = pd.DataFrame(
        {"i": [0], "j": [counts.size - 1], "score": [0.995], "orientation": ["same"]})
    if counts.size > 1:
        assert len(duplicates.spread_pairs(near, exact)) == counts[0] * counts[counts.size - 1]
    if counts.size > 1:
        assert len(duplicates.spread_pairs(near, exact, max_pairs=0)) == 1
    own = exact[exact["picture"] == 0]
    assert (len(cleaning.judge_agreed(own)) == len(own) - 1
            and len(cleaning.judge_conflict(own)) >= len(own) - 1)


@given(n=st.integers(0, 20), seed=seeds(),
       patients=st.sampled_from([None, "unknown", "one", "some"]))
def test_groups_are_what_pairs_and_patients_connect(n, seed, patients):
    rng = np.random.default_rng(seed)
    pairs = rng.integers(0, n, (rng.integers(0, 9), 2)) if n else np.zeros((0, 2), int)
    names = {None: None, "unknown": [""] * n, "one": ["p"] * n,
             "some": [f"p{i}" if i else "" for i in rng.integers(0, 4, n)]}[patients]
    groups = splits_module.duplicate_groups(pairs, n, names)
    assert groups.shape == (n,) and (groups[pairs[:, 0]] == groups[pairs[:, 1]]).all()
    if n:
        assert groups[0] == 0 and set(groups) == set(range(groups.max() + 1))
    if patients == "one":
        assert len(set(groups)) <= 1
    if patients in (None, "unknown") and not len(pairs):
        assert len(set(groups)) == n


@given(table=scan_tables(), seed=seeds(), unknown=st.sampled_from(["", np.nan, None]))
def test_slices_without_a_group_stand_alone(table, seed, unknown):
    table["group"] = pd.Series(
        [unknown if g == "" else g for g in table["group"]], index=table.index, dtype=object)
    keys = splits_module.group_keys(table)
    alone = table["group"].isna() | (table["group"] == "")
    assert keys.notna().all() and (keys[alone] == table["path"][alone]).all()
    clean = splits_module.mark_clean(table)["clean"]
    assert clean[alone].all() and clean.dtype == bool
    shuffle = shuffled(table, seed)
    pd.testing.assert_series_equal(splits_module.mark_clean(shuffle)["clean"].sort_index(), clean)
    grouped = splits_module.add_groups(table, pairs_of(table, seed))
    assert grouped["group"].str.fullmatch("g[0-9]{5}").all()


@given(table=scan_tables(), fraction=st.floats(.01, .99), seed=st.integers(0, 99),
       per_class=st.sampled_from([0, 0, 1, 2]))
def test_splitting_and_hiding(table, fraction, seed, per_class):
    split = answer(splits_module.split_table, table, fraction, seed, refuses=(ValueError,))
    if split is None: return
    keys = splits_module.group_keys(split)
    assert set(split["split"]) <= {"train", "test"} and (split["split"] == "test").any()
    if not (table["split"] == "test").any():
        assert split["split"].groupby(keys).nunique().eq(1).all() and split["clean"].all()
    else:
        pd.testing.assert_series_equal(split["split"], table["split"])
    hidden = answer(splits_module.hide_labels, split, fraction, seed, per_class,
                    refuses=(ValueError,))
    if hidden is None: return
    test = hidden["split"] == "test"
    assert (hidden["label"][test] == -1).all() and (hidden["class_name"][test] == "").all()
    shown = hidden["label"] >= 0
    pd.testing.assert_series_equal(hidden["true_label"], table["label"], check_names=False)
    assert (hidden["label"][shown] == table["label"][shown]).all() and (
        hidden["class_name"][shown] == table["class_name"][shown]).all()
    train = table[(split["split"] == "train") & (table["label"] >= 0)]
    # a class without any label would be lost
    assert set(hidden["label"][shown]) == set(train["label"])
    if per_class:
        assert (hidden["label"][shown].value_counts() == per_class).all() and keys[shown].groupby(
            hidden["label"]).nunique().eq(per_class).all()
    else:
        # whole groups
        assert not set(keys[shown]) & set(keys[~shown & ~test & (table["label"] >= 0)])
    again = splits_module.hide_labels(split, fraction, seed, per_class)
    pd.testing.assert_frame_equal(again, hidden)
    apart = splits_module.hold_out_validation(hidden, .5, 1, seed)
    moved = apart["split"] == "validation"
    pd.testing.assert_series_equal(apart["label"], hidden["label"])
    assert (hidden["split"][moved] == "train").all() and not set(keys[moved]) & set(
        keys[apart["split"] == "train"])
    with pytest.raises(ValueError, match="hidden already"):
        splits_module.hide_labels(hidden)


@given(table=scan_tables(), fraction=st.floats(.01, 1), per_class=st.integers(1, 3),
       seed=st.integers(0, 99))
def test_groups_that_stay_labelled(table, fraction, per_class, seed):
    train = table[(table["split"] == "train") & (table["label"] >= 0)]
    if not len(train): return
    shown = splits_module.groups_shown(train, fraction, seed)
    assert set(train["label"][splits_module.group_keys(train).isin(shown)]) == set(train["label"])
    assert fraction < 1 or shown == set(splits_module.group_keys(train))
    assert shown == splits_module.groups_shown(shuffled(train, seed), fraction, seed)
    few = answer(splits_module.hide_but_few, table, train, per_class, seed, refuses=(ValueError,))
    if few is not None:
        assert (few["label"][few["label"] >= 0].value_counts() == per_class).all() and set(
            few["label"]) - {-1} == set(train["label"])


@pytest.mark.parametrize("groups", ["own", "one", "pairs"])
def test_ten_thousand_classes_are_split_and_hidden_in_seconds(groups):
    n = 20_000
    table = pd.DataFrame(
        {"path": [f"{i}.png" for i in range(n)], "label": np.arange(n) // 2, "split": "train",
         "class_name": [MANY[i // 2] for i in range(n)], "source": "folder",
         "group": {"own": [""] * n, "one": ["p"] * n,
                   "pairs": [f"p{i % 5000}" for i in range(n)]}[groups]})
    with at_most(120):
        split = answer(splits_module.split_table, table, .4, refuses=(ValueError,))
        assert (split is None) == (groups == "one")
        if split is None: return
        hidden = splits_module.hide_labels(split, .9)
        shown = hidden["label"] >= 0
        assert set(hidden["label"][shown]) == set(table["label"][split["split"] == "train"])
        splits_module.hold_out_validation(hidden, .5, 1)
        assert scan_table.class_counts(table)["slices"].sum() == n


@pytest.mark.parametrize("n, copies", [(3_000, 2), (10_000, 10_000)])
def test_thousands_of_copies_are_found_in_seconds(n, copies):
    content = [f"{i // copies:064x}" for i in range(n)]
    table = pd.DataFrame(
        {"path": [f"{i}.png" for i in range(n)], "label": 0, "class_name": "glioma",
         "split": ["train", "test"] * (n // 2), "group": "", "sha256": content,
         "pixels_sha256": content, "grey_std": 40.0})
    small = np.repeat(
        np.random.default_rng(0).integers(0, 256, (n // copies, 32, 32)), copies, axis=0
    ).astype(np.float16)
    with at_most(120):
        pairs = duplicates.duplicate_pairs(table, small)
        kept, removed = cleaning.clean_scan_table(table, pairs=pairs)
        assert len(kept) == n // copies and (kept["split"] == "test").all()
        assert splits_module.add_groups(table, pairs)["group"].nunique() == n // copies


@given(sizes=hnp.arrays(int, st.tuples(st.integers(1, 12), st.integers(1, 4)),
                        elements=st.integers(0, 6)), fraction=st.floats(.05, .95), seed=seeds())
def test_chosen_groups_come_close_to_the_targets(sizes, fraction, seed):
    targets = np.floor(fraction * sizes.sum(axis=0) + .5).astype(int)
    chosen = splits_module.choose_groups(sizes, targets, np.random.default_rng(seed))
    assert chosen.shape == (len(sizes),) and chosen.dtype == bool
    error = lambda selection: np.abs(targets - sizes[selection].sum(axis=0)).sum()
    assert error(chosen) <= error(np.zeros_like(chosen))
    for g in np.flatnonzero(~chosen):
        assert error(chosen) <= error(chosen | (np.arange(len(sizes)) == g))


@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=12), fraction=st.floats(.01, 1),
       seed=seeds())
def test_the_labelled_groups_of_a_class(sizes, fraction, seed):
    of = pd.Series(sizes, index=[f"g{i}" for i in range(len(sizes))])
    groups = splits_module.labelled_prefix(of, fraction, np.random.default_rng(seed))
    assert 1 <= len(groups) == len(set(groups)) and (
        len(groups) == 1 or of[groups].sum() <= fraction * of.sum() + 0.5)
    assert fraction < 1 or len(groups) == len(sizes)


@given(fraction=st.floats(), counts=st.lists(st.integers(1, 50), max_size=4))
def test_label_fractions_that_cannot_be(fraction, counts):
    slices = pd.Series(counts, index=[f"c{i}" for i in range(len(counts))], dtype=int)
    possible = (
        fraction == 0 or 0 < fraction <= 1 and len(counts) > 1 and fraction * min(counts) >= 0.5)
    try:
        splits_module.check_label_fraction(fraction, slices)
    except ValueError as error:
        assert sentence(error) and not possible
    else:
        assert possible


@given(numbers=st.lists(st.integers(0, 400)
                        | st.sampled_from(["x", "1e5", "inf", "nan", "-3", "٣", "9" * 30, "1_0"]),
                        min_size=1, max_size=40, unique=True),
       fraction=st.floats(.05, .95), seed=st.integers(0, 99), classes=st.integers(1, 3))
def test_numbered_slices(numbers, fraction, seed, classes):
    n = len(numbers)
    table = pd.DataFrame(
        {"path": [f"/a/{number}.png" for number in numbers], "label": np.arange(n) % classes,
         "class_name": "x", "split": "train", "group": ""})
    found = cleaning.file_numbers(table["path"])
    assert found.shape == (n,) and found.dtype == float
    if not cleaning.are_numbered(table): return
    split = cleaning.split_by_number(table, fraction, seed)
    assert set(split["split"]) <= {"train", "test"}
    for label, rows in split.groupby("label"):
        order = rows.assign(number=found[rows.index]).sort_values("number")["split"] == "test"
        assert (order.astype(int).diff().fillna(0) != 0).sum() <= 2  # one run
        assert (rows["split"] == "train").any()
    beside = cleaning.beside_test(split)
    assert (beside.shape == (n,) and beside.dtype == bool
            and not beside[(split["split"] == "test").to_numpy()].any())
    patients = cleaning.estimated_patients(split)
    assert patients.groupby(patients).size().max() <= cleaning.PATIENT_SLICES and list(
        patients.index) == list(split.index)
    none = pd.DataFrame(
        {"path_a": [], "path_b": [], "kind": [], "score": [], "orientation": []}, dtype=str)
    parted, left, sentences = cleaning.split_numbered_scans(table, none, fraction, seed)
    assert (len(parted) + len(left) == n and len(sentences) == 2
            and left["reason"].str.len().gt(0).all())
    assert not set(parted["patient"][parted["split"] == "test"]) & set(
        parted["patient"][parted["split"] == "train"])


STRANGE_TABLES = {
    "nothing": None, "a list": [1, 2], "no columns": pd.DataFrame(),
    "one column": pd.DataFrame({"path": ["a.png"]}),
    "labels as text": pd.DataFrame(
        {"path": ["a", "b"], "label": ["0", "1"], "class_name": "x", "split": "train", "group": "",
         "sha256": "0", "pixels_sha256": "0", "grey_std": 9.0}),
    "labels missing": pd.DataFrame(
        {"path": ["a", "b"], "label": [0, np.nan], "class_name": "x", "split": "train", "group": "",
         "sha256": "0", "pixels_sha256": "0", "grey_std": 9.0})}

@pytest.mark.parametrize("kind", list(STRANGE_TABLES))
@pytest.mark.parametrize(
    "function",
    [cleaning.clean_scan_table, splits_module.split_table, splits_module.hide_labels,
     splits_module.add_groups, duplicates.duplicate_pairs, scan_table.class_counts,
     lambda table: slice_cache.build_slice_cache(table, tempfile.mkdtemp(), 32)],
    ids=["clean_scan_table", "split_table", "hide_labels", "add_groups", "duplicate_pairs",
         "class_counts", "build_slice_cache"])
def test_what_is_no_scan_table_is_said(function, kind):
    with pytest.raises(REFUSED) as error:
        function(STRANGE_TABLES[kind])
    sentence(error.value)


@pytest.mark.parametrize("settings", [dict(label_fraction=np.nan), dict(label_fraction=2),
                                      dict(labels_per_class=-1), dict(seed=-1),
                                      dict(label_fraction=None)], ids=str)
def test_settings_of_hiding_that_cannot_be(settings):
    table = pd.DataFrame({"path": list("abcdef"), "label": [0, 1] * 3, "class_name": ["x", "y"] * 3,
                          "split": "train", "group": ""})
    with pytest.raises(REFUSED) as error:
        splits_module.hide_labels(table, **settings)
    sentence(error.value)


@given(images=st.lists(pictures(smallest=8, largest=40), min_size=1, max_size=5))
def test_measuring_slices_of_mixed_sizes(images, tmp_path):
    for i, image in enumerate(images):
        Image.fromarray(np.ascontiguousarray(image)).save(tmp_path / f"{i}.png")
    table = pd.DataFrame(
        {"path": [str(tmp_path / f"{i}.png") for i in range(len(images))], "label": 0,
         "sha256": [f"{i}" for i in range(len(images))]})
    measured, small = duplicates.measure_slices(table)
    assert (small.shape == (len(images), 32, 32) and small.dtype == np.float16
            and np.isfinite(small).all())
    np.testing.assert_allclose(measured["grey_std"], [float(image.std()) for image in images])
    one = duplicates.measure_slice(table["path"][0])
    assert (one["pixels_sha256"] == measured["pixels_sha256"][0]
            and (one["thumbnail"] == small[0]).all())
    for _ in range(2):
        known, pairs = cleaning.find_pairs(
            table.assign(sha256=measured["pixels_sha256"]), 1, tmp_path / "cache")
        assert (known["grey_std"] == measured["grey_std"]).all()
        equal = [
            (a, b)
            for b in range(len(images))
            for a in range(b)
            if measured["pixels_sha256"][a] == measured["pixels_sha256"][b] and images[a].std() >= 5
        ]
        assert (pairs["kind"] != "near").sum() == len(equal)


def test_a_folder_of_rubbish_is_prepared(tmp_path):
    rng = np.random.default_rng(0)
    for split, name in (("Training", "glioma"), ("Training", "pituitary"), ("Testing", "glioma"),
                        ("Testing", "pituitary")):
        folder = tmp_path / "scans" / split / name
        folder.mkdir(parents=True)
        for i in range(4):
            Image.fromarray(
                rng.integers(0, 256, (int(rng.integers(8, 99)), int(rng.integers(8, 99)))).astype(
                    np.uint8)).save(folder / f"{i}.png")
        Image.fromarray(np.zeros((9, 9), np.uint8)).save(folder / "blank.png")
        (folder / "骨 <b>=1+1.png").write_bytes((folder / "0.png").read_bytes())
        (folder / "cut.png").write_bytes((folder / "0.png").read_bytes()[:70])
    prepared = cleaning.prepare_scans(
        tmp_path / "scans", label_fraction=0.5, cache_folder=tmp_path / "cache")
    assert (len(prepared.table) == 16 and len(prepared.left_out) == 12
            and (prepared.table["label"][prepared.table["split"] == "test"] == -1).all())
    for settings in (dict(label_fraction=7), dict(classes=("a", "A")), dict(classes=()),
                     dict(test_fraction="x", label_fraction=7), dict(labels_per_class=-2)):
        with pytest.raises(REFUSED) as error:
            cleaning.prepare_scans(tmp_path / "scans", cache_folder=tmp_path / "cache", **settings)
        sentence(error.value)
    masked = tmp_path / "masked"
    for part in ("images", "masks"):
        (masked / part).mkdir(parents=True)
    for i in range(8):
        image = rng.integers(0, 256, (20 + i, 20)).astype(np.uint8)
        (Image.fromarray(image).save(masked / f"images/p{i}.png"),
         Image.fromarray((image > 200).astype(np.uint8)).save(masked / f"masks/p{i}.png"))
    (masked / "labels.csv").write_text(
        "path,label,patient\n"
        + "".join(f"images/p{i}.png,{('glioma', 'pituitary')[i % 2]},p{i}\n" for i in range(8)))
    scans, classes = cleaning.prepare_masked_scans(
        masked, label_fraction=1, test_fraction=0.5, cache_folder=tmp_path / "cache")
    assert (classes == ("glioma", "pituitary") and (scans.table["mask"] != "").all()
            and len(cleaning.read_masked(
                masked, None, classes, workers=1, cache_folder=None)[0]) == 8)


# Skull stripping ----------------------------------------------------------------------------------

NO_BRAIN = pytest.mark.filterwarnings("ignore:the brain mask network")

@NO_BRAIN
@given(image=pictures(), method=st.sampled_from(sorted(skull_stripping.SKULL_STRIPPERS)),
       sigma=st.sampled_from([0, .1, 3, 100]),
       relax=st.sampled_from([-300, -5., 0, 300]), radius=st.sampled_from([0, 1, 5, 5., 12]))
def test_any_picture_is_stripped(image, method, sigma, relax, radius):
    strip = lambda picture: skull_stripping.skull_strip_2d(picture, method, sigma, relax, radius)
    stripped, mask = strip(image)
    assert mask.dtype == bool and mask.shape == image.shape and stripped.dtype == np.uint8
    np.testing.assert_array_equal(
        stripped, np.where(mask, 255 if method == "synth_mask" else image, 0))
    if method.startswith("synth") or method == "none":
        assert mask.any()
    unlike(strip, image)


@given(image=no_pictures())
def test_what_is_no_picture_is_said(image):
    for function in (skull_stripping.skull_strip_2d,
                     lambda picture: preprocessing.preprocess_slice(picture, 32)):
        with pytest.raises(REFUSED) as error:
            function(image)
        sentence(error.value)


@pytest.mark.parametrize("settings", [
    dict(method="gone"), dict(denoise_sigma=np.nan), dict(denoise_sigma=np.inf),
    dict(denoise_sigma=1e9), dict(denoise_sigma="x"), dict(closing_radius=-1),
    dict(closing_radius=2.5), dict(closing_radius=np.nan), dict(closing_radius=10**9),
    dict(closing_radius=None), dict(otsu_relax=np.nan), dict(otsu_relax=np.inf)], ids=str)
def test_settings_of_stripping_that_cannot_be(settings):
    with pytest.raises(REFUSED) as error:
        skull_stripping.skull_strip_2d(np.eye(16, dtype=np.uint8) * 255, **settings)
    sentence(error.value)


@given(image=pictures(), sigma=st.sampled_from([0, .5, 3]), radius=st.integers(0, 9), seed=seeds())
def test_steps_of_the_mask(image, sigma, radius, seed):
    level = masks.otsu_threshold(image, -5)
    assert 0 <= level <= 255 and masks.blur(image, sigma).dtype == np.uint8
    mask = (np.random.default_rng(seed).random(image.shape) < .6).astype(np.uint8)
    for step in (
        lambda m: masks.close_then_open(m, radius), masks.largest_component,
        masks.fill_holes, lambda m: brain_mask.confident_components(m, m.astype(bool)),
        masks.full_mask, lambda m: masks.paper_mask(m * 255, 3, -5, radius),
        lambda m: masks.filled_mask(
            m * 255, denoise_sigma=3, otsu_relax=-5, closing_radius=radius)):
        found = step(mask)
        assert found.dtype == np.uint8 and found.shape == mask.shape and found.max(initial=0) <= 1
        unlike(step, mask)
    assert (masks.fill_holes(mask) >= mask).all() and (
        masks.largest_component(mask) <= mask).all()
    other = (np.random.default_rng(seed + 1).random(image.shape) < .5)
    own = mask.astype(bool)
    assert 0 <= masks.dice(own, other) <= 1 and masks.dice(own, own) == 1
    assert skull_stripping.covered_fraction(own, own) == 1 or not own.any()
    measures = skull_stripping.stripping_quality(own, other, own & ~other)
    assert set(measures) == {"dice", "ring_kept", "brain_lost", "tumour_lost"} and all(
        np.isnan(v) or 0 <= v <= 1 for v in measures.values())


@NO_BRAIN
@SLOW
@given(image=pictures(largest=300), seed=seeds())
def test_the_network_takes_any_picture(image, seed):
    small = brain_mask.network_input(image)
    assert small.shape == (160, 160) and small.dtype == np.uint8
    unlike(brain_mask.network_input, image)
    likely = brain_mask.brain_probabilities(small[None])
    assert likely.shape == (1, 160, 160) and 0 <= likely.min() and likely.max() <= 1
    unlike(brain_mask.brain_probabilities, small[None])
    standard = brain_mask.standardise_images(small[None])
    assert standard.shape == (1, 1, 160, 160) and torch.isfinite(standard).all()
    region = torch.from_numpy(
        np.random.default_rng(seed).integers(0, 3, (1, 160, 160)).astype(np.uint8))
    assert torch.isfinite(
        brain_mask.mask_loss(torch.from_numpy(likely).logit(eps=1e-6), region))
    mask = brain_mask.mask_from_probability(likely[0], image.shape)
    assert mask.shape == image.shape and mask.max() <= 1
    assert brain_mask.replace_empty_mask(mask, image).any()
    np.testing.assert_array_equal(brain_mask.brain_mask_batch([image, image], workers=1)[1],
                                  brain_mask.synth_mask(image).astype(bool))
    assert brain_mask.brain_mask_batch([]).shape[0] == 0


def test_a_refused_pool_leaves_the_threads_alone():
    import cv2
    before = cv2.getNumThreads()
    with pytest.raises(ValueError), runtime.single_threaded_pool(-1):
        pass
    assert cv2.getNumThreads() == before


@given(seed=seeds(), number=st.integers(0, 30), size=st.sampled_from([32, 48]))
@SLOW
def test_training_pictures_of_the_mask(seed, number, size):
    rng, atlas = np.random.default_rng(seed), anatomy_module.load_atlas()
    signal, region = training_phantoms.render_segmentation_phantom(atlas, seed % 100, number, size)
    assert (signal.shape == region.shape == (size, size)
            and signal.dtype == region.dtype == np.uint8 and region.max() <= 2)
    points_of = anatomy_module.slice_points(rng, "axial", np.zeros(3), size)[0]
    target = training_phantoms.target_region(atlas, points_of, region == 2)
    assert set(np.unique(target)) <= {0, 1, 2}
    picture, kept = randomisation.randomise_segmentation_phantom(rng, signal, region, size)
    assert (picture.shape == kept.shape == (size, size) and picture.dtype == np.uint8
            and kept.max() <= 2)
    assert randomisation.draw_segmentation_view(rng, size, size).shape == (
        size, size, 2) and randomisation.smooth_field(rng, size, 3).shape == (size, size)
    unit = signal / np.float32(255)
    bent = randomisation.randomise_grey_levels(rng, unit)
    assert bent.shape == unit.shape and 0 <= bent.min() and bent.max() <= 1
    for changed in (randomisation.randomise_surroundings(rng, unit, region > 0),
                    randomisation.randomise_sharpness(rng, unit)):
        assert np.isfinite(changed).all()
    assert (randomisation.randomise_scanner(rng, unit).dtype == np.uint8
            and randomisation.burn_in_text(rng, signal).shape == signal.shape)
    cut, left = randomisation.randomise_borders(rng, picture, kept)
    assert cut.dtype == np.uint8 and (left <= kept).all()
    pictures_of, truths = brain_mask.draw_batch(rng, signal[None], region[None], 2)
    assert pictures_of.shape == (2, 1, 160, 160) and truths.shape == (2, 160, 160)


def test_the_network_learns_from_constant_pictures():
    nothing = np.zeros((2, 32, 32), np.uint8)
    network, losses = brain_mask.train_brain_network(
        nothing, nothing, steps=2, batch=2, start=brain_mask.BrainUNet((4, 4)))
    assert np.isfinite(losses).all() and brain_mask.brain_probabilities(
        np.zeros((1, 160, 160), np.uint8), network).shape == (1, 160, 160)


# Preprocessing ------------------------------------------------------------------------------------

@given(image=pictures(), size=st.sampled_from([1, 2, 31, 32, 100, 32.]),
       method=st.sampled_from(["paper", "filled", "none"]),
       window=st.sampled_from([None, (1, 99), (0, 100), (99, 99.5)]))
def test_any_picture_is_prepared(image, size, method, window):
    prepare = lambda picture: preprocessing.preprocess_slice(
        picture, size, method, window_percentiles=window)
    assert prepare(image).shape == (size, size) and prepare(image).dtype == np.uint8
    unlike(prepare, image)
    square = preprocessing.pad_to_square(image)
    assert square.shape == (max(image.shape),) * 2 and square.sum() == image.sum()
    small = preprocessing.resize_square(square, int(size))
    assert (
        small.shape == (size, size) and square.min() <= small.min() and small.max() <= square.max())
    for picture in (small, small > 127, small / np.float32(255)):
        back = preprocessing.restore_geometry(picture, *image.shape)
        assert back.shape == image.shape and back.dtype == picture.dtype
    np.testing.assert_array_equal(preprocessing.restore_geometry(square, *image.shape), image)


@given(image=pictures(), low=st.floats() | st.integers(-300, 300),
       high=st.floats() | st.integers(-300, 300))
def test_windows(image, low, high):
    with np.errstate(all="ignore"):
        shown = answer(preprocessing.window, image, low, high, refuses=(ValueError,))
    with np.errstate(all="ignore"):
        assert (shown is None) == (not (low < high and np.isfinite(float(high) - float(low))))
    if shown is not None:
        assert (shown.dtype == np.uint8 and (shown[image <= low] == 0).all()
                and (shown[image >= high] == 255).all())
        unlike(lambda picture: preprocessing.window(picture, low, high), image)
    percent = answer(preprocessing.window_percentile, image, low, high, refuses=(ValueError,))
    assert (percent is None) == (not 0 <= low < high <= 100)
    if percent is not None:
        assert percent.dtype == np.uint8 and percent.shape == image.shape
    assert answer(preprocessing.window_level_width, image, 100, 50).shape == image.shape


@pytest.mark.parametrize("settings", [
    dict(image_size=0), dict(image_size=-5), dict(image_size=2.5), dict(image_size=10**9),
    dict(image_size=None), dict(image_size=np.nan), dict(window_percentiles=(np.nan, 5)),
    dict(window_percentiles=(5, 1)), dict(window_percentiles=(1, 2, 3)),
    dict(window_percentiles="ab"), dict(skull_strip="gone")], ids=str)
def test_settings_of_preparation_that_cannot_be(settings):
    with pytest.raises(REFUSED) as error:
        preprocessing.preprocess_slice(
            np.eye(16, dtype=np.uint8) * 255, **{"image_size": 32, **settings})
    sentence(error.value)


def test_a_strip_does_not_fill_the_memory():
    grown()
    with pytest.raises(ValueError, match="at most 8,192 pixels"):
        preprocessing.preprocess_slice(np.zeros((1, 100_000), np.uint8), 32)
    assert grown() < 200


@given(images=st.lists(pictures(smallest=8, largest=40), min_size=1, max_size=4),
       size=st.sampled_from([1, 16]), draw=st.data())
def test_a_damaged_cache_is_built_again(images, size, draw, tmp_path):
    files = [image_bytes(np.ascontiguousarray(image)) for image in images]
    for i, content in enumerate(files):
        (tmp_path / f"{i}.png").write_bytes(content)
    from hashlib import sha256
    table = pd.DataFrame({"path": [str(tmp_path / f"{i}.png") for i in range(len(files))],
                          "sha256": [sha256(c).hexdigest() for c in files]})
    build = lambda **changes: slice_cache.build_slice_cache(
        table.assign(**changes), tmp_path / "cache", size, skull_strip="none", workers=1)
    cached = np.array(build())
    expected = np.stack([preprocessing.preprocess_slice(image, size, "none") for image in images])[
        :, None]
    np.testing.assert_array_equal(cached, expected)
    made = dict(image_size=size, skull_strip="none", denoise_sigma=3.0, otsu_relax=-5.0,
                closing_radius=5, window_percentiles=None)
    folder = tmp_path / "cache" / slice_cache.cache_key(list(table["sha256"]), made)
    file = folder / draw.draw(st.sampled_from(["images.npy", "settings.json"]))
    whole = file.read_bytes()
    file.write_bytes(draw.draw(damage(whole) | st.binary(max_size=9)
                               | st.sampled_from([b"[]", b"null", b"PK\x03\x04", b"\x80\x04."])))
    opened = slice_cache.open_slice_cache(folder, len(images), size)
    if opened is not None:
        np.testing.assert_array_equal(opened, expected)
    np.testing.assert_array_equal(build(), expected)
    assert slice_cache.open_slice_cache(folder, len(images) + 1, size) is None
    np.testing.assert_array_equal(
        list(
            slice_cache.iterate_preprocessed(list(table["path"]), list(table["sha256"]), made, 1)
        ), expected[:, 0])
    header = slice_cache.images_header(len(images), size)
    assert np.load(io.BytesIO(header + expected.tobytes())).shape == expected.shape
    assert slice_cache.checksum_of(expected, 1) == zlib.crc32(expected.tobytes())
    assert slice_cache.write_images(
        tmp_path / "w.npy", expected[:, 0], len(images), size
    ) == slice_cache.checksum_of(expected)
    slice_cache.build_folder(expected[:, 0], len(images), made, tmp_path / "own", lambda f: False)
    np.testing.assert_array_equal(
        slice_cache.open_slice_cache(tmp_path / "own", len(images), size), expected)
    (tmp_path / "0.png").unlink()
    # kept by content, whatever became of the files
    np.testing.assert_array_equal(build(), expected)
    for changes in (dict(sha256="0"), dict(path=str(tmp_path / "gone.png"), sha256="1"),
                    dict(sha256=np.nan)):
        with pytest.raises(ValueError, match="cannot preprocess") as error:
            build(**changes)
        sentence(error.value)
    with pytest.raises(ValueError, match="cannot preprocess"):
        slice_cache.prepare_file(table["path"][0], "0", made)


@given(images=stacks(), seed=seeds())
def test_greys_are_counted(images, seed):
    mask = np.random.default_rng(seed).random(len(images)) < .7
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(mask))
    counts = slice_cache.grey_histogram(images, rows, block=2)
    np.testing.assert_array_equal(counts, np.bincount(images[mask].ravel(), minlength=256))
    np.testing.assert_array_equal(slice_cache.grey_histogram(images, mask), counts)
    mean_std = answer(slice_cache.dataset_mean_std, images, rows, refuses=(ValueError,))
    assert (mean_std is None) == (len(np.unique(images[mask])) < 2)
    if mean_std is not None:
        np.testing.assert_allclose(
            mean_std, [images[mask].mean() / 255, images[mask].std() / 255], rtol=1e-9)
        standard = preprocessing.standardise(preprocessing.scale_to_unit(images[mask]), *mean_std)
        assert (
            abs(float(standard.mean())) < 1e-3 and abs(float(standard.std(correction=0)) - 1) < 1e-3
        )
    unlike(lambda batch: preprocessing.scale_to_unit(batch).numpy(), images)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, bool, np.uint16, np.int8, object])
def test_only_bytes_are_scaled(dtype):
    with pytest.raises(REFUSED) as error:
        preprocessing.scale_to_unit(np.ones((2, 1, 3, 3), dtype))
    sentence(error.value)


# Augmentation -------------------------------------------------------------------------------------

@st.composite
def batches(draw) -> torch.Tensor:
    """Float (B, 1, H, W) in [0, 1], of any layout; also empty, constant or one pixel wide."""
    shape = (draw(st.integers(0, 4)), 1, draw(st.sampled_from([1, 2, 7, 32])),
             draw(st.sampled_from([1, 2, 7, 32])))
    x = torch.rand(shape, generator=torch.Generator().manual_seed(draw(seeds())))
    kind = draw(st.sampled_from(["noise", "black", "white", "checks"]))
    x = {"noise": x, "black": x * 0, "white": x * 0 + 1, "checks": x.round()}[kind].to(
        draw(st.sampled_from([torch.float32, torch.float64, torch.float16, torch.bfloat16])))
    how = draw(st.sampled_from(["plain", "channels last", "strided"]))
    return (x.contiguous(memory_format=torch.channels_last) if how == "channels last"
            else x.repeat_interleave(2, -1)[..., ::2] if how == "strided" else x)


@given(x=batches(), name=st.sampled_from(sorted(augmentation.AUGMENTATIONS)), seed=seeds())
def test_augmentation_keeps_shape_and_range(x, name, seed):
    policy = augmentation.get_augmentation(name)
    augment = lambda batch, *part: policy(batch, torch.Generator().manual_seed(seed), *part)
    changed = augment(x)
    assert changed.shape == x.shape and changed.dtype == x.dtype and torch.isfinite(changed).all()
    if x.numel():
        assert 0 <= changed.min() and changed.max() <= 1
    torch.testing.assert_close(augment(x), changed, rtol=0, atol=0)
    torch.testing.assert_close(augment(x.contiguous()), changed, rtol=0, atol=1e-2)
    if len(x) > 1 and x.dtype in (torch.float32, torch.float64):
        parts = torch.cat([augment(x[:1], 0, len(x)), augment(x[1:], 1, len(x))])
        torch.testing.assert_close(parts, changed, rtol=1e-4, atol=1e-4)
    if len(x):
        assert policy.draw_matrix(x, torch.Generator().manual_seed(seed)).shape == (len(x), 2, 3)


@given(kind=st.sampled_from(["list", "array", "bytes", "two channels", "one slice", "no generator",
                             "none", "whole numbers"]))
def test_batches_that_cannot_be_augmented(kind):
    x = torch.zeros(2, 1, 8, 8)
    batch = {"list": [[0.0]], "array": np.zeros((2, 1, 8, 8)), "bytes": x.byte(),
             "two channels": torch.zeros(2, 2, 8, 8), "one slice": x[0], "no generator": x,
             "none": None, "whole numbers": x.long()}[kind]
    for function in (augmentation.check_batch, augmentation.Augmentation()):
        with pytest.raises(ValueError) as error:
            function(batch, None if kind == "no generator" else torch.Generator())
        sentence(error.value)
    with pytest.raises(ValueError, match="name must be one of none, paper,"):
        augmentation.get_augmentation(f"not {kind}")


@given(x=batches().filter(len), seed=seeds(), angle=st.sampled_from([0., 90., -45., 1e6]),
       sigma=st.sampled_from([0., .5, 30.]), amount=st.floats(-2, 2))
def test_pieces_of_augmentation(x, seed, angle, sigma, amount):
    n, height, width = len(x), *x.shape[-2:]
    generator = torch.Generator().manual_seed(seed)
    draws = transforms.Draws(generator, "cpu", n)
    same = transforms.affine_matrix(
        torch.zeros(n), torch.ones(n, 2), torch.zeros(n, 2), torch.ones(n, 2), height, width)
    torch.testing.assert_close(transforms.affine_transform(x, same), transforms.like(x, x),
                               rtol=0, atol=1e-5 if x.dtype != torch.bfloat16 else 1e-2)
    matrix = transforms.affine_matrix(torch.full((n,), angle), torch.ones(n, 2),
                                        torch.zeros(n, 2), -torch.ones(n, 2), height, width)
    grid = transforms.sampling_grid(matrix, height, width)
    torch.testing.assert_close(
        grid, torch.nn.functional.affine_grid(matrix, [n, 1, height, width], align_corners=False),
        rtol=1e-4, atol=1e-4)
    values = torch.full((n,), amount)
    assert transforms.per_slice(values).shape == (n, 1, 1, 1)
    kernels = transforms.gaussian_kernels(torch.full((n,), sigma), 3)
    torch.testing.assert_close(kernels.sum(1), torch.ones(n))
    for changed in (transforms.affine_transform(x, matrix),
                    transforms.affine_transform(x, matrix, "nearest"),
                    transforms.intensity_shift(x, values), transforms.scale_contrast(x, values),
                    transforms.apply_gamma(x, values.abs() + 0.1),
                    transforms.add_noise(x, values, draws.normal(*x.shape[1:])),
                    transforms.gaussian_blur(x, torch.full((n,), sigma), 9),
                    transforms.cutout(x, torch.rand(n, 2), values),
                    augmentation.change_intensity(augmentation.AUGMENTATIONS["strong"], x, draws)):
        assert (changed.shape == x.shape and changed.dtype == x.dtype
                and torch.isfinite(changed).all() and -0.01 <= changed.min()
                and changed.max() <= 1.01)
    assert (set(augmentation._draw_signs(0.5, draws).tolist()) <= {-1.0, 1.0}
            and transforms.draw_uniform(n, 2, 3, generator).min() >= 2)
    assert torch.isfinite(
        augmentation.draw_affine(augmentation.AUGMENTATIONS["cut"], height, width, draws)).all()


# Quality ------------------------------------------------------------------------------------------

@given(image=pictures(), seed=seeds(), size=st.sampled_from([2, 32]))
def test_quality_of_any_picture(image, seed, size):
    measured = quality.slice_quality(image)
    assert set(measured) == {
        *quality.QUALITY_MEASURES, "touches_border",
        "estimated_plane"} and measured["estimated_plane"] in ("", *anatomy_module.PLANES)
    assert 0 <= measured["foreground_fraction"] <= 1 and all(
        np.isnan(measured[m]) or 0 <= measured[m] < np.inf for m in quality.QUALITY_MEASURES)
    unlike(quality.slice_quality, image)
    small = plane_module.shrink_slice(image)
    outline = plane_module.outline_head(small)
    assert (max(small.shape) == plane_module.OUTLINE_SIZE and outline.shape == small.shape
            and outline.max() <= 1)
    if image.min() == image.max():
        assert not outline.any()
    head = np.ones(image.shape, bool)
    assert (quality.noise_sd(image, head) >= quality.ROUNDING_NOISE
            and quality.measure_sharpness(image, head) >= 0
            and 0 <= quality.measure_contrast(image, head) <= 1)
    if outline.any():
        assert plane_module.crop_head(small, outline).shape == (48, 48)
        assert plane_module.plane_features(small, outline).shape == (72,)
        assert abs(plane_module.plane_probabilities(small, outline).sum() - 1) < 1e-9
        assert plane_module.estimate_plane(small, outline, 0) in anatomy_module.PLANES
        assert isinstance(quality.brain_touches_border(outline, "axial"), bool)
    noise = np.random.default_rng(seed).random((8, 8)).astype(np.float32)
    edges = plane_module.edge_histograms(noise)
    assert edges.shape == (4, 4, 8) and abs((edges ** 2).sum() - 1) < 1e-4
    assert plane_module.mirror_half(image).shape == image.shape
    assert plane_module.vary_slice(image, "axial", np.random.default_rng(seed)).dtype == np.uint8
    ring, inside = shortcuts.border_and_outline(image, size)
    assert (ring.shape == (4 * size - 4,) and inside.shape == (size * size,) and 0 <= inside.min()
            and inside.max() <= 1)


@given(values=hnp.arrays(float, st.integers(0, 20),
                         elements=st.floats(-1e6, 1e6) | st.just(np.nan)),
       sources=st.sampled_from([None, "one", "own"]))
@pytest.mark.filterwarnings("ignore:All-NaN", "ignore:Mean of empty")
def test_odd_numbers_are_found(values, sources):
    z = quality.robust_z(values)
    assert (z.shape == values.shape and (np.isnan(z) == np.isnan(values)).all()
            and not np.isinf(z).any())
    table = pd.DataFrame({m: np.abs(values) for m in quality.QUALITY_MEASURES})
    of = (None if sources is None else ["a"] * len(values) if sources == "one"
          else [str(i) for i in range(len(values))])
    scores = quality.quality_z(table, of)
    assert scores.shape == (len(values), 4) and scores.notna().all().all()
    odd = quality.outlier_slices(table, of)
    assert (odd["row"].is_unique and (odd["z"].abs() > 3.5).all()
            and set(odd["row"]) >= set(np.flatnonzero(np.isnan(values))))
    assert all(odd["why"])


@given(images=st.lists(pictures(smallest=8, largest=40), min_size=2, max_size=6),
       classes=st.integers(1, 3))
@SLOW
def test_quality_and_shortcuts_of_files(images, classes, tmp_path):
    for i, image in enumerate(images):
        Image.fromarray(np.ascontiguousarray(image)).save(tmp_path / f"{i}.png")
    n = len(images)
    table = pd.DataFrame(
        {"path": [str(tmp_path / f"{i}.png") for i in range(n)], "label": np.arange(n) % classes,
         "class_name": [f"c{i % classes}" for i in range(n)],
         "split": ["train", "test"] * (n // 2) + ["train"] * (n % 2), "group": "", "clean": True,
         "width": [i.shape[1] for i in images], "height": [i.shape[0] for i in images], "mode": "L",
         "source": "x", "voxel_width": np.nan})
    measured = quality.measure_quality(table["path"])
    assert len(measured) == n and measured["touches_border"].dtype == bool
    assert len(quality.measure_quality([])) == 0
    assert label_errors.edge_features(table["path"]).shape == (n, 512)
    assert np.isfinite(shortcuts.metadata_features(table)).all()
    features = shortcuts.shortcut_features(table, measured)
    assert all(len(x) == n and np.isfinite(x).all() for x in features.values())
    np.testing.assert_array_equal(shortcuts.known_labels(table.assign(true_label=7)), 7)
    told = answer(shortcuts.shortcut_accuracies, table, {"size": features["file size"]}, 3, 20,
                  refuses=(ValueError,))
    assert (told is None) == (len(set(table["label"][table["split"] == "train"])) < 2)
    if told is not None:
        assert told["accuracy"].between(0, 1).all()
    shares_of = quality.intensity_histograms(
        table, {"own": lambda image: image, "unit": lambda image: image / 255}, per_class=2, bins=8)
    assert np.allclose(shares_of.groupby(["stage", "class_name"])["share"].sum(), 1)


@given(labels=st.sampled_from(["two", "missing", "one class", "none", "few groups"]),
       kind=st.sampled_from(["noise", "constant", "nan", "strided"]))
@SLOW
def test_label_suspects(labels, kind):
    n = 40
    x = np.random.default_rng(0).normal(size=(n, 6))
    if kind == "constant":
        x[:] = 3
    if kind == "nan":
        x[4, 3] = np.nan
    if kind == "strided":
        x = np.repeat(x, 2, axis=1)[:, ::2]
    ids = {"two": np.arange(n) % 2, "missing": np.arange(n) % 3 - 1, "one class": np.zeros(n, int),
           "none": np.full(n, -1), "few groups": np.arange(n) % 2}[labels]
    groups = np.array([f"g{i % 4 if labels == 'few groups' else i}" for i in range(n)])
    found = answer(label_errors.label_errors, x, ids, groups, refuses=(ValueError,))
    assert (found is None) == (labels in ("one class", "none", "few groups") or kind == "nan")
    if found is None: return
    assert (len(found) == (ids >= 0).sum()
            and sorted(found["row"]) == list(np.flatnonzero(ids >= 0))
            and found["quality"].is_monotonic_increasing)
    assert found["probability"].between(0, 1).all() and list(found["rank"]) == list(
        range(1, len(found) + 1))
    if labels == "two":
        p = label_errors.held_out_probabilities(x, ids, groups)
        np.testing.assert_allclose(p.sum(axis=1), 1)


def test_planes_are_learnt_from_small_pictures():
    rng = np.random.default_rng(0)
    weights = plane_module.learn_planes(
        [rng.integers(0, 256, (20, 16)).astype(np.uint8) for _ in range(6)],
        list(anatomy_module.PLANES) * 2, variants=1)
    assert weights.shape == (73, 2) and np.isfinite(weights).all()


# Phantoms -----------------------------------------------------------------------------------------

@given(mask=hnp.arrays(bool, st.tuples(*[st.integers(1, 7)] * 3)),
       spacing=st.sampled_from([.5, 2.]))
def test_distances_of_volumes(mask, spacing):
    distance = anatomy_module.signed_distance(mask, spacing)
    assert distance.dtype == np.float32 and distance.shape == mask.shape
    if mask.any() and not mask.all():
        assert (distance[mask] < 0).all() and (distance[~mask] > 0).all()
    if mask.any():
        assert anatomy_module.close_mask(mask, 1, spacing).shape == mask.shape
    volume = mask.astype(np.float32)
    places = np.argwhere(mask)
    np.testing.assert_allclose(
        anatomy_module.sample_volume(volume, places * spacing, np.zeros(3), spacing), 1)
    far = anatomy_module.sample_volume(
        volume, np.full((3, 3), 1e4), np.zeros(3), spacing, outside=-7)
    assert (far == -7).all()


def test_the_atlas_is_kept_and_a_damaged_copy_is_measured_again(tmp_path, monkeypatch):
    atlas, asked = anatomy_module.measure_atlas(), []
    monkeypatch.setenv("BRAINCLUST_CACHE", str(tmp_path))
    monkeypatch.setattr(anatomy_module, "measure_atlas", lambda: asked.append(1) or atlas)
    def loaded() -> int:
        for name, volume in vars(anatomy_module.load_atlas.__wrapped__()).items():
            assert volume.dtype == getattr(atlas, name).dtype and np.array_equal(
                volume, getattr(atlas, name))
        return len(asked)
    assert [loaded(), loaded()] == [1, 1]
    kept, = (tmp_path / "measured").glob("atlas-*.parquet")
    with open(kept, "r+b") as file:
        file.seek(10**6)
        file.write(b"rubbish")
    assert [loaded(), loaded()] == [2, 2]


@given(x=hnp.arrays(np.float32, st.tuples(st.integers(0, 6), st.integers(1, 5), st.just(3)),
                    elements=st.floats(-150, 150, width=32)), seed=seeds(),
       how=st.sampled_from(LAYOUTS))
def test_geometry_of_heads(x, seed, how):
    rng, atlas, x = np.random.default_rng(seed), anatomy_module.load_atlas(), untidy(x, how)
    np.testing.assert_allclose(rendering.length_of(x), np.linalg.norm(x, axis=-1), atol=1e-3)
    for distance in (rendering.ellipsoid(x, (0, 0, 0), (9, 8, 7)),
                     rendering.capsule(x, (0, 0, 0), (0, 0, 9), 3),
                     anatomy_module.skull_depth(atlas, x)):
        assert distance.shape == x.shape[:-1] and np.isfinite(distance).all()
        cover = rendering.coverage(distance, .5)
        assert 0 <= cover.min(initial=0) and cover.max(initial=1) <= 1
        mixed = rendering.blend(np.zeros_like(cover), cover, 1.)
        np.testing.assert_allclose(mixed, cover)
    white, grey, fluid, brain = anatomy_module.tissue_fractions(atlas, x)
    np.testing.assert_allclose(white + grey + fluid, 1, atol=1e-5)
    anatomy, waves = anatomy_module.draw_anatomy(rng), anatomy_module.draw_waves(rng, 20., 2)
    assert anatomy_module.evaluate_waves(waves, x).shape == (*x.shape[:-1], 2)
    assert (phantoms.bias_field(waves, x, .1) > 0).all()
    depth = anatomy_module.skull_depth(atlas, x)
    assert np.isfinite(rendering.skin_distance(anatomy, x, depth)).all()
    there = anatomy_module.to_atlas(anatomy, x)
    assert there.shape == x.shape and np.isfinite(there).all()
    if x.size and np.abs(x[0, 0]).max() < 60:
        np.testing.assert_allclose(anatomy_module.to_patient(anatomy, there[0, 0]), x[0, 0], atol=1)
    for name in ("glioma", "meningioma", "pituitary"):
        tumour = tumours.draw_tumour(rng, atlas, name)
        assert (np.isfinite(tumours.tumour_distance(tumour, x)).all()
                and np.isfinite(tumours.push_aside(tumour, x)).all())
        surface = tumours.tumour_surface(tumour, x, anatomy_module.skull_depth(atlas, x), brain)
        assert surface.shape == x.shape[:-1] and np.isfinite(surface).all()
    with pytest.raises(ValueError, match="class_name must be glioma, meningioma or pituitary"):
        tumours.draw_tumour(rng, atlas, "knee")


@given(seed=st.integers(0, 50),
       kind=st.sampled_from(["glioma", "meningioma", "notumor", "pituitary"]),
       size=st.sampled_from([1, 8, 32]), far=st.booleans())
@SLOW
def test_heads_are_painted_anywhere(seed, kind, size, far):
    atlas = anatomy_module.load_atlas()
    patient, rng = phantoms.draw_patient(seed, kind, 0, atlas)
    x, width = anatomy_module.slice_points(rng, "axial", patient.focus + (900 if far else 0), size)
    x = anatomy_module.to_atlas(patient.anatomy, x)
    pixels, head = rendering.select_pixels(patient.anatomy, atlas, x, width)
    # a single pixel is wider than a head is known to be far
    assert len(pixels.points) == head.sum() and not (far and size > 1 and head.any())
    fractions, surface = tumours.brain_and_tumour(patient.tumour, atlas, pixels)
    soft = rendering.render_soft_tissue(pixels, patient.anatomy, patient.contrast)
    skull = rendering.render_skull(soft, pixels, patient.anatomy, patient.contrast)
    whole = rendering.render_healthy(pixels, fractions, patient.anatomy, patient.contrast)
    painted = [soft, skull, rendering.render_face(skull, pixels, patient.contrast), whole,
               rendering.render_brain(skull, pixels, fractions, patient.anatomy, patient.contrast),
               rendering.render_enhancing(skull, pixels, fractions, patient.contrast)]
    if patient.tumour is not None:
        painted.append(tumours.render_tumour(
                           whole, pixels, patient.tumour, surface, fractions[0], patient.contrast))
        parts = {"glioma": lambda: tumours.render_glioma(
                     whole, pixels, patient.tumour, surface, fractions[0], patient.contrast),
                 "meningioma": lambda: tumours.render_meningioma(
                     whole, pixels, patient.tumour, surface, patient.contrast),
                 "pituitary": lambda: tumours.render_pituitary(
                     whole, pixels, patient.tumour, surface, patient.contrast)}
        painted.append(parts[kind]())
    for image in painted:
        assert image.shape == (head.sum(),) and np.isfinite(image).all()
    for distance, tissue in rendering.neck_and_mouth(pixels) + rendering.eyes_and_nose(pixels):
        assert np.isfinite(distance).all() and tissue in patient.contrast
    picture = rendering.to_image(whole, head, -1)
    assert picture.shape == (size, size) and (picture[~head] == -1).all()
    signal, mask, brain = phantoms.render_patient(patient, atlas, x, width)
    assert (signal.shape == mask.shape == brain.shape == (size, size)
            and mask.dtype == brain.dtype == bool and not (kind == "notumor" and mask.any()))
    image, mask, brain = phantoms.render_slice(patient, atlas, rng, "coronal", size)
    assert image.dtype == np.uint8 and image.shape == mask.shape == brain.shape == (size, size)


@given(signal=hnp.arrays(np.float64, st.tuples(st.integers(1, 9), st.integers(1, 9)),
                         elements=st.floats(0, 2)), noise=st.sampled_from([0., .02]), seed=seeds())
def test_scanning_any_signal(signal, noise, seed):
    with np.errstate(all="raise", under="ignore"):
        image = phantoms.simulate_scanner(
            np.random.default_rng(seed), signal, np.ones_like(signal), noise)
    assert image.dtype == np.uint8 and image.shape == signal.shape
    if not noise and not signal.any():
        assert not image.any()
    assert (phantoms.add_rician_noise(np.random.default_rng(seed), signal, noise) >= 0).all()


@pytest.mark.parametrize("settings", [dict(patients_per_class=0), dict(image_size=8),
                                      dict(test_fraction=1.), dict(slices_per_patient=0),
                                      dict(test_fraction=np.nan)], ids=str)
def test_phantoms_that_cannot_be(settings):
    with pytest.raises(ValueError) as error:
        phantoms.make_phantoms(
            **{"patients_per_class": 1, "slices_per_patient": 1, "image_size": 32, **settings})
    sentence(error.value)


# Audit --------------------------------------------------------------------------------------------

@st.composite
def audited(draw) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A table as `read_images` gives it, its classes and splits of any name, and its pairs."""
    table = draw(scan_tables())
    names = draw(
        st.sampled_from(
            [("", "a", "b", "c", "d"), ("", "<b>", "(x)", "骨", "=1+1"), ("",) * 5, ("a",) * 5]))
    splits = draw(
        st.sampled_from([("train", "test"), ("", ""), ("val", "test"), ("train", "site <b>")]))
    table = table.reset_index(drop=True).assign(
        class_name=[names[label + 1] for label in table["label"]], grey_std=40.0, mode="L",
        frame=-1, split=[splits[s == "test"] for s in table["split"]])
    table["name"] = [Path(path).name for path in table["path"]]
    found = pairs_of(table, draw(seeds()))
    row = {path: i for i, path in enumerate(table["path"])}
    return table, found.assign(
        a=found["path_a"].map(row).astype(int), b=found["path_b"].map(row).astype(int)
    ).drop(columns=["path_a", "path_b"])


@SLOW
@given(both=audited(), limit=st.integers(0, 5))
def test_an_audit_of_any_table(both, limit, tmp_path):
    table, found = both
    pairs = audit.describe_pairs(table, found)
    assert (len(pairs) == len(found) and set(pairs["kind"]) <= set(audit.KINDS)
            and not (pairs["leak"] & (pairs["split_a"] == pairs["split_b"])).any())
    table = audit.add_pictures(table, pairs)
    shown = table["picture"].nunique()
    assert table["duplicate_group"].nunique() <= shown == table["pixels_sha256"].nunique()
    near = audit.near_pictures(table, pairs)
    assert set(map(tuple, near[["picture", "other"]].to_numpy())) == set(
        map(tuple, near[["other", "picture"]].to_numpy()))
    leaks = audit.leak_table(table, near)
    assert (list(leaks) == audit.LEAK_COLUMNS and (leaks["leaked"] <= leaks["images"]).all()
            and leaks["leaked_fraction"].between(0, 1).all())
    counts = audit.count_leaks(table, set(table["picture"]), near)
    assert counts["images"].iloc[-1] == len(table) == counts["exact"].iloc[-1]
    kept, contested = audit.choose_kept(table, pairs), audit.contested_images(table, pairs)
    chosen = table[kept]
    assert (chosen["duplicate_group"].is_unique and kept.dtype == bool
            and not (contested & (table["class_name"] == "")).any())
    worst = audit_report.worst_pairs(pairs, table["duplicate_group"].to_numpy(), limit)
    assert (len(worst) <= max(limit, 0) + 1
            and not pd.Series(table["duplicate_group"].to_numpy()[worst["a"]]).duplicated().any())
    unreadable = pd.DataFrame(
        {"name": ["x <b>.png"], "reason": ["blank: standard deviation 0.0 grey levels"]})
    summary = audit_report.summarise_audit(table, pairs, leaks, contested, unreadable)
    json.dumps(summary)
    assert (summary["images"] == len(table) and sum(summary["pairs"].values()) == len(pairs)
            and summary["blank"] == 1)
    said = audit.verdict(summary, leaks)
    assert all(s.endswith(".") and "\n" not in s for s in said)
    for row in leaks.itertuples():
        sentence(ValueError(audit.leak_sentence(row)))
    assert audit_report.count_table(table).iloc[-1, -1] == len(table)
    tables = audit_report.audit_tables(table, pairs, kept, unreadable)
    assert (len(pd.read_csv(io.StringIO(tables["pairs.csv"]))) == len(pairs)
            and len(pd.read_csv(io.StringIO(tables["keep.csv"]))) == kept.sum())
    (tmp_path / "a.png").write_bytes(small_files()[".png"])
    shown = table.assign(path=str(tmp_path / "a.png"))
    sections = audit_report.page_sections(shown, pairs, limit)
    assert sum(section["total"] for section in sections) == len(pairs)
    assert len(audit_report.pair_cards(worst, shown)) == len(worst)
    full = {**summary, "folder": "<b>", "date": "", "threshold": 0.99, "command": "<i>", "keep": 1,
            "remarks": ["<u>"], "versions": {}, "seconds": 1.0}
    page = audit_report.render_page(full, shown, pairs, leaks, unreadable, limit)
    assert (not any(f"<{tag}>{text}" in page for tag, text in (("i", ""), ("u", "")))
            and "x &lt;b&gt;.png" in page)
    assert len(audit_report.failures(summary, audit_report.FAILURES)) <= 3


@given(parts=st.lists(st.lists(st.sampled_from(["train", "Testing", "val", "a", "b", "骨",
                                                "unlabelled"]), max_size=4), max_size=6))
def test_any_folders_are_placed(parts):
    files = [Path(*folders, f"{i}.png") for i, folders in enumerate(parts)]
    placed = audit.place_by_folders(files)
    assert (list(placed["file"]) == files and set(placed["split"]) <= {"", "train", "val", "test"}
            and "unlabelled" not in set(placed["class_name"]))
    names = labels_module.labels_from_tree
    assert answer(
        names, files, ("a", "b", "骨"), Path("scans"), refuses=(ValueError,)
    ) is None or len(names(files, ("a", "b", "骨"), Path("scans"))) == len(files)


@given(images=st.lists(pictures(smallest=8, largest=40), min_size=1, max_size=5))
@SLOW
def test_a_folder_of_any_pictures_is_audited(images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("audit")
    for i, image in enumerate(images):
        (folder / "in" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.ascontiguousarray(image)).save(folder / "in" / "ab"[i % 2] / f"{i}.png")
    summary = answer(
        audit_report.audit_folder, folder / "in", folder / "out", refuses=(ValueError,), workers=1)
    assert (summary is None) == (max(image.std() for image in images) < 5)
    table, unreadable, remarks = audit.read_images(
        folder / "in", cache_folder=folder / "cache", workers=1)
    assert len(table) + len(unreadable) == len(images)
    if summary is None: return
    left, small, blank = audit.set_blank_aside(table)
    assert len(left) + len(blank) == len(images) and len(small) == len(left)
    assert len(audit.find_pairs(left, small)) == sum(summary["pairs"].values()) and summary[
        "blank"] == len(blank)


# Collections --------------------------------------------------------------------------------------

class Oracle:
    """Answers as a predictor does, from the slices' mean grey."""
    classes_ = ["a", "notumor"]
    description = {"cluster_classes": [0, 1, 1]}
    mixture = type("Mixture", (), {"weights": [1, 1, 1]})

    def outputs(self, images):
        return {"embeddings": images.reshape(len(images), -1)[:, :4].astype(np.float32),
                "sets": np.zeros((len(images), 2), bool),
                "cluster": images.mean((1, 2)).astype(int) % 3}
    def describe(self, outputs):
        return pd.DataFrame(
            {"class": "a", "abstain": False, "cluster": outputs["cluster"], "ood_score": 0.0,
             "in_distribution": True, "more": 1})


@given(images=stacks(most=12, side=8), block=st.integers(1, 5),
       labels=st.sampled_from(["missing", "one class", "some"]),
       group=st.sampled_from(["", "p", "own"]))
@SLOW
def test_collections_of_any_slices(images, block, labels, group):
    n = len(images)
    found = collection.predict_slices(Oracle(), images, block)
    for name, values in collection.predict_slices(Oracle(), images).items():
        np.testing.assert_array_equal(found[name], values)
    assert found["embeddings"].dtype == np.float16 and found["sets"].dtype == np.uint8
    table = pd.DataFrame(
        {"path": [f"{i}.png" for i in range(n)],
         "label": {"missing": -1, "one class": 0, "some": np.arange(n) % 3 - 1}[labels],
         "plane": "", "source": "<b>",
         "group": [f"p{i}" if group == "own" else group for i in range(n)]}
    ).join(collection.describe(Oracle(), found))
    whole = collection.Collection(table, images, found, pd.DataFrame())
    assert len(whole) == n and len(collection.cluster_names(Oracle())) == 3
    for cluster in range(4):
        rows = collection.typical_slices(whole, cluster)
        assert len(set(rows)) == len(rows) <= 6 and (table["cluster"][rows] == cluster).all()
        assert not (group == "p" and len(rows) > 1)
        card = collection.cluster_card(whole, cluster, ["a", "notumor"])
        assert (card["slices"] == (table["cluster"] == cluster).sum()
                == sum(card["labels"].values()) == sum(card["planes"].values()))


@given(x=points(least=1, most=12).filter(lambda x: x.shape[1] > 1)
       | st.just(np.zeros((0, 3), np.float32)), max_slices=st.integers(0, 12))
@SLOW
def test_slices_are_placed_on_a_square(x, max_slices):
    places = collection.map_slices(x, max_slices)
    shown = np.isfinite(places).all(axis=1)
    assert (places.shape == (len(x), 2) and places.dtype == np.float32
            and shown.sum() == (min(len(x), max_slices) if min(len(x), max_slices) >= 4 else 0))
    assert 0 <= places[shown].min(initial=0) and places[shown].max(initial=1) <= 1


def test_a_run_whose_slices_are_gone_is_named(tmp_path):
    table = pd.DataFrame(
        {"path": [str(tmp_path / "gone.png")], "sha256": ["00"], "label": [-1], "true_label": [0],
         "split": ["train"], "plane": [""]})
    save_table(tmp_path / "scans.parquet", table)
    with pytest.raises(ValueError, match="no longer there") as error:
        collection.slices_of_run(tmp_path)
    sentence(error.value)
    (tmp_path / "gone.png").touch()
    scans, pairs = collection.slices_of_run(tmp_path)
    assert list(scans) == collection.SLICE_COLUMNS and len(pairs) == 0 and scans["label"][0] == -1


# Completeness -------------------------------------------------------------------------------------

PLAIN, TEXT = ("a class of plain data, or an error",
               "takes names, numbers or a random generator; no image, table or array")
WITHIN = "takes a parsed header or the path of a file; every damaged file above passes through it"
