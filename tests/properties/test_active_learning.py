"""Properties of brainclust.analysis.active_learning."""

import numpy as np
from hypothesis import given, strategies as st
from strategies import points, probabilities, seeds

from brainclust.analysis import active_learning


@given(data=st.data())
def test_queries_are_new_groups(data):
    """Query unlabelled slices of different unlabelled groups."""
    x = data.draw(points(min_points=2))
    n = len(x)
    rng = np.random.default_rng(data.draw(seeds()))
    p = data.draw(probabilities(n=n, k=3))
    labelled = rng.random(n) < data.draw(st.sampled_from([0.0, 0.5, 1.0]))
    groups = rng.choice(["a", "b", "ü", "", "e"], n)
    count = data.draw(st.sampled_from([1, 2, 5, 1000]))
    rows = active_learning.slices_to_label(x, p, labelled, groups, count)
    chosen = rows["index"].to_numpy()
    assert len(rows) == min(count, len(set(groups) - set(groups[labelled])))
    assert not labelled[chosen].any()
    assert len(set(groups[chosen])) == len(chosen)


@given(data=st.data())
def test_queries_have_an_uncertainty(data):
    """Keep the margin uncertainty of queries in [0, 1] and their cells complete."""
    x = data.draw(points(min_points=2))
    n = len(x)
    rng = np.random.default_rng(data.draw(seeds()))
    p = data.draw(probabilities(n=n, k=3))
    labelled = rng.random(n) < data.draw(st.sampled_from([0.0, 0.5, 1.0]))
    groups = rng.choice(["a", "b", "ü", "", "e"], n)
    count = data.draw(st.sampled_from([1, 2, 5, 1000]))
    rows = active_learning.slices_to_label(x, p, labelled, groups, count)
    assert rows.margin_uncertainty.between(-1e-6, 1 + 1e-6).all()
    assert not len(rows) or rows.stands_for.sum() == n


@given(data=st.data())
def test_margin_uncertainty_lies_between_zero_and_one(data):
    """Return one uncertainty per slice, in [0, 1]."""
    x = data.draw(points(min_points=2))
    n = len(x)
    p = data.draw(probabilities(n=n, k=3))
    uncertainty = active_learning.margin_uncertainty(p)
    assert uncertainty.shape == (n,)
    assert ((uncertainty >= -1e-6) & (uncertainty <= 1 + 1e-6)).all()


@given(data=st.data())
def test_cell_centres_have_distances(data):
    """Assign every slice to a cell at a distance that is not negative."""
    x = data.draw(points(min_points=2))
    n = len(x)
    reduced = np.asarray(x, np.float64)
    cell, distance = active_learning.cell_centres(reduced, np.ones(n), 3)
    assert cell.shape == distance.shape == (n,)
    assert (distance >= 0).all()


@given(data=st.data())
def test_representatives_are_spread_out(data):
    """Choose at most the asked representatives and reorder all of them."""
    x = data.draw(points(min_points=2))
    n = len(x)
    rng = np.random.default_rng(data.draw(seeds()))
    labelled = rng.random(n) < data.draw(st.sampled_from([0.0, 0.5, 1.0]))
    groups = rng.choice(["a", "b", "ü", "", "e"], n)
    reduced = np.asarray(x, np.float64)
    chosen = active_learning.representatives(reduced, np.ones(n), groups, labelled, 2, True)
    assert len(chosen) <= 2
    assert sorted(
        active_learning.spread_out(reduced, np.ones(n), chosen, np.zeros(0, int))
    ) == sorted(chosen)
