"""Properties of brainclust.analysis.tumour_unet."""

from functools import cache

import numpy as np
import torch
from examples import small_network
from hypothesis import given, strategies as st
from strategies import FIFTH_OF_EXAMPLES, mask_pairs, seeds, with_layout

from brainclust.analysis import tumour_unet
from brainclust.training.distributed import make_fabric


@cache
def small_unet():
    return tumour_unet.make_unet("autoencoder", small_network()[0]).eval()


@given(pair=mask_pairs(n=1), confidence=st.sampled_from([0.0, 0.5, 1.1]))
def test_a_likely_mask_holds_probable_pixels(pair, confidence):
    """Return the pixels above the threshold, or none without a confident one."""
    mask = pair[0][0]
    found = tumour_unet.likely_mask(mask.astype(np.float32), confidence)
    assert found.dtype == bool
    assert (found == (mask if mask.any() and confidence <= 1 else np.zeros_like(mask))).all()


@given(pair=mask_pairs(n=1), seed=seeds(), confidence=st.sampled_from([0.0, 0.5, 1.1]))
def test_a_likely_mask_ignores_memory_layout(pair, seed, confidence):
    """Return the same mask for any memory layout."""
    mask = pair[0][0]
    rng = np.random.default_rng(seed)
    probability = rng.random(mask.shape)
    assert (tumour_unet.likely_mask(with_layout(probability, "reversed"), confidence)
            == tumour_unet.likely_mask(probability, confidence)).all()


@given(n=st.integers(1, 30), fraction=st.sampled_from([0.01, 0.5, 1.0]), seed=seeds())
def test_chosen_masks_are_ascending_rows(n, fraction, seed):
    """Choose ascending rows, at least one where there are any."""
    patients = np.random.default_rng(seed).choice(["p", "q", "r", ""], n)
    rows = np.flatnonzero(np.random.default_rng(seed).random(n) < 0.7)
    chosen = tumour_unet.choose_masks(rows, patients, fraction, seed)
    assert set(chosen) <= set(rows)
    assert (len(chosen) > 0) == (len(rows) > 0)
    assert (np.diff(chosen) > 0).all()


@given(n=st.integers(1, 30), fraction=st.sampled_from([0.01, 0.5, 1.0]), seed=seeds())
def test_smaller_fractions_are_nested(n, fraction, seed):
    """Choose rows of a fraction that are among those of a larger one."""
    patients = np.random.default_rng(seed).choice(["p", "q", "r", ""], n)
    rows = np.flatnonzero(np.random.default_rng(seed).random(n) < 0.7)
    chosen = tumour_unet.choose_masks(rows, patients, fraction, seed)
    assert set(chosen) <= set(tumour_unet.choose_masks(rows, patients, 1.0, seed)) == set(rows)


@given(n=st.integers(1, 30), fraction=st.sampled_from([0.01, 0.5, 1.0]), seed=seeds())
def test_chosen_masks_divide_no_patient(n, fraction, seed):
    """Choose all masks of a patient or none."""
    patients = np.random.default_rng(seed).choice(["p", "q", "r", ""], n)
    rows = np.flatnonzero(np.random.default_rng(seed).random(n) < 0.7)
    chosen = tumour_unet.choose_masks(rows, patients, fraction, seed)
    assert not set(patients[chosen]) & set(patients[np.setdiff1d(rows, chosen)])


@FIFTH_OF_EXAMPLES
@given(n=st.integers(1, 2), side=st.sampled_from([32, 64]), seed=seeds(),
       kind=st.sampled_from(["noise", "constant"]))
def test_tumour_probabilities_lie_between_zero_and_one(n, side, seed, kind):
    """Return float32 probabilities per pixel, also of no slices."""
    images = (
        torch.from_numpy(
            np.random.default_rng(seed).integers(0, 256, (n, 1, side, side), dtype=np.uint8)
        )
        if kind == "noise"
        else torch.full((n, 1, side, side), 7, dtype=torch.uint8)
    )
    data = tumour_unet.MaskedSlices(images, images > 128, 0.3, 0.2)
    for rows in (np.arange(n), np.arange(0)):
        found = tumour_unet.tumour_probabilities(make_fabric(torch.device("cpu"), "32-true"),
                                                 small_unet(), data, rows)
        assert found.shape == (len(rows), side, side)
        assert found.dtype == np.float32
        assert (found >= 0).all()
        assert (found <= 1 + 1e-6).all()


@FIFTH_OF_EXAMPLES
@given(n=st.integers(1, 2), side=st.sampled_from([32, 64]), seed=seeds(),
       kind=st.sampled_from(["noise", "constant"]))
def test_encoder_features_halve_in_size(n, side, seed, kind):
    """Return features at halved sizes from a skip encoder."""
    images = (
        torch.from_numpy(
            np.random.default_rng(seed).integers(0, 256, (n, 1, side, side), dtype=np.uint8)
        )
        if kind == "noise"
        else torch.full((n, 1, side, side), 7, dtype=torch.uint8)
    )
    data = tumour_unet.MaskedSlices(images, images > 128, 0.3, 0.2)
    x, masks = data.batch(np.arange(n), torch.device("cpu"))
    assert [feature.shape[2] for feature in small_unet().encoder(x)] == [
        side // 2**k for k in (1, 1, 2, 3, 4, 5)
    ]
    assert isinstance(small_unet().encoder, tumour_unet.SkipEncoder)


@FIFTH_OF_EXAMPLES
@given(n=st.integers(1, 2), side=st.sampled_from([32, 64]), seed=seeds(),
       kind=st.sampled_from(["noise", "constant"]))
def test_augmented_pairs_stay_valid(n, side, seed, kind):
    """Augment slices in [0, 1] and masks of 0 and 1 together."""
    images = (
        torch.from_numpy(
            np.random.default_rng(seed).integers(0, 256, (n, 1, side, side), dtype=np.uint8)
        )
        if kind == "noise"
        else torch.full((n, 1, side, side), 7, dtype=torch.uint8)
    )
    data = tumour_unet.MaskedSlices(images, images > 128, 0.3, 0.2)
    x, masks = data.batch(np.arange(n), torch.device("cpu"))
    moved, moved_masks = tumour_unet.augment_pair(tumour_unet.TUMOUR_VIEWS, x, masks, 32,
                                                  torch.Generator().manual_seed(seed))
    assert moved.shape == moved_masks.shape == (n, 1, 32, 32)
    assert moved.min() >= 0
    assert moved.max() <= 1
    assert set(moved_masks.unique().tolist()) <= {0.0, 1.0}


@FIFTH_OF_EXAMPLES
@given(n=st.integers(1, 2), side=st.sampled_from([32, 64]), seed=seeds(),
       kind=st.sampled_from(["noise", "constant"]))
def test_the_segmentation_loss_prefers_the_truth(n, side, seed, kind):
    """Return a small loss for the truth and a large one for its opposite."""
    images = (
        torch.from_numpy(
            np.random.default_rng(seed).integers(0, 256, (n, 1, side, side), dtype=np.uint8)
        )
        if kind == "noise"
        else torch.full((n, 1, side, side), 7, dtype=torch.uint8)
    )
    data = tumour_unet.MaskedSlices(images, images > 128, 0.3, 0.2)
    x, masks = data.batch(np.arange(n), torch.device("cpu"))
    logits = (masks - 0.5) * 200
    assert (tumour_unet.segmentation_loss(logits, masks) < 1e-3 < 0.5
            < tumour_unet.segmentation_loss(-logits, masks))


@FIFTH_OF_EXAMPLES
@given(n=st.integers(1, 2), side=st.sampled_from([32, 64]), seed=seeds(),
       kind=st.sampled_from(["noise", "constant"]))
def test_resizing_to_the_same_size_changes_nothing(n, side, seed, kind):
    """Resize slices, and return them unchanged at their size."""
    images = (
        torch.from_numpy(
            np.random.default_rng(seed).integers(0, 256, (n, 1, side, side), dtype=np.uint8)
        )
        if kind == "noise"
        else torch.full((n, 1, side, side), 7, dtype=torch.uint8)
    )
    data = tumour_unet.MaskedSlices(images, images > 128, 0.3, 0.2)
    x, masks = data.batch(np.arange(n), torch.device("cpu"))
    assert tumour_unet.resized(x, 16).shape == (n, 1, 16, 16)
    assert tumour_unet.resized(x, side) is x


@FIFTH_OF_EXAMPLES
@given(n=st.integers(1, 2), side=st.sampled_from([32, 64]), seed=seeds(),
       kind=st.sampled_from(["noise", "constant"]))
def test_the_mean_of_views_keeps_the_shape(n, side, seed, kind):
    """Average views to the shape of the slices."""
    images = (
        torch.from_numpy(
            np.random.default_rng(seed).integers(0, 256, (n, 1, side, side), dtype=np.uint8)
        )
        if kind == "noise"
        else torch.full((n, 1, side, side), 7, dtype=torch.uint8)
    )
    data = tumour_unet.MaskedSlices(images, images > 128, 0.3, 0.2)
    x, masks = data.batch(np.arange(n), torch.device("cpu"))
    assert tumour_unet.mean_of_views(small_unet(), x).shape == x.shape
