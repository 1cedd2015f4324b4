"""How a class lies in a folder or a zip: where the students begin, by evidence, or a sentence for a person."""

import re
from collections.abc import Sequence
from dataclasses import replace

from course_lib.tools.environment import Problem
from course_lib.tools.grade.collected.items import Item, shown
from course_lib.tools.grade.collected.naming import system_of
from course_lib.tools.grade.collected.normal import normal

HANDED = (".ipynb", ".zip")
_TASK = (
    r"(?:ps|hw|lab|labs|ex|exercise|exercises|assignment|assignments|homework|week|chapter|task|sheet|problem[ _-]?set|"
    r"uebung|übung|blatt|abgabe|aufgabe|tp|td|serie|practica|práctica|tarea|devoir|part|v|version|attempt|try)"
)
AROUND = re.compile(  # what a folder around a class is called, and no student
    rf"(?:submitted|submissions?|students?|class|course|abgaben|einreichungen|downloads?|export|handed[ _-]?in|all|"
    rf"user|users|rendus|entregas|inzendingen|{_TASK}[ _-]*\d*|\d{{1,2}}_[a-z_]+)",
    re.IGNORECASE,
)
OWN = re.compile(  # what students call folders and files of their own
    rf"(?:code|src|lib|report|data|figures?|images?|pictures|plots?|results?|outputs?|tests?|old|older|new|drafts?|"
    rf"final|finals?|backup|archive|tmp|temp|misc|notebooks?|solutions?|book|course_lib|benchmarks|docs?|"
    rf"models?|untitled|scratch|copy|kopie|copie|copia|entwurf|fertig|{_TASK})(?:[ ._-]*\(?\d*\)?)?",
    re.IGNORECASE,
)
MANY = re.compile(r"(?:student|user|group|team|participant|anon|id|gruppe)s?", re.IGNORECASE)  # and a number
WAYS = ("folder", "file", "one")
SAY = "say --students folder (each folder is a student's), --students file (each notebook is) or --students one"


def level(items: Sequence[Item]) -> tuple[list[str], list[str]]:
    """What lies side by side at the top: names of folders and of files, in order."""
    tops = {item.parts[0]: len(item.parts) > 1 or item.kind == "/" for item in items}
    return [top for top, folder in tops.items() if folder], [top for top, folder in tops.items() if not folder]


def below(items: Sequence[Item], top: str) -> list[Item]:
    """The items in one folder, as seen from there."""
    inside = [item for item in items if item.parts[0] == top and (len(item.parts) > 1)]
    return [replace(item, path="/".join(item.parts[1:]) + "/" * (item.kind == "/")) for item in inside]


def loose(items: Sequence[Item]) -> list[str]:
    """The notebooks and zips at the top."""
    return [item.parts[0] for item in items if len(item.parts) == 1 and item.kind in HANDED]


def full(items: Sequence[Item]) -> list[str]:
    """The folders at the top that hold a notebook or a zip, however deep."""
    return list(dict.fromkeys(item.parts[0] for item in items if len(item.parts) > 1 and item.kind in HANDED))


def class_in(items: list[Item], place: str, way: str = "") -> list[Item]:
    """The items as seen from where the students begin; `place` is the name of the folder or zip, `way` one of WAYS."""
    while True:
        folders, files = level(items)
        if system_of(folders, files) or len(folders) != 1 or loose(items):
            return items
        inner = below(items, folders[0])
        around = AROUND.fullmatch(folders[0]) or normal(folders[0]) == normal(place)
        if not inner or (way == "folder" and not level(inner)[0]):
            return items
        if way != "folder" and not around and (way or not is_class(folders[0], inner)):
            return items
        items = inner


def is_class(name: str, items: list[Item]) -> bool:
    """Whether a folder is a class and no student, by what lies where it branches; Problem where that is unclear."""
    while True:
        folders, files = level(items)
        if system_of(folders, files):
            return True
        if len(folders) != 1 or loose(items):
            break
        if AROUND.fullmatch(folders[0]) and not re.search(r"\d", folders[0]):
            return True
        items = below(items, folders[0])
    books, inside = loose(items), full(items)
    others = [folder for folder in inside if not OWN.fullmatch(folder)]
    if not others and any(OWN.fullmatch(folder) for folder in folders):
        return False
    if len(inside) > 1 and not books and others == inside:
        return True
    if len(inside) > 1 or not of_one(books):
        inside = ", ".join(map(shown, (*books, *inside)[:4]))
        raise Problem(f"{shown(name)} may be a class or one student ({inside}): {SAY}")
    return False


def of_one(files: Sequence[str]) -> bool:
    """Whether notebooks are versions of one, or of several chapters: as one student names them."""
    if len(files) < 2:
        return True
    bare = [re.sub(r"(\.ipynb|\.zip|\.txt|\.json)+$", "", file, flags=re.IGNORECASE) for file in files]
    if all(OWN.fullmatch(one) or re.match(r"\d{1,2}_", one) for one in bare):
        return True
    again = r"[ ._(-]+(?:(?:copy|kopie|final|draft|old|new|v)?[ ._-]*\d*)\)?$"
    stems = {re.sub(again, "", one, flags=re.IGNORECASE) for one in bare}
    return len(stems) == 1 and not MANY.fullmatch(stems.pop())
