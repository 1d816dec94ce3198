"""Properties of brainclust.runs.cluster_figures."""

import warnings

import numpy as np
import pandas as pd
from assertions import drawn_figure
from examples import NUMBERS_OF_CLASSES, UNLIKELY_NAMES, class_names, history_table
from hypothesis import given, strategies as st
from strategies import FIFTH_OF_EXAMPLES, LAYOUTS, points, probabilities, seeds, with_layout

from brainclust.runs import cluster_figures


@FIFTH_OF_EXAMPLES
@given(embedding=points(min_points=4, max_points=24, dimensions=5), epochs=st.integers(1, 3),
       seed=seeds())
def test_tsne_frames_are_finite_and_centred(embedding, epochs, seed):
    """Embed every epoch in two finite, centred dimensions."""
    embedding = (np.column_stack([embedding, embedding[:, :1] + 1]) if embedding.shape[1] == 1
                 else embedding)
    by_epoch = {3 * epoch + 1: embedding * (1 + epoch) for epoch in range(epochs)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frames = cluster_figures.tsne_frames(by_epoch, seed=0)
    assert list(frames) == sorted(by_epoch)
    for frame in frames.values():
        assert frame.shape == (len(embedding), 2)
        assert frame.dtype == np.float32
        assert np.isfinite(frame).all()
        assert np.abs(frame.mean(axis=0)).max() < 1e-2 * max(1, np.abs(frame).max())


@FIFTH_OF_EXAMPLES
@given(embedding=points(min_points=4, max_points=24, dimensions=5), epochs=st.integers(1, 3),
       n=st.sampled_from(NUMBERS_OF_CLASSES), seed=seeds(), with_clusters=st.booleans())
def test_tsne_frames_are_drawn(embedding, epochs, n, seed, with_clusters):
    """Draw one panel per epoch, and one more with clusters."""
    embedding = (np.column_stack([embedding, embedding[:, :1] + 1]) if embedding.shape[1] == 1
                 else embedding)
    by_epoch = {3 * epoch + 1: embedding * (1 + epoch) for epoch in range(epochs)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frames = cluster_figures.tsne_frames(by_epoch, seed=0)
    rng = np.random.default_rng(seed)
    names = class_names(n)
    labels = rng.integers(-1, n, len(embedding))
    clusters = {epoch: rng.integers(0, n, len(embedding)) for epoch in frames}
    figure = drawn_figure(cluster_figures.plot_tsne_frames, frames, labels,
                          clusters if with_clusters else None, class_names=names)
    assert len(figure.axes) == len(frames) * (1 + with_clusters)


@FIFTH_OF_EXAMPLES
@given(epochs=st.sampled_from([1, 2, 30]), clusters=st.sampled_from([1, 4, 40]), seed=seeds(),
       holes=st.booleans())
def test_pseudo_labels_are_drawn_in_three_panels(epochs, clusters, seed, holes):
    """Draw pseudo-labels of any number of clusters."""
    history = history_table(epochs, clusters, seed, holes)
    names = class_names(clusters)
    figure = drawn_figure(cluster_figures.plot_pseudo_labels, history, cluster_names=names)
    assert len(figure.axes) == 3


@given(gamma=probabilities(), each=st.integers(0, 5), distant=st.booleans(), seed=seeds())
def test_a_gallery_selects_slices_of_each_cluster(gamma, each, distant, seed):
    """Select different slices of their own cluster."""
    distances = np.random.default_rng(seed).random(len(gamma)) if distant else None
    selection = cluster_figures.gallery_selection(gamma, distances, each)
    assert list(selection) == ["cluster", "kind", "index"]
    assert selection["index"].is_unique
    assert (gamma[selection["index"].to_numpy(int)].argmax(axis=1) == selection["cluster"]).all()


@given(gamma=probabilities(), each=st.integers(0, 5), distant=st.booleans(), seed=seeds())
def test_a_gallery_selects_both_kinds_of_slices(gamma, each, distant, seed):
    """Select twice the asked number of each cluster, or all of it."""
    distances = np.random.default_rng(seed).random(len(gamma)) if distant else None
    selection = cluster_figures.gallery_selection(gamma, distances, each)
    sizes = np.bincount(gamma.argmax(axis=1), minlength=gamma.shape[1])
    assert selection.groupby("cluster").size().to_dict() == {
        k: min(2 * each, size) for k, size in enumerate(sizes) if min(2 * each, size)
    }


@given(gamma=probabilities(), each=st.integers(0, 5), distant=st.booleans(), seed=seeds())
def test_a_gallery_ignores_memory_layout(gamma, each, distant, seed):
    """Select the same slices for any memory layout."""
    distances = np.random.default_rng(seed).random(len(gamma)) if distant else None
    selection = cluster_figures.gallery_selection(gamma, distances, each)
    for how in LAYOUTS:
        pd.testing.assert_frame_equal(
            selection, cluster_figures.gallery_selection(with_layout(gamma, how), distances, each)
        )


@FIFTH_OF_EXAMPLES
@given(n=st.integers(1, 12), k=st.sampled_from([1, 4, 40]), seed=seeds(),
       kind=st.sampled_from(["(N, H, W)", "(N, 1, H, W)", "1 x 1", "1 row"]))
def test_a_gallery_draws_every_selected_slice(n, k, seed, kind):
    """Draw every selected slice."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, {"(N, H, W)": (n, 9, 9), "(N, 1, H, W)": (n, 1, 9, 7),
                                   "1 x 1": (n, 1, 1), "1 row": (n, 1, 5)}[kind], dtype=np.uint8)
    gamma = rng.dirichlet(np.ones(k), n)
    selection = cluster_figures.gallery_selection(gamma)
    names = class_names(k)
    figure = drawn_figure(cluster_figures.plot_gallery, images, selection, rng.integers(-1, k, n),
                          names,
                          captions=[UNLIKELY_NAMES[i % len(UNLIKELY_NAMES)] for i in range(n)])
    assert sum(len(axis.images) for axis in figure.axes) == len(selection)


def test_responsibilities_of_many_clusters_are_drawn():
    """Draw a panel for each of 22 clusters."""
    figure = drawn_figure(cluster_figures.plot_responsibilities, np.eye(22)[:3], class_names(22))
    assert len(figure.axes) == 25


@FIFTH_OF_EXAMPLES
@given(gamma=probabilities(), named=st.booleans())
def test_responsibilities_are_drawn_as_counts(gamma, named):
    """Draw bars that sum to all slices."""
    k = gamma.shape[1]
    figure = drawn_figure(cluster_figures.plot_responsibilities, gamma,
                          class_names(k) if named else None)
    assert sum(bar.get_height() for axis in figure.axes for bar in axis.patches) == len(gamma)
