"""Metrics: against closed forms, other packages and loops."""

import math

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse  # vendi_score uses it without importing it
import torch

from course_lib.denoisers import ring
from course_lib.metrics import (
    Estimate,
    bootstrap,
    expected_modes,
    frechet,
    hill,
    in_batch_similarity,
    mean_and_error,
    modes_covered,
    modes_hit,
    nearer_to_training,
    nearest_mode,
    on_mode,
    prdc,
    rke,
    squared_distances,
    vendi,
)

DOUBLE = torch.float64


def randn(g, *shape):
    return torch.randn(*shape, generator=g, dtype=DOUBLE)


def kernel(g, n=8):
    phi = randn(g, n, 4)
    phi = phi / phi.norm(dim=1, keepdim=True)
    return phi @ phi.T


def equicorrelated(n, rho):
    return (1 - rho) * torch.eye(n, dtype=DOUBLE) + rho


def test_squared_distances_are_those_of_pairs(g):
    """Between two sets and within one, with an exact zero diagonal, also far from the origin."""
    a, b = randn(g, 5, 3), randn(g, 4, 3)
    torch.testing.assert_close(squared_distances(a, b), torch.cdist(a, b).square())
    torch.testing.assert_close(squared_distances(a), torch.cdist(a, a).square())
    torch.testing.assert_close(squared_distances(a + 1e4), squared_distances(a), rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(squared_distances(a + 1e4, b + 1e4), squared_distances(a, b), rtol=1e-7, atol=1e-9)
    assert (squared_distances(a + 1e4).diagonal() == 0).all()
    assert (squared_distances(1e3 + 1e-7 * a.float()) >= 0).all()


def test_squared_distances_have_a_gradient_where_points_coincide(g):
    """The gradient is 2 (a_i - b_j) for every pair, and 0, not NaN, for a point and itself or its copy."""
    a, b = randn(g, 4, 2).requires_grad_(), randn(g, 3, 2)
    weight = randn(g, 4, 3)
    (gradient,) = torch.autograd.grad((weight * squared_distances(a, b)).sum(), a)
    torch.testing.assert_close(gradient, 2 * (weight[:, :, None] * (a[:, None] - b)).sum(1).detach())
    same = torch.ones(3, 2, dtype=DOUBLE, requires_grad=True)
    (gradient,) = torch.autograd.grad(squared_distances(same).sum(), same)
    assert (gradient == 0).all()


def test_nearest_mode_is_the_argument_of_the_least_distance(g):
    """Each sample belongs to the centre nearest to it."""
    x, centres = randn(g, 50, 2), ring().means
    assert torch.equal(nearest_mode(x, centres), torch.cdist(x, centres).argmin(1))


def test_samples_on_a_mode_lie_within_the_radius():
    """A sample counts up to the radius, its end included, of any centre."""
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0]])
    x = torch.tensor([[0.0, 2.0], [0.0, 2.1], [8.0, 0.0], [5.0, 0.0], [11.9, 0.0]])
    assert on_mode(x, centres, 2.0).tolist() == [True, False, True, False, True]


def test_modes_hit_counts_centres_once():
    """Garbage counts without a radius and not with one; two samples on a mode count once."""
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    x = torch.tensor([[0.1, 0.0], [0.0, 0.2], [6.0, 0.0], [0.0, 10.0]])
    assert modes_hit(x, centres) == 3
    assert modes_hit(x, centres, 1.0) == 2
    assert modes_hit(x, centres, 0.15) == 2
    assert modes_hit(x[2:3], centres, 1.0) == 0


def test_a_mode_is_covered_by_a_share_of_the_samples_and_not_by_one():
    """At N = 2,000 a hundredth is 20: one sample, or 19, cover nothing; batches are counted row by row."""
    counts = torch.tensor([[20, 19, 1, 500], [0, 0, 0, 2000]])
    assert modes_covered(counts, 2000).tolist() == [2, 1]
    assert modes_covered(counts, 2000, least=0.0005).tolist() == [4, 1]
    with pytest.raises(ValueError, match="sum to at most N = 100"):
        modes_covered(counts, 100)


def test_expected_modes_are_those_of_counting(g):
    """sum 1 - (1 - w)**N is what 20,000 draws of N give on average, and known values at N = 0, 1 and infinity."""
    w = torch.tensor([0.5, 0.3, 0.2], dtype=DOUBLE)
    draws = torch.multinomial(w, 4 * 20_000, replacement=True, generator=g).view(-1, 4)
    counts = sum((draws == m).any(1).double() for m in range(3))
    assert abs(counts.mean() - expected_modes(w, 4)) < 4 * counts.std() / 20_000**0.5
    assert [expected_modes(w, N) for N in (0, 1)] == pytest.approx([0, 1], abs=1e-15)
    assert expected_modes(w, 10_000) == pytest.approx(3, rel=1e-12)
    assert expected_modes(torch.full((10,), 0.1), 10) == pytest.approx(10 * (1 - 0.9**10), rel=1e-6)
    assert expected_modes([1.0, 0.0], 5) == 1


@pytest.mark.parametrize("q", [0.0, 0.01, 0.5, 1.0, 2.0, 7.0, 1e4, math.inf])
def test_hill_number_of_equal_shares_is_their_number(q):
    """M equal shares are M kinds for every order, zero shares beside them or not."""
    for dtype in (torch.float32, DOUBLE):
        p = torch.tensor([0.25] * 4 + [0.0] * 3, dtype=dtype)
        for shares in (p[:4], p):
            assert hill(shares, q).item() == pytest.approx(4, rel=1e-5)
            assert hill(shares, q).dtype == dtype


def test_hill_numbers_of_unequal_shares(g):
    """For (1/2, 1/4, 1/8, 1/8): 4 kinds, 2**1.75 at q = 1 (the default), 32/11 at q = 2, 2 at infinity."""
    p = torch.tensor([0.5, 0.25, 0.125, 0.125], dtype=DOUBLE)
    values = {0: 4, 1: 2**1.75, 2: 32 / 11, 3: (8 / 64 + 1 / 64 + 2 / 512) ** -0.5, math.inf: 2}
    for q, expected in values.items():
        assert hill(p, q).item() == pytest.approx(expected, rel=1e-12)
    assert hill(p) == hill(p, 1.0)
    assert hill([1, 0, 0], 1.0) == 1
    orders = [0, 0.3, 0.9, 1, 1.1, 2, 5, 50, math.inf]
    numbers = [hill(p, q).item() for q in orders]
    assert all(a > b for a, b in zip(numbers[:-1], numbers[1:], strict=True))


@pytest.mark.parametrize(("limit", "near"), [(0, 1e-9), (1, 1 + 1e-7), (1, 1 - 1e-7), (math.inf, 1e4)])
def test_hill_number_is_continuous_in_its_order(limit, near):
    """The special orders are the limits of the general formula, also with shares of zero."""
    p = torch.tensor([0.6, 0.3, 0.1, 0.0], dtype=DOUBLE)
    assert hill(p, near).item() == pytest.approx(hill(p, limit).item(), rel=1e-4)


@pytest.mark.parametrize("q", [0.5, 1.0, 2.0, 3.0])
def test_hill_gradient_is_finite_where_a_share_is_zero(q):
    """The gradient is that of the other shares alone."""
    p = torch.tensor([0.7, 0.3, 0.0], dtype=DOUBLE, requires_grad=True)
    (gradient,) = torch.autograd.grad(hill(p, q), p)
    (alone,) = torch.autograd.grad(hill(p[:2], q), p)
    assert gradient.isfinite().all()
    torch.testing.assert_close(gradient, alone)
    assert torch.autograd.gradcheck(lambda a: hill(torch.stack([a, 1 - a]), q), (p[0].detach().requires_grad_(),))


def test_vendi_score_is_that_of_vendi_score(g):
    """Order 1 is vendi_score's own number; its other orders also agree where that package passes them on."""
    from vendi_score import vendi as oracle

    k = kernel(g)
    assert vendi(k).item() == pytest.approx(oracle.score_K(k.numpy(), q=1), rel=1e-9)
    for q in (0.5, 2, 3, "inf"):
        assert vendi(k, float(q)).item() == pytest.approx(oracle.score_K(k.numpy(), q=q), rel=2e-6)


def test_vendi_score_of_features_ignores_no_order(g):
    """vendi_score.score_X forgets its q, which ours must not: order 2 of its kernel differs from order 1."""
    from vendi_score import vendi as oracle

    phi = randn(g, 8, 4)
    unit = phi / phi.norm(dim=1, keepdim=True)
    assert oracle.score_X(phi.numpy(), q=2) == pytest.approx(vendi(unit @ unit.T, 1).item(), rel=1e-9)
    assert vendi(unit @ unit.T, 2) < vendi(unit @ unit.T, 1) - 0.1


@pytest.mark.parametrize(("q", "published"), [(1.0, 5.743492), (2.0, 4.545455), (math.inf, 2.5)])
def test_vendi_score_of_equal_correlations(q, published):
    """n items with correlation rho have eigenvalues (1 + (n - 1) rho) / n once and (1 - rho) / n else."""
    n, rho = 7, 0.3
    p = torch.tensor([1 + (n - 1) * rho] + [1 - rho] * (n - 1), dtype=DOUBLE) / n
    assert vendi(equicorrelated(n, rho), q).item() == pytest.approx(published, abs=1e-6)
    assert vendi(equicorrelated(n, rho), q).item() == pytest.approx(hill(p, q).item(), rel=1e-12)


@pytest.mark.parametrize("q", [0.0, 0.5, 1.0, 2.0, 5.0, math.inf])
def test_vendi_score_ends(q):
    """All alike is 1, nothing alike is N, two halves of copies is 2, in either precision and for every order."""
    halves = torch.block_diag(torch.ones(3, 3), torch.ones(3, 3))
    for k, expected in ((torch.ones(6, 6), 1), (torch.eye(6), 6), (halves, 2)):
        for dtype in (torch.float32, DOUBLE):
            assert vendi(k.to(dtype), q).item() == pytest.approx(expected, rel=1e-5)


def test_rke_is_vendi_of_order_two(g):
    """N**2 over the sum of squares is what the eigenvalues give."""
    k = kernel(g)
    p = torch.linalg.eigvalsh(k / 8)
    assert rke(k).item() == pytest.approx(1 / (p**2).sum().item(), rel=1e-12)
    assert rke(k) == vendi(k, 2)


@pytest.mark.parametrize("q", [0.5, 1.0, 2.0, 3.0])
def test_vendi_score_has_gradients(q, g):
    """Autograd's gradient with respect to the features is what finite differences give."""
    fn = lambda phi: vendi(torch.exp(-squared_distances(phi)), q)  # noqa: E731
    assert torch.autograd.gradcheck(fn, (randn(g, 5, 2).requires_grad_(),), atol=1e-6)


def test_in_batch_similarity_is_the_mean_cosine_of_pairs(g):
    """Over different members, by a loop; copies have 1, an orthogonal frame 0, two opposites -1."""
    phi = randn(g, 5, 3)
    pairs = [torch.cosine_similarity(phi[i], phi[j], dim=0) for i in range(5) for j in range(5) if i != j]
    assert in_batch_similarity(phi).item() == pytest.approx(float(sum(pairs)) / 20, rel=1e-12)
    assert in_batch_similarity(7 * torch.ones(4, 3)).item() == pytest.approx(1, rel=1e-6)
    assert in_batch_similarity(3 * torch.eye(4)).item() == pytest.approx(0, abs=1e-7)
    assert in_batch_similarity(torch.tensor([[1.0, 0.0], [-5.0, 0.0]])).item() == pytest.approx(-1, rel=1e-6)


def whitened(g, n, d):
    """n points with mean exactly 0 and covariance exactly 1."""
    x = randn(g, n, d)
    x = x - x.mean(0)
    return x @ torch.linalg.inv(torch.linalg.cholesky(x.T @ x / (n - 1))).T


def test_frechet_distance_of_a_shifted_copy(g):
    """Shifting every feature by c costs exactly d c**2, and an exact copy nothing."""
    a = randn(g, 40, 6)
    assert frechet(a, a + 0.7).item() == pytest.approx(6 * 0.49, abs=1e-10)
    assert frechet(a, a).item() == pytest.approx(0, abs=1e-10)
    assert frechet(a, a) >= 0
    assert frechet(a[torch.randperm(40, generator=g)], a).item() == pytest.approx(0, abs=1e-10)


def test_frechet_distance_of_diagonal_gaussians(g):
    """Between diagonal covariances it is |mu|**2 + sum (s_a - s_b)**2, whatever the two sample sizes."""
    s_a, s_b = torch.tensor([1.0, 2.0, 0.5], dtype=DOUBLE), torch.tensor([3.0, 0.1, 0.5], dtype=DOUBLE)
    mu = torch.tensor([1.0, -1.0, 2.0], dtype=DOUBLE)
    a, b = whitened(g, 20, 3) * s_a + mu, whitened(g, 50, 3) * s_b
    assert frechet(a, b).item() == pytest.approx(6 + 4 + 3.61, abs=1e-10)
    assert frechet(b, a).item() == pytest.approx(6 + 4 + 3.61, abs=1e-10)


@pytest.mark.parametrize(("n", "m", "d"), [(50, 30, 6), (5, 9, 6), (7, 40, 6)])
def test_frechet_distance_is_that_of_matrix_roots(n, m, d, g):
    """scipy's matrix root and torchmetrics' eigenvalues of the covariances give it too, also at low rank."""
    from torchmetrics.image.fid import _compute_fid

    a, b = randn(g, n, d) @ randn(g, d, d), 0.5 + randn(g, m, d)
    (mu_a, S_a), (mu_b, S_b) = ((x.mean(0), x.T.cov()) for x in (a, b))
    root = np.real(scipy.linalg.sqrtm((S_a @ S_b).numpy()))
    by_scipy = float((mu_a - mu_b).square().sum() + S_a.trace() + S_b.trace()) - 2 * np.trace(root)
    tolerance = 1e-9 if min(n, m) > d else 1e-5  # theirs lose half their digits where the product is singular
    assert frechet(a, b).item() == pytest.approx(by_scipy, rel=tolerance)
    assert frechet(a, b).item() == pytest.approx(_compute_fid(mu_a, S_a, mu_b, S_b).item(), rel=tolerance)


def test_frechet_distance_computes_in_float64(g):
    """float32 features give the float64 number of the same values."""
    a, b = randn(g, 30, 4).float(), randn(g, 20, 4).float()
    assert frechet(a, b).dtype == DOUBLE
    assert frechet(a, b) == frechet(a.double(), b.double())


def test_mean_and_error_is_the_textbook_s():
    """Mean, standard deviation with N - 1 over sqrt(N), and N."""
    assert mean_and_error(torch.tensor([1.0, 2.0, 3.0, 6.0])) == Estimate(3.0, pytest.approx((14 / 3 / 4) ** 0.5), 4)
    assert mean_and_error([1, 2]) == Estimate(1.5, pytest.approx(0.5), 2)


def test_an_estimate_prints_its_error():
    """It reads as number, error and repeats."""
    assert str(Estimate(6.5134, 0.0612, 300)) == "6.51 +- 0.061 (n = 300)"


def test_bootstrap_of_a_mean_is_the_standard_error(g):
    """For the mean of R numbers the resampled error is std / sqrt(R), within four of its own standard errors."""
    values = randn(g, 400)
    by_draws = bootstrap(values, torch.mean, draws=2000, generator=g)
    assert by_draws.mean == pytest.approx(values.mean().item(), rel=1e-12)
    assert by_draws.n == 400
    expected = values.std(unbiased=False).item() / 20
    assert abs(by_draws.error - expected) < 4 * expected / (2 * 2000) ** 0.5


def test_bootstrap_resamples_whole_batches(g):
    """Batches whose members are copies count as one each: the error is that of their number, not of their members."""
    batches = randn(g, 50, 1).expand(50, 100)
    error = bootstrap(batches, torch.mean, draws=1000, generator=g).error
    assert error == pytest.approx(batches[:, 0].std().item() / 50**0.5, rel=0.15)


def test_bootstrap_uses_its_generator_and_its_draws():
    """The same seed gives the same error, 200 draws are the default, and the statistic may be a float."""
    values = torch.arange(10.0)
    calls = []

    def statistic(v):
        calls.append(1)
        return float(v.median())

    seeded = lambda **kwargs: bootstrap(values, statistic, generator=torch.Generator().manual_seed(3), **kwargs)  # noqa: E731
    first = seeded()
    assert len(calls) == 201
    assert first == seeded(draws=200)
    assert first.error != seeded(draws=50).error
    torch.manual_seed(0)
    assert seeded() == first


def test_metrics_do_not_depend_on_the_default_dtype(under_both_dtypes, g):
    """The same bits come whatever torch's default dtype is."""
    x, k = randn(g, 12, 3), kernel(g)

    def answers():
        numbers = (vendi(k), vendi(k, 0), vendi(k, 2), rke(k), in_batch_similarity(x), frechet(x[:6], x[6:]))
        estimates = (
            *mean_and_error([0.1, 0.2, 0.4]),
            *bootstrap([0.1, 0.2], torch.mean, 5, torch.Generator().manual_seed(0)),
        )
        return [float(v) for v in (*numbers, *estimates, expected_modes([0.1, 0.9], 3), squared_distances(x).sum())]

    a, b = under_both_dtypes(answers)
    assert a == b


SKEW = torch.tensor([[1.0, 0.1], [0.2, 1.0]])


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: squared_distances(torch.zeros(3)), r"needs \(N, d\) and \(M, d\), got \(3,\)"),
        (lambda: squared_distances(torch.zeros(3, 2), torch.zeros(3, 1)), r"got \(3, 2\) and \(3, 1\)"),
        (lambda: squared_distances(torch.zeros(3, 2), torch.zeros(2)), r"got \(3, 2\) and \(2,\)"),
        (
            lambda: on_mode(torch.zeros(1, 2), torch.zeros(1, 2), 0.0),
            "on_mode: radius must be a finite number above 0, got 0",
        ),
        (
            lambda: modes_hit(torch.zeros(1, 2), torch.zeros(1, 2), -1.0),
            "on_mode: radius must be a finite number above 0, got -1",
        ),
        (lambda: expected_modes([0.5, 0.4], 3), "expected_modes: .* sum to 1 and N >= 0, got .* 0.9"),
        (lambda: expected_modes([1.5, -0.5], 3), "expected_modes: .* sum to 1"),
        (lambda: expected_modes([1.0], -1), "expected_modes: .* N ?= ?-1"),
        (lambda: hill(torch.tensor([0.5, 0.4])), "hill: p must be shares, .* got a sum of 0.9"),
        (lambda: hill(torch.tensor([1.5, -0.5])), "hill: p must be shares, not negative"),
        (lambda: hill(torch.tensor([[0.5, 0.5]])), "hill: p must be shares"),
        (lambda: hill(torch.tensor([1.0]), -0.1), "hill: the order q must be at least 0, got -0.1"),
        (lambda: vendi(torch.eye(3), -1), "vendi: the order q must be at least 0, got -1"),
        (lambda: vendi(torch.ones(3, 2)), r"vendi: the kernel matrix must be square, got shape \(3, 2\)"),
        (lambda: vendi(torch.ones(3)), r"vendi: the kernel matrix must be square, got shape \(3,\)"),
        (lambda: rke(torch.ones(0, 0)), r"rke: the kernel matrix must be square, got shape \(0, 0\)"),
        (lambda: vendi(SKEW), "vendi: the kernel matrix must be finite and symmetric with ones"),
        (lambda: rke(2 * torch.eye(2)), "rke: the kernel matrix must be finite and symmetric with ones"),
        (lambda: vendi(torch.tensor([[1.0, math.nan], [math.nan, 1.0]])), "must be finite and symmetric"),
        (lambda: in_batch_similarity(torch.ones(1, 3)), r"needs \(N, d\) with N >= 2, got \(1, 3\)"),
        (lambda: in_batch_similarity(torch.ones(3)), r"needs \(N, d\) with N >= 2, got \(3,\)"),
        (lambda: in_batch_similarity(torch.tensor([[1.0], [0.0]])), "length 0 has no direction"),
        (lambda: frechet(torch.zeros(1, 2), torch.zeros(3, 2)), r"frechet: a must have shape \(N, d\) with N >= 2"),
        (lambda: frechet(torch.zeros(3, 2), torch.zeros(3)), r"frechet: b must have shape .* got \(3,\)"),
        (lambda: frechet(torch.zeros(3, 2), torch.zeros(3, 1)), "same features, got d = 2 and 1"),
        (
            lambda: frechet(torch.zeros(3, 2), torch.full((3, 2), math.nan)),
            "frechet: b holds values that are not finite",
        ),
        (
            lambda: frechet(torch.full((3, 2), math.inf), torch.zeros(3, 2)),
            "frechet: a holds values that are not finite",
        ),
        (lambda: mean_and_error([1.0]), r"mean_and_error: needs at least 2 repeats .* got shape \(1,\)"),
        (lambda: mean_and_error(1.0), r"mean_and_error: needs at least 2 repeats .* got shape \(\)"),
        (lambda: mean_and_error([1.0, math.nan]), "mean_and_error: every repeat must be finite"),
        (lambda: bootstrap([1.0], torch.mean), "bootstrap: needs at least 2 repeats"),
        (lambda: bootstrap([1.0, 2.0], torch.mean, draws=1), "bootstrap: draws must be at least 2, got 1"),
    ],
)
def test_misuse_ends_in_a_sentence(call, sentence):
    """What cannot be computed is refused with a sentence that says what was got."""
    with pytest.raises(ValueError, match=sentence):
        call()


def test_rounding_is_no_misuse():
    """Shares and kernels that miss their sums, symmetry and diagonal by float32's rounding are taken."""
    assert hill(torch.full((7,), 1 / 7)).item() == pytest.approx(7, rel=1e-5)
    assert hill(torch.tensor([1 + 1e-10, -1e-10], dtype=DOUBLE)).item() == pytest.approx(1, rel=1e-8)
    k = torch.eye(3)
    k[0, 1] = 1e-6
    assert vendi(k * (1 + 1e-6)).item() == pytest.approx(3, rel=1e-4)
    assert vendi(torch.ones(1, 1)) == 1
    assert bootstrap([1.0, 2.0], torch.mean, draws=2).error >= 0
    assert frechet(torch.zeros(2, 1), torch.ones(2, 1)) == 1


def far_clusters(g, width=1e-3, apart=1e5):
    """Two tight clusters far apart, 20 real and 20 fake samples in each."""
    centres = torch.tensor([[0.0, 0.0], [apart, 0.0]], dtype=torch.float64)
    return [
        (centres[:, None] + width * torch.randn(2, 20, 2, generator=g, dtype=torch.float64)).flatten(0, 1) for _ in "ab"
    ]


def counted(real, fake, k):
    """Precision, recall, density and coverage by loops over differences."""

    def radii(points):
        return torch.stack([(points - one).norm(dim=1).sort().values[k] for one in points])

    inside = (fake[None] - real[:, None]).norm(dim=2) <= radii(real)[:, None]
    other = (real[None] - fake[:, None]).norm(dim=2) <= radii(fake)[:, None]
    return (
        inside.any(0).double().mean(),
        other.any(0).double().mean(),
        inside.sum().double() / k / len(fake),
        inside.any(1).double().mean(),
    )


@pytest.mark.parametrize("apart", [1.0, 1e5])
@pytest.mark.parametrize("width", [1.0, 1e-3, 1e-5])
def test_neighbours_are_counted_right_in_tight_clusters_far_apart(width, apart, g):
    """Distances within a cluster do not drown in those between clusters, wherever their middle lies."""
    real, fake = far_clusters(g, width, apart)
    assert prdc(real, fake, 3) == pytest.approx([float(one) for one in counted(real, fake, 3)], abs=1e-12)
    nearer = (fake[:, None] - real).norm(dim=2).min(1).values < (fake[:, None] - real.flip(1)).norm(dim=2).min(1).values
    assert nearer_to_training(fake, real, real.flip(1)).item() == pytest.approx(nearer.double().mean().item())
    nearest = torch.stack([(real - one).norm(dim=1).argmin() for one in fake])
    assert torch.equal(nearest_mode(fake, real), nearest)
    on = (fake[:, None] - real).norm(dim=2).min(1).values <= width / 5
    assert torch.equal(on_mode(fake, real, width / 5), on)
    assert 0 < on.sum() < len(on)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("q", [0.5, 1.0, 2.0, math.inf])
def test_vendi_of_a_kernel_of_few_digits(dtype, q):
    """4 for the identity of 4, and near the score of the exact kernel, which half precision only rounds."""
    assert vendi(torch.eye(4, dtype=dtype), q).item() == pytest.approx(4, rel=1e-6)
    z = torch.randn(30, 5, generator=torch.Generator().manual_seed(0))
    z = z / z.norm(dim=1, keepdim=True)
    k = (z @ z.T).to(dtype)
    k = k.fill_diagonal_(1.0)
    exact = vendi((z.double() @ z.double().T).fill_diagonal_(1.0), q).item()
    tolerance = {torch.float16: 0.05, torch.bfloat16: 0.3, torch.float32: 0.01}[dtype]
    if q >= 1:  # below, the many small eigenvalues that rounding makes count
        assert vendi(k, q).item() == pytest.approx(exact, rel=tolerance)


@pytest.mark.parametrize("q", [0.5, 1.0, 2.0])
def test_vendi_of_what_is_no_kernel_is_refused(q):
    """Symmetric with ones on the diagonal is not enough: three features cannot be this unlike."""
    k = torch.full((3, 3), -0.9, dtype=torch.float64).fill_diagonal_(1.0)
    with pytest.raises(ValueError, match="vendi: the kernel matrix must have no negative eigenvalue"):
        vendi(k, q)
    with pytest.raises(ValueError, match="rke: .* none beyond"):
        rke(torch.tensor([[1.0, 2.0], [2.0, 1.0]]))


def test_hits_are_numbers():
    """True and false may be averaged: repeats that hit or did not."""
    hits = torch.tensor([True, False, True, True])
    assert mean_and_error(hits) == mean_and_error(hits.double())
