"""Properties of brainclust.training.objective."""

import math
from dataclasses import replace

import torch
from examples import NETWORKS
from hypothesis import assume, given, strategies as st
from strategies import seeds

from brainclust.core import config
from brainclust.training import objective


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
    found = objective.batch_losses(x, network(x, reconstruct=True),
                                   torch.zeros(known, dtype=torch.long), gamma,
                                   torch.zeros(3, 128) if clusters else None,
                                   gamma if taught else None, 0.5)
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
    found = objective.batch_losses(x, network(x, reconstruct=True),
                                   torch.zeros(known, dtype=torch.long), gamma,
                                   torch.zeros(3, 128) if clusters else None,
                                   gamma if taught else None, 0.5)
    assert all(value.isfinite() and value >= 0 for value in found.values())

@given(epochs=st.integers(1, 30), alone=st.integers(0, 30), length=st.integers(1, 30),
       teaches=st.booleans())
def test_the_baseline_ends_the_first_round(epochs, alone, length, teaches):
    """End the supervised baseline with the supervised epochs, where a student starts anew."""
    made = replace(config.make_config("best"), epochs=epochs, supervised_epochs=alone,
                   round_epochs=length, clustering_epochs=epochs + 1,
                   pseudo_label_weight=float(teaches))
    last = objective.baseline_epoch(made)
    assert last == min(alone, epochs)
    if last:
        assert objective.self_training_round(last, made, True) == (1, last)
        assert last in objective.measured_epochs(made, True)  # so that its outputs are there
    assert objective.baseline_epoch(replace(made, reinitialise=False)) == 0
