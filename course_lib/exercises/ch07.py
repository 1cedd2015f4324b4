"""Chapter 7, fine-tuning without collapse: reference answers, inputs, anticipated wrong answers, and the quiz."""

import torch

from course_lib import training
from course_lib.denoisers import GaussianMixture
from course_lib.exercises.declare import Exercise, Question, Wrong, any_order
from course_lib.exercises.draws import normal, real, whole
from course_lib.metrics import nearest_mode, on_mode
from course_lib.samplers import geometric, sample

# 7.1 the layer


def adapted_layer(x, W, b, A, B, alpha):
    """W x + b + alpha / r B A x (7.1) for each row of x, (N, in) -> (N, out)."""
    return x @ (W + alpha / len(A) * B @ A).T + b


def adapted_in_two(x, W, b, A, B, alpha):
    return torch.nn.functional.linear(x, W, b) + alpha / A.shape[0] * (x @ A.T) @ B.T


def adapted_by_row(x, W, b, A, B, alpha):
    return torch.stack([W @ row + b + (alpha / B.shape[1]) * (B @ (A @ row)) for row in x])


def draw_layer(g):
    n, m, r = whole(g, 5, 8), whole(g, 5, 8), whole(g, 2, 3)
    return normal(g, 4, n), normal(g, m, n), normal(g, m), normal(g, r, n), normal(g, m, r), real(g, 4.5, 9.0)


LAYER = Exercise(
    "7.1",
    "A layer with an adapter",
    points=2,
    difficulty=2,
    importance=5,
    minutes=10,
    equation="(7.1)",
    name="adapted_layer",
    reference=adapted_layer,
    inputs=draw_layer,
    right=[adapted_in_two, adapted_by_row],
    wrong=[
        Wrong(
            lambda x, W, b, A, B, alpha: x @ (W + alpha * B @ A).T + b,
            "You multiply by alpha alone: the scale in (7.1) is alpha divided by the rank.",
        ),
        Wrong(
            lambda x, W, b, A, B, alpha: x @ (W + B @ A).T + b,
            "alpha changes nothing in your answer: the product B A has a scale before it.",
        ),
        Wrong(
            lambda x, W, b, A, B, alpha: x @ (alpha / len(A) * B @ A).T + b,
            "Your adapter replaces the layer: W x stays, and the adapter is added to it.",
        ),
        Wrong(
            lambda x, W, b, A, B, alpha: x @ (W + alpha / len(A) * B @ A).T,
            "The bias b is missing: it stays as it was.",
        ),
        Wrong(
            lambda x, W, b, A, B, alpha: x @ (W + alpha / len(A) ** 0.5 * B @ A).T + b,
            "You divided by the root of the rank: that is a variant of LoRA; (7.1) divides by the rank itself.",
        ),
        Wrong(
            lambda x, W, b, A, B, alpha: x @ (W + alpha / A.shape[1] * B @ A).T + b,
            "You divided by the number of inputs: the rank r is the number of rows of A.",
        ),
        Wrong(
            lambda x, W, b, A, B, alpha: alpha / len(A) * x @ (W + B @ A).T + b,
            "Your scale multiplies W as well: it stands before B A only.",
        ),
    ],
)


# 7.2 what is added, and what it costs


def added(A, B, alpha):
    """The change of the weights (out, in), and how many numbers are trained for it (7.2)."""
    return alpha / len(A) * B @ A, A.numel() + B.numel()


def added_by_outer(A, B, alpha):
    r = B.shape[1]
    delta = sum(torch.outer(B[:, k], A[k]) for k in range(r)) * alpha / r
    return delta, r * (A.shape[1] + B.shape[0])


def added_by_einsum(A, B, alpha):
    return torch.einsum("or,ri->oi", B, A) * (alpha / A.shape[0]), sum(p.numel() for p in (A, B))


def of_rank(fn, inputs):
    """The change has the rank of the adapter and not more."""
    A, B, alpha = inputs
    if torch.linalg.matrix_rank(fn(A, B, alpha)[0]) > len(A):
        return "Your change has a higher rank than r: it must be a multiple of B A."
    return None


ADDED = Exercise(
    "7.2",
    "What is added, and what it costs",
    points=2,
    difficulty=2,
    importance=4,
    minutes=8,
    equation="(7.1), (7.2)",
    name="added",
    reference=added,
    inputs=lambda g: (
        normal(g, r := whole(g, 2, 3), n := whole(g, 6, 8)),
        normal(g, n + whole(g, 1, 3), r),
        real(g, 4.5, 9.0),
    ),
    right=[added_by_outer, added_by_einsum],
    properties=[of_rank],
    wrong=[
        Wrong(
            lambda A, B, alpha: (alpha / len(A) * B @ A, (B @ A).numel()),
            "You counted the entries of the change: what is trained are the entries of A and of B.",
        ),
        Wrong(
            lambda A, B, alpha: (alpha * B @ A, A.numel() + B.numel()),
            "The count is right; the change lacks the division by the rank.",
        ),
        Wrong(
            lambda A, B, alpha: (B @ A, A.numel() + B.numel()),
            "The count is right; the change has a scale, alpha over the rank.",
        ),
        Wrong(
            lambda A, B, alpha: (alpha / len(A) * B @ A, A.numel() * B.numel()),
            "You multiplied the two sizes: the entries of A and those of B are added up.",
        ),
        Wrong(
            lambda A, B, alpha: (alpha / len(A) * B @ A, A.numel()),
            "You forgot to count B, which is trained as well.",
        ),
        Wrong(
            lambda A, B, alpha: (alpha / len(A) * (B @ A).T, A.numel() + B.numel()),
            "Your change lies on its side: it has the shape of W, (out, in).",
        ),
        Wrong(
            lambda A, B, alpha: (alpha / len(A) * B @ A, len(A)),
            "You returned the rank: count the numbers that are trained.",
        ),
    ],
)


# 7.3 prior preservation


def preserved(loss_of, prior_of, lam):
    """The loss (7.4) as a function of a pair of batches: the library's own."""
    return training.preserving(loss_of, prior_of, lam)


def preserved_plainly(loss_of, prior_of, lam):
    return lambda pair: loss_of(pair[0]) + lam * prior_of(pair[1])


def preserved_by_def(loss_of, prior_of, lam):
    def loss(pair):
        subject, of_class = pair
        total = torch.stack([loss_of(subject), prior_of(of_class)])
        return (total * torch.tensor([1.0, lam], dtype=total.dtype)).sum()

    return loss


def call_preserved(fn, subject, of_class, lam, a, b):
    """The answer's loss on a pair of batches, from two losses that differ."""
    return fn(lambda x: a * x.square().mean(), lambda x: b * x.abs().mean(), lam)((subject, of_class))


PRESERVED = Exercise(
    "7.3",
    "Keep what you had",
    points=2,
    difficulty=2,
    importance=5,
    minutes=8,
    equation="(7.4)",
    name="preserved",
    reference=preserved,
    inputs=lambda g: (normal(g, 5, 2), normal(g, 7, 2), real(g, 0.2, 0.8), real(g, 0.5, 1.5), real(g, 2.0, 4.0)),
    call=call_preserved,
    right=[preserved_plainly, preserved_by_def],
    wrong=[
        Wrong(
            lambda loss_of, prior_of, lam: lambda pair: lam * loss_of(pair[0]) + prior_of(pair[1]),
            "Your lam weighs the subject: in (7.4) it weighs the prior.",
        ),
        Wrong(
            lambda loss_of, prior_of, lam: lambda pair: loss_of(pair[0]) + prior_of(pair[1]),
            "lam changes nothing in your answer: it multiplies the loss on the class.",
        ),
        Wrong(
            lambda loss_of, prior_of, lam: lambda pair: loss_of(pair[0]) + lam * loss_of(pair[1]),
            "You took the subject's loss twice: the pictures of the class are learnt under the class's own prompt.",
        ),
        Wrong(
            lambda loss_of, prior_of, lam: lambda pair: loss_of(pair[0]) + lam * prior_of(pair[0]),
            "You showed the subject's pictures under the class's prompt: that is the collapse itself; use the second "
            "batch of the pair.",
        ),
        Wrong(
            lambda loss_of, prior_of, lam: lambda pair: (1 - lam) * loss_of(pair[0]) + lam * prior_of(pair[1]),
            "You take a weighted mean of the two losses: (7.4) leaves the first one as it is.",
        ),
        Wrong(
            lambda loss_of, prior_of, lam: lambda pair: loss_of(pair[0]) - lam * prior_of(pair[1]),
            "Your sign rewards a bad prior: both losses are to be small.",
        ),
        Wrong(
            lambda loss_of, prior_of, lam: lambda pair: loss_of(pair[1]) + lam * prior_of(pair[0]),
            "You swapped the batches: the pair is (subject, class).",
        ),
    ],
    home="course_lib.training:preserving",
    may_pass={"argument 1 of what is returned reordered": "Both losses are means over a batch."},
)


# 7.4 early stopping on the right number


def checkpoint(losses, modes, least):
    """Index of the lowest held-out loss among the checkpoints with at least `least` effective modes."""
    return int(losses.where(modes >= least, torch.full_like(losses, torch.inf)).argmin())


def checkpoint_by_loop(losses, modes, least):
    best = None
    for i in range(len(losses)):
        if modes[i] >= least and (best is None or losses[i] < losses[best]):
            best = i
    return best


def checkpoint_by_filter(losses, modes, least):
    good = torch.nonzero(modes >= least).flatten()
    return int(good[losses[good].argmin()])


def draw_curves(g):
    """Modes that go down with noise, a loss without a trend, so that its lowest may pass or not, and a tie."""
    n = whole(g, 12, 16)
    losses = 0.3 + torch.rand(n, generator=g)
    modes = torch.linspace(7.5, 3, n) + torch.randn(n, generator=g)
    least = 5.0 + 0.4 * torch.rand((), generator=g).item()
    return losses, modes, modes[checkpoint(losses, modes, least)].item()  # the right one just passes


CHECKPOINT = Exercise(
    "7.4",
    "Stop at the right number",
    points=2,
    difficulty=2,
    importance=4,
    minutes=10,
    name="checkpoint",
    reference=checkpoint,
    inputs=draw_curves,
    right=[checkpoint_by_loop, checkpoint_by_filter],
    draws=16,
    wrong=[
        Wrong(
            lambda losses, modes, least: int(losses.argmin()),
            "You take the lowest loss of all: at that checkpoint the class may be gone; look at the probe too.",
        ),
        Wrong(
            lambda losses, modes, least: int(modes.argmax()),
            "You take the most diverse checkpoint, which is near the start and has not learnt the subject.",
        ),
        Wrong(
            lambda losses, modes, least: int(torch.nonzero(modes >= least).max()),
            "You take the last checkpoint that is diverse enough: of those, the one with the lowest loss is due.",
        ),
        Wrong(
            lambda losses, modes, least: int(torch.nonzero(modes >= least).min()),
            "You take the first checkpoint that is diverse enough: that is hardly trained at all.",
        ),
        Wrong(
            lambda losses, modes, least: int(losses[modes >= least].argmin()),
            "Your index counts only the checkpoints that pass: return its place among all of them.",
        ),
        Wrong(
            lambda losses, modes, least: int(losses.where(modes < least, torch.tensor(torch.inf)).argmin()),
            "Your comparison is turned round: the probe must be at least `least`.",
        ),
        Wrong(
            lambda losses, modes, least: int(losses.where(modes > least, torch.tensor(torch.inf)).argmin()),
            "A checkpoint with exactly `least` effective modes passes too: at least that many are asked for.",
        ),
        Wrong(
            lambda losses, modes, least: float(losses[modes >= least].min()),
            "You returned the loss: its index is due.",
        ),
    ],
)


# 7.5 averaging adapters


def averaged(As, Bs, alpha):
    """The mean of the adapters' changes (7.5), (n, r, in) and (n, out, r) -> (out, in)."""
    return alpha / As.shape[1] * torch.bmm(Bs, As).mean(0)


def averaged_by_loop(As, Bs, alpha):
    total = sum((alpha / len(A)) * (B @ A) for A, B in zip(As, Bs))
    return total / len(As)


def averaged_by_stacking(As, Bs, alpha):
    """All factors side by side are one adapter of rank n r."""
    n, r = As.shape[:2]
    return alpha / (n * r) * torch.cat(list(Bs), 1) @ torch.cat(list(As), 0)


AVERAGED = Exercise(
    "7.5",
    "The mean of several adapters",
    points=2,
    difficulty=3,
    importance=4,
    minutes=10,
    equation="(7.5)",
    name="averaged",
    reference=averaged,
    inputs=lambda g: (
        normal(g, n := whole(g, 3, 5), r := whole(g, 2, 3), m := whole(g, 5, 8)),
        normal(g, n, m + 1, r),
        real(g, 4.5, 9.0),
    ),
    right=[averaged_by_loop, averaged_by_stacking],
    wrong=[
        Wrong(
            lambda As, Bs, alpha: alpha / As.shape[1] * Bs.mean(0) @ As.mean(0),
            "You averaged the factors and then multiplied: each B belongs to its own A; multiply first.",
        ),
        Wrong(
            lambda As, Bs, alpha: alpha / As.shape[1] * torch.bmm(Bs, As).sum(0),
            "You added the changes up: each has the share 1 / n.",
        ),
        Wrong(
            lambda As, Bs, alpha: torch.bmm(Bs, As).mean(0),
            "The scale alpha over the rank is missing.",
        ),
        Wrong(
            lambda As, Bs, alpha: alpha * torch.bmm(Bs, As).mean(0),
            "The scale is alpha over the rank: you forgot the rank.",
        ),
        Wrong(
            lambda As, Bs, alpha: alpha / len(As) * torch.bmm(Bs, As).mean(0),
            "You divided alpha by the number of adapters; the mean has done that; alpha goes with the rank.",
        ),
        Wrong(
            lambda As, Bs, alpha: alpha / As.shape[1] * Bs[0] @ As[0],
            "That is the first adapter alone.",
        ),
        Wrong(
            lambda As, Bs, alpha: alpha / (len(As) * As.shape[1]) * Bs.sum(0) @ As.sum(0),
            "You multiplied sums of factors: cross terms between the adapters appear that nobody trained.",
        ),
    ],
)


# 7.6 experiment: an ensemble whose samples are a mixture

PLACES, WIDE = 4, 0.05


def ensemble(members, n, g):
    """n samples, each from one member drawn at random, (7.6)."""
    levels = geometric(4.0, 0.02, 20)
    who = torch.randint(len(members), (n,), generator=g)
    x = 4.0 * torch.randn(n, 2, generator=g)
    for i, D in enumerate(members):
        if (who == i).any():
            x[who == i] = sample(D, x[who == i], levels)
    return x


def ensemble_in_turn(members, n, g):
    x = 4.0 * torch.randn(n, 2, generator=g)
    parts = [sample(D, x[i :: len(members)], geometric(4.0, 0.02, 25)) for i, D in enumerate(members)]
    return torch.cat(parts)


def of_means(members, n, g):
    def mean(x, sigma):
        return sum(D(x, sigma) for D in members) / len(members)

    return sample(mean, 4.0 * torch.randn(n, 2, generator=g), geometric(4.0, 0.02, 20))


def first_only(members, n, g):
    return sample(members[0], 4.0 * torch.randn(n, 2, generator=g), geometric(4.0, 0.02, 20))


def call_ensemble(fn, angle, seed):
    """203 samples of an ensemble of four denoisers, each of which knows one place; how far they lie from those of the
    same generator once more, and of another."""
    places = torch.stack([torch.tensor([angle + i * torch.pi / 2]) for i in range(4)])
    centres = torch.cat([places.cos(), places.sin()], 1).double()
    members = [GaussianMixture(centre[None], 0.05) for centre in centres]
    x, again, other = (fn(members, 203, torch.Generator().manual_seed(seed + i)) for i in (0, 0, 1))
    return {"x": x, "again": (again - x).abs().max(), "other": (other - x).abs().max()}


BETWEEN = (
    "Your samples lie between the members' places: you averaged denoisers or samples; let each sample have one member."
)
ONE_ONLY = "Some members draw too little: every member draws about the same share of the samples."
ELSEWHERE = "The same g gives other samples the second time: hand generator=g to everything that draws."
AGAIN = "Another g gives the same samples: draw from the g that you are given, and seed nothing inside."


def accept_ensemble(answer, inputs):
    """That samples lie where some member puts them, that all members take part, and that g decides."""
    x = answer["x"]
    angle = inputs[0] + torch.arange(PLACES) * torch.pi / 2
    centres = torch.stack([angle.cos(), angle.sin()], 1).to(x)
    if on_mode(x, centres, 4 * WIDE).double().mean() < 0.9:
        return BETWEEN
    if torch.bincount(nearest_mode(x, centres), minlength=PLACES).min() < 20:
        return ONE_ONLY
    if answer["again"] > 1e-9:
        return ELSEWHERE
    return AGAIN if answer["other"] < 1e-9 else None


ENSEMBLE = Exercise(
    "7.6",
    "An ensemble that draws",
    points=3,
    difficulty=3,
    importance=4,
    minutes=15,
    equation="(7.6)",
    name="ensemble",
    reference=ensemble,
    inputs=lambda g: (real(g, 0.0, 1.5), whole(g, 0, 2**31 - 1)),
    call=call_ensemble,
    accept=accept_ensemble,
    right=[ensemble_in_turn],
    wrong=[
        Wrong(of_means, BETWEEN),
        Wrong(first_only, ONE_ONLY),
        Wrong(lambda members, n, g: ensemble(members, n, None), ELSEWHERE),
        Wrong(lambda members, n, g: ensemble(members, n, torch.Generator().manual_seed(0)), AGAIN),
    ],
    needs=("sample", "geometric"),
    may_pass=any_order("answer", "members"),
)


# 7.7 the fact-check

MEASURED = (
    "share_nonzero", "rank_of_rand", "loss_before", "loss_adapted", "modes_lora", "modes_dropout", "modes_decay",
    "modes_plain", "modes_augmented", "fidelity_mixture", "fidelity_products", "fidelity_factors", "modes_lowest_loss",
    "modes_tuned", "fidelity_tuned",
)  # fmt: skip
WAYS = ("mixture", "products", "factors")
CLAIMS = ("L3", "L4", "L5", "L7", "L8", "L9", "L10", "L11", "L12")


def verdicts(m):
    """Claim -> "true", "false" or "untestable" by the rules of the table in the text."""

    def mark(holds):
        return "true" if holds else "false"

    fidelities = [m["fidelity_mixture"], m["fidelity_products"], m["fidelity_factors"]]
    return {
        "L3": mark(abs(m["loss_adapted"] - m["loss_before"]) > 1e-9),
        "L4": mark(m["modes_lora"] >= 7),
        "L5": mark(m["share_nonzero"] < 0.5),
        "L7": mark(any(a >= 7 and b >= 0.95 for a, b in zip(m["modes_tuned"], m["fidelity_tuned"]))),
        "L8": mark(max(m["modes_dropout"], m["modes_decay"]) >= 7),
        "L9": mark(m["rank_of_rand"] < 256),
        "L10": mark(m["modes_augmented"] >= m["modes_plain"] + 1),
        "L11": "untestable" if max(fidelities) - min(fidelities) > 0.2 else mark(min(fidelities) >= 0.95),
        "L12": mark(m["modes_lowest_loss"] >= 7),
    }


def verdicts_by_cases(m):
    found = dict.fromkeys(("L3", "L4", "L5", "L7", "L8", "L9", "L10", "L11", "L12"), "false")
    if m["loss_adapted"] != m["loss_before"]:
        found["L3"] = "true"
    for claim, key in (("L4", "modes_lora"), ("L12", "modes_lowest_loss")):
        if m[key] >= 7:
            found[claim] = "true"
    if not m["share_nonzero"] >= 0.5:
        found["L5"] = "true"
    for i in range(len(m["modes_tuned"])):
        if m["modes_tuned"][i] >= 7 and m["fidelity_tuned"][i] >= 0.95:
            found["L7"] = "true"
    if m["modes_dropout"] >= 7 or m["modes_decay"] >= 7:
        found["L8"] = "true"
    if m["rank_of_rand"] < 256:
        found["L9"] = "true"
    if m["modes_augmented"] - m["modes_plain"] >= 1:
        found["L10"] = "true"
    low, _, high = sorted([m["fidelity_mixture"], m["fidelity_products"], m["fidelity_factors"]])
    if high - low > 0.2:
        found["L11"] = "untestable"
    elif low >= 0.95:
        found["L11"] = "true"
    return found


def verdicts_with(claim, rule):
    """The reference but for one claim."""
    return lambda m: verdicts(m) | {claim: rule(m)}


def verdicts_by_update(m):
    found = verdicts_by_cases(m)
    found.update(L9="false" if m["rank_of_rand"] >= 256 else "true")
    return found


def call_verdicts(fn, *values):
    """The answer's verdicts as words."""
    names = "share_nonzero rank_of_rand loss_before loss_adapted modes_lora modes_dropout modes_decay modes_plain "
    names += "modes_augmented fidelity_mixture fidelity_products fidelity_factors modes_lowest_loss modes_tuned "
    found = fn(dict(zip((names + "fidelity_tuned").split(), values)))
    claims = ("L3", "L4", "L5", "L7", "L8", "L9", "L10", "L11", "L12")
    return {claim: str(found.get(claim, "missing")) for claim in claims}


def draw_measured(g):
    """Numbers as another network might give them, on either side of every line."""

    def coin():
        return torch.rand((), generator=g).item() < 0.5

    loss, changed = real(g, 0.4, 0.9), (-0.3, 0.0, 0.0, 0.3)[whole(g, 0, 3)]
    near = real(g, 0.9, 1.0)
    spread = (0.0, 0.0, 0.0) if coin() else (0.0, 0.4, 0.8)
    # settings (modes, fidelity): one with both; one with modes alone, beside others or not; none
    kinds = ([(7.5, 0.97), (2, 0.9), (3, 0.98)], [(7.6, 0.8), (2, 0.9), (3, 0.7)], [(7.4, 0.7), (1.5, 0.98), (3, 0.9)],
             [(6.5, 0.97), (2, 0.9), (3, 0.98)])  # fmt: skip
    settings = [(m + real(g, -0.3, 0.3), f + real(g, -0.01, 0.01)) for m, f in kinds[whole(g, 0, 3)]]
    modes, fidelities = (list(column) for column in zip(*settings))
    return (
        real(g, 0.0, 1.0), whole(g, 2, 512), loss, loss + changed, real(g, 1, 8), real(g, 1, 8),
        real(g, 1, 8), plain := real(g, 1, 5), plain + real(g, 0.1, 2), near - spread[0], near - spread[1],
        near - spread[2], real(g, 1, 8), modes, fidelities,
    )  # fmt: skip


def told(holds):
    return "true" if holds else "false"


VERDICTS = Exercise(
    "7.7",
    "The fact-check",
    points=4,
    difficulty=3,
    importance=5,
    minutes=25,
    name="verdicts",
    reference=verdicts,
    inputs=draw_measured,
    call=call_verdicts,
    draws=30,
    right=[verdicts_by_cases, verdicts_by_update],
    wrong=[
        Wrong(
            verdicts_with("L4", lambda m: told(m["modes_lora"] > 1.5)),
            "L4: to avoid collapse is to keep at least 7 effective modes, not to be a little above one.",
        ),
        Wrong(
            verdicts_with("L5", lambda m: told(m["rank_of_rand"] < 256)),
            "L5 speaks of entries that are not zero: judge it by the share of them, not by a rank.",
        ),
        Wrong(
            verdicts_with("L7", lambda m: told(max(m["modes_tuned"]) >= 7)),
            "L7: a setting that keeps the modes and does not learn the subject is no solution; ask for both numbers.",
        ),
        Wrong(
            verdicts_with("L7", lambda m: told(max(m["modes_tuned"]) >= 7 and max(m["fidelity_tuned"]) >= 0.95)),
            "L7: modes and fidelity must be reached by the same setting, not each by another one.",
        ),
        Wrong(
            verdicts_with("L8", lambda m: told(min(m["modes_dropout"], m["modes_decay"]) >= 7)),
            "L8 says dropout or weight decay: one of them is enough.",
        ),
        Wrong(
            verdicts_with("L9", lambda m: told(m["rank_of_rand"] < 512)),
            "L9: one less than full is not low; the line is at half of the 512 rows.",
        ),
        Wrong(
            verdicts_with("L10", lambda m: told(m["modes_augmented"] > m["modes_plain"])),
            "L10: the line is a whole effective mode more, not any tiny gain.",
        ),
        Wrong(
            verdicts_with("L11", lambda m: told(m["fidelity_mixture"] >= 0.95)),
            "L11 does not say which ensemble: where three readings disagree, the claim as it stands is untestable.",
        ),
        Wrong(
            verdicts_with("L11", lambda m: told(min(m[f"fidelity_{way}"] for way in WAYS) >= 0.95)),
            "L11 has three outcomes: where the three fidelities differ by more than .2 it is untestable.",
        ),
        Wrong(
            verdicts_with("L3", lambda m: told(m["loss_adapted"] - m["loss_before"] > 1e-9)),
            "L3: a loss that has become smaller differs too; compare the size of the difference.",
        ),
        Wrong(
            lambda m: {claim: found == "true" for claim, found in verdicts(m).items()},
            "The values of the dictionary are words: true, false or untestable, as strings.",
        ),
        Wrong(
            verdicts_with("L12", lambda m: told(m["modes_lora"] >= 7)),
            "L12: look at the checkpoint with the lowest held-out loss, not at the end of the run.",
        ),
        Wrong(
            verdicts_with("L3", lambda m: "untestable"),
            "L3 can be tested: a term in the loss would change the loss of a new adapter, whose product is zero.",
        ),
    ],
)


EXERCISES = [LAYER, ADDED, PRESERVED, CHECKPOINT, AVERAGED, ENSEMBLE, VERDICTS]

QUIZ = [
    Question(
        "A weight matrix has rank 4. How many of its entries are zero?",
        [
            ("Nearly all", False, "That is a sparse matrix. Low rank says that the rows depend on each other."),
            ("Possibly none", True, "B A is dense as a rule; its rank is 4 because all rows mix four."),
            ("All but four rows", False, "The rows are multiples of four rows, which need not be zero."),
        ],
    ),
    Question(
        "After fine-tuning on five pictures of a subject the class prompt draws only that subject. What helped?",
        [
            ("A lower rank", False, "Rank 1 collapsed as well."),
            ("Stopping at the lowest held-out loss", False, "That loss keeps falling while the modes vanish."),
            (
                "Training on the model's own pictures of the class beside it",
                True,
                "Prior preservation tells the network what the class prompt has to stay.",
            ),
            ("More dropout", False, "It slows the subject down and does not know the class."),
        ],
    ),
    Question(
        "An adapter of rank 4 was trained with alpha = 8, and loaded with alpha = 4. What comes back?",
        [
            ("The same function", False, "The scale alpha / r stands before B A and has changed."),
            ("The adapter at half its strength", True, "The scale was 2 and is 1 now."),
            ("The base model", False, "Only with a scale of 0."),
        ],
    ),
    Question(
        "Four adapters of rank 4 are averaged as products. Up to which rank can the mean have?",
        [
            (16, True, "Each product brings up to four directions of its own."),
            (4, False, "That would hold if all shared their directions."),
            (1, False, "Averaging does not lower a rank."),
        ],
        otherwise="Ranks of a sum add up at most: 4 + 4 + 4 + 4.",
    ),
]
