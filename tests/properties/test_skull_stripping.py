"""Properties of brainclust.imaging.skull_stripping."""

import numpy as np
from assertions import ignores_layout
from examples import NO_BRAIN_WARNING
from hypothesis import given, strategies as st
from strategies import seeds, slice_images

from brainclust.imaging import skull_stripping


@NO_BRAIN_WARNING
@given(image=slice_images(), method=st.sampled_from(sorted(skull_stripping.SKULL_STRIPPERS)),
       sigma=st.sampled_from([0, 0.1, 3, 100]), relax=st.sampled_from([-300, -5.0, 0, 300]),
       radius=st.sampled_from([0, 1, 5, 5.0, 12]))
def test_a_stripped_slice_is_its_masked_slice(image, method, sigma, relax, radius):
    """Return a boolean mask and the slice under it."""
    strip = lambda picture: skull_stripping.skull_strip_2d(picture, method, sigma, relax, radius)
    stripped, mask = strip(image)
    assert mask.dtype == bool
    assert mask.shape == image.shape
    assert stripped.dtype == np.uint8
    np.testing.assert_array_equal(stripped,
                                  np.where(mask, 255 if method == "synth_mask" else image, 0))


@NO_BRAIN_WARNING
@given(image=slice_images(), method=st.sampled_from(sorted(skull_stripping.SKULL_STRIPPERS)),
       sigma=st.sampled_from([0, 0.1, 3, 100]), relax=st.sampled_from([-300, -5.0, 0, 300]),
       radius=st.sampled_from([0, 1, 5, 5.0, 12]))
def test_a_brain_mask_is_never_empty(image, method, sigma, relax, radius):
    """Return a mask that is not empty where a network or none is used."""
    strip = lambda picture: skull_stripping.skull_strip_2d(picture, method, sigma, relax, radius)
    stripped, mask = strip(image)
    if method.startswith("synth") or method == "none":
        assert mask.any()


@NO_BRAIN_WARNING
@given(image=slice_images(), method=st.sampled_from(sorted(skull_stripping.SKULL_STRIPPERS)),
       sigma=st.sampled_from([0, 0.1, 3, 100]), relax=st.sampled_from([-300, -5.0, 0, 300]),
       radius=st.sampled_from([0, 1, 5, 5.0, 12]))
def test_skull_stripping_ignores_memory_layout(image, method, sigma, relax, radius):
    """Return the same mask for any memory layout."""
    strip = lambda picture: skull_stripping.skull_strip_2d(picture, method, sigma, relax, radius)
    ignores_layout(strip, image)


@given(image=slice_images(), seed=seeds())
def test_a_mask_covers_itself(image, seed):
    """Cover a mask fully by itself."""
    mask = (np.random.default_rng(seed).random(image.shape) < 0.6).astype(np.uint8)
    own = mask.astype(bool)
    assert skull_stripping.covered_fraction(own, own) == 1 or not own.any()


@given(image=slice_images(), seed=seeds())
def test_stripping_quality_lies_between_zero_and_one(image, seed):
    """Keep every measure in [0, 1] or NaN."""
    mask = (np.random.default_rng(seed).random(image.shape) < 0.6).astype(np.uint8)
    other = np.random.default_rng(seed + 1).random(image.shape) < 0.5
    own = mask.astype(bool)
    measures = skull_stripping.stripping_quality(own, other, own & ~other)
    assert set(measures) == {"dice", "ring_kept", "brain_lost", "tumour_lost"}
    assert all(np.isnan(v) or 0 <= v <= 1 for v in measures.values())
