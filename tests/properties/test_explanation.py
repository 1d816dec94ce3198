"""Properties of brainclust.analysis.explanation."""

import numpy as np
import torch
from examples import WeightedSum, small_network
from hypothesis import given, strategies as st
from strategies import FIFTH_OF_EXAMPLES, mask_pairs, points, seeds

from brainclust.analysis import explanation


@given(scores=points(min_points=1, max_points=6, dimensions=5))
def test_log_odds_are_logarithms_of_odds(scores):
    """Return the logarithm of the odds, never NaN."""
    odds = explanation.log_odds(torch.from_numpy(scores.astype(np.float64)))
    p = torch.from_numpy(scores.astype(np.float64)).softmax(dim=1)
    inside = (p > 1e-9) & (p < 1 - 1e-9)
    assert torch.allclose(odds[inside], (p / (1 - p)).log()[inside], atol=1e-6, rtol=1e-5)
    assert not odds.isnan().any()


@given(x=points(min_points=1, max_points=6, dimensions=6), turns=st.integers(0, 7),
       mirrored=st.booleans())
def test_a_turn_is_undone(x, turns, mirrored):
    """Turn a slice back to itself."""
    square = torch.from_numpy(np.array(x))[:, None, :, None].expand(-1, 1, x.shape[1], x.shape[1])
    assert torch.equal(explanation.turn_back(explanation.turn(square, turns, mirrored), turns,
                                             mirrored), square)


@given(pair=mask_pairs(n=3))
def test_maps_are_scaled_to_their_maximum(pair):
    """Scale every map to a maximum of one."""
    masks = pair[0]
    scaled = explanation.scale_to_maximum(torch.from_numpy(masks.astype(np.float32) * 3))
    assert torch.equal(scaled, torch.from_numpy(masks.astype(np.float32)))


@FIFTH_OF_EXAMPLES
@given(n=st.integers(0, 3), seed=seeds(), method=st.sampled_from(list(explanation.METHODS)),
       views=st.sampled_from(list(explanation.VIEWS)),
       kind=st.sampled_from(["noise", "constant", "equal"]))
def test_maps_lie_between_zero_and_one(n, seed, method, views, kind):
    """Return float32 maps in [0, 1], for any memory layout."""
    made, mixture = small_network()
    rng = np.random.default_rng(seed)
    x = torch.from_numpy(rng.normal(size=(n, 1, 32, 32)).astype(np.float32) * (kind == "noise")
                         + (kind == "constant"))
    for function, who, targets in (
        (explanation.grad_cam, (made,), rng.integers(0, 3, n)),
        (explanation.cluster_cam, (made, mixture), rng.integers(0, 4, n)),
    ):
        maps = function(*who, x, targets, method=method, views=views)
        assert maps.shape == (n, 32, 32)
        assert maps.dtype == np.float32
        assert (maps >= 0).all()
        assert (maps <= 1).all()
        assert (function(*who, x.transpose(2, 3).contiguous().transpose(2, 3), list(targets),
                         method=method, views=views) == maps).all()


@FIFTH_OF_EXAMPLES
@given(n=st.integers(0, 3), seed=seeds(), method=st.sampled_from(list(explanation.METHODS)),
       views=st.sampled_from(list(explanation.VIEWS)),
       kind=st.sampled_from(["noise", "constant", "equal"]))
def test_batched_maps_have_their_size(n, seed, method, views, kind):
    """Return one map per slice in batches of one."""
    made, mixture = small_network()
    rng = np.random.default_rng(seed)
    x = torch.from_numpy(rng.normal(size=(n, 1, 32, 32)).astype(np.float32) * (kind == "noise")
                         + (kind == "constant"))
    assert explanation.batched_cams(explanation.HeadScores(made), x, [0] * n, None, method, views,
                                    1).shape == (n, 32, 32)


@FIFTH_OF_EXAMPLES
@given(n=st.integers(0, 3), seed=seeds(), kind=st.sampled_from(["noise", "constant", "equal"]))
def test_cluster_scores_are_responsibilities(n, seed, kind):
    """Score clusters by the log odds of their responsibilities."""
    made, mixture = small_network()
    rng = np.random.default_rng(seed)
    x = torch.from_numpy(rng.normal(size=(n, 1, 32, 32)).astype(np.float32) * (kind == "noise")
                         + (kind == "constant"))
    scores = explanation.ClusterScores(made, mixture).eval()
    with torch.no_grad():
        assert np.allclose(scores(x).sigmoid(), mixture.responsibilities(made(x)[0].numpy()),
                           atol=1e-3)


@FIFTH_OF_EXAMPLES
@given(n=st.integers(0, 3), seed=seeds(), method=st.sampled_from(list(explanation.METHODS)),
       views=st.sampled_from(list(explanation.VIEWS)),
       kind=st.sampled_from(["noise", "constant", "equal"]))
def test_raw_maps_are_not_negative(n, seed, method, views, kind):
    """Return raw maps per layer that are not negative, and refined ones of at most one."""
    made, mixture = small_network()
    rng = np.random.default_rng(seed)
    x = torch.from_numpy(rng.normal(size=(n, 1, 32, 32)).astype(np.float32) * (kind == "noise")
                         + (kind == "constant"))
    scores = explanation.ClusterScores(made, mixture).eval()
    if n:
        predictor = (scores, x, torch.zeros(n, dtype=torch.int64),
                     explanation.default_layers(made)[-2:], method)
        assert [(raw.shape, bool((raw >= 0).all())) for raw
                in explanation.raw_cams(*predictor)] == [((n, 32, 32), True)] * 2
        assert explanation.refined_cams(*predictor, explanation.VIEWS[views]).amax() <= 1


@FIFTH_OF_EXAMPLES
@given(n=st.integers(0, 3), seed=seeds(), kind=st.sampled_from(["noise", "constant", "equal"]))
def test_occlusion_maps_lie_between_zero_and_one(n, seed, kind):
    """Return occlusion maps in [0, 1]."""
    made, mixture = small_network()
    rng = np.random.default_rng(seed)
    x = torch.from_numpy(rng.normal(size=(n, 1, 32, 32)).astype(np.float32) * (kind == "noise")
                         + (kind == "constant"))
    covered = explanation.occlusion_maps(explanation.HeadScores(made), x, [0] * n, patch=16)
    assert covered.shape == (n, 32, 32)
    assert (covered >= 0).all()
    assert (covered <= 1).all()


@given(side=st.integers(1, 16), patch=st.integers(1, 16), stride=st.integers(1, 16), seed=seeds())
def test_occlusion_leaves_the_slices_alone(side, patch, stride, seed):
    """Leave the slices unchanged."""
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(2, 1, side, side, generator=rng)
    model = WeightedSum(torch.randn(side, side, generator=rng))
    if not stride <= patch <= side: return
    before = x.clone()
    explanation.occlusion_maps(model, x, [0, 0], patch, stride, batch_size=5)
    assert torch.equal(x, before)


@given(side=st.integers(1, 16), patch=st.integers(1, 16), stride=st.integers(1, 16), seed=seeds())
def test_occlusion_maps_are_scaled(side, patch, stride, seed):
    """Return occlusion maps in [0, 1]."""
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(2, 1, side, side, generator=rng)
    model = WeightedSum(torch.randn(side, side, generator=rng))
    if not stride <= patch <= side: return
    found = explanation.occlusion_maps(model, x, [0, 0], patch, stride, batch_size=5)
    assert found.shape == (2, side, side)
    assert (found >= 0).all()
    assert (found <= 1).all()


@given(side=st.integers(1, 16), patch=st.integers(1, 16), stride=st.integers(1, 16), seed=seeds())
def test_an_occlusion_map_is_the_mean_fall_of_its_patches(side, patch, stride, seed):
    """Average the fall of the score over all patches of a pixel."""
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(2, 1, side, side, generator=rng)
    model = WeightedSum(torch.randn(side, side, generator=rng))
    if not stride <= patch <= side: return
    found = explanation.occlusion_maps(model, x, [0, 0], patch, stride, batch_size=5)
    starts = range(0, side - patch + stride, stride)
    for image, cover, cam in zip(x[:, 0], explanation.blurred(x, patch / 2)[:, 0], found):
        cost = ((image - cover) * model.weights).numpy()
        total = np.zeros((side, side))
        count = np.zeros((side, side))
        for top in starts:
            for left in starts:
                square = slice(top, top + patch), slice(left, left + patch)
                total[square] += cost[square].sum()
                count[square] += 1
        falls = np.maximum(total / count, 0)
        if falls.max() > 1e-3:
            assert np.allclose(cam, falls / falls.max(), atol=1e-3 / falls.max())


@given(side=st.integers(1, 16), patch=st.integers(1, 16), stride=st.integers(1, 16))
def test_blurring_a_constant_changes_nothing(side, patch, stride):
    """Blur a constant slice to itself."""
    if not stride <= patch <= side: return
    assert torch.allclose(explanation.blurred(torch.full((1, 1, side, side), 3.0), 2.0),
                          torch.tensor(3.0))
