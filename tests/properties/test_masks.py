"""Properties of brainclust.imaging.masks."""

import numpy as np
import pandas as pd
import pytest
from assertions import drawn_figure, ignores_layout
from examples import class_names
from hypothesis import given, strategies as st
from strategies import mask_pairs, seeds, slice_images, with_layout

from brainclust.analysis import segmentation
from brainclust.core import intervals as intervals_module
from brainclust.imaging import brain_mask, masks as masks_module


@given(image=slice_images())
def test_a_threshold_is_a_grey_level(image):
    """Return a threshold between 0 and 255."""
    level = masks_module.otsu_threshold(image, -5)
    assert 0 <= level <= 255


@given(image=slice_images(), sigma=st.sampled_from([0, 0.5, 3]))
def test_a_blurred_slice_is_a_slice(image, sigma):
    """Blur a slice to uint8."""
    assert masks_module.blur(image, sigma).dtype == np.uint8


@given(image=slice_images(), radius=st.integers(0, 9), seed=seeds())
def test_steps_of_a_mask_return_masks(image, radius, seed):
    """Return a uint8 mask of the same shape from every step, for any memory layout."""
    mask = (np.random.default_rng(seed).random(image.shape) < 0.6).astype(np.uint8)
    for step in (lambda m: masks_module.close_then_open(m, radius), masks_module.largest_component,
                 masks_module.fill_holes,
                 lambda m: brain_mask.confident_components(m, m.astype(bool)),
                 masks_module.full_mask, lambda m: masks_module.paper_mask(m * 255, 3, -5, radius),
                 lambda m: masks_module.filled_mask(m * 255, denoise_sigma=3, otsu_relax=-5,
                                                    closing_radius=radius)):
        found = step(mask)
        assert found.dtype == np.uint8
        assert found.shape == mask.shape
        assert found.max(initial=0) <= 1
        ignores_layout(step, mask)


@given(image=slice_images(), seed=seeds())
def test_filled_holes_grow_a_mask(image, seed):
    """Add pixels to a mask and remove none."""
    mask = (np.random.default_rng(seed).random(image.shape) < 0.6).astype(np.uint8)
    assert (masks_module.fill_holes(mask) >= mask).all()


@given(image=slice_images(), seed=seeds())
def test_the_largest_component_shrinks_a_mask(image, seed):
    """Remove pixels from a mask and add none."""
    mask = (np.random.default_rng(seed).random(image.shape) < 0.6).astype(np.uint8)
    assert (masks_module.largest_component(mask) <= mask).all()


@given(image=slice_images(), seed=seeds())
def test_dice_lies_between_zero_and_one(image, seed):
    """Keep the Dice coefficient in [0, 1], one for equal masks."""
    mask = (np.random.default_rng(seed).random(image.shape) < 0.6).astype(np.uint8)
    other = np.random.default_rng(seed + 1).random(image.shape) < 0.5
    own = mask.astype(bool)
    assert 0 <= masks_module.dice(own, other) <= 1
    assert masks_module.dice(own, own) == 1


@given(pair=mask_pairs())
def test_scores_of_masks_lie_in_their_ranges(pair):
    """Keep Dice and IoU in [0, 1] and HD95 within the diagonal."""
    masks, truths = pair
    table = masks_module.score_masks(masks, truths).astype(float)
    assert list(table) == [*masks_module.METRICS, "empty_prediction", "empty_truth"]
    assert len(table) == len(masks)
    assert table[["dice", "iou"]].stack().between(0, 1).all()
    assert (table.hd95 >= 0).all()
    assert (table.hd95 <= np.hypot(*masks.shape[1:])).all()


@given(pair=mask_pairs())
def test_scores_of_masks_are_symmetric(pair):
    """Score a mask against the truth as the truth against the mask."""
    masks, truths = pair
    table = masks_module.score_masks(masks, truths).astype(float)
    other = masks_module.score_masks(truths, masks).astype(float)
    for metric in masks_module.METRICS:
        assert (table[metric] == other[metric]).all()


@given(pair=mask_pairs())
def test_dice_follows_from_iou(pair):
    """Relate Dice and IoU by their formula."""
    masks, truths = pair
    table = masks_module.score_masks(masks, truths).astype(float)
    assert np.allclose(table.dice, 2 * table.iou / (1 + table.iou))


@given(pair=mask_pairs())
def test_a_mask_scores_itself_perfectly(pair):
    """Score a mask against itself by one and zero distance."""
    masks, truths = pair
    same = masks_module.score_masks(masks, masks)
    assert (same[["dice", "iou"]] == 1).all(axis=None)
    assert (same.hd95 == 0).all()


@given(pair=mask_pairs())
def test_hausdorff_distances_ignore_memory_layout(pair):
    """Return the same distance for any memory layout, in units of the spacing."""
    masks, truths = pair
    for mask, truth in zip(masks, truths):
        assert masks_module.hausdorff_95(mask, truth) == masks_module.hausdorff_95(
            with_layout(mask, "strided"), truth
        )
        assert masks_module.hausdorff_95(mask, truth, 2.0) == pytest.approx(
            2 * masks_module.hausdorff_95(mask, truth)
        )


@given(n=st.integers(1, 20), classes=st.sampled_from((1, 3)), seed=seeds(), holes=st.booleans())
def test_score_intervals_hold_the_mean(n, classes, seed, holes):
    """Enclose the mean of every metric by its interval."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"class_name": rng.choice(class_names(classes), n),
                          "patient": rng.choice(["p", "q", ""], n),
                          **{metric: rng.random(n) for metric in masks_module.METRICS}})
    if holes:
        table.loc[rng.random(n) < 0.6, "hd95"] = np.nan
    found = masks_module.score_intervals(table, draws=20)
    assert list(found) == ["class_name", "metric", "mean", "low", "high", "slices"]
    known = found[found.slices > 0]
    assert (known.low <= known["mean"] + 1e-9).all()
    assert (known.high >= known["mean"] - 1e-9).all()


@given(n=st.integers(1, 20), classes=st.sampled_from((1, 3)), seed=seeds(), holes=st.booleans())
def test_score_intervals_count_every_measured_slice(n, classes, seed, holes):
    """Count every measured slice by class and in total."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"class_name": rng.choice(class_names(classes), n),
                          "patient": rng.choice(["p", "q", ""], n),
                          **{metric: rng.random(n) for metric in masks_module.METRICS}})
    if holes:
        table.loc[rng.random(n) < 0.6, "hd95"] = np.nan
    found = masks_module.score_intervals(table, draws=20)
    for metric in masks_module.METRICS:
        rows = found[found.metric == metric].set_index("class_name")
        assert rows.slices["all"] == rows.slices.drop("all").sum() == table[metric].notna().sum()
        assert rows["mean"]["all"] == pytest.approx(table[metric].mean(), nan_ok=True)


@given(n=st.integers(1, 20), classes=st.sampled_from((1, 3)), seed=seeds(), holes=st.booleans())
def test_score_intervals_are_drawn(n, classes, seed, holes):
    """Draw score intervals of two methods."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"class_name": rng.choice(class_names(classes), n),
                          "patient": rng.choice(["p", "q", ""], n),
                          **{metric: rng.random(n) for metric in masks_module.METRICS}})
    if holes:
        table.loc[rng.random(n) < 0.6, "hd95"] = np.nan
    found = masks_module.score_intervals(table, draws=20)
    both = pd.concat([found.assign(method=name) for name in (r"$\frac{$", "U-Net")])
    drawn_figure(intervals_module.plot_intervals, both[both.metric == "dice"].dropna(),
                 series="class_name", value="mean")


@given(radius=st.integers(0, 4))
def test_a_disc_is_symmetric(radius):
    """Return a symmetric uint8 kernel."""
    kernel = masks_module.disc(radius)
    assert kernel.shape == (2 * radius + 1,) * 2
    assert kernel.dtype == np.uint8
    assert (kernel == kernel[::-1, ::-1]).all()


@given(pair=mask_pairs(n=1), radius=st.integers(0, 4))
def test_regions_are_masks_within_their_limits(pair, radius):
    """Return boolean regions within their limits of size and roundness."""
    mask = pair[0][0]
    for region in masks_module.regions(mask.astype(np.uint8), max(radius, 1), (1, mask.size)):
        assert region.dtype == bool
        assert 1 <= region.sum() <= mask.size
        assert 0 < segmentation.roundness(region.astype(np.uint8)) <= 1


@given(pair=mask_pairs(n=1), radius=st.integers(0, 4))
def test_a_box_holds_its_region(pair, radius):
    """Return a box that holds the region."""
    mask = pair[0][0]
    for region in masks_module.regions(mask.astype(np.uint8), max(radius, 1), (1, mask.size)):
        box = masks_module.box_around(region, radius)
        assert region[box].sum() == region.sum()


@given(pair=mask_pairs(n=1), radius=st.integers(0, 4))
def test_bridged_gaps_grow_a_region(pair, radius):
    """Add pixels to a region and remove none."""
    mask = pair[0][0]
    for region in masks_module.regions(mask.astype(np.uint8), max(radius, 1), (1, mask.size)):
        whole = masks_module.bridge_gaps(region, radius)
        assert whole.dtype == bool
        assert not (region & ~whole).any()
