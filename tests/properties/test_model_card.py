"""Properties of brainclust.runs.model_card."""

import numpy as np
import pandas as pd
import pytest
from examples import UNLIKELY_NAMES, finished_run, remove_labels
from hypothesis import given, strategies as st
from strategies import seeds

from brainclust.core.files import load_json
from brainclust.runs import model_card


@given(n=st.integers(0, 20), clean_fraction=st.sampled_from([0, 0.5, 1]), seed=seeds())
def test_accuracies_of_parts_count_every_slice(n, clean_fraction, seed):
    """Count every slice and every clean one."""
    rng = np.random.default_rng(seed)
    judged = pd.DataFrame({"y_true": rng.choice(["a", "b"], n), "y_pred": rng.choice(["a", "b"], n),
                           "group": rng.integers(0, 4, n), "clean": rng.random(n) < clean_fraction,
                           "source": rng.choice(UNLIKELY_NAMES, n)})
    table = model_card.accuracy_by(judged, "source", 20)
    assert list(table) == ["value", "slices", "accuracy", "low", "high", "clean_slices",
                           "clean_accuracy", "clean_low", "clean_high"]
    assert table.slices.sum() == n
    assert table.clean_slices.sum() == judged.clean.sum()


@given(n=st.integers(0, 20), clean_fraction=st.sampled_from([0, 0.5, 1]), seed=seeds())
def test_accuracies_of_parts_lie_in_their_intervals(n, clean_fraction, seed):
    """Enclose the accuracy of every part, NaN for no clean slices."""
    rng = np.random.default_rng(seed)
    judged = pd.DataFrame({"y_true": rng.choice(["a", "b"], n), "y_pred": rng.choice(["a", "b"], n),
                           "group": rng.integers(0, 4, n), "clean": rng.random(n) < clean_fraction,
                           "source": rng.choice(UNLIKELY_NAMES, n)})
    table = model_card.accuracy_by(judged, "source", 20)
    for row in table.itertuples():
        slices = judged[judged.source == row.value]
        assert row.accuracy == pytest.approx((slices.y_true == slices.y_pred).mean())
        assert row.low <= row.accuracy + 1e-9
        assert row.high >= row.accuracy - 1e-9
        assert np.isnan(row.clean_accuracy) == (row.clean_slices == 0)


@given(keys=st.lists(st.text(max_size=12), min_size=1, max_size=4, unique=True),
       values=st.lists(st.text(max_size=12), min_size=1, max_size=3))
def test_markdown_tables_have_a_line_per_row(keys, values):
    """Write one line per row with all its columns."""
    rows = [dict.fromkeys(keys, value) for value in values]
    lines = model_card.markdown_table(rows).split("\n")
    assert len(lines) == 2 + len(rows)
    assert {line.count("|") for line in lines} == {len(keys) + 1}
    assert model_card.markdown_table([]) == ""


def test_a_card_of_a_run_without_clean_slices_is_written(tmp_path):
    """Write the card of a run without clean slices."""
    none_clean = finished_run(tmp_path / "a", "glioma", clean=False)
    assert not model_card.judged_slices(none_clean).clean.any()
    assert "| glioma | 3 |" in model_card.model_card(none_clean)


def test_a_card_of_a_run_without_labels_states_it(tmp_path):
    """State that labels are missing and that nothing is calibrated."""
    none_clean = finished_run(tmp_path / "a", "glioma", clean=False)
    record = load_json(none_clean / "run.json")
    remove_labels(none_clean)
    methods = pd.read_csv(none_clean / "tables" / "methods.csv").set_index("method")
    assert model_card.results_section(none_clean, record, methods)[-1].startswith("Without labels")
    assert "not calibrated" in model_card.trust_section(none_clean, record)[-1]
