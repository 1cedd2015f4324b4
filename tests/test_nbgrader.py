"""The complete notebooks as nbgrader's source: it makes release versions of them, in an environment of its own."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from course_lib.exercises import exercise, exercises
from course_lib.tools.build.notebooks import solution_lines

VERSION = "0.9.6"  # the first that works with JupyterLab 4.3 and later
ROOT = Path(__file__).resolve().parents[1]
COMPLETE = sorted((ROOT / "solutions").glob("*.ipynb"))


@pytest.fixture(scope="module")
def environment() -> Path:
    """An environment with nbgrader, kept in .cache as it takes half a minute: it must not share ours."""
    pins = (ROOT / "constraints.txt").read_bytes()
    name = hashlib.sha256(pins + VERSION.encode() + sys.version.encode()).hexdigest()[:12]
    folder = ROOT / ".cache" / f"nbgrader-{name}"
    if not (folder / "installed").exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=300)
        command = [folder / "bin/python", "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*command, "-c", str(ROOT / "constraints.txt"), f"nbgrader=={VERSION}"], check=True, timeout=900)
        (folder / "installed").touch()
    return folder


@pytest.fixture(scope="module")
def release(environment, tmp_path_factory) -> dict[str, dict]:
    """The notebooks that nbgrader makes for students, by name."""
    course = tmp_path_factory.mktemp("nbgrader")
    shutil.copytree(ROOT / "solutions", course / "source" / "course", ignore=shutil.ignore_patterns(".*"))
    variables = {"HOME": str(course), "PATH": f"{environment / 'bin'}:{os.environ['PATH']}"}
    command = [environment / "bin/python", "-m", "nbgrader", "generate_assignment", "course", "--create"]
    done = subprocess.run(
        [*command, f"--course-dir={course}"], cwd=course, env=variables, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    written = sorted((course / "release" / "course").glob("*.ipynb"))
    return {path.name: json.loads(path.read_text("utf-8")) for path in written}


def source(cell) -> str:
    return "".join(cell["source"])


def graded(notebook) -> dict[str, dict]:
    """The cells that nbgrader knows, by their id."""
    return {c["metadata"]["nbgrader"]["grade_id"]: c for c in notebook["cells"] if "nbgrader" in c["metadata"]}


def test_every_chapter_is_released(release):
    assert COMPLETE
    assert list(release) == [path.name for path in COMPLETE]


@pytest.mark.parametrize("path", COMPLETE, ids=lambda path: path.stem)
def test_a_released_notebook_has_stubs_checks_and_points_and_no_solution(release, path):
    complete, notebook = json.loads(path.read_text("utf-8")), release[path.name]
    text, chapter = json.dumps(notebook, ensure_ascii=False), int(path.stem[:2])
    assert not [word for word in ("### BEGIN", "### END", "assert check(", "Solution of") if word in text]
    cells = graded(notebook)
    for cell in graded(complete).values():
        if "### BEGIN SOLUTION" in source(cell):
            mine = source(cells[cell["metadata"]["nbgrader"]["grade_id"]])
            assert mine.rstrip().endswith("# YOUR CODE HERE\n    raise NotImplementedError()")
            given = {line.strip() for line in mine.split("\n")}
            assert not [line for line in solution_lines(source(cell)) if line in given]
    points = sum(cell["metadata"]["nbgrader"].get("points", 0) for cell in cells.values())
    assert points == sum(one.points for one in exercises(chapter))


@pytest.mark.parametrize("path", COMPLETE, ids=lambda path: path.stem)
def test_the_grader_finds_every_answer_in_a_released_notebook(release, path):
    """A department may release with nbgrader and grade with `course grade`: the tags are still there."""
    marked = [c["metadata"]["course"]["exercise"] for c in release[path.name]["cells"] if "course" in c["metadata"]]
    assert sorted(marked) == sorted(one.id for one in exercises(int(path.stem[:2])))  # 11.11 comes before 11.4
    words = [graded(release[path.name])[f"ex-{id.replace('.', '-')}"] for id in marked if exercise(id).kind == "judged"]
    assert all(source(cell) == "YOUR ANSWER HERE" for cell in words)
