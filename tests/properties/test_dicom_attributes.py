"""Properties of brainclust.data.dicom_attributes: a damaged attribute does not cost the slice."""
import io

import numpy as np
import pydicom
import pytest
from hypothesis import given, strategies as st
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from test_formats import dicom_bytes

from brainclust.data import dicom, dicom_attributes
from brainclust.data.images import UnreadableSlice

STORED = (np.arange(96).reshape(8, 12) * 40).astype(np.uint16)
PLAIN = dicom.decode_dicom(dicom_bytes(STORED, bits=12)).pixels
NUMBERS = ("WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept", "PixelSpacing",
           "ImageOrientationPatient", "ImagePositionPatient", "PixelAspectRatio")
TEXTS = (b"", b"nan ", b"inf ", b"x ", rb"x\y ", b"1,x ", b"--1 ", rb"\\ ")


def stored_file(without=(), stored=STORED, texts=None, **tags) -> bytes:
    """Return a DICOM file without some attributes, or with some as raw text."""
    dataset = pydicom.dcmread(io.BytesIO(dicom_bytes(stored, bits=12, **tags)))
    for keyword in without:
        del dataset[keyword]
    for keyword, text in (texts or {}).items():
        tag = Tag(keyword)
        kind = pydicom.datadict.dictionary_VR(tag)
        dataset[tag] = RawDataElement(tag, kind, len(text), text, 0, False, True)
    dataset.save_as(file := io.BytesIO(), enforce_file_format=True)
    return file.getvalue()


def replaced(decoded) -> list[str]:
    """Return the keywords that a slice notes as replaced."""
    notes = dict(note.split(": ", 1) for note in decoded.facts["notes"])
    return notes.get("attributes replaced", "").split(", ")


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("keyword", NUMBERS)
def test_a_damaged_number_is_noted_and_left_aside(keyword, text):
    """Show a slice as without the attribute whose text is damaged."""
    decoded = dicom.decode_dicom(stored_file(texts={keyword: text}))
    assert np.array_equal(decoded.pixels, PLAIN)
    often_empty = ("ImagePositionPatient", "PixelAspectRatio")
    assert replaced(decoded) == [keyword] or keyword in often_empty and not text.strip()


@pytest.mark.parametrize(("keyword", "text", "meant"), [
    ("PixelSpacing", rb"0,5\1,5 ", [.5, 1.5]), ("PixelSpacing", rb"0.5\1.5\9", [.5, 1.5]),
    ("PixelSpacing", rb" 0.5\1,5 ", [.5, 1.5])])
def test_a_number_of_damaged_writing_is_kept(keyword, text, meant):
    """Keep numbers with a decimal comma, and the first of too many."""
    decoded = dicom.decode_dicom(stored_file(texts={keyword: text}))
    assert [decoded.facts["voxel_height"], decoded.facts["voxel_width"]] == meant
    assert replaced(decoded) == [keyword]


@pytest.mark.parametrize("intercept", [0, -100])
def test_a_window_keeps_the_intercept_where_the_slope_is_empty(intercept):
    """Take a slope of 1 if only the intercept is stated."""
    tags = {"RescaleIntercept": intercept, "WindowCenter": 500, "WindowWidth": 900}
    whole = dicom.decode_dicom(stored_file(RescaleSlope=1, **tags))
    empty = dicom.decode_dicom(stored_file(RescaleSlope=None, **tags))
    assert np.array_equal(whole.pixels, empty.pixels)
    assert replaced(empty) == ["RescaleSlope"]


@pytest.mark.parametrize("keyword", ["ModalityLUTSequence", "VOILUTSequence"])
@pytest.mark.parametrize("kind", ["no item", "empty item", "no data", "short data", "no entry"])
def test_a_damaged_table_is_left_aside(keyword, kind):
    """Show a slice as without the table that cannot be applied."""
    item = pydicom.Dataset()
    if kind != "empty item":
        item.LUTDescriptor = [300 if kind == "short data" else 64, 0, 16]
        if kind != "no data":
            item.LUTData = b"" if kind == "no entry" else bytes(60)
    tables = {keyword: [] if kind == "no item" else [item]}
    dataset = pydicom.Dataset()
    setattr(dataset, keyword, tables[keyword])
    assert dicom_attributes.repair_tables(dataset) == [keyword]
    assert keyword not in dataset
    decoded = dicom.decode_dicom(stored_file(**tables))
    assert np.array_equal(decoded.pixels, PLAIN)


@pytest.mark.parametrize("how", ["absent", "empty"])
@pytest.mark.parametrize("keyword", [
    "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "SamplesPerPixel", "PhotometricInterpretation"])
def test_a_missing_description_is_completed(keyword, how):
    """Find every single number that describes the pixels by the others."""
    data = stored_file([keyword]) if how == "absent" else stored_file(texts={keyword: b""})
    decoded = dicom.decode_dicom(data)
    assert np.array_equal(decoded.pixels, PLAIN)
    assert replaced(decoded) == ([""] if (keyword, how) == ("HighBit", "absent") else [keyword])


@pytest.mark.parametrize(("without", "named"), [
    (["Rows", "Columns"], "Rows and Columns"),
    (["Rows", "BitsAllocated"], "Rows and BitsAllocated"),
    (["Columns", "BitsAllocated"], "Columns and BitsAllocated")])
def test_pixels_without_a_shape_are_refused_by_keyword(without, named):
    """Name the attributes without which the pixels have no shape."""
    with pytest.raises(UnreadableSlice, match=f"attribute missing: {named}"):
        dicom.decode_dicom(stored_file(without))


@pytest.mark.parametrize(
    "text", ["monochrome2", "MONOCHROME 2", "MONOCHROME_2", "Monochrome", "GREY"])
def test_grey_is_recognised_in_any_writing(text):
    """Read a grey slice whose interpretation is not in the words of the standard."""
    data = stored_file(texts={"PhotometricInterpretation": text.encode()})
    assert np.array_equal(dicom.decode_dicom(data).pixels, PLAIN)


@given(seed=st.integers(0, 99), signed=st.booleans())
def test_signs_are_found_by_the_range(seed, signed):
    """Read values around zero as signed numbers where the file does not tell."""
    values = np.random.default_rng(seed).integers(-50 if signed else 0, 900, (9, 9))
    stored = values.astype(np.int16 if signed else np.uint16)
    dataset = dicom.parse_dicom(stored_file(["PixelRepresentation"], stored))
    assert dataset.PixelRepresentation == int(signed and (values < 0).any())
    assert dicom_attributes.repair_description(dataset) == []


@given(text=st.binary(max_size=16) | st.floats().map(lambda x: repr(x).encode()))
def test_any_text_is_a_number_or_none(text):
    """Read a finite number from any text, or none."""
    number = dicom_attributes.as_number(text)
    assert number is None or np.isfinite(number)
    dataset = pydicom.Dataset()
    tag = Tag("WindowWidth")
    dataset[tag] = RawDataElement(tag, "DS", len(text), text, 0, False, True)
    numbers = dicom_attributes.stated_numbers(dataset, "WindowWidth")
    assert all(n is None or np.isfinite(n) for n in numbers)
    dicom_attributes.repair_numbers(dataset)
    assert dicom_attributes.repair_numbers(dataset) == []  # nothing is left to repair


@given(place=st.lists(st.integers(-500, 500), min_size=3, max_size=3),
       orientation=st.sampled_from([[1, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, -1], [1, 0, 0, 0, 0, -1]]))
def test_the_place_in_a_series_is_along_its_normal(place, orientation):
    """Measure the place of a slice along the normal; a shift in its plane changes nothing."""
    frame = pydicom.Dataset()
    frame.ImageOrientationPatient = orientation
    frame.ImagePositionPatient = place
    first = dicom_attributes.series_position(frame)
    moved = np.array(place) + 5 * np.array(orientation[:3]) - 2 * np.array(orientation[3:])
    frame.ImagePositionPatient = moved.tolist()
    assert dicom_attributes.series_position(frame) == first
    frame.ImagePositionPatient = None
    assert dicom_attributes.series_position(frame) is None


@given(high=st.integers(1, 4000), inverted=st.booleans())
def test_brightness_is_ordered(high, inverted):
    """Give minimum and percentiles in their order, of inverted slices too."""
    frame = pydicom.Dataset()
    frame.SeriesInstanceUID = "1.2"
    values = np.linspace(0, high, 100).astype(np.int32).reshape(10, 10)
    low, most, top = dicom_attributes.series_facts(frame, values, inverted)["brightness"]
    assert low <= most <= top
    assert low == (-high if inverted else 0)
