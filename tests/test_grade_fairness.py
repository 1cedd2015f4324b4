"""What passes in Jupyter after "run all" passes the grader: notebooks as students write them, through the command."""

import pytest
from grading import code, graded, marked, notebook, source_of, write

F42 = source_of("4.2")
SIGN = "def force(x, alpha, h):\n    return -torch.zeros_like(x)\n"
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


# name of the case: the cells around the answer, the answer
CASES = {
    "settings": (("settings = {}\nsettings['factor'] = 2",), with_factor("settings['factor']")),
    "settings in another cell": (("settings = {}", "settings['factor'] = 2"), with_factor("settings['factor']")),
    "element": (("C = torch.ones(1)\nC[0] = 2.",), with_factor("C[0]")),
    "list in for": (("parts = []\nfor k in range(2):\n    parts.append(1)",), with_factor("sum(parts)")),
    "for": (("for factor in (1, 2):\n    pass",), with_factor("factor")),
    "while": (("factor = 0\nwhile factor < 2:\n    factor += 1",), with_factor("factor")),
    "walrus": (("print(factor := 2)",), with_factor("factor")),
    "with": (("import contextlib\nwith contextlib.nullcontext(2) as factor:\n    pass",), with_factor("factor")),
    "global": (("def init():\n    global factor\n    factor = 2", "init()"), with_factor("factor")),
    "class patched": (("class K:\n    factor = 1", "K.factor = 2"), with_factor("K.factor")),
    "setattr": (("class K:\n    factor = 1", "setattr(K, 'factor', 2)"), with_factor("K.factor")),
    "tensor patched": (("torch.Tensor.twice = lambda self: self + self",), HALF.replace("FACTOR", "1").replace(".sum(1)", ".sum(1).twice()")),
    "star": (("from torch import *",), HALF.replace("FACTOR", "2").replace("len(x)", "sum(ones(len(x)))")),
    "constant later": (("SCALE = 1\ndef helper(k):\n    return SCALE * k", "SCALE = 2"), with_factor("helper(1)")),
    "constant between": (("SCALE = 1\nbase = SCALE + 1\nSCALE = 7",), with_factor("base")),
    "alias": (("settings = {'factor': 1}", "s = settings", "s['factor'] = 2"), with_factor("settings['factor']")),
    "function changes": (("S = {}\ndef setup(d):\n    d['factor'] = 2", "setup(S)"), with_factor("S['factor']")),
    "function changes global": (("S = {}\ndef setup():\n    S['factor'] = 2", "setup()"), with_factor("S['factor']")),
    "del": (("sum = 3\ndel sum",), with_factor("sum([1, 1])")),
    "exec": (("exec('factor = 2')",), with_factor("factor")),
    "globals": (("globals()['factor'] = 2",), with_factor("factor")),
    "own built-in": (("def len(x):\n    return x.shape[0] * 0.5",), with_factor("1")),
    "await": (("import asyncio\nasync def two():\n    return 2\nfactor = await two()",), with_factor("factor")),
    "!ls": (("files = !ls\nfactor = 2",), with_factor("factor")),
    "%time": (("%time factor = 2",), with_factor("factor")),
    "%timeit": (("factor = 2\nt = %timeit -o sum([1, 2])",), with_factor("factor")),
    "pip continued": (("!pip install a \\\n  b\nfactor = 2",), with_factor("factor")),
    "%%time": (("%%time\nn = 2\nfactor = (5\n% 3)\nwrong = (1\n!= 2)",), with_factor("factor")),
    "%%time answer": ((), "%%time\n" + with_factor("2").replace("    d", '    """Of all\n% n is\n!= 3\n"""\n    d', 1)),
    "docstring with magic": ((), "%matplotlib inline\n" + with_factor("2").replace("    d", '    """Of\n% n is\n!ls\n"""\n    d', 1)),
    "writefile": (("%%writefile mine.py\nfactor = 2", "import mine"), with_factor("mine.factor")),
    "get_ipython": (("get_ipython().run_line_magic('matplotlib', 'inline')\nfactor = 2",), with_factor("factor")),
    "raises": (("factor = 2\n1 / 0\nfactor = 3",), with_factor("factor")),
    "split": (("# exercise 4.2", with_factor("2")), None),
    "split with helper": (("# exercise 4.2\ndef two():\n    return 2", with_factor("two()")), None),
    "scratch above": ((with_factor("1"), "..."), with_factor("2") + "    raise NotImplementedError\n"),
    "below": (("...", "# again\n" + with_factor("2")), "def force(x, alpha, h):\n    raise NotImplementedError\n"),
    "lambda below": (("...", "force = lambda *a: g(*a)", with_factor("2").replace("force", "g")), "def force(x, alpha, h):\n    raise NotImplementedError\n"),
    "lambda": ((with_factor("2").replace("force", "g"),), "force = lambda x, alpha, h: g(x, alpha, h)\n"),
    "partial": (("import functools\n" + with_factor("n").replace("(x,", "(n, x,").replace("force", "g"),), "force = functools.partial(g, 2)\n"),
    "instance": ((), "class Force:\n    def __call__(self, x, alpha, h):\n        return self.g(2, x, alpha, h)\n\n    g = staticmethod(lambda n, x, alpha, h: n * alpha / (len(x) * h) * ((x[:, None] - x) * torch.exp(-(x[:, None] - x).square().sum(-1) / h)[..., None]).sum(1))\n\n\nforce = Force()\n"),
    "decorated": (("def twice(f):\n    return lambda *a: 2 * f(*a)",), "@twice\n" + with_factor("1")),
    "another name": (("...", 'check("4.2", my_force)'), with_factor("2").replace("force", "my_force")),
    "changed before check": (("...", "settings['factor'] = 2", 'check("4.2", force)'), "settings = {'factor': 1}\n" + with_factor("settings['factor']")),
    "widget": (("import ipywidgets\n\n@ipywidgets.interact(k=(0, 3))\ndef show(k=2):\n    global factor\n    factor = k",), with_factor("factor")),
    "plot": (("import matplotlib.pyplot as plt\nfig, ax = plt.subplots()\nax.plot([1, 2])\nplt.show()\nfactor = len(ax.lines) + 1",), with_factor("factor")),
}  # fmt: skip


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Every case in one run of the command."""
    place = tmp_path_factory.mktemp("fair")
    for number, (name, (around, answer)) in enumerate(CASES.items()):
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


STUB = "def {}:\n    raise NotImplementedError\n"
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


BACK = 'from course_lib.exercises import check, fallback\ncheck("4.1", similarity)\nsimilarity = fallback("4.1", similarity)'
MUTATED = "s = {}\nexec('s[0] = 1')"
BUILT_ON = {
    "unsolved": beside(STUB.format("similarity(x, h)"), BACK),
    "unsolved, no fallback": beside(STUB.format("similarity(x, h)")),
    "wrong": beside(WRONG_41, BACK),
    "wrong, through a helper": beside(WRONG_41, BACK, "def kernel(x, h):\n    return similarity(x, h)", ex42=HELPED),
    "broken": beside("def similarity(x, h)\n    return 1", BACK),
    "missing": beside(None),
    "unsolved, in the whole run": beside(STUB.format("similarity(x, h)"), BACK, MUTATED, ex42=USES_41.replace("k = ", "k = s[0] * ")),
    "wrong, in the whole run, no fallback": beside(WRONG_41, MUTATED, ex42=USES_41.replace("k = ", "k = s[0] * ")),
    "both in the whole run": beside(WRONG_41.replace("(2 * h)", "(h * t)"), "exec('t = 3')", BACK, MUTATED, ex42=USES_41.replace("k = ", "k = s[0] * ")),
}  # fmt: skip


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
