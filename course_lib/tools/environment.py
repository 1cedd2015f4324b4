"""What the Makefile asks of the machine: Python, disk, the virtual environment, Chromium and bubblewrap.

Runs under the system's Python before anything is installed, so it imports the standard library only.
"""

import argparse
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
LOWEST_PYTHON = (3, 11)
PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
FIRST_INSTALL = 6e9  # bytes: two on a CPU, more where pip picks torch with CUDA, and pip's own copies
EXTRAS = "sd,lab,book,test"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC_BROWSERS = ("Google Chrome.app/Contents/MacOS/Google Chrome", "Chromium.app/Contents/MacOS/Chromium")


class Problem(Exception):
    """Something a person can put right; its text is the sentence they read."""


def find_browser():
    """The path of Chromium or Chrome, or None; the variable CHROMIUM overrides the search."""
    named = [os.environ.get("CHROMIUM")] + [shutil.which(name) for name in BROWSERS]
    named += [str(Path("/Applications") / name) for name in MAC_BROWSERS]
    return next((path for path in named if path and Path(path).exists()), None)


def check_python(version=None):
    version = sys.version_info[:3] if version is None else version
    if tuple(version[:2]) < LOWEST_PYTHON:
        raise Problem(
            f"The course needs Python 3.11 or newer, but {sys.executable} is Python {version[0]}.{version[1]}: "
            "install a newer one, or name it, as in make book PYTHON=/path/to/python3.11"
        )


def check_disk(free=None):
    free = shutil.disk_usage(str(ROOT)).free if free is None else free
    if free < FIRST_INSTALL:
        raise Problem(
            f"A first installation needs {FIRST_INSTALL / 1e9:.0f} GB of free disk space, but only "
            f"{free / 1e9:.1f} GB are free in {ROOT}: free some space and run the command again"
        )


def fingerprint(venv):
    """Changes when the packages to install, the interpreter or the place of the repository change."""
    files = [ROOT / "pyproject.toml", ROOT / "constraints.txt", venv / "pyvenv.cfg"]
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files) + bytes(ROOT)).hexdigest()


def works(python):
    return python.exists() and subprocess.call([str(python), "-c", "import pip"], stderr=subprocess.DEVNULL) == 0


def run(command, sentence):
    """Runs a command; where it fails, raises `sentence`, or says so if the disk ran full."""
    status = subprocess.call(command)
    if status == 0:
        return
    for place in (str(ROOT), tempfile.gettempdir()):
        if shutil.disk_usage(place).free < 2e8:
            raise Problem(f"The disk is full in {place}: free some space and run the command again")
    raise Problem(sentence + f" (exit status {status})")


def make_venv(venv):
    if importlib.util.find_spec("ensurepip") is None:
        apt([f"python{PYTHON}-venv"], "This Python cannot make a virtual environment")
    print(f"Making {venv.name} with Python {PYTHON}", flush=True)
    run([sys.executable, "-m", "venv", "--clear", str(venv)], "The virtual environment could not be made")


def install(venv=VENV):
    """Makes `.venv` and installs the course into it, unless the same has been installed before."""
    check_python()
    python, stamp = venv / "bin" / "python", venv / "installed"
    if stamp.exists() and stamp.read_text() == fingerprint(venv) and python.exists():
        return
    if not works(python):
        check_disk()
        make_venv(venv)
    stamp.unlink(missing_ok=True)
    print("Installing the course and its packages (several minutes the first time)", flush=True)
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "-c", "constraints.txt"]
    os.chdir(str(ROOT))
    run(command + ["-e", f".[{EXTRAS}]"], "pip could not install the packages; its lines above say which")
    stamp.write_text(fingerprint(venv))


def missing_packages():
    """Debian's names of the programs that `make test` needs and that are not here."""
    missing = [] if find_browser() else ["chromium"]
    if sys.platform.startswith("linux") and not shutil.which("bwrap"):
        missing.append("bubblewrap")
    return missing


def apt(packages, why):
    """Installs Debian packages where that is ours to do (root, or CI=true); elsewhere says what to type."""
    typed = "sudo apt-get install " + " ".join(packages)
    if not shutil.which("apt-get"):
        raise Problem(f"{why}: install {' and '.join(packages)} with your system's package manager")
    root = os.geteuid() == 0
    if not root and os.environ.get("CI") != "true":
        raise Problem(f"{why}. Type:  {typed}")
    prefix = [] if root else ["sudo", "-n"]
    print("Installing", *packages, flush=True)
    environment = ["env", "DEBIAN_FRONTEND=noninteractive"]
    run(prefix + ["apt-get", "update", "-qq"], "apt-get update failed")
    options = ["-y", "-qq", "--no-install-recommends"]
    run(prefix + environment + ["apt-get", "install"] + options + packages, why + ", and apt-get failed: " + typed)


def system():
    """Sees to Chromium (the site's tests) and bubblewrap (the grader's sandbox)."""
    missing = missing_packages()
    if missing:
        apt(missing, f"make test needs {' and '.join(missing)}")


def lowest():
    """pyproject.toml's lower bounds as constraints, for the weekly run under the oldest packages."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for line in project["dependencies"] + extras["sd"]:
        print(line.replace(">=", "=="))


def colab(lines=None):
    """Colab's published list (`pip freeze` on standard input) as constraints: also what it installed from a file."""
    for line in sys.stdin if lines is None else lines:
        plain = re.match(r"([\w.-]+)==([\w.]+)", line)
        wheel = re.match(r"([\w.-]+) @ \S+/\1-([\d.]+)(?:%2B\w+)?-\S+\.whl", line)
        if plain or wheel:
            print("{}=={}".format(*(plain or wheel).groups()))


def main():
    tasks = {"install": install, "system": system, "lowest": lowest, "colab": colab}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=sorted(tasks))
    try:
        tasks[parser.parse_args().task]()
    except Problem as problem:
        print(f"\n{str(problem).rstrip('.')}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
