"""Invalid and damaged input for brainclust.training.loop."""

from dataclasses import replace

import numpy as np
from assertions import refused
from examples import FABRIC, tiny_config
from torch import nn

from brainclust.models import encoders
from brainclust.training import loop


def test_pretraining_on_no_slices_is_refused(small_data, tmp_path):
    """Refuse pretraining without slices."""
    network = encoders.make_network("autoencoder", 4, 32)
    made = tiny_config()
    assert "slice" in refused(loop.pretrain, FABRIC, network,
                              replace(small_data, train=small_data.train[:0]), made,
                              tmp_path / "none")


def test_losses_that_are_not_finite_stop_a_training():
    """Refuse losses that are NaN or infinite, and accept an unmeasured silhouette."""
    network = nn.Linear(2, 2)
    loop.refuse_divergence("joint training", {"epoch": 1, "loss": 1.0, "silhouette": np.nan},
                           network)
    for row in ({"loss": np.nan}, {"train_loss": np.inf}, {"reconstruction": -np.inf}):
        assert "diverged" in refused(loop.refuse_divergence, "t", {"epoch": 1, **row}, network)


def test_weights_that_are_not_finite_stop_a_training():
    """Refuse weights that are NaN and name them."""
    network = nn.Linear(2, 2)
    loop.refuse_divergence("joint training", {"epoch": 1, "loss": 1.0, "silhouette": np.nan},
                           network)
    network.weight.data[0, 0] = np.nan
    assert "weights" in refused(loop.refuse_divergence, "t", {"epoch": 1}, network)
