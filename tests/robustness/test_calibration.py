"""Invalid and damaged input for brainclust.analysis.calibration."""

import numpy as np
from assertions import refused
from hypothesis import assume, given, strategies as st
from strategies import LAYOUTS, probabilities, seeds, with_layout

from brainclust.analysis import calibration


@given(p=probabilities(), seed=seeds(), layout=st.sampled_from(LAYOUTS))
def test_a_temperature_of_no_slices_is_refused(p, seed, layout):
    """Refuse to fit a temperature without slices."""
    p = with_layout(p, layout)
    labels = np.random.default_rng(seed).integers(0, p.shape[1], len(p))
    refused(calibration.fit_temperature, p[:0], labels[:0])


@given(p=probabilities(), layout=st.sampled_from(LAYOUTS))
def test_invalid_temperatures_are_refused(p, layout):
    """Refuse temperatures that are not positive and finite."""
    p = with_layout(p, layout)
    for wrong in (0.0, -1.0, np.nan, np.inf):
        refused(calibration.scale_temperature, p, wrong)


@given(p=probabilities(), validation=probabilities(k=3), seed=seeds())
def test_invalid_coverages_are_refused(p, validation, seed):
    """Refuse coverages outside (0, 1)."""
    assume(p.shape[1] > 1)
    k = p.shape[1]
    rng = np.random.default_rng(seed)
    validation = rng.dirichlet(np.ones(k), len(validation) * 3).astype(np.float32)
    labels = rng.integers(0, k, len(validation))
    for wrong in (0.0, 1.0, -1.0, 2.0, np.nan):
        refused(calibration.minimum_slices, wrong)
        refused(calibration.prediction_sets, validation, labels, p, wrong)
