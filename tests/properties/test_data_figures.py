"""Properties of brainclust.runs.data_figures."""

import numpy as np
import pandas as pd
from assertions import drawn_figure, figure_text
from examples import NUMBERS_OF_CLASSES, UNLIKELY_NAMES, class_names, counts_table
from hypothesis import assume, given, strategies as st
from strategies import FIFTH_OF_EXAMPLES, seeds, slice_images

from brainclust.runs import data_figures


@FIFTH_OF_EXAMPLES
@given(n=st.sampled_from(NUMBERS_OF_CLASSES), seed=seeds(), missing=st.booleans())
def test_a_class_distribution_draws_every_slice(n, seed, missing):
    """Draw bars that sum to all slices, and note unknown counts."""
    table = counts_table(class_names(n), seed, missing)
    figure = drawn_figure(data_figures.plot_class_distribution, table)
    bars = sum(patch.get_width() for patch in figure.axes[0].patches)
    assert bars == table["n"].sum()
    if table["n"].isna().any():
        assert f"Not counted: {table['n'].isna().sum()}" in figure_text(figure)


@FIFTH_OF_EXAMPLES
@given(images=st.lists(slice_images(), max_size=6), title=st.sampled_from(UNLIKELY_NAMES),
       columns=st.integers(1, 5))
def test_skull_stripping_draws_every_slice_twice(images, title, columns):
    """Draw every slice before and after stripping."""
    masks = [image > 100 for image in images]
    after = [image * mask for image, mask in zip(images, masks)]
    figure = drawn_figure(data_figures.plot_skull_stripping, images, after, masks,
                          [title] * len(images), columns)
    assert sum(len(axis.images) for axis in figure.axes) == 2 * len(images)


@FIFTH_OF_EXAMPLES
@given(images=st.lists(slice_images(), max_size=6), title=st.sampled_from(UNLIKELY_NAMES),
       columns=st.integers(1, 5))
def test_skull_stripping_in_detail_draws_three_panels(images, title, columns):
    """Draw three panels under the title."""
    masks = [image > 100 for image in images]
    after = [image * mask for image, mask in zip(images, masks)]
    figure = drawn_figure(data_figures.plot_skull_stripping, images, after, masks,
                          [title] * len(images), columns)
    for image, mask in zip(images[:1], masks):
        figure = drawn_figure(data_figures.plot_skull_stripping_detail, image, image * mask, mask,
                              title)
        assert len(figure.axes) == 3
        assert title.split()[0] in figure_text(figure)


@FIFTH_OF_EXAMPLES
@given(image=slice_images(), kind=st.sampled_from(["grey", "one channel", "three channels",
                                                   "three last", "float", "int64", "bool"]),
       name=st.sampled_from(UNLIKELY_NAMES))
def test_tensor_preparation_draws_any_array(image, kind, name):
    """Draw any image array at its size."""
    assume(kind != "three last" or len(image) not in (1, 3))  # those are as well channels
    array = {"grey": image, "one channel": image[None], "three channels": np.stack([image] * 3),
             "three last": np.stack([image] * 3, axis=-1), "float": image / 255.0 - 0.3,
             "int64": image.astype(np.int64) - 9, "bool": image > 100}[kind]
    figure = drawn_figure(data_figures.plot_tensor_preparation, {name: array, "again": image})
    assert len(figure.axes) == 4
    assert figure.axes[0].images[0].get_array().shape[:2] == image.shape


@FIFTH_OF_EXAMPLES
@given(n=st.sampled_from((1, 2, 6)), slices_=st.integers(1, 30), seed=seeds())
def test_image_sizes_are_drawn_with_their_counts(n, slices_, seed):
    """Write the number of slices of every class."""
    rng = np.random.default_rng(seed)
    names = class_names(n)
    table = pd.DataFrame({"width": rng.choice([1, 64, 4000], slices_),
                          "height": rng.choice([1, 64, 4000], slices_),
                          "class_name": rng.choice(names, slices_)})
    figure = drawn_figure(data_figures.plot_image_sizes, table)
    for size in table.groupby("class_name").size():
        assert f"{size:,} slices" in figure_text(figure)


@FIFTH_OF_EXAMPLES
@given(n=st.sampled_from((1, 2, 6)), seed=seeds())
def test_intensity_histograms_are_drawn_by_class(n, seed):
    """Draw a panel for every stage and class."""
    rng = np.random.default_rng(seed)
    names = class_names(n)
    histograms = pd.DataFrame(
        [
            (stage, name, value, rng.choice([0, 0.5]))
            for stage in ("as read", r"$\frac{$")
            for name in names
            for value in (0, 128)
        ],
        columns=["stage", "class_name", "value", "share"],
    )
    assert len(drawn_figure(data_figures.plot_intensity_histograms, histograms).axes) == 2 * n


@FIFTH_OF_EXAMPLES
@given(n=st.sampled_from((1, 2, 6)), slices_=st.integers(1, 30), seed=seeds())
def test_quality_is_drawn_with_its_outliers(n, slices_, seed):
    """Draw at most eight outliers beside the measures."""
    rng = np.random.default_rng(seed)
    names = class_names(n)
    table = pd.DataFrame({"width": rng.choice([1, 64, 4000], slices_),
                          "height": rng.choice([1, 64, 4000], slices_),
                          "class_name": rng.choice(names, slices_)})
    figure = drawn_figure(data_figures.plot_image_sizes, table)
    quality = table.assign(signal_to_noise=rng.choice([np.nan, 0, 1e-3, 5, 1e6], slices_),
                           sharpness=rng.choice([np.nan, 0, 0.2, 300], slices_))
    outliers = pd.DataFrame({"row": np.arange(slices_)[:10],
                             "why": [UNLIKELY_NAMES[k % len(UNLIKELY_NAMES)] for k
                                     in range(min(slices_, 10))]})
    for outlier_rows in (outliers, outliers[:0]):
        figure = drawn_figure(data_figures.plot_quality, quality, outlier_rows,
                              [np.zeros((5, 5), np.uint8)] * min(8, len(outlier_rows)))
        assert len(figure.axes) == 1 + min(8, len(outlier_rows))


@FIFTH_OF_EXAMPLES
@given(image=slice_images(), n=st.integers(0, 4), seed=seeds())
def test_windowing_draws_slice_and_histogram(image, n, seed):
    """Draw slice and histogram of every window."""
    windowed = {class_names(9)[k]: (image,
                                    *sorted(np.random.default_rng(seed + k).uniform(0, 255, 2)))
                for k in range(n)}
    assert len(drawn_figure(data_figures.plot_windowing, image, windowed).axes) == 2 * (1 + n)
