"""Properties of brainclust.analysis.explanation_scores."""

import numpy as np
import pandas as pd
import pytest
import torch
from assertions import accepted, drawn_figure
from examples import UNLIKELY_NAMES, small_network
from hypothesis import given, strategies as st
from strategies import FIFTH_OF_EXAMPLES, mask_pairs, seeds, with_layout

from brainclust.analysis import explanation, explanation_figures, explanation_scores


@given(pair=mask_pairs(), seed=seeds())
def test_scores_of_a_map_lie_between_zero_and_one(pair, seed):
    """Score every map in [0, 1], NaN for an empty mask, for any memory layout."""
    masks, other = pair
    for cams in (np.random.default_rng(seed).random(masks.shape), np.zeros(masks.shape),
                 np.ones(masks.shape, np.float32), masks.astype(float)):
        table = explanation_scores.cam_scores(with_layout(cams, "fortran"), masks)
        assert list(table) == list(explanation_scores.CAM_SCORES)
        assert len(table) == len(masks)
        assert (table.isna().any(axis=1) == ~masks.any(axis=(1, 2))).all()
        assert table.astype(float).stack().dropna().between(0, 1 + 1e-9).all()
        pd.testing.assert_frame_equal(table, explanation_scores.cam_scores(cams, masks))


@given(pair=mask_pairs())
def test_a_mask_is_its_own_best_map(pair):
    """Score a mask as its own map by one."""
    masks, other = pair
    table = explanation_scores.cam_scores(masks.astype(float), masks)
    assert (table[masks.any(axis=(1, 2))] == 1).all(axis=None)  # a mask is its own best map


@given(pair=mask_pairs())
def test_the_best_iou_is_at_the_best_threshold(pair):
    """Return the IoU of the best threshold."""
    masks, other = pair
    for mask, cam in zip(masks, other.astype(float)):
        if mask.any():
            shown = cam if cam.any() else np.ones(cam.shape)
            assert (explanation_scores.score_cam(cam, mask)[2]
                    == explanation_scores.best_iou(shown, mask) > 0)


@given(pair=mask_pairs())
def test_comparisons_of_maps_hold_the_estimate(pair):
    """Enclose every mean score by its interval, or refuse empty masks."""
    masks, other = pair
    compared = accepted(explanation_scores.compare_maps,
                        {"a_cam": other.astype(float), UNLIKELY_NAMES[4]: np.ones(masks.shape)},
                        masks, np.arange(len(masks)) // 2, 20, refuses=(ValueError,))
    if compared is None:
        assert not masks.any()
    else:
        assert (compared.slices == masks.any(axis=(1, 2)).sum()).all()
        for score in explanation_scores.CAM_SCORES:
            assert (compared[f"{score}_low"] <= compared[score] + 1e-9).all()
            assert (compared[f"{score}_high"] >= compared[score] - 1e-9).all()


@given(pair=mask_pairs())
def test_results_of_maps_are_flat(pair):
    """Flatten a comparison to named numbers and intervals."""
    masks, other = pair
    compared = accepted(explanation_scores.compare_maps,
                        {"a_cam": other.astype(float), UNLIKELY_NAMES[4]: np.ones(masks.shape)},
                        masks, np.arange(len(masks)) // 2, 20, refuses=(ValueError,))
    if compared is None:
        pass
    else:
        flat = explanation_scores.map_results(compared)
        assert len(flat) == 2 * len(explanation_scores.CAM_SCORES)
        assert flat["a_cam_best_iou"] == compared.best_iou[0]
        assert explanation_scores.map_results(compared, intervals=True)["a_cam_best_iou"] == [
            compared.best_iou_low[0],
            compared.best_iou_high[0],
        ]


@given(pair=mask_pairs(n=3), seed=seeds())
def test_prior_maps_lie_between_zero_and_one(pair, seed):
    """Return float32 maps in [0, 1] that need no network."""
    masks = pair[0]
    images = np.random.default_rng(seed).integers(0, 256, masks.shape, dtype=np.uint8)
    for name, maps in explanation_scores.prior_maps(images, masks).items():
        assert (maps.shape == masks.shape and maps.dtype == np.float32 and (maps >= 0).all()
                and (maps <= 1 + 1e-6).all()), name


@given(pair=mask_pairs(n=3))
def test_a_centre_prior_ignores_memory_layout(pair):
    """Return the same prior for any memory layout."""
    masks = pair[0]
    assert (explanation_scores.centre_prior(masks)
            == explanation_scores.centre_prior(with_layout(masks, "reversed"))).all()


@FIFTH_OF_EXAMPLES
@given(n=st.integers(0, 3), seed=seeds(), kind=st.sampled_from(["noise", "constant", "equal"]))
def test_layers_and_methods_are_compared(n, seed, kind):
    """Compare every method and view on all slices, and draw them."""
    made, mixture = small_network()
    rng = np.random.default_rng(seed)
    x = torch.from_numpy(rng.normal(size=(n, 1, 32, 32)).astype(np.float32) * (kind == "noise")
                         + (kind == "constant"))
    if n:
        table = explanation_scores.compare_layers(
            made,
            x,
            [0] * n,
            np.ones((n, 32, 32), bool),
            explanation.candidate_layers(made)[-1:],
            list(explanation.METHODS),
            list(explanation.VIEWS)[:2],
        )
        assert len(table) == 6
        assert (table.slices == n).all()
        drawn_figure(explanation_figures.plot_layers, table)


@FIFTH_OF_EXAMPLES
@given(n=st.integers(1, 2), seed=seeds())
def test_a_randomisation_check_starts_with_equal_maps(n, seed):
    """Compare maps after every randomised stage, equal at first."""
    made, _ = small_network()
    x = torch.randn(n, 1, 32, 32, generator=torch.Generator().manual_seed(seed))
    check, maps = explanation_scores.randomisation_check(made, x, [0] * n, seed, views="one")
    assert list(check) == ["randomised", "rank_correlation", "structural_similarity"]
    assert (
        check["randomised"].tolist()
        == list(maps)
        == ["nothing", *(name for name, _ in explanation_scores.weight_stages(made))]
    )
    assert check["structural_similarity"][0] == pytest.approx(1)
    assert check["rank_correlation"].dropna().between(-1 - 1e-9, 1 + 1e-9).all()


@FIFTH_OF_EXAMPLES
@given(seed=seeds())
def test_nothing_randomised_changes_nothing(seed):
    """Keep all weights when no stage is randomised."""
    made, _ = small_network()
    same = explanation_scores.randomise(made, [], seed)
    assert all(torch.equal(a, b) for a,
               b in zip(made.state_dict().values(), same.state_dict().values()))


@given(n=st.integers(1, 3), side=st.integers(7, 12), seed=seeds())
def test_rank_correlations_are_symmetric(n, side, seed):
    """Correlate maps with themselves by one, with their negative by -1, and symmetrically."""
    a, b = np.random.default_rng(seed).random((2, n, side, side))
    correlate = explanation_scores.rank_correlation
    assert correlate(a, a) == pytest.approx(1)
    assert correlate(a, -a) == pytest.approx(-1)
    assert correlate(a, b) == pytest.approx(correlate(b, a))


@given(n=st.integers(1, 3), side=st.integers(7, 12), seed=seeds())
def test_the_rank_correlation_of_a_constant_map_is_nan(n, side, seed):
    """Return NaN for a constant map."""
    a, b = np.random.default_rng(seed).random((2, n, side, side))
    correlate = explanation_scores.rank_correlation
    assert np.isnan(correlate(a, np.ones_like(a))).all()


@given(n=st.integers(1, 3), side=st.integers(7, 12), seed=seeds())
def test_structural_similarities_are_at_most_one(n, side, seed):
    """Return one for equal maps and at most one."""
    a, b = np.random.default_rng(seed).random((2, n, side, side))
    assert explanation_scores.structural_similarities(a, a) == pytest.approx(1)
    assert (explanation_scores.structural_similarities(a, b) <= 1).all()
