"""Properties of brainclust.training.cross_fitting: who predicts whom, and what resuming changes."""

from dataclasses import replace
from typing import get_args, get_type_hints

import numpy as np
import pytest
import torch
from assertions import refused, sum_to_one
from examples import FABRIC, tiny_config
from hypothesis import given, strategies as st
from strategies import seeds

from brainclust.core.config import Config
from brainclust.models.encoders import make_network
from brainclust.training import cross_fitting
from brainclust.training.loop import Trainer


@given(data=st.data(), folds=st.integers(2, 10), seed=seeds())
def test_folds_share_no_group_and_leave_every_class(data, folds, seed):
    """Divide labelled slices alone, keep groups whole, and leave every class outside each fold."""
    n = data.draw(st.integers(0, 40))
    rng = np.random.default_rng(seed)
    labels = rng.integers(-1, 3, n)
    groups = rng.integers(0, data.draw(st.integers(1, 40)), n).astype(str)
    found = cross_fitting.assign_folds(labels, groups, folds, seed)
    if found is None: return
    assert ((found >= 0) == (labels >= 0)).all()
    assert 2 <= found.max() + 1 <= folds
    for fold in range(found.max() + 1):
        held = found == fold
        rest = (found >= 0) & ~held
        assert held.any()
        assert not set(groups[held]) & set(groups[rest])
        assert set(labels[rest]) == set(labels[labels >= 0])


def test_few_labels_give_few_folds_or_none():
    """Make two folds of two groups per class, and none without labels or with a single group."""
    labels = np.repeat([0, 1], 4)
    groups = np.array([*"aabbccdd"])
    found = cross_fitting.assign_folds(labels, groups, 5)
    assert set(found) == {0, 1} and len(set(found[:4])) == len(set(found[4:])) == 2
    assert cross_fitting.assign_folds(labels, np.array([*"aabbcccc"]), 5) is None
    assert cross_fitting.assign_folds(np.full(8, -1), groups, 5) is None
    assert cross_fitting.assign_folds(labels[:0], groups[:0], 5) is None
    assert cross_fitting.assign_folds(labels, groups, 0) is None
    assert "must be of the same slices" in refused(
        cross_fitting.assign_folds, labels, groups[1:], 2)


@pytest.mark.parametrize("init, fraction", [
    ("random", 1), ("autoencoder", 1), ("phantom", .75), ("imagenet", .75)])
def test_a_fold_has_the_epochs_that_its_weights_need(init, fraction):
    """Take a fraction of the supervised epochs, or of all where none is supervised."""
    for changes, whole in (({"epochs": 16, "supervised_epochs": 8}, 8), ({"epochs": 12}, 12),
                           ({"epochs": 1}, 1)):
        config = replace(tiny_config(**changes), init=init)
        made = cross_fitting.fold_config(config)
        assert made.epochs == round(fraction * whole)
        assert made.supervised_epochs == made.epochs == made.clustering_epochs
    assert {*cross_fitting.FOLD_EPOCHS} == {*get_args(get_type_hints(Config)["init"])}


@pytest.fixture(scope="module")
def example(small_data):
    """Twelve labelled slices of six groups, the others unlabelled, in two folds."""
    groups = np.arange(len(small_data.labels)) // 2
    labels = np.where((groups % 2 == 0) & (groups < 12), groups // 2 % 2, -1)
    data = replace(small_data, labels=labels, truth=np.maximum(labels, 0), n_classes=2)
    folds = cross_fitting.assign_folds(labels, groups, 2)
    return data, groups, folds, tiny_config(classes=("a", "b"), n_clusters=2, epochs=2)


def cross(example, folder, **changes):
    """Train the folds of the example."""
    data, _, folds, settings = example
    network = make_network("autoencoder", 2, 32, seed=0)
    return cross_fitting.cross_fit(
        FABRIC, network, replace(data, **changes), folds, settings, folder)


def test_every_labelled_slice_is_predicted_by_another_fold(example, tmp_path):
    """Return every labelled slice once; a fold's labels and images do not change its network."""
    data, groups, folds, settings = example
    found = cross(example, tmp_path / "a")
    assert (found.rows == data.labelled).all() and (found.labels == data.labels[found.rows]).all()
    assert sum_to_one(found.probabilities) and len(found.networks) == 2
    assert len(found.seconds) == 2 and min(found.seconds) > 0
    for fold in range(2):
        part = cross_fitting.fold_data(data, folds, fold, settings)
        assert not set(groups[part.labelled]) & set(groups[part.test])
        assert set(part.labelled) | set(part.test) == set(data.labelled)
    images = data.images.clone()
    images[folds == 0] = 255 - images[folds == 0]
    changed = cross(example, tmp_path / "b", images=images,
                    labels=np.where(folds == 0, 1 - data.labels, data.labels))
    weights = [torch.cat([value.flatten().double() for value in found.networks[0]
                          .state_dict().values()]) for found in (found, changed)]
    assert torch.equal(*weights)
    assert not np.array_equal(found.probabilities[found.folds == 0],
                              changed.probabilities[found.folds == 0])


def test_joined_slices_teach_and_are_not_predicted(example, tmp_path):
    """Predict only slices of the run's own collection."""
    data, _, folds, _ = example
    joined = data.labelled[:2]
    found = cross(example, tmp_path, joined=joined)
    assert set(found.rows) == set(data.labelled) - set(joined)


@pytest.mark.parametrize("last", [2, 3])
def test_resuming_within_a_fold_changes_nothing(example, tmp_path, monkeypatch, last):
    """Stop in the middle of the first or at the start of the second fold, and go on."""
    expected = cross(example, tmp_path / "whole").probabilities
    whole = Trainer.joint_epoch
    calls = []

    def cut(self, *given):
        calls.append(given)
        if len(calls) == last: raise KeyboardInterrupt
        return whole(self, *given)

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "joint_epoch", cut)
        with pytest.raises(KeyboardInterrupt):
            cross(example, tmp_path / "cut")
    assert np.array_equal(cross(example, tmp_path / "cut").probabilities, expected)


def test_every_unlabelled_slice_may_be_missing(example, tmp_path):
    """Train the folds of data without an unlabelled slice."""
    data = example[0]
    found = cross(example, tmp_path, train=data.labelled)
    assert np.isfinite(found.probabilities).all()


def test_a_launch_gets_what_a_fold_needs(example, tmp_path):
    """Hand every fold to the function that starts processes."""
    data, _, folds, settings = example
    seen = []
    cross_fitting.cross_fit(FABRIC, make_network("autoencoder", 2, 32, seed=0), data, folds,
                            settings, tmp_path, lambda **given: seen.append(given))
    assert [given["folder"].name for given in seen] == ["fold_1", "fold_2"]
    assert all(set(given) == {"folder", "network", "data", "config"} for given in seen)


def test_files_are_read_as_they_were_written(example, tmp_path):
    """Read rows, labels, folds and probabilities; refuse damaged files in one sentence."""
    assert cross_fitting.read_out_of_fold(tmp_path) is None
    found = cross_fitting.OutOfFold(np.arange(3), np.array([0, 1, 0]), np.array([0, 1, 1]),
                                    np.full((3, 2), .5, np.float32))
    cross_fitting.save_out_of_fold(tmp_path, found)
    again = cross_fitting.read_out_of_fold(str(tmp_path))
    assert all(np.array_equal(a, b) for a, b in zip(found[:4], again[:4]))
    for wrong in ({"labels": np.array([0, 2, 0])}, {"rows": np.arange(2)},
                  {"probabilities": np.zeros((3, 2), np.float32)}):
        cross_fitting.save_out_of_fold(tmp_path, found._replace(**wrong))
        assert "is damaged" in refused(cross_fitting.read_out_of_fold, tmp_path)
    (tmp_path / cross_fitting.OUT_OF_FOLD).write_bytes(b"nothing")
    assert "out_of_fold" in refused(cross_fitting.read_out_of_fold, tmp_path)
