"""Metrics of sets of pictures: against other packages, loops, exact expectations, and ladders of known diversity."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from course_lib.metrics import (
    PRDC,
    clip_score,
    coverage,
    density,
    div,
    expected_coverage,
    expected_modes,
    factor_coverage,
    factor_entropy,
    frechet,
    frechet_parts,
    hill,
    in_batch_similarity,
    kernel,
    kid,
    kid_subsets,
    nearer_to_training,
    neighbours,
    prdc,
    precision,
    pres,
    recall,
    vendi,
    vendi_features,
)

DOUBLE = torch.float64


def randn(g, *shape):
    return torch.randn(*shape, generator=g, dtype=DOUBLE)


def within(values, expected):
    """Whether the mean of repeats lies within four standard errors of what is expected."""
    values = torch.as_tensor(values, dtype=DOUBLE)
    return abs(values.mean().item() - expected) < 4 * values.std().item() / len(values) ** 0.5


def test_kid_is_the_mean_over_pairs(g, monkeypatch):
    """Of the cubic kernel, without a sample and itself, for sets of two sizes and blocks of any height."""
    x, y = randn(g, 7, 4), 0.5 + randn(g, 5, 4)
    k = lambda a, b: (a @ b / 4 + 1) ** 3  # noqa: E731
    own = [sum(k(z[i], z[j]) for i in range(len(z)) for j in range(len(z)) if i != j) for z in (x, y)]
    cross = sum(k(a, b) for a in x for b in y)
    expected = (own[0] / 42 + own[1] / 20 - 2 * cross / 35).item()
    for block in (1, 3, 1024):
        monkeypatch.setattr(kernel, "BLOCK", block)
        assert kid(x, y).item() == pytest.approx(expected, rel=1e-12)
    assert kid(x.float(), y.float()).item() == pytest.approx(expected, rel=1e-5)
    assert kid(x.float(), y.float()).dtype == DOUBLE


def test_kid_is_that_of_torchmetrics(g):
    """All samples: its kernel distance; random subsets: its whole metric with the same permutations."""
    from torchmetrics.image.kid import KernelInceptionDistance, poly_mmd

    x, y = randn(g, 60, 16), 0.2 + randn(g, 60, 16)
    assert kid(x, y).item() == pytest.approx(poly_mmd(x, y).item(), rel=1e-12)
    network = torch.nn.Identity()
    network.num_features = 16
    metric = KernelInceptionDistance(feature=network, subsets=7, subset_size=20)
    metric.update(x, real=True)
    metric.update(y[:50], real=False)
    torch.manual_seed(5)
    mean, std = metric.compute()
    torch.manual_seed(5)
    ours = kid_subsets(x, y[:50], subsets=7, size=20)
    assert ours.mean().item() == pytest.approx(mean.item(), rel=1e-10)
    assert ours.std(unbiased=False).item() == pytest.approx(std.item(), rel=1e-10)


def test_kid_is_unbiased(g):
    """Two samples of one law of 10 and 15 give 0 on average over 2,000 repeats, and so must fall below it."""
    values = torch.stack([kid(randn(g, 10, 3), randn(g, 15, 3)) for _ in range(2000)])
    assert within(values, 0)
    assert (values < 0).double().mean() > 0.3
    apart = torch.stack([kid(randn(g, 10, 3), 1 + randn(g, 15, 3)) for _ in range(500)])
    assert not within(apart, 0)


def test_kid_subsets(g):
    """One subset of everything is kid; their number, size and generator count; the defaults are 100 of 1,000."""
    x, y = randn(g, 30, 3), randn(g, 30, 3)
    seeded = lambda seed, *args: kid_subsets(x, y, *args, generator=torch.Generator().manual_seed(seed))  # noqa: E731
    assert seeded(0, 1, 30).item() == pytest.approx(kid(x, y).item(), rel=1e-10)
    assert seeded(0, 5, 10).shape == (5,)
    assert torch.equal(seeded(0, 5, 10), seeded(0, 5, 10))
    assert not torch.equal(seeded(0, 5, 10), seeded(1, 5, 10))
    assert not torch.equal(seeded(0, 5, 10), seeded(0, 5, 11))
    with pytest.raises(ValueError, match="from 2 to 30, got 100 and 1000"):
        kid_subsets(x, y)


@pytest.mark.parametrize(("n", "m", "k"), [(40, 40, 5), (40, 25, 3), (25, 40, 1), (8, 9, 6)])
def test_prdc_is_that_of_prdc(n, m, k, g, monkeypatch, capsys):
    """Without ties the package's numbers, strict or not, in blocks of any height, also far from the origin."""
    from prdc import compute_prdc

    real, fake = randn(g, n, 3), 0.4 + 1.2 * randn(g, m, 3)
    expected = PRDC(**compute_prdc(real.numpy(), fake.numpy(), k))
    monkeypatch.setattr(neighbours, "BLOCK", 7)
    for strict in (False, True):
        assert prdc(real, fake, k, strict) == pytest.approx(expected, rel=1e-12)
    monkeypatch.undo()
    assert prdc(real, fake, k) == pytest.approx(expected, rel=1e-12)
    assert prdc(real + 1e7, fake + 1e7, k) == pytest.approx(expected, rel=1e-12)
    for fn, value in zip((precision, recall, density, coverage), expected, strict=True):
        assert fn(real, fake, k) == pytest.approx(value, rel=1e-12)


def test_prdc_takes_five_neighbours_unless_told(g):
    """k = 5 is the default of all five functions, and k counts."""
    real, fake = randn(g, 50, 4), 0.5 * randn(g, 60, 4)
    for fn in (precision, recall, density, coverage, prdc):
        assert fn(real, fake) == fn(real, fake, 5) != fn(real, fake, 1)


def test_a_ball_has_a_surface():
    """Points 0, 1, 3 have radii 1, 1, 2 for k = 1; a fake at 2 lies on the surface of one ball and inside another."""
    real, fake = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([[2.0], [9.0]])
    assert (precision(real, fake, 1), precision(real, fake, 1, strict=True)) == (0.5, 0.5)
    assert (density(real, fake, 1), density(real, fake, 1, strict=True)) == (1, 0.5)
    assert (coverage(real, fake, 1), coverage(real, fake, 1, strict=True)) == (
        pytest.approx(2 / 3),
        pytest.approx(1 / 3),
    )
    edge = torch.tensor([[5.0], [9.0]])  # at 2 from 3, and 4 apart: 1 is at 4 from 5, so inside if the surface is
    assert (precision(real, edge, 1), precision(real, edge, 1, strict=True)) == (0.5, 0)
    assert (recall(real, edge, 1), recall(real, edge, 1, strict=True)) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert prdc(real, edge, 1, strict=True) == pytest.approx((0, 1 / 3, 0, 0))


def test_an_outlier_changes_only_its_own_ball(g):
    """A sample a million away keeps the distances among all others exact."""
    real, fake = randn(g, 40, 3), 0.5 * randn(g, 30, 3)
    far = torch.full((1, 3), 1e6, dtype=DOUBLE)
    before, after = prdc(real, fake), prdc(torch.cat([real, far]), torch.cat([fake, far]))
    assert before.coverage < 1
    assert after.coverage == pytest.approx((40 * before.coverage + 1) / 41, rel=1e-12)
    assert precision(real, torch.cat([fake, far])) == pytest.approx(30 / 31 * before.precision, rel=1e-12)


def test_copies_have_balls_too(g):
    """Where every sample occurs six times, k = 5 leaves radii of 0: an exact copy is still covered, unlike in prdc."""
    real = randn(g, 8, 3).repeat_interleave(6, 0)
    assert prdc(real, real) == (1, 1, 6 / 5, 1)
    assert prdc(real, real, strict=True) == (0, 0, 0, 0)
    assert prdc(real, real + 1e-3).coverage == 0
    half = real[:24]
    assert prdc(real, half).coverage == prdc(real, half).recall == 0.5


def test_two_samples_of_one_law_have_the_expected_coverage(g):
    """Over 600 draws coverage has the exact mean, 1,000 / 1,000 and 200 the published ones, and density the mean 1."""
    repeats = [prdc(randn(g, 30, 2), randn(g, 20, 2), 3) for _ in range(600)]
    assert within([one.coverage for one in repeats], expected_coverage(30, 20, 3))
    assert within([one.density for one in repeats], 1)
    values = [expected_coverage(1000, m, k) for m, k in ((1000, 5), (200, 5), (1000, 3))]
    assert values == pytest.approx([0.9690, 0.5991, 0.8754], abs=5e-5)
    assert expected_coverage(1000, 1000) == values[0]
    assert expected_coverage(2, 1, 1) == pytest.approx(0.5)


@pytest.mark.parametrize("q", [0.0, 0.5, 1.0, 2.0, math.inf])
@pytest.mark.parametrize(("n", "d"), [(12, 5), (5, 12), (6, 6)])
def test_vendi_score_of_features_is_that_of_their_cosines(n, d, q, g):
    """Through the smaller of the two matrices, whatever the features' lengths."""
    phi = randn(g, n, d)
    k = normalize(phi, dim=1) @ normalize(phi, dim=1).T
    assert vendi_features(phi, q).item() == pytest.approx(vendi(k, q).item(), rel=1e-10)
    assert vendi_features(phi * torch.arange(1, n + 1)[:, None], q).item() == pytest.approx(
        vendi(k, q).item(), rel=1e-9
    )
    assert vendi_features(phi.repeat(3, 1), q).item() == pytest.approx(vendi(k, q).item(), rel=1e-9)


def test_vendi_score_of_features_has_its_ends(g):
    """Order 1 is the default; copies count 1, an orthogonal frame its members, many samples at most d."""
    from vendi_score import vendi as oracle

    phi = randn(g, 30, 4)
    assert vendi_features(phi).item() == pytest.approx(oracle.score_dual(phi.numpy()), rel=1e-10)
    assert vendi_features(torch.ones(9, 3)).item() == pytest.approx(1, rel=1e-12)
    assert vendi_features(3 * torch.eye(7)).item() == pytest.approx(7, rel=1e-12)
    assert vendi_features(randn(g, 5000, 3), 0) == 3
    assert vendi_features(1e-200 * phi).item() == pytest.approx(vendi_features(phi).item(), rel=1e-12)
    assert vendi_features(torch.ones(1, 2)).item() == pytest.approx(1, rel=1e-12)
    for n in (3, 8):
        assert torch.autograd.gradcheck(vendi_features, (randn(g, n, 4).requires_grad_(),), atol=1e-6)


def test_pres_is_the_mean_cosine_of_pairs(g):
    """Of every generated with every real image, by a loop; a class that only shows the subject has 1."""
    a, b = randn(g, 4, 3), randn(g, 6, 3)
    pairs = [torch.cosine_similarity(x, y, dim=0).item() for x in a for y in b]
    assert pres(a, b).item() == pytest.approx(sum(pairs) / 24, rel=1e-12)
    assert pres(7 * b[:1], b[:1].repeat(3, 1)).item() == pytest.approx(1, rel=1e-12)
    assert pres(-b[:1], b[:1]).item() == pytest.approx(-1, rel=1e-12)


def lpips(layers, i, j):
    """One pair's distance by the loop over layers and positions that Zhang et al. (2018) write down."""
    total = 0.0
    for layer in layers:
        u, v = (layer[n].flatten(1).T for n in (i, j))
        terms = [
            (a / max(a.norm(), 1e-99) - b / max(b.norm(), 1e-99)).square().sum() for a, b in zip(u, v, strict=True)
        ]
        total += sum(terms).item() / len(terms)
    return total


def test_div_is_the_mean_perceptual_distance_of_pairs(g):
    """Over layers of several sizes, within groups, with rectified vectors of length 0 among them."""
    layers = [randn(g, 5, 3, 4, 2), randn(g, 5, 6, 1, 3).clamp(min=0)]
    layers[1][0, :, 0, 1] = 0
    every = [lpips(layers, i, j) for i in range(5) for j in range(i)]
    assert div(layers).item() == pytest.approx(sum(every) / 10, rel=1e-12)
    groups = torch.tensor([7, 3, 7, 3, 3])
    first, second = lpips(layers, 0, 2), [lpips(layers, i, j) for i, j in ((1, 3), (1, 4), (3, 4))]
    assert div(layers, groups).item() == pytest.approx((first + sum(second) / 3) / 2, rel=1e-12)
    assert div(layers[0]).item() == pytest.approx(div(layers[:1]).item())
    assert div([layers[0] * 9, layers[1]]).item() == pytest.approx(div(layers).item(), rel=1e-12)


def test_div_of_features_is_twice_what_similarity_lacks():
    """Vectors (N, d) count as one position: 2 - 2 cos on average, 0 for copies, 2 for an orthogonal frame."""
    phi = torch.tensor([[1.0, 2.0, 0.0], [0.0, 1.0, 5.0], [3.0, -1.0, 1.0]])
    assert div(phi).item() == pytest.approx(2 - 2 * in_batch_similarity(phi.double()).item(), rel=1e-12)
    assert div(torch.ones(4, 3)).item() == pytest.approx(0, abs=1e-15)
    assert div(torch.eye(4)).item() == pytest.approx(2, rel=1e-12)


def test_clip_score_is_the_cosine_that_is_positive(g):
    """A hundred times the cosine of each pair, 0 where it is negative; the scale counts; one text will do for all."""
    images, texts = randn(g, 6, 5), randn(g, 6, 5)
    cosines = torch.cosine_similarity(images, texts)
    assert cosines.min() < 0 < cosines.max()
    torch.testing.assert_close(clip_score(images, texts), 100 * cosines.clamp(min=0))
    torch.testing.assert_close(clip_score(images, 9 * texts, scale=2.5), 2.5 * cosines.clamp(min=0))
    torch.testing.assert_close(
        clip_score(images, texts[:1]), 100 * torch.cosine_similarity(images, texts[:1]).clamp(min=0)
    )
    assert clip_score(images[:1], 3 * images[:1]).item() == pytest.approx(100)


def test_effective_number_of_a_factor():
    """Uncorrected it is the Hill number of the shares and the Vendi score of "same kind"; factors count jointly."""
    labels = torch.tensor([4, 4, 4, 0, 0, 9, 9, 1])
    shares = torch.tensor([3, 2, 2, 1], dtype=DOUBLE) / 8
    plain = factor_entropy(labels, corrected=False)
    assert plain == pytest.approx(hill(shares).item(), rel=1e-12)
    assert plain == pytest.approx(vendi((labels[:, None] == labels).double()).item(), rel=1e-10)
    assert factor_entropy(labels) == pytest.approx(plain * math.exp(3 / 16), rel=1e-12)
    a, b = torch.arange(12) % 3, torch.arange(12) // 3
    assert factor_entropy(a, corrected=False) == pytest.approx(3, rel=1e-12)
    assert factor_entropy(a, b, corrected=False) == pytest.approx(12, rel=1e-12)
    assert factor_entropy(a, 5 - a, corrected=False) == pytest.approx(3, rel=1e-12)
    assert factor_entropy(torch.zeros(5, dtype=torch.long)) == 1
    assert factor_entropy([True, False], corrected=False) == pytest.approx(2, rel=1e-12)


def test_miller_and_madow_take_most_of_the_bias_off(g):
    """Of log entropy over 2,000 draws of 40 from 6 equal kinds, nine tenths."""
    draws = torch.randint(6, (2000, 40), generator=g)
    log = lambda corrected: sum(math.log(factor_entropy(one, corrected=corrected)) for one in draws) / 2000  # noqa: E731
    assert abs(log(True) - math.log(6)) < 0.1 * abs(log(False) - math.log(6))


def test_share_of_kinds_that_occur(g):
    """One number a set; chance gives (3.1) over the number of kinds."""
    labels = torch.tensor([[0, 0, 3], [1, 1, 1]])
    assert factor_coverage(labels, 4).tolist() == [0.5, 0.25]
    assert factor_coverage(labels[0], 5) == 0.4
    assert factor_coverage([2], 4).shape == ()
    groups = torch.randint(9, (3000, 8), generator=g)
    assert within(factor_coverage(groups, 9), expected_modes([1 / 9] * 9, 8) / 9)


def pool(g, modes, n=240):
    """n points spread evenly over `modes` of 12 well separated places on a circle in four dimensions."""
    place = torch.arange(n) % modes
    angle = place * (2 * math.pi / 12)
    centres = torch.stack([angle.cos(), angle.sin(), (2 * angle).cos(), (2 * angle).sin()], 1).double()
    return centres + 0.05 * randn(g, n, 4), place


def rising(values):
    return all(a < b for a, b in zip(values[:-1], values[1:], strict=True))


def test_ladder_of_modes(g):
    """With every mode more numbers of kinds, recall and coverage rise and distances fall; precision stays."""
    real, _ = pool(g, 12)
    sets = [pool(g, modes) for modes in (1, 2, 4, 6, 9, 12)]
    assert rising([factor_entropy(labels) for _, labels in sets])
    assert rising([factor_coverage(labels, 12) for _, labels in sets])
    assert rising([coverage(real, x) for x, _ in sets])
    assert rising([recall(real, x) for x, _ in sets])
    assert rising([-frechet(x, real) for x, _ in sets])
    assert rising([frechet_parts(x, real).trace_ratio for x, _ in sets[:4]])
    assert rising([-kid(x, real) for x, _ in sets])
    assert rising([vendi_features(x, 2) for x, _ in sets[:4]])
    assert all(precision(real, x) > 0.9 for x, _ in sets)


def test_ladder_of_a_mixture(g):
    """The more of a set comes from the collapsed one, the farther it lies; both ends are what they must be."""
    real, broad, narrow = (pool(g, modes)[0] for modes in (12, 12, 1))
    broad, narrow = (x[torch.randperm(240, generator=g)] for x in (broad, narrow))
    mixed = [torch.cat([narrow[:n], broad[n:]]) for n in (0, 60, 120, 180, 240)]
    for distance in (frechet, kid):
        assert rising([distance(x, real) for x in mixed])
    assert rising([-vendi_features(x) for x in mixed])
    assert rising([-div(x) for x in mixed])


def test_ladder_of_noise(g):
    """Noise lowers precision and density, yet raises the Vendi score and DIV, which take it for diversity."""
    real, few = pool(g, 12)[0], pool(g, 2)[0]
    noisy = [few + noise * randn(g, 240, 4) for noise in (0, 0.05, 0.1, 0.2)]
    assert rising([-precision(real, x) for x in noisy])
    assert rising([-density(real, x) for x in noisy])
    assert rising([vendi_features(x) for x in noisy])
    assert rising([div(x) for x in noisy])


def every(x, y):
    """All metrics of two sets of features, by name."""
    labels = (x[:, 0] > 0).long()
    return {
        "kid": lambda: kid(x, y),
        "kid_subsets": lambda: kid_subsets(x, y, 3, 2),
        "prdc": lambda: prdc(x, y, 2),
        "vendi": lambda: vendi_features(x),
        "rke": lambda: vendi_features(x, 2),
        "pres": lambda: pres(x, y),
        "div": lambda: div([x, y]),
        "clip": lambda: clip_score(x, y),
        "similarity": lambda: in_batch_similarity(x),
        "frechet": lambda: frechet(x, y),
        "parts": lambda: frechet_parts(x, y),
        "entropy": lambda: factor_entropy(labels),
        "coverage": lambda: factor_coverage(labels, 2),
    }


@pytest.mark.parametrize("scale", [1.0, 1e49, 1e-160, 1e-310, math.nan, math.inf, 1e60])
def test_no_nan_leaves_a_metric(scale, g):
    """Whatever comes in, copies, lines, zeros, the huge and the tiny: a finite number or a sentence goes out."""
    x = randn(g, 6, 3)
    for y in (x, x[:1].repeat(6, 1), x[:, :1] * torch.ones(3), torch.zeros(6, 3), torch.cat([x[:5], 0 * x[:1]])):
        for a, b in ((scale * y, scale * x), (scale * x, scale * y), (scale * y, scale * y), (scale * y, x)):
            for name, call in every(a, b).items():
                try:
                    value = torch.as_tensor(call(), dtype=DOUBLE)
                except ValueError:
                    continue
                assert value.isfinite().all(), f"{name} gives {value} for {a} and {b}"


def test_picture_metrics_do_not_depend_on_the_default_dtype(under_both_dtypes, g):
    """The same bits come whatever torch's default dtype is."""
    x, y = randn(g, 12, 3), randn(g, 9, 3)

    def answers():
        maps, subsets = x.view(12, 3, 1, 1), kid_subsets(x, y, 3, 4, torch.Generator().manual_seed(0))
        numbers = (kid(x, y), *subsets, *prdc(x, y, 2), vendi_features(x), pres(x, y), div([maps, x]))
        factors = (factor_entropy(torch.arange(4) % 3), factor_coverage(torch.arange(4) % 3, 7))
        return [float(v) for v in (*numbers, *factors, *clip_score(x, y[:1]), expected_coverage(9, 7, 2))]

    a, b = under_both_dtypes(answers)
    assert a == b


X, NAN = torch.tensor([[0.0, 1.0], [2.0, 5.0], [4.0, 0.0]]), math.nan
MAPS = torch.ones(3, 2, 2, 2)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: kid(X, X[:1]), r"kid: y must have shape \(N, d\) with N >= 2, got \(1, 2\)"),
        (lambda: kid(X[0], X), r"kid: x must have shape .* got \(2,\)"),
        (lambda: kid(X, X[:, :1]), "kid: both sets need the same features, got d = 2 and 1"),
        (lambda: kid(X, NAN * X), "kid: y holds values that are not finite"),
        (lambda: kid_subsets(X, X[:2], 5, 3), "kid_subsets: needs subsets >= 1 and size from 2 to 2, got 5 and 3"),
        (lambda: kid_subsets(X, X, 0, 2), "kid_subsets: needs subsets >= 1 .* got 0 and 2"),
        (lambda: kid_subsets(X, X, 1, 1), "kid_subsets: .* size from 2 to 3, got 1 and 1"),
        (lambda: precision(X, X, 3), "precision: k must be from 1 to 2, .* got 3"),
        (lambda: precision(X, X, 0), "precision: k must be from 1 to 2, .* got 0"),
        (lambda: recall(X, X[:2], 2), "recall: k must be from 1 to 1, .* got 2"),
        (lambda: density(X, X), "density: k must be from 1 to 2, .* got 5"),
        (lambda: coverage(X, X[:, :1], 1), "coverage: both sets need the same features, got d = 2 and 1"),
        (lambda: prdc(X, X[:2], 2), "prdc: k must be from 1 to 1, .* got 2"),
        (lambda: prdc(NAN * X, X, 1), "prdc: real holds values that are not finite"),
        (lambda: recall(X, X[0], 1), r"recall: fake must have shape .* got \(2,\)"),
        (lambda: recall(X[0], X, 1), r"recall: real must have shape .* got \(2,\)"),
        (lambda: expected_coverage(5, 1, 5), "expected_coverage: needs m >= 1 and 1 <= k < n, got n = 5, m = 1"),
        (lambda: expected_coverage(5, 0, 2), "expected_coverage: .* m = 0"),
        (lambda: expected_coverage(5, 1, 0), "expected_coverage: .* k = 0"),
        (lambda: vendi_features(X[0]), r"vendi_features: phi must have shape .* got \(2,\)"),
        (lambda: vendi_features(X, -1), "vendi_features: the order q must be at least 0, got -1"),
        (lambda: vendi_features(X, NAN), "vendi_features: q must be a number, got nan"),
        (lambda: vendi_features(0 * X), "vendi_features: a feature vector of length 0 has no direction"),
        (lambda: vendi_features(NAN * X), "vendi_features: phi holds values that are not finite"),
        (lambda: in_batch_similarity(NAN * X), "in_batch_similarity: phi holds vectors of no finite length"),
        (lambda: in_batch_similarity(1e39 * X), "in_batch_similarity: phi holds vectors of no finite length"),
        (lambda: pres(X, X[:, :1]), "pres: both sets need the same features"),
        (lambda: pres(X[:0], X), r"pres: generated must have shape \(N, d\) with N >= 1, got \(0, 2\)"),
        (lambda: pres(X, 0 * X), "pres: a feature vector of length 0"),
        (lambda: div([]), r"div: every group needs at least 2 images, got \[\]"),
        (lambda: div(X[:1]), r"div: every group needs at least 2 images, got \[1\]"),
        (lambda: div(X, torch.tensor([0, 0, 1])), r"div: every group needs at least 2 images, got \[2, 1\]"),
        (lambda: div(X, torch.tensor([0, 0])), r"div: needs one group for each of the 3 images, got \(2,\)"),
        (lambda: div(MAPS[0]), r"div: a layer must be \(N, C, H, W\) or \(N, d\), got \(2, 2, 2\)"),
        (lambda: div(MAPS[:, :0]), r"div: a layer must be .* got \(3, 0, 2, 2\)"),
        (lambda: div([MAPS, NAN * MAPS]), "div: a layer holds values that are not finite"),
        (lambda: div([MAPS, MAPS[:2]]), r"div: every layer needs the same images, got \[3, 2\]"),
        (lambda: clip_score(X, X[:2]), "clip_score: needs one text, or one for each of 3 images, got 2"),
        (lambda: clip_score(X, X, scale=0), "clip_score: scale must be a finite number above 0, got 0"),
        (lambda: clip_score(X, X, scale=math.inf), "clip_score: scale must be a finite number above 0, got inf"),
        (lambda: clip_score(X, X[:, :1]), "clip_score: both sets need the same features"),
        (lambda: clip_score(0 * X, X), "clip_score: a feature vector of length 0"),
        (lambda: factor_entropy(), r"factor_entropy: needs one label a sample and factor, \(N,\), got \[\]"),
        (lambda: factor_entropy(X), r"factor_entropy: needs whole-number labels, got \(3, 2\) of torch.float32"),
        (lambda: factor_entropy(X.long()), r"factor_entropy: needs one label .* got \[\(3, 2\)\]"),
        (lambda: factor_entropy(X[0].long(), X[:, 0].long()), r"factor_entropy: .* got \[\(2,\), \(3,\)\]"),
        (lambda: factor_entropy(torch.zeros(0, dtype=torch.long)), r"factor_entropy: needs .* got \(0,\)"),
        (lambda: factor_coverage(X, 9), "factor_coverage: needs whole-number labels"),
        (lambda: factor_coverage(X.long(), 5), r"labels must be \(..., N\) from 0 to 4, got \(3, 2\) from 0 to 5"),
        (lambda: factor_coverage(-X.long(), 9), "factor_coverage: labels must be .* from -5 to 0"),
        (lambda: factor_coverage(torch.tensor(1), 9), r"factor_coverage: labels must be .* got \(\)"),
    ],
)
def test_misuse_ends_in_a_sentence(call, sentence):
    """What cannot be computed is refused with a sentence that says what was got."""
    with pytest.raises(ValueError, match=sentence):
        call()


def test_nearer_to_training_by_hand():
    """Two of four points are nearer to the training pair, one is nearer to the other, one in the middle counts half."""
    generated = torch.tensor([[0.0], [1.0], [5.0], [9.0]])
    assert nearer_to_training(generated, torch.tensor([[0.0], [2.0]]), torch.tensor([[8.0], [20.0]])) == 0.625


def test_nearer_to_training_is_one_half_without_memory_and_one_for_copies():
    """Two sets of one law can be exchanged; copies are at distance 0 of what they copy; the sets' roles swap it."""
    g = torch.Generator().manual_seed(0)
    shares = []
    for _ in range(400):
        x, a, b = (torch.randn(n, 3, generator=g) for n in (20, 5, 5))
        shares.append(nearer_to_training(x, a, b))
        assert shares[-1] + nearer_to_training(x, b, a) == 1
    shares = torch.stack(shares)
    assert abs(shares.mean() - 0.5) < 5 * shares.std() / 20
    assert nearer_to_training(a, a, b) == 1


def test_nearer_to_training_refuses_sets_of_two_sizes():
    """The larger set would be nearer for no other reason."""
    with pytest.raises(ValueError, match="as many held-out samples as training samples, got 4 and 5"):
        nearer_to_training(torch.zeros(3, 2), torch.zeros(5, 2), torch.zeros(4, 2))
