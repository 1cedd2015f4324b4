"""The board of the challenge: the baselines and the entries that game, on eight public prompts (chapter 16).

Eight pictures a prompt and strength, three strengths, 20 calls a picture; what is finished is kept in _build/ch16_board
and taken up again. About six minutes on one core.
"""

import hashlib
from pathlib import Path

import numpy as np
import torch

from course_lib.challenge import STEPS, STRENGTHS, Judge, Round, rounds, scores
from course_lib.stable_diffusion import StableDiffusion
from course_lib.tools.challenge.entries import loaded, shipped
from course_lib.tools.precompute import save
from course_lib.tools.precompute.ch09_gaps import digests

GROUPS, SEED = 8, 16
UNDER_WAY = Path("_build/ch16_board")


def once(path: Path, make) -> np.ndarray:
    """What is in a file, which is made first where it is missing."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = path.with_suffix(".tmp.npy")
        np.save(whole, make())
        whole.replace(path)
    return np.load(path)


def public(sd: StableDiffusion, groups: int = GROUPS) -> list[Round]:
    """The rounds of the public board, which are not those of any term."""
    return rounds(groups, torch.Generator().manual_seed(SEED), sd.levels(STEPS))


def main(groups: int = GROUPS, folder: Path = UNDER_WAY) -> None:
    """Scores (entries, groups, strengths, 3): spread, fit and quality."""
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    sd, judge = StableDiffusion.load("tiny", device="cpu"), Judge()
    entries = shipped()
    played = public(sd, groups)

    def group(name: str, g: int) -> np.ndarray:
        torch.manual_seed(1000 + g)  # what a method draws itself
        method, one = loaded(entries[name]), played[g]
        found = [judge(one.pictures(sd, one.play(method, sd, s)), one.prompt) for s in STRENGTHS]
        return torch.stack([scores(seen, one.prompt) for seen in found]).numpy()

    def part(name: str, g: int) -> np.ndarray:
        digest = hashlib.sha256(entries[name].read_bytes()).hexdigest()[:8]
        return once(folder / f"{name}-{digest}-{g}.npy", lambda: group(name, g))

    by_group = {(name, g): part(name, g) for g in range(groups) for name in entries}
    results = {
        "names": list(entries),
        "prompts": [one.prompt for one in played],
        "strengths": list(STRENGTHS),
        "scores": [[by_group[name, g] for g in range(groups)] for name in entries],
        "weights": digests("unet/diffusion_pytorch_model.safetensors", "oracle.safetensors", "oracle2.safetensors"),
    }
    save("ch16_board", results)


if __name__ == "__main__":
    main()
