"""Properties of brainclust.synthetic.other_brains."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from strategies import TENTH_OF_EXAMPLES, seeds

from brainclust.core.config import CLASSES
from brainclust.synthetic import anatomy, other_brains, phantoms
from brainclust.synthetic.rendering import TISSUE_INTENSITY, WEIGHTINGS, length_of


def section(seed: int, class_name: str = "notumor", size: int = 32):
    """Return atlas, patient, points of an axial section in atlas space, and mm per pixel."""
    atlas = anatomy.load_atlas()
    patient, rng = phantoms.draw_patient(seed, class_name, 0, atlas)
    points, width = anatomy.slice_points(rng, "axial", patient.focus, size)
    return atlas, patient, anatomy.to_atlas(patient.anatomy, points), width


@given(seed=seeds(), weighting=st.sampled_from(WEIGHTINGS), class_name=st.sampled_from(CLASSES))
@TENTH_OF_EXAMPLES
def test_a_weighting_changes_the_contrast_alone(seed, weighting, class_name):
    """Give every tissue a value of the weighting, and keep the rest of the patient."""
    _, patient, _, _ = section(seed % 50, class_name, 1)
    found = other_brains.with_weighting(np.random.default_rng(seed), patient, weighting)
    assert found.contrast["weighting"] == weighting
    assert set(found.contrast) == {"weighting", *TISSUE_INTENSITY}
    assert found.anatomy is patient.anatomy and found.tumour is patient.tumour


def test_an_unknown_weighting_or_kind_is_one_sentence():
    """Name the weightings and the kinds."""
    atlas, patient, _, _ = section(0, size=1)
    with pytest.raises(ValueError, match="weighting must be one of T1, T1-CE, T2, FLAIR; got 'PD'"):
        other_brains.with_weighting(np.random.default_rng(0), patient, "PD")
    with pytest.raises(ValueError, match="kind must be one of T1, .*children; got 'CT'"):
        other_brains.render_other_brain(atlas, "CT", 0, 0)


@given(seed=seeds(), class_name=st.sampled_from(CLASSES))
@TENTH_OF_EXAMPLES
def test_a_child_keeps_its_site(seed, class_name):
    """Shrink head and contrast, and keep the place in the atlas that slices pass near."""
    _, patient, _, _ = section(seed % 50, class_name, 1)
    child = other_brains.as_child(np.random.default_rng(seed), patient)
    places = [anatomy.to_atlas(one.anatomy, one.focus) for one in (patient, child)]
    assert length_of(places[0] - places[1]) < 1  # mm
    assert child.anatomy.skull_thickness < patient.anatomy.skull_thickness
    grey, white = (abs(one.contrast["white"] - one.contrast["grey"]) for one in (child, patient))
    assert grey <= white
    volumes = [abs(np.linalg.det(one.anatomy.affine)) for one in (patient, child)]
    assert volumes[1] > 1.3 * volumes[0]  # a greater part of the atlas in the same millimetres


@given(seed=seeds())
@TENTH_OF_EXAMPLES
def test_a_cavity_reaches_the_skull_and_leaves_the_rest(seed):
    """Lie at the dura, fill with fluid, and change nothing far away or outside the bone."""
    atlas, patient, points, width = section(seed % 50)
    cavity = other_brains.draw_cavity(np.random.default_rng(seed), atlas)
    assert cavity.attachment[0] != 0 and abs(anatomy.skull_depth(atlas, cavity.attachment)) < 3
    before = np.full(points.shape[:2], .5)
    after = other_brains.render_cavity(before, atlas, points, width, cavity, patient.contrast, 6.)
    far = length_of(points - cavity.centre) > 4 * cavity.radius
    outside = anatomy.skull_depth(atlas, points) > 7 + width
    assert np.isfinite(after).all() and after.shape == before.shape
    assert (after[far] == .5).all() and (after[outside] == .5).all()


@given(seed=seeds(), count=st.integers(1, 20))
@TENTH_OF_EXAMPLES
def test_plaques_lie_in_white_matter(seed, count):
    """Draw as many as asked for, deep in white matter, and render them there alone."""
    atlas, patient, points, width = section(seed % 50)
    plaques = other_brains.draw_plaques(np.random.default_rng(seed), atlas, count)
    assert len(plaques) == count
    centres = np.stack([centre for centre, _ in plaques])
    white = anatomy.tissue_fractions(atlas, centres)[0]
    assert (white > .8).all() and (anatomy.skull_depth(atlas, centres) < -25).all()
    before = np.full(points.shape[:2], .5)
    after = other_brains.render_plaques(before, atlas, points, width, plaques, patient.contrast)
    elsewhere = anatomy.tissue_fractions(atlas, points)[0] == 0
    assert (after[elsewhere] == .5).all() and np.isfinite(after).all()


@given(kind=st.sampled_from(other_brains.OTHER_BRAINS), seed=st.integers(0, 50),
       number=st.integers(0, 9), size=st.sampled_from([8, 32]))
@TENTH_OF_EXAMPLES
def test_equal_numbers_give_equal_brains(kind, seed, number, size):
    """Render a uint8 slice that seed and number decide."""
    atlas = anatomy.load_atlas()
    first, second = (
        other_brains.render_other_brain(atlas, kind, seed, number, size) for _ in range(2))
    assert first.dtype == np.uint8 and first.shape == (size, size)
    assert np.array_equal(first, second)


def test_weightings_share_a_head():
    """Render fluid dark in T1 and bright in T2 in the head of one patient."""
    atlas = anatomy.load_atlas()
    pictures = {kind: other_brains.render_other_brain(atlas, kind, 0, 2, 96).astype(float)
                for kind in WEIGHTINGS}
    head = pictures["T1-CE"] > 60
    for one in pictures.values():
        assert ((one > 25) & head).sum() > .75 * head.sum()
    assert np.corrcoef(pictures["T1"].ravel(), pictures["T2"].ravel())[0, 1] < .9
