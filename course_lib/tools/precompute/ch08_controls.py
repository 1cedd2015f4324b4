"""Baselines, controls and intervals beside `ch08_guidance`, from the same captions and starts (chapter 8).

About three minutes on two cores.
"""

import torch

from course_lib.denoisers import Denoiser
from course_lib.features import Oracle
from course_lib.stable_diffusion import StableDiffusion
from course_lib.tools.precompute import save
from course_lib.tools.precompute.ch08_guidance import CAPTIONS, GROUP, STEPS, drawn, weights_of

PART = 2.0  # the level between the two intervals


def pushed_by_another(sd: StableDiffusion, c: torch.Tensor, w: float) -> Denoiser:
    """Guidance whose push D_c - D_u belongs to the picture a group further on, which has another caption."""
    conditional, unconditional = sd.prompt(c, w=1.0), sd.prompt("", w=1.0)

    def denoiser(x, sigma):
        D_c = conditional(x, sigma)
        return D_c + (w - 1) * (D_c - unconditional(x, sigma)).roll(GROUP, 0)

    return denoiser


def main(captions: int = len(CAPTIONS)) -> None:
    """Arrays (36, 8, 4), and (18, 8, 4) for the caption that names nothing."""
    torch.set_num_threads(2)
    torch.set_grad_enabled(False)
    sd, oracle = StableDiffusion.load("tiny", device="cpu"), Oracle()
    above, below = (lambda s: 7.5 if s > PART else 1.0), (lambda s: 7.5 if s <= PART else 1.0)
    lines = CAPTIONS[:captions]
    results = {
        "w=1, 50 steps": drawn(sd, oracle, lines, lambda c: sd.prompt(c, w=1.0), 2 * STEPS),
        "w=3, other's push": drawn(sd, oracle, lines, lambda c: pushed_by_another(sd, c, 3.0)),
        "w=7.5 above 2": drawn(sd, oracle, lines, lambda c: sd.prompt(c, w=above)),
        "w=7.5 up to 2": drawn(sd, oracle, lines, lambda c: sd.prompt(c, w=below)),
        "w=7.5, a shape": drawn(sd, oracle, ["a shape"] * (captions // 2), lambda c: sd.prompt(c, w=7.5)),
    }
    save("ch08_controls", {**results, "weights": weights_of()})


if __name__ == "__main__":
    main()
