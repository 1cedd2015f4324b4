"""Figures from arrays. A function draws what it is given and computes nothing about it; colour never speaks alone."""

import html
import io
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.animation import FuncAnimation
from torch import Tensor

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#666666")  # Okabe and Ito, and grey
BLUE, ORANGE, GREEN, RED, PURPLE, GREY = PALETTE
MARKERS = ("o", "s", "^", "D", "v", "P")

# What the handle of a slider does: of its pictures the chosen one is seen, and its value is written and told.
MOVED = (
    "const box=this.closest('.course-slider'),all=[...box.querySelectorAll('figure')],chosen=all[this.value];"
    "for(const one of all)one.style.visibility=one===chosen?'visible':'hidden';"
    "box.querySelector('output').value=chosen.dataset.told;this.setAttribute('aria-valuetext',chosen.dataset.told)"
)


def _array(values) -> np.ndarray:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def figure(columns: int = 1, rows: int = 1, width: float = 3.4, height: float = 3.2, **kwargs):
    """A white figure with `rows` x `columns` axes -> (figure, array of axes or one)."""
    fig, axes = plt.subplots(
        rows, columns, figsize=(width * columns, height * rows), facecolor="white", layout="constrained", **kwargs
    )
    return fig, axes


def plane(ax, limit: float = 1.6, title: str = ""):
    """Square axes of the plane from -limit to limit, without ticks -> ax."""
    ax.set(xlim=(-limit, limit), ylim=(-limit, limit), xticks=[], yticks=[], title=title)
    ax.set_aspect("equal")
    return ax


def modes(ax, centres, radius: float | None = None):
    """Centres (M, 2) as crosses, with circles of `radius` if given -> ax."""
    centres = _array(centres)
    ax.scatter(*centres.T, marker="+", color=GREY, s=45, linewidths=1.2, zorder=1)
    for centre in centres if radius else ():
        ax.add_patch(plt.Circle(centre, radius, fill=False, color=GREY, lw=0.8, ls=":"))
    return ax


def particles(ax, x, label: str | None = None, color: str = BLUE, marker: str = "o", size: float = 30):
    """Particles (N, 2) as outlined dots -> ax."""
    x = _array(x)
    ax.scatter(
        x[:, 0], x[:, 1], s=size, c=color, marker=marker, edgecolors="white", linewidths=0.6, label=label, zorder=3
    )
    return ax


def grid(limit: float = 1.6, n: int = 60) -> Tensor:
    """Points of a square grid, row by row, to evaluate densities and fields on -> (n * n, 2) float64."""
    axis = torch.linspace(-limit, limit, n, dtype=torch.float64)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], 1)


def density(ax, points, values, levels: int = 12):
    """Filled contours of values (n * n,) at the points of `grid` (n * n, 2), white to blue -> ax."""
    n = round(len(points) ** 0.5)
    points, values = _array(points), _array(values).reshape(n, n)
    ax.contourf(points[:, 0].reshape(n, n), points[:, 1].reshape(n, n), values, levels, cmap="Blues", zorder=0)
    return ax


def field(ax, points, arrows, color: str = GREY, scale: float | None = None):
    """Arrows (n, 2) at points (n, 2) -> ax."""
    points, arrows = _array(points), _array(arrows)
    ax.quiver(*points.T, *arrows.T, color=color, angles="xy", scale=scale, width=0.005, zorder=2)
    return ax


def paths(ax, xs: Sequence, color: str = BLUE):
    """The way of every particle through a list of (N, 2) arrays, with a dot at the end -> ax."""
    way = np.stack([_array(x) for x in xs])  # (T, N, 2)
    for i in range(way.shape[1]):
        ax.plot(*way[:, i].T, color=color, lw=0.8, alpha=0.6, zorder=2)
    return particles(ax, way[-1], color=color)


def images(pictures, columns: int = 8, titles: Sequence[str] | None = None, size: float = 0.9, marked: Sequence = ()):
    """Pictures (N, 3, H, W) in [-1, 1] in rows of `columns`, with titles; `marked` ones have a frame -> figure."""
    pictures = (_array(pictures).transpose(0, 2, 3, 1).clip(-1, 1) + 1) / 2
    rows = -(-len(pictures) // columns)
    height = size * (1.25 if titles is not None else 1.05)
    fig, axes = figure(columns, rows, width=size, height=height, squeeze=False)
    for i, ax in enumerate(axes.flat):
        ax.axis("off")
        if i < len(pictures):
            ax.imshow(pictures[i])
        if titles is not None and i < len(titles):
            ax.set_title(titles[i], fontsize=8)
        if i in marked:
            ax.add_patch(plt.Rectangle((0, 0), 1, 1, fill=False, ec=RED, lw=3, transform=ax.transAxes))
    return fig


def curve(ax, x, mean, error=None, label: str | None = None, index: int = 0):
    """A line with its own colour and marker, and error bars if given, all (n,) -> ax."""
    ax.errorbar(
        _array(x), _array(mean), None if error is None else _array(error), label=label, capsize=2, lw=1.4, ms=5,
        color=PALETTE[index % 6], marker=MARKERS[index % 6],
    )  # fmt: skip
    return ax


def animate(
    xs: Sequence,
    centres=None,
    titles: Sequence[str] | None = None,
    limit: float = 1.6,
    frames: int = 24,
    names: dict[tuple[float, float], str] | None = None,
    width: float = 3.6,
):
    """An animation of at most `frames` of the (N, 2) arrays, which plays without a kernel -> IPython HTML.

    `names` are words that stay at their places in the plane.
    """
    from IPython.display import HTML

    keep = np.unique(np.linspace(0, len(xs) - 1, min(frames, len(xs))).round().astype(int))
    fig, ax = figure(width=width, height=width)
    plane(ax, limit)
    if centres is not None:
        modes(ax, centres)
    for place, name in (names or {}).items():
        ax.text(*place, name, ha="center", va="center", fontsize=9)
    dots = ax.scatter(*_array(xs[0]).T, s=30, c=BLUE, edgecolors="white", linewidths=0.6, zorder=3)

    def draw(k: int):
        dots.set_offsets(_array(xs[keep[k]]))
        ax.set_title(titles[keep[k]] if titles is not None else f"step {keep[k]}")
        return (dots,)

    with plt.rc_context({"savefig.dpi": 72, "savefig.facecolor": "white"}):
        player = FuncAnimation(fig, draw, len(keep), interval=150).to_jshtml(default_mode="once")
    plt.close(fig)
    return HTML(player)


@dataclass(frozen=True, repr=False)
class Slider:
    """Pictures over the values of a parameter, one of them in sight: HTML that needs neither a kernel nor a net."""

    name: str
    told: Sequence[str]  # each value as text
    frames: Sequence[bytes]  # WebP, two pixels for one of the page
    size: tuple[int, int]
    still: bytes  # the one first in sight as PNG, for what shows no HTML
    start: int = 0  # which one is first in sight

    def __repr__(self) -> str:
        return f"A slider over {self.name}: {', '.join(self.told)}"

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        return {"text/html": self.html(), "image/png": self.still}

    def html(self) -> str:
        """A range input with its name and value in words, above the pictures, which lie one on the other."""
        name, told = html.escape(self.name), [html.escape(text) for text in self.told]
        now = told[self.start]
        (width, height), seen = self.size, ("hidden", "visible")
        pictures = "".join(
            f'<figure data-told="{text}" style="grid-area:1/1;margin:0;visibility:{seen[n == self.start]}">'
            f'<img alt="{name} {text}" width="{width}" height="{height}" style="max-width:100%;height:auto" '
            f'src="data:image/webp;base64,{b64encode(frame).decode()}"></figure>'
            for n, (text, frame) in enumerate(zip(told, self.frames))
        )
        return (
            f'<div class="course-slider" style="max-width:{width}px;--across:{2 if width > 360 else 3}">'
            '<div style="display:flex;align-items:center;gap:.8em">'
            '<label style="display:flex;flex:1;gap:.8em">'
            f'<span>{name}</span><input type="range" min="0" max="{len(told) - 1}" value="{self.start}" '
            f'autocomplete="off" aria-valuetext="{now}" oninput="{MOVED}" style="flex:1;min-width:7em"></label>'
            f'<output aria-live="off" style="min-width:3.5em">{now}</output></div>'
            f'<div style="display:grid;grid-template-columns:minmax(0,1fr)">{pictures}</div></div>'
        )


def _saved(fig, kind: str, **options) -> bytes:
    """A figure as a file, two pixels for one of the page."""
    buffer = io.BytesIO()
    fig.savefig(buffer, format=kind, dpi=144, facecolor="white", **options)
    return buffer.getvalue()


def slider(draw: Callable[[object], object], values: Sequence, name: str, start: object = None) -> Slider:
    """A slider over figures drawn once by draw(value), which works by mouse, finger and keys, without a kernel.

    draw returns a matplotlib figure; `name` stands before the slider; `start` is the value first in sight, by default
    the first. Raises ValueError with fewer than two values, and for a start that is none of them.
    """
    values = list(values)
    if len(values) < 2:
        raise ValueError(f"slider needs at least two values to move between, got {values}: draw a figure instead")
    if start is not None and start not in values:
        raise ValueError(f"slider starts at one of its values {values}, got start={start}")
    first = values.index(start) if start is not None else 0
    frames = []
    for value in values:
        fig = draw(value)
        exact, small = (_saved(fig, "webp", pil_kwargs=kind) for kind in ({"lossless": True}, {"quality": 90}))
        if len(frames) == first:
            still, size = _saved(fig, "png"), tuple(round(72 * inches) for inches in fig.get_size_inches())
        frames.append(small if 2 * len(small) < len(exact) else exact)
        plt.close(fig)
    told = [f"{value:g}" if isinstance(value, float) else str(value) for value in values]
    return Slider(name, told, frames, size, still, first)
