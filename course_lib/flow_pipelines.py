"""A diffusers pipeline of Stable Diffusion 3's kind as a denoiser: what `StableDiffusion` is for flow matching."""

import copy
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from course_lib import devices, memory, models
from course_lib.checks import prompts, shaped, shown, typed, whole
from course_lib.denoisers import Denoiser
from course_lib.flow_matching import denoiser_of, level_of
from course_lib.prompted import first_noise, prompted
from course_lib.samplers import Step, ddim, sample

Embeddings = tuple[Tensor, Tensor]  # (prompts, tokens, width) and (prompts, pooled width)
Text = str | list[str] | Embeddings


class FlowMatching:
    """Wraps a diffusers pipeline so that its latents obey x = x0 + sigma eps (1.1) and its velocity is a denoiser.

    `pipe` is a StableDiffusion3Pipeline, or has its transformer, vae, encode_prompt and scheduler. Latents are
    (N, 16, h, w) for Stable Diffusion 3, shifted and scaled as its autoencoder says. What `StableDiffusion` offers is
    here under the same names. Raises ValueError for a scheduler other than FlowMatchEulerDiscreteScheduler, or for one
    that runs from data to noise.
    """

    def __init__(self, pipe, name: str = "pipeline"):
        from diffusers import FlowMatchEulerDiscreteScheduler

        scheduler = getattr(pipe, "scheduler", None)
        if not isinstance(scheduler, FlowMatchEulerDiscreteScheduler) or scheduler.config.invert_sigmas:
            raise ValueError(
                "FlowMatching: pipe needs a FlowMatchEulerDiscreteScheduler without invert_sigmas, got "
                f"{type(scheduler).__name__}; for Stable Diffusion 1 and 2 use StableDiffusion."
            )
        if not callable(getattr(pipe, "encode_prompt", None)) or getattr(pipe, "transformer", None) is None:
            raise ValueError(f"FlowMatching: pipe needs a transformer and encode_prompt, got {type(pipe).__name__}.")
        self.pipe, self.name = pipe, name
        self._scheduler = copy.deepcopy(scheduler)  # its levels, never its step

    def __str__(self) -> str:
        return f"{self.name} on {self.device} in {str(self.pipe.transformer.dtype).removeprefix('torch.')}"

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.pipe.transformer.parameters()).device

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one particle's latents, (16, 128, 128) for Stable Diffusion 3."""
        config = self.pipe.transformer.config
        return config.in_channels, config.sample_size, config.sample_size

    @typed
    def levels(self, steps: int) -> Tensor:
        """Noise levels of the pipeline's own schedule (18.6), then 0, -> (steps + 1,) float64.

        A schedule that shifts by the picture's size is taken at the network's own size. The first, 2**20, is noise
        alone: a push that grows with sigma, as repulsion of x does, must be kept off it, by `switch`, and SPELL and
        repulsion of x0 need not.
        """
        config, (_, h, w) = self._scheduler.config, self.shape
        mu = None
        if config.use_dynamic_shifting:
            tokens = (h // self.pipe.transformer.config.patch_size) * (w // self.pipe.transformer.config.patch_size)
            share = (tokens - config.base_image_seq_len) / (config.max_image_seq_len - config.base_image_seq_len)
            mu = config.base_shift + share * (config.max_shift - config.base_shift)
        self._scheduler.set_timesteps(whole(steps, "levels: steps", 1), mu=mu)
        return level_of(self._scheduler.sigmas.double().clamp(0, 1))

    def start(self, noise: Tensor, sigmas: Tensor) -> Tensor:
        """Latents at the first level, where the network is, from standard normal noise, sigma eps."""
        noise = noise.to(self.device)
        return sigmas[0].to(noise) * noise

    @torch.no_grad()
    def embed(self, text: str | list[str]) -> Embeddings:
        """Text embeddings of one or several prompts, -> (prompts, tokens, width) and pooled (prompts, width)."""
        tokens, _, pooled, _ = self.pipe.encode_prompt(
            prompts(text), None, None, device=self.device, do_classifier_free_guidance=False
        )
        return tokens, pooled

    def _embedded(self, text: Text, name: str) -> Embeddings:
        """Embeddings of a text, or embeddings that are given, where the network is and in its dtype."""
        if not isinstance(text, tuple) or any(isinstance(one, str) for one in text):
            text = self.embed(text)
        if len(text) != 2 or not all(isinstance(one, Tensor) for one in text) or len(text[0]) != len(text[1]):
            raise ValueError(f"prompt: {name} must be text, or what embed returns, got {shown(text)}.")
        config = self.pipe.transformer.config
        shaped(text[0], f"prompt: {name}", "(1 or N, tokens, width)", 3, config.joint_attention_dim)
        shaped(text[1], f"prompt: pooled {name}", "(1 or N, width)", 2, config.pooled_projection_dim)
        return tuple(devices.handed(one, self.pipe.transformer) for one in text)

    def _x0(self, x: Tensor, sigma: Tensor | float, tokens: Tensor, pooled: Tensor) -> Tensor:
        """Clean latents from the network's velocity (18.4), in float32, (N, C, h, w) -> (N, C, h, w)."""
        steps = self._scheduler.config.num_train_timesteps

        def velocity(x_t: Tensor, t: Tensor) -> Tensor:
            time = (steps * t).to(x_t.device).reshape(-1).expand(len(x_t))  # (N,)
            x_t = x_t.to(tokens.dtype)
            return self.pipe.transformer(x_t, tokens, pooled, time, return_dict=False)[0].float()

        return denoiser_of(velocity)(x.float(), sigma)

    @typed
    def prompt(
        self, text: Text, negative: Text = "", w: float | Callable[[Tensor], float] = 7.0, chunk: int | None = None
    ) -> Denoiser:
        """The denoiser of a prompt under classifier-free guidance (2.5), one doubled batch a call.

        text and negative are one string, N strings or what `embed` returns; w a number or a function of sigma. Where w
        is 1 the negative half is not computed. The network sees at most `chunk` particles at a time. The denoiser takes
        one level, or one for each particle, (N, 1, 1, 1); then w is a number. Raises ValueError when the prompts are
        neither one nor N, and for embeddings or particles of another shape than the network's.
        """
        positive, other = self._embedded(text, "text"), self._embedded(negative, "negative")
        return prompted(self._x0, positive, other, w, chunk, self.shape[0], self.device, "FlowMatching")

    def encode(self, images: Tensor, chunk: int | None = None) -> Tensor:
        """Images in [-1, 1], (N, 3, H, W), to latents (N, C, h, w), the posterior's mean; `chunk` as `decode`."""
        return memory.encoded(self.pipe.vae, images, chunk)

    def decode(self, latents: Tensor, chunk: int | None = None) -> Tensor:
        """Latents to images, about in [-1, 1], (N, C, h, w) -> (N, 3, H, W); `chunk` at a time, or what fits."""
        return memory.decoded(self.pipe.vae, latents, chunk)

    @torch.no_grad()
    @typed
    def generate(
        self,
        prompt: Text,
        seeds: Iterable[int] | None = None,
        noise: Tensor | None = None,
        steps: int = 28,
        w: float | Callable[[Tensor], float] = 7.0,
        negative: Text = "",
        step: Step = ddim,
        method: Callable[[Denoiser], Denoiser] | None = None,
        chunk: int | None = 8,
        decode: bool = True,
        sigmas: Tensor | None = None,
    ) -> Tensor:
        """Pictures of a prompt, one per seed, -> (N, 3, H, W) float32 in [-1, 1]; with decode=False their latents.

        As `StableDiffusion.generate`: `noise` (N, C, h, w), standard normal, starts there instead, and the seeds are
        then only what a noisy step draws from; `method` takes the denoiser and returns one; `sigmas` are levels of
        one's own instead of levels(steps). Raises ValueError for seeds that are not one for each particle of noise.
        """
        embeddings = self._embedded(prompt, "text")
        draws, noise = first_noise(seeds, noise, len(embeddings[0]), self.shape, self.device)
        denoiser, sigmas = self.prompt(embeddings, negative, w, chunk), self.levels(steps) if sigmas is None else sigmas
        if method is not None:
            denoiser = method(denoiser)
        z = sample(denoiser, self.start(noise, sigmas), sigmas, step, randn_like=draws.randn_like)
        return self.decode(z, chunk).clamp(-1, 1) if decode else z


@typed
def untrained(seed: int = 0, shift: float = 3.0, device: str | torch.device | None = None):
    """A StableDiffusion3Pipeline small enough for any machine, with random weights: nothing to see, all to call.

    Latents (4, 8, 8), pictures of 16 x 16, tiny's tokenizer, no T5. device: COURSE_DEVICE, else a GPU where there is
    one, else the CPU. The global generator is left as it was. Raises ValueError for a device that is not here.
    """
    import diffusers
    import transformers

    device = devices.chosen(device)
    with models.quiet(), torch.random.fork_rng([]):
        torch.manual_seed(whole(seed, "untrained: seed"))
        tokenizer = transformers.CLIPTokenizer.from_pretrained(models.TINY / "tokenizer")
        text = transformers.CLIPTextConfig(
            vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
            max_position_embeddings=tokenizer.model_max_length, projection_dim=16,
            eos_token_id=tokenizer.eos_token_id, bos_token_id=tokenizer.bos_token_id,
        )  # fmt: skip
        first, second = (transformers.CLIPTextModelWithProjection(text) for _ in range(2))
        transformer = diffusers.SD3Transformer2DModel(
            sample_size=8, in_channels=4, out_channels=4, num_layers=2, attention_head_dim=8, num_attention_heads=2,
            joint_attention_dim=32, caption_projection_dim=16, pooled_projection_dim=32, pos_embed_max_size=8,
        )  # fmt: skip
        vae = diffusers.AutoencoderKL(
            block_out_channels=(32, 32), down_block_types=("DownEncoderBlock2D",) * 2, latent_channels=4,
            up_block_types=("UpDecoderBlock2D",) * 2, shift_factor=0.1, scaling_factor=1.5, sample_size=16,
        )  # fmt: skip
        scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=shift)
        pipe = diffusers.StableDiffusion3Pipeline(
            transformer, scheduler, vae, first, tokenizer, second, tokenizer, None, None
        ).to(device, torch.float32)
    for part in (transformer, vae, first, second):
        part.eval().requires_grad_(False)
    pipe.set_progress_bar_config(disable=True)
    return pipe
