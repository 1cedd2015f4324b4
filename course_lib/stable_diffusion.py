"""Stable Diffusion as a denoiser: the one file that knows timesteps, variance-preserving scaling, prediction types."""

import torch
from torch import Tensor

from course_lib.denoisers import Denoiser


class StableDiffusion:
    """Wraps a diffusers pipeline so that its latents obey x = x0 + sigma eps (1.1) and its network is a denoiser.

    `pipe` needs unet, vae, text_encoder, tokenizer and scheduler. Latents are (N, 4, H / 8, W / 8), already multiplied
    by the autoencoder's scaling factor. Raises ValueError for a prediction type other than epsilon or v_prediction.
    """

    def __init__(self, pipe):
        self.pipe = pipe
        self.prediction = pipe.scheduler.config.prediction_type
        if self.prediction not in ("epsilon", "v_prediction"):
            raise ValueError(f"StableDiffusion: needs prediction type epsilon or v_prediction, got {self.prediction}.")
        abar = pipe.scheduler.alphas_cumprod.double()
        self._sigmas = ((1 - abar) / abar).sqrt()  # one per timestep, increasing
        final = torch.as_tensor(pipe.scheduler.final_alpha_cumprod, dtype=torch.float64)
        self._last = ((1 - final) / final).sqrt()

    def levels(self, steps: int) -> Tensor:
        """Noise levels of the pipeline's own schedule (1.10), ending where it ends, -> (steps + 1,) float64."""
        self.pipe.scheduler.set_timesteps(steps)
        return torch.cat([self._sigmas[self.pipe.scheduler.timesteps.cpu()], self._last.reshape(1)])

    def start(self, noise: Tensor, sigmas: Tensor) -> Tensor:
        """Latents at the first level from standard normal noise as the pipeline has them, sqrt(1 + sigma**2) eps."""
        return (1 + sigmas[0] ** 2).sqrt().to(noise) * noise

    @torch.no_grad()
    def embed(self, text: str | list[str]) -> Tensor:
        """Text embeddings of one or several prompts, -> (prompts, tokens, width)."""
        texts = [text] if isinstance(text, str) else list(text)
        tokenizer = self.pipe.tokenizer
        ids = tokenizer(
            texts, padding="max_length", max_length=tokenizer.model_max_length, truncation=True, return_tensors="pt"
        ).input_ids
        return self.pipe.text_encoder(ids.to(self.pipe.device))[0]

    def _timestep(self, sigma: Tensor) -> Tensor:
        """The timestep whose noise level is sigma; raises ValueError for a level the schedule does not have."""
        gap = (self._sigmas.log() - torch.as_tensor(sigma).double().cpu().log()).abs()
        t = gap.argmin()
        if gap[t] > 1e-3:
            raise ValueError(
                f"StableDiffusion: sigma = {float(sigma):.4g} is no level of the schedule; use levels(steps)."
            )
        return t

    def _x0(self, x: Tensor, sigma: Tensor, embeddings: Tensor) -> Tensor:
        """Clean latents from the network's epsilon or v (1.9), in float32, (N, 4, h, w) -> (N, 4, h, w)."""
        unet = self.pipe.unet
        scale = (1 + sigma**2).rsqrt()  # z = scale * x has variance 1
        z, t = (scale * x).to(unet.dtype), self._timestep(sigma).to(x.device)
        out = unet(z, t, embeddings.to(unet.dtype)).sample.float()
        if self.prediction == "epsilon":
            return x.float() - sigma.float() * out
        return (scale**2 * x - sigma * scale * out).float()

    def prompt(self, text: str | Tensor, negative: str | Tensor = "", w=7.5) -> Denoiser:
        """The denoiser of a prompt under classifier-free guidance (2.5), one doubled batch a call.

        text and negative are strings or embeddings (1 or N, tokens, width); w a number or a function of sigma. Where w
        is 1 the negative half is not computed. Equal to `cfg` of two prompts.
        """
        positive, other = (self.embed(p) if isinstance(p, str) else p for p in (text, negative))

        def denoiser(x: Tensor, sigma: Tensor) -> Tensor:
            sigma = torch.as_tensor(sigma, device=x.device)
            weight = w(sigma) if callable(w) else w
            conditional = positive.expand(len(x), -1, -1)
            if weight == 1:
                return self._x0(x, sigma, conditional)
            both = torch.cat([other.expand(len(x), -1, -1), conditional])
            x0_u, x0_c = self._x0(torch.cat([x, x]), sigma, both).chunk(2)
            return x0_u + weight * (x0_c - x0_u)

        return denoiser

    def encode(self, images: Tensor) -> Tensor:
        """Images in [-1, 1], (N, 3, H, W), to latents (N, 4, H / 8, W / 8): the mean of the autoencoder's posterior."""
        vae = self.pipe.vae
        return vae.encode(images.to(vae.dtype)).latent_dist.mean.float() * vae.config.scaling_factor

    def decode(self, latents: Tensor) -> Tensor:
        """Latents to images in [-1, 1], (N, 4, h, w) -> (N, 3, 8 h, 8 w)."""
        vae = self.pipe.vae
        return vae.decode(latents.to(vae.dtype) / vae.config.scaling_factor).sample.float()
