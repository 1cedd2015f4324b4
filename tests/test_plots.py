"""Plots: each function draws the arrays it is given and returns what it promises."""

import base64
import io
import re

import matplotlib as mpl
import numpy as np
import pytest
import torch

mpl.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.colors import to_hex  # noqa: E402
from PIL import Image  # noqa: E402

from course_lib import plots  # noqa: E402


@pytest.fixture
def ax():
    fig, ax = plt.subplots()
    yield ax
    plt.close(fig)


X = torch.tensor([[0.0, 1.0], [2.0, -1.0], [0.5, 0.25]], dtype=torch.float64)


def test_palette_tells_series_apart_twice():
    """Six different colours and six different markers, so that colour never speaks alone."""
    assert len(set(plots.PALETTE)) == len(set(plots.MARKERS)) == 6
    assert (plots.BLUE, plots.GREY) == ("#0072B2", "#666666")


def test_figure_has_its_size_and_axes():
    """Width and height are per axes; more than one come as an array; the background is white."""
    fig, one = plots.figure()
    assert fig.get_size_inches().tolist() == pytest.approx([3.4, 3.2])
    assert one.figure is fig
    assert to_hex(fig.get_facecolor()) == "#ffffff"
    wide, axes = plots.figure(3, 2, width=2.0, height=1.0, sharex=True)
    assert axes.shape == (2, 3)
    assert wide.get_size_inches().tolist() == pytest.approx([6.0, 2.0])
    assert axes[0, 0].get_shared_x_axes().joined(axes[0, 0], axes[1, 2])
    plt.close("all")


def test_plane_is_square_and_bare(ax):
    """Equal units, no ticks, the limits and the title given; 1.6 is the default."""
    assert plots.plane(ax, 2.5, "here") is ax
    assert ax.get_xlim() == ax.get_ylim() == (-2.5, 2.5)
    assert ax.get_title() == "here"
    assert ax.get_aspect() == 1
    assert len(ax.get_xticks()) == len(ax.get_yticks()) == 0
    assert plots.plane(ax).get_xlim() == (-1.6, 1.6)


def test_modes_are_crosses_and_circles(ax):
    """The crosses lie at the centres; circles come with a radius only."""
    assert plots.modes(ax, X) is ax
    assert np.array_equal(ax.collections[0].get_offsets(), X.numpy())
    assert not ax.patches
    plots.modes(ax, X, radius=0.3)
    assert [list(circle.center) for circle in ax.patches] == X.tolist()
    assert {(circle.radius, circle.get_fill()) for circle in ax.patches} == {(0.3, False)}


def test_particles_are_dots_at_their_places(ax):
    """Tensors with gradients, arrays and lists are drawn alike, with colour, size and label as given."""
    for x in (X.clone().requires_grad_(), X.numpy(), X.tolist()):
        assert plots.particles(ax, x) is ax
        assert np.array_equal(ax.collections[-1].get_offsets(), X.numpy())
    plots.particles(ax, X, label="me", color=plots.RED, marker="s", size=7)
    dots, usual = ax.collections[-1], ax.collections[0]
    assert dots.get_label() == "me"
    assert to_hex(dots.get_facecolor()[0]) == plots.RED.lower()
    assert to_hex(usual.get_facecolor()[0]) == plots.BLUE.lower()
    assert (dots.get_sizes().tolist(), usual.get_sizes().tolist()) == ([7], [30])
    assert len(dots.get_paths()[0].vertices) != len(usual.get_paths()[0].vertices)


def test_grid_and_density_fit_together(ax):
    """The grid runs row by row from corner to corner, and a density of it is drawn at its own points."""
    points = plots.grid(2.0, 5)
    assert points.dtype == torch.float64
    assert points[[0, 1, 5, 24]].tolist() == [[-2.0, -2.0], [-1.0, -2.0], [-2.0, -1.0], [2.0, 2.0]]
    assert torch.equal(plots.grid(), plots.grid(1.6, 60))
    fine = plots.grid(2.0, 41)
    assert plots.density(ax, fine, fine[:, 0], levels=8) is ax
    contours = ax.collections[0]
    for path, low, high in zip(contours.get_paths(), contours.levels[:-1], contours.levels[1:], strict=True):
        if len(path.vertices):  # the values are x itself, so that each band lies between its own levels
            assert path.vertices[:, 0].min() >= low - 1e-9
            assert path.vertices[:, 0].max() <= high + 1e-9
    few = len(contours.levels)
    plots.density(ax, fine, fine[:, 0], levels=30)
    assert len(ax.collections[1].levels) > few


def test_field_draws_arrows(ax):
    """Arrows start at the points and have the components given, in the colour and scale given."""
    arrows = torch.tensor([[1.0, 0.0], [0.0, -2.0], [0.5, 0.5]])
    assert plots.field(ax, X, arrows, color=plots.RED, scale=4.0) is ax
    quiver = ax.collections[0]
    assert np.array_equal(quiver.XY, X.numpy())
    assert np.array_equal(np.stack([quiver.U, quiver.V], 1), arrows.numpy())
    assert quiver.scale == 4.0
    assert to_hex(quiver.get_facecolor()[0]) == plots.RED.lower()


def test_paths_follow_each_particle(ax):
    """One line per particle through all its places, and a dot at the last."""
    xs = [X, X * 2]
    assert plots.paths(ax, xs, color=plots.GREEN) is ax
    assert len(ax.lines) == 3
    for i, line in enumerate(ax.lines):
        assert np.array_equal(line.get_xydata(), torch.stack(xs)[:, i].numpy())
        assert line.get_color() == plots.GREEN
    assert np.array_equal(ax.collections[0].get_offsets(), xs[-1].numpy())


def test_curve_draws_its_numbers_and_errors(ax):
    """The line has the points, the bars their errors, and the index chooses colour and marker, round and round."""
    x, mean, error = torch.tensor([1.0, 2.0, 4.0]), torch.tensor([3.0, 5.0, 4.0]), torch.tensor([0.5, 0.25, 1.0])
    assert plots.curve(ax, x, mean, error, label="a", index=7) is ax
    line, _, (bars,) = ax.containers[0]
    assert np.array_equal(line.get_xydata(), torch.stack([x, mean], 1).numpy())
    assert (line.get_color(), line.get_marker()) == (plots.ORANGE, plots.MARKERS[1])
    assert ax.containers[0].get_label() == "a"
    ends = [segment[:, 1].tolist() for segment in bars.get_segments()]
    assert ends == [[2.5, 3.5], [4.75, 5.25], [3.0, 5.0]]
    plots.curve(ax, x, mean)
    bare = ax.containers[1]
    assert not bare[2]
    assert (bare[0].get_color(), bare[0].get_marker()) == (plots.BLUE, "o")


def frames_of(html) -> int:
    return len(re.findall(r"frames\[\d+\] = ", html.data))


def test_animation_keeps_at_most_its_frames(monkeypatch):
    """Of more arrays the first, the last and evenly spaced ones between are kept, in order, and drawn as given."""
    seen = []

    class Spy(plots.FuncAnimation):
        def __init__(self, fig, draw, count, **kwargs):
            super().__init__(fig, draw, count, **kwargs)
            axes = fig.axes[0]
            for k in range(count):
                (dots,) = draw(k)
                seen.append((axes.get_title(), np.array(dots.get_offsets())))
            seen.append((len(axes.collections), axes.get_xlim()))

    monkeypatch.setattr(plots, "FuncAnimation", Spy)
    xs = [X + i for i in range(11)]
    html = plots.animate(xs, frames=3)
    assert frames_of(html) == 3
    assert [title for title, _ in seen[:3]] == ["step 0", "step 5", "step 10"]
    assert all(np.array_equal(offsets, xs[k].numpy()) for (_, offsets), k in zip(seen[:3], (0, 5, 10), strict=True))
    assert seen[3] == (1, (-1.6, 1.6))
    seen.clear()
    plots.animate(xs[:2], centres=X, titles=["first", "second"], limit=3.0)
    assert [title for title, _ in seen[:2]] == ["first", "second"]
    assert seen[2] == (2, (-3.0, 3.0))
    assert not plt.get_fignums()


def test_animation_plays_by_itself():
    """It is HTML with its pictures inside and a player, so that no kernel and no net is needed."""
    html = plots.animate([X, X / 2])
    assert frames_of(html) == 2
    assert html.data.count("data:image/png;base64,") == 2
    assert "<script" in html.data
    assert len(plots.animate([X] * 30).data) > len(html.data)


def test_animation_has_no_more_frames_than_promised():
    """Thirty arrays give the 24 frames of the default, two arrays two."""
    assert frames_of(plots.animate([X[:1]] * 30)) == 24


def line_to(value, drawn=None):
    """A small figure that differs with the value; the values drawn are noted."""
    fig, ax = plt.subplots(figsize=(2, 1))
    ax.plot([0, value])
    if drawn is not None:
        drawn.append(value)
    return fig


def test_slider_has_a_picture_for_each_value():
    """Drawn once, in order, closed; twice as fine as they are shown; the first also as PNG, and a text."""
    drawn = []
    made = plots.slider(lambda value: line_to(value, drawn), [1, 0.1 + 0.2, 25], "steps < h")
    assert drawn == [1, 0.1 + 0.2, 25]
    assert not plt.get_fignums()
    assert made.told == ["1", "0.3", "25"]
    assert made.size == (144, 72)
    seen = [np.asarray(Image.open(io.BytesIO(frame)).convert("RGB")) for frame in made.frames]
    assert {picture.shape for picture in seen} == {(144, 288, 3)}
    assert not np.array_equal(seen[0], seen[1])
    bundle = made._repr_mimebundle_()
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(bundle["image/png"])).convert("RGB")), seen[0])
    assert repr(made) == "A slider over steps < h: 1, 0.3, 25"
    assert re.findall(r'<img alt="([^"]+)" width="144" height="72"', bundle["text/html"]) == [
        "steps &lt; h 1", "steps &lt; h 0.3", "steps &lt; h 25"
    ]  # fmt: skip
    inside = re.findall(r"data:image/webp;base64,([^\"]+)", bundle["text/html"])
    assert [base64.b64decode(data) for data in inside] == made.frames
    assert "http" not in bundle["text/html"]


def test_a_picture_full_of_colours_is_kept_small():
    """What lossless packing cannot make small (noise) is at most half as large, and looks the same."""
    noise = torch.rand(40, 60, 3, generator=torch.Generator().manual_seed(0)).numpy()

    def draw(value):
        fig, ax = plt.subplots(figsize=(3, 2))
        ax.imshow(noise**value, interpolation="bicubic")
        return fig

    made = plots.slider(draw, [1, 2], "power")
    fig = draw(1)
    exact = io.BytesIO()
    fig.savefig(exact, format="png", dpi=144, facecolor="white")
    plt.close(fig)
    assert len(made.frames[0]) < len(exact.getvalue()) / 2
    seen, due = (np.asarray(Image.open(io.BytesIO(b)).convert("RGB")) for b in (made.frames[0], exact.getvalue()))
    assert np.abs(seen.astype(float) - due).mean() < 6


def test_a_slider_opens_where_it_is_told_to():
    """Its handle, value, picture and the still one for what shows no HTML."""
    made = plots.slider(lambda value: line_to(value, []), [1, 5, 25], "steps", start=5)
    bundle = made._repr_mimebundle_()
    told = r'max="2" value="1" .*aria-valuetext="5".*<output [^>]*>5</output>'
    assert re.search(told, bundle["text/html"])
    assert re.findall(r'data-told="(\d+)"[^>]*visibility:(\w+)', bundle["text/html"]) == [
        ("1", "hidden"), ("5", "visible"), ("25", "hidden")
    ]  # fmt: skip
    seen = Image.open(io.BytesIO(made.frames[1])).convert("RGB")
    still = Image.open(io.BytesIO(bundle["image/png"])).convert("RGB")
    np.testing.assert_array_equal(np.asarray(still), np.asarray(seen))


def test_a_slider_of_one_value_or_a_strange_start_is_none():
    with pytest.raises(ValueError, match=r"at least two values to move between, got \[5\]: draw a figure"):
        plots.slider(line_to, [5], "alpha")
    with pytest.raises(ValueError, match=r"one of its values \[1, 5\], got start=2"):
        plots.slider(line_to, [1, 5], "alpha", start=2)


def pictures(n, height=4, width=6):
    """Pictures that are all different, beyond [-1, 1] here and there, with tensors that carry gradients."""
    return (torch.arange(n * 3 * height * width).reshape(n, 3, height, width) / 40 % 2.6 - 1.3).requires_grad_()


def test_images_stand_in_rows_as_they_are():
    """[-1, 1] becomes [0, 1], what is beyond is cut, colours are last; row by row, with nothing in the empty places."""
    fig = plots.images(pictures(5), columns=3)
    due = (pictures(5).detach().clamp(-1, 1).permute(0, 2, 3, 1).numpy() + 1) / 2
    assert len(fig.axes) == 6
    for i, ax in enumerate(fig.axes):
        assert not ax.axison
        assert ax.get_title() == ""
        assert not ax.patches
        assert ax.get_subplotspec().rowspan.start == i // 3
        assert ax.get_subplotspec().colspan.start == i % 3
        assert len(ax.images) == (i < 5)
        if i < 5:
            np.testing.assert_allclose(ax.images[0].get_array(), due[i], atol=1e-6)
    assert fig.get_size_inches().tolist() == pytest.approx([3 * 0.9, 2 * 0.9 * 1.05])
    plt.close(fig)


def test_images_have_titles_and_frames():
    """A title each, a red frame around the marked ones, room for both; eight stand in a row if nothing is said."""
    fig = plots.images(pictures(9).detach().numpy(), titles=list("abcdefghi"), marked=[1, 8], size=0.5)
    assert [ax.get_title() for ax in fig.axes] == [*"abcdefghi", *[""] * 7]
    assert [ax.get_subplotspec().rowspan.start for ax in fig.axes].count(0) == 8
    framed = {i: ax.patches for i, ax in enumerate(fig.axes) if ax.patches}
    assert set(framed) == {1, 8}
    for (frame,) in framed.values():
        assert to_hex(frame.get_edgecolor()) == plots.RED.lower()
        assert not frame.get_fill()
        assert frame.get_bbox().bounds == (0, 0, 1, 1)
        assert frame.get_linewidth() >= 2
    assert fig.get_size_inches().tolist() == pytest.approx([8 * 0.5, 2 * 0.5 * 1.25])
    plt.close(fig)
    one = plots.images(pictures(1), columns=1, titles=["only"], marked=torch.tensor([0]))
    (ax,) = one.axes
    assert (ax.get_title(), len(ax.images), len(ax.patches)) == ("only", 1, 1)
    plt.close(one)
