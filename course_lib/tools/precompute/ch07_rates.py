"""Rank and learning rate of an adapter together, and full fine-tuning over rates: the numbers of `ch07_lora`.

The same base, subjects and seeds, so the column of the rate .005 repeats three rows of its table, and so does full
fine-tuning at .001. About eight minutes on one idle core.
"""

import torch

from course_lib.denoisers import MLPDenoiser
from course_lib.tools.precompute import ch07_lora, folder_of, kept, save
from course_lib.tools.precompute.ch07_lora import SEEDS, introduced, numbers, pictures, trained, tuned

RANKS = (1, 4, 64)
RATES = (5e-4, 1e-3, 2e-3, 5e-3, 1e-2)
FULL = (1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3)


def one_seed(plain: MLPDenoiser, seed: int) -> tuple[list, list]:
    """The numbers of one subject: of each rank at each rate, and of full fine-tuning at each of its rates."""
    base, points = introduced(plain, seed), pictures(seed)
    found = [[numbers(tuned(base, points, seed, rank=r, lr=lr), points) for lr in RATES] for r in RANKS]
    return found, [numbers(tuned(base, points, seed, rank=None, lr=lr), points) for lr in FULL]


def main() -> None:
    """Effective modes, share on a mode, fidelity and share memorised, (seeds, ranks, rates, 4), (seeds, rates, 4)."""
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    folder, plain = folder_of(__file__, ch07_lora.__file__), trained(0)
    found, full = zip(*(kept(folder, str(seed), one_seed, plain, seed) for seed in range(SEEDS)))
    arrays = {"found": torch.tensor(found).float(), "full": torch.tensor(full).float()}
    save("ch07_rates", {"ranks": RANKS, "rates": RATES, "full_rates": FULL, **arrays})


if __name__ == "__main__":
    main()
