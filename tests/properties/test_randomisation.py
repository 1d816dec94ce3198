"""Properties of brainclust.synthetic.randomisation."""

import numpy as np
from assertions import accepted
from hypothesis import given, strategies as st
from strategies import TENTH_OF_EXAMPLES, THIRD_OF_EXAMPLES, seeds

from brainclust.synthetic import (
    anatomy,
    anatomy as anatomy_module,
    randomisation,
    training_phantoms,
)


@TENTH_OF_EXAMPLES
@given(size=st.sampled_from([16, 33]), seed=seeds())
def test_classification_views_have_their_size(size, seed):
    """Draw a view of the asked size."""
    rng = np.random.default_rng(seed)
    assert randomisation.draw_classification_view(rng, size).shape == (size, size, 2)


@TENTH_OF_EXAMPLES
@given(number=st.integers(0, 9), size=st.sampled_from([16, 33]), seed=seeds())
def test_randomised_phantoms_are_images(number, size, seed):
    """Render a uint8 image of the asked size with its visible tumour."""
    signal, region, label = training_phantoms.render_classification_phantom(
        anatomy.load_atlas(), seed, number
    )
    rng = np.random.default_rng(seed)
    image, seen = randomisation.randomise_classification_phantom(rng, signal, region, size)
    assert image.shape == seen.shape == (size, size)
    assert image.dtype == np.uint8
    assert set(np.unique(seen)) <= {0, 1, 2}
    assert randomisation.visible_fraction(region, seen) >= 0
    assert label != 2 or randomisation.visible_fraction(region, seen) == 1


@TENTH_OF_EXAMPLES
@given(number=st.integers(0, 9), size=st.sampled_from([16, 33]), seed=seeds())
def test_phantoms_without_a_head_are_rendered(number, size, seed):
    """Render phantoms without a brain and of nothing but tumour."""
    signal, region, label = training_phantoms.render_classification_phantom(
        anatomy.load_atlas(), seed, number
    )
    rng = np.random.default_rng(seed)
    for regions in (region * 0, region * 0 + 2):  # no head, nothing but tumour
        view = randomisation.randomise_classification_phantom(rng, signal * 0, regions, size)[0]
        assert view.shape == (size, size)


@TENTH_OF_EXAMPLES
@given(number=st.integers(0, 9), size=st.sampled_from([16, 33]), seed=seeds())
def test_randomised_views_have_their_size(number, size, seed):
    """Return views of the asked number and size, or refuse the phantom."""
    signal, region, label = training_phantoms.render_classification_phantom(
        anatomy.load_atlas(), seed, number
    )
    views = accepted(randomisation.randomised_views, seed, number, signal, region, 2, size,
                     refuses=ValueError)
    assert views is None or {part.shape for part in views} == {(2, size, size)}


def test_classification_phantoms_are_randomised_together():
    """Return the asked views of every phantom."""
    signals, regions, labels = training_phantoms.render_classification_phantoms(4)
    views = randomisation.randomise_classification_phantoms(signals, regions, 1, 32)
    assert views.shape == (4, 1, 32, 32)


@given(seed=seeds(), number=st.integers(0, 30), size=st.sampled_from([32, 48]))
@THIRD_OF_EXAMPLES
def test_randomised_segmentation_phantoms_are_images(seed, number, size):
    """Render a uint8 image with its regions."""
    rng = np.random.default_rng(seed)
    atlas = anatomy_module.load_atlas()
    signal, region = training_phantoms.render_segmentation_phantom(atlas, seed % 100, number, size)
    image, kept = randomisation.randomise_segmentation_phantom(rng, signal, region, size)
    assert image.shape == kept.shape == (size, size)
    assert image.dtype == np.uint8
    assert kept.max() <= 2


@given(seed=seeds(), size=st.sampled_from([32, 48]))
@THIRD_OF_EXAMPLES
def test_segmentation_views_have_their_size(seed, size):
    """Draw a view of the asked size."""
    rng = np.random.default_rng(seed)
    assert randomisation.draw_segmentation_view(rng, size, size).shape == (size, size, 2)


@given(seed=seeds(), size=st.sampled_from([32, 48]))
@THIRD_OF_EXAMPLES
def test_smooth_fields_have_their_size(seed, size):
    """Draw a smooth field of the asked size."""
    rng = np.random.default_rng(seed)
    assert randomisation.smooth_field(rng, size, 3).shape == (size, size)


@given(seed=seeds(), number=st.integers(0, 30), size=st.sampled_from([32, 48]))
@THIRD_OF_EXAMPLES
def test_randomised_grey_levels_stay_between_zero_and_one(seed, number, size):
    """Keep randomised grey levels in [0, 1]."""
    rng = np.random.default_rng(seed)
    atlas = anatomy_module.load_atlas()
    signal, region = training_phantoms.render_segmentation_phantom(atlas, seed % 100, number, size)
    unit = signal / np.float32(255)
    bent = randomisation.randomise_grey_levels(rng, unit)
    assert bent.shape == unit.shape
    assert 0 <= bent.min()
    assert bent.max() <= 1


@given(seed=seeds(), number=st.integers(0, 30), size=st.sampled_from([32, 48]))
@THIRD_OF_EXAMPLES
def test_randomised_surroundings_and_sharpness_are_finite(seed, number, size):
    """Randomise surroundings and sharpness to finite values."""
    rng = np.random.default_rng(seed)
    atlas = anatomy_module.load_atlas()
    signal, region = training_phantoms.render_segmentation_phantom(atlas, seed % 100, number, size)
    unit = signal / np.float32(255)
    for changed in (randomisation.randomise_surroundings(rng, unit, region > 0),
                    randomisation.randomise_sharpness(rng, unit)):
        assert np.isfinite(changed).all()


@given(seed=seeds(), number=st.integers(0, 30), size=st.sampled_from([32, 48]))
@THIRD_OF_EXAMPLES
def test_a_randomised_scanner_returns_bytes(seed, number, size):
    """Simulate a scanner to uint8."""
    rng = np.random.default_rng(seed)
    atlas = anatomy_module.load_atlas()
    signal, region = training_phantoms.render_segmentation_phantom(atlas, seed % 100, number, size)
    unit = signal / np.float32(255)
    assert randomisation.randomise_scanner(rng, unit).dtype == np.uint8


@given(seed=seeds(), number=st.integers(0, 30), size=st.sampled_from([32, 48]))
@THIRD_OF_EXAMPLES
def test_burnt_in_text_keeps_the_shape(seed, number, size):
    """Burn text into a slice of the same shape."""
    rng = np.random.default_rng(seed)
    atlas = anatomy_module.load_atlas()
    signal, region = training_phantoms.render_segmentation_phantom(atlas, seed % 100, number, size)
    assert randomisation.burn_in_text(rng, signal).shape == signal.shape


@given(seed=seeds(), number=st.integers(0, 30), size=st.sampled_from([32, 48]))
@THIRD_OF_EXAMPLES
def test_randomised_borders_cut_regions(seed, number, size):
    """Cut borders and remove regions only."""
    rng = np.random.default_rng(seed)
    atlas = anatomy_module.load_atlas()
    signal, region = training_phantoms.render_segmentation_phantom(atlas, seed % 100, number, size)
    image, kept = randomisation.randomise_segmentation_phantom(rng, signal, region, size)
    cut, left = randomisation.randomise_borders(rng, image, kept)
    assert cut.dtype == np.uint8
    assert (left <= kept).all()
