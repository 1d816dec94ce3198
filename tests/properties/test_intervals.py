"""Properties of brainclust.core.intervals."""

import numpy as np
import pandas as pd
from assertions import drawn_figure, figure_text
from examples import accuracy_table, class_names
from hypothesis import given, strategies as st
from strategies import FIFTH_OF_EXAMPLES, seeds

from brainclust.core import intervals as intervals_module


@FIFTH_OF_EXAMPLES
@given(n=st.sampled_from([1, 3, 22]), seed=seeds(), intervals=st.booleans())
def test_accuracies_are_drawn_with_their_values(n, seed, intervals):
    """Write the value beside every accuracy, or that it was not measured."""
    table = accuracy_table(class_names(n), seed, intervals)
    for figure in (drawn_figure(intervals_module.plot_intervals, table, chance=0.25),
                   drawn_figure(intervals_module.plot_intervals, table, bold=class_names(n)[:1],
                                whole=False)):
        shown = figure_text(figure)
        for value in table["accuracy"]:
            assert ("not measured" if np.isnan(value) else f"{value:.3f}") in shown


@FIFTH_OF_EXAMPLES
@given(n=st.sampled_from([1, 5, 22]), sources=st.integers(1, 4), seed=seeds(), limits=st.booleans())
def test_claims_are_drawn_with_their_values(n, sources, seed, limits):
    """Write the value beside every claim, or that it was not measured."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame([{"quantity": name, "source": f"source {k}",
                           "value": rng.choice([np.nan, -1, 0, 1, rng.random()])} for name
                          in class_names(n) for k in range(sources)])
    table = table.assign(low=table.value - 0.1, high=table.value + 0.1) if limits else table
    columns = "quantity", "source", "value"
    shown = figure_text(drawn_figure(intervals_module.plot_intervals, table, *columns))
    for value in table["value"]:
        assert ("not measured" if np.isnan(value) else f"{value:.3f}") in shown


NUMBERS = st.floats(-1, 1) | st.sampled_from([None, np.nan, np.float64(.25), np.int64(1)])


@given(value=NUMBERS, low=NUMBERS, high=NUMBERS, signed=st.booleans())
def test_a_value_is_written_with_its_interval_or_called_unmeasured(value, low, high, signed):
    """Never write a NaN, and write an interval only when both of its ends are known."""
    text = intervals_module.with_interval(value, low, high, signed)
    assert "nan" not in text.lower() and "None" not in text
    known = [x is not None and np.isfinite(x) for x in (value, low, high)]
    assert (text == "not measured") == (not known[0])
    assert ("[" in text) == all(known)
