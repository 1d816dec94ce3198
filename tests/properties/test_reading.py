"""Properties of brainclust.app.reading."""

import base64
import io

import numpy as np
import pandas as pd
from examples import NUMBERS_OF_CLASSES, class_names, small_predictor
from hypothesis import given, strategies as st
from PIL import Image
from strategies import FIFTH_OF_EXAMPLES, seeds, slice_images

from brainclust.app import reading
from brainclust.app.collection import plain


@given(image=slice_images(), side=st.integers(1, 90))
def test_a_shrunk_slice_has_its_size(image, side):
    """Shrink a slice to at most the asked side, and leave small ones alone."""
    small = reading.shrink(image, side)
    assert small.dtype == np.uint8
    assert max(small.shape) <= max(side, 1)
    assert min(small.shape) >= 1
    if max(image.shape) <= side:
        assert (small == image).all()


@given(image=slice_images(), side=st.integers(1, 90))
def test_an_embedded_image_is_its_slice(image, side):
    """Embed a slice that decodes to itself."""
    small = reading.shrink(image, side)
    source = reading.picture_source(small)
    assert (
        np.array(
            Image.open(io.BytesIO(base64.b64decode(source.removeprefix("data:image/png;base64,"))))
        )
        == small
    ).all()


@given(image=slice_images())
def test_an_edge_lies_on_its_mask(image):
    """Return edge pixels of a mask only."""
    border = reading.edge(image > 100)
    assert border.dtype == bool
    assert border.shape == image.shape
    assert not (border & ~(image > 100)).any()


@FIFTH_OF_EXAMPLES
@given(image=slice_images(max_side=60), named=st.booleans())
def test_a_reading_holds_maps_and_masks(image, named):
    """Return maps in [0, 1] and masks of one size."""
    predictor = small_predictor(named=named)
    found = reading.look(predictor, image)
    assert isinstance(found, reading.Reading)
    assert found.shown.dtype == np.uint8
    assert max(found.shown.shape) <= reading.SHOWN
    assert found.cam.shape == found.brain.shape == found.tumour.shape
    assert (found.cam >= 0).all()
    assert (found.cam <= 1 + 1e-6).all()
    assert found.brain.dtype == found.tumour.dtype == bool


@FIFTH_OF_EXAMPLES
@given(image=slice_images(max_side=60), named=st.booleans())
def test_layers_of_a_reading_are_colour_images(image, named):
    """Return every layer as RGBA."""
    predictor = small_predictor(named=named)
    found = reading.look(predictor, image)
    for name, layer in reading.layers(found).items():
        assert layer.shape == (*found.cam.shape, 4) and layer.dtype == np.uint8, name


@given(n=st.sampled_from(NUMBERS_OF_CLASSES), named=st.booleans(),
       score=st.sampled_from([0.0, 0.5, 1.5, np.nan]), n_in_set=st.integers(0, 3), seed=seeds())
def test_a_confidence_sentence_names_unlike_slices(n, named, score, n_in_set, seed):
    """Describe the confidence, and slices unlike the training data."""
    names = class_names(n)
    p = np.random.default_rng(seed).dirichlet(np.ones(n))
    prediction = {"class": names[0] if named else "",
                  **{f"prob_{name}": probability for name, probability in zip(names, p)},
                  "prediction_set": ";".join(names[:n_in_set]), "abstain": n_in_set != 1,
                  "cluster": 2, "subtype": "", "ood_score": score, "in_distribution": not score
                  > 1}
    for coverage, folds in ((None, 0), (.95, 0), (None, 3), (.95, 3)):
        words = reading.confidence_sentence(prediction, named, coverage, folds)
        assert isinstance(words, str)
        assert len(words) > 20
        assert (score > 1) == ("does not look like" in words)
        calibrated = named and not score > 1 and not np.isnan(score)
        told = calibrated and folds and (coverage is None or n_in_set > 0)
        assert ("3 networks like" in words) == bool(told)
        assert ("checked with no labelled slices" in words) == (
            calibrated and coverage is None and not folds)


@given(n=st.sampled_from(NUMBERS_OF_CLASSES), named=st.booleans(),
       score=st.sampled_from([0.0, 0.5, 1.5, np.nan]), n_in_set=st.integers(0, 3), seed=seeds())
def test_a_verdict_names_the_class_or_unlike_slices(n, named, score, n_in_set, seed):
    """Name the only class of the set, or a slice unlike the training data."""
    names = class_names(n)
    p = np.random.default_rng(seed).dirichlet(np.ones(n))
    prediction = {"class": names[0] if named else "",
                  **{f"prob_{name}": probability for name, probability in zip(names, p)},
                  "prediction_set": ";".join(names[:n_in_set]), "abstain": n_in_set != 1,
                  "cluster": 2, "subtype": "", "ood_score": score, "in_distribution": not score
                  > 1}
    head = reading.verdict(prediction, named)
    assert head
    assert ("Unlike" in head) == (score > 1)
    if named and n_in_set == 1 and not score > 1:
        assert head.lower() == plain(names[0]).lower()
        assert head[1:] == plain(names[0])[1:]


@given(n=st.sampled_from(NUMBERS_OF_CLASSES), named=st.booleans(),
       score=st.sampled_from([0.0, 0.5, 1.5, np.nan]), n_in_set=st.integers(0, 3), seed=seeds())
def test_probability_bars_are_sorted_and_marked(n, named, score, n_in_set, seed):
    """Return a bar per class, the most probable first, and mark those of the prediction set."""
    names = class_names(n)
    p = np.random.default_rng(seed).dirichlet(np.ones(n))
    prediction = {"class": names[0] if named else "",
                  **{f"prob_{name}": probability for name, probability in zip(names, p)},
                  "prediction_set": ";".join(names[:n_in_set]), "abstain": n_in_set != 1,
                  "cluster": 2, "subtype": "", "ood_score": score,
                  "in_distribution": not score > 1}
    bars = reading.probability_bars(prediction, names)
    assert sorted(bar["name"] for bar in bars) == sorted(map(plain, names))
    assert [bar["probability"] for bar in bars] == sorted(p, reverse=True)
    assert sum(bar["fits"] for bar in bars) == min(n_in_set, n)


@given(n=st.sampled_from(NUMBERS_OF_CLASSES))
def test_similar_slices_have_a_picture_and_a_label(n):
    """Return an empty picture for a missing file, and the name of the label."""
    names = class_names(n)
    scans = pd.DataFrame({"path": "/absent", "sha256": "00", "label": [-1, 0]})
    assert reading.similar_slices([0, 1], scans, names) == [
        {"picture": "", "label": "no label"}, {"picture": "", "label": plain(names[0])}]
