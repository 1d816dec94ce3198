"""Properties of brainclust.training.saved_model."""

import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from assertions import sum_to_one
from examples import EDGE_CASES, FABRIC, small_predictor, tiny_config

from brainclust.core.files import load_json, save_json
from brainclust.models import encoders
from brainclust.runs.predictor import Predictor
from brainclust.training import batches as batches_module, saved_model, self_training


@pytest.mark.parametrize("edge", ["nothing special", "one cluster", "no labels"])
def test_saved_models_of_edge_cases_predict_probabilities(small_data, tmp_path, edge):
    """Load the saved model of an edge case, which predicts probabilities."""
    data, changes = EDGE_CASES[edge](small_data)
    made = replace(tiny_config(), **changes)
    state = self_training.train_jointly(FABRIC, encoders.make_network("autoencoder", 4, 32), data,
                                        made, tmp_path / "joint")
    saved_model.save_model(tmp_path, state, data, made)
    network, mixture, description = saved_model.load_model(tmp_path)
    embeddings, head = batches_module.embed_slices(FABRIC, FABRIC.setup_module(network), data)
    assert sum_to_one(head)
    assert sum_to_one(mixture.responsibilities(embeddings))
    assert mixture.responsibilities(embeddings).shape == (30, made.n_clusters)
    assert (description["cluster_classes"] is None) == (not len(data.labelled))


def test_a_lesion_map_is_saved_and_found_again(small_data, tmp_path):
    """Load the map with its weights; a model from before the setting has none."""
    network = encoders.make_network("autoencoder", 4, 32, lesion_map=True)
    state = self_training.train_jointly(FABRIC, network, small_data, tiny_config(epochs=1),
                                        tmp_path / "joint")
    saved_model.save_model(tmp_path, state, small_data, tiny_config())
    loaded, _, description = saved_model.load_model(tmp_path)
    assert description["lesion_map"]
    for name, value in state.result.lesion_map.state_dict().items():
        assert torch.equal(loaded.lesion_map.state_dict()[name], value)
    written = load_json(small_predictor().folder / "model.json")
    assert written.pop("lesion_map") is False
    save_json(tmp_path / "model.json", written)
    assert saved_model.read_description(tmp_path / "model.json")["lesion_map"] is False


def test_a_model_from_before_the_crop_cuts_nothing(tmp_path):
    """Read a model.json without the setting as "none"."""
    run = shutil.copytree(small_predictor().folder, tmp_path / "run")
    written = load_json(run / "model.json")
    assert written.pop("crop") == "none"
    save_json(run / "model.json", written)
    assert saved_model.read_description(run / "model.json")["crop"] == "none"
    image = cv2.circle(np.zeros((100, 90), np.uint8), (40, 50), 16, 120, -1)
    prepared = Predictor(run, "cpu", "32-true").prepare([image])
    np.testing.assert_array_equal(prepared, small_predictor().prepare([image]))
    save_json(run / "model.json", written | {"crop": "head"})
    cropped = Predictor(run, "cpu", "32-true").prepare([image])
    assert (cropped > 0).sum() > 2 * (prepared > 0).sum()
