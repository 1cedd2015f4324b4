"""Claims: a sentence with the numbers that carry it, its baseline, its control, and a verdict that can fail.

A claim is displayed as a box in a notebook and collected for the ledger. `stored` gives results too long to compute in
a chapter, with their checksum verified.
"""

import hashlib
import html
import json
import math
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from course_lib.checks import number as _number
from course_lib.checks import shown, whole
from course_lib.metrics.bootstrap import Estimate

MIME = "application/vnd.course.claim+json"
RESULTS = Path(__file__).with_name("results")

_MARK = {"holds": "✓", "reproduced": "✓", "fails": "✗", "not reproduced": "✗", "cannot be tested here": "–"}


@dataclass(frozen=True)
class Claim:
    """A claim with its verdict; `rows` are the lines of its box, (label, text), and `numbers` what they were made from.

    Displayed as a box (text/html), as one line (text/plain) and as data (MIME) for the ledger; with ledger_only as the
    line alone, and the data.
    """

    number: str
    kind: str
    sentence: str
    verdict: str
    reason: str
    rows: tuple[tuple[str, str], ...]
    numbers: dict[str, float | tuple[float, float, int]]
    ledger_only: bool = False

    def __str__(self) -> str:
        """One line: the number, the sentence, the verdict with its reason, and the rows."""
        rows = "; ".join(f"{label}: {text}" for label, text in self.rows)
        return f"Claim {self.number}. {self.sentence} [{self._told()}] {rows}"

    __repr__ = __str__

    def _told(self) -> str:
        return self.verdict + (f": {self.reason}" if self.reason else "")

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        """What a notebook shows and the builder collects."""
        data = json.loads(json.dumps(asdict(self)))  # lists for tuples, as in a saved notebook
        bundle = {"text/plain": str(self), MIME: data}
        return bundle if self.ledger_only else bundle | {"text/html": self._html()}

    def _html(self) -> str:
        """The box; its colours are the page's own, so that it reads in light and in dark mode."""
        name = self.verdict.replace(" ", "-")
        rows = [*self.rows, ("verdict", f"{_MARK[self.verdict]} {self._told()}")]
        cell = (
            "border:0;padding:.1em .8em .1em 0;text-align:left;vertical-align:top;background:transparent;color:inherit"
        )
        lines = "".join(
            f'<tr style="background:transparent"><th scope="row" style="{cell};font-weight:600;white-space:nowrap">'
            f'{html.escape(label)}</th><td style="{cell}">{html.escape(text)}</td></tr>'
            for label, text in rows
        )
        edge = "double" if _MARK[self.verdict] == "✗" else "solid"
        return (
            f'<div class="claim claim-{name}" style="border:1px solid;border-left:6px {edge};border-radius:4px;'
            f'padding:.6em 1em;margin:1em 0;max-width:46em;color:inherit;background:transparent">'
            f'<p style="margin:0 0 .4em 0"><strong>Claim {html.escape(self.number)}.</strong> '
            f"{html.escape(self.sentence)}</p>"
            f'<table style="border:0;border-collapse:collapse;margin:0;color:inherit">{lines}</table></div>'
        )


def identity(
    number: str,
    sentence: str,
    *,
    error: float,
    tolerance: float,
    broken: float,
    broken_how: str,
    ledger_only: bool = False,
) -> Claim:
    """A claim that two things are equal: measured error, tolerance, and the error of a deliberately broken variant.

    It holds when error <= tolerance < broken. Raises ValueError for numbers that are not finite and for missing words.
    """
    _check_words(number, sentence, broken_how=broken_how)
    error, tolerance, broken = _finite(number, error=error, tolerance=tolerance, broken=broken)
    reason = ""
    if abs(error) > tolerance:
        reason = "the error exceeds its tolerance"
    elif abs(broken) <= tolerance:
        reason = "the broken variant passes as well, so the test shows nothing"
    rows = (
        ("error", f"{_size(error)}, tolerance {tolerance:.0e}"),
        ("broken on purpose", f"{abs(broken):.1e} ({broken_how})"),
    )
    numbers = {"error": error, "tolerance": tolerance, "broken": broken}
    return Claim(number, "identity", sentence, "fails" if reason else "holds", reason, rows, numbers, ledger_only)


def _size(error: float) -> str:
    """An error of rounding by its power of ten, which is the same on most machines; any other with two digits."""
    tiny = 0 < abs(error) < 1e-6
    return f"below 1e{math.floor(math.log10(abs(error))) + 1}" if tiny else f"{abs(error):.1e}" if error else "0"


def effect(
    number: str,
    sentence: str,
    *,
    measured: Estimate,
    baseline: Estimate,
    control: Estimate,
    control_how: str,
    holds: Callable[[Estimate], bool],
    calls: int | str,
    published: str | None = None,
    unit: str = "",
    decimals: int = 2,
    testable: bool = True,
    ledger_only: bool = False,
) -> Claim:
    """A claim that something happens: measured, at the same `calls` of the network as its baseline, against a control.

    It is reproduced when `holds` is true of what was measured and false of the control, which must show no such thing;
    testable=False says that it cannot be tested here. `calls` is their number, or, where something else was kept equal,
    words that begin with "at ". Raises ValueError for numbers that are not finite and for missing
    words, TypeError for a control (or another number) that is no Estimate.
    """
    _check_words(number, sentence, control_how=control_how, calls=str(calls))
    estimates = {"measured": measured, "baseline": baseline, "control": control}
    for name, value in estimates.items():
        if not all(hasattr(value, part) for part in ("mean", "error", "n")):
            raise TypeError(f"Claim {number}: {name} must be an Estimate(mean, error, n), got {type(value).__name__}.")
        _finite(number, **{f"{name}.mean": value.mean, f"{name}.error": value.error})
        whole(value.n, f"Claim {number}: {name}.n", 1)
    if not callable(holds):
        raise ValueError(f"Claim {number}: holds must be a function of an Estimate, got {shown(holds)}.")
    whole(decimals, f"Claim {number}: decimals")
    verdict, reason = _judged(holds, measured, control) if testable else ("cannot be tested here", "")
    texts = {name: _estimate(value, unit, decimals) for name, value in estimates.items()}
    cost = calls if str(calls).startswith("at ") else f"at the same network calls: {calls}"
    rows = (
        ("measured", texts["measured"]),
        ("baseline", f"{texts['baseline']}, {cost}"),
        ("control", f"{texts['control']}: {control_how}"),
        ("published", published or "no number"),
    )
    numbers = {name: (float(value.mean), float(value.error), int(value.n)) for name, value in estimates.items()}
    return Claim(number, "effect", sentence, verdict, reason, rows, numbers, ledger_only)


def _judged(holds: Callable[[Estimate], bool], measured: Estimate, control: Estimate) -> tuple[str, str]:
    """The verdict of one test on what was measured and on the control, and the reason where it is not reproduced."""
    if not holds(measured):
        return "not reproduced", "what was measured does not show it"
    if holds(control):
        return "not reproduced", "the control shows it as well"
    return "reproduced", ""


def _estimate(value: Estimate, unit: str, decimals: int) -> str:
    unit = f" {unit}" if unit and unit != "%" else unit
    return f"{value.mean:.{decimals}f} ± {value.error:.{decimals}f}{unit} (standard error, n = {value.n})"


def _check_words(number: str, sentence: str, **words: str) -> None:
    if not isinstance(number, str) or not re.fullmatch(r"\d+\.\d+", number):
        raise ValueError(f'Claim: the number must look like "4.1", got {number!r}.')
    for name, text in {"sentence": sentence, **words}.items():
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"Claim {number}: {name} is missing; a claim without it cannot be judged.")


def _finite(number: str, **values: float) -> list[float]:
    for name, value in values.items():
        _number(value, f"Claim {number}: {name}")
    return [float(value) for value in values.values()]


def stored(name: str) -> dict[str, np.ndarray]:
    """The arrays of course_lib/results/NAME.npz, after its SHA-256 has been compared with results/SHA256SUMS.

    Raises FileNotFoundError or ValueError with one sentence that says how to make the file again.
    """
    again = f"make it again with: course precompute {name}"
    path, sums = RESULTS / f"{name}.npz", RESULTS / "SHA256SUMS"
    if not isinstance(name, str):
        raise ValueError(f"stored: name must be a string, got {shown(name)}.")
    if not re.fullmatch(r"\w+", name) or not path.is_file():
        raise FileNotFoundError(f"stored: there is no result {name!r} in {RESULTS.name}/; {again}.")
    lines = sums.read_text(encoding="utf-8").splitlines() if sums.is_file() else []
    known = {file.strip(" *"): digest for digest, _, file in (line.partition(" ") for line in lines)}
    if path.name not in known:
        raise ValueError(f"stored: {path.name} has no checksum in {RESULTS.name}/SHA256SUMS; {again}.")
    if hashlib.sha256(path.read_bytes()).hexdigest() != known[path.name]:
        raise ValueError(f"stored: {path.name} is not the file its checksum was taken from; {again}.")
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)
