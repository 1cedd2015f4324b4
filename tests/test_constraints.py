"""Constrained steps: closed forms of one step, and what each does to an exact circle."""

import pytest
import torch

from course_lib.constraints import cfgpp_weight, dps, edited, mcg, mpgd, mpgd_latent, replaced, tangent
from course_lib.denoisers import GaussianMixture, cfg, jacobian
from course_lib.manifolds import Circle, Sphere
from course_lib.samplers import ddim, ddpm, geometric, sample, scaled_linear

HIGH, LOW = torch.tensor(1.0, dtype=torch.float64), torch.tensor(0.5, dtype=torch.float64)
CIRCLE = Circle(d=3)


def reward(x0):
    """Lower is better without bound: go right."""
    return -x0[:, 0]


def start(n, d, g, level=14.0):
    return level * torch.randn(n, d, generator=g, dtype=torch.float64)


def test_cfgpp_weight_is_the_published_step(g):
    """x0 from D_u + lam (D_c - D_u), noise from D_u: the same particle as guidance with the weight, on ddim."""
    sigmas, lam = scaled_linear(20), 0.6
    conditional, unconditional = Circle(0.0, 2.0), Circle()
    x = start(5, 2, g)
    ours = cfg(conditional, unconditional, cfgpp_weight(lam, sigmas))
    for sigma, after in zip(sigmas[:-1], sigmas[1:]):
        x0_u, x0_c = unconditional(x, sigma), conditional(x, sigma)
        published = x0_u + lam * (x0_c - x0_u) + after / sigma * (x - x0_u)
        torch.testing.assert_close(ddim(x, ours(x, sigma), sigma, after), published, atol=1e-9, rtol=0)
        x = published


def test_cfgpp_weight_grows_with_the_number_of_steps():
    """Its strength belongs to a schedule: mean w / lam at 10, 20 and 50 steps."""
    means = []
    for steps in (10, 20, 50):
        levels = scaled_linear(steps)
        weight = cfgpp_weight(0.5, levels)
        means.append(sum(weight(sigma) for sigma in levels[:-1]) / 0.5 / steps)
    assert means[0] < means[1] < means[2]
    assert means[2] == pytest.approx(12.4, abs=1.5)


def test_mpgd_moves_x0_and_keeps_the_noise():
    """For ddim: x0 - scale grad + sigma_next / sigma (x - x0)."""
    x, x0 = torch.tensor([[2.0, 1.0]]).double(), torch.tensor([[1.0, 0.0]]).double()
    moved = mpgd(ddim, lambda z: z.square().sum(1), 0.1)(x, x0, HIGH, LOW)
    torch.testing.assert_close(moved, x0 - 0.2 * x0 + 0.5 * (x - x0))
    by_level = mpgd(ddim, lambda z: z.square().sum(1), lambda sigma: 0.1 * float(sigma))
    torch.testing.assert_close(by_level(x, x0, LOW, LOW / 2), x0 - 0.1 * x0 + 0.5 * (x - x0))


def test_mpgd_leaves_the_circle_by_its_step_and_the_others_do_not(g):
    """Levels that end at 0, so that the last step ends at x0: off by the scale; along or projected, by nothing."""
    sigmas, x = geometric(10.0, 0.02, 40), start(100, 3, g, 10.0)
    ends = {
        "free": sample(CIRCLE, x, sigmas, step=mpgd(ddim, reward, 0.3)),
        "tangent": sample(CIRCLE, x, sigmas, step=mpgd(ddim, reward, 0.3, along=tangent(CIRCLE, 1))),
        "projected": sample(CIRCLE, x, sigmas, step=mpgd(ddim, reward, 0.3, project=CIRCLE.project)),
        "dps": sample(CIRCLE, x, sigmas, step=dps(ddim, CIRCLE, reward, 0.3)),
    }
    distance = {name: CIRCLE.distance(end).mean().item() for name, end in ends.items()}
    assert distance["free"] == pytest.approx(0.3, abs=0.01)
    assert max(distance["tangent"], distance["dps"]) < 0.05
    assert distance["projected"] < 0.01
    assert ends["free"][:, 0].mean() > ends["tangent"][:, 0].mean() + 0.2  # a reward that is won off the manifold


def test_tangent_keeps_what_lies_along_the_circle(g):
    x = CIRCLE.sample(10, g)
    along = torch.stack([-x[:, 1], x[:, 0], torch.zeros(10)], 1)
    project = tangent(CIRCLE, 1)
    torch.testing.assert_close(project(along, x, 0.05), along, atol=1e-6, rtol=0)
    assert project(x, x, 0.05).abs().max() < 1e-6
    torch.testing.assert_close(tangent(CIRCLE, 3)(x, x, 0.05), x)


def test_dps_pushes_by_the_jacobian(g):
    """grad_x L(D(x)) = J' grad L, here for a linear loss."""
    law = GaussianMixture(torch.randn(4, 3, generator=g, dtype=torch.float64), 0.3)
    x = torch.randn(5, 3, generator=g, dtype=torch.float64)
    x0, a = law(x, HIGH), torch.tensor([1.0, -2.0, 0.5]).double()
    moved = dps(ddim, law, lambda z: z @ a, 0.7)(x, x0, HIGH, LOW)
    push = (jacobian(law, x, HIGH).mT @ a[:, None])[..., 0]
    torch.testing.assert_close(moved, ddim(x, x0, HIGH, LOW) - 0.7 * push)


def test_mpgd_latent_keeps_what_the_autoencoder_cannot_say():
    """An autoencoder of the first coordinate: the second stays, the first moves down the loss."""
    x0 = torch.tensor([[1.0, 0.4]], dtype=torch.float64)
    step = mpgd_latent(ddim, lambda x: x.square().sum(1), 0.25, lambda x: x[:, :1], lambda z: torch.cat([z, 0 * z], 1))
    torch.testing.assert_close(step(x0, x0, HIGH, LOW), torch.tensor([[0.5, 0.4]]).double())


def test_replaced_imposes_the_known_coordinates_at_the_next_level():
    mask, y = torch.tensor([True, False]), torch.tensor([5.0, 9.0]).double()
    x = torch.tensor([[1.0, 1.0]], dtype=torch.float64)
    new = replaced(ddim, y, mask)(x, x, HIGH, LOW, torch.ones_like)
    assert new.tolist() == [[5.5, 1.0]]
    assert replaced(ddim, y, mask)(x, x, HIGH, 0 * LOW, torch.ones_like).tolist() == [[5.0, 1.0]]


def test_mcg_ends_nearer_the_sphere_than_replacement(g):
    """A point of the sphere with one known coordinate: at least three times nearer, and the coordinate exact."""
    sphere, mask = Sphere(2), torch.tensor([True, False, False])
    y = torch.tensor([0.6, 0.0, 0.0], dtype=torch.float64)
    sigmas, x = geometric(10.0, 0.02, 50), start(300, 3, g, 10.0)
    normal = lambda like: torch.randn(like.shape, generator=g, dtype=like.dtype)  # noqa: E731
    plain = sample(sphere, x, sigmas, step=replaced(ddpm, y, mask), randn_like=normal)
    guided = sample(sphere, x, sigmas, step=mcg(sphere, y, mask), randn_like=normal)
    assert guided[:, 0].sub(0.6).abs().max() < 1e-12
    assert sphere.distance(guided).mean() < sphere.distance(plain).mean() / 3


def test_mcg_pushes_unknown_coordinates_only(g):
    law = GaussianMixture(torch.randn(4, 3, generator=g, dtype=torch.float64), 0.3)
    mask, y = torch.tensor([True, False, False]), torch.zeros(3, dtype=torch.float64)
    x = torch.randn(2, 3, generator=g, dtype=torch.float64)
    x0 = law(x, HIGH)
    new = mcg(law, y, mask, scale=0.5, step=ddim)(x, x0, HIGH, LOW, torch.zeros_like)
    push = 2 * x0[:, :1] * jacobian(law, x, HIGH)[:, 0]  # of the squared first coordinate of D
    expected = ddim(x, x0, HIGH, LOW) - 0.5 * push
    torch.testing.assert_close(new[:, 1:], expected[:, 1:])
    assert new[:, 0].abs().max() == 0


def test_a_particle_does_not_see_the_batch(g):
    """A loss summed over the batch would be the same; one averaged would shrink every step."""
    x = torch.randn(4, 3, generator=g, dtype=torch.float64)
    step = dps(ddim, CIRCLE, lambda z: z.square().sum(1), 0.2)
    whole = step(x, CIRCLE(x, HIGH), HIGH, LOW)
    torch.testing.assert_close(step(x[:1], CIRCLE(x[:1], HIGH), HIGH, LOW), whole[:1])


X = torch.zeros(2, 2, dtype=torch.float64)


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (lambda: cfgpp_weight(1.5, scaled_linear(5)), "between 0 and 1, got 1.5"),
        (lambda: cfgpp_weight(0.5, scaled_linear(5))(torch.tensor(3.21)), "none of its levels"),
        (lambda: mpgd(ddim, lambda z: z.sum(), 0.1)(X, X, HIGH, LOW), r"one number per particle \(2,\)"),
        (lambda: tangent(Circle(), 3)(X, X + 1, HIGH), "between 1 and d = 2, got 3"),
    ],
)
def test_bad_input_gets_a_sentence(made, sentence):
    with pytest.raises(ValueError, match=sentence):
        made()


def test_an_edited_picture_keeps_what_is_known_and_fits_the_rest():
    """On the circle, x_1 = .6 is kept to the last bit, and x_2 ends at one of the two points that fit."""
    y, mask = torch.tensor([0.6, 9.0]).double(), torch.tensor([True, False])
    start = 5 * torch.randn(400, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = sample(edited(Circle(), y, mask), start, geometric(5.0, 0.01, 100))
    assert torch.equal(x[:, 0], torch.full((400,), 0.6).double())
    assert (x[:, 1].abs() - 0.8).abs().mean() < 0.1
    assert 0.3 < (x[:, 1] > 0).double().mean() < 0.7
    free = sample(Circle(), start, geometric(5.0, 0.01, 100))
    assert (free[:, 0] - 0.6).abs().mean() > 0.3


def test_editing_needs_a_mask_of_true_and_false():
    with pytest.raises(ValueError, match="edited: mask must be a tensor of true and false"):
        edited(Circle(), torch.zeros(2), torch.ones(2))
