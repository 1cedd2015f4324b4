"""What a page shows first: ideas stay open; code that imports, checks, claims, draws or prints is folded.

Decided from the syntax tree, chapter by chapter, so that no master has to say it; the tags show-input and hide-input
of a cell say otherwise.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from course_lib.tools.build.cell_rules import without_magics
from course_lib.tools.build.masters import Code

CALLS = {"check": "check", "identity": "claim", "effect": "claim", "print": "numbers", "display": "figure"}
DRAWING = {"plt", "plots"}
NO_IDEA = {"course_lib.claims", "course_lib.exercises", "course_lib.plots"}
OPEN, FOLDED = "show-input", "hide-input"


@dataclass
class Folding:
    """Reads the cells of a chapter in order; knows what its functions do and which names are methods."""

    does: dict[str, str] = field(default_factory=lambda: dict(CALLS))
    methods: set[str] = field(default_factory=set)

    def split(self, cell: Code) -> tuple[str, str, str]:
        """The part of a cell that stays open, the part that is folded, and what that does."""
        body = ast.parse(without_magics(cell.source)).body
        kinds = [self.read(statement) for statement in body]
        if OPEN in cell.tags or not any(kinds):
            return cell.source, "", ""
        first = next(n for n, kind in enumerate(kinds) if kind)
        if FOLDED in cell.tags:
            return "", cell.source, kinds[first]
        rows = self.open_rows(body[:first], kinds[first])
        lines = cell.source.split("\n")
        return "\n".join(lines[:rows]), "\n".join(lines[rows:]).strip("\n"), kinds[first]

    def open_rows(self, leading: list[ast.stmt], kind: str) -> int:
        """The row up to which the statements before the folded part hold an idea.

        That is a definition, or before numbers also a call of a method; what prepares a figure or a claim goes along
        with it.
        """
        ideas = [s for s in leading if defines(s) or (kind == "numbers" and self.methods & set(called(s)))]
        return ideas[-1].end_lineno if ideas else 0

    def read(self, statement: ast.stmt) -> str:
        """What a statement does beside computing, "" for nothing; a function it defines does the same where called."""
        if isinstance(statement, ast.Import | ast.ImportFrom):
            if (getattr(statement, "module", "") or "").startswith("course_lib"):
                self.methods |= {a.asname or a.name for a in statement.names if statement.module not in NO_IDEA}
            return "imports"
        kind = next((self.does[name] for name in called(statement) if name in self.does), "")
        if kind in ("", "numbers") and DRAWING & {n.id for n in ast.walk(statement) if isinstance(n, ast.Name)}:
            kind = "figure"
        if defines(statement):
            self.does.pop(statement.name, None)
            self.methods.discard(statement.name)
            (self.methods.add(statement.name) if not kind else self.does.update({statement.name: kind}))
        return kind


def defines(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.FunctionDef | ast.ClassDef)


def called(statement: ast.stmt) -> Iterator[str]:
    """The names a statement calls, wherever in it, each by its beginning."""
    return (root(n.func) for n in ast.walk(statement) if isinstance(n, ast.Call))


def root(called: ast.expr) -> str:
    """The name an expression begins with: `world` for world.render."""
    while isinstance(called, ast.Attribute):
        called = called.value
    return called.id if isinstance(called, ast.Name) else ""
