"""The numbers of a finished run: shares of the gap, and spread, fit and quality within groups, with intervals."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from course_lib.metrics import (
    GaussianStatistics,
    bootstrap,
    frechet,
    in_batch_similarity,
    prdc,
    vendi_features,
)
from course_lib.metrics.bootstrap import Estimate
from course_lib.tools.evaluate.folder import Folder, Shard
from course_lib.tools.evaluate.protocol import Protocol, slug
from course_lib.tools.evaluate.run import KINDS

MINIMUM, MAXIMUM, FLOOR = "minimum", "maximum", "second maximum"
NEIGHBOURS = 3  # as Kynkaanniemi et al. (2019)


@dataclass
class Row:
    """What is known of one set of one prompt; an Estimate carries its bootstrapped standard error."""

    name: str
    calls: int
    strength: float
    distance: dict[str, Estimate] = field(default_factory=dict)
    gap: dict[str, Estimate] = field(default_factory=dict)
    spread: dict[str, Estimate] = field(default_factory=dict)


def groups(folder: Folder, shards: list[Shard], size: int, name: str) -> list[Tensor]:
    """One array of a set, cut into groups as they were sampled, each (size, ...) float64."""
    whole = torch.from_numpy(np.concatenate([folder.read(shard, name)[0] for shard in shards])).double()
    return list(whole.split(size))


def rows(folder: Folder, protocol: Protocol, shards: list[Shard], prompt: str) -> list[Row]:
    """Every set of one prompt, measured; the statistics of each are written beside."""
    own = {one.name: [s for s in shards if s.prompt == prompt and s.set == one] for one in protocol.sets}
    made = {name: _row(folder, name, some) for name, some in own.items()}
    for kind in KINDS:
        parts = {name: groups(folder, some, protocol.group, kind) for name, some in own.items()}
        for name, several in parts.items():
            _write(folder, protocol, prompt, name, kind, several)
        if {MINIMUM, MAXIMUM, FLOOR} <= set(parts):
            _gaps(made, parts, kind, protocol.draws)
        if kind == "default":
            for name, several in parts.items():
                scores = groups(folder, own[name], protocol.group, "score") if protocol.clip else None
                made[name].spread = _frontier(several, scores, parts.get(MAXIMUM), protocol.draws)
    return list(made.values())


def _row(folder: Folder, name: str, shards: list[Shard]) -> Row:
    shares = [folder.read(shard, "strength")[0] for shard in shards]
    return Row(name, len(shares[0]), float(np.mean(shares)))


def _write(folder: Folder, protocol: Protocol, prompt: str, name: str, kind: str, parts: list[Tensor]) -> None:
    """Mean and covariance of a set, merged group by group, as GaussianStatistics.from_arrays reads them."""
    import io

    statistics = GaussianStatistics(f"{protocol.embedding} {kind}")
    for part in parts:
        statistics.update(part)
    buffer = io.BytesIO()
    np.savez(buffer, **statistics.arrays())
    folder.put(f"statistics/{slug(prompt)}/{slug(name)}-{kind}.npz", buffer.getvalue())


def _resampled(parts: list[Tensor], statistic, draws: int) -> Estimate:
    """A statistic of all groups and its standard error from groups drawn again; no error for a single group."""
    if len(parts) < 2:
        return Estimate(float(statistic(torch.cat(parts))), float("nan"), len(parts))
    g = torch.Generator().manual_seed(0)
    index = torch.arange(len(parts))
    return bootstrap(index, lambda drawn: statistic(torch.cat([parts[int(i)] for i in drawn])), draws, g)


def _gaps(made: dict[str, Row], parts: dict[str, list[Tensor]], kind: str, draws: int) -> None:
    """Distances to the maximum set, and the share of the gap between minimum and second maximum (9.7).

    The interval is that of the set's own groups; minimum, maximum and second maximum are held as they are.
    """
    maximum = torch.cat(parts[MAXIMUM])
    if len(maximum) > maximum.shape[1] + 1:
        maximum = GaussianStatistics.from_features(maximum)
    for name, several in parts.items():
        if name != MAXIMUM:
            made[name].distance[kind] = _resampled(several, lambda x: frechet(x, maximum), draws)
    high, low = made[MINIMUM].distance[kind].mean, made[FLOOR].distance[kind].mean
    if not high > low:
        return  # no gap: the page says so
    for row in made.values():
        if row.name not in (MINIMUM, MAXIMUM, FLOOR):
            mean, error, n = row.distance[kind]
            row.gap[kind] = Estimate((high - mean) / (high - low), error / (high - low), n)


def _frontier(
    parts: list[Tensor], scores: list[Tensor] | None, reference: list[Tensor] | None, draws: int
) -> dict[str, Estimate]:
    """Means over groups, and their standard errors: each number is taken within a group of one size.

    Spread by Vendi score and in-batch similarity, fit by CLIP score, quality by precision and recall against the
    maximum set's group of the same place.
    """
    values = {"Vendi": [vendi_features(part) for part in parts]}
    if len(parts[0]) > 1:
        values["similarity"] = [in_batch_similarity(part) for part in parts]
    if scores is not None:
        values["CLIP"] = [one.mean() for one in scores]
    if reference is not None and len(parts[0]) > NEIGHBOURS:
        both = [prdc(real, fake, NEIGHBOURS) for real, fake in zip(reference, parts, strict=True)]
        values["precision"], values["recall"] = ([getattr(one, name) for one in both] for name in both[0]._fields[:2])
    return {name: _mean(torch.tensor([float(v) for v in some]), draws) for name, some in values.items()}


def _mean(values: Tensor, draws: int) -> Estimate:
    if len(values) < 2:
        return Estimate(float(values.mean()), float("nan"), len(values))
    return bootstrap(values, lambda v: v.mean(), draws, torch.Generator().manual_seed(0))
