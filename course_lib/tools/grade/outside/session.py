"""Talking to a worker: one task in, one reply out, and an end to waiting."""

import contextlib
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from course_lib.tools.grade.inside.records import MOST, OUTCOMES, READY, REPLY, TASK, read_exactly, write_all
from course_lib.tools.grade.outside.measuring import Measured, Measurer
from course_lib.tools.grade.outside.sandbox import Limits, Worker, kill

STARTING = 600.0  # seconds until a worker must have imported torch, however busy the machine is
SPARE = 30.0  # seconds that a worker has beyond an exercise's own wall limit


@dataclass(frozen=True)
class Reply:
    """How one exercise ended (an OUTCOME, or "gone" with the whole worker), the records it sent, and what was measured
    outside."""

    outcome: str
    code: int = 0
    seconds: float = 0.0
    records: bytes = b""
    measured: Measured = Measured()

    @property
    def by_chance(self) -> bool:
        """Whether something outside may have ended it: it is run again, alone."""
        return self.outcome in ("wall", "gone") or (self.outcome == "killed" and self.code == signal.SIGKILL)


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


def ask(process: Worker, task: bytes, limits: Limits, measurer: Measurer | None = None, id: str = "") -> Reply:
    """The reply to one task; raises Gone. measurer: asks the function of the exercise with this id what it must."""
    with _at_most(process, limits.wall + SPARE) as expired, measuring(process, limits, measurer, id) as found:
        reply = replied(process, task, limits)
    if reply is None:
        raise Gone(Reply("wall" if expired.is_set() else "gone"), last_words(process))
    if reply.outcome == "ended" and found[0].ended == "cpu":
        return replace(reply, outcome="cpu")
    return replace(reply, outcome="gone" if found[0].ended == "lost" else reply.outcome, measured=found[0])


@contextmanager
def measuring(process: Worker, limits: Limits, measurer: Measurer | None, id: str) -> Iterator[list[Measured]]:
    """Connect the next task's child with a measurer; when it has ended, there is what was measured."""
    found = [Measured()]
    if measurer is None:
        yield found
        return
    ours, theirs = socket.socketpair()
    with ours, theirs, contextlib.suppress(OSError):
        socket.send_fds(process.doors, [b"."], [theirs.fileno()])
        measurer.begin(id, ours, limits.seconds)
    try:
        yield found
    finally:
        found[0] = measurer.end(limits.wall)


def replied(process: Worker, task: bytes, limits: Limits) -> Reply | None:
    """The reply to one task, or None where none comes."""
    handle = process.stdout.fileno()
    with contextlib.suppress(EOFError, OSError):
        write_all(process.stdin.fileno(), TASK.pack(len(task), limits.seconds, limits.wall) + task)
        outcome, code, seconds, size = REPLY.unpack(read_exactly(handle, REPLY.size))
        if outcome < len(OUTCOMES) and size <= MOST:
            return Reply(OUTCOMES[outcome], code, seconds, read_exactly(handle, size))
    return None


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
