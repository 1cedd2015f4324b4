"""Files that gradebooks import: Canvas, Moodle and Gradescope, in the formats that their documentation gives.

Canvas      a CSV with Student (or LastName, FirstName), ID, SIS User ID, SIS Login ID, Section, then one column an
            assignment; a second line "Points Possible". Students are found by ID, then by SIS ids, then by name. An
            empty cell would take away a grade that is there, so only students who have one get a line.
Moodle      the assignment's offline grading worksheet: Identifier ("Participant 123"), Grade, Last modified (grade)
            are required, Feedback comments is taken where it is there. A grade is a number; an empty one is passed
            over, but an empty comment replaces the old one.
Gradescope  results.json: tests with number, name, score, max_score, status, output.
"""

import html
import json
import re
from collections.abc import Iterator, Sequence

from course_lib.exercises.declare import Exercise
from course_lib.tools.grade.marked.result import Mark, Result, order
from course_lib.tools.grade.reported.rosters import Columns, canvas_students, matched, worksheet
from course_lib.tools.grade.reported.sheet import Row
from course_lib.tools.grade.reported.tables import dumped, safe, shown, tidy

CANVAS = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")
MOODLE = ("Identifier", "Full name", "Grade", "Maximum Grade", "Last modified (grade)", "Feedback comments")
SAID = {
    "passed": "Passed.",
    "not attempted": "Not attempted.",
    "missing": "The cell of this exercise is missing.",
    "timeout": "Your code did not end in time.",
    "error": "Your code ended without an answer.",
    "refused": "What your code returned is no answer.",
    "wrong": "Not right yet.",
}


def said(mark: Mark) -> str:
    """What a student reads about an exercise that was graded by running it."""
    return mark.sentence or SAID[mark.status]


def moodle_id(result: Result) -> str:
    """The participant's number in the folder names of a Moodle download, or ""."""
    return result.number if result.system == "moodle" else ""


def canvas_id(result: Result) -> str:
    """The user's number in the file names of a Canvas download, or ""."""
    return result.number if result.system == "canvas" else ""


def canvas(rows: Sequence[Row], title: str, roster: Sequence[Sequence[str]] | None = None) -> tuple[str, list[str]]:
    """The file for Canvas' gradebook, and sentences about those it leaves out; title is the assignment's column.

    roster is the exported gradebook, whose first columns are kept as they are.
    """
    graded = [row for row in rows if row.result]
    if roster is None:
        head, lost = [*CANVAS, title], []
        lines = [[safe(row.name), canvas_id(row.result), "", "", "", _final(row)] for row in graded]
    else:
        head, people, students = canvas_students(roster)
        found, lost = matched(graded, students, "canvas")
        head = [*head, title]
        lines = [[*map(safe, people[n]), _final(row)] for n, row in sorted(found.items())]
    of = shown(rows[0].of) if rows else ""
    points = ["    Points Possible", *[""] * (len(head) - 2), of]
    return dumped([head, points, *(line for line in lines if line[-1])]), [*lost, *_unfinished(graded, "canvas.csv")]


def moodle(rows: Sequence[Row], roster: Sequence[Sequence[str]] | None = None) -> tuple[str, list[str]]:
    """The grading worksheet for Moodle's assignment, and sentences about those it leaves out.

    roster is the worksheet as Moodle gives it out, in any language; every other column is kept as it is.
    """
    graded, lost = [row for row in rows if row.result], []
    columns = Columns(0, 1, 2, 5)
    if roster is None:
        known = [row for row in graded if moodle_id(row.result) and not row.open]
        people = [[f"Participant {moodle_id(row.result)}", row.name, "", shown(row.of), "-", ""] for row in known]
        roster, found = [list(MOODLE), *people], dict(enumerate(known))
        others = [row for row in graded if not moodle_id(row.result)]
        if len(others) < len(graded):
            lost = [f"{row.name} has no participant's number of Moodle in the file name." for row in others]
    else:
        columns = worksheet(roster)
        name = columns.number if columns.name is None else columns.name
        numbers = [re.sub(r"\D", "", one[columns.number]) for one in roster[1:]]
        names = ["" if columns.name is None else one[name] for one in roster[1:]]
        found, lost = matched(graded, list(zip(numbers, names)), "moodle")
    return dumped(_worksheet(roster, columns, found)), [*lost, *_unfinished(graded, "moodle.csv")]


def _worksheet(roster: Sequence[Sequence[str]], columns: Columns, found: dict[int, Row]) -> Iterator[list[str]]:
    """The worksheet with grades and comments filled in."""
    yield list(roster[0])
    for n, one in enumerate(roster[1:]):
        cells = [safe(cell) if cell != "-" else cell for cell in one]
        if n in found:
            cells[columns.grade] = _final(found[n])
            if columns.comment is not None and not found[n].open:
                cells[columns.comment] = comment(found[n])
        yield cells


def comment(row: Row) -> str:
    """What Moodle shows beside the grade: a line an exercise that did not pass, and the comment; Moodle reads HTML."""
    lines = [
        f"{one.id}: {said(row.ran(one))}"
        for one in row.exercises
        if one.kind != "judged" and row.ran(one).status != "passed"
    ]
    lines += [row.manual.comment] if row.manual.comment else []
    text = "<br>".join(html.escape(tidy(line)) for line in lines)
    return safe(text)


def _final(row: Row) -> str:
    """The grade, or "" while something is still to be marked: an unfinished grade is not imported."""
    return "" if row.open else shown(row.total)


def _unfinished(rows: Sequence[Row], file: str) -> list[str]:
    """The sentence about students without a grade yet."""
    waiting = [row for row in rows if row.open]
    if not waiting:
        return []
    which = ", ".join(sorted({id for row in waiting for id in row.open}, key=order))
    return [f"{file} has no grade yet for {len(waiting)} of {len(rows)}: mark {which} in grades.csv and run again."]


def gradescope(result: Result, exercises: Sequence[Exercise], visibility: str = "visible") -> str:
    """The text of results.json for one submission; judged exercises are graded in Gradescope itself."""
    tests = []
    for one in exercises:
        if one.kind == "judged":
            continue
        mark = result.exercises.get(one.id) or Mark("missing", 0.0, one.points)
        tests.append(
            {
                "number": one.id,
                "name": one.title,
                "name_format": "text",
                "score": mark.points,
                "max_score": one.points,
                "status": "passed" if mark.status == "passed" else "failed",
                "output": tidy(said(mark)) + (f" {one.equation}" if one.equation and mark.status == "wrong" else ""),
                "output_format": "text",
                "visibility": visibility,
            }
        )
    words = [one.id for one in exercises if one.kind == "judged"]
    lines = [*result.problems, *([f"Graded by a person: {', '.join(words)}."] if words else [])]
    data = {
        "output": tidy("\n".join(lines), lines=True),
        "output_format": "text",
        "visibility": visibility,
        "stdout_visibility": "hidden",
        "tests": tests,
    }
    return json.dumps(data, ensure_ascii=False, indent=1) + "\n"
