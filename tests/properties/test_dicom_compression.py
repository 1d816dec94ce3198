"""DICOM slices in the compressions that archives of hospitals use."""
import io
import sys

import numpy as np
import pydicom
import pytest
from pydicom.pixels import compress
from pydicom.uid import JPEGLSLossless, RLELossless

from brainclust.data.images import UnreadableSlice
from brainclust.data.slices import decode_slice

gdcm = pytest.importorskip("gdcm")


def plain_slice(kind: type, top: int) -> bytes:
    """Return the bytes of an uncompressed slice of smooth values up to `top`."""
    rows, columns = np.mgrid[:40, :48]
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.SOPClassUID = pydicom.uid.MRImageStorage
    dataset.SOPInstanceUID = pydicom.uid.generate_uid()
    dataset.Modality = "MR"
    dataset.set_pixel_data((top * rows * columns / (39 * 47)).astype(kind), "MONOCHROME2",
                           int(top).bit_length())
    dataset.save_as(file := io.BytesIO(), enforce_file_format=True)
    return file.getvalue()


DEPTHS = [(np.uint8, 255), (np.uint16, 4095), (np.uint16, 65_535)]


@pytest.mark.parametrize("kind, top", DEPTHS)
@pytest.mark.parametrize("syntax", ["JPEGLosslessProcess14_1", "JPEGLosslessProcess14",
                                    "JPEGLSLossless", "JPEG2000Lossless", "RLELossless"])
def test_a_lossless_slice_is_the_plain_one(kind, top, syntax, tmp_path):
    """Decode what GDCM compressed to the same grey levels."""
    (tmp_path / "plain.dcm").write_bytes(plain_slice(kind, top))
    reader = gdcm.ImageReader()
    reader.SetFileName(str(tmp_path / "plain.dcm"))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, syntax)))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(tmp_path / "packed.dcm"))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    packed = (tmp_path / "packed.dcm").read_bytes()
    assert pydicom.dcmread(io.BytesIO(packed)).file_meta.TransferSyntaxUID.is_compressed
    plain = decode_slice(plain_slice(kind, top), ".dcm")
    np.testing.assert_array_equal(decode_slice(packed, ".dcm").pixels, plain.pixels)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
def test_pydicom_compresses_what_is_read(syntax):
    """Decode what pydicom compressed to the same grey levels."""
    data = plain_slice(np.uint16, 4095)
    dataset = pydicom.dcmread(io.BytesIO(data))
    compress(dataset, syntax)
    dataset.save_as(file := io.BytesIO())
    np.testing.assert_array_equal(decode_slice(file.getvalue(), ".dcm").pixels,
                                  decode_slice(data, ".dcm").pixels)


def test_a_compression_without_a_decoder_names_the_remedy(monkeypatch):
    """Name the compression and what to install."""
    data = plain_slice(np.uint16, 4095)
    dataset = pydicom.dcmread(io.BytesIO(data))
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.JPEGLosslessSV1
    dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xc3" + bytes(40)])
    dataset["PixelData"].VR = "OB"
    dataset.save_as(file := io.BytesIO())
    monkeypatch.setitem(sys.modules, "gdcm", None)
    decoder = pydicom.pixels.get_decoder(pydicom.uid.JPEGLosslessSV1)
    monkeypatch.setattr(type(decoder), "is_available", property(lambda self: False))
    with pytest.raises(UnreadableSlice, match=r"compression not read: JPEG Lossless.*\[dicom\]"):
        decode_slice(file.getvalue(), ".dcm")
