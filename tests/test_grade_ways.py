"""Every exercise's right answers, written in five other ways that notebooks are really written, pass."""

import pickle
from dataclasses import replace
from functools import cache

import pytest
from grading import conversed, text, whole
from IPython.core.interactiveshell import InteractiveShell

from course_lib.exercises import registry
from course_lib.tools.grade.collected.notebook import Cell, Notebook, find
from course_lib.tools.grade.marked.comparer import marked
from course_lib.tools.grade.outside import plan, stand_ins
from course_lib.tools.grade.outside.attempts import bound_in
from course_lib.tools.grade.outside.incoming import by_exercise, received
from course_lib.tools.grade.outside.measuring import Measured
from course_lib.tools.grade.outside.sandbox import Limits
from course_lib.tools.grade.outside.session import Reply
from course_lib.tools.grade.outside.stand_ins import stand_in
from course_lib.tools.grade.rehearsed.variants import home_of
from course_lib.tools.grade.rehearsed.ways import WAYS, written

SEEDS = [3, 1]
HEAD = "import torch\nfrom course_lib.exercises import check, fallback\ntorch.set_default_dtype(torch.float64)"


@cache
def told(number: str) -> dict:
    return plan.told(registry.exercise(number), seeds(number))


def seeds(number: str) -> list[int]:
    return SEEDS[:1] if registry.exercise(number).kind == "experiment" else SEEDS


def class_of(chapter: int, way: str):
    """The exercises of a chapter, the cells of a notebook that answers them in a way, and where the exercises are."""
    exercises = [one for one in registry.exercises(chapter) if one.kind != "judged"]
    cells = [HEAD, *written(way, exercises, list(WAYS).index(way))]
    found = find(Notebook(tuple(Cell("code", source) for source in cells)), exercises)
    assert not found.missing
    return exercises, cells, found.places


def passes(number: str, reply: Reply) -> bool:
    return marked(registry.exercise(number), reply, seeds(number), Limits()).status == "passed"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("chapter", registry.chapters())
def test_right_answers_pass_by_their_slices(chapter, way):
    """Fast, and so within the time that a class may take."""
    exercises, cells, places = class_of(chapter, way)
    for one in exercises:
        task = told(one.id) | {"cells": cells, "place": places[one.id]}
        reply = conversed(one, task, seeds(one.id))
        assert passes(one.id, reply), (one.id, received(reply.records))


def passed_in_a_run(chapter: int, way: str, wanted) -> set[str]:
    """Those of some exercises that pass in one run of the whole notebook."""
    exercises, cells, places = class_of(chapter, way)
    one = plan.Plan(chapter, "", exercises, {one.id: seeds(one.id) for one in exercises})
    task = pickle.loads(one.whole_task({one: places[one.id] for one in wanted}, cells, {}, [], 100.0))
    reply, passed = conversed(exercises[0], task, [], one), set()
    for id, number, records in by_exercise(reply.records):
        measured = reply.measured.several[number][1] if number >= 0 else Measured()
        if passes(id, Reply("ended", records=records, measured=measured)):
            passed.add(id)
    return passed


@pytest.mark.parametrize("chapter", registry.chapters())
def test_right_answers_pass_in_a_run_of_the_whole_notebook(chapter):
    """In each of the ways, the experiments, which take their time, in one.

    One that uses the library's function for another exercise that is asked for passes in a run of its own.
    """
    exercises = [one for one in registry.exercises(chapter) if one.kind != "judged"]
    for number, way in enumerate(WAYS):
        wanted = [one for one in exercises if one.kind == "function" or number == 0]
        passed = passed_in_a_run(chapter, way, wanted)
        left = [one for one in wanted if one.id not in passed]
        assert len(left) < len(wanted) / 2, way
        for one in left:
            assert passed_in_a_run(chapter, way, [one]) == {one.id}, way


def test_a_run_does_not_mind_the_shell_of_another():
    """As where somebody grades from a notebook."""
    InteractiveShell.clear_instance()
    InteractiveShell.instance()
    try:
        wanted = registry.exercises(4)[:2]
        assert passed_in_a_run(4, "split", wanted) == {one.id for one in wanted}
    finally:
        InteractiveShell.clear_instance()


@pytest.mark.parametrize("chapter", registry.chapters())
def test_a_stand_in_shows_no_answer_to_what_is_asked(chapter):
    """Every exercise has one for every other, and it holds neither the other's reference nor its home."""
    exercises = [one for one in registry.exercises(chapter) if one.kind != "judged"]
    for asked in exercises:
        hidden = {id(fn) for fn in (asked.reference, home_of(asked), *asked.right)}
        for other in exercises:
            if other is not asked:
                source = stand_in(other, asked)
                assert f"def {other.name}(" in source, (other.id, asked.id)
                assert not hidden & next(one for one in stand_ins.cells(other) if one.source == source).written


def test_a_reference_that_holds_another_ones_answer_does_not_stand_in_for_it():
    """As if 4.2 were answered by what answers 4.1: then the next correct answer is taken, or none."""
    one = registry.exercise("4.1")
    asked = replace(registry.exercise("4.2"), reference=one.reference)
    assert stand_in(one, asked) == stand_ins.cells(one)[1].source
    assert stand_in(one, replace(asked, right=[*one.right, *asked.right])) == ""


@pytest.mark.parametrize("chapter", registry.chapters())
def test_nothing_is_run_again_for_what_was_not_attempted(chapter):
    """In the notebook as it is given out no cell but an exercise's own binds its name or checks another answer."""
    cells = [text(cell) for cell in whole(chapter, solved=False)["cells"] if cell["cell_type"] == "code"]
    for one in [one for one in registry.exercises(chapter) if one.kind != "judged"]:
        assert not [source for source in cells if bound_in(one, source) and f"# exercise {one.id}" not in source]
        assert bound_in(one, f'check("{one.id}", mine)')
        assert bound_in(one, f"mine = {one.name} = other")
