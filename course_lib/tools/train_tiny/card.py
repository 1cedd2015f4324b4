"""The model card of `tiny`."""

from course_lib import world

_TEXT = """# tiny

A latent text-to-image model of Stable Diffusion's build, trained from nothing on the small image world of this course
(`course_lib/world.py`) by `course train-tiny`: CLIP text encoder, KL autoencoder (factor 4, latents 12 x 12 x 4),
cross-attention UNet (v-prediction), DDIM scheduler with Stable Diffusion 2's noise levels. Half precision on disk.

* **For**: teaching and testing methods that change how a diffusion model samples. It draws one shape on grey.
* **Data**: {pictures} rendered pictures of 48 x 48 with captions; shape-colour pairs follow Zipf's law, and rare shapes
  have {counts} pictures. CLIP, the autoencoder and the readers saw the balanced world, only the UNet the long tail.
* **Beside the pipeline**: `clip/` (the whole CLIP), `oracle` and `oracle2` (read the factors of a picture, trained
  apart), `style` (names the style of a latent), `embedding` (stands in for Inception). `style_levels` names the style
  at every noise level; `course train-style` makes it afterwards, `style_levels.json` has its accuracies.
* **Licence**: MIT, like the course. No third-party data or weights went into it.

## Measured quality
25 DDIM steps; 512 pictures a line, 96 for each rare shape; read by the first oracle unless it says otherwise.

| figure | value |
|---|---|
{rows}
"""


def card(figures: dict[str, float]) -> str:
    """The card as Markdown, with the figures of `evaluate.quality`."""
    rows = "\n".join(f"| {name} | {value:.3f} |" for name, value in figures.items())
    counts = ", ".join(str(count) for count in world.TAIL_COUNTS.values())
    return _TEXT.format(pictures=f"{world.PICTURES:,}", counts=counts, rows=rows)
