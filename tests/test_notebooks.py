"""The committed notebooks: equal to their masters, without solutions for students, and running in Colab's way."""

import ast
import json
import os
import re
import subprocess
import sys
import zipfile
from functools import cache
from pathlib import Path

import nbformat
import pytest

from course_lib.tools.build.command import both, check_all, valid_masters
from course_lib.tools.build.masters import Code, Directive, Text
from course_lib.tools.build.notebooks import solution_lines, stubbed
from course_lib.tools.build.project import Project

ROOT = Path(__file__).resolve().parents[1]
STUDENT = sorted((ROOT / "notebooks").glob("*.ipynb"))
COMPLETE = sorted((ROOT / "solutions").glob("*.ipynb"))
CITED = re.compile(r"\(([1-9]\d*\.\d+)\)")  # the course's own equations stand in parentheses, as (4.4)

each_student = pytest.mark.parametrize("path", STUDENT, ids=lambda path: path.stem)
each_notebook = pytest.mark.parametrize("path", STUDENT + COMPLETE, ids=lambda path: f"{path.parent.name}-{path.stem}")


@cache
def masters():
    """The project, its masters and their names; every master obeys the rules."""
    project = Project(ROOT)
    return project, *valid_masters(project)


@cache
def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def code(path: Path) -> list:
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def test_there_is_a_pair_of_notebooks_for_each_chapter():
    stems = [master.stem for master in masters()[1]]
    assert stems
    assert stems == [path.stem for path in STUDENT] == [path.stem for path in COMPLETE]


def test_committed_notebooks_are_what_the_masters_give():
    check_all(Project(ROOT))


def test_two_builds_give_the_same_cells():
    project, chapters, names = masters()
    for master in chapters:
        assert both(project, master, names) == both(project, master, names)


@each_notebook
def test_notebooks_are_valid_with_unique_ids(path):
    raw = json.loads(path.read_text(encoding="utf-8"))  # nbformat would mend two equal ids while it reads
    nbformat.validate(raw)
    assert (raw["nbformat"], raw["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in raw["cells"]}) == len(raw["cells"])


@each_student
def test_students_get_no_outputs_and_no_counts(path):
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code(path))
    assert "nbval" not in path.read_text(encoding="utf-8")


@each_student
def test_students_get_no_line_of_a_solution(path):
    """A line between markers is nowhere in the student's notebook, unless the code given elsewhere has it too."""
    complete = [cell for cell in code(ROOT / "solutions" / path.name) if "### BEGIN SOLUTION" in cell.source]
    project, chapters, _ = masters()
    master = next(master for master in chapters if master.stem == path.stem)
    exercises = project.declared(master.number).exercises
    given = [block.source for block in master.blocks if isinstance(block, Code) and not block.exercise]
    given += [stubbed(cell.source, exercises[cell.metadata.course.exercise]) for cell in complete]
    known = {line.strip() for source in given for line in source.split("\n")}
    student = {line.strip() for cell in code(path) for line in cell.source.split("\n")}
    secret = {line for cell in complete for line in solution_lines(cell.source)} - known
    assert complete
    assert len(secret) >= len(complete)
    assert not secret & student
    assert "SOLUTION" not in path.read_text(encoding="utf-8")


@each_student
def test_words_of_solutions_are_not_in_a_students_notebook(path):
    _, chapters, _ = masters()
    master = next(master for master in chapters if master.stem == path.stem)
    text = "\n".join(cell.source for cell in read(path).cells)
    for block in master.blocks:
        if getattr(block, "name", "") == "solution":
            for line in (line.strip() for line in block.body.split("\n")):
                assert len(line) < 30 or line not in text, line


@each_student
def test_every_stub_says_which_exercise_it_is(path):
    project, chapters, _ = masters()
    number = next(master.number for master in chapters if master.stem == path.stem)
    declared = {one.id for one in project.declared(number).exercises.values() if not one.rubric}
    cells = {cell.metadata.course.exercise: cell for cell in code(path) if "exercise" in cell.metadata.get("tags", [])}
    assert set(cells) == declared
    for name, cell in cells.items():
        assert cell.source.startswith(f"# exercise {name}\n")
        assert re.search(rf'raise NotImplementedError\(\s*"Exercise {re.escape(name)}: ', cell.source)


@each_notebook
def test_no_directive_or_role_is_left(path):
    for cell in read(path).cells:
        if cell.cell_type == "markdown":
            assert not re.search(r"```+\{|\{[a-z:]+\}`", cell.source), cell.source


def test_ruff_passes_on_the_notebooks():
    for command in (["check", "--quiet"], ["format", "--check", "--quiet"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "notebooks", "solutions"], cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def colab(tmp_path_factory) -> Path:
    """A folder that holds the built wheel's course_lib, and nothing else of the repository."""
    folder = tmp_path_factory.mktemp("colab")
    wheels = tmp_path_factory.mktemp("wheel")
    sources = tmp_path_factory.mktemp("sources")
    for name in ("pyproject.toml", "README.md", "LICENSE", "LICENSE-text", "course_lib"):
        (sources / name).symlink_to(ROOT / name)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(wheels),
    ]
    subprocess.run([*pip, str(sources)], check=True, capture_output=True, text=True)
    (wheel,) = wheels.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


def test_the_wheel_has_every_file_of_the_library(colab):
    """So that what runs here, where nbval runs every notebook, runs from the wheel."""
    kept = subprocess.run(["git", "ls-files", "-z", "course_lib"], cwd=ROOT, check=True, capture_output=True, text=True)
    missing = [name for name in kept.stdout.split("\0") if name and not (colab / name).is_file()]
    assert missing == []


@each_student
def test_a_students_notebook_reads_nothing_of_the_repository(path):
    """In Colab there is none: no code names a folder above its own, or one beside the library."""
    for cell in code(path):
        assert not re.search(r"""["'](\.\./|(book|notebooks|solutions|tests)/)|__file__""", cell.source), cell.source


SHORT = [path for path in STUDENT if int(path.stem[:2]) in (6, 11, 16)]  # one of each part


@pytest.mark.parametrize("path", SHORT, ids=lambda path: path.stem)
def test_a_students_notebook_runs_unsolved_from_the_wheel_alone(path, colab, tmp_path):
    """One of each part: nothing raises, every exercise reads "not attempted", and the library is the wheel's."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell("import course_lib\n\nprint(course_lib.__file__)"))
    nbformat.write(notebook, tmp_path / path.name)
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONSAFEPATH")}
    environment |= {"PYTHONPATH": str(colab), "OMP_NUM_THREADS": "1", "HOME": str(tmp_path)}
    script = (
        "import sys, nbformat\nfrom nbclient import NotebookClient\n"
        "notebook = nbformat.read(sys.argv[1], as_version=4)\n"
        "NotebookClient(notebook, timeout=300, kernel_name='python3').execute()\n"
        "nbformat.write(notebook, sys.argv[2])"
    )
    target = tmp_path / "done.ipynb"
    command = [sys.executable, "-c", script, str(tmp_path / path.name), str(target)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    printed = json.dumps(nbformat.read(target, as_version=4)).replace("\\n", "\n")
    assert str(colab / "course_lib" / "__init__.py") in printed
    for cell in code(path):
        if "exercise" in cell.metadata.get("tags", []):
            assert f"{cell.metadata.course.exercise}  not attempted" in printed


def cited_equations() -> list[tuple[str, str]]:
    """(place, number) for each equation that a docstring of the library names; a source's own numbers are not ours."""
    found = []
    for path in sorted((ROOT / "course_lib").rglob("*.py")):
        if "tools" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                ours = (ast.get_docstring(node) or "").split("Source:")[0]
                place = f"{path.relative_to(ROOT)}: {getattr(node, 'name', 'module')}"
                found += [(place, number) for number in CITED.findall(ours)]
    return found


def test_the_equations_that_the_library_cites_are_in_the_chapters():
    """So do the declarations of the exercises; the numbers of a chapter that is not written yet are trusted."""
    project, chapters, names = masters()
    known = {label.removeprefix("eq-").replace("-", ".") for label in names.equations}
    cited = cited_equations()
    for master in chapters:
        for exercise in project.declared(master.number).exercises.values():
            cited += [(f"exercise {exercise.id}", number) for number in CITED.findall(exercise.equation)]
    assert len(cited) >= 40
    written = {str(master.number) for master in chapters}
    cited = [(place, number) for place, number in cited if number.split(".")[0] in written]
    assert [f"{place} ({number})" for place, number in cited if number not in known] == []


def stacked(blocks: list) -> int:
    """The most equations in the open that follow each other within a section without a cell or an exercise between."""
    most = count = 0
    for block in blocks:
        if isinstance(block, Code) or (isinstance(block, Text) and block.text.startswith("## ")):
            count = 0
        elif isinstance(block, Directive) and block.name == "math":
            count += 1
        most = max(most, count)
    return most


def test_no_section_has_more_than_two_equations_before_something_runs():
    """What is folded does not count."""
    found = {master.stem: stacked(master.blocks) for master in masters()[1]}
    assert {stem: count for stem, count in found.items() if count > 2} == {}
