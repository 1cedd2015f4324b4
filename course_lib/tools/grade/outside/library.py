"""The course_lib that a student's code meets: without declarations, without tools, without the exercise's own answer.

Modules cross the wall compiled, not as files, so that each exercise has a library of its own and the sandbox holds no
source of the function that is asked for. What imports the absent function still imports; calling it raises.
"""

import ast
import importlib
import marshal
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from course_lib.exercises.declare import Exercise

PACKAGE = Path(__file__).parents[3]
INSIDE = "/kit/course_lib"  # where its modules say they lie, and its data does
LEFT_OUT = ("exercises", "tools")
DATA = ("results", "tiny")  # folders of data, which are bound as they are
# `check` and `fallback` may stand in a student's cell: here they judge nothing.
EXERCISES = '''
"""What a notebook calls; here it says nothing."""


def check(id, fn):
    return False


def fallback(id, fn):
    return fn


def quiz(number):
    return None
'''


def modules(*exercises: Exercise) -> dict[str, tuple[str, bool, bytes]]:
    """Every module that a worker can import: (its file inside, whether it is a package, its code).

    The home of each of the exercises is left out.
    """
    absent: dict[str, tuple[str, ...]] = {}
    for module, path in filter(None, map(removed, exercises)):
        absent[module] = (*absent.get(module, ()), path)
    return plain() | {module: compiled(module, files()[module], paths) for module, paths in absent.items()}


@cache
def plain() -> dict[str, tuple[str, bool, bytes]]:
    """The library with nothing removed but what no exercise has."""
    everything = {name: compiled(name, file) for name, file in files().items()}
    code = marshal.dumps(compile(EXERCISES, f"{INSIDE}/exercises/__init__.py", "exec", dont_inherit=True))
    return everything | {"course_lib.exercises": (f"{INSIDE}/exercises/__init__.py", True, code)}


@cache
def files() -> dict[str, Path]:
    """The library's modules and where they lie."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        inside = path.relative_to(PACKAGE)
        if inside.parts[0] not in LEFT_OUT:
            parts = inside.with_suffix("").parts
            found[".".join(["course_lib", *(parts[:-1] if parts[-1] == "__init__" else parts)])] = path
    return found


@cache
def compiled(name: str, file: Path, without: tuple[str, ...] = ()) -> tuple[str, bool, bytes]:
    """One module, without some of its functions or classes."""
    inside = f"{INSIDE}/{file.relative_to(PACKAGE).as_posix()}"
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for path in dict.fromkeys(without):
        take_out(tree, path)
    return inside, file.name == "__init__.py", marshal.dumps(compile(tree, inside, "exec", dont_inherit=True))


def removed(exercise: Exercise) -> tuple[str, str] | None:
    """The module that defines the exercise's home and the name in it; None where `needs` asks for that very name."""
    if not exercise.home:
        return None
    module, _, path = exercise.home.partition(":")
    found = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return None if path in exercise.needs else (found.__module__, found.__qualname__)


def take_out(tree: ast.Module, path: str) -> None:
    """Leave of a function or class its name, which raises when it is called; ValueError where there is none."""
    places = list(definitions(tree, path))
    if not places:
        raise ValueError(f"There is no {path} to leave out: correct the exercise's home.")
    said = f"{path.split('.')[-1]} is what this exercise asks you to write, so it is absent here"
    stub = ast.parse(f"def __init__(*args, **options):\n    raise LookupError({said!r})").body[0]
    for node in places:
        node.decorator_list = []
        if isinstance(node, ast.ClassDef):
            node.bases, node.keywords, node.body = [], [], [stub]
        else:
            node.args, node.body = stub.args, stub.body
    ast.fix_missing_locations(tree)


def definitions(tree: ast.AST, path: str) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    """Every definition with this qualified name."""
    name, _, rest = path.partition(".")
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            yield from definitions(node, rest) if rest else [node]
