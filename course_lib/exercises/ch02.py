"""Chapter 2, learning a score: reference answers, inputs, anticipated wrong answers, and the quiz."""

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid, softplus

from course_lib import denoisers, rivals, training
from course_lib.denoisers import GaussianMixture, interval, ring
from course_lib.exercises.calls import call_trained, trainable
from course_lib.exercises.declare import Exercise, Question, Wrong, any_order
from course_lib.exercises.draws import real, whole
from course_lib.metrics import squared_distances
from course_lib.samplers import geometric, sample


def levels(g, n):
    """One noise level per row between .05 and 4, -> (n, 1)."""
    return 0.05 * 80 ** torch.rand(n, 1, generator=g)


# 2.1 the denoising loss


def loss(denoiser, x0, sigma, eps, sigma_data):
    """Equation (2.1): the library's own."""
    return training.denoising_loss(denoiser, x0, sigma, eps, sigma_data)


def weight(sigma, sigma_data):
    """The lambda of (2.1)."""
    return (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2


def squares(denoiser, x0, sigma, eps, sigma_data):
    """Weighted squares before the mean, (N, d)."""
    return weight(sigma, sigma_data) * (denoiser(x0 + sigma * eps, sigma) - x0) ** 2


def loss_of_roots(denoiser, x0, sigma, eps, sigma_data):
    root = (1 / sigma**2 + 1 / sigma_data**2).sqrt()
    return (root * (denoiser(x0 + sigma * eps, sigma) - x0)).square().mean()


def loss_by_rows(denoiser, x0, sigma, eps, sigma_data):
    error = torch.linalg.vector_norm(denoiser(x0 + sigma * eps, sigma) - x0, dim=1, keepdim=True)
    return (weight(sigma, sigma_data) * error**2 / x0.shape[1]).sum() / len(x0)


def loss_to_eps(denoiser, x0, sigma, eps, sigma_data):
    return (weight(sigma, sigma_data) * (denoiser(x0 + sigma * eps, sigma) - eps) ** 2).mean()


def loss_on_clean(denoiser, x0, sigma, eps, sigma_data):
    return (weight(sigma, sigma_data) * (denoiser(x0, sigma) - x0) ** 2).mean()


def loss_with_variance(denoiser, x0, sigma, eps, sigma_data):
    return (weight(sigma, sigma_data) * (denoiser(x0 + sigma**2 * eps, sigma) - x0) ** 2).mean()


def loss_without_squares(denoiser, x0, sigma, eps, sigma_data):
    error = (denoiser(x0 + sigma * eps, sigma) - x0) ** 2
    return ((sigma + sigma_data) / (sigma * sigma_data) * error).mean()


def call_loss(fn, x0, sigma, eps, sigma_data, radius):
    """The loss of the exact denoiser of a ring of five modes, times a number that could be trained."""
    D, trained = ring(5, radius=radius), torch.ones((), requires_grad=True)
    return trainable(fn(lambda x, sigma: trained * D(x, sigma), x0, sigma, eps, sigma_data))


LOSS = Exercise(
    "2.1",
    "The denoising loss",
    points=1,
    difficulty=2,
    importance=5,
    minutes=8,
    equation="(2.1)",
    name="loss",
    reference=loss,
    inputs=lambda g: (
        torch.randn(6, 2, generator=g),
        levels(g, 6),
        torch.randn(6, 2, generator=g),
        real(g, 0.3, 0.8),
        real(g, 0.7, 1.4),
    ),
    call=call_loss,
    beside=True,
    right=[loss_of_roots, loss_by_rows],
    wrong=[
        Wrong(loss_to_eps, "You compare D with the noise eps: a denoiser is asked for the clean point x0."),
        Wrong(
            loss_on_clean, "Your denoiser sees the clean points: give it x0 + sigma eps, or there is nothing to remove."
        ),
        Wrong(loss_with_variance, "Your noise has standard deviation sigma**2: (1.1) multiplies eps by sigma."),
        Wrong(
            lambda D, x0, sigma, eps, sigma_data: (
                weight(sigma, sigma_data) * (D(x0 + sigma * eps, sigma) - x0 - sigma * eps) ** 2
            ).mean(),
            "You compare D with the noisy point it was given: the target is the clean point x0.",
        ),
        Wrong(
            lambda D, x0, sigma, eps, sigma_data: (
                weight(sigma, sigma_data) * (sigma * sigma_data) * (D(x0 + sigma * eps, sigma) - x0) ** 2
            ).mean(),
            "The denominator of the weight, sigma times sigma_data, is squared in (2.1).",
        ),
        Wrong(
            lambda D, x0, sigma, eps, sigma_data: (
                weight(sigma, sigma_data).mean() * ((D(x0 + sigma * eps, sigma) - x0) ** 2).mean()
            ),
            "You average the weight and the error apart: each row's error has its own weight, so multiply first.",
        ),
        Wrong(loss_without_squares, "sigma and sigma_data enter the weight of (2.1) squared."),
        Wrong(
            lambda D, x0, sigma, eps, sigma_data: (
                weight(sigma, sigma_data) * (D(x0 + sigma * eps, sigma) - x0).norm(dim=1, keepdim=True) / x0.shape[1]
            ).mean(),
            "The distance enters (2.1) squared: you left out the square.",
        ),
        Wrong(
            lambda D, x0, sigma, eps, sigma_data: (D(x0 + sigma * eps, sigma) - x0).square().mean(),
            "The weight is missing: without it the high noise levels drown the others.",
        ),
        Wrong(
            lambda D, x0, sigma, eps, sigma_data: (
                (D(x0 + sigma * eps, sigma) - x0) ** 2 / weight(sigma, sigma_data)
            ).mean(),
            "You divided by the weight of (2.1): multiply by it.",
        ),
        Wrong(
            lambda *inputs: squares(*inputs).sum(1).mean(),
            "You summed over the coordinates: (2.1) divides the squared length by d, so take the mean over them too.",
        ),
        Wrong(
            lambda *inputs: squares(*inputs).sum(),
            "Your loss grows with the batch: take the mean, not the sum.",
        ),
    ],
    home="course_lib.training:denoising_loss",
)


# 2.2 preconditioning


def scalings(sigma, sigma_data):
    """c_skip, c_out, c_in and c_noise of (2.3)."""
    total = sigma**2 + sigma_data**2
    return sigma_data**2 / total, sigma * sigma_data / total.sqrt(), 1 / total.sqrt(), sigma.log() / 4


def wrapped(network, x, c_skip, c_out, c_in, c_noise):
    """Equation (2.2)."""
    return c_skip * x + c_out * network(c_in * x, c_noise)


def precondition(network, sigma_data):
    """A denoiser from any network, (2.2) with the scalings (2.3)."""
    return lambda x, sigma: wrapped(network, x, *scalings(sigma, sigma_data))


def precondition_by_ratio(network, sigma_data):
    def denoiser(x, sigma):
        r = sigma / sigma_data
        c_in = 1 / (sigma_data * (1 + r**2).sqrt())
        return (x + r * (1 + r**2).sqrt() * sigma_data * network(c_in * x, sigma.log() / 4)) / (1 + r**2)

    return denoiser


def precondition_by_angle(network, sigma_data):
    def denoiser(x, sigma):
        angle = torch.atan2(sigma, torch.full_like(sigma, sigma_data))
        y = x * angle.cos() / sigma_data
        return sigma_data * (angle.cos() * y + angle.sin() * network(y, 0.25 * sigma.log()))

    return denoiser


def rescaled(change):
    """precondition with its scalings changed by a function of (c_skip, c_out, c_in, c_noise, sigma, sigma_data)."""

    def precondition(network, sigma_data):
        return lambda x, sigma: wrapped(network, x, *change(*scalings(sigma, sigma_data), sigma, sigma_data))

    return precondition


def call_precondition(fn, x, sigma, sigma_data, A):
    """The denoiser made of a small fixed network, tanh(x A + c_noise)."""
    return fn(lambda y, c_noise: torch.tanh(y @ A + c_noise), sigma_data)(x, sigma)


PRECONDITION = Exercise(
    "2.2",
    "Four scalings around a network",
    points=1,
    difficulty=2,
    importance=4,
    minutes=8,
    equation="(2.2), (2.3)",
    name="precondition",
    reference=precondition,
    inputs=lambda g: (
        torch.randn(5, 2, generator=g),
        levels(g, 5),
        real(g, 0.3, 0.8),
        1.5 * torch.randn(2, 2, generator=g),
    ),
    call=call_precondition,
    right=[precondition_by_ratio, precondition_by_angle],
    wrong=[
        Wrong(
            rescaled(lambda a, b, c, n, s, d: (a, b, 1.0, n)),
            "c_in is missing: your network sees inputs that grow with sigma.",
        ),
        Wrong(
            rescaled(lambda a, b, c, n, s, d: (0.0, b, c, n)), "The skip is missing: c_skip x is what F need not learn."
        ),
        Wrong(
            rescaled(lambda a, b, c, n, s, d: (1 - a, b, c, n)),
            "c_skip is the share of the data, sigma_data**2 on top: you have the noise's.",
        ),
        Wrong(
            rescaled(lambda a, b, c, n, s, d: (a, s, c, n)),
            "c_out must stop growing at sigma_data: sigma alone is right at small sigma only.",
        ),
        Wrong(rescaled(lambda a, b, c, n, s, d: (a, b * c, c, n)), "The sum below c_out stands under a root."),
        Wrong(
            rescaled(lambda a, b, c, n, s, d: (a, b, c**2, n)),
            "The sum below c_in stands under a root: it divides by a standard deviation, not by a variance.",
        ),
        Wrong(rescaled(lambda a, b, c, n, s, d: (a, b, c, s)), "c_noise is log(sigma) / 4, not sigma itself."),
        Wrong(rescaled(lambda a, b, c, n, s, d: (a, b, c, s.log())), "c_noise is a quarter of the logarithm of sigma."),
        Wrong(
            rescaled(lambda a, b, c, n, s, d: (a, b, c, (s / 4).log())),
            "The quarter stands before the logarithm: c_noise is sigma.log() / 4.",
        ),
        Wrong(
            rescaled(lambda a, b, c, n, s, d: (a, b, c, s.log10() / 4)), "The logarithm of c_noise is the natural one."
        ),
        Wrong(
            rescaled(lambda a, b, c, n, s, d: (0.0, 1.0, c, n)),
            "You return F itself: (2.2) multiplies it by c_out and adds c_skip x.",
        ),
    ],
)


# 2.3 the ideal denoiser of a finite set


def ideal(points, x, sigma):
    """Equation (2.4): the library's own."""
    return denoisers.IdealDenoiser(points)(x, sigma)


def ideal_by_loop(points, x, sigma):
    rows = []
    for one in x:
        d2 = ((one - points) ** 2).sum(1)
        a = torch.exp(-(d2 - d2.min()) / (2 * sigma**2))
        rows.append((a[:, None] * points).sum(0) / a.sum())
    return torch.stack(rows)


def log_a(points, x, sigma):
    """Logarithms of the weights of (2.4) before they are made to sum to one, (N, n)."""
    return -squared_distances(x, points) / (2 * sigma**2)


def ideal_by_logs(points, x, sigma):
    a = log_a(points, x, sigma)
    return torch.exp(a - a.logsumexp(1, keepdim=True)) @ points


def finite_without_noise(fn, inputs):
    points, x, _ = inputs
    if not fn(points, x, 1e-3).isfinite().all():
        return (
            "At sigma = .001 all your weights underflow to 0: let torch.softmax divide, or subtract the "
            "largest exponent."
        )


IDEAL = Exercise(
    "2.3",
    "The best denoiser of a finite set",
    points=1,
    difficulty=3,
    importance=5,
    minutes=8,
    equation="(2.4)",
    name="ideal",
    reference=ideal,
    inputs=lambda g: (torch.randn(5, 2, generator=g), torch.randn(4, 2, generator=g), real(g, 0.3, 0.9)),
    right=[ideal_by_loop, ideal_by_logs],
    wrong=[
        Wrong(
            lambda points, x, sigma: log_a(points, x, sigma).softmax(0) @ points,
            "Your weights sum to one over the particles: for each particle they must sum to one over the points.",
        ),
        Wrong(
            lambda points, x, sigma: log_a(points, x, sigma**0.5).softmax(1) @ points,
            "sigma enters (2.4) squared: the squared distance is measured against the variance of the noise.",
        ),
        Wrong(
            lambda points, x, sigma: (2 * log_a(points, x, sigma)).softmax(1) @ points,
            "The 2 below is missing: a Gaussian falls as exp(-distance**2 / (2 sigma**2)).",
        ),
        Wrong(
            lambda points, x, sigma: (-log_a(points, x, sigma)).softmax(1) @ points,
            "Your weights grow with the distance: the minus in the exponent is missing.",
        ),
        Wrong(
            lambda points, x, sigma: (-squared_distances(x, points).sqrt() / (2 * sigma**2)).softmax(1) @ points,
            "The distance enters (2.4) squared: you left out the square.",
        ),
        Wrong(
            lambda points, x, sigma: points[squared_distances(x, points).argmin(1)],
            "You return the nearest point: that is the most probable answer, the loss wants the mean of all.",
        ),
        Wrong(
            lambda points, x, sigma: log_a(points, x, sigma).exp() @ points,
            "Your weights do not sum to one: divide by their sum.",
        ),
        Wrong(
            lambda points, x, sigma: (log_a(points, x, sigma).exp() / log_a(points, x, sigma).exp().sum()) @ points,
            "Your weights sum to one over all particles together: divide each row by its own sum.",
        ),
        Wrong(
            lambda points, x, sigma: (log_a(points, x, sigma) * sigma**4).softmax(1) @ points,
            "Python divides by 2 and then multiplies by sigma**2: put brackets round 2 * sigma**2.",
        ),
    ],
    properties=[finite_without_noise],
    home="course_lib.denoisers:IdealDenoiser",
    may_pass=any_order("points"),
)


# 2.4 classifier-free guidance


def guide(conditional, unconditional, w):
    """Equation (2.5): the library's own."""
    return denoisers.cfg(conditional, unconditional, w)


def guide_from_conditional(conditional, unconditional, w):
    def denoiser(x, sigma):
        D_c = conditional(x, sigma)
        return D_c + (w - 1) * (D_c - unconditional(x, sigma))

    return denoiser


def mixed(mix):
    """guide with another mixture mix(D_c, D_u, w)."""

    def guide(conditional, unconditional, w):
        return lambda x, sigma: mix(conditional(x, sigma), unconditional(x, sigma), w)

    return guide


def call_guide(fn, x, sigma, w, radius):
    """Guidance towards two modes of six; a single 0 where a tensor or a number came back in place of a denoiser."""
    everything = ring(6, radius=radius)
    denoiser = fn(GaussianMixture(everything.means[:2], 0.1), everything, w)
    return torch.tensor(0.0) if isinstance(denoiser, (torch.Tensor, float, int)) else denoiser(x, sigma)


GUIDE = Exercise(
    "2.4",
    "Classifier-free guidance",
    points=1,
    difficulty=2,
    importance=5,
    minutes=5,
    equation="(2.5)",
    name="guide",
    reference=guide,
    inputs=lambda g: (torch.randn(5, 2, generator=g), real(g, 0.4, 1.2), real(g, 1.5, 6.0), real(g, 0.7, 1.4)),
    call=call_guide,
    right=[guide_from_conditional, mixed(lambda c, u, w: (1 - w) * u + w * c)],
    wrong=[
        Wrong(
            mixed(lambda c, u, w: c + w * (c - u)),
            "Your w is one too large: you start from D_c, (2.5) from D_u, so that w = 1 is no guidance.",
        ),
        Wrong(mixed(lambda c, u, w: u + w * (u - c)), "You move away from the condition: the difference is D_c - D_u."),
        Wrong(mixed(lambda c, u, w: w * u + (1 - w) * c), "The two denoisers are swapped: at w = 1 the answer is D_c."),
        Wrong(
            mixed(lambda c, u, w: u + w * c), "You added w D_c whole: guidance adds w times the difference D_c - D_u."
        ),
        Wrong(mixed(lambda c, u, w: w * c), "You scaled D_c: D_u does not enter your answer."),
        Wrong(mixed(lambda c, u, w: w * (c - u)), "(2.5) starts from D_u: you return the difference alone."),
        Wrong(
            lambda conditional, unconditional, w: unconditional(torch.zeros(1, 2), 1.0),
            "You return points: a denoiser is due; define a function of x and sigma inside, and return that function.",
        ),
    ],
    home="course_lib.denoisers:cfg",
)


# 2.5 guidance in an interval


def window(w, low, high):
    """Equation (2.6): the library's own."""
    return denoisers.interval(w, low, high)


def window_by_product(w, low, high):
    return lambda sigma: 1 + (w - 1) * float(sigma > low) * float(sigma <= high)


def window_by_cases(w, low, high):
    def weight(sigma):
        if sigma <= low or sigma > high:
            return 1
        return w

    return weight


def call_window(fn, w, low, high, sigmas):
    """The weight at each level, at both ends too; a single 0 where a number came back in place of a function."""
    weight = fn(w, low, high)
    if isinstance(weight, (torch.Tensor, float, int)):
        return torch.tensor(0.0)
    levels = [*sigmas, torch.tensor(low), torch.tensor(high)]
    return torch.stack([torch.as_tensor(weight(sigma), dtype=torch.float64) for sigma in levels])


def draw_window(g):
    """An interval, and levels below, in and above it, two of them close to its upper end."""
    low = real(g, 0.1, 0.4)
    high = low + real(g, 0.3, 1.0)
    inside = low + (high - low) * torch.rand(3, generator=g)
    return (
        real(g, 2.0, 8.0),
        low,
        high,
        torch.cat([inside, low * torch.rand(2, generator=g), high + inside, high * torch.tensor([0.97, 1.03])]),
    )


WINDOW = Exercise(
    "2.5",
    "A weight for each noise level",
    points=1,
    difficulty=1,
    importance=4,
    minutes=5,
    equation="(2.6)",
    name="window",
    reference=window,
    inputs=draw_window,
    call=call_window,
    right=[window_by_product, window_by_cases],
    wrong=[
        Wrong(
            lambda w, low, high: lambda sigma: w if low < sigma <= high else 0.0,
            "Outside the interval you return 0, which is sampling without the condition: no guidance is w = 1.",
        ),
        Wrong(
            lambda w, low, high: lambda sigma: 1.0 if low < sigma <= high else w,
            "You guide outside the interval, and not inside.",
        ),
        Wrong(
            lambda w, low, high: lambda sigma: w if low <= sigma < high else 1.0,
            "You include low and leave out high: in (2.6) it is the other way round.",
        ),
        Wrong(
            lambda w, low, high: lambda sigma: w if low <= sigma <= high else 1.0,
            "At sigma = low there is no guidance: (2.6) leaves that end out.",
        ),
        Wrong(
            lambda w, low, high: lambda sigma: w if sigma <= high else 1.0,
            "You forgot the lower end: at and below low there is no guidance.",
        ),
        Wrong(
            lambda w, low, high: lambda sigma: w if low < sigma < high else 1.0,
            "At sigma = high there is guidance: (2.6) includes that end.",
        ),
        Wrong(lambda w, low, high: lambda sigma: w, "Your weight does not depend on sigma."),
        Wrong(
            lambda w, low, high: w,
            "You return a number: a function of sigma is due; define one inside, and return it without calling it.",
        ),
    ],
    home="course_lib.denoisers:interval",
)


# 2.6 an interval for the toy: an experiment


def choose():
    """Between the level where modes part and the level where nothing moves any more."""
    return 0.2, 0.5


def call_choose(fn, x):
    """The toy of the chapter with guidance 6 in the chosen interval, from the noise x (N, 1)."""
    low, high = fn()
    conditional = GaussianMixture(torch.tensor([[-1.0], [1.0]]), 0.15)
    others = GaussianMixture(torch.tensor([[1.3], [2.2]]), 0.15)
    everything = GaussianMixture(torch.cat([conditional.means, others.means]), 0.15)
    sigmas = geometric(10.0, 0.02, 40)
    x = sample(denoisers.cfg(conditional, everything, interval(6.0, float(low), float(high))), x, sigmas)
    right = x[:, 0] > 0
    sure = torch.sigmoid(conditional.log_prob(x) - others.log_prob(x)) > 0.95
    clear = (right & sure).sum() / right.sum().clamp(min=1)
    used = ((sigmas > low) & (sigmas <= high)).sum()
    return {"share": right.double().mean(), "clear": clear, "used": used, "low": torch.as_tensor(float(low))}


LOST = "The right mode lost its share: at these levels guidance decides between modes, so lower the upper end."
ONLY_HIGH = "You guide only where modes are being decided, and stop where it would help: move the whole interval down."
FAINT = "Too few samples in the right mode are unmistakable: guidance comes too late, so raise the upper end."
COSTLY = "More than 10 levels are guided: leave out the low ones, where the particles hardly move."


def accept_choose(answer, inputs):
    """Share in the right mode, share of it that is unmistakable, and the price."""
    found = {
        "share in the mode, .4 due": answer["share"],
        "unmistakable, .95 due": answer["clear"],
        "levels, at most 10": answer["used"],
    }
    if answer["share"] < 0.4:
        return (ONLY_HIGH if answer["low"] >= 0.5 else LOST), found
    if answer["clear"] < 0.95:
        return FAINT, found
    return (COSTLY, found) if answer["used"] > 10 else None


CHOOSE = Exercise(
    "2.6",
    "Choose an interval",
    points=2,
    difficulty=3,
    importance=4,
    minutes=15,
    equation="(2.6)",
    name="choose",
    reference=choose,
    inputs=lambda g: (10 * torch.randn(1500, 1, generator=g),),
    call=call_choose,
    accept=accept_choose,
    right=[lambda: (0.15, 0.5), lambda: (0.2, 0.6)],
    wrong=[
        Wrong(lambda: (0.0, 100.0), LOST),
        Wrong(lambda: (0.6, 100.0), ONLY_HIGH),
        Wrong(lambda: (0.02, 0.12), FAINT),
        Wrong(lambda: (0.0, 0.5), COSTLY),
    ],
)


# 2.7 the losses of a GAN


def gan_losses(on_real, on_fake):
    """Equation (2.7): the library's own."""
    return rivals.critic_loss(on_real, on_fake), rivals.generator_loss(on_fake)


def gan_losses_by_logs(on_real, on_fake):
    return -logsigmoid(on_real).mean() - logsigmoid(-on_fake).mean(), -logsigmoid(on_fake).mean()


def gan_losses_by_entropy(on_real, on_fake):
    cross = binary_cross_entropy_with_logits
    ones, zeros = torch.ones_like(on_fake), torch.zeros_like(on_fake)
    return cross(on_real, torch.ones_like(on_real)) + cross(on_fake, zeros), cross(on_fake, ones)


def finite_when_certain(fn, inputs):
    sure = torch.full((3,), 1000.0)
    if not all(torch.as_tensor(one).isfinite() for one in fn(-sure, sure)):
        return "Where the critic is certain and wrong your loss is infinite: use softplus, not the log of a sigmoid."


GAN_LOSSES = Exercise(
    "2.7",
    "Two losses that pull against each other",
    points=1,
    difficulty=2,
    importance=4,
    minutes=8,
    equation="(2.7)",
    name="gan_losses",
    reference=gan_losses,
    inputs=lambda g: (2 * torch.randn(5, generator=g), 2 * torch.randn(8, generator=g)),
    call=call_trained,
    beside=True,
    right=[gan_losses_by_logs, gan_losses_by_entropy],
    wrong=[
        Wrong(
            lambda a, b: (rivals.critic_loss(a, b), -softplus(b).mean()),
            "This generator loss saturates: where the critic is sure its slope vanishes, so use softplus(-C(G(z))).",
        ),
        Wrong(
            lambda a, b: (rivals.critic_loss(a, b), softplus(b).mean()),
            "Your generator tries to be caught: it wants a high C on its fakes.",
        ),
        Wrong(
            lambda a, b: (softplus(a).mean() + softplus(-b).mean(), rivals.generator_loss(b)),
            "Your critic gives high values to fakes: both of its signs are swapped.",
        ),
        Wrong(
            lambda a, b: (softplus(a).mean() + softplus(-b).mean(), softplus(b).mean()),
            "All your signs are swapped: -log sigmoid(a) is softplus(-a), so mind the minus.",
        ),
        Wrong(
            lambda a, b: (rivals.critic_loss(a, b) / 2, rivals.generator_loss(b)),
            "The critic's loss is the sum of two means: you divided it by 2.",
        ),
        Wrong(
            lambda a, b: (torch.cat([softplus(-a), softplus(b)]).mean(), rivals.generator_loss(b)),
            "You took one mean over reals and fakes together: (2.7) has a mean of each, so that "
            "batches of any size count alike.",
        ),
        Wrong(
            lambda a, b: (rivals.critic_loss(a, b), -b.mean()),
            "You maximise C itself: the generator's loss is minus the log of the chance that a fake is taken for real.",
        ),
        Wrong(
            lambda a, b: (softplus(-a).sum() + softplus(b).sum(), softplus(-b).sum()),
            "Your losses grow with the batch: take means, not sums.",
        ),
        Wrong(
            lambda a, b: gan_losses(a, b)[::-1],
            "The critic's loss comes first, the generator's second.",
        ),
    ],
    properties=[finite_when_certain],
    home="course_lib.rivals:critic_loss",
    may_pass=any_order("on_real", "on_fake"),
)


# 2.8 words

CURVES = Exercise(
    "2.8",
    "What a loss curve cannot tell",
    points=3,
    difficulty=4,
    importance=4,
    minutes=15,
    rubric=(
        "1 point: says what 2 log 2 and log 2 mean, a critic that cannot tell, and why each player's "
        "loss depends on the "
        "other. 1 point: says that neither loss measures the distance to the data, so a generator of "
        "a few modes can have "
        "the same losses, and contrasts it with the denoising loss, whose floor is fixed. 1 point: names a measurement "
        "on samples (modes covered with the share on a mode, over several seeds) and when to take it."
    ),
)

# 2.9 the training loop


def fit(loss_of, parameters, batches, lr):
    """Adam, one step a batch: the library's own."""
    return list(training.train(loss_of, parameters, batches, lr=lr))


def fit_plainly(loss_of, parameters, batches, lr):
    optimiser, losses = torch.optim.Adam(parameters, lr=lr), []
    for batch in batches:
        value = loss_of(batch)
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        losses.append(value.item())
    return losses


def fit_by_grad(loss_of, parameters, batches, lr):
    parameters, losses = list(parameters), []
    optimiser = torch.optim.Adam(parameters, lr)
    for batch in batches:
        value = loss_of(batch)
        for p, slope in zip(parameters, torch.autograd.grad(value, parameters)):
            p.grad = slope
        optimiser.step()
        losses.append(float(value))
    return losses


def looped(*order, kind="Adam", rate=True, uphill=False, note=lambda values: [v.item() for v in values]):
    """A loop whose parts come in an order: fresh, zero, back, down, again."""

    def answer(loss_of, parameters, batches, lr):
        parameters, values = list(parameters), []
        options = {"lr": lr if rate else 0.001, "maximize": uphill}
        optimiser = getattr(torch.optim, kind)(parameters, **options)
        for batch in batches:
            value = loss_of(batch)
            for part in order:
                if part == "fresh":
                    optimiser = getattr(torch.optim, kind)(parameters, **options)
                if part == "zero":
                    optimiser.zero_grad()
                if part == "back":
                    value.backward()
                if part == "down":
                    optimiser.step()
                if part == "again":
                    value = loss_of(batch)
            values.append(value)
        return note(values)

    return answer


def call_fit(fn, x, y, lr):
    """What the loop notes, whether these are plain numbers, and three weights after five batches and before each."""
    weight, before = torch.zeros(3, dtype=torch.float64, requires_grad=True), []

    def batches():
        for pair in zip(x, y):
            before.append(weight.detach().clone())
            yield pair

    losses = fn(lambda batch: (batch[0] @ weight - batch[1]).square().mean(), iter([weight]), batches(), lr)
    losses = losses if isinstance(losses, (list, tuple)) else [losses]
    plain = all(isinstance(value, float) for value in losses)
    return {
        "losses": torch.tensor([float(v) for v in losses]),
        "plain": float(plain),
        "weight": weight.detach().clone(),
        "weight before each batch": torch.stack(before) if before else torch.zeros(0),
    }


FIT = Exercise(
    "2.9",
    "The training loop",
    points=3,
    difficulty=2,
    importance=5,
    minutes=12,
    name="fit",
    reference=fit,
    inputs=lambda g: (
        torch.randn(5, 6, 3, generator=g).double(),
        torch.randn(5, 6, generator=g).double(),
        real(g, 0.02, 0.2),
    ),
    call=call_fit,
    beside=True,
    right=[fit_plainly, fit_by_grad],
    wrong=[
        Wrong(
            looped("back", "down"),
            "Gradients pile up: set them to zero before value.backward(), or each step adds all earlier ones again.",
        ),
        Wrong(
            looped("zero", "back"),
            "The parameters never move: after value.backward() comes optimiser.step(), no zero_grad() between.",
        ),
        Wrong(
            lambda loss_of, parameters, batches, lr: fit(loss_of, parameters, list(batches), lr),
            "You take all batches before the first step: go through them one at a time.",
        ),
        Wrong(
            looped("down", "zero", "back"),
            "You step before backward(): each step then uses the gradient of the batch before.",
        ),
        Wrong(
            looped("fresh", "zero", "back", "down"),
            "You make a new optimiser for each batch: Adam must remember the steps before, so make it once.",
        ),
        Wrong(
            looped("zero", "back", "down", kind="SGD"),
            "These are plain gradient steps: torch.optim.Adam is asked for.",
        ),
        Wrong(
            looped("zero", "back", "down", rate=False),
            "lr does not enter your optimiser.",
        ),
        Wrong(
            looped("zero", "back", "down", uphill=True),
            "You go uphill: the loss is to fall.",
        ),
        Wrong(
            looped("zero", "back", "down", "again"),
            "You note the loss after the step: note the one whose gradient was taken, it costs nothing more.",
        ),
        Wrong(
            looped("zero", "back", "down", note=lambda values: values[-1].item()),
            "You return the last loss alone: a list with one number for each batch is due.",
        ),
        Wrong(
            looped("zero", "back", "down", note=lambda values: values),
            "Your losses are tensors, and each holds on to its whole graph: note value.item(), a plain number.",
        ),
    ],
    home="course_lib.training:train",
)


# 2.10 the sampler


def draw(denoiser, x, levels):
    """Prediction steps (1.6) from level to level: the library's own."""
    return sample(denoiser, x, levels)


@torch.no_grad()
def draw_by_ratio(denoiser, x, levels):
    for sigma, sigma_next in zip(levels[:-1], levels[1:]):
        x0 = denoiser(x, sigma)
        x = x0 + sigma_next / sigma * (x - x0)
    return x


@torch.no_grad()
def draw_by_score(denoiser, x, levels):
    for i in range(len(levels) - 1):
        score = (denoiser(x, levels[i]) - x) / levels[i] ** 2
        x = x + (levels[i] - levels[i + 1]) * levels[i] * score
    return x


def stepping(step, last=None, ask=lambda sigma, sigma_next: sigma):
    """A sampler with another step(x, x0, sigma, sigma_next), or another level to ask at."""

    def answer(denoiser, x, levels):
        for sigma, sigma_next in list(zip(levels[:-1], levels[1:]))[:last]:
            x = step(x, denoiser(x, ask(sigma, sigma_next)), sigma, sigma_next)
        return x

    return answer


def euler(x, x0, sigma, sigma_next):
    """The prediction step (1.6)."""
    return x + (sigma_next - sigma) * (x - x0) / sigma


def call_draw(fn, x, levels, radius):
    """Samples of a ring of five modes, the levels its denoiser was asked at, and whether each came as it stands."""
    law, asked, whole_ones = ring(5, radius=radius), [], []

    def denoiser(x, sigma):
        asked.append(float(torch.as_tensor(sigma).reshape(-1)[0]))
        whole_ones.append(isinstance(sigma, torch.Tensor) and not sigma.ndim)
        return law(x, sigma) if asked[-1] > 0 else x

    x = fn(denoiser, x, levels)
    return {"samples": x, "asked at": torch.tensor(asked).double(), "as it stands": float(all(whole_ones))}


def draw_inputs(g):
    """Particles at the first of five levels, the levels, and a radius."""
    levels = torch.cumsum(0.1 + torch.rand(5, generator=g).double(), 0).flip(0)
    x = levels[0] * torch.randn(6, 2, generator=g).double()
    return x, torch.cat([levels, torch.zeros(1).double()]), real(g, 0.7, 1.4)


def draw_to_the_end(denoiser, x, levels):
    x = draw(denoiser, x, levels)
    denoiser(x, levels[-1])
    return x


DRAW = Exercise(
    "2.10",
    "The sampler",
    points=2,
    difficulty=2,
    importance=5,
    minutes=10,
    equation="(1.6)",
    name="draw",
    reference=draw,
    inputs=draw_inputs,
    call=call_draw,
    right=[draw_by_ratio, draw_by_score],
    wrong=[
        Wrong(
            stepping(lambda x, x0, sigma, sigma_next: x0),
            "You jump to x0 at every level: (1.6) goes a part of the way, and asks again.",
        ),
        Wrong(
            stepping(euler, last=-1),
            "You stop one level early: the last step goes to levels[-1], which is 0.",
        ),
        Wrong(
            stepping(lambda x, x0, sigma, sigma_next: x + (sigma_next - sigma) * (x0 - x) / sigma),
            "You walk away from x0: the step goes along x - x0, and sigma_next - sigma is negative.",
        ),
        Wrong(
            stepping(lambda x, x0, sigma, sigma_next: x + sigma_next / sigma * (x0 - x)),
            "sigma_next / sigma is the share of the noise that stays: you went that share of the way to x0.",
        ),
        Wrong(
            stepping(lambda x, x0, sigma, sigma_next: x0 + sigma_next * torch.randn_like(x)),
            "You put fresh noise on x0: (1.6) keeps the noise that is there, and shortens it.",
        ),
        Wrong(
            lambda denoiser, x, levels: draw(denoiser, levels[0] * x, levels),
            "x comes as it is at the first level: it needs no further noise and no scale.",
        ),
        Wrong(
            lambda denoiser, x, levels: denoiser(x, levels[0]),
            "That is one estimate from the first level, the mean of all that is possible: go through all the levels.",
        ),
        Wrong(
            stepping(euler, ask=lambda sigma, sigma_next: 0.5 * (sigma + sigma_next)),
            "The denoiser is asked at the level where x is, levels[i], and at no other.",
        ),
        Wrong(
            stepping(euler, ask=lambda sigma, sigma_next: float(sigma)),
            "Hand each level on as it stands in levels, a tensor of shape (): networks take its logarithm.",
        ),
        Wrong(draw_to_the_end, "You ask the denoiser at level 0: the step that ends there is the last."),
    ],
    home="course_lib.samplers:sample",
)


# 2.11 experiment: a batch with labels, some of them dropped

CLEAN = "x0 holds rows that are no rows of `points`: return clean points, the loss adds the noise."
PAIR = "Some labels belong to other points: take both with the same indices."
ZERO = "A dropped label became 0, which is a label of its own: `none` stands for no label."
NONE = "No label is ever dropped: a share `rate` of them is due to go."
ALL = "Every label is dropped: this network never hears of one."
KEEP = "You keep a share `rate` and drop the rest: it is the other way round."
OFF = "The share of labels dropped is not `rate`."
TOGETHER = "The labels of a batch go or stay together: each is dropped by a draw of its own."
FIRST = "Your batches hold the same few points: draw n indices among all of them."
AGAIN = "The batches are all alike: draw from the g that you are given, and seed nothing inside."
ELSEWHERE = "The same g gives another batch the second time: take all your draws from g."
ONE = "All rows of a batch have the same noise level: draw one for each."
RANGE = "Your levels do not fill the range from low to high."
UNEVEN = "Your levels lie evenly between low and high: they should in their logarithm, or few are low."
TIED = "Labels go at certain noise levels only: draw anew for the labels."
NOISE = "eps is not standard normal: its mean is 0 and its standard deviation 1 at every level."


def labelled_batch(points, labels, n, high, low, rate, none, g):
    """n points with levels, noise, and labels of which some are replaced by `none`."""
    i = torch.randint(len(points), (n,), generator=g)
    sigma = high * (low / high) ** torch.rand(n, 1, generator=g, dtype=points.dtype)
    eps = torch.randn(n, points.shape[1], generator=g, dtype=points.dtype)
    gone = torch.rand(n, generator=g) < rate
    return points[i], sigma, eps, torch.where(gone, none, labels[i])


def labelled_batch_by_shuffle(points, labels, n, high, low, rate, none, g):
    told = labels.clone()
    told[torch.rand(len(told), generator=g) < rate] = none
    i = torch.randperm(len(points), generator=g)[:n]
    u = torch.rand((n, 1), generator=g).double()
    log = torch.tensor(low).log() + u * (torch.tensor(high) / low).log()
    return points[i], log.exp(), torch.randn(points[i].shape, generator=g).double(), told[i]


def labelled_batch_by_rows(points, labels, n, high, low, rate, none, g):
    x0, sigma, eps, told = [], [], [], []
    for _ in range(n):
        i = int(torch.randint(len(points), (), generator=g))
        x0.append(points[i])
        sigma.append([low * (high / low) ** torch.rand((), generator=g).item()])
        eps.append(torch.randn(len(points[i]), generator=g))
        told.append(none if torch.rand((), generator=g).item() < rate else int(labels[i]))
    return torch.stack(x0), torch.tensor(sigma), torch.stack(eps), torch.tensor(told)


def batching(rows=None, sigma=None, eps=None, told=None, seed=None, drop=None):
    """The reference with one part exchanged; each gets what it needs to draw its own."""

    def answer(points, labels, n, high, low, rate, none, g):
        g = torch.Generator().manual_seed(seed) if seed is not None else g
        i = rows(len(points), n, g) if rows else torch.randint(len(points), (n,), generator=g)
        u = torch.rand(n, 1, generator=g).double()
        s = sigma(u, high, low) if sigma else high * (low / high) ** u
        noise = torch.randn(n, points.shape[1], generator=g).double()
        noise = eps(noise, s, g) if eps else noise
        gone = drop(n, rate, u, g) if drop else torch.rand(n, generator=g) < rate
        y = told(labels, i, gone, none, g) if told else torch.where(gone, none, labels[i])
        return points[i], s, noise, y

    return answer


def call_labelled_batch(fn, points, labels, n, high, low, rate, none, seed):
    """Twenty batches in a row, and the first once more from the same state of g."""
    g = torch.Generator().manual_seed(seed)
    found = [tuple(fn(points, labels, n, high, low, rate, none, g)) for _ in range(20)]
    found.append(tuple(fn(points, labels, n, high, low, rate, none, torch.Generator().manual_seed(seed))))
    names = ("x0", "sigma", "eps", "told")
    return {name: torch.stack([torch.as_tensor(one) for one in part]) for name, part in zip(names, zip(*found))}


def accept_labelled_batch(found, inputs):
    """That points, levels, noise and labels are drawn apart from g, each from its own law."""
    points, labels, _, high, low, rate, none, _ = inputs
    x0, sigma, eps, told = (found[name] for name in ("x0", "sigma", "eps", "told"))
    same = (x0[:, :, None] == points).all(3)  # (batches, n, M)
    if not same.any(2).all():
        return CLEAN
    which = same.int().argmax(2)
    alike = [torch.equal(part[0], part[1]) for part in (x0, sigma, eps)]
    if any(alike):
        return FIRST if alike == [True, False, False] else AGAIN
    if not all(torch.equal(part[0], part[-1]) for part in (x0, sigma, eps, told)):
        return ELSEWHERE
    which, sigma, eps, told = which[:-1], sigma[:-1, :, 0].double(), eps[:-1].double(), told[:-1]
    gone, due = told == none, labels[which]
    if (~gone & (told != due)).any():
        return ZERO if (told[~gone & (told != due)] == 0).all() else PAIR
    return _rows_and_labels(which, gone, rate, len(points)) or _levels_and_noise(sigma, eps, gone, high, low)


def _rows_and_labels(which, gone, rate, count):
    """The sentence for points that are not drawn among all, or labels not dropped one by one at the rate, or None."""
    if len(which.unique()) < 0.75 * count * (1 - (1 - 1 / count) ** which.numel()):
        return FIRST
    if (gone.all(1) | ~gone.any(1)).all():
        return NONE if not gone.any() else ALL if gone.all() else TOGETHER
    share, error = gone.double().mean().item(), 5 * (rate * (1 - rate) / gone.numel()) ** 0.5
    if abs(share - rate) > error:
        return KEEP if abs(share - 1 + rate) <= error else OFF
    return None


def _levels_and_noise(sigma, eps, gone, high, low):
    """The sentence for levels that are not even in their logarithm, or noise that is not standard normal, or None."""
    if (sigma == sigma[:, :1]).all():
        return ONE
    even = (sigma - low) / (high - low)
    u = (sigma / low).log() / torch.tensor(high / low).double().log()
    error = 5 * (1 / 12 / u.numel()) ** 0.5
    if not (-1e-6 < u.min() < 0.03 and 0.97 < u.max() < 1 + 1e-6) or abs(u.mean() - 0.5) > error:
        return UNEVEN if abs(even.mean() - 0.5) < error and even.min() > -1e-6 and even.max() < 1 + 1e-6 else RANGE
    if abs(u[gone].mean() - 0.5) > 5 * (1 / 12 / gone.sum()) ** 0.5:
        return TIED
    for part in (eps[u < 0.5], eps[u >= 0.5]):
        if abs(part.mean()) > 5 / part.numel() ** 0.5 or abs(part.std() - 1) > 5 / (2 * part.numel()) ** 0.5:
            return NOISE
    return None


def draw_labelled_set(g):
    """120 points with labels of their own kind, a batch's size, and the range of the levels."""
    kinds = whole(g, 4, 9)
    points = torch.randn(120, 3, generator=g).double()
    labels = torch.randint(kinds, (120,), generator=g)
    high, low = real(g, 2.0, 20.0), real(g, 0.005, 0.05)
    return points, labels, whole(g, 60, 100), high, low, real(g, 0.15, 0.4), kinds, whole(g, 0, 2**31 - 1)


LABELLED_BATCH = Exercise(
    "2.11",
    "A batch, some labels dropped",
    points=3,
    difficulty=3,
    importance=5,
    minutes=15,
    name="labelled_batch",
    reference=labelled_batch,
    inputs=draw_labelled_set,
    call=call_labelled_batch,
    accept=accept_labelled_batch,
    draws=3,
    may_pass=any_order("answer"),
    right=[labelled_batch_by_shuffle, labelled_batch_by_rows],
    wrong=[
        Wrong(batching(told=lambda y, i, gone, none, g: y[i]), NONE),
        Wrong(batching(told=lambda y, i, gone, none, g: torch.full_like(i, none)), ALL),
        Wrong(batching(told=lambda y, i, gone, none, g: torch.where(gone, 0, y[i])), ZERO),
        Wrong(batching(told=lambda y, i, gone, none, g: torch.where(gone, y[i], none)), KEEP),
        Wrong(batching(drop=lambda n, rate, u, g: torch.rand(n, generator=g) < rate / 2), OFF),
        Wrong(batching(drop=lambda n, rate, u, g: (torch.rand((), generator=g) < rate).expand(n)), TOGETHER),
        Wrong(batching(drop=lambda n, rate, u, g: u[:, 0] < rate), TIED),
        Wrong(
            batching(
                told=lambda y, i, gone, none, g: torch.where(gone, none, y[torch.randint(len(y), i.shape, generator=g)])
            ),
            PAIR,
        ),
        Wrong(batching(rows=lambda M, n, g: torch.arange(n)), FIRST),
        Wrong(batching(seed=0), AGAIN),
        Wrong(batching(drop=lambda n, rate, u, g: torch.rand(n) < rate), ELSEWHERE),
        Wrong(batching(sigma=lambda u, high, low: (high * (low / high) ** u)[:1].expand(len(u), 1)), ONE),
        Wrong(batching(sigma=lambda u, high, low: low + (high - low) * u), UNEVEN),
        Wrong(batching(sigma=lambda u, high, low: (low / high) ** u), RANGE),
        Wrong(batching(eps=lambda eps, s, g: s * eps), NOISE),
        Wrong(
            lambda points, *others: (lambda x0, sigma, eps, y: (x0 + sigma * eps, sigma, eps, y))(
                *labelled_batch(points, *others)
            ),
            CLEAN,
        ),
    ],
)

EXERCISES = [LOSS, PRECONDITION, IDEAL, GUIDE, WINDOW, CHOOSE, GAN_LOSSES, CURVES, FIT, DRAW, LABELLED_BATCH]

QUIZ = [
    Question(
        "A noisy particle could have come from either of two training points, with equal chance. "
        "What does the denoiser "
        "that minimises the loss (2.1) return?",
        [
            ("The point halfway between them", True, "The square is smallest at the mean, even where no data are."),
            (
                "One of the two points, at random",
                False,
                "A function of x and sigma draws nothing, and either point costs more than the middle.",
            ),
            (
                "The nearer of the two points",
                False,
                "Equal chance means that neither is nearer. Nearest points come out only as sigma goes to 0.",
            ),
        ],
    ),
    Question(
        "What is c_skip where sigma equals sigma_data?",
        [(0.5, True, "Half of the variance of x is data: sigma_data**2 / (2 sigma_data**2).")],
        otherwise="Insert sigma = sigma_data into sigma_data**2 / (sigma**2 + sigma_data**2).",
    ),
    Question(
        "You bring the loss on 20 training pictures to its very minimum and draw 1,000 samples. How many different "
        "pictures can you expect?",
        [
            ("At most 20", True, "The minimiser is (2.4), and its samples are the training pictures."),
            ("About 1,000", False, "New pictures need a denoiser that is not the minimiser on the training set."),
            (
                "1, because of mode collapse",
                False,
                "The ideal denoiser draws every training picture with its share, so nothing collapses.",
            ),
        ],
    ),
    Question(
        "In diffusers' convention, which weight w means that the conditional denoiser is used as it is?",
        [
            (1, True, "D_u + 1 (D_c - D_u) = D_c."),
            (0, False, "w = 0 leaves D_u: the condition is ignored. Papers that write (1 + w) count from there."),
        ],
        otherwise="Look for the w at which D_u + w (D_c - D_u) equals D_c.",
    ),
    Question(
        "A GAN's critic loss sits at 1.39 and its generator loss at .69, both flat. What follows?",
        [
            (
                "The critic gives real and fake samples about equal chances",
                True,
                "These are 2 log 2 and log 2: a coin is as good as this critic.",
            ),
            (
                "All modes of the data are covered",
                False,
                "Two of the chapter's runs have these losses, one with ten modes and one with seven.",
            ),
            (
                "The samples have the law of the data",
                False,
                "A perfect critic would have to say so; this one may have been outrun.",
            ),
        ],
    ),
]
