"""Properties of brainclust.data.scan_table."""

import numpy as np
import pandas as pd
import pytest
from assertions import accepted, time_limit
from examples import MANY_CLASSES
from hypothesis import given, strategies as st
from PIL import Image
from strategies import scan_tables

from brainclust.core.config import CLASSES
from brainclust.data import scan_table


def test_the_last_of_ten_thousand_classes_has_its_id(tmp_path):
    """Give the last of 10,000 classes the id 9,999."""
    Image.fromarray(np.eye(9, dtype=np.uint8) * 255).save(tmp_path / "class7.png")
    (tmp_path / "labels.csv").write_text("file,label\nclass7.png,class9999\n")
    table, _ = scan_table.read_scan_table(tmp_path, MANY_CLASSES, cache_folder=tmp_path / "cache")
    assert list(table["label"]) == [9999]


@given(own=st.lists(st.sampled_from(["", "glioma", "meningioma", "骨"]), min_size=1, max_size=6),
       inside=st.booleans())
def test_labels_inside_files_are_used_or_refused(own, inside):
    """Use labels inside files where they stand alone, and refuse unknown ones."""
    table = pd.DataFrame({"class_name": "glioma", "own_label": [inside] * len(own)})
    settled = accepted(scan_table.settle_labels, table, own, [("not MR: CT",)] * len(own), CLASSES,
                       refuses=(ValueError,))
    assert (settled is None) == (inside and "骨" in own)
    if settled is None: return
    names, notes = settled
    assert names == (own if inside else ["glioma"] * len(own))
    assert len(notes) == len(own)


@given(own=st.lists(st.sampled_from(["", "glioma", "meningioma", "骨"]), min_size=1, max_size=6),
       inside=st.booleans())
def test_joined_facts_repeat_their_labels(own, inside):
    """Repeat the label of a file for each of its slices."""
    table = pd.DataFrame({"class_name": "glioma", "own_label": [inside] * len(own)})
    settled = accepted(scan_table.settle_labels, table, own, [("not MR: CT",)] * len(own), CLASSES,
                       refuses=(ValueError,))
    if settled is None: return
    names, notes = settled
    rows = table.assign(group="", split="train", reason="", path="a")
    joined = scan_table.join_facts(rows, [[{"class_name": name}] * 2 for name in own], CLASSES)
    assert len(joined) == 2 * len(own)
    assert list(joined["class_name"]) == list(np.repeat(names, 2))


@given(own=st.lists(st.sampled_from(["", "glioma", "meningioma", "骨"]), min_size=1, max_size=6),
       inside=st.booleans())
def test_notes_are_summarised_in_lines(own, inside):
    """Summarise notes in one or two lines."""
    table = pd.DataFrame({"class_name": "glioma", "own_label": [inside] * len(own)})
    settled = accepted(scan_table.settle_labels, table, own, [("not MR: CT",)] * len(own), CLASSES,
                       refuses=(ValueError,))
    if settled is None: return
    names, notes = settled
    sentences = scan_table.note_sentences(notes)
    assert 1 <= len(sentences) <= 2
    assert all("\n" not in s for s in sentences)


@given(table=scan_tables(min_slices=0), validation=st.booleans())
def test_class_counts_hold_every_slice(table, validation):
    """Count every slice once, under a class name that is not empty."""
    if validation:
        table["split"] = table["split"].where(table.index % 2 == 0, "validation")
    counts = scan_table.class_counts(table)
    assert list(counts) == ["class_name", "split", "slices"]
    assert counts["slices"].sum() == len(table)
    assert "" not in set(counts["class_name"])


@pytest.mark.parametrize("groups", ["own", "one", "pairs"])
def test_ten_thousand_classes_are_counted_in_seconds(groups):
    """Count 20,000 slices of 10,000 classes within two minutes."""
    n = 20_000
    table = pd.DataFrame(
        {
            "path": [f"{i}.png" for i in range(n)],
            "label": np.arange(n) // 2,
            "split": "train",
            "class_name": [MANY_CLASSES[i // 2] for i in range(n)],
            "source": "folder",
            "group": {
                "own": [""] * n,
                "one": ["p"] * n,
                "pairs": [f"p{i % 5000}" for i in range(n)],
            }[groups],
        }
    )
    with time_limit(120):
        assert scan_table.class_counts(table)["slices"].sum() == n
