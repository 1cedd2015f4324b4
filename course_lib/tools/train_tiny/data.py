"""Pictures, captions and latents that the parts are trained on."""

import torch
from torch import Tensor

from course_lib import world


def balanced(n: int, seed: int) -> tuple[world.Factors, Tensor]:
    """n pictures of the balanced world with their factors, as bytes (N, 3, 48, 48)."""
    factors = world.draw(n, torch.Generator().manual_seed(seed))
    return factors, pictures(factors)


def pictures(factors: world.Factors) -> Tensor:
    """Rendered pictures as bytes, a thousand at a time."""
    chunks = [factors[i : i + 1000] for i in range(0, len(factors), 1000)]
    return torch.cat([((world.render(chunk) + 1) * 127.5).round().to(torch.uint8) for chunk in chunks])


def floats(images: Tensor, device="cpu") -> Tensor:
    """Bytes to numbers in [-1, 1]."""
    return images.to(device).float() / 127.5 - 1


def pick(n: int, batch: int, g: torch.Generator) -> Tensor:
    """A batch of indices below n."""
    return torch.randint(n, (batch,), generator=g)


def true_of(lines: list[str], factors: world.Factors) -> Tensor:
    """Which caption is true of which picture, (captions, pictures) of 0 and 1."""
    cell = world.thirds(factors.x, factors.y)
    own = {"shape": factors.shape, "colour": factors.colour, "style": factors.style, "place": cell}
    rows = []
    for line in lines:
        row = torch.ones(len(factors), dtype=torch.bool)
        for name, value in world.named(line).items():
            row &= own[name] == value
        rows.append(row)
    return torch.stack(rows).float()
