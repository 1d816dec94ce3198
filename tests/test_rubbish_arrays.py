"""Rubbish numbers, tables and slices: the documented result, or a sentence that says why not."""
import math
from dataclasses import asdict, replace
from typing import get_args
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import assume, given, settings, strategies as st
from rubbish import (LAYOUTS, answer, at_most, broken_points, ids, no_pictures, points,
                     scan_tables, seeds, sentence, shares, stacks, survives, untidy)
from torch import nn
from brainclust.analysis import (
    active_learning, calibration, companion_scores, domain_shift, patients as patients_module,
    representation, subtype_criteria, subtype_figures, subtypes)
from brainclust.core import checks, config, files as files_module, metrics, runtime
from brainclust.models import companions, encoders, losses, mixture as mixture_module
from brainclust.runs import comparison
from brainclust.synthetic import anatomy, phantoms, randomisation, training_phantoms
from brainclust.core import intervals
from brainclust.training import (
    batches as batches_module, checkpoints, distributed, loop, objective, parts as parts_module,
    saved_model, self_training, supervised, synthetic_pretraining)

REFUSES = (ValueError, TypeError)

FEW = settings(max_examples=max(3, settings().max_examples // 10))  # for what takes long


def refused(function, *arguments, **named) -> str:
    """The one sentence with which a function refuses."""
    with at_most(), pytest.raises(REFUSES) as error:
        function(*arguments, **named)
    return sentence(error.value)


def sum_to_one(p: np.ndarray, tolerance: float = 1e-4) -> bool:
    """Whether rows are finite shares."""
    p = np.asarray(p, dtype=np.float64)
    return bool(np.isfinite(p).all() and (p >= -tolerance).all()
                and np.allclose(p.sum(axis=1), 1, atol=tolerance))


def no_ids() -> st.SearchStrategy:
    """What is no list of ids."""
    return st.sampled_from(
        [np.array(["a", "b", "a"]), np.array([0.0, 1.0, np.nan]), np.array([0.5, 1.0, 2.0]),
         np.zeros((3, 2), int), np.array([None, 1, 2]), np.array([0, 1]), np.array([0, 1, -2]),
         np.zeros(3, complex)])


# --- config ---------------------------------------------------------------------------------------

FIELDS = sorted(config.PRESETS["best"].keys() | asdict(config.Config()).keys())

ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6),
    st.lists(st.floats(), max_size=3), st.binary(max_size=3),
    st.sampled_from(["1e-3", "nan", "inf", "true", 10**400, ("a", ""), ("a", "a"), (10.0, 90.0),
                     np.float64("nan"), np.zeros(3)]))


@given(st.sampled_from(list(config.PRESETS)), st.sampled_from(FIELDS), ANYTHING)
def test_a_config_is_valid_or_refused(preset, name, value):
    made = answer(config.make_config, preset, {name: value}, refuses=REFUSES)
    if made is None: return
    assert config.validate(asdict(made)) == made
    assert made.epochs >= 1 and made.n_clusters >= 2 and made.seed >= 0 and made.learning_rate > 0
    assert made.image_size % 32 == made.phantom_size % 32 == 0 and 32 <= made.image_size <= 1024
    assert 0 <= made.label_fraction <= 1 and 0 < made.test_fraction < 1 and 0 <= made.ema_decay < 1
    assert (made.window_percentiles is None
            or 0 <= made.window_percentiles[0] < made.window_percentiles[1] <= 100)
    assert all(
        math.isfinite(number) for number in asdict(made).values() if isinstance(number, float))
    assert (getattr(made, name) == (tuple(value) if isinstance(value, list) else value)
            or isinstance(value, str) or name == "preset")


@given(st.one_of(st.text(max_size=30),
                 st.sampled_from(["{epochs: [3", "{3: 4}", "{epochs: 3, epochs: 4}", "[1]",
                                  "a: !!python/object:os.system x", "- a\n- b",
                                  "{preset: paper}", "{? [1]: 2}", "{epochs: .nan}",
                                  "{learning_rate: .inf}", "{1: 2, a: 3}", "\x00"])))
def test_overrides_may_be_any_text(text):
    try:
        assert config.make_config("demo", text).preset == "demo"
    except REFUSES as error:
        sentence(ValueError(str(error).split("; the settings are: ")[0]))  # it names them all


def test_what_two_places_say_is_refused():
    assert "preset" in refused(config.make_config, "demo", {"preset": "paper"})
    assert "epochs" in refused(config.make_config, "demo", {"epochs": 3}, epochs=4)
    assert "n_clusters" in refused(config.make_config, "paper", n_clusters=1)
    for preset in (["demo"], None, 3, "Demo"):
        assert "preset" in refused(config.make_config, preset)


@given(st.sampled_from(list(config.PRESETS)),
       st.dictionaries(st.sampled_from(["epochs", "supervised_epochs", "round_epochs"]),
                       st.integers(0, 99)))
def test_generations_fit_the_epochs(preset, changes):
    fitted = config.fit_rounds(preset, changes)
    assert not set(fitted) & set(changes) and all(type(value) is int for value in fitted.values())
    assert fitted.get("round_epochs", 1) >= 1 and fitted.get("supervised_epochs", 0) >= 0


@given(st.integers(0, 2 ** 80),
       st.lists(st.one_of(st.text(max_size=5), st.integers(0, 2 ** 40)), max_size=3))
def test_seeds_are_seeds(seed, names):
    derived = runtime.derived_seed(seed, *names)
    assert 0 <= derived < 2 ** 31 and derived == runtime.derived_seed(seed, *names)
    np.random.default_rng(derived), torch.Generator().manual_seed(derived)


@given(st.one_of(st.text(max_size=8),
                 st.sampled_from(["cpu", "cuda:99", "mps:3", "cpu:7", "meta", "cuda:-1", "xla"])))
def test_a_device_is_there_or_refused(name):
    device = answer(runtime.choose_device, name, refuses=REFUSES)
    assert device is None or torch.zeros(1, device=device).numel() == 1
    assert runtime.choose_precision(torch.device("cpu"), "32-true") == "32-true"


# --- encoders -------------------------------------------------------------------------------------

NETWORKS = {
    name: encoders.make_network(name, 3, 32, decoder=True).eval() for name in encoders.ENCODERS}


def standardised(draw, max_images: int = 4, sizes=(32, 64)) -> torch.Tensor:
    """(B, 1, S, S) noise, constants or zeros, in one of two orders of memory; B may be 0."""
    batch, side = draw(st.integers(0, max_images)), draw(st.sampled_from(sizes))
    x = torch.randn(
        batch, 1, side, side, generator=torch.Generator().manual_seed(draw(seeds()))
    ) * draw(st.sampled_from([0.0, 1.0, 100.0]))
    return draw(
        st.sampled_from(
            [x, x.transpose(2, 3), x.flip(-1), x.contiguous(memory_format=torch.channels_last),
             x.repeat(1, 1, 1, 2)[..., ::2]]))


batches = st.composite(standardised)


@FEW
@given(st.sampled_from(list(encoders.ENCODERS)), batches(sizes=(32,)))
def test_networks_answer_every_slice_by_itself(name, x):
    network = NETWORKS[name]
    with torch.inference_mode():
        embedding, logits, picture = network(x, reconstruct=True)
        assert (embedding.shape == (len(x), network.encoder.dimensions)
                and logits.shape == (len(x), 3) and picture.shape == x.shape)
        assert all(part.isfinite().all() for part in (embedding, logits, picture))
        alone = [network(x[i:i + 1].contiguous())[0] for i in range(len(x))]
        assert torch.allclose(embedding, torch.cat([embedding[:0], *alone]), rtol=1e-3,
                              atol=1e-3 * (1 + float(embedding.abs().max() if len(x) else 0)))
    # the ways for inference and for somebody who looks at what lies between agree
    quick = network(x)[1].detach()
    assert torch.allclose(
        quick, logits, rtol=1e-3, atol=1e-3 * (1 + float(logits.abs().max() if len(x) else 0)))


@FEW
@given(st.sampled_from(list(encoders.ENCODERS)), no_pictures())
def test_networks_survive_what_is_no_slice(name, thing):
    network = NETWORKS[name]
    survives(lambda: network(torch.as_tensor(np.asarray(thing))))
    survives(lambda: network.encoder.embed(thing))


def test_networks_are_of_a_known_kind():
    assert "resnet18" in refused(encoders.make_network, "vit", 4, 32)
    for size in (0, 33, -32):
        assert "32" in refused(encoders.make_network, "autoencoder", 4, size)
    assert "class" in refused(encoders.make_network, "autoencoder", 0, 32)
    network = encoders.ClusteringNetwork(encoders.ConvolutionalEncoder(), 4)
    with pytest.raises(TypeError):
        network(torch.zeros(1, 1, 32, 32), reconstruct=True)  # it has no decoder
    assert [kind().dimensions for kind in (encoders.ResNetEncoder, encoders.AttentionEncoder)] == [
        512, 128]


@given(batches(max_images=3, sizes=(2, 16)), st.integers(1, 2))
def test_blocks_give_the_same_in_both_ways(x, stride):
    for block in (encoders.ConvolutionBlock(1, 4, stride).eval(),
                  encoders.PooledBlock(1, 4).eval()):
        slow = block(x).detach()
        with torch.inference_mode():
            quick = block(x)
        assert (
            quick.shape == slow.shape
            and torch.allclose(quick, slow, atol=1e-3 * (1 + float(x.abs().max() if len(x) else 0)))
            and (quick >= 0).all())
    convolution, norm = nn.Conv2d(1, 2, 3, bias=False), nn.BatchNorm2d(2).eval()
    if x.shape[2] < 3: return
    slow = encoders.normalised(convolution, norm, x).detach()
    with torch.inference_mode():
        assert torch.allclose(encoders.normalised(convolution, norm, x), slow,
                              atol=1e-3 * (1 + float(slow.abs().max() if len(x) else 0)))


@given(st.integers(0, 3), st.integers(1, 9), seeds())
def test_attention_sums_to_one(batch, tokens, seed):
    pooling = encoders.AttentionPooling(8, 2).eval()
    answered, weights = pooling(
        torch.randn(batch, tokens, 8, generator=torch.Generator().manual_seed(seed)))
    assert (answered.shape == (batch, 8) and weights.shape == (batch, tokens)
            and torch.allclose(weights.sum(dim=1), torch.ones(batch), atol=1e-5))


@given(st.integers(0, 3), st.sampled_from([32, 64]), seeds())
def test_decoders_draw_slices(batch, side, seed):
    picture = encoders.Decoder(5, side).eval()(
        torch.randn(batch, 5, generator=torch.Generator().manual_seed(seed)))
    assert picture.shape == (batch, 1, side, side) and picture.isfinite().all()


# --- metrics --------------------------------------------------------------------------------------

@given(st.one_of(no_ids(), st.just([]), st.just(7), st.none()), st.integers(-1, 0),
       st.sampled_from([None, 1, 3]))
def test_ids_are_whole_numbers_in_range(values, minimum, count):
    found = answer(checks.as_ids, values, "labels", minimum, count, refuses=REFUSES)
    if found is None: return
    assert (found.dtype == np.int64 and found.ndim == 1 and (found >= minimum).all()
            and (count is None or (found < count).all()))


@given(st.data())
def test_clusters_may_be_renamed(data):
    n, k = data.draw(st.integers(1, 60)), data.draw(st.sampled_from([1, 2, 5, 10_000]))
    labels, clusters = data.draw(ids(n, k)), data.draw(ids(n, k, hidden=False))
    value = metrics.hungarian_accuracy(labels, clusters)
    known = labels >= 0
    if not known.any():
        assert math.isnan(value)
        return
    assert (
        max(np.unique(labels[known], return_counts=True)[1].max() if k == 1 else 0, 0) / known.sum()
        <= value <= 1)
    renaming = np.random.default_rng(n).permutation(k)
    assert metrics.hungarian_accuracy(labels, renaming[clusters]) == value
    assert (metrics.hungarian_accuracy(
                untidy(labels, "reversed"), untidy(clusters.astype(np.uint16), "strided")) == value)
    assert metrics.hungarian_accuracy(labels, np.where(known, labels, 0)) == 1
    # the unknown do not count
    assert metrics.hungarian_accuracy(np.append(labels, -1), np.append(clusters, 0)) == value
    scores = metrics.partition_scores(labels, clusters)
    assert (-1e-9 <= scores["nmi"] <= 1 + 1e-9 and -0.5 - 1e-9 <= scores["ari"] <= 1 + 1e-9
            and math.isnan(scores["silhouette"]))
    again = metrics.partition_scores(labels, renaming[clusters])
    assert np.isclose(again["nmi"], scores["nmi"]) and np.isclose(again["ari"], scores["ari"])


@given(st.data())
def test_counts_and_mappings(data):
    n, k, c = (data.draw(st.integers(0, 40)), data.draw(st.integers(1, 6)),
               data.draw(st.integers(1, 6)))
    clusters, labels = data.draw(ids(n, k, hidden=False)), data.draw(ids(n, c))
    counts = metrics.contingency(clusters, labels, k, c)
    assert counts.shape == (k, c) and counts.sum() == (labels >= 0).sum() and (counts >= 0).all()
    mapping = metrics.map_clusters(counts)
    assert mapping.shape == (k,) and ((mapping >= 0) & (mapping < c)).all()
    matched = np.unique(mapping[counts[np.arange(k), mapping] > 0])
    assert len(matched) >= min((counts.sum(axis=1) > 0).any(), 1)
    # as a classifier it is at least as good as one to one
    right = counts[np.arange(k), mapping].sum()
    assert (not counts.sum()
            or right / counts.sum() >= metrics.hungarian_accuracy(labels, clusters) - 1e-12)
    gamma = data.draw(shares(k=k))
    classes = metrics.class_probabilities(gamma, mapping, c)
    assert classes.shape == (len(gamma), c) and sum_to_one(classes)


@given(st.data())
def test_silhouettes(data):
    x = data.draw(points(least=3))
    clusters = data.draw(ids(len(x), 3, hidden=False))
    value = metrics.partition_scores(np.full(len(x), -1), clusters, x)["silhouette"]
    assert (-1 <= value <= 1) if 1 < len(set(clusters)) < len(x) else math.isnan(value)
    assert np.array_equal(
        metrics.partition_scores(np.full(len(x), -1), clusters, np.ascontiguousarray(x))[
            "silhouette"], value, equal_nan=True)


@given(broken_points())
def test_broken_embeddings_are_named(x):
    said = refused(checks.as_points, x) if len(x) or not x.shape[1] else ""
    if len(x) and x.shape[1]:
        assert "diverged" in said and f"of {len(x)} slices" in said
    for function in (
        lambda: mixture_module.fit_mixture(x, 2), lambda: mixture_module.as_clustered(x, True),
        lambda: subtype_criteria.reduce_embeddings(x, np.ones(len(x), bool)),
        lambda: domain_shift.coral_loss(x, x), lambda: domain_shift.coral_align(x, np.ones((3, 2))),
        lambda: subtype_criteria.fit_components(x, 2),
        lambda: representation.fit_probe("linear probe", x, np.arange(len(x)) % 2,
                                         np.arange(len(x)))):
        answer(function, refuses=REFUSES)
    if len(x):
        assert (refused(mixture_module.fit_mixture, x, 2)
                and refused(subtype_criteria.reduce_embeddings, x, np.ones(len(x), bool))
                and refused(domain_shift.coral_loss, x, x))
    if len(x) > 3:
        assert refused(metrics.partition_scores, np.zeros(len(x), int), np.arange(len(x)) % 2, x)


@given(no_ids())
def test_what_is_no_id_is_refused(values):
    three, names = np.array([0, 1, 1]), ("a", "b", "c")
    for function in (lambda: metrics.hungarian_accuracy(three, values),
                     lambda: metrics.hungarian_accuracy(values, three),
                     lambda: metrics.partition_scores(three, values),
                     lambda: metrics.class_table(values, three, names),
                     lambda: metrics.class_table(three, values, names),
                     lambda: metrics.confusion(values, three, 3),
                     lambda: metrics.confusion(three, values, 3),
                     lambda: metrics.contingency(values, three, 3, 3),
                     lambda: metrics.contingency(three, values, 3, 3),
                     lambda: mixture_module.align_clusters(values, three, 3),
                     lambda: mixture_module.align_clusters(three, values, 3),
                     lambda: metrics.calibration_error(np.eye(3), values),
                     lambda: calibration.reliability(np.eye(3), values),
                     lambda: calibration.fit_temperature(np.eye(3), values),
                     lambda: calibration.abstention_curve(np.eye(3), values),
                     lambda: calibration.prediction_sets(np.eye(3), values, np.eye(3)),
                     lambda: calibration.set_thresholds(np.eye(3), values),
                     lambda: calibration.coverage_table(np.eye(3, dtype=bool), values, names),
                     lambda: mixture_module.fit_mixture(np.eye(3), 2, anchors=values)):
        if len(values) == 3 and values.dtype.kind == "i" and values.ndim == 1:
            answer(function, refuses=REFUSES)  # -2
        else:
            refused(function)


@given(st.data())
def test_class_tables(data):
    n, c = data.draw(st.integers(0, 40)), data.draw(st.sampled_from([1, 2, 5, 1000]))
    labels, predictions = data.draw(ids(n, c, hidden=False)), data.draw(ids(n, c))
    table = metrics.class_table(labels, predictions, tuple(map(str, range(c))))
    assert (len(table) == c + 1 and table.class_name.iloc[-1] == "macro mean"
            and table.support.iloc[-1] == n == table.support[:-1].sum())
    assert table[["precision", "recall", "f1"]].apply(lambda v: v.between(0, 1)).all(axis=None)
    predictions = np.maximum(predictions, 0)
    counts = metrics.confusion(labels, predictions, c)
    assert (counts.shape == (c, c) and counts.sum() == n
            and np.trace(counts) == (labels == predictions).sum())


@given(st.data())
def test_intervals_hold_the_estimate(data):
    n, draws = data.draw(st.integers(0, 60)), data.draw(st.sampled_from([0, 200]))
    rng = np.random.default_rng(data.draw(seeds()))
    right, other = rng.random(n) < data.draw(st.sampled_from([0, .1, .5, 1])), rng.random(n) < .5
    groups = data.draw(st.sampled_from([None, "one", "own", "text", "nan"]))
    groups = {None: None, "one": np.zeros(n), "own": np.arange(n),
              "text": rng.choice(["", "a", "ü"], n), "nan": np.where(right, np.nan, 1.0)}[groups]
    for value, low, high in (metrics.accuracy_interval(right, groups, draws),
                             metrics.difference_interval(right, other, groups, draws)):
        if not n:
            assert math.isnan(value)
        elif not draws:
            assert math.isnan(low) and math.isnan(high) and -1 <= value <= 1
        else:
            assert -1 <= low <= value <= high <= 1
    if n and draws:
        f1 = metrics.f1_interval(right.astype(int), other.astype(int), 1,
                                   np.arange(n) if groups is None else groups, draws)
        assert np.isnan(f1[0]) == (not right.any() and not other.any()) and (
            np.isnan(f1[0]) or 0 <= f1[1] <= f1[0] + 1e-12 and f1[0] <= f1[2] + 1e-12 <= 1 + 1e-9)
    refused(metrics.accuracy_interval, np.zeros(3), np.zeros(4))
    refused(metrics.difference_interval, np.zeros(3), np.zeros(1))
    refused(metrics.accuracy_interval, np.zeros((3, 2)))
    refused(metrics.accuracy_interval, np.zeros(3), None, -1)
    refused(metrics.f1_interval, np.zeros(3, int), np.zeros(3, int), 0, np.zeros(4))


@given(st.integers(1, 12), seeds(), st.sampled_from([0, 20]))
def test_ratios_lie_between_their_ends(n, seed, draws):
    rng = np.random.default_rng(seed)
    denominators = rng.integers(0, 3, n)
    numerators, groups = denominators * rng.random(n), np.arange(n) // 2
    found = metrics.ratio_interval(numerators, denominators, groups, draws)
    value, low, high = found
    assert found == pytest.approx(metrics.ratio_interval(
        untidy(numerators, "reversed"), untidy(denominators, "reversed"), groups, draws),
        nan_ok=True)
    if not denominators.any():
        assert np.isnan(found).all()
        return
    assert value == pytest.approx(numerators.sum() / denominators.sum())
    if draws:
        assert np.isnan([low, high]).all() or 0 <= low <= high <= 1
    else:
        assert np.isnan([low, high]).all()
    for wrong in ((np.zeros(3), np.zeros(4)), (np.ones(3), np.ones(3), np.zeros(2)),
                  (np.ones(3), np.ones(3), None, -1)):
        refused(metrics.ratio_interval, *wrong)


@given(shares(), seeds(), st.sampled_from(LAYOUTS),
       st.sampled_from([np.float16, np.float32, np.float64]))
def test_calibration(p, seed, layout, dtype):
    p = untidy(p.astype(dtype), layout)
    labels = np.random.default_rng(seed).integers(0, p.shape[1], len(p))
    value = answer(
        metrics.calibration_error, p, labels, refuses=() if p.shape[1] > 1 else ValueError)
    if value is None: return
    assert 0 <= value <= 1 and value == metrics.calibration_error(
        np.ascontiguousarray(p), untidy(labels, layout))
    assert 0 <= metrics.calibration_error_by_chance(p, draws=3) <= 1
    assert math.isnan(metrics.calibration_error(p[:0], labels[:0])) and math.isnan(
        metrics.calibration_error_by_chance(p[:0], draws=2))


@st.composite
def no_shares(draw) -> np.ndarray:
    """(3, 3) that are no probabilities."""
    p = np.eye(3) * .7 + .1
    kind = draw(
        st.sampled_from(
            ["nan", "logits", "negative", "infinite", "half", "text", "flat", "no classes", "none",
             "complex"]))
    if kind == "nan":
        p[1, 1] = np.nan
    if kind == "infinite":
        p[0, 2] = np.inf
    if kind == "negative":
        p[0] = (-1, 1, 1)
    return {"logits": np.log(p), "half": p / 2, "text": p.astype(str), "flat": p.ravel(),
            "no classes": p[:, :0], "none": None, "complex": p * 1j}.get(kind, p)


@given(no_shares())
def test_what_is_no_probability_is_refused(p):
    labels, good = np.array([0, 1, 2]), np.eye(3)
    for function in (
        lambda: checks.as_probabilities(p), lambda: metrics.calibration_error(p, labels),
        lambda: metrics.calibration_error_by_chance(p, 2),
        lambda: calibration.scale_temperature(p, 1.0),
        lambda: calibration.fit_temperature(p, labels), lambda: calibration.reliability(p, labels),
        lambda: calibration.prediction_sets(p, labels, good),
        lambda: calibration.prediction_sets(good, labels, p),
        lambda: calibration.set_thresholds(p, labels),
        lambda: calibration.abstention_curve(p, labels),
        lambda: active_learning.margin_uncertainty(p),
        lambda: active_learning.slices_to_label(good, p, np.zeros(3, bool), labels)):
        refused(function)
    assert "2 labels" in refused(checks.same_slices, probabilities=good, labels=labels[:2])


# --- clustering -----------------------------------------------------------------------------------

@given(points(least=2), st.integers(1, 4), st.booleans(), st.booleans(), seeds())
def test_mixtures_divide_finite_points(x, k, l2_normalise, shared, seed):
    mixture = answer(mixture_module.fit_mixture, x, k, l2_normalise=l2_normalise,
                     tied_covariance=shared, seed=seed, refuses=ValueError if len(x) < k else ())
    if mixture is None: return
    gamma = mixture.responsibilities(x)
    assert (isinstance(mixture, mixture_module.Mixture) and gamma.shape == (len(x), k)
            and gamma.dtype == np.float32 and sum_to_one(gamma))
    assert (mixture.means.shape == (k, x.shape[1])
            and all(np.isfinite(value).all() for value in vars(mixture).values())
            and (mixture.variances > 0).all())
    same = mixture_module.fit_mixture(
        np.ascontiguousarray(x), k, l2_normalise=l2_normalise, tied_covariance=shared, seed=seed)
    assert np.allclose(same.responsibilities(x), gamma, atol=1e-4)
    order = np.random.default_rng(seed).permutation(k)
    assert np.array_equal(mixture.reorder(order).responsibilities(x), gamma[:, order])
    assert sum_to_one(mixture.responsibilities(x[:1])) and mixture.responsibilities(
        x[:0]).shape == (0, k)
    assert sum_to_one(mixture.responsibilities(x * 100 + 1))  # far from everything that was fitted
    alarm = mixture_module.collapse_alarm(gamma, mixture_module.effective_rank(x))
    assert isinstance(alarm, str) and "\n" not in alarm
    for wrong in (x[:, :0], x[0], np.hstack([x, x]), x[:, :1] if x.shape[1] > 1 else x[..., None]):
        refused(mixture.responsibilities, wrong)


@given(points(least=4), st.data())
def test_anchors_hold_their_component(x, data):
    k = data.draw(st.integers(1, 4))
    anchors = data.draw(ids(len(x), k))
    gamma = mixture_module.fit_mixture(x, k, anchors=anchors).responsibilities(x)
    assert gamma.shape == (len(x), k) and sum_to_one(gamma)
    refused(mixture_module.fit_mixture, x, k, anchors=anchors + k + 1)
    refused(mixture_module.fit_mixture, x, k, anchors=anchors[1:])


def test_mixtures_refuse_what_cannot_be():
    x = np.random.default_rng(0).normal(size=(10, 3))
    assert "n_clusters=11" in refused(mixture_module.fit_mixture, x, 11)
    for k in (0, -1, 2.5):
        refused(mixture_module.fit_mixture, x, k)
    for settings_ in ({"dimensions": 0}, {"variance_floor": -1.0}, {"variance_floor": np.nan},
                      {"variance_floor": np.inf}):
        refused(mixture_module.fit_mixture, x, 2, **settings_)
    for thing in ("text", None, [], [[]], np.array([["a"]]), np.zeros((2, 2, 2)), x * 1j):
        refused(mixture_module.fit_mixture, thing, 1)
    x[[2, 7]] = np.nan
    said = refused(mixture_module.fit_mixture, x, 2)
    assert "2 of 10 slices" in said and "learning_rate" in said
    refused(mixture_module.effective_rank, x)


def test_a_sample_stands_for_many(monkeypatch):
    monkeypatch.setattr(mixture_module, "MAX_FITTED", 20)
    # more labels than are fitted
    x, anchors = (np.random.default_rng(0).normal(size=(50, 3)),
                  np.where(np.arange(50) < 30, np.arange(50) % 2, -1))
    assert sum_to_one(mixture_module.fit_mixture(x, 2, anchors=anchors).responsibilities(x))
    x[49] = np.inf  # whether it is in the sample or not
    assert "1 of 50" in refused(mixture_module.fit_mixture, x, 2, anchors=anchors)


@given(points(least=3), st.integers(1, 3), seeds())
def test_likelihood_never_falls(x, k, seed):
    x = np.asarray(x, np.float64) - np.asarray(x, np.float64).mean(axis=0)
    assume(x.var() > 0)
    x /= x.std()
    gamma, last = np.random.default_rng(seed).dirichlet(np.ones(k), len(x)), -np.inf
    for _ in range(10):
        weights, means, variances = mixture_module.m_step(x, gamma, 1e-9)
        assert (np.isclose(weights.sum(), 1) and means.shape == variances.shape == (k, x.shape[1])
                and (variances > 0).all())
        gamma, likelihood = mixture_module.e_step(x, weights, means, variances)
        assert mixture_module.log_joint(x, weights, means, variances).shape == (len(x), k)
        assert sum_to_one(gamma) and np.isfinite(likelihood)
        if variances.min() < 1e-4: break  # the floor rules, which is no maximum likelihood
        assert likelihood >= last - 1e-6
        last = likelihood
    shared = mixture_module.m_step(x, gamma, 1e-9, tied=True)[2]
    assert (shared == shared[0]).all()
    # all in one component, the others empty
    parameters = mixture_module.fit_diagonal_mixture(x, np.eye(k)[np.zeros(len(x), int)], 1e-3)
    assert all(np.isfinite(part).all() for part in parameters) and sum_to_one(
        mixture_module.e_step(x, *parameters)[0])


@given(points(least=2), st.integers(1, 6))
def test_principal_components(x, d):
    x = np.asarray(x, np.float64)
    d = min(d, *x.shape)
    reduced, centre, directions = mixture_module.principal_components(x, d)
    assert (reduced.shape == (len(x), d) and directions.shape == (d, x.shape[1])
            and np.isfinite(reduced).all())
    assert np.allclose(directions @ directions.T, np.eye(d), atol=1e-6) and np.allclose(
        centre, x.mean(axis=0))
    assert (mixture_module.covariance(x).shape == (x.shape[1],) * 2
            and 0 <= mixture_module.effective_rank(x) <= min(x.shape) + 1e-6)
    k_means = mixture_module.start_k_means(reduced, 2, None, 0)
    assert set(k_means.labels_) <= {0, 1} and mixture_module.effective_rank(x[:1]) == 0
    assert mixture_module.as_clustered(x, False).dtype == np.float64
    lengths = np.linalg.norm(mixture_module.as_clustered(x, True), axis=1)
    assert (np.isclose(lengths, 1) | (np.linalg.norm(x, axis=1) < 1e-11)).all()


@given(st.data())
def test_alignment_is_a_permutation(data):
    n, k = data.draw(st.integers(0, 50)), data.draw(st.sampled_from([1, 2, 7, 200]))
    previous, current = data.draw(ids(n, k, hidden=False)), data.draw(ids(n, k, hidden=False))
    order = mixture_module.align_clusters(previous, current, k)
    assert sorted(order) == list(range(k))
    renamed = np.argsort(order)[current]
    assert (renamed == previous).sum() >= (current == previous).sum()
    renaming = np.random.default_rng(n).permutation(k)
    assert (
        np.argsort(
            mixture_module.align_clusters(previous, renaming[previous], k))[renaming[previous]]
        == previous).all()


@FEW
@given(stacks(side=32), stacks(side=32), st.integers(0, 3))
def test_pixel_baselines(train, test, tested):
    found = answer(mixture_module.pixel_baselines, train, test[:tested], 2,
                   refuses=ValueError if len(train) < 2 else ())
    for ours, theirs in (found or {}).values():
        assert (ours.shape == (len(train),) and theirs.shape == (len(test[:tested]),)
                and set(ours) | set(theirs) <= {0, 1})


@given(shares(), st.sampled_from([np.nan, 0., 1., 50.]))
def test_alarms_are_sentences(gamma, rank):
    alarm = mixture_module.collapse_alarm(gamma, rank)
    assert bool(alarm) >= (rank < 1.5) and "\n" not in alarm


# --- losses ---------------------------------------------------------------------------------------

@st.composite
def logits_and_labels(draw):
    """Logits (B, C), B from 0, with gradient, tame or huge, and ids (B,)."""
    b, c = draw(st.integers(0, 9)), draw(st.sampled_from([1, 2, 5]))
    generator = torch.Generator().manual_seed(draw(seeds()))
    logits = torch.randn(b, c, generator=generator) * draw(st.sampled_from([0., 1., 1e4]))
    return logits.requires_grad_(), torch.randint(0, c, (b,), generator=generator)


@given(logits_and_labels(), st.floats(0, 1))
def test_class_losses_are_finite_and_teach(pair, threshold):
    logits, labels = pair
    targets = nn.functional.one_hot(labels, logits.shape[1]).float()
    for loss in (losses.classification_loss(logits, labels),
                 losses.pseudo_label_loss(logits, targets, threshold)):
        assert loss.dim() == 0 and loss >= 0 and loss.isfinite() and (len(logits) or loss == 0)
        gradient, = torch.autograd.grad(loss, logits, retain_graph=True)
        assert gradient.shape == logits.shape and gradient.isfinite().all()
    unsure = losses.pseudo_label_loss(logits, targets * .5, .9)
    assert unsure == 0 and (not len(logits) or not torch.autograd.grad(unsure, logits)[0].any())


@given(st.integers(0, 9), st.integers(1, 5), st.integers(1, 9), seeds(),
       st.sampled_from([0., 1., 1e6]))
def test_distances_to_clusters(b, k, d, seed, size):
    generator = torch.Generator().manual_seed(seed)
    z, means = ((torch.randn(b, d, generator=generator) * size).requires_grad_(),
                torch.randn(k, d, generator=generator))
    gamma = torch.rand(b, k, generator=generator).softmax(dim=1)
    loss = losses.cluster_distance(z, gamma, means)
    assert (loss.dim() == 0 and loss >= 0 and loss.isfinite()
            and torch.autograd.grad(loss, z)[0].isfinite().all())
    assert losses.cluster_distance(means, torch.eye(k), means) == 0
    x = torch.randn(b, 1, 4, 4, generator=generator).requires_grad_()
    loss = losses.reconstruction_loss(x, torch.zeros_like(x))
    assert (loss >= 0 and loss.isfinite() and (b or loss == 0)
            and torch.autograd.grad(loss, x)[0].isfinite().all())
    assert losses.reconstruction_loss(x, x.detach()) == 0


@given(shares(), shares(k=4), seeds(), st.floats(0, 1))
def test_answers_reach_the_shares(p, q, seed, strength):
    answers, c = torch.from_numpy(p), p.shape[1]
    prior = torch.from_numpy(np.random.default_rng(seed).dirichlet(np.full(c, 5.)) * .9 + .1 / c)
    factors = losses.class_prior_factors(answers, prior, strength)
    assert (factors.shape == (c,) and factors.dtype == torch.float64 and (factors > 0).all()
            and factors.isfinite().all())
    aligned = losses.align_distribution(answers, factors)
    assert aligned.shape == answers.shape and aligned.dtype == answers.dtype and sum_to_one(aligned)
    soft = torch.from_numpy(q).double() * .5 + .125  # every class has its chance everywhere
    wanted = torch.tensor([.3, .3, .2, .2], dtype=torch.float64)
    assert torch.allclose(
        losses.align_distribution(soft, losses.class_prior_factors(soft, wanted)).mean(dim=0),
        wanted, atol=0.02)
    assert torch.allclose(
        losses.class_prior_factors(answers, prior, 0.0), torch.ones(c, dtype=torch.float64))
    assert (losses.class_prior_factors(answers[:0], prior) > 0).all()  # nothing to align
    mixed = losses.pseudo_targets(answers, answers.flip(1), strength)
    assert sum_to_one(mixed)


@given(st.integers(1, 10 ** 6), st.integers(0, 10 ** 6))
def test_ramps_rise(epoch, warmup):
    assert 0 < losses.ramp(epoch, warmup) <= losses.ramp(epoch + 1, warmup) <= 1


# --- training: small parts ------------------------------------------------------------------------

CPU = torch.device("cpu")

FABRIC = distributed.make_fabric(CPU, "32-true")


def tiny_data(
    images: np.ndarray,
    labels: np.ndarray | None = None,
    n_classes: int = 3,
    test: int = 0,
) -> batches_module.TrainingData:
    """Training data of given slices, the last `test` of which are the test part."""
    labels = np.arange(len(images)) % n_classes if labels is None else labels
    rows = np.arange(len(images))
    return batches_module.TrainingData(torch.from_numpy(np.array(images)), labels, labels,
                                 rows[: len(rows) - test], rows[len(rows) - test :], 0.5, 0.3,
                                 n_classes)


def tiny_config(**changes) -> config.Config:
    """Settings for slices of 32 pixels and an epoch of seconds."""
    made = config.make_config(
        "paper", **{"encoder": "autoencoder", "image_size": 32, "epochs": 1, "augmentation": "weak",
                    "labelled_batch_size": 8, "unlabelled_batch_size": 16, "device": "cpu",
                    "precision": "32-true"} | changes)
    return made


@given(st.data())
def test_training_data_are_whole_or_refused(data):
    images = data.draw(stacks(side=8))
    whole = tiny_data(images, data.draw(ids(len(images), 3)))
    assert (sorted([*whole.labelled, *whole.unlabelled]) == list(whole.train)
            and (whole.labels[whole.labelled] >= 0).all())
    labels = np.arange(len(images)) % 3
    wrong = {"images": (whole.images.float(), whole.images[:, 0], whole.images.repeat(1, 3, 1, 1),
                        whole.images[0]), "std": (0.0, -1.0, np.nan, np.inf),
             "mean": (np.nan, np.inf),
             "labels": (labels + 3, labels - 5, labels.astype(float), labels.astype(str), None),
             "truth": (labels + 3, labels * 0.5), "n_classes": (0,)}
    for name, values in wrong.items():
        for value in values:
            refused(replace, tiny_data(images, labels), **{name: value})


@given(st.data())
def test_batches_of_slices(data):
    images = data.draw(stacks(side=8))
    rows = np.random.default_rng(len(images)).integers(0, len(images), data.draw(st.integers(0, 9)))
    whole = tiny_data(images)
    assert torch.equal(
        batches_module.take_slices(whole.images, rows, CPU), torch.from_numpy(images[rows]))
    unit = batches_module.to_unit_range(whole.images, rows, CPU)
    assert (unit.dtype == torch.float32 and unit.shape == (len(rows), 1, 8, 8)
            and (not len(rows) or 0 <= unit.min() <= unit.max() <= 1))
    assert torch.equal(batches_module.place_images(np.ascontiguousarray(images), CPU), whole.images)
    for policy in get_args(config.Augmentation):
        seen = [
            batches_module.view(whole, rows, policy, torch.Generator().manual_seed(1), CPU),
            batches_module.augmented(whole.images[rows], whole, policy,
                                torch.Generator().manual_seed(1))]
        assert torch.equal(*seen) and seen[0].shape == unit.shape and seen[0].isfinite().all()
    for wrong in (rows + len(images), rows + .5, "a", None):
        if len(rows) or isinstance(wrong, (str, type(None))):
            survives(batches_module.take_slices, whole.images, wrong, CPU)


@given(st.integers(0, 200), st.integers(0, 200), st.integers(1, 300), st.integers(1, 300), seeds())
def test_every_slice_is_seen(labelled, unlabelled, labelled_size, unlabelled_size, seed):
    steps = batches_module.count_steps(labelled, unlabelled, labelled_size, unlabelled_size)
    known = batches_module.cycle_batches(np.arange(labelled), labelled_size, steps, seed)
    unknown = batches_module.split_batches(np.arange(unlabelled), steps, seed)
    assert len(known) == len(unknown) == steps >= 1 and sorted(np.concatenate(unknown)) == list(
        range(unlabelled))
    assert all(len(batch) == (labelled_size if labelled else 0) for batch in known) and all(
        len(batch) <= unlabelled_size for batch in unknown)
    assert set(np.concatenate(known)) == set(range(labelled))
    on_device = batches_module.rows_on_device(unknown, CPU)
    assert [batch.tolist() for batch in on_device] == [batch.tolist() for batch in unknown]
    shared = distributed.local_batches(FABRIC, known[0], unknown[0])
    assert [share.weight for share in shared] == [1.0, 1.0] and [
        share.total for share in shared] == [len(known[0]), len(unknown[0])]
    if len(known[0]) + len(unknown[0]):
        assert [distributed.local_weight(term, *shared) for term in loop.TERMS] == [1.] * 4
    assert distributed.LocalBatch(known[0], 0, 1, 1.).start == 0


@given(st.integers(1, 500), st.floats(1e-9, 10), st.sampled_from(["constant", "cosine"]),
       st.floats(0, .999))
def test_rates_are_positive(total, peak, schedule, decay):
    rates = [loop.learning_rate(step, total, peak, schedule) for step in range(total)]
    assert all(0 <= rate <= peak * (1 + 1e-12) for rate in rates) and max(rates) > 0
    kept = [loop.ema_momentum(step, decay) for step in range(total)]
    assert kept[0] == 0 and kept == sorted(kept)
    assert all(0 <= momentum <= decay for momentum in kept)


@given(st.integers(1, 30), st.integers(0, 30), st.integers(1, 30), st.integers(1, 9), st.booleans(),
       st.booleans())
def test_generations_cover_the_epochs(epochs, alone, length, clustering_epochs, labelled, teaches):
    made = replace(config.make_config("best"), epochs=epochs, supervised_epochs=alone,
                   round_epochs=length, clustering_epochs=clustering_epochs,
                   pseudo_label_weight=float(teaches))
    for epoch in range(1, epochs + 1):
        first, count = objective.self_training_round(epoch, made, labelled)
        assert first <= epoch < first + count <= epochs + 1
        assert all(weight >= 0 and math.isfinite(weight)
                   for weight in objective.loss_weights(made, epoch).values())
    measured = objective.measured_epochs(made, labelled)
    assert measured == sorted(set(measured)) and measured[-1] == epochs and measured[0] >= 1


@given(st.data())
def test_one_process_keeps_what_it_has(data):
    x = torch.from_numpy(np.ascontiguousarray(data.draw(points())))
    assert (distributed.gather_rows(FABRIC, x, [len(x)]) is x
            and distributed.mean_of_processes(FABRIC, x) is x
            and distributed.broadcast_from_rank_zero(FABRIC, lambda: 3) == 3)
    slow, quick = nn.Linear(x.shape[1], 2), nn.Linear(x.shape[1], 2)
    loop.update_ema(slow, quick, 0.)
    assert torch.equal(slow.weight, quick.weight)


@given(st.data())
def test_accuracy_counts_the_known(data):
    n = data.draw(st.integers(0, 30))
    labels, predictions = data.draw(ids(n, 3)), data.draw(ids(n, 3, hidden=False))
    value = metrics.accuracy(labels, predictions)
    assert 0 <= value <= 1 if (labels >= 0).any() else math.isnan(value)
    assert np.array_equal(
        metrics.accuracy(untidy(labels, "reversed"), predictions), value, equal_nan=True)


@FEW
@given(stacks(side=32), st.booleans(), st.integers(1, 9))
def test_embeddings_of_any_slices(images, flip_tta, batch_size):
    data, network = tiny_data(images), NETWORKS["autoencoder"]
    wrapped = FABRIC.setup_module(network)
    embeddings, head = batches_module.embed_slices(FABRIC, wrapped, data, batch_size, flip_tta)
    assert (embeddings.shape == (len(images), 128) and embeddings.dtype == head.dtype == np.float32
            and np.isfinite(embeddings).all() and sum_to_one(head))
    again = batches_module.embed_slices(FABRIC, wrapped, data, 1, flip_tta)
    assert np.allclose(again[0], embeddings, atol=1e-3) and np.allclose(again[1], head, atol=1e-3)
    assert [
        part.shape
        for part in batches_module.embed_slices(
            FABRIC, wrapped, tiny_data(images[:0], np.zeros(0, int)), batch_size, flip_tta)
    ] == [(0, 128), (0, 3)]


@given(st.data())
def test_clusters_of_an_epoch(data):
    x = data.draw(points(least=6))
    labels = data.draw(ids(len(x), 3))
    slices = tiny_data(
        np.zeros((len(x), 1, 4, 4), np.uint8), labels, test=data.draw(st.integers(0, 2)))
    made, head = (
        tiny_config(n_clusters=3, classes=("a", "b", "c"), anchored=data.draw(st.booleans()),
                    distribution_alignment=0.5), data.draw(shares(n=len(x), k=3)))
    if made.anchored:
        made = replace(made, pseudo_label_weight=1.)
    trainer = loop.Trainer(FABRIC, nn.Linear(1, 1), slices, made)
    for epoch in range(2):
        gamma, state = trainer.cluster(x, head, epoch), trainer.state
        assert (gamma.shape == (len(x), 3) and sum_to_one(gamma)
                and state.tensors["responsibilities"].shape == (len(slices.train), 3))
    if "targets" in state.tensors:
        assert sum_to_one(state.tensors["targets"]) and objective.has_teacher(made, slices)
    factors = self_training.prior_factors(torch.from_numpy(head), slices, made)
    assert factors.shape == (3,) and (factors > 0).all() and factors.isfinite().all()
    row, by_cluster = self_training.measure_clusters(gamma, None, x, slices, made)
    assert (by_cluster.shape == (len(x), 3)
            and np.isnan(by_cluster).all() == (not len(slices.labelled))
            and isinstance(row["alarm"], str))
    assert np.isclose(sum(row[f"cluster_share_{k}"] for k in range(3)), 1)
    broken = np.where(np.arange(x.size).reshape(x.shape) == 0, np.nan, x)
    refused(trainer.cluster, broken, head, 1)


@given(st.integers(0, 4), st.integers(0, 4), st.booleans(), st.booleans(), seeds())
def test_losses_of_any_batch(known, unknown, clusters, taught, seed):
    assume(known + unknown)
    generator = torch.Generator().manual_seed(seed)
    x, network = (torch.randn(known + unknown, 1, 32, 32, generator=generator),
                  NETWORKS["autoencoder"])
    gamma = torch.rand(unknown, 3, generator=generator).softmax(dim=1)
    found = objective.batch_losses(x, network(x, reconstruct=True),
                                   torch.zeros(known, dtype=torch.long), gamma,
                                   torch.zeros(3, 128) if clusters else None,
                                   gamma if taught else None, .5)
    assert set(found) == {"cross_entropy", "reconstruction"} | (
        {"cluster_distance"} if clusters else set()) | ({"pseudo_labels"} if taught else set())
    assert all(value.isfinite() and value >= 0 for value in found.values())


# --- training: whole ones -------------------------------------------------------------------------

@pytest.fixture(scope="module")
def whole_data(slices) -> batches_module.TrainingData:
    """24 training and 6 test slices of 32 pixels."""
    whole, _ = slices
    rows = np.concatenate([whole.train[:: max(1, len(whole.train) // 24)][:24], whole.test[:6]])
    return batches_module.TrainingData(whole.images[rows][:, :, ::2, ::2].contiguous(),
                                 whole.labels[rows], whole.truth[rows], np.arange(24),
                                 np.arange(24, 30), 0.2, 0.2, 4)


def only(data: batches_module.TrainingData, keep: np.ndarray) -> batches_module.TrainingData:
    """The same data with the labels of some slices."""
    return replace(data, labels=np.where(keep, data.truth, -1))


IN_TRAIN = np.arange(30) < 24

EDGES = {
    "nothing special": lambda data: (data, {}),
    "no clustering term": lambda data: (data, {"cluster_weight": 0.0}),
    "one cluster": lambda data: (data, {"n_clusters": 1}),
    "as many clusters as slices": lambda data: (data, {"n_clusters": 24}),
    "one slice per batch": lambda data: (replace(data, train=np.arange(5)),
                                         {"labelled_batch_size": 1, "unlabelled_batch_size": 1}),
    "batches larger than the data": lambda data: (
        data, {"labelled_batch_size": 500, "unlabelled_batch_size": 500}),
    "no labels": lambda data: (only(data, IN_TRAIN & False), {}),
    "all labels": lambda data: (only(data, IN_TRAIN), {}),
    "labels of one class": lambda data: (only(data, IN_TRAIN & (data.truth == 1)), {}),
    "one label": lambda data: (only(data, np.arange(30) == 3), {}),
    "equal slices": lambda data: (replace(data, images=data.images[:1].repeat(30, 1, 1, 1)), {}),
    "black slices": lambda data: (replace(data, images=data.images * 0), {}),
    "no test slices": lambda data: (replace(data, test=data.test[:0]), {}),
    "nobody knows the truth": lambda data: (replace(data, truth=np.full(30, -1)), {}),
    "one slice": lambda data: (replace(data, train=data.train[:1]), {"n_clusters": 1}),
    "no warm-up left": lambda data: (
        data, {"cluster_warmup": 9, "ema_decay": 0.99, "flip_tta": True, "weight_decay": 10.0})}


def sound_training(
    state: checkpoints.TrainingState,
    epochs: int,
    data: batches_module.TrainingData,
    k: int | None = None,
) -> None:
    """Assert that a training has come to a defined end."""
    assert state.epoch == epochs == len(state.history) == len(state.seconds)
    for row in state.history:
        assert all(math.isfinite(row[term]) and row[term] >= 0 for term in (*loop.TERMS, "loss")
                   if term in row)
    assert all(value.isfinite().all() for value in checkpoints.state_tensors(state).values())
    if k:
        assert state.tensors["responsibilities"].shape == (len(data.train), k) and sum_to_one(
            state.tensors["responsibilities"])


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("preset", ["paper", "taught"])
def test_trainings_at_the_edge(whole_data, tmp_path, edge, preset):
    data, changes = EDGES[edge](whole_data)
    taught = {name: value for name, value in config.PSEUDO_LABEL_SETTINGS.items()
              if name != "skull_strip"} | {
        "epochs": 2, "supervised_epochs": 1, "pseudo_label_threshold": 0.1}
    made = tiny_config(**(taught if preset == "taught" else {}))
    made = replace(
        made,
        **({**changes, "anchored": False, "pseudo_label_weight": 0.0} if "n_clusters" in changes
           else changes))
    network = encoders.make_network("autoencoder", 4, 32)
    with at_most(120):
        sound_training(self_training.train_jointly(FABRIC, network, data, made, tmp_path / "joint"),
                       made.epochs, data, made.n_clusters)
        outputs = self_training.load_outputs(tmp_path / "joint", made.epochs)
        assert (outputs["embeddings"].shape == (len(data.test), 128) and sum_to_one(outputs["head"])
                and sum_to_one(outputs["responsibilities"], 1e-3))
        assert [len(part) for part in self_training.load_all_outputs(tmp_path / "joint")] == [30, 30]
        if preset == "taught": return
        if not len(data.labelled):
            assert "labelled" in refused(
                self_training.train_supervised_baseline, FABRIC, network, data, made,
                tmp_path / "alone")
            return
        sound_training(
            self_training.train_supervised_baseline(FABRIC, network, data, made,
                                                    tmp_path / "alone"),
            made.epochs, data)


@pytest.mark.parametrize("edge", ["nothing special", "one cluster", "no labels"])
def test_models_of_edge_trainings_are_kept(whole_data, tmp_path, edge):
    data, changes = EDGES[edge](whole_data)
    made = replace(tiny_config(), **changes)
    state = self_training.train_jointly(
        FABRIC, encoders.make_network("autoencoder", 4, 32), data, made, tmp_path / "joint")
    saved_model.save_model(tmp_path, state, data, made)
    network, mixture, description = saved_model.load_model(tmp_path)
    embeddings, head = batches_module.embed_slices(FABRIC, FABRIC.setup_module(network), data)
    assert (sum_to_one(head) and sum_to_one(mixture.responsibilities(embeddings))
            and mixture.responsibilities(embeddings).shape == (30, made.n_clusters))
    assert (description["cluster_classes"] is None) == (not len(data.labelled))


def test_trainings_that_cannot_be(whole_data, tmp_path):
    network, made = encoders.make_network("autoencoder", 4, 32), tiny_config()
    for data in (replace(whole_data, train=whole_data.train[:3]),
                 replace(whole_data, train=whole_data.train[:0]),
                 replace(whole_data, train=whole_data.train[:1])):
        assert "n_clusters=4" in refused(
            self_training.train_jointly, FABRIC, network, data, made, tmp_path)
    assert not (tmp_path / "state.json").exists()
    assert "label" in refused(self_training.train_supervised_baseline, FABRIC, network,
                              only(whole_data, IN_TRAIN & False), made, tmp_path)
    sound_training(loop.pretrain(FABRIC, network, replace(whole_data, train=whole_data.train[:1]),
                                 replace(made, pretrain_epochs=1), tmp_path / "one"), 1, whole_data)
    assert "slice" in refused(loop.pretrain, FABRIC, network,
                              replace(whole_data, train=whole_data.train[:0]), made,
                              tmp_path / "none")


@pytest.mark.parametrize("train", [self_training.train_jointly,
                                   self_training.train_supervised_baseline, loop.pretrain])
def test_a_training_that_diverges_says_so_and_keeps_the_last_good_epoch(
    whole_data,
    tmp_path,
    train,
    monkeypatch,
):
    made, network = (tiny_config(epochs=4, pretrain_epochs=4),
                     encoders.make_network("autoencoder", 4, 32))
    good = loop.set_rate
    seen = []
    for module in (loop, objective):
        monkeypatch.setattr(
            module, "set_rate", lambda optimizer, rate: good(optimizer, rate if not seen else 1e38))
    said = refused(train, FABRIC, network, whole_data, made, tmp_path,
                   on_epoch=lambda name, row: seen.append(row["epoch"]))
    assert "diverged" in said and "learning_rate" in said
    fresh = encoders.make_network("autoencoder", 4, 32)
    state = loop.Trainer(FABRIC, fresh, whole_data, made).state
    assert seen and checkpoints.load_checkpoint(state, tmp_path) and state.epoch == seen[-1] < 4
    assert all(value.isfinite().all() for value in checkpoints.state_tensors(state).values())


def test_a_supervised_training_that_diverges_says_so(whole_data, tmp_path):
    recipe = supervised.Recipe(32, 3, 8, learning_rate=1e38)
    assert "diverged" in refused(supervised.train_supervised, FABRIC,
                                 supervised.make_companion("b", 4, 32), whole_data, recipe,
                                 whole_data.labelled, whole_data.train[:0], tmp_path)
    assert not (tmp_path / "state.json").exists()


def test_losses_that_are_no_numbers_stop_a_training():
    network = nn.Linear(2, 2)
    loop.refuse_divergence(
        "joint training", {"epoch": 1, "loss": 1.0, "silhouette": np.nan}, network)
    for row in ({"loss": np.nan}, {"train_loss": np.inf}, {"reconstruction": -np.inf}):
        assert "diverged" in refused(loop.refuse_divergence, "t", {"epoch": 1, **row}, network)
    network.weight.data[0, 0] = np.nan
    assert "weights" in refused(loop.refuse_divergence, "t", {"epoch": 1}, network)


# --- baselines ------------------------------------------------------------------------------------

@FEW
@given(st.sampled_from(["a", "b"]), st.integers(1, 5), batches(sizes=(32,)))
def test_companions_answer(name, n_classes, x):
    network = supervised.make_companion(name, n_classes, 32).eval()
    assert isinstance(
        network, {"a": companions.TwoBlockNetwork, "b": companions.ThreeBlockNetwork}[name])
    logits = network(x)
    assert logits.shape == (len(x), n_classes) and logits.isfinite().all()
    with pytest.raises(KeyError):
        supervised.make_companion("c", n_classes)
    assert companions.LogitsOnly(NETWORKS["autoencoder"])(x).shape == (len(x), 3)


@FEW
@given(stacks(side=32))
def test_predictions_of_any_slices(images):
    data, wrapped = (tiny_data(images),
                     FABRIC.setup_module(companions.LogitsOnly(NETWORKS["autoencoder"])))
    said = supervised.predict(FABRIC, wrapped, data, data.train, batch_size=2)
    assert (said.shape == (len(images), 3) and sum_to_one(np.exp(said))
            and supervised.predict(FABRIC, wrapped, data, data.train[:0]).shape == (0, 3))
    loss, accuracy = supervised.mean_scores(said, data.truth)
    assert (loss >= 0 and 0 <= accuracy <= 1
            and all(map(math.isnan, supervised.mean_scores(said, np.full(len(images), -1)))))
    grid = supervised.slice_grid(torch.from_numpy(np.ascontiguousarray(images)).float(), .5, .3)
    assert grid.shape[0] == 3 and 0 <= grid.min() <= grid.max() <= 1


def test_supervised_trainings_at_the_edge(whole_data, tmp_path):
    recipe, known = supervised.Recipe(32, 1, 500), whole_data.labelled
    for number, rows in enumerate(
        (known, known[:1], known[whole_data.labels[known] == whole_data.labels[known[0]]])):
        state = supervised.train_supervised(
            FABRIC, supervised.make_companion("a", 4, 32), whole_data, recipe, rows, rows[:0],
            tmp_path / str(number))
        assert (state.epoch == 1 and math.isfinite(state.history[0]["train_loss"])
                and math.isnan(state.history[0]["validation_loss"]))
    for rows in (known[:0], whole_data.test):
        assert "label" in refused(supervised.train_supervised, FABRIC,
                                  supervised.make_companion("a", 4, 32), whole_data, recipe, rows,
                                  rows[:0], tmp_path / "no")


@given(st.data())
def test_folds_divide_no_group(data):
    n = data.draw(st.integers(1, 40))
    rng = np.random.default_rng(data.draw(seeds()))
    labels, groups = (data.draw(ids(n, 3, hidden=False)),
                      rng.integers(0, data.draw(st.integers(1, n)), n))
    folds = answer(supervised.group_folds, labels, groups, 5, refuses=ValueError)
    if folds is None: return
    for fit, held in folds.split(labels, labels, groups):
        assert not set(groups[fit]) & set(groups[held])
    cut = answer(supervised.cut_validation, np.arange(n), labels, groups, .2, refuses=ValueError)
    assert sorted(np.concatenate(cut)) == list(range(n)) and not set(groups[cut[0]]) & set(
        groups[cut[1]])
    for wrong in ((labels[:0], groups[:0]), (labels, groups[1:]),
                  (labels - 1 - labels.min(), groups), (labels.astype(str), groups)):
        refused(supervised.group_folds, *wrong, 5)


@FEW
@given(st.data())
def test_probes(data):
    x = data.draw(points(least=8))
    kind, labels, groups = (data.draw(st.sampled_from(["linear probe", "k nearest neighbours"])),
                            data.draw(ids(len(x), 3, hidden=False)), np.arange(len(x)) // 2)
    probe = answer(representation.fit_probe, kind, x, labels, groups, refuses=ValueError)
    if probe is None: return
    said = representation.probe_log_probabilities(probe, x, 4)
    assert (
        said.shape == (len(x), 4)
        and sum_to_one(np.exp(said))
        and sum_to_one(np.exp(representation.held_out_log_probabilities(probe, x, labels, groups)),
                       0.01)
    )
    refused(representation.fit_probe, kind, x, labels[1:], groups)


@given(shares(), seeds(), st.booleans())
def test_patients_get_one_answer(p, seed, text):
    rng, n = np.random.default_rng(seed), len(p)
    said = np.log(np.maximum(p, 1e-30))
    patients = rng.integers(0, 3, n)
    truth = patients % p.shape[1]
    patients = patients.astype(str) if text else patients
    confidence = patients_module.confidence_weights(said)
    assert confidence.shape == (n,) and ((confidence >= 0) & (confidence <= 1)).all()
    with np.errstate(divide="ignore"):
        # an impossible class
        assert np.allclose(patients_module.confidence_weights(np.log(p)), confidence, atol=1e-4)
    middle = patients_module.position_weights(rng.permutation(n), patients)
    assert ((middle > 0) & (middle <= 1)).all()
    for answers in (patients_module.majority_vote(said, patients),
                    patients_module.mean_probability(said, patients),
                    patients_module.mean_probability(said, patients, np.zeros(n))):
        assert (answers.shape == (len(set(patients)), p.shape[1])
                and np.isfinite(answers.to_numpy()).all())
    table = patients_module.score_patients(
        said, truth, patients, {"confidence": confidence, "middle": middle}, draws=50)
    assert (len(table) == 4 and table.accuracy.between(0, 1).all()
            and (table.patients == len(set(patients))).all())
    reliable = patients_module.plane_reliability(
        rng.choice(["axial", ""], n), rng.random(n) < .5, 4)
    assert all(0 <= value <= 1 for value in reliable.values())


@FEW
@given(st.data())
def test_companion_tables(data):
    n = data.draw(st.integers(0, 30))
    truth, said = data.draw(ids(n, 4, hidden=False)), data.draw(ids(n, 4, hidden=False))
    scans = pd.DataFrame(
        {"group": np.arange(n) // 2, "clean": np.arange(n) % data.draw(st.integers(1, 3)) == 1})
    table = companion_scores.companion_table("a", truth, said, scans, config.CLASSES, draws=20)
    assert len(table) == 5 and table.given.dropna().between(0, 1).all()
    tidy = companion_scores.tidy_companions(table)
    assert set(tidy.source) <= {"claimed", "given test set", "clean test set"} and len(tidy) >= 10
    scores = pd.DataFrame(
        {"method": ["x", "y"], "accuracy": [0.5, np.nan], "low": [0.4, np.nan],
         "high": [0.6, np.nan], "clean_accuracy": np.nan, "clean_low": np.nan, "clean_high": np.nan}
    )
    assert intervals.plot_intervals(representation.tidy_scores(scores), series="part",
                                    chance=.25).axes
    history = pd.DataFrame(
        {"epoch": [1], **{f"{part}_{what}": [np.nan if part == "test" else 0.5]
                          for part in companion_scores.PART_STYLES
                          for what in ("loss", "accuracy")}})
    assert companion_scores.plot_learning_curves({"one": history}, {"one": .9}).axes


@FEW
@given(stacks(side=32))
def test_attention_is_drawn(images):
    weights = np.full((len(images), 1, 1), 1.)
    assert representation.plot_attention(images[:, 0], weights, ["x"] * len(images)).axes


@FEW
@given(st.sampled_from(config.CLASSES), st.integers(1, 2), st.sampled_from([1, 8, 33]), seeds())
def test_volumes_of_any_size(name, count, size, seed):
    stack, plane = patients_module.phantom_stack(anatomy.load_atlas(), name, 0, count, size, seed)
    assert (
        stack.shape == (count, size, size) and stack.dtype == np.uint8 and plane in anatomy.PLANES)
    images, rows = patients_module.phantom_stacks(1, count, size, config.CLASSES[:2], seed)
    assert images.shape == (2 * count, size, size) and len(rows) == len(images)


# --- subtypes -------------------------------------------------------------------------------------

@given(points(least=5, dimensions=4), seeds())
def test_components_of_any_points(x, seed):
    x = np.asarray(x, np.float64)
    components: subtype_criteria.Components = subtype_criteria.fit_components(x, 2, seed)
    labels = subtype_criteria.assign(x, components)
    assert (labels.shape == (len(x),) and set(labels) <= {0, 1}
            and np.isfinite(subtype_criteria.bayesian_information(x, components)))
    train = np.arange(len(x)) % 3 > 0
    reduced = subtype_criteria.reduce_embeddings(x, train)
    assert (reduced.shape[0] == len(x) and np.isfinite(reduced).all()
            and np.allclose(reduced[train].mean(axis=0), 0, atol=1e-6 * (1 + np.abs(x).max())))
    refused(subtype_criteria.fit_components, x, len(x) + 1)
    refused(subtype_criteria.fit_components, x, 0)
    (refused(subtype_criteria.reduce_embeddings, x, np.zeros(len(x), bool)),
     refused(subtype_criteria.reduce_embeddings, x, train[1:]))
    groups = np.arange(len(x)) // 2
    drawn = subtype_criteria.draw_groups(groups, .5, np.random.default_rng(seed))
    assert 1 <= drawn.sum() <= len(x)
    agreement = subtype_criteria.stability(x, groups, 2, resamples=2)
    assert math.isnan(agreement) or -.5 <= agreement <= 1
    reference = subtype_criteria.structureless(x, 7, np.random.default_rng(seed))
    assert reference.shape == (7, x.shape[1])
    measured = subtype_criteria.separation(x, groups, 2, resamples=2)
    assert measured.shape == (2, 1)
    held = subtype_criteria.held_out_agreement(x, x[::2], 2)
    assert math.isnan(held) == (len(x[::2]) < 10) and (math.isnan(held) or -.5 <= held <= 1)
    assert math.isnan(subtype_criteria.held_out_bound(x, x[:3], 2, draws=1))
    gallery = subtypes.choose_slices(x, labels, groups)
    assert set(gallery["index"]) <= set(range(len(x))) and (gallery.kind == "medoid").sum() == len(
        set(labels))


@FEW
@given(points(least=12, most=30, dimensions=3), seeds())
def test_numbers_of_components(x, seed):
    x, groups = np.asarray(x, np.float64), np.arange(len(x)) // 2
    assert subtype_criteria._log_dispersions(x, 2, seed).shape == (2,)
    gap, error = subtype_criteria.gap_statistic(x, 2, 2, seed)
    assert (np.isfinite(gap).all() and (error >= 0).all()
            and subtype_criteria.choose_by_gap(gap, error) in (1, 2))
    criteria = subtype_criteria.measure_criteria(x, groups, 2, draws=2, resamples=2)
    chosen = subtype_criteria.choose_k(criteria)
    assert (set(chosen) == set(subtype_criteria.CRITERIA) and set(chosen.values()) <= {1, 2}
            and subtype_criteria.candidate(chosen, criteria) in (1, 2))
    assert "lower the largest" in refused(subtype_criteria.measure_criteria, x, groups, 99)
    refused(subtype_criteria.measure_criteria, x, groups[1:], 2)
    bounds = subtype_criteria.null_bounds(np.random.default_rng(seed).uniform(-1, 1, (3, 2)))
    assert (bounds.shape == (2,) and (np.abs(bounds) <= 1).all()
            and subtype_criteria.choose_above(np.array([2.0, 2.0]), bounds) == 3)
    confounders = pd.DataFrame({"viewing plane": "", "source": "a",
                                "contrast": np.arange(len(x)) * 1.})
    whole = subtypes.Slices("all", np.arange(len(x)), x, groups % 2 == 0, groups, confounders,
                            np.zeros(len(x), bool))
    one = subtypes.select_slices(whole, "glioma", np.arange(len(x)))
    assert isinstance(one, subtypes.Slices)
    if one.train.sum() < 10: return
    study, = subtypes.study_classes([one], claimed=2, largest=2, draws=1)
    assert (isinstance(study, subtypes.SubtypeStudy)
            and isinstance(study.claimed, subtypes.Division) and "\n" not in study.claimed.verdict)
    assert len(subtypes.subtype_table([study])) == 2 and subtype_figures.plot_criteria([study]).axes
    assert subtype_figures.plot_subtypes([study.claimed],
                                         np.zeros((len(x), 8, 8))).subfigs is not None
    again = subtypes.divide(one, 2, study.chosen, study.criteria, draws=1, permutations=3)
    assert len(again.clusters) == len(x)
    assert subtypes.study_class(one, 2, 2, 1, max_slices=20).claimed.k == 2


@given(st.data())
def test_properties_of_subclusters(data):
    n = data.draw(st.integers(1, 40))
    clusters, rng = data.draw(ids(n, 3, hidden=False)), np.random.default_rng(data.draw(seeds()))
    values = data.draw(
        st.sampled_from(["text", "unknown", "float", "nan", "constant", "int", "infinite"]))
    values = {"text": rng.choice(["", "a", "ü"], n), "unknown": np.full(n, ""),
              "float": rng.normal(size=n), "nan": np.where(rng.random(n) < 0.5, np.nan, 1.0),
              "constant": np.ones(n), "int": rng.integers(0, 3, n),
              "infinite": np.where(rng.random(n) < 0.5, np.inf, rng.normal(size=n))}[values]
    categories = subtype_criteria.as_categories(values)
    assert categories.shape == (n,) and (categories >= -1).all()
    told = subtype_criteria.associate(clusters, values, rng.integers(0, 5, n), permutations=5)
    assert 0 <= told["known"] <= 1 and (math.isnan(told["ami"]) or told["ami"] <= 1 + 1e-9
                                        and 0 < told["p"] <= 1
                                        and 0 <= told["cramers_v"] <= 1 + 1e-9)
    a, b = np.unique(clusters, return_inverse=True)[1], rng.integers(0, 3, n)
    order = subtype_criteria.in_random_blocks(b, rng)
    assert sorted(order) == list(range(n)) and (np.diff(b[order]) != 0).sum() == len(set(b)) - 1
    assert 0 < subtype_criteria.permutation_p(a, b, b, permutations=3) <= 1
    assert (1 - 1e-9 <= subtypes.effective_number(values.astype(str))
            <= len(set(values.astype(str))) + 1e-9)
    assert isinstance(subtypes.most_common(pd.Series(values)), str)
    described = subtypes.describe_subclusters(
        clusters, b, pd.DataFrame({"v": values}), np.zeros(n, bool))
    assert described.slices.sum() == n and np.isclose(described.fraction.sum(), 1)
    said = subtypes.objections(
        3, (), {"stability": (np.nan, 0.1)}, described, pd.DataFrame([{"property": "v", **told}]))
    assert said and all("\n" not in sentence_ for sentence_ in said)


@given(points(least=4), seeds())
def test_embeddings_changed_on_purpose(x, seed):
    rng, train = np.random.default_rng(seed), np.arange(len(x)) % 2 == 0
    values = rng.choice(["", "a", "b"], len(x))
    changed = subtypes.without_property(x, values, train)
    assert changed.shape == x.shape and np.isfinite(changed).all()
    scale_ = 1 + np.abs(x).max()
    for value in set(values[train]):
        assert np.allclose(changed[train & (values == value)].mean(axis=0),
                           x[train].astype(float).mean(axis=0), atol=1e-6 * scale_)
    (refused(subtypes.without_property, x, values[1:], train),
     refused(subtypes.without_property, x, values, train & False))
    where = rng.integers(0, x.shape[1], len(x))
    assert subtypes.plant_groups(x, where, np.arange(len(x))).shape == x.shape
    refused(subtypes.plant_groups, x, where + x.shape[1], np.arange(len(x)))


def test_a_patient_is_on_one_side_only():
    x, confounders = (np.random.default_rng(0).normal(size=(8, 3)),
                  pd.DataFrame({"viewing plane": [""] * 8}))
    slices_of = lambda train: subtypes.Slices("all", np.arange(8), x, train, np.zeros(8),
                                              confounders, np.zeros(8, bool))
    assert "both in training and held out" in refused(
        subtypes.select_slices, slices_of(np.arange(8) % 2 == 0), "glioma", np.arange(8))
    assert "training set" in refused(
        subtypes.select_slices, slices_of(np.zeros(8, bool)), "glioma", np.arange(8))
    x[3] = np.nan
    assert "not finite" in refused(
        subtypes.select_slices, slices_of(np.ones(8, bool)), "glioma", np.arange(8))


@given(scan_tables())
def test_make_up_of_any_table(table):
    quality = pd.DataFrame(
        {"estimated_plane": "axial", "foreground_fraction": 0.5, "signal_to_noise": np.nan,
         "sharpness": np.inf, "contrast": 0}, index=range(len(table)))
    for scans in (table, table.assign(plane="")):
        found = subtypes.confounders(scans, quality)
        assert len(found) == len(table) and (found["viewing plane"] == "axial").all()


# --- domains --------------------------------------------------------------------------------------

@given(points(least=2, dimensions=5), seeds())
def test_domains_are_aligned_or_refused(x, seed):
    x, rng = np.asarray(x, np.float64), np.random.default_rng(seed)
    target = rng.normal(size=(9, x.shape[1]))
    distance = domain_shift.coral_loss(x, target)
    assert distance >= 0 and np.isfinite(distance) and domain_shift.coral_loss(x, x) == 0
    assert domain_shift.covariance(x, .1).shape == (x.shape[1],) * 2
    aligned = answer(domain_shift.coral_align, x, target, refuses=ValueError)
    assert (aligned is None) == bool(np.allclose(x, x[0], rtol=0, atol=0)) or aligned is not None
    if aligned is not None:
        assert (aligned.shape == x.shape and np.isfinite(aligned).all()
                and np.allclose(aligned.mean(axis=0), target.mean(axis=0), atol=1e-3))
    power = domain_shift.matrix_power(domain_shift.covariance(target, .1), .5)
    assert np.allclose(power @ power, domain_shift.covariance(target, .1))
    for wrong in (target[:1], target[:0], np.hstack([target, target]), target * np.nan, target[0]):
        refused(domain_shift.coral_loss, x, wrong), refused(domain_shift.coral_align, x, wrong)
    refused(domain_shift.coral_align, np.ones((4, x.shape[1])), target)


@given(scan_tables(), st.integers(1, 4))
def test_sources_are_left_out_or_not(table, min_groups):
    table = table[table.label >= 0].reset_index(drop=True)
    table["source"] = np.where(np.arange(len(table)) % 2, "one", "two")
    for division in domain_shift.leave_one_source_out(table, min_groups=min_groups):
        assert (isinstance(division, domain_shift.LeftOut) and "\n" not in division.sentence
                and not set(division.train) & set(division.test))
        assert (table.source[division.train] != division.source).all() and (
            table.source[division.test] == division.source).all()
        assert set(table.label[division.test]) <= set(table.label[division.train])


def test_sources_need_different_names(tmp_path):
    for folders in ([], [tmp_path], [tmp_path, tmp_path]):
        refused(domain_shift.read_sources, folders)


def test_statistics_of_a_target(whole_data):
    network = NETWORKS["autoencoder"]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    for rows in (whole_data.train, whole_data.train[:1]):
        adapted = domain_shift.adapt_batch_norm(network, whole_data, rows, CPU)
        assert all(value.isfinite().all() for value in adapted.state_dict().values())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert "slice" in refused(domain_shift.adapt_batch_norm, network, whole_data,
                              whole_data.train[:0], CPU)
    everything = only(whole_data, IN_TRAIN)
    table = domain_shift.transfer_scores(
        FABRIC, encoders.make_network("autoencoder", 4, 32), everything, everything.train,
        np.arange(30), draws=10)
    assert len(table) == 6 and table.accuracy.between(0, 1).all() and (table.distance >= 0).all()


@FEW
@given(st.integers(1, 2), st.integers(1, 2), st.sampled_from([1, 16]), seeds())
def test_scanners(patients, count, size, seed):
    drawn = domain_shift.scanner_phantoms(domain_shift.SCANNERS["scanner_two"], patients, count,
                                          size, seed)
    assert drawn.images.shape == (4 * patients * count, size, size) and len(drawn.table) == len(
        drawn.images)
    patient, rng = phantoms.draw_patient(seed, "glioma", 0, anatomy.load_atlas())
    assert (
        domain_shift.scan_with(
            domain_shift.Scanner((1.0, 0.0, 0.0, 0.0), (0.0, 0.0), (0.0, 0.0)), patient, rng,
            0.0).noise
        == 0)


# --- pretraining ----------------------------------------------------------------------------------

@FEW
@given(st.integers(0, 9), st.sampled_from([16, 33]), seeds())
def test_drawn_heads_and_their_pictures(number, size, seed):
    signal, region, label = training_phantoms.render_classification_phantom(
        anatomy.load_atlas(), seed, number)
    assert (signal.shape == region.shape == (192, 192) and signal.dtype == region.dtype == np.uint8
            and label == number % 4 and set(np.unique(region)) <= {0, 1, 2, 3})
    rng = np.random.default_rng(seed)
    assert randomisation.draw_classification_view(rng, size).shape == (size, size, 2)
    picture, shown = randomisation.randomise_classification_phantom(rng, signal, region, size)
    assert picture.shape == (size, size) and picture.dtype == np.uint8 and shown >= 0
    for strange in (region * 0, region * 0 + 2):  # no head, nothing but tumour
        view = randomisation.randomise_classification_phantom(rng, signal * 0, strange, size)[0]
        assert view.shape == (size, size)
    pictures = answer(randomisation.randomised_views, seed, number, signal, region, 2, size,
                      refuses=ValueError)
    assert pictures is None or pictures.shape == (2, size, size)
    contrast = training_phantoms.draw_classification_contrast(rng, config.CLASSES[label])
    assert all(np.isfinite(value) for name, value in contrast.items() if name != "weighting")
    patient, _ = phantoms.draw_patient(seed, "glioma", number, anatomy.load_atlas())
    assert (
        training_phantoms.vary_anatomy(rng, patient.anatomy).affine.shape
        == patient.anatomy.affine.shape
        and training_phantoms.vary_tumour(rng, patient.tumour).radius > 0)


def test_heads_by_the_dozen():
    signals, regions, labels = training_phantoms.render_classification_phantoms(4)
    assert signals.shape == regions.shape == (4, 192, 192) and list(labels) == [0, 1, 2, 3]
    pictures = randomisation.randomise_classification_phantoms(signals, regions, 1, 32)
    assert pictures.shape == (4, 1, 32, 32)
    data = synthetic_pretraining.phantom_training_data(pictures, labels, .25)
    assert len(data.train) == 3 and len(data.test) == 1
    # nothing to standardise by
    refused(synthetic_pretraining.phantom_training_data, pictures * 0, labels)
    # fewer pictures than heads
    refused(synthetic_pretraining.phantom_training_data, pictures[:3], labels)
    # four pictures of three heads
    refused(synthetic_pretraining.phantom_training_data, pictures, labels[:3])
    refused(synthetic_pretraining.phantom_training_data, pictures, labels[:0])


def test_a_network_begins_as_asked():
    before = encoders.make_network("autoencoder", 2, 32).state_dict()
    for init in ("random", "autoencoder"):
        assert all(torch.equal(value, before[name])
                   for name, value in synthetic_pretraining.initialise(
                       encoders.make_network("autoencoder", 2, 32), init, ("x", "y")).state_dict()
                   .items())
    taught = synthetic_pretraining.load_phantom_weights(encoders.make_network("autoencoder", 2, 32),
                                              ("pituitary", "glioma"),
                                              synthetic_pretraining.phantom_weights_file())
    assert all(value.isfinite().all() for value in taught.state_dict().values())
    assert "autoencoder" in refused(
        synthetic_pretraining.load_phantom_weights, encoders.make_network("resnet18", 4, 32))
    # a head for another number of classes
    assert "autoencoder" in refused(
        synthetic_pretraining.load_phantom_weights, encoders.make_network("autoencoder", 3, 32))


# --- trust ----------------------------------------------------------------------------------------

@given(shares(), seeds(), st.floats(.05, 20), st.sampled_from(LAYOUTS))
def test_temperatures(p, seed, temperature, layout):
    p = untidy(p, layout)
    labels = np.random.default_rng(seed).integers(0, p.shape[1], len(p))
    scaled = calibration.scale_temperature(p, temperature)
    assert (scaled.shape == p.shape and sum_to_one(scaled)
            and np.allclose(calibration.scale_temperature(p, 1.0), np.maximum(p, 1e-12), atol=1e-5))
    assert (p[np.arange(len(p)), scaled.argmax(axis=1)] >= p.max(axis=1) - 1e-6).all()
    assert .05 <= calibration.fit_temperature(p, labels) <= 20.001
    refused(calibration.fit_temperature, p[:0], labels[:0])
    for wrong in (0., -1., np.nan, np.inf):
        refused(calibration.scale_temperature, p, wrong)


@given(shares(), seeds(), st.integers(1, 20))
def test_reliability_and_abstention(p, seed, bins):
    labels = np.random.default_rng(seed).integers(0, p.shape[1], len(p))
    table = calibration.reliability(p, labels, bins)
    assert (table.n.sum() == len(p) and (table.low <= table.accuracy + 1e-12).all()
            and (table.accuracy <= table.high + 1e-12).all() and len(table) <= bins)
    curve = calibration.abstention_curve(p, labels)
    assert (curve.coverage.iloc[-1] == 1 and curve.accuracy.between(0, 1).all()
            and curve.coverage.is_monotonic_increasing)
    assert np.isclose(curve.accuracy.iloc[-1], (p.argmax(axis=1) == labels).mean())
    assert not len(calibration.reliability(p[:0], labels[:0])) and not len(
        calibration.abstention_curve(p[:0], labels[:0]))


@FEW
@given(shares(), seeds())
def test_reliability_is_drawn(p, seed):
    labels = np.random.default_rng(seed).integers(0, p.shape[1], len(p))
    assert (calibration.plot_reliability({"one": {"said": calibration.reliability(p, labels)}}).axes
            and calibration.plot_abstention({"one": calibration.abstention_curve(p, labels)}).axes)


@given(shares(), shares(k=3), st.floats(.01, .99), seeds())
def test_prediction_sets(p, validation, coverage, seed):
    assume(p.shape[1] > 1)
    k, rng = p.shape[1], np.random.default_rng(seed)
    validation = rng.dirichlet(np.ones(k), len(validation) * 3).astype(np.float32)
    labels = rng.integers(0, k, len(validation))
    sets, thresholds = (calibration.prediction_sets(validation, labels, p, coverage),
                        calibration.set_thresholds(validation, labels, coverage))
    assert (sets.shape == p.shape and sets.dtype == bool
            and ((thresholds >= -1e-6) & (thresholds <= 1)).all())
    few = np.bincount(labels, minlength=k) < calibration.minimum_slices(coverage)
    # a class with too few slices is in every set
    assert sets[:, few].all() and (thresholds[few] == 0).all()
    own = calibration.prediction_sets(validation, labels, validation, coverage)
    for c in np.flatnonzero(~few):
        # as often as promised, on the slices it was made with
        assert own[labels == c, c].mean() >= coverage - 1e-9
    table = calibration.coverage_table(own, labels, tuple(map(str, range(k))), draws=0)
    assert (len(table) == k + 1 and table.coverage.dropna().between(0, 1).all()
            and table.slices.iloc[-1] == len(labels))
    assert calibration.prediction_sets(validation[:0], labels[:0], p, coverage).all()
    whole = calibration.trust_table(
        {"test": (validation, labels), "nothing": (validation[:0], labels[:0])}, 1.5,
        (validation, labels), coverage)
    assert (len(whole) == 2 and 0 <= whole.calibration_error[0] <= 1
            and whole.loc[1].drop(["part", "slices"]).isna().all())
    for wrong in (0., 1., -1., 2., np.nan):
        (refused(calibration.minimum_slices, wrong),
         refused(calibration.prediction_sets, validation, labels, p, wrong))


# --- labelling ------------------------------------------------------------------------------------

@given(st.data())
def test_lists_to_label(data):
    x = data.draw(points(least=2))
    n, rng = len(x), np.random.default_rng(data.draw(seeds()))
    p, labelled, groups = (data.draw(shares(n=n, k=3)),
                           rng.random(n) < data.draw(st.sampled_from([0.0, 0.5, 1.0])),
                           rng.choice(["a", "b", "ü", "", "e"], n))
    count = data.draw(st.sampled_from([1, 2, 5, 1000]))
    rows = active_learning.slices_to_label(x, p, labelled, groups, count)
    chosen = rows["index"].to_numpy()
    assert (len(rows) == min(count, len(set(groups) - set(groups[labelled])))
            and not labelled[chosen].any() and len(set(groups[chosen])) == len(chosen))
    assert rows.margin_uncertainty.between(-1e-6, 1 + 1e-6).all() and (
        not len(rows) or rows.stands_for.sum() == n)
    doubt = active_learning.margin_uncertainty(p)
    assert doubt.shape == (n,) and ((doubt >= -1e-6) & (doubt <= 1 + 1e-6)).all()
    reduced = np.asarray(x, np.float64)
    cell, distance = active_learning.cell_centres(reduced, np.ones(n), 3)
    assert cell.shape == distance.shape == (n,) and (distance >= 0).all()
    some_ = active_learning.representatives(reduced, np.ones(n), groups, labelled, 2, True)
    assert len(some_) <= 2 and sorted(
        active_learning.spread_out(reduced, np.ones(n), some_, np.zeros(0, int))) == sorted(some_)
    for wrong in ((x[1:], p, labelled, groups), (x, p[1:], labelled, groups),
                  (x, p, labelled[1:], groups), (x, p, labelled, groups[1:]),
                  (x, p[:, :1] * 0 + 1, labelled, groups), (x * np.nan, p, labelled, groups),
                  (x[:0], p[:0], labelled[:0], groups[:0])):
        refused(active_learning.slices_to_label, *wrong)
    refused(active_learning.slices_to_label, x, p, labelled, groups, 0)


# --- scale ----------------------------------------------------------------------------------------

@given(st.integers(0, 10 ** 4), st.integers(-3, 10 ** 4))
def test_parts_hold_every_slice_once(n, size):
    parts = answer(parts_module.cut_parts, n, size, refuses=() if size >= 1 else ValueError)
    if parts is None: return
    assert [row for part in parts[:50] for row in range(part.start, part.stop)] == list(
        range(min(n, 50 * size)))
    assert sum(part.stop - part.start for part in parts) == n and size >= 1
    done = []
    if len(parts) < 100:
        parts_module.for_each_part(lambda number: done.append(number) or 1, [1] * len(parts))
    assert len(parts) >= 100 or done == list(range(len(parts)))
    refused(parts_module.for_each_part, len, [], engine="cluster")


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_parts_are_joined_whole(tmp_path_factory, sizes):
    folder = tmp_path_factory.mktemp("parts")
    files = [folder / f"{number}.safetensors" for number in range(len(sizes))]
    rows = np.arange(sum(sizes) * 3, dtype=np.float16).reshape(-1, 3)
    for file, part in zip(files, np.split(rows, np.cumsum(sizes)[:-1])):
        files_module.save_tensors(file, {"embeddings": part})
    assert np.array_equal(
        parts_module.join_parts(files, "embeddings", len(rows), folder / "all.npy"), rows)
    for wrong in (len(rows) + 1, len(rows) - 1):
        refused(parts_module.join_parts, files, "embeddings", wrong, folder / "wrong.npy")
    assert not (folder / "wrong.npy").exists()


def test_folders_without_a_model_or_slices_are_refused(tmp_path):
    assert "model.json" in refused(parts_module.embed_folder, tmp_path, tmp_path, tmp_path / "out")
    arguments = [str(tmp_path), str(tmp_path), "--out", str(tmp_path / "out")]
    assert parts_module.embed_command(arguments) == 2


# --- comparison -----------------------------------------------------------------------------------

@given(st.lists(st.sampled_from(["a", "b/c", "c", "/x/c", "b/../c", "~", "ü b"]), max_size=4))
def test_names_of_runs_differ(folders):
    names = answer(comparison.run_names, folders, refuses=ValueError)
    if names is not None:
        assert len(set(names)) == len(names) == len(folders)


@FEW
@given(st.lists(st.one_of(st.just(np.nan), st.floats(0, 1)), min_size=1, max_size=4))
def test_any_runs_can_be_drawn(values):
    parts = [f"{called} {part}" for called in comparison.METHODS.values()
             for part in comparison.PARTS.values()]
    table = pd.DataFrame(
        [{"run": f"r{i}", "test": "A",
          **{f"{part}{end}": value for part in parts for end in ("", " low", " high")}}
         for i, value in enumerate(values)])
    assert (len(comparison.tidy_runs(table)) == 2 * len(values)
            and intervals.plot_intervals(comparison.tidy_runs(table)).axes)
    assert not len(comparison.tidy_runs(table[:0]))


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "\x00", '{"config": 3}'])
def test_rubbish_is_no_run(tmp_path, content):
    (tmp_path / "tables").mkdir()
    for name in ("run.json", "tables/methods.csv", "scans.parquet"):
        (tmp_path / name).write_text(content)
    for function in (lambda: comparison.read_run(tmp_path),
                     lambda: comparison.compare_runs([tmp_path]),
                     lambda: comparison.differing_settings([tmp_path])):
        refused(function)
    assert comparison.compare_command([str(tmp_path)]) == 2
