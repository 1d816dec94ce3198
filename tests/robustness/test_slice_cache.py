"""Invalid and damaged input for brainclust.imaging.slice_cache."""

import numpy as np
import pandas as pd
import pytest
from assertions import one_sentence
from hypothesis import given, strategies as st
from strategies import damaged_bytes, slice_images
from test_formats import image_bytes

from brainclust.imaging import preprocessing, slice_cache


@given(images=st.lists(slice_images(min_side=8, max_side=40), min_size=1, max_size=4),
       size=st.sampled_from([1, 16]), data=st.data())
def test_a_damaged_cache_is_built_again(images, size, data, tmp_path):
    """Build a damaged cache again; never open it with other slices."""
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
    settings_of_cache = dict(image_size=size, skull_strip="none", denoise_sigma=3.0,
                             otsu_relax=-5.0, closing_radius=5, window_percentiles=None)
    folder = tmp_path / "cache" / slice_cache.cache_key(list(table["sha256"]), settings_of_cache)
    file = folder / data.draw(st.sampled_from(["images.npy", "settings.json"]))
    whole = file.read_bytes()
    file.write_bytes(data.draw(damaged_bytes(whole) | st.binary(max_size=9)
                               | st.sampled_from([b"[]", b"null", b"PK\x03\x04", b"\x80\x04."])))
    opened = slice_cache.open_slice_cache(folder, len(images), size)
    if opened is not None:
        np.testing.assert_array_equal(opened, expected)
    np.testing.assert_array_equal(build(), expected)


@given(images=st.lists(slice_images(min_side=8, max_side=40), min_size=1, max_size=4),
       size=st.sampled_from([1, 16]))
def test_a_cache_of_another_length_is_not_opened(images, size, tmp_path):
    """Open no cache of another number of slices."""
    files = [image_bytes(np.ascontiguousarray(image)) for image in images]
    for i, content in enumerate(files):
        (tmp_path / f"{i}.png").write_bytes(content)
    from hashlib import sha256

    table = pd.DataFrame({"path": [str(tmp_path / f"{i}.png") for i in range(len(files))],
                          "sha256": [sha256(c).hexdigest() for c in files]})
    slice_cache.build_slice_cache(table, tmp_path / "cache", size, skull_strip="none", workers=1)
    made = dict(image_size=size, skull_strip="none", denoise_sigma=3.0, otsu_relax=-5.0,
                closing_radius=5, window_percentiles=None)
    folder = tmp_path / "cache" / slice_cache.cache_key(list(table["sha256"]), made)
    assert slice_cache.open_slice_cache(folder, len(images), size) is not None
    assert slice_cache.open_slice_cache(folder, len(images) + 1, size) is None


@given(images=st.lists(slice_images(min_side=8, max_side=40), min_size=1, max_size=4),
       size=st.sampled_from([1, 16]))
def test_missing_slices_are_named(images, size, tmp_path):
    """Refuse changed paths and checksums of slices that are gone."""
    files = [image_bytes(np.ascontiguousarray(image)) for image in images]
    for i, content in enumerate(files):
        (tmp_path / f"{i}.png").write_bytes(content)
    from hashlib import sha256

    table = pd.DataFrame({"path": [str(tmp_path / f"{i}.png") for i in range(len(files))],
                          "sha256": [sha256(c).hexdigest() for c in files]})
    build = lambda **changes: slice_cache.build_slice_cache(
        table.assign(**changes), tmp_path / "cache", size, skull_strip="none", workers=1
    )
    settings_of_cache = dict(image_size=size, skull_strip="none", denoise_sigma=3.0,
                             otsu_relax=-5.0, closing_radius=5, window_percentiles=None)
    (tmp_path / "0.png").unlink()
    for changes in (dict(sha256="0"), dict(path=str(tmp_path / "gone.png"), sha256="1"),
                    dict(sha256=np.nan)):
        with pytest.raises(ValueError, match="cannot preprocess") as error:
            build(**changes)
        one_sentence(error.value)
    with pytest.raises(ValueError, match="cannot preprocess"):
        slice_cache.prepare_file(table["path"][0], "0", settings_of_cache)
