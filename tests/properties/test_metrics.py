"""Properties of brainclust.core.metrics."""

import math

import numpy as np
import pytest
from assertions import accepted, sum_to_one
from hypothesis import assume, given, strategies as st
from strategies import LAYOUTS, class_ids, points, probabilities, seeds, with_layout

from brainclust.core import metrics


@given(data=st.data())
def test_hungarian_accuracy_of_unknown_labels_is_nan(data):
    """Return NaN where no label is known."""
    n = data.draw(st.integers(1, 60))
    k = data.draw(st.sampled_from([1, 2, 5, 10_000]))
    labels = data.draw(class_ids(n, k))
    clusters = data.draw(class_ids(n, k, hidden=False))
    value = metrics.hungarian_accuracy(labels, clusters)
    known = labels >= 0
    if not known.any():
        assert math.isnan(value)
        return


@given(data=st.data())
def test_hungarian_accuracy_beats_the_majority_class(data):
    """Lie between the fraction of the majority class, for one cluster, and one."""
    n = data.draw(st.integers(1, 60))
    k = data.draw(st.sampled_from([1, 2, 5, 10_000]))
    labels = data.draw(class_ids(n, k))
    clusters = data.draw(class_ids(n, k, hidden=False))
    value = metrics.hungarian_accuracy(labels, clusters)
    known = labels >= 0
    if not known.any(): return
    assert (max(np.unique(labels[known], return_counts=True)[1].max() if k == 1 else 0,
                0) / known.sum() <= value <= 1)


@given(data=st.data())
def test_hungarian_accuracy_ignores_cluster_names(data):
    """Return the same accuracy after renaming the clusters."""
    n = data.draw(st.integers(1, 60))
    k = data.draw(st.sampled_from([1, 2, 5, 10_000]))
    labels = data.draw(class_ids(n, k))
    assume((labels >= 0).any())
    clusters = data.draw(class_ids(n, k, hidden=False))
    value = metrics.hungarian_accuracy(labels, clusters)
    renaming = np.random.default_rng(n).permutation(k)
    assert metrics.hungarian_accuracy(labels, renaming[clusters]) == value


@given(data=st.data())
def test_hungarian_accuracy_ignores_memory_layout(data):
    """Return the same accuracy for any memory layout and integer type."""
    n = data.draw(st.integers(1, 60))
    k = data.draw(st.sampled_from([1, 2, 5, 10_000]))
    labels = data.draw(class_ids(n, k))
    assume((labels >= 0).any())
    clusters = data.draw(class_ids(n, k, hidden=False))
    value = metrics.hungarian_accuracy(labels, clusters)
    assert (metrics.hungarian_accuracy(with_layout(labels, "reversed"),
                                       with_layout(clusters.astype(np.uint16), "strided"))
            == value)


@given(data=st.data())
def test_a_perfect_clustering_has_accuracy_one(data):
    """Return one where the clusters are the labels."""
    n = data.draw(st.integers(1, 60))
    k = data.draw(st.sampled_from([1, 2, 5, 10_000]))
    labels = data.draw(class_ids(n, k))
    known = labels >= 0
    if not known.any(): return
    assert metrics.hungarian_accuracy(labels, np.where(known, labels, 0)) == 1


@given(data=st.data())
def test_hungarian_accuracy_ignores_unknown_labels(data):
    """Leave slices without a known label out."""
    n = data.draw(st.integers(1, 60))
    k = data.draw(st.sampled_from([1, 2, 5, 10_000]))
    labels = data.draw(class_ids(n, k))
    assume((labels >= 0).any())
    clusters = data.draw(class_ids(n, k, hidden=False))
    value = metrics.hungarian_accuracy(labels, clusters)
    # the unknown do not count
    assert metrics.hungarian_accuracy(np.append(labels, -1), np.append(clusters, 0)) == value


@given(data=st.data())
def test_partition_scores_lie_in_their_ranges(data):
    """Keep NMI in [0, 1] and ARI in [-0.5, 1]."""
    n = data.draw(st.integers(1, 60))
    k = data.draw(st.sampled_from([1, 2, 5, 10_000]))
    labels = data.draw(class_ids(n, k))
    assume((labels >= 0).any())
    clusters = data.draw(class_ids(n, k, hidden=False))
    scores = metrics.partition_scores(labels, clusters)
    assert -1e-9 <= scores["nmi"] <= 1 + 1e-9
    assert -0.5 - 1e-9 <= scores["ari"] <= 1 + 1e-9


@given(data=st.data())
def test_a_silhouette_needs_embeddings(data):
    """Return a NaN silhouette without embeddings."""
    n = data.draw(st.integers(1, 60))
    k = data.draw(st.sampled_from([1, 2, 5, 10_000]))
    labels = data.draw(class_ids(n, k))
    assume((labels >= 0).any())
    clusters = data.draw(class_ids(n, k, hidden=False))
    scores = metrics.partition_scores(labels, clusters)
    assert math.isnan(scores["silhouette"])


@given(data=st.data())
def test_partition_scores_ignore_cluster_names(data):
    """Return the same NMI and ARI after renaming the clusters."""
    n = data.draw(st.integers(1, 60))
    k = data.draw(st.sampled_from([1, 2, 5, 10_000]))
    labels = data.draw(class_ids(n, k))
    assume((labels >= 0).any())
    clusters = data.draw(class_ids(n, k, hidden=False))
    renaming = np.random.default_rng(n).permutation(k)
    scores = metrics.partition_scores(labels, clusters)
    again = metrics.partition_scores(labels, renaming[clusters])
    assert np.isclose(again["nmi"], scores["nmi"])
    assert np.isclose(again["ari"], scores["ari"])


@given(data=st.data())
def test_a_contingency_table_counts_known_labels(data):
    """Count every slice with a known label once."""
    n = data.draw(st.integers(0, 40))
    k = data.draw(st.integers(1, 6))
    c = data.draw(st.integers(1, 6))
    clusters = data.draw(class_ids(n, k, hidden=False))
    labels = data.draw(class_ids(n, c))
    counts = metrics.contingency(clusters, labels, k, c)
    assert counts.shape == (k, c)
    assert counts.sum() == (labels >= 0).sum()
    assert (counts >= 0).all()


@given(data=st.data())
def test_clusters_map_to_classes(data):
    """Map every cluster to one class."""
    n = data.draw(st.integers(0, 40))
    k = data.draw(st.integers(1, 6))
    c = data.draw(st.integers(1, 6))
    clusters = data.draw(class_ids(n, k, hidden=False))
    labels = data.draw(class_ids(n, c))
    counts = metrics.contingency(clusters, labels, k, c)
    mapping = metrics.map_clusters(counts)
    assert mapping.shape == (k,)
    assert ((mapping >= 0) & (mapping < c)).all()
    matched = np.unique(mapping[counts[np.arange(k), mapping] > 0])
    assert len(matched) >= min((counts.sum(axis=1) > 0).any(), 1)


@given(data=st.data())
def test_majority_mapping_is_at_least_as_accurate_as_matching(data):
    """Reach at least the accuracy of the one-to-one matching."""
    n = data.draw(st.integers(0, 40))
    k = data.draw(st.integers(1, 6))
    c = data.draw(st.integers(1, 6))
    clusters = data.draw(class_ids(n, k, hidden=False))
    labels = data.draw(class_ids(n, c))
    counts = metrics.contingency(clusters, labels, k, c)
    mapping = metrics.map_clusters(counts)
    # as a classifier it is at least as good as one to one
    right = counts[np.arange(k), mapping].sum()
    assert (not counts.sum() or right / counts.sum() >= metrics.hungarian_accuracy(labels, clusters)
            - 1e-12)


@given(data=st.data())
def test_class_probabilities_sum_to_one(data):
    """Sum responsibilities to class probabilities that sum to one."""
    n = data.draw(st.integers(0, 40))
    k = data.draw(st.integers(1, 6))
    c = data.draw(st.integers(1, 6))
    clusters = data.draw(class_ids(n, k, hidden=False))
    labels = data.draw(class_ids(n, c))
    counts = metrics.contingency(clusters, labels, k, c)
    mapping = metrics.map_clusters(counts)
    gamma = data.draw(probabilities(k=k))
    classes = metrics.class_probabilities(gamma, mapping, c)
    assert classes.shape == (len(gamma), c)
    assert sum_to_one(classes)


@given(data=st.data())
def test_a_silhouette_lies_between_minus_one_and_one(data):
    """Return a silhouette in [-1, 1], or NaN for a single cluster or one slice a cluster."""
    x = data.draw(points(min_points=3))
    clusters = data.draw(class_ids(len(x), 3, hidden=False))
    value = metrics.partition_scores(np.full(len(x), -1), clusters, x)["silhouette"]
    assert (-1 <= value <= 1) if 1 < len(set(clusters)) < len(x) else math.isnan(value)


@given(data=st.data())
def test_a_silhouette_ignores_memory_layout(data):
    """Return the same silhouette for any memory layout."""
    x = data.draw(points(min_points=3))
    clusters = data.draw(class_ids(len(x), 3, hidden=False))
    value = metrics.partition_scores(np.full(len(x), -1), clusters, x)["silhouette"]
    assert np.array_equal(metrics.partition_scores(np.full(len(x), -1), clusters,
                                                   np.ascontiguousarray(x))["silhouette"], value,
                          equal_nan=True)


@given(data=st.data())
def test_a_class_table_has_a_row_per_class_and_a_mean(data):
    """List every class with its support, then the macro mean."""
    n = data.draw(st.integers(0, 40))
    c = data.draw(st.sampled_from([1, 2, 5, 1000]))
    labels = data.draw(class_ids(n, c, hidden=False))
    predictions = data.draw(class_ids(n, c))
    table = metrics.class_table(labels, predictions, tuple(map(str, range(c))))
    assert len(table) == c + 1
    assert table.class_name.iloc[-1] == "macro mean"
    assert table.support.iloc[-1] == n == table.support[:-1].sum()


@given(data=st.data())
def test_precision_recall_and_f1_lie_between_zero_and_one(data):
    """Keep precision, recall and F1 in [0, 1]."""
    n = data.draw(st.integers(0, 40))
    c = data.draw(st.sampled_from([1, 2, 5, 1000]))
    labels = data.draw(class_ids(n, c, hidden=False))
    predictions = data.draw(class_ids(n, c))
    table = metrics.class_table(labels, predictions, tuple(map(str, range(c))))
    assert table[["precision", "recall", "f1"]].apply(lambda v: v.between(0, 1)).all(axis=None)


@given(data=st.data())
def test_a_confusion_matrix_counts_every_slice(data):
    """Count every slice once, the correct ones on the diagonal."""
    n = data.draw(st.integers(0, 40))
    c = data.draw(st.sampled_from([1, 2, 5, 1000]))
    labels = data.draw(class_ids(n, c, hidden=False))
    predictions = data.draw(class_ids(n, c))
    predictions = np.maximum(predictions, 0)
    counts = metrics.confusion(labels, predictions, c)
    assert counts.shape == (c, c)
    assert counts.sum() == n
    assert np.trace(counts) == (labels == predictions).sum()


@given(data=st.data())
def test_intervals_hold_the_estimate(data):
    """Enclose the estimate by the ends of its interval, or leave them NaN without draws."""
    n = data.draw(st.integers(0, 60))
    draws = data.draw(st.sampled_from([0, 200]))
    rng = np.random.default_rng(data.draw(seeds()))
    right = rng.random(n) < data.draw(st.sampled_from([0, 0.1, 0.5, 1]))
    other = rng.random(n) < 0.5
    groups = data.draw(st.sampled_from([None, "one", "own", "text", "nan"]))
    groups = {None: None, "one": np.zeros(n), "own": np.arange(n),
              "text": rng.choice(["", "a", "ü"], n), "nan": np.where(right, np.nan, 1.0)}[groups]
    for value, low, high in (metrics.accuracy_interval(right, groups, draws),
                             metrics.difference_interval(right, other, groups, draws)):
        if not n:
            assert math.isnan(value)
        else:
            if not draws:
                assert math.isnan(low)
                assert math.isnan(high)
                assert -1 <= value <= 1
            else:
                assert -1 <= low <= value <= high <= 1


@given(data=st.data())
def test_f1_intervals_hold_the_estimate(data):
    """Enclose F1 by the ends of its interval; NaN where the class never occurs."""
    n = data.draw(st.integers(0, 60))
    draws = data.draw(st.sampled_from([0, 200]))
    rng = np.random.default_rng(data.draw(seeds()))
    right = rng.random(n) < data.draw(st.sampled_from([0, 0.1, 0.5, 1]))
    other = rng.random(n) < 0.5
    groups = data.draw(st.sampled_from([None, "one", "own", "text", "nan"]))
    groups = {None: None, "one": np.zeros(n), "own": np.arange(n),
              "text": rng.choice(["", "a", "ü"], n), "nan": np.where(right, np.nan, 1.0)}[groups]
    if n and draws:
        f1 = metrics.f1_interval(right.astype(int), other.astype(int), 1,
                                 np.arange(n) if groups is None else groups, draws)
        assert np.isnan(f1[0]) == (not right.any() and not other.any())
        assert np.isnan(f1[0]) or 0 <= f1[1] <= f1[0] + 1e-12 and f1[0] <= f1[2] + 1e-12 <= 1 + 1e-9


@given(n=st.integers(1, 12), seed=seeds(), draws=st.sampled_from([0, 20]))
def test_ratio_intervals_ignore_memory_layout(n, seed, draws):
    """Return the same interval for any memory layout."""
    rng = np.random.default_rng(seed)
    denominators = rng.integers(0, 3, n)
    numerators = denominators * rng.random(n)
    groups = np.arange(n) // 2
    found = metrics.ratio_interval(numerators, denominators, groups, draws)
    assert found == pytest.approx(
        metrics.ratio_interval(
            with_layout(numerators, "reversed"),
            with_layout(denominators, "reversed"),
            groups,
            draws,
        ),
        nan_ok=True,
    )


@given(n=st.integers(1, 12), seed=seeds(), draws=st.sampled_from([0, 20]))
def test_a_ratio_without_a_denominator_is_nan(n, seed, draws):
    """Return NaN where every denominator is zero."""
    rng = np.random.default_rng(seed)
    denominators = rng.integers(0, 3, n)
    numerators = denominators * rng.random(n)
    groups = np.arange(n) // 2
    found = metrics.ratio_interval(numerators, denominators, groups, draws)
    if not denominators.any():
        assert np.isnan(found).all()
        return


@given(n=st.integers(1, 12), seed=seeds(), draws=st.sampled_from([0, 20]))
def test_a_ratio_is_the_quotient_of_sums(n, seed, draws):
    """Estimate a ratio by the quotient of the sums."""
    rng = np.random.default_rng(seed)
    denominators = rng.integers(0, 3, n)
    numerators = denominators * rng.random(n)
    groups = np.arange(n) // 2
    found = metrics.ratio_interval(numerators, denominators, groups, draws)
    value, low, high = found
    if not denominators.any(): return
    assert value == pytest.approx(numerators.sum() / denominators.sum())


@given(n=st.integers(1, 12), seed=seeds(), draws=st.sampled_from([0, 20]))
def test_the_ends_of_a_ratio_are_ordered_or_nan(n, seed, draws):
    """Order the ends in [0, 1]; leave them NaN without draws."""
    rng = np.random.default_rng(seed)
    denominators = rng.integers(0, 3, n)
    numerators = denominators * rng.random(n)
    groups = np.arange(n) // 2
    found = metrics.ratio_interval(numerators, denominators, groups, draws)
    value, low, high = found
    if draws:
        assert np.isnan([low, high]).all() or 0 <= low <= high <= 1
    else:
        assert np.isnan([low, high]).all()


@given(p=probabilities(), seed=seeds(), layout=st.sampled_from(LAYOUTS),
       dtype=st.sampled_from([np.float16, np.float32, np.float64]))
def test_calibration_error_lies_between_zero_and_one(p, seed, layout, dtype):
    """Keep the calibration error in [0, 1]."""
    p = with_layout(p.astype(dtype), layout)
    labels = np.random.default_rng(seed).integers(0, p.shape[1], len(p))
    value = accepted(metrics.calibration_error, p, labels,
                     refuses=() if p.shape[1] > 1 else ValueError)
    if value is None: return
    assert 0 <= value <= 1


@given(p=probabilities(), seed=seeds(), layout=st.sampled_from(LAYOUTS),
       dtype=st.sampled_from([np.float16, np.float32, np.float64]))
def test_calibration_error_ignores_memory_layout(p, seed, layout, dtype):
    """Return the same calibration error for any memory layout."""
    p = with_layout(p.astype(dtype), layout)
    labels = np.random.default_rng(seed).integers(0, p.shape[1], len(p))
    value = accepted(metrics.calibration_error, p, labels,
                     refuses=() if p.shape[1] > 1 else ValueError)
    if value is None: return
    assert value == metrics.calibration_error(np.ascontiguousarray(p), with_layout(labels, layout))


@given(p=probabilities(), layout=st.sampled_from(LAYOUTS),
       dtype=st.sampled_from([np.float16, np.float32, np.float64]))
def test_calibration_error_by_chance_lies_between_zero_and_one(p, layout, dtype):
    """Keep the calibration error by chance in [0, 1]."""
    assume(p.shape[1] > 1)
    p = with_layout(p.astype(dtype), layout)
    assert 0 <= metrics.calibration_error_by_chance(p, draws=3) <= 1


@given(p=probabilities(), seed=seeds(), layout=st.sampled_from(LAYOUTS),
       dtype=st.sampled_from([np.float16, np.float32, np.float64]))
def test_calibration_errors_of_no_slices_are_nan(p, seed, layout, dtype):
    """Return NaN without slices."""
    assume(p.shape[1] > 1)
    p = with_layout(p.astype(dtype), layout)
    labels = np.random.default_rng(seed).integers(0, p.shape[1], len(p))
    assert math.isnan(metrics.calibration_error(p[:0], labels[:0]))
    assert math.isnan(metrics.calibration_error_by_chance(p[:0], draws=2))


@given(data=st.data())
def test_accuracy_counts_known_labels(data):
    """Lie between zero and one, or be NaN without known labels."""
    n = data.draw(st.integers(0, 30))
    labels = data.draw(class_ids(n, 3))
    predictions = data.draw(class_ids(n, 3, hidden=False))
    value = metrics.accuracy(labels, predictions)
    assert 0 <= value <= 1 if (labels >= 0).any() else math.isnan(value)


@given(data=st.data())
def test_accuracy_ignores_memory_layout(data):
    """Return the same accuracy for any memory layout."""
    n = data.draw(st.integers(0, 30))
    labels = data.draw(class_ids(n, 3))
    predictions = data.draw(class_ids(n, 3, hidden=False))
    value = metrics.accuracy(labels, predictions)
    assert np.array_equal(metrics.accuracy(with_layout(labels, "reversed"), predictions), value,
                          equal_nan=True)
