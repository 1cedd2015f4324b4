"""Right answers in other ways that notebooks are really written: split, helpers below, mutation, magics, another order.

Each way turns the cell of an answer into cells that define the same function when the notebook is run from top to end.
"""

import ast
import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from course_lib.exercises.declare import Exercise
from course_lib.tools.grade.rehearsed.variants import cell


@dataclass(frozen=True)
class Parts:
    """An answer's cell in its parts: the mark, the imports, what the function uses, the function."""

    id: str
    mark: str
    imports: Sequence[ast.stmt]
    helpers: Sequence[ast.stmt]
    function: ast.FunctionDef

    @property
    def needed_at_once(self) -> set[str]:
        """Names that must be bound when the function is defined: those in its defaults."""
        arguments = self.function.args
        defaults = filter(None, [*arguments.defaults, *arguments.kw_defaults])
        return {one.id for default in defaults for one in ast.walk(default) if isinstance(one, ast.Name)}


def parts(exercise: Exercise, fn: Callable) -> Parts:
    """The parts of the cell that answers as fn does."""
    *above, function = ast.parse(cell(exercise, fn)).body
    imports = [one for one in above if isinstance(one, ast.Import | ast.ImportFrom)]
    helpers = [one for one in above if one not in imports]
    return Parts(exercise.id, f"# exercise {exercise.id}", imports, helpers, function)


def text(*statements: ast.stmt) -> str:
    """Python for statements."""
    return "\n\n".join(ast.unparse(ast.fix_missing_locations(one)) for one in statements)


def split(answer: Parts) -> list[str]:
    """The mark alone, then the imports and helpers, then the function, each in a cell."""
    return [answer.mark, text(*answer.imports, *answer.helpers), text(answer.function)]


def helpers_below(answer: Parts) -> list[str]:
    """The function in the marked cell, and what it uses when it is called in the cell below."""
    at_once = [one for one in answer.helpers if isinstance(one, ast.Assign) or names(one) & answer.needed_at_once]
    below = [one for one in answer.helpers if one not in at_once]
    return ["\n".join((answer.mark, text(*answer.imports, *at_once, answer.function))), text(*below) or "pass"]


def mutated(answer: Parts) -> list[str]:
    """The function reads a setting that another cell changes in a loop."""
    function = copy.deepcopy(answer.function)
    key = f"settings[{answer.id!r}]"
    function.body[:0] = ast.parse(f"if not {key}['on']:\n    raise ValueError('off')").body
    own = text(*answer.imports, *answer.helpers, function)
    loop = f"for key in ['on']:\n    {key}[key] = True"
    made = f"settings = globals().get('settings') or {{}}\n{key} = {{}}"
    return [made, loop, f"{answer.mark}\n{own}"]


def with_magics(answer: Parts) -> list[str]:
    """%%time above, lines for IPython and for a shell among the rest, and a text that looks like them."""
    function = copy.deepcopy(answer.function)
    function.body.insert(0, ast.parse('"""Per cent of\n% n\n!= 3\n"""').body[0])
    told = "!pip install --quiet \\\n    numpy\nfiles = !ls\n%matplotlib inline"
    timed = [f"%time {text(one)}" for one in answer.imports]
    rest = text(*answer.helpers, function)
    return [f"%time count_{answer.id.replace('.', '_')} = 3", "\n".join(("%%time", answer.mark, told, *timed, rest))]


def other_order(answer: Parts) -> list[str]:
    """A draft that is wrong far above, and in the cell the function first, then its helpers and imports."""
    draft = copy.deepcopy(answer.function)
    draft.body, draft.decorator_list = ast.parse("return None").body, []
    draft.args.defaults = [ast.Constant(None) for _ in draft.args.defaults]
    draft.args.kw_defaults = [one and ast.Constant(None) for one in draft.args.kw_defaults]
    first = [one for one in answer.helpers if isinstance(one, ast.Assign) or names(one) & answer.needed_at_once]
    rest = [one for one in answer.helpers if one not in first]
    imports_first = answer.imports if first or answer.needed_at_once else []
    imports_last = [] if imports_first else answer.imports
    own = text(*imports_first, *first, answer.function, *rest, *imports_last)
    return [text(draft), f"{answer.mark}\n{own}"]


def names(statement: ast.stmt) -> set[str]:
    """What a helper's statement is called."""
    return {statement.name} if isinstance(statement, ast.FunctionDef | ast.ClassDef) else set()


WAYS: dict[str, Callable[[Parts], list[str]]] = {
    "split": split,
    "helpers below": helpers_below,
    "mutated": mutated,
    "magics": with_magics,
    "other order": other_order,
}


def written(way: str, exercises: Sequence[Exercise], index: int) -> list[str]:
    """Cells that answer some exercises by their right answers of this index, all in one way, with what is given below.

    Below each answer stand `check` and `fallback`, as in a chapter's notebook.
    """
    found = []
    for one in exercises:
        below = f'check("{one.id}", {one.name})\n{one.name} = fallback("{one.id}", {one.name})'
        found.append([*WAYS[way](parts(one, one.right[index % len(one.right)])), below])
    if way == "other order":
        found.reverse()
    return [source for cells in found for source in cells]
