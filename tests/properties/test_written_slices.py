"""Properties of brainclust.imaging.written_slices."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st
from PIL import Image
from strategies import FIFTH_OF_EXAMPLES, slice_images

from brainclust.core.files import file_digest, save_table
from brainclust.data.in_memory import as_slice
from brainclust.data.slices import read_slice
from brainclust.imaging import written_slices


@FIFTH_OF_EXAMPLES
@given(images=st.lists(slice_images(min_side=8, max_side=40), min_size=1, max_size=4),
       scale=st.sampled_from([1, .1]))
def test_pictures_are_read_as_the_arrays_were(images, scale, tmp_path_factory):
    """Keep every pixel, in any memory layout and type, wherever the folder is moved to."""
    place = tmp_path_factory.mktemp("written")
    items = [image if scale == 1 else image * scale for image in images]
    folder = place / "model"
    written_slices.write_scans(items, folder, np.arange(len(items)) % 3 - 1, None, ["a", "b"])
    shutil.move(folder, place / "moved")
    table = written_slices.load_scan_table(place / "moved")
    for path, sha256, item in zip(table.path, table.sha256, items):
        assert (read_slice(path, sha256) == as_slice(item)).all()
    assert table.group.is_unique and table.clean.all() and set(table.split) == {"train"}
    assert table.class_name.tolist() == [["a", "b", ""][label] for label in table.label]


def test_files_stay_where_they_are(tmp_path):
    """Name a file by its whole path, and write arrays alone."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, 16, 16), dtype=np.uint8)
    Image.fromarray(pixels[0]).save(tmp_path / "own.png")
    folder = tmp_path / "model"
    paths = written_slices.write_pictures([tmp_path / "own.png", pixels[1]], folder)
    assert paths == [str(tmp_path / "own.png"), f"{written_slices.PICTURES}/000001.png"]
    table = written_slices.write_scans([paths[0], pixels[1], pixels[2]], folder, np.zeros(3, int),
                                       [7, 8, 7], ["a", "b"])
    assert table.sha256[0] == file_digest(tmp_path / "own.png")
    assert table.patient.tolist() == ["7", "8", "7"] and table.group.nunique() == 2
    whole = written_slices.load_scan_table(folder, ["path", "label"])
    assert [Path(path).exists() for path in whole.path] == [True] * 3 and list(whole)[1] == "label"


def test_what_is_no_table_of_slices_is_refused(tmp_path):
    """Refuse labels of other slices, single slices and damaged tables."""
    pixels = np.zeros((2, 16, 16), np.uint8)
    for X, labels, groups in ((pixels, np.zeros(3, int), None), (pixels, np.zeros(2, int), [1])):
        with pytest.raises(ValueError, match="of the same slices"):
            written_slices.write_scans(X, tmp_path, labels, groups, ["a", "b"])
    with pytest.raises(ValueError, match="single path"):
        written_slices.write_scans("a.png", tmp_path, np.zeros(1, int), None, ["a"])
    assert not (tmp_path / "scans.parquet").exists()
    (tmp_path / "scans.parquet").write_bytes(b"PAR1")
    with pytest.raises(ValueError, match="run it again"):
        written_slices.load_scan_table(tmp_path)
    save_table(tmp_path / "scans.parquet", written_slices._described(
        [], np.zeros(0, int), None, ["a", "b"]))
    assert not len(written_slices.load_scan_table(tmp_path))
