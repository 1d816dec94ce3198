"""Properties of brainclust.analysis.query_strategies, and scikit-activeml as its reference."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from strategies import points, probabilities, seeds

from brainclust.analysis import active_learning, query_strategies


def blobs(sizes, spread=1.0, seed=0):
    """Return points of clusters that are 30 apart, and their clusters."""
    rng = np.random.default_rng(seed)
    kind = np.repeat(np.arange(len(sizes)), sizes)
    return 30 * np.eye(len(sizes))[kind] + spread * rng.normal(size=(len(kind), len(sizes))), kind


@given(data=st.data())
def test_strategies_choose_new_groups(data):
    """Choose unlabelled slices of different unlabelled groups, and as many as there are."""
    x = np.asarray(data.draw(points(min_points=2)), np.float64)
    n = len(x)
    seed = data.draw(seeds())
    rng = np.random.default_rng(seed)
    p = data.draw(probabilities(n=n, k=3))
    taken = rng.random(n) < data.draw(st.sampled_from([0.0, 0.5, 1.0]))
    groups = rng.choice(["a", "b", "ü", "", "e"], n)
    count = data.draw(st.sampled_from([1, 2, 5, 1000]))
    radius = query_strategies.covering_radius(x, 3, seed=seed)
    for chosen in (query_strategies.typiclust(x, groups, taken, count, seed),
                   query_strategies.probcover(x, groups, taken, count, radius),
                   query_strategies.badge(x, p, groups, taken, count, seed),
                   query_strategies.most_different(x, np.ones(n), groups, taken, count)):
        assert len(chosen) == min(count, len(set(groups) - set(groups[taken])))
        assert not taken[chosen].any()
        assert len(set(groups[chosen])) == len(chosen)


@given(data=st.data())
def test_typicality_is_positive_and_gradients_end_at_certainty(data):
    """Keep the typicality above 0 and the gradients of certain predictions at 0."""
    x = np.asarray(data.draw(points(min_points=1)), np.float64)
    assert (query_strategies.typicality(x) > 0).all()
    certain = np.eye(3)[np.arange(len(x)) % 3]
    gradients = query_strategies.gradient_embeddings(x, certain)
    assert gradients.shape == (len(x), 3 * x.shape[1])
    assert not gradients.any()


@given(data=st.data())
def test_whitened_columns_have_variance_one_or_none(data):
    """Keep whitened columns finite, with variance 1, or 0 where a column does not vary."""
    x = data.draw(points(min_points=2))
    white = query_strategies.whitened(x, 4)
    assert np.isfinite(white).all()
    assert white.shape[1] <= 4
    assert np.all(np.isclose(white.std(axis=0), 1, atol=1e-3) | (white.std(axis=0) == 0))


def test_most_different_finds_a_rare_cluster_that_chance_misses():
    """Find a cluster of 1 % within 16 slices, which chance finds in about 15 of 100 draws."""
    different, drawn = 0, 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        kind = rng.permutation(np.repeat([0, 1, 2, 3], [500, 300, 190, 10]))
        centres = np.zeros((4, 8))
        centres[[0, 1, 2], [0, 1, 2]] = 8
        centres[3] = [8, 0, 0, 0, 3, 3, 3, 3]
        x = centres[kind] + rng.normal(size=(1000, 8))
        rows = query_strategies.most_different(
            query_strategies.whitened(x, 8), np.ones(1000), np.arange(1000),
            np.zeros(1000, bool), 16)
        different += (kind[rows] == 3).any()
        drawn += (kind[rng.choice(1000, 16, replace=False)] == 3).any()
    assert different >= 99
    assert 5 <= drawn <= 30, "chance has one in 14.9 of 100 draws (hypergeometric)"


@pytest.mark.parametrize("rule", ["list", "most different"])
def test_a_rare_cluster_of_one_patient_is_chosen_once(rule):
    """Choose one slice of a rare patient, not all of them."""
    x, kind = blobs([500, 480, 20])
    groups = np.where(kind == 2, -1, np.arange(1000))
    empty = np.zeros(1000, bool)
    if rule == "list":
        rows = active_learning.slices_to_label(
            x, np.full((1000, 3), 1 / 3), empty, groups, 16)["index"]
    else:
        rows = query_strategies.most_different(x, np.ones(1000), groups, empty, 16)
    assert (kind[rows] == 2).sum() == 1


def test_published_strategies_choose_as_scikit_activeml_does():
    """Choose the slices that scikit-activeml 1.0.1 chooses (BSD-3, not a requirement)."""
    pool = pytest.importorskip("skactiveml.pool", reason="a reference, not a requirement")
    x, _ = blobs([60, 41, 22, 9])
    n = len(x)
    unlabelled = np.full(n, np.nan)
    separate = np.arange(n)
    empty = np.zeros(n, bool)
    theirs = pool.TypiClust(random_state=0, k=20, cluster_algo_dict={"n_init": 10}).query(
        x, unlabelled, batch_size=4)
    assert list(query_strategies.typiclust(x, separate, empty, 4)) == list(theirs)
    theirs = pool.ProbCover(random_state=0, deltas=[1.7]).query(x, unlabelled, batch_size=1)
    ours = query_strategies.probcover(x, separate, empty, 1, 1.7)
    assert list(ours) == list(theirs)
    known = np.where(np.isin(separate, ours), 0, np.nan)
    utilities = pool.ProbCover(random_state=0, deltas=[1.7]).query(
        x, known, batch_size=1, return_utilities=True)[1][0]
    second = query_strategies.probcover(x, separate, np.isin(separate, ours), 1, 1.7)[0]
    assert utilities[second] == np.nanmax(utilities)
