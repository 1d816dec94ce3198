"""Properties of brainclust.runs.named_clusters and brainclust.runs.cluster_names."""
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from assertions import drawn_figure, figure_text, refused
from commands import name_command

from brainclust.core.config import make_config
from brainclust.core.files import load_table, save_table, save_tensors
from brainclust.data.scan_table import read_scan_table
from brainclust.imaging.slice_cache import build_slice_cache
from brainclust.runs import cluster_names, named_clusters
from brainclust.runs.example_run import example_run
from brainclust.runs.predictor import Predictor

CLASSES = ("glioma", "meningioma", "notumor", "pituitary")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run on phantoms with its components: folder, scans, images, components, their table."""
    folder = tmp_path_factory.mktemp("named")
    run = example_run(folder, patients_per_class=12)
    scans = load_table(run / "scans.parquet")
    images = build_slice_cache(scans, folder / "cache", 64, "none")
    seen = Predictor(run, "cpu", "32-true").outputs(images[:, 0])
    train = np.flatnonzero(scans.split == "train")
    found = named_clusters.cluster_slices(images, seen["embeddings"], seen["probabilities"],
                                          train, scans, make_config("best"))
    table = named_clusters.clusters_table(found, scans, CLASSES)
    named_clusters.save_clusters(run, found, table)
    return run, scans, images, found, table


def read(file: Path, table: pd.DataFrame) -> np.ndarray:
    """Read a person's names of the components of `table`."""
    return cluster_names.read_names(file, table, CLASSES, 16)


def fill(table: pd.DataFrame, scans: pd.DataFrame, file: Path, **options) -> pd.DataFrame:
    """Write beside every component the true class of its nearest slice, and save the table."""
    keys = ["path"] if "frame" not in table else ["path", "frame"]
    truth = dict(zip(zip(*(scans[key] for key in keys)), scans.true_label))
    filled = table.assign(label=[CLASSES[truth[key]] for key in zip(*(table[key] for key in keys))])
    filled.to_csv(file, index=False, **options)
    return filled


def test_a_head_knows_classes_from_phantoms_alone():
    """Name components only by a head that phantoms have taught these classes."""
    best = make_config("best")
    assert named_clusters.knows_phantoms(best)
    assert named_clusters.knows_phantoms(replace(best, init="random"))  # it rehearses
    assert not named_clusters.knows_phantoms(
        replace(best, init="random", rehearsal_batch_size=0))
    assert not named_clusters.knows_phantoms(replace(best, classes=("yes", "no"), n_clusters=2))


def test_every_slice_has_a_component_and_every_component_a_training_slice(made):
    """List each component once, with its number of slices and a training slice."""
    _, scans, _, found, table = made
    assert table["slices"].sum() == len(scans) == len(found.components)
    assert table["component"].is_unique
    assert set(scans.set_index("path").split[table.path]) == {"train"}
    assert set(table.suggested) <= set(CLASSES)
    assert (table.label == "").all()
    unnamed = named_clusters.clusters_table(found._replace(names=None), scans, CLASSES)
    assert (unnamed.suggested == "").all()


def test_names_come_back_from_every_spreadsheet(made, tmp_path):
    """Predict every slice by its component, whatever separates the columns."""
    run, scans, _, found, table = made
    for number, sep in enumerate(",;\t"):
        filled = fill(table, scans, tmp_path / f"{number}.csv", sep=sep)
        names = read(tmp_path / f"{number}.csv", table)
        named = cluster_names.name_slices(found, scans, names, CLASSES)
        expected = dict(zip(filled.component, filled.label))
        assert list(named.label) == [expected[k] for k in found.components]
        assert list(named.path) == list(scans.path)


def test_scores_are_those_of_the_predictions(made, tmp_path):
    """Score a person's names as the table that a person would get."""
    run, scans, _, found, table = made
    test = np.flatnonzero(scans.split == "test")
    predictions = pd.DataFrame({"y_true": np.array(CLASSES)[scans.true_label.iloc[test]],
                                "group": scans.group.iloc[test].to_numpy(), "clean": True})
    scores = named_clusters.score_named(found, predictions, scans.true_label.to_numpy(), test,
                                        CLASSES, draws=20)
    results = named_clusters.named_results(found, scores)
    fill(table, scans, tmp_path / "named.csv")
    named = cluster_names.name_slices(found, scans, read(tmp_path / "named.csv", table), CLASSES)
    right = (named.label.iloc[test].to_numpy() == predictions.y_true).mean()
    assert results["named_by_person_accuracy"] == pytest.approx(right)
    suggested = dict(zip(table.component, table.suggested))
    by_head = np.array([suggested[k] for k in found.components[test]])
    assert results["named_by_phantoms_accuracy"] == pytest.approx(
        (by_head == predictions.y_true).mean())
    low, high = results["named_by_person_interval"]
    assert 0 <= low <= right <= high <= 1
    nobody = named_clusters.score_named(found._replace(names=None), predictions,
                                        np.full(len(scans), -1), test, CLASSES, draws=20)
    assert named_clusters.named_results(found, nobody) == {"named_components": len(table)}


@pytest.mark.parametrize("sep", [",", ";", "\t"])
@pytest.mark.parametrize("framed", [False, True])
def test_a_saved_table_describes_the_same_slices(made, tmp_path, sep, framed):
    """Find component, path and frame again, and labels where there is a file."""
    *_, table = made
    table = table.assign(frame=np.arange(len(table)) % 3) if framed else table
    table = table.assign(label="glioma")
    table[::-1].to_csv(tmp_path / "clusters.csv", index=False, sep=sep)
    rows = named_clusters.read_clusters_table(tmp_path / "clusters.csv")
    here, there = (named_clusters.shown_slices(part) for part in (table, rows[::-1]))
    assert here.equals(there)
    assert list(here.index) == [str(k) for k in table.component]
    assert here.str.contains(", frame ").all() == framed
    unlabelled = table.assign(label="")
    kept, sentence = named_clusters.keep_labels(tmp_path / "clusters.csv", unlabelled)
    assert kept.equals(table) and sentence == ""
    kept, sentence = named_clusters.keep_labels(tmp_path / "absent.csv", unlabelled)
    assert kept.equals(unlabelled) and sentence == ""


def test_only_slices_looked_at_keep_a_label(made):
    """Keep one label of each component, and the patients if any are known."""
    _, scans, _, found, table = made
    named = cluster_names.name_slices(found, scans, np.arange(16) % 4, CLASSES)
    kept = cluster_names.keep_looked_at(named, found, scans)
    assert set(np.flatnonzero(kept.label != "")) == set(found.first)
    assert (kept.label[found.first].to_numpy()
            == named_clusters.as_classes(table.component % 4, CLASSES)).all()
    assert list(kept.patient) == list(scans.patient)
    assert "patient" not in cluster_names.keep_looked_at(named, found, scans.assign(patient=""))
    assert list(named_clusters.as_classes(np.array([-1, 3]), CLASSES)) == ["", "pituitary"]


def labels_of(file: Path) -> dict[int, str]:
    """Read the labels of a saved table by component."""
    table = pd.read_csv(file, keep_default_na=False)
    return dict(zip(table.component, table.label))


@pytest.mark.parametrize("sep", [",", ";"])
def test_a_resumed_run_keeps_the_labels_of_a_sorted_table(made, tmp_path, sep):
    """Keep labels of the same components, whatever the order of rows and columns."""
    _, scans, _, found, table = made
    filled = fill(table, scans, tmp_path / "all.csv")
    filled.loc[1, "label"] = ""
    edited = filled.sort_values("slices")[["label", "path", "component"]].assign(remark="clear")
    edited.to_csv(tmp_path / "clusters.csv", index=False, sep=sep)
    notes = named_clusters.save_clusters(tmp_path, found, table)
    assert labels_of(tmp_path / "clusters.csv") == dict(zip(filled.component, filled.label))
    assert len(notes) == 1
    assert notes[0].startswith("Components without a class: 1.")
    assert not list(tmp_path.glob("*.bak*"))


def test_labels_that_fit_no_component_are_kept_aside(made, tmp_path):
    """Keep the earlier table under another name if a label is of another slice."""
    _, scans, _, found, table = made
    filled = fill(table, scans, tmp_path / "all.csv")
    filled.loc[2, "path"] = "another.png"
    for name in ("clusters.csv.bak", "clusters.csv.bak1"):
        filled.to_csv(tmp_path / "clusters.csv", index=False)
        notes = named_clusters.save_clusters(tmp_path, found, table)
        assert f"{name}, because" in notes[0] and "(1 not taken over)" in notes[0]
        assert (tmp_path / name).read_text() == filled.to_csv(index=False)
        expected = dict(zip(filled.component, filled.label)) | {filled.component[2]: ""}
        assert labels_of(tmp_path / "clusters.csv") == expected


@pytest.mark.parametrize("column", ["label", "component", "path"])
def test_a_table_without_a_column_does_not_fail_a_resumed_run(made, tmp_path, column):
    """Set a table aside that cannot be read, and write a new one."""
    _, scans, _, found, table = made
    filled = fill(table, scans, tmp_path / "all.csv").drop(columns=column)
    filled.to_csv(tmp_path / "clusters.csv", index=False)
    notes = named_clusters.save_clusters(tmp_path, found, table)
    assert f"'{column}'" in notes[0] and "clusters.csv.bak" in notes[0]
    assert set(labels_of(tmp_path / "clusters.csv").values()) == {""}
    assert (tmp_path / "clusters.csv.bak").exists()


def test_the_figure_shows_every_component(made):
    """Write the number and size of every component, with and without suggestions."""
    _, _, images, found, table = made
    for names in (found.names, None):
        figure = drawn_figure(named_clusters.plot_clusters_to_name, images,
                              found._replace(names=names), CLASSES)
        text = figure_text(figure)
        assert all(f"component {k}" in text for k in table.component)
        assert ("nothing is suggested" in text.replace("\n", " ")) == (names is None)


def test_tables_that_name_nothing_or_too_much_are_refused(made, tmp_path):
    """Refuse unknown classes, unknown, doubled and unnamed components, and other tables."""
    _, scans, _, _, table = made
    file = tmp_path / "named.csv"
    reason = lambda: refused(read, file, table)
    filled = fill(table, scans, file)
    filled.assign(label="lymphoma").to_csv(file, index=False)
    assert "'lymphoma'" in reason()
    filled.assign(component=filled.component + 1).to_csv(file, index=False)
    assert "components of this run" in reason()
    filled.assign(component=0).to_csv(file, index=False)
    assert "each once" in reason()
    table.to_csv(file, index=False)
    assert "at least one" in reason()
    for column in ("component", "label"):
        filled.drop(columns=column).to_csv(file, index=False)
        assert f"'{column}'" in reason()
    file.write_bytes(b"\x00\xff\x00")
    assert reason()


def test_the_table_of_another_run_is_refused(made, tmp_path):
    """Refuse a table whose components show other slices, and accept one with fewer rows."""
    _, scans, _, _, table = made
    file = tmp_path / "named.csv"
    filled = fill(table, scans, file)
    number, slice_here, slice_there = filled.component[1], filled.path[1], filled.path[0]
    filled.loc[1, "path"] = slice_there
    filled.to_csv(file, index=False)
    sentence = refused(read, file, table)
    assert f"component {number} shows {slice_here}" in sentence and slice_there in sentence
    filled.drop(index=1).to_csv(file, index=False)
    assert read(file, table)[number] == -1
    framed = table.assign(frame=np.arange(len(table)))
    filled = framed.assign(label="glioma")
    filled.to_csv(file, index=False)
    assert (read(file, framed)[table.component] == 0).all()
    filled.assign(frame=filled.frame + 1).to_csv(file, index=False)
    assert "frame 1" in refused(read, file, framed)


def test_damaged_components_are_refused(made, tmp_path):
    """Refuse a missing file, other arrays, and components of other slices."""
    run, scans, _, found, _ = made
    assert "label_fraction 0" in refused(named_clusters.load_clusters, tmp_path)
    file = tmp_path / "over_clusters.safetensors"
    arrays = {f"mixture.{name}": np.asarray(part) for name, part in vars(found.mixture).items()}
    nearest = found.nearest[["component", "rank", "index"]].to_numpy()
    arrays |= {"space.shift": found.space.shift, "space.matrix": found.space.matrix,
               "components": found.components, "nearest": nearest}
    shutil.copy(run / "scans.parquet", tmp_path)
    save_tensors(file, arrays)
    assert named_clusters.load_clusters(tmp_path)[0].first.equals(found.first)
    without = lambda name: {key: value for key, value in arrays.items() if key != name}
    for broken in ({"components": found.components}, without("components"),
                   without("space.shift"), without("mixture.means"),
                   arrays | {"space.matrix": found.space.matrix[1:]},
                   arrays | {"space.shift": found.space.shift * np.nan},
                   arrays | {"components": found.components + 50},
                   arrays | {"components": found.components.astype(np.float32)},
                   without("nearest"), arrays | {"nearest": nearest[:, :2]},
                   arrays | {"nearest": nearest[::-1, ::-1].copy()},
                   arrays | {"nearest": np.concatenate([nearest, nearest])},
                   arrays | {"nearest": nearest + [0, 0, len(scans)]}):
        save_tensors(file, broken)
        assert "again" in refused(named_clusters.load_clusters, tmp_path)
    save_tensors(file, arrays)
    save_table(tmp_path / "scans.parquet", scans.iloc[1:].reset_index(drop=True))
    assert "components of its" in refused(named_clusters.load_clusters, tmp_path)
    file.write_bytes(file.read_bytes()[:-20])
    assert refused(named_clusters.load_clusters, tmp_path)


def test_the_command_predicts_the_run_and_another_folder(made, tmp_path, capsys):
    """Write every slice of the run, and those of a folder; refuse the rest."""
    run, scans, _, _, table = made
    fill(table, scans, tmp_path / "named.csv")
    words = [str(run), "--clusters", str(tmp_path / "named.csv"), "--device", "cpu", "--out"]
    assert name_command([*words, str(tmp_path / "all.csv")]) == 0
    assert f"{len(scans)} slices in {tmp_path / 'all.csv'}" in capsys.readouterr().out
    every = pd.read_csv(tmp_path / "all.csv")
    other = ["--folder", str(run.parent / "slices")]
    assert name_command([*words, str(tmp_path / "new.csv"), *other]) == 0
    both = every.merge(pd.read_csv(tmp_path / "new.csv"), on="path")
    assert len(both) == len(scans)
    assert (both.component_x == both.component_y).mean() > .95
    assert name_command([*words, str(tmp_path / "x.csv"), *other,
                                       "--looked-at"]) == 2
    assert name_command([*words, str(tmp_path / "named.csv")]) == 2
    assert name_command([str(tmp_path)]) == 2
    printed = capsys.readouterr().err
    assert printed.count("brainclust name: ") == 3
    assert not (tmp_path / "x.csv").exists()


def test_paths_from_the_home_folder_are_written_out(made, tmp_path, monkeypatch, capsys):
    """Write to a path that begins with ~, and print where it lies."""
    run, scans, _, _, table = made
    monkeypatch.setenv("HOME", str(tmp_path))
    fill(table, scans, tmp_path / "named.csv")
    words = [str(run), "--clusters", "~/named.csv", "--out", "~/new/all.csv"]
    assert name_command(words) == 0
    assert len(pd.read_csv(tmp_path / "new" / "all.csv")) == len(scans)
    assert str(tmp_path / "new" / "all.csv") in capsys.readouterr().out


def test_another_run_learns_from_the_slices_looked_at(made, tmp_path):
    """Read the table as labels.csv: sixteen labels at most, every slice, the same split."""
    run, scans, _, found, table = made
    filled = fill(table, scans, tmp_path / "named.csv")
    folder = tmp_path / "scans"
    shutil.copytree(run.parent / "slices", folder)
    words = [str(run), "--clusters", str(tmp_path / "named.csv"), "--looked-at", "--out"]
    assert name_command([*words, str(folder / "labels.csv")]) == 0
    again, unreadable = read_scan_table(folder)
    assert not len(unreadable)
    name = lambda paths: [Path(path).name for path in paths]
    labelled = again[again.label >= 0]
    assert (dict(zip(name(labelled.path), labelled.class_name))
            == dict(zip(name(filled.path), filled.label)))
    assert (dict(zip(name(again.path), zip(again.split, again.group)))
            == dict(zip(name(scans.path), zip(scans.split, scans.patient))))


def test_slices_of_volumes_are_looked_at_one_by_one(made, tmp_path, capsys):
    """Label one frame of a file, and no frame of a component without a name."""
    run, scans, _, found, _ = made
    stacked = scans.assign(path="head.nii.gz", frame=np.arange(len(scans)))
    volumes = tmp_path / "run"
    shutil.copytree(run, volumes)
    save_table(volumes / "scans.parquet", stacked)
    table = named_clusters.clusters_table(found, stacked, CLASSES)
    filled = fill(table, stacked, tmp_path / "named.csv")
    filled.loc[0, "label"] = ""
    filled.to_csv(tmp_path / "named.csv", index=False)
    words = [str(volumes), "--clusters", str(tmp_path / "named.csv"), "--looked-at", "--out"]
    assert name_command([*words, str(tmp_path / "own.csv")]) == 0
    assert "whole files" in capsys.readouterr().err
    own = pd.read_csv(tmp_path / "own.csv", keep_default_na=False)
    assert len(own) == len(scans)
    labels = own.set_index("frame").label
    assert (labels[labels != ""].to_dict()
            == filled.set_index("frame").label.drop(filled.frame[0]).to_dict())


def test_slices_of_a_folder_get_the_components_of_the_run(made):
    """Embed the same files again, and find the components they had."""
    run, scans, _, found, _ = made
    names = np.arange(16) % 4
    named = cluster_names.name_folder(run, found, names, CLASSES, run.parent / "slices", "cpu")
    assert sorted(named.path) == sorted(scans.path)
    components = dict(zip(scans.path, found.components))
    assert (named.component == named.path.map(components)).mean() > .95
    assert list(named.label) == [CLASSES[k % 4] for k in named.component]
