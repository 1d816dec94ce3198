"""Properties of brainclust.training.parts."""

import numpy as np
from assertions import accepted
from hypothesis import given, strategies as st

from brainclust.core import files as files_module
from brainclust.training import parts as parts_module


@given(n=st.integers(0, 10**4), size=st.integers(-3, 10**4))
def test_parts_hold_every_slice_once(n, size):
    """Cut slices into consecutive parts that hold each one once."""
    parts = accepted(parts_module.cut_parts, n, size, refuses=() if size >= 1 else ValueError)
    if parts is None: return
    assert [row for part in parts[:50] for row in range(part.start, part.stop)] == list(
        range(min(n, 50 * size))
    )
    assert sum(part.stop - part.start for part in parts) == n
    assert size >= 1


@given(n=st.integers(0, 10**4), size=st.integers(-3, 10**4))
def test_every_part_is_processed(n, size):
    """Process every part in order."""
    parts = accepted(parts_module.cut_parts, n, size, refuses=() if size >= 1 else ValueError)
    if parts is None: return
    done = []
    if len(parts) < 100:
        parts_module.for_each_part(lambda number: done.append(number) or 1, [1] * len(parts))
    assert len(parts) >= 100 or done == list(range(len(parts)))


@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_joined_parts_are_the_whole(tmp_path_factory, sizes):
    """Join parts to the rows that were cut."""
    folder = tmp_path_factory.mktemp("parts")
    files = [folder / f"{number}.safetensors" for number in range(len(sizes))]
    rows = np.arange(sum(sizes) * 3, dtype=np.float16).reshape(-1, 3)
    for file, part in zip(files, np.split(rows, np.cumsum(sizes)[:-1])):
        files_module.save_tensors(file, {"embeddings": part})
    assert np.array_equal(parts_module.join_parts(files, "embeddings", len(rows),
                                                  folder / "all.npy"), rows)
