"""How learning systems name what they give out: whose it is, taken once, from the outermost name.

Moodle      Ada Example_4821_assignsubmission_file/..., or _file_lab.ipynb in one folder (mod/assign/classes/downloader)
Canvas      exampleada_LATE_4821_77120_lab.ipynb, anon_x8Kq2_77120_lab.ipynb (lib/content_zipper.rb)
Blackboard  Homework 4_aexample_attempt_2026-03-05-10-11-12_lab.ipynb
Brightspace 13394-80551 - Ada Example - Mar 5, 2026 1023 AM/..., or - lab.ipynb behind it
ILIAS       Example_Ada_aexample_4821/20260305101112_lab.ipynb
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
MOODLE = re.compile(r"(?P<name>.+?)(?:_(?P<id>\d+))?_assignsubmission_(?P<kind>[a-z]+)_?(?P<file>.*)", re.DOTALL)
CANVAS = re.compile(
    r"(?P<name>\w+?)(?:_LATE)?_(?P<id>[1-9]\d*)_(?:(?P<attachment>[1-9]\d*)_(?P<file>.+)|(?:text|link)\.html)",
    re.DOTALL,
)
ANONYMOUS = re.compile(
    r"(?:LATE_)?(?P<name>anon)_(?P<id>[0-9A-Za-z]{5})_(?P<attachment>[1-9]\d*)_(?P<file>.+)", re.DOTALL
)
BLACKBOARD = re.compile(
    r"(?P<id>(?:.+_)?(?P<name>[^_]+))_attempt_(?P<time>\d{4}(?:-\d\d){5})(?:_(?P<file>.+)|\.txt)?", re.DOTALL
)
BRIGHTSPACE = re.compile(
    r"(?P<id>\d+)-\d+ - (?P<name>.+?) ?- (?P<time>[^-]*?\d{1,2},? \d{4}[^-]*?)(?: - (?P<file>.+))?", re.DOTALL
)
ILIAS = re.compile(r"(?P<last>[^_]+)_(?P<first>[^_]+)_(?P<login>[^_]+)_(?P<id>[1-9]\d*)", re.DOTALL)
STAMP = re.compile(r"(?<!\d)(20\d\d)[-_]?(\d\d)[-_]?(\d\d)[-_T ]?(\d\d)[-_]?(\d\d)[-_]?(\d\d)(?!\d)")
MOST_OF = 0.8  # of the notebooks of a download of Canvas: a person may have put some of their own beside
DAY = re.compile(r"([^\W\d_]{3,})\.? (\d{1,2}),? (\d{4}) (\d{1,2})(\d\d) ([AP])M", re.IGNORECASE)


@dataclass(frozen=True)
class Named:
    """Whose a file or folder is by its name: the system, the student's number there ("" without one), the name."""

    system: str
    number: str
    name: str


def moodle(top: str) -> Named | None:
    """By Moodle's name of a folder or a file."""
    found = MOODLE.fullmatch(top)
    return Named("Moodle", found["id"] or "", found["name"]) if found else None


def canvas(top: str) -> Named | None:
    """By Canvas' name of a file."""
    if found := ANONYMOUS.fullmatch(top):
        return Named("Canvas", "", f"anon {found['id']}")
    found = CANVAS.fullmatch(top)
    return Named("Canvas", found["id"], found["name"]) if found else None


def blackboard(top: str) -> Named | None:
    """By Blackboard's name of a file."""
    found = BLACKBOARD.fullmatch(top)
    return Named("Blackboard", found["id"], found["name"]) if found else None


def brightspace(top: str) -> Named | None:
    """By Brightspace's name of a folder or a file."""
    found = BRIGHTSPACE.fullmatch(top)
    return Named("Brightspace", found["id"], found["name"].strip()) if found else None


def ilias(top: str) -> Named | None:
    """By ILIAS' name of a folder."""
    found = ILIAS.fullmatch(top)
    return Named("ILIAS", found["id"], f"{found['first']} {found['last']}") if found else None


SURE = {"Moodle": moodle, "Blackboard": blackboard, "Brightspace": brightspace}  # nobody else names a file like this


def system_of(folders: Sequence[str], files: Sequence[str]) -> str:
    """The system that named what lies side by side, "" where none did.

    Moodle, Blackboard and Brightspace are known by one name. Canvas and ILIAS only by all together: `ps_4_1_ada.ipynb`
    looks like a name of Canvas, and a class of such files is none of its downloads.
    """
    for system, named in SURE.items():
        if any(named(top) for top in (*folders, *files)):
            return system
    alike = [file for file in files if canvas(file)]
    if len(alike) >= MOST_OF * len([file for file in files if file.endswith((".ipynb", ".zip"))]) and whole(alike):
        return "Canvas"
    if folders and all(map(ilias, folders)) and one_to_one([ilias(folder) for folder in folders]):
        return "ILIAS"
    return ""


def whole(files: Sequence[str]) -> bool:
    """Whether names that look like Canvas' fit each other as in one download, where every file has a new number."""
    found = [ANONYMOUS.fullmatch(file) or CANVAS.fullmatch(file) for file in files]
    numbers = [one["attachment"] for one in found if one["attachment"]]
    students = {one["id"] for one in found}
    short = len(students) == 1 < len(numbers) and min(map(len, numbers)) < 3  # ps_4_1_ada, ps_4_2_bob
    if not files or short or len(numbers) != len(set(numbers)):
        return False
    return one_to_one([canvas(file) for file in files])


def one_to_one(found: Sequence[Named]) -> bool:
    """Whether each number has one name, and several numbers have not all the same."""
    names = {(one.number or one.name): one.name for one in found}
    agree = all(names[one.number or one.name] == one.name for one in found)
    return agree and not len(set(names.values())) == 1 < len(names)


def named(system: str, top: str, folder: bool) -> Named | None:
    """Whose a name is in a download of this system, None where the system did not give it."""
    if system == "Canvas":
        return None if folder else canvas(top)
    if system == "ILIAS":
        return ilias(top) if folder else None
    return SURE[system](top) if system else None


def time_in(path: str) -> tuple[int, ...]:
    """When a system says that a file came, year to second, by its outermost name that says it; else ()."""
    for part in path.split("/"):
        if found := STAMP.search(part):
            moment = tuple(map(int, found.groups()))
            if 1 <= moment[1] <= 12 and 1 <= moment[2] <= 31 and moment[3] < 24:
                return moment
        if found := DAY.search(part):
            month, hour = found[1][:3].lower(), int(found[4]) % 12 + 12 * (found[6] in "Pp")
            if month in MONTHS:
                return int(found[3]), MONTHS.index(month) + 1, int(found[2]), hour, int(found[5]), 0
    return ()
