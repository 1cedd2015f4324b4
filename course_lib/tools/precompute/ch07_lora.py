"""Fine-tuning a small class-conditional network on five points of one subject, in every way of chapter 7.

Label 0 is the class, a ring of eight modes; label 1 is the subject, whose embedding starts near that of the class. Each
run takes 400 Adam steps. Eight seeds: other points, another embedding, other noise. Not yet run with
eight: about five minutes on one idle core.
"""

import copy
from collections.abc import Callable

import torch
from torch import Tensor

from course_lib.denoisers import MLPDenoiser, ring
from course_lib.metrics import hill, nearest_mode, on_mode
from course_lib.samplers import geometric, sample
from course_lib.tools.precompute import kept, save
from course_lib.training import add_deltas, add_lora, denoising_loss, lora_deltas, lora_layers, preserving, train

SEEDS, WIDTH, BASE_STEPS, STEPS, BATCH, N = 8, 128, 2000, 400, 32, 1000
HIGH, LOW, SIGMA_DATA, RATE = 4.0, 0.01, 0.71, 0.005
CLASS, SUBJECT, NOTHING = 0, 1, 2
RING = ring(8, s=0.13)
CENTRE, SPREAD, REACH, NEAR = 1.25 * RING.means[1], 0.06, 0.3, 0.03
TARGETS = ["first", "hidden.0", "hidden.1"]
POOL = 512  # pictures of the class, drawn by the base network before it is tuned
PLAIN = {"rank": 4}
VARIANTS = {
    "full fine-tuning": {"rank": None, "lr": 1e-3},
    "LoRA, rank 1": {"rank": 1},
    "LoRA, rank 4": PLAIN,
    "LoRA, rank 64": {"rank": 64},
    "LoRA, dropout .5": {"dropout": 0.5},
    "LoRA, weight decay 1": {"decay": 1.0},
    "LoRA, augmented by .05": {"augment": 0.05},
    "LoRA, batch of 64": {"batch": 64},
    "LoRA + prior, lam 1": {"lam": 1.0},
    "LoRA on the class itself": {"own": True},
}
SCALES = (0.0, 0.3, 0.5, 0.7, 1.0, 1.5)
DISTANCES = (0.6, 1.0)  # of the subject's embedding from the class's, a standard deviation per number


def batches(points: Callable, steps: int, size: int, g: torch.Generator):
    """Batches (x0, sigma, eps) for `denoising_loss`; points(n, g) -> (n, 2)."""
    for _ in range(steps):
        x0 = points(size, g)
        yield x0, HIGH * (LOW / HIGH) ** torch.rand(size, 1, generator=g), torch.randn(size, 2, generator=g)


def loss_with(net: MLPDenoiser, label: int, drop: float = 0.0) -> Callable:
    """The denoising loss of the network under one label, which is forgotten in a share `drop` of the batch."""

    def loss_of(batch):
        x0, sigma, eps = batch
        labels = torch.full((len(x0),), label)
        labels[: round(drop * len(x0))] = NOTHING
        return denoising_loss(lambda x, s: net(x, s, labels), x0, sigma, eps, SIGMA_DATA)

    return loss_of


def trained(seed: int) -> MLPDenoiser:
    """The base: a network that knows the class, and draws nothing in particular for "no label"."""
    torch.manual_seed(seed)
    net, g = MLPDenoiser(width=WIDTH, labels=2, sigma_data=SIGMA_DATA), torch.Generator().manual_seed(seed)
    for _ in train(loss_with(net, CLASS, 0.1), net.parameters(), batches(RING.sample, BASE_STEPS, 256, g), RATE):
        pass
    for parameter in net.parameters():
        parameter.data = parameter.data.float().double()  # as it is stored
    return net


def introduced(net: MLPDenoiser, seed: int, distance: float = 0.3) -> MLPDenoiser:
    """A copy in which the subject's embedding is the class's plus noise."""
    net, g = copy.deepcopy(net), torch.Generator().manual_seed(1000 + seed)
    rows = net.embedding.weight.data
    rows[SUBJECT] = rows[CLASS] + distance * torch.randn(WIDTH, generator=g)
    return net


def pictures(seed: int) -> Tensor:
    """Five points of the subject, -> (5, 2)."""
    return CENTRE + SPREAD * torch.randn(5, 2, generator=torch.Generator().manual_seed(2000 + seed))


def draw(net: MLPDenoiser, label: int, n: int = N, seed: int = 0, levels: int = 30) -> Tensor:
    """Samples of the network under a label, with its dropout off, -> (n, 2)."""
    net.eval()
    x = HIGH * torch.randn(n, 2, generator=torch.Generator().manual_seed(seed))
    x = sample(net if label == NOTHING else net.given(label), x, geometric(HIGH, LOW, levels))
    net.train()
    return x


def effective(x: Tensor) -> float:
    """Effective modes of samples under the class's label."""
    return float(hill(torch.bincount(nearest_mode(x, RING.means), minlength=8) / len(x)))


def numbers(net: MLPDenoiser, points: Tensor) -> list[float]:
    """Effective modes and share on a mode under the class's label, fidelity and share memorised under the subject's."""
    of_class, of_subject = draw(net, CLASS), draw(net, SUBJECT, seed=1)
    on = on_mode(of_class, RING.means, 3 * 0.13).double().mean()
    fidelity = ((of_subject - CENTRE).norm(dim=1) < REACH).double().mean()
    near = (torch.cdist(of_subject, points).min(1).values < NEAR).double().mean()
    return [effective(of_class), float(on), float(fidelity), float(near)]


def tuned(
    base: MLPDenoiser, points: Tensor, seed: int = 0, *, rank: int | None = 4, lr: float = RATE, steps: int = STEPS,
    batch: int = BATCH, dropout: float = 0.0, decay: float = 0.0, augment: float = 0.0,
    lam: float | None = None, own: bool = False,
    watch: Callable = lambda net, step: None,
) -> MLPDenoiser:  # fmt: skip
    """A copy of the base, fine-tuned; rank None means all weights but the embeddings."""
    net, g = copy.deepcopy(base), torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    if rank is None:
        net.embedding.requires_grad_(False)
        parameters = [p for p in net.parameters() if p.requires_grad]
    else:
        parameters = add_lora(net, rank, TARGETS, dropout=dropout)
    before = draw(base, CLASS, POOL, seed=7) if own or lam is not None else points

    def again(pool, spread=0.0):
        return lambda n, g: pool[torch.randint(len(pool), (n,), generator=g)] + spread * torch.randn(n, 2, generator=g)

    data = batches(again(before if own else points, augment), steps, batch, g)
    loss_of = loss_with(net, SUBJECT)
    if lam is not None:
        data = zip(data, batches(again(before), steps, batch, torch.Generator().manual_seed(10_000 + seed)))
        loss_of = preserving(loss_of, loss_with(net, CLASS), lam)
    for step, _ in enumerate(train(loss_of, parameters, data, lr, decay), 1):
        watch(net, step)
    return net


def curve(base: MLPDenoiser, points: Tensor, every: int = 25, **options) -> list:
    """Held-out loss of the subject and effective modes of the class along one run, -> (steps / every + 1, 2)."""
    g, rows = torch.Generator().manual_seed(5), []
    held_out = next(batches(lambda n, g: CENTRE + SPREAD * torch.randn(n, 2, generator=g), 1, 2000, g))

    def watch(net, step):
        if step % every == 0:
            net.eval()
            with torch.no_grad():
                loss = float(loss_with(net, SUBJECT)(held_out))
            rows.append([loss, effective(draw(net, CLASS, 400, levels=20))])
            net.train()

    watch(base, 0)
    tuned(base, points, watch=watch, **options)
    return rows


def merged(base: MLPDenoiser, deltas: dict, share: float) -> MLPDenoiser:
    """A copy of the base with `share` times some deltas added."""
    net = copy.deepcopy(base)
    add_deltas(net, deltas, share)
    return net


def factors(net: MLPDenoiser) -> list[tuple[Tensor, Tensor]]:
    """A and B of each adapted layer."""
    layers = lora_layers(net).values()
    return [tuple(getattr(one, f"lora_{k}")["default"].weight.detach().clone() for k in "AB") for one in layers]


def average(base: MLPDenoiser, points: Tensor) -> tuple[list, list]:
    """Four adapters: numbers of their mixture, of the mean product and of the product of means; their factors."""
    nets = [tuned(base, points, 20 + i) for i in range(4)]
    names, parts = list(lora_layers(nets[0])), [factors(net) for net in nets]
    products = copy.deepcopy(base)
    for net in nets:
        add_deltas(products, lora_deltas(net), 1 / 4)
    means = [[sum(part[i][k] for part in parts) / 4 for k in (0, 1)] for i in range(len(names))]
    apart = merged(base, {name: B @ A for name, (A, B) in zip(names, means)}, 1.0)
    mixture = torch.tensor([numbers(net, points) for net in nets]).mean(0).tolist()
    return [mixture, numbers(products, points), numbers(apart, points)], parts


def one_seed(plain: MLPDenoiser, seed: int) -> dict:
    """Everything that is measured for one subject, beginning with the base network that has just met its label."""
    base, points = introduced(plain, seed), pictures(seed)
    deltas, table = {}, [numbers(base, points)]
    for name, options in VARIANTS.items():
        net = tuned(base, points, seed, **options)
        table.append(numbers(net, points))
        if options is PLAIN or options == {"lam": 1.0}:
            deltas[name] = lora_deltas(net)
    averages, parts = average(base, points)
    found = {
        "base": torch.nn.utils.parameters_to_vector(base.parameters()).detach(),
        "points": points,
        "table": table,
        "curves": [curve(base, points, lr=lr, seed=seed) for lr in (RATE, RATE / 10)],
        "curve_prior": curve(base, points, lam=1.0, seed=seed),
        "scales": [[numbers(merged(base, one, s), points) for s in SCALES] for one in deltas.values()],
        "averages": averages,
        "distances": [numbers(tuned(introduced(plain, seed, d), points, seed), points) for d in DISTANCES],
    }
    for i, name in enumerate(TARGETS):
        for k, letter in enumerate("AB"):
            found[f"{name}.{letter}"] = torch.stack([part[i][k] for part in parts])
    return found


def main() -> None:
    """Eight subjects of one base network; weights and adapters are stored in single precision."""
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    plain = trained(0)
    found = [kept(__file__, str(seed), one_seed, plain, seed) for seed in range(SEEDS)]
    arrays = {key: torch.stack([torch.as_tensor(one[key]) for one in found]).float() for key in found[0]}
    for key in ("base", *(f"{name}.{letter}" for name in TARGETS for letter in "AB")):
        arrays[key] = arrays[key][0]  # weights of the first seed only
    names = ["base", *VARIANTS]
    save("ch07_lora", {"names": names, "scale": SCALES, "distance": DISTANCES, **arrays})


if __name__ == "__main__":
    main()
