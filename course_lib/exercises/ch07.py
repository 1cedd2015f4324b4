"""Chapter 7, fine-tuning without collapse: reference answers, inputs, anticipated wrong answers, and the quiz."""

import torch

from course_lib import training
from course_lib.denoisers import GaussianMixture
from course_lib.exercises.calls import trainable
from course_lib.exercises.declare import Exercise, Question, Wrong, any_order
from course_lib.exercises.draws import normal, real, whole
from course_lib.metrics import nearest_mode, on_mode
from course_lib.samplers import geometric, sample

# 7.1 the layer


def adapted_layer(x, W, b, A, B, alpha):
    """W x + b + alpha / r B A x (7.1) for each row of x, (N, in) -> (N, out)."""
    return x @ (W + alpha / len(A) * B @ A).T + b


def adapted_in_two(x, W, b, A, B, alpha):
    return torch.nn.functional.linear(x, W, b) + alpha / A.shape[0] * (x @ A.T) @ B.T


def adapted_by_row(x, W, b, A, B, alpha):
    return torch.stack([W @ row + b + (alpha / B.shape[1]) * (B @ (A @ row)) for row in x])


def sizes(g):
    """In, out and a rank below both, above both or between them: the rank r stands in one place of each factor."""
    n, m, r = (whole(g, 2, 8) for _ in range(3))
    return n, m, r if r not in (n, m) else 9


def draw_layer(g):
    n, m, r = sizes(g)
    return normal(g, 4, n), normal(g, m, n), normal(g, m), normal(g, r, n), normal(g, m, r), real(g, 4.5, 9.0)


def factors_train(fn, inputs):
    """An adapter is there to be trained: the answer's gradient is that of (7.1)."""
    x, W, b, A, B, alpha = inputs
    with torch.enable_grad():
        A, B = A.detach().requires_grad_(), B.detach().requires_grad_()
        out, due = fn(x, W, b, A, B, alpha), adapted_layer(x, W, b, A, B, alpha)
        if not out.requires_grad:
            return "No gradient flows from your answer to A and B, which are to be trained: leave out detach."
        found = torch.autograd.grad(out.square().sum(), (A, B), allow_unused=True)
    wanted = torch.autograd.grad(due.square().sum(), (A, B))
    if any(f is None or not torch.allclose(f, w, rtol=1e-6) for f, w in zip(found, wanted)):
        return "The values are right, but the gradient does not reach both A and B, which are to be trained."
    return None


LAYER = Exercise(
    "7.1",
    "A layer with an adapter",
    points=2,
    difficulty=2,
    importance=5,
    minutes=10,
    equation="(7.1)",
    name="adapted_layer",
    reference=adapted_layer,
    inputs=draw_layer,
    draws=24,
    right=[adapted_in_two, adapted_by_row],
    properties=[factors_train],
    wrong=[
        Wrong(
            lambda x, W, b, A, B, alpha: x @ (W + alpha * B @ A).T + b,
            "You multiply by alpha alone: the scale in (7.1) is alpha divided by the rank.",
        ),
        Wrong(
            lambda x, W, b, A, B, alpha: x @ (W + B @ A).T + b,
            "alpha changes nothing in your answer: the product B A has a scale before it.",
        ),
        Wrong(
            lambda x, W, b, A, B, alpha: x @ (alpha / len(A) * B @ A).T + b,
            "Your adapter replaces the layer: W x stays, and the adapter is added to it.",
        ),
        Wrong(
            lambda x, W, b, A, B, alpha: x @ (W + alpha / len(A) * B @ A).T,
            "The bias b is missing: it stays as it was.",
        ),
        Wrong(
            lambda x, W, b, A, B, alpha: x @ (W + alpha / len(A) ** 0.5 * B @ A).T + b,
            "You divided by the root of the rank: that is a variant of LoRA; (7.1) divides by the rank itself.",
        ),
        Wrong(
            lambda x, W, b, A, B, alpha: x @ (W + alpha / A.shape[1] * B @ A).T + b,
            "You divided by the number of inputs: the rank r is the number of rows of A.",
        ),
        Wrong(
            lambda x, W, b, A, B, alpha: x @ (W + alpha / len(B) * B @ A).T + b,
            "You divided by the number of outputs: the rank r is the number of columns of B.",
        ),
        Wrong(
            lambda x, W, b, A, B, alpha: x @ (W + alpha / min(A.shape) * B @ A).T + b,
            "You divided by the smaller side of A: r is its number of rows, also where that is the larger side.",
        ),
        Wrong(
            lambda x, W, b, A, B, alpha: x @ (W + alpha / min(B.shape) * B @ A).T + b,
            "You divided by the smaller side of B: r is its number of columns, also where that is the larger side.",
        ),
        Wrong(
            lambda x, W, b, A, B, alpha: x @ (W + alpha / torch.linalg.matrix_rank(B @ A) * B @ A).T + b,
            "You computed the rank of a product, which is 0 for a new adapter: r is the number of rows of A.",
        ),
        Wrong(
            lambda x, W, b, A, B, alpha: x @ (W - alpha / len(A) * B @ A).T + b,
            "You subtract the adapter: (7.1) adds it.",
        ),
        Wrong(
            lambda x, W, b, A, B, alpha: x @ W.T + b,
            "That is the layer without its adapter.",
        ),
        Wrong(
            lambda x, W, b, A, B, alpha: alpha / len(A) * x @ (W + B @ A).T + b,
            "Your scale multiplies W as well: it stands before B A only.",
        ),
    ],
)


# 7.2 what is added, and what it costs


def added(A, B, alpha):
    """The change of the weights (out, in), and how many numbers are trained for it (7.2)."""
    return alpha / len(A) * B @ A, A.numel() + B.numel()


def added_by_outer(A, B, alpha):
    r = B.shape[1]
    delta = sum(torch.outer(B[:, k], A[k]) for k in range(r)) * alpha / r
    return delta, r * (A.shape[1] + B.shape[0])


def added_by_einsum(A, B, alpha):
    return torch.einsum("or,ri->oi", B, A) * (alpha / A.shape[0]), sum(p.numel() for p in (A, B))


def draw_factors(g):
    """A and B, of which a row is 0 as all of a new adapter's B is, and alpha."""
    n, m, r = sizes(g)
    return normal(g, r, n), torch.cat([torch.zeros(1, r), normal(g, m, r)]), real(g, 4.5, 9.0)


def of_rank(fn, inputs):
    """The change has the rank of the adapter and not more."""
    A, B, alpha = inputs
    if torch.linalg.matrix_rank(fn(A, B, alpha)[0]) > len(A):
        return "Your change has a higher rank than r: it must be a multiple of B A."
    return None


ADDED = Exercise(
    "7.2",
    "What is added, and what it costs",
    points=2,
    difficulty=2,
    importance=4,
    minutes=8,
    equation="(7.1), (7.2)",
    name="added",
    reference=added,
    inputs=draw_factors,
    draws=24,
    right=[added_by_outer, added_by_einsum],
    properties=[of_rank],
    wrong=[
        Wrong(
            lambda A, B, alpha: (alpha / len(A) * B @ A, (B @ A).numel()),
            "You counted the entries of the change: what is trained are the entries of A and of B.",
        ),
        Wrong(
            lambda A, B, alpha: (alpha * B @ A, A.numel() + B.numel()),
            "The count is right; the change lacks the division by the rank.",
        ),
        Wrong(
            lambda A, B, alpha: (B @ A, A.numel() + B.numel()),
            "The count is right; the change has a scale, alpha over the rank.",
        ),
        Wrong(
            lambda A, B, alpha: (alpha / len(A) * B @ A, A.numel() * B.numel()),
            "You multiplied the two sizes: the entries of A and those of B are added up.",
        ),
        Wrong(
            lambda A, B, alpha: (alpha / len(A) * B @ A, A.numel()),
            "You forgot to count B, which is trained as well.",
        ),
        Wrong(
            lambda A, B, alpha: (alpha / len(A) * (B @ A).T, A.numel() + B.numel()),
            "Your change lies on its side: it has the shape of W, (out, in).",
        ),
        Wrong(
            lambda A, B, alpha: (alpha / torch.linalg.matrix_rank(B @ A) * B @ A, A.numel() + B.numel()),
            "You computed the rank of a product, which is 0 for a new adapter: r is the number of rows of A.",
        ),
        Wrong(
            lambda A, B, alpha: (alpha / min(A.shape) * B @ A, A.numel() + B.numel()),
            "You divided by the smaller side of A: r is its number of rows, also where that is the larger side.",
        ),
        Wrong(
            lambda A, B, alpha: (alpha / len(A) * B @ A, int((A != 0).sum() + (B != 0).sum())),
            "You left out the zeros, with which B begins: they are trained too, so count entries.",
        ),
        Wrong(
            lambda A, B, alpha: (alpha / len(A) * B @ A, len(A)),
            "You returned the rank: count the numbers that are trained.",
        ),
    ],
)


# 7.3 prior preservation


def preserved(loss_of, prior_of, lam):
    """The loss (7.4) as a function of a pair of batches: the library's own."""
    return training.preserving(loss_of, prior_of, lam)


def preserved_plainly(loss_of, prior_of, lam):
    return lambda pair: loss_of(pair[0]) + lam * prior_of(pair[1])


def preserved_by_def(loss_of, prior_of, lam):
    def loss(pair):
        subject, of_class = pair
        total = torch.stack([loss_of(subject), prior_of(of_class)])
        return (total * torch.tensor([1.0, lam], dtype=total.dtype)).sum()

    return loss


def call_preserved(fn, subject, of_class, others, lam, a, b):
    """Two losses of the answer, both made before either is asked, on two pairs: values, slopes, and calls a value.

    A batch is a pair of tensors, which the answer hands on unopened; the two weights p are trained.
    """
    p, calls = torch.ones(2, dtype=torch.float64, requires_grad=True), [0]

    def loss_of(batch):
        calls[0] += 1
        return a * (p[0] * batch[0] - batch[1]).square().mean()

    def prior_of(batch):
        calls[0] += 1
        return b * (p[1] * batch[0] - batch[1]).abs().mean()

    losses, found = [fn(loss_of, prior_of, lam), fn(loss_of, prior_of, lam + 1.5)], []
    for loss in losses:
        for batch in (subject, others):
            found.append(trainable(loss((batch, of_class))))
    slopes = [torch.autograd.grad(one, p, retain_graph=True, allow_unused=True)[0] for one in found]
    return {"loss": torch.stack(found), "slope": torch.stack(slopes), "calls of the two losses": calls[0] / len(found)}


def draw_preserved(g):
    subject, of_class, others = ((normal(g, n, 2), normal(g, n, 2)) for n in (5, 7, 4))
    return subject, of_class, others, real(g, 0.2, 0.8), real(g, 0.5, 1.5), real(g, 2.0, 4.0)


def prior_without_gradient(loss_of, prior_of, lam):
    return lambda pair: loss_of(pair[0]) + lam * prior_of(pair[1]).detach()


def subject_without_gradient(loss_of, prior_of, lam):
    return lambda pair: loss_of(pair[0]).detach() + lam * prior_of(pair[1])


def remembers_the_first(loss_of, prior_of, lam):
    kept = []

    def loss(pair):
        kept.append(loss_of(pair[0]) + lam * prior_of(pair[1]))
        return kept[0]

    return loss


PRESERVED = Exercise(
    "7.3",
    "Keep what you had",
    points=2,
    difficulty=2,
    importance=5,
    minutes=8,
    equation="(7.4)",
    name="preserved",
    reference=preserved,
    inputs=draw_preserved,
    call=call_preserved,
    beside=True,
    right=[preserved_plainly, preserved_by_def],
    wrong=[
        Wrong(
            lambda loss_of, prior_of, lam: lambda pair: lam * loss_of(pair[0]) + prior_of(pair[1]),
            "Your lam weighs the subject: in (7.4) it weighs the prior.",
        ),
        Wrong(
            lambda loss_of, prior_of, lam: lambda pair: loss_of(pair[0]) + prior_of(pair[1]),
            "lam changes nothing in your answer: it multiplies the loss on the class.",
        ),
        Wrong(
            lambda loss_of, prior_of, lam: lambda pair: loss_of(pair[0]) + lam * loss_of(pair[1]),
            "You took the subject's loss twice: the pictures of the class are learnt under the class's own prompt.",
        ),
        Wrong(
            lambda loss_of, prior_of, lam: lambda pair: loss_of(pair[0]) + lam * prior_of(pair[0]),
            "You showed the subject's pictures under the class's prompt: that is the collapse itself; use the second "
            "batch of the pair.",
        ),
        Wrong(
            lambda loss_of, prior_of, lam: lambda pair: (1 - lam) * loss_of(pair[0]) + lam * prior_of(pair[1]),
            "You take a weighted mean of the two losses: (7.4) leaves the first one as it is.",
        ),
        Wrong(
            lambda loss_of, prior_of, lam: lambda pair: loss_of(pair[0]) - lam * prior_of(pair[1]),
            "Your sign rewards a bad prior: both losses are to be small.",
        ),
        Wrong(
            lambda loss_of, prior_of, lam: lambda pair: loss_of(pair[1]) + lam * prior_of(pair[0]),
            "You swapped the batches: the pair is (subject, class).",
        ),
        Wrong(
            prior_without_gradient,
            "No gradient flows through your prior: it would be watched and not trained, and the class would collapse.",
        ),
        Wrong(
            subject_without_gradient,
            "No gradient flows through the subject's loss, so the subject is not learnt: leave out detach and no_grad.",
        ),
        Wrong(
            remembers_the_first,
            "Your function gives the first pair's loss for every pair: compute it anew at each call.",
        ),
        Wrong(
            lambda loss_of, prior_of, lam: lambda pair: (loss_of(pair[0]) + lam * prior_of(pair[1])) / (1 + lam),
            "You divide by 1 + lam: (7.4) is a sum, not a mean.",
        ),
    ],
    home="course_lib.training:preserving",
    may_pass={"argument 1 of what is returned reordered": "Both losses are means over a batch."},
)


# 7.4 early stopping on the right number


def checkpoint(losses, modes, least):
    """Index of the lowest held-out loss among the checkpoints with at least `least` effective modes."""
    return int(losses.where(modes >= least, torch.full_like(losses, torch.inf)).argmin())


def checkpoint_by_loop(losses, modes, least):
    best = None
    for i in range(len(losses)):
        if modes[i] >= least and (best is None or losses[i] < losses[best]):
            best = i
    return best


def checkpoint_by_filter(losses, modes, least):
    good = torch.nonzero(modes >= least).flatten()
    return int(good[losses[good].argmin()])


def draw_curves(g):
    """Modes that go down with noise and a loss without a trend; the right one just passes, a lower one just fails."""
    n = whole(g, 12, 16)
    losses = (0.3 + torch.rand(n, generator=g)) * 10.0 ** whole(g, -1, 2)
    modes = torch.linspace(7.5, 3, n) + torch.randn(n, generator=g)
    place = checkpoint(losses, modes, 5.0 + 0.4 * torch.rand((), generator=g).item())
    lower = torch.nonzero(losses < losses[place]).flatten()
    if len(lower):
        modes[lower[whole(g, 0, len(lower) - 1)]] = modes[place] - 0.02
    return losses, modes, modes[place].item()


CHECKPOINT = Exercise(
    "7.4",
    "Stop at the right number",
    points=2,
    difficulty=2,
    importance=4,
    minutes=10,
    name="checkpoint",
    reference=checkpoint,
    inputs=draw_curves,
    right=[checkpoint_by_loop, checkpoint_by_filter],
    draws=16,
    wrong=[
        Wrong(
            lambda losses, modes, least: int(losses.argmin()),
            "You take the lowest loss of all, or your comparison is turned round: there the class may be gone.",
        ),
        Wrong(
            lambda losses, modes, least: int(modes.argmax()),
            "You take the most diverse checkpoint, which is near the start and has not learnt the subject.",
        ),
        Wrong(
            lambda losses, modes, least: int(torch.nonzero(modes >= least).max()),
            "You take the last checkpoint that is diverse enough: of those, the one with the lowest loss is due.",
        ),
        Wrong(
            lambda losses, modes, least: int(torch.nonzero(modes >= least).min()),
            "You take the first checkpoint that is diverse enough: that is hardly trained at all.",
        ),
        Wrong(
            lambda losses, modes, least: int(losses[modes >= least].argmin()),
            "Your index counts only the checkpoints that pass: return its place among all of them.",
        ),
        Wrong(
            lambda losses, modes, least: int(losses.where(modes < least, torch.tensor(torch.inf)).argmin()),
            "Your comparison is turned round: the probe must be at least `least`.",
        ),
        Wrong(
            lambda losses, modes, least: int(losses.where(modes > least, torch.tensor(torch.inf)).argmin()),
            "A checkpoint with exactly `least` effective modes passes too: at least that many are asked for.",
        ),
        Wrong(
            lambda losses, modes, least: checkpoint(losses, modes, least - 0.1),
            "A checkpoint just below `least` passes in your answer: compare with `least` itself, not rounded.",
        ),
        Wrong(
            lambda losses, modes, least: checkpoint(losses, modes, least) + 1,
            "Your index is one too high: the first checkpoint has the index 0.",
        ),
        Wrong(
            lambda losses, modes, least: 25 * checkpoint(losses, modes, least),
            "You returned the step: the index of the checkpoint is due.",
        ),
        Wrong(
            lambda losses, modes, least: int(losses.where(modes >= least, torch.tensor(1.0)).argmin()),
            "You put 1 in place of the losses that do not count, and a loss may be larger: put infinity.",
        ),
        Wrong(
            lambda losses, modes, least: float(losses[modes >= least].min()),
            "You returned the loss: its index is due.",
        ),
    ],
)


# 7.5 averaging adapters


def averaged(As, Bs, alpha):
    """The mean of the adapters' changes (7.5), (n, r, in) and (n, out, r) -> (out, in)."""
    return alpha / As.shape[1] * torch.bmm(Bs, As).mean(0)


def averaged_by_loop(As, Bs, alpha):
    total = sum((alpha / len(A)) * (B @ A) for A, B in zip(As, Bs))
    return total / len(As)


def averaged_by_stacking(As, Bs, alpha):
    """All factors side by side are one adapter of rank n r."""
    n, r = As.shape[:2]
    return alpha / (n * r) * torch.cat(list(Bs), 1) @ torch.cat(list(As), 0)


def draw_adapters(g):
    (n, m, r), count = sizes(g), whole(g, 3, 5)
    return normal(g, count, r, n), normal(g, count, m, r), real(g, 4.5, 9.0)


AVERAGED = Exercise(
    "7.5",
    "The mean of several adapters",
    points=2,
    difficulty=3,
    importance=4,
    minutes=10,
    equation="(7.5)",
    name="averaged",
    reference=averaged,
    inputs=draw_adapters,
    draws=10,
    right=[averaged_by_loop, averaged_by_stacking],
    wrong=[
        Wrong(
            lambda As, Bs, alpha: alpha / As.shape[1] * Bs.mean(0) @ As.mean(0),
            "You averaged the factors and then multiplied: each B belongs to its own A; multiply first.",
        ),
        Wrong(
            lambda As, Bs, alpha: alpha / As.shape[1] * torch.bmm(Bs, As).sum(0),
            "You added the changes up: each has the share 1 / n.",
        ),
        Wrong(
            lambda As, Bs, alpha: torch.bmm(Bs, As).mean(0),
            "The scale alpha over the rank is missing.",
        ),
        Wrong(
            lambda As, Bs, alpha: alpha * torch.bmm(Bs, As).mean(0),
            "The scale is alpha over the rank: you forgot the rank.",
        ),
        Wrong(
            lambda As, Bs, alpha: alpha / len(As) * torch.bmm(Bs, As).mean(0),
            "You divided alpha by the number of adapters; the mean has done that; alpha goes with the rank.",
        ),
        Wrong(
            lambda As, Bs, alpha: alpha / min(As.shape[1:]) * torch.bmm(Bs, As).mean(0),
            "You divided by the smaller side of the A: r is their number of rows, also where that is the larger side.",
        ),
        Wrong(
            lambda As, Bs, alpha: (
                alpha / torch.linalg.matrix_rank(torch.bmm(Bs, As).mean(0)) * torch.bmm(Bs, As).mean(0)
            ),
            "You computed the rank of the mean: r is the number of rows of each A.",
        ),
        Wrong(
            lambda As, Bs, alpha: alpha / As.shape[1] * Bs[0] @ As[0],
            "That is the first adapter alone.",
        ),
        Wrong(
            lambda As, Bs, alpha: alpha / (len(As) * As.shape[1]) * Bs.sum(0) @ As.sum(0),
            "You multiplied sums of factors: cross terms between the adapters appear that nobody trained.",
        ),
    ],
)


# 7.6 experiment: an ensemble whose samples are a mixture

WIDE, APART, LIGHT, EACH = 0.05, 0.3, 0.3, 200  # each member knows two places, of which one is rarer


def ensemble(members, n, g):
    """n samples, each from one member drawn at random, (7.6)."""
    levels = geometric(4.0, 0.02, 20)
    who = torch.randint(len(members), (n,), generator=g)
    x = 4.0 * torch.randn(n, 2, generator=g)
    for i, D in enumerate(members):
        if (who == i).any():
            x[who == i] = sample(D, x[who == i], levels)
    return x


def ensemble_in_turn(members, n, g):
    x = 4.0 * torch.randn(n, 2, generator=g)
    parts = [sample(D, x[i :: len(members)], geometric(4.0, 0.02, 25)) for i, D in enumerate(members)]
    return torch.cat(parts)


def of_means(members, n, g):
    def mean(x, sigma):
        return sum(D(x, sigma) for D in members) / len(members)

    return sample(mean, 4.0 * torch.randn(n, 2, generator=g), geometric(4.0, 0.02, 20))


def first_only(members, n, g):
    return sample(members[0], 4.0 * torch.randn(n, 2, generator=g), geometric(4.0, 0.02, 20))


def call_ensemble(fn, angle, count, n, seed):
    """n samples of an ensemble of `count` denoisers, each of which knows two places: of the samples of each place the
    share; how many lie on a place; the largest, smallest and number of levels the members were asked at; and how far
    the samples lie from those of the same generator once more, and of another."""
    turn = angle + 2 * torch.pi * torch.arange(count, dtype=torch.float64) / count
    centre, along = torch.stack([turn.cos(), turn.sin()], 1), torch.stack([-turn.sin(), turn.cos()], 1)
    places, asked = torch.stack([centre - 0.3 * along, centre + 0.3 * along], 1), set()  # (count, 2, 2)

    def member(own):
        D = GaussianMixture(own, 0.05, torch.tensor([0.7, 0.3], dtype=torch.float64))

        def denoiser(x, sigma):
            asked.add(float(sigma))
            return D(x, sigma)

        return denoiser

    members = [member(own) for own in places]
    x, again, other = (fn(members, n, torch.Generator().manual_seed(seed + i)) for i in (0, 0, 1))
    if x.shape != (n, 2):
        raise ValueError(f"ensemble must return ({n}, 2), got {tuple(x.shape)}")
    on, nearest = on_mode(x, places.flatten(0, 1), 0.2), nearest_mode(x, places.flatten(0, 1))
    return {
        "on": on.double().mean(),
        "share": torch.bincount(nearest, minlength=2 * count).reshape(count, 2) / n,
        "asked": torch.tensor([max(asked), min(asked), len(asked)], dtype=torch.float64),
        "again": (again - x).abs().max(),
        "other": (other - x).abs().max(),
    }


BETWEEN = (
    "Your samples lie on no place of a member: you averaged denoisers or samples, or stopped before sigma is small."
)
ONE_ONLY = "Some members draw too little: every member draws about the same share of the samples."
ELSEWHERE = "The same g gives other samples the second time: hand generator=g to everything that draws."
AGAIN = "Another g gives the same samples: draw from the g that you are given, and seed nothing inside."
LEVELS = "Begin at sigma = 4 and go down in 10 levels or more: your members were asked at others."
BENT = "Your members draw other shares of their places than alone: start each from noise of deviation 4, drawn anew."


def accept_ensemble(answer, inputs):
    """That samples lie where some member puts them, that all members take part as they would alone, that g decides."""
    count, (largest, _, levels) = inputs[1], answer["asked"].tolist()
    share = answer["share"]
    if answer["on"] < 0.9:
        return BETWEEN
    if (share.sum(1) - 1 / count).abs().max() > 0.08:
        return ONE_ONLY
    if abs(largest - 4) > 0.5 or levels < 10:
        return LEVELS
    light = share[:, 1] / share.sum(1)
    if (light - LIGHT).abs().max() > 0.15 or abs(light.mean() - LIGHT) > 0.08:
        return BENT
    if answer["again"] > 1e-9:
        return ELSEWHERE
    return AGAIN if answer["other"] < 1e-9 else None


def from_noise(deviation):
    """The mixture, each member started from noise of another deviation."""

    def started(members, n, g):
        x, levels = deviation * torch.randn(n, 2, generator=g), geometric(4.0, 0.02, 20)
        return torch.cat([sample(D, x[i :: len(members)], levels) for i, D in enumerate(members)])

    return started


def sorted_noise(members, n, g):
    """Each member gets its own slice of the noise, sorted by the first coordinate."""
    x = 4.0 * torch.randn(n, 2, generator=g)
    parts = x[x[:, 0].argsort()].tensor_split(len(members))
    return torch.cat([sample(D, part, geometric(4.0, 0.02, 20)) for D, part in zip(members, parts)])


def unequal(members, n, g):
    """Seven of ten samples of the first member."""
    x, levels, first = 4.0 * torch.randn(n, 2, generator=g), geometric(4.0, 0.02, 20), int(0.7 * n)
    parts = [x[:first], *x[first:].tensor_split(len(members) - 1)]
    return torch.cat([sample(D, part, levels) for D, part in zip(members, parts)])


def by_levels(top, steps):
    def walked(members, n, g):
        x, levels = top * torch.randn(n, 2, generator=g), geometric(top, 0.02, steps)
        return torch.cat([sample(D, x[i :: len(members)], levels) for i, D in enumerate(members)])

    return walked


ENSEMBLE = Exercise(
    "7.6",
    "An ensemble that draws",
    points=3,
    difficulty=3,
    importance=4,
    minutes=15,
    equation="(7.6)",
    name="ensemble",
    reference=ensemble,
    inputs=lambda g: (real(g, 0.0, 1.5), k := whole(g, 2, 5), EACH * k + whole(g, 1, k - 1), whole(g, 0, 2**31 - 1)),
    call=call_ensemble,
    accept=accept_ensemble,
    right=[ensemble_in_turn],
    wrong=[
        Wrong(of_means, BETWEEN),
        Wrong(first_only, ONE_ONLY),
        Wrong(by_levels(1.0, 20), LEVELS),
        Wrong(from_noise(1.0), BENT),
        Wrong(lambda members, n, g: ensemble(members, n, None), ELSEWHERE),
        Wrong(lambda members, n, g: ensemble(members, n, torch.Generator().manual_seed(0)), AGAIN),
    ],
    needs=("sample", "geometric"),
    may_pass=any_order("answer", "members"),
)


# 7.7 the fact-check

MEASURED = (
    "share_nonzero", "rank_of_rand", "loss_before", "loss_adapted", "modes_lora", "modes_dropout", "modes_decay",
    "modes_plain", "modes_augmented", "fidelity_mixture", "fidelity_products", "fidelity_factors", "modes_lowest_loss",
    "modes_tuned", "fidelity_tuned",
)  # fmt: skip
WAYS = ("mixture", "products", "factors")
CLAIMS = ("L3", "L4", "L5", "L7", "L8", "L9", "L10", "L11", "L12")


def verdicts(m):
    """Claim -> "true", "false" or "untestable" by the rules of the table in the text."""

    def mark(holds):
        return "true" if holds else "false"

    fidelities = [m["fidelity_mixture"], m["fidelity_products"], m["fidelity_factors"]]
    return {
        "L3": mark(abs(m["loss_adapted"] - m["loss_before"]) > 1e-9),
        "L4": mark(m["modes_lora"] >= 7),
        "L5": mark(m["share_nonzero"] < 0.5),
        "L7": mark(any(a >= 7 and b >= 0.95 for a, b in zip(m["modes_tuned"], m["fidelity_tuned"]))),
        "L8": mark(max(m["modes_dropout"], m["modes_decay"]) >= 7),
        "L9": mark(m["rank_of_rand"] < 256),
        "L10": mark(m["modes_augmented"] >= m["modes_plain"] + 1),
        "L11": "untestable" if max(fidelities) - min(fidelities) > 0.2 else mark(min(fidelities) >= 0.95),
        "L12": mark(m["modes_lowest_loss"] >= 7),
    }


def verdicts_by_cases(m):
    found = dict.fromkeys(("L3", "L4", "L5", "L7", "L8", "L9", "L10", "L11", "L12"), "false")
    if not -1e-9 <= m["loss_adapted"] - m["loss_before"] <= 1e-9:
        found["L3"] = "true"
    for claim, key in (("L4", "modes_lora"), ("L12", "modes_lowest_loss")):
        if m[key] >= 7:
            found[claim] = "true"
    if not m["share_nonzero"] >= 0.5:
        found["L5"] = "true"
    for i in range(len(m["modes_tuned"])):
        if m["modes_tuned"][i] >= 7 and m["fidelity_tuned"][i] >= 0.95:
            found["L7"] = "true"
    if m["modes_dropout"] >= 7 or m["modes_decay"] >= 7:
        found["L8"] = "true"
    if m["rank_of_rand"] < 256:
        found["L9"] = "true"
    if m["modes_augmented"] - m["modes_plain"] >= 1:
        found["L10"] = "true"
    low, _, high = sorted([m["fidelity_mixture"], m["fidelity_products"], m["fidelity_factors"]])
    if high - low > 0.2:
        found["L11"] = "untestable"
    elif low >= 0.95:
        found["L11"] = "true"
    return found


def verdicts_with(claim, rule):
    """The reference but for one claim."""
    return lambda m: verdicts(m) | {claim: rule(m)}


def verdicts_by_update(m):
    found = verdicts_by_cases(m)
    found.update(L9="false" if m["rank_of_rand"] >= 256 else "true")
    return found


def call_verdicts(
    fn, share_nonzero, rank_of_rand, loss_before, loss_adapted, modes_lora, modes_dropout, modes_decay, modes_plain,
    modes_augmented, fidelity_mixture, fidelity_products, fidelity_factors, modes_lowest_loss, modes_tuned,
    fidelity_tuned,
):  # fmt: skip
    """The answer's verdicts as words; raises a sentence for what is no dictionary of them."""
    m = {name: value for name, value in locals().items() if name != "fn"}
    found, claims = fn(m), ("L3", "L4", "L5", "L7", "L8", "L9", "L10", "L11", "L12")
    if not isinstance(found, dict) or any(claim not in found for claim in claims):
        raise ValueError(f"return a dictionary with the keys {', '.join(claims)}")
    for claim in claims:
        if found[claim] not in ("true", "false", "untestable") or not isinstance(found[claim], str):
            raise ValueError(f"{claim} is {found[claim]!r}: the values are the words true, false or untestable")
    return {claim: found[claim] for claim in claims}


def draw_measured(g):
    """Numbers as another network might give them, on either side of every line and on the lines themselves."""

    def one_of(*values):
        return values[whole(g, 0, len(values) - 1)]

    def modes():
        return one_of(7.0, 6.95, real(g, 1, 8), real(g, 1, 8))

    loss, plain = real(g, 0.4, 0.9), whole(g, 4, 20) / 4
    # spread wide by any one of the three, just below and just above .2, or small with one below .95 or none
    triple = one_of((0.96, 0.55, 0.97), (0.98, 0.79, 0.98), (0.98, 0.77, 0.97), (0.97, 0.93, 0.96), (0.95, 0.97, 0.99))
    triple = [triple[i] for i in torch.randperm(3, generator=g).tolist()]
    # settings that keep the modes, or neither; and, but for some draws, those that learn the subject at few modes
    kinds = [(7.5, 0.8), (2.0, 0.9), (7.2, 0.94), (6.9, 0.97), (1.5, 0.98)][: one_of(5, 3)]
    settings = [one_of(*kinds) for _ in range(15)]
    for _ in range(one_of(0, 0, 1, 2)):
        settings[whole(g, 0, 14)] = one_of((7.0, 0.95), (7.3, 0.97))
    columns = [list(column) for column in zip(*settings)]
    return (
        one_of(0.5, real(g, 0.0, 1.0), real(g, 0.3, 0.7)), one_of(256, 255, whole(g, 2, 512)), loss,
        loss + one_of(-0.3, 0.0, 1e-11, 1e-7, -1e-7, 0.3), modes(), modes(), modes(), plain,
        plain + one_of(1.0, 0.75, 0.25, 1.5, -1.25), *triple, modes(), *columns,
    )  # fmt: skip


def told(holds):
    return "true" if holds else "false"


def best_by_modes(m):
    """The fidelity of the setting with most modes."""
    return m["fidelity_tuned"][m["modes_tuned"].index(max(m["modes_tuned"]))]


def two_readings(one, two):
    return "untestable" if abs(one - two) > 0.2 else told(min(one, two) >= 0.95)


def three_readings(m, line, of):
    three = [m[f"fidelity_{way}"] for way in WAYS]
    return "untestable" if max(three) - min(three) > line else told(of(three) >= 0.95)


VERDICTS = Exercise(
    "7.7",
    "The fact-check",
    points=4,
    difficulty=3,
    importance=5,
    minutes=25,
    name="verdicts",
    reference=verdicts,
    inputs=draw_measured,
    call=call_verdicts,
    draws=60,
    right=[verdicts_by_cases, verdicts_by_update],
    wrong=[
        Wrong(
            verdicts_with("L4", lambda m: told(m["modes_lora"] > 1.5)),
            "L4: to avoid collapse is to keep at least 7 effective modes, not to be a little above one.",
        ),
        Wrong(
            verdicts_with("L5", lambda m: told(m["rank_of_rand"] < 256)),
            "L5 speaks of entries that are not zero: judge it by the share of them, not by a rank.",
        ),
        Wrong(
            verdicts_with("L7", lambda m: told(max(m["modes_tuned"]) >= 7)),
            "L7: a setting that keeps the modes and does not learn the subject is no solution; ask for both numbers.",
        ),
        Wrong(
            verdicts_with("L7", lambda m: told(max(m["modes_tuned"]) >= 7 and max(m["fidelity_tuned"]) >= 0.95)),
            "L7: modes and fidelity must be reached by the same setting, not each by another one.",
        ),
        Wrong(
            verdicts_with("L8", lambda m: told(min(m["modes_dropout"], m["modes_decay"]) >= 7)),
            "L8 says dropout or weight decay: one of them is enough.",
        ),
        Wrong(
            verdicts_with("L9", lambda m: told(m["rank_of_rand"] < 512)),
            "L9: one less than full is not low; the line is at half of the 512 rows.",
        ),
        Wrong(
            verdicts_with("L10", lambda m: told(m["modes_augmented"] > m["modes_plain"])),
            "L10: the line is a whole effective mode more, not any tiny gain.",
        ),
        Wrong(
            verdicts_with("L11", lambda m: told(m["fidelity_mixture"] >= 0.95)),
            "L11 does not say which ensemble: where three readings disagree, the claim as it stands is untestable.",
        ),
        Wrong(
            verdicts_with("L11", lambda m: told(min(m[f"fidelity_{way}"] for way in WAYS) >= 0.95)),
            "L11 has three outcomes: where the three fidelities differ by more than .2 it is untestable.",
        ),
        Wrong(
            verdicts_with("L3", lambda m: told(m["loss_adapted"] - m["loss_before"] > 1e-9)),
            "L3: a loss that has become smaller differs too; compare the size of the difference.",
        ),
        Wrong(
            verdicts_with("L3", lambda m: told(abs(m["loss_adapted"] - m["loss_before"]) > 1e-6)),
            "L3: the line is at a difference of 1e-9, and not where a difference begins to be seen.",
        ),
        Wrong(
            verdicts_with("L3", lambda m: told(m["loss_adapted"] != m["loss_before"])),
            "L3: a difference of less than 1e-9 is rounding and does not count.",
        ),
        Wrong(
            verdicts_with("L4", lambda m: told(m["modes_lora"] > 7)),
            "L4: exactly 7 modes are at least 7.",
        ),
        Wrong(
            verdicts_with("L10", lambda m: told(abs(m["modes_augmented"] - m["modes_plain"]) >= 1)),
            "L10: augmentation that lowers the modes by one raises no diversity; leave out abs.",
        ),
        Wrong(
            verdicts_with("L10", lambda m: told(m["modes_augmented"] >= m["modes_lora"] + 1)),
            "L10 compares modes_augmented with modes_plain, which was trained with the same settings.",
        ),
        Wrong(
            verdicts_with("L7", lambda m: told(m["modes_tuned"][0] >= 7 and m["fidelity_tuned"][0] >= 0.95)),
            "L7: you looked at the first setting alone; any of the 15 may be the one.",
        ),
        Wrong(
            verdicts_with(
                "L7",
                lambda m: told(sum(a >= 7 and b >= 0.95 for a, b in zip(m["modes_tuned"], m["fidelity_tuned"])) == 1),
            ),
            "L7: two settings that reach both numbers are no worse than one.",
        ),
        Wrong(
            verdicts_with("L7", lambda m: told(best_by_modes(m) >= 0.95 and max(m["modes_tuned"]) >= 7)),
            "L7: you looked at the setting with the most modes alone; another may reach both numbers.",
        ),
        Wrong(
            verdicts_with("L11", lambda m: two_readings(m["fidelity_mixture"], m["fidelity_products"])),
            "L11: three readings are compared; you left out the one by factors.",
        ),
        Wrong(
            verdicts_with("L11", lambda m: two_readings(m["fidelity_mixture"], m["fidelity_factors"])),
            "L11: three readings are compared; you left out the one by products.",
        ),
        Wrong(
            verdicts_with("L11", lambda m: three_readings(m, 0.1, min)),
            "L11: the readings disagree where they differ by more than .2, not by less.",
        ),
        Wrong(
            verdicts_with("L11", lambda m: three_readings(m, 0.2, max)),
            "L11: all three must be at least .95, not one of them.",
        ),
        Wrong(
            verdicts_with("L12", lambda m: told(m["modes_lora"] >= 7)),
            "L12: look at the checkpoint with the lowest held-out loss, not at the end of the run.",
        ),
        Wrong(
            verdicts_with("L3", lambda m: "untestable"),
            "L3 can be tested: a term in the loss would change the loss of a new adapter, whose product is zero.",
        ),
    ],
)


EXERCISES = [LAYER, ADDED, PRESERVED, CHECKPOINT, AVERAGED, ENSEMBLE, VERDICTS]

QUIZ = [
    Question(
        "A weight matrix has rank 4. How many of its entries are zero?",
        [
            ("Nearly all", False, "That is a sparse matrix. Low rank says that the rows depend on each other."),
            ("Possibly none", True, "B A is dense as a rule; its rank is 4 because all rows mix four."),
            ("All but four rows", False, "The rows are multiples of four rows, which need not be zero."),
        ],
    ),
    Question(
        "After fine-tuning on five pictures of a subject the class prompt draws only that subject. What helped?",
        [
            ("A lower rank", False, "Rank 1 collapsed as well."),
            ("Stopping at the lowest held-out loss", False, "That loss keeps falling while the modes vanish."),
            (
                "Training on the model's own pictures of the class beside it",
                True,
                "Prior preservation tells the network what the class prompt has to stay.",
            ),
            ("More dropout", False, "It slows the subject down and does not know the class."),
        ],
    ),
    Question(
        "An adapter of rank 4 was trained with alpha = 8, and loaded with alpha = 4. What comes back?",
        [
            ("The same function", False, "The scale alpha / r stands before B A and has changed."),
            ("The adapter at half its strength", True, "The scale was 2 and is 1 now."),
            ("The base model", False, "Only with a scale of 0."),
        ],
    ),
    Question(
        "Four adapters of rank 4 are averaged as products. Up to which rank can the mean have?",
        [
            (16, True, "Each product brings up to four directions of its own."),
            (4, False, "That would hold if all shared their directions."),
            (1, False, "Averaging does not lower a rank."),
        ],
        otherwise="Ranks of a sum add up at most: 4 + 4 + 4 + 4.",
    ),
]
