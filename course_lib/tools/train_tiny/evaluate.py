"""How good the shipped model is, read by networks that were not optimised by anything they judge."""

import math

import torch
from torch import Tensor, nn

from course_lib import world
from course_lib.samplers import ddim, sample
from course_lib.stable_diffusion import StableDiffusion
from course_lib.tools.train_tiny import data

STEPS = 25


@torch.no_grad()
def drawn(sd: StableDiffusion, lines: list[str], w: float, seed: int, chunk: int = 128) -> Tensor:
    """One picture a line, 25 DDIM steps, -> (lines, 3, 48, 48)."""
    noise = torch.randn(len(lines), 4, 12, 12, generator=torch.Generator().manual_seed(seed)).to(sd.pipe.device)
    sigmas, pictures = sd.levels(STEPS), []
    for i in range(0, len(lines), chunk):
        denoiser = sd.prompt(sd.embed(lines[i : i + chunk]), w=w)
        pictures.append(sd.decode(sample(denoiser, sd.start(noise[i : i + chunk], sigmas), sigmas, step=ddim)))
    return torch.cat(pictures).float()


@torch.no_grad()
def read(oracle: nn.Module, pictures: Tensor) -> dict[str, Tensor]:
    """What an oracle reads in pictures: indices of shape, colour and style, (x, y, size) and the cell of nine."""
    parts = [oracle(part) for part in pictures.split(500)]
    shape, colour, style, place = (torch.cat(column) for column in zip(*parts))
    found = {"shape": shape.argmax(1), "colour": colour.argmax(1), "style": style.argmax(1), "place_xy": place}
    return found | {"place": world.thirds(place[:, 0], place[:, 1])}


def right(lines: list[str], found: dict[str, Tensor], factor: str) -> float:
    """Share of pictures in which the factor that the line names was read."""
    wanted = [world.named(line).get(factor, -1) for line in lines]
    pairs = [(want, int(got)) for want, got in zip(wanted, found[factor]) if want >= 0]
    return sum(want == got for want, got in pairs) / len(pairs)


def spread(indices: Tensor, n: int) -> float:
    """Exponential of the entropy of indices below n: the effective number of values."""
    share = torch.bincount(indices, minlength=n).double() / len(indices)
    return math.exp(-(share[share > 0] * share[share > 0].log()).sum())


def occupied(cells: Tensor, size: int = 8) -> float:
    """Cells of nine that groups of `size` pictures occupy, mean over the groups."""
    return sum(len(group.unique()) for group in cells.split(size)) / math.ceil(len(cells) / size)


def quality(sd: StableDiffusion, oracle: nn.Module, second: nn.Module) -> dict[str, float]:
    """The figures of the model card; both oracles are measured first, on held-out renders."""
    figures = {}
    held_out = world.draw(4000, torch.Generator().manual_seed(99))
    renders = data.floats(data.pictures(held_out))
    for name, reader in (("oracle", oracle), ("oracle2", second)):
        found = read(reader, renders)
        for factor in ("shape", "colour", "style"):
            figures[f"{name} {factor}"] = (found[factor] == getattr(held_out, factor)).double().mean().item()
        away = found["place_xy"][:, :2] - torch.stack([held_out.x, held_out.y], 1)
        figures[f"{name} position error"] = away.norm(dim=1).mean().item()
    pairs = [(s, c) for s in world.HEAD for c in world.COLOURS]
    lines = [world.phrase(*pairs[i % len(pairs)]) for i in range(512)]
    pictures = drawn(sd, lines, w=3.0, seed=0)
    for name, reader in (("", oracle), (", second oracle", second)):
        found = read(reader, pictures)
        figures[f"shape right{name}"] = right(lines, found, "shape")
        figures[f"colour right{name}"] = right(lines, found, "colour")
    free = [world.phrase(world.HEAD[i // 8 % 6], world.COLOURS[i // 48 % 6]) for i in range(512)]
    for w in (1.0, 3.0, 7.5):
        found = read(oracle, drawn(sd, free, w=w, seed=1))
        figures[f"styles of 4, guidance {w:g}"] = spread(found["style"], 4)
        figures[f"thirds of 9 in groups of 8, guidance {w:g}"] = occupied(found["place"])
        figures[f"shape right, guidance {w:g}"] = right(free, found, "shape")
    training = world.long_tail(torch.Generator().manual_seed(3))[: 8 * 512]
    figures["thirds of 9 in groups of 8, training set"] = occupied(world.thirds(training.x, training.y))
    return figures | tail(sd, oracle)


def tail(sd: StableDiffusion, oracle: nn.Module, pictures: int = 96) -> dict[str, float]:
    """Success on the rare shapes, the most frequent first, guidance 3."""
    figures = {}
    for name, count in world.TAIL_COUNTS.items():
        lines = [world.phrase(name, world.COLOURS[i % 6]) for i in range(pictures)]
        figures[f"{name} ({count} pictures)"] = right(lines, read(oracle, drawn(sd, lines, w=3.0, seed=2)), "shape")
    return figures
