"""Properties of brainclust.data.held_out, and of the tables it reads and writes."""
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from assertions import one_sentence
from hypothesis import given, strategies as st
from PIL import Image
from strategies import seeds

from brainclust.core.config import CLASSES
from brainclust.data import held_out, scan_table
from brainclust.data.cleaning import prepare_scans

FOLDER = "/scans"


def drawn_table(seed: int, patients: int = 40, unknown: float = 0.) -> pd.DataFrame:
    """Draw slices of three sources; patients may have slices at two of them."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(patients), 3)
    n = len(group)
    truth = np.repeat(rng.integers(0, 4, patients), 3)
    table = pd.DataFrame({
        "path": [f"{FOLDER}/{i}.png" for i in range(n)], "group": [f"g{one}" for one in group],
        "source": np.where(rng.random(n) < .1, rng.choice(["A", "B", "C"], n),
                           np.repeat(rng.choice(["A", "B", "C"], patients), 3)),
        "split": np.repeat(rng.choice(["train", "train", "validation", "test"], patients), 3),
        "true_label": np.where(rng.random(n) < unknown, -1, truth), "clean": True})
    visible = (table["split"] != "test") & np.repeat(rng.random(patients) < .5, 3)
    table["label"] = table["true_label"].where(visible, -1)
    table["class_name"] = np.array([*CLASSES, ""])[table["label"]]
    return table


@given(seed=seeds(), fraction=st.floats(.1, .9), unknown=st.sampled_from([0., .3]))
def test_no_group_of_a_source_is_divided(seed, fraction, unknown):
    """Deal whole groups of one source alone, and score no slice of unknown class."""
    table = drawn_table(seed, unknown=unknown)
    dealt = held_out.deal_source(table, "A", fraction, seed)
    own = (table["source"] == "A").to_numpy()
    assert (dealt[~own] == "").all() and set(dealt) <= {"test", "none", ""}
    assert (table["true_label"][dealt == "test"] >= 0).all()
    assert (table["split"][dealt == "none"] != "test").all()
    known = own & (table["true_label"] >= 0).to_numpy()
    assert pd.Series(dealt)[known].replace("none", "").groupby(
        table["group"][known]).nunique().max() <= 1
    again = held_out.deal_source(table, "A", fraction, seed)
    assert (again == dealt).all()


@given(seed=seeds())
def test_nothing_of_a_source_stays_in_the_training(seed):
    """Leave a source and its patients out, and test both trainings on the same slices."""
    table = drawn_table(seed, 60)
    dealt = held_out.deal_source(table, "A", .5, seed)
    tested = np.where(dealt == "test", "test", "")
    if not (dealt != "").any() or not (tested != "").any(): return
    parts = {}
    place = Path("unused.csv")
    for name, marks in (("without", dealt), ("with", tested)):
        rows = dict(zip(table["path"], marks))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(held_out, "look_up", lambda table, *_: [rows[p] for p in table["path"]])
            try:
                parts[name] = held_out.hold_out(table, FOLDER, place)
            except ValueError as error:  # a class lost its labels
                assert "labelled training slices" in one_sentence(error)
                return
    without, within = parts["without"].table, parts["with"].table
    training = without[without["split"] != "test"]
    assert "A" not in set(training["source"])
    assert not set(training["group"]) & set(table["group"][dealt != ""])
    same = set(table["path"][dealt == "test"])
    for part in parts.values():
        moved = part.table[part.table["path"].isin(same)]
        assert set(moved["path"]) == same and (moved["split"] == "test").all()
        assert (moved["label"] == -1).all() and (moved["class_name"] == "").all()
        learns = part.table[part.table["split"] != "test"]
        assert not set(learns["group"]) & set(moved["group"])
        assert len(part.table) + len(part.left_out) == len(table)
        before = table.set_index("path")
        assert (learns["label"].to_numpy() == before["label"][learns["path"]].to_numpy()).all()
        clean = part.table.groupby("group")["split"].agg(lambda s: len({*s} - {"test"}) == 0
                                                         or "test" not in set(s))
        assert (part.table["clean"] == part.table["group"].map(clean)).all()
    assert set(training["path"]) <= set(within["path"][within["split"] != "test"])


@given(seed=seeds(), two=st.booleans())
def test_a_source_with_a_reason_is_one_that_cannot_be_left_out(seed, two):
    """Judge by the groups of two kinds and by the labels that stay."""
    table = drawn_table(seed, 120)
    classes = CLASSES
    if two:
        classes = ("cyst", "abscess")
        table = table.assign(true_label=table["true_label"] % 2,
                             label=table["label"].where(table["label"] < 0, table["label"] % 2))
    judged = held_out.judge_sources(table, classes).set_index("source")
    assert judged["slices"].sum() == len(table)
    assert judged[list(classes)].sum().sum() == len(table)
    for source, row in judged.iterrows():
        own = table[table["source"] == source]
        kinds = own["true_label"] if two else own["true_label"] == CLASSES.index("notumor")
        groups = own.groupby(kinds)["group"].nunique()
        if row["reason"] == "":
            assert (groups >= held_out.FEWEST).sum() >= 2
        elif row["reason"].startswith("it must"):
            assert (groups >= held_out.FEWEST).sum() < 2


@pytest.mark.parametrize(("rows", "fault"), [
    ("path,split\nx/1.png,train\n", "test or none; got train"),
    ("path,use\nx/1.png,test\n", "must have the columns 'path' and 'split'"),
    ("path,split\nelsewhere.png,test\n", "must name the splits of slices"),
    ("path,split\nx,none\n", "none of a is left"),
    ("path,split\n.,test\n", "must leave labelled training slices")])
def test_wrong_tables_of_held_out_slices_are_one_sentence(tmp_path, rows, fault):
    """Name the fault and the remedy."""
    (tmp_path / "held.csv").write_text(rows)
    table = pd.DataFrame({"path": [f"{tmp_path}/{name}/{i}.png" for name in "xy" for i in (1, 2)],
                          "group": list("abcd"), "split": "train", "label": [0, 0, 1, 1],
                          "class_name": ["a", "a", "b", "b"]})
    with pytest.raises(ValueError, match=fault) as caught:
        held_out.hold_out(table, tmp_path, tmp_path / "held.csv")
    one_sentence(caught.value)
    with pytest.raises(OSError):
        held_out.hold_out(table, tmp_path, tmp_path / "absent.csv")


def test_folders_and_names_like_the_folder_are_held_out(tmp_path):
    """Hold out a folder by one row, and read back what was written, whatever the folder's name."""
    root = tmp_path / "images"
    names = ("images/a/1", "images/a/2", "images/b/1", "images/b/2", "b/1", "a/1")
    for i, name in enumerate(names):
        path = root / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(i).integers(0, 255, (40, 40), np.uint8)
        Image.fromarray(noise).save(path)
    scans = prepare_scans(root, ("a", "b"), 1., .3, cache_folder=tmp_path / "cache").table
    names = scan_table.written_names(scans, root)
    assert [name in scan_table.exact_names(scans, root) for name in ("a/1.png", "b/1.png")] == [
        True, True]
    marks = np.array(["test" if name == "images/a/1.png" else "" for name in names])
    csv = held_out.write_held_out(scans, root, marks, tmp_path / "held.csv")
    assert scan_table.look_up(scans, root, csv, "split") == list(marks)
    held = held_out.hold_out(scans.assign(split="train"), root, csv)
    assert list(held.table["split"]) == ["test" if mark else "train" for mark in marks]
    unchanged = held_out.hold_out(scans, root)
    assert unchanged.table is scans and unchanged.sentences == []
