"""Small pictures to train a model on from nothing: handwritten digits of 8 x 8, a plain world of 12 x 12."""

from typing import NamedTuple

import torch
from torch import Tensor

from course_lib import world
from course_lib.checks import numeric, typed, whole
from course_lib.claims import stored

SHAPES = ("circle", "square", "cross")  # of the plain world
SIDE = 12
RANGES = {"size": (0.24, 0.32), "x": (0.35, 0.65), "y": (0.35, 0.65)}


class Parts(NamedTuple):
    """Indices of the pictures to train on, to watch while training, and to judge by at the end."""

    train: Tensor
    validation: Tensor
    test: Tensor


def digits() -> tuple[Tensor, Tensor]:
    """Handwritten digits, pictures (1797, 1, 8, 8) from -1 (paper) to 1 (ink) in float32, and labels (1797,).

    Source: Alpaydin and Kaynak (1998), Optical Recognition of Handwritten Digits, UCI, CC BY 4.0.
    """
    data = stored("digits")
    return torch.tensor(data["images"])[:, None].float() / 8 - 1, torch.tensor(data["labels"]).long()


@typed
def parts_of(n: int, generator: torch.Generator, held_out: int = 250) -> Parts:
    """n pictures in random order, split: `held_out` for validation, as many for the test, the rest to train on.

    Raises ValueError where nothing is left to train on.
    """
    if not 0 < 2 * whole(held_out, "parts_of: held_out", 1) < n:
        raise ValueError(f"parts_of: twice held_out must be below n, got held_out = {held_out} of n = {n}.")
    order = torch.randperm(n, generator=generator)
    return Parts(order[2 * held_out :], order[:held_out], order[held_out : 2 * held_out])


@typed
def plain_world(n: int, generator: torch.Generator, shares: tuple = (0.6, 0.3, 0.1)) -> world.Factors:
    """Factors of n pictures of the plain world: flat circles, squares and crosses near the middle, in these shares.

    Colour, place, size, angle and background are free. Raises ValueError for shares that are no three probabilities.
    """
    shares = numeric(shares, "plain_world: shares").double()
    if shares.shape != (3,) or not (shares >= 0).all() or abs(shares.sum() - 1) > 1e-6:
        raise ValueError(f"plain_world: shares must be three probabilities that sum to 1, got {shares.tolist()}.")
    factors = world.draw(n, generator, shape=SHAPES, style="flat", **RANGES)
    which = torch.multinomial(shares, n, replacement=True, generator=generator)
    index = torch.tensor([world.SHAPES.index(name) for name in SHAPES])[which]
    return world.Factors(**{**vars(factors), "shape": index})


def plain_pictures(factors: world.Factors) -> Tensor:
    """Pictures of 12 x 12, (N, 3, 12, 12) in [-1, 1]: the world's own renderer."""
    return world.render(factors, SIDE)
