"""What every set of pictures must be before a reader looks at it, and resizing them as clean-fid does, in torch."""

import torch
import torch.nn.functional as F
from torch import Tensor

FAR = 10.0  # a decoder's overshoot stays well below, pictures from 0 to 255 do not
SCALED = "scale those from 0 to 255 by x / 127.5 - 1"


def checked(images: Tensor, name: str) -> Tensor:
    """The pictures as they are, if they are (N, 3, H, W) real numbers about [-1, 1].

    Raises ValueError for another shape, no picture, integers, values that are not finite or beyond 10. Inside a graph
    or a vmap, where a decoder has just made them, values are not looked at: a device would have to be waited for.
    """
    if images.ndim != 4 or images.shape[1] != 3 or not len(images):
        raise ValueError(f"{name}: pictures have shape (N, 3, H, W) with N >= 1, got {tuple(images.shape)}.")
    if not images.is_floating_point():
        raise ValueError(f"{name}: pictures are real numbers in [-1, 1], got {images.dtype}; {SCALED}.")
    if not (images.requires_grad or torch._C._functorch.is_batchedtensor(images)):
        low, high = torch.stack(images.aminmax()).tolist()
        if not (low >= -FAR and high <= FAR):  # so is every comparison with NaN
            finite("these pictures", images, name)
            raise ValueError(f"{name}: pictures lie in [-1, 1], got values from {low:.3g} to {high:.3g}; {SCALED}.")
    return images


def finite(what: str, values: Tensor, name: str) -> None:
    """Raises ValueError for values that are not all finite."""
    if not values.isfinite().all():
        raise ValueError(f"{name}: {what} hold values that are not finite; look at what made them.")


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
