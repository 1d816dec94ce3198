"""Invalid and damaged input for brainclust.analysis.domain_shift."""

import numpy as np
from assertions import refused
from examples import CPU, NETWORKS
from hypothesis import given
from strategies import points, seeds

from brainclust.analysis import domain_shift


@given(x=points(min_points=2, dimensions=5), seed=seeds())
def test_targets_that_do_not_fit_are_refused(x, seed):
    """Refuse targets of one slice, of other dimensions or with NaN."""
    x = np.asarray(x, np.float64)
    rng = np.random.default_rng(seed)
    target = rng.normal(size=(9, x.shape[1]))
    for wrong in (target[:1], target[:0], np.hstack([target, target]), target * np.nan, target[0]):
        refused(domain_shift.coral_loss, x, wrong)
        refused(domain_shift.coral_align, x, wrong)


@given(x=points(min_points=2, dimensions=5), seed=seeds())
def test_alignment_of_constant_embeddings_is_refused(x, seed):
    """Refuse to align embeddings without variance."""
    x = np.asarray(x, np.float64)
    rng = np.random.default_rng(seed)
    target = rng.normal(size=(9, x.shape[1]))
    refused(domain_shift.coral_align, np.ones((4, x.shape[1])), target)


def test_sources_without_different_names_are_refused(tmp_path):
    """Refuse no folder, one folder and the same folder twice."""
    for folders in ([], [tmp_path], [tmp_path, tmp_path]):
        refused(domain_shift.read_sources, folders)


def test_adaptation_without_slices_is_refused(small_data):
    """Refuse to adapt to no slices."""
    network = NETWORKS["autoencoder"]
    assert "slice" in refused(domain_shift.adapt_batch_norm, network, small_data,
                              small_data.train[:0], CPU)
