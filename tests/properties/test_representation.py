"""Properties of brainclust.analysis.representation."""

import numpy as np
import pandas as pd
from assertions import accepted, sum_to_one
from hypothesis import given, strategies as st
from strategies import TENTH_OF_EXAMPLES, class_ids, points, slice_stacks

from brainclust.analysis import representation
from brainclust.core import intervals as intervals_module


@TENTH_OF_EXAMPLES
@given(data=st.data())
def test_probes_predict_probabilities(data):
    """Predict probabilities for seen and for held-out slices."""
    x = data.draw(points(min_points=8))
    kind = data.draw(st.sampled_from(["linear probe", "k nearest neighbours"]))
    labels = data.draw(class_ids(len(x), 3, hidden=False))
    groups = np.arange(len(x)) // 2
    probe = accepted(representation.fit_probe, kind, x, labels, groups, refuses=ValueError)
    if probe is None: return
    log_probabilities = representation.probe_log_probabilities(probe, x, 4)
    assert log_probabilities.shape == (len(x), 4)
    assert sum_to_one(np.exp(log_probabilities))
    assert sum_to_one(np.exp(representation.held_out_log_probabilities(probe, x, labels, groups)),
                      0.01)


def test_scores_that_were_not_measured_are_drawn():
    """Draw scores of which some are NaN."""
    scores = pd.DataFrame({"method": ["x", "y"], "accuracy": [0.5, np.nan], "low": [0.4, np.nan],
                           "high": [0.6, np.nan], "clean_accuracy": np.nan, "clean_low": np.nan,
                           "clean_high": np.nan})
    assert intervals_module.plot_intervals(representation.tidy_scores(scores), series="part",
                                           chance=0.25).axes


@TENTH_OF_EXAMPLES
@given(images=slice_stacks(side=32))
def test_attention_of_any_slice_is_drawn(images):
    """Draw attention weights over slices of any content."""
    weights = np.full((len(images), 1, 1), 1.0)
    assert representation.plot_attention(images[:, 0], weights, ["x"] * len(images)).axes
