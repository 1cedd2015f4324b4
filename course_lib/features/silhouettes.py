"""Reading a shape without a network: the outline of a picture, its overlap with every shape, and its arms."""

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib import world
from course_lib.features.images import checked, finite

CONTRAST = 0.3  # a pixel belongs to the shape when a channel, in [-1, 1], differs from the ground by more
SIZES, ANGLES, WIDE = 5, 5, 64  # of the templates; WIDE leaves room for shapes that leave a picture of 48 pixels


def silhouette(images: Tensor) -> Tensor:
    """What stands out from the ground, holes filled, (N, 3, H, W) in [-1, 1] -> (N, H, W) True or False.

    The ground is the median of the pixels at the edge. What cannot be reached from the edge over ground is filled, so
    that an outlined shape and a flat one have the same silhouette; an outline with a gap stays open. Raises ValueError
    for what is no finite picture in [-1, 1].
    """
    images = checked(images, "silhouette")
    edge = torch.cat([images[..., 0, :], images[..., -1, :], images[..., :, 0], images[..., :, -1]], -1)
    ground = edge.median(-1).values[..., None, None]
    free = ((images - ground).abs().amax(1) <= CONTRAST)[:, None]
    outside = torch.zeros_like(free)
    outside[..., 0, :] = outside[..., -1, :] = outside[..., :, 0] = outside[..., :, -1] = True
    outside &= free
    cross = images.new_tensor([[0, 1, 0], [1, 1, 1], [0, 1, 0]])[None, None]
    while True:
        grown = (F.conv2d(outside.to(images.dtype), cross, padding=1) > 0) & free
        if torch.equal(grown, outside):
            return ~outside[:, 0]
        outside = grown


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of masks (11.1), (..., H, W) True or False -> (...); 0 where both are empty."""
    a, b = a.bool(), b.bool()
    return (a & b).sum((-2, -1)) / (a | b).sum((-2, -1)).clamp(min=1)


@cache
def _templates(width: int) -> tuple[Tensor, Tensor]:
    """Spectra of all shapes at SIZES and ANGLES, and their area inside the picture at each shift, (K, WIDE, WIDE)."""
    low, high = world.RANGES["size"]
    sizes, angles = torch.linspace(0.9 * low, 1.05 * high, SIZES), torch.linspace(*world.RANGES["angle"], ANGLES)
    each = torch.cartesian_prod(torch.arange(len(world.SHAPES)).float(), sizes, angles)
    half, zero = torch.full((len(each),), 0.5), torch.zeros(len(each))
    shape = each[:, 0].long()
    factors = world.Factors(shape, 0 * shape, 0 * shape, half, half, each[:, 1], each[:, 2], zero)
    masks = (world.distance(factors, width)[0] < 0).float()
    spectra = torch.fft.rfft2(masks, s=(WIDE, WIDE)).conj()
    return spectra, _correlation(torch.ones(1, width, width), spectra)[0].clamp(min=1)


def _correlation(masks: Tensor, spectra: Tensor) -> Tensor:
    """Pixels in common at every shift of every template, (N, h, w), (K, ...) -> (N, K, WIDE, WIDE)."""
    return torch.fft.irfft2(torch.fft.rfft2(masks, s=(WIDE, WIDE))[:, None] * spectra, s=(WIDE, WIDE))


@torch.no_grad()
def overlap(images: Tensor, chunk: int = 4) -> Tensor:
    """The largest overlap (11.1) of a picture's silhouette with each shape, over place, size and angle, (N, shapes).

    Pictures (N, 3, H, W) in [-1, 1]. No network is asked: an overlap near 1 says that the picture shows that outline, a
    low one for all shapes that it shows none of them. It does not see holes: a ring is a circle for it. The answer lies
    where the pictures do. Raises ValueError for what is no finite picture in [-1, 1].
    """
    spectra, inside = (kept.to(images.device) for kept in _templates(images.shape[-1]))
    best = []
    for masks in silhouette(images).float().split(chunk):
        common = _correlation(masks, spectra)
        area = masks.sum((1, 2))[:, None, None, None]
        share = (common / (area + inside - common).clamp(min=1)).amax((2, 3))  # (n, K)
        best.append(share.unflatten(1, (len(world.SHAPES), -1)).amax(2))
    return torch.cat(best)


def profile(masks: Tensor, angles: int = 72, reach: float = 0.45) -> Tensor:
    """How far a silhouette reaches from its centre, by direction, as a share of the width, (N, H, W) -> (N, angles).

    The centre is the mean of its pixels; a silhouette without pixels reaches 0. Raises ValueError for masks that are
    not (N, H, W) or not finite.
    """
    if masks.ndim != 3:
        raise ValueError(f"profile: masks have shape (N, H, W), got {tuple(masks.shape)}.")
    finite("these masks", masks, "profile")
    masks, to = masks.float(), {"device": masks.device}
    H, W = masks.shape[1:]
    total = masks.sum((1, 2)).clamp(min=1)
    x = (masks.sum(1) * (torch.arange(W, **to) + 0.5)).sum(1) / total
    y = (masks.sum(2) * (torch.arange(H, **to) + 0.5)).sum(1) / total
    turn = 2 * math.pi * torch.arange(angles, **to) / angles
    radius = torch.linspace(0, reach * W, 4 * int(reach * W), **to)
    at_x = x[:, None, None] + radius * turn.sin()[:, None]  # (N, angles, radii)
    at_y = y[:, None, None] - radius * turn.cos()[:, None]
    grid = torch.stack([2 * at_x / W - 1, 2 * at_y / H - 1], -1)
    hit = F.grid_sample(masks[:, None], grid, align_corners=False)[:, 0] > 0.5
    return (hit * radius).amax(2) / W


def arms(reach: Tensor, most: int = 12) -> Tensor:
    """The number of arms: the strongest harmonic of a radial profile from 2 to `most` (11.2), (N, A) -> (N,).

    Raises ValueError for a profile that is not finite.
    """
    finite("these profiles", reach, "arms")
    return torch.fft.rfft(reach, dim=1).abs()[:, 2 : most + 1].argmax(1) + 2
