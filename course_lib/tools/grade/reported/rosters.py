"""Lists of students that a gradebook gives out, and whose line belongs to whom.

Canvas' exported gradebook is known by its headings. Moodle's grading worksheet has headings in the language that Moodle
was used in, and is known by what stands below them: one column says "Participant 4821" in every line, whatever word is
used, and two headings "Last modified (submission)" and "Last modified (grade)" differ in their brackets only.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from course_lib.tools.grade.collected.normal import fit, normal, words
from course_lib.tools.grade.reported.sheet import Row

NEEDED = ("Identifier", "Grade", "Last modified (grade)")  # what Moodle's worksheet must have
COMMENTS = "Feedback comments"
DISAGREE = 0.5  # the share of numbers with another's name from which on a list is not this assignment's


@dataclass(frozen=True)
class Columns:
    """Where Moodle's worksheet has what: the number, the name and the comment (None without one), the grade."""

    number: int
    name: int | None
    grade: int
    comment: int | None


def worksheet(table: Sequence[Sequence[str]]) -> Columns | None:
    """The columns of Moodle's grading worksheet in any language; None for another table.

    Raises ValueError where it is one and has no place for the grade.
    """
    head = [cell.strip() for cell in table[0]]
    if "Identifier" in head:
        if not set(NEEDED) <= set(head):
            raise ValueError(f"The worksheet lacks one of {', '.join(NEEDED)}: download it from Moodle again.")
        name = head.index("Full name") if "Full name" in head else None
        comment = head.index(COMMENTS) if COMMENTS in head else None
        return Columns(head.index("Identifier"), name, head.index("Grade"), comment)
    number = next((n for n in range(len(head)) if _participants([row[n] for row in table[1:]])), None)
    if number is None:
        return None
    changed = [n for n, cell in enumerate(head) if re.fullmatch(r".+[(（].+[)）]", cell) and n > number]
    grade = _grade(table, head, changed[-1]) if changed else None
    if grade is None:
        raise ValueError(
            f"The list of students is Moodle's grading worksheet in another language ({', '.join(head[:4])}), and "
            "which column takes the grade is not clear: download it with Moodle set to English."
        )
    name = number + 1 if _names([row[number + 1] for row in table[1:]]) else None
    return Columns(number, name, grade, changed[-1] + 1 if changed[-1] + 1 < len(head) else None)


def _participants(cells: Sequence[str]) -> bool:
    """Whether each cell is one word for participant and a number."""
    found = [re.fullmatch(r"(\D*[^\W\d]\D*)(\d+)", cell.strip()) for cell in cells]
    return bool(found) and all(found) and len({one[1] for one in found}) == 1


def _names(cells: Sequence[str]) -> bool:
    """Whether a column holds names: hardly any twice, no addresses; a status is said again and again."""
    return 2 * len(set(cells)) > len(cells) and not any("@" in cell for cell in cells) and all(cells)


def _grade(table: Sequence[Sequence[str]], head: Sequence[str], changed: int) -> int | None:
    """The column of the grade: it has the word that stands in brackets, or the highest grade stands beside it."""
    word = normal(re.split(r"[(（]", head[changed])[-1].rstrip(")） "))
    same = [n for n, cell in enumerate(head[:changed]) if normal(cell) == word]
    if same:
        return same[0]
    for n in range(1, changed - 1):
        beside = {row[n + 1].strip() for row in table[1:]}
        if len(beside) == 1 and re.fullmatch(r"[1-9]\d*([.,]\d+)?", beside.pop()):
            return n
    return None


def canvas_students(table: Sequence[Sequence[str]]) -> tuple[list[str], list[list[str]], list[tuple[str, str]]]:
    """The first headings of an exported gradebook, the students' cells under them, and their (id, name)."""
    width = next((n for n, cell in enumerate(table[0], 1) if cell.strip() == "Section"), 0)
    head = [cell.strip() for cell in table[0][:width]]
    names = 2 if head[:2] == ["LastName", "FirstName"] else 1  # Canvas can show them apart
    if len(head) <= names or "ID" not in head[names]:
        there = ", ".join(cell.strip() for cell in table[0][:5])
        raise ValueError(
            "The list of students has no columns Student, ID and Section, as Canvas' exported gradebook has, and is no "
            f"grading worksheet of Moodle: it begins with {there}."
        )
    people = [list(one[:width]) for one in table[1:] if "Points Possible" not in one[0]]
    people = [one for one in people if ", ".join(one[:names]).strip() != "Student, Test"]
    return head, people, [(one[names].strip(), " ".join(one[:names])) for one in people]


def matched(rows: Sequence[Row], people: Sequence[tuple[str, str]], system: str) -> tuple[dict[int, Row], list[str]]:
    """Which row belongs to which line of a list of (id, name): by the system's number, else by a name that only one of
    each has. A number under which the list has somebody else is nobody's; raises ValueError where most are."""
    by_id = {id: n for n, (id, _) in enumerate(people) if id}
    names, mine = [words(name) for _, name in people], [words(row.name) for row in rows]
    found, lost, others = {}, [], []
    for row, name in zip(rows, mine):
        number = row.result.number if row.result.system == system else ""
        at = by_id.get(number)
        if at is not None and mine.count(name) == 1 and names[at] and not fit(row.name, people[at][1]):
            others.append(f"{row.name} has the number {number}, which is {people[at][1]} in the list of students")
            continue
        if at is None and names.count(name) == mine.count(name) == 1:
            at = names.index(name)
        if at is None or at in found:
            lost.append(f"{row.name} is not in the list of students, or is there twice: enter the grade by hand.")
        else:
            found[at] = row
    if len(others) > 1 and len(others) > DISAGREE * (len(others) + len(found)):
        raise ValueError(f"{others[0]}, and so on: give the list of students of this very assignment.")
    return found, [*lost, *(f"{other}: enter the grade by hand." for other in others)]
