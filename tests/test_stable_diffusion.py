"""Stable Diffusion as a denoiser: against diffusers' own pipeline, for both prediction types."""

import copy

import pytest
import torch

from course_lib.denoisers import cfg, interval
from course_lib.guidance import Repulsion, cads, guided
from course_lib.samplers import ddpm, sample, scaled_linear
from course_lib.seeds import Noise
from course_lib.stable_diffusion import StableDiffusion


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
    """prompt(text, negative, w) is cfg of the two prompts at w = 1, within 1e-5 of their size."""
    sigma = sd.levels(10)[4]
    x = latents() * (1 + sigma**2).sqrt().float()
    two = cfg(sd.prompt("a cat", w=1.0), sd.prompt("red", w=1.0), w)(x, sigma)
    torch.testing.assert_close(sd.prompt("a cat", "red", w)(x, sigma), two, rtol=1e-5, atol=1e-5)


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


@torch.no_grad()
def test_a_level_between_two_timesteps_is_refused(sd):
    """Each of the 1000 levels has its own timestep, float32 or float64, and any level halfway between has none."""
    levels = sd._sigmas
    for t in (0, 1, 500, 998, 999):
        assert sd._timestep(levels[t]) == sd._timestep(levels[t].float()) == t
    for sigma in (*(levels[[0, 400, 998]] * levels[[1, 401, 999]]).sqrt(), 0.0, 100.0):
        with pytest.raises(ValueError, match=r"is no level of the schedule; use levels\(steps\)"):
            sd.prompt("a cat")(latents(), sigma)


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
