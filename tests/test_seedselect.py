"""SeedSelect: gradients through the sampler, losses in closed form, norms, and what it reaches in the plane."""

import math

import pytest
import torch
from scipy import stats

from course_lib import seeds, seedselect, world
from course_lib.denoisers import MLPDenoiser, ring
from course_lib.samplers import dpmpp_2m, scaled_linear, trajectory
from course_lib.seedselect.search import _Objective

SIGMAS = scaled_linear(12)


@pytest.fixture
def net():
    before = torch.random.get_rng_state()
    torch.manual_seed(0)
    made = MLPDenoiser(2, width=256, depth=4).double().requires_grad_(False)
    torch.random.set_rng_state(before)
    return made


def rare(weight=0.02):
    weights = torch.full((8,), (1 - weight) / 7, dtype=torch.float64)
    weights[0] = weight
    return ring(8, radius=4.0, s=0.15, weights=weights)


def plain(denoiser, z, keep=1):
    """The same run without checkpoints."""
    states = [state.x for state in trajectory(denoiser, SIGMAS[0] * z, SIGMAS)]
    return states[-1] if keep == 1 else torch.stack(states[-keep:])


@pytest.mark.parametrize("keep", [1, 3])
def test_checkpointed_gradients_are_equal_bit_for_bit(net, keep, g):
    z = torch.randn(4, 2, generator=g, dtype=torch.float64)
    slopes = []
    for run in (seedselect.sampler(net, SIGMAS, keep=keep), lambda z: plain(net, z, keep)):
        z = z.detach().requires_grad_()
        out = run(z)
        out.square().sum().backward()
        slopes.append((out.detach(), z.grad))
    assert slopes[0][0].shape == ((4, 2) if keep == 1 else (3, 4, 2))
    for ours, theirs in zip(*slopes):
        assert torch.equal(ours, theirs)


def kept_bytes(denoiser, z, sigmas):
    """Bytes that autograd keeps for the backward pass."""
    total = 0

    def pack(tensor):
        nonlocal total
        total += tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        for state in trajectory(denoiser, sigmas[0] * z, sigmas):
            z = state.x
    return total


def test_checkpoints_keep_latents_instead_of_activations(net, g):
    z = torch.randn(16, 2, generator=g, dtype=torch.float64, requires_grad=True)
    assert kept_bytes(seedselect.checkpointed(net), z, scaled_linear(20)) < 0.05 * kept_bytes(net, z, scaled_linear(20))


def test_sampler_takes_a_start_and_a_step(net, g):
    z = torch.randn(3, 2, generator=g, dtype=torch.float64)
    half = seedselect.sampler(net, SIGMAS, start=lambda z: SIGMAS[0] * z / 2)
    torch.testing.assert_close(half(2 * z), seedselect.sampler(net, SIGMAS)(z))
    assert not torch.allclose(seedselect.sampler(net, SIGMAS, step=dpmpp_2m())(z), seedselect.sampler(net, SIGMAS)(z))


V, MU = torch.tensor([[3.0, 4.0], [0.0, 2.0]]).double(), torch.tensor([0.0, 1.0]).double()


def test_losses_by_hand():
    double = seedselect.semantic(lambda x: 2 * x, MU)(V / 2)
    torch.testing.assert_close(double, torch.tensor([18**0.5, 1.0]).double())
    torch.testing.assert_close(seedselect.semantic(lambda x: x, MU, "cosine")(V), torch.tensor([0.2, 0.0]).double())
    torch.testing.assert_close(seedselect.appearance(MU)(V), torch.tensor([18**0.5, 1.0]).double())
    others = torch.stack([MU, MU + torch.tensor([0.0, 3.0])])
    expected = -torch.log_softmax(-torch.tensor([[18**0.5, 3.0], [1.0, 2.0]]).double(), 1)
    torch.testing.assert_close(seedselect.contrastive(lambda x: x, others, 0)(V), expected[:, 0])
    torch.testing.assert_close(seedselect.contrastive(lambda x: x, others, 1)(V), expected[:, 1])
    total = seedselect.over_last(lambda x: x.sum(1), [0.25, 0.75])(torch.stack([V, 2 * V]))
    torch.testing.assert_close(total, 1.75 * V.sum(1))


def test_a_loss_at_its_minimum_has_a_finite_gradient():
    x = MU.expand(1, 2).clone().requires_grad_()
    (slope,) = torch.autograd.grad(seedselect.appearance(MU)(x).sum(), x)
    assert slope.abs().max() == 0


def test_bootstrap_centroid_is_a_mean_of_members(g):
    """Of one: a reference. Of many: variance s**2 (1 - 1 / n) / m, as sampling with replacement has."""
    references = torch.randn(5, 2, generator=g, dtype=torch.float64)
    one = seedselect.bootstrap_centroid(references, 1, g)
    assert (references == one).all(1).any()
    draws = torch.stack([seedselect.bootstrap_centroid(references, 3, g) for _ in range(4000)])
    expected = references.var(0, unbiased=False) / 3
    assert (draws.var(0) / expected - 1).abs().max() < 4 * (2 / 4000) ** 0.5


@pytest.mark.parametrize("d", [2, 256, 16_384])
def test_length_statistics_against_scipy(d, g):
    z = torch.randn(3, d, generator=g)
    r, law = z.double().norm(dim=1).numpy(), stats.chi(d)
    expected = (r - law.mean()) / law.std()
    torch.testing.assert_close(seeds.chi_score(z), torch.as_tensor(expected), atol=1e-4, rtol=0)
    nll = torch.as_tensor(-law.logpdf(r))
    torch.testing.assert_close(seeds.chi_nll(z).diff(), nll.diff(), atol=1e-6, rtol=1e-9)


def test_chi_nll_is_least_on_the_shell():
    """At |z|**2 = d - 1 its gradient is zero; in float32 input too."""
    z = torch.ones(1, 101) * (100 / 101) ** 0.5
    z.requires_grad_()
    (slope,) = torch.autograd.grad(seeds.chi_nll(z).sum(), z)
    assert slope.abs().max() < 1e-6
    assert (seeds.chi_nll(1.1 * z) > seeds.chi_nll(z)).all()
    assert (seeds.chi_nll(0.9 * z) > seeds.chi_nll(z)).all()


def test_gaussian_kl_by_hand():
    """Two coordinates with mean m and variance v: d / 2 (m**2 + v - 1 - log v)."""
    z = torch.tensor([[1.0, 3.0], [-1.0, 1.0]]).double()
    torch.testing.assert_close(seeds.gaussian_kl(z), torch.tensor([4.0, 0.0]).double())


def test_combined_seeds_stay_on_the_shell(g):
    z = torch.randn(5, 16_384, generator=g)
    assert abs(seeds.chi_score(seeds.combined(z)[None])) < 4
    assert seeds.chi_score(z.mean(0)[None]) < -50  # their mean is 1 / sqrt(5) as long
    torch.testing.assert_close(seeds.combined(z, torch.tensor([0.0, 2.0, 0.0, 0.0, 0.0])), z[1])
    mixed = seeds.combined(z, torch.tensor([3.0, 4.0, 0.0, 0.0, 0.0]))
    torch.testing.assert_close(mixed, 0.6 * z[0] + 0.8 * z[1])


def test_seedselect_reaches_a_rare_mode_and_narrows_it(g):
    D = rare()
    target, run = D.means[0], seedselect.sampler(D, scaled_linear(20))
    z = torch.randn(60, 2, generator=g, dtype=torch.float64)
    near = lambda x: (x - target).norm(dim=1) < 0.6  # noqa: E731
    assert near(run(z)).double().mean() < 0.15
    long = seedselect.seedselect(run, z, seedselect.appearance(target), iterations=60)
    early = seedselect.seedselect(run, z, seedselect.appearance(target), iterations=60, stop=near)
    x, y = run(long.z), run(early.z)
    assert near(x).double().mean() > 0.8
    assert near(y).double().mean() == pytest.approx(near(x).double().mean().item(), abs=0.1)
    assert x[near(x)].std(0).mean() < 0.7 * y[near(y)].std(0).mean()  # a centroid takes the spread away
    assert early.iterations[near(y)].double().mean() < 40


def test_the_best_seed_is_kept(g):
    """A learning rate that overshoots: the loss of what is returned is the lowest of the run."""
    run = seedselect.sampler(rare(), SIGMAS)
    z = torch.randn(5, 2, generator=g, dtype=torch.float64)
    loss = seedselect.appearance(torch.zeros(2, dtype=torch.float64))
    found = seedselect.seedselect(run, z, loss, iterations=8, lr=3.0)
    torch.testing.assert_close(loss(run(found.z)), found.loss)
    torch.testing.assert_close(found.history.amin(0), found.loss)
    assert found.history.shape == (8, 5)
    assert (found.loss <= loss(run(z))).all()


def test_norm_control_keeps_seeds_on_the_shell(g):
    """A loss that wants longer seeds: without control it gets them."""
    z = torch.randn(4, 256, generator=g, dtype=torch.float64)
    ways = {"none": {}, "chi": {"prior": seeds.chi_nll, "weight": 100.0}, "renormalised": {"renormalise": True}}
    score = {}
    for name, way in ways.items():
        found = seedselect.seedselect(lambda z: z, z, lambda x: -x.flatten(1).square().sum(1), iterations=20, **way)
        score[name] = seeds.chi_score(found.z)
    assert (score["none"] > 20).all()
    assert (score["chi"].abs() < 4).all()
    torch.testing.assert_close(score["renormalised"], seeds.chi_score(z), atol=1e-6, rtol=0)


def test_a_seed_does_not_see_the_batch(g):
    run = seedselect.sampler(rare(), SIGMAS)
    z, loss = torch.randn(3, 2, generator=g, dtype=torch.float64), seedselect.appearance(rare().means[0])
    whole = seedselect.seedselect(run, z, loss, iterations=5).z
    torch.testing.assert_close(seedselect.seedselect(run, z[1:2], loss, iterations=5).z, whole[1:2])


NEAR = lambda x: (x - rare().means[0]).norm(dim=1) < 0.6  # noqa: E731


def test_stopping_sees_the_last_of_the_kept(g):
    """With all weight on the last of three kept steps it is the run that keeps one."""
    z, loss = torch.randn(6, 2, generator=g, dtype=torch.float64), seedselect.appearance(rare().means[0])
    one = seedselect.seedselect(seedselect.sampler(rare(), SIGMAS), z, loss, 25, stop=NEAR)
    run = seedselect.sampler(rare(), SIGMAS, keep=3)
    three = seedselect.seedselect(run, z, seedselect.over_last(loss, (0.0, 0.0, 1.0)), 25, stop=NEAR)
    torch.testing.assert_close(three.z, one.z)
    assert torch.equal(three.iterations, one.iterations)
    assert 0 < (one.iterations < 25).sum() < 6


@pytest.mark.parametrize("chunk", [1, 4, 100])
def test_chunks_give_the_same(g, chunk):
    """Samples, losses and stops, with no more than `chunk` particles in the network."""
    seen, D = [], rare()
    run = seedselect.sampler(lambda x, sigma: (seen.append(len(x)), D(x, sigma))[1], SIGMAS, keep=2)
    z = torch.randn(6, 2, generator=g, dtype=torch.float64)
    loss = seedselect.over_last(seedselect.appearance(D.means[0]), (0.3, 0.7))
    options = {"iterations": 12, "prior": seeds.chi_nll, "stop": NEAR}
    whole = seedselect.seedselect(run, z, loss, **options)
    seen.clear()
    parts = seedselect.seedselect(run, z, loss, **options, chunk=chunk)
    assert max(seen) == min(chunk, 6)
    for ours, theirs in zip(parts, whole):
        torch.testing.assert_close(ours, theirs)


def test_the_scale_changes_no_bit_in_float32_and_networks_get_no_gradient(net, g):
    """Against Adam by hand on the unscaled loss."""
    net = net.float().requires_grad_()
    z, loss = torch.randn(3, 2, generator=g), seedselect.appearance(torch.ones(2))
    own = z.clone().requires_grad_()
    run, adam, totals = seedselect.sampler(net, SIGMAS), torch.optim.Adam([own], lr=0.1), []
    for _ in range(3):
        totals.append(loss(run(own)))
        own.grad = torch.autograd.grad(totals[-1].sum(), own)[0]
        adam.step()
    assert torch.equal(seedselect.seedselect(run, z, loss, 3).history, torch.stack(totals))
    assert all(parameter.grad is None for parameter in net.parameters())


def test_a_rate_for_each_iteration_and_a_decay_are_adam_s_with_seeds_shrunk_before_each_step(net, g):
    """The released recipe in small: rates that fall, and z (1 - lr decay) before Adam moves it."""
    z, loss, rates = torch.randn(3, 2, generator=g), seedselect.appearance(torch.ones(2)), [0.3, 0.3, 0.05, 0.05]
    own, run, totals = z.clone().requires_grad_(), seedselect.sampler(net.float(), SIGMAS), []
    adam = torch.optim.Adam([own])
    for rate in rates:
        totals.append(loss(run(own)))
        own.grad = torch.autograd.grad(totals[-1].sum(), own)[0]
        adam.param_groups[0]["lr"] = rate
        with torch.no_grad():
            own.mul_(1 - 0.4 * rate)
        adam.step()
    found = seedselect.seedselect(run, z, loss, 4, lr=rates, decay=0.4)
    torch.testing.assert_close(found.history, torch.stack(totals))
    for other in ({"lr": 0.3, "decay": 0.4}, {"lr": rates}):
        assert not torch.allclose(seedselect.seedselect(run, z, loss, 4, **other).history, found.history)


def test_a_float16_network_s_gradient_neither_vanishes_nor_overflows():
    """2**-25 inside float16, which rounds it to 0, and 2**10, which overflows at the first scale, side by side."""
    run, factor = lambda z: (z.half() * 2.0**-13).float(), torch.tensor([2.0**-12, 2.0**10])  # noqa: E731
    z = torch.ones(2, 1)
    found = seedselect.seedselect(run, z, lambda x: x[:, 0] * factor, iterations=5)
    torch.testing.assert_close(found.z, torch.full((2, 1), 0.6), atol=0.15, rtol=0)
    alone = seedselect.seedselect(run, z[:1], lambda x: x[:, 0] * factor[:1], iterations=5)
    assert torch.equal(alone.z, found.z[:1])


def test_seeds_and_losses_of_a_half_are_float32(g):
    """Features whose squares float16 cannot hold."""
    z = torch.randn(2, 4, generator=g).half()
    loss = seedselect.semantic(lambda x: 300 * x, torch.zeros(4, dtype=torch.float16))
    found = seedselect.seedselect(lambda z: z.half(), z, loss, iterations=4, lr=0.01)
    assert found.z.dtype == found.loss.dtype == torch.float32
    torch.testing.assert_close(found.history[0], 300 * z.float().norm(dim=1), rtol=1e-2, atol=0)
    assert (found.z != found.z.half().float()).any()


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_the_gradient_of_a_half_points_where_float32_s_does(half):
    """Through four guided steps of the shipped model and its decoder, for the middle one of five seeds.

    Not pooled: seed 0 is forty times as steep as the others, and which way its gradient points in bfloat16 depends on
    how a processor multiplies (rounding the weights alone turns it).
    """
    from course_lib.stable_diffusion import StableDiffusion

    noise, moved = seeds.Noise(range(5), dtype=torch.float32).randn(4, 12, 12), []
    for dtype in (torch.float32, half):
        sd = StableDiffusion.load("tiny", dtype=dtype, device="cpu")
        for part in (sd.pipe.unet, sd.pipe.vae, sd.pipe.text_encoder):
            part.requires_grad_(False)
        levels = sd.levels(4)
        run = seedselect.sampler(sd.prompt("a red circle", w=3), levels, lambda z: sd.start(z, levels))  # noqa: B023
        loss = seedselect.semantic(lambda x: sd.decode(x).mean((2, 3)), torch.ones(3))  # noqa: B023
        _, _, _, slope, _ = _Objective(run, loss, None, 0.0, None)(noise, torch.full((5,), 2.0**16), 0, 0.1)
        moved.append(slope.flatten(1))
    assert torch.cosine_similarity(*moved).median() > 0.99


@pytest.mark.parametrize("kind", ["clip", "colour"])
def test_a_way_back_in_bfloat16_points_where_float32_s_does(kind):
    """Pooled over eight seeds, 12 steps at weight 3, through decoder and encoder, on the prompt where a whole network
    of bfloat16 had .82 by CLIP and -.69 by colour.
    """
    from course_lib.features import load_clip
    from course_lib.stable_diffusion import StableDiffusion

    sd = StableDiffusion.load("tiny", dtype=torch.float32, device="cpu")
    levels = sd.levels(12)
    for part in (sd.pipe.unet, sd.pipe.vae, sd.pipe.text_encoder):
        part.requires_grad_(False)
    if kind == "clip":
        clip = load_clip()
        shown = world.render(world.draw(5, torch.Generator().manual_seed(100), shape="circle", style="outlined"))
        encode, centroid = lambda x: clip(sd.decode(x)), clip(shown).mean(0)
    else:
        encode, centroid = lambda x: sd.decode(x).mean((2, 3)), torch.ones(3)
    noise, found = seeds.Noise(range(8), dtype=torch.float32).randn(*sd.shape), []
    for half in (None, torch.bfloat16):
        run = seedselect.sampler(sd.prompt("a red circle", w=3), levels, lambda z: sd.start(z, levels), half=half)
        objective = _Objective(run, seedselect.semantic(encode, centroid, half=half), None, 0.0, None)
        found.append(objective(noise, torch.full((8,), 2.0**16), 0, 0.1))
    (values, _, _, slope, _), (near, _, _, half_slope, _) = found
    assert torch.equal(values, near)
    assert not torch.equal(slope, half_slope)
    assert torch.cosine_similarity(slope.flatten(), half_slope.flatten(), dim=0) > 0.99


def test_the_way_back_in_a_half_meets_the_same_random_numbers(g):
    """A network with dropout: seen by the gradient is the mask that made the output, and the generator goes on."""
    drop, z = torch.nn.Dropout(0.5), torch.randn(64, 2, generator=g).requires_grad_()
    torch.manual_seed(0)
    out = seedselect.checkpointed(drop, half=torch.bfloat16)(z)
    after = torch.get_rng_state()
    (slope,) = torch.autograd.grad(out.sum(), z)
    assert torch.equal(slope, 2.0 * (out != 0))
    assert torch.equal(after, torch.get_rng_state())


@pytest.mark.parametrize("half", [torch.float64, "bfloat16"])
def test_a_half_is_one(half):
    with pytest.raises(ValueError, match="half must be torch.float16, torch.bfloat16 or None, got (torch.)?b?float"):
        seedselect.checkpointed(lambda x: x, half)


def test_the_encoder_s_graph_is_not_kept_beside_the_sampler_s(net, g):
    """Over three kept steps: what a loss keeps for the backward pass is its input, with the same gradient."""
    xs = torch.randn(3, 16, 2, generator=g, dtype=torch.float64, requires_grad=True)
    encode = lambda x: net(x, 1.0)  # noqa: E731
    plain = lambda x: (encode(x) - MU).square().sum(-1).clamp(min=1e-24).sqrt()  # noqa: E731
    kept, slopes = [], []
    for loss in (seedselect.semantic(encode, MU), plain):
        total = 0

        def pack(tensor):
            nonlocal total
            total += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            value = seedselect.over_last(loss, (0.05, 0.25, 0.7))(xs).sum()
        kept.append(total)
        slopes.append(torch.autograd.grad(value, xs)[0])
    assert torch.equal(*slopes)
    assert kept[0] < 0.05 * kept[1]


def test_the_released_loss_by_hand(g):
    """10 (.05, .25, .7) cosines over the last three and the mean squared error of the last."""
    xs, mu_v, mu_z = torch.randn(3, 2, 2, generator=g), torch.tensor([1.0, 0.0]), torch.tensor([0.5, -1.0])
    cosines = 1 - xs[..., 0] / xs.norm(dim=-1)
    error = (xs[-1] - mu_z).square().mean(-1)
    weighed = torch.einsum("k,kn->n", torch.tensor([0.05, 0.25, 0.7]), cosines)
    torch.testing.assert_close(seedselect.as_released(lambda x: x, mu_v, mu_z)(xs), 10 * weighed + error)
    torch.testing.assert_close(seedselect.as_released(lambda x: x, mu_v, mu_z, lam=0.0)(xs), error)
    one = seedselect.as_released(lambda x: x, mu_v, mu_z, 2.0, (1.0,))(xs[-1:])
    torch.testing.assert_close(one, 2 * cosines[-1] + error)
    with pytest.raises(ValueError, match=r"needs samples of the last steps, sampler\(keep=..\), got \(2, 2\)"):
        seedselect.as_released(lambda x: x, mu_v, mu_z)(xs[0])
    with pytest.raises(ValueError, match="lam must be finite and not negative, got nan"):
        seedselect.as_released(lambda x: x, mu_v, mu_z, lam=math.nan)


def test_best_of_takes_each_particle_its_own():
    candidates = torch.tensor([[[3.0], [1.0]], [[2.0], [5.0]]])
    assert seedselect.best_of(lambda z: z, lambda x: x[:, 0], candidates).tolist() == [[2.0], [1.0]]


Z = torch.zeros(2, 2)


@pytest.mark.parametrize(
    ("made", "error", "sentence"),
    [
        (lambda: seedselect.sampler(None, SIGMAS, keep=0), ValueError, "between 1 and the 12 steps, got 0"),
        (lambda: seedselect.semantic(None, MU, "l1"), ValueError, "euclidean or cosine, got 'l1'"),
        (lambda: seedselect.contrastive(None, V, 2), ValueError, "one of the 2 classes, got 2"),
        (lambda: seedselect.over_last(None, [1.0])(torch.stack([Z, Z])), ValueError, "each of the 2 kept steps, got 1"),
        (lambda: seedselect.bootstrap_centroid(Z, 0, torch.Generator()), ValueError, "at least 1, got 0"),
        (lambda: seeds.combined(Z, torch.zeros(2)), ValueError, "not all 0"),
        (lambda: seedselect.seedselect(None, Z, None, iterations=0), ValueError, "iterations >= 1"),
        (
            lambda: seedselect.seedselect(lambda z: z, Z, lambda x: x.sum(1) * math.nan),
            FloatingPointError,
            r"the loss became \[nan, nan\]; no step has been taken yet",
        ),
        (
            lambda: seedselect.seedselect(lambda z: z, 0 * Z, lambda x: x.sum(1).sqrt()),
            FloatingPointError,
            "the gradient is not finite; no step has been taken yet",
        ),
        (
            lambda: seedselect.seedselect(lambda z: z, Z, lambda x: x.sum(1), prior=lambda z: z.sum(1).log()),
            FloatingPointError,
            "the loss became",
        ),
        (
            lambda: seedselect.seedselect(lambda z: z, Z, lambda x: x.mean()),
            ValueError,
            r"one number for each of the 2 particles, got \(\); losses of several kept steps need over_last",
        ),
        (
            lambda: seedselect.seedselect(lambda z: z, Z, lambda x: x.sum(1), stop=lambda x: True),
            ValueError,
            r"stop must give one answer for each of 2, got \(\)",
        ),
        (lambda: seedselect.seedselect(None, Z.long(), None), ValueError, "real seeds .* of torch.int64"),
        (lambda: seedselect.seedselect(None, Z, None, lr=math.nan), ValueError, "lr > 0, got 30 and nan"),
        (
            lambda: seedselect.seedselect(None, Z, None, 3, lr=[0.1, 0.1]),
            ValueError,
            r"got 3 and \[0.1, 0.1\]; of rates",
        ),
        (lambda: seedselect.seedselect(None, Z, None, 2, lr=[0.1, 0.0]), ValueError, "lr > 0, got 2"),
        (lambda: seedselect.seedselect(None, Z, None, decay=-0.1), ValueError, "decay must be .* got -0.1"),
        (lambda: seedselect.seedselect(None, Z, None, chunk=0), ValueError, "chunk must be at least 1, got 0"),
    ],
)
def test_bad_input_gets_a_sentence(made, error, sentence):
    with pytest.raises(error, match=sentence):
        made()


def test_success_of_best_is_the_mean_over_all_draws(g):
    from itertools import combinations

    loss, hit = torch.randn(7, generator=g), torch.tensor([1, 0, 0, 1, 0, 1, 0]).bool()
    for n in (1, 3, 7):
        draws = [min(some, key=lambda i: loss[i]) for some in combinations(range(7), n)]
        assert seedselect.success_of_best(loss, hit, n) == pytest.approx(hit[draws].double().mean().item())
    with pytest.raises(ValueError, match="needs 1 <= n <= M = 7, got 8"):
        seedselect.success_of_best(loss, hit, 8)
