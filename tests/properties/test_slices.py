"""Properties of brainclust.data.slices."""

import numpy as np
from assertions import accepted
from hypothesis import given, strategies as st
from PIL import Image
from strategies import slice_images

from brainclust.data import images as images_module, slices as slices_module


@given(image=slice_images(min_side=8), stored=st.sampled_from(["0 and 1", "black and white"]),
       wrong=st.booleans())
def test_a_stored_mask_is_its_truth(image, stored, wrong, tmp_path):
    """Read masks of 0 and 1 as of black and white, and refuse another size."""
    truth = image > 127
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir(exist_ok=True)
    Image.fromarray(truth.astype(np.uint8) * (1 if stored == "0 and 1"
                                              else 255)).save(tmp_path / "masks/a.png")
    path = slices_module.mask_path(tmp_path / "images/a.jpg")
    shape = (image.shape[0] + wrong, image.shape[1])
    mask = accepted(slices_module.read_mask, path, shape, refuses=(images_module.UnreadableSlice,))
    assert (mask is None) == wrong
    if not wrong:
        np.testing.assert_array_equal(mask, truth)
