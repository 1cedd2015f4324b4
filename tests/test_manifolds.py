"""Manifolds: each exact denoiser against brute-force quadrature, distances and projections against dense samples."""

import math

import pytest
import torch
from scipy import special

from course_lib.denoisers import jacobian, score
from course_lib.manifolds import Circle, Sphere, SwissRoll, bessel_ratio


def by_quadrature(points, log_density, x, sigma):
    """Mean of x0 given x over a dense set of points with log densities."""
    log_w = log_density - (x[:, None] - points).square().sum(-1) / (2 * sigma**2)
    return torch.softmax(log_w, 1) @ points


TURN = torch.arange(24_000, dtype=torch.float64) / 24_000 * 2 * math.pi
CASES = {
    "uniform": Circle(),
    "one law": Circle(0.7, 3.0),
    "mixture in space": Circle([0.0, 2.0], [3.0, 5.0], [0.85, 0.15], radius=1.5, d=4),
}


def density(circle):
    parts = [
        w * torch.exp(k * (TURN - m).cos()) / special.iv(0, float(k))
        for w, k, m in zip(circle.weights, circle.kappa, circle.mu)
    ]
    return sum(parts)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("sigma", [0.1, 0.6, 3.0])
def test_circle_denoiser_is_the_posterior_mean(name, sigma, g):
    circle = CASES[name]
    x = circle.sample(6, g) + sigma * torch.randn(6, circle.d, generator=g, dtype=torch.float64)
    expected = by_quadrature(circle.point(TURN), density(circle).log(), x, sigma)
    torch.testing.assert_close(circle(x, sigma), expected, atol=1e-9, rtol=0)


def test_circle_samples_have_its_density(g):
    """Frequencies of twelve sectors against the integral, within four standard errors."""
    circle = CASES["mixture in space"]
    x = circle.sample(40_000, g)
    angle = torch.atan2(x[:, 1], x[:, 0]) % (2 * math.pi)
    found = torch.histc(angle, 12, 0, 2 * math.pi) / len(x)
    expected = density(circle).reshape(12, -1).sum(1) / density(circle).sum()
    assert ((found - expected).abs() < 4 * (expected * (1 - expected) / len(x)).sqrt()).all()
    assert circle.distance(x).max() < 1e-12


def test_circle_distance_is_that_to_the_nearest_of_many_points(g):
    circle = Circle(radius=0.8, d=3)
    x = torch.randn(50, 3, generator=g, dtype=torch.float64)
    nearest = torch.cdist(x, circle.point(TURN)).amin(1)
    torch.testing.assert_close(circle.distance(x), nearest, atol=1e-6, rtol=0)
    torch.testing.assert_close((x - circle.project(x)).norm(dim=1), nearest, atol=1e-6, rtol=0)


def test_a_narrow_law_pulls_the_denoiser_to_its_mean_angle():
    """kappa = 0 has no preferred angle; a large one has, whatever x says at high noise."""
    x = torch.tensor([[-1.0, 0.1]], dtype=torch.float64)
    pulled = Circle(0.0, 200.0)(x, 5.0)
    assert pulled[0, 0] > 0.99
    assert Circle()(x, 5.0)[0, 0] < 0


@pytest.mark.parametrize("order", [0.0, 0.5, 4.0, 49.0])
def test_bessel_ratio_against_scipy(order):
    z = torch.tensor([1e-3, 0.1, 1.0, 5.0, 20.0, 100.0, 1000.0], dtype=torch.float64)
    expected = special.ive(order + 1, z.numpy()) / special.ive(order, z.numpy())
    torch.testing.assert_close(bessel_ratio(order, z), torch.as_tensor(expected), atol=1e-13, rtol=1e-9)
    assert bessel_ratio(order, torch.zeros(1, dtype=torch.float64)) == 0


def test_bessel_ratio_needs_its_depth():
    """Cut off after two terms it is another number."""
    z = torch.tensor([5.0], dtype=torch.float64)
    assert abs(bessel_ratio(0.0, z, depth=1) - bessel_ratio(0.0, z)) > 1e-5


def test_sphere_denoiser_in_closed_form(g):
    """On the ordinary sphere the ratio is coth k - 1 / k (Langevin's function)."""
    sphere, x = Sphere(2, d=5, radius=1.3), torch.randn(20, 5, generator=g, dtype=torch.float64)
    length = x[:, :3].norm(dim=1, keepdim=True)
    k = 1.3 * length / 0.5**2
    expected = 1.3 * (1 / torch.tanh(k) - 1 / k) * x[:, :3] / length
    torch.testing.assert_close(sphere(x, 0.5), torch.cat([expected, torch.zeros(20, 2)], 1), atol=1e-12, rtol=0)


def test_the_sphere_of_dimension_one_is_the_circle(g):
    x = torch.randn(10, 2, generator=g, dtype=torch.float64)
    torch.testing.assert_close(Sphere(1)(x, 0.4), Circle()(x, 0.4), atol=1e-12, rtol=0)


def test_sphere_distance_and_projection(g):
    sphere, x = Sphere(3, d=6, radius=2.0), torch.randn(30, 6, generator=g, dtype=torch.float64)
    foot = sphere.project(x)
    torch.testing.assert_close(foot[:, :4].norm(dim=1), torch.full((30,), 2.0, dtype=torch.float64))
    torch.testing.assert_close(sphere.distance(x), (x - foot).norm(dim=1))
    others = sphere.sample(4000, g)
    assert (torch.cdist(x, others).amin(1) >= sphere.distance(x) - 1e-12).all()


def test_sphere_samples_are_uniform(g):
    """Each own coordinate has variance r**2 / (k + 1), within four standard errors; the others are 0."""
    x = Sphere(2, d=4, radius=3.0).sample(20_000, g)
    assert (x[:, :3].square().mean(0) - 3).abs().max() < 4 * 3 * (0.8 / 20_000) ** 0.5
    assert x[:, 3].abs().max() == 0


def test_roll_is_on_its_curve_and_even_along_it(g):
    roll = SwissRoll(600, 0.005)
    x = roll.sample(4000, g)
    assert 0.8 * 0.005 * (2 / math.pi) ** 0.5 < roll.distance(x).mean() < 1.2 * 0.005 * (2 / math.pi) ** 0.5
    share = torch.histc(roll.share(x), 10, 0, 1) / len(x)
    assert (share - 0.1).abs().max() < 4 * (0.09 / 4000) ** 0.5
    assert roll.point(torch.ones(1)).norm() == pytest.approx(1.0, abs=1e-9)


def test_roll_denoiser_is_that_of_its_points(g):
    roll = SwissRoll(50, 0.0)
    points = roll.point(torch.linspace(0, 1, 50, dtype=torch.float64))
    x = torch.randn(8, 2, generator=g, dtype=torch.float64) / 2
    expected = by_quadrature(points, torch.zeros(50, dtype=torch.float64), x, 0.2)
    torch.testing.assert_close(roll(x, 0.2), expected, atol=1e-12, rtol=0)


def test_roll_turns_split_it_by_radius():
    roll = SwissRoll()
    turns = roll.turn(roll.point(torch.tensor([0.0, 0.05, 0.5, 0.95, 1.0])))
    assert turns.tolist() == [0, 0, 1, 2, 2]
    radius = roll.point(torch.linspace(0, 1, 500)).norm(dim=1)
    assert (radius.diff() > 0).all()
    gap = math.pi * 2 / (4.5 * math.pi)  # neighbouring turns
    inside = roll.point(torch.tensor([0.6], dtype=torch.float64))
    assert roll.distance(inside * (1 + gap / 2 / inside.norm())) == pytest.approx(gap / 2, rel=0.05)


@pytest.mark.parametrize("manifold", [Circle(d=3), Sphere(2), SwissRoll(200, 0.01)])
def test_scores_are_gradients(manifold, g):
    """The Jacobian of an exact denoiser is symmetric, and positive: a covariance over sigma**2."""
    x = manifold.sample(5, g) + 0.2 * torch.randn(5, manifold.d, generator=g, dtype=torch.float64)
    J = jacobian(manifold, x, 0.3)
    torch.testing.assert_close(J, J.mT, atol=1e-10, rtol=0)
    assert torch.linalg.eigvalsh((J + J.mT) / 2).min() > -1e-10
    assert score(manifold, x, 0.3).isfinite().all()


def test_jacobian_against_differences(g):
    roll, x, step = SwissRoll(100, 0.02), torch.randn(4, 2, generator=g, dtype=torch.float64) / 2, 1e-6
    J = jacobian(roll, x, 0.3)
    for i in range(2):
        away = torch.zeros(2, dtype=torch.float64)
        away[i] = step
        slope = (roll(x + away, 0.3) - roll(x - away, 0.3)) / (2 * step)
        torch.testing.assert_close(J[:, :, i], slope, atol=1e-7, rtol=0)


X = torch.zeros(2, 2, dtype=torch.float64)


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (lambda: Circle(kappa=-1.0), "kappa and weights >= 0"),
        (lambda: Circle([0.0, 1.0], [1.0]), "need one length"),
        (lambda: Circle(d=1), "at least 2 coordinates"),
        (lambda: Circle()(X, 0.0), "sigma must be positive, got 0"),
        (lambda: Circle(d=3).distance(X), r"must have shape \(N, 3\), got \(2, 2\)"),
        (lambda: Sphere(0), "k >= 1"),
        (lambda: Sphere(1).project(X), "lies on the axis"),
        (lambda: SwissRoll(1), "at least 2 points"),
    ],
)
def test_bad_input_gets_a_sentence(made, sentence):
    with pytest.raises(ValueError, match=sentence):
        made()
