"""The two notebooks of a chapter: the student's, with stubs, and the complete one, with nbgrader's markers."""

import hashlib
import re
from dataclasses import dataclass, field

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course_lib.exercises.declare import work
from course_lib.tools.build.markdown import CITATIONS, INLINE, Plain, folded, quoted
from course_lib.tools.build.masters import (
    CHECK_CALL,
    SOLUTION_BEGIN,
    SOLUTION_END,
    Code,
    Directive,
    Master,
    Text,
    walk,
    without_title,
)
from course_lib.tools.build.predictions import BOX, question
from course_lib.tools.build.project import Names, Project

HIDDEN_BEGIN, HIDDEN_END = "### BEGIN HIDDEN TESTS", "### END HIDDEN TESTS"
KEPT_TAG = "nbval-check-output"
BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
WORDS = ("The", "A", "An", "How", "Which", "What", "Why", "When", "Where", "One", "Two")


def heading(exercise) -> str:
    """The line over an exercise: what it is, what it is worth, how long it takes."""
    points = f"{exercise.points} point{'' if exercise.points == 1 else 's'}"
    return (
        f"Exercise {exercise.id} · {exercise.title} — {points} · difficulty {exercise.difficulty}/5"
        f" · importance {exercise.importance}/5 · {exercise.minutes} minutes"
        f"{' · further' if exercise.further else ''}"
    )


def taking(exercises) -> str:
    """One sentence on the time the exercises take, what is marked as further apart; empty where there are none."""
    core, further = work(exercises)
    if further:
        return f"The exercises of the core path take about {core} minutes, those marked as further {further} more."
    return f"The exercises take about {core} minutes." if core else ""


def stub_line(exercise) -> str:
    """What stands in place of a solution."""
    first, _, rest = exercise.title.partition(" ")
    title = f"{first.lower() if first in WORDS else first}{' ' if rest else ''}{rest}"
    comma = "" if title.endswith(("?", "!")) else ","
    equation = f"{comma} eq. {exercise.equation}" if getattr(exercise, "equation", "") else ""
    return f'raise NotImplementedError("Exercise {exercise.id}: {title}{equation}")'


def stubbed(source: str, exercise, columns: int = 120) -> str:
    """The cell with each marked region replaced by its stub line, at the region's indentation, as ruff lays it out."""
    kept, inside = [], False
    for line in source.split("\n"):
        if line.strip() == SOLUTION_BEGIN:
            inside = True
            indent = line[: len(line) - len(line.lstrip())]
            stub = indent + stub_line(exercise)
            if len(stub) > columns:
                stub = stub.replace("(", f"(\n{indent}    ", 1).removesuffix(")") + f"\n{indent})"
            kept.append(stub)
        elif line.strip() == SOLUTION_END:
            inside = False
        elif not inside:
            kept.append(line)
    return "\n".join(kept)


def with_hidden_test(source: str) -> str:
    """The check cell with an assertion that nbgrader hides and grades by; `check` itself never raises."""
    lines = source.split("\n")
    at = next(n for n, line in enumerate(lines) if CHECK_CALL.match(line))
    return "\n".join([*lines[: at + 1], HIDDEN_BEGIN, f"assert {lines[at].strip()}", HIDDEN_END, *lines[at + 1 :]])


def without_hidden_test(source: str) -> str:
    """The inverse of with_hidden_test."""
    return re.sub(rf"{HIDDEN_BEGIN}\n.*?{HIDDEN_END}\n?", "", source, flags=re.DOTALL).rstrip("\n")


def unmarked(source: str) -> str:
    """The solution without its markers, for the site."""
    return "\n".join(line for line in source.split("\n") if line.strip() not in (SOLUTION_BEGIN, SOLUTION_END))


@dataclass
class Writer:
    """Collects the cells of one notebook; `student` decides between stubs and solutions."""

    project: Project
    master: Master
    names: Names
    student: bool
    cells: list = field(default_factory=list)
    ids: set = field(default_factory=set)
    sections: int = 0
    hints: dict = field(default_factory=dict)
    prose: list[str] = field(default_factory=list)

    def __post_init__(self):
        self.plain = Plain(self.project, self.names, self.master.stem)
        self.exercises = self.project.declared(self.master.number).exercises

    def notebook(self) -> nbformat.NotebookNode:
        """The whole notebook, without outputs."""
        self.markdown(f"[![Open in Colab]({BADGE})]({self.project.colab(self.master.stem)})", wanted="colab")
        self.code(bootstrap(self.project), wanted="bootstrap")
        self.markdown(f"# {self.master.number} {self.plain.text(self.master.title)}", wanted="title")
        for block in without_title(self.master):
            self.add(block)
        self.end_prose()
        self.bibliography()
        kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
        metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
        notebook = new_notebook(cells=self.cells, metadata=metadata)
        notebook.nbformat_minor = 5
        return notebook

    def add(self, block: Text | Directive | Code) -> None:
        if isinstance(block, Code):
            self.add_code(block)
        elif isinstance(block, Text):
            self.add_text(block)
        else:
            own = ("exercise", "hint", "solution", "quiz", "measured", "playground", "moved")
            getattr(self, f"add_{block.name if block.name in own else 'other'}")(block)

    def add_text(self, block: Text) -> None:
        """Text, formulas and notes flow into one cell, up to the next section or a box for a prediction."""
        if block.text.startswith("## "):
            self.end_prose()
        self.prose.append(self.numbered(self.plain.text(block.text)))
        if question(block.text):
            self.markdown(BOX, wanted="prediction")

    def add_other(self, block: Directive) -> None:
        self.prose.append(self.plain.block(block))

    def add_playground(self, block: Directive) -> None:
        """Only the site has it: a notebook shows no script of ours."""

    def add_moved(self, block: Directive) -> None:
        """Anchors are the site's: a notebook says where it went."""
        self.prose.append(self.plain.body(block))

    def end_prose(self) -> None:
        text, self.prose = "\n\n".join(self.prose), []
        if text:
            self.markdown(text)

    def add_measured(self, block: Directive) -> None:
        if told := taking(self.exercises.values()):
            self.prose.append(f"*{told}*")

    def add_exercise(self, block: Directive) -> None:
        exercise = self.exercises[block.argument]
        self.markdown(quoted(heading(exercise), self.plain.body(block)), wanted=f"task-{dashed(exercise.id)}")
        if exercise.rubric and self.student:
            self.markdown("**Your answer:**", wanted=f"ex-{dashed(exercise.id)}", **marked(exercise))

    def add_hint(self, block: Directive) -> None:
        number = self.hints[block.argument] = self.hints.get(block.argument, 0) + 1
        self.markdown(
            folded(f"Hint {number}", self.plain.body(block)), wanted=f"hint-{dashed(block.argument)}-{number}"
        )

    def add_solution(self, block: Directive) -> None:
        """Words of a solution; nbgrader removes them as a hand-graded cell, worth 0 points beside code."""
        if self.student:
            return
        exercise = self.exercises[block.argument]
        prefix, points = ("ex", exercise.points) if exercise.rubric else ("words", 0)
        name = f"{prefix}-{dashed(exercise.id)}"
        metadata = marked(exercise) if exercise.rubric else {}
        metadata["nbgrader"] = nbgrader(name, grade=True, solution=True, points=points)
        self.markdown(folded(f"Solution of {exercise.id}", self.plain.body(block)), wanted=name, **metadata)

    def add_quiz(self, block: Directive) -> None:
        source = f"from course_lib.exercises import quiz\n\nquiz({block.argument})"
        self.code(source, wanted=f"quiz-{block.argument}")

    def add_code(self, block: Code) -> None:
        """A cell, with its caption under it."""
        if block.exercise:
            self.add_exercise_cell(block)
        elif block.checks and not self.student:
            exercise = self.exercises[block.checks]
            name = f"check-{dashed(exercise.id)}"
            graded = nbgrader(name, grade=True, solution=False, points=exercise.points)
            self.code(with_hidden_test(block.source), block.tags, wanted=name, nbgrader=graded)
        else:
            wanted = f"check-{dashed(block.checks)}" if block.checks else ""
            self.code(block.source, block.tags, wanted=wanted)
        if block.options.get("caption"):
            self.markdown(f"*{self.plain.text(str(block.options['caption']))}*")

    def add_exercise_cell(self, block: Code) -> None:
        exercise = self.exercises[block.exercise]
        name, metadata = f"ex-{dashed(exercise.id)}", marked(exercise)
        source = stubbed(block.source, exercise, self.project.columns) if self.student else block.source
        if not self.student:
            metadata["nbgrader"] = nbgrader(name, grade=False, solution=True)
        tags = [*block.tags, *metadata.pop("tags")]
        self.code(source, tags, wanted=name, **metadata)

    def numbered(self, text: str) -> str:
        """Sections get their number."""
        if text.startswith("## "):
            self.sections += 1
            return f"## {self.master.number}.{self.sections} {text[3:]}"
        return text

    def bibliography(self) -> None:
        """The works this chapter cites, by author."""
        works = [self.names.references[key] for key in cited(self.master, solutions=not self.student)]
        if works:
            entries = "\n".join(work.entry() for work in sorted(works, key=lambda work: (work.authors, work.year)))
            self.markdown(f"## References\n\n{entries}", wanted="references")

    def markdown(self, source: str, wanted: str = "", **metadata) -> None:
        self.end_prose()
        self.cells.append(new_markdown_cell(source, id=self.identity("markdown", source, wanted), metadata=metadata))

    def code(self, source: str, tags: list[str] = (), wanted: str = "", **metadata) -> None:
        self.end_prose()
        tags = [tag for tag in tags if not (self.student and tag == KEPT_TAG)]
        if tags:
            metadata["tags"] = tags
        self.cells.append(new_code_cell(source, id=self.identity("code", source, wanted), metadata=metadata))

    def identity(self, kind: str, source: str, wanted: str) -> str:
        """A cell id that stays while the cell's text stays."""
        base = wanted or hashlib.sha256(f"{kind}\n{source}".encode()).hexdigest()[:12]
        name, count = base, 1
        while name in self.ids:
            count += 1
            name = f"{base}-{count}"
        self.ids.add(name)
        return name


def dashed(exercise_id: str) -> str:
    return exercise_id.replace(".", "-")


def marked(exercise) -> dict:
    """The metadata by which the grader finds an answer; the marker comment is its second way."""
    return {"tags": ["exercise"], "course": {"exercise": exercise.id}}


def nbgrader(grade_id: str, grade: bool, solution: bool, points: int | None = None) -> dict:
    """nbgrader's metadata of a cell, schema 3."""
    fields = {"grade": grade, "grade_id": grade_id, "locked": grade and not solution, "schema_version": 3}
    fields |= {"solution": solution, "task": False}
    return fields | ({"points": points} if grade else {})


def bootstrap(project: Project) -> str:
    """The cell that installs the library where it is missing, and elsewhere says when it is of another version."""
    return (
        "# In Colab this installs the course's library; where it is installed, nothing happens.\n"
        "import importlib.util\n\n"
        'if importlib.util.find_spec("course_lib") is None:\n'
        f"    %pip install -q {project.install}"
    ) + (compared(project) if project.version else "")


def compared(project: Project) -> str:
    """One sentence where notebook and library do not belong together."""
    return (
        "\n\nimport course_lib\n\n"
        f'made, found = "{project.version}", getattr(course_lib, "__version__", "an older one")\n'
        "if found != made:\n"
        '    print(f"Made with course_lib {made} and finds {found}: install {made}.")'
    )


def cited(master: Master, solutions: bool) -> set[str]:
    """The keys cited in a chapter, with or without the words of its solutions."""
    keys = set()
    for block, inside in walk(master.blocks, master.shown):
        hidden = "solution" in inside and not solutions
        if isinstance(block, Text) and not hidden:
            found = (f for f in INLINE.finditer(block.text) if f["role"] in CITATIONS)
            keys |= {key.strip() for f in found for key in f["content"].split(",")}
    return keys


def student_notebook(project: Project, master: Master, names: Names) -> nbformat.NotebookNode:
    return Writer(project, master, names, student=True).notebook()


def complete_notebook(project: Project, master: Master, names: Names) -> nbformat.NotebookNode:
    return Writer(project, master, names, student=False).notebook()


def solution_lines(source: str) -> list[str]:
    """The lines between markers, stripped, in a complete cell."""
    regions = re.findall(rf"{SOLUTION_BEGIN}\n(.*?){SOLUTION_END}", source, flags=re.DOTALL)
    return [line.strip() for region in regions for line in region.split("\n") if line.strip()]
