"""What a graded submission is, and its file results/KEY.json: the only thing that reports and imports read."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

STATUSES = ("passed", "wrong", "not attempted", "error", "timeout", "missing", "refused")


@dataclass(frozen=True)
class Mark:
    """One exercise of one submission.

    status: passed; wrong; not attempted (the stub stands there); missing (no such cell); error (the cell or the call
    ended in no answer); timeout; refused (what the worker sent back is no answer). sentence is what the student reads;
    wrong is the index of the anticipated wrong answer, or None.
    """

    status: str
    points: float
    of: int
    sentence: str = ""
    wrong: int | None = None

    def __post_init__(self):
        if self.status not in STATUSES:
            raise ValueError(f"A mark's status must be one of {', '.join(STATUSES)}, got {self.status!r}.")


@dataclass(frozen=True)
class Result:
    """One submission: key (file name of the result), name (as the submission has it), file, digest (SHA-256 of the
    notebook, "" without one), seed (the fingerprint of the term's), chapter, marks by exercise, sentences about the
    file as a whole, the learning system that named the files and the student's number there ("" for none)."""

    key: str
    name: str
    file: str
    digest: str
    seed: str
    chapter: int
    exercises: Mapping[str, Mark] = field(default_factory=dict)
    problems: Sequence[str] = ()
    system: str = ""
    number: str = ""

    @property
    def points(self) -> float:
        """The sum over the exercises that were graded by running them."""
        return sum(mark.points for mark in self.exercises.values())

    @property
    def of(self) -> int:
        """The highest sum there is."""
        return sum(mark.of for mark in self.exercises.values())


def fingerprint(term: str) -> str:
    """A seed as results name it: the same for the same seed, which cannot be found from it unless it can be guessed."""
    return hashlib.sha256(f"course grade {term}".encode()).hexdigest()[:16]


def dumped(result: Result) -> str:
    """The text of a result's file: sorted keys, a newline at the end, the same for the same result."""
    data = asdict(result) | {"problems": list(result.problems)}
    return json.dumps(data, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def loaded(text: str) -> Result:
    """A Result from the text of its file; raises ValueError where it is none."""
    try:
        data = json.loads(text)
        marks = {number: Mark(**mark) for number, mark in data.pop("exercises").items()}
        return Result(**data | {"exercises": dict(sorted(marks.items(), key=lambda item: order(item[0])))})
    except (TypeError, AttributeError, KeyError, ValueError) as error:
        raise ValueError(f"This is no result of `course grade` ({error}): delete the file and grade again.") from error


def order(number: str) -> tuple[int, ...]:
    """Sorts "4.10" behind "4.9"."""
    return tuple(map(int, number.split(".")))


def write(folder: Path, result: Result) -> Path:
    """Write results/KEY.json in one step, so that a run killed at any moment leaves a whole file or none."""
    path = folder / f"{result.key}.json"
    write_text(path, dumped(result))
    return path


def write_text(path: Path, text: str) -> None:
    """Write a text file in one step: a hidden neighbour first, which a killed run may leave, then its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    try:
        beside.write_text(text, encoding="utf-8", newline="")
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def read(path: Path) -> Result:
    """The Result in a file; raises ValueError with the file's name where it is none."""
    try:
        return loaded(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error


def read_all(folder: Path) -> list[Result]:
    """All results of a folder, in the order of their keys."""
    return [read(path) for path in sorted(folder.glob("*.json")) if not path.name.startswith(".")]
