"""Invalid and damaged input for brainclust.core.intervals."""

import numpy as np
import pandas as pd
from assertions import refused
from examples import accuracy_table, class_names
from hypothesis import given, strategies as st
from strategies import FIFTH_OF_EXAMPLES, seeds

from brainclust.core import intervals as intervals_module


@FIFTH_OF_EXAMPLES
@given(n=st.sampled_from([1, 3, 22]), seed=seeds(), intervals=st.booleans())
def test_accuracies_without_a_test_set_are_refused(n, seed, intervals):
    """Refuse an empty table and a missing column."""
    table = accuracy_table(class_names(n), seed, intervals)
    refused(intervals_module.plot_intervals, table[:0])
    refused(intervals_module.plot_intervals, table.drop(columns="test_set"))


@FIFTH_OF_EXAMPLES
@given(n=st.sampled_from([1, 5, 22]), sources=st.integers(1, 4), seed=seeds(), limits=st.booleans())
def test_claims_outside_their_range_are_refused(n, sources, seed, limits):
    """Refuse values outside [-1, 1] and an empty table."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame([{"quantity": name, "source": f"source {k}",
                           "value": rng.choice([np.nan, -1, 0, 1, rng.random()])} for name
                          in class_names(n) for k in range(sources)])
    table = table.assign(low=table.value - 0.1, high=table.value + 0.1) if limits else table
    columns = "quantity", "source", "value"
    for value in (1.5, -2, np.inf):
        refused(intervals_module.plot_intervals, table.assign(value=value), *columns)
    refused(intervals_module.plot_intervals, table[:0], *columns)
