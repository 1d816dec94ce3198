"""A run becomes one ONNX file with the same outputs, or no file."""
import shutil
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from commands import export_command

from brainclust.core.config import make_config
from brainclust.core.files import load_arrays, load_json, save_json, save_tensors
from brainclust.models.encoders import make_network
from brainclust.models.mixture import fit_mixture
from brainclust.runs.export import (
    TOLERANCE,
    check_agreement,
    export_run,
    load_exported,
)
from brainclust.runs.exported_network import OUTPUTS
from brainclust.runs.ood import Calibration, save_reference
from brainclust.runs.predictor import Predictor
from brainclust.training.batches import embed_slices
from brainclust.training.distributed import make_fabric
from brainclust.training.saved_model import save_model


def make_run(folder, data, preset, encoder, temperature=None, thresholds=None):
    """A run of 32 pixels with everything that an export needs, which has learnt nothing but the
    statistics of its slices.
    """
    data = replace(data, images=data.images[:, :, ::2, ::2].contiguous())
    config = make_config(preset, image_size=32, encoder=encoder, device="cpu")
    fabric = make_fabric(torch.device("cpu"), "32-true")
    network = make_network(encoder, 4, 32, seed=0)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # one pass is enough
    with torch.no_grad():
        network.train()((data.images.float() / 255 - data.mean) / data.std)
    embeddings, _ = embed_slices(fabric, network, data, flip_tta=config.flip_tta)
    mixture = fit_mixture(embeddings[data.train], 4, l2_normalise=config.l2_normalise)
    tensors = {"responsibilities": mixture.responsibilities(embeddings[data.train]),
               **{f"mixture.{name}": value for name, value in vars(mixture).items()}}
    state = SimpleNamespace(
        network=network, result=network,
        tensors={name: torch.from_numpy(value) for name, value in tensors.items()})
    save_model(folder, state, data, config)
    # no limit of ood_score, which takes seconds and is not exported
    one_group = np.zeros(len(data.images), dtype=int)
    save_reference(
        folder, fabric, network, data, one_group,
        Calibration(temperature, thresholds, flip_tta=config.flip_tta))
    return folder


@pytest.fixture(scope="module")
def small(slices, tmp_path_factory):
    """An autoencoder, which looks at mirror images too and is calibrated, and its file."""
    folder = make_run(tmp_path_factory.mktemp("small"), slices[0], "demo", "autoencoder", 1.4,
                      [0.2, 0.25, 0.3, 0.35])
    assert export_command([str(folder)]) == 0
    return folder


def copied(folder, target, **changes):
    """A copy of a run whose model.json and prediction.json say something else."""
    target.mkdir()
    for name in ("model.json", "model.safetensors", "prediction.json", "prediction.safetensors"):
        shutil.copy(folder / name, target / name)
    for name in ("model.json", "prediction.json"):
        known = load_json(target / name)
        save_json(target / name,
                  {**known, **{key: value for key, value in changes.items() if key in known}})
    return target


def assert_same(folder, file, images):
    """Ask the run and the file about the same slices."""
    exported = load_exported(file)
    predictor = Predictor(folder, "cpu", "32-true")
    prepared = predictor.prepare(images)
    assert (exported.prepare(images) == prepared).all()
    expected, found = predictor.outputs(prepared), exported.outputs(prepared)
    assert [found[name].dtype for name in OUTPUTS] == [np.float32, np.float32, bool, np.float32]
    for name in ("probabilities", "responsibilities"):
        assert np.abs(found[name] - expected[name]).max() <= TOLERANCE
    assert (np.abs(found["embeddings"] - expected["embeddings"]).max()
            <= TOLERANCE * np.abs(expected["embeddings"]).max())
    assert (found["in_set"] != expected["sets"]).mean() < .01
    for batch_size in (1, 5):
        for name, value in exported.outputs(prepared, batch_size).items():
            assert np.allclose(value, found[name], rtol=1e-4, atol=1e-5)
    assert (exported.predict(images) == predictor.predict(images)).mean() > .95
    return exported, found


def test_a_file_says_what_its_run_says(small, slices):
    exported, found = assert_same(small, small / "model.onnx", slices[0].images[:, 0].numpy())
    assert exported.description["flip_tta"] and exported.description["named"]
    assert exported.description["temperature"] == 1.4 and exported.description["thresholds"] == [
        0.2, 0.25, 0.3, 0.35]
    assert 0 < found["in_set"].mean() < 1
    # no data beside
    assert sorted(path.suffix for path in small.glob("model*")) == [
        ".json", ".onnx", ".safetensors"]


def test_a_resnet_without_mirror_labels_temperature_and_thresholds(slices, tmp_path):
    run = copied(
        make_run(tmp_path, slices[0], "paper", "resnet18"), tmp_path / "run", cluster_classes=None)
    table = export_run(run, tmp_path / "elsewhere" / "any.onnx")
    assert list(table.index) == list(OUTPUTS) and (table <= TOLERANCE).all(axis=None)
    exported, found = assert_same(
        run, tmp_path / "elsewhere" / "any.onnx", slices[0].images[:, 0].numpy())
    assert found["in_set"].all() and not (
        exported.description["named"] or exported.description["flip_tta"])
    assert not (run / "model.onnx").exists()


@pytest.mark.parametrize("name, tensor, changes", [
    ("probabilities", "network.head.bias", {}),
    ("embeddings", "network.encoder.linear.bias", {}),
    ("responsibilities", "mixture.reduced_means", {}),
    ("in_set", None, {"thresholds": [.2, .25, .3, .2]})])
def test_a_file_that_says_something_else_is_not_kept(
    small,
    tmp_path,
    monkeypatch,
    name,
    tensor,
    changes,
):
    run = copied(small, tmp_path / "run", **changes)
    if tensor:
        tensors = load_arrays(run / "model.safetensors")
        tensors[tensor] = tensors[tensor] + np.linspace(
            0, 0.1 if tensor.startswith("network") else 5, tensors[tensor].size,
            dtype=tensors[tensor].dtype).reshape(tensors[tensor].shape)
        save_tensors(run / "model.safetensors", tensors)
    (run / "model.onnx").write_text("of before")
    before = sorted(run.iterdir())
    monkeypatch.setattr("brainclust.runs.export.write_onnx",
                        lambda module, description, file: shutil.copy(small / "model.onnx", file))
    with pytest.raises(ValueError, match=f"must be those of the run; .*{name} differ by"):
        export_run(run)
    assert sorted(run.iterdir()) == before and (run / "model.onnx").read_text() == "of before"


def test_what_is_not_a_number_is_no_agreement(small):
    predictor = Predictor(small, "cpu", "32-true")
    with torch.no_grad():
        predictor.network.module.head.bias.fill_(float("nan"))
    with pytest.raises(ValueError, match="probabilities differ by nan"):
        check_agreement(small / "model.onnx", predictor)


def test_one_sentence_for_what_cannot_be_used(small, tmp_path, monkeypatch, capsys):
    for arguments, words in (([str(tmp_path)], "holds no model.json"),
                             ([str(small), "--out", str(tmp_path)], "is a folder")):
        assert export_command(arguments) == 2
        message = capsys.readouterr().err.strip()
        assert message.startswith("brainclust export: ") and words in message
        assert message.count("\n") == 0
    assert list(tmp_path.iterdir()) == []
    from onnx import TensorProto, helper, save_model as save_onnx
    other = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])], "other",
        *([helper.make_tensor_value_info(name, TensorProto.FLOAT, [1])] for name in "xy"))
    save_onnx(helper.make_model(other, opset_imports=[helper.make_opsetid("", 20)], ir_version=10),
              tmp_path / "other.onnx")
    for file, words in ((tmp_path / "other.onnx", "another program"),
                        (small / "model.json", "cannot be read"),
                        (tmp_path / "absent.onnx", "is missing")):
        with pytest.raises(ValueError, match=words):
            load_exported(file)
    for missing in ("onnx", "onnxscript", "onnxruntime"):
        with monkeypatch.context() as changed:
            changed.setitem(sys.modules, missing, None)
            assert export_command([str(small), "--out", str(tmp_path / "model.onnx")]) == 2
        message = capsys.readouterr().err.strip()
        assert (f'{missing} cannot be imported' in message
                and 'pip install "brainclust[export]"' in message and message.count("\n") == 0)
    assert not (tmp_path / "model.onnx").exists()
