"""The grade sheet, grades.csv: what was graded by running it, and what people write into it, which is never lost."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from course_lib.exercises.declare import Exercise
from course_lib.tools.grade.marked.result import Mark, Result
from course_lib.tools.grade.reported.tables import dumped, loaded, safe, shown, tidy, unsafe

BEFORE = ("key", "name")
BY_HAND = ("adjustment", "comment")
AFTER = ("total", "of", "to mark", "problems", "file", "graded")
MOST = 1000.0  # an adjustment larger than this is a slip of the hand


@dataclass(frozen=True)
class Manual:
    """What people wrote for one student: marks of judged exercises, an adjustment of the total, a comment."""

    marks: Mapping[str, float] = field(default_factory=dict)
    adjustment: float | None = None
    comment: str = ""

    def __bool__(self) -> bool:
        return bool(self.marks) or self.adjustment is not None or bool(self.comment)


@dataclass(frozen=True)
class Row:
    """One student: the result of the run (None for somebody only the sheet knows), and what was written by hand."""

    key: str
    name: str
    exercises: Sequence[Exercise]
    result: Result | None
    manual: Manual = Manual()
    words: bool = True  # whether judged exercises count this term

    @property
    def counted(self) -> list[Exercise]:
        """The exercises that count."""
        return [one for one in self.exercises if self.words or one.kind != "judged"]

    def mark(self, exercise: Exercise) -> float | None:
        """The points of an exercise; None where nobody has marked it yet."""
        if exercise.kind == "judged":
            return self.manual.marks.get(exercise.id)
        return self.ran(exercise).points if self.result else None

    def ran(self, exercise: Exercise) -> Mark:
        """What running an exercise gave; one that the result does not know is missing."""
        return self.result.exercises.get(exercise.id) or Mark("missing", 0.0, exercise.points)

    @property
    def total(self) -> float:
        """All marks so far and the adjustment, never below 0."""
        marks = (self.mark(one) or 0.0 for one in self.counted)
        return max(0.0, sum(marks) + (self.manual.adjustment or 0.0))

    @property
    def of(self) -> int:
        """The points there are."""
        return sum(one.points for one in self.counted)

    @property
    def open(self) -> list[str]:
        """The judged exercises that nobody has marked yet."""
        return [one.id for one in self.counted if one.kind == "judged" and self.mark(one) is None]


@dataclass(frozen=True)
class Line:
    """One line of a sheet that was read: what people wrote, and the automatic marks and version that stood there."""

    where: str
    key: str
    name: str
    manual: Manual
    automatic: Mapping[str, float]
    graded: str


def version(result: Result) -> str:
    """Names a notebook and the seed it was graded with, in words that no spreadsheet turns into a number."""
    return "v-" + hashlib.sha256(f"{result.digest} {result.seed}".encode()).hexdigest()[:10]


def heading(exercise: Exercise) -> str:
    """The heading of an exercise's column; "4.10" alone would be a number, or a day in October, to a spreadsheet."""
    return f"{exercise.id} (of {exercise.points})"


def text(rows: Sequence[Row], exercises: Sequence[Exercise]) -> str:
    """The grade sheet, in the order of the rows."""
    table = [[*BEFORE, *map(heading, exercises), *BY_HAND, *AFTER]]
    for row in rows:
        marks = [row.mark(one) for one in exercises]
        adjustment = row.manual.adjustment
        problems = "; ".join(row.result.problems) if row.result else "No submission in this run."
        table.append(
            [
                safe(row.key),
                safe(row.name),
                *("" if mark is None else shown(mark) for mark in marks),
                "" if adjustment is None else shown(adjustment),
                safe(row.manual.comment, lines=True),
                shown(row.total),
                shown(row.of),
                ", ".join(row.open),
                safe(problems),
                safe(row.result.file) if row.result else "",
                version(row.result) if row.result else "",
            ]
        )
    return dumped(table, for_spreadsheets=True)


def read(path: Path, exercises: Sequence[Exercise], said: list[str] | None = None) -> list[Line]:
    """The lines of a filled-in sheet; raises ValueError with one sentence for each cell that cannot be understood."""
    head, *lines = loaded(path, said)
    columns = _columns(path, [cell.strip() for cell in head], exercises)
    found, wrong = [], []
    for number, cells in enumerate(lines, 2):
        where = f"{path.name}, line {number}"
        cell = {name: cells[index].strip() for name, index in columns.items()}
        try:
            found.append(_line(where, cell, exercises))
        except ValueError as error:
            wrong.append(str(error))
    wrong += _said_twice(path, found)
    if wrong:
        raise ValueError("\n".join(wrong))
    return found


def _columns(path: Path, head: list[str], exercises: Sequence[Exercise]) -> dict[str, int]:
    """Where each column stands; exercises are known by the number at the beginning of their heading."""
    names = {}
    for index, cell in enumerate(head):
        number = re.match(r"(\d+\.\d+) \(", cell)
        name = number[1] if number else cell.lower()
        if name in names and (number or name in (*BEFORE, *BY_HAND)):
            raise ValueError(f"{path.name} has two columns {cell!r}: delete one.")
        names.setdefault(name, index)
    due = [*BEFORE, *(one.id for one in exercises if one.kind == "judged")]
    missing = [name for name in due if name not in names]
    if missing:
        raise ValueError(f"{path.name} has no column {', '.join(missing)}: start from the grades.csv of this chapter.")
    return names


def _line(where: str, cell: Mapping[str, str], exercises: Sequence[Exercise]) -> Line:
    """One line; raises ValueError for a mark that is none."""
    marks, automatic, name = {}, {}, unsafe(cell["name"])
    for one in exercises:
        if one.kind == "judged":
            mark = _number(cell[one.id], f"{where} ({tidy(name)}), {one.id}", 0, one.points)
            marks |= {} if mark is None else {one.id: mark}
        elif re.fullmatch(r"\d+([.,]\d+)?", cell.get(one.id, "")):
            automatic[one.id] = float(cell[one.id].replace(",", "."))
    adjustment = _number(unsafe(cell.get("adjustment", "")), f"{where} ({tidy(name)}), adjustment", -MOST, MOST)
    manual = Manual(marks, adjustment, tidy(unsafe(cell.get("comment", "")), lines=True))
    return Line(where, unsafe(cell["key"]), name, manual, automatic, cell.get("graded", ""))


def _number(cell: str, where: str, low: float, high: float) -> float | None:
    """A mark with a point or a comma, or None for an empty cell."""
    if not cell:
        return None
    plain = cell.replace(",", ".").replace("−", "-")
    if not re.fullmatch(r"[+-]?\d+(\.\d*)?|[+-]?\.\d+", plain) or not low <= float(plain) <= high:
        raise ValueError(f"{where}: a number from {shown(low)} to {shown(high)} is due, got {cell[:40]!r}.")
    return float(plain)


def _said_twice(path: Path, lines: Sequence[Line]) -> list[str]:
    """Sentences for students with two lines that say different things."""
    first: dict[str, Line] = {}
    wrong = []
    for line in lines:
        other = first.setdefault(line.key, line)
        if other is not line and line.manual and other.manual and line.manual != other.manual:
            wrong.append(f"{other.where} and {line.where} differ and have the same key, {line.key!r}: delete one.")
    return wrong


def merged(
    results: Sequence[Result], exercises: Sequence[Exercise], sheets: Sequence[Sequence[Line]], words: bool = True
) -> tuple[list[Row], list[str]]:
    """The rows of a class with what the sheets say, the last one above all, and sentences on what to look at."""
    by_key, said = {result.key: result for result in results}, []
    if len(by_key) < len(results):
        raise ValueError("Two results have the same key: grade into a new folder.")
    names: dict[str, list[str]] = {}
    for result in results:
        names.setdefault(tidy(result.name), []).append(result.key)
    manual: dict[str, Manual] = {}
    strangers: dict[str, str] = {}
    for line in (line for sheet in sheets for line in sheet):
        key = line.key
        if key not in by_key:  # a spreadsheet may have turned the key into something else
            alike = names.get(tidy(line.name), [])
            key = alike[0] if len(alike) == 1 else key
        if key in by_key:
            said += _looks(line, by_key[key], manual.get(key))
        elif line.manual:
            strangers[key] = line.name
        if line.manual:
            manual[key] = _over(manual.get(key, Manual()), line.manual)
    rows = [Row(r.key, tidy(r.name), exercises, r, manual.get(r.key, Manual()), words) for r in results]
    rows += [Row(key, tidy(name), exercises, None, manual[key], words) for key, name in strangers.items()]
    said += [f"{row.name or row.key} has marks in the sheet and no submission here." for row in rows if not row.result]
    return sorted(rows, key=lambda row: (row.result is None, row.key)), said


def _over(old: Manual, new: Manual) -> Manual:
    """What two sheets say together; the new one wins where both speak."""
    adjustment = old.adjustment if new.adjustment is None else new.adjustment
    return Manual({**old.marks, **new.marks}, adjustment, new.comment or old.comment)


def _looks(line: Line, result: Result, known: Manual | None) -> list[str]:
    """What a person should look at: marks of an older notebook, automatic marks changed by hand, marks that changed."""
    said, name = [], tidy(result.name)
    if line.graded == version(result):
        for id, mark in line.automatic.items():
            now = result.exercises[id].points if id in result.exercises else 0.0
            if mark != now:
                said.append(
                    f"{line.where}: {id} of {name} is {shown(mark)} there and {shown(now)} in this run; "
                    "to change it by hand, write the difference into the column adjustment."
                )
    elif line.graded and line.manual.marks:
        which = ", ".join(line.manual.marks)
        said.append(f"{name} has another notebook, or seed, than when {which} was marked: look at it again.")
    for id, mark in line.manual.marks.items():
        if known and known.marks.get(id, mark) != mark:
            said.append(f"{line.where}: {id} of {name} is {shown(mark)} now and was {shown(known.marks[id])}.")
    return said
