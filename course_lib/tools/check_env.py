"""`course check-env`: what this machine has of what the course needs."""

import importlib.metadata
import importlib.util
import platform
import shutil
import sys

LOWEST_PYTHON = (3, 11)
NEEDED = ("torch", "numpy", "matplotlib", "ipywidgets", "jupyterquiz")
EXTRAS = {"sd": ("diffusers", "transformers", "peft"), "lab": ("jupyterlab",), "book": ("nbclient", "jupyter-book")}


def main() -> int:
    """Print one line a thing; 1 where something the chapters need is missing."""
    good = sys.version_info >= LOWEST_PYTHON
    print(f"{'ok' if good else 'too old':10} Python {platform.python_version()} (3.11 or newer)")
    for name in NEEDED:
        good &= told(name, "missing")
    for extra, names in EXTRAS.items():
        for name in names:
            told(name, f"not here, comes with [{extra}]")
    print(f"{'ok':10} {device()}")
    print(f"{'ok':10} {shutil.disk_usage('.').free / 1e9:.0f} GB of disk are free here")
    print("The course runs here." if good else "The course does not run here yet: pip install diverse-diffusion")
    return 0 if good else 1


def told(name: str, otherwise: str) -> bool:
    """Say whether a distribution is installed, and which version."""
    try:
        print(f"{'ok':10} {name} {importlib.metadata.version(name)}")
    except importlib.metadata.PackageNotFoundError:
        print(f"{'-':10} {name}: {otherwise}")
        return False
    return True


def device() -> str:
    """The accelerator torch sees."""
    if importlib.util.find_spec("torch") is None:
        return "no torch, so no device"
    import torch

    if torch.cuda.is_available():
        return f"GPU: {torch.cuda.get_device_name(0)}"
    return f"no GPU: the chapters of Parts I and II need none ({torch.get_num_threads()} CPU threads)"
