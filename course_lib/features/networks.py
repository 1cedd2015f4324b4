"""The small networks that read the world's pictures and latents; their weights are shipped in course_lib/tiny."""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from course_lib.devices import handed
from course_lib.world import COLOURS, SHAPES, STYLES


def _layer(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class FactorNetwork(nn.Module):
    """Reads the factors of a picture: five convolutions, then one linear head for all factors.

    forward (N, 3, 48, 48) in [-1, 1] -> logits of shape, colour, style (N, 13), (N, 6), (N, 4) and (x, y, size) (N, 3).
    """

    def __init__(self, widths: tuple[int, ...] = (24, 48, 64, 96, 128), kernel: int = 3):
        super().__init__()
        strides = (1, 2, 2, 2, 2)
        self.layers = nn.Sequential(
            *(_layer(a, b, kernel, s) for a, b, s in zip((3, *widths), widths, strides)), nn.Flatten()
        )
        self.sizes = (len(SHAPES), len(COLOURS), len(STYLES), 3)
        self.head = nn.Linear(widths[-1] * 9, sum(self.sizes))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return self.head(self.layers(handed(images, self))).split(self.sizes, dim=1)


class EmbeddingNetwork(nn.Module):
    """The world's stand-in for Inception: convolutions and pooling, trained to name shape, colour and style.

    blocks (N, 3, 48, 48) in [-1, 1] -> first block (N, 32, 24, 24), second block (N, 64, 12, 12), pooled (N, 128).
    """

    def __init__(self):
        super().__init__()
        pool = nn.MaxPool2d(2)
        self.block0 = nn.Sequential(_layer(3, 32), _layer(32, 32), pool)
        self.block1 = nn.Sequential(_layer(32, 64), _layer(64, 64), pool)
        self.block2 = nn.Sequential(_layer(64, 96), _layer(96, 96), pool)
        self.block3 = nn.Sequential(_layer(96, 128), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.sizes = (len(SHAPES), len(COLOURS), len(STYLES))
        self.head = nn.Linear(128, sum(self.sizes))

    def blocks(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        first = self.block0(handed(images, self))
        second = self.block1(first)
        return first, second, self.block3(self.block2(second))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return self.head(self.blocks(images)[-1]).split(self.sizes, dim=1)


class StyleNetwork(nn.Module):
    """Names the style (the artist) of a latent; `features` is what a repulsive force may look at.

    features (N, 4, 12, 12) -> (N, 32, 12, 12); forward -> logits (N, 4).
    """

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            OrderedDict(
                first=_layer(4, 48), second=_layer(48, 48), third=_layer(48, 48), last=nn.Conv2d(48, 32, 3, 1, 1)
            )
        )
        self.head = nn.Linear(32, len(STYLES))

    def features(self, latents: Tensor) -> Tensor:
        return torch.relu(self.layers(handed(latents, self)))

    def forward(self, latents: Tensor) -> Tensor:
        return self.head(self.features(latents).mean((2, 3)))


class LevelStyleNetwork(nn.Module):
    """Names the style (the artist) of a noisy latent x0 + sigma eps of any size, told the noise level sigma.

    The input is scaled to variance 1 as in (2.4); log sigma sets the gain and offset of each layer's channels.
    features (N, C, H, W) and sigma, one or (N,), -> (N, 96, H / 2, W / 2); forward -> logits (N, styles). Levels below
    0.03, clean latents among them, are read as 0.03.
    """

    LOWEST = 0.03

    def __init__(self, styles: int = len(STYLES), channels: int = 4, widths: tuple[int, ...] = (64, 64, 96, 96)):
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, 3, 2 if k == 2 else 1, 1, bias=False)
            for k, (a, b) in enumerate(zip((channels, *widths), widths))
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(width, affine=False) for width in widths)
        self.level = nn.Sequential(nn.Linear(1, 64), nn.SiLU(), nn.Linear(64, 2 * sum(widths)))
        self.head = nn.Linear(widths[-1], styles)
        self.widths = widths

    def features(self, latents: Tensor, sigma: Tensor | float) -> Tensor:
        latents = handed(latents, self)
        level = torch.as_tensor(sigma, dtype=torch.float32, device=latents.device).reshape(-1, 1, 1, 1)
        level = level.expand(len(latents), 1, 1, 1).clamp(min=self.LOWEST).to(latents.dtype)
        told = self.level(level.log().flatten(1))[..., None, None]  # (N, 2 * sum of widths, 1, 1)
        gains, offsets = (part.split(self.widths, dim=1) for part in told.chunk(2, dim=1))
        z = latents / (1 + level**2).sqrt()
        for convolution, norm, gain, offset in zip(self.convolutions, self.norms, gains, offsets):
            z = torch.relu((1 + gain) * norm(convolution(z)) + offset)
        return z

    def forward(self, latents: Tensor, sigma: Tensor | float) -> Tensor:
        return self.head(self.features(latents, sigma).mean((2, 3)))


BUILD = {
    "oracle": FactorNetwork,
    "oracle2": lambda: FactorNetwork((32, 40, 56, 80, 112), kernel=5),  # trained apart: another build, other pictures
    "style": StyleNetwork,
    "style_levels": LevelStyleNetwork,
    "embedding": EmbeddingNetwork,
}


def build(name: str) -> nn.Module:
    """An untrained network of one of the names in BUILD."""
    if name not in BUILD:
        raise ValueError(f"networks: needs one of {', '.join(BUILD)}, got {name!r}.")
    return BUILD[name]()
