"""One run followed step by step, prior pictures without guidance, scales and averages of adapters (chapter 12).

For the eight subjects of ch12_repeats; 24 pictures of the class and 12 of the subject are read at each point.
Interrupted, it goes on where it was; `python -m course_lib.tools.precompute.ch12_curves 0/2` and `1/2` share the
subjects between two processes. About twenty minutes on one core.
"""

import sys

import torch
from torch import Tensor

from course_lib import features, metrics
from course_lib.samplers import dpmpp_2m
from course_lib.stable_diffusion import StableDiffusion
from course_lib.tools.precompute import kept, save
from course_lib.tools.precompute.ch08_guidance import weights_of
from course_lib.tools.precompute.ch12_lora import (
    KEPT,
    LEVELS,
    PICTURES,
    RANK,
    RATE,
    STEPS,
    TARGETS,
    VARIANTS,
    Ruler,
    folder_of,
    latents,
    merged,
    pictures,
    prompts,
    subjects_share,
    tuned,
)  # fmt: skip
from course_lib.tools.precompute.ch12_repeats import CLASS, SUBJECTS
from course_lib.training import denoising_loss, lora_deltas, lora_layers

WATCHED, SCALES, MEMBERS = (10, 30, 60, STEPS, 150), (0.5, 1.5), 3
COLUMNS = ("cells", "is subject", "fidelity", "cells of subject")
WAYS = ("mean of products", "product of means")


class Probe:
    """Few pictures of the class and of the subject, read by the oracle."""

    def __init__(self):
        self.oracle = features.Oracle()

    @torch.no_grad()
    def __call__(self, sd: StableDiffusion, subject: dict) -> Tensor:
        """-> the numbers of COLUMNS."""
        of_class, own, _ = prompts(subject)
        z = latents(sd, of_class, 24, 3000), latents(sd, own, 12, 4000)
        read = [self.oracle(sd.decode(one, chunk=12).clamp(-1, 1)) for one in z]
        shares = [subjects_share(one, subject, True).double().mean() for one in read]
        return torch.tensor([metrics.factor_entropy(read[0].cell), *shares, metrics.factor_entropy(read[1].cell)])


def loss_on(sd: StableDiffusion, z: Tensor, own: str) -> float:
    """The loss (12.1) on given latents with fixed noise, eight levels and noises for each."""
    g, x0 = torch.Generator().manual_seed(77), z.repeat(40 // len(z), 1, 1, 1)
    with torch.no_grad():
        D = sd.prompt(own, own, w=1)
        return float(denoising_loss(D, x0, sd.random_levels(40, g), torch.randn(x0.shape, generator=g), 1.0))


def factors(net: StableDiffusion) -> dict[str, tuple[Tensor, Tensor]]:
    """A and B of each adapted layer."""
    layers = lora_layers(net.pipe.unet).items()
    return {
        name: tuple(getattr(one, f"lora_{k}")["default"].weight.detach().clone() for k in "AB") for name, one in layers
    }


def one_subject(sd: StableDiffusion, probe: Probe, ruler: Ruler, index: int) -> dict[str, Tensor]:
    """Curve (checkpoints, 2 losses and columns), scales (2 adapters, scales, columns), averages (ways, columns).

    And what ch12_lora has of each variant, for an adapter with prior pictures drawn at guidance 1; with its factors.
    """
    subject = SUBJECTS[index]
    of_class, own, _ = prompts(subject)
    with torch.no_grad():
        pool = sd.encode(pictures(subject, PICTURES, index))
        fresh = sd.encode(pictures(subject, 40, 700 + index))
    rows, members = [], []

    def watch(net, step, loss):
        if step in (0, *WATCHED):
            net.pipe.unet.eval()
            rows.append([loss_on(net, pool, own), loss_on(net, fresh, own), *probe(net, subject).tolist()])
            net.pipe.unet.train()
        if step == STEPS:
            members.append((lora_deltas(net.pipe.unet), factors(net)))

    watch(sd, 0, None)
    tuned(sd, subject, pool, index, steps=WATCHED[-1], watch=watch)
    for i in range(1, MEMBERS):
        net = tuned(sd, subject, pool, index + 10 * i)
        members.append((lora_deltas(net.pipe.unet), factors(net)))
    with torch.no_grad():  # the model's own law, which guidance has not narrowed
        prior = sd.generate(
            of_class, range(5000, 5000 + KEPT), steps=LEVELS, w=1, step=dpmpp_2m(), chunk=None, decode=False
        )
    net = tuned(sd, subject, pool, index, more=prior, more_prompt=of_class)
    adapters, gentle = (members[0][0], lora_deltas(net.pipe.unet)), factors(net)
    numbers, readings, some = ruler(merged(sd, adapters[1]), subject, own, pictures(subject, PICTURES, index))
    mean = {name: sum(one[name] for one, _ in members) / MEMBERS for name in adapters[0]}
    parts = {name: [sum(one[name][k] for _, one in members) / MEMBERS for k in (0, 1)] for name in mean}
    ways = mean, {name: B @ A for name, (A, B) in parts.items()}
    return {
        "curve": torch.tensor(rows),
        "scales": torch.stack([torch.stack([probe(merged(sd, one, s), subject) for s in SCALES]) for one in adapters]),
        "averages": torch.stack([probe(merged(sd, one), subject) for one in ways]),
        "numbers": numbers,
        "readings": readings,
        "latents": some,
        **{f"{name}.{k}": part for name, parts in gentle.items() for k, part in zip("AB", parts)},
    }


def spectra(sd: StableDiffusion) -> dict[str, Tensor]:
    """Singular values of what rank 32 and full fine-tuning add to the attention layers, (layers, 32), (layers, 64)."""
    with torch.no_grad():
        pool = sd.encode(pictures(SUBJECTS[0], PICTURES, 0))
    thick = lora_deltas(tuned(sd, SUBJECTS[0], pool, rank=32).pipe.unet)
    full = dict(tuned(sd, SUBJECTS[0], pool, **VARIANTS["full fine-tuning"]).pipe.unet.named_modules())
    before = dict(sd.pipe.unet.named_modules())
    change = {name: full[name].weight.detach() - before[name].weight.detach() for name in thick}
    return {
        "rank 32": torch.stack([torch.linalg.svdvals(one)[:32] for one in thick.values()]),
        "full": torch.stack([torch.linalg.svdvals(one)[:64] for one in change.values()]),
    }


def main(part: int = 0, parts: int = 1) -> None:
    """-> curves, scales, averages, one row a subject, and two sets of singular values; with one part, stored."""
    torch.set_num_threads(1)
    sd, probe, ruler, folder = StableDiffusion.load("tiny", device="cpu"), Probe(), Ruler(CLASS), folder_of(__file__)
    runs = [kept(folder, str(i), one_subject, sd, probe, ruler, i) for i in range(part, len(SUBJECTS), parts)]
    if parts > 1:
        return
    arrays = {key: torch.stack([run[key] for run in runs]) for key in ("curve", "scales", "averages", "numbers")}
    arrays["readings"] = torch.stack([run["readings"] for run in runs]).byte()
    arrays |= {key: value.half() for key, value in runs[0].items() if key not in arrays}  # of the first subject
    more = kept(folder, "spectra", spectra, sd)
    names = {"columns": ["training loss", "held-out loss", *COLUMNS], "ways": list(WAYS)}
    settings = {"steps": [0, *WATCHED], "scale": list(SCALES), "rank": RANK, "rate": RATE, "targets": TARGETS}
    save("ch12_curves", {**arrays, **more, **names, **settings, "weights": weights_of()})


if __name__ == "__main__":
    share = sys.argv[1].split("/") if len(sys.argv) == 2 and "/" in sys.argv[1] else (0, 1)
    main(*map(int, share))
