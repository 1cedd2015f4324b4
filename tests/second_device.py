"""A plugin of pytest: nbval runs the complete notebooks of Parts II and III on the pretend accelerator.

`make test` names it with -p. What a tagged cell prints there is compared with what was committed after a run on the
CPU, where `course build` runs the same notebooks; a kernel in which no accelerator is entered cannot load a network.
"""

import os
from pathlib import Path
from unittest import mock

import pytest

ROOT = Path(__file__).resolve().parents[1]
FIRST = 8  # the first chapter whose networks may live on a GPU
PLANE = 17  # an elective of Part I's plane, whose tensors stay on the CPU as those of chapters 1 to 7 do
STARTUP = ROOT / "tests" / "enter_pretend.py"
ENVIRONMENT = {"COURSE_DEVICE": "pretend", "PYTHONSTARTUP": str(STARTUP)}  # of a kernel, besides


def runs_there(path: Path) -> bool:
    """Whether a notebook is a complete one whose networks may live on a device."""
    number = path.stem[:2]
    numbered = path.suffix == ".ipynb" and number.isdigit()
    return numbered and path.parent == ROOT / "solutions" and FIRST <= int(number) != PLANE


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    """nbval starts a notebook's kernel while its first cell is set up."""
    if not runs_there(item.path):
        return (yield)  # what a fixture does to the environment stays
    with mock.patch.dict(os.environ, ENVIRONMENT):
        return (yield)


said: set[Path] = set()  # the notebooks that have told on which device they run


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item, nextitem):
    """After its last cell a notebook has said that it ran there."""
    if runs_there(item.path):
        if "pretend:0" in str(getattr(item, "test_outputs", "")):
            said.add(item.path)
        last = nextitem is None or nextitem.path != item.path
        result = yield
        assert not last or item.path in said, f"{item.path.stem} does not say on which device it ran"
        said.difference_update([item.path] if last else [])
        return result
    return (yield)
