"""Rank and learning rate of an adapter together: the numbers of `ch07_lora` for three ranks at five rates.

The same base, subjects and seeds, so the column of the rate .005 repeats three rows of its table. About two minutes on
one idle core.
"""

import torch

from course_lib.tools.precompute import save
from course_lib.tools.precompute.ch07_lora import SEEDS, introduced, numbers, pictures, trained, tuned

RANKS = (1, 4, 64)
RATES = (5e-4, 1e-3, 2e-3, 5e-3, 1e-2)


def main() -> None:
    """Effective modes, share on a mode, fidelity and share memorised, (seeds, ranks, rates, 4)."""
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    plain, found = trained(0), []
    for seed in range(SEEDS):
        base, points = introduced(plain, seed), pictures(seed)
        found.append([[numbers(tuned(base, points, seed, rank=r, lr=lr), points) for lr in RATES] for r in RANKS])
    save("ch07_rates", {"ranks": RANKS, "rates": RATES, "found": torch.tensor(found).float()})


if __name__ == "__main__":
    main()
