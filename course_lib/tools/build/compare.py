"""Committed notebooks against what their masters give: by content, so that a stale exercise cannot pass."""

from collections.abc import Iterator
from itertools import zip_longest

import nbformat

from course_lib.tools.build.masters import Master, Problem
from course_lib.tools.build.notebooks import KEPT_TAG
from course_lib.tools.build.project import Project

FIELDS = ("cell_type", "id", "source")
METADATA = ("tags", "course", "nbgrader")


def differences(project: Project, master: Master, notebooks: dict[str, nbformat.NotebookNode]) -> Iterator[Problem]:
    """The first difference of each committed notebook (folder name -> notebook as its master gives it)."""
    for folder, wanted in notebooks.items():
        shown = f"{folder}/{master.stem}.ipynb"
        path = project.root / folder / f"{master.stem}.ipynb"
        if not path.is_file():
            yield Problem(shown, 1, "the notebook is missing: run `course build --notebooks-only`.")
            continue
        try:
            committed = nbformat.read(path, as_version=4)
        except Exception:
            yield Problem(shown, 1, "the notebook cannot be read: run `course build --notebooks-only`.")
            continue
        found = first_difference(committed, wanted) or missing_output(committed, folder)
        if found:
            yield Problem(shown, 1, found)


def first_difference(committed, wanted) -> str | None:
    """Which cell differs first, and in what."""
    if dict(committed.metadata) != dict(wanted.metadata):
        return "its metadata differ from what the master gives: run `course build --notebooks-only`."
    for index, (old, new) in enumerate(zip_longest(committed.cells, wanted.cells), 1):
        if old is None or new is None:
            which = "lacks" if old is None else "has"
            return f"it {which} cell {index} ({opening(old or new)}) and its master does not agree: rebuild it."
        parts = [name for name in FIELDS if old.get(name) != new.get(name)]
        parts += [name for name in METADATA if old.metadata.get(name) != new.metadata.get(name)]
        if parts:
            return f"cell {index} ({opening(new)}) differs from its master in {', '.join(parts)}: rebuild the notebook."
    return None


def missing_output(committed, folder: str) -> str | None:
    """Students' cells have no output; a tagged cell of the complete notebook has one."""
    for index, cell in enumerate(committed.cells, 1):
        if cell.cell_type != "code":
            continue
        kept = folder == "solutions" and KEPT_TAG in cell.metadata.get("tags", [])
        if kept and not (cell.outputs and cell.execution_count):
            return f"cell {index} ({opening(cell)}) is tagged {KEPT_TAG} but keeps no output: run `course build`."
        if not kept and (cell.outputs or cell.execution_count is not None):
            return f"cell {index} ({opening(cell)}) has outputs or a count and must have none: rebuild the notebook."
    return None


def opening(cell) -> str:
    """The first words of a cell."""
    first = next((line for line in cell.source.split("\n") if line.strip()), "")
    return repr(first if len(first) <= 50 else first[:47] + "...")
