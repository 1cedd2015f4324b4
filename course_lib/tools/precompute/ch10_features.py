"""Groups of eight pictures under repulsion in several features, on x and on x0, with controls (chapter 10).

Twelve groups a prompt and setting, 20 DDIM steps, guidance 7.5, the same 96 starts everywhere. Beside the factors that
two oracles read, the distances of the thesis' table to a set whose prompts name style and place. About 12 minutes on
one core.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from course_lib import features, world
from course_lib.denoisers import Denoiser
from course_lib.features import (
    RandomCNN,
    StyleClassifier,
    channel_mean,
    load_network,
    rule_of_thirds,
)
from course_lib.guidance import Above, Groups, Repulsion, flatten, guided
from course_lib.metrics import frechet_parts
from course_lib.samplers import sample, trajectory
from course_lib.seeds import Noise
from course_lib.stable_diffusion import StableDiffusion
from course_lib.tools.precompute import save
from course_lib.tools.precompute.ch09_gaps import digests

PROMPTS = ("a blue square", "a circle")
GROUPS, SIZE, STEPS, W, CHUNK = 12, 8, 20, 7.5, 24
LEVEL, SHARE = 0.5, 0.3  # repel above this noise level, at this share of the score's length
READ = ("shape", "colour", "style", "x", "y", "shape again", "colour again")
Method = Callable[[Denoiser], Denoiser]


def repel(feature: Callable[[Tensor], Tensor], on: str = "x0", share: float = SHARE, level: float = LEVEL) -> Method:
    """Repulsion within groups of SIZE in a feature of x or x0, at a share of each particle's score."""
    potential = Groups(SIZE, Above(level, Repulsion(1.0, features=feature, on=on)))
    return lambda D: guided(D, potential, relative=share)


def late(feature: Callable[[Tensor], Tensor], level: float) -> Method:
    """Repulsion on x0 only where sigma <= level."""
    potential = Groups(SIZE, Repulsion(1.0, features=feature, on="x0"))
    return lambda D: lambda x, sigma: (D if float(sigma) > level else guided(D, potential, relative=SHARE))(x, sigma)


def straight(feature: Callable[[Tensor], Tensor]) -> Method:
    """The control: as far as `repel` on x0, but along a direction of the feature drawn once for each particle."""

    def potential(x: Tensor, x0: Tensor, sigma: Tensor) -> Tensor:
        phi = feature(x0)
        return (phi * torch.randn(phi.shape, generator=torch.Generator().manual_seed(10)).to(phi)).sum()

    return lambda D: guided(D, Above(LEVEL, potential), relative=SHARE)


def settings() -> dict[str, Method]:
    """The runs of the first prompt by name; those of SECOND are run for the second prompt too."""
    style = StyleClassifier(load_network("style"))
    cnn = RandomCNN(0)
    return {
        "iid": lambda D: D,
        "thirds on x0": repel(rule_of_thirds),
        "thirds direction on x0": straight(rule_of_thirds),
        "latent direction on x0": straight(flatten),
        "style on x0": repel(style),
        "channels on x0": repel(channel_mean),
        "latent on x0": repel(flatten),
        "thirds on x": repel(rule_of_thirds, "x"),
        "latent on x": repel(flatten, "x"),
        "style thirds on x0": repel(style.thirds),
        "random on x0": repel(cnn),
        "random redrawn on x0": lambda D: repel(cnn.redrawn())(D),
        "style on x": repel(style, "x"),
        "channels on x": repel(channel_mean, "x"),
        "thirds early": repel(rule_of_thirds, level=3.0),
        "thirds late": late(rule_of_thirds, 3.0),
    }


SECOND = ("iid", "thirds on x0", "thirds direction on x0", "style on x0", "channels on x0", "latent on x0")


class Reader:
    """What is kept of a set of latents: the factors, and the embeddings of the thesis' table."""

    def __init__(self, sd: StableDiffusion):
        self.sd, self.oracles = sd, (features.Oracle(), features.Oracle(second=True))
        network = load_network("embedding")
        makers = (features.default_embedding, features.location_embedding, features.style_embedding)
        self.takers = [make(network) for make in makers]

    def __call__(self, z: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Latents (N, 4, 12, 12) -> what READ names (N, 7), three embeddings (N, dim)."""
        images = self.sd.decode(z, CHUNK).clamp(-1, 1)
        one, two = (oracle(images, batch=32) for oracle in self.oracles)
        columns = [one.shape, one.colour, one.style, one.x, one.y, two.shape, two.colour]
        embedded = features.embed(images, self.takers, batch=32)
        return torch.stack([column.float() for column in columns], 1), [x.double() for x in embedded.values()]


def starts(sd: StableDiffusion, seeds: range, steps: int = STEPS) -> tuple[Tensor, Tensor]:
    """Latents at the first level, one seed each, and the levels."""
    sigmas = sd.levels(steps)
    return sd.start(Noise(seeds, dtype=torch.float32).randn(*sd.shape), sigmas), sigmas


def finished(x: Tensor, sigmas: Tensor) -> Tensor:
    """The last latents on the pipeline's scale."""
    return x * float((1 + sigmas[-1] ** 2).rsqrt())


def latents(
    sd: StableDiffusion, prompt: str | list[str], method: Method, seeds: range, steps: int = STEPS, w: float = W
) -> Tensor:
    """Finished latents of one prompt, or of one prompt each, under a method."""
    x, sigmas = starts(sd, seeds, steps)
    return finished(sample(method(sd.prompt(prompt, w=w, chunk=CHUNK)), x, sigmas), sigmas)


def langevin_half(sd: StableDiffusion, prompt: str, seeds: range) -> Tensor:
    """The thesis' Langevin run at equal calls: 13 levels, a correction step before each of the first 7 of them."""
    x, sigmas = starts(sd, seeds, 13)
    D, draws = sd.prompt(prompt, w=W, chunk=CHUNK), Noise(range(1000, 1000 + len(seeds)), dtype=torch.float32)
    for corrections, part in ((1, sigmas[:8]), (0, sigmas[7:])):
        for state in trajectory(D, x, part, corrections=corrections, tau=0.2, randn_like=draws.randn_like):
            x = state.x
    return finished(x, sigmas)


def named(n: int, seed: int) -> list[str]:
    """Prompts of the maximum set: the first prompt with a style, told by its artist, and a place, all 36 in turn."""
    lines = [world.phrase("square", "blue", style, place, True) for style in world.STYLES for place in world.PLACES]
    order = torch.randperm(len(lines), generator=torch.Generator().manual_seed(seed)).tolist()
    return [lines[order[i % len(lines)]] for i in range(n)]


def distances(sets: dict[str, list[Tensor]], maximum: list[Tensor]) -> Tensor:
    """Mean part and Bures part of each set to the maximum, whole and without each group in turn.

    -> (sets, embeddings, 1 + GROUPS, 2)
    """

    def parts(a: Tensor, b: Tensor) -> list[list[float]]:
        kept = [a, *(torch.cat([a[: SIZE * i], a[SIZE * (i + 1) :]]) for i in range(len(a) // SIZE))]
        return [[float(part) for part in frechet_parts(x, b)[1:3]] for x in kept]

    return torch.tensor([[parts(a, b) for a, b in zip(one, maximum)] for one in sets.values()], dtype=torch.float64)


def main(groups: int = GROUPS, kept: Callable = lambda name, make: make()) -> None:
    """Readings (settings, groups, SIZE, 7) of both prompts, and the parts of the distances of the first."""
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    sd = StableDiffusion.load("tiny", device="cpu")
    reader, runs, seeds = Reader(sd), settings(), range(groups * SIZE)

    def read(name: str, prompt: str | list[str], method: Method, seeds: range) -> tuple[Tensor, list[Tensor]]:
        return kept(name, lambda: reader(latents(sd, prompt, method, seeds)))

    first = {name: read(f"{PROMPTS[0]} {name}", PROMPTS[0], method, seeds) for name, method in runs.items()}
    first["Langevin"] = kept("Langevin", lambda: reader(langevin_half(sd, PROMPTS[0], seeds)))
    second = {name: read(f"{PROMPTS[1]} {name}", PROMPTS[1], runs[name], seeds) for name in SECOND}
    other, again = range(2000, 2000 + 2 * len(seeds)), range(4000, 4000 + len(seeds))
    maximum = read("maximum", named(len(other), 0), runs["iid"], other)
    floor = read("floor", named(len(again), 1), runs["iid"], again)
    sets = {name: embedded for name, (_, embedded) in first.items()} | {"floor": floor[1]}
    results = {
        "names": list(first),
        "readings": torch.stack([read for read, _ in first.values()]).unflatten(1, (groups, SIZE)).half(),
        "second names": list(second),
        "second readings": torch.stack([read for read, _ in second.values()]).unflatten(1, (groups, SIZE)).half(),
        "sets": list(sets),
        "distances": distances(sets, maximum[1]).float(),
        "floor readings": floor[0].half(),
        "read": list(READ),
        "weights": digests("unet/diffusion_pytorch_model.safetensors", "oracle.safetensors", "style.safetensors"),
    }
    save("ch10_features", results)


if __name__ == "__main__":
    main()
