"""Properties of brainclust.data.split_file."""

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st
from strategies import THIRD_OF_EXAMPLES

import brainclust
from brainclust.core.config import CLASSES
from brainclust.data import loading, split_file
from brainclust.data.download import RECORD
from brainclust.runs.run import check_data, run_config

NAMES = st.text(st.characters(categories=("L", "N", "P", "S", "Zs"), exclude_characters="/\\:"),
                min_size=1, max_size=12).filter(lambda text: text not in (".", ".."))


@pytest.fixture(scope="module")
def scans(phantom_tree, tmp_path_factory) -> pd.DataFrame:
    """A table with a calibration split and hidden labels."""
    table = brainclust.load_scans(phantom_tree, .5, seed=1, cache=tmp_path_factory.mktemp("cache"))
    held_out = table[table.label >= 0].groupby("label").group.first()
    return table.assign(split=table.split.mask(table.group.isin(held_out), "validation"))


@st.composite
def tables(draw) -> pd.DataFrame:
    """Draw a scan table with names of all kinds, and any sets and labels."""
    names = draw(st.lists(NAMES, min_size=1, max_size=6, unique=True))
    n = len(names)
    several = lambda values: draw(st.lists(values, min_size=n, max_size=n))
    truth = np.array(several(st.integers(-1, 3)))
    split = np.array(several(st.sampled_from(split_file.SPLITS)))
    shown = np.array(several(st.booleans())) & (split != "test") & (truth >= 0)
    return pd.DataFrame({"path": [f"/scans/{name}" for name in names], "sha256": "a" * 64,
                         "true_label": truth, "label": np.where(shown, truth, -1),
                         "split": split, "group": several(NAMES), "frame": -1})


@given(table=tables(), folder=NAMES)
def test_what_is_written_is_read(table, folder, tmp_path_factory):
    """Keep every name, set and label, and the order of the slices."""
    place = tmp_path_factory.mktemp("split") / "split.csv"
    table = table.assign(path=[f"/x/{folder}/{Path(path).name}" for path in table.path])
    split_file.write_split_file(table, place, f"/x/{folder}", CLASSES, {"channel": 1})
    found = split_file.read_split_file(place)
    assert isinstance(found, split_file.SplitFile) and found.folder == folder
    assert found.classes == CLASSES and found.reading == {"channel": 1}
    assert found.rows["path"].tolist() == [Path(path).name for path in table.path]
    assert found.rows["group"].tolist() == table["group"].tolist()
    assert found.rows["split"].tolist() == table["split"].tolist()
    assert found.rows["labelled"].tolist() == (table["label"] >= 0).tolist()
    ids = [[*CLASSES, ""].index(name) for name in found.rows["class"]]
    assert [-1 if k == len(CLASSES) else k for k in ids] == table["true_label"].tolist()
    assert split_file.is_split_file(place) and not split_file.is_split_file(place.parent)


@THIRD_OF_EXAMPLES
@given(column=st.sampled_from(split_file.SPLIT_COLUMNS),
       value=st.sampled_from(["/etc/passwd", "../x", "a\\..\\b", "", "a" * 63, "nowhere", "1.5",
                              "True", "1e9", "none", "=1+1"]))
def test_a_wrong_entry_is_refused(scans, tmp_path_factory, column, value):
    """Read the file as it is written, or refuse it in one sentence."""
    place = split_file.write_split_file(scans, tmp_path_factory.mktemp("split") / "split.csv")
    header, text = place.read_text().split("\n", 1)
    rows = pd.read_csv(place, skiprows=1, dtype=str, keep_default_na=False)
    rows.loc[3, column] = value
    place.write_text(f"{header}\n{rows.to_csv(index=False)}")
    outside = ("", "/etc/passwd", "../x", "a\\..\\b")
    free = column == "group" or (column == "path" and value not in outside)
    try:
        found = split_file.read_split_file(place)
    except ValueError as error:
        assert not free and str(error).count(". ") <= 1 and str(place) in str(error)
    else:
        assert free or found.rows[column].astype(str)[3] == value


def test_the_header_is_checked(scans, tmp_path):
    """Refuse another table, unknown settings and wrong classes."""
    place = split_file.write_split_file(scans, tmp_path / "split.csv")
    header, text = place.read_text().split("\n", 1)
    known = json.loads(header[1:])
    for change, sentence in (({"brainclust_split_file": 2}, "brainclust_split_file"),
                             ({"reading": {"epochs": 3}}, "epochs is not a setting"),
                             ({"classes": ["a"]}, "classes"), ({"folder": ""}, "folder")):
        place.write_text(f"# {json.dumps(known | change)}\n{text}")
        with pytest.raises(ValueError, match=sentence):
            split_file.read_split_file(place)
    for content in (text, "", "[1]\n", "# {\n", f"{header}\n{text.splitlines()[0]}\n"):
        place.write_text(content)
        with pytest.raises(ValueError, match="must be a split file|must list slices"):
            split_file.read_split_file(place)


def test_the_same_files_give_the_same_sets_elsewhere(scans, phantom_tree, tmp_path):
    """Move collection and split file: every slice keeps its set, group, class and label."""
    place = split_file.write_split_file(scans, tmp_path / "split.csv")
    folder = Path(shutil.copytree(phantom_tree, tmp_path / "tree"))
    assert split_file.split_folder(place) == folder
    found = brainclust.load_scans(place, cache=tmp_path / "cache")
    moved = scans.assign(path=[path.replace(str(phantom_tree), str(folder)) for path in scans.path])
    pd.testing.assert_frame_equal(found[list(scans)], moved, check_flags=False)
    assert {"train", "validation", "test"} == set(found.split) and (found.label < 0).any()
    inside = shutil.copy(place, folder / "split.csv")
    assert split_file.split_folder(inside) == folder
    config = run_config(data=str(place), preset="best")
    check_data(config.data, tmp_path / "out", tmp_path / "cache")
    with pytest.raises(ValueError, match="calibration_folds must be 0"):
        loading.prepare_data(config, folder, tmp_path / "cache")
    with pytest.raises(ValueError, match="out must lie outside"):
        check_data(config.data, folder / "out", tmp_path / "cache")


def test_missing_and_other_files_are_named(scans, phantom_tree, tmp_path):
    """Count the files that are missing and those that differ, and name three of each."""
    place = split_file.write_split_file(scans, tmp_path / "split.csv")
    folder = Path(shutil.copytree(phantom_tree, tmp_path / "tree"))
    split_file.check_files(place, folder)
    files = [folder / name for name in split_file.read_split_file(place).rows["path"]]
    for file in files[:5]:
        file.unlink()
    files[6].write_bytes(files[7].read_bytes())
    with pytest.raises(ValueError) as caught:
        split_file.prepare_split(place, folder)
    told = str(caught.value)
    assert f"of {len(files)} files 5 are missing" in told and "and 2 more) and 1 differs" in told
    assert files[6].name in told and files[5].name not in told
    with pytest.raises(FileNotFoundError, match="needs the folder 'tree' beside it"):
        split_file.split_folder(shutil.copy(place, tmp_path.parent / "alone.csv"))


def test_slices_of_volumes_are_found_by_their_number(tmp_path):
    """Check the file of a volume, and keep each of its slices in its set."""
    rng = np.random.default_rng(0)
    (tmp_path / "scans").mkdir()
    rows = []
    for number in range(8):
        volume = rng.integers(100, 4000, (20, 22, 4)).astype(np.int16)
        affine = np.diag([1, 1, 4, 1]).astype(float)
        nibabel.save(nibabel.Nifti1Image(volume, affine), tmp_path / "scans" / f"p{number}.nii.gz")
        rows.append({"path": f"p{number}.nii.gz", "label": ["glioma", "notumor"][number % 2]})
    pd.DataFrame(rows).to_csv(tmp_path / "scans" / "labels.csv", index=False)
    scans = brainclust.load_scans(tmp_path / "scans", test_fraction=.25, volume_step=2,
                                  cache=tmp_path / "cache")
    place = split_file.write_split_file(scans, tmp_path / "split.csv")
    read = split_file.read_split_file(place)
    assert (read.rows["frame"] >= 0).all() and read.reading["volume_step"] == 2
    assert read.rows["path"].nunique() == 8 < len(read.rows)
    found = brainclust.load_scans(place, cache=tmp_path / "other")
    differ = [name for name in scans if name != "path"]
    pd.testing.assert_frame_equal(found[differ], scans[differ], check_flags=False)
    assert run_config(data=str(place)).volume_step == 2


def test_a_collection_is_fetched_by_its_name(scans, phantom_tree, tmp_path, monkeypatch):
    """Write the name of a fetched collection, and fetch it where it is not there."""
    folder = Path(shutil.copytree(phantom_tree, tmp_path / "mine"))
    (folder / RECORD).write_text(json.dumps({"name": "kaggle"}))
    moved = scans.assign(path=[path.replace(str(phantom_tree), str(folder)) for path in scans.path])
    place = split_file.write_split_file(moved, tmp_path / "there" / "split.csv", folder)
    assert split_file.read_split_file(place).folder == "kaggle"
    assert split_file.split_folder(place) is None
    monkeypatch.setattr(loading, "fetch_collection", lambda name, target: (name, target))
    assert loading.find_folder(place, tmp_path) == ("kaggle", tmp_path / "collections" / "kaggle")
    check_data(str(place), tmp_path / "out")


def test_settings_that_a_split_file_decides_cannot_be_others(scans, tmp_path):
    """Take classes and reading from the split file, and refuse others."""
    place = split_file.write_split_file(scans, tmp_path / "split.csv")
    expected = {"data": str(place), "seed": 3, "classes": CLASSES, **scans.attrs["reading"]}
    assert loading.with_data_settings({"data": str(place), "seed": 3}) == expected
    assert loading.with_data_settings({"data": str(place), "classes": list(CLASSES)})
    with pytest.raises(ValueError, match="classes must be .* Leave the setting out"):
        run_config(data=str(place), classes=["a", "b"])
    assert loading.with_data_settings({"data": "scans", "classes": ["a", "b"]})["classes"]


def test_a_table_without_folder_or_classes_is_refused(scans, tmp_path):
    """Ask for what is not known, and refuse slices of another folder."""
    plain = scans.copy()
    plain.attrs = {}
    for folder, classes, sentence in ((None, CLASSES, "folder and classes must be known"),
                                      ("/x", None, "folder and classes must be known"),
                                      ("/x", CLASSES, "/x must hold every slice"),
                                      (scans.attrs["folder"], ["a"], "classes must name all 4")):
        with pytest.raises(ValueError, match=sentence):
            split_file.write_split_file(plain, tmp_path / "split.csv", folder, classes)
    assert not (tmp_path / "split.csv").exists()
