"""Two thousand samples of each model of `ch02_rivals` at its chosen learning rate, for five seeds (chapter 2).

The same runs again, since counts alone cannot tell a ring of modes from a ring. About five minutes on one core.
"""

import torch

from course_lib.claims import stored
from course_lib.tools.precompute import save
from course_lib.tools.precompute.ch02_rivals import RATES, RING, diffusion, gan, vae, watch

FAMILIES = {
    "diffusion": (diffusion, {}),
    "gan": (gan, {}),
    "gan_momentum": (gan, {"betas": (0.9, 0.999)}),
    "vae": (vae, {}),
}


def main() -> None:
    """Train at the chosen rate, check that the counts are those of the sweep, keep the samples in single precision."""
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    sweep, results = stored("ch02_rivals"), {}
    for name, (family, options) in FAMILIES.items():
        best, kept = int(sweep[f"{name}_best"]), []
        for seed in range(5):
            run = watch(family, RING, RATES[best], seed, **options)
            if (run["counts"].numpy() != sweep[f"{name}_counts"][best, seed]).any():
                raise RuntimeError(
                    f"ch02_rival_samples: {name}, seed {seed}, is another run than the sweep's; redo both."
                )
            kept.append(run["draw"](torch.Generator().manual_seed(seed)).float())
        results[name] = torch.stack(kept)  # (5, 2000, 2)
    save("ch02_rival_samples", results)


if __name__ == "__main__":
    main()
