"""Properties of brainclust.training.batches."""

from typing import get_args

import numpy as np
import torch
from assertions import sum_to_one
from examples import CPU, FABRIC, NETWORKS, tiny_data
from hypothesis import given, strategies as st
from strategies import TENTH_OF_EXAMPLES, class_ids, seeds, slice_stacks

from brainclust.core import config
from brainclust.imaging.preprocessing import scale_to_unit
from brainclust.training import batches as batches_module


@given(data=st.data())
def test_training_data_hold_every_training_slice(data):
    """Divide the training slices into labelled and unlabelled ones."""
    images = data.draw(slice_stacks(side=8))
    data_of_all = tiny_data(images, data.draw(class_ids(len(images), 3)))
    assert sorted([*data_of_all.labelled, *data_of_all.unlabelled]) == list(data_of_all.train)
    assert (data_of_all.labels[data_of_all.labelled] >= 0).all()


@given(data=st.data())
def test_taken_slices_are_the_rows_asked_for(data):
    """Take the slices of the asked rows."""
    images = data.draw(slice_stacks(side=8))
    rows = np.random.default_rng(len(images)).integers(0, len(images), data.draw(st.integers(0, 9)))
    whole = tiny_data(images)
    assert torch.equal(batches_module.take_slices(whole.images, rows, CPU),
                       torch.from_numpy(images[rows]))


@given(data=st.data())
def test_unit_range_images_lie_between_zero_and_one(data):
    """Convert bytes to float32 in [0, 1]."""
    images = data.draw(slice_stacks(side=8))
    rows = np.random.default_rng(len(images)).integers(0, len(images), data.draw(st.integers(0, 9)))
    whole = tiny_data(images)
    unit = scale_to_unit(batches_module.take_slices(whole.images, rows, CPU))
    assert unit.dtype == torch.float32
    assert unit.shape == (len(rows), 1, 8, 8)
    assert not len(rows) or 0 <= unit.min() <= unit.max() <= 1


@given(data=st.data())
def test_placed_images_keep_their_values(data):
    """Move images to the device unchanged."""
    images = data.draw(slice_stacks(side=8))
    whole = tiny_data(images)
    assert torch.equal(batches_module.place_images(np.ascontiguousarray(images), CPU), whole.images)


@given(data=st.data())
def test_a_view_is_its_augmentation(data):
    """Augment a batch of rows as the same slices by hand."""
    images = data.draw(slice_stacks(side=8))
    rows = np.random.default_rng(len(images)).integers(0, len(images), data.draw(st.integers(0, 9)))
    whole = tiny_data(images)
    unit = scale_to_unit(batches_module.take_slices(whole.images, rows, CPU))
    for policy in get_args(config.Augmentation):
        seen = [batches_module.view(whole, rows, policy, torch.Generator().manual_seed(1), CPU),
                batches_module.augmented(whole.images[rows], whole, policy,
                                         torch.Generator().manual_seed(1))]
        assert torch.equal(*seen)
        assert seen[0].shape == unit.shape
        assert seen[0].isfinite().all()


@given(labelled=st.integers(0, 200), unlabelled=st.integers(0, 200),
       labelled_size=st.integers(1, 300), unlabelled_size=st.integers(1, 300), seed=seeds())
def test_every_unlabelled_slice_is_in_one_batch(labelled, unlabelled, labelled_size,
                                                unlabelled_size, seed):
    """Divide the unlabelled slices among the steps of an epoch."""
    steps = batches_module.count_steps(labelled, unlabelled, labelled_size, unlabelled_size)
    known = batches_module.cycle_batches(np.arange(labelled), labelled_size, steps, seed)
    unknown = batches_module.split_batches(np.arange(unlabelled), steps, seed)
    assert len(known) == len(unknown) == steps >= 1
    assert sorted(np.concatenate(unknown)) == list(range(unlabelled))


@given(labelled=st.integers(0, 200), unlabelled=st.integers(0, 200),
       labelled_size=st.integers(1, 300), unlabelled_size=st.integers(1, 300), seed=seeds())
def test_batches_have_their_size(labelled, unlabelled, labelled_size, unlabelled_size, seed):
    """Fill labelled batches and limit unlabelled ones to their size."""
    steps = batches_module.count_steps(labelled, unlabelled, labelled_size, unlabelled_size)
    known = batches_module.cycle_batches(np.arange(labelled), labelled_size, steps, seed)
    unknown = batches_module.split_batches(np.arange(unlabelled), steps, seed)
    assert all(len(batch) == (labelled_size if labelled else 0) for batch in known)
    assert all(len(batch) <= unlabelled_size for batch in unknown)


@given(labelled=st.integers(0, 200), unlabelled=st.integers(0, 200),
       labelled_size=st.integers(1, 300), unlabelled_size=st.integers(1, 300), seed=seeds())
def test_every_labelled_slice_is_in_some_batch(labelled, unlabelled, labelled_size, unlabelled_size,
                                               seed):
    """Repeat labelled slices until every one was seen."""
    steps = batches_module.count_steps(labelled, unlabelled, labelled_size, unlabelled_size)
    known = batches_module.cycle_batches(np.arange(labelled), labelled_size, steps, seed)
    assert set(np.concatenate(known)) == set(range(labelled))


@given(labelled=st.integers(0, 200), unlabelled=st.integers(0, 200),
       labelled_size=st.integers(1, 300), unlabelled_size=st.integers(1, 300), seed=seeds())
def test_rows_on_the_device_are_the_same_rows(labelled, unlabelled, labelled_size, unlabelled_size,
                                              seed):
    """Move the rows of a batch unchanged."""
    steps = batches_module.count_steps(labelled, unlabelled, labelled_size, unlabelled_size)
    unknown = batches_module.split_batches(np.arange(unlabelled), steps, seed)
    on_device = batches_module.rows_on_device(unknown, CPU)
    assert [batch.tolist() for batch in on_device] == [batch.tolist() for batch in unknown]


@TENTH_OF_EXAMPLES
@given(images=slice_stacks(side=32), flip_tta=st.booleans(), batch_size=st.integers(1, 9))
def test_embeddings_are_finite(images, flip_tta, batch_size):
    """Return finite float32 embeddings of 128 dimensions."""
    data = tiny_data(images)
    network = NETWORKS["autoencoder"]
    wrapped = FABRIC.setup_module(network)
    embeddings, head = batches_module.embed_slices(FABRIC, wrapped, data, batch_size, flip_tta)
    assert embeddings.shape == (len(images), 128)
    assert embeddings.dtype == head.dtype == np.float32
    assert np.isfinite(embeddings).all()


@TENTH_OF_EXAMPLES
@given(images=slice_stacks(side=32), flip_tta=st.booleans(), batch_size=st.integers(1, 9))
def test_class_probabilities_of_embedded_slices_sum_to_one(images, flip_tta, batch_size):
    """Return class probabilities beside the embeddings."""
    data = tiny_data(images)
    network = NETWORKS["autoencoder"]
    wrapped = FABRIC.setup_module(network)
    embeddings, head = batches_module.embed_slices(FABRIC, wrapped, data, batch_size, flip_tta)
    assert sum_to_one(head)


@TENTH_OF_EXAMPLES
@given(images=slice_stacks(side=32), flip_tta=st.booleans(), batch_size=st.integers(1, 9))
def test_embeddings_do_not_depend_on_the_batch_size(images, flip_tta, batch_size):
    """Embed slices one by one as in a batch."""
    data = tiny_data(images)
    network = NETWORKS["autoencoder"]
    wrapped = FABRIC.setup_module(network)
    embeddings, head = batches_module.embed_slices(FABRIC, wrapped, data, batch_size, flip_tta)
    again = batches_module.embed_slices(FABRIC, wrapped, data, 1, flip_tta)
    assert np.allclose(again[0], embeddings, atol=1e-3)
    assert np.allclose(again[1], head, atol=1e-3)


@TENTH_OF_EXAMPLES
@given(images=slice_stacks(side=32), flip_tta=st.booleans(), batch_size=st.integers(1, 9))
def test_embeddings_of_no_slices_are_empty(images, flip_tta, batch_size):
    """Return empty arrays without slices."""
    network = NETWORKS["autoencoder"]
    wrapped = FABRIC.setup_module(network)
    assert [
        part.shape
        for part in batches_module.embed_slices(
            FABRIC, wrapped, tiny_data(images[:0], np.zeros(0, int)), batch_size, flip_tta
        )
    ] == [(0, 128), (0, 3)]
