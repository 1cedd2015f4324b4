"""Chapter 15, seeds and adapters on Stable Diffusion 2: reference answers, inputs, wrong answers, and the quiz."""

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
    """A photograph with up to seven rows to spare, an even or an odd number of them, or none."""
    s = whole(g, 6, 9)
    return (torch.randint(0, 256, (s + whole(g, 0, 7), s, 3), generator=g, dtype=torch.uint8),)


def call_square(fn, photo):
    """Of a photograph and of the same on its side."""
    found = {"tall": fn(photo), "wide": fn(photo.transpose(0, 1).contiguous())}
    if any(one is None for one in found.values()):
        raise TypeError("nothing came back.")
    return found


def cut_by_round(photo):
    s = min(photo.shape[:2])
    i, j = (round((n - s) / 2) for n in photo.shape[:2])
    return photo[i : i + s, j : j + s].double()


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
    draws=16,
    right=[square_by_narrow, square_by_indices],
    wrong=[
        Wrong(
            lambda photo: cut(photo).half().permute(2, 0, 1) / 127.5 - 1,
            "Your numbers are in half precision, which has three digits: float32 has seven.",
        ),
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
        Wrong(
            lambda photo: (cut(photo).byte().permute(2, 0, 1) * 2 - 255) / 255,
            "You calculated with uint8, which begins again at 0 after 255: divide first, or take real numbers.",
        ),
        Wrong(
            lambda photo: cut(photo).permute(2, 0, 1) / 127.5,
            "Your numbers run from 0 to 2: 0 becomes -1 and 255 becomes 1.",
        ),
        Wrong(
            lambda photo: cut(photo).permute(2, 0, 1) / 128 - 1,
            "You divided by 128: then 255 does not become 1.",
        ),
        Wrong(
            lambda photo: cut(photo).reshape(3, *cut(photo).shape[:2]) / 127.5 - 1,
            "You reshaped: that deals the numbers out anew, and permute moves an axis.",
        ),
        Wrong(
            lambda photo: cut(photo).permute(2, 0, 1) / photo.max() * 2 - 1,
            "You divided by the largest number of this picture: 255 becomes 1 in every picture.",
        ),
        Wrong(
            lambda photo: cut_by_round(photo).permute(2, 0, 1) / 127.5 - 1,
            "Some of your squares are a pixel off: round takes a half to the even number, and here it is rounded down.",
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


def references(g):
    """Two to eight references in one to eight dimensions; of four and more, two that lie far off may be the same."""
    n = whole(g, 2, 8)
    found = normal(g, n, whole(g, 1, 8)) * torch.linspace(0.5, 2, n).double()[:, None]
    if n > 3 and whole(g, 0, 1):
        found[-2:] = 3 + 2 * found[-1]
    return (found[torch.randperm(n, generator=g)],)


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
    inputs=references,
    draws=24,
    right=[limit_by_loop, limit_by_differences],
    wrong=[
        Wrong(
            lambda features: between(features).mean(1).max(),
            "You divided by n: each reference has n - 1 others, and its distance to itself is no evidence.",
        ),
        Wrong(
            lambda features: between(features).sum() / (len(features) * (len(features) - 1)),
            "That is the mean over the references, which refuses those that are farther off: take the largest.",
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
        Wrong(
            lambda features: between(features).sum(1).max() / 4,
            "You divided by 4, which is right for five references alone: take their number from `features`.",
        ),
        Wrong(
            lambda features: between(features).sum(1).max(),
            "You added the distances up: a mean divides by how many there are.",
        ),
        Wrong(
            lambda features: (between(features).sum(1) / (len(features) - 1)).median(),
            "That is the median over the references, which refuses half of them: take the largest.",
        ),
        Wrong(
            lambda features: (between(features).square().sum(1) / (len(features) - 1)).max().sqrt(),
            "You took the root of a mean of squares: the distances themselves are averaged.",
        ),
        Wrong(
            lambda features: between(features).fill_diagonal_(float("inf")).amin(1).max(),
            "You took the distance to the nearest of the others: the mean over all of them is asked for.",
        ),
        Wrong(
            lambda features: max(row[row > 0].mean() for row in between(features)),
            "You left out every distance of 0: another reference may be the same, and it counts.",
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
    """Bytes with each of the decoders, plain and checkpointed."""
    found = {}
    for way, again in {"plain": False, "checkpointed": True}.items():
        found[way] = torch.tensor([float(fn(levels, state, network, d, again)) for d in decoders])
    return found


def draw_memory(g):
    """Levels from 1 on, particles that are small beside a network or not, and a decoder on each side of the network."""
    network = real(g, 5.0, 8.0)
    state = real(g, 0.05, 0.1) if whole(g, 0, 1) else real(g, 1.0, 3.0)
    return whole(g, 1, 30), state, network, [network * real(g, 0.3, 0.8), network * real(g, 1.3, 2.0)]


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
    inputs=draw_memory,
    draws=16,
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
            "Your two cases are exchanged: `again` is True where the levels are checkpointed.",
        ),
        Wrong(
            lambda levels, state, network, decoder, again: (
                levels * (state + max(network, decoder)) if again else levels * network + decoder
            ),
            "With checkpoints only one level is open at a time: the larger of the two counts once, not at every level.",
        ),
        Wrong(
            lambda levels, state, network, decoder, again: levels * state + max(network, decoder),
            "You keep the particles alone in both cases: without checkpoints every level keeps its activations.",
        ),
        Wrong(
            lambda levels, state, network, decoder, again: (
                seed_memory(levels, state, network, decoder, again) if again else levels * (network + decoder)
            ),
            "Without checkpoints you count the decoder at every level: it is called once, after the last.",
        ),
        Wrong(
            lambda levels, state, network, decoder, again: seed_memory(
                1 if again else levels, state, network, decoder, again
            ),
            "With checkpoints you keep the particles of one level: all levels keep theirs.",
        ),
        Wrong(
            lambda levels, state, network, decoder, again: (
                max(levels * state, network, decoder) if again else levels * network + decoder
            ),
            "The particles of all levels are there while a network is open: add them to the larger of the two.",
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
    """Up to eight pictures, three of them alike on every draw: one has gone far away, one begins nearer than home."""
    N, home = whole(g, 3, 8), real(g, 0.8, 1.2)
    before = 2 + torch.rand(N, generator=g, dtype=torch.float64)
    after = before - 1.5 * torch.rand(N, generator=g, dtype=torch.float64) + 0.4
    before[0] = home - real(g, 0.1, 0.5)
    after[0] = before[0] + real(g, 0.2, 0.5)
    after[1] = before[1] + real(g, 2.5, 3.5)  # a share below -1
    after[2] = before[2] - (before.mean() - home) * real(g, 1.05, 1.2)  # and one above 1
    places = torch.randperm(N, generator=g)
    return before[places], after[places], home


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
    draws=12,
    tolerance=1e-5,
    right=[
        progress_by_loop,
        progress_by_shares,
        lambda before, after, home: progress(before.float(), after.float(), home),
    ],
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
        Wrong(
            lambda before, after, home: ((before - after) / (before.mean() - home)).clamp(max=1),
            "You cut the shares off at 1: a picture may come nearer than home, and its share counts as it is.",
        ),
        Wrong(
            lambda before, after, home: ((before - after) / (before.mean() - home)).clamp(-1, 1),
            "You cut the shares off at -1 and 1: each counts as it is.",
        ),
        Wrong(
            lambda before, after, home: (before - after).abs() / (before.mean() - home),
            "Your shares have no sign: a picture that went away has a share below 0.",
        ),
        Wrong(
            lambda before, after, home: (before - after) / (before.mean() + home),
            "You added home to the mean: the way from one to the other is their difference.",
        ),
        Wrong(
            lambda before, after, home: (before - after) / (before.median() - home),
            "You took the median before: the mean is asked for.",
        ),
        Wrong(
            lambda before, after, home: (before - after) / (before - home).abs().mean(),
            "Your divisor is a mean of absolute differences: it is the mean of `before`, less home.",
        ),
        Wrong(
            lambda before, after, home: before - after / before.mean() - home,
            "Brackets are missing: a division comes before a subtraction.",
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


def packed_otherwise(key="unet.{name}.lora_{letter}.weight", order="AB", settings=None, turned=""):
    """A wrong file: the pattern of its names, the letters of the two factors, its settings, which lie on their side."""

    def packed(factors, alpha):
        tensors = {}
        for name, pair in factors.items():
            for letter, one in zip(order, pair):
                one = one.T.contiguous() if letter in turned else one
                tensors[key.format(name=name, flat=name.replace(".", "_"), letter=letter)] = one
        r = len(next(iter(factors.values()))[0])
        own = {"r": r, "lora_alpha": alpha, "target_modules": list(factors)}
        return tensors, own if settings is None else own | settings(own)

    return packed


def call_packed(fn, names, As, Bs, alpha):
    """What is in the file: the first name that is missing or too many, the tensors, and the settings."""
    factors = dict(zip(names, zip(As, Bs)))
    given = dict(factors)
    found = fn(factors, alpha)
    if type(found) not in (tuple, list) or [type(one) for one in found] != [dict, dict]:
        raise TypeError("two dictionaries are due, tensors by name and settings")
    tensors, settings = found
    due = {f"unet.{name}.lora_{x}.weight": one for name in given for x, one in zip("AB", given[name])}
    held = [tensors.get(key, torch.zeros_like(one)) for key, one in due.items()]
    kinds = {int: "whole number", float: "number", list: "list", tuple: "list"}
    targets = settings.get("target_modules")
    listed = list(targets) if type(targets) in (list, tuple) else []

    def number(key):
        value = settings.get(key)
        return float(value) if type(value) in (int, float) else 0.0

    def first(found):
        return str([*found, "none"][0])

    if list(factors) != list(given) or any(factors[name] is not given[name] for name in given):
        names.clear()  # a changed dictionary is a changed input
    return {
        "a name that is missing": first(key for key in due if key not in tensors),
        "a name too many": first(key for key in tensors if key not in due),
        "a tensor with gaps": first(key for key in due if key in tensors and not tensors[key].is_contiguous()),
        "a setting that is missing": first(k for k in ("r", "lora_alpha", "target_modules") if k not in settings),
        "kind of r": kinds.get(type(settings.get("r")), type(settings.get("r")).__name__),
        "kind of target_modules": kinds.get(type(targets), type(targets).__name__),
        "a layer that is not named": first(name for name in given if name not in listed),
        "a layer too many": first(one for i, one in enumerate(listed) if one not in given or one in listed[:i]),
        "r": number("r"),
        "lora_alpha": number("lora_alpha"),
        "shapes": " ".join("x".join(map(str, one.shape)) for one in held),
        "A and B": torch.cat([one.flatten() for one in held]),
    }


def draw_factors(g):
    """One to four layers, each of its own size; the rank is above all sizes or among them."""
    r = whole(g, 1, 4) if whole(g, 0, 1) else 9
    places = ("to_q", "to_k", "to_v", "to_out.0")[: whole(g, 1, 4)]
    names = [f"down_blocks.{i}.attn{whole(g, 1, 2)}.{place}" for i, place in enumerate(places)]
    sizes = [(whole(g, 2, 8), whole(g, 2, 8)) for _ in names]
    return names, [normal(g, r, n) for n, _ in sizes], [normal(g, m, r) for _, m in sizes], r * real(g, 1.5, 3.0)


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
    draws=20,
    right=[packed_by_zip, packed_by_letters],
    wrong=[
        Wrong(
            lambda factors, alpha: (
                packed(factors, alpha)[0],
                {k: v for k, v in packed(factors, alpha)[1].items() if k != "lora_alpha"},
            ),
            "alpha is not in your settings: a loader takes it to be r, and the adapter comes back weaker.",
        ),
        Wrong(
            packed_otherwise(settings=lambda own: {"lora_alpha": own["lora_alpha"] / own["r"]}),
            "You wrote the scale alpha / r as alpha: the loader divides by r again.",
        ),
        Wrong(
            packed_otherwise(settings=lambda own: {"lora_alpha": own["lora_alpha"] * own["r"]}),
            "You multiplied alpha by r: it goes in as it is, and the loader divides it by r.",
        ),
        Wrong(
            packed_otherwise(settings=lambda own: {"lora_alpha": own["r"]}),
            "You wrote r as alpha: that is what a loader takes where alpha is missing.",
        ),
        Wrong(
            packed_otherwise(settings=lambda own: {"lora_alpha": int(own["lora_alpha"])}),
            "You cut alpha off to a whole number: it goes in as it is.",
        ),
        Wrong(
            packed_otherwise(settings=lambda own: {"r": 1}),
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
            lambda factors, alpha: (
                packed(factors, alpha)[0],
                packed(factors, alpha)[1] | {"r": min(next(iter(factors.values()))[0].shape)},
            ),
            "You took the smaller side of A for r: it is the number of its rows, also where that is the larger side.",
        ),
        Wrong(
            packed_otherwise(settings=lambda own: {"r": float(own["r"])}),
            "Your r is a real number: a loader makes a layer with r rows, so write a whole one.",
        ),
        Wrong(
            lambda factors, alpha: packed({name: (A, alpha / len(A) * B) for name, (A, B) in factors.items()}, alpha),
            "You multiplied the scale into B: the file holds A and B as they are, and the loader scales them.",
        ),
        Wrong(
            packed_otherwise(settings=lambda own: {"target_modules": [f"unet.{x}" for x in own["target_modules"]]}),
            "Your target_modules begin with unet.: they are the names in `factors`, only the tensors' names begin so.",
        ),
        Wrong(
            packed_otherwise(settings=lambda own: {"target_modules": ["to_q", "to_k", "to_v"]}),
            "Your target_modules are not the names in `factors`: write each in full.",
        ),
        Wrong(
            packed_otherwise(settings=lambda own: {"target_modules": own["target_modules"] * 2}),
            "Your target_modules name each layer twice: once is due, not once for A and once for B.",
        ),
        Wrong(
            packed_otherwise(settings=lambda own: {"target_modules": dict.fromkeys(own["target_modules"]).keys()}),
            "Your target_modules are the keys of a dictionary, which no text can hold: write a list.",
        ),
        Wrong(
            packed_otherwise(settings=lambda own: {"target_modules": set(own["target_modules"])}),
            "Your target_modules are a set, which no text can hold: write a list.",
        ),
        Wrong(
            packed_otherwise(settings=lambda own: {"target_modules": []}),
            "Your settings do not name the layers: target_modules lists them.",
        ),
        Wrong(
            lambda factors, alpha: (
                packed(factors, alpha)[0],
                {f"unet.{key}": value for key, value in packed(factors, alpha)[1].items()},
            ),
            "Your settings begin with unet.: the next cell adds that.",
        ),
        Wrong(
            packed_otherwise(key="{name}.lora_{letter}.weight"),
            "Your names do not say which part of the pipeline they belong to: they begin with unet.",
        ),
        Wrong(
            packed_otherwise(key="unet.{flat}.lora_{letter}.weight"),
            "Your names have underscores in place of a layer's dots: keep it as it stands in `factors`.",
        ),
        Wrong(
            packed_otherwise(key="unet.{name}.lora_{letter}.default.weight"),
            "Your names have .default in them, the name that peft gives an adapter in memory: a file has it not.",
        ),
        Wrong(
            lambda factors, alpha: (
                {
                    key.replace("lora_A", "lora_down").replace("lora_B", "lora_up"): one
                    for key, one in packed(factors, alpha)[0].items()
                },
                packed(factors, alpha)[1],
            ),
            "lora_down and lora_up are names of another form of file: here they are lora_A and lora_B.",
        ),
        Wrong(
            packed_otherwise(key="unet.{name}.lora_{letter}"),
            "Your names lack the last part, .weight: a loader looks for it.",
        ),
        Wrong(packed_otherwise(order="BA"), "A and B are exchanged: A is (r, in) and B is (out, r)."),
        Wrong(packed_otherwise(turned="AB"), "A and B lie on their sides: the file holds them as they are."),
        Wrong(packed_otherwise(turned="A"), "A lies on its side: the file holds it as it is, (r, in)."),
        Wrong(packed_otherwise(turned="B"), "B lies on its side: the file holds it as it is, (out, r)."),
        Wrong(
            lambda factors, alpha: (packed(dict([*factors.items()][-1:]), alpha)[0], packed(factors, alpha)[1]),
            "Only the last layer is in your file: make the dictionary before the loop, and add to it inside.",
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


def draw_spent(g):
    """Pictures with and without iterations and training, whose number of steps is 0 where there is none."""
    iterations, steps = (whole(g, 0, 1) * whole(g, 1, 90) for _ in range(2))
    return whole(g, 1, 60), whole(g, 1, 30), iterations, steps, whole(g, 1, 200)


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
    inputs=draw_spent,
    draws=16,
    right=[spent_by_parts, spent_by_loops],
    wrong=[
        Wrong(
            lambda n, T, t, S, b: 2 * T * (n + 3 * t) + 3 * S * b,
            "You count three runs an iteration: (15.6) counts four, forward, forward again, and two for the way back.",
        ),
        Wrong(
            lambda n, T, t, S, b: 2 * T * (n + t) + 3 * S * b,
            "You count an iteration as one run: (15.6) counts four, and the way back alone as two.",
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
        Wrong(
            lambda n, T, t, S, b: 2 * T * n + 4 * T * t + 3 * S * b,
            "Your iterations run without guidance: a level asks twice there too.",
        ),
        Wrong(
            lambda n, T, t, S, b: 2 * T * (n + 4 * t),
            "Training is missing: each of its steps costs passes as well.",
        ),
        Wrong(
            lambda n, T, t, S, b: 2 * T * (n + 4 * S) + 3 * t * b,
            "Iterations and steps are exchanged: t chooses seeds, S trains.",
        ),
        Wrong(
            lambda n, T, t, S, b: 2 * T * (n + 4 * t) + 3 * T * S * b,
            "You multiplied training by the levels: a step of it asks at one level a picture.",
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


def call_price(fn, cost, hits, tries, u):
    """Price and both ends, with an interval of u standard errors; None, which is no number, as NaN."""

    def interval(hits, tries):
        p, q = hits / tries, 1 + u**2 / tries
        middle, half = p + u**2 / (2 * tries), u * (p * (1 - p) / tries + u**2 / (4 * tries**2)) ** 0.5
        return (middle - half) / q if hits else 0.0, (middle + half) / q

    found = list(fn(cost, hits, tries, interval))
    if len(found) != 3:
        raise ValueError(f"{len(found)} numbers came back where three are due")
    found = [float("nan") if one is None else float(one) for one in found]
    return dict(zip(("price", "lower end", "upper end"), found))


def draw_price(g):
    """No success, some, or as many as tries, and an interval that is narrower or wider than that of 95 %."""
    n, kind = whole(g, 3, 30), whole(g, 0, 2)
    return real(g, 1000.0, 3000.0), (0, whole(g, 1, n - 1), n)[kind], n, real(g, 1.2, 2.8)


def wilson(hits, tries, u=1.96):
    """The interval of (8.8) at 95 %, which an answer might take in place of the one it is given."""
    p, q = hits / tries, 1 + u**2 / tries
    middle, half = p + u**2 / (2 * tries), u * (p * (1 - p) / tries + u**2 / (4 * tries**2)) ** 0.5
    return (middle - half) / q if hits else 0.0, (middle + half) / q


def priced(swap):
    """A wrong answer in which `swap` stands in place of an infinite number."""
    return lambda *given: [swap if one == math.inf else one for one in price(*given)]


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
    draws=24,
    right=[price_by_rates, price_by_division],
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
        Wrong(priced(-1.0), 'You wrote -1 for an infinite number: it is float("inf").'),
        Wrong(priced(-math.inf), 'Your infinite prices are below 0: write float("inf"), without a sign.'),
        Wrong(priced(None), 'You wrote None or NaN for an infinite number: it is float("inf").'),
        Wrong(priced(0.0), 'You wrote 0 for an infinite number: nothing is not cheap, so it is float("inf").'),
        Wrong(
            lambda cost, hits, tries, interval: (
                *price(cost, hits, tries, interval)[:2],
                cost if not hits else price(cost, hits, tries, interval)[2],
            ),
            "Without a success your upper end is what was spent: no rate above 0 is sure, so it is infinite.",
        ),
        Wrong(
            lambda cost, hits, tries, interval: (
                price(cost, hits, tries, interval)[0],
                *(one * tries for one in price(cost, hits, tries, interval)[1:]),
            ),
            "Your ends lack the number of tries: the cost of one try is C / N.",
        ),
        Wrong(
            lambda cost, hits, tries, interval: (
                price(cost, hits, tries, interval)[0] * tries,
                *price(cost, hits, tries, interval)[1:],
            ),
            "You divided the whole cost by a rate: the price is C / k, with the number of successes.",
        ),
        Wrong(
            lambda cost, hits, tries, interval: (
                cost // hits if hits else float("inf"),
                *price(cost, hits, tries, interval)[1:],
            ),
            "Your price is a whole number: / divides, and // drops what is left over.",
        ),
        Wrong(
            lambda cost, hits, tries, interval: [price(cost, hits, tries, interval)[i] for i in (1, 0, 2)],
            "Your order is lower end, price, upper end: the price comes first.",
        ),
        Wrong(
            lambda cost, hits, tries, interval: price(cost, hits, tries, wilson),
            "You made an interval of your own: use interval(hits, tries), whatever it is.",
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
