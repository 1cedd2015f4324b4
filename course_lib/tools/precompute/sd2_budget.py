"""What each method costs at Stable Diffusion 2's size on 512 pixels: peak memory and work, by shapes alone, no weights.

Every row runs the course's own functions on the meta device (`course_lib.tools.budget`) and is *computed*: nobody has
measured it. About ten minutes on one core. `python benchmarks/sd2_budget.py` prints the table.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from tqdm import tqdm

from course_lib.features import channel_mean, decoded, rule_of_thirds
from course_lib.guidance import Repulsion, guided
from course_lib.seedselect import sampler
from course_lib.stable_diffusion import StableDiffusion
from course_lib.tools import budget
from course_lib.tools.precompute import save
from course_lib.training import add_lora, denoising_loss

GROWTH = (2, 5, 10, 20, 50)  # levels of a run of SeedSelect, whose memory must not grow with them
LEVELS, W, RANK, TARGETS = 2, 7.5, 4, ["to_q", "to_k", "to_v", "to_out.0"]
# Pictures, how many go through a network at once, and levels.
SIZES = ((1, None, LEVELS), (4, None, LEVELS), (16, None, LEVELS), (16, 4, LEVELS), (500, 8, 1))


class Row(NamedTuple):
    """One run: the method, its pictures, what was saved and how, its levels, the networks it needs, and the call."""

    method: str
    pictures: int
    saving: str
    levels: int
    networks: tuple[nn.Module, ...]
    call: Callable[[], object]


def meta(*shape: int) -> Tensor:
    """A tensor without values."""
    return torch.empty(*shape, device="meta")


def rows() -> Iterator[Row]:
    """All runs of the table."""
    sd, text = StableDiffusion(budget.pipeline()), meta(1, 77, 1024).half()
    yield from drawings(sd, text)
    yield from selections(sd, text)
    yield from trainings(text)


def drawings(sd: StableDiffusion, text: Tensor) -> Iterator[Row]:
    """Sampling, with and without a force, and decoding. A force needs two pictures."""
    networks = (sd.pipe.unet, sd.pipe.vae, sd.pipe.text_encoder)
    latent, thirds = Repulsion(1.0, on="x0"), Repulsion(1.0, features=rule_of_thirds, on="x0")
    pictures = Repulsion(1.0, features=decoded(sd, channel_mean), on="x0")
    ways = {
        "independent": None,
        "repulsion of latents": lambda D: guided(D, latent),
        "repulsion by thirds": lambda D: guided(D, thirds),
        "repulsion by thirds, exact Jacobian": lambda D: guided(D, thirds, through_denoiser=True),
        "repulsion of decoded pictures": lambda D: guided(D, pictures),
    }
    for n, chunk, levels in SIZES:
        saving = f"chunks of {chunk}" if chunk else "none"
        for name, method in ways.items():
            if chunk and name.endswith(("Jacobian", "pictures")):  # their graph holds all particles at once
                continue
            count = n if method is None else max(n, 2)
            run = partial(sd.generate, text, range(count), meta(count, *sd.shape), levels, W, text)
            yield Row(name, count, saving, levels, networks, partial(run, method=method, chunk=chunk, decode=False))
        yield Row("decoding", n, saving, 0, networks, partial(decode_only, sd, n, chunk))


@torch.no_grad()
def decode_only(sd: StableDiffusion, n: int, chunk: int | None) -> Tensor:
    return sd.decode(meta(n, *sd.shape), chunk)


def selections(sd: StableDiffusion, text: Tensor) -> Iterator[Row]:
    """An iteration of SeedSelect, judged by a picture encoder, its levels checkpointed, the decoder too or not."""
    encoder = budget.picture_encoder()

    def loss(decode: Callable[[Tensor], Tensor], latents: Tensor) -> Tensor:
        small = F.interpolate(decode(latents), 224, mode="bilinear").half()
        return encoder(small).image_embeds.float().square().sum(1)

    def decode_again(latents: Tensor) -> Tensor:
        return checkpoint(sd.decode, latents, use_reentrant=False)

    for n, levels in ((4, LEVELS), *((1, levels) for levels in GROWTH)):
        run = sampler(sd.prompt(text, text, W), sd.levels(levels))
        for saving, decode in (("levels", sd.decode), ("levels and decoder", decode_again)):
            if saving == "levels" and levels > LEVELS:
                continue
            call = partial(iteration, run, meta(n, *sd.shape), partial(loss, decode))
            yield Row("SeedSelect", n, saving, levels, (sd.pipe.unet, sd.pipe.vae, encoder), call)


def iteration(run: Callable[[Tensor], Tensor], z: Tensor, loss: Callable[[Tensor], Tensor]) -> None:
    """What an iteration of `seedselect` does but for Adam's update: the samples, their loss, the seeds' gradient."""
    z.requires_grad_()
    loss(run(z)).sum().backward()


def trainings(text: Tensor) -> Iterator[Row]:
    """A step of LoRA on the UNet's attention, a batch of n, its blocks checkpointed or not."""
    for saving in ("none", "blocks"):
        sd = StableDiffusion(budget.pipeline())
        with torch.device("meta"):
            adapter = add_lora(sd.pipe.unet, RANK, TARGETS)
        if saving == "blocks":
            sd.pipe.unet.enable_gradient_checkpointing()
            sd.pipe.unet.train()
        for n in (1, 4):
            yield Row("LoRA", n, saving, 1, (sd.pipe.unet, sd.pipe.text_encoder), partial(step, sd, text, n, adapter))


def step(sd: StableDiffusion, text: Tensor, n: int, adapter: list[Tensor]) -> None:
    """The loss of n latents at the level of a whole timestep, its gradient and AdamW's update."""
    optimiser = torch.optim.AdamW(adapter, foreach=False)
    x0, eps = meta(n, *sd.shape), meta(n, *sd.shape)
    denoising_loss(sd.prompt(text, text, w=1), x0, sd.sigma_at(300), eps).backward()
    optimiser.step()


def main() -> None:
    table = []
    for row in tqdm(list(rows()), desc="rows"):
        spent = budget.cost(row.call)
        table.append((*row[:4], budget.weights(*row.networks), spent.peak, spent.work))
    names = ("method", "pictures", "saving", "levels", "weights", "peak", "work")
    save("sd2_budget", dict(zip(names, map(list, zip(*table)))))


if __name__ == "__main__":
    main()
