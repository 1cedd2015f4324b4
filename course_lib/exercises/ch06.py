"""Chapter 6, choosing where to start: reference answers, inputs, anticipated wrong answers, and the quiz."""

import torch

from course_lib import denoisers, seeds, seedselect
from course_lib.denoisers import ring
from course_lib.exercises.calls import call_trained, trainable
from course_lib.exercises.declare import Exercise, Question, Wrong, any_order
from course_lib.exercises.draws import real, whole
from course_lib.metrics import on_mode
from course_lib.samplers import geometric

# 6.1 the stretch of the map


def rows(run, z):
    """Jacobian of run at each seed, (N, d) -> (N, d, d)."""
    return denoisers.jacobian(lambda z, _: run(z), z, 0.0)


def stretch(run, z):
    """Largest singular value of (6.3), from the library's Jacobian."""
    return torch.linalg.svdvals(rows(run, z))[:, 0]


def stretch_by_squares(run, z):
    J = rows(run, z)
    return torch.linalg.eigvalsh(J.mT @ J)[:, -1].sqrt()


def stretch_one_by_one(run, z):
    jacobian = torch.autograd.functional.jacobian
    return torch.stack([torch.linalg.matrix_norm(jacobian(run, one[None])[0, :, 0], 2) for one in z])


def call_stretch(fn, z, weight):
    """The answer for eight steps on a ring with one rare mode."""
    weights = torch.tensor([weight] + 4 * [(1 - weight) / 4])
    D, sigmas = ring(5, radius=3.0, s=0.3, weights=weights), geometric(6.0, 0.3, 8)

    def run(z):  # with checkpoints, as the chapter's
        return seedselect.sampler(D, sigmas, lambda z: sigmas[0] * z)(z)

    return fn(run, z)


def squared_sum(run, z):
    z = z.detach().requires_grad_()
    return torch.autograd.grad(run(z).sum(), z)[0].norm(dim=1)


STRETCH = Exercise(
    "6.1",
    "How far does a sample move with its seed?",
    points=2,
    difficulty=3,
    importance=4,
    minutes=15,
    equation="(6.3)",
    name="stretch",
    reference=stretch,
    inputs=lambda g: (torch.randn(whole(g, 3, 6), 2, generator=g), real(g, 0.05, 0.2)),
    call=call_stretch,
    right=[stretch_by_squares, stretch_one_by_one],
    wrong=[
        Wrong(
            lambda run, z: torch.linalg.svdvals(rows(run, z))[:, -1],
            "That is the smallest singular value, the direction in which the sample moves least: (6.3) takes the max.",
        ),
        Wrong(
            lambda run, z: torch.linalg.svdvals(rows(run, z))[:, 0] ** 2,
            "Your numbers are the squares of the right ones: J^T J has the squares of the singular values of J.",
        ),
        Wrong(
            lambda run, z: rows(run, z).flatten(1).norm(dim=1),
            "That is the root of the sum over all directions: (6.3) takes the one direction that stretches most.",
        ),
        Wrong(
            lambda run, z: torch.linalg.det(rows(run, z)).abs(),
            "That is the determinant, the change of area: one direction may stretch while the other shrinks.",
        ),
        Wrong(
            squared_sum,
            "You took the gradient of the sum of the coordinates: each coordinate of x needs a gradient of its own.",
        ),
        Wrong(
            lambda run, z: rows(run, z)[:, 0].norm(dim=1),
            "You used the gradient of the first coordinate alone: the Jacobian has a row for each coordinate of x.",
        ),
    ],
    home="course_lib.denoisers:jacobian",
    may_pass={"run reordered": "The Jacobian of all particles together has the same rows in another order."},
)


# 6.2 the length of a seed


def length_nll(z):
    """Minus the log density of a seed's length (6.5): the library's own."""
    return seeds.chi_nll(z)


def length_nll_by_norm(z):
    r, d = z.flatten(1).norm(dim=1), z[0].numel()
    return r**2 / 2 - (d - 1) * r.log()


def length_nll_by_loop(z):
    return torch.stack([one.square().sum() / 2 - (one.numel() - 1) * one.square().sum().sqrt().log() for one in z])


def radius(z):
    return z.flatten(1).norm(dim=1)


LENGTH = Exercise(
    "6.2",
    "What length should a seed have?",
    points=1,
    difficulty=2,
    importance=4,
    minutes=8,
    equation="(6.5)",
    name="length_nll",
    reference=length_nll,
    call=call_trained,
    beside=True,
    inputs=lambda g: (real(g, 0.5, 1.5) * torch.randn(whole(g, 2, 4), whole(g, 2, 3), 3, 2, generator=g),),
    right=[length_nll_by_norm, length_nll_by_loop],
    wrong=[
        Wrong(
            lambda z: radius(z) ** 2 / 2 - z[0].numel() * radius(z).log(),
            "The factor of the logarithm is d - 1: a shell of radius r has an area that grows like r to the d - 1.",
        ),
        Wrong(
            lambda z: radius(z) ** 2 / 2 + (z[0].numel() - 1) * radius(z).log(),
            "Both of your terms grow with the length, so the best seed would be 0: look at the signs of (6.5).",
        ),
        Wrong(
            lambda z: radius(z) ** 2 - (z[0].numel() - 1) * radius(z).log(),
            "The half before the squared length is missing.",
        ),
        Wrong(
            lambda z: radius(z) / 2 - (z[0].numel() - 1) * radius(z).log(),
            "The length enters the first term squared.",
        ),
        Wrong(
            lambda z: radius(z) ** 2 / 2 - (z[0].numel() - 1) * radius(z).square().log(),
            "You took the logarithm of the squared length, which is twice too large.",
        ),
        Wrong(
            lambda z: radius(z) ** 2 / 2 - (z.shape[1] - 1) * radius(z).log(),
            "d is the number of all coordinates of a seed, not of its first axis.",
        ),
        Wrong(
            lambda z: length_nll_by_norm(z).mean(),
            "One number for each seed is due, (N,): you averaged over the seeds.",
        ),
    ],
    home="course_lib.seeds:chi_nll",
)


# 6.3 the loss


def centroid_loss(x, references, lam, encode):
    """lam (6.6) + (1 - lam) (6.7): the library's own."""
    semantic = seedselect.semantic(encode, encode(references).mean(0))
    return lam * semantic(x) + (1 - lam) * seedselect.appearance(references.mean(0))(x)


def centroid_loss_by_norm(x, references, lam, encode):
    there, here = encode(references).mean(0), references.mean(0)
    return lam * (encode(x) - there).norm(dim=1) + (1 - lam) * (x - here).norm(dim=1)


def centroid_loss_by_loop(x, references, lam, encode):
    v, v_mean, x_mean = encode(x), encode(references).mean(0), references.mean(0)
    far = [lam * ((a - v_mean) ** 2).sum() ** 0.5 + (1 - lam) * ((b - x_mean) ** 2).sum() ** 0.5 for a, b in zip(v, x)]
    return torch.stack(far)


def call_centroid_loss(fn, x, references, lam, a):
    """The answer for points that could be moved, with an encoder that is no straight line."""

    def encode(x):
        return torch.stack([x[:, 0] * x[:, 1], a * x.square().sum(1), (a * x).sin().sum(1)], 1)

    return trainable(fn(x.requires_grad_(), references, lam, encode))


def parts(x, references, encode):
    """Both distances, (N,) each."""
    return (encode(x) - encode(references).mean(0)).norm(dim=1), (x - references.mean(0)).norm(dim=1)


def swapped(x, references, lam, encode):
    semantic, look = parts(x, references, encode)
    return (1 - lam) * semantic + lam * look


def squared(x, references, lam, encode):
    semantic, look = parts(x, references, encode)
    return lam * semantic**2 + (1 - lam) * look**2


def unweighted(x, references, lam, encode):
    semantic, look = parts(x, references, encode)
    return lam * semantic + look


def encoded_mean(x, references, lam, encode):
    centre = references.mean(0)
    return lam * (encode(x) - encode(centre[None])).norm(dim=1) + (1 - lam) * (x - centre).norm(dim=1)


def mean_distance(x, references, lam, encode):
    semantic, look = torch.cdist(encode(x), encode(references)).mean(1), torch.cdist(x, references).mean(1)
    return lam * semantic + (1 - lam) * look


def by_cosine(x, references, lam, encode):
    v, mean = encode(x), encode(references).mean(0)
    cosine = torch.cosine_similarity(v, mean.expand_as(v), dim=1)
    return lam * (1 - cosine) + (1 - lam) * parts(x, references, encode)[1]


LOSS = Exercise(
    "6.3",
    "Like the references",
    points=2,
    difficulty=2,
    importance=4,
    minutes=10,
    equation="(6.6), (6.7), (6.8)",
    name="centroid_loss",
    reference=centroid_loss,
    inputs=lambda g: (
        torch.randn(whole(g, 3, 6), 2, generator=g),
        2 * torch.randn(whole(g, 3, 5), 2, generator=g),
        real(g, 0.15, 0.35),
        real(g, 0.7, 1.4),
    ),
    call=call_centroid_loss,
    beside=True,
    tolerance=1e-6,
    right=[centroid_loss_by_norm, centroid_loss_by_loop],
    wrong=[
        Wrong(
            encoded_mean,
            "You encoded the mean of the references: (6.6) takes the mean of their features, which is another point.",
        ),
        Wrong(swapped, "lam and 1 - lam are exchanged: lam weighs the features."),
        Wrong(squared, "Your distances are squared: (6.6) and (6.7) are lengths."),
        Wrong(
            mean_distance,
            "You averaged the distances to the references: the distance to their mean is due.",
        ),
        Wrong(unweighted, "The second distance stands there with its full weight: it counts 1 - lam."),
        Wrong(
            by_cosine,
            "You used 1 - cos, as the published code does: (6.6) is the Euclidean distance of the paper.",
        ),
        Wrong(
            lambda x, references, lam, encode: centroid_loss_by_norm(x, references, lam, encode).sum(),
            "One number for each sample is due, (N,): you summed over the samples.",
        ),
    ],
    home="course_lib.seedselect:semantic",
    may_pass=any_order("references"),
)


# 6.4 the loop


def choose_seed(run, z, loss, iterations, lr):
    """Adam on the seeds, best seed kept (6.8): the library's own."""
    return seedselect.seedselect(run, z, loss, iterations, lr).z


def plain_adam(z, lr):
    return torch.optim.Adam(z, lr=lr)


def loop(optimiser=plain_adam, clear=True, late=False, keep="each", spare=0, mean=False, again=False):
    """A learner's loop, with a mistake where an argument says so."""

    def choose(run, z, loss, iterations, lr):
        z = z.clone().requires_grad_()
        adam = optimiser([z], lr)
        best, low = z.detach().clone(), torch.full((len(z),), torch.inf)
        for _ in range(iterations - spare):
            values = loss(run(z))
            if again:
                loss(run(z))
            if clear:
                adam.zero_grad()
            (values.mean() if mean else values.sum()).backward()
            before = z.detach().clone()
            adam.step()
            now, values = z.detach().clone() if late else before, values.detach()
            judged = values.sum().expand(len(z)) if keep == "batch" else values
            better = judged < low if keep != "worst" else (judged > low) | low.isinf()
            best, low = torch.where(better[:, None], now, best), torch.where(better, judged, low)
        return best if keep != "last" else z.detach()

    return choose


def choose_by_hand(run, z, loss, iterations, lr):
    z = z.clone()
    m, v, seen = torch.zeros_like(z), torch.zeros_like(z), []
    for t in range(1, iterations + 1):
        z.requires_grad_()
        values = loss(run(z))
        (slope,) = torch.autograd.grad(values.sum(), z)
        z = z.detach()
        seen.append((values.detach(), z))
        m, v = 0.9 * m + 0.1 * slope, 0.999 * v + 0.001 * slope**2
        z = z - lr * (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)
    values, zs = (torch.stack(column) for column in zip(*seen))
    return zs[values.argmin(0), torch.arange(zs.shape[1])]


def call_choose_seed(fn, z, iterations, lr, a):
    """The answer on a map with a bend in it; the first seed starts close to the target, the others do not.

    The loss is in small units: Adam forgets the size of a gradient only as far as it is large beside its eps of 1e-8,
    so that a mean over the seeds in place of a sum is another answer.
    """

    def run(z):
        return a * z + torch.sin(z)

    target, asked = run(z[:1] + 0.04), [0]

    def loss(x):
        asked[0] += 1
        return 1e-6 * (x - target).square().sum(1).clamp(min=1e-24).sqrt()

    found = fn(run, z, loss, iterations, lr)
    return {"seeds": found, "losses": asked[0]} if isinstance(found, torch.Tensor) else found


def no_gradient_left(fn, inputs):
    """Seeds are numbers to sample from, not part of a graph."""

    def run(z):
        return 2 * z

    found = fn(run, inputs[0], lambda x: x.square().sum(1), 2, 0.1)
    if found.requires_grad:
        return "Your seeds still carry a gradient: return them detached."
    return None


CHOOSE = Exercise(
    "6.4",
    "Choose the seed",
    points=3,
    difficulty=3,
    importance=5,
    minutes=20,
    equation="(6.8)",
    name="choose_seed",
    reference=choose_seed,
    inputs=lambda g: (
        torch.randn(whole(g, 4, 6), 2, generator=g),
        whole(g, 6, 9),
        real(g, 0.1, 0.15),
        real(g, 1.8, 2.4),
    ),
    call=call_choose_seed,
    right=[loop(), choose_by_hand],
    properties=[no_gradient_left],
    wrong=[
        Wrong(
            loop(keep="last"),
            "You return the seeds of the last step: the loss jumps, so keep each seed's best.",
        ),
        Wrong(
            loop(late=True),
            "You keep the seed after the step together with the loss before it: they belong to different seeds.",
        ),
        Wrong(loop(clear=False), "Gradients of earlier iterations add up: clear them before each backward pass."),
        Wrong(
            loop(keep="batch"),
            "You keep the iteration that was best for all seeds together: each seed has its own best iteration.",
        ),
        Wrong(loop(keep="worst"), "You keep each seed's worst: a lower loss is better."),
        Wrong(
            loop(lambda z, lr: torch.optim.SGD(z, lr=lr)),
            "That is plain gradient descent: Adam is asked for.",
        ),
        Wrong(
            loop(lambda z, lr: torch.optim.AdamW(z, lr=lr)),
            "AdamW shrinks the seeds at every step by its weight decay, .01 unless you say 0: use Adam.",
        ),
        Wrong(
            loop(mean=True),
            "You averaged the losses: each seed's gradient then shrinks with the number of seeds; sum them.",
        ),
        Wrong(loop(spare=1), "One iteration is missing: the loss is computed `iterations` times, first at z itself."),
        Wrong(loop(spare=-1), "One iteration is too many: the loss is computed `iterations` times, first at z itself."),
        Wrong(loop(again=True), "You compute the loss twice in each iteration: keep its values, since runs cost."),
    ],
    home="course_lib.seedselect:seedselect",
)


# 6.5 the contrastive loss


def contrastive(v, centroids, own):
    """Minus the log probability of the own class (6.10): the library's own."""
    return seedselect.contrastive(lambda v: v, centroids, own)(v)


def far(v, centroids):
    return (v[:, None] - centroids).norm(dim=2)  # (N, C)


def contrastive_by_sum(v, centroids, own):
    return far(v, centroids)[:, own] + (-far(v, centroids)).exp().sum(1).log()


def contrastive_by_entropy(v, centroids, own):
    target = torch.full((len(v),), own)
    return torch.nn.functional.cross_entropy(-far(v, centroids), target, reduction="none")


def without_own(v, centroids, own):
    others = [c for c in range(len(centroids)) if c != own]
    return far(v, centroids)[:, own] + (-far(v, centroids)[:, others]).exp().sum(1).log()


CONTRAST = Exercise(
    "6.5",
    "Towards one, away from the others",
    points=2,
    difficulty=2,
    importance=3,
    minutes=10,
    further=True,
    equation="(6.10)",
    name="contrastive",
    reference=contrastive,
    inputs=lambda g: (
        torch.randn(whole(g, 6, 8), 3, generator=g),
        torch.randn(whole(g, 3, 5), 3, generator=g),
        whole(g, 1, 2),
    ),
    call=call_trained,
    beside=True,
    right=[contrastive_by_sum, contrastive_by_entropy],
    wrong=[
        Wrong(
            lambda v, centroids, own: -far(v, centroids).log_softmax(1)[:, own],
            "Your loss falls as the own centroid gets farther: the softmax is of minus the distances.",
        ),
        Wrong(
            lambda v, centroids, own: (-far(v, centroids)).log_softmax(1)[:, own],
            "The minus before the logarithm is missing: a loss is small where the probability is large.",
        ),
        Wrong(
            lambda v, centroids, own: -(-far(v, centroids).square()).log_softmax(1)[:, own],
            "Your distances are squared: (6.10) has lengths.",
        ),
        Wrong(
            lambda v, centroids, own: -(-far(v, centroids)).softmax(1)[:, own],
            "The logarithm is missing: you return minus the probability.",
        ),
        Wrong(
            lambda v, centroids, own: -(-far(v, centroids)).log_softmax(0)[:, own],
            "Your softmax runs over the samples: the probabilities of one sample sum to one over the classes.",
        ),
        Wrong(
            lambda v, centroids, own: (-far(v, centroids)).softmax(1)[:, own],
            "You return the probability itself: the loss is minus its logarithm.",
        ),
        Wrong(
            lambda v, centroids, own: contrastive_by_sum(v, centroids, 0),
            "You take class 0 for the own one: `own` says which it is.",
        ),
        Wrong(without_own, "The own class is missing in the sum: it is one of the classes."),
        Wrong(
            lambda v, centroids, own: far(v, centroids)[:, own],
            "That is the distance to the own centroid alone: nothing pushes away from the others.",
        ),
        Wrong(
            lambda v, centroids, own: contrastive_by_sum(v, centroids, own).mean(),
            "One number for each sample is due, (N,): you averaged over the samples.",
        ),
    ],
    home="course_lib.seedselect:contrastive",
)


# 6.6 a seed made of several


def combine(z, weights):
    """Seeds combined so that the result is standard normal (6.14): the library's own."""
    return seeds.combined(z, weights)


def combine_by_loop(z, weights):
    total = sum(w * one for w, one in zip(weights, z))
    return total / sum(w**2 for w in weights) ** 0.5


def combine_by_matrix(z, weights):
    unit = weights / weights.square().sum().sqrt()
    return (unit @ z.flatten(1)).reshape(z.shape[1:])


def added(z, weights):
    return torch.tensordot(weights, z, dims=1)


COMBINE = Exercise(
    "6.6",
    "A seed made of several",
    points=2,
    difficulty=2,
    importance=4,
    minutes=10,
    equation="(6.14)",
    name="combine",
    reference=combine,
    inputs=lambda g: (
        torch.randn(K := whole(g, 3, 5), 4, 3, generator=g),
        (0.3 + 1.5 * torch.rand(K, generator=g)) * torch.tensor([1.0] * (K - 1) + [-0.3]),
    ),
    right=[combine_by_loop, combine_by_matrix],
    wrong=[
        Wrong(
            lambda z, weights: added(z, weights) / weights.sum(),
            "That is the weighted mean, which is too short: work out its variance.",
        ),
        Wrong(
            lambda z, weights: added(z, weights) / weights.sum().sqrt(),
            "You divided by the root of the sum of the weights: the variance is the sum of their squares.",
        ),
        Wrong(
            lambda z, weights: combine_by_matrix(z, weights.abs()),
            "You took the sign off the weights: a negative weight turns its seed round.",
        ),
        Wrong(
            lambda z, weights: z.mean(0),
            "That is the plain mean: it is too short, and the weights are not used.",
        ),
        Wrong(
            lambda z, weights: added(z, weights) / len(z) ** 0.5,
            "Dividing by the root of K is right for equal weights of 1 only.",
        ),
        Wrong(
            lambda z, weights: added(z, weights) / weights.square().sum(),
            "You divided by the variance of the sum: a standard deviation is due.",
        ),
        Wrong(
            lambda z, weights: z.sum(0) / len(z) ** 0.5,
            "The weights change nothing in your answer.",
        ),
        Wrong(
            lambda z, weights: added(z, weights) * (z[0].numel() ** 0.5 / added(z, weights).norm()),
            "You forced the length to be the root of d exactly: seeds vary in length, and (6.14) keeps that.",
        ),
        Wrong(lambda z, weights: added(z, weights), "The sum is there, its normalisation is not."),
    ],
    home="course_lib.seeds:combined",
)


# 6.7 experiment: the rare mode within a budget, and its spread kept

BUDGET, DUE_SUCCESS, DUE_SPREAD = 100, 0.75, 0.65


def find(run, z, loss, near):
    """The best of 16 first, then gradients, and a stop at arrival."""
    start = seedselect.best_of(run, loss, z[:16])
    return seedselect.seedselect(run, start, loss, 20, stop=near).z


def find_by_gradients_of_few(run, z, loss, near):
    start = seedselect.best_of(run, loss, z[:30])
    return seedselect.seedselect(run, start, loss, 17, lr=0.08, stop=near).z


def find_by_own_loop(run, z, loss, near):
    with torch.no_grad():
        values = torch.stack([loss(run(one)) for one in z[:16]])
    found = z[values.argmin(0), torch.arange(z.shape[1])].clone().requires_grad_()
    adam = torch.optim.Adam([found], lr=0.1)
    for _ in range(20):
        x = run(found)
        adam.zero_grad()
        loss(x).sum().backward()
        before, there = found.detach().clone(), near(x.detach())
        adam.step()
        with torch.no_grad():
            found[there] = before[there]
    return found.detach()


def call_find(fn, quarter, seed):
    """What the answer finds on a ring that the chapter has not used: arrivals, spread, runs spent, different seeds.

    All modes are equally wide, so the exact denoiser (1.3) is a x + b sum_m r_m mu_m, and a step of ddim is three
    products: the same run as `trajectory` on `ring`, at a fraction of its time.
    """
    n, modes, radius, s, weight = 100, 6, 3.0, 0.2, 0.003
    g, spent = torch.Generator().manual_seed(seed), [0.0]
    z = torch.randn(100, n, 2, generator=g)
    angle = torch.pi / 2 * quarter + 2 * torch.pi * torch.arange(modes) / modes
    means = radius * torch.stack([angle.cos(), angle.sin()], 1)  # (modes, 2)
    log_w = torch.tensor([weight] + (modes - 1) * [(1 - weight) / (modes - 1)]).log()
    sigmas = geometric(6.0, 0.1, 8).tolist()
    centroid = (means[0] + s * torch.randn(5, 2, generator=g)).mean(0)

    def run(z):
        spent[0] += (4 if z.requires_grad and torch.is_grad_enabled() else 1) * len(z.reshape(-1, 2)) / n
        x = sigmas[0] * z
        for sigma, after in zip(sigmas[:-1], sigmas[1:]):
            v, ratio = s**2 + sigma**2, after / sigma
            r = torch.addmm(log_w, x, means.T / v).softmax(1)  # responsibilities, (N, modes)
            x = (ratio + (1 - ratio) * s**2 / v) * x + r @ ((1 - ratio) * sigma**2 / v * means)
        return x

    def near(x):
        return on_mode(x, means[:1], 3 * s)

    found = fn(run, z, lambda x: (x - centroid).square().sum(1).clamp(min=1e-24).sqrt(), near).detach()
    used = spent[0]
    with torch.no_grad():
        x = run(found)
    there = near(x)
    arrived = x[there]
    spread = (arrived - arrived.mean(0)).norm(dim=1).median() / s if len(arrived) > 2 else torch.tensor(0.0)
    apart = torch.cdist(found, found, compute_mode="donot_use_mm_for_euclid_dist").fill_diagonal_(torch.inf)
    different = (apart.min(1).values > 1e-5).double().mean().item()
    return {"success": there.double().mean(), "spread": spread, "used": used, "different": different}


OVER_BUDGET = "You spend more than 100 runs for each particle: a run with gradients counts four."
BY_LUCK = "Hardly any of your seeds arrives: they are about as good as those you were given."
NOT_ENOUGH = (
    "Too few of your seeds arrive: neither choosing among 100 nor gradients from the first seed are enough; "
    "spend a part of the budget on each."
)
NARROW = "Your seeds arrive, and then draw together at the centroid: a particle that has arrived must not go on."
COPIES = "Your seeds are copies of a few: each of the 100 particles is due a seed of its own."


def accept_find(answer, inputs):
    """Budget, then arrivals, then copies, then spread."""
    if answer["used"] > BUDGET + 1e-9:
        return OVER_BUDGET
    if answer["different"] < 0.9:
        return COPIES
    found = {"arrive, .75 due": answer["success"], "spread in s, .65 due": answer["spread"]}
    if answer["success"] < 0.2:
        return BY_LUCK, found
    if answer["success"] < DUE_SUCCESS:
        return NOT_ENOUGH, found
    if answer["spread"] < DUE_SPREAD:
        return NARROW, found
    return None


def copies_of_one(run, z, loss, near):
    best = seedselect.best_of(run, loss, z[:40])
    with torch.no_grad():
        return best[loss(run(best)).argmin()].expand_as(best).clone()


FIND = Exercise(
    "6.7",
    "The rare mode on a budget",
    points=4,
    difficulty=4,
    importance=5,
    minutes=25,
    equation="(6.15)",
    name="find",
    reference=find,
    inputs=lambda g: (whole(g, 0, 3), whole(g, 0, 2**31 - 1)),
    call=call_find,
    accept=accept_find,
    draws=2,
    right=[find_by_gradients_of_few, find_by_own_loop],
    wrong=[
        Wrong(lambda run, z, loss, near: z[0], BY_LUCK),
        Wrong(lambda run, z, loss, near: seedselect.best_of(run, loss, z), NOT_ENOUGH),
        Wrong(
            lambda run, z, loss, near: seedselect.seedselect(run, seedselect.best_of(run, loss, z[:16]), loss, 21).z,
            NARROW,
        ),
        Wrong(
            lambda run, z, loss, near: seedselect.seedselect(run, z[0], loss, 30, stop=near).z,
            OVER_BUDGET,
        ),
        Wrong(copies_of_one, COPIES),
    ],
    needs=("from course_lib.seedselect import best_of, seedselect",),
    may_pass=any_order("answer", "z") | {"z kept": "Any independent seeds will do to start from."},
)


# 6.8 words

WORDS = Exercise(
    "6.8",
    "Gradients or luck?",
    points=3,
    difficulty=3,
    importance=5,
    minutes=20,
    rubric="1 point: compares the two costs for a given share of the rare kind, in network calls with the price of a "
    "gradient named, and finds the share at which they cross. "
    "1 point: names what best-of-N keeps and SeedSelect loses (the law of the kind, its spread, or independence of the "
    "loss that was optimised), with a number of this chapter. "
    "1 point: names a condition under which neither helps or the loss misleads (no gradients or memory, no references, "
    "no detector, the encoder judged by itself, a kind that the model does not have) and how one would notice.",
)


EXERCISES = [STRETCH, LENGTH, LOSS, CHOOSE, CONTRAST, COMBINE, FIND, WORDS]

QUIZ = [
    Question(
        "An exact sampler of the flow equation, a mode of weight .001. How much of the Gaussian leads to it?",
        [
            ("An eighth, if there are eight modes", False, "Regions are not equal: they weigh what their modes do."),
            ("That depends on where the mode lies", False, "Its shape does; its weight under the Gaussian does not."),
            (".001", True, "The flow carries the Gaussian onto the data: a mode's seeds weigh what the mode weighs."),
        ],
    ),
    Question(
        "Why does plain gradient descent on a seed behave so badly?",
        [
            ("The sampler has no gradient", False, "It has one at every seed; its size is the trouble."),
            (
                "The same step is far too short inside a region and far too long at its border",
                True,
                "The stretch spans four orders of magnitude; Adam divides by the gradient's usual size.",
            ),
            ("The seed leaves the shell", False, "It may, as a result of steps that are too long."),
        ],
    ),
    Question(
        "You average five seeds in 16,384 dimensions. How long is the mean, with sqrt(d) = 128?",
        [
            ("About 128", False, "Independent directions cancel; the variance of a mean of five is a fifth."),
            ("About 57", True, "128 divided by the root of 5; a hundred standard deviations off the shell."),
            ("About 26", False, "The variance is divided by 5, so the length by the root of 5."),
        ],
    ),
    Question(
        "SeedSelect has run 100 iterations towards a centroid, and every sample is right. What would you look at next?",
        [
            ("The spread among the samples", True, "A centroid is one point: everything that goes on goes there."),
            ("Nothing: all samples are right", False, "All of them may be nearly the same one."),
            ("The loss", False, "It is low, and that is the trouble: it rewards lying on the centroid."),
        ],
    ),
    Question(
        "Checkpointing makes the memory of a run independent of the number of steps, nearly. What is the price?",
        [
            ("Gradients that are slightly wrong", False, "They are equal bit by bit."),
            ("A step size that must be smaller", False, "The computation is the same one, done twice."),
            ("One more forward pass for each step", True, "Activations are computed again where they are needed."),
        ],
    ),
]
