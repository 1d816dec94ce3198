"""Properties of brainclust.imaging.transforms."""

import torch
from hypothesis import given, strategies as st
from strategies import seeds, unit_batches

from brainclust.imaging import augmentation, transforms


@given(x=unit_batches().filter(len))
def test_the_identity_changes_nothing(x):
    """Return the images for an identity matrix."""
    n = len(x)
    height, width = x.shape[-2:]
    same = transforms.affine_matrix(torch.zeros(n), torch.ones(n, 2), torch.zeros(n, 2),
                                    torch.ones(n, 2), height, width)
    torch.testing.assert_close(transforms.affine_transform(x, same), transforms.like(x, x), rtol=0,
                               atol=1e-5 if x.dtype != torch.bfloat16 else 1e-2)


@given(x=unit_batches().filter(len), angle=st.sampled_from([0.0, 90.0, -45.0, 1e6]))
def test_a_sampling_grid_is_pytorchs(x, angle):
    """Return the grid of PyTorch's affine_grid."""
    n = len(x)
    height, width = x.shape[-2:]
    matrix = transforms.affine_matrix(torch.full((n,), angle), torch.ones(n, 2), torch.zeros(n, 2),
                                      -torch.ones(n, 2), height, width)
    grid = transforms.sampling_grid(matrix, height, width)
    torch.testing.assert_close(
        grid,
        torch.nn.functional.affine_grid(matrix, [n, 1, height, width], align_corners=False),
        rtol=1e-4,
        atol=1e-4,
    )


@given(x=unit_batches().filter(len), amount=st.floats(-2, 2))
def test_values_per_slice_are_broadcast(x, amount):
    """Shape one value per slice for broadcasting."""
    n = len(x)
    values = torch.full((n,), amount)
    assert transforms.per_slice(values).shape == (n, 1, 1, 1)


@given(x=unit_batches().filter(len), sigma=st.sampled_from([0.0, 0.5, 30.0]))
def test_gaussian_kernels_sum_to_one(x, sigma):
    """Sum every kernel to one."""
    n = len(x)
    kernels = transforms.gaussian_kernels(torch.full((n,), sigma), 3)
    torch.testing.assert_close(kernels.sum(1), torch.ones(n))


@given(x=unit_batches().filter(len), seed=seeds(), angle=st.sampled_from([0.0, 90.0, -45.0, 1e6]),
       sigma=st.sampled_from([0.0, 0.5, 30.0]), amount=st.floats(-2, 2))
def test_transforms_keep_shape_and_range(x, seed, angle, sigma, amount):
    """Return finite images of the same shape, within 0.01 of [0, 1]."""
    n = len(x)
    height, width = x.shape[-2:]
    generator = torch.Generator().manual_seed(seed)
    draws = transforms.Draws(generator, "cpu", n)
    matrix = transforms.affine_matrix(torch.full((n,), angle), torch.ones(n, 2), torch.zeros(n, 2),
                                      -torch.ones(n, 2), height, width)
    values = torch.full((n,), amount)
    for changed in (transforms.affine_transform(x, matrix),
                    transforms.affine_transform(x, matrix, "nearest"),
                    transforms.intensity_shift(x, values), transforms.scale_contrast(x, values),
                    transforms.apply_gamma(x, values.abs() + 0.1),
                    transforms.add_noise(x, values, draws.normal(*x.shape[1:])),
                    transforms.gaussian_blur(x, torch.full((n,), sigma), 9),
                    transforms.cutout(x, torch.rand(n, 2), values),
                    augmentation.change_intensity(augmentation.AUGMENTATIONS["strong"], x, draws)):
        assert changed.shape == x.shape
        assert changed.dtype == x.dtype
        assert torch.isfinite(changed).all()
        assert -0.01 <= changed.min()
        assert changed.max() <= 1.01


@given(x=unit_batches().filter(len), seed=seeds())
def test_uniform_draws_lie_above_their_minimum(x, seed):
    """Draw uniform numbers above their minimum."""
    generator = torch.Generator().manual_seed(seed)
    assert transforms.draw_uniform(len(x), 2, 3, generator).min() >= 2
