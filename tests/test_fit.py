"""The exact distance to the plain world: 0 on it, a known length off it, and never too small."""

import pytest
import torch

from course_lib import world
from course_lib.fit import nearest_drawing
from course_lib.small_pictures import SHAPES, plain_pictures, plain_world


@pytest.fixture(scope="module")
def drawn():
    factors = plain_world(24, torch.Generator().manual_seed(0), (1 / 3, 1 / 3, 1 / 3))
    return factors, plain_pictures(factors)


def test_pictures_of_the_world_are_found_with_their_shape(drawn):
    factors, x = drawn
    distance, shape = nearest_drawing(x)
    assert distance.max() < 0.15  # what the search leaves; a pixel of full contrast is 2
    assert [SHAPES[i] for i in shape] == [world.SHAPES[i] for i in factors.shape]


def test_the_distance_is_no_longer_than_the_way_to_the_picture_that_was_spoilt(drawn):
    _, x = drawn
    noise = 0.2 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    length = noise.flatten(1).norm(dim=1)
    distance = nearest_drawing(x + noise)[0]
    assert (distance < length + 0.15).all()
    assert (distance > 0.9 * length).all()  # 5 of 432 directions are along the world


def test_more_steps_come_no_farther(drawn):
    _, x = drawn
    few, many = nearest_drawing(x, steps=12)[0], nearest_drawing(x, steps=60)[0]
    assert many.mean() < 0.7 * few.mean()


@pytest.mark.parametrize("x", [torch.zeros(2, 3, 8, 8), torch.zeros(3, 12, 12), [1.0]])
def test_other_pictures_are_refused(x):
    with pytest.raises(ValueError, match=r"pictures must be \(N, 3, 12, 12\)"):
        nearest_drawing(x)
