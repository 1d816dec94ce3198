"""Properties of brainclust.analysis.query_strategies, and stored numbers of its references.

scikit-activeml 1.0.1 (BSD-3) and the authors' code of BADGE made the numbers; neither is required.
"""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.spatial.distance import cdist
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
    count = data.draw(st.sampled_from([0, 1, 2, 5, 1000]))
    radius = query_strategies.covering_radius(x, 3, seed=seed)
    for chosen in (query_strategies.typiclust(x, groups, taken, count, seed),
                   query_strategies.probcover(x, groups, taken, count, radius, seed),
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


def every_strategy(x, groups, taken, count, seed=0):
    """Return the choice of each strategy, of slices that the network does not know."""
    uniform = np.full((len(x), 3), 1 / 3)
    return {"typiclust": query_strategies.typiclust(x, groups, taken, count, seed),
            "probcover": query_strategies.probcover(x, groups, taken, count, 1.0, seed),
            "badge": query_strategies.badge(x, uniform, groups, taken, count, seed),
            "most_different": query_strategies.most_different(
                x, np.ones(len(x)), groups, taken, count)}


@pytest.mark.parametrize("n", [0, 1, 4])
@pytest.mark.parametrize("count", [0, 1, 9])
def test_strategies_choose_as_many_as_there_are(n, count):
    """Choose nothing from nothing, and all of a pool that is smaller than the count."""
    x = np.arange(2.0 * n).reshape(n, 2)
    for name, rows in every_strategy(x, np.arange(n), np.zeros(n, bool), count).items():
        assert rows.dtype.kind == "i", name
        assert len(set(rows)) == len(rows) == min(n, count), name
    assert query_strategies.whitened(x, 2).shape[0] == n
    radius = query_strategies.covering_radius(x, 3)
    assert radius > 0 if n > 1 else radius == np.inf


@pytest.mark.parametrize("strategy", [query_strategies.typiclust, query_strategies.most_different,
                                      query_strategies.badge, query_strategies.probcover])
def test_slices_without_a_group_and_negative_counts_are_refused(strategy):
    """Name the first slice without a group: NaN differs from itself and would be chosen twice."""
    second = {query_strategies.most_different: [np.ones(3)],
              query_strategies.badge: [np.full((3, 2), .5)]}.get(strategy, [])
    radius = [1.0] if strategy is query_strategies.probcover else []
    x = np.eye(3)
    empty = np.zeros(3, bool)
    for groups in (np.array([0, np.nan, np.nan]), np.array(["a", None, None], object)):
        with pytest.raises(ValueError, match="2 of 3 have none .row 1 is the first"):
            strategy(x, *second, groups, empty, 2, *radius)
    with pytest.raises(ValueError, match="count must be 0 or more; got -1"):
        strategy(x, *second, np.arange(3), empty, -1, *radius)
    with pytest.raises(ValueError, match="same slices"):
        strategy(x, *second, np.arange(2), empty, 1, *radius)


@given(data=st.data())
def test_the_covering_radius_is_the_largest_of_its_purity(data):
    """Keep the purity at the radius, and lose it at the next larger distance of two clusters."""
    x = np.round(np.asarray(data.draw(points(min_points=2)), np.float64), 1)
    allowed = data.draw(st.integers(0, len(x)))
    # 1 - allowed / n in floating point: (1 - 0.9) * 10 is below 1
    radius = query_strategies.covering_radius(x, 3, 1 - allowed / len(x))
    cluster, _ = active_learning.cell_centres(x, np.ones(len(x)), 3, 0)
    to_others = np.where(cluster[:, None] != cluster, cdist(x, x), np.inf)
    nearest = to_others.min(axis=1)
    impure = lambda radius: (np.isfinite(nearest) & (nearest <= radius)).sum()
    assert impure(radius) <= allowed
    if np.isfinite(radius):
        assert impure(nearest[nearest > radius].min()) > allowed


@pytest.mark.parametrize("purity, expected", [(1, 96), (.9, 96), (.8, 97), (.7, 97), (.6, 98),
                                              (.4, 99), (.2, 100), (.1, 100)])
def test_the_covering_radius_counts_exactly(purity, expected):
    """Allow two of ten impure slices at 0.8, though (1 - 0.8) * 10 is below 2."""
    # the nearest of the other cluster is 100, 99, 98, 97, 96 and 96, 97, 98, 99, 100 away
    x = np.r_[0:5, 100:105][:, None].astype(float)
    radius = query_strategies.covering_radius(x, 2, purity)
    assert radius < expected <= np.nextafter(radius, np.inf)


def test_probcover_breaks_ties_at_random():
    """Draw among slices that cover equally many, whatever the order of the files."""
    x = 10.0 * np.arange(6)[:, None]  # each covers itself only
    first = [query_strategies.probcover(x, np.arange(6), np.zeros(6, bool), 6, 1.0, seed)
             for seed in range(600)]
    assert all(sorted(rows) == list(range(6)) for rows in first)
    frequency = np.bincount([rows[0] for rows in first], minlength=6) / 600
    assert np.abs(frequency - 1 / 6).max() < .061, "four standard errors"
    again = query_strategies.probcover(x, np.arange(6), np.zeros(6, bool), 6, 1.0, 7)
    assert list(again) == list(first[7])


@pytest.mark.parametrize("size", [2, 5, 19, 20, 21, 30])
def test_typicality_of_small_clusters_uses_all_others(size):
    """Use min(20, size) neighbours, none of which is the slice itself."""
    x = np.random.default_rng(size).normal(size=(size, 2))
    by_hand = []
    for row in range(size):
        others = np.sort(np.linalg.norm(np.delete(x, row, axis=0) - x[row], axis=1))
        by_hand.append(1 / np.mean(others[:min(20, size)]))
    np.testing.assert_allclose(query_strategies.typicality(x), by_hand)


def test_clusters_of_fewer_than_five_come_last():
    """Label all of the larger clusters first (Hacohen et al. leave the smaller ones out)."""
    x, kind = blobs([4, 5, 9], .1)
    rows = query_strategies.typiclust(x, np.arange(18), np.zeros(18, bool), 3)
    # three clusters: a second slice of the largest comes before the first of four
    assert list(kind[rows]) == [2, 1, 2]
    rest = query_strategies.typiclust(x, np.arange(18), np.isin(np.arange(18), rows), 15)
    assert sorted([*rows, *rest]) == list(range(18))


# six slices, and the network's probabilities of two classes
FEATURES = np.array([[1.0, 2], [3, 1], [2, 2], [-4, 1], [0, 1], [1, -1]])
PROBABILITIES = np.array([[.7, .3], [1, 0], [.5, .5], [.6, .4], [.2, .8], [.9, .1]])
# init_centers of github.com/JordanAsh/badge at 173a184: the first choice is row 3 (its squared
# length 5.44), and these are the probabilities of the second, and of the third after row 2
AUTHORS = {"second": [.1867, .1391, .3642, 0, .1494, .1606],
           "third": [.0914, .2813, 0, 0, .3432, .2841]}


def test_badge_draws_as_its_authors_do():
    """Draw by squared distances to the chosen gradients alone.

    scikit-activeml 1.0.1 limits them by the squared length of a gradient: row 2 would be second
    with probability 0.797, the certain row 1 never.
    """
    lengths = (query_strategies.gradient_embeddings(FEATURES, PROBABILITIES) ** 2).sum(axis=1)
    np.testing.assert_allclose(lengths, [.9, 0, 4, 5.44, .08, .04], atol=1e-12)
    orders = np.array([query_strategies.badge(
        FEATURES, PROBABILITIES, np.arange(6), np.zeros(6, bool), 3, seed) for seed in range(3000)])
    assert set(orders[:, 0]) == {3}
    after_2 = orders[orders[:, 1] == 2]
    for drawn, expected in ((orders[:, 1], AUTHORS["second"]), (after_2[:, 2], AUTHORS["third"])):
        frequency = np.bincount(drawn, minlength=6) / len(drawn)
        error = np.sqrt(np.multiply(expected, np.subtract(1, expected)) / len(drawn))
        assert (np.abs(frequency - expected) <= 4.5 * error + 1e-4).all()


def test_typiclust_and_probcover_choose_as_scikit_activeml_does():
    """Choose the rows that scikit-activeml 1.0.1 chose.

    TypiClust(random_state=0, k=20, cluster_algo_dict={"n_init": 10}) and
    ProbCover(random_state=seed, deltas=[1.7]), batches of 4 and 6.
    """
    x, _ = blobs([60, 41, 22, 9])
    n = len(x)
    separate = np.arange(n)
    empty = np.zeros(n, bool)
    assert list(query_strategies.typiclust(x, separate, empty, 4)) == [8, 76, 112, 127]
    # their seeds 0, 2 and 4: each time the number of slices newly covered is the same
    theirs = [[35, 76, 7, 108, 20, 79], [35, 98, 7, 66, 108, 6], [35, 76, 7, 108, 51, 21]]
    gains = [[22, 18, 13, 9, 6, 5], [22, 18, 13, 9, 9, 6], [22, 18, 13, 9, 6, 5]]
    covers = cdist(x, x) <= 1.7
    newly = lambda rows: [int((covers[row] & ~covers[rows[:k]].any(axis=0)).sum())
                          for k, row in enumerate(rows)]
    assert [newly(rows) for rows in theirs] == gains
    ours = [list(query_strategies.probcover(x, separate, empty, 6, 1.7, seed))
            for seed in range(60)]
    assert {tuple(newly(rows)) for rows in ours} >= set(map(tuple, gains))
    assert {tuple(rows[:4]) for rows in ours} >= {tuple(rows[:4]) for rows in theirs}
    # three slices tie for the second place
    assert {rows[1] for rows in ours} == {
        row for row in range(n) if newly([35, row])[1] == 18}
