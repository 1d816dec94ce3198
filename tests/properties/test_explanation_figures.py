"""Properties of brainclust.analysis.explanation_figures."""

import numpy as np
import torch
from assertions import accepted, drawn_figure
from examples import NUMBERS_OF_CLASSES, UNLIKELY_NAMES, class_names, small_network
from hypothesis import given, strategies as st
from strategies import FIFTH_OF_EXAMPLES, mask_pairs, seeds, slice_images, with_layout

from brainclust.analysis import explanation_figures, explanation_scores


@given(pair=mask_pairs())
def test_scores_of_maps_are_drawn(pair):
    """Draw a comparison of maps."""
    masks, other = pair
    compared = accepted(explanation_scores.compare_maps,
                        {"a_cam": other.astype(float), UNLIKELY_NAMES[4]: np.ones(masks.shape)},
                        masks, np.arange(len(masks)) // 2, 20, refuses=(ValueError,))
    if compared is None:
        pass
    else:
        drawn_figure(explanation_figures.plot_map_scores, compared)


@FIFTH_OF_EXAMPLES
@given(n=st.integers(1, 2), seed=seeds())
def test_a_randomisation_check_is_drawn(n, seed):
    """Draw a randomisation check."""
    made, _ = small_network()
    x = torch.randn(n, 1, 32, 32, generator=torch.Generator().manual_seed(seed))
    check, maps = explanation_scores.randomisation_check(made, x, [0] * n, seed, views="one")
    drawn_figure(explanation_figures.plot_randomisation, check, np.zeros((32, 32), np.uint8),
                 np.zeros((32, 32), bool), {stage: cams[0] for stage, cams in maps.items()})


@given(image=slice_images(), kind=st.sampled_from(["zeros", "ones", "noise"]), seed=seeds())
def test_an_overlay_is_a_colour_image(image, kind, seed):
    """Overlay a map in [0, 1], invisible where it is zero."""
    cam = {"zeros": np.zeros(image.shape), "ones": np.ones(image.shape),
           "noise": np.random.default_rng(seed).random(image.shape)}[kind]
    colours = explanation_figures.overlay(image, cam)
    assert colours.shape == (*image.shape, 3)
    assert (colours >= 0).all()
    assert (colours <= 1).all()
    if kind == "zeros":
        assert (colours == image[..., None] / 255.0).all()


@given(image=slice_images(), kind=st.sampled_from(["zeros", "ones", "noise"]), seed=seeds())
def test_an_overlay_ignores_memory_layout(image, kind, seed):
    """Overlay the same for any memory layout."""
    cam = {"zeros": np.zeros(image.shape), "ones": np.ones(image.shape),
           "noise": np.random.default_rng(seed).random(image.shape)}[kind]
    colours = explanation_figures.overlay(image, cam)
    assert (explanation_figures.overlay(with_layout(image, "reversed"), with_layout(cam, "strided"))
            == colours).all()


@given(image=slice_images(), kind=st.sampled_from(["zeros", "ones", "noise"]), seed=seeds())
def test_maps_over_slices_are_drawn(image, kind, seed):
    """Draw maps beside their slice."""
    cam = {"zeros": np.zeros(image.shape), "ones": np.ones(image.shape),
           "noise": np.random.default_rng(seed).random(image.shape)}[kind]
    drawn_figure(explanation_figures.plot_maps, image[None],
                 {r"$\frac{$": cam[None], "<b>": cam[None]}, (cam > 0.5)[None], [UNLIKELY_NAMES[4]])


@given(n=st.integers(1, 30), classes=st.sampled_from(NUMBERS_OF_CLASSES), seed=seeds(),
       each=st.integers(0, 4))
def test_gallery_cases_have_known_labels(n, classes, seed, each):
    """Choose different slices with a known label, right and wrong ones."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(-1, classes, n)
    predicted = rng.integers(0, classes, n)
    cases = explanation_figures.gallery_cases(truth, predicted, each)
    assert list(cases) == ["row", "truth", "right"]
    assert cases["row"].is_unique
    assert (cases["truth"] >= 0).all()
    rows = cases["row"].to_numpy(int)
    assert (truth[rows] == cases["truth"]).all()
    assert ((predicted[rows] == truth[rows]) == cases["right"]).all()


@given(n=st.integers(1, 30), classes=st.sampled_from(NUMBERS_OF_CLASSES), seed=seeds(),
       each=st.integers(0, 4))
def test_gallery_cases_are_limited(n, classes, seed, each):
    """Choose at most the asked number of right and of wrong cases per class."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(-1, classes, n)
    predicted = rng.integers(0, classes, n)
    cases = explanation_figures.gallery_cases(truth, predicted, each)
    assert not len(cases) or cases.groupby(["truth", "right"]).size().max() <= each


@FIFTH_OF_EXAMPLES
@given(n=st.integers(1, 6), classes=st.sampled_from((1, 3)), seed=seeds())
def test_a_gallery_of_maps_draws_every_case(n, classes, seed):
    """Draw every case."""
    rng = np.random.default_rng(seed)
    names = class_names(classes)
    truth = rng.integers(0, classes, n)
    predicted = rng.integers(0, classes, n)
    images = rng.integers(0, 256, (n, 6, 6), dtype=np.uint8)
    cases = explanation_figures.gallery_cases(truth, predicted, 2)
    masks = rng.random((n, 6, 6)) > rng.choice([0, 0.5, 1])
    figure = drawn_figure(explanation_figures.plot_cam_gallery, images, rng.random((n, 6, 6)),
                          masks, cases, predicted, rng.random(n), names)
    assert sum(len(axis.images) for axis in figure.axes) == len(cases)
