"""Chapter 18, flow matching: reference answers, inputs, anticipated wrong answers, and the quiz."""

import torch
from torch.nn.functional import mse_loss

from course_lib import flow_matching
from course_lib.exercises.calls import trainable
from course_lib.exercises.declare import Exercise, Question, Wrong
from course_lib.exercises.draws import normal, real, whole


def times(g, *shape):
    """Times away from the two ends."""
    return 0.1 + 0.8 * torch.rand(*shape, generator=g, dtype=torch.float64)


# 18.1 the denoiser of a velocity


def call_to_denoiser(fn, x, sigma, A):
    """The denoiser of a small fixed velocity."""
    return fn(lambda x_t, t: torch.tanh(x_t @ A + t))(x, sigma)


def to_denoiser(velocity):
    """Equation (18.4): the library's own."""
    return flow_matching.denoiser_of(velocity)


def to_denoiser_by_time(velocity):
    def denoiser(x, sigma):
        t = 1 - 1 / (1 + sigma)
        x_t = (1 - t) * x
        return x_t - t * velocity(x_t, t)

    return denoiser


def to_denoiser_by_noise(velocity):
    def denoiser(x, sigma):
        t, scale = sigma / (1 + sigma), 1 / (1 + sigma)
        eps = scale * x + (1 - t) * velocity(scale * x, t)
        return x - sigma * eps

    return denoiser


def seen(formula):
    """to_denoiser with another formula of (x, sigma, x_t, t, v as a function)."""
    return lambda velocity: lambda x, sigma: formula(x, sigma, x / (1 + sigma), sigma / (1 + sigma), velocity)


TO_DENOISER = Exercise(
    "18.1",
    "A denoiser from a velocity",
    points=2,
    difficulty=2,
    importance=5,
    minutes=12,
    equation="(18.2), (18.4)",
    name="to_denoiser",
    reference=to_denoiser,
    inputs=lambda g: (normal(g, 5, 2), 0.1 + 3 * times(g, 5, 1), normal(g, 2, 2)),
    call=call_to_denoiser,
    right=[to_denoiser_by_time, to_denoiser_by_noise],
    wrong=[
        Wrong(
            seen(lambda x, sigma, x_t, t, v: x - t * v(x, t)),
            "Your velocity sees x: it was trained on x_t, which is x / (1 + sigma).",
        ),
        Wrong(
            seen(lambda x, sigma, x_t, t, v: x_t + t * v(x_t, t)),
            "The sign is wrong: v points from the data to the noise, so x0 lies at x_t minus t v.",
        ),
        Wrong(
            seen(lambda x, sigma, x_t, t, v: x_t - sigma * v(x_t, sigma)),
            "You used sigma for the time: t is sigma / (1 + sigma).",
        ),
        Wrong(
            seen(lambda x, sigma, x_t, t, v: x_t - t * v(x_t, sigma)),
            "Your velocity is told sigma: it was trained with the time t.",
        ),
        Wrong(
            seen(lambda x, sigma, x_t, t, v: x_t - t * v(x, t)),
            "Only the first x_t is there: the velocity, too, must see x / (1 + sigma) and not x.",
        ),
        Wrong(
            seen(lambda x, sigma, x_t, t, v: x - sigma * v(x, sigma)),
            "You get x and sigma: turn them into x_t and t before you ask the velocity.",
        ),
        Wrong(
            seen(lambda x, sigma, x_t, t, v: x_t + (1 - t) * v(x_t, t)),
            "That is the noise: x_t + (1 - t) v is the estimate of eps, and x_t - t v that of x0.",
        ),
        Wrong(
            seen(lambda x, sigma, x_t, t, v: x - t * v(x_t, t)),
            "You took t v off x: (18.4) takes it off x_t, where the clean point needs no scale.",
        ),
        Wrong(
            seen(lambda x, sigma, x_t, t, v: (1 + sigma) * (x_t - t * v(x_t, t))),
            "x_t - t v is the clean point already: no factor 1 + sigma is left to undo.",
        ),
        Wrong(
            seen(lambda x, sigma, x_t, t, v: x_t - v(x_t, t)),
            "You went back by the whole v: from time t only the part t of the way is left.",
        ),
    ],
    home="course_lib.flow_matching:denoiser_of",
)


# 18.2 the loss


def call_flow_loss(fn, x0, t, eps, A):
    """The loss of a small velocity that could be trained."""
    A.requires_grad_()
    return trainable(fn(lambda x_t, t: torch.tanh(x_t @ A + t), x0, t, eps))


def flow_loss(velocity, x0, t, eps):
    """Equation (18.3)."""
    return (velocity((1 - t) * x0 + t * eps, t) - (eps - x0)).square().mean()


def flow_loss_by_rows(velocity, x0, t, eps):
    error = velocity(x0 + t * (eps - x0), t) + x0 - eps
    return torch.stack([row @ row / len(row) for row in error]).mean()


def flow_loss_of_torch(velocity, x0, t, eps):
    return mse_loss(velocity(torch.lerp(x0, eps, t.expand_as(x0)), t), eps - x0)


def aimed(target, place=lambda x0, t, eps: (1 - t) * x0 + t * eps, mean=lambda error: error.square().mean()):
    """flow_loss with another target, place or mean."""
    return lambda velocity, x0, t, eps: mean(velocity(place(x0, t, eps), t) - target(x0, eps))


def straight(x0, eps):
    return eps - x0


FLOW_LOSS = Exercise(
    "18.2",
    "The loss of flow matching",
    points=2,
    difficulty=2,
    importance=5,
    minutes=10,
    equation="(18.1), (18.3)",
    name="flow_loss",
    reference=flow_loss,
    inputs=lambda g: (normal(g, 6, 2), times(g, 6, 1), normal(g, 6, 2), normal(g, 2, 2)),
    call=call_flow_loss,
    beside=True,
    right=[flow_loss_by_rows, flow_loss_of_torch],
    wrong=[
        Wrong(
            aimed(lambda x0, eps: x0 - eps),
            "Your target points from the noise to the data: with t growing towards the noise it is eps - x0.",
        ),
        Wrong(aimed(lambda x0, eps: eps), "Your target is the noise: a velocity is the whole way, eps - x0."),
        Wrong(aimed(lambda x0, eps: x0), "Your target is the clean point: a velocity is the way, eps - x0."),
        Wrong(
            aimed(straight, lambda x0, t, eps: t * x0 + (1 - t) * eps),
            "The ends of your line are swapped: at t = 0 stands the data, at t = 1 the noise.",
        ),
        Wrong(
            aimed(straight, lambda x0, t, eps: x0 + t * eps),
            "You add noise to x0 without taking any of x0 away: (18.1) has the factor 1 - t.",
        ),
        Wrong(
            lambda velocity, x0, t, eps: ((velocity((1 - t) * x0 + t * eps, t) - (eps - x0)) / t).square().mean(),
            "There is no weight in (18.3): all times count alike.",
        ),
        Wrong(
            aimed(straight, lambda x0, t, eps: (1 - t**2).sqrt() * x0 + t * eps),
            "That is the arc of (1.9), with factors whose squares sum to 1: (18.1) is a straight line.",
        ),
        Wrong(
            aimed(straight, mean=lambda error: error.square().sum()), "Your loss grows with the batch: take the mean."
        ),
        Wrong(
            aimed(straight, mean=lambda error: error.square().sum(1).mean()),
            "You summed over the coordinates: take the mean over them too.",
        ),
        Wrong(
            aimed(straight, mean=lambda error: error.abs().mean()),
            "The square is missing: its minimum is a mean.",
        ),
    ],
)


# 18.3 the walk from noise to data


def call_walk(fn, eps, ts, A):
    """The end of a walk along a small fixed velocity."""
    return fn(lambda x_t, t: torch.tanh(x_t @ A + t), eps, ts)


def walk(velocity, eps, ts):
    """Equation (18.5) from the first time to the last."""
    x = eps
    for t, t_next in zip(ts[:-1], ts[1:]):
        x = x + (t_next - t) * velocity(x, t)
    return x


def walk_by_estimates(velocity, eps, ts):
    x = eps
    for i in range(len(ts) - 1):
        v = velocity(x, ts[i])
        x0, noise = x - ts[i] * v, x + (1 - ts[i]) * v
        x = (1 - ts[i + 1]) * x0 + ts[i + 1] * noise
    return x


def walk_down(velocity, eps, ts):
    x = eps.clone()
    for k, drop in enumerate(-ts.diff()):
        x -= drop * velocity(x, ts[k])
    return x


def stepped(step, start=lambda eps, ts: eps):
    """walk with another step (x, velocity, t, t_next, T)."""

    def walk(velocity, eps, ts):
        x = start(eps, ts)
        for t, t_next in zip(ts[:-1], ts[1:]):
            x = step(x, velocity, t, t_next, len(ts) - 1)
        return x

    return walk


def walk_inputs(g):
    inner = times(g, whole(g, 2, 4)).sort(descending=True).values
    ends = torch.ones(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    return normal(g, 4, 2), torch.cat([ends[0], inner, ends[1]]), normal(g, 2, 2)


WALK = Exercise(
    "18.3",
    "From noise to data",
    points=2,
    difficulty=2,
    importance=5,
    minutes=12,
    equation="(18.5)",
    name="walk",
    reference=walk,
    inputs=walk_inputs,
    call=call_walk,
    right=[walk_by_estimates, walk_down],
    wrong=[
        Wrong(
            stepped(lambda x, v, t, t_next, T: x + (t - t_next) * v(x, t)),
            "You walk away from the data: t_next - t is negative, and v points to the noise.",
        ),
        Wrong(
            stepped(lambda x, v, t, t_next, T: x - v(x, t) / T),
            "Your steps are all 1 / T: the times need not be evenly spaced, so use t_next - t.",
        ),
        Wrong(
            stepped(lambda x, v, t, t_next, T: x + (t_next - t) * v(x, t_next)),
            "You ask for the velocity at t_next, where the particle is not yet: the step starts at t.",
        ),
        Wrong(
            stepped(lambda x, v, t, t_next, T: x + (t_next - t) * v(x, t) / t),
            "You divided by t: that is the ratio of a step in sigma, x_t needs none.",
        ),
        Wrong(
            stepped(lambda x, v, t, t_next, T: x - t * v(x, t)),
            "Each of your steps goes the whole way to t = 0: go to t_next only.",
        ),
        Wrong(
            lambda velocity, eps, ts: walk(velocity, eps, ts[:-1]),
            "Your walk ends one step early: the last step goes to t = 0, where the data stands.",
        ),
        Wrong(
            lambda velocity, eps, ts: walk(velocity, eps, ts.flip(0)),
            "You go through the times backwards: ts begins at t = 1, where eps stands.",
        ),
        Wrong(
            lambda velocity, eps, ts: eps + (ts[-1] - ts[0]) * velocity(eps, ts[0]),
            "You take a single step from the first time to the last: stop at all times between them.",
        ),
        Wrong(
            lambda velocity, eps, ts: eps + sum((b - a) * velocity(eps, a) for a, b in zip(ts[:-1], ts[1:])),
            "Your velocity always sees the start: it must see where the particle is now.",
        ),
    ],
)


# 18.4 the shift


def shifted(t, s):
    """Equation (18.6)."""
    return s * t / (1 + (s - 1) * t)


def shifted_by_level(t, s):
    sigma = s * t / (1 - t)
    return torch.where(t < 1, sigma / (1 + sigma), torch.ones_like(t))


def shifted_by_logit(t, s):
    return torch.sigmoid(torch.logit(t) + torch.tensor(s, dtype=t.dtype).log())


def keeps_the_ends(fn, inputs):
    ends = torch.tensor([1.0, 0.0], dtype=torch.float64)
    if not torch.equal(fn(ends, 3.0), ends):
        return "The ends must stay: t = 1 is noise alone and t = 0 data, whatever the shift."


SHIFTED = Exercise(
    "18.4",
    "The shift of a schedule",
    points=2,
    difficulty=2,
    importance=4,
    minutes=10,
    equation="(18.6)",
    name="shifted",
    reference=shifted,
    inputs=lambda g: (times(g, 6), real(g, 1.5, 4.0)),
    right=[shifted_by_level, shifted_by_logit],
    properties=[keeps_the_ends],
    wrong=[
        Wrong(lambda t, s: s * t, "You multiply the time by s: it is the noise level that is multiplied."),
        Wrong(lambda t, s: t / (s - (s - 1) * t), "You divide the noise level by s: that is the way back."),
        Wrong(lambda t, s: s * t / (1 - t), "That is the new noise level: turn it back into a time."),
        Wrong(lambda t, s: s * t / (1 + s * t), "Your times miss 1 at the noisy end: below stands 1 + (s - 1) t."),
        Wrong(lambda t, s: s * t / 1 + (s - 1) * t, "The whole of 1 + (s - 1) t stands below the line: use brackets."),
        Wrong(lambda t, s: s * t / (1 + (1 - s) * t), "The sign below is wrong: it is 1 + (s - 1) t."),
        Wrong(lambda t, s: t / (1 + (s - 1) * t), "The s above the line is missing: your times miss 1."),
        Wrong(lambda t, s: t, "Your times come back unchanged."),
        Wrong(lambda t, s: t**s, "That is a power of the time: it lowers the times where the shift raises them."),
        Wrong(lambda t, s: t ** (1 / s), "That is a root of the time: it keeps the ends but is no factor of sigma."),
    ],
)


# 18.5 are the lines straight?

STRAIGHT = Exercise(
    "18.5",
    "What straight lines mean",
    points=3,
    difficulty=3,
    importance=4,
    minutes=15,
    rubric="1 point: each pair (x0, eps) has a straight line, but v is the mean over all pairs through x_t, so its "
    "paths bend and one step gives the mean of the data. 1 point: by (18.2) it is the same family of noisy laws and "
    "the same equation as in chapter 1, so it cannot by itself be more diverse or sample better with many steps. "
    "1 point: says what does differ (the weight of the levels in the loss, their spacing, the numbers the network "
    "sees) and names a comparison at equal network calls that would show it.",
)

EXERCISES = (TO_DENOISER, FLOW_LOSS, WALK, SHIFTED, STRAIGHT)

QUIZ = [
    Question(
        "Which noise level sigma has flow matching's time t = .8?",
        [(4.0, True, "sigma = t / (1 - t) = .8 / .2."), (0.8, False, "t is no noise level: x_t is x at a scale.")],
        otherwise="Insert t = .8 into t / (1 - t).",
    ),
    Question(
        "A schedule is shifted by s = 3. What happens to the noise levels between its two ends?",
        [
            ("Each is multiplied by 3", True, "In sigma the shift (18.6) is a factor, whatever the time."),
            ("Each is raised to the power 3", False, "The odds t / (1 - t) are multiplied, not raised to a power."),
            ("3 is added to each", False, "In log sigma something is added: log 3."),
        ],
    ),
    Question(
        "With exact velocities, one single step from t = 1 to t = 0 takes every particle to",
        [
            ("the mean of the data", True, "At t = 1 the noise says nothing of x0, so x0 = eps - v is its mean."),
            (
                "the clean point of its own straight line",
                False,
                "The velocity is a mean over all lines through x_t; the particle does not know which was its own.",
            ),
            ("a sample of the data", False, "That needs the lines to be straight for the mean velocity too."),
        ],
    ),
    Question(
        "A paper trains the same network once on v and once on eps. In which respects can the results differ?",
        [
            (
                "In the weight that the loss gives to each noise level",
                True,
                "The two squared errors are the denoiser's with different factors of sigma.",
            ),
            (
                "In what the network has to return at each level",
                True,
                "A small network finds some targets easier than others.",
            ),
            (
                "In the denoiser that a perfect network would learn",
                False,
                "Both have the same minimiser, the mean of x0 given x.",
            ),
        ],
    ),
]
