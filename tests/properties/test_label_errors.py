"""Properties of brainclust.analysis.label_errors."""

import numpy as np
import pandas as pd
from assertions import accepted
from hypothesis import given, strategies as st
from PIL import Image
from strategies import THIRD_OF_EXAMPLES, slice_images

from brainclust.analysis import label_errors


@given(images=st.lists(slice_images(min_side=8, max_side=40), min_size=2, max_size=6),
       classes=st.integers(1, 3))
@THIRD_OF_EXAMPLES
def test_edge_features_have_their_shape(images, classes, tmp_path):
    """Describe every file by 512 edge features."""
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
    assert label_errors.edge_features(table["path"]).shape == (n, 512)


@given(labels=st.sampled_from(["two", "missing", "one class", "none", "few groups"]),
       kind=st.sampled_from(["noise", "constant", "nan", "strided"]))
@THIRD_OF_EXAMPLES
def test_label_errors_rank_every_labelled_slice(labels, kind):
    """Rank every labelled slice by its quality, or refuse labels that do not suffice."""
    n = 40
    x = np.random.default_rng(0).normal(size=(n, 6))
    if kind == "constant":
        x[:] = 3
    if kind == "nan":
        x[4, 3] = np.nan
    if kind == "strided":
        x = np.repeat(x, 2, axis=1)[:, ::2]
    ids = {"two": np.arange(n) % 2, "missing": np.arange(n) % 3 - 1,
                 "one class": np.zeros(n, int), "none": np.full(n, -1),
                 "few groups": np.arange(n) % 2}[labels]
    groups = np.array([f"g{i % 4 if labels == 'few groups' else i}" for i in range(n)])
    found = accepted(label_errors.label_errors, x, ids, groups, refuses=(ValueError,))
    assert (found is None) == (labels in ("one class", "none", "few groups") or kind == "nan")
    if found is None: return
    assert len(found) == (ids >= 0).sum()
    assert sorted(found["row"]) == list(np.flatnonzero(ids >= 0))
    assert found["quality"].is_monotonic_increasing
    assert found["probability"].between(0, 1).all()
    assert list(found["rank"]) == list(range(1, len(found) + 1))


@given(labels=st.sampled_from(["two", "missing", "one class", "none", "few groups"]),
       kind=st.sampled_from(["noise", "constant", "nan", "strided"]))
@THIRD_OF_EXAMPLES
def test_held_out_probabilities_sum_to_one(labels, kind):
    """Sum held-out probabilities to one."""
    n = 40
    x = np.random.default_rng(0).normal(size=(n, 6))
    if kind == "constant":
        x[:] = 3
    if kind == "nan":
        x[4, 3] = np.nan
    if kind == "strided":
        x = np.repeat(x, 2, axis=1)[:, ::2]
    ids = {"two": np.arange(n) % 2, "missing": np.arange(n) % 3 - 1,
                 "one class": np.zeros(n, int), "none": np.full(n, -1),
                 "few groups": np.arange(n) % 2}[labels]
    groups = np.array([f"g{i % 4 if labels == 'few groups' else i}" for i in range(n)])
    if labels == "two":
        p = label_errors.held_out_probabilities(x, ids, groups)
        np.testing.assert_allclose(p.sum(axis=1), 1)
