"""Ruff on the cells of a chapter's notebooks, told in the master's lines."""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat

from course_lib.tools.build.masters import Code, Master, Problem
from course_lib.tools.build.narrow import narrowed
from course_lib.tools.build.notebooks import without_hidden_test
from course_lib.tools.build.project import Project


def lint(project: Project, master: Master, notebooks: dict[str, nbformat.NotebookNode]) -> list[Problem]:
    """What `ruff check` and `ruff format` find in the notebooks (folder name -> notebook)."""
    lines = cell_lines(master)
    found = set()
    with tempfile.TemporaryDirectory() as folder:
        for name, notebook in notebooks.items():
            path = Path(folder) / name / f"{master.stem}.ipynb"
            path.parent.mkdir()
            nbformat.write(notebook, path)
            found |= set(style_problems(project, master, notebook, path, lines))
            found |= set(format_problems(project, master, notebook, path, lines))
    return sorted(found)


def ruff(project: Project, folder: Path, *arguments: str) -> str:
    """Ruff's standard output under the project's configuration."""
    config = ["--config", str(project.root / "pyproject.toml")] if (project.root / "pyproject.toml").is_file() else []
    config += ["--line-length", str(project.columns)]
    command = [sys.executable, "-m", "ruff", *arguments[:1], *config, "--no-cache", *arguments[1:]]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True).stdout


def style_problems(project, master, notebook, path, lines):
    """One problem a finding of `ruff check`."""
    for finding in json.loads(ruff(project, path.parent.parent, "check", "--output-format", "json", str(path)) or "[]"):
        source = notebook.cells[finding["cell"] - 1].source
        at = locate(source, finding["location"]["row"], lines)
        yield master.problem(at, f"ruff {finding['code']}: {finding['message'].rstrip('.')}.")


def format_problems(project, master, notebook, path, lines):
    """The first cell each that `ruff format` would write differently."""
    before = code_cells(notebook)
    ruff(project, path.parent.parent, "format", "--quiet", str(path))
    after = code_cells(nbformat.read(path, as_version=4))
    for old, new in zip(before, after):
        if old != new:
            pairs = zip(old.split("\n"), [*new.split("\n"), ""])
            row = next((n for n, (a, b) in enumerate(pairs, 1) if a != b), 1)
            better = (new.split("\n") + [""] * row)[row - 1].strip()
            yield master.problem(locate(old, row, lines), f"ruff format would write {better!r} here.")


def format_master(project: Project, master: Master, complete: nbformat.NotebookNode) -> bool:
    """Rewrite the cells of a master as `ruff format` does, imports sorted; says whether anything changed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{master.stem}.ipynb"
        nbformat.write(complete, path)
        ruff(project, path.parent, "check", "--quiet", "--select", "I", "--fix", str(path))
        for _ in range(4):  # what is cut is laid out anew, which may leave another line to be cut
            ruff(project, path.parent, "format", "--quiet", str(path))
            done = nbformat.read(path, as_version=4)
            before = code_cells(done)
            for cell in (cell for cell in done.cells if cell.cell_type == "code"):
                cell.source = narrowed(cell.source, project.columns)
            if code_cells(done) == before:
                break
            nbformat.write(done, path)
    sources = [c.source for c in done.cells if c.cell_type == "code" and not re.match("bootstrap$|quiz-", c.id)]
    text = master.path.read_text(encoding="utf-8")
    lines = text.split("\n")
    cells = [block for block in master.blocks if isinstance(block, Code)]
    for cell, source in reversed([*zip(cells, sources, strict=True)]):
        start = cell.first - 1
        lines[start : start + cell.source.count("\n") + 1] = without_hidden_test(source).split("\n")
    master.path.write_text("\n".join(lines), encoding="utf-8")
    return "\n".join(lines) != text


def code_cells(notebook: nbformat.NotebookNode) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def cell_lines(master: Master) -> list[tuple[str, int]]:
    """Each line of each cell of the master with its number."""
    cells = [block for block in master.blocks if isinstance(block, Code)]
    return [(text, cell.first + n) for cell in cells for n, text in enumerate(cell.source.split("\n"))]


def locate(source: str, row: int, lines: list[tuple[str, int]]) -> int:
    """The master's line of row `row` of a notebook cell: found by the cell's first line, then by the text."""
    rows = without_hidden_test(source).split("\n")
    text = rows[row - 1] if row <= len(rows) else rows[-1]
    start = next((number for line, number in lines if line == rows[0]), 1)
    return next((number for line, number in lines if number >= start and line == text), start)
