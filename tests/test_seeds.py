"""Seeds: noise that belongs to a particle, coupled noise, choosing among many."""

import itertools

import pytest
import torch
from scipy import stats

from course_lib.denoisers import ring
from course_lib.metrics import modes_hit
from course_lib.samplers import ddpm, geometric, sample
from course_lib.seeds import Noise, coupled, select_from_many, spawned

DOUBLE = torch.float64


def randn(g, *shape):
    return torch.randn(*shape, generator=g, dtype=DOUBLE)


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_a_seed_gives_the_same_noise_whatever_the_batch(dtype):
    """Seed i draws the same bits for N = 1, 4 and 16, draw after draw, whoever stands beside it."""
    most = Noise(range(16), dtype=dtype)
    first, second = most.randn(2, 3), most.randn_like(torch.zeros(16, 5, dtype=dtype))
    assert first.dtype == dtype
    for seeds in ([0], [3, 0, 2, 1], list(range(15, -1, -1))):
        own = Noise(seeds, dtype=dtype)
        assert torch.equal(own.randn(2, 3), first[seeds])
        assert torch.equal(own.randn_like(torch.zeros(len(seeds), 5, dtype=dtype)), second[seeds])
    assert len(first.flatten().unique()) == first.numel()


def test_a_particle_s_first_draws_are_its_generator_s():
    """Particle i draws what torch draws from a generator seeded with its number, on the CPU and in float64."""
    draws = Noise([7, 11]).randn(4)
    for seed, draw in zip((7, 11), draws, strict=True):
        assert torch.equal(draw, torch.randn(4, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE))
    assert draws.device == torch.device("cpu")


def test_noise_leaves_torch_s_generator_alone():
    """Drawing neither reads nor moves the global generator."""
    torch.manual_seed(0)
    before = torch.get_rng_state()
    a = Noise([1]).randn(3)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(1)
    assert torch.equal(a, Noise([1]).randn(3))


def test_noise_takes_the_dtype_and_the_place_of_x():
    """randn_like draws in its own dtype and hands out x's, so that a seed means the same for both."""
    as_double = Noise([0, 1]).randn_like(torch.zeros(2, 3, dtype=DOUBLE))
    as_float = Noise([0, 1]).randn_like(torch.zeros(2, 3))
    assert as_float.dtype == torch.float32
    assert torch.equal(as_float, as_double.float())
    assert Noise([0], device="meta").randn(3).device.type == "meta"


def test_noise_does_not_depend_on_the_default_dtype(under_both_dtypes):
    """The same bits come whatever torch's default dtype is."""
    a, b = under_both_dtypes(lambda: (Noise(range(3)).randn(4), coupled(Noise(range(3)).randn(4))))
    for one, other in zip(a, b, strict=True):
        assert one.dtype == DOUBLE
        assert torch.equal(one, other)


@pytest.mark.parametrize("N", [2, 5])
def test_coupled_noise_keeps_each_law_and_repels(N, g):
    """Each of N rows is standard normal (Kolmogorov and Smirnov) and any two have correlation -1 / (N - 1)."""
    n = 20_000
    z = coupled(randn(g, N, n))
    error = n**-0.5
    assert (z.mean(1).abs() < 4 * error).all()
    assert ((z.var(1) - 1).abs() < 4 * 2**0.5 * error).all()
    assert all(stats.kstest(row.numpy(), "norm").pvalue > 0.01 for row in z)
    for a, b in itertools.combinations(z, 2):
        assert abs((a * b).mean() + 1 / (N - 1)) < 5 * error
    torch.testing.assert_close(z.sum(0), torch.zeros(n, dtype=DOUBLE), rtol=0, atol=1e-12)


def test_coupled_noise_is_its_equation(g):
    """sqrt(N / (N - 1)) (eps_i - mean), for particles of any shape and in their dtype."""
    eps = randn(g, 3, 2, 2)
    torch.testing.assert_close(coupled(eps), 1.5**0.5 * (eps - (eps[0] + eps[1] + eps[2]) / 3))
    assert coupled(eps.float()).dtype == torch.float32


def test_coupled_starts_hit_more_modes(g):
    """Ten coupled starts hit more modes of the field's circle than ten independent ones, by three standard errors."""
    eps, sigmas, mixture = randn(g, 1000, 10, 2), geometric(2.0, 0.02, 30), ring()
    hits = []
    for start in (eps, torch.vmap(coupled)(eps)):
        x = sample(mixture, 2.0 * start.reshape(-1, 2), sigmas).view(1000, 10, 2)
        hits.append(torch.tensor([modes_hit(own, mixture.means) for own in x], dtype=DOUBLE))
    gain = hits[1].mean() - hits[0].mean()
    assert gain > 3 * ((hits[0].var() + hits[1].var()) / 1000) ** 0.5


def test_spawned_particles_part_by_their_own_noise(g):
    """From one latent at a level: equal under ddim; apart under a noisy step, less than strangers, each by its seed."""
    # three dimensions of the mixture: two modes far apart that the latents choose between, one mode each to vary within
    mixture, sigmas, low = ring(4, radius=4.0, s=0.3), geometric(20.0, 0.05, 30), geometric(1.5, 0.05, 20)
    latents = sample(mixture, 20 * randn(g, 50, 2), torch.cat([sigmas[sigmas > 1.5], torch.tensor([1.5])]))
    x = spawned(latents, 4)
    assert torch.equal(x.view(50, 4, 2), latents[:, None].expand(50, 4, 2))
    same = sample(mixture, x, low).view(50, 4, 2)
    torch.testing.assert_close(same, same[:, :1].expand_as(same), rtol=0, atol=1e-12)

    def parted(seeds):
        return sample(mixture, x, low, ddpm, randn_like=Noise(seeds).randn_like)

    apart = parted(range(200))
    siblings = torch.stack([torch.pdist(own).mean() for own in apart.view(50, 4, 2)])
    strangers = torch.pdist(apart.view(50, 4, 2)[:, 0]).mean()
    assert siblings.min() > 0.02
    assert siblings.mean() + 5 * siblings.std() / 50**0.5 < 0.5 * strangers
    assert torch.equal(parted([*range(199), 999])[:199], apart[:199])


def farthest_first(phi, n, first):
    """The definition of (4.14), by loops: the next one has the largest least distance to those taken."""
    taken = [first]
    while len(taken) < n:
        best = max(
            (i for i in range(len(phi)) if i not in taken),
            key=lambda i: (min(float((phi[i] - phi[j]).square().sum()) for j in taken), -i),
        )
        taken.append(best)
    return taken


@pytest.mark.parametrize("first", [0, 5, 11])
def test_selection_is_farthest_first(first, g):
    """The chosen are those of the definition, for every n and start; without `first` it starts at 0."""
    phi = randn(g, 12, 3)
    for n in (1, 2, 7, 12):
        assert select_from_many(phi, n, first).tolist() == farthest_first(phi, n, first)
    assert torch.equal(select_from_many(phi, 4), select_from_many(phi, 4, 0))
    assert select_from_many(phi, 4, first).dtype == torch.long


def test_selection_breaks_ties_by_index_and_takes_none_twice():
    """Equally far candidates come in their order, and coinciding ones once each."""
    corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
    assert select_from_many(corners, 5).tolist() == [0, 3, 1, 2, 4]
    assert select_from_many(torch.zeros(4, 2), 4).tolist() == [0, 1, 2, 3]
    assert select_from_many(torch.zeros(4, 2), 3, first=2).tolist() == [2, 0, 1]


def test_selection_leaves_its_features_alone(g):
    """The features are read, not written."""
    phi = randn(g, 6, 2)
    before = phi.clone()
    select_from_many(phi, 3)
    assert torch.equal(phi, before)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: Noise([]), "seeds must name at least one particle"),
        (lambda: Noise([1, 2]).randn_like(torch.zeros(3, 2)), "made for 2 particles, got .*3.*; pass one seed each"),
        (lambda: coupled(torch.zeros(1, 2)), "coupled: needs at least 2 particles, got 1"),
        (lambda: spawned(torch.zeros(2, 2), 0), "spawned: n must be a whole number of at least 1, got 0"),
        (lambda: Noise("123"), "seeds must name the particles one by one, as range.* got '123'"),
        (lambda: Noise(5), "seeds must name the particles one by one, as range.* got 5"),
        (lambda: Noise([1.5]), "a seed must be a whole number .* got 1.5"),
        (lambda: select_from_many(torch.zeros(4, 2), 5), "select_from_many: needs 1 <= n <= M .* M = 4, got n=5"),
        (lambda: select_from_many(torch.zeros(4, 2), 0), "select_from_many: needs 1 <= n <= M .* M = 4, got n=0"),
        (lambda: select_from_many(torch.zeros(4, 2), 2, 4), "0 <= first < M = 4, got n=2, first=4"),
        (lambda: select_from_many(torch.zeros(4, 2), 2, -1), "0 <= first < M = 4, got n=2, first=-1"),
    ],
)
def test_misuse_ends_in_a_sentence(call, sentence):
    """What cannot be computed is refused with a sentence that says what was got."""
    with pytest.raises(ValueError, match=sentence):
        call()
