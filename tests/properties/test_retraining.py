"""Properties of brainclust.app.retraining."""

import os
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st
from strategies import FIFTH_OF_EXAMPLES, scan_tables, seeds

from brainclust.app import retraining


@FIFTH_OF_EXAMPLES
@given(scans=scan_tables(max_slices=6), seed=seeds())
def test_a_training_folder_holds_every_slice(scans, seed):
    """Write every slice with its patient and count its labels."""
    names = ["glioma", "meningioma", "notumor", "pituitary"]
    scans = scans.assign(patient=["=1+1", "a\rb", None, ""][seed % 4])
    labels = {scans.sha256.iloc[0]: "pituitary"}
    with tempfile.TemporaryDirectory() as folder:
        count = retraining.write_training_folder(Path(folder) / "data", scans, labels, names)
        table = pd.read_csv(Path(folder) / "data" / "labels.csv", keep_default_na=False)
        assert len(table) == len(scans)
        assert count == ((table.split == "train") & (table.label != "")).sum()
        assert (table.patient == (scans.patient.iloc[0] or "")).all()


@FIFTH_OF_EXAMPLES
@given(scans=scan_tables(max_slices=6), seed=seeds())
def test_a_training_folder_prefers_new_labels(scans, seed):
    """Write new labels over known ones, but for test slices, and link the files."""
    names = ["glioma", "meningioma", "notumor", "pituitary"]
    scans = scans.assign(patient=["=1+1", "a\rb", None, ""][seed % 4])
    labels = {scans.sha256.iloc[0]: "pituitary"}
    with tempfile.TemporaryDirectory() as folder:
        retraining.write_training_folder(Path(folder) / "data", scans, labels, names)
        table = pd.read_csv(Path(folder) / "data" / "labels.csv", keep_default_na=False)
        for row, scan in zip(table.itertuples(), scans.itertuples()):
            known = names[scan.label] if scan.label >= 0 else ""
            assert row.label == (known if scan.split == "test" else labels.get(scan.sha256, known))
            assert (os.path.islink(Path(folder) / "data" / row.path)
                    or (Path(folder) / "data" / row.path).exists())


@given(n=st.integers(0, 12), m=st.integers(0, 12), seed=seeds())
def test_gains_of_a_training_lie_in_their_intervals(n, m, seed):
    """Compare two runs with a gain and its interval."""
    rng = np.random.default_rng(seed)
    before, after = (pd.DataFrame({"right": rng.random(k) < 0.5, "group": rng.choice(["p", "q"], k),
                                   "clean": rng.random(k) < 0.7},
                                  index=[f"{i:064x}" for i in range(k)]) for k in (n, m))
    table = retraining.compare_predictions(before, after, 20)
    assert list(table) == ["test_slices", "slices", "before", "after", "gain", "low", "high"]
    for row in table.itertuples():
        assert row.gain == pytest.approx(row.after - row.before)
        assert row.low <= row.gain + 1e-9
        assert row.high >= row.gain - 1e-9


@given(n=st.integers(0, 12), m=st.integers(0, 12), seed=seeds())
def test_gains_are_measured_on_common_slices(n, m, seed):
    """Compare the slices of both runs, or none."""
    rng = np.random.default_rng(seed)
    before, after = (pd.DataFrame({"right": rng.random(k) < 0.5, "group": rng.choice(["p", "q"], k),
                                   "clean": rng.random(k) < 0.7},
                                  index=[f"{i:064x}" for i in range(k)]) for k in (n, m))
    table = retraining.compare_predictions(before, after, 20)
    assert (len(table) == 0) == (min(n, m) == 0)
    assert not len(table) or table.slices[0] == min(n, m)


@given(line=st.text(max_size=80))
def test_any_line_of_output_is_read_as_progress(line):
    """Read any line as text with a fraction done and a time left."""
    for text in (line, f"{line} 12%|█▏  | 10/80 [00:10<01:10, 3.1it/s]", f"{line} 500%|"):
        what, fraction, left = retraining.read_progress(text)
        assert isinstance(what, str)
        assert fraction is None or 0 <= fraction <= 1
        assert isinstance(left, str)
