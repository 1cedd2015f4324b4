"""Scripts that make the stored results: one file per result, run by `course precompute NAME`."""

import hashlib
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from course_lib.claims import RESULTS


def save(name: str, arrays: Mapping[str, object]) -> None:
    """Write results/NAME.npz and its line in results/SHA256SUMS, the other lines left as they are."""
    path, sums = RESULTS / f"{name}.npz", RESULTS / "SHA256SUMS"
    whole = path.with_suffix(".tmp.npz")
    np.savez(whole, **{key: np.asarray(values) for key, values in arrays.items()})
    whole.replace(path)  # an interrupted run leaves the old file
    lines = sums.read_text(encoding="utf-8").splitlines() if sums.is_file() else []
    kept = [line for line in lines if not line.endswith(f" {path.name}")]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    sums.write_text("".join(f"{line}\n" for line in sorted([*kept, f"{digest}  {path.name}"])), encoding="utf-8")


def kept(script: str, name: str, make: Callable[..., object], *inputs) -> object:
    """What `make` returns for its inputs, or what an interrupted run of the same script has left in a temporary folder.

    The folder is another one after each change of the script.
    """
    digest = hashlib.sha256(Path(script).read_bytes()).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"{Path(script).stem}-{digest}"
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.pt"
    if not path.is_file():
        torch.save(make(*inputs), path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)
        print(name, flush=True)
    return torch.load(path, weights_only=True)
