"""A training of many epochs neither grows in memory and files nor slows down."""

import gc
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from conftest import TINY

from brainclust.core.config import make_config
from brainclust.models.encoders import make_network
from brainclust.training.distributed import make_fabric
from brainclust.training.loop import log_row, tensorboard_logger
from brainclust.training.saved_model import save_model
from brainclust.training.self_training import train_jointly


def watched(slices, folder: Path, epochs: int, preset: str) -> pd.DataFrame:
    """Train, and note after every epoch what the process holds."""
    config = make_config(
        preset,
        **{**TINY, "image_size": 64, "epochs": epochs, "clustering_epochs": 1, "n_clusters": 4},
        precision="32-true")
    process = psutil.Process()
    rows = []
    begun = [time.perf_counter()]
    loggers = [tensorboard_logger(folder / "tensorboard")]
    fabric = make_fabric(torch.device("cpu"), "32-true", loggers=loggers)
    def note(name: str, row: dict) -> None:
        log_row(fabric, name, row)
        gc.collect()
        now = time.perf_counter()
        rows.append(
            {"epoch": row["epoch"], "megabytes": process.memory_info().rss / 1e6,
             "files": process.num_fds() if sys.platform != "win32" else process.num_handles(),
             "threads": process.num_threads(),
             "checkpoints": len(list((folder / "joint").glob("state_*"))),
             "seconds": now - begun[0]})
        begun[0] = now
    network = make_network("autoencoder", 4, 64, seed=0)
    state = train_jointly(fabric, network, slices[0], config, folder / "joint", note)
    save_model(folder, state, slices[0], config)
    return pd.DataFrame(rows)


@pytest.mark.parametrize("preset", ["demo", "paper"])
def test_no_file_stays_open(slices, tmp_path, preset):
    rows = watched(slices, tmp_path, 6, preset)
    # the files that are being written may be open
    assert (rows.files.iloc[2:].max() - rows.files.iloc[2:].min() <= 2
            and rows.threads.iloc[2:].nunique() == 1 and rows.checkpoints.max() <= 2)


@pytest.mark.nightly
@pytest.mark.parametrize("preset", ["demo", "paper"])
def test_two_hundred_epochs(slices, tmp_path, preset):
    rows = watched(slices, tmp_path, 200, preset)
    # the files that are being written may be open
    assert (rows.files.iloc[10:].max() - rows.files.iloc[10:].min() <= 2
            and rows.threads.iloc[10:].nunique() == 1)
    early, late = rows[rows.epoch.between(20, 60)], rows[rows.epoch > 160]
    # from epoch 68 on, `demo` trains on more slices an epoch
    taught = rows[rows.epoch.between(80, 120)]
    growth = late.megabytes.median() - early.megabytes.median()
    print(f"\n{preset}: {early.megabytes.median():.0f} MB at epoch 20 to 60, {growth:+.1f} MB "
          f"at 161 to 200; {rows.files.iloc[10]} files at epoch 11, {rows.files.iloc[-1]} at "
          "200; "
          f"an epoch takes {late.seconds.median() / taught.seconds.median():.2f} times as long "
          f"at 161 to 200 as at 80 to 120; {len(list((tmp_path / 'joint').iterdir()))} files in "
          "the checkpoint")
    # a thousand epochs more would fit, too
    assert growth < 30 and np.polyfit(rows.epoch[20:], rows.megabytes[20:], 1)[0] * 1000 < 200
