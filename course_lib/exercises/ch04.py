"""Chapter 4, particles that repel: reference answers, inputs, anticipated wrong answers, and the quiz."""

import math

import torch

from course_lib import guidance, seeds
from course_lib.denoisers import GaussianMixture, ring
from course_lib.exercises.calls import feeling
from course_lib.exercises.declare import Exercise, Question, Wrong, any_order
from course_lib.exercises.draws import normal, real, whole
from course_lib.guidance import (
    Above,
    Determinantal,
    Groups,
    Repulsion,
    guided,
    in_groups,
    spell,
    switch,
)
from course_lib.metrics import nearest_mode, on_mode, squared_distances
from course_lib.samplers import geometric, sample


def unchanged_by_order(fn, inputs):
    """Particles have no order: shuffle them and the rows of the answer are shuffled alike."""
    x, *others = inputs
    order = torch.arange(len(x)).roll(1)
    due, got = fn(x, *others)[order], fn(x[order], *others)
    if got.shape != due.shape or (got - due).abs().max() > 1e-9:
        return "Your answer depends on the order of the particles: shuffle them and it must be shuffled alike."
    return None


# 4.1 the kernel


def similarity(x, h):
    """Kernel (4.3), (N, d) -> (N, N): the library's own."""
    return guidance.rbf(x, h)


def similarity_by_loop(x, h):
    return torch.stack([torch.stack([torch.exp(-(a - b) @ (a - b) / h) for b in x]) for a in x])


def similarity_by_products(x, h):
    square = x.square().sum(1)
    return torch.exp(-(square[:, None] + square - 2 * x @ x.T) / h)


def smooth_at_coincidence(fn, inputs):
    """The force is a gradient of this matrix: it must exist where two particles meet."""
    x, h = inputs
    x = torch.cat([x, x[:1]]).detach().requires_grad_()
    with torch.enable_grad():
        k = fn(x, h)
        if not k.requires_grad:
            return (
                "No gradient flows from your matrix to x, and the next cell asks for one: leave detach and no_grad out."
            )
        (gradient,) = torch.autograd.grad(k.sum(), x)
    if not gradient.isfinite().all():
        return (
            "The values are right, but the gradient is nan where particles coincide: square without a root before it."
        )
    return None


SIMILARITY = Exercise(
    "4.1",
    "How alike are two particles?",
    points=1,
    difficulty=1,
    importance=4,
    minutes=5,
    equation="(4.3)",
    name="similarity",
    reference=similarity,
    inputs=lambda g: (torch.randn(whole(g, 2, 6), whole(g, 3, 4), generator=g), real(g, 0.3, 1.9)),
    right=[similarity_by_loop, similarity_by_products],
    properties=[smooth_at_coincidence],
    wrong=[
        Wrong(
            lambda x, h: torch.exp(-squared_distances(x).sqrt() / h),
            "The distance enters (4.3) squared: you left out the square.",
        ),
        Wrong(
            lambda x, h: torch.exp(-squared_distances(x) / h**2),
            "You squared h: in (4.3) h is already a squared length.",
        ),
        Wrong(
            lambda x, h: torch.exp(-squared_distances(x) / (2 * h)),
            "There is no 2 below h in (4.3): that is the Gaussian with variance h, another convention.",
        ),
        Wrong(
            lambda x, h: torch.exp(-squared_distances(x) / (2 * h**2)),
            "You divided by 2 h^2, the convention in which h is a length: in (4.3) h stands alone, a squared length.",
        ),
        Wrong(
            lambda x, h: torch.exp(squared_distances(x) / h),
            "Your similarity grows with the distance: the minus in the exponent is missing.",
        ),
        Wrong(
            lambda x, h: torch.exp(-squared_distances(x) / h) - torch.eye(len(x)),
            "The diagonal of k is 1, not 0: a particle is as similar to itself as can be.",
        ),
        Wrong(
            lambda x, h: torch.exp(-(x[:, None] - x).square() / h).mean(-1),
            "You averaged after the exponential: sum the squares over the coordinates before it.",
        ),
        Wrong(
            lambda x, h: torch.exp(-(x[:, None] - x).square() / h).sum(-1),
            "You summed after the exponential: sum the squares over the coordinates before it.",
        ),
        Wrong(
            lambda x, h: torch.exp(-(x[:, None] - x).square().mean(-1) / h),
            "You averaged the squares over the coordinates: the squared length in (4.3) is their sum.",
        ),
    ],
    home="course_lib.guidance:rbf",
)


# 4.2 the repulsive force


def force(x, alpha, h):
    """Force (4.4), (N, d) -> (N, d): the gradient of the library's potential (4.2)."""
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        log_w = Repulsion(alpha, h=h)(x, x, torch.tensor(1.0))
    return torch.autograd.grad(log_w, x)[0]


def force_by_differences(x, alpha, h):
    difference = x[:, None] - x
    k = torch.exp(-difference.square().sum(-1) / h)
    return 2 * alpha / (len(x) * h) * (difference * k[..., None]).sum(1)


def force_by_products(x, alpha, h):
    k = torch.exp(-squared_distances(x) / h)
    return 2 * alpha / (len(x) * h) * (k.sum(1, keepdim=True) * x - k @ x)


def force_of_others(x, alpha, h):
    rows = []
    for i in range(len(x)):
        away = x[i] - torch.cat([x[:i], x[i + 1 :]])
        rows.append((away * torch.exp(-away.square().sum(1, keepdim=True) / h)).sum(0))
    return 2 * alpha / (len(x) * h) * torch.stack(rows)


def sums_to_zero(fn, inputs):
    """What i does to j, j does to i."""
    if fn(*inputs).sum(0).abs().max() > 1e-9:
        return "Your forces do not sum to zero: what i does to j, j does to i with the opposite sign."
    return None


def nothing_at_strength_zero(fn, inputs):
    """alpha = 0 is no force."""
    x, _, h = inputs
    if fn(x, 0.0, h).abs().max() > 0:
        return "With alpha = 0 there must be no force at all."
    return None


FORCE = Exercise(
    "4.2",
    "The repulsive force",
    points=2,
    difficulty=2,
    importance=5,
    minutes=10,
    equation="(4.4)",
    name="force",
    reference=force,
    inputs=lambda g: (torch.randn(whole(g, 3, 8), 3, generator=g), real(g, 0.5, 1.5), real(g, 0.4, 1.8)),
    right=[force_by_differences, force_by_products, force_of_others],
    properties=[sums_to_zero, unchanged_by_order, nothing_at_strength_zero],
    wrong=[
        Wrong(
            lambda x, alpha, h: -force(x, alpha, h),
            "Your particles attract each other: the minus is missing, you summed over the wrong axis, or "
            "differentiated with respect to x_j; for this kernel all three are the same arrow.",
        ),
        Wrong(
            lambda x, alpha, h: len(x) * force(x, alpha, h),
            "The force grows with N: eq. (4.4) divides the sum by N.",
        ),
        Wrong(
            lambda x, alpha, h: len(x) / (len(x) - 1) * force(x, alpha, h),
            "You divided by N - 1: eq. (4.4) divides by N.",
        ),
        Wrong(lambda x, alpha, h: force(x, alpha, h) / 2, "A factor 2 is missing: d||x||^2 / dx = 2x."),
        Wrong(
            lambda x, alpha, h: 2 * force(x, alpha, h),
            "Your force is twice too long: in the double sum of (4.2) each pair stands twice, hence its 1/2.",
        ),
        Wrong(
            lambda x, alpha, h: force(x, alpha, h**2),
            "h enters as in (4.3), not squared: here h is already a squared length.",
        ),
        Wrong(
            lambda x, alpha, h: h * force(x, alpha, h),
            "A factor 1/h is missing: the chain rule brings it down from the exponent.",
        ),
        Wrong(
            lambda x, alpha, h: alpha / len(x) * (x[:, None] - x).sum(1) * 2 / h,
            "Your force does not fade with distance: each difference needs its weight k_ij.",
        ),
        Wrong(
            lambda x, alpha, h: (
                2
                * alpha
                / (len(x) * h)
                * sum(
                    away
                    / away.norm(dim=-1, keepdim=True).clamp(min=1e-12)
                    * torch.exp(-away.square().sum(-1) / h)[..., None]
                    for away in (x - one for one in x)
                )
            ),
            "Your arrows have length 1 before they are weighed: (4.4) has the whole difference x_i - x_j.",
        ),
        Wrong(lambda x, alpha, h: force(x, 1.0, h), "alpha changes nothing in your answer: the force grows with it."),
    ],
    home="course_lib.guidance:Repulsion",
)


# 4.3 the median rule


def median_rule(x):
    """Bandwidth (4.5), (N, d) -> (): the library's own."""
    return guidance.median_bandwidth(squared_distances(x))


def call_median_rule(fn, x):
    """The bandwidth, and whether a gradient would flow through it."""
    h = torch.as_tensor(fn(x.clone().requires_grad_()))
    return {"h": h, "follows_x": bool(h.requires_grad)}


def pairs_of(x, diagonal=1):
    i, j = torch.triu_indices(len(x), len(x), diagonal)
    return (x[i] - x[j]).square().sum(1)


def median_rule_by_pairs(x):
    x = x.detach()
    each = torch.stack([(x[i] - x[j]).square().sum() for i in range(len(x)) for j in range(i)])
    return each.median() / math.log(len(x))


def median_rule_by_pdist(x):
    with torch.no_grad():
        return torch.nn.functional.pdist(x).median() ** 2 / torch.tensor(float(len(x))).log()


def few_particles(g):
    """N with an odd number of pairs, so that every convention for a median agrees; now and then N = 2."""
    N = (3, 6, 7, 10)[whole(g, 0, 3)] if torch.rand((), generator=g) > 0.1 else 2
    return (real(g, 0.5, 2.0) * torch.randn(N, 2, generator=g),)


MEDIAN = Exercise(
    "4.3",
    "The median rule",
    points=2,
    difficulty=2,
    importance=4,
    minutes=10,
    equation="(4.5)",
    name="median_rule",
    reference=median_rule,
    inputs=few_particles,
    call=call_median_rule,
    right=[median_rule_by_pairs, median_rule_by_pdist],
    wrong=[
        Wrong(
            lambda x: pairs_of(x).median() / math.log(len(x)),
            "The value is right, but h follows x: detach it, or the gradient of the kernel changes (to 0 at N = 2).",
        ),
        Wrong(
            lambda x: squared_distances(x.detach()).median() / math.log(len(x)),
            "The zeros of the diagonal are in your median: take the pairs with i < j only.",
        ),
        Wrong(
            lambda x: pairs_of(x.detach(), 0).median() / math.log(len(x)),
            "You took the pairs with i <= j: each particle's distance to itself, 0, is in your median; take i < j.",
        ),
        Wrong(
            lambda x: pairs_of(x.detach()).median() / torch.tensor(len(x) - 1.0).log(),  # inf at N = 2
            "You divided by ln(N - 1): eq. (4.5) has ln N, which is not zero at N = 2.",
        ),
        Wrong(
            lambda x: pairs_of(x.detach()).sqrt().median() / math.log(len(x)),
            "h is a squared length: square the median distance.",
        ),
        Wrong(lambda x: pairs_of(x.detach()).median(), "You left out the division by ln N."),
        Wrong(
            lambda x: pairs_of(x.detach()).mean() / math.log(len(x)),
            "That is the mean of the squared distances: one far particle would stretch it; take the median.",
        ),
        Wrong(
            lambda x: pairs_of(x.detach()).sqrt().mean() ** 2 / math.log(len(x)),
            "That is the mean of the distances, squared: one far particle would stretch it; take the median.",
        ),
        Wrong(
            lambda x: pairs_of(x.detach()).median() / math.log2(len(x)),
            "The logarithm in (4.5) is the natural one, not that to base 2.",
        ),
        Wrong(
            lambda x: pairs_of(x.detach()).median() / math.log10(len(x)),
            "The logarithm in (4.5) is the natural one, not that to base 10.",
        ),
        Wrong(
            lambda x: pairs_of(x.detach()).median() / math.log(len(x) + 1),
            "You divided by ln(N + 1): eq. (4.5) has ln N.",
        ),
    ],
    home="course_lib.guidance:median_bandwidth",
    may_pass=any_order("x"),
)


# 4.4 from a force to a denoiser


def pushed(denoiser, force):
    """Guided denoiser (4.1) from a force: the library's `guided`, with a potential whose gradient is that force."""
    return guided(denoiser, lambda x, x0, sigma: (force(x.detach()) * x).sum())


def pushed_plainly(denoiser, force):
    return lambda x, sigma: denoiser(x, sigma) + sigma**2 * force(x)


def pushed_by_score(denoiser, force):
    def pushed_denoiser(x, sigma):
        score = (denoiser(x, sigma) - x) / sigma**2
        return x + (score + force(x)) * sigma**2

    return pushed_denoiser


def force_of_the_first(denoiser, force):
    first = []

    def pushed_denoiser(x, sigma):
        first.append(force(x))
        return denoiser(x, sigma) + sigma**2 * first[0]

    return pushed_denoiser


def call_pushed(fn, x, sigma, strength, radius):
    """The answer's denoiser, from a ring and a swirling force, at two sets of particles, and how often it asked D."""
    D, calls = ring(8, radius=radius), [0]

    def counted(x, sigma):
        calls[0] += 1
        return D(x, sigma)

    def swirl(x):
        return strength * torch.stack([-x[:, 1], x[:, 0]], 1) - x.roll(1, 0)

    answer = fn(counted, swirl)
    first = answer(x, torch.tensor(sigma))
    if not isinstance(first, torch.Tensor):
        return first
    return {"x0": first, "then": answer(x.flip(0) / 2, torch.tensor(sigma / 2)), "calls": calls[0]}


PUSHED = Exercise(
    "4.4",
    "A denoiser that pushes",
    points=2,
    difficulty=3,
    importance=5,
    minutes=10,
    equation="(4.1)",
    name="pushed",
    reference=pushed,
    inputs=lambda g: (
        torch.randn(whole(g, 3, 6), 2, generator=g),
        real(g, 0.2, 0.8),
        real(g, 0.5, 1.5),
        real(g, 0.7, 1.4),
    ),
    call=call_pushed,
    right=[pushed_plainly, pushed_by_score],
    wrong=[
        Wrong(
            lambda denoiser, force: lambda x, sigma: denoiser(x, sigma) - sigma**2 * force(x),
            "The push has the wrong sign: (4.1) adds the gradient of log w, which is the force.",
        ),
        Wrong(
            lambda denoiser, force: lambda x, sigma: denoiser(x, sigma) + sigma * force(x),
            "A force is part of the score, and the score is (D - x) / sigma^2: multiply by sigma^2, not by sigma.",
        ),
        Wrong(
            lambda denoiser, force: lambda x, sigma: denoiser(x, sigma) + force(x),
            "You added the force to x0 as it stands: a force is part of the score, so sigma^2 stands before it.",
        ),
        Wrong(
            lambda denoiser, force: lambda x, sigma: denoiser(x, sigma) + force(x) / sigma**2,
            "You divided by sigma^2: x0 is x plus sigma^2 times the score, and the force is part of the score.",
        ),
        Wrong(lambda denoiser, force: denoiser, "Your new denoiser is the old one: nothing pushes."),
        Wrong(
            lambda denoiser, force: lambda x, sigma: denoiser(x, sigma) + 0 * denoiser(x, sigma) + sigma**2 * force(x),
            "You ask D twice for one answer: calls of the network are what sampling costs, so keep its answer.",
        ),
        Wrong(
            force_of_the_first,
            "Your force is that of the first call: the particles move, so ask it again at each x.",
        ),
        Wrong(
            lambda denoiser, force: lambda x, sigma: x + sigma**2 * force(x),
            "The denoiser has dropped out: start from D(x, sigma), not from x.",
        ),
        Wrong(
            lambda denoiser, force: lambda x, sigma: denoiser(x + sigma**2 * force(x), sigma),
            "You pushed x before denoising it: (4.1) adds the push to what the denoiser returns.",
        ),
        Wrong(
            lambda denoiser, force: lambda x, sigma: denoiser(x, sigma) + sigma**2 * force(denoiser(x, sigma)),
            "Your force looks at x0: here it is a force between the noisy particles, force(x).",
        ),
    ],
    home="course_lib.guidance:guided",
)


# 4.5 coupled noise


def coupled(eps):
    """Coupled noise (4.13), (N, d) -> (N, d): the library's own."""
    return seeds.coupled(eps)


def coupled_by_matrix(eps):
    N = len(eps)
    return (torch.eye(N) - 1 / N) @ eps / (1 - 1 / N) ** 0.5


def coupled_by_others(eps):
    N = len(eps)
    others = (eps.sum(0) - eps) / (N - 1)
    return (eps - others) * ((N - 1) / N) ** 0.5


def mean_is_zero(fn, inputs):
    """The coupled set has no mean left."""
    if fn(*inputs).mean(0).abs().max() > 1e-9:
        return "The particles of a coupled set must sum to zero in every coordinate."
    return None


COUPLED = Exercise(
    "4.5",
    "Noise that keeps its distance",
    points=2,
    difficulty=2,
    importance=5,
    minutes=10,
    equation="(4.13)",
    name="coupled",
    reference=coupled,
    inputs=lambda g: (torch.randn(whole(g, 3, 8), whole(g, 2, 5), generator=g),),
    right=[coupled_by_matrix, coupled_by_others],
    properties=[mean_is_zero, unchanged_by_order],
    wrong=[
        Wrong(
            lambda eps: eps - eps.mean(0),
            "Without its mean a set has too little variance: work out how much is left, and which factor restores it.",
        ),
        Wrong(
            lambda eps: len(eps) / (len(eps) - 1) * (eps - eps.mean(0)),
            "Your particles vary too much: a factor on the noise enters its variance squared.",
        ),
        Wrong(
            lambda eps: ((len(eps) - 1) / len(eps)) ** 0.5 * (eps - eps.mean(0)),
            "Your factor is upside down: the variance has become smaller and must be raised again.",
        ),
        Wrong(
            lambda eps: (len(eps) / (len(eps) - 1)) ** 0.5 * (eps - eps.mean(1, keepdim=True)),
            "You took the mean of each particle's coordinates: the mean runs over the particles.",
        ),
        Wrong(
            lambda eps: (len(eps) / (len(eps) - 1)) ** 0.5 * (eps - eps.mean()),
            "You subtracted one number, the mean of everything: each coordinate has its own mean over the particles.",
        ),
        Wrong(
            lambda eps: (eps - eps.mean(0)) / eps.std(0),
            "You divided by the spread this set happens to have: then no particle is standard normal any more.",
        ),
        Wrong(
            lambda eps: (eps.shape[1] / (eps.shape[1] - 1)) ** 0.5 * (eps - eps.mean(0)),
            "Your factor counts coordinates: N is the number of particles.",
        ),
    ],
    home="course_lib.seeds:coupled",
)


# 4.6 choose among many


def farthest(phi, n):
    """Greedy farthest-point selection (4.14), (K, d) -> (n,): the library's own."""
    return seeds.select_from_many(phi, n)


def chosen_by(score):
    """A selection that starts with candidate 0 and takes the highest score(distances to the chosen, (K, taken))."""

    def select(phi, n):
        chosen = [0]
        while len(chosen) < n:
            value = score(squared_distances(phi, phi[chosen]).sqrt())
            value[chosen] = -torch.inf
            chosen.append(int(value.argmax()))
        return torch.tensor(chosen)

    return select


def farthest_by_sets(phi, n):
    chosen, left = [0], set(range(1, len(phi)))
    while len(chosen) < n:
        best = max(left, key=lambda m: min((phi[m] - phi[c]).norm().item() for c in chosen))
        chosen.append(best)
        left.remove(best)
    return torch.tensor(chosen)


def two_of_each(fn, inputs):
    """Nobody is chosen twice, even among candidates that coincide."""
    chosen = fn(torch.tensor([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0], [1.0, 0.0]]), 4)
    if sorted(chosen.tolist()) != [0, 1, 2, 3]:
        return "Among candidates that coincide you choose one twice: a candidate that is taken must not be taken again."
    return None


FARTHEST = Exercise(
    "4.6",
    "Ten of many",
    points=3,
    difficulty=3,
    importance=4,
    minutes=15,
    equation="(4.14)",
    name="farthest",
    reference=farthest,
    inputs=lambda g: (torch.randn(whole(g, 14, 24), 2, generator=g), whole(g, 6, 9)),
    right=[chosen_by(lambda d: d.min(1).values), farthest_by_sets],
    properties=[two_of_each],
    wrong=[
        Wrong(
            chosen_by(lambda d: d[:, 0].clone()),
            "You take those farthest from the first: two of them may coincide; compare with all that are chosen.",
        ),
        Wrong(
            chosen_by(lambda d: d[:, -1].clone()),
            "You only look at the last one chosen, and so you jump to and fro between two ends.",
        ),
        Wrong(
            chosen_by(lambda d: d.max(1).values),
            "You use the distance to the farthest chosen one: what counts is the nearest, hence a minimum.",
        ),
        Wrong(
            chosen_by(lambda d: d.sum(1)),
            "You add the distances up: a candidate beside a chosen one may win; take the distance to the nearest.",
        ),
        Wrong(
            chosen_by(lambda d: -d.min(1).values),
            "You take the nearest candidate each time: the next one is the farthest.",
        ),
        Wrong(lambda phi, n: farthest(phi, n + 1)[1:], "The first one is missing: candidate 0 is the first of the n."),
        Wrong(
            lambda phi, n: farthest(phi, n).sort().values,
            "These are the right candidates in another order: return them in the order in which you chose them.",
        ),
        Wrong(
            lambda phi, n: phi[farthest(phi, n)],
            "You return the chosen points: their indices are due.",
        ),
    ],
    home="course_lib.seeds:select_from_many",
)


# 4.7 experiment: more modes of a circle that the chapter has not used, within a budget

MODES, RADIUS, SPREAD, SETS, LEVELS = 12, 3.0, 0.2, 50, 40
DUE_MODES, DUE_SHARE = 9.0, 0.95


def diverse(D, size):
    """A shield as wide as the modes are apart, and only while the score can still pull back."""
    return switch(1.2, in_groups(spell(D, 1.5), size), D)


def somewhere(g):
    """The modes of a circle that is turned and moved by a draw, (12, 2), so that only the denoiser knows them."""
    turn = (torch.arange(MODES, dtype=torch.float64) + real(g, 0.3, 0.7)) * 2 * math.pi / MODES
    way = torch.nn.functional.normalize(normal(g, 2), dim=0) * real(g, 0.8, 1.6)
    return RADIUS * torch.stack([turn.cos(), turn.sin()], 1) + way, whole(g, 0, 2**31 - 1)


def call_diverse(fn, means, seed):
    """Particles after 40 steps on a circle of 12 modes, calls for each, and what sets of 6 do to each other."""
    D, points = GaussianMixture(means, SPREAD), [0]

    def counted(x, sigma):
        points[0] += len(x)
        return D(x, sigma)

    g, levels = torch.Generator().manual_seed(seed), geometric(2 * RADIUS, 0.06, LEVELS)
    x = sample(fn(counted, MODES), 2 * RADIUS * torch.randn(SETS * MODES, 2, generator=g), levels)
    near = torch.randn(2, MODES // 2, 2, generator=g, dtype=torch.float64) / 2  # any shield is felt there, early
    leak, felt, numbered = feeling(fn(counted, MODES // 2), *near, levels[::5])
    plain, points[0] = sample(D, near.flatten(0, 1), levels), 0
    pushed = sample(fn(counted, MODES), near.flatten(0, 1), levels)  # one set, since vmap calls once for all sets
    push, calls = (pushed - plain).abs().max(), points[0] / len(pushed)
    return {"x": x, "calls": calls, "push": push, "leak": leak, "felt": felt, "numbered": numbered}


OVER = "You call the denoiser more than 40 times for each particle: once a level is the budget."
NOTHING = "These are the particles of the plain denoiser: nothing in your answer repels."
LEAK = "Your sets see each other: with size = 6 the first six particles changed when the next six did; keep sets apart."
NUMBERED = "Two particles of a set that change places must change their answers: yours depend on a particle's number."
APART = "Some particles of a set do not feel each other: let all `size` of them repel."
CLOSER = "Your samples hit fewer modes than independent ones, 7.8: they attract each other, or are scattered at random."
TORN = "Less than .95 of your samples lie on a mode: push less, or only where the score can pull back."
TOO_FEW = "You hit fewer than 9 of the 12 modes: push harder, and scale radius and level with the spacing of the modes."


def accept_diverse(answer, inputs):
    """Budget, that all in a set repel and none outside it, then the share on a mode, then the modes hit."""
    centres, x = inputs[0], answer["x"]
    if answer["calls"] > LEVELS + 1:  # vmap may try once in vain
        return OVER
    if answer["push"] < 1e-6:
        return NOTHING
    if answer["leak"] > 1e-6:
        return LEAK
    if answer["numbered"] > 1e-3:
        return NUMBERED
    if answer["felt"] == 0:
        return APART
    on = on_mode(x, centres, 3 * SPREAD)
    hit = torch.nn.functional.one_hot(nearest_mode(x, centres), MODES).bool() & on[:, None]
    modes, share = hit.view(-1, MODES, MODES).any(1).sum(1).double().mean(), on.double().mean()
    found = {"modes hit, 9 due": modes, "share on a mode, .95 due": share}
    if share < DUE_SHARE:
        return TORN, found
    if modes < 6.8:
        return CLOSER, found
    if modes < DUE_MODES:
        return TOO_FEW, found
    return None


def diverse_by_volume(D, size):
    volume = Groups(size, Above(0.6, Determinantal(0.2)))
    return guided(D, volume, through_denoiser=True)


def diverse_by_small_shield(D, size):
    shield = in_groups(spell(D, 1.4), size)
    return lambda x, sigma: shield(x, sigma) if sigma > 1.1 else D(x, sigma)


def own_sectors(D, size):
    """Pulls each particle to a direction of its own, whatever the others do."""

    def denoiser(x, sigma):
        turn = (torch.arange(len(x)) % size) * 2 * math.pi / size
        return D(x, sigma) + (sigma > 1.2) * torch.stack([turn.cos(), turn.sin()], 1)

    return denoiser


def asks_twice(D, size):
    shield = in_groups(spell(D, 1.5), size)
    return lambda x, sigma: D(x, sigma) + (shield(x, sigma) - D(x, sigma) if sigma > 1.2 else 0)


DIVERSE = Exercise(
    "4.7",
    "Another circle",
    points=4,
    difficulty=3,
    importance=5,
    minutes=25,
    name="diverse",
    reference=diverse,
    inputs=somewhere,
    call=call_diverse,
    accept=accept_diverse,
    right=[diverse_by_volume, diverse_by_small_shield],
    wrong=[
        Wrong(lambda D, size: D, NOTHING),
        Wrong(lambda D, size: switch(0.4, in_groups(spell(D, 0.6), size), D), TOO_FEW),
        Wrong(lambda D, size: in_groups(spell(D, 1.5), size), TORN),
        Wrong(asks_twice, OVER),
        Wrong(lambda D, size: switch(1.2, in_groups(spell(D, 1.5), 12), D), LEAK),
        Wrong(own_sectors, NUMBERED),
        Wrong(lambda D, size: switch(1.2, in_groups(spell(D, 1.5), size // 2), D), APART),
        Wrong(lambda D, size: guided(D, Groups(size, Repulsion(-3.0))), CLOSER),
    ],
    needs=("switch", "in_groups", "spell"),
)


# 4.8 words

WORDS = Exercise(
    "4.8",
    "When would you not repel?",
    points=3,
    difficulty=3,
    importance=5,
    minutes=20,
    rubric="1 point: names a purpose for which the law must stay as it is (estimating shares, training data, a rare "
    "mode's weight) and says why repulsion breaks it (unequal weights are flattened, total variation rises). "
    "1 point: names a situation in which a cheaper method does as well (coupled noise at no cost, selection where "
    "candidates are cheap, or far more modes than particles, so that independent draws rarely meet) with a number of "
    "this chapter. "
    "1 point: names the sign by which one would notice harm (share on a mode, or quality, printed beside the modes) "
    "and the noise level or the learned score as its cause.",
)


EXERCISES = [SIMILARITY, FORCE, MEDIAN, PUSHED, COUPLED, FARTHEST, DIVERSE, WORDS]

QUIZ = [
    Question(
        "k is the kernel of particles i and j. Which way does its gradient with respect to x_i point?",
        [
            ("Towards x_j", True, "Similarity grows when x_i moves towards x_j, and a gradient points uphill."),
            ("Away from x_j", False, "Moving away lowers the similarity; the force has a minus for that reason."),
            ("It depends on h", False, "h changes the length of the arrow, never its direction."),
        ],
    ),
    Question(
        "Two particles, median rule, bandwidth detached. You double their distance. What happens to the force?",
        [
            ("It halves", True, "The force is alpha ln 2 / (2 distance): the bandwidth grows along, so k stays 1/2."),
            ("It doubles", False, "x_i - x_j doubles, but h grows fourfold."),
            ("It vanishes like a Gaussian", False, "With a fixed h it would; the median rule stretches h along."),
            ("It was zero anyway", False, "That is the implementation with ln(N - 1); ln 2 is not zero."),
        ],
    ),
    Question(
        "A method hits 9.0 of 10 modes by nearest centre, another 8.5, at the same calls. Which is better?",
        [
            ("The first", False, "By nearest centre a sample between the modes counts as well."),
            ("The second", False, "It may be, but this number alone does not say so."),
            (
                "That needs the share of samples on a mode",
                True,
                "The shield that is always on hits 9.0 modes by nearest centre with seven of ten samples on a mode.",
            ),
        ],
    ),
    Question(
        "Why is x0 not simply moved by 1 when x moves by 1 (slope 1)?",
        [
            (
                "Because D hardly moves with x where sigma is large, so slope 1 makes the push far too strong",
                True,
                "The slope of the Gaussian denoiser is sigma_d^2 / (sigma^2 + sigma_d^2), small at high noise.",
            ),
            ("Because autograd cannot go through D", False, "It can, for a backward pass through the network."),
            ("Because slope 1 makes particles attract", False, "The sign stays as it is; the size is wrong."),
        ],
    ),
    Question(
        "The modes have the weights 1 : 2 : ... : 10. Repulsion hits more of them. What happens to their frequencies?",
        [
            ("They stay as the weights are", False, "Each particle moves to where others are not, to the light modes."),
            ("They move towards equal shares", True, "Light modes are hit too often."),
            ("Only the lightest mode changes", False, "The heavy modes lose what the light ones gain."),
        ],
    ),
]
