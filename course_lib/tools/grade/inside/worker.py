"""Runs inside the sandbox: imports torch once, then forks a child for each exercise, whose arrays it sends back.

The first process runs nobody's code but ours; a child runs one exercise's cell under limits that the kernel enforces,
and whatever it leaves behind is killed before the next. Neither knows a reference: see library.py.
"""

import contextlib
import json
import os
import pickle
import select
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import torch

from course_lib.tools.grade.inside.answering import run_task
from course_lib.tools.grade.inside.kernel import (
    DUMPABLE,
    GET_SECCOMP,
    NO_NEW_PRIVS,
    PDEATHSIG,
    SUBREAPER,
    everybody_else,
    filtered,
    limited,
    own_keyring,
    prctl,
)
from course_lib.tools.grade.inside.records import MOST, OUTCOMES, READY, REPLY, TASK, read_exactly, write_all
from course_lib.tools.grade.inside.watching import Watch, cleaned

_LOOK = 50  # milliseconds between two looks at a child that neither sends nor ends


def child(tasks: int, size: int, out: int, limits: dict, seconds: float, talk: int, kept: dict) -> None:
    """Run one exercise and send its records; never comes back.

    talk: a connection to whoever measures, or -1; kept: what `filtered` is told.
    """
    me = os.getpid()
    try:
        prctl(PDEATHSIG, int(signal.SIGKILL))
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for handle in (0, 1, 2):
            os.dup2(null, handle)
        for handle in {*map(int, os.listdir("/proc/self/fd"))} - {0, 1, 2, tasks, out, talk}:
            with contextlib.suppress(OSError):
                os.close(handle)
        payload = read_exactly(tasks, size)
        os.close(tasks)
        limited(seconds, **limits)
        filtered(**kept)

        def send(record: bytes) -> None:
            if os.getpid() == me:  # and not a copy that the student's code forked
                write_all(out, record)

        run_task(pickle.loads(payload) | {"talk": talk}, send)
    finally:
        os._exit(0)


def watched(
    pid: int, pipe: int, wall: float, tasks: int, over: Callable[[], str] = lambda: ""
) -> tuple[str, bytearray]:
    """What a child sends until it ends, stops, sends or uses too much, is out of time or the grader is gone; why, that.

    over: says which of the limits on all of its processes together is passed.
    """
    records, deadline, again, look = bytearray(), time.monotonic() + wall, 0.0, _LOOK
    events = select.poll()
    events.register(pipe, select.POLLIN)
    events.register(tasks, 0)  # reports only that its other end is closed
    while True:
        ready = [handle for handle, _ in events.poll(look)]
        if tasks in ready:
            return "orphaned", records
        if pipe in ready:
            part = os.read(pipe, 1 << 16)
            records += part
            if not part:
                events.unregister(pipe)
                look = 1  # it has ended, or is about to
        seen = os.waitid(os.P_PID, pid, os.WEXITED | os.WSTOPPED | os.WNOHANG | os.WNOWAIT)
        if len(records) > MOST:
            return "flood", records
        if seen:
            return "stopped" if seen.si_code == os.CLD_STOPPED else "ended", records
        if time.monotonic() > deadline:
            return "wall", records
        if time.monotonic() > again:
            if used := over():
                return used, records
            again = time.monotonic() + _LOOK / 1000


def drained(pipe: int, records: bytearray) -> bytes:
    """With what is still in the pipe when its child has ended."""
    os.set_blocking(pipe, False)
    with contextlib.suppress(BlockingIOError):
        while len(records) <= MOST and (part := os.read(pipe, 1 << 16)):
            records += part
    return bytes(records[:MOST])


def everything(pid: int) -> None:
    """Kill all there is but this process: in the sandbox that is what the exercise has left."""
    if os.getuid() == 0:
        raise PermissionError("As root this would end every process of the machine.")
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)


def group(pid: int) -> None:
    """Kill an exercise's own process group, where there is no sandbox; what has left it stays."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def one(tasks: int, out: int, given: dict, kill: Callable[[int], None], doors: int = -1) -> bool:
    """Serve one task; False where there is none left, or nobody to serve. doors: where connections come in, or -1."""
    try:
        size, seconds, wall = TASK.unpack(read_exactly(tasks, TASK.size))
    except EOFError:
        return False
    pipe, end = os.pipe()
    talk = door(doors)
    watch = Watch(
        seconds, given["limits"]["memory"], given["disk"], given["entries"], given["folder"], given["private"]
    )
    pid = os.fork()
    if pid == 0:
        kept = {"protected": () if given["private"] else everybody_else(), "network": given["network"]}
        child(tasks, size, end, given["limits"], seconds, talk, kept)
    for handle in (end, talk)[: 1 + (talk >= 0)]:
        os.close(handle)
    outcome, records = watched(pid, pipe, wall, tasks, watch.over)
    kill(pid)
    os.kill(pid, signal.SIGKILL)  # it is ours until it is waited for
    _, status, usage = os.wait4(pid, 0)
    reaped(kill)
    records = drained(pipe, records)
    os.close(pipe)
    if outcome == "orphaned":
        return False
    code, computed = os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime
    if outcome == "ended" and code < 0:
        outcome = "cpu" if -code == signal.SIGXCPU or (-code == signal.SIGKILL and computed >= seconds) else "killed"
    write_all(out, REPLY.pack(OUTCOMES.index(outcome), abs(code), computed, len(records)) + records)
    return True


def door(doors: int) -> int:
    """The connection that came with a task for the child alone, or -1."""
    if doors < 0:
        return -1
    with socket.socket(fileno=os.dup(doors)) as connection, contextlib.suppress(BlockingIOError):
        connection.setblocking(False)
        found = socket.recv_fds(connection, 1, 1)[1]
        return found[0] if found else -1
    return -1


def reaped(kill: Callable[[int], None]) -> None:
    """Wait for what was killed with the child; where there is no sandbox, only for what has ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, 0 if kill is everything else os.WNOHANG)[0]:
            continue


def confined(uid: int | None, folder: str) -> None:
    """Become a user without rights, whom no other process here may look into, and who dies with the grader."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    if uid is not None:
        os.chmod(folder, 0o1777)
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    own_keyring()
    for option, value in ((PDEATHSIG, signal.SIGKILL), (DUMPABLE, 0), (SUBREAPER, 1), (NO_NEW_PRIVS, 1)):
        prctl(option, int(value))
    if prctl(GET_SECCOMP, 0) < 0:
        raise OSError("this kernel has no filter of system calls (seccomp)")


def main(arguments: str) -> None:
    """Serve tasks from standard input until it ends; arguments are sandbox.py's, as JSON."""
    given = json.loads(arguments)
    tasks, out, doors = os.dup(0), os.dup(1), os.dup(given["doors"])
    os.close(given["doors"])
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    confined(given["uid"], given["folder"])
    torch.set_num_threads(1)
    write_all(out, READY)
    kill = everything if given["alone"] else group
    clean = True
    while clean and one(tasks, out, given, kill, doors):
        clean = not given["alone"] or cleaned(given["folder"], given["shared"])
    os._exit(0)  # at once: Python with torch takes its time to leave
