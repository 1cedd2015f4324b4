"""The challenge's numbers: what they are in closed form, and that no entry that games stands above an honest one."""

import math

import pytest
import torch

from course_lib import challenge, world
from course_lib.challenge import Budget, Frame, Judge, Judged, Overspent, rounds, scores, spread, stands_above, volume
from course_lib.challenge.judging import FAR, renderings
from course_lib.stable_diffusion import StableDiffusion
from course_lib.tools.challenge.entries import loaded, shipped

LEVELS, SIZE, GROUPS = 6, 4, 8  # small, so that every game is really played
GAMES = ("duplicates", "one_picture", "noise", "atoms", "unprompted", "mixture")


@pytest.fixture(scope="module", autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def sd():
    return StableDiffusion.load("tiny", device="cpu")


@pytest.fixture(scope="module")
def judge():
    return Judge()


@pytest.fixture(scope="module")
def small(sd):
    return rounds(GROUPS, torch.Generator().manual_seed(5), sd.levels(LEVELS), size=SIZE)


@pytest.fixture(scope="module")
def play(sd, judge, small):
    """Scores (groups, 1, 3) of a function that makes the latents of a round."""

    def of(made):
        def one(g):
            torch.manual_seed(g)
            return scores(judge(small[g].pictures(sd, made(small[g])), small[g].prompt), small[g].prompt)

        return torch.stack([one(g) for g in range(GROUPS)])[:, None]

    return of


@pytest.fixture(scope="module")
def independent(sd, play):
    return play(lambda one: one.play(loaded(shipped()["independent"]), sd, 0.5))


def test_independent_pictures_are_what_they_should_be(independent):
    """Else nothing below says anything: nearly all fit, nearly all are clean, and they differ."""
    spread_, fit, quality = independent.mean((0, 1)).tolist()
    assert fit > 0.8
    assert quality > 0.7
    assert spread_ > 0.5


@pytest.mark.parametrize("name", GAMES)
def test_an_entry_that_games_does_not_stand_above(name, sd, play, independent):
    """Played on tiny; it has not even a larger volume."""
    game = play(lambda one: one.play(loaded(shipped()[name]), sd, 0.5))
    compared = stands_above(game, independent)
    assert not compared.above
    assert compared.gain.mean < 0


def remembered(sd, one) -> torch.Tensor:
    """Latents of renderings of just what the prompt asks for, each of another style and place: better than honest."""
    due, g = world.named(one.prompt), torch.Generator().manual_seed(1)
    parts = []
    for i in range(SIZE):
        x, y = (0.2 + 0.3 * (i % 3), 0.25 + 0.5 * (i // 2))
        free = {"colour": i} if "style" in due else {"style": i % 4}
        parts.append(world.draw(1, g, **due, **free, x=x, y=y))
    return sd.encode(world.render(world.Factors.cat(parts)))


def test_remembered_pictures_are_worth_nothing_in_another_frame(sd, play, independent, judge, small):
    """Even of the right prompt, which an entry is not told. In the model's own frame they would win."""
    scale = float((1 + small[0].levels[-1] ** 2).sqrt())
    stored = play(lambda one: scale * remembered(sd, one))
    assert stands_above(stored, independent).gain.mean < -0.2
    known = play(lambda one: one.frame.into(scale * remembered(sd, one)))
    assert stands_above(known, independent).above  # so that it is the frame that keeps them out


def attacked(sd, judge, one, honest) -> torch.Tensor:
    """Latents of one picture, changed so that both networks read another style in each copy: it knows all it must not.

    Twelve steps along the sign of the gradient, at most .6 a number.
    """
    copies = one.frame.back(honest[:1].repeat(SIZE, 1, 1, 1))
    due = torch.arange(SIZE) % 4
    z = copies.clone()
    for _ in range(12):
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            images = sd.decode(z)
            logits = [oracle.network(images)[2] for oracle in (judge.first, judge.second)]
            loss = sum(torch.nn.functional.cross_entropy(each, due) for each in logits)
            (slope,) = torch.autograd.grad(loss, z)
        z = copies + (z.detach() - 0.1 * slope.sign() - copies).clamp(-0.6, 0.6)
    return one.frame.into(z)


def test_noise_against_the_judges_networks_deceives_them_and_not_the_renderer(sd, play, judge, small, independent):
    """Both networks read several styles in copies of one picture; the nearest rendering has the true one."""
    method = loaded(shipped()["duplicates"])
    deceived = []

    def made(one):
        z = attacked(sd, judge, one, one.play(method, sd, 0.0))
        read = [len(oracle(one.pictures(sd, z)).style.unique()) for oracle in (judge.first, judge.second)]
        deceived.append(min(read))
        return z

    compared = stands_above(play(made), independent)
    assert sum(deceived) / len(deceived) > 2  # the attack works on what it attacks
    assert not compared.above
    assert compared.gain.mean < 0


def test_a_method_that_is_better_stands_above():
    """The rule can say yes: volume larger by more than its error, nothing paid."""
    g = torch.Generator().manual_seed(0)
    base = 0.6 + 0.05 * torch.rand(10, 3, 3, generator=g, dtype=torch.float64)
    better = base + torch.tensor([0.1, 0.0, 0.0]) * (1 + 0.2 * torch.rand(10, 3, 3, generator=g))
    assert stands_above(better, base).above
    assert not stands_above(base, better).above
    paid = better - torch.tensor([0.0, 0.0, 0.05])
    assert stands_above(paid, base).larger
    assert not stands_above(paid, base).above
    assert not stands_above(better - torch.tensor([0.0, 0.03, 0.0]), base).above
    assert not stands_above(base.clone(), base).above


def test_the_volume_is_the_area_of_the_stairs():
    points = torch.tensor([[0.5, 0.9], [0.8, 0.6], [0.4, 0.5], [0.8, 0.6]])
    assert volume(points) == pytest.approx(0.8 * 0.6 + 0.5 * 0.3)
    grid = (torch.rand(200_000, 2, generator=torch.Generator().manual_seed(1))[:, None] <= points).all(-1).any(1)
    assert volume(points) == pytest.approx(grid.double().mean().item(), abs=0.005)
    assert volume(points[:1]) == pytest.approx(0.45)
    with pytest.raises(ValueError, match="shares"):
        volume(torch.tensor([[0.5, 1.2]]))


def test_pseudovalues_of_a_mean_are_the_groups_themselves():
    x = torch.rand(9, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    torch.testing.assert_close(challenge.pseudovalues(x, lambda m: float(m.sum())), x.sum(1))


def test_limits_are_students():
    values = torch.tensor([1.0, 2.0, 3.0, 4.0])
    estimate, low, high = challenge.limits(values, 0.975)
    assert estimate.mean == 2.5
    assert high - 2.5 == pytest.approx(3.1824 * math.sqrt(5 / 3) / 2, rel=1e-4)
    assert low + high == pytest.approx(5.0)


def test_the_verdict_errs_in_one_case_of_a_hundred():
    """Two entries that are equally good: over 1000 draws of ten groups at most 2 % are said to stand above."""
    g = torch.Generator().manual_seed(3)
    pairs = (torch.rand(1000, 2, 10, 3, 3, generator=g, dtype=torch.float64) * 0.3 + 0.5).unbind(0)
    assert sum(stands_above(a, b).larger for a, b in pairs) <= 20


def test_spread_counts_open_factors_of_good_pictures():
    good = torch.tensor([True, True, True, False])
    kinds = {
        "shape": torch.tensor([0, 0, 0, 1]),
        "colour": torch.tensor([3, 3, 3, 4]),
        "style": torch.tensor([0, 1, 1, 2]),
        "place": torch.tensor([4, 5, 6, 7]),
    }
    seen = Judged(good, torch.ones(4, dtype=torch.bool), kinds)
    prompt = world.phrase("circle", "blue")
    assert spread(seen, prompt) == pytest.approx((2 / 4 + 3 / 4) / 2)
    assert spread(seen._replace(clean=torch.zeros(4, dtype=torch.bool)), prompt) == 0
    assert scores(seen, prompt)[1] == 0.75


def test_the_nearest_rendering_is_exact_on_renderings():
    """Drawn by the renderer: distance nearly nothing in the true style, and the centre back; noise is far from all."""
    factors = world.draw(24, torch.Generator().manual_seed(4))
    images = world.render(factors)
    distance, x, y = renderings(images, Judge().first(images).cpu())
    best, style = distance.min(0)
    assert (style == factors.style).double().mean() >= 22 / 24
    assert best.median() < 0.05
    right = style == factors.style
    assert (x.gather(0, style[None])[0] - factors.x)[right].abs().median() < 0.01
    noise = torch.rand(8, 3, 48, 48, generator=torch.Generator().manual_seed(5)) * 2 - 1
    assert renderings(noise, Judge().first(noise).cpu())[0].min() > FAR


def test_calls_are_counted_by_rows_and_ways_back():
    budget = Budget(20)
    D = budget.counted(lambda x, sigma: 2 * x)
    x = torch.zeros(4, 2)
    D(x, 1.0)
    assert budget.spent == 4
    with torch.enable_grad():
        D(x.clone().requires_grad_(), 1.0).sum().backward()
    assert budget.spent == 4 + 4 + 8
    D(x, 1.0)
    with pytest.raises(Overspent, match="20 calls is spent: 20 were made, 1 more"):
        D(x[:1], 1.0)
    assert budget.spent == 20


def test_a_frame_turns_there_and_back_and_keeps_distances():
    for seed in range(8):
        frame = challenge.hidden_frame(torch.Generator().manual_seed(seed))
        z = torch.randn(5, 4, 12, 12, generator=torch.Generator().manual_seed(9))
        torch.testing.assert_close(frame.back(frame.into(z)), z, atol=1e-5, rtol=0)
        torch.testing.assert_close(torch.cdist(frame.into(z).flatten(1), frame.into(z).flatten(1)),
                                   torch.cdist(z.flatten(1), z.flatten(1)), atol=1e-2, rtol=0)  # fmt: skip
        assert not torch.allclose(frame.into(z), z, atol=0.1)
    plain = Frame(torch.eye(4))
    assert torch.equal(plain.into(z), z)


def test_a_round_is_the_same_pictures_in_every_frame(sd, small):
    """Sampling in a frame and looking outside of it gives what sampling outside gives."""
    from dataclasses import replace

    method, one = loaded(shipped()["independent"]), small[0]
    other = replace(one, frame=Frame(torch.eye(4)), x=one.frame.back(one.x))
    there, here = one.pictures(sd, one.play(method, sd, 0.0)), other.pictures(sd, other.play(method, sd, 0.0))
    torch.testing.assert_close(there, here, atol=2e-3, rtol=0)


def test_prompts_and_starts_come_from_the_generator_alone(sd):
    a, b, c = (rounds(3, torch.Generator().manual_seed(seed), sd.levels(4)) for seed in (1, 1, 2))
    assert [one.prompt for one in a] == [one.prompt for one in b] != [one.prompt for one in c]
    assert torch.equal(a[2].x, b[2].x)
    assert len(set(challenge.hidden_prompts(60, torch.Generator()))) == 60
    with pytest.raises(ValueError, match="from 1 to 60"):
        challenge.hidden_prompts(61, torch.Generator())


def test_what_is_no_set_of_latents_is_said(sd, small):
    one = small[0]
    for answer, said in ((one.x[:1], "shape"), (one.x * math.nan, "finite"), (None, "NoneType")):
        with pytest.raises(ValueError, match=said):
            one.play(lambda *given, a=answer: a, sd, 0.0)
    with pytest.raises(Overspent):
        one.play(lambda D, U, x, levels, s: D(x.repeat(100, 1, 1, 1), levels[0]), sd, 0.0)
    with pytest.raises(ValueError, match="must be latents"):
        one.play(lambda D, U, x, levels, s: D(x[:, :, :4], levels[0]), sd, 0.0)


@pytest.mark.parametrize("name", [name for name in shipped() if name not in GAMES])
def test_the_baselines_keep_the_budget(name, sd, small):
    """Ten levels with guidance, or fewer."""
    levels = sd.levels(challenge.STEPS)
    one = rounds(1, torch.Generator().manual_seed(8), levels, size=2)[0]
    made = one.play(loaded(shipped()[name]), sd, 0.0)
    assert made.std() > 0.3
