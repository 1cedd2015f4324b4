"""Where methods stand between diversity and legibility at equal network calls (chapter 10).

The starts, steps and prompts of ch10_features; lower guidance weights, an interval of them, condition annealing,
coupled noise, a shield, repulsion at other strengths and at a lower weight, and selection among twice as many that get
half the steps. About 8 minutes on one core.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from course_lib.denoisers import interval
from course_lib.features import StyleClassifier, load_network, rule_of_thirds
from course_lib.guidance import cads, flatten, in_groups, spell, switch
from course_lib.metrics import squared_distances
from course_lib.samplers import sample
from course_lib.seeds import Noise, coupled, select_from_many
from course_lib.stable_diffusion import StableDiffusion
from course_lib.tools.precompute import save
from course_lib.tools.precompute.ch09_gaps import digests
from course_lib.tools.precompute.ch10_features import (
    CHUNK,
    GROUPS,
    LEVEL,
    PROMPTS,
    READ,
    SIZE,
    STEPS,
    Method,
    Reader,
    W,
    finished,
    latents,
    repel,
    starts,
)

SECOND = ("w = 3",)


def pairs(z: Tensor) -> Tensor:
    """Distances of all pairs within groups of SIZE, (groups * SIZE, ...) -> (pairs,)."""
    i, j = torch.triu_indices(SIZE, SIZE, 1)
    return torch.cat([squared_distances(flatten(group))[i, j] for group in z.split(SIZE)]).sqrt()


def runs(sd: StableDiffusion, prompt: str, seeds: range, radius: float) -> dict[str, Callable]:
    """Finished latents by name, each made when it is called."""
    c = sd.embed(prompt).expand(len(seeds), -1, -1)

    def under(method: Method, w=W, noise: Tensor | None = None) -> Callable[[], Tensor]:
        def made() -> Tensor:
            x, sigmas = starts(sd, seeds)
            x = x if noise is None else sd.start(noise, sigmas)
            return finished(sample(method(sd.prompt(prompt, w=w, chunk=CHUNK)), x, sigmas), sigmas)

        return made

    draws = Noise(range(5000, 5000 + len(seeds)), dtype=torch.float32)
    of = lambda y: sd.prompt(y, w=W, chunk=CHUNK)  # noqa: E731
    annealed = lambda D: cads(of, c, sd.levels(STEPS), randn_like=draws.randn_like)  # noqa: E731
    shield = in_groups(spell(lambda x0, sigma: x0, radius), SIZE)  # on estimates: the network is no part of the blocks
    eps = Noise(seeds, dtype=torch.float32).randn(*sd.shape)
    apart = torch.cat([coupled(group) for group in eps.split(SIZE)])
    return {
        **{f"w = {w:g}": under(lambda D: D, w) for w in (3, 1.5, 2, 1)},
        "interval": under(lambda D: D, interval(W, 0.28, 5.42)),
        "coupled": under(lambda D: D, noise=apart),
        "annealed": under(annealed),
        "shield": under(lambda D: switch(LEVEL, lambda x, sigma: shield(D(x, sigma), sigma), D)),
        "thirds .1": under(repel(rule_of_thirds, share=0.1)),
        "thirds .6": under(repel(rule_of_thirds, share=0.6)),
        "thirds on x, w = 3": under(repel(rule_of_thirds, "x"), 3.0),
        "thirds on x0, w = 3": under(repel(rule_of_thirds), 3.0),
        "latent on x, w = 3": under(repel(flatten, "x"), 3.0),
    }


def chosen(z: Tensor, feature: Callable[[Tensor], Tensor]) -> Tensor:
    """SIZE of each group's candidates, farthest first in a feature, (groups, M, ...) -> (groups * SIZE, ...)."""
    return torch.cat([group[select_from_many(feature(group), SIZE)] for group in z])


def candidates(sd: StableDiffusion, prompt: str, groups: int, steps: int) -> Tensor:
    """Two independent groups of starts for each group, the first that of the other runs, -> (groups, 2 SIZE, ...)."""
    parts = [latents(sd, prompt, lambda D: D, range(a, a + groups * SIZE), steps) for a in (0, 3000)]
    return torch.cat([part.unflatten(0, (groups, SIZE)) for part in parts], 1)


def main(groups: int = GROUPS, kept: Callable = lambda name, make: make()) -> None:
    """Readings (settings, groups, SIZE, 7) of both prompts."""
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    sd = StableDiffusion.load("tiny", device="cpu")
    reader, style = Reader(sd), StyleClassifier(load_network("style"))
    half = [kept(f"{prompt} candidates", lambda p=prompt: candidates(sd, p, groups, STEPS // 2)) for prompt in PROMPTS]
    radius = float(pairs(half[0][:, :SIZE].flatten(0, 1)).quantile(0.2))  # a fifth of all pairs are closer
    results: dict[str, object] = {"radius": radius, "read": list(READ)}
    for which, prompt, few in zip(("", "second "), PROMPTS, half):
        made = runs(sd, prompt, range(groups * SIZE), radius)
        made = {name: run for name, run in made.items() if not which or name in SECOND}
        made["half the steps"] = lambda few=few: few[:, :SIZE].flatten(0, 1)
        made["select by thirds"] = lambda few=few: chosen(few, rule_of_thirds)
        made["select by style"] = lambda few=few: chosen(few, style)
        done = [kept(f"{prompt} {name}", lambda run=run: reader(run()))[0] for name, run in made.items()]
        results |= {
            f"{which}names": list(made),
            f"{which}readings": torch.stack(done).unflatten(1, (groups, SIZE)).half(),
        }
    results["weights"] = digests("unet/diffusion_pytorch_model.safetensors", "oracle.safetensors", "style.safetensors")
    save("ch10_frontier", results)


if __name__ == "__main__":
    main()
