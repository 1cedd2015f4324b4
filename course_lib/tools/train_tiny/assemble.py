"""The shipped folder: diffusers' layout in half precision, the readers beside it, checksums."""

import hashlib
import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import save_file
from torch import nn
from transformers import CLIPModel, CLIPTextModel, CLIPTokenizer

from course_lib.tools.train_tiny.parts import scheduler

READERS = ("oracle", "oracle2", "style", "embedding")


def assemble(
    folder: Path,
    tokenizer: CLIPTokenizer,
    clip: CLIPModel,
    vae: AutoencoderKL,
    unet: UNet2DConditionModel,
    readers: dict[str, nn.Module],
) -> None:
    """Write what `StableDiffusionPipeline.from_pretrained(folder)` loads, CLIP whole under clip/, and the readers."""
    text = CLIPTextModel(clip.config.text_config)
    text.load_state_dict(_text_weights(clip, text))
    pipe = StableDiffusionPipeline(
        vae=vae.half(),
        text_encoder=text.half(),
        tokenizer=tokenizer,
        unet=unet.half(),
        scheduler=scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.save_pretrained(folder, safe_serialization=True)
    _computed_in_float32(folder / "text_encoder" / "config.json")
    clip.half().save_pretrained(folder / "clip", safe_serialization=True)
    for name, reader in readers.items():
        halved = {
            key: value.half() if value.is_floating_point() else value for key, value in reader.state_dict().items()
        }
        save_file(halved, folder / f"{name}.safetensors")


def _computed_in_float32(config: Path) -> None:
    """Half precision is for the disk: transformers would compute in what the file names, diffusers in float32."""
    values = json.loads(config.read_text()) | {"dtype": "float32"}
    config.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")


def readable(folder: Path) -> None:
    """Files for everyone to read: the libraries write weights for their owner alone."""
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _text_weights(clip: CLIPModel, text: CLIPTextModel) -> dict[str, torch.Tensor]:
    """The text encoder's part of CLIP under the names CLIPTextModel has."""
    whole = clip.text_model.state_dict()
    names = text.state_dict().keys()
    prefix = "text_model." if all(name.startswith("text_model.") for name in names) else ""
    return {name: whole[name.removeprefix(prefix)] for name in names}


def write_checksums(folder: Path) -> None:
    """SHA256SUMS of every file in the folder but itself, in sha256sum's form."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "SHA256SUMS")
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}" for path in files
    ]
    (folder / "SHA256SUMS").write_text("\n".join(lines) + "\n")
