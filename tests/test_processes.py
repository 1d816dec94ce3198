"""Several processes and several machines give what one gives, and survive the death of one."""
import json
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
import torch.nn.functional as F
from conftest import TINY, run_papermill

from brainclust.core.config import make_config
from brainclust.data.scan_table import read_scan_table
from brainclust.imaging.preprocessing import scale_to_unit
from brainclust.imaging.slice_cache import build_slice_cache
from brainclust.models.encoders import make_network
from brainclust.synthetic.phantoms import write_phantoms
from brainclust.training import launch
from brainclust.training.batches import place_images, take_slices
from brainclust.training.cross_fitting import assign_folds, cross_fit
from brainclust.training.distributed import make_fabric
from brainclust.training.launch import train_in_processes
from brainclust.training.self_training import train_jointly


def settings(**changes):
    """Return a config that takes every path of the joint training, in digits that show any
    difference.
    """
    return make_config(
        "best",
        **{**dict(init="random", image_size=64, epochs=3, supervised_epochs=1, round_epochs=1,
                  clustering_epochs=1, min_epoch_steps=1, labelled_batch_size=8,
                  unlabelled_batch_size=15,
                  ema_decay=0.5, pseudo_label_threshold=0.3, cluster_weight=0.01, devices=2,
                  precision="64-true", device="cpu", augmentation="none",
                  unlabelled_augmentation="none"), **changes})


def train_one_and_two(slices, folder, config):
    """Train in this process and in two others; return both states."""
    data, file = slices
    fabric = make_fabric(torch.device("cpu"), config.precision)
    network = lambda: make_network(config.encoder, 4, 64, seed=0)
    one = train_jointly(fabric, network(), data, config, folder / "one")
    train_in_processes(folder / "two", "joint training", network(), data, config, file)
    # which finds that all is done
    return one, train_jointly(fabric, network(), data, config, folder / "two")


@pytest.fixture
def shared_batch_norm(monkeypatch):
    """Let the processes of a training normalise by the whole batch, which PyTorch does on GPUs
    only.
    """
    launch_command = launch.launch_command
    def command(*arguments) -> list[str]:
        words = launch_command(*arguments)
        return [word.replace("brainclust.training.launch", "shared_batch_norm") for word in words]
    monkeypatch.setattr(launch, "launch_command", command)
    paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))


def test_two_processes_train_as_one(slices, tmp_path, shared_batch_norm):
    one, two = train_one_and_two(slices, tmp_path, settings())
    first, second = pd.DataFrame(one.history), pd.DataFrame(two.history)
    assert list(first) == list(second) and len(first) == 3 and first.pseudo_labels.iloc[-1] > 0
    for column in first.select_dtypes("number"):
        assert np.allclose(first[column], second[column], rtol=1e-6, atol=1e-8, equal_nan=True), (
            column)
    for name, value in one.network.state_dict().items():
        assert torch.allclose(value.double(), two.network.state_dict()[name].double(), atol=1e-6), (
            name)


@pytest.mark.nightly
def test_two_processes_predict_folds_as_one(slices, tmp_path, shared_batch_norm):
    """Hand each fold to two processes, which leave its predictions as one process makes them."""
    data, file = slices
    config = settings(init="phantom", epochs=2, supervised_epochs=1, labelled_batch_size=12)
    fabric = make_fabric(torch.device("cpu"), config.precision)
    folds = assign_folds(data.labels, np.arange(len(data.labels)) // 3, 2)
    launch = partial(train_in_processes, training="cross-fitting", images=file)
    one, two = (
        cross_fit(fabric, make_network(config.encoder, 4, 64, seed=0), data, folds, config,
                  tmp_path / name, launch if name == "two" else None) for name in ("one", "two"))
    for fold in ("fold_1", "fold_2"):
        assert (tmp_path / "two" / fold / "job" / "job.json").exists()
    assert np.array_equal(one.rows, two.rows) and len(two.seconds) == 2
    assert np.allclose(one.probabilities, two.probabilities, atol=1e-6)
    assert not np.allclose(one.probabilities, one.probabilities[0], atol=1e-3)


@pytest.mark.nightly
def test_two_processes_pretrain(slices, tmp_path, capsys):
    """The cell of the notebook that starts processes."""
    data, file = slices
    config = settings(pretrain_epochs=1)
    network = make_network("autoencoder", 4, 64, decoder=True, seed=1)
    train_in_processes(tmp_path / "two", "pretraining", network, data, config, file)
    assert "pretraining 1/1" in capsys.readouterr().err
    history = json.loads((tmp_path / "two" / "state.json").read_text())["history"]
    assert [row["epoch"] for row in history] == [1]


@pytest.mark.nightly
def test_two_processes_augment_as_one(slices, tmp_path, shared_batch_norm):
    changes = dict(epochs=2, supervised_epochs=1, round_epochs=1, augmentation="cnn",
                   unlabelled_augmentation="strong")
    one, two = train_one_and_two(slices, tmp_path, settings(**changes))
    # Augmented pixels are single precision: a slice is augmented alike, but for a last digit that
    # the optimiser makes larger.
    assert one.history[0]["cross_entropy"] == pytest.approx(
        two.history[0]["cross_entropy"], rel=1e-4)


@pytest.mark.nightly
def test_each_process_normalises_its_own_slices_on_a_cpu(slices, tmp_path):
    """The history is another one then, but one process can go on with what two have begun."""
    one, two = train_one_and_two(slices, tmp_path, settings(epochs=2, round_epochs=1))
    assert list(pd.DataFrame(one.history)) == list(pd.DataFrame(two.history))
    first, second = (state.history[0]["cross_entropy"] for state in (one, two))
    assert not np.isclose(first, second, rtol=1e-6) and second == pytest.approx(first, rel=.5)
    data = slices[0]
    config = settings(epochs=3, round_epochs=1)
    fabric = make_fabric(torch.device("cpu"), config.precision)
    network = make_network(config.encoder, 4, 64, seed=0)
    on = train_jointly(fabric, network, data, config, tmp_path / "two")
    assert on.history[:2] == two.history and np.isfinite(on.history[2]["loss"])


@pytest.mark.nightly
def test_the_death_of_a_process_ends_the_training_with_its_words(slices, tmp_path):
    data, file = slices
    config = settings(epochs=400, round_epochs=399)

    def kill_one():
        while not (tmp_path / "two" / "state.json").exists():
            time.sleep(.05)
        workers = [p for p in psutil.Process().children(recursive=True)
                   if "run_job_command" in " ".join(p.cmdline())
                   and "torch.distributed" not in " ".join(p.cmdline())]
        assert len(workers) == 2
        workers[1].send_signal(signal.SIGKILL)

    killer = threading.Thread(target=kill_one)
    killer.start()
    with pytest.raises(RuntimeError, match="Training in 2 processes failed; the last lines were"):
        train_in_processes(tmp_path / "two", "joint training",
                           make_network(config.encoder, 4, 64, seed=0), data, config, file)
    killer.join()
    assert not [p for p in psutil.Process().children(recursive=True)
                if "run_job_command" in " ".join(p.cmdline())]
    done = json.loads((tmp_path / "two" / "state.json").read_text())["epoch"]
    assert 1 <= done < 400
    again = settings(epochs=done + 1, round_epochs=399)  # the checkpoint is whole
    train_in_processes(tmp_path / "two", "joint training",
                       make_network(config.encoder, 4, 64, seed=0), data, again, file)
    assert json.loads((tmp_path / "two" / "state.json").read_text())["epoch"] == done + 1


@pytest.mark.nightly
def test_the_notebook_trains_in_two_processes(tmp_path):
    done = run_papermill(tmp_path / "out.ipynb", **TINY, out=tmp_path / "run",
                         overrides="{devices: 2, baselines: false}")
    assert done.returncode == 0, done.stderr[-2000:]
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["config"]["devices"] == 2 and np.isfinite(record["results"]["test_accuracy"])
    assert len(pd.read_parquet(tmp_path / "run" / "history.parquet")) == TINY["epochs"]
    for training in ("joint", "supervised_baseline"):
        assert (tmp_path / "run" / "checkpoint" / training / "job" / "job.json").exists()


def test_slices_larger_than_memory_stay_in_their_file(tmp_path):
    """A file of 64 GiB, nearly all of it holes, from which batches are taken."""
    file, count = tmp_path / "images.npy", 2**18
    images = np.lib.format.open_memmap(file, "w+", np.uint8, (count, 1, 512, 512))
    images[count - 1] = 255
    images.flush()
    placed = place_images(np.load(file, mmap_mode="r"), torch.device("cpu"))
    before = psutil.Process().memory_full_info().uss
    rows = np.array([0, 7, count // 2, count - 1])
    batch = scale_to_unit(take_slices(placed, rows, torch.device("cpu")))
    assert batch.mean(dim=(1, 2, 3)).tolist() == [0, 0, 0, 1]
    assert psutil.Process().memory_full_info().uss - before < 100e6


RAY = """
import sys, numpy as np, pandas as pd
from brainclust.training.parts import prepare_in_parts
settings = {"image_size": 64, "skull_strip": "paper"}
images = prepare_in_parts(pd.read_csv(sys.argv[1]), sys.argv[2], settings, engine="ray", size=10)
np.save(sys.argv[3], images)
"""


@pytest.mark.nightly
def test_ray_completes_the_work_of_a_killed_worker(tmp_path):
    table, _ = read_scan_table(write_phantoms(tmp_path / "slices", 10, 5, 128))
    expected = np.array(build_slice_cache(table, tmp_path / "cache", 64, "paper"))
    table.to_csv(tmp_path / "table.csv", index=False)
    command = [sys.executable, "-c", RAY, tmp_path / "table.csv", tmp_path / "ray",
               tmp_path / "images.npy"]
    running = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"},
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    killed = []
    while running.poll() is None and not killed:
        time.sleep(.02)
        if not list((tmp_path / "ray" / "parts").glob("*/*/settings.json")): continue
        for process in psutil.Process(running.pid).children(recursive=True):
            try:
                title = " ".join(process.cmdline())
            except psutil.Error:
                continue
            if title.startswith("ray::") and "Map" in title:
                killed.append(process.pid)
                process.kill()
    errors = running.communicate(timeout=300)[1]
    assert running.returncode == 0, errors[-2000:]
    assert killed, "no worker was at work"
    assert (np.load(tmp_path / "images.npy") == expected).all()
    assert not (tmp_path / "ray" / "parts").exists()


def losses_of(memory_format, precision, fused=False, steps=3):
    """Return the losses of a few steps from the same weights on the same slices."""
    fabric = make_fabric(torch.device("cpu"), precision)
    network = make_network("resnet18", 4, 64, seed=0).to(memory_format=memory_format)
    wrapped, optimizer = fabric.setup(
        network, torch.optim.AdamW(network.parameters(), 1e-3, fused=fused))
    images = torch.rand(16, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(16) % 4
    losses = []
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(wrapped(images.contiguous(memory_format=memory_format))[1], labels)
        fabric.backward(loss)
        optimizer.step()
        losses.append(float(loss.detach()))
    return np.array(losses)


def test_the_fast_step_is_the_plain_step():
    exact = losses_of(torch.contiguous_format, "64-true")
    assert exact[-1] < exact[0]
    for fused in (False, True):
        assert np.allclose(losses_of(torch.channels_last, "64-true", fused), exact, rtol=1e-6)
    single = losses_of(torch.channels_last, "32-true", True)
    assert np.allclose(single[0], exact[0], rtol=1e-5) and np.allclose(single, exact, rtol=.02)
    half = losses_of(torch.channels_last, "bf16-mixed", True)
    assert np.allclose(half[0], exact[0], rtol=.02) and np.abs(half - exact).max() < .05
