"""Guidance: forces against closed forms, symmetries of sets of particles, limits, and the methods' own promises."""

import inspect
import math
import os
import subprocess
import sys

import pytest
import torch

from course_lib.denoisers import GaussianMixture, MLPDenoiser, ring
from course_lib.guidance import (
    Above,
    Determinantal,
    Groups,
    Repulsion,
    VendiPotential,
    cads,
    flatten,
    guided,
    in_groups,
    median_bandwidth,
    radial,
    rbf,
    spell,
    svgd,
    switch,
    turned,
)
from course_lib.metrics import squared_distances, vendi
from course_lib.samplers import ddim, ddpm, dpmpp_2m, euler_maruyama, geometric, sample, trajectory
from course_lib.seeds import Noise

DOUBLE = torch.float64
SIGMA = torch.tensor(0.6, dtype=DOUBLE)


def randn(g, *shape):
    return torch.randn(*shape, generator=g, dtype=DOUBLE)


def still(x, sigma):
    """A denoiser that leaves every particle where it is, so that only the force is left."""
    return x


def force(x, *potentials, sigma=SIGMA, denoiser=still, **kwargs):
    """What `guided` adds to the score."""
    return (guided(denoiser, *potentials, **kwargs)(x, sigma) - denoiser(x, sigma)) / sigma**2


def pairwise(x, alpha, h):
    """Equation (4.4) by two loops, -(alpha / N) sum_j grad_i k_ij."""
    out = torch.zeros_like(x)
    for i in range(len(x)):
        for j in range(len(x)):
            difference = x[i] - x[j]
            out[i] += 2 * alpha / (len(x) * h) * difference * torch.exp(-difference.square().sum() / h)
    return out


POTENTIALS = {
    "repulsion on x": Repulsion(3.0),
    "repulsion on x0": Repulsion(3.0, on="x0"),
    "repulsion by angle": Repulsion(2.0, kernel=radial),
    "determinantal": Determinantal(0.4),
    "vendi": VendiPotential(0.8),
    "vendi of order 2": VendiPotential(0.8, q=2.0),
}
FIXED = {
    "repulsion on x": Repulsion(3.0, h=1.0),
    "repulsion on x0": Repulsion(3.0, on="x0", h=1.0),
    "repulsion by angle": Repulsion(2.0, kernel=radial, h=1.0),
    "determinantal": Determinantal(0.1, h=1.0),
    "vendi": VendiPotential(0.3, h=1.0),
    "vendi of order 2": VendiPotential(0.3, q=2.0, h=1.0),
}
MANNERS = {
    "slope": {},
    "jacobian": {"through_denoiser": True},
    "relative": {"relative": 0.3},
    "clip": {"clip": 0.1},
}


def test_repulsive_force_is_its_closed_form(g):
    """By autograd it is (2 alpha / (N h)) sum_j (x_i - x_j) k_ij, with h given or by the median rule."""
    x = randn(g, 6, 3)
    torch.testing.assert_close(force(x, Repulsion(3.0, h=0.8)), pairwise(x, 3.0, 0.8))
    h = torch.pdist(x).square().sort().values[7] / math.log(6)  # the lower median of 15 is the 8th
    torch.testing.assert_close(force(x, Repulsion(3.0)), pairwise(x, 3.0, h))


def test_repulsive_force_on_estimates_goes_by_the_slope(g):
    """On x0 the force at the estimates is shortened by sigma_data**2 / (sigma**2 + sigma_data**2); sigma_data is 1."""
    x, mixture = randn(g, 6, 2), ring(5)
    at_x0 = pairwise(mixture(x, SIGMA), 3.0, 0.8)
    for kwargs, sigma_data in (({}, 1.0), ({"sigma_data": 0.5}, 0.5)):
        slope = sigma_data**2 / (SIGMA**2 + sigma_data**2)
        actual = force(x, Repulsion(3.0, on="x0", h=0.8), denoiser=mixture, **kwargs)
        torch.testing.assert_close(actual, slope * at_x0)


def test_force_through_the_denoiser_uses_its_jacobian(g):
    """With `through_denoiser` the force at the estimates is pulled back by the exact Jacobian of D."""
    x, mixture = randn(g, 5, 2), ring(5)
    jacobian = torch.autograd.functional.jacobian(lambda z: mixture(z, SIGMA), x)  # (N, 2, N, 2)
    expected = torch.einsum("ia,iajb->jb", pairwise(mixture(x, SIGMA), 3.0, 0.8), jacobian)
    actual = force(x, Repulsion(3.0, on="x0", h=0.8), denoiser=mixture, through_denoiser=True)
    torch.testing.assert_close(actual, expected)
    on_x = Repulsion(3.0, h=0.8)
    torch.testing.assert_close(force(x, on_x, denoiser=mixture, through_denoiser=True), pairwise(x, 3.0, 0.8))


@pytest.mark.parametrize("name", FIXED)
def test_forces_match_finite_differences(name, g):
    """The force is the slope of log w along every coordinate."""
    x, potential, step = randn(g, 4, 2), FIXED[name], 1e-6
    log_w = lambda z: potential(z, z, SIGMA)  # noqa: E731
    slopes = torch.zeros_like(x)
    for i in range(4):
        for a in range(2):
            shift = torch.zeros_like(x)
            shift[i, a] = step
            slopes[i, a] = (log_w(x + shift) - log_w(x - shift)) / (2 * step)
    slope = 1.0 if potential.on == "x" else 1 / (1 + SIGMA**2)
    torch.testing.assert_close(force(x, potential), slope * slopes, rtol=1e-5, atol=1e-7)


def test_two_particles_move_apart():
    """The sign: without a score, one guided step increases the distance of two particles."""
    x = torch.tensor([[-0.1, 0.0], [0.1, 0.0]], dtype=DOUBLE)
    for name, potential in POTENTIALS.items():
        if name != "repulsion by angle":
            pushed = guided(still, potential)(x, SIGMA)
            assert torch.dist(pushed[0], pushed[1]) > 0.2


@pytest.mark.parametrize("name", ["repulsion on x", "repulsion on x0", "determinantal", "vendi", "vendi of order 2"])
def test_forces_add_up_to_zero(name, g):
    """What depends on differences alone moves no centre of mass."""
    total = force(randn(g, 7, 3), POTENTIALS[name]).sum(0)
    torch.testing.assert_close(total, torch.zeros(3, dtype=DOUBLE), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", [n for n in POTENTIALS if n != "repulsion by angle"])
def test_forces_follow_shifts_and_rotations(name, g):
    """Translating all particles changes no force; rotating them rotates it."""
    x, potential = randn(g, 6, 2), POTENTIALS[name]
    f = force(x, potential)
    turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]], dtype=DOUBLE)
    torch.testing.assert_close(force(x + torch.tensor([3.0, -7.0]), potential), f, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(force(x @ turn.T, potential), f @ turn.T, rtol=1e-7, atol=1e-9)


WRAPPERS = {
    **{name: (lambda D, p=p: guided(D, p)) for name, p in POTENTIALS.items()},
    **{
        manner: (lambda D, kw=kw: guided(D, Repulsion(3.0), Determinantal(0.2), **kw)) for manner, kw in MANNERS.items()
    },
    "svgd": lambda D: svgd(D),
    "spell": lambda D: spell(D, 0.9),
    "spell with memory": lambda D: spell(D, 0.9, memory=ring(3).means),
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_the_order_of_particles_does_not_matter(name, g):
    """Permuting the particles permutes the answer."""
    denoiser, x, order = WRAPPERS[name](ring()), randn(g, 7, 2), torch.randperm(7, generator=g)
    torch.testing.assert_close(denoiser(x[order], SIGMA), denoiser(x, SIGMA)[order], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", [n for n in WRAPPERS if n != "repulsion by angle"])
def test_methods_act_on_particles_of_any_shape(name, g):
    """Particles as images give what the flat particles give."""
    x, points = randn(g, 5, 1, 2), ring().means

    def flat(x, sigma):
        return GaussianMixture(points, 0.1)(x.flatten(1), sigma).reshape(x.shape)

    expected = WRAPPERS[name](flat)(x.flatten(1), SIGMA)
    memory = {"memory": ring(3).means.reshape(3, 1, 2)}
    method = (lambda D: spell(D, 0.9, **memory)) if name == "spell with memory" else WRAPPERS[name]
    torch.testing.assert_close(method(flat)(x, SIGMA), expected.reshape(5, 1, 2))


@pytest.mark.parametrize("step", [ddim, ddpm, euler_maruyama, dpmpp_2m], ids=lambda step: step.__name__)
def test_strength_zero_is_plain_sampling(step, g):
    """At strength 0 every method samples what the denoiser alone samples, bit for bit."""
    x, sigmas = 3 * randn(g, 6, 2), geometric(3.0, 0.05, 12)

    def run(denoiser):
        own = step() if step is dpmpp_2m else step
        return sample(denoiser, x, sigmas, own, randn_like=Noise(range(6)).randn_like)

    mixture = ring()
    plain = run(mixture)
    silent = [guided(mixture, Repulsion(0.0, on=on), **manner) for on in ("x", "x0") for manner in MANNERS.values()]
    silent += [guided(mixture, Determinantal(0.0)), guided(mixture, VendiPotential(0.0)), guided(mixture)]
    silent += [guided(mixture, Repulsion(9.0), relative=0.0), guided(mixture, Repulsion(9.0), clip=0.0)]
    silent += [guided(mixture, Above(9.0, Repulsion(9.0))), guided(mixture, Groups(3, Repulsion(0.0)))]
    silent += [
        spell(mixture, 0.5, lam=0.0),
        in_groups(spell(mixture, 0.5, lam=0.0), 3),
        switch(9.0, spell(mixture, 5.0), mixture),
    ]
    for denoiser in silent:
        assert torch.equal(run(denoiser), plain)


def test_potentials_add_up(g):
    """Several potentials push with the sum of their forces, and share one call of the denoiser."""
    x, calls = randn(g, 5, 2), []

    def counted(x, sigma):
        calls.append(1)
        return x

    a, b = Repulsion(3.0), Determinantal(0.3)
    both = (guided(counted, a, b)(x, SIGMA) - x) / SIGMA**2
    assert len(calls) == 1
    torch.testing.assert_close(both, force(x, a) + force(x, b))


@pytest.mark.parametrize("name", FIXED)
@pytest.mark.parametrize("manner", MANNERS)
def test_gradients_flow_through_a_guided_run(name, manner, g):
    """Autograd's gradient of the last x with respect to the first is what finite differences give."""
    denoiser, levels = guided(ring(), FIXED[name], **MANNERS[manner]), geometric(2.0, 0.3, 2)
    start = randn(g, 3, 2).requires_grad_()
    run = lambda x: list(trajectory(denoiser, x, levels))[-1].x  # noqa: E731
    assert torch.autograd.gradcheck(run, (start,), atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("name", ["svgd", "spell", "plain"])
def test_gradients_flow_through_the_other_methods(name, g):
    """The same for SVGD, SPELL and a window in which no potential acts."""
    makers = {
        "svgd": lambda D: svgd(D, h=1.0),
        "spell": lambda D: spell(D, 0.9),
        "plain": lambda D: guided(D, Above(9.0, abs)),
    }
    run = lambda x: list(trajectory(makers[name](ring()), x, geometric(2.0, 0.3, 3)))[-1].x  # noqa: E731
    assert torch.autograd.gradcheck(run, (randn(g, 4, 2).requires_grad_(),), atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("name", WRAPPERS)
def test_no_graph_is_kept_that_nobody_asked_for(name, g):
    """Without gradients wanted, the answer carries none, even where the network's parameters do; wanted, it does."""
    torch.manual_seed(0)
    network, x = MLPDenoiser().double(), randn(g, 4, 2)
    with torch.no_grad():
        assert not WRAPPERS[name](network)(x, SIGMA).requires_grad
        assert not WRAPPERS[name](network)(x.clone().requires_grad_(), SIGMA).requires_grad
    assert not WRAPPERS[name](ring())(x, SIGMA).requires_grad
    assert WRAPPERS[name](network)(x.clone().requires_grad_(), SIGMA).requires_grad


def test_relative_strength_is_a_share_of_the_score(g):
    """Each particle's force has exactly `relative` times the length of its score, in its own direction."""
    x, mixture = randn(g, 5, 1, 3).double(), GaussianMixture(torch.zeros(1, 3, dtype=DOUBLE), 0.7)
    flat = lambda x, s: mixture(x.flatten(1), s).reshape(x.shape)  # noqa: E731
    score = (flat(x, SIGMA) - x) / SIGMA**2
    raw = force(x, Repulsion(3.0), denoiser=flat)
    scaled = force(x, Repulsion(3.0), denoiser=flat, relative=0.3)
    torch.testing.assert_close(scaled.flatten(1).norm(dim=1), 0.3 * score.flatten(1).norm(dim=1))
    torch.testing.assert_close(torch.cosine_similarity(scaled.flatten(1), raw.flatten(1)), torch.ones(5, dtype=DOUBLE))


def test_clipped_strength_caps_the_force(g):
    """A force longer than `clip` times its score gets that length; a shorter one is left as it is."""
    x, mixture = randn(g, 8, 2), ring(3)
    score = (mixture(x, SIGMA) - x) / SIGMA**2
    raw = force(x, Repulsion(3.0), denoiser=mixture)
    share = raw.norm(dim=1) / score.norm(dim=1)
    clip = share.median().item() * (1 + 1e-9)
    clipped = force(x, Repulsion(3.0), denoiser=mixture, clip=clip)
    expected = share.clamp(max=clip)
    torch.testing.assert_close(clipped.norm(dim=1) / score.norm(dim=1), expected)
    torch.testing.assert_close(clipped, raw * (expected / share)[:, None])
    assert 0 < (share > clip).sum() < 8


def test_clip_caps_a_relative_strength(g):
    """With both, the force's length is the smaller of the two shares of the score."""
    x, mixture = randn(g, 6, 2), ring(3)
    for relative, clip in ((0.5, 0.2), (0.2, 0.5)):
        both = force(x, Repulsion(3.0), denoiser=mixture, relative=relative, clip=clip)
        torch.testing.assert_close(both, force(x, Repulsion(3.0), denoiser=mixture, relative=0.2))


@pytest.mark.parametrize("manner", MANNERS)
def test_no_force_stays_no_force(manner):
    """Coincident particles and particles too far apart get no force, however it is scaled, and no NaN."""
    mixture = ring()
    for x in (torch.ones(3, 2, dtype=DOUBLE), torch.tensor([[0.0, 0.0], [1e3, 0.0]], dtype=DOUBLE)):
        out = guided(mixture, Repulsion(3.0, h=1.0), **MANNERS[manner])(x, SIGMA)
        torch.testing.assert_close(out, mixture(x, SIGMA), rtol=0, atol=0)


def test_rbf_is_a_gaussian_of_the_distance(g):
    """k_ij = exp(-|phi_i - phi_j|**2 / h), one on the diagonal, h a number or by the median rule."""
    phi = randn(g, 5, 4)
    d2 = torch.cdist(phi, phi).square()
    torch.testing.assert_close(rbf(phi, 0.7), torch.exp(-d2 / 0.7))
    torch.testing.assert_close(rbf(phi), torch.exp(-d2 / median_bandwidth(d2)))
    assert torch.equal(rbf(phi).diagonal(), torch.ones(5, dtype=DOUBLE))


def test_radial_kernel_sees_angles_alone(g):
    """It is a Gaussian of the angle between two points, the short way round, whatever their radii."""
    degrees = torch.tensor([170.0, -170.0, 0.0, 90.0], dtype=DOUBLE)
    theta, radius = degrees.deg2rad(), torch.tensor([1.0, 5.0, 0.2, 2.0], dtype=DOUBLE)
    phi = radius[:, None] * torch.stack([theta.cos(), theta.sin()], 1)
    between = torch.tensor([[0.0, 20, 170, 80], [20, 0, 170, 100], [170, 170, 0, 90], [80, 100, 90, 0]], dtype=DOUBLE)
    squared = between.deg2rad().square()
    torch.testing.assert_close(radial(phi, 0.5), torch.exp(-squared / 0.5))
    torch.testing.assert_close(radial(phi), torch.exp(-squared / median_bandwidth(squared)))


def test_median_rule(g):
    """h is the lower median of the squared distances of different pairs over ln N."""
    d2 = torch.tensor([[0.0, 1, 2, 4], [1, 0, 8, 16], [2, 8, 0, 32], [4, 16, 32, 0]], dtype=DOUBLE)
    assert median_bandwidth(d2).item() == pytest.approx(4 / math.log(4), rel=1e-14)
    assert median_bandwidth(d2[:2, :2]).item() == pytest.approx(1 / math.log(2), rel=1e-14)
    assert median_bandwidth(d2[:3, :3]).item() == pytest.approx(2 / math.log(3), rel=1e-14)
    assert median_bandwidth(1e-6 * d2).item() == pytest.approx(4e-6 / math.log(4), rel=1e-12)


def test_median_rule_where_particles_coincide():
    """Where most pairs coincide the mean takes the median's place, and 1 where all do."""
    x = torch.tensor([[0.0], [0.0], [0.0], [0.0], [3.0]], dtype=DOUBLE)
    assert median_bandwidth(squared_distances(x)).item() == pytest.approx(4 * 9 / 10 / math.log(5), rel=1e-12)
    assert median_bandwidth(torch.zeros(3, 3)).item() == pytest.approx(1 / math.log(3), rel=1e-6)


def test_median_rule_is_detached(g):
    """The force takes h as a constant: with the median rule it is that of the same number given."""
    x = randn(g, 6, 2)
    h = float(median_bandwidth(squared_distances(x)))
    for on in ("x", "x0"):
        torch.testing.assert_close(force(x, Repulsion(3.0, on=on)), force(x, Repulsion(3.0, on=on, h=h)))
    assert not median_bandwidth(squared_distances(x.requires_grad_())).requires_grad


def test_two_particles_under_the_median_rule(g):
    """At N = 2 the kernel is 1 / 2, so each is pushed by alpha ln 2 / (2 distance), away from the other."""
    x = randn(g, 2, 5)
    apart = x[0] - x[1]
    f = force(x, Repulsion(3.0))
    torch.testing.assert_close(f[0], 3.0 * math.log(2) / 2 * apart / apart.square().sum())
    torch.testing.assert_close(f.norm(dim=1), (3.0 * math.log(2) / 2 / apart.norm()).expand(2))


def test_bandwidth_may_follow_the_level(g):
    """A bandwidth that is a function is asked at the level of the call."""
    x = randn(g, 5, 2)
    for sigma in (torch.tensor(0.5, dtype=DOUBLE), torch.tensor(2.0, dtype=DOUBLE)):
        for made in (lambda h: guided(still, Repulsion(3.0, h=h)), lambda h: svgd(still, h=h)):
            torch.testing.assert_close(made(lambda s: 3 * s)(x, sigma), made(3 * float(sigma))(x, sigma))


def test_features_choose_what_repels(g):
    """Particles repel where their features differ: on the first axis only, if that is the feature."""
    x = randn(g, 5, 2)
    f = force(x, Repulsion(3.0, features=lambda x: x[:, :1], h=0.8))
    assert (f[:, 1] == 0).all()
    torch.testing.assert_close(f[:, :1], pairwise(x[:, :1], 3.0, 0.8))


def test_flatten_keeps_the_particles_apart(g):
    """The default feature is the particle itself as one row."""
    x = randn(g, 3, 2, 2)
    assert torch.equal(flatten(x), torch.stack([p.reshape(4) for p in x]))


def test_determinantal_potential_of_two_particles():
    """alpha (log det L - log det (L + I)) with L = [[1 + j, k], [k, 1 + j]], from the 2 x 2 determinant."""
    x = torch.tensor([[0.0], [1.0]], dtype=DOUBLE)
    k = math.exp(-1 / 0.5)
    for kwargs, j in (({}, 1e-4), ({"jitter": 0.3}, 0.3)):
        expected = 1.7 * (math.log((1 + j) ** 2 - k**2) - math.log((2 + j) ** 2 - k**2))
        assert Determinantal(1.7, h=0.5, **kwargs)(x, x, SIGMA).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("q", [0.5, 1.0, 2.0, math.inf])
def test_vendi_potential_is_the_log_of_the_score(q, g):
    """alpha log Vendi_q of the particles' kernel matrix, of order 1 by default."""
    x = randn(g, 5, 2)
    expected = 1.7 * vendi(rbf(x, 0.5), q).log()
    torch.testing.assert_close(VendiPotential(1.7, h=0.5, q=q)(x, x, SIGMA), expected)
    torch.testing.assert_close(VendiPotential(1.7)(x, x, SIGMA), 1.7 * vendi(rbf(x), 1.0).log())


def test_repulsion_is_the_mean_kernel(g):
    """log w = -alpha / (2 N) sum_ij k_ij, the diagonal included."""
    x = randn(g, 5, 2)
    expected = -3.0 / 10 * sum(math.exp(-float((a - b).square().sum()) / 0.5) for a in x for b in x)
    assert Repulsion(3.0, h=0.5)(x, x, SIGMA).item() == pytest.approx(expected, rel=1e-12)


def test_potentials_act_on_x_or_on_x0(g):
    """Repulsion looks at x by default, the determinantal and Vendi potentials at x0, and `on` decides otherwise."""
    x, x0 = randn(g, 5, 2), randn(g, 5, 2)
    for kind, default in ((Repulsion, "x"), (Determinantal, "x0"), (VendiPotential, "x0")):
        assert kind(2.0)(x, x0, SIGMA) == kind(2.0, on=default)(x, x0, SIGMA)
        assert kind(2.0, on="x")(x, x0, SIGMA) == kind(2.0, on="x0")(x0, x, SIGMA)
        assert kind(2.0, on="x")(x, x0, SIGMA) != kind(2.0, on="x0")(x, x0, SIGMA)


@pytest.mark.parametrize(
    "potential", [Determinantal(0.5, h=1.0), VendiPotential(0.5, h=1.0), VendiPotential(0.5, q=2, h=1.0)]
)
def test_a_small_step_raises_the_objective(potential, g):
    """Moving the particles along the force makes log w larger, by the step times the squared length of the slope."""
    x = randn(g, 6, 2)
    slope = force(x, potential) * (1 + SIGMA**2)
    gain = potential(x, x + 1e-5 * slope, SIGMA) - potential(x, x, SIGMA)
    torch.testing.assert_close(gain, 1e-5 * slope.square().sum(), rtol=1e-3, atol=0)
    assert gain > 0


def test_above_acts_strictly_above_its_level(g):
    """The potential acts while sigma > level, and not at the level itself; outside, D's answer is untouched."""
    x, mixture = randn(g, 5, 2), ring()
    gated, always = guided(mixture, Above(0.5, Repulsion(3.0))), guided(mixture, Repulsion(3.0))
    for sigma in (0.5001, 3.0):
        assert torch.equal(gated(x, torch.tensor(sigma)), always(x, torch.tensor(sigma)))
    for sigma in (0.5, 0.4999, 0.01):
        assert torch.equal(gated(x, torch.tensor(sigma)), mixture(x, torch.tensor(sigma)))


@pytest.mark.parametrize("through", [False, True])
def test_a_potential_switched_off_leaves_the_others(through, g):
    """Where one of two potentials is off, the force is that of the other."""
    x, a = randn(g, 5, 2), Repulsion(3.0)
    pair = guided(ring(), a, Above(9.0, Determinantal(1.0)), through_denoiser=through)
    torch.testing.assert_close(pair(x, SIGMA), guided(ring(), a, through_denoiser=through)(x, SIGMA))
    off = guided(ring(), Above(9.0, a), through_denoiser=through)
    assert torch.equal(off(x, SIGMA), ring()(x, SIGMA))


def test_switch_changes_denoisers_at_its_level(g):
    """The first denoiser answers while sigma > level, the second at the level and below."""
    x, a, b = randn(g, 4, 2), ring(3), ring(5)
    for sigma, right in ((0.6, a), (0.5, b), (0.4, b)):
        assert torch.equal(switch(0.5, a, b)(x, torch.tensor(sigma)), right(x, torch.tensor(sigma)))


def blocks_one_by_one(denoiser, x, size, sigma):
    return torch.cat([denoiser(block, sigma) for block in x.split(size)])


@pytest.mark.parametrize("name", POTENTIALS)
@pytest.mark.parametrize("manner", MANNERS)
def test_groups_are_independent_sets(name, manner, g):
    """A potential in `Groups` pushes every block of particles as if it were alone."""
    x, mixture, potential = randn(g, 12, 2), ring(), POTENTIALS[name]
    together = guided(mixture, Groups(4, potential), **MANNERS[manner])(x, SIGMA)
    alone = blocks_one_by_one(guided(mixture, potential, **MANNERS[manner]), x, 4, SIGMA)
    torch.testing.assert_close(together, alone, rtol=1e-9, atol=1e-9)
    assert not torch.allclose(together, guided(mixture, potential, **MANNERS[manner])(x, SIGMA))


def test_groups_sum_their_potentials(g):
    """The value of `Groups` is the sum of the sets' values, also for particles that are images."""
    x, x0 = randn(g, 6, 1, 2), randn(g, 6, 1, 2)
    expected = sum(Determinantal(1.0)(x[i : i + 3], x0[i : i + 3], SIGMA) for i in (0, 3))
    torch.testing.assert_close(Groups(3, Determinantal(1.0))(x, x0, SIGMA), expected)


def test_groups_and_above_go_together(g):
    """A window works inside a group and around it, on either side of its level."""
    x, mixture = randn(g, 6, 2), ring()
    inside, around = Groups(3, Above(0.5, Repulsion(3.0))), Above(0.5, Groups(3, Repulsion(3.0)))
    for sigma in (torch.tensor(0.7), torch.tensor(0.5)):
        assert torch.equal(guided(mixture, inside)(x, sigma), guided(mixture, around)(x, sigma))
    assert inside(x, x, torch.tensor(0.5)) == 0
    assert inside(x, x, torch.tensor(0.7)) != 0


def test_in_groups_is_a_loop_over_sets(g):
    """A denoiser of sets applied in groups answers each set as if it were alone."""
    x, memory = randn(g, 12, 2), ring(3).means
    for shielded in (spell(ring(), 0.9), spell(ring(), 0.9, memory=memory)):
        together = in_groups(shielded, 4)(x, SIGMA)
        torch.testing.assert_close(together, blocks_one_by_one(shielded, x, 4, SIGMA))
        assert not torch.allclose(together, shielded(x, SIGMA))


def normed(z):
    """A feature with group norm on a memory format that torch.vmap does not know, as in a decoder."""
    return torch.nn.functional.group_norm(torch.tanh(z).contiguous(memory_format=torch.channels_last), 2).flatten(1)


@pytest.mark.parametrize("manner", MANNERS)
def test_groups_run_set_by_set_where_vmap_cannot(manner, g):
    """Group norm in the features, as in a decoder, is no obstacle: each set is pushed as if it were alone."""
    x, potential = randn(g, 6, 4, 3, 3), Repulsion(3.0, features=normed, on="x0")
    with pytest.raises(RuntimeError):
        torch.vmap(lambda a: potential(a, a, SIGMA))(x.unflatten(0, (2, 3)).requires_grad_())
    halved = lambda x, sigma: 0.5 * x  # noqa: E731
    together = guided(halved, Groups(3, potential), **MANNERS[manner])(x, SIGMA)
    alone = blocks_one_by_one(guided(halved, potential, **MANNERS[manner]), x, 3, SIGMA)
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12)
    assert not torch.allclose(together, 0.5 * x)


def test_one_set_after_the_other_is_all_at_once(g, monkeypatch):
    """Where vmap works the loop gives the same, to rounding."""
    x = randn(g, 12, 2)
    at_once = {name: Groups(4, potential)(x, x, SIGMA) for name, potential in POTENTIALS.items()}
    shielded = in_groups(spell(ring(), 0.9), 4)(x, SIGMA)

    def refuse(function):
        def call(*args):
            raise RuntimeError("no")

        return call

    monkeypatch.setattr(torch, "vmap", refuse)
    for name, potential in POTENTIALS.items():
        torch.testing.assert_close(Groups(4, potential)(x, x, SIGMA), at_once[name], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(in_groups(spell(ring(), 0.9), 4)(x, SIGMA), shielded, rtol=1e-12, atol=1e-12)


def test_groups_of_a_potential_that_is_off_are_off(g):
    """A potential of one's own may answer with the number 0, as `Above` does."""
    x = randn(g, 6, 2)
    assert Groups(3, lambda x, x0, sigma: 0.0)(x, x, SIGMA) == 0
    assert torch.equal(guided(still, Groups(3, lambda x, x0, sigma: 0.0))(x, SIGMA), x)


@pytest.mark.parametrize("name", [n for n in WRAPPERS if n != "spell with memory"])
def test_in_groups_takes_denoisers_that_take_gradients(name, g):
    """`guided` and `svgd`, which vmap cannot run, answer each set as if it were alone; so does annealing's noise."""
    x, method = randn(g, 8, 2), WRAPPERS[name](ring())
    torch.testing.assert_close(in_groups(method, 4)(x, SIGMA), blocks_one_by_one(method, x, 4, SIGMA))


@pytest.mark.parametrize("name", ["guided", "svgd", "turned"])
def test_inference_mode_is_named(name, g):
    """Where no gradient can be taken, the sentence names no_grad, under which the same call works."""
    x, sigmas = randn(g, 4, 2), geometric(2.0, 0.5, 3)
    denoiser = {"guided": guided(ring(), Repulsion(1.0)), "svgd": svgd(ring()), "turned": ring()}[name]
    step = turned(ddim, Repulsion(1.0, kernel=radial)) if name == "turned" else ddim
    sentence = f"{name}: takes gradients inside, which torch.inference_mode.* use torch.no_grad"
    with torch.inference_mode(), pytest.raises(ValueError, match=sentence):
        sample(denoiser, x, sigmas, step)
    with torch.inference_mode():
        made_there = x.clone()
    with pytest.raises(ValueError, match=sentence):
        sample(denoiser, made_there, sigmas, step)
    with torch.no_grad():
        assert torch.equal(sample(denoiser, x, sigmas, step), sample(denoiser, x, sigmas, step))


def svgd_by_loops(x, scores, alpha, h, sigma):
    """Equation (4.6) by two loops."""
    out = torch.zeros_like(x)
    for i in range(len(x)):
        total = 0.0
        for j in range(len(x)):
            k = torch.exp(-(x[i] - x[j]).square().sum() / h)
            gradient = 2 / h * (x[i] - x[j]) * k  # of k_ij with respect to x_j
            out[i] += k * scores[j] + alpha * gradient
            total += k
        out[i] = x[i] + sigma**2 * out[i] / total
    return out


@pytest.mark.parametrize("alpha", [0.0, 1.0, 4.0])
def test_svgd_is_its_equation(alpha, g):
    """Each particle follows the kernel mean of all scores and alpha times the repulsion, over the sum of its kernel."""
    x, mixture = randn(g, 5, 2), ring()
    scores = (mixture(x, SIGMA) - x) / SIGMA**2
    expected = svgd_by_loops(x, scores, alpha, 0.8, SIGMA)
    torch.testing.assert_close(svgd(mixture, alpha=alpha, h=0.8)(x, SIGMA), expected)
    if alpha == 1:
        h = median_bandwidth(squared_distances(x))
        torch.testing.assert_close(svgd(mixture)(x, SIGMA), svgd_by_loops(x, scores, 1.0, h, SIGMA))
    by_angle = svgd(mixture, kernel=radial, alpha=alpha, h=0.8)(x, SIGMA)
    assert not torch.allclose(by_angle, expected)


def test_one_svgd_particle_just_climbs(g):
    """With h given a single particle follows its score, as its denoiser would have it."""
    x = randn(g, 1, 2)
    torch.testing.assert_close(svgd(ring(), h=1.0)(x, SIGMA), ring()(x, SIGMA))


def test_spell_lands_on_the_sphere(g):
    """With lam = 1 a point inside one ball goes straight out to its sphere; lam = 1.6, the default, goes beyond."""
    centre, inside = torch.zeros(1, 3, dtype=DOUBLE), 0.2 * randn(g, 1, 3)
    direction = inside / inside.norm()
    for kwargs, length in (
        ({"lam": 1.0}, 2.0),
        ({"lam": 1.6}, 2 + 0.6 * (2 - float(inside.norm()))),
        ({"lam": 0.5}, None),
    ):
        out = spell(still, 2.0, memory=centre, **kwargs)(inside, SIGMA)
        torch.testing.assert_close(out / out.norm(), direction)
        expected = length if length is not None else (2 + float(inside.norm())) / 2
        assert out.norm().item() == pytest.approx(expected, rel=1e-12)
    torch.testing.assert_close(
        spell(still, 2.0, memory=centre)(inside, SIGMA), spell(still, 2.0, 1.6, centre)(inside, SIGMA), rtol=0, atol=0
    )


def test_spell_is_its_equation(g):
    """x0 + lam sum_k relu(radius / d_ik - 1) (x0_i - z_k) over the other estimates and the memory."""
    x, memory, mixture = randn(g, 5, 2), randn(g, 3, 2), ring()
    x0 = mixture(x, SIGMA)
    expected = x0.clone()
    for i in range(5):
        for z in [*(x0[j] for j in range(5) if j != i), *memory]:
            d = (x0[i] - z).norm()
            expected[i] += 1.3 * max(0.9 / d - 1, 0) * (x0[i] - z)
    torch.testing.assert_close(spell(mixture, 0.9, 1.3, memory)(x, SIGMA), expected)


def test_spell_leaves_what_is_far_enough(g):
    """Outside every ball, and on a point that coincides with its own centre, nothing happens."""
    x = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=DOUBLE)
    assert torch.equal(spell(still, 0.99)(x, SIGMA), x)
    assert not torch.equal(spell(still, 1.01)(x, SIGMA), x)
    same = torch.ones(4, 2, dtype=DOUBLE)
    assert torch.equal(spell(still, 0.5)(same, SIGMA), same)
    assert torch.equal(spell(still, 0.5, memory=same[:1])(same, SIGMA), same)


def test_one_spell_particle_needs_a_memory():
    """A single particle is pushed by the memory alone, and left without one."""
    x = torch.tensor([[0.3, 0.0]], dtype=DOUBLE)
    assert torch.equal(spell(still, 1.0)(x, SIGMA), x)
    pushed = spell(still, 1.0, lam=1.0, memory=torch.zeros(1, 2))(x, SIGMA)
    torch.testing.assert_close(pushed, torch.tensor([[1.0, 0.0]], dtype=DOUBLE))


def conditions(y, sigmas, at, **kwargs):
    """The condition that the annealed denoiser passes on at each level of `at`."""
    seen = []

    def denoiser_of(condition):
        seen.append(condition)
        return still

    denoiser = cads(denoiser_of, y, sigmas, **kwargs)
    for sigma in at:
        denoiser(torch.zeros_like(y), sigma)
    return seen


def test_cads_anneals_its_condition(g):
    """gamma is 0 down to tau2, then linear, and 1 from tau1; condition and noise are mixed by its square roots."""
    y, sigmas = randn(g, 4, 3), geometric(10.0, 0.1, 10)  # ten steps: t = 1 at sigmas[0], .9, .., 0 at sigmas[10]
    ones = torch.ones_like(y)
    seen = conditions(y, sigmas, sigmas, tau1=0.25, tau2=0.75, scale=0.5, psi=0.0, randn_like=torch.ones_like)
    for i, condition in enumerate(seen):
        gamma = min(max((0.75 - (1 - i / 10)) / 0.5, 0), 1)
        torch.testing.assert_close(condition, gamma**0.5 * y + 0.5 * (1 - gamma) ** 0.5 * ones)
    assert seen[-1] is y


def test_cads_restores_mean_and_spread(g):
    """With psi = 1 each row of the noised condition has the mean and the standard deviation it had; psi mixes."""
    y, sigmas = 3 + 2 * randn(g, 4, 2, 5), geometric(10.0, 0.1, 10)
    noise = Noise(range(4)).randn(2, 5)

    def at(psi):
        return conditions(y, sigmas, sigmas[:5], tau1=0.1, tau2=0.8, psi=psi, randn_like=lambda y: noise)[-1]

    full, none = at(1.0), at(0.0)
    torch.testing.assert_close(full.mean((1, 2)), y.mean((1, 2)))
    torch.testing.assert_close(full.std((1, 2)), y.std((1, 2)))
    standard = lambda y: (y - y.mean((1, 2), keepdim=True)) / y.std((1, 2), keepdim=True)  # noqa: E731
    torch.testing.assert_close(standard(full), standard(none))
    torch.testing.assert_close(at(0.3), 0.3 * full + 0.7 * none)


def test_cads_defaults_are_the_paper_s(g):
    """tau1 = .6, tau2 = .9, scale = .25 and psi = 1 unless they are given; noise comes from torch."""
    y, sigmas = randn(g, 3, 4), geometric(10.0, 0.1, 10)
    torch.manual_seed(3)
    plain = conditions(y, sigmas, sigmas)
    torch.manual_seed(3)
    given = conditions(y, sigmas, sigmas, tau1=0.6, tau2=0.9, scale=0.25, psi=1.0, randn_like=torch.randn_like)
    assert all(torch.equal(a, b) for a, b in zip(plain, given, strict=True))
    for change in ({"tau1": 0.5}, {"tau2": 0.8}, {"scale": 0.1}, {"psi": 0.5}, {"randn_like": torch.ones_like}):
        torch.manual_seed(3)
        changed = conditions(y, sigmas, sigmas, **change)
        assert not all(torch.allclose(a, b) for a, b in zip(plain, changed, strict=True))


def test_cads_particles_do_not_see_each_other():
    """Seed i with condition i gives the same particle in a batch of 1, 4 or 16."""
    y, sigmas = Noise(range(100, 116)).randn(2), geometric(5.0, 0.05, 12)

    def run(N):
        noise = Noise(range(N))
        denoiser_of = lambda y: lambda x, sigma: ring()(x - y, sigma) + y  # noqa: E731
        return sample(cads(denoiser_of, y[:N], sigmas, randn_like=noise.randn_like), 5 * noise.randn(2), sigmas)

    most = run(16)
    for N in (1, 4):
        torch.testing.assert_close(run(N), most[:N], rtol=0, atol=1e-10)


def test_cads_takes_any_condition_without_nan():
    """A condition of zeros and a scale of 0 give that condition, not 0 / 0."""
    y, sigmas = torch.zeros(2, 3, dtype=DOUBLE), geometric(10.0, 0.1, 4)
    assert all(torch.equal(c, y) for c in conditions(y, sigmas, sigmas, scale=0.0))
    one = torch.ones(2, 1, dtype=DOUBLE)
    assert all(c.isfinite().all() for c in conditions(one, sigmas, sigmas, psi=0.0))


def test_turning_keeps_the_radius(g):
    """Under a step that does nothing each particle only rotates, and two close ones part."""
    x = randn(g, 6, 2)
    step = turned(lambda x, *_: x, Repulsion(5.0, kernel=radial, h=1.0))
    out = step(x, x, SIGMA, SIGMA / 2, None)
    torch.testing.assert_close(out.norm(dim=1), x.norm(dim=1))
    assert not torch.allclose(out, x)


def test_turning_angle_is_its_equation():
    """The angle is (sigma**2 - sigma_next**2) (2 alpha / (N h)) sum_j (theta_i - theta_j) k_ij, after the step."""
    theta = torch.tensor([0.1, 0.4, 1.5], dtype=DOUBLE)
    x = torch.stack([theta.cos(), theta.sin()], 1) * torch.tensor([[1.0], [2.0], [0.5]])
    sigma_next = torch.tensor(0.2, dtype=DOUBLE)
    angle = (SIGMA**2 - sigma_next**2) * pairwise(theta[:, None], 3.0, 0.7)[:, 0]
    moved = ddim(x, 0.5 * x, SIGMA, sigma_next)
    for on in ("x", "x0"):
        potential = Repulsion(3.0, kernel=radial, h=0.7, on=on)
        out = turned(ddim, potential)(x, 0.5 * x, SIGMA, sigma_next, None)
        torch.testing.assert_close(torch.atan2(out[:, 1], out[:, 0]), theta + angle)
        torch.testing.assert_close(out.norm(dim=1), moved.norm(dim=1))


def test_turning_sees_x_and_x0(g):
    """The potential is asked at the particles and the estimates before the step, and sets do not see each other."""
    x, x0 = randn(g, 6, 2), randn(g, 6, 2)
    on_x0 = turned(lambda x, *_: x, Repulsion(5.0, kernel=radial, h=1.0, on="x0"))
    assert torch.equal(on_x0(x, torch.zeros_like(x), SIGMA, SIGMA / 2, None), x)
    assert not torch.allclose(on_x0(x, x0, SIGMA, SIGMA / 2, None), x)
    groups = turned(ddim, Groups(3, Repulsion(5.0, kernel=radial, h=1.0)))
    alone = turned(ddim, Repulsion(5.0, kernel=radial, h=1.0))
    both = torch.cat([alone(x[i : i + 3], x0[i : i + 3], SIGMA, SIGMA / 2, None) for i in (0, 3)])
    torch.testing.assert_close(groups(x, x0, SIGMA, SIGMA / 2, None), both)


def test_turning_switched_off_is_the_step(g):
    """Below the level of its potential a turned step is the step, bit for bit, with the noise handed on."""
    x, x0, xi = randn(g, 4, 2), randn(g, 4, 2), randn(g, 4, 2)
    step = turned(euler_maruyama, Above(0.7, Repulsion(5.0, kernel=radial)))
    out = step(x, x0, SIGMA, SIGMA / 2, lambda x: xi)
    assert torch.equal(out, euler_maruyama(x, x0, SIGMA, SIGMA / 2, lambda x: xi))


def test_turning_covers_the_ring():
    """Ten particles of the field's circle under the turned step hit nearly all modes and stay on it."""
    mixture, sigmas = ring(), geometric(1.0, 0.03, 40)
    noise = Noise(range(10))
    x = noise.randn(2)
    step = turned(euler_maruyama, Repulsion(1000.0, kernel=radial, h=lambda s: torch.pi * s))
    out = sample(mixture, x, sigmas, step=step, randn_like=noise.randn_like)
    assert (out.norm(dim=1) - 1).abs().max() < 0.35
    assert len(torch.cdist(out, mixture.means).argmin(1).unique()) >= 9


CHANGES = [
    (guided, {"denoiser": ring()}, {"denoiser": ring(5)}),
    (guided, {"sigma_data": 1.0}, {"sigma_data": 0.5}),
    (guided, {"through_denoiser": False}, {"through_denoiser": True}),
    (guided, {"relative": None}, {"relative": 0.5}),
    (guided, {"clip": None}, {"clip": 0.01}),
    (Repulsion, {"alpha": 1.0}, {"alpha": 2.0}),
    (Repulsion, {"kernel": rbf}, {"kernel": radial}),
    (Repulsion, {"features": flatten}, {"features": lambda x: x.flatten(1)[:, :1]}),
    (Repulsion, {"on": "x"}, {"on": "x0"}),
    (Repulsion, {"h": None}, {"h": 0.3}),
    (Determinantal, {"alpha": 1.0}, {"alpha": 2.0}),
    (Determinantal, {"kernel": rbf}, {"kernel": radial}),
    (Determinantal, {"features": flatten}, {"features": lambda x: x.flatten(1)[:, :1]}),
    (Determinantal, {"on": "x0"}, {"on": "x"}),
    (Determinantal, {"h": None}, {"h": 0.3}),
    (Determinantal, {"jitter": 0.0001}, {"jitter": 0.1}),
    (VendiPotential, {"alpha": 1.0}, {"alpha": 2.0}),
    (VendiPotential, {"kernel": rbf}, {"kernel": radial}),
    (VendiPotential, {"features": flatten}, {"features": lambda x: x.flatten(1)[:, :1]}),
    (VendiPotential, {"on": "x0"}, {"on": "x"}),
    (VendiPotential, {"h": None}, {"h": 0.3}),
    (VendiPotential, {"q": 1.0}, {"q": 3.0}),
    (Above, {"level": 0.1}, {"level": 2.0}),
    (Above, {"potential": Repulsion(1.0)}, {"potential": Repulsion(2.0)}),
    (Groups, {"size": 2}, {"size": 3}),
    (Groups, {"potential": Repulsion(1.0)}, {"potential": Repulsion(2.0)}),
    (svgd, {"denoiser": ring()}, {"denoiser": ring(5)}),
    (svgd, {"kernel": rbf}, {"kernel": radial}),
    (svgd, {"alpha": 1.0}, {"alpha": 2.0}),
    (svgd, {"h": None}, {"h": 0.3}),
    (spell, {"denoiser": ring()}, {"denoiser": ring(5)}),
    (spell, {"radius": 0.9}, {"radius": 1.0}),
    (spell, {"lam": 1.6}, {"lam": 1.0}),
    (spell, {"memory": None}, {"memory": torch.zeros(1, 2)}),
    (in_groups, {"denoiser": spell(ring(), 0.9)}, {"denoiser": spell(ring(), 1.0)}),
    (in_groups, {"size": 2}, {"size": 3}),
    (switch, {"level": 0.1}, {"level": 2.0}),
    (switch, {"level": 0.1, "above": ring()}, {"level": 0.1, "above": ring(5)}),
    (switch, {"below": ring()}, {"below": ring(5)}),
]
NEEDS = {
    "denoiser": ring(), "alpha": 1.0, "radius": 0.9, "size": 2, "potential": Repulsion(1.0), "level": 2.0,
    "above": ring(3), "below": ring(4),
}  # fmt: skip


def answer(fn, changed, x):
    """What a function gives with the arguments in `changed` and the required ones of `NEEDS`."""
    wanted = inspect.signature(fn).parameters
    arguments = {k: v for k, v in NEEDS.items() if k in wanted} | changed
    if fn is Above:
        arguments = {"level": 0.1, "potential": Repulsion(1.0)} | changed
    if fn is in_groups and "denoiser" not in changed:
        arguments["denoiser"] = spell(ring(), 2.0)
    if fn is guided:
        return guided(arguments.pop("denoiser"), Repulsion(3.0, on="x0"), **arguments)(x, SIGMA)
    made = fn(**arguments)
    return (
        guided(ring(), made)(x, SIGMA)
        if fn in (Repulsion, Determinantal, VendiPotential, Above, Groups)
        else made(x, SIGMA)
    )


@pytest.mark.parametrize(
    ("fn", "usual", "changed"), CHANGES, ids=lambda v: "-".join(v) if isinstance(v, dict) else v.__name__
)
def test_every_parameter_matters(fn, usual, changed, g):
    """Changing one argument changes the answer; leaving a default out does not."""
    x = randn(g, 6, 2)
    base = answer(fn, usual, x)
    parameters = inspect.signature(fn).parameters
    if all(parameters[k].default is not inspect.Parameter.empty for k in usual):
        assert torch.equal(answer(fn, {}, x), base)
    assert not torch.allclose(answer(fn, changed, x), base, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", WRAPPERS)
def test_answers_do_not_depend_on_the_default_dtype(name, under_both_dtypes, g):
    """float64 particles get the same bits, and stay float64, whatever torch's default dtype is."""
    x = randn(g, 6, 2)
    a, b = under_both_dtypes(lambda: WRAPPERS[name](ring())(x, SIGMA))
    assert a.dtype == b.dtype == DOUBLE
    assert torch.equal(a, b)


@pytest.mark.parametrize("name", WRAPPERS)
def test_float32_particles_stay_float32(name, g):
    """float32 in gives float32 out, near the float64 answer, for every method and for sets in groups."""
    x, denoiser = randn(g, 6, 2), WRAPPERS[name](ring())
    out = denoiser(x.float(), SIGMA.float())
    assert out.dtype == torch.float32
    torch.testing.assert_close(out.double(), denoiser(x, SIGMA), rtol=2e-3, atol=2e-3)
    grouped = guided(ring(), Groups(3, Repulsion(3.0)))(x.float(), SIGMA.float())
    assert grouped.dtype == torch.float32


@pytest.mark.parametrize("name", WRAPPERS)
@pytest.mark.parametrize("start", ["coincident", "zero", "two", "far"])
def test_hard_starts_stay_finite(name, start, g):
    """Coincident particles, particles at the origin, two of them, and two at a great distance give finite answers."""
    x = {
        "coincident": torch.full((5, 2), 0.3, dtype=DOUBLE),
        "zero": torch.zeros(5, 2, dtype=DOUBLE),
        "two": randn(g, 2, 2),
        "far": torch.tensor([[0.0, 0.0], [1e6, 0.0]], dtype=DOUBLE),
    }[start]
    for run in (x, x.float()):
        assert WRAPPERS[name](ring())(run, SIGMA.to(run)).isfinite().all()
    assert sample(WRAPPERS[name](ring()), x, geometric(1.0, 0.1, 4)).isfinite().all()


@pytest.mark.parametrize("name", ["repulsion on x", "determinantal", "vendi", "svgd"])
def test_two_particles_are_pushed(name, g):
    """At N = 2 the force is not zero under the median rule."""
    x = randn(g, 2, 2)
    assert (WRAPPERS[name](still)(x, SIGMA) - x).norm(dim=1).min() > 1e-4


X1, X3 = torch.zeros(1, 2, dtype=DOUBLE), torch.zeros(3, 2, dtype=DOUBLE)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: guided(still, Repulsion(1.0))(X1, SIGMA), "Repulsion needs at least 2 particles, got 1; raise N"),
        (lambda: guided(still, Repulsion(1.0, h=1.0))(X1, SIGMA), "Repulsion needs at least 2 particles"),
        (lambda: guided(still, Determinantal(1.0))(X1, SIGMA), "Determinantal needs at least 2 particles"),
        (lambda: guided(still, VendiPotential(1.0))(X1, SIGMA), "VendiPotential needs at least 2 particles"),
        (lambda: guided(still, Groups(1, Repulsion(1.0)))(X3, SIGMA), "Repulsion needs at least 2 particles"),
        (lambda: svgd(still)(X1, SIGMA), "the median rule needs at least 2 particles, got 1; raise N or pass h"),
        (lambda: median_bandwidth(torch.zeros(1, 1)), "the median rule needs at least 2 particles"),
        (lambda: rbf(X1), "the median rule needs at least 2 particles"),
        (lambda: rbf(X3, 0.0), "the bandwidth h must be positive, got 0"),
        (lambda: rbf(X3, -1.0), "the bandwidth h must be positive, got -1"),
        (lambda: rbf(X3, math.nan), "rbf: h must be a tensor .* or a number or None, got nan"),
        (lambda: radial(X3, 0.0), "the bandwidth h must be positive"),
        (lambda: guided(still, Repulsion(1.0, h=lambda s: 0 * s))(X3, SIGMA), "the bandwidth h must be positive"),
        (lambda: radial(torch.zeros(3, 3)), r"points of the plane have shape \(N, 2\), got \(3, 3\)"),
        (lambda: radial(torch.zeros(3)), r"points of the plane have shape \(N, 2\), got \(3,\)"),
        (lambda: rbf(torch.zeros(3)), r"squared_distances: needs \(N, d\) and \(M, d\)"),
        (lambda: Repulsion(1.0, on="xs"), "Repulsion: on must be 'x' or 'x0', got 'xs'"),
        (lambda: Determinantal(1.0, on="X"), "Determinantal: on must be 'x' or 'x0', got 'X'"),
        (lambda: guided(still, relative=-0.1), "guided: relative must be a share .* at least 0, got -0.1"),
        (lambda: guided(still, clip=-0.1), "guided: clip must be a share .* at least 0, got -0.1"),
        (lambda: guided(still, clip=math.nan), "guided: clip must be a number or None, got nan"),
        (lambda: spell(still, 0.0), "spell: radius must be positive, got 0"),
        (lambda: spell(still, -1.0), "spell: radius must be positive, got -1"),
        (
            lambda: cads(still, X3, [1.0, 0.0], tau1=0.9, tau2=0.6),
            "needs 0 <= tau1 < tau2 <= 1, got tau1=0.9, tau2=0.6",
        ),
        (lambda: cads(still, X3, [1.0, 0.0], tau1=0.6, tau2=0.6), "needs 0 <= tau1 < tau2 <= 1"),
        (lambda: cads(still, X3, [1.0, 0.0], tau1=-0.1), "needs 0 <= tau1 < tau2 <= 1"),
        (lambda: cads(still, X3, [1.0, 0.0], tau2=1.1), "needs 0 <= tau1 < tau2 <= 1"),
        (lambda: cads(still, X3[:, :1], [1.0, 0.0]), "one number per particle has no spread .* pass psi=0"),
        (
            lambda: turned(ddim, Repulsion(1.0))(torch.zeros(3, 3), 0, SIGMA, SIGMA, None),
            r"shape \(N, 2\), got \(3, 3\)",
        ),
        (lambda: Groups(2, Repulsion(1.0))(X3, X3, SIGMA), "must be a multiple of size = 2, got 3"),
        (lambda: Groups(0, Repulsion(1.0)), "Groups: size must be a whole number of at least 1, got 0"),
        (lambda: in_groups(still, 2)(X3, SIGMA), "must be a multiple of size = 2, got 3"),
    ],
)
def test_misuse_ends_in_a_sentence(call, sentence):
    """What cannot be computed is refused with a sentence that says what was got and what to do."""
    with pytest.raises(ValueError, match=sentence):
        call()


def test_limits_of_the_arguments_are_allowed():
    """The ends of the ranges are no errors: shares of 0, tau1 = 0 with tau2 = 1, groups of all particles."""
    x = torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=DOUBLE)
    assert torch.equal(guided(still, Repulsion(1.0), relative=0.0, clip=0.0)(x, SIGMA), x)
    assert torch.equal(cads(lambda y: still, x, [1.0, 0.0], tau1=0.0, tau2=1.0)(x, SIGMA), x)
    assert torch.equal(guided(still, Groups(2, Repulsion(1.0)))(x, SIGMA), guided(still, Repulsion(1.0))(x, SIGMA))
    assert torch.equal(cads(lambda y: still, x[:, :1], [1.0, 0.0], psi=0.0)(x, SIGMA), x)


def test_a_force_without_measure_stops_the_run(g):
    """A strength that throws particles to infinity raises and says so."""
    with pytest.raises(FloatingPointError, match="lower the strength of the guidance"):
        sample(guided(ring(), Repulsion(1e308)), 1e-3 * randn(g, 5, 2), geometric(5.0, 0.1, 5))


def test_the_force_fits_in_memory(root):
    """On 1,000 particles of dimension 16,384 the force takes less than 1.5 GB beyond the particles."""
    script = [sys.executable, str(root / "benchmarks" / "force_memory.py"), "1"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([*sys.path, str(root)])}
    done = subprocess.run(script, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-600:]
    used = [float(line.split()[-2]) for line in done.stdout.splitlines() if line.startswith("force")]
    assert len(used) == 2
    assert 0.06 < max(used) < 1.5  # at least the answer itself, 0.066 GB
