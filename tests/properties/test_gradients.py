"""Gradients of every loss, and of the whole objective, against finite differences."""
import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from brainclust.analysis.tumour_unet import segmentation_loss
from brainclust.imaging.brain_mask import mask_loss
from brainclust.models.encoders import make_network
from brainclust.models.losses import (
    align_distribution,
    classification_loss,
    cluster_distance,
    pseudo_label_loss,
    pseudo_targets,
    reconstruction_loss,
)
from brainclust.training.objective import batch_losses


def double(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(
        *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).requires_grad_()


LOSSES = {  # name: function, inputs that have a gradient
    "classification": (lambda z: classification_loss(z, torch.tensor([0, 3, 3, 1])),
                       [double(4, 4)]),
    "cluster distance": (lambda z, mu: cluster_distance(z, double(4, 3, seed=1).softmax(1), mu),
                         [double(4, 5), double(3, 5, seed=2)]),
    "pseudo labels": (
        lambda z: pseudo_label_loss(z, torch.eye(4, dtype=torch.float64) * 0.9 + 0.02, 0.5),
        [double(4, 4)]),
    "pseudo labels, all uncertain": (
        lambda z: pseudo_label_loss(z, torch.full((4, 4), 0.25, dtype=torch.float64), 0.5),
        [double(4, 4)]),
    "reconstruction": (lambda x, y: reconstruction_loss(x, y),
                       [double(2, 1, 4, 4), double(2, 1, 4, 4, seed=1)]),
    "targets": (lambda a, b: pseudo_targets(a.softmax(1), b.softmax(1), 0.3),
                [double(3, 4), double(3, 4, seed=1)]),
    "aligned predictions": (lambda a, f: align_distribution(a.softmax(1), f.exp()),
                        [double(3, 4), double(4, seed=1)]),
    "segmentation": (lambda z: segmentation_loss(z, (double(2, 1, 5, 5, seed=3) > 0).double()),
                     [double(2, 1, 5, 5)]),
    "brain mask": (
        lambda z: mask_loss(z, torch.arange(50).reshape(2, 5, 5).remainder(3).to(torch.uint8)),
        [double(2, 5, 5)]),
    "no slices": (
        lambda z: (classification_loss(z, torch.zeros(0, dtype=torch.long))
                   + pseudo_label_loss(z, z.detach(), 0.5)
                   + cluster_distance(z, z.detach(), torch.zeros(3, 3, dtype=torch.float64))),
        [double(0, 3)]),
}


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_of_losses(name):
    function, inputs = LOSSES[name]
    assert gradcheck(function, inputs)


def test_gradients_through_the_network():
    """The whole objective at once, along the weights of encoder, head and decoder."""
    network = make_network("autoencoder", 3, 32, decoder=True, seed=0).double().eval()
    x, unlabelled, gamma = (double(2, 1, 32, 32).detach(), double(3, 1, 32, 32, seed=1).detach(),
                            double(3, 3, seed=2).softmax(1).detach())
    means = double(3, network.encoder.dimensions, seed=3).detach()
    def objective() -> torch.Tensor:
        both = torch.cat([x, unlabelled])
        outputs = network(both, reconstruct=True)
        losses = batch_losses(both, outputs, torch.tensor([0, 2]), gamma, means, gamma, .2)
        assert set(losses) == {"cross_entropy", "cluster_distance", "pseudo_labels",
                               "reconstruction"}
        return (losses["cross_entropy"] + 0.1 * losses["cluster_distance"] + losses["pseudo_labels"]
                + losses["reconstruction"])
    network.zero_grad()
    objective().backward()
    rng = np.random.default_rng(0)
    step = 1e-8
    for name, parameter in network.named_parameters():
        place = tuple(rng.integers(0, size) for size in parameter.shape)
        with torch.no_grad():
            sides = []
            for sign in (1, -1):
                parameter[place] += sign * step
                sides.append(objective().item())
                parameter[place] -= sign * step
        slope = (sides[0] - sides[1]) / (2 * step)
        assert abs(slope - parameter.grad[place].item()) < 1e-5 * max(1, abs(slope)), name
