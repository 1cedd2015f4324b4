"""What lies on disk: the protocol, how the run was begun, and shards that are there whole or not at all."""

import contextlib
import json
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from course_lib.tools.evaluate.protocol import PictureSet, Protocol, slug


@dataclass(frozen=True)
class Shard:
    """A block of pictures that are made together: pictures first to first + n - 1 of a prompt and a set."""

    prompt: str
    set: PictureSet
    first: int
    n: int

    @property
    def name(self) -> str:
        """Its path in the folder, without a suffix."""
        return f"sets/{slug(self.prompt)}/{slug(self.set.name)}/{self.first:06d}"


def plan(protocol: Protocol) -> list[Shard]:
    """All shards of a protocol, in the order in which they are made; sets take turns within a prompt."""
    shards = []
    for prompt in protocol.prompts:
        for one in protocol.sets:
            n = protocol.group if one.method == "repulsion" else protocol.shard
            shards += [Shard(prompt, one, first, n) for first in range(0, protocol.pictures, n)]
    return sorted(shards, key=lambda shard: (list(protocol.prompts).index(shard.prompt), shard.first))


class Folder:
    """The output folder of one protocol; `rank` is the process that writes to it."""

    def __init__(self, path: Path, rank: int = 0):
        self.path, self.rank = path, rank

    def claim(self, protocol: Protocol) -> None:
        """Make the folder this protocol's; raises ValueError where it is another's or holds other files."""
        self.path.mkdir(parents=True, exist_ok=True)
        own = self.path / "protocol.toml"
        others = [path for path in self.path.iterdir() if not path.name.startswith(".")]
        if others and not own.exists():  # in this order: another process may be beginning
            raise ValueError(f"{self.path} holds other files; name a new folder with --out.")
        if self.once("protocol.toml", protocol.text.encode()) != protocol.text.encode():
            raise ValueError(f"{self.path} belongs to another protocol; name a new folder with --out.")

    def begun(self, wanted: dict, settled: tuple[str, ...]) -> dict:
        """How the run was begun, written by whoever is first; raises ValueError where this process differs.

        What is named in `settled` is not compared: the first process decides it for all.
        """
        first = json.loads(self.once("run.json", (json.dumps(wanted, indent=1) + "\n").encode()))
        for key, value in wanted.items():
            if key not in settled and first.get(key) != value:
                raise ValueError(
                    f"{self.path} was begun with {key} = {first.get(key)}, now it is {value}: "
                    "go on as it was begun, or name a new folder with --out."
                )
        return first

    def once(self, name: str, content: bytes) -> bytes:
        """A file that the first writer decides, -> what it holds; two that write at once agree on one."""
        path, mine = self.path / name, self.path / f".{name}.{os.getpid()}"
        if not path.exists():
            try:
                mine.write_bytes(content)
                with contextlib.suppress(FileExistsError):
                    os.link(mine, path)
            finally:
                mine.unlink(missing_ok=True)
        return path.read_bytes()

    def put(self, name: str, content: bytes) -> None:
        """Write a file whole or not at all."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        mine = path.with_name(f".{path.name}.{self.rank}")
        try:
            with mine.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            mine.replace(path)
        except OSError as error:
            mine.unlink(missing_ok=True)
            raise OSError(error.errno, error.strerror, str(path)) from error

    def there(self, shard: Shard) -> bool:
        """Whether a shard is there; raises ValueError for a file that is none."""
        path = self.path / f"{shard.name}.npz"
        if not path.exists() or not path.with_suffix(".png").exists():
            return False
        if not zipfile.is_zipfile(path):
            raise ValueError(self._broken(path))
        return True

    def read(self, shard: Shard, *names: str) -> list[np.ndarray]:
        """Arrays of a shard, checked against the checksums in the file; raises ValueError for a corrupt one."""
        path = self.path / f"{shard.name}.npz"
        try:
            with np.load(path, allow_pickle=False) as arrays:
                seeds, *found = (arrays[name] for name in ("seeds", *names))
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise ValueError(self._broken(path)) from error
        if seeds.tolist() != [shard.set.seed + shard.first + i for i in range(shard.n)]:
            raise ValueError(self._broken(path))
        return found

    def _broken(self, path: Path) -> str:
        return f"{path} is damaged; delete it and run the same command again: only its pictures are made anew."

    def sweep(self, world: int) -> None:
        """Remove what killed processes left half-written, once all shards are there.

        Pages may be in the making by the other living ones of `world` processes, whose files end in their rank.
        """
        living = {f".{rank}" for rank in range(world) if rank != self.rank}
        for path in self.path.rglob(".*"):
            if path.is_file() and not (path.suffix in living and path.name.startswith((".index", ".costs", ".stat"))):
                path.unlink(missing_ok=True)
