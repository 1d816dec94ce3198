"""Properties of brainclust.runs.evaluation."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st
from strategies import run_outputs, seeds

from brainclust.runs import evaluation, run as run_module


@given(part=run_outputs())
def test_a_prediction_table_has_the_documented_columns(part):
    """Write truth, predictions and clusters of every test slice."""
    scans, outputs, alone, names = part
    n = len(scans)
    truth = scans.true_label.to_numpy()
    table = evaluation.prediction_table(scans, outputs, alone, names)
    assert list(table) == ["path", "y_true", "y_pred", "y_pred_clusters",
                           "y_pred_supervised_baseline", "cluster", "group", "clean",
                           *(f"prob_{name}" for name in names)]
    assert table.y_true.tolist() == [names[label] if label >= 0 else "" for label in truth]
    assert (table.cluster == outputs["responsibilities"].argmax(axis=1)).all()
    unlabelled = np.isnan(outputs["clusters"]).any()
    assert table.y_pred.tolist() == (
        [""] * n if unlabelled else [names[k] for k in outputs["head"].argmax(axis=1)]
    )


@given(part=run_outputs())
def test_compared_methods_are_scored(part):
    """Score every method that predicts, and none without known labels."""
    scans, outputs, alone, names = part
    n = len(scans)
    truth = scans.true_label.to_numpy()
    table = evaluation.prediction_table(scans, outputs, alone, names)
    unlabelled = np.isnan(outputs["clusters"]).any()
    clusters = np.random.default_rng(n).integers(0, 3, n)
    comparison = evaluation.compare_methods(table, {"k_means": clusters}, 20)
    assert list(comparison) == ["method", *evaluation.SCORES]
    known = truth >= 0
    if known.any():
        rows = comparison.set_index("method")
        assert set(rows.index) == {
            "k_means",
            *(
                ["clusters (best matching)"]
                if unlabelled
                else ["clusters", "head", *(["supervised_baseline"] if alone is not None else [])]
            ),
        }
    else:
        assert len(comparison) == 0


@given(part=run_outputs())
def test_the_accuracy_of_the_head_is_its_hit_rate(part):
    """Score the head by its hit rate, on all and on clean slices."""
    scans, outputs, alone, names = part
    n = len(scans)
    truth = scans.true_label.to_numpy()
    table = evaluation.prediction_table(scans, outputs, alone, names)
    unlabelled = np.isnan(outputs["clusters"]).any()
    clusters = np.random.default_rng(n).integers(0, 3, n)
    comparison = evaluation.compare_methods(table, {"k_means": clusters}, 20)
    known = truth >= 0
    if known.any():
        rows = comparison.set_index("method")
        if not unlabelled:
            right = (outputs["head"].argmax(axis=1) == truth)[known]
            assert (rows.accuracy["head"] == pytest.approx(right.mean())
                    == evaluation.score_method("head", right, table[known], 5)["accuracy"])
            clean = right[scans.clean[known]]
            assert rows.clean_accuracy["head"] == pytest.approx(
                clean.mean() if len(clean) else np.nan, nan_ok=True
            )


@given(part=run_outputs())
def test_score_intervals_hold_the_accuracy(part):
    """Enclose every accuracy by its interval."""
    scans, outputs, alone, names = part
    n = len(scans)
    truth = scans.true_label.to_numpy()
    table = evaluation.prediction_table(scans, outputs, alone, names)
    clusters = np.random.default_rng(n).integers(0, 3, n)
    comparison = evaluation.compare_methods(table, {"k_means": clusters}, 20)
    known = truth >= 0
    if known.any():
        rows = comparison.set_index("method")
        for prefix in ("", "clean_"):
            measured = rows[rows[f"{prefix}accuracy"].notna()]
            assert (measured[f"{prefix}low"] <= measured[f"{prefix}accuracy"] + 1e-9).all()
            assert (measured[f"{prefix}high"] >= measured[f"{prefix}accuracy"] - 1e-9).all()


@given(part=run_outputs())
def test_tidy_methods_have_two_rows_a_method(part):
    """List the given and the clean test set of every method."""
    scans, outputs, alone, names = part
    n = len(scans)
    table = evaluation.prediction_table(scans, outputs, alone, names)
    clusters = np.random.default_rng(n).integers(0, 3, n)
    comparison = evaluation.compare_methods(table, {"k_means": clusters}, 20)
    tidy = evaluation.tidy_methods(comparison)
    assert len(tidy) == 2 * len(comparison)
    assert list(tidy) == ["method", "accuracy", "low", "high", "test_set"]


@given(part=run_outputs())
def test_a_summary_is_json_with_every_method(part):
    """Summarise the last epoch and every method as JSON."""
    scans, outputs, alone, names = part
    n = len(scans)
    table = evaluation.prediction_table(scans, outputs, alone, names)
    clusters = np.random.default_rng(n).integers(0, 3, n)
    comparison = evaluation.compare_methods(table, {"k_means": clusters}, 20)
    history = pd.DataFrame({"epoch": [1, 2], "test_accuracy": [0.5, np.nan],
                            "test_accuracy_hungarian": 0.5, "nmi": 0.1, "ari": 0.1,
                            "silhouette": [0.2, 0.3]})
    results = evaluation.summarise(history, table, comparison, 20)
    assert results["epoch"] == 2
    assert json.dumps(run_module.without_nan(results))
    assert set(results["intervals"]) == set(comparison.method)


@given(part=run_outputs())
def test_claims_are_compared_with_honest_numbers(part):
    """Compare every claim with the reproduced and the honest number."""
    scans, outputs, alone, names = part
    n = len(scans)
    truth = scans.true_label.to_numpy()
    table = evaluation.prediction_table(scans, outputs, alone, names)
    unlabelled = np.isnan(outputs["clusters"]).any()
    clusters = np.random.default_rng(n).integers(0, 3, n)
    comparison = evaluation.compare_methods(table, {"k_means": clusters}, 20)
    known = truth >= 0
    history = pd.DataFrame({"epoch": [1, 2], "test_accuracy": [0.5, np.nan],
                            "test_accuracy_hungarian": 0.5, "nmi": 0.1, "ari": 0.1,
                            "silhouette": [0.2, 0.3]})
    if unlabelled or not known.any(): return
    best = np.array(names)[outputs["head"].argmax(axis=1)]
    claims = evaluation.claims_table(history, table, best, comparison, names)
    assert list(claims) == ["claim", "claimed", "reproduced", "honest", "low", "high"]
    assert len(claims) == 5 + len(names)
    rows = claims.set_index("claim")
    assert rows.reproduced["accuracy"] == pytest.approx((best == table.y_true)[known].mean())
    assert rows.honest["accuracy"] == pytest.approx(
        comparison.set_index("method").clean_accuracy["head"], nan_ok=True
    )
    assert len(evaluation.tidy_claims(claims)) == 3 * len(claims)


@given(n=st.integers(1, 30), k=st.integers(1, 5), c=st.integers(1, 5), seed=seeds())
def test_the_best_matching_is_one_to_one(n, k, c, seed):
    """Match every cluster to one class."""
    clusters = np.random.default_rng(seed).integers(0, k, n)
    truth = np.random.default_rng(seed + 1).integers(0, c, n)
    right = evaluation.best_matching(truth, clusters)
    assert right.dtype == bool
    assert right.shape == (n,)
    pairs = {(a, b) for a, b in zip(clusters[right], truth[right])}
    assert len({a for a, _ in pairs}) == len({b for _, b in pairs}) == len(pairs)  # one to one


@given(n=st.integers(1, 30), k=st.integers(1, 5), c=st.integers(1, 5), seed=seeds())
def test_the_best_matching_beats_a_single_match(n, k, c, seed):
    """Match at least as many slices as the best pair of cluster and class."""
    clusters = np.random.default_rng(seed).integers(0, k, n)
    truth = np.random.default_rng(seed + 1).integers(0, c, n)
    right = evaluation.best_matching(truth, clusters)
    assert (right.mean() >= max(np.bincount(truth[clusters == a]).max() for a
                                in np.unique(clusters)) / n - 1e-12)


@given(n=st.integers(1, 30), c=st.integers(1, 5), seed=seeds())
def test_a_perfect_matching_is_found(n, c, seed):
    """Match every slice where the clusters are the classes."""
    truth = np.random.default_rng(seed + 1).integers(0, c, n)
    assert evaluation.best_matching(truth, truth).all()


@given(n=st.integers(1, 30), k=st.integers(1, 5), c=st.integers(1, 5), seed=seeds())
def test_the_best_matching_ignores_cluster_names(n, k, c, seed):
    """Match as many slices after renaming the clusters."""
    clusters = np.random.default_rng(seed).integers(0, k, n)
    truth = np.random.default_rng(seed + 1).integers(0, c, n)
    right = evaluation.best_matching(truth, clusters)
    assert evaluation.best_matching(truth, k - 1 - clusters).mean() == right.mean()


def test_macro_scores_of_ten_thousand_classes_are_computed():
    """Score 10,000 classes that are all predicted correctly."""
    n = 12_000
    names = [f"class {k}" for k in range(10_000)]
    truth = np.arange(n) % 10_000
    scores = evaluation.macro_scores(np.array(names)[truth], np.array(names)[truth], names)
    assert len(scores) == 10_001
    assert set(scores.values()) == {1.0}


def test_macro_scores_of_no_slices_are_nan():
    """Return NaN without slices."""
    names = [f"class {k}" for k in range(10_000)]
    assert all(
        np.isnan(value)
        for value in evaluation.macro_scores(np.array([]), np.array([]), names[:2]).values()
    )


@given(epochs=st.lists(st.booleans(), min_size=1, max_size=6), unmeasured=st.booleans())
def test_teachers_are_listed_where_they_taught(epochs, unmeasured):
    """List a row per teacher of every epoch that gave pseudo-labels."""
    history = pd.DataFrame({"epoch": np.arange(len(epochs)) + 1})
    for name in ("head", "mixture", "both"):
        for score in ("accuracy", "counted", "counted_accuracy"):
            unknown = unmeasured and score != "counted"  # as where no true class is known
            history[f"teacher_{name}_{score}"] = [
                .5 if taught and not unknown else np.nan for taught in epochs]
    table = evaluation.teacher_table(history)
    assert table.epoch.tolist() == [epoch for epoch, taught in enumerate(epochs, 1) if taught
                                    for _ in range(3)]
    assert not len(table) or set(table.teacher) == {"head", "mixture", "both"}
    assert not len(evaluation.teacher_table(history[["epoch"]]))
