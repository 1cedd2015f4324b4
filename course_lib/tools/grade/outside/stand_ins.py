"""The reference of one exercise, as a cell, for others that build on it: what `fallback` promises in the notebook."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

from course_lib.exercises.declare import Exercise
from course_lib.tools.grade.rehearsed.variants import Cell, composed, home_of


def stand_in(exercise: Exercise, *asked: Exercise) -> str:
    """A cell that binds the exercise's name to a right answer, where others are graded; "" where it would show theirs.

    What the cell imports is the library without their homes, so that only what is written in it could tell.
    """
    hidden = {id(fn) for one in asked for fn in (one.reference, home_of(one), *one.right)}
    return next((one.source for one in cells(exercise) if not hidden & one.written), "")


@cache
def cells(exercise: Exercise) -> tuple[Cell, ...]:
    """The reference and the other correct answers of an exercise, those that can be written as a cell."""

    def found() -> Iterator[Cell]:
        for fn in (exercise.reference, *exercise.right):
            try:
                yield composed(replace(exercise, home=""), fn)
            except ValueError:
                continue

    return tuple(found())
