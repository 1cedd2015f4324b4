"""Inside the sandbox: from the cells of a notebook to one exercise's function, by its slice.

Not the whole notebook is run, which would take minutes: the exercise's cell, and of the other cells only the statements
that bind or change a name that it uses, and that those use. Where that is not right, whole.py runs everything.
"""

import builtins
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import CodeType

from course_lib.exercises.answers import Answer, failure, isolated
from course_lib.tools.grade.inside.ipython import Silent, tree_of
from course_lib.tools.grade.inside.statements import HIDDEN_CHANGES, Statement, binds, called, loads, statements

HERE = "your cell"  # what a SyntaxError says it is in


@dataclass(frozen=True)
class Slice:
    """Statements of other cells in the notebook's order, the names they and the cell use, and whether more may matter.

    doubt: a name may be changed in a way that only a run of the whole notebook shows.
    """

    statements: Sequence[Statement]
    names: frozenset[str]
    doubt: bool


@dataclass(frozen=True)
class Built:
    """What stands under the exercise's name, or what went wrong as an Answer, and the slice that was run for it."""

    fn: object = None
    problem: Answer | None = None
    names: frozenset[str] = frozenset()
    doubt: bool = False


def built(task: dict) -> Built:
    """The object under the exercise's name after its cell has run in its slice."""
    names = namespace()
    name, problem, part = task["name"], None, Slice((), frozenset(), False)
    with isolated(0):
        exec("\n".join(task["prelude"]), names)
        try:
            code = compile(tree_of(task["cells"][task["place"]], HERE), HERE, "exec")
            part = context(task["cells"], task["place"], code, names, name, task["id"])
            for statement in part.statements:
                run_quietly(statement.code, names)
            if name in binds(code):
                names.pop(name, None)
            exec(code, names)
        except BaseException as error:
            problem = failure(error)
    if callable(names.get(name)):
        return Built(names[name], None, part.names, part.doubt)
    kind = type(names[name]).__name__ if name in names else ""
    return Built(None, problem or Answer(problem="no function", detail=kind), part.names, part.doubt)


def namespace() -> dict:
    """A notebook's names before its first cell."""
    names: dict = {"__name__": "__main__", "__builtins__": builtins, "get_ipython": Silent}
    return names | {"display": lambda *things, **options: None}


def run_quietly(code: CodeType, names: dict) -> None:
    """Run a statement of another cell; where it fails, its name stays unbound."""
    try:
        exec(code, names)
    except Exception:
        return


def context(
    cells: Sequence[str], place: int, code: CodeType, given: Iterable[str], name: str, id: str = "check"
) -> Slice:
    """The statements of other cells that a cell needs, in the notebook's order.

    A name is looked up where it is used: at once in a statement, but in a function when that is called, which is when
    the exercise is reached. Of a name the last binding counts, and what changes it between there and the exercise.
    What changes between the exercise and its `check` makes doubt.
    """
    found = list(statements(cells, place))
    before = sum(statement.cell < place for statement in found)
    given = {*given, *vars(builtins)}
    own = [] if name in binds(code) else elsewhere(found, name, before)
    before = max([before, *(at + 1 for at in own)])
    chosen = {at for at, one in enumerate(found[:before]) if "*" in one.binds}.union(own)
    used = loads(code) | called(code)
    wanted, seen = [(one, before) for one in used - binds(code)], set()
    for at in own:
        wanted += [(one, at) for one in found[at].uses] + [(one, before) for one in found[at].later]
    while wanted:
        other, end = asked = wanted.pop()
        if asked in seen:
            continue
        seen.add(asked)
        for at in (*binding(found, other, end, other in given), *changing(found, other, end)):
            chosen.add(at)
            wanted += [(one, at) for one in found[at].uses]
            wanted += [(one, end) for one in found[at].later]
    names = frozenset({one for one, _ in seen} | used)
    imported = {one for statement in found if statement.imports for one in statement.binds}
    changed = names - given - imported - {name}
    end = max((at for at, source in enumerate(cells) if "check" in source and id in source), default=len(cells))
    doubt = any((one.binds | one.changes) & changed for one in found[before:] if one.cell <= end)
    doubt = doubt or any(HIDDEN_CHANGES.search(source) for source in cells)
    return Slice([found[at] for at in sorted(chosen)], names, doubt)


def binding(found: Sequence[Statement], name: str, end: int, given: bool) -> list[int]:
    """Where a name is bound: last before a place, else first after it, else by any of the star imports.

    What is given, a built-in or what the exercise needs, is bound elsewhere only where the notebook binds it before.
    """
    places = [at for at, one in enumerate(found) if name in one.binds]
    before, after = [at for at in places if at < end], [at for at in places if at >= end]
    if given:
        return before[-1:]
    return before[-1:] or after[:1] or [at for at, one in enumerate(found) if "*" in one.binds]


def elsewhere(found: Sequence[Statement], name: str, end: int) -> list[int]:
    """Where the exercise's own name is bound when its marked cell is only a mark: below, or else last above it."""
    places = [at for at, one in enumerate(found) if name in one.binds]
    return [at for at in places if at >= end][:1] or places[-1:]


def changing(found: Sequence[Statement], name: str, end: int) -> Iterator[int]:
    """What changes the object under a name before a place, after its last binding there."""
    bound = [at for at, one in enumerate(found[:end]) if name in one.binds]
    for at in range(bound[-1] + 1 if bound else 0, end):
        if name in found[at].changes:
            yield at
