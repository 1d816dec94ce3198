"""Clusterings that a few labels guide: probabilities, whatever the points, and known truths."""
import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays
from strategies import FIFTH_OF_EXAMPLES, seeds

from brainclust.models.guided_clustering import (
    components_as_classes,
    neighbour_consistency,
    refine_centres,
    sharpened_targets,
    spread_labels,
)

LABELLERS = {
    "spread_labels": spread_labels,
    "refine_centres": lambda *given, **settings: refine_centres(*given, steps=5, **settings),
    "neighbour_consistency": lambda *given: neighbour_consistency(*given, steps=5)}


def blobs(seed: int = 0, count: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Return the points of three blobs far from each other, and their classes."""
    truth = np.repeat(np.arange(3), count)
    centres = np.array([[0., 0, 0], [9, 0, 0], [0, 9, 0]])
    return centres[truth] + np.random.default_rng(seed).normal(0, 1, (3 * count, 3)), truth


@pytest.mark.parametrize("name", LABELLERS)
@FIFTH_OF_EXAMPLES
@given(points=arrays(float, st.tuples(st.integers(2, 25), st.integers(1, 4)),
                     elements=st.floats(-1e3, 1e3, width=32)), seed=seeds())
def test_any_points_get_probabilities(name, points, seed):
    """Give rows that sum to 1, also for equal points and classes without a label."""
    labels = np.random.default_rng(seed).integers(-1, 3, len(points))
    labels[0] = 1
    probabilities = LABELLERS[name](points, labels, 4)
    assert probabilities.shape == (len(points), 4) and (probabilities >= 0).all()
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("function", [spread_labels, refine_centres, neighbour_consistency])
def test_one_label_of_each_blob_is_enough(function):
    points, truth = blobs()
    labels = np.full(len(truth), -1)
    labels[::30] = truth[::30]
    assert (function(points, labels, 3).argmax(axis=1) == truth).mean() > .98
    shuffled = np.random.default_rng(1).permutation(len(truth))
    again = function(points[shuffled], labels[shuffled], 3)
    assert (again.argmax(axis=1) == truth[shuffled]).mean() > .98


@pytest.mark.parametrize("name", LABELLERS)
@pytest.mark.parametrize("points, labels, sentence", [
    (np.zeros((3, 2)), np.full(3, -1), "at least 1 label"),
    (np.zeros((3, 2)), np.zeros(2, int), "same slices"),
    (np.full((3, 2), np.nan), np.zeros(3, int), "finite"),
    (np.zeros((3, 2)), np.full(3, 4), "labels")])
def test_bad_points_and_labels_are_named(name, points, labels, sentence):
    with pytest.raises(ValueError, match=sentence):
        LABELLERS[name](points, labels, 3)


def test_a_power_changes_no_order():
    """Sharpen every row alike, and leave the probability 0 of a class without a label."""
    points, truth = blobs()
    labels = np.where(np.arange(len(truth)) % 30 == 0, truth, -1)
    labels[labels == 2] = -1
    soft, hard = (refine_centres(points, labels, 4, power=power) for power in (1., 4.))
    assert np.allclose(hard, soft**4 / (soft**4).sum(axis=1, keepdims=True))
    assert not hard[:, 2:].any()


def test_components_take_the_mean_of_their_slices():
    """Put right a head that is wrong for one slice in five, component by component."""
    points, truth = blobs()
    points = np.c_[points, np.full(len(points), 3.)]
    wrong = np.random.default_rng(2).random(len(truth)) < .2
    head = np.eye(3)[np.where(wrong, (truth + 1) % 3, truth)]
    lifted = components_as_classes(points, head, 6)
    assert (lifted.argmax(axis=1) == truth).mean() > .97
    assert np.allclose(lifted.sum(axis=1), 1)


def test_sharpening_is_no_change_at_certainty_and_favours_the_nearer_centre():
    certain = torch.eye(3)
    assert torch.equal(sharpened_targets(certain), certain)
    soft = torch.tensor([[.7, .3], [.3, .7]])
    assert (sharpened_targets(soft)[0, 0] > .7) and torch.allclose(
        sharpened_targets(soft)[0, 0], torch.tensor(.49 / .58))
