"""Fetches the scripts that the site carries with it, so that it works without any other server, and the tests' own.

Run `python -m course_lib.tools.vendor` (needs npm) to make the two folders again after a version below changes.
"""

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENDOR = ROOT / "book" / "_static" / "vendor"
FOR_TESTS = ROOT / "tests" / "vendor"
PACKAGES = {  # package: (folder, what of it, where that begins)
    "mathjax@3.2.2": (
        "mathjax",
        ["LICENSE", "es5/tex-mml-chtml.js", "es5/output/chtml/fonts/woff-v2/*.woff", "es5/input/tex/extensions/*.js"],
        "es5",
    ),
}
TEST_PACKAGES = {"axe-core@4.10.2": ("axe", ["LICENSE", "LICENSE-3RD-PARTY.txt", "axe.min.js"], ".")}


def fetch(package, scratch):
    """Downloads one npm package and unpacks it; returns its folder."""
    archive = subprocess.check_output(["npm", "pack", "--silent", package], cwd=scratch, text=True).split()[-1]
    place = scratch / archive.removesuffix(".tgz")
    with tarfile.open(scratch / archive) as tar:
        tar.extractall(place, filter="data")
    return place / "package"


def copy(source, patterns, begins, target):
    for path in (path for pattern in patterns for path in sorted(source.glob(pattern))):
        inside = path.relative_to(source)
        inside = inside.relative_to(begins) if inside.parts[0] == begins else inside
        (target / inside).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target / inside)


def checksums(folder):
    """The lines of SHA256SUMS for every other file below `folder`."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "SHA256SUMS")
    return "".join(f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(folder).as_posix()}\n" for p in files)


def make(folder, packages):
    """Fills a folder with these packages, and with their checksums."""
    shutil.rmtree(folder, ignore_errors=True)
    for package, (name, patterns, begins) in packages.items():
        with tempfile.TemporaryDirectory() as scratch:
            copy(fetch(package, Path(scratch)), patterns, begins, folder / name)
    (folder / "SHA256SUMS").write_text(checksums(folder))


if __name__ == "__main__":
    make(VENDOR, PACKAGES)
    make(FOR_TESTS, TEST_PACKAGES)
