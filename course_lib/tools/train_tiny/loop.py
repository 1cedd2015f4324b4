"""One training loop for all parts of `tiny`: resumable, logged, with a progress bar."""

import math
import os
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

SAVE_EVERY = 60.0  # seconds between checkpoints


def fit(
    name: str,
    module: nn.Module,
    loss: Callable[[int, torch.Generator], Tensor],
    steps: int,
    folder: Path,
    lr: float = 1e-3,
    average: float | None = None,
    decay: float = 0.01,
    cool: tuple[int, int] | None = None,
) -> nn.Module:
    """AdamW on loss(step, generator), cosine to zero after a warm-up; -> the module, averaged over steps if asked.

    The generator of a step is seeded by part and step alone, so that a run that was stopped and taken up again draws
    what an uninterrupted one would. A checkpoint in `folder` is written every SAVE_EVERY seconds and at the end.
    """
    path = folder / f"{name}.pt"
    optimiser = torch.optim.AdamW(module.parameters(), lr=lr, betas=(0.9, 0.99), weight_decay=decay)
    shadow = AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(average), use_buffers=True) if average else None
    first = _resume(path, module, optimiser, shadow)
    saved, mean = time.monotonic(), 0.0
    module.train()
    bar = tqdm(range(first, steps), desc=name, initial=first, total=steps, mininterval=2.0)
    for step in bar:
        for group in optimiser.param_groups:
            group["lr"] = lr * (_schedule(step, steps) if cool is None else _cooled(step, steps, *cool))
        value = loss(step, torch.Generator().manual_seed(_seed(name, step)))
        if not value.isfinite():
            raise FloatingPointError(f"{name}: the loss became {value.item()} at step {step}; lower lr = {lr:g}.")
        optimiser.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimiser.step()
        if shadow:
            shadow.update_parameters(module)
        mean += (value.item() - mean) * max(0.01, 1 / (step - first + 1))
        last = step == steps - 1
        if last or time.monotonic() - saved > SAVE_EVERY:
            _save(path, step + 1, module, optimiser, shadow)
            _log(folder, f"{name} step {step + 1} of {steps} loss {mean:.5f}")
            bar.set_postfix(loss=f"{mean:.4f}")
            saved = time.monotonic()
    return (shadow.module if shadow else module).eval()


def _schedule(step: int, steps: int, warm: int = 200) -> float:
    """Share of the learning rate: linear up to one, then half a cosine down to zero."""
    warm = min(warm, steps // 10 + 1)
    return (step + 1) / warm if step < warm else 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _cooled(step: int, steps: int, horizon: int, last: int) -> float:
    """The cosine of a run of `horizon` steps, cut off at `steps` by a straight line to zero over the `last` ones."""
    return _schedule(step, horizon) * min(1.0, (steps - step) / last)


def _seed(name: str, step: int) -> int:
    return sum(ord(letter) * 131**k for k, letter in enumerate(name)) % 1_000_003 * 10_000_000 + step


def _save(path: Path, step: int, module: nn.Module, optimiser: torch.optim.Optimizer, shadow: nn.Module | None):
    state = {"step": step, "module": module.state_dict(), "optimiser": optimiser.state_dict()}
    if shadow:
        state["shadow"] = shadow.state_dict()
    part = path.with_suffix(".part")
    torch.save(state, part)
    os.replace(part, path)


def _resume(path: Path, module: nn.Module, optimiser: torch.optim.Optimizer, shadow: nn.Module | None) -> int:
    if not path.is_file():
        return 0
    device = next(module.parameters()).device
    state = torch.load(path, map_location=device, weights_only=True)
    module.load_state_dict(state["module"])
    optimiser.load_state_dict(state["optimiser"])
    if shadow:
        shadow.load_state_dict(state["shadow"])
    return state["step"]


def _log(folder: Path, line: str) -> None:
    with (folder / "log.txt").open("a", encoding="utf-8") as log:
        log.write(line + "\n")
