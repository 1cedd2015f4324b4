"""The first generator of `ch05_diffusion_gan`, trained twice as long: is it the number of steps? (chapter 17).

About three minutes on one core.
"""

import torch

from course_lib.rivals import DiffusionGAN, train_diffusion_gan
from course_lib.tools.precompute import save
from course_lib.tools.precompute.ch05_diffusion_gan import BATCH, LAW, RATE, drawn, published_levels

STEPS, EVERY, SEED = 6000, 1000, 0


def main() -> None:
    """Mean distance to the circle and share of the rare arc after every thousand steps -> (6, 2)."""
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(SEED)
    levels, g = published_levels(), torch.Generator().manual_seed(SEED)
    net, rows = DiffusionGAN(levels), []
    run = train_diffusion_gan(net, (LAW.sample(BATCH, g) for _ in range(STEPS)), RATE, generator=g)
    for step, _ in enumerate(run, 1):
        if step % EVERY == 0:
            x = drawn(net.denoiser, levels, SEED)
            rows.append([float(LAW.distance(x).mean()), float((x[:, 0] < 0).double().mean())])
    save("ch05_longer", {"steps": torch.arange(EVERY, STEPS + 1, EVERY), "rows": rows})


if __name__ == "__main__":
    main()
