"""Where a network lives: the one place that chooses a device.

The rule of the whole library: a network lives where it was loaded; what is handed to it moves to it, and its answer
stays there. Random numbers are drawn on the CPU by seed. What needs float64 is computed on the CPU and stays there,
since Apple's GPUs have none.
"""

import os

import torch
from torch import Tensor, nn

VARIABLE = "COURSE_DEVICE"


def chosen(device: str | torch.device | None = None) -> torch.device:
    """The device that is named, else that of COURSE_DEVICE, else a CUDA GPU where there is one, else the CPU.

    Names are torch's: cpu, cuda, cuda:1, mps. Raises ValueError for one that is no device of this machine.
    """
    named, by = (device, "device") if device is not None else (os.environ.get(VARIABLE), VARIABLE)
    if not named:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(named)
        torch.zeros(1, device=found, dtype=torch.float32)  # whatever the default is: not every GPU has float64
    except Exception as error:
        raise ValueError(
            f"{by}: {named} is no device that works on this machine; use cpu, cuda, cuda:1 or mps, or leave it out."
        ) from error
    return found


def handed(x: Tensor, network: nn.Module) -> Tensor:
    """x where a network lives and in the number type it computes in; a network without parameters takes x as it is."""
    like = next(network.parameters(), None)
    return x if like is None else x.to(like)
