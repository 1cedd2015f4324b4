"""t-SNE, UMAP and Isomap of the digits: where a point lands that leaves the data (chapter 13).

Eight random sets of 600 digits are mapped to the plane. Then 100 other digits are moved off the data by noise of
standard deviation 0, .5 and 2, and put into the map by `transform`, where there is one. Stored: how far each lands from
the nearest mapped digit, in units of the map's median distance between neighbours; beside it the residual of the
nearest neighbours in 64 dimensions, which is a distance. The rule, written before any run: the map tells
off from on if the mean landing distance at 2 exceeds that at 0 by more than half, one-sided 1 % over the sets.

Needs scikit-learn and umap-learn: pip install scikit-learn umap-learn. About three minutes on one core.
"""

import numpy as np
import torch

from course_lib.penalties import nearest_neighbours
from course_lib.small_pictures import digits
from course_lib.tools.precompute import save

HALVES, NOISE, MOVED, MAPS = 8, (0.0, 0.5, 2.0), 100, ("t-SNE", "UMAP", "Isomap")
MAPPED = 600


def makers(seed: int) -> dict:
    """A map of each kind, not yet fitted."""
    from sklearn.manifold import TSNE, Isomap
    from umap import UMAP

    return {
        "t-SNE": TSNE(random_state=seed, init="pca"),
        "UMAP": UMAP(random_state=seed, n_jobs=1),
        "Isomap": Isomap(n_neighbors=10),
    }


def nearest(points: np.ndarray, among: np.ndarray, skip: int = 0) -> np.ndarray:
    """Distance of each point to the nearest of others, the first `skip` left out."""
    away = np.linalg.norm(points[:, None] - among[None], axis=-1)
    return np.sort(away, axis=1)[:, skip]


def main() -> None:
    """landing (maps, sets, noise), NaN where there is no `transform`; residual (sets, noise); a map of each kind."""
    pictures, labels = digits()
    x = pictures.flatten(1)
    landing = np.full((len(MAPS), HALVES, len(NOISE)), np.nan)
    residual, placed, shown = np.zeros((HALVES, len(NOISE))), {}, {}
    for half in range(HALVES):
        g = torch.Generator().manual_seed(half)
        order = torch.randperm(len(x), generator=g)
        mine, other = x[order[:MAPPED]], x[order[MAPPED : MAPPED + MOVED]]
        eps = torch.randn(other.shape, generator=g)
        moved = [other + sigma * eps for sigma in NOISE]
        residual[half] = [float(nearest_neighbours(points, mine, 5).mean()) for points in moved]
        for i, (name, maker) in enumerate(makers(half).items()):
            if name in shown and not hasattr(maker, "transform"):
                continue
            flat = maker.fit_transform(mine.numpy())
            unit = np.median(nearest(flat, flat, skip=1))
            if hasattr(maker, "transform"):
                where = [maker.transform(points.numpy()) for points in moved]
                landing[i, half] = [nearest(points, flat).mean() / unit for points in where]
                placed[name] = placed.get(name, np.stack(where))
            shown[name] = shown.get(name, flat)
        print(half, landing[:, half].round(2).tolist(), residual[half].round(1).tolist(), flush=True)
    first = labels[torch.randperm(len(x), generator=torch.Generator().manual_seed(0))[:MAPPED]]
    arrays = {f"map {name}": flat.astype(np.float32) for name, flat in shown.items()}
    arrays |= {f"placed {name}": where.astype(np.float32) for name, where in placed.items()}
    save(
        "ch13_maps",
        {"maps": list(MAPS), "noise": NOISE, "landing": landing, "residual": residual, "labels": first} | arrays,
    )


if __name__ == "__main__":
    main()
