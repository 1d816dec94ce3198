"""Whatever a run, a folder or a visitor brings: figures are drawn, tables add up, names stay text, and what cannot be answered is refused in one sentence."""
import html
import inspect
import warnings
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings, strategies as st
from matplotlib import pyplot
from matplotlib.figure import Figure
from rubbish import LAYOUTS, answer, at_most, broken_points, ids, no_pictures, pictures, points, seeds, sentence, shares, survives, untidy

from brainclust import annotation, app, card, explanation, export, plots, prediction, reading, report, segmentation

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
