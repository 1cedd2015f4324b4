"""Half precision: kernels, forces, distances and metrics at the first noise level, against float64 of the same."""

import pytest
import torch

from course_lib import metrics, seeds
from course_lib.guidance import Repulsion, VendiPotential, guided, median_bandwidth, radial, rbf, spell, svgd

HALVES = [torch.float16, torch.bfloat16]
SIGMA = 14.6


@pytest.fixture(params=HALVES)
def particles(request, g):
    """Latents at the first level of Stable Diffusion, whose squared lengths float16 cannot hold."""
    return (SIGMA * torch.randn(6, 4, 12, 12, generator=g)).to(request.param)


def test_kernels_of_a_half_are_those_of_its_numbers(particles):
    phi = particles.flatten(1)
    assert phi.half().square().sum(1).isinf().all()
    for kernel in (rbf, lambda phi: rbf(phi, 1e5)):
        k = kernel(phi)
        assert k.dtype == torch.float32
        torch.testing.assert_close(k.double(), kernel(phi.double()), atol=1e-6, rtol=1e-4)
    d2 = metrics.squared_distances(phi)
    torch.testing.assert_close(d2.double(), metrics.squared_distances(phi.double()), rtol=1e-5, atol=0.1)
    assert (d2.diagonal() == 0).all()
    torch.testing.assert_close(median_bandwidth(d2.bfloat16()), median_bandwidth(d2.bfloat16().float()))
    plane = phi[:, :2]
    torch.testing.assert_close(radial(plane).double(), radial(plane.double()), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("on", ["x", "x0"])
def test_a_force_at_the_first_level_is_not_lost_in_a_half(particles, on):
    """Its elements are smaller than float16 can tell from 0; the particles move as those of float64 do."""
    D = lambda x, sigma: 0 * x  # noqa: E731
    for potential in (Repulsion(10.0, on=on), VendiPotential(10.0, on=on)):
        halved, exact = (
            guided(D, potential, sigma_data=20.0)(x, torch.tensor(SIGMA, dtype=x.dtype))
            for x in (particles, particles.double())
        )
        assert halved.dtype == particles.dtype
        rounding = torch.finfo(particles.dtype).eps
        torch.testing.assert_close(halved.double(), exact, rtol=8 * rounding, atol=8 * rounding * exact.std().item())


def test_other_denoisers_of_sets_in_a_half(particles):
    D, rounding = lambda x, sigma: x / 2, torch.finfo(particles.dtype).eps  # noqa: E731
    for method in (svgd(D), spell(D, radius=300.0)):
        halved, exact = (method(x, torch.tensor(SIGMA, dtype=x.dtype)) for x in (particles, particles.double()))
        assert halved.dtype == particles.dtype
        assert (exact - D(particles.double(), SIGMA)).abs().max() > 0.1
        torch.testing.assert_close(halved.double(), exact, rtol=0, atol=8 * rounding * SIGMA)


def test_metrics_of_a_half_are_those_of_its_numbers(particles):
    x, y = particles[:3].flatten(1), particles[3:].flatten(1)
    shares = torch.tensor([0.5, 0.25, 0.25], dtype=particles.dtype)
    for measure in (
        metrics.in_batch_similarity,
        metrics.vendi_features,
        lambda x: metrics.frechet(x, y.to(x.dtype)),
        lambda x: metrics.kid(x, y.to(x.dtype)),
        lambda x: metrics.nearest_mode(x, y.to(x.dtype)).double(),
        lambda x: metrics.hill(shares.to(x.dtype), 1.0),
        lambda x: seeds.gaussian_kl(x),
        lambda x: seeds.select_from_many(x, 2).double(),
    ):
        torch.testing.assert_close(measure(x).double(), measure(x.double()).double(), rtol=1e-4, atol=1e-5)
    assert metrics.on_mode(x, x, 1.0).all()
    assert not metrics.on_mode(x, y, 100.0).any()


def test_candidates_of_a_half_are_chosen_by_distance():
    """Their squared distances overflow float16, among which the farthest could not be told."""
    phi = torch.tensor([[0.0], [300.0], [600.0], [900.0]], dtype=torch.float16)
    assert seeds.select_from_many(phi, 3).tolist() == [0, 3, 1]


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool, torch.complex64, torch.float8_e4m3fn])
def test_numbers_that_cannot_work_get_a_sentence(dtype):
    x = torch.ones(3, 2).to(dtype)
    for function in (rbf, radial, metrics.squared_distances):
        with pytest.raises(
            ValueError, match="must be (a tensor of floating-point numbers|float16, bfloat16, float32 or)"
        ):
            function(x)
