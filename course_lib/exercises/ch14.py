"""Chapter 14, repulsion on Stable Diffusion 2: reference answers, inputs, anticipated wrong answers, and the quiz."""

import math

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
    inputs=lambda g: (whole(g, 4, 9), real(g, 5e-4, 1e-3), real(g, 0.01, 0.014), whole(g, 101, 300)),
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
    ],
    tolerance=1e-7,
)


# 14.2 what the text encoder hears of a long prompt
WORDS = "a cave opening in the deep green forest with one old boat and very still water under quiet hills"
FIRST, LAST = ("Ada", "Bo", "Cleo", "Dag", "Eve", "Fay", "Gil"), ("Ash", "Birch", "Cedar", "Elm", "Fir", "Hazel")


def heard(opening, artists, count, limit):
    """The largest number of names with which the text fits."""
    fits = [k for k in range(len(artists) + 1) if count(joined(opening, artists[:k])) <= limit]
    return max(fits)


def joined(opening, artists):
    return " ".join([opening, ", ".join(artists)]).strip()


def call_heard(fn, opening, artists, limit):
    """Every word and every comma is a token, and so are a mark at the start and one at the end."""

    def count(text):
        return 2 + len(text.replace(",", " ,").split())

    return fn(opening, list(artists), count, limit)


def long_prompt(g):
    """An opening and names of one or two words: some fill the encoder to its last token or leave one free, or all fit.

    The first name that does not fit takes two tokens, with its comma.
    """
    every = WORDS.split()
    words = [every[i] for i in torch.randperm(len(every), generator=g)[: whole(g, 2, 9)]]
    k, names = whole(g, 4, 8), []
    for i in range(k + whole(g, 3, 6)):
        first, last = FIRST[whole(g, 0, len(FIRST) - 1)], LAST[whole(g, 0, len(LAST) - 1)]
        names.append(last if i == k or (i != 1 and whole(g, 0, 2) == 0) else f"{first} {last}")
    opening = " ".join(words) + ", by"
    kind = whole(g, 0, 2)
    text = joined(opening, names if kind == 2 else names[:k])
    return opening, names, 2 + len(text.replace(",", " ,").split()) + (kind > 0)


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
    right=[heard_one_by_one, heard_by_halving],
    wrong=[
        Wrong(
            lambda opening, artists, count, limit: len(artists),
            "You counted the names that are written: the encoder reads the first `limit` tokens and drops the rest.",
        ),
        Wrong(
            lambda opening, artists, count, limit: heard(opening, artists, count, limit - 1),
            "You asked for fewer than `limit` tokens: a text of exactly that many is still read to its end.",
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
            lambda opening, artists, count, limit: max(
                k for k in range(len(artists) + 1) if count(opening + ", ".join(artists[:k])) <= limit
            ),
            "There is a space between the opening and the first name: without it two words become one.",
        ),
    ],
    draws=20,
    may_pass={"count kept": "It counts the tokens of any text in the same way on every draw."},
)


# 14.4 the rule of thirds where a map does not divide
def thirds(z):
    """The library's own function."""
    return features.rule_of_thirds(z)


def by_bands(z, back=True, order=(0, 1), sign=1.0, outer=False, split=False):
    """Both differences of rows, then of columns, with the usual mistakes as options."""
    parts = []
    for axis in order:
        line = z.mean(3 - axis)  # (N, C, length)
        L = line.shape[2]
        t = L // 3
        start = L - 2 * t if back else t
        bands = [
            line[..., :t],
            line[..., t : 2 * t],
            line[..., start : start + t],
            line[..., start + t : start + 2 * t],
        ]
        if split:
            bands = [*line.tensor_split(3, 2)[:2], *line.tensor_split(3, 2)[1:]]
        a, b, c, d = (band.mean(2) for band in bands)
        parts += [sign * (a - b), sign * ((a - d) if outer else (c - d))]
    return torch.cat(parts, 1)


def by_flipping(z):
    def front(line):
        t = line.shape[2] // 3
        return line[..., :t].mean(2) - line[..., t : 2 * t].mean(2)

    lines = z.mean(3), z.mean(2)
    return torch.cat([part for line in lines for part in (front(line), -front(line.flip(2)))], 1)


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
    inputs=lambda g: (normal(g, whole(g, 2, 4), 2, 3 * whole(g, 2, 4) + 1, 3 * whole(g, 2, 4) + 2),),
    right=[by_bands, by_flipping],
    wrong=[
        Wrong(
            lambda z: by_bands(z, back=False),
            "Your last two bands are counted from the front: they are counted from the far edge, 22:43 and 43:64.",
        ),
        Wrong(
            lambda z: by_bands(z, split=True),
            "Your bands are not equally thick: each has L // 3 rows, and one or two in the middle are used otherwise.",
        ),
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
    tolerance=1e-7,
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
    inputs=lambda g: (
        *(normal(g, whole(g, 2, 4), 2, 3, 3) for _ in range(1)),
        *normal(g, 2, 1, 2, 3, 3).unbind(),
        real(g, 20.0, 60.0),
        real(g, 3.0, 5.0),
        real(g, 1.0, 2.5),
    ),
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
    inputs=lambda g: (
        *(normal(g, 5, 2, 3, 3) * torch.linspace(0.5, 3, 5).double().reshape(-1, 1, 1, 1) for _ in range(2)),
        real(g, 2.0, 4.0),
        normal(g, 5, 2, 3, 3) * torch.linspace(2, 0.3, 5).double().reshape(-1, 1, 1, 1),
    ),
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
    inputs=lambda g: (40 + normal(g, 9), 30 + normal(g, 9), 12 + normal(g, 9)),
    right=[closed_by_loop, closed_by_variance],
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
            lambda m, o, f: (closed(m, o, f)[0], ((m - o) / (m - f)).std() * (len(o) - 2) / (len(o) - 1) ** 0.5),
            "The whole set is among your repeats: only entries 1 to G have a group left out.",
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
    costs = [candidates / kept * passes * (n + (n // 2 if corrected else 0)) for n in range(budget + 1)]
    return max(n for n, cost in enumerate(costs) if cost <= budget + 1e-9)


def affordable_by_formula(budget, candidates, kept, passes, corrected):
    calls = budget * kept // (candidates * passes)  # of the denoiser
    return calls if not corrected else 2 * (calls // 3) + (calls % 3 > 0)


def call_affordable(fn, budget, methods):
    return torch.tensor([float(fn(budget, *one)) for one in methods])


def some_methods(g):
    """A budget, and six methods: (candidates, kept, passes, corrected), with and without each complication."""
    kept = [whole(g, 4, 12) for _ in range(6)]
    more = [1, 1, 2, 3, 2, 1]
    rows = [(n * m, n, 1 + (i != 1), int(i in (3, 4, 5))) for i, (n, m) in enumerate(zip(kept, more))]
    return 2 * whole(g, 15, 40) + 1, [rows[i] for i in torch.randperm(6, generator=g).tolist()]


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
    """The most pictures at once, from a straight line through computed peaks (14.7)."""
    n = torch.tensor(pictures, dtype=torch.float64)
    p = torch.tensor(peaks, dtype=torch.float64)
    slope = ((n - n.mean()) * (p - p.mean())).sum() / (n - n.mean()).square().sum()
    return math.floor((card - weights - (p.mean() - slope * n.mean())) / slope)


def fits_by_ends(pictures, peaks, weights, card):
    slope = (peaks[-1] - peaks[0]) / (pictures[-1] - pictures[0])
    return pictures[0] + math.floor((card - weights - peaks[0]) / slope)


def fits_by_trying(pictures, peaks, weights, card):
    slope = (peaks[1] - peaks[0]) / (pictures[1] - pictures[0])
    n = 0
    while weights + peaks[0] + (n + 1 - pictures[0]) * slope <= card:
        n += 1
    return n


def call_fits(fn, pictures, peaks, weights, cards):
    return torch.tensor([float(fn(list(pictures), list(peaks), weights, card)) for card in cards])


def a_budget(g):
    """Peaks on a straight line, and cards on which 7 tenths of one more picture would fit."""
    slope, weights = real(g, 0.8, 1.6), real(g, 2.0, 4.0)
    base = slope * real(g, 1.5, 2.1)
    pictures = [1, whole(g, 3, 6), whole(g, 12, 20)]
    counts = [whole(g, 2, 3), whole(g, 6, 9), whole(g, 25, 45)]
    return pictures, [base + n * slope for n in pictures], weights, [weights + base + (n + 0.7) * slope for n in counts]


def line_of(pictures, peaks):
    slope = (peaks[-1] - peaks[0]) / (pictures[-1] - pictures[0])
    return slope, peaks[0] - pictures[0] * slope


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
    call=call_fits,
    right=[fits_by_ends, fits_by_trying],
    wrong=[
        Wrong(
            lambda pictures, peaks, weights, card: math.floor((card - weights) / (peaks[-1] / pictures[-1])),
            "You took memory as proportional to the pictures: some is there whatever their number.",
        ),
        Wrong(
            lambda pictures, peaks, weights, card: math.floor((card - weights) / (peaks[0] / pictures[0])),
            "You took every picture to cost as much as the first: part of that is paid once.",
        ),
        Wrong(
            lambda pictures, peaks, weights, card: fits_by_ends(pictures, peaks, 0.0, card),
            "The weights take room as well: subtract them from the card.",
        ),
        Wrong(
            lambda pictures, peaks, weights, card: math.floor((card - weights) / line_of(pictures, peaks)[0]),
            "The part that is there whatever the number is missing: only the slope is in your answer.",
        ),
        Wrong(
            lambda pictures, peaks, weights, card: fits_by_ends(pictures, peaks, weights, card) + 1,
            "You rounded up: the last picture does not fit.",
        ),
        Wrong(
            lambda pictures, peaks, weights, card: max(n for n, p in zip(pictures, peaks) if n == 1 or p <= card),
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
    """Points in a cloud whose size is a few errors, each with errors of its own."""
    return normal(g, 14, 2), 0.25 * (0.4 + torch.rand(14, 2, generator=g, dtype=torch.float64))


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
        "A cost card says: 44 minutes, computed. What is missing before it may say measured?",
        [
            ("A larger number of pictures", False, "The number is not the question."),
            ("A run on that card, with its date", True, "What nobody has run, nobody has measured."),
            ("The price of the card", False, "Minutes and money are two things."),
        ],
    ),
]
