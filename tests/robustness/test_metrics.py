"""Invalid and damaged input for brainclust.core.metrics."""

import numpy as np
from assertions import refused

from brainclust.core import metrics


def test_accuracy_intervals_refuse_unequal_inputs():
    """Refuse inputs of unequal length or of two dimensions, and negative draws."""
    refused(metrics.accuracy_interval, np.zeros(3), np.zeros(4))
    refused(metrics.accuracy_interval, np.zeros((3, 2)))
    refused(metrics.accuracy_interval, np.zeros(3), None, -1)


def test_difference_intervals_refuse_unequal_inputs():
    """Refuse two methods that predict different numbers of slices."""
    refused(metrics.difference_interval, np.zeros(3), np.zeros(1))


def test_f1_intervals_refuse_unequal_groups():
    """Refuse groups of another length."""
    refused(metrics.f1_interval, np.zeros(3, int), np.zeros(3, int), 0, np.zeros(4))


def test_ratio_intervals_refuse_unequal_inputs():
    """Refuse inputs of unequal length and negative draws."""
    for wrong in ((np.zeros(3), np.zeros(4)), (np.ones(3), np.ones(3), np.zeros(2)),
                  (np.ones(3), np.ones(3), None, -1)):
        refused(metrics.ratio_interval, *wrong)
