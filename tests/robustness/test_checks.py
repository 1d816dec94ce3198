"""Invalid and damaged input for brainclust.core.checks."""

import numpy as np
from assertions import REFUSALS, accepted, refused
from hypothesis import given, strategies as st
from strategies import invalid_ids, invalid_points, invalid_probabilities

from brainclust.analysis import (
    active_learning,
    calibration,
    domain_shift,
    representation,
    subtype_criteria,
)
from brainclust.core import checks, metrics
from brainclust.models import mixture as mixture_module


@given(values=st.one_of(invalid_ids(), st.just([]), st.just(7), st.none()),
       minimum=st.integers(-1, 0), count=st.sampled_from([None, 1, 3]))
def test_ids_are_integers_in_range_or_refused(values, minimum, count):
    """Convert ids to int64 within their range, or refuse them in one sentence."""
    found = accepted(checks.as_ids, values, "labels", minimum, count, refuses=REFUSALS)
    if found is None: return
    assert found.dtype == np.int64
    assert found.ndim == 1
    assert (found >= minimum).all()
    assert count is None or (found < count).all()


@given(x=invalid_points())
def test_embeddings_that_are_not_finite_are_named(x):
    """Refuse embeddings with NaN, and name divergence and the number of slices."""
    message = refused(checks.as_points, x) if len(x) or not x.shape[1] else ""
    if len(x) and x.shape[1]:
        assert "diverged" in message
        assert f"of {len(x)} slices" in message


@given(x=invalid_points())
def test_functions_on_embeddings_survive_invalid_ones(x):
    """Accept invalid embeddings or refuse them in one sentence."""
    for function in (lambda: mixture_module.fit_mixture(x, 2),
                     lambda: mixture_module.as_clustered(x, True),
                     lambda: subtype_criteria.reduce_embeddings(x, np.ones(len(x), bool)),
                     lambda: domain_shift.coral_loss(x, x),
                     lambda: domain_shift.coral_align(x, np.ones((3, 2))),
                     lambda: subtype_criteria.fit_components(x, 2),
                     lambda: representation.fit_probe("linear probe", x, np.arange(len(x)) % 2,
                                                      np.arange(len(x)))):
        accepted(function, refuses=REFUSALS)


@given(x=invalid_points())
def test_functions_on_embeddings_refuse_invalid_ones(x):
    """Refuse embeddings that are not finite, wherever they enter."""
    if len(x):
        assert refused(mixture_module.fit_mixture, x, 2)
        assert refused(subtype_criteria.reduce_embeddings, x, np.ones(len(x), bool))
        assert refused(domain_shift.coral_loss, x, x)
    if len(x) > 3:
        assert refused(metrics.partition_scores, np.zeros(len(x), int), np.arange(len(x)) % 2, x)


@given(values=invalid_ids())
def test_invalid_ids_are_refused(values):
    """Refuse class ids that are not integers of one dimension, wherever they enter."""
    three = np.array([0, 1, 1])
    names = ("a", "b", "c")
    for function in (lambda: metrics.hungarian_accuracy(three, values),
                     lambda: metrics.hungarian_accuracy(values, three),
                     lambda: metrics.partition_scores(three, values),
                     lambda: metrics.class_table(values, three, names),
                     lambda: metrics.class_table(three, values, names),
                     lambda: metrics.confusion(values, three, 3),
                     lambda: metrics.confusion(three, values, 3),
                     lambda: metrics.contingency(values, three, 3, 3),
                     lambda: metrics.contingency(three, values, 3, 3),
                     lambda: mixture_module.align_clusters(values, three, 3),
                     lambda: mixture_module.align_clusters(three, values, 3),
                     lambda: metrics.calibration_error(np.eye(3), values),
                     lambda: calibration.reliability(np.eye(3), values),
                     lambda: calibration.fit_temperature(np.eye(3), values),
                     lambda: calibration.abstention_curve(np.eye(3), values),
                     lambda: calibration.prediction_sets(np.eye(3), values, np.eye(3)),
                     lambda: calibration.set_thresholds(np.eye(3), values),
                     lambda: calibration.coverage_table(np.eye(3, dtype=bool), values, names),
                     lambda: mixture_module.fit_mixture(np.eye(3), 2, anchors=values)):
        if len(values) == 3 and values.dtype.kind == "i" and values.ndim == 1:
            accepted(function, refuses=REFUSALS)  # -2
        else:
            refused(function)


@given(p=invalid_probabilities())
def test_invalid_probabilities_are_refused(p):
    """Refuse rows that are not probabilities, wherever they enter."""
    labels = np.array([0, 1, 2])
    valid = np.eye(3)
    for function in (lambda: checks.as_probabilities(p),
                     lambda: metrics.calibration_error(p, labels),
                     lambda: metrics.calibration_error_by_chance(p, 2),
                     lambda: calibration.scale_temperature(p, 1.0),
                     lambda: calibration.fit_temperature(p, labels),
                     lambda: calibration.reliability(p, labels),
                     lambda: calibration.prediction_sets(p, labels, valid),
                     lambda: calibration.prediction_sets(valid, labels, p),
                     lambda: calibration.set_thresholds(p, labels),
                     lambda: calibration.abstention_curve(p, labels),
                     lambda: active_learning.margin_uncertainty(p),
                     lambda: active_learning.slices_to_label(valid, p, np.zeros(3, bool), labels)):
        refused(function)


def test_different_numbers_of_slices_are_refused():
    """Name the input that has another number of slices."""
    labels = np.array([0, 1, 2])
    valid = np.eye(3)
    assert "2 labels" in refused(checks.same_slices, probabilities=valid, labels=labels[:2])
