"""Properties of brainclust.models.losses."""

import numpy as np
import torch
from assertions import sum_to_one
from hypothesis import given, strategies as st
from strategies import logits_and_labels, probabilities, seeds
from torch import nn

from brainclust.models import losses


@given(pair=logits_and_labels(), threshold=st.floats(0, 1))
def test_class_losses_are_finite_and_not_negative(pair, threshold):
    """Return a finite scalar that is not negative, zero for no slices."""
    logits, labels = pair
    targets = nn.functional.one_hot(labels, logits.shape[1]).float()
    for loss in (losses.classification_loss(logits, labels),
                 losses.pseudo_label_loss(logits, targets, threshold)):
        assert loss.dim() == 0
        assert loss >= 0
        assert loss.isfinite()
        assert len(logits) or loss == 0


@given(pair=logits_and_labels(), threshold=st.floats(0, 1))
def test_class_losses_have_finite_gradients(pair, threshold):
    """Return a finite gradient for every logit."""
    logits, labels = pair
    targets = nn.functional.one_hot(labels, logits.shape[1]).float()
    for loss in (losses.classification_loss(logits, labels),
                 losses.pseudo_label_loss(logits, targets, threshold)):
        (gradient,) = torch.autograd.grad(loss, logits, retain_graph=True)
        assert gradient.shape == logits.shape
        assert gradient.isfinite().all()


@given(pair=logits_and_labels())
def test_pseudo_labels_below_the_threshold_teach_nothing(pair):
    """Give no loss and no gradient for uncertain targets."""
    logits, labels = pair
    targets = nn.functional.one_hot(labels, logits.shape[1]).float()
    loss = losses.pseudo_label_loss(logits, targets * 0.5, 0.9)
    assert loss == 0
    assert not len(logits) or not torch.autograd.grad(loss, logits)[0].any()


@given(b=st.integers(1, 5), classes=st.integers(1, 4), seed=seeds())
def test_a_lesion_map_is_cheapest_where_the_lesion_is(b, classes, seed):
    """Cost nothing for a certain and right map, more for any other, with a finite gradient."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (b,), generator=generator)
    covered = torch.rand(b, 1, 3, 5, generator=generator).round()
    truth = nn.functional.one_hot(covered.long()[:, 0] * (1 + labels)[:, None, None], 1 + classes)
    right = 40. * truth.movedim(3, 1)
    other = torch.randn(right.shape, generator=generator, requires_grad=True)
    assert losses.lesion_map_loss(right, labels, covered) < 1e-6
    loss = losses.lesion_map_loss(other, labels, covered)
    assert loss > 0
    assert torch.autograd.grad(loss, other)[0].isfinite().all()


@given(b=st.integers(0, 9), k=st.integers(1, 5), d=st.integers(1, 9), seed=seeds(),
       size=st.sampled_from([0.0, 1.0, 1e6]))
def test_cluster_distances_are_finite_and_not_negative(b, k, d, seed, size):
    """Return a finite scalar that is not negative."""
    generator = torch.Generator().manual_seed(seed)
    z = (torch.randn(b, d, generator=generator) * size).requires_grad_()
    means = torch.randn(k, d, generator=generator)
    gamma = torch.rand(b, k, generator=generator).softmax(dim=1)
    loss = losses.cluster_distance(z, gamma, means)
    assert loss.dim() == 0
    assert loss >= 0
    assert loss.isfinite()


@given(b=st.integers(0, 9), k=st.integers(1, 5), d=st.integers(1, 9), seed=seeds(),
       size=st.sampled_from([0.0, 1.0, 1e6]))
def test_cluster_distances_have_finite_gradients(b, k, d, seed, size):
    """Return a finite gradient for every embedding."""
    generator = torch.Generator().manual_seed(seed)
    z = (torch.randn(b, d, generator=generator) * size).requires_grad_()
    means = torch.randn(k, d, generator=generator)
    gamma = torch.rand(b, k, generator=generator).softmax(dim=1)
    loss = losses.cluster_distance(z, gamma, means)
    assert torch.autograd.grad(loss, z)[0].isfinite().all()


@given(k=st.integers(1, 5), d=st.integers(1, 9), seed=seeds())
def test_the_cluster_distance_at_the_means_is_zero(k, d, seed):
    """Return zero for embeddings at their cluster means."""
    generator = torch.Generator().manual_seed(seed)
    means = torch.randn(k, d, generator=generator)
    assert losses.cluster_distance(means, torch.eye(k), means) == 0


@given(b=st.integers(0, 9), seed=seeds())
def test_reconstruction_losses_are_finite_and_not_negative(b, seed):
    """Return a finite scalar that is not negative, zero for no slices."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(b, 1, 4, 4, generator=generator).requires_grad_()
    loss = losses.reconstruction_loss(x, torch.zeros_like(x))
    assert loss >= 0
    assert loss.isfinite()
    assert b or loss == 0


@given(b=st.integers(0, 9), seed=seeds())
def test_reconstruction_losses_have_finite_gradients(b, seed):
    """Return a finite gradient for every pixel."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(b, 1, 4, 4, generator=generator).requires_grad_()
    loss = losses.reconstruction_loss(x, torch.zeros_like(x))
    assert torch.autograd.grad(loss, x)[0].isfinite().all()


@given(b=st.integers(0, 9), seed=seeds())
def test_a_perfect_reconstruction_has_no_loss(b, seed):
    """Return zero for a slice that is reconstructed exactly."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(b, 1, 4, 4, generator=generator).requires_grad_()
    assert losses.reconstruction_loss(x, x.detach()) == 0


@given(p=probabilities(), seed=seeds(), strength=st.floats(0, 1))
def test_class_prior_factors_are_positive(p, seed, strength):
    """Return one finite positive factor per class, in double precision."""
    predictions = torch.from_numpy(p)
    c = p.shape[1]
    prior = torch.from_numpy(np.random.default_rng(seed).dirichlet(np.full(c, 5.0)) * 0.9 + 0.1 / c)
    factors = losses.class_prior_factors(predictions, prior, strength)
    assert factors.shape == (c,)
    assert factors.dtype == torch.float64
    assert (factors > 0).all()
    assert factors.isfinite().all()


@given(p=probabilities(), seed=seeds(), strength=st.floats(0, 1))
def test_aligned_predictions_are_probabilities(p, seed, strength):
    """Keep aligned predictions probabilities of the same type."""
    predictions = torch.from_numpy(p)
    c = p.shape[1]
    prior = torch.from_numpy(np.random.default_rng(seed).dirichlet(np.full(c, 5.0)) * 0.9 + 0.1 / c)
    factors = losses.class_prior_factors(predictions, prior, strength)
    aligned = losses.align_distribution(predictions, factors)
    assert aligned.shape == predictions.shape
    assert aligned.dtype == predictions.dtype
    assert sum_to_one(aligned)


@given(q=probabilities(k=4))
def test_aligned_predictions_reach_the_class_prior(q):
    """Move the mean prediction to within 0.02 of the class prior."""
    soft = torch.from_numpy(q).double() * 0.5 + 0.125  # every class has its chance everywhere
    prior = torch.tensor([0.3, 0.3, 0.2, 0.2], dtype=torch.float64)
    assert torch.allclose(
        losses.align_distribution(soft, losses.class_prior_factors(soft, prior)).mean(dim=0),
        prior,
        atol=0.02,
    )


@given(p=probabilities(), seed=seeds())
def test_alignment_of_strength_zero_changes_nothing(p, seed):
    """Return factors of one for a strength of zero."""
    predictions = torch.from_numpy(p)
    c = p.shape[1]
    prior = torch.from_numpy(np.random.default_rng(seed).dirichlet(np.full(c, 5.0)) * 0.9 + 0.1 / c)
    assert torch.allclose(losses.class_prior_factors(predictions, prior, 0.0),
                          torch.ones(c, dtype=torch.float64))


@given(p=probabilities(), seed=seeds())
def test_class_prior_factors_of_no_slices_are_positive(p, seed):
    """Return positive factors without predictions."""
    predictions = torch.from_numpy(p)
    c = p.shape[1]
    prior = torch.from_numpy(np.random.default_rng(seed).dirichlet(np.full(c, 5.0)) * 0.9 + 0.1 / c)
    assert (losses.class_prior_factors(predictions[:0], prior) > 0).all()  # nothing to align


@given(p=probabilities(), strength=st.floats(0, 1))
def test_pseudo_targets_are_probabilities(p, strength):
    """Mix the predictions of classifier and mixture to probabilities."""
    predictions = torch.from_numpy(p)
    mixed = losses.pseudo_targets(predictions, predictions.flip(1), strength)
    assert sum_to_one(mixed)


@given(epoch=st.integers(1, 10**6), warmup=st.integers(0, 10**6))
def test_a_ramp_rises_to_one(epoch, warmup):
    """Rise with the epoch, from above zero to one."""
    assert 0 < losses.ramp(epoch, warmup) <= losses.ramp(epoch + 1, warmup) <= 1


@given(sources=st.lists(st.sampled_from("abc"), min_size=1, max_size=30), strength=st.floats(0, 1),
       data=st.data())
def test_slices_of_one_source_are_adjusted_alike(sources, strength, data):
    """Add the log prior of the source, scaled; nothing where no slice of it has a label."""
    labels = np.array(data.draw(st.lists(
        st.integers(-1, 2), min_size=len(sources), max_size=len(sources))))
    added = losses.source_adjustments(sources, labels, 3, strength)
    whole = losses.source_adjustments(sources, labels, 3)
    assert added.shape == (len(sources), 3)
    assert (added <= 0).all()
    np.testing.assert_allclose(added, strength * whole, atol=1e-6)
    for source in set(sources):
        rows = np.array(sources) == source
        assert (added[rows] == added[rows][0]).all()
        known = labels[rows & (labels >= 0)]
        if len(known):
            np.testing.assert_allclose(np.exp(whole[rows][0]).sum(), 1, atol=1e-5)
            assert whole[rows][0].argmax() in np.flatnonzero(
                np.bincount(known, minlength=3) == np.bincount(known, minlength=3).max())
        else:
            assert not added[rows].any()


def test_adjusted_logits_have_the_priors_of_their_source():
    """Give classes the odds 9 to 1 where the network finds them alike, by hand."""
    added = losses.source_adjustments(["a"] * 100, np.array([0] * 90 + [1] * 10), 2, added=0)
    np.testing.assert_allclose(added[0], np.log([.9, .1]), atol=1e-6)
    np.testing.assert_allclose(
        losses.adjust_probabilities(np.array([[.5, .5]]), added[:1]), [[.9, .1]], atol=1e-6)
    np.testing.assert_allclose(
        losses.adjust_probabilities(np.array([[.2, .8]]), np.zeros((1, 2))), [[.2, .8]], atol=1e-6)
