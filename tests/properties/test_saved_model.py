"""Properties of brainclust.training.saved_model."""

from dataclasses import replace

import pytest
from assertions import sum_to_one
from examples import EDGE_CASES, FABRIC, tiny_config

from brainclust.models import encoders
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
