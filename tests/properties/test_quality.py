"""Properties of brainclust.imaging.quality."""

import numpy as np
import pandas as pd
import pytest
from assertions import ignores_layout
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from strategies import THIRD_OF_EXAMPLES, slice_images

from brainclust.imaging import plane as plane_module, quality
from brainclust.synthetic import anatomy as anatomy_module


@given(image=slice_images())
def test_slice_quality_lies_in_its_ranges(image):
    """Measure quality with a known plane, finite numbers and NaN where undefined."""
    measured = quality.slice_quality(image)
    assert set(measured) == {*quality.QUALITY_MEASURES, "touches_border", "estimated_plane"}
    assert measured["estimated_plane"] in ("", *anatomy_module.PLANES)
    assert 0 <= measured["foreground_fraction"] <= 1
    assert all(np.isnan(measured[m]) or 0 <= measured[m] < np.inf for m in quality.QUALITY_MEASURES)


@given(image=slice_images())
def test_slice_quality_ignores_memory_layout(image):
    """Measure the same for any memory layout."""
    ignores_layout(quality.slice_quality, image)


@given(image=slice_images())
def test_quality_measures_of_a_full_head_lie_in_their_ranges(image):
    """Measure noise, sharpness and contrast of a slice without background."""
    head = np.ones(image.shape, bool)
    assert quality.noise_sd(image, head) >= quality.ROUNDING_NOISE
    assert quality.measure_sharpness(image, head) >= 0
    assert 0 <= quality.measure_contrast(image, head) <= 1


@given(image=slice_images())
def test_a_brain_touches_the_border_or_not(image):
    """Return a plain boolean."""
    small = plane_module.shrink_slice(image)
    outline = plane_module.outline_head(small)
    if outline.any():
        assert isinstance(quality.brain_touches_border(outline, "axial"), bool)


@given(values=hnp.arrays(float, st.integers(0, 20), elements=st.floats(-1e6, 1e6)
                         | st.just(np.nan)))
@pytest.mark.filterwarnings("ignore:All-NaN", "ignore:Mean of empty")
def test_robust_z_scores_are_finite(values):
    """Return finite z scores, NaN where the value is."""
    z = quality.robust_z(values)
    assert z.shape == values.shape
    assert (np.isnan(z) == np.isnan(values)).all()
    assert not np.isinf(z).any()


@given(values=hnp.arrays(float, st.integers(0, 20), elements=st.floats(-1e6, 1e6)
                         | st.just(np.nan)), sources=st.sampled_from([None, "one", "own"]))
@pytest.mark.filterwarnings("ignore:All-NaN", "ignore:Mean of empty")
def test_quality_scores_are_complete(values, sources):
    """Score every slice by four measures."""
    table = pd.DataFrame({m: np.abs(values) for m in quality.QUALITY_MEASURES})
    groups = (
        None
        if sources is None
        else ["a"] * len(values)
        if sources == "one"
        else [str(i) for i in range(len(values))]
    )
    scores = quality.quality_z(table, groups)
    assert scores.shape == (len(values), 4)
    assert scores.notna().all().all()


@given(values=hnp.arrays(float, st.integers(0, 20), elements=st.floats(-1e6, 1e6)
                         | st.just(np.nan)), sources=st.sampled_from([None, "one", "own"]))
@pytest.mark.filterwarnings("ignore:All-NaN", "ignore:Mean of empty")
def test_outliers_have_a_reason(values, sources):
    """List every outlier once with a large z score and a reason, and every unmeasured slice."""
    table = pd.DataFrame({m: np.abs(values) for m in quality.QUALITY_MEASURES})
    groups = (
        None
        if sources is None
        else ["a"] * len(values)
        if sources == "one"
        else [str(i) for i in range(len(values))]
    )
    outliers = quality.outlier_slices(table, groups)
    assert outliers["row"].is_unique
    assert (outliers["z"].abs() > 3.5).all()
    assert set(outliers["row"]) >= set(np.flatnonzero(np.isnan(values)))
    assert all(outliers["why"])


@given(images=st.lists(slice_images(min_side=8, max_side=40), min_size=2, max_size=6),
       classes=st.integers(1, 3))
@THIRD_OF_EXAMPLES
def test_the_quality_of_every_file_is_measured(images, classes, tmp_path):
    """Measure every file, and none of none."""
    for i, image in enumerate(images):
        Image.fromarray(np.ascontiguousarray(image)).save(tmp_path / f"{i}.png")
    n = len(images)
    table = pd.DataFrame({"path": [str(tmp_path / f"{i}.png") for i in range(n)],
                          "label": np.arange(n) % classes,
                          "class_name": [f"c{i % classes}" for i in range(n)],
                          "split": ["train", "test"] * (n // 2) + ["train"] * (n % 2), "group": "",
                          "clean": True, "width": [i.shape[1] for i in images],
                          "height": [i.shape[0] for i in images], "mode": "L", "source": "x",
                          "voxel_width": np.nan})
    measured = quality.measure_quality(table["path"])
    assert len(measured) == n
    assert measured["touches_border"].dtype == bool
    assert len(quality.measure_quality([])) == 0


@given(images=st.lists(slice_images(min_side=8, max_side=40), min_size=2, max_size=6),
       classes=st.integers(1, 3))
@THIRD_OF_EXAMPLES
def test_intensity_histograms_sum_to_one(images, classes, tmp_path):
    """Sum histograms to one per stage and class."""
    for i, image in enumerate(images):
        Image.fromarray(np.ascontiguousarray(image)).save(tmp_path / f"{i}.png")
    n = len(images)
    table = pd.DataFrame({"path": [str(tmp_path / f"{i}.png") for i in range(n)],
                          "label": np.arange(n) % classes,
                          "class_name": [f"c{i % classes}" for i in range(n)],
                          "split": ["train", "test"] * (n // 2) + ["train"] * (n % 2), "group": "",
                          "clean": True, "width": [i.shape[1] for i in images],
                          "height": [i.shape[0] for i in images], "mode": "L", "source": "x",
                          "voxel_width": np.nan})
    histograms = quality.intensity_histograms(table, {"own": lambda image: image,
                                                      "unit": lambda image: image / 255},
                                              per_class=2, bins=8)
    assert np.allclose(histograms.groupby(["stage", "class_name"])["share"].sum(), 1)
