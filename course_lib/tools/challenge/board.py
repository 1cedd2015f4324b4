"""The board: entries by the volume of their frontiers, with intervals and with what independent sampling has."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from course_lib.challenge import limits, stands_above, volumes
from course_lib.metrics import Estimate
from course_lib.tools.challenge.entries import BASELINE
from course_lib.tools.challenge.scored import Scored
from course_lib.tools.evaluate import figures

HEAD = ("entry", "volume", "low", "high", "gain", "gain low", "spread", "fit", "quality", "verdict")


@dataclass(frozen=True)
class Row:
    """One line of the board; spread, fit and quality are means over groups and strengths."""

    name: str
    volume: tuple[Estimate, float, float]
    gain: tuple[float, float]
    means: tuple[Estimate, Estimate, Estimate]
    verdict: str

    def cells(self) -> list[str]:
        """The line as texts."""
        numbers = [self.volume[0].mean, *self.volume[1:], *self.gain, *(one.mean for one in self.means)]
        return [self.name, *(f"{number:.3f}" for number in numbers), self.verdict]


def row(entry: Scored, base: Scored, groups: int) -> Row:
    """An entry beside independent sampling, on the same groups."""
    scores, baseline = entry.scores(groups), base.scores(groups)
    gain, low, _ = limits(volumes(scores) - volumes(baseline), 0.99)
    means = tuple(limits(scores[..., i].mean(1))[0] for i in range(3))
    return Row(entry.name, limits(volumes(scores), 0.975), (gain.mean, low), means, verdict(entry, base, groups))


def verdict(entry: Scored, base: Scored, groups: int) -> str:
    """In words: where it stands, and what keeps it from standing above."""
    if entry.failed:
        return f"scores nothing: {entry.failed}"
    if entry.name == BASELINE:
        return "the baseline"
    compared = stands_above(entry.scores(groups), base.scores(groups))
    if compared.above:
        return "above independent sampling"
    if compared.larger:
        return "larger volume, at the price of fit or quality: not above"
    return "not above independent sampling"


def ordered(entries: Sequence[Scored], base: Scored, groups: int) -> list[Row]:
    """All lines, the largest volume first, those that score nothing last."""
    rows = [row(one, base, groups) for one in entries]
    return sorted(rows, key=lambda one: (one.verdict.startswith("scores nothing"), -one.volume[0].mean, one.name))


def table(rows: Sequence[Row]) -> str:
    """As CSV; a name that a spreadsheet would compute is quoted."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEAD)
    for one in rows:
        writer.writerow(["'" + cell if cell[:1] in "=+@\t\r" else cell for cell in one.cells()])
    return out.getvalue()


def page(rows: Sequence[Row]) -> str:
    """As a page with the figure of spread and fit."""
    head = "".join(f'<th scope="col">{name}</th>' for name in HEAD)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in one.cells())}</tr>" for one in rows
    )  # names are files' names: anybody's text
    shown = {f"{i + 1} {one.name}": (one.means[0], one.means[1]) for i, one in enumerate(rows)}
    figure = figures.points(shown, "Spread and fit of all entries", "spread", "fit")
    style = "body{font:16px sans-serif;max-width:60rem;margin:2rem auto;color:#222}td,th{padding:.2rem .6rem}"
    style += "svg{max-width:100%}.axis,.error{stroke:#555}svg text{font-size:11px}"
    told = "Volume of the frontier of spread and fit; low and high are Student's 95 % interval over groups. "
    told += "Points are numbered as the lines are."
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Challenge</title><style>{style}</style>'
        f"</head><body><h1>Challenge</h1><p>{told}</p>{figure}<table><tr>{head}</tr>{body}</table></body></html>\n"
    )
