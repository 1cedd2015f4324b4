"""How many pictures go through a network at once: as many as fit, by their size and the memory that is free."""

import os
from collections.abc import Callable

import torch
from torch import Tensor

from course_lib import devices

LARGEST = 2**31  # elements of one tensor: beyond, many kernels' 32-bit indices overflow
COPIES = 4  # tensors of the widest layer that are alive at the same time


def free_memory(device: torch.device) -> float:
    """Bytes that are free on a device; infinite where the machine does not say."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    if device.type == "cpu" and "SC_AVPHYS_PAGES" in getattr(os, "sysconf_names", {}):
        return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return float("inf")


def chunk_size(elements: int, dtype: torch.dtype, free: float, most: int | None = None) -> int:
    """Pictures at once whose widest layer has `elements` numbers a picture: at least 1, at most `most`.

    That layer stays one tensor of fewer than 2**31 elements, and four of it within half of the `free` bytes.
    Raises ValueError unless elements >= 1 and free >= 0.
    """
    if elements < 1 or not free >= 0:
        raise ValueError(f"chunk_size: needs elements >= 1 and free >= 0, got {elements} and {free}.")
    fits = min((LARGEST - 1) // elements, free / 2 / (COPIES * elements * dtype.itemsize))
    bound = max(1, fits) if most is None else min(max(1, fits), most)
    return int(min(bound, LARGEST))


def pictures_at_once(vae, pixels: int) -> int:
    """How many pictures of `pixels` pixels an autoencoder of diffusers takes at once where it lives.

    Its widest layer has the channels of its second block at full size, 256 in Stable Diffusion's.
    """
    widths = vae.config.block_out_channels
    like = next(vae.parameters())
    return chunk_size(widths[min(1, len(widths) - 1)] * pixels, like.dtype, free_memory(like.device))


def particles_at_once(unet, positions: int, most: int = 16) -> int:
    """How many latents of h w = `positions` a U-Net of diffusers takes at once under guidance, at most `most`.

    Two rows a particle; the widest layer is that of attention's feed-forward, eight times its first block's channels.
    """
    like = next(unet.parameters())
    width = 2 * 8 * unet.config.block_out_channels[0] * positions
    return chunk_size(width, like.dtype, free_memory(like.device), most)


def in_chunks(network: Callable[..., Tensor], chunk: int | None, *tensors: Tensor) -> Tensor:
    """network(*tensors) with at most `chunk` rows of them at a time, so that memory does not grow with N."""
    if chunk is not None and not chunk >= 1:
        raise ValueError(f"StableDiffusion: chunk must be at least 1, got {chunk}; None is everything at once.")
    parts = zip(*(tensor.split(chunk or len(tensor)) for tensor in tensors))
    return torch.cat([network(*part) for part in parts])


def encoded(vae, images: Tensor, chunk: int | None = None) -> Tensor:
    """Images in [-1, 1], (N, 3, H, W), to latents (N, C, h, w), the posterior's mean, shifted and scaled; float32.

    `chunk` at a time in an autoencoder of diffusers, or what fits.
    """
    chunk = pictures_at_once(vae, images[0, 0].numel()) if chunk is None else chunk
    mean = in_chunks(lambda part: vae.encode(part).latent_dist.mean, chunk, devices.handed(images, vae))
    return (mean.float() - (vae.config.shift_factor or 0.0)) * vae.config.scaling_factor


def decoded(vae, latents: Tensor, chunk: int | None = None) -> Tensor:
    """The way back, (N, C, h, w) -> (N, 3, H, W), about in [-1, 1]; float32."""
    pixels = latents[0, 0].numel() * 4 ** (len(vae.config.block_out_channels) - 1)
    chunk = pictures_at_once(vae, pixels) if chunk is None else chunk
    z = devices.handed(latents, vae) / vae.config.scaling_factor + (vae.config.shift_factor or 0.0)
    return in_chunks(lambda part: vae.decode(part).sample, chunk, z).float()
