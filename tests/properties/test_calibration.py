"""Properties of brainclust.analysis.calibration."""

import numpy as np
from assertions import sum_to_one
from hypothesis import assume, given, strategies as st
from strategies import LAYOUTS, TENTH_OF_EXAMPLES, probabilities, seeds, with_layout

from brainclust.analysis import calibration


@given(p=probabilities(), temperature=st.floats(0.05, 20), layout=st.sampled_from(LAYOUTS))
def test_scaled_probabilities_sum_to_one(p, temperature, layout):
    """Return probabilities of the same shape."""
    p = with_layout(p, layout)
    scaled = calibration.scale_temperature(p, temperature)
    assert scaled.shape == p.shape
    assert sum_to_one(scaled)


@given(p=probabilities(), layout=st.sampled_from(LAYOUTS))
def test_a_temperature_of_one_changes_nothing(p, layout):
    """Return the probabilities for a temperature of one."""
    p = with_layout(p, layout)
    assert np.allclose(calibration.scale_temperature(p, 1.0), np.maximum(p, 1e-12), atol=1e-5)


@given(p=probabilities(), temperature=st.floats(0.05, 20), layout=st.sampled_from(LAYOUTS))
def test_a_temperature_keeps_the_prediction(p, temperature, layout):
    """Keep the most probable class."""
    p = with_layout(p, layout)
    scaled = calibration.scale_temperature(p, temperature)
    assert (p[np.arange(len(p)), scaled.argmax(axis=1)] >= p.max(axis=1) - 1e-6).all()


@given(p=probabilities(), seed=seeds(), layout=st.sampled_from(LAYOUTS))
def test_a_fitted_temperature_lies_in_its_range(p, seed, layout):
    """Fit a temperature between 0.05 and 20."""
    p = with_layout(p, layout)
    labels = np.random.default_rng(seed).integers(0, p.shape[1], len(p))
    assert 0.05 <= calibration.fit_temperature(p, labels) <= 20.001


@given(p=probabilities(), seed=seeds(), bins=st.integers(1, 20))
def test_reliability_bins_hold_every_slice(p, seed, bins):
    """Count every slice in one bin with its interval."""
    labels = np.random.default_rng(seed).integers(0, p.shape[1], len(p))
    table = calibration.reliability(p, labels, bins)
    assert table.n.sum() == len(p)
    assert (table.low <= table.accuracy + 1e-12).all()
    assert (table.accuracy <= table.high + 1e-12).all()
    assert len(table) <= bins


@given(p=probabilities(), seed=seeds())
def test_abstention_curves_end_at_full_coverage(p, seed):
    """Rise to full coverage with accuracies in [0, 1]."""
    labels = np.random.default_rng(seed).integers(0, p.shape[1], len(p))
    curve = calibration.abstention_curve(p, labels)
    assert curve.coverage.iloc[-1] == 1
    assert curve.accuracy.between(0, 1).all()
    assert curve.coverage.is_monotonic_increasing


@given(p=probabilities(), seed=seeds())
def test_accuracy_at_full_coverage_is_the_accuracy(p, seed):
    """End at the accuracy of all slices."""
    labels = np.random.default_rng(seed).integers(0, p.shape[1], len(p))
    curve = calibration.abstention_curve(p, labels)
    assert np.isclose(curve.accuracy.iloc[-1], (p.argmax(axis=1) == labels).mean())


@given(p=probabilities(), seed=seeds())
def test_reliability_and_abstention_of_no_slices_are_empty(p, seed):
    """Return empty tables without slices."""
    labels = np.random.default_rng(seed).integers(0, p.shape[1], len(p))
    assert not len(calibration.reliability(p[:0], labels[:0]))
    assert not len(calibration.abstention_curve(p[:0], labels[:0]))


@TENTH_OF_EXAMPLES
@given(p=probabilities(), seed=seeds())
def test_reliability_is_drawn(p, seed):
    """Draw a reliability diagram of any probabilities."""
    labels = np.random.default_rng(seed).integers(0, p.shape[1], len(p))
    assert calibration.plot_reliability({"one": {"said": calibration.reliability(p, labels)}}).axes


@TENTH_OF_EXAMPLES
@given(p=probabilities(), seed=seeds())
def test_abstention_curves_are_drawn(p, seed):
    """Draw a risk-coverage curve of any probabilities."""
    labels = np.random.default_rng(seed).integers(0, p.shape[1], len(p))
    assert calibration.plot_abstention({"one": calibration.abstention_curve(p, labels)}).axes


@given(p=probabilities(), validation=probabilities(k=3), coverage=st.floats(0.01, 0.99),
       seed=seeds())
def test_prediction_sets_are_boolean(p, validation, coverage, seed):
    """Return one boolean per slice and class."""
    assume(p.shape[1] > 1)
    k = p.shape[1]
    rng = np.random.default_rng(seed)
    validation = rng.dirichlet(np.ones(k), len(validation) * 3).astype(np.float32)
    labels = rng.integers(0, k, len(validation))
    sets = calibration.prediction_sets(validation, labels, p, coverage)
    assert sets.shape == p.shape
    assert sets.dtype == bool


@given(p=probabilities(), validation=probabilities(k=3), coverage=st.floats(0.01, 0.99),
       seed=seeds())
def test_conformal_thresholds_lie_between_zero_and_one(p, validation, coverage, seed):
    """Keep thresholds in [0, 1]."""
    assume(p.shape[1] > 1)
    k = p.shape[1]
    rng = np.random.default_rng(seed)
    validation = rng.dirichlet(np.ones(k), len(validation) * 3).astype(np.float32)
    labels = rng.integers(0, k, len(validation))
    thresholds = calibration.set_thresholds(validation, labels, coverage)
    assert ((thresholds >= -1e-6) & (thresholds <= 1)).all()


@given(p=probabilities(), validation=probabilities(k=3), coverage=st.floats(0.01, 0.99),
       seed=seeds())
def test_classes_with_few_slices_are_in_every_set(p, validation, coverage, seed):
    """Add a class with too few calibration slices to every set."""
    assume(p.shape[1] > 1)
    k = p.shape[1]
    rng = np.random.default_rng(seed)
    validation = rng.dirichlet(np.ones(k), len(validation) * 3).astype(np.float32)
    labels = rng.integers(0, k, len(validation))
    sets = calibration.prediction_sets(validation, labels, p, coverage)
    thresholds = calibration.set_thresholds(validation, labels, coverage)
    few = np.bincount(labels, minlength=k) < calibration.minimum_slices(coverage)
    # a class with too few slices is in every set
    assert sets[:, few].all()
    assert (thresholds[few] == 0).all()


@given(p=probabilities(), validation=probabilities(k=3), coverage=st.floats(0.01, 0.99),
       seed=seeds())
def test_prediction_sets_reach_their_coverage(p, validation, coverage, seed):
    """Cover the calibration slices as often as promised."""
    assume(p.shape[1] > 1)
    k = p.shape[1]
    rng = np.random.default_rng(seed)
    validation = rng.dirichlet(np.ones(k), len(validation) * 3).astype(np.float32)
    labels = rng.integers(0, k, len(validation))
    few = np.bincount(labels, minlength=k) < calibration.minimum_slices(coverage)
    own = calibration.prediction_sets(validation, labels, validation, coverage)
    for c in np.flatnonzero(~few):
        # as often as promised, on the slices it was made with
        assert own[labels == c, c].mean() >= coverage - 1e-9


@given(p=probabilities(), validation=probabilities(k=3), coverage=st.floats(0.01, 0.99),
       seed=seeds())
def test_a_coverage_table_has_a_row_per_class(p, validation, coverage, seed):
    """List the coverage of every class and of all slices."""
    assume(p.shape[1] > 1)
    k = p.shape[1]
    rng = np.random.default_rng(seed)
    validation = rng.dirichlet(np.ones(k), len(validation) * 3).astype(np.float32)
    labels = rng.integers(0, k, len(validation))
    own = calibration.prediction_sets(validation, labels, validation, coverage)
    table = calibration.coverage_table(own, labels, tuple(map(str, range(k))), draws=0)
    assert len(table) == k + 1
    assert table.coverage.dropna().between(0, 1).all()
    assert table.slices.iloc[-1] == len(labels)


@given(p=probabilities(), validation=probabilities(k=3), coverage=st.floats(0.01, 0.99),
       seed=seeds())
def test_sets_without_calibration_slices_hold_all_classes(p, validation, coverage, seed):
    """Return full sets without calibration slices."""
    assume(p.shape[1] > 1)
    k = p.shape[1]
    rng = np.random.default_rng(seed)
    validation = rng.dirichlet(np.ones(k), len(validation) * 3).astype(np.float32)
    labels = rng.integers(0, k, len(validation))
    assert calibration.prediction_sets(validation[:0], labels[:0], p, coverage).all()


@given(p=probabilities(), validation=probabilities(k=3), coverage=st.floats(0.01, 0.99),
       seed=seeds())
def test_a_trust_table_allows_empty_sets_of_slices(p, validation, coverage, seed):
    """Leave the row of an empty set of slices NaN."""
    assume(p.shape[1] > 1)
    k = p.shape[1]
    rng = np.random.default_rng(seed)
    validation = rng.dirichlet(np.ones(k), len(validation) * 3).astype(np.float32)
    labels = rng.integers(0, k, len(validation))
    whole = calibration.trust_table({"test": (validation, labels),
                                     "nothing": (validation[:0], labels[:0])}, 1.5,
                                    (validation, labels), coverage)
    assert len(whole) == 2
    assert 0 <= whole.calibration_error[0] <= 1
    assert whole.loc[1].drop(["part", "slices"]).isna().all()
