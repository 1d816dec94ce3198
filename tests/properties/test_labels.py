"""Properties of brainclust.data.labels."""

from pathlib import Path

import pandas as pd
import pytest
from assertions import accepted, time_limit
from examples import MANY_CLASSES
from hypothesis import given, strategies as st

from brainclust.core.config import CLASSES
from brainclust.data import folders, labels as labels_module
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
    ("contest", None), ("train_glioma", None), ("test2", "test"), ("latest data", None),
    ("", None)])
def test_a_split_is_named_in_many_ways(name, split):
    """Beside the split, a name may hold words for images and sets."""
    assert labels_module.split_of(name) == split
    assert bool(labels_module.split_word(name)) == (split is not None)
    assert (audited_split(name) == "val") == ("val" in name)


SEPARATED = [(s, e) for s in (";", "\t", "|", ",") for e in ("utf-8", "utf-8-sig", "utf-16")]


@pytest.mark.parametrize(("separator", "encoding"), SEPARATED)
@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_tables_of_any_spreadsheet_are_read(separator, encoding, suffix, tmp_path):
    """Read the separators and encodings that spreadsheets write, and skip their empty rows."""
    lines = [["Path", "Label", "Site"], ["a.png", "glioma", "é"], ["", "", ""], ["b.png", "no", ""]]
    table = tmp_path / f"labels.{suffix}"
    table.write_bytes("\r\n".join(map(separator.join, lines)).encode(encoding))
    rows = labels_module.read_csv_rows(table)
    assert rows[["file", "label", "site"]].to_numpy().tolist() == [lines[1], lines[3]]


@pytest.mark.parametrize(("written", "meant"), [
    ("/home/ann/scans/no/1.png", "no/1.png"), ("C:\\Ann\\scans\\no\\1.png", "no/1.png"),
    ("D:/x/2.png", "images/2.png"), ("scans/no/1", "no/1.png"), ("/data/scans/no", "no/1.png"),
    (".\\no\\1.png", "no/1.png")])
def test_paths_of_another_computer_mean_files_of_this_one(written, meant):
    """Find a file by the end of a path that begins outside the folder."""
    files = [Path("no/1.png"), Path("images/2.png")]
    assert folders.find_named_files([written], files, Path("scans/labels.csv")) == [[Path(meant)]]


@pytest.mark.parametrize("written", ["/home/ann/3.png", "other/no/1.png", "../no/1.png", "/1.png"])
def test_paths_with_another_end_are_refused(written):
    """Refuse paths that name no file of the folder."""
    with pytest.raises(ValueError, match="must name files that exist"):
        folders.find_named_files([written], [Path("no/1.png")], Path("scans/labels.csv"))


@pytest.mark.parametrize(("columns", "patient", "split"), [
    ("Patient ID,set", "P1", "test"), ("patient_id,Subset", "P1", "test"),
    ("Subject,partition", "P1", "test"), ("PatientName,split", "P1", "test"),
    ("participant_id,phase", "P1", "test"), ("person,group_set", None, None)])
def test_columns_of_other_programs_name_patients_and_splits(columns, patient, split, tmp_path):
    """Read patients and splits under the names that other programs give their columns."""
    (tmp_path / "labels.csv").write_text(f"path,label,{columns}\na.png,glioma,P1,Test\n")
    rows = labels_module.labels_from_csv([Path("a.png")], CLASSES, tmp_path)
    assert rows["group"].tolist() == [patient or ""]
    assert rows["split"].tolist() == [split or "train"]


def test_a_set_that_is_no_split_stays_a_column(tmp_path):
    """Take a column of sets for splits only where every value names one."""
    (tmp_path / "labels.csv").write_text(
        "path,label,set,patient,subject\na.png,no,A,P1,x\nb.png,no,test,P2,x\n")
    rows = labels_module.labels_from_csv([Path("a.png"), Path("b.png")], CLASSES, tmp_path)
    assert rows["split"].tolist() == ["train", "train"]
    assert rows["group"].tolist() == ["P1", "P2"]


@pytest.mark.parametrize(("name", "split"), [
    ("train_1", "train"), ("Test 02", "test"), ("2_testing", "test"), ("test2021", "test"),
    ("val-3", "train"), ("test_0123", None), ("contest1", None), ("1", None)])
def test_numbered_splits_are_splits(name, split):
    """Recognise splits that were numbered, and no other names with a number."""
    assert labels_module.split_of(name) == split


@pytest.mark.parametrize(("places", "remedy"), [
    (("sub-01", "sub-02"), "participants.tsv"), (("sub-a/anat", "sub-b/anat"), "participants.tsv"),
    (("sub-01", "control"), "-p classes")])
def test_subjects_are_not_offered_as_classes(places, remedy):
    """Name the table that labels subjects, in place of a setting with their names."""
    sentence = labels_module.unknown_classes_sentence([f"{place}/1.png" for place in places])
    assert remedy in sentence


@pytest.mark.parametrize("name, expected", [
    ("1_glioma", "glioma"), ("02. Meningioma tumor", "meningioma"), ("3 no tumour", "notumor"),
    ("4-no", "notumor"), ("1", None), ("5 cysts", None), ("glioma 1", None)])
def test_numbered_class_folders_name_their_class(name, expected):
    """Read a number in front of a class's name as its place in a list."""
    assert labels_module.normalise_class_name(name, CLASSES) == expected
    assert labels_module.normalise_class_name("2_a", ("2a", "a")) == "2a"
