"""Where a student's code runs: the bubblewrap command, its limits, and the sentence where it cannot work."""

import contextlib
import json
import os
import platform
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path

from course_lib.tools.environment import Problem
from course_lib.tools.grade.inside.kernel import MACHINES
from course_lib.tools.grade.outside import mounts

INSTALL = "sudo apt-get install bubblewrap"
START = (  # a quarter of the time that torch takes to import goes into looking for garbage
    "import gc, sys; gc.disable(); sys.path[:0] = sys.argv[1:2]; sys.path += sys.argv[3:]; "
    "from course_lib.tools.grade.inside.worker import main; gc.freeze(); gc.enable(); main(sys.argv[2])"
)
FIRST_USER = 64000  # where we are root, each job becomes a user of its own, which nobody else is
SHARED = ("/tmp", "/var/tmp", "/dev/shm")  # where another user of this machine can leave files
THREADS = ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "VECLIB_MAXIMUM")


@dataclass(frozen=True)
class Limits:
    """What one exercise may use; the kernel enforces all of it but the waiting."""

    seconds: float = 20.0  # of computing
    memory: int = 2_000_000_000
    processes: int = 16
    file: int = 16_000_000
    disk: int = 64_000_000
    entries: int = 10_000  # files and folders

    @property
    def wall(self) -> float:
        """Seconds in all: how busy the machine is must not decide about a mark."""
        return 10 * self.seconds


class Worker(subprocess.Popen):
    """A worker's process; doors: where connections for one exercise are handed in."""

    doors: socket.socket


@dataclass(frozen=True)
class Sandbox:
    """A way to run workers: "bwrap", "user" (as another user of this machine) or "none"; private is not shown.

    data: the library's folders of networks and results that are shown.
    """

    kind: str = "bwrap"
    limits: Limits = field(default_factory=Limits)
    user: str = ""
    private: tuple[Path, ...] = ()
    data: tuple[str, ...] = mounts.DATA

    @contextlib.contextmanager
    def started(self, slot: int = 0) -> Iterator[Worker]:
        """A worker that reads tasks and writes replies; on leaving, it and all it started are killed."""
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        ours, theirs = socket.socketpair()
        with ours, self._command(slot, theirs.fileno()) as (command, options):
            with theirs:
                options |= {"bufsize": 0, "start_new_session": True, "pass_fds": [theirs.fileno()]}
                process = Worker(command, **pipes, **options)
            process.doors = ours
            try:
                yield process
            finally:
                for pipe in (process.stdin, process.stdout, process.stderr):
                    with contextlib.suppress(OSError):
                        pipe.close()
                kill(process)
                process.wait()
                self._end()

    @contextlib.contextmanager
    def _command(self, slot: int, doors: int = -1) -> Iterator[tuple[list[str], dict]]:
        """The command line and what Popen is told besides."""
        if self.kind == "bwrap":
            inside = str(Path(mounts.INSIDE).parent)
            yield [*self.bwrap(), *python(inside, self.settings(slot, mounts.BOX, doors))], {}
            return
        with tempfile.TemporaryDirectory(prefix="course-", ignore_cleanup_errors=True) as folder:
            mounts.written(Path(folder) / "kit")
            box = Path(folder) / "box"
            box.mkdir()
            Path(folder).chmod(0o711)
            options: dict = {"env": environment(str(box)), "cwd": box}
            if self.kind == "user":
                person = pwd.getpwnam(self.user)
                os.chown(box, person.pw_uid, person.pw_gid)
                options |= {"user": person.pw_uid, "group": person.pw_gid, "extra_groups": []}
            yield python(str(Path(folder) / "kit"), self.settings(slot, str(box), doors)), options

    def settings(self, slot: int, box: str, doors: int = -1) -> str:
        """What the worker is told about itself."""
        limits = asdict(self.limits)
        limits = {"memory": limits["memory"], "file": limits["file"], "processes": self.processes()}
        uid = FIRST_USER + slot if self.kind == "bwrap" and administrator() else None
        about = {"grader": os.getpid(), "uid": uid, "alone": self.kind != "none", "folder": box, "doors": doors}
        about |= {"private": self.kind == "bwrap", "network": self.kind != "user", "limits": limits}
        about |= {"shared": SHARED if self.kind == "user" else ()}
        return json.dumps(about | {"disk": self.limits.disk, "entries": self.limits.entries})

    def processes(self) -> int:
        """The limit on processes; kernels before 5.14 count those outside the sandbox too."""
        release = tuple(map(int, re.match(r"(\d+)\.(\d+)", os.uname().release).groups()))
        if self.kind == "bwrap" and (administrator() or release >= (5, 14)):
            return self.limits.processes
        uid = pwd.getpwnam(self.user).pw_uid if self.user else os.getuid()
        return tasks_of(uid) + self.limits.processes

    def bwrap(self) -> list[str]:
        """The command up to what is run in it."""
        if administrator():  # the worker then becomes a user without rights
            told = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
            told += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
        else:
            told = ["--unshare-all", "--unshare-user"]
            told += [option for option in ("--disable-userns",) if option in known()]
        told += ["--die-with-parent", "--new-session", "--as-pid-1", "--hostname", "grading", "--clearenv"]
        told += [part for name, value in environment(mounts.BOX).items() for part in ("--setenv", name, value)]
        told += mounts.options(self.private, self.data)
        told += ["--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev"]
        told += [part for name in ("keys", "key-users") for part in ("--ro-bind-try", "/dev/null", f"/proc/{name}")]
        told += ["--size", str(self.limits.disk)] if "--size" in known() else []
        return ["bwrap", *told, "--tmpfs", mounts.BOX, "--chdir", mounts.BOX, "--remount-ro", "/", "--"]

    def _end(self) -> None:
        """Where the worker was another user, end all that this user still runs."""
        if self.kind == "user":
            command = [sys.executable, "-I", "-c", "import os; os.kill(-1, 9)"]
            subprocess.run(command, user=pwd.getpwnam(self.user).pw_uid, extra_groups=[], stderr=subprocess.DEVNULL)

    def check(self) -> None:
        """Raise Problem with the sentence that mends it where no worker can be started this way."""
        if sys.platform.startswith("linux") and platform.machine() not in MACHINES:
            raise Problem(
                f"Grading needs x86-64 or ARM of 64 bits; this is {platform.machine()}: grade on another machine"
            )
        if self.kind == "user":
            _check_user(self.user)
        if self.kind != "bwrap":
            return
        if not sys.platform.startswith("linux"):
            raise Problem("Grading needs bubblewrap, which needs Linux: grade on a Linux machine, or say --no-sandbox")
        if not shutil.which("bwrap"):
            raise Problem(
                f"Grading needs bubblewrap, which is not here. Type:  {INSTALL}  "
                "(or say --no-sandbox, and students' code runs with your rights)"
            )
        if os.geteuid() == 0 and not administrator():  # the kernel counts no process of root's
            raise Problem(
                "Root without the right CAP_SYS_ADMIN, as in a container, cannot limit students' code: grade as an "
                "ordinary user, start the container with  --cap-add SYS_ADMIN  or say --as-user NAME"
            )
        tried = [*self.bwrap(), os.path.abspath(sys.executable), "-I", "-S", "-c", "print('inside')"]
        done = subprocess.run(tried, capture_output=True, text=True, errors="replace")
        if done.stdout != "inside\n":
            raise Problem(forbidden(done.stderr))


def python(kit: str, settings: str) -> list[str]:
    """How the worker is started; not with -I, which would ignore PYTHONHASHSEED."""
    return [os.path.abspath(sys.executable), "-s", "-P", "-c", START, kit, settings, *map(str, mounts.site_folders())]


def environment(home: str) -> dict[str, str]:
    """All the variables that a worker has: one thread, no screen, an empty home."""
    told = {"PATH": "/usr/bin:/bin", "HOME": home, "TMPDIR": home, "MPLCONFIGDIR": home, "MPLBACKEND": "Agg"}
    told |= {"LANG": "C.UTF-8", "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "CUDA_VISIBLE_DEVICES": ""}
    return told | {f"{name}_NUM_THREADS": "1" for name in THREADS}


def kill(process: subprocess.Popen) -> None:
    """Kill a worker and the bubblewrap around it, which alone would not take along what has become another user.

    It is stopped first: a bubblewrap that is killed as it starts would leave the process it is making behind.
    """
    if process.poll() is not None:
        return
    with contextlib.suppress(ProcessLookupError, ChildProcessError):  # another thread was faster
        os.kill(process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            parent = (entry / "stat").read_text().rpartition(")")[2].split()[1] if entry.name.isdigit() else ""
            if parent == str(process.pid):
                os.kill(int(entry.name), signal.SIGKILL)
    process.kill()


@cache
def known() -> frozenset[str]:
    """The options that the installed bubblewrap has."""
    done = subprocess.run(["bwrap", "--help"], capture_output=True, text=True)
    return frozenset(re.findall(r"--[\w-]+", done.stdout + done.stderr))


def administrator() -> bool:
    """Whether we are root with the right to make namespaces, which root in a container often is not."""
    status = Path("/proc/self/status").read_text()
    rights = int(re.search(r"^CapEff:\s*(\w+)", status, re.M)[1], 16)
    return os.geteuid() == 0 and bool(rights >> 21 & 1)  # CAP_SYS_ADMIN


def tasks_of(uid: int) -> int:
    """How many processes and threads a user has."""
    count = 0
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and entry.stat().st_uid == uid:
                count += len(os.listdir(entry / "task"))
    return count


def _check_user(name: str) -> None:
    try:
        uid = pwd.getpwnam(name).pw_uid
    except KeyError:
        raise Problem(f"There is no user {name}. Type:  useradd --no-create-home {name}") from None
    if os.geteuid() != 0 or uid == 0:
        raise Problem("Only root can run students' code as another user, and that user must not be root")


def forbidden(said: str, kernel: Path = Path("/proc/sys")) -> str:
    """The sentence for a bubblewrap that is there and may not do its work."""

    def setting(name: str) -> str:
        with contextlib.suppress(OSError):
            return (kernel / name).read_text().strip()
        return ""

    until = "(until the next start of the machine)"
    if setting("kernel/apparmor_restrict_unprivileged_userns") == "1":
        typed = "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
        return f"AppArmor forbids bubblewrap its namespaces, as in Ubuntu 24.04. Type:  {typed}  {until}"
    for name, value in (("kernel/unprivileged_userns_clone", 1), ("user/max_user_namespaces", 10000)):
        if setting(name) == "0":
            typed = f"sudo sysctl -w {name.replace('/', '.')}={value}"
            return f"The kernel forbids bubblewrap its namespaces. Type:  {typed}  {until}"
    words = " ".join(said.split())[:200] or "it said nothing"
    return (
        f"bubblewrap is installed and cannot work here ({words}): in a container, start it with  --security-opt "
        "seccomp=unconfined --security-opt apparmor=unconfined --cap-add SYS_ADMIN  or say --as-user NAME"
    )
