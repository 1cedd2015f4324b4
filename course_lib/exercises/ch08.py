"""Chapter 8, anatomy: reference answers, inputs, anticipated wrong answers, and the quiz."""

import statistics

import torch
from torch.nn.functional import scaled_dot_product_attention

from course_lib.exercises.declare import Exercise, Question, Wrong, any_order
from course_lib.exercises.draws import real, whole
from course_lib.metrics import hill
from course_lib.stable_diffusion import StableDiffusion
from course_lib.world import COLOURS, HEAD, PLACES, SHAPES, STYLES, named, phrase, thirds

# 8.1 rows of one length


def padded(captions, start, end, length):
    """Start, words, end, then end again up to the length; the end survives where words are cut."""
    rows = torch.full((len(captions), length), end)
    rows[:, 0] = start
    for row, ids in zip(rows, captions):
        kept = ids[: length - 2]
        row[1 : len(kept) + 1] = kept
    return rows


def padded_by_lists(captions, start, end, length):
    rows = [[start, *ids.tolist()][: length - 1] for ids in captions]
    return torch.tensor([row + [end] * (length - len(row)) for row in rows])


def padded_by_cat(captions, start, end, length):
    filled = [torch.cat([torch.tensor([start]), ids[: length - 2], torch.tensor([end] * length)]) for ids in captions]
    return torch.stack([row[:length] for row in filled])


def pad_lists(build):
    """A wrong answer from a function of (ids, start, end, length) -> list of ids."""

    def padded(captions, start, end, length):
        return torch.tensor([build(ids.tolist(), start, end, length) for ids in captions])

    return padded


def inputs_padded(g):
    """Four captions; the last two are too long, the second is empty now and then."""
    length = whole(g, 6, 10)
    sizes = [whole(g, 2, length - 3), whole(g, 0, 2), length - 1, length + whole(g, 0, 4)]
    return [torch.randint(10, 90, (n,), generator=g) for n in sizes], 98, 99, length


PADDED = Exercise(
    "8.1",
    "Rows of one length",
    points=1,
    difficulty=1,
    importance=3,
    minutes=6,
    name="padded",
    reference=padded,
    inputs=inputs_padded,
    right=[padded_by_lists, padded_by_cat],
    wrong=[
        Wrong(
            pad_lists(lambda ids, s, e, n: [s, *ids, *[e] * n][:n]),
            "A caption that is too long has lost its end token: cut the words, then add the end.",
        ),
        Wrong(pad_lists(lambda ids, s, e, n: [*ids, *[e] * n][: n - 1] + [e]), "The start token is missing."),
        Wrong(
            pad_lists(lambda ids, s, e, n: [s, *ids[: n - 2], e, *[0] * n][:n]),
            "You fill up with 0: here the end token itself fills the row.",
        ),
        Wrong(
            pad_lists(lambda ids, s, e, n: [s, *ids[max(0, len(ids) - n + 2) :], *[e] * n][:n]),
            "You keep the last words of a caption that is too long: its first ones stay.",
        ),
        Wrong(
            pad_lists(lambda ids, s, e, n: ([e] * n + [s, *ids[: n - 2], e])[-n:]),
            "You fill up in front of the caption: the start token comes first.",
        ),
    ],
)


# 8.2 the scaling factor


def scaling_factor(means):
    """One over the standard deviation of all numbers of all latents."""
    return 1 / means.std()


def scale_by_moments(means):
    return ((means**2).mean() - means.mean() ** 2) ** -0.5


def scale_by_loop(means):
    numbers = means.flatten()
    return (len(numbers) / ((numbers - numbers.sum() / len(numbers)) ** 2).sum()) ** 0.5


def inputs_scaling(g):
    """Encoder means whose channels differ in mean and in spread."""
    spread = 0.5 + 3 * torch.rand(4, 1, 1, generator=g)
    shift = (1 + torch.rand(4, 1, 1, generator=g)) * (2 * torch.randint(2, (4, 1, 1), generator=g) - 1) + 0.8
    return (shift + spread * torch.randn(20, 4, 6, 6, generator=g),)


SCALING = Exercise(
    "8.2",
    "The scaling factor",
    points=1,
    difficulty=1,
    importance=4,
    minutes=5,
    equation="(8.2)",
    name="scaling_factor",
    reference=scaling_factor,
    inputs=inputs_scaling,
    tolerance=1e-3,
    right=[scale_by_moments, scale_by_loop],
    wrong=[
        Wrong(lambda means: means.std(), "You return the spread itself: s must undo it."),
        Wrong(lambda means: 1 / means.var(), "You divide by a variance: a factor on the latents acts on their spread."),
        Wrong(
            lambda means: means.square().mean().rsqrt(),
            "You measure the size from zero: a standard deviation is taken about the mean.",
        ),
        Wrong(
            lambda means: 1 / means.std((0, 2, 3)),
            "You return a number for each channel: Stable Diffusion scales all of them by one.",
        ),
        Wrong(
            lambda means: 1 / means.std((0, 2, 3)).mean(),
            "You average the channels' spreads: take one over all numbers, the channels' means differ too.",
        ),
        Wrong(lambda means: 1 / means.abs().max(), "You divide by the largest number: use the standard deviation."),
    ],
    may_pass=any_order("means"),
)


# 8.3 which timestep is that?


def timestep(sigma, abar):
    """The index whose level (1.10) is nearest to sigma."""
    return int((((1 - abar) / abar).sqrt().log() - torch.as_tensor(sigma).log()).abs().argmin())


def timestep_by_distance(sigma, abar):
    return (((1 - abar) / abar).sqrt() - sigma).abs().argmin()


def timestep_by_share(sigma, abar):
    return (abar - 1 / (1 + sigma**2)).abs().argmin()


def inputs_timestep(g):
    """A level between two of a schedule of 1,000 or of 200 steps, nearer to one; now and then beyond the last."""
    steps, ends = (1000, 200)[whole(g, 0, 1)], (real(g, 0.02, 0.04), real(g, 0.1, 0.12))
    abar = (1 - torch.linspace(*ends, steps, dtype=torch.float64) ** 2 * 1000 / steps).cumprod(0)
    low = 0 if real(g, 0, 1) < 0.1 else steps // 6
    t, levels = whole(g, low, steps - 2), ((1 - abar) / abar).sqrt()
    if real(g, 0, 1) < 0.1:
        return 1.1 * levels[-1].item(), abar
    share = real(g, 0.1, 0.35)
    share = share if real(g, 0, 1) < 0.5 else 1 - share
    return torch.lerp(levels[t], levels[t + 1], share).item(), abar


TIMESTEP = Exercise(
    "8.3",
    "Which timestep is that?",
    points=1,
    difficulty=2,
    importance=3,
    minutes=8,
    equation="(1.10)",
    name="timestep",
    reference=timestep,
    inputs=inputs_timestep,
    right=[timestep_by_distance, timestep_by_share],
    wrong=[
        Wrong(
            lambda sigma, abar: ((1 - abar).sqrt() - sigma).abs().argmin(),
            "You compare with the noise in the network's coordinates: (1.10) also divides by the signal share.",
        ),
        Wrong(
            lambda sigma, abar: ((1 - abar) / abar - sigma).abs().argmin(),
            "You compare sigma with a variance: (1.10) has a root.",
        ),
        Wrong(
            lambda sigma, abar: ((abar / (1 - abar)).sqrt() - sigma).abs().argmin(),
            "You have signal over noise: (1.10) is noise over signal.",
        ),
        Wrong(
            lambda sigma, abar: timestep(sigma, abar) + 1,
            "Your timestep is one too large: count as the index of abar does, from 0.",
        ),
        Wrong(
            lambda sigma, abar: len(abar) - 1 - timestep(sigma, abar),
            "You count from the noisy end: t grows with the noise.",
        ),
        Wrong(lambda sigma, abar: round(sigma), "A timestep is an index into abar, not a rounded noise level."),
    ],
)


# 8.4 a denoiser from a network


def estimate(network, x, sigma, prediction):
    """Equations (8.3) and (8.4)."""
    z = x / (1 + sigma**2) ** 0.5
    out = network(z, sigma)
    if prediction == "epsilon":
        return x - sigma * out
    return x / (1 + sigma**2) - sigma * out / (1 + sigma**2) ** 0.5


def estimate_by_angle(network, x, sigma, prediction):
    angle = torch.atan(torch.as_tensor(sigma))
    z = angle.cos() * x
    out = network(z, sigma)
    return (z - angle.sin() * out) / angle.cos() if prediction == "epsilon" else angle.cos() * z - angle.sin() * out


def estimate_by_share(network, x, sigma, prediction):
    abar = 1 / (1 + sigma**2)
    z = abar**0.5 * x
    out = network(z, sigma)
    eps = out if prediction == "epsilon" else abar**0.5 * out + (1 - abar) ** 0.5 * z
    return (z - (1 - abar) ** 0.5 * eps) / abar**0.5


def variant(scale=True, v_as_eps=False, eps_as_v=False, stay=(), sign=1, power=2):
    """estimate with one thing changed."""

    def estimate(network, x, sigma, prediction):
        root = (1 + sigma**2) ** 0.5
        out = network(x / root if scale else x, sigma)
        if prediction in stay:
            x = x / root
        if eps_as_v or (prediction == "v_prediction" and not v_as_eps):
            return x / root**power - sign * sigma * out / root
        return x - sigma * out

    return estimate


def call_estimate(fn, x, sigma, A):
    """Both prediction types with a small fixed network, which sees how its input is scaled."""

    def network(z, sigma):
        return torch.tanh(z @ A + sigma)

    return {name: fn(network, x, sigma, name) for name in ("epsilon", "v_prediction")}


ESTIMATE = Exercise(
    "8.4",
    "A denoiser from a network",
    points=2,
    difficulty=3,
    importance=5,
    minutes=12,
    equation="(8.3), (8.4)",
    name="estimate",
    reference=estimate,
    inputs=lambda g: (torch.randn(5, 3, generator=g), real(g, 0.3, 4.0), torch.randn(3, 3, generator=g)),
    call=call_estimate,
    right=[estimate_by_angle, estimate_by_share],
    wrong=[
        Wrong(variant(scale=False), "Your network sees x: divide by the root of 1 + sigma**2 first, as in (8.3)."),
        Wrong(variant(v_as_eps=True), "You read v as if it were eps: they have a formula each in (8.4)."),
        Wrong(variant(eps_as_v=True), "You read eps as if it were v: they have a formula each in (8.4)."),
        Wrong(
            variant(stay=("epsilon", "v_prediction")),
            "In (8.4) stands x, not z: the estimate must come back in the course's coordinates.",
        ),
        Wrong(variant(stay=("epsilon",)), "With eps you took z where (8.4) has x itself."),
        Wrong(variant(power=1), "With v you divided x by the root: (8.4) divides it by 1 + sigma**2."),
        Wrong(variant(sign=-1), "The sign of v is flipped: at high noise v is minus the clean picture."),
    ],
)


# 8.5 cross-attention


def attend(Q, K, V):
    """Equation (8.5), the weights and what they gather."""
    maps = (Q @ K.T / Q.shape[1] ** 0.5).softmax(1)
    return maps, maps @ V


def attend_by_torch(Q, K, V):
    maps = scaled_dot_product_attention(Q[None], K[None], torch.eye(len(K), dtype=Q.dtype)[None])[0]
    return maps, scaled_dot_product_attention(Q[None], K[None], V[None])[0]


def attend_by_loop(Q, K, V):
    rows = []
    for q in Q:
        e = torch.exp((K * q).sum(1) / len(q) ** 0.5)
        rows.append(e / e.sum())
    return torch.stack(rows), torch.stack([(row[:, None] * V).sum(0) for row in rows])


def attention(weights):
    """A wrong answer from a function (Q, K) -> (pixels, tokens)."""
    return lambda Q, K, V: (weights(Q, K), weights(Q, K) @ V)


ATTEND = Exercise(
    "8.5",
    "What a pixel reads",
    points=2,
    difficulty=2,
    importance=5,
    minutes=12,
    equation="(8.5)",
    name="attend",
    reference=attend,
    inputs=lambda g: (
        2 * torch.randn(7, (d := whole(g, 4, 7)), generator=g),
        torch.randn(5, d, generator=g),
        torch.randn(5, 3, generator=g),
    ),
    right=[attend_by_torch, attend_by_loop],
    wrong=[
        Wrong(
            attention(lambda Q, K: (Q @ K.T).softmax(1)),
            "The root of d is missing: the softmax is too sharp without it.",
        ),
        Wrong(attention(lambda Q, K: (Q @ K.T / Q.shape[1]).softmax(1)), "You divide by d: (8.5) has its root."),
        Wrong(
            attention(lambda Q, K: (Q @ K.T / Q.shape[1] ** 0.5).softmax(0)),
            "Your columns sum to one: each pixel divides its attention among the tokens, so softmax over the tokens.",
        ),
        Wrong(
            attention(lambda Q, K: (Q @ K.T / len(K) ** 0.5).softmax(1)),
            "You divide by the root of the number of tokens: d is the length of a query.",
        ),
        Wrong(
            attention(lambda Q, K: Q @ K.T / Q.shape[1] ** 0.5),
            "The softmax is missing: your weights are not shares.",
        ),
        Wrong(lambda Q, K, V: attend(Q, K, V)[::-1], "You return the output first: the maps come first here."),
    ],
)


# 8.6 is the caption true?


def true_of(lines, shape, colour, style, x, y):
    """A caption is true if all that it names is there."""
    own = {"shape": shape, "colour": colour, "style": style, "place": thirds(x, y)}
    rows = [[own[factor] == value for factor, value in named(line).items()] for line in lines]
    return torch.stack([torch.stack([torch.ones_like(shape, dtype=torch.bool), *row]).all(0) for row in rows])


def true_by_product(lines, shape, colour, style, x, y):
    place, rows = thirds(x, y), []
    for line in lines:
        row = torch.ones(len(shape), dtype=torch.bool)
        for factor, value in named(line).items():
            row &= {"shape": shape, "colour": colour, "style": style, "place": place}[factor] == value
        rows.append(row)
    return torch.stack(rows)


def true_by_loop(lines, shape, colour, style, x, y):
    pictures = list(zip(shape.tolist(), colour.tolist(), style.tolist(), thirds(x, y).tolist()))
    names = ("shape", "colour", "style", "place")
    return torch.tensor(
        [[all(dict(zip(names, p))[f] == v for f, v in named(line).items()) for p in pictures] for line in lines]
    )


def judged(lines, shape, colour, style, x, y, leave=(), closed=False, some=False, zeros=True):
    """true_of with a factor left out, with what is open taken for false, or with any in the place of all."""
    own = {"shape": shape, "colour": colour, "style": style, "place": thirds(x, y)}
    rows = []
    for line in lines:
        told = named(line).items()
        found = {factor: value for factor, value in told if factor not in leave and (zeros or value)}
        hits = [own[f] == found[f] if f in found else torch.zeros_like(shape, dtype=torch.bool) for f in own]
        hits = hits if closed else [own[f] == value for f, value in found.items()]
        hits = torch.stack(hits) if hits else torch.ones(1, len(shape), dtype=torch.bool)
        rows.append(hits.any(0) if some else hits.all(0))
    return torch.stack(rows)


def inputs_true(g):
    """Four captions of one picture, from a shape to everything; thirty pictures that share some of its factors."""
    own = [whole(g, 0, len(HEAD) - 1), whole(g, 0, len(COLOURS) - 1), whole(g, 0, len(STYLES) - 1), whole(g, 0, 8)]
    own[whole(g, 0, 1)] = 0  # an index that is false where somebody asks `if value`
    shape, colour, style, place = HEAD[own[0]], COLOURS[own[1]], STYLES[own[2]], PLACES[own[3]]
    lines = [
        phrase(shape, colour),
        phrase("shape", None, style, artist=real(g, 0, 1) < 0.5),
        phrase(shape, None, None, place),
        phrase(shape, colour, style, place),
        phrase("shape"),
    ]
    sizes, N = (len(SHAPES), len(COLOURS), len(STYLES), 9), 30
    same = torch.rand(4, N, generator=g) < 0.6
    same[:, 0] = True
    same[:, 1:5] = ~torch.eye(4, dtype=torch.bool)  # one factor is another, in turn
    other = torch.stack([(own[i] + torch.randint(1, sizes[i], (N,), generator=g)) % sizes[i] for i in range(4)])
    factors = torch.where(same, torch.tensor(own)[:, None], other)
    inside = (0.1 + 0.8 * torch.rand(2, N, generator=g)) / 3
    return lines, *factors[:3], inside[0] + factors[3] % 3 / 3, inside[1] + factors[3] // 3 / 3


TRUE_OF = Exercise(
    "8.6",
    "Is the caption true?",
    points=1,
    difficulty=2,
    importance=4,
    minutes=8,
    name="true_of",
    reference=true_of,
    inputs=inputs_true,
    right=[true_by_product, true_by_loop],
    wrong=[
        Wrong(
            lambda *inputs: judged(*inputs, some=True),
            "You ask for one of the named factors: all of them must be there.",
        ),
        Wrong(
            lambda *inputs: judged(*inputs, closed=True),
            "You call a caption false because it leaves something out: what is not named is free.",
        ),
        Wrong(
            lambda *inputs: judged(*inputs, leave=("place", "style")),
            "You look at shape and colour only: go through all that named() returns.",
        ),
        Wrong(
            lambda *inputs: judged(*inputs, leave=(), zeros=False),
            "You leave out what has the index 0, which is false in an `if`: go through items(), or ask for None.",
        ),
        Wrong(
            lambda *inputs: judged(*inputs, leave=("place",)), "You forgot the place: named() has it, if it is told."
        ),
        Wrong(
            lambda *inputs: judged(*inputs, leave=("style",)), "You forgot the style, which an artist names as well."
        ),
        Wrong(
            lambda lines, shape, colour, style, x, y: judged(lines, shape, colour, style, y, x),
            "x and y are swapped: thirds takes x first.",
        ),
        Wrong(lambda *inputs: true_of(*inputs).T, "Your rows are pictures: a row for each caption is due."),
    ],
    needs=("from course_lib.world import named, thirds",),
)


# 8.7 where the pipeline starts


def start(noise, sigma):
    """The library's own: the network's coordinates start with plain noise."""
    model = noise  # all it is asked for is a device
    return StableDiffusion.start(model, noise, torch.tensor([sigma], dtype=torch.float64))


START = Exercise(
    "8.7",
    "Where the pipeline starts",
    points=1,
    difficulty=2,
    importance=3,
    minutes=6,
    equation="(8.3)",
    name="start",
    reference=start,
    inputs=lambda g: (torch.randn(2, 4, 3, 3, generator=g, dtype=torch.float64), real(g, 0.8, 14.0)),
    right=[
        lambda noise, sigma: noise * (1 + sigma**2) ** 0.5,
        lambda noise, sigma: noise / (1 / (1 + sigma**2)) ** 0.5,
    ],
    wrong=[
        Wrong(
            lambda noise, sigma: sigma * noise,
            "That is chapter 1's start: the pipeline begins with variance 1 in the network's coordinates.",
        ),
        Wrong(lambda noise, sigma: noise.clone(), "That is the network's z: x is larger by the root of 1 + sigma**2."),
        Wrong(
            lambda noise, sigma: noise / (1 + sigma**2) ** 0.5, "You went from x to z: here z is given and x is due."
        ),
        Wrong(lambda noise, sigma: (1 + sigma) * noise, "Variances add, not spreads: take the root of 1 + sigma**2."),
        Wrong(lambda noise, sigma: (1 + sigma**2) * noise, "The root is missing: 1 + sigma**2 is a variance."),
    ],
    home="course_lib.stable_diffusion:StableDiffusion.start",
)


# 8.8 guidance in one call


def guide(network, x, text, empty, w):
    """Equation (2.5) from one doubled batch."""
    N = len(x)
    both = torch.cat([empty.expand(N, -1, -1), text.expand(N, -1, -1)])
    D_u, D_c = network(torch.cat([x, x]), both).chunk(2)
    return D_u + w * (D_c - D_u)


def guide_text_first(network, x, text, empty, w):
    c = torch.cat([text.repeat(len(x), 1, 1), empty.repeat(len(x), 1, 1)])
    out = network(x.repeat(2, 1, 1, 1), c)
    return w * out[: len(x)] + (1 - w) * out[len(x) :]


def guide_in_turns(network, x, text, empty, w):
    out = network(x.repeat_interleave(2, 0), torch.cat([empty, text]).repeat(len(x), 1, 1))
    return out[::2] + w * (out[1::2] - out[::2])


def guide_twice(network, x, text, empty, w):
    D_u, D_c = network(x, empty.expand(len(x), -1, -1)), network(x, text.expand(len(x), -1, -1))
    return D_u + w * (D_c - D_u)


def guide_mixed_up(network, x, text, empty, w):
    """x doubled in turns, the conditions one after the other."""
    both = torch.cat([empty.expand(len(x), -1, -1), text.expand(len(x), -1, -1)])
    D_u, D_c = network(x.repeat_interleave(2, 0), both).chunk(2)
    return D_u + w * (D_c - D_u)


def guide_without_w(network, x, text, empty, w):
    D_u, D_c = network(torch.cat([x, x]), torch.cat([empty, text]).repeat_interleave(len(x), 0)).chunk(2)
    return D_u + w * D_c


def call_guide(fn, x, text, empty, w, A):
    """The answer, and how often and with how many rows the network was called."""
    rows = []

    def network(x, c):
        rows.append(len(x))
        flat = torch.tanh(x.flatten(1) @ A) * c.mean((1, 2))[:, None] + c.std((1, 2))[:, None]
        return flat.reshape(x.shape)

    out = fn(network, x, text, empty, w)
    return {"out": out, "calls": len(rows), "rows": max(rows, default=0)}


GUIDE = Exercise(
    "8.8",
    "Guidance in one call",
    points=2,
    difficulty=2,
    importance=4,
    minutes=10,
    equation="(2.5)",
    name="guide",
    reference=guide,
    inputs=lambda g: (
        torch.randn(whole(g, 2, 4), 2, 2, 2, generator=g),
        torch.randn(1, 5, 3, generator=g),
        torch.randn(1, 5, 3, generator=g),
        real(g, 2.0, 8.0) if real(g, 0, 1) < 0.7 else real(g, 0.2, 0.8),
        torch.randn(8, 8, generator=g),
    ),
    call=call_guide,
    right=[guide_text_first, guide_in_turns],
    wrong=[
        Wrong(guide_twice, "You call the network twice: put both conditions into one batch of 2N rows."),
        Wrong(
            lambda network, x, text, empty, w: guide(network, x, empty, text, w),
            "The halves are swapped: you move away from the prompt.",
        ),
        Wrong(
            lambda network, x, text, empty, w: guide(network, x, text, empty, 1 + w),
            "Your weight is one too large: (2.5) starts from D_u, not from D_c.",
        ),
        Wrong(
            guide_mixed_up,
            "Rows and conditions do not belong together: double x and the conditions in the same order.",
        ),
        Wrong(guide_without_w, "You add w D_c: (2.5) adds w times the difference of D_c and D_u."),
    ],
)


# 8.9 an interval for a rate


def wilson(hits, n):
    """Equation (8.8) with u = 1.96."""
    p, u = hits / n, 1.96
    middle = (p + u**2 / (2 * n)) / (1 + u**2 / n)
    half = u / (1 + u**2 / n) * (p * (1 - p) / n + u**2 / (4 * n**2)) ** 0.5
    return middle - half, middle + half


def wilson_exactly(hits, n):
    """With the quantile that 1.96 is short for."""
    z = statistics.NormalDist().inv_cdf(0.975)
    centre, half = (hits + z**2 / 2) / (n + z**2), z / (n + z**2) * (hits * (n - hits) / n + z**2 / 4) ** 0.5
    return centre - half, centre + half


def wilson_by_counts(hits, n):
    z2 = 1.96**2
    centre, half = (hits + z2 / 2) / (n + z2), 1.96 / (n + z2) * (hits * (n - hits) / n + z2 / 4) ** 0.5
    return centre - half, centre + half


def wilson_by_roots(hits, n):
    a, b, c = 1 + 1.96**2 / n, -(2 * hits / n + 1.96**2 / n), (hits / n) ** 2
    root = (b * b - 4 * a * c) ** 0.5
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


def interval_of(middle, half):
    """A wrong answer from the two parts, functions of (p, n, u)."""

    def wilson(hits, n):
        m, h = middle(hits / n, n, 1.96), half(hits / n, n, 1.96)
        return m - h, m + h

    return wilson


def middle_of(p, n, u):
    return (p + u**2 / (2 * n)) / (1 + u**2 / n)


def half_of(p, n, u):
    return u / (1 + u**2 / n) * (p * (1 - p) / n + u**2 / (4 * n**2)) ** 0.5


def inputs_wilson(g):
    """Hits of n tries; none at all now and then."""
    n = whole(g, 8, 64)
    return (0 if real(g, 0, 1) < 0.2 else whole(g, 1, n - 1)), n


WILSON = Exercise(
    "8.9",
    "How sure is a rate?",
    points=2,
    difficulty=2,
    importance=4,
    minutes=10,
    equation="(8.8)",
    name="wilson",
    reference=wilson,
    inputs=inputs_wilson,
    right=[wilson_by_counts, wilson_by_roots, wilson_exactly],
    tolerance=1e-4,  # 1.96 is 1.95996
    wrong=[
        Wrong(
            interval_of(lambda p, n, u: p, lambda p, n, u: u * (p * (1 - p) / n) ** 0.5),
            "That is the rate plus or minus 1.96 standard errors, which claims certainty after no hit in eight tries.",
        ),
        Wrong(
            interval_of(lambda p, n, u: p, half_of),
            "Your interval is centred on the rate: (8.8) moves its middle towards one half.",
        ),
        Wrong(
            interval_of(middle_of, lambda p, n, u: u / (1 + u**2 / n) * (p * (1 - p) / n) ** 0.5),
            "The second term under the root is missing, so that no hits give an interval of no length.",
        ),
        Wrong(
            interval_of(lambda p, n, u: p + u**2 / (2 * n), lambda p, n, u: (1 + u**2 / n) * half_of(p, n, u)),
            "The common divisor 1 + u**2 / n is missing.",
        ),
        Wrong(
            interval_of(middle_of, lambda p, n, u: u / (1 + u**2 / n) * (p * (1 - p) / n + u**2 / (4 * n)) ** 0.5),
            "In the second term under the root n is squared.",
        ),
        Wrong(
            interval_of(middle_of, lambda p, n, u: half_of(p, n, u) / 1.96),
            "Your interval is one standard error to each side: the factor u in front of the root is missing.",
        ),
    ],
)


# 8.10 the most diverse of those that are good enough: an experiment


def choose(hits, styles, floor):
    """The setting of most effective styles among those whose success is surely above the floor, or None."""
    allowed = [i for i, row in enumerate(hits) if wilson(int(row.sum()), len(row))[0] >= floor]
    return max(allowed, key=lambda i: float(diversity_of(styles)[i]), default=None)


def choose_by_errors(hits, styles, floor):
    share = hits.double().mean(1)
    low = share - 2 * (share * (1 - share) / hits.shape[1]).sqrt()
    p = torch.stack([(styles == k).double().mean(1) for k in range(4)])
    entropy = -(p * p.clamp(min=1e-9).log()).sum(0)
    return int(entropy.masked_fill(low < floor, -1).argmax()) if (low >= floor).any() else None


def diversity_of(styles):
    """Effective number of styles of each setting, (settings, pictures) -> (settings,)."""
    return torch.stack([hill(torch.bincount(row, minlength=4) / len(row)) for row in styles])


def most_diverse(hits, styles, floor):
    """Of all settings, or of those of a measured rate above the floor."""
    fine = hits.double().mean(1) >= floor
    return int(diversity_of(styles).masked_fill(~fine, 0).argmax()) if fine.any() else None


def first_allowed(hits, styles, floor):
    return next((i for i, row in enumerate(hits) if wilson(int(row.sum()), len(row))[0] >= floor), None)


def shares_with(effective):
    """Shares of four styles with about this effective number, between 1.2 and 3.9."""
    leading = torch.linspace(0.25, 0.97, 100, dtype=torch.float64)
    shares = torch.stack([leading, *[(1 - leading) / 3] * 3], 1)
    numbers = torch.exp(-(shares * shares.log()).sum(1))
    return shares[(numbers - effective).abs().argmin()]


def inputs_choose(g):
    """Six settings of 400 pictures in any order: two miss the floor, one may miss it, three surely do not.

    Of those three neither the highest success nor the lowest has the most styles, nor has it the one that comes first;
    one has two large styles and fewer in all. Which style is the largest is drawn for each setting.
    """
    hits = [whole(g, 320, 360), whole(g, 344, 368), 385, 394, 396, 399]  # of 400; 385 has the interval .939 to .977
    two_large = torch.tensor([0.455, 0.455, 0.09, 0.0], dtype=torch.float64)
    laws = [shares_with(3.9), shares_with(3.8), shares_with(3.6), two_large, shares_with(real(g, 2.9, 3.1))]
    laws.append(shares_with(real(g, 1.3, 1.5)))
    order = torch.randperm(6, generator=g).tolist()
    first = min(order.index(i) for i in (3, 4, 5))
    if order[first] != 3:
        other = order.index(3)
        order[first], order[other] = order[other], order[first]
    shown = torch.stack([torch.randperm(400, generator=g) < hits[i] for i in order])
    shares = torch.stack([laws[i][torch.randperm(4, generator=g)] for i in order])
    return shown, torch.multinomial(shares, 400, replacement=True, generator=g), 0.95


def call_choose(fn, hits, styles, floor):
    """The choice at the floor, and at one that no setting surely reaches; None becomes -.5, which is no index."""
    return [-0.5 if index is None else index for index in (fn(hits, styles, f) for f in (floor, 0.999))]


SHORT = "The setting you chose misses the floor: diversity of pictures that show something else is not wanted."
UNSURE = "The rate of your setting is above the floor, but the lower end of its interval is not: it may well miss it."
SAFEST = "You chose the highest success: the floor is met by a setting that is far more diverse."
ANOTHER = "Another setting surely meets the floor as well and is more diverse: compare all that do."
NOTHING = "You found no setting, but there is one whose lower end is above the floor."
SOMETHING = "Where no setting surely reaches the floor, return None: yours returned a setting."


def accept_choose(answer, inputs):
    """The choice surely meets the floor and is the most diverse that does; None where there is none."""
    hits, styles, floor = inputs
    chosen, impossible = (part if type(part) in (int, float) else None for part in answer)
    if chosen is None or impossible is None or not {chosen, impossible} <= {-0.5, *range(len(hits))}:
        return "Return the index of a setting, a whole number from 0 on, or None."
    rate, diversity = hits.double().mean(1), diversity_of(styles)
    fine = torch.tensor([wilson(int(row.sum()), len(row))[0] >= floor for row in hits])
    if chosen == -0.5:
        return NOTHING
    if not fine[int(chosen)]:
        return SHORT if rate[int(chosen)] < floor else UNSURE
    if diversity[int(chosen)] < diversity[fine].max() - 0.05:
        return SAFEST if rate[int(chosen)] == rate.max() else ANOTHER
    return None if impossible == -0.5 else SOMETHING


CHOOSE = Exercise(
    "8.10",
    "As diverse as fidelity allows",
    points=3,
    difficulty=3,
    importance=5,
    minutes=15,
    equation="(8.8), (3.3)",
    name="choose",
    reference=choose,
    inputs=inputs_choose,
    call=call_choose,
    accept=accept_choose,
    right=[choose_by_errors],
    wrong=[
        Wrong(lambda hits, styles, floor: most_diverse(hits, styles, 0.0), SHORT),
        Wrong(most_diverse, UNSURE),
        Wrong(lambda hits, styles, floor: int(hits.double().mean(1).argmax()), SAFEST),
        Wrong(first_allowed, ANOTHER),
        Wrong(lambda hits, styles, floor: choose(hits, styles, floor) or 0, SOMETHING),
    ],
    needs=("hill", "wilson = lambda hits, n: (hits / n - 1.96 * (hits / n * (1 - hits / n) / n) ** 0.5, 1.0)"),
)

JUDGED = Exercise(
    "8.11",
    "Whose fault is it?",
    points=3,
    difficulty=4,
    importance=5,
    minutes=15,
    rubric=(
        "1 point: names three different causes (chance, the model with its training set, guidance) and what each "
        "predicts. 1 point: an experiment that changes one thing at a time, with the number of pictures and an "
        "interval. 1 point: says what success by a reader of pictures cannot show."
    ),
)

EXERCISES = [PADDED, SCALING, TIMESTEP, ESTIMATE, ATTEND, TRUE_OF, START, GUIDE, WILSON, CHOOSE, JUDGED]

QUIZ = [
    Question(
        "Which part of Stable Diffusion is the denoiser D(x, sigma) of chapter 1?",
        [
            (
                "The UNet with the scalings around it and the prompt fixed",
                True,
                "The prompt's embedding is chosen once; what is left is a function of x and sigma.",
            ),
            (
                "The autoencoder",
                False,
                "It never sees noise of level sigma: it translates between pictures and latents.",
            ),
            (
                "The scheduler",
                False,
                "It holds the list of levels and the formula of a step, and has no weights at all.",
            ),
        ],
    ),
    Question(
        "A caption begins with the same word as another one. How do the rows of that first word differ in the "
        "text encoder's output?",
        [
            (
                "They differ, because attention mixes all words",
                False,
                "Attention mixes backwards only: the words that follow are masked.",
            ),
            ("They are equal", True, "The encoder is causal: a row knows the tokens up to its own and none after it."),
            ("They differ by random noise", False, "The encoder draws no random numbers when it is used."),
        ],
    ),
    Question(
        "Stable Diffusion 2 at 768 pixels has latents of 96 x 96 x 4. How many numbers of the picture are there for "
        "each number of the latent?",
        [(48, True, "768 x 768 x 3 over 96 x 96 x 4 is 48; the small model has 12.")],
        otherwise="Divide 768 x 768 x 3 by 96 x 96 x 4.",
    ),
    Question(
        "A rare shape was drawn in 0 of 48 pictures. What do you know about its true rate?",
        [
            (
                "It is 0",
                False,
                "If one picture in thirty succeeded, you would still see none in 48 about one time in five.",
            ),
            (
                "Nothing, the standard error is undefined",
                False,
                "The standard error of the simple formula is 0, which is wrong; another interval works.",
            ),
            (
                "It is below about 7 %, with 95 % confidence",
                True,
                "The upper end of the interval (8.8) for no hits is u^2 / (n + u^2) = 3.84 / 51.84.",
            ),
        ],
    ),
    Question(
        "Guidance at weight 7.5 gives eight pictures of one style. Which sentence follows?",
        [
            ("The training set has only that style", False, "The pictures at weight 1 may show all styles."),
            (
                "Neither of the others without the same pictures at weight 1",
                True,
                "Only the comparison tells what guidance took away from what the model never had.",
            ),
            (
                "The caption names the style",
                False,
                "Guidance narrows what a caption leaves open, too.",
            ),
        ],
    ),
]
