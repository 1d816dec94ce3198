"""Invalid and damaged input for brainclust.training.synthetic_pretraining."""

from assertions import refused

from brainclust.models import encoders
from brainclust.synthetic import randomisation, training_phantoms
from brainclust.training import synthetic_pretraining


def test_phantom_training_data_that_do_not_fit_are_refused():
    """Refuse constant, missing and unequal views and labels."""
    signals, regions, labels = training_phantoms.render_classification_phantoms(4)
    views = randomisation.randomise_classification_phantoms(signals, regions, 1, 32)
    # nothing to standardise by
    refused(synthetic_pretraining.phantom_training_data, views * 0, labels)
    # fewer pictures than heads
    refused(synthetic_pretraining.phantom_training_data, views[:3], labels)
    # four pictures of three heads
    refused(synthetic_pretraining.phantom_training_data, views, labels[:3])
    refused(synthetic_pretraining.phantom_training_data, views, labels[:0])


def test_phantom_weights_of_another_network_are_refused():
    """Refuse phantom weights for another encoder or number of classes."""
    assert "autoencoder" in refused(synthetic_pretraining.load_phantom_weights,
                                    encoders.make_network("resnet18", 4, 32))
    # a head for another number of classes
    assert "autoencoder" in refused(synthetic_pretraining.load_phantom_weights,
                                    encoders.make_network("autoencoder", 3, 32))
