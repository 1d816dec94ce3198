"""Invalid and damaged input for brainclust.training.parts."""

import numpy as np
from assertions import refused
from commands import embed_command
from hypothesis import given, strategies as st

from brainclust.core import files as files_module
from brainclust.training import parts as parts_module


def test_an_unknown_engine_is_refused():
    """Refuse an engine that does not exist."""
    refused(parts_module.for_each_part, len, [], engine="cluster")


@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_parts_of_another_length_are_refused(tmp_path_factory, sizes):
    """Refuse parts of another total length and write no file."""
    folder = tmp_path_factory.mktemp("parts")
    files = [folder / f"{number}.safetensors" for number in range(len(sizes))]
    rows = np.arange(sum(sizes) * 3, dtype=np.float16).reshape(-1, 3)
    for file, part in zip(files, np.split(rows, np.cumsum(sizes)[:-1])):
        files_module.save_tensors(file, {"embeddings": part})
    for wrong in (len(rows) + 1, len(rows) - 1):
        refused(parts_module.join_parts, files, "embeddings", wrong, folder / "wrong.npy")
    assert not (folder / "wrong.npy").exists()


def test_a_folder_without_a_model_is_refused(tmp_path):
    """Name the missing model, and return 2 on the command line."""
    assert "model.json" in refused(parts_module.embed_folder, tmp_path, tmp_path, tmp_path / "out")
    arguments = [str(tmp_path), str(tmp_path), "--out", str(tmp_path / "out")]
    assert embed_command(arguments) == 2
