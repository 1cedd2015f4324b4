"""Everything that is written from the results of a class; nothing here runs or reads a notebook.

sheet.py            grades.csv and what people write into it
imports.py          Canvas, Moodle and Gradescope
rosters.py          lists of students, and whose line is whose
pages.py            a page for each student, and one about the class
plots.py            its plots
tables.py           CSV that no spreadsheet takes for formulas
"""

from collections.abc import Sequence
from pathlib import Path

from course_lib.exercises import registry
from course_lib.exercises.declare import Exercise
from course_lib.tools.grade.marked.result import Result, write_text
from course_lib.tools.grade.reported import imports, pages
from course_lib.tools.grade.reported import sheet as grade_sheet
from course_lib.tools.grade.reported.rosters import canvas_students, worksheet
from course_lib.tools.grade.reported.tables import loaded


def write_all(
    results: Sequence[Result],
    out: Path,
    sheet: Path | None = None,
    roster: Path | None = None,
    words: bool = True,
    title: str = "",
) -> list[str]:
    """Write the grade sheet, the imports and all pages into `out`; sentences on what a person should look at.

    sheet: a filled-in grades.csv; what stands in out/grades.csv is kept anyway. roster: Canvas' exported gradebook or
    Moodle's grading worksheet, for complete import files. words: whether judged exercises count this term. title: the
    assignment's column in Canvas. Raises ValueError before anything is written, one sentence a line.
    """
    chapter = _chapter(results)
    exercises = registry.exercises(chapter)
    paths = [path for path in (out / "grades.csv", sheet) if path and (path == sheet or path.exists())]
    guessed: list[str] = []
    sheets = [grade_sheet.read(path, exercises, guessed) for path in paths]
    rows, said = grade_sheet.merged(results, exercises, sheets, words)
    table = loaded(roster, guessed) if roster else None
    files, left_out = _imports(rows, f"{title or f'Chapter {chapter}'}", table)
    files["grades.csv"] = grade_sheet.text(rows, exercises)
    files["class.html"] = pages.class_page(rows, chapter)
    files |= _one_each(rows, exercises)
    for name, text in files.items():
        write_text(out / name, text)
    return list(dict.fromkeys([*guessed, *said, *left_out, *_strays(out, files)]))


def check(sheet: Path | None, roster: Path | None) -> None:
    """Raise ValueError where a table that was given cannot be used, before a class is graded for it."""
    if sheet:
        loaded(sheet)
    if roster and worksheet(table := loaded(roster)) is None:
        canvas_students(table)


def _chapter(results: Sequence[Result]) -> int:
    """The chapter of the class; raises ValueError for none or several, and for a key that is no file name."""
    chapters = {result.chapter for result in results}
    if len(chapters) != 1:
        raise ValueError(f"Results of one chapter are due, got {sorted(chapters) or 'none at all'}.")
    for result in results:
        if not result.key or Path(result.key).name != result.key or result.key.startswith("."):
            raise ValueError(f"{result.key!r} is no key: it must be the name of a file.")
    return chapters.pop()


def _imports(rows: Sequence[grade_sheet.Row], title: str, roster) -> tuple[dict[str, str], list[str]]:
    """canvas.csv and moodle.csv; a list of students goes to the one that it was exported from."""
    from_moodle = roster is not None and worksheet(roster) is not None
    canvas, first = imports.canvas(rows, title, None if from_moodle else roster)
    moodle, second = imports.moodle(rows, roster if from_moodle else None)
    return {"canvas.csv": canvas, "moodle.csv": moodle}, first + second


def _one_each(rows: Sequence[grade_sheet.Row], exercises: Sequence[Exercise]) -> dict[str, str]:
    """The files of each student."""
    files = {}
    for row in rows:
        if row.result:
            files[f"feedback/{row.key}.html"] = pages.feedback(row)
            files[f"gradescope/{row.key}.json"] = imports.gradescope(row.result, exercises)
    return files


def _strays(out: Path, files: dict[str, str]) -> list[str]:
    """Sentences on pages of an earlier run that belong to nobody now."""
    there = [path for folder in ("feedback", "gradescope") for path in sorted((out / folder).glob("*.*"))]
    names = [path.relative_to(out).as_posix() for path in there if not path.name.startswith(".")]
    return [f"{name} is of an earlier run and belongs to nobody now: delete it." for name in names if name not in files]
