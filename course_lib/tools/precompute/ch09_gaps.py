"""How much of the gap to the maximum diversity set is closed by sets in which one factor is free (chapter 9).

Sixteen base pictures; for each the sets of FREE, 400 pictures each, in four embeddings of the world's network. Beside
it, what the filter that shrinks a picture does to a distance. About two minutes on one core.
"""

import hashlib

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib import features, world
from course_lib.features.tiny import shipped
from course_lib.metrics import frechet_parts
from course_lib.tools.precompute import save

SEEDS, N, WIDE, SHRUNK = 16, 400, 144, 200
FREE = {
    "minimum": (),
    "minimum again": (),
    "position": ("x", "y"),
    "colour": ("colour",),
    "style": ("style",),
    "shape": ("shape",),
    "colour and style": ("colour", "style"),
    "floor": ("shape", "colour", "style", "x", "y"),
    "maximum": ("shape", "colour", "style", "x", "y"),
}
FILTERS = {
    "clean": lambda images: features.resize_clean(images, 48),
    "bilinear, averaging": lambda images: F.interpolate(images, (48, 48), mode="bilinear", antialias=True),
    "bilinear": lambda images: F.interpolate(images, (48, 48), mode="bilinear"),
    "nearest": lambda images: F.interpolate(images, (48, 48), mode="nearest"),
}


def digests(*names: str) -> list[str]:
    """SHA-256 of shipped weights, which says on which model a result was made."""
    return [hashlib.sha256(shipped(name).read_bytes()).hexdigest() for name in names]


def embeddings() -> list[features.Embedding]:
    """Default, location, style and Gram of the world's network."""
    network = features.load_network("embedding")
    makers = (features.default_embedding, features.location_embedding, features.style_embedding, features.gram_style)
    return [make(network) for make in makers]


def embedded(factors: world.Factors, takers: list[features.Embedding]) -> list[Tensor]:
    """Embeddings of rendered factors, a few pictures at a time, each (N, dim) float64."""
    return [x.double() for x in features.embed(world.render(factors), takers, batch=32).values()]


def sets(seed: int) -> dict[str, world.Factors]:
    """A base picture, and sets that share it but for their free factors."""
    g = torch.Generator().manual_seed(seed)
    base = world.draw(1, g, shape=world.HEAD)
    fixed = {name: getattr(base, name).item() for name in ("shape", "colour", "style", "x", "y")}
    made = {}
    for name, free in FREE.items():
        held = {factor: value for factor, value in fixed.items() if factor not in free}
        made[name] = world.draw(N, g, **{"shape": world.HEAD, **held})
    return made


def gaps(seed: int, takers: list[features.Embedding]) -> Tensor:
    """Mean, Bures and trace ratio of each set to the maximum, -> (embeddings, sets, 3)."""
    made = {name: embedded(factors, takers) for name, factors in sets(seed).items()}
    maximum = made.pop("maximum")
    rows = [[frechet_parts(x[e], maximum[e])[1:] for x in made.values()] for e in range(len(takers))]
    return torch.tensor(rows, dtype=torch.float64)


def shrunk(seed: int, takers: list[features.Embedding]) -> Tensor:
    """Distance of wide pictures under each filter to others, cleanly shrunk; last, bilinear on both sides.

    -> (embeddings, filters + 1)
    """
    g = torch.Generator().manual_seed(100 + seed)
    wide, other = (world.render(world.draw(SHRUNK, g, shape=world.HEAD), WIDE) for _ in range(2))
    embed = lambda images: list(features.embed(images, takers, batch=32).values())  # noqa: E731
    columns = [embed(shrink(wide)) for shrink in FILTERS.values()]
    clean = embed(FILTERS["clean"](other))
    pairs = [(column, clean) for column in columns]
    pairs.append((columns[list(FILTERS).index("bilinear")], embed(FILTERS["bilinear"](other))))
    return torch.tensor([[frechet_parts(x, y).distance for x, y in zip(*pair)] for pair in pairs]).T


def main(seeds: int = SEEDS) -> None:
    """All base pictures -> parts (seeds, embeddings, sets, 3), shrunk (seeds / 2, embeddings, filters + 1)."""
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    takers = embeddings()
    results = {
        "parts": torch.stack([gaps(seed, takers) for seed in range(seeds)]),
        "shrunk": torch.stack([shrunk(seed, takers) for seed in range(-(-seeds // 2))]),
        "embeddings": [taker.kind for taker in takers],
        "sets": list(FREE)[:-1],
        "filters": [*FILTERS, "bilinear, both"],
        "weights": digests("embedding.safetensors"),
    }
    save("ch09_gaps", results)


if __name__ == "__main__":
    main()
