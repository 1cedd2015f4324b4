"""Runs inside the sandbox: imports torch once, then forks a child for each exercise, whose arrays it sends back.

The first process runs nobody's code but ours; a child runs one exercise's cell under limits that the kernel enforces,
and whatever it leaves behind is killed before the next. Neither knows a reference: see library.py.
"""

import contextlib
import ctypes
import json
import os
import pickle
import resource
import select
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import torch

from course_lib.tools.grade.inside.answering import serve
from course_lib.tools.grade.inside.records import MOST, OUTCOMES, READY, REPLY, TASK, read_exactly, write_all

_LOOK = 50  # milliseconds between two looks at a child that neither sends nor ends
_PDEATHSIG, _DUMPABLE, _SUBREAPER, _NO_NEW_PRIVS = 1, 4, 36, 38  # options of prctl(2)


def limited(seconds: float, memory: int, processes: int, file: int) -> None:
    """Kernel limits on this process and what it starts; memory comes on top of what is in use."""
    whole = int(seconds) + (seconds > int(seconds))
    sizes = [int(pages) * resource.getpagesize() for pages in Path("/proc/self/statm").read_text().split()]
    wanted = {
        resource.RLIMIT_CPU: (whole, whole + 1),
        resource.RLIMIT_AS: (sizes[0] + 2 * memory,) * 2,
        resource.RLIMIT_DATA: (sizes[5] + memory,) * 2,
        resource.RLIMIT_FSIZE: (file,) * 2,
        resource.RLIMIT_NOFILE: (128,) * 2,
        resource.RLIMIT_CORE: (0, 0),
    }
    if processes:
        wanted[resource.RLIMIT_NPROC] = (processes,) * 2
    for limit, (soft, hard) in wanted.items():
        allowed = resource.getrlimit(limit)[1]
        if allowed != resource.RLIM_INFINITY:
            soft, hard = min(soft, allowed), min(hard, allowed)
        resource.setrlimit(limit, (soft, hard))


def child(tasks: int, size: int, out: int, limits: dict, seconds: float) -> None:
    """Run one exercise and send its records; never comes back."""
    me = os.getpid()
    try:
        prctl(_PDEATHSIG, int(signal.SIGKILL))
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for handle in (0, 1, 2):
            os.dup2(null, handle)
        for handle in {*range(3, 64)} - {tasks, out}:
            with contextlib.suppress(OSError):
                os.close(handle)
        payload = read_exactly(tasks, size)
        os.close(tasks)
        limited(seconds, **limits)
        # a copy that the student's code forked says nothing
        serve(pickle.loads(payload), lambda record: write_all(out, record) if os.getpid() == me else None)
    finally:
        os._exit(0)


def watched(pid: int, pipe: int, wall: float, tasks: int) -> tuple[str, bytearray]:
    """What a child sends until it ends, stops, sends too much, is out of time or the grader is gone; why, and that."""
    records, deadline, look, events = bytearray(), time.monotonic() + wall, _LOOK, select.poll()
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


def emptied(folder: str) -> None:
    """Remove what an exercise wrote."""
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
        else:
            os.unlink(entry.path)


def one(tasks: int, out: int, limits: dict, kill: Callable[[int], None]) -> bool:
    """Serve one task; False where there is none left, or nobody to serve."""
    try:
        size, seconds, wall = TASK.unpack(read_exactly(tasks, TASK.size))
    except EOFError:
        return False
    pipe, end = os.pipe()
    pid = os.fork()
    if pid == 0:
        child(tasks, size, end, limits, seconds)
    os.close(end)
    outcome, records = watched(pid, pipe, wall, tasks)
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
    for option, value in ((_PDEATHSIG, signal.SIGKILL), (_DUMPABLE, 0), (_SUBREAPER, 1), (_NO_NEW_PRIVS, 1)):
        prctl(option, int(value))


def prctl(option: int, value: int) -> int:
    """prctl(2), which Python does not offer."""
    return ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def main(arguments: str) -> None:
    """Serve tasks from standard input until it ends; arguments are sandbox.py's, as JSON."""
    given = json.loads(arguments)
    tasks, out = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    confined(given["uid"], given["folder"])
    torch.set_num_threads(1)
    write_all(out, READY)
    kill = everything if given["alone"] else group
    while one(tasks, out, given["limits"], kill):
        if given["alone"]:
            emptied(given["folder"])
    os._exit(0)  # at once: Python with torch takes its time to leave
