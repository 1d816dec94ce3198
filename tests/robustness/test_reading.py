"""Invalid and damaged input for brainclust.app.reading."""

import html

import numpy as np
import pandas as pd
from assertions import harmless, refused
from examples import HARMFUL_NAMES, UNLIKELY_NAMES, small_predictor
from hypothesis import given, strategies as st
from strategies import FIFTH_OF_EXAMPLES, invalid_images, slice_images

from brainclust.app import reading


@FIFTH_OF_EXAMPLES
@given(image=slice_images(max_side=60), named=st.booleans(), title=st.sampled_from(HARMFUL_NAMES))
def test_a_reading_is_escaped(image, named, title):
    """Escape title, names and prediction in the HTML of a reading."""
    predictor = small_predictor(named=named)
    found = reading.look(predictor, image)
    scans = pd.DataFrame({"path": "/absent.png", "sha256": "00", "label": np.arange(-1, 29) % 5
                          - 1})
    page = reading.reading_html(predictor, found, scans, title)
    tags = harmless(page)
    assert html.escape(title) in page
    assert sum(tag == "figure" for tag, _ in tags) == len(found.similar)
    assert tags[0][1]["data-class"] == found.prediction["class"]


@given(image=invalid_images())
def test_a_reading_of_an_invalid_image_is_refused(image):
    """Refuse an invalid image."""
    refused(reading.look, small_predictor(), image)


@given(reason=st.text(max_size=60))
def test_refusals_are_escaped(reason):
    """Escape the reason of a refusal."""
    page = reading.refusal_html(reason + UNLIKELY_NAMES[6])
    assert [tag for tag, _ in harmless(page)] == ["div", "b"]
