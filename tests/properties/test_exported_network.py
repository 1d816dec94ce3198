"""Properties of brainclust.runs.exported_network."""

import numpy as np
import torch
from examples import small_predictor
from hypothesis import given, strategies as st
from strategies import probabilities, seeds

from brainclust.models.mixture import e_step
from brainclust.runs import exported_network


@given(p=probabilities(), temperature=st.floats(0.05, 20))
def test_calibrated_outputs_are_probabilities(p, temperature):
    """Return probabilities with the same prediction."""
    x = torch.from_numpy(np.array(p))
    found = exported_network.calibrated(x, temperature)
    assert torch.allclose(found.sum(dim=1), torch.ones(len(p)))
    unchanged = exported_network.calibrated(x, 1.0)
    assert (found.argmax(dim=1) == unchanged.argmax(dim=1)).float().mean() > 0.9


@given(p=probabilities())
def test_calibration_at_temperature_one_normalises(p):
    """Normalise probabilities for a temperature of one."""
    x = torch.from_numpy(np.array(p))
    x = x.clamp(min=1e-6)
    assert torch.allclose(exported_network.calibrated(x, 1.0), x / x.sum(dim=1, keepdim=True),
                          atol=1e-5)


@given(p=probabilities(), seed=seeds())
def test_exported_responsibilities_are_those_of_the_mixture(p, seed):
    """Compute the responsibilities of the mixture."""
    rng = np.random.default_rng(seed)
    k = p.shape[1]
    weights = rng.dirichlet(np.ones(k))
    means = rng.normal(size=(k, 3))
    variances = rng.uniform(0.1, 2, (k, 3))
    reduced = rng.normal(size=(5, 3)) * rng.choice([1e-6, 1, 100])
    direct = exported_network.mixture_responsibilities(
        *(torch.from_numpy(part) for part in (reduced, weights, means, variances))
    )
    assert np.allclose(direct, e_step(reduced, weights, means, variances)[0], atol=1e-9)


@given(seed=seeds())
def test_a_quarter_maximum_is_an_adaptive_pooling(seed):
    """Pool as PyTorch's adaptive maximum does."""
    rng = np.random.default_rng(seed)
    side = int(rng.integers(1, 9))
    maps = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(exported_network.QuarterMaximum()(maps), torch.nn.AdaptiveMaxPool2d(2)(maps))


def test_an_exportable_network_has_no_decoder():
    """Remove the decoder from a copy in evaluation mode."""
    predictor = small_predictor()
    bare = exported_network.exportable(predictor.network.module)
    assert bare.decoder is None
    assert not bare.training
    assert predictor.network.module.decoder is not None
