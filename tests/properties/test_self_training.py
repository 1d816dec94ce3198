"""Properties of brainclust.training.self_training."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from assertions import check_training, refused, sum_to_one, time_limit
from examples import EDGE_CASES, FABRIC, tiny_config, tiny_data
from hypothesis import given, strategies as st
from strategies import class_ids, points, probabilities
from torch import nn

from brainclust.core import config
from brainclust.models import encoders
from brainclust.training import loop, objective, self_training


@given(data=st.data())
def test_clusters_of_an_epoch_are_probabilities(data):
    """Return responsibilities of all slices and keep those of the training slices."""
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
        gamma = trainer.cluster(x, head, epoch)
        state = trainer.state
        assert gamma.shape == (len(x), 3)
        assert sum_to_one(gamma)
        assert state.tensors["responsibilities"].shape == (len(slices.train), 3)


@given(data=st.data())
def test_pseudo_targets_of_an_epoch_are_probabilities(data):
    """Keep targets that are probabilities wherever there is a teacher."""
    x = data.draw(points(min_points=6))
    labels = data.draw(class_ids(len(x), 3))
    slices = tiny_data(np.zeros((len(x), 1, 4, 4), np.uint8), labels,
                       test=data.draw(st.integers(0, 2)))
    made = tiny_config(n_clusters=3, classes=("a", "b", "c"), anchored=data.draw(st.booleans()),
                       distribution_alignment=0.5)
    head = data.draw(probabilities(n=len(x), k=3))
    if made.anchored:
        made = replace(made, pseudo_label_weight=1.0, teacher_clusters=data.draw(
            st.sampled_from(["mixture", "sharpened"])))
    trainer = loop.Trainer(FABRIC, nn.Linear(1, 1), slices, made)
    for epoch in range(2):
        trainer.cluster(x, head, epoch)
    state = trainer.state
    if "targets" in state.tensors:
        assert sum_to_one(state.tensors["targets"])
        assert objective.has_teacher(made, slices)


def test_refined_centres_teach_the_training_slices_alone():
    """Follow three blobs from one label each; test slices and other sources are left open."""
    truth = np.arange(30) % 3
    x = 9 * np.eye(3)[truth] + np.random.default_rng(0).normal(0, 1, (30, 3)) + 5
    slices = tiny_data(np.zeros((30, 1, 4, 4), np.uint8), np.where(np.arange(30) < 3, truth, -1),
                       test=6)
    slices = replace(slices, joined=np.array([10]))
    mixture = np.full((30, 3), 1 / 3)

    def taught(labels: np.ndarray) -> np.ndarray:
        made = tiny_config(n_clusters=3, classes=("a", "b", "c"), anchored=True,
                           teacher_clusters="sharpened")
        trainer = loop.Trainer(FABRIC, nn.Linear(1, 1), replace(slices, labels=labels), made)
        return trainer.teaching_clusters(x, mixture)

    rows = np.setdiff1d(slices.train, slices.joined)
    given = taught(slices.labels)
    assert (given[rows].argmax(axis=1) == truth[rows]).all()
    assert (given[rows].max(axis=1) > .5).all()
    assert np.allclose(given[np.setdiff1d(np.arange(30), rows)], 1 / 3)
    # a class without a label has no centre, so that the mixture teaches
    missing = np.where(slices.labels == 2, -1, slices.labels)
    assert taught(missing) is mixture
    # nor does one whose only label is another source's, which is not clustered
    elsewhere = replace(slices, joined=np.array([2]))
    assert not objective.has_sharpened_teacher(
        tiny_config(teacher_clusters="sharpened"), elsewhere)
    sharpened = tiny_config(teacher_clusters="sharpened")
    assert objective.has_sharpened_teacher(sharpened, slices)
    assert not objective.has_sharpened_teacher(sharpened, replace(slices, labels=missing))
    assert not objective.has_sharpened_teacher(tiny_config(), slices)


@given(data=st.data())
def test_prior_factors_are_positive(data):
    """Return one finite positive factor per class."""
    x = data.draw(points(min_points=6))
    labels = data.draw(class_ids(len(x), 3))
    slices = tiny_data(np.zeros((len(x), 1, 4, 4), np.uint8), labels,
                       test=data.draw(st.integers(0, 2)))
    made = tiny_config(n_clusters=3, classes=("a", "b", "c"), anchored=data.draw(st.booleans()),
                       distribution_alignment=0.5)
    head = data.draw(probabilities(n=len(x), k=3))
    if made.anchored:
        made = replace(made, pseudo_label_weight=1.0)
    factors = self_training.prior_factors(torch.from_numpy(head), slices, made)
    assert factors.shape == (3,)
    assert (factors > 0).all()
    assert factors.isfinite().all()


@given(data=st.data())
def test_cluster_measurements_need_labels(data):
    """Return class probabilities by cluster, NaN where no slice is labelled, and the alarm."""
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
        gamma = trainer.cluster(x, head, epoch)
    row, by_cluster = self_training.measure_clusters(gamma, None, x, slices, made)
    assert by_cluster.shape == (len(x), 3)
    assert np.isnan(by_cluster).all() == (not len(slices.labelled))
    assert isinstance(row["alarm"], str)


@given(data=st.data())
def test_cluster_shares_of_an_epoch_sum_to_one(data):
    """Record cluster fractions that sum to one."""
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
        gamma = trainer.cluster(x, head, epoch)
    row, by_cluster = self_training.measure_clusters(gamma, None, x, slices, made)
    assert np.isclose(sum(row[f"cluster_share_{k}"] for k in range(3)), 1)


@pytest.mark.parametrize("edge", EDGE_CASES)
@pytest.mark.parametrize("preset", ["paper", "taught"])
def test_edge_case_trainings_finish(small_data, tmp_path, edge, preset):
    """Finish trainings on edge cases with finite weights, losses and outputs."""
    data, changes = EDGE_CASES[edge](small_data)
    taught = {name: value for name,
              value in config.PSEUDO_LABEL_SETTINGS.items() if name
              != "skull_strip"} | {"epochs": 2, "supervised_epochs": 1,
                                   "pseudo_label_threshold": 0.1}
    made = tiny_config(**(taught if preset == "taught" else {}))
    made = replace(made, **({**changes, "anchored": False, "pseudo_label_weight": 0.0}
                            if "n_clusters" in changes else changes))
    network = encoders.make_network("autoencoder", 4, 32)
    with time_limit(120):
        check_training(self_training.train_jointly(FABRIC, network, data, made, tmp_path / "joint"),
                       made.epochs, data, made.n_clusters)
        outputs = self_training.load_outputs(tmp_path / "joint", made.epochs)
        assert outputs["embeddings"].shape == (len(data.test), 128)
        assert sum_to_one(outputs["head"])
        assert sum_to_one(outputs["responsibilities"], 1e-3)
        assert [len(part) for part in self_training.load_all_outputs(tmp_path / "joint")] == [
            30,
            30,
        ]
        if preset == "taught": return
        if not len(data.labelled):
            assert "labelled" in refused(self_training.train_supervised_baseline, FABRIC, network,
                                         data, made, tmp_path / "alone")
            return
        check_training(
            self_training.train_supervised_baseline(
                FABRIC, network, data, made, tmp_path / "alone"
            ),
            made.epochs,
            data,
        )


@given(data=st.data(), threshold=st.floats(0, 1))
def test_teachers_are_scored_on_what_is_known(data, threshold):
    """Count right pseudo-labels among slices of known class alone."""
    n = data.draw(st.integers(0, 9))
    given_labels = np.eye(3)[data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))]
    truth = np.array(data.draw(st.lists(st.integers(-1, 2), min_size=n, max_size=n)), dtype=int)
    given_labels = given_labels.reshape(n, 3)
    scores = self_training.teacher_scores({"head": given_labels}, truth, threshold)
    right, counted, counted_right = scores.values()
    known = truth >= 0
    if known.any():
        assert right == (given_labels.argmax(axis=1) == truth)[known].mean()
        assert counted_right == right  # certain predictions count at every threshold
    else:
        assert np.isnan(right)
    assert counted == 1 if n else np.isnan(counted)
