"""Numbers that can be trusted: gradients, seeds, precision and chance.

And no clean score where nothing is clean.
"""
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch
from PIL import Image
from torch.autograd import gradcheck

from brainclust.data.cleaning import NO_CLEAN_TEST, prepare_scans
from brainclust.core.config import make_config
from brainclust.models.encoders import make_network
from brainclust.models.losses import (
    align_distribution, classification_loss, cluster_distance, pseudo_label_loss, pseudo_targets,
    reconstruction_loss,
)
from brainclust.core.metrics import accuracy_interval
from brainclust.synthetic.phantoms import make_phantoms
from brainclust.runs.evaluation import claims_table, compare_methods, prediction_table, summarise
from brainclust.analysis.tumour_unet import segmentation_loss
from brainclust.imaging.brain_mask import mask_loss
from brainclust.training.batches import TrainingData
from brainclust.training.distributed import make_fabric
from brainclust.training.objective import batch_losses
from brainclust.training.self_training import load_outputs, train_jointly


def double(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(
        *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).requires_grad_()


LOSSES = {  # name: function, inputs that have a gradient
    "classification": (lambda z: classification_loss(z, torch.tensor([0, 3, 3, 1])),
                       [double(4, 4)]),
    "cluster distance": (lambda z, mu: cluster_distance(z, double(4, 3, seed=1).softmax(1), mu),
                         [double(4, 5), double(3, 5, seed=2)]),
    "pseudo labels": (
        lambda z: pseudo_label_loss(z, torch.eye(4, dtype=torch.float64) * 0.9 + 0.02, 0.5),
        [double(4, 4)]),
    "pseudo labels, all unsure": (
        lambda z: pseudo_label_loss(z, torch.full((4, 4), 0.25, dtype=torch.float64), 0.5),
        [double(4, 4)]),
    "reconstruction": (lambda x, y: reconstruction_loss(x, y),
                       [double(2, 1, 4, 4), double(2, 1, 4, 4, seed=1)]),
    "targets": (lambda a, b: pseudo_targets(a.softmax(1), b.softmax(1), 0.3),
                [double(3, 4), double(3, 4, seed=1)]),
    "aligned predictions": (lambda a, f: align_distribution(a.softmax(1), f.exp()),
                        [double(3, 4), double(4, seed=1)]),
    "segmentation": (lambda z: segmentation_loss(z, (double(2, 1, 5, 5, seed=3) > 0).double()),
                     [double(2, 1, 5, 5)]),
    "brain mask": (
        lambda z: mask_loss(z, torch.arange(50).reshape(2, 5, 5).remainder(3).to(torch.uint8)),
        [double(2, 5, 5)]),
    "no slices": (
        lambda z: (classification_loss(z, torch.zeros(0, dtype=torch.long))
                   + pseudo_label_loss(z, z.detach(), 0.5)
                   + cluster_distance(z, z.detach(), torch.zeros(3, 3, dtype=torch.float64))),
        [double(0, 3)]),
}


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_of_losses(name):
    function, inputs = LOSSES[name]
    assert gradcheck(function, inputs)


def test_gradients_through_the_network():
    """The whole objective at once, along the weights of encoder, head and decoder."""
    network = make_network("autoencoder", 3, 32, decoder=True, seed=0).double().eval()
    x, unlabelled, gamma = (double(2, 1, 32, 32).detach(), double(3, 1, 32, 32, seed=1).detach(),
                            double(3, 3, seed=2).softmax(1).detach())
    means = double(3, network.encoder.dimensions, seed=3).detach()
    def objective() -> torch.Tensor:
        both = torch.cat([x, unlabelled])
        outputs = network(both, reconstruct=True)
        losses = batch_losses(both, outputs, torch.tensor([0, 2]), gamma, means, gamma, .2)
        assert set(losses) == {"cross_entropy", "cluster_distance", "pseudo_labels",
                               "reconstruction"}
        return (losses["cross_entropy"] + 0.1 * losses["cluster_distance"] + losses["pseudo_labels"]
                + losses["reconstruction"])
    network.zero_grad()
    objective().backward()
    rng, step = np.random.default_rng(0), 1e-8
    for name, parameter in network.named_parameters():
        place = tuple(rng.integers(0, size) for size in parameter.shape)
        with torch.no_grad():
            sides = []
            for sign in (1, -1):
                parameter[place] += sign * step
                sides.append(objective().item())
                parameter[place] -= sign * step
        slope = (sides[0] - sides[1]) / (2 * step)
        assert abs(slope - parameter.grad[place].item()) < 1e-5 * max(1, abs(slope)), name


PROGRAM = """
import sys
sys.path.insert(0, {tests!r})
from test_numbers import trained
print(*(trained(seed, epochs=2, patients=4)[2] for seed in (0, 1)))
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
    table, rng = phantoms.table, np.random.default_rng(seed)
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
    def ask(salt: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM.format(tests=str(Path(__file__).parent))],
            capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": salt})
        assert done.returncode == 0, done.stderr
        return done.stdout.split()[-2:]
    first = ask("1")
    assert first == ask("2") and first[0] != first[1]


@pytest.mark.nightly
def test_labels_that_mean_nothing_teach_nothing():
    """With the labels shuffled, the test part must be at chance: anything else would be a leak."""
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


def test_no_clean_score_where_nothing_is_clean(tmp_path, phantom_tree):
    """Every test slice is the mirror image of a training slice."""
    tree = Path(shutil.copytree(phantom_tree, tmp_path / "scans"))
    shutil.rmtree(tree / "Testing")
    for file in tree.glob("Training/*/*.png"):
        target = tree / "Testing" / file.parent.name / f"mirrored {file.name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.array(Image.open(file))[:, ::-1]).save(target)
    scans, _, sentences, _, _ = prepare_scans(tree, cache_folder=tmp_path)
    test = scans[scans.split == "test"].reset_index(drop=True)
    assert len(test) and not test.clean.any() and NO_CLEAN_TEST in sentences
    assert NO_CLEAN_TEST not in prepare_scans(phantom_tree, cache_folder=tmp_path).sentences

    names, perfect = (("glioma", "meningioma", "notumor", "pituitary"),
                      np.eye(4, dtype=np.float32)[test.true_label])
    predictions = prediction_table(
        test, {"head": perfect, "clusters": perfect, "responsibilities": perfect}, perfect, names)
    comparison = compare_methods(predictions, {"k_means": test.true_label.to_numpy()}, 50)
    assert (comparison.accuracy == 1).all() and comparison[
        ["clean_accuracy", "clean_low", "clean_high"]].isna().all(axis=None)
    history = pd.DataFrame(
        [{"epoch": 1, "test_accuracy": 1.0, "test_accuracy_hungarian": 1.0, "nmi": 1.0,
          "ari": 1.0, "silhouette": 0.5}])
    results = summarise(history, predictions, comparison, 50)
    assert (results["test_accuracy"] == 1
            and np.isnan([results["test_accuracy_clean"], results["test_accuracy_clusters_clean"],
                          results["supervised_baseline_test_accuracy_clean"]]).all())
    claims = claims_table(history, predictions,
                          test.true_label.map(dict(enumerate(names))).to_numpy(), comparison,
                          names).set_index("claim")
    assert (claims.honest.drop(["accuracy at the last epoch", "silhouette"]).isna().all()
            and np.isnan(claims.honest["accuracy at the last epoch"])
            and claims.reproduced["accuracy"] == 1)
