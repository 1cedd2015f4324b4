"""CLIP: one space for pictures and texts."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib.devices import chosen, handed
from course_lib.features.images import checked, resize_clean
from course_lib.features.tiny import shipped
from course_lib.models import quiet

# Mean and spread of the colours, as shares of full brightness, that OpenAI's CLIP was trained with.
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class CLIP:
    """Embeddings of length one of pictures and of texts, by a transformers CLIPModel and its tokenizer.

    mean and std are what the model's pictures were normalised with, as shares of full brightness. Both methods are
    differentiable in their input where it is a tensor. Source: Radford et al. (2021).
    """

    model: torch.nn.Module
    tokenizer: object
    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD
    name: str = "CLIP"

    @property
    def dim(self) -> int:
        """Numbers per picture or text."""
        return self.model.config.projection_dim

    def __call__(self, images: Tensor) -> Tensor:
        """Pictures in [-1, 1] of any size, (N, 3, H, W) -> (N, dim), where the model is, resized as clean-fid does.

        Raises ValueError for what is no picture in [-1, 1].
        """
        images = checked(images, "CLIP").to(self.model.device)
        size = self.model.config.vision_config.image_size
        if tuple(images.shape[2:]) != (size, size):
            images = resize_clean(images, size)
        mean, std = (images.new_tensor(values)[:, None, None] for values in (self.mean, self.std))
        pixels = handed(((images + 1) / 2 - mean) / std, self.model)
        out = self.model.vision_model(pixel_values=pixels).pooler_output
        return F.normalize(self.model.visual_projection(out).float(), dim=1)

    @torch.no_grad()
    def texts(self, texts: str | list[str]) -> Tensor:
        """Texts, or one text -> (N, dim); what is longer than the model takes is cut off, as in its training."""
        texts = [texts] if isinstance(texts, str) else list(texts)
        length = self.model.config.text_config.max_position_embeddings
        ids = self.tokenizer(
            texts, padding="max_length", max_length=length, truncation=True, return_tensors="pt"
        ).input_ids
        out = self.model.text_model(input_ids=ids.to(self.model.device)).pooler_output
        return F.normalize(self.model.text_projection(out).float(), dim=1)


def load_clip(folder: str | Path | None = None, device: str | torch.device | None = None) -> CLIP:
    """The course's own CLIP, checked against its checksum, or one from a local folder as transformers saves it.

    In float32, ready to read, on `device` as `load_network`; its parameters need no gradient; nothing is downloaded.
    The colours' mean and std come from the folder's preprocessor_config.json, where there is one. Raises
    FileNotFoundError for a folder without a model, and what `load_network` raises.
    """
    from transformers import CLIPModel, CLIPTokenizer

    own = folder is None
    folder = shipped("clip/model.safetensors").parent if own else Path(folder)
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"load_clip: there is no CLIP model in {folder}; name a folder with its config.json.")
    with quiet():
        model = CLIPModel.from_pretrained(folder, local_files_only=True).float().eval().requires_grad_(False)
        model = model.to(chosen(device))
        tokenizer = CLIPTokenizer.from_pretrained(folder.parent / "tokenizer" if own else folder, local_files_only=True)
    if own:  # trained on pictures in [-1, 1] as they are
        return CLIP(model, tokenizer, (0.5,) * 3, (0.5,) * 3, name="tiny CLIP")
    settings = folder / "preprocessor_config.json"
    colours = json.loads(settings.read_text(encoding="utf-8")) if settings.is_file() else {}
    return CLIP(model, tokenizer, tuple(colours.get("image_mean", MEAN)), tuple(colours.get("image_std", STD)))
