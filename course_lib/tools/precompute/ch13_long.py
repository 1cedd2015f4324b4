"""The two UNets of chapter 13 trained for longer than a chapter may: on the digits, and on the plain world.

About four minutes on one core. Each network is kept when it is done, so an interrupted script goes on.
"""

import torch
from torch import Tensor

from course_lib.small_pictures import SHAPES, digits, parts_of, plain_pictures, plain_world
from course_lib.tools.precompute import folder_of, kept, save
from course_lib.training import denoising_loss, train
from course_lib.training.average import average_into
from course_lib.unet import SmallUNet
from course_lib.world import SHAPES as ALL

HIGH, LOW, DROPPED, DECAY, EVERY = 10.0, 0.02, 0.1, 0.999, 200
DIGITS = {"channels": 1, "width": 32, "labels": 10, "sigma_data": 0.75}
WORLD = {"channels": 3, "width": 16, "labels": 3, "sigma_data": 0.38}


def batch_of(x0: Tensor, label: Tensor, size: int, none: int, g: torch.Generator) -> tuple:
    """Pictures with levels, noise and labels, some of which are dropped."""
    i = torch.randint(len(x0), (size,), generator=g)
    sigma = HIGH * (LOW / HIGH) ** torch.rand(size, 1, 1, 1, generator=g)
    dropped = torch.rand(size, generator=g) < DROPPED
    return x0[i], torch.where(dropped, none, label[i]), sigma, torch.randn(x0[i].shape, generator=g)


def trained(build: dict, x0: Tensor, label: Tensor, held: tuple, steps: int, size: int) -> dict:
    """-> the averaged weights, and losses every EVERY steps: on batches, held out, held out with averaged weights."""
    torch.manual_seed(0)
    net, mean, g = SmallUNet(**build), SmallUNet(**build), torch.Generator().manual_seed(0)
    mean.load_state_dict(net.state_dict())

    def loss_of(batch, network=net):
        x, y, sigma, eps = batch
        return denoising_loss(lambda p, s: network(p, s, y), x, sigma, eps, build["sigma_data"])

    fixed = batch_of(*held, 500, build["labels"], torch.Generator().manual_seed(1))
    batches, rows, sums = (batch_of(x0, label, size, build["labels"], g) for _ in range(steps)), [], 0.0
    for step, loss in enumerate(train(loss_of, net.parameters(), batches, 2e-3), 1):
        average_into(mean, net, DECAY, step)
        sums += loss / EVERY
        if step % EVERY == 0:
            with torch.no_grad():
                rows.append([sums, float(loss_of(fixed)), float(loss_of(fixed, mean))])
            sums = 0.0
            print(step, [round(value, 3) for value in rows[-1]], flush=True)
    return {"weights": {name: value.half() for name, value in mean.state_dict().items()}, "rows": torch.tensor(rows)}


def on_digits() -> dict:
    """The network of the digits, from the training part alone."""
    x, label = digits()
    parts = parts_of(len(x), torch.Generator().manual_seed(0))
    held = (x[parts.validation], label[parts.validation])
    return trained(DIGITS, x[parts.train], label[parts.train], held, 4000, 64)


def on_world() -> dict:
    """The network of the plain world, its shapes as labels."""
    factors = plain_world(20_000, torch.Generator().manual_seed(0))
    x = plain_pictures(factors)
    label = torch.tensor([SHAPES.index(ALL[i]) for i in factors.shape.tolist()])
    return trained(WORLD, x[500:], label[500:], (x[:500], label[:500]), 5000, 64)


def main() -> None:
    """Weights as digits.NAME and world.NAME in half precision; curves (n, 3)."""
    torch.set_num_threads(1)
    arrays = {"every": EVERY, "columns": ["training", "held out", "held out, averaged"]}
    for name, make in (("world", on_world), ("digits", on_digits)):
        run = kept(folder_of(__file__), name, make)
        arrays |= {f"{name}.{key}": value for key, value in run["weights"].items()} | {f"{name}_curve": run["rows"]}
    save("ch13_long", arrays)


if __name__ == "__main__":
    main()
