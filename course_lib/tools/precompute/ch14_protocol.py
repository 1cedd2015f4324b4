"""The thesis' protocol on the small world, eight times from new starts, with its rivals at equal calls (chapter 14).

A repeat draws everything anew: the maximum set, a second one, the minimum, and each method from the minimum's starts.
24 pictures a set in two groups of twelve, "a blue square", four invented artists, 20 levels, guidance 8. The unit of
every claim is the repeat. The rules, written before any of these runs was made (Student's t over the eight repeats,
one-sided 1 %, paired, d the distance to the maximum set of the same repeat, gap = d(minimum) - d(second maximum)):

* style classifier and rule of thirds, each: d(minimum) - d(set) > 0 in the style embedding; the control is the rule of
  thirds along a fixed direction, the baseline guidance weight 3;
* rule of thirds: the same in the location embedding, said only where the gap itself is shown;
* Langevin and the random network, each: d(set) - d(minimum) > 0 in the default embedding, as in the thesis; the control
  is coupled noise;
* rule of thirds: more places in a group of twelve than the minimum shows; the control is the fixed direction, the
  baseline selection.

Each set has its own file in a folder of the system's temporary one, so an interrupted script goes on. About ten minutes
on one core.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from course_lib.denoisers import Denoiser, interval
from course_lib.features import rule_of_thirds
from course_lib.guidance import flatten, guided, spell, switch
from course_lib.guidance.potentials import Above, Repulsion
from course_lib.metrics import frechet
from course_lib.samplers import sample
from course_lib.seeds import Noise, coupled, select_from_many
from course_lib.stable_diffusion import StableDiffusion
from course_lib.tools.evaluate import methods
from course_lib.tools.evaluate.methods import Watched
from course_lib.tools.evaluate.protocol import PictureSet, Protocol, read
from course_lib.tools.precompute import save
from course_lib.tools.precompute.ch09_gaps import digests
from course_lib.tools.precompute.ch10_features import READ, Reader
from course_lib.tools.precompute.ch12_lora import folder_of, kept

REPEATS, GROUPS, SIZE, PROMPT = 8, 2, 12, "square"
LEVEL, SHARE, RADIUS = 0.5, 0.3, 0.2  # repel above this level, at this share; the shield's quantile of distances
MAXIMUM, FLOOR, MINIMUM = "maximum", "second maximum", "minimum"
KINDS = ("default", "location", "style")
Block = Callable[[StableDiffusion, Protocol, list[int]], tuple[Tensor, Tensor]]


def of_protocol(one: PictureSet) -> Block:
    """A set as `course evaluate` makes it, from given seeds."""

    def made(sd: StableDiffusion, protocol: Protocol, seeds: list[int]) -> tuple[Tensor, Tensor]:
        texts = [protocol.wording(protocol.prompts[PROMPT], one.prompt, i) for i in range(len(seeds))]
        return methods.latents(sd, protocol, one, texts, seeds, SIZE)

    return made


def rival(method: Callable[[Denoiser], Denoiser] = lambda D: D, w=None, noise: Callable = lambda eps: eps, steps=None):
    """A set from the minimum's prompt and starts under another method, weight, noise or number of levels."""

    def made(sd: StableDiffusion, protocol: Protocol, seeds: list[int]) -> tuple[Tensor, Tensor]:
        text = protocol.wording(protocol.prompts[PROMPT], "all", 0)
        sigmas = sd.levels(steps or protocol.steps)
        D = Watched(sd.prompt(text, w=protocol.w if w is None else w, chunk=SIZE), method)
        x = sd.start(noise(Noise(seeds, sd.device, torch.float32).randn(*sd.shape)), sigmas)
        x = sample(D, x, sigmas)
        return x.float() * float((1 + sigmas[-1] ** 2).rsqrt()), D.strength()

    return made


def selected(feature: Callable[[Tensor], Tensor]) -> Block:
    """Twice as many candidates at half the levels, the group's own starts first; kept farthest first in a feature."""

    def made(sd: StableDiffusion, protocol: Protocol, seeds: list[int]) -> tuple[Tensor, Tensor]:
        more = [seed + 500_000 for seed in seeds]
        half = rival(steps=protocol.steps // 2)
        parts = [half(sd, protocol, some) for some in (seeds, more)]
        z = torch.cat([part[0] for part in parts])
        return z[select_from_many(feature(z), len(seeds))], parts[0][1]

    return made


def straight(share: float = SHARE) -> Callable[[Denoiser], Denoiser]:
    """The control: as far as the rule of thirds, but along a direction drawn once for each particle."""

    def potential(x: Tensor, x0: Tensor, sigma: Tensor) -> Tensor:
        phi = rule_of_thirds(x0)
        return (phi * torch.randn(phi.shape, generator=torch.Generator().manual_seed(10)).to(phi)).sum()

    return lambda D: guided(D, Above(LEVEL, potential), relative=share)


def repelled(on: str, alpha: float = 1.0, feature: Callable = rule_of_thirds, relative: float | None = SHARE):
    """Repulsion in a feature, at a share of the score while sigma > LEVEL, or at alpha to the end."""
    potential = Repulsion(alpha, features=feature, on=on)
    return lambda D: guided(D, potential if relative is None else Above(LEVEL, potential), relative=relative)


def shield(radius: float) -> Callable[[Denoiser], Denoiser]:
    """SPELL above LEVEL."""
    return lambda D: switch(LEVEL, spell(D, radius), D)


def sets(protocol: Protocol, radius: float) -> dict[str, Block]:
    """The protocol's own sets, then the control, and the rivals at equal calls."""
    table = {one.name: of_protocol(one) for one in protocol.sets}
    return table | {
        "fixed direction": rival(straight()),
        "Particle Guidance": rival(repelled("x", feature=flatten)),
        "SPELL": rival(shield(radius)),
        "interval": rival(w=interval(protocol.w, 0.28, 5.42)),
        "coupled noise": rival(noise=coupled),
        "selection": selected(rule_of_thirds),
        "weight 3": rival(w=3.0),
    }


def first_seed(name: str, repeat: int) -> int:
    """Minimum and every method share their starts; maximum and second maximum have others; each repeat its own."""
    return 10_000 * repeat + {MAXIMUM: 1_000_000, FLOOR: 2_000_000}.get(name, 0)


def one_set(sd: StableDiffusion, reader: Reader, protocol: Protocol, make: Block, first: int) -> dict[str, Tensor]:
    """Readings (GROUPS, SIZE, 7), three embeddings and the force beside the score, mean over calls and groups."""
    blocks = [make(sd, protocol, list(range(first + SIZE * g, first + SIZE * (g + 1)))) for g in range(GROUPS)]
    readings, embedded = reader(torch.cat([z for z, _ in blocks]))
    strength = torch.stack([shares.mean() for _, shares in blocks]).mean()
    return {"readings": readings.unflatten(0, (GROUPS, SIZE)), "strength": strength} | dict(zip(KINDS, embedded))


def radius_of(sd: StableDiffusion, protocol: Protocol) -> Tensor:
    """The distance below which RADIUS of the pairs of plain finished latents lie, from starts used nowhere else."""
    z, _ = rival()(sd, protocol, list(range(900_000, 900_000 + 2 * SIZE)))
    return torch.pdist(z.flatten(1)).quantile(RADIUS)


def main(repeats: int = REPEATS, folder: Path | None = None) -> None:
    """Distances (sets, repeats, 3), readings (sets, repeats, GROUPS, SIZE, 7), strengths (sets, repeats)."""
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    sd, folder = StableDiffusion.load("tiny", device="cpu"), folder or folder_of(__file__)
    protocol = dataclasses.replace(read("tiny"), group=SIZE)
    reader = Reader(sd)
    radius = float(kept(folder, "radius", lambda: {"radius": radius_of(sd, protocol)})["radius"])
    table = sets(protocol, radius)
    runs = [
        {
            name: kept(folder, f"{r}-{i}", one_set, sd, reader, protocol, make, first_seed(name, r))
            for i, (name, make) in enumerate(table.items())
        }
        for r in range(repeats)
    ]
    distances = [[[frechet(runs[r][n][k], runs[r][MAXIMUM][k]) for k in KINDS] for r in range(repeats)] for n in table]
    save(
        "ch14_protocol",
        {
            "names": list(table),
            "kinds": list(KINDS),
            "read": list(READ),
            "radius": radius,
            "distances": torch.tensor(distances, dtype=torch.float64),
            "readings": torch.stack([torch.stack([run[n]["readings"] for run in runs]) for n in table]).half(),
            "strength": torch.stack([torch.stack([run[n]["strength"] for run in runs]) for n in table]),
            "weights": digests("unet/diffusion_pytorch_model.safetensors", "oracle.safetensors"),
        },
    )


if __name__ == "__main__":
    main()
