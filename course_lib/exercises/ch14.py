"""Chapter 14, repulsion on Stable Diffusion 2: reference answers, inputs, anticipated wrong answers, and the quiz."""

import math
import operator

import torch

from course_lib import features
from course_lib.exercises.declare import Exercise, Question, Wrong
from course_lib.exercises.draws import normal, real, whole


# 14.1 the levels of the protocol
def thesis_levels(steps, low, high, T):
    """Levels at timesteps spread evenly over all T, both ends included, and a last 0 (14.1)."""
    beta = torch.linspace(low**0.5, high**0.5, T, dtype=torch.float64) ** 2
    abar = torch.cumprod(1 - beta, 0)
    sigma = ((1 - abar) / abar).sqrt()
    t = torch.linspace(T - 1, 0, steps, dtype=torch.float64)
    below = t.long().clamp(max=T - 2)
    return torch.cat([torch.lerp(sigma[below], sigma[below + 1], t - below), torch.zeros(1, dtype=torch.float64)])


def of_betas(beta, t, shape=lambda abar: ((1 - abar) / abar).sqrt(), last=True):
    """Levels by a loop over timesteps, with the usual mistakes as options."""
    abar, level = 1.0, []
    for b in beta:
        abar *= 1 - b
        level.append(float(shape(torch.tensor(abar, dtype=torch.float64))))
    found = []
    for one in t:
        i = min(math.floor(one), len(beta) - 2)
        found.append(level[i] + (one - i) * (level[i + 1] - level[i]))
    return torch.tensor(found + [0.0] * last, dtype=torch.float64)


def scaled(low, high, T):
    return [(low**0.5 + i / (T - 1) * (high**0.5 - low**0.5)) ** 2 for i in range(T)]


def evenly(steps, T):
    return [(T - 1) * (1 - i / (steps - 1)) for i in range(steps)]


def levels_by_loop(steps, low, high, T):
    return of_betas(scaled(low, high, T), evenly(steps, T))


def levels_by_logs(steps, low, high, T):
    beta = torch.tensor(scaled(low, high, T), dtype=torch.float64)
    sigma = torch.expm1(-torch.log1p(-beta).cumsum(0)).sqrt()  # 1 / abar - 1
    t = torch.tensor(evenly(steps, T), dtype=torch.float64)
    above = t.ceil().long()
    share = above - t
    mixed = share * sigma[(above - 1).clamp(min=0)] + (1 - share) * sigma[above]
    return torch.nn.functional.pad(mixed, (0, 1))


LEVELS = Exercise(
    "14.1",
    "The levels of the protocol",
    points=2,
    difficulty=2,
    importance=4,
    minutes=12,
    equation="(14.1)",
    name="thesis_levels",
    reference=thesis_levels,
    inputs=lambda g: (whole(g, 2, 9), real(g, 5e-4, 1e-3), real(g, 0.01, 0.014), whole(g, 101, 300)),
    draws=8,
    right=[levels_by_loop, levels_by_logs],
    wrong=[
        Wrong(
            lambda steps, low, high, T: of_betas(
                [low + i / (T - 1) * (high - low) for i in range(T)], evenly(steps, T)
            ),
            "Your betas are evenly spaced: in (14.1) their square roots are.",
        ),
        Wrong(
            lambda steps, low, high, T: of_betas(scaled(low, high, T), [T - 1 - i * T / steps for i in range(steps)]),
            "Your timesteps stop short of 0: in this protocol both ends, T - 1 and 0, are timesteps of the run.",
        ),
        Wrong(
            lambda steps, low, high, T: of_betas(
                scaled(low, high, T), [(T - 1) * (1 - i / steps) for i in range(steps)]
            ),
            "You divided the way by n: between n timesteps lie n - 1 equal parts, and the last one ends at 0.",
        ),
        Wrong(
            lambda steps, low, high, T: of_betas(
                scaled(low, high, T), [T * (1 - i / (steps - 1)) for i in range(steps)]
            ),
            "Your first timestep is T: they are counted from 0, so that the highest is T - 1.",
        ),
        Wrong(
            lambda steps, low, high, T: of_betas(scaled(low, high, T), map(round, evenly(steps, T))),
            "You rounded the timesteps: between two of them the level lies on the straight line.",
        ),
        Wrong(
            lambda steps, low, high, T: of_betas(scaled(low, high, T), evenly(steps, T), last=False),
            "The last level is missing: after the level of timestep 0 the run ends at 0.",
        ),
        Wrong(
            lambda steps, low, high, T: of_betas(scaled(low, high, T), evenly(steps, T)[::-1]),
            "Your levels rise: a run begins at the highest noise.",
        ),
        Wrong(
            lambda steps, low, high, T: of_betas(scaled(low, high, T), evenly(steps, T), lambda a: (1 - a).sqrt()),
            "That is the noise in the pipeline's own scaling: divide by the root of abar as well.",
        ),
        Wrong(
            lambda steps, low, high, T: of_betas(scaled(low, high, T), evenly(steps, T), lambda a: (1 - a) / a),
            "Those are squares of the levels: sigma is the root of (1 - abar) / abar.",
        ),
        Wrong(
            lambda steps, low, high, T: thesis_levels(steps, low, high, T).float(),
            "The values are right, but in float32: levels in float64 are asked for.",
        ),
    ],
    tolerance=1e-9,
)


# 14.2 what the text encoder hears of a long prompt
WORDS = "a cave opening in the deep green forest with one old boat and very still water under quiet hills"
FIRST, LAST = ("Ada", "Bo", "Cleo", "Dag", "Eve", "Fay", "Gil"), ("Ash", "Birch", "Cedar", "Elm", "Fir", "Hazel")


def heard(opening, artists, count, limit):
    """The largest number of names with which the text fits, 0 where none does."""
    fits = [k for k in range(len(artists) + 1) if count(joined(opening, artists[:k])) <= limit]
    return max(fits, default=0)


def joined(opening, artists):
    return " ".join([opening, ", ".join(artists)]).strip()


def call_heard(fn, opening, artists, limit):
    """Every word and every comma is a token, and so are a mark at the start and one at the end."""

    def count(text):
        return 2 + len(text.replace(",", " , ").split())

    return fn(opening, artists, count, limit)


def tokens(text):
    return 2 + len(text.replace(",", " , ").split())


def long_prompt(g):
    """An opening and names of one or two words: they fill the encoder to its last token or leave one free, or all fit,
    or not even the first one does, or not even the opening.

    The first name that does not fit takes two tokens, with its comma. Some openings end in a comma.
    """
    every = WORDS.split()
    words = [every[i] for i in torch.randperm(len(every), generator=g)[: whole(g, 2, 9)]]
    kind, k = whole(g, 0, 5), whole(g, 4, 8)
    k, names = (0 if kind == 3 else k), []
    for i in range(k + whole(g, 3, 6)):
        first, last = FIRST[whole(g, 0, len(FIRST) - 1)], LAST[whole(g, 0, len(LAST) - 1)]
        names.append(last if i == k or (i != 1 and whole(g, 0, 2) == 0) else f"{first} {last}")
    opening = " ".join(words) + (", by" if whole(g, 0, 1) else ",")
    if kind == 4:
        return opening, names, tokens(opening) - whole(g, 1, 2)
    read = tokens(joined(opening, names if kind == 2 else names[:k]))
    return opening, names, read + (whole(g, 0, 1) if kind in (2, 3) else kind > 0)


def heard_one_by_one(opening, artists, count, limit):
    k = 0
    while k < len(artists) and count(joined(opening, artists[: k + 1])) <= limit:
        k += 1
    return k


def heard_by_halving(opening, artists, count, limit):
    low, high = 0, len(artists) + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(joined(opening, artists[:middle])) <= limit else (low, middle)
    return low


def each_name_alone(opening, artists, count, limit):
    used, k = count(opening), 0
    while k < len(artists) and used + count(artists[k]) <= limit:
        used, k = used + count(artists[k]), k + 1
    return k


def joined_without_space(opening, artists, count, limit):
    fits = [k for k in range(len(artists) + 1) if count(opening + ", ".join(artists[:k])) <= limit]
    return max(fits, default=0)


def the_first_too_many(opening, artists, count, limit):
    """The index of the first name that makes the text too long, counted from 1."""
    return min(heard(opening, artists, count, limit) + 1, len(artists))


def nothing_is_less_than_0(opening, artists, count, limit):
    fits = [k for k in range(len(artists) + 1) if count(joined(opening, artists[:k])) <= limit]
    return max(fits, default=-1)


HEARD = Exercise(
    "14.2",
    "How many names does the encoder hear?",
    points=2,
    difficulty=2,
    importance=4,
    minutes=10,
    name="heard",
    reference=heard,
    inputs=long_prompt,
    call=call_heard,
    beside=True,
    right=[heard_one_by_one, heard_by_halving],
    wrong=[
        Wrong(
            lambda opening, artists, count, limit: len(artists),
            "You counted the names that are written: the encoder reads the first `limit` tokens and drops the rest.",
        ),
        Wrong(
            lambda opening, artists, count, limit: heard(opening, artists, count, limit - 1),
            "You stop a token early: exactly `limit` tokens are read, and commas stand between two names only.",
        ),
        Wrong(
            lambda opening, artists, count, limit: heard(opening, artists, count, limit + 1),
            "You go one token too far: count(text) has both marks in, and may be `limit` at most.",
        ),
        Wrong(
            lambda opening, artists, count, limit: heard(opening, artists, count, limit + 2),
            "You left out the marks at start and end: count(text) has them in, and they take room.",
        ),
        Wrong(
            each_name_alone,
            "You counted each name as a text of its own: the marks at start and end are there once, the commas often.",
        ),
        Wrong(
            lambda opening, artists, count, limit: heard("", artists, count, limit),
            "The opening has dropped out: it stands before the names and takes room as well.",
        ),
        Wrong(
            lambda opening, artists, count, limit: min(heard(opening, artists, count, limit), len(artists) - 1),
            "Where all names fit, all are heard: you stop one short of them.",
        ),
        Wrong(
            joined_without_space,
            "There is a space between the opening and the first name: without it two words become one.",
        ),
        Wrong(
            the_first_too_many,
            "You counted the first name that no longer fits as well: only those before it are read whole.",
        ),
        Wrong(
            nothing_is_less_than_0,
            "Where not even the opening fits, no name is read: the answer is 0 then.",
        ),
    ],
    draws=40,
    may_pass={"count kept": "It counts the tokens of any text in the same way on every draw."},
)


# 14.4 the rule of thirds where a map does not divide
def thirds(z):
    """The library's own function."""
    return features.rule_of_thirds(z)


def by_bands(z, back=True, order=(0, 1), sign=1.0, outer=False, split=None, third=lambda L, H: L // 3):
    """Both differences of rows, then of columns, with the usual mistakes as options."""
    parts = []
    for axis in order:
        line = z.mean(3 - axis)  # (N, C, length)
        L = line.shape[2]
        t = third(L, z.shape[2])
        start = L - 2 * t if back else t
        bands = [
            line[..., :t],
            line[..., t : 2 * t],
            line[..., start : start + t],
            line[..., start + t : start + 2 * t],
        ]
        if split:
            bands = [*split(line)[:2], *split(line)[1:]]
        a, b, c, d = (band.mean(2) for band in bands)
        parts += [sign * (a - b), sign * ((a - d) if outer else (c - d))]
    return torch.cat(parts, 1)


def by_flipping(z):
    def front(line):
        t = line.shape[2] // 3
        return line[..., :t].mean(2) - line[..., t : 2 * t].mean(2)

    lines = z.mean(3), z.mean(2)
    return torch.cat([part for line in lines for part in (front(line), -front(line.flip(2)))], 1)


def sums_of_bands(z):
    H, W = z.shape[2:]
    rows, columns = by_bands(z).chunk(2, 1)
    return torch.cat([rows * (H // 3), columns * (W // 3)], 1)


def a_gradient_flows(fn, inputs):
    """A push is the gradient of a feature's potential: it must reach the map, and be that of the rule of thirds."""
    with torch.enable_grad():
        z = inputs[0].detach().requires_grad_()
        try:
            out = fn(z)
        except RuntimeError:  # of NumPy, which PyTorch keeps from what needs a gradient
            return CUT
        if not out.requires_grad:
            return CUT
        weights = torch.linspace(1, 2, out.numel(), dtype=z.dtype).reshape(out.shape)
        (found,) = torch.autograd.grad((out * weights).sum(), z, allow_unused=True)
        (due,) = torch.autograd.grad((by_bands(z) * weights).sum(), z)
    if found is None or not torch.allclose(found, due):
        return "The values are right, but the gradient is not that of all four differences."
    return None


CUT = (
    "The values are right, but no gradient flows from them to z: the push below is one, so leave out detach and NumPy."
)


def a_map(g):
    """A few maps whose height and width leave 0, 1 or 2 rows over, either one the larger."""
    return (normal(g, whole(g, 1, 4), whole(g, 1, 3), whole(g, 3, 14), whole(g, 3, 14)),)


THIRDS = Exercise(
    "14.4",
    "The rule of thirds on 64 x 64",
    points=2,
    difficulty=2,
    importance=3,
    minutes=10,
    further=True,
    equation="(10.4)",
    name="thirds",
    reference=thirds,
    inputs=a_map,
    draws=20,
    right=[by_bands, by_flipping],
    properties=[a_gradient_flows],
    wrong=[
        Wrong(
            lambda z: by_bands(z, back=False),
            "Your last two bands are counted from the front: they are counted from the far edge, 22:43 and 43:64.",
        ),
        Wrong(
            lambda z: by_bands(z, split=lambda line: line.tensor_split(3, 2)),
            "Your bands are unequal: tensor_split gives what is left over to the first, but all four have L // 3 rows.",
        ),
        Wrong(
            lambda z: by_bands(z, split=lambda line: line.split(-(-line.shape[2] // 3), 2)),
            "Your last band is thinner than the others: chunk rounds up; all four bands have L // 3 rows.",
        ),
        Wrong(
            lambda z: by_bands(z, third=lambda L, H: -(-L // 3)),
            "Your bands have L / 3 rows rounded up: a band has L // 3.",
        ),
        Wrong(
            lambda z: by_bands(z, third=lambda L, H: round(L / 3)),
            "Your bands have L / 3 rows rounded to the nearest number: a band has L // 3, rounded down.",
        ),
        Wrong(
            lambda z: by_bands(z, third=lambda L, H: H // 3),
            "You took the third of the height for the columns too: L is their own number there, the width.",
        ),
        Wrong(sums_of_bands, "You compared sums: a band counts by its mean."),
        Wrong(lambda z: by_bands(z, order=(1, 0)), "Rows and columns are swapped: rows come first."),
        Wrong(lambda z: by_bands(z, sign=-1.0), "Your signs are turned round: the band nearer the start comes first."),
        Wrong(
            lambda z: by_bands(z, outer=True),
            "Your second difference is first minus last: neighbours are compared, the last but one minus the last.",
        ),
        Wrong(
            lambda z: by_bands(z).unflatten(1, (4, -1)).transpose(1, 2).flatten(1),
            "Your numbers come channel by channel: all channels of one difference stand together.",
        ),
    ],
    home="course_lib.features.latents:rule_of_thirds",
)


# 14.3 one step in the thesis' units
def thesis_step(x, x0, pull, alpha, sigma, sigma_next):
    """(14.2): step size times score minus alpha times the gradient of the kernel."""
    step = sigma * (sigma - sigma_next)
    return x + step * ((x0 - x) / sigma**2 - alpha * pull)


def step_by_x0(x, x0, pull, alpha, sigma, sigma_next):
    """As a DDIM step to the next level with a moved x0."""
    return torch.lerp(x0 - sigma**2 * alpha * pull, x, sigma_next / sigma)


def step_by_noise(x, x0, pull, alpha, sigma, sigma_next):
    eps = (x - x0) / sigma + sigma * alpha * pull
    return x - (sigma - sigma_next) * eps


def draw_step(g):
    """x, x0 and R in one shape, alpha, which may be 0, and two levels: one step in three is the last, to 0."""
    shape = whole(g, 1, 7), whole(g, 1, 3), whole(g, 2, 4), whole(g, 2, 4)
    alpha = real(g, 20.0, 60.0) if whole(g, 0, 4) else 0.0
    return *normal(g, 3, *shape).unbind(), alpha, real(g, 3.0, 5.0), real(g, 1.0, 2.5) if whole(g, 0, 2) else 0.0


STEP = Exercise(
    "14.3",
    "A step in the thesis' units",
    points=2,
    difficulty=2,
    importance=5,
    minutes=10,
    equation="(14.2)",
    name="thesis_step",
    reference=thesis_step,
    inputs=draw_step,
    draws=24,
    right=[step_by_x0, step_by_noise],
    wrong=[
        Wrong(
            lambda x, x0, pull, alpha, sigma, s: thesis_step(x, x0, -pull, alpha, sigma, s),
            "Your particles attract: the gradient of the kernel points to the others, and is taken away.",
        ),
        Wrong(
            lambda x, x0, pull, alpha, sigma, s: x + (sigma - s) / sigma * (x0 - x) - alpha * pull,
            "The push is not multiplied by the step size: score and push stand in one bracket.",
        ),
        Wrong(
            lambda x, x0, pull, alpha, sigma, s: x + (sigma**2 - s**2) * ((x0 - x) / sigma**2 - alpha * pull),
            "That is the step size of the noisy sampler: here it is sigma times the way to the next level.",
        ),
        Wrong(
            lambda x, x0, pull, alpha, sigma, s: x + (sigma - s) * ((x0 - x) / sigma**2 - alpha * pull),
            "The step size lacks a factor sigma.",
        ),
        Wrong(
            lambda x, x0, pull, alpha, sigma, s: x + sigma * (sigma - s) * ((x0 - x) / sigma - alpha * pull),
            "Your score is divided by sigma once: it is (x0 - x) / sigma**2.",
        ),
        Wrong(
            lambda x, x0, pull, alpha, sigma, s: thesis_step(x, x0, pull, 1.0, sigma, s),
            "alpha changes nothing in your answer: the push grows with it.",
        ),
        Wrong(
            lambda x, x0, pull, alpha, sigma, s: thesis_step(x, x0, pull, alpha, sigma, s) - x,
            "That is the way of the particle: add it to where the particle was.",
        ),
        Wrong(
            lambda x, x0, pull, alpha, sigma, s: thesis_step(x, x0, pull, alpha, sigma, s) - x + x0,
            "You start from x0: the particle itself, x, takes the step.",
        ),
        Wrong(
            lambda x, x0, pull, alpha, sigma, s: 2 * x - thesis_step(x, x0, pull, alpha, sigma, s),
            "Your step goes back, to more noise: sigma - sigma' is positive.",
        ),
        Wrong(
            lambda x, x0, pull, alpha, sigma, s: x + sigma * (sigma - s) * ((x - x0) / sigma**2 - alpha * pull),
            "Your score points away from x0: it is (x0 - x) / sigma**2.",
        ),
        Wrong(
            lambda x, x0, pull, alpha, sigma, s: x + (sigma - s) / sigma * (x0 - x - alpha * pull),
            "You divided the push by sigma**2 as well: only x0 - x is.",
        ),
        Wrong(
            lambda x, x0, pull, alpha, sigma, s: thesis_step(x, x0, pull / len(x), alpha, sigma, s),
            "You divided by N once more: `pull` is R, which has the 1/N in it.",
        ),
        Wrong(
            lambda x, x0, pull, alpha, sigma, s: x0 if s == 0 else thesis_step(x, x0, pull, alpha, sigma, s),
            "Your last step leaves the push out: (14.2) holds where sigma' is 0, too.",
        ),
    ],
)


# 14.5 how strong a push is
def share_of_score(x, x0, sigma, force):
    """Mean over the particles of |force| / |score|."""
    score = (x0 - x) / sigma**2
    return (force.flatten(1).norm(dim=1) / score.flatten(1).norm(dim=1)).mean()


def share_by_loop(x, x0, sigma, force):
    return sum(f.norm() * sigma**2 / (b - a).norm() for f, a, b in zip(force, x, x0)) / len(x)


def share_by_squares(x, x0, sigma, force):
    dims = tuple(range(1, x.ndim))
    return ((force * sigma**2).square().sum(dims) / (x0 - x).square().sum(dims)).sqrt().mean()


def lengths(z):
    return z.flatten(1).norm(dim=1)


def draw_push(g):
    """One to six particles of different lengths, a level, and pushes of different lengths: one of several may be 0."""
    n, *shape = whole(g, 1, 6), whole(g, 1, 3), whole(g, 2, 4), whole(g, 2, 4)
    scale = 0.3 + 2 * torch.rand(3, n, 1, 1, 1, generator=g, dtype=torch.float64)
    x, x0, force = (normal(g, 3, n, *shape) * scale).unbind()
    if n > 1 and whole(g, 0, 2) == 0:
        force[whole(g, 0, n - 1)] = 0
    return x, x0, real(g, 2.0, 4.0), force


SHARE = Exercise(
    "14.5",
    "How strong is a push?",
    points=1,
    difficulty=2,
    importance=5,
    minutes=8,
    equation="(14.3)",
    name="share_of_score",
    reference=share_of_score,
    inputs=draw_push,
    draws=8,
    right=[share_by_loop, share_by_squares],
    wrong=[
        Wrong(
            lambda x, x0, sigma, force: (lengths(force) / lengths(x0 - x)).mean(),
            "Your score lacks its factor: it is (x0 - x) / sigma**2.",
        ),
        Wrong(
            lambda x, x0, sigma, force: (lengths(force) * sigma / lengths(x0 - x)).mean(),
            "You divided by sigma once: the score is (x0 - x) / sigma**2.",
        ),
        Wrong(
            lambda x, x0, sigma, force: sigma**2 * force.norm() / (x0 - x).norm(),
            "That is one length of the whole batch: each particle has a share of its own, then comes the mean.",
        ),
        Wrong(
            lambda x, x0, sigma, force: sigma**2 * lengths(force).mean() / lengths(x0 - x).mean(),
            "You divided two means: (14.3) is the mean of the particles' own shares.",
        ),
        Wrong(
            lambda x, x0, sigma, force: (lengths(x0 - x) / (sigma**2 * lengths(force))).mean(),
            "Your share is upside down: the push stands above the score.",
        ),
        Wrong(
            lambda x, x0, sigma, force: (sigma**2 * force / (x0 - x)).abs().mean(),
            "You compared number by number: a share is the length of one vector over that of the other.",
        ),
        Wrong(
            lambda x, x0, sigma, force: sigma**2 * (lengths(force) / lengths(x0)).mean(),
            "Your score lacks x: it points from x to x0.",
        ),
        Wrong(
            lambda x, x0, sigma, force: sigma**2 * (lengths(force) / lengths(x0 - x)).sum(),
            "You added the shares up: (14.3) is their mean.",
        ),
        Wrong(
            lambda x, x0, sigma, force: (sigma**2 * lengths(force) / lengths(x0 - x)).square().mean(),
            "Your lengths are squares: take the root of each before you divide.",
        ),
    ],
)


# 14.6 the share of the gap, and how well it is known
def closed(minimum, own, floor):
    """The share of the whole sets, and its jackknifed standard error (14.4)."""
    share = (minimum - own) / (minimum - floor)
    G = len(share) - 1
    return share[0], ((G - 1) / G * (share[1:] - share[1:].mean()).square().sum()).sqrt()


def closed_by_loop(minimum, own, floor):
    shares = [(m - o) / (m - f) for m, o, f in zip(minimum.tolist(), own.tolist(), floor.tolist())]
    whole_set, *left = shares
    middle = sum(left) / len(left)
    return whole_set, ((len(left) - 1) / len(left) * sum((one - middle) ** 2 for one in left)) ** 0.5


def closed_by_variance(minimum, own, floor):
    share = 1 - (own - floor) / (minimum - floor)
    G = len(own) - 1
    return share[0], (G - 1) / G**0.5 * share[1:].std()


def jackknife_about(share):
    """The error by deviations from the share of the whole set."""
    G = len(share) - 1
    return ((G - 1) / G * (share[1:] - share[0]).square().sum()).sqrt()


def error_of(minimum, own, floor):
    return closed(minimum, own, floor)[1]


def draw_distances(g):
    """Of 5 to 12 groups: a set between minimum and floor, one that is farther than both, or one that is nearer."""
    n = 1 + whole(g, 5, 12)
    return 40 + normal(g, n), (30, 52, 5)[whole(g, 0, 2)] + normal(g, n), 12 + normal(g, n)


def cut(share, low=-math.inf, high=math.inf, all_of_them=False):
    """The share of the whole sets cut at limits, and the error, of shares that are cut as well or not."""
    kept = share.clamp(low, high)
    left = (kept if all_of_them else share)[1:]
    return kept[0], ((len(left) - 1) / len(left) * (left - left.mean()).square().sum()).sqrt()


CLOSED = Exercise(
    "14.6",
    "The share of the gap, with its error",
    points=3,
    difficulty=3,
    importance=5,
    minutes=15,
    equation="(14.4)",
    name="closed",
    reference=closed,
    inputs=draw_distances,
    draws=24,
    right=[closed_by_variance, closed_by_loop],
    wrong=[
        Wrong(
            lambda m, o, f: (((m - o) / (m - f))[1:].mean(), error_of(m, o, f)),
            "Your share is the mean of those with a group left out: the share is that of the whole sets, entry 0.",
        ),
        Wrong(
            lambda m, o, f: (((o - f) / (m - f))[0], error_of(m, o, f)),
            "That is the share that is left open: the share closed is 0 at the minimum and 1 at the floor.",
        ),
        Wrong(
            lambda m, o, f: (((m - o) / m)[0], error_of(m, o, f)),
            "The floor has dropped out of the gap: even a second maximum set lies at some distance.",
        ),
        Wrong(
            lambda m, o, f: (closed(m, o, f)[0], error_of(m, o, f) / (len(o) - 2)),
            "Your error lacks the factor G - 1 for leaving one out: those shares differ by little, all sharing most.",
        ),
        Wrong(
            lambda m, o, f: (closed(m, o, f)[0], error_of(m, o, f) / (len(o) - 2) ** 0.5),
            "You divided by G where (14.4) has (G - 1) / G: what is left out once is not an independent repeat.",
        ),
        Wrong(
            lambda m, o, f: (closed(m, o, f)[0], ((m - o) / (m - f)).std() * (len(o) - 1) / len(o) ** 0.5),
            "The whole set is among your repeats: only entries 1 to G have a group left out, and G is their number.",
        ),
        Wrong(
            lambda m, o, f: (closed(m, o, f)[0], ((m - o) / (m - f)).std() * (len(o) - 2) ** 0.5),
            "G is right, but your sum and its mean hold entry 0 too: they run over entries 1 to G.",
        ),
        Wrong(
            lambda m, o, f: (closed(m, o, f)[0], error_of(m, o, f) * (len(o) - 1) / ((len(o) - 2) * len(o)) ** 0.5),
            "Your G is one too large: the shares have G + 1 entries, of which G leave a group out.",
        ),
        Wrong(
            lambda m, o, f: (closed(m, o, f)[0], ((m - o) / (m - f))[1:].std()),
            "That is the standard deviation of the G shares, with 1 / (G - 1) before the sum: (14.4) has (G - 1) / G.",
        ),
        Wrong(
            lambda m, o, f: closed(m, o, f)[::-1],
            "Share and error have changed places: the share comes first.",
        ),
        Wrong(
            lambda m, o, f: (closed(m, o, f)[0].abs(), error_of(m, o, f)),
            "The sign is lost: a set that lies farther away than the minimum closes a negative share.",
        ),
        Wrong(
            lambda m, o, f: cut((m - o) / (m - f), 0, 1),
            "You cut the share at 0 and at 1: a set may lie farther away than the minimum, or nearer than the floor.",
        ),
        Wrong(
            lambda m, o, f: cut((m - o) / (m - f), 0, 1, True),
            "You cut all shares at 0 and at 1, which takes the error away as well: leave them as they are.",
        ),
        Wrong(
            lambda m, o, f: cut((m - o) / (m - f), low=0),
            "You cut negative shares to 0: a set that lies farther away than the minimum has one.",
        ),
        Wrong(
            lambda m, o, f: cut((m - o) / (m - f), high=1),
            "You cut shares at 1: a set that lies nearer than the floor closes more than the gap.",
        ),
        Wrong(
            lambda m, o, f: (closed(m, o, f)[0], jackknife_about((m - o) / (m - f))),
            "You took the deviations from g_0: the jackknife takes them from the mean of the G shares.",
        ),
        Wrong(
            lambda m, o, f: (closed(m, o, f)[0], 2 * error_of(m, o, f)),
            "You doubled the error: one standard error is asked for.",
        ),
        Wrong(
            lambda m, o, f: (closed(m, o, f)[0], error_of(m, o, f) ** 2),
            "That is the variance: take the root.",
        ),
    ],
)


# 14.7 levels under a budget of passes
def affordable(budget, candidates, kept, passes, corrected):
    """The most levels n with candidates passes (n + corrected (n // 2)) / kept <= budget (14.5)."""
    calls = int(budget * kept // (candidates * passes))  # of the denoiser
    return max(n for n in range(calls + 1) if n + corrected * (n // 2) <= calls)


def affordable_by_table(budget, candidates, kept, passes, corrected):
    costs = [candidates * passes * (n + (n // 2 if corrected else 0)) for n in range(kept * budget + 1)]
    return max(n for n, cost in enumerate(costs) if cost <= kept * budget)


def affordable_by_formula(budget, candidates, kept, passes, corrected):
    calls = budget * kept // (candidates * passes)  # of the denoiser
    return calls if not corrected else 2 * (calls // 3) + (calls % 3 > 0)


def call_affordable(fn, methods):
    return torch.tensor([float(fn(*one)) for one in methods])


ROUNDED = (55, 11, 9), (55, 11, 10), (63, 9, 7)  # budgets spent to the last pass where candidates / kept is rounded


def some_methods(g):
    """Ten methods in any order, each (budget, candidates, kept, passes, corrected)."""
    n, k, j, p = whole(g, 4, 12), whole(g, 4, 12), whole(g, 2, 4), whole(g, 1, 2)
    m, odd = 4 * j - 1 - 2 * whole(g, 0, (j - 1) // 2), 2 * whole(g, 1, 5) + 1
    budget, *pictures = ROUNDED[whole(g, 0, len(ROUNDED) - 1)]
    rows = [
        (2 * whole(g, 15, 40) + 1, n, n, 2, 0),
        (whole(g, 20, 60), n, n, 1, 0),  # without guidance, spent to the last pass
        (2 * whole(g, 15, 40) + 1, 2 * n, n, 2, 0),
        (6 * whole(g, 0, 12) + 2, n, n, 2, 1),  # an odd number of levels
        (6 * whole(g, 0, 12) + 3, k, k, 2, 1),  # and half a call left over
        (whole(g, 30, 80), whole(g, 2, 3) * k, k, whole(g, 1, 2), 1),
        (whole(g, 30, 80), k + whole(g, 1, (k - 1) // 2), k, 2, whole(g, 0, 1)),
        (m * odd, m, 2 * j, 2, 0),  # an odd budget spent to the last pass, candidates no multiple of kept
        (whole(g, 0, 3), 2 * k, k, 2, whole(g, 0, 1)),  # not one level
        (p * budget, *pictures, p, 0),
    ]
    return ([rows[i] for i in torch.randperm(len(rows), generator=g).tolist()],)


def with_calls(calls, extra=lambda n: n // 2):
    """The answer that goes by a number of calls for each candidate, and by a number of corrections in n levels."""

    def answer(budget, candidates, kept, passes, corrected):
        most = calls(budget, candidates, kept, passes)
        return max(n for n in range(int(most) + 1) if n + corrected * extra(n) <= most)

    return answer


def with_cost(cost, extra=lambda n: n // 2):
    """The answer that goes by the cost of a call in passes for each kept picture, and by a number of corrections."""

    def answer(budget, candidates, kept, passes, corrected):
        costs = [cost(candidates, kept, passes) * (n + corrected * extra(n)) for n in range(budget + 1)]
        return max(n for n, spent in enumerate(costs) if spent <= budget)

    return answer


def is_whole(fn, inputs):
    """A number of levels is handed on to a sampler, which refuses 8.0."""
    try:
        for one in inputs[0]:
            operator.index(fn(*one))
    except TypeError:
        return "The number is right, but a real one such as 8.0: return a whole number, by // of whole numbers or int."
    return None


AFFORDABLE = Exercise(
    "14.7",
    "How many levels can a method afford?",
    points=2,
    difficulty=3,
    importance=5,
    minutes=12,
    equation="(14.5)",
    name="affordable",
    reference=affordable,
    inputs=some_methods,
    call=call_affordable,
    properties=[is_whole],
    right=[affordable_by_table, affordable_by_formula],
    wrong=[
        Wrong(
            lambda budget, candidates, kept, passes, corrected: affordable(budget, kept, kept, passes, corrected),
            "You charged the kept pictures alone: candidates that are thrown away were sampled too.",
        ),
        Wrong(
            lambda budget, candidates, kept, passes, corrected: affordable(budget, candidates, kept, passes, 0),
            "Corrections cost nothing in your answer: each is a call of the denoiser before the step.",
        ),
        Wrong(
            lambda budget, candidates, kept, passes, corrected: affordable(
                budget, candidates * (1 + corrected), kept, passes, 0
            ),
            "You charged a correction at every level: it stands before the first half of them only.",
        ),
        Wrong(
            with_calls(lambda b, m, k, p: b * k // (m * p), lambda n: (n + 1) // 2),
            "You rounded half of n up: (14.5) rounds it down.",
        ),
        Wrong(
            with_calls(lambda b, m, k, p: b * k / (m * p), lambda n: n / 2),
            "You left half of n as it is: (14.5) rounds it down, so that 5 levels have 2 corrections.",
        ),
        Wrong(
            with_cost(lambda m, k, p: m // k * p),
            "You rounded candidates / kept down, before the passes: 12 candidates for 8 are one and a half each.",
        ),
        Wrong(
            with_cost(lambda m, k, p: m * p // k),
            "You rounded the passes of a call down: candidates * passes / kept need not be a whole number.",
        ),
        Wrong(
            with_cost(lambda m, k, p: -(-m * p // k)),
            "You rounded the passes of a call up: candidates * passes / kept need not be a whole number.",
        ),
        Wrong(
            with_calls(lambda b, m, k, p: b // p * k // m),
            "You rounded budget / passes down on the way, and lost a pass where the budget is odd: round at the end.",
        ),
        Wrong(
            with_cost(lambda m, k, p: m * p / k),
            "A rounded quotient costs you a level where the budget is spent to the last pass: compare whole numbers.",
        ),
        Wrong(
            with_calls(lambda b, m, k, p: max((b * k - 1) // (m * p), 0)),
            "Your run may not spend the whole budget: (14.5) allows a cost of exactly B.",
        ),
        Wrong(
            lambda budget, candidates, kept, passes, corrected: max(
                1, affordable(budget, candidates, kept, passes, corrected)
            ),
            "Your answer is never 0: where the budget is too small for one level, it is.",
        ),
        Wrong(
            lambda budget, candidates, kept, passes, corrected: affordable(budget, candidates, kept, 1, corrected),
            "You counted one pass a call: with guidance the network runs with and without the prompt.",
        ),
        Wrong(
            lambda budget, candidates, kept, passes, corrected: (
                affordable(budget, candidates, kept, passes, corrected) + 1
            ),
            "Your run is one level too long: it must stay within the budget.",
        ),
        Wrong(
            lambda budget, candidates, kept, passes, corrected: affordable(budget, candidates, 1, passes, corrected),
            "The budget is for each picture that is kept: all of them together have kept times as much.",
        ),
        Wrong(
            lambda budget, candidates, kept, passes, corrected: affordable(20, candidates, kept, passes, corrected),
            "Your answer does not depend on the budget.",
        ),
    ],
)


# 14.9 what fits on a card
def fits(pictures, peaks, weights, card):
    """The most pictures at once, from a straight line through computed peaks (14.7); 0 where not one fits."""
    return max(0, math.floor(room(pictures, peaks, weights, card)))


def room(pictures, peaks, weights, card):
    """For how many pictures a card has room, parts of a picture included."""
    n = torch.tensor(pictures, dtype=torch.float64)
    p = torch.tensor(peaks, dtype=torch.float64)
    slope = ((n - n.mean()) * (p - p.mean())).sum() / (n - n.mean()).square().sum()
    return float((card - weights - (p.mean() - slope * n.mean())) / slope)


def fits_by_ends(pictures, peaks, weights, card):
    slope = (peaks[-1] - peaks[0]) / (pictures[-1] - pictures[0])
    return max(0, pictures[0] + math.floor((card - weights - peaks[0]) / slope))


def fits_by_trying(pictures, peaks, weights, card):
    slope = (peaks[1] - peaks[0]) / (pictures[1] - pictures[0])
    n = 0
    while weights + peaks[0] + (n + 1 - pictures[0]) * slope <= card:
        n += 1
    return n


def a_budget(g):
    """Peaks on a straight line in two to four rows, and a card for none, for few, or for more than all rows say.

    3 or 7 tenths of one more picture would fit: where one fits exactly, rounding decides.
    """
    slope, weights = real(g, 0.8, 1.6), real(g, 2.0, 4.0)
    base = slope * real(g, 1.5, 2.1)
    pictures = [whole(g, 1, 3), whole(g, 4, 6), whole(g, 9, 12), whole(g, 14, 20)][: whole(g, 2, 4)]
    n = (whole(g, -3, -2), whole(g, -1, 0), whole(g, 1, 3), whole(g, 6, 9), whole(g, 25, 45))[whole(g, 0, 4)]
    part = (0.3, 0.7)[whole(g, 0, 1)]
    return pictures, [base + k * slope for k in pictures], weights, weights + base + (n + part) * slope


def line_of(pictures, peaks):
    slope = (peaks[-1] - peaks[0]) / (pictures[-1] - pictures[0])
    return slope, peaks[0] - pictures[0] * slope


def with_line(line):
    """The answer that goes by another straight line: line(pictures, peaks) -> b, a."""

    def answer(pictures, peaks, weights, card):
        b, a = line(pictures, peaks)
        return max(0, math.floor((card - weights - a) / b))

    return answer


FITS = Exercise(
    "14.9",
    "What fits on a card",
    points=2,
    difficulty=2,
    importance=4,
    minutes=10,
    further=True,
    equation="(14.7)",
    name="fits",
    reference=fits,
    inputs=a_budget,
    draws=40,
    right=[fits_by_ends, fits_by_trying],
    wrong=[
        Wrong(
            with_line(lambda pictures, peaks: (peaks[-1] / pictures[-1], 0.0)),
            "You took memory as proportional to the pictures: some is there whatever their number.",
        ),
        Wrong(
            with_line(lambda pictures, peaks: (peaks[0] / pictures[0], 0.0)),
            "You took every picture to cost as much as one in the first row: part of that is paid once.",
        ),
        Wrong(
            lambda pictures, peaks, weights, card: fits_by_ends(pictures, peaks, 0.0, card),
            "The weights take room as well: subtract them from the card.",
        ),
        Wrong(
            with_line(lambda pictures, peaks: (line_of(pictures, peaks)[0], 0.0)),
            "The part that is there whatever the number is missing: only the slope is in your answer.",
        ),
        Wrong(
            with_line(lambda pictures, peaks: (line_of(pictures, peaks)[0], peaks[0])),
            "You took the first peak for a: the pictures of that row are in it.",
        ),
        Wrong(
            with_line(lambda pictures, peaks: (line_of(pictures, peaks)[0], peaks[0] - line_of(pictures, peaks)[0])),
            "You took the first row for one picture: it is for pictures[0] of them.",
        ),
        Wrong(
            with_line(lambda pictures, peaks: (peaks[-1] - peaks[0], peaks[0] - pictures[0] * (peaks[-1] - peaks[0]))),
            "Your slope is the difference of two peaks: divide it by how many pictures lie between them.",
        ),
        Wrong(
            lambda *given: max(0, math.ceil(room(*given))),
            "You rounded up: the last picture does not fit.",
        ),
        Wrong(
            lambda *given: max(0, round(room(*given))),
            "You rounded to the nearest number: seven tenths of a picture's room are no room for it.",
        ),
        Wrong(
            lambda *given: math.floor(room(*given)),
            "Your number can be negative: where not one picture fits, it is 0.",
        ),
        Wrong(
            lambda *given: int(room(*given)),
            "Your number is negative for a card on which not even a + weights fits: it is 0 there.",
        ),
        Wrong(
            lambda *given: max(1, fits(*given)),
            "You let one picture through where none fits: the answer is 0 then.",
        ),
        Wrong(
            lambda pictures, peaks, weights, card: max(
                (n for n, p in zip(pictures, peaks) if weights + p <= card), default=0
            ),
            "You named a number from the table: the line says what lies between its rows and beyond.",
        ),
    ],
)


# 14.8 a front that knows its errors
def certain(points, errors):
    """Which rows nobody beats in both numbers by more than two errors of the difference (14.6)."""
    by = points[:, None] - points  # [i, j]: how far i is ahead of j
    sure = by > 2 * (errors[:, None].square() + errors.square()).sqrt()
    return ~sure.all(-1).any(0)


def certain_by_loop(points, errors):
    rows = list(zip(points.tolist(), errors.tolist()))

    def beats(one, other):
        return all(a - b > 2 * math.hypot(e, f) for a, b, e, f in zip(one[0], other[0], one[1], other[1]))

    return torch.tensor([not any(beats(other, own) for other in rows) for own in rows])


def certain_by_ratio(points, errors):
    z = (points.unsqueeze(1) - points) / (errors.unsqueeze(1) ** 2 + errors**2).sqrt()
    return (z.amin(-1) <= 2).all(0)


def undominated(points, errors, sure=None, both=True):
    by = points[:, None] - points
    ahead = by > (0 if sure is None else sure)
    return ~(ahead.all(-1) if both else ahead.any(-1)).any(0)


def spread_points(g):
    """Points in a cloud whose size is a few errors, each with errors of its own, and two groups far from it in which
    nobody beats the others: in one a row off the front of the means beats another, in one a lead is two errors, once
    exactly, once nearly and once hardly more.

    One time in eight a row is alone.
    """
    if whole(g, 0, 7) == 0:
        return normal(g, 1, 2), 0.25 + torch.rand(1, 2, generator=g, dtype=torch.float64)
    n = whole(g, 6, 14)
    points, errors = normal(g, n, 2), 0.25 * (0.4 + torch.rand(n, 2, generator=g, dtype=torch.float64))
    up = torch.tensor([[0, 0], [3, 3], [3.1, 3.1]]).double() + torch.tensor([-11, 9.0]).double() + real(g, -1, 1)
    sizes = torch.tensor([[0.5, 0.5], [0.5, 0.5], [5, 5]]).double()
    tied = [[0, 0], [1.25, 3], [10, -10], [11.23, -7], [20, -20], [21.27, -17]]
    tied = torch.tensor(tied, dtype=torch.float64) + 8 + whole(g, 0, 3)
    tied[:, 1] -= 24
    five = torch.tensor([[0.375, 0.375], [0.5, 0.5]]).double().repeat(3, 1)  # the errors of these differences are .625
    points, errors = torch.cat([points, up, tied]), torch.cat([errors, sizes, five])
    if whole(g, 0, 1):
        points, errors = points.flip(1), errors.flip(1)
    order = torch.randperm(len(points), generator=g)
    return points[order], errors[order]


def front_decides(points, errors):
    """Which rows no row on the front of the means beats."""
    front = undominated(points, errors)
    sure = 2 * (errors[:, None] ** 2 + errors**2).sqrt()
    return ~((points[:, None] - points > sure).all(-1) & front[:, None]).any(0)


CERTAIN = Exercise(
    "14.8",
    "Who is beaten for certain?",
    points=2,
    difficulty=3,
    importance=4,
    minutes=12,
    equation="(14.6)",
    name="certain",
    reference=certain,
    inputs=spread_points,
    draws=10,
    right=[certain_by_loop, certain_by_ratio],
    wrong=[
        Wrong(
            lambda points, errors: undominated(points, errors),
            "Your front takes every difference at its word: one within its errors beats nobody.",
        ),
        Wrong(
            lambda points, errors: undominated(points, errors, 2 * (errors[:, None] + errors)),
            "You added the errors: the error of a difference is the root of the sum of their squares.",
        ),
        Wrong(
            lambda points, errors: undominated(points, errors, 2 * errors[:, None]),
            "You used the winner's error alone: the loser's is in the difference as well.",
        ),
        Wrong(
            lambda points, errors: undominated(points, errors, (errors[:, None] ** 2 + errors**2).sqrt()),
            "One error is not enough: (14.6) asks for two.",
        ),
        Wrong(
            lambda points, errors: undominated(points, errors, 1.96 * (errors[:, None] ** 2 + errors**2).sqrt()),
            "You ask for 1.96 errors, the normal distribution's 95 %: (14.6) asks for two.",
        ),
        Wrong(
            lambda points, errors: (
                (points[:, None] - points >= 2 * (errors[:, None] ** 2 + errors**2).sqrt()).all(-1).logical_not().all(0)
            ),
            "A lead of exactly two errors is enough in your answer: (14.6) asks for more.",
        ),
        Wrong(
            front_decides,
            "You let only rows on the front of the means beat others: any row may, and one with small errors does.",
        ),
        Wrong(
            lambda points, errors: undominated(points, errors, 2 * (errors[:, None] ** 2 + errors**2).sqrt(), False),
            "Being ahead in one number is enough in your answer: whoever beats must be ahead in both.",
        ),
        Wrong(
            lambda points, errors: certain(-points, errors),
            "You marked those who beat nobody: a row stays if nobody beats it.",
        ),
        Wrong(lambda points, errors: ~certain(points, errors), "You marked the beaten rows: the others are asked for."),
    ],
)


# 14.10 words
DESIGN = Exercise(
    "14.10",
    "Your afternoon on a card",
    points=4,
    difficulty=3,
    importance=4,
    minutes=20,
    further=True,
    rubric="1 point: names one question that a run can answer, and the sets it needs, minimum, maximum and a second "
    "maximum among them. 1 point: gives pictures, levels and passes, and from them hours by the cost cards of this "
    "chapter, said to be computed. 1 point: names a baseline at the same number of passes (a lower weight, selection) "
    "and a control that must fail. 1 point: says how many independent repeats there are and what would count as shown, "
    "before the run.",
)

# 14.11 words
NAMES = Exercise(
    "14.11",
    "Whose name is in the prompt?",
    points=4,
    difficulty=3,
    importance=5,
    minutes=20,
    rubric="1 point: separates what the thesis' prompts do with the names of dead artists, of living ones, and of the "
    "living person whom one prompt asks to show. 1 point: names a duty of the model's licence, or a use that it "
    "excludes, that touches these prompts. 1 point: says what the safety checker does and that it does not decide any "
    "of this. 1 point: replaces the maximum set by one that needs no living person's name and says what the comparison "
    "with the published table loses by it.",
)

EXERCISES = [LEVELS, HEARD, STEP, THIRDS, SHARE, CLOSED, AFFORDABLE, CERTAIN, FITS, DESIGN, NAMES]

QUIZ = [
    Question(
        "Two features, both at alpha = 1000. Which of them pushes harder?",
        [
            ("Neither: the strength is the same", False, "alpha is a factor; what it multiplies differs by the map."),
            ("That cannot be known from alpha", True, "Only the share of the score says how long a push is."),
            ("The one with more numbers", False, "A map with more numbers usually pushes less, but not by a rule."),
        ],
    ),
    Question(
        "The minimum set's prompt names all fifty artists. Why may that be a poor minimum?",
        [
            ("The encoder reads its first 77 tokens only", True, "Most of the names are never read."),
            ("Fifty names make the pictures too varied", False, "Each picture sees the same text."),
            ("The prompt is longer, so the run costs more", False, "The encoder always runs on 77 tokens."),
        ],
    ),
    Question(
        "A set closes -.4 of the gap. What do you know?",
        [
            ("Its pictures are less varied than the minimum's", False, "Noise and a shifted mean add distance too."),
            ("It lies farther from the maximum set than the minimum does", True, "And nothing else."),
            ("Repulsion attracts", False, "The sign of a distance says nothing about a force."),
        ],
    ),
    Question(
        "Selection keeps 12 of 24 candidates, with guidance, and has 40 passes for each kept picture. How many levels?",
        [
            ((10, 10), True, "24 candidates times 2 passes times 10 levels are 480 = 12 times 40."),
            (20, False, "That is what a run without thrown-away candidates has."),
        ],
        otherwise="Candidates times passes times levels must not exceed kept times 40.",
    ),
    Question(
        "A cost card says: 43 minutes, computed. What is missing before it may say measured?",
        [
            ("A larger number of pictures", False, "The number is not the question."),
            ("A run on that card, with its date", True, "What nobody has run, nobody has measured."),
            ("The price of the card", False, "Minutes and money are two things."),
        ],
    ),
]
