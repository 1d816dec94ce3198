"""Properties of brainclust.analysis.counterfactuals."""
import numpy as np
import pytest
from hypothesis import given, strategies as st
from strategies import seeds

from brainclust.analysis import counterfactuals
from brainclust.core.config import CLASSES


@pytest.fixture(scope="module")
def pairs():
    """Six small pairs."""
    return counterfactuals.counterfactual_pairs(6, seed=3, size=64)


def test_only_tumours_have_pairs(pairs):
    """Show all kinds of tumours in turn, and change each slice."""
    assert [CLASSES[label] for label in pairs.labels] == [
        "glioma", "meningioma", "pituitary"] * 2
    assert all((one != other).any() for one, other in zip(pairs.tumour, pairs.healthy))
    assert (pairs.framed[:, 0] == counterfactuals.FRAME).all()


@given(seed=seeds(), names=st.permutations(CLASSES))
def test_scores_are_fractions_for_any_reader(pairs, seed, names):
    """Measure a reader of noise: one row per pair, and fractions that fit the rows."""
    rng = np.random.default_rng(seed)
    scores, table = counterfactuals.counterfactual_scores(
        lambda slices: rng.dirichlet(np.ones(4), len(slices)), names, pairs)
    assert len(table) == 6
    assert scores["lesion"] == (table.tumour > table.healthy).mean()
    assert 0 <= scores["detected"] <= min(scores["lesion"], (table.tumour >= .5).mean())
    assert 0 <= scores["frame"] <= 1


def test_a_constant_reader_is_moved_by_nothing(pairs):
    """Change no class, neither by a tumour nor by a frame."""
    always = lambda slices: np.tile([.1, .9], (len(slices), 1))
    scores, _ = counterfactuals.counterfactual_scores(always, ["notumor", "tumor"], pairs)
    assert scores == {"lesion": 0, "detected": 0, "frame": 1}


def test_a_pair_is_drawn_with_its_probabilities(pairs):
    """Draw three versions of each pair, with a number below each."""
    always = lambda slices: np.tile([.1, .9], (len(slices), 1))
    _, table = counterfactuals.counterfactual_scores(always, ["notumor", "tumor"], pairs)
    figure = counterfactuals.plot_counterfactuals(pairs, table, 4)
    assert len(figure.axes) == 12
    assert {axis.get_xlabel() for axis in figure.axes} == {"P(tumour) 0.90"}
