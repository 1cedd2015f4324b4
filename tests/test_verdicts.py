"""Verdicts: how often the rule is wrong when nothing is there, how often it sees what is there, and against what."""

import pytest
import torch
from scipy.stats import ttest_1samp, ttest_ind, ttest_rel

from course_lib.metrics import Estimate, mean_and_error
from course_lib.verdicts import LEAST, excess, judged

DRAWS = 4000


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def share_shown(n: int, effect: float, limit_is_arm: bool = False, paired: bool = False) -> float:
    """How many of DRAWS experiments are called shown, whose mean lies `effect` true standard errors over the limit."""
    source = "stored" if n >= LEAST["stored"] else "live"
    ours, base, far = normal(n, DRAWS, n), normal(n + 1, DRAWS, n), normal(n + 2, DRAWS, n) - 9.0
    ours = ours + effect / n**0.5 * (2**0.5 if limit_is_arm and not paired else 1)
    if paired:  # one subject's repeats share what is common to both arms
        ours, base = ours + 3 * base, 3 * base
    limits = [b if limit_is_arm else 0.0 for b in base]
    found = [judged(a, b, c, above=k, source=source, paired=paired) for a, b, c, k in zip(ours, base, far, limits)]
    return sum(one.is_shown for one in found) / DRAWS


@pytest.mark.parametrize("n", [3, 5, 8, 16, 48])
def test_nothing_is_called_shown_more_often_than_the_rule_says(n):
    """At most 1.5 % of claims without an effect, and with three repeats none."""
    share = share_shown(n, 0.0)
    assert share <= 0.015
    assert (share == 0) == (n < LEAST["live"])


@pytest.mark.parametrize("paired", [False, True])
def test_nothing_is_called_shown_against_another_arm_either(paired):
    """Welch's difference, and pairs whose common part is three times what sets them apart."""
    assert 0.003 <= share_shown(8, 0.0, limit_is_arm=True, paired=paired) <= 0.015


@pytest.mark.parametrize("paired", [False, True])
def test_five_errors_are_called_shown_nine_times_in_ten(paired):
    """With eight repeats a side; unpaired, with the common part in both arms, the same effect would drown."""
    assert share_shown(8, 5.0, limit_is_arm=paired, paired=paired) >= 0.9


def test_the_smallest_effect_is_the_one_that_is_shown_nine_times_in_ten():
    """In units of the true error; the box quotes it with the error that was measured."""
    ideal = excess(Estimate(0.0, 1.0, 8), 0.0)
    assert ideal.smallest == pytest.approx(4.533, abs=1e-3)
    assert share_shown(8, ideal.smallest) == pytest.approx(0.9, abs=0.015)


def test_the_rule_is_student_s_t():
    """scipy's tests have the same p below and above 1 % as the rule has verdicts, for each kind of limit."""
    for seed in range(40):
        a, b = normal(seed, 8) + 1.2, 2 * normal(seed + 99, 11)
        tests = {
            ttest_1samp(a, 0.5, alternative="greater").pvalue: excess(a, 0.5),
            ttest_1samp(a, 2.0, alternative="less").pvalue: excess(a, 2.0, below=True),
            ttest_ind(a, b, equal_var=False, alternative="greater").pvalue: excess(a, b),
            ttest_rel(a, b[:8], alternative="greater").pvalue: excess(a, b[:8], paired=True),
        }
        for p, found in tests.items():
            assert found.is_shown == (p < 0.01)


def test_estimates_are_judged_as_their_repeats_are():
    """Mean, error and n say all that the rule needs."""
    a, b = normal(1, 8), normal(2, 12)
    assert excess(mean_and_error(a), mean_and_error(b)) == pytest.approx(excess(a, b), rel=1e-12)


@pytest.mark.parametrize("values", [[0.1] * 8, [1.0] * 8, [1 / 3] * 9])
def test_no_spread_at_all_is_never_shown(values):
    """Eight equal numbers say nothing about the ninth; that .1 has no end in binary is no spread."""
    control = normal(3, 8) - 9
    found = judged(values, control, control, above=0.0, source="stored")
    assert (found.is_shown, found.reason[:26]) == (False, "the repeats have no spread")
    moved = torch.tensor(values, dtype=torch.float64) + normal(4, len(values))
    pairs = excess(moved + 0.1, moved, paired=True)
    assert (pairs.error, pairs.is_shown) == (0, False)
    assert judged(control + 20, control, values, above=0.0, source="stored").reason == "the control shows it as well"


def test_too_few_repeats_are_told_for_the_side_that_has_them():
    """Five live, eight stored; a control of three says as little as a measurement of three."""
    many, far = normal(5, 8) + 9, normal(6, 8)
    assert judged(many[:7], far, far, above=5.0, source="live").is_shown
    assert judged(many[:7], far, far, above=5.0, source="stored").reason.startswith("n = 7 stored repeats")
    assert judged(many, far, far[:4], above=5.0, source="live").reason.startswith("the control has n = 4 live repeats")


def test_between_two_limits_both_must_be_passed():
    """And a control shows it only when it passes both."""
    many, far = 0.1 * normal(7, 8) + 8.5, normal(8, 8)
    assert judged(many, far, far, above=8.0, below=9.0, source="stored").is_shown
    assert not judged(many, far, far, above=8.0, below=8.4, source="stored").is_shown
    assert judged(many, far, many + 5, above=8.0, below=9.0, source="stored").is_shown
    assert not judged(many, far, many + 0.01, above=8.0, below=9.0, source="stored").is_shown
