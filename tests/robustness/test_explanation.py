"""Invalid and damaged input for brainclust.analysis.explanation."""

from types import SimpleNamespace

import numpy as np
import torch
from assertions import refused
from examples import WeightedSum, small_network
from hypothesis import given, strategies as st
from strategies import seeds

from brainclust.analysis import explanation


@given(seed=seeds())
def test_invalid_targets_are_refused(seed):
    """Refuse targets that are not classes of the slices."""
    made, mixture = small_network()
    x = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(seed))
    for targets in ([0], [0, 3], [0, -1], [0, 0.5], [np.nan, 0], [0, 1, 2], ["glioma", 0]):
        refused(explanation.grad_cam, made, x, targets)


@given(seed=seeds())
def test_slices_that_do_not_fit_a_network_are_refused(seed):
    """Refuse batches of another shape."""
    made, mixture = small_network()
    x = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(seed))
    for wrong in (x[0], x[..., :16], x[:, 0]):
        refused(explanation.cluster_cam, made, mixture, wrong, [0] * len(wrong))


@given(seed=seeds())
def test_unknown_layers_and_methods_are_refused(seed):
    """Refuse layers, methods and views that do not exist."""
    made, mixture = small_network()
    x = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(seed))
    refused(explanation.check_cam_request, made, x, [0, 0], ["absent"], "layercam", "one", 3)
    for options in ({"method": "x"}, {"views": "x"}, {"layer": "x"}, {"layer": ["head", "x"]}):
        refused(explanation.grad_cam, made, x, [0, 0], **options)
    refused(explanation.default_layers, SimpleNamespace(encoder=torch.nn.Linear(1, 1)))


@given(seed=seeds())
def test_a_patch_larger_than_the_slice_is_refused(seed):
    """Refuse a patch larger than the slice."""
    made, mixture = small_network()
    x = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(seed))
    refused(explanation.occlusion_maps, explanation.HeadScores(made), x, [0, 0], 33)


@given(side=st.integers(1, 16), patch=st.integers(1, 16), stride=st.integers(1, 16), seed=seeds())
def test_strides_larger_than_the_patch_are_refused(side, patch, stride, seed):
    """Refuse patches and strides that do not cover the slice."""
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(2, 1, side, side, generator=rng)
    model = WeightedSum(torch.randn(side, side, generator=rng))
    if not stride <= patch <= side:
        refused(explanation.occlusion_maps, model, x, [0, 0], patch, stride)
        return
