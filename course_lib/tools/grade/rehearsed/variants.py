"""Answers as students would hand them in: the functions of a declaration written as cells that stand on their own.

A cell brings along what its function uses: imports, helpers and constants of the declaration's module, and the
exercise's own library function, which is absent where a class is graded.
"""

import ast
import builtins
import importlib
import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType

from course_lib.exercises.declare import Exercise

Scope = ast.FunctionDef | ast.Lambda
PLAIN = (bool, int, float, str, tuple, list, type(None))


@dataclass(frozen=True)
class Cell:
    """The source of a cell, and the id() of each function that stands in it."""

    source: str
    written: frozenset[int]


def cell(exercise: Exercise, fn: Callable, doc: str = "", change: Callable | None = None) -> str:
    """The source of an exercise cell that answers as fn does; change(node) may alter the function before it is written.

    Raises ValueError where a function uses something that cannot be written down.
    """
    return composed(exercise, fn, doc, change).source


def composed(exercise: Exercise, fn: Callable, doc: str = "", change: Callable | None = None) -> Cell:
    """The same, with what stands in the cell."""
    writer = _Writer(exercise)
    node = writer.function(fn, exercise.name, doc)
    node = change(node) if change else node
    parts = [*writer.helpers, ast.unparse(ast.fix_missing_locations(node))]
    head = [f"# exercise {exercise.id}", *sorted(writer.imports)]
    source = "\n".join(head) + ("\n\n\n" if len(head) > 1 or len(parts) > 1 else "\n") + "\n\n\n".join(parts)
    return Cell(source, frozenset(map(id, writer.written)))


class _Writer:
    """Collects the imports and helpers of one cell."""

    def __init__(self, exercise: Exercise):
        self.exercise, self.home = exercise, home_of(exercise)
        self.imports: set[str] = set()
        self.helpers: list[str] = []
        self.given: dict[tuple[str, int], str] = {}  # name in the declaration and the value's id -> name in the cell
        self.kept: list = []  # values whose id is a key above must stay alive
        self.written: list = []  # functions whose source is in the cell

    def function(self, fn: FunctionType, name: str, doc: str = "") -> ast.FunctionDef:
        """fn as a `def` with this name, everything it uses written before; decorators are left off."""
        self.written.append(fn)
        fn = inspect.unwrap(fn)
        scope = node_of(fn)
        self.given.setdefault((scope.name if isinstance(scope, ast.FunctionDef) else "", id(fn)), name)
        bound, values = set(_bound(scope)), _values(fn)
        module = importlib.import_module(fn.__module__)
        scope = _HomeByName(values, self.home).visit(_copy(scope))
        self._defaults(scope.args, fn.__globals__, module)
        free = dict.fromkeys(n.id for n in ast.walk(scope) if isinstance(n, ast.Name) and n.id not in bound)
        new = {one: self.bind(one, values[one], module) for one in free if one in values}
        scope = _Rename(new).visit(scope)
        if isinstance(scope, ast.Lambda):
            body = [ast.Return(scope.body)]
        else:
            body = scope.body[1:] if ast.get_docstring(scope) is not None else scope.body
        told = [ast.Expr(ast.Constant(doc))] if doc else []
        return ast.FunctionDef(name, scope.args, [*told, *body], decorator_list=[], returns=None)

    def _defaults(self, arguments: ast.arguments, values: dict, module: ModuleType) -> None:
        """In `def f(unit=unit)` the second name stands outside the function, whatever the first one binds."""
        for one in filter(None, [*arguments.defaults, *arguments.kw_defaults]):
            for name in [n for n in ast.walk(one) if isinstance(n, ast.Name)]:
                if name.id in values and not isinstance(one, Scope):
                    name.id = self.bind(name.id, values[name.id], module)

    def bind(self, name: str, value, module: ModuleType) -> str:
        """See to it that the cell binds this value; the name it has there."""
        known = self.given.get((name, id(value)))
        if known:
            return known
        if value is self.exercise.reference:
            return self.bind(_name_of(self.exercise.right[0], name), self.exercise.right[0], module)
        written = name if name not in {self.exercise.name, *self.given.values()} else self._another(name)
        self.given[name, id(value)] = written
        self.kept.append(value)
        self._write(name, written, value, module)
        return written

    def _another(self, name: str) -> str:
        taken = {self.exercise.name, *self.given.values()}
        return next(new for n in range(2, 99) if (new := f"{name}_{n}") not in taken)

    def _write(self, name: str, written: str, value, module: ModuleType) -> None:
        """The line or the definition that binds a value."""
        imported = _imports(module).get(name)
        ours = isinstance(value, FunctionType) and value.__module__.startswith("course_lib.exercises")
        home = self.home is not None and value is self.home
        if home and isinstance(value, type):
            self.helpers.append(self._class(value, written))
        elif home or ours:
            self.helpers.append(ast.unparse(ast.fix_missing_locations(self.function(value, written))))
        elif imported:
            self.imports.add(imported if written == name else f"{imported.split(' as ')[0]} as {written}")
        elif isinstance(value, float) and not math.isfinite(value):
            self.helpers.append(f'{written} = float("{value}")')
        elif isinstance(value, PLAIN) and ast.literal_eval(repr(value)) == value:
            self.helpers.append(f"{written} = {value!r}")
        elif _in_torch(value):
            self.helpers.append(f"{written} = {_in_torch(value)}")
        elif not module.__name__.startswith("course_lib.exercises") and getattr(module, name, None) is value:
            self.imports.add(f"from {module.__name__} import {name}" + (f" as {written}" if written != name else ""))
        else:
            raise ValueError(f"Exercise {self.exercise.id}: {name} cannot be written into a cell.")

    def _class(self, home: type, written: str) -> str:
        """The library's class, with what its module binds for it."""
        self.written.append(home)
        module = importlib.import_module(home.__module__)
        tree = _tree(module.__file__)
        [found] = [n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == home.__name__]
        node = _copy(found)
        names = dict.fromkeys(n.id for n in ast.walk(node) if isinstance(n, ast.Name))
        bound = {n for one in ast.walk(node) if isinstance(one, ast.FunctionDef) for n in _bound(one)}
        values = {n: v for n, v in vars(module).items() if n in names and n not in bound and v is not home}
        new = {one: self.bind(one, values[one], module) for one in names if one in values}
        node = _Rename(new | {home.__name__: written}).visit(node)
        node.name = written
        return ast.unparse(ast.fix_missing_locations(node))


class _Rename(ast.NodeTransformer):
    """Names, and the arguments that bind them, replaced."""

    def __init__(self, new: dict[str, str]):
        self.new = new

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self.new.get(node.id, node.id), node.ctx)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(self.new.get(node.arg, node.arg))


class _HomeByName(ast.NodeTransformer):
    """`rivals.critic_loss` becomes `critic_loss` where that is the function that will be absent."""

    def __init__(self, values: dict, home):
        self.values, self.home = values, home

    def visit_Attribute(self, node: ast.Attribute):
        self.generic_visit(node)
        owner = self.values.get(node.value.id) if isinstance(node.value, ast.Name) else None
        if self.home is not None and isinstance(owner, ModuleType) and getattr(owner, node.attr, None) is self.home:
            self.values[node.attr] = self.home
            return ast.Name(node.attr, node.ctx)
        return node


def node_of(fn: FunctionType) -> Scope:
    """Where a function is written: the smallest `def` or `lambda` of its file that holds all of its instructions."""
    code = fn.__code__
    spots = [(a, c) for a, _, c, d in code.co_positions() if a and d]
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]

    def fits(node: ast.AST) -> bool:
        if not isinstance(node, Scope) or getattr(node, "name", "<lambda>") != code.co_name:
            return False
        start, end = (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)
        arguments = [one.arg for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        return tuple(arguments) == names and all(start <= spot < end for spot in spots)

    found = [node for node in ast.walk(_tree(code.co_filename)) if fits(node)]
    if not found:
        raise ValueError(f"{code.co_filename} does not hold the function {code.co_qualname}.")
    return max(found, key=lambda node: (node.lineno, node.col_offset))


@cache
def _tree(filename: str) -> ast.Module:
    return ast.parse(Path(filename).read_text(encoding="utf-8"))


def _in_torch(value) -> str:
    """What a cell calls one of torch's own functions, which a declaration may have handed to another as a value."""
    for home in ("torch", "torch.special", "torch.linalg", "torch.nn.functional"):
        for name, one in vars(importlib.import_module(home)).items():
            if one is value and callable(value):
                return f"{home}.{name}"
    return ""


@cache
def _imports(module: ModuleType) -> dict[str, str]:
    """The import statements of a module, one for each name."""
    found = {}
    for node in _tree(module.__file__).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                one = (
                    ast.Import([alias])
                    if isinstance(node, ast.Import)
                    else ast.ImportFrom(node.module, [alias], node.level)
                )
                found[alias.asname or alias.name.split(".")[0]] = ast.unparse(one)
    return found


def _copy(node: Scope) -> Scope:
    """The node parsed anew without its annotations, so that changing it changes nothing else."""
    parsed = ast.parse(ast.unparse(node)).body[0]
    for one in ast.walk(parsed):
        if isinstance(one, ast.arg):
            one.annotation = None
        elif isinstance(one, ast.FunctionDef):
            one.returns = None
    return parsed.value if isinstance(parsed, ast.Expr) else parsed


def _bound(scope: Scope) -> Iterator[str]:
    """Names that a function binds, wherever in it."""
    for node in ast.walk(scope):
        if isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.FunctionDef) and node is not scope:
            yield node.name


def _values(fn: FunctionType) -> dict:
    """What a function's free names stand for; built-ins need no binding."""
    closure = {name: one.cell_contents for name, one in zip(fn.__code__.co_freevars, fn.__closure__ or ())}
    return {n: v for n, v in fn.__globals__.items() if not hasattr(builtins, n)} | closure


def _name_of(fn: FunctionType, otherwise: str) -> str:
    return fn.__name__ if fn.__name__.isidentifier() else otherwise


def home_of(exercise: Exercise):
    """The library's function that is absent where the exercise is graded, or None."""
    if not exercise.home:
        return None
    module, _, path = exercise.home.partition(":")
    value = importlib.import_module(module)
    for part in path.split("."):
        value = getattr(value, part)
    return value


def renamed(style: str) -> Callable[[ast.FunctionDef], ast.FunctionDef]:
    """A change for `cell`: the function's own variables, and the arguments a caller cannot name, get other names.

    style is a text with {} for the old name: "my_{}".
    """

    def change(node: ast.FunctionDef) -> ast.FunctionDef:
        nested = {n for one in ast.walk(node) if isinstance(one, Scope) and one is not node for n in _bound(one)}
        open_to_callers = len(node.args.args) - len(node.args.defaults)
        names = {one.arg for one in node.args.args[:open_to_callers]}
        for one in ast.walk(node):
            if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store):
                names.add(one.id)
        kept = nested | {one.arg for one in node.args.args[open_to_callers:]}
        return _Rename({name: style.format(name) for name in names - kept}).visit(node)

    return change


def unfinished(stub: str) -> Callable[[ast.FunctionDef], ast.FunctionDef | None]:
    """A change for `cell`: the last statement is still the stub's line; None where that leaves nothing of an answer."""

    def change(node: ast.FunctionDef) -> ast.FunctionDef | None:
        told = 1 if ast.get_docstring(node) is not None else 0
        begun = node.body[:-1]
        if len(begun) <= told or _returns(begun):
            return None
        node.body = [*begun, *ast.parse(stub).body]
        return node

    return change


def without_return(node: ast.FunctionDef) -> ast.FunctionDef | None:
    """A change for `cell`: the answer is worked out and never returned; None where there are several returns."""
    returns = _returns(node.body)
    if len(returns) != 1 or node.body[-1] is not returns[0]:
        return None
    kept = ast.Assign([ast.Name("answer", ast.Store())], returns[0].value)
    node.body[-1] = ast.copy_location(kept, returns[0])
    return node


def _returns(body: Sequence[ast.stmt]) -> list[ast.Return]:
    """The returns of a function's own body, not those of functions inside it."""
    found, left = [], list(body)
    while left:
        node = left.pop()
        if isinstance(node, ast.Return):
            found.append(node)
        elif not isinstance(node, Scope):
            left += ast.iter_child_nodes(node)
    return found
