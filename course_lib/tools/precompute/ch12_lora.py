"""Fine-tuning `tiny` on five pictures of one subject, in every way of chapter 12, for three subjects.

Each run takes 100 Adam steps with the five pictures in each batch. Under the class's prompt 36 pictures are read by the
oracle, under the subject's 24, under another class's 12; guidance 3, eight DPM-Solver++ steps. Runs that are finished
are kept in a folder of the system's temporary one, so that an interrupted script goes on. About sixteen minutes on one
core.
"""

import copy
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from course_lib import features, metrics, world
from course_lib.samplers import dpmpp_2m
from course_lib.stable_diffusion import StableDiffusion
from course_lib.tools import precompute
from course_lib.tools.precompute import kept, save
from course_lib.tools.precompute.ch08_guidance import weights_of
from course_lib.training import add_deltas, add_lora, denoising_loss, lora_deltas, lora_layers, train

CORNER, FAR = (0.18, 0.32), (0.68, 0.82)
SUBJECTS = (
    {"shape": "cross", "colour": "green", "style": "dotted", "x": CORNER, "y": CORNER},
    {"shape": "star", "colour": "pink", "style": "striped", "x": FAR, "y": CORNER},
    {"shape": "ring", "colour": "blue", "style": "flat", "x": CORNER, "y": FAR},
)
OTHER, NAME = "square", "sks"  # another class; a word that no caption of the training set holds
TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]
PICTURES, STEPS, RATE, RANK, KEPT = 5, 100, 2e-3, 4, 40
N_CLASS, N_SUBJECT, N_OTHER, W, LEVELS = 36, 24, 12, 3.0, 8
SHIFT = 10  # pixels
VARIANTS = {
    "full fine-tuning": {"rank": None, "lr": 2e-4},
    "rank 4": {},
    "prior": {"also": "class"},
    "batch of 10": {"batch": 10},
    "40 more pictures": {"also": "subject"},
    "another class kept": {"also": "other"},
    "full + prior": {"rank": None, "lr": 2e-4, "also": "class"},
    "rank 1": {"rank": 1},
    "rank 32": {"rank": 32},
    "dropout .5": {"dropout": 0.5},
    "weight decay 5": {"decay": 5.0},
    "caption dropout .2": {"drop": 0.2},
    "mirrored": {"augment": "mirror"},
    "shifted": {"augment": "shift"},
    "name without the class": {"alone": True},
}
COLUMNS = (
    "cells", "colours", "styles", "is subject", "PRES", "DIV", "shape right",  # under the class's prompt
    "fidelity", "cells of subject", "DIV of subject", "nearer in pixels", "nearer in features", "other half",
    "white edge",  # under the subject's
    "other is subject", "other right",  # under another class's
)  # fmt: skip


def prompts(subject: dict, alone: bool = False) -> tuple[str, str, str]:
    """The prompts of the class, the subject and another class."""
    own = NAME if alone else f"a {NAME} {subject['shape']}"
    return f"a {subject['shape']}", own, f"a {OTHER}"


def pictures(subject: dict, n: int, seed: int) -> Tensor:
    """n pictures of a subject: it stays in its corner; size, angle and ground vary, -> (n, 3, 48, 48)."""
    return world.render(world.draw(n, torch.Generator().manual_seed(seed), **subject))


def mirrored(images: Tensor) -> Tensor:
    """The pictures and their mirror images."""
    return torch.cat([images, images.flip(3)])


def shifted(images: Tensor) -> Tensor:
    """The pictures, and each moved by SHIFT pixels in three directions; what comes in at the edge is white."""
    moved = []
    for down, right in ((SHIFT, 0), (0, SHIFT), (SHIFT, SHIFT)):
        white = torch.ones_like(images)
        white[:, :, down:, right:] = images[:, :, : 48 - down, : 48 - right]
        moved.append(white)
    return torch.cat([images, *moved])


def white_edge(images: Tensor) -> Tensor:
    """Whether the first rows or columns of a picture are brighter than any ground of the world, (N,)."""
    rows, columns = images[:, :, :3].mean((1, 2, 3)), images[:, :, :, :3].mean((1, 2, 3))
    return torch.maximum(rows, columns) > 0.2  # grounds reach 2 * .4 - 1 = -.2


@torch.no_grad()
def drawn(sd: StableDiffusion, prompt: str, n: int, first: int = 0) -> Tensor:
    """Latents of n pictures of a prompt, (n, 4, 12, 12)."""
    return sd.generate(prompt, range(first, first + n), steps=LEVELS, w=W, step=dpmpp_2m(), chunk=None, decode=False)


def latents(sd: StableDiffusion, prompt: str, n: int, first: int = 0) -> Tensor:
    """As `drawn`, twelve at a time."""
    return torch.cat([drawn(sd, prompt, min(12, n - i), first + i) for i in range(0, n, 12)])


def subjects_share(reading: features.Reading, subject: dict, shape: bool) -> Tensor:
    """Whether a picture has the subject's colour and style, and its shape where that is asked, (N,)."""
    match = reading.colour == world.COLOURS.index(subject["colour"])
    match &= reading.style == world.STYLES.index(subject["style"])
    return match & (reading.shape == world.SHAPES.index(subject["shape"])) if shape else match


class Ruler:
    """The numbers of COLUMNS for one network and one subject."""

    def __init__(self, n_class: int = N_CLASS):
        self.n_class = n_class
        self.oracle, network = features.Oracle(), features.load_network("embedding")
        self.embed, self.blocks = features.default_embedding(network), network.blocks

    @torch.no_grad()
    def __call__(self, sd: StableDiffusion, subject: dict, own: str, trained: Tensor) -> tuple[Tensor, ...]:
        """-> numbers (columns,), readings (pictures, 4), latents of twelve pictures of the class and of the subject."""
        of_class, _, of_other = prompts(subject)
        z = latents(sd, of_class, self.n_class), latents(sd, own, N_SUBJECT, 1000), latents(sd, of_other, N_OTHER, 2000)
        images = [sd.decode(one, chunk=12).clamp(-1, 1) for one in z]
        read = [self.oracle(one) for one in images]
        right = [world.SHAPES.index(subject["shape"])] * 2 + [world.SHAPES.index(OTHER)]
        shape = [(one.shape == s).double().mean() for one, s in zip(read, right)]
        phi = [self.embed(one) for one in (*images[:2], trained)]
        held = [pictures(subject, PICTURES, 500 + i) for i in range(20)]
        near = [
            torch.stack([metrics.nearer_to_training(f(images[1]), f(trained), f(one)) for one in held]).mean()
            for f in (lambda pixels: pixels.flatten(1), self.embed)
        ]
        mine = (read[1].x > 0.5) == (sum(subject["x"]) / 2 > 0.5)
        numbers = [
            *(metrics.factor_entropy(getattr(read[0], name)) for name in ("cell", "colour", "style")),
            subjects_share(read[0], subject, True).double().mean(),
            metrics.pres(phi[0], phi[2]),
            metrics.div(list(self.blocks(images[0])[:2])),
            shape[0],
            subjects_share(read[1], subject, True).double().mean(),
            metrics.factor_entropy(read[1].cell),
            metrics.div(list(self.blocks(images[1])[:2])),
            *near,
            1 - mine.double().mean(),
            white_edge(images[1]).double().mean(),
            subjects_share(read[2], subject, False).double().mean(),
            shape[2],
        ]
        table = [torch.stack([one.shape, one.colour, one.style, one.cell], 1) for one in read]
        return torch.tensor([float(v) for v in numbers]), torch.cat(table), torch.cat([z[0][:12], z[1][:12]])


def tuned(
    sd: StableDiffusion, subject: dict, pool: Tensor, seed: int = 0, *, rank: int | None = RANK, lr: float = RATE,
    steps: int = STEPS, batch: int = PICTURES, dropout: float = 0.0, decay: float = 0.0, drop: float = 0.0,
    alone: bool = False, more: Tensor | None = None, more_prompt: str = "",
    watch: Callable = lambda net, step, loss: None,
) -> StableDiffusion:  # fmt: skip
    """A copy of the model, its UNet tuned on latents `pool` under the subject's prompt, rank None: on all weights.

    `more` are latents to learn beside them under `more_prompt`, as many a batch. `drop` is the share of captions that
    are left out.
    """
    net, g = copy.deepcopy(sd), torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    unet = net.pipe.unet
    parameters = list(unet.requires_grad_(True).parameters()) if rank is None else add_lora(
        unet, rank, TARGETS, dropout=dropout
    )  # fmt: skip
    unet.train()
    own, nothing = net.embed(prompts(subject, alone)[1]), net.embed("")
    beside = net.embed(more_prompt)

    def loss_of(_) -> Tensor:
        index = torch.cat([torch.randperm(len(pool), generator=g) for _ in range(batch)])[:batch]  # all in turn
        x0, words = pool[index], own.repeat(batch, 1, 1)
        words[torch.rand(batch, generator=g) < drop] = nothing[0]
        if more is not None:
            x0 = torch.cat([x0, more[torch.randint(len(more), (batch,), generator=g)]])
            words = torch.cat([words, beside.expand(batch, -1, -1)])
        sigma, eps = net.random_levels(len(x0), g), torch.randn(x0.shape, generator=g)
        return denoising_loss(net.prompt(words, words, w=1), x0, sigma, eps, sigma_data=1.0)

    for step, loss in enumerate(train(loss_of, parameters, range(steps), lr, decay), 1):
        watch(net, step, loss)
    unet.eval()
    return net


def merged(sd: StableDiffusion, deltas: dict[str, Tensor], share: float = 1.0) -> StableDiffusion:
    """A copy of the model with `share` times an adapter's deltas in its weights."""
    net = copy.deepcopy(sd)
    add_deltas(net.pipe.unet, deltas, share)
    return net


@torch.no_grad()
def one_run(
    sd: StableDiffusion,
    ruler: Ruler,
    index: int,
    name: str | None,
    subjects: tuple[dict, ...] = SUBJECTS,
    again: int = 0,
) -> dict[str, Tensor]:
    """What is measured of one variant (None: the base) and one subject; with the factors of rank 4.

    `again` counts tuning seeds: the pictures of the subject and of the class stay the same.
    """
    subject, options = subjects[index], dict(VARIANTS.get(name, {}))
    images = pictures(subject, PICTURES, index)
    of_class, own, of_other = prompts(subject, options.get("alone", False))
    if name is None:
        return dict(zip(("numbers", "readings", "latents"), ruler(sd, subject, own, images)))
    augment = {None: lambda x: x, "mirror": mirrored, "shift": shifted}[options.pop("augment", None)]
    also = options.pop("also", None)
    if also == "subject":
        options |= {"more": sd.encode(pictures(subject, KEPT, 900 + index)), "more_prompt": own}
    elif also:
        line = of_class if also == "class" else of_other
        options |= {"more": latents(sd, line, KEPT, 5000), "more_prompt": line}
    pool = sd.encode(augment(images))
    with torch.enable_grad():
        net = tuned(sd, subject, pool, index + 10 * again, **options)
    found = {}
    if options.get("rank", RANK) is not None:
        layers = lora_layers(net.pipe.unet)
        if name in ("rank 4", "prior"):
            for layer, module in layers.items():
                for letter in "AB":
                    found[f"{layer}.{letter}"] = getattr(module, f"lora_{letter}")["default"].weight.half()
        net = merged(sd, lora_deltas(net.pipe.unet))
    return found | dict(zip(("numbers", "readings", "latents"), ruler(net, subject, own, images)))


def folder_of(script: str) -> Path:
    """The folder of a script that uses this file's functions: another one after each change of either."""
    return precompute.folder_of(script, __file__)


def main(subjects: int = len(SUBJECTS)) -> None:
    """-> numbers (subjects, variants + 1, columns), readings, and for the first subject pictures and two adapters."""
    torch.set_num_threads(1)
    sd, ruler, folder = StableDiffusion.load("tiny", device="cpu"), Ruler(), folder_of(__file__)
    names = [None, *VARIANTS]
    runs = [
        [kept(folder, f"{i}-{k}", one_run, sd, ruler, i, name) for k, name in enumerate(names)] for i in range(subjects)
    ]
    arrays = {
        "numbers": torch.stack([torch.stack([run["numbers"] for run in some]) for some in runs]),
        "readings": torch.stack([torch.stack([run["readings"] for run in some]) for some in runs]).byte(),
        "latents": torch.stack([run["latents"] for run in runs[0]]).half(),
        "columns": list(COLUMNS),
        "names": ["base", *VARIANTS],
        "weights": weights_of(),
    }
    for name in ("rank 4", "prior"):
        run = runs[0][names.index(name)]
        arrays |= {f"{name}/{key}": value for key, value in run.items() if key[-2:] in (".A", ".B")}
    save("ch12_lora", arrays)


if __name__ == "__main__":
    main()
