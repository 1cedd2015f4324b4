"""Classifier-free guidance with eight small networks on the ring of ten modes, label 0 on modes 0 to 4 (chapter 2).

Each network learns with its label dropped in a fifth of the samples; the controls learn with labels dealt at random.
Not yet run with eight networks: about three minutes on one idle core.
"""

import torch
from torch import Tensor

from course_lib.denoisers import MLPDenoiser, cfg, interval, ring
from course_lib.metrics import nearest_mode, on_mode
from course_lib.samplers import geometric, sample
from course_lib.tools.precompute import save
from course_lib.training import denoising_loss, train

SEEDS, STEPS, BATCH, N, DROP = 8, 3000, 256, 2000, 0.2
HIGH, LOW, SIGMA_DATA, RATE = 5.0, 0.02, 0.71, 0.01
WEIGHTS = (0.0, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
WINDOW = (0.1, 0.6)
RING = ring(10)


def counts(x: Tensor) -> Tensor:
    """Samples within 3 s of each mode, (N, 2) -> (10,); the rest is on none."""
    there = on_mode(x, RING.means, 3 * float(RING.s[0]))
    return torch.bincount(nearest_mode(x, RING.means)[there], minlength=10)


def trained(seed: int, shuffled: bool = False) -> MLPDenoiser:
    """A network that knows two labels, modes 0 to 4 and 5 to 9; `shuffled` deals them at random."""
    torch.manual_seed(seed)  # the first weights
    g = torch.Generator().manual_seed(seed)
    net = MLPDenoiser(labels=2, sigma_data=SIGMA_DATA)

    def batches():
        for _ in range(STEPS):
            x0 = RING.sample(BATCH, g)
            label = nearest_mode(x0, RING.means) // 5
            label = torch.randint(2, (BATCH,), generator=g) if shuffled else label
            label = label.masked_fill(torch.rand(BATCH, generator=g) < DROP, 2)
            yield (
                x0,
                HIGH * (LOW / HIGH) ** torch.rand(BATCH, 1, generator=g),
                torch.randn(BATCH, 2, generator=g),
                label,
            )

    def loss_of(batch):
        x0, sigma, eps, label = batch
        return denoising_loss(lambda x, s: net(x, s, label), x0, sigma, eps, SIGMA_DATA)

    for _ in train(loss_of, net.parameters(), batches(), RATE):
        pass
    return net


def draw(net: MLPDenoiser, w, levels: int, seed: int) -> Tensor:
    """Counts of samples with label 0 at weight w, -> (10,)."""
    x = HIGH * torch.randn(N, 2, generator=torch.Generator().manual_seed(100 + seed))
    return counts(sample(cfg(net.given(0), net, w), x, geometric(HIGH, LOW, levels)))


def main() -> None:
    """Every weight at 40 levels, none at 80 (the same number of calls), a window, and the controls."""
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    rows = {"guided": [], "window": [], "none": [], "shuffled": []}
    for seed in range(SEEDS):
        net, control = trained(seed), trained(seed, shuffled=True)
        rows["guided"].append(torch.stack([draw(net, w, 40, seed) for w in WEIGHTS]))
        rows["window"].append(draw(net, interval(4.0, *WINDOW), 40, seed))
        rows["none"].append(draw(net, 1.0, 80, seed))
        rows["shuffled"].append(torch.stack([draw(control, w, 40, seed) for w in WEIGHTS]))
    save("ch02_guidance", {"weights": WEIGHTS, **{key: torch.stack(value) for key, value in rows.items()}})


if __name__ == "__main__":
    main()
