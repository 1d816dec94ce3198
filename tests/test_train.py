"""The contract of train.ipynb, through papermill as its users run it."""
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import card_command, compare_command, name_command, predict_command, run_command
from conftest import ODD_CLASSES, TINY, run_papermill
from PIL import Image

from brainclust.runs.execute import run_headline
from brainclust.synthetic.phantoms import write_phantoms
from brainclust.training.cross_fitting import read_out_of_fold

PAPER = {"Figure 3.1", "Figure 3.2", "Figure 3.3", "Figure 3.4", "Figure 4.1", "Figure 4.2",
         "Figure 5.1", "Figure 5.2", "Figure 5.3", "Table 2.1", "Table 5.1"}
NUMBERS = ("test_accuracy", "test_accuracy_clusters", "supervised_baseline_test_accuracy", "nmi",
           "ari", "silhouette")


def test_run_directory_is_complete(report):
    for name in ("config.json", "run.json", "scans.parquet", "history.parquet", "model.safetensors",
                 "model.json", "train.ipynb", "report.html"):
        assert (report / name).stat().st_size > 100, name
    manifest = pd.read_csv(report / "tables" / "artefacts.csv")
    assert PAPER <= set(manifest.paper.dropna())
    for name in {*manifest.file, *manifest.numbers}:
        assert (report / name).stat().st_size > 0, name
    listed = {Path(name).name for name in manifest.file if name.endswith(".png")}
    assert listed == {path.name for path in (report / "figures").iterdir()}
    assert not [path for path in report.rglob(".*") if path.is_file()], "temporary files were left"
    assert list((report / "tensorboard").rglob("events*"))


def test_a_finished_run_can_be_asked_compared_and_described(report, phantom_tree, tmp_path, capsys):
    assert (predict_command(
                [str(report), str(phantom_tree / "Testing"), "--out", str(tmp_path / "out.csv"),
                 "--device", "cpu"]) == 0)
    asked, tested = (pd.read_csv(tmp_path / "out.csv").set_index("path"),
                     pd.read_csv(report / "tables" / "test_predictions.csv").set_index("path"))
    # another precision may be the fast one here
    assert len(asked) >= len(tested) and (asked["class"][tested.index] == tested.y_pred).mean() > .9
    assert compare_command([str(report), "--out", str(tmp_path / "together")]) == 0
    assert card_command([str(report)]) == 0
    assert ("Not for diagnosis" in (report / "MODEL_CARD.md").read_text()
            and len(pd.read_csv(report / "checklist.csv")) == 42)
    printed = capsys.readouterr().out
    assert "Different letters" not in printed
    known = json.loads((report / "run.json").read_text())["data"]["clean_name"] == "clean"
    assert ("'clean' means free of duplicates only" in printed) != known


def test_run_json_keeps_its_promises(report):
    record = json.loads((report / "run.json").read_text())
    assert {"config", "versions", "device", "precision", "seconds", "data", "results"} <= set(
        record)
    assert record["data"]["counts"]["test"] == {"glioma": 6, "meningioma": 6, "notumor": 6,
                                                "pituitary": 6}
    results = record["results"]
    for name in NUMBERS:
        assert isinstance(results[name], float) and np.isfinite(results[name]), name
    assert set(results["baseline_accuracy"]) == {"k_means", "gaussian_mixture", "pca_k_means"}
    assert all(0 <= value <= 1 for value in results["baseline_accuracy"].values())


def test_external_scans_are_scored(report):
    results = json.loads((report / "run.json").read_text())["results"]
    (row,) = pd.read_csv(report / "tables" / "external.csv").to_dict("records")
    assert (row["collection"], row["part"]) == ("andere Klinik", "given")
    assert row["slices"] == 24 and row["seen"] == 0
    assert row["groups"] == 12 and row["tumours"] == 18
    assert results["external_andere Klinik_auc"] == pytest.approx(row["auc"])
    assert (report / "figures" / "external_scores.png").exists()


def pile_and_words(phantom_tree: Path, folder: Path) -> tuple[Path, list[str]]:
    """Write the scans of a second clinic; return them, and the words of a run that takes them."""
    pile = write_phantoms(folder / "second clinic", 3, 2, 64, seed=7)
    settings = {**TINY, "data": phantom_tree, "out": folder / "run", "unlabelled": pile,
                "unlabelled_labels": 1, "external": f"['{pile}']", "supervised_baseline": False,
                "baselines": False, "calibration_folds": 2}
    words = [word for name, value in settings.items() for word in ("-p", name, str(value))]
    return pile, [*words, "--no-html"]


def check_cross_fitted(run: Path) -> None:
    """Check that every label of the run's own was predicted out of fold, and what follows of it."""
    scans = pd.read_parquet(run / "scans.parquet")
    own = ~scans["joined"] if "joined" in scans else True
    found = read_out_of_fold(run)
    assert set(found.rows) == set(np.flatnonzero((scans.label >= 0) & own))
    assert (found.labels == scans.label.to_numpy()[found.rows]).all()
    groups = scans.group[found.rows].groupby(found.folds).agg(set)
    assert not groups[0] & groups[1]
    kept = json.loads((run / "prediction.json").read_text())
    assert kept["folds"] == 2 and kept["temperature"] > 0 and kept["fold_temperature"] > 0
    seconds = pd.read_csv(run / "tables" / "seconds.csv").query("stage == 'cross-fitting'")
    assert list(seconds["part"]) == ["fold 1", "fold 2"]
    held_out = json.loads((run / "pile.json").read_text())["held_out"]
    right = (found.probabilities.argmax(axis=1) == found.labels).any()
    assert held_out["slices"] == len(found.rows) if right else held_out is None
    record = json.loads((run / "run.json").read_text())
    assert record["seconds"]["cross-fitting"] > 0


def test_the_pile_of_another_clinic_joins_in(report, phantom_tree, tmp_path, capsys):
    """Train with a second source: its rows, sentences, counts and figures; resume by the same.

    No label is held out: every labelled slice is predicted by a network of another fold.
    """
    pile, words = pile_and_words(phantom_tree, tmp_path)
    assert run_command(words) == 0
    printed = capsys.readouterr().out
    assert "20 slices of second clinic joined the training without a label; labels of 20" in printed
    assert "(transductive use)" in printed
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["config"]["unlabelled"] == [str(pile)]
    assert record["data"]["collections"]["second clinic"] == {
        "joined": True, "train": 24, "validation": 0, "test": 0, "labelled": 4}
    assert record["results"]["external_second clinic_unlabelled"] > 0
    assert "external_second clinic_transductive_auc" in record["results"]
    assert len(pd.read_csv(tmp_path / "run" / "tables" / "collections.csv")) == 2
    scans, before = (pd.read_parquet(run / "scans.parquet") for run in (tmp_path / "run", report))
    own = scans[~scans.joined]
    for column in ("path", "split", "label", "true_label", "group"):  # the data stay as they are
        assert list(own[column]) == list(before[column])
    assert set(scans[scans.joined & (scans.label < 0)].true_label) == {-1}
    drawn = pd.read_csv(tmp_path / "run" / "tables" / "class_distribution.csv")
    assert "unknown, second clinic" in set(drawn.class_name)
    assert card_command([str(tmp_path / "run")]) == 0
    card = (tmp_path / "run" / "MODEL_CARD.md").read_text()
    assert "second clinic joined the training" in card and str(tmp_path) not in card
    assert "by 2 networks that had not learnt" in card
    check_cross_fitted(tmp_path / "run")
    again = [*words, "-p", "resume", "true"]
    assert run_command([*again, "-p", "unlabelled", str(phantom_tree.parent / "source")]) == 2
    assert "unlabelled was" in capsys.readouterr().err


@pytest.mark.nightly
def test_a_pile_that_has_grown_is_another_one(phantom_tree, tmp_path, capsys):
    pile, words = pile_and_words(phantom_tree, tmp_path)
    assert run_command(words) == 0
    Image.effect_noise((64, 64), 60).save(pile / "new.png")  # a file without a row joins, too
    assert run_command([*words, "-p", "resume", "true"]) == 1
    assert "The data differ from those that" in capsys.readouterr().err


def test_predictions_agree_with_the_results(report):
    table = pd.read_csv(report / "tables" / "test_predictions.csv")
    results = json.loads((report / "run.json").read_text())["results"]
    assert {"path", "y_true", "y_pred", "y_pred_supervised_baseline", "cluster"} <= set(table)
    for column, name in (("y_pred", "test_accuracy"),
                         ("y_pred_supervised_baseline", "supervised_baseline_test_accuracy"),
                         ("y_pred_clusters", "test_accuracy_clusters")):
        assert (table[column] == table.y_true).mean() == pytest.approx(results[name])
    probabilities = table.filter(like="prob_")
    assert list(probabilities) == ["prob_glioma", "prob_meningioma", "prob_notumor",
                                   "prob_pituitary"]
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-3)
    assert (probabilities.idxmax(axis=1).str.removeprefix("prob_") == table.y_pred).all()
    history = pd.read_parquet(report / "history.parquet")
    assert history.test_accuracy.iloc[-1] == pytest.approx(results["test_accuracy"])


def test_hidden_labels_stay_hidden(report):
    scans = pd.read_parquet(report / "scans.parquet")
    assert (scans.label[scans.split == "test"] == -1).all()
    known = scans[scans.label >= 0]
    assert (known.label == known.true_label).all() and 0 < len(known) <= 0.25 * (
        scans.split == "train").sum()


@pytest.mark.nightly
def test_misspelt_parameter_fails_with_the_list(tmp_path):
    done = run_papermill(tmp_path / "out.ipynb", out=tmp_path / "run", epohcs=3)
    assert done.returncode != 0
    assert "Unknown setting 'epohcs'; did you mean epochs? The settings are: " in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.nightly
def test_a_run_without_labels_has_components_to_name(tmp_path, phantom_tree):
    """Score components named by phantoms and by a person, and take the person's names back."""
    settings = {**TINY, "data": phantom_tree, "out": tmp_path / "run", "label_fraction": 0,
                "init": "phantom", "baselines": False}
    words = [word for name, value in settings.items() for word in ("-p", name, str(value))]
    assert run_command([*words, "--no-html"]) == 0
    results = json.loads((tmp_path / "run" / "run.json").read_text())["results"]
    assert results["test_accuracy"] is None and results["hungarian_accuracy"] > 0
    for who in ("phantoms", "person"):
        for clean in ("", "_clean"):
            low, high = results[f"named_by_{who}_interval{clean}"]
            assert 0 <= low <= results[f"named_by_{who}_accuracy{clean}"] <= high <= 1
        assert f"components_named_by_{who}" in results["intervals"]
    assert (tmp_path / "run" / "figures" / "clusters_to_name.png").exists()
    table = pd.read_csv(tmp_path / "run" / "clusters.csv")
    assert len(table) == results["named_components"] and table.label.isna().all()
    scans = pd.read_parquet(tmp_path / "run" / "scans.parquet").set_index("path")
    classes = np.array(["glioma", "meningioma", "notumor", "pituitary"])
    table.assign(label=classes[scans.true_label[table.path]]).to_csv(
        tmp_path / "run" / "clusters.csv", index=False)
    assert name_command([str(tmp_path / "run"), "--out", str(tmp_path / "named.csv")]) == 0
    named = pd.read_csv(tmp_path / "named.csv").set_index("path")
    tested = scans[scans.split == "test"]
    right = named.label[tested.index] == classes[tested.true_label]
    assert right.mean() == pytest.approx(results["named_by_person_accuracy"])


def test_classes_of_other_names_and_sizes_run_to_every_figure(report, odd_run, tmp_path, capsys):
    """Train on 40, 20, 8 and 3 slices of classes whose names YAML reads as something else."""
    run = odd_run / "run"
    names = [name for name, _ in ODD_CLASSES.values()]
    figures = lambda folder: {path.name for path in (folder / "figures").iterdir()}
    # label errors need five groups per class, pairs a healthy class; nothing external is given
    assert figures(report) - figures(run) <= {
        "label_errors.png", "external_scores.png", "counterfactuals.png"}
    record = json.loads((run / "run.json").read_text())
    assert record["config"]["classes"] == names
    assert record["config"]["n_clusters"] == 4
    assert json.loads((run / "model.json").read_text())["crop"] == "head"
    recalls = record["results"]["test_recall"]
    assert list(recalls) == names
    assert all(value is not None for value, *_ in recalls.values())  # each class is tested
    scans = pd.read_parquet(run / "scans.parquet")
    assert set(scans.label[scans.label >= 0]) == {0, 1, 2, 3}  # and has a label
    assert "macro recall" in run_headline(run)[0]
    assert any("Little can be told of classes with few" in note for note in record["notes"])
    copy = shutil.copytree(run, tmp_path / "copy")
    assert card_command([str(copy)]) == 0
    assert "macro recall" in (copy / "MODEL_CARD.md").read_text()
    assert "crop head" in (copy / "checklist.csv").read_text()
    assert predict_command([str(run), str(odd_run / "colour"), "--out", str(tmp_path / "out.csv"),
                            "--device", "cpu"]) == 0
    predicted = pd.read_csv(tmp_path / "out.csv", dtype={"class": str})
    assert set(predicted["class"]) <= set(names)


@pytest.mark.nightly
def test_a_run_calibrates_without_holding_labels_out(tmp_path, phantom_tree):
    """Calibrate by more labels than the run with the pile has."""
    settings = {**TINY, "data": phantom_tree, "out": tmp_path / "run", "label_fraction": .5,
                "calibration_folds": 2}
    words = [word for name, value in settings.items() for word in ("-p", name, str(value))]
    assert run_command([*words, "--no-html"]) == 0
    check_cross_fitted(tmp_path / "run")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert 0 <= record["results"]["coverage"] <= 1
    assert any("fewer than 19 labels" in note for note in record["notes"])
