"""What exercises draw their inputs from: numbers and points of a given generator."""

import torch


def whole(g, low, high):
    """A whole number from low to high, both included."""
    return int(torch.randint(low, high + 1, (), generator=g))


def real(g, low, high):
    """A number between low and high."""
    return low + (high - low) * torch.rand((), generator=g).item()


def normal(g, *shape):
    """Standard normal numbers in double precision."""
    return torch.randn(*shape, generator=g, dtype=torch.float64)
