"""What repulsion adds to a sampling run at N = 16, per feature map: at most 3 %, on `tiny` and on Stable Diffusion 2.

Run as `python benchmarks/repulsion.py [pairs] [steps]`. On `tiny` each pair runs the plain and the repelled sampler in
alternating order and the median of the ratios counts. For Stable Diffusion 2 the cost of the force on latents of its
size is set against one call of its real UNet with random weights, measured once for one particle and scaled to N
particles under guidance (2 N passes). Processor time, which other programs disturb less than the clock on the wall.
"""

import statistics
import sys
import time
from collections.abc import Callable

import torch

from course_lib.features import (
    RandomCNN,
    StyleClassifier,
    channel_mean,
    decoded,
    default_embedding,
    load_network,
    rule_of_thirds,
    thirds_mean,
)
from course_lib.guidance import Repulsion, flatten, guided
from course_lib.samplers import sample
from course_lib.seeds import Noise
from course_lib.stable_diffusion import StableDiffusion

N, PROMPT, LIMIT, SIGMA = 16, "a blue square", 1.03, torch.tensor(2.0)
SD2 = {  # the build of Stable Diffusion 2's UNet
    "sample_size": 64,
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": (320, 640, 1280, 1280),
    "attention_head_dim": (5, 10, 20, 20),
    "cross_attention_dim": 1024,
    "use_linear_projection": True,
}


def seconds(work: Callable[[], object]) -> float:
    """Processor time of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def maps() -> dict[str, Callable]:
    """Feature maps of latents by name."""
    style = StyleClassifier(load_network("style", "cpu"))
    return {
        "latent": flatten,
        "channel mean": channel_mean,
        "rule of thirds": rule_of_thirds,
        "nine cells": thirds_mean,
        "random network": RandomCNN(0),
        "style classifier": style,
        "its thirds": style.thirds,
    }


def told(name: str, ratio: float) -> str:
    return f"{name:18s} {ratio:6.3f}   {'met' if ratio <= LIMIT else 'NOT MET'}"


def on_tiny(sd: StableDiffusion, features: dict[str, Callable], pairs: int, steps: int) -> None:
    """Median ratio of a repelled run to a plain one, side by side, force at every level."""
    sigmas, D = sd.levels(steps), sd.prompt(PROMPT)
    x = sd.start(Noise(range(N), dtype=torch.float32).randn(*sd.shape), sigmas)
    features = features | {"decoded embedding": decoded(sd, default_embedding(load_network("embedding", "cpu")))}
    sample(D, x, sigmas[:3])  # warms up
    print(f"tiny, N = {N}, {steps} steps, {pairs} pairs: time with the force on x0 over time without (at most {LIMIT})")
    for name, feature in features.items():
        repelled, ratios = guided(D, Repulsion(1.0, features=feature, on="x0"), relative=0.3), []
        for pair in range(pairs):
            times = {}
            for denoiser in (D, repelled) if pair % 2 else (repelled, D):
                times[denoiser] = seconds(lambda denoiser=denoiser: sample(denoiser, x, sigmas))
            ratios.append(times[repelled] / times[D])
        print(told(name, statistics.median(ratios)), f"  pairs {min(ratios):.3f} to {max(ratios):.3f}", flush=True)


def beside_sd2(features: dict[str, Callable]) -> None:
    """The force on latents of 4 x 64 x 64 beside 2 N passes of the real build with random weights."""
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel(**SD2).eval()
    one, text = torch.randn(1, 4, 64, 64), torch.randn(1, 77, 1024)
    call = min(seconds(lambda: unet(one, 500, text)) for _ in range(2))
    print(f"Stable Diffusion 2's build, random weights: {call:.1f} s a pass at N = 1, scaled to {2 * N} passes a level")
    z = torch.randn(N, 4, 64, 64)
    for name, feature in features.items():
        D = guided(lambda x, sigma: x, Repulsion(1.0, features=feature, on="x0"), relative=0.3)
        D(z, SIGMA)
        force = statistics.median(seconds(lambda D=D: D(z, SIGMA)) for _ in range(5))
        print(told(name, 1 + force / (2 * N * call)), f"  force {1e3 * force:.1f} ms", flush=True)


def main(pairs: int = 5, steps: int = 6) -> None:
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    features = maps()
    on_tiny(StableDiffusion.load("tiny", device="cpu"), features, pairs, steps)
    beside_sd2(features)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
