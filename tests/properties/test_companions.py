"""Properties of brainclust.models.companions."""

from examples import NETWORKS
from hypothesis import given, strategies as st
from strategies import TENTH_OF_EXAMPLES, standardised_batches

from brainclust.models import companions
from brainclust.training import supervised


@TENTH_OF_EXAMPLES
@given(name=st.sampled_from(["a", "b"]), n_classes=st.integers(1, 5),
       x=standardised_batches(sizes=(32,)))
def test_companion_networks_return_finite_logits(name, n_classes, x):
    """Build the network of the name, which returns finite logits for every slice."""
    network = supervised.make_companion(name, n_classes, 32).eval()
    assert isinstance(network,
                      {"a": companions.TwoBlockNetwork, "b": companions.ThreeBlockNetwork}[name])
    logits = network(x)
    assert logits.shape == (len(x), n_classes)
    assert logits.isfinite().all()


@TENTH_OF_EXAMPLES
@given(x=standardised_batches(sizes=(32,)))
def test_a_network_reduced_to_logits_returns_logits(x):
    """Return the logits of a clustering network alone."""
    assert companions.LogitsOnly(NETWORKS["autoencoder"])(x).shape == (len(x), 3)
