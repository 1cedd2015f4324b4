"""Exact distance to a manifold that has a renderer: the nearest picture that it can draw, found by going downhill."""

import torch
from torch import Tensor

from course_lib import world
from course_lib.checks import shown, whole
from course_lib.small_pictures import RANGES, SHAPES, SIDE

LIMITS = {**RANGES, "angle": world.RANGES["angle"], "grey": world.RANGES["grey"]}
NAMES = tuple(LIMITS)


KEPT = 3  # kinds of drawing that are followed to the end


def nearest_drawing(pictures: Tensor, steps: int = 60, lr: float = 0.2) -> tuple[Tensor, Tensor]:
    """Distance of each picture to the plain world, min |x - R(f)| over its factors f (13.7), and the shape found.

    (N, 3, 12, 12) -> (N,), (N,) indices into `SHAPES`. All shapes and colours are tried for a quarter of the steps, the
    best three to the end. The other factors start in the middle of their ranges, the place at the picture's centre of
    gravity, and go downhill by Adam inside the ranges. A search that ends early makes the distance too large, never too
    small. Raises ValueError for pictures of another shape.
    """
    whole(steps, "nearest_drawing: steps", 4)
    if not isinstance(pictures, Tensor) or pictures.ndim != 4 or pictures.shape[1:] != (3, SIDE, SIDE):
        raise ValueError(f"nearest_drawing: pictures must be (N, 3, {SIDE}, {SIDE}), got {shown(pictures)}.")
    pictures = pictures.detach().cpu().float()
    N, kinds = len(pictures), len(SHAPES) * len(world.COLOURS)
    kind = torch.arange(kinds).repeat_interleave(N)
    u, best = _downhill(_start(pictures).repeat(kinds, 1), kind, pictures.repeat(kinds, 1, 1, 1), steps // 4, lr)
    kept = best.reshape(kinds, N).topk(KEPT, 0, largest=False).indices  # (KEPT, N)
    rows = (kept * N + torch.arange(N)).flatten()
    u, best = _downhill(u[rows], kind[rows], pictures.repeat(KEPT, 1, 1, 1), steps - steps // 4, lr)
    least = best.reshape(KEPT, N).min(0)
    return least.values.sqrt(), kept.gather(0, least.indices[None])[0] // len(world.COLOURS)


def _downhill(u: Tensor, kind: Tensor, target: Tensor, steps: int, lr: float) -> tuple[Tensor, Tensor]:
    """Where a search from u (n, 5) ends, and the least squared distance on the way, (n, 5), (n,)."""
    index = torch.tensor([world.SHAPES.index(name) for name in SHAPES])
    shape, colour = index[kind // len(world.COLOURS)], kind % len(world.COLOURS)
    u = u.detach().requires_grad_()
    optimiser = torch.optim.Adam([u], lr=lr)
    best = torch.full((len(u),), torch.inf)
    with torch.enable_grad():
        for _ in range(steps):
            error = (_drawn(u, shape, colour) - target).square().flatten(1).sum(1)
            best = torch.minimum(best, error.detach())
            optimiser.zero_grad()
            error.sum().backward()
            optimiser.step()
    return u.detach(), best


def _start(pictures: Tensor) -> Tensor:
    """Where the search begins, (N, 3, 12, 12) -> (N, 5) before the sigmoid: 0 is the middle of a range."""
    edge = torch.cat([pictures[:, :, 0], pictures[:, :, -1], pictures[:, :, :, 0], pictures[:, :, :, -1]], 2)
    ground = edge.median(2).values  # (N, 3)
    weight = (pictures - ground[:, :, None, None]).square().sum(1)  # (N, 12, 12)
    pixel = (torch.arange(SIDE) + 0.5) / SIDE
    total = weight.sum((1, 2)).clamp(min=1e-6)
    guess = {
        "x": (weight.sum(1) * pixel).sum(1) / total,
        "y": (weight.sum(2) * pixel).sum(1) / total,
        "grey": (ground.mean(1) + 1) / 2,
    }
    columns = []
    for name in NAMES:
        low, high = LIMITS[name]
        share = (guess.get(name, torch.full((len(pictures),), (low + high) / 2)) - low) / (high - low)
        columns.append(torch.logit(share.clamp(0.02, 0.98)))
    return torch.stack(columns, 1)


def _drawn(u: Tensor, shape: Tensor, colour: Tensor) -> Tensor:
    """The pictures of unbounded numbers u (n, 5), each put into its range by a sigmoid."""
    value = {name: low + (high - low) * u[:, i].sigmoid() for i, (name, (low, high)) in enumerate(LIMITS.items())}
    factors = world.Factors(shape=shape, colour=colour, style=torch.zeros_like(shape), **value)
    return world.render(factors, SIDE)
