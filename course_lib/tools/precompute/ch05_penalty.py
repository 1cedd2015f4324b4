"""Small denoisers trained with a manifold penalty: never, always, at low noise only, at high noise only (chapter 5).

Eight seeds of each on the circle of two unequal arcs, always and at low noise at three strengths; chapter 5 trains one
more of the first three itself. Of the first seed 400 samples are kept to look at. About eight minutes on one idle core.
"""

import torch
from torch import Tensor

from course_lib.denoisers import MLPDenoiser
from course_lib.manifolds import Circle
from course_lib.samplers import geometric, sample
from course_lib.tools.precompute import folder_of, kept, save
from course_lib.training import manifold_loss, train

SEEDS, STEPS, BATCH, N, RATE, LOOK = tuple(range(1, 9)), 1500, 256, 4000, 3e-3, 400
HIGH, LOW, LAMS, GATE = 5.0, 0.02, (0.1, 1.0, 10.0), 1 / 3
LAW = Circle((0.0, torch.pi), (8.0, 8.0), (0.86, 0.14))


def squared_distance(x: Tensor) -> Tensor:
    """Squared distance to the circle, (N, 2) -> (N,)."""
    return LAW.distance(x) ** 2


def loss_with(net: MLPDenoiser, kind: str, lam: float):
    """The loss of one kind of penalty, on (x0, sigma, eps)."""

    def high_only(x0, sigma, eps):
        weights = lam * (sigma[:, 0] >= GATE)
        return manifold_loss(net, x0, sigma, eps, lambda x: weights * squared_distance(x), 1.0)

    kinds = {
        "none": lambda *b: manifold_loss(net, *b, squared_distance, 0.0),
        "always": lambda *b: manifold_loss(net, *b, squared_distance, lam),
        "low": lambda *b: manifold_loss(net, *b, squared_distance, lam, GATE),
        "high": high_only,
    }
    return lambda batch: kinds[kind](*batch)


def trained(seed: int, kind: str, lam: float) -> MLPDenoiser:
    """A network with this seed's first weights and batches."""
    torch.manual_seed(seed)
    g, net = torch.Generator().manual_seed(seed), MLPDenoiser(sigma_data=0.7)

    def batches():
        for _ in range(STEPS):
            level = HIGH * (LOW / HIGH) ** torch.rand(BATCH, 1, generator=g)
            yield LAW.sample(BATCH, g), level, torch.randn(BATCH, 2, generator=g)

    for _ in train(loss_with(net, kind, lam), net.parameters(), batches(), RATE):
        pass
    return net


def measured(seed: int, kind: str, lam: float) -> dict[str, Tensor]:
    """Mean distance to the circle and share of the rare arc (2,), and the first samples (LOOK, 2)."""
    torch.set_default_dtype(torch.float64)
    g = torch.Generator().manual_seed(100 + seed)
    start = LAW.sample(N, g) + HIGH * torch.randn(N, 2, generator=g)
    x = sample(trained(seed, kind, lam), start, geometric(HIGH, LOW, 40))
    return {"numbers": torch.stack([LAW.distance(x).mean(), (x[:, 0] < 0).double().mean()]), "x": x[:LOOK].half()}


def main() -> None:
    """-> none, high (seeds, 2), the latter at the largest strength; always, low (strengths, seeds, 2); x_KIND.

    x_KIND are the samples of the first seed, (LOOK, 2) or (strengths, LOOK, 2).
    """
    torch.set_num_threads(1)
    folder, rows = folder_of(__file__), {}
    for kind, lams in {"none": LAMS[-1:], "always": LAMS, "low": LAMS, "high": LAMS[-1:]}.items():
        found = [[kept(folder, f"{kind}-{lam:g}-{seed}", measured, seed, kind, lam) for seed in SEEDS] for lam in lams]
        rows[kind] = torch.stack([torch.stack([one["numbers"] for one in row]) for row in found]).squeeze(0)
        rows[f"x_{kind}"] = torch.stack([row[0]["x"] for row in found]).squeeze(0)
    save("ch05_penalty", {"lams": LAMS, **rows})


if __name__ == "__main__":
    main()
