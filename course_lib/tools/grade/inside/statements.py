"""Inside the sandbox: what each statement of a notebook binds, uses and changes."""

import ast
import dis
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import CodeType

from course_lib.tools.grade.inside.ipython import tree_of

_LOADS = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
_BINDS = ("STORE_NAME", "STORE_GLOBAL", "DELETE_NAME", "DELETE_GLOBAL")
_UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)
# Methods that change their object; others count where their result is dropped, or their name ends in one underscore.
_MUTATORS = "append extend insert add update setdefault pop popitem remove discard clear sort reverse"
_HARMLESS = "check fallback quiz print display len repr str help"
_SEEDING = re.compile(
    r"(torch|np|numpy|random)(\.\w+)*\.(manual_seed|manual_seed_all|seed)"
)  # each answer is seeded anew
# Names changed in ways that no statement shows.
HIDDEN_CHANGES = re.compile(
    r"(?<![.\w])(?:exec|eval|globals|setattr|delattr)\s*\(|__dict__|^[ \t]*%(?:run|load)\b", re.M
)


@dataclass(frozen=True)
class Statement:
    """One statement of another cell: its cell, what it binds ("*": whatever it imports), and what it changes.

    uses: names it looks up at once; later: names that the functions in it look up when they are called.
    """

    cell: int
    code: CodeType
    binds: frozenset[str]
    uses: frozenset[str]
    later: frozenset[str]
    changes: frozenset[str]
    imports: bool = False
    defines: str = ""
    alias: tuple[tuple[str, str], ...] = ()


def statements(cells: Sequence[str], place: int) -> list[Statement]:
    """The statements of all other cells that bind or change something, without those that are no Python."""
    found = [one for number, source in enumerate(cells) if number != place for one in of_cell(number, source)]
    functions = {one.defines: one for one in found if one.defines}
    alias: dict[str, set[str]] = {}
    for name, other in (pair for one in found for pair in one.alias):
        alias.setdefault(name, set()).add(other)
    return [one for one in (effective(one, functions, alias) for one in found) if one.binds or one.changes]


def of_cell(number: int, source: str) -> Iterator[Statement]:
    """The statements of one cell, each compiled on its own; nothing of a cell that is no Python."""
    filename = f"<cell {number + 1}>"
    try:
        body = tree_of(source, filename).body
    except _UNREADABLE:
        return
    for node in body:
        try:
            code = compile(ast.Module([node], []), filename, "exec")
        except _UNREADABLE:
            continue
        star = isinstance(node, ast.ImportFrom) and node.names[0].name == "*"
        is_import = isinstance(node, ast.Import | ast.ImportFrom)
        defines = node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) else ""
        bound, uses, later = frozenset("*") if star else binds(code), loads(code), called(code)
        changes = changed(node) & (bound | uses | later) | stored(code)
        yield Statement(number, code, bound, uses, later, changes, is_import and not star, defines, aliases(node))


def effective(one: Statement, functions: Mapping[str, Statement], alias: Mapping[str, set[str]]) -> Statement:
    """A definition changes nothing yet; a statement that uses a function changes what that function changes."""
    if one.defines:
        return replace(one, changes=frozenset())
    done, left, changes = set(), [*one.uses, *one.later], set(one.changes)
    while left:
        name = left.pop()
        if name in functions and name not in done:
            done.add(name)
            changes |= functions[name].changes
            left += functions[name].later
    changes |= {other for name in changes for other in alias.get(name, ())}
    return replace(one, changes=frozenset(changes) - one.binds)


def aliases(node: ast.AST) -> tuple[tuple[str, str], ...]:
    """The pairs (s, settings) of s = settings and of `for s in (settings, ...)`."""
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Name(id=other)) if name != other:
            return ((name, other),)
        case ast.For(target=ast.Name(id=name), iter=iterated):
            return tuple((name, one.id) for one in ast.walk(iterated) if isinstance(one, ast.Name))
    return ()


def changed(node: ast.AST) -> frozenset[str]:
    """Names whose object a statement, or a function in it, changes: C[0] = 2, K.x = 2, L.append(2), init(settings)."""
    found: set[str] = set()
    for one in ast.walk(node):
        match one:
            case ast.Subscript(ctx=ast.Store() | ast.Del()) | ast.Attribute(ctx=ast.Store() | ast.Del()):
                found |= root(one)
            case ast.AugAssign(target=target):
                found |= root(target)
            case ast.Call(func=ast.Attribute(attr=attr) as method) if attr in _MUTATORS.split() or attr.endswith("_"):
                found |= root(method)
            case ast.Expr(value=ast.Call() as call):
                found |= dropped(call)
    return frozenset(found)


def dropped(call: ast.Call) -> set[str]:
    """What a call may change whose result nobody takes: its object and its arguments."""
    if isinstance(call.func, ast.Name) and call.func.id in _HARMLESS.split():
        return set()
    if _SEEDING.fullmatch(ast.unparse(call.func)):
        return set()
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    found = {one.id for one in given if isinstance(one, ast.Name)}
    return found | (root(call.func) if isinstance(call.func, ast.Attribute) else set())


def root(node: ast.AST) -> set[str]:
    """The name at the beginning of a.b[c].d."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Starred | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return {node.id} if isinstance(node, ast.Name) else set()


def binds(code: CodeType) -> frozenset[str]:
    """The names that a module's code binds or deletes."""
    return frozenset(one.argval for one in dis.get_instructions(code) if one.opname in _BINDS)


def stored(code: CodeType) -> frozenset[str]:
    """The global names that the functions inside some code bind."""
    parts = inner(code)
    mine = [one.argval for part in parts for one in dis.get_instructions(part) if one.opname in _BINDS[1::2]]
    return frozenset(mine).union(*map(stored, parts))


def loads(code: CodeType) -> frozenset[str]:
    """The names that code looks up outside when it runs, in its class bodies and comprehensions too."""
    at_once = [one for one in inner(code) if "__qualname__" in one.co_names or one.co_name.endswith(("comp>", "expr>"))]
    mine = {one.argval for one in dis.get_instructions(code) if one.opname in _LOADS}
    return frozenset(mine).union(*map(loads, at_once))


def called(code: CodeType) -> frozenset[str]:
    """The names that the functions inside code look up outside."""
    return frozenset().union(*(loads(one) | called(one) for one in inner(code)))


def inner(code: CodeType) -> Iterable[CodeType]:
    """The functions, classes and comprehensions that stand in some code."""
    return [one for one in code.co_consts if isinstance(one, CodeType)]
