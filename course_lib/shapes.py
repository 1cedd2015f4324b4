"""Signed distances to the outlines of the small world's shapes."""

import math

import torch
from torch import Tensor


def _box(p: Tensor, half_width: float, half_height: float) -> Tensor:
    q = p.abs() - p.new_tensor([half_width, half_height])
    return q.clamp(min=0).norm(dim=-1) + q.amax(-1).clamp(max=0)


def _points(p: Tensor, n: int, outer: float, inner: float) -> Tensor:
    """Star with n points: the distance to the line through a tip and the notch beside it, after folding the angle."""
    angle = torch.atan2(p[..., 0], -p[..., 1])
    half = math.pi / n
    angle = ((angle + half) % (2 * half) - half).abs()
    along, across = p.norm(dim=-1) * angle.cos(), p.norm(dim=-1) * angle.sin()
    edge = (inner * math.cos(half) - outer, inner * math.sin(half))
    return (edge[1] * (along - outer) - edge[0] * across) / math.hypot(*edge)


def _discs(p: Tensor, n: int, centre: float, radius: float) -> Tensor:
    turns = [2 * math.pi * k / n for k in range(n)]
    return torch.stack(
        [(p - centre * p.new_tensor([math.sin(a), -math.cos(a)])).norm(dim=-1) - radius for a in turns]
    ).amin(0)


def _ring(p: Tensor) -> Tensor:
    return (p.norm(dim=-1) - 0.68).abs() - 0.27


def _half_plane(p: Tensor, level: float) -> Tensor:
    return p[..., 1] - level


# Signed distance to the outline of each shape, in units of its size, negative inside; p is (..., 2).
DISTANCE = {
    "circle": lambda p: p.norm(dim=-1) - 0.95,
    "square": lambda p: _box(p, 0.82, 0.82),
    "triangle": lambda p: _points(p, 3, 1.15, 0.575),
    "star": lambda p: _points(p, 5, 1.15, 0.5),
    "cross": lambda p: torch.minimum(_box(p, 0.98, 0.34), _box(p, 0.34, 0.98)),
    "ring": _ring,
    "cross star": lambda p: _points(p, 4, 1.2, 0.42),
    "circle ring": lambda p: torch.maximum(p.norm(dim=-1) - 0.98, 0.82 - (p - p.new_tensor([0.5, 0.0])).norm(dim=-1)),
    "triangle cross": lambda p: torch.maximum(
        p[..., 1].abs() - 0.9, (p[..., 0].abs() - p[..., 1].abs() - 0.1) / 2**0.5
    ),
    "circle triangle": lambda p: _discs(p, 3, 0.55, 0.5),
    "square star": lambda p: _points(p, 8, 1.1, 0.68),
    "ring cross": lambda p: torch.maximum(_ring(p), _half_plane(p, 0.2)),
    "triangle star": lambda p: _points(p, 6, 1.15, 0.62),
}
