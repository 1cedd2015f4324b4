"""Whether our SeedSelect doubles the strict share of outlined stars: `ch11_control` on references drawn afterwards.

In `ch11_control` the share rose from .05 to .27 over eight repeats, but that it at least doubles had t = 2.4 of 3.0.
Twenty-four further repeats decide it, each with five references and eight seeds of its own, none of them used there,
and a pool of 384 plain pictures that is new as well.

Rule, written before the numbers, the only one here. A hit is that of `ch11_control`, with its floors. The share of hits
at each seed's lowest loss, less twice the share of the same seeds as drawn; a repeat is a set of references; Student's
t, one-sided 1 %, 24 repeats (critical value 2.50). "wrong" is the same recipe towards stars of the three other styles:
where it passes the rule as well, nothing is shown. Beside it the best of 48 plain pictures by the same loss, at equal
network calls. For time, and before any number was read, the control was cut to four of the eight seeds of each repeat.
The released recipe is not tried again, since its share did not double in the mean either (.12 to .22).
Whatever comes out is told, and the eight repeats of `ch11_control` are not added to these.
About 60 minutes on one core; an interrupted script goes on where it was.
"""

import torch

from course_lib.tools.precompute import ch11_control as control
from course_lib.tools.precompute import folder_of, kept, save
from course_lib.tools.precompute.ch09_gaps import digests
from course_lib.tools.precompute.ch11_seedselect import REPEATS, WEIGHTS, loaded

FRESH = range(REPEATS, REPEATS + 24)  # references and seeds follow from a repeat's number
POOL_SEED = control.FIRST + control.POOL
HALVES = {"ours": (0, 1), "wrong": (1,)}  # of each repeat's seeds


def main(fresh: range = FRESH) -> None:
    """ARM_KEY (repeats, 3, N) and ARM_loss (repeats, T, N) of "ours" and "wrong", pool_ours_KEY."""
    torch.set_num_threads(1)
    sd, clip = loaded()
    folder, results = folder_of(__file__, control.__file__), {}
    with torch.no_grad():
        pool = kept(folder, "pool", control.pooled, sd, clip, "ours", fresh, POOL_SEED)
    results |= {f"pool_ours_{key}": value for key, value in pool.items()}
    for arm, halves in HALVES.items():
        found = control.gathered(folder, sd, clip, arm, fresh, halves)
        results |= {f"{arm}_{key}": value for key, value in found.items() if key not in ("latents", "length")}
    save("ch11_confirmed", results | {"weights": digests(*WEIGHTS, "embedding.safetensors")})


if __name__ == "__main__":
    main()
