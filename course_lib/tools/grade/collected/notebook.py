"""A tolerant reader of notebooks: whatever the bytes are, it gives cells and sentences, and never raises."""

import ast
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from course_lib.exercises.declare import Exercise

LARGEST = 64_000_000  # bytes of a file that is read
_CELLS, _SOURCE, _TOTAL = 5_000, 1_000_000, 4_000_000  # cells, letters of one, letters of all
_VALUES = 2_000_000  # values in the JSON, each of which takes up to 200 bytes of memory
_ID = r"[1-9]\d{0,2}\.[1-9]\d{0,2}"
_MARKER = re.compile(rf"^[ \t]*#+[ \t]*exercise[ \t]+({_ID})\b", re.MULTILINE | re.IGNORECASE)
_STUB = re.compile(r"^[ \t]*raise NotImplementedError\b", re.MULTILINE)
_OTHER_FILES = {
    b"%PDF": "a PDF",
    b"PK\x03\x04": "an archive or an Office document",
    b"<!doctype": "a web page",
    b"<html": "a web page",
    b"\x89png": "a picture",
}


@dataclass(frozen=True)
class Cell:
    """One cell: "code" or another kind, its text, and the exercise that its metadata names, or ""."""

    kind: str
    source: str
    tag: str = ""

    @property
    def exercises(self) -> set[str]:
        """The exercises it is marked with: by comments, or by metadata where there is no comment."""
        return set(_MARKER.findall(self.source)) or ({self.tag} if self.tag else set())

    def defines(self, name: str) -> bool:
        """Whether it binds a name at the left margin."""
        return (
            re.search(rf"^(?:async[ \t]+)?(?:(?:def|class)[ \t]+{name}\b|{name}[ \t]*=[^=])", self.source, re.M)
            is not None
        )

    @property
    def solved(self) -> bool:
        """Whether something stands where the stub was; its line may be left below the answer, where it does nothing."""
        return not _STUB.search(self.source) or answered(self.source)


def answered(source: str) -> bool:
    """Whether there are functions at the left margin, none of which begins, behind its docstring, with the stub."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    found = {one.name: one for one in tree.body if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef))}
    begins = [next((line for line in one.body if not _is_text(line)), None) for one in found.values()]
    return bool(begins) and not any(_is_stub(line) for line in begins)


def _is_text(line: ast.stmt) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) and isinstance(line.value.value, str)


def _is_stub(line: ast.stmt | None) -> bool:
    return isinstance(line, ast.Raise) and line.exc is not None and "NotImplementedError" in ast.dump(line.exc)


@dataclass(frozen=True)
class Notebook:
    """The cells of a notebook, and sentences about the file as a whole."""

    cells: tuple[Cell, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def code(self) -> list[Cell]:
        """The code cells, in order."""
        return [cell for cell in self.cells if cell.kind == "code"]


@dataclass(frozen=True)
class Found:
    """Where each exercise stands among the code cells, and sentences about those that were not simply there."""

    places: Mapping[str, int]
    missing: Mapping[str, str]
    notes: tuple[str, ...]
    solved: int


def read_notebook(data: bytes) -> Notebook:
    """The cells of a notebook of format 2 to 4, from the bytes of its file."""
    if not data.strip():
        return Notebook(problems=("The file is empty.",))
    begin = data[:64].lstrip().lower()
    for mark, kind in _OTHER_FILES.items():
        if begin.startswith(mark.lower()):
            return Notebook(problems=(f"The file is {kind}, not a notebook: hand in the .ipynb file.",))
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        return Notebook(problems=("The file is binary, not a notebook: hand in the .ipynb file.",))
    if sum(map(text.count, "[{,")) > _VALUES:
        said = f"The notebook has more than {_VALUES:,} values: clear its outputs and hand it in again."
        return Notebook(problems=(said,))
    try:
        return _from_json(json.loads(text, strict=False))
    except json.JSONDecodeError as error:
        said = f"The notebook is broken in line {error.lineno} ({error.msg}): is the file cut off?"
    except (ValueError, RecursionError, MemoryError) as error:
        said = f"The notebook is broken ({type(error).__name__}): download it again."
    return Notebook(problems=(said,))


def _from_json(data: object) -> Notebook:
    """The cells in decoded JSON; format 3 has worksheets, and calls the source of code `input`."""
    found = data.get("cells") if isinstance(data, dict) else None
    if not isinstance(found, list) and isinstance(data, dict) and isinstance(data.get("worksheets"), list):
        sheets = [sheet.get("cells") for sheet in data["worksheets"] if isinstance(sheet, dict)]
        found = [cell for sheet in sheets if isinstance(sheet, list) for cell in sheet]
    if not isinstance(found, list):
        return Notebook(problems=("The file is JSON but no notebook: it has no cells.",))
    cells = tuple(_cell(cell) for cell in found[:_CELLS] if isinstance(cell, dict))
    code = [len(cell.source) for cell in cells if cell.kind == "code"]  # a text cell may hold a photo
    if len(found) > _CELLS or sum(code) > _TOTAL or any(length > _SOURCE for length in code):
        said = (
            f"The notebook has more than {_CELLS:,} cells or {_TOTAL:,} letters of code: hand in the course's notebook."
        )
        return Notebook(problems=(said,))
    return Notebook(cells, () if cells else ("The notebook has no cells.",))


def _cell(data: dict) -> Cell:
    kind, source = data.get("cell_type"), data.get("source", data.get("input"))
    if isinstance(source, list):
        source = "".join(line for line in source if isinstance(line, str))
    metadata = data.get("metadata")
    course = metadata.get("course") if isinstance(metadata, dict) else None
    tag = course.get("exercise") if isinstance(course, dict) else None
    tag = tag if isinstance(tag, str) and re.fullmatch(_ID, tag) else ""
    source = source.replace("\r\n", "\n").replace("\0", "") if isinstance(source, str) else ""
    return Cell(kind if isinstance(kind, str) else "", source, tag)


def find(notebook: Notebook, exercises: Sequence[Exercise]) -> Found:
    """The cell of each exercise: the last that defines its function and is no stub, of those marked with it."""
    places, missing, notes, solved, code = {}, {}, [], 0, notebook.code
    for one in exercises:
        marked = [at for at, cell in enumerate(code) if one.id in cell.exercises]
        ranked = sorted(marked, key=lambda at: (code[at].defines(one.name), code[at].solved, at))
        elsewhere = [
            at for at, cell in enumerate(code) if not cell.exercises and cell.solved and cell.defines(one.name)
        ]
        elsewhere = [at for at in elsewhere if f"def {one.name}" in code[at].source]
        if ranked and (code[ranked[-1]].solved or not elsewhere):
            places[one.id] = ranked[-1]
            if len(marked) > 1:
                notes.append(
                    f"Exercise {one.id} stands in {len(marked)} cells: the last one that is solved was graded."
                )
        elif elsewhere:
            places[one.id] = elsewhere[-1]
            notes.append(f"Exercise {one.id} was found by the name of its function, {one.name}: its mark is gone.")
        else:
            missing[one.id] = _why_missing(notebook, one)
            continue
        solved += code[places[one.id]].solved
    return Found(places, missing, tuple(notes), solved)


def _why_missing(notebook: Notebook, exercise: Exercise) -> str:
    """The sentence for an exercise of which there is no code cell."""
    for cell in notebook.cells:
        marked = exercise.id in cell.exercises or not cell.exercises
        if cell.kind != "code" and marked and cell.defines(exercise.name):
            return (
                f"The cell of exercise {exercise.id} is a text cell, in which nothing runs: make it a code cell again."
            )
    return f"There is no cell of exercise {exercise.id} in the notebook."


def chapter_of(notebook: Notebook) -> int | None:
    """The chapter that most of its exercise cells belong to."""
    chapters = [int(id.split(".")[0]) for cell in notebook.code for id in sorted(cell.exercises)]
    return max(sorted(set(chapters)), key=chapters.count) if chapters else None
