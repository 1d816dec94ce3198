"""Invalid and damaged input for brainclust.runs.comparison_figures."""

import pandas as pd
from assertions import refused
from examples import class_names
from hypothesis import given, strategies as st
from strategies import FIFTH_OF_EXAMPLES, slice_images

from brainclust.runs import comparison_figures


@FIFTH_OF_EXAMPLES
@given(images=st.lists(slice_images(), min_size=1, max_size=8), shift=st.integers(0, 3))
def test_label_errors_without_their_slices_are_refused(images, shift):
    """Refuse other numbers of slices than of rows."""
    table = pd.DataFrame({"given": class_names(40)[shift : shift + len(images)],
                          "suggested": class_names(40)[20 : 20 + len(images)], "probability": 0.5})
    for wrong in (images + images[:1], []):
        refused(comparison_figures.plot_label_errors, wrong, table)
    refused(comparison_figures.plot_label_errors, [], table[:0])
