"""Pictures of one prompt at three guidance weights, measured against the world's own pictures of it (chapter 9).

Eight sets of 48 pictures of "a blue square" a weight, 25 DDIM steps, the same starts at each weight. Not yet run
with eight: about six minutes on one idle core.
"""

import torch
from torch import Tensor

from course_lib import features, metrics, world
from course_lib.stable_diffusion import StableDiffusion
from course_lib.tools.precompute import save
from course_lib.tools.precompute.ch09_gaps import digests

PROMPT, FIXED = "a blue square", {"shape": "square", "colour": "blue"}
WEIGHTS, SETS, N, GROUP, STEPS, K = (1.0, 3.0, 7.5), 8, 48, 8, 25, 5
COLUMNS = (
    "Frechet default",
    "Frechet location",
    "Frechet style",
    "precision",
    "recall",
    "coverage",
    "Vendi default",
    "CLIP score",
    "shape right",
    "colour right",
    "styles",
    "cells in a group",
    "similarity in a group",
)


class Ruler:
    """The numbers of COLUMNS for a set of pictures of PROMPT, against a set of the world's."""

    def __init__(self):
        network = features.load_network("embedding")
        makers = (features.default_embedding, features.location_embedding, features.style_embedding)
        self.takers = [make(network) for make in makers]
        self.oracle, self.clip = features.Oracle(), features.load_clip()
        self.text = self.clip.texts([PROMPT])
        self.right = {"shape": world.SHAPES.index(FIXED["shape"]), "colour": world.COLOURS.index(FIXED["colour"])}

    def embed(self, images: Tensor) -> list[Tensor]:
        return [x.double() for x in features.embed(images, self.takers, batch=32).values()]

    def __call__(self, images: Tensor, reference: Tensor) -> Tensor:
        """(N, 3, 48, 48), (N, 3, 48, 48) -> (columns,)."""
        default, known, read = self.embed(images), self.embed(reference), self.oracle(images, batch=32)
        h = metrics.squared_distances(known[0]).median() / 4
        prdc = metrics.prdc(known[0], default[0], K)
        numbers = [metrics.frechet(x, y) for x, y in zip(default, known)]
        numbers += [prdc.precision, prdc.recall, prdc.coverage]
        numbers += [metrics.vendi(torch.exp(-metrics.squared_distances(default[0]) / h))]
        numbers += [metrics.clip_score(self.clip(images), self.text).mean()]
        numbers += [(getattr(read, name) == value).double().mean() for name, value in self.right.items()]
        numbers += [metrics.factor_entropy(read.style)]
        numbers += [9 * metrics.factor_coverage(read.cell.reshape(-1, GROUP), 9).mean()]
        numbers += [torch.stack([metrics.in_batch_similarity(x) for x in default[0].split(GROUP)]).mean()]
        return torch.tensor([float(number) for number in numbers], dtype=torch.float64)


def worlds(seed: int) -> Tensor:
    """N pictures of PROMPT as the world draws them."""
    return world.render(world.draw(N, torch.Generator().manual_seed(seed), **FIXED))


def main(sets: int = SETS) -> None:
    """Each weight, and twice the world against itself -> measured (weights + 2, sets, columns), and names."""
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    sd, ruler = StableDiffusion.load("tiny", device="cpu"), Ruler()
    rows = []
    for w in WEIGHTS:
        drawn = [sd.generate(PROMPT, range(N * i, N * i + N), steps=STEPS, w=w, chunk=24) for i in range(sets)]
        rows.append(torch.stack([ruler(images, worlds(i)) for i, images in enumerate(drawn)]))
    rows += [torch.stack([ruler(worlds(first + i), worlds(i)) for i in range(sets)]) for first in (100, 200)]
    names = ("unet/diffusion_pytorch_model.safetensors", "embedding.safetensors", "oracle.safetensors")
    results = {"measured": torch.stack(rows), "columns": list(COLUMNS), "w": list(WEIGHTS), "weights": digests(*names)}
    save("ch09_guidance", results)


if __name__ == "__main__":
    main()
