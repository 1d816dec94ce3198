"""Batch normalisation over the slices of all processes, on a CPU, where PyTorch has none.

With it, a training in two processes differs from the same training in one by rounding alone.
"""

import torch
from torch import Tensor


class SumOverProcesses(torch.autograd.Function):
    """The sum of a tensor over the processes; its gradient is the sum of the gradients."""

    @staticmethod
    def forward(context, x: Tensor) -> Tensor:
        """Add up the values."""
        total = x.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(context, gradient: Tensor) -> Tensor:
        """Add up the gradients."""
        return SumOverProcesses.forward(context, gradient)


alone = torch.nn.BatchNorm2d.forward


def shared(norm: torch.nn.BatchNorm2d, x: Tensor) -> Tensor:
    """Normalise by the statistics of the whole batch, or when not training by the running ones."""
    if not norm.training: return alone(norm, x)
    count = torch.tensor([float(x[:, 0].numel())], dtype=x.dtype)
    totals = SumOverProcesses.apply(torch.cat([x.sum(dim=(0, 2, 3)), count]))
    sums, count = totals.split([x.shape[1], 1])
    mean = (sums / count)[:, None, None]
    variance = SumOverProcesses.apply((x - mean).square().sum(dim=(0, 2, 3))) / count
    with torch.no_grad():
        norm.num_batches_tracked += 1
        norm.running_mean.lerp_(mean.flatten(), norm.momentum)
        norm.running_var.lerp_(variance * count / (count - 1), norm.momentum)
    scale = norm.weight * (variance + norm.eps).rsqrt()
    return (x - mean) * scale[:, None, None] + norm.bias[:, None, None]


def run_job_command() -> None:
    """Take part in a training, as the command that torchrun starts does, with the batch
    normalisation of above.
    """
    from brainclust.training import launch
    torch.nn.BatchNorm2d.forward = shared
    launch.run_job_command()
