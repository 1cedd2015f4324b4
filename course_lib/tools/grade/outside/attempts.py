"""What is tried where an exercise's slice does not settle it, so that what passes in Jupyter passes here.

First the slice once more, with the reference of each failing exercise that it uses; then, once for all that are left,
every cell of the notebook in order; then, for one that builds on another that fails, the same with that one's
reference. The best mark counts.
"""

import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from course_lib.exercises.declare import Exercise
from course_lib.tools.grade.collected.choosing import Chosen
from course_lib.tools.grade.marked.comparer import marked
from course_lib.tools.grade.marked.result import Mark
from course_lib.tools.grade.outside.incoming import Refused, by_exercise, received
from course_lib.tools.grade.outside.measuring import Measured
from course_lib.tools.grade.outside.plan import Plan
from course_lib.tools.grade.outside.sandbox import Limits
from course_lib.tools.grade.outside.session import Reply
from course_lib.tools.grade.outside.stand_ins import stand_in

WHOLE = 180.0  # seconds of computing for a whole notebook
_ORDER = ("passed", "wrong", "error", "not attempted", "timeout", "refused", "missing")


@dataclass
class Attempts:
    """One submission: the marks so far, what its slices said, and how a worker is asked."""

    plan: Plan
    chosen: Chosen
    limits: Limits
    ask: Callable[[bytes, Limits, str], Reply]
    replies: Mapping[str, Reply]
    marks: dict[str, Mark]
    waited: bool = False
    used: dict[str, frozenset[str]] = field(default_factory=dict)  # the names in each slice
    doubtful: set[str] = field(default_factory=set)
    tried: set[str] = field(default_factory=set)  # beside the references of those they build on
    answered: set[str] = field(default_factory=set)  # in a run of the whole notebook, and not by an error

    def __post_init__(self):
        for id, reply in self.replies.items():
            with contextlib.suppress(Refused):
                sent = received(reply.records)
                self.used[id] = sent.names
                self.doubtful |= {id} if sent.doubt else set()

    @property
    def sources(self) -> list[str]:
        """The code cells."""
        return [cell.source for cell in self.chosen.notebook.code]

    def best(self) -> dict[str, Mark]:
        """The marks when all has been tried that can help."""
        for one in self.open():
            self.slice_beside_references(one)
        left = self.open()
        if left:
            self.whole(left, [])
        for one in self.open():
            others = self.failing(one)
            if one in left and (others or (len(left) > 1 and one.id not in self.answered)):
                self.whole([one], others)
        return self.marks

    def open(self) -> list[Exercise]:
        """The exercises that a slice has not settled."""
        return [one for one in self.plan.exercises if self.is_open(one)]

    def is_open(self, exercise: Exercise) -> bool:
        """Whether another way to run the notebook may give a better mark."""
        mark, reply = self.marks[exercise.id], self.replies.get(exercise.id)
        if mark.status == "passed" or (reply and reply.outcome != "ended"):
            return False
        place = self.chosen.found.places.get(exercise.id)
        if place is None or not self.chosen.notebook.code[place].solved:
            return any(bound_in(exercise, source) for at, source in enumerate(self.sources) if at != place)
        if mark.wrong is not None:
            return exercise.id in self.doubtful or bool(self.failing(exercise) and exercise.id not in self.tried)
        return True

    def failing(self, exercise: Exercise) -> list[Exercise]:
        """The exercises that fail and that this one builds on."""
        used = self.used.get(exercise.id)
        others = [one for one in self.plan.exercises if one is not exercise and self.marks[one.id].status != "passed"]
        return [one for one in others if used is None or one.name in used]

    def slice_beside_references(self, exercise: Exercise) -> None:
        """The slice once more, where it uses exercises that fail: their cells are replaced by their references."""
        places, cells = self.chosen.found.places, self.sources
        place, others = places.get(exercise.id), self.failing(exercise)
        sources = {one.id: stand_in(one, exercise) for one in others if places.get(one.id) != place}
        if place is None or not any(sources.values()):
            return
        for id, source in sources.items():
            if source and id in places:
                cells[places[id]] = source
            elif source:
                cells.append(source)
        self.tried.add(exercise.id)
        self.consider(exercise, self.asked(self.plan.task(exercise, cells, place), self.limits, exercise.id))

    def whole(self, wanted: Sequence[Exercise], rebound: Sequence[Exercise]) -> None:
        """All cells that matter to some exercises, in order.

        `fallback` gives the reference of every exercise that fails and is not wanted; the names of those in `rebound`
        are their references' as soon as their cells have run.
        """
        places = self.chosen.found.places
        failing = [one for one in self.plan.exercises if one not in wanted and self.marks[one.id].status != "passed"]
        sources = {one: source for one in failing if (source := stand_in(one, *wanted))}
        end = max(last(one, self.sources, places.get(one.id, 0)) for one in wanted)
        task = self.plan.whole_task(
            {one: places.get(one.id, -1) for one in wanted},
            self.sources[: end + 1],
            {one.id: (one.name, source, places.get(one.id, -1), one in rebound) for one, source in sources.items()},
            [id for id, mark in self.marks.items() if mark.status == "passed"],
            self.limits.seconds,
        )
        reply = self.asked(task, replace(self.limits, seconds=WHOLE), "")
        exercises = {one.id: one for one in wanted}
        for id, number, records in by_exercise(reply.records):
            measured = dict(enumerate(reply.measured.several)).get(number, (id, Measured()))
            if id in exercises and measured[0] == id:
                self.consider(exercises[id], Reply("ended", records=records, measured=measured[1]))

    def asked(self, task: bytes, limits: Limits, id: str) -> Reply:
        """What a worker says; whether something else on the machine may have ended it is kept."""
        reply = self.ask(task, limits, id)
        self.waited = self.waited or reply.by_chance
        return reply

    def consider(self, exercise: Exercise, reply: Reply) -> None:
        """Keep the better mark: the points, and of two without points the one that says more."""
        new = marked(exercise, reply, self.plan.seeds[exercise.id], self.limits)
        self.answered |= {exercise.id} if new.status in ("wrong", "passed") else set()
        self.marks[exercise.id] = min(self.marks[exercise.id], new, key=rank)


def rank(mark: Mark) -> tuple[int, bool]:
    """Sorts the better mark first."""
    return _ORDER.index(mark.status), mark.wrong is None


def bound_in(exercise: Exercise, source: str) -> bool:
    """Whether a cell may bind the exercise's name or check another one, by its text; `fallback` binds nothing new."""
    name = exercise.name
    definition = rf"(?:async[ \t]+)?(?:def|class)[ \t]+{name}\b"
    assignment = rf"(?:\w+[ \t]*[,=][ \t]*)*{name}[ \t]*(?:,|:|=(?!=))"
    inline = rf"\b{name}[ \t]*:=|\bas[ \t]+{name}\b"
    other = rf"\bcheck\(\s*['\"]{re.escape(exercise.id)}['\"]\s*,(?!\s*{name}\s*[,)])"
    back = re.compile(rf"[ \t]*{name}[ \t]*=[ \t]*fallback\b")
    places = re.finditer(rf"^[ \t]*(?:{definition}|{assignment})|{inline}|{other}", source, re.M)
    return any(not back.match(source, place.start()) for place in places)


def last(exercise: Exercise, sources: Sequence[str], place: int) -> int:
    """The last cell that matters to an exercise: its own, that binds its name, or that checks it; if none does, all."""
    checks = [at for at, source in enumerate(sources) if "check" in source and exercise.id in source]
    binds = [at for at, source in enumerate(sources) if bound_in(exercise, source)]
    return max(place, *checks, *binds) if checks else len(sources) - 1
