"""Properties of brainclust.analysis.segmentation."""

import warnings

import numpy as np
import pandas as pd
import pytest
from assertions import drawn_figure, figure_text
from examples import UNLIKELY_NAMES
from hypothesis import given, strategies as st
from matplotlib.figure import Figure
from strategies import FIFTH_OF_EXAMPLES, LAYOUTS, brain_slices, mask_pairs, seeds, with_layout

from brainclust.analysis import segmentation
from brainclust.core import style
from brainclust.imaging import masks as masks_module


@given(pair=mask_pairs(n=1), title=st.sampled_from(UNLIKELY_NAMES))
def test_outlines_are_drawn_where_a_mask_has_one(pair, title):
    """Outline a mask unless it is empty or full."""
    mask = pair[0][0]
    truth = pair[1][0]

    def outlines() -> Figure:
        figure, axes = style.new_figure(2, 1, 1, 2)
        style.show_outline(axes[0, 0], mask)
        segmentation.draw_outlines(axes[0, 1], mask.astype(np.uint8) * 255, truth, mask, title)
        return figure

    figure = drawn_figure(style.house_style(outlines))
    there = [min(mask.shape) > 1 and part.any() and not part.all() for part in (mask, truth)]
    assert [len(axis.collections) for axis in figure.axes] == [there[0], sum(there)]
    assert title.split()[0] in figure_text(figure)


@given(pair=brain_slices())
def test_level_counts_hold_every_brain_pixel(pair):
    """Count every pixel of the brain at its grey level."""
    image, brain = pair
    counts = segmentation.level_counts(image, brain)
    assert counts.shape == (256,)
    assert counts.sum() == brain.sum()


@given(pair=brain_slices(), method=st.sampled_from(["kmeans", "gmm"]), clusters=st.integers(2, 5))
def test_grey_levels_are_ranked(pair, method, clusters):
    """Rank every grey level among the clusters, in order for K-Means."""
    image, brain = pair
    counts = segmentation.level_counts(image, brain)
    if not brain.any(): return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a mixture that has not converged
        ranks = segmentation.rank_levels(counts, clusters, method)
    assert ranks.shape == (256,)
    assert ranks.min() >= 0
    assert ranks.max() < clusters
    if method == "kmeans":
        assert (np.diff(ranks) >= 0).all()


@given(pair=brain_slices(), radius=st.integers(0, 3))
def test_kmeans_steps_are_images_and_masks(pair, radius):
    """Return every step of the companion's segmentation as an image or mask."""
    image, brain = pair
    steps = segmentation.kmeans_steps(image, brain, radius)
    assert list(steps) == ["windowed", "bright", "eroded", "dilated"]
    assert all(step.shape == image.shape for step in steps.values())
    assert steps["windowed"].dtype == np.uint8
    assert all(steps[name].dtype == bool for name in ("bright", "eroded", "dilated"))


@given(pair=brain_slices(), radius=st.integers(0, 3))
def test_kmeans_steps_stay_within_the_brain(pair, radius):
    """Keep bright regions within the brain and eroded ones within them."""
    image, brain = pair
    steps = segmentation.kmeans_steps(image, brain, radius)
    assert not (steps["bright"] & ~brain).any()
    assert not (steps["eroded"] & ~steps["bright"]).any()


@given(pair=brain_slices(), radius=st.integers(0, 3))
def test_kmeans_steps_ignore_memory_layout(pair, radius):
    """Return the same steps for any memory layout."""
    image, brain = pair
    steps = segmentation.kmeans_steps(image, brain, radius)
    for how in LAYOUTS:
        for name, step in segmentation.kmeans_steps(with_layout(image, how),
                                                    with_layout(brain, how), radius).items():
            assert (step == steps[name]).all()


@FIFTH_OF_EXAMPLES
@given(pair=brain_slices(), seed=seeds())
def test_a_chosen_region_is_a_candidate(pair, seed):
    """Choose one of the candidates, or none."""
    image, brain = pair
    cam = np.random.default_rng(seed).random(image.shape)
    choice = segmentation.choose_region(image, brain, cam)
    assert choice.mask.dtype == bool
    assert choice.mask.shape == image.shape
    assert -1 <= choice.chosen < len(choice.candidates)
    assert (choice.chosen < 0) == (len(choice.candidates) == 0)
    smooth = segmentation.smooth_slice(image, brain)
    assert isinstance(choice, segmentation.Choice)
    assert (segmentation.propose_regions(smooth, brain) == choice.candidates).all()


@FIFTH_OF_EXAMPLES
@given(pair=brain_slices(), seed=seeds())
def test_chosen_regions_ignore_memory_layout(pair, seed):
    """Choose the same region for any memory layout."""
    image, brain = pair
    cam = np.random.default_rng(seed).random(image.shape)
    choice = segmentation.choose_region(image, brain, cam)
    again = segmentation.choose_region(with_layout(image, "strided"), with_layout(brain, "fortran"),
                                       with_layout(cam, "reversed"))
    assert (again.mask == choice.mask).all()


@FIFTH_OF_EXAMPLES
@given(pair=brain_slices())
def test_bright_masks_are_different(pair):
    """Return different masks within the brain."""
    image, brain = pair
    smooth = segmentation.smooth_slice(image, brain)
    if brain.any():
        sheets = segmentation.bright_masks(smooth, brain, {"kmeans": 3})
        assert all(sheet.dtype == np.uint8 and sheet.shape == image.shape
                   and not sheet[~brain].any() for sheet in sheets)
        assert len({sheet.tobytes() for sheet in sheets}) == len(sheets)


@FIFTH_OF_EXAMPLES
@given(pair=brain_slices(), seed=seeds())
def test_slice_maps_are_scaled_within_the_brain(pair, seed):
    """Scale the maps of a slice within the brain."""
    image, brain = pair
    cam = np.random.default_rng(seed).random(image.shape)
    smooth = segmentation.smooth_slice(image, brain)
    if brain.any():
        maps = segmentation.slice_maps(smooth, brain, cam)
        assert isinstance(maps, segmentation.SliceMaps)
        assert not maps.levels[~brain].any()
        assert maps.cam[brain].mean() == pytest.approx(1)


@FIFTH_OF_EXAMPLES
@given(pair=brain_slices(), seed=seeds())
def test_the_whole_brain_has_known_numbers(pair, seed):
    """Describe the whole brain as a region by known numbers."""
    image, brain = pair
    cam = np.random.default_rng(seed).random(image.shape)
    smooth = segmentation.smooth_slice(image, brain)
    if brain.any():
        maps = segmentation.slice_maps(smooth, brain, cam)
        whole = segmentation.describe_region(brain, maps)
        assert np.isfinite(list(whole.values())).all()
        assert whole["size"] == pytest.approx(0)
        assert whole["saliency_fraction"] == pytest.approx(1)
        assert (segmentation.with_squares(pd.DataFrame([whole]))["size_squared"][0]
                == whole["size"] ** 2)


@FIFTH_OF_EXAMPLES
@given(pair=brain_slices(), seed=seeds())
def test_candidates_are_different_and_scored(pair, seed):
    """Return different candidates with finite numbers, and choose the best score."""
    image, brain = pair
    cam = np.random.default_rng(seed).random(image.shape)
    choice = segmentation.choose_region(image, brain, cam)
    if len(choice.candidates):
        assert len({candidate.tobytes() for candidate
                    in choice.candidates}) == len(choice.candidates)
        assert all(candidate.any() for candidate in choice.candidates)
        assert np.isfinite(choice.numbers.to_numpy()).all()
        assert len(choice.numbers) == len(choice.candidates)
        assert choice.chosen == choice.numbers["score"].argmax()


@FIFTH_OF_EXAMPLES
@given(pair=brain_slices(), seed=seeds())
def test_candidate_weights_are_finite(pair, seed):
    """Fit finite weights and score every candidate."""
    image, brain = pair
    cam = np.random.default_rng(seed).random(image.shape)
    choice = segmentation.choose_region(image, brain, cam)
    if len(choice.candidates):
        weights = segmentation.fit_candidate_weights(
            choice.numbers.drop(columns="score"),
            np.random.default_rng(seed).random(len(choice.candidates)),
            np.zeros(len(choice.candidates), int),
        )
        assert np.isfinite(list(weights.values())).all()
        assert segmentation.candidate_scores(choice.numbers,
                                             weights).shape == (len(choice.candidates),)


@FIFTH_OF_EXAMPLES
@given(pair=brain_slices(), seed=seeds())
def test_choices_of_any_slice_are_drawn(pair, seed):
    """Draw choice, steps and outlines of any slice."""
    image, brain = pair
    cam = np.random.default_rng(seed).random(image.shape)
    choice = segmentation.choose_region(image, brain, cam)
    drawn_figure(segmentation.plot_choice, image, cam, choice.candidates, choice.chosen,
                 choice.mask)
    drawn_figure(segmentation.plot_kmeans_steps, image, segmentation.kmeans_steps(image, brain),
                 brain)
    drawn_figure(segmentation.plot_outlines, [image] * 3, [brain] * 3, [choice.mask] * 3,
                 UNLIKELY_NAMES[4:7])


def test_a_bright_tumour_is_found():
    """Find a bright tumour with a Dice above 0.8, and draw it."""
    y, x = np.mgrid[:64, :64]
    brain = (x - 32) ** 2 + (y - 32) ** 2 < 700
    tumour = (x - 22) ** 2 + (y - 36) ** 2 < 40
    image = (brain * 90 + tumour * 110).astype(np.uint8)
    choice = segmentation.choose_region(image, brain, tumour + 0.1)
    assert masks_module.score_masks(choice.mask[None], tumour[None]).dice[0] > 0.8
    drawn_figure(segmentation.plot_choice, image, tumour * 1.0, choice.candidates, choice.chosen,
                 tumour)


def test_a_map_of_zeros_counts_as_uniform():
    """Choose a region within the brain for a map of zeros."""
    y, x = np.mgrid[:64, :64]
    brain = (x - 32) ** 2 + (y - 32) ** 2 < 700
    tumour = (x - 22) ** 2 + (y - 36) ** 2 < 40
    image = (brain * 90 + tumour * 110).astype(np.uint8)
    # no evidence counts as uniform
    assert (segmentation.choose_region(image, brain, np.zeros(image.shape)).mask & brain).any()


def test_curves_over_masks_name_every_encoder():
    """Draw and name the curve of every encoder."""
    table = pd.DataFrame(
        [(name, n, 0.5, 0.4, 0.6) for name in UNLIKELY_NAMES[4:8] for n in (1, 10, 100)],
        columns=["encoder", "masks", "mean", "low", "high"],
    )
    figure = drawn_figure(segmentation.plot_mask_counts, table,
                          {UNLIKELY_NAMES[4]: 0.3, "K-Means": 0.2})
    for name in UNLIKELY_NAMES[4:8]:
        assert name in figure_text(figure)


def test_no_outlines_are_drawn():
    """Draw a figure without slices."""
    drawn_figure(segmentation.plot_outlines, [], [], [], [])
