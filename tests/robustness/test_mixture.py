"""Invalid and damaged input for brainclust.models.mixture."""

import numpy as np
from assertions import accepted, refused
from hypothesis import given, strategies as st
from strategies import class_ids, points, seeds

from brainclust.models import mixture as mixture_module


@given(x=points(min_points=2), k=st.integers(1, 4), l2_normalise=st.booleans(), tied=st.booleans(),
       seed=seeds())
def test_responsibilities_of_other_dimensions_are_refused(x, k, l2_normalise, tied, seed):
    """Refuse embeddings of another shape than the fitted ones."""
    mixture = accepted(mixture_module.fit_mixture, x, k, l2_normalise=l2_normalise,
                       tied_covariance=tied, seed=seed, refuses=ValueError if len(x) < k else ())
    if mixture is None: return
    for wrong in (x[:, :0], x[0], np.hstack([x, x]), x[:, :1] if x.shape[1] > 1 else x[..., None]):
        refused(mixture.responsibilities, wrong)


@given(x=points(min_points=4), data=st.data())
def test_anchors_that_do_not_fit_are_refused(x, data):
    """Refuse anchors of unknown components or of another length."""
    k = data.draw(st.integers(1, 4))
    anchors = data.draw(class_ids(len(x), k))
    refused(mixture_module.fit_mixture, x, k, anchors=anchors + k + 1)
    refused(mixture_module.fit_mixture, x, k, anchors=anchors[1:])


def test_more_clusters_than_slices_are_refused():
    """Refuse more clusters than slices and name the setting."""
    x = np.random.default_rng(0).normal(size=(10, 3))
    assert "n_clusters=11" in refused(mixture_module.fit_mixture, x, 11)


def test_numbers_of_clusters_that_are_not_positive_integers_are_refused():
    """Refuse a number of clusters that is not a positive integer."""
    x = np.random.default_rng(0).normal(size=(10, 3))
    for k in (0, -1, 2.5):
        refused(mixture_module.fit_mixture, x, k)


def test_invalid_mixture_settings_are_refused():
    """Refuse dimensions and variance floors that are not positive and finite."""
    x = np.random.default_rng(0).normal(size=(10, 3))
    for settings_ in ({"dimensions": 0}, {"variance_floor": -1.0}, {"variance_floor": np.nan},
                      {"variance_floor": np.inf}):
        refused(mixture_module.fit_mixture, x, 2, **settings_)


def test_embeddings_that_are_not_a_matrix_are_refused():
    """Refuse embeddings that are not a matrix of real numbers."""
    x = np.random.default_rng(0).normal(size=(10, 3))
    for thing in ("text", None, [], [[]], np.array([["a"]]), np.zeros((2, 2, 2)), x * 1j):
        refused(mixture_module.fit_mixture, thing, 1)


def test_diverged_embeddings_are_counted():
    """Count the slices that are not finite and name the learning rate."""
    x = np.random.default_rng(0).normal(size=(10, 3))
    x[[2, 7]] = np.nan
    message = refused(mixture_module.fit_mixture, x, 2)
    assert "2 of 10 slices" in message
    assert "learning_rate" in message


def test_the_effective_rank_of_diverged_embeddings_is_refused():
    """Refuse an effective rank of embeddings with NaN."""
    x = np.random.default_rng(0).normal(size=(10, 3))
    x[[2, 7]] = np.nan
    refused(mixture_module.effective_rank, x)


def test_infinite_values_outside_the_sample_are_counted(monkeypatch):
    """Refuse infinite embeddings whether the sample holds them or not."""
    monkeypatch.setattr(mixture_module, "MAX_FITTED", 20)
    # more labels than are fitted
    x = np.random.default_rng(0).normal(size=(50, 3))
    anchors = np.where(np.arange(50) < 30, np.arange(50) % 2, -1)
    x[49] = np.inf  # whether it is in the sample or not
    assert "1 of 50" in refused(mixture_module.fit_mixture, x, 2, anchors=anchors)
