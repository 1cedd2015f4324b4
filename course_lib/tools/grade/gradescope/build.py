"""`course gradescope --chapter 4 --out autograder.zip`: the zip that Gradescope makes an image from.

By https://gradescope-autograders.readthedocs.io/en/latest/specs/ it has setup.sh and run_autograder at its root; all
of it is unpacked to /autograder/source.
"""

import argparse
import json
import re
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

from course_lib.tools.environment import Problem
from course_lib.tools.grade.outside.plan import made
from course_lib.tools.grade.outside.seed import GUESSABLE, generated, guessable

PACKAGE = Path(__file__).parents[3]
VISIBILITY = ("visible", "after_due_date", "after_published", "hidden")
LEARNER = "course-learner"  # the user who runs students' code where bubblewrap cannot work
PART_TWO = 8  # the first chapter that needs the small Stable Diffusion and its packages
LEFT_OUT = ("__pycache__", "build", "train_tiny", "precompute")  # tools that a grader does not need
EPOCH = (1980, 1, 1, 0, 0, 0)
SETUP = f"""#!/usr/bin/env bash
# Runs once, as root and with the network, while Gradescope builds the image.
set -euo pipefail
root="${{AUTOGRADER:-/autograder}}"
cd "$root/source"
export DEBIAN_FRONTEND=noninteractive

find_python() {{
  for one in python3.13 python3.12 python3.11 python3; do
    if "$one" -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$one"
      return
    fi
  done
}}

python="$(find_python)"
if [ -z "$python" ] || ! command -v bwrap >/dev/null; then
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends bubblewrap python3 python3-venv ca-certificates
  python="$(find_python)"
fi
if [ -z "$python" ]; then # Ubuntu 22.04
  apt-get install -y -qq --no-install-recommends python3.11 python3.11-venv || true
  python="$(find_python)"
fi
if [ -z "$python" ]; then
  echo "The grader needs Python 3.11 or newer: choose Ubuntu 22.04 or newer as the base image." >&2
  exit 1
fi

id {LEARNER} >/dev/null 2>&1 || useradd --system --no-create-home --shell /usr/sbin/nologin {LEARNER}
: "${{PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu}}"
export PIP_EXTRA_INDEX_URL
"$python" -m venv --clear "$root/venv"
"$root/venv/bin/python" -m pip install -q --no-cache-dir -r requirements.txt -c constraints.txt
chmod -R go= "$root/source"
PYTHONPATH="$root/source" "$root/venv/bin/python" -P -m course_lib.tools.grade.gradescope.run "$root" --check
"""
RUN = """#!/usr/bin/env bash
# Runs for each submission, without the network.
root="${AUTOGRADER:-/autograder}"
cd "$root"
mkdir -p results
chmod -R go= source submission
if [ -e submission_metadata.json ]; then chmod go= submission_metadata.json; fi
export PYTHONPATH="$root/source" OMP_NUM_THREADS=1
exec "$root/venv/bin/python" -P -m course_lib.tools.grade.gradescope.run "$root"
"""


def requirements(root: Path, chapter: int) -> str:
    """What pip installs there: what the library requires, and what Stable Diffusion does where a chapter needs it."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]["sd"] if chapter >= PART_TWO else []
    return "\n".join([*project["dependencies"], *extras]) + "\n"


def constraints(root: Path) -> str:
    """The versions that the course is tested with."""
    lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if re.match(r"\w", line)) + "\n"


def sources(chapter: int) -> Iterator[Path]:
    """The files of the library that go along; the small Stable Diffusion only where a chapter needs it."""
    for path in sorted(PACKAGE.rglob("*")):
        inside = path.relative_to(PACKAGE)
        skipped = (*LEFT_OUT, *(() if chapter >= PART_TWO else ("tiny", "results")))
        if path.is_file() and not set(inside.parts) & set(skipped) and not inside.name.startswith("."):
            yield path


def build(root: Path, chapter: int, seed: str, out: Path, visibility: str = "visible") -> None:
    """Write the zip, the same for the same arguments; raises Problem where that is impossible."""
    for name in ("pyproject.toml", "constraints.txt"):
        if not (root / name).is_file():
            raise Problem(f"There is no {name} in {root}: run `course gradescope` in the checkout")
    made(chapter, seed)  # raises Problem where this term has no hidden inputs
    config = {"chapter": chapter, "seed": seed, "visibility": visibility}
    beside = out.with_name(f".{out.name}.part")
    with zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED) as archive:
        _add(archive, "setup.sh", SETUP, 0o755)
        _add(archive, "run_autograder", RUN, 0o755)
        _add(archive, "config.json", json.dumps(config, indent=1) + "\n")
        _add(archive, "requirements.txt", requirements(root, chapter))
        _add(archive, "constraints.txt", constraints(root))
        for path in sources(chapter):
            _add(archive, path.relative_to(PACKAGE.parent).as_posix(), path.read_bytes())
    beside.replace(out)


def _add(archive: zipfile.ZipFile, name: str, content: str | bytes, mode: int = 0o644) -> None:
    """One file, without the time and with the rights that it shall have."""
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.external_attr = (0o100000 | mode) << 16
    archive.writestr(entry, content, zipfile.ZIP_DEFLATED)


def main(parsed: argparse.Namespace) -> int:
    """`course gradescope`: the value is the exit status."""
    try:
        seed = parsed.seed or generated()
        build(parsed.root, parsed.chapter, seed, parsed.out, parsed.visibility)
    except Problem as problem:
        print(f"{problem}.", file=sys.stderr)
        return 1
    if parsed.seed and guessable(parsed.seed):
        print(GUESSABLE)
    print(f"Upload {parsed.out} to Gradescope as the autograder of chapter {parsed.chapter}; keep it from students.")
    return 0
