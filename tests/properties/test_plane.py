"""Properties of brainclust.imaging.plane."""

import numpy as np
from hypothesis import given
from strategies import seeds, slice_images

from brainclust.imaging import plane as plane_module
from brainclust.synthetic import anatomy as anatomy_module


@given(image=slice_images())
def test_an_outline_is_a_mask(image):
    """Outline a shrunk slice; a constant one has no outline."""
    small = plane_module.shrink_slice(image)
    outline = plane_module.outline_head(small)
    assert max(small.shape) == plane_module.OUTLINE_SIZE
    assert outline.shape == small.shape
    assert outline.max() <= 1
    if image.min() == image.max():
        assert not outline.any()


@given(image=slice_images())
def test_plane_features_have_their_shape(image):
    """Crop a head and describe it by 72 features."""
    small = plane_module.shrink_slice(image)
    outline = plane_module.outline_head(small)
    if outline.any():
        assert plane_module.crop_head(small, outline).shape == (48, 48)
        assert plane_module.plane_features(small, outline).shape == (72,)


@given(image=slice_images())
def test_plane_probabilities_sum_to_one(image):
    """Sum plane probabilities to one and estimate a known plane."""
    small = plane_module.shrink_slice(image)
    outline = plane_module.outline_head(small)
    if outline.any():
        assert abs(plane_module.plane_probabilities(small, outline).sum() - 1) < 1e-9
        assert plane_module.estimate_plane(small, outline, 0) in anatomy_module.PLANES


@given(seed=seeds())
def test_edge_histograms_have_length_one(seed):
    """Scale edge histograms to length one."""
    noise = np.random.default_rng(seed).random((8, 8)).astype(np.float32)
    edges = plane_module.edge_histograms(noise)
    assert edges.shape == (4, 4, 8)
    assert abs((edges**2).sum() - 1) < 1e-4


@given(image=slice_images())
def test_a_mirrored_half_keeps_the_shape(image):
    """Mirror half a slice to the same shape."""
    assert plane_module.mirror_half(image).shape == image.shape


@given(image=slice_images(), seed=seeds())
def test_a_varied_slice_is_a_slice(image, seed):
    """Vary a slice to uint8."""
    assert plane_module.vary_slice(image, "axial", np.random.default_rng(seed)).dtype == np.uint8


def test_planes_are_learned_from_small_slices():
    """Learn finite weights from slices of 20 by 16 pixels."""
    rng = np.random.default_rng(0)
    weights = plane_module.learn_planes([rng.integers(0, 256, (20, 16)).astype(np.uint8) for _
                                         in range(6)], list(anatomy_module.PLANES) * 2, variants=1)
    assert weights.shape == (73, 2)
    assert np.isfinite(weights).all()
