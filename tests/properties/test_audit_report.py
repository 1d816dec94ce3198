"""Properties of brainclust.data.audit_report."""

import io
import json

import numpy as np
import pandas as pd
from assertions import accepted
from examples import small_files
from hypothesis import given, strategies as st
from PIL import Image
from strategies import THIRD_OF_EXAMPLES, audited_tables, slice_images

from brainclust.data import audit, audit_report


@THIRD_OF_EXAMPLES
@given(both=audited_tables(), limit=st.integers(0, 5))
def test_worst_pairs_are_of_different_groups(both, limit):
    """List at most the asked pairs, each of another group."""
    table, found = both
    pairs = audit.describe_pairs(table, found)
    table = audit.add_pictures(table, pairs)
    worst = audit_report.worst_pairs(pairs, table["duplicate_group"].to_numpy(), limit)
    assert len(worst) <= max(limit, 0) + 1
    assert not pd.Series(table["duplicate_group"].to_numpy()[worst["a"]]).duplicated().any()


@THIRD_OF_EXAMPLES
@given(both=audited_tables())
def test_a_summary_counts_images_and_pairs(both):
    """Count images, pairs and blank images, as JSON."""
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
    assert summary["images"] == len(table)
    assert sum(summary["pairs"].values()) == len(pairs)
    assert summary["blank"] == 1


@THIRD_OF_EXAMPLES
@given(both=audited_tables())
def test_tables_of_an_audit_are_complete(both):
    """Count every image, and write every pair and kept image."""
    table, found = both
    pairs = audit.describe_pairs(table, found)
    table = audit.add_pictures(table, pairs)
    kept = audit.choose_kept(table, pairs)
    unreadable = pd.DataFrame({"name": ["x <b>.png"],
                               "reason": ["blank: standard deviation 0.0 grey levels"]})
    assert audit_report.count_table(table).iloc[-1, -1] == len(table)
    tables = audit_report.audit_tables(table, pairs, kept, unreadable)
    assert len(pd.read_csv(io.StringIO(tables["pairs.csv"]))) == len(pairs)
    assert len(pd.read_csv(io.StringIO(tables["keep.csv"]))) == kept.sum()


@THIRD_OF_EXAMPLES
@given(both=audited_tables(), limit=st.integers(0, 5))
def test_sections_of_a_report_hold_every_pair(both, limit, tmp_path):
    """Place every pair in one section and draw a card for each of the worst."""
    table, found = both
    pairs = audit.describe_pairs(table, found)
    table = audit.add_pictures(table, pairs)
    worst = audit_report.worst_pairs(pairs, table["duplicate_group"].to_numpy(), limit)
    (tmp_path / "a.png").write_bytes(small_files()[".png"])
    shown = table.assign(path=str(tmp_path / "a.png"))
    sections = audit_report.page_sections(shown, pairs, limit)
    assert sum(section["total"] for section in sections) == len(pairs)
    assert len(audit_report.pair_cards(worst, shown)) == len(worst)


@THIRD_OF_EXAMPLES
@given(both=audited_tables())
def test_failures_of_an_audit_are_few(both):
    """List at most three failures."""
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
    assert len(audit_report.failures(summary, audit_report.FAILURES)) <= 3


@given(images=st.lists(slice_images(min_side=8, max_side=40), min_size=1, max_size=5))
@THIRD_OF_EXAMPLES
def test_a_folder_of_any_images_is_audited(images, tmp_path_factory):
    """Audit a folder, or refuse one of blank images."""
    folder = tmp_path_factory.mktemp("audit")
    for i, image in enumerate(images):
        (folder / "in" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.ascontiguousarray(image)).save(folder / "in" / "ab"[i % 2] / f"{i}.png")
    summary = accepted(audit_report.audit_folder, folder / "in", folder / "out",
                       refuses=(ValueError,), workers=1)
    assert (summary is None) == (max(image.std() for image in images) < 5)
