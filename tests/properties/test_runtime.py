"""Properties of brainclust.core.runtime."""

import numpy as np
import torch
from hypothesis import given, strategies as st

from brainclust.core import runtime


@given(seed=st.integers(0, 2**80),
       names=st.lists(st.one_of(st.text(max_size=5), st.integers(0, 2**40)), max_size=3))
def test_derived_seeds_suit_numpy_and_torch(seed, names):
    """Derive seeds that NumPy and PyTorch both accept."""
    derived = runtime.derived_seed(seed, *names)
    assert 0 <= derived < 2**31
    np.random.default_rng(derived)
    torch.Generator().manual_seed(derived)


@given(seed=st.integers(0, 2**80),
       names=st.lists(st.one_of(st.text(max_size=5), st.integers(0, 2**40)), max_size=3))
def test_a_derived_seed_is_reproducible(seed, names):
    """Derive the same seed from the same seed and names."""
    derived = runtime.derived_seed(seed, *names)
    assert derived == runtime.derived_seed(seed, *names)


def test_full_precision_on_the_cpu_is_kept():
    """Keep "32-true" on the CPU, whichever it is."""
    assert runtime.choose_precision(torch.device("cpu"), "32-true") == "32-true"
