"""Chapter 12, LoRA on pictures: reference answers, inputs, anticipated wrong answers, and the quiz."""

import copy

import torch

from course_lib import metrics, training
from course_lib.exercises.calls import trainable
from course_lib.exercises.declare import Exercise, Question, Wrong, any_order
from course_lib.exercises.draws import normal, real, whole

# 12.1 what an adapter trains


def adapter_size(layers, targets, rank):
    """Numbers that adapters of one rank train: r (out + in) for each layer whose name ends in a target."""
    return sum(rank * (n + m) for name, n, m in layers if name.endswith(tuple(targets)))


def size_by_factors(layers, targets, rank):
    total = 0
    for name, out, into in layers:
        if any(name.endswith(end) for end in targets):
            total += torch.empty(rank, into).numel() + torch.empty(out, rank).numel()
    return total


def size_by_slices(layers, targets, rank):
    chosen = [layer for layer in layers if any(layer[0][-len(end) :] == end for end in targets)]
    return rank * sum(layer[1] for layer in chosen) + rank * sum(layer[2] for layer in chosen)


def draw_layers(g):
    """Layers of two blocks: names that end in two targets, in more than one, only hold one, or end as one does.

    The added layers are narrower than the rank as a rule.
    """
    layers = []
    for block in range(2):
        wide, text, narrow = 8 * whole(g, 1, 9), 8 * whole(g, 1, 14), whole(g, 1, 4)
        of_picture = ("attn1.to_q", "attn1.to_k", "attn2.to_q", "attn2.to_out.0", "attn2.to_q.norm", "ff.net.0")
        inputs = dict.fromkeys(of_picture, wide) | dict.fromkeys(("attn2.to_k", "attn2.to_v"), text)
        inputs |= dict.fromkeys(("attn2.add_to_q", "attn2.add_to_k"), narrow) | {"attn2.to_k.norm": 4, "ff.net.2": text}
        layers += [(f"block{block}.{name}", 2 * text if name == "ff.net.0" else wide, inputs[name]) for name in inputs]
    targets = (["to_q", "q", "to_out.0"], ["to_k", "attn2.to_k", "to_out.0"], ["to_out.0", "k", "add_to_k"])
    return layers, targets[whole(g, 0, 2)], whole(g, 2, 12)


def sized(counts):
    """The reference with another rule for how often a layer counts: counts(name, targets) -> a number."""
    return lambda layers, targets, rank: sum(counts(name, targets) * rank * (n + m) for name, n, m in layers)


SIZE = Exercise(
    "12.1",
    "What an adapter trains",
    points=2,
    difficulty=1,
    importance=3,
    minutes=6,
    equation="(7.2)",
    name="adapter_size",
    reference=adapter_size,
    inputs=draw_layers,
    draws=16,
    right=[size_by_factors, size_by_slices],
    wrong=[
        Wrong(
            lambda layers, targets, rank: sum(
                rank * (n + m) for name, n, m in layers if any(t in name for t in targets)
            ),
            "A layer is counted whose name only holds a target: the name has to end in it.",
        ),
        Wrong(
            lambda layers, targets, rank: sum(rank * (n + m) for _, n, m in layers),
            "You counted all layers: only those whose name ends in one of the targets get an adapter.",
        ),
        Wrong(
            lambda layers, targets, rank: sum(rank * n * m for name, n, m in layers if name.endswith(tuple(targets))),
            "You multiplied the two sides of a layer: A has rank times in numbers, and B has out times rank.",
        ),
        Wrong(
            lambda layers, targets, rank: sum(n * m for name, n, m in layers if name.endswith(tuple(targets))),
            "You counted the weights of the layers themselves: they are frozen; count A and B.",
        ),
        Wrong(
            lambda layers, targets, rank: sum(rank * m for name, _, m in layers if name.endswith(tuple(targets))),
            "You counted A alone: B is trained as well.",
        ),
        Wrong(
            lambda layers, targets, rank: sum(n + m for name, n, m in layers if name.endswith(tuple(targets))),
            "The rank is missing: A has as many rows, and B as many columns.",
        ),
        Wrong(
            lambda layers, targets, rank: sum(
                n * m + rank * (n + m) for name, n, m in layers if name.endswith(tuple(targets))
            ),
            "You added the frozen weights to those that are trained.",
        ),
        Wrong(
            sized(lambda name, targets: sum(name.endswith(end) for end in targets)),
            "A layer whose name ends in two of the targets is counted twice: it gets one adapter.",
        ),
        Wrong(
            sized(lambda name, targets: any(name.endswith("." + end) for end in targets)),
            "You ask for a dot before the target: add_to_q ends in to_q as well.",
        ),
        Wrong(
            sized(lambda name, targets: name.split(".")[-1] in targets),
            "You compare what follows the last dot with the targets: to_out.0 holds a dot itself, and add_to_q ends in "
            "to_q.",
        ),
        Wrong(
            sized(lambda name, targets: name.split(".")[-1] in [end.split(".")[-1] for end in targets]),
            "You cut names and targets at their last dot: of to_out.0 only 0 is left, and other names end so.",
        ),
        Wrong(
            lambda layers, targets, rank: sum(
                min(rank, n, m) * (n + m) for name, n, m in layers if name.endswith(tuple(targets))
            ),
            "You cut the rank at a layer's width: A has `rank` rows all the same, and all of them are trained.",
        ),
    ],
    may_pass=any_order("layers", "targets"),
)


# 12.2 the loss in v


def v_loss(x0, estimate, sigma):
    """Mean squared error of v, from an estimate of x0 (12.1): the library's loss with sigma_data = 1."""
    return training.denoising_loss(lambda x, s: estimate, x0, sigma, torch.zeros_like(x0), sigma_data=1.0)


def v_loss_by_weight(x0, estimate, sigma):
    return ((1 + 1 / sigma**2) * (estimate - x0) ** 2).mean()


def v_loss_by_v(x0, estimate, sigma):
    x = x0 + sigma  # any noise will do
    v, v_hat = ((((x - one) / sigma) - sigma * one) / (1 + sigma**2).sqrt() for one in (x0, estimate))
    return (v_hat - v).square().mean()


def weighed(weight):
    """The mean of a weight of sigma times the squared error."""
    return lambda x0, estimate, sigma: (weight(sigma) * (estimate - x0).square()).mean()


def call_v_loss(fn, x0, estimate, sigma):
    """The loss, and its gradient with respect to the estimate, which alone is trained."""
    estimate = estimate.requires_grad_()
    loss = trainable(fn(x0, estimate, sigma))
    slope = torch.autograd.grad(loss, estimate, allow_unused=True, materialize_grads=True)[0]
    return {"loss": loss, "gradient": slope}


def draw_estimate(g):
    """A batch of one or more pictures of any size, an estimate of it and its levels."""
    shape = whole(g, 1, 7), whole(g, 1, 4), whole(g, 1, 4), whole(g, 2, 4)
    return normal(g, *shape), normal(g, *shape), (2 * normal(g, shape[0], 1, 1, 1)).exp()


def v_loss_untracked(x0, estimate, sigma):
    with torch.no_grad():
        loss = v_loss_by_weight(x0, estimate, sigma)
    return loss.requires_grad_()


V_LOSS = Exercise(
    "12.2",
    "The loss in v",
    points=2,
    difficulty=2,
    importance=4,
    minutes=10,
    further=True,
    equation="(12.1)",
    name="v_loss",
    reference=v_loss,
    inputs=draw_estimate,
    draws=12,
    call=call_v_loss,
    beside=True,
    right=[v_loss_by_weight, v_loss_by_v],
    tolerance=1e-7,
    wrong=[
        Wrong(
            weighed(lambda s: torch.ones_like(s)),
            "sigma changes nothing in your answer: the error of x0 has a weight in (12.1).",
        ),
        Wrong(weighed(lambda s: 1 / s**2), "Your weight is 1 / sigma**2: that turns x0 into epsilon, not into v."),
        Wrong(weighed(lambda s: 1 + 1 / s), "You forgot a square: the weight of (12.1) holds sigma squared."),
        Wrong(
            lambda x0, estimate, sigma: ((1 + 1 / sigma**2) * (estimate - x0)).mean(),
            "The error is not squared: errors of either sign cancel in your mean.",
        ),
        Wrong(
            lambda x0, estimate, sigma: ((1 + 1 / sigma**2) * (estimate - x0).abs()).mean(),
            "You took the size of the error: (12.1) takes its square.",
        ),
        Wrong(weighed(lambda s: 1 + s**2), "The division by sigma**2 is missing from your weight."),
        Wrong(weighed(lambda s: s**2 / (1 + s**2)), "Your weight is turned over: it must grow where sigma is small."),
        Wrong(
            weighed(lambda s: (1 + 1 / s**2).sqrt()), "Your weight is a root: the error is squared, so is its factor."
        ),
        Wrong(
            lambda x0, estimate, sigma: (1 + 1 / sigma**2).mean() * (estimate - x0).square().mean(),
            "You averaged the weight and the error apart: each picture's error has its own weight.",
        ),
        Wrong(
            lambda x0, estimate, sigma: ((1 + 1 / sigma**2) * (estimate - x0).square()).flatten(1).sum(1).mean(),
            "You added up the numbers of a picture: (12.1) takes their mean, like that over the pictures.",
        ),
        Wrong(
            lambda x0, estimate, sigma: ((1 + 1 / sigma**2) * (estimate - x0).square()).sum(),
            "You added everything up: (12.1) is a mean, over the pictures and over their numbers.",
        ),
        Wrong(
            weighed(lambda s: (1 / s**2).clamp(max=5)),
            "You kept the cap of the base model's training, min(SNR, 5): (12.1) is the plain error of v.",
        ),
        Wrong(
            weighed(lambda s: (1 / s**2).clamp(max=5) / (1 / s**2 + 1)),
            "Your weight is min(SNR, 5) / (SNR + 1): it stood before the error of v in the base model's training, and "
            "(12.1) has another.",
        ),
        Wrong(
            v_loss_untracked,
            "The number is right, but no gradient reaches the estimate: requires_grad_() on a finished loss makes "
            "none; leave out no_grad.",
        ),
    ],
    home="course_lib.training:denoising_loss",
)


# 12.3 the smallest change that leaves some inputs alone


def smallest_change(W, s, kept, target):
    """The smallest change of W that sends s to the target and changes nothing for the rows of kept (12.3)."""
    q = s - torch.linalg.pinv(kept) @ (kept @ s)
    return torch.outer(target - W @ s, q) / (q @ s)


def change_by_pinv(W, s, kept, target):
    inputs = torch.cat([s[None], kept]).T  # (in, K + 1)
    wanted = torch.zeros(len(W), len(kept) + 1, dtype=W.dtype)
    wanted[:, 0] = target - W @ s
    return wanted @ torch.linalg.pinv(inputs)


def change_by_basis(W, s, kept, target):
    basis = torch.linalg.qr(kept.T)[0]
    q = s - basis @ (basis.T @ s)
    return (target - W @ s)[:, None] * q[None] / q.square().sum()


def change_one_by_one(W, s, kept, target):
    q = s.clone()
    for row in kept:
        q = q - (s @ row) / (row @ row) * row
    return torch.outer(target - W @ s, q) / (q @ s)


def change_in_turn(W, s, kept, target):
    q = s.clone()
    for row in kept:
        q = q - (q @ row) / (row @ row) * row
    return torch.outer(target - W @ s, q) / (q @ s)


def first_only(W, s, kept, target):
    return smallest_change(W, s, kept[:1], target)


def rest_of(s, kept):
    return s - torch.linalg.pinv(kept) @ (kept @ s)


def draw_change(g):
    """A layer higher or wider, one to three kept inputs that are not at right angles, s and its target."""
    m, n, K = whole(g, 1, 12), whole(g, 6, 10), whole(g, 1, 3)
    return normal(g, m, n), normal(g, n), normal(g, K, n) + 0.7, normal(g, m)


CHANGE = Exercise(
    "12.3",
    "Change one word, keep the others",
    points=3,
    difficulty=4,
    importance=4,
    minutes=20,
    further=True,
    equation="(12.3)",
    name="smallest_change",
    reference=smallest_change,
    inputs=draw_change,
    draws=12,
    right=[change_by_pinv, change_by_basis],
    tolerance=1e-6,
    wrong=[
        Wrong(
            lambda W, s, kept, target: torch.outer(target - W @ s, s) / (s @ s),
            "You sent s to the target and moved the kept inputs along: use the part of s that they do not share.",
        ),
        Wrong(
            change_one_by_one,
            "You took the kept inputs away one by one, and they are not at right angles: project on all at once.",
        ),
        Wrong(
            change_in_turn,
            "Each kept input that you take away brings back a part of those before it, as they are not at right "
            "angles: make them so first, or project on all at once.",
        ),
        Wrong(first_only, "You kept the first row only: all rows of kept must stay."),
        Wrong(
            lambda W, s, kept, target: torch.outer(target - W @ s, rest_of(s, kept)) / (s @ s),
            "The kept inputs stay, but s does not reach its target: the divisor is q . s, not s . s.",
        ),
        Wrong(
            lambda W, s, kept, target: torch.outer(target, q := rest_of(s, kept)) / (q @ s),
            "You added the whole target: W s is there already, so add what is missing.",
        ),
        Wrong(
            lambda W, s, kept, target: W + torch.outer(target - W @ s, q := rest_of(s, kept)) / (q @ s),
            "You returned the new weights: the change alone is due.",
        ),
        Wrong(
            lambda W, s, kept, target: torch.outer(W @ s - target, q := rest_of(s, kept)) / (q @ s),
            "Your sign is turned: the change has to lead from W s to the target.",
        ),
    ],
    may_pass=any_order("kept"),
)


# 12.4 prior preservation as one batch


def preserved_loss(D, x0, sigma, eps, n, lam):
    """Loss on the first n pictures plus lam times that on the others (12.4), with one call of D."""
    error = (1 + 1 / sigma**2) * (D(x0 + sigma * eps, sigma) - x0).square()
    return error[:n].mean() + lam * error[n:].mean()


def preserved_by_split(D, x0, sigma, eps, n, lam):
    estimate = D(x0 + sigma * eps, sigma)
    error = (estimate - x0).square().flatten(1).mean(1) * (sigma.flatten() ** 2 + 1) / sigma.flatten() ** 2
    of_subject, of_class = error.split([n, len(x0) - n])
    return of_subject.mean() + lam * of_class.mean()


def preserved_by_weights(D, x0, sigma, eps, n, lam):
    share = torch.cat([torch.full((n,), 1 / n), torch.full((len(x0) - n,), lam / (len(x0) - n))]).to(x0)
    error = (1 + sigma**-2) * (D(x0 + sigma * eps, sigma) - x0) ** 2
    return (share * error.mean((1, 2, 3))).sum()


def errors(D, x0, sigma, eps):
    """The weighed squared errors."""
    return (1 + 1 / sigma**2) * (D(x0 + sigma * eps, sigma) - x0).square()


def twice_called(D, x0, sigma, eps, n, lam):
    first, last = errors(D, x0[:n], sigma[:n], eps[:n]), errors(D, x0[n:], sigma[n:], eps[n:])
    return first.mean() + lam * last.mean()


def halves(D, x0, sigma, eps, n, lam):
    first, last = errors(D, x0, sigma, eps).chunk(2)
    return first.mean() + lam * last.mean()


def without_weight(D, x0, sigma, eps, n, lam):
    error = (D(x0 + sigma * eps, sigma) - x0).square()
    return error[:n].mean() + lam * error[n:].mean()


def without_sigma(D, x0, sigma, eps, n, lam):
    error = (1 + 1 / sigma**2) * (D(x0 + eps, sigma) - x0).square()
    return error[:n].mean() + lam * error[n:].mean()


def subject_cut(D, x0, sigma, eps, n, lam):
    error = errors(D, x0, sigma, eps)
    return error[:n].mean().detach() + lam * error[n:].mean()


def class_cut(D, x0, sigma, eps, n, lam):
    error = errors(D, x0, sigma, eps)
    return error[:n].mean() + lam * error[n:].mean().detach()


def untracked(D, x0, sigma, eps, n, lam):
    with torch.no_grad():
        loss = preserved_loss(D, x0, sigma, eps, n, lam)
    return loss.requires_grad_()


def with_input(change):
    """The reference with something else given to D: change(x0, sigma, eps)."""

    def answer(D, x0, sigma, eps, n, lam):
        error = (1 + 1 / sigma**2) * (D(change(x0, sigma, eps), sigma) - x0).square()
        return error[:n].mean() + lam * error[n:].mean()

    return answer


def against_noise(D, x0, sigma, eps, n, lam):
    error = (1 + 1 / sigma**2) * (D(x0 + sigma * eps, sigma) - eps).square()
    return error[:n].mean() + lam * error[n:].mean()


def cut_at(place):
    """The reference with the subject's pictures ending elsewhere: place(n)."""

    def answer(D, x0, sigma, eps, n, lam):
        error = errors(D, x0, sigma, eps)
        return error[: place(n)].mean() + lam * error[place(n) :].mean()

    return answer


def last_rows(D, x0, sigma, eps, n, lam):
    error = errors(D, x0, sigma, eps)
    return error[-n:].mean() + lam * error[:-n].mean()


def call_preserved(fn, x0, sigma, eps, n, lam):
    """The loss for a denoiser with two parameters, its gradient, and whether the denoiser was called once."""
    calls, trained = [], torch.tensor([0.8, 0.3], dtype=x0.dtype, requires_grad=True)

    def D(x, sigma):
        calls.append(len(x))
        return trained[0] * x.tanh() / (1 + sigma) + trained[1] * sigma

    loss = trainable(fn(D, x0, sigma, eps, n, lam))
    slope = torch.autograd.grad(loss, trained, allow_unused=True, materialize_grads=True)[0]
    return {"loss": loss, "gradient": slope, "calls of D": min(len(calls), 2)}


def draw_batch(g):
    """As many pictures of the subject as of the class, more or fewer, down to one; lam below 1, 1, or above."""
    n, m, shape = whole(g, 1, 6), whole(g, 1, 6), (whole(g, 1, 3), whole(g, 2, 4), whole(g, 1, 4))
    x0, eps, sigma = normal(g, n + m, *shape), normal(g, n + m, *shape), (0.5 * normal(g, n + m, 1, 1, 1)).exp()
    return x0, sigma, eps, n, (real(g, 0.2, 0.8), 1.0, real(g, 1.2, 3.0))[whole(g, 0, 2)]


PRESERVED = Exercise(
    "12.4",
    "Two losses, one batch",
    points=3,
    difficulty=3,
    importance=5,
    minutes=15,
    equation="(12.4)",
    name="preserved_loss",
    reference=preserved_loss,
    inputs=draw_batch,
    draws=16,
    call=call_preserved,
    beside=True,
    tolerance=1e-7,
    right=[preserved_by_split, preserved_by_weights],
    wrong=[
        Wrong(
            lambda D, x0, sigma, eps, n, lam: errors(D, x0, sigma, eps).mean(),
            "You take one mean over the whole batch: lam and n change nothing in your answer.",
        ),
        Wrong(halves, "You cut the batch in the middle: the first n pictures are the subject's, and n is given."),
        Wrong(
            lambda D, x0, sigma, eps, n, lam: lam * (e := errors(D, x0, sigma, eps))[:n].mean() + e[n:].mean(),
            "Your lam weighs the subject: it belongs to the pictures of the class.",
        ),
        Wrong(without_weight, "The weight of (12.1) is missing: 1 + 1 / sigma**2, for each picture its own."),
        Wrong(
            twice_called, "The loss is right, but the network is called more than once: put both kinds in one batch."
        ),
        Wrong(
            lambda D, x0, sigma, eps, n, lam: (
                (1 - lam) * (e := errors(D, x0, sigma, eps))[:n].mean() + lam * e[n:].mean()
            ),
            "You take a weighted mean of the two: (12.4) leaves the subject's loss as it is.",
        ),
        Wrong(
            lambda D, x0, sigma, eps, n, lam: (
                ((e := errors(D, x0, sigma, eps))[:n].sum() + lam * e[n:].sum()) / e.numel()
            ),
            "You divide both sums by the size of the whole batch: each kind has a mean of its own.",
        ),
        Wrong(
            lambda D, x0, sigma, eps, n, lam: (
                (e := errors(D, x0, sigma, eps))[:n].mean() + lam * e[n:].sum() / e.numel()
            ),
            "You divide the class's sum by the size of the whole batch: its mean is over the class's pictures alone.",
        ),
        Wrong(
            lambda D, x0, sigma, eps, n, lam: (e := errors(D, x0, sigma, eps))[:n].mean() + e[n:].mean(),
            "lam changes nothing in your answer: it weighs the loss on the class.",
        ),
        Wrong(
            lambda D, x0, sigma, eps, n, lam: (e := errors(D, x0, sigma, eps))[:n].sum() + lam * e[n:].sum(),
            "You take sums: (12.4) takes the mean over each kind of pictures, or its size would count.",
        ),
        Wrong(
            lambda D, x0, sigma, eps, n, lam: (
                (e := errors(D, x0, sigma, eps) / (1 + sigma**2))[:n].mean() + lam * e[n:].mean()
            ),
            "Your weight is that of epsilon, 1 / sigma**2: the model was trained with 1 + 1 / sigma**2.",
        ),
        Wrong(
            without_sigma,
            "Your noise has no level: D is asked about x0 + sigma * eps.",
        ),
        Wrong(
            class_cut,
            "The number is right, but no gradient flows through the class's pictures: they are watched only.",
        ),
        Wrong(
            subject_cut,
            "The number is right, but no gradient flows through the subject's pictures, so the subject is not learnt.",
        ),
        Wrong(
            untracked,
            "The number is right, but no gradient reaches D: requires_grad_() on a finished loss makes none; leave out "
            "no_grad.",
        ),
        Wrong(
            lambda D, x0, sigma, eps, n, lam: (
                (e := errors(D, x0, sigma, eps).flatten(1).sum(1))[:n].mean() + lam * e[n:].mean()
            ),
            "You added up the numbers of a picture: each term of (12.4) is their mean.",
        ),
        Wrong(
            lambda D, x0, sigma, eps, n, lam: preserved_loss(D, x0, sigma, eps, n, lam) / (1 + lam),
            "You divide by 1 + lam: (12.4) is a sum, not a mean.",
        ),
        Wrong(
            cut_at(lambda n: n - 1), "You cut one picture too early: [:n] are the first n, since indices begin at 0."
        ),
        Wrong(
            cut_at(lambda n: n + 1),
            "You cut one picture too late: the class begins at index n, since the first index is 0.",
        ),
        Wrong(last_rows, "You took the last n pictures for the subject's: they are the first n."),
        Wrong(
            with_input(lambda x0, sigma, eps: x0 + sigma * torch.randn_like(eps)),
            "You draw noise of your own: eps is given.",
        ),
        Wrong(
            with_input(lambda x0, sigma, eps: (x0 + sigma * eps) / (1 + sigma**2).sqrt()),
            "You scale the noisy picture by 1 / sqrt(1 + sigma**2): D takes x0 + sigma * eps, as in (12.1).",
        ),
        Wrong(with_input(lambda x0, sigma, eps: x0), "You showed D the pictures without noise: eps is missing."),
        Wrong(against_noise, "You compare what D returns with eps: D returns an estimate of x0."),
    ],
)


# 12.5 experiment: captions that are left out

TOKENS = "In some captions only single tokens are replaced: a caption is left out as a whole, or stays."
FOREIGN = "Some rows are neither their caption nor the empty one: what stands in for a caption is `nothing`."
NONE = "No caption is ever left out: a share `share` of them is due to go."
ALL = "Every caption is left out: only a share `share` of them is due to go."
TOGETHER = "All captions of the batch go or stay together: each is left out by a draw of its own."
FRONT = "The captions that go are always the first ones: let a draw decide for each."
AGAIN = "The same captions go every time: draw from the g that you are given, and seed nothing inside."
ELSEWHERE = "The same g leaves out other captions the second time: take all your draws from g."
SWAPPED = "You keep a share of `share` and leave the rest out: it is the other way round."
OFF = "The share of captions left out is not `share`."
SHARED = "Some captions share a draw, so that one tells of the other: take as many draws as there are captions."
ONE = "One caption never goes, or always, in a hundred batches: each goes with the same probability."
COUNTED = "The same number of captions goes each time: each goes or stays by a draw of its own, so the number varies."
UNEVEN = "Some captions go far more often than others: each goes with the same probability."
BATCHES = 100


def dropped(words, nothing, share, g):
    """Each caption's embedding replaced by the empty caption's with probability `share`."""
    gone = torch.rand(len(words), generator=g) < share
    return torch.where(gone[:, None, None], nothing, words)


def dropped_by_index(words, nothing, share, g):
    out = words.clone()
    out[torch.rand(len(words), generator=g) < share] = nothing
    return out


def dropped_by_loop(words, nothing, share, g):
    return torch.stack([nothing if torch.rand((), generator=g) < share else one for one in words])


def leaving_out(gone_of):
    """The reference with another choice of those that go: gone_of(number of captions, share, g) -> (N,) bool."""

    def answer(words, nothing, share, g):
        return torch.where(gone_of(len(words), share, g)[:, None, None], nothing, words)

    return answer


def by_token(words, nothing, share, g):
    gone = torch.rand(words.shape[:2], generator=g) < share
    return torch.where(gone[..., None], nothing, words)


def zeros_for(words, nothing, share, g):
    return words * (torch.rand(len(words), 1, 1, generator=g) >= share)


def first_stays(words, nothing, share, g):
    gone = torch.rand(len(words), generator=g) < share
    gone[0] = False
    return torch.where(gone[:, None, None], nothing, words)


def call_dropped(fn, words, nothing, share, seed):
    """What comes out of 100 batches in a row, and of the first once more, from the same state of g."""
    g = torch.Generator().manual_seed(seed)
    found = [fn(words, nothing, share, g) for _ in range(100)]
    return torch.stack([*found, fn(words, nothing, share, torch.Generator().manual_seed(seed))])


def accept_dropped(found, inputs):
    """That captions go as a whole, each by its own draw from g, in the right share, over several batches."""
    words, nothing, share, _ = inputs
    empty, stays = (found == nothing).all(3), (found == words).all(3)  # (batches, N, tokens)
    if not (empty | stays).all():
        return FOREIGN
    if (empty.any(2) & ~empty.all(2)).any():
        return TOKENS
    gone, again = empty.all(2)[:BATCHES], empty.all(2)[BATCHES]
    return _who_goes(gone, again) or _how_many_go(gone.double(), share)


def _who_goes(gone, again):
    """The sentence for captions that do not go by draws of their own from g, (batches, N), or None."""
    if gone.all(1).logical_or(~gone.any(1)).all():
        return NONE if not gone.any() else ALL if gone.all() else TOGETHER
    if (gone.int().diff(dim=1) <= 0).all():
        return FRONT
    if (gone == gone[0]).all():
        return AGAIN
    return None if torch.equal(gone[0], again) else ELSEWHERE


def _how_many_go(gone, share):
    """The sentence for a wrong share, or a number or a caption that varies too little or too much, or None."""
    mean, variance = gone.mean().item(), share * (1 - share)
    error = 5 * (variance / gone.numel()) ** 0.5
    if abs(mean - share) > error:
        return SWAPPED if abs(mean - 1 + share) <= error else OFF
    if gone.sum(1).var() < 0.1 * gone.shape[1] * variance:
        return COUNTED
    if _dependence(gone) > 6:
        return SHARED
    if gone.mean(0).var() > 2 * variance / len(gone):
        return UNEVEN
    return ONE if (gone == gone[0]).all(0).any() else None


def _dependence(gone):
    """The largest correlation of captions at one distance, or mirrored at one place, in its standard errors."""
    z = gone - gone.mean(0)
    i, j = torch.triu_indices(gone.shape[1], gone.shape[1], 1)
    products, found = (z.T @ z)[i, j] / z.square().mean(), []
    for kind in (j - i, i + j):
        pairs = torch.bincount(kind)
        errors = torch.bincount(kind, products)[pairs >= 30] / (pairs[pairs >= 30] * len(gone)).sqrt()
        found.append(errors.abs().max().item())
    return max(found)


def twice_each(draws_of):
    """Fewer draws than captions, spread over them: draws_of(number of captions, g) -> (N,)."""
    return leaving_out(lambda n, share, g: draws_of(n, g)[:n] < share)


DROPPED = Exercise(
    "12.5",
    "Captions that are left out",
    points=2,
    difficulty=2,
    importance=4,
    minutes=10,
    further=True,
    name="dropped",
    reference=dropped,
    inputs=lambda g: (normal(g, whole(g, 70, 90), 3, 2), normal(g, 3, 2), real(g, 0.15, 0.4), whole(g, 0, 2**31 - 1)),
    call=call_dropped,
    accept=accept_dropped,
    draws=2,
    right=[dropped_by_index, dropped_by_loop],
    wrong=[
        Wrong(by_token, TOKENS),
        Wrong(zeros_for, FOREIGN),
        Wrong(lambda words, nothing, share, g: words.clone(), NONE),
        Wrong(lambda words, nothing, share, g: nothing.expand_as(words).clone(), ALL),
        Wrong(leaving_out(lambda n, share, g: (torch.rand((), generator=g) < share).expand(n)), TOGETHER),
        Wrong(leaving_out(lambda n, share, g: torch.arange(n) < share * n), FRONT),
        Wrong(
            leaving_out(lambda n, share, g: torch.rand(n, generator=torch.Generator().manual_seed(0)) < share), AGAIN
        ),
        Wrong(leaving_out(lambda n, share, g: torch.rand(n) < share), ELSEWHERE),
        Wrong(leaving_out(lambda n, share, g: torch.rand(n, generator=g) >= share), SWAPPED),
        Wrong(leaving_out(lambda n, share, g: torch.rand(n, generator=g) < share / 2), OFF),
        Wrong(leaving_out(lambda n, share, g: torch.randperm(n, generator=g) < round(share * n)), COUNTED),
        Wrong(leaving_out(lambda n, share, g: torch.rand(n, generator=g) < 2 * share * (torch.arange(n) % 2)), UNEVEN),
        Wrong(twice_each(lambda n, g: torch.rand((n + 1) // 2, generator=g).repeat_interleave(2)), SHARED),
        Wrong(first_stays, ONE),
    ],
)


# 12.6 nearer to what was trained on


def nearer(generated, training, held_out):
    """Share of generated pictures nearer to a training picture than to any held-out one (12.5)."""
    return metrics.nearer_to_training(generated, training, held_out)


def nearer_by_cdist(generated, training, held_out):
    seen, unseen = torch.cdist(generated, training), torch.cdist(generated, held_out)
    return (seen.amin(1) < unseen.amin(1)).double().mean()


def nearer_by_loop(generated, training, held_out):
    count = 0
    for x in generated:
        count += min((x - t).norm() for t in training) < min((x - h).norm() for h in held_out)
    return torch.as_tensor(count).double() / len(generated)


def nearer_in_float32(generated, training, held_out):
    seen, unseen = (torch.cdist(generated, some).min(1).values for some in (training, held_out))
    return (seen < unseen).float().mean()


def by_sums(points, some):
    """The smallest sum of the sizes of the differences, for each of the points."""
    return torch.cdist(points, some, p=1).amin(1)


def draw_pictures(g):
    """Some copies, some fresh ones, and two sets of any one size."""
    M, d, near, far = whole(g, 1, 8), whole(g, 1, 7), whole(g, 0, 50), whole(g, 1, 20)
    training, held_out = normal(g, M, d), normal(g, M, d)
    copies = training[torch.randint(M, (near,), generator=g)] + 1.2 * normal(g, near, d)
    return torch.cat([copies, normal(g, far, d)]), training, held_out


def ties_are_not_nearer(fn, inputs):
    """A picture that is as near to both sets is not nearer to one; the library counts it half, which is let pass."""
    both, other = torch.tensor([[0.0, 3.0]]), torch.tensor([[8.0, 0.0]])
    training, held_out = torch.cat([both, other]), torch.cat([both, -other])
    generated = torch.tensor([[0.0, 3.0], [0.0, 0.0], [9.0, 0.0], [-9.0, 0.0], [-8.0, 1.0]])
    if float(fn(generated, training, held_out)) > 0.41:  # one of five is nearer and two are as near
        return "A picture that is as near to a held-out picture is not nearer to a training one: (12.5) has <, not <=."
    return None


NEARER = Exercise(
    "12.6",
    "Nearer to what was trained on",
    points=2,
    difficulty=2,
    importance=5,
    minutes=10,
    equation="(12.5)",
    name="nearer",
    reference=nearer,
    inputs=draw_pictures,
    right=[nearer_by_cdist, nearer_by_loop, nearer_in_float32],
    properties=[ties_are_not_nearer],
    tolerance=1e-6,  # a share is that of its counts in float32 as well
    draws=20,
    wrong=[
        Wrong(
            lambda x, t, h: (torch.cdist(x, t).mean(1) < torch.cdist(x, h).mean(1)).double().mean(),
            "You compare mean distances: a copy is near one training picture, not near all of them.",
        ),
        Wrong(
            lambda x, t, h: (torch.cdist(x, t).amin(1) > torch.cdist(x, h).amin(1)).double().mean(),
            "Your comparison is turned round: count the pictures that are nearer to the training set.",
        ),
        Wrong(
            lambda x, t, h: (torch.cdist(x, t).amin(0) < torch.cdist(x, h).amin(0)).double().mean(),
            "You count training pictures: the share is one of generated pictures, each with its nearest neighbour.",
        ),
        Wrong(
            lambda x, t, h: (torch.cdist(x, t).amax(1) < torch.cdist(x, h).amax(1)).double().mean(),
            "You compare the farthest pictures: the nearest ones are due.",
        ),
        Wrong(
            lambda x, t, h: (torch.cdist(x, t) < torch.cdist(x, h)).double().mean(),
            "You compare picture by picture: first find the nearest of each set, then compare the two.",
        ),
        Wrong(
            lambda x, t, h: (torch.cdist(x, t).amin(1) - torch.cdist(x, h).amin(1)).mean(),
            "You returned a difference of distances: a share of pictures is due.",
        ),
        Wrong(
            lambda x, t, h: (torch.cdist(x, t).amin(1) < torch.cdist(x, h).amin(1)).sum().double(),
            "You returned a count: (12.5) divides it by the number of generated pictures.",
        ),
        Wrong(
            lambda x, t, h: (by_sums(x, t) < by_sums(x, h)).double().mean(),
            "You add up the sizes of the differences: the distance in (12.5) is the root of the sum of their squares.",
        ),
    ],
    home="course_lib.metrics.neighbours:nearer_to_training",
    may_pass=any_order("generated", "training", "held_out"),
)


# 12.7 experiment: is it memory?

ALARMS = "You see memory where there is none: a training set can lie well by luck; see how other sets do."
NEVER = "You call no set remembered: where hardly any of many held-out sets is as near, that is memory."
MISSED = "You miss sets that were copied: there at least 19 of 20 held-out sets are farther by the mean distance."
ALWAYS = "You call every set remembered: some of them were drawn without any."
LEVEL = "You compare the share m with a fixed number: by luck of the set m is large without memory; rank the sets."
ONE_SET = "You compare with one held-out set: one of two sets is nearer without any memory; all K are due."
AXIS = "Your minimum runs over the generated pictures: each generated picture has a nearest one in the set, not turned."
FEW = "You find memory with 12 held-out sets, where p cannot fall below 1 / 13: what do you count, and what divide by?"
PLUS = "Without the + 1 above p can be 0, even with 12 held-out sets: the training set is counted as one of the sets."
FORTY = "You divide by 40 whatever K is: there are K + 1 sets, and K is the length of held_out."
STRICT = "At p of exactly .05 you say no: ask for <=, and divide by K + 1, since the training set is one of the sets."
LINE = "You rank the sets as (12.6) does, but draw the line elsewhere than at p = .05."
TWO_SIDED = "You call it memory as well where the training set is farther than all others: only the near end counts."
TIES = "A held-out set at the same distance as the training set counts in (12.6): it has <=, not <."
TURNED = "Your comparison is turned round: p counts the held-out sets that are as near as the training set, or nearer."
PAIR = "One pair of pictures decides for you: take each generated picture's nearest, and the mean of those distances."
ALL_PAIRS = "You take the mean over all pairs: only the distance to the nearest of a set tells of copies."
MEDIAN = "You take the median of the nearest distances: (12.6) takes their mean, which a few copies move too."
FARTHEST = "You take the largest of the nearest distances: (12.6) takes their mean."
SQUARES = "You take the mean of squared distances, in which one far picture outweighs the copies: leave out the square."
TOUCHED = "One picture that lies on a training picture by chance is no memory: (12.6) has a mean over all of them."
EDGE = "Where p is just at .05 or above it, or sets are equally near, some decisions are not those of (12.6)."
BY_LUCK, COPIED, NEAR, TOO_FEW, TOUCHING, AT_THE_LIMIT = range(6)  # what a case is
# K, and how many sets are nearer, or equally near
PLACES = ((19, 0), (18, 0), (39, 1), (39, 2), (39, 39), (59, 2), (59, 3), (99, 4), (99, 5))
EQUAL = ((19, 1), (39, 1), (59, 3))


def remembers(generated, training, held_out):
    """Whether the training set is among the nearest twentieth of all sets, by (12.6)."""
    distances = torch.stack([torch.cdist(generated, one).amin(1).mean() for one in (training, *held_out)])
    return bool((distances <= distances[0]).double().mean() <= 0.05)


def remembers_by_rank(generated, training, held_out):
    own = torch.cdist(generated, training).min(1).values.mean()
    others = torch.cdist(generated[None], held_out).amin(2).mean(1)
    return bool((1 + (others <= own).sum()) / (1 + len(held_out)) <= 0.05)


def remembers_by_count(generated, training, held_out):
    def nearness(some):
        return torch.cdist(generated, some).amin(1).mean().item()

    own = nearness(training)
    return 1 + sum(nearness(one) <= own for one in held_out) <= 0.05 * (1 + len(held_out))


def nearest_mean(distances):
    """The mean distance to the nearest, (K + 1, N, M) -> (K + 1,)."""
    return distances.amin(2).mean(1)


def ranking(size=nearest_mean, nearer=torch.le, rule=lambda n, K: (1 + n) / (1 + K) <= 0.05):
    """(12.6) with another size of a set's distances, comparison, or rule for n nearer ones of K sets."""

    def test(generated, training, held_out):
        sizes = size(torch.cdist(generated[None], torch.cat([training[None], held_out])))
        return bool(rule(int(nearer(sizes[1:], sizes[0]).sum()), len(held_out)))

    return test


def shares(generated, training, held_out):
    """Equation (12.5) with each held-out set, (K,)."""
    seen, unseen = torch.cdist(generated, training).amin(1), torch.cdist(generated[None], held_out).amin(2)
    return (seen < unseen).double().mean(1)


def above(level):
    """The naive test that the chapter rejects."""
    return lambda generated, training, held_out: bool(shares(generated, training, held_out).mean() > level)


def against_one(generated, training, held_out):
    return bool(shares(generated, training, held_out[:1]).mean() > 0.5)


SLIPS = {
    PLUS: ranking(rule=lambda n, K: n / K <= 0.05),
    FORTY: ranking(rule=lambda n, K: (1 + n) / 40 <= 0.05),
    STRICT: ranking(rule=lambda n, K: (1 + n) / (1 + K) < 0.05),
    TWO_SIDED: ranking(rule=lambda n, K: 2 * (1 + min(n, K - n)) / (1 + K) <= 0.05),
    TIES: ranking(nearer=torch.lt),
    TURNED: ranking(nearer=torch.ge),
    AXIS: ranking(lambda distances: distances.amin(1).mean(1)),
    PAIR: ranking(lambda distances: distances.amin((1, 2))),
    ALL_PAIRS: ranking(lambda distances: distances.mean((1, 2))),
    MEDIAN: ranking(lambda distances: distances.amin(2).median(1).values),
    FARTHEST: ranking(lambda distances: distances.amin(2).amax(1)),
    SQUARES: ranking(lambda distances: nearest_mean(distances.square())),
    ONE_SET: against_one,
}


def call_remembers(fn, generated, training, held_out, kinds):
    """The decision on each case."""
    return torch.tensor([float(fn(*case)) for case in zip(generated, training, held_out)])


def nearest_first(generated, sets):
    """The sets from the nearest to the farthest, and how much farther each is than the one before, (K,)."""
    sizes, order = nearest_mean(torch.cdist(generated[None], sets)).sort()
    return sets[order], sizes.diff()


def draw_sets(g, kind):
    """N pictures and 40 or 13 sets, all without memory, and which of the sets is the training set."""
    K, own = (12 if kind == TOO_FEW else 39), (1.5 if kind in (BY_LUCK, TOUCHING) else 0.3)
    N, M, d, chosen = whole(g, 18, 25), whole(g, 1, 6), whole(g, 3, 5), 0
    generated, sets = normal(g, N, d), normal(g, K + 1, M, d) + own * normal(g, K + 1, 1, d)
    if kind == BY_LUCK:  # rank 5 to 9 of 40, now and then one behind the middle
        sets, chosen = nearest_first(generated, sets)[0], whole(g, 4, 8) if real(g, 0, 1) < 0.7 else whole(g, 22, 34)
    elif kind == TOUCHING:  # behind the middle, with one picture on a training picture
        sets, chosen = nearest_first(generated, sets)[0], whole(g, 22, 34)
        generated[0] = sets[chosen, 0]
    elif kind == NEAR:  # all near some picture of it, and none a copy
        generated = sets[0, torch.randint(M, (N,), generator=g)] + 0.5 * normal(g, N, d)
    else:  # eight copies of one, so that the share m is no larger than with luck; one other lies far off
        generated[:8], generated[8] = sets[0, 0] + 0.05 * normal(g, 8, d), 10 * normal(g, d)
    return generated, sets, chosen


def draw_placed(g, K, nearer):
    """A case in which so many of K held-out sets are nearer than the training set, by more than rounding."""
    while True:
        generated, sets = normal(g, 20, 4), normal(g, K + 1, whole(g, 1, 6), 4) + 0.5 * normal(g, K + 1, 1, 4)
        sets, steps = nearest_first(generated, sets)
        if (steps[max(nearer - 1, 0) : nearer + 1] > 1e-4).all():
            return generated, sets, nearer


def draw_equal(g, K, equal):
    """A case on a line of whole numbers, where distances are exact: so many held-out sets are the training set."""
    generated, own = (torch.randint(0, 12, (n, 1), generator=g).double() for n in (20, 4))
    sets = torch.stack([own] + [own.flip(0)] * equal + [own + 40 + k for k in range(K - equal)])
    return generated, sets, 0


def split(generated, sets, chosen):
    """A case: the pictures, the chosen set and the others."""
    return generated, sets[chosen], sets[torch.arange(len(sets)) != chosen]


def draw_cases(g):
    """48 cases, mixed, most of which have a place and a scale of their own."""
    kinds, cases = [BY_LUCK] * 11 + [COPIED] * 8 + [NEAR] * 5 + [TOO_FEW] * 6 + [TOUCHING] * 6, []
    drawn = [draw_sets(g, kind) for kind in kinds] + [draw_placed(g, *place) for place in PLACES]
    for generated, sets, chosen in drawn:
        place, scale = 5 * normal(g, generated.shape[1]), 10 ** real(g, -1, 1)
        cases.append(split(place + scale * generated, place + scale * sets, chosen))
    cases += [split(*draw_equal(g, *equal)) for equal in EQUAL]
    kinds = torch.tensor(kinds + [AT_THE_LIMIT] * (len(PLACES) + len(EQUAL)))
    order = torch.randperm(len(cases), generator=g)
    return (*map(list, zip(*[cases[i] for i in order.tolist()])), kinds[order])


def decisions(test, cases):
    return torch.tensor([float(test(*case)) for case in cases])


def accept_remembers(answer, inputs):
    """Each decision is that of (12.6); else whose decisions these are, or in which kind of case they are wrong."""
    cases, kinds = list(zip(*inputs[:3])), inputs[3]
    due = decisions(remembers, cases)
    if torch.equal(answer, due):
        return None
    if answer.min() == 1 or answer.max() == 0:
        return ALWAYS if answer.min() == 1 else NEVER
    for sentence, test in SLIPS.items():
        if torch.equal(answer, decisions(test, cases)):
            return sentence
    own = [nearest_mean(torch.cdist(x[None], torch.cat([t[None], h]))) for x, t, h in cases]
    p = torch.stack([(one <= one[0]).double().mean() for one in own])
    m = torch.stack([shares(*case).mean() for case in cases])
    if p[answer == 1].max() < p[answer == 0].min():
        return LINE
    if m[answer == 1].min() > m[answer == 0].max():
        return LEVEL
    alarms, missed = set(kinds[answer > due].tolist()), set(kinds[answer < due].tolist())
    told = ((alarms, BY_LUCK, ALARMS), (alarms, TOUCHING, TOUCHED), (alarms, TOO_FEW, FEW))
    told += ((missed, COPIED, MISSED), (missed, NEAR, MISSED))
    return next((sentence for wrong, kind, sentence in told if kind in wrong), EDGE)


REMEMBERS = Exercise(
    "12.7",
    "Is it memory?",
    points=3,
    difficulty=3,
    importance=4,
    minutes=15,
    equation="(12.6)",
    name="remembers",
    reference=remembers,
    inputs=draw_cases,
    call=call_remembers,
    accept=accept_remembers,
    right=[remembers_by_rank, remembers_by_count],
    wrong=[
        *(Wrong(test, sentence) for sentence, test in SLIPS.items()),
        Wrong(above(0.7), LEVEL),
        Wrong(ranking(rule=lambda n, K: (1 + n) / (1 + K) <= 0.08), LINE),
        Wrong(lambda generated, training, held_out: bool(len(generated) < 0), NEVER),
        Wrong(lambda generated, training, held_out: True, ALWAYS),
    ],
    may_pass=any_order("generated", "training", "held_out"),
)


# 12.8 effective rank


def effective_rank(A, B):
    """exp of the entropy of the singular values of B A, as shares of their sum (12.7)."""
    values = torch.linalg.svdvals(B @ A)
    return metrics.hill(values / values.sum())


def rank_by_qr(A, B):
    inner = torch.linalg.qr(B)[1] @ torch.linalg.qr(A.T)[1].T  # (r, r), with the same singular values
    p = torch.linalg.svdvals(inner)
    p = p / p.sum()
    return torch.exp(-torch.special.xlogy(p, p).sum())


def rank_by_trace(A, B):
    values = torch.linalg.svd(B @ A, full_matrices=False).S
    total = values.sum()
    return total * (torch.special.entr(values).sum() / total).exp()


def shares_of(A, B):
    values = torch.linalg.svdvals(B @ A)[: len(A)]
    return values / values.sum()


def draw_update(g):
    """Factors of directions from large to tiny, of a rank below or above a width; in some most of B is still zero."""
    r, n, m = whole(g, 1, 7), whole(g, 2, 10), whole(g, 2, 10)
    A, B = normal(g, r, n) * (-real(g, 0.3, 2.5) * torch.arange(r, dtype=torch.float64)).exp()[:, None], normal(g, m, r)
    if whole(g, 0, 2) == 0:
        B[1:] = 0
    return A, B


def rank_from(values_of):
    """exp of the entropy of other numbers, which need not sum to one: values_of(A, B) -> (k,)."""
    return lambda A, B: torch.special.entr(values_of(A, B)).sum().exp()


EFFECTIVE = Exercise(
    "12.8",
    "The effective rank of an update",
    points=2,
    difficulty=2,
    importance=3,
    minutes=10,
    further=True,
    equation="(12.7)",
    name="effective_rank",
    reference=effective_rank,
    inputs=draw_update,
    draws=24,
    right=[rank_by_qr, rank_by_trace],
    tolerance=1e-6,
    needs=("hill",),
    wrong=[
        Wrong(
            lambda A, B: torch.tensor(float(torch.linalg.matrix_rank(B @ A))),
            "You returned the rank, which counts a direction of any size as one: use the entropy of their sizes.",
        ),
        Wrong(
            lambda A, B: (
                (s := torch.linalg.svdvals(B @ A)[: len(A)].square() / (B @ A).square().sum()).log().mul(-s).sum().exp()
            ),
            "You squared the singular values: (12.7) takes them as they are.",
        ),
        Wrong(
            lambda A, B: torch.special.entr(shares_of(A, B)).sum(),
            "You returned the entropy: its exponential is a number of directions.",
        ),
        Wrong(lambda A, B: 1 / shares_of(A, B).square().sum(), "You took the Hill number of order 2: order 1 is due."),
        Wrong(
            lambda A, B: 1 / shares_of(A, B).max(), "You took the largest share alone: the entropy uses all of them."
        ),
        Wrong(
            lambda A, B: torch.special.entr((s := torch.linalg.svdvals(A)) / s.sum()).sum().exp(),
            "You looked at A alone: what is added to the weights is B A.",
        ),
        Wrong(
            rank_from(lambda A, B: (s := torch.linalg.svdvals(B)) / s.sum()),
            "You looked at B alone: A, which stands after it, weighs its directions.",
        ),
        Wrong(
            rank_from(lambda A, B: (s := torch.linalg.svdvals(B @ A)) / s.norm()),
            "You divided by the length of the list of singular values: shares are parts of the sum.",
        ),
        Wrong(
            rank_from(lambda A, B: (s := torch.linalg.svdvals(B @ A)) / s.max()),
            "You divided by the largest singular value: shares are parts of the sum.",
        ),
        Wrong(
            lambda A, B: (torch.special.entr(shares_of(A, B)).sum() / torch.tensor(2.0).log()).exp(),
            "Your logarithm has base 2 and your exponential base e: take one base for both.",
        ),
        Wrong(
            lambda A, B: torch.exp(-((p := (s := torch.linalg.svdvals(B @ A)) / s.sum()) * p.log()).sum()),
            "A singular value of exactly 0 makes 0 times log 0, which is nan: it adds nothing, as in `hill`.",
        ),
        Wrong(
            rank_from(lambda A, B: (s := (s := shares_of(A, B))[s > 0.01 * s[0]]) / s.sum()),
            "You leave out small singular values: each counts, by its share.",
        ),
    ],
    may_pass={"B reordered": "The singular values of a matrix do not depend on the order of its rows."},
)


# 12.9 several adapters in one


def stacked(As, Bs, alphas, weights):
    """Factors of one adapter of scale 1 that adds the weighted sum of several (12.8)."""
    parts = zip(As, Bs, alphas, weights)
    return torch.cat(list(As)), torch.cat([w * alpha / len(A) * B for A, B, alpha, w in parts], 1)


def stacked_on_A(As, Bs, alphas, weights):
    rows = [A * (alpha * w / A.shape[0]) for A, alpha, w in zip(As, alphas, weights)]
    return torch.vstack(rows), torch.hstack(list(Bs))


def stacked_by_roots(As, Bs, alphas, weights):
    scales = [w * alpha / len(A) for A, alpha, w in zip(As, alphas, weights)]
    lower = torch.cat([abs(s) ** 0.5 * A for s, A in zip(scales, As)])
    return lower, torch.cat([(1 if s > 0 else -1) * abs(s) ** 0.5 * B for s, B in zip(scales, Bs)], 1)


def stacked_with(scale):
    """The reference with another scale of each part."""

    def answer(As, Bs, alphas, weights):
        scales = [scale(alpha, len(A), w, As) for A, alpha, w in zip(As, alphas, weights)]
        return torch.cat(list(As)), torch.cat([s * B for s, B in zip(scales, Bs)], 1)

    return answer


def on_both(As, Bs, alphas, weights):
    scales = [w * alpha / len(A) for A, alpha, w in zip(As, alphas, weights)]
    return torch.cat([s * A for s, A in zip(scales, As)]), torch.cat([s * B for s, B in zip(scales, Bs)], 1)


def in_other_order(As, Bs, alphas, weights):
    scaled = [w * alpha / len(A) * B for A, B, alpha, w in zip(As, Bs, alphas, weights)]
    return torch.cat(list(As)[::-1]), torch.cat(scaled, 1)


def factored(rank_of):
    """The same change of the weights in other factors: rank_of(change) -> how many directions are kept."""

    def answer(As, Bs, alphas, weights):
        A, B = stacked(As, Bs, alphas, weights)
        U, values, V = torch.linalg.svd(B @ A, full_matrices=False)
        return (values[:, None] * V)[: rank_of(B @ A)], U[:, : rank_of(B @ A)]

    return answer


def call_stacked(fn, As, Bs, alphas, weights):
    """What the adapter adds, whether R is the sum of the ranks, and whether B was returned before A."""
    A, B = fn(As, Bs, alphas, weights)
    R = sum(len(one) for one in As)
    swapped = A.shape == (len(Bs[0]), R) and B.shape == (R, As[0].shape[1])
    A, B = (B, A) if swapped else (A, B)
    return {"what is added": B @ A, "R is the sum of the ranks": len(A) == R, "B came first": swapped}


def draw_adapters(g):
    """One to four adapters of different ranks, some taken away; R is not both of the layer's widths."""
    ranks = [whole(g, 1, 5) for _ in range(whole(g, 1, 4))]
    n, m = whole(g, 2, 13), whole(g, 2, 13)
    m += n == m == sum(ranks)
    return (
        [normal(g, r, n) for r in ranks],
        [normal(g, m, r) for r in ranks],
        [real(g, 0.5, 9.0) for _ in ranks],
        [(1, 1, -1)[whole(g, 0, 2)] * real(g, 0.1, 1.6) for _ in ranks],
    )


STACKED = Exercise(
    "12.9",
    "Several adapters in one file",
    points=2,
    difficulty=3,
    importance=4,
    minutes=12,
    further=True,
    equation="(12.8)",
    name="stacked",
    reference=stacked,
    inputs=draw_adapters,
    draws=24,
    call=call_stacked,
    right=[stacked_on_A, stacked_by_roots],
    wrong=[
        Wrong(stacked_with(lambda alpha, r, w, As: w * alpha), "You forgot to divide each alpha by its own rank."),
        Wrong(stacked_with(lambda alpha, r, w, As: alpha / r), "Your answer does not use the weights."),
        Wrong(stacked_with(lambda alpha, r, w, As: w), "Your answer does not use the alphas: each scale is alpha / r."),
        Wrong(
            stacked_with(lambda alpha, r, w, As: w * alpha / sum(map(len, As))),
            "You divided by the rank of the result: each adapter's scale has its own rank.",
        ),
        Wrong(
            stacked_with(lambda alpha, r, w, As: w * alpha / r / len(As)),
            "You divided by the number of adapters as well: the weights say how much of each there is.",
        ),
        Wrong(
            lambda As, Bs, alphas, weights: stacked(As, Bs, alphas, [w / sum(weights) for w in weights]),
            "You made the weights sum to 1: (12.8) takes them as they are.",
        ),
        Wrong(
            stacked_with(lambda alpha, r, w, As: w * alpha / len(As[0])),
            "You divided every alpha by the rank of the first adapter: each has its own.",
        ),
        Wrong(
            lambda As, Bs, alphas, weights: stacked(
                As, Bs, [alpha * len(A) / len(B) for A, B, alpha in zip(As, Bs, alphas)], weights
            ),
            "You divided by the number of outputs: the rank is the number of rows of A, or of columns of B.",
        ),
        Wrong(
            stacked_with(lambda alpha, r, w, As: w * alpha / r**0.5),
            "You divided by the root of the rank: (12.8) divides by the rank itself.",
        ),
        Wrong(
            stacked_with(lambda alpha, r, w, As: abs(w) * alpha / r),
            "You lose the sign of a weight: a negative one takes its adapter away.",
        ),
        Wrong(
            factored(torch.linalg.matrix_rank),
            "What is added is right, but compressed: A has as many rows as all adapters together, R = r_1 + r_2 + ...",
        ),
        Wrong(
            factored(lambda change: min(change.shape)),
            "What is added is right, but its factors are as thick as the layer allows: R = r_1 + r_2 + ... is due.",
        ),
        Wrong(on_both, "Your scale stands in A and in B, so it counts twice."),
        Wrong(
            lambda As, Bs, alphas, weights: stacked(As, Bs, alphas, weights)[::-1],
            "Your two factors are swapped: A comes first, (R, in), and B second, (out, R).",
        ),
        Wrong(in_other_order, "The A's and the B's are in different orders: each B has to meet its own A."),
    ],
)


# 12.10 the clipping that does nothing


def clipped_step(module, loss_of, lr, limit):
    """One step of gradient descent on what is trainable, its gradient cut to a length; -> the length before."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimiser = torch.optim.SGD(parameters, lr)
    optimiser.zero_grad()
    loss_of(module).backward()
    norm = torch.nn.utils.clip_grad_norm_(parameters, limit)
    optimiser.step()
    return norm.item()


def clipped_by_hand(module, loss_of, lr, limit):
    trained = list(filter(lambda p: p.requires_grad, module.parameters()))
    gradients = torch.autograd.grad(loss_of(module), trained)
    norm = torch.cat([one.flatten() for one in gradients]).norm()
    factor = min(1.0, limit / norm.item())
    with torch.no_grad():
        for p, one in zip(trained, gradients):
            p.sub_(lr * factor * one)
    return norm.item()


def clipped_with_two_filters(module, loss_of, lr, limit):
    def trainable():
        return filter(lambda p: p.requires_grad, module.parameters())

    optimiser = torch.optim.SGD(trainable(), lr)
    module.zero_grad()
    loss_of(module).backward()
    norm = float(torch.nn.utils.clip_grad_norm_(trainable(), limit))
    optimiser.step()
    return norm


def stepping(clip, fresh=True):
    """A step whose gradients are treated by clip(parameters, limit) -> what is returned."""

    def answer(module, loss_of, lr, limit):
        parameters = [p for p in module.parameters() if p.requires_grad]
        optimiser = torch.optim.SGD(parameters, lr)
        if fresh:
            optimiser.zero_grad()
        loss_of(module).backward()
        found = clip(parameters, limit)
        optimiser.step()
        return float(found)

    return answer


def the_script(module, loss_of, lr, limit):
    parameters = filter(lambda p: p.requires_grad, module.parameters())
    optimiser = torch.optim.SGD(parameters, lr)
    optimiser.zero_grad()
    loss_of(module).backward()
    norm = torch.nn.utils.clip_grad_norm_(parameters, limit)
    optimiser.step()
    return norm.item()


def as_one(parameters, limit):
    return torch.nn.utils.clip_grad_norm_(parameters, limit)


def total(parameters):
    return torch.cat([p.grad.flatten() for p in parameters]).norm().item()


def one_by_one(parameters, limit):
    norm = total(parameters)
    for p in parameters:
        torch.nn.utils.clip_grad_norm_([p], limit)
    return norm


def by_value(parameters, limit):
    norm = total(parameters)
    torch.nn.utils.clip_grad_value_(parameters, limit)
    return norm


def always(parameters, limit):
    norm = total(parameters)
    for p in parameters:
        p.grad.mul_(limit / norm)
    return norm


def after_clip(parameters, limit):
    torch.nn.utils.clip_grad_norm_(parameters, limit)
    return total(parameters)


def while_unfrozen(module, loss_of, lr, limit):
    module.requires_grad_(True)
    return clipped_step(module, loss_of, lr, limit)


def on_a_copy(module, loss_of, lr, limit):
    return clipped_step(copy.deepcopy(module), loss_of, lr, limit)


def emptied_after(module, loss_of, lr, limit):
    norm = stepping(as_one, fresh=False)(module, loss_of, lr, limit)
    module.zero_grad()
    return norm


def asked_twice(module, loss_of, lr, limit):
    loss_of(module)
    return clipped_step(module, loss_of, lr, limit)


def loss_returned(module, loss_of, lr, limit):
    loss = loss_of(module).item()
    clipped_step(module, loss_of, lr, limit)
    return loss


def with_adam(module, loss_of, lr, limit):
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(parameters, lr)
    optimiser.zero_grad()
    loss_of(module).backward()
    norm = torch.nn.utils.clip_grad_norm_(parameters, limit)
    optimiser.step()
    return norm.item()


def left_changed(module, loss_of, lr, limit):
    torch.manual_seed(0)
    module.eval()
    return clipped_step(module, loss_of, lr, limit)


def call_clipped(fn, W, A, B, x):
    """A layer with an adapter after each of two steps, with a limit that bites and with one that does not.

    Before the first step old gradients lie in it. Told as well: calls of the loss, and whether mode and luck are as
    before.
    """
    calls, moved, norms, kept = [0], [], [], True

    def loss_of(module):
        calls[0] += 1
        return (x @ (module.W + module.B @ module.A).T).square().sum()

    for limit in (0.05, 1e6):
        layer = torch.nn.Module()
        layer.W = torch.nn.Parameter(W.clone(), requires_grad=False)
        layer.A, layer.B = torch.nn.Parameter(A.clone()), torch.nn.Parameter(B.clone())
        layer.A.grad, layer.B.grad = torch.ones_like(A), -torch.ones_like(B)
        for _ in range(2):
            luck = torch.get_rng_state()
            norms.append(float(fn(layer, loss_of, 0.003, limit)))
            moved += [layer.A.detach() - A, layer.B.detach() - B, layer.W.detach() - W]
            kept = kept and layer.training and torch.equal(luck, torch.get_rng_state())
    return {
        "movement": torch.cat([one.flatten() for one in moved]),
        "norm": torch.tensor(norms),
        "calls of the loss": min(calls[0], 5),
        "mode and seed as before": kept,
    }


def draw_layer(g):
    """A layer, the factors of its adapter and some inputs, of any size."""
    m, n, r = whole(g, 1, 6), whole(g, 2, 7), whole(g, 1, 4)
    return normal(g, m, n), normal(g, r, n), normal(g, m, r), normal(g, whole(g, 2, 4), n)


CLIPPED = Exercise(
    "12.10",
    "The clipping that does nothing",
    points=3,
    difficulty=3,
    importance=4,
    minutes=15,
    name="clipped_step",
    reference=clipped_step,
    inputs=draw_layer,
    draws=8,
    call=call_clipped,
    beside=True,
    right=[clipped_by_hand, clipped_with_two_filters],
    tolerance=1e-5,
    wrong=[
        Wrong(
            the_script,
            "Nothing is clipped and the norm is 0: either you clip before backward, or what you clip is an iterator, "
            "which gives its items once, and the optimiser has had them.",
        ),
        Wrong(
            stepping(lambda parameters, limit: total(parameters)),
            "The norm is right, but the step is as long as without a limit: clip before the optimiser's step.",
        ),
        Wrong(
            stepping(as_one, fresh=False),
            "An old gradient is in the new one: backward adds to .grad, so empty it first.",
        ),
        Wrong(
            emptied_after,
            "You empty .grad after the step only: what lay there before your first step is used, so empty it first.",
        ),
        Wrong(
            while_unfrozen,
            "Frozen parameters move: only those with requires_grad are to be trained, and it stays as it is.",
        ),
        Wrong(on_a_copy, "The step was made on a copy: `module` itself has to change."),
        Wrong(
            asked_twice, "The step is right, but loss_of is called more than once: a second call costs as much again."
        ),
        Wrong(loss_returned, "You return the loss: the length of the gradient before clipping is due."),
        Wrong(with_adam, "You step with Adam, in which the gradient's length hardly counts: torch.optim.SGD is due."),
        Wrong(
            left_changed,
            "The step is right, but something else is left changed: the module's mode, or the seed of random numbers.",
        ),
        Wrong(
            stepping(lambda parameters, limit: as_one(parameters, 1.0)),
            "Your limit is 1 whatever is asked for: use `limit`.",
        ),
        Wrong(
            stepping(lambda parameters, limit: torch.nn.utils.clip_grad_norm_(parameters, limit, norm_type=1)),
            "Your length is the sum of the sizes of all numbers: take the root of the sum of their squares.",
        ),
        Wrong(stepping(one_by_one), "You cut each parameter's gradient alone: the limit is for all of them together."),
        Wrong(stepping(by_value), "You cut single numbers, which turns the gradient: scale it as a whole."),
        Wrong(stepping(always), "You stretch short gradients to the limit as well: those below it stay as they are."),
        Wrong(stepping(after_clip), "You return the norm after clipping: the one before says whether it was needed."),
    ],
)


# 12.11 words
ADVICE = Exercise(
    "12.11",
    "Advice, measured",
    points=5,
    difficulty=3,
    importance=5,
    minutes=25,
    rubric="1 point: each of the pieces of advice that the table tests is judged on two numbers, what happens to the "
    "class and what happens to the subject. 1 point: it is said which comparison is at equal network calls, and that "
    "prior preservation is compared with the batch of ten. 1 point: the control that keeps another class is used to "
    "say what has to be shown, not merely more pictures. 1 point: at least one statement is marked as not settled by "
    "eight subjects, with its error. 1 point: one sentence says what the small world leaves open for Stable Diffusion, "
    "and which measurement would settle it.",
)

EXERCISES = [SIZE, V_LOSS, CHANGE, PRESERVED, DROPPED, NEARER, REMEMBERS, EFFECTIVE, STACKED, CLIPPED, ADVICE]

QUIZ = [
    Question(
        "You fine-tune on five pictures of a toy on one sofa. The pictures of the toy now all show the sofa. Why?",
        [
            ("The learning rate was too high", False, "A lower one learns the sofa later, and the toy as well."),
            (
                "Nothing in the loss tells the toy from what is around it",
                True,
                "What all five pictures share is, for the loss, the subject.",
            ),
            ("The rank was too low", False, "A higher rank can hold more of the pictures, the sofa included."),
        ],
    ),
    Question(
        "Which pictures does prior preservation train on, besides yours?",
        [
            (
                "Pictures of the class that the model drew before",
                True,
                "Under the class's prompt, from the base model.",
            ),
            ("More pictures of your subject", False, "They say nothing about the class."),
            ("Random pictures with an empty prompt", False, "That keeps the empty prompt, not the class's."),
        ],
    ),
    Question(
        "You mirror your pictures to have more of them. What can come out under the subject's prompt?",
        [
            ("The same as before, only better", False, "The loss asks for all it is shown."),
            ("Mirrored subjects", True, "What goes in under a prompt may come out under it."),
            ("Mirrored pictures of every class only", False, "They were shown under the subject's prompt."),
        ],
    ),
    Question(
        "Under no memory, which share of generated pictures is nearer to the training set than to a held-out set of "
        "the same size, on average over such sets?",
        [
            (0.5, True, "The two sets can be exchanged, so neither is favoured."),
            (0, False, "Some pictures are nearer to the training set by chance."),
            (1, False, "That would be copying."),
        ],
        otherwise="Exchange the two sets: the law of everything stays the same.",
    ),
    Question(
        "gradients = filter(lambda p: p.requires_grad, net.parameters()); the optimiser gets it, then it is clipped. "
        "What does the clipping see?",
        [
            ("All trainable parameters", False, "That would be so for a list."),
            ("No parameter at all", True, "The optimiser went through the iterator; it is empty now."),
            ("An error", False, "Clipping nothing is allowed, and returns 0."),
        ],
    ),
]
