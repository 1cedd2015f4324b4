"""Training: the loss at its minimum, its weight, and the loop."""

import math

import pytest
import torch

from course_lib.denoisers import GaussianMixture, IdealDenoiser, MLPDenoiser, ring
from course_lib.training import denoising_loss, train

DOUBLE = torch.float64


def randn(g, *shape):
    return torch.randn(*shape, generator=g, dtype=DOUBLE)


def test_loss_is_its_equation(g):
    """The mean of (sigma**2 + sd**2) / (sigma sd)**2 times the squared error; no weight without sigma_data."""
    x0, eps = randn(g, 4, 1, 3), randn(g, 4, 1, 3)
    sigma = torch.tensor([0.1, 0.5, 1.0, 7.0], dtype=DOUBLE).reshape(4, 1, 1)
    denoiser = lambda x, s: x / (1 + s**2)  # noqa: E731
    error = ((x0 + sigma * eps) / (1 + sigma**2) - x0) ** 2
    torch.testing.assert_close(denoising_loss(denoiser, x0, sigma, eps), error.mean())
    for sd in (0.5, 2.0):
        weight = (sigma**2 + sd**2) / (sigma**2 * sd**2)
        torch.testing.assert_close(denoising_loss(denoiser, x0, sigma, eps, sd), (weight * error).mean())


def test_weight_makes_levels_alike(g):
    """For data N(0, sigma_data**2) the weighted loss of the best denoiser is 1 at every level."""
    gaussian, x0, eps = (
        GaussianMixture(torch.zeros(1, 2, dtype=DOUBLE), 0.5),
        0.5 * randn(g, 50_000, 2),
        randn(g, 50_000, 2),
    )
    for sigma in (0.05, 0.5, 5.0):
        loss = denoising_loss(gaussian, x0, torch.tensor([[sigma]], dtype=DOUBLE), eps, sigma_data=0.5)
        assert loss.item() == pytest.approx(1, abs=4 * 2**0.5 / 100_000**0.5)


def test_exact_denoiser_has_the_least_loss(g):
    """On data of the ring its own denoiser beats it perturbed either way, and the ideal one of the data beats both."""
    mixture = ring()
    x0 = mixture.sample(2000, g)
    sigma, eps = torch.full((2000, 1), 0.4, dtype=DOUBLE), randn(g, 2000, 2)
    exact = denoising_loss(mixture, x0, sigma, eps)
    for factor in (0.9, 1.1):
        assert denoising_loss(lambda x, s, f=factor: f * mixture(x, s), x0, sigma, eps) > exact
    assert denoising_loss(IdealDenoiser(x0), x0, sigma, eps) < exact


def test_training_approaches_the_exact_denoiser():
    """After 300 steps on a Gaussian a small network's denoiser is ten times nearer to the exact one."""
    torch.manual_seed(0)
    g = torch.Generator().manual_seed(1)
    network, mixture = MLPDenoiser(width=16, depth=2), GaussianMixture(torch.tensor([[0.6, -0.4]]), 0.2)

    def batch():
        sigma = (torch.randn(256, 1, generator=g) - 0.5).exp()
        return mixture.sample(256, g), sigma, torch.randn(256, 2, generator=g)

    @torch.no_grad()
    def error():
        x = mixture.means + 0.5 * torch.randn(500, 2, generator=torch.Generator().manual_seed(2))
        return (network(x, 0.5) - mixture(x, 0.5)).square().mean()

    loss_of = lambda b: denoising_loss(network, *b, sigma_data=0.5)  # noqa: E731
    before = error()
    losses = list(train(loss_of, network.parameters(), (batch() for _ in range(300)), lr=1e-2))
    assert len(losses) == 300
    assert error() < 0.1 * before
    assert error() < 0.01


def test_training_takes_adam_s_steps():
    """The first step moves each parameter by lr against the sign of its gradient; lr = 1e-3 is the default."""
    for kwargs, lr in (({}, 1e-3), ({"lr": 0.1}, 0.1)):
        w = torch.tensor([1.0, -2.0], requires_grad=True)
        (loss,) = train(lambda batch, w=w: (batch * w).sum(), [w], [torch.tensor([3.0, -5.0])], **kwargs)
        assert loss == pytest.approx(13.0)
        torch.testing.assert_close(w.detach(), torch.tensor([1.0 - lr, -2.0 + lr]), rtol=0, atol=1e-6)


def test_gradients_do_not_pile_up():
    """Each step sees its own batch's gradient alone: two steps are those of Adam given the same gradients."""
    batches = [torch.tensor([1.0]), torch.tensor([-3.0])]
    w, own = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    assert list(train(lambda batch: (batch * w).sum(), [w], batches, lr=0.1)) == [0.0, pytest.approx(0.3)]
    adam = torch.optim.Adam([own], lr=0.1)
    for batch in batches:
        own.grad = batch.clone()
        adam.step()
    assert torch.equal(w, own)


def test_training_is_lazy_and_leaves_others_alone():
    """A step is taken when its loss is asked for, and only the parameters given move."""
    a, b = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
    losses = train(lambda batch: (a * b * batch).sum(), [a], [1.0, 1.0])
    assert a.item() == 1
    next(losses)
    assert a.item() == pytest.approx(0.999)
    assert b.item() == 1


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_the_training(bad):
    """It raises before the parameters are spoilt."""
    w = torch.ones(1, requires_grad=True)
    with pytest.raises(FloatingPointError, match="train: the loss became (nan|inf); lower the learning rate 0.001"):
        list(train(lambda batch: (w * batch).sum(), [w], [bad]))
    assert w.item() == 1


def test_loss_does_not_depend_on_the_default_dtype(under_both_dtypes, g):
    """The same bits come whatever torch's default dtype is, and float32 stays float32."""
    x0, eps, sigma = randn(g, 4, 2), randn(g, 4, 2), torch.full((4, 1), 0.3, dtype=DOUBLE)
    a, b = under_both_dtypes(lambda: denoising_loss(ring(), x0, sigma, eps, 0.5))
    assert a == b
    assert a.dtype == DOUBLE
    assert denoising_loss(ring(), x0.float(), sigma.float(), eps.float(), 0.5).dtype == torch.float32
