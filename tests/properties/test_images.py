"""Properties of brainclust.data.images."""

import numpy as np
from assertions import accepted
from examples import NUMBER_TYPES
from hypothesis import assume, given, strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from strategies import LAYOUTS, seeds, with_layout

from brainclust.data import dicom, images as images_module


@given(data=st.data())
def test_stretching_leaves_its_input_alone(data):
    """Leave the values in place unchanged."""
    values = data.draw(
        hnp.arrays(data.draw(NUMBER_TYPES), hnp.array_shapes(max_dims=3, max_side=9))
    )
    values = with_layout(values, data.draw(st.sampled_from(LAYOUTS)))
    before = values.copy()
    accepted(images_module.stretch_to_uint8, values, refuses=(images_module.UnreadableSlice,))
    np.testing.assert_array_equal(values, before)


@given(data=st.data())
def test_stretched_values_use_the_whole_range(data):
    """Return uint8 of the same shape, from 0 to 255, or refuse an infinite range."""
    values = data.draw(
        hnp.arrays(data.draw(NUMBER_TYPES), hnp.array_shapes(max_dims=3, max_side=9))
    )
    values = with_layout(values, data.draw(st.sampled_from(LAYOUTS)))
    stretched = accepted(images_module.stretch_to_uint8, values,
                         refuses=(images_module.UnreadableSlice,))
    with np.errstate(over="ignore"):
        span = float(values.max()) - float(values.min())
    assert (stretched is None) == (not np.isfinite(span))
    if stretched is None: return
    assert stretched.dtype == np.uint8
    assert stretched.shape == values.shape
    if span > 1e-300:
        assert stretched.min() == 0
        assert stretched.max() == 255
    else:
        if span == 0:
            assert not stretched.any()


@given(data=st.data())
def test_stretched_values_keep_their_order(data):
    """Keep the order of values."""
    values = data.draw(
        hnp.arrays(data.draw(NUMBER_TYPES), hnp.array_shapes(max_dims=3, max_side=9))
    )
    values = with_layout(values, data.draw(st.sampled_from(LAYOUTS)))
    stretched = accepted(images_module.stretch_to_uint8, values,
                         refuses=(images_module.UnreadableSlice,))
    if stretched is None: return
    order = np.argsort(values.ravel(), kind="stable")
    assert (np.diff(stretched.ravel()[order].astype(int)) >= 0).all()


@given(data=st.data())
def test_stretching_between_limits_keeps_the_shape(data):
    """Stretch between given limits to uint8."""
    values = data.draw(
        hnp.arrays(data.draw(NUMBER_TYPES), hnp.array_shapes(max_dims=3, max_side=9))
    )
    with np.errstate(over="ignore"):
        assume(np.isfinite(float(values.max()) - float(values.min())))
    values = with_layout(values, data.draw(st.sampled_from(LAYOUTS)))
    low, high = dicom.volume_limits(values)
    with_limits = images_module.stretch_to_uint8(values, low, high)
    assert with_limits.shape == values.shape
    assert with_limits.dtype == np.uint8


@given(mode=st.sampled_from(["1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I", "F",
                             "LA", "PA", "RGBX", "RGBa", "La", "I;16", "I;16B", "I;16L"]),
       width=st.integers(1, 9), height=st.integers(1, 9), seed=seeds())
def test_images_of_every_mode_become_grey(mode, width, height, seed):
    """Convert every PIL mode to a uint8 slice of the same size."""
    bands = {"RGB": 3, "RGBA": 4, "CMYK": 4, "YCbCr": 3, "LAB": 3, "HSV": 3, "I": 4, "F": 4,
             "LA": 2, "PA": 2, "RGBX": 4, "RGBa": 4, "La": 2}
    size = 2 if mode.startswith("I;") else bands.get(mode, 1)
    raw = np.random.default_rng(seed).integers(0, 256, (height, width, size)).astype(np.uint8)
    if mode == "F":
        raw = raw[..., 0].astype(np.float32)
    if mode == "I":
        raw = raw[..., 0].astype(np.int32)
    if mode == "1":
        raw = np.packbits(raw[..., 0] > 127, axis=1)
    grey = images_module.grey_from_picture(Image.frombytes(mode, (width, height), raw.tobytes()))
    assert grey.shape == (height, width)
    assert grey.dtype == np.uint8
