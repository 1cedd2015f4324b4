"""Constraint terms in the training of a small UNet on the plain world, eight seeds each (chapter 13).

Every run: 2,000 pictures drawn anew, the same network, 300 steps of 48, an average of the weights, 96 samples in 20
calls, and of these the exact distance to the world and the shape. The rules, written before any run was made; all pairs
are runs of one seed, with Student's t over eight seeds, one-sided 1 %:

* a residual term gated to sigma < .5, of weight 1, lowers the mean distance, and one that pulls each estimate to the
  projection of another picture of the batch does not;
* the same term at all levels lowers the share of the rarest shape;
* an adversarial term at low noise lowers the mean distance;
* augmentation of which the network is not told raises the mean distance.

Each run has its own file in a temporary folder, so an interrupted script goes on. About eight minutes on one core,
after `ch13_long`.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from course_lib.claims import stored
from course_lib.fit import nearest_drawing
from course_lib.penalties import denoiser_residual
from course_lib.rivals import critic_loss, generator_loss, mlp
from course_lib.samplers import karras, sample
from course_lib.small_pictures import SIDE, plain_pictures, plain_world
from course_lib.tools.precompute import folder_of, kept, save
from course_lib.tools.precompute.ch13_long import DECAY, HIGH, LOW, WORLD
from course_lib.training.average import average_into
from course_lib.unet import SmallUNet

SEEDS, PICTURES, STEPS, BATCH, N, LEVELS, GATE, AT = 8, 2000, 300, 48, 96, 20, 0.5, 0.1
ARMS = (
    "none", "gated 1", "gated 10", "always 10", "another's 1", "adversarial .3", "augmented", "told",
)  # fmt: skip
SHOWN = 16  # pictures of the first seed


def projector() -> SmallUNet:
    """The stored network of the plain world, frozen: what `residual` measures with."""
    net, arrays = SmallUNet(**WORLD), stored("ch13_long")
    net.load_state_dict({k[6:]: torch.tensor(v).float() for k, v in arrays.items() if k.startswith("world.")})
    return net.requires_grad_(False)


def augmented(x: Tensor, g: torch.Generator) -> Tensor:
    """Each picture mirrored or not, moved by up to two pixels with the edge repeated, its colours scaled by .6 to 1."""
    padded = nn.functional.pad(x, (2, 2, 2, 2), mode="replicate")
    mirror = torch.rand(len(x), generator=g) < 0.5
    right, down = torch.randint(5, (2, len(x)), generator=g).tolist()
    cut = torch.stack([p[:, j : j + SIDE, i : i + SIDE] for p, i, j in zip(padded, right, down)])
    scale = 0.6 + 0.4 * torch.rand(len(x), 3, 1, 1, generator=g)
    return torch.where(mirror[:, None, None, None], cut.flip(3), cut).add(1).mul(scale).sub(1)


def term_of(arm: str, project: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
    """The residual term of an arm, (estimates, sigma) -> (N,) in squared distance per number."""
    kind, lam = arm.split()
    gate = float("inf") if kind == "always" else GATE

    def goal(x: Tensor, level: float) -> Tensor:
        return project(x, level).roll(1, 0) if kind == "another's" else project(x, level)

    def term(estimate: Tensor, sigma: Tensor) -> Tensor:
        residual = denoiser_residual(estimate, goal, AT) / estimate[0].numel()
        return float(lam) * (sigma.flatten() < gate) * residual

    return term


def weight(sigma: Tensor) -> Tensor:
    """The weight of a level that makes all levels alike (2.4)."""
    sd = WORLD["sigma_data"]
    return (sigma**2 + sd**2) / (sigma * sd) ** 2


def one_run(arm: str, seed: int, project: nn.Module) -> dict:
    """-> mean distance, median distance, shares of the three shapes, held-out error; the first pictures."""
    torch.manual_seed(seed)
    g = torch.Generator().manual_seed(seed)
    data = plain_pictures(plain_world(PICTURES, g))
    net, mean = SmallUNet(**WORLD), SmallUNet(**WORLD)
    mean.load_state_dict(net.state_dict())
    critic = mlp(3 * SIDE**2, 1, 128, 3)
    step_net = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=0.0)
    step_critic = torch.optim.AdamW(critic.parameters(), 1e-3, betas=(0.5, 0.999), weight_decay=0.0)
    told = arm == "told"
    for step in range(1, STEPS + 1):
        x0 = data[torch.randint(PICTURES, (BATCH,), generator=g)]
        label = torch.full((BATCH,), 3)  # no label
        if arm in ("augmented", "told"):
            changed = torch.rand(BATCH, generator=g) < 0.8
            x0 = torch.where(changed[:, None, None, None], augmented(x0, g), x0)
            label = changed.long() if told else label
        sigma = HIGH * (LOW / HIGH) ** torch.rand(BATCH, 1, 1, 1, generator=g)
        estimate = net(x0 + sigma * torch.randn(x0.shape, generator=g), sigma, label)
        loss = (weight(sigma) * (estimate - x0).square()).mean()
        if arm.startswith(("gated", "always", "another")):
            bounded = weight(sigma.clamp(min=AT)).flatten()  # below AT the projector itself is the coarser of the two
            loss = loss + (bounded * term_of(arm, project)(estimate, sigma)).mean()
        if arm.startswith("adversarial"):
            low = sigma.flatten() < GATE
            loss = loss + float(arm.split()[1]) * generator_loss(critic(estimate[low].flatten(1)))
        _descend(step_net, loss, net)
        if arm.startswith("adversarial"):
            on_both = critic(x0[low].flatten(1)), critic(estimate[low].detach().flatten(1))
            _descend(step_critic, critic_loss(*on_both), critic)
        average_into(mean, net, DECAY, step)
    return judged_run(mean, torch.zeros(N).long() if told else torch.full((N,), 3), seed)


def _descend(optimiser: torch.optim.Optimizer, loss: Tensor, network: nn.Module) -> None:
    """One step of an optimiser, for the parameters of its own network alone."""
    gradients = torch.autograd.grad(loss, list(network.parameters()), allow_unused=True)
    for parameter, gradient in zip(network.parameters(), gradients):
        parameter.grad = gradient
    optimiser.step()


def judged_run(net: SmallUNet, label: Tensor, seed: int) -> dict:
    """What `one_run` returns, of a trained network."""
    g = torch.Generator().manual_seed(1000 + seed)
    start = HIGH * torch.randn(N, 3, SIDE, SIDE, generator=g)
    x = sample(lambda x, sigma: net(x, sigma, label), start, karras(HIGH, LOW, LEVELS))
    distance, shape = nearest_drawing(x)
    fresh = plain_pictures(plain_world(N, g))
    sigma = HIGH * (LOW / HIGH) ** torch.rand(N, 1, 1, 1, generator=g)
    with torch.no_grad():
        error = net(fresh + sigma * torch.randn(fresh.shape, generator=g), sigma, label) - fresh
    shares = torch.bincount(shape, minlength=3) / N
    held = (weight(sigma) * error.square()).mean()
    return {"numbers": torch.stack([distance.mean(), distance.median(), *shares, held]), "pictures": x[:SHOWN].half()}


def main() -> None:
    """numbers (arms, seeds, 6) and, of the first seed, pictures (arms, 16, 3, 12, 12)."""
    torch.set_num_threads(1)
    folder, project, runs = folder_of(__file__), projector(), {}
    for seed in range(SEEDS):
        for arm in ARMS:
            runs[arm, seed] = kept(folder, f"{arm}-{seed}", one_run, arm, seed, project)
    save("ch13_constraints", {
        "arms": list(ARMS),
        "columns": ["distance", "median distance", "circle", "square", "cross", "held out"],
        "numbers": torch.stack([torch.stack([runs[arm, s]["numbers"] for s in range(SEEDS)]) for arm in ARMS]),
        "pictures": torch.stack([runs[arm, 0]["pictures"] for arm in ARMS]),
    })  # fmt: skip


if __name__ == "__main__":
    main()
