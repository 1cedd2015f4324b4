"""Learning a denoiser: the loss and the loop; fine-tuning it with adapters, and what keeps the rest alive."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from course_lib.denoisers import Denoiser


def denoising_loss(
    denoiser: Denoiser, x0: Tensor, sigma: Tensor, eps: Tensor, sigma_data: float | None = None
) -> Tensor:
    """Mean of lambda(sigma) |D(x0 + sigma eps, sigma) - x0|**2 over the batch (2.1).

    Shapes: (N, *shape), (N, 1, ..), (N, *shape) -> (). lambda is (sigma**2 + sigma_data**2) / (sigma sigma_data)**2,
    which weighs all levels alike, or 1 if sigma_data is None. Source: Vincent (2011); the weight by Karras et al.
    (2022), table 1.
    """
    error = (denoiser(x0 + sigma * eps, sigma) - x0).square()
    if sigma_data is not None:
        error = error * (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2
    return error.mean()


def train(
    loss_of: Callable[[object], Tensor],
    parameters: Iterable[Tensor],
    batches: Iterable[object],
    lr: float = 1e-3,
    decay: float = 0.0,
) -> Iterator[float]:
    """Adam on loss_of(batch), one step per batch, with decoupled weight decay; yields each loss.

    Raises FloatingPointError when the loss is not finite.
    """
    optimiser = torch.optim.AdamW(list(parameters), lr=lr, weight_decay=decay)
    for batch in batches:
        loss = loss_of(batch)
        if not loss.isfinite():
            raise FloatingPointError(f"train: the loss became {loss.item()}; lower the learning rate {lr:g}.")
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        yield loss.item()


def add_lora(module: nn.Module, rank: int, targets: Sequence[str], scale: float = 1.0, dropout: float = 0.0) -> list:
    """Add W <- W + scale B A to the linear layers whose names end in one of `targets` (7.1) -> the new parameters.

    A (rank, in) is random and B (out, rank) zero, so that nothing changes at first; everything else is frozen. scale is
    alpha / rank. Raises ValueError for a rank below 1 or targets that fit no layer. Source: Hu et al. (2022).
    """
    if rank < 1 or not scale > 0:
        raise ValueError(f"add_lora: needs rank >= 1 and scale > 0, got rank = {rank}, scale = {scale:g}.")
    names = [name for name, _ in module.named_modules() if name and name.endswith(tuple(targets))]
    if not names:
        raise ValueError(f"add_lora: no layer's name ends in {', '.join(targets)}; print(module) shows the names.")
    from peft import LoraConfig, inject_adapter_in_model

    module.requires_grad_(False)
    config = LoraConfig(
        r=rank, lora_alpha=scale * rank, target_modules=names, lora_dropout=dropout, init_lora_weights="gaussian"
    )
    inject_adapter_in_model(config, module)
    return [parameter for name, parameter in module.named_parameters() if "lora_" in name]


def lora_layers(module: nn.Module) -> dict[str, nn.Module]:
    """The layers that carry an adapter, by name; raises ValueError where there is none."""
    found = {name: layer for name, layer in module.named_modules() if hasattr(layer, "lora_A")}
    if not found:
        raise ValueError("lora: this module has no adapter; call add_lora first.")
    return found


@torch.no_grad()
def lora_deltas(module: nn.Module) -> dict[str, Tensor]:
    """What each adapter adds to its layer's weights, scale B A (7.1), by name, (out, in) of rank at most r."""
    return {name: layer.get_delta_weight("default").clone() for name, layer in lora_layers(module).items()}


@torch.no_grad()
def add_deltas(module: nn.Module, deltas: dict[str, Tensor], share: float = 1.0) -> None:
    """Add `share` times stored changes to the weights of a module without adapters, in place.

    Averaging adapters means adding their deltas, each with share 1 / n (7.5): B A is not linear in A and B together.
    """
    layers = dict(module.named_modules())
    for name, delta in deltas.items():
        if name not in layers or getattr(layers[name], "weight", delta[:0]).shape != delta.shape:
            raise ValueError(f"add_deltas: the module has no layer {name} with weights {tuple(delta.shape)}.")
        layers[name].weight.add_(share * delta)


def save_lora(module: nn.Module, path: str | Path) -> None:
    """Write the adapter's factors, and the scale that multiplies them, as one safetensors file.

    The scale stands in the file: an adapter that is saved without its alpha comes back with another strength.
    """
    from safetensors.torch import save_file

    layers = lora_layers(module)
    factors = {}
    for name, layer in layers.items():
        factors[f"{name}.A"] = layer.lora_A["default"].weight.detach().contiguous()
        factors[f"{name}.B"] = layer.lora_B["default"].weight.detach().contiguous()
    scales = {name: repr(float(layer.scaling["default"])) for name, layer in layers.items()}
    save_file(factors, str(path), metadata=scales)


def load_lora(module: nn.Module, path: str | Path) -> dict[str, Tensor]:
    """The deltas scale B A of a file by `save_lora`, checked against the layers of `module`, for `add_deltas`."""
    from safetensors import safe_open

    with safe_open(str(path), framework="pt") as file:
        scales = file.metadata() or {}
        deltas = {name: float(scale) * file.get_tensor(f"{name}.B") @ file.get_tensor(f"{name}.A")
                  for name, scale in scales.items()}  # fmt: skip
    layers = dict(module.named_modules())
    for name, delta in deltas.items():
        if name not in layers or layers[name].weight.shape != delta.shape:
            raise ValueError(f"load_lora: {path} changes a layer {name} {tuple(delta.shape)} that this module lacks.")
    if not deltas:
        raise ValueError(f"load_lora: {path} holds no scales; it was not written by save_lora.")
    return deltas


def preserving(loss_of: Callable[[object], Tensor], prior_of: Callable[[object], Tensor], lam: float = 1.0) -> Callable:
    """Prior preservation: the loss on the new pictures plus lam times the loss on what the model drew before (7.4).

    Called with a pair (batch of the subject, batch of the class). Source: Ruiz et al. (2023), eq. (2).
    """
    if lam < 0:
        raise ValueError(f"preserving: lam must not be negative, got {lam:g}.")
    return lambda pair: loss_of(pair[0]) + lam * prior_of(pair[1])


def manifold_loss(
    denoiser: Denoiser, x0: Tensor, sigma: Tensor, eps: Tensor, distance2: Callable[[Tensor], Tensor], lam: float,
    gate: float = float("inf"),
) -> Tensor:  # fmt: skip
    """Mean of |D - x0|**2 + lam 1[sigma < gate] distance2(D) (5.11), x0 (N, *shape), sigma (N, 1, ..) -> ().

    Ungated it moves the minimum: at high noise D is a mean of many points and must lie off the manifold.
    """
    estimate = denoiser(x0 + sigma * eps, sigma)
    open_ = (sigma.reshape(len(x0)) < gate).to(x0.dtype)
    return ((estimate - x0).flatten(1).square().sum(1) + lam * open_ * distance2(estimate)).mean()


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
