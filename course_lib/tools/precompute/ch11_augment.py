"""What generated pictures of rare shapes teach a classifier: accuracy on head, middle and tail (chapter 11).

A small network learns eleven shapes from the pixels around each: 100 real pictures of each head shape, 25 of each
middle one, and of each of two tail shapes the 15 that served as references. To the tail come 24 pictures of a source in
SOURCES. Eight repeats. About five minutes on one core; it reads the results of `ch11_seedselect` and `ch11_pool`.
"""

import torch
from torch import Tensor, nn

from course_lib import world
from course_lib.claims import stored
from course_lib.features import silhouette
from course_lib.stable_diffusion import StableDiffusion
from course_lib.tools.precompute import save
from course_lib.tools.precompute.ch09_gaps import digests
from course_lib.tools.precompute.ch11_seedselect import WEIGHTS, references

TAIL = {"middle": "circle triangle", "rare": "square star"}  # the runs, by their name in ch11_seedselect
MIDDLE = ("cross star", "circle ring", "triangle cross")
CLASSES = (*world.HEAD, *MIDDLE, *TAIL.values())
COUNTS = {**dict.fromkeys(world.HEAD, 100), **dict.fromkeys(MIDDLE, 25)}
SOURCES = ("none", "plain", "picked", "seedselect", "real")
SHOWN, FITS, ADDED, TEST, STEPS, BATCH, CROP = 3, 8, 24, 60, 400, 44, 32


def network() -> nn.Module:
    """Three convolutions and a linear layer, (N, 3, CROP, CROP) -> (N, classes)."""
    widths, layers = (3, 24, 48, 64), []
    for a, b in zip(widths, widths[1:]):
        layers += [nn.Conv2d(a, b, 3, 2, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear((CROP // 8) ** 2 * widths[-1], len(CLASSES)))


def cropped(images: Tensor) -> Tensor:
    """The CROP pixels around the middle of what stands out from the ground, (N, 3, 48, 48) -> (N, 3, CROP, CROP)."""
    masks = silhouette(images).float()
    wide, half = nn.functional.pad(images, (CROP // 2,) * 4, mode="replicate"), CROP // 2
    total, place = masks.sum((1, 2)).clamp(min=1), torch.arange(images.shape[-1]).float()
    x, y = ((masks.sum(axis) * place).sum(1) / total for axis in (1, 2))
    corners = torch.stack([y, x], 1).round().long()
    return torch.stack([one[:, i : i + 2 * half, j : j + 2 * half] for one, (i, j) in zip(wide, corners.tolist())])


def drawn(name: str, n: int, seed: int) -> Tensor:
    """Real pictures of a shape."""
    return world.render(world.draw(n, torch.Generator().manual_seed(seed), shape=name))


def generated(sd: StableDiffusion) -> dict[str, dict[str, Tensor]]:
    """Source -> run -> ADDED pictures, as the model made them and with the label that was asked for."""
    chosen, pool = stored("ch11_seedselect"), stored("ch11_pool")
    latents = {
        "plain": {run: pool[f"{run}_latents"] for run in TAIL},
        "picked": {run: pool[f"{run}_picked"] for run in TAIL},
        "seedselect": {run: chosen[f"{run}_latents"][:, 1].reshape(-1, *sd.shape) for run in TAIL},
    }
    decode = lambda z: sd.decode(torch.as_tensor(z[:ADDED]).float()).clamp(-1, 1)  # noqa: E731
    return {source: {run: decode(z) for run, z in each.items()} for source, each in latents.items()}


def training_set(source: str, made: dict[str, dict[str, Tensor]], fit: int) -> list[Tensor]:
    """The pictures of each class, in the order of CLASSES."""
    sets = [drawn(name, n, 2000 + 100 * fit + i) for i, (name, n) in enumerate(COUNTS.items())]
    for i, (run, name) in enumerate(TAIL.items()):
        own = [references(name, repeat) for repeat in range(SHOWN)]
        own += [drawn(name, ADDED, 2050 + 100 * fit + i)] if source == "real" else []
        own += [made[source][run]] if source in made else []
        sets.append(torch.cat(own))
    return [cropped(images) for images in sets]


def answers(sets: list[Tensor], fit: int, steps: int) -> Tensor:
    """What a network says that was trained on all classes equally often, of TEST pictures each, -> (classes TEST,)."""
    torch.manual_seed(fit)
    g, net = torch.Generator().manual_seed(fit), network()
    adam = torch.optim.Adam(net.parameters(), lr=2e-3)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    labels = torch.arange(len(CLASSES)).repeat_interleave(BATCH // len(CLASSES))
    for _ in range(steps):
        batch = torch.cat([x[torch.randint(len(x), (BATCH // len(CLASSES),), generator=g)] for x in sets])
        loss = nn.functional.cross_entropy(net(batch), labels)
        adam.zero_grad()
        loss.backward()
        adam.step()
        rate.step()
    net.eval()
    with torch.no_grad():
        return torch.cat([net(cropped(drawn(name, TEST, 3000 + i))).argmax(1) for i, name in enumerate(CLASSES)])


def main(fits: int = FITS, steps: int = STEPS) -> None:
    """All sources -> answers (sources, fits, classes TEST) and the true labels (classes TEST,)."""
    torch.set_num_threads(1)
    sd = StableDiffusion.load("tiny", device="cpu")
    with torch.no_grad():
        made = generated(sd)
    rows = [[answers(training_set(source, made, fit), fit, steps) for fit in range(fits)] for source in SOURCES]
    results = {
        "answers": torch.stack([torch.stack(row) for row in rows]).to(torch.int8),
        "labels": torch.arange(len(CLASSES)).repeat_interleave(TEST),
        "sources": SOURCES,
        "classes": CLASSES,
    }
    save("ch11_augment", results | {"weights": digests(*WEIGHTS)})


if __name__ == "__main__":
    main()
