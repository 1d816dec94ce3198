"""Properties of brainclust.data.labels."""

from pathlib import Path

import pandas as pd
import pytest
from assertions import accepted, time_limit
from examples import MANY_CLASSES
from hypothesis import given, strategies as st

from brainclust.core.config import CLASSES
from brainclust.data import labels as labels_module
from brainclust.data.audit import audited_split

SCRIPTS = st.sampled_from(["глиома", "骨", "a_b", "A b", "tumour", "-1", "?"])


def test_ten_thousand_classes_are_read_from_folders(tmp_path):
    """Read 10,000 classes from folder names within two minutes."""
    with time_limit(120):
        files = [Path(f"Training/{name}/a.png") for name in MANY_CLASSES]
        rows = labels_module.labels_from_tree(files, MANY_CLASSES, tmp_path)
        assert list(rows["class_name"]) == list(MANY_CLASSES)


def test_ten_thousand_classes_are_read_from_a_csv_file(tmp_path):
    """Read 10,000 classes from a CSV file within two minutes."""
    with time_limit(120):
        files = [Path(f"Training/{name}/a.png") for name in MANY_CLASSES]
        rows = labels_module.labels_from_tree(files, MANY_CLASSES, tmp_path)
        (tmp_path / "labels.csv").write_text(
            "file,label\n" + "".join(f"{name}.png,{name}\n" for name in MANY_CLASSES)
        )
        rows = labels_module.labels_from_csv([Path(f"{name}.png") for name in MANY_CLASSES],
                                             MANY_CLASSES, tmp_path)
        assert list(rows["class_name"]) == list(MANY_CLASSES)
        assert rows["file"].nunique() == 10_000


@given(names=st.lists(st.text(min_size=1, max_size=6) | SCRIPTS, min_size=2, max_size=4,
                      unique=True))
def test_class_names_of_any_script_stay_apart(names):
    """Recognise every class by its name, or refuse names that look alike."""
    recognised = accepted(lambda: [labels_module.normalise_class_name(name, names) for name
                                   in names], refuses=(ValueError,))
    if recognised is not None:
        assert recognised == names
    else:
        assert len({labels_module.squash_name(n) for n in names} | {""}) <= len(names) or {
            "-1",
            "-1.0",
        } & {n.strip() for n in names}


def test_unknown_class_names_are_recognised():
    """Return no class for an empty name and None for an unknown one."""
    assert labels_module.normalise_class_name("", CLASSES) == ""
    assert labels_module.normalise_class_name("кот") is None


@given(values=st.lists(st.sampled_from(["train", "Testing", "val", "", "x", "骨"]), min_size=1))
def test_a_column_is_translated_whole(values):
    """Translate every value of a column, or refuse the column."""
    column = pd.Series(values, name="split", dtype=object)
    translated = accepted(labels_module.translate_column, column, labels_module.split_of,
                          ("train", "test"), Path("labels.csv"), refuses=(ValueError,))
    assert (translated is None) == any(labels_module.split_of(v) is None for v in values)
    if translated is not None:
        assert len(translated) == len(values)


@given(parts=st.lists(st.lists(st.sampled_from(["train", "Testing", "val", "a", "b", "骨",
                                                "unlabelled"]), max_size=4), max_size=6))
def test_labels_from_any_tree_are_complete(parts):
    """Label every file of a tree, or refuse the tree."""
    files = [Path(*folders, f"{i}.png") for i, folders in enumerate(parts)]
    names = labels_module.labels_from_tree
    assert accepted(
        names, files, ("a", "b", "骨"), Path("scans"), refuses=(ValueError,)
    ) is None or len(names(files, ("a", "b", "骨"), Path("scans"))) == len(files)


@pytest.mark.parametrize("name, split", [
    ("train_set", "train"), ("Training-Data", "train"), ("trainset", "train"),
    ("TRAIN images", "train"), ("images_train", "train"), ("val_split", "train"),
    ("validation.images", "train"), ("test_data", "test"), ("testing set", "test"),
    ("Test Slices", "test"), ("scans-test", "test"), ("dataset", None), ("images", None),
    ("contest", None), ("train_glioma", None), ("test2", None), ("latest data", None), ("", None)])
def test_a_split_is_named_in_many_ways(name, split):
    """A name that says a split and nothing else than that there are images."""
    assert labels_module.split_of(name) == split
    assert bool(labels_module.split_word(name)) == (split is not None)
    assert (audited_split(name) == "val") == ("val" in name)
