"""Properties of brainclust.runs.ood."""

import warnings

import numpy as np
import torch
from examples import small_network
from hypothesis import given
from strategies import points, seeds

from brainclust.runs import ood
from brainclust.training.distributed import make_fabric


@given(x=points(min_points=1, max_points=30, dtype=np.float32))
def test_divided_statistics_are_finite(x):
    """Divide statistics along unit directions into finite parts."""
    with warnings.catch_warnings():
        described = ood.describe_statistics(x)
        along, rest = ood.divide_statistics(x, described)
        assert described["directions"].shape[1] == x.shape[1]
        assert np.allclose((described["directions"] ** 2).sum(axis=1), 1, atol=1e-4)
        assert np.isfinite(along).all()
        assert (rest >= 0).all()
        assert np.isfinite(rest).all()


@given(x=points(min_points=1, max_points=30, dtype=np.float32))
def test_ood_scores_are_not_negative(x):
    """Return a finite OOD score per slice that is not negative."""
    with warnings.catch_warnings():
        described = ood.describe_statistics(x)
        along, rest = ood.divide_statistics(x, described)
        scores = ood.ood_score(x, described, along)
        assert scores.shape == (len(x),)
        assert np.isfinite(scores).all()
        assert (scores >= 0).all()


@given(x=points(min_points=1, max_points=30, dtype=np.float32), seed=seeds())
def test_an_ood_threshold_needs_five_groups(x, seed):
    """Return no threshold for fewer than five groups."""
    with warnings.catch_warnings():
        groups = np.random.default_rng(seed).integers(0, 8, len(x))
        limit = ood.ood_threshold(x, groups)
        assert (limit is None) == (len(np.unique(groups)) < 5)
        assert limit is None or limit >= 0


@given(x=points(min_points=1, max_points=30, dtype=np.float32))
def test_neighbour_distances_are_sorted_distances(x):
    """Return the distance to the k-th nearest neighbour."""
    for k in (1, 5):
        found = ood.neighbour_distance(x, x[::2], k)
        direct = np.sort(np.linalg.norm(x[:, None].astype(float) - x[None, ::2], axis=2), axis=1)[
            :, min(k, len(x[::2])) - 1
        ]
        assert np.allclose(found, direct, rtol=1e-5,
                           atol=1e-5 * max(1e-6, np.abs(x).max()) + 1e-6 * np.abs(x).max())


def test_activation_statistics_are_recorded():
    """Record two finite statistics of every block."""
    made, _ = small_network()
    x = torch.zeros(2, 1, 32, 32)
    with ood.activation_statistics(made.encoder) as noted:
        made(x)
    assert len(noted) == 2 * len(ood.described_blocks(made.encoder))
    assert all(len(values) == 2 and values.isfinite().all() for values in noted)


def test_activations_outside_the_context_are_not_recorded():
    """Record nothing after the context is left."""
    made, _ = small_network()
    x = torch.zeros(2, 1, 32, 32)
    with ood.activation_statistics(made.encoder) as noted:
        made(x)
    with ood.activation_statistics(made.encoder) as noted:
        pass
    made(x)
    assert noted == []


def test_statistics_of_any_number_of_slices_are_returned():
    """Return embeddings, probabilities and statistics of every slice."""
    made, _ = small_network()
    x = torch.zeros(2, 1, 32, 32)
    made(x)
    seen = ood.look_at_slices(make_fabric(torch.device("cpu"), "32-true"), made,
                              torch.zeros(3, 1, 32, 32, dtype=torch.uint8), 0.3, 0.2, True,
                              batch_size=2)
    assert {name: len(values) for name, values in seen.items()} == {
        "embeddings": 3,
        "probabilities": 3,
        "statistics": 3,
    }


def test_a_calibration_is_told_with_what_it_rests_on():
    """Name held-out slices, folds or neither, and the measured coverage."""
    told = ood.calibration_sentence
    assert "not calibrated" in told(None, None) and "not calibrated" in told(None, .95, 3)
    assert "held out of training" in told(1.5, .95)
    folds = told(1.5, .95, 3)
    assert "by 3 networks" in folds and "without a guarantee" in folds and "test set" not in folds
    assert told(1.5, .95, 3, .956).endswith("On the test set it is 95.6%.")
    assert "too few for prediction sets" in told(1.5, None, 3)
