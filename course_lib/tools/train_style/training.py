"""The loss of a style classifier at every noise level, and how often it is right at some."""

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.features.networks import LevelStyleNetwork
from course_lib.tools.train_style.latents import Styled
from course_lib.tools.train_tiny import data
from course_lib.tools.train_tiny.loop import fit

LEVELS = (0.03, 15.0)  # drawn evenly in log sigma
READ_AT = (0.0, 0.1, 0.5, 1.0, 2.0, 4.0, 8.0)


def train(styled: Styled, steps: int, folder: Path, device: str | torch.device, batch: int = 64) -> nn.Module:
    """Cross-entropy of the style of x0 + sigma eps, sigma drawn anew for each latent; resumable, weights averaged."""
    torch.manual_seed(8)
    model = LevelStyleNetwork(len(styled.styles), styled.latents.shape[1]).to(device)
    low, high = (math.log(level) for level in LEVELS)

    def loss(step: int, g: torch.Generator) -> Tensor:
        index = data.pick(len(styled.latents), batch, g)
        sigma = (low + (high - low) * torch.rand(batch, generator=g)).exp()
        x0 = styled.latents[index]
        x = x0 + sigma.reshape(-1, 1, 1, 1) * torch.randn(x0.shape, generator=g)
        return F.cross_entropy(model(x.to(device), sigma.to(device)), styled.style[index].to(device))

    return fit("style_levels", model, loss, steps, folder, lr=3e-3, average=0.998)


@torch.no_grad()
def accuracy(model: nn.Module, latents: Tensor, style: Tensor, batch: int = 500) -> dict[float, float]:
    """Share of noisy latents whose style it names, at the levels of READ_AT, always with the same noise."""
    device = next(model.parameters()).device
    eps = torch.randn(latents.shape, generator=torch.Generator().manual_seed(5))
    right = {}
    for sigma in READ_AT:
        parts = (latents + sigma * eps).split(batch)
        told = torch.cat([model(part.to(device), sigma).argmax(1).cpu() for part in parts])
        right[sigma] = float((told == style).double().mean())
    return right
