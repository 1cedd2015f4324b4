"""Sampling through `sample` against diffusers' own pipeline: the same steps, batch, dtype, device and latents.

Run as `python benchmarks/sampling.py [model] [pairs] [steps]`; the model is whatever `StableDiffusion.load` takes, and
`tiny` by default. Each pair runs both, in alternating order; what counts is the median of the pairs' ratios. On a CPU
the processor's time is compared, which other programs disturb less than the clock on the wall.
"""

import statistics
import sys
import time

import torch

from course_lib.seeds import Noise
from course_lib.stable_diffusion import StableDiffusion

PROMPT, W, RATIO, SECONDS = "a red circle", 7.5, 1.02, 4.0


def clock(device: torch.device) -> float:
    """Seconds of the processor, or of the wall once the GPU has done what it was given."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def runs(sd: StableDiffusion, batch: int, steps: int) -> tuple:
    """Both ways from prompt and noise to latents: ours, diffusers'."""
    noise = Noise(range(batch), sd.device, torch.float32).randn(*sd.shape)

    def ours():
        return sd.generate(PROMPT, noise=noise, steps=steps, w=W, chunk=batch, decode=False)

    def theirs():
        latents = noise.to(sd.pipe.unet.dtype)
        return sd.pipe(
            PROMPT, num_images_per_prompt=batch, latents=latents, num_inference_steps=steps, guidance_scale=W,
            output_type="latent",
        ).images  # fmt: skip

    return ours, theirs


def ratio(sd: StableDiffusion, batch: int, pairs: int, steps: int) -> tuple[list[float], float]:
    """Time of ours over time of diffusers' in each pair, and the largest difference of the latents."""
    both = runs(sd, batch, steps)
    difference = (both[0]() - both[1]()).abs().max().item()  # the first run of each also warms up
    ratios = []
    for pair in range(pairs):
        seconds = {}
        for which in (0, 1) if pair % 2 else (1, 0):
            start = clock(sd.device)
            both[which]()
            seconds[which] = clock(sd.device) - start
        ratios.append(seconds[0] / seconds[1])
    return ratios, difference


def main(model: str = "tiny", pairs: int = 9, steps: int = 25) -> None:
    sd = StableDiffusion.load(model)
    print(f"{sd}, {torch.get_num_threads()} threads, {steps} steps, {pairs} pairs", flush=True)
    for batch in (1, 16):
        ratios, difference = ratio(sd, batch, pairs, steps)
        low, high = min(ratios), max(ratios)
        print(
            f"batch {batch}: ours / diffusers' {statistics.median(ratios):.3f} (at most {RATIO}), pairs {low:.3f} to "
            f"{high:.3f}, latents differ by {difference:.0e}",
            flush=True,
        )
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        sd.generate(PROMPT, range(8), w=W)
        seconds.append(time.perf_counter() - start)
    print(f"eight images with guidance in 25 steps: {min(seconds):.1f} s (at most {SECONDS:g} s on two cores)")


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:]))
