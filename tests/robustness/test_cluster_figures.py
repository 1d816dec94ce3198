"""Invalid and damaged input for brainclust.runs.cluster_figures."""

import numpy as np
from assertions import refused
from examples import class_names
from hypothesis import given, strategies as st
from strategies import FIFTH_OF_EXAMPLES, invalid_points, probabilities, seeds

from brainclust.runs import cluster_figures


@given(embedding=invalid_points())
def test_tsne_of_invalid_embeddings_is_refused(embedding):
    """Refuse invalid, missing, unequal and constant embeddings."""
    refused(cluster_figures.tsne_frames, {1: embedding})
    refused(cluster_figures.tsne_frames, {})
    refused(cluster_figures.tsne_frames, {1: np.zeros((5, 3)), 2: np.zeros((6, 3))})
    refused(cluster_figures.tsne_frames, {1: np.zeros((3, 3))})


@FIFTH_OF_EXAMPLES
@given(n=st.integers(1, 12), k=st.sampled_from([1, 4, 40]), seed=seeds(),
       kind=st.sampled_from(["(N, H, W)", "(N, 1, H, W)", "1 x 1", "1 row"]))
def test_an_empty_gallery_is_refused(n, k, seed, kind):
    """Refuse a selection without slices."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, {"(N, H, W)": (n, 9, 9), "(N, 1, H, W)": (n, 1, 9, 7),
                                   "1 x 1": (n, 1, 1), "1 row": (n, 1, 5)}[kind], dtype=np.uint8)
    gamma = rng.dirichlet(np.ones(k), n)
    selection = cluster_figures.gallery_selection(gamma)
    names = class_names(k)
    refused(cluster_figures.plot_gallery, images, selection[:0], np.zeros(n, int), names)


@FIFTH_OF_EXAMPLES
@given(gamma=probabilities())
def test_responsibilities_that_are_not_probabilities_are_refused(gamma):
    """Refuse rows that are not probabilities."""
    for wrong in (gamma * 2, gamma[0], np.full((3, 2), np.nan), np.zeros((3, 0)), np.zeros((0, 0))):
        refused(cluster_figures.plot_responsibilities, wrong)
