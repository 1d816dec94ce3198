"""Properties of brainclust.training.synthetic_pretraining."""

import torch

from brainclust.models import encoders
from brainclust.synthetic import randomisation, training_phantoms
from brainclust.training import synthetic_pretraining


def test_phantom_training_data_have_a_validation_set():
    """Divide the views into training and validation."""
    signals, regions, labels = training_phantoms.render_classification_phantoms(4)
    views = randomisation.randomise_classification_phantoms(signals, regions, 1, 32)
    data = synthetic_pretraining.phantom_training_data(views, labels, 0.25)
    assert len(data.train) == 3
    assert len(data.test) == 1


def test_random_initialisation_is_reproducible():
    """Initialise a network with the weights of its seed."""
    before = encoders.make_network("autoencoder", 2, 32).state_dict()
    for init in ("random", "autoencoder"):
        assert all(torch.equal(value, before[name]) for name, value
                   in synthetic_pretraining.initialise(encoders.make_network("autoencoder", 2, 32),
                                                       init, ("x", "y")) .state_dict() .items())


def test_phantom_weights_are_finite():
    """Load finite phantom weights for any order of classes."""
    pretrained = synthetic_pretraining.load_phantom_weights(
        encoders.make_network("autoencoder", 2, 32),
        ("pituitary", "glioma"),
        synthetic_pretraining.phantom_weights_file(),
    )
    assert all(value.isfinite().all() for value in pretrained.state_dict().values())
