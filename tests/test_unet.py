"""A small UNet: its parts by hand, what it knows of level and label, and what it refuses."""

import pytest
import torch

from course_lib.unet import Block, SmallUNet, joined, normalised, residual


@pytest.fixture
def net():
    torch.manual_seed(0)
    return SmallUNet(2, width=8, labels=3).double()


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_normalised_groups_have_mean_0_and_variance_1():
    groups = normalised(3 + 2 * randn(2, 8, 4, 4)).reshape(2, 4, -1)
    torch.testing.assert_close(groups.mean(2), torch.zeros(2, 4).double(), rtol=0, atol=1e-12)
    torch.testing.assert_close(groups.var(2, unbiased=False), torch.ones(2, 4).double(), rtol=1e-4, atol=0)


def test_a_block_with_a_second_kernel_of_0_changes_nothing_and_else_it_does():
    block, h, e = Block(8, 5).double(), randn(2, 8, 4, 4), randn(2, 5, seed=1)
    assert torch.equal(block(h, e), h)
    kernel = randn(8, 8, 3, 3, seed=2)
    changed = residual(h, e, block.first, kernel, block.P) - h
    torch.testing.assert_close(residual(h, e, block.first, 2 * kernel, block.P) - h, 2 * changed)
    assert changed.abs().mean() > 0.1


def test_the_way_up_repeats_pixels_and_appends_the_skip():
    h = torch.arange(4.0).reshape(1, 1, 2, 2)
    up = joined(h, torch.full((1, 2, 4, 4), 9.0))
    assert up[0, 0].tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]
    assert (up[:, 1:] == 9).all()


def test_the_network_looks_at_level_and_label_and_at_each_picture_alone(net):
    with torch.no_grad():
        for block in (net.high, net.low, net.middle, net.again):  # a new block's second kernel is 0
            block.second.add_(0.1 * randn(*block.second.shape, seed=3))
    x, label = randn(3, 2, 8, 8), torch.tensor([0, 1, 2])
    both = net(x, 0.5, label)
    torch.testing.assert_close(both[1:2], net.given(1)(x[1:2], 0.5))
    torch.testing.assert_close(net(x, 0.5), net(x, 0.5, torch.full((3,), 3)))
    assert (both - net(x, 0.5)).abs().mean() > 1e-3
    levels = torch.tensor([0.5, 1.0, 2.0])[:, None, None, None]
    torch.testing.assert_close(net(x, levels)[2:], net(x[2:], 2.0))


def test_at_low_noise_the_estimate_is_the_picture(net):
    """c_skip goes to 1 and c_out to 0: without noise nothing is left to do."""
    x = randn(2, 2, 8, 8)
    torch.testing.assert_close(net(x, 1e-6), x, rtol=0, atol=1e-4)
    assert (net(x, 10.0) - x).abs().mean() > 0.1


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda net: net(randn(1, 2, 7, 8), 1.0), "H and W even"),
        (lambda net: net(randn(1, 3, 8, 8), 1.0), r"x must be \(N, 2, H, W\)"),
        (lambda net: net(randn(1, 2, 8, 8), 0.0), "positive level"),
        (lambda net: net(randn(2, 2, 8, 8), torch.ones(3)), "positive level"),
        (lambda net: net.given(3), r"label must be in 0\.\.2"),
        (lambda net: SmallUNet(0), "channels"),
    ],
)
def test_what_it_cannot_take_is_said(net, ask, sentence):
    with pytest.raises(ValueError, match=sentence):
        ask(net)
