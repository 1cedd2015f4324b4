"""How much an exercise and all it starts use together, seen from the first process, and a clean place for the next.

The kernel's limits count each process on its own; here they are added up, by /proc, every few milliseconds.
"""

import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
MANY = 64  # starts of processes, beyond which some may have ended unseen


@dataclass
class Watch:
    """What one exercise may use with all its processes: seconds of computing, bytes of memory, files in its folder.

    private: whether the process namespace and the folder's file system are the sandbox's own.
    """

    seconds: float
    memory: int
    disk: int
    entries: int
    folder: str
    private: bool
    begun: float = field(default_factory=time.monotonic)
    loaded: int = field(default_factory=lambda: memory_of(os.getpid()))
    before: int = field(default_factory=lambda: last_process())

    def over(self) -> str:
        """The outcome where one of the limits is passed, else ""."""
        memory, computed = 0, 0.0
        for pid, (_, spent) in descendants(os.getpid()).items():
            memory += max(0, memory_of(pid) - self.loaded)  # on top of what it was forked with
            computed += spent
        if self.private and last_process() - self.before > MANY:
            computed = max(computed, time.monotonic() - self.begun)
        if computed > self.seconds + 1:
            return "cpu"
        if memory > self.memory:
            return "memory"
        size, entries = held(self.folder, self.private, self.entries)
        return "files" if entries > self.entries or size > self.disk else ""


def descendants(root: int) -> dict[int, tuple[int, float]]:
    """The processes below one, with what is their parent and the seconds that they and their waited-for have computed.

    Orphans come to the first process, which is their subreaper; what has ended is there until it is waited for.
    """
    found = dict(processes())
    below, new = {}, {root}
    while new:
        below |= {pid: found[pid] for pid in new if pid != root}
        new = {pid for pid, (parent, _) in found.items() if parent in new and pid not in below}
    return below


def processes() -> Iterator[tuple[int, tuple[int, float]]]:
    """All processes that can be seen: (id, (parent, seconds))."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError):
                told = Path(f"/proc/{name}/stat").read_bytes().rpartition(b")")[2].split()
                yield int(name), (int(told[1]), sum(map(int, told[11:15])) / TICKS)


def memory_of(pid: int) -> int:
    """Bytes that a process holds itself: without what is only mapped from files."""
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
        return sum(int(line.split()[1]) << 10 for line in lines if line.startswith(("RssAnon:", "RssShmem:")))
    return 0


def last_process() -> int:
    """The number that the last process or thread of this namespace got."""
    return int(Path("/proc/loadavg").read_text().split()[-1])


def held(folder: str, private: bool, most: int) -> tuple[int, int]:
    """Bytes and files in a folder: of its own file system, or of what lies in it, up to a number of files."""
    if private:
        state = os.statvfs(folder)
        return (state.f_blocks - state.f_bfree) * state.f_frsize, state.f_files - state.f_ffree
    size = entries = 0
    for place, folders, files in os.walk(folder):
        entries += len(folders) + len(files)
        with suppress(OSError):
            size += sum(os.lstat(os.path.join(place, name)).st_blocks * 512 for name in files)
        if entries > most:
            break
    return size, entries


def cleaned(folder: str, shared: Sequence[str] = ()) -> bool:
    """Remove what an exercise has left, and whether nothing is left: no file, no process, no time, no right.

    shared: folders of everybody's, in which only what belongs to this user is removed.
    """
    with suppress(OSError):
        for place in shared:
            emptied(place, os.getuid())
        emptied(folder)
        for name in os.listxattr(folder):
            os.removexattr(folder, name)
        if os.stat(folder).st_uid == os.getuid():
            os.chmod(folder, 0o700)
            os.utime(folder, (0, 0))
        return not os.listdir(folder) and not descendants(os.getpid())
    return False


def emptied(folder: str, owner: int | None = None) -> None:
    """Remove what is in a folder, or there belongs to one user, however deep and whatever its rights.

    A folder in it is opened by moving the folders inside it up, so that no depth is too deep.
    """
    while entries := [one for one in os.scandir(folder) if owner in (None, one.stat(follow_symlinks=False).st_uid)]:
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)
                continue
            os.chmod(entry.path, 0o700)
            for inner in list(os.scandir(entry.path)):
                if inner.is_dir(follow_symlinks=False):
                    os.chmod(inner.path, 0o700)
                    os.rename(inner.path, os.path.join(folder, secrets.token_hex(16)))
                else:
                    os.unlink(inner.path)
            os.rmdir(entry.path)
