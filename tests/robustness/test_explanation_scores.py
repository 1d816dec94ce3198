"""Invalid and damaged input for brainclust.analysis.explanation_scores."""

import numpy as np
from assertions import refused, survives
from hypothesis import given, strategies as st
from strategies import mask_pairs, seeds

from brainclust.analysis import explanation_scores


@given(pair=mask_pairs(n=2))
def test_invalid_maps_are_refused(pair):
    """Refuse maps that are not finite, not negative and of the masks' shape."""
    masks = pair[0]
    for cams in (np.full(masks.shape, np.nan), np.full(masks.shape, np.inf), -np.ones(masks.shape),
                 np.ones((2, 99, 99)), np.ones(masks.shape)[:1]):
        refused(explanation_scores.cam_scores, cams, masks)
    refused(explanation_scores.cam_scores, np.ones(masks.shape), masks.astype(np.uint8) * 255)


@given(n=st.integers(1, 3), side=st.integers(7, 12), seed=seeds())
def test_structural_similarity_survives_small_maps(n, side, seed):
    """Raise an ordinary error, at worst, for maps smaller than the window."""
    a, b = np.random.default_rng(seed).random((2, n, side, side))
    survives(explanation_scores.structural_similarities, a[:, :2], b[:, :2])
