"""Properties of brainclust.data.in_memory."""

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from brainclust.data import in_memory


@given(y=st.lists(st.sampled_from(["b", "a", "c", None, "", -1, float("nan")]), max_size=12))
def test_names_keep_their_slices(y):
    """Number the names that are there, and nothing else."""
    ids, classes = in_memory.read_labels(y, len(y))
    known = [name for name in y if name in ("a", "b", "c")]
    assert list(classes) == sorted(set(known))
    assert [classes[one] for one in ids if one >= 0] == known
    assert ids.shape == (len(y),)


@given(y=st.lists(st.integers(-1, 5), max_size=12), kind=st.sampled_from([int, float, object]))
def test_numbers_keep_their_slices(y, kind):
    ids, classes = in_memory.read_labels(np.array(y, dtype=kind), len(y))
    assert [-1 if one < 0 else classes[one] for one in ids] == y


@given(values=arrays(st.sampled_from([np.uint8, np.int16, np.uint16, np.float32]),
                     array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9),
                     elements={"min_value": 0, "max_value": 200}))
def test_a_slice_keeps_its_shape_and_its_order(values):
    """Turn no darker pixel into a brighter one, and leave 8 bits as they are."""
    slice_ = in_memory.as_slice(values)
    assert slice_.shape == values.shape and slice_.dtype == np.uint8
    order = np.argsort(values.ravel(), kind="stable")
    assert (np.diff(slice_.ravel()[order].astype(int)) >= 0).all()
    if values.dtype == np.uint8:
        assert (slice_ == values).all()


def test_arrays_tensors_and_files_are_the_same_slices(tmp_path):
    slices = np.random.default_rng(0).integers(0, 256, (3, 20, 16), dtype=np.uint8)
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for path, one in zip(paths, slices):
        Image.fromarray(one).save(path)
    for X in (slices, torch.from_numpy(slices), torch.from_numpy(slices)[:, None], list(slices),
              slices[..., None], paths, list(map(str, paths)), np.array(list(map(str, paths)))):
        assert all((in_memory.as_slice(one) == right).all()
                   for one, right in zip(in_memory.check_sequence(X), slices, strict=True))


@pytest.mark.parametrize("X, sentence", [
    ("scan.png", "Put it into a list"), ([], "at least one slice"), (np.zeros(5), "of shape"),
    (np.zeros((5, 4)), "of shape"), (torch.zeros(5, 4), "of shape"),
    (np.zeros((2, 2, 2, 2, 2)), "of shape")])
def test_what_is_no_sequence_of_slices_is_refused(X, sentence):
    with pytest.raises(ValueError, match=sentence):
        in_memory.check_sequence(X)


@pytest.mark.parametrize("one", [np.zeros((4, 4, 2), np.uint8), np.zeros((4, 4, 3)), np.zeros(4),
                                 np.zeros((4, 4), bool), np.zeros((0, 4)), np.array("a"), None,
                                 np.zeros((0, 4, 3), np.uint8)])
def test_what_is_no_slice_is_named_by_its_number(one):
    with pytest.raises(ValueError, match=r"X\[7\] must be a path"):
        in_memory.as_slice(one, 7)
