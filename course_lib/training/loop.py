"""The training loop, also for networks in half precision, and the end of a run before its end."""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

LARGEST_SCALE = 2.0**16  # what the loss is multiplied by before its gradient is taken
PATIENCE = 1000  # steps without an overflow, after which the scale is doubled


def train(
    loss_of: Callable[[object], Tensor],
    parameters: Iterable[Tensor],
    batches: Iterable[object],
    lr: float = 1e-3,
    decay: float = 0.0,
    autocast: torch.dtype | None = None,
) -> Iterator[float]:
    """Adam on loss_of(batch), one step per batch, with decoupled weight decay; yields each loss.

    The parameters are float32 or float64, since a step of lr is lost in the rounding of a half; the rest of the network
    may be float16 or bfloat16, or run in `autocast`. Gradients are those of the loss times a power of two, which
    changes no other number but keeps a float16 network's from vanishing; where they overflow, the step is left out and
    the power halved. Raises ValueError for parameters of another dtype, and FloatingPointError when the loss or, at
    the power 1, the gradient is not finite. Source: Micikevicius et al. (2018).
    """
    parameters = list(parameters)
    _check(parameters, lr, decay, autocast)
    return _steps(loss_of, parameters, batches, lr, decay, autocast)


def _check(parameters: list, lr: float, decay: float, autocast: torch.dtype | None) -> None:
    if not all(isinstance(p, Tensor) for p in parameters) or not any(p.requires_grad for p in parameters):
        raise ValueError("train: needs tensors of which at least one requires a gradient; was the iterator used up?")
    others = {str(p.dtype) for p in parameters} - {"torch.float32", "torch.float64"}
    if others:
        raise ValueError(
            f"train: trained parameters must be float32 or float64, got {', '.join(sorted(others))}; add_lora makes "
            "them so, and a whole network is loaded in float32 and runs in half under autocast=torch.bfloat16."
        )
    if not 0 <= lr < float("inf") or not 0 <= decay < float("inf"):
        raise ValueError(f"train: lr and decay must be finite and not negative, got {lr} and {decay}.")
    if autocast not in (None, torch.float16, torch.bfloat16):
        raise ValueError(f"train: autocast must be torch.float16, torch.bfloat16 or None, got {autocast}.")


def _steps(loss_of: Callable, parameters: list, batches: Iterable, lr: float, decay: float, autocast) -> Iterator:
    """The loop of `train`."""
    # foreach: one call for all parameters, the same numbers, and half the time where there are many small ones
    optimiser = torch.optim.AdamW(parameters, lr=lr, weight_decay=decay, foreach=True)
    device, scale, good = parameters[0].device.type, LARGEST_SCALE, 0
    for step, batch in enumerate(batches):
        with torch.enable_grad(), torch.autocast(device, autocast, enabled=autocast is not None):
            loss = loss_of(batch)
            scaled = loss.to(torch.promote_types(loss.dtype, torch.float32)) * scale
        if not loss.isfinite():
            raise FloatingPointError(f"train: the loss became {loss.item()}; {_advice(step, lr)}")
        optimiser.zero_grad()
        scaled.backward()
        if _unscaled(parameters, scale):
            optimiser.step()
            good += 1
            if good % PATIENCE == 0:
                scale = min(2 * scale, LARGEST_SCALE)
        elif scale > 1:
            scale, good = scale / 2, 0
        else:
            raise FloatingPointError(f"train: the gradient is not finite; {_advice(step, lr)}")
        yield loss.item()


def _unscaled(parameters: list[Tensor], scale: float) -> bool:
    """Divides the gradients by the scale, in place; whether all are finite."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    for gradient in gradients:
        gradient.div_(scale)
    return bool(torch.stack([gradient.isfinite().all() for gradient in gradients]).all())


def _advice(step: int, lr: float) -> str:
    """What to do about a number that is not finite: before the first step no learning rate can be at fault."""
    if step == 0:
        return "no step has been taken yet, so look at the batch and at the network."
    return f"lower the learning rate {lr:g}."


def early_stopped(
    losses: Iterable[float], probe: Callable[[], float], every: int, patience: int, keep: Callable[[], None]
) -> Iterator[tuple[float, float | None]]:
    """Goes through a training run and ends it when probe() has not fallen for `patience` probes; yields (loss, probe).

    probe is asked every `every` steps (lower is better: held-out loss, or minus a diversity); keep() is called whenever
    it reaches a new low, to store the weights.
    """
    if every < 1 or patience < 1:
        raise ValueError(f"early_stopped: every and patience must be at least 1, got {every} and {patience}.")
    lowest, since = float("inf"), 0
    for step, loss in enumerate(losses, 1):
        value = probe() if step % every == 0 else None
        if value is not None:
            since = 0 if value < lowest else since + 1
            if value < lowest:
                lowest = value
                keep()
        yield loss, value
        if since >= patience:
            return
