"""Stable Diffusion as a denoiser: the one file that knows timesteps, variance-preserving scaling, prediction types."""

from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor

from course_lib import devices, memory, models
from course_lib.checks import numeric, prompts, shaped, typed, whole
from course_lib.denoisers import Denoiser
from course_lib.prompted import first_noise, prompted
from course_lib.samplers import Corrections, Step, Tau, ddim, sample

Text = str | list[str] | Tensor

NO_SIGNAL = 2.0**-24  # stands for an abar of 0, as in diffusers' EulerDiscreteScheduler: sigma = 4096 for infinity


class StableDiffusion:
    """Wraps a diffusers pipeline so that its latents obey x = x0 + sigma eps (1.1) and its network is a denoiser.

    `pipe` needs unet, vae, text_encoder, tokenizer and scheduler. Latents are (N, 4, h, w), h and w an eighth of the
    picture's (a quarter for `tiny`), already multiplied by the autoencoder's scaling factor. str() of it says which
    model runs where. Raises ValueError for a prediction type other than epsilon or v_prediction, and for epsilon on a
    schedule that ends without signal (zero terminal SNR), where epsilon tells nothing; v there starts at sigma = 4096.
    """

    def __init__(self, pipe, name: str = "pipeline"):
        from diffusers import DDIMScheduler

        self.pipe, self.name = pipe, name
        self.prediction = pipe.scheduler.config.prediction_type
        if self.prediction not in ("epsilon", "v_prediction"):
            raise ValueError(f"StableDiffusion: needs prediction type epsilon or v_prediction, got {self.prediction}.")
        with models.quiet():
            self._scheduler = DDIMScheduler.from_config(pipe.scheduler.config)  # its levels, never its step
        abar = self._scheduler.alphas_cumprod.double()
        if self.prediction == "epsilon" and not (abar > 0).all():
            raise ValueError("StableDiffusion: a schedule with zero terminal SNR needs prediction type v_prediction.")
        abar = abar.clamp(min=NO_SIGNAL)
        final = torch.as_tensor(self._scheduler.final_alpha_cumprod, dtype=torch.float64)
        self._sigmas = ((1 - abar) / abar).sqrt()  # one per timestep, increasing
        self._last = ((1 - final) / final).sqrt()

    @classmethod
    def load(
        cls, name: str | Path = "auto", dtype: torch.dtype | None = None, device: str | torch.device | None = None
    ) -> "StableDiffusion":
        """A model by its name in the registry ("tiny", "sd2"), a folder, or the id of a hub repository.

        "auto" is Stable Diffusion 2 where its weights and a GPU with enough memory are here, else tiny. A name never
        downloads, an id (owner/name or owner/name@revision) does. device: COURSE_DEVICE, else a GPU where there is one,
        else the CPU; dtype: float16 on a GPU, float32 for tiny and on the CPU. Raises FileNotFoundError for a model,
        ValueError for a device that is not here.
        """
        device = devices.chosen(device)
        name, folder = models.locate(str(name), device)
        if dtype is None:
            dtype = torch.float32 if name == "tiny" or device.type == "cpu" else torch.float16
        return cls(models.pipeline(folder, dtype, device), name)

    def __str__(self) -> str:
        return f"{self.name} on {self.device} in {str(self.pipe.unet.dtype).removeprefix('torch.')}"

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.pipe.unet.parameters()).device

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one particle's latents, (4, 64, 64) for Stable Diffusion 2 and (4, 12, 12) for tiny."""
        config = self.pipe.unet.config
        return config.in_channels, config.sample_size, config.sample_size

    @typed
    def levels(self, steps: int) -> Tensor:
        """Noise levels of the pipeline's own schedule (1.10), ending where it ends, -> (steps + 1,) float64.

        The last is 0 where the schedule would stay at its last timestep. Raises ValueError for more steps than the
        schedule has timesteps from its offset on, or none.
        """
        n = len(self._sigmas)
        self._scheduler.set_timesteps(whole(steps, "levels: steps", 1, n))
        t = self._scheduler.timesteps[:steps]  # diffusers' trailing spacing gives one more for some numbers, 61 say
        if t[0] >= n:
            raise ValueError(f"levels: {steps} steps reach past the schedule's last timestep {n - 1}; ask for {n - 1}.")
        sigmas = self._sigmas[t]
        return torch.cat([sigmas, self._last.where(self._last < sigmas[-1], 0.0).reshape(1)])

    def sigma_at(self, t: Tensor | float) -> Tensor:
        """Noise levels at timesteps t, on the straight line in t between two of them, (T,) -> (T,) float64.

        The one place that ties sigma to t, with its inverse, by which the network is told the time of any level of the
        schedule. The thesis' levels are torch.cat([sd.sigma_at(torch.linspace(999, 0, 20)), torch.zeros(1)]). Raises
        ValueError outside the timesteps. Source: diffusers' EulerDiscreteScheduler.
        """
        t, last = numeric(t, "sigma_at: t", torch.float64).cpu(), len(self._sigmas) - 1
        if not ((t >= 0) & (t <= last)).all():
            raise ValueError(f"sigma_at: t must be timesteps from 0 to {last}, got {t.tolist()}.")
        low = t.long().clamp(max=last - 1)
        return torch.lerp(self._sigmas[low], self._sigmas[low + 1], t - low)

    def _timestep(self, sigma: float | Tensor) -> int | Tensor:
        """The inverse of `sigma_at`, whole where rounding alone keeps it from that, (N, 1, 1, 1) -> (N,).

        Raises ValueError for a level .1 % or more beyond the schedule's ends.
        """
        level = sigma.detach().cpu().double() if isinstance(sigma, Tensor) else torch.tensor(sigma, dtype=torch.float64)
        level = level.flatten()
        first, last = self._sigmas[0], self._sigmas[-1]
        for one in level[~((level > 0.999 * first) & (level < 1.001 * last))]:  # NaN is one
            raise ValueError(
                f"StableDiffusion: sigma = {one:.4g} is no level of the schedule, which has {first:.4g} to {last:.4g}; "
                "use levels(steps) or sigma_at(t)."
            )
        level = level.clamp(first, last)
        low = torch.searchsorted(self._sigmas, level).clamp(min=1) - 1
        t = low + (level - self._sigmas[low]) / (self._sigmas[low + 1] - self._sigmas[low])
        t = torch.where((t - t.round()).abs() < 1e-3, t.round(), t)
        if isinstance(sigma, Tensor):
            return t.float().to(self.device)
        return int(t) if t == t.round() else t.float().reshape(())  # diffusers makes a float64 of a Python float

    @typed
    def random_levels(self, n: int, generator: torch.Generator) -> Tensor:
        """Noise levels of n timesteps, all equally likely, as in training (12.1), -> (n, 1, 1, 1) float32."""
        t = torch.randint(len(self._sigmas), (whole(n, "random_levels: n", 1),), generator=generator)
        return self._sigmas[t].float().reshape(n, 1, 1, 1).to(self.device)

    def start(self, noise: Tensor, sigmas: Tensor) -> Tensor:
        """Latents at the first level, where the network is, from standard normal noise, sqrt(1 + sigma**2) eps."""
        noise = noise.to(self.device)
        return (1 + sigmas[0] ** 2).sqrt().to(noise) * noise

    @torch.no_grad()
    def embed(self, text: str | list[str]) -> Tensor:
        """Text embeddings of one or several prompts (8.1), -> (prompts, tokens, width)."""
        texts, tokenizer = prompts(text), self.pipe.tokenizer
        fixed = {"padding": "max_length", "max_length": tokenizer.model_max_length, "truncation": True}
        ids = tokenizer(texts, return_tensors="pt", **fixed).input_ids
        return self.pipe.text_encoder(ids.to(self.device))[0]

    def _x0(self, x: Tensor, sigma: float | Tensor, embeddings: Tensor) -> Tensor:
        """Clean latents from the network's epsilon or v (8.4), in float32, (N, 4, h, w) -> (N, 4, h, w)."""
        x, scale = x.float(), (1 + sigma**2) ** -0.5
        z = (scale * x).to(embeddings.dtype)  # variance 1 (8.3); asking the network for its dtype takes a millisecond
        out = self.pipe.unet(z, self._timestep(sigma), embeddings).sample.float()
        if self.prediction == "epsilon":
            return x - sigma * out
        return scale**2 * x - sigma * scale * out

    @typed
    def prompt(
        self, text: Text, negative: Text = "", w: float | Callable[[Tensor], float] = 7.5, chunk: int | None = None
    ) -> Denoiser:
        """The denoiser of a prompt under classifier-free guidance (2.5), one doubled batch a call.

        text and negative are one string, N strings or embeddings (1 or N, tokens, width); w a number or a function of
        sigma. Where w is 1 the negative half is not computed. The network sees at most `chunk` particles at a time.
        The denoiser takes one level, or one for each particle, (N, 1, 1, 1), as training needs it; then w is a number.
        A level on the CPU, as `trajectory` passes it, waits for no device. Equal to `cfg` of two prompts. Raises
        ValueError when the prompts are neither one nor N, and for embeddings or particles of another shape than the
        network's.
        """
        width = self.pipe.unet.config.cross_attention_dim
        for name, one in (("text", text), ("negative", negative)):
            if isinstance(one, Tensor):
                shaped(one, f"prompt: {name}", f"(1 or N, tokens, {width})", 3, width)
        both = (p if isinstance(p, Tensor) else self.embed(p) for p in (text, negative))
        positive, other = (devices.handed(embeddings, self.pipe.unet) for embeddings in both)
        channels = self.shape[0]
        return prompted(self._x0, (positive,), (other,), w, chunk, channels, positive.device, "StableDiffusion")

    def encode(self, images: Tensor, chunk: int | None = None) -> Tensor:
        """Images in [-1, 1], (N, 3, H, W), to latents (N, 4, h, w), the posterior's mean (8.2); `chunk` as `decode`."""
        return memory.encoded(self.pipe.vae, images, chunk)

    def decode(self, latents: Tensor, chunk: int | None = None) -> Tensor:
        """Latents to images, about in [-1, 1] (8.2), (N, 4, h, w) -> (N, 3, H, W); `chunk` at a time, or what fits."""
        return memory.decoded(self.pipe.vae, latents, chunk)

    @torch.no_grad()
    @typed
    def generate(
        self,
        prompt: Text,
        seeds: Iterable[int] | None = None,
        noise: Tensor | None = None,
        steps: int = 25,
        w: float | Callable[[Tensor], float] = 7.5,
        negative: Text = "",
        step: Step = ddim,
        method: Callable[[Denoiser], Denoiser] | None = None,
        chunk: int | None = 8,
        decode: bool = True,
        corrections: Corrections = 0,
        tau: Tau = 0.05,
        sigmas: Tensor | None = None,
    ) -> Tensor:
        """Pictures of a prompt, one per seed, -> (N, 3, H, W) float32 in [-1, 1]; with decode=False their latents.

        A seed is the pipeline's: seed i starts where diffusers does with a generator seeded i, whatever N. `noise`
        (N, 4, h, w), standard normal, starts there instead; the seeds are then only what a noisy step draws from.
        Without either there is one picture a prompt. `method` takes the denoiser and returns one, for instance
        lambda D: guided(D, Repulsion(30.)). At most `chunk` particles go through a network at a time. `corrections` and
        `tau` are those of `trajectory`; `sigmas` are levels of one's own instead of levels(steps).
        """
        positive = prompt if isinstance(prompt, Tensor) else self.embed(prompt)
        draws, noise = first_noise(seeds, noise, len(positive), self.shape, self.device)
        denoiser, sigmas = self.prompt(positive, negative, w, chunk), self.levels(steps) if sigmas is None else sigmas
        if method is not None:
            denoiser = method(denoiser)
        x = sample(denoiser, self.start(noise, sigmas), sigmas, step, corrections, tau, draws.randn_like)
        z = x.float() * float((1 + sigmas[-1] ** 2).rsqrt())  # the pipeline's last latents have this scale
        return self.decode(z, chunk).clamp(-1, 1) if decode else z
