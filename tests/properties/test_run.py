"""Properties of brainclust.runs.run."""

import json

import numpy as np
import pandas as pd
from examples import UNLIKELY_FILES, UNLIKELY_NAMES, StubRun, class_names
from hypothesis import given, strategies as st
from matplotlib.figure import Figure
from strategies import seeds

from brainclust.runs import run as run_module, training_figures


@given(n=st.integers(1, 12), removed=st.integers(0, 12), seed=seeds())
def test_described_data_count_every_slice(n, removed, seed):
    """Count every slice, removed slice, label and clean test slice, as JSON."""
    rng = np.random.default_rng(seed)
    names = class_names(4)
    scans = pd.DataFrame({"split": rng.choice(["train", "test"], n),
                          "sha256": [f"{k:064x}" for k in range(n)],
                          "true_label": rng.integers(-1, 4, n), "label": rng.integers(-1, 4, n),
                          "clean": rng.random(n) < 0.5})
    left = pd.DataFrame({"reason": [["blank", "conflict: a, b", "<b>"][k % 3] for k
                                    in range(removed)]}, dtype=object)
    found = run_module.describe_data(scans, left, names)
    assert found["slices"] == n == sum(sum(counts.values()) for counts in found["counts"].values())
    assert sum(found["removed"].values()) == removed
    assert found["labelled"] == (scans.label >= 0).sum()
    assert found["clean_test"] == (scans.clean & (scans.split == "test")).sum()
    assert json.dumps(found)


@given(n=st.integers(1, 12), removed=st.integers(0, 12), seed=seeds())
def test_the_hash_of_the_data_ignores_the_order_of_rows(n, removed, seed):
    """Hash the data the same in any order."""
    rng = np.random.default_rng(seed)
    names = class_names(4)
    scans = pd.DataFrame({"split": rng.choice(["train", "test"], n),
                          "sha256": [f"{k:064x}" for k in range(n)],
                          "true_label": rng.integers(-1, 4, n), "label": rng.integers(-1, 4, n),
                          "clean": rng.random(n) < 0.5})
    left = pd.DataFrame({"reason": [["blank", "conflict: a, b", "<b>"][k % 3] for k
                                    in range(removed)]}, dtype=object)
    found = run_module.describe_data(scans, left, names)
    assert found["hash"] == run_module.describe_data(scans[::-1], left, names)["hash"]


@given(
    value=st.recursive(
        st.one_of(
            st.none(),
            st.booleans(),
            st.floats(),
            st.integers(),
            st.text(max_size=5),
            st.sampled_from([np.float32("nan"), np.int64(3), np.bool_(True), np.float64("inf")]),
        ),
        lambda inner: st.one_of(
            st.lists(inner, max_size=4),
            st.dictionaries(st.one_of(st.text(max_size=3), st.integers()), inner, max_size=4),
            st.tuples(inner, inner),
        ),
        max_leaves=12,
    )
)
def test_records_have_no_nan(value):
    """Replace NaN so that a record is strict JSON."""
    clean = run_module.without_nan(value)
    assert json.loads(json.dumps(clean, allow_nan=False)) == clean or isinstance(value, tuple)


def test_an_added_table_is_written_whole(tmp_path):
    """Write a table with unlikely names and return it."""
    run = StubRun(folder=tmp_path, artefacts={})
    table = pd.DataFrame({"path": UNLIKELY_FILES, "n": range(len(UNLIKELY_FILES))})
    assert run_module.add_table(run, "names", table, "Names") is table
    assert pd.read_csv(tmp_path / "tables" / "names.csv").path.tolist() == UNLIKELY_FILES


def test_an_added_figure_is_an_artefact(tmp_path):
    """Write a figure and list it beside its table."""
    run = StubRun(folder=tmp_path, artefacts={})
    table = pd.DataFrame({"path": UNLIKELY_FILES, "n": range(len(UNLIKELY_FILES))})
    assert run_module.add_table(run, "names", table, "Names") is table
    figure = run_module.add_figure(run, "seconds",
                                   training_figures.plot_seconds({UNLIKELY_NAMES[4]: 1.0}), table,
                                   UNLIKELY_NAMES[4])
    assert isinstance(figure, Figure)
    assert (tmp_path / "figures" / "seconds.png").exists()
    assert set(run.artefacts) == {"tables/names.csv", "figures/seconds.png"}
