"""Rank and learning rate of an adapter together, and full fine-tuning over rates: the numbers of `ch07_lora`.

The same base, subjects and seeds, so the column of the rate .005 repeats three rows of its table, and so does full
fine-tuning at .001. Not yet run with eight seeds: about
eight minutes on one idle core.
"""

import torch

from course_lib.tools.precompute import save
from course_lib.tools.precompute.ch07_lora import SEEDS, introduced, numbers, pictures, trained, tuned

RANKS = (1, 4, 64)
RATES = (5e-4, 1e-3, 2e-3, 5e-3, 1e-2)
FULL = (1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3)


def main() -> None:
    """Effective modes, share on a mode, fidelity and share memorised, (seeds, ranks, rates, 4), (seeds, rates, 4)."""
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    plain, found, full = trained(0), [], []
    for seed in range(SEEDS):
        base, points = introduced(plain, seed), pictures(seed)
        found.append([[numbers(tuned(base, points, seed, rank=r, lr=lr), points) for lr in RATES] for r in RANKS])
        full.append([numbers(tuned(base, points, seed, rank=None, lr=lr), points) for lr in FULL])
    arrays = {"found": torch.tensor(found).float(), "full": torch.tensor(full).float()}
    save("ch07_rates", {"ranks": RANKS, "rates": RATES, "full_rates": FULL, **arrays})


if __name__ == "__main__":
    main()
