"""Invalid and damaged input for brainclust.runs.comparison."""

import pytest
from assertions import refused
from commands import compare_command

from brainclust.runs import comparison


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "\x00", '{"config": 3}'])
def test_a_folder_of_invalid_files_is_not_a_run(tmp_path, content):
    """Refuse invalid run files in one sentence, and return 2 on the command line."""
    (tmp_path / "tables").mkdir()
    for name in ("run.json", "tables/methods.csv", "scans.parquet"):
        (tmp_path / name).write_text(content)
    for function in (lambda: comparison.read_run(tmp_path),
                     lambda: comparison.compare_runs([tmp_path]),
                     lambda: comparison.differing_settings([tmp_path])):
        refused(function)
    assert compare_command([str(tmp_path)]) == 2
