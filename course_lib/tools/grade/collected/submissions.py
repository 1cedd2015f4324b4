"""What students handed in: a folder or a zip, as Moodle and Canvas give it or with one notebook or folder a student.

Nothing is unpacked to the disk, no link is followed, and whatever cannot be read becomes a sentence.
"""

import hashlib
import io
import os
import re
import stat
import time
import unicodedata
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from course_lib.tools.environment import Problem

MOODLE = re.compile(r"(?P<name>.+)_(?P<id>\d+)_assignsubmission_[a-z]+_?(?P<file>.*)", re.DOTALL)
CANVAS = re.compile(r"(?P<name>[^_]+)_(?:LATE_)?(?P<id>\d+)_\d+_(?P<file>.+)", re.DOTALL)
SKIPPED = {"__MACOSX", "__pycache__", "node_modules", "venv", ".venv", ".git", ".ipynb_checkpoints", ".DS_Store"}
DEPTH, FILES = 8, 100_000


@dataclass(frozen=True)
class Item:
    """One file of a submission: its path as handed in ("jane/" is an empty folder), its time (year to second), a
    function that reads at most so many bytes of it, and whether it is a link or another thing than a file."""

    path: str
    time: tuple[int, ...]
    read: Callable[[int], bytes] = field(repr=False)
    special: bool = False

    @property
    def parts(self) -> list[str]:
        """The folders and the name, without what leads upwards."""
        return [part for part in PurePosixPath(self.path).parts if part not in ("/", "..", ".")]

    @property
    def kind(self) -> str:
        """The suffix, "/" for a folder."""
        return "/" if self.path.endswith("/") else PurePosixPath(self.path).suffix.lower()


@dataclass(frozen=True)
class Submission:
    """What one student handed in."""

    key: str
    name: str
    items: tuple[Item, ...]


def submissions(path: Path) -> list[Submission]:
    """Every student's submission, in the order of the keys; raises Problem where there is none."""
    if path.is_dir():
        items = list(in_folder(path))
    elif zipfile.is_zipfile(path):
        items = list(in_zip(path))
    elif path.exists():
        raise Problem(
            f"{path} is neither a folder nor a zip file: name the folder or the download with the submissions"
        )
    else:
        raise Problem(f"There is no {path}: name the folder or the zip file with the submissions")
    groups: dict[tuple[str, ...], list[Item]] = {}
    for item in within(items):
        group = student_of(item)
        if group:
            groups.setdefault(group, []).append(item)
    if not groups:
        raise Problem(f"There is no notebook in {path}: one notebook or one folder a student is due")
    found = [of_student(group, items) for group, items in groups.items()]
    return sorted(found, key=lambda one: one.key)


def in_folder(root: Path) -> Iterator[Item]:
    """The files below a folder, and an item without a name for each folder that is empty."""

    def walk(folder: str, inside: str, depth: int) -> Iterator[Item]:
        with os.scandir(folder) as entries:
            entries = sorted((entry for entry in entries if not ignored(entry.name)), key=lambda entry: entry.name)
        if not entries and inside:
            yield Item(f"{inside}/", (), lambda most: b"")
        for entry in entries:
            path = f"{inside}/{entry.name}" if inside else entry.name
            if entry.is_dir(follow_symlinks=False):
                if depth < DEPTH:
                    yield from walk(entry.path, path, depth + 1)
                continue
            info = entry.stat(follow_symlinks=False)
            changed = time.gmtime(info.st_mtime)[:6]
            yield Item(path, tuple(changed), reader(entry.path), not stat.S_ISREG(info.st_mode))

    return walk(os.fspath(root), "", 0)


def reader(path: str) -> Callable[[int], bytes]:
    """Reads the beginning of a plain file; a link or a pipe that took its place is not opened."""

    def read(most: int) -> bytes:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(handle, "rb") as file:
            return file.read(most)

    return read


def in_zip(source: Path | io.BytesIO, below: str = "") -> Iterator[Item]:
    """The files in a zip, which is read and never unpacked; names in it are only names."""
    with zipfile.ZipFile(source) as archive:
        entries = archive.infolist()[:FILES]
    for entry in entries:
        path = below + entry.filename.replace("\\", "/")
        if not any(map(ignored, PurePosixPath(path).parts)):
            link = stat.S_ISLNK(entry.external_attr >> 16)
            yield Item(path, entry.date_time, member(source, entry), link)


def member(source: Path | io.BytesIO, entry: zipfile.ZipInfo) -> Callable[[int], bytes]:
    """Reads the beginning of a file in a zip."""

    def read(most: int) -> bytes:
        with zipfile.ZipFile(source) as archive, archive.open(entry) as file:
            return file.read(most)

    return read


def ignored(name: str) -> bool:
    """Whether a file or folder is one that no student means to hand in."""
    return name in SKIPPED or name.startswith("._")


def within(items: Sequence[Item]) -> list[Item]:
    """The same, without a folder around all: one that holds folders only, or more notebooks than a student has."""
    items = [item for item in items if item.parts]
    while items:
        tops = {item.parts[0] if len(item.parts) > 1 or item.kind == "/" else "" for item in items}
        top = tops.pop()
        files = [item for item in items if len(item.parts) == 2 and item.kind != "/"]
        of_system = any(MOODLE.fullmatch(item.parts[1]) or CANVAS.fullmatch(item.parts[1]) for item in files)
        if tops or not top or MOODLE.fullmatch(top) or (files and not of_system and len(files) < 3):
            break
        inner = [replace(item, path="/".join(item.parts[1:]) + "/" * (item.kind == "/")) for item in items]
        items = [item for item in inner if item.parts]
    return items


def student_of(item: Item) -> tuple[str, ...] | None:
    """Whose file it is: by the name that Moodle or Canvas gave, else by its folder, else a notebook by itself."""
    top, folder = item.parts[0], len(item.parts) > 1 or item.kind == "/"
    if found := MOODLE.fullmatch(top):
        return "moodle", found["name"], found["id"]
    if folder:
        return "folder", top
    if found := CANVAS.fullmatch(top):
        return "canvas", found["name"], found["id"]
    return ("file", PurePosixPath(top).stem, item.kind) if item.kind in (".ipynb", ".zip") else None


def of_student(group: tuple[str, ...], items: Sequence[Item]) -> Submission:
    """A submission with a key that can be a file name anywhere and is no other student's."""
    plain = unicodedata.normalize("NFKD", group[1]).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^A-Za-z0-9]+", "-", plain).strip("-")[:40]
    mark = hashlib.sha256("/".join(group).encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return Submission(f"{slug or 'student'}-{mark}", shown(group[1]) or "(no name)", tuple(items))


def shown(text: str) -> str:
    """A name or path that can be written to any file: no control characters, no half letters."""
    whole = text.encode("utf-8", "replace").decode()
    return "".join(letter if letter.isprintable() else "?" for letter in whole)[:300]
