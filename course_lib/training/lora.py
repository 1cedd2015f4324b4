"""LoRA: adapters of low rank on linear layers, what they add to the weights, and merging that into them."""

import math
import operator
from collections.abc import Iterable

import torch
from torch import Tensor, nn


def add_lora(
    module: nn.Module, rank: int, targets: str | Iterable[str], scale: float = 1.0, dropout: float = 0.0
) -> list[nn.Parameter]:
    """Add W <- W + scale B A to the linear layers called, or whose names end in, one of `targets` (7.1).

    -> the new parameters, float32 where the layer is a half. A (rank, in) is random and B (out, rank) zero, so that
    nothing changes at first; everything else is frozen. scale is alpha / rank. A target is whole parts of a dotted
    name: "to_q" is no "q". Raises ValueError for a rank below 1, a scale that is not positive, a target that fits no
    layer or one that is not linear, and a module that has adapters. Source: Hu et al. (2022).
    """
    rank = _checked(rank, scale, dropout)
    names = _fitting(module, targets)
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(
        r=rank, lora_alpha=scale * rank, target_modules=names, lora_dropout=dropout, init_lora_weights="gaussian"
    )
    module.requires_grad_(False)
    inject_adapter_in_model(config, module)
    parameters = [parameter for name, parameter in module.named_parameters() if "lora_" in name]
    for parameter in parameters:
        parameter.data = parameter.data.to(torch.promote_types(parameter.dtype, torch.float32))
    return parameters


def _checked(rank: int, scale: float, dropout: float) -> int:
    """The rank as a plain integer; raises ValueError for numbers that make no adapter."""
    try:
        whole = 0 if isinstance(rank, bool) else operator.index(rank)
    except TypeError:
        whole = 0
    numbers = isinstance(scale, (int, float)) and isinstance(dropout, (int, float))
    if whole < 1 or not numbers or not 0 < scale < math.inf:
        raise ValueError(
            f"add_lora: needs a whole rank >= 1 and a finite scale > 0, got rank = {rank!r}, scale = {scale!r}."
        )
    if not 0 <= dropout < 1:
        raise ValueError(f"add_lora: dropout must be a share from 0 to below 1, got {dropout}.")
    return whole


def _fitting(module: nn.Module, targets: str | Iterable[str]) -> list[str]:
    """Names of the layers that the targets fit, in the module's order."""
    targets = [targets] if isinstance(targets, str) else list(targets)
    if not targets or not all(isinstance(target, str) and target for target in targets):
        raise ValueError(f"add_lora: targets must be names of layers, at least one, got {targets!r}.")
    layers = {name: layer for name, layer in module.named_modules() if name}
    adapted = [name for name, layer in layers.items() if hasattr(layer, "lora_A")]
    if adapted:
        raise ValueError(
            f"add_lora: this module has an adapter on {_some(adapted)}, which a second one would replace; name all "
            "targets at once, or merge the first into a fresh copy with add_deltas."
        )
    fits = {target: [name for name in layers if f".{name}".endswith(f".{target}")] for target in targets}
    unfit = [target for target, names in fits.items() if not names]
    if unfit:
        raise ValueError(f"add_lora: no layer's name ends in {', '.join(unfit)}; print(module) shows the names.")
    found = [name for name in layers if any(name in names for names in fits.values())]
    others = [name for name in found if not isinstance(layers[name], nn.Linear)]
    if others:
        kinds = ", ".join(sorted({type(layers[name]).__name__ for name in others}))
        raise ValueError(f"add_lora: only linear layers take an adapter, but {_some(others)} is of kind {kinds}.")
    return found


def _some(names: list[str]) -> str:
    """The first of many names, and how many more there are."""
    return names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")


def lora_layers(module: nn.Module) -> dict[str, nn.Module]:
    """The layers that carry an adapter, by name; raises ValueError where there is none."""
    found = {name: layer for name, layer in module.named_modules() if hasattr(layer, "lora_A")}
    if not found:
        raise ValueError("lora: this module has no adapter; call add_lora first.")
    return found


def adapter_name(layer: nn.Module) -> str:
    """The name of a layer's one adapter, "default" if add_lora made it; raises ValueError where there are several."""
    names = list(layer.lora_A)
    if len(names) != 1:
        raise ValueError(f"lora: needs one adapter on each layer, got {names}; delete or merge the others first.")
    return names[0]


@torch.no_grad()
def lora_deltas(module: nn.Module) -> dict[str, Tensor]:
    """What each adapter adds to its layer's weights, scale B A (7.1), by name, (out, in) of rank at most r."""
    layers = lora_layers(module)
    return {name: layer.get_delta_weight(adapter_name(layer)).clone() for name, layer in layers.items()}


@torch.no_grad()
def add_deltas(module: nn.Module, deltas: dict[str, Tensor], share: float = 1.0) -> None:
    """Add `share` times stored changes to the weights of a module without adapters, in place.

    Averaging adapters means adding their deltas, each with share 1 / n (7.5): B A is not linear in A and B together.
    Raises ValueError, before anything is changed, for a layer that the module lacks or a share that is not finite.
    """
    layers = dict(module.named_modules())
    if not math.isfinite(share):
        raise ValueError(f"add_deltas: share must be a finite number, got {share}.")
    for name, delta in deltas.items():
        if name not in layers or getattr(layers[name], "weight", delta[:0]).shape != delta.shape:
            raise ValueError(f"add_deltas: the module has no layer {name} with weights {tuple(delta.shape)}.")
    for name, delta in deltas.items():
        weight = layers[name].weight
        weight.add_(share * delta.to(weight.device))
