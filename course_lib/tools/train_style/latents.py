"""Latents whose style is known: renders of the small world, or what a model draws for "{subject} by {artist}"."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm import tqdm

from course_lib.stable_diffusion import StableDiffusion
from course_lib.tools.train_tiny import data
from course_lib.world import STYLES


@dataclass(frozen=True)
class Styled:
    """Latents (N, C, H, W) with the index of their style (N,), for training and held out; the names of the styles."""

    latents: Tensor
    style: Tensor
    held_out: Tensor
    held_out_style: Tensor
    styles: tuple[str, ...]


def of_the_world(sd: StableDiffusion, n: int = 40_000, held_out: int = 4_000) -> Styled:
    """n pictures of the balanced world and others held out, encoded."""
    parts = []
    for count, seed in ((n, 8), (held_out, 108)):
        factors, images = data.balanced(count, seed)
        with torch.no_grad():
            parts += [torch.cat([sd.encode(data.floats(part, sd.device)) for part in images.split(500)]).cpu()]
        parts += [factors.style]
    return Styled(*parts, tuple(STYLES))


def generated(
    sd: StableDiffusion, styles: Sequence[str], subjects: Sequence[str], seeds: int, steps: int, w: float, folder: Path
) -> Styled:
    """What the model draws for every subject by every artist, `seeds` pictures each; the last fifth of the subjects is
    held out. A file a prompt in `folder`, written whole, so that a run that was stopped goes on where it was.
    """
    folder.mkdir(parents=True, exist_ok=True)
    last = len(subjects) - max(1, len(subjects) // 5)
    prompts = [(i, j) for i in range(len(subjects)) for j in range(len(styles))]
    rows = {True: ([], []), False: ([], [])}
    for i, j in tqdm(prompts, desc="pictures", mininterval=2.0):
        path = folder / f"{i:03d}_{j:03d}.safetensors"
        if not path.is_file():
            first = (i * len(styles) + j) * seeds
            z = sd.generate(
                f"{subjects[i]} by {styles[j]}", range(first, first + seeds), steps=steps, w=w, decode=False
            )
            part = path.with_suffix(".part")
            save_file({"latents": z.cpu().contiguous()}, part)
            part.replace(path)
        latents, style = rows[i >= last]
        latents.append(load_file(path)["latents"])
        style.append(torch.full((len(latents[-1]),), j))
    (held, held_style), (own, own_style) = ([torch.cat(part) for part in rows[which]] for which in (True, False))
    return Styled(own, own_style, held, held_style, tuple(styles))
