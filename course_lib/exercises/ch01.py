"""Reference answers, inputs and anticipated wrong answers of chapter 1's exercises."""

import torch

from course_lib.denoisers import GaussianMixture, score
from course_lib.exercises.declare import Exercise, Question, Wrong, any_order
from course_lib.samplers import ddim, langevin


def between(g, low, high):
    """A number drawn evenly between low and high."""
    return low + (high - low) * torch.rand((), generator=g).item()


# 1.1 add noise
def add_noise(x0, sigma, eps):
    """Equation (1.1)."""
    return x0 + sigma * eps


ADD_NOISE = Exercise(
    "1.1",
    "Add noise",
    points=1,
    difficulty=1,
    importance=5,
    minutes=3,
    equation="(1.1)",
    name="add_noise",
    reference=add_noise,
    inputs=lambda g: (torch.randn(6, 2, generator=g), between(g, 0.2, 0.8), torch.randn(6, 2, generator=g)),
    right=[
        lambda x0, sigma, eps: torch.lerp(x0, x0 + eps, sigma),
        lambda x0, sigma, eps: torch.stack([a + sigma * b for a, b in zip(x0, eps)]),
    ],
    wrong=[
        Wrong(
            lambda x0, sigma, eps: x0 + sigma**2 * eps,
            "Your noise has standard deviation sigma squared: sigma is the standard deviation, so it is not squared.",
        ),
        Wrong(
            lambda x0, sigma, eps: x0 + sigma**0.5 * eps,
            "You took the root of sigma: sigma is a standard deviation already, not a variance.",
        ),
        Wrong(
            lambda x0, sigma, eps: (1 - sigma**2) ** 0.5 * x0 + sigma * eps,
            "You shrink the clean point as well: in these coordinates x0 keeps its size.",
        ),
        Wrong(lambda x0, sigma, eps: x0 + eps, "The level sigma is missing: yours is of size 1 at every level."),
        Wrong(
            lambda x0, sigma, eps: x0 + sigma * torch.randn_like(x0),
            "You drew noise of your own: use the eps that the function is given.",
        ),
    ],
)


# 1.2 the exact score of a mixture
def mixture_score(x, sigma, means, s, weights):
    """The library's exact score through the exercise's signature."""
    return score(GaussianMixture(means, s, weights), x, sigma)


def score_with(x, sigma, means, s, weights, variance=None, logits=None):
    """Equation (1.3) with a part replaced: `variance` (M,), `logits` (N, M) -> responsibilities."""
    v = s**2 + sigma**2 if variance is None else variance
    difference = means - x[:, None]
    if logits is None:
        d = x.shape[1]
        logits = weights.log() - difference.square().sum(-1) / (2 * v) - d / 2 * v.log()
    return (logits.softmax(-1)[..., None] * difference / v[:, None]).sum(1)


def score_from(logits, axis=-1, over=lambda v: v[:, None]):
    """Equation (1.3) from logits(squared distances (N, M), v, weights, d), softmax over `axis`, pull divided by v."""

    def answer(x, sigma, means, s, weights):
        v = s**2 + sigma**2
        difference = means - x[:, None]
        r = logits(difference.square().sum(-1), v, weights, x.shape[1]).softmax(axis)
        return (r[..., None] * difference / over(v)).sum(1)

    return answer


def right_logits(d2, v, weights, d):
    """The logarithms under the softmax."""
    return weights.log() - d2 / (2 * v) - d / 2 * v.log()


def score_by_autograd(x, sigma, means, s, weights):
    """The gradient of the log of (1.2)."""
    x = x.clone().requires_grad_()
    log_p = GaussianMixture(means, s, weights).log_prob(x, sigma)
    return torch.autograd.grad(log_p.sum(), x)[0]


def score_by_loop(x, sigma, means, s, weights):
    """One particle at a time, with log-sum-exp in place of softmax."""
    rows = []
    for point in x:
        v = s**2 + sigma**2
        logs = weights.log() - (means - point).square().sum(-1) / (2 * v) - len(point) / 2 * v.log()
        r = (logs - logs.logsumexp(0)).exp()
        rows.append(sum(r[m] * (means[m] - point) / v[m] for m in range(len(means))))
    return torch.stack(rows)


def score_underflows(x, sigma, means, s, weights):
    """Densities are exponentiated before they are normalised."""
    v = s**2 + sigma**2
    difference = means - x[:, None]
    p = weights * (-difference.square().sum(-1) / (2 * v)).exp() / v ** (x.shape[1] / 2)
    r = p / p.sum(1, keepdim=True)
    return (r[..., None] * difference / v[:, None]).sum(1)


def score_underflows_without_width(x, sigma, means, s, weights):
    """The same without the normalisation of each Gaussian."""
    v = s**2 + sigma**2
    difference = means - x[:, None]
    p = weights * (-difference.square().sum(-1) / (2 * v)).exp()
    return (p[..., None] * difference / v[:, None]).sum(1) / p.sum(1, keepdim=True)


def score_without_weights(x, sigma, means, s, weights):
    """Every mode counts the same."""
    return score_with(x, sigma, means, s, torch.ones_like(weights))


def score_without_width(x, sigma, means, s, weights):
    """The normalisation of each Gaussian is left out of the responsibilities."""
    v = s**2 + sigma**2
    return score_with(
        x, sigma, means, s, weights, logits=weights.log() - (means - x[:, None]).square().sum(-1) / (2 * v)
    )


def score_with_prior_only(x, sigma, means, s, weights):
    """The weights of the modes stand where the responsibilities are due."""
    return score_with(x, sigma, means, s, weights, logits=weights.log().expand(len(x), -1))


def mixture_inputs(g):
    """Seven points among four or six modes of different widths and weights in 3 or 5 dimensions, one far away.

    No two of N, M and d are equal, so that no wrong axis fits by accident, and d / 2 is neither 1 nor 1 / 2.
    """
    M, d = (int(torch.randint(2, (), generator=g)) * 2 + least for least in (4, 3))
    means = 2 * torch.randn(M, d, generator=g)
    x = means[torch.randint(M, (7,), generator=g)] + 0.8 * torch.randn(7, d, generator=g)
    x[0] += 60.0
    weights = 0.2 + torch.rand(M, generator=g)
    s = 0.3 + 0.6 * torch.rand(M, generator=g)
    return x, between(g, 0.3, 0.6), means, s, weights / weights.sum()


SCORE = Exercise(
    "1.2",
    "The score of a mixture",
    points=3,
    difficulty=3,
    importance=5,
    minutes=15,
    equation="(1.3)",
    name="mixture_score",
    reference=mixture_score,
    inputs=mixture_inputs,
    right=[score_by_autograd, score_by_loop, score_with],
    wrong=[
        Wrong(
            lambda *inputs: -score_with(*inputs),
            "Your arrows point away from the modes: the difference is mu_m - x, not x - mu_m.",
        ),
        Wrong(
            lambda x, sigma, means, s, weights: score_with(x, sigma, means, s, weights, variance=s**2),
            "The noise is missing from the variance: v_m is s_m squared plus sigma squared.",
        ),
        Wrong(
            lambda x, sigma, means, s, weights: score_with(x, sigma, means, s, weights, sigma**2 + 0 * s),
            "The width of the modes is missing from the variance: v_m is s_m squared plus sigma squared.",
        ),
        Wrong(
            lambda x, sigma, means, s, weights: score_with(x, sigma, means, s, weights, (s**2 + sigma**2).sqrt()),
            "You have the standard deviation where v_m, the variance, is due.",
        ),
        Wrong(
            lambda x, sigma, means, s, weights: score_with(x, sigma, means, s, weights, (s + sigma) ** 2),
            "You added standard deviations: independent noises add their variances.",
        ),
        Wrong(score_without_weights, "The weights of the modes are missing from the responsibilities: add log pi_m."),
        Wrong(
            score_from(lambda d2, v, weights, d: weights - d2 / (2 * v) - d / 2 * v.log()),
            "You added the weights themselves: softmax exponentiates, so what it gets is log pi_m.",
        ),
        Wrong(
            score_without_width,
            "A narrow mode is a higher one: keep the term -(d/2) log v_m in the responsibilities.",
        ),
        Wrong(
            score_from(lambda d2, v, weights, d: weights.log() - d2 / (2 * v) - v.log()),
            "Your last term is -log v_m, which is right in the plane only: in d dimensions it is -(d/2) log v_m.",
        ),
        Wrong(
            score_from(lambda d2, v, weights, d: weights.log() - d2 / (2 * v) - v.log() / 2),
            "Your last term is -(1/2) log v_m, which is right on a line only: in d dimensions it is -(d/2) log v_m.",
        ),
        Wrong(
            score_from(lambda d2, v, weights, d: weights.log() - d2 / (2 * v) + d / 2 * v.log()),
            "The sign of (d/2) log v_m is flipped: a wide mode is a lower one.",
        ),
        Wrong(
            score_from(lambda d2, v, weights, d: weights.log() + d2 / (2 * v) - d / 2 * v.log()),
            "Your responsibilities grow with the distance: the squared distance over 2 v_m is subtracted.",
        ),
        Wrong(
            score_from(lambda d2, v, weights, d: weights.log() - d2 / v - d / 2 * v.log()),
            "A factor 2 is missing in the responsibilities: the squared distance is divided by 2 v_m.",
        ),
        Wrong(
            score_from(lambda d2, v, weights, d: weights.log() - d2.sqrt() / (2 * v) - d / 2 * v.log()),
            "You have the distance in the responsibilities, and its square is due: leave the root out.",
        ),
        Wrong(
            score_from(right_logits, over=lambda v: 1),
            "Your pull is not divided by v_m: (1.3) has (mu_m - x) / v_m.",
        ),
        Wrong(
            score_from(right_logits, axis=0),
            "Your softmax runs over the particles: for each particle the responsibilities of the modes sum to one.",
        ),
        Wrong(
            score_with_prior_only,
            "You average with the weights of the modes: the responsibilities depend on x as well.",
        ),
        Wrong(
            score_underflows,
            "nan: a particle is so far from all modes that each density is 0; use softmax of the logarithms.",
        ),
        Wrong(
            score_underflows_without_width,
            "nan: far from all modes each exponential is 0; use softmax of the logarithms, with the term of the width.",
        ),
    ],
    home="course_lib.denoisers:GaussianMixture",
)


# 1.3 a denoiser from any density: takes and returns functions
def denoiser_from(log_prob):
    """Tweedie's formula with the gradient taken by autograd."""

    def D(x, sigma):
        x = x.detach().clone().requires_grad_()
        return (x + sigma**2 * torch.autograd.grad(log_prob(x, sigma).sum(), x)[0]).detach()

    return D


def denoiser_with(change):
    """A denoiser that combines x, sigma and the score in another way."""

    def make(log_prob):
        def D(x, sigma):
            x = x.detach().clone().requires_grad_()
            return change(x.detach(), sigma, torch.autograd.grad(log_prob(x, sigma).sum(), x)[0])

        return D

    return make


def denoiser_by_point(log_prob):
    """One gradient for each point."""

    def D(x, sigma):
        rows = []
        for point in x:
            point = point[None].clone().requires_grad_()
            rows.append(point + sigma**2 * torch.autograd.grad(log_prob(point, sigma)[0], point)[0])
        return torch.cat(rows).detach()

    return D


def denoiser_by_backward(log_prob):
    """The gradient by backward()."""

    def D(x, sigma):
        y = x.clone().requires_grad_()
        log_prob(y, sigma).sum().backward()
        return x + sigma**2 * y.grad

    return D


def call_denoiser(fn, x, sigma, means, s):
    """Make the denoiser of a mixture from its log density, and call it."""
    return fn(GaussianMixture(means, s).log_prob)(x, sigma)


def denoiser_inputs(g):
    """Points around three modes and a level that is not 1."""
    means = 2 * torch.randn(3, 2, generator=g)
    sigma = between(g, 0.3, 0.8) if torch.rand((), generator=g) < 0.5 else between(g, 1.3, 2.0)
    return torch.randn(6, 2, generator=g), sigma, means, 0.3


def leaves_x_alone(fn, inputs):
    """The caller's tensor must not begin to require a gradient."""
    x, sigma, means, s = inputs
    fn(GaussianMixture(means, s).log_prob)(x, sigma)
    if x.requires_grad:
        return "You called requires_grad_() on the tensor you were given: work on a copy, x.detach().clone()."
    return None


DENOISER = Exercise(
    "1.3",
    "A denoiser from any density",
    points=2,
    difficulty=3,
    importance=5,
    minutes=12,
    equation="(1.4)",
    name="denoiser_from",
    reference=denoiser_from,
    inputs=denoiser_inputs,
    call=call_denoiser,
    right=[denoiser_by_backward, denoiser_by_point],
    wrong=[
        Wrong(
            denoiser_with(lambda x, sigma, score: x - sigma**2 * score),
            "Your denoiser goes downhill: the score points to where data are likelier, so add it.",
        ),
        Wrong(
            denoiser_with(lambda x, sigma, score: x + sigma * score),
            "The score is multiplied by the variance of the noise, sigma squared, not by sigma.",
        ),
        Wrong(
            denoiser_with(lambda x, sigma, score: sigma**2 * score),
            "You returned how far to go, D - x: add x to have where to arrive.",
        ),
        Wrong(
            denoiser_with(lambda x, sigma, score: score),
            "You returned the score: D = x + sigma squared times it.",
        ),
        Wrong(
            denoiser_with(lambda x, sigma, score: x + sigma**2 * score / len(x)),
            "Your score is too small by the number of points: differentiate the sum of log_prob, not its mean.",
        ),
    ],
    properties=[leaves_x_alone],
    may_pass={"log_prob reordered": "It is summed over the particles before it is differentiated."},
)


# 1.4 the prediction step
def predict(x, x0, sigma, sigma_next):
    """The library's step through the exercise's signature."""
    return ddim(x, x0, sigma, sigma_next)


def step_inputs(g):
    """Particles, an estimate for each and two levels; the last level is 0 in one draw of ten."""
    sigma = between(g, 0.4, 3.0)
    last = torch.rand((), generator=g) < 0.1
    sigma_next = 0.0 if last else sigma * between(g, 0.3, 0.8)
    return torch.randn(5, 2, generator=g), 0.5 * torch.randn(5, 2, generator=g), sigma, sigma_next


PREDICT = Exercise(
    "1.4",
    "The prediction step",
    points=2,
    difficulty=2,
    importance=5,
    minutes=8,
    equation="(1.6)",
    name="predict",
    reference=predict,
    inputs=step_inputs,
    right=[
        lambda x, x0, sigma, sigma_next: x + (sigma_next - sigma) * (x - x0) / sigma,
        lambda x, x0, sigma, sigma_next: (1 - sigma_next / sigma) * x0 + sigma_next / sigma * x,
    ],
    wrong=[
        Wrong(
            lambda x, x0, sigma, sigma_next: x + (sigma - sigma_next) * (x - x0) / sigma,
            "Your particles move away from x0: sigma_next - sigma is negative, and that sign is needed.",
        ),
        Wrong(
            lambda x, x0, sigma, sigma_next: x0 + sigma / sigma_next * (x - x0),
            "You swapped the levels: the distance to x0 shrinks by sigma_next / sigma.",
        ),
        Wrong(
            lambda x, x0, sigma, sigma_next: x + (sigma_next - sigma) * (x - x0) / sigma_next,
            "You divided by sigma_next: x lies at level sigma, so the noise in it is (x - x0) / sigma.",
        ),
        Wrong(
            lambda x, x0, sigma, sigma_next: x0,
            "You jumped to x0: only the last step, to level 0, ends there.",
        ),
        Wrong(
            lambda x, x0, sigma, sigma_next: x + (sigma_next - sigma) * (x - x0) / sigma**2,
            "One sigma too many: the direction is (x - x0) / sigma, the noise that is left.",
        ),
        Wrong(
            lambda x, x0, sigma, sigma_next: x + (sigma_next - sigma) * (x - x0),
            "One sigma is missing: the direction is (x - x0) / sigma, the noise that is left.",
        ),
        Wrong(
            lambda x, x0, sigma, sigma_next: x + sigma_next / sigma * (x - x0),
            "You start from x: start from x0 and put back a share of x - x0, or from x and take some away.",
        ),
        Wrong(
            lambda x, x0, sigma, sigma_next: x0 + (sigma_next / sigma) ** 2 * (x - x0),
            "The ratio of the levels is squared: that is the mean of the step with noise, not this one.",
        ),
    ],
    home="course_lib.samplers:ddim",
)


# 1.5 the Langevin correction
def correct(x, x0, sigma, tau, xi):
    """The library's step with its noise given."""
    return langevin(x, x0, sigma, tau, lambda _: xi)


def correction_inputs(g):
    """Particles, an estimate for each, a level, a step size and noise."""
    x, x0, xi = (torch.randn(5, 2, generator=g) for _ in range(3))
    return x, x0, between(g, 0.3, 0.8), between(g, 0.05, 0.4), xi


CORRECT = Exercise(
    "1.5",
    "The Langevin correction",
    points=2,
    difficulty=2,
    importance=5,
    minutes=8,
    equation="(1.7)",
    name="correct",
    reference=correct,
    inputs=correction_inputs,
    right=[
        lambda x, x0, sigma, tau, xi: (1 - tau) * x + tau * x0 + sigma * (2 * tau) ** 0.5 * xi,
        lambda x, x0, sigma, tau, xi: (
            x + tau * sigma**2 * ((x0 - x) / sigma**2) + torch.as_tensor(2 * tau * sigma**2).sqrt() * xi
        ),
    ],
    wrong=[
        Wrong(
            lambda x, x0, sigma, tau, xi: x + tau * (x0 - x) + tau**0.5 * sigma * xi,
            "A factor 2 is missing under the root: this noise keeps half the variance.",
        ),
        Wrong(
            lambda x, x0, sigma, tau, xi: x - tau * (x0 - x) + (2 * tau) ** 0.5 * sigma * xi,
            "Your particles drift away from x0: the drift is tau (x0 - x), with a plus.",
        ),
        Wrong(
            lambda x, x0, sigma, tau, xi: x + tau * (x0 - x) + (2 * tau) ** 0.5 * xi,
            "The level is missing from the noise: xi is multiplied by sqrt(2 tau) sigma.",
        ),
        Wrong(
            lambda x, x0, sigma, tau, xi: x + tau * (x0 - x) + 2 * tau * sigma * xi,
            "The root is missing: noise adds by its variance, so its size is sqrt(2 tau) sigma.",
        ),
        Wrong(
            lambda x, x0, sigma, tau, xi: x + tau * (x0 - x) / sigma**2 + (2 * tau) ** 0.5 * sigma * xi,
            "You divided the drift by sigma squared: with tau measured in units of sigma squared that factor cancels.",
        ),
        Wrong(
            lambda x, x0, sigma, tau, xi: x + tau * sigma**2 * (x0 - x) + (2 * tau) ** 0.5 * sigma * xi,
            "You multiplied the drift by sigma squared: it cancels against the sigma squared below the score.",
        ),
        Wrong(
            lambda x, x0, sigma, tau, xi: x + tau * (x0 - x) + 2 * tau**0.5 * sigma * xi,
            "The 2 stands outside the root: the noise is sqrt(2 tau) sigma xi.",
        ),
        Wrong(
            lambda x, x0, sigma, tau, xi: x + tau * (x0 - x) + (2 * tau * sigma) ** 0.5 * xi,
            "You put sigma under the root: what stands there is 2 tau sigma squared, so sigma comes out whole.",
        ),
        Wrong(
            lambda x, x0, sigma, tau, xi: x0 + tau * (x0 - x) + (2 * tau) ** 0.5 * sigma * xi,
            "You start from x0: a correction starts from x and goes the share tau of the way to x0.",
        ),
        Wrong(
            lambda x, x0, sigma, tau, xi: x + tau * (x0 - x),
            "There is no noise in your step: add sqrt(2 tau) sigma xi, or every particle ends on a top of the density.",
        ),
    ],
    home="course_lib.samplers:langevin",
)


# 1.6 an experiment: a few calls to repair a wrong spread
def settle(denoiser, x, sigma, calls, randn_like=torch.randn_like):
    """Steps of a size at which what is left of the start and the bias nearly cancel."""
    for _ in range(calls):
        x = langevin(x, denoiser(x, sigma), sigma, 0.085, randn_like)
    return x


def settle_shrinking(denoiser, x, sigma, calls, randn_like=torch.randn_like):
    """Large steps first, to forget the start, then small ones, to lose the bias."""
    for i in range(calls):
        x = langevin(x, denoiser(x, sigma), sigma, 0.3 * 0.1 ** (i / calls), randn_like)
    return x


def settle_fewer(denoiser, x, sigma, calls, randn_like=torch.randn_like):
    """Calls left over, as a tau of .1 does not need them."""
    for _ in range(calls - 2):
        x = langevin(x, denoiser(x, sigma), sigma, 0.1, randn_like)
    return x


def settle_with(tau, more=1, noise=1.0, count=None):
    """Every step of size tau (or tau(sigma)), with `more` times the calls or `count` of them, and the noise scaled."""

    def settle(denoiser, x, sigma, calls, randn_like=torch.randn_like):
        size = tau(sigma) if callable(tau) else tau
        for _ in range(count or calls * more):
            x = langevin(x, denoiser(x, sigma), sigma, size, lambda y: noise * randn_like(y))
        return x

    return settle


def settle_with_one_call(denoiser, x, sigma, calls, randn_like=torch.randn_like):
    """The estimate of the start serves all corrections."""
    x0 = denoiser(x, sigma)
    for _ in range(calls):
        x = langevin(x, x0, sigma, 0.085, randn_like)
    return x


def settle_with_noise_of_its_own(denoiser, x, sigma, calls, randn_like=torch.randn_like):
    """randn_like is not handed on."""
    return settle(denoiser, x, sigma, calls)


def settle_by_noise_alone(denoiser, x, sigma, calls, randn_like=torch.randn_like):
    """Fills in what somebody forgot, without a correction."""
    return x + sigma * randn_like(x)


def call_settle(fn, x, s, runs):
    """How far from their modes particles end up, in several runs (sigma, calls); counts what the denoiser is asked.

    The modes have width s * sigma and lie 20 sigma apart, so that without the denoiser nobody knows where they are.
    """
    answer = {}
    for i, (sigma, calls) in enumerate(runs):
        asked, drawn, slope, far = [], [], s**2 / (s**2 + 1), 10 * sigma

        def denoiser(x, sigma, asked=asked, slope=slope, far=far):
            asked.append(1)
            return slope * x + (1 - slope) * far * x.sign()

        def randn_like(x, drawn=drawn):
            drawn.append(1)
            return torch.randn_like(x)

        start = far * (2.0 * (torch.rand_like(x) < 0.5) - 1) + s * sigma * x
        end = torch.as_tensor(fn(denoiser, start, sigma, calls, randn_like))
        answer |= {f"run {i}": end - far * end.sign(), f"calls {i}": len(asked), f"noises {i}": len(drawn)}
    return answer


NOISE_ONLY = (
    "You never asked the denoiser: adding noise would do here, where you know what is missing; use corrections, which "
    "mend a spread without knowing what is wrong with it."
)
TOO_MANY = "You called the denoiser more often than `calls` allows: loop over range(calls), and choose tau for that."
NO_NOISE = "Your particles have contracted to the top of the mode: the noise of the correction is missing."
HALF_NOISE = "Your particles have about half the variance that is due: the noise has sqrt(2 tau), not sqrt(tau)."
OWN_NOISE = "You drew noise of your own: take all of it from the randn_like that settle gets, and hand it to langevin."
STALE = (
    "You kept an old estimate: x0 belongs to the particles as they are now, so call the denoiser in every correction."
)
ONE_LEVEL = "Your tau fits one level only: it is measured in units of sigma squared already, so leave sigma out of it."
TOO_SHORT = "Your particles still remember their narrow start: with so few calls tau must be larger."
TOO_LONG = "Your particles are too wide: that is the bias of tau / 2, so tau must be smaller."


def accept_settle(answer, inputs):
    """The variance must be within 10 % of s**2 + sigma**2 in every run, by corrections, at no more than its calls."""
    _, s, runs = inputs
    asked, drawn = ([answer[f"{name} {i}"] for i in range(len(runs))] for name in ("calls", "noises"))
    due = [(s**2 + 1) * sigma**2 for sigma, _ in runs]
    ratios = [float(answer[f"run {i}"].square().mean()) / due[i] for i in range(len(runs))]
    found = {
        NOISE_ONLY: not any(asked),
        TOO_MANY: any(n > calls for n, (_, calls) in zip(asked, runs)),
        NO_NOISE: max(ratios) < s**2 / (s**2 + 1),
        HALF_NOISE: all(0.4 < ratio < 0.6 for ratio in ratios),
        OWN_NOISE: not any(drawn),
        STALE: any(2 * a <= n for a, n in zip(asked, drawn)),
        ONE_LEVEL: min(ratios) < 0.9 and max(ratios) > 1.1,
        TOO_SHORT: min(ratios) < 0.9,
        TOO_LONG: max(ratios) > 1.1,
    }
    return next((sentence for sentence, true in found.items() if true), None)


def settle_inputs(g):
    """Noise for the start, its width as a share of sigma, and (sigma, calls) at a low level and at a high one."""
    runs = [(between(g, 0.2, 0.35), 20), (between(g, 2.8, 3.2), 15)]
    return torch.randn(5000, 2, generator=g), between(g, 0.05, 0.25), runs


SETTLE = Exercise(
    "1.6",
    "Twenty calls to mend a spread",
    points=3,
    difficulty=3,
    importance=4,
    minutes=15,
    equation="(1.7)",
    name="settle",
    reference=settle,
    inputs=settle_inputs,
    call=call_settle,
    accept=accept_settle,
    right=[settle_shrinking, settle_fewer, settle_with(0.09)],
    wrong=[
        Wrong(settle_with(0.01), TOO_SHORT),
        Wrong(settle_with(0.5), TOO_LONG),
        Wrong(settle_with(lambda sigma: 0.08 * sigma**2), ONE_LEVEL),
        Wrong(settle_with(0.085, noise=0.5**0.5), HALF_NOISE),
        Wrong(settle_with(0.3, noise=0.0), NO_NOISE),
        Wrong(settle_with(0.085, count=20), TOO_MANY),
        Wrong(settle_with_one_call, STALE),
        Wrong(settle_with_noise_of_its_own, OWN_NOISE),
        Wrong(settle_by_noise_alone, NOISE_ONLY),
    ],
    needs=["langevin"],
    home="course_lib.samplers:langevin",
    may_pass=any_order("answer", "x")
    | {
        "randn_like reordered": "Noise in another order is noise.",
        "luck kept": "The same noise in each run is still noise.",
        "randn_like kept for a draw": "Both runs draw from one source; only who counts differs.",
    },
)


# 1.7 v to x0
def x0_from_v(x, v, sigma):
    """Equation (1.9) solved for x0."""
    return x / (1 + sigma**2) - sigma * v / (1 + sigma**2) ** 0.5


def x0_by_angle(x, v, sigma):
    """The same as a rotation: cos and sin of the angle whose tangent is sigma."""
    angle = torch.atan(torch.as_tensor(sigma))
    return angle.cos() ** 2 * x - angle.sin() * v


def x0_through_eps(x, v, sigma):
    """First eps = (v + sigma x / c) / c with c the root of 1 + sigma**2, then x0."""
    c = (1 + sigma**2) ** 0.5
    return x - sigma * (v / c + sigma * x / c**2)


X0_FROM_V = Exercise(
    "1.7",
    "From v to x0",
    points=2,
    difficulty=2,
    importance=4,
    minutes=10,
    equation="(1.9)",
    name="x0_from_v",
    reference=x0_from_v,
    inputs=lambda g: (torch.randn(5, 2, generator=g), torch.randn(5, 2, generator=g), between(g, 1.3, 4.0)),
    right=[x0_by_angle, x0_through_eps],
    wrong=[
        Wrong(
            lambda x, v, sigma: x / (1 + sigma**2) ** 0.5 - sigma * v / (1 + sigma**2) ** 0.5,
            "That is for scaled particles: ours are larger by sqrt(1 + sigma**2), so divide x by it once more.",
        ),
        Wrong(
            lambda x, v, sigma: x / (1 + sigma**2) + sigma * v / (1 + sigma**2) ** 0.5,
            "The sign of v is flipped: v contains minus x0, so it is subtracted.",
        ),
        Wrong(
            lambda x, v, sigma: x - sigma * v,
            "You treated v as eps: x - sigma eps is x0, but v is a mixture of eps and x0.",
        ),
        Wrong(
            lambda x, v, sigma: sigma * x / (1 + sigma**2) + v / (1 + sigma**2) ** 0.5,
            "This is eps: solve the pair of equations for x0.",
        ),
        Wrong(
            lambda x, v, sigma: x / (1 + sigma**2) - sigma**2 * v / (1 + sigma**2),
            "The factors of v are squared: it is multiplied by sigma / sqrt(1 + sigma**2).",
        ),
        Wrong(
            lambda x, v, sigma: (x - sigma * v) / (1 + sigma**2),
            "You divided v by 1 + sigma**2: eps holds sqrt(1 + sigma**2) v, so one root of it cancels.",
        ),
        Wrong(
            lambda x, v, sigma: x - sigma * (1 + sigma**2) ** 0.5 * v,
            "That is (1 + sigma**2) x0: the last step, the division, is missing.",
        ),
    ],
)


# 1.8 words
JUDGED = Exercise(
    "1.8",
    "A gift or an error",
    points=3,
    difficulty=4,
    importance=4,
    minutes=15,
    rubric="1 point: says that a share above the data's is an error like one below it, whose sign depends on the data. "
    "1 point: names the step and the start as separate causes, and an experiment that separates them. "
    "1 point: a remedy at twenty calls, and a measurement with its standard error that would show whether it worked.",
)

EXERCISES = [ADD_NOISE, SCORE, DENOISER, PREDICT, CORRECT, SETTLE, X0_FROM_V, JUDGED]

QUIZ = [
    Question(
        "A mode of width s = .3 is noised at level sigma = .4. What is the standard deviation along one axis?",
        [
            ((0.499, 0.501), True, "Variances add: .09 + .16 = .25, and its root is .5."),
            ((0.699, 0.701), False, "You added standard deviations: independent noises add their variances."),
            ((0.249, 0.251), False, "That is the variance: take its root."),
        ],
        otherwise="Add the variances s squared and sigma squared, then take the root.",
    ),
    Question(
        "At a very high noise level, what does the exact denoiser return for a particle near a ring of equal modes?",
        [
            ("The nearest mode", False, "At high noise the particle says little about where it came from."),
            ("About the centre of the ring, where there are no data", True, "It is the mean of all clean points."),
            ("A mode drawn at random", False, "A denoiser is a function without chance in it: it returns the mean."),
            ("The particle itself", False, "That is the answer at noise zero."),
        ],
    ),
    Question(
        "You run forty prediction steps twice from the same noise, with the same denoiser. What differs?",
        [
            ("Nothing", True, "The prediction step draws no noise: same start, same sample."),
            ("The mode, but not the spread", False, "The mode is fixed by the start: no chance enters on the way."),
            ("Details within the mode", False, "That would be so with DDPM or with Langevin corrections."),
        ],
    ),
    Question(
        "Langevin corrections run for long at a level sigma much larger than s. Which tau makes the variance 5 percent "
        "too large?",
        [
            ((0.09, 0.11), True, "The bias is about tau / 2, so tau is about .1."),
            ((0.045, 0.055), False, "The bias is tau / 2, not tau."),
            ((0.024, 0.026), False, "You halved it: the bias is half of tau, so tau is twice the bias."),
        ],
        otherwise="The excess of variance is about tau / 2: solve for tau.",
    ),
    Question(
        "Twenty DDIM steps give a mode too large a share. What can bring the share nearer to the truth?",
        [
            ("More steps", True, "The error of a step shrinks with its length."),
            ("A second-order step at the same number of calls", True, "It knows how the direction turns."),
            ("A start from the noisy data's own law", True, "Plain noise is not quite that law at the highest level."),
            ("Another seed", False, "A seed moves single samples; the share is an average over all seeds."),
        ],
    ),
]
