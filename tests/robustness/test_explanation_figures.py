"""Invalid and damaged input for brainclust.analysis.explanation_figures."""

import numpy as np
from assertions import refused, survives
from examples import class_names
from hypothesis import given, strategies as st
from strategies import FIFTH_OF_EXAMPLES, invalid_images, seeds, slice_images

from brainclust.analysis import explanation_figures
from brainclust.core import style


@given(image=slice_images(), kind=st.sampled_from(["zeros", "ones", "noise"]), seed=seeds())
def test_maps_that_do_not_fit_are_refused(image, kind, seed):
    """Refuse maps of another shape or with NaN."""
    cam = {"zeros": np.zeros(image.shape), "ones": np.ones(image.shape),
           "noise": np.random.default_rng(seed).random(image.shape)}[kind]
    for wrong in (cam[None], np.zeros((99, 99)), cam[..., None], np.full(image.shape, np.nan),
                  np.zeros(())):
        refused(explanation_figures.overlay, image, wrong)


@given(image=invalid_images(), fitting=st.booleans())
def test_overlays_of_invalid_images_are_refused(image, fitting):
    """Refuse to overlay a map on an invalid image."""
    shape = np.shape(image) if fitting and not isinstance(image, str) else (8, 8)
    if getattr(image, "size", 1):
        refused(explanation_figures.overlay, image, np.zeros(shape))


@given(image=invalid_images(), fitting=st.booleans())
def test_shown_overlays_of_invalid_images_are_survived(image, fitting):
    """Raise an ordinary error, at worst, for an invalid image."""
    shape = np.shape(image) if fitting and not isinstance(image, str) else (8, 8)
    _, axes = style.new_figure(1, 1)
    survives(explanation_figures.show_overlay, axes[0, 0], image, np.zeros(shape), None)


@FIFTH_OF_EXAMPLES
@given(n=st.integers(1, 6), classes=st.sampled_from((1, 3)), seed=seeds())
def test_a_gallery_of_maps_without_cases_is_refused(n, classes, seed):
    """Refuse a gallery without cases."""
    rng = np.random.default_rng(seed)
    names = class_names(classes)
    truth = rng.integers(0, classes, n)
    predicted = rng.integers(0, classes, n)
    images = rng.integers(0, 256, (n, 6, 6), dtype=np.uint8)
    cases = explanation_figures.gallery_cases(truth, predicted, 2)
    masks = rng.random((n, 6, 6)) > rng.choice([0, 0.5, 1])
    refused(explanation_figures.plot_cam_gallery, images, images / 255, masks, cases[:0], predicted,
            rng.random(n), names)
