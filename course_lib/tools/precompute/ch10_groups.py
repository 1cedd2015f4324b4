"""Twelve more groups of the settings of ch10_features that carry the chapter's claims, from other starts (chapter 10).

Twelve groups leave the gain of a place with an error of a quarter of a place; these halve its square. About four
minutes on one core.
"""

from collections.abc import Callable

import torch

from course_lib.stable_diffusion import StableDiffusion
from course_lib.tools.precompute import save
from course_lib.tools.precompute.ch09_gaps import digests
from course_lib.tools.precompute.ch10_features import GROUPS, PROMPTS, READ, SIZE, Reader, latents, settings

NAMES = ("iid", "thirds on x0", "style on x0", "thirds direction on x0")


def main(groups: int = GROUPS, kept: Callable = lambda name, make: make()) -> None:
    """Readings (settings, groups, SIZE, 7) of both prompts."""
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    sd = StableDiffusion.load("tiny", device="cpu")
    reader, runs, seeds = Reader(sd), settings(), range(6000, 6000 + groups * SIZE)

    def read(prompt: str, name: str) -> torch.Tensor:
        return kept(f"more {prompt} {name}", lambda: reader(latents(sd, prompt, runs[name], seeds)))[0]

    both = [torch.stack([read(prompt, name) for name in NAMES]).unflatten(1, (groups, SIZE)) for prompt in PROMPTS]
    results = {"names": list(NAMES), "readings": both[0].half(), "second readings": both[1].half(), "read": list(READ)}
    results["weights"] = digests("unet/diffusion_pytorch_model.safetensors", "oracle.safetensors", "style.safetensors")
    save("ch10_groups", results)


if __name__ == "__main__":
    main()
