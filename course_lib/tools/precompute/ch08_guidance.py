"""What the shipped model draws at five guidance weights, read by the oracle (chapter 8).

Eight pictures of each of the 36 pairs of a head shape and a colour, 25 DDIM steps, the same 288 starts at each weight.
About four minutes on two cores.
"""

import hashlib
from collections.abc import Callable

import torch
from torch import Tensor

from course_lib import models, world
from course_lib.denoisers import Denoiser
from course_lib.features import Oracle
from course_lib.samplers import sample
from course_lib.seeds import Noise
from course_lib.stable_diffusion import StableDiffusion
from course_lib.tools.precompute import save

WEIGHTS, GROUP, STEPS, CHUNK = (1.0, 2.0, 3.0, 5.0, 7.5), 8, 25, 24
CAPTIONS = [world.phrase(shape, colour) for shape in world.HEAD for colour in world.COLOURS]


def weights_of() -> str:
    """SHA-256 of the shipped UNet's weights, which says on which model a result was made."""
    [path] = sorted((models.TINY / "unet").glob("*.safetensors"))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def drawn(
    sd: StableDiffusion, oracle: Oracle, lines: list[str], make: Callable[[Tensor], Denoiser], steps: int = STEPS
) -> Tensor:
    """GROUP pictures a caption from make(embeddings), read as shape, colour, style, cell, -> (captions, GROUP, 4)."""
    noise = Noise(range(len(lines) * GROUP), dtype=torch.float32).randn(*sd.shape)
    embeddings = sd.embed(lines).repeat_interleave(GROUP, 0)
    sigmas, read = sd.levels(steps), []
    for x, c in zip(sd.start(noise, sigmas).split(CHUNK), embeddings.split(CHUNK)):
        reading = oracle(sd.decode(sample(make(c), x, sigmas)).clamp(-1, 1))
        read.append(torch.stack([reading.shape, reading.colour, reading.style, reading.cell], 1))
    return torch.cat(read).reshape(len(lines), GROUP, 4).to(torch.int8)


def main(captions: int = len(CAPTIONS)) -> None:
    """The five weights -> arrays (36, 8, 4)."""
    torch.set_num_threads(2)
    torch.set_grad_enabled(False)
    sd, oracle = StableDiffusion.load("tiny", device="cpu"), Oracle()
    results = {f"w={w:g}": drawn(sd, oracle, CAPTIONS[:captions], lambda c, w=w: sd.prompt(c, w=w)) for w in WEIGHTS}
    save("ch08_guidance", {**results, "weights": weights_of()})


if __name__ == "__main__":
    main()
