"""Properties of rare classes: weights, batches, splits, recalls and the notes of a run."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from examples import FABRIC, tiny_config, tiny_data
from hypothesis import given, strategies as st
from scipy.sparse import csr_array

from brainclust.core import files, metrics
from brainclust.data import rare_classes, splits
from brainclust.models import losses
from brainclust.models.encoders import make_network
from brainclust.runs import evaluation, execute
from brainclust.training import batches
from brainclust.training.launch import read_job, write_job
from brainclust.training.loop import Trainer

COUNTS = st.lists(st.integers(0, 40), min_size=2, max_size=6).filter(lambda n: sum(n) > 0)


def labels_of(counts: list[int]) -> np.ndarray:
    """Return so many labels of every class."""
    return np.repeat(np.arange(len(counts)), counts)


@pytest.mark.parametrize(("counts", "expected"), [
    ([10, 10], [1, 1]), ([30, 10], [2 / 3, 2]), ([50, 35, 14, 1], [.5, 25 / 35, 25 / 14, 25]),
    ([8, 0, 2], [10 / 16, 0, 2.5])])
def test_weights_by_hand(counts, expected):
    """Weight classes by N / (C n), with C the classes that occur."""
    weights = losses.class_weights(torch.tensor(labels_of(counts)), len(counts))
    assert np.allclose(weights, expected)


@given(counts=COUNTS)
def test_weights_give_classes_one_total_and_slices_the_mean_one(counts):
    """Keep the mean weight at 1 and the total of every class that occurs equal."""
    labels = torch.tensor(labels_of(counts))
    weights = losses.class_weights(labels, len(counts))
    assert np.isclose(float(weights[labels].mean()), 1)
    totals = (weights * torch.tensor(counts))[torch.tensor(counts) > 0]
    assert np.allclose(totals, totals[0])


@given(counts=COUNTS, size=st.integers(1, 9), steps=st.integers(1, 9), seed=st.integers(0, 9))
def test_balanced_batches_show_classes_equally_often(counts, size, steps, seed):
    """Show each class, and within it each slice, equally often, give or take one."""
    labels = labels_of(counts)
    rows = 100 + np.arange(len(labels))
    drawn = batches.balanced_batches(rows, labels, size, steps, seed)
    assert [len(batch) for batch in drawn] == [size] * steps
    shown = np.bincount(np.concatenate(drawn) - 100, minlength=len(labels))
    each = [shown[labels == k].sum() for k in np.unique(labels)]
    assert max(each) - min(each) <= 1
    assert all(np.ptp(shown[labels == k]) <= 1 for k in np.unique(labels))
    again = batches.balanced_batches(rows, labels, size, steps, seed)
    assert all((a == b).all() for a, b in zip(drawn, again))


def test_batches_show_every_class_of_every_source_equally_often(tmp_path):
    """Show the two slices of the rare source as often as the ten of the frequent one."""
    images = np.random.default_rng(0).integers(0, 256, (24, 1, 32, 32), dtype=np.uint8)
    labels = labels_of([12, 12])
    sources = np.tile([0] * 10 + [1] * 2, 2)
    one = tiny_data(images, labels, 2)
    named = replace(one, sources=sources)
    network = make_network("autoencoder", 2, 32)

    def shown(data: batches.TrainingData, balance: str) -> np.ndarray:
        """Count how often each slice is drawn in an epoch of twelve steps."""
        trainer = Trainer(FABRIC, network, data, tiny_config(class_balance=balance,
                                                             labelled_batch_size=4))
        drawn = trainer.joint_batches(data.unlabelled, 12, 1)
        return np.bincount(np.concatenate([step[0] for step in drawn]), minlength=24)

    counts = shown(named, "sources")
    each = [counts[(labels == k) & (sources == s)].sum() for k in (0, 1) for s in (0, 1)]
    assert each == [12] * 4
    assert (shown(one, "sources") == shown(one, "batches")).all()  # nobody named a source
    assert (shown(named, "none") == 2).all()

    np.save(tmp_path / "images.npy", images)
    job = write_job(tmp_path, "joint training", network, named, tiny_config(),
                    tmp_path / "images.npy")
    assert (read_job(job, torch.device("cpu"))[2].sources == sources).all()
    with pytest.raises(ValueError, match="sources must be one whole number per slice"):
        replace(one, sources=np.array(["a"] * 24))


@given(counts=COUNTS, seed=st.integers(0, 9), large=st.integers(1, 4))
def test_splits_keep_every_class_on_both_sides(counts, seed, large):
    """Put each class of two groups or more into training and test set, and divide no group."""
    labels = labels_of(counts)
    table = pd.DataFrame({"path": [f"{k}.png" for k in range(len(labels))], "label": labels,
                          "class_name": labels.astype(str), "split": "train",
                          "group": [f"{k}-{i // large}" for k, i in zip(labels, range(99999))]})
    try:
        divided = splits.split_table(table, .2, seed)
    except ValueError:
        return  # too few slices for a test set
    assert divided.groupby("group").split.nunique().max() == 1
    groups = divided.groupby("label").group.nunique()
    sides = divided.groupby("label").split.nunique()
    assert (sides[groups >= 2] == 2).all()


@pytest.mark.parametrize(("counts", "fraction", "visible"), [
    ([320, 224, 90, 6], .05, [16, 11, 5, 1]), ([40, 20, 8, 3], .1, [4, 2, 1, 1]),
    ([100, 1], .01, [1, 1])])
def test_every_class_keeps_a_label(counts, fraction, visible):
    """Leave each class a label, however rare it is."""
    labels = labels_of(counts)
    table = pd.DataFrame({"path": [f"{k}.png" for k in range(len(labels))], "label": labels,
                          "class_name": labels.astype(str), "split": "train", "group": ""})
    hidden = splits.hide_labels(table, fraction)
    assert np.bincount(hidden.label[hidden.label >= 0]).tolist() == visible


@given(counts=COUNTS, seed=st.integers(0, 9))
def test_the_macro_recall_is_the_mean_of_the_recalls(counts, seed):
    """Average the recalls of the classes that occur, inside their intervals."""
    labels = labels_of(counts)
    correct = np.random.default_rng(seed).random(len(labels)) < .7
    table = metrics.recall_table(labels, correct, tuple(map(str, range(len(counts)))), draws=50)
    own = table.recall[:-1].dropna()
    assert np.isclose(table.recall.iloc[-1], own.mean())
    assert own.tolist() == [correct[labels == k].mean() for k in np.unique(labels)]
    known = table.dropna()
    assert (known.low <= known.recall + 1e-9).all() and (known.recall <= known.high + 1e-9).all()
    value = metrics.macro_recall_interval(labels, correct, draws=0)[0]
    assert np.isclose(value, own.mean())


@pytest.mark.parametrize(("right", "low", "high"), [
    (np.ones(5, bool), .566, 1), (np.zeros(5, bool), 0, .434), (np.ones(1, bool), .207, 1)])
def test_an_interval_has_a_width_where_all_slices_agree(right, low, high):
    """Use Wilson's interval where the bootstrap has no width."""
    assert np.allclose(metrics.recall_interval(right)[1:], [low, high], atol=.001)


def test_slices_of_one_patient_count_once():
    """Widen the interval if all slices are of one patient."""
    one = metrics.recall_interval(np.ones(9, bool), np.zeros(9))
    assert one == metrics.recall_interval(np.ones(1, bool))


@pytest.mark.parametrize(("train", "test", "balanced", "expected"), [
    ([40, 40], [9, 9], False, []), ([400, 7], [9, 9], False, ["The classes have between 7 and"]),
    ([400, 7], [9, 9], True, []), ([40, 40], [9, 2], False, ["Little can be told"]),
    ([40, 40, 0], [9, 9, 0], False, ["No slice has the class c2"]),
    ([40, 2, 0], [9, 1, 0], True, ["No slice has the class c2", "Little can be told"])])
def test_notes_name_classes_with_few_slices(train, test, balanced, expected):
    """Name rare, missing and imbalanced classes, and nothing else."""
    labels = labels_of(train)
    tested = labels_of(test)
    table = pd.DataFrame({"true_label": np.concatenate([labels, tested]),
                          "label": np.concatenate([labels, np.full(len(tested), -1)]),
                          "split": ["train"] * len(labels) + ["test"] * len(tested)})
    names = [f"c{k}" for k in range(len(train))]
    sentences = rare_classes.rare_class_sentences(table, names, balanced)
    assert len(sentences) == len(expected)
    assert all(s.startswith(words) for s, words in zip(sentences, expected))


@given(sizes=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=8),
       data=st.data())
def test_each_class_of_two_groups_is_on_both_sides(sizes, data):
    """Move at most one group per class, and none where nothing is missing."""
    counts = csr_array(np.array(sizes))
    chosen = np.array(data.draw(st.lists(st.booleans(), min_size=len(sizes), max_size=len(sizes))))
    kept = splits.keep_every_class(counts, chosen)
    assert (kept != chosen).sum() <= 2
    again = splits.keep_every_class(counts, kept)
    moved = {tuple(side) for side in (kept, again)}
    assert len(moved) <= 2
    for column in np.array(sizes).T:
        groups = np.flatnonzero(column)
        alone = (np.array(sizes)[groups] > 0).sum(axis=1) == 1
        if len(groups) >= 2 and alone.all():
            assert 0 < kept[groups].sum() < len(groups)


@given(counts=COUNTS, seed=st.integers(0, 9), draws=st.sampled_from([0, 20]))
def test_the_record_of_a_run_holds_every_recall(counts, seed, draws):
    """Put the recalls of all classes into the record; leave them out where nothing was named."""
    names = [f"class {k}" for k in range(len(counts))]
    rng = np.random.default_rng(seed)
    truth = np.array(names)[labels_of(counts)]
    predictions = pd.DataFrame(
        {"y_true": truth, "y_pred": rng.permutation(truth), "group": np.arange(len(truth)),
         **{f"prob_{name}": 0. for name in names}})
    results = evaluation.recall_results(predictions, draws)
    assert list(results["test_recall"]) == names
    table = evaluation.class_recalls(predictions, draws).set_index("class_name")
    assert results["test_macro_recall"][0] == table.recall["macro recall"]
    for empty in (predictions.assign(y_pred=""), predictions.assign(y_true="")):
        assert evaluation.recall_results(empty, draws) == {}


@pytest.mark.parametrize(("n", "words"), [(2, "; recall: c0 0.500 [0.400, 0.600], c1"),
                                          (6, "; recall: c0"), (17, "lowest recalls of 17 classes"),
                                          (44, "lowest recalls of 44 classes")])
def test_the_last_line_of_a_command_names_recalls(n, words, tmp_path):
    """Say accuracy, macro recall and the recalls, or the lowest three of many classes."""
    recalls = {f"c{k}": [.5, .4, .6] for k in range(n)}
    files.save_json(tmp_path / "run.json", {"results": {
        "test_accuracy": .9, "intervals": {"head": [None, None]}, "test_recall": recalls,
        "test_macro_recall": [.5, .4, .6]}})
    sentence, = execute.run_headline(tmp_path)
    assert sentence.startswith("Test accuracy 0.900, macro recall 0.500 [0.400, 0.600]")
    assert words in sentence
    assert execute.run_headline(tmp_path / "elsewhere") == []
