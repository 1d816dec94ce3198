"""Properties of brainclust.analysis.shortcuts."""

import numpy as np
import pandas as pd
from assertions import accepted
from hypothesis import given, strategies as st
from PIL import Image
from strategies import THIRD_OF_EXAMPLES, slice_images

from brainclust.analysis import shortcuts
from brainclust.imaging import quality


@given(image=slice_images(), size=st.sampled_from([2, 32]))
def test_border_and_outline_have_their_size(image, size):
    """Describe border and outline of a slice in [0, 1]."""
    ring, inside = shortcuts.border_and_outline(image, size)
    assert ring.shape == (4 * size - 4,)
    assert inside.shape == (size * size,)
    assert 0 <= inside.min()
    assert inside.max() <= 1


@given(images=st.lists(slice_images(min_side=8, max_side=40), min_size=2, max_size=6),
       classes=st.integers(1, 3))
@THIRD_OF_EXAMPLES
def test_shortcut_features_are_finite(images, classes, tmp_path):
    """Describe every file by finite features."""
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
    assert np.isfinite(shortcuts.metadata_features(table)).all()
    features = shortcuts.shortcut_features(table, measured)
    assert all(len(x) == n and np.isfinite(x).all() for x in features.values())


@given(images=st.lists(slice_images(min_side=8, max_side=40), min_size=2, max_size=6),
       classes=st.integers(1, 3))
@THIRD_OF_EXAMPLES
def test_known_labels_prefer_the_truth(images, classes, tmp_path):
    """Return the true label where it is known."""
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
    np.testing.assert_array_equal(shortcuts.known_labels(table.assign(true_label=7)), 7)


@given(images=st.lists(slice_images(min_side=8, max_side=40), min_size=2, max_size=6),
       classes=st.integers(1, 3))
@THIRD_OF_EXAMPLES
def test_shortcut_accuracies_lie_between_zero_and_one(images, classes, tmp_path):
    """Return accuracies in [0, 1], or refuse a single class."""
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
    features = shortcuts.shortcut_features(table, measured)
    accuracies = accepted(shortcuts.shortcut_accuracies, table, {"size": features["file size"]}, 3,
                          20, refuses=(ValueError,))
    assert (accuracies is None) == (len(set(table["label"][table["split"] == "train"])) < 2)
    if accuracies is not None:
        assert accuracies["accuracy"].between(0, 1).all()
