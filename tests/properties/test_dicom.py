"""Properties of brainclust.data.dicom."""

import numpy as np
import pytest
from examples import NUMBER_TYPES
from hypothesis import assume, given, strategies as st
from hypothesis.extra import numpy as hnp
from strategies import LAYOUTS, with_layout

from brainclust.data import dicom, dicom_attributes


@given(data=st.data())
def test_volume_limits_lie_within_the_values(data):
    """Take the minimum and a high value of a volume."""
    values = data.draw(
        hnp.arrays(data.draw(NUMBER_TYPES), hnp.array_shapes(max_dims=3, max_side=9))
    )
    with np.errstate(over="ignore"):
        assume(np.isfinite(float(values.max()) - float(values.min())))
    values = with_layout(values, data.draw(st.sampled_from(LAYOUTS)))
    low, high = dicom.volume_limits(values)
    assert low == float(values.min())
    assert low <= high <= float(values.max())


@given(data=st.data())
def test_shown_frames_are_bytes(data):
    """Show frames of any number as uint8."""
    values = data.draw(
        hnp.arrays(data.draw(NUMBER_TYPES), hnp.array_shapes(max_dims=3, max_side=9))
    )
    with np.errstate(over="ignore"):
        assume(np.isfinite(float(values.max()) - float(values.min())))
    values = with_layout(values, data.draw(st.sampled_from(LAYOUTS)))
    frames = dicom.show_frames(list(np.atleast_3d(values)), inverted=data.draw(st.booleans()))
    assert all(frame.dtype == np.uint8 for frame in frames)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.float16])
def test_volume_limits_of_a_wide_range_do_not_overflow(dtype):
    """Return the limits of a range wider than half of its type."""
    limits = np.finfo(dtype) if dtype is np.float16 else np.iinfo(dtype)
    values = np.array([limits.min, limits.max], dtype)
    low, high = dicom.volume_limits(values)
    assert low == float(limits.min) < 0 < high <= float(limits.max)
    assert high == pytest.approx(np.percentile(values.astype(np.float64), 99.9))


@given(
    orientation=st.none()
    | st.text(max_size=6)
    | st.lists(st.floats() | st.integers(-1, 1), max_size=8)
)
def test_any_orientation_has_a_plane(orientation):
    """Name a plane, oblique or unknown for any orientation."""
    with np.errstate(all="ignore"):
        assert dicom_attributes.plane_of(orientation) in ("", "oblique", *dicom_attributes.PLANES)
