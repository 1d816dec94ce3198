"""Properties of brainclust.runs.lesion_results."""
import numpy as np
import pytest
from assertions import accepted
from examples import small_predictor

from brainclust.analysis.counterfactuals import counterfactual_pairs
from brainclust.models.encoders import make_network
from brainclust.runs import lesion_results
from brainclust.runs.predictor import Predictor


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    """A run whose lesion map is not trained."""
    made = Predictor(small_predictor().folder, "cpu", "32-true")
    network = made.network.module
    side = made.description["image_size"]
    extra = make_network("autoencoder", len(made.classes_), side, seed=3, lesion_map=True)
    network.lesion_map = extra.eval().lesion_map
    return made


def test_phantoms_are_located_in_the_geometry_of_the_run(predictor):
    """Score every phantom once, with its mask as its slice is prepared."""
    pairs = counterfactual_pairs(3, size=96)
    located = lesion_results.locate_phantoms(predictor, pairs)
    side = predictor.description["image_size"]
    assert located.images.shape == located.maps.shape == located.masks.shape == (3, side, side)
    assert len(located.table) == 3
    assert set(located.table.predicted) <= set(predictor.classes_)
    assert len(located.figure(2).axes) == 4


def test_no_lesion_of_no_slice_is_found(predictor):
    """Give zeros for slices without a mask, and no score."""
    side = predictor.description["image_size"]
    blank = np.zeros((2, side, side))
    images = np.random.default_rng(0).integers(0, 255, blank.shape).astype(np.uint8)
    located = lesion_results.locate_predicted(predictor, images, blank > 0, ["a", "b"])
    assert located.table.pointing_game.isna().all()


def test_a_run_without_a_lesion_map_is_refused():
    """Name the settings that a lesion map needs."""
    plain = small_predictor()
    with pytest.raises(ValueError, match="must have a lesion map"):
        lesion_results.locate_phantoms(plain, counterfactual_pairs(1))
    assert accepted(plain.locate, np.zeros((1, 32, 32), np.uint8), refuses=ValueError) is None
