"""The long script of chapter 12: an interrupted run goes on and ends with the arrays of an undisturbed one."""

import numpy as np
import pytest
import torch

from course_lib.tools.precompute import ch12_repeats


@pytest.fixture
def script(tmp_path, monkeypatch):
    """The script with a stand-in for a run; -> (call main in a folder, the runs made, the stored arrays)."""
    made, stored = [], {}

    def one_run(sd, ruler, index, name, subjects, again):
        made.append((name, index, again))
        value = len(str(name)) + 10.0 * index + 100.0 * again
        columns = len(ch12_repeats.COLUMNS)
        return {"numbers": torch.full((columns,), value), "readings": torch.full((2, 4), index + again)}

    monkeypatch.setattr(ch12_repeats, "one_run", one_run)
    monkeypatch.setattr(ch12_repeats, "Ruler", lambda n: None)
    monkeypatch.setattr(ch12_repeats.StableDiffusion, "load", lambda *a, **k: None)
    monkeypatch.setattr(ch12_repeats, "save", lambda name, arrays: stored.update(arrays))

    def call(folder, *args):
        (tmp_path / folder).mkdir(exist_ok=True)
        monkeypatch.setattr(ch12_repeats, "folder_of", lambda file: tmp_path / folder)
        ch12_repeats.main(*args)
        return dict(stored)

    return call, made


def test_a_killed_run_goes_on_to_the_same_arrays(script):
    call, made = script
    whole = call("whole", 0, 1, 2, 2)
    expected = len(made)
    call("shared", 0, 2, 2, 2)
    half = len(made) - expected
    again = call("shared", 0, 1, 2, 2)
    assert 0 < half < expected
    assert len(made) == 2 * expected, "a finished run is not made again"
    assert np.array_equal(whole["numbers"], again["numbers"], equal_nan=True)
    assert torch.equal(whole["readings"], again["readings"])


def test_each_run_stands_in_its_own_place(script):
    numbers = script[0]("places", 0, 1, 3, 2)["numbers"]
    prior, base = ch12_repeats.NAMES.index("prior"), ch12_repeats.NAMES.index("base")
    assert numbers[prior, 2, 1, 0] == len("prior") + 20 + 100
    assert numbers[base, 1, 0, 0] == len("None") + 10
    assert numbers[base, :, 1].isnan().all()


def test_subjects_differ_and_the_claimed_variants_come_first():
    looks = {(s["shape"], s["colour"], s["style"]) for s in ch12_repeats.SUBJECTS}
    jobs = ch12_repeats.jobs()
    assert len(looks) == 8
    assert len(set(jobs)) == len(jobs)
    assert {name for name, _, _ in jobs[: 8 * 3 * 3]} == {"rank 4", "prior", "batch of 10"}
