"""Chapter 10, repelling latents and features: reference answers, inputs, anticipated wrong answers, and the quiz."""

import torch

from course_lib import features
from course_lib.denoisers import GaussianMixture
from course_lib.exercises.calls import feeling
from course_lib.exercises.declare import Exercise, Question, Wrong, any_order
from course_lib.exercises.draws import normal, real, whole
from course_lib.features import channel_mean, rule_of_thirds
from course_lib.guidance import Above, Groups, Repulsion, guided, median_bandwidth, rbf, switch
from course_lib.metrics import factor_coverage, squared_distances
from course_lib.samplers import geometric, sample


# 10.1 what a group shows, and what independent draws could show at most
def occupied(labels, kinds):
    """The library's coverage as a count, and the ceiling (10.1)."""
    N = labels.shape[1]
    return kinds * factor_coverage(labels, kinds).mean(), kinds * (1 - (1 - 1 / kinds) ** N)


def occupied_by_sets(labels, kinds):
    seen = [len(set(group.tolist())) for group in labels]
    missing = ((kinds - 1) / kinds) ** labels.shape[1]
    return sum(seen) / len(seen), kinds - kinds * missing


def occupied_by_table(labels, kinds):
    table = torch.nn.functional.one_hot(labels, kinds).amax(1)  # (groups, kinds)
    return table.sum(1).double().mean(), kinds * (1 - (1 - 1 / kinds) ** labels.shape[1])


def seen_in_all(labels, kinds):
    return labels.unique().numel(), occupied_by_sets(labels, kinds)[1]


def seen_as_share(labels, kinds):
    seen, ceiling = occupied_by_sets(labels, kinds)
    return seen / kinds, ceiling


def ceiling_of_all(labels, kinds):
    return occupied_by_sets(labels, kinds)[0], kinds * (1 - (1 - 1 / kinds) ** labels.numel())


def ceiling_by_counting(labels, kinds):
    return occupied_by_sets(labels, kinds)[0], min(labels.shape[1], kinds)


def ceiling_one_short(labels, kinds):
    return occupied_by_sets(labels, kinds)[0], kinds * (1 - (1 - 1 / kinds) ** (labels.shape[1] - 1))


def seen_in_largest(labels, kinds):
    return max(len(set(group.tolist())) for group in labels), occupied_by_sets(labels, kinds)[1]


def chance_of_one(labels, kinds):
    return occupied_by_sets(labels, kinds)[0], 1 - (1 - 1 / kinds) ** labels.shape[1]


OCCUPIED = Exercise(
    "10.1",
    "Kinds in a group, and the most that chance allows",
    points=1,
    difficulty=1,
    importance=5,
    minutes=6,
    equation="(10.1)",
    name="occupied",
    reference=occupied,
    inputs=lambda g: (torch.randint(0, 9, (whole(g, 3, 6), whole(g, 4, 8)), generator=g), 9),
    right=[occupied_by_sets, occupied_by_table],
    wrong=[
        Wrong(seen_in_all, "You counted the kinds of all groups together: count in each group, then take the mean."),
        Wrong(seen_as_share, "Your first number is a share of the kinds: leave it as a count."),
        Wrong(seen_in_largest, "You took the best group: the mean over the groups is asked for."),
        Wrong(ceiling_of_all, "Your ceiling is that of all pictures together: the N of (10.1) is the size of a group."),
        Wrong(
            ceiling_by_counting,
            "That is what a group could show at best: (10.1) is what independent draws show on average.",
        ),
        Wrong(ceiling_one_short, "Your exponent is one short: all N draws must miss a kind for it to be missing."),
        Wrong(chance_of_one, "That is the chance that one kind is seen: (10.1) sums it over all kinds."),
    ],
    home="course_lib.metrics.factors:factor_coverage",
    may_pass=any_order("labels"),
)


# 10.2 where the force on latents points
def alignment(x):
    """Cosine of the library's force with x - mean, (N, *shape) -> (N,)."""
    shift = x.detach().requires_grad_()
    with torch.enable_grad():
        (force,) = torch.autograd.grad(Repulsion(1.0)(shift, shift, torch.tensor(1.0)), shift)
    return torch.cosine_similarity(force.flatten(1), (x - x.mean(0)).flatten(1))


def by_products(x, weigh=True, centre=True, sign=1.0, h=None):
    """Force (4.4) by matrix products, and its cosine, with the usual mistakes as options."""
    x = x.flatten(1)
    k = rbf(x, h) if weigh else 1 - torch.eye(len(x))
    force = k.sum(1, keepdim=True) * x - k @ x
    return sign * torch.cosine_similarity(force, x - centre * x.mean(0))


def by_differences(x):
    x = x.flatten(1)
    k = torch.exp(-squared_distances(x) / median_bandwidth(squared_distances(x)))
    force = ((x[:, None] - x) * k[..., None]).sum(1)
    others = (x.sum(0) - x) / (len(x) - 1)
    away = x - others
    return (force * away).sum(1) / (force.norm(dim=1) * away.norm(dim=1))


def of_the_whole_batch(x):
    x = x.flatten(1)
    k = rbf(x)
    force = k.sum(1, keepdim=True) * x - k @ x
    return torch.cosine_similarity(force.flatten(), (x - x.mean(0)).flatten(), dim=0).repeat(len(x))


def from_the_nearest(x):
    x = x.flatten(1)
    k = rbf(x)
    force = k.sum(1, keepdim=True) * x - k @ x
    nearest = (squared_distances(x) + torch.diag(torch.full((len(x),), torch.inf))).argmin(1)
    return torch.cosine_similarity(force, x - x[nearest])


def mean_of_channels(x):
    flat = x.flatten(1)
    k = rbf(flat)
    force = (k.sum(1, keepdim=True) * flat - k @ flat).reshape(x.shape)
    return torch.cosine_similarity(force, x - x.mean(0), dim=1).flatten(1).mean(1)


def clumped(g):
    """Latents in two loose clumps, so that the force is not yet parallel to x - mean."""
    N = whole(g, 5, 7)
    side = (torch.arange(N) % 2 * 2.0 - 1).reshape(-1, 1, 1, 1)
    return (normal(g, N, 2, 3, 3) + 0.7 * side * normal(g, 1, 2, 3, 3) + 0.5 * normal(g, 2, 3, 3),)


ALIGNMENT = Exercise(
    "10.2",
    "Where does the force on latents point?",
    points=2,
    difficulty=2,
    importance=4,
    minutes=10,
    equation="(4.4)",
    name="alignment",
    reference=alignment,
    inputs=clumped,
    right=[by_products, by_differences],
    wrong=[
        Wrong(
            lambda x: by_products(x, centre=False),
            "You compared the force with x itself: take the mean over the particles away first.",
        ),
        Wrong(
            lambda x: by_products(x, sign=-1.0),
            "Your force attracts: it points away from x - mean instead of along it.",
        ),
        Wrong(
            lambda x: by_products(x, weigh=False),
            "Your cosines are exactly 1: the differences have lost their weights k_ij.",
        ),
        Wrong(
            of_the_whole_batch,
            "That is one cosine of the whole batch, repeated: each particle has a force and a cosine of its own.",
        ),
        Wrong(
            from_the_nearest,
            "You compared with the way from the nearest particle: the question is about the mean of all.",
        ),
        Wrong(mean_of_channels, "You took a cosine at each cell and averaged: flatten a particle to one vector first."),
        Wrong(
            lambda x: by_products(x, h=1.0),
            "Your bandwidth is fixed: rbf without a bandwidth takes the median rule (4.5).",
        ),
    ],
    needs=("rbf",),
    home="course_lib.guidance:Repulsion",
)


# 10.3 the rule of thirds
def thirds(z):
    """The library's own function."""
    return features.rule_of_thirds(z)


def by_profile(z, order=(0, 1), sign=1.0, average=True, outer=False):
    """(10.5) by the profiles of rows and columns, with the usual mistakes as options."""
    parts = []
    for axis in order:
        line = z.mean(3 - axis) if average else z.sum(3 - axis)  # (N, C, length)
        first, middle, last = line.unflatten(2, (3, -1)).mean(3).unbind(2)
        parts += [sign * (first - middle), sign * ((first - last) if outer else (middle - last))]
    return torch.cat(parts, 1)


def by_cells(z):
    cells = torch.nn.functional.adaptive_avg_pool2d(z, 3)
    rows, columns = cells.mean(3), cells.mean(2)
    both = [one[..., :2] - one[..., 1:] for one in (rows, columns)]
    return torch.cat([both[0][..., 0], both[0][..., 1], both[1][..., 0], both[1][..., 1]], 1)


def thirds_by_loop(z):
    N, C, H, W = z.shape
    rows = [z[:, :, i * (H // 3) : (i + 1) * (H // 3)].mean((2, 3)) for i in range(3)]
    columns = [z[..., i * (W // 3) : (i + 1) * (W // 3)].mean((2, 3)) for i in range(3)]
    return torch.cat([a - b for line in (rows, columns) for a, b in zip(line, line[1:])], 1)


def channel_first(z):
    return by_profile(z).unflatten(1, (4, -1)).transpose(1, 2).flatten(1)


def halves(z):
    N, C, H, W = z.shape
    upper = z[:, :, : H // 2].mean((2, 3)) - z[:, :, H // 2 :].mean((2, 3))
    return torch.cat([upper, z[..., : W // 2].mean((2, 3)) - z[..., W // 2 :].mean((2, 3))], 1)


THIRDS = Exercise(
    "10.3",
    "The rule of thirds",
    points=2,
    difficulty=2,
    importance=4,
    minutes=10,
    equation="(10.4)",
    name="thirds",
    reference=thirds,
    inputs=lambda g: (normal(g, whole(g, 2, 4), 2, 6, 9),),
    right=[by_profile, by_cells, thirds_by_loop],
    wrong=[
        Wrong(lambda z: by_profile(z, order=(1, 0)), "Rows and columns are swapped: rows come first."),
        Wrong(lambda z: by_profile(z, sign=-1.0), "Your signs are turned round: upper minus middle, and so on."),
        Wrong(lambda z: by_profile(z, average=False), "You summed over a row: a third enters with its mean."),
        Wrong(
            lambda z: by_profile(z, outer=True),
            "Your second difference is first minus last: the rule compares neighbours, middle minus last.",
        ),
        Wrong(channel_first, "Your numbers come channel by channel: all channels of one difference stand together."),
        Wrong(
            lambda z: by_profile(z.unflatten(2, (-1, 3)).transpose(2, 3).flatten(2, 3)),
            "Your bands of rows are interleaved: a band is a third of the map in one piece.",
        ),
        Wrong(halves, "Those are halves: the map is cut into three bands of rows and three of columns."),
        Wrong(
            lambda z: torch.nn.functional.adaptive_avg_pool2d(z, 3).flatten(1),
            "Those are the means of nine cells: the rule takes differences of whole bands.",
        ),
        Wrong(
            lambda z: by_profile(z)[:, : 2 * z.shape[1]],
            "The columns are missing: after the two differences of rows come two of columns.",
        ),
    ],
    tolerance=1e-7,
    home="course_lib.features.latents:rule_of_thirds",
)


# 10.4 experiment: what the rule of thirds cannot see
SEEN = "The rule of thirds notices: some band of rows or columns has another mean than before."
GREY = "The channel mean notices: what you add to a channel must sum to zero over the map."
CELLS = "The nine cells have hardly moved: their means must change by at least a tenth of their length."


def hidden(z):
    """A corner up, the next one down, and so round the map: bands of rows and of columns keep their means."""
    pattern = torch.zeros_like(z)
    t, s = z.shape[2] // 3, z.shape[3] // 3
    pattern[..., :t, :s] = pattern[..., -t:, -s:] = 1.0
    pattern[..., :t, -s:] = pattern[..., -t:, :s] = -1.0
    return z + pattern


def by_centring_twice(z):
    """Noise without the means of its rows and columns."""
    noise = torch.randn(*z.shape[:2], 3, 3)
    noise = noise - noise.mean(2, keepdim=True)
    noise = 2 * (noise - noise.mean(3, keepdim=True))
    return z + noise.repeat_interleave(z.shape[2] // 3, 2).repeat_interleave(z.shape[3] // 3, 3)


def four_cells(z):
    t, s = z.shape[2] // 3, z.shape[3] // 3
    moved = z.clone()
    moved[..., :t, :s] += 2
    moved[..., :t, s : 2 * s] -= 2
    moved[..., t : 2 * t, :s] -= 2
    moved[..., t : 2 * t, s : 2 * s] += 2
    return moved


def accept_hidden(answer, inputs):
    """The same thirds, the same channel means, other cells."""
    (z,) = inputs
    if channel_mean(answer - z).abs().max() > 1e-6 * z.abs().max():
        return GREY
    if rule_of_thirds(answer - z).abs().max() > 1e-6 * z.abs().max():
        return SEEN
    before, after = (features.thirds_mean(one) for one in (z, answer))
    if ((after - before).norm(dim=1) < 0.1 * before.norm(dim=1)).any():
        return CELLS
    return None


def shuffled_inside_cells(z):
    t, s = z.shape[2] // 3, z.shape[3] // 3
    moved = z.clone()
    moved[..., :t, :s] = z[..., :t, :s].flip((2, 3))
    return moved


HIDDEN = Exercise(
    "10.4",
    "A move that the rule of thirds cannot see",
    points=2,
    difficulty=3,
    importance=4,
    minutes=12,
    further=True,
    equation="(10.4)",
    name="hidden",
    reference=hidden,
    inputs=lambda g: (normal(g, 3, 4, 6, 9),),
    accept=accept_hidden,
    right=[by_centring_twice, four_cells],
    wrong=[
        Wrong(lambda z: z.roll(z.shape[2] // 3, 2), SEEN),
        Wrong(lambda z: z + 1, GREY),
        Wrong(shuffled_inside_cells, CELLS),
    ],
    draws=3,
)


# 10.5 a force through a feature map
def pulled_back(z, feature, push):
    """One backward pass with the push held fixed."""
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        phi = feature(z)
        (force,) = torch.autograd.grad((phi * push(phi.detach()).detach()).sum(), z)
    return force


def by_grad_outputs(z, feature, push):
    z = z.clone().requires_grad_()
    with torch.enable_grad():
        phi = feature(z)
    return torch.autograd.grad(phi, z, grad_outputs=push(phi.detach()))[0]


def by_whole_jacobian(z, feature, push):
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        phi = feature(z)
        f = push(phi.detach())
        total = torch.zeros_like(z)
        for e in range(phi.shape[1]):  # one backward pass for each feature
            (row,) = torch.autograd.grad(phi[:, e].sum(), z, retain_graph=True)
            total = total + row * f[:, e].reshape(-1, *[1] * (z.ndim - 1))
    return total


def by_vjp(z, feature, push):
    phi, back = torch.func.vjp(feature, z)
    return back(push(phi.detach()))[0]


def gradient_of(z, feature, scalar):
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        return torch.autograd.grad(scalar(feature(z)), z)[0]


def call_pulled_back(fn, z, weights, h):
    """The answer for a feature with a bend in it, and the push of a kernel between features."""

    def feature(z):
        return torch.tanh(z.flatten(1) @ weights)

    def push(phi):
        k = torch.exp(-(phi[:, None] - phi).square().sum(-1) / h)
        return 2 / (len(phi) * h) * (k.sum(1, keepdim=True) * phi - k @ phi)

    with torch.no_grad():  # as in the chapter
        return fn(z, feature, push)


PULLED_BACK = Exercise(
    "10.5",
    "A force through a feature map",
    points=3,
    difficulty=3,
    importance=5,
    minutes=15,
    equation="(10.3)",
    name="pulled_back",
    reference=pulled_back,
    inputs=lambda g: (normal(g, whole(g, 4, 6), 2, 3, 3), 0.3 * normal(g, 18, 5), real(g, 0.5, 1.5)),
    call=call_pulled_back,
    right=[by_grad_outputs, by_whole_jacobian, by_vjp],
    wrong=[
        Wrong(
            lambda z, feature, push: gradient_of(z, feature, lambda phi: (phi * push(phi)).sum()),
            "The push was differentiated as well: in (10.3) it is a fixed vector, so detach it.",
        ),
        Wrong(
            lambda z, feature, push: gradient_of(z, feature, lambda phi: phi.sum()),
            "The push has dropped out: you summed the features without their weights f.",
        ),
        Wrong(
            lambda z, feature, push: gradient_of(z, feature, lambda phi: (phi * push(phi.detach())).mean()),
            "You took a mean: (10.3) is a sum over the features, for each particle.",
        ),
        Wrong(
            lambda z, feature, push: -gradient_of(z, feature, lambda phi: (phi * push(phi.detach())).sum()),
            "Your force has the wrong sign: push is a force already, nothing is to be turned round.",
        ),
        Wrong(
            lambda z, feature, push: gradient_of(z, feature, lambda phi: phi.square().sum() / 2),
            "You pushed along the features themselves: the vector that goes back is push(phi), not phi.",
        ),
    ],
    may_pass={"feature reordered": "The push is taken from features in the same order, so each still meets its own."},
)


# 10.6 a cap on the force, for each particle
def limited(force, score, share):
    """The library's clip: the force between a score's particles, seen through a guided denoiser."""
    D = lambda x, sigma: x + sigma**2 * score  # noqa: E731
    potential = lambda x, x0, sigma: (force * x).sum()  # noqa: E731
    x, sigma = torch.zeros_like(score), torch.tensor(1.0)
    return guided(D, potential, clip=share)(x, sigma) - D(x, sigma)


def lengths(z):
    return z.flatten(1).norm(dim=1).reshape(-1, *[1] * (z.ndim - 1))


def limited_plainly(force, score, share):
    allowed = share * lengths(score)
    return force * (allowed / lengths(force).clamp(min=1e-300)).clamp(max=1.0)


def limited_by_loop(force, score, share):
    rows = []
    for f, s in zip(force, score):
        most = share * s.norm()
        rows.append(f * most / f.norm() if f.norm() > most else f)
    return torch.stack(rows)


def always_scaled(force, score, share):
    return force * share * lengths(score) / lengths(force).clamp(min=1e-300)


def one_for_all(force, score, share):
    return force * (share * score.norm() / force.norm()).clamp(max=1.0)


def clamped_entries(force, score, share):
    most = share * lengths(score)
    return torch.minimum(torch.maximum(force, -most), most)


def long_forces_dropped(force, score, share):
    return torch.where(lengths(force) > share * lengths(score), torch.zeros_like(force), force)


def nothing_where_no_force(fn, inputs):
    """A particle that nobody pushes stays where it is, without nan."""
    force, score, share = inputs
    force = torch.cat([torch.zeros_like(force[:1]), force[1:]])
    got = fn(force, score, share)
    if not got.isfinite().all():
        return "A particle without a force gets nan from you: 0 / 0 must stay 0."
    return None


def forces_and_scores(g):
    """Some forces far shorter than their share of the score, some far longer."""
    N = whole(g, 4, 7)
    size = torch.where(torch.arange(N) % 2 == 0, 5.0, 0.02).reshape(-1, 1, 1, 1)
    score = normal(g, N, 2, 3, 3) * (0.5 + torch.rand(N, 1, 1, 1, generator=g, dtype=torch.float64))
    return size * normal(g, N, 2, 3, 3), score, real(g, 0.2, 0.6)


LIMITED = Exercise(
    "10.6",
    "A cap on the force",
    points=2,
    difficulty=2,
    importance=4,
    minutes=10,
    equation="(4.15)",
    name="limited",
    reference=limited,
    inputs=forces_and_scores,
    properties=[nothing_where_no_force],
    right=[limited_plainly, limited_by_loop],
    wrong=[
        Wrong(
            always_scaled,
            "You gave every force the same share: (4.15) leaves a force alone that is shorter than the cap.",
        ),
        Wrong(one_for_all, "You used one length for the whole batch: each particle has its own score and its own cap."),
        Wrong(
            clamped_entries,
            "You clamped the entries: that turns the force; scale the whole vector of a particle instead.",
        ),
        Wrong(long_forces_dropped, "You dropped the long forces: they are to be shortened to the cap."),
        Wrong(
            lambda force, score, share: limited_plainly(force, torch.ones_like(score), share),
            "The score has dropped out of your cap: it is a share of the length of each particle's score.",
        ),
        Wrong(
            lambda force, score, share: limited_plainly(force, score, 1.0),
            "The share has dropped out of your cap: a force may have that share of its score's length, not all of it.",
        ),
        Wrong(
            lambda force, score, share: force * (lengths(force) / (share * lengths(score))).clamp(max=1.0),
            "Your ratio is upside down: the allowed length stands above the force's length.",
        ),
        Wrong(lambda force, score, share: share * force, "You scaled every force by the share: compare lengths first."),
    ],
    home="course_lib.guidance.wrappers:guided",
)


# 10.7 no force across prompts
def by_prompt(x, prompt, alpha, h):
    """The library's potential within groups, on particles sorted by prompt, and sorted back."""
    order = prompt.argsort(stable=True)
    size = int((prompt == prompt[0]).sum())
    z = x[order].detach().requires_grad_()
    with torch.enable_grad():
        (force,) = torch.autograd.grad(Groups(size, Repulsion(alpha, h=h))(z, z, torch.tensor(1.0)), z)
    return force[order.argsort()]


def masked(x, prompt, alpha, h, mask=None, size=None):
    """Force (4.4) with a mask on the kernel, with the usual mistakes as options."""
    same = prompt[:, None] == prompt if mask is None else mask
    k = rbf(x, h) * same
    N = same.sum(1, keepdim=True) if size is None else size
    return 2 * alpha / (N * h) * (k.sum(1, keepdim=True) * x - k @ x)


def prompt_by_prompt(x, prompt, alpha, h):
    force = torch.zeros_like(x)
    for one in prompt.unique():
        rows = (prompt == one).nonzero()[:, 0]
        z = x[rows]
        difference = z[:, None] - z
        k = torch.exp(-difference.square().sum(-1) / h)
        force[rows] = 2 * alpha / (len(z) * h) * (difference * k[..., None]).sum(1)
    return force


def in_blocks(x, prompt, alpha, h):
    block = torch.arange(len(x)) // int((prompt == prompt[0]).sum())
    return masked(x, prompt, alpha, h, mask=block[:, None] == block)


def left_sorted(x, prompt, alpha, h):
    return prompt_by_prompt(x, prompt, alpha, h)[prompt.argsort(stable=True)]


def two_prompts(g):
    """Particles of two or three prompts, as many of each, in no order."""
    R, size = whole(g, 2, 3), whole(g, 3, 4)
    prompt = torch.arange(R).repeat_interleave(size)
    mixed = torch.cat([torch.tensor([1, 0, 1]), torch.randperm(R * size - 3, generator=g)])  # never sorted
    counts = torch.bincount(prompt)
    left = counts - torch.bincount(mixed[:3], minlength=R)
    prompt = torch.cat([mixed[:3], torch.arange(R).repeat_interleave(left)[mixed[3:]]])
    return normal(g, R * size, 3), prompt, real(g, 0.5, 1.5), real(g, 2.0, 4.0)


BY_PROMPT = Exercise(
    "10.7",
    "No force across prompts",
    points=2,
    difficulty=3,
    importance=5,
    minutes=12,
    further=True,
    equation="(4.4)",
    name="by_prompt",
    reference=by_prompt,
    inputs=two_prompts,
    right=[masked, prompt_by_prompt],
    wrong=[
        Wrong(
            lambda x, prompt, alpha, h: masked(x, prompt, alpha, h, mask=torch.ones(len(x), len(x))),
            "Particles of different prompts push each other: a square is no reason for a circle to move.",
        ),
        Wrong(
            lambda x, prompt, alpha, h: masked(x, prompt, alpha, h, size=len(x)),
            "You divided by all particles: the N of (4.4) is the size of the particle's own group.",
        ),
        Wrong(in_blocks, "You cut the batch into blocks: the particles of a prompt do not stand side by side here."),
        Wrong(
            lambda x, prompt, alpha, h: masked(x, prompt, alpha, h, mask=prompt[:, None] != prompt),
            "Your mask is inverted: only particles of different prompts push each other.",
        ),
        Wrong(left_sorted, "Your forces come sorted by prompt: put them back into the order of x."),
        Wrong(
            lambda x, prompt, alpha, h: -masked(x, prompt, alpha, h),
            "Within a prompt your particles attract each other: the sign is wrong.",
        ),
        Wrong(
            lambda x, prompt, alpha, h: masked(x, prompt, 1.0, h),
            "alpha changes nothing in your answer: the force grows with it.",
        ),
    ],
    needs=("rbf",),
    home="course_lib.guidance:Groups",
)


# 10.8 what a kept picture costs
def passes(weights, alive, kept):
    """Passes of the network for each picture that is kept (10.7)."""
    return sum(n * (1 if w == 1 else 2) for w, n in zip(weights, alive)) / kept


def a_run(g):
    """Guidance weights of some levels, never all or none of them 1, particles alive at each, and those kept."""
    T = whole(g, 5, 8)
    weights = [7.5, 1.0, 0.5] + [1.0 if torch.rand((), generator=g) < 0.4 else real(g, 2.0, 8.0) for _ in range(T - 3)]
    return weights, [32] * 3 + [16] * (T - 4) + [12], whole(g, 4, 10)


def passes_by_tensors(weights, alive, kept):
    w, n = torch.tensor(weights), torch.tensor(alive, dtype=torch.float64)
    return ((2 - (w == 1).double()) * n).sum() / kept


def passes_by_two_loops(weights, alive, kept):
    conditional = sum(alive)
    unconditional = sum(n for w, n in zip(weights, alive) if w != 1)
    return (conditional + unconditional) / kept


PASSES = Exercise(
    "10.8",
    "What a kept picture costs",
    points=1,
    difficulty=2,
    importance=5,
    minutes=8,
    equation="(10.7)",
    name="passes",
    reference=passes,
    inputs=a_run,
    right=[passes_by_tensors, passes_by_two_loops],
    wrong=[
        Wrong(
            lambda weights, alive, kept: 2 * sum(alive) / kept,
            "You doubled every level: where the weight is 1 the unconditional half is not computed.",
        ),
        Wrong(
            lambda weights, alive, kept: sum(n * (2 if w > 1 else 1) for w, n in zip(weights, alive)) / kept,
            "A weight below 1 costs as much as one above: both halves are mixed; only at exactly 1 is one enough.",
        ),
        Wrong(
            lambda weights, alive, kept: sum(alive) / kept,
            "You counted one pass a level: guidance asks the network with and without the prompt.",
        ),
        Wrong(
            lambda weights, alive, kept: passes(weights, alive, kept) * kept,
            "That is the cost of all: divide by the pictures that are kept.",
        ),
        Wrong(
            lambda weights, alive, kept: passes(weights, alive, alive[0]),
            "You divided by the candidates: the price is for a picture that is kept.",
        ),
        Wrong(
            lambda weights, alive, kept: passes(weights, [alive[0]] * len(weights), kept),
            "You let every candidate go to the end: those that are dropped cost nothing afterwards.",
        ),
        Wrong(
            lambda weights, alive, kept: passes(weights, [kept] * len(weights), kept),
            "You charged the kept pictures alone: candidates that are thrown away were sampled too.",
        ),
        Wrong(
            lambda weights, alive, kept: sum(n * (2 if w == 1 else 1) for w, n in zip(weights, alive)) / kept,
            "You have it the wrong way round: it is at weight 1 that one pass is enough.",
        ),
    ],
)


# 10.9 the Pareto front
def front(points):
    """No other point is at least as good in both and better in one."""
    at_least = (points[:, None] >= points).all(-1)  # [i, j]: i is at least as good as j in both
    better = (points[:, None] > points).any(-1)
    return ~(at_least & better).any(0)


def front_by_loop(points):
    rows = points.tolist()
    return torch.tensor(
        [not any(a >= x and b >= y and (a > x or b > y) for a, b in rows) for x, y in rows], dtype=torch.bool
    )


def front_by_sorting(points):
    """By quality from the best down: on the front while diversity is the highest so far."""
    kept = torch.zeros(len(points), dtype=torch.bool)
    best = -torch.inf
    for quality in points[:, 0].unique().flip(0):
        row = points[:, 0] == quality
        top = points[row, 1].max()
        if top > best:
            kept |= row & (points[:, 1] == top)
            best = top
    return kept


def undominated_strictly(points):
    return ~(points[:, None] > points).all(-1).any(0)


def without_twins(points):
    at_least = (points[:, None] >= points).all(-1) & ~torch.eye(len(points), dtype=torch.bool)
    return ~at_least.any(0)


def only_the_best(points):
    return (points == points.max(0).values).any(1)


def chord(points):
    """The corners of the convex hull only."""
    on, rows = front(points), points.tolist()
    for i in on.nonzero()[:, 0].tolist():
        x, y = rows[i]
        for a, b in rows:
            for c, d in rows:
                if a < x < c and b + (d - b) * (x - a) / (c - a) > y + 1e-9:
                    on[i] = False
    return on


def stairs(g):
    """Points on a staircase that is not convex, one twice, some just below, some beaten in one number only."""
    x, y = torch.tensor([0.2, 0.4, 0.7, 1.0]), torch.tensor([8.0, 6.2, 6.0, 3.0])
    x, y = x + 0.02 * torch.rand(4, generator=g), y + 0.1 * torch.rand(4, generator=g)
    on = torch.stack([x, y], 1).double()
    below = on[torch.randint(0, 4, (whole(g, 2, 4),), generator=g)] - torch.tensor([0.05, 0.4])
    tied = torch.stack([on[1] - torch.tensor([0.0, 1.0]), on[2] - torch.tensor([0.1, 0.0])])
    points = torch.cat([on, on[whole(g, 0, 3)][None], below, tied])
    return (points[torch.randperm(len(points), generator=g)],)


FRONT = Exercise(
    "10.9",
    "The front",
    points=2,
    difficulty=3,
    importance=4,
    minutes=12,
    further=True,
    equation="(10.8)",
    name="front",
    reference=front,
    inputs=stairs,
    right=[front_by_loop, front_by_sorting],
    wrong=[
        Wrong(
            undominated_strictly,
            "A point that is equal in one number and worse in the other is still on your front: it is dominated.",
        ),
        Wrong(
            without_twins,
            "Two equal points have removed each other: neither is better in anything, so both stay.",
        ),
        Wrong(only_the_best, "You kept the best in each number alone: the points between may be undominated too."),
        Wrong(chord, "Your front is convex: a point below the line between two others need not be dominated."),
        Wrong(
            lambda points: ~(points[:, None] >= points).all(-1).any(0),
            "Nobody is left: each row is at least as good as itself, so one must also be better in something.",
        ),
        Wrong(lambda points: ~front(points), "You marked the dominated points: the others are the front."),
        Wrong(
            lambda points: front(points * torch.tensor([1.0, -1.0])),
            "In your answer less diversity is better: both numbers are better when they are larger.",
        ),
    ],
)


# 10.10 experiment: places without touching the ground
SETS, SIZE, LEVELS = 400, 8, 12
OVER = "You call the denoiser more than 12 times for each particle: once a level is the budget."
NOTHING = "These are the particles of the plain denoiser: nothing in your answer repels."
LEAK = "Your sets see each other: the first eight particles changed when the next eight did; keep sets apart."
NUMBERED = "Two particles of a group that change places must change their answers: yours depend on a particle's number."
APART = "Some particles of a group do not feel each other: let all `size` of them repel."
TORN = "Less than .9 of your samples lie on a mode: push less, or stop earlier."
GROUND = "The share of dark grounds has moved: your feature sees the ground too, and repels it."
TOO_FEW = "Your groups show hardly more places than independent ones: push harder, in a feature that sees place."


def placed(D, size):
    """The rule of thirds on x0, at a quarter of the score, while sigma > 2."""
    return guided(D, Groups(size, Above(2.0, Repulsion(1.0, features=rule_of_thirds, on="x0"))), relative=0.25)


def call_placed(fn, pattern, seed):
    """400 sets of eight maps, a spot at one of nine places on a light or, rarely, dark ground: gains on plain sets.

    All maps carry a pattern that is drawn, (2, 9), so that only the denoiser knows where the modes are.
    """
    spots = GaussianMixture(2 * torch.eye(9) + pattern[0], 0.2)
    grounds = torch.tensor([[1.0], [-1.0]]) + pattern[1]
    grounds = GaussianMixture(grounds, 0.2, torch.tensor([0.8, 0.2]))
    calls = [0]

    def D(x, sigma):
        calls[0] += len(x)
        return torch.stack([p(x[:, c].flatten(1), sigma) for c, p in enumerate((spots, grounds))], 1).reshape(x.shape)

    g, sigmas = torch.Generator().manual_seed(seed), geometric(8.0, 0.1, LEVELS)
    x = sigmas[0] * torch.randn(SETS * SIZE, 2, 3, 3, generator=g)
    leak, felt, numbered = feeling(fn(D, SIZE), x[:SIZE], x[SIZE : 2 * SIZE], sigmas)
    if leak > 1e-6:  # 400 sets that all see each other would take long
        return dict.fromkeys(("places", "dark", "on", "calls", "push", "felt", "numbered"), 0.0) | {"leak": leak}
    found = []
    for method in (lambda D, size: D, fn):
        end = sample(method(D, SIZE), x, sigmas).flatten(2)
        to_spot, place = torch.cdist(end[:, 0], spots.means).min(1)
        to_ground, ground = torch.cdist(end[:, 1], grounds.means).min(1)
        on = ((to_spot**2 + to_ground**2).sqrt() < 1.3).double().mean()
        places = torch.nn.functional.one_hot(place, 9).reshape(SETS, SIZE, 9).amax(1).sum(1).double().mean()
        calls[0] = 0
        sample(method(D, SIZE), x[:SIZE], sigmas)  # of one set, since vmap calls once for all sets
        found.append((places, ground.double().mean(), on, calls[0] / SIZE, end))
    plain, own = found
    return {
        "places": own[0] - plain[0],
        "dark": own[1] - plain[1],
        "on": own[2],
        "calls": own[3],
        "push": (own[4] - plain[4]).abs().max(),
        "leak": leak,
        "felt": felt,
        "numbered": numbered,
    }


def accept_placed(answer, inputs):
    """Sets alone, budget, that all in a set repel, then samples on modes, the ground's law, and places."""
    if answer["leak"] > 1e-6:
        return LEAK
    if answer["calls"] > LEVELS + 1:  # vmap may try once in vain
        return OVER
    if answer["push"] < 1e-6:
        return NOTHING
    if answer["numbered"] > 1e-3:
        return NUMBERED
    if answer["felt"] == 0:
        return APART
    found = {
        "share on a mode, .9 due": answer["on"],
        "more places, .4 due": answer["places"],
        "dark grounds, within .05 of 0": answer["dark"],
    }
    if answer["on"] < 0.9:
        return TORN, found
    if abs(answer["dark"]) > 0.05:
        return GROUND, found
    if answer["places"] < 0.4:
        return TOO_FEW, found
    return None


def placed_by_hand(D, size):
    """Means of rows and of columns of the channel with the spot, written out."""

    def bands(z):
        return torch.cat([z[:, 0].mean(2), z[:, 0].mean(1)], 1)

    return guided(D, Groups(size, Above(2.0, Repulsion(1.0, features=bands, on="x0"))), relative=0.25)


def placed_early(D, size):
    pushed = guided(D, Groups(size, Repulsion(1.0, features=rule_of_thirds, on="x0")), relative=0.2)
    return switch(1.0, pushed, D)


def by_latents(D, size):
    return guided(D, Groups(size, Above(2.0, Repulsion(1.0, on="x0"))), relative=0.25)


def too_long(D, size):
    return guided(D, Groups(size, Repulsion(1.0, features=rule_of_thirds, on="x0")), relative=0.5)


def all_sets_at_once(D, size):
    return guided(D, Above(2.0, Repulsion(1.0, features=rule_of_thirds, on="x0")), relative=0.25)


def own_cells(D, size):
    """Pulls each particle to a cell of its own, whatever the others do."""

    def denoiser(x, sigma):
        cells = torch.nn.functional.one_hot(torch.arange(len(x)) % size % 9, 9).reshape(-1, 3, 3)
        x0 = D(x, sigma)
        x0[:, 0] = x0[:, 0] + (sigma > 2) * cells
        return x0

    return denoiser


def half_a_group(D, size):
    return guided(D, Groups(size // 2, Above(2.0, Repulsion(1.0, features=rule_of_thirds, on="x0"))), relative=0.25)


def too_weak(D, size):
    return guided(D, Groups(size, Above(2.0, Repulsion(1.0, features=rule_of_thirds, on="x0"))), relative=0.002)


PLACED = Exercise(
    "10.10",
    "Places, and nothing else",
    points=4,
    difficulty=4,
    importance=5,
    minutes=25,
    equation="(10.3), (10.4)",
    name="placed",
    reference=placed,
    inputs=lambda g: (0.4 * normal(g, 2, 9), whole(g, 0, 2**31 - 1)),
    call=call_placed,
    accept=accept_placed,
    right=[placed_by_hand, placed_early],
    wrong=[
        Wrong(lambda D, size: D, NOTHING),
        Wrong(by_latents, GROUND),
        Wrong(too_long, TORN),
        Wrong(all_sets_at_once, LEAK),
        Wrong(own_cells, NUMBERED),
        Wrong(half_a_group, APART),
        Wrong(too_weak, TOO_FEW),
    ],
    needs=(
        "guided",
        "Groups",
        "Above",
        "Repulsion",
        "from course_lib.features import channel_mean, rule_of_thirds",
    ),
)


# 10.11 words
REVIEW = Exercise(
    "10.11",
    "What would you ask of the chart?",
    points=5,
    difficulty=4,
    importance=5,
    minutes=25,
    rubric="1 point: says which bars a number of this chapter supports (the rule of thirds in location) and names the "
    "number. 1 point: says that a share of the gap mixes spread, mean and quality, and that a bar below the minimum "
    "set's does not say which. 1 point: names the baseline that is missing, with its cost in network calls (a lower "
    "guidance weight, or selection). 1 point: names a control that would have to fail (strangers, or a fixed direction "
    "of the same length) and what it would show. 1 point: points to the axes that the chart has not (legibility, and "
    "the factor that the feature does not see), or to the space and strength at which the force acted.",
)

EXERCISES = [
    OCCUPIED,
    ALIGNMENT,
    THIRDS,
    HIDDEN,
    PULLED_BACK,
    LIMITED,
    BY_PROMPT,
    PASSES,
    FRONT,
    PLACED,
    REVIEW,
]

QUIZ = [
    Question(
        "Eight latents of Stable Diffusion's size at high noise, kernel by the median rule. Where do the forces point?",
        [
            ("Away from the nearest neighbour", False, "All pairs are equally far apart, so no neighbour is near."),
            (
                "Away from the mean of the group",
                True,
                "All weights are about 1/N; what is left is x minus the mean.",
            ),
            ("At random", False, "They are the same whatever the pictures are going to be, but not random."),
        ],
    ),
    Question(
        "Eight pictures are drawn independently from one law. How many of nine places do they show at most on average?",
        [
            ((5.45, 5.55), True, "9 (1 - (8/9)**8) = 5.49, with all places equally likely."),
            (8, False, "The most in one lucky group; on average only pictures that look at each other show it."),
            (9, False, "Eight pictures cannot be in nine places."),
        ],
        otherwise="Use (10.1) with m = 9 and N = 8.",
    ),
    Question(
        "Which feature cannot tell a spot at the top left from the same spot at the bottom right?",
        [
            ("The channel mean", True, "It averages over all places."),
            ("The rule of thirds", False, "The bands of rows and columns have other means."),
            ("The raw latent", False, "It sees every cell."),
        ],
    ),
    Question(
        "You select 8 of 32 candidates, all sampled to the end. How many runs' worth of calls does a kept one cost?",
        [
            ((4, 4), True, "Four candidates are paid for each that is kept."),
            (1, False, "The candidates that are thrown away were sampled as well."),
        ],
        otherwise="Divide what all candidates cost by the number that is kept.",
    ),
    Question(
        "The same pictures are dealt into groups anew, so that no two have repelled each other. What is that for?",
        [
            (
                "If the strangers are as diverse, nobody has avoided anybody",
                True,
                "Strangers felt forces of the same size, but from others.",
            ),
            (
                "It doubles the number of groups",
                False,
                "It holds the same pictures, so it adds nothing.",
            ),
            ("It measures the sampler's noise", False, "The starts are the same in both."),
        ],
    ),
]
