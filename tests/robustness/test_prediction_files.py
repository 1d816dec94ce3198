"""Invalid and damaged input for brainclust.runs.prediction_files."""

import os

import pytest
from assertions import refused

from brainclust.runs import prediction_files


@pytest.mark.skipif(os.name == "nt", reason="such names cannot be made")
def test_missing_inputs_are_refused(tmp_path):
    """Refuse no inputs and folders that do not exist."""
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "broken\r.png").write_text("no picture")
    for wrong in ([], [tmp_path / "absent"]):
        refused(prediction_files.list_inputs, wrong, kinds=(ValueError, FileNotFoundError))
