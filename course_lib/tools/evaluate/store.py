"""`course evaluate --store FOLDER`: a finished run becomes a small stored result that the chapters show."""

import dataclasses
import io
import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from course_lib.evaluations import PREFIX
from course_lib.metrics.bootstrap import Estimate
from course_lib.tools.evaluate.folder import Folder, Shard, plan
from course_lib.tools.evaluate.measure import Row, rows
from course_lib.tools.evaluate.protocol import PROTOCOLS, Protocol, read
from course_lib.tools.evaluate.run import KINDS, THUMBNAIL
from course_lib.tools.precompute import save

IN_A_ROW = 5  # thumbnails of a set


def store(path: Path, named: str | None = None) -> str:
    """Store the finished run in a folder, -> the line that is printed.

    `named` is the protocol that it should be. Raises ValueError with one sentence for a folder that holds no run, one
    of a protocol that does not ship, of another than `named`, or one that is not finished.
    """
    name, protocol = _protocol(path, named)
    began = json.loads((path / "run.json").read_text(encoding="utf-8"))
    protocol = dataclasses.replace(protocol, clip=began["clip"])
    folder, shards = Folder(path), plan(protocol)
    if missing := sum(shard.n for shard in shards if not folder.there(shard)):
        raise ValueError(
            f"{path} is not finished, {missing} of {sum(shard.n for shard in shards)} pictures are missing; "
            f"run `course evaluate {name} --out {path}` to its end first."
        )
    measured = {prompt: rows(folder, protocol, shards, prompt) for prompt in protocol.prompts}
    times = _times(path)
    arrays = _numbers(list(measured.values())) | _costs(times, [one.name for one in protocol.sets])
    arrays |= {key: began[key] for key in ("model", "parameters", "dtype", "torch", "chunk")}
    arrays |= {"protocol": name, "title": protocol.title, "pictures": protocol.pictures, "prompts": list(measured)}
    arrays |= {"card": " and ".join(sorted({one["device"] for one in times})), "date": max(_dates(times, path))}
    if not protocol.artists:
        arrays["sheet"] = _sheet(folder, protocol, shards)
    save(f"{PREFIX}{name}", arrays)
    return f"Stored {path} as results/{PREFIX}{name}.npz ({arrays['card']}, {arrays['date']}); the chapters show it."


def _protocol(path: Path, named: str | None) -> tuple[str, Protocol]:
    """The name and the content of the shipped protocol that a folder was run by."""
    try:
        text = (path / "protocol.toml").read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{path} holds no run; name the folder that `course evaluate` wrote.") from error
    shipped = {one.stem: one.read_text(encoding="utf-8") for one in sorted(PROTOCOLS.glob("*.toml"))}
    found = next((name for name, own in shipped.items() if own == text), None)
    if found is None:
        raise ValueError(
            f"{path} was run by another protocol than those that ship ({', '.join(shipped)}); only these are stored."
        )
    if named not in (None, found):
        raise ValueError(f"{path} was run by the protocol {found}, not {named}; name that one, or another folder.")
    return found, read(found)


def _times(path: Path) -> list[dict]:
    """What the processes logged of their shards; torn lines are passed over."""
    found = []
    for file in sorted((path / "times").glob("*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:  # a process was killed while it wrote
                continue
    return found


def _dates(times: list[dict], path: Path) -> Iterator[str]:
    """The days on which shards were made; raises ValueError where no log says so."""
    days = [one["date"] for one in times if one.get("date")]
    if not days:
        raise ValueError(f"{path}/times does not say when the run was made; a number without its date is not stored.")
    return iter(days)


def _numbers(measured: list[list[Row]]) -> dict[str, object]:
    """Distances and shares (prompts, sets, embeddings) with their errors, calls and strengths (prompts, sets)."""
    kinds = [kind for kind in KINDS if any(row.distance.get(kind) for row in measured[0])] or list(KINDS)
    arrays: dict[str, object] = {"kinds": kinds, "sets": [row.name for row in measured[0]]}
    none = Estimate(math.nan, math.nan, 0)
    for which in ("distance", "gap"):
        table = [[[getattr(row, which).get(kind, none) for kind in kinds] for row in some] for some in measured]
        arrays[which] = np.array([[[one.mean for one in row] for row in some] for some in table])
        arrays[f"{which}_error"] = np.array([[[one.error for one in row] for row in some] for some in table])
    arrays["calls"] = np.array([[row.calls for row in some] for some in measured])
    arrays["strength"] = np.array([[row.strength for row in some] for some in measured])
    return arrays


def _costs(times: list[dict], sets: list[str]) -> dict[str, np.ndarray]:
    """Seconds of a picture and the most bytes of a process, by set; nan where no log has it."""
    own = [[one for one in times if one["set"] == name] for name in sets]
    seconds = [sum(one["seconds"] for one in some) / max(sum(one["pictures"] for one in some), 1) for some in own]
    peaks = [max((one["peak bytes"] or math.nan for one in some), default=math.nan) for some in own]
    return {"seconds": np.array([s if some else math.nan for s, some in zip(seconds, own)]), "peak": np.array(peaks)}


def _sheet(folder: Folder, protocol: Protocol, shards: list[Shard]) -> np.ndarray:
    """The first thumbnails of each set of the first prompt, a row each, as the bytes of one JPEG, (length,)."""
    prompt, found = next(iter(protocol.prompts)), []
    for one in protocol.sets:
        first = next(shard for shard in shards if shard.prompt == prompt and shard.set == one)
        with Image.open(folder.path / f"{first.name}.png") as image:
            side = min(THUMBNAIL, image.height)
            found.append(np.asarray(image.convert("RGB"))[:side, : IN_A_ROW * side])
    buffer = io.BytesIO()
    Image.fromarray(np.concatenate(found)).save(buffer, "JPEG", quality=85)
    return np.frombuffer(buffer.getvalue(), np.uint8)
