"""Properties of brainclust.training.objective."""

import math
from dataclasses import replace
from typing import get_args

import numpy as np
import torch
from examples import CPU, NETWORKS, tiny_data
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import seeds, slice_stacks

from brainclust.core import config
from brainclust.training import batches as batches_module
from brainclust.training import objective


@given(data=st.data())
def test_a_view_is_its_augmentation(data):
    """Augment a batch of rows as the same slices by hand."""
    images = data.draw(slice_stacks(side=8))
    rows = np.random.default_rng(len(images)).integers(0, len(images), data.draw(st.integers(0, 9)))
    whole = tiny_data(images)
    unit = batches_module.to_unit_range(whole.images, rows, CPU)
    for policy in get_args(config.Augmentation):
        seen = [objective.view(whole, rows, policy, torch.Generator().manual_seed(1), CPU),
                objective.augmented(whole.images[rows], whole, policy,
                                    torch.Generator().manual_seed(1))]
        assert torch.equal(*seen)
        assert seen[0].shape == unit.shape
        assert seen[0].isfinite().all()


@given(labelled=st.integers(0, 200), unlabelled=st.integers(0, 200),
       labelled_size=st.integers(1, 300), unlabelled_size=st.integers(1, 300), seed=seeds())
def test_rows_on_the_device_are_the_same_rows(labelled, unlabelled, labelled_size, unlabelled_size,
                                              seed):
    """Move the rows of a batch unchanged."""
    steps = batches_module.count_steps(labelled, unlabelled, labelled_size, unlabelled_size)
    unknown = batches_module.split_batches(np.arange(unlabelled), steps, seed)
    on_device = objective.rows_on_device(unknown, CPU)
    assert [batch.tolist() for batch in on_device] == [batch.tolist() for batch in unknown]


@given(epochs=st.integers(1, 30), alone=st.integers(0, 30), length=st.integers(1, 30),
       clustering_epochs=st.integers(1, 9), labelled=st.booleans(), teaches=st.booleans())
def test_every_epoch_lies_in_one_round(epochs, alone, length, clustering_epochs, labelled, teaches):
    """Place every epoch within the self-training round that holds it."""
    made = replace(config.make_config("best"), epochs=epochs, supervised_epochs=alone,
                   round_epochs=length, clustering_epochs=clustering_epochs,
                   pseudo_label_weight=float(teaches))
    for epoch in range(1, epochs + 1):
        first, count = objective.self_training_round(epoch, made, labelled)
        assert first <= epoch < first + count <= epochs + 1


@given(epochs=st.integers(1, 30), alone=st.integers(0, 30), length=st.integers(1, 30),
       clustering_epochs=st.integers(1, 9), teaches=st.booleans())
def test_loss_weights_are_finite_and_not_negative(epochs, alone, length, clustering_epochs,
                                                  teaches):
    """Weigh every loss term with a finite weight that is not negative."""
    made = replace(config.make_config("best"), epochs=epochs, supervised_epochs=alone,
                   round_epochs=length, clustering_epochs=clustering_epochs,
                   pseudo_label_weight=float(teaches))
    for epoch in range(1, epochs + 1):
        assert all(
            weight >= 0 and math.isfinite(weight)
            for weight in objective.loss_weights(made, epoch).values()
        )


@given(epochs=st.integers(1, 30), alone=st.integers(0, 30), length=st.integers(1, 30),
       clustering_epochs=st.integers(1, 9), labelled=st.booleans(), teaches=st.booleans())
def test_measured_epochs_end_with_the_last(epochs, alone, length, clustering_epochs, labelled,
                                           teaches):
    """Measure in ascending epochs that end with the last one."""
    made = replace(config.make_config("best"), epochs=epochs, supervised_epochs=alone,
                   round_epochs=length, clustering_epochs=clustering_epochs,
                   pseudo_label_weight=float(teaches))
    measured = objective.measured_epochs(made, labelled)
    assert measured == sorted(set(measured))
    assert measured[-1] == epochs
    assert measured[0] >= 1


@given(known=st.integers(0, 4), unknown=st.integers(0, 4), clusters=st.booleans(),
       taught=st.booleans(), seed=seeds())
def test_a_batch_has_the_loss_terms_that_apply(known, unknown, clusters, taught, seed):
    """Return the terms for which clusters and targets are given."""
    assume(known + unknown)
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(known + unknown, 1, 32, 32, generator=generator)
    network = NETWORKS["autoencoder"]
    gamma = torch.rand(unknown, 3, generator=generator).softmax(dim=1)
    found = objective.batch_losses(network, x[:known], torch.zeros(known, dtype=torch.long),
                                   x[known:], gamma, torch.zeros(3, 128) if clusters else None,
                                   gamma if taught else None, 0.5, reconstruct=True)
    assert set(found) == {"cross_entropy", "reconstruction"} | (
        {"cluster_distance"} if clusters else set()
    ) | ({"pseudo_labels"} if taught else set())


@given(known=st.integers(0, 4), unknown=st.integers(0, 4), clusters=st.booleans(),
       taught=st.booleans(), seed=seeds())
def test_batch_losses_are_finite_and_not_negative(known, unknown, clusters, taught, seed):
    """Return finite terms that are not negative."""
    assume(known + unknown)
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(known + unknown, 1, 32, 32, generator=generator)
    network = NETWORKS["autoencoder"]
    gamma = torch.rand(unknown, 3, generator=generator).softmax(dim=1)
    found = objective.batch_losses(network, x[:known], torch.zeros(known, dtype=torch.long),
                                   x[known:], gamma, torch.zeros(3, 128) if clusters else None,
                                   gamma if taught else None, 0.5, reconstruct=True)
    assert all(value.isfinite() and value >= 0 for value in found.values())
