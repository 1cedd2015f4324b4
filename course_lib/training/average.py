"""A moving average of a network's weights: what is sampled from, while training goes on with the weights themselves."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from course_lib.checks import number, whole


def moving_average(mean: Sequence[Tensor], now: Sequence[Tensor], decay: float, step: int) -> list[Tensor]:
    """m + (1 - b) (theta - m) with b = min(decay, (1 + step) / (10 + step)) (13.5), tensor by tensor.

    The first steps forget faster, since the first weights are random. Raises ValueError unless 0 <= decay < 1,
    step >= 0 and there are as many tensors of the same shapes. Source: Kingma and Ba (2015), section 7.2; the start
    as in diffusers' EMAModel.
    """
    if not 0 <= number(decay, "moving_average: decay") < 1:
        raise ValueError(f"moving_average: decay must be at least 0 and below 1, got {decay:g}.")
    whole(step, "moving_average: step", 0)
    if [m.shape for m in mean] != [theta.shape for theta in now]:
        raise ValueError("moving_average: mean and now must be tensors of the same shapes.")
    b = min(decay, (1 + step) / (10 + step))
    return [m + (1 - b) * (theta.detach() - m) for m, theta in zip(mean, now)]


@torch.no_grad()
def average_into(averaged: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """`moving_average` of the parameters of two networks of one build, written into the first."""
    means = list(averaged.parameters())
    for m, new in zip(means, moving_average(means, list(network.parameters()), decay, step)):
        m.copy_(new)
