"""What a term asks of one chapter: for each exercise the hidden draws, and the task that a worker is sent."""

import hashlib
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from course_lib.exercises import registry
from course_lib.exercises.comparing import answer_of, chance, draw, grade
from course_lib.exercises.declare import Exercise
from course_lib.exercises.portable import call_source, prelude
from course_lib.tools.environment import Problem
from course_lib.tools.grade.outside.library import modules

TRIES = 20


@dataclass(frozen=True)
class Plan:
    """The exercises of a chapter that are run, and their hidden draws in a term; the same on every machine."""

    chapter: int
    term: str
    exercises: Sequence[Exercise]
    seeds: Mapping[str, Sequence[int]] = field(default_factory=dict)

    @cached_property
    def given(self) -> dict[str, dict]:
        """What every worker is told of an exercise."""
        return {exercise.id: told(exercise, self.seeds[exercise.id]) for exercise in self.exercises}

    def task(self, exercise: Exercise, cells: Sequence[str], place: int) -> bytes:
        """One exercise of one submission, for the worker."""
        return pickle.dumps(self.given[exercise.id] | {"cells": list(cells), "place": place}, protocol=5)

    def whole_task(
        self,
        places: Mapping[Exercise, int],
        cells: Sequence[str],
        references: Mapping[str, tuple[str, str, int, bool]],
        passed: Sequence[str],
        seconds: float,
    ) -> bytes:
        """Some exercises of one submission by a run of all cells; the homes of all of them are left out.

        places: where their cells are, or -1. references: for exercises that fail, name, source, place, and whether the
        name is bound to it there. seconds: for what one answer computes.
        """
        wanted = {one.id: self.given[one.id] | {"modules": None, "place": place} for one, place in places.items()}
        given = {"wanted": wanted, "modules": modules(*places), "cells": list(cells)}
        told = {"references": dict(references), "passed": frozenset(passed), "seconds": seconds}
        return pickle.dumps(given | told, protocol=5)


def made(chapter: int, term: str) -> Plan:
    """The plan of a chapter; raises Problem where there is nothing to run, or a declaration is broken."""
    try:
        exercises = [one for one in registry.exercises(chapter) if one.kind != "judged"]
    except KeyError as error:
        raise Problem(f"{error.args[0]}: choose one with --chapter") from None
    if not exercises:
        raise Problem(f"Chapter {chapter} has no exercise that can be graded by running it")
    return Plan(chapter, term, exercises, {one.id: term_seeds(one, term) for one in exercises})


def term_seeds(exercise: Exercise, term: str) -> list[int]:
    """The hidden draws of a term: the first on which right answers pass and no anticipated wrong one does.

    An experiment may fail a correct answer by bad luck in one term of a hundred; here it does not.
    """
    for attempt in range(TRIES):
        seeds = [hashed(f"{term} {exercise.id} {attempt} {i}") for i in range(exercise.public_draws)]
        if fair(exercise, seeds):
            return seeds
    raise Problem(f"Exercise {exercise.id} tells right from wrong on none of {TRIES} draws: please report it")


def hashed(text: str) -> int:
    """A whole number of 56 bits."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


def fair(exercise: Exercise, seeds: Sequence[int]) -> bool:
    """Whether these draws pass every correct answer there is and fail every wrong one."""

    def passes(fn) -> bool:
        return grade(exercise, [answer_of(exercise, fn, seed) for seed in seeds], seeds).passed

    right = all(map(passes, (exercise.reference, *exercise.right)))
    return right and not any(passes(wrong.fn) for wrong in exercise.wrong)


def measured_outside(exercise: Exercise) -> bool:
    """Whether anything of an exercise is measured by measuring.py."""
    return exercise.outside or bool(exercise.properties)


def told(exercise: Exercise, seeds: Sequence[int]) -> dict:
    """What a worker needs of an exercise: no reference, no wrong answer, no tolerance."""
    call = (exercise.call.__name__, call_source(exercise)) if exercise.beside else None
    return {
        "id": exercise.id,
        "name": exercise.name,
        "modules": modules(exercise),
        "prelude": prelude(exercise),
        "call": call,
        "draws": [] if exercise.outside else [(chance(exercise, seed), draw(exercise, seed)) for seed in seeds],
        "asked": measured_outside(exercise),
    }
