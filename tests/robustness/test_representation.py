"""Invalid and damaged input for brainclust.analysis.representation."""

import numpy as np
from assertions import refused
from hypothesis import given, strategies as st
from strategies import TENTH_OF_EXAMPLES, class_ids, points

from brainclust.analysis import representation


@TENTH_OF_EXAMPLES
@given(data=st.data())
def test_a_probe_with_missing_labels_is_refused(data):
    """Refuse labels of another length."""
    x = data.draw(points(min_points=8))
    kind = data.draw(st.sampled_from(["linear probe", "k nearest neighbours"]))
    labels = data.draw(class_ids(len(x), 3, hidden=False))
    groups = np.arange(len(x)) // 2
    refused(representation.fit_probe, kind, x, labels[1:], groups)
