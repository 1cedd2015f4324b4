"""From seeds to samples with gradients, in little memory; and the best of several seeds, which needs none."""

import math
from collections import deque
from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from course_lib.denoisers import Denoiser
from course_lib.samplers import Step, ddim, trajectory


class _Replayed(torch.autograd.Function):
    """network(*inputs) as it is, and the gradient of the same in a half, for the inputs alone."""

    @staticmethod
    def forward(ctx, network: Callable[..., Tensor], half: torch.dtype, *inputs: Tensor) -> Tensor:
        ctx.network, ctx.half, ctx.noise = network, half, torch.get_rng_state()
        ctx.save_for_backward(*inputs)
        return network(*inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx, slope: Tensor) -> tuple[Tensor | None, ...]:
        asked = ctx.needs_input_grad[2:]
        inputs = [x.detach().requires_grad_(needed) for x, needed in zip(ctx.saved_tensors, asked)]
        in_half = torch.autocast(slope.device.type, ctx.half)
        with torch.random.fork_rng(devices=()), torch.enable_grad(), in_half:
            torch.set_rng_state(ctx.noise)
            out = ctx.network(*inputs)
        found = iter(torch.autograd.grad(out, [x for x in inputs if x.requires_grad], slope.to(out)))
        return None, None, *(next(found) if needed else None for needed in asked)


def checkpointed(network: Callable[..., Tensor], half: torch.dtype | None = None) -> Callable[..., Tensor]:
    """The same denoiser, or encoder, whose activations are computed again in the backward pass instead of being kept.

    Gradients are equal bit for bit, and the memory of a run no longer grows with the network's activations times the
    number of steps; each step costs one more forward pass. With `half`, float16 or bfloat16, what is computed again is
    so in autocast: the output stays that of the network's own precision, the activations need up to half the memory,
    and gradients, of the input tensors alone and once, are rounded ones at the right place. Random numbers inside must
    come from torch's own generator. Raises ValueError for another `half`. Source: Chen et al. (2016).
    """
    if half is None:
        return lambda *inputs: checkpoint(network, *inputs, use_reentrant=False)
    if half not in (torch.float16, torch.bfloat16):
        raise ValueError(f"checkpointed: half must be torch.float16, torch.bfloat16 or None, got {half}.")
    return lambda *inputs: _Replayed.apply(network, half, *inputs)


def sampler(
    denoiser: Denoiser,
    sigmas: Tensor,
    start: Callable[[Tensor], Tensor] | None = None,
    step: Step = ddim,
    keep: int = 1,
    half: torch.dtype | None = None,
) -> Callable[[Tensor], Tensor]:
    """The map from seeds to samples z -> x (6.1), differentiable, each step checkpointed; (N, *shape) -> the same.

    `start` makes the first particles of a seed, sigmas[0] z if None. With keep > 1 it gives the last `keep` particles
    of the trajectory, (keep, N, *shape), for a loss over the last steps (6.9). `half` is that of `checkpointed`.
    """
    if not 1 <= keep < len(sigmas):
        raise ValueError(f"sampler: keep must be between 1 and the {len(sigmas) - 1} steps, got {keep}.")
    replayed = checkpointed(denoiser, half)

    def run(z: Tensor) -> Tensor:
        x = sigmas[0].to(z) * z if start is None else start(z)
        last = deque((state.x for state in trajectory(replayed, x, sigmas, step)), maxlen=keep)
        return last[-1] if keep == 1 else torch.stack(tuple(last))

    return run


@torch.no_grad()
def best_of(run: Callable[[Tensor], Tensor], loss: Callable[[Tensor], Tensor], candidates: Tensor) -> Tensor:
    """The best seed of M for each particle, tried without gradients, (M, N, *shape) -> (N, *shape)."""
    values = torch.stack([loss(run(z)) for z in candidates])  # (M, N)
    return candidates[values.argmin(0).to(candidates.device), torch.arange(candidates.shape[1])]


def success_of_best(loss: Tensor, hit: Tensor, n: int) -> float:
    """Chance that the best of n candidates is a hit (11.5), candidates drawn from M without replacement.

    loss (M,) ranks the candidates, hit (M,) says which are hits. The k-th of all M in the order of the loss is the best
    of n in C(M - k, n - 1) of C(M, n) draws, so no draw has to be made. Raises ValueError unless 1 <= n <= M.
    """
    M = len(loss)
    if not 1 <= n <= M:
        raise ValueError(f"success_of_best: needs 1 <= n <= M = {M}, got {n}.")
    k = torch.arange(1, M - n + 2, dtype=torch.float64)  # places that the best of n can have
    log_ways = torch.lgamma(M - k + 1) - torch.lgamma(M - k - n + 2) - math.lgamma(n)
    log_all = math.lgamma(M + 1) - math.lgamma(M - n + 1) - math.lgamma(n + 1)
    ranked = hit.cpu()[loss.cpu().argsort(stable=True)][: len(k)].double()
    return float(((log_ways - log_all).exp() * ranked).sum())
