"""The digits and the plain world: whose they are, how they are split, and the shares of the shapes."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from course_lib import world
from course_lib.claims import stored
from course_lib.small_pictures import RANGES, SHAPES, digits, parts_of, plain_pictures, plain_world


def test_the_digits_are_scikit_learns_and_say_whose_they_are():
    x, label = digits()
    theirs = load_digits()
    np.testing.assert_array_equal(x[:, 0].numpy(), theirs.images.astype(np.float32) / 8 - 1)
    np.testing.assert_array_equal(label.numpy(), theirs.target)
    assert "CC BY 4.0" in str(stored("digits")["licence"])
    assert "Alpaydin" in str(stored("digits")["source"])


def test_the_parts_are_disjoint_and_complete():
    parts = parts_of(100, torch.Generator().manual_seed(0), held_out=20)
    assert [len(part) for part in parts] == [60, 20, 20]
    assert torch.cat(parts).sort().values.tolist() == list(range(100))
    assert parts.train.tolist() != sorted(parts.train.tolist())


def test_a_split_that_leaves_nothing_is_refused():
    with pytest.raises(ValueError, match="twice held_out must be below n"):
        parts_of(40, torch.Generator(), held_out=20)


def test_the_plain_world_has_its_shares_and_ranges():
    factors = plain_world(4000, torch.Generator().manual_seed(0))
    share = [(factors.shape == world.SHAPES.index(name)).double().mean().item() for name in SHAPES]
    assert share == pytest.approx([0.6, 0.3, 0.1], abs=0.03)
    for name, (low, high) in RANGES.items():
        value = getattr(factors, name)
        assert low <= value.min() < low + 0.02
        assert high - 0.02 < value.max() <= high
    assert (factors.style == world.STYLES.index("flat")).all()
    assert torch.equal(plain_pictures(factors[:3]), world.render(factors[:3], 12))


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.5, 0.6, -0.1), (0.5, 0.5, 0.5)])
def test_shares_that_are_none_are_refused(shares):
    with pytest.raises(ValueError, match="three probabilities"):
        plain_world(3, torch.Generator(), shares)
