"""SeedSelect on rare shapes of the small world: seeds moved by gradients through guidance, sampler, decoder and CLIP.

For each run of RUNS eight repeats with references of their own, eight seeds each, twelve iterations through twelve
checkpointed steps at guidance 3; each iteration's pictures are kept as latents, read and measured. An
interrupted script goes on where it was. About 45 minutes on one core.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib import world
from course_lib.features import CLIP, Oracle, arms, load_clip, overlap, profile, silhouette
from course_lib.samplers import sample
from course_lib.seeds import Noise, chi_nll, chi_score
from course_lib.seedselect import contrastive, sampler, seedselect, semantic
from course_lib.stable_diffusion import StableDiffusion
from course_lib.tools.precompute import folder_of, kept, save
from course_lib.tools.precompute.ch09_gaps import digests

SEEDS, REPEATS, ITERATIONS, STEPS, GUIDANCE, LR, REFERENCES = 8, 8, 12, 12, 3.0, 0.05, 5
SHARP = 10.0  # of the contrastive loss: CLIP's distances are below 1.5
OTHERS = ("red", "blue", "pink")  # colours named beside the shape, for seeds that were chosen without
WEIGHTS = (
    *(f"{part}/diffusion_pytorch_model.safetensors" for part in ("unet", "vae")),
    *("clip/model.safetensors", "oracle.safetensors", "oracle2.safetensors"),
)
WHOLE = ("arms", "middle", "rare")  # read at every iteration
SAME = {"colour": "blue", "style": "flat"}
# name -> the concept of the caption, the concept of the references, the loss, and what both have in common besides
RUNS = {
    "arms": ("triangle star", "triangle star", "semantic", {}),
    "middle": ("circle triangle", "circle triangle", "semantic", {}),
    "rare": ("square star", "square star", "semantic", {}),
    "matched": ("triangle star", "triangle star", "semantic", SAME),
    "reader": ("triangle star", "triangle star", "reader", {}),
    "wrong": ("circle triangle", "square", "semantic", {}),
    "contrastive": ("circle triangle", "circle triangle", "contrastive", {}),
}


def loaded() -> tuple[StableDiffusion, CLIP]:
    """The shipped model with frozen weights, and CLIP."""
    sd = StableDiffusion.load("tiny", device="cpu")
    for part in (sd.pipe.unet, sd.pipe.vae, sd.pipe.text_encoder):
        part.requires_grad_(False)
    return sd, load_clip()


def references(name: str, repeat: int, n: int = REFERENCES, **fixed) -> Tensor:
    """The reference pictures of a repeat, (n, 3, 48, 48)."""
    return world.render(world.draw(n, torch.Generator().manual_seed(100 + repeat), shape=name, **fixed))


def seeds_of(repeat: int, shape: tuple[int, ...]) -> Tensor:
    """The seeds of a repeat, the same in every run, (SEEDS, 4, 12, 12)."""
    return Noise(range(SEEDS * repeat, SEEDS * (repeat + 1)), dtype=torch.float32).randn(*shape)


def caption_of(run: str) -> str:
    """What the model is asked for."""
    return world.phrase(RUNS[run][0], **RUNS[run][3])


def loss_of(kind: str, sd: StableDiffusion, clip: CLIP, shown: Tensor, bank: Tensor, own: int) -> Callable:
    """The loss on latents that goes with a name in RUNS."""
    mean = clip(shown).mean(0)

    def encode(x: Tensor) -> Tensor:
        return clip(sd.decode(x))

    if kind == "contrastive":
        centroids = F.normalize(bank.clone().index_copy(0, torch.tensor([own]), mean[None]), dim=1)
        return contrastive(lambda x: SHARP * encode(x), SHARP * centroids, own)
    if kind == "reader":
        network, label = Oracle(second=True).network, torch.tensor(own)
        return lambda x: F.cross_entropy(network(sd.decode(x))[0], label.expand(len(x)), reduction="none")
    return semantic(encode, mean, "cosine")


def one(sd: StableDiffusion, clip: CLIP, bank: Tensor, run: str, repeat: int) -> dict[str, Tensor]:
    """A repeat of a run -> latents of all iterations (T, N, 4, 12, 12), losses (T, N), best seeds (N, 4, 12, 12)."""
    _, shown, kind, fixed = RUNS[run]
    sigmas, seen = sd.levels(STEPS), []
    sample_of = sampler(sd.prompt(caption_of(run), w=GUIDANCE), sigmas, lambda z: sd.start(z, sigmas))
    loss = loss_of(kind, sd, clip, references(shown, repeat, **fixed), bank, world.SHAPES.index(shown))

    def watched(x: Tensor) -> Tensor:
        seen.append(x.detach())
        return loss(x)

    found = seedselect(sample_of, seeds_of(repeat, sd.shape), watched, ITERATIONS, LR, chi_nll, 0.01)
    return {"latents": torch.stack(seen).half(), "loss": found.history, "z": found.z.half()}


def centroids(clip: CLIP) -> Tensor:
    """The mean CLIP features of 64 pictures of each shape, (13, 64)."""
    return torch.stack([clip(references(name, 900, 64)).mean(0) for name in world.SHAPES])


def read(sd: StableDiffusion, clip: CLIP, bank: Tensor, latents: Tensor, own: int) -> dict[str, Tensor]:
    """What CLIP, both oracles and the silhouette say about latents (..., 4, 12, 12) -> arrays (...).

    `clip` is the shape whose centroid is nearest, `outline` the shape that overlaps most, `overlap` how much of the own
    shape, `arms` the count of arms.
    """
    images = sd.decode(latents.flatten(0, -4).float(), chunk=64).clamp(-1, 1)
    first, second, shares = Oracle()(images), Oracle(second=True)(images), overlap(images)
    found = {
        "clip": (clip(images) @ F.normalize(bank, dim=1).T).argmax(1),
        "oracle": first.shape,
        "oracle2": second.shape,
        "outline": shares.argmax(1),
        "overlap": (1000 * shares[:, own]).round().short(),
        "arms": arms(profile(silhouette(images))),
        "colour": first.colour,
        "style": first.style,
        "cell": first.cell,
    }
    small = {key: value if key == "overlap" else value.to(torch.int8) for key, value in found.items()}
    return {key: value.unflatten(0, latents.shape[:-3]) for key, value in small.items()}


def elsewhere(sd: StableDiffusion, z: Tensor, colour: str) -> Tensor:
    """Latents from the same seeds (N, 4, 12, 12) under a caption that names a colour as well."""
    sigmas = sd.levels(STEPS)
    denoiser = sd.prompt(world.phrase(RUNS["middle"][0], colour), w=GUIDANCE)
    return sample(denoiser, sd.start(z.float(), sigmas), sigmas)


def ends(made: dict[str, Tensor]) -> dict[str, Tensor]:
    """The latents (2, N, ...) and losses (2, N) of a repeat at its start and at each seed's lowest loss."""
    best, rows = made["loss"].argmin(0), torch.arange(made["loss"].shape[1])
    pick = lambda x: torch.stack([x[0], x[best, rows]])  # noqa: E731
    return {"latents": pick(made["latents"]), "loss": pick(made["loss"])}


def collected(sd: StableDiffusion, clip: CLIP, bank: Tensor, all_made: dict[str, list]) -> dict[str, object]:
    """All that was kept, read and measured -> RUN_KEY (repeats, T or 2, N), RUN_latents (repeats, 2, N, 4, 12, 12)."""
    results = {}
    for run, made in all_made.items():
        shown = made if run in WHOLE else [ends(one) for one in made]
        own = world.SHAPES.index(RUNS[run][0])
        readings = read(sd, clip, bank, torch.stack([one["latents"] for one in shown]), own)
        results |= {f"{run}_{key}": value for key, value in readings.items()}
        results[f"{run}_loss"] = torch.stack([one["loss"] for one in shown])
        results[f"{run}_length"] = torch.stack([chi_score(one["z"].float()) for one in made])
        results[f"{run}_latents"] = torch.stack([ends(one)["latents"] for one in made])
    own = world.SHAPES.index(RUNS["middle"][0])
    chosen = [one["z"] for one in all_made["middle"]]
    before = [seeds_of(repeat, sd.shape)[: len(z)] for repeat, z in enumerate(chosen)]
    for name, seeds in (("before", before), ("after", chosen)):
        moved = torch.stack([torch.stack([elsewhere(sd, z, colour) for colour in OTHERS]) for z in seeds])
        readings = read(sd, clip, bank, moved, own)
        results |= {f"elsewhere_{name}_{key}": readings[key] for key in ("oracle", "oracle2", "outline", "overlap")}
    return results


def main(runs: tuple[str, ...] = tuple(RUNS), repeats: int = REPEATS) -> None:
    """All runs -> results/ch11_seedselect.npz."""
    torch.set_num_threads(1)
    sd, clip = loaded()
    bank, folder = centroids(clip), folder_of(__file__)
    made = {
        run: [kept(folder, f"{run}-{repeat}", one, sd, clip, bank, run, repeat) for repeat in range(repeats)]
        for run in runs
    }
    with torch.no_grad():
        save("ch11_seedselect", collected(sd, clip, bank, made) | {"weights": digests(*WEIGHTS)})


if __name__ == "__main__":
    main()
