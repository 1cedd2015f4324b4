"""A class from the command line: marks against the truth, order, jobs, killing and taking up again, reports."""

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from grading import graded, left_behind, notebook, parsed, write

from course_lib.exercises import registry
from course_lib.tools.cli import main
from course_lib.tools.environment import Problem
from course_lib.tools.grade import command
from course_lib.tools.grade.collected.submissions import submissions
from course_lib.tools.grade.inside.records import read_exactly
from course_lib.tools.grade.marked import result
from course_lib.tools.grade.outside import batch, plan
from course_lib.tools.grade.outside.batch import Batch, Stopped
from course_lib.tools.grade.outside.sandbox import Sandbox
from course_lib.tools.grade.outside.session import Gone, Reply
from course_lib.tools.grade.rehearsed import make_class

ROOT = Path(__file__).resolve().parents[1]
STUDENTS = 30


@pytest.fixture(scope="module")
def box() -> Sandbox:
    """The sandbox, or the sentence that mends it."""
    found = Sandbox()
    found.check()
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("batch")


@pytest.fixture(scope="module")
def made(place) -> dict:
    """A class of thirty for chapter 4, and what each of them deserves."""
    make_class.make(ROOT, 4, STUDENTS, "3", place / "made")
    return json.loads((place / "made" / "truth.json").read_text(encoding="utf-8"))["students"]


@pytest.fixture(scope="module")
def class_of_30(made, place, box) -> dict[str, result.Result]:
    """Graded from the folder, by two jobs; by folder, since two students may have one name."""
    graded(place / "made" / "submissions", place / "first", "--jobs", "2")
    return {one.file.split("/")[0]: one for one in result.read_all(place / "first" / "results")}


def everything(out: Path) -> dict[str, bytes]:
    """All that a run has written."""
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_marks_of_a_class_are_the_truth(class_of_30, made):
    """Every exercise of every student: status, points, and which anticipated wrong answer."""
    assert len(class_of_30) == len(made) == STUDENTS
    for folder, student in made.items():
        marks = class_of_30[folder].exercises
        assert set(marks) == set(student["exercises"])
        for number, due in student["exercises"].items():
            got, about = marks[number], f"{folder}, {number}: {due} and {marks[number]}"
            assert (got.points, got.status, got.wrong) == (due["points"], due["status"], due["wrong"]), about


def test_jobs_order_and_zip_change_nothing(class_of_30, place):
    """A third of the class from Moodle's zip, backwards, by one job: the same results, byte for byte."""
    found = submissions(place / "made" / "submissions.zip")[:10]
    folder = place / "second" / "results"
    Batch(plan.made(4, "spring"), Sandbox(), folder, jobs=1).grade(found[::-1])
    before = everything(place / "first" / "results")
    assert everything(folder) == {f"{one.key}.json": before[f"{one.key}.json"] for one in found}


class Killed(BaseException):
    """Stands for the end of the grader."""


@pytest.fixture(scope="module")
def six(class_of_30, place) -> Path:
    """Six of the class in a folder, and in `six graded` all that a run writes about them."""
    found = submissions(place / "made" / "submissions")[:6]
    for one in found:
        name = Path(one.items[0].path).parent
        shutil.copytree(place / "made" / "submissions" / name, place / "six" / name)
    (place / "six graded" / "results").mkdir(parents=True)
    for one in found:
        shutil.copy(place / "first" / "results" / f"{one.key}.json", place / "six graded" / "results")
    assert "0 graded, 6 as before" in command.grade(parsed(place / "six", place / "six graded"))[0]
    return place / "six"


@pytest.mark.parametrize("number", [1, 4])
def test_stopped_after_any_number_of_results_and_resumed_it_gives_the_same(six, place, number):
    """Byte for byte, the grade sheet and all pages; what is there is not graded again."""
    out, done = place / f"stopped {number}", []

    def step(*given):
        done.append(given)
        if len(done) == number:
            raise Killed

    one = Batch(plan.made(4, "spring"), Sandbox(), out / "results", jobs=2)
    with pytest.raises(Killed):
        one.grade(submissions(six), step)
    assert len(list((out / "results").glob("*.json"))) == number
    assert not one.live
    assert left_behind(os.getpid()) == []
    said = command.grade(parsed(six, out))
    assert said[0] == f"Chapter 4: {6 - number} graded, {number} as before. See {out / 'class.html'}."
    assert everything(out) == everything(place / "six graded")


# `course grade` that says through a pipe when it asks a worker something, and does not try its draws out.
DRIVER = """
import os, signal, sys
from course_lib.tools.cli import main
from course_lib.tools.grade.outside import batch
from course_lib.tools.grade.outside import plan

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
ask = batch.ask
batch.ask = lambda *given: os.write(int(sys.argv[1]), b"x") and ask(*given)
plan.fair = lambda exercise, seeds: True
sys.exit(main(sys.argv[2:]))
"""


def children(pid: int) -> set[int]:
    """The processes below a process."""
    tasks = Path(f"/proc/{pid}/task")
    direct = set()
    for task in tasks.glob("*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended since
            direct |= {int(child) for child in (task / "children").read_text().split()}
    return direct.union(*(children(child) for child in direct))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_grader_that_is_killed_leaves_no_process_and_whole_results(tmp_path, box, number):
    """Killed while the second student's code runs, which never ends."""
    write(tmp_path / "class" / "a" / "a.ipynb", notebook("4.1"))
    write(tmp_path / "class" / "b" / "b.ipynb", notebook("4.1", ex41="import threading\nthreading.Event().wait()\n"))
    inward, outward = os.pipe()
    line = [sys.executable, "-c", DRIVER, str(outward), "grade", str(tmp_path / "class"), "--seed", "x", "--jobs", "1"]
    line += ["--out", str(tmp_path / "out")]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "pass_fds": [outward]}
    grader = subprocess.Popen(line, env=os.environ | {"PYTHONPATH": str(ROOT)}, **quiet)
    os.close(outward)
    assert read_exactly(inward, 2) == b"xx"
    while (
        len(below := children(grader.pid)) < 4
    ):  # what measures, bubblewrap, the worker, the exercise: a matter of microseconds
        assert grader.poll() is None, "the grader has ended before it was killed"
    handles = [os.pidfd_open(pid) for pid in below]
    grader.send_signal(number)
    assert grader.wait(timeout=60) == (130 if number == signal.SIGINT else -number)
    for handle in handles:
        assert select.select([handle], [], [], 20)[0], "a process of the grader lives on"
        os.close(handle)
    os.close(inward)
    [path] = (tmp_path / "out").rglob("*.json")
    assert result.read(path).exercises["4.1"].status == "passed"


@pytest.fixture
def small(tmp_path) -> Path:
    """A class of three: two exercises each."""
    for name in ("ann", "bob", "cyd"):
        write(tmp_path / "class" / name / "a.ipynb", notebook("4.1", "4.2"))
    return tmp_path / "class"


def batch_of(tmp_path, replies, jobs: int = 1) -> Batch:
    """A batch in which `replies(chosen, ids)` stands for the sandbox."""
    one = Batch(plan.made(4, "spring"), Sandbox(), tmp_path / "results", jobs)
    one.replies = lambda chosen, ids, slot: replies(chosen, ids)
    return one


def test_only_what_is_new_or_changed_is_graded(small, tmp_path):
    """Also what was read otherwise, belongs to another term, or is no result."""
    graded_now = []

    def replies(chosen, ids):
        graded_now.append(chosen.file.split("/")[0])
        return dict.fromkeys(ids, Reply("stopped"))

    def again() -> set[str]:
        graded_now.clear()
        count = batch_of(tmp_path, replies).grade(submissions(small))
        assert count == len(graded_now)
        return set(graded_now)

    assert again() == {"ann", "bob", "cyd"}
    assert again() == set()
    write(small / "bob" / "a.ipynb", notebook("4.1"))
    assert again() == {"bob"}
    write(small / "ann" / "older.ipynb", notebook("4.1"))
    assert again() == {"ann"}, "there is a note on two notebooks now"
    [path] = tmp_path.glob("results/cyd-*.json")
    path.write_text(path.read_text().replace('"points": 0.0', '"points": 9.0').replace('"of": 2', '"of": 1'))
    assert again() == {"cyd"}
    path.write_text("{")
    assert again() == {"cyd"}
    (small / "dan").mkdir()
    assert again() == {"dan"}
    assert len(result.read_all(tmp_path / "results")) == 4


@pytest.mark.parametrize("lost", [Reply("wall"), Reply("gone"), Reply("killed", signal.SIGKILL)])
def test_an_exercise_that_something_else_may_have_ended_is_run_again_alone(small, tmp_path, lost):
    """With nothing else of ours running; the second answer counts."""
    asked, active, most = [], [0], [0]

    def replies(chosen, ids):
        active[0] += 1
        most[0] = max(most[0], active[0])
        asked.append((chosen.file[:3], tuple(ids), active[0]))
        active[0] -= 1
        first = len(asked) <= 3
        return {id: lost if id == "4.2" and first and chosen.file[:3] != "bob" else Reply("stopped") for id in ids}

    steps = []
    assert batch_of(tmp_path, replies).grade(submissions(small), lambda: steps.append(1)) == 3
    assert asked[3:] == [("ann", ("4.2",), 1), ("cyd", ("4.2",), 1)]
    assert len(steps) == 3
    for one in result.read_all(tmp_path / "results"):
        assert one.exercises["4.2"].sentence.startswith("Your code stopped its own process")


class Fake:
    """A sandbox whose worker is lost while 4.2 runs."""

    kind, limits = "none", Sandbox().limits

    def __init__(self):
        self.workers = 0

    def started(self, slot):
        import contextlib

        self.workers += 1
        return contextlib.nullcontext(f"worker {self.workers}")


@pytest.fixture
def lost(monkeypatch):
    """What was asked of which worker."""
    asked = []

    def ask(process, task, limits, measurer, id):
        number = task["id"]
        asked.append((process, number))
        if number == "4.2":
            raise Gone(Reply("gone"), "")
        return Reply("ended", 1)

    monkeypatch.setattr(batch, "ask", ask)
    monkeypatch.setattr(batch.Attempts, "best", lambda self: self.marks)  # the slices alone
    monkeypatch.setattr(batch, "wait_until_ready", lambda process: None)
    monkeypatch.setattr(plan.Plan, "task", lambda self, exercise, cells, place: {"id": exercise.id})
    return asked


def test_a_worker_that_is_lost_costs_the_exercise_that_ran(lost, tmp_path):
    write(tmp_path / "class" / "a.ipynb", notebook("4.1", "4.2", "4.3"))
    one = Batch(
        plan.Plan(4, "x", registry.exercises(4)[:3], dict.fromkeys(("4.1", "4.2", "4.3"), [1])), Fake(), tmp_path / "r"
    )
    one.grade(submissions(tmp_path / "class"))
    assert lost == [("worker 1", "4.1"), ("worker 1", "4.2"), ("worker 2", "4.3"), ("worker 3", "4.2")]
    [marks] = [one.exercises for one in result.read_all(tmp_path / "r")]
    assert marks["4.2"].sentence == "Your code ended the process that runs it: leave the other processes alone."
    assert {marks["4.1"].sentence, marks["4.3"].sentence} == {
        "Your code ended Python (exit status 1) before it gave an answer."
    }


def test_a_sandbox_that_does_not_start_ends_the_batch_with_its_words(lost, monkeypatch, tmp_path):
    def gone(process):
        raise Gone(Reply("gone"), "no torch")

    monkeypatch.setattr(batch, "wait_until_ready", gone)
    write(tmp_path / "class" / "a.ipynb", notebook("4.1"))
    one = Batch(plan.Plan(4, "x", registry.exercises(4)[:1], {"4.1": [1]}), Fake(), tmp_path / "r")
    with pytest.raises(Problem, match=r"The sandbox does not start \(no torch\)"):
        one.grade(submissions(tmp_path / "class"))
    assert not (tmp_path / "r").exists()


def test_a_batch_that_is_given_up_starts_nothing_more(lost, tmp_path):
    write(tmp_path / "class" / "a.ipynb", notebook("4.1"))
    one = Batch(plan.Plan(4, "x", registry.exercises(4)[:1], {"4.1": [1]}), Fake(), tmp_path / "r")
    one.stop()
    with pytest.raises(Stopped):
        one.grade(submissions(tmp_path / "class"))
    assert lost == []
    process = subprocess.Popen([sys.executable, "-c", "import threading; threading.Event().wait()"])
    one.live.add(process)
    one.stop()
    assert process.wait(timeout=60) == -signal.SIGKILL


def test_a_batch_that_is_given_up_while_code_runs_writes_nothing_of_it(lost, monkeypatch, tmp_path):
    write(tmp_path / "class" / "a.ipynb", notebook("4.1"))
    one = Batch(plan.Plan(4, "x", registry.exercises(4)[:1], {"4.1": [1]}), Fake(), tmp_path / "r")

    def ask(process, task, limits, measurer, id):
        one.stopped.set()
        raise Gone(Reply("gone"), "")

    monkeypatch.setattr(batch, "ask", ask)
    with pytest.raises(Stopped):
        one.grade(submissions(tmp_path / "class"))
    assert not (tmp_path / "r").exists()


def test_results_of_another_term_or_chapter_are_never_mixed_in(tmp_path, small, monkeypatch):
    monkeypatch.setattr(command.Sandbox, "check", lambda self: None)
    folder = tmp_path / "out" / "results"
    result.write(folder, result.Result("k", "n", "f", "d", result.fingerprint("autumn"), 4, {}))
    (folder / "broken.json").write_text("{")
    said = "results of chapter 4 with another --seed: choose another folder with --out"
    with pytest.raises(Problem, match=said):
        command.grade(parsed(small, tmp_path / "out"))
    with pytest.raises(Problem, match="chapter 4 with another --seed"):
        command.grade(parsed(small, tmp_path / "out", "--chapter", "1"))
    command.refuse_others(folder, 4, "autumn")
    command.refuse_others(tmp_path / "nowhere", 4, "autumn")


def test_the_chapter_must_be_known(tmp_path, monkeypatch):
    monkeypatch.setattr(command.Sandbox, "check", lambda self: None)
    (tmp_path / "class").mkdir()
    (tmp_path / "class" / "a.ipynb").write_text("{}")
    with pytest.raises(Problem, match="say --chapter"):
        command.grade(parsed(tmp_path / "class", tmp_path / "out"))


def test_the_way_to_run_code_is_what_was_asked_for(tmp_path):
    for options, kind in [((), "bwrap"), (("--no-sandbox",), "none"), (("--as-user", "bob"), "user")]:
        way = command.sandbox_of(parsed(tmp_path, tmp_path / "out", *options, "--seconds", "3"))
        assert (way.kind, way.limits.seconds) == (kind, 3.0)
        assert way.private == (tmp_path, tmp_path / "out")


def test_one_sentence_and_a_status_for_what_goes_wrong(monkeypatch, capsys, tmp_path):
    errors = iter([Problem("First"), ValueError("second."), KeyboardInterrupt()])

    def grade(parsed, say):
        raise next(errors)

    monkeypatch.setattr(command, "grade", grade)
    line = ["grade", str(tmp_path), "--seed", "x", "--out", str(tmp_path)]
    assert [main(line), main(line), main(line)] == [1, 1, 130]
    said = "Stopped; what is graded is kept: run the same command again for the rest."
    assert capsys.readouterr().err == f"First.\nsecond.\n{said}\n"
    monkeypatch.setattr(command, "grade", lambda parsed, say: ["a", "b"])
    assert main(line) == 0
    assert capsys.readouterr().out == "a\nb\n"


def test_a_result_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    one = result.Result("k", "Zoë", "f", "d", "s", 4, {"4.1": result.Mark("passed", 1.0, 1)}, ["said"])
    path = result.write(tmp_path, one)
    assert result.read(path) == one
    assert (one.points, one.of) == (1.0, 1)
    before = path.read_bytes()
    assert before.endswith(b"}\n")
    monkeypatch.setattr(result.os, "replace", lambda *given: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        result.write(tmp_path, result.Result("k", "n", "f", "d", "s", 4))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["k.json"]


@pytest.mark.parametrize(
    "text", ["", "3", "[]", "{}", '{"exercises": 3}', '{"exercises": {"4.1": {"status": "great"}}}']
)
def test_a_file_that_is_no_result_says_what_to_do(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(
        ValueError, match=r"x.json: This is no result of `course grade` .*: delete the file and grade again"
    ):
        result.read(tmp_path / "x.json")


def test_marks_have_a_known_status():
    with pytest.raises(ValueError, match="must be one of passed, wrong"):
        result.Mark("great", 1.0, 1)


def test_slots_are_given_back(small, tmp_path):
    """Two at a time and no more, whatever happens to one."""
    most, active, lock = [0], [0], threading.Lock()

    def replies(chosen, ids):
        with lock:
            active[0] += 1
            most[0] = max(most[0], active[0])
        with lock:
            active[0] -= 1
        return dict.fromkeys(ids, Reply("stopped"))

    for number in range(8):
        shutil.copytree(small / "ann", small / f"student {number}")
    assert batch_of(tmp_path, replies, jobs=2).grade(submissions(small)) == 11
    assert most[0] <= 2
