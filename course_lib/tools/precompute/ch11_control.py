"""The positive control of chapter 11: a concept that is rare for the model and that the loss sees, an outlined star.

The caption is "a star". Eight repeats have five references of their own each, outlined stars in one place and all
colours, and the same eight seeds in every arm: four were run first, four more later. "ours" is the recipe of
`ch11_seedselect`, "released" that of the public code of Samuel et al. (2024), "wrong" ours with stars of the three
other styles for references. Each recipe has a pool of plain pictures from its own sampler, with the losses of every
repeat, for the best of n.

Rules, written before the numbers. A hit is strict and by rule alone: the best-fitting outline is a star's, its overlap
and the share of its ground that shows inside are both above those of 5 % of real outlined stars. A repeat is a set of
references; paired by it, Student's t one-sided 1 %, eight repeats:
1. gate: the CLIP loss ranks outlined stars before stars of other styles, AUC above .75, on renders and on plain
   pictures (both oracles say which is which);
2. ours: the share of hits at each seed's lowest loss is above twice the share of the same seeds as drawn;
3. released: the same at the last iteration, whose picture the public code hands out;
4. either against the best of n plain pictures by its own loss at equal network calls: n = 48 and n = 120;
5. wrong: where its share passes the rule of 2 as well, nothing is shown.
Whatever comes out is told; where the clock cuts the run short, the second half of the seeds is missing in every repeat.
About 70 minutes on one core; an interrupted script goes on where it was.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from course_lib import world
from course_lib.features import CLIP, Embedding, Oracle, default_embedding, load_network, overlap, silhouette
from course_lib.features.silhouettes import CONTRAST
from course_lib.samplers import trajectory
from course_lib.seeds import Noise, chi_nll, chi_score
from course_lib.seedselect import Selected, as_released, sampler, seedselect, semantic
from course_lib.stable_diffusion import StableDiffusion
from course_lib.tools.precompute import folder_of, kept, save
from course_lib.tools.precompute.ch09_gaps import digests
from course_lib.tools.precompute.ch11_seedselect import REPEATS, WEIGHTS, loaded, references, seeds_of

CAPTION, SHAPE = world.phrase("star"), "star"
OUTLINED, OTHERS = {"style": "outlined"}, {"style": ("flat", "striped", "dotted")}
PLACE = {"x": 0.5, "y": 0.5}  # the released loss compares latents pixel by pixel
POOL, FIRST, CHUNK, REAL = 384, 20_000, 32, 400
HALVES = 2  # a seed knows nothing of the others, so half of each repeat's are a whole experiment with less power


class Recipe(NamedTuple):
    """How a seed is chosen: the sampler, Adam's rate in each iteration and its decay, the levels that the loss sees."""

    steps: int
    guidance: float
    rates: tuple[float, ...]
    decay: float
    keep: int


RECIPES = {
    "ours": Recipe(12, 3.0, (0.05,) * 12, 0.0, 1),
    "released": Recipe(20, 7.5, (0.1,) * 3 + (0.01,) * 27, 0.01, 3),
}
ARMS = {"ours": ("ours", OUTLINED), "wrong": ("ours", OTHERS), "released": ("released", OUTLINED)}
RUN = {"ours": (0, 1), "wrong": (0, 1), "released": (0, 1)}  # halves of each repeat's seeds that were run


def loss_of(recipe: Recipe, sd: StableDiffusion, encode: CLIP | Embedding, repeat: int, style: dict) -> Callable:
    """The loss of a recipe on latents, of one level or of the last three."""
    with torch.no_grad():
        shown = references(SHAPE, repeat, **style, **PLACE)
        features, latents = encode(shown).mean(0), sd.encode(shown).mean(0)

    def seen(x: Tensor) -> Tensor:
        return encode(sd.decode(x))

    released = recipe.keep > 1
    return as_released(seen, features, latents) if released else semantic(seen, features, "cosine")


def walk(sd: StableDiffusion, recipe: Recipe, start: Tensor, loss: Callable) -> tuple[Tensor, Selected]:
    """Seeds (N, 4, 12, 12) -> the last latents of every iteration (T, N, 4, 12, 12), and what was found."""
    sigmas, seen = sd.levels(recipe.steps), []
    denoiser = sd.prompt(CAPTION, w=recipe.guidance)
    run = sampler(denoiser, sigmas, lambda z: sd.start(z, sigmas), keep=recipe.keep)

    def watched(x: Tensor) -> Tensor:
        seen.append(x.detach()[-1] if recipe.keep > 1 else x.detach())
        return loss(x)

    prior = chi_nll if recipe.keep == 1 else None
    found = seedselect(run, start, watched, len(recipe.rates), recipe.rates, prior, 0.01, decay=recipe.decay)
    return torch.stack(seen), found


def one(sd: StableDiffusion, clip: CLIP, arm: str, repeat: int, half: int) -> dict[str, Tensor]:
    """Half the seeds of a repeat -> latents as drawn, at the lowest loss and last (3, N, ..), losses (T, N), length."""
    name, style = ARMS[arm]
    start, loss = seeds_of(repeat, sd.shape).chunk(HALVES)[half], loss_of(RECIPES[name], sd, clip, repeat, style)
    latents, found = walk(sd, RECIPES[name], start, loss)
    best, rows = found.history.argmin(0), torch.arange(len(start))
    ends = torch.stack([latents[0], latents[best, rows], latents[-1]])
    return {"latents": ends.half(), "loss": found.history, "length": chi_score(found.z)}


def plain(sd: StableDiffusion, recipe: Recipe, seeds: range) -> Tensor:
    """Latents of the last levels of the caption from fresh seeds, (keep, N, 4, 12, 12)."""
    sigmas, denoiser = sd.levels(recipe.steps), sd.prompt(CAPTION, w=recipe.guidance)
    noise, parts = Noise(seeds, dtype=torch.float32).randn(*sd.shape), []
    with torch.no_grad():
        for z in noise.split(CHUNK):
            states = [state.x for state in trajectory(denoiser, sd.start(z, sigmas), sigmas)]
            parts.append(torch.stack(states[-recipe.keep :]))
    return torch.cat(parts, 1)


def hollow(images: Tensor) -> Tensor:
    """The share of each silhouette that looks like the ground, which shows inside an outline, (N, 3, H, W) -> (N,)."""
    masks = silhouette(images)
    edge = torch.cat([images[..., 0, :], images[..., -1, :], images[..., :, 0], images[..., :, -1]], -1)
    ground = edge.median(-1).values[..., None, None]
    like = (images - ground).abs().amax(1) <= CONTRAST
    return (masks & like).sum((1, 2)) / masks.sum((1, 2)).clamp(min=1)


def read(sd: StableDiffusion, latents: Tensor) -> dict[str, Tensor]:
    """What rules and both oracles say of latents (..., 4, 12, 12) -> arrays (...); shares in thousandths."""
    images = sd.decode(latents.flatten(0, -4).float(), chunk=64).clamp(-1, 1)
    first, second, shares = Oracle()(images), Oracle(second=True)(images), overlap(images)
    own = world.SHAPES.index(SHAPE)
    found = {
        "outline": shares.argmax(1),
        "overlap": 1000 * shares[:, own],
        "hollow": 1000 * hollow(images),
        "oracle": first.shape,
        "oracle_style": first.style,
        "oracle2": second.shape,
        "oracle2_style": second.style,
        "colour": first.colour,
    }
    return {key: value.round().short().unflatten(0, latents.shape[:-3]) for key, value in found.items()}


def pooled(sd: StableDiffusion, clip: CLIP, name: str, repeats: range, first: int = FIRST) -> dict[str, Tensor]:
    """A recipe's pool -> readings (M,), its own losses and the semantic ones by CLIP and embedding, (repeats, M)."""
    xs = plain(sd, RECIPES[name], range(first, first + POOL))
    results = read(sd, xs[-1])
    encoders = {"clip": clip, "embedding": default_embedding(load_network("embedding", "cpu"))}
    ways = {key: (RECIPES["ours"], encode) for key, encode in encoders.items()} | {"loss": (RECIPES[name], clip)}
    for key, (recipe, encode) in ways.items():
        losses = [loss_of(recipe, sd, encode, repeat, OUTLINED) for repeat in repeats]
        parts = (xs if recipe.keep > 1 else xs[-1]).split(64, -4)
        results[key] = torch.stack([torch.cat([loss(part) for part in parts]) for loss in losses])
    return results


def real(sd: StableDiffusion) -> Tensor:
    """Latents of real outlined stars, for what 95 % of them are above, (REAL, 4, 12, 12)."""
    return sd.encode(references(SHAPE, 901, REAL, **OUTLINED), chunk=64)


def gathered(
    folder: Path, sd: StableDiffusion, clip: CLIP, arm: str, repeats: range, halves: tuple[int, ...]
) -> dict[str, Tensor]:
    """An arm whole -> its latents and readings (repeats, 3, N), losses (repeats, T, N) and lengths (repeats, N)."""
    made = [
        [kept(folder, f"{arm}-{repeat}-{half}", one, sd, clip, arm, repeat, half) for half in halves]
        for repeat in repeats
    ]
    axes = {"latents": 1, "loss": 1, "length": 0}
    whole = {
        key: torch.stack([torch.cat([half[key] for half in each], axis) for each in made]) for key, axis in axes.items()
    }
    with torch.no_grad():
        return whole | kept(folder, f"{arm}-read-{len(halves)}", read, sd, whole["latents"])


def main(run: dict[str, tuple[int, ...]] = RUN, repeats: int = REPEATS) -> None:
    """All arms and pools -> ARM_KEY (repeats, 3, N), ARM_loss (repeats, T, N), pool_RECIPE_KEY, real_KEY (REAL,)."""
    torch.set_num_threads(1)
    sd, clip = loaded()
    folder, results = folder_of(__file__), {}
    with torch.no_grad():
        results |= {f"real_{key}": value for key, value in kept(folder, "real", read, sd, real(sd)).items()}
        for name in RECIPES:
            pool = kept(folder, f"pool-{name}", pooled, sd, clip, name, range(repeats))
            results |= {f"pool_{name}_{key}": value for key, value in pool.items()}
    for arm, halves in run.items():
        found = gathered(folder, sd, clip, arm, range(repeats), halves)
        results |= {f"{arm}_{key}": value for key, value in found.items()}
    save("ch11_control", results | {"weights": digests(*WEIGHTS, "embedding.safetensors")})


if __name__ == "__main__":
    main()
