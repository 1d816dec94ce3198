"""Invalid and damaged input for brainclust.runs.run."""

import pandas as pd
from assertions import refused
from examples import UNLIKELY_FILES, StubRun

from brainclust.runs import run as run_module


def test_an_artefact_that_is_missing_is_refused(tmp_path):
    """Refuse to list a figure that does not exist."""
    run = StubRun(folder=tmp_path, artefacts={})
    table = pd.DataFrame({"path": UNLIKELY_FILES, "n": range(len(UNLIKELY_FILES))})
    assert run_module.add_table(run, "names", table, "Names") is table
    refused(run_module.list_artefact, run, "figures/other.png", "tables/names.csv", "Other", "")
