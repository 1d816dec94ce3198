"""Properties of brainclust.runs.study_parts."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, strategies as st

from brainclust.core.config import make_config
from brainclust.core.files import atomic_write
from brainclust.core.locks import release_folder
from brainclust.runs import study_parts
from brainclust.runs.run import Run, check_same_data


@given(count=st.integers(1, 20), trainings=st.integers(0, 50))
def test_the_parts_hold_every_training_once(count, trainings):
    parts = [range(trainings)[study_parts.read_part(f"{number}/{count}")]
             for number in range(1, count + 1)]
    assert sorted(row for part in parts for row in part) == list(range(trainings))
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1


@given(text=st.text(alphabet="0123456789/ -.a", max_size=9))
def test_a_part_is_read_or_refused(text):
    try:
        part = study_parts.read_part(text)
    except ValueError as error:
        assert "part must be such as '1/2'" in str(error)
    else:
        assert 0 <= part.start < part.step


def begun(folder: Path, files: dict[str, str], **changes) -> Run:
    """Begin a run that has finished the files of a folder."""
    run = Run(make_config("paper", out=str(folder), **changes))
    run.resolve("cpu", "32-true")
    check_same_data(run, pd.DataFrame(
        {"sha256": list("12"), "split": ["train", "test"], "label": [0, -1]}))
    for name, text in files.items():
        with atomic_write(run.folder / "cells" / name) as temporary:
            temporary.write_text(text)
    release_folder(run.folder)
    return run


def test_own_files_stay_and_unfinished_ones_are_left(tmp_path):
    """Copy what is missing, neither what is there nor a training that has not ended."""
    whole = begun(tmp_path / "whole", {"a": "own"})
    other = begun(tmp_path / "other", {"a": "another's", "b": "another's", ".c": "begun"})
    assert study_parts.take_over(whole, str(other.folder), "cells") == 1
    held = {file.name: file.read_text() for file in (whole.folder / "cells").iterdir()}
    assert held == {"a": "own", "b": "another's"}
    assert study_parts.take_over(whole, None, "cells") == 0


def test_another_study_is_refused_before_anything_is_copied(tmp_path):
    whole = begun(tmp_path / "whole", {})
    with pytest.raises(ValueError, match="epochs was 3 and is now 20"):
        study_parts.take_over(whole, [begun(tmp_path / "x", {"a": ""}, epochs=3).folder], "cells")
    assert not list(whole.folder.glob("cells/*"))
