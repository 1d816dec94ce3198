"""A finished run predicts files of every kind, also of images without a brain."""
import os
import shutil
import signal
import subprocess
import sys
import time
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
import torch
from commands import predict_command
from PIL import Image
from test_formats import good_files

from brainclust.core.config import make_config
from brainclust.core.files import load_json, save_json
from brainclust.models.encoders import make_network
from brainclust.runs import prediction_files
from brainclust.runs.ood import Calibration, save_reference
from brainclust.runs.prediction_files import predict_files, predict_part
from brainclust.runs.predictor import Predictor
from brainclust.training.distributed import make_fabric
from brainclust.training.saved_model import save_model
from brainclust.training.self_training import train_jointly

COLUMNS = ["path", "class", "prob_glioma", "prob_meningioma", "prob_notumor", "prob_pituitary",
           "prediction_set", "abstain", "cluster", "subtype", "ood_score", "in_distribution",
           "patient", "plane", "frame", "SOPInstanceUID", "SeriesInstanceUID", "stored_axis",
           "stored_index"]


@pytest.fixture(scope="module")
def trained(slices, tmp_path_factory):
    """A run directory with everything that a prediction needs."""
    data = slices[0]
    config = make_config("demo", image_size=64, epochs=2, precision="32-true", device="cpu")
    folder = tmp_path_factory.mktemp("run")
    fabric = make_fabric(torch.device("cpu"), "32-true")
    state = train_jointly(
        fabric, make_network("autoencoder", 4, 64, seed=0), data, config, folder / "checkpoint")
    save_model(folder, state, data, config)
    save_reference(folder, fabric, state.network, data, np.arange(len(data.images)) // 3,
                   Calibration(1.2, [0.1] * 4, flip_tta=config.flip_tta))
    return folder


def test_every_format_is_judged(trained, slices, tmp_path, capsys):
    folder = tmp_path / "scans"
    folder.mkdir()
    good = good_files(slices[0].images[:, 0].numpy())
    for name, content in good.items():
        (folder / f"good{name}").write_bytes(content)
    (folder / "text.png").write_text("no picture")
    (folder / "broken.dcm").write_bytes(
        next(content for name, content in good.items() if name.endswith(".dcm"))[:300])
    (folder / "notes.txt").write_text("left out")
    assert (predict_command(
                [str(trained), str(folder), "--out", str(tmp_path / "out.csv"), "--device", "cpu"])
            == 0)
    table = pd.read_csv(tmp_path / "out.csv", keep_default_na=False)
    assert list(table) == COLUMNS
    assert set(table.path) == {str(folder / f"good{name}") for name in good}
    assert np.allclose(table.filter(like="prob_").sum(axis=1), 1, atol=1e-4)
    assert (table.prediction_set.str.split(";").str[0]
            .isin(["glioma", "meningioma", "notumor", "pituitary", ""])).all()
    left = pd.read_csv(tmp_path / "out_unreadable.csv")
    assert {os.path.basename(path) for path in left.path} == {
        "text.png", "broken.dcm", "notes.txt"} and left.reason.str.len().min() > 5
    assert "3 files could not be read" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_one_sentence_for_what_cannot_be_used(trained, tmp_path, capsys):
    for arguments, words in (([str(tmp_path), str(tmp_path)], "holds no model.json"),
                             ([str(trained), str(tmp_path / "absent")], "is missing"),
                             ([str(trained), str(tmp_path)], "must hold images that end in")):
        assert (predict_command([*arguments, "--out", str(tmp_path / "out.csv"), "--device", "cpu"])
                == 2)
        message = capsys.readouterr().err.strip()
        assert words in message and message.count("\n") == 0
    assert not (tmp_path / "out.csv").exists()


def test_a_killed_call_goes_on(trained, phantom_tree, tmp_path):
    """A process is killed between two parts; this one goes on with what it left."""
    code = ("import sys, time\nfrom brainclust.runs.predictor import Predictor; from "
            "brainclust.runs.prediction_files import predict_files\n"
            "class Slow(Predictor):\n    def table(self, prepared):\n        time.sleep(.3)\n     "
            "   return super().table(prepared)\n"
            "predict_files(Slow(sys.argv[1], 'cpu'), [sys.argv[2]], sys.argv[3], part=4)\n")
    scans = phantom_tree / "Testing"
    predict = lambda name: predict_files(
        Predictor(trained, "cpu"), [scans], tmp_path / name, part=4)
    predict("whole.csv")
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(trained), str(scans), str(tmp_path / "killed.csv")],
        stderr=subprocess.DEVNULL)
    finished = lambda: list(tmp_path.glob(".killed-*.parts/[0-9]*.json"))
    while not finished():
        assert process.poll() is None and not time.sleep(.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = len(finished())
    assert left and not (tmp_path / "killed.csv").exists()
    with patch.object(prediction_files, "predict_part", wraps=predict_part) as asked:
        predict("killed.csv")
    assert asked.call_count == -(-len(list(scans.rglob("*.png"))) // 4) - left
    assert (tmp_path / "killed.csv").read_text() == (tmp_path / "whole.csv").read_text()


def test_a_changed_run_is_refused(trained, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("model.json", "model.safetensors", "prediction.safetensors"):
        (copy / name).write_bytes((trained / name).read_bytes())
    with pytest.raises(ValueError, match="prediction.json"):
        Predictor(copy, "cpu")
    save_json(copy / "prediction.json", load_json(trained / "prediction.json") | {"format": 99})
    with pytest.raises(ValueError, match="format 99"):
        Predictor(copy, "cpu")


def test_maps_lie_on_the_slices(trained, slices, tmp_path):
    wide = np.pad(slices[0].images[0, 0].numpy(), ((0, 0), (30, 50)))
    (tmp_path / "scans").mkdir()
    for name, pixels in (
        ("wide.png", wide),
        ("photograph.png", np.random.default_rng(0).integers(0, 255, (90, 70), np.uint8))):
        Image.fromarray(pixels).save(tmp_path / "scans" / name)
    assert (
        predict_command(
            [str(trained), str(tmp_path / "scans"), "--out", str(tmp_path / "out.csv"), "--maps",
             str(tmp_path / "maps"), "--device", "cpu"]) == 0)
    table = pd.read_csv(tmp_path / "out.csv", keep_default_na=False)
    assert list(table) == [*COLUMNS, "cam", "mask"]
    assert (table["mask"] != "").equals(
        (table["class"] != "notumor") & (table.in_distribution.astype(str) == "True"))
    for row in table.itertuples():
        cam = np.array(Image.open(row.cam))
        size = Image.open(row.path).size
        assert cam.shape == size[::-1] and cam.max() > 0
        if row.mask:
            assert (set(np.unique(np.array(Image.open(row.mask)))) <= {0, 255}
                    and Image.open(row.mask).size == size)
    assert {path.name for path in (tmp_path / "maps").iterdir()} == {
        os.path.basename(name) for name in [*table.cam, *table["mask"]] if name}


def test_a_run_of_few_patients_does_not_pretend_to_know_strangers(trained, tmp_path, capsys):
    few = tmp_path / "run"
    shutil.copytree(trained, few)
    save_json(few / "prediction.json", load_json(few / "prediction.json") | {"limit": None})
    Image.fromarray(np.full((64, 64), 9, np.uint8)).save(tmp_path / "a.png")
    assert (predict_command(
                [str(few), str(tmp_path / "a.png"), "--out", str(tmp_path / "out.csv"), "--device",
                 "cpu"]) == 0)
    assert "too few patients" in capsys.readouterr().err
    assert pd.read_csv(tmp_path / "out.csv").ood_score.isna().all()
