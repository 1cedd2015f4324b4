"""Training: the loss at its minimum, its weight, and the loop."""

import math

import pytest
import torch

from course_lib.denoisers import GaussianMixture, IdealDenoiser, MLPDenoiser, ring
from course_lib.training import add_lora, denoising_loss, epsilon_weight, min_snr, train
from course_lib.training.average import average_into, moving_average

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
    for batches, advice in (([bad], "no step has been taken yet"), ([1.0, bad], "lower the learning rate 0.001")):
        w = torch.ones(1, requires_grad=True)
        losses = train(lambda batch, w=w: (w * batch).sum(), [w], batches)
        taken = [next(losses) for _ in batches[:-1]]
        before = w.item()
        with pytest.raises(FloatingPointError, match=f"train: the loss became (nan|inf); {advice}"):
            next(losses)
        assert w.item() == before
        assert len(taken) == len(batches) - 1


def test_weight_of_an_epsilon_model_is_its_own_loss(g):
    """With 1 / sigma**2 the loss is |eps_hat - eps|**2, with sigma_data = 1 it is |v_hat - v|**2."""
    x0, eps, eps_hat = randn(g, 4, 3), randn(g, 4, 3), randn(g, 4, 3)
    sigma = torch.tensor([0.03, 0.5, 1.0, 14.6], dtype=DOUBLE)[:, None]
    D = lambda x, s: x - s * eps_hat  # noqa: E731
    expected = (eps_hat - eps).square().mean()
    torch.testing.assert_close(denoising_loss(D, x0, sigma, eps, weight=epsilon_weight), expected)
    over = denoising_loss(D, x0, sigma, eps, sigma_data=1.0)
    torch.testing.assert_close(over, ((1 + sigma**2) * (eps_hat - eps).square()).mean())


def test_min_snr_is_what_tiny_was_trained_with(g):
    """For v_hat the loss is that of v times min(snr, 5) / (snr + 1); far from the cut it is that of epsilon."""
    x0, eps, v_hat = randn(g, 4, 3), randn(g, 4, 3), randn(g, 4, 3)
    sigma = torch.tensor([0.03, 0.4, 1.0, 14.6], dtype=DOUBLE)[:, None]
    snr, abar = sigma**-2, 1 / (1 + sigma**2)
    v = abar.sqrt() * eps - (1 - abar).sqrt() * x0
    D = lambda x, s: abar * x - (1 - abar).sqrt() * v_hat  # noqa: E731
    expected = (snr.clamp(max=5) / (snr + 1) * (v_hat - v).square()).mean()
    torch.testing.assert_close(denoising_loss(D, x0, sigma, eps, weight=min_snr()), expected)
    assert torch.equal(min_snr(2.0)(sigma), epsilon_weight(sigma).clamp(max=2.0))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_loss_of_a_half_is_summed_in_float32(dtype, g):
    """An error of 300 has a square that float16 cannot hold, and sigma = .002 a weight that it cannot hold either."""
    x0, eps = torch.zeros(2, 3, dtype=dtype), torch.zeros(2, 3, dtype=dtype)
    sigma = torch.tensor([[0.002], [14.6]], dtype=dtype)
    loss = denoising_loss(lambda x, s: torch.full_like(x, 300), x0, sigma, eps)
    assert loss.item() == 90_000
    weighed = denoising_loss(lambda x, s: torch.ones_like(x), x0, sigma, eps, weight=epsilon_weight)
    assert weighed.item() == pytest.approx((sigma.float() ** -2).mean().item(), rel=1e-5)
    assert denoising_loss(lambda x, s: torch.ones_like(x), x0, sigma, eps, 1.0).isfinite()


@pytest.mark.parametrize(("factor", "left_out"), [(2.0**-14, 0), (2.0**4, 5)])
def test_a_float16_network_s_gradient_neither_vanishes_nor_overflows(factor, left_out):
    """2**-26, which float16 rounds to 0, and one that overflows until the scale is 2**11: five steps are left out."""
    w, weights = torch.ones(1, requires_grad=True), []
    for _ in train(lambda _: (w.half() * 2.0**-12).float().sum() * factor, [w], range(10), lr=0.1):
        weights.append(w.item())
    assert [weight == 1 for weight in weights].count(True) == left_out
    assert weights[-1] < 0.8


def test_a_gradient_that_is_never_finite_is_said_and_spoils_nothing():
    w = torch.zeros(1, requires_grad=True)
    with pytest.raises(FloatingPointError, match="train: the gradient is not finite"):
        list(train(lambda _: w.sqrt().sum(), [w], range(100)))
    assert w.item() == 0


@pytest.mark.parametrize(
    ("parameters", "options", "sentence"),
    [
        (
            [torch.ones(1, dtype=torch.float16, requires_grad=True)],
            {},
            "float32 or float64, got torch.float16; add_lora",
        ),
        ([torch.ones(1, dtype=torch.bfloat16, requires_grad=True)], {}, "got torch.bfloat16"),
        ([torch.ones(1)], {}, "at least one requires a gradient"),
        (filter(None, []), {}, "at least one requires a gradient"),
        ([torch.ones(1, requires_grad=True)], {"lr": math.nan}, "finite and not negative, got nan and 0.0"),
        ([torch.ones(1, requires_grad=True)], {"decay": -1.0}, "finite and not negative, got 0.001 and -1.0"),
        ([torch.ones(1, requires_grad=True)], {"autocast": torch.float64}, "torch.bfloat16 or None, got torch.float64"),
    ],
)
def test_what_cannot_be_trained_is_said_before_the_first_step(parameters, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        train(lambda _: None, parameters, [1], **options)


def test_two_weights_at_once_are_refused():
    with pytest.raises(ValueError, match="weight or sigma_data, not both"):
        denoising_loss(ring(), torch.ones(1, 2), torch.ones(1, 1), torch.ones(1, 2), 1.0, epsilon_weight)
    with pytest.raises(ValueError, match="gamma must be positive, got 0"):
        min_snr(0)


def test_training_works_where_the_caller_has_gradients_off():
    w = torch.ones(1, requires_grad=True)
    with torch.no_grad():
        list(train(lambda _: w.square().sum(), [w], range(3), lr=0.1))
    assert w.item() < 0.8


def tuned_on_tiny(dtype, steps=4):
    """Losses of an adapter on the shipped model, learning five latents, the same batches whatever the dtype."""
    from course_lib.stable_diffusion import StableDiffusion

    sd, g = StableDiffusion.load("tiny", dtype=dtype, device="cpu"), torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    parameters = add_lora(sd.pipe.unet, 4, ["to_q", "to_v"])
    pool, words = 2 * torch.randn(5, 4, 12, 12, generator=g), sd.embed("a red circle")
    D, sigma, eps = sd.prompt(words, words, w=1), sd.random_levels(5, g), torch.randn(pool.shape, generator=g)
    return torch.tensor(
        list(train(lambda x0: denoising_loss(D, x0, sigma, eps, 1.0), parameters, [pool] * steps, 1e-2))
    )


def test_an_adapter_on_a_half_of_tiny_learns_as_on_float32():
    expected = tuned_on_tiny(torch.float32)
    assert expected[-1] < 0.92 * expected[0]
    for half in (torch.float16, torch.bfloat16):
        torch.testing.assert_close(tuned_on_tiny(half), expected, rtol=0.05, atol=0)


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_a_whole_network_learns_under_autocast_as_in_float32(half):
    """Its products are in half precision, its parameters and its loss in float32: the same fall within 5 %."""
    seen, runs = set(), []
    for autocast in (None, half):
        torch.manual_seed(0)
        g, network = torch.Generator().manual_seed(1), MLPDenoiser(width=32, depth=2)
        network.last.register_forward_hook(lambda module, inputs, out: seen.add(out.dtype))
        batch = ring().sample(64, g).float(), torch.rand(64, 1, generator=g) + 0.1, torch.randn(64, 2, generator=g)
        loss_of = lambda batch, network=network: denoising_loss(network, *batch, 0.5)  # noqa: E731
        runs.append(list(train(loss_of, network.parameters(), [batch] * 50, lr=1e-2, autocast=autocast)))
    assert seen == {torch.float32, half}
    assert runs[0][-1] < 0.7 * runs[0][0]
    assert runs[1][-1] == pytest.approx(runs[0][-1], rel=0.05)


def test_loss_does_not_depend_on_the_default_dtype(under_both_dtypes, g):
    """The same bits come whatever torch's default dtype is, and float32 stays float32."""
    x0, eps, sigma = randn(g, 4, 2), randn(g, 4, 2), torch.full((4, 1), 0.3, dtype=DOUBLE)
    a, b = under_both_dtypes(lambda: denoising_loss(ring(), x0, sigma, eps, 0.5))
    assert a == b
    assert a.dtype == DOUBLE
    assert denoising_loss(ring(), x0.float(), sigma.float(), eps.float(), 0.5).dtype == torch.float32


def test_the_moving_average_starts_fast_and_ends_at_its_decay():
    """After the first step it holds 9 / 11 of the new weights, late 1 - decay of them."""
    mean, now = [torch.zeros(2), torch.zeros(1)], [torch.ones(2), 3 * torch.ones(1)]
    early, late = moving_average(mean, now, 0.999, 1), moving_average(mean, now, 0.999, 10**6)
    torch.testing.assert_close(early, [torch.full((2,), 9 / 11), torch.full((1,), 27 / 11)])
    torch.testing.assert_close(late, [torch.full((2,), 0.001), torch.full((1,), 0.003)])
    assert mean[0].tolist() == [0, 0]


def test_the_average_is_written_into_the_other_network_alone():
    torch.manual_seed(0)
    mean, net = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    old, new = mean.weight.detach().clone(), net.weight.detach().clone()
    average_into(mean, net, 0.5, 100)
    torch.testing.assert_close(mean.weight.detach(), (old + new) / 2)
    assert torch.equal(net.weight.detach(), new)


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda: moving_average([torch.zeros(2)], [torch.zeros(2)], 1.0, 0), "below 1"),
        (lambda: moving_average([torch.zeros(2)], [torch.zeros(3)], 0.9, 0), "same shapes"),
        (lambda: moving_average([torch.zeros(2)], [torch.zeros(2)], 0.9, -1), "step"),
    ],
)
def test_an_average_that_is_none_is_refused(ask, sentence):
    with pytest.raises(ValueError, match=sentence):
        ask()
