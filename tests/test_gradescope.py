"""The autograder for Gradescope: what the zip holds, what its set-up does, and a real run of its script."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from course_lib.tools import cli
from course_lib.tools.environment import Problem
from course_lib.tools.grade.gradescope import build, run
from course_lib.tools.grade.outside.sandbox import Sandbox
from course_lib.tools.grade.rehearsed.make_class import students, template


@pytest.fixture(scope="module")
def archive(root, tmp_path_factory):
    """The zip of chapter 4, as the command writes it."""
    path = tmp_path_factory.mktemp("gradescope") / "autograder.zip"
    command = ["gradescope", "--chapter", "4", "--seed", "spring", "--out", str(path), "--root", str(root)]
    assert cli.main(command) == 0
    return path


@pytest.fixture
def image(archive, tmp_path):
    """A folder as Gradescope has it after set-up: source/, the run script, an environment with the packages."""
    with zipfile.ZipFile(archive) as files:
        files.extractall(tmp_path / "source")
    shutil.copy(tmp_path / "source/run_autograder", tmp_path / "run_autograder")
    (tmp_path / "run_autograder").chmod(0o755)
    (tmp_path / "venv").symlink_to(sys.prefix)
    (tmp_path / "submission").mkdir()
    return tmp_path


def hand_in(image, notebook):
    (image / "submission/04_repulsion.ipynb").write_text(json.dumps(notebook), "utf-8")


def results(image):
    return json.loads((image / "results/results.json").read_text("utf-8"))


# the zip


def test_the_zip_has_its_two_scripts_at_the_root_and_they_can_be_run(archive):
    with zipfile.ZipFile(archive) as files:
        for name in ("setup.sh", "run_autograder"):
            assert stat.S_IMODE(files.getinfo(name).external_attr >> 16) == 0o755
            text = files.read(name).decode()
            assert text.startswith("#!/usr/bin/env bash\n")
            subprocess.run(["bash", "-n"], input=text, text=True, check=True, timeout=60)
        assert json.loads(files.read("config.json")) == {"chapter": 4, "seed": "spring", "visibility": "visible"}


def test_the_zip_has_the_library_and_nothing_that_is_not_needed(archive, root):
    with zipfile.ZipFile(archive) as files:
        names = files.namelist()
        assert files.read("course_lib/exercises/ch04.py") == (root / "course_lib/exercises/ch04.py").read_bytes()
        assert {info.date_time for info in files.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert len(set(names)) == len(names)
    assert "course_lib/tools/grade/outside/batch.py" in names
    assert not [name for name in names if re.search(r"__pycache__|/build/[^.]*/|train_tiny|tiny/|results/|\.git", name)]
    assert archive.stat().st_size < 2e6


def test_the_packages_are_the_librarys_in_the_versions_of_the_course(archive, root):
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    with zipfile.ZipFile(archive) as files:
        assert files.read("requirements.txt").decode().splitlines() == project["dependencies"]
        pins = files.read("constraints.txt").decode().splitlines()
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in pins)
    assert any(line.startswith("torch==") for line in pins)
    assert set(project["optional-dependencies"]["sd"]) < set(build.requirements(root, 8).splitlines())


def test_a_chapter_of_part_two_takes_the_small_model_along(tmp_path, monkeypatch):
    (tmp_path / "course_lib/tiny").mkdir(parents=True)
    (tmp_path / "course_lib/tiny/model.safetensors").write_bytes(b"0")
    monkeypatch.setattr(build, "PACKAGE", tmp_path / "course_lib")
    assert [path.name for path in build.sources(8)] == ["model.safetensors"]
    assert list(build.sources(7)) == []


def test_the_same_arguments_give_the_same_zip_and_another_seed_another(archive, root, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "made", lambda chapter, seed: None)  # the fixture has been through it
    build.build(root, 4, "spring", tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == archive.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["again.zip"]
    build.build(root, 4, "autumn", tmp_path / "other.zip", "after_due_date")
    with zipfile.ZipFile(tmp_path / "other.zip") as files:
        assert json.loads(files.read("config.json"))["visibility"] == "after_due_date"


def test_the_command_says_what_to_do_and_refuses_what_it_cannot(root, tmp_path, capsys):
    out = tmp_path / "a.zip"
    command = ["gradescope", "--seed", "S", "--out", str(out)]
    assert cli.main([*command, "--chapter", "4", "--root", str(tmp_path)]) == 1
    assert (
        f"There is no pyproject.toml in {tmp_path}: run `course gradescope` in the checkout." in capsys.readouterr().err
    )
    assert cli.main([*command, "--chapter", "99", "--root", str(root)]) == 1
    assert "there are no exercises for chapter 99" in capsys.readouterr().err
    assert not out.exists()
    assert cli.main([*command, "--chapter", "4", "--root", str(root)]) == 0
    assert f"\nUpload {out} to Gradescope as the autograder of chapter 4" in capsys.readouterr().out


# the set-up


def commands(folder, **scripts):
    """Programs that write down how they were called; python ones make environments of the same kind."""
    folder.mkdir()
    for name in ("chmod", "bash", "env"):
        (folder / name).symlink_to(shutil.which(name))
    for name, body in scripts.items():
        path = folder / name.replace("_", "-").replace("python3-", "python3.")
        path.write_text(f'#!{shutil.which("bash")}\necho "${{0##*/}} $*" >> "$LOG"\n{body}\n')
        path.chmod(0o755)
    return folder


MAKES_VENV = """case "$*" in *venv*) for last; do :; done; mkdir -p "$last/bin"; cp "$0" "$last/bin/python";; esac"""


def set_up(tmp_path, archive, folder):
    """Run setup.sh with these programs only; its exit status, what it said, and the calls."""
    with zipfile.ZipFile(archive) as files:
        files.extractall(tmp_path / "ag/source")
    environment = {"PATH": str(folder), "LOG": str(tmp_path / "log"), "AUTOGRADER": str(tmp_path / "ag")}
    (folder / "mkdir").symlink_to(shutil.which("mkdir"))
    (folder / "cp").symlink_to(shutil.which("cp"))
    bash = [shutil.which("bash"), str(tmp_path / "ag/source/setup.sh")]
    done = subprocess.run(bash, env=environment, capture_output=True, text=True, timeout=120)
    return done, (tmp_path / "log").read_text().splitlines()


def test_the_set_up_installs_into_an_environment_and_closes_the_source(tmp_path, archive):
    folder = commands(tmp_path / "bin", python3_12=MAKES_VENV, bwrap="", id="exit 1", useradd="")
    done, calls = set_up(tmp_path, archive, folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert calls[1:3] == [
        "id course-learner",
        "useradd --system --no-create-home --shell /usr/sbin/nologin course-learner",
    ]
    assert calls[3] == f"python3.12 -m venv --clear {tmp_path}/ag/venv"
    assert calls[4] == "python -m pip install -q --no-cache-dir -r requirements.txt -c constraints.txt"
    assert calls[5] == f"python -P -m course_lib.tools.grade.gradescope.run {tmp_path}/ag --check"
    assert stat.S_IMODE((tmp_path / "ag/source").stat().st_mode) & 0o077 == 0
    assert stat.S_IMODE((tmp_path / "ag/source/config.json").stat().st_mode) & 0o077 == 0


def test_the_set_up_installs_what_ubuntu_lacks(tmp_path, archive):
    makes = f"""cat > "{tmp_path}/bin/python3.11" <<'X'
#!{shutil.which("bash")}
echo "python3.11 $*" >> "$LOG"
{MAKES_VENV}
X
chmod +x "{tmp_path}/bin/python3.11" """
    apt = f'case "$*" in *python3.11*) {makes} ;; esac'
    folder = commands(tmp_path / "bin", apt_get=apt, id="", python3="exit 1")
    (folder / "cat").symlink_to(shutil.which("cat"))
    done, calls = set_up(tmp_path, archive, folder)
    assert done.returncode == 0, done.stderr
    assert [call for call in calls if call.startswith("apt-get")] == [
        "apt-get update -qq",
        "apt-get install -y -qq --no-install-recommends bubblewrap python3 python3-venv ca-certificates",
        "apt-get install -y -qq --no-install-recommends python3.11 python3.11-venv",
    ]
    assert not [call for call in calls if call.startswith("useradd")]


def test_the_set_up_says_so_where_python_is_too_old(tmp_path, archive):
    folder = commands(tmp_path / "bin", apt_get="", python3="exit 1", bwrap="")
    done, _ = set_up(tmp_path, archive, folder)
    assert done.returncode == 1
    assert done.stderr == "The grader needs Python 3.11 or newer: choose Ubuntu 22.04 or newer as the base image.\n"


# the run


def test_the_run_script_grades_a_notebook_without_the_network(image, root):
    """The real script, worker and sandbox on a made-up student's notebook; the marks are the truth's."""
    *_, notebook, handed = next(one for one in students(template(root, 4), 4, 9, "spring") if 0 < sum(
        mark.points for mark in one[3].values()) < 16)  # fmt: skip
    Sandbox().check()
    hand_in(image, notebook)
    command = ["bwrap", "--dev-bind", "/", "/", "--unshare-net", "--", str(image / "run_autograder")]
    environment = {**os.environ, "AUTOGRADER": str(image), "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    assert {test["number"]: test["score"] for test in results(image)["tests"]} == {
        id: mark.points for id, mark in handed.items()
    }
    assert stat.S_IMODE((image / "source").stat().st_mode) & 0o077 == 0
    assert stat.S_IMODE((image / "submission").stat().st_mode) & 0o077 == 0


def test_nothing_handed_in_is_no_crash(image):
    (image / "results").mkdir()
    assert run.main(image) == 0
    data = results(image)
    assert data["output"] == "Nothing was handed in.\nGraded by a person: 4.8."
    assert {test["score"] for test in data["tests"]} == {0.0}
    assert {test["output"] for test in data["tests"]} == {"The cell of this exercise is missing."}


def test_a_grader_that_breaks_still_leaves_a_result_that_blames_nobody(image, monkeypatch, capsys):
    hand_in(image, {"cells": []})
    monkeypatch.setattr(run, "made", lambda *args: 1 / 0)
    assert run.main(image) == 1
    assert results(image) == {"score": 0, "output": run.UNFINISHED, "output_format": "text"}
    assert "ZeroDivisionError" in capsys.readouterr().err


def refusing(*kinds):
    """A check that fails for these kinds of sandbox."""

    def check(self):
        if self.kind in kinds:
            raise Problem(f"{self.kind} cannot work")

    return check


def test_another_user_takes_over_where_bubblewrap_cannot_work(image, monkeypatch, capsys):
    monkeypatch.setattr(Sandbox, "check", refusing("bwrap"))
    sandbox = run.sandbox_here(image)
    assert (sandbox.kind, sandbox.user) == ("user", "course-learner")
    assert set(sandbox.private) == {image / "source", image / "submission", image / "results"}
    assert run.main(image, check=True) == 0
    assert capsys.readouterr().out == "Students' code will run in: user\n"


def test_without_any_wall_nothing_runs(image, monkeypatch):
    hand_in(image, {"cells": []})
    monkeypatch.setattr(Sandbox, "check", refusing("bwrap", "user"))
    assert run.main(image) == 1
    assert results(image)["output"] == run.UNFINISHED
    with pytest.raises(Problem, match="user cannot work"):
        run.main(image, check=True)


def test_bubblewrap_is_preferred(image, monkeypatch):
    monkeypatch.setattr(Sandbox, "check", refusing())
    assert run.sandbox_here(image).kind == "bwrap"


def test_the_guide_names_every_visibility():
    guide = (Path(__file__).parents[1] / "book/instructors_systems.md").read_text("utf-8")
    assert all(f"`{one}`" in guide for one in build.VISIBILITY)
