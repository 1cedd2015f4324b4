"""Scripts that make the stored results: one file per result, run by `course precompute NAME`."""

import hashlib
from collections.abc import Mapping

import numpy as np

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
