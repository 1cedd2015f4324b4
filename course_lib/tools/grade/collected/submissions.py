"""What students handed in: a folder or a zip, as learning systems give it or with one notebook or folder a student.

Nothing is unpacked to the disk, no link is followed, and whatever cannot be read becomes a sentence. What had to be
guessed is said, and where a guess could give one student the mark of another, a person is asked.
"""

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from course_lib.tools.environment import Problem
from course_lib.tools.grade.collected.archives import NO_ZIP, Unreadable, in_zip
from course_lib.tools.grade.collected.doubts import refuse_classes, refuse_doubles, refuse_groups, refuse_repository
from course_lib.tools.grade.collected.items import FILES, Item, in_folder, nothing, reason, shown
from course_lib.tools.grade.collected.layout import HANDED, class_in, level
from course_lib.tools.grade.collected.naming import named, system_of, time_in
from course_lib.tools.grade.collected.normal import normal

ALSO = (".pdf", ".py", ".rar", ".7z", ".tar", ".gz", ".tgz", ".docx", ".html")  # handed in instead of a notebook


@dataclass(frozen=True)
class Whose:
    """Whose a file is: by a system, "folder", "file" or "one", what tells students apart there, and the name."""

    kind: str
    id: str
    name: str
    number: str = ""

    @property
    def system(self) -> str:
        """The learning system, "" for none."""
        return "" if self.kind in ("folder", "file", "one") else self.kind


@dataclass(frozen=True)
class Submission:
    """What one student handed in; system and number are those of the learning system, "" where it gave none."""

    key: str
    name: str
    items: tuple[Item, ...]
    system: str = ""
    number: str = ""


@dataclass(frozen=True)
class HandedIn:
    """A class, in the order of the keys, and sentences on how it was read."""

    submissions: list[Submission]
    said: tuple[str, ...]


def submissions(path: Path) -> list[Submission]:
    """Every student's submission, in the order of the keys; raises Problem where there is none."""
    return handed_in(path).submissions


def handed_in(path: Path, way: str = "", without: Path | None = None) -> HandedIn:
    """A class and how it was read; way is one of WAYS where a person has said it, `without` the grader's own folder."""
    said: list[str] = []
    items = [item for item in read(path, without, said) if item.parts]
    refuse_repository(path, items)
    items = class_in(items, path.stem, way)
    system = "" if way else system_of(*level(items))
    if not way:
        refuse_classes(path, items, system)
        refuse_groups(items, system)
    groups, left = grouped(items, system, way)
    if not groups:
        raise Problem(f"There is no notebook in {path}: one notebook or one folder a student is due")
    found = sorted((of_student(whose, these) for whose, these in groups.items()), key=lambda one: one.key)
    refuse_doubles(found)
    return HandedIn(found, (*said, *about(found, system, left)))


def read(path: Path, without: Path | None, said: list[str]) -> list[Item]:
    """All that is there; raises Problem where nothing can be read."""
    try:
        return list(in_folder(path, without)) if path.is_dir() else in_zip(path, said=said)
    except FileNotFoundError:
        raise Problem(f"There is no {path}: name the folder or the zip file with the submissions") from None
    except OSError as error:
        raise Problem(f"{path} cannot be read ({reason(error)}): name a folder or a zip file that can") from None
    except Unreadable as error:
        if str(error) == NO_ZIP:
            due = "name the folder or the download with the submissions"
            raise Problem(f"{path} is neither a folder nor a zip file: {due}") from None
        raise Problem(f"{path} {error}: download it again") from None


def grouped(items: Sequence[Item], system: str, way: str) -> tuple[dict[Whose, list[Item]], list[str]]:
    """The items of each student, and the names that are nobody's; raises Problem for a number with two names."""
    first: dict[tuple[str, str], Whose] = {}
    known: dict[str, Whose | None] = {}  # of a folder's files, the first decides for all
    groups: dict[Whose, list[Item]] = {}
    left: list[str] = []
    also = ALSO if not system and any(item.kind in HANDED for item in items if len(item.parts) == 1) else ()
    for item in items:
        top = item.parts[0] if len(item.parts) > 1 and way != "file" else ""
        whose = known[top] if top in known else whose_is(item, system, way, also)
        known |= {top: whose} if top and way != "one" else {}
        if whose is None:
            left += [item.parts[0]] * (item.parts[0] not in left)
            continue
        mine = first.setdefault((whose.kind, whose.id), whose)
        if mine.name != whose.name and normal(mine.name) != normal(whose.name):
            two = f"{shown(mine.name)} and {shown(whose.name)}"
            raise Problem(f"{two} have one number, {whose.id}, in the names of their files: rename one")
        groups.setdefault(mine, []).append(item)
    return groups, left


def whose_is(item: Item, system: str, way: str, also: Sequence[str]) -> Whose | None:
    """Whose file it is: by the name that the system gave, else by its folder, else a notebook by itself."""
    top, folder = item.parts[0], len(item.parts) > 1 or item.kind == "/"
    if one := named(system, top, folder):
        return Whose(one.system, one.number or normal(one.name), one.name, one.number * one.number.isdigit())
    if way == "one":
        return Whose("one", "", "") if item.kind in HANDED else None
    if way == "file":
        return Whose("file", item.path, bare(item.parts[-1])) if item.kind in HANDED else None
    if folder or (item.special and item.kind == ""):
        return Whose("folder", top, top)
    return Whose("file", top, bare(top)) if item.kind in (*HANDED, *also) else None


def bare(name: str) -> str:
    """A file's name without its suffix."""
    found = re.fullmatch(r"(.+)\.ipynb(?:\.txt|\.json)?", name, re.IGNORECASE | re.DOTALL)
    return found[1] if found else PurePosixPath(name).stem


def of_student(whose: Whose, items: Sequence[Item]) -> Submission:
    """A submission with a key that can be a file name anywhere and is no other student's."""
    name = unicodedata.normalize("NFC", whose.name or items[0].parts[0])
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^A-Za-z0-9]+", "-", plain).strip("-")[:40]
    id = f"{whose.kind}/{unicodedata.normalize('NFC', whose.id)}"
    mark = hashlib.sha256(id.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    if len(items) > FILES:
        said = f"There are more than {FILES:,} files: hand in the notebook alone."
        few = [item for item in items if item.kind in HANDED][:FILES]
        items = [*few, Item(f"{items[0].parts[0]}/", (), nothing, broken=said)]
    items = [replace(item, time=time_in(item.path) or item.time) for item in items]
    return Submission(
        f"{slug or 'student'}-{mark}", shown(name) or "(no name)", tuple(items), whose.system.lower(), whose.number
    )


def about(found: Sequence[Submission], system: str, left: Sequence[str]) -> list[str]:
    """Sentences on how the class was read."""
    way = f"a download of {system}" if system else "one folder or one notebook a student"
    who = f"{len(found)} students" if len(found) > 1 else f"one student, {found[0].name}"
    said = [f"Read as {way}: {who}."]
    others = [one.name for one in found if not one.system]
    if system and others:
        said.append(f"Not named by {system}, taken as students by their own names: {listed(others)}.")
    if left:
        said.append(f"Nobody's, left out: {listed(list(map(shown, left)))}.")
    return said


def listed(names: Sequence[str], most: int = 8) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
