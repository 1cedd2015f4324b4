"""Chapter 15, seeds and adapters on Stable Diffusion 2: reference answers, inputs, wrong answers, and the quiz."""

import json
import math

import torch

from course_lib.exercises.declare import Exercise, Question, Wrong
from course_lib.exercises.draws import normal, real, whole


# 15.1 a photograph as the networks want it
def square(photo):
    """The middle square of a photograph, channels first, in [-1, 1]."""
    s = min(photo.shape[:2])
    top, left = (photo.shape[0] - s) // 2, (photo.shape[1] - s) // 2
    return photo[top : top + s, left : left + s].permute(2, 0, 1) / 127.5 - 1


def square_by_narrow(photo):
    x = photo.movedim(-1, 0).double()
    for axis in (1, 2):
        spare = x.shape[axis] - min(photo.shape[:2])
        x = x.narrow(axis, spare // 2, x.shape[axis] - spare)
    return 2 * (x / 255) - 1


def square_by_indices(photo):
    H, W, _ = photo.shape
    s = min(H, W)
    rows, columns = torch.arange(s) + (H - s) // 2, torch.arange(s) + (W - s) // 2
    return torch.stack([(photo[rows][:, columns, c].float() - 127.5) / 127.5 for c in range(3)])


def cut(photo, share=0.5, up=False):
    s = min(photo.shape[:2])
    i, j = (math.ceil(share * (n - s)) if up else int(share * (n - s)) for n in photo.shape[:2])
    return photo[i : i + s, j : j + s].double()


def a_photo(g):
    """A photograph that is upright or across, with an odd number of pixels to spare."""
    s, spare = whole(g, 6, 9), 2 * whole(g, 1, 3) + 1
    H, W = (s, s + spare) if whole(g, 0, 1) else (s + spare, s)
    return (torch.randint(0, 256, (H, W, 3), generator=g, dtype=torch.uint8),)


def call_square(fn, photo):
    """Upright and across, whichever was drawn."""
    return fn(photo), fn(photo.transpose(0, 1).contiguous())


SQUARE = Exercise(
    "15.1",
    "A photograph becomes a tensor",
    points=1,
    difficulty=1,
    importance=4,
    minutes=8,
    equation="(15.1)",
    name="square",
    reference=square,
    inputs=a_photo,
    call=call_square,
    right=[square_by_narrow, square_by_indices],
    wrong=[
        Wrong(
            lambda photo: cut(photo, 0).permute(2, 0, 1) / 127.5 - 1,
            "You cut at a corner: the square lies in the middle, with as much lost on one side as on the other.",
        ),
        Wrong(
            lambda photo: cut(photo, up=True).permute(2, 0, 1) / 127.5 - 1,
            "Your square is a pixel too far down or to the right: a half that is left over is rounded down.",
        ),
        Wrong(
            lambda photo: cut(photo).permute(2, 0, 1) / 255,
            "Your numbers run from 0 to 1: 0 becomes -1 and 255 becomes 1.",
        ),
        Wrong(
            lambda photo: cut(photo).permute(2, 0, 1),
            "Your numbers run from 0 to 255: 0 becomes -1 and 255 becomes 1.",
        ),
        Wrong(lambda photo: cut(photo) / 127.5 - 1, "Your channels come last: a network wants (3, s, s)."),
        Wrong(
            lambda photo: cut(photo).permute(2, 1, 0) / 127.5 - 1,
            "Your picture lies on its side: after the channels come the rows, then the columns.",
        ),
        Wrong(
            lambda photo: cut(photo).flip(2).permute(2, 0, 1) / 127.5 - 1,
            "Red and blue are exchanged: the channels stay in their order.",
        ),
    ],
    tolerance=1e-6,
)


# 15.2 a measure taken from five pictures
def own_limit(features):
    """The largest mean distance of a reference to the other ones (15.2)."""
    apart = torch.cdist(features, features)
    return (apart.sum(1) / (len(features) - 1)).max()


def limit_by_loop(features):
    means = []
    for j, one in enumerate(features):
        others = torch.cat([features[:j], features[j + 1 :]])
        means.append((others - one).norm(dim=1).mean())
    return max(means)


def limit_by_differences(features):
    apart = (features[:, None] - features).square().sum(2).sqrt()
    off = ~torch.eye(len(features), dtype=torch.bool)
    return apart[off].reshape(len(features), -1).mean(1).amax()


def between(features):
    return (features[:, None] - features).norm(dim=2)


LIMIT = Exercise(
    "15.2",
    "How far may a picture be?",
    points=2,
    difficulty=2,
    importance=5,
    minutes=10,
    equation="(15.2)",
    name="own_limit",
    reference=own_limit,
    inputs=lambda g: (normal(g, 5, whole(g, 4, 8)) * torch.linspace(0.5, 2, 5).double()[:, None],),
    right=[limit_by_loop, limit_by_differences],
    wrong=[
        Wrong(
            lambda features: between(features).mean(1).max(),
            "You divided by n: each reference has n - 1 others, and its distance to itself is no evidence.",
        ),
        Wrong(
            lambda features: between(features).sum() / (len(features) * (len(features) - 1)),
            "That is the mean over the references: half of them would not pass it. The largest is asked for.",
        ),
        Wrong(lambda features: between(features).max(), "That is the largest distance of a pair: first take means."),
        Wrong(
            lambda features: (features - features.mean(0)).norm(dim=1).max(),
            "You measured distances to the mean of all, in which each reference stands itself.",
        ),
        Wrong(
            lambda features: (between(features).sum(1) / (len(features) - 1)).min(),
            "You took the smallest: then only one of your own pictures would pass.",
        ),
        Wrong(
            lambda features: (between(features).square().sum(1) / (len(features) - 1)).max(),
            "Those are squared distances: take the root of each.",
        ),
        Wrong(
            lambda features: max(
                (one - torch.cat([features[:j], features[j + 1 :]]).mean(0)).norm() for j, one in enumerate(features)
            ),
            "You measured the distance to the mean of the others: the mean of the distances is asked for.",
        ),
        Wrong(
            lambda features: ((features[:, None] - features).abs().sum((1, 2)) / (len(features) - 1)).max(),
            "You added up absolute differences: distances here are Euclidean.",
        ),
    ],
    tolerance=1e-7,
    may_pass={"features reordered": "The references are a set: their order means nothing."},
)


# 15.3 what a gradient through a sampler keeps
def seed_memory(levels, state, network, decoder, again):
    """Bytes at the peak of an iteration (15.3)."""
    if again:
        return levels * state + max(network, decoder)
    return levels * network + decoder


def memory_by_history(levels, state, network, decoder, again):
    held, peak = 0.0, 0.0
    for _ in range(levels):  # forward
        held += state if again else network
        peak = max(peak, held)
    peak = max(peak, held + decoder)
    return max(peak, held + network) if again else peak


def memory_by_table(levels, state, network, decoder, again):
    kept = {False: network, True: state}[bool(again)]
    return levels * kept + sorted([again * network, decoder])[-1]


def call_memory(fn, levels, state, network, decoders):
    return torch.tensor([float(fn(levels, state, network, d, again)) for d in decoders for again in (False, True)])


MEMORY = Exercise(
    "15.3",
    "What an iteration keeps in memory",
    points=2,
    difficulty=3,
    importance=5,
    minutes=12,
    equation="(15.3)",
    name="seed_memory",
    reference=seed_memory,
    inputs=lambda g: (
        whole(g, 10, 30),
        real(g, 0.05, 0.1),
        n := real(g, 5.0, 8.0),
        [n * real(g, 0.3, 0.8), n * real(g, 1.3, 2.0)],
    ),
    call=call_memory,
    right=[memory_by_history, memory_by_table],
    wrong=[
        Wrong(
            lambda levels, state, network, decoder, again: levels * network + decoder,
            "You keep every activation in both cases: with checkpoints a level keeps its particles alone.",
        ),
        Wrong(
            lambda levels, state, network, decoder, again: (
                seed_memory(levels, state, network, decoder, again) if not again else max(network, decoder)
            ),
            "The particles of the levels are missing: they are what the levels are computed again from.",
        ),
        Wrong(
            lambda levels, state, network, decoder, again: (
                levels * state + network + decoder if again else levels * network + decoder
            ),
            "Network and decoder are never open at the same time: the larger of the two counts.",
        ),
        Wrong(
            lambda levels, state, network, decoder, again: (
                levels * state + network if again else levels * network + decoder
            ),
            "The decoder may be the larger part: its activations count when it is opened again.",
        ),
        Wrong(
            lambda levels, state, network, decoder, again: (
                seed_memory(levels, state, network, decoder, again) if again else levels * network
            ),
            "Without checkpoints the decoder's activations are kept as well.",
        ),
        Wrong(
            lambda levels, state, network, decoder, again: (
                levels * state + max(network, decoder) if again else levels * max(network, decoder)
            ),
            "Without checkpoints the decoder stands once in the sum: only the network is called at every level.",
        ),
        Wrong(
            lambda levels, state, network, decoder, again: seed_memory(levels, state, network, decoder, not again),
            "Your two cases are exchanged: `again` is True where levels and decoder are checkpointed.",
        ),
        Wrong(
            lambda levels, state, network, decoder, again: (
                levels * (state + max(network, decoder)) if again else levels * network + decoder
            ),
            "With checkpoints only one level is open at a time: the larger of the two counts once, not at every level.",
        ),
    ],
)


# 15.4 how far on the way
def progress(before, after, home):
    """Shares of the mean way to the references, one a picture (15.4)."""
    return (before - after) / (before.mean() - home)


def progress_by_loop(before, after, home):
    way = sum(before.tolist()) / len(before) - home
    return torch.stack([(b - a) / way for b, a in zip(before, after)])


def progress_by_shares(before, after, home):
    mean = before.mean()
    left = lambda d: (d - home) / (mean - home)  # noqa: E731
    return left(before) - left(after)


def distances(g):
    N = whole(g, 5, 8)
    before = 2 + torch.rand(N, generator=g, dtype=torch.float64)
    after = before - 1.5 * torch.rand(N, generator=g, dtype=torch.float64) + 0.4
    after[0] = before[0] + real(g, 0.2, 0.5)  # one has gone away
    return before, after, real(g, 0.5, 1.0)


PROGRESS = Exercise(
    "15.4",
    "How far on the way?",
    points=1,
    difficulty=2,
    importance=5,
    minutes=8,
    equation="(15.4)",
    name="progress",
    reference=progress,
    inputs=distances,
    right=[progress_by_loop, progress_by_shares],
    wrong=[
        Wrong(lambda before, after, home: before - after, "That is a way in the encoder's own units: take its share."),
        Wrong(
            lambda before, after, home: (before - after) / before.mean(),
            "Distance 0 is no goal: pictures of the thing are `home` away from each other.",
        ),
        Wrong(
            lambda before, after, home: (before - after) / (before - home),
            "Each picture has a divisor of its own in your answer: one that begins near home would decide alone.",
        ),
        Wrong(
            lambda before, after, home: (after - before) / (before.mean() - home),
            "Your sign is turned round: who comes nearer has made progress.",
        ),
        Wrong(
            lambda before, after, home: (after - home) / (before.mean() - home),
            "That is the share which is left to go.",
        ),
        Wrong(
            lambda before, after, home: ((before - after) / (before.mean() - home)).mean(),
            "One number a picture is asked for: the mean comes later, with its error.",
        ),
        Wrong(
            lambda before, after, home: ((before - after) / (before.mean() - home)).clamp(0, 1),
            "You cut the shares off at 0 and 1: a picture that went away has a share below 0, and it counts.",
        ),
        Wrong(
            lambda before, after, home: (before - after) / (after.mean() - home),
            "Your divisor is what is left afterwards: the whole way is that from the mean before to home.",
        ),
    ],
)


# 15.5 a file that others can read
def packed(factors, alpha):
    """Tensors by name, and settings as text, as diffusers writes them (15.5)."""
    tensors, names = {}, list(factors)
    for name, (A, B) in factors.items():
        tensors[f"unet.{name}.lora_A.weight"] = A
        tensors[f"unet.{name}.lora_B.weight"] = B
    r = len(factors[names[0]][0])
    return tensors, {"r": r, "lora_alpha": alpha, "target_modules": names}


def packed_by_zip(factors, alpha):
    keys = [f"unet.{name}.lora_{letter}.weight" for name in factors for letter in "AB"]
    flat = [one for pair in factors.values() for one in pair]
    ranks = {B.shape[1] for _, B in factors.values()}
    return dict(zip(keys, flat)), {"target_modules": sorted(factors), "r": min(ranks), "lora_alpha": float(alpha)}


def packed_by_letters(factors, alpha):
    tensors = {}
    for letter, place in {"B": 1, "A": 0}.items():
        tensors |= {f"unet.{name}.lora_{letter}.weight": pair[place] for name, pair in factors.items()}
    return tensors, {"lora_alpha": alpha, "r": next(iter(factors.values()))[0].shape[0], "target_modules": [*factors]}


def packed_otherwise(key="unet.{name}.lora_{letter}.weight", order="AB", settings=None):
    """A wrong file, from the pattern of its names, the letters of the two factors, and its settings."""

    def packed(factors, alpha):
        tensors = {key.format(name=name, letter=x): one for name, p in factors.items() for x, one in zip(order, p)}
        r = len(next(iter(factors.values()))[0])
        own = {"r": r, "lora_alpha": alpha, "target_modules": list(factors)}
        return tensors, own if settings is None else settings(own)

    return packed


def call_packed(fn, names, As, Bs, alpha):
    """What a loader makes of the file: the change of each layer, and how many layers there are."""
    tensors, settings = fn(dict(zip(names, zip(As, Bs))), alpha)
    if isinstance(settings.get("target_modules"), set):
        raise TypeError("target_modules is a set, which no text can hold: write a list.")
    settings = json.loads(json.dumps(settings))  # a file holds text
    found = []
    for name, one, two in zip(names, As, Bs):
        A, B = (tensors.get(f"unet.{name}.lora_{letter}.weight") for letter in "AB")
        if A is None or B is None:
            found.append(torch.zeros(len(two), one.shape[1], dtype=one.dtype))
        elif A.shape != one.shape or B.shape != two.shape:
            found.append(torch.full((len(two), one.shape[1]), -99.0, dtype=one.dtype))
        else:
            found.append(settings.get("lora_alpha", len(A)) / settings.get("r", 1) * (B @ A))
    targets = settings.get("target_modules", [])
    listed = len(set(targets) & set(names)) + 10 * sum(f"unet.{name}" in targets for name in names)
    listed += 100 * (bool(targets) and not listed) + 1000 * ("unet.r" in settings)
    read = sum(f"unet.{name}" in key for key in tensors for name in names)
    halves = sum(key.endswith(("lora_A.weight", "lora_B.weight")) for key in tensors)
    return torch.stack(found), float(listed), float(read), float(halves), float(settings.get("lora_alpha", -1))


def draw_factors(g):
    r, n, m = whole(g, 2, 4), whole(g, 5, 6), whole(g, 7, 8)
    names = [f"down_blocks.{i}.attn{whole(g, 1, 2)}.to_{letter}" for i, letter in enumerate("qkv")]
    return names, [normal(g, r, n) for _ in names], [normal(g, m, r) for _ in names], r * real(g, 1.5, 3.0)


PACKED = Exercise(
    "15.5",
    "A file that others can read",
    points=2,
    difficulty=2,
    importance=5,
    minutes=12,
    equation="(15.5)",
    name="packed",
    reference=packed,
    inputs=draw_factors,
    call=call_packed,
    right=[packed_by_zip, packed_by_letters],
    wrong=[
        Wrong(
            packed_otherwise(settings=lambda own: {k: v for k, v in own.items() if k != "lora_alpha"}),
            "alpha is not in your settings: a loader takes it to be r, and the adapter comes back weaker.",
        ),
        Wrong(
            packed_otherwise(settings=lambda own: own | {"lora_alpha": own["lora_alpha"] / own["r"]}),
            "You wrote the scale alpha / r as alpha: the loader divides by r again.",
        ),
        Wrong(
            packed_otherwise(settings=lambda own: own | {"r": 1}),
            "Your r is wrong: it is the number of rows of A.",
        ),
        Wrong(
            lambda factors, alpha: (
                packed(factors, alpha)[0],
                packed(factors, alpha)[1] | {"r": next(iter(factors.values()))[0].shape[1]},
            ),
            "Your r is how long a row of A is: it is how many rows A has.",
        ),
        Wrong(
            lambda factors, alpha: packed({name: (A, alpha / len(A) * B) for name, (A, B) in factors.items()}, alpha),
            "You multiplied the scale into B: the file holds A and B as they are, and the loader scales them.",
        ),
        Wrong(
            packed_otherwise(
                settings=lambda own: own | {"target_modules": [f"unet.{x}" for x in own["target_modules"]]}
            ),
            "Your target_modules begin with unet.: they are the names in `factors`, only the tensors' names begin so.",
        ),
        Wrong(
            packed_otherwise(settings=lambda own: own | {"target_modules": ["to_q", "to_k", "to_v"]}),
            "Your target_modules are not the names in `factors`: write each in full.",
        ),
        Wrong(
            packed_otherwise(settings=lambda own: {f"unet.{key}": value for key, value in own.items()}),
            "Your settings begin with unet.: the next cell adds that.",
        ),
        Wrong(
            packed_otherwise(key="{name}.lora_{letter}.weight"),
            "Your names do not say which part of the pipeline they belong to: they begin with unet.",
        ),
        Wrong(packed_otherwise(order="BA"), "A and B are exchanged: A is (r, in) and B is (out, r)."),
        Wrong(
            packed_otherwise(key="unet.{name}.lora_{letter}"),
            "Your names lack the last part, .weight: a loader looks for it.",
        ),
        Wrong(
            packed_otherwise(settings=lambda own: own | {"target_modules": []}),
            "Your settings do not name the layers: target_modules lists them.",
        ),
    ],
)


# 15.6 what was spent
def spent(pictures, levels, iterations, steps, batch):
    """Passes of the network for N pictures, their seeds' iterations and an adapter's training (15.6)."""
    return 2 * levels * (pictures + 4 * iterations) + 3 * steps * batch


def spent_by_parts(pictures, levels, iterations, steps, batch):
    drawing = pictures * levels * 2
    choosing = iterations * levels * 2 * (1 + 1 + 2)
    training = steps * batch * (1 + 2)
    return drawing + choosing + training


def spent_by_loops(pictures, levels, iterations, steps, batch):
    count = sum(2 * levels for _ in range(pictures))
    count += sum(8 * levels for _ in range(iterations))
    return count + sum(3 * batch for _ in range(steps))


SPENT = Exercise(
    "15.6",
    "What was spent",
    points=1,
    difficulty=2,
    importance=5,
    minutes=8,
    equation="(15.6)",
    name="spent",
    reference=spent,
    inputs=lambda g: (whole(g, 5, 30), whole(g, 8, 20), whole(g, 20, 60), whole(g, 40, 90), whole(g, 5, 12)),
    right=[spent_by_parts, spent_by_loops],
    wrong=[
        Wrong(
            lambda n, T, t, S, b: 2 * T * (n + 3 * t) + 3 * S * b,
            "You count three runs an iteration: with checkpoints the forward pass runs once more, so it is four.",
        ),
        Wrong(
            lambda n, T, t, S, b: 2 * T * (n + t) + 3 * S * b,
            "You count an iteration as one run: it is four, forward, forward again, and back at the price of two.",
        ),
        Wrong(
            lambda n, T, t, S, b: T * (n + 4 * t) + 3 * S * b,
            "With guidance a level asks the network twice: with the prompt and without it.",
        ),
        Wrong(
            lambda n, T, t, S, b: 2 * T * (n + 4 * t) + 6 * S * b,
            "In training there is no guidance: a step asks for each picture once, and goes back at the price of two.",
        ),
        Wrong(
            lambda n, T, t, S, b: 2 * T * (n + 4 * t) + S * b,
            "Training goes back through the network as well: a pass forward and two for the way back.",
        ),
        Wrong(
            lambda n, T, t, S, b: 2 * T * (n + 4 * t) + 3 * S,
            "A step of training has `batch` pictures: each of them is a pass.",
        ),
        Wrong(
            lambda n, T, t, S, b: 2 * T * 4 * t + 3 * S * b,
            "The pictures themselves are missing: each is drawn once at the end.",
        ),
        Wrong(
            lambda n, T, t, S, b: 2 * T * n + 4 * t + 3 * S * b,
            "You lost a bracket: an iteration runs through all levels as well, with guidance.",
        ),
    ],
)


# 15.7 the price of a success, with its interval
def price(cost, hits, tries, interval):
    """Cost per success and the ends that go with an interval of the rate (15.7)."""
    low, high = interval(hits, tries)
    each = cost / tries
    point = cost / hits if hits else float("inf")
    return point, each / high, each / low if low > 1e-12 else float("inf")


def price_by_rates(cost, hits, tries, interval):
    rates = (hits / tries, *reversed(interval(hits, tries)))
    return [cost / (tries * p) if p > 1e-9 else math.inf for p in rates]


def price_by_division(cost, hits, tries, interval):
    rates = torch.tensor([hits / tries, interval(hits, tries)[1], interval(hits, tries)[0]], dtype=torch.float64)
    return tuple((cost / tries / rates.clamp(min=0)).tolist())


def call_price(fn, cost, hits, tries):
    """Price and both ends for each number of hits; an infinite one is written as -1."""

    def interval(hits, tries, u=1.96):
        p, q = hits / tries, 1 + u**2 / tries
        middle, half = p + u**2 / (2 * tries), u * (p * (1 - p) / tries + u**2 / (4 * tries**2)) ** 0.5
        return (middle - half) / q if hits else 0.0, (middle + half) / q

    found = [[float(one) for one in fn(cost, k, tries, interval)] for k in hits]
    return torch.tensor([[-1.0 if math.isinf(x) else x for x in row] for row in found], dtype=torch.float64)


def draw_price(g):
    n = whole(g, 12, 30)
    return real(g, 1000.0, 3000.0), [0, whole(g, 1, 3), whole(g, 5, n - 2)], n


PRICE = Exercise(
    "15.7",
    "The price of a success",
    points=2,
    difficulty=3,
    importance=5,
    minutes=12,
    equation="(15.7)",
    name="price",
    reference=price,
    inputs=draw_price,
    call=call_price,
    right=[price_by_rates, price_by_division],
    may_pass={"interval kept": "It makes an interval of hits and tries in the same way on every draw."},
    wrong=[
        Wrong(
            lambda cost, hits, tries, interval: (cost / max(hits, 1), *price(cost, hits, tries, interval)[1:]),
            "Without a success you name a price: nothing was bought, so it is infinite.",
        ),
        Wrong(
            lambda cost, hits, tries, interval: [price(cost, hits, tries, interval)[i] for i in (0, 2, 1)],
            "Your ends are exchanged: the higher rate gives the lower price.",
        ),
        Wrong(
            lambda cost, hits, tries, interval: [one * tries for one in price(cost, hits, tries, interval)],
            "You took the cost as that of one try: it is that of all of them.",
        ),
        Wrong(
            lambda cost, hits, tries, interval: (
                *price(cost, hits, tries, interval)[:2],
                cost / hits * 2 - cost / tries / interval(hits, tries)[1] if hits else float("inf"),
            ),
            "You made the interval as long to both sides: it follows from the two ends of the rate, and is lopsided.",
        ),
        Wrong(
            lambda cost, hits, tries, interval: (
                price(cost, hits, tries, interval)[0],
                *(price(cost, hits, tries, interval)[1:] if hits else [float("inf")] * 2),
            ),
            "Without a success the lower end is still finite: the highest rate that fits no success is not 0.",
        ),
        Wrong(
            lambda cost, hits, tries, interval: (
                price(cost, hits, tries, interval)[0],
                price(cost, hits, tries, interval)[1] if hits else 0.0,
                price(cost, hits, tries, interval)[2],
            ),
            "Without a success the lower end is C / (N p+), not 0: something was spent.",
        ),
        Wrong(
            lambda cost, hits, tries, interval: [price(cost, hits, tries, interval)[0]] * 3,
            "Your interval has no length: use interval(hits, tries), the two ends of the rate.",
        ),
    ],
    tolerance=1e-7,
)


# 15.8 words
REPORT = Exercise(
    "15.8",
    "What would you tell the owner of the pictures?",
    points=4,
    difficulty=3,
    importance=4,
    minutes=20,
    rubric="1 point: judges each way by the encoder that was not in its loss, and says for which ways none was. "
    "1 point: gives a price with its interval, in passes and in seconds, and says where there was no success. "
    "1 point: names a rival that needs neither gradients nor training, at its own price. "
    "1 point: says whose pictures they are, what leaves the machine with an adapter, and one thing that the numbers of "
    "this chapter cannot settle.",
)

EXERCISES = [SQUARE, LIMIT, MEMORY, PROGRESS, PACKED, SPENT, PRICE, REPORT]

QUIZ = [
    Question(
        "The loss has CLIP in it. Who should count the successes?",
        [
            ("CLIP, since it knows the thing best", False, "It was optimised: it finds what moves it."),
            ("An encoder that the loss never saw", True, "It can fail as well, but not in the same way by design."),
            ("The loss itself, if it is low enough", False, "A low loss is what was asked for, not what was wanted."),
        ],
    ),
    Question(
        "Levels and decoder are checkpointed. What still grows with the number of levels?",
        [
            ("The particles that each level began with", True, "64 KiB a level at Stable Diffusion 2's size."),
            ("The network's activations", False, "They are made again, one level at a time."),
            ("Nothing at all", False, "Something must be kept to start each level from again."),
        ],
    ),
    Question(
        "An adapter has r = 4 and alpha = 8. Its file says r = 4 and nothing of alpha. How strong is it when loaded, "
        "as a share of what was trained?",
        [
            ((0.5, 0.5), True, "The loader takes alpha = r: a scale of 1 in place of 2."),
            (1, False, "The scale alpha / r was 2; the loader takes alpha to be r."),
            (2, False, "The other way round: it comes back weaker."),
        ],
        otherwise="Compare the scale alpha / r that was trained with the one that the loader takes.",
    ),
    Question(
        "Nine tries, no success. What is the price of one?",
        [
            ("Nine tries", False, "That would be one success."),
            ("Unknown and at least about three tries", True, "The upper end of the rate is .3, the lower end 0."),
            ("Infinite for certain", False, "No success in nine does not exclude a rate of a tenth."),
        ],
    ),
]
