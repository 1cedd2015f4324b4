"""When is an effect shown? One rule for every claim: Student's t over independent repeats, one-sided 1 %.

A repeat is what was drawn anew: a seed, a group, a subject, a set of references, and never one picture of a group.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from scipy.special import nctdtrinc, stdtrit
from torch import Tensor

from course_lib.checks import number, numeric, shown, whole
from course_lib.metrics.bootstrap import Estimate, mean_and_error

LEVEL = 0.01  # of what is not there, one in a hundred is called shown
POWER = 0.9  # "could be shown" means nine times in ten
LEAST = {"live": 5, "stored": 8}  # repeats that a verdict needs
ROUNDING = 1e-12  # a spread below this share of the numbers is rounding, and none

Arm = Estimate | Tensor | Sequence[float]


class Excess(NamedTuple):
    """By how much something lies beyond a limit, its standard error, the degrees of freedom, and the fewest repeats."""

    mean: float
    error: float
    df: float
    n: int

    @property
    def needed(self) -> float:
        """What the mean must exceed: t error, with t the 99 % quantile of Student's t."""
        return float(stdtrit(self.df, 1 - LEVEL)) * self.error

    @property
    def is_shown(self) -> bool:
        """mean > t error; without any spread nothing is shown."""
        return self.error > 0 and self.mean > self.needed

    @property
    def smallest(self) -> float:
        """The smallest excess that as many repeats, as scattered as these, would show nine times in ten.

        In errors it is the noncentrality at which Student's t stays below its 99 % quantile once in ten times.
        """
        return float(nctdtrinc(self.df, 1 - POWER, stdtrit(self.df, 1 - LEVEL))) * self.error


def estimated(arm: Arm, name: str = "arm") -> Estimate:
    """The mean of repeats and its standard error, (R,) -> Estimate; an Estimate stays what it is.

    Raises TypeError for anything else, ValueError for fewer than two repeats or numbers that are not finite.
    """
    if isinstance(arm, Estimate):
        mean, error = number(arm.mean, f"{name}.mean"), number(arm.error, f"{name}.error", low=0)
        return Estimate(mean, error, whole(arm.n, f"{name}.n", 1))
    return mean_and_error(_repeats(arm, name))


def _repeats(arm: Arm, name: str) -> Tensor:
    try:
        values = numeric(arm, name, torch.float64)
    except ValueError:
        values = None
    if values is None or isinstance(arm, Estimate) or values.ndim != 1:
        raise TypeError(f"{name} must be repeats (R,) or an Estimate(mean, error, n), got {shown(arm)}.")
    if len(values) < 2 or not values.isfinite().all():
        raise ValueError(f"{name} must be two finite repeats or more, got {values.tolist()[:8]}.")
    return values


def excess(measured: Arm, limit: Arm | float, *, below: bool = False, paired: bool = False) -> Excess:
    """How far `measured` lies above a limit, or below it: a number, or another arm with repeats of its own.

    Against an arm it is Welch's difference: error**2 = e1**2 + e2**2, df = error**4 / sum(e**4 / (n - 1)); with
    paired=True the mean difference of repeats that share a seed or a subject, df = R - 1. Raises as `estimated` does,
    and ValueError for pairs of unequal number. Sources: Student (1908), Welch (1947).
    """
    if paired and not _is_number(limit):
        one, other = _repeats(measured, "measured"), _repeats(limit, "limit")
        if len(one) != len(other):
            raise ValueError(f"paired repeats must be equal in number, got {len(one)} and {len(other)}.")
        mean, error, n = mean_and_error(one - other)
        df, scale = n - 1, float(one.abs().mean() + other.abs().mean())
    else:
        one = estimated(measured, "measured")
        exact = _is_number(limit)
        other = Estimate(number(limit, "limit"), 0.0, one.n) if exact else estimated(limit, "limit")
        mean, error, n = one.mean - other.mean, (one.error**2 + other.error**2) ** 0.5, min(one.n, other.n)
        parts = sum(arm.error**4 / (arm.n - 1) for arm in (one, other) if arm.n > 1)
        df, scale = error**4 / parts if parts > 0 else 1.0, abs(one.mean) + abs(other.mean)
    return Excess(-mean if below else mean, error if error > ROUNDING * scale and n > 1 else 0.0, df, n)


def _is_number(limit) -> bool:
    return getattr(limit, "ndim", None) == 0 or isinstance(limit, int | float)


class Judgement(NamedTuple):
    """What one rule says of an effect: arms, limits (an arm by its mean), how far it is beyond them, and a verdict."""

    arms: dict[str, Estimate]
    limits: dict[str, float]
    sides: list[Excess]
    over_baseline: Excess
    is_shown: bool
    reason: str


def judged(
    measured: Arm,
    baseline: Arm,
    control: Arm,
    above: Arm | float | None = None,
    below: Arm | float | None = None,
    source: str = "live",
    paired: bool = False,
) -> Judgement:
    """Whether `measured` lies above and/or below its limits and its control does not, and how far over its baseline.

    With paired=True the repeats of `measured` share seeds or subjects with those of the baseline and of a limit that
    is an arm. Raises as `excess` does, and ValueError for an unknown source or no limit.
    """
    limits = {name: limit for name, limit in {"above": above, "below": below}.items() if limit is not None}
    if not limits:
        raise ValueError("above or below must say what is claimed, got neither.")
    means = {
        name: number(limit, name) if _is_number(limit) else estimated(limit, name).mean
        for name, limit in limits.items()
    }
    if source not in LEAST:
        raise ValueError(f'source must be "live" or "stored", got {shown(source)}.')
    arms = {"measured": measured, "baseline": baseline, "control": control}
    arms = {name: estimated(arm, name) for name, arm in arms.items()}
    sides = [excess(measured, limit, below=name == "below", paired=paired) for name, limit in limits.items()]
    ordinary = [excess(control, limit, below=name == "below") for name, limit in limits.items()]
    reason = _doubt(sides, ordinary, source)
    over = excess(measured, baseline, below=above is None, paired=paired)
    return Judgement(arms, means, sides, over, not reason, reason)


def _doubt(sides: list[Excess], ordinary: list[Excess], source: str) -> str:
    """Why an effect is not shown, or nothing. A control without any spread shows it when it lies beyond the limits."""
    for name, all_sides in {"": sides, "the control has ": ordinary}.items():
        n = min(side.n for side in all_sides)
        if n < LEAST[source]:
            return f"{name}n = {n} {source} repeats, and the rule asks for {LEAST[source]}"
    if any(side.error == 0 for side in sides):
        return "the repeats have no spread, so nothing says how sure they are"
    if not all(side.is_shown for side in sides):
        return "what was measured does not show it"
    if all(side.is_shown or (side.error == 0 and side.mean > 0) for side in ordinary):
        return "the control shows it as well"
    return ""
