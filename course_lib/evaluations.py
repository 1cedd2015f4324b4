"""What somebody has run at full size with `course evaluate` and stored: numbers with their card and their date."""

import io
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from course_lib.claims import RESULTS, stored

PREFIX = "evaluate_"


@dataclass(frozen=True)
class Evaluation:
    """A stored run of a protocol: P prompts, M sets, K embeddings; numbers are nan where there was none.

    distance and gap are (P, M, K), each with its bootstrapped standard error beside; strength and calls (P, M); seconds
    and peak bytes (M,), of a picture and of the process. `sheet` are rows of thumbnails in [-1, 1], (M, 3, height,
    width), or None.
    """

    protocol: str
    title: str
    model: str
    dtype: str
    card: str
    date: str
    pictures: int
    prompts: list[str]
    sets: list[str]
    kinds: list[str]
    distance: Tensor
    distance_error: Tensor
    gap: Tensor
    gap_error: Tensor
    calls: Tensor
    strength: Tensor
    seconds: Tensor
    peak: Tensor
    sheet: Tensor | None

    def __str__(self) -> str:
        """What ran, where and when, in one line."""
        several = "s" if len(self.prompts) > 1 else ""
        size = f"{self.pictures} pictures a set of {len(self.prompts)} prompt{several}"
        return f"{self.title}: {self.model} in {self.dtype} on {self.card}, {self.date}, {size}"

    def table(self, prompt: str | None = None) -> str:
        """Distance to the maximum set and share of the gap closed, one line a set, of the first prompt or another.

        Headed by the line of card and date. Raises ValueError for a prompt that was not run.
        """
        prompt = self.prompts[0] if prompt is None else prompt
        if prompt not in self.prompts:
            raise ValueError(f"table: prompt must be one of {', '.join(self.prompts)}, got {prompt!r}.")
        p = self.prompts.index(prompt)
        heads = [*(f"FD {kind}" for kind in self.kinds), *(f"gap {kind}" for kind in self.kinds), "strength"]
        lines = [str(self), f"{prompt:30s}" + "".join(f"{head:>17s}" for head in heads)]
        for m, name in enumerate(self.sets):
            numbers = [*zip(self.distance[p, m], self.distance_error[p, m]), *zip(self.gap[p, m], self.gap_error[p, m])]
            cells = [_cell(float(mean), float(error)) for mean, error in numbers]
            lines.append(
                f"{name:30s}" + "".join(f"{one:>17s}" for one in [*cells, f"{float(self.strength[p, m]):.3g}"])
            )
        return "\n".join(lines)


def _cell(mean: float, error: float) -> str:
    """A number and its standard error, or a dash where there is none."""
    if mean != mean:
        return "-"
    return f"{mean:.3g}" + (f" ± {error:.2g}" if error == error else "")


def evaluation(protocol: str) -> Evaluation | None:
    """The stored run of a protocol, or None where nobody has stored one; raises ValueError for a damaged file."""
    if not (RESULTS / f"{PREFIX}{protocol}.npz").is_file():
        return None
    arrays = stored(f"{PREFIX}{protocol}")
    texts = {name: str(arrays[name]) for name in ("protocol", "title", "model", "dtype", "card", "date")}
    lists = {name: arrays[name].tolist() for name in ("prompts", "sets", "kinds")}
    numbers = ("distance", "distance_error", "gap", "gap_error", "calls", "strength", "seconds", "peak")
    return Evaluation(
        **texts,
        **lists,
        **{name: torch.from_numpy(arrays[name]) for name in numbers},
        pictures=int(arrays["pictures"]),
        sheet=_rows(arrays["sheet"], len(lists["sets"])) if "sheet" in arrays else None,
    )


def _rows(jpeg: np.ndarray, count: int) -> Tensor:
    """The bytes of a JPEG of `count` rows of thumbnails as one picture a row, (count, 3, height, width) in [-1, 1]."""
    with Image.open(io.BytesIO(jpeg.tobytes())) as image:
        whole = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).float() / 127.5 - 1
    return torch.stack(whole.chunk(count, 1))
