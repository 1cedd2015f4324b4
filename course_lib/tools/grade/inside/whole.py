"""Inside the sandbox: all cells of a notebook in order, as Jupyter's "run all", and what its exercises then answer.

A cell that raises ends itself only, as for somebody who runs cell by cell. An answer is taken where a student would
see "passed": at each `check`, when the exercise's cell has run, and at the end. Neither the reference of an exercise
that is asked for nor the library's own function is here; those of other exercises that fail stand in for them.
"""

import builtins
import contextlib
import importlib
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from course_lib.exercises.answers import isolated
from course_lib.tools.grade.inside.peer import Closed
from course_lib.tools.grade.inside.records import packed
from course_lib.tools.grade.inside.serving import converse
from course_lib.tools.grade.inside.shell import Shell

TRIES = 12  # how often an exercise is answered, at most


@dataclass
class Run:
    """One run: the task, where records go, how an exercise is asked, the notebook's names, and what was sent."""

    task: dict
    send: Callable[[bytes], None]
    drawn: Callable[[object, dict], tuple[list[bytes], bool]]
    channel: socket.socket | None
    names: dict = field(default_factory=lambda: {"__name__": "__main__", "__builtins__": builtins})
    sent: dict[str, list[tuple]] = field(default_factory=dict)
    stand_ins: dict[str, Callable] = field(default_factory=dict)
    conversations: int = 0

    def all_cells(self) -> None:
        """Run them, and send what the exercises answer."""
        exercises = importlib.import_module("course_lib.exercises")
        exercises.check, exercises.fallback = self.check, self.fallback
        shell = Shell.fresh(self.names)
        for one in self.task["wanted"].values():
            shell.cell("\n".join(one["prelude"]))
        self.stand_in(-1)
        for number, source in enumerate(self.task["cells"]):
            shell.cell(source)
            for id, one in self.task["wanted"].items():
                if one["place"] == number and not self.later(id):
                    self.answer(id, self.names.get(one["name"]))
            self.stand_in(number)
        for id, one in self.task["wanted"].items():
            self.answer(id, self.names.get(one["name"]))

    def later(self, id: str) -> bool:
        """Whether an experiment, which takes its time, waits for its `check`."""
        checked = any("check" in source and id in source for source in self.task["cells"])
        return checked and not self.task["wanted"][id]["draws"]

    def answer(self, id: str, fn: object) -> None:
        """Send what a function answers to an exercise, unless that has been sent, and let it be asked from outside."""
        before, task = self.sent.setdefault(id, []), self.task["wanted"][id]
        if not callable(fn) or len(before) == TRIES:
            return
        with alarm(self.task["seconds"]):
            records, answered = self.drawn(fn, task)
            if any(sent == records and (records or old is fn) for old, sent in before):
                return
            before.append((fn, records))
            measured = answered and task["asked"] and self.channel is not None
            self.send(packed({"exercise": id, "measured": self.conversations if measured else -1}))
            for record in records:
                self.send(record)
            if measured:
                self.conversations += 1
                with contextlib.suppress(Closed, OSError):
                    converse(fn, self.channel, id)

    def check(self, id: str, fn: object) -> bool:
        """What a notebook calls: an answer to an exercise that is asked for; of the others it is known."""
        if id not in self.task["wanted"]:
            return id in self.task["passed"]
        self.answer(id, fn)
        return True

    def fallback(self, id: str, fn: object) -> object:
        """What a notebook calls: the reference of an exercise that fails, where that may be shown."""
        return self.reference(id) if id in self.task["references"] else fn

    def reference(self, id: str) -> Callable:
        """The function that stands in for an exercise."""
        if id not in self.stand_ins:
            name, source, *_ = self.task["references"][id]
            names: dict = {"__name__": "reference"}
            exec(source, names)
            self.stand_ins[id] = names[name]
        return self.stand_ins[id]

    def stand_in(self, number: int) -> None:
        """After a cell whose exercise fails: its name is the reference from there on, where the task says so."""
        for id, (name, _, place, bound) in self.task["references"].items():
            if place == number and bound:
                self.names[name] = self.reference(id)


def run(task: dict, send: Callable[[bytes], None], drawn: Callable[[object, dict], tuple[list[bytes], bool]]) -> None:
    """Run a notebook for the exercises that a task asks for; records go to `send`, an exercise's behind its id."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    channel = socket.socket(fileno=task["talk"]) if task.get("talk", -1) >= 0 else None
    try:
        with isolated(0):
            Run(task, send, drawn, channel).all_cells()
    finally:
        sys.path.remove(here)
        if channel:
            channel.close()


@contextlib.contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in code that computes for longer, so that one endless answer costs that answer."""

    def over(number, frame):
        raise TimeoutError(f"it did not end within {seconds:g} seconds of computing")

    before = signal.signal(signal.SIGPROF, over)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
