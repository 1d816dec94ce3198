"""Invalid and damaged input for brainclust.data.volumes."""

from assertions import accepted, survives
from hypothesis import given, strategies as st
from strategies import slice_stacks

from brainclust.data import dicom_attributes, images as images_module, unpacking, volumes


@given(images=slice_stacks(side=32),
       damaged=st.sampled_from(["nothing", "a slice", "the list", "all"]),
       content=st.binary(max_size=9))
def test_damaged_unpacked_volumes_are_not_read(images, damaged, content, tmp_path_factory):
    """Read unpacked slices only when no file is damaged; refuse volumes of empty slices."""
    folder = tmp_path_factory.mktemp("unpacked")
    volume = volumes.DecodedVolume(images[:, 0], range(len(images)), "uint8",
                                   [{"plane": "axial"}] * len(images))
    visible = ~unpacking.empty_slices(volume.slices)
    written = accepted(lambda: unpacking.write_unpacked(volume, folder) or True,
                       refuses=(images_module.UnreadableSlice,))
    if written is None:
        assert not visible.any()
        return
    files = sorted(folder.iterdir())
    if damaged == "a slice":
        files[0].write_bytes(content)
    if damaged == "the list":
        (folder / "slices.json").write_bytes(content)
    if damaged == "all":
        for file in files:
            file.unlink()
    found = unpacking.read_unpacked(folder)
    assert (found is None) == (damaged != "nothing")


@given(image=slice_stacks(), index=st.integers(-2, 9),
       plane=st.sampled_from(dicom_attributes.PLANES))
def test_a_slice_outside_its_volume_is_survived(image, index, plane):
    """Raise an ordinary error, at worst, for an index outside the volume."""
    volume = image[:, 0]
    axis = dicom_attributes.PLANES.index(plane)
    if 0 <= index < volume.shape[axis]:
        pass
    else:
        survives(volumes.cut_slice, volume, plane, index)
