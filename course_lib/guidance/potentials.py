"""Potentials of a set of particles: callables (x, x0, sigma) -> scalar log w. Strengths are in units of the score."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from course_lib.checks import number, shown, whole
from course_lib.guidance.kernels import flatten, rbf
from course_lib.metrics.entropy import spectrum_number

Potential = Callable[[Tensor, Tensor, Tensor], Tensor | float]
Kernel = Callable[[Tensor, Tensor | float | None], Tensor]
Bandwidth = float | Callable[[Tensor], float] | None


@dataclass(frozen=True)
class _SetPotential:
    """What the potentials of a set share: a strength, a kernel on features of x or x0, and its bandwidth.

    h is None (median rule), a number (infinite: no force), or a function of sigma. Features with `takes_sigma` are told
    the noise level of what they are given, 0 for x0.
    """

    alpha: float
    kernel: Kernel = rbf
    features: Callable[[Tensor], Tensor] = flatten
    on: str = "x"
    h: Bandwidth = None

    def __post_init__(self) -> None:
        own = type(self).__name__
        number(self.alpha, f"{own}: alpha")
        _functions(self, "kernel", "features")
        if self.h is not None and not callable(self.h):
            number(self.h, f"{own}: h, unless it is None or a function of sigma,", above=0, infinite=True)
        if self.on not in ("x", "x0"):
            raise ValueError(f"{type(self).__name__}: on must be 'x' or 'x0', got {self.on!r}.")

    def similarity(self, x: Tensor, x0: Tensor, sigma: Tensor) -> Tensor:
        """Kernel matrix of the particles, (N, *shape) -> (N, N); raises ValueError at N = 1."""
        if len(x) < 2:
            raise ValueError(f"{type(self).__name__} needs at least 2 particles, got {len(x)}; raise N.")
        h = self.h(sigma) if callable(self.h) else self.h
        points, level = (x, sigma) if self.on == "x" else (x0, 0.0)
        told = (level,) if getattr(self.features, "takes_sigma", False) else ()
        return self.kernel(self.features(points, *told), h)


def _functions(potential, *names: str) -> None:
    """Raises ValueError unless these fields of a potential are functions."""
    for name in names:
        if not callable(getattr(potential, name)):
            got = shown(getattr(potential, name))
            raise ValueError(f"{type(potential).__name__}: {name} must be a function, got {got}.")


@dataclass(frozen=True)
class Repulsion(_SetPotential):
    """Repulsive potential log w = -alpha / (2 N) sum_ij k_ij (4.2), whose gradient is the force (4.4).

    Source: Pondaven (2023); Corso et al. (2024), eq. (4).
    """

    def __call__(self, x: Tensor, x0: Tensor, sigma: Tensor) -> Tensor:
        """(N, *shape), (N, *shape), () -> ()."""
        return -self.alpha / (2 * len(x)) * self.similarity(x, x0, sigma).sum()


@dataclass(frozen=True)
class Determinantal(_SetPotential):
    """Determinantal potential log w = alpha log(det L / det(L + I)), L = k + jitter I (4.11).

    The jitter keeps log det finite for coincident particles.
    Source: Kulesza and Taskar (2012); Morshed and Boddeti (2025).
    """

    on: str = "x0"
    jitter: float = 1e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        number(self.jitter, "Determinantal: jitter", above=0)

    def __call__(self, x: Tensor, x0: Tensor, sigma: Tensor) -> Tensor:
        """(N, *shape), (N, *shape), () -> ()."""
        k = self.similarity(x, x0, sigma)
        identity = torch.eye(len(k), dtype=k.dtype, device=k.device)
        L = k + self.jitter * identity
        return self.alpha * (torch.logdet(L) - torch.logdet(L + identity))


@dataclass(frozen=True)
class VendiPotential(_SetPotential):
    """Vendi potential log w = alpha log Vendi_q(k) (4.12), q = 1 or any other order.

    Source: Askari Hemmat et al. (2024) for q = 1, Jalali et al. (2025) for q = 2.
    """

    on: str = "x0"
    q: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (isinstance(self.q, float) and self.q == float("inf")):
            number(self.q, "VendiPotential: q", 0)

    def __call__(self, x: Tensor, x0: Tensor, sigma: Tensor) -> Tensor:
        """(N, *shape), (N, *shape), () -> ()."""
        return self.alpha * spectrum_number(self.similarity(x, x0, sigma), self.q).log()


@dataclass(frozen=True)
class Above:
    """A potential that acts only while sigma > level, where the score can still pull particles back."""

    level: float
    potential: Potential

    def __post_init__(self) -> None:
        number(self.level, "Above: level")
        _functions(self, "potential")

    def __call__(self, x: Tensor, x0: Tensor, sigma: Tensor) -> Tensor | float:
        """(N, *shape), (N, *shape), () -> (), or the number 0 where it is switched off."""
        return self.potential(x, x0, sigma) if float(sigma) > self.level else 0.0


@dataclass(frozen=True)
class Groups:
    """A potential within each block of `size` particles: independent sets side by side, say one per prompt.

    All sets at once where torch.vmap can, which no decoder lets it; else one after the other.
    """

    size: int
    potential: Potential

    def __post_init__(self) -> None:
        whole(self.size, "Groups: size", 1)
        _functions(self, "potential")

    def __call__(self, x: Tensor, x0: Tensor, sigma: Tensor) -> Tensor | float:
        """(R * size, *shape), (R * size, *shape), () -> (), the sum over the R sets, 0 where it is switched off."""
        sets = blocks(x, self.size), blocks(x0, self.size)
        try:
            return torch.vmap(lambda a, b: self.potential(a, b, sigma))(*sets).sum()
        except (RuntimeError, ValueError):  # vmap cannot run it (group norm, a number for a tensor), or nothing can
            pass
        return sum(self.potential(a, b, sigma) for a, b in zip(*sets))


def blocks(x: Tensor, size: int) -> Tensor:
    """(R * size, *shape) -> (R, size, *shape); raises ValueError where N is no multiple of size."""
    if size < 1 or len(x) % size:
        raise ValueError(f"blocks: the number of particles must be a multiple of size = {size}, got {len(x)}.")
    return x.unflatten(0, (-1, size))
