"""Invalid and damaged input for brainclust.imaging.masks."""

import numpy as np
from assertions import refused
from hypothesis import given
from strategies import invalid_images, mask_pairs

from brainclust.imaging import masks as masks_module


@given(pair=mask_pairs())
def test_masks_that_do_not_fit_are_refused(pair):
    """Refuse truths of another type or shape."""
    masks, truths = pair
    for wrong in (truths.astype(np.uint8) * 255, truths.astype(float), truths[None],
                  np.zeros((9, 33, 33), bool)):
        refused(masks_module.score_masks, masks, wrong)


@given(image=invalid_images())
def test_masks_that_do_not_fit_a_slice_are_refused(image):
    """Refuse masks of another type or shape."""
    brain = np.ones(np.shape(image) if not isinstance(image, str) else (3, 3), bool)
    valid = np.zeros((5, 5), np.uint8)
    for mask in (brain.astype(np.uint8) * 255, np.ones((5, 4), bool), None, [[True]]):
        refused(masks_module.check_slice, valid, mask)
