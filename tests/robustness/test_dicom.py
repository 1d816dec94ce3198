"""Invalid and damaged input for brainclust.data.dicom."""

import numpy as np
import pydicom
from assertions import survives
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp
from PIL import EpsImagePlugin
from strategies import slice_images
from test_formats import dicom_bytes

from brainclust.data import audit_report, dicom

FLOAT_IMAGES = hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9))


def test_a_postscript_preamble_is_never_interpreted(tmp_path, monkeypatch):
    """Show a DICOM file with a PostScript preamble without calling an interpreter."""

    def interpreter(*_, **__):
        raise AssertionError("the interpreter was called")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", interpreter)
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n%%EndComments\nshowpage\n"
    colour = dicom_bytes(np.full((20, 20, 3), 90, np.uint8), photometric="RGB")
    # the preamble of a DICOM file is anybody's
    (tmp_path / "a.dcm").write_bytes(postscript.ljust(128)[:128] + colour[128:])
    data = audit_report.picture_data(str(tmp_path / "a.dcm"), "RGB")
    assert data.startswith("data:image/jpeg;base64,")


@given(image=slice_images() | FLOAT_IMAGES | hnp.arrays(np.int16, (5, 4)),
       centre=st.none() | st.floats() | st.integers(-9999, 9999),
       width=st.none() | st.floats() | st.integers(-9, 9999),
       slope=st.sampled_from([None, 1, 2, -1, 1e300]), padding=st.sampled_from([None, 0, 255, -3]))
def test_frames_survive_any_window(image, centre, width, slope, padding):
    """Render a frame through any window, or raise an ordinary error."""
    attributes = pydicom.Dataset()
    attributes.PhotometricInterpretation, attributes.BitsStored, attributes.PixelRepresentation = (
        "MONOCHROME2",
        8,
        0,
    )
    plain = lambda number: None if number is None else f"{number:.6g}"[:16]
    attributes.WindowCenter, attributes.WindowWidth = plain(centre), plain(width)
    if slope is not None:
        attributes.RescaleSlope = slope
        attributes.RescaleIntercept = 0
    if padding is not None:
        attributes.add_new("PixelPaddingValue", "SS", padding)
    with np.errstate(all="ignore"):
        rendered = survives(dicom.render_frame, image, attributes)
        windowed = survives(dicom.apply_window, image, attributes)
    if isinstance(rendered, np.ndarray):
        assert rendered.shape == image.shape
    if isinstance(windowed, np.ndarray):
        assert windowed.shape == image.shape
        assert windowed.dtype == np.uint8
