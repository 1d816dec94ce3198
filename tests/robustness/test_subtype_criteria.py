"""Invalid and damaged input for brainclust.analysis.subtype_criteria."""

import numpy as np
from assertions import refused
from hypothesis import given
from strategies import TENTH_OF_EXAMPLES, points

from brainclust.analysis import subtype_criteria


@given(x=points(min_points=5, dimensions=4))
def test_impossible_numbers_of_components_are_refused(x):
    """Refuse no components and more components than slices."""
    x = np.asarray(x, np.float64)
    refused(subtype_criteria.fit_components, x, len(x) + 1)
    refused(subtype_criteria.fit_components, x, 0)


@given(x=points(min_points=5, dimensions=4))
def test_a_reduction_without_training_slices_is_refused(x):
    """Refuse an empty training set and a mask of another length."""
    x = np.asarray(x, np.float64)
    train = np.arange(len(x)) % 3 > 0
    refused(subtype_criteria.reduce_embeddings, x, np.zeros(len(x), bool))
    refused(subtype_criteria.reduce_embeddings, x, train[1:])


@TENTH_OF_EXAMPLES
@given(x=points(min_points=12, max_points=30, dimensions=3))
def test_criteria_for_too_many_components_are_refused(x):
    """Refuse more components than slices and give the remedy."""
    x = np.asarray(x, np.float64)
    groups = np.arange(len(x)) // 2
    assert "lower the largest" in refused(subtype_criteria.measure_criteria, x, groups, 99)


@TENTH_OF_EXAMPLES
@given(x=points(min_points=12, max_points=30, dimensions=3))
def test_criteria_with_missing_groups_are_refused(x):
    """Refuse groups of another length."""
    x = np.asarray(x, np.float64)
    groups = np.arange(len(x)) // 2
    refused(subtype_criteria.measure_criteria, x, groups[1:], 2)
