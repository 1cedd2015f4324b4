"""Features of latents, (N, C, H, W) -> (N, d): what a repulsive force looks at. All are differentiable.

The raw latent, flattened, is `guidance.flatten`.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.devices import handed

Feature = Callable[[Tensor], Tensor]


class Decoder(Protocol):
    """What `decoded` needs of a text-to-image model: `StableDiffusion` has it."""

    def decode(self, latents: Tensor) -> Tensor: ...


def channel_mean(z: Tensor) -> Tensor:
    """Mean over all positions, one number a channel: it sees overall colour and is blind to place.

    (N, C, H, W) -> (N, C). Source: Pondaven (2023), "channel average".
    """
    return z.mean((2, 3))


def rule_of_thirds(z: Tensor) -> Tensor:
    """The thesis' rule of thirds: how much neighbouring thirds differ in their means, per channel.

    Upper minus middle and middle minus lower third of the rows, then the same of the columns, left to right; 0 where
    nothing varies from place to place. A third is H // 3 rows, counted from the nearer edge. (N, C, H, W) -> (N, 4 C).
    Raises ValueError for a map of fewer than three rows or columns. Source: Pondaven (2023).
    """
    if z.ndim != 4 or min(z.shape[2:]) < 3:
        raise ValueError(f"rule_of_thirds: needs (N, C, H, W) with H and W at least 3, got {tuple(z.shape)}.")
    return torch.cat([_neighbours(z.mean(3)), _neighbours(z.mean(2))], 1).flatten(1)


def _neighbours(line: Tensor) -> Tensor:
    """First minus second third from the front, then last but one minus last from the back, (N, C, L) -> (N, 2, C)."""
    L = line.shape[2]
    t = L // 3
    front = line[..., :t].mean(2) - line[..., t : 2 * t].mean(2)
    back = line[..., L - 2 * t : L - t].mean(2) - line[..., L - t :].mean(2)
    return torch.stack([front, back], 1)


def cell_means(z: Tensor, cells: int) -> Tensor:
    """Mean of each cell of a grid of cells x cells, row first, (N, C, H, W) -> (N, C cells**2).

    Cells overlap by a row or column where the map does not divide. Raises ValueError for a map smaller than the grid.
    """
    if z.ndim != 4 or not 1 <= cells <= min(z.shape[2:]):
        raise ValueError(
            f"cell_means: needs (N, C, H, W) with 1 <= cells <= H, W; got {tuple(z.shape)}, {cells} cells."
        )
    return F.adaptive_avg_pool2d(z, cells).flatten(1)


def thirds_mean(z: Tensor) -> Tensor:
    """Means of the nine cells of a 3 x 3 grid: place and overall colour, (N, C, H, W) -> (N, 9 C)."""
    return cell_means(z, 3)


def upper_triangle(matrix: Tensor) -> Tensor:
    """The entries on and above the diagonal, row first, (N, C, C) -> (N, C (C + 1) / 2)."""
    i, j = torch.triu_indices(matrix.shape[1], matrix.shape[2], device=matrix.device)
    return matrix[:, i, j]


class RandomCNN:
    """A convolutional network with random weights, by default 4-8-8-8-16-16-16 on maps of 64 x 64.

    Convolutions of stride 2 and ReLU halve the map until it is 2 x 2 or smaller, then one convolution of the whole map
    gives d numbers; the last of `widths` is used again where a larger map needs more layers. Weights and biases are
    uniform in +-1 / sqrt(inputs of a unit), drawn from `seed`, the same on every call. (N, C, H, W) -> (N, d).
    Source: Pondaven (2023); the thesis draws the weights anew at every step, which is `redrawn`.
    """

    def __init__(self, seed: int, d: int = 16, widths: tuple[int, ...] = (8, 8, 8, 16, 16)):
        if d < 1 or not widths or min(widths) < 1:
            raise ValueError(f"RandomCNN: d and widths must be at least 1, got d = {d}, widths = {widths}.")
        self.seed, self.d, self.widths = seed, d, widths
        self._going_on = None

    def redrawn(self) -> "RandomCNN":
        """The same network with new weights at every call, that is at every level of a run; the first as here.

        Ask for a fresh one per run: it goes on where the last call stopped.
        """
        other = RandomCNN(self.seed, self.d, self.widths)
        other._going_on = np.random.default_rng(self.seed)
        return other

    def __call__(self, z: Tensor) -> Tensor:
        # numpy draws: torch.vmap, which runs many sets of particles at once, allows no random numbers of torch's
        rng = self._going_on or np.random.default_rng(self.seed)
        layer = 0
        while max(z.shape[2:]) > 2:
            z = F.relu(self._convolution(z, self.widths[min(layer, len(self.widths) - 1)], (3, 3), rng, 2, 1))
            layer += 1
        return self._convolution(z, self.d, tuple(z.shape[2:]), rng, 1, 0).flatten(1)

    def _convolution(self, z: Tensor, width: int, kernel: tuple[int, int], rng, stride: int, padding: int) -> Tensor:
        bound = (z.shape[1] * kernel[0] * kernel[1]) ** -0.5
        weight, bias = (rng.uniform(-bound, bound, size) for size in ((width, z.shape[1], *kernel), (width,)))
        to = {"dtype": z.dtype, "device": z.device}
        return F.conv2d(z, torch.as_tensor(weight, **to), torch.as_tensor(bias, **to), stride, padding)


class StyleClassifier:
    """Features of a style classifier that was trained on latents: what it looks at before it decides.

    network.features maps (N, C, H, W) -> (N, K, h, w); `load_network("style")` is one. Called, it gives their means
    over positions, where the network is, (N, C, H, W) -> (N, K). Source: Pondaven (2023), "style classifier".
    """

    def __init__(self, network: nn.Module):
        self.network = network

    def _map(self, z: Tensor) -> Tensor:
        return self.network.features(handed(z, self.network))

    def __call__(self, z: Tensor) -> Tensor:
        return channel_mean(self._map(z)).to(z.dtype)

    def thirds(self, z: Tensor) -> Tensor:
        """The rule of thirds on the classifier's map: style and place, (N, C, H, W) -> (N, 4 K)."""
        return rule_of_thirds(self._map(z)).to(z.dtype)


def decoded(sd: Decoder, feature: Feature) -> Feature:
    """Decode, then embed: a feature of pictures as a feature of latents, z -> feature(sd.decode(z)).

    Gradients pass through the decoder, whose memory they cost.
    """
    return lambda z: feature(sd.decode(z))
