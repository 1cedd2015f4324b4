"""Chapter 2, learning a score: reference answers, inputs, anticipated wrong answers, and the quiz."""

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid, softplus

from course_lib import denoisers, rivals, training
from course_lib.denoisers import GaussianMixture, interval, ring
from course_lib.exercises.declare import Exercise, Question, Wrong, any_order
from course_lib.exercises.draws import real
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
    """The loss of the exact denoiser of a ring of five modes."""
    return fn(ring(5, radius=radius), x0, sigma, eps, sigma_data)


LOSS = Exercise(
    "2.1",
    "The denoising loss",
    points=2,
    difficulty=2,
    importance=5,
    minutes=10,
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
    points=2,
    difficulty=2,
    importance=4,
    minutes=10,
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
    points=2,
    difficulty=3,
    importance=5,
    minutes=10,
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
    if answer["share"] < 0.4:
        return ONLY_HIGH if answer["low"] >= 0.5 else LOST
    if answer["clear"] < 0.95:
        return FAINT
    return COSTLY if answer["used"] > 10 else None


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
    points=2,
    difficulty=2,
    importance=4,
    minutes=10,
    equation="(2.7)",
    name="gan_losses",
    reference=gan_losses,
    inputs=lambda g: (2 * torch.randn(5, generator=g), 2 * torch.randn(8, generator=g)),
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

EXERCISES = [LOSS, PRECONDITION, IDEAL, GUIDE, WINDOW, CHOOSE, GAN_LOSSES, CURVES]

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
                "Two of the chapter's runs have these losses, one with ten modes and one with six.",
            ),
            (
                "The samples have the law of the data",
                False,
                "A perfect critic would have to say so; this one may have been outrun.",
            ),
        ],
    ),
]
