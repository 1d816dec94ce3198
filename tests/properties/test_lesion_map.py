"""Properties of brainclust.analysis.lesion_map."""
import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from strategies import FIFTH_OF_EXAMPLES, seeds

from brainclust.analysis import lesion_map
from brainclust.imaging.brain_mask import find_brain, keep_inside_skull
from brainclust.models.encoders import ENCODERS, make_network

NETWORKS = {name: make_network(name, 3, 32, seed=5, lesion_map=True).eval() for name in ENCODERS}


@FIFTH_OF_EXAMPLES
@given(name=st.sampled_from(sorted(ENCODERS)), count=st.integers(0, 5), seed=seeds())
def test_maps_are_probabilities_of_every_pixel(name, count, seed):
    """Return a probability per pixel, whatever the encoder, the batches and the class."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 1, 64, 32, generator=generator)
    labels = torch.randint(3, (count,), generator=generator).tolist()
    anything = lesion_map.lesion_probabilities(NETWORKS[name], x, flip_tta=True)
    of_class = lesion_map.lesion_probabilities(NETWORKS[name], x, labels, flip_tta=True)
    for maps in (anything, of_class):
        assert maps.shape == (count, 64, 32)
        assert ((0 <= maps) & (maps <= 1)).all()
    assert (of_class <= anything + .15).all()  # but for the overshoot of the interpolation
    parts = lesion_map.lesion_probabilities(NETWORKS[name], x, labels, True, batch_size=2)
    np.testing.assert_allclose(parts, of_class, atol=1e-3)


@given(seed=seeds(), count=st.integers(1, 6))
def test_scores_are_means_of_slices_with_a_mask(seed, count):
    """Leave slices without a mask out of the means, and name every class that has one."""
    rng = np.random.default_rng(seed)
    masks = rng.random((count, 6, 6)) < .3
    masks[0] = False
    names = rng.choice(["a", "b"], count)
    scores, table = lesion_map.lesion_scores(rng.random((count, 6, 6)), masks, names)
    known = masks.any(axis=(1, 2))
    assert len(table) == count
    assert table.pointing_game.notna().tolist() == known.tolist()
    assert {name for name in scores if name.startswith("pointing_game_")} == {
        f"pointing_game_{name}" for name in names[known]}
    if known.any():
        assert 0 <= scores["pointing_game"] <= 1


def test_maps_are_drawn_with_their_masks():
    """Draw slice and map of each, the largest value marked."""
    maps = np.zeros((3, 16, 16))
    maps[:, 4, 9] = .5
    masks = np.zeros((3, 16, 16), bool)
    masks[:, 3:6, 8:11] = True
    figure = lesion_map.plot_lesion_maps(np.zeros((3, 16, 16), np.uint8), maps, masks, "abc", 2)
    assert len(figure.axes) == 4
    (line,) = figure.axes[2].lines
    assert line.get_xydata().tolist() == [[9, 4]]
    assert {axis.get_xlabel() for axis in figure.axes[2:]} == {"at most 0.50"}


@pytest.mark.parametrize("fill", [0, 120])
def test_what_lies_outside_the_skull_is_zero(fill):
    """Keep values of the map inside, whatever the slice shows."""
    image = np.full((1, 64, 64), fill, np.uint8)
    kept = keep_inside_skull(image, np.full((1, 64, 64), .5, np.float32))
    assert set(np.unique(kept)) <= {0, .5}
    brain = find_brain(image[0])
    assert (kept[0] > 0).sum() == (brain.sum() or image[0].size)
