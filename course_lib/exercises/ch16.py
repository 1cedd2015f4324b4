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


def counted_by_error(D, purse):
    class Spent(RuntimeError):
        pass

    def paid(x, sigma):
        [left] = purse
        if left - len(x) < 0:
            raise Spent("no calls are left")
        purse[:] = [left - len(x)]
        return D(x, sigma)

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


def paid_last(D, purse):
    def paid(x, sigma):
        if len(x) > purse[0]:
            raise RuntimeError
        x0 = D(x, sigma)
        purse[0] -= len(x)
        return x0

    return paid


def taken_first(D, purse, left=lambda rest, n: rest - n):
    def paid(x, sigma):
        spent = len(x) > purse[0]
        purse[0] = left(purse[0], len(x))
        if spent:
            raise RuntimeError
        return D(x, sigma)

    return paid


def emptied(D, purse):
    return taken_first(D, purse, lambda rest, n: max(0, rest - n))


def own_purse(D, purse):
    return counted(D, list(purse))


def without_gradient(D, purse):
    return counted(lambda x, sigma: D(x, sigma).detach(), purse)


def call_counted(fn, batches, start, scale):
    """Of two denoisers that share a purse and one with an empty one: what they return, its gradient, 1 for each batch
    that is refused, what it takes, what a denoiser finds in the purse, what is left, and how many rows are computed."""
    purse, empty, seen, computed = [start], [0], [], [0]

    def D(x, sigma):
        computed[0] += len(x)
        seen.append(float(purse[0]))
        return scale * (x + x.square().mean(0)) / (1 + sigma)

    pair = fn(D, purse), fn(lambda x, sigma: D(x, sigma) + 1, purse)
    turns = [(pair[i % 2], purse, x) for i, x in enumerate(batches)] + [(fn(D, empty), empty, batches[0])]
    found = {"values": [], "gradients": [], "refused": [], "taken": []}
    for i, (paid, own, x) in enumerate(turns):
        before, x, value, gradient = own[0], x.clone(), torch.zeros(1), None
        with torch.enable_grad():
            try:
                value, refused = paid(x.requires_grad_(), torch.tensor(0.5 + i)), 0.0
            except RuntimeError:
                refused = 1.0
            value = (value * torch.arange(1, len(value) + 1)[:, None]).sum()
            gradient = torch.autograd.grad(value, x)[0] if value.requires_grad else None
        found["values"].append(float(value.detach()))
        found["gradients"].append(0.0 if gradient is None else float(gradient.sum()))
        found["refused"].append(refused)
        found["taken"].append(float(before - own[0]))
    lists = {**found, "purse_seen": seen, "left": [float(purse[0])], "computed": [float(computed[0])]}
    return {name: torch.tensor(values, dtype=torch.float64) for name, values in lists.items()}


def batches(g):
    """Batches that leave something, one that is refused, one that takes all the rest, one row too many."""
    sizes, width = [whole(g, 2, 5), whole(g, 2, 5), 40, 4, whole(g, 3, 6)], whole(g, 1, 4)
    start = sizes[0] + sizes[1] + sizes[3] + 2
    return [normal(g, n, width) for n in [*sizes, 2, 1]], start, real(g, 1.5, 3.0)


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
    draws=8,
    right=[counted_by_rest, counted_by_error],
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
        Wrong(
            paying(lambda x: 2 * len(x)),
            "You take two a row: with guidance two denoisers are asked, and each of them takes one.",
        ),
        Wrong(paid_last, "You pay after the network has computed: take from the purse first."),
        Wrong(taken_first, "A batch that is refused takes from your purse: look before you take."),
        Wrong(emptied, "A batch that is refused empties your purse: smaller ones can still be paid for."),
        Wrong(own_purse, "The purse is not changed: take from purse[0] itself, which several denoisers share."),
        Wrong(
            without_gradient,
            "No gradient comes back through your denoiser: return what D returns, without detach or no_grad.",
        ),
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
    """Twenty-four pictures, each right but for at most one thing, every thing wrong in some; any factors may be open.

    Two lie just as far away as allowed. On one the networks agree in nothing, on one in the sum of the numbers alone.
    """
    kinds, far = (6, 6, 4), real(g, 0.15, 0.35)
    is_open = torch.tensor([whole(g, 0, 1) for _ in kinds], dtype=torch.bool)
    due = torch.tensor([whole(g, 0, n - 2) for n in kinds])
    named = [column for column in range(3) if not is_open[column]]
    first = due.expand(24, 3).clone()
    for column in range(3):
        if is_open[column]:
            first[:, column] = torch.randint(0, kinds[column] - 1, (24,), generator=g)
    second = first.clone()
    distance = far * (0.2 + 0.6 * torch.rand(24, generator=g, dtype=torch.float64))
    distance[8:11] = far + (far**0.5 - far) * torch.rand(3, generator=g, dtype=torch.float64)
    distance[10] += far**0.5
    distance[22:] = far
    for column in range(3):
        second[3 + column, column] += 1
    second[17] += 1
    first[18, 1], second[18, 0] = first[18, 1] + 1, second[18, 0] + 1
    for column in named:
        rows = [11 + column, 14 + column]
        first[rows, column] = second[rows, column] = due[column] + 1
        first[20, column] = second[20, column] = due[column] + 1  # all that is named is wrong
    if named:
        first[21, named[0]] += 1  # the second reader alone is right
    nearest = first[:, 2].clone()
    nearest[6:8] = (nearest[6:8] + 1) % 4
    order = torch.randperm(24, generator=g)
    return first[order], second[order], nearest[order], distance[order], torch.where(is_open, -1, due), far


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
    draws=20,
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
        Wrong(
            lambda a, b, n, d, due, far: (
                (a == b).all(1) & ((a == due) | (due < 0)).any(1) & (n == a[:, 2]) & (d <= far)
            ),
            "With any a factor that is open makes all the others right: all that the prompt names must be right.",
        ),
        Wrong(
            lambda a, b, n, d, due, far: (
                (a == b).any(1) & ((a == due) | (due < 0)).all(1) & (n == a[:, 2]) & (d <= far)
            ),
            "One factor on which the networks agree is not enough: they must agree in all three.",
        ),
        Wrong(
            lambda a, b, n, d, due, far: (
                (a.sum(1) == b.sum(1)) & ((a == due) | (due < 0)).all(1) & (n == a[:, 2]) & (d <= far)
            ),
            "You compare sums: readings that differ in two factors can have the same one.",
        ),
        Wrong(
            lambda a, b, n, d, due, far: (
                (a == b).all(0).all() & ((a == due) | (due < 0)).all(1) & (n == a[:, 2]) & (d <= far)
            ),
            "all(0) goes over the pictures, so that one of them decides for all: ask of each picture by itself.",
        ),
        Wrong(
            lambda a, b, n, d, due, far: good(a, b, n, d, due, far) & (d < far),
            "A picture that is just as far away as allowed counts: at most, not less than.",
        ),
        Wrong(
            lambda a, b, n, d, due, far: good(a, b, n, d**2, due, far),
            "You square the distance, which is a root mean square already.",
        ),
        Wrong(lambda a, b, n, d, due, far: good(a, b, n, d, due, 0.25), "You wrote 0.25 for far, which is handed in."),
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


def full_without_good(kinds, good, counts):
    return spread(kinds, good, counts) if good.any() else 1.0


def a_group(g):
    """One to ten pictures, of which all, none or some are good, and one to six factors, one of them open or more."""
    N, F = whole(g, 1, 10), whole(g, 1, 6)
    counts = [(2, 3, 4, 6, 9)[whole(g, 0, 4)] * whole(g, 0, 1) for _ in range(F)]
    counts[whole(g, 0, F - 1)] = 9 if whole(g, 0, 1) else 4
    kinds = torch.stack([torch.randint(0, most or 6, (N,), generator=g) for most in counts], 1)
    share = (0.0, 0.6, 0.6, 0.6, 1.0)[whole(g, 0, 4)]
    return kinds, torch.rand(N, generator=g) < share, counts


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
    draws=30,
    right=[spread_by_sets, spread_by_table, spread_in_float32],
    tolerance=1e-6,  # a mean of shares may be one in float32
    wrong=[
        Wrong(
            spread_with(lambda N, most, good: min(N, most), of=lambda good: torch.ones_like(good)),
            "Bad pictures are in your count: noise would be worth the most.",
        ),
        Wrong(
            spread_with(lambda N, most, good: most),
            "N pictures cannot show more than N kinds: divide by the smaller of N and the number of kinds.",
        ),
        Wrong(
            spread_with(lambda N, most, good: min(int(good.sum()), most)),
            "You divide by what the good pictures could show: two good ones of eight would then be full marks.",
        ),
        Wrong(spread_with(lambda N, most, good: N), "You divide by N where there are fewer kinds than pictures."),
        Wrong(
            spread_with(lambda N, most, good: max(N, most)),
            "You divide by the larger of N and the number of kinds, which nobody can reach: take the smaller.",
        ),
        Wrong(
            spread_with(lambda N, most, good: min(8, most)),
            "You wrote 8 for N: N is the number of pictures that are handed in.",
        ),
        Wrong(with_named, "A named factor is in your mean: a count of 0 says that nothing is open there."),
        Wrong(
            spread_with(lambda N, most, good: min(N, most), over=lambda shares, counts: sum(shares)),
            "That is the sum over the open factors: their mean is due, so that prompts can be compared.",
        ),
        Wrong(
            spread_with(lambda N, most, good: min(N, most), over=lambda shares, counts: sum(shares) / len(counts)),
            "You divide by the number of all factors: the mean is over those that the prompt leaves open.",
        ),
        Wrong(full_without_good, "Where no picture counts nothing is shown: the spread of noise is 0, not 1."),
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


def some_points(g):
    """Stairs of three and a point below them, or one to six points of a coarse grid with ties, twins and zeros."""
    if whole(g, 0, 1):
        points = torch.randint(0, 5, (whole(g, 1, 6), 2), generator=g).double() / 4
        points = torch.cat([points, points[: whole(g, 0, 1)]])
        return (points[torch.randperm(len(points), generator=g)],)
    x = torch.tensor([0.3, 0.55, 0.8]) + 0.1 * torch.rand(3, generator=g)
    y = torch.tensor([0.9, 0.7, 0.4]) + 0.08 * torch.rand(3, generator=g)
    points = torch.stack([x, y], 1).double()
    below = points[1] * torch.tensor([0.9, 0.8], dtype=torch.float64)
    return (torch.cat([points, below[None]])[torch.randperm(4, generator=g)],)


def slabs(order=lambda points: sorted(points, reverse=True), height_after=lambda height, v: max(height, v)):
    """The volume by slabs, with another order of the points or another height after each."""

    def volume(points):
        area, height = 0.0, 0.0
        for u, v in order(points.tolist()):
            area += u * max(0.0, v - height)
            height = height_after(height, v)
        return area

    return volume


def without_twins(points):
    rows = points.tolist()
    beaten = [any(i != j and a[0] >= b[0] and a[1] >= b[1] for j, a in enumerate(rows)) for i, b in enumerate(rows)]
    kept = [row for row, lost in zip(rows, beaten) if not lost]
    return volume(torch.tensor(kept, dtype=torch.float64)) if kept else 0.0


def last_of_ties(points):
    return volume(torch.tensor(list(dict(points.tolist()).items()), dtype=torch.float64))


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
    inputs=some_points,
    draws=40,
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
        Wrong(
            slabs(lambda points: sorted(points)),
            "You begin with the smallest first number: a slab is as wide as its point, so begin with the largest.",
        ),
        Wrong(slabs(lambda points: points), "You take the points in the order in which they come: sort them first."),
        Wrong(
            slabs(lambda points: sorted(points, key=lambda row: -row[1])),
            "You sort by the second number, and add slabs as wide as the first: the first slab then covers the others.",
        ),
        Wrong(
            slabs(height_after=lambda height, v: v),
            "You measure from the point before: a slab begins at the highest of all before it.",
        ),
        Wrong(without_twins, "Equal points drop each other in your answer: one of two twins stays."),
        Wrong(
            last_of_ties,
            "Of points with the same first number you keep the last that comes: the highest counts.",
        ),
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
    """Two to twelve groups of one to four settings around their own centres; in some draws one group has nothing."""
    G, S = whole(g, 2, 12), whole(g, 1, 4)
    centre = 0.3 + 0.5 * torch.rand(1, S, 2, generator=g, dtype=torch.float64)
    groups = (centre + torch.rand(G, S, 2, generator=g, dtype=torch.float64) - 0.5).clamp(0, 1)
    groups[0] *= whole(g, 0, 1)
    return (groups,)


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
    draws=20,
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
        Wrong(
            lambda groups: torch.stack(
                [
                    len(groups) * torch.tensor(volume(groups.mean(0)), dtype=torch.float64)
                    - (len(groups) - 1) * volume((groups.sum(0) - one) / len(groups))
                    for one in groups
                ]
            ),
            "Without a group G - 1 are left: divide their sum by G - 1, not by G.",
        ),
        Wrong(
            lambda groups: torch.tensor(
                [
                    len(groups) * volume(groups.flatten(0, 1))
                    - (len(groups) - 1) * volume(torch.cat([groups[:g], groups[g + 1 :]]).flatten(0, 1))
                    for g in range(len(groups))
                ],
                dtype=torch.float64,
            ),
            "You took the volume of all points of all groups together: average the points over the groups first.",
        ),
        Wrong(
            lambda groups: repeats(groups).clamp(0, 1),
            "You keep the repeats between 0 and 1: a repeat is no volume, and their mean needs the negative ones.",
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


def starts_and_strength(g):
    """One to eight starts, flat or as latents, levels that end at 0 or above it, a strength with both ends."""
    shape = (whole(g, 1, 8), *((2,) if whole(g, 0, 1) else (1, 2)))
    levels = geometric(8.0, 0.05, whole(g, 3, 8))
    levels[-1] = 0.03 * whole(g, 0, 1)
    strength = (0.0, 1.0, real(g, 0.05, 0.5), real(g, 0.5, 0.95))[whole(g, 0, 3)]
    return 8 * normal(g, *shape), levels, strength, real(g, 0.8, 1.5)


def call_entry(fn, x, levels, strength, radius):
    """An entry's samples, where the prompt means two of six modes, and the calls that it makes beyond its budget."""
    everything, calls = ring(6, radius=radius), [0]
    some = GaussianMixture(everything.means[:2], 0.2)

    def prompted(x, sigma):
        calls[0] += len(x)
        return some(x.flatten(1), sigma).reshape(x.shape)

    def unprompted(x, sigma):
        calls[0] += len(x)
        return everything(x.flatten(1), sigma).reshape(x.shape)

    samples = fn(prompted, unprompted, x, levels, strength)
    return {"samples": samples, "overspent": float(max(0, calls[0] - 2 * (len(levels) - 1) * len(x)))}


def independent_at_three(prompted, unprompted, x, levels, strength):
    w = 7.5 ** (1 - strength) * 1.5**strength
    mixed = lambda x, sigma: unprompted(x, sigma) + w * (prompted(x, sigma) - unprompted(x, sigma))  # noqa: E731
    return sample(mixed, x, levels)


def independent_to_zero(prompted, unprompted, x, levels, strength):
    return independent(prompted, unprompted, x, torch.cat([levels[:-1], levels.new_zeros(1)]), strength)


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
    inputs=starts_and_strength,
    draws=16,
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
        Wrong(
            independent_at_three,
            "You ask the unprompted denoiser twice at each level: three calls a particle, where the budget has two.",
        ),
        Wrong(
            independent_to_zero, "You go on to 0: samples are due at the last of the levels, which may lie above it."
        ),
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


def best_in_order(D, x, more, levels, feature):
    z = sample(D, torch.cat([x, more]), levels[::2])
    return z[select_from_many(feature(z), len(x)).sort().values]


def best_with(levels_of=lambda levels: levels[::2], choose=None, of=lambda x, more: torch.cat([x, more])):
    """best_of_many with other levels, another choice, or other candidates."""

    def best_of_many(D, x, more, levels, feature):
        candidates = sample(D, of(x, more), levels_of(levels))
        n = len(x)
        return candidates[choose(feature, candidates, n) if choose else select_from_many(feature(candidates), n)]

    return best_of_many


def starts_and_levels(g):
    """Starts of one to six particles, flat or as latents, an even number of steps, a last level that is 0 or not."""
    shape = (whole(g, 1, 6), *((2,) if whole(g, 0, 1) else (1, 2)))
    levels = geometric(8.0, 0.05, 2 * whole(g, 1, 6))
    levels[-1] = 0.03 * whole(g, 0, 1)
    return 8 * normal(g, *shape), 8 * normal(g, *shape), levels, real(g, 0.9, 1.6), real(g, 2.0, 3.0)


def call_many(fn, x, more, levels, radius, a):
    """The set of chosen samples of a ring, and what they cost; the feature stretches the plane."""
    modes, calls, shape = ring(7, radius=radius), [0], x.shape[1:]
    stretch = torch.tensor([[1.0, 0.0], [0.0, a]], dtype=torch.float64)

    def D(x, sigma):
        calls[0] += len(x)
        return modes(x.flatten(1), sigma).reshape(x.shape)

    def feature(z):
        if z.shape[1:] != shape:
            raise ValueError(f"feature: takes candidates (M, {', '.join(map(str, shape))}), got {tuple(z.shape)}.")
        return z.flatten(1) @ stretch

    chosen = fn(D, x, more, levels, feature)
    if torch.is_tensor(chosen) and chosen.ndim > 1:
        chosen = chosen[chosen.flatten(1)[:, 0].argsort()]  # a set
    return {"chosen": chosen, "calls": float(calls[0])}


def best_by_starts(D, x, more, levels, feature):
    starts = torch.cat([x, more])
    return sample(D, starts, levels[::2])[select_from_many(feature(starts), len(x))]


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
    inputs=starts_and_levels,
    draws=20,
    call=call_many,
    right=[best_by_two_runs, best_by_hand, best_in_order],
    wrong=[
        Wrong(best_with(lambda levels: levels), "You made twice the calls: candidates that are dropped are paid for."),
        Wrong(
            best_with(lambda levels: levels[: len(levels) // 2 + 1]),
            "You took the first half of the levels, and stopped in the noise: take every other one, to the end.",
        ),
        Wrong(
            best_with(lambda levels: levels[:-1:2]),
            "You stop before the last level: every other level, counted from the first, ends at the last.",
        ),
        Wrong(
            best_with(lambda levels: torch.cat([levels[:-1:2], levels.new_zeros(1)])),
            "You go on to 0: samples are due at the last of the levels, whatever it is.",
        ),
        Wrong(
            best_with(choose=lambda feature, z, n: select_from_many(z.flatten(1), n)),
            "The feature changes nothing in your answer.",
        ),
        Wrong(best_by_starts, "You chose by the features of the starts: what counts is where the candidates end."),
        Wrong(
            lambda D, x, more, levels, feature: (z := feature(sample(D, torch.cat([x, more]), levels[::2])))[
                select_from_many(z, len(x))
            ],
            "You returned features: the candidates themselves are due.",
        ),
        Wrong(
            best_with(choose=lambda feature, z, n: torch.arange(n)),
            "You kept the first candidates: keep those that are farthest apart.",
        ),
        Wrong(
            best_with(of=lambda x, more: torch.cat([more, x])),
            "The first candidate comes from more in your answer: x stands first in the batch.",
        ),
        Wrong(best_with(of=lambda x, more: x), "You have no more candidates than pictures, so nothing is chosen."),
        Wrong(
            best_with(choose=lambda feature, z, n: torch.arange(len(z))),
            "You returned all candidates: as many as there are starts in x are due.",
        ),
    ],
    needs=("sample", "select_from_many"),
    may_pass=any_order("answer", "more"),
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
    reach = t * error / G**0.5
    return bool(mean[0] > reach[0] and mean[1] >= -reach[1] and mean[2] >= -reach[2]) * 1.0


def above_by_limits(gain, fit, quality, t):
    limits = [
        one.mean() + sign * t * one.std() / one.numel() ** 0.5 for one, sign in ((gain, -1), (fit, 1), (quality, 1))
    ]
    return 1.0 if limits[0] > 0 and min(limits[1:]) >= 0 else 0.0


def differences(g):
    """Paired differences in G groups for twenty-two entries: a mean is a multiple of t errors, near the edge or beyond.

    A pair (0, c) stands for differences that are all equal to c.
    """
    edges = [(1.01, 0.3, -0.3), (0.99, 0.3, 0.3), (2, -0.99, 0.3), (2, -1.01, 0.3), (2, 0.3, -0.99), (2, 0.3, -1.01)]
    clear = [
        (1.25, -0.5, -0.5),
        (0.8, 0.3, 0.3),
        (2, -0.8, -0.8),
        (2, -1.25, 0.3),
        (2, 0.3, -1.25),
        (0.6, 0.3, 0.3),
        (-1.5, 0.3, 0.3),
        (2, 1.5, -1.2),
        (2, -1.2, 1.5),
        (4, 2, 2),
    ]
    same, up, down = (0, 0.0), (0, 0.125), (0, -0.125)
    equal = [(1.5, same, same), (1.5, 0.3, same), (same, 0.3, 0.3), (up, 0.3, 0.3), (2, down, 0.3), (2, 0.3, down)]
    G, t = whole(g, 5, 14), real(g, 2.0, 4.0)

    def around(mean, size):
        if isinstance(mean, tuple):
            return torch.full((G,), mean[1], dtype=torch.float64)
        x = normal(g, G)
        return size * ((x - x.mean()) / x.std() + (mean + real(g, -0.003, 0.003)) * t / G**0.5)

    rows = []
    for row in edges + clear + equal:
        sizes = torch.tensor([0.05, 0.1, 0.2], dtype=torch.float64)[torch.randperm(3, generator=g)]
        rows.append(torch.stack([around(mean, size) for mean, size in zip(row, sizes)]))
    return torch.stack(rows)[torch.randperm(len(rows), generator=g)], t


def call_above(fn, rows, t):
    """The verdicts on some entries."""
    return torch.tensor([float(fn(*row, t)) for row in rows], dtype=torch.float64)


def judged_by(decide):
    """stands_above with another decision from the three means in units of their errors, and t."""

    def stands_above(gain, fit, quality, t):
        pairs = [(float(one.mean()), float(one.std()) / len(one) ** 0.5) for one in (gain, fit, quality)]
        return float(
            decide(*(mean / error if error else mean * float("inf") if mean else 0.0 for mean, error in pairs), t)
        )

    return stands_above


def above_with(error=lambda x: x.std() / len(x) ** 0.5, of=lambda gain, one: one, length=lambda t: t):
    """stands_above with another error, the error of other differences, or another length of the interval."""

    def stands_above(gain, fit, quality, t):
        low = gain.mean() - length(t) * error(gain)
        return float(low > 0 and all(x.mean() + length(t) * error(of(gain, x)) >= 0 for x in (fit, quality)))

    return stands_above


def above_at_the_edge(gain, fit, quality, t):
    low, *high = (x.mean() + s * t * x.std() / len(x) ** 0.5 for x, s in ((gain, -1), (fit, 1), (quality, 1)))
    return float(low >= 0 and min(high) >= 0)


def above_without_ties(gain, fit, quality, t):
    low, *high = (x.mean() + s * t * x.std() / len(x) ** 0.5 for x, s in ((gain, -1), (fit, 1), (quality, 1)))
    return float(low > 0 and min(high) > 0)


def above_by_sum(gain, fit, quality, t):
    low, *high = (x.mean() + s * t * x.std() / len(x) ** 0.5 for x, s in ((gain, -1), (fit, 1), (quality, 1)))
    return float(low > 0 and sum(high) >= 0)


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
    draws=8,
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
            above_with(lambda x: x.std()),
            "That is the spread of the groups: the error of their mean is smaller by the root of their number.",
        ),
        Wrong(
            above_with(lambda x: x.std(correction=0) / len(x) ** 0.5),
            "Your standard deviation divides the squares by G: in a sample G - 1 is due, as `std` does unasked.",
        ),
        Wrong(
            above_with(lambda x: x.std() / (len(x) - 1) ** 0.5),
            "You divide by the root of G - 1: `std` has done so once, and the root of G is due.",
        ),
        Wrong(above_with(length=lambda t: 1.0), "Your intervals are one standard error long: t of them are due."),
        Wrong(
            above_with(of=lambda gain, one: gain),
            "You use the gain's error for fit and quality: each has an error of its own.",
        ),
        Wrong(above_by_sum, "You add fit and quality before you look: each of the two must hold by itself."),
        Wrong(above_at_the_edge, "A gain whose lower end is just 0 is none: it must lie above 0."),
        Wrong(
            above_without_ties,
            "Differences that are all 0 are no loss: 0 is not below 0, and a mean divided by no error is no number.",
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
            (
                (0.18, 0.19),
                True,
                "One of four styles, and one of the eight places that eight pictures can show: (1/4 + 1/8) / 2.",
            ),
            (0, False, "One kind of each factor is shown, which is more than none."),
            (
                1,
                False,
                "One style of four is a quarter; eight pictures show at most eight places, and one is an eighth.",
            ),
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
