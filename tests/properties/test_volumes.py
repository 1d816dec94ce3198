"""Properties of brainclust.data.volumes."""

import numpy as np
from hypothesis import assume, given, strategies as st
from strategies import slice_stacks

from brainclust.data import dicom_attributes, slices as slices_module, unpacking, volumes


@given(images=slice_stacks(side=32))
def test_unpacked_slices_equal_the_volume(images, tmp_path_factory):
    """Read back the slices that are not empty, with their frame numbers."""
    folder = tmp_path_factory.mktemp("unpacked")
    volume = volumes.DecodedVolume(images[:, 0], range(len(images)), "uint8",
                                   [{"plane": "axial"}] * len(images))
    visible = ~unpacking.empty_slices(volume.slices)
    assume(visible.any())
    unpacking.write_unpacked(volume, folder)
    found = unpacking.read_unpacked(folder)
    assert [fact["frame"] for fact in found] == list(np.flatnonzero(visible))
    for fact, pixels in zip(found, volume.slices[visible]):
        np.testing.assert_array_equal(slices_module.read_slice(fact["path"]), pixels)


@given(image=slice_stacks(), index=st.integers(-2, 9),
       plane=st.sampled_from(dicom_attributes.PLANES))
def test_a_cut_slice_is_the_slice_of_its_plane(image, index, plane):
    """Cut a slice of a plane in radiological orientation."""
    volume = image[:, 0]
    axis = dicom_attributes.PLANES.index(plane)
    if 0 <= index < volume.shape[axis]:
        cut = volumes.cut_slice(volume, plane, index)
        np.testing.assert_array_equal(cut, np.take(volume, index, axis)[::-1, ::-1].T)


@given(image=slice_stacks())
def test_empty_slices_are_marked(image):
    """Mark every slice of a black volume as empty."""
    volume = image[:, 0]
    empty = unpacking.empty_slices(volume)
    assert empty.shape == (len(volume),)
    assert empty.dtype == bool
    if volume.max() == 0:
        assert empty.all()
