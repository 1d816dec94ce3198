"""Properties of brainclust.synthetic.anatomy."""

import numpy as np
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp
from strategies import LAYOUTS, seeds, with_layout

from brainclust.synthetic import anatomy as anatomy_module


@given(mask=hnp.arrays(bool, st.tuples(*[st.integers(1, 7)] * 3)),
       spacing=st.sampled_from([0.5, 2.0]))
def test_signed_distances_are_negative_inside(mask, spacing):
    """Return negative distances inside a mask and positive ones outside."""
    distance = anatomy_module.signed_distance(mask, spacing)
    assert distance.dtype == np.float32
    assert distance.shape == mask.shape
    if mask.any() and not mask.all():
        assert (distance[mask] < 0).all()
        assert (distance[~mask] > 0).all()


@given(mask=hnp.arrays(bool, st.tuples(*[st.integers(1, 7)] * 3)),
       spacing=st.sampled_from([0.5, 2.0]))
def test_a_closed_mask_keeps_its_shape(mask, spacing):
    """Close a mask of the same shape."""
    if mask.any():
        assert anatomy_module.close_mask(mask, 1, spacing).shape == mask.shape


@given(mask=hnp.arrays(bool, st.tuples(*[st.integers(1, 7)] * 3)),
       spacing=st.sampled_from([0.5, 2.0]))
def test_a_sampled_volume_returns_its_voxels(mask, spacing):
    """Sample a volume exactly at its voxels."""
    volume = mask.astype(np.float32)
    places = np.argwhere(mask)
    np.testing.assert_allclose(
        anatomy_module.sample_volume(volume, places * spacing, np.zeros(3), spacing), 1
    )


@given(mask=hnp.arrays(bool, st.tuples(*[st.integers(1, 7)] * 3)),
       spacing=st.sampled_from([0.5, 2.0]))
def test_a_sample_outside_is_the_outside_value(mask, spacing):
    """Return the outside value far from the volume."""
    volume = mask.astype(np.float32)
    far = anatomy_module.sample_volume(volume, np.full((3, 3), 1e4), np.zeros(3), spacing,
                                       outside=-7)
    assert (far == -7).all()


@given(x=hnp.arrays(np.float32, st.tuples(st.integers(0, 6), st.integers(1, 5), st.just(3)),
                    elements=st.floats(-150, 150, width=32)), how=st.sampled_from(LAYOUTS))
def test_tissue_fractions_sum_to_one(x, how):
    """Sum white matter, grey matter and fluid to one."""
    atlas = anatomy_module.load_atlas()
    x = with_layout(x, how)
    white, grey, fluid, brain = anatomy_module.tissue_fractions(atlas, x)
    np.testing.assert_allclose(white + grey + fluid, 1, atol=1e-5)


@given(x=hnp.arrays(np.float32, st.tuples(st.integers(0, 6), st.integers(1, 5), st.just(3)),
                    elements=st.floats(-150, 150, width=32)), seed=seeds(),
       how=st.sampled_from(LAYOUTS))
def test_waves_have_two_components(x, seed, how):
    """Evaluate waves at every point."""
    rng = np.random.default_rng(seed)
    x = with_layout(x, how)
    waves = anatomy_module.draw_waves(rng, 20.0, 2)
    assert anatomy_module.evaluate_waves(waves, x).shape == (*x.shape[:-1], 2)


@given(x=hnp.arrays(np.float32, st.tuples(st.integers(0, 6), st.integers(1, 5), st.just(3)),
                    elements=st.floats(-150, 150, width=32)), seed=seeds(),
       how=st.sampled_from(LAYOUTS))
def test_atlas_coordinates_are_inverted(x, seed, how):
    """Convert points to the atlas and back within one millimetre."""
    rng = np.random.default_rng(seed)
    x = with_layout(x, how)
    anatomy = anatomy_module.draw_anatomy(rng)
    there = anatomy_module.to_atlas(anatomy, x)
    assert there.shape == x.shape
    assert np.isfinite(there).all()
    if x.size and np.abs(x[0, 0]).max() < 60:
        np.testing.assert_allclose(anatomy_module.to_patient(anatomy, there[0, 0]), x[0, 0], atol=1)
