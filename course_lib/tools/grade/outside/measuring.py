"""What a student's function does is measured here, in processes of ours that no student's code meets.

A measurer is a fork of the grader, one for each job: draws and settings of PyTorch belong to a process, so that two
jobs cannot share one. It is handed a connection to the student's process, asks the function, and returns records.
"""

import contextlib
import os
import pickle
import resource
import signal
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from course_lib.exercises.checking import broken_property
from course_lib.exercises.comparing import answer_of, chance
from course_lib.exercises.declare import Exercise
from course_lib.tools.grade.inside.peer import Closed
from course_lib.tools.grade.inside.records import encode, packed
from course_lib.tools.grade.outside.plan import Plan
from course_lib.tools.grade.outside.serving import Server, served

SIZE = struct.Struct(">I")
MOST = 200  # functions of one notebook
ROOM = 2_000_000_000  # bytes that serving may take on top of what the grader has


@dataclass(frozen=True)
class Measured:
    """The records of answers and properties, and why there are no more: "", "closed", "cpu" or what was unreadable.

    several: from a run of a whole notebook, what was measured in order, with the exercise's id.
    """

    records: bytes = b""
    ended: str = ""
    several: tuple[tuple[str, "Measured"], ...] = ()


def measured(exercise: Exercise, seeds: Sequence[int], channel: socket.socket, seconds: float) -> Measured:
    """All that one exercise's function is asked."""
    records = b""
    try:
        server, fn = served(channel, seconds=seconds)
    except Closed:
        return Measured(ended="closed")
    for record in asked(exercise, seeds, server, fn):
        if server.ended:
            break
        records += record
    return Measured(records, server.ended)


def several(plan: Plan, channel: socket.socket, seconds: float) -> Measured:
    """All that the functions of a whole notebook are asked, as they come, each with the exercise that it answers."""
    found: list[tuple[str, Measured]] = []
    exercises = {one.id: one for one in plan.exercises}
    with contextlib.suppress(Closed):
        while len(found) < MOST:
            server, fn = served(channel, seconds=seconds)
            if fn._id not in exercises:
                break
            records = b""
            for record in asked(exercises[fn._id], plan.seeds[fn._id], server, fn):
                if server.ended:
                    break
                records += record
            found.append((fn._id, Measured(records, server.ended)))
            server.ask(do="end")
    return Measured(several=tuple(found))


def asked(exercise: Exercise, seeds: Sequence[int], server: Server, fn) -> Iterator[bytes]:
    """The records, up to the first answer that is none: what `check` would ask, of a function that is elsewhere."""

    def begin(seed: int) -> bool:
        with contextlib.suppress(Closed):
            server.ask(do="begin", seed=chance(exercise, seed))
        return not server.ended

    for seed in seeds if exercise.outside else ():
        answer = answer_of(exercise, fn, seed) if begin(seed) else None
        if answer is None or server.ended:
            return
        yield encode(answer)
        if answer.problem not in ("", "mutated"):
            return
    for holds in exercise.properties:
        for seed in seeds:
            if begin(seed):
                yield packed({"property": broken_property(exercise, fn, holds, seed)})


class Measurer:
    """A process that measures, for one job; a new one where it is gone."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self.start()

    def start(self) -> None:
        """Fork the process."""
        self.socket, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                confined(theirs.fileno())
                while one(theirs, self.plan):
                    continue
            finally:
                os._exit(0)
        theirs.close()

    def begin(self, id: str, channel: socket.socket, seconds: float) -> None:
        """Let it measure an exercise over a connection, or all that come where the id is ""."""
        task = pickle.dumps((id, seconds))
        with contextlib.suppress(OSError):
            socket.send_fds(self.socket, [SIZE.pack(len(task)) + task], [channel.fileno()])

    def end(self, wait: float) -> Measured:
        """What it has measured; a process that is lost, or does not end, is replaced."""
        self.socket.settimeout(wait)
        try:
            (size,) = SIZE.unpack(exactly(self.socket, SIZE.size))
            return pickle.loads(exactly(self.socket, size))
        except (OSError, EOFError):
            self.stop()
            self.start()
            return Measured(ended="lost")

    def stop(self) -> None:
        """End it."""
        self.socket.close()
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)


@contextlib.contextmanager
def measurers(plan: Plan, jobs: int) -> Iterator[dict[int, Measurer]]:
    """One for each job, where a chapter has what they are for; forked before there are threads."""
    needed = any(told["asked"] for told in plan.given.values())
    found = {slot: Measurer(plan) for slot in range(jobs if needed else 0)}
    try:
        yield found
    finally:
        for measurer in found.values():
            measurer.stop()


def confined(keep: int) -> None:
    """One thread, room that is limited, and no handle but one, whose other end is the grader's: it ends with that."""
    os.closerange(3, keep)
    os.closerange(keep + 1, 65536)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    pages = int(Path("/proc/self/statm").read_text().split()[5])
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (pages * resource.getpagesize() + ROOM, hard))


def one(tasks: socket.socket, plan: Plan) -> bool:
    """Measure once; False where the grader is gone."""
    head, handles, _, _ = socket.recv_fds(tasks, SIZE.size, 1)
    if len(head) < SIZE.size:
        return False
    id, seconds = pickle.loads(exactly(tasks, SIZE.unpack(head)[0]))
    exercises = {one.id: one for one in plan.exercises}
    with socket.socket(fileno=handles[0]) as channel:
        found = measured(exercises[id], plan.seeds[id], channel, seconds) if id else several(plan, channel, seconds)
    found = pickle.dumps(found)
    tasks.sendall(SIZE.pack(len(found)) + found)
    return True


def exactly(connection: socket.socket, size: int) -> bytes:
    """That many bytes; raises EOFError where there are fewer."""
    parts = b""
    while len(parts) < size:
        part = connection.recv(size - len(parts))
        if not part:
            raise EOFError
        parts += part
    return parts
