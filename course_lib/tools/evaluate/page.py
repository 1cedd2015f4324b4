"""The page of a finished run, static HTML that reads in light and dark, narrow and wide, and the page of its costs."""

import json
import math
from collections.abc import Iterable
from html import escape

from course_lib.metrics.bootstrap import Estimate
from course_lib.tools.evaluate import figures
from course_lib.tools.evaluate.folder import Folder, Shard
from course_lib.tools.evaluate.measure import FLOOR, MINIMUM, Row, rows
from course_lib.tools.evaluate.protocol import Protocol, slug

STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #fff; --line: #c8c8c8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e6; --paper: #181818; --line: #555; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 auto;
  padding: 1rem; max-width: 60rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } pre { white-space: pre-wrap; font-size: .85rem; }
svg { width: 100%; min-width: 32rem; max-width: 44rem; height: auto; } svg text { fill: var(--ink); font-size: 12px; }
svg .axis { stroke: var(--line); } svg .error { stroke: var(--ink); stroke-width: 1.5; }
figure { margin: 1rem 0; } img { max-width: 100%; height: auto; image-rendering: auto; } a { color: inherit; }
"""
FRONTIERS = (("Vendi", "CLIP"), ("Vendi", "precision"), ("recall", "precision"), ("similarity", "CLIP"))
NAMES = {"Vendi": "Vendi score", "similarity": "in-batch similarity", "CLIP": "CLIP score"}


def write(folder: Folder, protocol: Protocol, shards: list[Shard], began: dict) -> None:
    """index.html from the shards alone, the same bytes for the same shards, and times/costs.html from the times."""
    parts = [f"<h1>{escape(protocol.title)}</h1>", _head(protocol, began)]
    measured = {prompt: rows(folder, protocol, shards, prompt) for prompt in protocol.prompts}
    if len(measured) > 1 and any(row.gap for row in next(iter(measured.values()))):
        parts += ["<h2>All prompts</h2>", _gap_figure(_mean_rows(list(measured.values())), "all prompts")]
    for prompt, some in measured.items():
        parts += [f"<h2>{escape(prompt)}</h2>", f"<p>{escape(protocol.prompts[prompt])}</p>"]
        parts += [_gap_figure(some, prompt), _table(some), _frontiers(some, prompt), _sheets(protocol, shards, prompt)]
    parts.append('<p><a href="times/costs.html">Time and memory</a></p>')
    folder.put("index.html", html(protocol.title, parts))
    folder.put("times/costs.html", html("Time and memory", ["<h1>Time and memory</h1>", costs(folder)]))


def html(title: str, parts: Iterable[str]) -> bytes:
    """A whole page of parts."""
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    body = "\n".join(part for part in parts if part)
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}<title>{escape(title)}</title><style>{STYLE}</style></head>\n'
        f"<body>\n{body}\n</body></html>\n"
    ).encode()


def _head(protocol: Protocol, began: dict) -> str:
    comment = [line[1:].strip() for line in protocol.text.splitlines() if line.startswith("#")]
    told = ", ".join(f"{key} {value}" for key, value in began.items())
    return (
        f"<p>{escape(' '.join(comment))}</p><p>{protocol.pictures} pictures a set, {protocol.group} a group, "
        f"{protocol.steps} steps, guidance {protocol.w:g}; {escape(told)}. Intervals are two standard errors, "
        f"bootstrapped over groups with {protocol.draws} draws; with few groups they are rough.</p>"
    )


def _said(one: Estimate | None, scale: float = 1.0) -> str:
    """A number and two standard errors, or a dash."""
    if one is None:
        return "–"
    error = "" if math.isnan(one.error) else f" ± {_short(2 * scale * one.error, 2)}"
    return _short(scale * one.mean, 3) + error


def _short(value: float, digits: int) -> str:
    """A number with so many digits, and never with an exponent where it is large."""
    return f"{value:.0f}" if 100 <= abs(value) < 1e6 else f"{value:.{digits}g}"


def _grid(heads: list[str], lines: list[list[str]]) -> str:
    top = "".join(f"<th>{escape(head)}</th>" for head in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in line) + "</tr>" for line in lines)
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _table(some: list[Row]) -> str:
    """The thesis' table: distance to the maximum set and share of the gap, in each embedding; then the frontier's."""
    kinds = list(next((row.distance for row in some if row.distance), {}))
    spread = list(some[0].spread)
    heads = ["set", "calls", "strength", *(f"FD {kind}" for kind in kinds), *(f"gap {kind}, %" for kind in kinds)]
    heads += [NAMES.get(name, name) for name in spread]
    lines = [
        [row.name, str(row.calls), f"{row.strength:.3g}"]
        + [_said(row.distance.get(kind)) for kind in kinds]
        + [_said(row.gap.get(kind), 100) for kind in kinds]
        + [_said(row.spread.get(name)) for name in spread]
        for row in some
    ]
    told = (
        "<p>Calls: of the denoiser for each picture, two rows of the network each under guidance. Strength: the force "
        "beside the score, mean over particles and calls. FD: Fréchet distance to the maximum set; gap: the share of "
        f"it from {MINIMUM} to {FLOOR} that is closed, below 0 where a set lies farther away than {MINIMUM}.</p>"
    )
    return _grid(heads, lines) + (told if kinds else "<p>Strength: the force beside the score.</p>")


def _mean_rows(prompts: list[list[Row]]) -> list[Row]:
    """Each set's share of the gap, averaged over the prompts that have one."""
    means = []
    for same in zip(*prompts, strict=True):
        row = Row(same[0].name, same[0].calls, same[0].strength)
        for kind in dict.fromkeys(kind for one in same for kind in one.gap):
            found = [one.gap[kind] for one in same if kind in one.gap]
            error = math.sqrt(sum(e.error**2 for e in found)) / len(found)
            row.gap[kind] = Estimate(sum(e.mean for e in found) / len(found), error, len(found))
        means.append(row)
    return means


def _gap_figure(some: list[Row], where: str) -> str:
    closed = {
        row.name: {kind: Estimate(100 * e.mean, 100 * e.error, e.n) for kind, e in row.gap.items()}
        for row in some
        if row.gap
    }
    if not closed:
        return ""
    title = f"Share of the gap to the maximum set that each method closes, {where}"
    return f"<figure>{figures.bars(closed, title, '%')}<figcaption>{escape(title)}, in percent.</figcaption></figure>"


def _frontiers(some: list[Row], where: str) -> str:
    """Spread against fit and against quality, where both were measured; the numbers name the sets."""
    drawn = []
    for across, up in FRONTIERS:
        both = {row.name: (row.spread[across], row.spread[up]) for row in some if {across, up} <= set(row.spread)}
        if both:
            names = NAMES.get(across, across), NAMES.get(up, up)
            title = f"{names[1]} against {names[0]}, {where}"
            key = ", ".join(f"{i + 1} {name}" for i, name in enumerate(both))
            drawn.append(
                f"<figure>{figures.points(both, title, *names)}<figcaption>{escape(title)}: {escape(key)}."
                "</figcaption></figure>"
            )
    return "".join(drawn)


def _sheets(protocol: Protocol, shards: list[Shard], prompt: str) -> str:
    """The first thumbnails of each set, with the folder of the others."""
    shown = []
    for one in protocol.sets:
        first = next(shard for shard in shards if shard.prompt == prompt and shard.set == one)
        alt = f"The first {first.n} pictures of {one.name}"
        rest = f"sets/{slug(prompt)}/{slug(one.name)}/"
        shown.append(
            f'<figure><img loading="lazy" src="{first.name}.png" alt="{escape(alt)}"><figcaption>{escape(one.name)} '
            f'(<a href="{rest}">all</a>)</figcaption></figure>'
        )
    return "".join(shown)


def costs(folder: Folder) -> str:
    """Seconds a picture and most memory of each set, from all processes' times; torn lines are passed over."""
    table: dict[str, list[dict]] = {}
    for path in sorted((folder.path / "times").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
                table.setdefault(f"{entry['set']}, {entry['device']}", []).append(entry)
            except (ValueError, KeyError):  # a process was killed while it wrote
                continue
    lines = []
    for name, some in table.items():
        n = sum(one["pictures"] for one in some)
        peaks = [one["peak bytes"] for one in some if one["peak bytes"]]
        most = f"{max(peaks) / 1e9:.2f} GB" if peaks else "–"
        lines.append([name, str(n), f"{sum(one['seconds'] for one in some) / n:.3f}", most])
    return _grid(["set", "pictures", "seconds a picture", "most memory so far"], lines)
