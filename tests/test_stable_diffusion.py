"""Stable Diffusion as a denoiser: against diffusers' own pipeline, for both prediction types."""

import copy
from types import SimpleNamespace

import pytest
import torch

from course_lib.denoisers import cfg, interval
from course_lib.guidance import Groups, Repulsion, cads, guided
from course_lib.models import MODELS, TINY, quiet
from course_lib.samplers import ddim, ddpm, first_half, sample, scaled_linear
from course_lib.seeds import Noise
from course_lib.stable_diffusion import StableDiffusion
from course_lib.training import denoising_loss


@pytest.fixture
def sd(tiny_pipe):
    return StableDiffusion(tiny_pipe)


@pytest.fixture
def calls(sd, monkeypatch):
    """The batch sizes of the network's calls."""
    sizes = []
    forward = sd.pipe.unet.forward

    def counted(sample, *args, **kwargs):
        sizes.append(len(sample))
        return forward(sample, *args, **kwargs)

    monkeypatch.setattr(sd.pipe.unet, "forward", counted)
    return sizes


def latents(N=2):
    return Noise(range(N), dtype=torch.float32).randn(4, 8, 8)


def x0_of_network(sd, x, sigma, text):
    """The clean latents by the textbook: sqrt(abar) z - sqrt(1 - abar) v, or (z - sqrt(1 - abar) eps) / sqrt(abar)."""
    abar = sd.pipe.scheduler.alphas_cumprod
    t = int((((1 - abar) / abar).sqrt() - sigma).abs().argmin())
    a, b = abar[t].sqrt(), (1 - abar[t]).sqrt()
    out = sd.pipe.unet(a * x, t, sd.embed(text).expand(len(x), -1, -1)).sample
    return a * (a * x) - b * out if sd.prediction == "v_prediction" else (a * x - b * out) / a


@torch.no_grad()
@pytest.mark.parametrize("negative", ["", "red"])
def test_latents_are_those_of_diffusers(sd, negative):
    """Ten DDIM steps at guidance 7.5 from the same noise end where the pipeline itself ends, within 1e-4."""
    noise = latents()
    oracle = sd.pipe(
        ["a cat"] * 2, negative_prompt=[negative] * 2, num_inference_steps=10, guidance_scale=7.5, latents=noise,
        output_type="latent",
    ).images  # fmt: skip
    sigmas = sd.levels(10)
    x = sample(sd.prompt("a cat", negative), sd.start(noise, sigmas), sigmas)
    z = x * (1 + sigmas[-1] ** 2).rsqrt().float()
    torch.testing.assert_close(z, oracle, rtol=0, atol=1e-4)
    assert oracle.std() > 0.5


@torch.no_grad()
def test_the_denoiser_is_the_textbook_s(sd):
    """At every level x0 is what the formulas for epsilon or v give from the network's answer."""
    for sigma in sd.levels(6)[:-1]:
        x = latents() * (1 + sigma**2).sqrt().float()
        actual = sd.prompt("a cat", w=1.0)(x, sigma)
        torch.testing.assert_close(actual, x0_of_network(sd, x, sigma, "a cat"), rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("w", [7.5, 0.0, -1.0])
def test_a_prompt_is_cfg_of_two_prompts(sd, w):
    """prompt(text, negative, w) is cfg of the two prompts at w = 1, within 1e-5 of the largest number."""
    sigma = sd.levels(10)[4]
    x = latents() * (1 + sigma**2).sqrt().float()
    two = cfg(sd.prompt("a cat", w=1.0), sd.prompt("red", w=1.0), w)(x, sigma)
    torch.testing.assert_close(sd.prompt("a cat", "red", w)(x, sigma), two, rtol=0, atol=1e-5 * two.abs().max().item())


@torch.no_grad()
def test_prompt_defaults_are_the_pipeline_s(sd):
    """Without arguments the negative prompt is empty and w is 7.5; text, negative and w all matter."""
    sigma = sd.levels(10)[4]
    x = latents() * (1 + sigma**2).sqrt().float()
    base = sd.prompt("a cat")(x, sigma)
    assert torch.equal(base, sd.prompt("a cat", "", 7.5)(x, sigma))
    for other in (sd.prompt("a dog"), sd.prompt("a cat", "red"), sd.prompt("a cat", w=3.0)):
        assert not torch.allclose(other(x, sigma), base, atol=1e-4)


@torch.no_grad()
def test_guidance_is_one_doubled_batch_or_none(sd, calls):
    """One call of 2 N with guidance, one of N where w is 1, also where an interval decides level by level."""
    sigmas = sd.levels(10)
    x = sd.start(latents(), sigmas)
    sample(sd.prompt("a cat"), x, sigmas)
    assert calls == [4] * 10
    calls.clear()
    sample(sd.prompt("a cat", w=1), x, sigmas)
    assert calls == [2] * 10
    calls.clear()
    sample(sd.prompt("a cat", w=interval(7.5, 1.01 * float(sigmas[7]), 1.01 * float(sigmas[3]))), x, sigmas)
    assert calls == [2, 2, 2, 4, 4, 4, 4, 2, 2, 2]


@torch.no_grad()
def test_prompts_may_be_embeddings(sd):
    """A string, its embedding, and one embedding per particle give the same latents; each row follows its own."""
    sigma = sd.levels(10)[4]
    x = latents() * (1 + sigma**2).sqrt().float()
    cat, dog = sd.embed(["a cat", "a dog"]).split(1)
    by_text = sd.prompt("a cat", "red")(x, sigma)
    for text, negative in ((cat, "red"), (cat.expand(2, -1, -1), sd.embed("red"))):
        torch.testing.assert_close(sd.prompt(text, negative)(x, sigma), by_text, rtol=1e-5, atol=1e-5)
    both = sd.prompt(torch.cat([cat, dog]), "red")(x, sigma)
    torch.testing.assert_close(both[:1], by_text[:1], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(both[1:], sd.prompt("a dog", "red")(x, sigma)[1:], rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_embeddings_are_the_pipeline_s(sd):
    """Texts are padded and cut to the tokenizer's length and encoded as the pipeline does."""
    texts = ["a cat", "", "a very long text with many more letters than the model has places"]
    positive, negative = sd.pipe.encode_prompt(texts, "cpu", 1, True, negative_prompt=["red"] * 3)
    torch.testing.assert_close(sd.embed(texts), positive)
    torch.testing.assert_close(sd.embed("red"), negative[:1])
    assert sd.embed("red").shape == (1, 12, 32)


@torch.no_grad()
@pytest.mark.parametrize("steps", [1, 10, 50])
def test_levels_are_the_scheduler_s(sd, steps):
    """They are sqrt((1 - abar) / abar) at its timesteps and its final alpha, and those of `scaled_linear`."""
    levels = sd.levels(steps)
    scheduler = copy.deepcopy(sd.pipe.scheduler)
    scheduler.set_timesteps(steps)
    abar = torch.cat([scheduler.alphas_cumprod[scheduler.timesteps], scheduler.final_alpha_cumprod.reshape(1)]).double()
    assert torch.equal(levels, ((1 - abar) / abar).sqrt())
    torch.testing.assert_close(levels, scaled_linear(steps), rtol=2e-4, atol=0)


def test_levels_end_at_zero_where_the_pipeline_does(tiny_pipe):
    """A scheduler whose final alpha is one ends at sigma = 0."""
    from diffusers import DDIMScheduler

    pipe = copy.copy(tiny_pipe)
    pipe.scheduler = DDIMScheduler.from_config(tiny_pipe.scheduler.config, set_alpha_to_one=True)
    assert StableDiffusion(pipe).levels(5)[-1] == 0


@torch.no_grad()
def test_start_has_unit_variance_where_the_network_looks(sd):
    """sqrt(1 + sigma**2) noise, so that the network's input at the first level is the noise itself."""
    sigmas, noise = sd.levels(10), latents()
    x = sd.start(noise, sigmas)
    assert x.dtype == torch.float32
    torch.testing.assert_close(x * (1 + sigmas[0] ** 2).rsqrt().float(), noise)


def with_scheduler(pipe, name, **config):
    """The same parts under another scheduler of diffusers."""
    import diffusers

    other = copy.deepcopy(pipe)
    other.scheduler = getattr(diffusers, name).from_config(pipe.scheduler.config, **config)
    other.set_progress_bar_config(disable=True)
    return other


@pytest.mark.parametrize("steps", [2, 7, 20, 999])
def test_levels_between_timesteps_are_those_of_diffusers(sd, steps):
    """sigma_at on evenly spread times is EulerDiscreteScheduler's `linspace`; its inverse gives the times again."""
    oracle = with_scheduler(sd.pipe, "EulerDiscreteScheduler", timestep_spacing="linspace", steps_offset=0).scheduler
    oracle.set_timesteps(steps)
    t = torch.linspace(999, 0, steps, dtype=torch.float64)
    torch.testing.assert_close(oracle.timesteps.double(), t, rtol=1e-6, atol=1e-6)
    sigmas = sd.sigma_at(t)
    assert sigmas.dtype == torch.float64
    torch.testing.assert_close(sigmas, oracle.sigmas[:-1].double(), rtol=1e-5, atol=0)
    for one in (sigmas, sigmas.float()):
        torch.testing.assert_close(sd._timestep(one).double(), t, rtol=1e-4, atol=1e-3)


def test_time_and_level_are_one_to_one(sd):
    """At a timestep they are the schedule's own bits, between two the time is continuous and rises with the level."""
    levels = sd._sigmas
    assert torch.equal(sd.sigma_at(torch.arange(1000)), levels)
    for t in (0, 1, 500, 998, 999):
        assert sd._timestep(levels[t]) == sd._timestep(levels[t].float()) == sd._timestep(float(levels[t])) == t
        assert isinstance(sd._timestep(float(levels[t])), int)
    t = torch.linspace(0, 999, 20_001, dtype=torch.float64)
    found = sd._timestep(sd.sigma_at(t)).double()
    assert (found - t).abs().max() < 2e-3
    assert (found[1:] > found[:-1]).all()


@torch.no_grad()
def test_the_thesis_levels_sample_as_diffusers_does(sd):
    """Levels spread evenly over 0 to 999, then 0: latents equal those of the pipeline with EulerDiscreteScheduler."""
    pipe = with_scheduler(sd.pipe, "EulerDiscreteScheduler", timestep_spacing="linspace", steps_offset=0)
    options = {"num_inference_steps": 8, "guidance_scale": 3.0, "output_type": "latent"}
    theirs = pipe(["a cat"] * 2, latents=latents(), **options).images
    sigmas = torch.cat([sd.sigma_at(torch.linspace(999, 0, 8)), torch.zeros(1)])
    x = sample(sd.prompt("a cat", w=3.0), float(sigmas[0]) * latents(), sigmas)
    torch.testing.assert_close(x, theirs, rtol=0, atol=3e-4)
    assert theirs.std() > 0.5
    scaled = latents() * float(sigmas[0] * (1 + sigmas[0] ** 2).rsqrt())  # generate starts with variance 1 + sigma**2
    ours = sd.generate("a cat", range(2), scaled, w=3.0, sigmas=sigmas, decode=False)
    torch.testing.assert_close(ours, x, rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("sigma", [0.0, 0.01, 100.0, -1.0, float("nan")])
def test_a_level_outside_the_schedule_is_refused(sd, sigma):
    with pytest.raises(
        ValueError, match=r"is no level of the schedule, which has 0.0\d* to 14.\d*; use levels\(steps\)"
    ):
        sd.prompt("a cat")(latents(), sigma)


@pytest.mark.parametrize("t", [-1, 999.5, [0, 1000], float("nan"), "one", None, True])
def test_a_time_outside_the_schedule_is_refused(sd, t):
    with pytest.raises(ValueError, match="sigma_at: t must be"):
        sd.sigma_at(t)


@pytest.mark.parametrize("steps", [0, -1, 1001, 10**9, 2.5, 10.0, True, "10", None, float("nan")])
def test_impossible_steps_are_refused(sd, steps):
    with pytest.raises(ValueError, match="levels: steps must be a whole number"):
        sd.levels(steps)


def test_a_schedule_with_an_offset_has_one_step_less(sd):
    """Leading spacing begins at timestep 1, so that 1,000 steps would need a timestep 1,000."""
    assert len(sd.levels(999)) == 1000
    with pytest.raises(ValueError, match="1000 steps reach past the schedule's last timestep 999; ask for 999"):
        sd.levels(1000)


@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
def test_levels_of_every_spacing_fall(tiny_pipe, spacing):
    """As many as asked for, strictly falling, from the scheduler's own timesteps; 0 where it would stay in place."""
    sd = StableDiffusion(with_scheduler(tiny_pipe, "DDIMScheduler", timestep_spacing=spacing, steps_offset=0))
    for steps in (1, 2, 10, 61, 103, 999, 1000):  # diffusers' trailing spacing has a timestep -1 at 61 and 103
        levels = sd.levels(steps)
        assert len(levels) == steps + 1
        assert (levels[1:] < levels[:-1]).all()
        assert levels[0] in sd._sigmas
        assert (levels[-1] == 0) == (levels[-2] == sd._sigmas[0])
    first = {"leading": 900, "trailing": 999, "linspace": 999}[spacing]
    assert sd.levels(10)[0] == sd._sigmas[first]


@torch.no_grad()
def test_zero_terminal_snr(tiny_pipe):
    """v on a schedule that ends without signal: finite levels, and the latents of diffusers' DDIM and Euler."""
    if tiny_pipe.scheduler.config.prediction_type == "epsilon":
        pipe = with_scheduler(tiny_pipe, "DDIMScheduler", rescale_betas_zero_snr=True, timestep_spacing="trailing")
        with pytest.raises(ValueError, match="zero terminal SNR needs prediction type v_prediction"):
            StableDiffusion(pipe)
        return
    options = {"num_inference_steps": 5, "guidance_scale": 3.0, "output_type": "latent"}
    config = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing", "set_alpha_to_one": True}
    pipe = with_scheduler(tiny_pipe, "DDIMScheduler", **config)
    sd = StableDiffusion(pipe)
    assert sd.levels(5).isfinite().all()
    assert sd.levels(5)[0] == pytest.approx(4096, rel=1e-6)
    ours = sd.generate("a cat", range(2), latents(), 5, 3.0, decode=False)
    theirs = pipe(["a cat"] * 2, latents=latents(), **options).images
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-3)
    euler = with_scheduler(tiny_pipe, "EulerDiscreteScheduler", **config)
    theirs = euler(["a cat"] * 2, latents=latents(), **options).images
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-3)
    assert theirs.std() > 0.5
    pushed = sd.generate("a cat", range(2), latents(), 5, 3.0, method=lambda D: guided(D, Repulsion(9.0, on="x0")))
    assert pushed.isfinite().all()
    assert torch.isfinite(sd.random_levels(2000, torch.Generator().manual_seed(0))).all()


@torch.no_grad()
def test_generate_corrects_by_level(sd):
    """corrections and tau reach the loop: the thesis' Langevin half of the levels, and one number for all."""
    sigmas = sd.levels(4)
    corrections, tau = first_half(sigmas)
    options = {"seeds": range(2), "steps": 4, "w": 2.0, "decode": False}
    plain = sd.generate("a cat", **options)
    draws = Noise(range(2), dtype=torch.float32)
    start = sd.start(draws.randn(4, 8, 8), sigmas)
    x = sample(sd.prompt("a cat", w=2.0), start, sigmas, ddim, corrections, tau, draws.randn_like)
    ours = sd.generate("a cat", **options, corrections=corrections, tau=tau)
    torch.testing.assert_close(ours, x * (1 + sigmas[-1] ** 2).rsqrt().float(), rtol=1e-5, atol=1e-5)
    assert not torch.allclose(ours, plain, atol=1e-2)


@torch.no_grad()
def test_generate_in_inference_mode(sd):
    """Plain pictures come out as ever; a method that takes gradients says that no_grad would do."""
    options = {"seeds": range(2), "steps": 2, "decode": False}
    with torch.inference_mode():
        plain = sd.generate("a cat", **options)
        with pytest.raises(ValueError, match=r"use torch.no_grad\(\) instead"):
            sd.generate("a cat", **options, method=lambda D: guided(D, Repulsion(9.0)))
    torch.testing.assert_close(plain.clone(), sd.generate("a cat", **options))


@torch.no_grad()
def test_groups_of_decoded_features(sd):
    """A decoder, which torch.vmap cannot run, is run set by set: each set as if it were alone."""
    colour = lambda z: sd.decode(z).mean((2, 3))  # noqa: E731
    x, sigma = 3 * latents(4), torch.tensor(3.0)
    push = lambda potential, x: guided(lambda x, sigma: 0.1 * x, potential)(x, sigma)  # noqa: E731
    together = push(Groups(2, Repulsion(50.0, features=colour, on="x0")), x)
    alone = torch.cat([push(Repulsion(50.0, features=colour, on="x0"), half) for half in x.split(2)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(together, 0.1 * x, atol=1e-3)


def test_other_prediction_types_are_refused(tiny_pipe):
    """A network that predicts the sample is none of ours, and the sentence says so."""
    from diffusers import DDIMScheduler

    pipe = copy.copy(tiny_pipe)
    pipe.scheduler = DDIMScheduler.from_config(tiny_pipe.scheduler.config, prediction_type="sample")
    with pytest.raises(ValueError, match="epsilon or v_prediction, got sample"):
        StableDiffusion(pipe)


@torch.no_grad()
@pytest.mark.parametrize("step", ["ddim", "ddpm"])
def test_a_seed_is_a_picture(sd, step):
    """Seed i gives the same latents for N = 1, 4 and 16, within 1e-4 of their size."""
    sigmas = sd.levels(4)

    def run(N):
        noise = Noise(range(N), dtype=torch.float32)
        start = sd.start(noise.randn(4, 8, 8), sigmas)
        steps = {} if step == "ddim" else {"step": ddpm, "randn_like": noise.randn_like}
        return sample(sd.prompt("a cat", w=2.0), start, sigmas, **steps)

    most = run(16)
    for N in (1, 4):
        torch.testing.assert_close(run(N), most[:N], rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_the_methods_run_on_it_unchanged(sd):
    """Strength 0 is plain sampling bit for bit; a strength moves the latents; annealed conditions reach the network."""
    sigmas = sd.levels(3)
    x, prompt = sd.start(latents(), sigmas), sd.prompt("a cat")
    plain = sample(prompt, x, sigmas)
    assert torch.equal(sample(guided(prompt, Repulsion(0.0)), x, sigmas), plain)
    assert not torch.allclose(sample(guided(prompt, Repulsion(500.0)), x, sigmas), plain, atol=1e-3)
    y = sd.embed("a cat").expand(2, -1, -1)
    annealed = cads(lambda y: sd.prompt(y), y, sigmas, scale=0.0, psi=0.0)
    assert not torch.allclose(sample(annealed, x, sigmas), plain, atol=1e-3)
    late = cads(lambda y: sd.prompt(y), y, sigmas, tau1=0.0, tau2=1e-6, scale=0.0)
    assert sample(late, x, sigmas).isfinite().all()


@torch.no_grad()
def test_half_precision_networks_answer_in_float32(sd):
    """The network gets its own dtype, and the answer is float32, near that of a float32 network."""
    sigma = sd.levels(10)[4]
    x = latents() * (1 + sigma**2).sqrt().float()
    half = copy.copy(sd.pipe)
    half.unet = copy.deepcopy(sd.pipe.unet).to(torch.bfloat16)
    embeddings = sd.embed("a cat")
    out = StableDiffusion(half).prompt(embeddings, sd.embed(""))(x, sigma)
    assert out.dtype == torch.float32
    full = sd.prompt(embeddings, sd.embed(""))(x, sigma)
    assert (out - full).norm() < 0.1 * full.norm()


@torch.no_grad()
def test_a_half_precision_answer_is_used_in_float32(sd, monkeypatch):
    """sigma times the answer is not rounded to the network's few digits again."""
    pipe = copy.copy(sd.pipe)
    pipe.unet = copy.deepcopy(sd.pipe.unet).to(torch.bfloat16)
    out, x, sigma = latents().flip(0).bfloat16(), latents(), float(sd.levels(10)[4])
    monkeypatch.setattr(pipe.unet, "forward", lambda *args: SimpleNamespace(sample=out))
    x0 = StableDiffusion(pipe).prompt("a cat", w=1.0)(x, torch.tensor(sigma))
    v = (x - sigma * (1 + sigma**2) ** 0.5 * out.float()) / (1 + sigma**2)
    torch.testing.assert_close(x0, v if sd.prediction == "v_prediction" else x - sigma * out.float())


@torch.no_grad()
def test_the_default_dtype_does_not_matter(sd, under_both_dtypes):
    """Levels are the same bits, and x0 the same float32 numbers, whatever torch's default dtype is."""
    x = latents()

    def answers():
        sigmas = sd.levels(5)
        return sigmas, sd.start(x, sigmas), sd.prompt("a cat")(x, float(sigmas[2]))

    (a, b, c), (d, e, f) = under_both_dtypes(answers)
    assert torch.equal(a, d)
    assert torch.equal(b, e)
    assert c.dtype == f.dtype == torch.float32
    torch.testing.assert_close(c, f, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_pictures_are_encoded_and_decoded_by_the_autoencoder(sd):
    """Latents are the mean of the posterior times the scaling factor, and decoding divides by it again."""
    vae, factor = sd.pipe.vae, sd.pipe.vae.config.scaling_factor
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    z = sd.encode(images)
    assert z.shape == (2, 4, 8, 8)
    torch.testing.assert_close(z, factor * vae.encode(images).latent_dist.mode())
    torch.testing.assert_close(sd.decode(z), vae.decode(z / factor).sample)
    assert sd.decode(z).shape == images.shape
    assert factor != 1
    bent = copy.copy(sd.pipe)
    bent.vae = copy.deepcopy(vae).to(torch.bfloat16)
    assert StableDiffusion(bent).encode(images).dtype == StableDiffusion(bent).decode(z).dtype == torch.float32


def test_gradients_reach_the_latents(sd):
    """Outside of no_grad the denoiser can be differentiated by the latents, as SeedSelect needs."""
    sigma = sd.levels(10)[4]
    x = latents(1).requires_grad_()
    (gradient,) = torch.autograd.grad(sd.prompt("a cat")(x, sigma).sum(), x)
    assert gradient.isfinite().all()
    assert (gradient != 0).any()


@torch.no_grad()
def test_generate_draws_the_pipeline_s_pictures(sd):
    """Seed i is diffusers' generator seeded i; pictures within 1e-4, from seeds and from given noise."""
    options = {"num_inference_steps": 5, "guidance_scale": 7.5, "negative_prompt": ["red"] * 2, "output_type": "pt"}
    generators = [torch.Generator().manual_seed(seed) for seed in (3, 8)]
    theirs = 2 * sd.pipe(["a cat", "a dog"], generator=generators, **options).images - 1
    ours = sd.generate(["a cat", "a dog"], seeds=[3, 8], steps=5, negative="red")
    assert ours.shape == (2, 3, 64, 64)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)
    assert ours.std() > 0.1
    assert ours.abs().max() <= 1
    theirs = 2 * sd.pipe(["a cat"] * 2, latents=latents(), **options).images - 1
    torch.testing.assert_close(sd.generate("a cat", None, latents(), 5, 7.5, "red"), theirs, rtol=0, atol=1e-4)


@torch.no_grad()
def test_without_seeds_there_is_one_picture_a_prompt(sd):
    """Seeds 0, 1, ...; the defaults are the pipeline's: 7.5, DDIM, no negative prompt; 25 steps; text or embeddings."""
    assert sd.generate("a cat", steps=1).shape == (1, 3, 64, 64)
    two = sd.generate(["a cat", "a dog"], steps=2)
    assert torch.equal(two, sd.generate(sd.embed(["a cat", "a dog"]), range(2), steps=2, w=7.5, negative="", step=ddim))
    sigmas = sd.levels(25)
    x = sample(sd.prompt("a cat"), sd.start(Noise([0], dtype=torch.float32).randn(4, 8, 8), sigmas), sigmas)
    z = x * (1 + sigmas[-1] ** 2).rsqrt().float()
    torch.testing.assert_close(sd.generate("a cat", decode=False), z, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_everything_generate_is_told_matters(sd):
    """Prompt, seeds, noise, steps, w, negative prompt, step and method each move the latents; decode makes pictures."""
    base = {"prompt": "a cat", "seeds": [0], "steps": 2, "decode": False}
    plain = sd.generate(**base)
    for change in (
        {"prompt": "a dog"}, {"seeds": [1]}, {"noise": latents(2)[1:]}, {"steps": 3}, {"w": 3.0}, {"negative": "red"},
        {"step": ddpm}, {"method": lambda D: lambda x, sigma: 0.5 * D(x, sigma)},
    ):  # fmt: skip
        assert not torch.allclose(sd.generate(**{**base, **change}), plain, atol=1e-3), change
    assert torch.equal(sd.generate(**{**base, "decode": True}), sd.decode(plain).clamp(-1, 1))
    pair = {**base, "seeds": [0, 1], "w": 2.0}
    pushed = sd.generate(**pair, method=lambda D: guided(D, Repulsion(500.0)))
    assert not torch.allclose(pushed, sd.generate(**pair), atol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("step", [ddim, ddpm])
def test_chunks_change_memory_and_nothing_else(sd, calls, step):
    """Whatever the chunk, the same latents; the network never sees more than two rows for each particle of it."""
    options = {"steps": 2, "w": 2.0, "step": step, "decode": False}
    whole = sd.generate("a cat", range(5), chunk=5, **options)
    assert calls == [10, 10]
    for chunk, sizes in ((1, [2] * 5), (2, [4, 4, 2]), (8, [10]), (None, [10])):
        calls.clear()
        torch.testing.assert_close(sd.generate("a cat", range(5), chunk=chunk, **options), whole, rtol=1e-4, atol=1e-4)
        assert calls == sizes * 2
    calls.clear()
    sd.generate("a cat", range(5), **{**options, "w": lambda sigma: 1.0 if sigma > 1 else 3.0}, chunk=3)
    assert calls == [3, 2, 6, 4]
    calls.clear()
    sd.generate("a cat", range(9), steps=1)
    assert calls == [16, 2]


@torch.no_grad()
def test_a_force_sees_all_particles_whatever_the_chunk(sd):
    """Chunks are for the network only: repulsion in chunks of one is repulsion of all."""
    options = {"steps": 2, "w": 2.0, "decode": False, "method": lambda D: guided(D, Repulsion(500.0))}
    whole = sd.generate("a cat", range(3), **options)
    torch.testing.assert_close(sd.generate("a cat", range(3), chunk=1, **options), whole, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_pictures_are_coded_in_chunks_too(sd, monkeypatch):
    z, sizes = latents(5), []
    decode = sd.pipe.vae.decode
    whole = sd.decode(z)
    monkeypatch.setattr(sd.pipe.vae, "decode", lambda z: sizes.append(len(z)) or decode(z))
    torch.testing.assert_close(sd.decode(z, chunk=2), whole, rtol=1e-4, atol=1e-4)
    assert sizes == [2, 2, 1]
    encode = sd.pipe.vae.encode
    again = sd.encode(whole)
    monkeypatch.setattr(sd.pipe.vae, "encode", lambda images: sizes.append(len(images)) or encode(images))
    torch.testing.assert_close(sd.encode(whole, chunk=3), again, rtol=1e-4, atol=1e-4)
    assert sizes == [2, 2, 1, 3, 2]


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_pictures_are_float32_and_near(sd, dtype):
    """Network, autoencoder and text encoder in half precision; latents in between stay float32."""
    half = copy.copy(sd.pipe)
    for part in ("unet", "vae", "text_encoder"):
        setattr(half, part, copy.deepcopy(getattr(sd.pipe, part)).to(dtype))
    ours = StableDiffusion(half)
    pictures = ours.generate("a cat", steps=2, w=2.0)
    assert pictures.dtype == ours.generate("a cat", steps=1, decode=False).dtype == torch.float32
    assert (pictures - sd.generate("a cat", steps=2, w=2.0)).abs().mean() < 0.02
    assert str(ours) == f"pipeline on cpu in {str(dtype)[6:]}"


@pytest.mark.parametrize(("options", "sentence"), [
    ({"seeds": 4}, r"seeds must be a list of whole numbers, such as range\(4\), or None, got 4"),
    ({"prompt": ["a", "b", "c"], "seeds": [0, 1]}, "3 prompts for 2 particles; give one, or one each"),
    ({"negative": ["a", "b"]}, "2 prompts for 1 particles"),
    ({"chunk": 0}, "chunk must be at least 1, got 0"),
    ({"chunk": -1}, "chunk must be at least 1, got -1"),
    ({"seeds": []}, "at least one particle"),
    ({"seeds": [1], "noise": latents()}, "1 seeds for 2 particles of noise; give one each"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(sd, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        sd.generate(**{"prompt": "a cat", "steps": 1, **options})


@torch.no_grad()
def test_any_scheduler_s_levels_are_used_without_touching_it(tiny_pipe):
    """Stable Diffusion 2 comes with PNDM: its levels are DDIM's, and the pipeline keeps its own scheduler as it is."""
    from diffusers import PNDMScheduler

    pipe = copy.copy(tiny_pipe)
    pipe.scheduler = PNDMScheduler.from_config(tiny_pipe.scheduler.config, skip_prk_steps=True)
    theirs = StableDiffusion(tiny_pipe)
    ours = StableDiffusion(pipe)
    assert torch.equal(ours.levels(7), theirs.levels(7))
    assert pipe.scheduler.num_inference_steps is None
    assert ours.prediction == theirs.prediction


def of_stable_diffusion_2s_size(tokenizer, prediction: str, size: int):
    """Stable Diffusion 2's parts by its published configuration, on the meta device: shapes without numbers."""
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    text = CLIPTextConfig(
        hidden_size=1024, intermediate_size=4096, num_hidden_layers=23, num_attention_heads=16, projection_dim=512,
        hidden_act="gelu", max_position_embeddings=77, bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    with torch.device("meta"):
        unet = UNet2DConditionModel(
            sample_size=size, in_channels=4, out_channels=4, block_out_channels=(320, 640, 1280, 1280),
            attention_head_dim=(5, 10, 20, 20), cross_attention_dim=1024, use_linear_projection=True,
        )  # fmt: skip
        vae = AutoencoderKL(
            block_out_channels=(128, 256, 512, 512), down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4, layers_per_block=2, latent_channels=4, sample_size=8 * size,
        )  # fmt: skip
        encoder = CLIPTextModel(text)
    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1, prediction_type=prediction
    )
    return SimpleNamespace(unet=unet, vae=vae, text_encoder=encoder, tokenizer=tokenizer, scheduler=scheduler)


@torch.no_grad()
@pytest.mark.parametrize(("prediction", "size"), [("epsilon", 64), ("v_prediction", 96)])
def test_the_adapter_fits_stable_diffusion_2(tiny_tokenizer, prediction, size):
    """Latents 4 x 64 x 64 (base) or 4 x 96 x 96, 77 tokens x 1024, on a device that holds no number."""
    tokenizer = copy.deepcopy(tiny_tokenizer)
    tokenizer.model_max_length = 77
    sd = StableDiffusion(of_stable_diffusion_2s_size(tokenizer, prediction, size))
    assert sd.shape == (4, size, size)
    embeddings = sd.embed(["a cat", "a dog"])
    assert embeddings.shape == (2, 77, 1024)
    x = torch.empty(2, *sd.shape, device="meta")
    x0 = sd.prompt(embeddings, chunk=1)(sd.start(x, sd.levels(25)), sd.levels(25)[3])
    assert (x0.shape, x0.dtype, x0.device.type) == (x.shape, torch.float32, "meta")
    images = sd.decode(x0)
    assert images.shape == (2, 3, 8 * size, 8 * size)
    assert sd.encode(images).shape == x.shape
    parts = (sd.pipe.unet, sd.pipe.vae, sd.pipe.text_encoder)
    numbers = [sum(parameter.numel() for parameter in part.parameters()) for part in parts]
    assert round(numbers[0] / 1e6) == 866
    assert sum(numbers) * 2 / 1e6 == pytest.approx(MODELS["sd2"].megabytes, rel=0.01)  # half precision
    assert sum(numbers) * 2 / 1e9 < MODELS["sd2"].memory


# the model that ships


@pytest.fixture(scope="module")
def shipped():
    """diffusers' own pipeline of the shipped folder, as somebody without course_lib would load it."""
    from diffusers import StableDiffusionPipeline

    with quiet():
        pipe = StableDiffusionPipeline.from_pretrained(TINY)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def test_the_shipped_folder_is_diffusers_own(shipped):
    """One prompt, nothing else, and a picture comes out."""
    (picture,) = shipped("a red circle", num_inference_steps=10).images
    assert picture.size == (48, 48)
    assert len(picture.getcolors(48 * 48)) > 20


@torch.no_grad()
def test_the_shipped_models_pictures_are_the_pipelines(shipped):
    """DDIM at guidance 7.5: latents and pictures within 1e-4 of diffusers', seed by seed."""
    sd = StableDiffusion.load(TINY, device="cpu")
    seeds, options = [5, 6], {"num_inference_steps": 25, "guidance_scale": 7.5, "num_images_per_prompt": 2}
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    theirs = shipped("a red circle", generator=generators, output_type="latent", **options).images
    ours = sd.generate("a red circle", seeds, decode=False)
    assert ours.shape == (2, 4, 12, 12)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)
    assert theirs.std() > 0.5
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    theirs = 2 * shipped("a red circle", generator=generators, output_type="pt", **options).images - 1
    torch.testing.assert_close(sd.generate("a red circle", seeds), theirs, rtol=0, atol=1e-4)


def test_one_level_a_particle_is_each_particle_with_its_level(sd):
    """As training needs it: a batch of levels answers as the particles do one by one, with and without guidance."""
    g = torch.Generator().manual_seed(0)
    x, sigma = torch.randn(4, *sd.shape, generator=g), sd.random_levels(4, g)
    for w in (1, 3.0):
        D = sd.prompt("a red circle", w=w, chunk=3)
        apart = torch.cat([D(one[None], level.reshape(())) for one, level in zip(x, sigma)])
        assert torch.allclose(D(x, sigma), apart, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(D(x, sigma), D(x, sigma.flip(0)), atol=1e-2)


def test_random_levels_are_the_schedule_s_all_equally_likely(sd):
    """Every timestep's level occurs, the mean index is that of the uniform law, and the seed decides."""
    drawn = sd.random_levels(20_000, torch.Generator().manual_seed(0))
    assert drawn.shape == (20_000, 1, 1, 1)
    assert drawn.dtype == torch.float32
    steps = torch.tensor([sd._timestep(one) for one in drawn.flatten()[:500].tolist()]).double()
    n = len(sd._sigmas)
    assert abs(steps.mean() - (n - 1) / 2) < 5 * n / 12**0.5 / 500**0.5
    assert len(drawn.unique()) > 0.99 * n
    assert torch.equal(drawn, sd.random_levels(20_000, torch.Generator().manual_seed(0)))


def test_a_batch_with_a_level_that_is_none_is_refused(sd):
    """One wrong level among many is named."""
    sigma = sd.random_levels(3, torch.Generator().manual_seed(0))
    sigma[1] = 100.0
    with pytest.raises(ValueError, match="no level of the schedule"):
        sd.prompt("a red circle", w=1)(torch.randn(3, *sd.shape), sigma)


def test_the_loss_of_the_denoiser_is_the_networks_own_in_v(sd):
    """denoising_loss with sigma_data = 1 is the squared error of v (12.1), whatever the network predicts."""
    g = torch.Generator().manual_seed(0)
    x0, eps = torch.randn(4, *sd.shape, generator=g), torch.randn(4, *sd.shape, generator=g)
    sigma = sd.random_levels(4, g)
    words = sd.embed("a red circle")
    scale = (1 + sigma**2).rsqrt()
    with torch.no_grad():
        loss = denoising_loss(sd.prompt(words, words, w=1), x0, sigma, eps, 1.0)
        out = sd.pipe.unet(scale * (x0 + sigma * eps), sd._timestep(sigma), words.expand(4, -1, -1)).sample
    v = out if sd.prediction == "v_prediction" else scale * (out - sigma * (x0 + sigma * eps - sigma * out))
    assert torch.allclose(loss, (v - scale * (eps - sigma * x0)).square().mean(), rtol=1e-3)
