"""Properties of brainclust.analysis.subtype_criteria."""

import math

import numpy as np
from hypothesis import given, strategies as st
from strategies import TENTH_OF_EXAMPLES, class_ids, points, seeds

from brainclust.analysis import subtype_criteria


@given(x=points(min_points=5, dimensions=4), seed=seeds())
def test_components_assign_every_point(x, seed):
    """Assign every embedding to one of two components with a finite BIC."""
    x = np.asarray(x, np.float64)
    components: subtype_criteria.Components = subtype_criteria.fit_components(x, 2, seed)
    labels = subtype_criteria.assign(x, components)
    assert labels.shape == (len(x),)
    assert set(labels) <= {0, 1}
    assert np.isfinite(subtype_criteria.bayesian_information(x, components))


@given(x=points(min_points=5, dimensions=4))
def test_reduced_embeddings_are_standardised_on_training_data(x):
    """Return finite embeddings centred on the training set."""
    x = np.asarray(x, np.float64)
    train = np.arange(len(x)) % 3 > 0
    reduced = subtype_criteria.reduce_embeddings(x, train)
    assert reduced.shape[0] == len(x)
    assert np.isfinite(reduced).all()
    assert np.allclose(reduced[train].mean(axis=0), 0, atol=1e-6 * (1 + np.abs(x).max()))


@given(x=points(min_points=5, dimensions=4), seed=seeds())
def test_drawn_groups_hold_at_least_one_slice(x, seed):
    """Draw at least one slice and at most all of them."""
    x = np.asarray(x, np.float64)
    groups = np.arange(len(x)) // 2
    sample = subtype_criteria.draw_groups(groups, 0.5, np.random.default_rng(seed))
    assert 1 <= sample.sum() <= len(x)


@given(x=points(min_points=5, dimensions=4))
def test_stability_is_an_agreement_or_nan(x):
    """Keep stability in [-0.5, 1], or return NaN."""
    x = np.asarray(x, np.float64)
    groups = np.arange(len(x)) // 2
    agreement = subtype_criteria.stability(x, groups, 2, resamples=2)
    assert math.isnan(agreement) or -0.5 <= agreement <= 1


@given(x=points(min_points=5, dimensions=4), seed=seeds())
def test_structureless_references_have_the_same_dimensions(x, seed):
    """Draw references of the asked number and the same dimensions."""
    x = np.asarray(x, np.float64)
    reference = subtype_criteria.structureless(x, 7, np.random.default_rng(seed))
    assert reference.shape == (7, x.shape[1])


@given(x=points(min_points=5, dimensions=4))
def test_separation_is_measured_per_resample(x):
    """Return one separation per resample."""
    x = np.asarray(x, np.float64)
    groups = np.arange(len(x)) // 2
    measured = subtype_criteria.separation(x, groups, 2, resamples=2)
    assert measured.shape == (2, 1)


@given(x=points(min_points=5, dimensions=4))
def test_held_out_agreement_needs_ten_slices(x):
    """Return NaN for fewer than ten held-out slices."""
    x = np.asarray(x, np.float64)
    agreement = subtype_criteria.held_out_agreement(x, x[::2], 2)
    assert math.isnan(agreement) == (len(x[::2]) < 10)
    assert math.isnan(agreement) or -0.5 <= agreement <= 1


@given(x=points(min_points=5, dimensions=4))
def test_a_held_out_bound_of_few_slices_is_nan(x):
    """Return NaN for three held-out slices."""
    x = np.asarray(x, np.float64)
    assert math.isnan(subtype_criteria.held_out_bound(x, x[:3], 2, draws=1))


@TENTH_OF_EXAMPLES
@given(x=points(min_points=12, max_points=30, dimensions=3), seed=seeds())
def test_log_dispersions_are_returned_per_k(x, seed):
    """Return one log dispersion per number of components."""
    x = np.asarray(x, np.float64)
    assert subtype_criteria._log_dispersions(x, 2, seed).shape == (2,)


@TENTH_OF_EXAMPLES
@given(x=points(min_points=12, max_points=30, dimensions=3), seed=seeds())
def test_the_gap_statistic_chooses_a_number_of_components(x, seed):
    """Return finite gaps with errors that are not negative, and choose a k from them."""
    x = np.asarray(x, np.float64)
    gap, error = subtype_criteria.gap_statistic(x, 2, 2, seed)
    assert np.isfinite(gap).all()
    assert (error >= 0).all()
    assert subtype_criteria.choose_by_gap(gap, error) in (1, 2)


@TENTH_OF_EXAMPLES
@given(x=points(min_points=12, max_points=30, dimensions=3))
def test_every_criterion_chooses_a_number_of_components(x):
    """Choose a measured k by every criterion, and one candidate."""
    x = np.asarray(x, np.float64)
    groups = np.arange(len(x)) // 2
    criteria = subtype_criteria.measure_criteria(x, groups, 2, draws=2, resamples=2)
    chosen = subtype_criteria.choose_k(criteria)
    assert set(chosen) == set(subtype_criteria.CRITERIA)
    assert set(chosen.values()) <= {1, 2}
    assert subtype_criteria.candidate(chosen, criteria) in (1, 2)


@TENTH_OF_EXAMPLES
@given(seed=seeds())
def test_null_bounds_are_agreements(seed):
    """Return bounds in [-1, 1] per number of components."""
    bounds = subtype_criteria.null_bounds(np.random.default_rng(seed).uniform(-1, 1, (3, 2)))
    assert bounds.shape == (2,)
    assert (np.abs(bounds) <= 1).all()


@TENTH_OF_EXAMPLES
@given(seed=seeds())
def test_the_largest_k_above_its_bound_is_chosen(seed):
    """Choose the largest k above its bound."""
    bounds = subtype_criteria.null_bounds(np.random.default_rng(seed).uniform(-1, 1, (3, 2)))
    assert subtype_criteria.choose_above(np.array([2.0, 2.0]), bounds) == 3


@given(data=st.data())
def test_categories_are_ids_or_unknown(data):
    """Convert any property to categories, unknown as -1."""
    n = data.draw(st.integers(1, 40))
    rng = np.random.default_rng(data.draw(seeds()))
    values = data.draw(st.sampled_from(["text", "unknown", "float", "nan", "constant", "int",
                                        "infinite"]))
    values = {"text": rng.choice(["", "a", "ü"], n), "unknown": np.full(n, ""),
              "float": rng.normal(size=n), "nan": np.where(rng.random(n) < 0.5, np.nan, 1.0),
              "constant": np.ones(n), "int": rng.integers(0, 3, n),
              "infinite": np.where(rng.random(n) < 0.5, np.inf, rng.normal(size=n))}[values]
    categories = subtype_criteria.as_categories(values)
    assert categories.shape == (n,)
    assert (categories >= -1).all()


@given(data=st.data())
def test_associations_lie_in_their_ranges(data):
    """Keep the known fraction, AMI, p value and Cramér's V in their ranges."""
    n = data.draw(st.integers(1, 40))
    clusters = data.draw(class_ids(n, 3, hidden=False))
    rng = np.random.default_rng(data.draw(seeds()))
    values = data.draw(st.sampled_from(["text", "unknown", "float", "nan", "constant", "int",
                                        "infinite"]))
    values = {"text": rng.choice(["", "a", "ü"], n), "unknown": np.full(n, ""),
              "float": rng.normal(size=n), "nan": np.where(rng.random(n) < 0.5, np.nan, 1.0),
              "constant": np.ones(n), "int": rng.integers(0, 3, n),
              "infinite": np.where(rng.random(n) < 0.5, np.inf, rng.normal(size=n))}[values]
    association = subtype_criteria.associate(clusters, values, rng.integers(0, 5, n),
                                             permutations=5)
    assert 0 <= association["known"] <= 1
    assert (math.isnan(association["ami"]) or association["ami"] <= 1 + 1e-9 and 0
            < association["p"] <= 1 and 0 <= association["cramers_v"] <= 1 + 1e-9)


@given(data=st.data())
def test_random_blocks_keep_blocks_together(data):
    """Order all slices so that every block stays together."""
    n = data.draw(st.integers(1, 40))
    rng = np.random.default_rng(data.draw(seeds()))
    b = rng.integers(0, 3, n)
    order = subtype_criteria.in_random_blocks(b, rng)
    assert sorted(order) == list(range(n))
    assert (np.diff(b[order]) != 0).sum() == len(set(b)) - 1


@given(data=st.data())
def test_permutation_p_values_are_positive(data):
    """Keep p values in (0, 1]."""
    n = data.draw(st.integers(1, 40))
    clusters = data.draw(class_ids(n, 3, hidden=False))
    rng = np.random.default_rng(data.draw(seeds()))
    a = np.unique(clusters, return_inverse=True)[1]
    b = rng.integers(0, 3, n)
    assert 0 < subtype_criteria.permutation_p(a, b, b, permutations=3) <= 1
