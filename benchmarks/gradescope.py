"""The Gradescope autograder in a clean environment: builds the zip, runs its set-up with the network and its run script
without, and compares the marks of made-up students with the truth.

Run as `python benchmarks/gradescope.py [FOLDER]`; the set-up downloads some 300 MB. As root it also tries the other
user, who runs students' code where bubblewrap cannot work. Exits with 1 where a mark is wrong.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from course_lib.tools.grade.gradescope.build import build
from course_lib.tools.grade.rehearsed.make_class import students, template

ROOT = Path(__file__).resolve().parents[1]
CHAPTER, STUDENTS = 4, 3


def environment(image: Path, path: str) -> dict[str, str]:
    """What the scripts see: none of this Python's own settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return kept | {"AUTOGRADER": str(image), "PATH": path, "HOME": str(image)}


def prepared(image: Path) -> float:
    """Unpack the zip as Gradescope does and run the set-up; the seconds it took."""
    build(ROOT, CHAPTER, "benchmark", image / "autograder.zip")
    with zipfile.ZipFile(image / "autograder.zip") as archive:
        archive.extractall(image / "source")
    shutil.copy(image / "source/run_autograder", image / "run_autograder")
    (image / "run_autograder").chmod(0o755)
    started = time.monotonic()
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    subprocess.run(["bash", str(image / "source/setup.sh")], env=environment(image, path), check=True)
    return time.monotonic() - started


def marks(image: Path, notebook: dict, path: str) -> tuple[dict[str, float], float]:
    """The marks that the run script gives, without the network, and the seconds it took."""
    shutil.rmtree(image / "submission", ignore_errors=True)
    (image / "submission").mkdir()
    (image / "submission/notebook.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    alone = [shutil.which("bwrap"), "--dev-bind", "/", "/", "--unshare-net", "--", str(image / "run_autograder")]
    started = time.monotonic()
    subprocess.run(alone, env=environment(image, path), check=True)
    tests = json.loads((image / "results/results.json").read_text(encoding="utf-8"))["tests"]
    return {test["number"]: test["score"] for test in tests}, time.monotonic() - started


def ways(image: Path) -> dict[str, str]:
    """The search paths under which bubblewrap is found and, for root, is not to be had."""
    found = {"bubblewrap": os.environ["PATH"]}
    if os.geteuid() == 0:
        (image / "broken").mkdir()
        (image / "broken/bwrap").write_text("#!/bin/sh\nexit 1\n")
        (image / "broken/bwrap").chmod(0o755)
        found["another user"] = f"{image / 'broken'}:{os.environ['PATH']}"
    return found


def main(folder: Path) -> int:
    """Set up, grade in every way, compare."""
    print(f"set-up: {prepared(folder):.0f} s", flush=True)
    wrong = 0
    for way, path in ways(folder).items():
        for name, _, notebook, handed in students(template(ROOT, CHAPTER), CHAPTER, STUDENTS, "benchmark"):
            found, seconds = marks(folder, notebook, path)
            right = found == {id: one.points for id, one in handed.items()}
            wrong += not right
            print(f"{way:14s} {name[:40]:40s} {'right' if right else 'WRONG'} {seconds:6.1f} s", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="an empty folder (default: a temporary one)")
    given = parser.parse_args().folder
    if given:
        given.mkdir(parents=True, exist_ok=True)
        sys.exit(main(given.absolute()))
    with tempfile.TemporaryDirectory() as temporary:
        Path(temporary).chmod(0o755)
        sys.exit(main(Path(temporary)))
