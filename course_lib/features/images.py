"""Resizing pictures as clean-fid does, in torch."""

import torch.nn.functional as F
from torch import Tensor


def resize_clean(images: Tensor, size: int) -> Tensor:
    """Pictures in [-1, 1] resized to size x size by bicubic interpolation that averages where it shrinks, then clamped.

    (N, C, H, W) -> (N, C, size, size), differentiable. As PIL's bicubic filter on each channel in floating point,
    nothing rounded: without the averaging a shrunken stripe becomes another picture. Source: Parmar et al. (2022).
    """
    if images.ndim != 4 or size < 1:
        raise ValueError(
            f"resize_clean: needs (N, C, H, W) and a size of at least 1, got {tuple(images.shape)}, {size}."
        )
    resized = F.interpolate(images, (size, size), mode="bicubic", align_corners=False, antialias=True)
    return resized.clamp(-1, 1)
