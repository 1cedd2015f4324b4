"""Grades one submission in Gradescope's container: /autograder/submission to /autograder/results/results.json."""

import json
import sys
import tempfile
import traceback
from pathlib import Path

from course_lib.exercises import registry
from course_lib.tools.environment import Problem
from course_lib.tools.grade.collected.submissions import Submission, in_folder
from course_lib.tools.grade.gradescope.build import LEARNER
from course_lib.tools.grade.marked import result
from course_lib.tools.grade.marked.result import Result, write_text
from course_lib.tools.grade.outside.batch import Batch
from course_lib.tools.grade.outside.plan import made
from course_lib.tools.grade.outside.sandbox import Sandbox
from course_lib.tools.grade.reported.imports import gradescope

UNFINISHED = "The grader did not come to its end, which is not your fault: please tell your instructor."


def sandbox_here(root: Path) -> Sandbox:
    """bubblewrap where it works, else another user; raises Problem where neither does."""
    private = (root / "source", root / "submission", root / "results")
    try:
        best = Sandbox("bwrap", private=private)
        best.check()
    except Problem:
        best = Sandbox("user", user=LEARNER, private=private)
        best.check()
    return best


def graded(root: Path, config: dict) -> Result:
    """The result of the one submission that is there."""
    items = tuple(in_folder(root / "submission"))
    if not items:
        return Result("submission", "", "", "", config["seed"], config["chapter"], {}, ["Nothing was handed in."])
    plan = made(config["chapter"], config["seed"])
    with tempfile.TemporaryDirectory(prefix="results-") as folder:
        Batch(plan, sandbox_here(root), Path(folder)).grade([Submission("submission", "", items)])
        return result.read(Path(folder) / "submission.json")


def main(root: Path, check: bool = False) -> int:
    """Write results.json, whatever happens; with check, only say how students' code would be run."""
    config = json.loads((root / "source" / "config.json").read_text(encoding="utf-8"))
    if check:
        print(f"Students' code will run in: {sandbox_here(root).kind}")
        return 0
    out = root / "results" / "results.json"
    write_text(out, json.dumps({"score": 0, "output": UNFINISHED, "output_format": "text"}) + "\n")
    try:
        one = graded(root, config)
    except Exception:
        traceback.print_exc()  # which Gradescope shows to instructors only
        return 1
    write_text(out, gradescope(one, registry.exercises(config["chapter"]), config["visibility"]))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), "--check" in sys.argv))
