"""Properties of brainclust.runs.named_clusters."""
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from assertions import drawn_figure, figure_text, refused

from brainclust.core.config import make_config
from brainclust.core.files import load_table, save_tensors
from brainclust.imaging.slice_cache import build_slice_cache
from brainclust.runs import named_clusters
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


def fill(table: pd.DataFrame, scans: pd.DataFrame, file: Path, **options) -> pd.DataFrame:
    """Write beside every component the true class of its nearest slice, and save the table."""
    truth = dict(zip(scans.path, scans.true_label))
    filled = table.assign(label=[CLASSES[truth[path]] for path in table.path])
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
        names = named_clusters.read_names(tmp_path / f"{number}.csv", CLASSES, 16)
        named = named_clusters.name_slices(run, names, CLASSES)
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
    names = named_clusters.read_names(tmp_path / "named.csv", CLASSES, 16)
    named = named_clusters.name_slices(run, names, CLASSES)
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


def test_a_resumed_run_keeps_the_labels_of_a_person(made, tmp_path):
    """Keep labels of the same slices, and start over with other slices."""
    run, scans, _, found, table = made
    filled = fill(table, scans, tmp_path / "clusters.csv", sep=";")
    named_clusters.save_clusters(tmp_path, found, table)
    assert list(pd.read_csv(tmp_path / "clusters.csv").label) == list(filled.label)
    named_clusters.save_clusters(tmp_path, found, table.assign(path=table.path + "x"))
    assert pd.read_csv(tmp_path / "clusters.csv").label.isna().all()


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
    read = lambda: refused(named_clusters.read_names, file, CLASSES, len(table))
    filled = fill(table, scans, file)
    filled.assign(label="lymphoma").to_csv(file, index=False)
    assert "'lymphoma'" in read()
    filled.assign(component=filled.component + 1).to_csv(file, index=False)
    assert f"from 0 to {len(table) - 1}" in read()
    filled.assign(component=0).to_csv(file, index=False)
    assert "each once" in read()
    table.to_csv(file, index=False)
    assert "at least one" in read()
    filled.drop(columns="component").to_csv(file, index=False)
    assert "'component'" in read()
    filled.drop(columns="label").to_csv(file, index=False)
    assert "label" in read()
    file.write_bytes(b"\x00\xff\x00")
    assert read()


def test_damaged_components_are_refused(made, tmp_path):
    """Refuse a missing file, other arrays, and components of other slices."""
    run, scans, _, found, _ = made
    assert "label_fraction 0" in refused(named_clusters.load_clusters, tmp_path)
    file = tmp_path / "over_clusters.safetensors"
    arrays = {f"mixture.{name}": np.asarray(part) for name, part in vars(found.mixture).items()}
    arrays |= {"space.shift": found.space.shift, "space.matrix": found.space.matrix,
               "components": found.components}
    without = lambda name: {key: value for key, value in arrays.items() if key != name}
    for broken in ({"components": found.components}, without("components"),
                   without("space.shift"), without("mixture.means"),
                   arrays | {"space.matrix": found.space.matrix[1:]},
                   arrays | {"space.shift": found.space.shift * np.nan},
                   arrays | {"components": found.components + 50},
                   arrays | {"components": found.components.astype(np.float32)}):
        save_tensors(file, broken)
        assert "again" in refused(named_clusters.load_clusters, tmp_path)
    save_tensors(file, arrays | {"components": found.components[1:]})
    shutil.copy(run / "scans.parquet", tmp_path)
    assert "components of its" in refused(named_clusters.name_slices, tmp_path, np.zeros(16, int),
                                          CLASSES)
    file.write_bytes(file.read_bytes()[:-20])
    assert refused(named_clusters.load_clusters, tmp_path)


def test_the_command_predicts_the_run_and_another_folder(made, tmp_path, capsys):
    """Write every slice, the slices that were looked at, and those of a folder; refuse the rest."""
    run, scans, _, _, table = made
    filled = fill(table, scans, tmp_path / "named.csv")
    words = [str(run), "--clusters", str(tmp_path / "named.csv"), "--device", "cpu", "--out"]
    assert named_clusters.name_command([*words, str(tmp_path / "all.csv")]) == 0
    assert f"{len(scans)} slices in" in capsys.readouterr().out
    every = pd.read_csv(tmp_path / "all.csv")
    assert named_clusters.name_command([*words, str(tmp_path / "own.csv"), "--looked-at"]) == 0
    seen = pd.read_csv(tmp_path / "own.csv").set_index("path")
    assert seen.label.to_dict() == dict(zip(filled.path, filled.label))
    other = ["--folder", str(run.parent / "slices")]
    assert named_clusters.name_command([*words, str(tmp_path / "new.csv"), *other]) == 0
    both = every.merge(pd.read_csv(tmp_path / "new.csv"), on="path")
    assert len(both) == len(scans)
    assert (both.component_x == both.component_y).mean() > .95
    assert named_clusters.name_command([*words, str(tmp_path / "x.csv"), *other,
                                        "--looked-at"]) == 2
    assert named_clusters.name_command([str(tmp_path)]) == 2
    printed = capsys.readouterr().err
    assert printed.count("brainclust-name: ") == 2
    assert not (tmp_path / "x.csv").exists()


def test_slices_of_a_folder_get_the_components_of_the_run(made):
    """Embed the same files again, and find the components they had."""
    run, scans, _, found, table = made
    names = np.arange(16) % 4
    named = named_clusters.name_folder(run, names, CLASSES, run.parent / "slices", "cpu")
    assert {*named.columns} >= {"path", "component", "label"}
    assert list(named.label) == [CLASSES[k % 4] for k in named.component]
