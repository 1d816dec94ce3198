"""Invalid and damaged input for brainclust.runs.predictor."""

import numpy as np
from assertions import refused
from examples import small_predictor
from hypothesis import given
from strategies import invalid_images


@given(image=invalid_images())
def test_invalid_images_are_refused(image):
    """Refuse lists with an invalid image, and invalid images."""
    predictor = small_predictor()
    for call in (predictor.predict, predictor.predict_proba, predictor.transform,
                 predictor.prepare):
        refused(call, [np.zeros((8, 8), np.uint8), image])
    for call in (predictor.outputs, predictor.table):
        refused(call, image)
    refused(predictor.explain, image, [0])


def test_batches_of_another_shape_or_type_are_refused():
    """Refuse batches that are not uint8 of the run's size."""
    predictor = small_predictor()
    valid = np.zeros((1, 32, 32), np.uint8)
    for wrong in (valid[:0], valid[0], valid[:, :16], valid[:, None], valid.astype(float),
                  valid.astype(np.int64)):
        refused(predictor.outputs, wrong)
        refused(predictor.explain, wrong, [0] * len(wrong))


def test_targets_that_are_not_classes_are_refused():
    """Refuse targets that are not one class per slice."""
    predictor = small_predictor()
    valid = np.zeros((1, 32, 32), np.uint8)
    for targets in ([], [0, 0], [4], [-1], [0.5]):
        refused(predictor.explain, valid, targets)


def test_embeddings_that_do_not_fit_are_refused():
    """Refuse embeddings of another shape or with NaN."""
    predictor = small_predictor()
    d = predictor.reference["embeddings"].shape[1]
    for wrong in (np.zeros((2, d + 1)), np.zeros(d), np.full((1, d), np.nan),
                  np.full((1, d), np.inf), "x", None):
        refused(predictor.similar, wrong)


def test_numbers_of_similar_slices_are_positive():
    """Refuse to look for no similar slices."""
    predictor = small_predictor()
    d = predictor.reference["embeddings"].shape[1]
    for count in (0, -1):
        refused(predictor.similar, np.zeros((1, d)), count)
