"""Properties of brainclust.runs.comparison."""

import numpy as np
import pandas as pd
from assertions import accepted
from hypothesis import given, strategies as st
from strategies import TENTH_OF_EXAMPLES

from brainclust.core import intervals as intervals_module
from brainclust.runs import comparison


@given(folders=st.lists(st.sampled_from(["a", "b/c", "c", "/x/c", "b/../c", "~", "ü b"]),
                        max_size=4))
def test_run_names_are_different(folders):
    """Name different runs differently, or refuse equal folders."""
    names = accepted(comparison.run_names, folders, refuses=ValueError)
    if names is not None:
        assert len(set(names)) == len(names) == len(folders)


@TENTH_OF_EXAMPLES
@given(values=st.lists(st.one_of(st.just(np.nan), st.floats(0, 1)), min_size=1, max_size=4))
def test_tidy_runs_have_two_rows_a_run(values):
    """Return a row for the given and the clean test set of every run."""
    parts = [f"{called} {part}" for called in comparison.METHODS.values() for part
             in comparison.PARTS.values()]
    table = pd.DataFrame(
        [
            {
                "run": f"r{i}",
                "test": "A",
                **{f"{part}{end}": value for part in parts for end in ("", " low", " high")},
            }
            for i, value in enumerate(values)
        ]
    )
    assert len(comparison.tidy_runs(table)) == 2 * len(values)


@TENTH_OF_EXAMPLES
@given(values=st.lists(st.one_of(st.just(np.nan), st.floats(0, 1)), min_size=1, max_size=4))
def test_runs_with_unmeasured_scores_are_drawn(values):
    """Draw runs of which some scores are NaN."""
    parts = [f"{called} {part}" for called in comparison.METHODS.values() for part
             in comparison.PARTS.values()]
    table = pd.DataFrame(
        [
            {
                "run": f"r{i}",
                "test": "A",
                **{f"{part}{end}": value for part in parts for end in ("", " low", " high")},
            }
            for i, value in enumerate(values)
        ]
    )
    assert intervals_module.plot_intervals(comparison.tidy_runs(table)).axes


@TENTH_OF_EXAMPLES
@given(values=st.lists(st.one_of(st.just(np.nan), st.floats(0, 1)), min_size=1, max_size=4))
def test_no_runs_give_an_empty_table(values):
    """Return an empty table without runs."""
    parts = [f"{called} {part}" for called in comparison.METHODS.values() for part
             in comparison.PARTS.values()]
    table = pd.DataFrame(
        [
            {
                "run": f"r{i}",
                "test": "A",
                **{f"{part}{end}": value for part in parts for end in ("", " low", " high")},
            }
            for i, value in enumerate(values)
        ]
    )
    assert not len(comparison.tidy_runs(table[:0]))
