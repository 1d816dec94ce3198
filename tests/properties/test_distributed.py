"""Properties of brainclust.training.distributed."""

import numpy as np
import torch
from examples import FABRIC
from hypothesis import given, strategies as st
from strategies import points, seeds

from brainclust.training import batches as batches_module, distributed, loop


@given(labelled=st.integers(0, 200), unlabelled=st.integers(0, 200),
       labelled_size=st.integers(1, 300), unlabelled_size=st.integers(1, 300), seed=seeds())
def test_one_process_takes_the_whole_batch(labelled, unlabelled, labelled_size, unlabelled_size,
                                           seed):
    """Give a single process the whole batch with weight one."""
    steps = batches_module.count_steps(labelled, unlabelled, labelled_size, unlabelled_size)
    known = batches_module.cycle_batches(np.arange(labelled), labelled_size, steps, seed)
    unknown = batches_module.split_batches(np.arange(unlabelled), steps, seed)
    shared = distributed.local_batches(FABRIC, known[0], unknown[0])
    assert [share.weight for share in shared] == [1.0, 1.0]
    assert [share.total for share in shared] == [len(known[0]), len(unknown[0])]


@given(labelled=st.integers(0, 200), unlabelled=st.integers(0, 200),
       labelled_size=st.integers(1, 300), unlabelled_size=st.integers(1, 300), seed=seeds())
def test_one_process_weighs_every_loss_term_by_one(labelled, unlabelled, labelled_size,
                                                   unlabelled_size, seed):
    """Weigh every loss term of a single process by one."""
    steps = batches_module.count_steps(labelled, unlabelled, labelled_size, unlabelled_size)
    known = batches_module.cycle_batches(np.arange(labelled), labelled_size, steps, seed)
    unknown = batches_module.split_batches(np.arange(unlabelled), steps, seed)
    shared = distributed.local_batches(FABRIC, known[0], unknown[0])
    if len(known[0]) + len(unknown[0]):
        assert [distributed.local_weight(term, *shared) for term in loop.TERMS] == [1.0] * len(
            loop.TERMS)


@given(labelled=st.integers(0, 200), unlabelled=st.integers(0, 200),
       labelled_size=st.integers(1, 300), unlabelled_size=st.integers(1, 300), seed=seeds())
def test_a_local_batch_starts_where_it_says(labelled, unlabelled, labelled_size, unlabelled_size,
                                            seed):
    """Store the start of a local batch."""
    steps = batches_module.count_steps(labelled, unlabelled, labelled_size, unlabelled_size)
    known = batches_module.cycle_batches(np.arange(labelled), labelled_size, steps, seed)
    assert distributed.LocalBatch(known[0], 0, 1, 1.0).start == 0


@given(data=st.data())
def test_one_process_gathers_nothing(data):
    """Return the tensors and values of a single process unchanged."""
    x = torch.from_numpy(np.ascontiguousarray(data.draw(points())))
    assert distributed.gather_rows(FABRIC, x, [len(x)]) is x
    assert distributed.mean_of_processes(FABRIC, x) is x
    assert distributed.broadcast_from_rank_zero(FABRIC, lambda: 3) == 3
