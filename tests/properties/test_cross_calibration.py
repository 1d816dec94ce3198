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


@given(p=probabilities(), seed=seeds())
def test_weights_give_every_class_its_frequency(p, seed):
    """Sum to the frequency of each class; equal ones without frequencies."""
    assume(len(p))
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, p.shape[1], len(p))
    often = rng.dirichlet(np.ones(p.shape[1]))
    weights = cross_calibration.slice_weights(labels, often)
    expected = np.where(np.isin(np.arange(p.shape[1]), labels), np.maximum(often, 1e-12), 0)
    found = np.bincount(labels, weights, p.shape[1])
    assert found == pytest.approx(expected / expected.sum())
    right = p.argmax(axis=1) == labels
    recalls = [right[labels == k].mean() for k in np.unique(labels)]
    low, high = 1 / (len(p) + 2), (len(p) + 1) / (len(p) + 2)
    assert cross_calibration.expected_accuracy(p, labels, often) == pytest.approx(
        np.clip(np.average(recalls, weights=expected[np.unique(labels)]), low, high))
    assert set(cross_calibration.slice_weights(labels)) == {1 / len(p)}


@given(seed=seeds(), n=st.integers(2, 60), sharpness=st.floats(.3, 3))
def test_frequencies_are_a_fixed_point_that_no_sharpness_moves(seed, n, sharpness):
    """Agree with the calibrated mean probabilities, as sharp as the network may be."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(3), n)
    labels = rng.integers(0, 3, n)
    own = rng.dirichlet(np.full(3, 2.), 60)
    found = cross_calibration.class_frequencies(p, labels, own)
    accuracy = cross_calibration.expected_accuracy(p, labels, found)
    temperature = calibration.match_confidence(own, accuracy)
    assert found == pytest.approx(
        calibration.scale_temperature(own, temperature).mean(axis=0), abs=1e-5)
    if not .2 < temperature < 5: return  # near the ends of its range
    other = cross_calibration.class_frequencies(
        p, labels, calibration.scale_temperature(own, 1 / sharpness))
    assert other == pytest.approx(found, abs=1e-4)


@given(p=probabilities(), seed=seeds(), coverage=st.sampled_from([.8, .9, .95]))
def test_thresholds_are_of_the_class_or_of_the_rare_ones(p, seed, coverage):
    """Agree with split conformal prediction, for a class or for all rare ones as one class."""
    labels = np.random.default_rng(seed).integers(0, p.shape[1], len(p))
    found, few = cross_calibration.cross_thresholds(p, labels, coverage)
    if len(p) < calibration.minimum_slices(coverage):
        assert found is None
        return
    own = calibration.set_thresholds(p, labels, coverage)
    assert (found[~few] == own[~few]).all()
    true = p[np.arange(len(p)), labels]
    together = calibration.threshold_of(true[few[labels]], coverage)
    assert (found[few] == together).all()
    if few[labels].sum() < calibration.minimum_slices(coverage):
        assert together == 0
    else:
        assert (true >= found[labels])[few[labels]].mean() >= coverage


@given(counts=st.lists(st.integers(0, 25), min_size=2, max_size=6))
def test_a_sentence_tells_of_rare_classes(counts):
    """Name the classes with fewer labels than a threshold needs, and what they get."""
    labels = np.repeat(np.arange(len(counts)), counts)
    p = np.full((len(labels), len(counts)), 1 / len(counts))
    thresholds, few = cross_calibration.cross_thresholds(p, labels)
    names = [f"class{k}" for k in range(len(counts))]
    told = cross_calibration.few_sentence(few, thresholds, names)
    rare = [n for n in counts if n < 19]
    assert ("fewer than 19 labels" in told) == bool(rare)
    assert ("too few for" in told) == (sum(counts) < 19)
    assert ("in common" in told) == (sum(rare) >= 19)
    assert ("in every prediction set" in told) == bool(rare and sum(rare) < 19 <= sum(counts))
    assert not rare or names[counts.index(rare[0])] in told


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


def confused(rng, ids, sharpness):
    """State probabilities that do not know that half of three classes look like any class."""
    looks = np.where((ids > 0) & (rng.random(len(ids)) < .5), rng.integers(0, 4, len(ids)), ids)
    return stated(2.5 * (2.5 * np.eye(4)[looks] + rng.normal(size=(len(ids), 4))), sharpness)


@pytest.mark.parametrize("sharpness", [.3, 2])
def test_every_skewed_class_is_covered_as_often_as_asked_for(sharpness):
    """Hold in each class, though labels are balanced and unlabelled slices 70 % of one class."""
    draws = 40
    new = np.repeat(np.arange(4), 200)
    held = np.zeros(4)
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        ids = np.repeat(np.arange(4), 59)
        hidden = rng.choice(4, 500, p=[.7, .15, .1, .05])
        found = cross_calibration.cross_calibrate(
            confused(rng, ids, 1), ids, confused(rng, hidden, sharpness), coverage=.9)
        sets = found.scale(confused(rng, new, sharpness)) >= found.thresholds
        held += np.bincount(new, sets[np.arange(len(new)), new])
    # the labels decide: 40 draws of 59 of a class, of which 54 of 60 must reach the threshold
    low, high = binom.interval(.9999, draws * 59, .9)
    assert ((low <= held / 200 * 59) & (held / 200 * 59 <= high)).all(), held / (200 * draws)


def test_rare_classes_are_covered_together():
    """Cover classes with a few labels as often as asked for, though frequent ones are easier."""
    often = np.array([.86, .05, .05, .04])
    held, total, by_all = 0, 0, 0
    for seed in range(80):
        rng = np.random.default_rng(seed)
        ids, new = rng.choice(4, 300, p=often), rng.choice(4, 2000, p=often)
        p, q = confused(rng, ids, 1), confused(rng, new, 1)
        thresholds, few = cross_calibration.cross_thresholds(p, ids, .95)
        rare = few[new]
        true = q[np.arange(len(new)), new]
        held += (true >= thresholds[new])[rare].sum()
        by_all += (true >= calibration.threshold_of(p[np.arange(300), ids]))[rare].sum()
        total += rare.sum()
    assert held / total >= .95 - 4 * np.sqrt(.95 * .05 / (80 * 35))
    assert by_all / total < .85  # the threshold of all labels would miss them


def test_labels_are_needed():
    """Refuse to calibrate by nothing, in one sentence."""
    p = np.full((60, 2), .5)
    some = np.zeros(60, int)
    assert "0 slices" in refused(cross_calibration.class_frequencies, p, some, p[:0])
    assert "got none" in refused(cross_calibration.cross_calibrate, p[:0], np.zeros(0, int), p)
    assert "got none" in refused(cross_calibration.fold_temperature, p[:0], np.zeros(0, int))
    assert "0 slices" in refused(calibration.match_confidence, p[:0], .5)
    assert "1.5" in refused(calibration.match_confidence, p, 1.5)
