"""What a pipeline of any kind does with prompts and seeds: guidance over embeddings, and the noise it starts from."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from course_lib import memory
from course_lib.checks import one_each, shown
from course_lib.denoisers import Denoiser
from course_lib.seeds import Noise

Embeddings = tuple[Tensor, ...]  # each with one row, or one for each particle


def prompted(
    x0: Callable[..., Tensor],
    positive: Embeddings,
    negative: Embeddings,
    w: float | Callable[[Tensor], float],
    chunk: int | None,
    channels: int,
    device: torch.device,
    name: str,
) -> Denoiser:
    """The denoiser of prompts under classifier-free guidance (2.5), at most `chunk` particles at a time.

    x0(x, sigma, *embeddings) -> (N, channels, h, w) asks the network; sigma is a float or, one for each particle,
    (N, 1, 1, 1) on its device. Both prompts go through it in one doubled batch, and where w is 1 the positive one
    alone. A level on the CPU waits for no device. Raises ValueError for x of another shape and for prompts that are
    neither one nor N, both told under `name`.
    """
    rows = len(positive)

    def denoiser(x: Tensor, sigma: Tensor | float) -> Tensor:
        if x.ndim != 4 or x.shape[1] != channels:
            raise ValueError(f"{name}: x must be latents (N, {channels}, h, w), got {shown(x)}.")
        weight, x = w(sigma) if callable(w) else w, x.to(device)
        own = [sigma.to(device, torch.float32)] if torch.as_tensor(sigma).numel() > 1 else []  # one level a particle
        shared = None if own else float(sigma)

        def guided(x: Tensor, *given: Tensor) -> Tensor:
            one, other, levels = given[:rows], given[rows : 2 * rows], given[2 * rows :]
            if weight == 1:
                return x0(x, levels[0] if own else shared, *one)
            level = torch.cat(2 * levels) if own else shared
            both = (torch.cat(pair) for pair in zip(other, one))
            x0_u, x0_c = x0(torch.cat([x, x]), level, *both).chunk(2)
            return x0_u + weight * (x0_c - x0_u)

        each = (one_each(embeddings, len(x), name) for embeddings in (*positive, *negative))
        return memory.in_chunks(guided, chunk, x, *each, *own)

    return denoiser


def first_noise(
    seeds: Iterable[int] | None, noise: Tensor | None, count: int, shape: tuple[int, ...], device: torch.device
) -> tuple[Noise, Tensor]:
    """The generators of seeds and what a run starts from, `noise` or theirs, (N, *shape); no seeds are 0 to N - 1.

    N is noise's where it is given, else `count`. Raises ValueError for seeds that are not one for each particle.
    """
    if seeds is None:
        seeds = range(count if noise is None else len(noise))
    draws = Noise(seeds, device, torch.float32)
    noise, N = draws.randn(*shape) if noise is None else noise, len(draws.generators)
    if len(noise) != N:
        raise ValueError(f"generate: {N} seeds for {len(noise)} particles of noise; give one each.")
    return draws, noise
