"""Which notebook of a student counts, and what is said where there is none or more than one."""

import hashlib
import io
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from course_lib.exercises.declare import Exercise
from course_lib.tools.grade.collected.archives import Unreadable, in_zip
from course_lib.tools.grade.collected.items import FILES, Item, shown
from course_lib.tools.grade.collected.notebook import LARGEST, Found, Notebook, chapter_of, find, read_notebook
from course_lib.tools.grade.collected.submissions import Submission

ARCHIVE, NESTED = 32_000_000, 3  # bytes of a student's own zip, zips in one another
BYTES, NOTEBOOKS = 128_000_000, 50  # what is read of one student
_READING = threading.Lock()  # a notebook may grow tenfold in memory while it is read: one at a time


@dataclass(frozen=True)
class Chosen:
    """The notebook that counts: its file, digest and cells, where the exercises are, and sentences about all that."""

    file: str
    digest: str
    notebook: Notebook
    found: Found
    problems: tuple[str, ...]


@dataclass
class Reader:
    """Reads one student's files within what is read of one student, and says what could not be."""

    said: list[str] = field(default_factory=list)
    left: int = BYTES

    def read(self, item: Item, most: int) -> bytes | None:
        """The file, or None with a sentence."""
        if self.left <= 0:
            self.say(f"More than {BYTES // 10**6} MB were handed in, and not all of it was read: hand in one notebook.")
            return None
        try:
            data = item.read(min(most, self.left) + 1)
        except Exception as error:  # zipfile raises whatever a damaged file makes it raise
            what = "The file" if item.kind == ".ipynb" else shown(item.path)
            self.say(f"{what} cannot be read ({type(error).__name__}): hand it in again.")
            return None
        cut = len(data) > self.left < most
        self.left -= len(data)
        return self.read(item, most) if cut else data

    def say(self, sentence: str) -> None:
        """Each sentence once."""
        if sentence not in self.said:
            self.said.append(sentence)

    def unzipped(self, item: Item, depth: int = 1) -> list[Item]:
        """The notebooks in a zip that a student handed in, and in the zips in it."""
        data = self.read(item, ARCHIVE)
        if data is None:
            return []
        if len(data) > ARCHIVE:
            self.say(f"{shown(item.path)} has more than {ARCHIVE // 10**6} MB: hand in the notebook alone.")
            return []
        try:
            inside = in_zip(io.BytesIO(data), f"{item.path}/", most=FILES)
        except Unreadable as error:
            self.say(f"{shown(item.path)} {error}: hand in the notebook alone.")
            return []
        found = [one for one in inside if one.kind == ".ipynb"]
        for one in inside:
            if one.kind == ".zip" and depth < NESTED:
                found += self.unzipped(one, depth + 1)
        if not found and depth == 1:
            self.say(f"There is no notebook (.ipynb) in {shown(item.path)}.")
        return found


def choose(submission: Submission, exercises: Sequence[Exercise]) -> Chosen:
    """The notebook of the chapter with most exercises answered, of these the newest; the course's own never."""
    reader = Reader()
    items = [item for item in submission.items if item.kind == ".ipynb"]
    for item in submission.items:
        if item.kind == ".zip":
            items += reader.unzipped(item)
        elif item.kind == "/" and item.broken:
            reader.say(item.broken)
    if not items and not reader.said:
        reader.say(_nothing(submission))
    items = sorted(enumerate(items), key=lambda pair: (pair[1].size, pair[0]))  # the small ones first
    if len(items) > NOTEBOOKS:
        reader.say(f"Of {len(items)} notebooks the {NOTEBOOKS} smallest were looked into: hand in one.")
    read = [(item, at, _read(item, exercises, reader)) for at, item in items[:NOTEBOOKS]]
    own = hers(read, exercises)
    if not own:
        if read:
            reader.say("There are only the course's own complete notebooks: hand in yours.")
        file = shown(submission.items[0].path)
        return Chosen(file, "", Notebook(), find(Notebook(), exercises), tuple(reader.said))
    best = max(own, key=lambda one: _rank(one, exercises[0].chapter))[2]
    return Chosen(
        best.file,
        best.digest,
        best.notebook,
        best.found,
        (*reader.said, *_about(best, read, exercises), *best.problems),
    )


def _nothing(submission: Submission) -> str:
    """The sentence where there is no notebook."""
    others = [shown(item.parts[-1]) for item in submission.items if item.kind != "/" and item.parts]
    linked = any(item.special for item in submission.items)
    if linked:
        return "The file is a link or a device, not a notebook: hand in the notebook itself."
    return f"There is no notebook (.ipynb), only {', '.join(others[:5])}." if others else "The folder is empty."


def _rank(one: tuple[Item, int, Chosen], chapter: int) -> tuple:
    """Orders notebooks: of this chapter, answered, readable, new, last in the download."""
    item, at, chosen = one
    of_chapter = chapter_of(chosen.notebook) in (chapter, None)
    return of_chapter, chosen.found.solved, bool(chosen.notebook.cells), item.time, item.path, at


def hers(read: Sequence[tuple[Item, int, Chosen]], exercises: Sequence[Exercise]) -> list[tuple[Item, int, Chosen]]:
    """The notebooks that can be a student's own: not the course's complete ones, where there is another one."""
    others = [one for one in read if not shipped(one[2], exercises)]
    chapter = exercises[0].chapter
    if any(chapter_of(one[2].notebook) == chapter for one in others):
        return others
    return [one for one in read if one in others or "solutions" not in one[0].path.lower().split("/")]


def shipped(chosen: Chosen, exercises: Sequence[Exercise]) -> bool:
    """Whether it is one of the course's complete notebooks as given out: each answer stands between the two marks."""
    marked = [cell for cell in chosen.notebook.code if cell.exercises]
    every = {id for cell in marked for id in cell.exercises} >= {one.id for one in exercises}
    solutions = "solutions" in chosen.file.lower().split("/")
    return bool(marked) and (every or solutions) and all("### BEGIN SOLUTION" in cell.source for cell in marked)


def _about(best: Chosen, read: Sequence[tuple[Item, int, Chosen]], exercises: Sequence[Exercise]) -> Iterator[str]:
    """The sentences on the other notebooks."""
    course = sorted(one.file for _, _, one in read if shipped(one, exercises))
    if best.file in course:
        yield "This is the course's own complete notebook, as it was given out: ask the student for theirs."
    elif course:
        yield f"The course's own complete notebooks do not count: {', '.join(course[:5])}."
    others = [one.file for _, _, one in sorted(read, key=lambda one: one[1]) if one is not best]
    others = [file for file in others if file not in course]
    if others:
        rule = "the one with most exercises solved was graded, and of these the newest"
        yield f"Of {len(others) + 1} notebooks {rule}: {best.file}, not {', '.join(others[:5])}."


def _read(item: Item, exercises: Sequence[Exercise], reader: Reader) -> Chosen:
    """One notebook as if it were the only one."""
    file, said = shown(item.path), item.broken
    if item.special:
        said = "The file is a link or a device, not a notebook: hand in the notebook itself."
    with _READING:
        before = len(reader.said)
        data = None if said else reader.read(item, LARGEST)
        if data is None:
            said = (said,) if said else tuple(reader.said[before:])
            del reader.said[before:]
            return Chosen(file, "", Notebook(), find(Notebook(), exercises), said)
        if len(data) > LARGEST:
            said = f"The file has more than {LARGEST // 10**6} MB: clear the notebook's outputs and hand it in again."
            notebook = Notebook(problems=(said,))
        else:
            notebook = read_notebook(data)
    found = find(notebook, exercises)
    problems = (*notebook.problems, *found.notes, *_other_chapter(notebook, exercises))
    return Chosen(file, hashlib.sha256(data).hexdigest(), notebook, found, problems)


def _other_chapter(notebook: Notebook, exercises: Sequence[Exercise]) -> Iterator[str]:
    """The sentence for the notebook of another chapter."""
    chapter = chapter_of(notebook)
    if chapter is not None and chapter != exercises[0].chapter:
        yield f"This is the notebook of chapter {chapter}; chapter {exercises[0].chapter} is graded."
