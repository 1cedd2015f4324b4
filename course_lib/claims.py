"""Claims: a sentence with the numbers that carry it, its baseline, its control, and a verdict that can fail.

A claim is displayed as a box in a notebook and collected for the ledger. `stored` gives results too long to compute in
a chapter, with their checksum verified.
"""

import hashlib
import html
import json
import math
import re
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from course_lib.checks import number as _number
from course_lib.checks import shown, whole
from course_lib.metrics.bootstrap import Estimate
from course_lib.verdicts import LEAST, Arm, Excess, Judgement, judged

MIME = "application/vnd.course.claim+json"
RESULTS = Path(__file__).with_name("results")

_RAN = {"live": "run on this page", "stored": "whose runs are kept in a file"}
_MARK = dict.fromkeys(("holds", "shown", "reproduced"), "✓")
_MARK |= dict.fromkeys(("fails", "not shown", "not reproduced"), "✗") | {"cannot be tested here": "–"}
_CITED = re.compile(r"\(.*\b(?:19|20)\d\d\b.*\b(?:Tables?|Figures?|Fig|Section|Eq|slide)\b.*\)")


@dataclass(frozen=True)
class Claim:
    """A claim with its verdict; `rows` are the lines of its box, (label, text), and `numbers` what they were made from.

    `beside` is an effect's second verdict, over its baseline: better, not better, worse, not worse, or nothing.

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
    beside: str = ""

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
            f'{html.escape(label)}</th><td style="{cell}">{html.escape(text, quote=False)}</td></tr>'
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
    measured: Arm,
    baseline: Arm,
    control: Arm,
    control_how: str,
    above: Arm | float | None = None,
    below: Arm | float | None = None,
    calls: int | str,
    source: str = "live",
    paired: bool = False,
    harm: bool = False,
    published: str | None = None,
    remark: str | None = None,
    first_wording: str | None = None,
    unit: str = "",
    decimals: int = 2,
    testable: bool = True,
    ledger_only: bool = False,
) -> Claim:
    """A claim that something happens: measured over independent repeats, with a baseline and a control beside it.

    It is *shown* when `measured` lies above and/or below its limits by the rule of `verdicts`, over 5 live repeats or
    8 stored ones, and the control does not; beside a publication, cited with year and table or figure, the word is
    *reproduced*. A second verdict says whether it is better than the baseline (a harm: worse), at the same `calls` of
    the network, or at what else was kept equal, in words that begin with "at ". Raises ValueError or TypeError
    in one sentence for a claim that cannot be judged; testable=False says that it cannot be tested here.
    """
    _check_words(number, sentence, control_how=control_how, calls=str(calls))
    whole(decimals, f"Claim {number}: decimals")
    _check_citation(number, published)
    try:
        found = judged(measured, baseline, control, above, below, source, paired)
    except (TypeError, ValueError) as error:
        raise type(error)(f"Claim {number}: {error}") from None
    word = ("" if found.is_shown else "not ") + ("reproduced" if published else "shown")
    outcome, reason = (word, found.reason) if testable else ("cannot be tested here", "")
    beside = _beside(found, source, harm) if testable and (above is None or below is None) else ""
    rows = _rows(found, control_how, calls, source, beside, unit, decimals)
    said = {"published": published, "remark": remark, "first wording": first_wording and f"{first_wording} (not shown)"}
    rows += tuple((label, text) for label, text in said.items() if text)
    numbers = {name: tuple(arm) for name, arm in found.arms.items()}
    return Claim(number, "effect", sentence, outcome, reason, rows, numbers, ledger_only, beside)


def _beside(found: Judgement, source: str, harm: bool) -> str:
    """The second verdict: whether what was measured passes its baseline by the same rule."""
    passes = found.over_baseline.is_shown and found.over_baseline.n >= LEAST[source]
    return ("" if passes else "not ") + ("worse" if harm else "better")


def _rows(found, control_how, calls, source, beside, unit, decimals) -> tuple[tuple[str, str], ...]:
    """The lines of an effect's box; what is not shown says how small an excess as many repeats could have shown."""
    texts = {name: _estimate(arm, unit, decimals) for name, arm in found.arms.items()}
    cost = calls if str(calls).startswith("at ") else f"at the same network calls: {calls}"
    rule = " and ".join(f"{word} {limit:.{decimals}f}" for word, limit in found.limits.items())
    rows = [
        ("measured", texts["measured"]),
        ("baseline", f"{texts['baseline']}, {cost}"),
        ("control", f"{texts['control']}: {control_how}"),
        ("rule", f"{rule} by Student's t, one-sided 1 %, over {LEAST[source]} repeats or more, {_RAN[source]}"),
        ("excess over the limit", "; ".join(_excess(side, decimals) for side in found.sides)),
    ]
    if beside:
        margin = f"{found.over_baseline.mean:.{decimals}f} ± {found.over_baseline.error:.{decimals}f}"
        rows += [("over the baseline", f"{beside}, by {margin}" if "not" not in beside else f"{beside}: {margin}")]
    return tuple(rows)


def _excess(side: Excess, decimals: int) -> str:
    text = f"{side.mean:.{decimals}f} ± {side.error:.{decimals}f}, and more than {side.needed:.{decimals}f} was needed"
    if side.is_shown or not side.error:
        return text
    return f"{text}; {side.smallest:.{decimals}f} would be shown nine times in ten"


def _estimate(value: Estimate, unit: str, decimals: int) -> str:
    unit = f" {unit}" if unit and unit != "%" else unit
    return f"{value.mean:.{decimals}f} ± {value.error:.{decimals}f}{unit} (standard error, n = {value.n})"


def _check_words(number: str, sentence: str, **words: str) -> None:
    if not isinstance(number, str) or not re.fullmatch(r"\d+\.\d+", number):
        raise ValueError(f'Claim: the number must look like "4.1", got {number!r}.')
    for name, text in {"sentence": sentence, **words}.items():
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"Claim {number}: {name} is missing; a claim without it cannot be judged.")


def _check_citation(number: str, published: str | None) -> None:
    if published is not None and not _CITED.search(str(published)):
        raise ValueError(f"Claim {number}: published must cite (year, Table or Figure), got {shown(published)}.")


def _finite(number: str, **values: float) -> list[float]:
    for name, value in values.items():
        _number(value, f"Claim {number}: {name}")
    return [float(value) for value in values.values()]


def stored(name: str) -> dict[str, np.ndarray]:
    """The arrays of course_lib/results/NAME.npz, after its SHA-256 has been compared with results/SHA256SUMS.

    Raises FileNotFoundError or ValueError with one sentence that says how to make the file again.
    """
    if not isinstance(name, str):
        raise ValueError(f"stored: name must be a string, got {shown(name)}.")
    run = name.removeprefix("evaluate_")
    again = f"make it again with: course {'precompute' if run == name else 'evaluate'} {run}"
    path, sums = RESULTS / f"{name}.npz", RESULTS / "SHA256SUMS"
    if not re.fullmatch(r"[\w-]+", name) or not path.is_file():
        raise FileNotFoundError(f"stored: there is no result {name!r} in {RESULTS.name}/; {again}.")
    lines = sums.read_text(encoding="utf-8").splitlines() if sums.is_file() else []
    known = {file.strip(" *"): digest for digest, _, file in (line.partition(" ") for line in lines)}
    if path.name not in known:
        raise ValueError(f"stored: {path.name} has no checksum in {RESULTS.name}/SHA256SUMS; {again}.")
    if hashlib.sha256(path.read_bytes()).hexdigest() != known[path.name]:
        raise ValueError(f"stored: {path.name} is not the file its checksum was taken from; {again}.")
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)
