"""Penalties against distances that are known, their gradients, and the failures that chapter 5 teaches."""

import math

import pytest
import torch

from course_lib.denoisers import IdealDenoiser
from course_lib.manifolds import Circle
from course_lib.penalties import (
    Autoencoder,
    autoencoder_residual,
    denoiser_residual,
    kernel_density,
    local_pca,
    nearest_neighbours,
)

CIRCLE = Circle(d=3)
POINTS = CIRCLE.point(torch.arange(500, dtype=torch.float64) / 500 * 2 * math.pi)
PENALTIES = {
    "neighbours": lambda x: nearest_neighbours(x, POINTS, 5),
    "local pca": lambda x: local_pca(x, POINTS, 10, 1),
    "density": lambda x: kernel_density(x, POINTS, 0.05),
    "denoiser": lambda x: denoiser_residual(x, IdealDenoiser(POINTS), 0.1),
}


def off(g, n=200, spread=0.2):
    return CIRCLE.sample(n, g) + spread * torch.randn(n, 3, generator=g, dtype=torch.float64)


def correlation(a, b):
    return torch.corrcoef(torch.stack([a, b]))[0, 1].item()


@pytest.mark.parametrize("name", PENALTIES)
def test_penalties_follow_the_squared_distance(name, g):
    """Three of them nearly exactly; the density one in its order, for it counts neighbours too."""
    x = off(g)
    assert correlation(PENALTIES[name](x), CIRCLE.distance(x) ** 2) > 0.98


@pytest.mark.parametrize("name", PENALTIES)
def test_their_gradients_point_away_from_the_circle(name, g):
    x = off(g).requires_grad_()
    (slope,) = torch.autograd.grad(PENALTIES[name](x).sum(), x)
    away = (x - CIRCLE.project(x)).detach()
    assert torch.cosine_similarity(slope, away).mean() > 0.95


def test_nearest_neighbours_by_hand():
    points = torch.tensor([[0.0], [1.0], [5.0]])
    assert nearest_neighbours(torch.tensor([[2.0]]), points, 2).item() == pytest.approx((1 + 4) / 2)
    assert nearest_neighbours(torch.tensor([[2.0]]), points, 1).item() == pytest.approx(1)


def test_local_pca_by_hand():
    """Three points of the x axis: the distance to the axis counts, the way along it does not."""
    points = torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]], dtype=torch.float64)
    x = torch.tensor([[7.0, 0.5]], dtype=torch.float64)
    assert local_pca(x, points, 3, 1).item() == pytest.approx(0.25)
    assert local_pca(x, points, 3, 0).item() == pytest.approx(36 + 0.25)


def test_the_wrong_dimension_is_blind(g):
    """A plane through the neighbours contains the plane of the circle: moving within it costs nothing."""
    inside = CIRCLE.sample(50, g) * torch.tensor([0.7, 0.7, 1.0], dtype=torch.float64)
    assert local_pca(inside, POINTS, 10, 2).max() < 1e-12
    assert local_pca(inside, POINTS, 10, 1).min() > 0.05


def test_kernel_density_is_a_soft_minimum():
    points = torch.tensor([[0.0], [10.0]], dtype=torch.float64)
    x = torch.tensor([[0.3]], dtype=torch.float64)
    assert kernel_density(x, points, 0.1).item() == pytest.approx(0.09 + 2 * 0.01 * math.log(2))
    assert kernel_density(x, points, 0.5).item() == pytest.approx(0.09 + 2 * 0.25 * math.log(2))


def test_denoiser_residual_holds_its_target(g):
    """Value |x - D|**2, gradient 2 (x - D): the Jacobian of the denoiser takes no part."""
    D, x = IdealDenoiser(POINTS), off(g, 5).requires_grad_()
    value = denoiser_residual(x, D, 0.2)
    (slope,) = torch.autograd.grad(value.sum(), x)
    target = D(x, 0.2).detach()
    torch.testing.assert_close(value, (x - target).square().sum(1))
    torch.testing.assert_close(slope, 2 * (x - target))
    assert (denoiser_residual(x, D, 0.05) != value).all()


def test_autoencoder_residual_passes_the_gradient_through(g):
    net, x = Autoencoder(3, 2, width=8).double(), off(g, 4).requires_grad_()
    value = autoencoder_residual(x, net)
    torch.testing.assert_close(value, (x - net.decode(net.encode(x))).square().sum(1))
    (slope,) = torch.autograd.grad(value.sum(), x)
    assert (slope - 2 * (x - net(x))).abs().max() > 1e-3
    assert net.encode(x).shape == (4, 2)


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (lambda: nearest_neighbours(torch.zeros(1, 2), torch.zeros(3, 2), 4), "between 1 and the 3 points, got 4"),
        (lambda: nearest_neighbours(torch.zeros(1, 3), torch.zeros(3, 2)), r"x \(N, d\) and points \(n, d\)"),
        (lambda: local_pca(torch.zeros(1, 2), torch.zeros(3, 2), 3, 2), "below k = 3 and d = 2, got 2"),
        (lambda: kernel_density(torch.zeros(1, 2), torch.zeros(3, 2), 0.0), "h must be positive"),
        (lambda: Autoencoder(3, 0), "at least 1, got 0"),
    ],
)
def test_bad_input_gets_a_sentence(made, sentence):
    with pytest.raises(ValueError, match=sentence):
        made()
