"""Properties of brainclust.models.timm_encoders."""

import sys
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
import torch
from assertions import refused, sum_to_one
from examples import CPU, FABRIC, tiny_config
from hypothesis import given, settings, strategies as st
from strategies import seeds

from brainclust.analysis import explanation
from brainclust.core import config, untrusted
from brainclust.core.files import file_digest, load_json, save_json
from brainclust.core.runtime import choose_precision
from brainclust.models import encoders, timm_encoders
from brainclust.runs import export, exported_network, ood
from brainclust.runs.predictor import Predictor
from brainclust.training import (
    batches,
    launch,
    saved_model,
    self_training,
    synthetic_pretraining,
)

timm = pytest.importorskip("timm")
SMALL = ["test_efficientnet", "resnet10t", "mobilenetv3_small_050"]
ENCODER = "timm:test_efficientnet"
WHEEL = timm_encoders.Wheel("weights_of_a_test", "weights.pth", "")


def run_settings(**changes) -> config.Config:
    """Return settings of a run of seconds with a network of timm."""
    return tiny_config(**{"encoder": ENCODER, "epochs": 2, "frozen_stages": 2} | changes)


def three_channels(name: str, seed: int) -> torch.nn.Module:
    """Return a network of timm with random weights and statistics, as a file of weights has."""
    torch.manual_seed(seed)
    network = timm.create_model(name)
    for weights in network.state_dict().values():
        if weights.is_floating_point() and weights.dim() == 1:
            weights.copy_(torch.rand_like(weights) + 0.5)
    return network.eval()


def shapes_of(encoder: timm_encoders.TimmEncoder) -> dict[str, torch.Size]:
    """Return the shapes of a network's tensors."""
    return {name: value.shape for name, value in encoder.network.state_dict().items()}


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """Return a function that installs tensors as a wheel with weights and returns its entry."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    folder = tmp_path / WHEEL.package
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('is imported')")

    def install(content) -> timm_encoders.Wheel:
        torch.save(content, folder / "models" / WHEEL.file)
        entry = WHEEL._replace(sha256=file_digest(folder / "models" / WHEEL.file))
        monkeypatch.setitem(timm_encoders.WHEELS, "test_efficientnet", entry)
        return entry
    return install


@pytest.fixture(scope="module")
def finished(small_data, tmp_path_factory):
    """Train, save and describe a run of a network of timm with frozen stages."""
    folder = tmp_path_factory.mktemp("timm")
    made = run_settings()
    network = synthetic_pretraining.initial_network(made)
    state = self_training.train_jointly(FABRIC, network, small_data, made, folder / "joint")
    saved_model.save_model(folder, state, small_data, made)
    ood.save_reference(folder, FABRIC, state.network, small_data, np.arange(30), ood.Calibration())
    return folder, state


@pytest.mark.parametrize("name", SMALL)
def test_one_channel_equals_three_equal_channels(name):
    """Embed a slice as the network for three channels embeds three equal ones."""
    three = three_channels(name, 1)
    three.reset_classifier(0)
    encoder = timm_encoders.TimmEncoder(name).eval()
    encoder.network.load_state_dict(
        timm_encoders.one_channel(three.state_dict(), shapes_of(encoder)))
    x = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        theirs = three(x.expand(-1, 3, -1, -1))
        found = encoder.embed(x)
    assert found.shape == (2, encoder.dimensions)
    assert torch.allclose(found, theirs, rtol=1e-3, atol=1e-4 * float(theirs.abs().max()))


@pytest.mark.parametrize("name", SMALL)
def test_networks_have_the_interface_of_the_other_encoders(name):
    """Return maps of an eighth, a sixteenth and a 32nd, and the embedding of the last."""
    network = encoders.make_network(timm_encoders.find_encoder(f"timm:{name}"), 3, 64,
                                    decoder=True, lesion_map=True).eval()
    x = torch.randn(3, 1, 64, 64)
    with torch.no_grad():
        stages = network.encoder.stages(x)
        outputs = network(x, reconstruct=True, locate=True)
        embedding = network(x)[0]
    assert [tuple(s.shape[1:]) for s in stages] == [
        (channels, side, side) for channels, side in zip(network.encoder.channels, (8, 4, 2))]
    assert torch.allclose(outputs.embedding, embedding, atol=1e-5)
    assert outputs.lesions.shape == (3, 4, 8, 8)
    assert outputs.reconstruction.shape == x.shape
    assert len(ood.described_blocks(network.encoder)) >= 4


@settings(max_examples=5)
@given(seed=seeds(), stages=st.integers(1, 5), kind=st.sampled_from([ENCODER, "resnet18"]))
def test_frozen_stages_keep_weights_and_statistics(seed, stages, kind):
    """Change nothing before and within the frozen stages, and all that follows."""
    network = encoders.make_network(timm_encoders.find_encoder(kind), 3, 32, seed=seed)
    encoder = network.encoder
    stages = min(stages, len(encoder.stage_modules()) - 1)
    encoder.freeze(stages)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.AdamW(network.parameters(), 0.01, weight_decay=0.1)
    x = torch.randn(4, 1, 32, 32, generator=torch.Generator().manual_seed(seed))
    network.eval().train()(x).logits.square().mean().backward()
    optimizer.step()
    after = network.state_dict()
    names = {module: name for name, module in network.named_modules()}
    for number, modules in enumerate(encoder.stage_modules()):
        own = [f"{names[m]}.{name}" for m in modules for name in m.state_dict() if "." not in name]
        kept = [torch.equal(after[name], before[name]) for name in own]
        assert all(kept) if number <= stages else not all(kept)
    assert not torch.equal(after["head.weight"], before["head.weight"])
    encoder.freeze(0)
    assert encoder.train().training
    assert all(module.training for module in encoder.modules())
    assert all(parameter.requires_grad for parameter in encoder.parameters())


def test_too_many_frozen_stages_are_refused():
    """Tell how many stages the encoder has."""
    assert "frozen_stages must be at most 5" in refused(
        synthetic_pretraining.initial_network, run_settings(frozen_stages=9))
    assert "needs encoder='resnet18' or a network" in refused(
        run_settings, encoder="autoencoder", frozen_stages=1)


def test_a_run_of_timm_is_saved_and_predicts(finished, small_data):
    """Load the run as it was trained, predict and explain; the frozen stages are as at first."""
    folder, state = finished
    predictor = Predictor(folder, "cpu")
    assert predictor.description["encoder"] == ENCODER
    for name, value in state.network.state_dict().items():
        assert torch.equal(predictor.network.module.state_dict()[name], value)
    first = synthetic_pretraining.initial_network(run_settings()).state_dict()
    assert torch.equal(first["encoder.network.bn1.running_mean"],
                       state.network.state_dict()["encoder.network.bn1.running_mean"])
    outputs = predictor.outputs(small_data.images[:4, 0].numpy())
    assert sum_to_one(outputs["probabilities"])
    x = torch.randn(2, 1, 32, 32)
    network = predictor.network.module.cpu()
    maps = explanation.grad_cam(network, x, [0, 1], views="one")
    assert maps.shape == (2, 32, 32)
    assert np.isfinite(maps).all()
    names = dict(network.named_modules())
    assert {*explanation.default_layers(network)} < {*explanation.candidate_layers(network)}
    assert {*explanation.candidate_layers(network)} <= names.keys()


def test_an_exported_run_of_timm_predicts_like_the_run(finished, small_data, tmp_path):
    """Write the graph, and get the outputs of PyTorch from onnxruntime."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    predictor = Predictor(finished[0], "cpu", "32-true")
    exported_network.write_onnx(export.network_of_run(predictor),
                                export.describe_export(predictor), tmp_path / "model.onnx")
    exported = export.load_exported(tmp_path / "model.onnx")
    slices = small_data.images[:3, 0].numpy()
    distances = export.differences(exported.outputs(slices), predictor.outputs(slices))
    assert max(distances.values()) <= export.TOLERANCE


def test_a_resumed_run_of_timm_equals_an_uninterrupted_one(finished, small_data, tmp_path):
    """Stop after the first epoch, go on, and end with the same weights."""
    _, state = finished

    def stop(name, row):
        raise KeyboardInterrupt
    for on_epoch in (stop, lambda name, row: None):
        network = synthetic_pretraining.initial_network(run_settings())
        try:
            self_training.train_jointly(
                FABRIC, network, small_data, run_settings(), tmp_path, on_epoch)
        except KeyboardInterrupt:
            assert load_json(tmp_path / "state.json")["epoch"] == 1
    for name, value in state.network.state_dict().items():
        assert torch.equal(network.state_dict()[name], value)


def test_other_processes_freeze_the_same_stages(small_data, tmp_path):
    """Build the network of a job with its frozen stages."""
    made = run_settings()
    np.save(tmp_path / "images.npy", small_data.images.numpy())
    network = synthetic_pretraining.initial_network(made)
    job = launch.write_job(tmp_path, "joint training", network, small_data, made,
                           tmp_path / "images.npy")
    read = launch.read_job(job, CPU)[1]
    assert read.encoder.frozen_stages == 2
    assert [p.requires_grad for p in read.parameters()] == [
        p.requires_grad for p in network.parameters()]


def test_weights_of_a_wheel_are_matched_by_order(wheel):
    """Load tensors under other names, without importing the package that holds them."""
    three = three_channels("test_efficientnet", 2)
    values = three.state_dict().values()
    wheel({f"features.{number}": value for number, value in enumerate(values)})
    made = run_settings(init="imagenet", image_size=64)
    encoder = synthetic_pretraining.initial_network(made).encoder.eval()
    three.reset_classifier(0)
    std = torch.tensor(three.pretrained_cfg["std"])
    ratio = (torch.tensor(timm_encoders.IMAGENET_STD) / std)[:, None, None]
    x = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        assert torch.allclose(encoder.embed(x), three(x * ratio), rtol=1e-3, atol=1e-3)


def test_damaged_wheels_are_refused(wheel):
    """Refuse other bytes, other shapes, fewer tensors, something else, and a missing package."""
    state = three_channels("test_efficientnet", 3).state_dict()
    load = timm_encoders.load_timm_weights
    encoder = timm_encoders.TimmEncoder("test_efficientnet")
    names = list(shapes_of(encoder))
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    wheel({**state, names[-1]: torch.zeros(3)})
    assert "got others for" in refused(load, encoder)
    wheel(dict(list(state.items())[:-1]))
    assert "tensors and a classifier" in refused(load, encoder)
    for other in ([1, 2], {"a": 1}, {}):
        wheel(other)
        assert "Install the wheel again" in refused(load, encoder)
    entry = wheel(state)
    file = timm_encoders.wheel_file(entry)
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    assert "must have the SHA-256" in refused(load, encoder)
    file.unlink()
    assert "must have the SHA-256" in refused(timm_encoders.wheel_file, entry)
    assert 'pip install "brainclust[imagenet]"' in refused(
        timm_encoders.wheel_file, WHEEL._replace(package="not_installed"), kinds=(ImportError,))
    file.write_bytes(b"no weights")
    assert "must hold the weights" in refused(timm_encoders.wheel_weights, file, names)
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, before[name])


def test_known_wheels_are_those_of_timm():
    """Name networks of timm, whose first kernel has three rows, by a whole SHA-256."""
    for name, entry in timm_encoders.WHEELS.items():
        assert untrusted.encoder_name(f"timm:{name}")
        assert len(bytes.fromhex(entry.sha256)) == 32
        assert timm_encoders.has_depthwise(f"timm:{name}")


def test_weights_of_a_hub_need_a_network():
    """Name the alternatives without a network, and refuse networks without weights."""
    with patch("timm.create_model", side_effect=OSError("no route\nto host")):
        assert "Use init='random'" in refused(
            timm_encoders.hub_weights, "resnet18", kinds=(ConnectionError,))
    with patch("timm.create_model", side_effect=RuntimeError("No pretrained weights exist")):
        assert "another network" in refused(timm_encoders.hub_weights, "resnet18")
    state = timm.create_model("test_efficientnet", num_classes=0).state_dict()
    with patch.object(timm_encoders, "hub_weights", return_value=state):
        timm_encoders.load_timm_weights(timm_encoders.TimmEncoder("test_efficientnet"))


@pytest.mark.parametrize(("name", "near"), [
    ("timm:resnet81", "timm:resnet"), ("timm:mobilnetv3_smal_100", "timm:mobilenetv3_small_100"),
    ("timm:zzz", "timm:resnet18"), ("timm:hf-hub:someone/network", "timm:resnet18"),
    ("timm:resnet18.unknown", "timm:resnet18"), ("vgg", "resnet18, autoencoder")])
def test_unknown_networks_get_the_nearest_names(name, near):
    """Refuse a name that timm does not list, in a config and in a model's description."""
    assert near in refused(config.make_config, encoder=name)
    assert near in refused(untrusted.encoder_name, name)


def test_names_are_looked_up_only_where_timm_is_installed(monkeypatch):
    """Accept any plain name without timm, and tell how to install it when it is needed."""
    monkeypatch.setattr(untrusted, "find_spec", lambda name: None)
    assert untrusted.encoder_name("timm:resnet81") == "timm:resnet81"
    assert "or a network of timm" in refused(untrusted.encoder_name, "timm:../weights")
    monkeypatch.setitem(sys.modules, "timm", None)
    assert 'pip install "brainclust[timm]"' in refused(
        timm_encoders.import_timm, kinds=(ImportError,))


def test_a_description_cannot_name_a_huge_or_foreign_network(finished, tmp_path, monkeypatch):
    """Refuse transformers, networks of too many weights, and addresses in a description."""
    assert "convolutional network" in refused(timm_encoders.TimmEncoder, "test_vit")
    monkeypatch.setattr(timm_encoders, "MAX_WEIGHTS", 1000)
    assert "at most 1,000 weights" in refused(timm_encoders.TimmEncoder, "test_efficientnet")
    description = load_json(finished[0] / "model.json")
    save_json(tmp_path / "model.json", description | {"encoder": "timm:local-dir:/tmp/network"})
    assert "is damaged" in refused(saved_model.read_description, tmp_path / "model.json")


def test_depthwise_networks_train_in_float32_on_a_cpu():
    """Choose the precision by the network's outline, which has no weights in memory."""
    outline = timm_encoders.network_outline("test_efficientnet")
    made = timm_encoders.TimmEncoder("test_efficientnet")
    assert outline.weights == sum(p.numel() for p in made.parameters())
    assert timm_encoders.has_depthwise(ENCODER)
    assert not timm_encoders.has_depthwise("timm:resnet18")
    assert not timm_encoders.has_depthwise("autoencoder")
    assert choose_precision(CPU, "auto", depthwise=True) == "32-true"
    assert choose_precision(CPU, "bf16-mixed", depthwise=True) == "bf16-mixed"


def test_embeddings_of_timm_do_not_depend_on_the_batch(finished, small_data):
    """Embed slices together as one by one."""
    network = saved_model.load_model(finished[0])[0]
    few = replace(small_data, images=small_data.images[:3], labels=small_data.labels[:3],
                  truth=small_data.truth[:3], train=np.arange(3), test=np.arange(0))
    wrapped = FABRIC.setup_module(network)
    together, alone = (batches.embed_slices(FABRIC, wrapped, few, size)[0] for size in (3, 1))
    assert np.allclose(together, alone, atol=1e-4 * (1 + abs(alone).max()))
