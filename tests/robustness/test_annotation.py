"""Invalid and damaged input for brainclust.app.annotation."""

import tempfile
from pathlib import Path

import pytest
from assertions import accepted, refused
from examples import UNLIKELY_NAMES
from hypothesis import given, strategies as st

from brainclust.app import annotation


@pytest.mark.parametrize("by", ["", " ", "=1+1", "+1", "-2", "@SUM(A1)", "a\rb", "a\nb", "\tx",
                                "\ud800", "a\x00b", "x" * 101])
def test_harmful_names_are_refused(by, tmp_path):
    """Refuse names that are formulas, too long or not printable, and write no file."""
    refused(annotation.give_label, tmp_path / "labels.csv", "a.png", "0", "glioma", by,
            UNLIKELY_NAMES)
    assert not (tmp_path / "labels.csv").exists()


def test_labels_that_are_not_classes_are_refused(tmp_path):
    """Refuse labels that are not classes, and write no file."""
    for label in ("", "x", None):
        refused(annotation.give_label, tmp_path / "labels.csv", "a.png", "0", label, "anna",
                UNLIKELY_NAMES)
    assert not (tmp_path / "labels.csv").exists()


@given(content=st.binary(max_size=200))
def test_any_bytes_are_read_as_labels_or_refused(content):
    """Read any bytes as a table of known labels, or refuse them in one sentence."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "labels.csv"
        for head in (b"", b"path,label,sha256,by,time\n",
                     b"path,label,sha256,by,time\na.png,glioma,0,anna,now\n"):
            file.write_bytes(head + content)
            table = accepted(annotation.read_labels, file, UNLIKELY_NAMES, refuses=(ValueError,))
            if table is not None:
                assert list(table) == annotation.LABEL_COLUMNS
                assert set(table["label"]) <= set(UNLIKELY_NAMES)
                assert table.map(lambda value: isinstance(value, str)).all(axis=None)
