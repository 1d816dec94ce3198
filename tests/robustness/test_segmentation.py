"""Invalid and damaged input for brainclust.analysis.segmentation."""

import numpy as np
from assertions import refused
from hypothesis import assume, given, strategies as st
from strategies import brain_slices, invalid_images

from brainclust.analysis import segmentation


@given(pair=brain_slices(), clusters=st.integers(2, 5))
def test_an_unknown_clustering_is_refused(pair, clusters):
    """Refuse a clustering method that does not exist."""
    image, brain = pair
    counts = segmentation.level_counts(image, brain)
    assume(brain.any())
    refused(segmentation.rank_levels, counts, clusters, "moons")


def test_maps_that_do_not_fit_the_slice_are_refused():
    """Refuse maps of another shape, with NaN or negative values."""
    y, x = np.mgrid[:64, :64]
    brain = (x - 32) ** 2 + (y - 32) ** 2 < 700
    tumour = (x - 22) ** 2 + (y - 36) ** 2 < 40
    image = (brain * 90 + tumour * 110).astype(np.uint8)
    for cam in (np.ones((9, 9)), np.full(image.shape, np.nan), -np.ones(image.shape),
                tumour[..., None] * 1.0):
        refused(segmentation.choose_region, image, brain, cam)


@given(image=invalid_images())
def test_segmentation_of_invalid_images_is_refused(image):
    """Refuse invalid images in every step."""
    brain = np.ones(np.shape(image) if not isinstance(image, str) else (3, 3), bool)
    for mask in (brain, np.ones((5, 5), bool)):
        refused(segmentation.kmeans_steps, image, mask)
        refused(segmentation.smooth_slice, image, mask)
        refused(segmentation.choose_region, image, mask, np.ones(mask.shape))
