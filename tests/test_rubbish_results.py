"""Any run, folder or visitor: figures are drawn, tables add up, names stay text, or it says why."""

import base64
import html
import io
import json
import os
import re
import tempfile
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from hypothesis import assume, given, settings, strategies as st
from matplotlib import pyplot
from matplotlib.figure import Figure
from PIL import Image
from house import ROOT
from rubbish import (LAYOUTS, answer, at_most, broken_points, ids, no_pictures, pictures, points,
                     scan_tables, seeds, sentence, shares, survives, untidy)
from brainclust.analysis import (
    explanation, explanation_figures, explanation_scores, segmentation, tumour_unet)
from brainclust.app import annotation, pieces, reading, server, views as views_module, workbench
from brainclust.app.collection import Collection, plain
from brainclust.core import intervals as intervals_module, style
from brainclust.core.config import make_config
from brainclust.core.files import load_json, save_json, save_table, write_csv
from brainclust.imaging import masks as masks_module
from brainclust.models.encoders import make_network
from brainclust.models.mixture import e_step, fit_mixture
from brainclust.runs import (
    cluster_figures, comparison_figures, data_figures, evaluation, execute, export, model_card, ood,
    prediction_files, predictor as predictor_module, run as run_module, training_figures)
from brainclust.training.batches import TrainingData, embed_slices
from brainclust.training.distributed import make_fabric
from brainclust.training.saved_model import save_model

# of what draws or asks a network
FEW = settings(max_examples=max(3, settings.default.max_examples // 5))

NAMES = ["glioma", "meningioma", "notumor", "pituitary", r"$\frac{$", "costs $5 or $7",
         "<img src=x onerror=alert(1)>", 'said "no"', "=1+1", "глиома", "_hidden", "a_b",
         "a very long name of a class of tumours that goes on", "R&D", "{name}", "100 %", "\\alpha",
         "'", "unknown", "back`tick", "a|b", "[x](javascript:1)"]

SIZES = (1, 2, 4, 40)  # classes


def class_names(n: int) -> list[str]:
    """So many different names, the first of which are unlikely ones."""
    return [*NAMES[4:], *NAMES[:4], *(f"class {k}" for k in range(n))][:n]


def drawn(function, *arguments, **named) -> Figure:
    """The figure of a plotting function, laid out and drawn without a warning, unknown to pyplot.
    """
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
    return " ".join(
        " ".join(text.get_text().split()) for text in figure.findobj(Text) if text.get_visible())


def refused(function, *arguments, kinds: tuple = (ValueError, TypeError), **named) -> str:
    """The one sentence with which a function refuses."""
    with at_most(), pytest.raises(kinds) as error:
        function(*arguments, **named)
    return sentence(error.value)


def generator(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


# --- plots ----------------------------------------------------------------------------------------

@given(st.sampled_from(SIZES), st.booleans())
def test_every_class_has_a_colour(n, unknown):
    names = class_names(n) + ["x"] * unknown
    palette = style.class_palette(names)
    assert list(palette) == list(dict.fromkeys(names))
    assert all(len(colour) == 7 and int(colour[1:], 16) >= 0 for colour in palette.values())
    assert len(
        {colour for name, colour in palette.items() if name not in style.UNKNOWN_NAMES}
    ) == len(set(names) - set(style.UNKNOWN_NAMES))


@given(pictures())
def test_slices_of_any_shape_are_shown_or_refused(image):
    assert (style.as_picture(image) == image).all()
    assert (style.as_picture(untidy(image[None], "reversed")) == image).all()
    coloured = style.as_picture(np.stack([image] * 3))
    assert coloured.shape == (*image.shape, 3)
    assert coloured.min() >= 0 and coloured.max() <= 1
    if len(image) not in (1, 3):
        assert (style.as_picture(np.stack([image] * 3, -1)) == coloured).all()
    for wrong in (image[0], image[None, None], np.stack([image] * 2), np.float32(1)):
        assert "slice" in refused(style.as_picture, wrong)


@given(st.lists(st.one_of(st.sampled_from(NAMES), st.text(max_size=60))), st.integers(1, 30))
def test_wrapped_names_keep_every_letter(names, width):
    wrapped = style.wrap_names(names, width)
    assert ["".join(name.split()) for name in wrapped] == ["".join(name.split()) for name in names]
    assert all(len(line) <= width for name in wrapped for line in name.split("\n"))


@given(st.lists(st.sampled_from([0., .5, 1e300, np.nan, np.inf, -np.inf]), max_size=9))
def test_the_measured_part_of_a_column(values):
    table = pd.DataFrame({"epoch": np.arange(len(values)), "loss": np.array(values, float)})
    epochs, measured = style.finite_series(table, "loss")
    assert epochs.tolist() == [k for k, value in enumerate(values) if np.isfinite(value)]
    assert measured.tolist() == [value for value in values if np.isfinite(value)]
    if values:
        style.check_table(table, ["epoch", "loss"])
    else:
        assert "no rows" in refused(style.check_table, table, ["epoch"])
    assert NAMES[4] in refused(style.check_table, table, [NAMES[4]])


@FEW
@given(pictures(), st.sampled_from(SIZES), st.sampled_from(NAMES),
       st.sampled_from(["upper", "lower"]), st.booleans())
def test_pieces_of_figures(image, n, name, side, outlined):
    palette = style.class_palette(class_names(n))

    def pieces() -> Figure:
        figure = style.show_row([image] * 3, [name] * 3, [image > 0] * 3 if outlined else None)
        first, second, third = figure.axes
        style.show_slice(first, image, name)
        style.frame_slice(second, image[None], "#ff0000", "framed")
        style.label_epochs(third)
        style.add_legend(figure, palette, side, "classes")
        style.add_note(figure, ["Left out."])
        return figure

    figure = drawn(style.house_style(pieces))
    words = "".join((texts(figure) + "".join(
        text.get_text() for legend in figure.legends for text in legend.get_texts())).split())
    for shown in (*palette, name, "framed", "epoch", "classes", "Left out."):
        assert "".join(shown.split()) in words
    faults = style.text_faults(figure)
    assert list(faults) == ["small", "clipped", "on_other"] and not faults["small"]


def counts_table(names: list[str], seed: int, missing: bool) -> pd.DataFrame:
    rng = generator(seed)
    rows = [(name, split, labelled, rng.integers(0, 2000)) for name in names
            for split in ("train", "test") for labelled in (True, False) if rng.random() < 0.8]
    table = pd.DataFrame(
        rows or [(names[0], "train", True, 3)], columns=["class_name", "split", "labelled", "n"])
    return table.assign(n=table["n"].where(rng.random(len(table)) < .9)) if missing else table


@FEW
@given(st.sampled_from(SIZES), seeds(), st.booleans())
def test_class_distribution(n, seed, missing):
    table = counts_table(class_names(n), seed, missing)
    figure = drawn(data_figures.plot_class_distribution, table)
    bars = sum(patch.get_width() for patch in figure.axes[0].patches)
    assert bars == table["n"].sum()
    if table["n"].isna().any():
        assert f"Not counted: {table['n'].isna().sum()}" in texts(figure)
    for broken in (table[:0], table.drop(columns="n")):
        refused(data_figures.plot_class_distribution, broken)


@FEW
@given(st.lists(pictures(), max_size=6), st.sampled_from(NAMES), st.integers(1, 5))
def test_skull_stripping(images, title, columns):
    masks = [image > 100 for image in images]
    after = [image * mask for image, mask in zip(images, masks)]
    figure = drawn(data_figures.plot_skull_stripping, images, after, masks, [title] * len(images),
                   columns)
    assert sum(len(axis.images) for axis in figure.axes) == 2 * len(images)
    for image, mask in zip(images[:1], masks):
        figure = drawn(data_figures.plot_skull_stripping_detail, image, image * mask, mask, title)
        assert len(figure.axes) == 3 and title.split()[0] in texts(figure)
    if images:
        refused(data_figures.plot_skull_stripping, images, after, masks, [])


@FEW
@given(pictures(), st.sampled_from(["grey", "one channel", "three channels", "three last", "float",
                                    "int64", "bool"]), st.sampled_from(NAMES))
def test_tensor_preparation(image, kind, name):
    assume(kind != "three last" or len(image) not in (1, 3))  # those are as well channels
    array = {"grey": image, "one channel": image[None], "three channels": np.stack([image] * 3),
             "three last": np.stack([image] * 3, axis=-1), "float": image / 255.0 - 0.3,
             "int64": image.astype(np.int64) - 9, "bool": image > 100}[kind]
    figure = drawn(data_figures.plot_tensor_preparation, {name: array, "again": image})
    assert len(figure.axes) == 4 and figure.axes[0].images[0].get_array().shape[:2] == image.shape
    for wrong in (np.zeros((2, 3, 4, 5)), np.zeros(7), np.zeros((0, 4)), np.full((4, 4), np.nan),
                  np.array([[1.0, np.inf]])):
        refused(data_figures.plot_tensor_preparation, {"wrong": wrong})
    refused(data_figures.plot_tensor_preparation, {})


@FEW
@given(st.dictionaries(st.sampled_from(training_figures.WORKFLOW_NUMBERS),
                       st.sampled_from([0, 1, 10 ** 12, None, np.nan, np.int64(3), .25])),
       st.sampled_from(NAMES))
def test_workflow(numbers, encoder):
    numbers = {name: value for name, value in numbers.items() if name != "encoder"} | {
        "encoder": encoder}
    figure = drawn(training_figures.plot_workflow, numbers)
    assert (encoder in texts(figure) and "{" not in texts(figure).replace(encoder, "")
            and "nan" not in texts(figure))
    refused(training_figures.plot_workflow, {"n_moons": 3})


@FEW
@given(points(least=4, most=24, dimensions=5), st.integers(1, 3), st.sampled_from(SIZES), seeds(),
       st.booleans())
def test_tsne_frames(embedding, epochs, n, seed, with_clusters):
    embedding = (
        np.column_stack([embedding, embedding[:, :1] + 1]) if embedding.shape[1] == 1 else embedding
    )
    by_epoch = {3 * epoch + 1: embedding * (1 + epoch) for epoch in range(epochs)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frames = cluster_figures.tsne_frames(by_epoch, seed=0)
    assert list(frames) == sorted(by_epoch)
    for frame in frames.values():
        assert (frame.shape == (len(embedding), 2) and frame.dtype == np.float32
                and np.isfinite(frame).all()
                and np.abs(frame.mean(axis=0)).max() < 1e-2 * max(1, np.abs(frame).max()))
    rng, names = generator(seed), class_names(n)
    labels, clusters = (rng.integers(-1, n, len(embedding)),
                        {epoch: rng.integers(0, n, len(embedding)) for epoch in frames})
    figure = drawn(cluster_figures.plot_tsne_frames, frames, labels,
                   clusters if with_clusters else None, class_names=names)
    assert len(figure.axes) == len(frames) * (1 + with_clusters)


@given(broken_points())
def test_tsne_of_what_is_no_embedding(embedding):
    refused(cluster_figures.tsne_frames, {1: embedding})
    refused(cluster_figures.tsne_frames, {})
    refused(cluster_figures.tsne_frames, {1: np.zeros((5, 3)), 2: np.zeros((6, 3))})
    refused(cluster_figures.tsne_frames, {1: np.zeros((3, 3))})


def history_table(epochs: int, clusters: int, seed: int, holes: bool) -> pd.DataFrame:
    """A history of the joint training, also of one epoch, with zero losses, and with what was not
    measured.
    """
    rng, shares_ = generator(seed), generator(seed).dirichlet(np.full(clusters, .3), epochs)
    columns = ["loss", "cross_entropy", "cluster_distance", "pseudo_labels", "reconstruction",
               "test_accuracy", "test_accuracy_clusters", "pseudo_label_accuracy", "cluster_change"]
    table = pd.DataFrame(
        {"epoch": np.arange(1, epochs + 1),
         **{name: rng.choice([0, 1.0, 1e-6, 1e5 if k < 5 else 1], epochs) if seed % 2
            else rng.random(epochs) for k, name in enumerate(columns)},
         **{f"cluster_share_{k}": shares_[:, k] for k in range(clusters)}})
    return (
        table.mask((rng.random(table.shape) < 0.3) & (table.columns != "epoch")) if holes else table
    )


@FEW
@given(st.sampled_from([1, 2, 30]), st.sampled_from([1, 4, 40]), seeds(), st.booleans())
def test_curves_of_a_history(epochs, clusters, seed, holes):
    history = history_table(epochs, clusters, seed, holes)
    figure = drawn(training_figures.plot_losses, history)
    assert len(figure.axes[0].lines) == len(training_figures.LOSS_TERMS)
    for name in training_figures.LOSS_TERMS.values():
        assert name in texts(figure)
    figure = drawn(training_figures.plot_accuracy, history, history, .935)
    measured = history["test_accuracy"].dropna()
    if len(measured):
        assert f"softmax head: {measured.iloc[-1]:.3f}" in texts(figure)
    names = class_names(clusters)
    figure = drawn(cluster_figures.plot_pseudo_labels, history, cluster_names=names)
    assert len(figure.axes) == 3
    for function in (training_figures.plot_losses, training_figures.plot_accuracy,
                     cluster_figures.plot_pseudo_labels):
        refused(function, history[:0])
        refused(function, history[["epoch"]])


@FEW
@given(st.sampled_from(SIZES), st.integers(1, 3), seeds(), st.booleans())
def test_confusion(n, matrices, seed, empty):
    counts = {f"{NAMES[k + 4]} {k}": generator(seed + k).integers(0, 1 if empty else 900, (n, n))
              for k in range(matrices)}
    figure = drawn(training_figures.plot_confusion, counts, class_names(n))
    for title, matrix in counts.items():
        assert (f"accuracy {np.trace(matrix) / matrix.sum():.3f}, n = {matrix.sum():,}"
                if matrix.sum() else "no slices") in texts(figure)
    for wrong in ({"a": np.zeros((n, n + 1))}, {"a": np.zeros(n)}, {},
                  {"a": np.full((n, n), np.nan)}):
        refused(training_figures.plot_confusion, wrong, class_names(n))
    refused(training_figures.plot_confusion, {"a": np.zeros((0, 0))}, [])


def accuracy_table(methods: list[str], seed: int, columns: bool = True) -> pd.DataFrame:
    rng = generator(seed)
    rows = [{"method": name, "test_set": part, "accuracy": rng.choice([0, 1, rng.random(), np.nan])}
            for name in methods for part in ("given", "clean")]
    table = pd.DataFrame(rows)
    return (
        table.assign(low=(table.accuracy - 0.1).clip(0), high=(table.accuracy + 0.1).clip(upper=1),
                     chance=0.25) if columns else table)


@FEW
@given(st.sampled_from([1, 3, 22]), seeds(), st.booleans())
def test_accuracies_as_dots(n, seed, intervals):
    table = accuracy_table(class_names(n), seed, intervals)
    for figure in (drawn(intervals_module.plot_intervals, table, chance=0.25),
                   drawn(intervals_module.plot_intervals, table, bold=class_names(n)[:1],
                         whole=False)):
        shown = texts(figure)
        for value in table["accuracy"]:
            assert ("not measured" if np.isnan(value) else f"{value:.3f}") in shown
    refused(intervals_module.plot_intervals, table[:0])
    refused(intervals_module.plot_intervals, table.drop(columns="test_set"))


@FEW
@given(st.sampled_from([1, 5, 22]), st.integers(1, 4), seeds(), st.booleans())
def test_claims_as_dots(n, sources, seed, limits):
    rng = generator(seed)
    table = pd.DataFrame(
        [{"quantity": name, "source": f"source {k}",
          "value": rng.choice([np.nan, -1, 0, 1, rng.random()])} for name in class_names(n)
         for k in range(sources)])
    table = table.assign(low=table.value - .1, high=table.value + .1) if limits else table
    columns = "quantity", "source", "value"
    shown = texts(drawn(intervals_module.plot_intervals, table, *columns))
    for value in table["value"]:
        assert ("not measured" if np.isnan(value) else f"{value:.3f}") in shown
    for value in (1.5, -2, np.inf):
        refused(intervals_module.plot_intervals, table.assign(value=value), *columns)
    refused(intervals_module.plot_intervals, table[:0], *columns)


@given(shares(), st.integers(0, 5), st.booleans(), seeds())
def test_gallery_selection(gamma, each, distant, seed):
    distances = generator(seed).random(len(gamma)) if distant else None
    selection = cluster_figures.gallery_selection(gamma, distances, each)
    assert list(selection) == ["cluster", "kind", "index"] and selection["index"].is_unique
    assert (gamma[selection["index"].to_numpy(int)].argmax(axis=1) == selection["cluster"]).all()
    sizes = np.bincount(gamma.argmax(axis=1), minlength=gamma.shape[1])
    assert selection.groupby("cluster").size().to_dict() == {
        k: min(2 * each, size) for k, size in enumerate(sizes) if min(2 * each, size)}
    for how in LAYOUTS:
        pd.testing.assert_frame_equal(
            selection, cluster_figures.gallery_selection(untidy(gamma, how), distances, each))


@FEW
@given(st.integers(1, 12), st.sampled_from([1, 4, 40]), seeds(),
       st.sampled_from(["(N, H, W)", "(N, 1, H, W)", "1 x 1", "1 row"]))
def test_galleries_of_clusters(n, k, seed, kind):
    rng = generator(seed)
    images = rng.integers(0, 256,
                          {"(N, H, W)": (n, 9, 9), "(N, 1, H, W)": (n, 1, 9, 7), "1 x 1": (n, 1, 1),
                           "1 row": (n, 1, 5)}[kind], dtype=np.uint8)
    gamma = rng.dirichlet(np.ones(k), n)
    selection, names = cluster_figures.gallery_selection(gamma), class_names(k)
    figure = drawn(cluster_figures.plot_gallery, images, selection, rng.integers(-1, k, n), names,
                   captions=[NAMES[i % len(NAMES)] for i in range(n)])
    assert sum(len(axis.images) for axis in figure.axes) == len(selection)
    refused(cluster_figures.plot_gallery, images, selection[:0], np.zeros(n, int), names)


@given(st.dictionaries(st.sampled_from(["read", "train", "draw"]),
                       st.sampled_from([0, 1e-9, .5, 100., 1e6])), seeds())
def test_seconds(seconds, seed):
    rng = generator(seed)
    parts = {stage: {f"part {k}": rng.choice([0.0, 0.1, 50.0]) for k in range(rng.integers(0, 4))}
             for stage in seconds if rng.random() < 0.7}
    table = training_figures.seconds_of_parts(seconds, parts)
    assert list(table) == ["stage", "part", "seconds", "share"] and (table["seconds"] >= 0).all()
    for stage, total in seconds.items():
        assert table.seconds[table.stage == stage].sum() == pytest.approx(
            total, rel=2e-3, abs=1e-12)
    assert table["share"].sum() == pytest.approx(
        1 if sum(seconds.values()) > 1e-9 else table["share"].sum())


@FEW
@given(st.sampled_from([{}, {r"$\frac{$": 0.}, {name: 10. ** k for k, name in enumerate(NAMES[:9])},
                        {"a": np.nan, "_b": 3.}]), st.booleans())
def test_seconds_as_bars(seconds, alternatives):
    figure = drawn(training_figures.plot_seconds, seconds,
                   {name: {"$\\frac{$": 1.0, "loading": 0.5} for name in seconds}, alternatives)
    for name, value in seconds.items():
        if np.isnan(value):
            assert f"Not measured: {name}" in texts(figure)


def test_responsibilities_of_many_clusters():
    figure = drawn(cluster_figures.plot_responsibilities, np.eye(22)[:3], class_names(22))
    assert len(figure.axes) == 25


@FEW
@given(shares(), st.booleans())
def test_responsibilities(gamma, named):
    k = gamma.shape[1]
    figure = drawn(cluster_figures.plot_responsibilities, gamma, class_names(k) if named else None)
    assert sum(bar.get_height() for axis in figure.axes for bar in axis.patches) == len(gamma)
    for wrong in (gamma * 2, gamma[0], np.full((3, 2), np.nan), np.zeros((3, 0)), np.zeros((0, 0))):
        refused(cluster_figures.plot_responsibilities, wrong)


@FEW
@given(st.integers(1, 5), st.sampled_from([(1, 1), (1, 7), (8, 8), (1, 8, 8)]),
       st.sampled_from(["noise", "constant"]), seeds())
def test_reconstructions(n, shape, kind, seed):
    x = generator(seed).normal(size=(n, *shape)) if kind == "noise" else np.full((n, *shape), 3.)
    assert len(drawn(comparison_figures.plot_reconstructions, x, x * .9).axes) == 3 * n + 1
    assert len(drawn(comparison_figures.plot_reconstructions, x, x).axes) == 3 * n + 1
    for wrong in (x[:0], x[..., :0], np.zeros((n + 1, *shape))):
        refused(comparison_figures.plot_reconstructions, x, wrong)
    refused(comparison_figures.plot_reconstructions, x[:0], x[:0])


@FEW
@given(st.sampled_from((1, 2, 6)), st.integers(1, 30), seeds())
def test_tables_of_a_collection(n, slices_, seed):
    rng, names = generator(seed), class_names(n)
    table = pd.DataFrame(
        {"width": rng.choice([1, 64, 4000], slices_), "height": rng.choice([1, 64, 4000], slices_),
         "class_name": rng.choice(names, slices_)})
    figure = drawn(data_figures.plot_image_sizes, table)
    for size in table.groupby("class_name").size():
        assert f"{size:,} slices" in texts(figure)
    refused(data_figures.plot_image_sizes, table[:0])
    histograms = pd.DataFrame(
        [(stage, name, value, rng.choice([0, 0.5])) for stage in ("as read", r"$\frac{$")
         for name in names for value in (0, 128)],
        columns=["stage", "class_name", "value", "share"])
    assert len(drawn(data_figures.plot_intensity_histograms, histograms).axes) == 2 * n
    refused(data_figures.plot_intensity_histograms, histograms[:0])
    quality = table.assign(signal_to_noise=rng.choice([np.nan, 0, 1e-3, 5, 1e6], slices_),
                           sharpness=rng.choice([np.nan, 0, 0.2, 300], slices_))
    odd = pd.DataFrame({"row": np.arange(slices_)[:10],
                        "why": [NAMES[k % len(NAMES)] for k in range(min(slices_, 10))]})
    for odd_ones in (odd, odd[:0]):
        figure = drawn(data_figures.plot_quality, quality, odd_ones,
                       [np.zeros((5, 5), np.uint8)] * min(8, len(odd_ones)))
        assert len(figure.axes) == 1 + min(8, len(odd_ones))
    refused(data_figures.plot_quality, quality[:0], odd[:0], [])


@FEW
@given(pictures(), st.integers(0, 4), seeds())
def test_windowing(image, n, seed):
    windowed = {class_names(9)[k]: (image, *sorted(generator(seed + k).uniform(0, 255, 2)))
                for k in range(n)}
    assert len(drawn(data_figures.plot_windowing, image, windowed).axes) == 2 * (1 + n)


@FEW
@given(st.lists(pictures(), min_size=1, max_size=8), st.integers(0, 3), st.integers(1, 7))
def test_suspects(images, shift, columns):
    table = pd.DataFrame({"given": class_names(40)[shift : shift + len(images)],
                          "suggested": class_names(40)[20 : 20 + len(images)], "probability": 0.5})
    figure = drawn(comparison_figures.plot_label_errors, images, table, columns)
    assert sum(len(axis.images) for axis in figure.axes) == len(images)
    for given_, suggested in zip(table.given, table.suggested):
        assert " ".join(f"{suggested}?".split()) in texts(figure)
    for wrong in (images + images[:1], []):
        refused(comparison_figures.plot_label_errors, wrong, table)
    refused(comparison_figures.plot_label_errors, [], table[:0])


def test_figures_are_saved_whole_or_not_at_all(tmp_path):
    figure, axes = style.new_figure(2, 2, 1, 2)
    assert axes.shape == (1, 2) and pyplot.get_fignums() == []
    axes[0, 0].set_title(r"$\frac{$")
    for suffix in (".png", ".pdf", ".svg"):
        figure = style.house_style(lambda: figure)()
        assert style.save_figure(figure, tmp_path / f"骨 <b>{suffix}").stat().st_size > 100
    assert style.PlotFigure._repr_png_(figure)[:4] == b"\x89PNG"
    for name in ("figure", "figure.jpeg", "figure.PNG "):
        refused(style.save_figure, figure, tmp_path / name)
    assert len(list(tmp_path.iterdir())) == 3


# --- explanation ----------------------------------------------------------------------------------

@cache
def network(classes: int = 3):
    """An untrained network of 32 pixels, and a mixture of its embeddings."""
    made = make_network("autoencoder", classes, 32, seed=0).eval()
    with torch.no_grad():
        embeddings = made(torch.randn(24, 1, 32, 32, generator=torch.Generator().manual_seed(0)))[
            0].numpy()
    return made, fit_mixture(embeddings, 4)


@st.composite
def mask_pairs(draw, n: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Two stacks of bool masks (N, H, W) of one shape.

    Empty, full, equal, disjoint, of one pixel, or noise.
    """
    n, height, width = (n if n is not None else draw(st.integers(0, 4)), draw(st.integers(1, 20)),
                        draw(st.integers(1, 20)))
    rng = generator(draw(seeds()))
    masks, truths = (
        rng.random((n, height, width)) < rng.choice([0, 0.1, 0.6, 1], (n, 1, 1)) for _ in range(2))
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
    assert torch.equal(
        explanation.turn_back(explanation.turn(square, turns, mirrored), turns, mirrored), square)


@given(mask_pairs(), seeds())
def test_scores_of_maps(pair, seed):
    masks, other = pair
    for cams in (generator(seed).random(masks.shape), np.zeros(masks.shape),
                 np.ones(masks.shape, np.float32), masks.astype(float)):
        table = explanation_scores.cam_scores(untidy(cams, "fortran"), masks)
        assert list(table) == list(explanation_scores.CAM_SCORES) and len(table) == len(masks)
        assert (table.isna().any(axis=1) == ~masks.any(axis=(1, 2))).all() and table.astype(
            float).stack().dropna().between(0, 1 + 1e-9).all()
        pd.testing.assert_frame_equal(table, explanation_scores.cam_scores(cams, masks))
    table = explanation_scores.cam_scores(masks.astype(float), masks)
    assert (table[masks.any(axis=(1, 2))] == 1).all(axis=None)  # a mask is its own best map
    for mask, cam in zip(masks, other.astype(float)):
        if mask.any():
            shown = cam if cam.any() else np.ones(cam.shape)
            assert (explanation_scores.score_cam(cam, mask)[2]
                    == explanation_scores.best_iou(shown, mask) > 0)
    compared = answer(explanation_scores.compare_maps,
                      {"a_cam": other.astype(float), NAMES[4]: np.ones(masks.shape)}, masks,
                      np.arange(len(masks)) // 2, 20, refuses=(ValueError,))
    if compared is None:
        assert not masks.any()
    else:
        assert (compared.slices == masks.any(axis=(1, 2)).sum()).all()
        for score in explanation_scores.CAM_SCORES:
            assert (compared[f"{score}_low"] <= compared[score] + 1e-9).all() and (
                compared[f"{score}_high"] >= compared[score] - 1e-9).all()
        flat = explanation_scores.map_results(compared)
        assert (len(flat) == 2 * len(explanation_scores.CAM_SCORES)
                and flat["a_cam_best_iou"] == compared.best_iou[0])
        assert explanation_scores.map_results(compared, intervals=True)["a_cam_best_iou"] == [
            compared.best_iou_low[0], compared.best_iou_high[0]]
        drawn(explanation_figures.plot_map_scores, compared)


@given(mask_pairs(n=2))
def test_scores_of_what_is_no_map(pair):
    masks = pair[0]
    for cams in (np.full(masks.shape, np.nan), np.full(masks.shape, np.inf), -np.ones(masks.shape),
                 np.ones((2, 99, 99)), np.ones(masks.shape)[:1]):
        refused(explanation_scores.cam_scores, cams, masks)
    refused(explanation_scores.cam_scores, np.ones(masks.shape), masks.astype(np.uint8) * 255)


@given(mask_pairs(n=3), seeds())
def test_maps_without_a_network(pair, seed):
    masks = pair[0]
    images = generator(seed).integers(0, 256, masks.shape, dtype=np.uint8)
    for name, maps in explanation_scores.prior_maps(images, masks).items():
        assert (maps.shape == masks.shape and maps.dtype == np.float32 and (maps >= 0).all()
                and (maps <= 1 + 1e-6).all()), name
    assert (
        explanation_scores.centre_prior(masks)
        == explanation_scores.centre_prior(untidy(masks, "reversed"))
    ).all()
    scaled = explanation.scale_to_maximum(torch.from_numpy(masks.astype(np.float32) * 3))
    assert torch.equal(scaled, torch.from_numpy(masks.astype(np.float32)))


@given(mask_pairs(n=1), st.sampled_from(NAMES))
def test_outlines_are_drawn_where_there_are_any(pair, title):
    mask, truth = pair[0][0], pair[1][0]
    def outlines() -> Figure:
        figure, axes = style.new_figure(2, 1, 1, 2)
        style.show_outline(axes[0, 0], mask)
        segmentation.draw_outlines(axes[0, 1], mask.astype(np.uint8) * 255, truth, mask, title)
        return figure
    figure = drawn(style.house_style(outlines))
    there = [min(mask.shape) > 1 and part.any() and not part.all() for part in (mask, truth)]
    assert [len(axis.collections) for axis in figure.axes] == [
        there[0], sum(there)] and title.split()[0] in texts(figure)


@FEW
@given(st.integers(0, 3), seeds(), st.sampled_from(list(explanation.METHODS)),
       st.sampled_from(list(explanation.VIEWS)), st.sampled_from(["noise", "constant", "equal"]))
def test_maps_of_a_network(n, seed, method, views, kind):
    made, mixture = network()
    rng = generator(seed)
    x = torch.from_numpy(rng.normal(size=(n, 1, 32, 32)).astype(np.float32) * (kind == "noise")
                         + (kind == "constant"))
    for function, who, targets in (
        (explanation.grad_cam, (made,), rng.integers(0, 3, n)),
        (explanation.cluster_cam, (made, mixture), rng.integers(0, 4, n))):
        maps = function(*who, x, targets, method=method, views=views)
        assert (maps.shape == (n, 32, 32) and maps.dtype == np.float32 and (maps >= 0).all()
                and (maps <= 1).all())
        assert (function(*who, x.transpose(2, 3).contiguous().transpose(2, 3), list(targets),
                         method=method, views=views) == maps).all()
    assert explanation.batched_cams(
        explanation.HeadScores(made), x, [0] * n, None, method, views, 1).shape == (n, 32, 32)
    scores = explanation.ClusterScores(made, mixture).eval()
    with torch.no_grad():
        assert np.allclose(
            scores(x).sigmoid(), mixture.responsibilities(made(x)[0].numpy()), atol=1e-3)
    if n:
        asked = (scores, x, torch.zeros(n, dtype=torch.int64),
                 explanation.default_layers(made)[-2:], method)
        assert [(raw.shape, bool((raw >= 0).all())) for raw in explanation.raw_cams(*asked)] == [
            ((n, 32, 32), True)] * 2
        assert explanation.refined_cams(*asked, explanation.VIEWS[views]).amax() <= 1
    covered = explanation.occlusion_maps(explanation.HeadScores(made), x, [0] * n, patch=16)
    assert covered.shape == (n, 32, 32) and (covered >= 0).all() and (covered <= 1).all()
    if n:
        table = explanation_scores.compare_layers(made, x, [0] * n, np.ones((n, 32, 32), bool),
                                           explanation.candidate_layers(made)[-1:],
                                           list(explanation.METHODS), list(explanation.VIEWS)[:2])
        assert len(table) == 6 and (table.slices == n).all()
        drawn(explanation_figures.plot_layers, table)


@given(seeds())
def test_map_requests_that_cannot_be_met(seed):
    made, mixture = network()
    x = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(seed))
    for targets in ([0], [0, 3], [0, -1], [0, .5], [np.nan, 0], [0, 1, 2], ["glioma", 0]):
        refused(explanation.grad_cam, made, x, targets)
    for wrong in (x[0], x[..., :16], x[:, 0]):
        refused(explanation.cluster_cam, made, mixture, wrong, [0] * len(wrong))
    refused(explanation.check_cam_request, made, x, [0, 0], ["absent"], "layercam", "one", 3)
    for options in ({"method": "x"}, {"views": "x"}, {"layer": "x"}, {"layer": ["head", "x"]}):
        refused(explanation.grad_cam, made, x, [0, 0], **options)
    refused(explanation.default_layers, SimpleNamespace(encoder=torch.nn.Linear(1, 1)))
    refused(explanation.occlusion_maps, explanation.HeadScores(made), x, [0, 0], 33)


@FEW
@given(st.integers(1, 2), seeds())
def test_randomised_networks(n, seed):
    made, _ = network()
    x = torch.randn(n, 1, 32, 32, generator=torch.Generator().manual_seed(seed))
    check, maps = explanation_scores.randomisation_check(made, x, [0] * n, seed, views="one")
    assert list(check) == ["randomised", "rank_correlation", "structural_similarity"] and check[
        "randomised"
    ].tolist() == list(maps) == ["nothing",
                                 *(name for name, _ in explanation_scores.weight_stages(made))]
    assert (check["structural_similarity"][0] == pytest.approx(1)
            and check["rank_correlation"].dropna().between(-1 - 1e-9, 1 + 1e-9).all())
    same = explanation_scores.randomise(made, [], seed)
    assert all(
        torch.equal(a, b) for a, b in zip(made.state_dict().values(), same.state_dict().values()))
    drawn(explanation_figures.plot_randomisation, check, np.zeros((32, 32), np.uint8),
          np.zeros((32, 32), bool), {stage: cams[0] for stage, cams in maps.items()})


@given(st.integers(1, 3), st.integers(7, 12), seeds())
def test_likeness_of_maps(n, side, seed):
    a, b = generator(seed).random((2, n, side, side))
    correlate = explanation_scores.rank_correlation
    assert correlate(a, a) == pytest.approx(1) and correlate(a, -a) == pytest.approx(-1)
    assert correlate(a, b) == pytest.approx(correlate(b, a))
    assert np.isnan(correlate(a, np.ones_like(a))).all()
    assert (explanation_scores.structural_similarities(a, a) == pytest.approx(1)
            and (explanation_scores.structural_similarities(a, b) <= 1).all())
    survives(explanation_scores.structural_similarities, a[:, :2], b[:, :2])


class WeightedSum(torch.nn.Module):
    """Reads every pixel, each with a weight of its own, and so knows what covering a square costs.
    """
    def __init__(self, weights: torch.Tensor):
        super().__init__()
        self.weights = weights

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x * self.weights).sum(dim=(1, 2, 3))[:, None]


@given(st.integers(1, 16), st.integers(1, 16), st.integers(1, 16), seeds())
def test_squares_cover_a_slice(side, patch, stride, seed):
    rng = torch.Generator().manual_seed(seed)
    x, model = (torch.randn(2, 1, side, side, generator=rng),
                WeightedSum(torch.randn(side, side, generator=rng)))
    if not stride <= patch <= side:
        refused(explanation.occlusion_maps, model, x, [0, 0], patch, stride)
        return
    before = x.clone()
    found = explanation.occlusion_maps(model, x, [0, 0], patch, stride, batch_size=5)
    assert (torch.equal(x, before) and found.shape == (2, side, side) and (found >= 0).all()
            and (found <= 1).all())
    starts = range(0, side - patch + stride, stride)
    for image, cover, cam in zip(x[:, 0], explanation.blurred(x, patch / 2)[:, 0], found):
        cost, total, count = (((image - cover) * model.weights).numpy(), np.zeros((side, side)),
                              np.zeros((side, side)))
        for top in starts:
            for left in starts:
                square = slice(top, top + patch), slice(left, left + patch)
                total[square] += cost[square].sum()
                count[square] += 1
        falls = np.maximum(total / count, 0)
        if falls.max() > 1e-3:
            assert np.allclose(cam, falls / falls.max(), atol=1e-3 / falls.max())
    assert torch.allclose(
        explanation.blurred(torch.full((1, 1, side, side), 3.0), 2.0), torch.tensor(3.0))


@given(pictures(), st.sampled_from(["zeros", "ones", "noise"]), seeds())
def test_a_map_over_a_slice(image, kind, seed):
    cam = {"zeros": np.zeros(image.shape), "ones": np.ones(image.shape),
           "noise": generator(seed).random(image.shape)}[kind]
    colours = explanation_figures.overlay(image, cam)
    assert colours.shape == (*image.shape, 3) and (colours >= 0).all() and (colours <= 1).all()
    if kind == "zeros":
        assert (colours == image[..., None] / 255.).all()
    assert (explanation_figures.overlay(untidy(image, "reversed"), untidy(cam, "strided"))
            == colours).all()
    for wrong in (cam[None], np.zeros((99, 99)), cam[..., None], np.full(image.shape, np.nan),
                  np.zeros(())):
        refused(explanation_figures.overlay, image, wrong)
    drawn(explanation_figures.plot_maps, image[None], {r"$\frac{$": cam[None], "<b>": cam[None]},
          (cam > 0.5)[None], [NAMES[4]])


@given(no_pictures(), st.booleans())
def test_a_map_over_no_slice(image, fitting):
    shape = np.shape(image) if fitting and not isinstance(image, str) else (8, 8)
    if getattr(image, "size", 1):
        refused(explanation_figures.overlay, image, np.zeros(shape))
    _, axes = style.new_figure(1, 1)
    survives(explanation_figures.show_overlay, axes[0, 0], image, np.zeros(shape), None)


@given(st.integers(1, 30), st.sampled_from(SIZES), seeds(), st.integers(0, 4))
def test_cases_for_a_gallery(n, classes, seed, each):
    rng = generator(seed)
    truth, predicted = rng.integers(-1, classes, n), rng.integers(0, classes, n)
    cases = explanation_figures.gallery_cases(truth, predicted, each)
    assert (list(cases) == ["row", "truth", "right"] and cases["row"].is_unique
            and (cases["truth"] >= 0).all())
    rows = cases["row"].to_numpy(int)
    assert (truth[rows] == cases["truth"]).all() and (
        (predicted[rows] == truth[rows]) == cases["right"]).all()
    assert not len(cases) or cases.groupby(["truth", "right"]).size().max() <= each


@FEW
@given(st.integers(1, 6), st.sampled_from((1, 3)), seeds())
def test_gallery_of_maps(n, classes, seed):
    rng, names = generator(seed), class_names(classes)
    truth, predicted, images = (rng.integers(0, classes, n), rng.integers(0, classes, n),
                                rng.integers(0, 256, (n, 6, 6), dtype=np.uint8))
    cases, masks = (explanation_figures.gallery_cases(truth, predicted, 2),
                    rng.random((n, 6, 6)) > rng.choice([0, 0.5, 1]))
    figure = drawn(explanation_figures.plot_cam_gallery, images, rng.random((n, 6, 6)), masks,
                   cases, predicted, rng.random(n), names)
    assert sum(len(axis.images) for axis in figure.axes) == len(cases)
    refused(explanation_figures.plot_cam_gallery, images, images / 255, masks, cases[:0], predicted,
            rng.random(n), names)


# --- segmentation ---------------------------------------------------------------------------------

@given(mask_pairs())
def test_scores_of_masks(pair):
    masks, truths = pair
    table = masks_module.score_masks(masks, truths).astype(float)
    assert list(table) == [*masks_module.METRICS, "empty_prediction", "empty_truth"] and len(
        table) == len(masks)
    assert (table[["dice", "iou"]].stack().between(0, 1).all() and (table.hd95 >= 0).all()
            and (table.hd95 <= np.hypot(*masks.shape[1:])).all())
    other = masks_module.score_masks(truths, masks).astype(float)
    for metric in masks_module.METRICS:
        assert (table[metric] == other[metric]).all()
    assert np.allclose(table.dice, 2 * table.iou / (1 + table.iou))
    same = masks_module.score_masks(masks, masks)
    assert (same[["dice", "iou"]] == 1).all(axis=None) and (same.hd95 == 0).all()
    for mask, truth in zip(masks, truths):
        assert masks_module.hausdorff_95(mask, truth) == masks_module.hausdorff_95(
            untidy(mask, "strided"), truth)
        assert masks_module.hausdorff_95(mask, truth, 2.0) == pytest.approx(
            2 * masks_module.hausdorff_95(mask, truth))
    for wrong in (truths.astype(np.uint8) * 255, truths.astype(float), truths[None],
                  np.zeros((9, 33, 33), bool)):
        refused(masks_module.score_masks, masks, wrong)


@given(st.integers(1, 20), st.sampled_from((1, 3)), seeds(), st.booleans())
def test_intervals_of_scores(n, classes, seed, holes):
    rng = generator(seed)
    table = pd.DataFrame({"class_name": rng.choice(class_names(classes), n),
                          "patient": rng.choice(["p", "q", ""], n),
                          **{metric: rng.random(n) for metric in masks_module.METRICS}})
    if holes:
        table.loc[rng.random(n) < .6, "hd95"] = np.nan
    found = masks_module.score_intervals(table, draws=20)
    assert list(found) == ["class_name", "metric", "mean", "low", "high", "slices"]
    known = found[found.slices > 0]
    assert (known.low <= known["mean"] + 1e-9).all() and (known.high >= known["mean"] - 1e-9).all()
    for metric in masks_module.METRICS:
        rows = found[found.metric == metric].set_index("class_name")
        assert rows.slices["all"] == rows.slices.drop("all").sum() == table[metric].notna().sum()
        assert rows["mean"]["all"] == pytest.approx(table[metric].mean(), nan_ok=True)
    both = pd.concat([found.assign(method=name) for name in (r"$\frac{$", "U-Net")])
    drawn(intervals_module.plot_intervals, both[both.metric == "dice"].dropna(),
          series="class_name", value="mean")


@st.composite
def brains(draw) -> tuple[np.ndarray, np.ndarray]:
    """A slice and its brain mask, which may be empty, full, or a disc."""
    image = draw(pictures(largest=48))
    y, x = np.mgrid[:image.shape[0], :image.shape[1]]
    disc = (x - image.shape[1] / 2) ** 2 + (y - image.shape[0] / 2) ** 2 < min(image.shape) ** 2 / 5
    return image, {"disc": disc, "full": np.ones(image.shape, bool),
                   "empty": np.zeros(image.shape, bool),
                   "bright": image > 0}[draw(st.sampled_from(["disc", "full", "empty", "bright"]))]


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
    if method == "kmeans":
        assert (np.diff(ranks) >= 0).all()
    refused(segmentation.rank_levels, counts, clusters, "moons")


@given(brains(), st.integers(0, 3))
def test_the_companions_segmentation(pair, radius):
    image, brain = pair
    steps = segmentation.kmeans_steps(image, brain, radius)
    assert list(steps) == ["windowed", "bright", "eroded", "dilated"] and all(
        step.shape == image.shape for step in steps.values())
    assert steps["windowed"].dtype == np.uint8 and all(
        steps[name].dtype == bool for name in ("bright", "eroded", "dilated"))
    assert not (steps["bright"] & ~brain).any() and not (steps["eroded"] & ~steps["bright"]).any()
    for how in LAYOUTS:
        for name, step in segmentation.kmeans_steps(
            untidy(image, how), untidy(brain, how), radius).items():
            assert (step == steps[name]).all()


@FEW
@given(brains(), seeds())
def test_regions_of_a_slice(pair, seed):
    image, brain = pair
    cam = generator(seed).random(image.shape)
    choice = segmentation.choose_region(image, brain, cam)
    assert (choice.mask.dtype == bool and choice.mask.shape == image.shape
            and -1 <= choice.chosen < len(choice.candidates))
    assert (choice.chosen < 0) == (len(choice.candidates) == 0)
    again = segmentation.choose_region(
        untidy(image, "strided"), untidy(brain, "fortran"), untidy(cam, "reversed"))
    assert (again.mask == choice.mask).all()
    smooth = segmentation.smooth_slice(image, brain)
    assert (isinstance(choice, segmentation.Choice)
            and (segmentation.propose_regions(smooth, brain) == choice.candidates).all())
    if brain.any():
        sheets = segmentation.bright_masks(smooth, brain, {"kmeans": 3})
        assert all(
            sheet.dtype == np.uint8 and sheet.shape == image.shape and not sheet[~brain].any()
            for sheet in sheets) and len({sheet.tobytes() for sheet in sheets}) == len(sheets)
        maps = segmentation.slice_maps(smooth, brain, cam)
        assert (isinstance(maps, segmentation.SliceMaps) and not maps.levels[~brain].any()
                and maps.cam[brain].mean() == pytest.approx(1))
        whole = segmentation.describe_region(brain, maps)
        assert (np.isfinite(list(whole.values())).all() and whole["size"] == pytest.approx(0)
                and whole["saliency_fraction"] == pytest.approx(1))
        assert (segmentation.with_squares(pd.DataFrame([whole]))["size_squared"][0]
                == whole["size"] ** 2)
    if len(choice.candidates):
        assert len({candidate.tobytes() for candidate in choice.candidates}) == len(
            choice.candidates) and all(candidate.any() for candidate in choice.candidates)
        assert np.isfinite(choice.numbers.to_numpy()).all() and len(choice.numbers) == len(
            choice.candidates)
        assert choice.chosen == choice.numbers["score"].argmax()
        weights = segmentation.fit_candidate_weights(
            choice.numbers.drop(columns="score"), generator(seed).random(len(choice.candidates)),
            np.zeros(len(choice.candidates), int))
        assert np.isfinite(list(weights.values())).all()
        assert segmentation.candidate_scores(choice.numbers, weights).shape == (
            len(choice.candidates),)
    drawn(segmentation.plot_choice, image, cam, choice.candidates, choice.chosen, choice.mask)
    drawn(segmentation.plot_kmeans_steps, image, segmentation.kmeans_steps(image, brain), brain)
    drawn(segmentation.plot_outlines, [image] * 3, [brain] * 3, [choice.mask] * 3, NAMES[4:7])


def test_regions_of_a_tumour():
    y, x = np.mgrid[:64, :64]
    brain, tumour = (x - 32) ** 2 + (y - 32) ** 2 < 700, (x - 22) ** 2 + (y - 36) ** 2 < 40
    image = (brain * 90 + tumour * 110).astype(np.uint8)
    choice = segmentation.choose_region(image, brain, tumour + .1)
    assert masks_module.score_masks(choice.mask[None], tumour[None]).dice[0] > .8
    # no evidence counts as uniform
    assert (segmentation.choose_region(image, brain, np.zeros(image.shape)).mask & brain).any()
    drawn(segmentation.plot_choice, image, tumour * 1., choice.candidates, choice.chosen, tumour)
    for cam in (np.ones((9, 9)), np.full(image.shape, np.nan), -np.ones(image.shape),
                tumour[..., None] * 1.0):
        refused(segmentation.choose_region, image, brain, cam)


@given(no_pictures())
def test_segmentation_of_no_slice(image):
    brain = np.ones(np.shape(image) if not isinstance(image, str) else (3, 3), bool)
    for mask in (brain, np.ones((5, 5), bool)):
        refused(segmentation.kmeans_steps, image, mask)
        refused(segmentation.smooth_slice, image, mask)
        refused(segmentation.choose_region, image, mask, np.ones(mask.shape))
    good = np.zeros((5, 5), np.uint8)
    for mask in (brain.astype(np.uint8) * 255, np.ones((5, 4), bool), None, [[True]]):
        refused(masks_module.check_slice, good, mask)


@given(mask_pairs(n=1), st.integers(0, 4))
def test_shapes_of_regions(pair, radius):
    mask = pair[0][0]
    kernel = masks_module.disc(radius)
    assert (kernel.shape == (2 * radius + 1,) * 2 and kernel.dtype == np.uint8
            and (kernel == kernel[::-1, ::-1]).all())
    for region in masks_module.regions(mask.astype(np.uint8), max(radius, 1), (1, mask.size)):
        assert (region.dtype == bool and 1 <= region.sum() <= mask.size
                and 0 < segmentation.roundness(region.astype(np.uint8)) <= 1)
        box = masks_module.box_around(region, radius)
        assert region[box].sum() == region.sum()
        whole = masks_module.bridge_gaps(region, radius)
        assert whole.dtype == bool and not (region & ~whole).any()


@given(mask_pairs(n=1), seeds(), st.sampled_from([0., .5, 1.1]))
def test_likely_masks(pair, seed, sure):
    mask, rng = pair[0][0], generator(seed)
    found = tumour_unet.likely_mask(mask.astype(np.float32), sure)
    assert (found.dtype == bool
            and (found == (mask if mask.any() and sure <= 1 else np.zeros_like(mask))).all())
    probability = rng.random(mask.shape)
    assert (tumour_unet.likely_mask(untidy(probability, "reversed"), sure)
            == tumour_unet.likely_mask(probability, sure)).all()
    for wrong in (probability * np.nan, probability + np.inf, probability[:0]):
        refused(tumour_unet.likely_mask, wrong)


@given(st.integers(1, 30), st.sampled_from([.01, .5, 1.]), seeds())
def test_choices_of_masks(n, fraction, seed):
    patients = generator(seed).choice(["p", "q", "r", ""], n)
    rows = np.flatnonzero(generator(seed).random(n) < .7)
    chosen = tumour_unet.choose_masks(rows, patients, fraction, seed)
    assert (set(chosen) <= set(rows) and (len(chosen) > 0) == (len(rows) > 0)
            and (np.diff(chosen) > 0).all())
    assert set(chosen) <= set(tumour_unet.choose_masks(rows, patients, 1., seed)) == set(rows)
    assert not set(patients[chosen]) & set(patients[np.setdiff1d(rows, chosen)])
    for wrong in (0, -1, 1.5, np.nan):
        refused(tumour_unet.choose_masks, rows, patients, wrong)


@cache
def unet():
    return tumour_unet.make_unet("autoencoder", network()[0]).eval()


@FEW
@given(st.integers(1, 2), st.sampled_from([32, 64]), seeds(),
       st.sampled_from(["noise", "constant"]))
def test_a_network_that_outlines(n, side, seed, kind):
    images = (torch.from_numpy(generator(seed).integers(0, 256, (n, 1, side, side), dtype=np.uint8))
              if kind == "noise" else torch.full((n, 1, side, side), 7, dtype=torch.uint8))
    data = tumour_unet.MaskedSlices(images, images > 128, .3, .2)
    for rows in (np.arange(n), np.arange(0)):
        found = tumour_unet.tumour_probabilities(
            make_fabric(torch.device("cpu"), "32-true"), unet(), data, rows)
        assert (found.shape == (len(rows), side, side) and found.dtype == np.float32
                and (found >= 0).all() and (found <= 1 + 1e-6).all())
    x, masks = data.batch(np.arange(n), torch.device("cpu"))
    assert [feature.shape[2] for feature in unet().encoder(x)] == [
        side // 2**k for k in (1, 1, 2, 3, 4, 5)]
    moved, moved_masks = tumour_unet.augment_pair(
        tumour_unet.TUMOUR_VIEWS, x, masks, 32, torch.Generator().manual_seed(seed))
    assert (moved.shape == moved_masks.shape == (n, 1, 32, 32) and moved.min() >= 0
            and moved.max() <= 1 and set(moved_masks.unique().tolist()) <= {0.0, 1.0})
    logits = (masks - .5) * 200
    assert (tumour_unet.segmentation_loss(logits, masks) < 1e-3 < 0.5
            < tumour_unet.segmentation_loss(-logits, masks))
    assert (
        tumour_unet.resized(x, 16).shape == (n, 1, 16, 16) and tumour_unet.resized(x, side) is x)
    assert (isinstance(unet().encoder, tumour_unet.SkipEncoder)
            and tumour_unet.mean_of_views(unet(), x).shape == x.shape)
    refused(tumour_unet.make_unet, "absent")


def test_curves_over_masks():
    table = pd.DataFrame([(name, n, 0.5, 0.4, 0.6) for name in NAMES[4:8] for n in (1, 10, 100)],
                         columns=["encoder", "masks", "mean", "low", "high"])
    figure = drawn(segmentation.plot_mask_counts, table, {NAMES[4]: .3, "K-Means": .2})
    for name in NAMES[4:8]:
        assert name in texts(figure)
    drawn(segmentation.plot_outlines, [], [], [], [])


# --- prediction -----------------------------------------------------------------------------------

@cache
def predictor(classes: int = 4, named: bool = True) -> predictor_module.Predictor:
    """A run of 32 pixels that has learnt nothing, with calibration and sets.

    Its classes have unlikely names.
    """
    rng, made = generator(0), make_network("autoencoder", classes, 32, seed=0)
    data = TrainingData(torch.from_numpy(rng.integers(0, 256, (30, 1, 32, 32), dtype=np.uint8)),
                        np.arange(30) % classes, np.arange(30) % classes, np.arange(30),
                        np.arange(0), 0.5, 0.3, classes)
    fabric, folder = make_fabric(torch.device("cpu"), "32-true"), Path(tempfile.mkdtemp())
    config = make_config("demo", image_size=32, encoder="autoencoder", device="cpu",
                         classes=tuple(f"class {k}" for k in range(classes)), n_clusters=5,
                         anchored=False, pseudo_label_weight=0.0)
    mixture = fit_mixture(embed_slices(fabric, made, data, flip_tta=config.flip_tta)[0], 5,
                          l2_normalise=config.l2_normalise)
    tensors = {"responsibilities": mixture.responsibilities(
                   embed_slices(fabric, made, data, flip_tta=config.flip_tta)[0]),
               **{f"mixture.{name}": value for name, value in vars(mixture).items()}}
    save_model(
        folder,
        SimpleNamespace(
            network=made, result=made,
            tensors={name: torch.from_numpy(np.asarray(value)) for name, value in tensors.items()}),
        data, config)
    ood.save_reference(folder, fabric, made, data, np.arange(30) // 3,
                       ood.Calibration(1.3, [0.9 / classes] * classes, flip_tta=config.flip_tta))
    names, clusters = (
        [name if name[0].isalnum() else f"c {name}" for name in class_names(classes)],
        [k % classes for k in range(5)] if named else None)
    save_json(folder / "model.json",
              load_json(folder / "model.json") | {"classes": names, "cluster_classes": clusters})
    return predictor_module.Predictor(folder, "cpu", "32-true")


def table_adds_up(table: pd.DataFrame, asked: predictor_module.Predictor, n: int) -> None:
    names = list(asked.classes_)
    assert (
        list(table)
        == ["class", *(f"prob_{name}" for name in names), "prediction_set", "abstain", "cluster",
            "subtype", "ood_score", "in_distribution"] and len(table) == n)
    assert (table["cluster"].between(0, 4).all() and (table["ood_score"] >= 0).all()
            and (table["in_distribution"] == ~(table["ood_score"] > 1)).all())
    if not asked.named: return
    p = table.filter(regex="^prob_").to_numpy()
    assert (np.allclose(p.sum(axis=1), 1, atol=1e-5) and (p >= 0).all()
            and (table["class"] == np.array(names)[p.argmax(axis=1)]).all())


@given(st.lists(pictures(), min_size=1, max_size=3), st.booleans())
@FEW
def test_a_run_judges_any_slice(slices, named):
    asked = predictor(named=named)
    prepared = asked.prepare(slices)
    assert prepared.shape == (len(slices), 32, 32) and prepared.dtype == np.uint8
    found = asked.outputs(prepared)
    assert (found["embeddings"].shape[0] == len(slices) and np.isfinite(found["embeddings"]).all()
            and np.allclose(found["responsibilities"].sum(axis=1), 1, atol=1e-5))
    assert found["sets"].dtype == bool and found["sets"].shape == found["probabilities"].shape == (
        len(slices), 4)
    table_adds_up(asked.table(prepared), asked, len(slices))
    pd.testing.assert_frame_equal(asked.describe(found), asked.table(prepared))
    for how in LAYOUTS:
        assert (
            asked.prepare([untidy(slice_, how) for slice_ in slices]) == prepared
        ).all() and np.allclose(
            asked.outputs(untidy(prepared, how))["probabilities"], found["probabilities"])
    assert (asked.predict_proba(slices) == found["probabilities"]).all() and (
        asked.predict(slices) == asked.classes_[found["probabilities"].argmax(axis=1)]).all()
    assert (asked.transform(slices) == found["embeddings"]).all()
    near = asked.similar(found["embeddings"], 3)
    assert (near.shape == (len(slices), 3) and ((near >= 0) & (near < 30)).all()
            and all(len(set(row)) == 3 for row in near))
    assert (asked.similar(found["embeddings"] * 1e3, 3) == near).all()
    maps = asked.explain(
        prepared, found["responsibilities" if not named else "probabilities"].argmax(axis=1))
    assert maps.shape == prepared.shape and (maps >= 0).all() and (maps <= 1).all()


def test_a_run_knows_its_own_slices():
    asked = predictor()
    known = asked.reference["embeddings"].astype(np.float32)
    assert (asked.similar(known, 1)[:, 0] == asked.reference["rows"]).mean() > .9
    assert asked.similar(known[:2], 1000).shape == (2, 30) and asked.prepare([]).shape == (
        0, 32, 32)
    assert asked.subtypes[0] == f"{asked.classes_[0]} 1" and asked.subtypes[1] == ""


@given(no_pictures())
def test_a_run_refuses_what_is_no_slice(image):
    asked = predictor()
    good = np.zeros((1, 32, 32), np.uint8)
    for call in (asked.predict, asked.predict_proba, asked.transform, asked.prepare):
        refused(call, [np.zeros((8, 8), np.uint8), image])
    for call in (asked.outputs, asked.table):
        refused(call, image)
    refused(asked.explain, image, [0])
    for wrong in (good[:0], good[0], good[:, :16], good[:, None], good.astype(float),
                  good.astype(np.int64)):
        refused(asked.outputs, wrong)
        refused(asked.explain, wrong, [0] * len(wrong))
    for targets in ([], [0, 0], [4], [-1], [.5]):
        refused(asked.explain, good, targets)
    d = asked.reference["embeddings"].shape[1]
    for wrong in (np.zeros((2, d + 1)), np.zeros(d), np.full((1, d), np.nan),
                  np.full((1, d), np.inf), "x", None):
        refused(asked.similar, wrong)
    for count in (0, -1):
        refused(asked.similar, np.zeros((1, d)), count)


@given(points(least=1, most=30, dtype=np.float32), points(least=1, most=8, dimensions=1), seeds())
def test_how_strange_slices_are(x, other, seed):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        described = ood.describe_statistics(x)
        along, rest = ood.divide_statistics(x, described)
        assert described["directions"].shape[1] == x.shape[1] and np.allclose(
            (described["directions"] ** 2).sum(axis=1), 1, atol=1e-4)
        assert np.isfinite(along).all() and (rest >= 0).all() and np.isfinite(rest).all()
        strange = ood.ood_score(x, described, along)
        assert strange.shape == (len(x),) and np.isfinite(strange).all() and (strange >= 0).all()
        groups = generator(seed).integers(0, 8, len(x))
        limit = ood.ood_threshold(x, groups)
        assert (limit is None) == (len(np.unique(groups)) < 5) and (limit is None or limit >= 0)
    for k in (1, 5):
        found = ood.neighbour_distance(x, x[::2], k)
        direct = np.sort(np.linalg.norm(x[:, None].astype(float) - x[None, ::2], axis=2), axis=1)[
            :, min(k, len(x[::2])) - 1]
        assert np.allclose(found, direct, rtol=1e-5,
                           atol=1e-5 * max(1e-6, np.abs(x).max()) + 1e-6 * np.abs(x).max())


@FEW
@given(pictures(), st.booleans())
def test_brain_and_tumour(image, find_tumour):
    asked = predictor()
    prepared = asked.prepare([image])[0]
    brain, tumour = predictor_module.brain_and_tumour(
        prepared, asked.explain(prepared[None], [0])[0], find_tumour)
    assert (brain.dtype == tumour.dtype == bool and brain.shape == tumour.shape == prepared.shape
            and not (tumour & ~brain).any() and (find_tumour or not tumour.any()))


def test_blocks_of_a_network_are_noted():
    made, _ = network()
    x = torch.zeros(2, 1, 32, 32)
    with ood.activation_statistics(made.encoder) as noted:
        made(x)
    assert len(noted) == 2 * len(ood.described_blocks(made.encoder)) and all(
        len(values) == 2 and values.isfinite().all() for values in noted)
    with ood.activation_statistics(made.encoder) as noted:
        pass
    made(x)
    assert noted == []
    seen = ood.look_at_slices(make_fabric(torch.device("cpu"), "32-true"), made,
                                     torch.zeros(3, 1, 32, 32, dtype=torch.uint8), 0.3, 0.2, True,
                                     batch_size=2)
    assert {name: len(values) for name, values in seen.items()} == {
        "embeddings": 3, "probabilities": 3, "statistics": 3}


UNLIKELY_FILES = ["<img src=x onerror=alert(1)>.png", "=1+1.png", "line\rbreak.png", 'quote".png',
                  "骨 $x$.png", "-a.png", "a,b.png"]


@pytest.mark.skipif(os.name == "nt", reason="such names cannot be made")
def test_files_with_unlikely_names_are_judged(tmp_path):
    asked = predictor()
    (tmp_path / "scans").mkdir()
    for k, name in enumerate(UNLIKELY_FILES):
        Image.fromarray(np.full((9 + k, 12), 20 * k, np.uint8)).save(
            tmp_path / "scans" / name, format="png")
    (tmp_path / "scans" / "broken\r.png").write_text("no picture")
    read, left = prediction_files.list_inputs([tmp_path / "scans"])
    assert len(read) == 8 and left == []
    out = tmp_path / "new\r" / "=out.csv"
    assert prediction_files.predict_files(
        asked, [tmp_path / "scans"], out, part=3, maps=tmp_path / "maps") == (7, 1)
    table = pd.read_csv(out, keep_default_na=False)
    assert {Path(path).name for path in table.path} == set(UNLIKELY_FILES) and (
        table.cam.map(lambda path: Path(path).exists())).all()
    assert pd.read_csv(out.with_name("=out_unreadable.csv")).path.tolist() == [
        str(tmp_path / "scans" / "broken\r.png")]
    with ThreadPoolExecutor(1) as pool:
        part, unreadable, _ = prediction_files.predict_part(asked, read[:2], pool,
                                                            cache_folder=tmp_path)
    assert len(part) + len(unreadable) == 2
    facts = [{"path": str(read[0]), "width": 7, "height": 1}]
    written = prediction_files.write_maps(asked, np.zeros((1, 32, 32), np.uint8),
                                    asked.table(np.zeros((1, 32, 32), np.uint8)), facts,
                                    tmp_path / "maps")
    assert Image.open(written.cam[0]).size == (7, 1)
    for wrong in ([], [tmp_path / "absent"]):
        refused(prediction_files.list_inputs, wrong, kinds=(ValueError, FileNotFoundError))


@given(st.integers(1, 12), seeds())
def test_opinions_about_patients(n, seed):
    rng, names = generator(seed), class_names(3)
    p = rng.dirichlet(np.ones(3), n)
    table = pd.DataFrame({"patient": rng.choice(["", "007", "=1+1", "a\rb"], n),
                          "in_distribution": rng.random(n) < 0.6,
                          **{f"prob_{name}": p[:, k] for k, name in enumerate(names)}})
    with tempfile.TemporaryDirectory() as folder:
        for k in range(2):
            write_csv(table[k::2], Path(folder) / f"{k}.csv")
        opinions = prediction_files.patient_predictions(
            [Path(folder) / "0.csv", Path(folder) / "1.csv"], names)
    known = table[table.patient != ""]
    assert len(opinions) == known.patient.nunique()
    for row in opinions.to_dict("records"):
        of = known[(known.patient == row["patient"])]
        familiar = of[of.in_distribution]
        assert row["slices"] == len(of) and row["in_distribution"] == len(familiar)
        if len(familiar):
            direct = np.exp(np.log(familiar.filter(regex="^prob_").to_numpy()).mean(axis=0))
            assert (np.allclose([row[f"prob_{name}"] for name in names], direct / direct.sum())
                    and row["class"] == names[direct.argmax()])
        else:
            assert row["class"] == "" and np.isnan(row[f"prob_{names[0]}"])


# --- report ---------------------------------------------------------------------------------------

@st.composite
def test_parts(
    draw,
    min_slices: int = 1,
) -> tuple[pd.DataFrame, dict, np.ndarray | None, list[str]]:
    """The test slices of a run and what it says of them.

    Truth known, missing or of one class; clean, partly, or not at all; without labels.
    """
    n, k, c = (draw(st.integers(min_slices, 25)), draw(st.integers(1, 5)),
               draw(st.sampled_from((2, 4, 40))))
    rng = generator(draw(seeds()))
    scans = pd.DataFrame(
        {"path": [f"{NAMES[i % len(NAMES)]} {i}" for i in range(n)], "true_label": draw(ids(n, c)),
         "group": rng.choice(["p", "q", "r"], n),
         "clean": draw(
             st.sampled_from([np.ones(n, bool), np.zeros(n, bool), rng.random(n) < 0.5]))})
    unlabelled = draw(st.booleans())
    outputs = {"head": rng.dirichlet(np.ones(c), n),
               "clusters": np.full((n, c), np.nan) if unlabelled else rng.dirichlet(np.ones(c), n),
               "responsibilities": rng.dirichlet(np.ones(k), n)}
    return (scans, outputs,
            None if unlabelled or draw(st.booleans()) else rng.dirichlet(np.ones(c), n),
            class_names(c))

test_parts.__test__ = False  # a strategy


@given(test_parts())
def test_tables_of_a_run(part):
    scans, outputs, alone, names = part
    n, truth = len(scans), scans.true_label.to_numpy()
    table = evaluation.prediction_table(scans, outputs, alone, names)
    assert list(table) == ["path", "y_true", "y_pred", "y_pred_clusters",
                           "y_pred_supervised_baseline", "cluster", "group", "clean",
                           *(f"prob_{name}" for name in names)]
    assert (table.y_true.tolist() == [names[label] if label >= 0 else "" for label in truth]
            and (table.cluster == outputs["responsibilities"].argmax(axis=1)).all())
    unlabelled = np.isnan(outputs["clusters"]).any()
    assert table.y_pred.tolist() == (
        [""] * n if unlabelled else [names[k] for k in outputs["head"].argmax(axis=1)])
    clusters = generator(n).integers(0, 3, n)
    comparison = evaluation.compare_methods(table, {"k_means": clusters}, 20)
    assert list(comparison) == ["method", *evaluation.SCORES]
    known = truth >= 0
    if known.any():
        rows = comparison.set_index("method")
        assert set(rows.index) == {
            "k_means",
            *(["clusters (best matching)"] if unlabelled
              else ["clusters", "head", *(["supervised_baseline"] if alone is not None else [])])}
        if not unlabelled:
            right = (outputs["head"].argmax(axis=1) == truth)[known]
            assert (rows.accuracy["head"] == pytest.approx(right.mean())
                    == evaluation.score_method("head", right, table[known], 5)["accuracy"])
            clean = right[scans.clean[known]]
            assert rows.clean_accuracy["head"] == pytest.approx(
                clean.mean() if len(clean) else np.nan, nan_ok=True)
        for prefix in ("", "clean_"):
            measured = rows[rows[f"{prefix}accuracy"].notna()]
            assert (measured[f"{prefix}low"] <= measured[f"{prefix}accuracy"] + 1e-9).all() and (
                measured[f"{prefix}high"] >= measured[f"{prefix}accuracy"] - 1e-9).all()
    else:
        assert len(comparison) == 0
    tidy = evaluation.tidy_methods(comparison)
    assert len(tidy) == 2 * len(comparison) and list(tidy) == [
        "method", "accuracy", "low", "high", "test_set"]
    history = pd.DataFrame(
        {"epoch": [1, 2], "test_accuracy": [0.5, np.nan], "test_accuracy_hungarian": 0.5,
         "nmi": 0.1, "ari": 0.1, "silhouette": [0.2, 0.3]})
    results = evaluation.summarise(history, table, comparison, 20)
    assert (results["epoch"] == 2 and json.dumps(run_module.without_nan(results))
            and set(results["intervals"]) == set(comparison.method))
    if unlabelled or not known.any(): return
    best = np.array(names)[outputs["head"].argmax(axis=1)]
    claims = evaluation.claims_table(history, table, best, comparison, names)
    assert list(claims) == ["claim", "claimed", "reproduced", "honest", "low", "high"] and len(
        claims) == 5 + len(names)
    rows = claims.set_index("claim")
    assert rows.reproduced["accuracy"] == pytest.approx(
        (best == table.y_true)[known].mean()) and rows.honest["accuracy"] == pytest.approx(
        comparison.set_index("method").clean_accuracy["head"], nan_ok=True)
    assert len(evaluation.tidy_claims(claims)) == 3 * len(claims)
    refused(evaluation.claims_table, history, table, best[1:], comparison, names)


@given(test_parts(min_slices=2))
def test_outputs_of_other_slices_are_refused(part):
    scans, outputs, alone, names = part
    wider = np.zeros((len(scans), len(names) + 1))
    for changed in ({"head": outputs["head"][1:]}, {"head": wider}, {"clusters": wider},
                    {"clusters": outputs["clusters"][:, 0]},
                    {"responsibilities": outputs["responsibilities"][1:]},
                    {"responsibilities": outputs["responsibilities"] * np.nan}):
        refused(evaluation.prediction_table, scans, outputs | changed, alone, names)
    refused(evaluation.prediction_table, scans, outputs, outputs["head"][1:], names)
    for label in (-2, len(names)):
        refused(evaluation.check_outputs, scans.assign(true_label=label), outputs, alone, names)
    table = evaluation.prediction_table(scans, outputs, alone, names)
    for clusters in (np.zeros(len(scans) + 1, int), np.zeros((len(scans), 2), int)):
        refused(evaluation.compare_methods, table, {"k_means": clusters}, 5)
    known = table.assign(y_true=names[0])
    for clusters in (np.full(len(scans), -1), np.full(len(scans), .5), np.full(len(scans), np.nan)):
        refused(evaluation.compare_methods, known, {"k_means": clusters}, 5)


@given(st.integers(1, 30), st.integers(1, 5), st.integers(1, 5), seeds())
def test_the_best_matching(n, k, c, seed):
    clusters, truth = generator(seed).integers(0, k, n), generator(seed + 1).integers(0, c, n)
    right = evaluation.best_matching(truth, clusters)
    assert right.dtype == bool and right.shape == (n,)
    pairs = {(a, b) for a, b in zip(clusters[right], truth[right])}
    assert len({a for a, _ in pairs}) == len({b for _, b in pairs}) == len(pairs)  # one to one
    assert (
        right.mean()
        >= max(np.bincount(truth[clusters == a]).max() for a in np.unique(clusters)) / n - 1e-12)
    assert evaluation.best_matching(truth, truth).all() and (
        evaluation.best_matching(truth, k - 1 - clusters).mean() == right.mean())
    for wrong in (truth[:0], truth[1:], truth - 1 - truth.max(), truth * 1., truth[None]):
        refused(evaluation.best_matching, wrong, clusters)


def test_many_classes_in_a_table():
    n, names = 12_000, [f"class {k}" for k in range(10_000)]
    truth = np.arange(n) % 10_000
    scores = evaluation.macro_scores(np.array(names)[truth], np.array(names)[truth], names)
    assert len(scores) == 10_001 and set(scores.values()) == {1.}
    assert all(np.isnan(value)
               for value in evaluation.macro_scores(np.array([]), np.array([]), names[:2]).values())


@given(st.integers(1, 12), st.integers(0, 12), seeds())
def test_data_are_described(n, removed, seed):
    rng, names = generator(seed), class_names(4)
    scans = pd.DataFrame(
        {"split": rng.choice(["train", "test"], n), "sha256": [f"{k:064x}" for k in range(n)],
         "true_label": rng.integers(-1, 4, n), "label": rng.integers(-1, 4, n),
         "clean": rng.random(n) < 0.5})
    left = pd.DataFrame(
        {"reason": [["blank", "conflict: a, b", "<b>"][k % 3] for k in range(removed)]},
        dtype=object)
    found = run_module.describe_data(scans, left, names)
    assert (found["slices"] == n == sum(sum(counts.values()) for counts in found["counts"].values())
            and sum(found["removed"].values()) == removed)
    assert (found["labelled"] == (scans.label >= 0).sum()
            and found["clean_test"] == (scans.clean & (scans.split == "test")).sum())
    assert found["hash"] == run_module.describe_data(scans[::-1], left, names)["hash"]
    assert json.dumps(found)


@given(st.recursive(st.one_of(st.none(), st.booleans(), st.floats(), st.integers(),
                              st.text(max_size=5),
                              st.sampled_from([np.float32("nan"), np.int64(3), np.bool_(True),
                                               np.float64("inf")])),
                    lambda inner: st.one_of(st.lists(inner, max_size=4),
                                            st.dictionaries(
                                                st.one_of(st.text(max_size=3), st.integers()),
                                                inner, max_size=4),
                                            st.tuples(inner, inner)),
                    max_leaves=12))
def test_json_has_no_nan(value):
    clean = run_module.without_nan(value)
    assert json.loads(json.dumps(clean, allow_nan=False)) == clean or isinstance(value, tuple)


@given(st.text(alphabet="ab\r\n\x1b[A%", max_size=30))
def test_output_as_a_terminal_shows_it(text):
    once = execute.last_lines(text)
    assert "\r" not in once and (execute.last_lines(once) == once or "\x1b[A" in once)
    if not set(text) & set("\r\x1b"):
        assert once == "\n".join(line.rstrip() for line in text.split("\n"))


class Folder(SimpleNamespace):
    """As much of a `Run` as tables and figures need."""


def test_tables_and_figures_of_a_run(tmp_path):
    run = Folder(folder=tmp_path, artefacts={})
    table = pd.DataFrame({"path": UNLIKELY_FILES, "n": range(len(UNLIKELY_FILES))})
    assert run_module.add_table(run, "names", table, "Names") is table
    assert pd.read_csv(tmp_path / "tables" / "names.csv").path.tolist() == UNLIKELY_FILES
    figure = run_module.add_figure(run, "seconds", training_figures.plot_seconds({NAMES[4]: 1.}),
                                   table, NAMES[4])
    assert (isinstance(figure, Figure) and (tmp_path / "figures" / "seconds.png").exists()
            and set(run.artefacts) == {"tables/names.csv", "figures/seconds.png"})
    refused(run_module.list_artefact, run, "figures/other.png", "tables/names.csv", "Other", "")


def test_an_executed_notebook_is_escaped():
    from nbconvert import HTMLExporter
    from nbformat.v4 import new_code_cell, new_notebook, new_output
    evil = NAMES[6]
    shown = pd.DataFrame({evil: [evil]})
    outputs = [
        new_output("stream", name="stdout", text=f"{evil}\r{evil}!\n"),
        new_output("stream", name="stdout", text=evil),
        new_output(
            "execute_result", data={"text/html": shown._repr_html_(), "text/plain": str(shown)})]
    notebook = execute.tidy_outputs(
        new_notebook(cells=[new_code_cell(f"classes = [{evil!r}]", outputs=outputs)]))
    assert (notebook.cells[0].outputs[0].text == f"{evil}!\n{evil}"
            and len(notebook.cells[0].outputs) == 2)
    page, _ = HTMLExporter().from_notebook_node(notebook)
    assert evil not in page and page.count(html.escape(evil)) >= 4


# --- card -----------------------------------------------------------------------------------------

class Tags(HTMLParser):
    """The tags and attributes that a browser would see."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list) -> None:
        self.tags.append((tag, dict(attributes)))


def harmless(text: str) -> list:
    """The tags of a piece of HTML, none of which came from a name."""
    tags = Tags(text).tags
    for tag, attributes in tags:
        assert tag not in ("script", "b>", "iframe", "object") and not any(
            name.startswith("on") for name in attributes), (tag, attributes)
        assert attributes.get("src", "page/").startswith(
            ("page/", "data:image/png;base64,")
        ) and "javascript" not in str(attributes.get("href", ""))
    assert "onerror=alert(1)>" not in text and "<img src=x" not in text
    return tags


def finished_run(folder: Path, evil: str, n: int = 6, clean: bool = True) -> Path:
    """What a card reads of a run, every name in which is `evil`."""
    classes = [evil, "b"]
    predictions = pd.DataFrame(
        {"path": [f"{evil} {k}" for k in range(n)], "y_true": [classes[k % 2] for k in range(n)],
         "y_pred": [classes[k // 2 % 2] for k in range(n)],
         "group": [f"{evil} {k // 2}" for k in range(n)], "clean": clean})
    scans = pd.DataFrame(
        {"path": predictions.path, "sha256": [f"{k:064x}" for k in range(n)], "split": "test",
         "plane": "", "estimated_plane": ["axial", ""] * (n // 2), "source": evil})
    (folder / "tables").mkdir(parents=True)
    write_csv(predictions, folder / "tables" / "test_predictions.csv")
    save_table(folder / "scans.parquet", scans)
    pd.DataFrame([{"method": "head", **dict.fromkeys(evaluation.SCORES, 0.5)}]).to_csv(
        folder / "tables" / "methods.csv", index=False)
    settings_ = {"preset": "demo", "data": f"/somewhere/{evil}".replace("</", "<"),
                 "classes": classes, "n_clusters": 2, "encoder": "autoencoder", "image_size": 32,
                 "seed": 0, "bootstrap": 10}
    data = {"hash": "0" * 64, "slices": n, "labelled": 3,
            "counts": {"test": {evil: n // 2, "b": n // 2}}, "clean_test": n, "removed": {evil: 1},
            "collection": {"licence": evil}}
    save_json(folder / "run.json",
              {"config": settings_, "data": data, "versions": {"brainclust": evil}, "seed": 0,
               "seconds": {}, "notes": [evil], "results": {"epoch": 2, "calibration_error": None},
               "files": run_module.written_files(folder)})
    return folder


def forget_the_truth(run: Path) -> None:
    """Make a run one whose test slices have no known class."""
    table = pd.read_csv(run_module.run_table(run, "test_predictions")).assign(y_true="")
    table.to_csv(run / "tables" / "test_predictions.csv", index=False)
    save_json(run / "run.json",
              load_json(run / "run.json") | {"files": run_module.written_files(run)})


EVIL = [NAMES[6], "<script>alert(1)</script>", "[click](javascript:alert(1))", "a|b", "line\nbreak",
        "`code`<b>", "骨 & $\\frac{$"]


@pytest.mark.parametrize("evil", EVIL)
def test_cards_escape_every_name(evil, tmp_path):
    run = finished_run(tmp_path / "run", evil)
    text = model_card.model_card(run)
    from mistune import html as render
    page = render(text.split("---", 2)[2])
    tags = harmless(page)
    assert not any(tag in ("a", "img", "b") for tag, _ in tags)
    front = yaml.safe_load(text.split("---")[1])
    assert front["license_name"] == evil
    assert page.count("<tr>") == 1 + 1 + 1 + 1 + 2 * 2 + 2 * 2 - 2 or page.count("<tr>") >= 8
    checklist = model_card.claim_checklist(run)
    assert (list(checklist) == ["number", "item", "answer", "filled"]
            and len(checklist) == len(model_card.CLAIM)
            and not checklist.answer.str.match(r"^[=+@-]").any())
    assert model_card.card_command([str(run)]) == 0
    assert len(pd.read_csv(run / "checklist.csv")) == len(checklist)


@given(st.integers(0, 20), st.sampled_from([0, .5, 1]), seeds())
def test_accuracy_of_parts(n, share_clean, seed):
    rng = generator(seed)
    judged = pd.DataFrame({"y_true": rng.choice(["a", "b"], n), "y_pred": rng.choice(["a", "b"], n),
                           "group": rng.integers(0, 4, n), "clean": rng.random(n) < share_clean,
                           "source": rng.choice(NAMES, n)})
    table = model_card.accuracy_by(judged, "source", 20)
    assert list(table) == ["value", "slices", "accuracy", "low", "high", "clean_slices",
                           "clean_accuracy", "clean_low", "clean_high"]
    assert table.slices.sum() == n and table.clean_slices.sum() == judged.clean.sum()
    for row in table.itertuples():
        of = judged[judged.source == row.value]
        assert (row.accuracy == pytest.approx((of.y_true == of.y_pred).mean())
                and row.low <= row.accuracy + 1e-9 and row.high >= row.accuracy - 1e-9)
        assert np.isnan(row.clean_accuracy) == (row.clean_slices == 0)


@given(st.lists(st.text(max_size=12), min_size=1, max_size=4, unique=True),
       st.lists(st.text(max_size=12), min_size=1, max_size=3))
def test_tables_in_markdown(keys, values):
    rows = [dict.fromkeys(keys, value) for value in values]
    lines = model_card.markdown_table(rows).split("\n")
    assert (len(lines) == 2 + len(rows) and {line.count("|") for line in lines} == {len(keys) + 1}
            and model_card.markdown_table([]) == "")
    assert not any(letter in "".join(lines) for letter in "<>`")
    assert all("\n" not in model_card.in_markdown(value)
               and "](" not in model_card.in_markdown(value + "](x)")
               for value in values)
    for number in ((.5, .4, .6), (np.nan,) * 3, (.5, np.nan, np.nan)):
        assert model_card.with_interval(*number) in ("0.500 [0.400, 0.600]", "–", "0.500")


def test_cards_of_runs_without_clean_or_known_slices(tmp_path):
    none_clean = finished_run(tmp_path / "a", "glioma", clean=False)
    assert (
        model_card.judged_slices(none_clean).clean == False
    ).all() and "| glioma | 3 |" in model_card.model_card(none_clean)  # noqa: E712
    record = load_json(none_clean / "run.json")
    forget_the_truth(none_clean)
    methods = pd.read_csv(none_clean / "tables" / "methods.csv").set_index("method")
    assert model_card.results_section(none_clean, record, methods)[-1].startswith("Without labels")
    assert "not calibrated" in model_card.trust_section(none_clean, record)[-1]
    for function in (model_card.model_card, model_card.claim_checklist):
        refused(function, tmp_path)
    assert model_card.card_command([str(tmp_path)]) == 2


# --- export ---------------------------------------------------------------------------------------

@given(shares(), st.floats(.05, 20), seeds())
def test_what_an_export_calculates(p, temperature, seed):
    x = torch.from_numpy(np.array(p))
    found = export.calibrated(x, temperature)
    assert (
        torch.allclose(found.sum(dim=1), torch.ones(len(p)))
        and (found.argmax(dim=1) == export.calibrated(x, 1.0).argmax(dim=1)).float().mean() > 0.9)
    assert torch.allclose(export.calibrated(x.clamp(min=1e-6), 1.0),
                          x.clamp(min=1e-6) / x.clamp(min=1e-6).sum(dim=1, keepdim=True), atol=1e-5)
    rng, k = generator(seed), p.shape[1]
    weights, means, variances = (rng.dirichlet(np.ones(k)), rng.normal(size=(k, 3)),
                                 rng.uniform(0.1, 2, (k, 3)))
    reduced = rng.normal(size=(5, 3)) * rng.choice([1e-6, 1, 100])
    direct = export.mixture_responsibilities(
        *(torch.from_numpy(part) for part in (reduced, weights, means, variances)))
    assert np.allclose(direct, e_step(reduced, weights, means, variances)[0], atol=1e-9)
    side = int(rng.integers(1, 9))
    maps = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(export.QuarterMaximum()(maps), torch.nn.AdaptiveMaxPool2d(2)(maps))


@FEW
@given(st.lists(pictures(), min_size=1, max_size=3))
def test_an_exported_network_says_what_the_run_says(slices):
    asked = predictor()
    module = export.ExportedNetwork(asked.network.module, asked.mixture, asked.description["mean"],
                                    asked.description["std"], asked.description["flip_tta"],
                                    asked.record["temperature"], asked.record["thresholds"]).eval()
    def run(names, fed):
        with torch.no_grad():
            return [part.numpy() for part in module(torch.from_numpy(np.array(fed["slices"])))]
    bare = export.exportable(asked.network.module)
    assert bare.decoder is None and not bare.training and asked.network.module.decoder is not None
    exported = export.ExportedRun(
        SimpleNamespace(run=run),
        {"classes": list(asked.classes_), "image_size": 32, "preparation": asked.settings})
    prepared = exported.prepare(slices)
    found, expected = exported.outputs(prepared, batch_size=2), asked.outputs(prepared)
    distances = export.differences(
        found, expected, asked.record["temperature"], asked.record["thresholds"])
    assert list(distances) == list(export.OUTPUTS) and max(distances.values()) <= export.TOLERANCE
    assert ((exported.predict(slices) == asked.predict(slices)).all()
            and np.allclose(exported.predict_proba(slices), expected["probabilities"], atol=1e-4)
            and exported.transform(slices).shape == expected["embeddings"].shape)
    assert json.dumps(export.describe_export(asked)) and export.check_slices(asked).shape == (
        11, 32, 32)
    good = np.zeros((1, 32, 32), np.uint8)
    for wrong in (good[:0], good[0], good[:, None], good.astype(float), good.tolist(), None, "x"):
        refused(exported.outputs, wrong)
    for wrong in (None, [good], ["x"], [slices[0] / 255]):
        refused(exported.predict, wrong)


def test_what_is_no_exported_run(tmp_path):
    (tmp_path / "text.onnx").write_text("<b>")
    for file in (tmp_path, tmp_path / "absent.onnx", tmp_path / "text.onnx"):
        refused(export.load_exported, file, kinds=(ValueError, ImportError))


# --- annotation -----------------------------------------------------------------------------------

@given(st.lists(st.tuples(st.text(st.characters(min_codepoint=1, max_codepoint=300), min_size=1,
                                  max_size=20), st.sampled_from(NAMES[4:]),
                                  st.text(min_size=1, max_size=20)), min_size=1, max_size=5))
def test_labels_come_back_as_they_were_given(answers):
    names, given_ = class_names(30), []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "labels.csv"
        for k, (path, label, by) in enumerate(answers):
            saved = answer(annotation.give_label, file, path, f"{k:064x}", label, by, names,
                           refuses=(ValueError,))
            if saved is not None:
                given_.append((path, label, f"{k:064x}", by))
            else:
                assert not by[:1].isalnum() or not by.isprintable()
            table = annotation.read_labels(file, names)
            assert (
                list(table) == annotation.LABEL_COLUMNS
                and list(table.drop(columns="time").itertuples(index=False, name=None)) == given_)
        assert annotation.labels_in_force(table) == {
            content: label for _, label, content, _ in given_}
        if given_:
            gone = annotation.take_back(file, given_[-1][3], names)
            assert (gone["sha256"] == given_[-1][2]
                    and len(annotation.read_labels(file, names)) == len(given_) - 1)
        assert annotation.take_back(file, "nobody", names) is None


@pytest.mark.parametrize("by", ["", " ", "=1+1", "+1", "-2", "@SUM(A1)", "a\rb", "a\nb", "\tx",
                                "\ud800", "a\x00b", "x" * 101])
def test_names_that_would_harm_the_table_are_refused(by, tmp_path):
    refused(annotation.give_label, tmp_path / "labels.csv", "a.png", "0", "glioma", by, NAMES)
    for label in ("", "x", None):
        refused(annotation.give_label, tmp_path / "labels.csv", "a.png", "0", label, "anna", NAMES)
    assert not (tmp_path / "labels.csv").exists()


@given(st.binary(max_size=200))
def test_any_bytes_as_a_table_of_labels(content):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "labels.csv"
        for head in (b"", b"path,label,sha256,by,time\n",
                     b"path,label,sha256,by,time\na.png,glioma,0,anna,now\n"):
            file.write_bytes(head + content)
            table = answer(annotation.read_labels, file, NAMES, refuses=(ValueError,))
            if table is not None:
                assert (list(table) == annotation.LABEL_COLUMNS
                        and set(table["label"]) <= set(NAMES)
                        and table.map(lambda value: isinstance(value, str)).all(axis=None))


@given(st.integers(0, 8),
       st.lists(st.tuples(st.sampled_from(["anna", "ben"]),
                          st.sampled_from(["next", "aside", "return"]), st.integers(-1, 9)),
                max_size=12), st.sets(st.integers(0, 8)))
def test_a_queue_hands_a_slice_to_one_person(n, steps, done):
    queue, before = annotation.Queue(range(n)), {}
    for by, what, row in steps:
        if what == "next":
            got = queue.next(by, done, now=1.)
            assert got is None or got in queue.order and got not in done
            others = {
                other for person, other in before.items() if person != by and other is not None}
            assert got is None or got not in others
            before[by] = got
        elif what == "aside" and before.get(by) is not None:
            queue.put_aside(by, before.pop(by))


@FEW
@given(st.integers(1, 12), st.booleans(), seeds(), st.sampled_from(["none", "some", "all"]),
       st.sampled_from(["none", "some", "all"]))
def test_a_queue_of_a_collection(n, named, seed, labelled, tested):
    bench = fake_bench(n, named, seed)
    table = bench.collection.table
    table["split"] = {"none": "train", "some": np.where(np.arange(n) % 2, "test", "train"),
                      "all": "test"}[tested]
    table["label"] = {"none": -1, "some": np.where(np.arange(n) % 3, -1, 0), "all": 0}[labelled]
    order = annotation.make_queue(bench.collection, {table.sha256[0]: "glioma"}, named).order
    assert len(set(order)) == len(order) and all(
        table.split[row] != "test" and table.label[row] < 0 and row != 0 for row in order)


@FEW
@given(scan_tables(most=6), seeds())
def test_a_training_folder(scans, seed):
    names = ["glioma", "meningioma", "notumor", "pituitary"]
    scans = scans.assign(patient=["=1+1", "a\rb", None, ""][seed % 4])
    labels = {scans.sha256.iloc[0]: "pituitary"}
    with tempfile.TemporaryDirectory() as folder:
        count = annotation.write_training_folder(Path(folder) / "data", scans, labels, names)
        table = pd.read_csv(Path(folder) / "data" / "labels.csv", keep_default_na=False)
        assert (len(table) == len(scans)
                and count == ((table.split == "train") & (table.label != "")).sum()
                and (table.patient == (scans.patient.iloc[0] or "")).all())
        for row, scan in zip(table.itertuples(), scans.itertuples()):
            known = names[scan.label] if scan.label >= 0 else ""
            assert row.label == (known if scan.split == "test" else labels.get(scan.sha256, known))
            assert (os.path.islink(Path(folder) / "data" / row.path)
                    or (Path(folder) / "data" / row.path).exists())


@given(st.integers(0, 12), st.integers(0, 12), seeds())
def test_answers_of_two_runs(n, m, seed):
    rng = generator(seed)
    before, after = (
        pd.DataFrame({"right": rng.random(k) < 0.5, "group": rng.choice(["p", "q"], k),
                      "clean": rng.random(k) < 0.7}, index=[f"{i:064x}" for i in range(k)])
        for k in (n, m))
    table = annotation.compare_predictions(before, after, 20)
    assert list(table) == ["test_slices", "slices", "before", "after", "gain", "low", "high"]
    for row in table.itertuples():
        assert (row.gain == pytest.approx(row.after - row.before) and row.low <= row.gain + 1e-9
                and row.high >= row.gain - 1e-9)
    assert (len(table) == 0) == (min(n, m) == 0) and (
        not len(table) or table.slices[0] == min(n, m))


@given(st.text(max_size=80))
def test_any_line_of_output_is_progress_or_words(line):
    for text in (line, f"{line} 12%|█▏  | 10/80 [00:10<01:10, 3.1it/s]", f"{line} 500%|"):
        what, share, left = annotation.read_progress(text)
        assert (
            isinstance(what, str) and (share is None or 0 <= share <= 1) and isinstance(left, str))


# --- reading --------------------------------------------------------------------------------------

@given(pictures(), st.integers(1, 90))
def test_pictures_of_a_page(image, side):
    small = reading.shrink(image, side)
    assert small.dtype == np.uint8 and max(small.shape) <= max(side, 1) and min(small.shape) >= 1
    if max(image.shape) <= side:
        assert (small == image).all()
    source = reading.picture_source(small)
    assert (
        np.array(
            Image.open(io.BytesIO(base64.b64decode(source.removeprefix("data:image/png;base64,")))))
        == small).all()
    border = reading.edge(image > 100)
    assert (
        border.dtype == bool and border.shape == image.shape and not (border & ~(image > 100)).any()
    )
    answer_ = server.png_response(image)
    assert (answer_.media_type == "image/png"
            and (np.array(Image.open(io.BytesIO(answer_.body))) == image).all())


@FEW
@given(pictures(largest=60), st.booleans(), st.sampled_from(EVIL))
def test_a_reading_of_any_slice(image, named, title):
    asked = predictor(named=named)
    found = reading.look(asked, image)
    assert (isinstance(found, reading.Reading) and found.shown.dtype == np.uint8
            and max(found.shown.shape) <= reading.SHOWN
            and found.cam.shape == found.brain.shape == found.tumour.shape)
    assert ((found.cam >= 0).all() and (found.cam <= 1 + 1e-6).all()
            and found.brain.dtype == found.tumour.dtype == bool)
    for name, layer in reading.layers(found).items():
        assert layer.shape == (*found.cam.shape, 4) and layer.dtype == np.uint8, name
    scans = pd.DataFrame(
        {"path": "/absent.png", "sha256": "00", "label": np.arange(-1, 29) % 5 - 1})
    page = reading.reading_html(asked, found, scans, title)
    tags = harmless(page)
    assert html.escape(title) in page and sum(tag == "figure" for tag, _ in tags) == len(
        found.similar)
    assert tags[0][1]["data-class"] == found.prediction["class"]


@given(no_pictures())
def test_a_reading_of_no_slice(image):
    refused(reading.look, predictor(), image)


@given(st.sampled_from(SIZES), st.booleans(), st.sampled_from([0., .5, 1.5, np.nan]),
       st.integers(0, 3), seeds())
def test_words_about_a_slice(n, named, score, held, seed):
    names, p = class_names(n), generator(seed).dirichlet(np.ones(n))
    said = {"class": names[0] if named else "",
            **{f"prob_{name}": share for name, share in zip(names, p)},
            "prediction_set": ";".join(names[:held]), "abstain": held != 1, "cluster": 2,
            "subtype": "", "ood_score": score, "in_distribution": not score > 1}
    for coverage in (None, .95):
        words = reading.confidence_sentence(said, named, coverage)
        assert (isinstance(words, str) and len(words) > 20
                and (score > 1) == ("does not look like" in words))
    head = reading.verdict(said, named)
    assert head and (("Unlike" in head) == (score > 1))
    if named and held == 1 and not score > 1:
        assert head.lower() == plain(names[0]).lower() and head[1:] == plain(names[0])[1:]
    bars = reading.probability_bars(said, names)
    assert sorted(bar["name"] for bar in bars) == sorted(map(plain, names))
    assert [bar["probability"] for bar in bars] == sorted(p, reverse=True)
    assert sum(bar["fits"] for bar in bars) == min(held, n)
    scans = pd.DataFrame({"path": "/absent", "sha256": "00", "label": [-1, 0]})
    assert reading.similar_slices([0, 1], scans, names) == [
        {"picture": "", "label": "no label"}, {"picture": "", "label": plain(names[0])}]


@given(st.text(max_size=60))
def test_refusals_are_escaped(reason):
    page = reading.refusal_html(reason + NAMES[6])
    assert [tag for tag, _ in harmless(page)] == ["div", "b"]


# --- app ------------------------------------------------------------------------------------------

def fake_bench(n: int, named: bool, seed: int, classes: int = 4) -> SimpleNamespace:
    """As much of a `Workbench` as the pieces of its page need; every name in it is unlikely."""
    rng, names = generator(seed), class_names(classes)
    evil = [*EVIL, ""]
    table = pd.DataFrame(
        {"path": [f"/scans/{NAMES[4 + k % 18]} {k}.png".replace("</", "<") for k in range(n)],
         "sha256": [f"{k:064x}" for k in range(n)], "split": "train",
         "label": rng.integers(-1, classes, n), "group": [f"p{k}" for k in range(n)],
         "source": rng.choice(evil, n), "plane": rng.choice(evil, n), "patient": "", "frame": -1,
         "class": rng.choice(names, n) if named else "", "abstain": rng.random(n) < 0.5,
         "cluster": rng.integers(0, 3, n), "ood_score": 0.5, "in_distribution": rng.random(n) < 0.5,
         "x": rng.choice([np.nan, 0.5], n), "y": 0.5})
    table["y"] = table["x"]
    outputs = {"embeddings": rng.normal(size=(n, 4)),
               "probabilities": rng.dirichlet(np.ones(classes), n),
               "responsibilities": rng.dirichlet(np.ones(3), n)}
    pairs = pd.DataFrame(
        {"path_a": table.path, "path_b": table.path, "kind": NAMES[6], "orientation": NAMES[6]})
    asked = SimpleNamespace(
        classes_=np.array(names), named=named,
        description={"cluster_classes": [k % classes for k in range(3)] if named else None},
        mixture=SimpleNamespace(weights=np.ones(3)))
    folder = asked.folder = Path(tempfile.mkdtemp())
    bench = SimpleNamespace(
        predictor=asked,
        collection=Collection(table, np.zeros((n, 1, 8, 8), np.uint8), outputs, pairs), version="0",
        label_file=folder / "labels.csv", run=folder, data=None,
        scans=pd.DataFrame({"split": ["train"], "label": [0]}), queue=annotation.Queue(range(n)),
        prediction_lock=threading.Lock(), training_lock=threading.Lock(), training=None,
        outcome={"state": "none"})
    bench.labels = lambda: annotation.labels_in_force(
        annotation.read_labels(bench.label_file, names))
    return bench


@given(st.integers(1, 15), st.booleans(), seeds(), st.sampled_from((1, 4, 40)))
def test_pieces_of_the_page_are_escaped(n, named, seed, classes):
    bench = fake_bench(n, named, seed, classes)
    (bench.run / "tables").mkdir()
    pd.DataFrame(
        {"path": bench.collection.table.path, "label_error": True, "given": NAMES[6],
         "suggested": NAMES[6]}).to_csv(bench.run / "tables" / "label_errors.csv", index=False)
    save_json(bench.run / "run.json", {"files": run_module.written_files(bench.run)})
    for piece in (pieces.render_template("banner", words=NAMES[6]), pieces.groups_html(bench),
                  pieces.pairs_html(bench), pieces.label_errors_html(bench),
                  pieces.label_html(bench, 0, True), pieces.label_html(bench, None)):
        harmless(piece)
    known = (bench.collection.table.label >= 0).sum()
    assert f"{known} labels look wrong" in pieces.label_errors_html(bench)
    assert f"{n} pairs of duplicates" in pieces.pairs_html(bench)
    content = pieces.map_content(bench)
    on = bench.collection.table.x.notna().sum()
    assert (json.dumps(content, allow_nan=False) and content["slices"] == n
            and all(len(content[name]) == on for name in ("rows", "x", "y", "words", "names")))
    for choice in content["choices"]:
        assert (len(choice["names"]) == len(choice["colours"])
                and all(0 <= value < len(choice["names"]) for value in choice["values"])
                and len(choice["values"]) == on)
    for choice in pieces.map_colours(bench):
        assert len(choice["values"]) == n and re.fullmatch(
            r"(#[0-9A-F]{6})*", "".join(choice["colours"]))
    harmless(views_module.headline(bench))


@given(st.one_of(st.text(max_size=200), st.text("=+-@_ \u200b\n\ud800a٣", max_size=9)))
def test_names_of_visitors_are_what_the_table_of_labels_takes(entered):
    name = workbench.visitor_name(entered)
    assert (workbench.visitor_name(name) == name and len(name) <= 60
            and bool(name) == any(letter.isalnum() for letter in entered if letter.isprintable()))
    if not name: return
    with tempfile.TemporaryDirectory() as folder:
        annotation.give_label(
            Path(folder) / "labels.csv", "a.png", "00", "glioma", name, ["glioma"])
        assert list(annotation.read_labels(Path(folder) / "labels.csv", ["glioma"])["by"]) == [name]


@given(st.integers(1, 6), seeds(),
       st.lists(st.tuples(st.one_of(st.integers(-2, 8).map(str),
                                    st.sampled_from(["", "²", "1e3", "9" * 5000, "٣", "0x1", "1.0",
                                                     " 1"])),
                          st.sampled_from(["anna", "ben", "", " "]),
                          st.one_of(st.none(), st.integers(0, 3))),
                max_size=8))
def test_answers_that_a_browser_sends(n, seed, answers):
    bench, expected = fake_bench(n, True, seed), {}
    bench.collection.table.loc[0, "split"] = "test"
    for row, by, label in answers:
        with at_most():
            workbench.label_slice(
                bench, row, by, None if label is None else bench.predictor.classes_[label])
        if (row.isdecimal() and len(row) < 9 and 0 < int(row) < n and by.strip()
            and label is not None):
            expected[int(row)] = (by, bench.predictor.classes_[label])
    assert {bench.collection.table.sha256[row]: label
            for row, (_, label) in expected.items()} == bench.labels()
    for goal in (1, 5, 0, -3):
        harmless(pieces.goal_html(bench, goal, "anna"))
    assert f'data-done="{len(expected)}"' in pieces.goal_html(bench, 5, "anna")
    row = workbench.next_row(bench, "anna")
    assert (row is None or row not in expected and bench.collection.table.split[row] != "test"
            or row == 0)
    gone = workbench.undo(bench, "anna")
    assert gone is None or gone in expected


@given(st.floats(allow_nan=False, min_value=0, max_value=10))
def test_meters(fraction):
    page = pieces.training_html(
        {"state": "running", "step": NAMES[6], "fraction": fraction, "left": NAMES[6]})
    harmless(page)
    assert 0 <= int(re.search(r'aria-valuenow="(\d+)"', page)[1]) <= 100


@pytest.mark.parametrize("progress", [
    {"state": "none"}, {"state": "stopped"}, {"state": "refused", "reason": NAMES[6]},
    {"state": "failed", "reason": NAMES[6], "log": NAMES[6]}])
def test_ends_of_trainings_are_escaped(progress):
    harmless(pieces.training_html(progress))


def test_every_template_is_filled_by_a_test():
    """Whoever adds a template fills it with an evil name, here or in test_audit.py."""
    filled = {"banner", "goal", "groups", "label", "label_errors", "pairs", "reading", "refusal",
              "training"}
    without_names = {"head", "map", "parts"}  # of our own files alone; macros of the others
    found = {path.stem for path in (ROOT / "brainclust/app/templates").iterdir()}
    assert found == filled | without_names
    assert {path.stem for path in (ROOT / "brainclust/data/templates").iterdir()} == {
        "audit", "audit_parts"}


@given(st.text(alphabet="/.\\%a2efpageslicetheme.css", max_size=40))
def test_what_climbs_out_is_closed(path):
    if server.is_open(path):
        assert ".." not in path and "\\" not in path and "//" not in path
    assert not server.is_open(f"/page/../{path}") and not server.is_open(f"/file={path}")


@pytest.mark.parametrize("row", ["-1", "3", "99999999999", "²", "a", "0 ", "../0", "9" * 5000])
def test_addresses_of_slices_that_are_not_there(row):
    routes = {route.path: route.endpoint for route in server.page_routes(fake_bench(3, True, 0))}
    for path, values in (("/page/slice/{row}.png", {"row": row}),
                         ("/page/original/{row}.png", {"row": row}),
                         ("/page/pair/{number}/{side}.png", {"number": row, "side": "a"})):
        assert routes[path](SimpleNamespace(path_params=values)).status_code == 404
    assert (routes["/page/slice/{row}.png"](SimpleNamespace(path_params={"row": "2"})).status_code
            == 200)
    assert (routes["/page/pair/{number}/{side}.png"](
                SimpleNamespace(path_params={"number": "0", "side": "c"})).status_code == 404)


def test_gains_of_a_training(tmp_path):
    before, after = finished_run(tmp_path / "a", NAMES[6]), finished_run(tmp_path / "b", NAMES[6])
    assert len(annotation.read_test_predictions(before)) == 6
    def page() -> str:
        """Show the gains as they are on the disk."""
        gains = annotation.compare_predictions(
            annotation.read_test_predictions(before), annotation.read_test_predictions(after))
        return pieces.training_html(
            {"state": "taken up", "labels": 3, "gains": gains.to_dict("records")})
    harmless(page())
    assert "50.0% before, 50.0% after" in page() and page().count("<tr>") == 3
    forget_the_truth(after)
    assert "their gain is unknown" in page()
