"""Properties of brainclust.data.other_sources: slices that join a training without their labels."""
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image

from brainclust.core.config import CLASSES
from brainclust.data import other_sources
from brainclust.data.cleaning import prepare_scans
from brainclust.data.splits import group_keys, hold_out_validation
from brainclust.training.self_training import Trainer

LABELS = st.lists(st.tuples(st.sampled_from([*CLASSES[:3], "tumor", ""]), st.integers(0, 9)),
                  min_size=1, max_size=40)


def write(path: Path, number: int, flip: bool = False) -> None:
    """Write a picture of noise; the same number is the same picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 255, (40, 48), dtype=np.uint8)
    Image.fromarray(pixels[:, ::-1] if flip else pixels).save(path)


@pytest.fixture
def prepared(tmp_path):
    """Return a scan table of 24 slices: 8 test, 4 calibration and 12 training slices."""
    for number in range(24):
        split = "Testing" if number < 8 else "Training"
        write(tmp_path / "data" / split / CLASSES[number % 4] / f"{number}.png", number)
    scans = prepare_scans(tmp_path / "data", label_fraction=1., cache_folder=tmp_path / "cache")[0]
    scans = hold_out_validation(scans, .25, minimum=1)
    assert scans["split"].value_counts().to_dict() == {"train": 12, "test": 8, "validation": 4}
    return scans


@pytest.fixture
def join(prepared, tmp_path):
    """Return a function that joins folders to the prepared table."""
    return lambda *names, **more: other_sources.join_unlabelled(
        prepared, tmp_path / "data", [tmp_path / name for name in names], CLASSES,
        cache_folder=tmp_path / "cache", **more)


@settings(deadline=None, max_examples=30)
@given(rows=LABELS, number=st.integers(1, 12), seed=st.integers(0, 9))
def test_labels_are_drawn_from_groups_and_nested(rows, number, seed):
    """Draw at most so many of each class, one of a group, and more on top of fewer."""
    names, groups = zip(*rows)
    pile = pd.DataFrame({"class_name": names, "group": [f"p{g}" for g in groups]})
    pile["path"] = pile.index.astype(str)
    if not {*names} & {*CLASSES}:
        with pytest.raises(ValueError, match="unlabelled_labels needs labels of the classes"):
            other_sources.draw_labels(pile, CLASSES, number, seed)
        return
    shown = other_sources.draw_labels(pile, CLASSES, number, seed)
    drawn = pile[shown]
    assert drawn["class_name"].value_counts().max() <= number
    assert {*drawn["class_name"]} <= {*CLASSES} and group_keys(drawn).is_unique
    assert not (shown & ~other_sources.draw_labels(pile, CLASSES, number + 1, seed)).any()
    pd.testing.assert_series_equal(shown, other_sources.draw_labels(pile, CLASSES, number, seed))


def test_labels_of_the_pile_are_ignored(join, tmp_path, prepared):
    """Give the same training whatever the pile is labelled as, and leave the data as they are."""
    for number in range(6):
        write(tmp_path / "pile" / f"{number}.png", 100 + number)
    plain = join("pile")
    listed = [f"{i}.png,{CLASSES[i % 4]}" for i in range(5)]
    (tmp_path / "pile" / "labels.csv").write_text("\n".join(["path,label", *listed]))
    labelled = join("pile")
    columns = ["path", "label", "true_label", "class_name", "split", "clean", "collection"]
    pd.testing.assert_frame_equal(plain.table[columns], labelled.table[columns])
    assert (labelled.table["label"][labelled.table["joined"]] == -1).all()
    assert not [c for c in labelled.table if c.startswith("csv_")]
    assert "labels of 5 of them were found and are not used" in labelled.sentences[0]
    assert plain.sentences == ["6 slices of pile joined the training without a label."]
    pd.testing.assert_frame_equal(
        labelled.table[list(prepared)][:24], prepared, check_dtype=False)


def test_slices_of_the_held_out_sets_are_leaks(join, tmp_path, prepared):
    """Leave out duplicates of test and calibration slices, with all slices of their patients."""
    of = {split: list(rows["path"]) for split, rows in prepared.groupby("split")}
    number = lambda split: int(Path(of[split][0]).stem)
    write(tmp_path / "pile/0.png", number("test"), flip=True)  # mirrored
    write(tmp_path / "pile/1.png", 101)  # of the same patient
    write(tmp_path / "pile/2.png", number("validation"))
    write(tmp_path / "pile/3.png", number("train"))
    write(tmp_path / "pile/4.png", number("train"), flip=True)
    write(tmp_path / "pile/5.png", 105)
    write(tmp_path / "pile/6.png", 105)
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(tmp_path / "pile/7.png")
    rows = ["0.png,,p", "1.png,,p", *(f"{i}.png,,q{i}" for i in range(2, 8))]
    (tmp_path / "pile/labels.csv").write_text("\n".join(["path,label,patient", *rows]))
    joined = join("pile")
    reasons = dict(zip(joined.left_out["path"].map(lambda p: Path(p).name),
                       joined.left_out["reason"]))
    assert {name: reason.split(":")[0] for name, reason in reasons.items()} == {
        "0.png": "leak", "1.png": "leak", "2.png": "leak", "3.png": "duplicate file",
        "6.png": "duplicate file", "7.png": "blank"}
    assert "calibration" in reasons["2.png"] and "test set" in reasons["1.png"]
    pile = joined.table[joined.table["joined"]].assign(
        name=lambda t: t["path"].map(lambda p: Path(p).name)).set_index("name")
    assert list(pile.index) == ["4.png", "5.png"]
    # a mirrored training slice is of its group; the other has a group of its own
    first = prepared.set_index("path")["group"][of["train"][0]]
    assert pile["group"]["4.png"] == first and pile["group"]["5.png"].startswith("pile: ")
    assert set(pile["patient"]) == {"pile: q4", "pile: q5"}
    clean = joined.table["clean"][joined.table["split"] == "test"]
    assert list(clean) == list(prepared["clean"][prepared["split"] == "test"])
    kept, out = other_sources.admit_slices(
        prepared, joined.table[joined.table["joined"]], cache_folder=tmp_path / "cache")
    assert len(kept) == 2 and not len(out)


def test_patients_of_two_collections_are_two(join, tmp_path):
    """Keep patient 1 of two folders of one name apart, and number the folders."""
    for k, place in enumerate(("a/pile", "b/pile")):
        for number in range(3):
            write(tmp_path / place / f"{number}.png", 100 + 10 * k + number)
        (tmp_path / place / "labels.csv").write_text(
            "path,label,patient\n0.png,glioma,1\n1.png,glioma,1\n2.png,yes,2\n")
    joined = join("a/pile", "b/pile", labels_per_class=2)
    pile = joined.table[joined.table["joined"]]
    assert list(pile["collection"].unique()) == ["pile_1", "pile_2"]
    assert pile["patient"].nunique() == 4 and pile["group"].nunique() == 4
    assert other_sources.collection_names(["/a/lgg", "/b/lgg", "c"]) == ["lgg_1", "lgg_2", "c"]
    counts = other_sources.collection_counts(joined.table).set_index("collection")
    assert list(counts["train"]) == [12, 3, 3] and list(counts["labelled"]) == [16, 1, 1]
    notes = " ".join(joined.sentences)
    assert "2 labels of the joined slices tell a tumour and not its kind" in notes
    assert "Labels of 2 joined slices are learnt, each of another group: 2 glioma; " in notes
    assert "there are no more of meningioma, notumor, pituitary" in notes


def test_a_pile_that_cannot_be_used_is_refused(join, tmp_path, prepared):
    """Refuse a pile of duplicates, one without a label to draw, and broken files."""
    write(tmp_path / "pile/0.png", int(Path(prepared["path"][0]).stem))
    with pytest.raises(ValueError, match="unlabelled must hold scans that are not in the data"):
        join("pile")
    write(tmp_path / "pile/1.png", 101)
    with pytest.raises(ValueError, match="got none. Give a labels.csv"):
        join("pile", labels_per_class=4)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/1.png").write_text("not an image")
    with pytest.raises(ValueError, match="must hold a readable image"):
        join("broken")


@pytest.mark.parametrize("folder, words", [
    ("nowhere", "unlabelled must be folders of scans"), ("empty", "must hold images"),
    ("data", "which is data"), ("data/Training", "inside data"), ("", "which holds data"),
    ("results", "out must lie outside of unlabelled")])
def test_folders_are_refused_before_anything_is_read(prepared, tmp_path, folder, words):
    """Say in one sentence why a folder cannot join."""
    (tmp_path / "empty").mkdir()
    write(tmp_path / "results/1.png", 1)
    out = tmp_path / "results/run" if folder == "results" else Path("/elsewhere/run")
    with pytest.raises((ValueError, OSError), match=words) as error:
        other_sources.check_unlabelled(
            [str(tmp_path / folder)], tmp_path / "data", out, "/elsewhere/cache")
    assert "\n" not in str(error.value)
    other_sources.check_unlabelled([str(tmp_path / "results")], tmp_path / "data",
                                   Path("/elsewhere"), "/elsewhere/cache")
    assert other_sources.would_be_read(tmp_path / "data/x", tmp_path / "data")
    assert not other_sources.would_be_read(tmp_path / "data/.x", tmp_path / "data")


def test_slices_are_read_whatever_they_are_called(tmp_path):
    """Read unknown classes, files beside them, and files without a row."""
    for name in ("glioma/1", "stroke/2", "3"):
        write(tmp_path / "tree" / f"{name}.png", len(name))
    table, left_out = other_sources.read_unlabelled(
        tmp_path / "tree", CLASSES, cache_folder=tmp_path / "cache")
    assert sorted(table["class_name"]) == ["", "glioma", "stroke"] and not len(left_out)
    with pytest.raises(OSError, match="does not exist"):
        other_sources.read_unlabelled(tmp_path / "none", CLASSES)


def test_slices_of_another_source_are_taught_by_the_head_alone():
    """Let neither the mixture nor the class prior of the data make their pseudo-labels."""
    head = np.array([[.5, .5], [.5, .5], [.6, .4]])
    mixture = np.array([[.9, .1], [.3, .7], [.1, .9]])
    def targets(
        joined: list[int], alignment: float, adjustments: np.ndarray | None = None) -> list[float]:
        data = SimpleNamespace(labels=np.array([0, -1, -1]), labelled=np.array([0]),
                               unlabelled=np.array([1, 2]), train=np.arange(3), n_classes=2,
                               joined=np.array(joined, dtype=np.int64), adjustments=adjustments)
        settings = SimpleNamespace(teacher_cluster_weight=1., distribution_alignment=alignment)
        trainer = SimpleNamespace(data=data, config=settings)
        return Trainer.make_targets(trainer, head, mixture)[:, 0].tolist()
    assert targets([], 0.) == pytest.approx([.9, .3, .1])
    assert targets([2], 0.) == pytest.approx([.9, .3, .6])
    # the factors come from the slices of the data: one label and five assumed of each class
    assert targets([2], 1.)[1:] == pytest.approx([6 / 11, .6])
    assert targets([1, 2], 1.) == pytest.approx([.9, .5, .6])
    # the class prior of a source counts, nine to one in that of the second slice
    within = np.log([[1, 1], [.9, .1], [1, 1]])
    assert targets([1, 2], 0., within) == pytest.approx([.9, .9, .6])
