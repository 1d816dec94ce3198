"""Invalid and damaged input for brainclust.runs.comparison_figures."""

import numpy as np
import pandas as pd
from assertions import refused
from examples import class_names
from hypothesis import given, strategies as st
from strategies import FIFTH_OF_EXAMPLES, seeds, slice_images

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


@FIFTH_OF_EXAMPLES
@given(n=st.integers(1, 5), shape=st.sampled_from([(1, 1), (1, 7), (8, 8), (1, 8, 8)]),
       kind=st.sampled_from(["noise", "constant"]), seed=seeds())
def test_reconstructions_of_another_shape_are_refused(n, shape, kind, seed):
    """Refuse reconstructions of another shape and no slices."""
    x = (
        np.random.default_rng(seed).normal(size=(n, *shape))
        if kind == "noise"
        else np.full((n, *shape), 3.0)
    )
    for wrong in (x[:0], x[..., :0], np.zeros((n + 1, *shape))):
        refused(comparison_figures.plot_reconstructions, x, wrong)
    refused(comparison_figures.plot_reconstructions, x[:0], x[:0])
