"""Invalid and damaged input for brainclust.core.runtime."""

import pytest
import torch
from assertions import REFUSALS, accepted
from hypothesis import given, strategies as st

from brainclust.core import runtime


@given(
    name=st.one_of(
        st.text(max_size=8),
        st.sampled_from(["cpu", "cuda:99", "mps:3", "cpu:7", "meta", "cuda:-1", "xla"]),
    )
)
def test_a_device_holds_tensors_or_is_refused(name):
    """Choose a device that holds a tensor, or refuse its name in one sentence."""
    device = accepted(runtime.choose_device, name, refuses=REFUSALS)
    assert device is None or torch.zeros(1, device=device).numel() == 1


def test_a_refused_pool_leaves_the_threads_alone():
    """Refuse a negative pool and restore the number of threads."""
    import cv2

    before = cv2.getNumThreads()
    with pytest.raises(ValueError), runtime.single_threaded_pool(-1):
        pass
    assert cv2.getNumThreads() == before
