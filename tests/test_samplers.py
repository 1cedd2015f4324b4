"""Noise levels, step formulas and the loop: against closed forms, diffusers' schedulers and the laws they must keep."""

import math

import pytest
import torch
from scipy import stats

from course_lib.denoisers import GaussianMixture, MLPDenoiser, ring
from course_lib.metrics import expected_modes, modes_hit, nearest_mode
from course_lib.samplers import (
    ddim,
    ddpm,
    dpmpp_2m,
    euler_maruyama,
    first_half,
    geometric,
    karras,
    langevin,
    sample,
    scaled_linear,
    trajectory,
)
from course_lib.seeds import Noise

DOUBLE = torch.float64
STEPS = {"ddim": ddim, "ddpm": ddpm, "euler_maruyama": euler_maruyama}


def randn(g, *shape):
    return torch.randn(*shape, generator=g, dtype=DOUBLE)


def drawn_from(g):
    """A `randn_like` that draws from one generator."""
    return lambda x: torch.randn(x.shape, generator=g, dtype=x.dtype)


def level(value):
    return torch.tensor(value, dtype=DOUBLE)


def test_geometric_levels_have_one_ratio():
    """T levels from high to low in a constant ratio, then 0."""
    levels = geometric(80.0, 0.002, 9)
    assert levels.shape == (10,)
    assert levels[-1] == 0
    assert levels[[0, 8]].tolist() == pytest.approx([80.0, 0.002], rel=1e-12)
    ratio = levels[1:9] / levels[:8]
    torch.testing.assert_close(ratio, torch.full((8,), (0.002 / 80) ** (1 / 8), dtype=DOUBLE), rtol=1e-12, atol=0)


@pytest.mark.parametrize("rho", [1.0, 3.0, 7.0])
def test_karras_levels_are_even_in_their_root(rho):
    """sigma**(1 / rho) falls in equal steps from high to low, then comes 0."""
    levels = karras(80.0, 0.002, 9, rho)
    roots = torch.linspace(80.0 ** (1 / rho), 0.002 ** (1 / rho), 9, dtype=DOUBLE)
    torch.testing.assert_close(levels[:-1] ** (1 / rho), roots, rtol=1e-10, atol=0)
    assert levels[-1] == 0


def test_karras_defaults_are_the_paper_s():
    """rho is 7 unless it is given, and growing it approaches the geometric levels."""
    assert torch.equal(karras(10.0, 0.1, 6), karras(10.0, 0.1, 6, rho=7.0))
    torch.testing.assert_close(karras(10.0, 0.1, 6, rho=1e7), geometric(10.0, 0.1, 6), rtol=1e-5, atol=0)


def test_karras_levels_are_those_of_diffusers():
    """Ten levels between Stable Diffusion's ends are the ones diffusers' scheduler computes."""
    from diffusers import EulerDiscreteScheduler

    oracle = EulerDiscreteScheduler(use_karras_sigmas=True, beta_schedule="scaled_linear")
    oracle.set_timesteps(10)
    ours = karras(float(oracle.sigmas[0]), float(oracle.sigmas[-2]), 10)
    torch.testing.assert_close(ours, oracle.sigmas.double(), rtol=1e-5, atol=0)


@pytest.mark.parametrize("T", [1, 7, 10, 50, 999])
def test_scaled_linear_levels_are_those_of_diffusers_ddim(T):
    """Levels are those at the timesteps of the scheduler that ships with Stable Diffusion, and of its final alpha."""
    from diffusers import DDIMScheduler

    oracle = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", set_alpha_to_one=False, steps_offset=1
    )
    oracle.set_timesteps(T)
    abar = torch.cat([oracle.alphas_cumprod[oracle.timesteps], oracle.final_alpha_cumprod.reshape(1)]).double()
    torch.testing.assert_close(scaled_linear(T), ((1 - abar) / abar).sqrt(), rtol=2e-4, atol=0)


def test_scaled_linear_ends_are_stable_diffusion_s():
    """The largest of all levels is 14.61 and the last .0292, and both ends of beta move them."""
    assert scaled_linear(999)[0].item() == pytest.approx(14.61, abs=0.01)
    assert scaled_linear(999)[-1].item() == pytest.approx(0.0292, abs=5e-5)
    assert scaled_linear(10, beta_start=0.0016)[-1].item() == pytest.approx((0.0016 / 0.9984) ** 0.5, rel=1e-12)
    assert scaled_linear(10, beta_end=0.02)[0] > 2 * scaled_linear(10)[0]


def test_ddim_keeps_the_noise_it_saw(g):
    """After a DDIM step (x - x0) / sigma is what it was before, so the step to sigma = 0 gives x0."""
    x, x0 = randn(g, 5, 2), randn(g, 5, 2)
    out = ddim(x, x0, level(2.0), level(0.5))
    torch.testing.assert_close((out - x0) / 0.5, (x - x0) / 2.0)
    torch.testing.assert_close(out, x + (0.5 - 2.0) * (x - x0) / 2.0)
    assert torch.equal(ddim(x, x0, level(2.0), level(0.0)), x0)


def test_ddpm_step_is_the_posterior_of_a_gaussian_chain(g):
    """Mean and variance are those of x_next given x and x0, from the product of two Gaussian densities."""
    x, x0, s, t = randn(g, 5, 2), randn(g, 5, 2), 2.0, 0.5
    precision = 1 / t**2 + 1 / (s**2 - t**2)  # x_next ~ N(x0, t**2), x ~ N(x_next, s**2 - t**2)
    mean = (x0 / t**2 + x / (s**2 - t**2)) / precision
    quiet = ddpm(x, x0, level(s), level(t), torch.zeros_like)
    torch.testing.assert_close(quiet, mean)
    loud = ddpm(x, x0, level(s), level(t), torch.ones_like)
    torch.testing.assert_close(loud - quiet, torch.full((5, 2), precision**-0.5, dtype=DOUBLE))
    assert torch.equal(ddpm(x, x0, level(s), level(0.0)), x0)


def test_ddpm_step_is_that_of_diffusers(g):
    """With the same noise the step is DDPMScheduler's, taken in variance-preserving coordinates."""
    from diffusers import DDPMScheduler

    oracle = DDPMScheduler(beta_schedule="scaled_linear", prediction_type="sample", clip_sample=False)
    oracle.set_timesteps(20)
    abar = oracle.alphas_cumprod.double()
    sigma = ((1 - abar) / abar).sqrt()
    for t, t_next in zip(oracle.timesteps[:-1], oracle.timesteps[1:], strict=True):
        x, x0 = sigma[t] * randn(g, 4, 2), randn(g, 4, 2)
        noise = torch.randn(4, 2, generator=torch.Generator().manual_seed(5), dtype=DOUBLE)
        z = oracle.step(x0, t, x * abar[t].sqrt(), generator=torch.Generator().manual_seed(5)).prev_sample
        ours = ddpm(x, x0, sigma[t], sigma[t_next], lambda x, noise=noise: noise)
        torch.testing.assert_close(ours * abar[t_next].sqrt(), z, rtol=1e-4, atol=1e-4)


def test_euler_maruyama_follows_the_score(g):
    """x + c score + sqrt(c) noise with c = sigma**2 - sigma_next**2."""
    x, x0, xi = randn(g, 5, 2), randn(g, 5, 2), randn(g, 5, 2)
    score, c = (x0 - x) / 4.0, 4.0 - 0.25
    out = euler_maruyama(x, x0, level(2.0), level(0.5), lambda x: xi)
    torch.testing.assert_close(out, x + c * score + math.sqrt(c) * xi)


def test_langevin_follows_the_score(g):
    """x + e score + sqrt(2 e) noise with the step e = tau sigma**2, and no drift where x is x0."""
    x, x0, xi = randn(g, 5, 2), randn(g, 5, 2), randn(g, 5, 2)
    e = 0.3 * 4.0
    out = langevin(x, x0, level(2.0), 0.3, lambda x: xi)
    torch.testing.assert_close(out, x + e * (x0 - x) / 4.0 + math.sqrt(2 * e) * xi)


@pytest.mark.parametrize("step", [ddpm, euler_maruyama])
def test_stochastic_steps_draw_from_torch_by_default(step, g):
    """Without `randn_like` a step draws standard normal noise from torch's generator."""
    x, x0 = randn(g, 3, 2), randn(g, 3, 2)
    torch.manual_seed(4)
    noise = torch.randn_like(x)
    torch.manual_seed(4)
    assert torch.equal(step(x, x0, level(2.0), level(1.0)), step(x, x0, level(2.0), level(1.0), lambda x: noise))
    torch.manual_seed(4)
    assert torch.equal(langevin(x, x0, level(2.0), 0.1), langevin(x, x0, level(2.0), 0.1, lambda x: noise))


@pytest.mark.parametrize("final", ["zero", "sigma_min"])
def test_dpmpp_2m_is_that_of_diffusers(final, g):
    """Step by step with the same x0, it is DPMSolverMultistepScheduler (dpmsolver++, midpoint, order 2)."""
    from diffusers import DPMSolverMultistepScheduler

    oracle = DPMSolverMultistepScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="sample",
        final_sigmas_type=final,
        lower_order_final=False,
    )
    oracle.set_timesteps(12)
    sigmas = oracle.sigmas.double()
    scale = (1 + sigmas**2).rsqrt()
    x, mixture, ours = sigmas[0] * randn(g, 4, 2), ring(3), dpmpp_2m()
    z = x * scale[0]
    for i, t in enumerate(oracle.timesteps):
        x0 = mixture(x, sigmas[i])
        z = oracle.step(x0, t, z).prev_sample
        x = ours(x, x0, sigmas[i], sigmas[i + 1])
        torch.testing.assert_close(x * scale[i + 1], z, rtol=2e-5, atol=2e-5)


def test_dpmpp_2m_starts_with_ddim(g):
    """Its first step, and any step to sigma = 0, is of first order."""
    x, x0, last = randn(g, 4, 2), randn(g, 4, 2), randn(g, 4, 2)
    step = dpmpp_2m()
    torch.testing.assert_close(step(x, x0, level(2.0), level(1.0)), ddim(x, x0, level(2.0), level(1.0)))
    assert not torch.allclose(step(x, last, level(1.0), level(0.5)), ddim(x, last, level(1.0), level(0.5)))
    assert torch.equal(step(x, x0, level(0.5), level(0.0)), x0)


def test_dpmpp_2m_of_another_run_is_refused(g):
    """A used step raises when a second run begins with it, at the same or another number of particles."""
    mixture, x = ring(), randn(g, 4, 2)
    for second, levels in ((x, geometric(5.0, 0.1, 6)), (x[:3], torch.tensor([0.1, 0.05]))):
        step = dpmpp_2m()
        sample(mixture, x, geometric(5.0, 0.1, 6)[:-1], step=step)
        with pytest.raises(ValueError, match=r"already been used in another run; call dpmpp_2m\(\)"):
            sample(mixture, second, levels, step=step)
    sample(mixture, x, geometric(5.0, 0.1, 6), step=dpmpp_2m())


def test_orders_of_the_deterministic_steps():
    """On a Gaussian, whose flow is known, doubling the levels halves DDIM's error and quarters DPM-Solver++(2M)'s."""
    gaussian, x, ends = (
        GaussianMixture(torch.zeros(1, 1, dtype=DOUBLE), 1.0),
        torch.ones(1, 1, dtype=DOUBLE),
        (8.0, 0.05),
    )
    exact = math.sqrt((1 + ends[1] ** 2) / (1 + ends[0] ** 2))  # x / sqrt(s**2 + sigma**2) stays

    def error(make, T):
        return abs(sample(gaussian, x, geometric(*ends, T)[:-1], step=make()).item() - exact)

    for make, order in ((lambda: ddim, 1), (dpmpp_2m, 2)):
        assert math.log2(error(make, 160) / error(make, 320)) == pytest.approx(order, abs=0.15)


def gaussian_law(step, sigmas, s):
    """Standard deviation that `step` gives N(0, s**2) in exact arithmetic, from how it treats x and its noise."""
    one, zero, variance = torch.ones(1, 1, dtype=DOUBLE), torch.zeros(1, 1, dtype=DOUBLE), s**2 + float(sigmas[0]) ** 2
    for sigma, sigma_next in zip(sigmas[:-1], sigmas[1:], strict=True):
        pull = float(step(one, s**2 / (s**2 + sigma**2) * one, sigma, sigma_next, torch.zeros_like))
        noise = float(step(zero, zero, sigma, sigma_next, torch.ones_like))
        variance = pull**2 * variance + noise**2
    return variance**0.5


@pytest.mark.parametrize("name", STEPS)
def test_steps_sample_a_gaussian(name, g):
    """From its noisy law a step reaches N(mu, s**2) as levels become dense, and 40,000 particles obey the exact law."""
    step, mu, s, n = STEPS[name], torch.tensor([[2.0, -1.0]], dtype=DOUBLE), 0.5, 40_000
    fine = geometric(10.0, 0.01, 2000)
    assert gaussian_law(step, fine, s) == pytest.approx(s, rel=0.01)
    sigmas = geometric(10.0, 0.05, 20)
    x = mu + math.sqrt(s**2 + 100) * randn(g, n, 2)
    x = sample(GaussianMixture(mu, s), x, sigmas, step=step, randn_like=drawn_from(g))
    law = gaussian_law(step, sigmas, s)
    assert ((x.mean(0) - mu).abs() < 4 * law / n**0.5).all()
    assert ((x.std(0) - law).abs() < 4 * law / (2 * n) ** 0.5).all()


def test_langevin_keeps_the_noisy_law(g):
    """At one level the variance settles at v / (1 - a / 2), v = s**2 + sigma**2 and a = tau sigma**2 / v."""
    s, sigma, tau, n = 1.0, level(1.5), 0.4, 60_000
    v = s**2 + sigma.item() ** 2
    a = tau * sigma.item() ** 2 / v
    x, mixture = v**0.5 * randn(g, n, 1), GaussianMixture(torch.zeros(1, 1, dtype=DOUBLE), s)
    for _ in range(25):
        x = langevin(x, mixture(x, sigma), sigma, tau, drawn_from(g))
    settled = v / (1 - a / 2)
    assert abs(x.var().item() - settled) < 4 * settled * (2 / n) ** 0.5
    assert settled - v > 8 * settled * (2 / n) ** 0.5


def test_the_ode_draws_modes_by_their_weights(g):
    """Over 300 repeats of 10 particles each mode comes as often as its weight says, within three binomial deviations,
    and the modes hit are those of independent draws.
    """
    for weights, expected in ((torch.ones(10), 6.513), (torch.arange(1.0, 11.0), 5.970)):
        mixture = ring(weights=weights)
        x = sample(mixture, 8.0 * randn(g, 3000, 2), geometric(8.0, 0.02, 50))
        share = nearest_mode(x, mixture.means).bincount(minlength=10) / 3000
        deviation = (mixture.weights * (1 - mixture.weights) / 3000).sqrt()
        assert ((share - mixture.weights).abs() < 3 * deviation).all()
        hit = torch.tensor([modes_hit(own, mixture.means) for own in x.view(300, 10, 2)], dtype=DOUBLE)
        assert expected_modes(mixture.weights, 10) == pytest.approx(expected, abs=5e-4)
        assert abs(hit.mean() - expected) < 3 * hit.std() / 300**0.5


def test_ancestral_samples_pass_a_test_of_their_law(g):
    """4,000 DDPM samples of one Gaussian are not told from it by Kolmogorov and Smirnov."""
    x = math.sqrt(101) * randn(g, 4000, 1)
    mixture = GaussianMixture(torch.zeros(1, 1, dtype=DOUBLE), 1.0)
    x = sample(mixture, x, geometric(10.0, 0.02, 60), step=ddpm, randn_like=drawn_from(g))
    law = gaussian_law(ddpm, geometric(10.0, 0.02, 60), 1.0)
    assert stats.kstest((x[:, 0] / law).numpy(), "norm").pvalue > 0.01


def test_the_loop_corrects_then_predicts(g):
    """At each level come `corrections` Langevin steps, then the step; each State holds the level reached and its x0."""
    mixture, x, sigmas, tau = ring(3), randn(g, 4, 2), geometric(2.0, 0.1, 5), 0.07
    states = list(trajectory(mixture, x, sigmas, ddpm, 2, tau, drawn_from(torch.Generator().manual_seed(1))))
    draw = drawn_from(torch.Generator().manual_seed(1))
    assert len(states) == 5
    for i, state in enumerate(states):
        for _ in range(2):
            x = langevin(x, mixture(x, sigmas[i]), sigmas[i], tau, draw)
        x0 = mixture(x, sigmas[i])
        x = ddpm(x, x0, sigmas[i], sigmas[i + 1], draw)
        assert state.sigma == sigmas[i + 1]
        assert torch.equal(state.x, x)
        assert torch.equal(state.x0, x0)


COUNTS, TAUS = [2, 0, 1, 0, 1], [0.3, 0.2, 0.1, 0.05, 0.02]


@pytest.mark.parametrize("given", ["lists", "tensors", "functions"])
def test_corrections_by_level(given, g):
    """corrections and tau may be one number a level, or functions of it: the loop by hand gives the same bits."""
    x, sigmas, mixture = randn(g, 4, 2), geometric(2.0, 0.1, 5), ring(3)
    by_level = {float(s): (n, tau) for s, n, tau in zip(sigmas[:-1], COUNTS, TAUS, strict=True)}
    corrections, tau = {
        "lists": (COUNTS, TAUS),
        "tensors": (torch.tensor(COUNTS), torch.tensor(TAUS, dtype=DOUBLE)),
        "functions": (lambda sigma: by_level[float(sigma)][0], lambda sigma: by_level[float(sigma)][1]),
    }[given]
    actual = sample(mixture, x, sigmas, ddpm, corrections, tau, Noise(range(4)).randn_like)
    draw = Noise(range(4)).randn_like
    for i, (n, own) in enumerate(zip(COUNTS, TAUS, strict=True)):
        for _ in range(n):
            x = langevin(x, mixture(x, sigmas[i]), sigmas[i], own, draw)
        x = ddpm(x, mixture(x, sigmas[i]), sigmas[i], sigmas[i + 1], draw)
    assert torch.equal(actual, x)


def test_one_number_is_that_number_at_each_level(g):
    """A number, and a list that repeats it, give the same bits."""
    x, sigmas = randn(g, 4, 2), geometric(2.0, 0.1, 5)
    once = sample(ring(), x, sigmas, ddim, 2, 0.1, Noise(range(4)).randn_like)
    assert torch.equal(sample(ring(), x, sigmas, ddim, [2] * 5, [0.1] * 5, Noise(range(4)).randn_like), once)


@pytest.mark.parametrize("T", [20, 13, 1])
def test_the_thesis_corrections(T, g):
    """One at each of the first T // 2 levels, z + e score + sqrt(2 e) xi with e = sigma (sigma - sigma')."""
    x, sigmas, mixture = 5 * randn(g, 4, 2), geometric(5.0, 0.1, T), ring(3)
    corrections, tau = first_half(sigmas)
    actual = sample(mixture, x, sigmas, ddim, corrections, tau, Noise(range(4)).randn_like)
    draw = Noise(range(4)).randn_like
    for i, (sigma, sigma_next) in enumerate(zip(sigmas[:-1], sigmas[1:], strict=True)):
        e = sigma * (sigma - sigma_next)
        if i < T // 2:
            score = (mixture(x, sigma) - x) / sigma**2
            x = x + e * score + (2 * e).sqrt() * draw(x)
        x = x + e * (mixture(x, sigma) - x) / sigma**2  # the same step without noise is the prediction
    torch.testing.assert_close(actual, x, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"corrections": [1, 1]}, "corrections must be one number, or one for each of the 5 levels, got 2"),
        ({"corrections": -1}, "corrections must be a whole number of at least 0, got -1"),
        ({"corrections": 1.5}, "corrections must be a whole number or a list .* or a function, got 1.5"),
        ({"corrections": True}, "corrections must be a whole number or a list .* or a function, got True"),
        ({"corrections": "11000"}, "corrections must be a whole number or a list .* or a function, got '11000'"),
        ({"corrections": lambda sigma: None}, "corrections must be a whole number of at least 0, got None"),
        ({"tau": [0.1] * 4}, "tau must be one number, or one for each of the 5 levels, got 4"),
        ({"tau": -0.1}, "tau must be a finite number of at least 0, got -0.1"),
        ({"tau": math.nan}, "tau must be a number or a list or a function, got nan"),
        ({"tau": lambda sigma: math.inf}, "tau must be a finite number of at least 0, got inf"),
    ],
)
def test_corrections_that_are_none_are_refused(options, sentence, g):
    with pytest.raises(ValueError, match=f"trajectory: {sentence}"):
        sample(ring(), randn(g, 2, 2), geometric(2.0, 0.1, 5), **options)


def test_the_loop_s_defaults(g):
    """Without arguments it takes DDIM steps and no corrections; a correction's tau is .05; noise comes from torch."""
    mixture, x, sigmas = ring(3), randn(g, 4, 2), geometric(2.0, 0.1, 5)
    assert torch.equal(sample(mixture, x, sigmas), sample(mixture, x, sigmas, ddim, 0))
    torch.manual_seed(2)
    plain = sample(mixture, x, sigmas, corrections=1)
    assert not torch.equal(plain, sample(mixture, x, sigmas))
    same = sample(mixture, x, sigmas, ddim, 1, 0.05, drawn_from(torch.Generator().manual_seed(2)))
    assert torch.equal(plain, same)
    torch.manual_seed(2)
    states = list(trajectory(mixture, x, sigmas, corrections=1))
    assert torch.equal(states[-1].x, plain)
    assert torch.equal(list(trajectory(mixture, x, sigmas))[-1].x, sample(mixture, x, sigmas))
    assert not torch.equal(sample(mixture, x, sigmas, corrections=1, tau=0.1, randn_like=torch.zeros_like), plain)


@pytest.mark.parametrize("corrections", [0, 1, 3])
def test_network_calls_per_run(corrections, g):
    """A run of T levels calls the denoiser T (1 + corrections) times, each time with one level and all particles."""
    calls = []

    def counted(x, sigma):
        calls.append((tuple(x.shape), sigma.ndim))
        return ring()(x, sigma)

    sample(counted, randn(g, 4, 2), geometric(2.0, 0.1, 5), corrections=corrections)
    assert calls == [((4, 2), 0)] * (5 * (1 + corrections))


def test_sample_builds_no_graph_and_trajectory_obeys_its_caller(g):
    """`sample` never records gradients; `trajectory` does if the caller does, and leaves that mode alone."""
    x = randn(g, 3, 2).requires_grad_()
    sigmas = geometric(2.0, 0.1, 4)
    assert not sample(ring(), x, sigmas).requires_grad
    states = trajectory(ring(), x, sigmas)
    assert next(states).x.requires_grad
    with torch.no_grad():
        assert not next(states).x.requires_grad
    assert torch.is_grad_enabled()
    (gradient,) = torch.autograd.grad(list(trajectory(ring(), x, sigmas))[-1].x.sum(), x)
    assert (gradient != 0).any()


@pytest.mark.parametrize(("name", "corrections"), [("ddim", 0), ("ddpm", 0), ("euler_maruyama", 0), ("ddim", 2)])
@pytest.mark.parametrize("exact", [True, False])
def test_a_seed_is_a_particle(name, corrections, exact):
    """Seed i gives the same particle for N = 1, 4 and 16: within 1e-10 of an exact denoiser, 1e-4 of a network."""
    torch.manual_seed(0)
    denoiser, dtype, tolerance = (ring(), DOUBLE, 1e-10) if exact else (MLPDenoiser(), torch.float32, 1e-4)

    def run(N):
        noise = Noise(range(N), dtype=dtype)
        x = 3.0 * noise.randn(2)
        return sample(denoiser, x, geometric(3.0, 0.05, 15), STEPS[name], corrections, 0.1, noise.randn_like)

    most = run(16)
    for N in (1, 4):
        torch.testing.assert_close(run(N), most[:N], rtol=0, atol=tolerance)
    assert torch.pdist(most).min() > 1e-6


def test_the_loop_keeps_the_particles_dtype(g):
    """float32 particles stay float32 under float64 levels, and reach the same place to float32's precision."""
    x, sigmas = 5 * randn(g, 4, 2), geometric(5.0, 0.1, 8)
    states = list(trajectory(ring(), x.float(), sigmas))
    assert all(t.dtype == torch.float32 for state in states for t in state)
    torch.testing.assert_close(states[-1].x.double(), sample(ring(), x, sigmas), rtol=1e-4, atol=1e-4)


def test_answers_do_not_depend_on_the_default_dtype(under_both_dtypes):
    """Levels and runs are the same bits whatever torch's default dtype is."""
    x = torch.linspace(-3, 3, 8, dtype=DOUBLE).reshape(4, 2)

    def answers():
        runs = [sample(ring(), x, geometric(3.0, 0.1, 6), step) for step in (ddim, dpmpp_2m())]
        runs.append(sample(ring(), x, scaled_linear(6), ddpm, 1, 0.1, Noise(range(4)).randn_like))
        return *runs, karras(9.0, 0.1, 5), geometric(9.0, 0.1, 5), scaled_linear(7)

    for a, b in zip(*under_both_dtypes(answers), strict=True):
        assert a.dtype == DOUBLE
        assert torch.equal(a, b)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_particle_that_is_not_finite_stops_the_run(bad):
    """A start that is not finite raises at once instead of giving NaN."""
    x = torch.zeros(3, 2, dtype=DOUBLE)
    x[1, 0] = bad
    with pytest.raises(FloatingPointError, match="not finite after sigma = 2; lower the strength"):
        sample(ring(), x, geometric(2.0, 0.1, 4))


def test_a_start_of_zeros_is_no_trap():
    """All particles at the origin, where the ring's score is 0, come out finite and equal."""
    x = sample(ring(), torch.zeros(3, 2, dtype=DOUBLE), geometric(2.0, 0.1, 4))
    assert x.isfinite().all()
    assert (x == x[0]).all()


LEVELS = {"one": [1.0], "equal": [1.0, 1.0, 0.5], "rising": [1.0, 2.0], "negative": [1.0, -0.1], "table": [[2.0, 1.0]]}


@pytest.mark.parametrize("name", LEVELS)
def test_levels_must_fall_to_zero_at_most(name):
    """Levels that do not strictly decrease, are negative, too few or no list are refused."""
    with pytest.raises(ValueError, match="at least two levels, strictly decreasing and not negative"):
        sample(ring(), torch.zeros(2, 2, dtype=DOUBLE), torch.tensor(LEVELS[name]))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: geometric(1.0, 1.0, 5), "geometric: needs high > low > 0 and T >= 1, got high=1, low=1, T=5"),
        (lambda: geometric(1.0, 0.0, 5), "geometric: needs high > low > 0"),
        (lambda: geometric(1.0, 0.1, 0), "geometric: needs high > low > 0 and T >= 1, got high=1, low=0.1, T=0"),
        (lambda: karras(1.0, 2.0, 5), "karras: needs high > low > 0"),
        (lambda: karras(1.0, 0.0, 5), "karras: needs high > low > 0"),
        (lambda: scaled_linear(0), "scaled_linear: T must be between 1 and 999, got 0"),
        (lambda: scaled_linear(1000), "scaled_linear: T must be between 1 and 999, got 1000"),
    ],
)
def test_impossible_levels_end_in_a_sentence(call, sentence):
    """Levels that cannot be made are refused with what was got."""
    with pytest.raises(ValueError, match=sentence):
        call()


def test_one_level_is_enough(g):
    """T = 1 goes from high to 0 in one step, which lands on D(x)."""
    x = randn(g, 3, 2)
    assert geometric(2.0, 0.1, 1).tolist() == [2.0, 0.0]
    assert torch.equal(sample(ring(), x, geometric(2.0, 0.1, 1)), ring()(x, 2.0))
