"""Properties of brainclust.analysis.subtype_figures."""

import numpy as np
import pandas as pd
from hypothesis import given
from strategies import TENTH_OF_EXAMPLES, points

from brainclust.analysis import subtype_figures, subtypes


@TENTH_OF_EXAMPLES
@given(x=points(min_points=12, max_points=30, dimensions=3))
def test_criteria_of_a_study_are_drawn(x):
    """Draw the criteria of a study."""
    x = np.asarray(x, np.float64)
    groups = np.arange(len(x)) // 2
    confounders = pd.DataFrame({"viewing plane": "", "source": "a",
                                "contrast": np.arange(len(x)) * 1.0})
    whole = subtypes.Slices("all", np.arange(len(x)), x, groups % 2 == 0, groups, confounders,
                            np.zeros(len(x), bool))
    one = subtypes.select_slices(whole, "glioma", np.arange(len(x)))
    if one.train.sum() < 10: return
    (study,) = subtypes.study_classes([one], claimed=2, largest=2, draws=1)
    assert subtype_figures.plot_criteria([study]).axes


@TENTH_OF_EXAMPLES
@given(x=points(min_points=12, max_points=30, dimensions=3))
def test_subtypes_of_a_study_are_drawn(x):
    """Draw the galleries of the claimed subtypes."""
    x = np.asarray(x, np.float64)
    groups = np.arange(len(x)) // 2
    confounders = pd.DataFrame({"viewing plane": "", "source": "a",
                                "contrast": np.arange(len(x)) * 1.0})
    whole = subtypes.Slices("all", np.arange(len(x)), x, groups % 2 == 0, groups, confounders,
                            np.zeros(len(x), bool))
    one = subtypes.select_slices(whole, "glioma", np.arange(len(x)))
    if one.train.sum() < 10: return
    (study,) = subtypes.study_classes([one], claimed=2, largest=2, draws=1)
    assert (subtype_figures.plot_subtypes([study.claimed], np.zeros((len(x), 8, 8))).subfigs
            is not None)
