"""Invalid and damaged input for brainclust.imaging.skull_stripping."""

import numpy as np
import pytest
from assertions import REFUSALS, one_sentence
from hypothesis import given
from strategies import invalid_images

from brainclust.imaging import preprocessing, skull_stripping


@given(image=invalid_images())
def test_invalid_images_are_refused(image):
    """Refuse images that are not uint8 slices."""
    for function in (skull_stripping.skull_strip_2d,
                     lambda picture: preprocessing.preprocess_slice(picture, 32)):
        with pytest.raises(REFUSALS) as error:
            function(image)
        one_sentence(error.value)


@pytest.mark.parametrize("settings", [dict(method="gone"), dict(denoise_sigma=np.nan),
                                      dict(denoise_sigma=np.inf), dict(denoise_sigma=1e9),
                                      dict(denoise_sigma="x"), dict(closing_radius=-1),
                                      dict(closing_radius=2.5), dict(closing_radius=np.nan),
                                      dict(closing_radius=10**9), dict(closing_radius=None),
                                      dict(otsu_relax=np.nan), dict(otsu_relax=np.inf)], ids=str)
def test_invalid_stripping_settings_are_refused(settings):
    """Refuse stripping settings that are not valid."""
    with pytest.raises(REFUSALS) as error:
        skull_stripping.skull_strip_2d(np.eye(16, dtype=np.uint8) * 255, **settings)
    one_sentence(error.value)
