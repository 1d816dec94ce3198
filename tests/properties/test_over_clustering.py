"""Properties of brainclust.models.over_clustering."""
import numpy as np
import pytest
from assertions import accepted, refused
from hypothesis import given, strategies as st
from strategies import FIFTH_OF_EXAMPLES, points, probabilities, seeds

from brainclust.core.metrics import accuracy
from brainclust.models import mixture as mixture_module, over_clustering


def blobs(seed: int, spread: float = 1., n: int = 800) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw points around eight centres far apart; return them, their blob and blobs' classes."""
    rng = np.random.default_rng(seed)
    centres = 20 * np.stack([np.arange(8) % 3, np.arange(8) // 3, np.arange(8) % 2], axis=1)
    blob = np.arange(n) % 8
    kinds = np.array([0, 0, 0, 1, 1, 2, 3, 3])
    return centres[blob] + spread * rng.normal(size=(n, 3)), blob, kinds


@FIFTH_OF_EXAMPLES
@given(seed=seeds())
def test_blobs_named_by_one_slice_each_are_all_right(seed):
    """Predict all slices of separate blobs, from the label of one slice per component."""
    x, blob, kinds = blobs(seed)
    truth = kinds[blob]
    train = np.flatnonzero(np.arange(800) // 8 % 2)  # half of every blob
    found = over_clustering.over_cluster(x, train, np.arange(800), np.eye(4)[truth], seed=seed,
                                         l2_normalise=False)
    names = over_clustering.name_by_nearest(found, truth)
    predicted = over_clustering.predict_by_component(found.components, names)
    assert accuracy(truth, predicted) == 1
    assert accuracy(truth, over_clustering.predict_by_component(found.components,
                                                                found.names)) == 1
    assert set(found.nearest["index"]) <= set(train)
    hidden = np.where(np.isin(np.arange(800), found.first), truth, -1)
    assert np.array_equal(over_clustering.name_by_nearest(found, hidden), names)


@given(x=points(min_points=2), k=st.integers(1, 4), normalise=st.booleans(), seed=seeds())
def test_distances_are_those_of_the_mixture(x, k, normalise, seed):
    """Agree with the mixture about the component, if weights and variances are equal."""
    made = accepted(mixture_module.fit_mixture, x, k, l2_normalise=normalise, tied_covariance=True,
                    seed=seed, refuses=ValueError if len(x) < k else ())
    if made is None: return
    distances = over_clustering.component_distances(made, x)
    assert distances.shape == (len(x), k)
    assert (distances >= 0).all()
    # the more likely component is the one with the smaller distance, its weight aside
    joint = mixture_module.log_joint(made.project(x), np.full(k, 1 / k), made.reduced_means,
                                     made.variances)
    best = distances[np.arange(len(x)), joint.argmax(axis=1)]
    assert np.allclose(best, distances.min(axis=1), rtol=1e-4, atol=1e-4)


@given(data=st.data(), n=st.integers(1, 40), k=st.integers(1, 5), count=st.integers(1, 4),
       seed=seeds())
def test_nearest_slices_are_members_of_different_groups(data, n, k, count, seed):
    """List the nearest members of every component, one of each group, the nearest first."""
    rng = np.random.default_rng(seed)
    components = rng.integers(0, k, n)
    distances = rng.random((n, k))
    groups = rng.integers(0, data.draw(st.integers(1, n)), n)
    shown = over_clustering.nearest_slices(components, distances, count, groups)
    for number, rows in shown.groupby("component"):
        own = rows["index"].to_numpy()
        assert (components[own] == number).all()
        assert len(set(groups[own])) == len(own) <= count
        assert list(rows["rank"]) == list(range(len(own)))
        assert (np.diff(distances[own, number]) >= 0).all()
        members = np.flatnonzero(components == number)
        assert own[0] == members[distances[members, number].argmin()]
        assert len(own) == min(count, len(set(groups[members])))
    assert set(shown["component"]) == set(components)


@given(data=st.data(), k=st.integers(1, 6), c=st.integers(1, 4))
def test_every_component_gets_a_class_and_no_class_is_lost(data, k, c):
    """Name every component, and as many different classes as there can be."""
    # with a part of every class in every component, each pair can be matched
    p = .9 * data.draw(probabilities(n=20, k=c)) + .1 / c
    gamma = .9 * data.draw(probabilities(n=20, k=k)) + .1 / k
    names = over_clustering.name_by_probabilities(gamma, p)
    assert names.shape == (k,)
    assert set(names) <= set(range(c))
    assert len(set(names)) == min(k, c)


def test_a_head_that_is_right_on_average_names_rightly():
    """Name components by probabilities that are wrong for two of five slices."""
    x, blob, kinds = blobs(0)
    truth = kinds[blob]
    rng = np.random.default_rng(1)
    guess = np.where(rng.random(800) < .6, truth, rng.integers(0, 4, 800))
    found = over_clustering.over_cluster(x, np.arange(800), np.arange(800), np.eye(4)[guess],
                                         l2_normalise=False)
    predicted = over_clustering.predict_by_component(found.components, found.names)
    assert accuracy(truth, guess) < .75
    assert accuracy(truth, predicted) > .95


def test_edges_add_the_space_in_which_slices_are_clustered():
    """Cluster embeddings and edges in the space fitted to the training slices alone."""
    x, *_ = blobs(0, n=200)
    edges = over_clustering.slice_edges(
        np.random.default_rng(0).integers(0, 256, (200, 1, 64, 64)).astype(np.uint8))
    train = np.arange(0, 200, 2)
    found = over_clustering.over_cluster(x, train, np.arange(200), edges=edges)
    space = over_clustering.fit_space(x[train], edges[train])
    plain = over_clustering.over_cluster(space.points(x, edges), train, np.arange(200))
    assert np.array_equal(found.space.matrix, space.matrix)
    assert np.array_equal(found.components, plain.components)
    assert plain.space is None


def test_few_slices_get_few_components():
    """Give ten slices to a component on average, and one component to fewer."""
    x, *_ = blobs(0)
    for n, expected in ((3, 1), (40, 4), (400, 16)):
        found = over_clustering.over_cluster(x[:n], np.arange(n), np.arange(n))
        assert len(found.mixture.weights) == expected
        assert found.names is None
        assert found.components.max() < expected


def test_what_cannot_be_divided_or_named_is_refused():
    """Refuse no slices, other groups, no components, and names that are missing."""
    x, *_ = blobs(0, n=80)
    rows = np.arange(80)
    assert "at least 1" in refused(over_clustering.over_cluster, x, rows[:0], rows)
    assert "at least 1" in refused(over_clustering.over_cluster, x, rows, rows, n_components=0)
    assert "same slices" in refused(over_clustering.over_cluster, x, rows, rows[:3])
    assert "finite" in refused(over_clustering.over_cluster, np.where(x > 40, np.nan, x), rows,
                               rows)
    assert "from 0 to 1" in refused(over_clustering.predict_by_component, np.array([2]),
                                    np.array([0, 1]))
    assert "count" in refused(over_clustering.nearest_slices, np.array([0]), np.zeros((1, 1)), 0)


@pytest.mark.parametrize("labels, expected", [([1, -1, 2], [1, -1, -1]), ([-1, 0, 3], [-1, 0, -1])])
def test_a_component_without_a_label_stays_unnamed(labels, expected):
    """Name by the nearest slice alone, and no empty component."""
    distances = np.array([[0., 5], [5, 0], [1, 5]])
    nearest = over_clustering.nearest_slices(np.array([0, 1, 0]), distances)
    mixture = mixture_module.Mixture(np.zeros(1), np.eye(1), np.ones(3) / 3, np.zeros((3, 1)),
                                     np.ones((3, 1)), np.zeros((3, 1)))
    found = over_clustering.OverClustering(mixture, np.array([0, 1, 0]), nearest, None, None)
    assert found.first.to_dict() == {0: 0, 1: 1}
    assert over_clustering.name_by_nearest(found, np.array(labels)).tolist() == expected


@given(n=st.integers(2, 30), d=st.integers(1, 6), weight=st.floats(0, 2), seed=seeds())
def test_a_space_ignores_the_units_of_the_embedding(n, d, weight, seed):
    """Place slices alike if dimensions are scaled and shifted, and weigh the edges."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    edges = over_clustering.slice_edges(rng.integers(0, 256, (n, 1, 64, 64)).astype(np.uint8))
    places = over_clustering.fit_space(x, edges, weight).points(x, edges)
    units = rng.uniform(.1, 100, d)
    other = over_clustering.fit_space(x * units + 5, edges, weight).points(x * units + 5, edges)
    assert np.allclose(places, other, atol=1e-6)
    lengths = (places ** 2).sum(axis=1).mean()
    assert lengths == pytest.approx(1 + weight ** 2, rel=1e-6)


def test_blank_slices_and_constant_features_have_places():
    """Give finite points to blank slices, one slice, and dimensions without variance."""
    blank = over_clustering.slice_edges(np.zeros((4, 1, 32, 32), np.uint8))
    assert (blank == 0).all()
    assert over_clustering.slice_edges(np.zeros((0, 1, 32, 32), np.uint8)).shape == (0, 512)
    for x in (np.ones((4, 3)), np.arange(12.).reshape(4, 3), np.arange(12.).reshape(4, 3)[:1]):
        edges = blank[:len(x)]
        assert np.isfinite(over_clustering.fit_space(x, edges).points(x, edges)).all()
    assert "at least 1" in refused(over_clustering.fit_space, np.zeros((0, 3)), blank[:0])
    assert "same slices" in refused(over_clustering.fit_space, np.zeros((1, 3)), blank)
