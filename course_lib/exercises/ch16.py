"""Chapter 16, invent a method: reference answers, inputs, anticipated wrong answers, and the quiz."""

import torch

from course_lib.challenge import pseudovalues, volume
from course_lib.denoisers import GaussianMixture, cfg, ring
from course_lib.exercises.declare import Exercise, Question, Wrong, any_order
from course_lib.exercises.draws import normal, real, whole
from course_lib.samplers import geometric, sample
from course_lib.seeds import select_from_many


# 16.1 a denoiser that pays for each row
def counted(D, purse):
    """Pay for the rows, then compute."""

    def paid(x, sigma):
        if len(x) > purse[0]:
            raise RuntimeError("The budget is spent.")
        purse[0] -= len(x)
        return D(x, sigma)

    return paid


def counted_by_rest(D, purse):
    def paid(x, sigma):
        rest = purse[0] - x.shape[0]
        if rest < 0:
            raise RuntimeError
        purse[0] = rest
        return D(x, sigma)

    return paid


def counted_by_check_after(D, purse):
    def paid(x, sigma):
        rest = purse[0] - len(x)
        assert rest >= 0, "spent"
        value = D(x, sigma)
        purse[0] = rest
        return value

    return paid


def rows_of(x):
    return len(x)


def paying(price, allowed=lambda n, rest: n <= rest, refused=None):
    """counted with another price of a batch, another condition, or another thing done where it does not hold."""

    def counted(D, purse):
        def paid(x, sigma):
            if not allowed(price(x), purse[0]):
                if refused:
                    return refused(x)
                raise RuntimeError
            purse[0] -= price(x)
            return D(x, sigma)

        return paid

    return counted


def computed_first(D, purse):
    def paid(x, sigma):
        x0 = D(x, sigma)
        if len(x) > purse[0]:
            raise RuntimeError
        purse[0] -= len(x)
        return x0

    return paid


def call_counted(fn, batches, start, scale):
    """What two denoisers that share a purse return, leave in it, and have computed; -1 where a batch is refused."""
    purse, computed = [start], [0]

    def D(x, sigma):
        computed[0] += len(x)
        return scale * x / (1 + sigma)

    pair, found = (fn(D, purse), fn(lambda x, sigma: D(x, sigma) + 1, purse)), []
    for i, x in enumerate(batches):
        before = purse[0]
        try:
            value = pair[i % 2](x, torch.tensor(0.5 + i)).flatten()
            found += [(value * torch.arange(1, len(value) + 1)).sum(), before - purse[0]]
        except Exception:
            found += [-1.0, before - purse[0]]
    return torch.tensor([float(one) for one in [*found, purse[0], computed[0]]], dtype=torch.float64)


def batches(g):
    """Batches that leave something, one that is refused, one that takes all the rest, one row too many."""
    sizes = [whole(g, 2, 5), whole(g, 2, 5), 40, 4, whole(g, 3, 6)]
    start = sizes[0] + sizes[1] + sizes[3] + 2
    return [normal(g, n, 2) for n in [*sizes, 2, 1]], start, real(g, 1.5, 3.0)


COUNTED = Exercise(
    "16.1",
    "Every row costs",
    points=2,
    difficulty=2,
    importance=5,
    minutes=10,
    equation="(16.1)",
    name="counted",
    reference=counted,
    inputs=batches,
    call=call_counted,
    beside=True,  # a list that the learner's function changes does not come back across the wall
    right=[counted_by_rest, counted_by_check_after],
    wrong=[
        Wrong(paying(lambda x: 1), "You count a batch as one call: each of its rows is a pass of the network."),
        Wrong(
            paying(rows_of, lambda n, rest: n < rest),
            "The last calls of the budget cannot be spent: a batch that takes all that is left is still paid for.",
        ),
        Wrong(
            paying(rows_of, lambda n, rest: rest > 0),
            "A batch larger than what is left went through: compare its rows with what is left before you compute.",
        ),
        Wrong(computed_first, "You compute before you look: a batch that is refused has cost the network's time."),
        Wrong(
            paying(rows_of, refused=lambda x: x),
            "Where the budget is spent you return something and say nothing: raise an error.",
        ),
        Wrong(paying(lambda x: x.numel()), "You count numbers, not rows: a row is one picture, however many numbers."),
    ],
)


# 16.2 which pictures count
def good(first, second, nearest, distance, due, far):
    """Two readers agree, the nearest rendering has that style, it is near, and what is named is right."""
    agree = (first == second).all(1)
    named = ((first == due) | (due < 0)).all(1)
    return agree & named & (nearest == first[:, 2]) & (distance <= far)


def good_by_loop(first, second, nearest, distance, due, far):
    found = []
    for a, b, style, d in zip(first.tolist(), second.tolist(), nearest.tolist(), distance.tolist()):
        right = all(want in (-1, got) for want, got in zip(due.tolist(), a))
        found.append(a == b and right and style == a[2] and d <= far)
    return torch.tensor(found)


def good_by_where(first, second, nearest, distance, due, far):
    wanted = torch.where(due < 0, first, due)
    both = (first == wanted) & (second == wanted)
    return both.all(1) & (nearest == second[:, 2]) & ~(distance > far)


def readings(g):
    """Twenty-four pictures, each right but for at most one thing, every thing wrong in some; one factor is open."""
    kinds, hidden = (6, 6, 4), whole(g, 0, 2)
    due = torch.tensor([whole(g, 0, n - 1) for n in kinds])
    first = due.expand(24, 3).clone()
    first[:, hidden] = torch.randint(0, kinds[hidden], (24,), generator=g)
    second, named = first.clone(), [column for column in range(3) if column != hidden]
    distance = 0.05 + 0.1 * torch.rand(24, generator=g, dtype=torch.float64)
    distance[8:11] = 0.3 + 0.2 * torch.rand(3, generator=g, dtype=torch.float64)
    for column, n in enumerate(kinds):
        second[3 + column, column] = (second[3 + column, column] + 1) % n
    for i, column in enumerate(named):
        rows = slice(11 + 2 * i, 13 + 2 * i)
        first[rows, column] = second[rows, column] = (due[column] + 1) % kinds[column]
        first[16, column] = second[16, column] = (due[column] + 1) % kinds[column]
    first[15, named[0]] = (first[15, named[0]] + 2) % kinds[named[0]]  # the second reader alone is right
    nearest = first[:, 2].clone()
    nearest[6:8] = (nearest[6:8] + 1) % 4
    due[hidden], order = -1, torch.randperm(24, generator=g)
    return first[order], second[order], nearest[order], distance[order], due, 0.25


GOOD = Exercise(
    "16.2",
    "Which pictures count",
    points=2,
    difficulty=2,
    importance=5,
    minutes=12,
    equation="(16.2)",
    name="good",
    reference=good,
    inputs=readings,
    right=[good_by_loop, good_by_where],
    wrong=[
        Wrong(
            lambda a, b, n, d, due, far: ((a == due) | (due < 0)).all(1) & (n == a[:, 2]) & (d <= far),
            "The second reader changes nothing in your answer: what only one network sees may be drawn for it.",
        ),
        Wrong(
            lambda a, b, n, d, due, far: good(a, torch.cat([a[:, :2], b[:, 2:]], 1), n, d, due, far),
            "Compare the two networks in all three factors, not in style alone, also where the prompt leaves one open.",
        ),
        Wrong(
            lambda a, b, n, d, due, far: (a == b).all(1) & ((a == due) | (due < 0)).all(1) & (d <= far),
            "The nearest rendering's style changes nothing in your answer: it is the reader that no noise deceives.",
        ),
        Wrong(
            lambda a, b, n, d, due, far: good(a, b, n, torch.zeros_like(d), due, far),
            "The distance changes nothing in your answer: a picture far from all renderings is none.",
        ),
        Wrong(
            lambda a, b, n, d, due, far: (a == b).all(1) & (n == a[:, 2]) & (d <= far),
            "You have not asked what the prompt names: a good picture of something else does not count.",
        ),
        Wrong(
            lambda a, b, n, d, due, far: (a == b).all(1) & (a == due).all(1) & (n == a[:, 2]) & (d <= far),
            "A factor that the prompt leaves open, -1, may have any value.",
        ),
        Wrong(
            lambda a, b, n, d, due, far: (
                (a == b).all(1) & ((a == due) & (due >= 0)).any(1) & (n == a[:, 2]) & (d <= far)
            ),
            "One right factor is not enough: all that the prompt names must be right.",
        ),
        Wrong(lambda a, b, n, d, due, far: ~good(a, b, n, d, due, far), "You marked the pictures that do not count."),
    ],
)


# 16.3 spread
def spread(kinds, good, counts):
    """Mean over the open factors of kinds shown among good pictures, as a share of what N pictures could show."""
    N = len(good)
    shares = [len(kinds[good, f].unique()) / min(N, counts[f]) for f in range(len(counts)) if counts[f]]
    return sum(shares) / len(shares)


def spread_by_sets(kinds, good, counts):
    shown = [{row[f] for row, ok in zip(kinds.tolist(), good.tolist()) if ok} for f in range(len(counts))]
    pairs = [(len(seen), min(len(kinds), most)) for seen, most in zip(shown, counts) if most > 0]
    return torch.tensor([a / b for a, b in pairs], dtype=torch.float64).mean()


def spread_in_float32(kinds, good, counts):
    shares = [len(kinds[good, f].unique()) / min(len(good), most) for f, most in enumerate(counts) if most]
    return torch.tensor(shares, dtype=torch.float32).mean()


def spread_by_table(kinds, good, counts):
    total, number = 0.0, 0
    for f, most in enumerate(counts):
        if most:
            table = torch.zeros(100, dtype=torch.bool)
            table[kinds[good][:, f]] = True
            total, number = total + float(table.sum()) / min(len(kinds), most), number + 1
    return total / number


def spread_with(ceiling, of=lambda good: good, over=lambda shares, counts: sum(shares) / len(shares)):
    """spread with another ceiling (N, count, good), other pictures, or another way to sum up."""

    def spread(kinds, good, counts):
        chosen = of(good)
        shares = [
            len(kinds[chosen, f].unique()) / ceiling(len(good), counts[f], good)
            for f in range(len(counts))
            if counts[f]
        ]
        return over(shares, counts)

    return spread


def with_named(kinds, good, counts):
    shares = [len(kinds[good, f].unique()) / min(len(good), counts[f] or 6) for f in range(len(counts))]
    return sum(shares) / len(shares)


def a_group(g):
    """Eight pictures, five or six good, bad ones with kinds of their own; shape and one other factor are named."""
    counts = [0, 0, 4, 9] if whole(g, 0, 1) else [0, 6, 0, 9]
    kinds = torch.stack([torch.randint(0, most or 1, (8,), generator=g) for most in counts], 1)
    good = torch.ones(8, dtype=torch.bool)
    good[[0, 3, 6][: whole(g, 2, 3)]] = False
    kinds[good, 3] = kinds[good, 3] % 5
    kinds[~good, 3] = torch.tensor([6, 7, 8])[: int((~good).sum())]
    return kinds, good, counts


SPREAD = Exercise(
    "16.3",
    "Spread of the good ones",
    points=2,
    difficulty=3,
    importance=5,
    minutes=12,
    equation="(16.3)",
    name="spread",
    reference=spread,
    inputs=a_group,
    right=[spread_by_sets, spread_by_table, spread_in_float32],
    tolerance=1e-6,  # a mean of shares may be one in float32
    wrong=[
        Wrong(
            spread_with(lambda N, most, good: min(N, most), of=lambda good: torch.ones_like(good)),
            "Bad pictures are in your count: noise would be worth the most.",
        ),
        Wrong(
            spread_with(lambda N, most, good: most),
            "Eight pictures cannot be in nine places: divide by the smaller of N and the number of kinds.",
        ),
        Wrong(
            spread_with(lambda N, most, good: min(int(good.sum()), most)),
            "You divide by what the good pictures could show: two good ones of eight would then be full marks.",
        ),
        Wrong(spread_with(lambda N, most, good: N), "You divide by N where there are fewer kinds than pictures."),
        Wrong(with_named, "A named factor is in your mean: a count of 0 says that nothing is open there."),
        Wrong(
            spread_with(lambda N, most, good: min(N, most), over=lambda shares, counts: sum(shares)),
            "That is the sum over the open factors: their mean is due, so that prompts can be compared.",
        ),
    ],
)


# 16.6 the volume of a frontier
def area(points):
    """The library's volume."""
    return volume(points)


def volume_by_grid(points):
    """Every cell of the grid that the points' own numbers make, summed."""
    xs, ys = ([0.0, *sorted(set(column))] for column in zip(*points.tolist()))
    return sum(
        (b - a) * (d - c)
        for a, b in zip(xs, xs[1:])
        for c, d in zip(ys, ys[1:])
        if any(x >= b and y >= d for x, y in points.tolist())
    )


def volume_by_heights(points):
    """For each stretch of the first number, the height of the best point that reaches as far."""
    edges = torch.cat([torch.zeros(1, dtype=points.dtype), points[:, 0].sort().values])
    height = torch.stack([points[points[:, 0] >= x, 1].max() for x in edges[1:]])
    return ((edges[1:] - edges[:-1]) * height).sum()


def three_points(g):
    """Stairs of three, one point below them, in any order."""
    x = torch.tensor([0.3, 0.55, 0.8]) + 0.1 * torch.rand(3, generator=g)
    y = torch.tensor([0.9, 0.7, 0.4]) + 0.08 * torch.rand(3, generator=g)
    points = torch.stack([x, y], 1).double()
    below = points[1] * torch.tensor([0.9, 0.8], dtype=torch.float64)
    return (torch.cat([points, below[None]])[torch.randperm(4, generator=g)],)


VOLUME = Exercise(
    "16.6",
    "The volume under the stairs",
    points=2,
    difficulty=3,
    importance=5,
    minutes=15,
    equation="(16.6)",
    name="volume",
    reference=area,
    inputs=three_points,
    right=[volume_by_grid, volume_by_heights],
    wrong=[
        Wrong(
            lambda points: points.prod(1).sum(),
            "You added the rectangles: where they overlap, the area counts once.",
        ),
        Wrong(lambda points: points.prod(1).max(), "That is the best single point: the others add their corners."),
        Wrong(
            lambda points: points[:, 0].max() * points[:, 1].max(),
            "You took the best of each number together: no setting has both.",
        ),
        Wrong(
            lambda points: torch.trapezoid(points[points[:, 0].argsort()][:, 1], points[points[:, 0].argsort()][:, 0]),
            "Lines between the points are not reached by any setting: the area has stairs, and begins at 0.",
        ),
        Wrong(lambda points: points.prod(1).mean(), "That is a mean of rectangles, which a bad setting makes smaller."),
    ],
    home="course_lib.challenge:volume",
    may_pass=any_order("points"),
)


# 16.7 repeats of the volume, one for each group
def repeats(groups):
    """The library's pseudovalues of the volume."""
    return pseudovalues(groups, volume)


def repeats_by_loop(groups):
    G, found = len(groups), []
    for g in range(G):
        rest = torch.cat([groups[:g], groups[g + 1 :]])
        found.append(G * float(volume(groups.mean(0))) - (G - 1) * float(volume(rest.mean(0))))
    return torch.tensor(found, dtype=torch.float64)


def repeats_by_sums(groups):
    G = len(groups)
    full = volume(groups.mean(0))
    without = [volume((groups.sum(0) - one) / (G - 1)) for one in groups]
    return full + (G - 1) * (full - torch.tensor(without, dtype=torch.float64))


def some_groups(g):
    """Nine groups of three settings around stairs."""
    centre = torch.tensor([[0.4, 0.8], [0.6, 0.65], [0.7, 0.4]], dtype=torch.float64)
    return (centre + 0.2 * torch.rand(9, 3, 2, generator=g, dtype=torch.float64) - 0.1,)


def leave_one_out(groups):
    return torch.stack([torch.cat([groups[:g], groups[g + 1 :]]).mean(0) for g in range(len(groups))])


REPEATS = Exercise(
    "16.7",
    "One repeat a prompt",
    points=3,
    difficulty=4,
    importance=4,
    minutes=15,
    equation="(16.7)",
    name="repeats",
    reference=repeats,
    inputs=some_groups,
    right=[repeats_by_loop, repeats_by_sums],
    wrong=[
        Wrong(
            lambda groups: torch.tensor([volume(one) for one in groups]),
            "You took the volume of each group: luck makes stairs, so that its mean is too large.",
        ),
        Wrong(
            lambda groups: torch.tensor([volume(one) for one in leave_one_out(groups)]),
            "Those are the volumes without a group, which differ G - 1 times too little to be repeats.",
        ),
        Wrong(
            lambda groups: torch.tensor(
                [
                    (len(groups) - 1) * volume(one) - (len(groups) - 2) * volume(groups.mean(0))
                    for one in leave_one_out(groups)
                ]
            ),
            "You have the two the wrong way round: a group that is missed when it is gone must count for more.",
        ),
        Wrong(
            lambda groups: torch.tensor([volume(groups.mean(0)) - volume(one) for one in leave_one_out(groups)]),
            "That is what a group changes: times G - 1, on top of the whole volume, it becomes a repeat.",
        ),
        Wrong(
            lambda groups: torch.tensor(
                [
                    (len(groups) + 1) * volume(groups.mean(0)) - len(groups) * volume(one)
                    for one in leave_one_out(groups)
                ]
            ),
            "Your factors are one too large: G and G - 1.",
        ),
    ],
    needs=("from course_lib.challenge import volume",),
    home="course_lib.challenge:pseudovalues",
)


# 16.4 a baseline as an entry
def independent(prompted, unprompted, x, levels, strength):
    """Guidance whose weight falls from 7.5 to 1.5, its logarithm evenly."""
    w = 7.5 ** (1 - strength) * 1.5**strength
    return sample(cfg(prompted, unprompted, w), x, levels)


def independent_by_hand(prompted, unprompted, x, levels, strength):
    w = 7.5 * (1.5 / 7.5) ** strength
    for a, b in zip(levels[:-1], levels[1:]):
        x0 = unprompted(x, a)
        x0 = x0 + w * (prompted(x, a) - x0)
        x = x0 + b / a * (x - x0)
    return x


def independent_by_logarithms(prompted, unprompted, x, levels, strength):
    w = torch.lerp(torch.tensor(7.5).log(), torch.tensor(1.5).log(), strength).exp().double()
    mixed = lambda x, sigma: (1 - w) * unprompted(x, sigma) + w * prompted(x, sigma)  # noqa: E731
    return sample(mixed, x, levels)


def weighing(weight):
    """independent with another weight."""

    def independent(prompted, unprompted, x, levels, strength):
        return sample(cfg(prompted, unprompted, weight(strength)), x, levels)

    return independent


def call_entry(fn, x, strength, radius):
    """An entry's samples, where the prompt means two of six modes."""
    everything = ring(6, radius=radius)
    some = GaussianMixture(everything.means[:2], 0.2)
    return fn(some, everything, x, geometric(8.0, 0.05, 6), strength)


INDEPENDENT = Exercise(
    "16.4",
    "Your first entry",
    points=1,
    difficulty=2,
    importance=5,
    minutes=8,
    equation="(16.4)",
    name="independent",
    reference=independent,
    inputs=lambda g: (8 * normal(g, 6, 2), real(g, 0.2, 0.8), real(g, 0.8, 1.5)),
    call=call_entry,
    right=[independent_by_hand, independent_by_logarithms],
    tolerance=1e-5,
    wrong=[
        Wrong(
            weighing(lambda s: 7.5 + (1.5 - 7.5) * s),
            "Your weight falls evenly itself: its logarithm should, so that the steps are alike in factors.",
        ),
        Wrong(
            weighing(lambda s: 7.5**s * 1.5 ** (1 - s)),
            "Your weight grows with the strength: bold is less guidance.",
        ),
        Wrong(weighing(lambda s: 7.5), "The strength changes nothing in your answer."),
        Wrong(
            lambda c, u, x, levels, s: sample(cfg(u, c, 7.5 ** (1 - s) * 1.5**s), x, levels),
            "You guide away from the prompt: the prompted denoiser comes first.",
        ),
        Wrong(lambda c, u, x, levels, s: sample(c, x, levels), "You sample the prompt without guidance."),
        Wrong(lambda c, u, x, levels, s: sample(u, x, levels), "Your entry ignores the prompt."),
    ],
    needs=("cfg", "sample"),
)


# 16.5 best of many at equal calls
def best_of_many(D, x, more, levels, feature):
    """Twice the candidates, every other level, and those that are farthest apart in a feature."""
    candidates = sample(D, torch.cat([x, more]), levels[::2])
    return candidates[select_from_many(feature(candidates), len(x))]


def best_by_two_runs(D, x, more, levels, feature):
    some = torch.tensor(range(0, len(levels), 2))
    both = torch.cat([sample(D, start, levels[some]) for start in (x, more)])
    return both[select_from_many(feature(both), x.shape[0])]


def best_by_hand(D, x, more, levels, feature):
    z = torch.cat([x, more])
    for a, b in zip(levels[:-2:2], levels[2::2]):
        x0 = D(z, a)
        z = x0 + b / a * (z - x0)
    phi, chosen = feature(z), [0]
    while len(chosen) < len(x):
        chosen.append(int(torch.cdist(phi, phi[chosen]).min(1).values.argmax()))
    return z[chosen]


def best_with(levels_of=lambda levels: levels[::2], choose=None, of=lambda x, more: torch.cat([x, more])):
    """best_of_many with other levels, another choice, or other candidates."""

    def best_of_many(D, x, more, levels, feature):
        candidates = sample(D, of(x, more), levels_of(levels))
        n = len(x)
        return candidates[choose(feature, candidates, n) if choose else select_from_many(feature(candidates), n)]

    return best_of_many


def call_many(fn, x, more, radius, a):
    """The chosen samples of a ring, and what they cost; the feature stretches the plane."""
    modes, calls = ring(7, radius=radius), [0]
    stretch = torch.tensor([[1.0, 0.0], [0.0, a]], dtype=torch.float64)

    def D(x, sigma):
        calls[0] += len(x)
        return modes(x, sigma)

    chosen = fn(D, x, more, geometric(8.0, 0.05, 8), lambda z: z.flatten(1) @ stretch)
    return {"chosen": chosen, "calls": float(calls[0])}


MANY = Exercise(
    "16.5",
    "Best of many at equal calls",
    points=2,
    difficulty=3,
    importance=4,
    minutes=12,
    equation="(16.5)",
    name="best_of_many",
    reference=best_of_many,
    inputs=lambda g: (8 * normal(g, 5, 2), 8 * normal(g, 5, 2), real(g, 0.9, 1.6), real(g, 2.0, 3.0)),
    call=call_many,
    right=[best_by_two_runs, best_by_hand],
    wrong=[
        Wrong(best_with(lambda levels: levels), "You made twice the calls: candidates that are dropped are paid for."),
        Wrong(
            best_with(lambda levels: levels[: len(levels) // 2 + 1]),
            "You took the first half of the levels, and stopped in the noise: take every other one, to the end.",
        ),
        Wrong(
            best_with(choose=lambda feature, z, n: select_from_many(z.flatten(1), n)),
            "The feature changes nothing in your answer.",
        ),
        Wrong(
            best_with(choose=lambda feature, z, n: torch.arange(n)),
            "You kept the first candidates: keep those that are farthest apart.",
        ),
        Wrong(best_with(of=lambda x, more: x), "You have no more candidates than pictures, so nothing is chosen."),
        Wrong(
            best_with(choose=lambda feature, z, n: torch.arange(len(z))),
            "You returned all candidates: as many as there are starts in x are due.",
        ),
    ],
    needs=("sample", "select_from_many"),
    may_pass=any_order("more"),
)


# 16.8 when one stands above another
def stands_above(gain, fit, quality, t):
    """A gain that is shown, and no loss that is."""

    def reach(values):
        return t * values.std() / len(values) ** 0.5

    kept = all(values.mean() + reach(values) >= 0 for values in (fit, quality))
    return float(gain.mean() - reach(gain) > 0 and kept)


def above_by_numbers(gain, fit, quality, t):
    G = len(gain)
    mean, error = (torch.stack([f(one) for one in (gain, fit, quality)]) for f in (torch.mean, torch.std))
    z = mean / (error / G**0.5)
    return bool(z[0] > t and z[1] >= -t and z[2] >= -t) * 1.0


def above_by_limits(gain, fit, quality, t):
    limits = [
        one.mean() + sign * t * one.std() / one.numel() ** 0.5 for one, sign in ((gain, -1), (fit, 1), (quality, 1))
    ]
    return 1.0 if limits[0] > 0 and min(limits[1:]) >= 0 else 0.0


def differences(g):
    """Paired differences in ten groups for nine entries, one after the other: what decides differs."""
    shifts = [
        (4, 0, 0),
        (2, 0, 0),
        (4, -4, 0),
        (4, 0, -4),
        (4, -2, -2),
        (-4, 1, 1),
        (2, -4, 0),
        (12, 0, 0),
        (4.5, 2, 2),
    ]

    def around(mean):
        x = normal(g, 10)
        x = (x - x.mean()) / x.std()
        return 0.1 * (x + (mean + real(g, -0.3, 0.3)) / 10**0.5)

    rows = [torch.stack([around(mean) for mean in shift]) for shift in shifts]
    rows = torch.stack(rows)[torch.randperm(9, generator=g)]
    return rows, 2.82


def call_above(fn, rows, t):
    """The verdicts on nine entries."""
    return torch.tensor([float(fn(*row, t)) for row in rows], dtype=torch.float64)


def judged_by(decide):
    """stands_above with another decision from the three t values and t."""

    def stands_above(gain, fit, quality, t):
        z = [float(one.mean() / one.std() * len(one) ** 0.5) for one in (gain, fit, quality)]
        return float(decide(*z, t))

    return stands_above


ABOVE = Exercise(
    "16.8",
    "When is it above?",
    points=2,
    difficulty=3,
    importance=5,
    minutes=12,
    equation="(16.8)",
    name="stands_above",
    reference=stands_above,
    inputs=differences,
    call=call_above,
    right=[above_by_numbers, above_by_limits],
    wrong=[
        Wrong(judged_by(lambda a, b, c, t: a > 0 and b >= -t and c >= -t), "A mean above 0 is no gain that is shown."),
        Wrong(judged_by(lambda a, b, c, t: a > t), "Fit and quality change nothing in your verdict."),
        Wrong(
            judged_by(lambda a, b, c, t: a > t and b >= 0 and c >= 0),
            "Equal methods are below each other half the time: fit and quality may be lower within their error.",
        ),
        Wrong(
            judged_by(lambda a, b, c, t: a > t and b > t and c > t),
            "You ask for a gain in all three: fit and quality need only not be lower.",
        ),
        Wrong(judged_by(lambda a, b, c, t: a > t and c >= -t), "Fit changes nothing in your verdict."),
        Wrong(judged_by(lambda a, b, c, t: a > t and b >= -t), "Quality changes nothing in your verdict."),
        Wrong(
            lambda gain, fit, quality, t: float(gain.mean() - t * gain.std() > 0),
            "That is the spread of the groups: the error of their mean is smaller by the root of their number.",
        ),
    ],
    may_pass={
        f"{name} reordered": "The mean and the error of a set of differences do not know their order."
        for name in ("gain", "fit", "quality")
    },
)


# 16.9 words
REPORT = Exercise(
    "16.9",
    "Your method, in a report",
    points=10,
    difficulty=5,
    importance=5,
    minutes=120,
    further=True,
    rubric="2 points: says in one equation or ten lines what the method does and why it should help. 2 points: the "
    "board's row, with intervals, beside independent sampling at the same calls, on prompts not used for tuning. 2 "
    "points: a control that must fail, run, with its number. 2 points: an ablation: each part left out in turn. 1 "
    "point: what it costs beyond calls (time, memory, gradients). 1 point: where it fails, with a picture, and what "
    "the board does not see.",
)

EXERCISES = [COUNTED, GOOD, SPREAD, INDEPENDENT, MANY, VOLUME, REPEATS, ABOVE, REPORT]

QUIZ = [
    Question(
        "An entry hands in eight copies of one perfect picture. Its fit is 1. What is its spread, with style and place "
        "open?",
        [
            ((0.18, 0.19), True, "One of four styles and one of eight places: (1/4 + 1/8) / 2."),
            (0, False, "One kind of each factor is shown, which is more than none."),
            (1, False, "One style of four is a quarter, one place of eight an eighth."),
        ],
        otherwise="Use (16.3): a mean of two shares.",
    ),
    Question(
        "Why are the channels of the latents turned by a rotation that nobody knows?",
        [
            (
                "So that stored latents decode to nothing",
                True,
                "A method that draws does not care.",
            ),
            ("So that the network cannot see the prompt", False, "The network sees its own frame, as always."),
            ("To make sampling harder", False, "Sampling in the turned frame gives the same pictures."),
        ],
    ),
    Question(
        "A method takes a gradient through the denoiser at every level. Ten levels, no guidance. Calls a picture?",
        [
            ((30, 30), True, "One forward and two for the way back, ten times."),
            (10, False, "The way back through the network costs about two forward passes."),
            (20, False, "One forward and two for the way back are three."),
        ],
        otherwise="Count a forward pass as one and a way back as two.",
    ),
]
