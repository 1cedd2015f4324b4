"""CPU time and error of our Frechet distance beside torchmetrics' and scipy's, from features, d = 2048, float64.

Run as `python benchmarks/frechet.py [repeats]`: the median over 5 pairs, each a fresh draw on which both run one after
the other on one thread (waiting threads would count as CPU time). Errors are against pairs whose distance is known:
b = c a + t, for which it is |mu_a - mu_b|**2 + (1 - c)**2 tr S_a also where the covariance is singular.
"""

import argparse
import functools
import os
import statistics
import time
import warnings

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # scipy reads them when it is imported

import torch  # noqa: E402

from course_lib.metrics import GaussianStatistics, frechet  # noqa: E402

D = 2048
BARS = {200: 200.0, 1000: 12.0, 5000: 1.5}  # least ratios of CPU time at each N
STORED = 4.0  # and at N = 5000 with a stored reference factor


@functools.cache
def rotation() -> torch.Tensor:
    """The same rotation of all features, (D, D)."""
    return torch.linalg.qr(torch.randn(D, D, generator=torch.Generator().manual_seed(0), dtype=torch.float64))[0]


def features(n: int, seed: int) -> torch.Tensor:
    """n correlated features with eigenvalues 1, 1/2, 1/3, ... and a mean, (n, D)."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, D, generator=g, dtype=torch.float64) / torch.arange(1, D + 1, dtype=torch.float64).sqrt()
    return x @ rotation() + 0.3


def torchmetrics_fid():
    """torchmetrics' own metric, given features instead of images."""
    from torchmetrics.image.fid import FrechetInceptionDistance

    network = torch.nn.Identity()
    network.num_features = D
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return FrechetInceptionDistance(feature=network, reset_real_features=False)


def theirs(a: torch.Tensor, b: torch.Tensor) -> float:
    """Both sets through torchmetrics."""
    fid = torchmetrics_fid()
    fid.update(a, real=True)
    fid.update(b, real=False)
    return fid.compute().item()


def scipys(a: torch.Tensor, b: torch.Tensor) -> float:
    """Means, covariances and scipy's matrix root."""
    from scipy.linalg import sqrtm

    S_a, S_b = a.T.cov(), b.T.cov()
    root = torch.as_tensor(sqrtm((S_a @ S_b).numpy()).real)
    return ((a.mean(0) - b.mean(0)).square().sum() + (S_a + S_b - 2 * root).trace()).item()


def cpu(fn, *args) -> tuple[float, float]:
    """Seconds of CPU time, and the answer."""
    start = time.process_time()
    answer = float(fn(*args))
    return time.process_time() - start, answer


def line(name: str, ours: list, others: list, bar: float) -> None:
    """Prints one comparison: each list holds (seconds, answer) of every pair."""
    ratios = [other[0] / own[0] for own, other in zip(ours, others, strict=True)]
    apart = max(abs(other[1] / own[1] - 1) for own, other in zip(ours, others, strict=True))
    ratio, seconds = statistics.median(ratios), [statistics.median(t for t, _ in each) for each in (ours, others)]
    print(
        f"{name}: {ratio:.1f}x less CPU time (from {min(ratios):.1f} to {max(ratios):.1f}; "
        f"{seconds[0]:.3f} s against {seconds[1]:.2f} s){f', at least {bar:g}x: {ratio >= bar}' if bar else ''}; "
        f"answers differ by {apart:.1e}",
        flush=True,
    )


def speed(repeats: int) -> None:
    """The ratios at every N, and with a stored reference."""
    for n, bar in BARS.items():
        pairs = [(features(n, 2 * i + 1), features(n, 2 * i + 2)) for i in range(repeats)]
        runs = [(cpu(frechet, *pair), cpu(theirs, *pair)) for pair in pairs]
        line(f"N = {n}, against torchmetrics", *map(list, zip(*runs)), bar)
    reference = GaussianStatistics.from_features(features(5000, 0))
    frechet(reference, reference)  # computes the factor that is kept
    fid = torchmetrics_fid()
    fid.update(features(5000, 0), real=True)
    runs = []
    for x in [features(5000, i + 1) for i in range(repeats)]:
        seconds, both = cpu(theirs, features(5000, 0), x)
        fid.reset()  # keeps the reference's sums
        runs.append(
            (
                cpu(frechet, x, reference),
                (seconds, both),
                cpu(lambda x=x: (fid.update(x, real=False), fid.compute())[1]),
            )
        )
    own, both, kept = map(list, zip(*runs))
    line("N = 5000, our reference stored, against torchmetrics from features", own, both, STORED)
    line("N = 5000, both references stored", own, kept, 0)


def main() -> None:
    """Prints the ratios, the agreement, and the errors where the answer is known."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("repeats", nargs="?", type=int, default=5, help="pairs to take the median of")
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    frechet(features(50, 0), features(50, 1)), theirs(features(50, 0), features(50, 1))  # warm up both
    speed(repeats)
    for n in BARS:
        a = features(n, 1)
        b, trace = 1.5 * a + 0.1, a.var(0).sum().item()
        known = (a.mean(0) - b.mean(0)).square().sum().item() + 0.25 * trace
        errors = [abs(fn(a, b) / known - 1) for fn in (frechet, theirs)]
        own = abs(frechet(a, a).item()) / trace
        stored = abs(frechet(a, GaussianStatistics.from_features(a)).item()) / trace
        print(
            f"N = {n}, known answer {known:.6f}: our relative error {errors[0]:.1e}, torchmetrics' {errors[1]:.1e}; "
            f"FD(X, X) / trace {own:.1e}, stored {stored:.1e}, torchmetrics' {abs(theirs(a, a)) / trace:.1e}",
            flush=True,
        )
    pair = features(1000, 1), features(1000, 2)
    line("N = 1000, against scipy's sqrtm, one pair", [cpu(frechet, *pair)], [cpu(scipys, *pair)], 0)


if __name__ == "__main__":
    main()
