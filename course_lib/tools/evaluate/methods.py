"""A block of pictures under a protocol's method, and what is counted on the way."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from course_lib.denoisers import Denoiser
from course_lib.features import RandomCNN, StyleClassifier, channel_mean, load_network, rule_of_thirds
from course_lib.guidance import Above, Repulsion, flatten, guided
from course_lib.samplers import trajectory
from course_lib.seeds import Noise
from course_lib.stable_diffusion import StableDiffusion
from course_lib.tools.evaluate.protocol import PictureSet

Feature = Callable[[Tensor], Tensor]


class Watched:
    """A denoiser under watch: how often it is asked, and how long the method's force is beside its score."""

    def __init__(self, denoiser: Denoiser, method: Callable[[Denoiser], Denoiser]):
        self.plain, self.shares = denoiser, []
        self.changed = method(self._remember)

    def _remember(self, x: Tensor, sigma: Tensor) -> Tensor:
        self.x0 = self.plain(x, sigma)
        return self.x0

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        x0 = self.changed(x, sigma)
        force, score = ((part).flatten(1).norm(dim=1) for part in (x0 - self.x0, self.x0 - x))  # times sigma**2
        self.shares.append((force / score).mean())
        return x0

    def strength(self) -> Tensor:
        """Mean over the particles of |force| / |score| at every call, -> (calls,)."""
        return torch.stack(self.shares).float().cpu()


def feature(name: str, sd: StableDiffusion) -> Feature:
    """What a repulsion looks at, by its name in a protocol; fresh for each block, since one redraws its weights.

    Raises ValueError for a style classifier of latents that are not the small world's.
    """
    if name.startswith("style"):
        if sd.name != "tiny":
            raise ValueError(f"the style classifier that ships reads the latents of tiny, not of {sd.name}.")
        style = StyleClassifier(load_network("style").to(sd.device))
        return style.thirds if name.endswith("thirds") else style
    table = {"latent": flatten, "channel average": channel_mean, "rule of thirds": rule_of_thirds}
    return table[name] if name in table else RandomCNN(0).redrawn()


def method(one: PictureSet, sd: StableDiffusion) -> Callable[[Denoiser], Denoiser]:
    """The method of a set: from the plain denoiser to the one that samples."""
    if one.method != "repulsion":
        return lambda D: D
    potential = Above(one.above, Repulsion(one.alpha, features=feature(one.feature, sd), on=one.on))
    return lambda D: guided(D, potential, relative=one.relative)


def levels(sd: StableDiffusion, steps: int) -> Tensor:
    """The noise levels of every set, -> (steps + 1,): the one place that says which."""
    return sd.levels(steps)


@torch.no_grad()
def latents(
    sd: StableDiffusion, one: PictureSet, texts: Sequence[str], seeds: Sequence[int], steps: int, w: float, chunk: int
) -> tuple[Tensor, Tensor]:
    """Finished latents of one block (n, 4, h, w), and its relative strength at every call of the denoiser.

    Langevin corrects once before each step of the first half of the levels with tau = 1 - sigma' / sigma, the step size
    of the thesis.
    """
    sigmas = levels(sd, steps)
    draws = Noise(seeds, sd.device, torch.float32)
    same = len(set(texts)) == 1
    D = Watched(sd.prompt(texts[0] if same else list(texts), w=w, chunk=chunk), method(one, sd))
    x = sd.start(draws.randn(*sd.shape), sigmas)
    for i in range(steps):
        corrections = int(one.method == "langevin" and i < steps // 2)
        tau = float(1 - sigmas[i + 1] / sigmas[i])
        for state in trajectory(D, x, sigmas[i : i + 2], corrections=corrections, tau=tau, randn_like=draws.randn_like):
            x = state.x
    return x.float() * float((1 + sigmas[-1] ** 2).rsqrt()), D.strength()
