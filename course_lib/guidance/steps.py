"""Steps made from steps: sampling that moves along a symmetry of the data."""

from collections.abc import Callable

import torch
from torch import Tensor

from course_lib.checks import gradients_allowed, typed
from course_lib.guidance.potentials import Potential


@typed
def turned(step: Callable, potential: Potential) -> Callable:
    """A step followed by a rotation: each particle of the plane turns about the origin as the potential pulls it (4.9).

    The angle is c = sigma**2 - sigma_next**2 times the slope of log w along the rotation. Moving along the symmetry
    keeps the radius, where a straight push leaves the circle. The potential sees x at sigma and x0. Raises ValueError
    unless x is (N, 2). Source: Corso et al. (2024), section 4.
    """

    def turning(x: Tensor, x0: Tensor, sigma: Tensor, sigma_next: Tensor, randn_like) -> Tensor:
        if x.shape[1:] != (2,):
            raise ValueError(f"turned: points of the plane have shape (N, 2), got {tuple(x.shape)}.")
        gradients_allowed("turned", x, x0, sigma)
        with torch.enable_grad():
            angle = torch.zeros_like(x[:, 0], requires_grad=True)
            log_w = potential(_rotate(x.detach(), angle), _rotate(x0.detach(), angle), sigma)
            slope = torch.autograd.grad(log_w, angle)[0] if isinstance(log_w, Tensor) else torch.zeros_like(x[:, 0])
        return _rotate(step(x, x0, sigma, sigma_next, randn_like), (sigma**2 - sigma_next**2) * slope)

    return turning


def _rotate(x: Tensor, angle: Tensor) -> Tensor:
    """Points turned about the origin by an angle each, (N, 2), (N,) -> (N, 2)."""
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([cos * x[:, 0] - sin * x[:, 1], sin * x[:, 0] + cos * x[:, 1]], 1)
