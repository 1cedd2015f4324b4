"""Makes the two pictures of the front page with the shipped model: eight alike, and eight that repelled each other.

Run `python -m course_lib.tools.front_page` (twenty seconds on one core) after a new training of the model.
"""

import hashlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from course_lib.features import rule_of_thirds
from course_lib.guidance import Above, Repulsion, guided
from course_lib.stable_diffusion import StableDiffusion
from course_lib.tools.evaluate.run import thumbnail

FRONT = Path(__file__).resolve().parents[2] / "book" / "_static" / "front"
PROMPT, SEEDS, STEPS = "a striped square", range(8), 20
COLUMNS, SCALE, GAP = 4, 3, 6


def alike(sd: StableDiffusion) -> torch.Tensor:
    """Eight pictures at the pipeline's usual guidance weight, (8, 3, H, W) in [-1, 1]."""
    return sd.generate(PROMPT, SEEDS, steps=STEPS, w=7.5)


def diverse(sd: StableDiffusion) -> torch.Tensor:
    """From the same starts at weight 3, repelled on x0 in the rule of thirds, (8, 3, H, W) in [-1, 1]."""
    push = Above(1.0, Repulsion(1.0, features=rule_of_thirds, on="x0"))
    return sd.generate(PROMPT, SEEDS, steps=STEPS, w=3.0, method=lambda D: guided(D, push, relative=0.2))


def sheet(pictures: torch.Tensor) -> Image.Image:
    """Pictures (N, 3, H, W) in rows of COLUMNS, enlarged, with transparent gaps."""
    small = [thumbnail(picture.clamp(-1, 1)) for picture in pictures]
    width = small[0].width * SCALE
    rows = -(-len(small) // COLUMNS)
    page = Image.new("RGBA", (COLUMNS * (width + GAP) - GAP, rows * (width + GAP) - GAP))
    for i, one in enumerate(small):
        row, column = divmod(i, COLUMNS)
        large = one.resize((width, width), Image.Resampling.BICUBIC)
        page.paste(large, (column * (width + GAP), row * (width + GAP)))
    return page


def tiles(path: Path) -> torch.Tensor:
    """The pictures of a sheet at their own size, (N, 3, H, W) in [-1, 1]."""
    page = Image.open(path).convert("RGB")
    width = (page.width + GAP) // COLUMNS - GAP
    found = []
    for top in range(0, page.height, width + GAP):
        for left in range(0, page.width, width + GAP):
            tile = page.crop((left, top, left + width, top + width)).resize((width // SCALE,) * 2, Image.Resampling.BOX)
            found.append(torch.from_numpy(np.asarray(tile).copy()).permute(2, 0, 1) / 127.5 - 1)
    return torch.stack(found)


def main() -> None:
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    sd = StableDiffusion.load("tiny", device="cpu")
    FRONT.mkdir(parents=True, exist_ok=True)
    for name, make in (("alike", alike), ("diverse", diverse)):
        sheet(make(sd)).save(FRONT / f"{name}.webp", quality=88)
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in sorted(FRONT.glob("*.webp"))]
    (FRONT / "SHA256SUMS").write_text("\n".join(sums) + "\n")


if __name__ == "__main__":
    main()
