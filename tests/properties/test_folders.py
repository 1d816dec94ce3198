"""Properties of brainclust.data.folders: what lies in a folder and is not a scan."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from assertions import accepted
from hypothesis import given, strategies as st
from PIL import Image
from strategies import slice_images

from brainclust.data import folders, scan_files, scan_table, slices as slices_module
from brainclust.data.audit import read_images
from brainclust.data.labels import split_of_path, unknown_classes_sentence

NAMES = st.sampled_from(["images", "masks", "GT", "labels", "glioma", "7", "7_gt", "7-seg", "a",
                         "骨", "@eaDir", "SegmentationClass", "segmentation_task", "no_mask"])
PATHS = st.lists(st.lists(NAMES, min_size=1, max_size=4), max_size=8)


def scan(seed: int) -> Image.Image:
    """Return a picture with the grey levels of a scan."""
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (32, 32), dtype=np.uint8))


def mask(seed: int) -> Image.Image:
    """Return a picture in black and white."""
    corners = np.random.default_rng(seed).random((4, 4)) > .6
    return Image.fromarray(corners.repeat(8, 0).repeat(8, 1) * np.uint8(255))


def write(root: Path, pictures: dict[str, Image.Image]) -> None:
    """Save pictures under their relative paths."""
    for name, picture in pictures.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        picture.save(root / name)


def read(root: Path, cache: Path) -> tuple[set[str], dict[str, str]]:
    """Return the files that are read as slices, and the kinds of reason of the others."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table, left_out = scan_table.read_scan_table(root, cache_folder=cache)
    relative = lambda path: Path(path).relative_to(root).as_posix()
    return (set(map(relative, table["path"])),
            {relative(p): r.split(":")[0] for p, r in zip(left_out["path"], left_out["reason"])})


@pytest.mark.parametrize("name", [
    "Masks_v2", "lesion-seg", "BinaryMask", "tumorMasks", "SegmentationObject", "gt_png",
    "ground-truth", "Annotated", "manual_annotations", "lbl", "contours", "ROI", "test_labels",
    "overlays", "segmaps", "outlines/expert 1"])
def test_a_folder_of_masks_is_left_out_under_any_usual_name(name, tmp_path):
    """Leave out every file of a folder of masks, with a reason, and read the scans beside it."""
    write(tmp_path / "scans", {f"images/{i}.png": scan(i) for i in range(3)})
    write(tmp_path / "scans", {f"{name}/{i}.png": scan(9 + i) for i in range(3)})  # overlays, too
    kept, reasons = read(tmp_path / "scans", tmp_path / "cache")
    assert kept == {f"images/{i}.png" for i in range(3)}
    assert set(reasons.values()) == {"segmentation folder"}
    assert len(reasons) == 3


@pytest.mark.parametrize("name", ["masked", "label_2", "without_masks", "unmasked", "groundhog",
                                  "skull-stripped", "segmented_later", "site GTR"])
def test_folders_with_similar_names_are_read(name, tmp_path):
    """Read scans in folders whose names only resemble those of masks."""
    write(tmp_path / "scans", {f"images/{i}.png": scan(i) for i in range(2)})
    write(tmp_path / "scans", {f"{name}/{i}.png": scan(9 + i) for i in range(2)})
    kept, reasons = read(tmp_path / "scans", tmp_path / "cache")
    assert len(kept) == 4
    assert not reasons


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp"])
@pytest.mark.parametrize("name", ["маски", "masque", "umrisse", "extra/y"])
def test_masks_are_recognised_by_their_pixels(name, suffix, tmp_path):
    """Leave out pictures in black and white with the names of scans, in folders of any name."""
    write(tmp_path / "scans", {f"x/{i}.png": scan(i) for i in range(3)})
    write(tmp_path / "scans", {f"{name}/{i}.{suffix}": mask(i) for i in range(3)})
    kept, reasons = read(tmp_path / "scans", tmp_path / "cache")
    assert kept == {f"x/{i}.png" for i in range(3)}
    assert set(reasons.values()) == {"segmentation"}


@pytest.mark.parametrize("name", ["{}_lesion", "lesion_{}", "tumour-{}-a", "{}", "ann{}", "m{}x"])
@pytest.mark.parametrize("folder", ["x", "y"])
def test_masks_are_recognised_by_their_pixels_under_other_names(name, folder, tmp_path):
    """Leave out pictures in black and white that have the number of a scan."""
    suffix = "bmp" if name == "{}" else "png"
    write(tmp_path / "scans", {f"x/img_{i:03}.png": scan(i) for i in range(3)})
    write(tmp_path / "scans", {f"{folder}/{name.format(f'{i:03}')}.{suffix}": mask(i)
                               for i in range(3)})
    kept, reasons = read(tmp_path / "scans", tmp_path / "cache")
    assert kept == {f"x/img_{i:03}.png" for i in range(3)}
    assert set(reasons.values()) == {"segmentation"}


def test_the_audit_leaves_the_same_masks_out(tmp_path):
    """Leave out masks by folder, by name and by pixels in the audit, too, and say so."""
    write(tmp_path / "scans", {f"{c}/images/{c}{i}.png": scan(i) for c in "ab" for i in range(2)})
    write(tmp_path / "scans", {f"{c}/GT/{c}{i}.png": mask(i) for c in "ab" for i in range(2)})
    write(tmp_path / "scans", {"a/images/a1_overlay.png": scan(1), "a/formes/a0.png": mask(3)})
    table, left_out, remarks = read_images(tmp_path / "scans", cache_folder=tmp_path / "cache")
    assert len(table) == 4
    assert len(left_out) == 6
    assert any("'a/GT'" in remark for remark in remarks)


@pytest.mark.parametrize("wrapper", ["brain_segmentation", "segmentation_task/site", "seg-data"])
def test_a_data_set_called_segmentation_is_read(wrapper, tmp_path):
    """Read the scans of a data set whose own name speaks of segmentation."""
    write(tmp_path / "scans", {f"{wrapper}/p{i}/{i}.png": scan(i) for i in range(3)})
    write(tmp_path / "scans", {f"{wrapper}/p{i}/{i}_mask.png": mask(i) for i in range(3)})
    kept, reasons = read(tmp_path / "scans", tmp_path / "cache")
    assert kept == {f"{wrapper}/p{i}/{i}.png" for i in range(3)}
    assert set(reasons.values()) == {"segmentation"}


@pytest.mark.parametrize("name", [
    "@eaDir", "glioma/@eaDir/1.png", "#recycle/glioma", "$RECYCLE.BIN/S-1-5-21", "lost+found",
    "__pycache__", "__MACOSX/glioma", "System Volume Information", "@Recycle", "#snapshot/daily"])
def test_system_folders_are_listed_and_not_read(name, tmp_path):
    """Give one reason for a system folder, and read nothing inside it."""
    write(tmp_path / "scans", {"glioma/1.png": scan(1), f"{name}/2.png": scan(2)})
    kept, reasons = read(tmp_path / "scans", tmp_path / "cache")
    assert kept == {"glioma/1.png"}
    assert list(reasons.values()) == ["system folder"]


def test_hidden_folders_and_system_files_are_not_read(tmp_path):
    """Read nothing of checkpoints of notebooks, baskets and previews of the system."""
    write(tmp_path / "scans", {"glioma/1.png": scan(1), ".ipynb_checkpoints/1.png": scan(2),
                               "glioma/.Trash-1000/1.png": scan(3), "glioma/._1.png": scan(4)})
    for name in ("Thumbs.db", "ehthumbs.db", "desktop.ini"):
        (tmp_path / "scans/glioma" / name).write_bytes(b"x")
    assert read(tmp_path / "scans", tmp_path / "cache") == ({"glioma/1.png"}, {})
    assert folders.find_files(tmp_path / "scans") == [Path("glioma/1.png")]


@given(name=st.text(max_size=12) | NAMES)
def test_few_names_are_those_of_system_folders(name):
    """Recognise system folders in any case, and no other folder."""
    assert folders.is_system_folder(name) == folders.is_system_folder(name.swapcase())
    assert not folders.is_system_folder(f"x {name}")
    assert folders.is_system_folder("@EADIR")


@pytest.mark.parametrize("record", ["config.json", "run.json"])
def test_an_earlier_run_inside_the_data_is_not_read(record, tmp_path):
    """Leave out a run directory at any depth, under any name, by its record."""
    write(tmp_path / "scans", {"glioma/1.png": scan(1), "old results/x/figures/loss.png": scan(2)})
    (tmp_path / "scans/old results/x" / record).write_text('{\n "embedded_checksum": "0"}')
    assert folders.is_own_output(tmp_path / "scans/old results/x")
    assert "results of a run" in folders.folder_reason(tmp_path / "scans/old results/x")
    assert read(tmp_path / "scans", tmp_path / "cache") == (
        {"glioma/1.png"}, {"old results/x": "own output"})
    with pytest.raises(ValueError, match="results of a run"):
        scan_files.list_scan_files(tmp_path / "scans/old results/x")


@pytest.mark.parametrize("content", ["{}", '{"classes": ["a", "b"]}', "", "embedded"])
def test_a_record_of_another_program_hides_nothing(content, tmp_path):
    """Read a folder that holds another program's config.json."""
    write(tmp_path / "scans", {"glioma/1.png": scan(1)})
    (tmp_path / "scans/glioma/config.json").write_text(content)
    assert read(tmp_path / "scans", tmp_path / "cache")[0] == {"glioma/1.png"}


@given(paths=PATHS, suffix=st.sampled_from([".png", ".nii.gz", ".dcm", ""]))
def test_reasons_are_given_for_any_names(paths, suffix):
    """Give reasons for files of any names: each for a listed file, and none for a class."""
    files = list(dict.fromkeys(Path(*parts[:-1], parts[-1] + suffix) for parts in paths))
    reasons = folders.name_reasons(files)
    assert set(reasons) <= set(files)
    assert all(reason.startswith("segmentation") for reason in reasons.values())
    assert folders.mask_folders(files, lambda name: True) == []
    found = folders.mask_folders(files)
    assert all(any(folder in f.parents for f in files) for folder in found)
    assert not any(a in b.parents for a in found for b in found)
    assert folders.name_reasons(files[::-1]) == reasons
    assert folders.has_counterparts(files, files) or not files or not all(
        map(folders.name_key, files))
    assert not folders.has_counterparts(files, [])
    assert set(folders.without_paired_masks(files)) <= set(files)


@given(name=st.text(max_size=12) | NAMES)
def test_keys_hold_no_word_for_masks(name):
    """Remove the words for masks from a name, once and for all."""
    path = Path(f"x/{name.replace('/', '').replace(chr(0), '')}.png")
    key = folders.name_key(path)
    assert not key or folders.name_key(Path(f"{key}.png")) == key
    assert not folders.names_mask(key)
    assert folders.is_segmentation(path) == folders.names_mask(path.name[:-4])
    plain, camel = folders.name_words(name)
    assert all(word and word == word.lower() for word in plain + camel)


@given(few=st.lists(st.booleans(), max_size=8), names=st.lists(NAMES, min_size=8, max_size=8))
def test_only_few_valued_files_are_masks(few, names):
    """Mark few-valued files only, and none without a scan to belong to."""
    files = [Path("ab"[i % 2], f"{names[i]}.png") for i in range(len(few))]
    marked = folders.content_masks(files, few)
    assert all(f or not m for f, m in zip(few, marked))
    if all(few):
        assert not any(marked)


@given(image=slice_images(min_side=8), levels=st.integers(2, 8))
def test_few_levels_are_recognised(image, levels):
    """Recognise any picture that is reduced to eight grey levels or fewer."""
    reduced = (image.astype(int) * levels // 256 * (255 // (levels - 1))).astype(np.uint8)
    assert slices_module.is_few_valued(reduced)
    assert not slices_module.is_few_valued(
        np.arange(image.size, dtype=np.uint64).reshape(image.shape).astype(np.uint8))


@given(parts=st.lists(st.sampled_from(["train", "Testing", "val", "a", "glioma"]), max_size=5))
def test_the_innermost_split_counts_or_the_path_is_refused(parts):
    """Take the innermost split of a path, and refuse training and test in one path."""
    path = Path(*parts, "1.png")
    split = accepted(split_of_path, path, refuses=(ValueError,))
    named = {"Testing" if p == "Testing" else "train" for p in parts if p not in ("a", "glioma")}
    if len(named) == 2:
        with pytest.raises(ValueError, match="must name one split"):
            split_of_path(path)
    else:
        assert split == {"Testing": "test", "train": "train"}.get("".join(named))


@pytest.mark.parametrize(("outer", "inner", "expected"), [
    ("training", ("train", "val"), {"train"}), ("scans", ("train", "test"), {"train", "test"}),
    ("Test", ("testing",), {"test"}), ("a/training/b", ("Training",), {"train"}),
    ("training", ("train", "test"), None), ("test", ("train", "test"), None),
    ("val", ("test",), None)])
def test_a_wrapper_named_like_a_split(outer, inner, expected, tmp_path):
    """Read the splits inside a wrapper, or refuse a path that names both."""
    write(tmp_path / "scans", {f"{outer}/{split}/{c}/{i}.png": scan(i)
                               for split in inner for c in ("glioma", "notumor") for i in (1, 2)})
    if expected is None:
        with pytest.raises(ValueError, match="must name one split; got"):
            read(tmp_path / "scans", tmp_path / "cache")
        with pytest.raises(ValueError, match="must name one split; got"):
            read_images(tmp_path / "scans", cache_folder=tmp_path / "cache")
    else:
        table, _ = scan_table.read_scan_table(tmp_path / "scans", cache_folder=tmp_path / "cache")
        assert set(table["split"]) == expected


@pytest.mark.parametrize(("places", "named"), [
    (("yes/1", "no tumor seen/2"), ["no tumor seen", "yes"]), (("a/1", "b/2", "c/3"), list("abc")),
    (("x/a/deep/1", "x/b/2"), list("ab")), (("a/1", "2"), []), (("images/1", "images/2"), []),
    (("train/1", "test/2"), []), (("train/a/1", "test/b/2"), list("ab"))])
def test_unknown_classes_are_named_with_the_setting(places, named):
    """Name folders that may be classes, and the setting that makes them so."""
    sentence = unknown_classes_sentence([f"/data/{place}.png" for place in places])
    assert bool(sentence) == bool(named)
    assert not named or f'-p classes "{named}"' in sentence
