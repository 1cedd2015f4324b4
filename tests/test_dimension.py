"""Intrinsic dimension where it is known, and the coding rate in closed form."""

import math

import pytest
import torch

from course_lib.denoisers import GaussianMixture, jacobian, score
from course_lib.dimension import coding_rate, flipd, local_pca_dimension, normal_bundle, spectrum
from course_lib.manifolds import Circle, Sphere

SPHERE = Sphere(9, 100)


def flat(d, k, spread=1.0):
    """A Gaussian of spread 1 in k of d coordinates: its denoiser is linear."""

    def denoiser(x, sigma):
        shrink = torch.zeros(d, dtype=x.dtype)
        shrink[:k] = spread**2 / (spread**2 + sigma**2)
        return shrink * x

    return denoiser


def test_spectrum_of_a_flat_law_is_known(g):
    """spread**2 / (spread**2 + sigma**2) along the k directions, 0 across."""
    x = torch.randn(3, 6, generator=g, dtype=torch.float64)
    expected = torch.tensor([0.8, 0.8, 0, 0, 0, 0], dtype=torch.float64).expand(3, 6)
    torch.testing.assert_close(spectrum(flat(6, 2), x, 0.5), expected, atol=1e-12, rtol=0)


def test_flipd_is_the_trace_plus_the_residual(g):
    """Against its form d + sigma**2 (tr grad s + |s|**2), the gradient of the score by differences."""
    law = GaussianMixture(torch.randn(5, 3, generator=g, dtype=torch.float64), 0.2)
    x, sigma, step = torch.randn(4, 3, generator=g, dtype=torch.float64), 0.7, 1e-5
    trace = 0
    for i in range(3):
        away = torch.zeros(3, dtype=torch.float64)
        away[i] = step
        trace = trace + (score(law, x + away, sigma) - score(law, x - away, sigma))[:, i] / (2 * step)
    expected = 3 + sigma**2 * (trace + score(law, x, sigma).square().sum(1))
    torch.testing.assert_close(flipd(law, x, sigma), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("sigma", "value"), [(0.01, 9.0), (0.1, 8.84), (0.3, 7.50)])
def test_flipd_of_a_sphere_falls_with_noise(sigma, value, g):
    """Exact as sigma goes to 0, and too low where the sphere's curvature shows."""
    assert flipd(SPHERE, SPHERE.sample(10, g), sigma).mean() == pytest.approx(value, abs=0.02)


def test_normal_bundle_sees_nine_dimensions_until_the_curvature_shows(g):
    x = SPHERE.sample(6, g)
    assert normal_bundle(SPHERE, x, 0.1, g).tolist() == [9] * 6
    uncentred = normal_bundle(SPHERE, x, 0.3, g, centred=False)
    assert uncentred.tolist() == [99] * 6  # all scores point inwards: one direction carries them
    assert (normal_bundle(SPHERE, x, 0.1, g, scores=50) != 9).any()  # too few scores for ninety normal directions


def test_a_circle_has_one_large_eigenvalue(g):
    values = spectrum(Circle(d=3), Circle(d=3).sample(20, g), 0.05)
    assert (values[:, 0] > 0.99).all()
    assert (values[:, 1:].abs() < 0.01).all()


def test_local_pca_counts_the_directions_of_a_plane(g):
    points = torch.cat([torch.randn(500, 2, generator=g), torch.zeros(500, 3)], 1)
    assert local_pca_dimension(points[:10], points, k=20).tolist() == [2] * 10
    thick = points + 0.5 * torch.randn(500, 5, generator=g)
    assert local_pca_dimension(thick[:10], thick, k=100, share=0.99).double().mean() > 4
    assert (local_pca_dimension(thick[:10], thick, k=100, share=0.3) <= 2).all()


def test_coding_rate_of_an_orthogonal_set():
    """N unit vectors along N of d axes: N / 2 log(1 + d / (N eps**2))."""
    z = torch.eye(6, dtype=torch.float64)[:3]
    assert coding_rate(z, 0.5).item() == pytest.approx(1.5 * math.log(1 + 6 / (3 * 0.25)), abs=1e-12)
    assert coding_rate(z, 0.1) > coding_rate(z, 0.5)


def test_coding_rate_is_the_same_by_either_gram_matrix(g):
    z = torch.randn(7, 4, generator=g, dtype=torch.float64)
    tall = 0.5 * torch.logdet(torch.eye(7) + 4 / (7 * 0.25) * z @ z.T)
    torch.testing.assert_close(coding_rate(z), tall, atol=1e-12, rtol=0)


def test_a_collapsed_set_costs_less():
    same = torch.ones(8, 2, dtype=torch.float64) / 2**0.5
    angle = torch.arange(8, dtype=torch.float64) * math.pi / 4
    assert coding_rate(torch.stack([angle.cos(), angle.sin()], 1)) > coding_rate(same) + 0.5


def test_jacobian_leaves_no_trace_on_x(g):
    x = torch.randn(2, 3, generator=g, dtype=torch.float64)
    jacobian(Circle(d=3), x, 0.5)
    assert not x.requires_grad


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (lambda: local_pca_dimension(torch.zeros(1, 2), torch.zeros(3, 2), k=4), "2 <= k <= 3"),
        (lambda: local_pca_dimension(torch.zeros(1, 2), torch.zeros(3, 2), k=2, share=1.0), "0 < share < 1"),
        (lambda: normal_bundle(Circle(), torch.zeros(1, 2), 0.1, scores=1), "at least 2 scores, got 1"),
        (lambda: coding_rate(torch.zeros(3)), r"shape \(N, d\)"),
        (lambda: coding_rate(torch.zeros(3, 2), eps=0.0), "eps > 0"),
    ],
)
def test_bad_input_gets_a_sentence(made, sentence):
    with pytest.raises(ValueError, match=sentence):
        made()
