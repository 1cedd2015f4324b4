"""What runs inside the sandbox, called in process: cells become functions, functions become records, limits hold."""

import contextlib
import io
import json
import os
import pickle
import resource
import signal
import sys
import zipfile

import numpy as np
import pytest
import torch
from grading import conversed, source_of

from course_lib.exercises import registry
from course_lib.exercises.answers import Answer
from course_lib.exercises.comparing import answer_of, equal, grade
from course_lib.tools.grade.inside import answering, cells, kernel, watching, worker
from course_lib.tools.grade.inside.records import (
    LENGTH,
    MOST,
    OUTCOMES,
    READY,
    REPLY,
    TASK,
    encode,
    npy,
    packed,
    read_exactly,
    write_all,
)
from course_lib.tools.grade.outside import plan
from course_lib.tools.grade.outside.incoming import received

FORCE = registry.exercise("4.2")
SEEDS = [3, 1, 4]


def told(number: str = "4.2", *sources: str, place: int = 0, **changes) -> dict:
    """A task as plan.py makes it."""
    task = plan.told(registry.exercise(number), SEEDS)
    return task | {"cells": list(sources) or [source_of(number)], "place": place} | changes


def small(source: str, *others: str, name: str = "f", place: int = 0) -> dict:
    """A task with only what `built` needs."""
    return {"name": name, "cells": [source, *others], "place": place, "prelude": ["import torch"], "id": "1.1"}


def value(source: str, *others: str, place: int = 0):
    """What f() returns, f being defined in the cell at `place`."""
    listed = [*others[:place], source, *others[place:]]
    made = cells.built(small(*listed, place=place))
    assert made.problem is None, made.problem
    return made.fn()


def problem(source: str, *others: str) -> Answer:
    made = cells.built(small(source, *others))
    assert made.fn is None
    return made.problem


F = "def f():\n    return {}"


def test_a_cell_gets_what_it_uses_from_the_other_cells():
    assert value(F.format("helper(2)"), "def helper(x):\n    return x * SCALE", "SCALE = 3") == 6
    assert value(F.format("math.floor(c)"), "import math", "a, b = 2, 3", "c: float = a + b / 2") == 3
    assert value(F.format("K().x"), "WORD = 'w'", "class K:\n    x = WORD\n\n    def y(self):\n        return Z") == "w"
    assert value(F.format("n"), "m = 4", "n = 1\nn += m", place=2) == 5
    assert value(F.format("big"), "if True:\n    big = 1\nelse:\n    big = 2") == 1


def test_it_gets_what_is_bound_last_before_it_and_else_first_after_it():
    assert value(F.format("n"), "n = 1", "n = 2", "n = 3", place=2) == 2
    assert value(F.format("n"), "m = 1", "n = 2", "n = 3", place=1) == 2
    assert value(F.format("n"), "n = 1\nn = n + 1", place=1) == 2
    assert value(F.format("f2()"), "def f2():\n    return f3() + 1\n\n\ndef f3():\n    return 1") == 2


def test_nothing_else_of_the_notebook_runs():
    ruin = [
        "raise SystemExit",
        "while True: pass",
        "print(undefined)",
        "for n in [1]: pass",
        "n = 1 / 0",
        "x = open('/x')",
    ]
    assert value(F.format("7"), *ruin) == 7


@pytest.mark.parametrize(
    "other", ["def broken(:", "n = 'a\0b'[", "return 3", "n = (yield)", "n = (" + "-" * 100_000 + "1)", "\ud800"]
)
def test_another_cell_that_is_no_python_is_as_if_absent(other):
    assert value(F.format("7"), other, "m = 1") == 7
    assert value(F.format("m"), other, "m = 1") == 1


def test_a_name_bound_nowhere_or_badly_is_the_cells_own_error():
    with pytest.raises(NameError):
        cells.built(small(F.format("nowhere"), "nowhere2 = 1")).fn()
    with pytest.raises(NameError):
        cells.built(small(F.format("n"), "n = 1 / 0")).fn()


def test_star_imports_come_along_where_a_name_is_found_nowhere():
    assert value(F.format("floor(2.5)"), "from math import *") == 2


def test_names_that_are_given_are_as_the_notebook_binds_them_above():
    """`needs` is bound to the library's, and built-ins to Python's, where nothing else is."""
    assert value(F.format("len(torch.zeros(3))"), "torch = None", "def len(x): return 0") == 3
    assert value(F.format("len(torch.zeros(3))"), "def len(x): return 0", place=1) == 0


def test_cells_start_with_float64_and_may_show_things():
    assert value("import IPython.display\nC = torch.ones(1).dtype\ndisplay(C)\n" + F.format("C")) == torch.float64


def test_lines_for_ipython_are_left_out_only_where_they_are_in_the_way():
    assert value("%matplotlib inline\n!pip install x\nf?\n?f\n" + F.format("3")) == 3
    assert value("if True:\n    %time\n" + F.format("3")) == 3
    assert value("TEXT = '''\n% of all\n'''\n" + F.format("TEXT")) == "\n% of all\n"


def test_what_a_cell_does_after_its_function_is_its_own_affair():
    assert value(F.format("3") + "\n1 / 0") == 3
    assert value(F.format("3") + "\nraise SystemExit") == 3


def test_a_cell_without_the_function_says_what_went_wrong():
    assert problem("f = 3") == Answer(problem="no function", detail="int")
    assert problem("g = 3") == Answer(problem="no function")
    assert problem("def g(): pass", "def h(): return 1") == Answer(problem="no function")
    assert problem("1 / 0").detail == "ZeroDivisionError: division by zero, in line 1: 1 / 0"
    assert problem("def f(:").detail.startswith("SyntaxError: invalid syntax (your cell, line 1)")
    assert problem("exit()").problem == "exit"
    assert problem("raise NotImplementedError").problem == "stub"
    assert problem("x = '\ud800'").detail.startswith("UnicodeEncodeError")


def test_the_library_inside_is_what_came_with_the_task():
    """Other modules than those do not exist, and outside all is as before."""
    task = told()
    import course_lib.guidance

    before = dict(sys.modules)
    with answering.installed(task["modules"]):
        import course_lib.guidance as inside

        assert inside is not course_lib.guidance or inside is not before["course_lib.guidance"]
        assert inside.__file__ == "/kit/course_lib/guidance/__init__.py"
        with pytest.raises(LookupError, match="Repulsion is what this exercise asks you to write"):
            inside.Repulsion(1.0)
        assert inside.rbf(torch.zeros(2, 2), 1.0).shape == (2, 2)
        from course_lib.exercises import check, fallback, quiz

        assert __import__("colorsys").__name__ == "colorsys", "all else is imported as ever"
        assert (check("4.2", len), fallback("4.2", len), quiz(4)) == (False, len, None)
        for name in (
            "course_lib.tools",
            "course_lib.exercises.ch04",
            "course_lib.exercises.registry",
            "course_lib.nothing",
        ):
            with pytest.raises(ModuleNotFoundError):
                __import__(name)
    ours = {name: module for name, module in before.items() if name.startswith("course_lib")}
    assert {name: module for name, module in sys.modules.items() if name.startswith("course_lib")} == ours
    assert not any(isinstance(finder, answering.Library) for finder in sys.meta_path)


@pytest.mark.parametrize("number", [one.id for one in registry.all_exercises() if one.kind != "judged"])
def test_the_solution_of_each_exercise_passes_where_its_answer_is_absent(number):
    """Its cell alone, beside the library without its home: this is what a worker has."""
    exercise = registry.exercise(number)
    reply = conversed(exercise, told(number), SEEDS)
    sent, outside = received(reply.records), received(reply.measured.records)
    assert bool(sent.answers) != exercise.outside
    answers = sent.answers + outside.answers
    assert grade(exercise, answers, SEEDS).passed, answers[-1].detail
    assert outside.properties == ("",) * len(SEEDS) * len(exercise.properties)


def sent(source: str):
    reply = conversed(FORCE, told("4.2", "# exercise 4.2\n" + source), SEEDS)
    return received(reply.records + reply.measured.records)


def test_answers_stop_at_the_first_that_is_none():
    assert [one.problem for one in sent("def force(x, alpha, h):\n    raise NotImplementedError").answers] == ["stub"]
    assert [one.problem for one in sent("def force(x, alpha, h):\n    raise KeyboardInterrupt").answers] == ["raised"]
    assert [one.problem for one in sent("force = 3").answers] == ["no function"]
    mutating = sent("def force(x, alpha, h):\n    x += 1\n    return x")
    assert [one.problem for one in mutating.answers] == ["mutated"] * 3
    assert len(mutating.properties) == 9


def test_properties_are_sentences():
    found = sent("def force(x, alpha, h):\n    return x + 1").properties
    assert found[0].startswith("Your forces do not sum to zero")
    raising = sent("def force(x, alpha, h):\n    return x if alpha else 1 / 0").properties
    assert raising[-1].startswith("On a special case your code raised ZeroDivisionError: division by zero")


def roundtrip(answer: Answer) -> Answer:
    [back] = received(encode(answer)).answers
    return back


def test_an_answer_crosses_the_wall_unchanged():
    arrays = {
        "": np.arange(6.0).reshape(2, 3).T, "0": np.float32(2), "key.with/../odd": np.zeros((0, 3)), "b": np.True_,
        "i": np.arange(3, dtype=np.int8), "c": np.ones(2, complex), "h": np.ones(2, np.float16), "t": np.asarray("tüx"),
        "l": np.ones(2, np.longdouble), "e": np.asarray(""), "u": np.uint64(2**63),
    }  # fmt: skip
    types = dict.fromkeys(arrays, "tensor") | {"t": "text", "e": "text", "0": "number"}
    answer = Answer(arrays, types, "mutated", "", "dict")
    back = roundtrip(answer)
    assert equal(back, answer, 0.5e-15)
    assert (back.types, back.container, list(back.arrays)) == (types, "dict", list(arrays))
    assert {path: a.dtype for path, a in back.arrays.items()} == {
        path: np.asarray(a).dtype for path, a in arrays.items()
    }
    assert roundtrip(Answer(problem="raised", detail="ValueError: no")) == Answer(
        problem="raised", detail="ValueError: no"
    )


def test_a_record_is_an_archive_that_numpy_reads():
    """Without pickles, as the guide says."""
    record = encode(Answer({"": np.eye(3)}, {"": "tensor"}))
    assert LENGTH.unpack(record[:4]) == (len(record) - 4,)
    with np.load(io.BytesIO(record[4:]), allow_pickle=False) as archive:
        assert (archive["a0"] == np.eye(3)).all()
        assert json.loads(archive["meta"].tobytes())["paths"] == [""]
    for array in (np.eye(3), np.zeros((2, 0)), np.asarray("text"), np.asarray(3), np.arange(100)[::7]):
        assert np.array_equal(np.load(io.BytesIO(npy(array)), allow_pickle=False), array)


def test_an_answer_too_large_to_send_says_so():
    assert roundtrip(Answer({"": np.zeros((2000, 1000))}, {"": "tensor"})).detail == "an array of shape (2000, 1000)"


def test_reading_from_a_pipe_ends_where_it_ends():
    inward, outward = os.pipe()
    write_all(outward, b"abc")
    assert read_exactly(inward, 2) == b"ab"
    os.close(outward)
    with pytest.raises(EOFError):
        read_exactly(inward, 2)
    os.close(inward)


LIMITS = {"memory": 2_000_000_000, "processes": 0, "file": 1_000_000}
GIVEN = {"limits": LIMITS, "disk": 10**9, "entries": 10**6, "folder": "/proc/self/fd", "private": False}
GIVEN |= {"network": True, "shared": ()}


@contextlib.contextmanager
def forked(run):
    """The process id of a child that runs a function with the end of a pipe, and the pipe."""
    inward, outward = os.pipe()
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            os.setsid()
            os.close(inward)
            run(outward)
        os._exit(7)
    os.close(outward)
    yield pid, inward
    os.close(inward)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def watched(pid: int, pipe: int, wall: float = 1000.0, grader: bool = True):
    """What `watched` says while the grader lives, or when it does not; there is a task to be read meanwhile."""
    tasks = os.pipe()
    write_all(tasks[1], b"the rest of a task")
    if not grader:
        os.close(tasks[1])
    try:
        return worker.watched(pid, pipe, wall, tasks[0])
    finally:
        for handle in tasks[: 1 + grader]:
            os.close(handle)


def test_a_child_is_watched_until_it_ends():
    with forked(lambda out: write_all(out, b"x" * 100_000)) as (pid, pipe):
        assert watched(pid, pipe) == ("ended", b"x" * 100_000)


def test_a_child_that_closes_its_pipe_is_watched_on():
    def quiet(out):
        os.close(out)
        os.kill(os.getpid(), signal.SIGSTOP)

    with forked(quiet) as (pid, pipe):
        assert watched(pid, pipe) == ("stopped", b"")


def test_a_child_that_waits_for_ever_is_left_when_the_time_is_over():
    with forked(lambda out: signal.pause()) as (pid, pipe):
        assert watched(pid, pipe, -1.0) == ("wall", b"")


def test_a_child_is_left_when_the_grader_is_gone():
    with forked(lambda out: signal.pause()) as (pid, pipe):
        assert watched(pid, pipe, grader=False) == ("orphaned", b"")


def test_a_child_that_sends_without_end_is_cut_off():
    def flood(out):
        while True:
            write_all(out, bytes(1 << 20))

    with forked(flood) as (pid, pipe):
        outcome, records = watched(pid, pipe)
        assert outcome == "flood"
        assert len(worker.drained(pipe, records)) == MOST


def test_what_is_left_in_the_pipe_is_read():
    inward, outward = os.pipe()
    write_all(outward, b"abc")
    assert worker.drained(inward, bytearray(b"x")) == b"xabc"
    os.close(outward)
    assert worker.drained(inward, bytearray()) == b""
    os.close(inward)


class Left(BaseException):
    """Stands for the end of a child."""


@pytest.fixture
def served(monkeypatch):
    """A way to serve one task by a function that stands for the child: its reply."""

    def serve(run, wall=1000.0, grader=True):
        tasks, replies = os.pipe(), os.pipe()
        monkeypatch.setattr(worker, "child", lambda tasks, size, out, *_: inside(run, out))
        write_all(tasks[1], TASK.pack(0, 1.0, wall))
        if not grader:
            os.close(tasks[1])
            assert not worker.one(tasks[0], replies[1], GIVEN, worker.group)
            for handle in (tasks[0], *replies):
                os.close(handle)
            return None
        assert worker.one(tasks[0], replies[1], GIVEN, worker.group)
        os.close(tasks[1])
        assert not worker.one(tasks[0], replies[1], GIVEN, worker.group)
        outcome, code, _, size = REPLY.unpack(read_exactly(replies[0], REPLY.size))
        records = read_exactly(replies[0], size)
        for handle in (tasks[0], *replies):
            os.close(handle)
        return OUTCOMES[outcome], code, records

    def inside(run, out):
        os.setsid()
        run(out)
        os._exit(5)

    return serve


def test_one_task_is_one_reply(served):
    assert served(lambda out: write_all(out, b"records")) == ("ended", 5, b"records")
    assert served(lambda out: os.kill(os.getpid(), signal.SIGKILL)) == ("killed", 9, b"")
    assert served(lambda out: os.kill(os.getpid(), signal.SIGXCPU)) == ("cpu", signal.SIGXCPU, b"")
    assert served(lambda out: signal.pause(), wall=-1.0) == ("wall", 9, b"")
    assert served(lambda out: os.kill(os.getpid(), signal.SIGSTOP)) == ("stopped", 9, b"")


def test_where_the_grader_is_gone_its_code_goes_too(served):
    assert served(lambda out: signal.pause(), grader=False) is None
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_the_child_of_a_fork_runs_the_exercise(monkeypatch):
    """With the end of a pipe of its own, which the parent closes."""
    tasks, given = os.pipe(), []
    write_all(tasks[1], TASK.pack(9, 1.5, 2.0))

    def child(*args):
        given.extend(args)
        raise Left

    monkeypatch.setattr(worker.os, "fork", lambda: 0)
    monkeypatch.setattr(worker, "child", child)
    pipes = [os.pipe()]
    monkeypatch.setattr(worker.os, "pipe", lambda: pipes[0])
    with pytest.raises(Left):
        worker.one(tasks[0], 99, GIVEN, worker.group)
    everybody = {"protected": kernel.everybody_else(), "network": True}
    assert given == [tasks[0], 9, pipes[0][1], LIMITS, 1.5, -1, everybody]
    for handle in (*tasks, *pipes[0]):
        os.close(handle)


def test_the_kernel_ends_what_computes_too_long(served):
    def burn(out):
        kernel.limited(1.0, **LIMITS)
        signal.signal(signal.SIGXCPU, signal.SIG_IGN)
        while True:
            pass

    assert served(burn) == ("cpu", 9, b"")


def test_what_a_child_leaves_behind_goes_with_it(served):
    def fork(out):
        if os.fork() == 0:
            signal.pause()
        write_all(out, b"x")

    assert served(fork) == ("ended", 5, b"x")


def limits_in_a_child(seconds: float, **limits) -> dict:
    names = ("CPU", "AS", "DATA", "FSIZE", "NOFILE", "CORE", "NPROC")

    def run(out):
        kernel.limited(seconds, **limits)
        write_all(
            out, json.dumps({name: resource.getrlimit(getattr(resource, f"RLIMIT_{name}")) for name in names}).encode()
        )

    with forked(run) as (pid, pipe):
        return json.loads(watched(pid, pipe)[1])


def test_limits_are_set_and_never_above_those_that_hold_already():
    found = limits_in_a_child(1.5, memory=10**9, processes=12, file=1000)
    assert (found["CPU"], found["FSIZE"], found["CORE"]) == ([2, 3], [1000, 1000], [0, 0])
    assert 10**9 < found["DATA"][0] < 10**10
    assert found["AS"][0] > 2 * 10**9
    assert found["NPROC"][0] <= 12
    assert found["NOFILE"][0] <= 128
    free = limits_in_a_child(1.0, memory=10**9, processes=0, file=1000)["NPROC"]
    assert free == list(resource.getrlimit(resource.RLIMIT_NPROC))


def test_limits_that_hold_already_are_kept(monkeypatch):
    """And without a sandbox the number of processes, which is everybody's, is left as it is."""
    kept, infinite = {}, resource.RLIM_INFINITY
    monkeypatch.setattr(resource, "setrlimit", lambda limit, pair: kept.update({limit: pair}))
    for most, processes in ((5, 16), (5, 0), (infinite, 0)):
        monkeypatch.setattr(resource, "getrlimit", lambda limit, most=most: (most, most))
        kept.clear()
        kernel.limited(20.0, memory=10**9, processes=processes, file=1000)
        assert (resource.RLIMIT_NPROC in kept) == bool(processes)
        assert kept[resource.RLIMIT_CPU] == ((20, 21) if most == infinite else (5, 5))


@pytest.fixture
def as_child(monkeypatch):
    """Run `child` in this process, with what would harm it replaced; what it wrote."""

    def run(task: dict, pids=(1,)):
        payload, wrote, asked = pickle.dumps(task), [], iter([*pids] + [pids[-1]] * 50)
        tasks = os.pipe()
        write_all(tasks[1], payload[:60_000])
        monkeypatch.setattr(worker, "read_exactly", lambda handle, size: payload)
        closed = []
        for name, fake in {
            "setsid": lambda: None, "dup2": lambda old, new: None, "open": lambda path, flags: -1,
            "close": closed.append, "_exit": leave, "getpid": lambda: next(asked),
        }.items():  # fmt: skip
            monkeypatch.setattr(worker.os, name, fake)
        monkeypatch.setattr(worker, "limited", lambda seconds, **limits: wrote.append((seconds, limits)))
        monkeypatch.setattr(worker, "write_all", lambda out, record: wrote.append(record))
        monkeypatch.setattr(worker, "prctl", lambda *options: None)
        monkeypatch.setattr(worker, "filtered", lambda **kept: None)
        with pytest.raises(Left):
            worker.child(tasks[0], len(payload), 99, LIMITS, 20.0, -1, {})
        monkeypatch.undo()
        for handle in tasks:
            os.close(handle)
        assert tasks[0] in closed
        return wrote

    def leave(status):
        raise Left

    return run


def test_a_child_sets_its_limits_and_sends_its_records(as_child):
    limits, *records = as_child(told(asked=False))
    assert limits == (20.0, LIMITS)
    answers = received(b"".join(records)).answers
    assert equal(answers[0], answer_of(FORCE, FORCE.reference, SEEDS[0]), 1e-9)


def test_a_copy_that_the_students_code_forked_sends_nothing(as_child):
    assert len(as_child(told(asked=False), pids=(1, 2))) == 1


def test_only_what_is_ours_is_killed(monkeypatch):
    """As root, outside a sandbox, it would be every process of the machine."""
    killed = []
    monkeypatch.setattr(worker.os, "kill", lambda pid, number: killed.append((pid, number)))
    monkeypatch.setattr(worker.os, "getuid", lambda: 0)
    with pytest.raises(PermissionError):
        worker.everything(5)
    assert killed == []
    monkeypatch.setattr(worker.os, "getuid", lambda: 64000)
    worker.everything(5)
    assert killed == [(-1, signal.SIGKILL)]


def test_all_children_are_waited_for_where_all_were_killed(monkeypatch):
    """In the sandbox until there are none; without one, those that have ended."""
    calls, results = [], [(5, 0), (6, 0), ChildProcessError(), (0, 0)]

    def waitpid(pid, options):
        calls.append(options)
        result = results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    monkeypatch.setattr(worker.os, "waitpid", waitpid)
    worker.reaped(worker.everything)
    worker.reaped(worker.group)
    assert calls == [0, 0, 0, os.WNOHANG]


def test_what_an_exercise_wrote_is_removed(tmp_path):
    (tmp_path / "folder" / "in").mkdir(parents=True)
    (tmp_path / "folder" / "in" / "file").write_text("x")
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("/etc")
    assert watching.cleaned(str(tmp_path))
    assert not list(tmp_path.iterdir())
    assert os.path.isdir("/etc")


@pytest.mark.parametrize("uid", [None, 64003])
def test_the_worker_gives_its_rights_up_before_it_serves(monkeypatch, tmp_path, uid):
    done = []
    for name in ("chmod", "setgroups", "setresgid", "setresuid"):
        monkeypatch.setattr(worker.os, name, lambda *args, name=name: done.append((name, *args)))
    monkeypatch.setattr(worker, "prctl", lambda *options: done.append(options) or 0)
    monkeypatch.setattr(worker, "own_keyring", lambda: done.append("keyring"))
    monkeypatch.setattr(worker.Path, "write_text", lambda path, text: done.append((str(path), text)))
    worker.confined(uid, str(tmp_path))
    assert done[0] == ("/proc/self/oom_score_adj", "1000")
    ids = (uid, uid, uid)
    drop = [("chmod", str(tmp_path), 0o1777), ("setgroups", []), ("setresgid", *ids), ("setresuid", *ids)]
    assert done[1:-6] == (drop if uid else [])
    assert done[-6:] == ["keyring", (1, 9), (4, 0), (36, 1), (38, 1), (21, 0)]


@pytest.mark.parametrize("alone", [True, False])
def test_the_worker_serves_until_its_input_ends(monkeypatch, tmp_path, alone):
    replies, served = os.pipe(), []
    (tmp_path / "left").write_text("x")
    fakes = {
        "dup": lambda handle: replies[1],
        "close": lambda handle: None,
        "dup2": lambda old, new: None,
        "open": lambda path, flags: -1,
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(worker.os, name, fake)
    monkeypatch.setattr(worker.signal, "signal", lambda number, action: None)
    monkeypatch.setattr(worker.os, "_exit", lambda status: served.append(status))
    monkeypatch.setattr(worker, "confined", lambda *given: served.append(given))
    monkeypatch.setattr(worker, "one", lambda *given: served.append(given[3]) or len(served) < 3)
    threads = torch.get_num_threads()
    try:
        worker.main(json.dumps(GIVEN | {"uid": None, "alone": alone, "folder": str(tmp_path), "doors": -1}))
    finally:
        torch.set_num_threads(threads)
        monkeypatch.undo()
    assert read_exactly(replies[0], len(READY)) == READY
    kill = worker.everything if alone else worker.group
    assert served == [(None, str(tmp_path)), kill, kill, 0]
    assert bool(list(tmp_path.iterdir())) != alone
    for handle in replies:
        os.close(handle)


def test_the_kernel_knows_the_options(monkeypatch):
    """PR_GET_DUMPABLE, and an option that there is not."""
    assert kernel.prctl(3, 0) in (0, 1)
    assert kernel.prctl(12345, 0) == -1


def test_a_zip_entry_is_never_compressed():
    with zipfile.ZipFile(io.BytesIO(packed({"property": ""})[4:])) as archive:
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
