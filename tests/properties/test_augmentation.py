"""Properties of brainclust.imaging.augmentation."""

import torch
from hypothesis import given, strategies as st
from strategies import seeds, unit_batches

from brainclust.imaging import augmentation, transforms


@given(x=unit_batches(), name=st.sampled_from(sorted(augmentation.AUGMENTATIONS)), seed=seeds())
def test_augmentation_keeps_shape_and_range(x, name, seed):
    """Return finite images of the same shape in [0, 1]."""
    policy = augmentation.get_augmentation(name)
    augment = lambda batch, *part: policy(batch, torch.Generator().manual_seed(seed), *part)
    changed = augment(x)
    assert changed.shape == x.shape
    assert changed.dtype == x.dtype
    assert torch.isfinite(changed).all()
    if x.numel():
        assert 0 <= changed.min()
        assert changed.max() <= 1


@given(x=unit_batches(), name=st.sampled_from(sorted(augmentation.AUGMENTATIONS)), seed=seeds())
def test_augmentation_is_reproducible(x, name, seed):
    """Return the same images for the same seed, in any memory layout."""
    policy = augmentation.get_augmentation(name)
    augment = lambda batch, *part: policy(batch, torch.Generator().manual_seed(seed), *part)
    changed = augment(x)
    torch.testing.assert_close(augment(x), changed, rtol=0, atol=0)
    torch.testing.assert_close(augment(x.contiguous()), changed, rtol=0, atol=1e-2)


@given(x=unit_batches(), name=st.sampled_from(sorted(augmentation.AUGMENTATIONS)), seed=seeds())
def test_augmentation_of_parts_is_augmentation_of_the_whole(x, name, seed):
    """Augment the parts of a batch as the whole batch."""
    policy = augmentation.get_augmentation(name)
    augment = lambda batch, *part: policy(batch, torch.Generator().manual_seed(seed), *part)
    changed = augment(x)
    if len(x) > 1 and x.dtype in (torch.float32, torch.float64):
        parts = torch.cat([augment(x[:1], 0, len(x)), augment(x[1:], 1, len(x))])
        torch.testing.assert_close(parts, changed, rtol=1e-4, atol=1e-4)


@given(x=unit_batches(), name=st.sampled_from(sorted(augmentation.AUGMENTATIONS)), seed=seeds())
def test_masks_move_with_their_slices(x, name, seed):
    """Change slices as without masks; keep masks in [0, 1], and full ones inside full."""
    policy = augmentation.get_augmentation(name)
    generators = (torch.Generator().manual_seed(seed) for _ in range(2))
    masks = torch.ones(len(x), 1, 4, 4)
    changed, moved = policy.with_masks(x, masks, next(generators))
    assert torch.equal(changed, policy(x, next(generators)))
    assert moved.shape == masks.shape
    assert ((0 <= moved) & (moved <= 1 + 1e-5)).all()
    assert policy.moves or torch.equal(moved, masks)


@given(x=unit_batches(), name=st.sampled_from(sorted(augmentation.AUGMENTATIONS)), seed=seeds())
def test_an_affine_matrix_is_drawn_per_slice(x, name, seed):
    """Draw one matrix per slice."""
    policy = augmentation.get_augmentation(name)
    if len(x):
        assert policy.draw_matrix(x, torch.Generator().manual_seed(seed)).shape == (len(x), 2, 3)


@given(x=unit_batches().filter(len), seed=seeds())
def test_drawn_signs_are_signs(x, seed):
    """Draw -1 or 1."""
    generator = torch.Generator().manual_seed(seed)
    draws = transforms.Draws(generator, "cpu", len(x))
    assert set(augmentation._draw_signs(0.5, draws).tolist()) <= {-1.0, 1.0}


@given(x=unit_batches().filter(len), seed=seeds())
def test_drawn_affine_matrices_are_finite(x, seed):
    """Draw finite matrices."""
    n = len(x)
    height, width = x.shape[-2:]
    generator = torch.Generator().manual_seed(seed)
    draws = transforms.Draws(generator, "cpu", n)
    assert torch.isfinite(augmentation.draw_affine(augmentation.AUGMENTATIONS["cut"], height, width,
                                                   draws)).all()
