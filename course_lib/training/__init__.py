"""Training: losses, the loop, adapters (LoRA) and their files.

`losses` are numbers of a batch, `loop` goes down them and stops early, `lora` adds adapters to a network and merges
them, `adapter_files` writes and reads them as diffusers does. Like `metrics` this package re-exports its functions:
`from course_lib.training import train`.
"""

from course_lib.training.adapter_files import load_lora, save_lora
from course_lib.training.loop import early_stopped, train
from course_lib.training.lora import add_deltas, add_lora, lora_deltas, lora_layers
from course_lib.training.losses import denoising_loss, epsilon_weight, manifold_loss, min_snr, preserving

__all__ = [
    "add_deltas",
    "add_lora",
    "denoising_loss",
    "early_stopped",
    "epsilon_weight",
    "load_lora",
    "lora_deltas",
    "lora_layers",
    "manifold_loss",
    "min_snr",
    "preserving",
    "save_lora",
    "train",
]
