"""What pictures show, read by two networks and by the renderer, and the three numbers of a group."""

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from course_lib import world
from course_lib.features import Oracle

FAR = 0.25  # root mean square from the nearest rendering, in [-1, 1]: beyond it a picture is none of the world's
KINDS = {"shape": len(world.HEAD), "colour": len(world.COLOURS), "style": len(world.STYLES), "place": 9}


class Judged(NamedTuple):
    """What N pictures show: `fits`, all that the prompt names is right; `clean`, near a rendering; the four factors."""

    fits: Tensor  # (N,) bool
    clean: Tensor
    kinds: dict[str, Tensor]  # each (N,)


@dataclass(frozen=True)
class Judge:
    """Reads pictures with two networks trained apart and with the renderer itself, which no noise deceives."""

    first: Oracle = field(default_factory=Oracle)
    second: Oracle = field(default_factory=lambda: Oracle(second=True))

    def __call__(self, images: Tensor, prompt: str) -> Judged:
        """Pictures (N, 3, 48, 48) in [-1, 1] -> Judged; raises ValueError for what is no finite picture.

        fits: both networks read every factor that the prompt names as it names it. clean: the networks agree on shape,
        colour and style, the nearest rendering (16.2) has that style and is no farther than FAR. The place is that of
        the nearest rendering.
        """
        one, two = (oracle(images, batch=32).cpu() for oracle in (self.first, self.second))
        distance, x, y = renderings(images.cpu(), one)
        best, style = distance.min(0)
        place = world.thirds(x, y).gather(0, style[None])[0]
        agree = (one.shape == two.shape) & (one.colour == two.colour) & (one.style == two.style)
        clean = agree & (style == one.style) & (best <= FAR)
        fits = torch.ones(len(images), dtype=torch.bool)
        for name, due in world.named(prompt).items():
            read = [place] if name == "place" else [getattr(one, name), getattr(two, name)]
            fits &= torch.stack([column == due for column in read]).all(0)
        return Judged(fits, clean, {"shape": one.shape, "colour": one.colour, "style": one.style, "place": place})


def renderings(images: Tensor, read, steps: int = 30, rate: float = 0.03) -> tuple[Tensor, Tensor, Tensor]:
    """Distance of pictures to the nearest rendering in each style (16.2), and its centre, (N, 3, W, W) -> (4, N) each.

    Shape and colour are as read; place, size, angle and grey are fitted by `steps` steps of Adam at a rate in widths.
    """
    N, styles = len(images), len(world.STYLES)
    grey = 0.5 * (images[:, :, 0].mean((1, 2)) + 1)
    start = torch.stack([read.x, read.y, read.size, torch.zeros(N), grey]).repeat(1, styles)
    style = torch.arange(styles).repeat_interleave(N)
    discrete = (read.shape.repeat(styles), read.colour.repeat(styles), style)
    with torch.enable_grad():
        fitted = start.detach().clone().requires_grad_()
        descent = torch.optim.Adam([fitted], rate)
        for _ in range(steps):
            error = world.render(world.Factors(*discrete, *fitted), images.shape[-1]) - images.repeat(styles, 1, 1, 1)
            distance = error.square().mean((1, 2, 3))
            descent.zero_grad()
            distance.sum().backward()
            x, y = (one.detach().clone() for one in fitted[:2])
            descent.step()
    return tuple(one.detach().reshape(styles, N) for one in (distance.sqrt(), x, y))


def spread(seen: Judged, prompt: str) -> float:
    """Share of what N pictures could show of the factors that the prompt leaves open (16.3), from 0 to 1.

    Only pictures that fit and are clean count: noise, strangers and torn pictures show nothing.
    """
    good = seen.fits & seen.clean
    if not good.any():
        return 0.0
    due = world.named(prompt)
    shares = [
        len(values[good].unique()) / min(len(values), KINDS[name])
        for name, values in seen.kinds.items()
        if name not in due
    ]
    return sum(shares) / len(shares) if shares else 0.0


def scores(seen: Judged, prompt: str) -> Tensor:
    """Spread, fit and quality of one group, -> (3,) float64, each from 0 to 1."""
    numbers = [spread(seen, prompt), float(seen.fits.double().mean()), float(seen.clean.double().mean())]
    return torch.tensor(numbers, dtype=torch.float64)
