"""Invalid and damaged input for brainclust.training.supervised."""

from dataclasses import replace

import numpy as np
from assertions import refused
from examples import FABRIC
from hypothesis import given, strategies as st
from strategies import class_ids, seeds

from brainclust.training import supervised


def test_a_diverging_supervised_training_is_refused(small_data, tmp_path):
    """Name divergence and write no state."""
    recipe = supervised.Recipe(32, 3, 8, learning_rate=1e38)
    data = replace(small_data, train=small_data.labelled)
    assert "diverged" in refused(supervised.train_supervised, FABRIC,
                                 supervised.make_companion("b", 4, 32), data, recipe, tmp_path)
    assert not (tmp_path / "state.json").exists()


def test_supervised_trainings_without_labels_are_refused(small_data, tmp_path):
    """Refuse rows without labels."""
    recipe = supervised.Recipe(32, 1, 500)
    for rows in (small_data.labelled[:0], small_data.test):
        data = replace(small_data, train=rows, test=small_data.test[:0])
        assert "label" in refused(supervised.train_supervised, FABRIC,
                                  supervised.make_companion("a", 4, 32), data, recipe,
                                  tmp_path / "no")


@given(data=st.data())
def test_invalid_folds_are_refused(data):
    """Refuse empty, unequal, hidden and textual labels."""
    n = data.draw(st.integers(1, 40))
    rng = np.random.default_rng(data.draw(seeds()))
    labels = data.draw(class_ids(n, 3, hidden=False))
    groups = rng.integers(0, data.draw(st.integers(1, n)), n)
    for wrong in ((labels[:0], groups[:0]), (labels, groups[1:]),
                  (labels - 1 - labels.min(), groups), (labels.astype(str), groups)):
        refused(supervised.group_folds, *wrong, 5)
