"""What the code cells of a master must obey: markers, captions, tags, claims, model names."""

import ast
import re
from collections.abc import Iterator

from course_lib.tools.build.masters import SOLUTION_BEGIN, SOLUTION_END, Code, Master, Problem
from course_lib.tools.build.project import Declared

TAGS = {"nbval-check-output", "hide-input", "show-input", "remove-input", "hide-output"}
PLOTS = re.compile(r"plt\.show\(\)|plots\.(animate|slider)\(")
CLAIM_BOXES = 6


def cell_problems(master: Master, declared: Declared) -> Iterator[Problem]:
    """All breaches of all cells, then those that only show in the whole chapter."""
    claims: list[tuple[str, int, bool]] = []
    for cell in (block for block in master.blocks if isinstance(block, Code)):
        yield from markers(master, cell)
        yield from captions(master, cell)
        yield from tags(master, cell)
        try:
            tree = ast.parse(without_magics(cell.source))
        except SyntaxError as error:
            line = cell.first + (error.lineno or 1) - 1
            yield master.problem(line, f"this cell is not Python ({error.msg}).")
            continue
        yield from hub_ids(master, cell, tree)
        yield from defines_its_function(master, cell, tree, declared)
        claims += claim_calls(cell, tree)
    yield from claim_problems(master, claims)


def without_magics(source: str) -> str:
    """Python where IPython's % and ! lines pass for `pass`."""
    return re.sub(r"^(\s*)[%!].*$", r"\1pass", source, flags=re.MULTILINE)


def markers(master: Master, cell: Code) -> Iterator[Problem]:
    """Solution markers come in pairs, indented, in the cell of an exercise."""
    opened = None
    for line, text in enumerate(cell.source.split("\n"), cell.first):
        if text.strip() == SOLUTION_BEGIN:
            if opened is not None:
                yield master.problem(line, f"the solution opened on line {opened} is not closed before the next one.")
            if text == text.lstrip():
                yield master.problem(line, "indent the solution into a function, so that an unsolved notebook runs on.")
            if cell.exercise is None:
                yield master.problem(line, "a cell with a solution must open with its line `# exercise N.M`.")
            opened = line
        elif text.strip() == SOLUTION_END:
            if opened is None:
                yield master.problem(line, f"{SOLUTION_END} closes no solution: {SOLUTION_BEGIN} is missing above.")
            opened = None
        elif re.match(r"\s*#+\s*(BEGIN|END)\b.*SOLUTION", text, flags=re.IGNORECASE):
            yield master.problem(line, f"write the marker exactly as {SOLUTION_BEGIN} or {SOLUTION_END}.")
    if opened is not None:
        yield master.problem(opened, f"the solution opened here is never closed: add {SOLUTION_END}.")
    if cell.exercise and SOLUTION_BEGIN not in cell.source:
        yield master.problem(cell.first, f"the cell of exercise {cell.exercise} has no {SOLUTION_BEGIN}.")


def captions(master: Master, cell: Code) -> Iterator[Problem]:
    """A figure has a caption that says what to see and a text for who cannot see it."""
    draws = PLOTS.search(cell.source)
    for option in ("caption", "alt"):
        text = str(cell.options.get(option) or "").strip()
        if draws and not text:
            yield master.problem(cell.line, f"this cell draws a figure and needs an option :{option}: with a sentence.")
        if text and not draws:
            yield master.problem(
                cell.line, f"this cell has :{option}: but no plt.show(), plots.animate or plots.slider."
            )


def tags(master: Master, cell: Code) -> Iterator[Problem]:
    """Tags are ones that something uses."""
    given = cell.options.get("tags", [])
    if not isinstance(given, list):
        yield master.problem(cell.line, "write tags as a list, as in :tags: [hide-input].")
        return
    for tag in sorted(set(given) - TAGS):
        yield master.problem(cell.line, f"the tag {tag!r} is unknown: use one of {', '.join(sorted(TAGS))}.")
    if cell.checks and "nbval-check-output" in given:
        yield master.problem(cell.line, "a check cell needs no nbval-check-output: its answer is tested elsewhere.")


def hub_ids(master: Master, cell: Code, tree: ast.AST) -> Iterator[Problem]:
    """Models are named in the registry of stable_diffusion.py only."""
    for node in ast.walk(tree):
        called = isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "from_pretrained"
        named = [a.value for a in getattr(node, "args", []) if isinstance(a, ast.Constant)] if called else []
        for name in named:
            if isinstance(name, str) and re.match(r"^[\w.-]+/[\w.-]+$", name):
                line = cell.first + node.lineno - 1
                yield master.problem(line, f"the model id {name!r} belongs in the registry: use StableDiffusion.load.")


def defines_its_function(master: Master, cell: Code, tree: ast.Module, declared: Declared) -> Iterator[Problem]:
    """The cell of an exercise defines the function its declaration names, with the solution inside."""
    exercise = declared.exercises.get(cell.exercise)
    name = getattr(exercise, "name", "")
    kinds = (ast.FunctionDef, ast.ClassDef)
    if exercise and name and not any(isinstance(node, kinds) and node.name == name for node in tree.body):
        yield master.problem(
            cell.first, f"the cell of exercise {cell.exercise} must define {name}, as its declaration says."
        )


def claim_calls(cell: Code, tree: ast.AST) -> Iterator[tuple[str, int, bool]]:
    """(number, line, whether it is a box) for each claim made in a cell."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        number = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
        if name in ("identity", "effect") and isinstance(number, str):
            quiet = any(k.arg == "ledger_only" and getattr(k.value, "value", False) for k in node.keywords)
            yield number, cell.first + node.lineno - 1, not quiet


def claim_problems(master: Master, claims: list[tuple[str, int, bool]]) -> Iterator[Problem]:
    """Numbers are the chapter's or kept from an earlier one, each once, and at most six are shown as boxes."""
    seen: dict[str, int] = {}
    kept = master.header.get("keeps", [])
    boxes = 0
    for number, line, boxed in claims:
        boxes += boxed
        if number in seen:
            yield master.problem(line, f"claim {number} is already on line {seen[number]}: give it another number.")
        seen.setdefault(number, line)
        if not re.match(rf"{master.number}\.\d+$", number) and f"claim-{number.replace('.', '-')}" not in kept:
            yield master.problem(line, f"claim {number!r} must be numbered {master.number}.1, {master.number}.2, ...")
        if boxed and boxes == CLAIM_BOXES + 1:
            yield master.problem(line, f"this is claim box {boxes}; a chapter has {CLAIM_BOXES}: add ledger_only=True.")
