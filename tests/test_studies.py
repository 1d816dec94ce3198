"""The contracts of the study notebooks, through the command that their users run."""
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import run_command

from brainclust.synthetic.phantoms import write_phantoms

QUICK = ("{epochs: 2, bootstrap: 20, labelled_batch_size: 8, unlabelled_batch_size: 16, "
         "encoder: autoencoder}")


def report(notebook: str, out: Path, **parameters) -> int:
    """Run a study as `brainclust run` does and return its exit status."""
    words = [word for name, value in {"out": out, **parameters}.items()
             for word in ("-p", name, str(value))]
    return run_command([notebook, *words, "--no-html"])


def collection(folder: Path, seed: int, first: int) -> Path:
    """Write phantoms with tumours as Cheng's collection lies.

    Numbered images, masks, and labels.csv without patients.
    """
    source = write_phantoms(folder / "source", 6, 4, 64, seed, 0.)
    rows = pd.read_csv(source / "labels.csv").query("label != 'notumor'").reset_index(drop=True)
    rows["id"] = rows.index + first
    for name in ("images", "masks"):
        (folder / name).mkdir()
        for row in rows.itertuples():
            shutil.copy(source / name / Path(row.path).name, folder / name / f"{row.id}.png")
    rows[["id", "label"]].to_csv(folder / "labels.csv", index=False)
    shutil.rmtree(source)
    return folder


@pytest.fixture(scope="module")
def collections(tmp_path_factory) -> tuple[Path, Path]:
    """Two such collections of different patients."""
    folders = [tmp_path_factory.mktemp(name) for name in ("data", "more")]
    return tuple(
        collection(folder, seed, first) for folder, seed, first in zip(folders, (0, 1), (1, 1001)))


def check_run(out: Path, fractions: tuple[str, ...]) -> dict:
    """Check that a run directory is complete and that its headline fractions are numbers.

    Return its record.
    """
    record = json.loads((out / "run.json").read_text())
    manifest = pd.read_csv(out / "tables" / "artefacts.csv")
    assert len(manifest) and all(
        (out / name).stat().st_size > 0 for name in {*manifest.file, *manifest.numbers})
    listed = {Path(name).name for name in manifest.file if name.endswith(".png")}
    assert listed and listed == {path.name for path in (out / "figures").iterdir()}
    for name in fractions:
        value = record["results"][name]
        assert isinstance(value, (int, float)) and np.isfinite(value) and 0 <= value <= 1, name
    return record


@pytest.mark.nightly
def test_segmentation_scores_the_second_folder_only(collections, tmp_path):
    data, more = collections
    assert (report("segmentation", tmp_path / "run", data=data, test_data=more, image_size=64,
                   encoder_size=32, label_fraction=1.0, unet_epochs=2, comparison_epochs=1,
                   mask_fractions="[0.5]", device="cpu", overrides=QUICK) == 0)
    record = check_run(tmp_path / "run",
                       ("dice_kmeans", "dice_cam", "dice_unet", "iou_unet", "cam_pointing_game",
                        "cam_energy_in_mask", "brain_mask_tumour_inside"))
    scores = pd.read_csv(tmp_path / "run" / "tables" / "scores.csv")
    assert {Path(path).parent.parent for path in scores.path} == {more}
    assert len(scores) % len(list((more / "images").iterdir())) == 0
    unet = scores[scores.method == "U-Net"]
    assert unet.dice.mean() == pytest.approx(record["results"]["dice_unet"])
    assert (unet.iou <= unet.dice + 1e-9).all()


@pytest.mark.nightly
def test_explanation_of_a_part_of_the_folder(collections, tmp_path):
    assert (report("explanation", tmp_path / "run", data=collections[0], image_size=64,
                   label_fraction=1.0, occluded=2, epochs=2, preset="best", device="cpu",
                   overrides=("{bootstrap: 20, labelled_batch_size: 8, unlabelled_batch_size: 16, "
                              "rehearsal_phantoms: 40}"))
            == 0)
    check_run(
        tmp_path / "run", ("cam_pointing_game", "cam_energy_in_mask", "brain_mask_tumour_inside"))
    # Its model knows three classes; the subtypes of its slices are looked for in these.
    assert (report("subtypes", tmp_path / "subtypes", model=tmp_path / "run", largest=3, claimed=2,
                   draws=4, device="cpu") == 0)
    record = check_run(tmp_path / "subtypes", ())
    assert set(record["data"]["counts"]["train"]) == {"glioma", "meningioma", "pituitary"}


@pytest.mark.nightly
def test_a_folder_without_masks_is_one_sentence(phantom_tree, tmp_path, capfd):
    assert report("segmentation", tmp_path / "run", data=phantom_tree, device="cpu") == 1
    last = capfd.readouterr().err.strip().splitlines()[-1]
    assert "must hold slices with masks; got none" in last


def test_misspelt_parameters_leave_nothing(tmp_path, capfd):
    for notebook in ("train", "segmentation", "explanation", "companions", "subtypes",
                     "skull_stripping", "ood"):
        assert report(notebook, tmp_path / "run", imagesize=64) == 2
        message = capfd.readouterr().err
        assert "Unknown setting 'imagesize'" in message and "The settings are: " in message
    assert not (tmp_path / "run").exists()


@pytest.mark.nightly
def test_subtypes_and_companions_on_a_few_phantoms(tmp_path):
    few = ("{phantom_patients: 8, phantom_slices: 3, phantom_size: 64, image_size: 32, "
           "bootstrap: 20, labelled_batch_size: 8, unlabelled_batch_size: 16}")
    assert (report("subtypes", tmp_path / "subtypes", epochs=1, largest=3, claimed=2, draws=4,
                   label_fraction=0.5, device="cpu", overrides=few) == 0)
    check_run(tmp_path / "subtypes", ())
    assert (report("companions", tmp_path / "companions", epochs=1, epochs_a=1, epochs_b=1,
                   fine_tuning_epochs=1, domain_epochs=1, label_fraction=0.5, device="cpu",
                   overrides=few) == 0)
    record = check_run(tmp_path / "companions", ("companion_a_accuracy", "companion_b_accuracy"))
    assert set(record["results"]["ablation"]) == {
        "maxima, not stripped", "attention, not stripped", "maxima, stripped: paper",
        "maxima, stripped: synth", "maxima, brain mask alone"}


@pytest.mark.nightly
def test_the_brain_mask_is_trained_and_judged(collections, tmp_path):
    assert (report("skull_stripping", tmp_path / "run", data=collections[0], heads=8, steps=2,
                   test_patients=2) == 0)
    record = check_run(tmp_path / "run", ("brain_mask_tumour_inside", "brain_mask_dice_axial"))
    assert record["results"]["brain_mask_empty"] == 0


def test_a_study_trains_and_measures(report_settings, tmp_path):
    """Three cells of one study, on every change: the others run nightly."""
    few = ("{bootstrap: 20, supervised_epochs: 1, round_epochs: 1, labelled_batch_size: 8, "
           "unlabelled_batch_size: 16, rehearsal_batch_size: 0}")
    methods = ["supervised baseline", "supervised baseline from phantoms", "joint training"]
    settings = dict(data=report_settings["data"], external=report_settings["external"],
                    labels="0.5", epochs=2, image_size=32, split="sources", device="cpu",
                    overrides=few)
    assert report("label_efficiency", tmp_path / "run", methods=", ".join(methods), **settings) == 0
    cells = pd.read_csv(tmp_path / "run" / "tables" / "cells.csv")
    assert list(cells.method) == methods
    assert cells.accuracy.between(0, 1).all()
    # the teacher, which comes with its student, is scored on the other collection too
    assert cells["andere Klinik_auc"].between(0, 1).all()
    assert "clean_accuracy" not in cells  # no group is divided: every test slice is clean
    assert len(list((tmp_path / "run" / "cells").iterdir())) == 3
    check_run(tmp_path / "run", ())


@pytest.mark.nightly
def test_a_teacher_scores_as_when_it_is_trained_alone(report_settings, tmp_path):
    few = ("{bootstrap: 20, supervised_epochs: 1, round_epochs: 1, labelled_batch_size: 8, "
           "unlabelled_batch_size: 16, rehearsal_batch_size: 0}")
    settings = dict(data=report_settings["data"], external=report_settings["external"],
                    labels="0.5", epochs=2, image_size=32, device="cpu", overrides=few)
    alone = "supervised baseline from phantoms"
    found = {}
    for name, methods in {"alone": alone, "beside": f"{alone}, joint training"}.items():
        assert report("label_efficiency", tmp_path / name, methods=methods, **settings) == 0
        cells = pd.read_csv(tmp_path / name / "tables" / "cells.csv").set_index("method")
        found[name] = cells.loc[alone, ["accuracy", "source_recall", "andere Klinik_auc"]]
    assert np.allclose(found["alone"].astype(float), found["beside"].astype(float))


@pytest.mark.nightly
@pytest.mark.parametrize("labels, cells_expected", [("0.5, all", 7), ("0.5, 2, 0, all", 12)])
def test_label_efficiency_goes_on_cell_by_cell(
    phantom_tree, tmp_path, capfd, labels, cells_expected):
    out = tmp_path / "run"
    few = (
        "{bootstrap: 20, supervised_epochs: 1, round_epochs: 1, labelled_batch_size: 8, "
                    "unlabelled_batch_size: 16, rehearsal_phantoms: 40}")
    settings = dict(data=phantom_tree, labels=labels, ablations="no flip at test time",
                    ablation_labels=0.5, epochs=2, image_size=32, device="cpu", overrides=few)
    assert report("label_efficiency", out, part="2/2", **settings) == 0  # every second cell
    half = {path.name: path.stat().st_mtime_ns for path in (out / "cells").iterdir()}
    assert cells_expected // 2 <= len(half) < cells_expected  # a teacher comes with its student
    assert (report("label_efficiency", out, **settings) == 1
            and "pass resume=True" in capfd.readouterr().err)
    assert report("label_efficiency", out, resume=True, **settings) == 0
    cells = pd.read_csv(out / "tables" / "cells.csv")
    assert len(cells) == len(list((out / "cells").iterdir())) == cells_expected
    assert all((out / "cells" / name).stat().st_mtime_ns == time for name, time in half.items())
    amounts = {np.inf if amount == "all" else float(amount) for amount in labels.split(", ")}
    assert cells.filter(like="accuracy").stack().between(0, 1).all()
    assert set(cells.amount) == amounts
    check_run(out, ())
    ladder = pd.read_csv(out / "tables" / "ablations.csv").set_index("method")
    assert ladder.change["joint training"] == 0 and np.isclose(
        ladder.change["no flip at test time"],
        ladder.accuracy["no flip at test time"] - ladder.accuracy["joint training"])


@pytest.mark.nightly
def test_parts_of_a_study_come_together(phantom_tree, tmp_path):
    """Train in two run directories as two processes do, and only draw in the third."""
    few = ("{bootstrap: 20, supervised_epochs: 1, round_epochs: 1, labelled_batch_size: 8, "
           "unlabelled_batch_size: 16, rehearsal_batch_size: 0}")
    settings = dict(data=phantom_tree, labels="0.5, 2", epochs=2, image_size=32, device="cpu",
                    methods="supervised baseline from phantoms, joint training", overrides=few)
    for name, part in (("a", "1/2"), ("b", "2/2")):
        assert report("label_efficiency", tmp_path / name, part=part, **settings) == 0
        assert len(list((tmp_path / name / "cells").iterdir())) == 2  # a student and its teacher
    parts = f"['{tmp_path / 'a'}', '{tmp_path / 'b'}']"
    assert report("label_efficiency", tmp_path / "all", finished_in=parts, **settings) == 0
    cells = pd.read_csv(tmp_path / "all" / "tables" / "cells.csv")
    apart = pd.concat([pd.read_csv(tmp_path / name / "tables" / "cells.csv") for name in "ab"])
    columns = ["method", "amount", "accuracy", "seconds"]
    assert cells[columns].sort_values(columns[:2]).reset_index(drop=True).equals(
        apart[columns].sort_values(columns[:2]).reset_index(drop=True))


@pytest.mark.nightly
def test_label_efficiency_names_what_it_does_not_know(phantom_tree, tmp_path, capfd):
    settings = dict(data=phantom_tree, labels="0.5", epochs=2, image_size=32, device="cpu")
    assert report("label_efficiency", tmp_path / "none", **settings | {"methods": "magic"}) == 1
    assert "methods and ablations must be known names; got 'magic'" in capfd.readouterr().err
    assert report("label_efficiency", tmp_path / "none", **settings | {"labels": "0.5, few"}) == 1
    assert "labels must be numbers or all; got 'few'" in capfd.readouterr().err


@pytest.mark.nightly
def test_labelling_keeps_finished_chains(phantom_tree, tmp_path, capfd):
    out = tmp_path / "run"
    settings = dict(data=phantom_tree, budgets="4, 8", image_size=32, device="cpu",
                    overrides=("{bootstrap: 20, supervised_epochs: 1, labelled_batch_size: 8, "
                               "unlabelled_batch_size: 16, rehearsal_phantoms: 40}"))
    assert report("active_learning", out, part="1/2", **settings) == 0  # the list's chain alone
    chains = {path.name: path.stat().st_mtime_ns for path in (out / "chains").iterdir()}
    assert len(chains) == 1
    assert report("active_learning", out, resume=True, **settings) == 0
    assert all((out / "chains" / name).stat().st_mtime_ns == time for name, time in chains.items())
    rounds = pd.read_csv(out / "tables" / "rounds.csv")
    assert set(zip(rounds.kind, rounds.labels)) == {
        (kind, n) for kind in ("the list", "chance") for n in (4, 8)}
    assert len(pd.read_csv(out / "tables" / "first_list.csv")) == 16
    check_run(out, ())
    assert report("active_learning", tmp_path / "none", **settings | {"budgets": "4, 10000"}) == 1
    assert "training slices to label" in capfd.readouterr().err


@pytest.mark.nightly
def test_rare_populations_counts_their_labels(tmp_path, capfd):
    out = tmp_path / "run"
    settings = dict(budgets="4, 8", repeats=2, rare_fraction=0.1, device="cpu",
                    overrides="{phantom_patients: 12}")
    assert report("rare_populations", out, **settings) == 0
    summary = pd.read_csv(out / "tables" / "summary.csv")
    assert set(summary.labels) == {4, 8}
    assert {"list", "unweighted cells", "most different", "k-centre", "BADGE", "ProbCover",
            "TypiClust", "chance by group", "chance"} == set(summary.strategy)
    assert (summary["meningioma of clinic"] <= summary.labels).all()
    rounds = pd.read_csv(out / "tables" / "rounds.csv")
    assert (rounds.groupby(["strategy", "labels"]).repeat.nunique() == 2).all()
    # each repeat has a pool of its own, so that a strategy without chance varies as well
    assert rounds[rounds.strategy == "k-centre"].groupby("repeat").accuracy.mean().nunique() == 2
    check_run(out, ())
    assert report("rare_populations", tmp_path / "none", **settings | {"budgets": "4, 10000"}) == 1
    assert "groups of the pool" in capfd.readouterr().err


@pytest.mark.nightly
def test_pseudo_labels_keeps_its_baselines(phantom_tree, tmp_path, capfd):
    out = tmp_path / "run"
    settings = dict(data=phantom_tree, labels="2", image_size=32, device="cpu",
                    overrides="{supervised_epochs: 1, labelled_batch_size: 8, "
                              "supervised_rehearsal: False, unlabelled_batch_size: 16}")
    assert report("pseudo_labels", out, **settings) == 0
    kept = {path.name: path.stat().st_mtime_ns for path in (out / "baselines").glob("*.npz")}
    assert len(kept) == 1
    assert report("pseudo_labels", out, resume=True, **settings | {"draws": 2}) == 0
    assert all((out / "baselines" / name).stat().st_mtime_ns == time
               for name, time in kept.items())
    cells = pd.read_csv(out / "tables" / "cells.csv")
    assert set(cells.draw) == {0, 1} and set(cells.labels) == {8}
    assert {"head", "mixture", "label spreading", "with phantom weights"} < set(cells.method)
    assert set(cells.pile) == {"whole", "skewed"}
    assert cells[["unlabelled", "confident", "by_source"]].stack().between(0, 1).all()
    check_run(out, ())
    assert report("pseudo_labels", tmp_path / "none", **settings | {"split": "random"}) == 1
    assert "split 'given' or 'sources'; got" in capfd.readouterr().err


@pytest.mark.nightly
def test_pretraining_draws_trains_and_judges(phantom_tree, tmp_path):
    assert (report("pretraining", tmp_path / "run", data=phantom_tree, heads=40, pictures=1,
                   pretraining_epochs=1, image_size=64, device="cpu", overrides="{bootstrap: 20}")
            == 0)
    record = check_run(
        tmp_path / "run",
        ("head, phantom weights", "clusters, random weights", "linear probe, phantom weights"))
    # the package's weights: a fourth is chance
    assert record["results"]["head, phantom weights"] > .5
    assert (tmp_path / "run" / "phantom_encoder.safetensors").stat().st_size > 100_000


@pytest.mark.nightly
def test_speed_is_measured_on_a_few_phantoms(tmp_path):
    assert (
        report("speed", tmp_path / "run", image_size=32, batch_size=8, steps=1, repeats=2, files=8,
               slices="40, 16", growth="40, 80", device="cpu") == 0)
    results = json.loads((tmp_path / "run" / "run.json").read_text())["results"]
    assert 0 < results["forward_backward_share"] <= 1
    for name in ("throughput_ratio", "preprocess_efficiency", "paper_preset_minutes"):
        assert results[name] > 0, name
    assert list(pd.read_csv(tmp_path / "run" / "tables" / "growth.csv").slices) == [40, 80]


@pytest.mark.nightly
def test_recipes_are_compared_inside_and_outside(tmp_path, capfd):
    """Two recipes, each in a run of its own; what has ended is not trained again."""
    few = ("{phantom_patients: 8, phantom_slices: 2, phantom_size: 64, bootstrap: 20, "
           "baselines: false, supervised_baseline: false, encoder: autoencoder}")
    settings = dict(epochs=2, image_size=32, device="cpu", recipes="preset, all labels",
                    overrides=few)
    out = tmp_path / "run"
    assert report("external", out, **settings) == 0
    table = pd.read_csv(out / "tables" / "recipes.csv")
    assert list(table["recipe"]) == ["preset", "all labels"]
    assert set(table["collection"]) == {"another scanner"} and (table["seen"] == 0).all()
    record = check_run(out, ())
    assert record["results"]["preset: external_another scanner_auc"] == table["auc"][0]
    ended = (out / "recipes" / "preset" / "run.json").stat().st_mtime_ns
    assert report("external", out, resume=True, **settings) == 0
    assert (out / "recipes" / "preset" / "run.json").stat().st_mtime_ns == ended
    assert report("external", tmp_path / "none", **settings | {"recipes": "magic"}) == 1
    assert "recipes must be among preset, whole slices" in capfd.readouterr().err
    assert report("external", tmp_path / "none", data=out / "another scanner", epochs=2) == 1
    assert "external must name folders of labelled scans" in capfd.readouterr().err


@pytest.mark.nightly
def test_one_source_is_left_out_at_a_time(tmp_path, capfd):
    """Train with both scanners and without each; then find the scanners that nobody names."""
    few = ("{phantom_slices: 2, phantom_size: 64, phantom_patients: 40, bootstrap: 20, "
           "init: phantom}")
    settings = dict(epochs=2, image_size=32, device="cpu", overrides=few)
    out = tmp_path / "run"
    assert report("leave_one_source_out", out, **settings) == 0
    rows = pd.read_csv(out / "tables" / "left_out.csv")
    assert list(zip(rows.source, rows.training)) == [
        (f"{name} scanner", training) for name in ("first", "second")
        for training in ("with", "without")]
    assert (rows.trained[rows.training == "without"] == 0).all()
    assert (rows.trained[rows.training == "with"] > 0).all()
    pairs = rows.groupby("source")[["slices", "groups", "tumours"]].nunique()
    assert (pairs == 1).all(axis=None)
    record = check_run(out, ("left_out_first scanner_auc", "with_second scanner_auc"))
    assert record["results"]["gain_first scanner_auc"] == pytest.approx(rows.auc[0] - rows.auc[1])
    ended = {path: path.stat().st_mtime_ns for path in out.glob("trainings/*/run.json")}
    assert len(ended) == 3
    assert report("leave_one_source_out", out, resume=True, **settings) == 0
    assert all(path.stat().st_mtime_ns == time for path, time in ended.items())
    tested = [set(part[part.split == "test"].path) for part in map(
        pd.read_parquet, out.glob("trainings/*/scans.parquet"))]
    assert tested[0] == tested[1] == tested[2]
    # two classes, and no source named
    labels = out / "two scanners" / "labels.csv"
    table = pd.read_csv(labels).drop(columns="source")
    table["label"] = table["label"].where(table["label"] == "notumor", "tumor")
    table.to_csv(labels, index=False)
    again = dict(data=labels.parent, classes="[notumor, tumor]", sources_left_out="source 2",
                 preset="demo", epochs=2, image_size=32, device="cpu", label_fraction=.5,
                 overrides="{bootstrap: 20, init: phantom}")
    assert report("leave_one_source_out", tmp_path / "found", **again) == 0
    found = check_run(tmp_path / "found", ("left_out_source 2_auc", "with_source 2_auc"))
    assert "Nobody names the sources: 2 were found in what is not brain." in found["notes"]
    named = pd.read_csv(tmp_path / "found" / "found_sources.csv")
    assert pd.crosstab(named.path.str.split("/").str[0], named.source).astype(
        bool).sum().tolist() == [1, 1]
    assert report("leave_one_source_out", tmp_path / "none", **again | {
        "sources_left_out": "Pune"}) == 1
    assert "sources that can be judged; Pune: unknown" in capfd.readouterr().err
    assert report("leave_one_source_out", tmp_path / "none", held_out="some.csv") == 1
    assert "held_out is written by leave_one_source_out" in capfd.readouterr().err
