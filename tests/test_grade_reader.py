"""Reading what students hand in: layouts, names, and notebooks of every shape; nothing raises."""

import io
import json
import os
import random
import zipfile
from pathlib import Path

import pytest
from grading import code, marked, notebook, whole, write

from course_lib.exercises import registry
from course_lib.tools.environment import Problem
from course_lib.tools.grade.collected import choosing, submissions
from course_lib.tools.grade.collected.archives import in_zip
from course_lib.tools.grade.collected.choosing import choose
from course_lib.tools.grade.collected.notebook import Cell, Notebook, chapter_of, find, read_notebook
from course_lib.tools.grade.collected.voting import chapter_in

EXERCISES = [one for one in registry.exercises(4) if one.kind != "judged"]
FIRST = EXERCISES[:3]
SOLVED = json.dumps(notebook()).encode()


def read(data) -> Notebook:
    return read_notebook(data if isinstance(data, bytes) else json.dumps(data).encode())


def problem(data) -> str:
    [said] = read(data).problems
    return said


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "The file is empty."),
        (b" \n\t", "The file is empty."),
        (b"%PDF-1.7 ...", "The file is a PDF, not a notebook: hand in the .ipynb file."),
        (b"PK\x03\x04....", "The file is an archive or an Office document, not a notebook: hand in the .ipynb file."),
        (b"\n<!DOCTYPE html><html>", "The file is a web page, not a notebook: hand in the .ipynb file."),
        (b"\x80\x81\x82 binary", "The file is binary, not a notebook: hand in the .ipynb file."),
        (b"\xff\xfeodd", "The file is binary, not a notebook: hand in the .ipynb file."),
        (SOLVED[:400], "The notebook is broken in line 1 (Unterminated string starting at): is the file cut off?"),
        (b"def force(x): pass", "The notebook is broken in line 1 (Expecting value): is the file cut off?"),
        (b"[" * 100_000, "The notebook is broken (RecursionError): download it again."),
        (b'{"n": ' + b"9" * 5000 + b"}", "The notebook is broken (ValueError): download it again."),
        ([], "The file is JSON but no notebook: it has no cells."),
        ({"cells": 3}, "The file is JSON but no notebook: it has no cells."),
        ({"worksheets": [3, {"cells": 4}]}, "The notebook has no cells."),
        ({"cells": []}, "The notebook has no cells."),
        ({"cells": [1, None, "x"]}, "The notebook has no cells."),
    ],
)
def test_what_is_no_notebook_is_told_in_a_sentence(data, said):
    assert problem(data) == said


@pytest.mark.parametrize("cells", [[code("x")] * 5001, [code("x" * 1_000_001)], [code("x" * 900_000)] * 5])
def test_a_notebook_too_large_to_be_the_courses_is_refused(cells):
    assert "hand in the course's notebook" in problem({"cells": cells})
    assert read({"cells": cells}).cells == ()


def test_a_notebook_is_read_in_every_encoding():
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        data = json.dumps(notebook(), ensure_ascii=False).encode(encoding)
        assert [cell.tag for cell in read(data).code] == ["", "4.1", "4.2", "4.3"]


def test_format_3_has_worksheets_and_inputs():
    cells = [{"cell_type": "code", "input": ["# exercise 4.1\n", "x = 1"]}, {"cell_type": "heading", "source": "x"}]
    found = read({"nbformat": 3, "worksheets": [{"cells": cells}, {"cells": [code("y")]}]})
    assert [(cell.kind, cell.source) for cell in found.cells] == [
        ("code", "# exercise 4.1\nx = 1"), ("heading", "x"), ("code", "y")
    ]  # fmt: skip


def test_fields_of_the_wrong_type_are_as_if_absent():
    odd = [
        {"cell_type": 3, "source": 4, "metadata": 5},
        {"cell_type": "code", "source": ["a", 3, "b"], "metadata": {"course": [1]}},
        {"cell_type": "code", "source": None, "metadata": {"course": {"exercise": ["4.1"]}}},
        {"cell_type": "code", "source": "\ud800\0\r\n", "metadata": {"course": {"exercise": "4.1; rm"}}},
        {},
    ]
    assert [(c.kind, c.source, c.tag) for c in read({"cells": odd}).cells] == [
        ("", "", ""), ("code", "ab", ""), ("code", "", ""), ("code", "\ud800\n", ""), ("", "", "")
    ]  # fmt: skip


def places(*sources: str, exercises=FIRST) -> dict:
    """Where the exercises are found in a notebook of these code cells."""
    return dict(find(Notebook(tuple(Cell("code", source) for source in sources)), exercises).places)


ONE, TWO = "# exercise 4.1\ndef similarity(x, h): return 1", "# Exercise 4.2\ndef force(x): return 2"
STUB = '# exercise 4.1\ndef similarity(x, h):\n    raise NotImplementedError("Exercise 4.1")'


def test_exercises_are_found_by_their_mark_in_any_order():
    assert places(TWO, "x = 1", ONE) == {"4.2": 0, "4.1": 2}
    assert places("import torch\n\n" + ONE) == {"4.1": 0}
    assert places("#exercise 4.1\nsimilarity = torch.cdist") == {"4.1": 0}
    assert places("# exercise 4.11\nx = 1") == {}


def test_of_several_cells_the_last_solved_one_that_defines_the_function_counts():
    assert places(ONE, STUB) == {"4.1": 0}
    assert places(STUB, ONE, ONE + "\n", STUB) == {"4.1": 2}
    assert places(STUB, STUB) == {"4.1": 1}
    assert places(ONE, "# exercise 4.1 tried out\nsimilarity(x, 1)") == {"4.1": 0}
    assert places(ONE, TWO + "\n# exercise 4.1 was easier") == {"4.1": 0, "4.2": 1}
    assert places(ONE + "\n" + TWO) == {"4.1": 0, "4.2": 0}
    [note] = find(Notebook((Cell("code", ONE), Cell("code", STUB))), FIRST).notes
    assert note == "Exercise 4.1 stands in 2 cells: the last one that is solved was graded."


def test_a_comment_counts_more_than_metadata_that_was_copied_along():
    cells = (Cell("code", ONE, "4.1"), Cell("code", TWO, "4.1"), Cell("code", "median_rule = 1", "4.3"))
    assert dict(find(Notebook(cells), FIRST).places) == {"4.1": 0, "4.2": 1, "4.3": 2}


def test_an_unmarked_function_counts_where_nothing_else_does():
    bare = ONE.split("\n", 1)[1]
    found = find(Notebook((Cell("code", STUB), Cell("code", bare), Cell("code", "similarity(x, 1)"))), FIRST)
    assert found.places == {"4.1": 1}
    assert found.notes == ("Exercise 4.1 was found by the name of its function, similarity: its mark is gone.",)
    assert places(ONE, bare) == {"4.1": 0}
    assert places(STUB, "similarity = fallback('4.1', similarity)") == {"4.1": 0}
    assert places(bare.replace("return 1", "\n    raise NotImplementedError")) == {}


def test_what_is_missing_has_a_reason():
    cells = (
        Cell("markdown", ONE),
        Cell("markdown", "# Exercise 4.2 asks for force = mass"),
        Cell("raw", "def median_rule(x): 1"),
    )
    missing = find(Notebook(cells), FIRST).missing
    text_cell = "The cell of exercise {} is a text cell, in which nothing runs: make it a code cell again."
    assert missing["4.1"] == text_cell.format("4.1")
    assert missing["4.2"] == "There is no cell of exercise 4.2 in the notebook."
    assert missing["4.3"] == text_cell.format("4.3")


@pytest.mark.parametrize("chapter", [1, 2, 3, 4])
def test_the_courses_own_notebooks_are_read_without_a_note(chapter):
    """Each exercise stands where its metadata says, and no other cell is taken for one."""
    exercises = [one for one in registry.exercises(chapter) if one.kind != "judged"]
    for solved in (True, False):
        book = whole(chapter, solved)
        code_cells = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
        found = find(read(book), exercises)
        assert found.notes == ()
        assert found.missing == {}
        assert {id: marked(code_cells[at]) for id, at in found.places.items()} == {one.id: one.id for one in exercises}
        assert found.solved == len(exercises) * solved
        for cell in book["cells"]:
            cell["metadata"] = {}
        assert find(read(book), exercises) == found
        assert chapter_of(read(book)) == chapter


def in_folder(tmp_path: Path, *paths: str) -> list[tuple[str, str]]:
    """Names and files of the submissions in a folder of solved notebooks."""
    for path in paths:
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.mkdir() if path.endswith("/") else target.write_bytes(SOLVED)
    found = submissions.submissions(tmp_path)
    assert len({one.key for one in found}) == len(found)
    assert [one.key for one in found] == sorted(one.key for one in found)
    return sorted((one.name, choose(one, EXERCISES).file) for one in found)


def test_one_notebook_or_one_folder_a_student(tmp_path):
    got = in_folder(
        tmp_path,
        "ann.ipynb",
        "bob/lab.ipynb",
        "cyd/deep/er/lab.IPYNB",
        "read me.txt",
        ".ipynb_checkpoints/y.ipynb",
        "dan/",
    )
    assert got == [("ann", "ann.ipynb"), ("bob", "bob/lab.ipynb"), ("cyd", "cyd/deep/er/lab.IPYNB"), ("dan", "dan/")]


def test_a_download_of_moodle(tmp_path):
    """With a folder a student and without, with and without the trailing underscore, blind, and with text entered."""
    names = [
        "Ann Lee_12_assignsubmission_file_/lab.ipynb", "Bob O'Neil_13_assignsubmission_file/lab.ipynb",
        "Cyd_14_assignsubmission_file_lab_2.ipynb", "Participant 5_15_assignsubmission_file_/a/lab.ipynb",
        "Dan_16_assignsubmission_onlinetext_/onlinetext.html",
    ]  # fmt: skip
    got = in_folder(tmp_path, *names)
    assert [name for name, _ in got] == ["Ann Lee", "Bob O'Neil", "Cyd", "Dan", "Participant 5"]
    assert {file for _, file in got} == set(names)


def test_a_download_of_canvas(tmp_path):
    """Late ones, and two files of one student, which are one submission."""
    got = in_folder(
        tmp_path,
        "leeann_12_345_lab.ipynb",
        "neilbob_LATE_13_346_lab.ipynb",
        "leeann_12_347_lab-1.ipynb",
        "cyd_14_348_a.pdf",
    )
    assert [name for name, _ in got] == ["cyd", "leeann", "neilbob"]
    assert got[0] == ("cyd", "cyd_14_348_a.pdf")


@pytest.mark.parametrize("inner", [["ann/lab.ipynb", "bob/lab.ipynb"], ["ann.ipynb", "bob.ipynb", "cyd.ipynb"],
                                   ["leeann_12_345_lab.ipynb", "bob_13_346_lab.ipynb"]])  # fmt: skip
def test_a_folder_around_the_class_is_nobodys(tmp_path, inner):
    got = in_folder(tmp_path, *(f"Lab 4/submissions/{path}" for path in inner))
    assert len(got) == len(inner)
    assert {file for _, file in got} == set(inner)


def test_one_student_alone(tmp_path):
    assert in_folder(tmp_path, "ann/lab.ipynb", "ann/lab-1.ipynb") == [("ann", "ann/lab.ipynb")]


def test_a_zip_is_as_its_folder_and_nothing_is_unpacked(tmp_path):
    path = tmp_path / "class.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in (
            "../../up.ipynb",
            "/abs/lab.ipynb",
            "a\\b.ipynb",
            "Ann_1_assignsubmission_file_/",
            "..",
            "__MACOSX/._x.ipynb",
        ):
            archive.writestr(name, SOLVED if name.endswith("b") else b"")
        link = zipfile.ZipInfo("link/lab.ipynb")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    found = {one.name: choose(one, EXERCISES) for one in submissions.submissions(path)}
    assert set(found) == {"up", "abs", "a", "Ann", "link"}
    assert found["up"].file == "../../up.ipynb"
    assert found["Ann"].problems == ("The folder is empty.",)
    assert found["link"].problems == ("The file is a link or a device, not a notebook: hand in the notebook itself.",)
    assert os.listdir(tmp_path) == ["class.zip"]


def test_where_there_is_no_class_a_sentence_says_so(tmp_path):
    for path, said in [
        ("x", "There is no"),
        ("file", "neither a folder nor a zip"),
        ("none", "There is no notebook in"),
    ]:
        (tmp_path / "file").write_text("x")
        (tmp_path / "none").mkdir(exist_ok=True)
        (tmp_path / "none" / "notes.txt").write_text("x")
        with pytest.raises(Problem, match=said):
            submissions.submissions(tmp_path / path)


def only(tmp_path: Path) -> submissions.Submission:
    [one] = submissions.submissions(tmp_path)
    return one


def test_of_two_notebooks_the_most_solved_counts_and_then_the_newest(tmp_path):
    for name, data, when in [("b", notebook(), 1e9), ("a", notebook(), 2e9), ("c", notebook(solved=False), 3e9)]:
        os.utime(write(tmp_path / "ann" / f"{name}.ipynb", data), (when, when))
    (tmp_path / "ann" / "d.ipynb").write_bytes(b"")
    (tmp_path / "bob").mkdir()
    [ann] = [one for one in submissions.submissions(tmp_path) if one.name == "ann"]
    chosen = choose(ann, EXERCISES)
    assert chosen.file == "ann/a.ipynb"
    assert chosen.problems == (
        "Of 4 notebooks the one with most exercises solved was graded, and of these the newest: "
        "ann/a.ipynb, not ann/b.ipynb, ann/c.ipynb, ann/d.ipynb.",
    )


def test_a_students_own_zip_is_looked_into(tmp_path):
    (tmp_path / "ann").mkdir()
    with zipfile.ZipFile(tmp_path / "ann" / "lab.zip", "w") as archive:
        archive.writestr("lab/lab.ipynb", SOLVED)
        archive.writestr("lab/data.csv", "1,2")
    assert choose(only(tmp_path), EXERCISES).file == "ann/lab.zip/lab/lab.ipynb"


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.pdf", b"x", "There is no notebook (.ipynb), only a.pdf."),
        ("a.zip", b"x", "ann/a.zip cannot be read (BadZipFile): hand in the notebook alone."),
        ("a.zip", b"PK\x05\x06" + bytes(18), "There is no notebook (.ipynb) in ann/a.zip."),
        ("a.zip", bytes(choosing.ARCHIVE + 1), "ann/a.zip has more than 32 MB: hand in the notebook alone."),
    ],
)
def test_a_submission_without_a_notebook_has_a_reason(tmp_path, name, data, said):
    (tmp_path / "ann").mkdir()
    (tmp_path / "ann" / name).write_bytes(data)
    chosen = choose(only(tmp_path), EXERCISES)
    assert chosen.problems == (said,)
    assert set(chosen.found.missing) == {one.id for one in EXERCISES}


def test_a_file_that_cannot_be_read_has_a_reason(tmp_path):
    """Encrypted, of an unknown compression, or with a wrong checksum."""
    path = tmp_path / "ann.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ann/lab.ipynb", b"{}" * 50)
        archive.writestr("bob/lab.ipynb", b"{}" * 50)
        archive.writestr("cyd/lab.ipynb", b"{}" * 50)
    data = bytearray(path.read_bytes())
    heads = [at for at in range(len(data)) if data[at : at + 4] == b"PK\x01\x02"]
    locals_ = [at for at in range(len(data)) if data[at : at + 4] == b"PK\x03\x04"]
    data[heads[0] + 8] |= 1
    data[locals_[0] + 6] |= 1
    data[heads[1] + 10] = 77
    data[locals_[2] + 30 + len("cyd/lab.ipynb")] ^= 1
    path.write_bytes(data)
    said = {one.name: choose(one, EXERCISES).problems for one in submissions.submissions(path)}
    form = "The file cannot be read ({}): hand it in again."
    kinds = {"ann": "RuntimeError", "bob": "NotImplementedError", "cyd": "BadZipFile"}
    assert said == {name: (form.format(kind),) for name, kind in kinds.items()}


def test_names_can_be_written_anywhere(tmp_path):
    odd = os.fsdecode(b"bad \xff name")
    for name in (odd, "-rf", "a\tb", "..b", "x" * 200, "Zoë 😀", "zoë 😀", "CON", "ZOË 😀"):
        write(tmp_path / name / "lab.ipynb", notebook())
    found = submissions.submissions(tmp_path)
    assert len({one.key.lower() for one in found}) == 9
    for one in found:
        assert one.key.isascii()
        assert one.key[0].isalnum()
        assert len(one.key) < 60
        (one.name + choose(one, EXERCISES).file).encode("utf-8")
        assert one.name.isprintable()
    assert submissions.whose_is(submissions.Item("\u202e.ipynb", (), bytes), "", "", ()).name == "\u202e"


def test_folders_deeper_than_anyone_needs_are_told(tmp_path):
    write(tmp_path / "ann" / "/".join("abcdefghi") / "lab.ipynb", notebook())
    write(tmp_path / "bob" / "lab.ipynb", notebook())
    said = {one.name: choose(one, EXERCISES).problems for one in submissions.submissions(tmp_path)}
    assert said == {
        "ann": ("The folder has more than 8 folders in one another: hand in the notebook alone.",), "bob": ()
    }  # fmt: skip


def test_the_chapter_is_that_of_most_notebooks(tmp_path):
    for name, chapter in [("a", 4), ("b", 1), ("c", 4)]:
        write(tmp_path / f"{name}.ipynb", whole(chapter))
    os.symlink("/etc/passwd", tmp_path / "d.ipynb")
    (tmp_path / "e.ipynb").write_bytes(b"{")
    found = submissions.submissions(tmp_path)
    assert chapter_in(found) == (4, [
        "Chapter 4, by the notebooks of 2 of 3 students.", "Another chapter was handed in by b."
    ])  # fmt: skip
    with pytest.raises(Problem, match="say --chapter"):
        chapter_in([one for one in found if one.name in "de"])
    assert choose(found[-1], EXERCISES).found.missing


def test_the_notebook_of_another_chapter_is_told(tmp_path):
    write(tmp_path / "ann.ipynb", whole(1))
    assert choose(only(tmp_path), EXERCISES).problems == ("This is the notebook of chapter 1; chapter 4 is graded.",)


SPLICES = [
    b"",
    b"{",
    b"]",
    b'"',
    b",",
    b"\\u",
    b"\\ud800",
    b"null",
    b"1e999",
    b"\xff",
    b"\0",
    b"[[[[",
    b'"cells":',
    b'"source":[',
]
SPLICES += [
    b"# exercise 4.1\\n",
    b"-0",
    b"NaN",
    b"true",
    b'{"cell_type":"code"}',
    b"\\",
    b"def force(",
    b"\xed\xa0\x80",
]


def mutated(data: bytes, rng: random.Random) -> bytes:
    """The notebook with a few pieces cut out, doubled or replaced."""
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        at, length = rng.randrange(len(data) + 1), rng.choice((0, 1, 1, 2, 8, 64, 512))
        piece = rng.choice((rng.choice(SPLICES), data[at : at + length] * 2, rng.randbytes(length)))
        data = data[:at] + piece + data[at + rng.choice((0, length)) :]
    return data


def leaves(data, path=()):
    """The paths to everything in decoded JSON."""
    yield path
    for key, value in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        yield from leaves(value, (*path, key))


def odd(rng: random.Random):
    return rng.choice(
        [None, 0, -1.5, True, "", "4.1", "\ud800", [], {}, [[]], {"cells": []}, ["# exercise 4.2\n", 3], 10**400]
    )


def reshaped(data, rng: random.Random):
    """The decoded notebook with some of its values replaced by values of any type."""
    paths = [path for path in leaves(data) if path]
    for *way, last in rng.sample(paths, rng.choice((1, 2, 8))):
        inside = data
        try:
            for key in way:
                inside = inside[key]
            inside[last] = odd(rng)
        except (TypeError, KeyError, IndexError):  # an earlier replacement has taken the way away
            continue
    return data


def test_ten_thousand_mutated_notebooks_end_in_cells_or_a_sentence():
    """Half are mutated as bytes, half as decoded JSON; reading, finding and the chapter never raise."""
    rng, broken = random.Random(0), 0
    small = json.dumps(notebook("4.1", "4.2"), ensure_ascii=False).encode()
    for turn in range(10_000):
        if turn % 2:
            data = mutated(small, rng)
        else:
            data = json.dumps(reshaped(json.loads(small), rng)).encode()
        got = read_notebook(data)
        found = find(got, FIRST)
        assert len(found.places) + len(found.missing) == 3
        assert chapter_of(got) in (None, 4) or turn
        assert all(0 <= at < len(got.code) for at in found.places.values())
        assert got.cells or got.problems
        broken += bool(got.problems)
    assert 2000 < broken < 8000


def test_mutated_zips_end_in_items_or_an_error_that_is_caught():
    """A student's own zip, mutated two thousand times."""
    rng, file = random.Random(0), io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("lab.ipynb", SOLVED)
        archive.writestr("b/lab.ipynb", SOLVED)
    for _ in range(2000):
        data = mutated(file.getvalue(), rng)
        item = submissions.Item("ann/lab.zip", (), lambda most, data=data: data)
        chosen = choose(submissions.Submission("k", "ann", (item,)), FIRST)
        assert chosen.problems or chosen.notebook.cells
    assert [one.path for one in in_zip(file)] == ["lab.ipynb", "b/lab.ipynb"]
