"""Precision, recall, density and coverage: counts of samples inside balls to the k-th nearest neighbour."""

from typing import NamedTuple

import torch
from torch import Tensor

from course_lib.checks import whole
from course_lib.metrics.checks import checked_pair
from course_lib.metrics.distances import exact_squares

BLOCK = 1024  # rows of the distance matrix that are held at once
ROUNDING = 1e-12  # of what a squared distance was computed from: more than it loses


class PRDC(NamedTuple):
    """Quality (precision, density) beside diversity (recall, coverage); precision, recall and coverage are shares."""

    precision: float
    recall: float
    density: float
    coverage: float


def _balls(centres: Tensor, points: Tensor, k: int, strict: bool, name: str) -> tuple[Tensor, Tensor]:
    """How many balls hold each point, and how many points each ball holds, (N, d), (M, d) -> (M,), (N,).

    Ball i reaches from centre i to its k-th nearest other centre. Distances that differ by rounding only are equal.
    """
    if not 1 <= whole(k, f"{name}: k") < len(centres):
        raise ValueError(f"{name}: k must be from 1 to {len(centres) - 1}, the neighbours a sample has, got {k}.")
    holding, held = torch.zeros(len(points), dtype=torch.long, device=points.device), []
    for start in range(0, len(centres), BLOCK):
        block = centres[start : start + BLOCK]
        own, _ = exact_squares(block, centres)
        own[torch.arange(len(block)), torch.arange(start, start + len(block))] = torch.inf  # a centre is not its own
        radius2 = own.kthvalue(k, 1, keepdim=True).values
        d2, size = exact_squares(block, points)
        inside = d2 + ROUNDING * size < radius2 if strict else d2 - ROUNDING * size <= radius2
        holding += inside.sum(0)
        held.append(inside.sum(1))
    return holding, torch.cat(held)


def precision(real: Tensor, fake: Tensor, k: int = 5, strict: bool = False) -> float:
    """Share of fake samples that lie in some ball of the real ones (9.9), (N, d), (M, d) -> float.

    A ball reaches to its centre's k-th nearest neighbour, its surface included unless `strict`. Raises ValueError for
    shapes that do not fit, values that are not finite, or k outside [1, N - 1]. Source: Kynkaanniemi et al. (2019), who
    take k = 3.
    """
    real, fake = checked_pair(real, fake, "precision", ("real", "fake"), least=1)
    return (_balls(real, fake, k, strict, "precision")[0] > 0).double().mean().item()


def recall(real: Tensor, fake: Tensor, k: int = 5, strict: bool = False) -> float:
    """Share of real samples that lie in some ball of the fake ones (9.9), (N, d), (M, d) -> float.

    `precision` with the two sets exchanged; raises ValueError as it does, for k outside [1, M - 1].
    """
    real, fake = checked_pair(real, fake, "recall", ("real", "fake"), least=1)
    return (_balls(fake, real, k, strict, "recall")[0] > 0).double().mean().item()


def density(real: Tensor, fake: Tensor, k: int = 5, strict: bool = False) -> float:
    """Mean number of real balls that hold a fake sample, over k (9.10), (N, d), (M, d) -> float.

    1 on average for two samples of one law; no upper end: fakes huddled where real samples are dense score above 1.
    Raises ValueError as `precision`. Source: Naeem et al. (2020), whose code is strict.
    """
    real, fake = checked_pair(real, fake, "density", ("real", "fake"), least=1)
    return (_balls(real, fake, k, strict, "density")[0].double().mean() / k).item()


def coverage(real: Tensor, fake: Tensor, k: int = 5, strict: bool = False) -> float:
    """Share of real balls that hold a fake sample (9.10), (N, d), (M, d) -> float; compare with `expected_coverage`.

    Raises ValueError as `precision`. Source: Naeem et al. (2020), whose code is strict.
    """
    real, fake = checked_pair(real, fake, "coverage", ("real", "fake"), least=1)
    return (_balls(real, fake, k, strict, "coverage")[1] > 0).double().mean().item()


def prdc(real: Tensor, fake: Tensor, k: int = 5, strict: bool = False) -> PRDC:
    """Precision, recall, density and coverage at once (9.9, 9.10), (N, d), (M, d) -> PRDC.

    Memory O(1024 (N + M)), time O((N + M)**2 d). With `strict` the surface of a ball is outside, as in the package
    prdc, where more than k copies of a sample have no ball at all. Raises ValueError as `precision`, and for
    k >= M. Sources: Kynkaanniemi et al. (2019); Naeem et al. (2020).
    """
    real, fake = checked_pair(real, fake, "prdc", ("real", "fake"), least=1)
    holding, held = _balls(real, fake, k, strict, "prdc")
    recalled, _ = _balls(fake, real, k, strict, "prdc")
    shares = [(count > 0).double().mean().item() for count in (holding, recalled, held)]
    return PRDC(shares[0], shares[1], (holding.double().mean() / k).item(), shares[2])


def expected_coverage(n: int, m: int, k: int = 5) -> float:
    """Mean coverage of n real samples by m fakes of the same law, 1 - prod_{i=1..k} (n - i) / (n + m - i) (9.11).

    Exact for any law without ties: a ball stays empty if the k nearest of n + m - 1 others are all real. Raises
    ValueError unless m >= 1 and 1 <= k < n.
    """
    n, m, k = (whole(value, f"expected_coverage: {name}") for name, value in (("n", n), ("m", m), ("k", k)))
    if m < 1 or not 1 <= k < n:
        raise ValueError(f"expected_coverage: needs m >= 1 and 1 <= k < n, got n = {n}, m = {m} and k = {k}.")
    empty = 1.0
    for i in range(1, k + 1):
        empty *= (n - i) / (n + m - i)
    return 1 - empty


def nearer_to_training(generated: Tensor, training: Tensor, held_out: Tensor) -> Tensor:
    """Share of generated samples that are nearer to a training sample than to any held-out one (12.5), -> ().

    Shapes (N, d), (M, d), (M, d): both sets must have one size, or the larger one is nearer for no other reason. .5 is
    what no memory gives, 1 is copying; a tie counts one half. Raises ValueError for shapes that do not fit or values
    that are not finite. A relative of the test of Meehan, Chaudhuri and Dasgupta (2020), who compare distances to the
    training set.
    """
    names = ("generated", "training")
    generated, training = checked_pair(generated, training, "nearer_to_training", names, least=1)
    generated, held_out = checked_pair(generated, held_out, "nearer_to_training", ("generated", "held_out"), least=1)
    if len(training) != len(held_out):
        raise ValueError(
            f"nearer_to_training: needs as many held-out samples as training samples, got {len(held_out)} and "
            f"{len(training)}."
        )
    seen, unseen = (exact_squares(generated, some)[0].min(1).values for some in (training, held_out))
    return ((seen < unseen).double() + 0.5 * (seen == unseen).double()).mean()
