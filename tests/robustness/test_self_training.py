"""Invalid and damaged input for brainclust.training.self_training."""

from dataclasses import replace

import numpy as np
import pytest
from assertions import refused
from examples import FABRIC, IN_TRAIN, tiny_config, tiny_data, with_labels
from hypothesis import given, strategies as st
from strategies import class_ids, points, probabilities
from torch import nn

from brainclust.models import encoders
from brainclust.training import checkpoints, loop, objective, self_training


@given(data=st.data())
def test_diverged_embeddings_of_an_epoch_are_refused(data):
    """Refuse embeddings with NaN."""
    x = data.draw(points(min_points=6))
    labels = data.draw(class_ids(len(x), 3))
    slices = tiny_data(np.zeros((len(x), 1, 4, 4), np.uint8), labels,
                       test=data.draw(st.integers(0, 2)))
    made = tiny_config(n_clusters=3, classes=("a", "b", "c"), anchored=data.draw(st.booleans()),
                       distribution_alignment=0.5)
    head = data.draw(probabilities(n=len(x), k=3))
    if made.anchored:
        made = replace(made, pseudo_label_weight=1.0)
    trainer = loop.Trainer(FABRIC, nn.Linear(1, 1), slices, made)
    for epoch in range(2):
        trainer.cluster(x, head, epoch)
    broken = np.where(np.arange(x.size).reshape(x.shape) == 0, np.nan, x)
    refused(trainer.cluster, broken, head, 1)


def test_trainings_on_too_few_slices_are_refused(small_data, tmp_path):
    """Refuse joint training with fewer slices than clusters and write no state."""
    network = encoders.make_network("autoencoder", 4, 32)
    made = tiny_config()
    for data in (replace(small_data, train=small_data.train[:3]),
                 replace(small_data, train=small_data.train[:0]),
                 replace(small_data, train=small_data.train[:1])):
        assert "n_clusters=4" in refused(self_training.train_jointly, FABRIC, network, data, made,
                                         tmp_path)
    assert not (tmp_path / "state.json").exists()


def test_a_supervised_baseline_without_labels_is_refused(small_data, tmp_path):
    """Refuse the supervised baseline without labels."""
    network = encoders.make_network("autoencoder", 4, 32)
    made = tiny_config()
    assert "label" in refused(self_training.train_supervised_baseline, FABRIC, network,
                              with_labels(small_data, IN_TRAIN & False), made, tmp_path)


@pytest.mark.parametrize("train", [self_training.train_jointly,
                                   self_training.train_supervised_baseline, loop.pretrain])
def test_a_diverging_training_stops_at_its_last_good_epoch(
    small_data, tmp_path, train, monkeypatch
):
    """Name divergence and the learning rate, and keep the last good checkpoint."""
    made = tiny_config(epochs=4, pretrain_epochs=4)
    network = encoders.make_network("autoencoder", 4, 32)
    good = loop.set_rate
    seen = []
    for module in (loop, objective):
        monkeypatch.setattr(module, "set_rate", lambda optimizer,
                            rate: good(optimizer, rate if not seen else 1e38))
    message = refused(train, FABRIC, network, small_data, made, tmp_path, on_epoch=lambda name,
                      row: seen.append(row["epoch"]))
    assert "diverged" in message
    assert "learning_rate" in message
    fresh = encoders.make_network("autoencoder", 4, 32)
    state = loop.Trainer(FABRIC, fresh, small_data, made).state
    assert seen
    assert checkpoints.load_checkpoint(state, tmp_path)
    assert state.epoch == seen[-1] < 4
    assert all(value.isfinite().all() for value in checkpoints.state_tensors(state).values())
