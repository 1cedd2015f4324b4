"""Files of adapters as diffusers and peft write them, so that `pipe.load_lora_weights` reads ours and we read theirs.

One safetensors file holds A and B of each layer under "unet.<layer>.lora_A.weight" and "unet.<layer>.lora_B.weight",
and in its metadata, as text, the settings of the adapter, with alpha among them. What carries no alpha anywhere has
alpha = r, as diffusers takes it.
"""

import json
import math
import re
from collections import Counter
from pathlib import Path

import torch
from torch import Tensor, nn

from course_lib.training.lora import adapter_name, lora_layers

FILE, SETTINGS = "pytorch_lora_weights.safetensors", "lora_adapter_metadata"  # diffusers' names
PARTS = ("unet", "text_encoder", "text_encoder_2", "transformer")  # of a pipeline, whose name comes first in a key
KOHYA = {"unet": ("lora_unet_",), "text_encoder": ("lora_te_", "lora_te1_"), "text_encoder_2": ("lora_te2_",)}
# The end of a key, by which one of the two factors, or alpha, is told from the name of its layer.
ENDS = re.compile(
    r"(?P<layer>.+?)(?:[._]lora(?:_linear_layer)?[._](?P<factor>A|B|down|up)(?:\.default)?\.weight|\.(?P<alpha>alpha))"
)


def save_lora(module: nn.Module, path: str | Path, part: str = "unet") -> None:
    """Write a module's adapter where `pipe.load_lora_weights(path)` finds it: a .safetensors file, or a folder for one.

    `part` is what the module is called in its pipeline, "unet" or "text_encoder"; a module of its own stands as "unet".
    Alpha stands in the file: an adapter that is saved without it comes back with another strength. Raises ValueError
    for a module without an adapter or a file of another kind.
    """
    from safetensors.torch import save_file

    if part not in PARTS:
        raise ValueError(f"save_lora: part must be one of {', '.join(PARTS)}, got {part!r}.")
    path = Path(path)
    if path.suffix not in ("", ".safetensors"):
        raise ValueError(f"save_lora: needs a folder or a name that ends in .safetensors, got {path}.")
    factors, ranks, alphas = {}, {}, {}
    for name, layer in lora_layers(module).items():
        adapter = adapter_name(layer)
        for letter in "AB":
            weight = getattr(layer, f"lora_{letter}")[adapter].weight.detach()
            factors[f"{part}.{name}.lora_{letter}.weight"] = weight.cpu().contiguous()
        ranks[name] = layer.r[adapter]
        alphas[name] = float(layer.scaling[adapter]) * ranks[name]
    path = path / FILE if path.suffix == "" else path
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(factors, str(path), metadata={"format": "pt", SETTINGS: _settings(ranks, alphas, part)})


def _settings(ranks: dict[str, int], alphas: dict[str, float], part: str) -> str:
    """The adapter's settings as text, under the names of peft's LoraConfig; patterns are the layers that differ."""
    r, alpha = (Counter(values.values()).most_common(1)[0][0] for values in (ranks, alphas))
    settings = {
        "r": r,
        "lora_alpha": alpha,
        "target_modules": list(ranks),
        "rank_pattern": {name: rank for name, rank in ranks.items() if rank != r},
        "alpha_pattern": {name: own for name, own in alphas.items() if own != alpha},
    }
    return json.dumps({f"{part}.{key}": value for key, value in settings.items()}, indent=2, sort_keys=True)


def load_lora(module: nn.Module, path: str | Path, part: str = "unet") -> dict[str, Tensor]:
    """The deltas scale B A of an adapter's file (7.1), checked against the layers of `module`, for `add_deltas`.

    Reads what `save_lora`, diffusers and peft write, and kohya's names where they are those of the module's layers; a
    folder stands for the file in it. The adapters of other parts of a pipeline in the same file are left to a call of
    their own. float32 or better. Raises FileNotFoundError, and ValueError for a file that is damaged, of another kind,
    or of another network.
    """
    tensors, settings = _read(Path(path))
    named, settings = _of_part(tensors, settings, part, path)
    layers = {name: layer for name, layer in module.named_modules() if getattr(layer, "weight", None) is not None}
    flat = {name.replace(".", "_"): name for name in layers}
    deltas = {}
    for stem, found in named.items():
        if not {"A", "B"} <= set(found):
            raise ValueError(f"load_lora: {path} has only one of the two factors of layer {stem}; it is incomplete.")
        A, B = (found[letter].to(torch.promote_types(found[letter].dtype, torch.float32)) for letter in "AB")
        name = _layer(stem, flat)
        weight = layers[name].weight if name in layers else None
        if not _fit(A, B, weight):
            has = "lacks it" if weight is None else f"has weights {tuple(weight.shape)} there"
            raise ValueError(
                f"load_lora: {path} adds B {tuple(B.shape)} times A {tuple(A.shape)} to layer {name}, but this module "
                f"{has}."
            )
        delta = _scale(settings, stem, len(A), found.get("alpha")) * (B.flatten(1) @ A.flatten(1))
        if not delta.isfinite().all():
            raise ValueError(f"load_lora: {path} holds numbers for layer {name} that are not finite.")
        deltas[name] = delta.reshape(weight.shape)
    return deltas


def _layer(stem: str, flat: dict[str, str]) -> str:
    """The layer that a file means with dots or kohya's underscores; `flat` goes from the second to the first.

    transformers 5 has dropped the text_model that older files have in front.
    """
    flattened = stem.replace(".", "_")
    return flat.get(flattened) or flat.get(flattened.removeprefix("text_model_"), stem)


def _fit(A: Tensor, B: Tensor, weight: Tensor | None) -> bool:
    """Whether B A can be added to the weights; a convolution's A is (r, in, k, k) and its B (out, r, 1, 1)."""
    if weight is None or A.ndim < 2 or B.ndim < 2 or B[0].numel() != len(A):
        return False
    return (len(B), A[0].numel()) == (len(weight), weight[0].numel())


def _read(path: Path) -> tuple[dict[str, Tensor], dict]:
    """Tensors and settings of a file, or of the one safetensors file of a folder."""
    from safetensors import SafetensorError, safe_open

    folder = path if path.is_dir() else None
    if folder is not None:
        here = [folder / FILE] if (folder / FILE).is_file() else sorted(folder.glob("*.safetensors"))
        if len(here) != 1:
            raise FileNotFoundError(f"load_lora: needs one .safetensors file in {folder}, found {len(here)}.")
        path = here[0]
    if not path.is_file():
        raise FileNotFoundError(f"load_lora: there is no file {path}.")
    try:
        with safe_open(str(path), framework="pt") as file:
            tensors, metadata = {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
        settings = json.loads(metadata.get(SETTINGS, "{}"))
        if not isinstance(settings, dict):
            raise ValueError(f"its settings are {settings!r}")
    except (SafetensorError, ValueError) as error:
        raise ValueError(
            f"load_lora: {path} is no readable safetensors file, damaged or of another kind (.bin and .pt are "
            f"pickles, which can run code and are not opened): {error}"
        ) from error
    config = path.parent / "adapter_config.json"
    if folder is not None and not settings and config.is_file():  # as peft's save_pretrained writes it
        settings = json.loads(config.read_text(encoding="utf-8"))
    return tensors, settings


def _of_part(tensors: dict[str, Tensor], settings: dict, part: str, path) -> tuple[dict[str, dict], dict]:
    """A, B and alpha of each layer of a part of the pipeline, by the layer's name, and the settings of that part."""
    fronts = {f"{name}.": name for name in PARTS} | {front: name for name in PARTS for front in KOHYA.get(name, ())}
    named, parts = {}, set()
    for key, tensor in tensors.items():
        match = ENDS.fullmatch(key)
        if match is None:
            raise ValueError(f"load_lora: {path} holds {key}, which is no factor of a LoRA adapter; it cannot be read.")
        front = max((one for one in fronts if key.startswith(one)), key=len, default=None)
        parts.add(fronts.get(front, part))
        if fronts.get(front, part) == part:
            stem = match["layer"].removeprefix(front or "base_model.model.").replace(".processor.", ".")
            kind = {"down": "A", "up": "B", None: "alpha"}.get(match["factor"], match["factor"])
            named.setdefault(stem, {})[kind] = tensor
    if not named:
        raise ValueError(f"load_lora: {path} holds no adapter for the {part}, only for: {', '.join(sorted(parts))}.")
    own = {key.removeprefix(f"{part}."): value for key, value in settings.items() if key.startswith(f"{part}.")}
    return named, own or settings


def _scale(settings: dict, stem: str, rank: int, alpha: Tensor | None) -> float:
    """alpha / r of a layer (over the root of r where the settings say rslora); alpha is r where nobody says it."""
    if alpha is None:
        alpha = settings.get("lora_alpha", rank)
        for pattern, own in settings.get("alpha_pattern", {}).items():
            if re.fullmatch(rf"(.*\.)?({pattern})", stem):  # as peft reads it
                alpha = own
    try:
        alpha = float(alpha)
    except (TypeError, ValueError) as error:
        raise ValueError(f"load_lora: alpha must be a number, got {alpha!r} for layer {stem}.") from error
    return alpha / (math.sqrt(rank) if settings.get("use_rslora") else rank)
