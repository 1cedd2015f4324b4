"""Flow matching as a denoiser: against closed forms, and against diffusers' own pipeline and scheduler."""

import copy

import pytest
import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler

from course_lib.denoisers import GaussianMixture, IdealDenoiser, MLPDenoiser, cfg, interval, ring
from course_lib.flow_matching import NO_SIGNAL, denoiser_of, flow_levels, flow_weight, level_of, time_of, velocity_of
from course_lib.flow_pipelines import FlowMatching, untrained
from course_lib.guidance import Above, Repulsion, guided, spell, switch
from course_lib.samplers import sample, trajectory
from course_lib.seeds import Noise, chi_nll
from course_lib.seedselect import sampler, seedselect
from course_lib.training import denoising_loss

DOUBLE = torch.float64


def points_velocity(points):
    """E[eps - x0 | x_t] for points (n, d), summed over them in flow matching's own coordinates."""

    def velocity(x_t, t):
        eps = (x_t[:, None] - (1 - t) * points) / t  # (N, n, d), the noise that leads from each point to x_t
        a = (-eps.square().sum(-1) / 2).softmax(1)
        return (a[..., None] * (eps - points)).sum(1)

    return velocity


# the plane


@pytest.mark.parametrize("t", [0.02, 0.3, 0.5, 0.9, 0.999])
def test_the_denoiser_of_an_exact_velocity_is_exact(t, g):
    """Of points, and of a Gaussian, whose mean velocity is a regression on x_t: both in closed form, within 1e-9."""
    points, x = torch.randn(7, 2, generator=g, dtype=DOUBLE), torch.randn(5, 2, generator=g, dtype=DOUBLE)
    sigma = level_of(t)
    x = x * (1 + sigma**2).sqrt()
    torch.testing.assert_close(
        denoiser_of(points_velocity(points))(x, sigma), IdealDenoiser(points)(x, sigma), rtol=0, atol=1e-9
    )
    mu, s = torch.tensor([[0.4, -1.0]], dtype=DOUBLE), 0.7

    def gaussian(x_t, t):  # cov(eps - x0, x_t) / var(x_t) (x_t - mean) + mean
        return (t - (1 - t) * s**2) / (t**2 + (1 - t) ** 2 * s**2) * (x_t - (1 - t) * mu) - mu

    torch.testing.assert_close(denoiser_of(gaussian)(x, sigma), GaussianMixture(mu, s)(x, sigma), rtol=0, atol=1e-9)


@pytest.mark.parametrize("t", [0.1, 0.5, torch.tensor([[0.05], [0.2], [0.5], [0.7], [0.95]])])
def test_velocity_and_denoiser_are_inverse(t, g):
    x_t, D = torch.randn(5, 2, generator=g, dtype=DOUBLE), ring(7)
    t = torch.as_tensor(t, dtype=DOUBLE)
    v = velocity_of(D)(x_t, t)
    torch.testing.assert_close(v, velocity_of(denoiser_of(lambda *_: v))(x_t, t), rtol=0, atol=1e-9)
    torch.testing.assert_close(denoiser_of(velocity_of(D))(x_t / (1 - t), t / (1 - t)), D(x_t / (1 - t), t / (1 - t)))


def test_times_and_levels_are_inverse_and_have_ends():
    t = torch.linspace(0, 0.99, 50, dtype=DOUBLE)
    torch.testing.assert_close(time_of(level_of(t)), t, rtol=0, atol=1e-12)
    assert level_of(torch.tensor([0.0, 0.5, 1.0])).tolist() == [0, 1, NO_SIGNAL]
    assert level_of(t.float()).dtype == DOUBLE
    third = torch.tensor(1 / 3, dtype=DOUBLE)
    rounded = third / (1 + (third - 1))  # 1 by the formula of the shift, a little more in the machine
    assert rounded > 1
    assert level_of(rounded) == NO_SIGNAL


def test_an_euler_step_in_time_is_a_ddim_step(g):
    """Eight steps of x_t + (t' - t) v end where `sample` ends, within 1e-8: one run, seen at a scale."""
    D, levels = ring(10), flow_levels(8, 2.0)
    v, times = velocity_of(D), time_of(levels)
    eps = torch.randn(6, 2, generator=g, dtype=DOUBLE)
    x_t = times[0] * eps
    for t, t_next in zip(times[:-1], times[1:]):
        x_t = x_t + (t_next - t) * v(x_t, t)
    torch.testing.assert_close(x_t, sample(D, levels[0] * eps, levels), rtol=0, atol=1e-8)
    assert (x_t - eps).norm(dim=1).max() > 1  # it was a run


def test_the_loss_of_the_velocity_is_a_weighted_denoising_loss(g):
    torch.manual_seed(0)
    D = MLPDenoiser().double()
    x0, eps = torch.randn(2, 9, 2, generator=g, dtype=DOUBLE)
    t = torch.rand(9, 1, generator=g, dtype=DOUBLE) * 0.9 + 0.05
    flow = (velocity_of(D)((1 - t) * x0 + t * eps, t) - (eps - x0)).square().mean()
    torch.testing.assert_close(denoising_loss(D, x0, level_of(t), eps, weight=flow_weight), flow)


@pytest.mark.parametrize("shift", [0.5, 1.0, 3.0])
def test_the_shift_of_the_time_is_a_factor_of_the_level(shift):
    """Against the formula for the time, (18.6), of Esser et al.; the first level is the same for all."""
    levels, t = flow_levels(10, shift), 1 - torch.arange(1, 10, dtype=DOUBLE) / 10
    torch.testing.assert_close(time_of(levels[1:-1]), shift * t / (1 + (shift - 1) * t))
    assert levels[[0, -1]].tolist() == [NO_SIGNAL, 0]
    assert len(levels) == 11


def test_the_scheduler_of_diffusers_has_these_levels():
    """Given the times themselves, its shifted sigmas are our times."""
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    scheduler.set_timesteps(sigmas=[1 - i / 10 for i in range(10)])
    torch.testing.assert_close(time_of(flow_levels(10, 3.0)).float(), scheduler.sigmas, rtol=0, atol=1e-6)


# a pipeline


@pytest.fixture(scope="module")
def flow():
    return FlowMatching(untrained())


def noise_of(flow, N=2):
    return Noise(range(N), dtype=torch.float32).randn(*flow.shape)


def with_scheduler(flow, **config):
    pipe = copy.copy(flow.pipe)
    pipe.scheduler = FlowMatchEulerDiscreteScheduler(**config)
    return FlowMatching(pipe)


SCHEDULES = {
    "shift 1": {},
    "shift 3": {"shift": 3.0},
    "by size": {"use_dynamic_shifting": True, "base_image_seq_len": 4, "max_image_seq_len": 64},
    "karras": {"use_karras_sigmas": True},
}


@torch.no_grad()
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 10])
def test_latents_are_those_of_diffusers_after_every_step(flow, schedule, steps):
    """At guidance 7 with a negative prompt, within 1e-4 over all steps; the pipeline's own schedule, whatever it is."""
    flow, theirs = with_scheduler(flow, **SCHEDULES[schedule]), []

    def keep(pipe, i, t, tensors):
        theirs.append(tensors["latents"].clone())
        return {}

    noise = noise_of(flow)
    flow.pipe(
        ["a cat"] * 2, negative_prompt=["red"] * 2, num_inference_steps=steps, guidance_scale=7.0, latents=noise,
        output_type="latent", callback_on_step_end=keep,
    )  # fmt: skip
    sigmas = flow.levels(steps)
    ours = trajectory(flow.prompt("a cat", "red"), flow.start(noise, sigmas), sigmas)
    states = [state.x / (1 + state.sigma) for state in ours]
    assert len(states) == len(theirs) == steps
    torch.testing.assert_close(torch.stack(states), torch.stack(theirs), rtol=0, atol=1e-4)
    assert (theirs[-1] - noise).abs().max() > 0.5


@torch.no_grad()
def test_pictures_are_those_of_diffusers(flow):
    """From the seeds: its generator, its noise, its schedule, its autoencoder with shift and scale, within 1e-3."""
    generators = [torch.Generator().manual_seed(i) for i in (3, 5)]
    theirs = flow.pipe(["a cat"] * 2, num_inference_steps=4, generator=generators, output_type="pt").images
    ours = flow.generate(["a cat"] * 2, [3, 5], steps=4)
    torch.testing.assert_close(ours / 2 + 0.5, theirs, rtol=0, atol=1e-3)
    assert theirs.std() > 0.01
    torch.testing.assert_close(flow.generate("a cat", [5], steps=4), ours[1:], rtol=0, atol=1e-4)


@torch.no_grad()
def test_a_prompt_is_cfg_of_two_prompts_and_w_1_is_one_call(flow, monkeypatch):
    sizes, forward = [], flow.pipe.transformer.forward

    def counted(x, *rest, **more):
        sizes.append(len(x))
        return forward(x, *rest, **more)

    monkeypatch.setattr(flow.pipe.transformer, "forward", counted)
    sigma = torch.tensor(1.5)
    x = noise_of(flow) * (1 + sigma**2).sqrt()
    one = flow.prompt("a cat", "red", 7.0)(x, sigma)
    assert sizes == [4]
    two = cfg(flow.prompt("a cat", w=1.0), flow.prompt("red", w=1.0), 7.0)(x, sigma)
    assert sizes == [4, 2, 2]
    torch.testing.assert_close(one, two, rtol=0, atol=1e-4)
    assert (flow.prompt("a cat")(x, sigma) - one).abs().max() > 1e-3  # the negative prompt matters
    sizes.clear()
    flow.prompt("a cat", w=interval(7.0, 0.0, 1.0), chunk=1)(x, sigma)
    assert sizes == [1, 1]
    torch.testing.assert_close(flow.prompt("a cat", "red", chunk=1)(x, sigma), one, rtol=0, atol=1e-5)


@torch.no_grad()
def test_one_level_a_particle_and_one_prompt_each(flow):
    """As training needs it: particle i at its level and prompt is that particle alone."""
    x, levels, texts = noise_of(flow, 3), torch.tensor([0.3, 1.0, 6.0]), ["a", "a cat", "red"]
    many = flow.prompt(texts, w=1.0)(x, levels.reshape(3, 1, 1, 1))
    guided = flow.prompt(texts, w=4.0)(x, levels.reshape(3, 1, 1, 1))
    for i, text in enumerate(texts):
        for w, found in ((1.0, many), (4.0, guided)):
            alone = flow.prompt(text, w=w)(x[i : i + 1], levels[i])
            torch.testing.assert_close(found[i : i + 1], alone, rtol=0, atol=1e-4)


def test_the_library_s_methods_run_unchanged(flow):
    """Repulsion and SPELL spread the latents, and SeedSelect lowers a loss through all steps of the sampler."""
    sigmas, D = flow.levels(6), flow.prompt("a cat", w=1.0)
    start = flow.start(noise_of(flow, 4), sigmas)
    plain = sample(D, start, sigmas)
    apart = lambda x: torch.pdist(x.flatten(1)).mean()  # noqa: E731
    torch.testing.assert_close(sample(guided(D, Repulsion(0.0)), start, sigmas), plain)
    methods = (
        switch(1e3, D, guided(D, Above(0.5, Repulsion(1.0)), relative=0.3)),  # off the level of noise alone
        guided(D, Repulsion(200.0, on="x0")),
        spell(D, 1.5 * float(apart(plain))),
    )
    for method in methods:
        assert 1.1 * apart(plain) < apart(sample(method, start, sigmas)) < 3 * apart(plain)
    run, target = sampler(D, sigmas, start=lambda z: flow.start(z, sigmas)), plain[:1].detach() + 0.3
    distance = lambda x: (x - target).square().flatten(1).mean(1)  # noqa: E731
    found = seedselect(run, noise_of(flow, 2), distance, iterations=8, lr=0.05, prior=chi_nll, weight=0.001)
    assert (distance(run(found.z)) < 0.8 * distance(run(noise_of(flow, 2)))).all()


@torch.no_grad()
def test_encoding_undoes_the_scale_and_the_shift(flow):
    """Latents of the autoencoder's own mean, shifted and scaled as diffusers does before it decodes."""
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    mean = flow.pipe.vae.encode(images).latent_dist.mean
    torch.testing.assert_close(flow.encode(images, 1), (mean - 0.1) * 1.5, rtol=0, atol=1e-5)
    torch.testing.assert_close(flow.decode(flow.encode(images)), flow.pipe.vae.decode(mean).sample, rtol=0, atol=1e-5)


def test_the_pipeline_with_random_weights_is_the_same_each_time_and_leaves_the_generator():
    before = torch.random.get_rng_state()
    one, same, other = (next(untrained(seed).transformer.parameters()) for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert untrained(shift=2.0).scheduler.shift == 2.0


def test_the_levels_are_a_copy(flow):
    """A run of the pipeline does not change them, nor they the pipeline's."""
    flow = with_scheduler(flow, shift=3.0)
    flow.pipe.scheduler.set_timesteps(7)
    levels = flow.levels(5)
    assert len(flow.pipe.scheduler.timesteps) == 7
    assert torch.equal(flow.levels(5), levels)
    assert str(flow) == "pipeline on cpu in float32"


# bad input, one sentence each


def spoilt(flow, **parts):
    pipe = copy.copy(flow.pipe)
    for name, value in parts.items():
        setattr(pipe, name, value)
    return pipe


WRONG = {
    "a diffusion's scheduler": lambda f: FlowMatching(spoilt(f, scheduler=DDIMScheduler())),
    "data to noise": lambda f: with_scheduler(f, invert_sigmas=True),
    "no transformer": lambda f: FlowMatching(spoilt(f, transformer=None)),
    "no pipeline": lambda f: FlowMatching("sd3"),
    "no steps": lambda f: f.levels(0),
    "half a step": lambda f: f.levels(2.5),
    "no text": lambda f: f.embed([]),
    "a number": lambda f: f.embed(3),
    "one embedding": lambda f: f.prompt((torch.zeros(1, 4, 32),)),
    "a narrow embedding": lambda f: f.prompt((torch.zeros(1, 4, 31), torch.zeros(1, 32))),
    "a narrow pooled one": lambda f: f.prompt((torch.zeros(1, 4, 32), torch.zeros(1, 31))),
    "three prompts for two": lambda f: f.prompt(["a"] * 3)(noise_of(f), torch.tensor(1.0)),
    "channels": lambda f: f.prompt("a")(torch.zeros(2, 3, 8, 8), torch.tensor(1.0)),
    "a level below 0": lambda f: f.prompt("a")(noise_of(f), torch.tensor(-1.0)),
    "levels for others": lambda f: f.prompt("a")(noise_of(f), torch.ones(3, 1, 1, 1)),
    "seeds and noise": lambda f: f.generate("a", [1, 2, 3], noise_of(f)),
    "a text weight": lambda f: f.prompt("a", w="7"),
    "times beyond 1": lambda f: level_of(torch.tensor([0.5, 1.5])),
    "levels below 0": lambda f: time_of(-0.5),
    "no shift": lambda f: flow_levels(4, 0.0),
    "no time": lambda f: velocity_of(ring())(torch.zeros(2, 2, dtype=DOUBLE), 0.0),
    "no noise": lambda f: flow_weight(torch.tensor([0.0, 1.0])),
}


@pytest.mark.parametrize("case", WRONG)
def test_bad_input_gets_one_sentence(flow, case):
    with pytest.raises(ValueError) as caught:
        WRONG[case](flow)
    text = str(caught.value)
    assert text.endswith(".")
    assert "\n" not in text
    assert text.split(":")[0].split(".")[-1] in (
        "FlowMatching", "levels", "embed", "prompt", "denoiser_of", "generate", "level_of", "time_of", "flow_levels",
        "velocity_of", "flow_weight", "FlowMatching.levels", "FlowMatching.prompt",
    ), text  # fmt: skip
