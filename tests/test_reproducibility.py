"""Trainings that can be trusted: one seed gives the same weights, shuffled labels teach nothing."""
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch

from brainclust.core.config import make_config
from brainclust.core.metrics import accuracy_interval
from brainclust.models.encoders import make_network
from brainclust.synthetic.phantoms import make_phantoms
from brainclust.training.batches import TrainingData
from brainclust.training.distributed import make_fabric
from brainclust.training.self_training import load_outputs, train_jointly

PROGRAM = """
import sys
sys.path.insert(0, {tests!r})
from test_reproducibility import trained
print(trained({seed}, epochs=2, patients=4)[2])
"""


def trained(
    seed: int = 0,
    truth_of_labels=lambda labels, rng: labels,
    precision: str = "32-true",
    folder=None,
    patients: int = 60,
    **more,
) -> tuple[np.ndarray, pd.Series, str]:
    """Train on phantoms, half of whose patients have labels.

    Return which test slices the head has right, their patients, and a digest of the weights.
    """
    import tempfile
    phantoms = make_phantoms(patients, 2, 64, seed=0, test_fraction=.5)
    table = phantoms.table
    rng = np.random.default_rng(seed)
    train, test = (np.flatnonzero(table.split == split) for split in ("train", "test"))
    truth = table.label.to_numpy(dtype=np.int64)
    labels = np.where(
        np.isin(table.patient, table.patient[train].unique()[::2]), truth_of_labels(truth, rng), -1)
    labels[test] = -1
    config = make_config("demo", image_size=64, seed=seed, device="cpu", labelled_batch_size=16,
                         **{"epochs": 12, **more})
    data = TrainingData(
        torch.from_numpy(phantoms.images[:, None]), labels, truth, train, test, 0.2, 0.2, 4)
    with tempfile.TemporaryDirectory() as name:
        state = train_jointly(make_fabric(torch.device("cpu"), precision),
                              make_network("autoencoder", 4, 64, seed=seed), data, config,
                              Path(name))
        right = load_outputs(Path(name), config.epochs)["head"].argmax(axis=1) == truth[test]
    digest = hashlib.sha256(
        b"".join(value.detach().numpy().tobytes() for value in state.network.state_dict().values()))
    return right, table.patient[test], digest.hexdigest()


def test_two_processes_give_the_same_weights():
    """Another process, whose hashes are salted otherwise, gives what this one gives."""
    salt = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(tests=str(Path(__file__).parent), seed=0)],
        capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": salt})
    assert done.returncode == 0, done.stderr
    first = done.stdout.split()[-1]
    assert first == trained(0, epochs=2, patients=4)[2]
    assert first != trained(1, epochs=2, patients=4)[2]


@pytest.mark.nightly
def test_labels_that_mean_nothing_teach_nothing():
    """With shuffled labels, accuracy on the test set must be at chance: more would be a leak."""
    right, patients, _ = trained()
    assert accuracy_interval(right, patients)[1] > .4  # the same training with true labels learns
    for seed in range(3):
        right, patients, _ = trained(seed, lambda labels, rng: rng.permutation(labels))
        accuracy, low, high = accuracy_interval(right, patients)
        assert low <= .25 <= high + .05 and high < .4, (accuracy, low, high)
        print(f"shuffled labels, seed {seed}: {accuracy:.3f} [{low:.3f}, {high:.3f}]")


@pytest.mark.nightly
def test_bfloat16_is_as_good_as_float32():
    """Rounding makes another training of it, as another seed would, so several trainings of each
    are compared.
    """
    gains = []
    for seed in range(6):
        full, _, one = trained(seed)
        half, _, other = trained(seed, precision="bf16-mixed")
        assert one != other
        gains.append(half.mean() - full.mean())
        print(f"\nseed {seed}: float32 {full.mean():.3f}, bfloat16 {half.mean():.3f}")
    reach = scipy.stats.t.ppf(.975, len(gains) - 1) * np.std(gains, ddof=1) / len(gains) ** .5
    print(f"bfloat16 minus float32: {np.mean(gains):+.3f} [{np.mean(gains) - reach:+.3f}, "
          f"{np.mean(gains) + reach:+.3f}]")
    assert abs(np.mean(gains)) <= reach < .1
