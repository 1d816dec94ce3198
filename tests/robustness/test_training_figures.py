"""Invalid and damaged input for brainclust.runs.training_figures."""

import numpy as np
from assertions import refused
from examples import NUMBERS_OF_CLASSES, class_names, history_table
from hypothesis import given, strategies as st
from strategies import FIFTH_OF_EXAMPLES, seeds

from brainclust.runs import cluster_figures, training_figures


@FIFTH_OF_EXAMPLES
@given(epochs=st.sampled_from([1, 2, 30]), clusters=st.sampled_from([1, 4, 40]), seed=seeds(),
       holes=st.booleans())
def test_an_empty_history_is_refused(epochs, clusters, seed, holes):
    """Refuse a history without rows or without columns."""
    history = history_table(epochs, clusters, seed, holes)
    for function in (training_figures.plot_losses, training_figures.plot_accuracy,
                     cluster_figures.plot_pseudo_labels):
        refused(function, history[:0])
        refused(function, history[["epoch"]])


@FIFTH_OF_EXAMPLES
@given(n=st.sampled_from(NUMBERS_OF_CLASSES))
def test_invalid_confusion_matrices_are_refused(n):
    """Refuse matrices that are not square and finite."""
    for wrong in ({"a": np.zeros((n, n + 1))}, {"a": np.zeros(n)}, {},
                  {"a": np.full((n, n), np.nan)}):
        refused(training_figures.plot_confusion, wrong, class_names(n))
    refused(training_figures.plot_confusion, {"a": np.zeros((0, 0))}, [])
