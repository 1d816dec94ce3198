"""Invalid and damaged input for brainclust.models.encoders."""

import numpy as np
import pytest
import torch
from assertions import refused, survives
from examples import NETWORKS
from hypothesis import given, strategies as st
from strategies import TENTH_OF_EXAMPLES, invalid_images

from brainclust.models import encoders


@TENTH_OF_EXAMPLES
@given(name=st.sampled_from(list(encoders.ENCODERS)), thing=invalid_images())
def test_networks_survive_invalid_images(name, thing):
    """Raise an ordinary error, at worst, for images that are not slices."""
    network = NETWORKS[name]
    survives(lambda: network(torch.as_tensor(np.asarray(thing))))
    survives(lambda: network.encoder.embed(thing))


def test_an_unknown_encoder_is_refused():
    """Refuse an unknown encoder and list the known ones."""
    assert "resnet18" in refused(encoders.make_network, "vit", 4, 32)


def test_an_image_size_that_is_not_a_multiple_of_32_is_refused():
    """Refuse image sizes that are not positive multiples of 32."""
    for size in (0, 33, -32):
        assert "32" in refused(encoders.make_network, "autoencoder", 4, size)


def test_a_network_without_classes_is_refused():
    """Refuse a network for no class."""
    assert "class" in refused(encoders.make_network, "autoencoder", 0, 32)


def test_a_network_without_a_decoder_cannot_reconstruct():
    """Raise TypeError for a reconstruction by a network without a decoder."""
    network = encoders.ClusteringNetwork(encoders.ConvolutionalEncoder(), 4)
    with pytest.raises(TypeError):
        network(torch.zeros(1, 1, 32, 32), reconstruct=True)  # it has no decoder
