"""Invalid and damaged input for brainclust.app.collection."""

import pandas as pd
import pytest
from assertions import one_sentence

from brainclust.app import collection
from brainclust.core.files import save_table


def test_a_run_whose_slices_are_gone_is_refused(tmp_path):
    """Refuse a run whose slices are gone."""
    table = pd.DataFrame({"path": [str(tmp_path / "gone.png")], "sha256": ["00"], "label": [-1],
                          "true_label": [0], "split": ["train"], "plane": [""]})
    save_table(tmp_path / "scans.parquet", table)
    with pytest.raises(ValueError, match="no longer there") as error:
        collection.slices_of_run(tmp_path)
    one_sentence(error.value)
