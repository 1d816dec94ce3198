"""Properties of brainclust.training.supervised."""

import math
from dataclasses import replace

import numpy as np
import torch
from assertions import accepted, sum_to_one
from examples import FABRIC, NETWORKS, tiny_data
from hypothesis import given, strategies as st
from strategies import TENTH_OF_EXAMPLES, class_ids, seeds, slice_stacks

from brainclust.models import companions
from brainclust.training import supervised


@TENTH_OF_EXAMPLES
@given(images=slice_stacks(side=32))
def test_predictions_are_log_probabilities(images):
    """Return log probabilities per slice, and none without slices."""
    data = tiny_data(images)
    wrapped = FABRIC.setup_module(companions.LogitsOnly(NETWORKS["autoencoder"]))
    log_probabilities = supervised.predict(FABRIC, wrapped, data, data.train, batch_size=2)
    assert log_probabilities.shape == (len(images), 3)
    assert sum_to_one(np.exp(log_probabilities))
    assert supervised.predict(FABRIC, wrapped, data, data.train[:0]).shape == (0, 3)


@TENTH_OF_EXAMPLES
@given(images=slice_stacks(side=32))
def test_mean_scores_need_known_labels(images):
    """Return a loss and an accuracy, NaN where no label is known."""
    data = tiny_data(images)
    wrapped = FABRIC.setup_module(companions.LogitsOnly(NETWORKS["autoencoder"]))
    log_probabilities = supervised.predict(FABRIC, wrapped, data, data.train, batch_size=2)
    loss, accuracy = supervised.mean_scores(log_probabilities, data.truth)
    assert loss >= 0
    assert 0 <= accuracy <= 1
    assert all(map(math.isnan, supervised.mean_scores(log_probabilities, np.full(len(images), -1))))


@TENTH_OF_EXAMPLES
@given(images=slice_stacks(side=32))
def test_a_slice_grid_is_an_image(images):
    """Lay slices out as an RGB image in [0, 1]."""
    grid = supervised.slice_grid(torch.from_numpy(np.ascontiguousarray(images)).float(), 0.5, 0.3)
    assert grid.shape[0] == 3
    assert 0 <= grid.min() <= grid.max() <= 1


def test_supervised_trainings_on_few_labels_finish(small_data, tmp_path):
    """Finish an epoch with few labels, one label or one class."""
    recipe = supervised.Recipe(32, 1, 500)
    known = small_data.labelled
    for number, rows in enumerate((known, known[:1],
                                   known[small_data.labels[known]
                                         == small_data.labels[known[0]]])):
        data = replace(small_data, train=rows)
        state = supervised.train_supervised(FABRIC, supervised.make_companion("a", 4, 32), data,
                                            recipe, tmp_path / str(number))
        assert state.epoch == 1
        assert math.isfinite(state.history[0]["train_loss"])
        assert math.isnan(state.history[0]["validation_loss"])


@given(data=st.data())
def test_folds_divide_no_group(data):
    """Keep every group within one side of each fold."""
    n = data.draw(st.integers(1, 40))
    rng = np.random.default_rng(data.draw(seeds()))
    labels = data.draw(class_ids(n, 3, hidden=False))
    groups = rng.integers(0, data.draw(st.integers(1, n)), n)
    folds = accepted(supervised.group_folds, labels, groups, 5, refuses=ValueError)
    if folds is None: return
    for fit, held in folds.split(labels, labels, groups):
        assert not set(groups[fit]) & set(groups[held])


@given(data=st.data())
def test_the_validation_set_divides_no_group(data):
    """Divide rows into training and validation along groups."""
    n = data.draw(st.integers(1, 40))
    rng = np.random.default_rng(data.draw(seeds()))
    labels = data.draw(class_ids(n, 3, hidden=False))
    groups = rng.integers(0, data.draw(st.integers(1, n)), n)
    cut = accepted(supervised.cut_validation, np.arange(n), labels, groups, 0.2, refuses=ValueError)
    if cut is None: return  # too few groups
    assert sorted(np.concatenate(cut)) == list(range(n))
    assert not set(groups[cut[0]]) & set(groups[cut[1]])
