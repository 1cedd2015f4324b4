"""Seeded mutation test: are 40 single changes to the library's operators and constants noticed by its tests?

Run as `python tests/mutants.py`. Each mutant is a copy of the package in a temporary folder with one operator or
constant of denoisers, samplers, guidance or metrics changed (docstrings, type hints and error sentences are left
alone), on which the test files run until the first failure. Prints a table and exits with 1 unless at least 38 of the
40 are killed. `--state FILE` keeps results, so that a run that was stopped goes on; `--all` tries every mutant;
`--list` shows the choice.
"""

import argparse
import ast
import copy
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SEED, COUNT, ENOUGH, LIMIT = 20, 40, 38, 300
AREAS = {
    "denoisers": ("denoisers", "samplers"),
    "samplers": ("samplers",),
    "guidance": ("guidance",),
    "metrics": ("metrics", "metrics_frechet", "metrics_images", "guidance", "samplers"),
}
OPERATORS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult, ast.MatMult: ast.Mult,
    ast.Mod: ast.Mult, ast.FloorDiv: ast.Mult, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
NAMES = {
    "min": "max",
    "max": "min",
    "argmin": "argmax",
    "argmax": "argmin",
    "minimum": "maximum",
    "any": "all",
    "all": "any",
}


def sources(area: str) -> list[Path]:
    """The files of an area, a module or a package, without the packages' lists of names."""
    path = ROOT / "course_lib" / area
    return (
        sorted(f for f in path.glob("*.py") if f.name != "__init__.py") if path.is_dir() else [path.with_suffix(".py")]
    )


def changes(node: ast.AST):
    """Every single change of one node, as a function that makes it; None stands for a `not` or `~` left out."""
    if isinstance(node, ast.BinOp | ast.BoolOp) and type(node.op) in OPERATORS:
        yield lambda n: setattr(n, "op", OPERATORS[type(n.op)]())
    if isinstance(node, ast.Compare):
        for i in range(len(node.ops)):
            yield lambda n, i=i: n.ops.__setitem__(i, OPERATORS[type(n.ops[i])]())
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield lambda n: setattr(n, "op", ast.UAdd())
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.Invert):
        yield None  # leave the operator out
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield lambda n: setattr(n, "value", not n.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield lambda n: setattr(n, "value", {0: 1, 1: 0}.get(n.value, n.value + 1))
    if isinstance(node, ast.Attribute) and node.attr in NAMES:
        yield lambda n: setattr(n, "attr", NAMES[n.attr])
    if isinstance(node, ast.Name) and node.id in NAMES:
        yield lambda n: setattr(n, "id", NAMES[n.id])
    if isinstance(node, ast.keyword) and node.arg in ("min", "max"):
        yield lambda n: setattr(n, "arg", NAMES[n.arg])


def code(node: ast.AST, way=()):
    """Paths to all nodes that are code: no docstrings, no type hints, nothing inside `raise`."""
    yield way, node
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns"):
            continue
        for i, child in enumerate(value if isinstance(value, list) else [value]):
            if not isinstance(child, ast.AST) or isinstance(
                child, ast.Raise | ast.Import | ast.ImportFrom | ast.JoinedStr
            ):
                continue
            if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
                continue
            if field == "decorator_list" or is_alias(child):
                continue
            yield from code(child, (*way, (field, i if isinstance(value, list) else None)))


def is_alias(node: ast.AST) -> bool:
    """Whether a statement names a type, as in Kernel = Callable[[Tensor], Tensor] | None."""
    return isinstance(node, ast.Assign) and any(
        isinstance(n, ast.Name) and n.id == "Callable" for n in ast.walk(node.value)
    )


def at(tree: ast.AST, way):
    for field, i in way:
        tree = getattr(tree, field) if i is None else getattr(tree, field)[i]
    return tree


def replace(tree: ast.AST, way, node: ast.AST) -> None:
    parent, (field, i) = at(tree, way[:-1]), way[-1]
    if i is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[i] = node


def mutants_of(path: Path):
    """All mutants of a file: name, place, text before and after, and the file's new text."""
    text = path.read_text()
    tree, lines = ast.parse(text), text.splitlines()
    for way, node in code(tree):
        for k, change in enumerate(changes(node)):
            mutant = copy.deepcopy(tree)
            target = at(mutant, way)
            before = ast.unparse(target)
            if change:
                change(target)
            else:
                replace(mutant, way, target.operand)
            after = ast.unparse(at(mutant, way))
            line = next((n.lineno for n in ast.walk(node) if hasattr(n, "lineno")), 0)
            name = f"{path.relative_to(ROOT / 'course_lib')}:{line}"
            key = f"{name} {'.'.join(f'{f}{i}' for f, i in way[-4:])} {k}: {before} -> {after}"
            yield {"key": key, "place": name, "line": lines[line - 1].strip(), "before": before, "after": after,
                   "file": path, "text": ast.unparse(mutant)}  # fmt: skip


def short(text: str) -> str:
    return text if len(text) <= 48 else text[:45] + "..."


def killer(tests, mutant: dict | None = None) -> str:
    """The first test that fails on the mutant, or on the package as it is; "a timeout", or nothing."""
    with tempfile.TemporaryDirectory() as folder:
        copy_of = Path(folder) / "course_lib"
        shutil.copytree(ROOT / "course_lib", copy_of, ignore=shutil.ignore_patterns("__pycache__", "results", "tools"))
        shutil.copytree(ROOT / "tests", Path(folder) / "tests", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(ROOT / "benchmarks", Path(folder) / "benchmarks")
        if mutant:
            (copy_of / mutant["file"].relative_to(ROOT / "course_lib")).write_text(mutant["text"])
        files = [f"tests/test_{name}.py" for name in tests]
        command = [sys.executable, "-m", "pytest", "-xqWignore", "-p", "no:cacheprovider", "--rootdir", folder, *files]
        environment = os.environ | {"PYTHONPATH": folder, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=LIMIT)
        except subprocess.TimeoutExpired:
            return "a timeout"
    found = re.search(r"^(?:FAILED|ERROR) (?:tests/)?(.+?)(?: - |$)", done.stdout, re.MULTILINE)
    return found[1] if found else ("" if done.returncode == 0 else "an error at the start")


def choose(everything: bool) -> list[dict]:
    """The mutants to try, with the tests that run on each: a seeded draw of 40 among all, or all of them."""
    pool = [m | {"tests": tests} for area, tests in AREAS.items() for path in sources(area) for m in mutants_of(path)]
    pool.sort(key=lambda m: m["key"])
    return pool if everything else sorted(random.Random(SEED).sample(pool, COUNT), key=lambda m: m["key"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--state", type=Path, help="a JSON file that keeps the results of a run that is stopped")
    parser.add_argument("--all", action="store_true", help="try every mutant, which takes an hour")
    parser.add_argument("--list", action="store_true", help="only show the mutants")
    options = parser.parse_args()
    mutants = choose(options.all)
    known = json.loads(options.state.read_text()) if options.state and options.state.exists() else {}
    if not options.list and (broken := killer(sorted({name for tests in AREAS.values() for name in tests}))):
        print(f"The tests fail without a mutant, at {broken}: mend that first.")
        return 1
    survivors = 0
    for number, mutant in enumerate(mutants, 1):
        if not options.list and mutant["key"] not in known:
            known[mutant["key"]] = killer(mutant["tests"], mutant)
            if options.state:
                options.state.write_text(json.dumps(known, indent=1))
        killed = known.get(mutant["key"], "")
        survivors += not killed
        verdict = "" if options.list else f" | {'killed by ' + killed if killed else 'SURVIVED'}"
        print(
            f"{number:3} {mutant['place']} | {short(mutant['before'])} -> {short(mutant['after'])}{verdict}", flush=True
        )
        if not killed:
            print(f"      {mutant['line']}", flush=True)
    if options.list:
        return 0
    print(f"{len(mutants) - survivors} of {len(mutants)} mutants were killed, {survivors} survived.")
    return int(survivors > (0.05 * len(mutants) if options.all else COUNT - ENOUGH))


if __name__ == "__main__":
    sys.exit(main())
