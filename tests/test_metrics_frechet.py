"""Frechet distances and what they are made of: against closed forms, other packages and plain formulas."""

import io
import math

import numpy as np
import pytest
import torch

from course_lib.metrics import (
    FrechetParts,
    GaussianStatistics,
    MaxDiversity,
    frechet,
    frechet_bias,
    frechet_infinity,
    frechet_parts,
    linear,
    max_diversity_distance,
)

DOUBLE = torch.float64
stats = GaussianStatistics.from_features


def randn(g, *shape):
    return torch.randn(*shape, generator=g, dtype=DOUBLE)


def correlated(g, n, d):
    return randn(g, n, d) @ randn(g, d, d) + randn(g, d)


def known(a, c, t):
    """Frechet distance of a and c a + t, at any rank."""
    apart = (a.mean(0) - (c * a + t).mean(0)).square().sum()
    return (apart + (1 - c) ** 2 * a.T.cov().trace()).item()


def law(values):
    """The exact Gaussian with this diagonal covariance and mean 0."""
    n, d = 10**9, len(values)
    return GaussianStatistics.from_arrays(
        {"n": n, "mean": np.zeros(d), "m2": (n - 1) * np.diag(np.asarray(values, float)), "name": ""}
    )


def with_factor(x):
    x = stats(x)
    assert x.factor is x.factor
    assert x.has_factor
    return x


@pytest.mark.parametrize("split", [[50], [1, 49], [20, 1, 29], [10] * 5])
def test_statistics_of_batches_are_those_of_the_whole(split, g):
    """Number, mean and covariance do not depend on how the features came in, by update or by merge."""
    x = correlated(g, 50, 7)
    streamed, merged = GaussianStatistics("pool"), GaussianStatistics()
    for batch in x.split(split):
        assert streamed.update(batch) is streamed
        merged = merged.merge(stats(batch, "pool"))
    for one in (streamed, merged, stats(x, "pool")):
        assert (one.n, len(one), one.d, one.name) == (50, 50, 7, "pool")
        torch.testing.assert_close(one.mean, x.mean(0), rtol=1e-13, atol=1e-13)
        torch.testing.assert_close(one.covariance, x.T.cov(), rtol=1e-12, atol=1e-12)


def test_merging_leaves_both_as_they_were(g):
    """The result is new, the order does not matter, and empty statistics add nothing."""
    a, b = stats(randn(g, 9, 3)), stats(1 + randn(g, 4, 3))
    before = a.mean.clone(), a.covariance
    torch.testing.assert_close(a.merge(b).covariance, b.merge(a).covariance)
    assert torch.equal(a.mean, before[0])
    assert torch.equal(a.covariance, before[1])
    assert a.merge(GaussianStatistics()).n == 9
    assert GaussianStatistics().merge(GaussianStatistics("x")).name == "x"


def test_a_large_mean_costs_no_digits(g):
    """A million beside a spread of 1 leaves ten digits of the covariance, which uncentred sums would not."""
    x = randn(g, 400, 5)
    streamed = GaussianStatistics()
    for batch in (x + 1e6).split(37):
        streamed.update(batch)
    torch.testing.assert_close(streamed.covariance, x.T.cov(), rtol=1e-9, atol=1e-9)
    assert frechet(streamed, stats(x + 1e6)).item() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("n", "rank"), [(40, 6), (4, 3)])
def test_the_factor_is_a_triangle_whose_square_is_the_covariance(n, rank, g):
    """At full rank and below it; it is kept until the next batch comes."""
    x = stats(correlated(g, n, 6))
    A = x.factor
    assert A.shape == (rank, 6)
    torch.testing.assert_close(A.T @ A, x.covariance, rtol=1e-10, atol=1e-10)
    assert (A.tril(-1).abs() < 1e-12).all()
    assert x.factor is A
    x.update(randn(g, 3, 6))
    assert not x.has_factor
    torch.testing.assert_close(x.factor.T @ x.factor, x.covariance)


def test_statistics_survive_a_file(g):
    """Through numpy's npz, with their name; what comes back does not share memory with what went in."""
    before = stats(correlated(g, 30, 4), "location")
    file = io.BytesIO()
    np.savez(file, **before.arrays())
    file.seek(0)
    after = GaussianStatistics.from_arrays(np.load(file))
    assert (after.n, after.name) == (30, "location")
    assert torch.equal(after.mean, before.mean)
    assert torch.equal(after.covariance, before.covariance)
    arrays = before.arrays()
    arrays["m2"][:] = 0
    again = GaussianStatistics.from_arrays(arrays)
    arrays["mean"][:] = 7
    assert torch.equal(before.covariance, after.covariance)
    assert torch.equal(again.mean, before.mean)


def test_products_by_halves_are_the_products(g, monkeypatch):
    """x' x and R S R', at sizes that halve evenly or not."""
    for small in (1, 2, 5):
        monkeypatch.setattr(linear, "SMALL", small)
        for d in (1, 2, 5, 8, 11):
            x, y, R = randn(g, 9, d), randn(g, 7, d), randn(g, d, d).triu()
            torch.testing.assert_close(linear.gram(x), x.T @ x)
            for r in {1, d // 2, d} - {0}:
                torch.testing.assert_close(linear.congruence(R[:r], y.T @ y), R[:r] @ y.T @ y @ R[:r].T)


def test_eigenvalues_are_taken_only_where_they_are_sure(g):
    """The sum of roots of a well-conditioned matrix to full precision; None where half the digits would go."""
    turn = torch.linalg.qr(randn(g, 4, 4))[0]
    make = lambda *values: turn @ torch.diag(torch.tensor(values, dtype=DOUBLE)) @ turn.T  # noqa: E731
    trace = torch.tensor(10.0, dtype=DOUBLE)
    assert linear.root_trace(make(1.0, 4.0, 9.0, 16.0), trace).item() == pytest.approx(10, rel=1e-14)
    assert linear.root_trace(make(1e-8, 4.0, 9.0, 16.0), trace).item() == pytest.approx(9.0001, rel=1e-11)
    for least in (0.0, -1e-13, 1e-13):
        assert linear.root_trace(make(least, 4.0, 9.0, 16.0), trace) is None
    assert linear.root_trace(make(1e-8, 4.0, 9.0, 16.0), 1e-4 * trace) is None
    assert linear.triangle(make(1e-13, 1.0, 1.0, 1.0)) is None
    assert linear.triangle(make(-1.0, 1.0, 1.0, 1.0)) is None


FORMS = [lambda x: x, stats, with_factor]


@pytest.mark.parametrize(("n", "m"), [(60, 90), (20, 90), (60, 21), (9, 7), (23, 24), (22, 23), (2, 40)])
def test_every_way_to_the_distance_gives_the_same(n, m, g, monkeypatch):
    """Features or statistics, factors kept or not, few samples or many: all equal the plain nuclear norm."""
    monkeypatch.setattr(linear, "SMALL", 4)
    a, b = correlated(g, n, 22), correlated(g, m, 22)
    A, B = ((x - x.mean(0)) / (len(x) - 1) ** 0.5 for x in (a, b))
    plain = (a.mean(0) - b.mean(0)).square().sum() + A.square().sum() + B.square().sum()
    plain = (plain - 2 * torch.linalg.svdvals(A @ B.T).sum()).item()
    for left in FORMS:
        for right in FORMS:
            assert frechet(left(a), right(b)).item() == pytest.approx(plain, rel=1e-9)


def test_as_many_rows_as_features_are_no_triangle(g, monkeypatch):
    """One sample more than features gives a square factor, which is not to be halved like Cholesky's."""
    monkeypatch.setattr(linear, "SMALL", 1)
    for _ in range(10):
        a, b = correlated(g, 3, 2), correlated(g, 30, 2)
        plain = (a.mean(0) - b.mean(0)).square().sum() + a.T.cov().trace() + b.T.cov().trace()
        plain = plain - 2 * torch.linalg.eigvals(a.T.cov() @ b.T.cov()).sqrt().real.sum()
        assert frechet(a, b).item() == pytest.approx(plain.item(), rel=1e-9)


def degenerate(g):
    """Sets with more samples than features whose covariance is singular or nearly so."""
    x = correlated(g, 40, 6)
    constant, copied, near = x.clone(), x.clone(), x.clone()
    constant[:, 2] = 3.0
    copied[:, 4] = copied[:, 1]
    near[:, 4] = near[:, 1] + 1e-7 * randn(g, 40)
    return [constant, copied, near, x * torch.logspace(0, -9, 6, dtype=DOUBLE), x[:3].repeat(10, 1), x[:1].repeat(9, 1)]


@pytest.mark.parametrize("case", range(6))
def test_singular_covariances_cost_no_digits(case, g):
    """c a + t lies at its closed form from a, and a at 0 from itself, in every form."""
    a = degenerate(g)[case]
    trace = max(a.T.cov().trace().item(), 1e-300)
    for left in FORMS:
        for right in FORMS:
            assert frechet(left(a), right(a)).item() <= 1e-12 * trace
            expected = known(a, 1.5, 0.2)
            assert frechet(left(a), right(1.5 * a + 0.2)).item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("n", [30, 70, 400])
def test_frechet_distance_of_a_scaled_copy(n, g):
    """c a + t lies |mean|**2 + (1 - c)**2 tr S from a below, at and above full rank, and a at 0 from itself."""
    a = correlated(g, n, 64)
    for left in FORMS:
        for right in FORMS:
            assert frechet(left(a), right(0.3 * a - 1)).item() == pytest.approx(known(a, 0.3, -1), rel=1e-10)
            assert 0 <= frechet(left(a), right(a)).item() <= 1e-12 * a.T.cov().trace().item()


def test_frechet_distance_of_exact_laws():
    """Unit normals with means 0 and 1 in 300 dimensions lie exactly 300 apart; diagonals (sqrt a - sqrt b)**2."""
    one = np.ones(300)
    at_one = {**law(one).arrays(), "mean": one}
    assert frechet(law(one), GaussianStatistics.from_arrays(at_one)).item() == pytest.approx(300, rel=1e-10)
    assert frechet(law([1.0, 4.0, 9.0]), law([4.0, 1.0, 0.0])).item() == pytest.approx(1 + 1 + 9, rel=1e-10)


@pytest.mark.parametrize(("n", "tolerance"), [(40, 1e-5), (300, 1e-10)])
def test_frechet_distance_is_that_of_torchmetrics(n, tolerance, g):
    """Its whole metric, given features, to 1e-5 at low rank, where it loses digits, and to 1e-10 else."""
    from torchmetrics.image.fid import FrechetInceptionDistance

    a, b = correlated(g, n, 64), correlated(g, n, 64)
    network = torch.nn.Identity()
    network.num_features = 64
    fid = FrechetInceptionDistance(feature=network)
    fid.update(a, real=True)
    fid.update(b, real=False)
    assert frechet(a, b).item() == pytest.approx(fid.compute().item(), rel=tolerance)


def test_frechet_distance_keeps_its_value_under_moves(g):
    """Exchange, a common rotation and a common shift change nothing; a common scale c gives c**2."""
    for n in (12, 80):
        a, b, turn = correlated(g, n, 20), correlated(g, 50, 20), torch.linalg.qr(randn(g, 20, 20))[0]
        value = frechet(a, b).item()
        for left, right, factor in ((b, a, 1), (a @ turn, b @ turn, 1), (a + 5, b + 5, 1), (-3 * a, -3 * b, 9)):
            assert frechet(left, right).item() == pytest.approx(factor * value, rel=1e-9)


@pytest.mark.parametrize("n", [3, 12])
def test_frechet_distance_has_gradients(n, g):
    """Autograd's gradient is that of finite differences, below and above full rank."""
    b = randn(g, 15, 4)
    assert torch.autograd.gradcheck(lambda x: frechet(x, b), (randn(g, n, 4).requires_grad_(),), atol=1e-6)
    reference = stats(b)
    assert torch.autograd.gradcheck(lambda x: frechet(x, reference), (randn(g, n, 4).requires_grad_(),), atol=1e-6)


def test_the_parts_of_a_frechet_distance(g):
    """c a + t has |mean|**2, (1 - c)**2 tr S and c**2; the distance is the sum of the first two."""
    a = correlated(g, 30, 5)
    for form in FORMS:
        parts = frechet_parts(form(0.5 * a + 2), form(a))
        assert isinstance(parts, FrechetParts)
        apart = (0.5 * a.mean(0) - 2).square().sum().item()
        assert parts.mean == pytest.approx(apart, rel=1e-10)
        assert parts.bures == pytest.approx(a.T.cov().trace().item() / 4, rel=1e-10)
        assert parts.trace_ratio == pytest.approx(0.25, rel=1e-10)
        assert parts.distance == parts.mean + parts.bures
        assert parts.distance == pytest.approx(frechet(0.5 * a + 2, a).item(), rel=1e-12)
    assert frechet_parts(torch.ones(4, 2), torch.tensor([[0.0, 1.0], [2.0, 1.0]])).trace_ratio == 0


def test_bias_formula():
    """Isotropic laws have d / n + d (d + 1) / (4 n); a second sample adds its own, a constant feature nothing."""
    assert frechet_bias(torch.ones(8), 50) == pytest.approx(8 / 50 + 72 / 200, rel=1e-12)
    assert frechet_bias([2.0] * 8, 50) == pytest.approx(2 * frechet_bias(torch.ones(8), 50), rel=1e-12)
    assert frechet_bias([1.0, 3.0], 10) == pytest.approx((1.5 * 4 + 3 / 4) / 10, rel=1e-12)
    assert frechet_bias([1.0, 3.0, 0.0, 0.0], 10) == frechet_bias([1.0, 3.0], 10)
    assert frechet_bias([1.0, 3.0], 10, 40) == pytest.approx(1.25 * frechet_bias([1.0, 3.0], 10), rel=1e-12)
    assert frechet_bias([0.0], 2) == frechet_bias([], 2) == 0
    assert frechet_bias([1.0, -1e-12], 10) == frechet_bias([1.0], 10)


def test_bias_is_that_of_samples(g):
    """The mean over 800 samples of 100 lies within 4 standard errors and the formula's second order, 2 %, of it."""
    values = 1 / torch.arange(1, 9, dtype=DOUBLE)
    exact = law(values)
    sample = lambda n: randn(g, n, 8) * values.sqrt()  # noqa: E731
    for draw, expected in (
        (lambda: frechet(sample(100), exact), frechet_bias(values, 100)),
        (lambda: frechet(sample(100), sample(200)), frechet_bias(values, 100, 200)),
    ):
        distances = torch.stack([draw() for _ in range(800)])
        error = distances.std().item() / 800**0.5
        assert error < 0.012 * expected
        assert abs(distances.mean().item() - expected) < 4 * error + 0.02 * expected


def test_extrapolation_takes_the_bias_off(g):
    """On average over 12 sets of 600 the error falls to under a fifth, and the slope is N times the bias."""
    values = torch.ones(16, dtype=DOUBLE)
    shifted = law(values).arrays()
    shifted["mean"] += 0.2
    reference, true = GaussianStatistics.from_arrays(shifted), 16 * 0.04
    runs = [frechet_infinity(randn(g, 600, 16), reference, smallest=200, generator=g) for _ in range(12)]
    raw = torch.tensor([run.distances[-1] for run in runs]).mean().item() - true
    left = torch.tensor([run.distance for run in runs]).mean().item() - true
    assert abs(left) < raw / 5
    slope = torch.tensor([run.slope for run in runs]).mean().item()
    assert slope == pytest.approx(600 * frechet_bias(values, 600), rel=0.25)


def test_extrapolation_is_the_line_through_its_points(g):
    """Sizes from a tenth to all, 15 of them; the line is numpy's; reference as features or statistics alike."""
    x, y = randn(g, 100, 6), 1 + randn(g, 60, 6)
    seeded = lambda b, **kwargs: frechet_infinity(x, b, generator=torch.Generator().manual_seed(1), **kwargs)  # noqa: E731
    run = seeded(y)
    slope, intercept = np.polyfit(1 / np.array(run.sizes), run.distances, 1)
    assert (run.distance, run.slope) == pytest.approx((intercept, slope), rel=1e-9)
    assert (run.sizes[0], run.sizes[-1], len(run.sizes)) == (10, 100, 15)
    assert run.distances[-1] == pytest.approx(frechet(x, y).item(), rel=1e-10)
    assert run == seeded(y)
    assert seeded(stats(y)).distances == pytest.approx(run.distances, rel=1e-10)
    assert seeded(y, points=3).sizes == [10, 55, 100]
    assert seeded(y, points=3, smallest=40).sizes == [40, 70, 100]
    assert seeded(y[:5]).distances[-1] == pytest.approx(frechet(x, y[:5]).item(), rel=1e-10)
    torch.manual_seed(0)
    assert seeded(y) == run
    assert frechet_infinity(x, y, generator=torch.Generator().manual_seed(2)).distances != run.distances


def test_share_of_the_gap(g):
    """0 for the minimum, 1 for the floor, the ratio of distances else, from features or statistics alike."""
    maximum, floor = randn(g, 300, 5), randn(g, 100, 5)
    minimum, x = 0.1 * randn(g, 100, 5), 0.5 * randn(g, 100, 5)
    share = lambda y: max_diversity_distance(y, maximum, minimum, floor).gap_closed  # noqa: E731
    assert (share(minimum), share(floor)) == (0, 1)
    far, near = frechet(minimum, maximum), frechet(floor, maximum)
    assert share(x) == pytest.approx(((far - frechet(x, maximum)) / (far - near)).item(), rel=1e-12)
    assert 0.3 < share(x) < 0.9
    assert share(minimum + 1) < 0
    result = max_diversity_distance(x, maximum, minimum, floor)
    assert isinstance(result, MaxDiversity)
    assert result[:4] == frechet_parts(x, maximum)
    assert result.floor == near.item()
    assert result == pytest.approx(max_diversity_distance(*(stats(y, "e") for y in (x, maximum, minimum, floor))))


def test_maximum_diversity_distance_without_a_gap(g):
    """The distance alone, or with its floor, needs no equal numbers."""
    x, maximum, floor = randn(g, 9, 3), randn(g, 30, 3), randn(g, 20, 3)
    assert max_diversity_distance(x, maximum) == (*frechet_parts(x, maximum), None, None)
    assert max_diversity_distance(x, maximum, floor=floor).floor == frechet(floor, maximum).item()


def test_frechet_numbers_do_not_depend_on_the_default_dtype(under_both_dtypes, g):
    """The same bits come whatever torch's default dtype is, and float32 features count in float64."""
    x, y = randn(g, 40, 6), randn(g, 30, 6)

    def answers():
        line = frechet_infinity(x, y, points=3, generator=torch.Generator().manual_seed(0))
        gap = max_diversity_distance(x[:30], y, 3 + y, y + 0.1 * x[:30])
        return (*frechet_parts(x, y), *frechet_parts(stats(x), y[:4]), frechet_bias([0.1, 0.7], 9), *line[:2], *gap)

    a, b = under_both_dtypes(answers)
    assert a == b
    single = x.float(), y.float()
    assert frechet(stats(single[0]), single[1]) == frechet(stats(single[0].double()), single[1].double())
    assert frechet(stats(single[0]), single[1]).dtype == DOUBLE


NAN, INF = math.nan, math.inf
X = torch.tensor([[0.0, 1.0], [2.0, 5.0], [4.0, 0.0]])
BROKEN = {"n": 3, "mean": np.zeros(2), "m2": np.eye(2), "name": "a"}


def broken(**changes):
    return lambda: GaussianStatistics.from_arrays({**BROKEN, **changes})


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: stats(torch.zeros(3)), r"GaussianStatistics: the batch must have shape \(N, d\) .* got \(3,\)"),
        (lambda: stats(torch.zeros(0, 3)), r"the batch must have shape \(N, d\) with N >= 1, got \(0, 3\)"),
        (lambda: stats(torch.zeros(3, 0)), r"the batch must have shape .* got \(3, 0\)"),
        (lambda: stats(torch.tensor([[NAN]])), "the batch holds values that are not finite"),
        (lambda: stats(torch.tensor([[-INF]])), "the batch holds values that are not finite"),
        (lambda: stats(torch.tensor([[-1e51]], dtype=DOUBLE)), r"the batch holds values beyond 1e\+50"),
        (
            lambda: stats(torch.ones(2, 2, dtype=torch.complex64)),
            "the batch must be a tensor or a list of real numbers, got a tensor",
        ),
        (lambda: stats(X).update(torch.zeros(3, 1)), "update: these statistics have d = 2 features, got 1"),
        (lambda: stats(X).merge(stats(torch.zeros(3, 1))), "merge: these statistics have d = 2 features, got 1"),
        (lambda: stats(X, "a").merge(stats(X, "b")), 'merge: statistics of two embeddings, "a" and "b"'),
        (lambda: GaussianStatistics().mean, "needs n >= 1 features, has seen 0; update it first"),
        (lambda: GaussianStatistics().arrays(), "needs n >= 1 features, has seen 0"),
        (lambda: stats(X[:1]).covariance, "needs n >= 2 features, has seen 1"),
        (lambda: stats(X[:1]).factor, "needs n >= 2 features, has seen 1"),
        (lambda: GaussianStatistics.from_arrays({"n": 3, "m2": X}), "from_arrays: misses mean, name; give it"),
        (broken(n=0), r"from_arrays: needs n >= 1, mean \(d,\) and m2 \(d, d\), got 0"),
        (broken(mean=np.zeros((2, 1))), r"from_arrays: needs .* got 3, \(2, 1\), \(2, 2\)"),
        (broken(m2=np.ones((2, 3))), r"from_arrays: needs .* got 3, \(2,\), \(2, 3\)"),
        (broken(m2=np.full((2, 2), NAN)), "from_arrays: the stored mean or m2 is not finite"),
        (broken(mean=np.full(2, INF)), "from_arrays: the stored mean or m2 is not finite"),
        (lambda: frechet(stats(X[:1]), X), "needs n >= 2 features, has seen 1"),
        (lambda: frechet(X, X[:1]), r"frechet: b must have shape \(N, d\) with N >= 2, got \(1, 2\)"),
        (lambda: frechet(X, stats(torch.zeros(3, 1))), "frechet: both sets need the same features, got d = 2 and 1"),
        (lambda: frechet(stats(X, "a"), stats(X, "b")), 'frechet: statistics of two embeddings, "a" and "b", cannot'),
        (lambda: frechet_parts(X, NAN * X), "frechet_parts: b holds values that are not finite"),
        (lambda: frechet_parts(X, 0 * X), "frechet_parts: b does not vary at all"),
        (lambda: frechet_bias([1.0, -1.0], 9), "frechet_bias: the eigenvalues must be .* not negative"),
        (lambda: frechet_bias([1.0, NAN], 9), "frechet_bias: the eigenvalues must be a list"),
        (lambda: frechet_bias(X, 9), "frechet_bias: the eigenvalues must be a list"),
        (lambda: frechet_bias([1.0], 1), "frechet_bias: needs at least 2 samples a side, got n = 1 and m = None"),
        (lambda: frechet_bias([1.0], 9, 1), "frechet_bias: needs at least 2 samples a side, got n = 9 and m = 1"),
        (lambda: frechet_infinity(X, X), "frechet_infinity: needs 2 points or more .* N = 3, got 15 from 2"),
        (lambda: frechet_infinity(X, X, points=1), "frechet_infinity: .* got 1 from 2"),
        (lambda: frechet_infinity(X, X, points=2, smallest=1), "frechet_infinity: .* got 2 from 1"),
        (lambda: frechet_infinity(X, X, points=2, smallest=3), "frechet_infinity: .* got 2 from 3"),
        (lambda: frechet_infinity(X[0], X), r"frechet_infinity: x must have shape .* got \(2,\)"),
        (lambda: frechet_infinity(X, X[0], points=2), r"frechet_infinity: reference must have shape .* got \(2,\)"),
        (lambda: max_diversity_distance(X, NAN * X), "max_diversity_distance: maximum holds values"),
        (lambda: max_diversity_distance(X[0], X), "max_diversity_distance: x must have shape"),
        (lambda: max_diversity_distance(X, 0 * X), "max_diversity_distance: maximum does not vary"),
        (lambda: max_diversity_distance(X, X, X), "share of the gap needs floor, a second sample"),
        (
            lambda: max_diversity_distance(X, X, X[:2], X),
            "share of the gap needs equal N, got 3 in x, 2 in minimum and 3",
        ),
        (lambda: max_diversity_distance(X, X, X, X[:2]), "share of the gap needs equal N, .* 2 in floor"),
        (lambda: max_diversity_distance(X[:2], X, X, X), "share of the gap needs equal N, got 2 in x"),
        (lambda: max_diversity_distance(X, X, X, X + 1), "minimum is as near to maximum as floor .* no gap"),
        (lambda: max_diversity_distance(X, X, X, X), "there is no gap"),
        (lambda: max_diversity_distance(stats(X, "a"), stats(X, "b")), 'two embeddings, "a" and "b"'),
    ],
)
def test_misuse_ends_in_a_sentence(call, sentence):
    """What cannot be computed is refused with a sentence that says what was got."""
    with pytest.raises(ValueError, match=sentence):
        call()


def test_what_is_small_is_no_misuse():
    """One sample a batch, statistics without a name beside one with, two points, arrays as lists."""
    one = GaussianStatistics("a")
    for row in X:
        one.update(row[None])
    assert frechet(one, stats(X)).item() == pytest.approx(0, abs=1e-12)
    assert frechet(stats(X), stats(X, "a")).item() == pytest.approx(0, abs=1e-12)
    assert frechet_infinity(X, X, points=2, generator=torch.Generator().manual_seed(0)).sizes == [2, 3]
    assert GaussianStatistics.from_arrays({**BROKEN, "n": 1}).n == 1
    assert frechet(np.array([[0.0], [2.0]]), np.array([[1.0], [3.0]])).item() == pytest.approx(1)
