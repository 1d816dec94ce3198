"""Properties of brainclust.runs.export."""

import json
from copy import copy
from types import SimpleNamespace

import cv2
import numpy as np
import torch
from examples import small_predictor
from hypothesis import given, strategies as st
from strategies import FIFTH_OF_EXAMPLES, slice_images

from brainclust.runs import export, exported_network


@FIFTH_OF_EXAMPLES
@given(slices=st.lists(slice_images(), min_size=1, max_size=3))
def test_an_exported_network_predicts_like_the_run(slices):
    """Differ from the run by at most the tolerance."""
    predictor = small_predictor()
    run_settings = predictor.description
    module = exported_network.ExportedNetwork(
        predictor.network.module, predictor.mixture, run_settings["mean"], run_settings["std"],
        run_settings["flip_tta"], predictor.record["temperature"],
        predictor.record["thresholds"]).eval()

    def run(names, fed):
        with torch.no_grad():
            return [part.numpy() for part in module(torch.from_numpy(np.array(fed["slices"])))]

    exported = export.ExportedRun(
        SimpleNamespace(run=run),
        {"classes": list(predictor.classes_), "image_size": 32, "preparation": predictor.settings},
    )
    prepared = exported.prepare(slices)
    found = exported.outputs(prepared, batch_size=2)
    expected = predictor.outputs(prepared)
    distances = export.differences(found, expected, predictor.record["temperature"],
                                   predictor.record["thresholds"])
    assert list(distances) == list(exported_network.OUTPUTS)
    assert max(distances.values()) <= export.TOLERANCE


@FIFTH_OF_EXAMPLES
@given(slices=st.lists(slice_images(), min_size=1, max_size=3))
def test_estimator_methods_of_an_export_agree_with_the_run(slices):
    """Return the run's predictions through predict, predict_proba and transform."""
    predictor = small_predictor()
    module = export.network_of_run(predictor).eval()

    def run(names, fed):
        with torch.no_grad():
            return [part.numpy() for part in module(torch.from_numpy(np.array(fed["slices"])))]

    exported = export.ExportedRun(
        SimpleNamespace(run=run),
        {"classes": list(predictor.classes_), "image_size": 32, "preparation": predictor.settings},
    )
    prepared = exported.prepare(slices)
    expected = predictor.outputs(prepared)
    assert (exported.predict(slices) == predictor.predict(slices)).all()
    assert np.allclose(exported.predict_proba(slices), expected["probabilities"], atol=1e-4)
    assert exported.transform(slices).shape == expected["embeddings"].shape


def test_an_export_is_described_as_json():
    """Describe an export as JSON, with slices to check it."""
    predictor = small_predictor()
    assert json.dumps(export.describe_export(predictor))
    assert export.check_slices(predictor).shape == (11, 32, 32)


def test_an_exported_run_cuts_slices_to_the_head():
    """Prepare slices with the crop of the metadata; a file from before it cuts nothing."""
    image = cv2.circle(np.zeros((90, 120), np.uint8), (60, 50), 18, 120, -1)
    described = {"classes": ["a", "b"], "image_size": 32}
    prepared = [export.ExportedRun(None, described | {"preparation": settings}).prepare([image])
                for settings in ({"image_size": 32, "skull_strip": "none", "crop": "head"},
                                 {"image_size": 32, "skull_strip": "none"})]
    filled = [(one > 0).sum() for one in prepared]
    assert filled[0] > 2 * filled[1]


def test_sets_of_folds_are_those_of_scaled_probabilities():
    """Compare thresholds that folds gave with scaled probabilities, in the run and its export."""
    predictor = copy(small_predictor())
    assert predictor.record["folds"] == 0
    prepared = predictor.prepare(list(np.random.default_rng(0).integers(
        0, 256, (6, 40, 40), dtype=np.uint8)))
    limits = np.quantile(predictor.outputs(prepared)["probabilities"], .5, axis=0)
    predictor.record = predictor.record | {
        "folds": 3, "temperature": 3.0, "thresholds": list(map(float, limits))}
    expected = predictor.outputs(prepared)
    assert (expected["sets"] == (expected["probabilities"] >= limits)).all()
    with torch.no_grad():
        found = export.network_of_run(predictor).eval()(torch.from_numpy(prepared[:, None]))
    assert np.array_equal(found[2].numpy(), expected["sets"])
    assert export.describe_export(predictor)["scaled_sets"]
