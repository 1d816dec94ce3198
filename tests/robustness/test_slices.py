"""Invalid and damaged input for brainclust.data.slices."""

import pytest
from assertions import check_decoded_slice, memory_growth, one_sentence, time_limit
from examples import small_files
from hypothesis import given, strategies as st
from strategies import damaged_bytes

from brainclust.core import runtime
from brainclust.data import (
    cheng,
    dicom,
    images as images_module,
    scan_files,
    slices as slices_module,
    volumes,
)


@pytest.mark.parametrize("name", list(small_files()))
@given(data=st.data())
def test_damaged_files_are_decoded_or_refused(name, data, tmp_path):
    """Decode damaged bytes to slices, or refuse them in one sentence, within 400 MB."""
    content = data.draw(damaged_bytes(small_files()[name]))
    suffix = slices_module.file_suffix(name if name[0] != "." else f"a{name}")
    file = tmp_path / f"a{suffix}"
    file.write_bytes(content)
    memory_growth()
    with time_limit(), runtime.quiet_libraries():
        try:
            if suffix in slices_module.VOLUME_SUFFIXES or name == "frames.dcm":
                with slices_module.reasons_for_failures():
                    volume = (volumes.decode_nifti(file) if suffix in slices_module.VOLUME_SUFFIXES
                              else volumes.decode_multiframe(file))
                assert len(volume.slices) == len(volume.frames) == len(volume.facts)
                for pixels, facts in zip(volume.slices[:3], volume.facts):
                    check_decoded_slice(pixels, facts)
            else:
                decoded = slices_module.decode_slice(content, suffix)
                check_decoded_slice(decoded.pixels, decoded.facts)
        except images_module.UnreadableSlice as error:
            assert ": " in one_sentence(error), error
    assert memory_growth() < 400


@pytest.mark.parametrize("name", list(small_files()))
@given(data=st.data())
def test_damaged_files_enter_the_scan_table_with_a_reason(name, data, tmp_path):
    """Record a checksum or a reason for every damaged file."""
    content = data.draw(damaged_bytes(small_files()[name]))
    suffix = slices_module.file_suffix(name if name[0] != "." else f"a{name}")
    file = tmp_path / f"a{suffix}"
    file.write_bytes(content)
    with runtime.quiet_libraries():
        facts = scan_files.inspect_file(file, tmp_path / "cache")[0]
    assert "reason" in facts or facts["sha256"]


@given(data=st.data(), name=st.sampled_from(["decode_picture", "decode_cheng", "decode_dicom",
                                             "load_cheng", "parse_dicom", "parse_deflated",
                                             "inflate"]))
def test_decoders_accept_or_refuse_any_bytes(data, name):
    """Decode any bytes, or refuse them in one sentence."""
    content = data.draw(st.binary(max_size=600)
                        | st.sampled_from(list(small_files().values())).flatmap(damaged_bytes))
    function = {"decode_picture": images_module.decode_picture, "decode_cheng": cheng.decode_cheng,
                "decode_dicom": dicom.decode_dicom,
                "load_cheng": lambda b: cheng.load_cheng(b, ["image"]),
                "parse_dicom": dicom.parse_dicom, "parse_deflated": dicom.parse_deflated,
                "inflate": lambda b: dicom.inflate(b, 10**6)}[name]
    with time_limit(), runtime.quiet_libraries():
        try:
            with slices_module.reasons_for_failures():
                function(content)
        except images_module.UnreadableSlice as error:
            one_sentence(error)


@pytest.mark.parametrize("content", [b"", b"text", b"\x89HDF\r\n\x1a\n" + bytes(90)])
def test_an_unreadable_mask_is_named(content, tmp_path):
    """Name the file of a mask that is damaged or missing."""
    (tmp_path / "7.mat").write_bytes(content)
    for function in (slices_module.read_tumour_mask, slices_module.read_mask):
        for name in ("7.mat", "gone.mat"):
            with pytest.raises(images_module.UnreadableSlice, match=name) as error:
                function(tmp_path / name)
            one_sentence(error.value)
