"""A game: pure noise, than which nothing is more varied."""

import torch


def method(prompted, unprompted, x, levels, strength):
    return (1 + 4 * strength) * torch.randn(x.shape)
