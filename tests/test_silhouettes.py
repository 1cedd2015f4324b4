"""Outlines without a network: flat and outlined shapes alike, known overlaps, arms of stars."""

import math

import pytest
import torch

from course_lib import world
from course_lib.features import arms, iou, overlap, profile, silhouette

STARS = {"star": 5, "cross star": 4, "square star": 8, "triangle star": 6, "circle triangle": 3, "triangle": 3}


def drawn(n, g, **fixed):
    return world.render(world.draw(n, g, **fixed))


def test_a_silhouette_is_the_inside_of_the_shape_whatever_its_style(g):
    same = {"shape": "square star", "x": 0.5, "y": 0.5, "size": 0.22, "angle": 0.1, "grey": 0.2}
    masks = [silhouette(drawn(1, g, style=style, colour="blue", **same))[0] for style in world.STYLES]
    inside = world.distance(world.draw(1, g, style="flat", colour="blue", **same), 48)[0][0] < 0
    for mask in masks:
        assert iou(mask, inside) > 0.85  # edges are a pixel soft
    assert silhouette(torch.zeros(1, 3, 48, 48)).sum() == 0


def test_an_outline_with_a_gap_stays_open(g):
    image = drawn(1, g, shape="square", style="outlined", colour="red", x=0.5, y=0.5, size=0.24, angle=0.0, grey=0.1)
    closed = silhouette(image)
    gap = image.clone()
    gap[..., :24, 22:26] = image[..., :1, :1]  # ground from the edge through the upper side
    assert closed[0, 24, 24]
    assert not silhouette(gap)[0, 20, 24]


def test_iou_counts_pixels():
    a, b = torch.zeros(2, 4, 4), torch.zeros(2, 4, 4)
    a[0, :2], b[0, 1:3] = 1, 1  # 8 and 8 pixels, 4 in common
    assert iou(a, b).tolist() == [pytest.approx(1 / 3), 0.0]
    assert iou(a[0], a[0]) == 1


def test_the_outline_names_every_shape_but_the_one_with_a_hole(g):
    for index, name in enumerate(world.SHAPES):
        shares = overlap(drawn(4, g, shape=name))
        if name == "ring":
            assert (shares.argmax(1) == world.SHAPES.index("circle")).all()  # filled, a ring is a circle
            continue
        assert (shares.argmax(1) == index).float().mean() >= 0.75, name
        assert shares[:, index].median() > 0.8
        assert (shares <= 1 + 1e-5).all()


def test_overlap_follows_a_shape_out_of_the_picture_and_does_not_mind_the_chunks(g):
    factors = {"shape": "circle triangle", "style": "flat", "size": 0.22, "angle": 0.0, "grey": 0.1}
    pictures = torch.cat([drawn(1, g, x=0.5, y=0.5, **factors), drawn(1, g, x=0.1, y=0.5, **factors)])
    shares = overlap(pictures)
    own = world.SHAPES.index("circle triangle")
    assert (shares.argmax(1) == own).all()
    assert (shares[0, own] - shares[1, own]).abs() < 0.1
    torch.testing.assert_close(overlap(pictures, chunk=1), shares)


@pytest.mark.parametrize(("name", "count"), STARS.items())
def test_arms_of_shapes_whose_number_is_known(name, count, g):
    found = arms(profile(silhouette(drawn(12, g, shape=name))))
    assert (found == count).float().mean() >= 0.9


def test_profile_of_a_disc_is_its_radius_and_arms_is_the_strongest_harmonic(g):
    disc = silhouette(drawn(1, g, shape="circle", style="flat", colour="blue", x=0.4, y=0.6, size=0.2, grey=0.1))
    assert (profile(disc) - 0.95 * 0.2).abs().max() < 0.02
    assert (profile(torch.zeros(1, 48, 48)) == 0).all()
    turn = 2 * math.pi * torch.arange(60) / 60
    waves = torch.stack([2 + torch.cos(k * turn + 1) + 0.5 * torch.cos(turn) for k in (2, 7, 12)])
    assert arms(waves).tolist() == [2, 7, 12]
    assert arms(waves, most=7).tolist()[:2] == [2, 7]
