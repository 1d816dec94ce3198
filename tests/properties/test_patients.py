"""Properties of brainclust.analysis.patients."""

import numpy as np
from hypothesis import given, strategies as st
from strategies import TENTH_OF_EXAMPLES, probabilities, seeds

from brainclust.analysis import patients as patients_module
from brainclust.core import config
from brainclust.synthetic import anatomy


@given(p=probabilities())
def test_confidence_weights_lie_between_zero_and_one(p):
    """Weigh every slice with a weight in [0, 1]."""
    n = len(p)
    log_probabilities = np.log(np.maximum(p, 1e-30))
    confidence = patients_module.confidence_weights(log_probabilities)
    assert confidence.shape == (n,)
    assert ((confidence >= 0) & (confidence <= 1)).all()


@given(p=probabilities())
def test_confidence_weights_allow_impossible_classes(p):
    """Return the same weights for probabilities of exactly zero."""
    log_probabilities = np.log(np.maximum(p, 1e-30))
    confidence = patients_module.confidence_weights(log_probabilities)
    with np.errstate(divide="ignore"):
        # an impossible class
        assert np.allclose(patients_module.confidence_weights(np.log(p)), confidence, atol=1e-4)


@given(p=probabilities(), seed=seeds(), text=st.booleans())
def test_position_weights_are_positive(p, seed, text):
    """Weigh every position within a patient in (0, 1]."""
    rng = np.random.default_rng(seed)
    n = len(p)
    patients = rng.integers(0, 3, n)
    patients = patients.astype(str) if text else patients
    middle = patients_module.position_weights(rng.permutation(n), patients)
    assert ((middle > 0) & (middle <= 1)).all()


@given(p=probabilities(), seed=seeds(), text=st.booleans())
def test_every_patient_gets_one_prediction(p, seed, text):
    """Aggregate slices to one finite row per patient."""
    rng = np.random.default_rng(seed)
    n = len(p)
    log_probabilities = np.log(np.maximum(p, 1e-30))
    patients = rng.integers(0, 3, n)
    patients = patients.astype(str) if text else patients
    for predictions in (patients_module.majority_vote(log_probabilities, patients),
                        patients_module.mean_probability(log_probabilities, patients),
                        patients_module.mean_probability(log_probabilities, patients, np.zeros(n))):
        assert predictions.shape == (len(set(patients)), p.shape[1])
        assert np.isfinite(predictions.to_numpy()).all()


@given(p=probabilities(), seed=seeds(), text=st.booleans())
def test_patient_scores_lie_between_zero_and_one(p, seed, text):
    """Score every aggregation on all patients."""
    rng = np.random.default_rng(seed)
    n = len(p)
    log_probabilities = np.log(np.maximum(p, 1e-30))
    patients = rng.integers(0, 3, n)
    truth = patients % p.shape[1]
    patients = patients.astype(str) if text else patients
    confidence = patients_module.confidence_weights(log_probabilities)
    middle = patients_module.position_weights(rng.permutation(n), patients)
    table = patients_module.score_patients(log_probabilities, truth, patients,
                                           {"confidence": confidence, "middle": middle}, draws=50)
    assert len(table) == 4
    assert table.accuracy.between(0, 1).all()
    assert (table.patients == len(set(patients))).all()


@given(p=probabilities(), seed=seeds())
def test_plane_reliabilities_lie_between_zero_and_one(p, seed):
    """Keep the reliability of a viewing plane in [0, 1]."""
    rng = np.random.default_rng(seed)
    n = len(p)
    reliable = patients_module.plane_reliability(rng.choice(["axial", ""], n), rng.random(n) < 0.5,
                                                 4)
    assert all(0 <= value <= 1 for value in reliable.values())


@TENTH_OF_EXAMPLES
@given(name=st.sampled_from(config.CLASSES), count=st.integers(1, 2),
       size=st.sampled_from([1, 8, 33]), seed=seeds())
def test_a_phantom_stack_has_its_size(name, count, size, seed):
    """Render a uint8 stack of the asked size in a known plane."""
    stack, plane = patients_module.phantom_stack(anatomy.load_atlas(), name, 0, count, size, seed)
    assert stack.shape == (count, size, size)
    assert stack.dtype == np.uint8
    assert plane in anatomy.PLANES


@TENTH_OF_EXAMPLES
@given(count=st.integers(1, 2), size=st.sampled_from([1, 8, 33]), seed=seeds())
def test_phantom_stacks_have_a_row_per_slice(count, size, seed):
    """List a row for every rendered slice."""
    images, rows = patients_module.phantom_stacks(1, count, size, config.CLASSES[:2], seed)
    assert images.shape == (2 * count, size, size)
    assert len(rows) == len(images)
