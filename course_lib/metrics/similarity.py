"""Mean similarities between images, and between images and texts: PRES, DIV and the CLIP score."""

from collections.abc import Sequence

import torch
from torch import Tensor

from course_lib.checks import number, numeric, shown
from course_lib.metrics.checks import checked, checked_pair, unit


def pres(generated: Tensor, subject: Tensor) -> Tensor:
    """Mean cosine between generated images of a class and the real images of one subject (9.12), (N, d), (M, d) -> ().

    High: the class has collapsed onto the subject it was fine-tuned on. Computed in O((N + M) d). Raises ValueError for
    shapes that do not fit, values that are not finite, or a vector of length 0. Source: PRES of Ruiz et al. (2023),
    section 4.3, there in DINO features.
    """
    generated, subject = checked_pair(generated, subject, "pres", ("generated", "subject"), least=1)
    return unit(generated, "pres").mean(0) @ unit(subject, "pres").mean(0)


def div(layers: Tensor | Sequence[Tensor], groups: Tensor | None = None) -> Tensor:
    """Mean perceptual distance between two generated images of the same subject and prompt (9.13), -> ().

    Distance of a pair: sum over layers of the mean over positions of |u - v|**2 = 2 - 2 cos for channel vectors of
    length 1 (LPIPS with weights 1). `layers` are feature maps (N, C, H, W), one or several, or features (N, d), which
    count as one position; a vector of 0 stays 0. `groups` (N,) number the prompts, all one if None: pairs are taken
    within a group, and groups count equally. Computed in O(N d). Raises ValueError for shapes that do not fit, values
    that are not finite, or a group of one. Source: DIV of Ruiz et al. (2023), section 4.3; LPIPS by Zhang et al.
    (2018), eq. (1).
    """
    if isinstance(layers, str) or not isinstance(layers, Tensor | Sequence):
        raise ValueError(f"div: layers must be a tensor or a list of tensors, got {shown(layers)}.")
    layers = [layers] if isinstance(layers, Tensor) else [numeric(layer, "div: a layer") for layer in layers]
    parts = [_perceptual(layer) for layer in layers] or [torch.zeros(0, 1)]
    if len({len(part) for part in parts}) > 1:
        raise ValueError(f"div: every layer needs the same images, got {[len(part) for part in parts]}.")
    z = torch.cat(parts, 1)
    groups = torch.zeros(len(z), dtype=torch.long) if groups is None else numeric(groups, "div: groups")
    if groups.shape != (len(z),):
        raise ValueError(f"div: needs one group for each of the {len(z)} images, got {tuple(groups.shape)}.")
    groups = groups.to(z.device)
    members = [z[groups == group] for group in groups.unique()]
    if not members or min(map(len, members)) < 2:
        raise ValueError(f"div: every group needs at least 2 images, got {[len(one) for one in members]}.")
    return torch.stack([_mean_pair(one) for one in members]).mean()


def _perceptual(maps: Tensor) -> Tensor:
    """Vectors whose squared distance is one layer's term of (9.13), (N, C, H, W) -> (N, C H W)."""
    if maps.ndim not in (2, 4) or 0 in maps.shape:
        raise ValueError(f"div: a layer must be (N, C, H, W) or (N, d), got {tuple(maps.shape)}.")
    maps = maps if maps.ndim == 4 else maps[:, :, None, None]
    flat = checked(maps.flatten(1), "div: a layer", least=1).view(maps.shape)
    length = torch.linalg.vector_norm(flat, dim=1, keepdim=True)
    return (flat / length.where(length > 0, torch.ones_like(length)) / maps[0, 0].numel() ** 0.5).flatten(1)


def _mean_pair(z: Tensor) -> Tensor:
    """Mean |z_i - z_j|**2 over pairs of different rows, without the pairs: 2 n / (n - 1) times the variance."""
    return 2 * (z - z.mean(0)).square().sum() / (len(z) - 1)


def clip_score(images: Tensor, texts: Tensor, scale: float = 100.0) -> Tensor:
    """CLIP score of each image and its text, scale max(0, cos) (9.14), (N, d), (N, d) -> (N,); their mean is the set's.

    `texts` may be one embedding (1, d) for all images. Scale 100 is torchmetrics', 2.5 the paper's. Raises ValueError
    for shapes that do not fit, values that are not finite, a vector of length 0, or a scale that is not positive.
    Source: Hessel et al. (2021), eq. (1).
    """
    images, texts = checked_pair(images, texts, "clip_score", ("images", "texts"), least=1)
    if len(texts) not in (1, len(images)):
        raise ValueError(f"clip_score: needs one text, or one for each of {len(images)} images, got {len(texts)}.")
    number(scale, "clip_score: scale", above=0)
    return scale * (unit(images, "clip_score") * unit(texts, "clip_score")).sum(1).clamp(min=0)
