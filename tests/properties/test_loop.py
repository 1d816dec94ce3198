"""Properties of brainclust.training.loop."""

from dataclasses import replace

import numpy as np
import torch
from assertions import check_training
from examples import FABRIC, tiny_config
from hypothesis import given
from hypothesis import strategies as st
from strategies import points
from torch import nn

from brainclust.models import encoders
from brainclust.training import loop


@given(total=st.integers(1, 500), decay=st.floats(0, 0.999))
def test_ema_momentum_starts_at_one(total, decay):
    """Start the moving average with the first weights, and keep its momentum in (0, 1]."""
    momenta = [loop.ema_momentum(step, decay) for step in range(total)]
    assert momenta[0] == 1
    assert all(0 < momentum <= 1 for momentum in momenta)


@given(data=st.data())
def test_a_full_ema_step_copies_the_weights(data):
    """Copy the student's weights with a momentum of one."""
    x = torch.from_numpy(np.ascontiguousarray(data.draw(points())))
    average = nn.Linear(x.shape[1], 2)
    student = nn.Linear(x.shape[1], 2)
    loop.update_ema(average, student, torch.tensor(1.0))
    assert torch.equal(average.weight, student.weight)


def test_pretraining_on_one_slice_finishes(small_data, tmp_path):
    """Finish pretraining on a single slice."""
    network = encoders.make_network("autoencoder", 4, 32)
    made = tiny_config()
    check_training(loop.pretrain(FABRIC, network, replace(small_data, train=small_data.train[:1]),
                                 replace(made, pretrain_epochs=1), tmp_path / "one"), 1, small_data)
