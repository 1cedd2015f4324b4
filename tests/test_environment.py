"""What the Makefile asks of the machine, and what it says where the answer is no."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from course_lib.tools import environment
from course_lib.tools.environment import Problem


def one_sentence(text: str) -> bool:
    return "\n" not in text and len(text.split()) > 6


def test_old_python_is_refused_with_what_to_do():
    with pytest.raises(Problem, match=r"needs Python 3\.11 or newer.* is Python 3\.9.*PYTHON=") as caught:
        environment.check_python((3, 9, 18))
    assert one_sentence(str(caught.value))
    environment.check_python((3, 11, 0))
    environment.check_python((4, 0, 0))


def test_little_disk_is_refused_before_anything_is_installed():
    with pytest.raises(Problem, match=r"needs 6 GB .* only 1\.2 GB are free") as caught:
        environment.check_disk(1.2e9)
    assert one_sentence(str(caught.value))
    environment.check_disk(6.1e9)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with an environment in which everything has been installed, and a record of commands."""
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / "constraints.txt").write_text("torch==2.13.0\n")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (tmp_path / ".venv" / "pyvenv.cfg").write_text("version = 3.11\n")
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    commands = []
    monkeypatch.setattr(environment.subprocess, "call", lambda command, **_: commands.append(command) or 0)
    environment.install(tmp_path / ".venv")
    assert len([c for c in commands if "install" in c]) == 1
    commands.clear()
    return tmp_path, commands


def test_a_second_run_installs_nothing(checkout):
    root, commands = checkout
    environment.install(root / ".venv")
    assert commands == []


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt", ".venv/pyvenv.cfg"])
def test_a_change_of_the_packages_installs_again(checkout, name):
    root, commands = checkout
    (root / name).write_text("something = 'else'\n")
    environment.install(root / ".venv")
    assert any("install" in command for command in commands)
    assert commands[-1][-2:] == ["-e", ".[sd,lab,book,test]"]
    assert commands[-1][commands[-1].index("-c") + 1] == "constraints.txt"


def test_a_failed_installation_is_tried_again(checkout, monkeypatch):
    root, commands = checkout
    (root / "constraints.txt").write_text("torch==0\n")
    monkeypatch.setattr(
        environment.subprocess, "call", lambda command, **_: commands.append(command) or "install" in command
    )
    for _ in range(2):
        with pytest.raises(Problem, match="pip could not install"):
            environment.install(root / ".venv")
    assert len([c for c in commands if "install" in c]) == 2


def test_a_full_disk_is_named(monkeypatch):
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(environment.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(Problem, match="The disk is full"):
        environment.run([sys.executable, "-c", "raise SystemExit(1)"], "It failed")


def test_missing_programs_are_named_with_the_command_that_brings_them(monkeypatch):
    monkeypatch.setattr(environment, "find_browser", lambda: None)
    monkeypatch.setattr(environment.sys, "platform", "linux")
    monkeypatch.setattr(environment.shutil, "which", lambda name: "/usr/bin/apt-get" if name == "apt-get" else None)
    monkeypatch.setattr(environment.os, "geteuid", lambda: 1000)
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(Problem, match="sudo apt-get install chromium bubblewrap"):
        environment.system()


@pytest.mark.parametrize(("user", "prefix"), [(0, []), (1000, ["sudo", "-n"])])
def test_on_ci_programs_are_installed(monkeypatch, user, prefix):
    commands = []
    monkeypatch.setattr(environment, "missing_packages", lambda: ["bubblewrap"])
    monkeypatch.setattr(environment.shutil, "which", lambda _: "/usr/bin/apt-get")
    monkeypatch.setattr(environment.os, "geteuid", lambda: user)
    monkeypatch.setattr(environment.subprocess, "call", lambda command: commands.append(command) or 0)
    monkeypatch.setenv("CI", "true")
    environment.system()
    assert [command[: len(prefix)] for command in commands] == [prefix, prefix]
    assert commands[-1][-1] == "bubblewrap"


def test_lower_bounds_as_constraints(capsys):
    environment.lowest()
    lines = capsys.readouterr().out.split()
    assert "torch==2.4" in lines
    assert all("==" in line and ">" not in line for line in lines)


def test_colabs_list_becomes_constraints(capsys):
    wheel = "torch @ https://download.pytorch.org/whl/cu126/torch-2.8.0%2Bcu126-cp312-cp312-manylinux_2_28_x86_64.whl"
    lines = [
        "# made by hand\n",
        "numpy==2.0.2\n",
        f"{wheel}#sha256=ab\n",
        "google-colab @ file:///colabtools/dist/x.tar.gz\n",
    ]
    environment.colab(lines)
    assert capsys.readouterr().out.split() == ["numpy==2.0.2", "torch==2.8.0"]


def make(root: Path, *words: str) -> subprocess.CompletedProcess:
    return subprocess.run(["make", "-C", str(root), *words], capture_output=True, text=True)


def test_make_says_in_a_sentence_what_is_missing(root, tmp_path):
    shutil.copy(root / "Makefile", tmp_path)
    nothing = make(tmp_path, "book", "PYTHON=")
    assert nothing.returncode != 0
    assert "needs Python 3.11 or newer and found none" in nothing.stderr
    unbuilt = make(tmp_path, "serve")
    assert unbuilt.returncode != 0
    assert "run make book first" in unbuilt.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["build"], "The book could not be built"),
        (["build", "--check"], "differs from its master"),
    ],
)
def test_a_failing_step_has_a_sentence_and_a_status(root, tmp_path, words, sentence):
    """`course` is replaced by a script that fails at one step."""
    shutil.copy(root / "Makefile", tmp_path)
    bin_ = tmp_path / ".venv" / "bin"
    bin_.mkdir(parents=True)
    for name, line in {
        "course": f'[ "$*" != "{" ".join(words)}" ]',
        "ruff": "true",
        "python": "true",
        "any": "true",
    }.items():
        (bin_ / name).write_text(f"#!/bin/sh\n{line}\n")
        (bin_ / name).chmod(0o755)
    done = make(tmp_path, "test", f"PYTHON={bin_ / 'any'}")
    assert done.returncode != 0
    assert sentence in done.stderr
