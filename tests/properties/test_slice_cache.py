"""Properties of brainclust.imaging.slice_cache."""

import io
import zlib

import numpy as np
import pandas as pd
from assertions import accepted
from hypothesis import given, strategies as st
from strategies import seeds, slice_images, slice_stacks
from test_formats import image_bytes

from brainclust.imaging import preprocessing, slice_cache


@given(images=st.lists(slice_images(min_side=8, max_side=40), min_size=1, max_size=4),
       size=st.sampled_from([1, 16]))
def test_a_slice_cache_holds_prepared_slices(images, size, tmp_path):
    """Cache every slice as it is prepared alone."""
    files = [image_bytes(np.ascontiguousarray(image)) for image in images]
    for i, content in enumerate(files):
        (tmp_path / f"{i}.png").write_bytes(content)
    from hashlib import sha256

    table = pd.DataFrame({"path": [str(tmp_path / f"{i}.png") for i in range(len(files))],
                          "sha256": [sha256(c).hexdigest() for c in files]})
    build = lambda **changes: slice_cache.build_slice_cache(
        table.assign(**changes), tmp_path / "cache", size, skull_strip="none", workers=1
    )
    cached = np.array(build())
    expected = np.stack([preprocessing.preprocess_slice(image, size, "none") for image
                         in images])[:, None]
    np.testing.assert_array_equal(cached, expected)


@given(images=st.lists(slice_images(min_side=8, max_side=40), min_size=1, max_size=4),
       size=st.sampled_from([1, 16]))
def test_iterated_slices_are_the_prepared_slices(images, size, tmp_path):
    """Iterate over the prepared slices."""
    files = [image_bytes(np.ascontiguousarray(image)) for image in images]
    for i, content in enumerate(files):
        (tmp_path / f"{i}.png").write_bytes(content)
    from hashlib import sha256

    table = pd.DataFrame({"path": [str(tmp_path / f"{i}.png") for i in range(len(files))],
                          "sha256": [sha256(c).hexdigest() for c in files]})
    expected = np.stack([preprocessing.preprocess_slice(image, size, "none") for image
                         in images])[:, None]
    settings_of_cache = dict(image_size=size, skull_strip="none", denoise_sigma=3.0,
                             otsu_relax=-5.0, closing_radius=5, window_percentiles=None)
    np.testing.assert_array_equal(
        list(
            slice_cache.iterate_preprocessed(
                list(table["path"]), list(table["sha256"]), settings_of_cache, 1
            )
        ),
        expected[:, 0],
    )


@given(images=st.lists(slice_images(min_side=8, max_side=40), min_size=1, max_size=4),
       size=st.sampled_from([1, 16]))
def test_an_image_file_has_its_header_and_checksum(images, size, tmp_path):
    """Write images that NumPy reads, with the checksum of their bytes."""
    expected = np.stack([preprocessing.preprocess_slice(image, size, "none") for image
                         in images])[:, None]
    header = slice_cache.images_header(len(images), size)
    assert np.load(io.BytesIO(header + expected.tobytes())).shape == expected.shape
    assert slice_cache.checksum_of(expected, 1) == zlib.crc32(expected.tobytes())
    assert slice_cache.write_images(tmp_path / "w.npy", expected[:, 0], len(images),
                                    size) == slice_cache.checksum_of(expected)


@given(images=st.lists(slice_images(min_side=8, max_side=40), min_size=1, max_size=4),
       size=st.sampled_from([1, 16]))
def test_a_built_folder_is_opened(images, size, tmp_path):
    """Open the folder that was built."""
    expected = np.stack([preprocessing.preprocess_slice(image, size, "none") for image
                         in images])[:, None]
    made = dict(image_size=size, skull_strip="none", denoise_sigma=3.0, otsu_relax=-5.0,
                closing_radius=5, window_percentiles=None)
    slice_cache.build_folder(expected[:, 0], len(images), made, tmp_path / "own", lambda f: False)
    np.testing.assert_array_equal(slice_cache.open_slice_cache(tmp_path / "own", len(images), size),
                                  expected)


@given(images=st.lists(slice_images(min_side=8, max_side=40), min_size=1, max_size=4),
       size=st.sampled_from([1, 16]))
def test_a_cache_outlives_its_files(images, size, tmp_path):
    """Return cached slices by their content although a file is gone."""
    files = [image_bytes(np.ascontiguousarray(image)) for image in images]
    for i, content in enumerate(files):
        (tmp_path / f"{i}.png").write_bytes(content)
    from hashlib import sha256

    table = pd.DataFrame({"path": [str(tmp_path / f"{i}.png") for i in range(len(files))],
                          "sha256": [sha256(c).hexdigest() for c in files]})
    build = lambda **changes: slice_cache.build_slice_cache(
        table.assign(**changes), tmp_path / "cache", size, skull_strip="none", workers=1
    )
    build()
    expected = np.stack([preprocessing.preprocess_slice(image, size, "none") for image
                         in images])[:, None]
    (tmp_path / "0.png").unlink()
    # kept by content, whatever became of the files
    np.testing.assert_array_equal(build(), expected)


@given(images=slice_stacks(), seed=seeds())
def test_a_grey_histogram_counts_every_pixel(images, seed):
    """Count every pixel of the chosen slices, by rows or by mask."""
    mask = np.random.default_rng(seed).random(len(images)) < 0.7
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(mask))
    counts = slice_cache.grey_histogram(images, rows, block=2)
    np.testing.assert_array_equal(counts, np.bincount(images[mask].ravel(), minlength=256))
    np.testing.assert_array_equal(slice_cache.grey_histogram(images, mask), counts)


@given(images=slice_stacks(), seed=seeds())
def test_the_dataset_mean_and_deviation_are_those_of_the_pixels(images, seed):
    """Return mean and standard deviation, or refuse constant slices."""
    mask = np.random.default_rng(seed).random(len(images)) < 0.7
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(mask))
    mean_std = accepted(slice_cache.dataset_mean_std, images, rows, refuses=(ValueError,))
    assert (mean_std is None) == (len(np.unique(images[mask])) < 2)
    if mean_std is not None:
        np.testing.assert_allclose(mean_std, [images[mask].mean() / 255, images[mask].std() / 255],
                                   rtol=1e-9)
