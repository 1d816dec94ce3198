"""Properties of brainclust.data.duplicates."""

import numpy as np
import pandas as pd
import pytest
from assertions import ignores_layout
from examples import find_test_pairs
from hypothesis import given, strategies as st
from PIL import Image
from strategies import points, scan_tables, seeds, slice_images, thumbnails

from brainclust.data import duplicates


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's, 0 for constants."""
    a, b = (x.ravel().astype(float) - x.astype(float).mean() for x in (a, b))
    return float(a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-12))


@given(images=thumbnails(), scale=st.sampled_from([1, 1e-200, 1e-320, 1e150, 1e300]))
def test_unit_rows_have_length_one_or_zero(images, scale):
    """Scale every varied thumbnail to length one, and constant ones to zero."""
    images = images if scale == 1 else images.astype(float) * scale
    rows = duplicates.unit_rows(images)
    length = np.linalg.norm(rows, axis=1)
    varied = np.array([image.min() < image.max() for image in images])
    assert rows.dtype == np.float32
    assert rows.shape == (len(images), images[0].size)
    np.testing.assert_allclose(length, varied, atol=1e-5)


@given(images=thumbnails(), scale=st.sampled_from([1, 1e-200, 1e-320, 1e150, 1e300]))
def test_products_of_unit_rows_are_correlations(images, scale):
    """Multiply unit rows to Pearson's correlation."""
    images = images if scale == 1 else images.astype(float) * scale
    rows = duplicates.unit_rows(images)
    if scale == 1:
        np.testing.assert_allclose(rows @ rows.T,
                                   [[correlation(a, b) for b in images] for a in images], atol=1e-4)


@given(images=thumbnails(), scale=st.sampled_from([1, 1e-200, 1e-320, 1e150, 1e300]))
def test_unit_rows_ignore_memory_layout(images, scale):
    """Return the same rows for any memory layout."""
    images = images if scale == 1 else images.astype(float) * scale
    ignores_layout(duplicates.unit_rows, images)


@given(images=thumbnails(), scale=st.sampled_from([1, 1e-200, 1e-320, 1e150, 1e300]))
def test_frequencies_have_length_one_or_zero(images, scale):
    """Scale the frequencies of every varied thumbnail to length one."""
    images = images if scale == 1 else images.astype(float) * scale
    varied = np.array([image.min() < image.max() for image in images])
    waves = duplicates.frequencies(images, block=3)
    np.testing.assert_allclose(np.linalg.norm(waves, axis=(1, 2)), varied, atol=1e-4)


def test_no_thumbnails_have_no_rows():
    """Return empty rows and frequencies without thumbnails."""
    none = np.zeros((0, 32, 32), np.float16)
    assert duplicates.unit_rows(none).shape == (0, 1024)
    assert duplicates.frequencies(none).shape == (0, 32, 32)


def test_no_thumbnails_have_no_pairs():
    """Find no pairs without thumbnails."""
    none = np.zeros((0, 32, 32), np.float16)
    assert len(duplicates.near_duplicate_pairs(none)) == 0
    assert len(duplicates.confirm_pairs(none, np.zeros(0, int), np.zeros(0, int), 0.9, True)) == 0


@given(images=thumbnails(), place=st.integers(0, 7))
def test_a_turned_thumbnail_correlates_in_its_orientation(images, place):
    """Correlate a turned thumbnail fully in its orientation."""
    turned = duplicates.orient(images, duplicates.ORIENTATIONS[place])
    scores = duplicates.orientation_correlations(duplicates.frequencies(images),
                                                 duplicates.frequencies(turned))
    varied = np.array([image.min() < image.max() for image in images])
    assert scores.shape == (len(images), 8)
    assert np.abs(scores).max() < 1 + 1e-4
    np.testing.assert_allclose(scores[:, place], varied, atol=1e-4)


@given(images=thumbnails(), place=st.integers(0, 7))
def test_orientation_correlations_are_pearsons(images, place):
    """Return Pearson's correlation in every orientation."""
    turned = duplicates.orient(images, duplicates.ORIENTATIONS[place])
    scores = duplicates.orientation_correlations(duplicates.frequencies(images),
                                                 duplicates.frequencies(turned))
    for k, name in enumerate(duplicates.ORIENTATIONS):
        np.testing.assert_allclose(scores[:, k], [correlation(duplicates.orient(a, name), b) for a,
                                                  b in zip(images, turned)], atol=2e-3)


@given(images=thumbnails(min_images=2), oriented=st.booleans())
def test_descriptors_are_at_most_as_far_apart_as_thumbnails(images, oriented):
    """Place descriptors at most as far apart as the thumbnails."""
    rows = duplicates.unit_rows(images)
    names = duplicates.ORIENTATIONS if oriented else ("same",)
    distances = np.min(
        [
            np.linalg.norm(
                duplicates.unit_rows(duplicates.orient(images, name))[:, None] - rows[None], axis=2
            )
            for name in names
        ],
        axis=0,
    )
    for found in (duplicates.descriptors(images, oriented),
                  duplicates.search_points(images, oriented, block=5)):
        assert len(found) == len(images)
        assert found.dtype == np.float32
        assert (np.linalg.norm(found[:, None] - found[None], axis=2) <= distances + 2e-3).all()


@given(x=points(max_points=60), max_points=st.integers(1, 9))
def test_cells_hold_every_point_once(x, max_points):
    """Divide points into cells of at most the asked size."""
    cells = duplicates.divide_space(x, max_points)
    assert sorted(np.concatenate(cells)) == list(range(len(x)))
    assert max(map(len, cells)) <= max(max_points, 1)


@given(x=points(max_points=60), radius=st.floats(0.01, 3))
def test_candidates_are_all_pairs_within_the_radius(x, radius):
    """Return every pair within the radius once, and no pair beyond it."""
    if np.abs(x).max() > 10:
        return  # the products of large numbers hide small distances; pictures have length 1
    pairs = [pair for i,
             j in duplicates.candidate_pairs(x, radius) for pair in zip(i.tolist(), j.tolist())]
    distances = np.linalg.norm(x[:, None].astype(float) - x[None], axis=2)
    close = {(i, j) for i, j in zip(*np.nonzero(distances < radius - 1e-2)) if i < j}
    assert len(set(pairs)) == len(pairs)
    assert close <= set(pairs)
    assert all(i < j and distances[i, j] < radius + 1e-2 for i, j in pairs)


@given(sizes=st.lists(st.integers(0, 5), max_size=9), minimum=st.integers(1, 9))
def test_gathered_blocks_hold_every_pair(sizes, minimum):
    """Keep the order of all pairs."""
    blocks = [(np.arange(n), np.arange(n) + 1) for n in sizes]
    gathered = list(duplicates.gather(iter(blocks), minimum))
    for side in (0, 1):
        np.testing.assert_array_equal(
            np.concatenate([np.zeros(0, int), *(g[side] for g in gathered)]),
            np.concatenate([np.zeros(0, int), *(b[side] for b in blocks)]),
        )


@given(sizes=st.lists(st.integers(0, 5), max_size=9), minimum=st.integers(1, 9))
def test_gathered_blocks_have_the_minimum_size(sizes, minimum):
    """Gather blocks of at least the minimum size, but for the last."""
    blocks = [(np.arange(n), np.arange(n) + 1) for n in sizes]
    gathered = list(duplicates.gather(iter(blocks), minimum))
    assert all(len(i) >= minimum for i, _ in gathered[:-1])


@given(images=thumbnails(), threshold=st.sampled_from([0.5, 0.9, 0.99]), oriented=st.booleans(),
       max_pairs=st.sampled_from([1, 10**6]))
@pytest.mark.filterwarnings("ignore:There are more than")
def test_near_duplicates_correlate_above_the_threshold(images, threshold, oriented, max_pairs):
    """Return sorted pairs with a correlation above the threshold."""
    pairs = duplicates.near_duplicate_pairs(images, threshold, oriented, max_pairs)
    names = duplicates.ORIENTATIONS if oriented else ("same",)
    best = {(i, j): max(correlation(duplicates.orient(images[i], name), images[j]) for name
                        in names) for j in range(len(images)) for i in range(j)}
    found = dict(zip(zip(pairs["i"], pairs["j"]), pairs["score"]))
    assert list(found) == sorted(found)
    assert len(found) == len(pairs)
    for pair, score in found.items():
        assert abs(best[pair] - score) < 2e-3
        assert score > threshold
        assert score <= 1


@given(images=thumbnails(), threshold=st.sampled_from([0.5, 0.9, 0.99]), oriented=st.booleans(),
       max_pairs=st.sampled_from([1, 10**6]))
@pytest.mark.filterwarnings("ignore:There are more than")
def test_near_duplicates_correlate_in_their_orientation(images, threshold, oriented, max_pairs):
    """Return the orientation in which a pair correlates."""
    pairs = duplicates.near_duplicate_pairs(images, threshold, oriented, max_pairs)
    for turn, i, j, score in zip(pairs["orientation"], pairs["i"], pairs["j"], pairs["score"]):
        assert abs(correlation(duplicates.orient(images[i], turn), images[j]) - score) < 2e-3


@given(images=thumbnails(), threshold=st.sampled_from([0.5, 0.9, 0.99]), oriented=st.booleans(),
       max_pairs=st.sampled_from([1, 10**6]))
@pytest.mark.filterwarnings("ignore:There are more than")
def test_every_near_duplicate_is_found(images, threshold, oriented, max_pairs):
    """Find every pair above the threshold unless the number is limited."""
    pairs = duplicates.near_duplicate_pairs(images, threshold, oriented, max_pairs)
    names = duplicates.ORIENTATIONS if oriented else ("same",)
    best = {(i, j): max(correlation(duplicates.orient(images[i], name), images[j]) for name
                        in names) for j in range(len(images)) for i in range(j)}
    found = dict(zip(zip(pairs["i"], pairs["j"]), pairs["score"]))
    certain = pd.DataFrame([pair for pair, score in best.items() if score > threshold + 2e-3],
                           columns=["i", "j"], dtype=int)
    if max_pairs > 1:
        assert set(zip(certain["i"], certain["j"])) <= set(found)


@given(images=thumbnails(), threshold=st.sampled_from([0.5, 0.9, 0.99]), oriented=st.booleans(),
       max_pairs=st.sampled_from([1, 10**6]))
@pytest.mark.filterwarnings("ignore:There are more than")
def test_near_duplicates_are_joined(images, threshold, oriented, max_pairs):
    """Join every pair above the threshold in one group."""
    pairs = duplicates.near_duplicate_pairs(images, threshold, oriented, max_pairs)
    names = duplicates.ORIENTATIONS if oriented else ("same",)
    best = {(i, j): max(correlation(duplicates.orient(images[i], name), images[j]) for name
                        in names) for j in range(len(images)) for i in range(j)}
    certain = pd.DataFrame([pair for pair, score in best.items() if score > threshold + 2e-3],
                           columns=["i", "j"], dtype=int)
    parts = duplicates.join_parts(np.arange(len(images)), pairs)
    assert (parts[certain["i"]] == parts[certain["j"]]).all()


@given(images=thumbnails(), threshold=st.sampled_from([0.5, 0.9, 0.99]), oriented=st.booleans(),
       max_pairs=st.sampled_from([1, 10**6]))
@pytest.mark.filterwarnings("ignore:There are more than")
def test_a_spanning_forest_joins_the_same_groups(images, threshold, oriented, max_pairs):
    """Join the same groups by fewer pairs than thumbnails."""
    pairs = duplicates.near_duplicate_pairs(images, threshold, oriented, max_pairs)
    parts = duplicates.join_parts(np.arange(len(images)), pairs)
    forest = duplicates.spanning_pairs(pairs, len(images))
    assert len(forest) < max(1, len(images))
    np.testing.assert_array_equal(duplicates.join_parts(np.arange(len(images)), forest), parts)


@given(image=slice_images(), kind=st.sampled_from(sorted(duplicates.DUPLICATE_KINDS)), seed=seeds())
def test_made_duplicates_are_slices(image, kind, seed):
    """Make uint8 slices of every kind of duplicate."""
    make = lambda picture: duplicates.DUPLICATE_KINDS[kind](picture, np.random.default_rng(seed))
    assert make(image).dtype == np.uint8
    assert make(image).ndim == 2
    assert make(image).size
    for function in (duplicates.resize_duplicate, duplicates.recompress_duplicate,
                     duplicates.relight_duplicate):
        assert function(image, np.random.default_rng(seed)).dtype == np.uint8


@given(image=slice_images(), kind=st.sampled_from(sorted(duplicates.DUPLICATE_KINDS)), seed=seeds())
def test_made_duplicates_ignore_memory_layout(image, kind, seed):
    """Make the same duplicate for any memory layout."""
    make = lambda picture: duplicates.DUPLICATE_KINDS[kind](picture, np.random.default_rng(seed))
    ignores_layout(make, image)


@given(table=scan_tables(), seed=seeds())
def test_pairs_are_listed_in_order(table, seed):
    """List every pair in the order of the table, without blank slices."""
    pairs = find_test_pairs(table, seed)
    place = {path: i for i, path in enumerate(table["path"])}
    assert list(pairs) == ["path_a", "path_b", "kind", "score", "orientation"]
    assert all(place[a] < place[b] for a, b in zip(pairs["path_a"], pairs["path_b"]))
    rows = table.set_index("path")
    assert (rows.loc[[*pairs["path_a"], *pairs["path_b"]], "grey_std"] >= 5).all()


@given(table=scan_tables(), seed=seeds())
def test_exact_pairs_have_equal_pixels(table, seed):
    """Mark a pair as exact where its pixels are equal."""
    pairs = find_test_pairs(table, seed)
    rows = table.set_index("path")
    equal = (
        rows.loc[pairs["path_a"], "pixels_sha256"].to_numpy()
        == rows.loc[pairs["path_b"], "pixels_sha256"].to_numpy()
    )
    np.testing.assert_array_equal(equal, pairs["kind"] != "near")


@given(table=scan_tables())
def test_exact_pairs_are_all_pairs_of_a_picture(table):
    """Return all pairs of slices with equal pixels."""
    exact = table.assign(picture=pd.factorize(table["pixels_sha256"])[0]).reset_index(drop=True)
    chained = duplicates.exact_pairs(exact)
    counts = exact["picture"].value_counts()
    assert len(chained) == (counts * (counts - 1) // 2).sum()


@given(table=scan_tables())
def test_spread_pairs_repeat_near_pairs(table):
    """Repeat a near pair for all exact duplicates, up to a limit."""
    exact = table.assign(picture=pd.factorize(table["pixels_sha256"])[0]).reset_index(drop=True)
    counts = exact["picture"].value_counts()
    near = pd.DataFrame({"i": [0], "j": [counts.size - 1], "score": [0.995],
                         "orientation": ["same"]})
    if counts.size > 1:
        assert len(duplicates.spread_pairs(near, exact)) == counts[0] * counts[counts.size - 1]
    if counts.size > 1:
        assert len(duplicates.spread_pairs(near, exact, max_pairs=0)) == 1


@given(images=st.lists(slice_images(min_side=8, max_side=40), min_size=1, max_size=5))
def test_slices_of_mixed_sizes_have_thumbnails(images, tmp_path):
    """Return a finite float16 thumbnail of 32 pixels per slice."""
    for i, image in enumerate(images):
        Image.fromarray(np.ascontiguousarray(image)).save(tmp_path / f"{i}.png")
    table = pd.DataFrame({"path": [str(tmp_path / f"{i}.png") for i in range(len(images))],
                          "label": 0, "sha256": [f"{i}" for i in range(len(images))]})
    measured, small = duplicates.measure_slices(table)
    assert small.shape == (len(images), 32, 32)
    assert small.dtype == np.float16
    assert np.isfinite(small).all()


@given(images=st.lists(slice_images(min_side=8, max_side=40), min_size=1, max_size=5))
def test_measured_contrast_is_the_standard_deviation(images, tmp_path):
    """Measure the standard deviation of grey levels."""
    for i, image in enumerate(images):
        Image.fromarray(np.ascontiguousarray(image)).save(tmp_path / f"{i}.png")
    table = pd.DataFrame({"path": [str(tmp_path / f"{i}.png") for i in range(len(images))],
                          "label": 0, "sha256": [f"{i}" for i in range(len(images))]})
    measured, small = duplicates.measure_slices(table)
    np.testing.assert_allclose(measured["grey_std"], [float(image.std()) for image in images])


@given(images=st.lists(slice_images(min_side=8, max_side=40), min_size=1, max_size=5))
def test_one_slice_is_measured_like_many(images, tmp_path):
    """Measure a slice alone as among others."""
    for i, image in enumerate(images):
        Image.fromarray(np.ascontiguousarray(image)).save(tmp_path / f"{i}.png")
    table = pd.DataFrame({"path": [str(tmp_path / f"{i}.png") for i in range(len(images))],
                          "label": 0, "sha256": [f"{i}" for i in range(len(images))]})
    measured, small = duplicates.measure_slices(table)
    one = duplicates.measure_slice(table["path"][0])
    assert one["pixels_sha256"] == measured["pixels_sha256"][0]
    assert (one["thumbnail"] == small[0]).all()
