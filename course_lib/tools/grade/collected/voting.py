"""Which chapter a class handed in: one vote a student, and a person decides where they do not agree."""

from collections.abc import Sequence

from course_lib.tools.environment import Problem
from course_lib.tools.grade.collected.choosing import Reader
from course_lib.tools.grade.collected.notebook import chapter_of, read_notebook
from course_lib.tools.grade.collected.submissions import Submission, listed

AGREED = 2 / 3  # the share of the votes that decides
LOOK, MOST = 30, 16_000_000  # notebooks of one student, bytes of one


def chapter_in(submissions: Sequence[Submission]) -> tuple[int, list[str]]:
    """The chapter of the class and sentences on who voted otherwise; raises Problem where no chapter wins.

    A student with notebooks of one chapter has one vote, however many they are; one with several chapters has none,
    unless nobody else has.
    """
    chapters = {one.key: chapters_of(one) for one in submissions}
    clear = {key: found for key, found in chapters.items() if len(found) == 1} or chapters
    votes = [chapter for found in clear.values() for chapter in sorted(found)]
    if not votes:
        raise Problem("No notebook here has an exercise of the course: say --chapter if they should have one")
    counts = {chapter: votes.count(chapter) for chapter in sorted(set(votes))}
    best = max(counts, key=counts.get)
    voters = sum(map(bool, clear.values()))
    if counts[best] < AGREED * voters or list(counts.values()).count(counts[best]) > 1:
        by = ", ".join(f"chapter {chapter} by {number}" for chapter, number in counts.items())
        raise Problem(f"The class does not agree on a chapter ({by}): say which, for instance --chapter {best}")
    others = [one.name for one in submissions if chapters[one.key] and best not in chapters[one.key]]
    said = [f"Chapter {best}, by the notebooks of {counts[best]} of {voters} students."]
    return best, said + ([f"Another chapter was handed in by {listed(others)}."] if others else [])


def chapters_of(submission: Submission) -> set[int]:
    """The chapters of one student's notebooks, without the course's own complete ones."""
    reader, found = Reader(), set()
    items = [item for item in submission.items if item.kind == ".ipynb"]
    for item in submission.items:
        items += reader.unzipped(item) if item.kind == ".zip" else []
    for item in sorted(items, key=lambda item: item.size)[:LOOK]:
        data = None if item.special or item.broken else reader.read(item, MOST)
        notebook = read_notebook(data) if data is not None and len(data) <= MOST else None
        if notebook and ("solutions" not in item.path.lower().split("/") or len(items) == 1):
            found.add(chapter_of(notebook))
    return found - {None}
