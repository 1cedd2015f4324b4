"""Reference answers, inputs and anticipated wrong answers of chapter 9's exercises."""

import math

import torch

from course_lib import features, metrics
from course_lib.exercises.declare import Exercise, Question, Wrong, any_order
from course_lib.exercises.draws import normal, real, whole


def cloud(g, n, d):
    """n points in d dimensions with a mean and a covariance of their own."""
    return normal(g, n, d) @ normal(g, d, d) / d**0.5 + 0.5 * normal(g, d)


def block(g, N=0):
    """Activations after a rectifier, (N, C, H, W), no two sizes equal."""
    N, C, H = N or whole(g, 2, 3), 4, whole(g, 5, 6)
    return (normal(g, N, C, H, 7) + normal(g, 1, C, 1, 1)).clamp(min=0)


# 9.1 the split of the Frechet distance
def frechet_parts(a, b):
    """The library's own function."""
    parts = metrics.frechet_parts(a, b)
    return parts.mean, parts.bures, parts.trace_ratio


def split(a, b, unbiased=1, weight=2.0):
    """Equation (9.1) with its usual mistakes as options."""
    A = (a - a.mean(0)) / (len(a) - unbiased) ** 0.5
    B = (b - b.mean(0)) / (len(b) - unbiased) ** 0.5
    cross = torch.linalg.svdvals(A @ B.T).sum()
    t_a, t_b = A.square().sum(), B.square().sum()
    return (a.mean(0) - b.mean(0)).square().sum(), t_a + t_b - weight * cross, t_a / t_b


def split_by_root(a, b):
    """By the eigenvalues of S_b^(1/2) S_a S_b^(1/2)."""
    S_a, S_b = torch.cov(a.T), torch.cov(b.T)
    values, U = torch.linalg.eigh(S_b)
    root = (U * values.clamp(min=0).sqrt()) @ U.T
    cross = torch.linalg.eigvalsh(root @ S_a @ root).clamp(min=0).sqrt().sum()
    mean = (a.mean(0) - b.mean(0)).square().sum()
    return mean, S_a.trace() + S_b.trace() - 2 * cross, S_a.trace() / S_b.trace()


def split_by_qr(a, b):
    centred = [(z - z.mean(0)) / (len(z) - 1) ** 0.5 for z in (a, b)]
    A, B = (torch.linalg.qr(z, mode="r")[1] for z in centred)
    t_a, t_b = A.square().sum(), B.square().sum()
    return (a.mean(0) - b.mean(0)).square().sum(), t_a + t_b - 2 * torch.linalg.svdvals(A @ B.T).sum(), t_a / t_b


def unrooted_mean(a, b):
    mean, bures, ratio = split(a, b)
    return mean.sqrt(), bures, ratio


def frobenius(a, b):
    A, B = ((z - z.mean(0)) / (len(z) - 1) ** 0.5 for z in (a, b))
    mean, _, ratio = split(a, b)
    return mean, A.square().sum() + B.square().sum() - 2 * (A @ B.T).norm(), ratio


def whole_distance(a, b):
    mean, bures, ratio = split(a, b)
    return mean, mean + bures, ratio


def upside_down(a, b):
    mean, bures, ratio = split(a, b)
    return mean, bures, 1 / ratio


def ratio_of_widths(a, b):
    mean, bures, ratio = split(a, b)
    return mean, bures, ratio.sqrt()


def commuting(a, b):
    """The trace of S_a^(1/2) S_b^(1/2)."""
    roots = []
    for z in (a, b):
        values, U = torch.linalg.eigh(torch.cov(z.T))
        roots.append((U * values.clamp(min=0).sqrt()) @ U.T)
    mean, _, ratio = split(a, b)
    traces = torch.cov(a.T).trace() + torch.cov(b.T).trace()
    return mean, traces - 2 * (roots[0] @ roots[1]).trace(), ratio


PARTS = Exercise(
    "9.1",
    "The Fréchet distance in its parts",
    points=2,
    difficulty=2,
    importance=5,
    minutes=10,
    equation="(9.1)",
    name="frechet_parts",
    reference=frechet_parts,
    inputs=lambda g: (cloud(g, whole(g, 5, 9), d := whole(g, 6, 7)), cloud(g, whole(g, 10, 20), d)),
    right=[split, split_by_root, split_by_qr],
    wrong=[
        Wrong(lambda a, b: split(a, b, unbiased=0), "You divided by N: the factors divide by N - 1, as in chapter 3."),
        Wrong(lambda a, b: split(a, b, weight=1.0), "The nuclear norm enters twice: the bracket of (9.1) has a 2."),
        Wrong(
            frobenius,
            "You took the Frobenius norm, the root of the summed squares: the nuclear norm sums the singular values.",
        ),
        Wrong(unrooted_mean, "Your first part is a distance: (9.1) has its square, in the units of the other part."),
        Wrong(whole_distance, "Your second part holds the mean as well: the Bures part is the covariances alone."),
        Wrong(upside_down, "Your ratio is upside down: the trace of the set a stands above that of the reference b."),
        Wrong(
            lambda a, b: (lambda mean, bures, ratio: (bures, mean, ratio))(*split(a, b)),
            "Your first two parts are swapped: the mean's comes first.",
        ),
        Wrong(ratio_of_widths, "Your ratio compares widths: the traces are variances, no root is due."),
        Wrong(
            commuting, "You multiplied the roots of the covariances: that is right only where they commute, see (3.7)."
        ),
    ],
    tolerance=1e-7,
    home="course_lib.metrics.gaussian:frechet_parts",
    may_pass=any_order("a", "b"),
)


# 9.2 the bias of the Frechet distance
def bias(lam, N):
    """The library's own function."""
    return metrics.frechet_bias(lam, N)


def bias_by_table(lam, N):
    """Over all pairs: each pair i < j twice, and the diagonal with half an eigenvalue."""
    pairs = lam[:, None] * lam / (lam[:, None] + lam)
    return (lam.sum() + pairs.sum() / 2 + lam.sum() / 4) / N


def bias_by_loop(lam, N):
    lam = lam.tolist()
    total = 1.5 * sum(lam)
    for i in range(len(lam)):
        for j in range(i):
            total += lam[i] * lam[j] / (lam[i] + lam[j])
    return total / N


def bias_of(lam, N, mean=1.0, own=0.5, pairs=1.0):
    table = lam[:, None] * lam / (lam[:, None] + lam)
    return (mean * lam.sum() + own * lam.sum() + pairs * table.triu(1).sum()) / N


BIAS = Exercise(
    "9.2",
    "What too few pictures add",
    points=2,
    difficulty=3,
    importance=4,
    minutes=12,
    further=True,
    equation="(9.2)",
    name="bias",
    reference=bias,
    inputs=lambda g: (0.1 + 2 * torch.rand(whole(g, 2, 8), generator=g, dtype=torch.float64), whole(g, 10, 500)),
    right=[bias_by_table, bias_by_loop],
    wrong=[
        Wrong(
            lambda lam, N: bias_of(lam, N, mean=0), "The error of the mean is missing: it adds the sum of lambda / N."
        ),
        Wrong(lambda lam, N: bias_of(lam, N, own=0), "The error of the variances is missing: half the sum of lambda."),
        Wrong(lambda lam, N: bias_of(lam, N, pairs=0), "The covariances are missing: the sum over the pairs i < j."),
        Wrong(lambda lam, N: bias_of(lam, N, pairs=2), "You counted each pair twice: the sum of (9.2) is over i < j."),
        Wrong(
            lambda lam, N: bias_of(lam, N) * N / (N - 1),
            "You divided by N - 1: (9.2) divides by N.",
        ),
        Wrong(
            lambda lam, N: bias_of(lam, N, own=1.0),
            "Your sum over pairs holds i = j, whose term lambda / 2 is the last one of (9.2) already.",
        ),
        Wrong(
            lambda lam, N: (len(lam) + len(lam) * (len(lam) + 1) / 4) / N,
            "That is the formula for eigenvalues that are all 1: yours differ.",
        ),
        Wrong(lambda lam, N: 2 * bias_of(lam, N), "You took both sets to be small: (9.2) is the share of one set."),
        Wrong(lambda lam, N: bias_of(lam, N) / N**-0.5, "The bias falls like 1 / N, not like the root of it."),
        Wrong(lambda lam, N: N * bias_of(lam, N), "The whole bracket is divided by N: more pictures, less bias."),
    ],
    home="course_lib.metrics.finite:frechet_bias",
    may_pass=any_order("lam"),
)


# 9.3 the location embedding
def location(block):
    """The library's own function."""
    return features.location(block)


def location_by_loop(block):
    N, C, H, W = block.shape
    total = torch.zeros(N, H, W, dtype=block.dtype)
    for channel in range(C):
        total = total + block[:, channel] / C
    return total.reshape(N, H * W)


LOCATION = Exercise(
    "9.3",
    "The location embedding",
    points=1,
    difficulty=1,
    importance=4,
    minutes=5,
    equation="(9.4)",
    name="location",
    reference=location,
    inputs=lambda g: (block(g),),
    right=[
        location_by_loop,
        lambda block: block.flatten(2).mean(1),
        lambda block: torch.einsum("nchw->nhw", block).flatten(1) / block.shape[1],
    ],
    wrong=[
        Wrong(
            lambda block: block.mean((2, 3)),
            "You averaged over the places: (9.4) averages over the channels and keeps the places.",
        ),
        Wrong(lambda block: block.sum(1).flatten(1), "You summed over the channels: (9.4) takes their mean."),
        Wrong(lambda block: block.amax(1).flatten(1), "You took the largest channel: (9.4) takes the mean."),
        Wrong(
            lambda block: block.mean(1).transpose(1, 2).flatten(1),
            "Your places come column by column: flatten row by row, as flatten(1) does.",
        ),
        Wrong(lambda block: block.mean(1), "Your answer is still a map: flatten it to one row of numbers a picture."),
        Wrong(lambda block: block.flatten(1), "The channels are still there: take their mean first."),
        Wrong(lambda block: block.mean(0).flatten(1), "You averaged over the pictures: the first axis has to stay."),
    ],
    home="course_lib.features.embeddings:location",
)


# 9.4 style by rank one and by Gram
def style_and_gram(block):
    """The library's own functions, together."""
    return features.style(block), features.gram(block)


def upper(square, offset=0):
    i, j = torch.triu_indices(square.shape[1], square.shape[2], offset)
    return square[:, i, j]


def both_of(block, scale=None, offset=0, order="upper"):
    """The two embeddings with their usual mistakes as options."""
    N, C, H, W = block.shape
    a, f = block.mean((2, 3)), block.flatten(2)
    outer, gram = a[:, :, None] * a[:, None], f @ f.transpose(1, 2) / (H * W if scale is None else scale)
    if order == "all":
        return outer.flatten(1), gram.flatten(1)
    if order == "lower":
        i, j = torch.tril_indices(C, C)
        return outer[:, i, j], gram[:, i, j]
    return upper(outer, offset), upper(gram, offset)


def both_by_loop(block):
    N, C, H, W = block.shape
    rows = []
    for picture in block:
        a = picture.reshape(C, -1).mean(1)
        pairs = [(i, j) for i in range(C) for j in range(i, C)]
        style = torch.stack([a[i] * a[j] for i, j in pairs])
        rows.append((style, torch.stack([(picture[i] * picture[j]).mean() for i, j in pairs])))
    return torch.stack([style for style, _ in rows]), torch.stack([gram for _, gram in rows])


def both_by_einsum(block):
    a = block.mean((2, 3))
    gram = torch.einsum("nchw,ndhw->ncd", block, block) / (block.shape[2] * block.shape[3])
    return upper(torch.einsum("nc,nd->ncd", a, a)), upper(gram)


def centred_gram(block):
    style, _ = both_of(block)
    return style, both_of(block - block.mean((2, 3), keepdim=True))[1]


def twice_the_same(block):
    style, _ = both_of(block)
    return style, style.clone()


def swapped_styles(block):
    return both_of(block)[::-1]


STYLES = Exercise(
    "9.4",
    "Two embeddings called style",
    points=2,
    difficulty=2,
    importance=4,
    minutes=10,
    equation="(9.5), (9.6)",
    name="style_and_gram",
    reference=style_and_gram,
    inputs=lambda g: (block(g),),
    right=[both_of, both_by_loop, both_by_einsum],
    wrong=[
        Wrong(lambda block: both_of(block, scale=1), "Your Gram matrix is a sum over places: (9.6) divides by H W."),
        Wrong(
            lambda block: both_of(block, order="all"), "You kept both halves: a symmetric matrix has one upper half."
        ),
        Wrong(lambda block: both_of(block, offset=1), "The diagonal is missing: the upper half includes it."),
        Wrong(
            lambda block: both_of(block, order="lower"),
            "That is the lower half, whose entries come in another order: use the upper one.",
        ),
        Wrong(twice_the_same, "Your two answers are equal: (9.6) multiplies first and averages over the places after."),
        Wrong(centred_gram, "You subtracted the means first: that is a covariance, and (9.6) leaves the means in."),
        Wrong(swapped_styles, "The two are swapped: the rank-one style (9.5) comes first, the Gram matrix second."),
    ],
    home="course_lib.features.embeddings:style",
)


# 9.5 a block that one of them cannot tell apart
UNCHANGED = "The Gram matrix has not moved: what was active together has to part company."
TOGETHER = "You moved all channels in the same way, so what was active together still is: move them apart."
SOME = "You moved some of the pictures only: (N, C, H, W) holds N of them, and each should change."
STYLE_MOVED = "The rank-one style has moved: each channel has to keep its own mean."
NEGATIVE = "Some activations are negative: no block behind a rectifier looks like that."


def joint_block(g):
    """Three pictures' activations whose channels are active in the same places, (3, 4, H, 7)."""
    H = whole(g, 5, 6)
    return ((0.3 * normal(g, 3, 4, H, 7) + normal(g, 3, 1, H, 7)).clamp(min=0),)


def same_style(block):
    """Each channel is rolled by another number of rows."""
    return torch.stack([block[:, c].roll(c, 1) for c in range(block.shape[1])], 1)


def shuffled_apart(block):
    N, C, H, W = block.shape
    return torch.stack([block[:, c].flatten(1)[:, torch.randperm(H * W)].reshape(N, H, W) for c in range(C)], 1)


def every_other_turned(block):
    """Channels 1, 3, ... stand on their heads."""
    turned = block.clone()
    turned[:, 1::2] = block[:, 1::2].flip(2)
    return turned


def every_place_alike(block):
    return block.mean((2, 3), keepdim=True).expand(block.shape).clone()


def shuffled_together(block):
    return block.flatten(2)[:, :, torch.randperm(block[0, 0].numel())].reshape(block.shape)


def first_picture_only(block):
    return torch.cat([same_style(block[:1]), block[1:]])


def upside_down_means(block):
    mean = block.mean((2, 3), keepdim=True)
    return mean - 2 * (block - mean)


def accept_same_style(answer, inputs):
    """The style embedding stays to rounding, the Gram matrix moves by a twentieth of its length in each picture."""
    (before,) = inputs
    if answer.min() < -1e-12:
        return NEGATIVE
    (style, gram), (style_0, gram_0) = both_of(answer), both_of(before)
    if (style - style_0).abs().max() > 1e-9 * style_0.abs().max():
        return STYLE_MOVED
    moved = (gram - gram_0).norm(dim=1) / gram_0.norm(dim=1)
    if moved.min() < 1e-9 < moved.max():
        return SOME
    if moved.max() < 1e-9:
        return UNCHANGED if torch.equal(answer, before) else TOGETHER
    if moved.min() < 0.05:
        return (
            "The Gram matrix has moved by less than a twentieth of its length in some picture: move the channels more."
        )
    return None


SAME_STYLE = Exercise(
    "9.5",
    "A pair that tells two embeddings apart",
    points=2,
    difficulty=3,
    importance=3,
    minutes=10,
    further=True,
    equation="(9.5), (9.6)",
    name="same_style",
    reference=same_style,
    inputs=joint_block,
    accept=accept_same_style,
    right=[shuffled_apart, every_other_turned, every_place_alike],
    wrong=[
        Wrong(shuffled_together, TOGETHER),
        Wrong(first_picture_only, SOME),
        Wrong(lambda block: block.clone(), UNCHANGED),
        Wrong(lambda block: block.flip(1), STYLE_MOVED),
        Wrong(upside_down_means, NEGATIVE),
    ],
    draws=3,
    home="",
)


# 9.6 the share of the gap closed
def gap_closed(a, maximum, minimum, floor):
    """The library's own function."""
    return metrics.max_diversity_distance(a, maximum, minimum, floor).gap_closed


def gap(a, maximum, minimum, floor, frechet=metrics.frechet):
    """Equation (9.7) with another distance if one is given."""
    worst, best = frechet(minimum, maximum), frechet(floor, maximum)
    return (worst - frechet(a, maximum)) / (worst - best)


def gap_by_share(a, maximum, minimum, floor):
    """One minus the share that is left."""
    F = [float(split_by_root(z, maximum)[0] + split_by_root(z, maximum)[1]) for z in (a, minimum, floor)]
    return 1 - (F[0] - F[2]) / (F[1] - F[2])


def gap_by_product(a, maximum, minimum, floor):
    F = [sum(split(z, maximum)[:2]) for z in (a, minimum, floor)]
    return (F[1] - F[0]) / (F[1] - F[2])


def five_sets(g):
    """A set of middling spread, one behind the minimum set, a maximum set, a minimum set, a second maximum set."""
    N, d = whole(g, 15, 25), whole(g, 2, 4)
    turn, away = normal(g, d, d), torch.sign(normal(g, d))
    size = 0.3 + 0.5 * torch.rand((), generator=g).item()
    laws = ((size, 1), (size, 8), (1, 0), (0.1, 5), (1, 0.1))
    return tuple(s * normal(g, N, d) @ turn + far * away for s, far in laws)


def call_gap(fn, a, behind, maximum, minimum, floor):
    """The share of a set between the two ends, of one behind the plain set, and of the maximum set itself."""
    first = fn(a, maximum, minimum, floor)
    if first is None:
        return None
    return {"a": first, "behind": fn(behind, maximum, minimum, floor), "maximum": fn(maximum, maximum, minimum, floor)}


GAP = Exercise(
    "9.6",
    "The share of the gap closed",
    points=2,
    difficulty=2,
    importance=5,
    minutes=8,
    equation="(9.7)",
    name="gap_closed",
    reference=gap_closed,
    inputs=five_sets,
    call=call_gap,
    right=[gap, gap_by_share, gap_by_product],
    wrong=[
        Wrong(
            lambda a, maximum, minimum, floor: 1 - metrics.frechet(a, maximum) / metrics.frechet(minimum, maximum),
            "The floor is missing: a second maximum set would score less than 1.",
        ),
        Wrong(
            lambda a, maximum, minimum, floor: 1 - gap(a, maximum, minimum, floor),
            "Your share is the part of the gap that is left: 1 is the maximum set, 0 the minimum set.",
        ),
        Wrong(
            lambda a, maximum, minimum, floor: gap(
                a, maximum, minimum, floor, lambda a, b: metrics.frechet(a, b).sqrt()
            ),
            "You took roots of the distances: (9.7) uses them as they are.",
        ),
        Wrong(
            lambda a, maximum, minimum, floor: gap(a, floor, minimum, maximum),
            "You measured the distances to the second maximum set: the first is the reference of all three.",
        ),
        Wrong(
            lambda a, maximum, minimum, floor: metrics.frechet(a, minimum) / metrics.frechet(maximum, minimum),
            "You measured how far the set is from the minimum: moving away from it need not lead to the maximum.",
        ),
        Wrong(
            lambda a, maximum, minimum, floor: (
                metrics.frechet(a, maximum) / (metrics.frechet(minimum, maximum) - metrics.frechet(floor, maximum))
            ),
            "Your numerator is the distance that is left: it should be what the set has come nearer than the minimum.",
        ),
        Wrong(
            lambda a, maximum, minimum, floor: (
                metrics.frechet(a, minimum) / (metrics.frechet(minimum, maximum) - metrics.frechet(floor, maximum))
            ),
            "Your numerator is the way from the minimum set: a set can go far and come no nearer to the maximum.",
        ),
        Wrong(
            lambda a, maximum, minimum, floor: -gap(a, maximum, minimum, floor),
            "The sign is flipped: the distance of the minimum set comes first.",
        ),
        Wrong(
            lambda a, maximum, minimum, floor: torch.as_tensor(gap(a, maximum, minimum, floor)).clamp(0, 1),
            "You cut the share at 0 and 1: a set farther off than the plain one has less than 0, and luck more than 1.",
        ),
        Wrong(
            lambda a, maximum, minimum, floor: torch.as_tensor(gap(a, maximum, minimum, floor)).clamp(min=0),
            "You cut the share at 0: a set that is farther off than the plain one has a negative share.",
        ),
    ],
    tolerance=1e-7,
    needs=("frechet",),
    home="course_lib.metrics.gaussian:max_diversity_distance",
    may_pass=any_order("a", "maximum", "minimum", "floor"),
)


# 9.7 the kernel distance
def kid(a, b):
    """The library's own function."""
    return metrics.kid(a, b)


def kid_of(a, b, power=3, one=1.0, scale=None, cross=2.0, diagonal=False):
    """Equation (9.8) with its usual mistakes as options."""
    scale = a.shape[1] if scale is None else scale
    kernel = lambda p, q: (p @ q.T / scale + one) ** power  # noqa: E731

    def within(z):
        k, N = kernel(z, z), len(z)
        return k.mean() if diagonal else (k.sum() - k.diagonal().sum()) / (N * (N - 1))

    return within(a) + within(b) - cross * kernel(a, b).mean()


def kid_by_loop(a, b):
    d = a.shape[1]

    def k(p, q):
        return (float((p * q).sum()) / d + 1) ** 3

    def within(z):
        pairs = [k(z[i], z[j]) for i in range(len(z)) for j in range(i)]
        return sum(pairs) / len(pairs)

    return within(a) + within(b) - 2 * sum(k(p, q) for p in a for q in b) / (len(a) * len(b))


def kid_by_mask(a, b):
    z = torch.cat([a, b])
    k = (z @ z.T / z.shape[1] + 1) ** 3
    N = len(a)
    off = lambda part: part[~torch.eye(len(part), dtype=torch.bool)].mean()  # noqa: E731
    return off(k[:N, :N]) + off(k[N:, N:]) - k[:N, N:].mean() - k[N:, :N].mean()


def kid_of_all_over_pairs(a, b):
    """The diagonal is in the sum and not in the count."""
    within = lambda x: ((x @ x.T / x.shape[1] + 1) ** 3).sum() / (len(x) * (len(x) - 1))  # noqa: E731
    return within(a) + within(b) - 2 * ((a @ b.T / a.shape[1] + 1) ** 3).mean()


KID = Exercise(
    "9.7",
    "The kernel distance with all pairs",
    points=2,
    difficulty=2,
    importance=4,
    minutes=10,
    further=True,
    equation="(9.8)",
    name="kid",
    reference=kid,
    inputs=lambda g: (cloud(g, whole(g, 4, 7), d := whole(g, 2, 5)), cloud(g, whole(g, 8, 12), d)),
    right=[kid_of, kid_by_loop, kid_by_mask],
    wrong=[
        Wrong(
            lambda a, b: kid_of(a, b, diagonal=True),
            "You kept the pairs i = j: a picture is like itself, which adds a bias of about 1 / N.",
        ),
        Wrong(
            kid_of_all_over_pairs,
            "You divided by the number of pairs i != j, but the pairs i = j are still in your sums.",
        ),
        Wrong(lambda a, b: kid_of(a, b, scale=1.0), "The dot product is divided by d before 1 is added."),
        Wrong(
            lambda a, b: kid_of(a, b, scale=len(a)), "You divided the dot product by the number of pictures: d is due."
        ),
        Wrong(lambda a, b: kid_of(a, b, power=2), "The kernel is the third power, not the square."),
        Wrong(lambda a, b: kid_of(a, b, one=0.0), "The 1 inside the kernel is missing: it lets means count."),
        Wrong(lambda a, b: kid_of(a, b, cross=1.0), "The pairs between the two sets count twice."),
        Wrong(lambda a, b: -kid_of(a, b), "The sign is flipped: pairs within a set add, pairs between sets subtract."),
        Wrong(
            lambda a, b: kid_of(a, b).abs().sqrt(),
            "You took a root: (9.8) is the squared distance, and an unbiased one may be negative.",
        ),
    ],
    home="course_lib.metrics.kernel:kid",
    may_pass=any_order("a", "b"),
)


# 9.8 precision and recall
def precision_recall(real, fake, k):
    """The library's own functions."""
    return metrics.precision(real, fake, k), metrics.recall(real, fake, k)


def inside_some(centres, points, rank, radii=None):
    """Share of the points within the rank-th smallest distance of some centre to `radii` (the centres if None)."""
    radius = torch.cdist(centres, centres if radii is None else radii).sort(1).values[:, rank]
    return (torch.cdist(points, centres) <= radius).any(1).double().mean()


def both_shares(real, fake, k, by=inside_some, **options):
    return by(real, fake, k, **options), by(fake, real, k, **options)


def shares_by_loop(real, fake, k):
    def share(centres, points):
        radius = [sorted(math.dist(c, other) for other in centres if other is not c)[k - 1] for c in centres]
        hits = [any(math.dist(p, c) <= r for c, r in zip(centres, radius)) for p in points]
        return sum(hits) / len(hits)

    real, fake = real.tolist(), fake.tolist()
    return share(real, fake), share(fake, real)


def shares_with_a_plain_mean(real, fake, k):
    """Means in float32, as .float() gives them."""

    def share(centres, points):
        radius = torch.cdist(centres, centres).sort(1).values[:, k]
        return (torch.cdist(points, centres) <= radius).any(1).float().mean()

    return share(real, fake), share(fake, real)


def shares_by_topk(real, fake, k):
    def share(centres, points):
        own = torch.cdist(centres, centres) + torch.diag(torch.full((len(centres),), torch.inf))
        radius = own.topk(k, largest=False).values[:, -1:]
        return (torch.cdist(centres, points) <= radius).any(0).double().mean().item()

    return share(real, fake), share(fake, real)


def covered_shares(real, fake, k):
    """Balls that hold something, instead of samples that lie in a ball."""

    def share(centres, points):
        radius = torch.cdist(centres, centres).sort(1).values[:, k : k + 1]
        return (torch.cdist(centres, points) <= radius).any(1).double().mean()

    return share(real, fake), share(fake, real)


def balls_around_points(centres, points, k):
    radius = torch.cdist(points, points).sort(1).values[:, k : k + 1]
    return (torch.cdist(points, centres) <= radius).any(1).double().mean()


def mean_balls(centres, points, k):
    radius = torch.cdist(centres, centres).sort(1).values[:, k]
    return (torch.cdist(points, centres) <= radius).double().sum(1).mean() / k


def one_radius(centres, points, k):
    radius = torch.cdist(centres, centres).sort(1).values[:, k].mean()
    return (torch.cdist(points, centres) <= radius).any(1).double().mean()


def two_half_shifted_sets(g):
    """Two clouds that overlap in part, 50 and 63 points, and k from 2 to 4."""
    x, y = normal(g, 50, 2), normal(g, 63, 2)
    return x * torch.tensor([1.0, 2.0]), y * torch.tensor([2.0, 1.0]) + 0.5, whole(g, 2, 4)


PRECISION = Exercise(
    "9.8",
    "Precision and recall",
    points=2,
    difficulty=3,
    importance=5,
    minutes=12,
    equation="(9.9)",
    name="precision_recall",
    reference=precision_recall,
    inputs=two_half_shifted_sets,
    right=[both_shares, shares_by_loop, shares_by_topk, shares_with_a_plain_mean],
    tolerance=1e-6,  # a share of Booleans may be a mean in float32
    wrong=[
        Wrong(
            lambda real, fake, k: both_shares(real, fake, k)[::-1],
            "The two are swapped: precision counts fakes in balls of the real, recall the other way round.",
        ),
        Wrong(
            lambda real, fake, k: both_shares(real, fake, k - 1),
            "Your balls are too small: a point is its own nearest neighbour at distance 0 and does not count.",
        ),
        Wrong(
            lambda real, fake, k: both_shares(real, fake, k + 1),
            "Your balls are too large: they reach to the k-th other point of the same set.",
        ),
        Wrong(covered_shares, "You counted balls that hold a point: precision counts points that lie in a ball."),
        Wrong(
            lambda real, fake, k: both_shares(real, fake, k, by=balls_around_points),
            "Your balls stand around the points that are judged: for precision they belong to the real pictures.",
        ),
        Wrong(
            lambda real, fake, k: (metrics.precision(real, fake, k), metrics.coverage(real, fake, k)),
            "Your second number keeps the balls of the real: that is coverage; for recall the balls are the set's.",
        ),
        Wrong(
            lambda real, fake, k: both_shares(real, fake, k, by=mean_balls),
            "You counted every ball that a point lies in: one is enough, and density is the other number.",
        ),
        Wrong(
            lambda real, fake, k: (metrics.density(real, fake, k), metrics.recall(real, fake, k)),
            "Your first number is the density: precision asks whether a point lies in any ball, not in how many.",
        ),
        Wrong(
            lambda real, fake, k: both_shares(real, fake, k, by=one_radius),
            "You used one radius for all: each ball has the radius of its own centre.",
        ),
    ],
    home="course_lib.metrics.neighbours:precision",
    may_pass=any_order("real", "fake"),
)


# 9.9 the coverage of two samples of one law
def expected_coverage(N, M, k):
    """The library's own function."""
    return metrics.expected_coverage(N, M, k)


def expected_by_choice(N, M, k):
    """The k nearest of all N + M - 1 others are a random choice."""
    return 1 - math.comb(N - 1, k) / math.comb(N + M - 1, k)


def expected_by_rank(N, M, k):
    """Add up the chances that the first fake comes at rank 1, ..., k."""
    total, none = 0.0, 1.0
    for rank in range(k):
        left = N + M - 1 - rank
        total, none = total + none * M / left, none * (left - M) / left
    return total


def product(first, total, k):
    return 1 - math.prod((first - i) / (total - i) for i in range(k))


EXPECTED = Exercise(
    "9.9",
    "The coverage that honest samples have",
    points=2,
    difficulty=3,
    importance=3,
    minutes=12,
    further=True,
    equation="(9.11)",
    name="expected_coverage",
    reference=expected_coverage,
    inputs=lambda g: (whole(g, 8, 40), whole(g, 4, 60), whole(g, 2, 6)),
    right=[expected_by_choice, expected_by_rank],
    wrong=[
        Wrong(
            lambda N, M, k: 1 - product(N - 1, N + M - 1, k),
            "That is the chance of an empty ball: coverage is one minus it.",
        ),
        Wrong(
            lambda N, M, k: product(N, N + M, k),
            "The centre of the ball is no neighbour of its own: N - 1 other real pictures are left.",
        ),
        Wrong(
            lambda N, M, k: 1 - ((N - 1) / (N + M - 1)) ** k,
            "A neighbour is not met twice: each factor of the product has one picture less.",
        ),
        Wrong(
            lambda N, M, k: 1 - (N / (N + M)) ** k,
            "You drew with replacement from all: the centre does not count, and no neighbour is met twice.",
        ),
        Wrong(
            lambda N, M, k: product(N - 1, N + M - 1, k - 1),
            "Your product has k - 1 factors: the ball reaches to the k-th neighbour.",
        ),
        Wrong(lambda N, M, k: product(M - 1, N + M - 1, k), "N and M are swapped: the balls stand around the real."),
        Wrong(
            lambda N, M, k: 1 - 2.0**-k,
            "That is the value for very many pictures, as many of one kind as of the other: here N and M are few.",
        ),
        Wrong(lambda N, M, k: M / (N + M - 1), "That is the chance that the nearest neighbour is a fake, k = 1."),
    ],
    home="course_lib.metrics.neighbours:expected_coverage",
)


# 9.10 PRES and DIV
def pres_and_div(generated, subject, same):
    """The library's own functions."""
    return metrics.pres(generated, subject), metrics.div(same)


def unit(x):
    return x / x.norm(dim=1, keepdim=True)


def two_means(generated, subject, same, distance=2.0, unit=unit):
    """Equations (9.12) and (9.13) by all pairs."""
    cosines, own = unit(generated) @ unit(subject).T, unit(same) @ unit(same).T
    L = len(same)
    return cosines.mean(), distance * (1 - (own.sum() - own.diagonal().sum()) / (L * (L - 1)))


def two_means_by_loop(generated, subject, same):
    cosine = torch.nn.functional.cosine_similarity
    pres = sum(cosine(a, b, dim=0) for a in generated for b in subject) / (len(generated) * len(subject))
    u = unit(same)
    squares = [(u[i] - u[j]).square().sum() for i in range(len(u)) for j in range(i)]
    return pres, sum(squares) / len(squares)


def two_means_by_sums(generated, subject, same):
    u = unit(same)
    return unit(generated).mean(0) @ unit(subject).mean(0), 2 * u.var(0).sum()


def with_itself(generated, subject, same):
    u = unit(same)
    return two_means(generated, subject, same)[0], 2 - 2 * (u @ u.T).mean()


def nearest_subject(generated, subject, same):
    return (unit(generated) @ unit(subject).T).amax(1).mean(), two_means(generated, subject, same)[1]


def within_generated(generated, subject, same):
    return in_batch(generated), two_means(generated, subject, same)[1]


def in_batch(x):
    return metrics.in_batch_similarity(x)


def similarity_for_div(generated, subject, same):
    return two_means(generated, subject, same)[0], in_batch(same)


def cosine_of_means(generated, subject, same):
    pres = torch.nn.functional.cosine_similarity(generated.mean(0), subject.mean(0), dim=0)
    return pres, two_means(generated, subject, same)[1]


PRES = Exercise(
    "9.10",
    "PRES and DIV",
    points=1,
    difficulty=2,
    importance=3,
    minutes=8,
    further=True,
    equation="(9.12), (9.13)",
    name="pres_and_div",
    reference=pres_and_div,
    inputs=lambda g: (
        cloud(g, whole(g, 4, 8), d := whole(g, 3, 6)) + 1,
        cloud(g, whole(g, 2, 3), d) + 1,
        cloud(g, whole(g, 3, 6), d) + 1,
    ),
    right=[two_means, two_means_by_loop, two_means_by_sums],
    wrong=[
        Wrong(with_itself, "Your DIV compares pictures with themselves: take pairs of two different pictures."),
        Wrong(
            nearest_subject, "Your PRES takes the most similar picture of the subject: (9.12) averages over all pairs."
        ),
        Wrong(within_generated, "Your PRES compares generated pictures with each other, not with the subject's."),
        Wrong(similarity_for_div, "Your DIV is a similarity: (9.13) is a distance, 2 - 2 cos, high where diverse."),
        Wrong(cosine_of_means, "You averaged the features first: divide each by its own length before averaging."),
        Wrong(
            lambda generated, subject, same: two_means(generated, subject, same)[::-1],
            "Your two answers are swapped: PRES comes first.",
        ),
        Wrong(
            lambda generated, subject, same: (
                two_means(generated, subject, same)[0],
                torch.pdist(unit(same)).mean(),
            ),
            "Your DIV averages distances: (9.13) averages their squares.",
        ),
        Wrong(
            lambda generated, subject, same: two_means(generated, subject, same, distance=1.0),
            "The squared distance of two vectors of length 1 is 2 - 2 cos: a factor 2 is missing.",
        ),
        Wrong(
            lambda generated, subject, same: two_means(generated, subject, same, unit=lambda x: x),
            "Your features have not length 1 yet: divide each by its norm.",
        ),
        Wrong(
            lambda generated, subject, same: (
                (generated @ subject.T).mean(),
                two_means(generated, subject, same)[1],
            ),
            "The features in your PRES have not length 1 yet: divide each by its norm.",
        ),
    ],
    home="course_lib.metrics.similarity:pres",
    may_pass=any_order("generated", "subject", "same"),
)


# 9.11 the error of a difference between two samplers on the same prompts
UNPAIRED = "Your error is too large: draw one list of prompts and take the same prompts from both samplers."
PICTURES = "Your error is too small: pictures of one batch depend on each other, so draw whole batches."
VARIANCE = "You returned the variance: the standard error is its root."
ENTROPY = "That is the error of the entropy: an effective number is its exponential."
OF_ONE = "That is the error of one sampler: the statistic to repeat is the difference of the two."
BY_DRAWS = "You divided by the root of the number of draws: the spread of the draws is the error already."
FAR = "Your error is far from what whole prompts, drawn in pairs, give."


def effective(counts):
    """exp(entropy) of counts, (..., kinds) -> (...)."""
    p = counts / counts.sum(-1, keepdim=True)
    return torch.exp(-torch.xlogy(p, p).sum(-1))


def counted(labels, kinds=6):
    """How often each batch shows each kind, (R, n) -> (R, kinds)."""
    return torch.nn.functional.one_hot(labels, kinds).sum(1).double()


def pooled(labels, index):
    """Effective number of kinds of the batches in each row of index, (R, n), (draws, R) -> (draws,)."""
    times = torch.zeros(index.shape, dtype=torch.float64).scatter_add_(1, index, torch.ones(index.shape).double())
    return effective(times @ counted(labels))


def error_of_difference(a, b, draws=1000):
    index = torch.randint(len(a), (draws, len(a)))
    return (pooled(b, index) - pooled(a, index)).std().item()


def error_by_loop(a, b, draws=200):
    values = []
    for _ in range(draws):
        index = torch.randint(len(a), (len(a),))
        pooled = [torch.bincount(labels[index].flatten(), minlength=6).double() for labels in (a, b)]
        values.append(effective(pooled[1]) - effective(pooled[0]))
    return torch.stack(values).std()


def error_by_jackknife(a, b):
    """Leaving out one prompt at a time."""
    A, B, R = counted(a), counted(b), len(a)
    left = effective(B.sum(0) - B) - effective(A.sum(0) - A)
    return ((R - 1) * left.var(unbiased=False)).sqrt()


def unpaired(a, b, draws=1000):
    i, j = torch.randint(len(a), (2, draws, len(a)))
    return (pooled(b, j) - pooled(a, i)).std().item()


def influence(labels):
    """What each picture adds to exp(entropy) of all, by the delta method, (R, n) -> (R, n)."""
    p = counted(labels).sum(0) / labels.numel()
    rarity = -p.clamp(min=1e-12).log()
    entropy = (p * rarity).sum()
    return entropy.exp() * (rarity[labels] - entropy)


def single_pictures(a, b):
    """What drawing single pictures from all batches together comes to."""
    return float((influence(a).var() + influence(b).var()) / a.numel()) ** 0.5


def one_sampler(a, b, draws=1000):
    return pooled(b, torch.randint(len(b), (draws, len(b)))).std().item()


def of_entropies(a, b, draws=1000):
    index = torch.randint(len(a), (draws, len(a)))
    return (pooled(b, index).log() - pooled(a, index).log()).std().item()


def paired_batches(g):
    """64 pictures of each sampler on prompts with a favourite kind: most of that kind, the rest of a kind that the
    batch settled on. How many prompts, how often a batch strays and how common the kinds are is drawn, and so the
    error."""
    R, n = int(24 * 4 ** real(g, 0, 1)), 64
    weights = torch.tensor([8.0, 4.0, 2.0, 1.0, 0.5, 0.5]) ** real(g, 0.4, 1.2)
    own = torch.multinomial(weights, R, True, generator=g)[:, None]
    sets, strays = [], real(g, 0.15, 0.6)
    for share in (1 - 0.6 * strays, 1 - strays):
        settled = torch.multinomial(torch.ones(6), R, True, generator=g)[:, None]
        sets.append(torch.where(torch.rand(R, n, generator=g) < share, own, settled))
    return sets


def six_pairs(g):
    """Six pairs of samplers whose errors differ, so that a mistake shows which it is."""
    return tuple(map(list, zip(*[paired_batches(g) for _ in range(6)])))


def call_error(fn, many_a, many_b):
    """The error for each pair of samplers."""
    return torch.tensor([float(fn(a, b)) for a, b in zip(many_a, many_b)], dtype=torch.float64)


def accept_error(answer, inputs):
    """On average within 15 % of the bootstrap of pairs, nowhere far away; else the sentence of the nearest mistake."""
    pairs = list(zip(*inputs))
    torch.manual_seed(0)
    due = torch.tensor([error_of_difference(a, b) for a, b in pairs])

    def away(values):
        return (answer.clamp(min=1e-9) / torch.as_tensor(values)).log().abs()

    if away(due).mean() < 0.15 and away(due).max() < 0.4:
        return None
    mistakes = [
        (VARIANCE, due**2),
        (UNPAIRED, [unpaired(a, b) for a, b in pairs]),
        (PICTURES, [single_pictures(a, b) for a, b in pairs]),
        (OF_ONE, [one_sampler(a, b) for a, b in pairs]),
        (ENTROPY, [of_entropies(a, b) for a, b in pairs]),
        (BY_DRAWS, due / 200**0.5),
    ]
    nearest, sentence = min((away(values).mean().item(), sentence) for sentence, values in mistakes)
    return sentence if nearest < 0.15 else FAR


DIFFERENCE = Exercise(
    "9.11",
    "The error of a difference",
    points=2,
    difficulty=3,
    importance=5,
    minutes=15,
    further=True,
    equation="(3.10)",
    name="error_of_difference",
    reference=error_of_difference,
    inputs=six_pairs,
    call=call_error,
    accept=accept_error,
    right=[error_by_loop, error_by_jackknife],
    wrong=[
        Wrong(unpaired, UNPAIRED),
        Wrong(single_pictures, PICTURES),
        Wrong(lambda a, b: error_of_difference(a, b) ** 2, VARIANCE),
        Wrong(one_sampler, OF_ONE),
        Wrong(of_entropies, ENTROPY),
        Wrong(lambda a, b: error_of_difference(a, b, 200) / 200**0.5, BY_DRAWS),
    ],
    home="",
    may_pass={"luck kept": "A bootstrap that starts from the same seed is as good, and can be repeated."},
)


# 9.12 a set that scores well and is worth nothing
NUMBERS = ("precision", "recall", "density", "coverage", "rke")
NAMES = "The second and the third answer must be two different ones of precision, recall, density, coverage and rke."
INDEX = "The first answer must hold 100 whole numbers that are rows of the pool."
WORTHY = "Your set is worth something: more than ten of its hundred rows are good pictures; `good` marks them."
HONEST = "Your set does not fool that number: honest sets score higher on average."
BLIND = "The number that you call as a witness notices nothing: honest sets score as low as yours."


def score(name, real, fake):
    """One of NUMBERS, k = 5; rke with the Gaussian kernel at the median squared distance of the real."""
    if name == "rke":
        h = torch.pdist(real).square().median()
        return len(fake) ** 2 / torch.exp(-2 * torch.cdist(fake, fake).square() / h).sum()
    return getattr(metrics, name)(real, fake, 5)


def in_balls(real, pool):
    """How many of the balls of the reference hold each picture of the pool."""
    radius = torch.cdist(real, real).sort(1).values[:, 5]
    return (torch.cdist(pool, real) <= radius).sum(1)


def game(real, pool, good):
    """The density by a hundred copies of the picture, not a good one, that lies in most balls."""
    return in_balls(real, pool).masked_fill(good, -1).argmax().repeat(100), "density", "coverage"


def rubbish(real, pool, good, victim="recall", witness="precision"):
    return (~good).nonzero()[:100, 0], victim, witness


def blurred_copies(real, pool, good, victim="precision", witness="recall"):
    inside = (in_balls(real, pool) > 0) & ~good
    return inside.nonzero()[:3, 0].repeat(34)[:100], victim, witness


def without_good(real, pool, good):
    return in_balls(real, pool).masked_fill(~good, -1).argmax().repeat(100), "density", "coverage"


def honest_set(real, pool, good):
    return good.nonzero()[:100, 0], "density", "coverage"


def real_and_pool(g):
    """100 real pictures of five kinds in five features, and a pool: 200 good ones, 130 of no kind, and 20 blurred ones,
    which lie near the middle of a kind."""
    centres = 2.0 * normal(g, 5, 5)
    draw = lambda n, s=0.7: centres[torch.randint(5, (n,), generator=g)] + s * normal(g, n, 5)  # noqa: E731
    pool, good = torch.cat([draw(200), 6.0 * normal(g, 130, 5), draw(20, 0.5)]), torch.arange(350) < 200
    order = torch.randperm(350, generator=g)
    return draw(100), pool[order], good[order]


def accept_game(answer, inputs):
    """At most ten good rows, the victim not under the mean of ten honest sets, the witness under all of them."""
    real, pool, good = inputs
    index, victim, witness = answer
    if victim not in NUMBERS or witness not in NUMBERS or victim == witness:
        return NAMES
    if index.shape != (100,) or index.is_floating_point() or index.min() < 0 or index.max() >= len(pool):
        return INDEX
    if good[index].sum() > 10:
        return WORTHY
    g = torch.Generator().manual_seed(0)
    rows = good.nonzero()[:, 0]
    honest = [pool[rows[torch.randperm(len(rows), generator=g)[:100]]] for _ in range(10)]
    if float(score(victim, real, pool[index])) < sum(float(score(victim, real, one)) for one in honest) / 10:
        return HONEST
    if float(score(witness, real, pool[index])) >= min(float(score(witness, real, one)) for one in honest):
        return BLIND
    return None


GAME = Exercise(
    "9.12",
    "A set that scores well and is worth nothing",
    points=3,
    difficulty=4,
    importance=5,
    minutes=20,
    equation="(9.9), (9.10)",
    name="game",
    reference=game,
    inputs=real_and_pool,
    accept=accept_game,
    right=[
        rubbish,
        blurred_copies,
        lambda real, pool, good: rubbish(real, pool, good, victim="rke", witness="density"),
        lambda real, pool, good: blurred_copies(real, pool, good, witness="rke"),
    ],
    wrong=[
        Wrong(honest_set, WORTHY),
        Wrong(lambda real, pool, good: rubbish(real, pool, good, victim="coverage"), HONEST),
        Wrong(lambda real, pool, good: rubbish(real, pool, good, witness="rke"), BLIND),
    ],
    draws=4,
    home="",
    may_pass=any_order("real"),
)


# 9.13 words
SLIDE = Exercise(
    "9.13",
    "Read somebody else's table",
    points=5,
    difficulty=4,
    importance=5,
    minutes=25,
    rubric="1 point: the shares of the gap, by (9.7), right for at least two rows in each embedding (default about 6 % "
    "for the style classifier, location about 14 % and style 23 % for the rule of thirds). 1 point: columns are not "
    "compared with each other in their own units. 1 point: the floor of about 3 in the default embedding is mostly "
    "bias in N, so equal N matters. 1 point: a negative share does not say less spread, since the distance also holds "
    "the mean, and no quality is given. 1 point: one experiment that would decide, with a second number, a baseline "
    "and an error.",
)

EXERCISES = [
    PARTS,
    BIAS,
    LOCATION,
    STYLES,
    SAME_STYLE,
    GAP,
    KID,
    PRECISION,
    EXPECTED,
    PRES,
    DIFFERENCE,
    GAME,
    SLIDE,
]

QUIZ = [
    Question(
        "A method's distance to the maximum diversity set falls from 44.7 to 42.1. What do you know?",
        [
            (
                "Its pictures are more diverse",
                False,
                "The distance also holds a shift of the mean, and noise moves it.",
            ),
            ("Mean or covariance of the features came closer to the maximum's", True, "That, and nothing else."),
            ("It closes 5.8 % of the gap", False, "Not without the floor: a second maximum set does not reach 0."),
        ],
    ),
    Question(
        "Twice as many pictures in the set, from the same sampler. What does the Frechet distance do on average?",
        [
            ("It stays", False, "It is biased: fewer pictures mean a larger distance, (9.2)."),
            ("It falls", True, "The part that comes from this set's size halves."),
            ("It rises", False, "More pictures estimate mean and covariance better, so the distance falls."),
        ],
    ),
    Question(
        "Which of these does the rank-one style of (9.5) notice?",
        [
            ("A texture that lies elsewhere in the picture", False, "It averages over places."),
            (
                "Two channels that are active in the same place instead of apart",
                False,
                "Only the Gram matrix sees that.",
            ),
            ("A channel that is active more strongly", True, "It is a function of the channels' means."),
        ],
    ),
    Question(
        "1000 real and 1000 fake pictures of the same law, k = 5. What is the mean coverage, to two decimals?",
        [
            ((0.965, 0.975), True, "1 - (999 998 997 996 995) / (1999 1998 1997 1996 1995) = .969."),
            (1, False, "A ball stays empty where the five nearest pictures are all real: one time in 32."),
            ((0.5, 0.505), False, "That is the chance that the nearest neighbour is a fake, k = 1."),
        ],
        otherwise="Use (9.11): about 1 - (1/2)**5.",
    ),
    Question(
        "A set of pictures that are mostly rubbish has recall 1. Which number tells you?",
        [
            ("Coverage or precision", True, "Balls around the real pictures hold no rubbish."),
            ("The Vendi score", False, "It can rise with rubbish, where the features find rubbish varied."),
            (
                "In-batch similarity",
                False,
                "Where rubbish pictures look unlike each other, it calls them diverse.",
            ),
        ],
    ),
]
