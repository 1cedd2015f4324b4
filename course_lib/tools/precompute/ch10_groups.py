"""Twelve more groups of the settings of ch10_features that carry the chapter's claims, from other starts (chapter 10).

Twelve groups leave the gain of a place with an error of a quarter of a place; these halve its square. With them
the settings at a lower guidance weight. About six minutes on one core.
"""

from collections.abc import Callable

import torch

from course_lib.features import rule_of_thirds
from course_lib.stable_diffusion import StableDiffusion
from course_lib.tools.precompute import save
from course_lib.tools.precompute.ch09_gaps import digests
from course_lib.tools.precompute.ch10_features import GROUPS, PROMPTS, READ, SIZE, Reader, W, latents, repel, settings

NAMES = ("iid", "thirds on x0", "style on x0", "thirds direction on x0", "w = 3")
FIRST = ("thirds on x0, w = 3", "thirds on x, w = 3")  # for the first prompt only


def main(groups: int = GROUPS, kept: Callable = lambda name, make: make()) -> None:
    """Readings (settings, groups, SIZE, 7) of both prompts."""
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    sd = StableDiffusion.load("tiny", device="cpu")
    reader, runs, seeds = Reader(sd), settings(), range(6000, 6000 + groups * SIZE)

    def read(prompt: str, name: str) -> torch.Tensor:
        method = {"w = 3": runs["iid"], "thirds on x0, w = 3": repel(rule_of_thirds)}
        method |= {"thirds on x, w = 3": repel(rule_of_thirds, "x")} | runs
        w = 3.0 if name.endswith("w = 3") else W
        return kept(f"more {prompt} {name}", lambda: reader(latents(sd, prompt, method[name], seeds, w=w)))[0]

    names = (NAMES + FIRST, NAMES)
    both = [
        torch.stack([read(prompt, name) for name in some]).unflatten(1, (groups, SIZE))
        for prompt, some in zip(PROMPTS, names)
    ]
    results = {"names": list(names[0]), "readings": both[0].half(), "read": list(READ)}
    results |= {"second names": list(names[1]), "second readings": both[1].half()}
    results["weights"] = digests("unet/diffusion_pytorch_model.safetensors", "oracle.safetensors", "style.safetensors")
    save("ch10_groups", results)


if __name__ == "__main__":
    main()
