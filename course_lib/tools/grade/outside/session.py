"""Talking to a worker: one task in, one reply out, and an end to waiting."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from course_lib.tools.grade.inside.records import MOST, OUTCOMES, READY, REPLY, TASK, read_exactly, write_all
from course_lib.tools.grade.outside.sandbox import Limits, kill

STARTING = 600.0  # seconds until a worker must have imported torch, however busy the machine is
SPARE = 30.0  # seconds that a worker has beyond an exercise's own wall limit


@dataclass(frozen=True)
class Reply:
    """How one exercise ended (an OUTCOME, or "gone" with the whole worker), and the records it sent."""

    outcome: str
    code: int = 0
    seconds: float = 0.0
    records: bytes = b""


class Gone(Exception):
    """The worker is no more, or speaks nonsense; how that counts, and what it wrote on standard error."""

    def __init__(self, reply: Reply, said: str):
        super().__init__(said)
        self.reply = reply


def wait_until_ready(process: subprocess.Popen) -> None:
    """Return when a worker can take tasks; raises Gone."""
    with _at_most(process, STARTING):
        try:
            if read_exactly(process.stdout.fileno(), len(READY)) == READY:
                return
        except (EOFError, OSError):
            pass
    raise Gone(Reply("gone"), last_words(process))


def ask(process: subprocess.Popen, task: bytes, limits: Limits) -> Reply:
    """The reply to one task; raises Gone."""
    handle = process.stdout.fileno()
    with _at_most(process, limits.wall + SPARE) as expired:
        try:
            write_all(process.stdin.fileno(), TASK.pack(len(task), limits.seconds, limits.wall) + task)
            outcome, code, seconds, size = REPLY.unpack(read_exactly(handle, REPLY.size))
            if outcome < len(OUTCOMES) and size <= MOST:
                return Reply(OUTCOMES[outcome], code, seconds, read_exactly(handle, size))
        except (EOFError, OSError):
            pass
    raise Gone(Reply("wall" if expired.is_set() else "gone"), last_words(process))


@contextmanager
def _at_most(process: subprocess.Popen, seconds: float) -> Iterator[threading.Event]:
    """Kill the process when the time is over, which ends every read from it and write to it."""
    expired = threading.Event()

    def end() -> None:
        expired.set()
        kill(process)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield expired
    finally:
        timer.cancel()


def last_words(process: subprocess.Popen) -> str:
    """The end of what a dead worker wrote on standard error."""
    kill(process)
    return process.stderr.read(1 << 16).decode("utf-8", "replace").strip()[-300:]
