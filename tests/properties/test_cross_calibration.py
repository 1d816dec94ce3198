"""Properties of brainclust.analysis.cross_calibration, and of temperatures without labels."""

import numpy as np
import pytest
from assertions import refused, sum_to_one
from hypothesis import assume, given, strategies as st
from scipy.stats import binom
from strategies import probabilities, seeds

from brainclust.analysis import calibration, cross_calibration
from brainclust.core.metrics import calibration_error


@given(p=probabilities(), accuracy=st.floats(0, 1))
def test_a_matched_confidence_equals_the_accuracy(p, accuracy):
    """Reach the accuracy, or end at the side of the range that is nearest to it."""
    assume(len(p))
    temperature = calibration.match_confidence(p, accuracy)
    found = calibration.scale_temperature(p, temperature).max(axis=1).mean()
    assert .05 <= temperature <= 20
    if .051 < temperature < 19.9:
        assert found == pytest.approx(accuracy, abs=1e-6)
    else:
        assert found <= accuracy + 1e-2 if temperature < 1 else found >= accuracy - 1e-2


@given(seed=seeds(), low=st.floats(.3, .9))
def test_a_higher_accuracy_means_a_lower_temperature(seed, low):
    """Fall with the accuracy that is to be matched."""
    p = np.random.default_rng(seed).dirichlet(np.ones(4), 50)
    assert calibration.match_confidence(p, low) >= calibration.match_confidence(p, low + .05)


@given(p=probabilities(), seed=seeds())
def test_an_expected_accuracy_is_never_certain(p, seed):
    """Stay between 0 and 1, whatever the frequencies."""
    assume(len(p))
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, p.shape[1], len(p))
    for frequencies in (None, rng.dirichlet(np.ones(p.shape[1])), np.zeros(p.shape[1])):
        assert 0 < cross_calibration.expected_accuracy(p, labels, frequencies) < 1


@given(p=probabilities(), seed=seeds(), coverage=st.sampled_from([.8, .9, .95]))
def test_thresholds_are_of_the_class_or_of_all(p, seed, coverage):
    """Agree with the thresholds of split conformal prediction where a class has enough labels."""
    labels = np.random.default_rng(seed).integers(0, p.shape[1], len(p))
    found, few = cross_calibration.cross_thresholds(p, labels, coverage)
    if len(p) < calibration.minimum_slices(coverage):
        assert found is None
        return
    own = calibration.set_thresholds(p, labels, coverage)
    assert (found[~few] == own[~few]).all()
    assert len(np.unique(found[few])) <= 1
    held = p[np.arange(len(p)), labels] >= found[labels]
    assert few.all() <= (held.mean() >= coverage)


@given(seed=seeds(), n=st.integers(2, 60), unlabelled=st.sampled_from([0, 10, 80]))
def test_a_calibration_scales_to_probabilities(seed, n, unlabelled):
    """Fit something for any number of labels, and match only with enough unlabelled slices."""
    rng = np.random.default_rng(seed)
    found = cross_calibration.cross_calibrate(
        rng.dirichlet(np.ones(3), n), rng.integers(0, 3, n), rng.dirichlet(np.ones(3), unlabelled))
    assert isinstance(found, cross_calibration.CrossCalibration)
    assert sum_to_one(found.scale(rng.dirichlet(np.ones(3), 5)))
    assert found.matched == (unlabelled >= cross_calibration.ENOUGH)
    assert found.matched or found.temperature == found.fold_temperature
    assert (found.thresholds is None) == (n < 19) and .05 <= found.temperature <= 20


def drawn(rng, n, spread=1.6):
    """Draw true probabilities, labels from them, and what a network of some sharpness states."""
    logits = rng.normal(0, spread, (n, 4))
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (true.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(max=3)
    return logits, labels


def stated(logits, sharpness):
    """State probabilities that are too sharp."""
    p = np.exp(sharpness * (logits - logits.max(axis=1, keepdims=True)))
    return p / p.sum(axis=1, keepdims=True)


def test_the_coverage_over_draws_lies_in_its_binomial_interval():
    """Cover what was asked for, and calibrate, though the run is sharper than its folds."""
    held = total = 0
    before, after = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        (a, labels), (b, _), (c, truth) = (drawn(rng, n) for n in (199, 500, 1000))
        found = cross_calibration.cross_calibrate(
            stated(a, 1.5), labels, stated(b, 2.5), coverage=.9)
        scaled = found.scale(stated(c, 2.5))
        held += (scaled >= found.thresholds)[np.arange(1000), truth].sum()
        total += 1000
        before.append(calibration_error(stated(c, 2.5), truth))
        after.append(calibration_error(scaled, truth))
    # the labels decide: 60 draws of 199 of them, and thresholds that are rounded up
    low, high = binom.interval(.9999, 60 * 199, .9)
    assert low / (60 * 199) <= held / total <= high / (60 * 199) + 1 / 50
    assert np.mean(after) < .4 * np.mean(before)


def test_labels_are_needed():
    """Refuse to calibrate by nothing, in one sentence."""
    p = np.full((60, 2), .5)
    assert "got none" in refused(cross_calibration.cross_calibrate, p[:0], np.zeros(0, int), p)
    assert "got none" in refused(cross_calibration.fold_temperature, p[:0], np.zeros(0, int))
    assert "0 slices" in refused(calibration.match_confidence, p[:0], .5)
    assert "1.5" in refused(calibration.match_confidence, p, 1.5)
