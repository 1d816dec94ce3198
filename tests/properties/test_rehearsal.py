"""Properties of brainclust.synthetic.rehearsal and brainclust.training.rehearsal."""
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from examples import FABRIC, tiny_config, tiny_data
from hypothesis import given, strategies as st
from sklearn.metrics import roc_auc_score
from strategies import FIFTH_OF_EXAMPLES, seeds

from brainclust.analysis.lesion_map import lesion_probabilities, lesion_scores
from brainclust.core.config import CLASSES
from brainclust.models.encoders import make_network
from brainclust.models.losses import source_adjustments
from brainclust.synthetic import rehearsal as phantoms
from brainclust.synthetic.phantoms import make_phantoms
from brainclust.synthetic.rendering import TISSUE_INTENSITY, WEIGHTINGS
from brainclust.training import rehearsal
from brainclust.training.batches import Rehearsal, TrainingData, embed_slices
from brainclust.training.loop import Trainer
from brainclust.training.self_training import train_jointly, train_supervised_baseline
from brainclust.training.synthetic_pretraining import initialise

NAMES = st.lists(st.sampled_from([*CLASSES, "tumor", "cyst"]), min_size=2, unique=True)


@given(seed=seeds(), column=st.integers(0, 3))
def test_only_the_tumour_of_a_glioma_is_changed(seed, column):
    """Keep the grey values of every other tissue, and make no value negative."""
    contrast = {name: values[column] for name, values in TISSUE_INTENSITY.items()}
    drawn = phantoms.draw_glioma_contrast(np.random.default_rng(seed), contrast)
    assert {name for name in drawn if drawn[name] != contrast[name]} <= {
        "rim", "necrosis", "oedema"}
    assert all(value >= 0 for value in drawn.values())


@given(seed=seeds(), name=st.sampled_from(CLASSES))
def test_a_contrast_has_a_value_for_every_tissue(seed, name):
    """Draw a known weighting and finite values."""
    drawn = phantoms.draw_rehearsal_contrast(np.random.default_rng(seed), name)
    assert drawn.pop("weighting") in WEIGHTINGS
    assert set(drawn) == set(TISSUE_INTENSITY)
    assert all(np.isfinite(value) for value in drawn.values())


@given(seed=seeds(), quality=st.integers(30, 90))
def test_compression_keeps_the_picture(seed, quality):
    """Lose less at a higher quality, and keep size and type."""
    rng = np.random.default_rng(seed)
    image = cv2.GaussianBlur(rng.integers(0, 256, (40, 56), dtype=np.uint8), (0, 0), 2)
    loss = {}
    for name, one in (("low", quality - 25), ("high", quality + 9)):
        again = phantoms.compress(rng, image, (one, one + 1))
        assert (again.shape, again.dtype) == (image.shape, image.dtype)
        loss[name] = np.abs(again.astype(float) - image).mean()
    assert loss["high"] <= loss["low"] + .1


@FIFTH_OF_EXAMPLES
@given(seed=seeds(), number=st.integers(0, 50))
def test_seed_and_number_decide_the_views(seed, number):
    """Give the same images again, and other images to another number."""
    first, regions = phantoms.rehearsal_views(seed, number, 2, 48)
    again, same = phantoms.rehearsal_views(seed, number, 2, 48)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(regions, same)
    assert first.shape == regions.shape == (2, 48, 48)
    assert (first != phantoms.rehearsal_views(seed, number + 4, 2, 48)[0]).any()
    healthy = phantoms.rehearsal_labels(number + 1, 1)[number] == CLASSES.index("notumor")
    assert (regions == 2).any() != healthy


@given(names=NAMES)
def test_a_phantom_has_the_class_of_its_name(names):
    """Give a phantom its own class, else that of any tumour, else none."""
    found = phantoms.rehearsal_classes(names)
    for name, k in zip(CLASSES, found):
        assert k == -1 or names[k] == name or (names[k] == "tumor" and name != "notumor")
    known = {name if name in names else "tumor" if name != "notumor" else "" for name in CLASSES}
    assert (found.max() < 0) == (len(known & set(names)) < 2)


def test_no_phantom_is_rendered_without_need(tmp_path, monkeypatch):
    """Render nothing if no phantoms are asked for, or none has a class of the run."""
    monkeypatch.setattr(rehearsal, "rehearsal_slices", None)
    settings = {"image_size": 32, "skull_strip": "none"}
    assert rehearsal.prepare_rehearsal(tiny_config(), settings, tmp_path) is None
    others = tiny_config(classes=["cyst", "abscess"], rehearsal_batch_size=8)
    assert rehearsal.prepare_rehearsal(others, settings, tmp_path) is None
    assert not list(tmp_path.iterdir())


def test_lesions_are_rendered_once_or_anew(tmp_path):
    """Give the same lesions with the images, and to images whose cache lacked them."""
    settings = {"image_size": 64, "skull_strip": "none"}
    config = tiny_config(image_size=64, rehearsal_batch_size=8, rehearsal_phantoms=6,
                         classes=["notumor", "pituitary", "glioma"])
    without = rehearsal.prepare_rehearsal(config, settings, tmp_path / "one")
    assert without.lesions is None
    located = replace(config, lesion_map_weight=1.)
    anew, together = (
        rehearsal.prepare_rehearsal(located, settings, tmp_path / name) for name in ("one", "two"))
    for one, other in ((without.images, anew.images), (anew.images, together.images),
                       (anew.lesions, together.lesions)):
        np.testing.assert_array_equal(one, other)
    assert anew.lesions.shape == (16, 1, 8, 8)  # four of the six phantoms have a class of the run
    assert ((anew.lesions.flatten(1) > 0).any(1).numpy() == (anew.labels != 0)).all()


def squares(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw a bright square of 16 pixels on noise; return slices and covered cells, uint8."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 90, (count, 1, 64, 64), dtype=np.uint8)
    cells = np.zeros((count, 1, 8, 8), np.uint8)
    for image, cell, (row, column) in zip(images, cells, rng.integers(0, 7, (count, 2))):
        image[0, 8 * row:8 * row + 16, 8 * column:8 * column + 16] += 150
        cell[0, row:row + 2, column:column + 2] = 255
    return images, cells


def test_a_lesion_map_is_learnt_from_masks_alone(tmp_path):
    """Point at squares that only the rehearsed masks know, in both ways to train."""
    images, cells = squares(48)
    kinds = np.zeros(48, np.int64)
    noise = np.random.default_rng(1).integers(0, 90, (32, 1, 64, 64), dtype=np.uint8)
    shown = Rehearsal(torch.from_numpy(images), kinds, torch.from_numpy(cells))
    data = replace(tiny_data(noise, np.arange(32) % 2, 2), rehearsal=shown)
    config = tiny_config(image_size=64, epochs=6, rehearsal_batch_size=16, classes=["a", "b"],
                         lesion_map_weight=4., augmentation="weak", learning_rate=3e-3)
    new, masks = squares(20, seed=2)
    x = torch.from_numpy(new) / 255
    for name, train in (("baseline", train_supervised_baseline), ("joint", train_jointly)):
        network = make_network("autoencoder", 2, 64, lesion_map=True)
        state = train(FABRIC, network, data, config, tmp_path / name)
        assert state.history[-1]["lesion_map"] < state.history[0]["lesion_map"]
        maps = lesion_probabilities(state.result.eval(), (x - data.mean) / data.std, kinds[:20])
        scores, _ = lesion_scores(maps, masks[:, 0].repeat(8, 1).repeat(8, 2) > 0, ["a"] * 20)
        assert scores["pointing_game"] >= .9


def stripes(count: int, horizontal: np.ndarray) -> np.ndarray:
    """Draw pictures of horizontal or vertical stripes, uint8 (count, 1, 32, 32)."""
    rows = np.where(np.arange(32) % 8 < 4, 200, 40).astype(np.uint8)
    flat = np.broadcast_to(rows[:, None], (32, 32))
    return np.stack([flat if one else flat.T for one in horizontal])[:, None]


def test_what_only_phantoms_show_is_learnt(tmp_path):
    """Learn two kinds of stripes from phantoms, as the slices themselves are noise."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (32, 1, 32, 32), dtype=np.uint8)
    kinds = np.arange(64) % 2
    data = tiny_data(noise, kinds[:32], 2)
    both = Rehearsal(torch.from_numpy(stripes(64, kinds == 1)), kinds.astype(np.int64))
    config = tiny_config(epochs=8, rehearsal_batch_size=16, classes=["a", "b"],
                         augmentation="none")
    seen = {}
    for name, given_phantoms in (("with", both), ("without", None)):
        network = make_network("autoencoder", 2, 32)
        state = train_supervised_baseline(
            FABRIC, network, replace(data, rehearsal=given_phantoms), config, tmp_path / name)
        assert ("rehearsal" in state.history[-1]) == (name == "with")
        shown = replace(data, images=torch.from_numpy(stripes(64, kinds == 1)))
        right = embed_slices(FABRIC, network, shown)[1].argmax(axis=1) == kinds
        seen[name] = right.mean()
    assert seen["with"] == 1 > seen["without"] + .2


def test_phantoms_are_ignored_where_none_are_asked_for():
    """Draw batches without phantoms, although the data hold some."""
    images = np.random.default_rng(0).integers(0, 256, (12, 1, 32, 32), dtype=np.uint8)
    data = replace(tiny_data(images), rehearsal=Rehearsal(torch.zeros(0), np.zeros(0)))
    trainer = Trainer(FABRIC, make_network("autoencoder", 3, 32), data, tiny_config())
    assert not trainer.rehearses(1)
    assert {len(batch) for batch in trainer.joint_batches(data.unlabelled, 3, 1)} == {2}


def test_phantoms_without_weight_teach_nothing(tmp_path):
    """Give the weights of a training in which the phantoms have other labels."""
    rng = np.random.default_rng(0)
    data = tiny_data(rng.integers(0, 256, (12, 1, 32, 32), dtype=np.uint8))
    shown = torch.from_numpy(stripes(9, np.arange(9) % 2 == 1))
    heads = []
    for labels, weight in ((0, 0.), (1, 0.), (0, .5), (1, .5)):
        given_phantoms = Rehearsal(shown, np.full(9, labels, np.int64))
        network = make_network("autoencoder", 3, 32, seed=0)
        train_supervised_baseline(
            FABRIC, network, replace(data, rehearsal=given_phantoms),
            tiny_config(epochs=1, rehearsal_batch_size=4, rehearsal_weight=weight),
            tmp_path / f"{labels} {weight}")
        heads.append(network.head.weight)
    assert torch.equal(heads[0], heads[1]) and not torch.equal(heads[2], heads[3])


def of_hospital(image: np.ndarray, second: bool) -> np.ndarray:
    """Give a phantom the look of one of two hospitals: bright and blurred, or dark."""
    if not second: return (image * .55).astype(np.uint8)
    return cv2.GaussianBlur(np.minimum(image * 1.3 + 12, 255).astype(np.uint8), (0, 0), 1.2)


@pytest.fixture(scope="module")
def confounded():
    """Phantoms whose healthy class is one hospital's in training, and the other's in the test."""
    made = make_phantoms(24, 3, 64, seed=3, test_fraction=.34)
    test = (made.table.split == "test").to_numpy()
    labels = made.table.label.to_numpy(dtype=np.int64)
    healthy = labels == CLASSES.index("notumor")
    images = np.stack([of_hospital(image, swap) for image, swap in
                       zip(made.images, healthy != test)])[:, None]
    rows = np.arange(len(labels))
    return TrainingData(torch.from_numpy(images), np.where(test, -1, labels), labels, rows[~test],
                        rows[test], float(images.mean() / 255), float(images.std() / 255), 4)


def tumours_told(data: TrainingData, folder: Path, **changes) -> float:
    """Train on confounded phantoms, and give the AUC of tumour or none in the test set."""
    config = tiny_config(**{
        "image_size": 64, "epochs": 6, "init": "phantom", "labelled_batch_size": 16,
        "augmentation": "cut", "schedule": "cosine", "rehearsal_phantoms": 48} | changes)
    hidden = data.truth == CLASSES.index("notumor")
    hospital = hidden != np.isin(np.arange(len(hidden)), data.test)
    adjustments = source_adjustments(hospital, data.labels, 4, config.source_adjustment)
    phantoms_shown = rehearsal.prepare_rehearsal(
        config, {"image_size": 64, "skull_strip": "none"}, folder)
    data = replace(data, adjustments=adjustments, rehearsal=phantoms_shown)
    network = initialise(make_network("autoencoder", 4, 64, seed=1), "phantom", CLASSES)
    train_supervised_baseline(FABRIC, network, data, config, folder / "training")
    head = embed_slices(FABRIC, network, data)[1][data.test]
    return roc_auc_score(~hidden[data.test], 1 - head[:, CLASSES.index("notumor")])


def test_a_confounded_class_is_learnt_within_its_source(confounded, tmp_path):
    """Fail by reading the hospital, and succeed where it is adjusted for."""
    plain, adjusted = (tumours_told(confounded, tmp_path / name, source_adjustment=float(name))
                       for name in ("0", "1"))
    assert plain < .45
    assert adjusted > .8


@pytest.mark.nightly
def test_phantoms_help_against_a_confounded_class(confounded, tmp_path):
    """Between a training that is fooled, and one to which the sources are known."""
    plain, rehearsed, adjusted = (
        tumours_told(confounded, tmp_path / name, **changes) for name, changes in (
            ("plain", {}), ("rehearsed", {"rehearsal_batch_size": 24}),
            ("adjusted", {"source_adjustment": 1.})))
    assert plain + .1 < rehearsed < adjusted
