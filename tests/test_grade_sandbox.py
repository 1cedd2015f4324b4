"""The sandbox's command line, what it shows, the sentence where it cannot work, and talking to a worker in it."""

import argparse
import json
import os
import select
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from grading import left_behind, notebook, source_of

from course_lib.exercises import registry
from course_lib.tools.environment import Problem
from course_lib.tools.grade.inside.records import TASK, write_all
from course_lib.tools.grade.marked.comparer import marked
from course_lib.tools.grade.outside import measuring, mounts, plan, sandbox, session
from course_lib.tools.grade.outside.sandbox import Limits, Sandbox

FORCE = registry.exercise("4.2")
SEEDS = [3, 1, 4]
PLAN = plan.Plan(4, "spring", [FORCE], {"4.2": SEEDS})


@pytest.fixture
def box():
    """The sandbox, or the sentence that mends it."""
    found = Sandbox()
    found.check()
    return found


def answer(way: Sandbox, source: str):
    """The mark of one cell, run in a worker of its own."""
    with way.started() as process, measuring.measurers(PLAN, 1) as measurers:
        session.wait_until_ready(process)
        reply = session.ask(process, PLAN.task(FORCE, [source], 0), way.limits, measurers[0], "4.2")
    return marked(FORCE, reply, SEEDS, way.limits)


@pytest.mark.parametrize("kind", ["bwrap", "none"])
def test_a_worker_grades_with_and_without_a_sandbox(box, kind):
    way = Sandbox(kind)
    way.check()
    assert answer(way, source_of("4.2")).status == "passed"
    assert (
        answer(way, "import os\nos._exit(3)").sentence
        == "Your code ended Python (exit status 3) before it gave an answer."
    )
    assert left_behind(os.getpid()) == []


LOOK = """
import json, os, socket
seen = {"pid": os.getpid(), "interfaces": [name for _, name in socket.if_nameindex()], "root": os.listdir("/")}
seen |= {"kit": [file for _, _, files in os.walk("/kit/course_lib") for file in files], "box": os.listdir(".")}
seen |= {"pids": [p for p in os.listdir("/proc") if p.isdigit()], "env": dict(os.environ), "host": os.uname().nodename}
seen |= {"cwd": os.getcwd(), "home": os.listdir(os.path.expanduser("~"))}
seen |= {"rights": [line for line in open("/proc/self/status") if line.startswith(("CapEff", "NoNewPrivs"))]}
print(json.dumps(seen))
"""


def test_inside_there_is_nothing_but_the_system_and_the_kit(box):
    """Seen by a program in the very same bubblewrap: processes, network, folders, rights, variables, file limits."""
    command = [*box.bwrap(), sys.executable, "-s", "-P", "-c", LOOK]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    seen = json.loads(done.stdout)
    assert (seen["pid"], seen["pids"]) == (1, ["1"])
    assert seen["interfaces"] == ["lo"]
    assert (seen["host"], seen["cwd"], seen["box"], seen["home"]) == ("grading", "/box", [], [])
    assert set(seen["env"]) - {"PWD", "LC_CTYPE"} == set(sandbox.environment("/box"))
    assert {"answers.py", "worker.py", "cells.py"} < set(seen["kit"])
    assert not {"comparing.py", "declare.py", "registry.py", "comparer.py", "plan.py", "ch04.py"} & set(seen["kit"])
    assert not {"home", "etc/passwd", "var", "opt", "mnt", "srv"} & set(seen["root"])
    assert "NoNewPrivs:\t1\n" in seen["rights"]
    rights = int(next(line for line in seen["rights"] if line.startswith("CapEff")).split()[1], 16)
    assert rights & ~0b11000000 == 0, "beyond becoming another user"


def test_the_worker_itself_has_no_rights(box):
    """Seen from a student's code: no user of ours, no capability, no new rights, no look into its parent."""
    look = (
        "import os\nseen = [line.split() for line in open('/proc/self/status')]\n"
        "seen = {line[0]: line[1:] for line in seen if line}\n"
        "assert int(seen['CapEff:'][0], 16) == int(seen['CapPrm:'][0], 16) == 0\nassert seen['NoNewPrivs:'] == ['1']\n"
        "assert set(seen['Uid:']) != {'0'} and seen['Threads:'] == ['1']\n"
        "try:\n    open('/proc/1/environ').read()\n    raise SystemExit\nexcept PermissionError: pass\n"
    )
    assert answer(box, look + source_of("4.2")).status == "passed"


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A machine whose Python and packages lie in a folder of ours, with the course inside it."""
    prefix = tmp_path / "env"
    packages = prefix / "lib" / "python" / "site-packages"
    for name in ("vendi_score", "course_lib", "torch"):
        (packages / name).mkdir(parents=True)
    (prefix / "src" / "course" / "course_lib").mkdir(parents=True)
    (prefix / "src" / "course" / ".venv").mkdir(parents=True)
    (prefix / "bin").mkdir()
    monkeypatch.setattr(mounts, "site_folders", lambda: [packages])
    for name in ("prefix", "base_prefix"):
        monkeypatch.setattr(mounts.sys, name, str(prefix))
    monkeypatch.setattr(mounts.sys, "executable", str(prefix / "bin" / "python"))
    return prefix


def bound(options: list[str]) -> list[tuple[str, str]]:
    """The mounts in a command line, in order: (kind, place)."""
    found = []
    for at, word in enumerate(options):
        if word in ("--ro-bind", "--ro-bind-try"):
            found.append(("bind", options[at + 2]))
        elif word == "--tmpfs":
            found.append(("mask", options[at + 1]))
    return found


def test_a_course_among_the_packages_is_masked(elsewhere, monkeypatch):
    """Installed without -e, it would stand open in site-packages; so would packages that answer an exercise."""
    packages = elsewhere / "lib" / "python" / "site-packages"
    monkeypatch.setattr(mounts, "PACKAGE", packages / "course_lib")
    seen = bound(mounts.options())
    at = {place: number for number, (_, place) in enumerate(seen)}
    for name in ("course_lib", "vendi_score"):
        assert ("mask", str(packages / name)) in seen
        assert at[str(elsewhere)] < at[str(packages / name)]


def test_a_checkout_inside_the_environment_is_masked_with_its_solutions(elsewhere, monkeypatch):
    checkout = elsewhere / "src" / "course"
    (checkout / "pyproject.toml").write_text("")
    monkeypatch.setattr(mounts, "PACKAGE", checkout / "course_lib")
    assert ("mask", str(checkout)) in bound(mounts.options())


def test_an_environment_inside_the_checkout_is_all_that_is_seen_of_it(elsewhere, monkeypatch):
    """.venv in the checkout, and a Python of the system: the checkout itself is nowhere."""
    checkout = elsewhere / "src" / "course"
    monkeypatch.setattr(mounts, "PACKAGE", checkout / "course_lib")
    monkeypatch.setattr(mounts.sys, "prefix", str(checkout / ".venv"))
    monkeypatch.setattr(mounts.sys, "base_prefix", "/usr")
    monkeypatch.setattr(mounts.sys, "executable", "/usr/bin/python3")
    monkeypatch.setattr(mounts, "site_folders", lambda: [checkout / ".venv"])
    places = [place for kind, place in bound(mounts.options()) if str(elsewhere) in place and kind == "bind"]
    assert places == [str(checkout / ".venv")]


def test_an_environment_inside_a_masked_checkout_is_bound_again(elsewhere, monkeypatch):
    checkout = elsewhere / "src" / "course"
    (checkout / "pyproject.toml").write_text("")
    monkeypatch.setattr(mounts, "PACKAGE", checkout / "course_lib")
    monkeypatch.setattr(mounts.sys, "prefix", str(checkout / ".venv"))
    seen = bound(mounts.options())
    assert seen.index(("mask", str(checkout))) < seen.index(("bind", str(checkout / ".venv")))


def test_a_class_below_a_folder_that_is_shown_is_masked(elsewhere):
    (elsewhere / "class").mkdir()
    assert ("mask", str(elsewhere / "class")) in bound(mounts.options([elsewhere / "class", elsewhere / "none.zip"]))


def test_folders_above_are_made_so_that_everyone_may_pass(elsewhere):
    told = mounts.options()
    places = [told[at + 1] for at, word in enumerate(told) if word == "--dir"]
    assert str(elsewhere.parent) in places
    assert places.index(str(elsewhere.parents[1])) < places.index(str(elsewhere.parent))


def test_folders_of_the_system_that_are_no_links_are_bound(monkeypatch, tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "bin").symlink_to("usr/bin")
    monkeypatch.setattr(mounts, "ALIASES", [str(tmp_path / name) for name in ("lib", "bin", "none")])
    lib, link = str(tmp_path / "lib"), str(tmp_path / "bin")
    assert list(map(str, mounts._aliases())) == ["--ro-bind", lib, lib, "--symlink", "usr/bin", link]


def test_the_kit_as_files(tmp_path):
    mounts.written(tmp_path / "kit")
    names = {path.relative_to(tmp_path / "kit/course_lib").as_posix() for path in (tmp_path / "kit").rglob("*.py")}
    assert names == set(mounts.KIT)
    assert all(stat.S_IMODE(path.stat().st_mode) in (0o755, 0o644) for path in (tmp_path / "kit").rglob("*"))


def said(**changes) -> str:
    with pytest.raises(Problem) as problem:
        Sandbox(**changes).check()
    return str(problem.value)


def test_where_bubblewrap_is_missing_the_sentence_says_what_to_type(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert said() == (
        "Grading needs bubblewrap, which is not here. Type:  sudo apt-get install bubblewrap  "
        "(or say --no-sandbox, and students' code runs with your rights)"
    )


def test_where_there_is_no_linux_the_sentence_says_so(monkeypatch):
    monkeypatch.setattr(sandbox.sys, "platform", "darwin")
    assert said().startswith("Grading needs bubblewrap, which needs Linux")


@pytest.fixture
def forbidden_bwrap(tmp_path, monkeypatch):
    """A bubblewrap that says what Ubuntu 24.04's says."""
    program = tmp_path / "bwrap"
    program.write_text("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    sandbox.known.cache_clear()
    yield
    sandbox.known.cache_clear()


def test_where_bubblewrap_is_forbidden_nothing_is_graded(forbidden_bwrap, tmp_path, capsys):
    from course_lib.tools.cli import main

    (tmp_path / "class").mkdir()
    (tmp_path / "class" / "a.ipynb").write_text(json.dumps(notebook()))
    assert main(["grade", str(tmp_path / "class"), "--seed", "x", "--out", str(tmp_path / "out")]) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "bubblewrap" in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("kernel/apparmor_restrict_unprivileged_userns", "1",
         "AppArmor forbids bubblewrap its namespaces, as in Ubuntu 24.04. "
         "Type:  sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0  (until the next start of the machine)"),
        ("kernel/unprivileged_userns_clone", "0", "The kernel forbids bubblewrap its namespaces. "
         "Type:  sudo sysctl -w kernel.unprivileged_userns_clone=1  (until the next start of the machine)"),
        ("user/max_user_namespaces", "0", "The kernel forbids bubblewrap its namespaces. "
         "Type:  sudo sysctl -w user.max_user_namespaces=10000  (until the next start of the machine)"),
    ],
)  # fmt: skip
def test_a_forbidden_bubblewrap_has_the_sentence_that_mends_it(tmp_path, setting, value, sentence):
    path = tmp_path / setting
    path.parent.mkdir()
    path.write_text(f"{value}\n")
    assert sandbox.forbidden("bwrap: no permissions", tmp_path) == sentence
    path.write_text("x")
    assert sandbox.forbidden("bwrap: no\n permissions", tmp_path) == (
        "bubblewrap is installed and cannot work here (bwrap: no permissions): in a container, start it with  "
        "--security-opt seccomp=unconfined --security-opt apparmor=unconfined --cap-add SYS_ADMIN  "
        "or say --as-user NAME"
    )
    assert "it said nothing" in sandbox.forbidden("", tmp_path / "none")


def test_another_user_must_exist_and_not_be_root(monkeypatch):
    assert said(kind="user", user="no.such.user").startswith("There is no user no.such.user. Type:  useradd")
    assert said(kind="user", user="root").startswith("Only root can run students' code as another user")
    monkeypatch.setattr(sandbox.os, "geteuid", lambda: 1000)
    assert said(kind="user", user="nobody").startswith("Only root can run students' code as another user")


def as_root(monkeypatch, root: bool, rights: int = 1 << 21) -> None:
    monkeypatch.setattr(sandbox.os, "geteuid", lambda: 0 if root else 1000)
    monkeypatch.setattr(sandbox.Path, "read_text", lambda path: f"CapEff:\t{rights:016x}\n")


def test_root_becomes_a_user_for_each_job_and_others_use_a_namespace(monkeypatch):
    for root, rights, uid in ((True, 1 << 21, 64003), (False, 0, None)):
        with monkeypatch.context() as patch:
            as_root(patch, root, rights)
            assert json.loads(Sandbox().settings(3, "/box"))["uid"] == uid
            assert ("--unshare-user" in Sandbox().bwrap()) == (uid is None)
            assert ("CAP_SETUID" in Sandbox().bwrap()) == (uid is not None)


def test_root_in_a_container_without_the_right_is_refused(monkeypatch):
    """No limit on processes holds for root, and inside it would still be root."""
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: "/usr/bin/bwrap")
    as_root(monkeypatch, True, 0)
    assert said() == (
        "Root without the right CAP_SYS_ADMIN, as in a container, cannot limit students' code: grade as an "
        "ordinary user, start the container with  --cap-add SYS_ADMIN  or say --as-user NAME"
    )


def test_options_that_an_old_bubblewrap_has_not_are_left_out(monkeypatch):
    as_root(monkeypatch, False)
    monkeypatch.setattr(sandbox, "known", lambda: frozenset())
    assert not {"--size", "--disable-userns"} & set(Sandbox().bwrap())
    monkeypatch.setattr(sandbox, "known", lambda: frozenset({"--size", "--disable-userns"}))
    assert {"--size", "--disable-userns"} < set(Sandbox().bwrap())


def test_the_limit_on_processes_allows_for_those_outside_where_the_kernel_counts_them(monkeypatch):
    monkeypatch.setattr(sandbox, "administrator", lambda: False)
    monkeypatch.setattr(sandbox, "tasks_of", lambda uid: 100)
    release = argparse.Namespace(release="5.4.0-generic")
    assert Sandbox("none").processes() == 116
    assert Sandbox("user", user="nobody").processes() == 116
    monkeypatch.setattr(sandbox.os, "uname", lambda: release)
    assert Sandbox().processes() == 116
    release.release = "6.8.0"
    assert Sandbox().processes() == 16


def test_tasks_are_counted_by_user():
    assert sandbox.tasks_of(os.getuid()) >= 1
    assert sandbox.tasks_of(123_456) == 0


def test_a_worker_that_does_not_start_says_why(box, monkeypatch):
    monkeypatch.setattr(sandbox, "START", "raise SystemExit('no torch here')")
    with box.started() as process, pytest.raises(session.Gone, match="no torch here"):
        session.wait_until_ready(process)
    monkeypatch.setattr(sandbox, "START", "print('something else entirely')")
    with box.started() as process, pytest.raises(session.Gone):
        session.wait_until_ready(process)


def test_a_worker_that_answers_nothing_in_time_is_ended(box, monkeypatch):
    """Beyond the limit that it keeps itself: here at once."""
    with box.started() as process:
        session.wait_until_ready(process)
        monkeypatch.setattr(session, "SPARE", -box.limits.wall)
        source = "import threading\nthreading.Event().wait()"
        with pytest.raises(session.Gone) as gone:
            session.ask(process, PLAN.task(FORCE, [source], 0), box.limits)
        assert gone.value.reply.outcome == "wall"
        assert process.wait(timeout=60) != 0
        monkeypatch.setattr(session, "SPARE", 30.0)
        with pytest.raises(session.Gone) as gone:
            session.ask(process, PLAN.task(FORCE, [source], 0), box.limits)
        assert gone.value.reply.outcome == "gone"
    assert left_behind(os.getpid()) == []


def test_a_worker_is_killed_with_the_bubblewrap_around_it(box):
    """As it starts, when it is ready, and while code runs that never ends."""
    for ready, task in (
        (False, b""),
        (True, b""),
        (True, PLAN.task(FORCE, ["import threading\nthreading.Event().wait()"], 0)),
    ):
        with box.started() as process:
            if ready:
                session.wait_until_ready(process)
            if task:
                write_all(process.stdin.fileno(), TASK.pack(len(task), 20.0, 200.0) + task)
            sandbox.kill(process)
            assert select.select([process.stdout], [], [], 60)[0], "somebody holds the other end of the pipe"
            assert process.stdout.read() == b""
            assert process.wait(timeout=60) != 0
            sandbox.kill(process)
    assert left_behind(os.getpid()) == []


@pytest.mark.parametrize("sent", [b"\xff" + bytes(17), b"\0\0" + bytes(8) + b"\xff" * 8, b"short"])
def test_a_worker_that_speaks_nonsense_is_given_up(sent):
    command = [sys.executable, "-c", f"import sys; sys.stdout.buffer.write({sent!r})"]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, **pipes, bufsize=0) as process:
        with pytest.raises(session.Gone):
            session.ask(process, b"", Limits())
        assert process.wait(timeout=60) is not None


def test_another_user_runs_the_code_where_root_asks_for_it(monkeypatch, tmp_path):
    """As in Gradescope's container, and here only what is started for it: the command, the user, and the end."""
    started, ended = [], []
    monkeypatch.setattr(sandbox.os, "chown", lambda *given: started.append(given[1:]))
    monkeypatch.setattr(
        sandbox.subprocess, "run", lambda command, **options: ended.append((command[-1], options["user"]))
    )
    way = Sandbox("user", user="nobody")
    uid = sandbox.pwd.getpwnam("nobody").pw_uid
    with way._command(0) as (command, options):
        assert (options["user"], options["extra_groups"]) == (uid, [])
        assert json.loads(command[6])["alone"] is True
        assert Path(options["cwd"]).is_dir()
        assert (Path(command[5]) / "course_lib/tools/grade/inside/worker.py").is_file()
    way._end()
    assert ended == [("import os; os.kill(-1, 9)", uid)]
    assert not Path(options["cwd"]).exists()
