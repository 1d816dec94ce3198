"""Properties of brainclust.runs.source_check and check_files: shifts, few labels, files."""
import shutil

import numpy as np
import pandas as pd
import pytest
from assertions import refused
from commands import check_command, predict_command
from examples import small_predictor
from hypothesis import given, strategies as st
from PIL import Image
from scipy.special import softmax
from strategies import FIFTH_OF_EXAMPLES

from brainclust.analysis import recalibration
from brainclust.core.config import CLASSES
from brainclust.data.scan_table import read_scan_table
from brainclust.runs import (
    check_files,
    predictor as predictor_module,
    source_check,
)

NAMES = np.array(CLASSES)


def source(n: int, seed: int = 0, shift: float = 3.) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return predictions whose healthy class is too probable by `shift`, and labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, n)
    logits = rng.normal(size=(n, 4)) + 2.5 * np.eye(4)[labels] + shift * (NAMES == "notumor")
    probabilities = softmax(logits, axis=1)
    sets = np.eye(4, dtype=bool)[probabilities.argmax(axis=1)]
    found = predictor_module.decide(NAMES, probabilities, sets, np.ones(n, bool))
    table = pd.DataFrame({"class_name": NAMES[labels], "group": "",
                          "path": [f"{i}.png" for i in range(n)]})
    return found.assign(in_distribution=True), table


def test_a_shifted_prior_is_refitted_and_measured_on_other_slices():
    """Raise the accuracy of held-out slices, take the bias back, and cover the truth."""
    check = source_check.check_source(*source(80), CLASSES, draws=20)
    scores = check.scores.set_index("quantity")
    assert scores.after["accuracy"] > scores.value["accuracy"] + .1
    assert scores.after["coverage"] > .88 and scores.value["coverage"] < .8
    assert scores.after["Brier score"] < scores.value["Brier score"]
    bias = np.array(check.refitted["bias"])
    healthy = CLASSES.index("notumor")
    assert bias[healthy] - np.delete(bias, healthy).mean() < -1.5
    assert isinstance(check, source_check.SourceCheck)
    assert check.notes == [] and list(check.curves) == ["as it is", "refitted, held out"]
    assert check.refitted["accuracy"] == [scores.value["accuracy"], scores.after["accuracy"]]
    assert "do not use it here as it is" in source_check.check_sentence(check, "B")
    assert source_check.plot_check(check).axes


def test_cross_fitted_numbers_differ_from_those_of_the_fit():
    """Find nothing in labels that are pure chance, where the fit to the same labels does."""
    rng = np.random.default_rng(0)
    probabilities = softmax(rng.normal(size=(60, 4)), axis=1)
    allowed = np.eye(4, dtype=bool)[rng.integers(0, 4, 60)]
    found, sets, tumour = source_check.cross_fit(probabilities, allowed, np.arange(60), CLASSES)
    fitted = source_check.refit(probabilities, allowed, np.arange(60))
    inside = source_check.recalibrate(probabilities, fitted.temperature, fitted.bias)
    assert -np.log(found[allowed]).mean() > -np.log(inside[allowed]).mean()
    assert found.sum(axis=1) == pytest.approx(1)
    assert sets.shape == (60, 4) and tumour.dtype == bool


def test_what_few_labels_cannot_refit_is_named():
    """Refit nothing by 19 slices, one patient or one class, and name each reason."""
    found, table = source(40)
    one = table.assign(class_name="glioma")
    for part, labels, word in ((19, table, "20 labelled"), (40, table.assign(group="p"), "one pat"),
                               (40, one, "one class")):
        check = source_check.check_source(found[:part], labels[:part], CLASSES, draws=5)
        assert check.refitted is None and word in check.notes[0] and len(check.notes) == 1
        assert check.scores["after"].isna().all()
        assert "refitted" not in source_check.check_sentence(check, "B")
    refused(source_check.check_source, found[:0], table[:0], CLASSES)
    refused(source_check.check_source, found, table.assign(class_name="gliom"), CLASSES)


def test_absent_classes_and_few_patients_are_named():
    """Keep the prior of a class without a label, and promise what five patients can."""
    found, table = source(60)
    rows = (table.class_name != "pituitary").to_numpy()
    table = table[rows].reset_index(drop=True)
    table["group"] = [f"p{i % 5}" for i in range(len(table))]
    check = source_check.check_source(found[rows].reset_index(drop=True), table, CLASSES, draws=5)
    assert check.refitted["bias"][CLASSES.index("pituitary")] == 0
    assert "labelled pituitary" in check.notes[0] and "83 %" in check.notes[1]
    assert check.refitted["coverage"] == pytest.approx(5 / 6)


@given(names=st.lists(st.sampled_from([*CLASSES, "tumor"]), min_size=1, max_size=12),
       seed=st.integers(0, 99))
@FIFTH_OF_EXAMPLES
def test_outcomes_are_probabilities_of_what_labels_settle(names, seed):
    """Keep the classes if all labels are classes, else ask tumour or none."""
    probabilities = np.random.default_rng(seed).dirichlet(np.ones(4), len(names))
    allowed = source_check.allowed_classes(names, CLASSES)
    shown, ids, coarse = source_check.settled_outcomes(probabilities, allowed)
    assert coarse == ("tumor" in names)
    assert shown.sum(axis=1) == pytest.approx(1)
    assert not coarse or list(ids) == [int(name != "notumor") for name in names]
    assert 0 <= source_check.brier_score(shown, ids) <= 2


def test_measures_by_hand():
    """Count two of four right, exact intervals for single slices, and dashes for the unknown."""
    found, table = source(4, shift=0)
    found["class"] = table.class_name
    scores = source_check.measure(found, table, CLASSES, draws=5).set_index("quantity")
    assert scores.value["accuracy"] == 1
    low = source_check.coverage_interval(np.ones(4, bool), np.arange(4))[1]
    assert low == pytest.approx(.025 ** .25)
    assert source_check.coverage_interval(np.array([True, False]), np.zeros(2))[0] == .5
    assert source_check.percent(.58, .43, .72) == "58 % [43, 72]"
    assert source_check.percent(np.nan) == "unknown"
    assert source_check.refit_obstacle(np.eye(4, dtype=bool)[[0] * 30], np.arange(30))
    assert source_check.refit_limits(np.ones((30, 4), bool), np.arange(30), CLASSES) == []


@pytest.fixture
def folder(tmp_path):
    """Return a folder with 24 pictures of four classes, and a copy of a run that it can check."""
    rng = np.random.default_rng(0)
    predictor = small_predictor()
    run = shutil.copytree(predictor.folder, tmp_path / "run")
    rows = []
    for i in range(24):
        path = tmp_path / "clinic ü" / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (40, 40), dtype=np.uint8)).save(path)
        rows.append({"path": path.name, "label": str(predictor.classes_[i % 4])})
    pd.DataFrame(rows).to_csv(tmp_path / "mine.csv", index=False)
    return tmp_path, predictor_module.Predictor(run, "cpu", "32-true")


def own_scans(root):
    """Return a scan table of one other slice, as a run has it."""
    path = root / "own" / "a.png"
    path.parent.mkdir()
    Image.fromarray(np.random.default_rng(9).integers(0, 255, (40, 40), dtype=np.uint8)).save(path)
    return read_scan_table(root / "own")[0].assign(true_label=-1)


def test_a_folder_is_checked_and_its_calibration_used_by_name_alone(folder, capsys):
    """Write the report and the source's file, refuse other folders, and predict as refitted."""
    from brainclust.core.files import save_table
    root, predictor = folder
    run = predictor.folder
    save_table(run / "scans.parquet", own_scans(root))
    command = lambda *more: check_command(
        [str(run), str(root / "clinic ü"), "--device", "cpu", *map(str, more)])
    assert command() == 2  # no labels
    assert command("--labels", root / "absent.csv") == 2
    assert command("--labels", root / "mine.csv", "--annotations") == 2
    assert command("--annotations") == 2
    assert command("--labels", root / "mine.csv", "--name", "../x") == 2
    assert command("--labels", root / "mine.csv", "--out", root) == 2
    (root / "wrong.csv").write_text((root / "mine.csv").read_text().replace("23.png,", "23.png,x"))
    assert command("--labels", root / "wrong.csv") == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 7 and all(line.startswith("brainclust check: ") for line in lines)
    assert not (run / "sources").exists()
    assert command("--labels", root / "mine.csv") == 0
    assert "On these 24 slices the run is right in" in capsys.readouterr().out
    written = run / "sources" / "clinic ü"
    found, _ = check_files.check_folder(predictor, root / "clinic ü", root / "mine.csv")
    assert found.refitted["slices"] == 24 and found.coverage == predictor.record["coverage"]
    assert {f.name for f in written.iterdir()} == check_files.REPORT_FILES
    again = predictor_module.Predictor(run, "cpu", "32-true", source="clinic ü")
    prepared = again.prepare([np.zeros((40, 40), np.uint8)])
    plain, table = predictor.table(prepared), again.table(prepared)
    assert list(table["calibrated_for"]) == ["clinic ü"] and "calibrated_for" not in plain
    assert command("--labels", root / "mine.csv", "--out", root / "report") == 0
    assert "earlier check was replaced" in capsys.readouterr().out
    refused(predictor_module.Predictor, run, "cpu", source="clinic")
    predict = lambda *more: predict_command(
        [str(run), str(root / "clinic ü"), "--out", str(root / "out.csv"), "--device", "cpu",
         *more])
    assert predict("--source", "clinic") == 2
    assert predict("--source", "clinic ü") == 0
    assert "calibrated for clinic ü, by 24 labelled" in capsys.readouterr().out
    assert set(pd.read_csv(root / "out.csv")["calibrated_for"]) == {"clinic ü"}
    assert recalibration.source_sentence(again.source).startswith("The predictions are")


def test_labels_of_the_web_app_are_found_by_content(folder):
    """Take the last label of a slice, and refuse those of another run."""
    root, predictor = folder
    classes = list(map(str, predictor.classes_))
    table = read_scan_table(root / "clinic ü", classes)[0]
    labels = pd.DataFrame({"path": "moved", "label": classes[0], "sha256": table.sha256[:3]})
    labels.loc[3] = ["moved", classes[1], table.sha256[0]]
    labels.to_csv(root / "labels.csv", index=False)
    found = check_files.read_annotated(root / "clinic ü", root / "labels.csv", classes)
    assert sorted(found["class_name"]) == sorted([classes[1], classes[0], classes[0]])
    labels.assign(label="unheard of").to_csv(root / "labels.csv", index=False)
    refused(check_files.read_annotated, root / "clinic ü", root / "labels.csv", classes)
    labels.assign(sha256="0").to_csv(root / "labels.csv", index=False)
    refused(check_files.read_annotated, root / "clinic ü", root / "labels.csv", classes)


def test_seen_slices_are_left_out_and_gone_ones_named(folder):
    """Check nothing on the training's own slices, and tell which could not be compared."""
    root, predictor = folder
    table = read_scan_table(root / "clinic ü")[0]
    cache = root / "cache"
    refused(check_files.unseen_slices, table, table, cache_folder=cache)
    kept, sentences = check_files.unseen_slices(table, table[:4], cache_folder=cache)
    assert len(kept) == 20 and kept["group"].nunique() == 20 and "4 of the 24" in sentences[0]
    gone = table[:1].assign(path="/gone.png", sha256="0")
    assert "no longer there" in check_files.unseen_slices(table, gone, cache_folder=cache)[1][0]


def test_a_report_escapes_names_and_a_folder_of_others_stays(tmp_path):
    """Write no HTML of a name, and leave a folder with other files as it is."""
    check = source_check.check_source(*source(24), CLASSES, draws=5)
    text = check_files.check_report(check, "<b>", "a|b", ["<script>"])
    assert "<b>" not in text and "<script>" not in text and "Not for diagnosis." in text
    (tmp_path / "thesis.txt").write_text("mine")
    refused(check_files.write_check, check, "B", tmp_path, tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "mine"
    assert not (tmp_path / "sources").exists()
