"""Two thousand samples of each model of `ch02_rivals` at its chosen learning rate, for eight seeds (chapter 2).

The same runs again, since counts alone cannot tell a ring of modes from a ring; where that script has just left its
runs, they are read. Else about eight minutes on one core.
"""

import torch

from course_lib.claims import stored
from course_lib.tools.precompute import save
from course_lib.tools.precompute.ch02_rivals import FAMILIES, REPORTED, runs


def main() -> None:
    """Train at the chosen rate, check that the counts are those of the sweep, keep the samples in single precision."""
    torch.set_default_dtype(torch.float64)
    sweep, results = stored("ch02_rivals"), {}
    for name in FAMILIES:
        best = int(sweep[f"{name}_best"])
        again = runs(name, float(sweep[f"{name}_rates"][best]), REPORTED)
        if (again["counts"].numpy() != sweep[f"{name}_counts"][best, : len(REPORTED)]).any():
            raise RuntimeError(f"ch02_rival_samples: {name}: other runs than the sweep's; redo both.")
        results[name] = again["samples"]  # (8, 2000, 2)
    save("ch02_rival_samples", results)


if __name__ == "__main__":
    main()
