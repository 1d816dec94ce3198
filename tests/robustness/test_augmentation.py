"""Invalid and damaged input for brainclust.imaging.augmentation."""

import numpy as np
import pytest
import torch
from assertions import one_sentence
from hypothesis import given, strategies as st

from brainclust.imaging import augmentation


@given(kind=st.sampled_from(["list", "array", "bytes", "two channels", "one slice", "no generator",
                             "none", "whole numbers"]))
def test_invalid_batches_are_refused(kind):
    """Refuse batches of another type, shape or without a generator."""
    x = torch.zeros(2, 1, 8, 8)
    batch = {"list": [[0.0]], "array": np.zeros((2, 1, 8, 8)), "bytes": x.byte(),
             "two channels": torch.zeros(2, 2, 8, 8), "one slice": x[0], "no generator": x,
             "none": None, "whole numbers": x.long()}[kind]
    for function in (augmentation.check_batch, augmentation.Augmentation()):
        with pytest.raises(ValueError) as error:
            function(batch, None if kind == "no generator" else torch.Generator())
        one_sentence(error.value)


@given(kind=st.sampled_from(["list", "array", "bytes", "two channels", "one slice", "no generator",
                             "none", "whole numbers"]))
def test_an_unknown_policy_is_refused(kind):
    """Refuse an unknown policy and list the known ones."""
    with pytest.raises(ValueError, match="name must be one of none, paper,"):
        augmentation.get_augmentation(f"not {kind}")
