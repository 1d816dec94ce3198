"""Properties of brainclust.synthetic.phantoms."""

import numpy as np
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp
from strategies import LAYOUTS, THIRD_OF_EXAMPLES, seeds, with_layout

from brainclust.synthetic import anatomy as anatomy_module, phantoms


@given(x=hnp.arrays(np.float32, st.tuples(st.integers(0, 6), st.integers(1, 5), st.just(3)),
                    elements=st.floats(-150, 150, width=32)), seed=seeds(),
       how=st.sampled_from(LAYOUTS))
def test_bias_fields_are_positive(x, seed, how):
    """Return a positive bias field."""
    rng = np.random.default_rng(seed)
    x = with_layout(x, how)
    waves = anatomy_module.draw_waves(rng, 20.0, 2)
    assert (phantoms.bias_field(waves, x, 0.1) > 0).all()


@given(seed=st.integers(0, 50),
       kind=st.sampled_from(["glioma", "meningioma", "notumor", "pituitary"]),
       size=st.sampled_from([1, 8, 32]), far=st.booleans())
@THIRD_OF_EXAMPLES
def test_a_rendered_patient_has_masks(seed, kind, size, far):
    """Render signal, tumour mask and brain mask of one size."""
    atlas = anatomy_module.load_atlas()
    patient, rng = phantoms.draw_patient(seed, kind, 0, atlas)
    x, width = anatomy_module.slice_points(rng, "axial", patient.focus + (900 if far else 0), size)
    x = anatomy_module.to_atlas(patient.anatomy, x)
    signal, mask, brain = phantoms.render_patient(patient, atlas, x, width)
    assert signal.shape == mask.shape == brain.shape == (size, size)
    assert mask.dtype == brain.dtype == bool
    assert not (kind == "notumor" and mask.any())


@given(seed=st.integers(0, 50),
       kind=st.sampled_from(["glioma", "meningioma", "notumor", "pituitary"]),
       size=st.sampled_from([1, 8, 32]), far=st.booleans())
@THIRD_OF_EXAMPLES
def test_a_rendered_slice_has_masks(seed, kind, size, far):
    """Render a uint8 slice and its masks."""
    atlas = anatomy_module.load_atlas()
    patient, rng = phantoms.draw_patient(seed, kind, 0, atlas)
    x, width = anatomy_module.slice_points(rng, "axial", patient.focus + (900 if far else 0), size)
    x = anatomy_module.to_atlas(patient.anatomy, x)
    signal, mask, brain = phantoms.render_patient(patient, atlas, x, width)
    image, mask, brain = phantoms.render_slice(patient, atlas, rng, "coronal", size)
    assert image.dtype == np.uint8
    assert image.shape == mask.shape == brain.shape == (size, size)


@given(signal=hnp.arrays(np.float64, st.tuples(st.integers(1, 9), st.integers(1, 9)),
                         elements=st.floats(0, 2)), noise=st.sampled_from([0.0, 0.02]),
       seed=seeds())
def test_a_simulated_scan_is_a_slice(signal, noise, seed):
    """Simulate a uint8 scan of any signal, black without signal and noise."""
    with np.errstate(all="raise", under="ignore"):
        image = phantoms.simulate_scanner(np.random.default_rng(seed), signal, np.ones_like(signal),
                                          noise)
    assert image.dtype == np.uint8
    assert image.shape == signal.shape
    if not noise and not signal.any():
        assert not image.any()


@given(signal=hnp.arrays(np.float64, st.tuples(st.integers(1, 9), st.integers(1, 9)),
                         elements=st.floats(0, 2)), noise=st.sampled_from([0.0, 0.02]),
       seed=seeds())
def test_rician_noise_is_not_negative(signal, noise, seed):
    """Add noise whose magnitude is not negative."""
    assert (phantoms.add_rician_noise(np.random.default_rng(seed), signal, noise) >= 0).all()
