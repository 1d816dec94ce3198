"""Invalid and damaged input for brainclust.training.batches."""

from dataclasses import replace

import numpy as np
from assertions import refused, survives
from examples import CPU, tiny_data
from hypothesis import given, strategies as st
from strategies import class_ids, slice_stacks

from brainclust.training import batches as batches_module


@given(data=st.data())
def test_invalid_training_data_are_refused(data):
    """Refuse images, labels, statistics and numbers of classes that do not fit."""
    images = data.draw(slice_stacks(side=8))
    whole = tiny_data(images, data.draw(class_ids(len(images), 3)))
    labels = np.arange(len(images)) % 3
    wrong = {"images": (whole.images.float(), whole.images[:, 0], whole.images.repeat(1, 3, 1, 1),
                        whole.images[0]), "std": (0.0, -1.0, np.nan, np.inf),
             "mean": (np.nan, np.inf),
             "labels": (labels + 3, labels - 5, labels.astype(float), labels.astype(str), None),
             "truth": (labels + 3, labels * 0.5), "n_classes": (0,)}
    for name, values in wrong.items():
        for value in values:
            refused(replace, tiny_data(images, labels), **{name: value})


@given(data=st.data())
def test_rows_that_do_not_exist_are_survived(data):
    """Raise an ordinary error, at worst, for rows that do not exist."""
    images = data.draw(slice_stacks(side=8))
    rows = np.random.default_rng(len(images)).integers(0, len(images), data.draw(st.integers(0, 9)))
    whole = tiny_data(images)
    for wrong in (rows + len(images), rows + 0.5, "a", None):
        if len(rows) or isinstance(wrong, (str, type(None))):
            survives(batches_module.take_slices, whole.images, wrong, CPU)
