"""Reference answers, inputs and anticipated wrong answers of chapter 3's exercises."""

import math

import torch

from course_lib import metrics
from course_lib.exercises.declare import Exercise, Question, Wrong, any_order
from course_lib.exercises.draws import normal, real, whole


def shares(g, M):
    """M random positive shares that sum to one."""
    p = 0.1 + torch.rand(M, generator=g, dtype=torch.float64)
    return p / p.sum()


# 3.1 the modes that N independent draws hit on average
def expected_modes(weights, N):
    """The library's own function."""
    return metrics.expected_modes(weights, N)


def expected_by_loop(weights, N):
    total = 0.0
    for weight in weights.tolist():
        total += 1 - (1 - weight) ** N
    return total


def expected_by_draws(weights, N):
    """Mode m is new at draw n with probability pi_m (1 - pi_m)**(n - 1): add these up."""
    return sum((weights * (1 - weights) ** n).sum() for n in range(N))


EXPECTED = Exercise(
    "3.1",
    "The modes you can expect",
    points=1,
    difficulty=1,
    importance=5,
    minutes=5,
    equation="(3.1)",
    name="expected_modes",
    reference=expected_modes,
    inputs=lambda g: (shares(g, whole(g, 3, 12)), whole(g, 3, 20)),
    right=[expected_by_loop, expected_by_draws, lambda weights, N: len(weights) - ((1 - weights) ** N).sum()],
    wrong=[
        Wrong(
            lambda weights, N: len(weights) * (1 - (1 - 1 / len(weights)) ** N),
            "You took all modes to be equally likely: each mode has its own weight pi_m.",
        ),
        Wrong(
            lambda weights, N: (1 - weights**N).sum(),
            "A mode is missed when all N draws go elsewhere, with probability (1 - pi_m)**N, not pi_m**N.",
        ),
        Wrong(lambda weights, N: ((1 - weights) ** N).sum(), "You counted the modes that are missed, not those hit."),
        Wrong(
            lambda weights, N: (1 - (1 - weights) ** N).mean(),
            "You averaged over the modes: that is the share of modes hit, and their number is the sum.",
        ),
        Wrong(
            lambda weights, N: (1 - (1 - weights) ** (N - 1)).sum(),
            "The exponent is N: a mode is missed when none of the N draws lands on it.",
        ),
        Wrong(
            lambda weights, N: 1 - ((1 - weights) ** N).sum(),
            "The 1 belongs inside the sum: each mode contributes 1 - (1 - pi_m)**N.",
        ),
        Wrong(
            lambda weights, N: float(min(len(weights), N)),
            "That is the most that N draws could hit; on average some draws land on the same mode.",
        ),
    ],
    home="course_lib.metrics.modes:expected_modes",
    may_pass=any_order("weights"),
)


# 3.2 modes by nearest centre, modes within a radius, share on a mode
def three_numbers(x, centres, radius):
    """The library's functions, together."""
    share = metrics.on_mode(x, centres, radius).double().mean()
    return metrics.modes_hit(x, centres), metrics.modes_hit(x, centres, radius), share.item()


def three_by_loop(x, centres, radius):
    nearest, within, near = set(), set(), 0
    for point in x:
        distance = [math.dist(point.tolist(), centre.tolist()) for centre in centres]
        m = distance.index(min(distance))
        nearest.add(m)
        if distance[m] <= radius:
            within.add(m)
            near += 1
    return len(nearest), len(within), near / len(x)


def three_with_a_plain_mean(x, centres, radius):
    """The share as a mean in float32, as .float() gives it."""
    nearest, within, _ = three_by_loop(x, centres, radius)
    return nearest, within, (torch.cdist(x, centres).amin(1) <= radius).float().mean()


def three_by_table(x, centres, radius):
    distance = torch.cdist(x, centres)
    closest = distance == distance.min(1, keepdim=True).values  # (N, M)
    hit = closest & (distance <= radius)
    return closest.any(0).sum(), hit.any(0).sum(), hit.any(1).double().mean()


def _three(distance, near, share=None):
    """The three numbers from distances (N, M) and who is near (N,), with another share if given."""
    nearest = distance.argmin(1)
    share = near.double().mean().item() if share is None else share
    return len(nearest.unique()), len(nearest[near].unique()), share


def share_of_modes(x, centres, radius):
    distance = torch.cdist(x, centres)
    near = distance.min(1).values <= radius
    return _three(distance, near, len(distance.argmin(1)[near].unique()) / len(centres))


def share_of_hits(x, centres, radius):
    distance = torch.cdist(x, centres)
    near = distance.min(1).values <= radius
    return _three(distance, near, near.sum().item() / len(distance.argmin(1).unique()))


def radius_not_squared(x, centres, radius):
    distance = torch.cdist(x, centres)
    return _three(distance, distance.min(1).values ** 2 <= radius)


def counts_samples(x, centres, radius):
    distance = torch.cdist(x, centres)
    near = distance.min(1).values <= radius
    return len(distance.argmin(1).unique()), int(near.sum()), near.double().mean().item()


def swapped(x, centres, radius):
    nearest, within, share = three_numbers(x, centres, radius)
    return within, nearest, share


def share_first(x, centres, radius):
    nearest, within, share = three_numbers(x, centres, radius)
    return share, nearest, within


def counts_near(x, centres, radius):
    nearest, within, share = three_numbers(x, centres, radius)
    return nearest, within, round(share * len(x))


def nearest_sample(x, centres, radius):
    distance = torch.cdist(x, centres)
    near = distance.min(0).values <= radius
    return len(distance.argmin(0).unique()), int(near.sum()), near.double().mean().item()


def any_centre(x, centres, radius):
    nearest, _, share = three_numbers(x, centres, radius)
    return nearest, int((torch.cdist(x, centres) <= radius).any(0).sum()), share


def twice_near(x, centres, radius):
    nearest, within, _ = three_numbers(x, centres, radius)
    return nearest, within, float((torch.cdist(x, centres) <= radius).sum() / len(x))


def points_and_centres(g):
    """Points on some of seven or more centres and beside others, so that the three numbers always differ.

    A point beside its centre is beyond the radius, and within it where the radius is not squared; another is within the
    radius of two centres. They lie in a plane of three dimensions. The numbers of modes and of points, and the scale of
    everything, are drawn.
    """
    M, scale = whole(g, 7, 9), 1.1 * 0.15 ** real(g, 0, 1)
    angle = 2 * torch.pi * torch.arange(M, dtype=torch.float64) / M
    centres = torch.stack([angle.cos(), angle.sin()], 1)[torch.randperm(M, generator=g)]
    on = [0] * whole(g, 3, 5) + [1] * whole(g, 2, 4) + [2] * whole(g, 0, 2)
    beside = [3] * whole(g, 1, 3) + [4] * whole(g, 1, 2) + [5] * whole(g, 0, 1)
    away = torch.cat([0.02 + 0.2 * torch.rand(len(on), generator=g), torch.full((len(beside),), 0.5)]).double()
    turn = 2 * torch.pi * torch.rand(len(away), generator=g, dtype=torch.float64)
    direction = torch.stack([turn.cos(), turn.sin()], 1)
    direction[len(on) :] = centres[beside]  # outwards, away from the other centres
    x = torch.cat([centres[on + beside] + away[:, None] * direction, 1.1 * centres[6:7]])
    centres = torch.cat([centres, 1.3 * centres[6:7]])
    plane = scale * torch.linalg.qr(normal(g, 3, 3))[0][:2]
    return x[torch.randperm(len(x), generator=g)] @ plane, centres @ plane, scale * real(g, 0.27, 0.37)


THREE = Exercise(
    "3.2",
    "Three numbers, not one",
    points=2,
    difficulty=2,
    importance=5,
    minutes=10,
    equation="(3.2)",
    name="three_numbers",
    reference=three_numbers,
    inputs=points_and_centres,
    right=[three_by_loop, three_by_table, three_with_a_plain_mean],
    tolerance=1e-6,  # a share of Booleans may be a mean in float32
    wrong=[
        Wrong(share_of_modes, "Your share is over the modes: divide the number of samples on a mode by all N samples."),
        Wrong(share_of_hits, "Your share is over the modes hit: divide the samples on a mode by all N samples."),
        Wrong(radius_not_squared, "You compared a squared distance with the radius: take its root, or square both."),
        Wrong(counts_samples, "Your second number counts samples: several samples on one mode cover one mode."),
        Wrong(swapped, "Your first two numbers are swapped: all modes hit come first, those within the radius second."),
        Wrong(share_first, "Your order is wrong: modes hit, modes hit within the radius, share on a mode."),
        Wrong(counts_near, "Your third number counts samples: divide it by N for the share on a mode."),
        Wrong(any_centre, "You count every centre within the radius of a sample: only its nearest centre is hit."),
        Wrong(twice_near, "A sample within the radius of two centres counts twice in your share: count it once."),
        Wrong(nearest_sample, "You took the nearest sample of each centre: take the nearest centre of each sample."),
    ],
    home="course_lib.metrics.modes:modes_hit",
    may_pass=any_order("x", "centres"),
)


# 3.3 Hill numbers
def hill(p, q):
    """The library's own function."""
    return metrics.hill(p, q)


def call_hill(fn, p):
    """The Hill numbers of seven orders, one of them the limit q = 1 and one near it."""
    return torch.stack([torch.as_tensor(fn(p, q), dtype=torch.float64) for q in (0.0, 0.5, 0.97, 1.0, 2.0, 3.0, 6.0)])


def hill_of(p, q, base=math.e, sign=1.0, exponential=True, keep_zeros=False):
    """Equation (3.3) with its usual mistakes as options."""
    p = p if keep_zeros else p[p > 0]
    if q == 1:
        entropy = -(p * p.log()).sum() / math.log(base)
        return entropy.exp() if exponential else entropy
    return p.pow(q).sum() ** (sign / (1 - q))


def hill_by_loop(p, q):
    p = [share for share in p.tolist() if share > 0]
    if q == 1:
        return math.prod(share**-share for share in p)
    return sum(share**q for share in p) ** (1 / (1 - q))


def hill_by_mean(p, q):
    """The generalised mean of the rarities 1 / p_m, weighted by p_m."""
    p = p[p > 0]
    if q == 1:
        return torch.exp((p * (1 / p).log()).sum())
    return (p * (1 / p) ** (1 - q)).sum() ** (1 / (1 - q))


def hill_near_one(p, q):
    return hill_of(p, 1 + 1e-3 if q == 1 else q)


def shares_with_a_zero(g):
    p = torch.cat([shares(g, whole(g, 3, 8)), torch.zeros(whole(g, 1, 2), dtype=torch.float64)])
    return (p[torch.randperm(len(p), generator=g)],)


HILL = Exercise(
    "3.3",
    "The Hill number of any order",
    points=2,
    difficulty=2,
    importance=5,
    minutes=10,
    equation="(3.3)",
    name="hill",
    reference=hill,
    inputs=shares_with_a_zero,
    call=call_hill,
    right=[hill_of, hill_by_loop, hill_by_mean],
    wrong=[
        Wrong(
            lambda p, q: hill_of(p, q, exponential=False),
            "At q = 1 you return the entropy: its exponential is the number of modes.",
        ),
        Wrong(
            lambda p, q: hill_of(p, q, base=2),
            "At q = 1 the logarithm and the exponential need the same base: exp goes with log, not with log2.",
        ),
        Wrong(
            lambda p, q: hill_of(p, q, keep_zeros=True) if q != 1 else hill_of(p, q),
            "At q = 0 you count modes that no sample is on: 0**0 is 1, so leave shares of 0 out.",
        ),
        Wrong(
            lambda p, q: hill_of(p, q, keep_zeros=True),
            "A share of 0 breaks your answer: 0 * log(0) is NaN and 0**0 is 1, so leave shares of 0 out.",
        ),
        Wrong(
            lambda p, q: hill_of(p, q, sign=-1.0),
            "Your exponent has the wrong sign: it is 1 / (1 - q), not 1 / (q - 1).",
        ),
        Wrong(
            lambda p, q: hill_of(p, q) if q == 1 else p[p > 0].pow(q).sum(),
            "The exponent 1 / (1 - q) is missing: the sum alone is no number of modes.",
        ),
        Wrong(
            lambda p, q: hill_of(p, q) if q == 1 else p[p > 0].pow(q).sum() ** 1 / (1 - q),
            "The power comes before the division: write ** (1 / (1 - q)), with brackets.",
        ),
        Wrong(
            lambda p, q: 1 / hill_of(p, q) if q == 1 else hill_of(p, q),
            "At q = 1 the sign is flipped: the entropy is minus the sum of p log p.",
        ),
        Wrong(hill_near_one, "At q = 1 you used a q close to 1: take the limit itself, exp(entropy)."),
    ],
    home="course_lib.metrics.entropy:hill",
    may_pass=any_order("p"),
)


# 3.4 Vendi scores
def vendi(k, q):
    """The library's own function."""
    return metrics.vendi(k, q)


def call_vendi(fn, k):
    """The Vendi scores of four orders; -1 alone where complex eigenvalues stop the function."""
    try:
        return torch.stack([torch.as_tensor(fn(k, q), dtype=torch.float64) for q in (0.0, 1.0, 2.0, 3.0)])
    except RuntimeError as error:
        if "Complex" not in str(error):
            raise
        return torch.tensor([-1.0])


def number_of(p, q):
    """Equation (3.3) without a look at whether p are shares."""
    p = p[p > 1e-12]
    return torch.exp(-(p * p.log()).sum()) if q == 1 else p.pow(q).sum() ** (1 / (1 - q))


def without_diagonal(k, q):
    p = torch.linalg.eigvalsh(k - torch.eye(len(k))).abs()
    return number_of(p / p.sum(), q)


def squared_eigenvalues(k, q):
    p = torch.linalg.eigvalsh(k) ** 2
    return number_of(p / p.sum(), q)


def kernel_matrix(g):
    """Gaussian kernel of 5 to 9 points, two nearly the same, and three that come three times: six eigenvalues are 0."""
    x = 2 * normal(g, whole(g, 4, 8), 4)
    x = torch.cat([x, x[:3], x[:3], x[3:4] + 1e-3])
    x = x[torch.randperm(len(x), generator=g)]
    return (torch.exp(-(x[:, None] - x).square().sum(-1) / 8),)


VENDI = Exercise(
    "3.4",
    "The Vendi score",
    points=2,
    difficulty=2,
    importance=5,
    minutes=10,
    equation="(3.4)",
    name="vendi",
    reference=vendi,
    inputs=kernel_matrix,
    call=call_vendi,
    draws=16,  # two ways to the eigenvalues leave different rounding, though not in every matrix
    right=[
        lambda k, q: number_of(torch.linalg.eigvalsh(k / len(k)), q),
        lambda k, q: number_of(torch.linalg.svdvals(k) / k.trace(), q),
        lambda k, q: number_of(torch.linalg.eigvals(k).real / len(k), q),
    ],
    wrong=[
        Wrong(
            lambda k, q: number_of(torch.linalg.eigvalsh(k), q),
            "Your eigenvalues sum to N: divide the matrix by N, so that they are shares.",
        ),
        Wrong(
            lambda k, q: number_of(k.sum(1) / k.sum(), q),
            "You used the row sums of k as shares: equation (3.4) takes the eigenvalues.",
        ),
        Wrong(squared_eigenvalues, "You squared the eigenvalues: the shares are the eigenvalues of k / N themselves."),
        Wrong(without_diagonal, "You took the diagonal out: each sample is alike to itself, so its ones stay."),
        Wrong(
            lambda k, q: torch.log(number_of(torch.linalg.eigvalsh(k / len(k)), q)),
            "You return an entropy: its exponential is the effective number of samples.",
        ),
        Wrong(
            lambda k, q: hill_of(torch.linalg.eigvalsh(k / len(k)), q),
            "At order 0 you count what rounding left of eigenvalues that are 0: set those below 1e-12 to 0 first.",
        ),
        Wrong(
            lambda k, q: hill_of(torch.linalg.eigvalsh(k) / len(k), q),
            "At order 0 you count eigenvalues that are 0 but for rounding: set those below 1e-12 to 0 first.",
        ),
        Wrong(
            lambda k, q: hill_of(torch.linalg.eigvals(k / len(k)), q),
            "eigvals returns complex numbers, which cannot be compared: use eigvalsh, since k is symmetric.",
        ),
        Wrong(
            lambda k, q: hill_of((p := torch.linalg.eigvalsh(k / len(k)))[p > 1e-6], q),
            "You leave out eigenvalues that are small and real: what rounding makes is below 1e-12.",
        ),
        Wrong(lambda k, q: number_of(torch.linalg.eigvalsh(k / len(k)), 1.0), "Your answer does not depend on q."),
        Wrong(
            lambda k, q: number_of(torch.linalg.eigvalsh(k / len(k) ** 2), q),
            "You divided by N twice: k / N has the trace 1, so that its eigenvalues are shares.",
        ),
        Wrong(
            lambda k, q: number_of(torch.linalg.eigvalsh(k / len(k)), 2 * q),
            "The order is q itself: you used 2 q.",
        ),
    ],
    needs=("hill",),
    home="course_lib.metrics.entropy:vendi",
)


# 3.5 in-batch similarity
def in_batch_similarity(phi):
    """The library's own function."""
    return metrics.in_batch_similarity(phi)


def cosines(phi, dim=1):
    unit = phi / phi.norm(dim=dim, keepdim=True)
    return unit @ unit.T


def similarity_by_pairs(phi):
    N = len(phi)
    values = [torch.cosine_similarity(phi[i], phi[j], dim=0) for i in range(N) for j in range(i)]
    return sum(values) / len(values)


def by_lengths(u):
    """The formula of the text, which needs rows of length 1, on any rows."""
    return (u.sum(0).square().sum() - len(u)) / (len(u) * (len(u) - 1))


def off_diagonal(u):
    return (u @ u.T)[~torch.eye(len(u), dtype=torch.bool)]


SIMILARITY = Exercise(
    "3.5",
    "Similarity within a batch",
    points=1,
    difficulty=1,
    importance=4,
    minutes=5,
    equation="(3.5)",
    name="in_batch_similarity",
    reference=in_batch_similarity,
    inputs=lambda g: (normal(g, whole(g, 3, 9), whole(g, 2, 6)) + 0.5,),
    right=[
        similarity_by_pairs,
        lambda phi: (cosines(phi).sum() - len(phi)) / (len(phi) * (len(phi) - 1)),
        lambda phi: cosines(phi)[~torch.eye(len(phi), dtype=torch.bool)].mean(),
    ],
    wrong=[
        Wrong(
            lambda phi: cosines(phi).mean(),
            "The diagonal is in your mean: the similarity of a sample to itself is always 1 and says nothing.",
        ),
        Wrong(
            lambda phi: (phi @ phi.T)[~torch.eye(len(phi), dtype=torch.bool)].mean(),
            "You averaged inner products: divide each feature vector by its length first.",
        ),
        Wrong(by_lengths, "Each row must have length 1 first: divide phi by the norms of its rows."),
        Wrong(
            lambda phi: by_lengths(phi / phi.norm()),
            "You divided by one norm for all of phi: each row must have length 1, so use dim=1 and keepdim=True.",
        ),
        Wrong(
            lambda phi: off_diagonal(phi / phi.norm()).mean(),
            "You divided all of phi by a single norm: each row must have length 1, so use dim=1 and keepdim=True.",
        ),
        Wrong(
            lambda phi: cosines(phi).triu(1).sum() / (len(phi) * (len(phi) - 1)),
            "You summed the pairs i < j only and divided by the number of all i != j: half of the sum is missing.",
        ),
        Wrong(
            lambda phi: cosines(phi).triu(1).mean(),
            "The zeros of one triangle are in your mean: divide the sum over i < j by N (N - 1) / 2.",
        ),
        Wrong(
            lambda phi: (cosines(phi).sum() - len(phi)) / len(phi) ** 2,
            "You divided by N**2: without the diagonal there are N (N - 1) ordered pairs.",
        ),
        Wrong(
            lambda phi: 2 * (cosines(phi).sum() - len(phi)) / (len(phi) * (len(phi) - 1)),
            "You counted each pair twice: there are N (N - 1) / 2 pairs i < j and N (N - 1) ordered ones.",
        ),
        Wrong(
            lambda phi: 1 - (cosines(phi).sum() - len(phi)) / (len(phi) * (len(phi) - 1)),
            "You return 1 minus the similarity, the diversity: equation (3.5) is the similarity.",
        ),
        Wrong(
            lambda phi: cosines(phi, 0)[~torch.eye(len(phi), dtype=torch.bool)].mean(),
            "You normalised along the wrong axis: each row of phi gets length 1, not each column.",
        ),
    ],
    home="course_lib.metrics.entropy:in_batch_similarity",
    may_pass=any_order("phi"),
)


# 3.6 Frechet distance
def frechet(a, b):
    """The library's own function."""
    return metrics.frechet(a, b)


def distance_of(a, b, cross, correction=1, mean=True):
    """Equation (3.6) with another cross term, from covariances."""
    S_a, S_b = torch.cov(a.T, correction=correction), torch.cov(b.T, correction=correction)
    shift = (a.mean(0) - b.mean(0)).square().sum() if mean else 0.0
    return shift + S_a.trace() + S_b.trace() - 2 * cross(S_a, S_b)


def by_eigenvalues(S_a, S_b):
    return torch.linalg.eigvals(S_a @ S_b).real.clamp(min=0).sqrt().sum()


def root(S):
    values, U = torch.linalg.eigh(S)
    return (U * values.clamp(min=0).sqrt()) @ U.T


def by_symmetric_root(S_a, S_b):
    return root(root(S_a) @ S_b @ root(S_a)).trace()


def by_cholesky(S_a, S_b):
    return torch.linalg.svdvals(torch.linalg.cholesky(S_a).T @ torch.linalg.cholesky(S_b)).sum()


def by_one_triangle(S_a, S_b):
    return torch.linalg.eigvalsh(S_a @ S_b).clamp(min=0).sqrt().sum()


def factors_without_mean(a, b):
    A, B = a / (len(a) - 1) ** 0.5, b / (len(b) - 1) ** 0.5
    return (
        (a.mean(0) - b.mean(0)).square().sum()
        + A.square().sum()
        + B.square().sum()
        - 2 * torch.linalg.svdvals(A @ B.T).sum()
    )


def from_factors(a, b, cross, divisor=lambda n: (n - 1) ** 0.5):
    """Equations (3.6) and (3.7) with another number from the singular values, or other factors."""
    A, B = ((x - x.mean(0)) / divisor(len(x)) for x in (a, b))
    shift = (a.mean(0) - b.mean(0)).square().sum()
    return shift + A.square().sum() + B.square().sum() - 2 * cross(torch.linalg.svdvals(A @ B.T))


def two_clouds(g):
    d = whole(g, 2, 4)
    a = normal(g, whole(g, 8, 20), d) @ normal(g, d, d)
    return a + normal(g, d), normal(g, whole(g, 8, 20), d) @ normal(g, d, d)


def zero_to_itself(fn, inputs):
    """The distance of a set to itself."""
    if not abs(float(fn(inputs[0], inputs[0]))) < 1e-8:
        return "The distance of a set to itself is 0; yours is not."
    return None


FRECHET = Exercise(
    "3.6",
    "The Fréchet distance without a matrix root",
    points=3,
    difficulty=3,
    importance=5,
    minutes=15,
    equation="(3.6), (3.7)",
    name="frechet",
    reference=frechet,
    inputs=two_clouds,
    properties=[zero_to_itself],
    tolerance=1e-6,
    right=[
        lambda a, b: distance_of(a, b, by_eigenvalues),
        lambda a, b: distance_of(a, b, by_symmetric_root),
        lambda a, b: distance_of(a, b, by_cholesky),
    ],
    wrong=[
        Wrong(
            lambda a, b: distance_of(a, b, by_eigenvalues, correction=0),
            "Your covariance divides by N: equation (3.6) uses the unbiased one, which divides by N - 1.",
        ),
        Wrong(
            lambda a, b: distance_of(a, b, lambda S_a, S_b: (S_a @ S_b).trace()),
            "You took the trace of the product: equation (3.6) has the trace of its root, the sum of singular values.",
        ),
        Wrong(
            lambda a, b: distance_of(a, b, lambda S_a, S_b: (S_a @ S_b).abs().sqrt().trace()),
            "You took the root of each entry: the root of a matrix is another thing, and (3.7) avoids it.",
        ),
        Wrong(
            lambda a, b: distance_of(a, b, lambda S_a, S_b: by_eigenvalues(S_a, S_b) / 2),
            "The factor 2 before the cross term is missing.",
        ),
        Wrong(
            lambda a, b: distance_of(a, b, by_eigenvalues, mean=False),
            "The squared distance of the means is missing.",
        ),
        Wrong(
            lambda a, b: distance_of(a, b, by_eigenvalues, mean=False) + (a.mean(0) - b.mean(0)).norm(),
            "The distance of the means is not squared.",
        ),
        Wrong(
            lambda a, b: distance_of(a, b, by_one_triangle),
            "The product of two covariances is not symmetric, and eigvalsh looks at one triangle only.",
        ),
        Wrong(
            lambda a, b: distance_of(a, b, lambda S_a, S_b: (root(S_a) @ root(S_b)).trace()),
            "You multiplied the roots of the two covariances: the root of the product is due, and they do not commute.",
        ),
        Wrong(
            lambda a, b: from_factors(a, b, torch.linalg.norm),
            "You took the Frobenius norm: the nuclear norm of (3.7) is the sum of the singular values.",
        ),
        Wrong(
            lambda a, b: from_factors(a, b, torch.max),
            "You took the largest singular value: the nuclear norm of (3.7) is the sum of all of them.",
        ),
        Wrong(
            lambda a, b: from_factors(a, b, lambda values: values.sqrt().sum()),
            "You took a root too many: the singular values of the factor product are the roots already.",
        ),
        Wrong(
            lambda a, b: from_factors(a, b, torch.sum, lambda n: 1.0),
            "Your factors are not divided: A is (a - mean) / sqrt(N - 1), so that A.T @ A is a covariance.",
        ),
        Wrong(
            lambda a, b: from_factors(a, b, torch.sum, lambda n: n - 1.0),
            "You divided the factors by N - 1: the root of it is due, since A enters the covariance twice.",
        ),
        Wrong(factors_without_mean, "Your factors are not centred: subtract each set's mean before you divide."),
    ],
    home="course_lib.metrics.gaussian:frechet",
    may_pass=any_order("a", "b"),
)


# 3.7 an experiment: a set of 2d points that has Frechet distance 0
def few_points(x):
    """Pairs along the eigenvectors of the covariance, mu +- sqrt((2d - 1) / 2 lambda_i) u_i, (n, d) -> (2d, d)."""
    d = x.shape[1]
    values, U = torch.linalg.eigh(torch.cov(x.T))
    arms = (U * ((2 * d - 1) / 2 * values).sqrt()).T  # (d, d), one arm a row
    return torch.cat([x.mean(0) + arms, x.mean(0) - arms])


def pairs_of(x, arms):
    return torch.cat([x.mean(0) + arms, x.mean(0) - arms])


def eigen(x):
    return torch.linalg.eigh(torch.cov(x.T))


def few_by_cholesky(x):
    d = x.shape[1]
    return pairs_of(x, ((2 * d - 1) / 2) ** 0.5 * torch.linalg.cholesky(torch.cov(x.T)).T)


def few_by_matching(x):
    """Any 2d draws, moved and stretched until mean and covariance fit."""
    z = torch.randn(2 * x.shape[1], x.shape[1])
    z = torch.linalg.qr(z - z.mean(0))[0] * (len(z) - 1) ** 0.5  # mean 0, covariance 1
    return x.mean(0) + z @ torch.linalg.cholesky(torch.cov(x.T)).T


def few_biased(x):
    values, U = eigen(x)
    return pairs_of(x, (U * (x.shape[1] * values).sqrt()).T)


def few_short(x):
    values, U = eigen(x)
    return pairs_of(x, (U * values.sqrt()).T)


def few_not_rooted(x):
    d = x.shape[1]
    values, U = eigen(x)
    return pairs_of(x, (U * ((2 * d - 1) / 2) ** 0.5 * values).T)


def few_too_long(x):
    values, U = eigen(x)
    return pairs_of(x, (U * ((2 * x.shape[1] - 1) * values).sqrt()).T)


def few_by_rows(x):
    d = x.shape[1]
    values, U = eigen(x)
    return pairs_of(x, U * ((2 * d - 1) / 2 * values).sqrt())


def few_on_axes(x):
    d = x.shape[1]
    return pairs_of(x, torch.diag(((2 * d - 1) / 2) ** 0.5 * x.std(0)))


def few_off_centre(x):
    return few_points(x) - x.mean(0)


COPIED = "These are points of the set itself: a few draws have another mean and covariance than all of them."
OFF_CENTRE = "The mean of your points is not the mean of the set: put the pairs at mu + arm and mu - arm."
BIASED = "Your covariance is 2d / (2d - 1) too large: (3.6) divides by N - 1, so the factor is (2d - 1) / 2, not d."
SHORT = "Your arms are too short: only two of the 2d points lie along each direction, so stretch them."
NOT_ROOTED = "An arm is a length and lambda a variance: take the root of lambda."
SIZE = "Your directions are right and all lengths are off by one factor: solve 2 c**2 / (2d - 1) = lambda for c."
COLUMNS = (
    "Mean right, covariance wrong: its eigenvalues fit, but eigh returns eigenvectors as columns (and a Cholesky "
    "factor counts by columns too), so transpose before you stack the arms as rows."
)
ON_AXES = "Your points know the variance of each coordinate but no correlation: use the eigenvectors."


def along(a, b):
    """Whether two covariances, or two lists of eigenvalues, are equal up to one factor."""
    return (a / a.norm() - b / b.norm()).abs().max() < 1e-5


def accept_few(answer, inputs):
    """Mean first, then covariance, then the usual reasons why it does not fit."""
    (x,) = inputs
    d = x.shape[1]
    mean, S, values = x.mean(0), torch.cov(x.T), torch.linalg.eigvalsh(torch.cov(x.T))
    scale = S.trace()
    if all(((row - x).square().sum(1) < 1e-12 * scale).any() for row in answer):
        return COPIED
    if (answer.mean(0) - mean).square().sum() > 1e-8 * scale:
        return OFF_CENTRE

    C = torch.cov(answer.T)
    if (C - S).abs().max() < 1e-5 * scale:
        return None
    known = [
        (BIASED, (C - 2 * d / (2 * d - 1) * S).abs().max() < 1e-5 * scale),
        (SHORT, (C - 2 / (2 * d - 1) * S).abs().max() < 1e-5 * scale),
        (SIZE, along(C, S)),
        (NOT_ROOTED, along(C, S @ S)),
        (ON_AXES, along(C, S.diag().diag())),
        (COLUMNS, along(torch.linalg.eigvalsh(C), values)),
    ]
    for sentence, fits in known:
        if fits:
            return sentence
    return f"The Fréchet distance of your points to the set is {float(metrics.frechet(answer, x)):.3g}; it should be 0."


def correlated_cloud(g):
    d = whole(g, 3, 6)
    return (normal(g, 60, d) @ (normal(g, d, d) + torch.eye(d, dtype=torch.float64)) + 1 + normal(g, d),)


FEW = Exercise(
    "3.7",
    "Fool the Fréchet distance",
    points=3,
    difficulty=3,
    importance=4,
    minutes=15,
    equation="(3.6)",
    name="few_points",
    reference=few_points,
    inputs=correlated_cloud,
    accept=accept_few,
    draws=3,
    right=[few_by_cholesky, few_by_matching],
    wrong=[
        Wrong(lambda x: x[: 2 * x.shape[1]].clone(), COPIED),
        Wrong(few_off_centre, OFF_CENTRE),
        Wrong(few_biased, BIASED),
        Wrong(few_short, SHORT),
        Wrong(few_too_long, SIZE),
        Wrong(few_not_rooted, NOT_ROOTED),
        Wrong(few_by_rows, COLUMNS),
        Wrong(few_on_axes, ON_AXES),
    ],
    may_pass=any_order("answer", "x"),
)


# 3.8 an experiment: which of two samplers is more diverse, or can you not tell?
def modes_per_batch(labels):
    """Different labels in each batch, (R, N) -> (R,) float64."""
    ordered = labels.sort(1).values
    return 1 + (ordered.diff(dim=1) != 0).sum(1).double()


def more_diverse(a, b):
    """1 if a, -1 if b hits more modes per batch by more than 3 standard errors of the difference, else 0."""
    first, second = metrics.mean_and_error(modes_per_batch(a)), metrics.mean_and_error(modes_per_batch(b))
    difference, error = first.mean - second.mean, math.hypot(first.error, second.error)
    return 0 if abs(difference) <= 3 * error else 1 if difference > 0 else -1


def call_more_diverse(fn, batches):
    """The decision on each of the pairs, K times (2, R, N) -> (K,)."""
    return torch.stack([torch.as_tensor(float(fn(a, b))) for a, b in batches])


def decided(difference, error, times=3.0):
    return 0 if abs(difference) <= times * error else 1 if difference > 0 else -1


def by_hill_per_batch(a, b):
    """The effective number of modes in each batch instead of their number."""

    def numbers(labels):
        p = torch.stack([(labels == m).double().mean(1) for m in range(20)], 1)
        return torch.exp(-(p * p.clamp(min=1e-12).log()).sum(1))

    first, second = numbers(a), numbers(b)
    error = (first.var() / len(first) + second.var() / len(second)).sqrt()
    return decided(first.mean() - second.mean(), error)


def by_bootstrap(a, b):
    """Batches drawn again with replacement, 300 times."""
    first, second = modes_per_batch(a), modes_per_batch(b)
    index = torch.randint(len(first), (2, 300, len(first)))
    draws = first[index[0]].mean(1) - second[index[1]].mean(1)
    return decided(first.mean() - second.mean(), draws.std(), 3.2)


def both_errors(a, b):
    """A more careful rule: the two errors added."""
    first, second = metrics.mean_and_error(modes_per_batch(a)), metrics.mean_and_error(modes_per_batch(b))
    return decided(first.mean - second.mean, first.error + second.error)


def apart(pairs):
    """Difference of the modes per batch in standard errors, (K, 2, R, N) -> (K,)."""
    hits = modes_per_batch(pairs.flatten(0, 2)).unflatten(0, pairs.shape[:3])  # (K, 2, R)
    return (hits[:, 0].mean(1) - hits[:, 1].mean(1)) / (hits.var(2).sum(1) / pairs.shape[2]).sqrt()


def runs_of(labels):
    return 1 + (labels.diff(dim=1) != 0).sum(1).double()


def not_sorted(a, b):
    first, second = metrics.mean_and_error(runs_of(a)), metrics.mean_and_error(runs_of(b))
    return decided(first.mean - second.mean, math.hypot(first.error, second.error))


def fixed_gap(a, b):
    return decided((modes_per_batch(a) - modes_per_batch(b)).mean(), 1.5, 1.0)


def with_one(a, b):
    return decided(apart(torch.stack([a, b])[None])[0], 1.0, 1.0)


def with_two(a, b):
    return decided(apart(torch.stack([a, b])[None])[0], 1.0, 2.0)


def sign_only(a, b):
    return decided((modes_per_batch(a) - modes_per_batch(b)).mean(), 0.0)


def flipped(a, b):
    return -more_diverse(a, b)


def particles_as_repeats(a, b):
    first, second = modes_per_batch(a), modes_per_batch(b)
    return decided(first.mean() - second.mean(), ((first.var() + second.var()) / a.numel()).sqrt())


def spread_as_error(a, b):
    first, second = modes_per_batch(a), modes_per_batch(b)
    return decided(first.mean() - second.mean(), (first.var() + second.var()).sqrt())


def pooled(a, b):
    first, second = len(a.unique()), len(b.unique())
    return (first > second) - (first < second)


EQUAL, NEAR, PLAIN, TRAP, FINE, MANY = 24, 5, 8, 8, 8, 600
ALWAYS = "You always name a winner: of two equal samplers one is ahead by chance, so compare with 3 standard errors."
SMALL = "You name winners among equal samplers: your error is too small, since batches are the repeats, not samples."
ONE = "You ask for one standard error of the difference: chance exceeds it in a third of the cases, so ask for three."
TWO = "You ask for two standard errors of the difference, or 3 of one sampler's: compare with 3 sqrt(e_a**2 + e_b**2)."
CHANCE = "You name winners among equal samplers: compare with three standard errors, 3 sqrt(e_a**2 + e_b**2)."
FLIPPED = "Your winner is the less diverse sampler: return 1 when a hits more modes."
NEVER = "You never name a winner: divide the spread by the root of the number of batches."
POOLED = "You pooled the batches: count the modes within each batch, since that is what one user sees."
RUNS = "You count where neighbouring labels differ: sort a batch first, for its order means nothing."
LARGE = (
    "You miss small differences that many batches make certain: errors shrink with the root of the number of batches."
)


def diagnosis(answer, pairs):
    """Which threshold, in standard errors, gives these decisions, which name too many winners."""
    z = torch.cat([apart(pair[None]) for pair in pairs])
    as_repeats = 3 / pairs[0].shape[2] ** 0.5  # the error of R N particles in place of R batches
    for sentence, times in ((ALWAYS, 0.0), (ONE, 1.0), (TWO, 2.0), (TWO, 1.96), (SMALL, as_repeats)):
        if (answer == torch.where(z.abs() > times, z.sign(), 0.0)).all():
            return sentence
    return CHANCE


def accept_decisions(answer, inputs):
    """Equal samplers, plainly different ones, traps for those who pool, and small differences over many batches."""
    equal, plain, trap, fine = answer.split([EQUAL, PLAIN, TRAP, FINE])
    if not all(value in (-1, 0, 1) for value in answer.tolist()):
        return "Return 1, -1 or 0."
    due = torch.ones(PLAIN)
    due[1::2] = -1  # in every second pair b is the better one
    right = (plain == due).sum()
    if (plain == -due).sum() > PLAIN / 2:
        return FLIPPED
    if (trap == -due).sum() > TRAP / 2:
        return POOLED
    if right < PLAIN / 2:
        return NEVER
    if (equal != 0).sum() > 2:
        ran = torch.tensor([not_sorted(*pair) for pair in inputs[0]])
        return RUNS if (answer == ran).all() else diagnosis(answer, inputs[0])
    if (fine == due).sum() < FINE - 2:
        return LARGE
    if right + (trap == due).sum() < PLAIN + TRAP - 3:
        return "You miss differences of many standard errors."
    return None


def equal_pairs(g, R, N):
    """EQUAL pairs of equal samplers, NEAR of them such that chance has put them about 2.4 standard errors apart.

    In the last eight the labels of the second sampler's batches come in order, which means nothing.
    """
    pairs = torch.randint(20, (400, 2, R, N), generator=g)
    order = (apart(pairs).abs() - 2.4).abs().argsort()
    pairs = pairs[torch.cat([order[:NEAR], order[NEAR:][torch.randperm(400 - NEAR, generator=g)[: EQUAL - NEAR]]])]
    pairs[-8:, 1] = pairs[-8:, 1].sort(-1).values
    return list(pairs)


def pairs_of_samplers(g, R=20, N=20):
    """Batches of labels of 20 modes, K times (2, R, N): EQUAL, PLAIN, TRAP and FINE pairs; every second is swapped."""

    def drawn(weights, R=R):
        return torch.multinomial(torch.tensor(weights), R * N, replacement=True, generator=g).reshape(R, N)

    def spread_out():  # sixteen modes of twenty, all in each batch, and four of them twice
        return torch.stack([torch.randperm(16, generator=g)[torch.arange(N) % 16] for _ in range(R)])

    even, uneven, nearly = [1.0] * 20, [32.0, 8.0] + [1.0] * 18, [3.0, 3.0] + [1.0] * 18
    pairs = [tuple(pair) for pair in equal_pairs(g, R, N)]
    pairs += [(drawn(even), drawn(uneven)) for _ in range(PLAIN)]
    pairs += [(spread_out(), drawn(even)) for _ in range(TRAP)]
    pairs += [(drawn(even, MANY), drawn(nearly, MANY)) for _ in range(FINE)]
    return ([torch.stack(p[::-1] if i % 2 else p) for i, p in enumerate(pairs)],)


DECIDE = Exercise(
    "3.8",
    "Which sampler is more diverse?",
    points=3,
    difficulty=3,
    importance=5,
    minutes=15,
    name="more_diverse",
    reference=more_diverse,
    inputs=pairs_of_samplers,
    call=call_more_diverse,
    accept=accept_decisions,
    right=[by_hill_per_batch, by_bootstrap, both_errors],
    wrong=[
        Wrong(sign_only, ALWAYS),
        Wrong(particles_as_repeats, SMALL),
        Wrong(with_one, ONE),
        Wrong(with_two, TWO),
        Wrong(flipped, FLIPPED),
        Wrong(spread_as_error, NEVER),
        Wrong(pooled, POOLED),
        Wrong(not_sorted, RUNS),
        Wrong(fixed_gap, LARGE),
    ],
    needs=("mean_and_error",),
    home="course_lib.metrics.bootstrap:mean_and_error",
    may_pass=any_order("a", "b"),
)

# 3.9 words
REFEREE = Exercise(
    "3.9",
    "Referee a diversity claim",
    points=5,
    difficulty=3,
    importance=5,
    minutes=20,
    rubric=(
        "1 point: the baseline differs in guidance weight and in network calls; either could make the difference. "
        "1 point: a Vendi score pooled over prompts measures how different prompts are; take it within each prompt. "
        "1 point: no number says whether the images are good and fit the prompt, and noise raises the Vendi score. "
        "1 point: there is no error bar over prompts or seeds, so neither 40 % nor a distance 0.2 lower can be read. "
        "1 point: names one experiment that would settle it, with baseline, control and error bar."
    ),
)

EXERCISES = [EXPECTED, THREE, HILL, VENDI, SIMILARITY, FRECHET, FEW, DECIDE, REFEREE]

QUIZ = [
    Question(
        "A sampler hits 6.6 +- 0.1 of ten equal modes with batches of ten, all on a mode. What has it shown?",
        [
            ("Nothing beyond independent draws", True, "Ten independent draws hit 6.51 on average, one error away."),
            ("It misses a third of the modes, so it has collapsed", False, "Ten independent draws miss 3.49 as well."),
            ("It finds more modes than the baseline", False, "6.6 is not 3 standard errors above 6.51."),
        ],
    ),
    Question(
        "Shares of 1/2, 1/4 and 1/4: what is the Hill number of order 2?",
        [
            ((2.6, 2.7), True, "1 / (1/4 + 1/16 + 1/16) = 8/3."),
            (3, False, "That is order 0, which counts modes and forgets their shares."),
            (2, False, "That is order infinity, 1 / max p."),
        ],
        otherwise="Square the shares, add them up, and take one over the sum.",
    ),
    Question(
        "Which of these rise when independent noise is added to every sample? Choose all.",
        [
            ("The Vendi score", True, "Noise makes samples less alike, and that is all Vendi sees."),
            ("The number of different samples", True, "Even exact copies become different ones."),
            ("The share of samples on a mode", False, "Noise carries samples off the modes: this number notices."),
        ],
    ),
    Question(
        "A set has Fréchet distance 0 to the data. What do you know?",
        [
            ("Its mean and covariance are those of the data", True, "And nothing else: 2d fixed points can have both."),
            ("It has the same distribution as the data", False, "Only if both are normal distributions."),
            ("It covers every mode of the data", False, "Four points in the plane match a circle of ten modes."),
        ],
    ),
    Question(
        "Method A reports a Vendi score of 30 from 50 images, method B one of 40 from 500. Which is more diverse?",
        [
            (
                "You cannot tell from these numbers",
                True,
                "The score grows with N and cannot exceed it: compare at the same N, kernel and features, with errors.",
            ),
            ("A, since 30 of 50 is a larger share than 40 of 500", False, "Any sampler has a larger share at small N."),
            ("B, since 40 is more than 30", False, "B had ten times as many images, and the score grows with N."),
        ],
    ),
]
