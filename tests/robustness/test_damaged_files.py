"""A file that is missing, cut short or changed in one bit is noticed, and rebuilt or refused.

A full or read-only disk is told in one sentence.
"""
import os
import random
import shutil
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from assertions import one_sentence
from conftest import TINY

from brainclust.app.collection import slices_of_run
from brainclust.core.config import make_config
from brainclust.core.files import load_arrays, load_table, save_json, save_table, save_tensors
from brainclust.core.style import save_figure
from brainclust.data.cleaning import find_pairs, prepare_scans
from brainclust.data.scan_table import read_scan_table
from brainclust.imaging.slice_cache import build_slice_cache
from brainclust.models.encoders import make_network
from brainclust.runs.comparison import read_run
from brainclust.runs.model_card import judged_slices
from brainclust.runs.ood import Calibration, save_reference
from brainclust.runs.predictor import Predictor
from brainclust.runs.run import Run, add_table, check_same_data, finish
from brainclust.synthetic.phantoms import write_phantoms
from brainclust.training.distributed import make_fabric
from brainclust.training.parts import embed_part
from brainclust.training.saved_model import load_model, save_model
from brainclust.training.self_training import load_all_outputs, load_outputs, train_jointly

CONFIG = make_config("demo", **{**TINY, "image_size": 64}, precision="32-true", clustering_epochs=1)


def network():
    return make_network("autoencoder", 4, 64, seed=0)


@pytest.fixture(scope="module")
def ended(tmp_path_factory, slices) -> Path:
    """A run directory with everything that later steps read."""
    data = slices[0]
    out = tmp_path_factory.mktemp("ended") / "run"
    fabric = make_fabric(torch.device("cpu"), "32-true")
    run = Run(make_config("demo", out=str(out)))
    run.resolve("cpu", "32-true")
    state = train_jointly(fabric, network(), data, CONFIG, out / "checkpoint" / "joint")
    save_model(out, state, data, CONFIG)
    save_reference(out, fabric, state.network, data, np.arange(len(data.images)),
                   Calibration(1.2, [.3] * 4))
    scans = pd.DataFrame(
        {"path": [f"{i}.png" for i in range(len(data.images))],
         "sha256": [f"{i:x}" for i in range(len(data.images))], "label": data.labels, "source": "",
         "plane": "", "true_label": data.truth,
         "split": np.where(np.isin(np.arange(len(data.images)), data.test), "test", "train")})
    run.write_parquet("scans.parquet", scans)
    names = np.array(["glioma", "meningioma", "notumor", "pituitary"])[data.truth[data.test]]
    add_table(run, "test_predictions",
              pd.DataFrame(
                  {"path": scans.path[data.test], "y_true": names, "y_pred": names, "group": names,
                   "clean": True}), "answers")
    add_table(run, "methods",
              pd.DataFrame([{"method": "head"} | {part + column: 1.0 for part in ("", "clean_")
                                                  for column in ("accuracy", "low", "high")}]),
              "methods")
    add_table(
        run, "pairs",
        pd.DataFrame({"path_a": ["a"], "path_b": ["b"], "kind": ["near"], "orientation": ["same"]}),
        "pairs")
    finish(run, {"slices": 3, "labelled": 1}, {"epoch": 2})
    return out


def damages(file: Path, number: random.Random, flips: int = 12):
    """Yield the file missing, empty, cut and with single bits turned, and put it back in the end.
    """
    whole = file.read_bytes()
    file.unlink()
    yield "missing"
    for length in {0, len(whole) // 2, len(whole) - 1}:
        file.write_bytes(whole[:length])
        yield f"cut at {length}"
    for _ in range(flips):
        bit = number.randrange(8 * len(whole))
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        file.write_bytes(changed)
        yield f"bit {bit}"
    file.write_bytes(whole)


READERS = {"model.safetensors": load_model, "model.json": load_model,
           "prediction.safetensors": lambda run: Predictor(run, "cpu", "32-true"),
           "prediction.json": lambda run: Predictor(run, "cpu", "32-true"),
           "scans.parquet": slices_of_run, "run.json": read_run, "tables/methods.csv": read_run,
           "tables/test_predictions.csv": judged_slices, "tables/pairs.csv": slices_of_run,
           "config.json": lambda run: Run(make_config("demo", out=str(run), resume=True)),
           "checkpoint/joint/epoch_002.safetensors": lambda run: load_outputs(
               run / "checkpoint" / "joint", 2),
           "checkpoint/joint/all_slices.safetensors": lambda run: load_all_outputs(
               run / "checkpoint" / "joint")}


@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_of_a_run_is_refused(ended, tmp_path, name):
    run = Path(shutil.copytree(ended, tmp_path / "run"))
    if name in ("scans.parquet", "tables/pairs.csv"):  # whose reader looks for the slices, too
        scans = load_table(run / "scans.parquet")
        (tmp_path / "a.png").touch()
        save_table(run / "scans.parquet", scans.assign(path=str(tmp_path / "a.png")))
    READERS[name](run)  # whole, it is read
    for damage in damages(run / name, random.Random(name)):
        if damage == "missing" and name == "tables/pairs.csv":
            continue  # a run need not have found pairs
        with pytest.raises(ValueError) as error:
            READERS[name](run)
        assert str(run) in one_sentence(error.value), damage
    READERS[name](run)


@pytest.mark.parametrize("name", ["state.json", "state_002.safetensors"])
def test_a_damaged_checkpoint_is_refused_and_can_be_made_again(ended, tmp_path, slices, name):
    fabric = make_fabric(torch.device("cpu"), "32-true")
    folder = Path(shutil.copytree(ended / "checkpoint" / "joint", tmp_path / "joint"))
    go_on = lambda: train_jointly(fabric, network(), slices[0], CONFIG, folder)
    whole = go_on()
    for damage in damages(folder / name, random.Random(name), flips=4):
        if damage == "missing" and name == "state.json":
            continue  # no checkpoint: training starts again, below
        with pytest.raises(ValueError) as error:
            go_on()
        assert f"delete {folder} and resume" in one_sentence(error.value), damage
    (folder / "state.json").unlink()
    again = go_on()
    assert all(torch.equal(value, again.network.state_dict()[key])
               for key, value in whole.network.state_dict().items())
    assert pd.DataFrame(again.history).equals(pd.DataFrame(whole.history))


def test_the_table_of_a_resumed_run_is_checked(ended, tmp_path):
    run = Run(make_config("demo", out=str(tmp_path / "run")))
    scans = load_table(ended / "scans.parquet")
    check_same_data(run, scans)
    check_same_data(run, scans)
    with pytest.raises(ValueError, match="The data differ"):
        check_same_data(run, scans.assign(label=0))
    for damage in damages(run.folder / "scans.parquet", random.Random(0)):
        if damage == "missing": continue  # it is written again
        with pytest.raises(ValueError) as error:
            check_same_data(run, scans)
        assert "scans.parquet is damaged" in one_sentence(error.value)


def test_damaged_caches_are_built_again(tmp_path, phantom_tree):
    table, _ = read_scan_table(phantom_tree, cache_folder=tmp_path)
    build = lambda: np.array(build_slice_cache(table, tmp_path / "slices", 32, "none"))
    whole = build()
    (folder,) = (tmp_path / "slices").iterdir()
    for name in ("images.npy", "settings.json"):
        for damage in damages(folder / name, random.Random(name)):
            assert np.array_equal(build(), whole), damage
    measured, pairs = find_pairs(table, cache_folder=tmp_path)
    for file in sorted((tmp_path / "measured").iterdir()):
        for damage in damages(file, random.Random(file.name.split("-")[0]), flips=6):
            again = find_pairs(table, cache_folder=tmp_path)
            assert again[0].equals(measured) and again[1].equals(pairs), damage


def test_damaged_phantoms_are_drawn_again(tmp_path):
    draw = lambda: write_phantoms(tmp_path / "drawn", 2, 1, 64, 0, .5)
    content = lambda: {
        file.name: file.read_bytes() for file in sorted(draw().rglob("*")) if file.is_file()}
    whole = content()
    for name in ("labels.csv", "images", "brain_masks"):
        file = tmp_path / "drawn" / name
        file = file if file.is_file() else sorted(file.iterdir())[0]
        for damage in damages(file, random.Random(name), flips=3):
            assert content() == whole, (name, damage)
    assert [path.name for path in tmp_path.iterdir()] == ["drawn"]


def test_an_embedded_part_is_made_again_if_it_is_damaged(ended, tmp_path, phantom_tree):
    table = read_scan_table(phantom_tree, cache_folder=tmp_path)[0][:6]
    target = tmp_path / "part.safetensors"
    embed_part(table, ended, target, device="cpu")
    whole = load_arrays(target)
    for damage in damages(target, random.Random(0), flips=2):
        embed_part(table, ended, target, device="cpu")
        assert all(
            np.array_equal(value, whole[name]) for name, value in load_arrays(target).items()
        ), damage


@pytest.fixture
def disk(tmp_path):
    """A disk of one megabyte that can be made read-only."""
    place = tmp_path / "disk"
    place.mkdir()
    if (os.name == "nt"
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True
        ).returncode):
        pytest.skip("no right to mount a small disk")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


WRITERS = {
    "numbers": lambda folder: save_tensors(
        folder / "a.safetensors", {"a": np.random.default_rng(0).random(400_000)}),
    "tensors": lambda folder: save_tensors(folder / "a.safetensors", {"a": torch.rand(400_000)}),
    "table": lambda folder: save_table(
        folder / "a.parquet", pd.DataFrame({"a": np.random.default_rng(0).random(400_000)})),
    "record": lambda folder: save_json(folder / "a.json", {"a": "x" * 2_000_000}),
    "figure": lambda folder: save_figure(noise_figure(), folder / "a.png"),
    "phantoms": lambda folder: write_phantoms(
        folder / "drawn", 2, 1, 64, test_fraction=0.5)}


def noise_figure():
    """A picture that compresses badly."""
    from matplotlib.figure import Figure
    figure = Figure(figsize=(10, 10))
    figure.subplots().imshow(np.random.default_rng(0).random((1000, 1000)))
    return figure


@pytest.mark.parametrize("what", WRITERS)
def test_a_full_disk_is_told_and_nothing_is_left_half_written(disk, what):
    (disk / "full").write_bytes(bytes(1_000_000))
    with pytest.raises(OSError) as error:
        WRITERS[what](disk)
    assert "the disk is full" in one_sentence(error.value) and str(disk) in str(error.value)
    assert [path.name for path in disk.iterdir()] == ["full"]


@pytest.mark.parametrize("what", [*WRITERS, "run"])
def test_a_place_that_cannot_be_written_is_told(disk, what):
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(OSError) as error:
        {**WRITERS, "run": lambda folder: Run(make_config("demo", out=str(folder / "run")))}[what](
            disk)
    assert "cannot be written (Read-only file system): choose another place" in one_sentence(
        error.value)


def test_without_a_place_for_the_cache_it_works_and_says_so(disk, phantom_tree):
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        scans = prepare_scans(phantom_tree, cache_folder=disk).table
    assert len(scans) and any("could not be stored" in str(warning.message) for warning in told)
    with pytest.raises(OSError, match="cannot be written"):
        build_slice_cache(scans, disk / "slices", 32, "none")
