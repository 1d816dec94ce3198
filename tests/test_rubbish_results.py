"""Whatever a run, a folder or a visitor brings: figures are drawn, tables add up, names stay text, and what cannot be answered is refused in one sentence."""
import html
import inspect
import warnings
from functools import cache
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings, strategies as st
from matplotlib import pyplot
from matplotlib.figure import Figure
from rubbish import LAYOUTS, answer, at_most, broken_points, ids, no_pictures, pictures, points, seeds, sentence, shares, survives, untidy

from brainclust import annotation, app, card, explanation, export, plots, prediction, reading, report, segmentation
from brainclust.clustering import fit_mixture
from brainclust.encoders import make_network
from brainclust.training import make_fabric

FEW = settings(max_examples=max(3, settings.default.max_examples // 5))  # of what draws or asks a network
NAMES = ["glioma", "meningioma", "notumor", "pituitary", r"$\frac{$", "costs $5 or $7", "<img src=x onerror=alert(1)>", 'said "no"', "=1+1", "глиома", "_hidden", "a_b",
         "a very long name of a class of tumours that goes on", "R&D", "{name}", "100 %", "\\alpha", "'", "unknown", "back`tick", "a|b", "[x](javascript:1)"]
SIZES = (1, 2, 4, 40)  # classes


def class_names(n: int) -> list[str]:
    """So many different names, the first of which are unlikely ones."""
    return [*NAMES[4:], *NAMES[:4], *(f"class {k}" for k in range(n))][:n]


def drawn(function, *arguments, **named) -> Figure:
    """The figure of a plotting function, laid out and drawn without a warning, unknown to pyplot."""
    with at_most(60), warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = function(*arguments, **named)
        assert isinstance(figure, Figure)
        figure.draw_without_rendering()
    assert pyplot.get_fignums() == []
    return figure


def texts(figure: Figure) -> str:
    """All words of a figure that are shown, without line breaks."""
    from matplotlib.text import Text
    return " ".join(" ".join(text.get_text().split()) for text in figure.findobj(Text) if text.get_visible())


def refused(function, *arguments, kinds: tuple = (ValueError, TypeError), **named) -> str:
    """The one sentence with which a function refuses."""
    with at_most(20), pytest.raises(kinds) as error: function(*arguments, **named)
    return sentence(error.value)


def generator(seed: int) -> np.random.Generator: return np.random.default_rng(seed)


# --- plots ------------------------------------------------------------------------------------------------------------

@given(st.sampled_from(SIZES), st.booleans())
def test_every_class_has_a_colour(n, unknown):
    names = class_names(n) + ["x"] * unknown
    palette = plots.class_palette(names)
    assert list(palette) == list(dict.fromkeys(names))
    assert all(len(colour) == 7 and int(colour[1:], 16) >= 0 for colour in palette.values())
    assert len({colour for name, colour in palette.items() if name not in plots.UNKNOWN_NAMES}) == len(set(names) - set(plots.UNKNOWN_NAMES))


def counts_table(names: list[str], seed: int, missing: bool) -> pd.DataFrame:
    rng = generator(seed)
    rows = [(name, split, labelled, rng.integers(0, 2000)) for name in names for split in ("train", "test") for labelled in (True, False) if rng.random() < .8]
    table = pd.DataFrame(rows or [(names[0], "train", True, 3)], columns=["class_name", "split", "labelled", "n"])
    return table.assign(n=table["n"].where(rng.random(len(table)) < .9)) if missing else table


@FEW
@given(st.sampled_from(SIZES), seeds(), st.booleans())
def test_class_distribution(n, seed, missing):
    table = counts_table(class_names(n), seed, missing)
    figure = drawn(plots.plot_class_distribution, table)
    bars = sum(patch.get_width() for patch in figure.axes[0].patches)
    assert bars == table["n"].sum()
    if table["n"].isna().any(): assert f"Not counted: {table['n'].isna().sum()}" in texts(figure)
    for broken in (table[:0], table.drop(columns="n")): refused(plots.plot_class_distribution, broken)


@FEW
@given(st.lists(pictures(), max_size=6), st.sampled_from(NAMES), st.integers(1, 5))
def test_skull_stripping(images, title, columns):
    masks = [image > 100 for image in images]
    after = [image * mask for image, mask in zip(images, masks)]
    figure = drawn(plots.plot_skull_stripping, images, after, masks, [title] * len(images), columns)
    assert sum(len(axis.images) for axis in figure.axes) == 2 * len(images)
    for image, mask in zip(images[:1], masks):
        figure = drawn(plots.plot_skull_stripping_detail, image, image * mask, mask, title)
        assert len(figure.axes) == 3 and title.split()[0] in texts(figure)
    if images: refused(plots.plot_skull_stripping, images, after, masks, [])


@FEW
@given(pictures(), st.sampled_from(["grey", "one channel", "three channels", "three last", "float", "int64", "bool"]), st.sampled_from(NAMES))
def test_tensor_preparation(image, kind, name):
    array = {"grey": image, "one channel": image[None], "three channels": np.stack([image] * 3), "three last": np.stack([image] * 3, axis=-1), "float": image / 255. - .3,
             "int64": image.astype(np.int64) - 9, "bool": image > 100}[kind]
    figure = drawn(plots.plot_tensor_preparation, {name: array, "again": image})
    assert len(figure.axes) == 4 and figure.axes[0].images[0].get_array().shape[:2] == image.shape
    for wrong in (np.zeros((2, 3, 4, 5)), np.zeros(7), np.zeros((0, 4)), np.full((4, 4), np.nan), np.array([[1., np.inf]])):
        refused(plots.plot_tensor_preparation, {"wrong": wrong})
    refused(plots.plot_tensor_preparation, {})


@FEW
@given(st.dictionaries(st.sampled_from(plots.WORKFLOW_NUMBERS), st.sampled_from([0, 1, 10 ** 12, None, np.nan, np.int64(3), .25])), st.sampled_from(NAMES))
def test_workflow(numbers, encoder):
    numbers = {name: value for name, value in numbers.items() if name != "encoder"} | {"encoder": encoder}
    figure = drawn(plots.plot_workflow, numbers)
    assert encoder in texts(figure) and "{" not in texts(figure).replace(encoder, "") and "nan" not in texts(figure)
    refused(plots.plot_workflow, {"n_moons": 3})


@FEW
@given(points(least=4, most=24, dimensions=5), st.integers(1, 3), st.sampled_from(SIZES), seeds(), st.booleans())
def test_tsne_frames(embedding, epochs, n, seed, with_clusters):
    embedding = np.column_stack([embedding, embedding[:, :1] + 1]) if embedding.shape[1] == 1 else embedding
    by_epoch = {3 * epoch + 1: embedding * (1 + epoch) for epoch in range(epochs)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frames = plots.tsne_frames(by_epoch, seed=0)
    assert list(frames) == sorted(by_epoch)
    for frame in frames.values():
        assert frame.shape == (len(embedding), 2) and frame.dtype == np.float32 and np.isfinite(frame).all() and np.abs(frame.mean(axis=0)).max() < 1e-2 * max(1, np.abs(frame).max())
    rng, names = generator(seed), class_names(n)
    labels, clusters = rng.integers(-1, n, len(embedding)), {epoch: rng.integers(0, n, len(embedding)) for epoch in frames}
    figure = drawn(plots.plot_tsne_frames, frames, labels, clusters if with_clusters else None, class_names=names)
    assert len(figure.axes) == len(frames) * (1 + with_clusters)


@given(broken_points())
def test_tsne_of_what_is_no_embedding(embedding):
    refused(plots.tsne_frames, {1: embedding})
    refused(plots.tsne_frames, {})
    refused(plots.tsne_frames, {1: np.zeros((5, 3)), 2: np.zeros((6, 3))})
    refused(plots.tsne_frames, {1: np.zeros((3, 3))})


def history_table(epochs: int, clusters: int, seed: int, holes: bool) -> pd.DataFrame:
    """A history of the joint training, also of one epoch, with zero losses, and with what was not measured."""
    rng, shares_ = generator(seed), generator(seed).dirichlet(np.full(clusters, .3), epochs)
    columns = ["loss", "cross_entropy", "cluster_distance", "pseudo_labels", "reconstruction", "test_accuracy", "test_accuracy_clusters", "pseudo_label_accuracy", "cluster_change"]
    table = pd.DataFrame({"epoch": np.arange(1, epochs + 1), **{name: rng.choice([0, 1., 1e-6, 1e5 if k < 5 else 1], epochs) if seed % 2 else rng.random(epochs) for k, name in enumerate(columns)},
                          **{f"cluster_share_{k}": shares_[:, k] for k in range(clusters)}})
    return table.mask((rng.random(table.shape) < .3) & (table.columns != "epoch")) if holes else table


@FEW
@given(st.sampled_from([1, 2, 30]), st.sampled_from([1, 4, 40]), seeds(), st.booleans())
def test_curves_of_a_history(epochs, clusters, seed, holes):
    history = history_table(epochs, clusters, seed, holes)
    figure = drawn(plots.plot_losses, history)
    assert len(figure.axes[0].lines) == len(plots.LOSS_TERMS)
    for name in plots.LOSS_TERMS.values(): assert name in texts(figure)
    figure = drawn(plots.plot_accuracy, history, history, .935)
    measured = history["test_accuracy"].dropna()
    if len(measured): assert f"softmax head: {measured.iloc[-1]:.3f}" in texts(figure)
    names = class_names(clusters)
    figure = drawn(plots.plot_pseudo_labels, history, cluster_names=names)
    assert len(figure.axes) == 3
    for function in (plots.plot_losses, plots.plot_accuracy, plots.plot_pseudo_labels):
        refused(function, history[:0])
        refused(function, history[["epoch"]])


@FEW
@given(st.sampled_from(SIZES), st.integers(1, 3), seeds(), st.booleans())
def test_confusion(n, matrices, seed, empty):
    counts = {f"{NAMES[k + 4]} {k}": generator(seed + k).integers(0, 1 if empty else 900, (n, n)) for k in range(matrices)}
    figure = drawn(plots.plot_confusion, counts, class_names(n))
    for title, matrix in counts.items():
        assert (f"accuracy {np.trace(matrix) / matrix.sum():.3f}, n = {matrix.sum():,}" if matrix.sum() else "no slices") in texts(figure)
    for wrong in ({"a": np.zeros((n, n + 1))}, {"a": np.zeros(n)}, {}, {"a": np.full((n, n), np.nan)}): refused(plots.plot_confusion, wrong, class_names(n))
    refused(plots.plot_confusion, {"a": np.zeros((0, 0))}, [])


def accuracy_table(methods: list[str], seed: int, columns: bool = True) -> pd.DataFrame:
    rng = generator(seed)
    rows = [{"method": name, "test_set": part, "accuracy": rng.choice([0, 1, rng.random(), np.nan])} for name in methods for part in ("given", "clean")]
    table = pd.DataFrame(rows)
    return table.assign(low=(table.accuracy - .1).clip(0), high=(table.accuracy + .1).clip(upper=1), chance=.25) if columns else table


@FEW
@given(st.sampled_from([1, 3, 22]), seeds(), st.booleans())
def test_accuracies_as_bars_and_dots(n, seed, intervals):
    table = accuracy_table(class_names(n), seed, intervals)
    for figure in (drawn(plots.plot_method_comparison, table, .25), drawn(plots.plot_shortcuts, table, class_names(n)[:1])):
        shown = texts(figure)
        for value in table["accuracy"]: assert ("not measured" if np.isnan(value) else f"{value:.3f}") in shown
    for function in (plots.plot_method_comparison, plots.plot_shortcuts):
        refused(function, table[:0])
        refused(function, table.drop(columns="test_set"))


@FEW
@given(st.sampled_from([1, 5, 22]), st.integers(1, 4), seeds(), st.booleans())
def test_claims_as_dots(n, sources, seed, limits):
    rng = generator(seed)
    table = pd.DataFrame([{"quantity": name, "source": f"source {k}", "value": rng.choice([np.nan, -1, 0, 1, rng.random()])} for name in class_names(n) for k in range(sources)])
    table = table.assign(low=table.value - .1, high=table.value + .1) if limits else table
    shown = texts(drawn(plots.plot_claims, table))
    for value in table["value"]: assert ("not measured" if np.isnan(value) else f"{value:.3f}") in shown
    for value in (1.5, -2, np.inf): refused(plots.plot_claims, table.assign(value=value))
    refused(plots.plot_claims, table[:0])


@given(shares(), st.integers(0, 5), st.booleans(), seeds())
def test_gallery_selection(gamma, each, distant, seed):
    distances = generator(seed).random(len(gamma)) if distant else None
    selection = plots.gallery_selection(gamma, distances, each)
    assert list(selection) == ["cluster", "kind", "index"] and selection["index"].is_unique
    assert (gamma[selection["index"].to_numpy(int)].argmax(axis=1) == selection["cluster"]).all()
    sizes = np.bincount(gamma.argmax(axis=1), minlength=gamma.shape[1])
    assert selection.groupby("cluster").size().to_dict() == {k: min(2 * each, size) for k, size in enumerate(sizes) if min(2 * each, size)}
    for how in LAYOUTS: pd.testing.assert_frame_equal(selection, plots.gallery_selection(untidy(gamma, how), distances, each))


@FEW
@given(st.integers(1, 12), st.sampled_from([1, 4, 40]), seeds(), st.sampled_from(["(N, H, W)", "(N, 1, H, W)", "1 x 1", "1 row"]))
def test_galleries_of_clusters(n, k, seed, kind):
    rng = generator(seed)
    images = rng.integers(0, 256, {"(N, H, W)": (n, 9, 9), "(N, 1, H, W)": (n, 1, 9, 7), "1 x 1": (n, 1, 1), "1 row": (n, 1, 5)}[kind], dtype=np.uint8)
    gamma = rng.dirichlet(np.ones(k), n)
    selection, names = plots.gallery_selection(gamma), class_names(k)
    figure = drawn(plots.plot_gallery, images, selection, rng.integers(-1, k, n), names, captions=[NAMES[i % len(NAMES)] for i in range(n)])
    assert sum(len(axis.images) for axis in figure.axes) == len(selection)
    refused(plots.plot_gallery, images, selection[:0], np.zeros(n, int), names)


@given(st.dictionaries(st.sampled_from(["read", "train", "draw"]), st.sampled_from([0, 1e-9, .5, 100., 1e6])), seeds())
def test_seconds(seconds, seed):
    rng = generator(seed)
    parts = {stage: {f"part {k}": rng.choice([0., .1, 50.]) for k in range(rng.integers(0, 4))} for stage in seconds if rng.random() < .7}
    table = plots.seconds_of_parts(seconds, parts)
    assert list(table) == ["stage", "part", "seconds", "share"] and (table["seconds"] >= 0).all()
    for stage, total in seconds.items(): assert table.seconds[table.stage == stage].sum() == pytest.approx(total, rel=2e-3, abs=1e-12)
    assert table["share"].sum() == pytest.approx(1 if sum(seconds.values()) > 1e-9 else table["share"].sum())


@FEW
@given(st.sampled_from([{}, {r"$\frac{$": 0.}, {name: 10. ** k for k, name in enumerate(NAMES[:9])}, {"a": np.nan, "_b": 3.}]), st.booleans())
def test_seconds_as_bars(seconds, alternatives):
    figure = drawn(plots.plot_seconds, seconds, {name: {"$\\frac{$": 1., "loading": .5} for name in seconds}, alternatives)
    for name, value in seconds.items():
        if np.isnan(value): assert f"Not measured: {name}" in texts(figure)


def test_responsibilities_of_many_clusters():
    assert len(drawn(plots.plot_responsibilities, np.eye(22)[:3], class_names(22)).axes) == 25


@FEW
@given(shares(), st.booleans())
def test_responsibilities(gamma, named):
    k = gamma.shape[1]
    figure = drawn(plots.plot_responsibilities, gamma, class_names(k) if named else None)
    assert sum(bar.get_height() for axis in figure.axes for bar in axis.patches) == len(gamma)
    for wrong in (gamma * 2, gamma[0], np.full((3, 2), np.nan), np.zeros((3, 0)), np.zeros((0, 0))): refused(plots.plot_responsibilities, wrong)


@FEW
@given(st.integers(1, 5), st.sampled_from([(1, 1), (1, 7), (8, 8), (1, 8, 8)]), st.sampled_from(["noise", "constant"]), seeds())
def test_reconstructions(n, shape, kind, seed):
    x = generator(seed).normal(size=(n, *shape)) if kind == "noise" else np.full((n, *shape), 3.)
    assert len(drawn(plots.plot_reconstructions, x, x * .9).axes) == 3 * n + 1
    assert len(drawn(plots.plot_reconstructions, x, x).axes) == 3 * n + 1
    for wrong in (x[:0], x[..., :0], np.zeros((n + 1, *shape))): refused(plots.plot_reconstructions, x, wrong)
    refused(plots.plot_reconstructions, x[:0], x[:0])


@FEW
@given(st.sampled_from((1, 2, 6)), st.integers(1, 30), seeds())
def test_tables_of_a_collection(n, slices_, seed):
    rng, names = generator(seed), class_names(n)
    table = pd.DataFrame({"width": rng.choice([1, 64, 4000], slices_), "height": rng.choice([1, 64, 4000], slices_), "class_name": rng.choice(names, slices_)})
    figure = drawn(plots.plot_image_sizes, table)
    for size in table.groupby("class_name").size(): assert f"{size:,} slices" in texts(figure)
    refused(plots.plot_image_sizes, table[:0])
    histograms = pd.DataFrame([(stage, name, value, rng.choice([0, .5])) for stage in ("as read", r"$\frac{$") for name in names for value in (0, 128)], columns=["stage", "class_name", "value", "share"])
    assert len(drawn(plots.plot_intensity_histograms, histograms).axes) == 2 * n
    refused(plots.plot_intensity_histograms, histograms[:0])
    quality = table.assign(signal_to_noise=rng.choice([np.nan, 0, 1e-3, 5, 1e6], slices_), sharpness=rng.choice([np.nan, 0, .2, 300], slices_))
    odd = pd.DataFrame({"row": np.arange(slices_)[:10], "why": [NAMES[k % len(NAMES)] for k in range(min(slices_, 10))]})
    for odd_ones in (odd, odd[:0]):
        figure = drawn(plots.plot_quality, quality, odd_ones, [np.zeros((5, 5), np.uint8)] * min(8, len(odd_ones)))
        assert len(figure.axes) == 1 + min(8, len(odd_ones))
    refused(plots.plot_quality, quality[:0], odd[:0], [])


@FEW
@given(pictures(), st.integers(0, 4), seeds())
def test_windowing(image, n, seed):
    windowed = {class_names(9)[k]: (image, *sorted(generator(seed + k).uniform(0, 255, 2))) for k in range(n)}
    assert len(drawn(plots.plot_windowing, image, windowed).axes) == 2 * (1 + n)


@FEW
@given(st.lists(pictures(), min_size=1, max_size=8), st.integers(0, 3), st.integers(1, 7))
def test_suspects(images, shift, columns):
    table = pd.DataFrame({"given": class_names(40)[shift:shift + len(images)], "suggested": class_names(40)[20:20 + len(images)], "probability": .5})
    figure = drawn(plots.plot_suspects, images, table, columns)
    assert sum(len(axis.images) for axis in figure.axes) == len(images)
    for given_, suggested in zip(table.given, table.suggested): assert " ".join(f"{suggested}?".split()) in texts(figure)
    for wrong in (images + images[:1], []): refused(plots.plot_suspects, wrong, table)
    refused(plots.plot_suspects, [], table[:0])


def test_figures_are_saved_whole_or_not_at_all(tmp_path):
    figure, axes = plots.new_figure(2, 2, 1, 2)
    assert axes.shape == (1, 2) and pyplot.get_fignums() == []
    axes[0, 0].set_title(r"$\frac{$")
    for suffix in (".png", ".pdf", ".svg"):
        figure = plots.house_style(lambda: figure)()
        assert plots.save_figure(figure, tmp_path / f"骨 <b>{suffix}").stat().st_size > 100
    assert plots.PlotFigure._repr_png_(figure)[:4] == b"\x89PNG"
    for name in ("figure", "figure.jpeg", "figure.PNG "): refused(plots.save_figure, figure, tmp_path / name)
    assert len(list(tmp_path.iterdir())) == 3


# --- explanation ------------------------------------------------------------------------------------------------------

@cache
def network(classes: int = 3):
    """An untrained network of 32 pixels, and a mixture of its embeddings."""
    made = make_network("autoencoder", classes, 32, seed=0).eval()
    with torch.no_grad(): embeddings = made(torch.randn(24, 1, 32, 32, generator=torch.Generator().manual_seed(0)))[0].numpy()
    return made, fit_mixture(embeddings, 4)


@st.composite
def mask_pairs(draw, n: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Two stacks of bool masks (N, H, W) of one shape: empty, full, equal, disjoint, of one pixel, or noise."""
    n, height, width = n if n is not None else draw(st.integers(0, 4)), draw(st.integers(1, 20)), draw(st.integers(1, 20))
    rng = generator(draw(seeds()))
    masks, truths = (rng.random((n, height, width)) < rng.choice([0, .1, .6, 1], (n, 1, 1)) for _ in range(2))
    kind = draw(st.sampled_from(["any", "equal", "disjoint"]))
    truths = masks.copy() if kind == "equal" else ~masks if kind == "disjoint" else truths
    return tuple(untidy(part, draw(st.sampled_from(LAYOUTS))) for part in (masks, truths))


@given(points(least=1, most=6, dimensions=5))
def test_log_odds(scores):
    odds = explanation.log_odds(torch.from_numpy(scores.astype(np.float64)))
    p = torch.from_numpy(scores.astype(np.float64)).softmax(dim=1)
    inside = (p > 1e-9) & (p < 1 - 1e-9)
    assert torch.allclose(odds[inside], (p / (1 - p)).log()[inside], atol=1e-6, rtol=1e-5)
    assert not odds.isnan().any()


@given(points(least=1, most=6, dimensions=6), st.integers(0, 7), st.booleans())
def test_turns_are_undone(x, turns, mirrored):
    square = torch.from_numpy(np.array(x))[:, None, :, None].expand(-1, 1, x.shape[1], x.shape[1])
    assert torch.equal(explanation.turn_back(explanation.turn(square, turns, mirrored), turns, mirrored), square)


@given(mask_pairs(), seeds())
def test_scores_of_maps(pair, seed):
    masks, other = pair
    for cams in (generator(seed).random(masks.shape), np.zeros(masks.shape), np.ones(masks.shape, np.float32), masks.astype(float)):
        table = explanation.cam_scores(untidy(cams, "fortran"), masks)
        assert list(table) == list(explanation.CAM_SCORES) and len(table) == len(masks)
        assert (table.isna().any(axis=1) == ~masks.any(axis=(1, 2))).all() and table.astype(float).stack().dropna().between(0, 1 + 1e-9).all()
        pd.testing.assert_frame_equal(table, explanation.cam_scores(cams, masks))
    table = explanation.cam_scores(masks.astype(float), masks)
    assert (table[masks.any(axis=(1, 2))] == 1).all(axis=None)  # a mask is its own best map
    for mask, cam in zip(masks, other.astype(float)):
        if mask.any(): assert explanation.score_cam(cam, mask)[2] == explanation.best_iou(cam if cam.any() else np.ones(cam.shape), mask) > 0
    compared = answer(explanation.compare_maps, {"a_cam": other.astype(float), NAMES[4]: np.ones(masks.shape)}, masks, np.arange(len(masks)) // 2, 20, refuses=(ValueError,))
    if compared is None: assert not masks.any()
    else:
        assert (compared.slices == masks.any(axis=(1, 2)).sum()).all()
        for score in explanation.CAM_SCORES: assert (compared[f"{score}_low"] <= compared[score] + 1e-9).all() and (compared[f"{score}_high"] >= compared[score] - 1e-9).all()
        flat = explanation.map_results(compared)
        assert len(flat) == 2 * len(explanation.CAM_SCORES) and flat["a_cam_best_iou"] == compared.best_iou[0]
        assert explanation.map_results(compared, intervals=True)["a_cam_best_iou"] == [compared.best_iou_low[0], compared.best_iou_high[0]]
        drawn(explanation.plot_map_scores, compared)


@given(mask_pairs(n=2))
def test_scores_of_what_is_no_map(pair):
    masks = pair[0]
    for cams in (np.full(masks.shape, np.nan), np.full(masks.shape, np.inf), -np.ones(masks.shape), np.ones((2, 99, 99)), np.ones(masks.shape)[:1]): refused(explanation.cam_scores, cams, masks)
    refused(explanation.cam_scores, np.ones(masks.shape), masks.astype(np.uint8) * 255)


@given(mask_pairs(n=3), seeds())
def test_maps_without_a_network(pair, seed):
    masks = pair[0]
    images = generator(seed).integers(0, 256, masks.shape, dtype=np.uint8)
    for name, maps in explanation.prior_maps(images, masks).items():
        assert maps.shape == masks.shape and maps.dtype == np.float32 and (maps >= 0).all() and (maps <= 1 + 1e-6).all(), name
    assert (explanation.centre_prior(masks) == explanation.centre_prior(untidy(masks, "reversed"))).all()
    scaled = explanation.scale_to_maximum(torch.from_numpy(masks.astype(np.float32) * 3))
    assert torch.equal(scaled, torch.from_numpy(masks.astype(np.float32)))


@FEW
@given(st.integers(0, 3), seeds(), st.sampled_from(list(explanation.METHODS)), st.sampled_from(list(explanation.VIEWS)), st.sampled_from(["noise", "constant", "equal"]))
def test_maps_of_a_network(n, seed, method, views, kind):
    made, mixture = network()
    rng = generator(seed)
    x = torch.from_numpy(rng.normal(size=(n, 1, 32, 32)).astype(np.float32) * (kind == "noise") + (kind == "constant"))
    for function, who, targets in ((explanation.grad_cam, (made,), rng.integers(0, 3, n)), (explanation.cluster_cam, (made, mixture), rng.integers(0, 4, n))):
        maps = function(*who, x, targets, method=method, views=views)
        assert maps.shape == (n, 32, 32) and maps.dtype == np.float32 and (maps >= 0).all() and (maps <= 1).all()
        assert (function(*who, x.transpose(2, 3).contiguous().transpose(2, 3), list(targets), method=method, views=views) == maps).all()
    covered = explanation.occlusion_maps(explanation.HeadScores(made), x, [0] * n, patch=16)
    assert covered.shape == (n, 32, 32) and (covered >= 0).all() and (covered <= 1).all()
    if n:
        table = explanation.compare_layers(made, x, [0] * n, np.ones((n, 32, 32), bool), explanation.layer_ladder(made)[-1:], list(explanation.METHODS), list(explanation.VIEWS)[:2])
        assert len(table) == 6 and (table.slices == n).all()
        drawn(explanation.plot_layers, table)


@given(seeds())
def test_map_requests_that_cannot_be_met(seed):
    made, mixture = network()
    x = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(seed))
    for targets in ([0], [0, 3], [0, -1], [0, .5], [np.nan, 0], [0, 1, 2], ["glioma", 0]): refused(explanation.grad_cam, made, x, targets)
    for wrong in (x[0], x[..., :16], x[:, 0]): refused(explanation.cluster_cam, made, mixture, wrong, [0] * len(wrong))
    refused(explanation.check_cam_request, made, x, [0, 0], ["absent"], "layercam", "one", 3)
    for options in ({"method": "x"}, {"views": "x"}, {"layer": "x"}, {"layer": ["head", "x"]}): refused(explanation.grad_cam, made, x, [0, 0], **options)
    refused(explanation.default_layers, SimpleNamespace(encoder=torch.nn.Linear(1, 1)))
    refused(explanation.occlusion_maps, explanation.HeadScores(made), x, [0, 0], 33)


@FEW
@given(st.integers(1, 2), seeds())
def test_randomised_networks(n, seed):
    made, _ = network()
    x = torch.randn(n, 1, 32, 32, generator=torch.Generator().manual_seed(seed))
    check, maps = explanation.randomisation_check(made, x, [0] * n, seed, views="one")
    assert list(check) == ["randomised", "rank_correlation", "structural_similarity"] and check["randomised"].tolist() == list(maps) == ["nothing", *(name for name, _ in explanation.weight_stages(made))]
    assert check["structural_similarity"][0] == pytest.approx(1) and check["rank_correlation"].dropna().between(-1 - 1e-9, 1 + 1e-9).all()
    same = explanation.randomise(made, [], seed)
    assert all(torch.equal(a, b) for a, b in zip(made.state_dict().values(), same.state_dict().values()))
    drawn(explanation.plot_randomisation, check, np.zeros((32, 32), np.uint8), np.zeros((32, 32), bool), {stage: cams[0] for stage, cams in maps.items()})


@given(st.integers(1, 3), st.integers(7, 12), seeds())
def test_likeness_of_maps(n, side, seed):
    a, b = generator(seed).random((2, n, side, side))
    assert explanation.rank_correlation(a, a) == pytest.approx(1) and explanation.rank_correlation(a, -a) == pytest.approx(-1)
    assert explanation.rank_correlation(a, b) == pytest.approx(explanation.rank_correlation(b, a))
    assert np.isnan(explanation.rank_correlation(a, np.ones_like(a))).all()
    assert explanation.structural_similarities(a, a) == pytest.approx(1) and (explanation.structural_similarities(a, b) <= 1).all()
    survives(explanation.structural_similarities, a[:, :2], b[:, :2])


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), seeds())
def test_squares_cover_a_slice(side, patch, stride, seed):
    if patch > side: return
    positions = explanation.square_positions(side, patch, stride)
    assert len(set(positions)) == len(positions) and all(0 <= place <= side - patch for corner in positions for place in corner)
    falls = generator(seed).normal(size=len(positions))
    spread = explanation.spread_falls(falls, positions, patch, side)
    assert spread.shape == (side, side) and (spread >= 0).all() and spread.max() <= max(falls.max(), 0) + 1e-9
    image = torch.zeros(1, side, side)
    covered = explanation.occlude(image, image + 1, positions[:50], patch)
    assert (covered.sum(dim=(1, 2, 3)) == patch ** 2).all() and image.sum() == 0
    assert torch.allclose(explanation.blurred(image[None] + 3, 2.), image[None] + 3)


@given(pictures(), st.sampled_from(["zeros", "ones", "noise"]), seeds())
def test_a_map_over_a_slice(image, kind, seed):
    cam = {"zeros": np.zeros(image.shape), "ones": np.ones(image.shape), "noise": generator(seed).random(image.shape)}[kind]
    colours = explanation.overlay(image, cam)
    assert colours.shape == (*image.shape, 3) and (colours >= 0).all() and (colours <= 1).all()
    if kind == "zeros": assert (colours == image[..., None] / 255.).all()
    assert (explanation.overlay(untidy(image, "reversed"), untidy(cam, "strided")) == colours).all()
    for wrong in (cam[None], np.zeros((99, 99)), cam[..., None], np.full(image.shape, np.nan), np.zeros(())): refused(explanation.overlay, image, wrong)
    drawn(explanation.plot_maps, image[None], {r"$\frac{$": cam[None], "<b>": cam[None]}, (cam > .5)[None], [NAMES[4]])


@given(no_pictures(), st.booleans())
def test_a_map_over_no_slice(image, fitting):
    shape = np.shape(image) if fitting and not isinstance(image, str) else (8, 8)
    if getattr(image, "size", 1): refused(explanation.overlay, image, np.zeros(shape))
    _, axes = plots.new_figure(1, 1)
    survives(explanation.show_overlay, axes[0, 0], image, np.zeros(shape), None)


@given(st.integers(1, 30), st.sampled_from(SIZES), seeds(), st.integers(0, 4))
def test_cases_for_a_gallery(n, classes, seed, each):
    rng = generator(seed)
    truth, predicted = rng.integers(-1, classes, n), rng.integers(0, classes, n)
    cases = explanation.gallery_cases(truth, predicted, each)
    assert list(cases) == ["row", "truth", "right"] and cases["row"].is_unique and (cases["truth"] >= 0).all()
    rows = cases["row"].to_numpy(int)
    assert (truth[rows] == cases["truth"]).all() and ((predicted[rows] == truth[rows]) == cases["right"]).all()
    assert not len(cases) or cases.groupby(["truth", "right"]).size().max() <= each


@FEW
@given(st.integers(1, 6), st.sampled_from((1, 3)), seeds())
def test_gallery_of_maps(n, classes, seed):
    rng, names = generator(seed), class_names(classes)
    truth, predicted, images = rng.integers(0, classes, n), rng.integers(0, classes, n), rng.integers(0, 256, (n, 6, 6), dtype=np.uint8)
    cases, masks = explanation.gallery_cases(truth, predicted, 2), rng.random((n, 6, 6)) > rng.choice([0, .5, 1])
    figure = drawn(explanation.plot_cam_gallery, images, rng.random((n, 6, 6)), masks, cases, predicted, rng.random(n), names)
    assert sum(len(axis.images) for axis in figure.axes) == len(cases)
    refused(explanation.plot_cam_gallery, images, images / 255, masks, cases[:0], predicted, rng.random(n), names)


# --- segmentation -----------------------------------------------------------------------------------------------------

@given(mask_pairs())
def test_scores_of_masks(pair):
    masks, truths = pair
    table = segmentation.score_masks(masks, truths).astype(float)
    assert list(table) == [*segmentation.METRICS, "empty_prediction", "empty_truth"] and len(table) == len(masks)
    assert table[["dice", "iou"]].stack().between(0, 1).all() and (table.hd95 >= 0).all() and (table.hd95 <= np.hypot(*masks.shape[1:])).all()
    other = segmentation.score_masks(truths, masks).astype(float)
    for metric in segmentation.METRICS: assert (table[metric] == other[metric]).all()
    assert np.allclose(table.dice, 2 * table.iou / (1 + table.iou))
    same = segmentation.score_masks(masks, masks)
    assert (same[["dice", "iou"]] == 1).all(axis=None) and (same.hd95 == 0).all()
    for mask, truth in zip(masks, truths):
        assert segmentation.iou(mask, truth) == segmentation.iou(untidy(mask, "strided"), truth)
        assert segmentation.hausdorff_95(mask, truth, 2.) == pytest.approx(2 * segmentation.hausdorff_95(mask, truth))
        edge = segmentation.mask_edge(mask)
        assert edge.dtype == bool and not (edge & ~mask).any() and edge.any() == mask.any()
    for wrong in (truths.astype(np.uint8) * 255, truths.astype(float), truths[None], np.zeros((9, 33, 33), bool)): refused(segmentation.score_masks, masks, wrong)


@given(st.integers(1, 20), st.sampled_from((1, 3)), seeds(), st.booleans())
def test_intervals_of_scores(n, classes, seed, holes):
    rng = generator(seed)
    table = pd.DataFrame({"class_name": rng.choice(class_names(classes), n), "patient": rng.choice(["p", "q", ""], n), **{metric: rng.random(n) for metric in segmentation.METRICS}})
    if holes: table.loc[rng.random(n) < .6, "hd95"] = np.nan
    found = segmentation.score_intervals(table, draws=20)
    assert list(found) == ["class_name", "metric", "mean", "low", "high", "slices"]
    known = found[found.slices > 0]
    assert (known.low <= known["mean"] + 1e-9).all() and (known.high >= known["mean"] - 1e-9).all()
    for metric in segmentation.METRICS:
        rows = found[found.metric == metric].set_index("class_name")
        assert rows.slices["all"] == rows.slices.drop("all").sum() == table[metric].notna().sum()
        assert rows["mean"]["all"] == pytest.approx(table[metric].mean(), nan_ok=True)
    both = pd.concat([found.assign(method=name) for name in (r"$\frac{$", "U-Net")])
    drawn(segmentation.plot_scores, both.dropna())


@st.composite
def brains(draw) -> tuple[np.ndarray, np.ndarray]:
    """A slice and its brain mask, which may be empty, full, or a disc."""
    image = draw(pictures(largest=48))
    y, x = np.mgrid[:image.shape[0], :image.shape[1]]
    disc = (x - image.shape[1] / 2) ** 2 + (y - image.shape[0] / 2) ** 2 < min(image.shape) ** 2 / 5
    return image, {"disc": disc, "full": np.ones(image.shape, bool), "empty": np.zeros(image.shape, bool), "bright": image > 0}[draw(st.sampled_from(["disc", "full", "empty", "bright"]))]


@given(brains(), st.sampled_from(["kmeans", "gmm"]), st.integers(2, 5))
def test_levels_of_a_slice(pair, method, clusters):
    image, brain = pair
    counts = segmentation.level_counts(image, brain)
    assert counts.shape == (256,) and counts.sum() == brain.sum()
    if not brain.any(): return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a mixture that has not converged
        ranks = segmentation.rank_levels(counts, clusters, method)
    assert ranks.shape == (256,) and ranks.min() >= 0 and ranks.max() < clusters
    if method == "kmeans": assert (np.diff(ranks) >= 0).all()
    refused(segmentation.rank_levels, counts, clusters, "moons")


@given(brains(), st.integers(0, 3))
def test_the_companions_segmentation(pair, radius):
    image, brain = pair
    steps = segmentation.kmeans_steps(image, brain, radius)
    assert list(steps) == ["windowed", "bright", "eroded", "dilated"] and all(step.shape == image.shape for step in steps.values())
    assert steps["windowed"].dtype == np.uint8 and all(steps[name].dtype == bool for name in ("bright", "eroded", "dilated"))
    assert not (steps["bright"] & ~brain).any() and not (steps["eroded"] & ~steps["bright"]).any()
    for how in LAYOUTS:
        for name, step in segmentation.kmeans_steps(untidy(image, how), untidy(brain, how), radius).items(): assert (step == steps[name]).all()


@FEW
@given(brains(), seeds())
def test_regions_of_a_slice(pair, seed):
    image, brain = pair
    cam = generator(seed).random(image.shape)
    choice = segmentation.choose_region(image, brain, cam)
    assert choice.mask.dtype == bool and choice.mask.shape == image.shape and -1 <= choice.chosen < len(choice.candidates)
    assert (choice.chosen < 0) == (len(choice.candidates) == 0)
    again = segmentation.choose_region(untidy(image, "strided"), untidy(brain, "fortran"), untidy(cam, "reversed"))
    assert (again.mask == choice.mask).all()
    if len(choice.candidates):
        assert len({candidate.tobytes() for candidate in choice.candidates}) == len(choice.candidates) and all(candidate.any() for candidate in choice.candidates)
        assert np.isfinite(choice.numbers.to_numpy()).all() and len(choice.numbers) == len(choice.candidates)
        assert choice.chosen == choice.numbers["score"].argmax()
        weights = segmentation.fit_candidate_weights(choice.numbers.drop(columns="score"), generator(seed).random(len(choice.candidates)), np.zeros(len(choice.candidates), int))
        assert np.isfinite(list(weights.values())).all()
        assert segmentation.candidate_scores(choice.numbers, weights).shape == (len(choice.candidates),)
    drawn(segmentation.plot_choice, image, cam, choice.candidates, choice.chosen, choice.mask)
    drawn(segmentation.plot_kmeans_steps, image, segmentation.kmeans_steps(image, brain), brain)
    drawn(segmentation.plot_outlines, [image] * 3, [brain] * 3, [choice.mask] * 3, NAMES[4:7])


def test_regions_of_a_tumour():
    y, x = np.mgrid[:64, :64]
    brain, tumour = (x - 32) ** 2 + (y - 32) ** 2 < 700, (x - 22) ** 2 + (y - 36) ** 2 < 40
    image = (brain * 90 + tumour * 110).astype(np.uint8)
    choice = segmentation.choose_region(image, brain, tumour + .1)
    assert segmentation.score_masks(choice.mask[None], tumour[None]).dice[0] > .8
    assert (segmentation.choose_region(image, brain, np.zeros(image.shape)).mask & brain).any()  # no evidence counts as uniform
    drawn(segmentation.plot_choice, image, tumour * 1., choice.candidates, choice.chosen, tumour)
    for cam in (np.ones((9, 9)), np.full(image.shape, np.nan), -np.ones(image.shape), tumour[..., None] * 1.): refused(segmentation.choose_region, image, brain, cam)


@given(no_pictures())
def test_segmentation_of_no_slice(image):
    brain = np.ones(np.shape(image) if not isinstance(image, str) else (3, 3), bool)
    for mask in (brain, np.ones((5, 5), bool)):
        refused(segmentation.kmeans_steps, image, mask)
        refused(segmentation.smooth_slice, image, mask)
        refused(segmentation.choose_region, image, mask, np.ones(mask.shape))
    good = np.zeros((5, 5), np.uint8)
    for mask in (brain.astype(np.uint8) * 255, np.ones((5, 4), bool), None, [[True]]): refused(segmentation.check_slice, good, mask)


@given(mask_pairs(n=1), st.integers(0, 4))
def test_shapes_of_regions(pair, radius):
    mask = pair[0][0]
    kernel = segmentation.disc(radius)
    assert kernel.shape == (2 * radius + 1,) * 2 and kernel.dtype == np.uint8 and (kernel == kernel[::-1, ::-1]).all()
    for region in segmentation.regions(mask.astype(np.uint8), max(radius, 1), (1, mask.size)):
        assert region.dtype == bool and 1 <= region.sum() <= mask.size and 0 < segmentation.roundness(region.astype(np.uint8)) <= 1
        box = segmentation.box_around(region, radius)
        assert region[box].sum() == region.sum()
        whole = segmentation.bridge_gaps(region, radius)
        assert whole.dtype == bool and not (region & ~whole).any()


@given(mask_pairs(n=1), seeds(), st.sampled_from([0., .5, 1.1]))
def test_likely_masks(pair, seed, sure):
    mask, rng = pair[0][0], generator(seed)
    found = segmentation.likely_mask(mask.astype(np.float32), sure)
    assert found.dtype == bool and (found == (mask if mask.any() and sure <= 1 else np.zeros_like(mask))).all()
    probability = rng.random(mask.shape)
    assert (segmentation.likely_mask(untidy(probability, "reversed"), sure) == segmentation.likely_mask(probability, sure)).all()
    for wrong in (probability * np.nan, probability + np.inf, probability[:0]): refused(segmentation.likely_mask, wrong)


@given(st.integers(1, 30), st.sampled_from([.01, .5, 1.]), seeds())
def test_choices_of_masks(n, fraction, seed):
    patients = generator(seed).choice(["p", "q", "r", ""], n)
    rows = np.flatnonzero(generator(seed).random(n) < .7)
    chosen = segmentation.choose_masks(rows, patients, fraction, seed)
    assert set(chosen) <= set(rows) and (len(chosen) > 0) == (len(rows) > 0) and (np.diff(chosen) > 0).all()
    assert set(chosen) <= set(segmentation.choose_masks(rows, patients, 1., seed)) == set(rows)
    assert not set(patients[chosen]) & set(patients[np.setdiff1d(rows, chosen)])
    for wrong in (0, -1, 1.5, np.nan): refused(segmentation.choose_masks, rows, patients, wrong)


@cache
def unet(): return segmentation.make_unet("autoencoder", network()[0]).eval()


@FEW
@given(st.integers(1, 2), st.sampled_from([32, 64]), seeds(), st.sampled_from(["noise", "constant"]))
def test_a_network_that_outlines(n, side, seed, kind):
    images = torch.from_numpy(generator(seed).integers(0, 256, (n, 1, side, side), dtype=np.uint8)) if kind == "noise" else torch.full((n, 1, side, side), 7, dtype=torch.uint8)
    data = segmentation.MaskedSlices(images, images > 128, .3, .2)
    for rows in (np.arange(n), np.arange(0)):
        found = segmentation.tumour_probabilities(make_fabric(torch.device("cpu"), "32-true"), unet(), data, rows)
        assert found.shape == (len(rows), side, side) and found.dtype == np.float32 and (found >= 0).all() and (found <= 1 + 1e-6).all()
    x, masks = data.batch(np.arange(n), torch.device("cpu"))
    assert [feature.shape[2] for feature in segmentation.skip_features(unet().encoder, x)] == [side // 2 ** k for k in range(1, 6)]
    moved, moved_masks = segmentation.augment_pair(segmentation.TUMOUR_VIEWS, x, masks, 32, torch.Generator().manual_seed(seed))
    assert moved.shape == moved_masks.shape == (n, 1, 32, 32) and moved.min() >= 0 and moved.max() <= 1 and set(moved_masks.unique().tolist()) <= {0., 1.}
    logits = (masks - .5) * 200
    assert segmentation.segmentation_loss(logits, masks) < 1e-3 < .5 < segmentation.segmentation_loss(-logits, masks)
    assert segmentation.resized(x, 16).shape == (n, 1, 16, 16) and segmentation.resized(x, side) is x
    assert segmentation.mean_of_views(unet(), x).shape == x.shape


def test_curves_over_masks():
    table = pd.DataFrame([(name, n, .5, .4, .6) for name in NAMES[4:8] for n in (1, 10, 100)], columns=["encoder", "masks", "mean", "low", "high"])
    figure = drawn(segmentation.plot_mask_counts, table, {NAMES[4]: .3, "K-Means": .2})
    for name in NAMES[4:8]: assert name in texts(figure)
    drawn(segmentation.plot_outlines, [], [], [], [])
