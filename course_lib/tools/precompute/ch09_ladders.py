"""Every metric of chapter 9 on ladders whose true diversity is known, with eight seeds.

Five ladders of six rungs, 200 pictures a rung, each measured against a reference set of 200. Not yet run with eight:
about four minutes on one idle core.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from course_lib import features, metrics, world
from course_lib.guidance import rbf
from course_lib.tools.precompute import save
from course_lib.tools.precompute.ch09_gaps import digests

SEEDS, N, K = 8, 200, 5
RUNGS = {
    "modes": (1, 3, 6, 12, 24, 36),
    "positions": (0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
    "mixture": (0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
    "noise": (0.0, 0.02, 0.05, 0.1, 0.2, 0.4),
    "copies": (200, 100, 50, 20, 10, 5),
}
# What counts as better: 1 more, -1 less.
METRICS = {
    "Frechet default": -1,
    "Frechet location": -1,
    "Frechet style": -1,
    "KID": -1,
    "precision": 1,
    "recall": 1,
    "density": 1,
    "coverage": 1,
    "Vendi default": 1,
    "Vendi style": 1,
    "1 - similarity": 1,
    "DIV": 1,
    "PRES": -1,
    "CLIP score": 1,
    "oracle pairs": 1,
    "oracle cells": 1,
}


def ladder(name: str, seed: int) -> Iterator[Tensor]:
    """The sets of pictures of one ladder, from its first rung to its last, each (N, 3, 48, 48)."""
    g = torch.Generator().manual_seed(1000 * list(RUNGS).index(name) + seed)
    full = world.draw(N, g, shape=world.HEAD)
    u, eps = torch.rand(N, generator=g), torch.randn(N, 3, 48, 48, generator=g)
    order = torch.randperm(36, generator=g)
    for rung in RUNGS[name]:
        if name == "modes":
            pair = order[(u * rung).long()]
            yield world.render(replace(full, shape=pair // 6, colour=pair % 6))
        elif name == "positions":
            yield world.render(replace(full, x=0.5 + rung * (full.x - 0.5), y=0.5 + rung * (full.y - 0.5)))
        elif name == "mixture":
            kept = (u < rung).long()
            yield world.render(replace(full, shape=full.shape * kept, colour=full.colour * kept))
        elif name == "noise":
            yield world.render(full) + rung * eps
        else:
            yield world.render(full)[torch.arange(N) % rung]


@dataclass
class Judge:
    """All metrics of a set of pictures against one reference set and one subject, five pictures of a red circle."""

    reference: Tensor
    subject: Tensor

    def __post_init__(self):
        network = features.load_network("embedding")
        makers = (features.default_embedding, features.location_embedding, features.style_embedding)
        self.takers = [make(network) for make in makers]
        self.network, self.oracle, self.clip = network, features.Oracle(), features.load_clip()
        self.text = self.clip.texts(["a shape"])
        self.known, self.mine = self.embed(self.reference), self.embed(self.subject)
        self.h = [
            metrics.squared_distances(x)[torch.triu(torch.ones(len(x), len(x)), 1) > 0].median() / 4 for x in self.known
        ]

    def embed(self, images: Tensor) -> list[Tensor]:
        return [x.double() for x in features.embed(images, self.takers, batch=32).values()]

    def blocks(self, images: Tensor) -> list[Tensor]:
        """The first two blocks for DIV, thinned to every other place."""
        parts = [self.network.blocks(part)[:2] for part in images.split(32)]
        return [torch.cat(maps)[..., ::2, ::2] for maps in zip(*parts)]

    def __call__(self, images: Tensor) -> list[float]:
        """The numbers of METRICS, in their order."""
        default, location, style = ours = self.embed(images)
        reading = self.oracle(images, batch=32)
        pictures = torch.cat([self.clip(part) for part in images.split(32)])
        numbers = [metrics.frechet(x, known) for x, known in zip(ours, self.known)]
        numbers += [metrics.kid(default, self.known[0]), *metrics.prdc(self.known[0], default, K)]
        numbers += [metrics.vendi(rbf(default, self.h[0])), metrics.vendi(rbf(style, self.h[2]))]
        numbers += [1 - metrics.in_batch_similarity(default), metrics.div(self.blocks(images))]
        numbers += [metrics.pres(default, self.mine[0]), metrics.clip_score(pictures, self.text).mean()]
        numbers += [metrics.factor_entropy(reading.shape, reading.colour), metrics.factor_entropy(reading.cell)]
        return [float(number) for number in numbers]


def judge(seed: int) -> Judge:
    """A reference set and a subject of their own for each seed."""
    g = torch.Generator().manual_seed(10_000 + seed)
    reference = world.draw(N, g, shape=world.HEAD)
    return Judge(world.render(reference), world.render(world.draw(5, g, shape="circle", colour="red", style="flat")))


def climbed(name: str, seed: int, judged: Judge) -> Tensor:
    """One ladder under one seed, -> (rungs, metrics)."""
    return torch.tensor([judged(images) for images in ladder(name, seed)], dtype=torch.float64)


def main(seeds: int = SEEDS) -> None:
    """All ladders -> arrays (seeds, rungs, metrics), one a ladder, and names."""
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    rows = {name: [] for name in RUNGS}
    for seed in range(seeds):
        judged = judge(seed)
        for name in RUNGS:
            rows[name].append(climbed(name, seed, judged))
    results = {name: torch.stack(values) for name, values in rows.items()}
    names = ("embedding.safetensors", "oracle.safetensors", "clip/model.safetensors")
    save("ch09_ladders", {**results, "metrics": list(METRICS), "weights": digests(*names)})


if __name__ == "__main__":
    main()
