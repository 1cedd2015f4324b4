"""Every exercise's right answers, written in five other ways that notebooks are really written, pass."""

import pickle
from functools import cache

import pytest

from course_lib.exercises import registry
from course_lib.exercises.comparing import grade
from course_lib.tools.grade.collected.notebook import Cell, Notebook, find
from course_lib.tools.grade.inside import answering
from course_lib.tools.grade.outside import plan
from course_lib.tools.grade.outside.incoming import by_exercise, received
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


def passes(number: str, records: bytes) -> bool:
    got = received(records)
    verdict = grade(registry.exercise(number), got.answers, seeds(number))
    return verdict.passed and not any(got.properties)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("chapter", registry.chapters())
def test_right_answers_pass_by_their_slices(chapter, way):
    """Fast, and so within the time that a class may take."""
    exercises, cells, places = class_of(chapter, way)
    for one in exercises:
        sent = b"".join(answering.answers(told(one.id) | {"cells": cells, "place": places[one.id]}))
        assert passes(one.id, sent), (one.id, received(sent).answers[-1])


def passed_in_a_run(chapter: int, way: str, wanted) -> set[str]:
    """Those of some exercises that pass in one run of the whole notebook."""
    exercises, cells, places = class_of(chapter, way)
    one = plan.Plan(chapter, "", exercises, {one.id: seeds(one.id) for one in exercises})
    sent: list[bytes] = []
    task = one.whole_task({one: places[one.id] for one in wanted}, cells, {}, [], 100.0)
    answering.serve(pickle.loads(task), sent.append)
    return {id for id, records in by_exercise(b"".join(sent)) if passes(id, records)}


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
