"""Invalid and damaged input for brainclust.data.scan_table."""

import tempfile

import numpy as np
import pandas as pd
import pytest
from assertions import REFUSALS, accepted, one_sentence
from examples import small_files
from hypothesis import given, strategies as st

from brainclust.data import cleaning, duplicates, scan_table, splits as splits_module
from brainclust.imaging import slice_cache

INVALID_TABLES = {
    "nothing": None,
    "a list": [1, 2],
    "no columns": pd.DataFrame(),
    "one column": pd.DataFrame({"path": ["a.png"]}),
    "labels as text": pd.DataFrame(
        {
            "path": ["a", "b"],
            "label": ["0", "1"],
            "class_name": "x",
            "split": "train",
            "group": "",
            "sha256": "0",
            "pixels_sha256": "0",
            "grey_std": 9.0,
        }
    ),
    "labels missing": pd.DataFrame(
        {
            "path": ["a", "b"],
            "label": [0, np.nan],
            "class_name": "x",
            "split": "train",
            "group": "",
            "sha256": "0",
            "pixels_sha256": "0",
            "grey_std": 9.0,
        }
    ),
}


@given(header=st.lists(st.sampled_from(["path", "file", "id", "label", "Label", " label ", "split",
                                        "patient", "sha256", "", "a"]), max_size=5),
       rows=st.lists(st.lists(st.sampled_from(["a", "a.png", "glioma", "train", "", '"', "\x00",
                                               "é", "1,2", "=1+1", "\n"]), max_size=6), max_size=4),
       raw=st.none() | st.binary(max_size=60))
def test_any_label_file_gives_a_scan_table(header, rows, raw, tmp_path):
    """Build a scan table from any label file, or refuse it in one sentence."""
    text = "\n".join([",".join(header), *map(",".join, rows)])
    (tmp_path / "labels.csv").write_bytes(raw if raw is not None else text.encode())
    (tmp_path / "a.png").write_bytes(small_files()[".png"])
    accepted(scan_table.read_scan_table, tmp_path, cache_folder=tmp_path / "cache",
             refuses=(ValueError,))


@pytest.mark.parametrize("kind", list(INVALID_TABLES))
@pytest.mark.parametrize(
    "function",
    [
        cleaning.clean_scan_table,
        splits_module.split_table,
        splits_module.hide_labels,
        splits_module.add_groups,
        duplicates.duplicate_pairs,
        scan_table.class_counts,
        lambda table: slice_cache.build_slice_cache(table, tempfile.mkdtemp(), 32),
    ],
    ids=[
        "clean_scan_table",
        "split_table",
        "hide_labels",
        "add_groups",
        "duplicate_pairs",
        "class_counts",
        "build_slice_cache",
    ],
)
def test_invalid_scan_tables_are_refused(function, kind):
    """Refuse tables without the columns of a scan table."""
    with pytest.raises(REFUSALS) as error:
        function(INVALID_TABLES[kind])
    one_sentence(error.value)
