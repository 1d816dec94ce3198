"""Invalid and damaged input for brainclust.imaging.preprocessing."""

import numpy as np
import pytest
from assertions import REFUSALS, accepted, memory_growth, one_sentence
from hypothesis import given, strategies as st
from strategies import slice_images

from brainclust.imaging import preprocessing


@given(image=slice_images(), low=st.floats() | st.integers(-300, 300),
       high=st.floats() | st.integers(-300, 300))
def test_windows_that_are_not_ordered_are_refused(image, low, high):
    """Refuse limits that are not ordered and finite."""
    with np.errstate(all="ignore"):
        shown = accepted(preprocessing.window, image, low, high, refuses=(ValueError,))
    with np.errstate(all="ignore"):
        assert (shown is None) == (not (low < high and np.isfinite(float(high) - float(low))))


@given(image=slice_images(), low=st.floats() | st.integers(-300, 300),
       high=st.floats() | st.integers(-300, 300))
def test_percentiles_that_are_not_ordered_are_refused(image, low, high):
    """Refuse percentiles that are not ordered within 0 and 100."""
    percent = accepted(preprocessing.window_percentile, image, low, high, refuses=(ValueError,))
    assert (percent is None) == (not 0 <= low < high <= 100)


@pytest.mark.parametrize("settings", [dict(image_size=0), dict(image_size=-5), dict(image_size=2.5),
                                      dict(image_size=10**9), dict(image_size=None),
                                      dict(image_size=np.nan), dict(window_percentiles=(np.nan, 5)),
                                      dict(window_percentiles=(5, 1)),
                                      dict(window_percentiles=(1, 2, 3)),
                                      dict(window_percentiles="ab"), dict(skull_strip="gone")],
                         ids=str)
def test_invalid_preparation_settings_are_refused(settings):
    """Refuse image sizes and windows that are not valid."""
    with pytest.raises(REFUSALS) as error:
        preprocessing.preprocess_slice(np.eye(16, dtype=np.uint8) * 255,
                                       **{"image_size": 32, **settings})
    one_sentence(error.value)


def test_a_long_strip_does_not_fill_the_memory():
    """Refuse a strip of 100,000 pixels within 200 MB."""
    memory_growth()
    with pytest.raises(ValueError, match="at most 8,192 pixels"):
        preprocessing.preprocess_slice(np.zeros((1, 100_000), np.uint8), 32)
    assert memory_growth() < 200


@pytest.mark.parametrize("dtype", [np.float32, np.int64, bool, np.uint16, np.int8, object])
def test_images_that_are_not_bytes_are_refused(dtype):
    """Refuse to scale images of any other type than uint8."""
    with pytest.raises(REFUSALS) as error:
        preprocessing.scale_to_unit(np.ones((2, 1, 3, 3), dtype))
    one_sentence(error.value)
