"""Files as they were handed in: below a folder or in a zip, read and never unpacked, no link followed."""

import errno
import os
import posixpath
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

SKIPPED = {
    "__MACOSX", "__pycache__", "node_modules", "venv", ".venv", ".git", ".ipynb_checkpoints", ".DS_Store", "_build",
    "desktop.ini", "thumbs.db", "$recycle.bin", "site-packages",
}  # fmt: skip
DEPTH, FILES = 8, 20_000  # folders in folders, files of one student
KEPT = "\u200c\u200d"  # joiners, without which some scripts are misspelt


@dataclass(frozen=True)
class Item:
    """One file of a submission.

    path: as handed in ("jane/" is an empty folder). time: year to second. read: gives at most so many bytes. special: a
    link or another thing than a file. size: bytes, as far as is said. broken: a sentence where it cannot be read.
    """

    path: str
    time: tuple[int, ...]
    read: Callable[[int], bytes] = field(repr=False)
    special: bool = False
    size: int = 0
    broken: str = ""

    @property
    def parts(self) -> list[str]:
        """The folders and the name, without what leads upwards."""
        return [part for part in self.path.split("/") if part not in ("", "..", ".")]

    @property
    def kind(self) -> str:
        """The suffix, "/" for a folder; a browser may have added another one to a notebook's."""
        if self.path.endswith("/"):
            return "/"
        path, suffix = posixpath.splitext(self.path.lower())
        return ".ipynb" if suffix in (".txt", ".json") and path.endswith(".ipynb") else suffix


def nothing(most: int) -> bytes:
    """Reads a folder."""
    return b""


def in_folder(root: Path, without: Path | None = None) -> Iterator[Item]:
    """The files below a folder, and an item ending in "/" for each folder that is empty or cannot be looked into."""
    hidden = os.path.abspath(without) if without else ""

    def walk(folder: str, inside: str, depth: int) -> Iterator[Item]:
        try:
            entries = sorted(listed(folder, hidden), key=lambda entry: entry.name)
        except OSError as error:
            if not inside:
                raise
            yield Item(f"{inside}/", (), nothing, broken=f"The folder cannot be read ({reason(error)}).")
            return
        if (not entries or depth > DEPTH or len(entries) > FILES) and inside:
            deep = f"The folder has more than {DEPTH} folders in one another: hand in the notebook alone."
            many = f"The folder has more than {FILES:,} files: hand in the notebook alone."
            yield Item(f"{inside}/", (), nothing, broken=deep if depth > DEPTH else many if entries else "")
            return
        for entry in entries:
            path = f"{inside}/{entry.name}" if inside else entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from walk(entry.path, path, depth + 1)
            else:
                yield file_in_folder(entry, path)

    return walk(os.fspath(root), "", 0)


def listed(folder: str, hidden: str) -> list[os.DirEntry]:
    """What lies in a folder, without what no student means to hand in and without the grader's own folder."""
    with os.scandir(folder) as entries:
        return [one for one in entries if not ignored(one.name) and os.path.abspath(one.path) != hidden]


def file_in_folder(entry: os.DirEntry, path: str) -> Item:
    """One file, link or device."""
    try:
        info = entry.stat(follow_symlinks=False)
    except OSError as error:
        return Item(path, (), nothing, broken=f"The file cannot be read ({reason(error)}): hand it in again.")
    special = not stat.S_ISREG(info.st_mode)
    return Item(path, moment(info.st_mtime), reader(entry.path), special, info.st_size)


def moment(seconds: float) -> tuple[int, ...]:
    """Year to second, () for a time that no calendar has."""
    try:
        return tuple(time.gmtime(seconds)[:6])
    except (OverflowError, ValueError, OSError):
        return ()


def reader(path: str) -> Callable[[int], bytes]:
    """Reads the beginning of a plain file; a link or a pipe that took its place is not opened."""

    def read(most: int) -> bytes:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise OSError(errno.EINVAL, "no file")
            return file.read(most)

    return read


def reason(error: OSError) -> str:
    """Why the system refused, in its own words."""
    return error.strerror or type(error).__name__


def ignored(name: str) -> bool:
    """Whether a file or folder is one that no student means to hand in."""
    return name in SKIPPED or name.lower() in SKIPPED or name.startswith(("._", "~$"))


def shown(text: str) -> str:
    """A name or path that can be written to any file: no control characters, no half letters, joiners kept."""
    whole = text.encode("utf-8", "replace").decode()
    letters = (" " if letter.isspace() else letter for letter in whole)
    return "".join(letter if letter.isprintable() or letter in KEPT else "?" for letter in letters)[:300]
