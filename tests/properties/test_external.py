"""Properties of brainclust.runs.external, and of areas under ROC curves."""
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from assertions import refused
from hypothesis import given, strategies as st
from PIL import Image
from sklearn.metrics import roc_auc_score

from brainclust.analysis.calibration import scale_temperature
from brainclust.analysis.cross_calibration import fold_temperature
from brainclust.core.config import CLASSES
from brainclust.core.metrics import auc_interval
from brainclust.data.scan_table import read_scan_table
from brainclust.runs import external
from brainclust.training.cross_fitting import OutOfFold, save_out_of_fold

SCORES = st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=1, max_size=40)


@given(rows=SCORES, groups=st.integers(1, 40), scale=st.sampled_from([1, -1, .1]))
def test_an_area_is_that_of_the_reference(rows, groups, scale):
    """Agree with scikit-learn, turn with the scores, and stay between the ends."""
    positive, scores = (np.array(part) for part in zip(*rows))
    ids = np.arange(len(rows)) % groups
    area, low, high = auc_interval(positive, scores * scale, ids, draws=30)
    if positive.all() or not positive.any():
        assert np.isnan([area, low, high]).all()
        return
    assert area == pytest.approx(roc_auc_score(positive, scores * scale))
    assert auc_interval(positive, -scores * scale, ids, draws=0)[0] == pytest.approx(1 - area)
    assert np.isnan(low) or 0 <= low <= high <= 1
    if len(set(ids)) == 1:
        assert np.isnan([low, high]).all()


def test_patients_widen_the_interval_of_an_area():
    """Draw patients whole: ten equal slices of one are worth one."""
    rng = np.random.default_rng(0)
    tumour = np.repeat(rng.random(40) < .5, 10)
    scores = np.repeat(rng.normal(size=40), 10) + tumour
    alone = auc_interval(tumour, scores)
    together = auc_interval(tumour, scores, np.repeat(np.arange(40), 10))
    assert alone[0] == together[0]
    assert np.isfinite([*alone, *together]).all()
    assert together[2] - together[1] > 2 * (alone[2] - alone[1])


def test_scores_that_are_no_numbers_are_refused():
    """Refuse NaN, infinity and other lengths."""
    for scores in ([np.nan, 1], [np.inf, 1], [1]):
        refused(auc_interval, [True, False], scores)


@given(rows=SCORES)
def test_a_threshold_is_the_best_of_all(rows):
    """Reach the greatest sum of sensitivity and specificity that any threshold reaches."""
    tumour, scores = (np.array(part) for part in zip(*rows))
    threshold = external.tumour_threshold(scores, tumour)
    if tumour.all() or not tumour.any():
        assert threshold == .5
        return
    total = lambda at: (scores >= at)[tumour].mean() + (scores < at)[~tumour].mean()
    assert total(threshold) == pytest.approx(max(map(total, [*scores, scores.max() + 1])))


def predictions(names: list[str], healthy: list[float]) -> pd.DataFrame:
    """Return predictions as `Predictor.table` gives them, without prediction sets."""
    return pd.DataFrame({"class": names, "prob_notumor": healthy, "prediction_set": "",
                         "abstain": False, "in_distribution": True})


@pytest.mark.parametrize("truth, accuracy", [
    (["tumor", "tumor", "notumor"], 1), (["glioma", "glioma", "notumor"], 2 / 3),
    (["tumor", "notumor", "tumor"], 1 / 3), (["glioma", "pituitary", "notumor"], 1)])
def test_a_tumour_of_unknown_kind_is_right_as_any(truth, accuracy):
    """Count every tumour class as right where only a tumour is known."""
    table = pd.DataFrame({"class_name": truth, "path": list("abc"), "group": ""})
    found = predictions(["glioma", "pituitary", "notumor"], [.1, .2, .9])
    row = external.external_scores(found, table, CLASSES, draws=0)
    assert row["accuracy"] == pytest.approx(accuracy)
    assert row["tumours"] == sum(name != "notumor" for name in truth)
    assert np.isnan(row["coverage"])


def test_one_kind_alone_has_no_area():
    """Leave what cannot be measured as NaN: no healthy slice, no tumour, no healthy class."""
    table = pd.DataFrame({"class_name": ["glioma"] * 2, "path": ["a", "b"], "group": ["p", "p"]})
    row = external.external_scores(predictions(["glioma"] * 2, [.1, .2]), table, CLASSES)
    assert np.isnan([row["auc"], row["specificity"]]).all() and row["sensitivity"] == 1
    assert row["groups"] == 1
    found = predictions(["a", "b"], [.1, .2]).drop(columns="prob_notumor").assign(prob_a=.5)
    row = external.external_scores(found, table.assign(class_name=["a", "a"]), ["a", "b"])
    assert np.isnan([row["auc"], row["sensitivity"]]).all() and row["accuracy"] == .5


@pytest.fixture
def scans(tmp_path):
    """Return a function that writes noise under names; the same number is the same picture."""
    def write(**names: int):
        for name, number in names.items():
            path = tmp_path / name.replace("__", "/")
            path = path.with_suffix(".png")
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(number).integers(0, 255, (40, 48), dtype=np.uint8)
            Image.fromarray(pixels).save(path)
        return tmp_path
    return write


def test_collections_of_every_labelling_are_read(scans):
    """Read yes and no, a subset of the classes, and a labels.csv with patients."""
    root = scans(a__yes__1=1, a__no__2=2, b__glioma__3=3, b__notumor__4=4, c__5=5, c__6=6)
    (root / "c" / "labels.csv").write_text("path,label,patient\n5.png,tumour,p\n6.png,no,q\n")
    names = lambda part: sorted(external.read_external(root / part, CLASSES)["class_name"])
    assert names("a") == ["notumor", "tumor"] and names("b") == ["glioma", "notumor"]
    table = external.read_external(root / "c", CLASSES)
    assert sorted(table["class_name"]) == ["notumor", "tumor"] and set(table["group"]) == {"p", "q"}
    assert sorted(external.read_external(root / "a", ("notumor", "tumor"))["class_name"]) == [
        "notumor", "tumor"]


def test_seen_slices_are_left_out_whether_their_files_are_there_or_not(scans, tmp_path):
    """Compare by content where the training's files are gone."""
    root = scans(new__yes__1=1, new__yes__2=2, new__no__3=3, own__glioma__1=1, own__glioma__9=9)
    table = external.read_external(root / "new", CLASSES)
    own = read_scan_table(root / "own")[0]
    cache = tmp_path / "cache"
    kept = external.without_seen(table, own, cache_folder=cache)
    assert sorted(path.rsplit("/", 1)[1] for path in kept["path"]) == ["2.png", "3.png"]
    gone = own.assign(path=[f"/gone/{i}.png" for i in range(len(own))])
    pd.testing.assert_frame_equal(external.without_seen(table, gone, cache_folder=cache), kept)
    assert len(external.without_seen(table, own[:0], cache_folder=cache)) == 3


def test_scans_that_joined_without_labels_are_told_from_unseen_ones(scans, tmp_path):
    """Score transductive slices apart from those whose label, or patient, was learnt."""
    root = scans(**{f"pile__{i}": i for i in range(8)},
                 **{f"own__{kind}__{i}{kind}": 50 + i for kind in ("glioma", "notumor")
                    for i in range(2)})
    rows = [f"{i}.png,{('glioma', 'no')[i % 2]},p{i // 2}" for i in range(8)]
    (root / "pile/labels.csv").write_text("\n".join(["path,label,patient", *rows]))
    own = read_scan_table(root / "own")[0]
    own = own.assign(true_label=own["label"], joined=False)
    pile = read_scan_table(root / "pile")[0].assign(label=-1, true_label=-1, joined=True)
    pile = pile[pile["path"].map(lambda path: path[-5] in "012345")]  # 6 and 7 were not joined
    score = lambda joined: external.external_table(
        StubPredictor(), pd.concat([own, joined], ignore_index=True), [root / "pile"], draws=0,
        cache_folder=tmp_path / "cache")
    columns = ["part", "slices", "seen", "joined"]
    table = score(pile)
    assert table[columns].values.tolist() == [["given", 8, 0, 6], ["unseen", 2, 0, 0]]
    assert external.external_results(table)["external_pile_unlabelled"] == 6
    (sentence,) = external.seen_sentences(table)
    assert sentence.startswith("6 of the 8 slices of the external collection pile joined")
    learnt = pile.assign(label=np.where(pile["path"].str.endswith("/0.png"), 0, -1))
    table = score(learnt)
    assert table[columns].values.tolist() == [
        ["given", 8, 2, 4], ["transductive", 6, 0, 4], ["unseen", 2, 0, 0]]
    assert "external_pile_transductive_auc" in external.external_results(table)
    assert len(external.seen_sentences(table)) == 2
    assert not score(pile[:0])["joined"].any()
    assert "external_pile_unlabelled" not in external.external_results(score(pile[:0]))


def test_names_of_results_are_those_of_the_folders():
    """Number folders of one name, and give every headline its name."""
    headlines = dict.fromkeys(external.HEADLINES, .5)
    table = pd.DataFrame([{"collection": "lgg", "part": "given", **headlines}])
    assert external.external_results(table)["external_lgg_auc"] == .5
    assert len(external.external_results(table)) == len(external.HEADLINES)
    unseen = external.external_results(table.assign(part="unseen"))
    assert unseen["external_lgg_unseen_auc"] == .5
    assert external.seen_sentences(table.assign(seen=0, slices=9)) == []
    (sentence,) = external.seen_sentences(table.assign(seen=3, slices=9))
    assert sentence.startswith("3 of the 9 slices of the external collection lgg are in")


class StubPredictor:
    """A predictor that calls every slice a glioma, with a score by its grey level."""
    classes_ = np.array(CLASSES)
    reading: dict = {}
    settings = {"image_size": 32, "skull_strip": "none"}
    folder = Path("no run")
    record: dict = {"fold_temperature": None}  # of an earlier version

    def table(self, prepared: np.ndarray) -> pd.DataFrame:
        """Return predictions."""
        level = prepared.mean(axis=(1, 2)) / 255
        return predictions(["glioma"] * len(prepared), list(1 - level))


def test_predictions_do_not_depend_on_the_batch(scans):
    """Predict in any batches, and fix the threshold on the calibration split alone."""
    root = scans(**{f"own__{kind}__{i}{kind}": i for kind in ("glioma", "notumor")
                    for i in range(4)})
    table = read_scan_table(root / "own")[0]
    whole = external.predict_table(StubPredictor(), table)
    pd.testing.assert_frame_equal(external.predict_table(StubPredictor(), table, batch=3), whole)
    own = table.assign(true_label=table["label"], split="train")
    assert external.inner_threshold(StubPredictor(), own) == .5
    held_out = own.assign(split="validation")
    expected = external.tumour_threshold(external.tumour_score(whole), own["label"] == 0)
    assert external.inner_threshold(StubPredictor(), held_out) == expected
    drawn = external.external_table(StubPredictor(), own[:0], [root / "own"] * 2, draws=20)
    assert list(drawn["collection"]) == ["own_1", "own_2"] and (drawn["slices"] == 8).all()
    assert external.plot_external(drawn).axes and len(external.tidy_external(drawn)) == 10


def test_a_threshold_is_fixed_on_predictions_out_of_fold(tmp_path):
    """Prefer what the networks of other folds predicted, scaled, to everything else."""
    labels = np.arange(40) % 4
    p = np.random.default_rng(0).dirichlet(np.ones(4), 40) / 2 + np.eye(4)[labels] / 2
    found = OutOfFold(np.arange(40), labels, labels % 2, p.astype(np.float32))
    save_out_of_fold(tmp_path, found)
    predictor = StubPredictor()
    predictor.folder = tmp_path
    scaled = scale_temperature(found.probabilities, fold_temperature(found.probabilities, labels))
    healthy = CLASSES.index("notumor")
    expected = external.tumour_threshold(1 - scaled[:, healthy], labels != healthy)
    table = pd.DataFrame({"split": ["train"], "true_label": [0]})
    assert external.inner_threshold(predictor, table) == expected
    assert external.inner_threshold(predictor, table, negative="other") == .5
    predictor.record = {"fold_temperature": 3.}  # which the calibration of the run fitted
    scaled = scale_temperature(found.probabilities, 3)
    assert external.inner_threshold(predictor, table) == external.tumour_threshold(
        1 - scaled[:, healthy], labels != healthy)
