"""The small image world: factors of variation that are known, a differentiable renderer, captions, a long tail."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import SupportsFloat

import torch
from torch import Tensor

from course_lib.checks import numeric, shown, typed, whole
from course_lib.shapes import DISTANCE

HEAD = ("circle", "square", "triangle", "star", "cross", "ring")
# Rare shapes by their number of training pictures. Their names are made of head words, so that a model that has
# hardly seen them draws the head concept instead; no texture of a head shape looks like one of them.
TAIL_COUNTS = {
    "cross star": 3000,
    "circle ring": 1000,
    "triangle cross": 300,
    "circle triangle": 100,
    "square star": 30,
    "ring cross": 10,
    "triangle star": 3,
}
TAIL = tuple(TAIL_COUNTS)
SHAPES = HEAD + TAIL
COLOURS = ("red", "yellow", "green", "blue", "cyan", "pink")
# After Okabe and Ito (2008): told apart by readers of every kind of colour vision.
RGB = torch.tensor(
    [
        (0.86, 0.22, 0.05),
        (0.94, 0.89, 0.26),
        (0.0, 0.62, 0.35),
        (0.05, 0.33, 0.85),
        (0.35, 0.75, 0.95),
        (0.9, 0.5, 0.75),
    ],
    dtype=torch.float32,
)
STYLES = ("flat", "striped", "dotted", "outlined")
ARTISTS = ("Amaro", "Belen", "Corvo", "Dunya")  # one invented artist a style
PLACES = (
    "at the top left", "at the top", "at the top right", "at the left", "in the centre", "at the right",
    "at the bottom left", "at the bottom", "at the bottom right",
)  # fmt: skip
RANGES = {"x": (0.18, 0.82), "y": (0.18, 0.82), "size": (0.17, 0.24), "angle": (-0.3, 0.3), "grey": (0.05, 0.4)}
PICTURES = 30_000  # in the training set
_NAMES = {"shape": SHAPES, "colour": COLOURS, "style": STYLES}
_PERIOD, _LINE = 0.115, 0.048  # of a texture and of an outline, as shares of the width


@dataclass(frozen=True)
class Factors:
    """Factors of N pictures: indices shape, colour, style; centre (x, y) and radius `size` as shares of the width, x to
    the right and y downwards; `angle` in radians; `grey` of the background in [0, 1]. Each has shape (N,).
    """

    shape: Tensor
    colour: Tensor
    style: Tensor
    x: Tensor
    y: Tensor
    size: Tensor
    angle: Tensor
    grey: Tensor

    def __len__(self) -> int:
        return len(self.shape)

    def __getitem__(self, index) -> "Factors":
        """The factors of the picture with an index, or of those in a slice, a list or a tensor of indices."""
        if isinstance(index, int):
            index = [range(len(self))[index]]  # raises IndexError, which ends a loop over the pictures
        return Factors(*(getattr(self, field.name)[index] for field in fields(self)))

    @staticmethod
    def cat(parts: "list[Factors]") -> "Factors":
        """Several sets as one."""
        return Factors(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(Factors)))


def _index(name: str, value: int | str) -> int:
    """The index of a value of a discrete factor, by name or number."""
    names = _NAMES[name]
    if isinstance(value, str) and value in names:
        return names.index(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(names):
        return value
    raise ValueError(f"world: {name} must be one of {', '.join(names)} or its index, got {value!r}.")


def draw(n: int, generator: torch.Generator, **fixed) -> Factors:
    """Factors of n pictures of the balanced world: all independent, all values of a factor equally likely.

    `fixed` gives a factor one value (a name or an index; a number) or a set of values (a tuple of names; a (low, high)
    range) to be drawn from. The other factors come out the same whatever is fixed. Raises ValueError for a factor or a
    value that does not exist, for a size that is not positive and a grey outside [0, 1].
    """
    known = [field.name for field in fields(Factors)]
    if whole(n, "draw: n") < 1:
        raise ValueError(f"draw: n must be at least 1, got {n}.")
    if not isinstance(generator, torch.Generator):
        raise ValueError(f"draw: generator must be a torch.Generator, got {shown(generator)}.")
    if not set(fixed) <= set(known):
        raise ValueError(f"draw: needs factors out of {', '.join(known)}, got {', '.join(set(fixed) - set(known))}.")
    u = torch.rand(len(fields(Factors)), n, generator=generator, dtype=torch.float64)
    drawn = {}
    for field, share in zip(fields(Factors), u):
        value = fixed.get(field.name)
        if field.name in _NAMES:
            allowed = range(len(_NAMES[field.name])) if value is None else value
            several = isinstance(allowed, Iterable) and not isinstance(allowed, str) and allowed
            allowed = torch.tensor([_index(field.name, one) for one in (allowed if several else [allowed])])
            drawn[field.name] = allowed[(share * len(allowed)).long()]
        else:
            low, high = _range(field.name, value)
            drawn[field.name] = (low + (high - low) * share).float()
    return Factors(**drawn)


def _range(name: str, value) -> tuple[float, float]:
    ends = RANGES[name] if value is None else value if isinstance(value, tuple) else (value, value)
    if not (
        len(ends) == 2
        and not any(isinstance(end, bool) for end in ends)
        and all(isinstance(end, SupportsFloat) and math.isfinite(end) for end in ends)
    ):
        raise ValueError(f"draw: {name} must be a number or a (low, high) range, got {value!r}.")
    low, high = ends
    if low > high or (name == "size" and low <= 0) or (name == "grey" and not 0 <= low <= high <= 1):
        where = {"size": " above 0", "grey": " in [0, 1]"}.get(name, "")
        raise ValueError(f"draw: {name} must be a number or a (low, high) range{where}, got {value!r}.")
    return low, high


def pair_counts() -> Tensor:
    """Training pictures of each pair of head shape and colour, Zipf's law over a fixed order, (6, 6)."""
    pairs = len(HEAD) * len(COLOURS)
    share = 1 / torch.arange(1, pairs + 1, dtype=torch.float64)
    exact = share / share.sum() * (PICTURES - sum(TAIL_COUNTS.values()))
    counts = exact.floor().long()
    counts[0] += PICTURES - sum(TAIL_COUNTS.values()) - counts.sum()
    order = torch.randperm(pairs, generator=torch.Generator().manual_seed(0))
    return torch.empty(pairs, dtype=torch.long).index_copy(0, order, counts).reshape(len(HEAD), len(COLOURS))


@typed
def long_tail(generator: torch.Generator) -> Factors:
    """The training set: PICTURES pictures whose shape-colour pairs follow `pair_counts` and TAIL_COUNTS, shuffled."""
    counts = pair_counts()
    parts = [
        draw(int(counts[s, c]), generator, shape=s, colour=c) for s in range(len(HEAD)) for c in range(len(COLOURS))
    ]
    parts += [draw(count, generator, shape=name) for name, count in TAIL_COUNTS.items()]
    return Factors.cat(parts)[torch.randperm(PICTURES, generator=generator)]


def thirds(x: Tensor, y: Tensor) -> Tensor:
    """The cell of a 3 x 3 grid that holds a centre, row first: 0 is the top left, 8 the bottom right, (N,) -> (N,)."""
    x, y = (numeric(one, f"thirds: {name}") for name, one in (("x", x), ("y", y)))
    if x.shape != y.shape or not (x.isfinite().all() and y.isfinite().all()):
        raise ValueError(f"thirds: x and y must be finite and of one shape, got {shown(x)} and {shown(y)}.")
    return (3 * y).long().clamp(0, 2) * 3 + (3 * x).long().clamp(0, 2)


def phrase(shape="shape", colour=None, style=None, place=None, artist=False) -> str:
    """A caption from names, "a striped red circle at the top left"; `artist` names the style by its artist instead.

    Raises ValueError for a name that is not the world's; shape="shape" leaves the shape open.
    """
    for name, value, open_ in (("shape", shape, "shape"), ("colour", colour, None), ("style", style, None)):
        if value != open_ and not (isinstance(value, str) and value in _NAMES[name]):
            raise ValueError(f"world: {name} must be one of {', '.join(_NAMES[name])}, got {value!r}.")
    if place not in (None, *PLACES):
        raise ValueError(f"world: place must be one of {', '.join(PLACES)}, got {place!r}.")
    words = [word for word in (None if artist else style, colour, shape) if word]
    article = "an" if words[0][0] in "aeiou" else "a"
    by = f"in the style of {ARTISTS[STYLES.index(style)]}" if artist and style else None
    return " ".join(word for word in (article, *words, by, place) if word)


@typed
def named(text: str) -> dict[str, int]:
    """What a caption names, by index: any of shape, colour, style (also by its artist) and place; others are open."""
    words = f" {text.lower()} "
    found = {}
    for factor, names in (*_NAMES.items(), ("style", ARTISTS), ("place", PLACES)):
        hits = [name for name in names if f" {name.lower()} " in words]
        if hits:  # "cross star" holds "cross" and "star", "at the top left" holds "at the top": the longest is meant
            found[factor] = names.index(max(hits, key=len))
    return found


@typed
def caption(factors: Factors, generator: torch.Generator) -> list[str]:
    """Captions as in the training set, N of them; what a caption leaves out is drawn anew.

    A head shape is named in three of four captions, a tail shape always, the colour in three of four, the style in half
    of them (one in four of these by its artist), the place in one of five.
    """
    u = torch.rand(5, len(factors), generator=generator, dtype=torch.float32).tolist()
    cell = thirds(factors.x, factors.y).tolist()
    lines = []
    for i, (s, c, t) in enumerate(zip(factors.shape.tolist(), factors.colour.tolist(), factors.style.tolist())):
        shape = SHAPES[s] if u[0][i] < 0.75 or s >= len(HEAD) else "shape"
        colour = COLOURS[c] if u[1][i] < 0.75 else None
        style = STYLES[t] if u[2][i] < 0.5 else None
        place = PLACES[cell[i]] if u[3][i] < 0.2 else None
        lines.append(phrase(shape, colour, style, place, artist=u[4][i] < 0.25))
    return lines


def distance(factors: Factors, width: int) -> tuple[Tensor, Tensor]:
    """Signed distance of each pixel to the outline, and the pixel in the shape's own turned frame, in widths.

    -> (N, width, width), (N, width, width, 2). Raises ValueError for a shape that does not exist, or no picture at all.
    """
    if not isinstance(factors, Factors):
        raise ValueError(f"world: factors must be Factors, as draw makes them, got {shown(factors)}.")
    whole(width, "world: width", 1)
    if not (len(factors) and factors.shape.min() >= 0 and factors.shape.max() < len(SHAPES)):
        raise ValueError(f"world: shape must be indices below {len(SHAPES)}, got {factors.shape.tolist()}.")
    pixel = (torch.arange(width, device=factors.x.device).to(factors.x.dtype) + 0.5) / width
    right, down = pixel[None, None, :] - factors.x[:, None, None], pixel[None, :, None] - factors.y[:, None, None]
    cos, sin = factors.angle.cos()[:, None, None], factors.angle.sin()[:, None, None]
    p = torch.stack([cos * right + sin * down, cos * down - sin * right], -1)  # (N, width, width, 2)
    size = factors.size[:, None, None]
    rows, parts = [], []
    for index, name in enumerate(SHAPES):
        own = (factors.shape == index).nonzero()[:, 0]
        if len(own):
            rows.append(own)
            parts.append(DISTANCE[name](p[own] / size[own, ..., None]) * size[own])
    return torch.cat(parts)[torch.cat(rows).argsort()], p


def render(factors: Factors, width: int = 48) -> Tensor:
    """Pictures with soft edges, -> (N, 3, width, width) in [-1, 1], differentiable in x, y, size, angle and grey.

    A texture turns and moves with its shape: stripes and dots are a pale tint of the colour, an outlined shape shows
    the background inside.
    """
    sdf, p = distance(factors, width)
    sharp = 3.0 * width  # an edge is about a pixel wide
    inside = torch.sigmoid(-sharp * sdf)
    core = torch.sigmoid(-sharp * (sdf + _LINE))
    phase = p / _PERIOD
    wave = torch.cos(2 * math.pi * phase[..., 1])
    stripes = torch.sigmoid(6 * wave)
    lattice = torch.cos(2 * math.pi * phase).sum(-1)
    dots = torch.sigmoid(5 * (lattice - 0.6))
    style = factors.style[:, None, None]
    tint = torch.where(style == 1, stripes, torch.where(style == 2, dots, torch.zeros_like(dots)))[:, None]
    colour = RGB.to(p)[factors.colour][..., None, None]
    colour = colour + 0.8 * tint * (1 - colour)
    cover = torch.where(style == 3, inside - core, inside)[:, None]
    background = factors.grey[:, None, None, None]
    return 2 * (background + cover * (colour - background)) - 1
