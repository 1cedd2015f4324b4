"""Repulsion in the rule of thirds over a grid of settings, on the shipped model and on one that centres things.

48 cells: the force's form (that share of the score, or a cap at it), the share, the level above which it acts, and the
bandwidth (median rule, or a quarter of it), each on the same twelve groups of eight of one prompt. The rule, written
before any cell was run: of the cells whose legible share is at most 3 points below that of independent pictures, and in
which at most one centre in twenty lies where the world puts none, the six with the most places are drawn again on 24
groups of new starts, with independent pictures and a fixed direction beside them. Only these are claimed of: paired,
by group, against independent pictures and against the same pictures among strangers. (The capped cells of the first
run, at alpha = 100, never reached a cap, so they were drawn again at the thesis' 1000.)

The location column is tested too: distances of the confirmation sets to a maximum set, which are as many independent
pictures of the shipped model, whose things lie all over; the floor is a second such set. Claimed: the set of the
setting that led the grid closes more than 14 % of the gap between independent pictures and the
floor. The fixed direction has the share and the level of that setting.

The shipped model was added later, by the same rule, written before any of its cells was run: cells, groups, starts and
choice are the same, and claimed is that the setting which leads its own grid adds places on the 24 groups drawn
afterwards, paired by group, against independent pictures. It leaves no gap in location, so nothing is claimed of that.

Every set has a file of its own, so that an interrupted script goes on. About 35 minutes on one core for each model;
two processes may share it (`main(part, parts)`).
"""

import itertools
from pathlib import Path

import torch
from torch import Tensor

from course_lib import metrics, world
from course_lib.features import rule_of_thirds
from course_lib.guidance import Above, Groups, Repulsion, guided, median_bandwidth, rbf
from course_lib.metrics import frechet, squared_distances
from course_lib.stable_diffusion import StableDiffusion
from course_lib.tools.precompute import folder_of, kept, save
from course_lib.tools.precompute.ch09_gaps import digests
from course_lib.tools.precompute.ch10_features import PROMPTS, READ, SIZE, Method, Reader, latents
from course_lib.tools.precompute.tiny_centred import FILE
from course_lib.training import add_deltas, load_lora

MODELS, PROMPT, GROUPS, AGAIN, BEST = ("shipped", "centred"), PROMPTS[0], 12, 24, 6
FORMS, SHARES, LEVELS, WIDTHS = ("relative", "clip"), (0.1, 0.3, 0.6, 1.0), (0.5, 1.0, 3.0), (1.0, 0.25)
CELLS = tuple(itertools.product(FORMS, SHARES, LEVELS, WIDTHS))
ALPHA = 1000.0  # of the capped form, as in the thesis; the other form does not feel it
LEGIBLE, OUTSIDE = 0.03, 0.05
START, START_AGAIN, START_MOST, START_FLOOR = 0, 8000, 9000, 9500


def cell(form: str, share: float, level: float, width: float) -> Method:
    """Repulsion of one setting within groups of SIZE."""

    def kernel(phi: Tensor, h: Tensor | None = None) -> Tensor:
        return rbf(phi, width * median_bandwidth(squared_distances(phi)))

    force = Groups(SIZE, Above(level, Repulsion(ALPHA, kernel, rule_of_thirds, "x0")))
    return lambda D: guided(D, force, **{form: share})


def straight(share: float, level: float) -> Method:
    """The control: as far as a relative force goes, along a direction of the feature drawn once for each particle."""

    def potential(x: Tensor, x0: Tensor, sigma: Tensor) -> Tensor:
        phi = rule_of_thirds(x0)
        return (phi * torch.randn(phi.shape, generator=torch.Generator().manual_seed(10)).to(phi)).sum()

    return lambda D: guided(D, Above(level, potential), relative=share)


def model(name: str) -> StableDiffusion:
    """The shipped model, with its adapter or without."""
    sd = StableDiffusion.load("tiny", device="cpu")
    if name == "centred":
        add_deltas(sd.pipe.unet, load_lora(sd.pipe.unet, FILE))
    return sd


def drawn(sd: StableDiffusion, reader: Reader, method: Method, first: int, groups: int) -> dict[str, Tensor]:
    """Readings (groups, SIZE, 7) and the location embedding of groups * SIZE pictures."""
    read, (_, location, _) = reader(latents(sd, PROMPT, method, range(first, first + groups * SIZE)))
    return {"read": read.unflatten(0, (groups, SIZE)), "location": location}


def places(read: Tensor) -> Tensor:
    """Places of nine in each group, (.., 7) -> (groups,)."""
    return 9 * metrics.factor_coverage(world.thirds(read[..., 3], read[..., 4]), 9)


def legible(read: Tensor) -> Tensor:
    """Whether both oracles read what the prompt names."""
    due = world.named(PROMPT)
    right = (read[..., 0] == due["shape"]) & (read[..., 5] == due["shape"])
    return right & (read[..., 1] == due["colour"]) & (read[..., 6] == due["colour"])


def outside(read: Tensor) -> Tensor:
    """Whether a centre lies where the world puts none."""
    return ((read[..., 3:5] - 0.5).abs() > 0.34).any(-1)


def chosen(grid: list[Tensor], plain: Tensor) -> list[int]:
    """The cells that are drawn again, by the rule above."""
    least = legible(plain).double().mean() - LEGIBLE
    good = [
        i
        for i, one in enumerate(grid)
        if legible(one).double().mean() >= least and outside(one).double().mean() <= OUTSIDE
    ]
    return sorted(good, key=lambda i: -places(grid[i]).mean())[:BEST]


def distances(found: Tensor, maximum: Tensor) -> list[float]:
    """The Frechet distance of a whole set, and without each of its groups in turn."""
    rest = [torch.cat([found[:i], found[i + SIZE :]]) for i in range(0, len(found), SIZE)]
    return [float(frechet(one, maximum)) for one in (found, *rest)]


@torch.no_grad()
def of_model(name: str, folder: Path, part: int, parts: int, groups: int, again: int) -> dict[str, object] | None:
    """All of one model's sets; None where another part has sets to draw that are not there yet."""
    sd, plain = model(name), lambda D: D
    reader = Reader(sd)

    def one(label: str, method: Method, first: int, n: int) -> dict[str, Tensor]:
        return kept(folder, f"{name} {label}", drawn, sd, reader, method, first, n)

    own = [i for i in range(len(CELLS)) if i % parts == part]
    for i in own:
        one(f"cell {i}", cell(*CELLS[i]), START, groups)
    if len(list(folder.glob(f"{name} cell *.pt"))) < len(CELLS):
        return None
    first = one("plain", plain, START, groups)["read"]
    grid = [one(f"cell {i}", cell(*CELLS[i]), START, groups)["read"] for i in range(len(CELLS))]
    best = chosen(grid, first)
    sets = {"plain": plain, "fixed direction": straight(*CELLS[best[0] if best else 0][1:3])}
    sets |= {f"{i}": cell(*CELLS[i]) for i in best}
    confirmed = {label: one(f"again {label}", method, START_AGAIN, again) for label, method in sets.items()}
    shipped = model("tiny")
    most, floor = (
        kept(folder, label, drawn, shipped, reader, plain, start, again)["location"]
        for label, start in (("most", START_MOST), ("floor", START_FLOOR))
    )
    return {
        f"{name}_grid": torch.stack(grid).half(),
        f"{name}_plain": first.half(),
        f"{name}_best": best,
        f"{name}_again": torch.stack([each["read"] for each in confirmed.values()]).half(),
        f"{name}_location": [distances(each["location"], most) for each in confirmed.values()],
        f"{name}_floor": distances(floor, most),
    }


def main(part: int = 0, parts: int = 1, groups: int = GROUPS, again: int = AGAIN) -> None:
    """Readings of the grid (48, groups, SIZE, 7) and of what was drawn again (8, 24, SIZE, 7), and location."""
    torch.set_num_threads(1)
    folder, results = folder_of(__file__), {"cells": [list(map(str, one)) for one in CELLS], "read": list(READ)}
    results["weights"] = digests("unet/diffusion_pytorch_model.safetensors", FILE.name)
    for name in MODELS:
        found = of_model(name, folder, part, parts, groups, again)
        if found is None:
            print(f"{name}: another part is not done; run this once more.")
            return
        results |= found
    save("ch10_grid", results | {"models": MODELS})


if __name__ == "__main__":
    main()
