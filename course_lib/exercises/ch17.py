"""Chapter 17, dimension and spread: reference answers, inputs, anticipated wrong answers, and the quiz."""

import math

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid, normalize, softplus

from course_lib import dimension, rivals
from course_lib.dimension import coding_rate as library_rate
from course_lib.exercises.calls import trainable
from course_lib.exercises.declare import Exercise, Question, Wrong, any_order
from course_lib.exercises.draws import normal, real, whole

# 17.1 FLIPD


def call_flipd(fn, x, sigma, A):
    """The dimensions of a small fixed denoiser that bends, one a point."""
    return fn(lambda x, sigma: torch.tanh(x @ A) + x / (1 + sigma**2), x, sigma)


def flipd(D, x, sigma):
    """Equation (5.18): the library's own."""
    return dimension.flipd(D, x, sigma)


def residual(D, x, sigma):
    """Squared distance to the estimate over sigma**2, (N,)."""
    return (x - D(x, sigma)).square().sum(1) / sigma**2


def jacobian_of(D, x, sigma):
    """J by one backward pass a coordinate, (N, d, d)."""
    x = x.detach().requires_grad_()
    out = D(x, sigma)
    rows = [torch.autograd.grad(one.sum(), x, retain_graph=True)[0] for one in out.unbind(1)]
    return torch.stack(rows, 1)


def trace(J):
    return J.diagonal(dim1=1, dim2=2).sum(1)


def flipd_by_loop(D, x, sigma):
    x = x.detach().requires_grad_()
    out, total = D(x, sigma), 0.0
    for i in range(x.shape[1]):
        total = total + torch.autograd.grad(out[:, i].sum(), x, retain_graph=True)[0][:, i]
    return total + ((x - out) ** 2).sum(1).detach() / sigma**2


def flipd_by_jacrev(D, x, sigma):
    J = torch.func.vmap(torch.func.jacrev(lambda one: D(one[None], sigma)[0]))(x)
    return torch.einsum("nii->n", J) + residual(D, x, sigma)


def flipd_by_directions(D, x, sigma):
    total = residual(D, x, sigma)
    for e in torch.eye(x.shape[1], dtype=x.dtype):
        total = total + torch.func.jvp(lambda y: D(y, sigma), (x,), (e.expand_as(x),))[1] @ e
    return total


FLIPD = Exercise(
    "17.1",
    "The dimension by FLIPD",
    points=3,
    difficulty=3,
    importance=5,
    minutes=15,
    equation="(5.18)",
    name="flipd",
    reference=flipd,
    inputs=lambda g: (normal(g, 4, 3), real(g, 0.3, 0.8), normal(g, 3, 3)),
    call=call_flipd,
    beside=True,
    right=[flipd_by_loop, flipd_by_jacrev, flipd_by_directions],
    wrong=[
        Wrong(
            lambda D, x, sigma: trace(jacobian_of(D, x, sigma)),
            "That is the trace alone: (5.18) adds the distance to the estimate, which pays for the bend.",
        ),
        Wrong(
            lambda D, x, sigma: trace(jacobian_of(D, x, sigma)) + sigma * residual(D, x, sigma),
            "You divided the squared distance by sigma: in (5.18) it is divided by sigma^2.",
        ),
        Wrong(
            lambda D, x, sigma: trace(jacobian_of(D, x, sigma)) + (x - D(x, sigma)).norm(dim=1) / sigma**2,
            "Your distance enters as it is: (5.18) has its square, over sigma^2.",
        ),
        Wrong(
            lambda D, x, sigma: trace(jacobian_of(D, x, sigma)) + sigma**2 * residual(D, x, sigma),
            "The division of the squared distance by sigma^2 is missing.",
        ),
        Wrong(
            lambda D, x, sigma: trace(jacobian_of(D, x, sigma)) + residual(D, x, sigma).sqrt(),
            "Your distance is not squared: (5.18) adds |x - D|^2 over sigma^2.",
        ),
        Wrong(
            lambda D, x, sigma: jacobian_of(D, x, sigma).sum((1, 2)) + residual(D, x, sigma),
            "You added up all of J: the trace takes coordinate i of the gradient of output i, and nothing else.",
        ),
        Wrong(
            lambda D, x, sigma: trace(jacobian_of(D, x, sigma)) - residual(D, x, sigma),
            "You subtracted the second term: both count upwards.",
        ),
        Wrong(
            lambda D, x, sigma: x.shape[1] - trace(jacobian_of(D, x, sigma)) + residual(D, x, sigma),
            "d minus the trace counts the directions across the manifold: the trace itself counts those along it.",
        ),
        Wrong(
            lambda D, x, sigma: trace(jacobian_of(D, x, sigma)) / x.shape[1] + residual(D, x, sigma),
            "You averaged the diagonal of J: its sum is what counts the directions.",
        ),
        Wrong(
            lambda D, x, sigma: trace(jacobian_of(D, x, sigma)) + (x - D(x, sigma)).square().mean(1) / sigma**2,
            "You averaged the squared distance over the coordinates: |x - D|^2 is a sum.",
        ),
        Wrong(
            lambda D, x, sigma: (trace(jacobian_of(D, x, sigma)) + residual(D, x, sigma)).mean().expand(len(x)),
            "You averaged over the points: each point has a dimension of its own.",
        ),
    ],
    home="course_lib.dimension:flipd",
)


# 17.2 a plateau

NEAR = 0.1


def plateau(estimates):
    """The whole number near which the most estimates in a row stay, (S,) -> int; 0 where none is near one."""
    best, answer, run = 0, 0, 0
    for i, value in enumerate(estimates.tolist()):
        near = abs(value - round(value)) <= NEAR
        follows = run and round(value) == round(float(estimates[i - 1]))
        run = (run + 1 if follows else 1) if near else 0
        if run > best:
            best, answer = run, round(value)
    return answer


def runs_of(estimates, near=NEAR):
    """(whole number, length) of each run of neighbours near the same one."""
    found, last = [], None
    for value in estimates.tolist():
        this = round(value) if abs(value - round(value)) <= near else None
        if this is not None and this == last:
            found[-1][1] += 1
        elif this is not None:
            found.append([this, 1])
        last = this
    return found


def plateau_by_runs(estimates):
    return max(runs_of(estimates), key=lambda run: run[1], default=[0, 0])[0]


def plateau_by_windows(estimates):
    for length in range(len(estimates), 0, -1):
        for part in estimates.unfold(0, length, 1):
            k = part[0].round()
            if ((part - k).abs() <= NEAR).all():
                return int(k)
    return 0


def most_frequent(values):
    counts = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    return max(counts, key=counts.get)


def sweeps(g):
    """A sweep with a first value, a short run twice, the longest run, and a longer stretch that is near no number."""
    first, early, short, long, slope, other = (torch.randperm(12, generator=g)[:6] + 1).tolist()
    wobble = lambda k, n: k + 0.16 * torch.rand(n, generator=g).double() - 0.08  # noqa: E731
    aside = lambda k, n: k + 0.2 + 0.25 * torch.rand(n, generator=g).double()  # noqa: E731
    blocks = [aside(slope, 7), wobble(short, 3), aside(other, 1), wobble(short, 3), aside(other, 1)]
    blocks.insert(whole(g, 1, 5), wobble(long, 4 if whole(g, 0, 1) else 5))
    return (torch.cat([aside(first, 1), wobble(early, 2), *blocks]),)


def rules_of_the_plateau(fn, inputs):
    """What the drawn sweeps leave open: the width, two runs of one length, none at all, and 0 as a number."""
    for estimates, due, sentence in (
        ([1.86, 1.87, 1.86, 3.01, 3.0], 3, "An estimate that is .13 away from a whole number is not near it."),
        ([1.91, 1.92, 1.91, 3.01, 3.0], 2, "An estimate that is .09 away from a whole number is near it."),
        ([2.0, 2.0, 3.5, 3.0, 3.0], 2, "Of two runs that are as long as each other the first one counts."),
        ([3.0, 1.5, 0.02, 0.0, 0.01], 0, "0 is a whole number as well: a run near it counts like any other."),
        ([0.5, 1.5, 2.4], 0, "Where no estimate is near a whole number the answer is 0."),
    ):
        found = fn(torch.tensor(estimates, dtype=torch.float64))
        if found is None or int(found) != due:
            return sentence
        if type(found) is not int:
            return "The answer is right but no Python int: it is printed as one, so return int(...)."


PLATEAU = Exercise(
    "17.2",
    "Reading off a plateau",
    points=2,
    difficulty=2,
    importance=3,
    minutes=10,
    name="plateau",
    reference=plateau,
    inputs=sweeps,
    right=[plateau_by_runs, plateau_by_windows],
    properties=[rules_of_the_plateau],
    wrong=[
        Wrong(
            lambda estimates: round(float(estimates[0])),
            "You trust the lowest level alone: the first estimate need not lie on a plateau.",
        ),
        Wrong(
            lambda estimates: round(float(estimates[-1])),
            "You trust the highest level alone, where every estimate has left the plateau.",
        ),
        Wrong(
            lambda estimates: round(float(estimates.mean())),
            "You averaged over all levels: most of them lie on no plateau, and the mean may be near no estimate.",
        ),
        Wrong(
            lambda estimates: most_frequent([round(v) for v in estimates.tolist()]),
            "You rounded first: an estimate farther than .1 from every whole number is on no plateau.",
        ),
        Wrong(
            lambda estimates: most_frequent([round(v) for v in estimates.tolist() if abs(v - round(v)) <= NEAR]),
            "You counted estimates wherever they stand: a plateau is a run of neighbours.",
        ),
        Wrong(
            lambda estimates: max(run[1] for run in runs_of(estimates)),
            "You return how long the run is: return the whole number that it stays near.",
        ),
        Wrong(
            lambda estimates: runs_of(estimates)[0][0],
            "You took the first run that you met: take the longest.",
        ),
    ],
)


# 17.3 the coding rate


def coding_rate(Z, eps):
    """Equation (5.20): the library's own."""
    return dimension.coding_rate(Z, eps)


def rate(Z, eps, half=0.5, scale=lambda N, d, eps: d / (N * eps**2), one=1.0, log=lambda gram: torch.logdet(gram)):
    """The coding rate with one of its parts changed."""
    N, d = Z.shape
    return half * log(one * torch.eye(d, dtype=Z.dtype) + scale(N, d, eps) * Z.T @ Z)


def rate_by_particles(Z, eps):
    N, d = Z.shape
    return torch.linalg.slogdet(torch.eye(N, dtype=Z.dtype) + d / (N * eps**2) * Z @ Z.T)[1] / 2


def rate_by_singular_values(Z, eps):
    N, d = Z.shape
    return torch.log1p(d / (N * eps**2) * torch.linalg.svdvals(Z) ** 2).sum() / 2


def lets_gradients_through(fn, inputs):
    Z, eps = inputs
    with torch.enable_grad():
        Z = Z.clone().requires_grad_()
        value = fn(Z, eps)
    if not isinstance(value, torch.Tensor) or not value.requires_grad:
        return "No gradient flows from your rate to Z: it will be climbed, so keep Z out of detach, item and float."


RATE = Exercise(
    "17.3",
    "The coding rate of a set",
    points=2,
    difficulty=2,
    importance=4,
    minutes=10,
    equation="(5.20)",
    name="coding_rate",
    reference=coding_rate,
    inputs=lambda g: (normal(g, whole(g, 6, 9), 3), real(g, 0.3, 0.7)),
    right=[rate_by_particles, rate_by_singular_values],
    properties=[lets_gradients_through],
    wrong=[
        Wrong(lambda Z, eps: rate(Z, eps, half=1.0), "The factor 1/2 before the logarithm is missing."),
        Wrong(
            lambda Z, eps: rate(Z, eps, scale=lambda N, d, eps: N / (d * eps**2)),
            "d and N are exchanged: the factor is d over N eps^2, so that a larger set has no larger rate by itself.",
        ),
        Wrong(
            lambda Z, eps: rate(Z, eps, scale=lambda N, d, eps: d / (N * eps)),
            "eps is not squared in your rate.",
        ),
        Wrong(
            lambda Z, eps: rate(Z, eps, scale=lambda N, d, eps: 1 / (N * eps**2)),
            "The d above N eps^2 is missing.",
        ),
        Wrong(
            lambda Z, eps: rate(Z, eps, scale=lambda N, d, eps: d / eps**2),
            "The N below d is missing: the rate would grow with the number of rows alone.",
        ),
        Wrong(
            lambda Z, eps: rate(Z, eps, one=0.0),
            "The identity is missing: without it a set that lies flat has the rate minus infinity.",
        ),
        Wrong(
            lambda Z, eps: rate(Z - Z.mean(0), eps),
            "You subtracted the mean: (5.20) takes the rows as they are.",
        ),
        Wrong(
            lambda Z, eps: rate(Z, eps, log=lambda gram: gram.diagonal().log().sum()),
            "You took the diagonal for the determinant: the features of a set hang together.",
        ),
        Wrong(
            lambda Z, eps: rate(Z, eps, log=torch.det),
            "The logarithm is missing: the determinant itself grows without measure.",
        ),
        Wrong(lambda Z, eps: rate(Z, eps) / math.log(10), "Your logarithm is to base 10: (5.20) has the natural one."),
        Wrong(lambda Z, eps: rate(Z, eps) / math.log(2), "Your rate is in bits: (5.20) has the natural logarithm."),
    ],
    home="course_lib.dimension:coding_rate",
    may_pass=any_order("Z"),
)


# 17.4 experiment: features that keep a set on its circle


def features(x):
    """Two harmonics of the angle, (N, 2) -> (N, 4)."""
    angle = torch.atan2(x[:, 1], x[:, 0])
    return torch.stack([angle.cos(), angle.sin(), (2 * angle).cos(), (2 * angle).sin()], 1)


def call_features(fn, many, few, mixed, off):
    """Rates of three sets at each orientation by these features, and gradients of the rate at the sets beside them."""

    def rate_of(x):
        z = fn(x)
        if z.ndim != 2:
            raise ValueError("features must be (N, E), one row for each point")
        return library_rate(z / z.detach().square().sum(1).mean().clamp_min(1e-12).sqrt())

    gradients, follows = [], True
    with torch.enable_grad():
        for one in off:
            x = one.clone().requires_grad_()
            value, gradient = rate_of(x), torch.zeros_like(x)
            follows = follows and bool(value.requires_grad)
            if value.requires_grad:
                found = torch.autograd.grad(value, x, allow_unused=True)[0]
                gradient = gradient if found is None else found
            gradients.append(gradient)
    rates = torch.stack([torch.stack([rate_of(one).detach() for one in sets]) for sets in (many, few, mixed)])
    return {"rates": rates, "gradient": torch.stack(gradients), "follows": float(follows)}


def on_the_circle(angle):
    return torch.stack([angle.cos(), angle.sin()], -1)


def arcs_somewhere(g):
    """64 points on one arc, on the opposite one, half on each; and 55 and 9, a little off; each (4, 64, 2).

    The four orientations are those of the axes, of the chapter's own arcs among them, and two that are drawn.
    """
    turns = torch.tensor([0.0, math.pi / 2, real(g, 0, math.pi), real(g, 0, math.pi)]).double()[:, None]
    side = lambda n: math.pi * (torch.arange(64) < n).double() + turns  # noqa: E731
    many, few, mixed, off = (on_the_circle(side(n) + 0.35 * normal(g, 4, 64)) for n in (0, 64, 32, 9))
    return many, few, mixed, off * (1 + 0.1 * normal(g, 4, 64, 1))


STUCK = "No gradient flows from your features to x: a push needs one, so no counting, rounding or detaching."
OUTWARDS = "Your rate grows as the set leaves the circle: its gradient points outwards, so make features of the angle."
BLIND = "Your rate is no higher for two full arcs than for one: x and -x look alike in your features, or nearly so."
LOPSIDED = "For arcs at some places your rate is no higher for two full ones than for one: a direction is missing."


def accept_features(answer, inputs):
    """At every orientation a gradient along the circle, and a rate that prefers two full arcs to one."""
    x, gradient = inputs[3], answer["gradient"].to(inputs[3])
    many, few, mixed = answer["rates"]
    if not bool(answer["follows"]) or not gradient.abs().amax((1, 2)).min() > 1e-6:
        return STUCK
    radial = (gradient * normalize(x, dim=-1)).sum(-1).square().sum(-1) / gradient.square().sum((1, 2))
    if radial.max() > 0.05:
        return OUTWARDS
    better = mixed > torch.maximum(many, few) + 0.1
    if not better.all():
        return LOPSIDED if better.any() else BLIND
    return None


def features_by_polynomials(x):
    a, b = normalize(x).unbind(1)
    return torch.stack([a, b, a**2 - b**2, 2 * a * b], 1)


def features_of_three(x):
    angle = torch.atan2(x[:, 1], x[:, 0])
    return torch.cat([torch.stack([(j * angle).cos(), (j * angle).sin()], 1) for j in (1, 2, 3)], 1)


def features_of_places(x):
    place = torch.arange(8) * (math.pi / 4)
    return (4 * (torch.atan2(x[:, 1], x[:, 0])[:, None] - place).cos()).softmax(1)


FEATURES = Exercise(
    "17.4",
    "Features that keep a set on its circle",
    points=3,
    difficulty=3,
    importance=4,
    minutes=15,
    name="features",
    reference=features,
    inputs=arcs_somewhere,
    call=call_features,
    accept=accept_features,
    right=[features_by_polynomials, features_of_three, features_of_places],
    wrong=[
        Wrong(lambda x: (features(x) > 0).double(), STUCK),
        Wrong(lambda x: x, OUTWARDS),
        Wrong(lambda x: normalize(x), BLIND),
        Wrong(lambda x: torch.stack([torch.ones(len(x)), normalize(x)[:, 1]], 1), LOPSIDED),
    ],
    may_pass=any_order("answer", "x"),
)


# 17.5 the losses against a critic


def call_losses(fn, w, V, x_real, made, gamma):
    """Both losses, and their gradients by the critic's weights and by the generator's points."""
    with torch.enable_grad():
        w, V, made = (one.clone().requires_grad_() for one in (w, V, made))
        found = fn(lambda x: torch.tanh(x @ V) @ w, x_real, 1.5 * made, gamma)
        if not isinstance(found, tuple | list) or len(found) != 2:
            raise TypeError("return the pair L_C, L_G, two tensors")
        L_C, L_G = trainable(found)
        of = lambda loss, by: torch.autograd.grad(loss, by, retain_graph=True, allow_unused=True)[0]  # noqa: E731
        try:
            slopes = [of(L_C, w), of(L_C, V), of(L_C, made), of(L_G, made)]
        except RuntimeError as error:
            if "second time" not in str(error):
                raise
            raise RuntimeError("the critic learns nothing from your penalty: create_graph=True is missing") from None
    due = (w, V, made, made)
    slopes = [torch.zeros_like(by) if one is None else one for one, by in zip(slopes, due)]
    return {
        "L_C": L_C.detach(),
        "L_G": L_G.detach(),
        "L_C by the critic": torch.cat([slopes[0][None], slopes[1]]),
        "L_C by the generator": slopes[2],
        "L_G by the generator": slopes[3],
    }


def losses(C, x_real, x_fake, gamma):
    """L_C and L_G of (5.21), by the library's own functions."""
    on_fake = C(x_fake.detach())
    L_C = rivals.critic_loss(C(x_real), on_fake) + gamma / 2 * rivals.gradient_penalty(C, x_real)
    return L_C, rivals.generator_loss(C(x_fake))


def slope_of(C, x, keep=True):
    """The gradient of the critic at some points, (N, d)."""
    x = x.detach().requires_grad_()
    return torch.autograd.grad(C(x).sum(), x, create_graph=keep)[0]


def parted(
    sign=1, caught=True, fooling=True, at="real", keep=True, size=lambda s: s.square().sum(1), half=0.5, reached=True
):
    """The losses with one of their parts changed."""

    def answer(C, x_real, x_fake, gamma):
        fake = x_fake.detach() if caught else x_fake
        slope = slope_of(C, x_real if at == "real" else x_fake, keep)
        L_C = softplus(-sign * C(x_real)).mean() + softplus(sign * C(fake)).mean() + gamma * half * size(slope).mean()
        x_fake = x_fake if reached else x_fake.detach()
        L_G = softplus(-sign * C(x_fake)).mean() if fooling else -softplus(C(x_fake)).mean()
        return L_C, L_G

    return answer


def losses_by_entropy(C, x_real, x_fake, gamma):
    right, wrong = C(x_real), C(x_fake.detach())
    told = [(right, torch.ones_like(right)), (wrong, torch.zeros_like(wrong))]
    L_C = sum(binary_cross_entropy_with_logits(*pair) for pair in told)
    again = C(x_fake)
    L_G = binary_cross_entropy_with_logits(again, torch.ones_like(again))
    return L_C + gamma / 2 * (slope_of(C, x_real) ** 2).sum() / len(x_real), L_G


def losses_by_chances(C, x_real, x_fake, gamma):
    x = x_real.clone().requires_grad_()
    on_real = C(x)
    (slope,) = torch.autograd.grad(on_real.sum(), x, create_graph=True)
    smooth = slope.norm(dim=1).pow(2).mean()
    L_C = -logsigmoid(on_real).mean() - logsigmoid(-C(x_fake.clone().detach())).mean() + 0.5 * gamma * smooth
    return L_C, -logsigmoid(C(x_fake)).mean()


LOSSES = Exercise(
    "17.5",
    "Against a critic",
    points=3,
    difficulty=4,
    importance=4,
    minutes=20,
    equation="(5.21)",
    name="losses",
    reference=losses,
    inputs=lambda g: (normal(g, 5), normal(g, 2, 5), normal(g, 6, 2), normal(g, 6, 2), real(g, 0.5, 2.0)),
    call=call_losses,
    beside=True,
    right=[losses_by_entropy, losses_by_chances, parted()],
    wrong=[
        Wrong(
            parted(caught=False),
            "L_C reaches the generator, which would learn to be caught: give the critic x_fake.detach() there.",
        ),
        Wrong(
            parted(keep=False),
            "Your penalty is a constant to the critic: take the gradient with create_graph=True, so that it can learn.",
        ),
        Wrong(
            parted(reached=False), "L_G does not reach the generator, which then learns nothing: do not detach there."
        ),
        Wrong(
            parted(size=lambda s: (s.norm(dim=1) - 1).square()),
            "You pull the gradient's length to 1, as another method does: (5.21) pulls it to 0.",
        ),
        Wrong(lambda *given: parted()(*given)[::-1], "Your two losses are swapped: the critic's L_C comes first."),
        Wrong(parted(at="fake"), "You smooth the critic at the fakes: the last term of L_C is at the real points."),
        Wrong(parted(half=1.0), "The penalty counts twice: its weight is gamma / 2."),
        Wrong(
            parted(half=0.0), "The penalty is missing in L_C: without it the critic grows steep, and training jumps."
        ),
        Wrong(parted(size=lambda s: s.norm(dim=1)), "The length of the gradient is not squared in your penalty."),
        Wrong(
            parted(size=lambda s: s.square().mean(1)), "You averaged over the coordinates: |gradient|^2 is their sum."
        ),
        Wrong(
            parted(sign=-1),
            "Real and fake are exchanged: the critic is to be high at x_real; the generator wants it high at x_fake.",
        ),
        Wrong(
            parted(fooling=False),
            "Your generator goes up the critic's own term, which is flat where it is caught: (5.21) has sp(-C).",
        ),
    ],
    needs=("from torch.nn.functional import softplus",),
    home="course_lib.rivals:gradient_penalty",
    may_pass=any_order("x_real", "x_fake") | {"C reordered": "Both losses are means over what the critic says."},
)


# 17.6 words

ADVICE = Exercise(
    "17.6",
    "Three sentences of a colleague",
    points=3,
    difficulty=3,
    importance=4,
    minutes=15,
    rubric="1 point: a dimension read at one level says little (at low noise a network is least exact and the estimate "
    "may be too high, at high noise the bend shows): asks for a sweep, its plateau, and a second estimator. "
    "1 point: a higher coding rate is not yet more of the data: asks for the features, the distance to the data and "
    "the shares that are due, beside a baseline at equal calls. "
    "1 point: four steps against four steps: names what a mean does in few steps (the inside of the circle), that "
    "other levels help the mean as well, and that distance and shares over several seeds decide.",
)

EXERCISES = (FLIPD, PLATEAU, RATE, FEATURES, LOSSES, ADVICE)

QUIZ = [
    Question(
        "Data on a 9-sphere in 30 coordinates, exact denoiser, sigma = .03. What is the trace of J, about?",
        [
            (9, True, "Nine eigenvalues near 1, along the sphere, and twenty-one near 0."),
            (21, False, "That many eigenvalues are near 0: the directions across."),
            (30, False, "Only where nothing is known of the data: then D returns x itself."),
        ],
        otherwise="Count the directions along the sphere.",
    ),
    Question(
        "You ask a trained network for the dimension of its data at a very low noise level. The answer is likely",
        [
            ("exact, since all estimators are limits as sigma goes to 0", False, "True of an exact denoiser only."),
            (
                "too high",
                True,
                "There the network is off by as much as the noise, and it leaves noise across the data standing.",
            ),
            ("the number of coordinates of its hidden layers", False, "The width of a network does not show there."),
        ],
    ),
    Question(
        "Which of these features, in a coding rate, can tell two full opposite arcs from one?",
        [
            ("the raw coordinates", False, "x and -x have the same product, so Z'Z is the same."),
            ("first and second harmonics of the angle together", True, "Their products have different signs there."),
            ("second harmonics of the angle alone", False, "They have the same values at opposite points."),
        ],
    ),
    Question(
        "Why do the samples of a denoiser fill the inside of the circle in four steps?",
        [
            ("It is not trained long enough", False, "The exact mean does the same on these levels."),
            (
                "Its last step returns a mean of all points that may lie behind x",
                True,
                "At a level that is left high, this mean lies inside; a generator draws one of the points instead.",
            ),
            ("The critic is too strong", False, "A denoiser has none."),
        ],
    ),
]
