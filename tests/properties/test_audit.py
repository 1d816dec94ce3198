"""Properties of brainclust.data.audit."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from assertions import accepted, one_sentence
from hypothesis import given, strategies as st
from PIL import Image
from strategies import THIRD_OF_EXAMPLES, audited_tables, slice_images

from brainclust.data import audit, audit_report


@THIRD_OF_EXAMPLES
@given(both=audited_tables())
def test_described_pairs_are_leaks_across_splits(both):
    """Describe every pair, a leak only across splits."""
    table, found = both
    pairs = audit.describe_pairs(table, found)
    assert len(pairs) == len(found)
    assert set(pairs["kind"]) <= set(audit.KINDS)
    assert not (pairs["leak"] & (pairs["split_a"] == pairs["split_b"])).any()


@THIRD_OF_EXAMPLES
@given(both=audited_tables())
def test_pictures_are_equal_pixels(both):
    """Number pictures by their pixels within duplicate groups."""
    table, found = both
    pairs = audit.describe_pairs(table, found)
    table = audit.add_pictures(table, pairs)
    shown = table["picture"].nunique()
    assert table["duplicate_group"].nunique() <= shown == table["pixels_sha256"].nunique()


@THIRD_OF_EXAMPLES
@given(both=audited_tables())
def test_near_pictures_are_symmetric(both):
    """List near pictures in both directions."""
    table, found = both
    pairs = audit.describe_pairs(table, found)
    table = audit.add_pictures(table, pairs)
    near = audit.near_pictures(table, pairs)
    assert set(map(tuple, near[["picture", "other"]].to_numpy())) == set(
        map(tuple, near[["other", "picture"]].to_numpy())
    )


@THIRD_OF_EXAMPLES
@given(both=audited_tables())
def test_leak_tables_count_at_most_all_images(both):
    """Count at most all images of a split as leaked."""
    table, found = both
    pairs = audit.describe_pairs(table, found)
    table = audit.add_pictures(table, pairs)
    near = audit.near_pictures(table, pairs)
    leaks = audit.leak_table(table, near)
    assert list(leaks) == audit.LEAK_COLUMNS
    assert (leaks["leaked"] <= leaks["images"]).all()
    assert leaks["leaked_fraction"].between(0, 1).all()


@THIRD_OF_EXAMPLES
@given(both=audited_tables())
def test_leak_counts_end_with_all_images(both):
    """End with all images, each of which duplicates itself."""
    table, found = both
    pairs = audit.describe_pairs(table, found)
    table = audit.add_pictures(table, pairs)
    near = audit.near_pictures(table, pairs)
    counts = audit.count_leaks(table, set(table["picture"]), near)
    assert counts["images"].iloc[-1] == len(table) == counts["exact"].iloc[-1]


@THIRD_OF_EXAMPLES
@given(both=audited_tables())
def test_one_image_per_duplicate_group_is_kept(both):
    """Keep one image of every duplicate group, and contest only labelled ones."""
    table, found = both
    pairs = audit.describe_pairs(table, found)
    table = audit.add_pictures(table, pairs)
    kept = audit.choose_kept(table, pairs)
    contested = audit.contested_images(table, pairs)
    chosen = table[kept]
    assert chosen["duplicate_group"].is_unique
    assert kept.dtype == bool
    assert not (contested & (table["class_name"] == "")).any()


@THIRD_OF_EXAMPLES
@given(both=audited_tables())
def test_a_verdict_is_made_of_sentences(both):
    """Describe the summary and every leak in sentences."""
    table, found = both
    pairs = audit.describe_pairs(table, found)
    table = audit.add_pictures(table, pairs)
    near = audit.near_pictures(table, pairs)
    leaks = audit.leak_table(table, near)
    contested = audit.contested_images(table, pairs)
    unreadable = pd.DataFrame({"name": ["x <b>.png"],
                               "reason": ["blank: standard deviation 0.0 grey levels"]})
    summary = audit_report.summarise_audit(table, pairs, leaks, contested, unreadable)
    json.dumps(summary)
    sentences = audit.verdict(summary, leaks)
    assert all(s.endswith(".") and "\n" not in s for s in sentences)
    for row in leaks.itertuples():
        one_sentence(ValueError(audit.leak_sentence(row)))


@given(parts=st.lists(st.lists(st.sampled_from(["train", "Testing", "val", "a", "b", "骨",
                                                "unlabelled"]), max_size=4), max_size=6))
def test_any_folders_are_placed(parts):
    """Place every file by its folders in a known split."""
    files = [Path(*folders, f"{i}.png") for i, folders in enumerate(parts)]
    placed = accepted(audit.place_by_folders, files, refuses=(ValueError,))
    if placed is None: return  # a path through a training and a test folder
    assert list(placed["file"]) == files
    assert set(placed["split"]) <= {"", "train", "val", "test"}
    assert "unlabelled" not in set(placed["class_name"])


@given(images=st.lists(slice_images(min_side=8, max_side=40), min_size=1, max_size=5))
@THIRD_OF_EXAMPLES
def test_every_image_is_read_or_listed_as_unreadable(images, tmp_path_factory):
    """Read every image or list it as unreadable."""
    folder = tmp_path_factory.mktemp("audit")
    for i, image in enumerate(images):
        (folder / "in" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.ascontiguousarray(image)).save(folder / "in" / "ab"[i % 2] / f"{i}.png")
    table, unreadable, remarks = audit.read_images(folder / "in", cache_folder=folder / "cache",
                                                   workers=1)
    assert len(table) + len(unreadable) == len(images)


@given(images=st.lists(slice_images(min_side=8, max_side=40), min_size=1, max_size=5))
@THIRD_OF_EXAMPLES
def test_blank_images_are_set_aside(images, tmp_path_factory):
    """Set blank images aside and find pairs among the others."""
    folder = tmp_path_factory.mktemp("audit")
    for i, image in enumerate(images):
        (folder / "in" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.ascontiguousarray(image)).save(folder / "in" / "ab"[i % 2] / f"{i}.png")
    summary = accepted(audit_report.audit_folder, folder / "in", folder / "out",
                       refuses=(ValueError,), workers=1)
    table, unreadable, remarks = audit.read_images(folder / "in", cache_folder=folder / "cache",
                                                   workers=1)
    if summary is None: return
    left, small, blank = audit.set_blank_aside(table)
    assert len(left) + len(blank) == len(images)
    assert len(small) == len(left)
    assert len(audit.find_pairs(left, small)) == sum(summary["pairs"].values())
    assert summary["blank"] == len(blank)
