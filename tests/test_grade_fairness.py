"""What passes in Jupyter after "run all" passes the grader: notebooks as students write them, through the command."""

import pytest
from grading import code, graded, marked, notebook, write

HALF = """def force(x, alpha, h):
    difference = x[:, None] - x
    k = torch.exp(-difference.square().sum(-1) / h)
    return FACTOR * alpha / (len(x) * h) * (difference * k[..., None]).sum(1)
"""


def with_factor(expression: str) -> str:
    return HALF.replace("FACTOR", expression)


def with_cells(*around: str, answer: str = "", number: str = "4.2", keep=("4.1", "4.2")) -> dict:
    """The notebook with these cells above ("..." stands for the exercise's own cell) and below the answer."""
    found = notebook(*keep, **({f"ex{number.replace('.', '')}": answer} if answer else {}))
    at = next(i for i, cell in enumerate(found["cells"]) if marked(cell) == number)
    own = found["cells"].pop(at)
    new = [own if one == "..." else code(one) for one in around]
    found["cells"][at:at] = new if "..." in around else [*new, own]
    return found


TWO, ONE, FACTOR = with_factor("2"), with_factor("1"), with_factor("factor")
STUB = "def {}:\n    raise NotImplementedError\n"
STUB_42 = STUB.format("force(x, alpha, h)")
MAGIC_TEXT = TWO.replace("    d", '    """Per cent of\n% n is\n!= 3\n!ls\n"""\n    d', 1)
TWICE = HALF.replace("FACTOR", "1").replace(".sum(1)", ".sum(1).twice()")
INSTANCE = """class Force:
    def __init__(self, f, n):
        self.f, self.n = f, n

    def __call__(self, x, alpha, h):
        return self.n * self.f(x, alpha, h)


force = Force(g, 2)
"""
WIDGET = """import ipywidgets

@ipywidgets.interact(k=(0, 3))
def show(k=2):
    global factor
    factor = k
"""
PLOT = """import matplotlib.pyplot as plt
fig, ax = plt.subplots()
ax.plot([1, 2])
plt.show()
factor = len(ax.lines) + 1
"""

# name of the case: the cells around the answer ("..." is its own), the answer
CASES = {
    "settings": (["settings = {}\nsettings['factor'] = 2"], with_factor("settings['factor']")),
    "settings in another cell": (["settings = {}", "settings['factor'] = 2"], with_factor("settings['factor']")),
    "element": (["C = torch.ones(1)\nC[0] = 2."], with_factor("C[0]")),
    "list in for": (["parts = []\nfor k in range(2):\n    parts.append(1)"], with_factor("sum(parts)")),
    "for": (["for factor in (1, 2):\n    pass"], FACTOR),
    "while": (["factor = 0\nwhile factor < 2:\n    factor += 1"], FACTOR),
    "walrus": (["print(factor := 2)"], FACTOR),
    "with": (["import contextlib\nwith contextlib.nullcontext(2) as factor:\n    pass"], FACTOR),
    "global": (["def init():\n    global factor\n    factor = 2", "init()"], FACTOR),
    "class patched": (["class K:\n    factor = 1", "K.factor = 2"], with_factor("K.factor")),
    "setattr": (["class K:\n    factor = 1", "setattr(K, 'factor', 2)"], with_factor("K.factor")),
    "tensor patched": (["torch.Tensor.twice = lambda self: self + self"], TWICE),
    "star": (["from torch import *"], TWO.replace("len(x)", "sum(ones(len(x)))")),
    "constant later": (["SCALE = 1\ndef helper(k):\n    return SCALE * k", "SCALE = 2"], with_factor("helper(1)")),
    "constant between": (["SCALE = 1\nbase = SCALE + 1\nSCALE = 7"], with_factor("base")),
    "constant called between": (["S = 2\ndef made():\n    return S\nbase = made()\nS = 7"], with_factor("base")),
    "alias": (["settings = {'factor': 1}", "s = settings", "s['factor'] = 2"], with_factor("settings['factor']")),
    "alias in for": (["a, b = [1], [1]", "for one in (a, b):\n    one[0] = 2"], with_factor("b[0]")),
    "function changes": (["S = {}\ndef setup(d):\n    d['factor'] = 2", "setup(S)"], with_factor("S['factor']")),
    "function changes global": (["S = {}\ndef setup():\n    S['factor'] = 2", "setup()"], with_factor("S['factor']")),
    "del": (["sum = 3\ndel sum"], with_factor("sum([1, 1])")),
    "exec": (["exec('factor = 2')"], FACTOR),
    "globals": (["globals()['factor'] = 2"], FACTOR),
    "own built-in": (["def len(x):\n    return x.shape[0] * 0.5"], ONE),
    "await": (["import asyncio\nasync def two():\n    return 2\nfactor = await two()"], FACTOR),
    "!ls": (["files = !ls\nfactor = 2"], FACTOR),
    "%time": (["%time factor = 2"], FACTOR),
    "%timeit": (["factor = 2\nt = %timeit -o sum([1, 2])"], FACTOR),
    "pip continued": (["!pip install a \\\n  b\nfactor = 2"], FACTOR),
    "%%time": (["%%time\nn = 2\nfactor = (5\n% 3)\nwrong = (1\n!= 2)"], FACTOR),
    "%%time answer": ([], "%%time\n" + MAGIC_TEXT),
    "docstring with magic": ([], "%matplotlib inline\n" + MAGIC_TEXT),
    "writefile": (["%%writefile mine.py\nfactor = 2", "import mine"], with_factor("mine.factor")),
    "get_ipython": (["get_ipython().run_line_magic('matplotlib', 'inline')\nfactor = 2"], FACTOR),
    "raises": (["factor = 2\n1 / 0\nfactor = 3"], FACTOR),
    "split": (["# exercise 4.2", TWO], None),
    "split with helper": (["# exercise 4.2\ndef two():\n    return 2", with_factor("two()")], None),
    "scratch above": ([ONE, "..."], TWO + "    raise NotImplementedError\n"),
    "below": (["...", "# again\n" + TWO], STUB_42),
    "lambda below": (["...", "force = lambda *a: g(*a)", TWO.replace("force", "g")], STUB_42),
    "lambda": ([TWO.replace("force", "g")], "force = lambda x, alpha, h: g(x, alpha, h)\n"),
    "partial": (
        ["import functools\n" + with_factor("n").replace("force(x", "g(n, x")],
        "force = functools.partial(g, 2)\n",
    ),
    "instance": ([ONE.replace("force", "g")], INSTANCE),
    "decorated": (["def twice(f):\n    return lambda *a: 2 * f(*a)"], "@twice\n" + ONE),
    "another name": (["...", 'check("4.2", my_force)'], TWO.replace("force", "my_force")),
    "changed before check": (
        ["...", "settings['factor'] = 2", 'check("4.2", force)'],
        "settings = {'factor': 1}\n" + with_factor("settings['factor']"),
    ),
    "widget": ([WIDGET], FACTOR),
    "plot": ([PLOT], FACTOR),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Every case in one run of the command."""
    place = tmp_path_factory.mktemp("fair")
    for number, (around, answer) in enumerate(CASES.values()):
        found = with_cells(*around, answer=answer or "")
        if answer is None:
            found["cells"] = [cell for cell in found["cells"] if marked(cell) != "4.2"]
        write(place / "class" / f"case{number:02d}.ipynb", found)
    names = {f"case{number:02d}": name for number, name in enumerate(CASES)}
    found = graded(place / "class", place / "out", "--jobs", "2")
    return {names[one.split(".")[0]]: result for one, result in found.items()}


@pytest.mark.parametrize("name", CASES)
def test_what_passes_in_jupyter_passes_here(results, name):
    mark = results[name].exercises["4.2"]
    assert mark.status == "passed", mark


USES_41 = """def force(x, alpha, h):
    k = similarity(x, h)
    return 2 * alpha / (len(x) * h) * ((x[:, None] - x) * k[..., None]).sum(1)
"""
WRONG_41 = "def similarity(x, h):\n    return torch.exp(-(x[:, None] - x).square().sum(-1) / (2 * h))\n"
HELPED = USES_41.replace("similarity", "kernel")


def beside(ex41: str | None, *cells: str, ex42: str = USES_41) -> dict:
    """4.2 as written with 4.1, which is missing, or that."""
    found = notebook("4.1", "4.2", ex41=ex41 or "", ex42=ex42)
    if ex41 is None:
        found["cells"] = [cell for cell in found["cells"] if marked(cell) != "4.1"]
    at = next(i for i, cell in enumerate(found["cells"]) if marked(cell) == "4.2")
    found["cells"][at:at] = map(code, cells)
    return found


BACK = """from course_lib.exercises import check, fallback
check("4.1", similarity)
similarity = fallback("4.1", similarity)
"""
HIDDEN, HIDDEN_T = "s = {}\nexec('s[0] = 1')", "exec('t = 3')"  # what no slice shows
WITH_HIDDEN = USES_41.replace("k = ", "k = s[0] * ")
STUB_41 = STUB.format("similarity(x, h)")
BUILT_ON = {
    "unsolved": beside(STUB_41, BACK),
    "unsolved, no fallback": beside(STUB_41),
    "wrong": beside(WRONG_41, BACK),
    "wrong, through a helper": beside(WRONG_41, BACK, "def kernel(x, h):\n    return similarity(x, h)", ex42=HELPED),
    "broken": beside("def similarity(x, h)\n    return 1", BACK),
    "missing": beside(None),
    "unsolved, in the whole run": beside(STUB_41, BACK, HIDDEN, ex42=WITH_HIDDEN),
    "wrong, in the whole run, no fallback": beside(WRONG_41, HIDDEN, ex42=WITH_HIDDEN),
    "both in the whole run": beside(WRONG_41.replace("(2 * h)", "(h * t)"), HIDDEN_T, BACK, HIDDEN, ex42=WITH_HIDDEN),
}


@pytest.fixture(scope="module")
def built_on(tmp_path_factory):
    """All of these in one run of the command, with a photo in a text cell."""
    place = tmp_path_factory.mktemp("built")
    for name, found in BUILT_ON.items():
        photo = {"cell_type": "markdown", "metadata": {}, "source": "x" * 5_000_000}
        write(place / "class" / f"{name}.ipynb", found | {"cells": [photo, *found["cells"]]})
    return graded(place / "class", place / "out", "--jobs", "2")


@pytest.mark.parametrize("name", BUILT_ON)
def test_the_reference_stands_in_for_an_exercise_that_fails(built_on, name):
    marks = built_on[name].exercises
    assert marks["4.2"].status == "passed", marks
    assert marks["4.1"].status != "passed", "only 4.2 is right"
