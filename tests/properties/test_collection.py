"""Properties of brainclust.app.collection."""

import numpy as np
import pandas as pd
from hypothesis import given, strategies as st
from strategies import THIRD_OF_EXAMPLES, points, slice_stacks

from brainclust.app import collection
from brainclust.core.files import save_table


class StubPredictor:
    """Predict as a run does, from the slices' mean grey."""

    classes_ = ["a", "notumor"]
    description = {"cluster_classes": [0, 1, 1]}
    mixture = type("Mixture", (), {"weights": [1, 1, 1]})

    def outputs(self, images):
        return {"embeddings": images.reshape(len(images), -1)[:, :4].astype(np.float32),
                "sets": np.zeros((len(images), 2), bool),
                "cluster": images.mean((1, 2)).astype(int) % 3}

    def describe(self, outputs):
        return pd.DataFrame({"class": "a", "abstain": False, "cluster": outputs["cluster"],
                             "ood_score": 0.0, "in_distribution": True, "more": 1})


@given(images=slice_stacks(max_slices=12, side=8), block=st.integers(1, 5))
@THIRD_OF_EXAMPLES
def test_judged_slices_do_not_depend_on_the_block(images, block):
    """Judge slices in blocks as all at once, in compact types."""
    found = collection.predict_slices(StubPredictor(), images, block)
    for name, values in collection.predict_slices(StubPredictor(), images).items():
        np.testing.assert_array_equal(found[name], values)
    assert found["embeddings"].dtype == np.float16
    assert found["sets"].dtype == np.uint8


@given(images=slice_stacks(max_slices=12, side=8), block=st.integers(1, 5),
       labels=st.sampled_from(["missing", "one class", "some"]),
       group=st.sampled_from(["", "p", "own"]))
@THIRD_OF_EXAMPLES
def test_a_collection_holds_every_slice(images, block, labels, group):
    """Hold every slice and name every cluster."""
    n = len(images)
    found = collection.predict_slices(StubPredictor(), images, block)
    table = pd.DataFrame(
        {
            "path": [f"{i}.png" for i in range(n)],
            "label": {"missing": -1, "one class": 0, "some": np.arange(n) % 3 - 1}[labels],
            "plane": "",
            "source": "<b>",
            "group": [f"p{i}" if group == "own" else group for i in range(n)],
        }
    ).join(collection.describe(StubPredictor(), found))
    whole = collection.Collection(table, images, found, pd.DataFrame())
    assert len(whole) == n
    assert len(collection.cluster_names(StubPredictor())) == 3


@given(images=slice_stacks(max_slices=12, side=8), block=st.integers(1, 5),
       labels=st.sampled_from(["missing", "one class", "some"]),
       group=st.sampled_from(["", "p", "own"]))
@THIRD_OF_EXAMPLES
def test_typical_slices_are_of_their_cluster(images, block, labels, group):
    """Choose at most six slices of a cluster, one per group."""
    n = len(images)
    found = collection.predict_slices(StubPredictor(), images, block)
    table = pd.DataFrame(
        {
            "path": [f"{i}.png" for i in range(n)],
            "label": {"missing": -1, "one class": 0, "some": np.arange(n) % 3 - 1}[labels],
            "plane": "",
            "source": "<b>",
            "group": [f"p{i}" if group == "own" else group for i in range(n)],
        }
    ).join(collection.describe(StubPredictor(), found))
    whole = collection.Collection(table, images, found, pd.DataFrame())
    for cluster in range(4):
        rows = collection.typical_slices(whole, cluster)
        assert len(set(rows)) == len(rows) <= 6
        assert (table["cluster"][rows] == cluster).all()
        assert not (group == "p" and len(rows) > 1)


@given(images=slice_stacks(max_slices=12, side=8), block=st.integers(1, 5),
       labels=st.sampled_from(["missing", "one class", "some"]),
       group=st.sampled_from(["", "p", "own"]))
@THIRD_OF_EXAMPLES
def test_a_cluster_card_counts_every_slice(images, block, labels, group):
    """Count every slice of a cluster by label and by plane."""
    n = len(images)
    found = collection.predict_slices(StubPredictor(), images, block)
    table = pd.DataFrame(
        {
            "path": [f"{i}.png" for i in range(n)],
            "label": {"missing": -1, "one class": 0, "some": np.arange(n) % 3 - 1}[labels],
            "plane": "",
            "source": "<b>",
            "group": [f"p{i}" if group == "own" else group for i in range(n)],
        }
    ).join(collection.describe(StubPredictor(), found))
    whole = collection.Collection(table, images, found, pd.DataFrame())
    for cluster in range(4):
        card = collection.cluster_card(whole, cluster, ["a", "notumor"])
        assert (card["slices"] == (table["cluster"] == cluster).sum()
                == sum(card["labels"].values()) == sum(card["planes"].values()))


@given(x=points(min_points=1, max_points=12).filter(lambda x: x.shape[1] > 1)
       | st.just(np.zeros((0, 3), np.float32)), max_slices=st.integers(0, 12))
@THIRD_OF_EXAMPLES
def test_mapped_slices_lie_in_the_unit_square(x, max_slices):
    """Place at most the asked number of slices in the unit square."""
    places = collection.map_slices(x, max_slices)
    shown = np.isfinite(places).all(axis=1)
    assert places.shape == (len(x), 2)
    assert places.dtype == np.float32
    assert shown.sum() == (min(len(x), max_slices) if min(len(x), max_slices) >= 4 else 0)
    assert 0 <= places[shown].min(initial=0)
    assert places[shown].max(initial=1) <= 1


def test_slices_of_a_run_keep_hidden_labels_hidden(tmp_path):
    """Return the slices of a run with hidden labels."""
    table = pd.DataFrame({"path": [str(tmp_path / "gone.png")], "sha256": ["00"], "label": [-1],
                          "true_label": [0], "split": ["train"], "plane": [""]})
    save_table(tmp_path / "scans.parquet", table)
    (tmp_path / "gone.png").touch()
    scans, pairs = collection.slices_of_run(tmp_path)
    assert list(scans) == collection.SLICE_COLUMNS
    assert len(pairs) == 0
    assert scans["label"][0] == -1
