"""Runs a complete notebook on the pretend accelerator and compares what its tagged cells print with the committed."""

import os
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from course_lib.tools.build.execute import Kernel
from course_lib.tools.build.notebooks import KEPT_TAG

ROOT = Path(__file__).resolve().parents[1]
FIRST = 8  # the first chapter whose networks may live on a GPU
PLANE = 17  # an elective of Part I's plane, whose tensors stay on the CPU as those of chapters 1 to 7 do
ENTER = """\
import sys, torch
sys.path.insert(0, {tests!r})
import pretend
_entered = pretend.accelerator(without=(torch.float64,))
_entered.__enter__()"""


def chapters() -> list[Path]:
    """The complete notebooks of Parts II and III, whichever there are."""
    numbered = {path: int(path.stem[:2]) for path in sorted((ROOT / "solutions").glob("*.ipynb"))}
    return [path for path, number in numbered.items() if number >= FIRST and number != PLANE]


FILES = 4  # test files that share the chapters, so that no worker runs them all


def share(k: int) -> list[Path]:
    """The chapters of test file k."""
    return chapters()[k - 1 :: FILES]


def text_of(cell) -> str:
    """What a cell printed and displayed as text, in order."""
    outputs = [o for o in cell.outputs if o.output_type != "error"]
    return "".join(o.text if o.output_type == "stream" else o.get("data", {}).get("text/plain", "") for o in outputs)


def executed(path: Path, folder: Path, device: str = "pretend"):
    """The notebook after a run with COURSE_DEVICE set, started in an empty folder."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(ENTER.format(tests=str(ROOT / "tests"))))
    client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}})
    client.kernel_manager_class = Kernel
    places = {"PYTHONPATH": str(ROOT), "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    client.execute(env=os.environ | places | {"COURSE_DEVICE": device, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"})
    del notebook.cells[0]
    return notebook


def differences(path: Path, run) -> list[tuple[str, str, str]]:
    """(first line, committed, found) of each tagged cell whose text is another one than the committed."""
    pairs = zip(nbformat.read(path, as_version=4).cells, run.cells, strict=True)
    tagged = [(old, new) for old, new in pairs if KEPT_TAG in old.metadata.get("tags", [])]
    assert tagged, f"{path.name} keeps no output to compare with"
    return [(o.source.split("\n")[0], text_of(o), text_of(n)) for o, n in tagged if text_of(o) != text_of(n)]


def assert_runs_unchanged(path: Path, folder: Path) -> None:
    """No cell fails, and what the tagged cells print is what was committed after a run on the CPU."""
    run = executed(path, folder)
    told = "".join(text_of(cell) for cell in run.cells if cell.cell_type == "code")
    assert "pretend:0" in told, f"{path.stem} does not say on which device it ran"
    changed = differences(path, run)
    assert changed == [], changed
