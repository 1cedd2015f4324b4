"""Where the declarations are found: the modules chNN.py beside this one, imported when first asked for."""

import importlib
import pkgutil
import re
from functools import cache
from pathlib import Path
from types import ModuleType

from course_lib.exercises.declare import Exercise


def chapters() -> list[int]:
    """Numbers of the chapters that have declarations, in order."""
    names = (module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]))
    return sorted(int(name[2:]) for name in names if re.fullmatch(r"ch\d\d", name))


def module(chapter: int) -> ModuleType:
    """The module chNN; raises KeyError with the chapters there are."""
    if chapter not in chapters():
        raise KeyError(f"there are no exercises for chapter {chapter}, only for {', '.join(map(str, chapters()))}")
    return importlib.import_module(f"course_lib.exercises.ch{chapter:02d}")


@cache
def exercises(chapter: int) -> tuple[Exercise, ...]:
    """The exercises of a chapter in order; raises ValueError for an id that is twice there or of another chapter."""
    found = tuple(module(chapter).EXERCISES)
    ids = [one.id for one in found]
    for one in found:
        if one.chapter != chapter or ids.count(one.id) > 1:
            raise ValueError(f"Exercise {one.id}: declared twice, or in the module of chapter {chapter}.")
    return found


def exercise(id: str) -> Exercise:
    """The exercise with this id; raises KeyError with a sentence that lists the chapter's ids."""
    if not isinstance(id, str) or not re.fullmatch(r"\d+\.\d+", id):
        raise KeyError(f'an exercise\'s id looks like "4.2", got {id!r}')
    chapter = int(id.split(".")[0])
    for one in exercises(chapter):
        if one.id == id:
            return one
    known = ", ".join(one.id for one in exercises(chapter))
    raise KeyError(f"there is no exercise {id}; chapter {chapter} has {known}")


def all_exercises() -> list[Exercise]:
    """Every exercise of the course, chapter by chapter."""
    return [one for chapter in chapters() for one in exercises(chapter)]
