"""Properties of brainclust.synthetic.training_phantoms."""

import numpy as np
from hypothesis import given, strategies as st
from strategies import TENTH_OF_EXAMPLES, THIRD_OF_EXAMPLES, seeds

from brainclust.core import config
from brainclust.synthetic import anatomy, anatomy as anatomy_module, phantoms, training_phantoms


@TENTH_OF_EXAMPLES
@given(number=st.integers(0, 9), seed=seeds())
def test_classification_phantoms_have_known_regions(number, seed):
    """Render signal and regions of one size with the class of the number."""
    signal, region, label = training_phantoms.render_classification_phantom(
        anatomy.load_atlas(), seed, number
    )
    assert signal.shape == region.shape == (192, 192)
    assert signal.dtype == region.dtype == np.uint8
    assert label == number % 4
    assert set(np.unique(region)) <= {0, 1, 2, 3}


@TENTH_OF_EXAMPLES
@given(number=st.integers(0, 9), seed=seeds())
def test_classification_contrasts_are_finite(number, seed):
    """Draw finite tissue contrasts."""
    signal, region, label = training_phantoms.render_classification_phantom(
        anatomy.load_atlas(), seed, number
    )
    rng = np.random.default_rng(seed)
    contrast = training_phantoms.draw_classification_contrast(rng, config.CLASSES[label])
    assert all(np.isfinite(value) for name, value in contrast.items() if name != "weighting")


@TENTH_OF_EXAMPLES
@given(number=st.integers(0, 9), seed=seeds())
def test_varied_anatomy_stays_valid(number, seed):
    """Vary anatomy and tumour of a patient within valid shapes."""
    rng = np.random.default_rng(seed)
    patient, _ = phantoms.draw_patient(seed, "glioma", number, anatomy.load_atlas())
    assert (training_phantoms.vary_anatomy(rng, patient.anatomy).affine.shape
            == patient.anatomy.affine.shape)
    assert training_phantoms.vary_tumour(rng, patient.tumour).radius > 0


def test_classification_phantoms_rotate_classes():
    """Render phantoms class after class."""
    signals, regions, labels = training_phantoms.render_classification_phantoms(4)
    assert signals.shape == regions.shape == (4, 192, 192)
    assert list(labels) == [0, 1, 2, 3]


@given(seed=seeds(), number=st.integers(0, 30), size=st.sampled_from([32, 48]))
@THIRD_OF_EXAMPLES
def test_segmentation_phantoms_have_known_regions(seed, number, size):
    """Render signal and regions of one size."""
    atlas = anatomy_module.load_atlas()
    signal, region = training_phantoms.render_segmentation_phantom(atlas, seed % 100, number, size)
    assert signal.shape == region.shape == (size, size)
    assert signal.dtype == region.dtype == np.uint8
    assert region.max() <= 2


@given(seed=seeds(), number=st.integers(0, 30), size=st.sampled_from([32, 48]))
@THIRD_OF_EXAMPLES
def test_target_regions_are_background_brain_or_tumour(seed, number, size):
    """Label background, brain and tumour."""
    rng = np.random.default_rng(seed)
    atlas = anatomy_module.load_atlas()
    signal, region = training_phantoms.render_segmentation_phantom(atlas, seed % 100, number, size)
    points_of = anatomy_module.slice_points(rng, "axial", np.zeros(3), size)[0]
    target = training_phantoms.target_region(atlas, points_of, region == 2)
    assert set(np.unique(target)) <= {0, 1, 2}
