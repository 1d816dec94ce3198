"""Properties of brainclust.analysis.companion_scores."""

import numpy as np
import pandas as pd
from hypothesis import given, strategies as st
from strategies import TENTH_OF_EXAMPLES, class_ids

from brainclust.analysis import companion_scores
from brainclust.core import config


@TENTH_OF_EXAMPLES
@given(data=st.data())
def test_a_companion_table_compares_five_claims(data):
    """Compare five claims with accuracies in [0, 1]."""
    n = data.draw(st.integers(0, 30))
    truth = data.draw(class_ids(n, 4, hidden=False))
    predictions = data.draw(class_ids(n, 4, hidden=False))
    scans = pd.DataFrame({"group": np.arange(n) // 2,
                          "clean": np.arange(n) % data.draw(st.integers(1, 3)) == 1})
    table = companion_scores.companion_table("a", truth, predictions, scans, config.CLASSES,
                                             draws=20)
    assert len(table) == 5
    assert table.given.dropna().between(0, 1).all()


@TENTH_OF_EXAMPLES
@given(data=st.data())
def test_tidy_companions_name_their_source(data):
    """Name the claim, the given and the clean test set as sources."""
    n = data.draw(st.integers(0, 30))
    truth = data.draw(class_ids(n, 4, hidden=False))
    predictions = data.draw(class_ids(n, 4, hidden=False))
    scans = pd.DataFrame({"group": np.arange(n) // 2,
                          "clean": np.arange(n) % data.draw(st.integers(1, 3)) == 1})
    table = companion_scores.companion_table("a", truth, predictions, scans, config.CLASSES,
                                             draws=20)
    tidy = companion_scores.tidy_companions(table)
    assert set(tidy.source) <= {"claimed", "given test set", "clean test set"}
    assert len(tidy) >= 10


def test_learning_curves_allow_unmeasured_epochs():
    """Draw learning curves although nothing was measured on the test set."""
    history = pd.DataFrame({"epoch": [1], **{f"{part}_{what}": [np.nan if part == "test" else 0.5]
                                             for part in companion_scores.PART_STYLES for what
                                             in ("loss", "accuracy")}})
    assert companion_scores.plot_learning_curves({"one": history}, {"one": 0.9}).axes
