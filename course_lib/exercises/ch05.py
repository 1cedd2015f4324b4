"""Chapter 5, staying on the manifold: reference answers, inputs, anticipated wrong answers, and the quiz."""

import math

import torch

from course_lib import constraints, training
from course_lib.denoisers import IdealDenoiser
from course_lib.exercises.calls import together, trainable
from course_lib.exercises.declare import Exercise, Question, Wrong, any_order
from course_lib.exercises.draws import normal, real, whole
from course_lib.manifolds import Circle, SwissRoll
from course_lib.penalties import denoiser_residual, kernel_density, local_pca, nearest_neighbours
from course_lib.samplers import ddim

# 5.1 the denoiser of the circle


def circle_denoiser(x, sigma, mu, kappa):
    """Denoiser (5.2) of one von Mises law, (N, 2) -> (N, 2): the library's own."""
    return Circle(mu, kappa)(x, sigma)


def pulled(x, sigma, mu, kappa):
    """v of (5.2) and its length, (N, 2), (N, 1)."""
    v = kappa * torch.tensor([math.cos(mu), math.sin(mu)], dtype=x.dtype) + x / sigma**2
    return v, v.norm(dim=1, keepdim=True)


def reach(length):
    """A of (5.2): how far from the middle the mean lies."""
    return torch.special.i1e(length) / torch.special.i0e(length)


def circle_denoiser_plainly(x, sigma, mu, kappa):
    v, length = pulled(x, sigma, mu, kappa)
    return reach(length) * v / length


def circle_denoiser_by_angles(x, sigma, mu, kappa):
    v, length = pulled(x, sigma, mu, kappa)
    angle = torch.atan2(v[:, 1], v[:, 0])
    return reach(length) * torch.stack([angle.cos(), angle.sin()], 1)


def circle_denoiser_normalized(x, sigma, mu, kappa):
    v, length = pulled(x, sigma, mu, kappa)
    return reach(length) * torch.nn.functional.normalize(v)


def circle_denoiser_by_sum(x, sigma, mu, kappa):
    t = torch.linspace(0, 2 * math.pi, 2001, dtype=x.dtype)[:-1]
    point = torch.stack([t.cos(), t.sin()], 1)
    weight = (kappa * (t - mu).cos() - torch.cdist(x, point) ** 2 / (2 * sigma**2)).softmax(1)
    return weight @ point


def upside_down(x, sigma, mu, kappa):
    v, length = pulled(x, sigma, mu, kappa)
    return torch.special.i0e(length) / torch.special.i1e(length) * v / length


def with_long_v(x, sigma, mu, kappa):
    v, length = pulled(x, sigma, mu, kappa)
    return reach(length) * v


def with_lengths(length_of):
    """An answer whose length of v is another's."""

    def answer(x, sigma, mu, kappa):
        v, _ = pulled(x, sigma, mu, kappa)
        return reach(length_of(v)) * v / length_of(v)

    return answer


def with_ratio(ratio):
    """An answer whose A is another's."""

    def answer(x, sigma, mu, kappa):
        v, length = pulled(x, sigma, mu, kappa)
        return ratio(length) * v / length

    return answer


def with_epsilon(x, sigma, mu, kappa):
    v, length = pulled(x, sigma, mu, kappa)
    return reach(length) * v / (length + 1e-6)


def call_circle(fn, x, sigma, mu, kappa):
    """What is asked; then at a low level, where Bessel functions overflow; then of the whole circle."""
    return together(fn(x, sigma, mu, kappa), fn(x, sigma / 30, mu, kappa), fn(x, sigma, mu, 0.0))


def noisy_points(g):
    """Points that keep a distance from the middle, one or several."""
    x = normal(g, whole(g, 1, 6), 2)
    return x * (1 + 0.5 / x.norm(dim=1, keepdim=True)), real(g, 0.35, 0.7), real(g, -3, 3), real(g, 0.5, 3.0)


CIRCLE = Exercise(
    "5.1",
    "The denoiser of a circle",
    points=2,
    difficulty=2,
    importance=4,
    minutes=10,
    equation="(5.2)",
    name="circle_denoiser",
    reference=circle_denoiser,
    inputs=noisy_points,
    call=call_circle,
    right=[
        circle_denoiser_plainly,
        circle_denoiser_by_angles,
        circle_denoiser_normalized,
        circle_denoiser_by_sum,
    ],
    wrong=[
        Wrong(
            lambda x, sigma, mu, kappa: circle_denoiser(x, sigma, mu, 0.0),
            "Your answer forgets the prior: v has the term kappa u(mu) beside x / sigma^2.",
        ),
        Wrong(
            lambda x, sigma, mu, kappa: pulled(x, sigma, mu, kappa)[0] / pulled(x, sigma, mu, kappa)[1],
            "Your answers all lie on the circle: a mean of several of its points lies inside, and A(|v|) says how far.",
        ),
        Wrong(upside_down, "Your answers lie outside the circle, where no mean of its points can be: A is I1 over I0."),
        Wrong(with_long_v, "The direction must have length 1: divide v by |v| after you have taken A(|v|)."),
        Wrong(
            lambda x, sigma, mu, kappa: circle_denoiser(x, sigma**0.5, mu, kappa),
            "You divided x by sigma: in (5.2) it is divided by sigma^2.",
        ),
        Wrong(
            lambda x, sigma, mu, kappa: circle_denoiser(x, 2**0.5 * sigma, mu, kappa),
            "You divided x by 2 sigma^2: the exponent has that, but v has x / sigma^2.",
        ),
        Wrong(
            with_ratio(lambda z: torch.special.i1e(z) / torch.special.i0(z)),
            "One Bessel function of yours carries a factor exp(-|v|) and the other does not: i1e goes with i0e.",
        ),
        Wrong(
            with_ratio(lambda z: torch.special.i1(z) / torch.special.i0(z)),
            "At low noise |v| is large, and i1 and i0 overflow to infinity: i1e and i0e have the same ratio.",
        ),
        Wrong(
            with_ratio(torch.special.i1e),
            "A is a ratio: divide I1 by I0, for i1e alone goes to 0 where |v| is large.",
        ),
        Wrong(
            with_lengths(torch.norm),
            "Your length is one number for the whole batch: each row of v has a length of its own, so take dim=1.",
        ),
        Wrong(
            with_lengths(lambda v: v.norm(dim=0)),
            "You took the lengths of the columns, dim=0: each particle is a row of v.",
        ),
        Wrong(
            lambda x, sigma, mu, kappa: circle_denoiser(x, sigma, math.radians(mu), kappa),
            "You turned mu from degrees into radians: it is an angle in radians already.",
        ),
        Wrong(
            with_epsilon,
            "You added a small number to |v|, which shortens every answer: leave it out.",
        ),
        Wrong(
            lambda x, sigma, mu, kappa: circle_denoiser(x, sigma, math.pi / 2 - mu, kappa),
            "Cosine and sine of mu are exchanged: the first coordinate of u(mu) is the cosine.",
        ),
    ],
    home="course_lib.manifolds:Circle.__call__",
)


# 5.2 a step of CFG++


def cfgpp_step(x, x0_u, x0_c, lam, sigma, sigma_next):
    """Step (5.5), (N, d) -> (N, d): ddim on guidance with the library's weight (5.6)."""
    w = constraints.cfgpp_weight(lam, torch.stack([sigma, sigma_next]))(sigma)
    return ddim(x, x0_u + w * (x0_c - x0_u), sigma, sigma_next)


def cfgpp_plainly(x, x0_u, x0_c, lam, sigma, sigma_next):
    return x0_u + lam * (x0_c - x0_u) + sigma_next * (x - x0_u) / sigma


def cfgpp_by_noise(x, x0_u, x0_c, lam, sigma, sigma_next):
    eps_u, eps_c = (x - x0_u) / sigma, (x - x0_c) / sigma
    eps = (1 - lam) * eps_u + lam * eps_c
    return x - sigma * eps + sigma_next * eps_u


def stepped(x, x0, noise_of, sigma, sigma_next):
    return x0 + sigma_next / sigma * (x - noise_of)


def between(x0_u, x0_c, lam):
    return x0_u + lam * (x0_c - x0_u)


def call_cfgpp(fn, x, x0_u, x0_c, lam, levels):
    """A step from each level to the next; the last leads to 0."""
    return together(*(fn(x, x0_u, x0_c, lam, *pair) for pair in zip(levels[:-1], levels[1:])))


def two_estimates(g):
    """Particles of any number and dimension, their two estimates, a strength, and levels that end at 0."""
    shape = whole(g, 1, 6), whole(g, 1, 6)
    levels = torch.tensor([real(g, 1.0, 2.0), real(g, 0.3, 0.8), 0.02, 0.015, 0.0], dtype=torch.float64)
    return (*(normal(g, *shape) for _ in range(3)), real(g, 0.15, 0.4), levels)


CFGPP = Exercise(
    "5.2",
    "A step of CFG++",
    points=2,
    difficulty=2,
    importance=4,
    minutes=10,
    equation="(5.5)",
    name="cfgpp_step",
    reference=cfgpp_step,
    inputs=two_estimates,
    call=call_cfgpp,
    right=[cfgpp_plainly, cfgpp_by_noise],
    wrong=[
        Wrong(
            lambda x, u, c, lam, s, n: stepped(x, between(u, c, lam), between(u, c, lam), s, n),
            "You put back the guided noise: that is CFG with w = lam; CFG++ puts back the noise of D_u.",
        ),
        Wrong(
            lambda x, u, c, lam, s, n: stepped(x, between(u, c, lam), c, s, n),
            "You put back the noise of D_c: in (5.5) it is that of D_u.",
        ),
        Wrong(
            lambda x, u, c, lam, s, n: stepped(x, between(u, c, 1 - lam), u, s, n),
            "lam and 1 - lam are exchanged: at lam = 0 the estimate is D_u.",
        ),
        Wrong(
            lambda x, u, c, lam, s, n: stepped(x, lam * (c - u), u, s, n),
            "D_u is missing in the estimate: (5.5) moves from D_u towards D_c.",
        ),
        Wrong(
            lambda x, u, c, lam, s, n: between(u, c, lam) + n * (x - u),
            "Your noise is too long: (x - D_u) / sigma is the noise of variance one.",
        ),
        Wrong(
            lambda x, u, c, lam, s, n: between(u, c, lam) + s / n * (x - u),
            "The levels are upside down: after the step there is less noise, so the factor is sigma_next / sigma.",
        ),
        Wrong(
            lambda x, u, c, lam, s, n: stepped(x, between(u, c, lam), torch.zeros_like(u), s, n),
            "You scaled x itself: the noise in x is what is left when D_u is subtracted.",
        ),
        Wrong(
            lambda x, u, c, lam, s, n: stepped(x, c + lam * (c - u), u, s, n),
            "Your estimate starts from D_c and goes past it: (5.5) starts from D_u and stays between the two.",
        ),
        Wrong(
            lambda x, u, c, lam, s, n: between(u, c, lam) + (x - u),
            "You put back all the noise that x had: at the next level the share sigma_next / sigma of it is left.",
        ),
        Wrong(
            lambda x, u, c, lam, s, n: between(u, c, lam) + n / (s + 1e-8) * (x - u),
            "You added a small number to sigma, which counts at low levels: sigma is never 0, so leave it out.",
        ),
    ],
    home="course_lib.constraints:cfgpp_weight",
)


# 5.3 a step that moves x0


def moving(step, loss, scale):
    """MPGD (5.7), a step from a step: the library's own."""
    return constraints.mpgd(step, loss, scale)


def slope(loss, x0):
    """Gradient of the summed loss."""
    with torch.enable_grad():
        x0 = x0.detach().requires_grad_()
        return torch.autograd.grad(loss(x0).sum(), x0)[0]


def moving_plainly(step, loss, scale):
    def moved(x, x0, sigma, sigma_next, randn_like=None):
        return step(x, x0, sigma, sigma_next, randn_like) - scale * slope(loss, x0)

    return moved


def moving_by_noise(step, loss, scale):
    def moved(x, x0, sigma, sigma_next, randn_like=None):
        eps = (x - x0) / sigma
        x0 = x0 - scale * slope(loss, x0)
        return step(x0 + sigma * eps, x0, sigma, sigma_next, randn_like)

    return moved


def call_moving(fn, x, x0, levels, scale, a):
    """Two steps, the second to level 0, where no gradients are recorded, and whether they carry a graph along.

    The step is a noisy one with new noise at each call, and the loss no straight line.
    """
    drawn = []

    def loss(point):
        if not (point.requires_grad and torch.is_grad_enabled()):
            raise RuntimeError("the loss got an x0 that records no gradient: enable_grad, detach().requires_grad_()")
        return point @ a + point.square().sum(1) ** 2 / 4

    def noisy(x, x0, sigma, sigma_next, randn_like=None):
        noise = torch.zeros_like(x) if randn_like is None else randn_like(x)
        return ddim(x, x0, sigma, sigma_next) + 0.3 * sigma * noise

    def given(x):  # stands for the sampler's noise
        drawn.append(len(drawn) + 1)
        return len(drawn) * torch.linspace(-1, 1, x.numel(), dtype=x.dtype).reshape(x.shape)

    with torch.no_grad():
        step = fn(noisy, loss, scale)
        ends = together(step(x, x0, levels[0], levels[1], given), step(x, -x0, levels[1], levels[2], given))
    return ends and {"step": ends, "graph": any(getattr(end, "requires_grad", False) for end in ends)}


def wrongly(change):
    """A step from `change(step, loss, scale, x, x0, sigma, sigma_next)`."""
    return lambda step, loss, scale: (
        lambda x, x0, s, n, r: change(lambda *where: step(*where, r), loss, scale, x, x0, s, n)
    )


def with_graph(step, loss, scale):
    def moved(x, x0, sigma, sigma_next, randn_like):
        with torch.enable_grad():
            x0 = x0.detach().requires_grad_()
            push = torch.autograd.grad(loss(x0).sum(), x0)[0]
            return step(x, x0, sigma, sigma_next, randn_like) - scale * push

    return moved


def with_first_slope(step, loss, scale):
    slopes = []

    def moved(x, x0, sigma, sigma_next, randn_like):
        slopes.append(slope(loss, x0))
        return step(x, x0, sigma, sigma_next, randn_like) - scale * slopes[0]

    return moved


def with_slope_at_the_end(step, loss, scale):
    def moved(x, x0, sigma, sigma_next, randn_like):
        end = step(x, x0, sigma, sigma_next, randn_like)
        return end - scale * slope(loss, end)

    return moved


def stepping_twice(step, loss, scale):
    def moved(x, x0, sigma, sigma_next, randn_like):
        step(x, x0, sigma, sigma_next, randn_like)
        return step(x, x0, sigma, sigma_next, randn_like) - scale * slope(loss, x0)

    return moved


def with_own_noise(step, loss, scale):
    def moved(x, x0, sigma, sigma_next, randn_like):
        return step(x, x0, sigma, sigma_next, torch.randn_like) - scale * slope(loss, x0)

    return moved


def estimates_to_move(g):
    """Particles of any number and dimension, estimates, levels that end at 0, a scale, and a direction."""
    N, d = whole(g, 2, 6), whole(g, 2, 6)
    levels = torch.tensor([real(g, 1.2, 2.0), real(g, 0.3, 0.8), 0.0], dtype=torch.float64)
    return normal(g, N, d), normal(g, N, d), levels, real(g, 0.1, 0.4), normal(g, d)


MOVING = Exercise(
    "5.3",
    "A step that moves the estimate",
    points=3,
    difficulty=3,
    importance=5,
    minutes=15,
    equation="(5.7)",
    name="moving",
    reference=moving,
    inputs=estimates_to_move,
    call=call_moving,
    right=[moving_plainly, moving_by_noise],
    wrong=[
        Wrong(
            wrongly(lambda step, loss, scale, x, x0, s, n: step(x, x0 - scale * slope(loss, x0), s, n)),
            "You gave the moved x0 to the step as it is: then (x - x0) / sigma is no longer the noise x had; keep it.",
        ),
        Wrong(
            wrongly(lambda step, loss, scale, x, x0, s, n: step(x, x0, s, n) + scale * slope(loss, x0)),
            "You move up the loss: (5.7) subtracts its gradient.",
        ),
        Wrong(
            wrongly(lambda step, loss, scale, x, x0, s, n: step(x, x0, s, n) - scale * slope(loss, x0) / len(x)),
            "Your push shrinks with the batch: sum the losses before you take the gradient, do not average them.",
        ),
        Wrong(
            wrongly(lambda step, loss, scale, x, x0, s, n: step(x, x0, s, n) - scale * slope(loss, x)),
            "You took the gradient at the noisy x: (5.7) takes it at x0.",
        ),
        Wrong(
            wrongly(lambda step, loss, scale, x, x0, s, n: x0 - scale * slope(loss, x0)),
            "You return the moved x0 without its noise: the particle must be at the next level.",
        ),
        Wrong(
            wrongly(lambda step, loss, scale, x, x0, s, n: step(x, x0, s, n) - slope(loss, x0)),
            "The scale is missing before the gradient.",
        ),
        Wrong(
            wrongly(lambda step, loss, scale, x, x0, s, n: step(x, x0, s, n)),
            "Your step is the old one: the loss moves nothing.",
        ),
        Wrong(
            wrongly(lambda step, loss, scale, x, x0, s, n: ddim(x, x0, s, n) - scale * slope(loss, x0)),
            "Hand all five arguments on to the step that you are given: it may draw noise with randn_like.",
        ),
        Wrong(with_own_noise, "Your step draws noise of its own: hand on the randn_like that it is called with."),
        Wrong(stepping_twice, "You call the step twice, and each call draws new noise: call it once."),
        Wrong(with_slope_at_the_end, "You took the gradient where the step ends: (5.7) takes it at x0."),
        Wrong(with_first_slope, "You took the gradient once, at the first x0: each step has an x0 of its own."),
        Wrong(
            wrongly(lambda step, loss, scale, x, x0, s, n: step(x, x0, s, n) - scale * (n > 0) * slope(loss, x0)),
            "Your step to level 0 has no push: (5.7) moves the estimate at every level.",
        ),
        Wrong(
            wrongly(
                lambda step, loss, scale, x, x0, s, n: (
                    step(x, x0, s, n) - scale * torch.nn.functional.normalize(slope(loss, x0))
                )
            ),
            "You brought the gradients to length 1: (5.7) takes them as long as they are.",
        ),
        Wrong(
            with_graph,
            "The values are right, but they carry a graph along: call the step outside enable_grad, with x0.",
        ),
    ],
    home="course_lib.constraints:mpgd",
    may_pass={
        "loss reordered": "It is summed over the particles before it is differentiated.",
        "step kept": "Every draw hands over the same noisy step.",
    },
)


# 5.4 along the manifold


def along(v, J, k):
    """Projection on the k leading eigenvectors (5.10), (N, d), (N, d, d) -> (N, d): the library's own."""
    linear = lambda x, sigma: (J @ x[..., None])[..., 0]  # noqa: E731
    return constraints.tangent(linear, k)(v, torch.zeros_like(v), 1.0)


def basis_of(J, part):
    """Some of the eigenvectors of J as columns, (N, d, k)."""
    return torch.linalg.eigh(J)[1][..., part]


def onto(basis, v):
    return (basis @ (basis.mT @ v[..., None]))[..., 0]


def along_by_loop(v, J, k):
    rows = []
    for one, matrix in zip(v, J):
        leading = torch.linalg.eigh(matrix)[1].T.flip(0)[:k]
        rows.append(sum((e @ one) * e for e in leading))
    return torch.stack(rows)


def along_by_sorting(v, J, k):
    values, vectors = torch.linalg.eigh(J)
    order = values.argsort(dim=1, descending=True)[:, :k]
    T = vectors.gather(2, order[:, None].expand(-1, J.shape[1], -1))
    return torch.einsum("nik,njk,nj->ni", T, T, v)


def along_by_svd(v, J, k):
    U = torch.linalg.svd(J + 3 * torch.eye(J.shape[1], dtype=J.dtype))[0][..., :k]  # positive, with the same vectors
    return onto(U, v)


def by_size(v, J, k):
    return onto(torch.linalg.svd(J)[0][..., :k], v)


def weighted(v, J, k):
    values, vectors = torch.linalg.eigh(J)
    T = vectors[..., -k:]
    return (T @ (values[..., -k:, None] * (T.mT @ v[..., None])))[..., 0]


def call_along(fn, v, J, k):
    """All vectors, and the last alone."""
    return together(fn(v, J, k), fn(v[-1:], J[-1:], k))


def random_jacobians(g):
    """Vectors, symmetric matrices with eigenvalues spread over (0, 1) and one negative, and k."""
    N, d = whole(g, 2, 6), whole(g, 3, 6)
    Q = torch.linalg.qr(normal(g, N, d, d))[0]
    values = torch.cat([torch.tensor([-1.2], dtype=torch.float64), torch.linspace(0.05, 0.95, d - 1).double()])
    values = values + 0.05 * torch.rand(N, d, generator=g, dtype=torch.float64)
    return normal(g, N, d), Q @ torch.diag_embed(values) @ Q.mT, whole(g, 1, d - 1)


ALONG = Exercise(
    "5.4",
    "Along the manifold, without knowing it",
    points=2,
    difficulty=3,
    importance=4,
    minutes=10,
    name="along",
    reference=along,
    inputs=random_jacobians,
    call=call_along,
    right=[along_by_loop, along_by_sorting, along_by_svd],
    wrong=[
        Wrong(
            lambda v, J, k: onto(basis_of(J, slice(0, k)), v),
            "You took the smallest eigenvalues: eigh sorts upwards, and the directions along the data are the last.",
        ),
        Wrong(
            lambda v, J, k: v - onto(basis_of(J, slice(-k, None)), v),
            "That is the part across the manifold, which is to be removed.",
        ),
        Wrong(
            lambda v, J, k: (J @ v[..., None])[..., 0],
            "You multiplied by J itself, which shortens even what lies along the data: project on its eigenvectors.",
        ),
        Wrong(
            lambda v, J, k: onto(torch.linalg.eigh(J)[1][..., -k:, :].mT, v),
            "You took rows of what eigh returns: its eigenvectors are the columns.",
        ),
        Wrong(
            lambda v, J, k: onto(basis_of(J, slice(-k - 1, None)), v),
            "You kept one direction too many: k of them span the manifold's tangent.",
        ),
        Wrong(
            lambda v, J, k: (basis_of(J, slice(-k, None)).mT @ v[..., None]).sum(1).expand_as(v),
            "You added up the coefficients: each belongs to its own eigenvector.",
        ),
        Wrong(
            weighted,
            "You weighed the coefficients by the eigenvalues: a projection keeps what lies along at full length.",
        ),
        Wrong(
            by_size,
            "You ordered the eigenvalues by their size without the sign: leading are the largest, and -1 is not.",
        ),
        Wrong(
            lambda v, J, k: along(v, J[:1].expand_as(J), k),
            "You used the first matrix for all: each particle has a Jacobian of its own.",
        ),
        Wrong(
            lambda v, J, k: along(v, J.mean(0).expand_as(J), k),
            "You averaged the matrices: each particle has a Jacobian, and a tangent, of its own.",
        ),
    ],
    home="course_lib.constraints:tangent",
)


# 5.5 the gated loss


def gated_loss(estimate, x0, sigma, distance2, lam, gate):
    """Loss (5.11) -> (): the library's own."""
    return training.manifold_loss(
        lambda x, s: estimate, x0, sigma, torch.zeros_like(x0), lambda y: distance2, lam, gate
    )


def squared_error(estimate, x0):
    return (estimate - x0).square().sum(1)


def gated_plainly(estimate, x0, sigma, distance2, lam, gate):
    return (squared_error(estimate, x0) + lam * (sigma[:, 0] < gate) * distance2).mean()


def gated_by_where(estimate, x0, sigma, distance2, lam, gate):
    low = sigma.flatten() < gate
    return squared_error(estimate, x0).mean() + lam * torch.where(low, distance2, 0.0).sum() / len(x0)


def gated_by_loop(estimate, x0, sigma, distance2, lam, gate):
    total = 0.0
    for i in range(len(x0)):
        total = total + ((estimate[i] - x0[i]) ** 2).sum() + (lam * distance2[i] if sigma[i, 0] < gate else 0.0)
    return total / len(x0)


def call_gated(fn, estimate, x0, sigma, distance2, lam, gate):
    """The loss with this gate, with none and at strength 0, and what it pulls at: the estimates and their distances."""
    found = {"loss": [], "gradient to estimate": [], "gradient to distance2": []}
    for strength, height in ((lam, gate), (lam, math.inf), (0.0, gate)):
        asked = [one.clone().requires_grad_() for one in (estimate, distance2)]
        given = [one.clone() for one in asked]  # what a network returns is no leaf either
        loss = trainable(fn(given[0], x0, sigma, given[1], strength, height))
        slopes = torch.autograd.grad(loss.sum(), asked, allow_unused=True, materialize_grads=True)
        for one, mine in zip((estimate, distance2), given):
            one.copy_(mine.detach())  # shows a change of what was given
        for kept, one in zip(found.values(), (loss, *slopes)):
            kept.append(one)
    return found


def gated_inputs(g):
    """Levels of which one is below the gate, one at it and one far above; their mean is above."""
    N, d, gate = whole(g, 4, 9), whole(g, 1, 4), real(g, 0.3, 1.5)
    sigma = torch.cat(
        [torch.tensor([[0.4], [1.0], [6.0]]).double(), 0.3 + 2 * torch.rand(N - 3, 1, generator=g).double()]
    )
    distance2 = 0.1 + torch.rand(N, generator=g).double()
    return normal(g, N, d), normal(g, N, d), gate * sigma, distance2, real(g, 2.0, 9.0), gate


GATED = Exercise(
    "5.5",
    "A penalty with a gate",
    points=2,
    difficulty=2,
    importance=5,
    minutes=10,
    equation="(5.11)",
    name="gated_loss",
    reference=gated_loss,
    inputs=gated_inputs,
    call=call_gated,
    beside=True,
    right=[gated_plainly, gated_by_where, gated_by_loop],
    wrong=[
        Wrong(
            lambda e, x0, s, d2, lam, gate: (squared_error(e, x0) + lam * d2).mean(),
            "Your penalty acts at every level: the gate lets it through only where sigma < gate.",
        ),
        Wrong(
            lambda e, x0, s, d2, lam, gate: (squared_error(e, x0) + lam * (s[:, 0] >= gate) * d2).mean(),
            "Your gate is open at high noise, where the estimate must lie off the manifold: turn it round.",
        ),
        Wrong(
            lambda e, x0, s, d2, lam, gate: (squared_error(e, x0) + lam * (s < gate) * d2).mean(),
            "sigma is (N, 1) and the distances are (N,): their product is an (N, N) table; bring them to one shape.",
        ),
        Wrong(
            lambda e, x0, s, d2, lam, gate: ((s[:, 0] < gate) * (squared_error(e, x0) + lam * d2)).mean(),
            "Your gate also closes the denoising error: only the penalty stands behind it.",
        ),
        Wrong(
            lambda e, x0, s, d2, lam, gate: (e - x0).square().mean() + lam * ((s[:, 0] < gate) * d2).mean(),
            "You averaged the squares over the coordinates: |D - x0|^2 is their sum, and the mean runs over particles.",
        ),
        Wrong(
            lambda e, x0, s, d2, lam, gate: squared_error(e, x0).mean() + lam * d2[s[:, 0] < gate].mean(),
            "You averaged the penalty over the open particles only: (5.11) divides by all N.",
        ),
        Wrong(
            lambda e, x0, s, d2, lam, gate: (squared_error(e, x0) + lam * (s[:, 0] < gate) * d2).sum(),
            "You summed over the batch: (5.11) is a mean, or the step size would follow the batch.",
        ),
        Wrong(
            lambda e, x0, s, d2, lam, gate: (squared_error(e, x0) + lam * (s[:, 0] < gate) * d2**2).mean(),
            "The distances come squared already: you squared them again.",
        ),
        Wrong(
            lambda e, x0, s, d2, lam, gate: (squared_error(e, x0) + (s[:, 0] < gate) * d2).mean(),
            "lam changes nothing in your answer: it weighs the penalty.",
        ),
        Wrong(
            lambda e, x0, s, d2, lam, gate: lam * (squared_error(e, x0) + (s[:, 0] < gate) * d2).mean(),
            "Your lam weighs the denoising error too: it belongs to the penalty alone.",
        ),
        Wrong(
            lambda e, x0, s, d2, lam, gate: (squared_error(e, x0) + lam * (s[:, 0] <= gate) * d2).mean(),
            "Your gate is open where sigma equals it: (5.11) asks for less.",
        ),
        Wrong(
            lambda e, x0, s, d2, lam, gate: (squared_error(e, x0) + lam * (s.mean() < gate) * d2).mean(),
            "You asked once for the whole batch: each particle has a sigma, and so a gate, of its own.",
        ),
        Wrong(
            lambda e, x0, s, d2, lam, gate: (squared_error(e, x0) + lam * (s[:, 0] < min(gate, 1)) * d2).mean(),
            "You cut the gate at 1: it is a noise level, may lie above, and is infinite where there is no gate.",
        ),
        Wrong(
            lambda e, x0, s, d2, lam, gate: ((e - x0).norm(dim=1) + lam * (s[:, 0] < gate) * d2).mean(),
            "Your denoising error is a length: (5.11) has its square.",
        ),
        Wrong(
            lambda e, x0, s, d2, lam, gate: (squared_error(e, x0) + lam * (s[:, 0] < gate) * d2.sqrt()).mean(),
            "You took the root of the distances: they come squared, and (5.11) wants them so.",
        ),
        Wrong(
            lambda e, x0, s, d2, lam, gate: (squared_error(e, x0) + lam**2 * (s[:, 0] < gate) * d2).mean(),
            "You squared lam: the penalty has the weight lam itself.",
        ),
        Wrong(
            lambda e, x0, s, d2, lam, gate: (squared_error(e, x0) / s[:, 0] ** 2 + lam * (s[:, 0] < gate) * d2).mean(),
            "You weighed the denoising error by 1 / sigma^2: in (5.11) all levels count alike.",
        ),
        Wrong(
            lambda e, x0, s, d2, lam, gate: (squared_error(e, x0) + lam * (s[:, 0] < gate) * d2.detach()).mean(),
            "The value is right, but the penalty pulls at nothing: no gradient reaches distance2.",
        ),
        Wrong(
            lambda e, x0, s, d2, lam, gate: (squared_error(e.detach(), x0) + lam * (s[:, 0] < gate) * d2).mean(),
            "The value is right, but the denoising error pulls at nothing: no gradient reaches estimate.",
        ),
    ],
    home="course_lib.training:manifold_loss",
)


# 5.6 experiment: a penalty for a roll

ROLL = SwissRoll()


def penalty(x, points):
    """A soft minimum of the squared distances (5.14), wider than the noise of the points."""
    return kernel_density(x, points, 0.06)


def call_penalty(fn, x, points, turn, shift):
    """Values and gradients of a penalty at points off the roll, which the penalty does not know.

    Also the values among 40 points more, and the gradients by either half of the points.
    """

    def at(points):
        y = x.clone().requires_grad_()
        value = fn(y, points)
        if not value.requires_grad:
            return value, torch.zeros_like(x)
        found = torch.autograd.grad(value.sum(), y, allow_unused=True)[0]
        return value.detach(), torch.zeros_like(x) if found is None else found

    with torch.enable_grad():
        value, gradient = at(points)
        again = fn(torch.cat([x[-40:], x]), points).detach()
        halves = [at(points[start::2])[1] for start in range(2)]
    return {
        "value": value,
        "gradient": gradient,
        "among 40 more": again,
        "one half": halves[0],
        "other half": halves[1],
    }


def off_the_roll(g):
    """Points beside a roll, and the sample of it that one would have, which is not clean; how both are turned."""
    x, points = ROLL.sample(200, g) + 0.07 * normal(g, 200, 2), ROLL.sample(800, g) + 0.04 * normal(g, 800, 2)
    angle, shift = real(g, 0, 2 * math.pi), 0.5 * normal(g, 2)
    c, s = math.cos(angle), math.sin(angle)
    turn = torch.tensor([[c, s], [-s, c]], dtype=torch.float64)
    return x @ turn + shift, points @ turn + shift, turn, shift


STUCK = "No gradient flows from your penalty to x: a loss needs one; keep x out of detach and no_grad."
FLAT = (
    "Your penalty hardly follows the distance to the curve: the roll is bent, so compare with the points near x only."
)
WIDE = "Your penalty follows the distance, but not well: it looks beyond the neighbouring turn, so look closer."
NEAR = "Your gradient points away from single points, which are noisy: let more of them count."
UPHILL = "Your penalty falls as x moves away from the roll: it must grow."
TURNED = "Your values grow away from the roll, but your gradient points back to it: hold D or the points fixed, not x."
ALIKE = "Your penalty is one number for all points of x: each of them has a distance of its own."
UNSTEADY = "Called with 40 points more, your penalty differs at the same points: only x and the data may decide."


def accept_penalty(answer, inputs):
    """A gradient, a value that stays, then how well values and gradients follow the exact distance."""
    x, _, turn, shift = inputs
    value, gradient = answer["value"].to(x), answer["gradient"].to(x)
    if gradient.abs().max() == 0:
        return STUCK
    size = value.max() - value.min()
    if size <= 1e-9 * value.abs().max():
        return ALIKE
    if (answer["among 40 more"].to(x) - torch.cat([value[-40:], value])).abs().max() > 1e-4 * size:
        return UNSTEADY
    away = x - (ROLL.project((x - shift) @ turn.T) @ turn + shift)
    correlation = torch.corrcoef(torch.stack([value, away.square().sum(1)]))[0, 1]
    cosine = torch.cosine_similarity(gradient, away).mean()
    if correlation > 0.75 and cosine > 0.7:
        return None
    if cosine < -0.3:
        return TURNED if correlation > 0 else UPHILL
    agreement = torch.cosine_similarity(answer["one half"].to(x), answer["other half"].to(x)).mean()
    found = {"correlation of values, .75 due": correlation, "cosine of gradients, .7 due": cosine}
    if cosine <= 0.7 and (correlation > 0.75 or agreement < 0.5):
        return NEAR, found
    return (FLAT if cosine < 0.24 else WIDE), found


def penalty_by_hand(x, points):
    closeness = (-(x[:, None] - points).square().sum(-1) / (2 * 0.05**2)).softmax(1)
    return (x - closeness @ points).square().sum(1)  # the square of a mean shift


def penalty_by_soft_minimum(x, points):
    return -0.007 * torch.logsumexp(-(torch.cdist(x, points) ** 2) / 0.007, 1)


def penalty_by_denoiser(x, points):
    return denoiser_residual(x, IdealDenoiser(points), 0.06)


def penalty_unmoved(x, points):
    with torch.no_grad():
        return penalty(x, points)


PENALTY = Exercise(
    "5.6",
    "A penalty for a roll",
    points=3,
    difficulty=3,
    importance=4,
    minutes=20,
    name="penalty",
    reference=penalty,
    inputs=off_the_roll,
    call=call_penalty,
    accept=accept_penalty,
    draws=2,
    right=[penalty_by_hand, penalty_by_soft_minimum, penalty_by_denoiser],
    wrong=[
        Wrong(penalty_unmoved, STUCK),
        Wrong(lambda x, points: local_pca(x, points, len(points), 1), FLAT),
        Wrong(lambda x, points: nearest_neighbours(x, points, 3), NEAR),
        Wrong(lambda x, points: denoiser_residual(x, IdealDenoiser(points), 0.2), WIDE),
        Wrong(lambda x, points: -penalty(x, points), UPHILL),
        Wrong(lambda x, points: (x.detach() - IdealDenoiser(points)(x, 0.06)).square().sum(1), TURNED),
        Wrong(lambda x, points: penalty(x, points).sum() + 0 * x[:, 0], ALIKE),
        Wrong(lambda x, points: penalty(x, points) * (1 + 0.3 * torch.rand(len(x))), UNSTEADY),
    ],
    may_pass=any_order("points")
    | {"points kept for a draw": "A draw judges by one set of points, the next by another."},
)


# 5.7 a verdict that is computed


def verdict(measured, baseline, better):
    """What two measurements (mean, error, count) say about "better", in one of three words."""
    if measured[2] == 0 or baseline[2] == 0:
        return "untestable"
    gain = measured[0] - baseline[0] if better == "higher" else baseline[0] - measured[0]
    return "supported" if gain > 3 * math.hypot(measured[1], baseline[1]) else "not supported"


def verdict_by_sign(measured, baseline, better):
    (m, a, n), (b, c, k) = measured, baseline
    if not (n and k):
        return "untestable"
    sign = {"higher": 1, "lower": -1}[better]
    return ("not supported", "supported")[int(sign * (m - b) > 3 * (a**2 + c**2) ** 0.5)]


def verdict_by_interval(measured, baseline, better):
    if 0 in (measured[2], baseline[2]):
        return "untestable"
    reach = 3 * (measured[1] ** 2 + baseline[1] ** 2) ** 0.5
    low, high = measured[0] - baseline[0] - reach, measured[0] - baseline[0] + reach
    return "supported" if (low > 0 if better == "higher" else high < 0) else "not supported"


def call_verdict(fn, cases):
    """What is said of each case, followed by the case."""
    told, words = [], ("supported", "not supported", "untestable")
    for measured, baseline, better in cases:
        said = fn(measured, baseline, better)
        if type(said) is not str or said not in words:
            name = repr(said)[:40] if type(said) in (str, bool) else f"of type {type(said).__name__}"
            raise TypeError(f'return "supported", "not supported" or "untestable", in these letters; yours is {name}')
        a, b = ("{:.3g} ± {:.3g} (n = {})".format(*one) for one in (measured, baseline))
        told.append(f"{said}: {a} against {b}, {better}")
    return tuple(told)


CORNERS = (  # nothing measured, no spread, a mean of 0, one value, unlike counts, exactly three errors
    ((0.4, 0.1, 0), (0.2, 0.0, 6)),
    ((0.9, 0.1, 5), (0.1, 0.1, 0)),
    ((0.0, 0.0, 0), (0.0, 0.0, 0)),
    ((0.0, 0.0, 1), (0.0, 0.0, 1)),
    ((7.0, 0.0, 1), (0.0, 0.0, 1)),
    ((0.0, 0.1, 8), (0.9, 0.1, 3)),
    ((2.0, 0.0, 7), (1.0, 0.2, 2)),
    ((3.0, 0.0, 5), (1.0, 0.0, 5)),
    ((1.2, 0.1, 1), (0.2, 0.1, 6)),
    ((0.95, 0.2, 2), (0.5, 0.02, 12)),
    ((15.0, 3.0, 4), (0.0, 4.0, 9)),
)


def cases(g):
    """Pairs of measurements: corners from either side, and gains of -6 to 6 joint errors with any counts."""
    made = [(*pair, better) for pair in CORNERS for better in ("higher", "lower")]
    made += [(baseline, measured, better) for measured, baseline, better in made]
    for i in range(20):
        a, c, b = real(g, 0.02, 0.2), real(g, 0.02, 0.2), real(g, 0.0, 2.0)
        gain = (real(g, -6, 6) if i % 2 else real(g, 1.0, 4.4)) * math.hypot(a, c)
        better = ("higher", "lower")[whole(g, 0, 1)]
        n, k = whole(g, 2, 12), whole(g, 2, 12)
        made.append(((b + gain if better == "higher" else b - gain, a, n), (b, c, k), better))
    return (made,)


def decided(threshold, untestable=lambda n, k: n == 0 or k == 0, signed=True, empty="untestable"):
    """A verdict with another yardstick, threshold(a, c, n, k) of errors and counts, or with another gap in the data."""

    def answer(measured, baseline, better):
        (m, a, n), (b, c, k) = measured, baseline
        if untestable(n, k):
            return empty
        gain = m - b if better == "higher" else b - m
        return "supported" if (gain if signed else abs(gain)) > threshold(a, c, n, k) else "not supported"

    return answer


def three(a, c, n, k):
    return 3 * math.hypot(a, c)


def at_three(measured, baseline, better):
    """A verdict that is supported at the limit as well."""
    (m, a, n), (b, c, k) = measured, baseline
    gain = m - b if better == "higher" else b - m
    return "untestable" if 0 in (n, k) else "supported" if gain >= three(a, c, n, k) else "not supported"


def without_zeros(measured, baseline, better):
    return verdict(measured, baseline, better) if all(measured) and all(baseline) else "untestable"


def without_division_by_zero(measured, baseline, better):
    return verdict(measured, baseline, better) if measured[1] or baseline[1] else "untestable"


def count_in_the_middle(measured, baseline, better):
    (m, n, a), (b, k, c) = measured, baseline
    return verdict((m, a, n), (b, c, k), better)


VERDICT = Exercise(
    "5.7",
    "A verdict that is computed",
    points=2,
    difficulty=2,
    importance=4,
    minutes=10,
    equation="(5.22)",
    name="verdict",
    reference=verdict,
    inputs=cases,
    call=call_verdict,
    right=[verdict_by_sign, verdict_by_interval],
    wrong=[
        Wrong(
            decided(lambda a, c, n, k: 0.0),
            "Any difference convinces you: chance alone makes one; ask for three errors.",
        ),
        Wrong(decided(lambda a, c, n, k: math.hypot(a, c)), "One joint error is no evidence: (5.22) asks for three."),
        Wrong(
            decided(lambda a, c, n, k: 2 * math.hypot(a, c)),
            "Two joint errors come by chance too often: ask for three.",
        ),
        Wrong(
            decided(lambda a, c, n, k: 3 * math.hypot(a / max(n, 1) ** 0.5, c / max(k, 1) ** 0.5)),
            "The errors are those of means already: do not divide them by the root of the count again.",
        ),
        Wrong(
            decided(lambda a, c, n, k: 3 * (2 * (n * a**2 + k * c**2) / (n + k)) ** 0.5),
            "You weighed the errors by the counts: an error of a mean has its count in it already.",
        ),
        Wrong(
            lambda m, b, better: verdict(b, m, better),
            "You took the measurement from the baseline: the gain is measured minus baseline where higher is better.",
        ),
        Wrong(
            decided(lambda a, c, n, k: 3 * (a + c)),
            "You added the errors: independent ones add as squares, under a root.",
        ),
        Wrong(
            decided(lambda a, c, n, k: 3 * (a**2 + c**2)),
            "You left out the root: errors are squared, added, and brought back by a root.",
        ),
        Wrong(
            decided(lambda a, c, n, k: 3 * max(a, c)),
            "You took the larger error alone: both count, as squares under a root.",
        ),
        Wrong(decided(lambda a, c, n, k: 3 * a), "You forgot that the baseline has an error as well."),
        Wrong(decided(lambda a, c, n, k: 3 * c), "You forgot that the measurement has an error as well."),
        Wrong(
            at_three,
            "You say supported where the gain is exactly three errors, or all are 0: (5.22) asks for more.",
        ),
        Wrong(
            decided(three, signed=False),
            "You look at the size of the difference only: a change for the worse does not support the claim.",
        ),
        Wrong(
            decided(three, untestable=lambda n, k: False),
            "You gave a verdict where a count is 0: nothing was measured there, so the claim is untestable.",
        ),
        Wrong(
            decided(three, empty="not supported"),
            "Where a count is 0 nothing was measured: that claim is untestable, which is not the same as unsupported.",
        ),
        Wrong(
            decided(three, untestable=lambda n, k: n == 0 and k == 0),
            "You say untestable only where both counts are 0: one is enough.",
        ),
        Wrong(
            decided(three, untestable=lambda n, k: n == 0),
            "You looked at the count of the measurement only: a baseline that was never made is missing as much.",
        ),
        Wrong(
            decided(three, untestable=lambda n, k: k == 0),
            "You looked at the count of the baseline only: a measurement that was never made is missing as much.",
        ),
        Wrong(
            decided(three, untestable=lambda n, k: n < 2 or k < 2),
            "You call a single value nothing: only a count of 0 makes a claim untestable.",
        ),
        Wrong(
            without_zeros,
            "You took a mean or an error of 0 for a missing one: only the count says that nothing was measured.",
        ),
        Wrong(
            without_division_by_zero,
            "Errors of 0 make no claim untestable: compare the gain with three errors instead of dividing by them.",
        ),
        Wrong(count_in_the_middle, "The triples are (mean, error, count), in this order: yours has the count second."),
        Wrong(
            lambda m, b, better: verdict(m, b, "higher"),
            "You took higher for better always: read the third argument.",
        ),
        Wrong(
            lambda m, b, better: verdict(m, b, "lower"),
            "You took lower for better always: read the third argument, which may say higher.",
        ),
    ],
)


# 5.8 words

WORDS = Exercise(
    "5.8",
    "A letter to the author",
    points=3,
    difficulty=3,
    importance=4,
    minutes=20,
    rubric="1 point: names something the article gets right, and the number of this chapter that supports it. "
    "1 point: corrects one recommendation (the ungated penalty, augmentation, t-SNE as a guide, or the training loop) "
    "with the mechanism and a number, and says what to write instead. "
    "1 point: separates what was tested here from what cannot be (points in a few dimensions, exact denoisers, "
    "small networks; no pictures, no human judgement of coherence or control), in a tone the author could thank for.",
)


EXERCISES = [CIRCLE, CFGPP, MOVING, ALONG, GATED, PENALTY, VERDICT, WORDS]

QUIZ = [
    Question(
        "Data on a circle, high noise, exact denoiser. Where does D(x, sigma) lie?",
        [
            ("On the circle", False, "It is a mean of many points of the circle, and such a mean lies inside."),
            (
                "Inside the circle",
                True,
                "A mean of points of a circle lies inside; the more noise, the nearer the middle.",
            ),
            ("Outside the circle", False, "No mean of points of a circle lies outside; guided estimates may."),
        ],
    ),
    Question(
        "Guidance with w = 7.5 and exact denoisers, levels that end at 0. What is lost?",
        [
            ("The manifold: samples end far from it", False, "The last steps bring them back; they end on it."),
            ("The spread along the manifold", True, "From .84 to about .07 here, and nothing brings that back."),
            ("Nothing, the denoisers are exact", False, "Both are, but their combination is no law's denoiser."),
        ],
    ),
    Question(
        "You double the number of steps of CFG++ and keep lambda. What happens?",
        [
            ("The same samples, a little more accurate", False, "True of a law with a limit; CFG++ has none."),
            (
                "It guides harder",
                True,
                "As guidance its weight is lambda / (1 - sigma_next / sigma), which grows as the steps get shorter.",
            ),
            ("It guides less", False, "Each step pushes about as far as before, and there are more of them."),
        ],
    ),
    Question(
        "Why does DPS stay on the manifold where MPGD without projection leaves it?",
        [
            (
                "Its gradient passes through the denoiser, whose Jacobian is nearly zero across the data",
                True,
                "The Jacobian is the covariance of x0 given x over sigma^2: a push across is multiplied by almost 0.",
            ),
            ("Its steps are shorter", False, "At the same scale the pushes along the manifold are about as long."),
            ("It knows the manifold", False, "It knows the denoiser only."),
        ],
    ),
    Question(
        "Which of these can serve as a manifold penalty in a training loss?",
        [
            ("The place of x in a t-SNE map", False, "t-SNE places a given set; it has no answer for a new x."),
            ("The residual of an autoencoder trained without noise", False, "It is 0 on whatever it learned to copy."),
            (
                "The residual of the denoiser at low noise",
                True,
                "It is about the squared distance, at no extra network.",
            ),
        ],
    ),
]
