"""Which notebook of a student counts, and what is said where there is none or more than one."""

import hashlib
import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from course_lib.exercises.declare import Exercise
from course_lib.tools.grade.collected.notebook import LARGEST, Found, Notebook, chapter_of, find, read_notebook
from course_lib.tools.grade.collected.submissions import Item, Submission, in_zip, shown

ARCHIVE, INNER, LOOK = 32_000_000, 50, 25  # bytes of a student's own zip, notebooks in it, notebooks looked into
UNREADABLE = (OSError, RuntimeError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, MemoryError)


@dataclass(frozen=True)
class Chosen:
    """The notebook that counts: its file, digest and cells, where the exercises are, and sentences about all that."""

    file: str
    digest: str
    notebook: Notebook
    found: Found
    problems: tuple[str, ...]


def choose(submission: Submission, exercises: Sequence[Exercise]) -> Chosen:
    """The notebook with most exercises solved, of these the newest; never raises."""
    items, said = [], []
    for item in submission.items:
        items += unzipped(item, said) if item.kind == ".zip" else [item] if item.kind == ".ipynb" else []
    if not items and not said:
        others = [shown(item.parts[-1]) for item in submission.items if item.kind != "/"]
        said.append(
            f"There is no notebook (.ipynb), only {', '.join(others[:5])}." if others else "The folder is empty."
        )
    read = [(item, _read(item, exercises)) for item in items]
    if not read:
        file = shown(submission.items[0].path)
        return Chosen(file, "", Notebook(), find(Notebook(), exercises), tuple(said))
    item, best = max(
        read, key=lambda pair: (pair[1].found.solved, bool(pair[1].notebook.cells), pair[0].time, pair[0].path)
    )
    others = [shown(other.path) for other, _ in read if other is not item]
    if others:
        rule = "the one with most exercises solved was graded, and of these the newest"
        said.append(f"Of {len(read)} notebooks {rule}: {best.file}, not {', '.join(others[:5])}.")
    return Chosen(best.file, best.digest, best.notebook, best.found, (*said, *best.problems))


def unzipped(item: Item, said: list[str]) -> list[Item]:
    """The notebooks in a zip that a student handed in; says why where it cannot be read."""
    try:
        data = item.read(ARCHIVE + 1)
        if len(data) > ARCHIVE:
            said.append(f"{shown(item.path)} has more than {ARCHIVE // 10**6} MB: hand in the notebook alone.")
            return []
        inside = [one for one in in_zip(io.BytesIO(data), f"{item.path}/") if one.kind == ".ipynb"]
    except UNREADABLE as error:
        said.append(f"{shown(item.path)} cannot be read ({type(error).__name__}): hand in the notebook alone.")
        return []
    if not inside:
        said.append(f"There is no notebook (.ipynb) in {shown(item.path)}.")
    return inside[:INNER]


def _read(item: Item, exercises: Sequence[Exercise]) -> Chosen:
    """One notebook as if it were the only one."""
    file, data = shown(item.path), b""
    if item.special:
        said = ("The file is a link or a device, not a notebook: hand in the notebook itself.",)
        return Chosen(file, "", Notebook(), find(Notebook(), exercises), said)
    try:
        data = item.read(LARGEST + 1)
    except UNREADABLE as error:
        said = (f"The file cannot be read ({type(error).__name__}): hand it in again.",)
        return Chosen(file, "", Notebook(), find(Notebook(), exercises), said)
    digest = hashlib.sha256(data).hexdigest()
    if len(data) > LARGEST:
        said = f"The file has more than {LARGEST // 10**6} MB: clear the notebook's outputs and hand it in again."
        notebook = Notebook(problems=(said,))
    else:
        notebook = read_notebook(data)
    found = find(notebook, exercises)
    return Chosen(
        file, digest, notebook, found, (*notebook.problems, *found.notes, *_other_chapter(notebook, exercises))
    )


def chapter_in(submissions: Sequence[Submission]) -> int | None:
    """The chapter of most of the notebooks, by a look into the first few."""
    found = []
    for item in (item for one in submissions for item in one.items if item.kind == ".ipynb" and not item.special):
        try:
            found.append(chapter_of(read_notebook(item.read(LARGEST))))
        except UNREADABLE:
            continue
        if len(found) == LOOK:
            break
    found = [chapter for chapter in found if chapter is not None]
    return max(sorted(set(found)), key=found.count) if found else None


def _other_chapter(notebook: Notebook, exercises: Sequence[Exercise]) -> Iterator[str]:
    """The sentence for the notebook of another chapter."""
    chapter = chapter_of(notebook)
    if chapter is not None and chapter != exercises[0].chapter:
        yield f"This is the notebook of chapter {chapter}; chapter {exercises[0].chapter} is graded."
