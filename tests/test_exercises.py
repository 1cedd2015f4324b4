"""The exercises as a whole: equations, numbers and kinds; each_exercise.py has what is true of every one."""

import re
from dataclasses import replace

import pytest
import torch

from course_lib.exercises import Exercise, Wrong, all_exercises, exercise
from course_lib.exercises.answers import isolated
from course_lib.exercises.declare import work
from course_lib.exercises.draws import whole
from course_lib.exercises.registry import chapters, module
from tests.attacks import attacks, passes
from tests.each_exercise import BOOK, FILES, GRADED

ALL = all_exercises()
LONGEST = {9: 90, 12: 90}  # minutes of a chapter's core path, elsewhere 110


@pytest.mark.parametrize("chapter", chapters())
def test_the_core_path_of_a_chapter_is_an_afternoons_work(chapter):
    """What goes beyond it is marked as further; at least four exercises are left."""
    mine = [one for one in ALL if one.chapter == chapter]
    core = [one for one in mine if not one.further]
    assert work(mine)[0] == sum(one.minutes for one in core) <= LONGEST.get(chapter, 110)
    assert len(core) >= 4


@pytest.mark.parametrize("chapter", chapters())
def test_each_chapter_is_tested_in_one_file(chapter, root):
    """A new chapter is taken in without anybody writing anything."""
    files = [
        path for path in (root / "tests").glob("test_exercises_*.py") if f"PART = {chapter % FILES}" in path.read_text()
    ]
    assert len(files) == 1


@pytest.mark.parametrize("exercise", ALL, ids=lambda e: e.id)
def test_every_equation_that_is_cited_is_numbered_in_its_chapter(exercise):
    """An exercise that cites (4.4) needs the label eq-4-4 in chapter 4's master, or in one that keeps it."""
    sentences = " ".join([exercise.equation, exercise.rubric, *(w.sentence for w in exercise.wrong)])
    for chapter, number in re.findall(r"\((\d+)\.(\d+)\)", sentences):
        label = f"eq-{chapter}-{number}"
        masters = {path: path.read_text(encoding="utf-8") for path in BOOK.glob("[0-9][0-9]_*.md")}
        [path] = [path for path, text in masters.items() if re.search(rf"^:label: {label}$", text, re.M)]
        assert path.name[:2] == f"{int(chapter):02d}" or re.search(rf"^  keeps: .*\b{label}\b", masters[path], re.M)


@pytest.mark.parametrize("chapter", sorted({e.chapter for e in ALL}))
def test_each_chapter_has_at_least_four_graded_exercises_and_a_quiz(chapter):
    """Three to five questions, and four exercises that run."""
    assert len([e for e in GRADED if e.chapter == chapter]) >= 4
    assert 3 <= len(module(chapter).QUIZ) <= 5


def test_part_one_has_18_graded_exercises_one_in_four_of_another_kind():
    """Judged ones are not counted among the 18; about a quarter of all are experiments or judged."""
    first = [e for e in ALL if e.chapter <= 4]
    assert len([e for e in first if e.kind != "judged"]) >= 18
    share = sum(e.kind != "function" for e in first) / len(first)
    assert 0.15 <= share <= 0.4


@pytest.mark.parametrize("chapter", chapters())
def test_the_ids_of_a_chapter_run_without_gaps(chapter):
    """4.1, 4.2, ... in order."""
    ids = [e.id for e in ALL if e.chapter == chapter]
    assert ids == [f"{chapter}.{i + 1}" for i in range(len(ids))]


def test_the_cheap_run_of_exercise_6_7_is_the_sampler_on_the_ring():
    """Three products a step instead of the library's loop, and the same samples."""
    from course_lib.denoisers import ring
    from course_lib.exercises.ch06 import call_find
    from course_lib.samplers import geometric, sample

    seen = []

    def find(run, z, loss, near):
        seen.append((z[0], run(z[0])))
        return z[0]

    with isolated(0):
        call_find(find, 0.0, 3)
        [(z, x)] = seen
        D = ring(6, radius=3.0, s=0.2, weights=torch.tensor([0.003] + 5 * [0.997 / 5]))
        torch.testing.assert_close(x, sample(D, 6.0 * z, geometric(6.0, 0.1, 8)), rtol=0, atol=1e-9)


def without_looking(accept):
    """An experiment of which one accepts what looks right."""
    return Exercise(
        "1.99",
        "A toy",
        points=1,
        difficulty=1,
        importance=1,
        minutes=1,
        name="shift",
        reference=lambda x, g: x + torch.rand((), generator=g).item(),
        inputs=lambda g: (torch.randn(4, 2, generator=g), whole(g, 0, 1000)),
        call=lambda fn, x, seed: fn(x, torch.Generator().manual_seed(seed)),
        accept=accept,
        right=[lambda x, g: x + 0.5],
        wrong=[
            Wrong(lambda x, g: x, "You return what you were given."),
            Wrong(lambda x, g: 2 * x, "You doubled it all."),
        ],
    )


def test_an_experiment_that_looks_at_outputs_alone_is_found_out():
    """Constants, kept answers and ignored arguments get past a range, and only an ignored g past the differences."""
    loose = without_looking(lambda answer, inputs: None if answer.abs().max() < 9 else "These are far too large.")
    found = {attack.name for attack in attacks(loose) if passes(loose, attack)}
    assert {"answer zero", "answer replayed", "all arguments kept", "x kept", "x reordered", "g zero", "g one"} <= found

    def between(answer, inputs):
        shift = answer - inputs[0]
        return None if (shift - shift.mean()).abs().max() < 1e-6 and 0 <= shift.mean() <= 1 else "No common shift."

    tight = without_looking(between)
    assert {attack.name for attack in attacks(tight) if passes(tight, attack)} == {"g kept", "g zero", "g one"}


@pytest.mark.parametrize("why", ["", "short.", "no full stop at the end", None])
def test_what_may_pass_needs_a_sentence(why):
    """An attack is let through only with a reason."""
    one = exercise("4.2")
    with pytest.raises(ValueError, match="why 'x kept' may pass"):
        replace(one, may_pass={"x kept": why})
