"""Assertions of many tests: refusals, time limits, layouts, figures and HTML."""
import json
import math
import signal
import sys
import warnings
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure
from strategies import LAYOUTS, with_layout

from brainclust.runs import predictor as predictor_module
from brainclust.training import batches as batches_module, checkpoints, loop

# The errors that inputs outside the documented domain may raise.
ORDINARY_ERRORS = (ValueError, TypeError, OSError, IndexError, KeyError, RuntimeError,
                   AttributeError)


@contextmanager
def time_limit(seconds: int = 60):
    """Fail a block that takes longer than the limit."""
    def too_long(*_):
        raise AssertionError(f"not finished within {seconds} seconds")
    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def one_sentence(error: BaseException) -> str:
    """Return the message of an error, which must be one sentence."""
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    assert 10 < len(text) < 600 and "\n" not in text, f"not one sentence: {text!r}"
    return text


def accepted(function, *arguments, refuses: tuple = (), seconds: int = 60, **named):
    """Return the function's result, or None where it raises one of `refuses` in one sentence."""
    with time_limit(seconds):
        try:
            return function(*arguments, **named)
        except refuses as error:
            one_sentence(error)


def survives(function, *arguments, seconds: int = 60, **named):
    """Return the function's result or its ordinary error; it neither hangs nor crashes."""
    with time_limit(seconds):
        try:
            return function(*arguments, **named)
        except ORDINARY_ERRORS as error:
            return error


REFUSALS = (ValueError, TypeError)


def refused(function, *arguments, kinds: tuple = REFUSALS, **named) -> str:
    """Return the one sentence with which the function raises one of `kinds`."""
    with time_limit(), pytest.raises(kinds) as error:
        function(*arguments, **named)
    return one_sentence(error.value)


def sum_to_one(p: np.ndarray, tolerance: float = 1e-4) -> bool:
    """Return whether all rows are finite probabilities."""
    p = np.asarray(p, dtype=np.float64)
    return bool(np.isfinite(p).all() and (p >= -tolerance).all()
                and np.allclose(p.sum(axis=1), 1, atol=tolerance))


def check_training(
    state: checkpoints.TrainingState,
    epochs: int,
    data: batches_module.TrainingData,
    k: int | None = None,
) -> None:
    """Assert that a training finished with finite losses and weights."""
    assert state.epoch == epochs == len(state.history) == len(state.seconds)
    for row in state.history:
        assert all(math.isfinite(row[term]) and row[term] >= 0 for term in (*loop.TERMS, "loss")
                   if term in row)
    assert all(value.isfinite().all() for value in checkpoints.state_tensors(state).values())
    if k:
        assert state.tensors["responsibilities"].shape == (len(data.train), k) and sum_to_one(
            state.tensors["responsibilities"])


def ignores_layout(function, image, **named) -> None:
    """Assert that the function returns the same result for every memory layout."""
    expected = function(np.ascontiguousarray(image), **named)
    for how in LAYOUTS:
        np.testing.assert_equal(function(with_layout(image, how), **named), expected, err_msg=how)


def resident_megabytes(name: str) -> float:
    """Return a line of this process's status: VmHWM, the peak, or VmRSS, the present size."""
    return int(Path("/proc/self/status").read_text().split(name + ":")[1].split()[0]) / 1024


def memory_growth() -> float:
    """Return how far memory has peaked since the last call; 0 where Linux does not tell it."""
    if sys.platform != "linux": return 0.
    peak = resident_megabytes("VmHWM")
    Path("/proc/self/clear_refs").write_text("5")
    return peak - resident_megabytes("VmRSS")


def check_decoded_slice(pixels: np.ndarray, facts: dict) -> None:
    """Assert that pixels are a slice and that its facts can be written as JSON."""
    assert (pixels.dtype == np.uint8 and pixels.ndim == 2 and 8 <= min(pixels.shape)
            and max(pixels.shape) <= 8192)
    assert set(facts) <= {"bit_depth", "voxel_height", "voxel_width", "plane", "patient",
                          "class_name", "notes", "aspect", "study", "channel", "kind",
                          "SOPInstanceUID", "SeriesInstanceUID", "stored_axis", "stored_index"}
    json.dumps(facts, ensure_ascii=False).encode()


def drawn_figure(function, *arguments, **named) -> Figure:
    """Return the figure of a plotting function, drawn without a warning and unknown to pyplot."""
    with time_limit(60), warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = function(*arguments, **named)
        assert isinstance(figure, Figure)
        figure.draw_without_rendering()
    assert pyplot.get_fignums() == []
    return figure


def figure_text(figure: Figure) -> str:
    """Return all visible words of a figure, without line breaks."""
    from matplotlib.text import Text
    return " ".join(
        " ".join(text.get_text().split()) for text in figure.findobj(Text) if text.get_visible())


def check_prediction_table(
    table: pd.DataFrame,
    predictor: predictor_module.Predictor,
    n: int,
) -> None:
    """Assert that a prediction table has its columns and that its probabilities sum to one."""
    names = list(predictor.classes_)
    assert (
        list(table)
        == ["class", *(f"prob_{name}" for name in names), "prediction_set", "abstain", "cluster",
            "subtype", "ood_score", "in_distribution"] and len(table) == n)
    assert (table["cluster"].between(0, 4).all() and (table["ood_score"] >= 0).all()
            and (table["in_distribution"] == ~(table["ood_score"] > 1)).all())
    if not predictor.named: return
    p = table.filter(regex="^prob_").to_numpy()
    assert (np.allclose(p.sum(axis=1), 1, atol=1e-5) and (p >= 0).all()
            and (table["class"] == np.array(names)[p.argmax(axis=1)]).all())


class Tags(HTMLParser):
    """Collect the tags and attributes of a piece of HTML."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list) -> None:
        self.tags.append((tag, dict(attributes)))


def harmless(text: str) -> list:
    """Return the tags of a piece of HTML, none of which may stem from a name."""
    tags = Tags(text).tags
    for tag, attributes in tags:
        assert tag not in ("script", "b>", "iframe", "object") and not any(
            name.startswith("on") for name in attributes), (tag, attributes)
        assert attributes.get("src", "page/").startswith(
            ("page/", "data:image/png;base64,")
        ) and "javascript" not in str(attributes.get("href", ""))
    assert "onerror=alert(1)>" not in text and "<img src=x" not in text
    return tags
