"""Properties of brainclust.runs.predictor."""

import numpy as np
import pandas as pd
from assertions import check_prediction_table
from examples import small_predictor
from hypothesis import given, strategies as st
from strategies import FIFTH_OF_EXAMPLES, LAYOUTS, slice_images, with_layout

from brainclust.runs import predictor as predictor_module


@given(slices=st.lists(slice_images(), min_size=1, max_size=3), named=st.booleans())
@FIFTH_OF_EXAMPLES
def test_prepared_slices_have_the_size_of_the_run(slices, named):
    """Prepare slices of any size to that of the run."""
    predictor = small_predictor(named=named)
    prepared = predictor.prepare(slices)
    assert prepared.shape == (len(slices), 32, 32)
    assert prepared.dtype == np.uint8


@given(slices=st.lists(slice_images(), min_size=1, max_size=3), named=st.booleans())
@FIFTH_OF_EXAMPLES
def test_outputs_of_a_run_are_probabilities(slices, named):
    """Return finite embeddings, responsibilities that sum to one and prediction sets."""
    predictor = small_predictor(named=named)
    prepared = predictor.prepare(slices)
    found = predictor.outputs(prepared)
    assert found["embeddings"].shape[0] == len(slices)
    assert np.isfinite(found["embeddings"]).all()
    assert np.allclose(found["responsibilities"].sum(axis=1), 1, atol=1e-5)
    assert found["sets"].dtype == bool
    assert found["sets"].shape == found["probabilities"].shape == (len(slices), 4)


@given(slices=st.lists(slice_images(), min_size=1, max_size=3), named=st.booleans())
@FIFTH_OF_EXAMPLES
def test_a_prediction_table_adds_up(slices, named):
    """Return a table with the documented columns, which describe agrees with."""
    predictor = small_predictor(named=named)
    prepared = predictor.prepare(slices)
    found = predictor.outputs(prepared)
    check_prediction_table(predictor.table(prepared), predictor, len(slices))
    pd.testing.assert_frame_equal(predictor.describe(found), predictor.table(prepared))


@given(slices=st.lists(slice_images(), min_size=1, max_size=3), named=st.booleans())
@FIFTH_OF_EXAMPLES
def test_predictions_ignore_memory_layout(slices, named):
    """Return the same predictions for any memory layout."""
    predictor = small_predictor(named=named)
    prepared = predictor.prepare(slices)
    found = predictor.outputs(prepared)
    for how in LAYOUTS:
        assert (predictor.prepare([with_layout(slice_, how) for slice_ in slices])
                == prepared).all()
        assert np.allclose(predictor.outputs(with_layout(prepared, how))["probabilities"],
                           found["probabilities"])


@given(slices=st.lists(slice_images(), min_size=1, max_size=3), named=st.booleans())
@FIFTH_OF_EXAMPLES
def test_estimator_methods_agree_with_the_outputs(slices, named):
    """Return the outputs through predict, predict_proba and transform."""
    predictor = small_predictor(named=named)
    prepared = predictor.prepare(slices)
    found = predictor.outputs(prepared)
    assert (predictor.predict_proba(slices) == found["probabilities"]).all()
    assert (predictor.predict(slices)
            == predictor.classes_[found["probabilities"].argmax(axis=1)]).all()
    assert (predictor.transform(slices) == found["embeddings"]).all()


@given(slices=st.lists(slice_images(), min_size=1, max_size=3), named=st.booleans())
@FIFTH_OF_EXAMPLES
def test_similar_slices_are_different_rows(slices, named):
    """Return different reference rows, whatever the length of an embedding."""
    predictor = small_predictor(named=named)
    prepared = predictor.prepare(slices)
    found = predictor.outputs(prepared)
    near = predictor.similar(found["embeddings"], 3)
    assert near.shape == (len(slices), 3)
    assert ((near >= 0) & (near < 30)).all()
    assert all(len(set(row)) == 3 for row in near)
    assert (predictor.similar(found["embeddings"] * 1e3, 3) == near).all()


@given(slices=st.lists(slice_images(), min_size=1, max_size=3), named=st.booleans())
@FIFTH_OF_EXAMPLES
def test_explanations_of_a_run_lie_between_zero_and_one(slices, named):
    """Return one map per slice in [0, 1]."""
    predictor = small_predictor(named=named)
    prepared = predictor.prepare(slices)
    found = predictor.outputs(prepared)
    maps = predictor.explain(prepared, found["responsibilities" if not named
                                             else "probabilities"].argmax(axis=1))
    assert maps.shape == prepared.shape
    assert (maps >= 0).all()
    assert (maps <= 1).all()


def test_a_run_finds_its_own_slices():
    """Return a reference slice as the most similar to itself."""
    predictor = small_predictor()
    known = predictor.reference["embeddings"].astype(np.float32)
    assert (predictor.similar(known, 1)[:, 0] == predictor.reference["rows"]).mean() > 0.9


def test_a_run_has_few_reference_slices():
    """Return at most all reference slices."""
    predictor = small_predictor()
    known = predictor.reference["embeddings"].astype(np.float32)
    assert predictor.similar(known[:2], 1000).shape == (2, 30)


def test_no_slices_are_prepared():
    """Prepare no slices to an empty array."""
    predictor = small_predictor()
    assert predictor.prepare([]).shape == (0, 32, 32)


def test_subtypes_are_numbered_within_a_class():
    """Number the subtypes of classes with several clusters."""
    predictor = small_predictor()
    assert predictor.subtypes[0] == f"{predictor.classes_[0]} 1"
    assert predictor.subtypes[1] == ""


@FIFTH_OF_EXAMPLES
@given(image=slice_images(), find_tumour=st.booleans())
def test_a_tumour_lies_within_the_brain(image, find_tumour):
    """Return boolean masks, the tumour within the brain."""
    predictor = small_predictor()
    prepared = predictor.prepare([image])[0]
    brain, tumour = predictor_module.brain_and_tumour(prepared,
                                                      predictor.explain(prepared[None], [0])[0],
                                                      find_tumour)
    assert brain.dtype == tumour.dtype == bool
    assert brain.shape == tumour.shape == prepared.shape
    assert not (tumour & ~brain).any()
    assert find_tumour or not tumour.any()
