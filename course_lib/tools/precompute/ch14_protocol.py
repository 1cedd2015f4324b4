"""The thesis' protocol on the small world, eight times from new starts, and two runs beside it (chapter 14).

A repeat draws everything anew: the maximum set, a second one, the minimum, and each method from the minimum's starts.
24 pictures a set in two groups of twelve, "a blue square", four invented artists, 20 levels, guidance 8. The unit of
every claim is the repeat. The rules, written before any of these runs was made (Student's t over the eight repeats,
one-sided 1 %, paired, d the distance to the maximum set of the same repeat, gap = d(minimum) - d(second maximum)):

* style classifier and rule of thirds, each: d(minimum) - d(set) > 0 in the style embedding; the control is the rule of
  thirds along a fixed direction, the baseline guidance weight 3;
* rule of thirds: the same in the location embedding, said only where the gap itself is shown;
* Langevin and the random network, each: d(set) - d(minimum) > 0 in the default embedding, as in the thesis; the control
  is guidance weight 3;
* rule of thirds: more places in a group of twelve than the minimum shows; the control is the fixed direction, the
  baseline weight 3.

What the rivals do at equal calls stands in ch10_frontier.

Each set has its own file in a folder of the system's temporary one, so an interrupted script goes on. About ten minutes
on one core.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from course_lib.denoisers import Denoiser
from course_lib.features import rule_of_thirds
from course_lib.guidance import Above, guided
from course_lib.metrics import frechet
from course_lib.samplers import sample
from course_lib.seeds import Noise
from course_lib.stable_diffusion import StableDiffusion
from course_lib.tools.evaluate import methods
from course_lib.tools.evaluate.methods import Watched
from course_lib.tools.evaluate.protocol import PictureSet, Protocol, read
from course_lib.tools.precompute import folder_of, kept, save
from course_lib.tools.precompute.ch09_gaps import digests
from course_lib.tools.precompute.ch10_features import READ, Reader

REPEATS, GROUPS, SIZE, PROMPT = 8, 2, 12, "square"
LEVEL, SHARE = 0.5, 0.3  # the fixed direction acts above this level, at this share of the score
MAXIMUM, FLOOR, MINIMUM = "maximum", "second maximum", "minimum"
KINDS = ("default", "location", "style")
Block = Callable[[StableDiffusion, Protocol, list[int]], tuple[Tensor, Tensor]]


def of_protocol(one: PictureSet) -> Block:
    """A set as `course evaluate` makes it, from given seeds."""

    def made(sd: StableDiffusion, protocol: Protocol, seeds: list[int]) -> tuple[Tensor, Tensor]:
        texts = [protocol.wording(protocol.prompts[PROMPT], one.prompt, i) for i in range(len(seeds))]
        return methods.latents(sd, protocol, one, texts, seeds, SIZE)

    return made


def lowered(method: Callable[[Denoiser], Denoiser] = lambda D: D, w: float | None = None) -> Block:
    """A set from the minimum's prompt and starts under another method or weight."""

    def made(sd: StableDiffusion, protocol: Protocol, seeds: list[int]) -> tuple[Tensor, Tensor]:
        text, sigmas = protocol.wording(protocol.prompts[PROMPT], "all", 0), methods.levels(sd, protocol)
        D = Watched(sd.prompt(text, w=protocol.w if w is None else w, chunk=SIZE), method)
        x = sample(D, sd.start(Noise(seeds, sd.device, torch.float32).randn(*sd.shape), sigmas), sigmas)
        return x.float() * float((1 + sigmas[-1] ** 2).rsqrt()), D.strength()

    return made


def straight(share: float = SHARE) -> Callable[[Denoiser], Denoiser]:
    """The control: as far as the rule of thirds, but along a direction drawn once for each particle."""

    def potential(x: Tensor, x0: Tensor, sigma: Tensor) -> Tensor:
        phi = rule_of_thirds(x0)
        return (phi * torch.randn(phi.shape, generator=torch.Generator().manual_seed(10)).to(phi)).sum()

    return lambda D: guided(D, Above(LEVEL, potential), relative=share)


def sets(protocol: Protocol) -> dict[str, Block]:
    """The protocol's own sets, the control, and a lower guidance weight."""
    table = {one.name: of_protocol(one) for one in protocol.sets}
    return table | {"fixed direction": lowered(straight()), "weight 3": lowered(w=3.0)}


def first_seed(name: str, repeat: int) -> int:
    """Minimum and every method share their starts; maximum and second maximum have others; each repeat its own."""
    return 10_000 * repeat + {MAXIMUM: 1_000_000, FLOOR: 2_000_000}.get(name, 0)


def one_set(sd: StableDiffusion, reader: Reader, protocol: Protocol, make: Block, first: int) -> dict[str, Tensor]:
    """Readings (GROUPS, SIZE, 7), three embeddings and the force beside the score, mean over calls and groups."""
    blocks = [make(sd, protocol, list(range(first + SIZE * g, first + SIZE * (g + 1)))) for g in range(GROUPS)]
    readings, embedded = reader(torch.cat([z for z, _ in blocks]))
    strength = torch.stack([shares.mean() for _, shares in blocks]).mean()
    return {"readings": readings.unflatten(0, (GROUPS, SIZE)), "strength": strength} | dict(zip(KINDS, embedded))


def main(repeats: int = REPEATS, folder: Path | None = None) -> None:
    """Distances (sets, repeats, 3), readings (sets, repeats, GROUPS, SIZE, 7), strengths (sets, repeats)."""
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    sd, folder = StableDiffusion.load("tiny", device="cpu"), folder or folder_of(__file__)
    protocol = dataclasses.replace(read("tiny"), group=SIZE)
    reader = Reader(sd)
    table = sets(protocol)
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
            "distances": torch.tensor(distances, dtype=torch.float64),
            "readings": torch.stack([torch.stack([run[n]["readings"] for run in runs]) for n in table]).half(),
            "strength": torch.stack([torch.stack([run[n]["strength"] for run in runs]) for n in table]),
            "weights": digests("unet/diffusion_pytorch_model.safetensors", "oracle.safetensors"),
        },
    )


if __name__ == "__main__":
    main()
