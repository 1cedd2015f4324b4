"""Plain pictures of two rare shapes, for the price of luck, and what a classifier learns from generated ones.

Per shape a pool of plain pictures from twelve steps at guidance 3, with the loss of each repeat's references by CLIP
and by the embedding network, read and measured as in `ch11_seedselect`. About three minutes on one core.
"""

import torch
from torch import Tensor

from course_lib import world
from course_lib.features import default_embedding, load_network
from course_lib.samplers import sample
from course_lib.seeds import Noise
from course_lib.seedselect import semantic
from course_lib.stable_diffusion import StableDiffusion
from course_lib.tools.precompute import save
from course_lib.tools.precompute.ch09_gaps import digests
from course_lib.tools.precompute.ch11_seedselect import (
    GUIDANCE,
    REPEATS,
    RUNS,
    STEPS,
    WEIGHTS,
    centroids,
    loaded,
    loss_of,
    read,
    references,
)

POOLS, FIRST, CHUNK, SHOWN = {"arms": 192, "middle": 192, "rare": 96}, 10_000, 32, 24


def plain(sd: StableDiffusion, name: str, seeds: range) -> Tensor:
    """Latents of a shape from fresh seeds, (N, 4, 12, 12)."""
    sigmas, denoiser = sd.levels(STEPS), sd.prompt(world.phrase(name), w=GUIDANCE)
    noise = Noise(seeds, dtype=torch.float32).randn(*sd.shape)
    return torch.cat([sample(denoiser, sd.start(z, sigmas), sigmas) for z in noise.split(CHUNK)])


def main(pools: dict[str, int] = POOLS, repeats: int = REPEATS) -> None:
    """All pools -> POOL_loss by CLIP, POOL_embedding (repeats, M), readings (M,), latents first and CLIP's choice."""
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    sd, clip = loaded()
    bank, results = centroids(clip), {}
    embedding = default_embedding(load_network("embedding", "cpu"))
    for run, M in pools.items():
        name = RUNS[run][0]
        own, latents = world.SHAPES.index(name), plain(sd, name, range(FIRST, FIRST + M))
        results |= {f"{run}_{key}": value for key, value in read(sd, clip, bank, latents, own).items()}
        losses = [loss_of("semantic", sd, clip, references(name, repeat), bank, own) for repeat in range(repeats)]
        results[f"{run}_loss"] = torch.stack([torch.cat([loss(x) for x in latents.split(64)]) for loss in losses])
        features = embedding(sd.decode(latents, chunk=64).clamp(-1, 1))
        centres = [embedding(references(name, repeat)).mean(0) for repeat in range(repeats)]
        results[f"{run}_embedding"] = torch.stack([semantic(lambda v: v, c, "cosine")(features) for c in centres])
        results[f"{run}_latents"] = latents[:SHOWN].half()
        results[f"{run}_picked"] = latents[results[f"{run}_loss"].mean(0).argsort()[:SHOWN]].half()
    save("ch11_pool", results | {"weights": digests(*WEIGHTS, "embedding.safetensors")})


if __name__ == "__main__":
    main()
