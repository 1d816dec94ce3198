"""Invalid and damaged input for brainclust.data.audit_report."""

import json

import pandas as pd
from examples import small_files
from hypothesis import given, strategies as st
from strategies import THIRD_OF_EXAMPLES, audited_tables

from brainclust.data import audit, audit_report


@THIRD_OF_EXAMPLES
@given(both=audited_tables(), limit=st.integers(0, 5))
def test_a_report_escapes_every_name(both, limit, tmp_path):
    """Escape folder, command, remarks and file names."""
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
    (tmp_path / "a.png").write_bytes(small_files()[".png"])
    shown = table.assign(path=str(tmp_path / "a.png"))
    full = {**summary, "folder": "<b>", "date": "", "threshold": 0.99, "command": "<i>", "keep": 1,
            "remarks": ["<u>"], "versions": {}, "seconds": 1.0}
    report = audit_report.render_page(full, shown, pairs, leaks, unreadable, limit)
    assert not any(f"<{tag}>{text}" in report for tag, text in (("i", ""), ("u", "")))
    assert "x &lt;b&gt;.png" in report
