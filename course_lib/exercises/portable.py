"""What an exercise needs where its declaration must not be: lines that bind its names, sources of its functions.

A class grader runs a learner's cell beside a library without declarations; a `call` that cannot run elsewhere goes
along as text.
"""

import dis
import importlib
import inspect
import textwrap
from collections.abc import Callable, Iterator
from types import CodeType, ModuleType

from course_lib.exercises import calls
from course_lib.exercises.declare import Exercise

_MODULES = ("denoisers", "samplers", "guidance", "seeds", "metrics", "training", "rivals")
_USUAL = {
    "math": "import math",
    "np": "import numpy as np",
    "nn": "from torch import nn",
    "Tensor": "from torch import Tensor",
}


def prelude(exercise: Exercise) -> list[str]:
    """Lines of Python that bind torch and every name in `needs`; raises ValueError for a name nothing public has."""
    return ["import torch", *(_line(exercise, need) for need in exercise.needs)]


def _line(exercise: Exercise, need: str) -> str:
    if not need.isidentifier():
        return need
    if need in _USUAL:
        return _USUAL[need]
    for name in _MODULES:
        try:
            module = importlib.import_module(f"course_lib.{name}")
        except ModuleNotFoundError:
            continue
        if inspect.isroutine(getattr(module, need, None)) or inspect.isclass(getattr(module, need, None)):
            return f"from course_lib.{name} import {need}"
    raise ValueError(f'Exercise {exercise.id}: needs has {need!r}, which the library has not; write "{need} = ...".')


def call_source(exercise: Exercise) -> str:
    """The source of `call` with the imports it uses, runnable on its own, or "" without one.

    Raises ValueError where it is no module-level `def`, or uses what is not public, of calls.py, a number or text.
    """
    return source_of(exercise, exercise.call, "call") if exercise.call else ""


def source_of(exercise: Exercise, fn: Callable, what: str) -> str:
    """The source of one function of a declaration with the imports it uses."""
    source = textwrap.dedent(inspect.getsource(fn))
    if not source.startswith(f"def {fn.__name__}(") or fn.__closure__:
        raise ValueError(f"Exercise {exercise.id}: {what} must be a `def` at the top level of its module.")
    bound = [
        _binding(exercise, what, name, fn.__globals__[name])
        for name in sorted(set(_globals(fn.__code__)))
        if name in fn.__globals__
    ]
    return "\n".join([*bound, "", "", source])


def _globals(code: CodeType) -> Iterator[str]:
    """The global names that a function and those inside it load."""
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _globals(constant)


def _binding(exercise: Exercise, what: str, name: str, value) -> str:
    """The line that binds one global name of such a function."""
    if isinstance(value, ModuleType) and not value.__name__.startswith("course_lib.exercises"):
        return f"import {value.__name__} as {name}"
    if isinstance(value, bool | int | float | str):
        return f"{name} = {value!r}"
    home, own = getattr(value, "__module__", None) or "", getattr(value, "__qualname__", "")
    if home == calls.__name__:
        return source_of(exercise, value, name)
    if f"{home}:{own}" == exercise.home:
        raise ValueError(f"Exercise {exercise.id}: {what} uses {exercise.home}, which is absent where it runs.")
    if home.startswith("course_lib.exercises") or not own.isidentifier():
        raise ValueError(f"Exercise {exercise.id}: {what} uses {name}, which is absent where it runs: make it inside.")
    return f"from {home} import {own} as {name}"
