"""Properties of brainclust.imaging.brain_mask."""

import numpy as np
import torch
from assertions import ignores_layout
from examples import NO_BRAIN_WARNING
from hypothesis import given, strategies as st
from strategies import THIRD_OF_EXAMPLES, seeds, slice_images

from brainclust.imaging import brain_mask
from brainclust.synthetic import anatomy as anatomy_module, training_phantoms


@NO_BRAIN_WARNING
@THIRD_OF_EXAMPLES
@given(image=slice_images(max_side=300))
def test_network_inputs_have_their_size(image):
    """Resize any slice to 160 pixels, for any memory layout."""
    small = brain_mask.network_input(image)
    assert small.shape == (160, 160)
    assert small.dtype == np.uint8
    ignores_layout(brain_mask.network_input, image)


@NO_BRAIN_WARNING
@THIRD_OF_EXAMPLES
@given(image=slice_images(max_side=300))
def test_brain_probabilities_lie_between_zero_and_one(image):
    """Return probabilities per pixel, for any memory layout."""
    small = brain_mask.network_input(image)
    likely = brain_mask.brain_probabilities(small[None])
    assert likely.shape == (1, 160, 160)
    assert 0 <= likely.min()
    assert likely.max() <= 1
    ignores_layout(brain_mask.brain_probabilities, small[None])


@NO_BRAIN_WARNING
@THIRD_OF_EXAMPLES
@given(image=slice_images(max_side=300))
def test_standardised_images_are_finite(image):
    """Standardise images to finite values."""
    small = brain_mask.network_input(image)
    standard = brain_mask.standardise_images(small[None])
    assert standard.shape == (1, 1, 160, 160)
    assert torch.isfinite(standard).all()


@NO_BRAIN_WARNING
@THIRD_OF_EXAMPLES
@given(image=slice_images(max_side=300), seed=seeds())
def test_mask_losses_are_finite(image, seed):
    """Return a finite loss for any regions."""
    small = brain_mask.network_input(image)
    likely = brain_mask.brain_probabilities(small[None])
    region = torch.from_numpy(
        np.random.default_rng(seed).integers(0, 3, (1, 160, 160)).astype(np.uint8)
    )
    assert torch.isfinite(brain_mask.mask_loss(torch.from_numpy(likely).logit(eps=1e-6), region))


@NO_BRAIN_WARNING
@THIRD_OF_EXAMPLES
@given(image=slice_images(max_side=300))
def test_masks_from_probabilities_have_the_size_of_the_slice(image):
    """Return a mask of the slice's size that is never empty in the end."""
    small = brain_mask.network_input(image)
    likely = brain_mask.brain_probabilities(small[None])
    mask = brain_mask.mask_from_probability(likely[0], image.shape)
    assert mask.shape == image.shape
    assert mask.max() <= 1
    assert brain_mask.replace_empty_mask(mask, image).any()


@NO_BRAIN_WARNING
@THIRD_OF_EXAMPLES
@given(image=slice_images(max_side=300))
def test_brain_masks_do_not_depend_on_their_batch(image):
    """Compute the mask of a slice within a batch as alone, and no masks of none."""
    np.testing.assert_array_equal(brain_mask.brain_mask_batch([image, image], workers=1)[1],
                                  brain_mask.synth_mask(image).astype(bool))
    assert brain_mask.brain_mask_batch([]).shape[0] == 0


@given(seed=seeds(), number=st.integers(0, 30), size=st.sampled_from([32, 48]))
@THIRD_OF_EXAMPLES
def test_training_batches_have_their_size(seed, number, size):
    """Draw batches of views and regions of 160 pixels."""
    rng = np.random.default_rng(seed)
    atlas = anatomy_module.load_atlas()
    signal, region = training_phantoms.render_segmentation_phantom(atlas, seed % 100, number, size)
    pictures_of, truths = brain_mask.draw_batch(rng, signal[None], region[None], 2)
    assert pictures_of.shape == (2, 1, 160, 160)
    assert truths.shape == (2, 160, 160)


def test_training_on_constant_images_stays_finite():
    """Train on constant images with finite losses and a usable network."""
    nothing = np.zeros((2, 32, 32), np.uint8)
    network, losses = brain_mask.train_brain_network(nothing, nothing, steps=2, batch=2,
                                                     start=brain_mask.BrainUNet((4, 4)))
    assert np.isfinite(losses).all()
    assert brain_mask.brain_probabilities(np.zeros((1, 160, 160), np.uint8), network).shape == (
        1,
        160,
        160,
    )
