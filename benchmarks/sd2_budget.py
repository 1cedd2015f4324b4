"""What the methods cost at Stable Diffusion 2's size, and what fits on which card: computed, not measured.

Run as `python benchmarks/sd2_budget.py [--stored]`: by shapes alone, without weights and without a GPU, about ten
minutes on one core; --stored prints what `course precompute sd2_budget` wrote. Memory is an upper bound (attention
unfused), in half precision; a card fits where it holds the peak and the weights of the networks in use.
"""

import sys

from course_lib.claims import stored
from course_lib.tools import budget
from course_lib.tools.precompute.sd2_budget import rows

CARDS = (6, 16, 24, 80)  # GB
FORMAT = "{:36s}{:>5} {:20s}{:>7}{:>10}{:>10}{:>11}   {}"


def spent(from_file: bool):
    """(method, pictures, saving, levels, weights, peak, work) of each row, as soon as it is known."""
    if from_file:
        table = stored("sd2_budget")
        yield from zip(*(table[name] for name in ("method", "pictures", "saving", "levels", "weights", "peak", "work")))
        return
    for row in rows():
        cost = budget.cost(row.call)
        yield *row[:4], budget.weights(*row.networks), cost.peak, cost.work


def main(from_file: bool = False) -> None:
    print(FORMAT.format("method", "N", "saving", "levels", "weights", "peak", "TFLOP", "fits on"))
    for method, pictures, saving, levels, weights, peak, work in spent(from_file):
        whole = (weights + peak) / 1e9
        cards = [f"{card} GB" for card in CARDS if whole <= card]
        numbers = (f"{weights / 1e9:.1f} GB", f"{peak / 1e9:.2f} GB", f"{work / 1e12:.2f}")
        print(FORMAT.format(method, pictures, saving, levels, *numbers, cards[0] if cards else "none"), flush=True)


if __name__ == "__main__":
    main("--stored" in sys.argv[1:])
