"""Properties of brainclust.analysis.domain_shift."""

import numpy as np
import torch
from assertions import accepted
from examples import CPU, FABRIC, IN_TRAIN, NETWORKS, with_labels
from hypothesis import given, strategies as st
from strategies import TENTH_OF_EXAMPLES, points, scan_tables, seeds

from brainclust.analysis import domain_shift
from brainclust.models import encoders
from brainclust.synthetic import anatomy, phantoms


@given(x=points(min_points=2, dimensions=5), seed=seeds())
def test_coral_distances_are_not_negative(x, seed):
    """Return a finite distance that is not negative, zero to itself."""
    x = np.asarray(x, np.float64)
    rng = np.random.default_rng(seed)
    target = rng.normal(size=(9, x.shape[1]))
    distance = domain_shift.coral_loss(x, target)
    assert distance >= 0
    assert np.isfinite(distance)
    assert domain_shift.coral_loss(x, x) == 0


@given(x=points(min_points=2, dimensions=5))
def test_a_shrunk_covariance_is_square(x):
    """Return a square covariance matrix."""
    x = np.asarray(x, np.float64)
    assert domain_shift.covariance(x, 0.1).shape == (x.shape[1],) * 2


@given(x=points(min_points=2, dimensions=5), seed=seeds())
def test_coral_alignment_moves_the_mean(x, seed):
    """Align embeddings to the mean of the target."""
    x = np.asarray(x, np.float64)
    rng = np.random.default_rng(seed)
    target = rng.normal(size=(9, x.shape[1]))
    aligned = accepted(domain_shift.coral_align, x, target, refuses=ValueError)
    assert (aligned is None) == bool(np.allclose(x, x[0], rtol=0, atol=0)) or aligned is not None
    if aligned is not None:
        assert aligned.shape == x.shape
        assert np.isfinite(aligned).all()
        assert np.allclose(aligned.mean(axis=0), target.mean(axis=0), atol=1e-3)


@given(x=points(min_points=2, dimensions=5), seed=seeds())
def test_a_matrix_square_root_squares_to_the_matrix(x, seed):
    """Return a square root whose square is the covariance."""
    x = np.asarray(x, np.float64)
    rng = np.random.default_rng(seed)
    target = rng.normal(size=(9, x.shape[1]))
    power = domain_shift.matrix_power(domain_shift.covariance(target, 0.1), 0.5)
    assert np.allclose(power @ power, domain_shift.covariance(target, 0.1))


@given(table=scan_tables(), min_groups=st.integers(1, 4))
def test_a_left_out_source_is_described_in_one_line(table, min_groups):
    """Describe every division in one line."""
    table = table[table.label >= 0].reset_index(drop=True)
    table["source"] = np.where(np.arange(len(table)) % 2, "one", "two")
    for division in domain_shift.leave_one_source_out(table, min_groups=min_groups):
        assert isinstance(division, domain_shift.LeftOut)
        assert "\n" not in division.sentence


@given(table=scan_tables(), min_groups=st.integers(1, 4))
def test_a_left_out_source_is_only_in_the_test_set(table, min_groups):
    """Separate training and test slices by their source."""
    table = table[table.label >= 0].reset_index(drop=True)
    table["source"] = np.where(np.arange(len(table)) % 2, "one", "two")
    for division in domain_shift.leave_one_source_out(table, min_groups=min_groups):
        assert not set(division.train) & set(division.test)
        assert (table.source[division.train] != division.source).all()
        assert (table.source[division.test] == division.source).all()


@given(table=scan_tables(), min_groups=st.integers(1, 4))
def test_every_test_class_is_in_training(table, min_groups):
    """Test only classes that are in the training set."""
    table = table[table.label >= 0].reset_index(drop=True)
    table["source"] = np.where(np.arange(len(table)) % 2, "one", "two")
    for division in domain_shift.leave_one_source_out(table, min_groups=min_groups):
        assert set(table.label[division.test]) <= set(table.label[division.train])


def test_adapted_batch_norms_are_finite(small_data):
    """Adapt batch normalisation to finite statistics and leave the network alone."""
    network = NETWORKS["autoencoder"]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    for rows in (small_data.train, small_data.train[:1]):
        adapted = domain_shift.adapt_batch_norm(network, small_data, rows, CPU)
        assert all(value.isfinite().all() for value in adapted.state_dict().values())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_transfer_scores_are_accuracies_and_distances(small_data):
    """Return accuracies in [0, 1] and distances that are not negative."""
    everything = with_labels(small_data, IN_TRAIN)
    table = domain_shift.transfer_scores(FABRIC, encoders.make_network("autoencoder", 4, 32),
                                         everything, everything.train, np.arange(30), draws=10)
    assert len(table) == 6
    assert table.accuracy.between(0, 1).all()
    assert (table.distance >= 0).all()


@TENTH_OF_EXAMPLES
@given(patients=st.integers(1, 2), count=st.integers(1, 2), size=st.sampled_from([1, 16]),
       seed=seeds())
def test_scanner_phantoms_have_their_size(patients, count, size, seed):
    """Render phantoms of the asked number and size."""
    rendered = domain_shift.scanner_phantoms(domain_shift.SCANNERS["scanner_two"], patients, count,
                                             size, seed)
    assert rendered.images.shape == (4 * patients * count, size, size)
    assert len(rendered.table) == len(rendered.images)


@TENTH_OF_EXAMPLES
@given(seed=seeds())
def test_an_ideal_scanner_adds_no_noise(seed):
    """Add no noise where the scanner has none."""
    patient, rng = phantoms.draw_patient(seed, "glioma", 0, anatomy.load_atlas())
    assert (domain_shift.scan_with(domain_shift.Scanner((1.0, 0.0, 0.0, 0.0), (0.0, 0.0),
                                                        (0.0, 0.0)), patient, rng, 0.0).noise == 0)
