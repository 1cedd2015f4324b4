"""Figures as SVG from numbers: bars and points with intervals, in the colours of the page around them."""

import math
from collections.abc import Sequence
from html import escape

from course_lib.metrics.bootstrap import Estimate
from course_lib.plots import PALETTE

WIDTH, BAR, GAP, LABEL = 640, 14, 10, 190


def interval(one: Estimate) -> tuple[float, float]:
    """Two standard errors to either side; the number alone where there is no error."""
    error = 0.0 if math.isnan(one.error) else 2 * one.error
    return one.mean - error, one.mean + error


def _scale(low: float, high: float, start: float, end: float):
    """A straight map of [low, high] to [start, end]."""
    span = (high - low) or 1.0
    return lambda value: start + (value - low) / span * (end - start)


def _text(x: float, y: float, words: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str = "axis") -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _svg(height: float, title: str, parts: Sequence[str]) -> str:
    body = "".join(parts)
    box = f'viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}"'
    return f'<div class="wide"><svg {box}>{body}</svg></div>'


def bars(rows: dict[str, dict[str, Estimate]], title: str, unit: str) -> str:
    """A group of horizontal bars for each row, one for each of its values, with intervals, around a line at 0."""
    kinds = list(dict.fromkeys(kind for values in rows.values() for kind in values))
    ends = [end for values in rows.values() for one in values.values() for end in (*interval(one), 0.0)]
    at = _scale(min(ends), max(ends), LABEL, WIDTH - 20)
    parts, y = [], 24.0
    for k, kind in enumerate(kinds):
        x = LABEL + 130 * k
        parts += [f'<rect x="{x}" y="4" width="10" height="10" fill="{PALETTE[k]}"/>', _text(x + 14, 13, kind)]
    for name, values in rows.items():
        parts.append(_text(LABEL - 8, y + BAR * len(values) / 2 + 4, name, "end"))
        for kind, one in values.items():
            left, right = sorted((at(0.0), at(one.mean)))
            box = f'x="{left:.1f}" y="{y:.1f}" width="{right - left:.1f}" height="{BAR - 3}"'
            parts.append(f'<rect {box} fill="{PALETTE[kinds.index(kind)]}"/>')
            low, high = map(at, interval(one))
            parts.append(_line(low, y + BAR / 2 - 1.5, high, y + BAR / 2 - 1.5, "error"))
            y += BAR
        y += GAP
    parts.append(_line(at(0.0), 20, at(0.0), y))
    for value in (min(ends), 0.0, max(ends)):
        if value == 0 or abs(at(value) - at(0.0)) > 60:  # beside the 0, not over it
            parts.append(_text(at(value), y + 14, f"{value:.0f} {unit}", "middle"))
    return _svg(y + 20, title, parts)


def points(rows: dict[str, tuple[Estimate, Estimate]], title: str, across: str, up: str) -> str:
    """A point with a cross of intervals for each row, numbered, with the numbers' names beneath."""
    height, bottom, left = 300, 260, 60
    columns = list(zip(*rows.values(), strict=True))
    ends = [[end for one in column for end in interval(one)] for column in columns]
    at_x = _scale(min(ends[0]), max(ends[0]), left + 20, WIDTH - 30)
    at_y = _scale(min(ends[1]), max(ends[1]), bottom - 20, 20)
    parts = [_line(left, bottom, WIDTH, bottom), _line(left, 0, left, bottom)]
    for value in (min(ends[0]), max(ends[0])):
        parts.append(_text(at_x(value), bottom + 16, f"{value:.3g}", "middle"))
    for value in (min(ends[1]), max(ends[1])):
        parts.append(_text(left - 6, at_y(value) + 4, f"{value:.3g}", "end"))
    parts += [_text(WIDTH / 2, bottom + 34, across, "middle"), _text(left + 6, 12, up)]
    for i, (x, y) in enumerate(rows.values()):
        colour = PALETTE[i % len(PALETTE)]
        parts += [
            _line(at_x(interval(x)[0]), at_y(y.mean), at_x(interval(x)[1]), at_y(y.mean), "error"),
            _line(at_x(x.mean), at_y(interval(y)[0]), at_x(x.mean), at_y(interval(y)[1]), "error"),
            f'<circle cx="{at_x(x.mean):.1f}" cy="{at_y(y.mean):.1f}" r="5" fill="{colour}"/>',
            _text(at_x(x.mean) + 7, at_y(y.mean) - 6, str(i + 1)),
        ]
    return _svg(height, title, parts)
