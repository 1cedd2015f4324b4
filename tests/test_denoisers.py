"""Denoisers: exact scores, the best denoiser of a set of points, a preconditioned network, classifier-free guidance."""

import inspect
import math

import pytest
import torch
from torch import distributions, nn

from course_lib.denoisers import GaussianMixture, IdealDenoiser, MLPDenoiser, cfg, interval, ring, score
from course_lib.samplers import geometric, sample

DOUBLE = torch.float64


def randn(g, *shape):
    return torch.randn(*shape, generator=g, dtype=DOUBLE)


@pytest.fixture
def mixture(g):
    """Three components in three dimensions with different widths and weights."""
    return GaussianMixture(randn(g, 3, 3), torch.tensor([0.2, 0.5, 0.9], dtype=DOUBLE), torch.tensor([0.2, 0.5, 0.3]))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return MLPDenoiser(d=3, width=8, depth=2, labels=4, sigma_data=0.7).double()


@pytest.mark.parametrize("sigma", [0.05, 0.7, 3.0])
def test_score_is_the_gradient_of_the_log_density(mixture, g, sigma):
    """The score by Tweedie's formula is the gradient that autograd takes of log p_sigma."""
    x = (2 * randn(g, 6, 3)).requires_grad_()
    (gradient,) = torch.autograd.grad(mixture.log_prob(x, sigma).sum(), x)
    torch.testing.assert_close(score(mixture, x, sigma), gradient, rtol=1e-9, atol=1e-9)


def test_score_matches_finite_differences(mixture, g):
    """The score is what central differences of log p_sigma give along each axis."""
    x, sigma, step = randn(g, 5, 3), 0.6, 1e-5
    exact = score(mixture, x, sigma)
    for axis, shift in enumerate(step * torch.eye(3, dtype=DOUBLE)):
        slope = (mixture.log_prob(x + shift, sigma) - mixture.log_prob(x - shift, sigma)) / (2 * step)
        torch.testing.assert_close(exact[:, axis], slope, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("sigma", [0.0, 0.4])
def test_log_prob_is_that_of_torch_distributions(mixture, g, sigma):
    """log_prob is the log density of a torch mixture whose widths are sqrt(s**2 + sigma**2); sigma = 0 if not given."""
    width = (mixture.s**2 + sigma**2).sqrt()[:, None].expand(3, 3)
    parts = distributions.Independent(distributions.Normal(mixture.means, width), 1)
    oracle = distributions.MixtureSameFamily(distributions.Categorical(mixture.weights), parts)
    x = randn(g, 7, 3)
    torch.testing.assert_close(mixture.log_prob(x, sigma), oracle.log_prob(x), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(mixture.log_prob(x), mixture.log_prob(x, 0.0), rtol=0, atol=0)


def test_score_takes_one_level_per_particle(mixture, g):
    """With sigma of shape (N, 1) each particle gets the score at its own level."""
    x, sigma = randn(g, 4, 3), torch.tensor([[0.1], [0.5], [1.0], [4.0]], dtype=DOUBLE)
    one_by_one = torch.cat([score(mixture, x[i : i + 1], sigma[i, 0]) for i in range(4)])
    torch.testing.assert_close(score(mixture, x, sigma), one_by_one, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sigma", [0.0, -1.0, float("nan"), torch.tensor([[1.0], [0.0]])])
def test_score_needs_noise(sigma):
    """A level that is not positive is refused, also where only one particle has it."""
    with pytest.raises(ValueError, match="score: sigma must be"):
        score(ring(), torch.zeros(2, 2, dtype=DOUBLE), sigma)


def test_denoiser_leaves_a_point_without_noise_alone(mixture, g):
    """At sigma = 0 the denoiser is the identity wherever the mixture has a density."""
    x = randn(g, 5, 3)
    torch.testing.assert_close(mixture(x, 0.0), x, rtol=0, atol=1e-12)


def test_denoiser_of_one_gaussian_is_its_shrinkage(g):
    """For one Gaussian D = mu + s**2 / (s**2 + sigma**2) (x - mu), the textbook posterior mean."""
    mu, x = randn(g, 1, 4), randn(g, 6, 4)
    torch.testing.assert_close(GaussianMixture(mu, 0.5)(x, 2.0), mu + 0.25 / 4.25 * (x - mu), rtol=1e-12, atol=1e-12)


def test_mixture_stays_finite_far_away():
    """Far from every mode, where each density underflows, the denoiser still points at the nearest mode."""
    far = torch.tensor([[1000.0, 0.0]])
    torch.testing.assert_close(ring(4, s=0.0)(far, 0.1), torch.tensor([[1.0, 0.0]]), rtol=0, atol=1e-6)


def test_draws_have_the_mixture_s_moments(g):
    """Shares, means and widths of 60,000 draws are those of the components, within four standard errors."""
    means = torch.tensor([[-50.0, 0.0], [0.0, 80.0], [50.0, 0.0]], dtype=DOUBLE)
    s, share, n = torch.tensor([0.5, 1.0, 2.0], dtype=DOUBLE), torch.tensor([0.5, 0.3, 0.2], dtype=DOUBLE), 60_000
    x = GaussianMixture(means, s, 7 * share).sample(n, g)
    kind = torch.cdist(x, means).argmin(1)
    for m in range(3):
        own = x[kind == m]
        assert abs(len(own) / n - share[m]) < 4 * (share[m] * (1 - share[m]) / n) ** 0.5
        assert ((own.mean(0) - means[m]).abs() < 4 * s[m] / len(own) ** 0.5).all()
        assert ((own.std(0) - s[m]).abs() < 4 * s[m] / (2 * len(own)) ** 0.5).all()


def test_draws_belong_to_the_generator():
    """The same seed draws the same points whatever the global generator does, and no seed draws others."""
    draws = []
    for noise in (1, 2):
        torch.manual_seed(noise)
        draws.append((ring().sample(5, torch.Generator().manual_seed(3)), ring().sample(5)))
    assert torch.equal(draws[0][0], draws[1][0])
    assert not torch.equal(draws[0][1], draws[1][1])


def test_ring_is_a_circle_of_equally_spaced_modes():
    """Modes lie at `radius`, the first on the positive axis, each a turn of 2 pi / modes after the last."""
    mixture = ring(7, radius=3.0, s=0.1)
    z = torch.complex(*mixture.means.T)
    torch.testing.assert_close(z.abs(), torch.full((7,), 3.0, dtype=DOUBLE))
    torch.testing.assert_close((z[1:] / z[:-1]).angle(), torch.full((6,), 2 * math.pi / 7, dtype=DOUBLE))
    assert z[0] == 3
    assert torch.equal(mixture.s, torch.full((7,), 0.1, dtype=DOUBLE))
    assert torch.equal(mixture.weights, torch.full((7,), 1 / 7, dtype=DOUBLE))


def test_ring_is_the_field_s_circle_by_default():
    """Without arguments it is that of Particle Guidance: ten modes on the unit circle, s**2 = .005."""
    mixture, same = ring(), ring(10, 1.0, math.sqrt(0.005))
    assert torch.equal(mixture.means, same.means)
    assert torch.equal(mixture.s, same.s)
    assert mixture.s[0].item() ** 2 == pytest.approx(0.005, rel=1e-12)


def test_ring_takes_weights():
    """Weights are normalised and move the density to the heavier modes."""
    mixture = ring(2, weights=torch.tensor([3.0, 1.0]))
    torch.testing.assert_close(mixture.weights, torch.tensor([0.75, 0.25], dtype=DOUBLE), rtol=0, atol=0)
    heavy, light = mixture.log_prob(mixture.means)
    torch.testing.assert_close(heavy - light, torch.tensor(math.log(3), dtype=DOUBLE))


def test_ideal_denoiser_is_the_weighted_mean_of_its_points(g):
    """D(x) is sum_p p exp(-|x - p|**2 / (2 sigma**2)) over the sum of those weights, for points of any shape."""
    points, x, sigma = randn(g, 6, 1, 2, 3), randn(g, 4, 1, 2, 3), 1.3
    w = torch.stack([torch.stack([(-(a - p).square().sum() / (2 * sigma**2)).exp() for p in points]) for a in x])
    direct = torch.einsum("np,pabc->nabc", w, points) / w.sum(1)[:, None, None, None]
    torch.testing.assert_close(IdealDenoiser(points)(x, sigma), direct, rtol=1e-12, atol=1e-12)


def test_ideal_denoiser_can_only_repeat_its_points(g):
    """Sampling with it ends on one of the points it was made of."""
    points = 3 * randn(g, 5, 2)
    x = sample(IdealDenoiser(points), 10 * randn(g, 20, 2), geometric(10.0, 0.01, 40))
    assert torch.cdist(x, points).min(1).values.max() < 1e-6


def test_network_is_preconditioned(network, g):
    """D = c_skip x + c_out F(c_in x, log(sigma) / 4) with the coefficients of Karras et al. (2022), table 1."""
    seen = {}
    network.first.register_forward_hook(lambda module, inputs, out: seen.update(inside=inputs[0]))
    network.last.register_forward_hook(lambda module, inputs, out: seen.update(F=out))
    x, sigma, sd = randn(g, 5, 3), 1.9, 0.7
    total = sigma**2 + sd**2
    out = network(x, sigma)
    torch.testing.assert_close(seen["inside"][:, :3], x / math.sqrt(total))
    torch.testing.assert_close(seen["inside"][:, 3], torch.full((5,), math.log(sigma) / 4, dtype=DOUBLE))
    torch.testing.assert_close(out, sd**2 / total * x + sigma * sd / math.sqrt(total) * seen["F"])


def test_network_is_its_layers(network, g):
    """F is a first layer plus the label's embedding, `depth` - 1 hidden ones and a last, each after a SiLU."""
    silu = nn.functional.silu
    x, sd = randn(g, 5, 3), 0.7
    h = (
        network.first(torch.cat([x / math.sqrt(1 + sd**2), torch.zeros(5, 1, dtype=DOUBLE)], 1))
        + network.embedding.weight[2]
    )
    f = network.last(silu(network.hidden[0](silu(h))))
    torch.testing.assert_close(network.given(2)(x, 1.0), (sd**2 * x + sd * math.sqrt(1 + sd**2) * f) / (1 + sd**2))


def test_network_s_size_follows_its_arguments():
    """Weights count (d + 1) width + width, (depth - 1) width (width + 1), width d + d, and labels + 1 embeddings."""
    for d, width, depth, labels in ((2, 64, 3, 0), (5, 16, 1, 0), (3, 8, 4, 6)):
        count = sum(p.numel() for p in MLPDenoiser(d, width, depth, labels).parameters())
        hidden = (depth - 1) * width * (width + 1)
        assert count == (d + 2) * width + hidden + (width + 1) * d + (labels + 1) * width
    defaults = {name: p.default for name, p in inspect.signature(MLPDenoiser).parameters.items()}
    assert defaults == {"d": 2, "width": 64, "depth": 3, "labels": 0, "sigma_data": 0.5}


def test_network_without_label_uses_the_last_embedding(network, g):
    """The unconditional answer is that of the extra row, not of a label; labels differ from one another."""
    x = randn(g, 4, 3)
    extra = network(x, 1.0, torch.full((4,), 4))
    assert torch.equal(network(x, 1.0), extra)
    answers = [network.given(label)(x, 1.0) for label in range(4)] + [extra]
    assert all(not torch.allclose(a, b) for i, a in enumerate(answers) for b in answers[:i])
    each = torch.cat([network.given(i)(x[i : i + 1], 1.0) for i in range(4)])
    torch.testing.assert_close(network(x, 1.0, torch.arange(4)), each)


def test_network_treats_each_particle_alone(network, g):
    """A particle's answer depends on its own x and sigma, not on the batch it is in."""
    x, sigma = randn(g, 16, 3), torch.linspace(0.1, 5, 16, dtype=DOUBLE)[:, None]
    batch = network(x, sigma)
    for N in (1, 4):
        torch.testing.assert_close(network(x[:N], sigma[:N]), batch[:N], rtol=0, atol=1e-12)
    assert not torch.allclose(batch, network(x, 1.0))


def test_cfg_extrapolates_from_the_unconditional_answer(g):
    """cfg is D_u + w (D_c - D_u): w = 0 gives D_u, w = 1 gives D_c, and w = 3 lies twice as far beyond."""
    x, c, u = randn(g, 4, 2), randn(g, 4, 2), randn(g, 4, 2)
    for w, expected in ((0.0, u), (1.0, c), (3.0, c + 2 * (c - u)), (-1.0, 2 * u - c)):
        torch.testing.assert_close(cfg(lambda *_: c, lambda *_: u, w)(x, torch.tensor(1.0)), expected)


def test_cfg_of_weight_one_never_calls_the_unconditional(g):
    """At w = 1 the answer is the conditional's, bit for bit, at the cost of one call."""
    x, conditional = randn(g, 4, 2), ring(3)

    def unconditional(x, sigma):
        raise AssertionError("called")

    for w in (1, 1.0, lambda sigma: 1.0):
        assert torch.equal(cfg(conditional, unconditional, w)(x, torch.tensor(0.5)), conditional(x, 0.5))


def test_cfg_weight_may_follow_the_level(g):
    """A weight that is a function is asked at the level of the call."""
    x, c, u = randn(g, 4, 2), ring(3), ring(5)
    for sigma in (torch.tensor(0.5), torch.tensor(2.0)):
        torch.testing.assert_close(cfg(c, u, lambda s: 2 * s)(x, sigma), cfg(c, u, 2 * float(sigma))(x, sigma))


def test_interval_holds_its_upper_end_only():
    """The weight is w for low < sigma <= high and exactly 1 elsewhere."""
    w = interval(6.0, 0.5, 2.0)
    weights = [w(torch.tensor(s, dtype=DOUBLE)) for s in (0.2, 0.5, 0.5 + 1e-9, 1.0, 2.0, 2.0 + 1e-9, 9.0)]
    assert weights == [1.0, 1.0, 6.0, 6.0, 6.0, 1.0, 1.0]


def test_interval_without_ends_is_plain_guidance(g):
    """interval(w, 0, inf) samples what cfg with the number w samples, bit for bit."""
    c, u, x, sigmas = ring(3), ring(8), 5 * randn(g, 6, 2), geometric(5.0, 0.05, 12)
    assert torch.equal(sample(cfg(c, u, interval(3.0, 0.0, math.inf)), x, sigmas), sample(cfg(c, u, 3.0), x, sigmas))


def test_answers_do_not_depend_on_the_default_dtype(under_both_dtypes):
    """With points, levels and weights given, float32 or float64 as torch's default changes no bit."""
    x = torch.linspace(-2, 2, 8, dtype=DOUBLE).reshape(4, 2)
    weights = [0.1, 0.2, 0.7]

    def answers():
        mixture = ring(3, weights=weights)
        drawn = mixture.sample(3, torch.Generator().manual_seed(1))
        points = GaussianMixture([[0, 1], [2, 3]], 0.3)
        return mixture(x, 0.3), mixture.log_prob(x, 0.3), score(mixture, x, 0.3), drawn, points(x, 0.7)

    for a, b in zip(*under_both_dtypes(answers), strict=True):
        assert a.dtype == DOUBLE
        assert torch.equal(a, b)


def test_a_particle_keeps_its_dtype():
    """float32 in gives float32 out of float64 mixtures, with the same numbers to float32's precision."""
    x, mixture = torch.tensor([[0.3, -0.8]]), ring(5)
    points = IdealDenoiser(mixture.means)
    for fn in (mixture, points, lambda x, s: score(mixture, x, s), mixture.log_prob):
        assert fn(x, 0.4).dtype == torch.float32
        torch.testing.assert_close(fn(x, 0.4).double(), fn(x.double(), 0.4), rtol=1e-5, atol=1e-5)


def test_whole_numbers_as_means_are_no_trap(g):
    """Means of integers make the same mixture as their floats, instead of rounding s to 0."""
    x = randn(g, 3, 2)
    assert torch.equal(
        GaussianMixture(torch.tensor([[-1, 0], [1, 0]]), 0.5)(x, 1.0),
        GaussianMixture(torch.tensor([[-1.0, 0.0], [1.0, 0.0]], dtype=DOUBLE), 0.5)(x, 1.0),
    )


TWO = torch.tensor([[-1.0, 0.0], [1.0, 0.0]])


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: GaussianMixture(torch.zeros(3), 1.0), r"means must have shape \(M, d\), got \(3,\)"),
        (lambda: GaussianMixture(torch.zeros(3, 2, 1), 1.0), r"means must have shape \(M, d\), got \(3, 2, 1\)"),
        (lambda: GaussianMixture(TWO, 1.0, torch.ones(3)), r"weights must have shape \(2,\), got \(3,\)"),
        (lambda: GaussianMixture(TWO, -0.1), "s and weights must not be negative"),
        (lambda: GaussianMixture(TWO, torch.tensor([1.0, -0.1])), "s and weights must not be negative"),
        (lambda: GaussianMixture(TWO, 1.0, torch.tensor([2.0, -1.0])), "s and weights must not be negative"),
        (lambda: GaussianMixture(TWO, 1.0, torch.zeros(2)), "some weight must be positive"),
        (lambda: ring()(torch.zeros(2, 3), 1.0), r"x must have shape \(N, 2\), got \(2, 3\)"),
        (lambda: ring().log_prob(torch.zeros(2)), r"x must have shape \(N, 2\), got \(2,\)"),
        (lambda: GaussianMixture(TWO, 0.0)(TWO, 0.0), "pass sigma > 0"),
        (lambda: GaussianMixture(TWO, torch.tensor([0.0, 1.0])).log_prob(TWO), "pass sigma > 0"),
        (lambda: IdealDenoiser(TWO)(TWO, 0.0), "pass sigma > 0"),
        (lambda: MLPDenoiser()(TWO, 0.0), "MLPDenoiser: sigma must be positive"),
        (lambda: MLPDenoiser()(TWO, torch.tensor([[1.0], [0.0]])), "MLPDenoiser: sigma must be positive"),
        (lambda: MLPDenoiser(labels=3).given(3), r"label must be in 0..2, got 3"),
        (lambda: MLPDenoiser(labels=3).given(-1), r"label must be in 0..2, got -1"),
        (lambda: MLPDenoiser().given(0), "label must be in"),
        (lambda: interval(2.0, 1.0, 1.0), r"interval: low must be below high, got \(1, 1\]"),
        (lambda: interval(2.0, 2.0, 1.0), "interval: low must be below high"),
    ],
)
def test_misuse_ends_in_a_sentence(call, sentence):
    """What cannot be computed is refused with a sentence that says what was got."""
    with pytest.raises(ValueError, match=sentence):
        call()


def test_zero_weights_and_widths_are_allowed(g):
    """s = 0 makes points and a weight of 0 removes a mode: neither is an error, and the answer ignores the mode."""
    x = randn(g, 4, 2)
    points = GaussianMixture(TWO.double(), 0.0, torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(points(x, 1.0), TWO[:1].double().expand(4, 2))
    assert MLPDenoiser(labels=1).given(0)(TWO, 1.0).isfinite().all()
