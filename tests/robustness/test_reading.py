"""Invalid and damaged input for brainclust.app.reading."""

import html

import numpy as np
import pandas as pd
from assertions import harmless, refused
from examples import HARMFUL_NAMES, NUMBERS_OF_CLASSES, UNLIKELY_NAMES, class_names, small_predictor
from hypothesis import given, strategies as st
from strategies import FIFTH_OF_EXAMPLES, invalid_images, seeds, slice_images

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
    assert tags[0][1]["data-class"] == found.said["class"]


@given(image=invalid_images())
def test_a_reading_of_an_invalid_image_is_refused(image):
    """Refuse an invalid image."""
    refused(reading.look, small_predictor(), image)


@given(n=st.sampled_from(NUMBERS_OF_CLASSES), named=st.booleans(),
       score=st.sampled_from([0.0, 0.5, 1.5, np.nan]), n_in_set=st.integers(0, 3), seed=seeds())
def test_probability_bars_are_escaped(n, named, score, n_in_set, seed):
    """Draw a bar per class with escaped names."""
    names = class_names(n)
    p = np.random.default_rng(seed).dirichlet(np.ones(n))
    prediction = {"class": names[0] if named else "",
                  **{f"prob_{name}": probability for name, probability in zip(names, p)},
                  "prediction_set": ";".join(names[:n_in_set]), "abstain": n_in_set != 1,
                  "cluster": 2, "subtype": "", "ood_score": score, "in_distribution": not score
                  > 1}
    bars = reading.probability_bars(prediction, names)
    harmless(bars)
    assert bars.count("bc-bar") == n


@given(n=st.sampled_from(NUMBERS_OF_CLASSES), named=st.booleans(),
       score=st.sampled_from([0.0, 0.5, 1.5, np.nan]), held=st.integers(0, 3), seed=seeds())
def test_similar_slices_are_escaped(n, named, score, held, seed):
    """Escape the names of similar slices."""
    names = class_names(n)
    p = np.random.default_rng(seed).dirichlet(np.ones(n))
    said = {"class": names[0] if named else "",
            **{f"prob_{name}": share for name, share in zip(names, p)},
            "prediction_set": ";".join(names[:held]), "abstain": held != 1, "cluster": 2,
            "subtype": "", "ood_score": score, "in_distribution": not score > 1}
    bars = reading.probability_bars(said, names)
    harmless(bars)
    harmless(
        reading.similar_slices(
            [0, 1], pd.DataFrame({"path": "/absent", "sha256": "00", "label": [-1, 0]}), names
        )
    )


@given(reason=st.text(max_size=60))
def test_refusals_are_escaped(reason):
    """Escape the reason of a refusal."""
    page = reading.refusal_html(reason + UNLIKELY_NAMES[6])
    assert [tag for tag, _ in harmless(page)] == ["div", "b"]
