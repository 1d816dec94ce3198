"""Properties of brainclust.imaging.preprocessing."""

import numpy as np
from assertions import accepted, ignores_layout
from hypothesis import given, strategies as st
from PIL import Image
from strategies import seeds, slice_images, slice_stacks

from brainclust.data import slices as slices_module
from brainclust.imaging import preprocessing, slice_cache


@given(image=slice_images(min_side=8), stored=st.sampled_from(["0 and 1", "black and white"]))
def test_prepared_masks_are_boolean_squares(image, stored, tmp_path):
    """Prepare masks to squares, empty where there is none."""
    truth = image > 127
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir(exist_ok=True)
    Image.fromarray(truth.astype(np.uint8) * (1 if stored == "0 and 1"
                                              else 255)).save(tmp_path / "masks/a.png")
    path = slices_module.mask_path(tmp_path / "images/a.jpg")
    squares = preprocessing.prepare_masks([path, "", path], 16, 1)
    assert squares.shape == (3, 16, 16)
    assert squares.dtype == bool
    assert not squares[1].any()
    np.testing.assert_array_equal(squares[0], preprocessing.prepare_mask(path, 16))


def test_no_masks_give_an_empty_stack():
    """Return an empty stack without masks."""
    assert preprocessing.prepare_masks([], 16).shape == (0, 16, 16)


@given(image=slice_images(min_side=8), stored=st.sampled_from(["0 and 1", "black and white"]))
def test_a_prepared_mask_keeps_its_tumour(image, stored, tmp_path):
    """Keep an all-true mask true and an empty one empty, unless a line vanishes."""
    truth = image > 127
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir(exist_ok=True)
    Image.fromarray(truth.astype(np.uint8) * (1 if stored == "0 and 1"
                                              else 255)).save(tmp_path / "masks/a.png")
    path = slices_module.mask_path(tmp_path / "images/a.jpg")
    squares = preprocessing.prepare_masks([path, "", path], 16, 1)
    if truth.all() or not truth.any():
        height, width = truth.shape
        # a line may vanish
        assert squares[0].any() == truth.any() or min(height, width) * 16 < max(height, width)


@given(image=slice_images(), size=st.sampled_from([1, 2, 31, 32, 100, 32.0]),
       method=st.sampled_from(["paper", "filled", "none"]),
       window=st.sampled_from([None, (1, 99), (0, 100), (99, 99.5)]))
def test_a_prepared_slice_has_its_size(image, size, method, window):
    """Prepare any slice to a uint8 square."""
    prepare = lambda image: preprocessing.preprocess_slice(
        image, size, method, window_percentiles=window
    )
    assert prepare(image).shape == (size, size)
    assert prepare(image).dtype == np.uint8


@given(image=slice_images(), size=st.sampled_from([1, 2, 31, 32, 100, 32.0]),
       method=st.sampled_from(["paper", "filled", "none"]),
       window=st.sampled_from([None, (1, 99), (0, 100), (99, 99.5)]))
def test_preparation_ignores_memory_layout(image, size, method, window):
    """Prepare the same slice for any memory layout."""
    prepare = lambda image: preprocessing.preprocess_slice(
        image, size, method, window_percentiles=window
    )
    ignores_layout(prepare, image)


@given(image=slice_images())
def test_padding_keeps_all_grey_levels(image):
    """Pad a slice to a square with zeros."""
    square = preprocessing.pad_to_square(image)
    assert square.shape == (max(image.shape),) * 2
    assert square.sum() == image.sum()


@given(image=slice_images(), size=st.sampled_from([1, 2, 31, 32, 100, 32.0]))
def test_resizing_keeps_the_range(image, size):
    """Resize a square within its range."""
    square = preprocessing.pad_to_square(image)
    small = preprocessing.resize_square(square, int(size))
    assert small.shape == (size, size)
    assert square.min() <= small.min()
    assert small.max() <= square.max()


@given(image=slice_images(), size=st.sampled_from([1, 2, 31, 32, 100, 32.0]))
def test_geometry_is_restored(image, size):
    """Restore the shape and type of a slice, exactly without a change of size."""
    square = preprocessing.pad_to_square(image)
    small = preprocessing.resize_square(square, int(size))
    for square_image in (small, small > 127, small / np.float32(255)):
        back = preprocessing.restore_geometry(square_image, *image.shape)
        assert back.shape == image.shape
        assert back.dtype == square_image.dtype
    np.testing.assert_array_equal(preprocessing.restore_geometry(square, *image.shape), image)


@given(image=slice_images(), low=st.floats() | st.integers(-300, 300),
       high=st.floats() | st.integers(-300, 300))
def test_a_window_clips_outside_its_limits(image, low, high):
    """Map values below a window to 0 and above it to 255, for any memory layout."""
    with np.errstate(all="ignore"):
        shown = accepted(preprocessing.window, image, low, high, refuses=(ValueError,))
    if shown is not None:
        assert shown.dtype == np.uint8
        assert (shown[image <= low] == 0).all()
        assert (shown[image >= high] == 255).all()
        ignores_layout(lambda picture: preprocessing.window(picture, low, high), image)


@given(image=slice_images(), low=st.floats() | st.integers(-300, 300),
       high=st.floats() | st.integers(-300, 300))
def test_a_percentile_window_returns_bytes(image, low, high):
    """Window between percentiles to uint8."""
    percent = accepted(preprocessing.window_percentile, image, low, high, refuses=(ValueError,))
    if percent is not None:
        assert percent.dtype == np.uint8
        assert percent.shape == image.shape


@given(image=slice_images())
def test_a_level_and_width_keep_the_shape(image):
    """Window by level and width to the same shape."""
    assert accepted(preprocessing.window_level_width, image, 100, 50).shape == image.shape


@given(images=slice_stacks(), seed=seeds())
def test_standardised_slices_have_mean_zero(images, seed):
    """Standardise slices to mean zero and deviation one."""
    mask = np.random.default_rng(seed).random(len(images)) < 0.7
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(mask))
    mean_std = accepted(slice_cache.dataset_mean_std, images, rows, refuses=(ValueError,))
    if mean_std is not None:
        standard = preprocessing.standardise(preprocessing.scale_to_unit(images[mask]), *mean_std)
        assert abs(float(standard.mean())) < 1e-3
        assert abs(float(standard.std(correction=0)) - 1) < 1e-3


@given(images=slice_stacks())
def test_scaling_to_unit_range_ignores_memory_layout(images):
    """Scale the same for any memory layout."""
    ignores_layout(lambda batch: preprocessing.scale_to_unit(batch).numpy(), images)
