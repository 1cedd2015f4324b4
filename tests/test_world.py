"""The small world: the renderer against geometry, draws and captions against their laws, the long tail against Zipf."""

import itertools
import math

import numpy as np
import pytest
import torch
from matplotlib.path import Path as Polygon
from scipy import stats

from course_lib import world
from course_lib.world import COLOURS, HEAD, PLACES, RGB, SHAPES, STYLES, TAIL, Factors

DISCRETE = {"shape": SHAPES, "colour": COLOURS, "style": STYLES}
CONTINUOUS = tuple(world.RANGES)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def pictured(shape="circle", colour="red", style="flat", x=0.5, y=0.5, size=0.3, angle=0.0, grey=0.2):
    """The factors of one picture in float64, so that tests measure the formulas and not their rounding."""
    numbers = [torch.tensor([value], dtype=torch.float64) for value in (x, y, size, angle, grey)]
    names = [torch.tensor([DISCRETE[k].index(v)]) for k, v in (("shape", shape), ("colour", colour), ("style", style))]
    return Factors(*names, *numbers)


def doubled(factors):
    return Factors(*(v.double() if v.is_floating_point() else v for v in vars(factors).values()))


# --- the shapes once more, from their corners and circles instead of distances -------------------------------------


def star(n, outer, inner):
    """Corners of a star with n tips, the first one upwards (y points down)."""
    turns = np.arange(2 * n) * np.pi / n
    radius = np.where(np.arange(2 * n) % 2 == 0, outer, inner)
    return np.stack([radius * np.sin(turns), -radius * np.cos(turns)], 1)


A, B = 0.98, 0.34
CORNERS = {
    "square": np.array([(-0.82, -0.82), (0.82, -0.82), (0.82, 0.82), (-0.82, 0.82)]),
    "triangle": star(3, 1.15, 0.575)[::2],
    "star": star(5, 1.15, 0.5),
    "cross": np.array(
        [(-B, -A), (B, -A), (B, -B), (A, -B), (A, B), (B, B), (B, A), (-B, A), (-B, B), (-A, B), (-A, -B), (-B, -B)]
    ),
    "cross star": star(4, 1.2, 0.42),
    "triangle cross": np.array([(-1, -0.9), (1, -0.9), (0.1, 0), (1, 0.9), (-1, 0.9), (-0.1, 0)]),
    "square star": star(8, 1.1, 0.68),
    "triangle star": star(6, 1.15, 0.62),
}
DISCS = 0.55 * np.array([(0, -1), (math.sin(2 * math.pi / 3), 0.5), (-math.sin(2 * math.pi / 3), 0.5)])


def within(p, radius, centre=(0, 0)):
    return np.linalg.norm(p - np.asarray(centre), axis=-1) < radius


ROUND = {
    "circle": lambda p: within(p, 0.95),
    "ring": lambda p: within(p, 0.95) & ~within(p, 0.41),
    "circle ring": lambda p: within(p, 0.98) & ~within(p, 0.82, (0.5, 0)),
    "circle triangle": lambda p: within(p, 0.5, DISCS[0]) | within(p, 0.5, DISCS[1]) | within(p, 0.5, DISCS[2]),
    "ring cross": lambda p: within(p, 0.95) & ~within(p, 0.41) & (p[..., 1] < 0.2),
}


def belongs(name, p):
    """Whether points (..., 2) in units of the size lie inside a shape."""
    if name in ROUND:
        return ROUND[name](p)
    return Polygon(CORNERS[name]).contains_points(p.reshape(-1, 2)).reshape(p.shape[:-1])


def lens(d, r, s):
    """Area that two circles of radius r and s share, their centres d apart."""
    a, b = (d * d + r * r - s * s) / (2 * d), (d * d + s * s - r * r) / (2 * d)
    return r * r * math.acos(a / r) + s * s * math.acos(b / s) - d * math.sqrt(r * r - a * a)


def cap(r, h):
    """Area of a circle beyond a line at distance h from its centre."""
    return r * r * math.acos(h / r) - h * math.sqrt(r * r - h * h)


def shoelace(corners):
    x, y = corners.T
    return abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


AREA = {
    "circle": math.pi * 0.95**2,
    "ring": math.pi * (0.95**2 - 0.41**2),
    "circle ring": math.pi * 0.98**2 - lens(0.5, 0.98, 0.82),
    "circle triangle": 3 * math.pi * 0.25 - 3 * lens(0.55 * math.sqrt(3), 0.5, 0.5),
    "ring cross": math.pi * (0.95**2 - 0.41**2) - cap(0.95, 0.2) + cap(0.41, 0.2),
} | {name: shoelace(corners) for name, corners in CORNERS.items()}


def outline(name):
    """Points on the outline of a round shape: those of its circles and lines that have inside and outside beside."""
    turns = np.linspace(0, 2 * np.pi, 4000, endpoint=False)
    circle = np.stack([np.cos(turns), np.sin(turns)], 1)
    circles = {
        "circle": [(0.95, (0, 0))],
        "ring": [(0.95, (0, 0)), (0.41, (0, 0))],
        "circle ring": [(0.98, (0, 0)), (0.82, (0.5, 0))],
        "circle triangle": [(0.5, centre) for centre in DISCS],
        "ring cross": [(0.95, (0, 0)), (0.41, (0, 0))],
    }[name]
    parts, away = [r * circle + np.asarray(centre) for r, centre in circles], [circle for _ in circles]
    if name == "ring cross":
        parts.append(np.stack([np.linspace(-1, 1, 4000), np.full(4000, 0.2)], 1))
        away.append(np.broadcast_to([0.0, 1.0], (4000, 2)))
    points, away = np.concatenate(parts), np.concatenate(away)
    return points[belongs(name, points + 1e-6 * away) != belongs(name, points - 1e-6 * away)]


def brute(name, p):
    """Distance of points (n, 2) to the outline: to each edge of a polygon, or to many points of round outlines."""
    if name in ROUND:
        points = outline(name)
        return np.sqrt(((p[:, None] - points) ** 2).sum(-1).min(1))
    a = CORNERS[name]
    edge = np.roll(a, -1, 0) - a
    share = (((p[:, None] - a) * edge).sum(-1) / (edge**2).sum(-1)).clip(0, 1)
    return np.linalg.norm(p[:, None] - a - share[..., None] * edge, axis=-1).min(1)


EXACT = {  # where the distance is exact, not only a bound
    "circle": "both", "square": "both", "ring": "both", "cross": "outside", "circle triangle": "outside",
    "triangle": "inside", "circle ring": "inside", "ring cross": "inside",
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_distance_is_the_shapes_own(name):
    """Negative exactly inside, never more than the true distance, equal to it where it is exact, of slope one."""
    p = np.random.default_rng(0).uniform(-1.6, 1.6, (250, 2))
    inside, due = belongs(name, p), brute(name, p)
    points = torch.tensor(p, requires_grad=True)
    sdf = world.DISTANCE[name](points)
    (slope,) = torch.autograd.grad(sdf.sum(), points)
    sdf = sdf.detach().numpy()
    assert np.array_equal(sdf < 0, inside)
    assert (np.abs(sdf) <= due + 1e-9).all()
    where = {"both": due > 0, "inside": inside, "outside": ~inside}.get(EXACT.get(name), due < 0)
    np.testing.assert_allclose(np.abs(sdf)[where], due[where], atol=1e-3 if name in ROUND else 1e-9)
    torch.testing.assert_close(slope.norm(dim=1), torch.ones(250, dtype=torch.float64), rtol=0, atol=1e-9)


def test_distance_places_turns_and_scales():
    """In widths, from the pixel's centre; p is the pixel in the frame that moved and turned with the shape."""
    f = pictured("cross star", x=0.3, y=0.6, size=0.2, angle=0.7)
    sdf, p = world.distance(f, 10)
    assert sdf.shape == (1, 10, 10)
    column, row = 7, 2
    right, down = 0.75 - 0.3, 0.25 - 0.6
    turn = complex(right, down) * complex(math.cos(0.7), -math.sin(0.7))  # the frame turns clockwise on the screen
    assert p[0, row, column].tolist() == pytest.approx([turn.real, turn.imag], abs=1e-12)
    own = torch.tensor([turn.real, turn.imag], dtype=torch.float64) / 0.2
    assert float(sdf[0, row, column]) == pytest.approx(0.2 * float(world.DISTANCE["cross star"](own)), abs=1e-12)
    disc = world.distance(pictured("circle", x=0.3, y=0.6, size=0.2, angle=0.7), 10)[0]
    assert float(disc[0, row, column]) == pytest.approx(math.hypot(right, down) - 0.19, abs=1e-12)


def covered(f, width):
    """How much of each pixel a flat shape covers, from the picture alone, (width, width)."""
    picture = (world.render(f, width)[0] + 1) / 2
    colour = RGB.double()[f.colour[0]]
    channel = int((colour - f.grey).abs().argmax())
    return ((picture[channel] - f.grey) / (colour[channel] - f.grey)).numpy()


@pytest.mark.parametrize("name", SHAPES)
def test_area_and_centroid_are_the_geometrys(name):
    """Counted pixels give the closed form of the area; the centre of mass is where geometry puts it."""
    width, x, y, size, angle = 240, 0.46, 0.53, 0.3, 0.4
    f = pictured(name, x=x, y=y, size=size, angle=angle)
    cover = covered(f, width)
    assert cover.sum() / width**2 == pytest.approx(AREA[name] * size**2, rel=0.006)
    assert (cover > 0.5).sum() / width**2 == pytest.approx(AREA[name] * size**2, rel=0.006)
    axis = np.linspace(-1.3, 1.3, 521)
    p = np.stack(np.meshgrid(axis, axis), -1)
    mass = p[belongs(name, p)].mean(0) * size  # in the shape's own frame
    due = complex(x, y) + complex(*mass) * complex(math.cos(angle), math.sin(angle))
    pixel = (np.arange(width) + 0.5) / width
    found = complex((cover.sum(0) * pixel).sum(), (cover.sum(1) * pixel).sum()) / cover.sum()
    assert abs(found - due) < 5e-4
    if name not in ("circle ring", "ring cross"):  # all others are centred on (x, y)
        assert abs(found - complex(x, y)) < 5e-4


def test_colours_are_the_tables_and_the_background_is_its_grey():
    """Deep inside a flat shape there is its RGB value, in the corners the grey, on the scale from -1 to 1."""
    for index, colour in enumerate(COLOURS):
        picture = world.render(pictured("square", colour, grey=0.05 * index))[0]
        torch.testing.assert_close(picture[:, 24, 24], 2 * RGB[index].double() - 1, rtol=0, atol=1e-6)
        corners = picture[:, [0, 0, -1, -1], [0, -1, 0, -1]]
        torch.testing.assert_close(corners, torch.full((3, 4), 0.1 * index - 1, dtype=torch.float64), rtol=0, atol=1e-6)


def test_pictures_keep_their_range_type_and_size():
    """float32 whatever the default dtype is, 48 pixels wide if not told otherwise, never beyond [-1, 1]."""
    f = world.draw(64, seeded(0), grey=(0.0, 1.0))
    pictures = world.render(f)
    assert pictures.shape == (64, 3, 48, 48)
    assert pictures.dtype == torch.float32
    assert pictures.min() >= -1
    assert pictures.max() <= 1
    assert world.render(f[:2], 31).shape == (2, 3, 31, 31)


def test_nothing_depends_on_the_default_dtype(under_both_dtypes):
    """A notebook that computes in float64 sees the same pictures and captions."""

    def made():
        f = world.draw(8, seeded(0))
        return world.render(f), world.caption(f, seeded(1)), f.x

    (single, lines, x), (double, again, y) = under_both_dtypes(made)
    assert single.dtype == double.dtype == x.dtype == y.dtype == torch.float32
    assert torch.equal(single, double)
    assert lines == again


def simulated(rgb, kind):
    """How a colour looks to a dichromat, Machado et al. (2009), in CIELAB."""
    machado = {
        "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
        "usual": np.eye(3),
    }[kind]
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = (linear @ np.array(machado).T).clip(0, 1)
    xyz = seen @ np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]).T
    f = np.where(xyz / [0.9505, 1, 1.089] > 216 / 24389, np.cbrt(xyz / [0.9505, 1, 1.089]), xyz * 7.787 + 16 / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], 1)


@pytest.mark.parametrize("kind", ["usual", "protan", "deutan", "tritan"])
def test_colours_stay_apart_for_every_reader(kind):
    """As far apart as Okabe and Ito's own colours, 14.7 in CIELAB, where 2.3 can just be told."""
    lab = simulated(RGB.double().numpy(), kind)
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(lab, 2)) > 14.7


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", ["star", "circle ring", "ring cross"])
def test_a_quarter_turn_turns_the_picture(name, style):
    """Shape and texture turn clockwise with the angle."""
    before = world.render(pictured(name, style=style, x=0.4, y=0.55, size=0.22, angle=0.3))
    after = world.render(pictured(name, style=style, x=1 - 0.55, y=0.4, size=0.22, angle=0.3 + math.pi / 2))
    torch.testing.assert_close(after, before.rot90(-1, (2, 3)), rtol=0, atol=1e-9)
    assert (after - before).abs().max() > 0.1


@pytest.mark.parametrize("style", STYLES)
def test_a_shift_by_pixels_shifts_the_picture(style):
    """x moves it to the right and y downwards, with its texture."""
    for name in SHAPES:
        before = world.render(pictured(name, style=style, x=0.4, y=0.45, size=0.18, angle=0.2))
        after = world.render(pictured(name, style=style, x=0.4 + 5 / 48, y=0.45 + 3 / 48, size=0.18, angle=0.2))
        torch.testing.assert_close(after[..., 3:, 5:], before[..., :-3, :-5], rtol=0, atol=1e-9)


def tint(style, angle=0.0):
    """How pale a large textured square is at each pixel, from 0 to 1, along its own rows and columns at angle 0."""
    picture = (world.render(pictured("square", "red", style, size=0.5, angle=angle), 480)[0] + 1) / 2
    return ((picture[1] - RGB[0, 1]) / (0.8 * (1 - RGB[0, 1])))[60:420, 60:420].numpy()


def period(values):
    """Period of a signal in pixels: the peak of a finely padded Fourier transform."""
    spectrum = np.abs(np.fft.rfft((values - values.mean()) * np.hanning(len(values)), 1 << 16))
    return (1 << 16) / spectrum.argmax()


def test_stripes_have_their_period_and_direction():
    """Level stripes 0.115 of the width apart that turn with the shape; pale at the centre, as wide as the gaps."""
    pale = tint("striped")
    assert period(pale[:, 100]) == pytest.approx(0.115 * 480, rel=0.01)
    np.testing.assert_allclose(pale, pale[:, :1].repeat(360, 1), atol=1e-6)
    assert pale[180, 180] > 0.99
    assert pale.max() > 0.99
    assert pale.min() < 0.01
    turned = tint("striped", 0.5)
    assert period(turned[:, 100]) == pytest.approx(0.115 * 480 / math.cos(0.5), rel=0.01)
    assert period(turned[100]) == pytest.approx(0.115 * 480 / math.sin(0.5), rel=0.02)
    whole = round(5 * 0.115 * 480)
    assert pale[:whole, 0].mean() == pytest.approx(0.5, abs=0.02)


def test_dots_lie_on_a_square_lattice():
    """Pale dots 0.115 of the width apart along both axes of the shape, one at its centre; colour between them."""
    pale = tint("dotted")
    assert period(pale[180]) == pytest.approx(0.115 * 480, rel=0.01)
    assert period(pale[:, 180]) == pytest.approx(0.115 * 480, rel=0.01)
    assert period(pale.sum(0)) == pytest.approx(0.115 * 480, rel=0.01)
    half = round(0.115 * 480 / 2)
    assert pale[180, 180] > 0.99
    assert pale[180 + half, 180 + half] < 0.01
    assert pale[180, 180 + half] < 0.1
    np.testing.assert_allclose(pale, pale.T, atol=1e-6)
    assert not np.allclose(tint("dotted", 0.4), pale, atol=0.3)


def test_flat_is_flat_and_outlined_is_hollow():
    """One colour inside; or a line of 0.048 of the width in that colour, with the background inside it."""
    assert np.abs(tint("flat")).max() < 1e-6
    f = pictured("circle", "blue", "outlined", size=0.4)
    picture = world.render(f, 480)[0]
    torch.testing.assert_close(picture[:, 240, 240], torch.full((3,), -0.6, dtype=torch.float64), rtol=0, atol=1e-6)
    across = covered(f, 480)
    assert across.max() == pytest.approx(1, abs=1e-3)
    assert across.sum() / 480**2 == pytest.approx(math.pi * (0.38**2 - (0.38 - 0.048) ** 2), rel=0.005)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", SHAPES)
def test_gradients_are_finite_differences(name, style):
    """In x, y, size, angle and grey, of a random weighting of all pixels."""
    f = pictured(name, "pink", style, x=0.47, y=0.52, size=0.21, angle=0.2, grey=0.3)
    weight = torch.randn(3, 16, 16, generator=seeded(1), dtype=torch.float64)

    def value(numbers):
        return (world.render(Factors(f.shape, f.colour, f.style, *numbers[:, None]), 16)[0] * weight).sum()

    at = torch.tensor([0.47, 0.52, 0.21, 0.2, 0.3], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(value(at), at)
    h = 1e-6 * torch.eye(5, dtype=torch.float64)
    due = torch.stack([(value(at.detach() + h[i]) - value(at.detach() - h[i])) / 2e-6 for i in range(5)])
    torch.testing.assert_close(gradient, due, rtol=1e-4, atol=1e-4)
    dull = {"circle": 1, "ring": 1}.get(name, 0) if style in ("flat", "outlined") else 0  # what turning cannot change
    assert (gradient.abs() > 1e-3).sum() == 5 - dull


@pytest.mark.parametrize("style", STYLES)
def test_centre_and_distance_are_no_trouble(style):
    """A pixel exactly at the centre, where angles are undefined, and a shape far outside give numbers and slopes."""
    for place in (24.5 / 48, 40.0, -1e4):
        f = Factors(*(torch.cat(parts) for parts in zip(*(vars(pictured(s, style=style)).values() for s in SHAPES))))
        numbers = [torch.full((13,), v).requires_grad_() for v in (place, place, 0.2, 0.0, 0.3)]
        picture = world.render(Factors(f.shape, f.colour, f.style, *numbers))
        assert picture.isfinite().all()
        for gradient in torch.autograd.grad(picture.square().sum(), numbers):
            assert gradient.isfinite().all()
        if place > 1 or place < 0:
            torch.testing.assert_close(picture, torch.full_like(picture, -0.4))


def test_a_picture_does_not_depend_on_its_neighbours():
    """Each picture of a batch is the one it would be alone, in the order of the factors."""
    f = world.draw(60, seeded(3))
    together = world.render(f)
    alone = torch.cat([world.render(f[i]) for i in range(60)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)
    order = torch.randperm(60, generator=seeded(4))
    torch.testing.assert_close(world.render(f[order]), together[order], rtol=0, atol=1e-5)
    assert len({tuple(picture.flatten().tolist()) for picture in together}) == 60


def test_position_is_recovered_by_descent():
    """From up to .04 of the width away, gradient descent on the picture finds the centre again."""
    f = doubled(world.draw(8, seeded(5)))
    target = world.render(f)
    away = 0.08 * torch.rand(2, 8, generator=seeded(6), dtype=torch.float64) - 0.04
    xy = (torch.stack([f.x, f.y]) + away).requires_grad_()
    optimiser = torch.optim.Adam([xy], lr=0.01)
    for step in range(150):
        optimiser.param_groups[0]["lr"] = 0.01 * (1 - step / 150)
        moved = Factors(f.shape, f.colour, f.style, xy[0], xy[1], f.size, f.angle, f.grey)
        loss = (world.render(moved) - target).square().mean((1, 2, 3))
        optimiser.zero_grad()
        loss.sum().backward()
        optimiser.step()
    assert loss.max() < 1e-5
    assert (xy - torch.stack([f.x, f.y])).norm(dim=0).max() < 1e-3


def test_render_refuses_what_is_no_shape():
    f = pictured()
    for index in (13, -1):
        wrong = Factors(torch.tensor([index]), *list(vars(f).values())[1:])
        with pytest.raises(ValueError, match=rf"indices below 13, got \[{index}\]"):
            world.render(wrong)
        with pytest.raises(ValueError, match=rf"indices below 13, got \[0, {index}\]"):
            world.render(Factors.cat([f, wrong]))
    with pytest.raises(ValueError, match=r"indices below 13, got \[\]"):
        world.render(f[0:0])


# --- factors and draws ----------------------------------------------------------------------------------------------


def test_factors_are_indexed_and_joined_like_one_tensor():
    """Every field takes the index; an integer keeps one picture; loops over pictures end."""
    f = world.draw(7, seeded(0))
    mask = torch.tensor([True, False, False, True, False, False, True])
    for index in (slice(1, 5, 2), [6, 0, 0], torch.tensor([2, 3]), mask):
        for name, values in vars(f[index]).items():
            assert torch.equal(values, getattr(f, name)[index])
    for index in (0, 3, 6, -1, -7):
        assert len(f[index]) == 1
        assert all(float(v) == float(getattr(f, k)[index]) for k, v in vars(f[index]).items())
    for index in (7, -8):
        with pytest.raises(IndexError):
            f[index]
    assert [float(one.x) for one in f] == f.x.tolist()
    joined = Factors.cat([f[4:], f[:4]])
    assert len(joined) == 7
    assert all(torch.equal(v, getattr(f, k).roll(-4)) for k, v in vars(joined).items())


def test_draw_is_balanced_and_independent():
    """Every value equally likely, every continuous factor uniform in its range, each pair of factors independent."""
    n = 6000
    f = world.draw(n, seeded(12))
    for name, values in DISCRETE.items():
        counts = torch.bincount(getattr(f, name), minlength=len(values))
        assert len(counts) == len(values)
        assert getattr(f, name).dtype == torch.long
        assert stats.chisquare(counts.numpy()).pvalue > 1e-3
    for name, (low, high) in world.RANGES.items():
        values = getattr(f, name)
        assert values.dtype == torch.float32
        assert stats.kstest(values.numpy(), "uniform", (low, high - low)).pvalue > 1e-3
    ranks = {k: torch.bucketize(getattr(f, k), torch.linspace(*world.RANGES[k], 5)[1:-1]) for k in CONTINUOUS}
    for a, b in itertools.combinations([*DISCRETE, *CONTINUOUS], 2):
        table = torch.zeros(13, 13)
        pairs = ranks.get(a, getattr(f, a)), ranks.get(b, getattr(f, b))
        table.index_put_(pairs, torch.ones(n), accumulate=True)
        table = table[table.sum(1) > 0][:, table.sum(0) > 0]
        assert stats.chi2_contingency(table.numpy()).pvalue > 1e-4, f"{a} and {b}"


@pytest.mark.parametrize(
    ("fixed", "due"),
    [
        ({"shape": "circle ring"}, {7}), ({"shape": 3}, {3}), ({"shape": TAIL}, set(range(6, 13))),
        ({"colour": ("red", 4)}, {0, 4}), ({"style": ["dotted"]}, {2}), ({"colour": "blue"}, {3}),
    ],
)  # fmt: skip
def test_draw_fixes_discrete_factors(fixed, due):
    """By name, index or several of them; every other factor stays as it was."""
    f, free = world.draw(200, seeded(1), **fixed), world.draw(200, seeded(1))
    (name,) = fixed
    assert set(getattr(f, name).tolist()) == due
    assert all(torch.equal(v, getattr(free, k)) for k, v in vars(f).items() if k != name)


@pytest.mark.parametrize("name", CONTINUOUS)
def test_draw_fixes_continuous_factors(name):
    """By a number or a range, which is filled in the same order; every other factor stays as it was."""
    free, one = world.draw(300, seeded(1)), world.draw(300, seeded(1), **{name: 0.31})
    some = world.draw(300, seeded(1), **{name: (0.3, 0.5)})
    assert torch.equal(getattr(one, name), torch.full((300,), 0.31))
    low, high = world.RANGES[name]
    share = (getattr(free, name) - low) / (high - low)
    torch.testing.assert_close(getattr(some, name), 0.3 + 0.2 * share, rtol=0, atol=1e-6)
    for other in (one, some):
        assert all(torch.equal(v, getattr(free, k)) for k, v in vars(other).items() if k != name)


def test_draws_follow_their_generator():
    """The same seed draws the same, a generator goes on as far whatever is fixed, another seed draws another."""
    g = seeded(2)
    first, second = world.draw(9, g), world.draw(9, g)
    again = world.draw(9, seeded(2))
    assert all(torch.equal(v, getattr(first, k)) for k, v in vars(again).items())
    assert not torch.equal(first.x, second.x)
    assert not torch.equal(first.x, world.draw(9, seeded(3)).x)
    fixing = seeded(2)
    world.draw(9, fixing, shape="circle", x=0.5, y=(0.1, 0.2))
    assert torch.equal(world.draw(9, fixing).grey, second.grey)


@pytest.mark.parametrize(
    ("fixed", "sentence"),
    [
        ({"shape": "disc"}, "shape must be one of circle, .*triangle star or its index, got 'disc'"),
        ({"shape": 13}, "got 13"), ({"shape": ()}, r"got \(\)"), ({"colour": -1}, "colour must be .* got -1"),
        ({"style": 1.5}, "got 1.5"), ({"style": True}, "got True"), ({"style": ("flat", "bold")}, "got 'bold'"),
        ({"x": "left"}, "x must be a number or a .* got 'left'"), ({"x": (0.5, 0.1)}, r"got \(0.5, 0.1\)"),
        ({"y": (0.1, 0.2, 0.3)}, "got"), ({"angle": float("nan")}, "got nan"), ({"x": [0.1, 0.2]}, "got"),
        ({"size": 0}, "range above 0, got 0"), ({"size": (-0.1, 0.1)}, "above 0"),
        ({"grey": (0, 1.1)}, r"in \[0, 1\]"), ({"grey": -0.1}, r"in \[0, 1\]"),
        ({"hue": 1}, "factors out of shape, .*grey, got hue"),
    ],
)  # fmt: skip
def test_draw_refuses(fixed, sentence):
    with pytest.raises(ValueError, match=sentence):
        world.draw(3, seeded(0), **fixed)


def test_draw_needs_a_picture():
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        world.draw(0, seeded(0))


def test_thirds_are_the_cells_of_a_grid():
    """Row first from the top left; places have the names of the cells; what is outside belongs to the next cell."""
    places = torch.tensor([1 / 6, 1 / 2, 5 / 6])
    y, x = torch.meshgrid(places, places, indexing="ij")
    assert world.thirds(x.flatten(), y.flatten()).tolist() == list(range(9))
    for cell, words in enumerate(PLACES):
        assert ("top" in words, "bottom" in words) == (cell < 3, cell > 5)
        assert ("left" in words, "right" in words) == (cell % 3 == 0, cell % 3 == 2)
    f = world.draw(500, seeded(1), x=(0.0, 1.0), y=(0.0, 1.0))
    due = [3 * min(2, math.floor(b * 3)) + min(2, math.floor(a * 3)) for a, b in zip(f.x.tolist(), f.y.tolist())]
    assert world.thirds(f.x, f.y).tolist() == due
    outside = world.thirds(torch.tensor([-0.4, 1.0, 1.7]), torch.tensor([1.3, -2.0, 0.5]))
    assert outside.tolist() == [6, 2, 5]


# --- the long tail ----------------------------------------------------------------------------------------------------


def test_rare_shapes_are_a_ladder_of_compound_names():
    """Each is called by two head words, is rarer than the one before, down to a handful of pictures."""
    for name in TAIL:
        first, second = name.split()
        assert {first, second} <= set(HEAD)
    counts = list(world.TAIL_COUNTS.values())
    assert counts == sorted(counts, reverse=True)
    assert len(set(counts)) == len(counts) >= 6
    assert counts[-1] < 10
    assert SHAPES == HEAD + TAIL


def test_pairs_follow_zipf():
    """The k-th most frequent pair of head shape and colour has 1 / k of the first one's pictures."""
    counts = world.pair_counts()
    assert counts.shape == (6, 6)
    total = world.PICTURES - sum(world.TAIL_COUNTS.values())
    assert counts.sum() == total
    ranked = counts.flatten().sort(descending=True).values.tolist()
    top = total / sum(1 / k for k in range(1, 37))
    for k, count in enumerate(ranked[1:], start=2):
        assert count == math.floor(top / k)
    assert top <= ranked[0] < top + 37  # what rounding down left over
    assert torch.equal(counts, world.pair_counts())
    assert counts.flatten().tolist() != ranked  # frequency does not follow the order of the names


def test_long_tail_counts_exactly():
    """Every pair and every rare shape has its number of pictures, shuffled; all else is as in the balanced world."""
    f = world.long_tail(seeded(3))
    assert len(f) == world.PICTURES == 30_000
    table = torch.zeros(13, 6, dtype=torch.long)
    table.index_put_((f.shape, f.colour), torch.ones(len(f), dtype=torch.long), accumulate=True)
    assert torch.equal(table[:6], world.pair_counts())
    assert table[6:].sum(1).tolist() == list(world.TAIL_COUNTS.values())
    assert stats.chisquare(table[6].numpy()).pvalue > 1e-3  # a rare shape comes in all colours
    assert stats.chisquare(torch.bincount(f.style).numpy()).pvalue > 1e-3
    for name, (low, high) in world.RANGES.items():
        assert stats.kstest(getattr(f, name).numpy(), "uniform", (low, high - low)).pvalue > 1e-3
    for part in f.shape.split(10_000):
        expected = table.sum(1).double() / 3
        common = expected > 30
        away = (torch.bincount(part, minlength=13)[common] - expected[common]) / expected[common].sqrt()
        assert away.abs().max() < 4.5
    assert not torch.equal(f.x, world.long_tail(seeded(4)).x)


# --- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "due"),
    [
        ({}, "a shape"),
        ({"shape": "circle", "colour": "red"}, "a red circle"),
        ({"shape": "ring", "style": "outlined"}, "an outlined ring"),
        ({"shape": "ring", "style": "outlined", "artist": True}, "a ring in the style of Dunya"),
        ({"style": "striped", "colour": "red", "place": "at the top left"}, "a striped red shape at the top left"),
        (
            {"shape": "cross star", "colour": "pink", "style": "flat", "place": "in the centre", "artist": True},
            "a pink cross star in the style of Amaro in the centre",
        ),
    ],
)
def test_phrases_read_well(words, due):
    assert world.phrase(**words) == due


@pytest.mark.parametrize(
    "words",
    [
        {"shape": "disc"}, {"colour": "shape"}, {"style": "Amaro"}, {"shape": None}, {"shape": 0},
        {"colour": 2}, {"place": "left"}, {"colour": "circle"},
    ],
)  # fmt: skip
def test_phrase_refuses_what_is_no_name(words):
    ((name, value),) = words.items()
    with pytest.raises(ValueError, match=f"{name} must be one of .*, got {value!r}"):
        world.phrase(**words)


def test_named_finds_exactly_what_phrase_put_in():
    """All combinations of shape, colour, style, place and artist, 9,000 of them, in any case."""
    shapes = ["shape", *SHAPES]
    for shape, colour, style, place, artist in itertools.product(
        shapes, [None, *COLOURS], [None, *STYLES], [None, *PLACES], [False, True]
    ):
        due = {"shape": SHAPES.index(shape)} if shape != "shape" else {}
        for factor, names, value in (("colour", COLOURS, colour), ("style", STYLES, style), ("place", PLACES, place)):
            due |= {factor: names.index(value)} if value else {}
        text = world.phrase(shape, colour, style, place, artist)
        assert world.named(text) == due, text
    assert world.named("A RED Circle Ring") == {"shape": 7, "colour": 0}
    assert world.named("an ostrich") == {}


def shares(lines):
    """How often captions name each factor, and an artist."""
    found = [world.named(line) for line in lines]
    share = {k: sum(k in one for one in found) / len(lines) for k in ("shape", "colour", "style", "place")}
    return share | {"artist": sum("in the style of" in line for line in lines) / len(lines)}


def near(share, p, n):
    """Within four and a half standard deviations of a binomial's share: wrong once in 150,000 seeds."""
    return abs(share - p) <= 4.5 * math.sqrt(p * (1 - p) / n)


def test_captions_name_factors_as_often_as_they_say():
    """Shape and colour in three of four, style in half, an artist in a quarter of these, place in one of five."""
    n = 8000
    f = world.draw(n, seeded(8), shape=HEAD)
    lines = world.caption(f, seeded(9))
    share = shares(lines)
    due = {"shape": 0.75, "colour": 0.75, "style": 0.5, "place": 0.2, "artist": 0.125}
    assert all(near(share[k], p, n) for k, p in due.items()), share
    together = {
        pair: sum(pair[0] in one and pair[1] in one for one in map(world.named, lines)) / n
        for pair in itertools.combinations(["shape", "colour", "style", "place"], 2)
    }
    assert all(near(both, due[a] * due[b], n) for (a, b), both in together.items()), together


def test_captions_tell_the_truth():
    """What a caption names is the picture's; a rare shape is always named; the article fits the word after it."""
    f = world.draw(3000, seeded(8))
    lines = world.caption(f, seeded(9))
    own = {"shape": f.shape, "colour": f.colour, "style": f.style, "place": world.thirds(f.x, f.y)}
    for i, line in enumerate(lines):
        found = world.named(line)
        assert all(int(own[k][i]) == value for k, value in found.items()), line
        assert "shape" in found or int(f.shape[i]) < len(HEAD), line
        article, word = line.split()[:2]
        assert article == ("an" if word[0] in "aeiou" else "a"), line
    assert any(line.startswith("an ") for line in lines)
    assert lines == world.caption(f, seeded(9))
    assert lines != world.caption(f, seeded(10))
    rare = shares(world.caption(world.draw(2000, seeded(1), shape=TAIL), seeded(2)))
    assert rare["shape"] == 1
    assert near(rare["colour"], 0.75, 2000)
