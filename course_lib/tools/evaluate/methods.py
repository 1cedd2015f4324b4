"""A block of pictures under a protocol's method, and what is counted on the way."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from course_lib.denoisers import Denoiser
from course_lib.features import (
    LevelStyleClassifier,
    RandomCNN,
    channel_mean,
    load_network,
    load_style,
    rule_of_thirds,
)
from course_lib.guidance import Above, Repulsion, flatten, guided
from course_lib.samplers import sample
from course_lib.seeds import Noise
from course_lib.stable_diffusion import StableDiffusion
from course_lib.tools.evaluate.protocol import PictureSet, Protocol

Feature = Callable[..., Tensor]


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


def feature(name: str, protocol: Protocol, sd: StableDiffusion) -> Feature:
    """What a repulsion looks at, by its name in a protocol; fresh for each block, since one redraws its weights.

    Raises ValueError where the style classifier that is needed for the model's latents is not named.
    """
    if name.startswith("style"):
        style = LevelStyleClassifier(_style(protocol, sd))
        return style.thirds if name.endswith("thirds") else style
    table = {"latent": flatten, "channel average": channel_mean, "rule of thirds": rule_of_thirds}
    return table[name] if name in table else RandomCNN(0).redrawn()


def _style(protocol: Protocol, sd: StableDiffusion) -> torch.nn.Module:
    """The network that names styles of the model's latents: of the protocol's file, or the one that ships for tiny."""
    if protocol.style:
        return load_style(protocol.style, sd.device)
    if sd.name != "tiny":
        raise ValueError(
            f"there is no style classifier for the latents of {sd.name}; make one with `course train-style` and name "
            "it in --style FILE, or take the sets with one out of a copy of the protocol."
        )
    return load_network("style_levels", sd.device)


def method(one: PictureSet, protocol: Protocol, sd: StableDiffusion) -> Callable[[Denoiser], Denoiser]:
    """The method of a set: from the plain denoiser to the one that samples."""
    if one.method != "repulsion":
        return lambda D: D
    potential = Above(one.above, Repulsion(one.alpha, features=feature(one.feature, protocol, sd), on=one.on))
    return lambda D: guided(D, potential, relative=one.relative)


def levels(sd: StableDiffusion, protocol: Protocol) -> Tensor:
    """The noise levels of every set, the pipeline's own or the thesis', -> (steps + 1,)."""
    if protocol.spacing == "pipeline":
        return sd.levels(protocol.steps)
    last = sd.pipe.scheduler.config.num_train_timesteps - 1
    return torch.cat([sd.sigma_at(torch.linspace(last, 0, protocol.steps)), torch.zeros(1, dtype=torch.float64)])


@torch.no_grad()
def latents(
    sd: StableDiffusion, protocol: Protocol, one: PictureSet, texts: Sequence[str], seeds: Sequence[int], chunk: int
) -> tuple[Tensor, Tensor]:
    """Finished latents of one block (n, 4, h, w), and its relative strength at every call of the denoiser.

    Langevin corrects once before each step of the first half of the levels with tau = 1 - sigma' / sigma, the step size
    of the thesis.
    """
    sigmas, T = levels(sd, protocol), protocol.steps
    draws = Noise(seeds, sd.device, torch.float32)
    prompt = texts[0] if len(set(texts)) == 1 else list(texts)
    D = Watched(sd.prompt(prompt, w=protocol.w, chunk=chunk), method(one, protocol, sd))
    corrections = [int(one.method == "langevin" and i < T // 2) for i in range(T)]
    tau = 1 - sigmas[1:] / sigmas[:-1]
    x = sd.start(draws.randn(*sd.shape), sigmas)
    x = sample(D, x, sigmas, corrections=corrections, tau=tau, randn_like=draws.randn_like)
    return x.float() * float((1 + sigmas[-1] ** 2).rsqrt()), D.strength()
