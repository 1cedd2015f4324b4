"""Seconds and memory of the repulsive force on 1,000 particles of dimension 16,384: at most 2 s and 1.5 GB.

Run as `python benchmarks/force_memory.py`. Memory is counted beyond the library and the inputs, as the process' peak.
"""

import resource
import statistics
import sys
import time
from pathlib import Path

import torch

from course_lib.guidance import Repulsion, guided

STATUS = Path("/proc/self/status")
N, D = 1000, 16384


def status(field: str) -> float:
    """A field of Linux' process status, in GB."""
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith(field + ":"))
    return int(line.split()[1]) / 1e6


def peak() -> float:
    """The most memory this process ever held, in GB; Linux' own count forgets what the parent process held."""
    if STATUS.exists() and "VmHWM" in STATUS.read_text():
        return status("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e9 if sys.platform == "darwin" else 1e6)


def limit(extra: float) -> None:
    """Lets an attempt to take `extra` GB more than now fail as an error, instead of filling the machine."""
    if STATUS.exists():
        bytes_ = int((status("VmSize") + extra) * 1e9)
        resource.setrlimit(resource.RLIMIT_AS, (bytes_, bytes_))


def main(repeats: int = 5) -> None:
    """Prints one line per kind of force: median seconds of `repeats`, and GB."""
    limit(6.0)
    x, sigma = torch.randn(N, D, generator=torch.Generator().manual_seed(0)), torch.tensor(2.0)
    warm = torch.randn(8, 8) @ torch.randn(8, 8)  # what the libraries take for themselves at the first product
    denoisers = {
        "on x": guided(lambda x, s: x, Repulsion(1.0)),
        "on x0": guided(lambda x, s: x, Repulsion(1.0, on="x0")),
    }
    before = peak() if warm.isfinite().all() else 0.0
    for name, denoiser in denoisers.items():
        seconds = []
        for _ in range(repeats):
            start = time.perf_counter()
            denoiser(x, sigma)
            seconds.append(time.perf_counter() - start)
        print(
            f"force {name}, N = {N}, d = {D}: {statistics.median(seconds):.2f} s, {peak() - before:.2f} GB", flush=True
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
