"""Reference answers, inputs and anticipated wrong answers of chapter 11's exercises."""

import math

import torch
import torch.nn.functional as F

from course_lib import features, seedselect
from course_lib.denoisers import GaussianMixture
from course_lib.exercises.calls import trainable
from course_lib.exercises.declare import Exercise, Question, Wrong, any_order
from course_lib.exercises.draws import normal, real, whole
from course_lib.metrics import on_mode
from course_lib.samplers import geometric, trajectory


# 11.1 two masks
def iou(a, b):
    """The library's own function."""
    return features.iou(a, b)


def iou_by_sums(a, b):
    both = (a * 1.0 * b).sum((1, 2))
    return both / (a.sum((1, 2)) + b.sum((1, 2)) - both)


def iou_by_loop(a, b):
    return torch.stack([(x & y).sum() / (x | y).sum() for x, y in zip(a, b)])


def masks(g):
    """Pairs of masks with hundreds of pixels: in common and of their own; one inside the other; small; apart."""
    N, H, W = whole(g, 1, 6), whole(g, 22, 30), whole(g, 22, 30)
    a, b = torch.rand(2, N, H, W, generator=g) < real(g, 0.4, 0.6)
    a[:, 0, :2], b[:, 0, 1:3], a[:, 0, 2], b[:, 0, 0] = True, True, False, False
    b[1:2] |= a[1:2]
    a[2:3, 1:], b[2:3, 1:] = False, False
    b[3:4] &= ~a[3:4]
    return a, b


IOU = Exercise(
    "11.1",
    "How much of two silhouettes is in common",
    points=1,
    difficulty=1,
    importance=4,
    minutes=5,
    further=True,
    equation="(11.1)",
    name="iou",
    reference=iou,
    inputs=masks,
    right=[iou_by_sums, iou_by_loop],
    wrong=[
        Wrong(
            lambda a, b: (a & b).sum((1, 2)) / a.sum((1, 2)),
            "You divide by the first mask alone: a small one inside a large one would then have all in common.",
        ),
        Wrong(
            lambda a, b: (a & b).sum((1, 2)) / b.sum((1, 2)),
            "You divide by the second mask alone: a first one that fills its picture would then fit every second one.",
        ),
        Wrong(
            lambda a, b: 2 * (a & b).sum((1, 2)) / (a.sum((1, 2)) + b.sum((1, 2))),
            "That is the Dice coefficient, which counts what is in common twice: (11.1) divides by the union.",
        ),
        Wrong(
            lambda a, b: (a == b).double().mean((1, 2)),
            "You count pixels where the masks agree, the empty ones too: only pixels of the shapes count.",
        ),
        Wrong(
            lambda a, b: (a & b).sum((1, 2)) / (a.sum((1, 2)) + b.sum((1, 2))),
            "Your union counts what is in common twice.",
        ),
        Wrong(
            lambda a, b: (a & b).sum() / (a | b).sum(),
            "One number for each pair is due, (N,): you added up the pixels of all pairs.",
        ),
    ],
    tolerance=1e-5,
    home="course_lib.features.silhouettes:iou",
)


# 11.2 arms
def count_arms(reach):
    """The library's own function."""
    return features.arms(reach)


def arms_by_sines(reach):
    turn = 2 * math.pi * torch.arange(reach.shape[1], dtype=reach.dtype) / reach.shape[1]
    k = torch.arange(2, 13, dtype=reach.dtype)[:, None]
    size = (reach @ torch.cos(k * turn).T) ** 2 + (reach @ torch.sin(k * turn).T) ** 2
    return size.argmax(1) + 2


def arms_by_loop(reach):
    counts = []
    for row in reach:
        size = torch.fft.fft(row).abs().tolist()
        counts.append(max(range(2, 13), key=lambda k: size[k]))
    return torch.tensor(counts)


def harmonics(reach):
    return torch.fft.rfft(reach, dim=1).abs()


def sum_of_parts(reach):
    parts = torch.view_as_real(torch.fft.rfft(reach, dim=1)).abs()
    return parts.sum(2)[:, 2:13].argmax(1) + 2


def count_maxima(reach):
    higher = (reach > reach.roll(1, 1)) & (reach > reach.roll(-1, 1))
    return higher.sum(1)


def stars(g):
    """Profiles with a strong mean, a shift of the centre, arms, and noise between neighbours.

    The first have 12 and 2 arms, then come a strong wave 13, arms weaker than the shift, and a second wave beside the
    arms: almost as strong between the axes, and half as strong on the axis on which the arms are not."""
    N, A = whole(g, 7, 9), whole(g, 64, 96)
    turn = 2 * math.pi * torch.arange(A, dtype=torch.float64) / A
    k, size, noise = torch.randint(3, 7, (N, 1), generator=g), torch.ones(N, 1), torch.full((N, 1), 0.3)
    phase, other = 2 * math.pi * torch.rand(N, 1, generator=g), torch.zeros(N, A)
    k[0], k[1], size[3], noise[3:7] = 12, 2, 0.1, 0.02
    other[2] = 1.2 * torch.cos(13 * turn)
    beside = [(math.pi, 0.9, math.pi / 4), (math.pi / 2, 0.5, 0.0), (0.0, 0.5, math.pi / 2)]
    for row, (first, strength, second) in enumerate(beside, start=4):
        phase[row] = first
        other[row] = strength * torch.cos((k[row] + whole(g, 2, 5)) * turn + second)
    shift = 1.5 * torch.cos(turn + 2 * math.pi * torch.rand(N, 1, generator=g))
    fine = 1.3 * torch.cos(30 * turn)  # the pixels' own pattern, beyond the twelfth harmonic
    return (4.0 + size * torch.cos(k * turn + phase) + other + shift + fine + noise * normal(g, N, A),)


ARMS = Exercise(
    "11.2",
    "How many arms has the star?",
    points=2,
    difficulty=3,
    importance=4,
    minutes=12,
    equation="(11.2)",
    name="count_arms",
    reference=count_arms,
    inputs=stars,
    right=[arms_by_sines, arms_by_loop],
    wrong=[
        Wrong(
            lambda reach: harmonics(reach)[:, :13].argmax(1),
            "You let harmonic 0 take part, which is the mean radius and always the strongest: begin at 2.",
        ),
        Wrong(
            lambda reach: harmonics(reach)[:, 1:13].argmax(1) + 1,
            "You let harmonic 1 take part: it only says that the centre was not quite hit. Begin at 2.",
        ),
        Wrong(
            lambda reach: harmonics(reach)[:, 2:13].argmax(1),
            "Your count is two too small: the first entry of your slice belongs to harmonic 2.",
        ),
        Wrong(
            lambda reach: harmonics(reach)[:, 2:].argmax(1) + 2,
            "You look at all harmonics: beyond 12 there is the pattern of the pixels.",
        ),
        Wrong(
            lambda reach: harmonics(reach)[:, 2:12].argmax(1) + 2,
            "Your slice ends before harmonic 12: the end of a slice is not part of it.",
        ),
        Wrong(
            lambda reach: torch.fft.rfft(reach, dim=1).real[:, 2:13].argmax(1) + 2,
            "You compare real parts, which depend on where the first arm points: take absolute values.",
        ),
        Wrong(
            lambda reach: torch.fft.rfft(reach, dim=1).real.abs()[:, 2:13].argmax(1) + 2,
            "Real parts without their sign still depend on where the first arm points: the imaginary part is missing.",
        ),
        Wrong(
            lambda reach: torch.fft.rfft(reach, dim=1).imag.abs()[:, 2:13].argmax(1) + 2,
            "You compare imaginary parts: an arm that points in direction 0 has none.",
        ),
        Wrong(
            sum_of_parts,
            "You add up real and imaginary part: the size of a complex number is the root of the sum of squares.",
        ),
        Wrong(
            lambda reach: harmonics(reach)[:, 3:13].argmax(1) + 3,
            "You begin at 3: two arms are a count as well.",
        ),
        Wrong(
            lambda reach: harmonics(reach)[:, 2:14].argmax(1) + 2,
            "Your slice still holds harmonic 13: in 2:13 the last one is 12.",
        ),
        Wrong(count_maxima, "You count local maxima: with pixels for an outline each arm has several."),
    ],
    home="course_lib.features.silhouettes:arms",
)


# 11.3 the semantic loss
def semantic_loss(v, references):
    """One minus the cosine to the mean of the references' features: the library's own."""
    return seedselect.semantic(lambda x: x, references.mean(0), "cosine")(v)


def semantic_by_unit(v, references):
    return 1 - F.normalize(v, dim=1) @ F.normalize(references.mean(0), dim=0)


def semantic_by_loop(v, references):
    mean = references.sum(0) / len(references)
    return torch.stack([1 - (row * mean).sum() / (row.square().sum() * mean.square().sum()).sqrt() for row in v])


def call_semantic(fn, v, references):
    """The losses and their gradient in v alone, which is no leaf, so that a change in place is found."""
    leaf = v.clone().requires_grad_()
    given = leaf * 1
    loss = trainable(fn(given, references))
    v.copy_(given.detach())
    if not torch.equal(given, leaf):
        return {"loss": loss, "gradient": torch.zeros_like(v)}
    return {"loss": loss, "gradient": torch.autograd.grad(loss.sum(), leaf)[0]}


def vectors(g):
    """Features of any length: v of one to seven pictures, six to nine references, or one."""
    N, n, d = whole(g, 1, 7), whole(g, 5, 9), whole(g, 3, 12)
    v = (normal(g, N, d) + 0.5) * 4 ** torch.rand(N, 1, generator=g, dtype=torch.float64)
    return v, (2 * normal(g, n, d) + 1)[: 1 if n == 5 else n]


SEMANTIC = Exercise(
    "11.3",
    "Like the references, in CLIP's eyes",
    points=1,
    difficulty=2,
    importance=5,
    minutes=8,
    equation="(11.3)",
    name="semantic_loss",
    reference=semantic_loss,
    inputs=vectors,
    call=call_semantic,
    beside=True,
    right=[semantic_by_unit, semantic_by_loop],
    wrong=[
        Wrong(
            lambda v, references: F.cosine_similarity(v, references.mean(0, keepdim=True)),
            "You return the cosine itself, so that minimising it would lead away from the references.",
        ),
        Wrong(
            lambda v, references: -F.cosine_similarity(v, references.mean(0, keepdim=True)),
            "You return minus the cosine: (11.3) is one minus it, 0 where both point the same way.",
        ),
        Wrong(
            lambda v, references: 1 - v @ F.normalize(references.mean(0), dim=0),
            "You divide by the length of the mean, but not by that of v.",
        ),
        Wrong(
            lambda v, references: 1 - F.normalize(v, dim=1) @ references.mean(0),
            "You divide by the length of v, but not by that of the mean.",
        ),
        Wrong(
            lambda v, references: 1 - (v @ references.mean(0)) / (v.norm(dim=1) * references.mean(0).norm()).detach(),
            "The values are right, but the lengths are detached: the gradient then makes v longer.",
        ),
        Wrong(
            lambda v, references: 1 - (F.normalize(v, dim=1) @ F.normalize(references, dim=1).T).mean(1),
            "You average the cosines to the references: (11.3) is the cosine to their mean, which is larger.",
        ),
        Wrong(
            lambda v, references: 1 - F.cosine_similarity(v, F.normalize(references, dim=1).mean(0, keepdim=True)),
            "You gave each reference length 1 before the mean: here the features are averaged as they are.",
        ),
        Wrong(
            lambda v, references: 1 - v @ references.mean(0),
            "That is a scalar product: a cosine divides by both lengths.",
        ),
        Wrong(
            lambda v, references: (v - references.mean(0)).norm(dim=1),
            "That is the distance of (6.6): (11.3) is one minus the cosine.",
        ),
        Wrong(
            lambda v, references: semantic_by_unit(v, references).mean(),
            "One number for each picture is due, (N,): you averaged over the pictures.",
        ),
    ],
    tolerance=1e-6,
    home="course_lib.seedselect:semantic",
    may_pass=any_order("references"),
)


# 11.4 a decision from pairs
EASY = "You say yes too often: where nothing has changed, more seeds rise than fall about every other time."
BLIND = "You hardly ever say yes where the share has really risen."
INVERTED = "You say yes where nothing rose, and no where it did."
FALLEN = "You say yes where the share has fallen: only rises count."
UNCLEAR = "Where (11.9) is clear you say another thing: sum all terms from u up, among the seeds that changed."
EMPTY = "You say yes where no seed changed, or one rose and none fell: there p is 1 or .5, with all terms of the sum."
LAX = "You say yes where p lies a little above .05: your p is smaller than (11.9), or your limit is larger."
STRICT = "You say no where p lies a little below .05: your p is larger than (11.9), or your limit is smaller."
SILENT = "One answer, yes or no, is due for each comparison."


def by_chance(before, after):
    """Equation (11.9), exactly."""
    up, down = int((after & ~before).sum()), int((before & ~after).sum())
    return sum(math.comb(up + down, i) for i in range(up, up + down + 1)) / 2 ** (up + down)


def rose(before, after):
    """The exact one-sided sign test on the seeds that changed, at 5 %."""
    return by_chance(before, after) <= 0.05


def rose_by_recursion(before, after):
    up, down = int((after > before).sum()), int((before > after).sum())
    chance, term = 0.0, 0.5 ** (up + down)
    for i in range(up + down, up - 1, -1):  # from all that changed down to those that rose
        chance += term
        term *= i / (up + down - i + 1)
    return chance <= 0.05


def rose_by_normal(before, after):
    change = after.double() - before.double()
    n = change.abs().sum()
    return bool(n > 0) and float((change.sum() - 1) / n.sqrt()) >= 1.645


def without_last_term(before, after):
    up, down = int((after & ~before).sum()), int((before & ~after).sum())
    return sum(math.comb(up + down, i) for i in range(up, up + down)) / 2 ** (up + down) <= 0.05


def normal_without_half(before, after):
    change = after.double() - before.double()
    return bool(change.sum() > 1.645 * change.abs().sum().sqrt())


def call_rose(fn, before, after, size, risen):
    """The decisions on all comparisons, (E,)."""
    return torch.tensor([float(fn(b[:n], a[:n])) for b, a, n in zip(before, after, size.tolist())])


COUNTED = [(0, 0), (1, 0), (0, 1), (4, 0), (5, 0), (0, 5), (7, 1), (9, 3), (3, 9), (10, 3), (13, 5), (14, 6), (17, 8)]


def counted(g, N):
    """Comparisons of few seeds, with the rises and falls of COUNTED, in rows of N; and how many seeds each has."""
    before = torch.rand(len(COUNTED), N, generator=g) < 0.5
    after, sizes = before.clone(), []
    for b, a, (up, down) in zip(before, after, COUNTED):
        sizes.append(up + down + whole(g, 1, 30))
        place = torch.randperm(sizes[-1], generator=g)[: up + down]
        b[place], a[place] = torch.arange(up + down) >= up, torch.arange(up + down) < up
    return before, after, torch.tensor(sizes)


def comparisons(g):
    """120 comparisons of 400 seeds and what happened in each, mixed: 0 nothing, in half of them, 1 a rise, -1 a fall.

    From four seeds to half of all change; what the share was before differs as well. Among them are those of COUNTED,
    where it says 2."""
    E, N = 120, 400
    happened = torch.tensor([0, 1, 0, -1, 0, 1]).repeat(E // 6)
    rate = 0.01 * 40 ** torch.rand(E, 1, generator=g)
    lean = (0.5 + happened[:, None] * 1.4 / (N * rate).sqrt()).clamp(0, 1)  # of the changes, how many are rises
    share = 0.45 + 0.1 * torch.rand(E, 1, generator=g)
    before = torch.rand(E, N, generator=g) < share
    change = torch.where(before, rate * (1 - lean) / share, rate * lean / (1 - share))
    after = before ^ (torch.rand(E, N, generator=g) < change)
    few_before, few_after, sizes = counted(g, N)
    all_of = [
        torch.cat([before, few_before]),
        torch.cat([after, few_after]),
        torch.cat([torch.full((E,), N), sizes]),
        torch.cat([happened, torch.full_like(sizes, 2)]),
    ]
    order = torch.randperm(len(all_of[0]), generator=g)
    return tuple(one[order] for one in all_of)


def accept_rose(answer, inputs):
    """False alarms where nothing rose, hits where something did, and what (11.9) says where it is clear."""
    before, after, size, happened = inputs
    if answer.shape != happened.shape:
        return SILENT
    alarms, found = answer[happened == 0].mean(), answer[happened == 1].mean()
    if alarms > 0.5 and found < 0.5:
        return INVERTED
    if alarms > 0.2:
        return EASY
    if answer[happened == -1].mean() > 0.2:
        return FALLEN
    if found < 0.5:
        return BLIND
    pairs = [(b[:n], a[:n]) for b, a, n in zip(before, after, size.tolist())]
    p, yes = torch.tensor([by_chance(*pair) for pair in pairs], dtype=torch.float64), answer > 0.5
    changed = torch.stack([(b ^ a).sum() for b, a in pairs])
    if (yes & (p > 0.4) & (changed < 2)).any():
        return EMPTY
    lax, strict = p[yes & (p > 0.051)], p[~yes & (p < 0.049)]
    if len(lax) and not len(strict) and lax.max() < 0.25:
        return LAX
    if len(strict) and not len(lax) and strict.min() > 0.005:
        return STRICT
    return UNCLEAR if len(lax) + len(strict) else None


ROSE = Exercise(
    "11.4",
    "Has the success risen?",
    points=2,
    difficulty=3,
    importance=5,
    minutes=15,
    further=True,
    equation="(11.9)",
    name="rose",
    reference=rose,
    inputs=comparisons,
    call=call_rose,
    accept=accept_rose,
    right=[rose_by_recursion, rose_by_normal],
    wrong=[
        Wrong(lambda before, after: after.sum() > before.sum(), EASY),
        Wrong(
            lambda before, after: (
                sum(math.comb(len(after), i) for i in range(int((after & ~before).sum()), len(after) + 1))
                / 2 ** len(after)
                <= 0.05
            ),
            BLIND,
        ),
        Wrong(lambda before, after: not rose(before, after), INVERTED),
        Wrong(lambda before, after: rose(before, after) or rose(after, before), FALLEN),
        Wrong(lambda before, after: int((after & ~before).sum()) > 2 * int((before & ~after).sum()) + 3, UNCLEAR),
        Wrong(without_last_term, EMPTY),
        Wrong(normal_without_half, LAX),
        Wrong(lambda before, after: by_chance(before, after) <= 0.025, STRICT),
    ],
)


# 11.5 does the loss see the difference?
def auc(own, other):
    """Share of pairs (own, other) in which the own loss is the lower one (11.4), ties half."""
    own, other = own.double(), other.double()
    return ((own[:, None] < other).double() + 0.5 * (own[:, None] == other)).mean()


def auc_by_ranks(own, other):
    both = torch.cat([own, other]).double()
    rank = (both[:, None] > both).sum(1) + ((both[:, None] == both).sum(1) + 1) / 2
    m, n = len(own), len(other)
    return 1 - (rank[:m].sum() - m * (m + 1) / 2) / (m * n)


def auc_by_loop(own, other):
    won = 0.0
    for one in own.tolist():
        for another in other.tolist():
            won += 1.0 if one < another else 0.5 if one == another else 0.0
    return won / (len(own) * len(other))


def losses(g):
    """Losses of two kinds of pictures that overlap, in any numbers, some equal, either kind lower; one is far off."""
    m, n = whole(g, 1, 20), whole(g, 1, 20)
    own, other = normal(g, m) - real(g, -1.2, 1.2), normal(g, n)
    other[: min(m, 3)] = own[: min(n, 3)]
    other[-1] += 25
    return own, other


def call_auc(fn, own, other):
    """The share of pairs, and with the two kinds exchanged: one of the two is at most one half."""
    return {"as given": 1.0 * fn(own.clone(), other.clone()), "exchanged": 1.0 * fn(other, own)}


AUC = Exercise(
    "11.5",
    "Does the loss see the difference?",
    points=2,
    difficulty=2,
    importance=5,
    minutes=10,
    equation="(11.4)",
    name="auc",
    reference=auc,
    inputs=losses,
    call=call_auc,
    right=[auc_by_ranks, auc_by_loop],
    wrong=[
        Wrong(
            lambda own, other: auc(other, own),
            "You count the pairs in which the other kind has the lower loss: low is near the references.",
        ),
        Wrong(
            lambda own, other: (own[:, None] < other).double().mean(),
            "Where both losses are equal the pair says nothing, and counts one half: you gave it nothing.",
        ),
        Wrong(
            lambda own, other: (own[:, None] <= other).double().mean(),
            "Where both losses are equal the pair says nothing, and counts one half: you counted it whole.",
        ),
        Wrong(
            lambda own, other: (own < other.mean()).double().mean(),
            "You compare with the mean of the others: (11.4) compares with each of them.",
        ),
        Wrong(
            lambda own, other: (own < other.median()).double().mean(),
            "You compare with the median of the others alone: each of them is due.",
        ),
        Wrong(
            lambda own, other: torch.maximum(auc(own, other), 1 - auc(own, other)),
            "You turn an AUC below .5 round: there the loss prefers pictures without the concept, and has to say so.",
        ),
        Wrong(
            lambda own, other: other.mean() - own.mean(),
            "A difference of means has the unit of the loss: (11.4) is a share of pairs.",
        ),
        Wrong(
            lambda own, other: (own[: len(other)] < other[: len(own)]).double().mean(),
            "You compare the first with the first and so on: every own one meets every other one.",
        ),
    ],
    tolerance=1e-6,
    may_pass=any_order("own", "other"),
)


# 11.6 the success of the best of n
def success_of_best(loss, hit, n):
    """The library's own function."""
    return seedselect.success_of_best(loss, hit, n)


def success_by_steps(loss, hit, n):
    """The best of all is in the draw with n in M; if not, the next one is the best with n in M - 1 of the rest."""
    total, left, M = 0.0, 1.0, len(loss)
    for k, one in enumerate(hit[loss.argsort()].tolist()[: M - n + 1]):
        total += left * n / (M - k) * one
        left *= 1 - n / (M - k)
    return total


def success_by_choose(loss, hit, n):
    M, order = len(loss), loss.argsort()
    ways = [math.comb(M - k, n - 1) for k in range(1, M + 1)]
    return sum(w * float(hit[i]) for w, i in zip(ways, order)) / math.comb(M, n)


def with_replacement(loss, hit, n):
    M = len(loss)
    k = torch.arange(1, M + 1, dtype=torch.float64)
    chance = ((M - k + 1) / M) ** n - ((M - k) / M) ** n
    return float((chance * hit[loss.argsort()]).sum())


def any_hit(loss, hit, n):
    M, hits = len(loss), int(hit.sum())
    return 1 - math.comb(M - hits, n) / math.comb(M, n)


def from_zero(terms):
    """(11.5) with a k that begins at 0, for some number of terms."""

    def success(loss, hit, n):
        M, ranked = len(loss), hit[loss.argsort()].tolist()
        return sum(math.comb(M - k, n - 1) * ranked[k] for k in range(terms(M, n))) / math.comb(M, n)

    return success


def without_last(loss, hit, n):
    M, ranked = len(loss), hit[loss.argsort()].tolist()
    return sum(math.comb(M - k, n - 1) * ranked[k - 1] for k in range(1, M - n + 1)) / math.comb(M, n)


def unsorted(loss, hit, n):
    return success_by_choose(torch.arange(len(loss)), hit, n)


def call_best(fn, loss, hit, n, small, small_hit):
    """The chance in a pool of the chapter's size, and in a small one: for one candidate, for all, for all but two."""
    M = len(small)
    return {
        "a large pool": 1.0 * fn(loss, hit, n),
        "n = 1": 1.0 * fn(small.clone(), small_hit.clone(), 1),
        "n = M": 1.0 * fn(small.clone(), small_hit.clone(), M),
        "n = M - 2": 1.0 * fn(small, small_hit, M - 2),
    }


def ranked_pool(g, M, last):
    """A pool in which a low loss makes a hit more likely, and no more; of the first the second is none."""
    loss = normal(g, M)
    hit = torch.rand(M, generator=g, dtype=torch.float64) < torch.sigmoid(-1.5 * loss - 0.5)
    hit[loss.argsort()[[0, 1, 2, 3, -1]]] = torch.tensor([True, False, True, True, last])
    return loss, hit


def candidates(g):
    """A pool as large as the chapter's, n, and a small pool whose last candidate is a hit."""
    return *ranked_pool(g, whole(g, 180, 192), False), whole(g, 44, 50), *ranked_pool(g, whole(g, 5, 12), True)


BEST = Exercise(
    "11.6",
    "What would the best of n have been?",
    points=3,
    difficulty=4,
    importance=5,
    minutes=20,
    equation="(11.5)",
    name="success_of_best",
    reference=success_of_best,
    inputs=candidates,
    call=call_best,
    right=[success_by_steps, success_by_choose],
    wrong=[
        Wrong(
            lambda loss, hit, n: float(hit[loss.argsort()[:n]].double().mean()),
            "That is the share of hits among the n lowest losses of the pool: a draw of n takes one, and seldom those.",
        ),
        Wrong(
            lambda loss, hit, n: float(hit[loss.argmin()]),
            "You take the best of the whole pool: a draw of n candidates holds it only in n of M cases.",
        ),
        Wrong(
            any_hit,
            "That is the chance that a hit is among the n: it has to be the one with the lowest loss, too.",
        ),
        Wrong(
            with_replacement,
            "You draw with replacement, so that a candidate can be in a draw twice: (11.5) counts sets of n.",
        ),
        Wrong(
            lambda loss, hit, n: success_by_choose(-loss, hit, n),
            "You pick the highest loss: low is good.",
        ),
        Wrong(
            lambda loss, hit, n: float(hit.double().mean()),
            "That is the success of one draw without a choice.",
        ),
        Wrong(
            from_zero(lambda M, n: M),
            "Your k begins at 0, but (11.5) counts from 1: with k from 0 the first has M - 1 - k behind it.",
        ),
        Wrong(
            from_zero(lambda M, n: M - n + 1),
            "Your k runs from 0 to M - n: behind the candidate at place k, counted from 0, lie M - 1 - k.",
        ),
        Wrong(
            without_last,
            "The last term is missing, k = M - n + 1: with n = M it is the only one.",
        ),
        Wrong(
            unsorted,
            "You take the pool as it lies: (11.5) goes through it in the order of the loss, lowest first.",
        ),
        Wrong(
            lambda loss, hit, n: success_by_choose(torch.arange(len(loss)), hit[loss.argsort().argsort()], n),
            "Sorting twice gives the rank of each candidate: hit[loss.argsort()] is the pool from the lowest loss on.",
        ),
    ],
    tolerance=1e-7,
    home="course_lib.seedselect:success_of_best",
)


# 11.7 the price of a success
def price(iterations, hit, steps, first):
    """Network calls for each success (11.7)."""
    runs = first * len(hit) + 4 * iterations.sum()
    return 2 * steps * runs / hit.sum()


def price_by_means(iterations, hit, steps, first):
    return 2 * steps * (first + 4 * iterations.double().mean()) / hit.double().mean()


def price_by_loop(iterations, hit, steps, first):
    calls = sum(2 * steps * first + 2 * steps * 4 * int(i) for i in iterations)
    return calls / sum(bool(one) for one in hit)


PRICE = Exercise(
    "11.7",
    "Network calls for each success",
    points=1,
    difficulty=2,
    importance=5,
    minutes=8,
    equation="(11.7)",
    name="price",
    reference=price,
    inputs=lambda g: (
        torch.randint(0, 13, (N := whole(g, 1, 16),), generator=g),
        torch.randperm(N, generator=g) < whole(g, 1, N),
        whole(g, 1, 20),
        whole(g, 0, 16),
    ),
    right=[price_by_means, price_by_loop],
    wrong=[
        Wrong(
            lambda iterations, hit, steps, first: 2 * steps * (first + 4 * iterations[hit].double().mean()),
            "You leave out what the failures cost: they are paid as well, and a success has to carry them.",
        ),
        Wrong(
            lambda iterations, hit, steps, first: price(iterations, hit, steps, first) / 2,
            "Guidance asks the network twice a step, with and without the caption: a factor 2 is missing.",
        ),
        Wrong(
            lambda iterations, hit, steps, first: price(0.75 * iterations, hit, steps, first),
            "You count three runs an iteration: with checkpoints the forward pass runs once more, so it is four.",
        ),
        Wrong(
            lambda iterations, hit, steps, first: price(0.25 * iterations, hit, steps, first),
            "You count an iteration as one run: the backward pass costs two more, and checkpoints a fourth.",
        ),
        Wrong(
            lambda iterations, hit, steps, first: price(iterations, hit, steps, first) * hit.sum() / len(hit),
            "That is the price of a try: divide by the number of successes.",
        ),
        Wrong(
            lambda iterations, hit, steps, first: 2 * steps * (first + 4 * iterations.sum()) / hit.sum(),
            "The first candidates are tried for every seed: you paid for them once.",
        ),
    ],
    tolerance=1e-6,
    may_pass={
        "iterations reordered": "Only the sum of the iterations enters the price.",
        "hit reordered": "Only the number of hits enters the price.",
    },
)


# 11.8 experiment: a loss that is fooled
RUNS, SHARE, PURE = 50, 0.17, 0.95


def hand_out(run, z, loss, judge):
    """Gradients, a stop where the judge says so, and only what the judge confirms."""
    found = seedselect.seedselect(run, z[0], loss, 12, lr=0.2, stop=judge).z
    with torch.no_grad():
        return found[judge(run(found))]


def hand_out_from_another(run, z, loss, judge):
    """Longer steps from other seeds."""
    seeds = seedselect.seedselect(run, z[7], loss, iterations=11, lr=0.3, stop=judge)[0]
    confirmed = judge(run(seeds))
    return torch.stack([seed for seed, yes in zip(seeds, confirmed) if yes])


def hand_out_by_own_loop(run, z, loss, judge):
    found = z[0].clone().requires_grad_()
    adam, there = torch.optim.Adam([found], lr=0.2), torch.zeros(len(found), dtype=torch.bool)
    kept = found.detach().clone()
    for _ in range(12):
        x = run(found)
        arrived = judge(x.detach()) & ~there
        kept[arrived], there = found.detach()[arrived], there | arrived
        adam.zero_grad()
        loss(x).sum().backward()
        adam.step()
    return kept[there]


def by_judge_alone(run, z, loss, judge):
    """No gradients: plain seeds that the judge confirms, and others drawn close to them, confirmed as well."""
    with torch.no_grad():
        good = torch.cat([seeds[judge(run(seeds))] for seeds in z])
        near = good[torch.randint(len(good), z.shape[1:2])] + 0.05 * torch.randn(z.shape[1:])
        return near[judge(run(near))]


def call_hand_out(fn, quarter, seed):
    """How many of those handed out are right, how many there are, and the runs spent, where the loss has a decoy."""
    n, s, weight = 150, 0.3, 0.0001
    angle = torch.pi / 2 * quarter + 2 * torch.pi * torch.arange(8, dtype=torch.float64) / 8
    means, weights = torch.stack([angle.cos(), angle.sin()], 1), torch.tensor([weight] + 7 * [(1 - weight) / 7])
    D, ahead = GaussianMixture(3 * means, s, weights), means[0]
    sigmas, g, spent, made = geometric(6.0, 0.1, 3), torch.Generator().manual_seed(seed), {False: 0.0, True: 0.0}, []
    z, looks = torch.randn(30, n, 2, generator=g), [0.0]
    references = D.means[0] + s * torch.randn(5, 2, generator=g)

    def run(z):
        followed = z.requires_grad and torch.is_grad_enabled()
        spent[followed] += (4 if followed else 1) * len(z.reshape(-1, 2)) / n
        looks.append(0.0 if spent[True] else spent[False])  # before the first gradient
        x = sigmas[0] * z
        for state in trajectory(D, x, sigmas):
            x = state.x
        made.append(x.detach().reshape(-1, 2))
        return x

    def encode(x):
        across = ahead[0] * x[:, 1] - ahead[1] * x[:, 0]
        return torch.stack([(x @ ahead) ** 2 / 3, across], 1)  # does not see the mode from the one opposite

    def judge(x):
        return on_mode(x, D.means[:1], 3 * s)

    centroid = encode(references).mean(0)
    found = fn(run, z, lambda x: (encode(x) - centroid).square().sum(1).clamp(min=1e-24).sqrt(), judge)
    found, used = found.detach().reshape(-1, 2), sum(spent.values())
    twice = torch.tril(torch.cdist(found, found) < 0.001, diagonal=-1).any(1)  # close to one before it
    samples = (found[:, None] == torch.cat([*made, z[0, :1] + torch.inf])).all(2).any(1)
    with torch.no_grad():
        right = judge(run(found)) if len(found) else torch.zeros(0)
    counts = {"number": len(found), "used": used, "looked": max(looks) if spent[True] else 0.0}
    parts = {"right": right.sum(), "different": (~twice).sum(), "samples": samples.sum()}
    return counts | {"share": right.sum() / n} | {name: part / max(len(found), 1) for name, part in parts.items()}


OVER = "You spend more than 50 runs for each particle: a run with gradients counts four, and the last look counts."
FOOLED = "Many of the seeds you hand out show the decoy: the loss is as low there. Ask the judge, not the loss."
FEW = (
    "What you hand out is right, but there is too little of it: thirty plain looks find less than a tenth. "
    "Spend the runs on iterations, with steps that are neither too short to arrive nor so long that they jump past."
)
CHOSEN = (
    "What you hand out is right, but too little: your looks before the walk are missing as iterations, "
    "and a choice by the loss is mostly one of the decoy's seeds."
)
NOTHING = "You hand out no seed at all: let the seeds walk until the judge confirms some, and return those."
SAMPLES = "You hand out samples: the seeds are due that they were made from."
TWICE = "You hand out copies: a seed that lies closer than .001 to another one does not count again."


def accept_hand_out(answer, inputs):
    """Budget, then form, purity, and number."""
    if answer["used"] > RUNS + 1e-6:
        return OVER
    if answer["number"] == 0:
        return NOTHING
    if answer["samples"] > 0.5:
        return SAMPLES
    found = {"right of those handed out, .95 due": answer["right"], "right of all seeds, .17 due": answer["share"]}
    if answer["right"] < PURE:
        return FOOLED, found
    if answer["different"] < 0.95:
        return TWICE
    if answer["share"] < SHARE:
        return CHOSEN if answer["looked"] > 2.5 else FEW, found
    return None


def by_luck(run, z, loss, judge):
    with torch.no_grad():
        hits = torch.stack([judge(run(one)) for one in z])  # (30, N)
    return z[hits.double().argmax(0), torch.arange(z.shape[1])][hits.any(0)]


def after_a_choice(looks, iterations):
    def hand_out(run, z, loss, judge):
        start = seedselect.best_of(run, loss, z[:looks])
        chosen = seedselect.seedselect(run, start, loss, iterations, lr=0.2, stop=judge).z
        with torch.no_grad():
            return chosen[judge(run(chosen))]

    return hand_out


def jittered(run, z, loss, judge):
    good = by_luck(run, z, loss, judge).repeat(20, 1)
    return good + 1e-6 * torch.arange(len(good))[:, None]


def with_samples(run, z, loss, judge):
    with torch.no_grad():
        x = run(hand_out(run, z, loss, judge))
    return x[judge(x)]


HAND_OUT = Exercise(
    "11.8",
    "Hand out only what a judge confirms",
    points=3,
    difficulty=4,
    importance=5,
    minutes=20,
    further=True,
    name="hand_out",
    reference=hand_out,
    inputs=lambda g: (whole(g, 0, 3), whole(g, 0, 2**31 - 1)),
    call=call_hand_out,
    accept=accept_hand_out,
    draws=4,
    right=[hand_out_from_another, hand_out_by_own_loop, by_judge_alone],
    wrong=[
        Wrong(lambda run, z, loss, judge: seedselect.seedselect(run, z[0], loss, 12).z, FOOLED),
        Wrong(jittered, TWICE),
        Wrong(by_luck, FEW),
        Wrong(after_a_choice(20, 12), OVER),
        Wrong(after_a_choice(9, 10), CHOSEN),
        Wrong(with_samples, SAMPLES),
        Wrong(lambda run, z, loss, judge: z[0][:0], NOTHING),
    ],
    needs=("from course_lib.seedselect import best_of, seedselect",),
    may_pass=any_order("answer", "z")
    | {
        "z kept": "Any independent seeds will do to start from.",
        "loss reordered": "It is summed over the particles before it is differentiated.",
    },
)


# 11.9 accuracy by group
def by_group(answers, labels, groups):
    """Mean accuracy of the classes of each group (11.10)."""
    right = (answers == labels).double()
    each = torch.stack([right[labels == c].mean() for c in range(len(groups))])
    return torch.stack([each[groups == group].mean() for group in range(3)])


def by_group_by_counts(answers, labels, groups):
    number = torch.bincount(labels, minlength=len(groups))
    right = torch.bincount(labels[answers == labels], minlength=len(groups))
    share = right.double() / number
    return torch.zeros(3, dtype=torch.float64).scatter_reduce(0, groups, share, "mean", include_self=False)


def by_group_by_loop(answers, labels, groups):
    found = []
    for group in range(3):
        shares = []
        for c in (groups == group).nonzero()[:, 0].tolist():
            shares.append(float((answers[labels == c] == c).double().mean()))
        found.append(sum(shares) / len(shares))
    return torch.tensor(found)


def pictures_of_group(answers, labels, groups):
    own = groups[labels]
    return torch.stack([(answers == labels)[own == group].double().mean() for group in range(3)])


def precision_by_group(answers, labels, groups):
    right = (answers == labels).double()
    each = [right[answers == c].mean() for c in range(len(groups))]
    return torch.stack([torch.stack([e for e, k in zip(each, groups) if k == group]).mean() for group in range(3)])


def within_group(answers, labels, groups):
    near = (groups[answers] == groups[labels]).double()
    each = torch.stack([near[labels == c].mean() for c in range(len(groups))])
    return torch.stack([each[groups == group].mean() for group in range(3)])


def answered(g):
    """Five to nine classes of very different size in three groups, mixed, and answers that are mostly right."""
    C = whole(g, 5, 9)
    groups = torch.cat([torch.arange(3), torch.randint(3, (C - 3,), generator=g)])[torch.randperm(C, generator=g)]
    sizes = torch.randperm(C, generator=g) * 5 + 6
    labels = torch.arange(C).repeat_interleave(sizes)
    other = torch.randint(C, (len(labels),), generator=g)
    answers = torch.where(torch.rand(len(labels), generator=g) < 0.5 + 0.05 * labels, labels, other)
    first = torch.cat([(labels == c).nonzero()[:2, 0] for c in range(C)])
    answers[first] = torch.stack([torch.arange(C), (torch.arange(C) + 1) % C], 1).flatten()
    order = torch.randperm(len(labels), generator=g)
    return answers[order], labels[order], groups


GROUPS = Exercise(
    "11.9",
    "Accuracy by group",
    points=1,
    difficulty=2,
    importance=4,
    minutes=8,
    further=True,
    equation="(11.10)",
    name="by_group",
    reference=by_group,
    inputs=answered,
    right=[by_group_by_counts, by_group_by_loop],
    wrong=[
        Wrong(
            pictures_of_group,
            "You average over the pictures of a group: a class with many pictures then outweighs the others.",
        ),
        Wrong(
            precision_by_group,
            "You divided by how often a class was answered: accuracy divides by how often it was shown.",
        ),
        Wrong(within_group, "You count an answer as right that names another class of the same group."),
        Wrong(
            lambda answers, labels, groups: by_group(answers, labels, groups).mean(),
            "Three numbers are due, one for each group.",
        ),
        Wrong(
            lambda answers, labels, groups: by_group(answers, labels, groups).flip(0),
            "Your groups come out in the wrong order: 0, 1, 2 are head, middle, tail.",
        ),
    ],
    tolerance=1e-6,
)


# 11.10 words
REPORT = Exercise(
    "11.10",
    "Referee a success",
    points=4,
    difficulty=4,
    importance=5,
    minutes=25,
    rubric="1 point: the judge is the network that was optimised, so its verdict is no evidence; names a reader that "
    "was not, and one without a network or a person, with a number of this chapter. 1 point: the baseline is missing: "
    "best of n by the same loss at equal network calls, with the count of an iteration. 1 point: a control that must "
    "fail (another concept's centroid), and an error over references or paired seeds. 1 point: a claim for training "
    "data needs the diversity of what came out, or the accuracy on real test pictures beside plain sampling and real "
    "pictures.",
)

# 11.11 the loss as released
LEVELS = (0.05, 0.25, 0.7)


def released_loss(v, x, features, latents):
    """The library's own, whose encoder is handed the features of one level after the other."""
    levels = iter(v)
    return seedselect.as_released(lambda _: next(levels), features, latents)(torch.stack([x, x, x]))


def released_by_formula(v, x, features, latents):
    meaning = sum(w * (1 - F.cosine_similarity(one, features[None], dim=1)) for w, one in zip(LEVELS, v))
    return 10 * meaning + (x - latents).square().flatten(1).mean(1)


def released_by_loop(v, x, features, latents):
    found = []
    for i in range(len(x)):
        cosines = [one[i] @ features / (one[i].norm() * features.norm()) for one in v]
        angle = sum(w * (1 - c) for w, c in zip(LEVELS, cosines))
        found.append(10 * angle + ((x[i] - latents) ** 2).mean())
    return torch.stack(found)


def with_weights(weights, numbers=None):
    """The released loss with other weights, or with the squared error divided by another number."""

    def loss(v, x, features, latents):
        meaning = sum(w * (1 - F.cosine_similarity(one, features[None], dim=1)) for w, one in zip(weights, v))
        error = (x - latents).square().flatten(1)
        return 10 * meaning + (error.sum(1) / numbers(v) if numbers else error.mean(1))

    return loss


def call_released(fn, v, x, features, latents):
    """The losses and their gradients in v and x, which are no leaves, so that a change in place is found."""
    leaves = v.clone().requires_grad_(), x.clone().requires_grad_()
    given = [1 * leaf for leaf in leaves]
    loss = trainable(fn(*given, features, latents))
    v.copy_(given[0].detach())
    x.copy_(given[1].detach())
    if not all(map(torch.equal, given, leaves)):
        return {"loss": loss, "of v": torch.zeros_like(v), "of x": torch.zeros_like(x)}
    of_v, of_x = torch.autograd.grad(loss.sum(), leaves, allow_unused=True, materialize_grads=True)
    return {"loss": loss, "of v": of_v, "of x": of_x}


def last_levels(g):
    """Features of the last three levels (3, N, e), latents (N, 4, h, w), and the means of the references."""
    N, e, h, w = whole(g, 1, 6), whole(g, 3, 40), whole(g, 2, 4), whole(g, 2, 4)
    return normal(g, 3, N, e) + 0.4, normal(g, N, 4, h, w), normal(g, e) + 0.4, normal(g, 4, h, w)


RELEASED = Exercise(
    "11.11",
    "The loss as it was released",
    points=2,
    difficulty=3,
    importance=4,
    minutes=12,
    equation="(11.8)",
    name="released_loss",
    reference=released_loss,
    inputs=last_levels,
    call=call_released,
    beside=True,
    right=[released_by_formula, released_by_loop],
    wrong=[
        Wrong(
            with_weights((0.7, 0.25, 0.05)),
            "Your weights run the wrong way: the last level, which is the picture itself, weighs .7.",
        ),
        Wrong(
            with_weights((0.0, 0.0, 1.0)),
            "You look at the last level alone: the two before it weigh .05 and .25.",
        ),
        Wrong(
            with_weights((1 / 3, 1 / 3, 1 / 3)),
            "You weigh the three levels alike: the weights are .05, .25 and .7.",
        ),
        Wrong(
            with_weights(LEVELS, lambda v: 1),
            "You add up the squared error of the latents: (11.8) takes its mean, or 576 numbers outweigh the rest.",
        ),
        Wrong(
            with_weights(LEVELS, lambda v: v.shape[2]),
            "You divide the squared error by the length of the features: it is the latents' numbers that are counted.",
        ),
        Wrong(
            with_weights(LEVELS, lambda v: 576),
            "576 belongs to the chapter's latents: divide by as many numbers as those have that you are given.",
        ),
        Wrong(
            lambda v, x, features, latents: (
                released_loss(v, x, features, latents) + 9 * (x - latents).square().flatten(1).mean(1)
            ),
            "The factor 10 belongs to the part that looks at features alone.",
        ),
        Wrong(
            lambda v, x, features, latents: released_loss(v.detach(), x, features, latents),
            "The values are right, but no gradient reaches v: keep it out of detach and no_grad.",
        ),
        Wrong(
            lambda v, x, features, latents: released_loss(v, x.detach(), features, latents),
            "The values are right, but no gradient reaches x: the second part has to pull at the latents.",
        ),
        Wrong(
            lambda v, x, features, latents: released_loss(v, x, features, latents).mean(),
            "One number for each seed is due, (N,): you averaged over the seeds.",
        ),
        Wrong(
            lambda v, x, features, latents: (
                released_loss(v, x, features, latents) / 10 + 0.9 * (x - latents).square().flatten(1).mean(1)
            ),
            "The factor 10 is missing before the part that looks at features.",
        ),
        Wrong(
            lambda v, x, features, latents: (
                released_loss(v, x, features, latents) - (x - latents).square().flatten(1).mean(1)
            ),
            "The second part is missing, the error of the latents.",
        ),
    ],
    tolerance=1e-6,
    home="course_lib.seedselect:as_released",
)

EXERCISES = [IOU, ARMS, SEMANTIC, ROSE, AUC, BEST, PRICE, HAND_OUT, GROUPS, REPORT, RELEASED]

QUIZ = [
    Question(
        "After SeedSelect CLIP names the rare concept in 90 % of the pictures. The loss was a distance in CLIP. "
        "What do you know?",
        [
            ("The concept is shown in about 90 %", False, "That is what remains to be shown, by another judge."),
            ("The optimiser worked", True, "That, and nothing about the pictures: what is rewarded is found."),
            ("The seeds left the shell", False, "Nothing was said about their length."),
        ],
    ),
    Question(
        "An iteration through 12 checkpointed steps with guidance: how many network calls?",
        [
            (96, True, "12 steps, 2 calls each for guidance, times 4: forward, again, and backward twice its price."),
            (24, False, "That is one forward run with guidance."),
            (48, False, "You left out guidance, which asks twice a step."),
            (72, False, "That is without checkpoints, three runs."),
        ],
        otherwise="Count one run, 12 steps of 2 calls, then what an iteration costs in runs.",
    ),
    Question(
        "Before any gradient: the loss ranks a picture with the concept before one without it in 52 % of pairs. "
        "What will SeedSelect do?",
        [
            ("Find the concept, with more iterations", False, "Lower the loss, yes: but the loss hardly knows of it."),
            (
                "Lower the loss, and show the concept about as often as luck",
                True,
                "A coin ranks 50 %: change the loss.",
            ),
            ("Nothing: the loss cannot be lowered", False, "It can, by colour, texture or place."),
        ],
    ),
    Question(
        "Why compare with the best of n by the same CLIP, and not with plain sampling alone?",
        [
            (
                "It spends the same calls and the same references, without gradients",
                True,
                "So what is left of the difference is due to the gradients.",
            ),
            ("It is always better", False, "Whether it is, is what the comparison finds out."),
            ("Because plain sampling has no spread", False, "Plain sampling has the most."),
        ],
    ),
]
