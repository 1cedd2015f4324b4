"""The parts of `tiny`: their builds and their losses."""

from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPTokenizer, CLIPVisionConfig

from course_lib import world
from course_lib.features.networks import build
from course_lib.tools import budget
from course_lib.tools.train_tiny import data
from course_lib.tools.train_tiny.loop import fit
from course_lib.tools.train_tiny.tokenizer import LENGTH, token_ids

# In the order of training.
STEPS = {"clip": 2200, "vae": 3200, "oracle": 3000, "oracle2": 2500, "embedding": 2000, "style": 1500, "unet": 4800}


def clip_model(tokenizer: CLIPTokenizer) -> CLIPModel:
    """CLIP with two text layers of width 64 and four vision layers of width 96."""
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=LENGTH,
        projection_dim=64,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    vision = CLIPVisionConfig(
        hidden_size=96,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        image_size=48,
        patch_size=6,
        projection_dim=64,
    )
    return CLIPModel(CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=64))


def train_clip(tokenizer: CLIPTokenizer, folder: Path, steps: int, device: str, batch: int = 128) -> nn.Module:
    """The contrastive loss (8.6) on the balanced world, which holds the rare shapes too.

    Each caption that is true of a picture counts as its partner, however much it leaves out.
    """
    torch.manual_seed(1)
    model = clip_model(tokenizer).to(device)
    factors, images = data.balanced(40_000, seed=1)

    def loss(step: int, g: torch.Generator) -> Tensor:
        index = data.pick(len(factors), batch, g)
        lines = world.caption(factors[index], g)
        out = model(input_ids=token_ids(tokenizer, lines).to(device), pixel_values=data.floats(images[index], device))
        target = data.true_of(lines, factors[index]).to(device)  # (captions, pictures)
        by_text = -(target * out.logits_per_text.log_softmax(1)).sum(1) / target.sum(1)
        by_image = -(target * out.logits_per_text.log_softmax(0)).sum(0) / target.sum(0)
        return (by_text.mean() + by_image.mean()) / 2

    return fit("clip", model, loss, steps, folder, lr=1e-3, decay=0.05)


def autoencoder() -> AutoencoderKL:
    """48 pixels to latents of 12 x 12 x 4."""
    return AutoencoderKL(
        block_out_channels=(16, 32, 48),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=48,
        scaling_factor=1.0,
    )


def train_vae(folder: Path, steps: int, device: str, batch: int = 40) -> AutoencoderKL:
    """Reconstruction and KL (8.7) on the balanced world; pixels of the shape count five times, being few."""
    torch.manual_seed(2)
    model = autoencoder().to(device)
    factors, images = data.balanced(40_000, seed=2)

    def loss(step: int, g: torch.Generator) -> Tensor:
        index = data.pick(len(factors), batch, g)
        x = data.floats(images[index], device)
        background = 2 * factors.grey[index].to(device)[:, None, None, None] - 1
        weight = 1 + 4 * ((x - background).abs().amax(1, keepdim=True) > 0.1)
        law = model.encode(x).latent_dist
        z = law.mean + law.std * torch.randn(law.mean.shape, generator=g).to(device)
        error = (model.decode(z).sample - x).square() * weight
        return error.mean() + 1e-4 * law.kl().mean() / law.mean[0].numel()

    model = fit("vae", model, loss, steps, folder, lr=2e-3, average=0.998, decay=0.0)
    with torch.no_grad():
        latents = torch.cat([model.encode(data.floats(images[i : i + 500], device)).latent_dist.mean for i in (0, 500)])
    model.register_to_config(scaling_factor=1 / latents.std().item())
    return model


def scheduler() -> DDIMScheduler:
    """Stable Diffusion 2's noise schedule, for a network that predicts the velocity."""
    return budget.scheduler("v_prediction")


def unet() -> UNet2DConditionModel:
    """Cross-attention on both levels, as wide as half a percent of Stable Diffusion's."""
    return UNet2DConditionModel(
        sample_size=12,
        in_channels=4,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=(64, 128),
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=64,
        attention_head_dim=(2, 4),
        use_linear_projection=True,
        norm_num_groups=16,
    )


@torch.no_grad()
def encoded(tokenizer, clip: CLIPModel, vae: AutoencoderKL, device: str, captions: int = 4) -> tuple[Tensor, ...]:
    """The long-tailed training set as latents (scaled), rows of captions' embeddings, and the embeddings.

    -> (30000, 4, 12, 12), (30000, captions), (lines, LENGTH, 64); the last line is the empty caption.
    """
    g = torch.Generator().manual_seed(3)
    factors = world.long_tail(g)
    images = data.pictures(factors)
    parts = [vae.encode(data.floats(part, device)).latent_dist.mean for part in images.split(500)]
    latents = torch.cat(parts) * vae.config.scaling_factor
    lines = [world.caption(factors, g) for _ in range(captions)]
    unique = sorted({line for some in lines for line in some} - {""})
    row = {line: index for index, line in enumerate(unique)}
    rows = torch.tensor([[row[line] for line in some] for some in lines]).T
    ids = token_ids(tokenizer, [*unique, ""]).to(device)
    embeddings = torch.cat([clip.text_model(part).last_hidden_state for part in ids.split(512)])
    return latents, rows, embeddings


def train_unet(tokenizer, clip, vae, folder: Path, steps: int, device: str, batch: int = 64) -> UNet2DConditionModel:
    """The denoising loss in v with the weight min(SNR, 5) / (SNR + 1), captions dropped in one of ten.

    Source of the weight: Hang et al. (2023).
    """
    torch.manual_seed(3)
    model = unet().to(device)
    latents, rows, embeddings = encoded(tokenizer, clip, vae, device)
    abar = scheduler().alphas_cumprod.to(device)

    def loss(step: int, g: torch.Generator) -> Tensor:
        index = data.pick(len(latents), batch, g)
        line = rows[index, torch.randint(rows.shape[1], (batch,), generator=g)]
        line[torch.rand(batch, generator=g) < 0.1] = len(embeddings) - 1
        t = torch.randint(len(abar), (batch,), generator=g).to(device)
        x0 = latents[index.to(device)]
        eps = torch.randn(x0.shape, generator=g).to(device)
        a, b = abar[t].sqrt()[:, None, None, None], (1 - abar[t]).sqrt()[:, None, None, None]
        v = model(a * x0 + b * eps, t, embeddings[line.to(device)]).sample
        snr = abar[t] / (1 - abar[t])
        weight = snr.clamp(max=5) / (snr + 1)
        return (weight * (v - (a * eps - b * x0)).square().mean((1, 2, 3))).mean()

    horizon, last = steps * 7 // 6, max(1, steps * 13 // 80)  # a cosine that is cooled down before its end
    return fit("unet", model, loss, steps, folder, lr=1e-3, average=0.999, cool=(horizon, last))


def train_reader(name: str, folder: Path, steps: int, device: str, batch: int = 64) -> nn.Module:
    """A network that reads pictures: an oracle on noisy and blurred renders, or the embedding network on clean ones."""
    seed = {"oracle": 4, "oracle2": 5, "embedding": 6}[name]
    torch.manual_seed(seed)
    model = build(name).to(device)
    factors, images = data.balanced(40_000, seed=seed)
    continuous = torch.stack([factors.x, factors.y, factors.size], 1)

    def loss(step: int, g: torch.Generator) -> Tensor:
        index = data.pick(len(factors), batch, g)
        x = data.floats(images[index])
        if name != "embedding":
            x = disturbed(x, g)
        shape, colour, style, *place = model(x.to(device))
        own = factors[index]
        total = F.cross_entropy(shape, own.shape.to(device)) + F.cross_entropy(colour, own.colour.to(device))
        total = total + F.cross_entropy(style, own.style.to(device))
        return total + 20 * (place[0] - continuous[index].to(device)).square().mean() if place else total

    return fit(name, model, loss, steps, folder, lr=2e-3)


def disturbed(images: Tensor, g: torch.Generator) -> Tensor:
    """Noise of a strength up to .2, and every other picture blurred, so that a generator's flaws are read through."""
    n = len(images)
    blur = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    share = torch.rand(n, 1, 1, 1, generator=g) * (torch.rand(n, 1, 1, 1, generator=g) < 0.5)
    noise = torch.rand(n, 1, 1, 1, generator=g) * 0.2 * torch.randn(images.shape, generator=g)
    return (1 - share) * images + share * blur + noise


def train_style(vae: AutoencoderKL, folder: Path, steps: int, device: str, batch: int = 64) -> nn.Module:
    """The style classifier on latents of the balanced world with a little noise."""
    torch.manual_seed(7)
    model = build("style").to(device)
    factors, images = data.balanced(20_000, seed=7)
    with torch.no_grad():
        parts = [vae.encode(data.floats(part, device)).latent_dist.mean for part in images.split(500)]
    latents = torch.cat(parts) * vae.config.scaling_factor

    def loss(step: int, g: torch.Generator) -> Tensor:
        index = data.pick(len(factors), batch, g)
        noise = 0.3 * torch.rand(batch, 1, 1, 1, generator=g) * torch.randn(latents[index].shape, generator=g)
        return F.cross_entropy(model(latents[index] + noise.to(device)), factors.style[index].to(device))

    return fit("style", model, loss, steps, folder, lr=2e-3)
