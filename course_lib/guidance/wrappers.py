"""Denoisers made from denoisers: pulled by potentials, shielded, steered, annealed, switched, or run set by set."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from course_lib.checks import finite, gradients_allowed, number, numeric, shown, typed, whole
from course_lib.denoisers import Denoiser
from course_lib.guidance.kernels import flatten, rbf
from course_lib.guidance.potentials import Bandwidth, Kernel, Potential, blocks
from course_lib.metrics import squared_distances


@typed
def guided(
    denoiser: Denoiser,
    *potentials: Potential,
    through_denoiser: bool = False,
    sigma_data: float = 1.0,
    relative: float | None = None,
    clip: float | None = None,
) -> Denoiser:
    """A denoiser pulled by potentials, D(x, sigma) + sigma**2 grad_x log w (4.1).

    x0 moves with x by its exact Jacobian if `through_denoiser`, else by the slope sigma_data**2 / (sigma**2 +
    sigma_data**2) (4.8), which needs no backward pass through the network. `relative` gives each particle's force that
    share of the length of its score, `clip` caps it at that share (4.15). Shapes as the denoiser's; gradients flow
    through it where x asks. Raises ValueError in torch.inference_mode, and for a log w that is no scalar made of x.
    """
    number(sigma_data, "guided: sigma_data", above=0)
    for name, share in (("relative", relative), ("clip", clip)):
        if share is not None and not 0 <= share < float("inf"):
            raise ValueError(f"guided: {name} must be a share of the score's length, at least 0, got {share}.")

    def pulled(x: Tensor, sigma: Tensor) -> Tensor:
        gradients_allowed("guided", x, sigma)
        outer = torch.is_grad_enabled() and x.requires_grad
        x0 = None if through_denoiser else denoiser(x, sigma)
        with torch.enable_grad():
            # The gradient is taken with respect to a shift of all particles, 0 long. x itself will not do: it may
            # stand in the caller's graph, and x0 has to move along with it by the slope alone. In float32 or better:
            # at high noise a half would round the force to 0.
            shift = torch.zeros_like(x, dtype=torch.promote_types(x.dtype, torch.float32), requires_grad=True)
            if through_denoiser:
                x0 = shifted = denoiser((x + shift).to(x.dtype), sigma)
            else:
                shifted = x0 + sigma_data**2 / (sigma**2 + sigma_data**2) * shift
            x0 = x0 if outer else x0.detach()
            log_w = sum(potential(x + shift, shifted, sigma) for potential in potentials)
            if not isinstance(log_w, Tensor):  # no potential is active at this level
                return x0
            if log_w.ndim or not log_w.requires_grad:
                raise ValueError(f"guided: log w must be one number, computed from x or x0, got {shown(log_w)}.")
            (force,) = torch.autograd.grad(log_w, shift, create_graph=outer)
        return (x0 + sigma**2 * _limited(force, (x0 - x) / sigma**2, relative, clip)).to(
            torch.promote_types(x.dtype, x0.dtype)
        )

    return pulled


def _limited(force: Tensor, score: Tensor, relative: float | None, clip: float | None) -> Tensor:
    """The force scaled per particle to a share of the score, or capped at one (4.15), (N, *shape) -> (N, *shape)."""
    if relative is None and clip is None:
        return force
    columns = (-1, *[1] * (force.ndim - 1))
    length = force.flatten(1).norm(dim=1)
    ratio = score.flatten(1).norm(dim=1) / length.where(length > 0, torch.ones_like(length))
    if relative is None:
        return force * (clip * ratio).clamp(max=1.0).reshape(columns)
    share = relative if clip is None else min(relative, clip)
    return force * (share * ratio).reshape(columns)


@typed
def switch(level: float, above: Denoiser, below: Denoiser) -> Denoiser:
    """The denoiser `above` while sigma > level and `below` from there on: a window for any method."""
    return lambda x, sigma: (above if float(sigma) > level else below)(x, sigma)


@typed
def in_groups(denoiser: Denoiser, size: int) -> Denoiser:
    """A denoiser of sets (SPELL, say) applied to each block of `size` particles, (R * size, *shape) -> the same shape.

    All sets at once where torch.vmap can; one after the other where the denoiser draws noise or takes gradients inside,
    as `guided` does: its potentials go faster in `Groups`.
    """
    whole(size, "in_groups: size", 1)
    at_once = True

    def each(x: Tensor, sigma: Tensor) -> Tensor:
        nonlocal at_once
        sets = blocks(x, size)
        try:
            if at_once:
                return torch.vmap(lambda block: denoiser(block, sigma))(sets).reshape(x.shape)
        except (RuntimeError, ValueError):  # vmap cannot run this denoiser, or nothing can
            at_once = False
        return torch.cat([denoiser(block, sigma) for block in sets])

    return each


@typed
def svgd(denoiser: Denoiser, kernel: Kernel = rbf, alpha: float = 1.0, h: Bandwidth = None) -> Denoiser:
    """Stein variational guidance: x + sigma**2 (sum_j k_ij score_j + alpha sum_j grad_j k_ij) / sum_j k_ij (4.6).

    Particles share their scores and repel; the division keeps the drift's size where k_ij is small. Raises ValueError
    at N = 1 with the median rule; with h given, one particle just climbs; and in inference mode. Source: Liu and Wang
    (2016), eq. (8).
    """
    number(alpha, "svgd: alpha")
    if h is not None and not callable(h):
        number(h, "svgd: h, unless it is None or a function of sigma,", above=0)

    def steered(x: Tensor, sigma: Tensor) -> Tensor:
        gradients_allowed("svgd", x, sigma)
        dtype, x = x.dtype, x.to(torch.promote_types(x.dtype, torch.float32))
        s = (denoiser(x.to(dtype), sigma) - x) / sigma**2
        outer = torch.is_grad_enabled() and x.requires_grad
        with torch.enable_grad():
            shift = torch.zeros_like(x, requires_grad=True)  # as in `guided`
            k = kernel(flatten(x + shift), h(sigma) if callable(h) else h)
            # the gradient of the sum is 2 sum_j grad_i k_ij = -2 sum_j grad_j k_ij
            (grad,) = torch.autograd.grad(k.sum(), shift, create_graph=outer)
        k = k if outer else k.detach()
        total = k.sum(1).reshape(-1, *[1] * (x.ndim - 1))
        return (x + sigma**2 * ((k @ flatten(s)).reshape(x.shape) - alpha / 2 * grad) / total).to(dtype)

    return steered


@typed
def spell(denoiser: Denoiser, radius: float, lam: float = 1.6, memory: Tensor | None = None) -> Denoiser:
    """SPELL pushes x0 out of the balls around the others: x0 + lam sum_k relu(radius / d_ik - 1) (x0_i - z_k) (4.10).

    z_k are the other particles' x0 and the rows of `memory` (M, *shape), finished or protected samples. With lam = 1
    and one ball the result lies on its sphere. Coincident points have no direction and are left. Source: Kirchhof et
    al. (2025), eq. (5).
    """
    if not 0 < radius < float("inf"):
        raise ValueError(f"spell: radius must be positive, got {radius}.")
    number(lam, "spell: lam")
    if memory is not None:
        finite(memory, "spell: memory")

    def shielded(x: Tensor, sigma: Tensor) -> Tensor:
        x0 = denoiser(x, sigma)
        if memory is not None and memory.shape[1:] != x0.shape[1:]:
            raise ValueError(f"spell: memory must be samples (M, {x0.shape[1:]}), got {shown(memory)}.")
        z = x0 if memory is None else torch.cat([x0, memory.to(x0)])
        d2 = squared_distances(flatten(x0), flatten(z))  # (N, N + M)
        itself = torch.eye(*d2.shape, dtype=torch.bool, device=d2.device)
        distance = d2.masked_fill(itself | (d2 == 0), torch.inf).sqrt()
        weight = (radius / distance - 1).clamp(min=0)
        push = weight.sum(1, keepdim=True) * flatten(x0) - weight @ flatten(z).to(weight)
        return (x0 + lam * push.reshape(x0.shape)).to(x0.dtype)

    return shielded


@typed
def cads(
    denoiser_of: Callable[[Tensor], Denoiser],
    y: Tensor,
    sigmas: Tensor | Sequence[float],
    tau1: float = 0.6,
    tau2: float = 0.9,
    scale: float = 0.25,
    psi: float = 1.0,
    randn_like: Callable[[Tensor], Tensor] = torch.randn_like,
) -> Denoiser:
    """Condition-annealed denoiser: the condition y (N, *shape) is noised early and clean late (3.8), (3.9).

    With t from 1 at the first of `sigmas` to 0 at the last, gamma(t) is 1 up to tau1, 0 from tau2, linear between; the
    noised condition sqrt(gamma) y + scale sqrt(1 - gamma) n is rescaled to each row's own mean and spread, by a share
    psi. Raises ValueError for taus out of order, or for rows of one number unless psi = 0. Source: Sadat et al. (2024),
    algorithm 1 (statistics per particle, so that they do not depend on the batch).
    """
    if not 0 <= tau1 < tau2 <= 1:
        raise ValueError(f"cads: needs 0 <= tau1 < tau2 <= 1, got tau1={tau1}, tau2={tau2}.")
    number(scale, "cads: scale", 0)
    number(psi, "cads: psi", 0, high=1)
    if y.ndim < 2 or not y.numel():
        raise ValueError(f"cads: y must be conditions (N, *shape), got {shown(y)}.")
    if psi > 0 and y[:1].numel() < 2:
        raise ValueError("cads: a condition of one number per particle has no spread to be rescaled to; pass psi=0.")
    levels = numeric(sigmas, "cads: sigmas")
    if levels.ndim != 1 or len(levels) < 2:
        raise ValueError(f"cads: sigmas must be at least two levels, got {shown(levels)}.")
    dims = tuple(range(1, y.ndim))

    def annealed(x: Tensor, sigma: Tensor) -> Tensor:
        done = int((levels.to(torch.as_tensor(sigma)) > sigma).sum())  # levels already left
        t = 1 - done / (len(levels) - 1)
        gamma = min(max((tau2 - t) / (tau2 - tau1), 0.0), 1.0)
        if gamma == 1:
            return denoiser_of(y)(x, sigma)
        noised = gamma**0.5 * y + scale * (1 - gamma) ** 0.5 * randn_like(y)
        if psi > 0:
            standard = (noised - noised.mean(dims, keepdim=True)) / noised.std(dims, keepdim=True).clamp(min=1e-12)
            rescaled = standard * y.std(dims, keepdim=True) + y.mean(dims, keepdim=True)
            noised = psi * rescaled + (1 - psi) * noised
        return denoiser_of(noised)(x, sigma)

    return annealed
