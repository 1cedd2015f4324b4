"""What the sandbox shows of the machine: the system and Python, read-only, without the course and its answers."""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from course_lib.tools.grade.outside.library import DATA, INSIDE, PACKAGE

BOX = "/box"  # the only place that can be written: home, temporary files, working folder
SYSTEM = ("/usr", "/nix/store", "/gnu/store", "/etc/ld.so.cache")
ALIASES = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
# What goes in of ours: the runner of learners' functions and the worker; no declaration, no comparer.
KIT = ["__init__.py", "exercises/answers.py", "tools/__init__.py"]
KIT += [
    "tools/grade/__init__.py",
    *(f"tools/grade/inside/{path.name}" for path in sorted((PACKAGE / "tools/grade/inside").glob("*.py"))),
]
RIVALS = ("vendi_score", "prdc", "torchmetrics")  # packages that answer an exercise


def site_folders() -> list[Path]:
    """Where torch and numpy are imported from, which a user's own folder may be."""
    return sorted({Path(module.__file__).parents[1] for module in (torch, np)})


def shown() -> list[Path]:
    """Folders of the machine that are bound at their own place, each only once."""
    found = [Path(path) for path in (*SYSTEM, sys.base_prefix, sys.prefix) if Path(path).exists()]
    found += [Path(os.path.realpath(sys.executable)).parents[1], *site_folders()]
    return sorted(path for path in set(found) if not any(other in path.parents for other in found))


def hidden(private: Sequence[Path]) -> list[Path]:
    """Folders that must not be seen, of those that lie below a shown one: the course, what answers it, the class."""
    root = PACKAGE.parent
    found = {PACKAGE, *(path.absolute() for path in private if path.is_dir())}
    found |= {root} if (root / "pyproject.toml").exists() else set()
    for name in RIVALS:
        found |= {folder / name for folder in site_folders()}
    visible = shown()
    return sorted(path for path in found if path.is_dir() and any(one in path.parents for one in visible))


def options(private: Sequence[Path] = (), data: Sequence[str] = DATA) -> list[str]:
    """bubblewrap's options for all of this, parents before children; data: folders of the library's that are shown."""
    bound, masked = shown(), hidden(private)
    again = [Path(path) for path in (sys.prefix, sys.base_prefix) if any(one in Path(path).parents for one in masked)]
    told = list(_aliases())
    for path in sorted({*bound, *masked, *again}):
        if path in masked:
            told += ["--tmpfs", path, "--remount-ro", path]
            continue
        told += [part for parent in _parents(path, (*bound, *masked)) for part in ("--dir", parent)]
        told += ["--ro-bind", path, path]
    for name in KIT:
        told += ["--ro-bind", PACKAGE / name, f"{INSIDE}/{name}"]
    for name in data:
        told += ["--ro-bind-try", PACKAGE / name, f"{INSIDE}/{name}"]
    if not any(Path("/tmp") in path.parents for path in bound):
        told += ["--symlink", BOX, "/tmp"]
    return list(map(str, told))


def _aliases() -> Iterator[str | Path]:
    """/bin and /lib, which are links into /usr today and were folders once."""
    for path in map(Path, ALIASES):
        if path.is_symlink():
            yield from ("--symlink", os.readlink(path), path)
        elif path.is_dir():
            yield from ("--ro-bind", path, path)


def _parents(path: Path, bound: Sequence[Path]) -> list[Path]:
    """The folders above that bubblewrap must make, which then everyone may pass."""
    return [one for one in reversed(path.parents[:-1]) if not any(b == one or b in one.parents for b in bound)]


def written(folder: Path) -> None:
    """The same kit as files, where there is no bubblewrap."""
    for name in KIT:
        target = folder / "course_lib" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((PACKAGE / name).read_bytes())
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
