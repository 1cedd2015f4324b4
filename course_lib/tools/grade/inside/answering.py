"""Inside the sandbox: from cells to records of arrays, beside a library that knows no answer to what is asked."""

import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import marshal
import sys
from collections.abc import Callable, Iterator, Mapping

from course_lib.exercises.answers import Answer, run
from course_lib.tools.grade.inside import whole
from course_lib.tools.grade.inside.cells import built
from course_lib.tools.grade.inside.records import encode, packed
from course_lib.tools.grade.inside.serving import serve

NAMES = 500  # names of a slice that are told


class Library(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports course_lib from compiled modules that came with the task; what did not come does not exist."""

    def __init__(self, modules: Mapping[str, tuple[str, bool, bytes]]):
        self.modules = modules

    def find_spec(self, name: str, path=None, target=None) -> importlib.machinery.ModuleSpec | None:
        if name.split(".")[0] != "course_lib":
            return None
        if name not in self.modules:
            raise ModuleNotFoundError(f"No module named {name!r} where you are graded", name=name)
        origin, package, _ = self.modules[name]
        spec = importlib.util.spec_from_loader(name, self, origin=origin, is_package=package)
        spec.has_location = True
        return spec

    def exec_module(self, module) -> None:
        exec(marshal.loads(self.modules[module.__name__][2]), vars(module))


@contextlib.contextmanager
def installed(modules: Mapping) -> Iterator[None]:
    """course_lib is what came with the task, and nothing else of it is imported; on leaving, as before."""

    def ours() -> dict:
        return {name: module for name, module in sys.modules.items() if name.split(".")[0] == "course_lib"}

    before, finder = ours(), Library(modules)
    for name in before:
        del sys.modules[name]
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in ours():
            del sys.modules[name]
        sys.modules.update(before)


def run_task(task: dict, send: Callable[[bytes], None]) -> None:
    """Send the records of a task: one exercise by its slice, or several by a run of the whole notebook."""
    if "wanted" in task:
        with installed(task["modules"]):
            whole.run(task, send, drawn)
        return
    for record in answers(task):
        send(record)


def answers(task: dict) -> Iterator[bytes]:
    """The records of one exercise: its slice, an answer for each draw; where none fails, it is asked from outside."""
    with installed(task["modules"]):
        made = built(task)
        yield packed({"names": sorted(made.names)[:NAMES], "doubt": made.doubt})
        if made.problem:
            yield encode(made.problem)
            return
        records, answered_all = drawn(made.fn, task)
        yield from records
        if answered_all and task["asked"]:
            serve(made.fn, task["talk"])


def drawn(fn: Callable, task: dict) -> tuple[list[bytes], bool]:
    """The records of an answer for each draw, up to the first that is none, and whether there is none such."""
    call = defined(task["call"]) if task["call"] else None
    records = []
    for seed, inputs in task["draws"]:
        answer = answered(fn, inputs, call, seed)
        records.append(encode(answer))
        if answer.problem not in ("", "mutated"):
            return records, False
    return records, True


def answered(fn: Callable, inputs: tuple, call: Callable | None, seed: int) -> Answer:
    """What `run` says, and a KeyboardInterrupt that a student raises is an answer too."""
    try:
        return run(fn, inputs, call, seed)
    except KeyboardInterrupt:
        return Answer(problem="raised", detail="KeyboardInterrupt")


def defined(named: tuple[str, str]) -> Callable:
    """The function of this name that a source of ours defines."""
    name, source = named
    names: dict = {}
    exec(source, names)
    return names[name]
