"""A class of 300 for chapter 4, graded by the command: marks against the truth, and the time it takes.

Run as `python benchmarks/grading.py [students] [jobs]` on a machine that does nothing else. Of the students of
`make-class` those stay whose answers are right, foreseen or not begun; with two jobs 300 of them should take less than
ten minutes (where fewer were made, the time is scaled). Then one student in ten reads a name in an answer that no slice
can see, and needs the whole notebook: 300 should take less than thirty. At last the first class is graded once more,
killed after 1, 50 and 137 results and each time taken up again; all that is written must be the same, byte for byte.
"""

import ast
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from course_lib.exercises import registry
from course_lib.tools.grade.marked import result
from course_lib.tools.grade.rehearsed import make_class

ROOT = Path(__file__).resolve().parents[1]
MINUTES, WHOLE_MINUTES, KILLED_AFTER = 10, 30, (1, 50, 137)
# `course grade`, which kills itself when it has graded so many.
DRIVER = """
import os, signal, sys
from course_lib.tools.cli import main
from course_lib.tools.grade.outside.batch import Batch

finish, left = Batch.finish, [int(sys.argv[1])]


def counted(self, ran):
    finish(self, ran)
    left[0] -= ran.replies is not None
    if ran.replies is not None and not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)


Batch.finish = counted
sys.exit(main(sys.argv[2:]))
"""


def grade(folder: Path, out: Path, jobs: int, kill: int = 0) -> float:
    """Seconds that the command takes."""
    line = [sys.executable, "-c", DRIVER, str(kill), "grade", str(folder), "--seed", "benchmark", "--jobs", str(jobs)]
    begin = time.monotonic()
    done = subprocess.run([*line, "--out", str(out)], env=os.environ | {"PYTHONPATH": str(ROOT)}, cwd=ROOT)
    if done.returncode != (-9 if kill else 0):
        raise SystemExit(f"course grade ended with status {done.returncode}.")
    return time.monotonic() - begin


def foreseen(made: Path) -> list[str]:
    """The students none of whose answers is half done or no Python."""
    students = json.loads((made / "truth.json").read_text(encoding="utf-8"))["students"]
    odd = {
        folder
        for folder, student in students.items()
        for one in student["exercises"].values()
        if one["status"] == "error" or one["kind"].startswith("half")
    }
    return [folder for folder in students if folder not in odd]


def unseen(path: Path) -> None:
    """Change a notebook so that its first answer reads a name that is bound where no slice looks."""
    notebook, names = json.loads(path.read_text(encoding="utf-8")), {one.name for one in registry.exercises(4)}
    for cell in notebook["cells"]:
        lines = "".join(cell["source"]).split("\n") if cell["cell_type"] == "code" else []
        try:
            found = [node for node in ast.parse("\n".join(lines)).body if isinstance(node, ast.FunctionDef)]
        except SyntaxError:
            continue
        for node in found:
            if node.name in names and not isinstance(node.body[-1], ast.Raise):
                told = node.body[ast.get_docstring(node) is not None]
                lines.insert(told.lineno - 1, " " * told.col_offset + "unseen_ + 0")
                cell["source"] = "\n".join(lines)
                bound = {"cell_type": "code", "id": "unseen", "metadata": {}, "execution_count": None, "outputs": []}
                notebook["cells"].insert(3, bound | {"source": 'globals()["unseen_"] = 0'})
                path.write_text(json.dumps(notebook), encoding="utf-8")
                return


def wrong_marks(made: Path, out: Path) -> list[str]:
    """The exercises whose mark is not what make-class says it should be."""
    truth, found = json.loads((made / "truth.json").read_text(encoding="utf-8"))["students"], []
    for one in result.read_all(out / "results"):
        for number, due in truth[one.file.split("/")[0]]["exercises"].items():
            mark = one.exercises[number]
            if (mark.points, mark.status, mark.wrong) != (due["points"], due["status"], due["wrong"]):
                found.append(f"{one.file} {number}: {due}, got {mark}")
    return found


def results_in(out: Path) -> list[Path]:
    """The files of the submissions that are graded."""
    return list((out / "results").glob("[!.]*.json"))


def everything(out: Path) -> dict[str, bytes]:
    """All that a run has written."""
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def timed(made: Path, name: str, jobs: int, students: int, minutes: float) -> bool:
    """Grade a class, say how long it took, and whether that and the marks are as they should be."""
    graded = len(list((made / name).iterdir()))
    seconds = grade(made / name, made / f"out {name}", jobs) * students / graded
    wrong = wrong_marks(made, made / f"out {name}")
    print(f"{name}: {seconds:.0f} s for {students} with {jobs} jobs, {len(wrong)} marks differ from the truth.")
    print(*wrong[:10], sep="\n", flush=True)
    return not wrong and (students < 300 or seconds <= 60 * minutes)


def main(students: int = 300, jobs: int = 2) -> int:
    with tempfile.TemporaryDirectory() as folder:
        made = make_class.make(ROOT, 4, students, "1", Path(folder) / "made")
        for k, name in enumerate(foreseen(made)):
            for label in ("right or foreseen", "one in ten whole"):
                shutil.copytree(made / "submissions" / name, made / label / name)
            if k % 10 == 0:
                for path in (made / "one in ten whole" / name).rglob("*.ipynb"):
                    unseen(path)
        good = timed(made, "right or foreseen", jobs, students, MINUTES)
        good &= timed(made, "one in ten whole", jobs, students, WHOLE_MINUTES)
        out, seconds_killed = Path(folder) / "killed", 0.0
        graded = len(results_in(made / "out right or foreseen"))
        for number in (number for number in KILLED_AFTER if number < graded):
            kept = len(results_in(out))
            seconds_killed += grade(made / "right or foreseen", out, jobs, kill=number - kept)
            print(f"Killed when it had {len(results_in(out))} results.", flush=True)
        seconds_killed += grade(made / "right or foreseen", out, jobs)
        same = everything(out) == everything(made / "out right or foreseen")
        print(f"Taken up again: {'the same' if same else 'NOT THE SAME'}, after {seconds_killed:.0f} s in all.")
    return int(not (good and same))


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
