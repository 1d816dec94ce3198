"""A GPU computes what the CPU computes; skipped without a GPU."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from brainclust.core.config import make_config
from brainclust.imaging.augmentation import AUGMENTATIONS
from brainclust.models.encoders import make_network
from brainclust.models.mixture import effective_rank, fit_mixture
from brainclust.training.batches import embed_slices, place_images
from brainclust.training.checkpoints import load_checkpoint
from brainclust.training.cuda_graphs import GraphCapture
from brainclust.training.distributed import make_fabric
from brainclust.training.loop import Trainer, pretrain
from brainclust.training.self_training import train_jointly, train_supervised_baseline

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

GPU = torch.device("cuda")


def settings(preset="best", **changes):
    """Return a config that takes every path of the joint training, with two sizes of batches, in
    digits that show any difference.
    """
    return make_config(
        preset, **{**dict(init="random", image_size=64, epochs=4, min_epoch_steps=1,
                          labelled_batch_size=8, unlabelled_batch_size=14, precision="64-true",
                          device="cuda"), **changes})


PSEUDO_LABEL_SETTINGS = dict(
    encoder="autoencoder", supervised_epochs=1, round_epochs=2, clustering_epochs=1, ema_decay=0.5,
    pseudo_label_threshold=0.3, cluster_weight=0.01)


def on_gpu(data):
    """Return the training data with its slices on the GPU."""
    return replace(data, images=place_images(data.images.numpy(), GPU))


def train(data, config, folder, how=train_jointly, seed=0):
    """Train a fresh network."""
    return how(make_fabric(GPU, config.precision),
               make_network(config.encoder, 4, config.image_size, seed=seed), data, config, folder)


def assert_same(one, other, tolerance=1e-6):
    """Compare the histories and the weights of two trainings."""
    assert len(one.history) == len(other.history) > 0
    pd.testing.assert_frame_equal(
        pd.DataFrame(one.history), pd.DataFrame(other.history), rtol=tolerance, atol=tolerance)
    for (name, a), b in zip(one.network.state_dict().items(), other.network.state_dict().values()):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance, msg=name)


@pytest.mark.parametrize("how", [train_jointly, train_supervised_baseline, pretrain])
@pytest.mark.parametrize("config", [
    settings(**PSEUDO_LABEL_SETTINGS),
    settings("paper", encoder="autoencoder", pretrain_epochs=3)], ids=["taught", "paper"])
def test_captured_steps_do_what_called_steps_do(slices, tmp_path, monkeypatch, config, how):
    data = on_gpu(slices[0])
    captured = []
    capture = GraphCapture.capture
    monkeypatch.setattr(
        GraphCapture, "capture",
        lambda self, *inputs: (captured.append(1), capture(self, *inputs))[1])
    fast = train(data, config, tmp_path / "captured", how)
    assert captured
    monkeypatch.setattr(GraphCapture, "__call__", lambda self, function, inputs: function(**inputs))
    assert_same(fast, train(data, config, tmp_path / "called", how))


def test_without_labels_the_reconstruction_is_captured_too(slices, tmp_path, monkeypatch):
    data = on_gpu(slices[0])
    config = settings("paper", encoder="autoencoder", epochs=2)
    data = replace(data, labels=np.full_like(data.labels, -1))
    fast = train(data, config, tmp_path / "captured")
    monkeypatch.setattr(GraphCapture, "__call__", lambda self, function, inputs: function(**inputs))
    assert_same(fast, train(data, config, tmp_path / "called"))
    assert fast.history[-1]["reconstruction"] > 0


def test_a_broken_off_training_goes_on(slices, tmp_path):
    data = on_gpu(slices[0])
    config = settings(**PSEUDO_LABEL_SETTINGS)
    whole = train(data, config, tmp_path / "whole")
    fabric = make_fabric(GPU, config.precision)
    with pytest.raises(ZeroDivisionError):
        train_jointly(fabric, make_network(config.encoder, 4, 64, seed=0), data, config,
                      tmp_path / "broken", on_epoch=lambda name, row: 1 / (3 - row["epoch"]))
    fresh = Trainer(fabric, make_network(config.encoder, 4, 64), data, config)
    assert load_checkpoint(fresh.state, tmp_path / "broken")
    assert_same(whole, train(data, config, tmp_path / "broken"))


def test_an_epoch_asks_the_gpu_for_nothing_before_its_end(slices, tmp_path, monkeypatch):
    data = on_gpu(slices[0])
    config = settings("best", **PSEUDO_LABEL_SETTINGS | {"precision": "auto"})
    call = GraphCapture.__call__
    def strict(self, function, inputs):
        "Forbid whatever makes Python wait for the GPU from the first captured step on."
        torch.cuda.set_sync_debug_mode("error" if len(self.captured) else "default")
        try:
            return call(self, function, inputs)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    monkeypatch.setattr(GraphCapture, "__call__", strict)
    fabric = make_fabric(GPU, "bf16-mixed")
    state = train_jointly(
        fabric, make_network(config.encoder, 4, 64, seed=0), data, config, tmp_path)
    assert len(state.graph_capture.captured) >= 2 and "captured steps" in state.parts[0]


@pytest.mark.parametrize("encoder", ["resnet18", "autoencoder", "attention"])
def test_embeddings_are_those_of_the_processor(slices, encoder):
    data = slices[0]
    network = make_network(encoder, 4, 64, seed=0)
    expected = embed_slices(
        make_fabric(torch.device("cpu"), "64-true"), network.double(), data, flip_tta=True)
    found = embed_slices(make_fabric(GPU, "64-true"), network.to(GPU), on_gpu(data), flip_tta=True)
    for a, b in zip(found, expected):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_mixture_and_rank_are_those_of_the_processor():
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(800, 64)) + 3 * rng.normal(size=(4, 64))[np.arange(800) % 4]).astype(
        np.float32)
    for l2_normalise in (False, True):
        one, other = (fit_mixture(x, 4, l2_normalise=l2_normalise, device=device)
                      for device in ("cpu", "cuda"))
        for name, value in vars(one).items():
            np.testing.assert_allclose(vars(other)[name], value, rtol=1e-6, atol=1e-9, err_msg=name)
    assert effective_rank(x, "cuda") == pytest.approx(effective_rank(x))


@pytest.mark.parametrize("policy", sorted(AUGMENTATIONS))
def test_augmentation_is_that_of_the_processor(slices, policy):
    x = slices[0].images[:16].float() / 255
    generator = torch.Generator().manual_seed(0)
    expected = AUGMENTATIONS[policy](x, generator)
    generator.manual_seed(0)  # of the processor: its numbers are moved to the GPU
    torch.testing.assert_close(
        AUGMENTATIONS[policy](x.to(GPU), generator).cpu(), expected, rtol=1e-3, atol=1e-3)


def test_slices_that_do_not_fit_stay_in_their_file(slices, tmp_path, monkeypatch):
    data = slices[0]
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (data.images.numel(), 2 ** 40))
    away = replace(data, images=place_images(data.images.numpy(), GPU))
    assert away.images.device.type == "cpu"
    monkeypatch.undo()
    config = settings(**PSEUDO_LABEL_SETTINGS)
    assert_same(
        train(away, config, tmp_path / "away"), train(on_gpu(data), config, tmp_path / "there"))
