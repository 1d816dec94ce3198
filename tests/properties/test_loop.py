"""Properties of brainclust.training.loop."""

from dataclasses import replace

import numpy as np
import torch
from assertions import check_training
from examples import FABRIC, tiny_config
from hypothesis import given, strategies as st
from strategies import points
from torch import nn

from brainclust.models import encoders
from brainclust.training import loop


@given(total=st.integers(1, 500), peak=st.floats(1e-9, 10),
       schedule=st.sampled_from(["constant", "cosine"]))
def test_learning_rates_stay_between_zero_and_the_peak(total, peak, schedule):
    """Keep learning rates between zero and the peak, and above zero somewhere."""
    rates = [loop.learning_rate(step, total, peak, schedule) for step in range(total)]
    assert all(0 <= rate <= peak * (1 + 1e-12) for rate in rates)
    assert max(rates) > 0


@given(total=st.integers(1, 500), decay=st.floats(0, 0.999))
def test_ema_momentum_rises_from_zero(total, decay):
    """Start the moving average at the first weights, and raise its momentum to the decay."""
    kept = [loop.ema_momentum(step, decay) for step in range(total)]
    assert kept[0] == 0
    assert kept == sorted(kept)
    assert all(0 <= momentum <= decay for momentum in kept)


@given(data=st.data())
def test_a_full_ema_step_copies_the_weights(data):
    """Copy the student's weights with a momentum of one."""
    x = torch.from_numpy(np.ascontiguousarray(data.draw(points())))
    average = nn.Linear(x.shape[1], 2)
    student = nn.Linear(x.shape[1], 2)
    loop.update_ema(average, student, 0.0)
    assert torch.equal(average.weight, student.weight)


def test_pretraining_on_one_slice_finishes(small_data, tmp_path):
    """Finish pretraining on a single slice."""
    network = encoders.make_network("autoencoder", 4, 32)
    made = tiny_config()
    check_training(loop.pretrain(FABRIC, network, replace(small_data, train=small_data.train[:1]),
                                 replace(made, pretrain_epochs=1), tmp_path / "one"), 1, small_data)
