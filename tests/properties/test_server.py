"""Properties of brainclust.app.server."""

import io

import numpy as np
from hypothesis import given
from PIL import Image
from strategies import slice_images

from brainclust.app import server


@given(image=slice_images())
def test_a_png_response_holds_its_slice(image):
    """Send a slice that decodes to itself."""
    response = server.png_response(image)
    assert response.media_type == "image/png"
    assert (np.array(Image.open(io.BytesIO(response.body))) == image).all()
