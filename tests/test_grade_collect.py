"""Whose notebook is whose: what systems, browsers and people make of a class, read by evidence or not at all."""

import json
import os
import random
import re
import unicodedata
import zipfile
from pathlib import Path

import pytest
from grading import code

from course_lib.exercises import registry
from course_lib.tools.environment import Problem
from course_lib.tools.grade.collected.choosing import choose
from course_lib.tools.grade.collected.encodings import decoded
from course_lib.tools.grade.collected.items import shown
from course_lib.tools.grade.collected.submissions import handed_in
from course_lib.tools.grade.collected.voting import chapter_in

EXERCISES = [one for one in registry.exercises(4) if one.kind != "judged"]
STUB = 'raise NotImplementedError("Exercise")'


def book(token: str, *solved: str, left: bool = False, marks: bool = False, chapter: int = 4) -> bytes:
    """A notebook of a chapter that names its owner; `left`: stubs stand below the answers, `marks`: as shipped."""
    cells = [code(f"owner = {token!r}")]
    for one in (e for e in registry.exercises(chapter) if e.kind != "judged"):
        body = "return 1" if one.id in solved or "all" in solved else STUB
        if marks:
            body = f"### BEGIN SOLUTION\n    {body}\n    ### END SOLUTION"
        elif left and body != STUB:
            body = f"{body}\n    {STUB}"
        cells.append(code(f"# exercise {one.id}\ndef {one.name}(*args):\n    {body}"))
    return json.dumps({"cells": cells, "nbformat": 4, "nbformat_minor": 5, "metadata": {}}).encode()


def folder(root: Path, files: dict[str, bytes]) -> Path:
    """A folder with these files; "x/" is an empty folder. A number before "|" orders them in time."""
    for name, data in files.items():
        when, _, path = name.rpartition("|")
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.endswith("/"):
            target.mkdir(exist_ok=True)
            continue
        target.write_bytes(data)
        os.utime(target, (1e9 + 1e6 * int(when or 0),) * 2)
    return root


def zipped(path: Path, files: dict[str, bytes], encoding: str = "") -> Path:
    """A zip with these files; with an encoding, names are in it and do not say so, as from older programs."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            info = Older(name.encode(encoding).decode("cp437")) if encoding else zipfile.ZipInfo(name)
            archive.writestr(info, data)
    return path


class Older(zipfile.ZipInfo):
    """The record of a file whose name is written as these bytes, without the flag for UTF-8."""

    def _encodeFilenameFlags(self):  # noqa: N802
        return self.filename.encode("cp437"), self.flag_bits & ~0x800


def owners(path: Path, *way: str) -> dict[str, str]:
    """Each student's name, and the owner of the notebook that counts."""
    found = {}
    for one in handed_in(path, *way).submissions:
        assert one.name not in found
        source = "\n".join(cell.source for cell in choose(one, EXERCISES).notebook.code)
        found[one.name] = (re.findall("owner = '(.*)'", source) or [""])[0]
    return found


def said(path: Path, *way: str) -> str:
    return "\n".join(handed_in(path, *way).said)


def test_the_number_is_taken_once_from_the_outermost_name(tmp_path):
    files = {
        "M_4800_assignsubmission_file_x_4821_assignsubmission_file_.ipynb": book("M"),
        "Ann Lee_4821_assignsubmission_file_lab.ipynb": book("Ann"),
        "Default group_assignsubmission_file_lab.ipynb": book("team"),
    }
    found = {one.name: (one.system, one.number) for one in handed_in(folder(tmp_path, files)).submissions}
    assert found == {"M": ("moodle", "4800"), "Ann Lee": ("moodle", "4821"), "Default group": ("moodle", "")}
    assert said(tmp_path) == "Read as a download of Moodle: 3 students."


SYSTEMS = {
    "Canvas": {
        "leeann_LATE_412_7345_lab.ipynb": "Ann", "leeann_LATE_412_7346_lab-1.pdf": "",
        "o_neil_413_7347_4_1_lab.ipynb": "O", "cyd_414_7348_a.pdf": "", "dan_415_text.html": "",
    },
    "Canvas without names": {"anon_x8Kq2_7345_lab.ipynb": "one", "anon_77777_7346_lab.ipynb": "two"},
    "Blackboard": {
        "Homework 4_alee_attempt_2026-03-05-10-11-12_lab.ipynb": "old",
        "Homework 4_alee_attempt_2026-03-06-10-11-12_lab.ipynb": "Ann",
        "Homework 4_alee_attempt_2026-03-06-10-11-12.txt": "",
        "Homework 4_b_o_attempt_2026-03-05-10-11-12_lab.ipynb": "Bob",
    },
    "Brightspace": {
        "index.html": "", "13394-80551 - Ann Lee - Mar 5, 2026 1023 AM/lab.ipynb": "old",
        "13394-80551 - Ann Lee - Mar 5, 2026 123 PM/lab.ipynb": "Ann",
        "13395-80551 - Bob O'Neil - Mar 4, 2026 1023 AM/lab.ipynb": "Bob",
    },
    "ILIAS": {
        "Lee_Ann_alee_4821/20260305101112_lab.ipynb": "Ann", "Lee_Ann_alee_4821/20260304101112_lab.ipynb": "old",
        "O'Neil_Bob_boneil_4822/20260305101112_lab.ipynb": "Bob",
    },
}  # fmt: skip
NAMES = {
    "Canvas": {"leeann": "Ann", "o_neil": "O", "cyd": "", "dan": ""},
    "Canvas without names": {"anon x8Kq2": "one", "anon 77777": "two"},
    "Blackboard": {"alee": "Ann", "o": "Bob"},
    "Brightspace": {"Ann Lee": "Ann", "Bob O'Neil": "Bob"},
    "ILIAS": {"Ann Lee": "Ann", "Bob O'Neil": "Bob"},
}


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("around", ["", "Lab 4/", "My class 2026/"])
def test_downloads_of_learning_systems_as_they_come(tmp_path, system, around):
    files = {f"{around}{name}": book(token, "all") if token else b"x" for name, token in SYSTEMS[system].items()}
    path = zipped(tmp_path / "class.zip", files)
    assert owners(path) == NAMES[system]
    assert said(path).startswith(f"Read as a download of {system.split()[0]}: {len(NAMES[system])} students.")


def test_names_that_only_look_like_a_systems_are_no_download(tmp_path):
    """Three notebooks of three students, whatever stands between the underscores."""
    for n, names in enumerate(
        [("ps_4_1_ada", "ps_4_1_bob", "ps_4_1_cyd"), ("ada_4_1_x", "bob_4_1_x", "cyd_4_1_x"),
         ("ps_4_1_ada", "ps_4_2_bob", "ps_4_3_cyd"), ("week_1_1_ada", "week_2_2_bob", "week_3_3_cyd")]
    ):  # fmt: skip
        where = folder(tmp_path / str(n), {f"{name}.ipynb": book(name) for name in names})
        assert owners(where) == {name: name for name in names}


BESIDE = ("roster.csv", "desktop.ini", "README.md", "Thumbs.db", "instructions.pdf", "grades.xlsx")


@pytest.mark.parametrize("around", ["", "class 4/", "x/", "x/y/"])
@pytest.mark.parametrize("beside", BESIDE)
def test_a_file_beside_the_students_folders_merges_nobody(tmp_path, around, beside):
    names = ("ada", "bob", "cyd")
    files = {f"{around}{beside}": b"x", **{f"{around}{name}/lab.ipynb": book(name) for name in names}}
    path = zipped(tmp_path / "all.zip", files)
    assert owners(path) == {name: name for name in names}
    assert beside in said(path) or beside.lower() in ("desktop.ini", "thumbs.db") or around == "x/y/" or around


@pytest.mark.parametrize(
    "path",
    ["submitted/ada/ps4/lab.ipynb", "ada/ps4/lab.ipynb", "Lab 4/submissions/ada/lab.ipynb", "ada/lab.ipynb",
     "class/ada/v1/deep/lab.ipynb", "one/ada/lab.ipynb"],
)  # fmt: skip
def test_one_student_is_called_by_her_folder(tmp_path, path):
    """`one` is also the name of the zip."""
    assert owners(zipped(tmp_path / "one.zip", {path: book("ada")})) == {"ada": "ada"}
    if not path.startswith("one"):
        assert owners(folder(tmp_path / "class", {path: book("ada")})) == {"ada": "ada"}


def test_what_may_be_a_class_or_a_student_is_asked_and_can_be_said(tmp_path):
    three = folder(tmp_path, {f"xy/{name}.ipynb": book(name) for name in ("homework", "playground", "zeta")})
    with pytest.raises(Problem, match=r"xy may be a class or one student \(homework.ipynb, .*say --students"):
        handed_in(three)
    assert owners(three, "file") == {name: name for name in ("homework", "playground", "zeta")}
    assert list(owners(three, "one")) == ["xy"]
    assert list(owners(three, "folder")) == ["xy"]


def test_drafts_and_chapters_of_one_student_are_hers(tmp_path):
    files = {"lab_v1.ipynb": book("old"), "lab_v2.ipynb": book("old"), "9|lab_final.ipynb": book("ada", "all")}
    assert owners(folder(tmp_path, {(n.replace("lab", "ada/lab")): d for n, d in files.items()})) == {"ada": "ada"}


def test_numbered_students_in_a_folder_are_no_drafts(tmp_path):
    for n, names in enumerate((("student1", "student2"), ("student_1", "student_2"), ("4711", "4712"), ("ada", "Ada"))):
        with pytest.raises(Problem, match="xy may be a class or one student"):
            handed_in(folder(tmp_path / str(n), {f"xy/{name}.ipynb": book(name) for name in names}))


def test_several_classes_at_once_are_refused(tmp_path):
    names = ("Ann_1_assignsubmission_file/lab.ipynb", "Bob_2_assignsubmission_file/lab.ipynb")
    files = {name: book("x") for name in names}
    folder(tmp_path / "two", {f"group {g}/{name}": data for g in "ab" for name, data in files.items()})
    with pytest.raises(Problem, match=r"Each of these holds a class of its own: group a, group b. Grade one at a time"):
        handed_in(tmp_path / "two")
    (tmp_path / "in").mkdir()
    zipped(tmp_path / "in" / "class.zip", files)
    with pytest.raises(Problem, match=r"holds a class of its own: class.zip. .*course grade .*in/class.zip"):
        handed_in(tmp_path / "in")
    with pytest.raises(Problem, match="is the course's own repository"):
        handed_in(Path(__file__).resolve().parents[1])


@pytest.mark.parametrize(
    ("files", "match"),
    [
        (
            ("Ann_1_assignsubmission_file_a.ipynb", "Bob_1_assignsubmission_file_b.ipynb"),
            "Ann and Bob have one number, 1",
        ),
        (("Zoë/lab.ipynb", unicodedata.normalize("NFD", "Zoë") + "/lab.ipynb"), "Two submissions are called Zoë"),
        (("ada.ipynb", "ada/lab.ipynb"), r"Two submissions are called ada \(ada.ipynb and ada/lab.ipynb\)"),
        (("ada.ipynb", "ada.zip", "bob.ipynb"), "Two submissions are called ada"),
        (
            ("a/ada.ipynb", "a/bob.ipynb", "b/cyd.ipynb", "b/dan.ipynb"),
            "These folders may hold several students each: a, b",
        ),
        (("a/ada/x.ipynb", "a/bob/x.ipynb", "b/cyd/x.ipynb", "b/dan/x.ipynb"), "may hold several students each: a, b"),
        (("ada.ipynb", "bob.ipynb", "late/cyd.ipynb", "late/dan.ipynb"), "may hold several students each: late"),
    ],
)
def test_doubles_are_refused(tmp_path, files, match):
    with pytest.raises(Problem, match=match):
        handed_in(folder(tmp_path, {name: book("x") for name in files}))


def test_moodles_folders_of_one_student_are_one_whatever_form_the_name_has(tmp_path):
    name = "Zoë_7_assignsubmission_"
    files = {f"{name}file/lab.ipynb": book("zoe"), unicodedata.normalize("NFD", name) + "onlinetext/a.html": b"x"}
    assert owners(folder(tmp_path, files)) == {"Zoë": "zoe"}


ENCODED = {
    "utf-8": ("Zoë Ünal", "王小明", "Łukasz", "نور"),
    "cp437": ("Zoë", "Müller", "Björn"),
    "cp850": ("João", "Øyvind", "Müller"),
    "cp1252": ("José", "Müller", "ÉLODIE"),
    "cp852": ("Łukasz", "Żaneta"),
    "cp866": ("Ольга Петрова", "Иван"),
    "cp1251": ("Ольга Петрова", "Иван"),
    "shift_jis": ("山田太郎", "たなか", "スズキ"),
    "gb2312": ("王小明", "张伟", "李娜"),
    "big5": ("王小明", "張偉"),
    "euc_kr": ("김민준", "이서연", "박지훈", "최지우"),
}


@pytest.mark.parametrize("encoding", ENCODED)
def test_names_in_a_zip_that_do_not_say_their_encoding_are_read_by_evidence(tmp_path, encoding):
    files = {f"{name}_{n + 10}_assignsubmission_file/lab.ipynb": book(name) for n, name in enumerate(ENCODED[encoding])}
    path = zipped(tmp_path / "class.zip", files, encoding)
    assert not any(info.flag_bits & 0x800 for info in zipfile.ZipFile(path).infolist())
    assert owners(path) == {name: name for name in ENCODED[encoding]}
    assert ("do not say their encoding" in said(path)) == (encoding != "utf-8")


def test_an_encoding_without_clear_evidence_is_not_guessed(tmp_path):
    path = zipped(tmp_path / "class.zip", {f"{name}/lab.ipynb": book(name) for name in ("김민준", "ann")}, "euc_kr")
    assert len(owners(path)) == 2
    assert "which one is not clear" in said(path)
    assert decoded([b"plain", b"\xc2\xa0"]) == (["plain", "\xa0"], "utf-8")


def test_joiners_stay_and_other_blanks_are_blanks():
    assert shown("علی\u200cرضا") == "علی\u200cرضا"
    assert shown("नर\u200dक्ष a\u3000b\xa0c\td\u202e") == "नर\u200dक्ष a b c d?"


def test_the_newest_of_the_most_answered_notebooks_counts(tmp_path):
    files = {
        "1|ada/draft.ipynb": book("draft", "4.1"),
        "5|ada/final.ipynb": book("ada", "all", left=True),
        "3|ada/older.ipynb": book("older", "all"),
        "9|ada/empty.ipynb": book("stubs"),
        "9|ada/other.ipynb": book("other", "all", chapter=1),
        "bob/lab.ipynb": book("bob"),
    }
    assert owners(folder(tmp_path, files)) == {"ada": "ada", "bob": "bob"}


def test_the_courses_own_solutions_are_nobodys_answer(tmp_path):
    """Handed in with the whole repository, kept beside the own notebook, or alone in their folder."""
    shipped = book("course", "all", marks=True)
    files = {
        "ada/diverse-diffusion/notebooks/04_repulsion.ipynb": book("ada", "4.1"),
        "ada/diverse-diffusion/solutions/04_repulsion.ipynb": shipped,
        "ada/diverse-diffusion/solutions/01_noise.ipynb": book("course", "all", marks=True, chapter=1),
        "bob/mine.ipynb": book("bob"),
        "bob/04_repulsion.ipynb": shipped,
        "cyd/solutions/04_repulsion.ipynb": shipped,
        "cyd/solutions/01_noise.ipynb": book("course", "all", marks=True, chapter=1),
        "dan/lab.ipynb": shipped,
    }
    where = folder(tmp_path, files)
    assert owners(where) == {"ada": "ada", "bob": "bob", "cyd": "", "dan": "course"}
    problems = {one.name: choose(one, EXERCISES).problems for one in handed_in(where).submissions}
    assert problems["ada"][0].startswith("The course's own complete notebooks do not count: ada/diverse")
    assert problems["cyd"] == ("There are only the course's own complete notebooks: hand in yours.",)
    assert problems["dan"] == (
        "This is the course's own complete notebook, as it was given out: ask the student for theirs.",
    )


def test_a_student_has_one_vote_on_the_chapter(tmp_path):
    files = {f"ada/draft_{n}.ipynb": book("ada", chapter=1) for n in range(14)}
    files |= {f"{name}/lab.ipynb": book(name) for name in ("bob", "cyd", "dan")}
    files |= {f"eve/{n:02d}_x.ipynb": book("eve", chapter=n) for n in (1, 2, 3)}
    assert chapter_in(handed_in(folder(tmp_path, files)).submissions) == (4, [
        "Chapter 4, by the notebooks of 3 of 4 students.", "Another chapter was handed in by ada, eve."
    ])  # fmt: skip


def test_a_class_that_does_not_agree_on_a_chapter_is_asked(tmp_path):
    files = {f"{n}/lab.ipynb": book("x", chapter=1 if n < 2 else 4) for n in range(5)}
    with pytest.raises(Problem, match=r"does not agree on a chapter \(chapter 1 by 2, chapter 4 by 3\): .*--chapter 4"):
        chapter_in(handed_in(folder(tmp_path, files)).submissions)


# a property: in every layout, with hostile names, each student is there once with her own notebook, or one is asked

PARTS = (
    "Ada", "ada", "Zoë", unicodedata.normalize("NFD", "Zoë"), "O'Brien", "van der Berg", "王小明", "نور", "-rf",
    "علی\u200cرضا",
    "=SUM(A1)", "..b", "x" * 60, "4", "2026", "file", "LATE", "anon", "Lab 4", "assignsubmission", "attempt", "a.b",
    "%s", "<b>", "Ünal", "ß", "ss", "  two", "😀", "Mar 5, 2026 1023 AM", "12-34", "solutions", "final", "notebooks",
)  # fmt: skip


def made_name(rng: random.Random) -> str:
    return " ".join(rng.choice(PARTS) for _ in range(rng.choice((1, 1, 2, 3))))


def layout(kind: str, rng: random.Random, names: list[str]) -> dict[str, bytes]:
    """A class as one of the systems or a person lays it out; every notebook names its owner by number."""
    files = {}
    for n, name in enumerate(names):
        number, data = 4000 + n, book(str(n), *("4.1", "4.2")[: rng.randrange(3)])
        plain = name.replace("_", " ")
        squeezed = re.sub(r"\W", "", name).lower() or "x"
        stamp = f"2026-03-{rng.randrange(10, 28)}-10-11-12"
        tops = {
            "moodle": f"{plain}_{number}_assignsubmission_file/M_{n % 2}_assignsubmission_file_.ipynb",
            "moodle flat": f"{plain}_{number}_assignsubmission_file_lab.ipynb",
            "canvas": f"{squeezed}_{rng.choice(('', 'LATE_'))}{number}_{77000 + n}_lab.ipynb",
            "blackboard": f"HW_{squeezed}{n}_attempt_{stamp}_lab.ipynb",
            "brightspace": f"{number}-80551 - {plain} - Mar {n % 28 + 1}, 2026 1023 AM/lab.ipynb",
            "ilias": f"{squeezed}_{squeezed}_u{n}_{number}/20260305101112_lab.ipynb",
            "folders": f"{name}/{rng.choice(('', 'ps4/', 'a/b/'))}lab.ipynb",
            "files": f"{name}.ipynb",
            "nbgrader": f"submitted/{name}/ps4/lab.ipynb",
        }
        files[tops[kind]] = data
    for extra in rng.sample(("roster.csv", "__MACOSX/._x", "index.txt", ".DS_Store"), rng.randrange(3)):
        files[extra] = b"x"
    around = rng.choice(("", "", "class/", "some course/"))
    return {around + path: data for path, data in files.items()}


KINDS = ("moodle", "moodle flat", "canvas", "blackboard", "brightspace", "ilias", "folders", "files", "nbgrader")


@pytest.mark.parametrize("kind", KINDS)
def test_every_student_is_there_once_with_her_own_notebook_or_a_person_is_asked(tmp_path, kind):
    rng, asked = random.Random(kind), 0
    for turn in range(60):
        names = list(dict.fromkeys(made_name(rng) for _ in range(rng.choice((1, 2, 3, 8)))))
        files = layout(kind, rng, names)
        path = zipped(tmp_path / f"{turn}.zip", files)
        try:
            found = handed_in(path)
        except Problem:
            asked += 1
            continue
        tokens = []
        for one in found.submissions:
            source = choose(one, EXERCISES).notebook.code
            tokens += re.findall("owner = '(.*)'", source[0].source) if source else [""]
        wanted = {re.findall(rb"owner = '(\d+)'", data)[0].decode() for data in files.values() if data != b"x"}
        assert sorted(tokens) == sorted(wanted), (names, list(files))
    assert asked < 40
