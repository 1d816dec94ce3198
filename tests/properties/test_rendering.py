"""Properties of brainclust.synthetic.rendering."""

import numpy as np
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp
from strategies import LAYOUTS, THIRD_OF_EXAMPLES, seeds, with_layout

from brainclust.synthetic import anatomy as anatomy_module, phantoms, rendering, tumours


@given(x=hnp.arrays(np.float32, st.tuples(st.integers(0, 6), st.integers(1, 5), st.just(3)),
                    elements=st.floats(-150, 150, width=32)), how=st.sampled_from(LAYOUTS))
def test_lengths_are_euclidean_norms(x, how):
    """Return the Euclidean norm of points."""
    x = with_layout(x, how)
    np.testing.assert_allclose(rendering.length_of(x), np.linalg.norm(x, axis=-1), atol=1e-3)


@given(x=hnp.arrays(np.float32, st.tuples(st.integers(0, 6), st.integers(1, 5), st.just(3)),
                    elements=st.floats(-150, 150, width=32)), how=st.sampled_from(LAYOUTS))
def test_coverage_of_shapes_lies_between_zero_and_one(x, how):
    """Convert distances to finite coverages in [0, 1]."""
    atlas = anatomy_module.load_atlas()
    x = with_layout(x, how)
    for distance in (rendering.ellipsoid(x, (0, 0, 0), (9, 8, 7)),
                     rendering.capsule(x, (0, 0, 0), (0, 0, 9), 3),
                     anatomy_module.skull_depth(atlas, x)):
        assert distance.shape == x.shape[:-1]
        assert np.isfinite(distance).all()
        cover = rendering.coverage(distance, 0.5)
        assert 0 <= cover.min(initial=0)
        assert cover.max(initial=1) <= 1
        mixed = rendering.blend(np.zeros_like(cover), cover, 1.0)
        np.testing.assert_allclose(mixed, cover)


@given(x=hnp.arrays(np.float32, st.tuples(st.integers(0, 6), st.integers(1, 5), st.just(3)),
                    elements=st.floats(-150, 150, width=32)), seed=seeds(),
       how=st.sampled_from(LAYOUTS))
def test_skin_distances_are_finite(x, seed, how):
    """Return finite distances to the skin."""
    rng = np.random.default_rng(seed)
    atlas = anatomy_module.load_atlas()
    x = with_layout(x, how)
    anatomy = anatomy_module.draw_anatomy(rng)
    depth = anatomy_module.skull_depth(atlas, x)
    assert np.isfinite(rendering.skin_distance(anatomy, x, depth)).all()


@given(seed=st.integers(0, 50),
       kind=st.sampled_from(["glioma", "meningioma", "notumor", "pituitary"]),
       size=st.sampled_from([1, 8, 32]), far=st.booleans())
@THIRD_OF_EXAMPLES
def test_selected_pixels_lie_on_the_head(seed, kind, size, far):
    """Select the pixels of a head, and none far away."""
    atlas = anatomy_module.load_atlas()
    patient, rng = phantoms.draw_patient(seed, kind, 0, atlas)
    x, width = anatomy_module.slice_points(rng, "axial", patient.focus + (900 if far else 0), size)
    x = anatomy_module.to_atlas(patient.anatomy, x)
    pixels, head = rendering.select_pixels(patient.anatomy, atlas, x, width)
    # a single pixel is wider than a head is known to be far
    assert len(pixels.points) == head.sum()
    assert not (far and size > 1 and head.any())


@given(seed=st.integers(0, 50),
       kind=st.sampled_from(["glioma", "meningioma", "notumor", "pituitary"]),
       size=st.sampled_from([1, 8, 32]), far=st.booleans())
@THIRD_OF_EXAMPLES
def test_layers_of_a_head_are_finite(seed, kind, size, far):
    """Render every tissue to finite signals."""
    atlas = anatomy_module.load_atlas()
    patient, rng = phantoms.draw_patient(seed, kind, 0, atlas)
    x, width = anatomy_module.slice_points(rng, "axial", patient.focus + (900 if far else 0), size)
    x = anatomy_module.to_atlas(patient.anatomy, x)
    pixels, head = rendering.select_pixels(patient.anatomy, atlas, x, width)
    fractions, surface = tumours.brain_and_tumour(patient.tumour, atlas, pixels)
    soft = rendering.render_soft_tissue(pixels, patient.anatomy, patient.contrast)
    skull = rendering.render_skull(soft, pixels, patient.anatomy, patient.contrast)
    whole = rendering.render_healthy(pixels, fractions, patient.anatomy, patient.contrast)
    rendered = [soft, skull, rendering.render_face(skull, pixels, patient.contrast), whole,
                rendering.render_brain(skull, pixels, fractions, patient.anatomy, patient.contrast),
                rendering.render_enhancing(skull, pixels, fractions, patient.contrast)]
    if patient.tumour is not None:
        rendered.append(tumours.render_tumour(whole, pixels, patient.tumour, surface, fractions[0],
                                              patient.contrast))
        parts = {
            "glioma": lambda: tumours.render_glioma(
                whole, pixels, patient.tumour, surface, fractions[0], patient.contrast
            ),
            "meningioma": lambda: tumours.render_meningioma(
                whole, pixels, patient.tumour, surface, patient.contrast
            ),
            "pituitary": lambda: tumours.render_pituitary(
                whole, pixels, patient.tumour, surface, patient.contrast
            ),
        }
        rendered.append(parts[kind]())
    for image in rendered:
        assert image.shape == (head.sum(),)
        assert np.isfinite(image).all()


@given(seed=st.integers(0, 50),
       kind=st.sampled_from(["glioma", "meningioma", "notumor", "pituitary"]),
       size=st.sampled_from([1, 8, 32]), far=st.booleans())
@THIRD_OF_EXAMPLES
def test_small_structures_have_tissues(seed, kind, size, far):
    """Name a known tissue for every structure of neck and face."""
    atlas = anatomy_module.load_atlas()
    patient, rng = phantoms.draw_patient(seed, kind, 0, atlas)
    x, width = anatomy_module.slice_points(rng, "axial", patient.focus + (900 if far else 0), size)
    x = anatomy_module.to_atlas(patient.anatomy, x)
    pixels, head = rendering.select_pixels(patient.anatomy, atlas, x, width)
    for distance, tissue in rendering.neck_and_mouth(pixels) + rendering.eyes_and_nose(pixels):
        assert np.isfinite(distance).all()
        assert tissue in patient.contrast


@given(seed=st.integers(0, 50),
       kind=st.sampled_from(["glioma", "meningioma", "notumor", "pituitary"]),
       size=st.sampled_from([1, 8, 32]), far=st.booleans())
@THIRD_OF_EXAMPLES
def test_an_image_has_its_background(seed, kind, size, far):
    """Fill pixels outside the head with the background."""
    atlas = anatomy_module.load_atlas()
    patient, rng = phantoms.draw_patient(seed, kind, 0, atlas)
    x, width = anatomy_module.slice_points(rng, "axial", patient.focus + (900 if far else 0), size)
    x = anatomy_module.to_atlas(patient.anatomy, x)
    pixels, head = rendering.select_pixels(patient.anatomy, atlas, x, width)
    fractions, surface = tumours.brain_and_tumour(patient.tumour, atlas, pixels)
    whole = rendering.render_healthy(pixels, fractions, patient.anatomy, patient.contrast)
    whole_image = rendering.to_image(whole, head, -1)
    assert whole_image.shape == (size, size)
    assert (whole_image[~head] == -1).all()
