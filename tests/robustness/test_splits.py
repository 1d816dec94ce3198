"""Invalid and damaged input for brainclust.data.splits."""

import numpy as np
import pandas as pd
import pytest
from assertions import REFUSALS, accepted, one_sentence
from hypothesis import given, strategies as st
from strategies import scan_tables

from brainclust.data import splits as splits_module


@given(table=scan_tables(), fraction=st.floats(0.01, 0.99), seed=st.integers(0, 99),
       per_class=st.sampled_from([0, 0, 1, 2]))
def test_labels_are_hidden_once(table, fraction, seed, per_class):
    """Refuse to hide labels that are hidden already."""
    split = accepted(splits_module.split_table, table, fraction, seed, refuses=(ValueError,))
    if split is None: return
    hidden = accepted(splits_module.hide_labels, split, fraction, seed, per_class,
                      refuses=(ValueError,))
    if hidden is None: return
    with pytest.raises(ValueError, match="hidden already"):
        splits_module.hide_labels(hidden)


@given(fraction=st.one_of(st.floats(), st.floats(0, 1)),
       counts=st.lists(st.integers(1, 50), max_size=4))
def test_impossible_label_fractions_are_refused(fraction, counts):
    """Accept label fractions that are a slice of some class, and refuse others."""
    slices = pd.Series(counts, index=[f"c{i}" for i in range(len(counts))], dtype=int)
    possible = (fraction == 0 or 0 < fraction <= 1 and len(counts) > 1 and fraction * max(counts)
                >= 0.5)
    try:
        splits_module.check_label_fraction(fraction, slices)
    except ValueError as error:
        assert one_sentence(error) and not possible
    else:
        assert possible


@pytest.mark.parametrize("settings", [dict(label_fraction=np.nan), dict(label_fraction=2),
                                      dict(labels_per_class=-1), dict(seed=-1),
                                      dict(label_fraction=None)], ids=str)
def test_invalid_hiding_settings_are_refused(settings):
    """Refuse fractions, seeds and numbers that are not valid."""
    table = pd.DataFrame({"path": list("abcdef"), "label": [0, 1] * 3, "class_name": ["x", "y"]
                          * 3, "split": "train", "group": ""})
    with pytest.raises(REFUSALS) as error:
        splits_module.hide_labels(table, **settings)
    one_sentence(error.value)
