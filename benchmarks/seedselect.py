"""SeedSelect's price: equal gradients, memory at 2 and at 20 steps, and the time of one iteration.

Run as `python benchmarks/seedselect.py [pairs]`, on the CPU. The network is a small UNet whose activations are
hundreds of times one latent, so that it is activations that are counted.

Two measures of memory, both exact and without a clock. *Saved* is what autograd keeps from the forward pass for the
backward pass, seen by `torch.autograd.graph.saved_tensors_hooks`; tensors inside a checkpoint are not kept and so not
seen. *Peak* is the most that was allocated at one time over forward and backward beyond what was there before, from
every allocation and release that `torch.profiler` records; it includes what a checkpoint computes again. A checkpoint
keeps one latent and the state of the random numbers, 5 kB, for each step; nothing else grows.

Time is that of the processor, and what counts is the median of pairs, each one iteration (forward, backward, Adam's
step) beside one forward pass of the sampler without gradients.
"""

import statistics
import sys
import time

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from course_lib.samplers import sample, scaled_linear, trajectory
from course_lib.seedselect import appearance, sampler, seedselect

SHAPE, WIDTH, GROWTH, PASSES, RATIO = (4, 24, 24), 96, 0.10, 4.5, 50


class SmallUNet(nn.Module):
    """Two levels of residual convolutions with a connection across; (N, 4, 24, 24) -> the same."""

    def __init__(self, width: int = WIDTH):
        super().__init__()
        self.first = nn.Conv2d(SHAPE[0], width, 3, padding=1)
        self.blocks = nn.ModuleList(self._block(width) for _ in range(4))
        self.down = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(width, width, 2, stride=2)
        self.last = nn.Conv2d(width, SHAPE[0], 3, padding=1)

    @staticmethod
    def _block(width: int) -> nn.Module:
        half = (nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1))
        return nn.Sequential(*half, nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1))

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        h = self.first(x / (1 + sigma**2) ** 0.5)
        h = h + self.blocks[0](h)
        low = self.down(h)
        low = low + self.blocks[1](low)
        low = low + self.blocks[2](low)
        h = h + self.up(low)
        return x / (1 + sigma**2) + 0.1 * self.last(h + self.blocks[3](h))


def plain(net: nn.Module, sigmas: Tensor):
    """The sampler without checkpoints."""

    def run(z: Tensor) -> Tensor:
        x = sigmas[0].to(z) * z
        for state in trajectory(net, x, sigmas):
            x = state.x
        return x

    return run


def gradient(run, z: Tensor) -> Tensor:
    """Gradient of a centroid loss with respect to the seed."""
    z = z.clone().requires_grad_()
    appearance(torch.zeros(SHAPE))(run(z)).sum().backward()
    return z.grad


def saved_bytes(run, z: Tensor, net: nn.Module) -> int:
    """Bytes that autograd keeps after the forward pass, each tensor's memory once and the network's weights not."""
    kept, weights = {}, {one.untyped_storage().data_ptr() for one in net.parameters()}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        run(z.clone().requires_grad_())
    return sum(kept.values())


def peak_bytes(run, z: Tensor, net: nn.Module) -> int:
    """The most bytes allocated at one time over forward and backward, beyond those at the beginning."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        gradient(run, z)
    now = peak = 0
    changes = [event for event in record.profiler.kineto_results.events() if event.name() == "[memory]"]
    for event in sorted(changes, key=lambda event: event.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return peak


def seconds(work) -> float:
    """The processor's seconds of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main(pairs: int = 5) -> int:
    """Prints a line for each thing that must hold, and returns how many did not."""
    torch.manual_seed(0)
    net, z = SmallUNet().requires_grad_(False), torch.randn(1, *SHAPE)
    latent = z.numel() * z.element_size()
    runs = {T: (plain(net, scaled_linear(T)), sampler(net, scaled_linear(T))) for T in (2, 20)}
    gradient(runs[2][1], z)  # what the libraries set up at the first call

    equal = all(torch.equal(*(gradient(run, z) for run in pair)) for pair in runs.values())
    print(f"gradients with and without checkpoints equal bit by bit, at 2 and 20 steps: {equal}")

    once = saved_bytes(lambda z: net(z, torch.tensor(1.0)), z, net) / latent
    print(f"activations of one network call: {once:.0f} latents (at least {RATIO})")
    for name, measure in (("saved", saved_bytes), ("peak", peak_bytes)):
        for kind, which in (("plain", 0), ("checkpointed", 1)):
            few, many = (measure(runs[T][which], z, net) for T in (2, 20))
            limit = f" (at most {1 + GROWTH:.2f})" if (name, kind) == ("peak", "checkpointed") else ""
            print(f"{name} bytes, {kind}: {few} at 2 steps, {many} at 20, ratio {many / few:.3f}{limit}", flush=True)
    growth = many / few

    times, loss, sigmas = [], appearance(torch.zeros(SHAPE)), scaled_linear(20)
    for pair in range(pairs + 1):  # the first one only warms up
        taken = {}
        for which in (0, 1) if pair % 2 else (1, 0):
            if which:
                taken[which] = seconds(lambda: seedselect(runs[20][1], z, loss, iterations=1))
            else:
                taken[which] = seconds(lambda: sample(net, sigmas[0].to(z) * z, sigmas))
        times.append(taken[1] / taken[0])
    passes = statistics.median(times[1:])
    print(
        f"one iteration at 20 steps: {passes:.2f} forward passes of the sampler (at most {PASSES}), "
        f"{pairs} pairs {min(times[1:]):.2f} to {max(times[1:]):.2f}"
    )
    return [equal, once >= RATIO, growth <= 1 + GROWTH, passes <= PASSES].count(False)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
