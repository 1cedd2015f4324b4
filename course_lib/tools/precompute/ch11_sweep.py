"""Whether any rate, length or encoder lets SeedSelect double the strict share of outlined stars: `ch11_control` swept.

`ch11_confirmed` did not show it for our recipe: CLIP, rate .05, 12 iterations. Here both encoders that passed the gate,
four rates and two lengths, 16 settings, each from the same seeds towards the same references: eight repeats that nobody
has seen, four seeds each. A run of 24 iterations contains that of 12. Then the leader is drawn again on 16 further
repeats of four seeds, beside the same setting towards stars of the three other styles, and a new pool of 384 plain
pictures with its losses.

Rule, written before the numbers. A hit is that of `ch11_control`, with its floors, at each seed's lowest loss. The
excess of a repeat is its share of hits less twice the share of the same seeds as drawn. The leader is the setting whose
excess has the largest mean; of equals the cheaper one. Nothing is claimed of the eight repeats, since the best of 16
is lucky; the claim is the leader's on the 16 further ones: mean excess above 0 by Student's t, one-sided 1 %, critical
value 2.60. Where the wrong styles pass that as well, nothing is shown. Beside it the best of n plain pictures by the
same loss at equal network calls: n = 48 for 12 iterations, 96 for 24. Whatever comes out is told, and no repeat of
`ch11_control` or `ch11_confirmed` is added. About 90 minutes on one core; an interrupted script goes on where it was.
"""

from itertools import product
from pathlib import Path

import torch
from torch import Tensor

from course_lib.features import CLIP, Embedding, default_embedding, load_network
from course_lib.stable_diffusion import StableDiffusion
from course_lib.tools.precompute import ch11_confirmed as confirmed
from course_lib.tools.precompute import ch11_control as control
from course_lib.tools.precompute import folder_of, kept, save
from course_lib.tools.precompute.ch09_gaps import digests
from course_lib.tools.precompute.ch11_seedselect import WEIGHTS, loaded, seeds_of

ENCODERS, RATES, AFTER, SEEDS = ("clip", "embedding"), (0.02, 0.05, 0.1, 0.2), (12, 24), 4
SWEPT = range(confirmed.FRESH.stop, confirmed.FRESH.stop + 8)  # references and seeds follow from a repeat's number
FRESH = range(SWEPT.stop, SWEPT.stop + 16)
POOL_SEED = confirmed.POOL_SEED + control.POOL


def one(sd: StableDiffusion, encode: CLIP | Embedding, rate: float, repeat: int, style: dict) -> dict[str, Tensor]:
    """A repeat -> latents as drawn and at the lowest loss after 12 and 24 iterations (3, N, ..), losses (T, N)."""
    recipe = control.RECIPES["ours"]._replace(rates=(rate,) * AFTER[-1])
    start, loss = seeds_of(repeat, sd.shape)[:SEEDS], control.loss_of(recipe, sd, encode, repeat, style)
    latents, found = control.walk(sd, recipe, start, loss)
    rows = torch.arange(SEEDS)
    best = [latents[found.history[:after].argmin(0), rows] for after in AFTER]
    return {"latents": torch.stack([latents[0], *best]).half(), "loss": found.history}


def runs(folder: Path, name: str, sd: StableDiffusion, encode, rate: float, repeats: range, style: dict) -> dict:
    """All repeats of a setting -> latents (repeats, 3, N, ..), losses (repeats, T, N)."""
    made = [kept(folder, f"{name}-{n}", one, sd, encode, rate, n, style) for n in repeats]
    return {key: torch.stack([each[key] for each in made]) for key in ("latents", "loss")}


def arm_of(folder: Path, arm: str, sd: StableDiffusion, encode, rate: float, repeats: range, style: dict) -> dict:
    """A setting's repeats, read -> ARM_KEY (repeats, 3, N) and ARM_loss (repeats, T, N)."""
    found = runs(folder, arm, sd, encode, rate, repeats, style)
    with torch.no_grad():
        read = kept(folder, f"{arm}-read", control.read, sd, found["latents"])
    return {f"{arm}_{key}": value for key, value in read.items()} | {f"{arm}_loss": found["loss"]}


def hits(readings: dict[str, Tensor], floors: dict[str, Tensor]) -> Tensor:
    """Which pictures are strict outlined stars."""
    own = control.world.SHAPES.index(control.SHAPE)
    whole = torch.stack([readings[key] > floor for key, floor in floors.items()]).all(0)
    return (readings["outline"] == own) & whole


def leader(excess: Tensor) -> tuple[int, int, int]:
    """Encoder, rate and length of the largest excess, of equals the shorter (encoders, rates, lengths) -> indices."""
    order = [(-excess[at].item(), at[2], at) for at in product(*map(range, excess.shape))]
    return min(order)[2]


def main() -> None:
    """swept_KEY (encoders, rates, repeats, 3, N), excess of each setting, leader_KEY and wrong_KEY (repeats, 3, N)."""
    torch.set_num_threads(1)
    sd, clip = loaded()
    encoders = {"clip": clip, "embedding": default_embedding(load_network("embedding", "cpu"))}
    folder = folder_of(__file__, control.__file__)
    with torch.no_grad():
        real = kept(folder, "real", control.read, sd, control.real(sd))
    floors = {key: real[key].double().quantile(0.05) for key in ("overlap", "hollow")}
    made = [
        [runs(folder, f"{name}-{rate}", sd, encoders[name], rate, SWEPT, control.OUTLINED) for rate in RATES]
        for name in ENCODERS
    ]
    latents, losses = (torch.stack([torch.stack([r[key] for r in e]) for e in made]) for key in ("latents", "loss"))
    with torch.no_grad():
        swept = kept(folder, "swept-read", control.read, sd, latents)
    share = hits(swept, floors).double().mean(-1)  # encoders, rates, repeats, as drawn and two lengths
    excess = (share[..., 1:] - 2 * share[..., :1]).mean(2)
    best = leader(excess)
    results = {f"swept_{key}": value for key, value in swept.items()} | {"swept_loss": losses, "leader": best}
    for arm, style in (("leader", control.OUTLINED), ("wrong", control.OTHERS)):
        results |= arm_of(folder, arm, sd, encoders[ENCODERS[best[0]]], RATES[best[1]], FRESH, style)
    with torch.no_grad():
        pool = kept(folder, "pool", control.pooled, sd, clip, "ours", FRESH, POOL_SEED)
    results |= {f"pool_ours_{key}": value for key, value in pool.items()} | {"excess": excess}
    results |= {f"real_{key}": real[key] for key in floors}
    save("ch11_sweep", results | {"weights": digests(*WEIGHTS, "embedding.safetensors")})


if __name__ == "__main__":
    main()
