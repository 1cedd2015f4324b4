"""Plots of a class as inline SVG: text takes the colour of the page around it, so that light and dark both read."""

import io
import re
from collections.abc import Sequence
from html import escape

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

INK = "#010203"  # replaced by the page's own colour
GROUPS = ("passed", "anticipated mistake", "another mistake", "not attempted", "did not run")
COLOURS = ("#009E73", "#D55E00", "#E69F00", "#8a8a8a", "#CC79A7")  # of Okabe and Ito
HATCHES = ("", "///", "\\\\\\", "", "xxx")
RULES = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "hatch.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def inline_svg(draw, label: str, width: float = 4.2, height: float = 2.4) -> str:
    """The <svg> of what draw(ax) draws, without a background; label is read aloud in its place. The same every time."""
    with matplotlib.rc_context(RULES | {"svg.hashsalt": label}):
        figure = Figure(figsize=(width, height), layout="constrained")
        figure.patch.set_alpha(0)
        ax = figure.add_subplot()
        ax.patch.set_alpha(0)
        draw(ax)
        text = io.StringIO()
        figure.savefig(text, format="svg")
    svg = re.search(r"<svg.*</svg>", text.getvalue(), re.DOTALL)[0]
    # Its metadata hold the date.
    svg = re.sub(r"<metadata>.*?</metadata>\s*|<style.*?</style>\s*", "", svg, flags=re.DOTALL)
    told = f'role="img" aria-label="{escape(label)}"'
    svg = re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', rf"<svg \1 {told}>", svg, count=1)
    return svg.replace(INK, "currentColor").replace("xlink:href=", "href=")


def binned(points: Sequence[float], of: int) -> dict[int, int]:
    """How many students have how many points, {first number of points of a bin: students}, in at most 26 bins."""
    step = max(1, -(-of // 25))
    bins = dict.fromkeys(range(0, of + 1, step), 0)
    for one in points:
        bins[min(int(one // step) * step, max(bins))] += 1
    return bins


def distribution(points: Sequence[float], of: int) -> str:
    """How many students have how many points."""
    bins = binned(points, of)
    step = max(1, -(-of // 25))

    def draw(ax):
        ax.bar([low + (step - 1) / 2 for low in bins], list(bins.values()), step * 0.85, color="#0072B2")
        ax.set(xlabel=f"points of {of}", ylabel="students", xlim=(-1, of + step))
        ax.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))

    return inline_svg(draw, f"How many students have how many of {of} points.")


def outcomes(counts: dict[str, Sequence[int]]) -> str:
    """One bar an exercise, its students in the order of GROUPS."""
    ids = list(counts)

    def draw(ax):
        left = [0] * len(ids)
        for group, (name, colour, hatch) in enumerate(zip(GROUPS, COLOURS, HATCHES)):
            widths = [counts[id][group] for id in ids]
            ax.barh(ids, widths, 0.7, left, color=colour, hatch=hatch, edgecolor=INK, linewidth=0.4, label=name)
            left = [a + b for a, b in zip(left, widths)]
        ax.invert_yaxis()
        ax.set(xlabel="students", ylabel="exercise")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.legend(loc="lower center", bbox_to_anchor=(0.45, 1.0), ncols=2, frameon=False)

    return inline_svg(draw, "How each exercise ended, by number of students.", height=1.6 + 0.32 * len(ids))
