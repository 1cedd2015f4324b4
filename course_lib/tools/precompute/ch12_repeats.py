"""Chapter 12's variants for eight subjects: plain, prior and batch of ten with three tuning seeds, the others one.

Nothing is tuned in the base, so it is read once a subject. 48 pictures of the class are read.

The subject is the unit: a number of a subject is the mean over its tuning seeds. A claim is on the eight differences
between two variants of the same subject, with Student's t (seven degrees of freedom), one-sided 1 %: 2.998 errors of
the mean. The rules, written before any of these runs was made:

* prior preservation keeps the class: the share of class pictures that are the subject is lower with 'prior' than with
  'batch of 10' (equal network calls);
* the same against 'rank 4' (half the calls), said as such;
* prior preservation costs fidelity: it is lower with 'prior' than with 'batch of 10'.

Each run has its own file in a folder of the system's temporary one (`folder_of`), so an interrupted script goes on;
`python -m course_lib.tools.precompute.ch12_repeats 0/2` and `1/2` share the runs between two processes;
`course precompute ch12_repeats` does what is left and stores the result. About an hour and ten minutes on one core.
"""

import sys

import torch

from course_lib.stable_diffusion import StableDiffusion
from course_lib.tools.precompute import ch12_lora, kept, save
from course_lib.tools.precompute.ch08_guidance import weights_of
from course_lib.tools.precompute.ch12_lora import COLUMNS, CORNER, FAR, Ruler, folder_of, one_run

SUBJECTS = (
    *ch12_lora.SUBJECTS,
    {"shape": "triangle", "colour": "red", "style": "dotted", "x": FAR, "y": FAR},
    {"shape": "circle", "colour": "blue", "style": "striped", "x": CORNER, "y": CORNER},
    {"shape": "cross", "colour": "pink", "style": "flat", "x": FAR, "y": CORNER},
    {"shape": "star", "colour": "green", "style": "flat", "x": CORNER, "y": FAR},
    {"shape": "ring", "colour": "red", "style": "striped", "x": FAR, "y": FAR},
)
PAIRED, SEEDS, CLASS = ("rank 4", "prior", "batch of 10"), 3, 48
NAMES = (*PAIRED, "base", *(name for name in ch12_lora.VARIANTS if name not in PAIRED))


def jobs(subjects: int = len(SUBJECTS), seeds: int = SEEDS) -> list[tuple[str, int, int]]:
    """Variant, subject and tuning seed of each run; what is claimed comes first."""
    claimed = [(name, i, k) for k in range(seeds) for i in range(subjects) for name in PAIRED]
    return claimed + [(name, i, 0) for name in NAMES[len(PAIRED) :] for i in range(subjects)]


def collected(runs: dict[tuple[str, int, int], dict], subjects: int, seeds: int) -> dict[str, object]:
    """-> numbers (variants, subjects, seeds, columns), nan where a variant has fewer seeds, and readings beside."""
    some = next(iter(runs.values()))
    numbers = torch.full((len(NAMES), subjects, seeds, len(COLUMNS)), torch.nan)
    readings = torch.zeros(*numbers.shape[:3], *some["readings"].shape, dtype=torch.uint8)
    for (name, i, k), run in runs.items():
        numbers[NAMES.index(name), i, k] = run["numbers"]
        readings[NAMES.index(name), i, k] = run["readings"].byte()
    return {"numbers": numbers, "readings": readings, "names": list(NAMES), "columns": list(COLUMNS)}


def main(part: int = 0, parts: int = 1, subjects: int = len(SUBJECTS), seeds: int = SEEDS) -> None:
    """Make every `parts`-th run from `part` on; with one part, store them all."""
    torch.set_num_threads(1)
    sd, ruler, folder = StableDiffusion.load("tiny", device="cpu"), Ruler(CLASS), folder_of(__file__)
    runs = {}
    for name, i, k in jobs(subjects, seeds)[part::parts]:
        variant = None if name == "base" else name
        runs[name, i, k] = kept(folder, f"{name}-{i}-{k}", one_run, sd, ruler, i, variant, SUBJECTS, k)
    if parts == 1:
        save("ch12_repeats", {**collected(runs, subjects, seeds), "weights": weights_of()})


if __name__ == "__main__":
    share = sys.argv[1].split("/") if len(sys.argv) == 2 and "/" in sys.argv[1] else (0, 1)
    main(*map(int, share))
