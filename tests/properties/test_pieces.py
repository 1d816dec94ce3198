"""Properties of brainclust.app.pieces."""

import json
import re

import pandas as pd
import pytest
from assertions import harmless
from examples import UNLIKELY_NAMES, finished_run, remove_labels, stub_workbench
from house import ROOT
from hypothesis import given, strategies as st
from strategies import seeds

from brainclust.app import pieces, retraining
from brainclust.core.files import save_json
from brainclust.runs import run as run_module


@given(n=st.integers(1, 15), named=st.booleans(), seed=seeds(), classes=st.sampled_from((1, 4, 40)))
def test_map_content_holds_every_mapped_slice(n, named, seed, classes):
    """Send every mapped slice, with its colours, as strict JSON."""
    bench = stub_workbench(n, named, seed, classes)
    (bench.run / "tables").mkdir()
    pd.DataFrame(
        {
            "path": bench.collection.table.path,
            "label_error": True,
            "given": UNLIKELY_NAMES[6],
            "suggested": UNLIKELY_NAMES[6],
        }
    ).to_csv(bench.run / "tables" / "label_errors.csv", index=False)
    save_json(bench.run / "run.json", {"files": run_module.written_files(bench.run)})
    content = pieces.map_content(bench)
    on = bench.collection.table.x.notna().sum()
    assert json.dumps(content, allow_nan=False)
    assert content["slices"] == n
    assert all(len(content[name]) == on for name in ("rows", "x", "y", "words", "names"))
    for choice in content["choices"]:
        assert len(choice["names"]) == len(choice["colours"])
        assert all(0 <= value < len(choice["names"]) for value in choice["values"])
        assert len(choice["values"]) == on


@given(n=st.integers(1, 15), named=st.booleans(), seed=seeds(), classes=st.sampled_from((1, 4, 40)))
def test_map_colours_hold_every_slice(n, named, seed, classes):
    """Give every slice a colour of each choice."""
    bench = stub_workbench(n, named, seed, classes)
    (bench.run / "tables").mkdir()
    pd.DataFrame(
        {
            "path": bench.collection.table.path,
            "label_error": True,
            "given": UNLIKELY_NAMES[6],
            "suggested": UNLIKELY_NAMES[6],
        }
    ).to_csv(bench.run / "tables" / "label_errors.csv", index=False)
    save_json(bench.run / "run.json", {"files": run_module.written_files(bench.run)})
    for choice in pieces.map_colours(bench):
        assert len(choice["values"]) == n
        assert re.fullmatch(r"(#[0-9A-F]{6})*", "".join(choice["colours"]))


@given(fraction=st.floats(allow_nan=False, min_value=0, max_value=10))
def test_a_meter_lies_between_zero_and_a_hundred(fraction):
    """Limit the meter of a training to 0 to 100 per cent."""
    page = pieces.training_html({"state": "running", "step": UNLIKELY_NAMES[6],
                                 "fraction": fraction, "left": UNLIKELY_NAMES[6]})
    harmless(page)
    assert 0 <= int(re.search(r'aria-valuenow="(\d+)"', page)[1]) <= 100


@pytest.mark.parametrize("progress", [
    {"state": "none"}, {"state": "stopped"}, {"state": "refused", "reason": UNLIKELY_NAMES[6]},
    {"state": "failed", "reason": UNLIKELY_NAMES[6], "log": UNLIKELY_NAMES[6]}])
def test_the_end_of_a_training_is_escaped(progress):
    """Escape the reason and the log of a training that has ended."""
    harmless(pieces.training_html(progress))


def test_every_template_is_filled_by_a_test():
    """Fill each template with an unlikely name: in a test of this room or of the audit."""
    filled = {"banner", "check", "check_alert", "check_done", "check_notice", "goal", "groups",
              "label", "label_errors", "pairs", "reading", "refusal", "training"}
    without_names = {"head", "map", "parts"}  # filled from the package's own files only
    found = {path.stem for path in (ROOT / "brainclust/app/templates").iterdir()}
    assert found == filled | without_names
    assert {path.stem for path in (ROOT / "brainclust/data/templates").iterdir()} == {
        "audit", "audit_parts"}


def gains_html(before, after) -> str:
    """Return the HTML of a training's gains, read from two run directories."""
    gains = retraining.compare_predictions(retraining.read_test_predictions(before),
                                           retraining.read_test_predictions(after))
    return pieces.training_html(
        {"state": "taken up", "labels": 3, "gains": gains.to_dict("records")})


def test_gains_of_a_training_are_described(tmp_path):
    """Describe the accuracy before and after a training."""
    before = finished_run(tmp_path / "a", UNLIKELY_NAMES[6])
    after = finished_run(tmp_path / "b", UNLIKELY_NAMES[6])
    assert len(retraining.read_test_predictions(before)) == 6
    page = gains_html(before, after)
    harmless(page)
    assert "50.0% before, 50.0% after" in page
    assert page.count("<tr>") == 3


def test_a_gain_without_labels_is_not_stated(tmp_path):
    """State that a gain without labels is unknown."""
    before = finished_run(tmp_path / "a", UNLIKELY_NAMES[6])
    after = finished_run(tmp_path / "b", UNLIKELY_NAMES[6])
    remove_labels(after)
    assert "their gain is unknown" in gains_html(before, after)
