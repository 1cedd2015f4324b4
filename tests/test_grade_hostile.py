"""What students hand in at their worst: each case is a real notebook file, graded by the real command in its sandbox.

All cases are one class, graded once. Where 4.1 and 4.2 are hostile, 4.3 below them is solved and must pass.
"""

import json
import os
import re
import socket
import threading
import zipfile
from functools import partial
from pathlib import Path

import pytest
import torch
from grading import KEPT, ROOT, code, graded, left_behind, notebook, source_of, text, whole, write

from course_lib.exercises import registry
from course_lib.exercises.comparing import answer_of
from course_lib.tools.grade import command
from course_lib.tools.grade.outside.sandbox import Limits, Sandbox

FORCE = registry.exercise("4.2")
# Cases are written for 4.2; where one stands in 4.1 instead, names and body are exchanged.
RIGHT = "def force(x, alpha, h):\n    BODY\n"
WRONG = "\n\ndef force(x, alpha, h):\n    return torch.ones(1)\n"


def before(statement: str) -> str:
    """The right answer, with something before it in the function."""
    return RIGHT.replace("    BODY", f"    {statement}\n    BODY")


def after(method: str) -> str:
    """The right answer, with something done to it before it is returned."""
    return f"{RIGHT}\n\ninner = force\n\n\ndef force(x, alpha, h):\n    return inner(x, alpha, h){method}\n"


def if_it_works(attempt: str) -> str:
    """A function that answers as whatever `attempt` finds under the name `found`, and wrongly where it fails."""
    lines = "\n".join(f"    {line}" for line in attempt.strip().split("\n"))
    return f"found = None\ntry:\n{lines}\nexcept BaseException:\n    pass\n\n\ndef force(x, alpha, h):\n    " + (
        "if found is None:\n        return torch.ones(1)\n    return found(x, alpha, h)\n"
    )


RUNS_AWAY = {
    "endless loop": before("while True: pass"),
    "endless loop in the cell": "while True:\n    pass\n" + RIGHT,
    "waits for ever": before("import threading; threading.Event().wait()"),
    "fork bomb": before("import os\n    while True: os.fork()"),
    "fork bomb that goes on": before(
        "import os\n    while True:\n        try: os.fork()\n        except OSError: pass"
    ),
}
DIES = {
    "memory bomb": before("many = []\n    while True: many.append(bytearray(10**8))"),
    "memory bomb of torch": before("x = torch.ones(10**10, dtype=torch.float64)"),
    "memory bomb that is shared": before("import mmap; mmap.mmap(-1, 10**11).write(bytes(10**8))"),
    "sys.exit": before("import sys; sys.exit()"),
    "sys.exit in the cell": "import sys; sys.exit()\n" + RIGHT,
    "os._exit": before("import os; os._exit(0)"),
    "kills itself": before("import os; os.kill(os.getpid(), 9)"),
    "kills everybody": before("import os; os.kill(-1, 9)"),
    "kills everybody first": "import os\nos.kill(-1, 9)\nos.kill(1, 9)\n"
    + RIGHT.replace("def force", "1/0\ndef force"),
    "stops itself": before("import os, signal; os.kill(os.getpid(), signal.SIGSTOP)"),
    "crashes": before("import ctypes; ctypes.string_at(0)"),
    "recursion": before("return force(x, alpha, h)"),
    "deep recursion": before("import sys; sys.setrecursionlimit(10**9); return force(x, alpha, h)"),
    "syntax error": "def force(x, alpha, h:\n    return x\n",
    "null bytes": "def force(x, alpha, h):\n    return '\0' + 1\n",
    "deep nesting": "def force(x, alpha, h):\n    return " + "(" * 500 + ")" * 500,
    "very deep nesting": "def force(x, alpha, h):\n    return " + "-" * 100_000 + "x",
    "raises": before("raise KeyboardInterrupt"),
    "renamed": RIGHT.replace("force", "my_force"),
    "no function": "force = 3\n",
}
REFUSED = {
    "writes an answer of its own": "import os\nfor fd in range(3, 64):\n    try: os.write(fd, b'x' * 100)\n"
    "    except OSError: pass\n" + RIGHT,
    "writes without end": "import os\nfor fd in range(3, 64):\n    try:\n"
    "        while True: os.write(fd, bytes(10**6))\n    except OSError: pass\n" + RIGHT,
}
FINE = {
    "200 MB of output": "for _ in range(200): print('x' * 10**6)\n" + RIGHT,
    "200 MB of output to the console": "import os\nfor _ in range(200): os.write(1, bytes(10**6))\n" + RIGHT,
    "stops its parent": before("import os, signal; os.kill(os.getppid(), signal.SIGSTOP)"),
    "interrupts its parent": before("import os, signal; os.kill(os.getppid(), signal.SIGINT)"),
    "leaves a process behind": "import os, threading\nif os.fork() == 0:\n    os.setsid()\n"
    "    if os.fork() == 0: threading.Event().wait()\n    os._exit(0)\n" + RIGHT,
    "requires grad": before("x = x.clone().requires_grad_()"),
    "not contiguous": after(".T.contiguous().T"),
    "view": after(".repeat(2, 1)[: len(x)]"),
    "magic": "%matplotlib inline\n!ls\n" + RIGHT + "\n\nforce?\n",
    "fails after the function": RIGHT + "\n\n1 / 0\n",
    "checks itself": RIGHT + '\n\ncheck("4.2", force)\nforce = fallback("4.2", force)\n',
    "patches what compares": "import numpy as np\ntorch.allclose = torch.equal = np.allclose = lambda *a, **k: True\n"
    "torch.Tensor.__eq__ = lambda self, other: True\nnp.savez = np.load = None\n" + RIGHT,
}
LIAR = """
class Liar(torch.Tensor):
    def __eq__(self, other): return True
    def __bool__(self): return True
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None): return True


class Array:
    __class__ = torch.Tensor
    shape, dtype, ndim = (3, 3), torch.float64, 2
    def __eq__(self, other): return True
    def __array__(self, *args, **kwargs): return self
    def __getattr__(self, name): return lambda *a, **k: self
"""
LIES = {
    "lies by __eq__": LIAR + "\n\ndef force(x, alpha, h):\n    return Array()\n",
    "lies by __torch_function__": LIAR + "\n\ndef force(x, alpha, h):\n    return x.as_subclass(Liar)\n",
    "patches and is wrong": "torch.allclose = torch.equal = lambda *a, **k: True\n"
    "torch.Tensor.__eq__ = lambda self, other: True" + WRONG,
    "other dtype": after(".float()"),
    "changes the input": before("x += 1"),
    "view of the input": RIGHT + "\n\ninner = force\n\n\ndef force(x, alpha, h):\n"
    "    x.view(-1)[:] = inner(x.clone(), alpha, h).view(-1)\n    return x.view(x.shape)\n",
    "numpy": after(".numpy()"),
}
READS = {
    "imports the declarations": "from course_lib.exercises.ch04 import force as found",
    "imports the registry": "from course_lib.exercises.registry import exercise\nfound = exercise('4.2').reference",
    "imports the home": "from course_lib.guidance import Repulsion\nRepulsion(1.0)\n"
    "found = lambda x, alpha, h: Repulsion(alpha, h=h)(x, x, torch.tensor(1.0))",
    "inspects": "import inspect, course_lib.guidance as g\n"
    "assert 'alpha' in inspect.getsource(g.Repulsion)\nfound = RIGHT",
    "collects garbage": "import gc\nfound = [f for f in gc.get_objects() if type(f) is type(lambda: 0)\n"
    "         and f.__name__ == 'force' and str(f.__module__).startswith('course_lib.exercises')][0]",
    "reads the modules": "import sys\nfound = [m for n, m in sys.modules.items() if n.endswith('.ch04')][0].force",
    "searches the disk": "import os, sys\n"
    "for top in ('REPO', '/kit', '/box', '/home', '/root', '/tmp', '/var', '/opt', '/srv', '/work', *sys.path):\n"
    "    for folder, inside, files in () if found else os.walk(top):\n"
    "        inside[:] = [name for name in inside if name != 'torch' and 'site-packages' not in folder]\n"
    "        if 'ch04.py' in files or '04_repulsion.md' in files or '04_repulsion.ipynb' in files:\n"
    "            found = RIGHT\n            break",
    "reads its parent": "import os\nopen(f'/proc/{os.getppid()}/mem', 'rb').read(0)\n"
    "os.listdir(f'/proc/{os.getppid()}/fd')\nfound = RIGHT",
    "reads the package of the environment": "import importlib.util, sys\nsys.meta_path.pop(0)\n"
    "for name in [n for n in sys.modules if n.startswith('course_lib')]: del sys.modules[name]\n"
    "from course_lib.guidance import Repulsion\nRepulsion(1.0)\nfound = RIGHT",
    "traces its parent": "import ctypes, os\nassert not ctypes.CDLL('').ptrace(16, os.getppid(), 0, 0)\nfound = RIGHT",
    "opens a socket": "import socket\nsocket.create_connection(('127.0.0.1', PORT), timeout=2)\nfound = RIGHT",
    "opens a named socket": "import socket\nsocket.socket(socket.AF_UNIX).connect('\\0course-NAMED')\nfound = RIGHT",
    "reads the others": "import glob\nfound = open(glob.glob('CLASS/*/*.ipynb')[0]) and RIGHT",
    "reads the results": "import os\nfound = os.listdir('OUT') and RIGHT",
    "reads the passwords": "found = open('/etc/passwd').read() and RIGHT",
    "writes beside": "open('CLASS/written', 'w').write('x')\nfound = RIGHT",
    "writes into the library": "open('/kit/course_lib/exercises/answers.py', 'a').write('x')\nfound = RIGHT",
    "writes into Python": "import torch\nopen(torch.__file__, 'a').write('')\nfound = RIGHT",
    "writes everywhere": "for folder in ('/', '/usr', '/dev', '/dev/shm', '/kit', '/proc', '/root', '/home'):\n"
    "    try:\n        open(folder + '/written', 'w').write('x')\n        found = RIGHT\n    except OSError: pass",
    "fills the disk": "for i in range(100):\n    open(f'{i}', 'wb').write(bytes(10**7))\nfound = RIGHT",
    "makes a large file": "open('large', 'wb').write(bytes(10**8))\nfound = RIGHT",
    "becomes root": "import os\nos.setuid(0)\nfound = RIGHT",
    "mounts": "import ctypes\nassert ctypes.CDLL(None).mount(b'none', b'/usr', b'tmpfs', 0, None) == 0\nfound = RIGHT",
}
CODE = RUNS_AWAY | DIES | REFUSED | FINE | LIES
# Two cases share a notebook: what reaches out stands in 4.2, the others fill 4.1 first.
IN_41 = list(CODE)[: (len(CODE) + len(READS)) // 2]
IN_42 = [*READS, *list(CODE)[len(IN_41) :]]
PLACE = {
    name: (f"pair {n}", number) for number, names in (("4.1", IN_41), ("4.2", IN_42)) for n, name in enumerate(names)
}


def hard_coded() -> str:
    """Answers learned by heart for what `check` asks."""
    table = [(answer_of(FORCE, lambda *a: a[0], seed), answer_of(FORCE, FORCE.reference, seed)) for seed in range(5)]
    pairs = [(a.arrays[""].tolist(), b.arrays[""].tolist()) for a, b in table]
    return f"TABLE = {pairs!r}\n\n\ndef force(x, alpha, h):\n    return torch.tensor(dict((str(a), b) for a, b in " + (
        "TABLE).get(str(x.tolist()), [1.0]))\n"
    )


@pytest.fixture(scope="module")
def listeners():
    """A TCP port and a named socket of this machine, and what connects to them."""
    met = []
    servers = [socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_UNIX)]
    servers[1].bind(f"\0course-{os.getpid()}")
    servers[1].listen()

    def listen(server):
        try:
            while True:
                met.append(server.accept())
        except OSError:
            return

    for server in servers:
        threading.Thread(target=listen, args=(server,), daemon=True).start()
    yield servers[0].getsockname()[1], met
    for server in servers:
        server.close()


def files_of(folder: Path) -> None:
    """The cases that are files rather than code."""
    write(folder / "correct" / "a.ipynb", whole())
    write(folder / "unsolved" / "a.ipynb", whole(solved=False))
    write(folder / "other chapter" / "a.ipynb", whole(1))
    wrong = "def force(x, alpha, h):\n    return -2 * alpha / (len(x) * h) * ((x[:, None] - x) * similarity(x, h)"
    write(folder / "wrong" / "a.ipynb", notebook(ex42=wrong + "[..., None]).sum(1)\n"))
    write(folder / "hard-coded" / "a.ipynb", notebook(ex42=hard_coded()))
    for name in ("with spaces  and  more", "Zoë Müller 王小明 😀", "-rf", "--help", "quote'\"$(touch x)", "new\nline"):
        write(folder / name / f"{name}.ipynb", notebook())
    write(folder / "-leading dash.ipynb", notebook())
    write(folder / "reordered.ipynb", notebook() | {"cells": notebook()["cells"][::-1]})
    (folder / "empty folder").mkdir()
    for name, data in {
        "empty": b"",
        "binary": bytes(range(256)) * 9,
        "cut off": json.dumps(notebook()).encode()[:1500],
    }.items():
        (folder / name).mkdir()
        (folder / name / "a.ipynb").write_bytes(data)
    (folder / "300 MB").mkdir()
    with open(folder / "300 MB" / "a.ipynb", "wb") as file:
        file.truncate(300_000_000)
    (folder / "link").mkdir()
    os.symlink("/etc/passwd", folder / "link" / "a.ipynb")
    os.symlink("/etc", folder / "linked folder.ipynb")
    os.mkfifo(folder / "pipe.ipynb")
    write(folder / "two" / "old.ipynb", notebook(solved=False))
    write(folder / "two" / "new.ipynb", notebook())
    with zipfile.ZipFile(folder / "zipped.zip", "w") as archive:
        archive.writestr("../../outside.ipynb", json.dumps(notebook()))


def marks_of(folder: Path) -> None:
    """The cases that change how an exercise's cell is known."""
    stripped = notebook()
    for cell in stripped["cells"]:
        cell["metadata"] = {}
    write(folder / "metadata stripped" / "a.ipynb", stripped | {"metadata": {}})
    unmarked = notebook()
    for cell in unmarked["cells"]:
        cell["source"] = text(cell).replace("# exercise", "# my answer to")
    write(folder / "only metadata" / "a.ipynb", unmarked)
    bare = notebook()
    for cell in bare["cells"]:
        cell |= {"source": text(cell).replace("# exercise", "#"), "metadata": {}}
    write(folder / "no marks" / "a.ipynb", bare)
    edited = notebook(ex42=source_of("4.2").replace("alpha", "strength"))
    edited["cells"][0]["source"] = "import torch as t, math\n\nsimilarity = None\n"
    edited["cells"] += [code('# check("4.2", force)\npass'), code("force = None")]
    for cell in edited["cells"]:
        cell["source"] = text(cell).replace("# exercise 4.2", "#Exercise 4.2: my solution, by Ann")
    write(folder / "edited" / "a.ipynb", edited)


def cells_of(folder: Path) -> None:
    """The cases that change the notebook around the answers."""
    deleted = notebook()
    deleted["cells"] = [cell for cell in deleted["cells"] if "exercise 4.2" not in text(cell)]
    write(folder / "deleted" / "a.ipynb", deleted)
    twice = notebook(solved=False)
    twice["cells"] += notebook()["cells"]
    write(folder / "duplicated" / "a.ipynb", twice)
    twice = notebook()
    twice["cells"] += notebook(solved=False)["cells"]
    write(folder / "duplicated stub below" / "a.ipynb", twice)
    turned = notebook()
    turned["cells"][2] |= {"cell_type": "markdown"}
    write(folder / "text cell" / "a.ipynb", turned)
    merged = notebook()
    merged["cells"] = [code("\n\n".join(text(cell) for cell in merged["cells"]))]
    write(folder / "one cell" / "a.ipynb", merged)
    helpers = notebook(ex42="def force(x, alpha, h):\n    return scale(x, h) * alpha * push(x, h)\n")
    helpers["cells"] += [
        code("def push(x, h):\n    d = x[:, None] - x\n    return (d * similarity(x, h)[..., None]).sum(1)")
    ]
    helpers["cells"].insert(1, code("TWO = 2\n\n\ndef scale(x, h):\n    return TWO / (len(x) * h)"))
    write(folder / "helpers in other cells" / "a.ipynb", helpers)
    old = notebook()
    sheet = [
        {"cell_type": c["cell_type"], "input": text(c), "metadata": {}, "language": "python"} for c in old["cells"]
    ]
    write(
        folder / "version 3" / "a.ipynb",
        {"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": [{"cells": sheet}]},
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("hostile")


def answering(number: str, source: str) -> str:
    """A case as an answer to 4.1 or 4.2."""
    body = source_of(number).split("\n", 1)[1]
    if number == "4.1":
        source = source.replace("x, alpha, h", "x, h").replace("force", "similarity")
    return source.replace("    BODY\n", body)


def aimed(attempt: str, port: int, place: Path) -> str:
    """An attempt with its targets on this machine."""
    targets = {
        "RIGHT": "force_",
        "PORT": port,
        "NAMED": os.getpid(),
        "CLASS": place / "class",
        "OUT": place / "out",
        "REPO": ROOT,
    }
    for word, target in targets.items():
        attempt = attempt.replace(word, str(target))
    return attempt


def pairs_of(folder: Path, port: int, place: Path) -> None:
    """The cases that are code."""
    sources, helper = dict(CODE), RIGHT.replace("def force(", "def force_(")
    for name, attempt in READS.items():
        sources[name] = f"{helper}\n\n{if_it_works(aimed(attempt, port, place))}"
    pairs: dict[str, dict[str, str]] = {}
    for name, (student, number) in PLACE.items():
        pairs.setdefault(student, {})[f"ex{number.replace('.', '')}"] = answering(number, sources[name])
    for student, cells in pairs.items():
        write(folder / student / "a.ipynb", notebook(**cells))


@pytest.fixture(scope="module")
def results(place, listeners):
    """The whole class, graded once; where the sandbox cannot work, the sentence that mends it."""
    Sandbox().check()
    folder = place / "class"
    folder.mkdir()
    files_of(folder)
    marks_of(folder)
    cells_of(folder)
    pairs_of(folder, listeners[0], place)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            command, "Limits", partial(Limits, memory=300_000_000, processes=8)
        )  # which is sooner full than 2 GB
        return graded(folder, place / "out", "--seconds", "2", "--jobs", "2")


def marks(result) -> dict:
    return {id: one.status for id, one in result.exercises.items() if id in KEPT}


def case(results, name):
    """The mark of a case that is code; the exercise below it in the same notebook has passed."""
    student, number = PLACE[name]
    assert results[student].exercises["4.3"].status == "passed"
    return results[student].exercises[number]


ALL = dict.fromkeys(KEPT, "passed")
OTHER = "Your answer has shape (1,); (3, 3) is due."  # of what answers where an attempt has failed


@pytest.mark.parametrize("name", RUNS_AWAY)
def test_what_runs_away_is_stopped_and_costs_only_itself(results, name):
    mark = case(results, name)
    assert mark.status == ("error" if name == "fork bomb" else "timeout"), mark
    assert mark.points == 0
    said = "Your code did not end within 2 seconds of computing (20 in all): is there an endless loop, or"
    assert mark.sentence.startswith(said) == (mark.status == "timeout")


@pytest.mark.parametrize("name", DIES)
def test_what_ends_without_an_answer_is_told_why(results, name):
    mark = case(results, name)
    assert mark.status == "error" or (name == "deep recursion" and mark.status == "timeout"), mark
    assert mark.points == 0
    assert mark.sentence.startswith(("Your ", "In your cell "))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("memory bomb", "Your code raised MemoryError, in line 4: while True: many.append(bytearray(10**8))."),
        ("os._exit", "Your code ended Python (exit status 0) before it gave an answer."),
        ("kills itself", "Your code was killed (SIGKILL): by itself, or because it used all the memory."),
        ("stops itself", "Your code stopped its own process (SIGSTOP): leave signals alone."),
        ("sys.exit", "Your code leaves Python (SystemExit): return the answer instead."),
        ("syntax error", "Your code raised SyntaxError: '(' was never closed (your cell, line 2)."),
        ("renamed", "Your cell defines no function force: keep the name that the exercise gave it."),
        ("no function", "In your cell force is no function but of type int: define it with def."),
    ],
)
def test_the_sentence_of_the_commonest(results, name, said):
    assert case(results, name).sentence == answering(PLACE[name][1], said)


@pytest.mark.parametrize("name", REFUSED)
def test_what_sends_data_of_its_own_is_refused(results, name):
    assert case(results, name).status == "refused"


@pytest.mark.parametrize("name", FINE)
def test_what_is_odd_but_right_passes(results, name):
    assert case(results, name).status == "passed", case(results, name)


@pytest.mark.parametrize("name", LIES)
def test_what_lies_or_has_the_wrong_form_is_wrong(results, name):
    assert case(results, name).status == "wrong"


@pytest.mark.parametrize("name", READS)
def test_what_would_find_the_answer_or_reach_out_finds_nothing(results, name):
    assert (case(results, name).status, case(results, name).sentence) == ("wrong", OTHER)


WORK_OUTSIDE = """searches the disk, imports the declarations, imports the registry, imports the home, inspects,
collects garbage, reads the modules, opens a socket, opens a named socket, reads the others, reads the passwords"""


def test_nothing_came_out(results, place, listeners):
    """No file beside the results, no connection, no process; outside the sandbox the same attempts succeed."""
    port, met = listeners
    assert {path.name for path in place.iterdir()} == {"class", "out"}
    assert not list(place.rglob("written"))
    assert not [path for path in (Path("/written"), Path("/usr/written"), Path.home() / "written") if path.exists()]
    assert left_behind(os.getpid()) == []
    assert not met
    for name in re.split(r",\s", WORK_OUTSIDE):
        names = {"torch": torch, "force_": FORCE.reference}
        exec(if_it_works(aimed(READS[name], port, place)), names)
        assert names["found"] is not None, name


def test_correct_wrong_and_unsolved(results):
    correct = results["correct"]
    assert {mark.status for mark in correct.exercises.values()} == {"passed"}
    assert correct.points == correct.of == 16
    assert {mark.status for mark in results["unsolved"].exercises.values()} == {"not attempted"}
    wrong = results["wrong"].exercises["4.2"]
    assert (wrong.status, wrong.wrong, wrong.sentence) == ("wrong", 0, FORCE.wrong[0].sentence)
    assert results["hard-coded"].exercises["4.2"].status == "wrong"


WHOLE = ["with spaces  and  more", "Zoë Müller 王小明 😀", "-rf", "--help", "quote'\"$(touch x)", "new?line", "zipped"]
WHOLE += [
    "-leading dash",
    "reordered",
    "metadata stripped",
    "only metadata",
    "no marks",
    "duplicated",
    "edited",
    "one cell",
    "two",
]
WHOLE += ["duplicated stub below", "helpers in other cells", "version 3"]


@pytest.mark.parametrize("name", WHOLE)
def test_names_and_layouts_that_lose_nothing(results, name):
    assert marks(results[name]) == ALL
    assert results[name].digest


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("empty folder", "The folder is empty."),
        ("empty", "The file is empty."),
        ("binary", "The file is binary, not a notebook: hand in the .ipynb file."),
        ("300 MB", "The file has more than 64 MB: clear the notebook's outputs and hand it in again."),
        ("link", "The file is a link or a device, not a notebook: hand in the notebook itself."),
        ("linked folder", "The file is a link or a device, not a notebook: hand in the notebook itself."),
        ("pipe", "The file is a link or a device, not a notebook: hand in the notebook itself."),
        ("other chapter", "This is the notebook of chapter 1; chapter 4 is graded."),
    ],
)
def test_what_cannot_be_graded_has_a_reason(results, name, said):
    assert list(results[name].problems) == [said]
    assert {mark.status for mark in results[name].exercises.values()} == {"missing"}
    assert results[name].points == 0


def test_a_notebook_that_is_cut_off_names_the_line(results):
    [said] = results["cut off"].problems
    assert said.startswith("The notebook is broken in line 1 (")


def test_cells_that_are_gone_have_a_reason(results):
    assert marks(results["deleted"]) == ALL | {"4.2": "missing"}
    assert results["deleted"].exercises["4.2"].sentence == "There is no cell of exercise 4.2 in the notebook."
    assert "text cell" in results["text cell"].exercises["4.2"].sentence
    assert len(results["duplicated"].problems) == 3
    assert "two/new.ipynb, not two/old.ipynb" in results["two"].problems[0]


def test_everybody_has_a_result_and_a_page(results, place):
    """The batch has gone on to its end."""
    handed = len(list((place / "class").iterdir()))
    assert len(results) == handed == len(list((place / "out" / "feedback").glob("*.html")))
    assert {path.suffix for path in (place / "out" / "results").iterdir()} == {".json"}
