"""Invalid and damaged input for brainclust.analysis.active_learning."""

import numpy as np
from assertions import refused
from hypothesis import given, strategies as st
from strategies import points, probabilities, seeds

from brainclust.analysis import active_learning


@given(data=st.data())
def test_inputs_of_a_query_that_do_not_fit_are_refused(data):
    """Refuse unequal, empty and non-finite inputs."""
    x = data.draw(points(min_points=2))
    n = len(x)
    rng = np.random.default_rng(data.draw(seeds()))
    p = data.draw(probabilities(n=n, k=3))
    labelled = rng.random(n) < data.draw(st.sampled_from([0.0, 0.5, 1.0]))
    groups = rng.choice(["a", "b", "ü", "", "e"], n)
    for wrong in ((x[1:], p, labelled, groups), (x, p[1:], labelled, groups),
                  (x, p, labelled[1:], groups), (x, p, labelled, groups[1:]),
                  (x, p[:, :1] * 0 + 1, labelled, groups), (x * np.nan, p, labelled, groups),
                  (x[:0], p[:0], labelled[:0], groups[:0])):
        refused(active_learning.slices_to_label, *wrong)


@given(data=st.data())
def test_a_query_of_no_slices_is_refused(data):
    """Refuse to query no slices."""
    x = data.draw(points(min_points=2))
    n = len(x)
    rng = np.random.default_rng(data.draw(seeds()))
    p = data.draw(probabilities(n=n, k=3))
    labelled = rng.random(n) < data.draw(st.sampled_from([0.0, 0.5, 1.0]))
    groups = rng.choice(["a", "b", "ü", "", "e"], n)
    refused(active_learning.slices_to_label, x, p, labelled, groups, 0)
