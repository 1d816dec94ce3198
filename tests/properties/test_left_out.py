"""Properties of brainclust.runs.left_out."""
from hashlib import sha256
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest
from assertions import one_sentence
from hypothesis import given, strategies as st
from strategies import FIFTH_OF_EXAMPLES, seeds

from brainclust.core.config import CLASSES
from brainclust.core.metrics import auc_interval
from brainclust.core.style import text_faults
from brainclust.runs import left_out


def predictions(names: np.ndarray, scores: np.ndarray, classes=CLASSES) -> pd.DataFrame:
    """Write a table of predictions, whose score is that of all but the first negative class."""
    negative = left_out.negative_class(classes) or "none"
    return pd.DataFrame({"class": names, f"prob_{negative}": 1 - np.asarray(scores),
                         "abstain": False, "in_distribution": True, "prediction_set": ""})


def drawn(seed: int, n: int = 60, classes=CLASSES) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw held-out slices of 20 patients, and predictions for them."""
    rng = np.random.default_rng(seed)
    truth = np.array(classes)[rng.integers(0, len(classes), n)]
    held = pd.DataFrame({"class_name": truth, "path": [f"{i}.png" for i in range(n)],
                         "group": [f"g{i % 20}" for i in range(n)], "source": "A"})
    return held, predictions(rng.permutation(truth), rng.random(n), classes)


@given(seed=seeds(), scale=st.sampled_from([1., 7.]))
def test_a_gain_is_the_difference_of_the_areas(seed, scale):
    """Agree with the areas, turn with the runs, and be 0 for one run."""
    rng = np.random.default_rng(seed)
    positive = np.arange(50) % 3 == 0
    first, second = rng.normal(size=(2, 50))
    groups = np.arange(50) // 2
    gain, low, high = left_out.auc_gain(positive, first * scale, second, groups)
    area = lambda scores: auc_interval(positive, scores, draws=0)[0]
    assert gain == pytest.approx(area(first) - area(second))
    assert low <= gain <= high
    turned = left_out.auc_gain(positive, second, first * scale, groups)
    assert turned == pytest.approx((-gain, -high, -low))
    assert left_out.auc_gain(positive, first, first, groups) == (0, 0, 0)
    assert np.isnan(left_out.auc_gain(positive | True, first, second, groups)).all()
    assert np.isnan(left_out.auc_gain(positive, first, second * np.nan, groups)).all()
    assert np.isnan(left_out.auc_gain(positive, first, second, positive)[1:]).all()


def test_patients_widen_the_interval_of_a_gain():
    """Count ten equal slices of one patient as one."""
    rng = np.random.default_rng(0)
    tumour = np.repeat(rng.random(40) < .5, 10)
    first, second = (np.repeat(rng.normal(size=40), 10) + tumour * shift for shift in (2, 1))
    alone = left_out.auc_gain(tumour, first, second, np.arange(400))
    together = left_out.auc_gain(tumour, first, second, np.repeat(np.arange(40), 10))
    assert alone[0] == together[0]
    assert together[2] - together[1] > 2 * (alone[2] - alone[1])


@FIFTH_OF_EXAMPLES
@given(seed=seeds(), classes=st.sampled_from([CLASSES, ("notumor", "tumor"), ("cyst", "abscess"),
                                              ("a", "b", "c")]))
def test_a_source_is_scored_whatever_its_classes(seed, classes):
    """Measure areas where a class can be told from the others, and recalls always."""
    held, found = drawn(seed, 60, classes)
    scored = left_out.source_scores(found, held, classes, draws=20)
    counts = held["class_name"].value_counts()
    assert dict(zip(scored.by_class["class_name"], scored.by_class["slices"])) == dict(counts)
    assert np.average(scored.by_class["recall"], weights=scored.by_class["slices"]) == (
        pytest.approx(scored.row["accuracy"]))
    assert scored.by_class["recall"].mean() == pytest.approx(scored.row["macro_recall"])
    negative = left_out.negative_class(classes)
    assert np.isfinite(scored.row["auc"]) == (negative != "")
    if negative:
        area = auc_interval(held["class_name"] != negative, scored.scores, draws=0)[0]
        assert scored.row["auc"] == pytest.approx(area)
        assert scored.by_class["auc"].notna().sum() == len(counts) - 1


def stub(prefix: str, better: bool) -> SimpleNamespace:
    """Return a predictor of two classes, right or by the grey level alone."""
    def table(prepared):
        level = prepared.mean(axis=(1, 2)) / 255
        names = np.where(level > .5, "tumor", "notumor")
        return predictions(names, level if better else 1 - level)
    return SimpleNamespace(classes_=np.array(["notumor", "tumor"]), folder=prefix, table=table,
                           settings={"image_size": 32, "skull_strip": "none"})


def test_two_runs_are_compared_on_the_same_slices(tmp_path):
    """Score both by their own threshold, and refuse a run that has seen a group."""
    rows = []
    for i in range(24):
        path = tmp_path / f"{i}.png"
        cv2.imwrite(str(path), np.full((32, 32), 40 + 150 * (i % 2) + i, np.uint8))
        rows.append({"path": str(path), "sha256": sha256(path.read_bytes()).hexdigest(),
                     "channel": "", "source": "A",
                     "class_name": ("notumor", "tumor")[i % 2], "true_label": i % 2,
                     "label": i % 2, "group": f"g{i}",
                     "split": "validation" if i < 12 else "test"})
    scans = pd.DataFrame(rows)
    held = scans[12:]
    scored = {"with": left_out.score_source(stub("w", True), scans, held, draws=20),
              "without": left_out.score_source(stub("o", False), scans[8:], held, draws=20)}
    assert scored["with"].row["trained"] == 12 and scored["without"].row["labelled"] == 4
    compared = left_out.compare_training("A", held, scored, 20)
    assert compared.rows["auc"].tolist() == [1, 0]
    assert compared.gains.loc[0, "auc"] == 1 and compared.gains.loc[0, "accuracy"] == 0
    results = left_out.left_out_results(*compared)
    assert (results["with_A_auc"], results["left_out_A_auc"], results["gain_A_auc"]) == (1, 0, 1)
    assert results["left_out_A_recall_tumor"] == 1
    with pytest.raises(ValueError, match="are in its training") as caught:
        left_out.score_source(stub("s", True), scans.assign(split="train"), held)
    one_sentence(caught.value)


@given(seed=seeds(), names=st.lists(st.text("abcé _-", min_size=1, max_size=40), min_size=1,
                                    max_size=4, unique=True))
@FIFTH_OF_EXAMPLES
def test_the_figure_holds_any_sources(seed, names):
    """Show every source twice, without a text that leaves the figure or overlaps."""
    rows = []
    for i, name in enumerate(names):
        held, found = drawn(seed + i)
        scored = dict.fromkeys(("with", "without"), left_out.source_scores(
            found, held, CLASSES, draws=20))
        rows.append(left_out.compare_training(name, held, scored, 20).rows)
    figure = left_out.plot_left_out(pd.concat(rows))
    assert len(figure.axes) == 2
    assert not any(text_faults(figure).values())
