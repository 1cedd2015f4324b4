"""What one exercise of a student may not do to the next, to the machine, or to its own mark: real notebooks, graded by
the real command. 4.1 acts, 4.2 looks for what is left; each attempt works where nothing keeps it from working.
"""

from functools import partial

import pytest
from grading import graded, notebook, source_of, write

from course_lib.exercises.ch04 import MODES, RADIUS
from course_lib.tools.grade import command
from course_lib.tools.grade.outside.sandbox import Limits, Sandbox

CALL = "import ctypes, os, platform\nlibc, arm = ctypes.CDLL(None, use_errno=True), platform.machine() == 'aarch64'\n"
BURN = "end = time.process_time() + {}\n    while time.process_time() < end: pass\n    os._exit(0)\n"


def first(statements: str, number: str = "4.1") -> str:
    """The right answer to an exercise, below statements that stand in its cell; its process is marked."""
    return f"import os\nos.environ['ACTED'] = 'yes'\n{statements}\n{source_of(number)}"


def only_if(condition: str, before: str = "") -> str:
    """The right answer to 4.2 where a condition holds, else a wrong one; a run of both in one process finds all."""
    tried = "import os\nALONE = 'ACTED' not in os.environ\n"
    tried += f"try:\n    FOUND = ALONE and bool({condition})\nexcept OSError:\n    FOUND = False"
    return f"{before}\n{tried}\n{source_of('4.2')}\nif not FOUND:\n    force = lambda *args: args[0]\n"


# Name: (the cell of 4.1, the cell of 4.2); a mark for 4.2 means that something was found.
LEFT = {
    "a segment of shared memory": (
        first(CALL + "libc.syscall(194 if arm else 29, 1234, 4096, 0o1666)"),
        only_if("libc.syscall(194 if arm else 29, 1234, 4096, 0) >= 0", CALL),
    ),
    "a key": (
        first(CALL + "libc.syscall(217 if arm else 248, b'user', b'course', b'x', 1, -4)"),
        only_if("libc.syscall(218 if arm else 249, b'user', b'course', None, 0) > 0", CALL),
    ),
    "a folder without rights": (
        first("import os\nos.makedirs('a/b/c')\nopen('a/b/c/d', 'w')\nos.chmod('a/b', 0)\nos.chmod('a', 0)"),
        only_if("os.listdir('/box')", "import os"),
    ),
    "a folder 5,000 deep": (
        first("import os\nfor n in range(5000):\n    os.mkdir('a')\n    os.chdir('a')\nos.chdir('/box')"),
        only_if("os.listdir('/box')", "import os"),
    ),
    "a mark on the folder": (
        first("import contextlib, os\nwith contextlib.suppress(OSError):\n    os.utime('/box', (7, 7))"),
        only_if("os.stat('/box').st_mtime == 7", "import os"),
    ),
    "a limit on the first process": (
        first("import contextlib, os, resource\nwith contextlib.suppress(OSError):\n"
              "    resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (3, 3))"),
        only_if("resource.getrlimit(resource.RLIMIT_NOFILE)[1] <= 3", "import resource"),
    ),
    "a namespace of one's own": (first(""), only_if("libc.unshare(0x10000000) == 0", CALL)),
    "a memory file": (first(""), only_if("os.memfd_create('x')", "import os")),
    "a number of the keys": (first(""), only_if("open('/proc/keys').read()")),
    "the other side of a virtual machine": (first(""), only_if("socket.socket(socket.AF_VSOCK)", "import socket")),
}  # fmt: skip
FORK = "import os, time\nfrom time import sleep\nfor n in range({}):\n    pid = os.fork()\n    if pid:\n        {}\n"
FORK += "        continue\n    "
USES = {
    "memory of many": (FORK.format(3, "pass") + "x = b'x' * 10**8; sleep(9)\n    os._exit(0)\nos.wait()\n",
                       ("error", "Your code and the processes that it started used more than 0.2 GB together.")),
    "files": ("for n in range(30_000): open(str(n), 'w').close()\n",
              ("error", "Your code wrote more than 64 MB or 10,000 files.")),
    "computing of many": (FORK.format(4, "os.wait()") + BURN.format(1),
                          ("timeout", "Your code did not end within 2 seconds of computing")),
    "computing of many that leave no account": (
        "import signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        + FORK.format(900, "sleep(0.01)") + BURN.format("0.01"),
        ("timeout", "Your code did not end within 2 seconds of computing")),
}  # fmt: skip
FRAMES = """
def {name}(*args):
    import sys
    frame = sys._getframe()
    while frame is not None:
        if "encode" in frame.f_globals:
            forge(frame.f_globals)
        frame = frame.f_back
    return answer(*args)
"""
NO_GRADIENT = "inner = similarity\n\n\ndef similarity(x, h):\n    return inner(x.detach(), h)\n"
RECORD = f"""
import math
import torch


def forge(names):
    true = names["encode"]

    def forged(answer):
        angles = 2 * math.pi * torch.arange({MODES}, dtype=torch.float64) / {MODES}
        places = {RADIUS} * torch.stack([angles.cos(), angles.sin()], 1)
        x = places.repeat(len(answer.arrays["x"]) // {MODES}, 1).numpy()
        answer.arrays.update(x=x, push=answer.arrays["push"] + 1, leak=answer.arrays["leak"] * 0)
        return true(answer)

    names["encode"] = forged


answer = lambda D, size: D
"""
COUNTER = """
inner = diverse


def diverse(D, size):
    def twice(x, sigma):
        before = [cell.cell_contents for cell in D.__closure__ or () if type(cell.cell_contents) is list]
        kept = [list(one) for one in before]
        D(x, sigma)
        for one, old in zip(before, kept):
            one[:] = old
        return D(x, sigma)

    return inner(twice, size)
"""
LOOKS = "\n\ndef forge(names):\n    found = [names['packed']] if 'packed' in names else []\n    for true in found:\n"
LOOKS += "        names['packed'] = lambda told: true({'property': ''})\n\n\nanswer = similarity\n"
FORGED = {
    "a record": ("4.7", RECORD + FRAMES.format(name="diverse")),
    "a counter": ("4.7", source_of("4.7") + COUNTER),
    "a property": ("4.1", source_of("4.1") + "\n\n" + NO_GRADIENT + LOOKS + FRAMES.format(name="similarity")),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The whole class, graded once."""
    Sandbox().check()
    place = tmp_path_factory.mktemp("limits")
    for name, (acts, looks) in LEFT.items():
        write(place / "class" / name / "a.ipynb", notebook(ex41=acts, ex42=looks))
    for name, (acts, _) in USES.items():
        write(place / "class" / name / "a.ipynb", notebook(ex42=acts + source_of("4.2")))
    for name, (number, source) in FORGED.items():
        cells = {f"ex{number.replace('.', '')}": source}
        write(place / "class" / name / "a.ipynb", notebook("4.1", "4.2", "4.3", "4.7", **cells))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "Limits", partial(Limits, memory=200_000_000))
        return graded(place / "class", place / "out", "--seconds", "2", "--jobs", "2")


@pytest.mark.parametrize("name", LEFT)
def test_nothing_is_left_for_the_next_exercise(results, name):
    marks = results[name].exercises
    assert [marks[id].status for id in ("4.1", "4.3")] == ["passed"] * 2, marks
    assert marks["4.2"].status == "wrong"


@pytest.mark.parametrize("name", USES)
def test_what_is_used_is_added_up_over_all_that_was_started(results, name):
    (status, said), marks = USES[name][1], results[name].exercises
    assert (marks["4.2"].status, marks["4.2"].sentence[: len(said)]) == (status, said)
    assert [marks[id].status for id in ("4.1", "4.3")] == ["passed"] * 2, "the others"


@pytest.mark.parametrize("name", FORGED)
def test_nothing_that_is_measured_can_be_forged(results, name):
    marks = results[name].exercises
    assert marks[FORGED[name][0]].status == "wrong", marks
    assert marks["4.2"].status == "passed"
