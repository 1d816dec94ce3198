"""Channels that are sequences, and volumes of one file: noticed, chosen, and kept through a run."""
import gzip
import io
import json

import cv2
import nibabel
import numpy as np
import pandas as pd
import pytest
import tifffile
from hypothesis import given, strategies as st
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from brainclust.core.config import make_config
from brainclust.core.setting_types import channel_setting
from brainclust.data import channels, several_volumes
from brainclust.data.images import (
    UnreadableSlice,
    decode_channels,
    decode_picture,
    picture_channels,
    stretch_to_uint8,
)
from brainclust.data.scan_files import inspect_file
from brainclust.data.scan_table import note_sentences, read_scan_table
from brainclust.data.slices import decode_slice, read_slice
from brainclust.data.volumes import choose_frames, decode_multiframe, decode_nifti, load_nifti
from brainclust.imaging.slice_cache import build_slice_cache

GREYS = np.array([[0, 220, 60, 110, 150, 90], [0, 160, 30, 140, 100, 230],
                  [0, 225, 70, 120, 155, 240], [0, 40, 250, 130, 80, 200],
                  [0, 90, 200, 60, 170, 30]])  # of air and five tissues in five sequences


def sequences(count: int, side: int = 96, seed: int = 0) -> np.ndarray:
    """Show one head by several sequences: uint8 (side, side, count)."""
    rng = np.random.default_rng(seed)
    radius = np.hypot(*(np.mgrid[:side, :side] - side / 2)) + 3 * np.sin(np.arange(side) / 4)
    tissue = np.digitize(-radius, np.array([-.45, -.4, -.31, -.14]) * side)
    tissue[side // 3:side // 2, side // 2:2 * side // 3] = 5
    noisy = GREYS[:count, tissue] + rng.normal(0, 3, (count, side, side))
    return np.moveaxis(np.clip(noisy, 0, 255), 0, -1).astype(np.uint8)


def saved(values, suffix: str, **options) -> bytes:
    """Return the bytes of a picture."""
    Image.fromarray(values).save(file := io.BytesIO(), suffix, **options)
    return file.getvalue()


def tiff(values, **options) -> bytes:
    """Return the bytes of a TIFF file."""
    tifffile.imwrite(file := io.BytesIO(), values, **options)
    return file.getvalue()


RGB = sequences(3)
FOUR = sequences(4)
FIVE = sequences(5)
DEEP = FIVE.astype(np.uint16) * 257
PLANAR = {"photometric": "minisblack", "planarconfig": "separate"}
CONTIGUOUS = {"photometric": "minisblack", "planarconfig": "contig"}
COLOURED = {  # name: bytes, values in the order of the channels
    "png": (saved(RGB, "PNG"), RGB),
    "bmp": (saved(RGB, "BMP"), RGB),
    "webp": (saved(RGB, "WEBP", lossless=True), RGB),
    "png, opaque": (saved(np.dstack([RGB, RGB[..., 0] * 0 + 255]), "PNG"), RGB),
    "png, four sequences": (saved(FOUR, "PNG"), FOUR),
    "png, two sequences": (saved(RGB[..., :2].copy(), "PNG"), RGB[..., :2]),
    "png, 16 bits": (cv2.imencode(".png", DEEP[..., 2::-1])[1].tobytes(), DEEP[..., :3]),
    "png, four of 16 bits": (
        cv2.imencode(".png", DEEP[..., [2, 1, 0, 3]])[1].tobytes(), DEEP[..., :4]),
    "tiff": (saved(RGB, "TIFF"), RGB),
    "tiff, 16 bits": (tiff(DEEP[..., :3], photometric="rgb"), DEEP[..., :3]),
    "tiff, floats": (tiff(DEEP[..., :3] / np.float32(9), photometric="rgb"), DEEP[..., :3]),
    "tiff, planes": (tiff(np.moveaxis(RGB, -1, 0).copy(), photometric="rgb",
                          planarconfig="separate"), RGB),
    "tiff, two": (tiff(RGB[..., :2].copy(), **CONTIGUOUS), RGB[..., :2]),
    "tiff, three without a meaning": (tiff(RGB, **CONTIGUOUS), RGB),
    "tiff, four planes": (tiff(np.moveaxis(FOUR, -1, 0).copy(), **PLANAR), FOUR),
    "tiff, five of 16 bits": (tiff(DEEP, **CONTIGUOUS), DEEP),
    "tiff, RGB and two more": (tiff(FIVE, photometric="rgb", extrasamples=[0, 0]), FIVE),
    "tiff, RGB and a fourth as opacity": (
        tiff(FOUR, photometric="rgb", extrasamples=["unassalpha"]), FOUR),
}


def expected(plane: np.ndarray) -> np.ndarray:
    """Return a channel as a grey file of its own would be shown."""
    return plane if plane.dtype == np.uint8 else stretch_to_uint8(plane)


@pytest.mark.parametrize("name", COLOURED)
def test_each_channel_comes_back_and_differing_channels_are_noted(name, tmp_path):
    """Choose every channel of every format, and refuse the one after the last."""
    data, values = COLOURED[name]
    count = values.shape[-1]
    suffix = "." + name.split(",")[0]
    (path := tmp_path / f"slice{suffix}").write_bytes(data)
    for channel in range(count):
        decoded = decode_picture(data, channel)
        difference = decoded.pixels.astype(int) - expected(values[..., channel])
        assert np.abs(difference).max() <= ("floats" in name)
        assert decoded.facts["channel"] == str(channel)
        assert "notes" not in decoded.facts
        np.testing.assert_array_equal(read_slice(path, channel=str(channel)), decoded.pixels)
    with pytest.raises(UnreadableSlice, match=rf"channel missing: the file has {count} channels"):
        read_slice(path, channel=count)
    assert decode_picture(data).facts["notes"] == (f"channels differ: {count} channels",)
    mean = decode_picture(data, "mean").pixels
    exact = values.mean(-1, dtype=float)
    exact = exact if values.dtype == np.uint8 else expected(exact)
    np.testing.assert_allclose(mean, exact, atol=1)


def test_luminance_is_that_of_pillow():
    """Mix bytes without a choice exactly as Pillow does."""
    values = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    np.testing.assert_array_equal(channels.mix_channels(values),
                                  np.array(Image.fromarray(values).convert("L")))
    np.testing.assert_array_equal(picture_channels(Image.fromarray(values)), values)


@given(st.integers(0, 2**16 - 1), st.integers(3, 5), st.sampled_from([None, 0, 2, "mean"]))
def test_equal_channels_give_the_channel_back(value, count, choice):
    """Return deep values exactly, whatever is chosen."""
    values = np.full((2, 2, count), value, np.uint16)
    np.testing.assert_array_equal(channels.mix_channels(values, choice), values[..., 0])


def jpeg(values: np.ndarray, quality: int) -> np.ndarray:
    """Compress colour with chroma at half the resolution."""
    return np.asarray(Image.open(io.BytesIO(saved(values, "JPEG", quality=quality))))


GREY = np.stack([RGB[..., 0]] * 3, -1)
RAMP = RGB[..., :1].astype(float)
ARROW = GREY.copy()
ARROW[70:74, 10:50] = (255, 30, 0)
TEXT = GREY.copy()
cv2.putText(TEXT, "R 12345", (2, 12), cv2.FONT_HERSHEY_SIMPLEX, .4, (255, 255, 0), 1)
SILENT = {
    "grey": GREY, "grey as JPEG": jpeg(GREY, 40), "noise": np.clip(
        GREY + np.random.default_rng(1).normal(0, 3, GREY.shape), 0, 255).astype(np.uint8),
    "warm": (GREY * [1, .9, .75]).astype(np.uint8),
    "cold JPEG": jpeg((GREY * [.85, .95, 1]).astype(np.uint8), 50),
    "sepia": np.clip(RAMP * [1.35, 1.2, .93], 0, 255).astype(np.uint8),
    "gamma": (255 * (RAMP / 255) ** [.8, 1, 1.25]).astype(np.uint8),
    "arrow": ARROW, "text": TEXT, "black": GREY * 0}


@pytest.mark.parametrize("name", SILENT)
def test_grey_in_colour_stays_silent(name):
    """Give no note on noise, tints and small annotations, and need no channel of them."""
    assert channels.channel_difference(SILENT[name]) < channels.DIFFERENT_CHANNELS / 2
    data = saved(SILENT[name], "PNG")
    assert "notes" not in decode_picture(data).facts
    assert decode_picture(data, 7).facts.get("channel", "") == ""
    np.testing.assert_array_equal(decode_picture(data, 7).pixels, decode_picture(data).pixels)


@pytest.mark.parametrize("values", [
    RGB, jpeg(RGB, 60), (RGB * .5).astype(np.uint8), RGB[..., [1, 1, 2]], RGB[..., [0, 1, 1]],
    np.stack([np.roll(RGB[..., 0], shift, 1) for shift in (-4, 0, 4)], -1),  # neighbouring slices
    RGB[..., :2], FIVE, DEEP, DEEP * np.array([1, .2, .02, 1, 1])], ids=str)
def test_different_pictures_are_noticed(values):
    """Notice sequences, dim ones, two of three equal, neighbours, and deep ones of any range."""
    assert channels.channel_difference(values) > channels.DIFFERENT_CHANNELS


def test_opacity_is_kept_apart_from_a_sequence():
    """Lay real opacity on black for the chosen channel; read a sequence there as it is."""
    disc = np.hypot(*(np.mgrid[:96, :96] - 48)) < 40
    masked = np.dstack([RGB, disc * np.uint8(255)])
    np.testing.assert_array_equal(decode_picture(saved(masked, "PNG"), 1).pixels,
                                  RGB[..., 1] * disc)
    deep = decode_channels(masked.astype(np.uint16) * 257, has_opacity=True, channel=2)
    np.testing.assert_array_equal(deep.pixels, stretch_to_uint8(RGB[..., 2] * disc))
    assert channels.is_opacity(masked[..., 3])
    assert not channels.is_opacity(FOUR[..., 3])
    stored, opacity, choice, facts = channels.settle_channels(FOUR, True, 3)
    assert (stored.shape, opacity, choice, facts) == (FOUR.shape, None, 3, {"channel": "3"})
    assert channels.choose_channel(RGB[..., 0], 5, {"plane": "axial"}) == (None, {"plane": "axial"})


@pytest.mark.parametrize(("given_value", "read"), [
    (None, None), ("", None), (0, 0), ("1", 1), (" 2 ", 2), ("mean", "mean"), ("MEAN", "mean"),
    (np.int64(2), 2)])
def test_channels_may_be_text(given_value, read):
    """Take a channel from a command line, from YAML and from NumPy."""
    assert channel_setting(given_value) == read
    assert make_config(channel=given_value).channel == read


@pytest.mark.parametrize("wrong", ["red", -1, True, 1.5, [1], "1000000"])
def test_other_channels_are_refused(wrong):
    """Refuse what is not a channel, in one sentence that names the setting."""
    with pytest.raises(ValueError, match="channel must be 0, 1, 2, … or mean"):
        make_config(channel=wrong)
    with pytest.raises(ValueError, match="channel must be 0, 1, 2, … or mean"):
        channel_setting(wrong)
    assert make_config(volume_index="3").volume_index == 3
    with pytest.raises(ValueError, match="volume_index must be"):
        make_config(volume_index=-1)


# Volumes of one file ------------------------------------------------------------------------------

BRAIN = np.stack([np.roll(sequences(1, 40)[..., 0], i, 0) for i in range(6)], -1)  # (40, 40, 6)


def nifti(path, values, **options):
    """Write a NIfTI file and return its path."""
    image = nibabel.Nifti1Image(values, np.diag([1, 1, 2, 1]), **options)
    content = image.to_bytes()
    path.write_bytes(gzip.compress(content, 1) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize("shape", [(4,), (1, 3), (2, 3), (1, 1, 2)])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_every_volume_of_nifti_equals_its_own_file(shape, suffix, tmp_path):
    """Read volume n of a file of four to six dimensions as if it were saved alone."""
    rng = np.random.default_rng(0)
    count = int(np.prod(shape))
    volumes = [(BRAIN.astype(np.int16) * (n + 2) + rng.integers(0, 9, BRAIN.shape)).astype(np.int16)
               for n in range(count)]
    stored = np.stack(volumes, -1).reshape(*BRAIN.shape, *shape, order="F")
    path = nifti(tmp_path / f"all{suffix}", stored)
    for n, values in enumerate(volumes):
        np.testing.assert_array_equal(load_nifti(path, n)[0], values)
        alone = decode_nifti(nifti(tmp_path / "one.nii", values))
        volume = decode_nifti(path, volume_index=n)
        np.testing.assert_array_equal(volume.slices, alone.slices)
        assert volume.facts[0]["notes"] == (f"several volumes: volume {n} of {count}",)
    with pytest.raises(UnreadableSlice, match=rf"holds {count} volumes, 0 to {count - 1}; got"):
        decode_nifti(path, volume_index=count)
    single = decode_nifti(tmp_path / "one.nii", volume_index=5)
    np.testing.assert_array_equal(single.slices, alone.slices)
    whole = path.read_bytes()
    (cut := tmp_path / f"cut{suffix}").write_bytes(whole[:len(whole) * 3 // 4])
    (fact,) = inspect_file(cut, tmp_path / "cache")
    assert fact["reason"].startswith("truncated")


def test_colour_voxels_of_nifti_have_channels(tmp_path):
    """Read the RGB type of NIfTI by luminance with a note, or one channel."""
    parts = np.stack([BRAIN, GREYS[1][np.digitize(BRAIN, [40, 80, 130, 200])], 255 - BRAIN], -1)
    kind = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    stored = np.ascontiguousarray(parts.astype(np.uint8)).view(kind)[..., 0]
    path = nifti(tmp_path / "rgb.nii.gz", stored)
    for channel in range(3):
        alone = nifti(tmp_path / "one.nii", parts[..., channel].astype(np.uint8))
        volume = decode_nifti(path, channel=channel)
        np.testing.assert_array_equal(volume.slices, decode_nifti(alone).slices)
        assert volume.facts[0]["channel"] == str(channel)
    assert decode_nifti(path).facts[0]["notes"] == ("channels differ: 3 channels",)
    with pytest.raises(UnreadableSlice, match="channel missing"):
        decode_nifti(path, channel=3)


def enhanced(path, frames, **columns):
    """Write an enhanced DICOM file with attributes of each frame, by keyword."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4.1"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.Modality = "MR"
    dataset.Rows, dataset.Columns = frames.shape[1:3]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 0
    dataset.NumberOfFrames = len(frames)
    dataset.PixelData = frames.astype(np.uint16).tobytes()
    places = {"EffectiveEchoTime": "MREchoSequence", "DiffusionBValue": "MRDiffusionSequence",
              "FrameType": "MRImageFrameTypeSequence",
              "ImagePositionPatient": "PlanePositionSequence",
              "FlipAngle": "MRTimingAndRelatedParametersSequence"}
    groups = []
    for row in zip(*columns.values()):
        group = Dataset()
        for keyword, value in zip(columns, row):
            name = places.get(keyword, "FrameContentSequence")
            if name not in group:
                setattr(group, name, Sequence([Dataset()]))
            setattr(group[name].value[0], keyword, value)
        groups.append(group)
    dataset.PerFrameFunctionalGroupsSequence = Sequence(groups)
    dataset.save_as(path, enforce_file_format=True)
    return path


SLICES = np.moveaxis(BRAIN, -1, 0).astype(np.uint16)  # (6, 40, 40)
AT = [[0., 0., float(z)] for z in range(3)]


@pytest.mark.parametrize(("columns", "volumes", "by"), [
    ({"ImagePositionPatient": [p for p in AT for _ in (0, 1)],
      "EffectiveEchoTime": [5., 10.] * 3}, [[0, 2, 4], [1, 3, 5]], " by echo time 5 and 10 ms"),
    ({"ImagePositionPatient": AT * 2, "EffectiveEchoTime": [80.] * 3 + [20.] * 3},
     [[3, 4, 5], [0, 1, 2]], " by echo time 20 and 80 ms"),
    ({"InStackPositionNumber": [1, 2, 3] * 2, "StackID": ["1"] * 6,
      "TemporalPositionIndex": [1, 1, 1, 2, 2, 2]}, [[0, 1, 2], [3, 4, 5]], " by time 1 and 2"),
    ({"ImagePositionPatient": AT * 2, "DiffusionBValue": [0.] * 3 + [1000.] * 3},
     [[0, 1, 2], [3, 4, 5]], " by b-value 0 and 1000"),
    ({"InStackPositionNumber": [1, 2, 3] * 2, "StackID": list("111222")},
     [[0, 1, 2], [3, 4, 5]], " by stack"),
    ({"ImagePositionPatient": AT * 2, "FrameType": [["ORIGINAL", "PRIMARY", "M", "NONE"]] * 3
      + [["ORIGINAL", "PRIMARY", "PHASE MAP", "NONE"]] * 3},
     [[0, 1, 2], [3, 4, 5]], " by frame type"),
    ({"ImagePositionPatient": AT * 2}, [[0, 1, 2], [3, 4, 5]], " by repeated positions"),
    ({"InStackPositionNumber": [1] * 6, "TemporalPositionIndex": [1, 2, 3, 4, 5, 6]},
     [[0], [1], [2], [3], [4], [5]], " by time"),
    ({"ImagePositionPatient": [p for p in AT for _ in (0, 1)], "EffectiveEchoTime": [5., 5.] * 3,
      "TemporalPositionIndex": [1, 2] * 3}, [[0, 2, 4], [1, 3, 5]], " by time 1 and 2"),
])
def test_volumes_of_enhanced_dicom_are_told_apart(columns, volumes, by, tmp_path):
    """Choose an echo, time, b-value, stack, frame type or repetition, in order of its value."""
    from pydicom import dcmread
    path = enhanced(tmp_path / "enhanced.dcm", SLICES, **columns)
    count = len(volumes)
    for n, chosen in enumerate(volumes):
        volume = decode_multiframe(path, volume_index=n)
        assert list(volume.frames) == chosen
        alone = enhanced(tmp_path / "alone.dcm", SLICES[chosen])
        if count < 6:
            np.testing.assert_array_equal(volume.slices, decode_multiframe(alone).slices)
        assert volume.facts[0]["notes"][-1] == f"several volumes: volume {n} of {count}{by}"
    assert choose_frames(dcmread(path))[0] == volumes[0]
    (fact,) = inspect_file(path, tmp_path / "cache", volume_index=count)
    assert fact["reason"].startswith(f"volume missing: the file holds {count} volumes{by}, 0 to")


@pytest.mark.parametrize("columns", [
    {"ImagePositionPatient": [[0., 0., float(z)] for z in range(6)]},
    {"ImagePositionPatient": [[0., 0., float(z)] for z in range(6)],
     "FlipAngle": [15., 16., 17., 18., 19., 20.]},
    {"ImagePositionPatient": [[0., 0., float(z)] for z in range(6)], "StackID": ["1"] * 6,
     "EffectiveEchoTime": [5.] * 6},
    {"InStackPositionNumber": list(range(1, 7)), "TemporalPositionIndex": [1] * 6}, {}])
def test_one_volume_is_read_whole(columns, tmp_path):
    """Read every frame, whatever is chosen, where attributes change only along the slices."""
    path = enhanced(tmp_path / "enhanced.dcm", SLICES, **columns)
    for index in (0, 3):
        volume = decode_multiframe(path, volume_index=index)
        assert list(volume.frames) == list(range(6))
        assert not any("several" in note for note in volume.facts[0]["notes"])


def test_declared_dimensions_tell_volumes_apart(tmp_path):
    """Use the dimensions that a file declares where no known attribute is there."""
    from pydicom import dcmread
    path = enhanced(tmp_path / "enhanced.dcm", SLICES,
                    DimensionIndexValues=[[1, z, t] for z in (1, 2, 3) for t in (1, 2)])
    dataset = dcmread(path)
    dataset.DimensionIndexSequence = Sequence()
    for keyword in ("StackID", "InStackPositionNumber", "InversionTimes"):
        from pydicom.datadict import tag_for_keyword
        item = Dataset()
        item.DimensionIndexPointer = tag_for_keyword(keyword)
        dataset.DimensionIndexSequence.append(item)
    dataset.save_as(path)
    dataset = dcmread(path)
    assert several_volumes.declared_dimensions(dataset)[1:] == [
        "InStackPositionNumber", "InversionTimes"]
    frames, notes = choose_frames(dataset, 1)
    assert frames == [1, 3, 5]
    assert notes == ("several volumes: volume 1 of 2 by inversion time 1 and 2 ms",)


def test_thousands_of_frames_are_divided_at_once():
    """Divide 20,000 frames in a moment."""
    found = [{"position": z, "TemporalPositionIndex": float(t)}
             for t in range(200) for z in range(100)]
    places, by = several_volumes.divide_frames(found)
    assert (max(places), places.count(7), by) == (199, 100, " by time")
    assert several_volumes.divide_frames([]) == ([], "")
    assert several_volumes.choose_volume(1, 9) == (0, ())


def colour_dicom(path, frames, planar=0):
    """Write frames (F, H, W, 3) as one RGB file and return its path."""
    from pydicom import dcmread
    dataset = dcmread(enhanced(path, frames[..., 0], ImagePositionPatient=AT[:len(frames)]))
    stored = np.moveaxis(frames, -1, 1) if planar else frames
    dataset.SamplesPerPixel = 3
    dataset.PhotometricInterpretation = "RGB"
    dataset.PlanarConfiguration = planar
    dataset.BitsAllocated = dataset.BitsStored = 8 * frames.dtype.itemsize
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelData = stored.tobytes()
    dataset.save_as(path)
    return path


@pytest.mark.parametrize(("values", "planar"), [(RGB, 0), (RGB, 1), (DEEP[..., :3], 0)])
def test_colour_dicom_has_channels(values, planar, tmp_path):
    """Choose a channel of RGB slices and frames, and note that they were mixed otherwise."""
    path = colour_dicom(tmp_path / "one.dcm", values[None], planar)
    several = colour_dicom(tmp_path / "two.dcm", np.stack([values, values[::-1]]), planar)
    for channel in range(3):
        pixels = read_slice(path, channel=channel)
        np.testing.assert_array_equal(pixels, expected(values[..., channel]))
        volume = decode_multiframe(several, channel=channel)
        np.testing.assert_array_equal(volume.slices, [pixels, pixels[::-1]])
        assert volume.facts[1]["channel"] == str(channel)
    data = path.read_bytes()
    assert "channels differ: 3 channels" in decode_slice(data, ".dcm").facts["notes"]
    with pytest.raises(UnreadableSlice, match="channel missing"):
        decode_slice(data, ".dcm", 3)


# The way through a table --------------------------------------------------------------------------

def collection(folder, count: int = 6):
    """Write a folder of colour, grey and several volumes."""
    folder.mkdir()
    for n in range(count):
        (folder / f"colour{n}.png").write_bytes(saved(sequences(3, seed=n), "PNG"))
    (folder / "grey.png").write_bytes(saved(RGB[..., 0], "PNG"))
    nifti(folder / "four.nii", np.stack([BRAIN, 255 - BRAIN], -1))
    return folder


def test_one_sentence_names_count_and_remedy(tmp_path):
    """Warn once of colour that was mixed, with the number of files; say nothing after a choice."""
    folder = collection(tmp_path / "data")
    with pytest.warns(UserWarning) as caught:
        table, _ = read_scan_table(folder, cache_folder=tmp_path / "cache")
    sentences = [str(warning.message) for warning in caught]
    mixed = [s for s in sentences if "colour channels" in s]
    assert len(mixed) == 1
    assert mixed[0].startswith("6 of the files hold different pictures")
    assert "set channel to" in mixed[0]
    several = [s for s in sentences if "several volumes" in s]
    assert len(several) == 1
    assert "volume 0 of 2" in several[0] and "set volume_index" in several[0]
    assert set(table["channel"]) == {""}
    with pytest.warns(UserWarning) as caught:
        table, _ = read_scan_table(folder, cache_folder=tmp_path / "cache", channel="1")
    assert not any("colour channels" in str(warning.message) for warning in caught)
    assert list(channels.table_channels(table)).count("1") == 6
    assert note_sentences([("channels differ: 3 channels",)])[0].count("3 channels") == 1


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_choices_never_share_a_cache(tmp_path):
    """Prepare other pixels for every channel and volume, in folders of their own."""
    folder = collection(tmp_path / "data", 2)
    keys = set()
    means = set()
    for choice in ({}, {"channel": 0}, {"channel": 1}, {"channel": "mean"}, {"volume_index": 1}):
        table, left_out = read_scan_table(folder, cache_folder=tmp_path / "cache", **choice)
        assert not len(left_out)
        keys.add(tuple(channels.content_keys(table)))
        images = build_slice_cache(table, tmp_path / "slices", 32, "none")
        means.add(tuple(images.mean(axis=(1, 2, 3)).round(3)))
    assert len(keys) == len(means) == 5
    table, left_out = read_scan_table(folder, cache_folder=tmp_path / "cache", channel=3)
    assert sorted(left_out["reason"].str.split(":").str[0]) == ["channel missing"] * 2
    assert {"grey.png", "four.nii"} == {p.rpartition("/")[2] for p in
                                        table["volume"].where(table["volume"] != "", table["path"])}


def test_several_volumes_helpers(tmp_path):
    """Count volumes, and lay colours along an axis."""
    image = nibabel.load(nifti(tmp_path / "v.nii", np.zeros((4, 4, 4, 2, 3), np.uint8)))
    assert several_volumes.nifti_volumes(image.header) == 6
    values = np.zeros((2, 2, 2), [("R", "u1"), ("G", "u1"), ("B", "u1"), ("A", "u1")])
    assert several_volumes.colour_planes(values).shape == (2, 2, 2, 4)
    assert several_volumes.colour_planes(np.zeros((2, 2, 2))).ndim == 3
    attributes = Dataset()
    attributes.EffectiveEchoTime = 7.5
    assert several_volumes.frame_values(attributes)["EffectiveEchoTime"] == 7.5
    assert json.loads(json.dumps(several_volumes.frame_values(attributes)))
    assert pd.Series(several_volumes.frame_values(attributes)).notna().sum() == 1


def test_the_audit_names_colour_and_volumes(tmp_path):
    """Count files, not slices, in the remarks of an audit."""
    from brainclust.data.audit import read_images
    folder = collection(tmp_path / "data", 3)
    remarks = read_images(folder, cache_folder=tmp_path / "cache")[2]
    assert [remark.split(" hold")[0] for remark in remarks if "hold" in remark] == [
        "3 of the files", "1 of the files"]
