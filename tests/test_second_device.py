"""Which notebooks run on the pretend accelerator, and that they do."""

import os
import subprocess
import sys
from types import SimpleNamespace

import nbformat
import pytest
from second_device import ENVIRONMENT, ROOT, pytest_runtest_setup, pytest_runtest_teardown, runs_there

from course_lib.tools.build.notebooks import KEPT_TAG


def test_every_chapter_from_the_eighth_on_runs_there():
    """Whichever chapters there are; as students get them, they run on the CPU."""
    paths = sorted((ROOT / "solutions").glob("*.ipynb"))
    there = [int(path.name[:2]) for path in paths if runs_there(path)]
    assert len(there) >= 5
    assert there == [n for n in (int(path.name[:2]) for path in paths) if n >= 8 and n != 17]
    assert not any(runs_there(ROOT / "notebooks" / path.name) for path in paths)


def test_each_of_them_keeps_a_line_to_compare():
    """A run there that is compared with nothing would show nothing."""
    for path in filter(runs_there, (ROOT / "solutions").glob("*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        assert [cell for cell in cells if KEPT_TAG in cell.metadata.get("tags", [])], path.name


@pytest.mark.parametrize(("text", "fits"), [("on pretend:0", True), ("on cpu", False)])
def test_a_notebook_that_does_not_say_that_it_ran_there_fails(text, fits):
    """After its last cell, whatever it printed before."""
    path = ROOT / "solutions" / "09_a.ipynb"
    items = [SimpleNamespace(path=path, test_outputs=[{"text": one}]) for one in (text, "and more")]
    for item, following in ((items[0], items[1]), (items[1], None)):
        teardown = pytest_runtest_teardown(item, following)
        next(teardown)
        with pytest.raises(StopIteration if fits or following else AssertionError):
            teardown.send(None)


def test_make_test_runs_them_so():
    assert "-p tests.second_device" in (ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("stem", "device"), [("solutions/09_a", "pretend"), ("solutions/04_a", None), ("notebooks/09_a", None)]
)
def test_a_kernel_is_started_with_the_device_and_others_keep_what_they_set(monkeypatch, stem, device):
    """The environment while an item is set up, and after it."""
    monkeypatch.delenv("COURSE_DEVICE", raising=False)
    setup = pytest_runtest_setup(SimpleNamespace(path=ROOT / f"{stem}.ipynb"))
    next(setup)
    assert os.environ.get("COURSE_DEVICE") == device
    monkeypatch.setenv("OF_A_FIXTURE", "1")
    with pytest.raises(StopIteration):
        setup.send(None)
    assert "COURSE_DEVICE" not in os.environ
    assert ("OF_A_FIXTURE" in os.environ) == (device is None)


CELLS = """\
print(sorted(name for name in ("sys", "torch", "Path", "pretend", "_enter") if name in globals()))
import torch
print(torch.zeros(2, device="pretend").device)
torch.zeros(2, device="pretend", dtype=torch.float64)
"""


def test_the_device_is_there_before_the_first_cell(tmp_path):
    """No name is left that would hide a missing import, and float64 is refused as on Apple's GPUs."""
    shell = [sys.executable, "-m", "IPython", "--colors=NoColor", "--simple-prompt"]
    env = os.environ | ENVIRONMENT | {"IPYTHONDIR": str(tmp_path)}
    run = subprocess.run(shell, env=env, input=CELLS, capture_output=True, text=True, timeout=300)
    for told in (": []\n", ": pretend:0\n", "the pretend device has no torch.float64"):
        assert told in run.stdout, run.stdout + run.stderr
