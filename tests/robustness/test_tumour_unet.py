"""Invalid and damaged input for brainclust.analysis.tumour_unet."""

import numpy as np
from assertions import refused
from hypothesis import given, strategies as st
from strategies import mask_pairs, seeds

from brainclust.analysis import tumour_unet


@given(pair=mask_pairs(n=1), seed=seeds())
def test_invalid_pixel_probabilities_are_refused(pair, seed):
    """Refuse probabilities that are NaN, infinite or empty."""
    mask = pair[0][0]
    rng = np.random.default_rng(seed)
    probability = rng.random(mask.shape)
    for wrong in (probability * np.nan, probability + np.inf, probability[:0]):
        refused(tumour_unet.likely_mask, wrong)


@given(n=st.integers(1, 30), seed=seeds())
def test_invalid_fractions_of_masks_are_refused(n, seed):
    """Refuse fractions outside (0, 1]."""
    patients = np.random.default_rng(seed).choice(["p", "q", "r", ""], n)
    rows = np.flatnonzero(np.random.default_rng(seed).random(n) < 0.7)
    for wrong in (0, -1, 1.5, np.nan):
        refused(tumour_unet.choose_masks, rows, patients, wrong)


def test_an_unknown_unet_is_refused():
    """Refuse an encoder that does not exist."""
    refused(tumour_unet.make_unet, "absent")
