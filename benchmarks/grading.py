"""A class of 300 for chapter 4, graded by the command: marks against the truth, and the time it takes.

Run as `python benchmarks/grading.py [students] [jobs]` on a machine that does nothing else; 300 students and two jobs
should take less than ten minutes. Then the same class is graded once more, killed after 1, 50 and 137 results and each
time taken up again; all that is written must be the same, byte for byte.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from course_lib.tools.grade.marked import result
from course_lib.tools.grade.rehearsed import make_class

ROOT = Path(__file__).resolve().parents[1]
MINUTES, KILLED_AFTER = 10, (1, 50, 137)
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


def wrong_marks(made: Path, out: Path) -> list[str]:
    """The exercises whose mark is not what make-class says it should be."""
    truth, found = json.loads((made / "truth.json").read_text(encoding="utf-8"))["students"], []
    results = {one.file.split("/")[0]: one for one in result.read_all(out / "results")}
    for folder, student in truth.items():
        for number, due in student["exercises"].items():
            mark = results[folder].exercises[number]
            if (mark.points, mark.status, mark.wrong) != (due["points"], due["status"], due["wrong"]):
                found.append(f"{folder} {number}: {due}, got {mark}")
    return found


def results_in(out: Path) -> list[Path]:
    """The files of the submissions that are graded."""
    return list((out / "results").glob("[!.]*.json"))


def everything(out: Path) -> dict[str, bytes]:
    """All that a run has written."""
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def main(students: int = 300, jobs: int = 2) -> int:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        made = make_class.make(ROOT, 4, students, "1", place / "made")
        seconds = grade(made / "submissions", place / "whole", jobs)
        wrong = wrong_marks(made, place / "whole")
        print(f"{students} notebooks, {jobs} jobs: {seconds:.0f} s, {len(wrong)} marks differ from the truth.")
        print(*wrong[:10], sep="\n", flush=True)
        out, seconds_killed = place / "killed", 0.0
        for number in (number for number in KILLED_AFTER if number < students):
            kept = len(results_in(out))
            seconds_killed += grade(made / "submissions", out, jobs, kill=number - kept)
            print(f"Killed when it had {len(results_in(out))} results.", flush=True)
        seconds_killed += grade(made / "submissions", out, jobs)
        same = everything(out) == everything(place / "whole")
        print(f"Taken up again: {'the same' if same else 'NOT THE SAME'}, after {seconds_killed:.0f} s in all.")
    return int(bool(wrong) or not same or (students >= 300 and seconds > 60 * MINUTES))


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
