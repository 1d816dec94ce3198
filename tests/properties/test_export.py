"""Properties of brainclust.runs.export."""

import json
from types import SimpleNamespace

import numpy as np
import torch
from examples import small_predictor
from hypothesis import given, strategies as st
from strategies import FIFTH_OF_EXAMPLES, probabilities, seeds, slice_images

from brainclust.models.mixture import e_step
from brainclust.runs import export


@given(p=probabilities(), temperature=st.floats(0.05, 20))
def test_calibrated_outputs_are_probabilities(p, temperature):
    """Return probabilities with the same prediction."""
    x = torch.from_numpy(np.array(p))
    found = export.calibrated(x, temperature)
    assert torch.allclose(found.sum(dim=1), torch.ones(len(p)))
    assert (found.argmax(dim=1) == export.calibrated(x, 1.0).argmax(dim=1)).float().mean() > 0.9


@given(p=probabilities())
def test_calibration_at_temperature_one_normalises(p):
    """Normalise probabilities for a temperature of one."""
    x = torch.from_numpy(np.array(p))
    assert torch.allclose(export.calibrated(x.clamp(min=1e-6), 1.0),
                          x.clamp(min=1e-6) / x.clamp(min=1e-6).sum(dim=1, keepdim=True), atol=1e-5)


@given(p=probabilities(), seed=seeds())
def test_exported_responsibilities_are_those_of_the_mixture(p, seed):
    """Compute the responsibilities of the mixture."""
    rng = np.random.default_rng(seed)
    k = p.shape[1]
    weights = rng.dirichlet(np.ones(k))
    means = rng.normal(size=(k, 3))
    variances = rng.uniform(0.1, 2, (k, 3))
    reduced = rng.normal(size=(5, 3)) * rng.choice([1e-6, 1, 100])
    direct = export.mixture_responsibilities(
        *(torch.from_numpy(part) for part in (reduced, weights, means, variances))
    )
    assert np.allclose(direct, e_step(reduced, weights, means, variances)[0], atol=1e-9)


@given(seed=seeds())
def test_a_quarter_maximum_is_an_adaptive_pooling(seed):
    """Pool as PyTorch's adaptive maximum does."""
    rng = np.random.default_rng(seed)
    side = int(rng.integers(1, 9))
    maps = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(export.QuarterMaximum()(maps), torch.nn.AdaptiveMaxPool2d(2)(maps))


def test_an_exportable_network_has_no_decoder():
    """Remove the decoder from a copy in evaluation mode."""
    predictor = small_predictor()
    bare = export.exportable(predictor.network.module)
    assert bare.decoder is None
    assert not bare.training
    assert predictor.network.module.decoder is not None


@FIFTH_OF_EXAMPLES
@given(slices=st.lists(slice_images(), min_size=1, max_size=3))
def test_an_exported_network_predicts_like_the_run(slices):
    """Differ from the run by at most the tolerance."""
    predictor = small_predictor()
    module = export.ExportedNetwork(predictor.network.module, predictor.mixture,
                                    predictor.description["mean"], predictor.description["std"],
                                    predictor.description["flip_tta"],
                                    predictor.record["temperature"],
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
    assert list(distances) == list(export.OUTPUTS)
    assert max(distances.values()) <= export.TOLERANCE


@FIFTH_OF_EXAMPLES
@given(slices=st.lists(slice_images(), min_size=1, max_size=3))
def test_estimator_methods_of_an_export_agree_with_the_run(slices):
    """Return the run's predictions through predict, predict_proba and transform."""
    predictor = small_predictor()
    module = export.ExportedNetwork(predictor.network.module, predictor.mixture,
                                    predictor.description["mean"], predictor.description["std"],
                                    predictor.description["flip_tta"],
                                    predictor.record["temperature"],
                                    predictor.record["thresholds"]).eval()

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
