"""Invalid and damaged input for brainclust.runs.data_figures."""

import numpy as np
import pandas as pd
from assertions import refused
from examples import NUMBERS_OF_CLASSES, UNLIKELY_NAMES, class_names, counts_table
from hypothesis import given, strategies as st
from strategies import FIFTH_OF_EXAMPLES, seeds, slice_images

from brainclust.runs import data_figures


@FIFTH_OF_EXAMPLES
@given(n=st.sampled_from(NUMBERS_OF_CLASSES), seed=seeds(), missing=st.booleans())
def test_a_class_distribution_without_counts_is_refused(n, seed, missing):
    """Refuse an empty table and a missing column."""
    table = counts_table(class_names(n), seed, missing)
    for broken in (table[:0], table.drop(columns="n")):
        refused(data_figures.plot_class_distribution, broken)


@FIFTH_OF_EXAMPLES
@given(images=st.lists(slice_images(), max_size=6))
def test_skull_stripping_without_titles_is_refused(images):
    """Refuse slices without titles."""
    masks = [image > 100 for image in images]
    after = [image * mask for image, mask in zip(images, masks)]
    if images:
        refused(data_figures.plot_skull_stripping, images, after, masks, [])


def test_arrays_that_are_not_images_are_refused():
    """Refuse arrays that are not finite images, and no array at all."""
    for wrong in (np.zeros((2, 3, 4, 5)), np.zeros(7), np.zeros((0, 4)), np.full((4, 4), np.nan),
                  np.array([[1.0, np.inf]])):
        refused(data_figures.plot_tensor_preparation, {"wrong": wrong})
    refused(data_figures.plot_tensor_preparation, {})


@FIFTH_OF_EXAMPLES
@given(n=st.sampled_from((1, 2, 6)), slices_=st.integers(1, 30), seed=seeds())
def test_empty_tables_of_a_collection_are_refused(n, slices_, seed):
    """Refuse empty tables of sizes, histograms and quality."""
    rng = np.random.default_rng(seed)
    names = class_names(n)
    table = pd.DataFrame({"width": rng.choice([1, 64, 4000], slices_),
                          "height": rng.choice([1, 64, 4000], slices_),
                          "class_name": rng.choice(names, slices_)})
    refused(data_figures.plot_image_sizes, table[:0])
    histograms = pd.DataFrame(
        [
            (stage, name, value, rng.choice([0, 0.5]))
            for stage in ("as read", r"$\frac{$")
            for name in names
            for value in (0, 128)
        ],
        columns=["stage", "class_name", "value", "share"],
    )
    refused(data_figures.plot_intensity_histograms, histograms[:0])
    quality = table.assign(signal_to_noise=rng.choice([np.nan, 0, 1e-3, 5, 1e6], slices_),
                           sharpness=rng.choice([np.nan, 0, 0.2, 300], slices_))
    outliers = pd.DataFrame({"row": np.arange(slices_)[:10],
                             "why": [UNLIKELY_NAMES[k % len(UNLIKELY_NAMES)] for k
                                     in range(min(slices_, 10))]})
    refused(data_figures.plot_quality, quality[:0], outliers[:0], [])
