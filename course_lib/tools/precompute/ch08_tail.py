"""Which shape the oracle reads in 48 pictures of each rare shape at guidance 3, eight in each colour (chapter 8).

About a minute on two cores.
"""

import torch

from course_lib import world
from course_lib.features import Oracle
from course_lib.stable_diffusion import StableDiffusion
from course_lib.tools.precompute import save
from course_lib.tools.precompute.ch08_guidance import drawn, weights_of


def main(colours: tuple[str, ...] = world.COLOURS) -> None:
    """-> shapes (7, 48), in the order of world.TAIL, most frequent first."""
    torch.set_num_threads(2)
    torch.set_grad_enabled(False)
    sd, oracle = StableDiffusion.load("tiny", device="cpu"), Oracle()
    lines = [world.phrase(name, colour) for name in world.TAIL for colour in colours]
    read = drawn(sd, oracle, lines, lambda c: sd.prompt(c, w=3.0))  # (7 * colours, 8, 4)
    save("ch08_tail", {"shapes": read[..., 0].reshape(len(world.TAIL), -1), "weights": weights_of()})


if __name__ == "__main__":
    main()
