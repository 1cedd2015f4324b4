"""Nothing that one student hands in stops the class; what the machine refuses is one sentence. By the real command."""

import io
import json
import os
import random
import re
import resource
import socket
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from grading import notebook, write

from course_lib.tools.cli import main
from course_lib.tools.grade.collected import items
from course_lib.tools.grade.collected.submissions import handed_in
from course_lib.tools.grade.marked import result
from course_lib.tools.grade.marked.folder import locked
from course_lib.tools.grade.outside import batch, plan
from course_lib.tools.grade.outside.seed import generated, guessable

GOOD = json.dumps(notebook("4.1")).encode()
RUN = "from course_lib.tools.cli import main; from course_lib.tools.grade.outside import plan; import sys\n" + (
    "plan.fair = lambda exercise, seeds: True\nstatus = main(sys.argv[1:])\n"
    "print(open('/proc/self/status').read(), file=sys.stderr)\nsys.exit(status)\n"
)


def packed(files: dict[str, bytes], path: Path | None = None) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.getvalue())
    return data.getvalue()


def central(data: bytes, name: str, place: int, value: bytes) -> bytes:
    """The zip with some bytes of a file's record in the table of contents replaced."""
    at = next(i for i in range(len(data)) if data[i : i + 4] == b"PK\1\2" and data[i + 46 :].startswith(name.encode()))
    return data[: at + place] + value + data[at + place + len(value) :]


def overlapping(number: int, size: int) -> bytes:
    """A zip in which many notebooks are the same bytes, each 64 MB of blanks."""
    one = packed({"a.ipynb": b" " * size})
    begin = one.index(b"PK\1\2")
    record, rest = one[begin : one.index(b"PK\5\6")], one[:begin]
    table = b"".join(
        record[:46] + f"{n}.ipynb".zfill(7 + len(str(number))).encode()[-7:] + record[53:] for n in range(number)
    )
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, number, number, len(table), len(rest), 0)
    return rest + table + end


def far_away() -> bytes:
    """A zip whose table of contents is said, in 64 bits, to lie far beyond its end."""
    data = packed({"lab.ipynb": GOOD})
    end = data.index(b"PK\5\6")
    big = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, 2**62, 2**63 - 5)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, end, 1)
    return (
        data[:end] + big + locator + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 2**32 - 1, 2**32 - 1, 0)
    )


def nested(depth: int) -> bytes:
    data = GOOD
    for n in range(depth):
        data = packed({"lab.ipynb" if n == 0 else "in.zip": data})
    return data


BLANK = b" " * 20_000_000
FIFTY = packed({f"{n}.ipynb": BLANK for n in range(50)})
BOMB = b'{"cells": [' + b"[]," * 9_000_000 + b"[]]}"
IN_FOLDERS = {
    "zip64": ({"lab.zip": far_away()}, "is a zip file that is damaged or cut off"),
    "cut": ({"lab.zip": packed({"lab.ipynb": random.Random(0).randbytes(9000)})[:5000]}, "that is cut off"),
    "no zip": ({"lab.zip": b"hello"}, "cannot be read (BadZipFile)"),
    "overlapping": ({"lab.zip": overlapping(50, 64_000_000)}, "The zip has overlapping files"),
    "many": ({"lab.zip": packed({f"{n}": b"" for n in range(21_000)})}, "has more than 20,000 files"),
    "bomb": ({"lab.ipynb": BOMB}, "The notebook has more than 2,000,000 values"),
    "fifty": ({"lab.zip": FIFTY}, "More than 128 MB were handed in"),
    "deep": ({"lab.zip": nested(5)}, "There is no notebook (.ipynb) in deep/lab.zip"),
    "fine and fifty": ({"lab.ipynb": GOOD, "b.zip": FIFTY}, ""),
    "nested": ({"lab.zip": nested(3)}, ""),
    "wrong suffix": ({"lab.ipynb.txt": GOOD}, ""),
    "honest": ({"lab.ipynb": GOOD}, ""),
}  # fmt: skip


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """The command on a folder of all that, in a process whose time and memory are measured."""
    place = tmp_path_factory.mktemp("hostile")
    for name, (files, _) in IN_FOLDERS.items():
        for file, data in files.items():
            (place / "class" / name).mkdir(parents=True, exist_ok=True)
            (place / "class" / name / file).write_bytes(data)
    top = place / "class"
    for name in ("loop", "pipe", "socket", "device"):
        (top / name).mkdir()
    os.symlink(top, top / "loop" / "lab")
    os.symlink("lab.ipynb", top / "loop" / "lab.ipynb")
    os.symlink(top / "honest", top / "linked")
    os.mkfifo(top / "pipe" / "lab.ipynb")
    with socket.socket(socket.AF_UNIX) as listener:
        os.chdir(top / "socket")
        listener.bind("lab.ipynb")
        os.chdir(Path(__file__).resolve().parents[1])
    line = ["grade", str(top), "--out", str(place / "out"), "--no-sandbox", "--chapter", "4", "--jobs", "1"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)  # of earlier tests
    ended = subprocess.run([sys.executable, "-c", RUN, *line], capture_output=True, text=True, timeout=500)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return ended, {one.name: one for one in result.read_all(place / "out" / "results")}, used, place / "out"


def test_a_class_with_all_of_it_is_graded(hostile):
    ended, results, _, out = hostile
    assert (ended.returncode, ended.stderr.count("Traceback")) == (0, 0), ended.stderr
    assert set(results) == {*IN_FOLDERS, "loop", "pipe", "socket", "device", "linked"}
    assert not (out / "errors.log").exists()


@pytest.mark.parametrize("name", IN_FOLDERS)
def test_who_cannot_be_read_has_a_sentence_and_the_others_their_marks(hostile, name):
    one = hostile[1][name]
    if IN_FOLDERS[name][1]:
        assert IN_FOLDERS[name][1] in " ".join(one.problems)
        assert one.points == 0
    else:
        assert one.exercises["4.1"].status == "passed", one.problems


@pytest.mark.parametrize("name", ["loop", "pipe", "socket", "linked"])
def test_links_and_devices_are_not_opened(hostile, name):
    assert "The file is a link or a device" in " ".join(hostile[1][name].problems)


def test_what_is_read_of_one_student_is_bounded(hostile):
    """Seconds of computing of the whole run, the honest ones' workers included, and the grader's own memory."""
    ended, _, used, _ = hostile
    assert used < 120
    assert int(re.search(r"VmHWM:\s+(\d+) kB", ended.stderr)[1]) < 900_000


def test_damaged_records_of_a_class_zip_cost_their_owners_only(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(plan, "fair", lambda exercise, seeds: True)
    names = ("ada", "bob", "cyd", "dan", "eve", "fay")
    data = packed({f"{name}/lab.ipynb": GOOD for name in names})
    data = central(data, "bob/lab.ipynb", 42, struct.pack("<L", 0xFFFFFFF0))  # where it begins
    data = central(data, "cyd/lab.ipynb", 12, struct.pack("<2H", 0xFFFF, 0xFFFF))  # its time and day
    data = central(data, "dan/lab.ipynb", 16, b"\0\0\0\0")  # its checksum
    data = central(data, "eve/lab.ipynb", 20, struct.pack("<L", 2**31))  # how long it is
    data = central(data, "fay/lab.ipynb", 24, struct.pack("<L", 5))  # how long it will be
    (tmp_path / "class.zip").write_bytes(data)
    assert main(["grade", str(tmp_path / "class.zip"), "--out", str(tmp_path / "out"), "--no-sandbox"]) == 0
    results = {one.name: one for one in result.read_all(tmp_path / "out" / "results")}
    assert set(results) == set(names)
    assert {name for name, one in results.items() if one.points} >= {"ada", "cyd"}
    for name in ("bob", "dan"):
        assert "cannot be read" in " ".join(results[name].problems)
    assert "Read as one folder or one notebook a student: 6 students." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (
            packed({"ada/lab.ipynb": GOOD})[:300],
            "is a zip file that is cut off: its end is missing: download it again.",
        ),
        (far_away(), "is a zip file that is damaged or cut off"),
        (b"hello", "is neither a folder nor a zip file"),
    ],
)
def test_a_class_that_cannot_be_read_is_one_sentence(tmp_path, capsys, data, match):
    (tmp_path / "class.zip").write_bytes(data)
    assert main(["grade", str(tmp_path / "class.zip"), "--out", str(tmp_path / "out"), "--no-sandbox"]) == 1
    err = capsys.readouterr().err
    assert match in err
    assert err.count("\n") == 1


def test_a_folder_without_rights_and_a_day_of_no_calendar_are_sentences(tmp_path, monkeypatch):
    write(tmp_path / "ada" / "lab.ipynb", notebook("4.1"))
    write(tmp_path / "bob" / "lab.ipynb", notebook("4.1"))
    scandir = os.scandir

    def refusing(path):
        if str(path).endswith("bob"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(items.os, "scandir", refusing)
    ada, bob = handed_in(tmp_path).submissions
    assert (ada.name, bob.name) == ("ada", "bob")
    assert bob.items[0].broken == "The folder cannot be read (Permission denied)."
    assert [items.moment(seconds) for seconds in (1e30, -1e30, float("nan"))] == [(), (), ()]


def stubbed(monkeypatch):
    """Replaces what costs time: no code runs, nothing is tried out."""
    monkeypatch.setattr(plan, "fair", lambda exercise, seeds: True)
    monkeypatch.setattr(
        batch.Batch, "replies", lambda self, chosen, ids, slot: dict.fromkeys(ids, batch.Reply("stopped"))
    )


@pytest.fixture
def small(tmp_path, monkeypatch):
    stubbed(monkeypatch)
    for name in ("ada", "bob", "cyd"):
        write(tmp_path / "class" / name / "lab.ipynb", notebook("4.1"))
    return tmp_path / "class"


def run(small, out, *options):
    return main(["grade", str(small), "--out", str(out), "--no-sandbox", *options])


def test_a_fault_of_the_grader_itself_costs_one_student_and_is_kept_for_maintainers(
    small, tmp_path, monkeypatch, capsys
):
    choose, marked = batch.choose, batch.marked

    def broken(submission, exercises):
        return 1 / 0 if submission.name == "bob" else choose(submission, exercises)

    monkeypatch.setattr(batch, "choose", broken)
    assert run(small, tmp_path / "out") == 0
    assert "The grader itself failed on bob: see errors.log" in capsys.readouterr().out
    assert "ZeroDivisionError" in (tmp_path / "out" / "errors.log").read_text()
    results = {one.name: one for one in result.read_all(tmp_path / "out" / "results")}
    assert results["bob"].problems == [
        "The grader failed on this submission (ZeroDivisionError), which is not your fault: please say so."
    ]
    assert results["ada"].problems == results["cyd"].problems == []
    monkeypatch.setattr(batch, "choose", choose)
    monkeypatch.setattr(batch, "marked", lambda one, *rest: 1 / 0 if one.id == "4.1" else marked(one, *rest))
    assert run(small, tmp_path / "out") == 0
    assert "1 graded, 2 as before" in capsys.readouterr().out  # and bob once more, who fails elsewhere now
    assert result.read_all(tmp_path / "out" / "results")[1].problems[0].startswith("The grader failed")


def test_two_graders_do_not_write_into_one_folder(small, tmp_path, capsys):
    with locked(tmp_path / "out"):
        assert run(small, tmp_path / "out") == 1
        assert run(small, tmp_path / "out", "--seed", "another") == 1
    said = f"Another `course grade` is writing to {tmp_path / 'out'}: wait for it to end, or choose another folder with"
    assert capsys.readouterr().err == f"{said} --out.\n" * 2
    assert run(small, tmp_path / "out") == 0
    assert run(small, tmp_path / "out", "--seed", "another") == 1
    assert "was begun with another --seed" in capsys.readouterr().err
    assert run(small, tmp_path / "out") == 0


def test_a_folder_that_cannot_be_written_to_is_one_sentence(small, tmp_path, capsys):
    (tmp_path / "file").write_text("x")
    for out in (tmp_path / "file", tmp_path / "file" / "out", Path("/proc/nowhere"), small):
        assert run(small, out) == 1
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert "choose another folder with --out" in err
    assert (tmp_path / "file").read_text() == "x"
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "results").write_text("x")
    assert run(small, tmp_path / "out") == 1
    assert "cannot be written to" in capsys.readouterr().err


FULL = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))\n" + RUN


def test_a_full_disk_is_one_sentence_and_loses_nothing(small, tmp_path):
    """No file may grow beyond 3000 bytes, as on a disk that is full; afterwards it may."""
    script = FULL.replace("sys.exit", "from course_lib.tools.grade.outside import batch\nbatch.Batch.replies = "
        "lambda self, chosen, ids, slot: dict.fromkeys(ids, batch.Reply('stopped'))\nsys.exit")  # fmt: skip
    line = ["grade", str(small), "--out", str(tmp_path / "out"), "--no-sandbox"]
    ended = subprocess.run([sys.executable, "-c", script, *line], capture_output=True, text=True, timeout=300)
    assert ended.returncode == 1
    assert "cannot be written to (File too large): what is graded is kept" in ended.stderr
    assert "Traceback" not in ended.stderr
    kept = list((tmp_path / "out" / "results").glob("*.json"))
    assert all(result.read(path) for path in kept)
    assert run(small, tmp_path / "out") == 0
    assert len(result.read_all(tmp_path / "out" / "results")) == 3


def test_a_folder_for_the_results_inside_the_class_is_no_student(small, capsys):
    assert run(small, small / "grades") == 0
    assert run(small, small / "grades") == 0
    assert "0 graded, 3 as before" in capsys.readouterr().out


def test_a_seed_is_made_kept_for_the_owner_and_used_again(small, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(small, out) == 0
    assert (
        f"A seed was made, which decides the hidden inputs: it is kept in {out / 'seed.txt'}" in capsys.readouterr().out
    )
    seed = (out / "seed.txt").read_text().strip()
    assert (out / "seed.txt").stat().st_mode & 0o777 == 0o600
    assert len(seed) == 32
    written = [path for path in out.rglob("*") if path.is_file() and path.name != "seed.txt"]
    assert not any(seed.encode() in path.read_bytes() for path in written)
    assert run(small, out) == 0
    assert "0 graded, 3 as before" in capsys.readouterr().out
    assert run(small, tmp_path / "second") == 0
    assert (tmp_path / "second" / "seed.txt").read_text().strip() != seed


def test_what_was_guessed_is_said_at_once_and_stands_in_the_report(small, tmp_path, capsys):
    (small / "roster.csv").write_text("x")
    assert run(small, tmp_path / "out", "--seed", "autumn-2026") == 0
    out = capsys.readouterr().out.splitlines()
    assert out[:4] == [
        "Read as one folder or one notebook a student: 3 students.",
        "Nobody's, left out: roster.csv.",
        "Chapter 4, by the notebooks of 3 of 3 students.",
        "This --seed could be guessed, and with it the hidden inputs: leave --seed out, and one is made for you.",
    ]
    assert (tmp_path / "out" / "collected.txt").read_text().splitlines() == out[:3]


def test_a_list_of_students_is_looked_at_before_anybody_is_graded(small, tmp_path, capsys):
    (tmp_path / "list.csv").write_text("Name,Mark\nx,1\n")
    assert run(small, tmp_path / "out", "--roster", str(tmp_path / "list.csv")) == 1
    assert run(small, tmp_path / "out", "--roster", str(tmp_path / "nowhere.csv")) == 1
    assert "nowhere.csv cannot be read (No such file or directory)" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "can"),
    [("autumn-2026", True), ("spring-27-q8fz", True), ("S", True), ("geheim", True), ("2026-11-28", True),
     ("correct horse battery", True), ("8f14e45fceea167a5a36dedd4bea2543", False), ("Vk3xQ9tLm2ZpR7cW8dYn", False)],
)  # fmt: skip
def test_a_seed_that_can_be_found_by_trying_is_known(text, can):
    assert guessable(text) is can
    assert not guessable(generated())
