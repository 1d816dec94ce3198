"""Invalid and damaged input for brainclust.analysis.subtypes."""

import numpy as np
import pandas as pd
from assertions import refused
from hypothesis import given
from strategies import points, seeds

from brainclust.analysis import subtypes


@given(x=points(min_points=4), seed=seeds())
def test_removing_a_property_without_training_slices_is_refused(x, seed):
    """Refuse values of another length and an empty training set."""
    rng = np.random.default_rng(seed)
    train = np.arange(len(x)) % 2 == 0
    values = rng.choice(["", "a", "b"], len(x))
    refused(subtypes.without_property, x, values[1:], train)
    refused(subtypes.without_property, x, values, train & False)


@given(x=points(min_points=4), seed=seeds())
def test_planting_groups_in_missing_dimensions_is_refused(x, seed):
    """Refuse dimensions that do not exist."""
    rng = np.random.default_rng(seed)
    where = rng.integers(0, x.shape[1], len(x))
    refused(subtypes.plant_groups, x, where + x.shape[1], np.arange(len(x)))


def test_a_patient_on_both_sides_is_refused():
    """Refuse a patient in training and held-out data."""
    x = np.random.default_rng(0).normal(size=(8, 3))
    confounders = pd.DataFrame({"viewing plane": [""] * 8})
    slices_of = lambda train: subtypes.Slices("all", np.arange(8), x, train, np.zeros(8),
                                              confounders, np.zeros(8, bool))
    assert "both in training and held out" in refused(subtypes.select_slices,
                                                      slices_of(np.arange(8) % 2 == 0), "glioma",
                                                      np.arange(8))


def test_subtypes_without_a_training_set_are_refused():
    """Refuse slices none of which is for training."""
    x = np.random.default_rng(0).normal(size=(8, 3))
    confounders = pd.DataFrame({"viewing plane": [""] * 8})
    slices_of = lambda train: subtypes.Slices("all", np.arange(8), x, train, np.zeros(8),
                                              confounders, np.zeros(8, bool))
    assert "training set" in refused(subtypes.select_slices, slices_of(np.zeros(8, bool)), "glioma",
                                     np.arange(8))


def test_subtypes_of_diverged_embeddings_are_refused():
    """Refuse embeddings with NaN."""
    x = np.random.default_rng(0).normal(size=(8, 3))
    confounders = pd.DataFrame({"viewing plane": [""] * 8})
    slices_of = lambda train: subtypes.Slices("all", np.arange(8), x, train, np.zeros(8),
                                              confounders, np.zeros(8, bool))
    x[3] = np.nan
    assert "not finite" in refused(subtypes.select_slices, slices_of(np.ones(8, bool)), "glioma",
                                   np.arange(8))
