"""Inside the sandbox: from the cells of a notebook to one exercise's function.

Not the whole notebook is run, which would take minutes: the exercise's cell, and of the other cells only the imports,
functions, classes and assignments that it uses, and that those use.
"""

import ast
import builtins
import dis
import linecache
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import CodeType

from course_lib.exercises.answers import Answer, failure, isolated

_LOADS = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
_KINDS = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign, ast.AugAssign)
_KINDS += (ast.If, ast.Try, ast.With)
_NOT_PYTHON = re.compile(r"^([ \t]*)(?:[%!].*|[\w.]+\?{1,2}[ \t]*|\?{1,2}[\w.]+[ \t]*)$", re.M)
HERE = "your cell"  # what a SyntaxError says it is in


@dataclass(frozen=True)
class Statement:
    """One statement of another cell: where it stands, what it binds, what it uses; "*" binds whatever it imports."""

    cell: int
    code: CodeType
    binds: frozenset[str]
    uses: frozenset[str]


def built(task: dict) -> tuple[object, Answer | None]:
    """The object under the exercise's name after its cell has run, or what went wrong as an Answer."""
    names: dict = {"__name__": "__main__", "__builtins__": builtins, "display": lambda *things, **options: None}
    name, cells, place = task["name"], task["cells"], task["place"]
    source, problem = cells[place], None
    with isolated(0):
        exec("\n".join(task["prelude"]), names)
        try:
            code = compile(parsed(source, HERE), HERE, "exec")
            for statement in context(cells, place, code, names):
                run_quietly(statement.code, names)
            names.pop(name, None)
            exec(code, names)
        except BaseException as error:
            problem = failure(error)
    if callable(names.get(name)):
        return names[name], None
    if problem:
        return None, problem
    return None, Answer(problem="no function", detail="" if name not in names else type(names[name]).__name__)


def run_quietly(code: CodeType, names: dict) -> None:
    """Run a statement of another cell; where it fails, its name stays unbound."""
    try:
        exec(code, names)
    except Exception:
        return


def parsed(source: str, filename: str) -> ast.Module:
    """The cell as Python, with IPython's % and ! lines left out where they are all that is wrong."""
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    try:
        return ast.parse(source, filename)
    except SyntaxError:
        return ast.parse(_NOT_PYTHON.sub(r"\1pass", source), filename)


def context(cells: Sequence[str], place: int, code: CodeType, given: Iterable[str]) -> list[Statement]:
    """The statements of other cells that a cell needs, in the notebook's order."""
    known = {*given, *vars(builtins)}
    found = list(statements(cells, place))
    before = sum(statement.cell < place for statement in found)
    chosen: set[int] = set()
    wanted = [(name, before) for name in uses(code) - binds(code)]
    while wanted:
        name, end = wanted.pop()
        for at in () if name in known else binding(found, name, end):
            if at not in chosen:
                chosen.add(at)
                wanted += [(other, at) for other in found[at].uses]
    return [found[at] for at in sorted(chosen)]


def binding(found: Sequence[Statement], name: str, end: int) -> list[int]:
    """Where a name is bound: last before a place, else first after it, else by any of the star imports."""
    places = [at for at, statement in enumerate(found) if name in statement.binds]
    before, after = [at for at in places if at < end], [at for at in places if at >= end]
    return before[-1:] or after[:1] or [at for at, statement in enumerate(found) if "*" in statement.binds]


def statements(cells: Sequence[str], place: int) -> Iterator[Statement]:
    """The statements of all other cells that bind something, without those that are no Python."""
    for number, source in enumerate(cells):
        if number == place:
            continue
        filename = f"<cell {number + 1}>"
        try:
            tree = parsed(source, filename)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        for node in tree.body:
            if isinstance(node, _KINDS):
                yield from statement_of(node, number, filename)


def statement_of(node: ast.stmt, number: int, filename: str) -> Iterator[Statement]:
    """One statement, compiled on its own; nothing where that fails."""
    try:
        code = compile(ast.Module([node], []), filename, "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    bound = binds(code)
    if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
        bound = frozenset("*")
    yield Statement(number, code, bound, uses(code))


def binds(code: CodeType) -> frozenset[str]:
    """The names that a module's code binds."""
    return frozenset(one.argval for one in dis.get_instructions(code) if one.opname in ("STORE_NAME", "STORE_GLOBAL"))


def uses(code: CodeType) -> frozenset[str]:
    """The names that code and the functions inside it look up outside."""
    mine = {one.argval for one in dis.get_instructions(code) if one.opname in _LOADS}
    return frozenset(mine).union(*(uses(one) for one in code.co_consts if isinstance(one, CodeType)))
