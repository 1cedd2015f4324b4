"""What no guess may settle, since one student's mark could become another's: a sentence, and a person decides."""

import io
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from course_lib.tools.environment import Problem
from course_lib.tools.grade.collected.archives import Unreadable, in_zip
from course_lib.tools.grade.collected.items import FILES, Item, shown
from course_lib.tools.grade.collected.layout import OWN, SAY, below, full, level, loose, of_one
from course_lib.tools.grade.collected.naming import named, system_of

PEEK, FEW = 32_000_000, 4  # bytes of a zip that is looked into; where there are more zips, each is a student's


def refuse_repository(path: Path, items: Sequence[Item]) -> None:
    """Raise Problem where the course itself was named instead of a class."""
    tops = {item.parts[0].lower() for item in items if len(item.parts) > 1}
    if {"notebooks", "solutions"} <= tops and {"book", "course_lib"} & tops:
        raise Problem(f"{path} is the course's own repository: name the folder or the zip file with the submissions")


def refuse_classes(path: Path, items: Sequence[Item], system: str) -> None:
    """Raise Problem where what would be one student is a class: a folder or a zip that a system has filled."""
    if system:
        return
    whole = [top for top in level(items)[0] if many_in(below(items, top))]
    zips = [item for item in items if len(item.parts) == 1 and item.kind == ".zip"]
    whole += [item.parts[0] for item in zips if len(zips) < FEW and many_in(inside(item))]
    if whole:
        names = ", ".join(map(shown, whole[:4]))
        what = f"course grade {path / whole[0]}"
        raise Problem(f"Each of these holds a class of its own: {names}. Grade one at a time, for instance {what}")


def inside(item: Item) -> list[Item]:
    """What is in a zip; nothing where it cannot be read, which is said when it is graded."""
    try:
        return [one for one in in_zip(io.BytesIO(item.read(PEEK)), most=FILES) if one.parts]
    except (Unreadable, OSError):
        return []


def many_in(items: Sequence[Item]) -> bool:
    """Whether these are several students' by the names that a learning system gave them."""
    folders, files = level(items)
    system = system_of(folders, files)
    tops = [*((top, True) for top in folders), *((top, False) for top in files)]
    return bool(system) and len({named(system, *top) for top in tops} - {None}) > 1


def refuse_groups(items: Sequence[Item], system: str) -> None:
    """Raise Problem where folders hold several students each, as it seems: every one does, or they lie beside files."""
    if system:
        return
    folders = [top for top in level(items)[0] if several(below(items, top))]
    books = [book for top in folders for book in loose(below(items, top))]
    others = len(full(items)) - len(folders)
    if folders and (loose(items) or (len(folders) > 1 and not others)) and len(books) == len(set(books)):
        names = ", ".join(map(shown, folders[:4]))
        raise Problem(f"These folders may hold several students each: {names}. Grade them one at a time, or {SAY}")


def several(items: Sequence[Item]) -> bool:
    """Whether these could be of several students: notebooks, or folders, none of which is named as one's own are."""
    folders, books = full(items), loose(items)
    own = any(OWN.fullmatch(folder) for folder in level(items)[0])
    return not own and (not of_one(books) or (len(folders) > 1 and not books))


def refuse_doubles(found: Sequence) -> None:
    """Raise Problem where two submissions could be taken for one another."""
    keys, names = {}, {}
    for one in found:
        other = one if one.system else names.setdefault(unicodedata.normalize("NFC", one.name), one)
        if other is not one:
            two = " and ".join(sorted((shown(other.items[0].path), shown(one.items[0].path))))
            raise Problem(f"Two submissions are called {one.name} ({two}): put them together, or rename one")
        other = keys.setdefault(one.key, one)
        if other is not one:
            raise Problem(f"{other.name} and {one.name} would share the results {one.key}.json: rename one")
