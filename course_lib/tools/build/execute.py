"""Run a complete notebook in a kernel, behind a cache that also knows the library the cells import."""

import hashlib
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from course_lib.tools.build.lint import cell_lines, locate
from course_lib.tools.build.masters import BuildError, Code, Master, Problem
from course_lib.tools.build.notebooks import without_hidden_test
from course_lib.tools.build.project import Project

CELL_SECONDS = 600
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Run:
    """An executed notebook, what it cost, and whether it came from the cache."""

    notebook: nbformat.NotebookNode
    seconds: float
    megabytes: float | None
    cached: bool


class ThisPython(KernelSpecManager):
    """The kernel is the running interpreter, whatever kernels the machine has installed."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", "--log-level=ERROR"]
        return KernelSpec(argv=argv, display_name="Python 3", language="python")


class Kernel(AsyncKernelManager):
    """A kernel manager that starts this interpreter."""

    def _kernel_spec_manager_default(self) -> KernelSpecManager:
        return ThisPython(parent=self)


def library_hash(root: Path) -> str:
    """Changes with any file of course_lib but the builder's own, with the constraints and with the Python version."""
    digest = hashlib.sha256(sys.version.encode())
    library = root / "course_lib"
    files = [path for path in sorted(library.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]
    files = [path for path in files if not path.is_relative_to(library / "tools" / "build")]
    for path in [*files, root / "constraints.txt"]:
        if path.is_file():
            digest.update(f"\0{path.relative_to(root).as_posix()}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def execution_key(project: Project, notebook: nbformat.NotebookNode) -> str:
    """Names one execution: the library and the sources and tags of all code cells."""
    cells = [[c.source, c.metadata.get("tags", [])] for c in notebook.cells if c.cell_type == "code"]
    text = json.dumps([library_hash(project.root), cells])
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def cache_file(project: Project, master: Master, key: str) -> Path:
    return project.root / ".cache" / master.stem / f"{key}.ipynb"


def run(project: Project, master: Master, complete: nbformat.NotebookNode) -> Run:
    """The executed notebook, from the cache where nothing it depends on has changed."""
    notebook = runnable(complete)
    path = cache_file(project, master, execution_key(project, notebook))
    cached = path.is_file()
    if not cached:
        executed, seconds, megabytes = execute(project, master, nbformat.from_dict(notebook))
        executed.metadata["course"] = {"seconds": seconds, "megabytes": megabytes}
        store(path, executed)
    stored = nbformat.read(path, as_version=4)
    cost = stored.metadata["course"]
    result = Run(with_outputs(notebook, stored), cost["seconds"], cost["megabytes"], cached)
    if unfit := [*unfit_outputs(master, result.notebook)]:
        raise BuildError(*unfit)
    return result


def store(path: Path, executed: nbformat.NotebookNode) -> None:
    """Write the run, whole or not at all, in place of the chapter's older ones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    nbformat.write(executed, partial)
    for old in path.parent.glob("*.ipynb"):
        old.unlink()
    partial.replace(path)


def runnable(complete: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A copy without nbgrader's hidden assertions, which would print every answer twice."""
    notebook = nbformat.from_dict(complete)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source = without_hidden_test(cell.source)
    return notebook


def with_outputs(notebook: nbformat.NotebookNode, stored: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Today's prose with the stored outputs: the key says that the code cells are the same, in the same order."""
    cells = iter([cell for cell in stored.cells if cell.cell_type == "code"])
    for cell in notebook.cells:
        if cell.cell_type == "code":
            old = next(cells)
            cell.outputs, cell.execution_count = old.outputs, old.execution_count
    notebook.metadata = stored.metadata
    return notebook


def execute(project: Project, master: Master, notebook: nbformat.NotebookNode):
    """Run every cell; returns the notebook, seconds and the kernel's peak memory in megabytes."""
    started: list = [None]
    peaks: list[float] = []

    def before(cell, **_) -> None:
        started[0] = cell

    def after(**_) -> None:
        peaks.append(peak_memory(client.km.provisioner.pid) or 0)

    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(notebook, timeout=CELL_SECONDS, store_widget_state=True)
        client.kernel_manager_class = Kernel
        client.resources = {"metadata": {"path": folder}}
        client.on_cell_start, client.on_cell_executed = before, after
        start = time.monotonic()
        try:
            client.execute(env=kernel_environment(project))
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            raise BuildError(failure(master, started[0], error)) from None
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        cell.outputs = joined(cell.outputs)
    return notebook, round(time.monotonic() - start, 1), max(peaks, default=0) or None


def joined(outputs: list) -> list:
    """Outputs with pieces of one stream put together: where the kernel cut it was a matter of time."""
    whole: list = []
    for output in outputs:
        last = whole[-1] if whole else None
        if last and output.output_type == last.output_type == "stream" and output.name == last.name:
            last.text += output.text
        else:
            whole.append(output)
    return whole


def unfit_outputs(master: Master, notebook: nbformat.NotebookNode) -> Iterator[Problem]:
    """Warnings have no place on a page, and a caption belongs to exactly one figure."""
    lines = cell_lines(master)
    captioned = {b.source for b in master.blocks if isinstance(b, Code) and b.options.get("caption")}
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        at = locate(cell.source, 1, lines)
        for output in cell.outputs:
            if output.get("name") == "stderr":
                text = " ".join(ANSI.sub("", output.text).split())[:200]
                yield master.problem(at, f"this cell writes to standard error: {text}")
        displayed = [output for output in cell.outputs if output.output_type != "stream"]
        if cell.source in captioned and len(displayed) != 1:
            yield master.problem(at, f"this cell has one caption but displays {len(displayed)} things: one is due.")


def kernel_environment(project: Project) -> dict[str, str]:
    """The library of this checkout, and one thread."""
    path = os.pathsep.join(filter(None, [str(project.root), os.environ.get("PYTHONPATH", "")]))
    return os.environ | {"PYTHONPATH": path, "PYDEVD_DISABLE_FILE_VALIDATION": "1"} | dict.fromkeys(THREADS, "1")


def peak_memory(pid: int) -> float | None:
    """The largest resident size a process has had, in megabytes; None where the system does not say."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return round(int(found[1]) / 1024) if found else None


def failure(master: Master, cell, error: Exception):
    """The chapter, the cell and the error in one sentence, at the line of the master."""
    if cell is None:
        return master.problem(1, f"the kernel did not start ({type(error).__name__}).")
    lines = cell_lines(master)
    first = cell.source.split("\n", 1)[0]
    row = 1
    if isinstance(error, CellExecutionError):
        text = f"{error.ename}: {ANSI.sub('', error.evalue)}"
        rows = re.findall(r"(?:Cell |line )(?:In\[\d+\], )?(?:line )?(\d+)", ANSI.sub("", error.traceback))
        row = int(rows[0]) if rows else 1
    elif isinstance(error, CellTimeoutError):
        text = f"it ran for more than {CELL_SECONDS} seconds"
    else:
        text = "the kernel died, perhaps for want of memory"
    at = locate(cell.source, row, lines)
    return master.problem(at, f"chapter {master.number} stops in the cell {first!r}: {' '.join(text.split())}.")
