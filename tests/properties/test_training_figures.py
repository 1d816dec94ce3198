"""Properties of brainclust.runs.training_figures."""

import numpy as np
import pytest
from assertions import drawn_figure, figure_text
from examples import NUMBERS_OF_CLASSES, UNLIKELY_NAMES, class_names, history_table
from hypothesis import given, strategies as st
from strategies import FIFTH_OF_EXAMPLES, seeds

from brainclust.runs import training_figures


@FIFTH_OF_EXAMPLES
@given(epochs=st.sampled_from([1, 2, 30]), clusters=st.sampled_from([1, 4, 40]), seed=seeds(),
       holes=st.booleans())
def test_losses_are_drawn_with_every_term(epochs, clusters, seed, holes):
    """Draw and name every loss term."""
    history = history_table(epochs, clusters, seed, holes)
    figure = drawn_figure(training_figures.plot_losses, history)
    assert len(figure.axes[0].lines) == len(training_figures.LOSS_TERMS)
    for name in training_figures.LOSS_TERMS.values():
        assert name in figure_text(figure)


@FIFTH_OF_EXAMPLES
@given(epochs=st.sampled_from([1, 2, 30]), clusters=st.sampled_from([1, 4, 40]), seed=seeds(),
       holes=st.booleans())
def test_accuracies_are_drawn_with_the_last_value(epochs, clusters, seed, holes):
    """Draw accuracies with the last measured value."""
    history = history_table(epochs, clusters, seed, holes)
    figure = drawn_figure(training_figures.plot_accuracy, history, history, 0.935)
    measured = history["test_accuracy"].dropna()
    if len(measured):
        assert f"softmax head: {measured.iloc[-1]:.3f}" in figure_text(figure)


@FIFTH_OF_EXAMPLES
@given(n=st.sampled_from(NUMBERS_OF_CLASSES), matrices=st.integers(1, 3), seed=seeds(),
       empty=st.booleans())
def test_confusion_matrices_show_their_accuracy(n, matrices, seed, empty):
    """Draw every confusion matrix with its accuracy, or note that it has no slices."""
    counts = {
        f"{UNLIKELY_NAMES[k + 4]} {k}": np.random.default_rng(seed + k).integers(
            0, 1 if empty else 900, (n, n)
        )
        for k in range(matrices)
    }
    figure = drawn_figure(training_figures.plot_confusion, counts, class_names(n))
    for matrix in counts.values():
        assert (f"accuracy {np.trace(matrix) / matrix.sum():.3f}, n = {matrix.sum():,}"
                if matrix.sum() else "no slices") in figure_text(figure)


@given(seconds=st.dictionaries(st.sampled_from(["read", "train", "draw"]),
                               st.sampled_from([0, 1e-9, 0.5, 100.0, 1e6])), seed=seeds())
def test_seconds_of_parts_sum_to_their_stage(seconds, seed):
    """Divide the seconds of every stage into parts that sum to it."""
    rng = np.random.default_rng(seed)
    parts = {stage: {f"part {k}": rng.choice([0.0, 0.1, 50.0]) for k in range(rng.integers(0, 4))}
             for stage in seconds if rng.random() < 0.7}
    table = training_figures.seconds_of_parts(seconds, parts)
    assert list(table) == ["stage", "part", "seconds", "share"]
    assert (table["seconds"] >= 0).all()
    for stage, total in seconds.items():
        assert table.seconds[table.stage == stage].sum() == pytest.approx(
            total, rel=2e-3, abs=1e-12
        )


@given(seconds=st.dictionaries(st.sampled_from(["read", "train", "draw"]),
                               st.sampled_from([0, 1e-9, 0.5, 100.0, 1e6])), seed=seeds())
def test_shares_of_seconds_sum_to_one(seconds, seed):
    """Sum the fractions of all parts to one."""
    rng = np.random.default_rng(seed)
    parts = {stage: {f"part {k}": rng.choice([0.0, 0.1, 50.0]) for k in range(rng.integers(0, 4))}
             for stage in seconds if rng.random() < 0.7}
    table = training_figures.seconds_of_parts(seconds, parts)
    assert table["share"].sum() == pytest.approx(1 if sum(seconds.values()) > 1e-9
                                                 else table["share"].sum())


@FIFTH_OF_EXAMPLES
@given(seconds=st.sampled_from([{}, {r"$\frac{$": 0.0},
                                {name: 10.0**k for k, name in enumerate(UNLIKELY_NAMES[:9])},
                                {"a": np.nan, "_b": 3.0}]), alternatives=st.booleans())
def test_unmeasured_seconds_are_noted(seconds, alternatives):
    """Draw seconds as bars and note stages that were not measured."""
    figure = drawn_figure(training_figures.plot_seconds, seconds,
                          {name: {"$\\frac{$": 1.0, "loading": 0.5} for name in seconds},
                          alternatives)
    for name, value in seconds.items():
        if np.isnan(value):
            assert f"Not measured: {name}" in figure_text(figure)
