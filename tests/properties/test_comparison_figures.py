"""Properties of brainclust.runs.comparison_figures."""

import numpy as np
import pandas as pd
from assertions import drawn_figure, figure_text
from examples import class_names
from hypothesis import given, strategies as st
from strategies import FIFTH_OF_EXAMPLES, seeds, slice_images

from brainclust.runs import comparison_figures


@FIFTH_OF_EXAMPLES
@given(images=st.lists(slice_images(), min_size=1, max_size=8), shift=st.integers(0, 3),
       columns=st.integers(1, 7))
def test_label_errors_are_drawn_with_their_suggestion(images, shift, columns):
    """Draw every slice with the suggested class."""
    table = pd.DataFrame({"given": class_names(40)[shift : shift + len(images)],
                          "suggested": class_names(40)[20 : 20 + len(images)], "probability": 0.5})
    figure = drawn_figure(comparison_figures.plot_label_errors, images, table, columns)
    assert sum(len(axis.images) for axis in figure.axes) == len(images)
    for suggested in table.suggested:
        assert " ".join(f"{suggested}?".split()) in figure_text(figure)


@FIFTH_OF_EXAMPLES
@given(n=st.integers(1, 5), shape=st.sampled_from([(1, 1), (1, 7), (8, 8), (1, 8, 8)]),
       kind=st.sampled_from(["noise", "constant"]), seed=seeds())
def test_reconstructions_are_drawn_beside_their_slices(n, shape, kind, seed):
    """Draw slice, reconstruction and difference of every slice."""
    x = (
        np.random.default_rng(seed).normal(size=(n, *shape))
        if kind == "noise"
        else np.full((n, *shape), 3.0)
    )
    assert len(drawn_figure(comparison_figures.plot_reconstructions, x, x * 0.9).axes) == 3 * n + 1
    assert len(drawn_figure(comparison_figures.plot_reconstructions, x, x).axes) == 3 * n + 1
