"""Damaged DICOM files: attributes, mosaics, kinds and series never end in a surprise."""
import contextlib
import io

import numpy as np
import pydicom
import pytest
from assertions import survives
from hypothesis import given, strategies as st
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from test_formats import dicom_bytes

from brainclust.data import dicom_kinds, dicom_mosaics, dicom_series, formats
from brainclust.data.images import DecodedSlice, UnreadableSlice, VolumeFile
from brainclust.data.slices import decode_slice

STORED = (np.arange(1024).reshape(32, 32) * 3).astype(np.uint16)
WHOLE = dicom_bytes(
    STORED, bits=12, WindowCenter=500, WindowWidth=900, RescaleSlope=1, RescaleIntercept=0,
    PixelSpacing=[1, 1], ImageOrientationPatient=[1, 0, 0, 0, 1, 0], SeriesInstanceUID="1.2",
    ImagePositionPatient=[0, 0, 0], InstanceNumber=1, ImageType=["ORIGINAL", "PRIMARY", "M"],
    PixelPaddingValue=0, NumberOfFrames=1, AcquisitionMatrix=[32, 0, 0, 32], PatientID="p")
KEYWORDS = [e.keyword for e in pydicom.dcmread(io.BytesIO(WHOLE)) if e.keyword != "PixelData"]
DAMAGE = (st.binary(max_size=12) | st.sampled_from(
    [b"", b"nan ", b"1,5 ", rb"1\2\3\4", b"\xff\xff", b"-1", b"99999999", b"MOSAIC", b"\0\0"]))


@given(data=st.data())
def test_any_damaged_attributes_are_read_or_refused(data):
    """Read a slice, or refuse it in one sentence, whatever its attributes hold."""
    dataset = pydicom.dcmread(io.BytesIO(WHOLE))
    for keyword in data.draw(st.lists(st.sampled_from(KEYWORDS), max_size=6, unique=True)):
        text = data.draw(st.none() | DAMAGE)
        if text is None:
            del dataset[keyword]
        else:
            stated = pydicom.datadict.dictionary_VR(keyword).removesuffix(" or SS")
            kind = data.draw(st.sampled_from([stated, "UN"]))
            dataset[Tag(keyword)] = RawDataElement(
                Tag(keyword), kind, len(text), text, 0, False, True)
    file = io.BytesIO()
    pydicom.filewriter.dcmwrite(file, dataset, implicit_vr=False, little_endian=True)
    try:
        assert isinstance(decode_slice(b"DICM" + file.getvalue()[132:], ".dcm"), DecodedSlice)
    except (UnreadableSlice, VolumeFile) as error:
        assert ": " in str(error) and "\n" not in str(error)


@pytest.mark.parametrize("keyword", KEYWORDS)
@pytest.mark.parametrize("how", ["absent", "empty"])
def test_no_single_attribute_costs_the_slice(keyword, how):
    """Read a slice without any one of its attributes."""
    dataset = pydicom.dcmread(io.BytesIO(WHOLE))
    if how == "absent":
        del dataset[keyword]
    else:
        dataset[keyword].value = None
    dataset.save_as(file := io.BytesIO())
    assert decode_slice(file.getvalue(), ".dcm").pixels.shape == (32, 32)


@given(data=st.binary(max_size=300), count=st.integers(-5, 2000))
def test_any_private_header_has_a_number(data, count):
    """Read a number, or none, from any scanner's header and private value."""
    mark = b"NumberOfImagesInMosaic\0"
    for header in (data, mark + data, data + mark, mark, None, 7):
        assert 0 <= dicom_mosaics.header_count(header) <= 9999
    dataset = pydicom.Dataset()
    dataset.add_new((0x0019, 0x100A), "UN", data[:4])
    assert dicom_mosaics.mosaic_count(dataset) >= 0
    survives(dicom_mosaics.mosaic_tiles, STORED, count)
    survives(dicom_mosaics.grid_side, STORED[:, :20], count)


@given(head=st.binary(max_size=1200), start=st.sampled_from(
    [b"", b"\x08\0\x05\0CS", b"\x08\0\0\0\x04\0\0\0", b"\x1f\x8b\x08", b"BM", b"\x5c\1\0\0"]))
def test_any_bytes_have_a_format(head, start):
    """Recognise a format, or none, in any bytes that begin like one."""
    formats.content_format(start + head)
    formats.inflate_head(start + head)
    with contextlib.suppress(UnreadableSlice):
        formats.inflated(start + head, 10**6)


def test_objects_without_header_have_no_kind():
    """Name neither class nor kind of an empty data set."""
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    assert dicom_kinds.object_name(dataset) == ""
    assert dicom_kinds.not_a_picture(dataset) == "no pixel data: a DICOM object of modality unknown"
    assert dicom_kinds.image_kind(dataset, dataset, STORED) == ""
    dataset.SOPClassUID = "not a UID"
    assert dicom_kinds.object_name(dataset) == ""


def test_nothing_to_join_stays_as_it_is(tmp_path):
    """Return no files, failures and facts without series unchanged."""
    found = [[{"reason": "x: y"}], [{"path": "a"}], []]
    assert dicom_series.join_series(["a", "b", "c"], found, tmp_path) == found
    assert dicom_series.join_series([], [], tmp_path) == []
    assert dicom_series.without_kinds([]) == dicom_series.series_sentences([]) == []
    assert not list(tmp_path.iterdir())
