"""Invalid and damaged input for brainclust.runs.evaluation."""

import numpy as np
import pandas as pd
from assertions import refused
from hypothesis import assume, given, strategies as st
from strategies import run_outputs, seeds

from brainclust.runs import evaluation


@given(part=run_outputs())
def test_claims_of_other_predictions_are_refused(part):
    """Refuse predictions of another length."""
    scans, outputs, alone, names = part
    n = len(scans)
    table = evaluation.prediction_table(scans, outputs, alone, names)
    clusters = np.random.default_rng(n).integers(0, 3, n)
    comparison = evaluation.compare_methods(table, {"k_means": clusters}, 20)
    history = pd.DataFrame({"epoch": [1, 2], "test_accuracy": [0.5, np.nan],
                            "test_accuracy_hungarian": 0.5, "nmi": 0.1, "ari": 0.1,
                            "silhouette": [0.2, 0.3]})
    assume(not np.isnan(outputs["clusters"]).any() and (scans.true_label >= 0).any())
    best = np.array(names)[outputs["head"].argmax(axis=1)]
    refused(evaluation.claims_table, history, table, best[1:], comparison, names)


@given(part=run_outputs(min_slices=2))
def test_outputs_of_other_slices_are_refused(part):
    """Refuse outputs of another number of slices, classes or clusters."""
    scans, outputs, alone, names = part
    wider = np.zeros((len(scans), len(names) + 1))
    for changed in ({"head": outputs["head"][1:]}, {"head": wider}, {"clusters": wider},
                    {"clusters": outputs["clusters"][:, 0]},
                    {"responsibilities": outputs["responsibilities"][1:]},
                    {"responsibilities": outputs["responsibilities"] * np.nan}):
        refused(evaluation.prediction_table, scans, outputs | changed, alone, names)
    refused(evaluation.prediction_table, scans, outputs, outputs["head"][1:], names)


@given(part=run_outputs(min_slices=2))
def test_labels_that_are_not_classes_are_refused(part):
    """Refuse labels that are not classes of the run."""
    scans, outputs, alone, names = part
    for label in (-2, len(names)):
        refused(evaluation.check_outputs, scans.assign(true_label=label), outputs, alone, names)


@given(part=run_outputs(min_slices=2))
def test_clusters_that_do_not_fit_are_refused(part):
    """Refuse clusters of another shape or that are not ids."""
    scans, outputs, alone, names = part
    table = evaluation.prediction_table(scans, outputs, alone, names)
    for clusters in (np.zeros(len(scans) + 1, int), np.zeros((len(scans), 2), int)):
        refused(evaluation.compare_methods, table, {"k_means": clusters}, 5)
    known = table.assign(y_true=names[0])
    for clusters in (
        np.full(len(scans), -1),
        np.full(len(scans), 0.5),
        np.full(len(scans), np.nan),
    ):
        refused(evaluation.compare_methods, known, {"k_means": clusters}, 5)


@given(n=st.integers(1, 30), k=st.integers(1, 5), c=st.integers(1, 5), seed=seeds())
def test_clusters_that_cannot_be_matched_are_refused(n, k, c, seed):
    """Refuse unequal, hidden and fractional labels."""
    clusters = np.random.default_rng(seed).integers(0, k, n)
    truth = np.random.default_rng(seed + 1).integers(0, c, n)
    for wrong in (truth[:0], truth[1:], truth - 1 - truth.max(), truth * 1.0, truth[None]):
        refused(evaluation.best_matching, wrong, clusters)
