"""The rivals of chapter 2: losses with known answers, samplers with known laws, training that finds a known optimum."""

import math

import pytest
import torch
from torch import nn

from course_lib.denoisers import MLPDenoiser, ring
from course_lib.rivals import (
    GAN,
    VAE,
    DiffusionGAN,
    critic_loss,
    generator_loss,
    gradient_penalty,
    kl,
    mlp,
    train_diffusion_gan,
    train_gan,
)
from course_lib.samplers import ddpm, sample
from course_lib.training import train

F64 = torch.float64


@pytest.fixture
def g():
    return torch.Generator().manual_seed(0)


class Map(nn.Module):
    """x -> x A' + b, with a parameter so that its dtype is known."""

    def __init__(self, A, b):
        super().__init__()
        self.A, self.b = nn.Parameter(torch.as_tensor(A, dtype=F64)), nn.Parameter(torch.as_tensor(b, dtype=F64))

    def forward(self, x):
        return x @ self.A.T + self.b


# ---- GAN


def test_a_critic_that_cannot_tell_costs_two_log_two():
    """(2.7) at C = 0: every answer is a coin, for the critic twice, for the generator once."""
    zero = torch.zeros(7, dtype=F64)
    assert critic_loss(zero, zero).item() == pytest.approx(2 * math.log(2), abs=1e-12)
    assert generator_loss(zero).item() == pytest.approx(math.log(2), abs=1e-12)


def test_the_losses_are_minus_the_log_of_the_chance_of_the_right_answer(g):
    """(2.7) against the formula with sigmoids, real and fake batches of different sizes."""
    real, fake = torch.randn(5, generator=g, dtype=F64), torch.randn(8, generator=g, dtype=F64)
    due = -torch.sigmoid(real).log().mean() - (1 - torch.sigmoid(fake)).log().mean()
    assert critic_loss(real, fake).item() == pytest.approx(due.item(), abs=1e-12)
    assert generator_loss(fake).item() == pytest.approx(-torch.sigmoid(fake).log().mean().item(), abs=1e-12)


def test_the_losses_stay_finite_where_the_critic_is_certain():
    """A logit of 1000 costs 1000 on the wrong side and 0 on the right one, not infinity."""
    sure = torch.full((3,), 1000.0)
    assert critic_loss(sure, -sure).item() == 0
    assert critic_loss(-sure, sure).item() == 2000
    assert generator_loss(-sure).item() == 1000


def test_the_best_critic_is_the_log_ratio_of_the_densities(g):
    """Against fakes at N(1, 1) and reals at N(-1, 1) the minimum of L_C is at C(x) = log p / q = -2 x."""
    real, fake = torch.randn(200_000, generator=g, dtype=F64) - 1, torch.randn(200_000, generator=g, dtype=F64) + 1
    least = critic_loss(-2 * real, -2 * fake)
    for slope in (-1.8, -2.2):
        assert critic_loss(slope * real, slope * fake) > least
    for shift in (-0.2, 0.2):
        assert critic_loss(-2 * real + shift, -2 * fake + shift) > least


def test_gan_samples_are_the_generator_of_normal_z(g):
    """A linear generator gives a Gaussian with mean b and covariance A A'."""
    gan = GAN(d_z=3).double()
    A, b = torch.tensor([[1.0, 0, 0], [0.5, 2, 0]], dtype=F64), torch.tensor([3.0, -1], dtype=F64)
    gan.generator = Map(A, b)
    x = gan.sample(200_000, g)
    assert x.shape == (200_000, 2)
    assert x.dtype == F64
    assert not x.requires_grad
    assert (x.mean(0) - b).abs().max() < 0.03
    assert (torch.cov(x.T) - A @ A.T).abs().max() < 0.1


def test_one_step_of_training_follows_the_gradients_of_both_losses(g):
    """The critic moves first and down its own loss; the generator moves against the new critic; nothing else moves."""
    gan = GAN().double()
    gan.generator, gan.critic = Map(torch.eye(2), [2.0, 0.0]), Map([[0.0, 0.0]], [0.0])
    real = torch.randn(4000, 2, generator=g, dtype=F64) - torch.tensor([2.0, 0.0], dtype=F64)
    (losses,) = train_gan(gan, [real], lr=0.1, generator=g)
    assert losses[0] == pytest.approx(2 * math.log(2), abs=1e-12)  # the loss before the step
    assert gan.critic.A[0, 0].item() == pytest.approx(
        -0.1, abs=1e-4
    )  # Adam's first step is lr, downhill: reals are left
    assert losses[1] > math.log(2)  # against the critic that has moved already
    assert gan.generator.b[0].item() == pytest.approx(1.9, abs=1e-4)  # the fakes move towards the reals


def test_a_gan_learns_where_a_gaussian_lies(g):
    """Where real and fake can be made equal the means meet and the critic cannot tell any more."""
    gan = GAN().double()
    gan.generator = Map(torch.eye(2), [1.5, 0.0])
    gan.generator.A.requires_grad_(False)
    batches = (torch.randn(256, 2, generator=g, dtype=F64) - 0.5 for _ in range(400))
    losses = list(train_gan(gan, batches, lr=0.01, generator=g))
    assert (gan.generator.b + 0.5).abs().max() < 0.15
    assert sum(c for c, _ in losses[-100:]) / 100 == pytest.approx(2 * math.log(2), abs=0.03)


def test_betas_and_lr_change_the_training(g):
    """Every parameter of train_gan does something; the same seed does the same."""

    def run(**kwargs):
        torch.manual_seed(0)
        gan, noise = GAN().double(), torch.Generator().manual_seed(1)
        batches = [torch.randn(16, 2, generator=torch.Generator().manual_seed(2), dtype=F64)] * 3
        return list(train_gan(gan, batches, generator=noise, **kwargs))

    assert run() == run()
    assert run() != run(lr=0.01)
    assert run() != run(betas=(0.9, 0.999))


def test_a_loss_that_is_not_finite_ends_in_a_sentence(g):
    """Training does not go on with NaN."""
    with pytest.raises(FloatingPointError, match="lower the learning rate"):
        list(train_gan(GAN().double(), [torch.full((4, 2), torch.nan, dtype=F64)], generator=g))


# ---- VAE


def test_kl_of_equal_laws_is_zero_and_grows_with_the_mean():
    """KL(N(m, 1) || N(0, 1)) = m**2 / 2 for each dimension."""
    zero = torch.zeros(1, 2, dtype=F64)
    assert kl(zero, zero).item() == 0
    assert kl(torch.tensor([[3.0, 4.0]], dtype=F64), zero).item() == pytest.approx(12.5, abs=1e-12)


def test_kl_agrees_with_torch(g):
    """Against torch.distributions, one number per sample."""
    mean, log_v = torch.randn(6, 3, generator=g, dtype=F64), torch.randn(6, 3, generator=g, dtype=F64)
    q = torch.distributions.Normal(mean, (log_v / 2).exp())
    due = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).sum(1)
    assert torch.allclose(kl(mean, log_v), due, atol=1e-12)


def linear_vae(s: float, A: torch.Tensor, b: torch.Tensor, posterior: bool = True) -> VAE:
    """A VAE with decoder A z + b, and the exact posterior of that law as its encoder (probabilistic PCA)."""
    vae = VAE(s=s).double()
    vae.decoder = Map(A, b)
    M = A.T @ A + s**2 * torch.eye(2, dtype=F64)
    if not torch.allclose(M, torch.diag(M.diagonal())):
        raise ValueError("the columns of A must be orthogonal, so that the posterior is diagonal")
    W = torch.linalg.solve(M, A.T)
    log_v = (s**2 / M.diagonal()).log() if posterior else torch.zeros(2, dtype=F64)
    vae.encoder = Map(torch.cat([W, torch.zeros(2, 2, dtype=F64)]), torch.cat([-W @ b, log_v]))
    return vae


@pytest.mark.parametrize("posterior", [True, False])
def test_with_the_exact_posterior_the_loss_is_minus_the_log_likelihood(g, posterior):
    """(2.8) on a linear decoder, where log p(x) is known: equal with the right encoder, larger with another."""
    A, b, s = torch.diag(torch.tensor([1.0, 0.5], dtype=F64)), torch.tensor([0.3, -1.0], dtype=F64), 0.4
    law = torch.distributions.MultivariateNormal(b, A @ A.T + s**2 * torch.eye(2, dtype=F64))
    x = b + torch.randn(100_000, 2, generator=g, dtype=F64) @ A + s * torch.randn(100_000, 2, generator=g, dtype=F64)
    with torch.no_grad():
        loss = linear_vae(s, A, b, posterior).loss(x, torch.randn(100_000, 2, generator=g, dtype=F64)).item()
    due = -law.log_prob(x).mean().item()
    if posterior:
        assert loss == pytest.approx(due, abs=0.01)
    else:
        assert loss > due + 0.5


def test_vae_samples_have_the_models_law_with_and_without_noise(g):
    """Covariance A A' + s**2 I, or A A' for the decoder's means."""
    A, b = torch.diag(torch.tensor([1.0, 0.5], dtype=F64)), torch.tensor([0.3, -1.0], dtype=F64)
    vae = linear_vae(0.4, A, b)
    for noise, extra in ((True, 0.16), (False, 0.0)):
        x = vae.sample(100_000, g, noise=noise)
        assert x.dtype == F64
        assert not x.requires_grad
        assert (x.mean(0) - b).abs().max() < 0.02
        assert (torch.cov(x.T) - A @ A.T - extra * torch.eye(2, dtype=F64)).abs().max() < 0.02


def test_the_spread_is_learned(g):
    """With a decoder that cannot move, the best s**2 is the variance that is left."""
    vae = linear_vae(1.0, torch.zeros(2, 2, dtype=F64), torch.zeros(2, dtype=F64))
    batches = ((0.2 * torch.randn(256, 2, generator=g, dtype=F64), torch.zeros(256, 2, dtype=F64)) for _ in range(400))
    list(train(lambda batch: vae.loss(*batch), [vae.log_s], batches, lr=0.02))
    assert vae.log_s.exp().item() == pytest.approx(0.2, rel=0.05)


def test_a_spread_that_is_not_positive_is_refused():
    """Its logarithm is what is learned."""
    with pytest.raises(ValueError, match="s is a standard deviation"):
        VAE(s=0.0)


# ---- both


def test_the_networks_that_make_samples_are_of_one_size():
    """The comparison of chapter 2: the same hidden layers, and as many parameters as the denoiser within 2 %."""

    def size(network):
        return sum(p.numel() for p in network.parameters())

    due = size(MLPDenoiser())
    assert abs(size(GAN().generator) / due - 1) < 0.02
    assert abs(size(VAE().decoder) / due - 1) < 0.02
    assert sum(isinstance(m, nn.Linear) for m in mlp(2, 2, depth=5)) == 6
    assert mlp(3, 4, width=7)(torch.zeros(5, 3)).shape == (5, 4)


def test_both_learn_something_of_the_ring(g):
    """After 300 steps their samples are nearer to the ring than at the start."""
    law = ring(10)
    torch.manual_seed(0)
    gan, vae = GAN().double(), VAE().double()

    def away(model):
        return (model.sample(2000, torch.Generator().manual_seed(1)).norm(dim=1) - 1).abs().mean()

    before = away(gan), away(vae)
    list(train_gan(gan, (law.sample(128, g) for _ in range(300)), lr=3e-3, generator=g))
    batches = ((law.sample(128, g), torch.randn(128, 2, generator=g, dtype=F64)) for _ in range(300))
    list(train(lambda batch: vae.loss(*batch), vae.parameters(), batches, lr=3e-3))
    assert away(gan) < 0.5 * before[0]
    assert away(vae) < 0.5 * before[1]


# ---- diffusion with few steps made by a GAN


LEVELS = torch.tensor([2.0, 0.5, 0.0], dtype=F64)


def test_the_gradient_penalty_of_a_straight_critic_is_its_squared_slope(g):
    """R1 in (5.21): C(x) = a x has |a|**2 everywhere, whatever the batch; and it can be trained on."""
    a = torch.tensor([3.0, -4.0], dtype=F64, requires_grad=True)
    x = torch.randn(9, 2, generator=g, dtype=F64)
    value = gradient_penalty(lambda point: point @ a, x)
    assert value.item() == pytest.approx(25)
    value.backward()
    torch.testing.assert_close(a.grad, 2 * a.detach())


def test_a_diffusion_gan_is_a_denoiser_that_draws(g):
    """The loop of chapter 1 samples it: the last step returns G(x, z, sigma) itself, another z another point."""
    net = DiffusionGAN(LEVELS).double()
    x = torch.randn(5, 2, generator=g, dtype=F64)
    one, other = net.denoiser(torch.Generator().manual_seed(0)), net.denoiser(torch.Generator().manual_seed(1))
    z = torch.randn(5, 2, generator=torch.Generator().manual_seed(0), dtype=F64)
    torch.testing.assert_close(sample(one, x, LEVELS[1:], step=ddpm), net.x0(x, z, 0.5).detach())
    assert (one(x, 0.5) - other(x, 0.5)).abs().min() > 0
    assert (net.judged(x, x, 0.5) - net.judged(x, 2 * x, 0.5)).abs().min() > 0  # the critic sees where the step began
    assert (net.judged(x, x, 0.5) - net.judged(x, x, 2.0)).abs().min() > 0
    assert net.judged(x, x, 0.5).shape == (5,)


def test_the_diffusion_gan_draws_where_a_mean_would_fail(g):
    """Two points, -1 and 1, one step from a noise that hides them: the mean is near 0, the draws are on both."""
    torch.manual_seed(0)
    net = DiffusionGAN(torch.tensor([3.0, 0.0], dtype=F64), d=1, width=32).double()
    data = (2 * torch.randint(2, (128, 1), generator=g, dtype=F64) - 1 for _ in range(400))
    losses = list(train_diffusion_gan(net, data, 3e-3, generator=g))
    x = 3 * torch.randn(500, 1, generator=g, dtype=F64)
    made = sample(net.denoiser(g), x, net.levels, step=ddpm)
    assert len(losses) == 400
    assert (made.abs() - 1).abs().median() < 0.2
    assert 0.25 < (made > 0).double().mean() < 0.75


def test_the_penalty_counts(g):
    """Its weight changes the critic's loss, and only that."""
    data = torch.randn(16, 2, generator=g, dtype=F64)
    first = []
    for penalty in (0.0, 10.0):
        torch.manual_seed(0)
        net = DiffusionGAN(LEVELS).double()
        first.append(next(train_diffusion_gan(net, [data], 0.0, penalty, generator=torch.Generator().manual_seed(0))))
    assert first[1][0] > first[0][0]
    assert first[1][1] == pytest.approx(first[0][1])


@pytest.mark.parametrize("levels", [[1.0, 2.0, 0.0], [2.0, 1.0], [0.0]])
def test_levels_of_a_diffusion_gan_must_fall_to_zero(levels):
    with pytest.raises(ValueError, match="must decrease and end at 0"):
        DiffusionGAN(torch.tensor(levels))
