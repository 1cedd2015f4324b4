"""What an exercise, an anticipated wrong answer and a quiz question are: data, checked when they are made."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch


@dataclass(frozen=True, eq=False)
class Wrong:
    """A wrong answer that a learner plausibly writes, and the sentence that learner should read.

    fn has the exercise's signature. Raises ValueError when the sentence is not one line that ends in a full stop.
    """

    fn: Callable
    sentence: str

    def __post_init__(self):
        if not callable(self.fn):
            raise ValueError(f"Wrong: fn must be a function, got {type(self.fn).__name__}.")
        if not re.fullmatch(r"[^\n]{15,}[.?!]", self.sentence.strip()):
            raise ValueError(f"Wrong: the sentence must be one line ending in a full stop, got {self.sentence!r}.")


@dataclass(frozen=True, eq=False)
class Exercise:
    """One exercise: a function (compared with `reference`), an experiment (judged by `accept`) or words (`rubric`).

    inputs(g: torch.Generator) -> tuple of data (tensors, numbers, strings, and lists or tuples of these): no functions.
    call(fn, *inputs) -> tensor, number, or tuple or dict of them, where the answer takes or returns functions.
    accept(answer, inputs) -> None, the sentence, or the sentence and what was measured, {name: number}; `answer` comes
    as tensors in the structure that the function returned.
    beside: `call` hands over what only shared memory can be, such as a module: it then runs beside the learner's code.
    properties: functions (fn, inputs) -> None or a sentence, tried after the values.
    needs: what the cell uses beyond torch and built-ins: a public name of course_lib ("ring"), or a line that binds one
    ("D = ring(10)"). home: the library's own function, "course_lib.guidance:rbf". equation: "(4.4)".
    draws: how many inputs `check` tries; by default 5 for a function and 1 for an experiment.
    further: whether it lies beyond the chapter's core path.
    may_pass: attacks that the tests make of the reference ("x reordered") and that rightly get the points, with why.
    Raises ValueError with one sentence when a field does not fit.
    """

    id: str
    title: str
    points: int
    difficulty: int
    importance: int
    minutes: int
    equation: str = ""
    name: str = ""
    reference: Callable | None = None
    inputs: Callable[[torch.Generator], tuple] | None = None
    wrong: Sequence[Wrong] = ()
    right: Sequence[Callable] = ()
    properties: Sequence[Callable] = ()
    tolerance: float = 1e-8
    call: Callable | None = None
    needs: Sequence[str] = ()
    home: str = ""
    accept: Callable | None = None
    rubric: str = ""
    draws: int = field(default=0)
    beside: bool = False
    further: bool = False
    may_pass: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self):
        self._check_numbers()
        if self.rubric:
            self._need(self.reference is None and self.accept is None, "a rubric leaves no room for a reference")
        else:
            self._check_code()

    @property
    def chapter(self) -> int:
        """The number before the dot of the id."""
        return int(self.id.split(".")[0])

    @property
    def kind(self) -> str:
        """ "function", "experiment" or "judged"."""
        return "judged" if self.rubric else "experiment" if self.accept else "function"

    @property
    def outside(self) -> bool:
        """Whether `call` runs where no learner's code does, and only asks the learner's function."""
        return self.call is not None and not self.beside

    @property
    def public_draws(self) -> int:
        """How many inputs `check` tries."""
        return self.draws or (1 if self.accept else 5)

    def _need(self, holds: bool, sentence: str) -> None:
        if not holds:
            raise ValueError(f"Exercise {self.id}: {sentence}.")

    def _check_numbers(self) -> None:
        self._need(bool(re.fullmatch(r"[1-9]\d*\.[1-9]\d*", self.id)), f'the id must look like "4.2", got {self.id!r}')
        self._need(
            bool(self.title) and self.title == self.title.strip(" ."), "the title must be words without a full stop"
        )
        for name, low, high in (("points", 1, 20), ("difficulty", 1, 5), ("importance", 1, 5), ("minutes", 1, 120)):
            value = getattr(self, name)
            ok = isinstance(value, int) and low <= value <= high
            self._need(ok, f"{name} must be a whole number from {low} to {high}, got {value!r}")
        cited = re.fullmatch(r"(\(\d+\.\d+\)(, )?)*", self.equation)
        self._need(cited is not None, f'the equation must look like "(4.4)" or "(4.3), (4.4)", got {self.equation!r}')

    def _check_code(self) -> None:
        wrongs, rights = (2, 1) if self.accept else (4, 2)
        self._need(self.name.isidentifier(), f"name must be the function's name in the cell, got {self.name!r}")
        for name in ("reference", "inputs"):
            self._need(callable(getattr(self, name)), f"{name} must be a function; for words give a rubric")
        for name in ("call", "accept"):
            self._need(
                getattr(self, name) is None or callable(getattr(self, name)), f"{name} must be a function or None"
            )
        self._need(len(self.wrong) >= wrongs, f"at least {wrongs} wrong answers are due, got {len(self.wrong)}")
        self._need(all(isinstance(w, Wrong) for w in self.wrong), "each of wrong must be Wrong(fn, sentence)")
        self._need(len({w.sentence for w in self.wrong}) == len(self.wrong), "two wrong answers have the same sentence")
        self._need(len(self.right) >= rights, f"at least {rights} other correct answers are due, got {len(self.right)}")
        self._need(all(map(callable, (*self.right, *self.properties))), "right and properties must hold functions")
        self._need(0 < self.tolerance < 1, f"the tolerance must lie between 0 and 1, got {self.tolerance!r}")
        home = re.fullmatch(r"([\w.]+:[\w.]+)?", self.home)
        self._need(home is not None, f'home must look like "course_lib.guidance:rbf", got {self.home!r}')
        self._need(not isinstance(self.needs, str), "needs must be a tuple of strings, got one string")
        for attack, why in self.may_pass.items():
            said = isinstance(why, str) and re.fullmatch(r"[^\n]{15,}\.", why) is not None
            self._need(said, f"may_pass must say in a sentence why {attack!r} may pass, got {why!r}")


def work(exercises: Sequence[Exercise]) -> tuple[int, int]:
    """Minutes of the exercises on the core path, and of those marked as further."""
    total = sum(one.minutes for one in exercises)
    core = sum(one.minutes for one in exercises if not one.further)
    return core, total - core


def any_order(*names: str) -> dict[str, str]:
    """may_pass for arguments, or the answer, whose rows are a set."""
    return {f"{name} reordered": "Its rows are a set: their order means nothing." for name in names}


@dataclass(frozen=True, eq=False)
class Question:
    """A quiz question: answers are (answer, correct, feedback), with feedback for each.

    An answer is a text (several correct ones make it "choose all"), or a number, or a pair of numbers for a range;
    numeric questions need `otherwise`, the feedback for any other number. Raises ValueError when a field does not fit.
    """

    text: str
    answers: Sequence[tuple]
    otherwise: str = ""

    def __post_init__(self):
        def need(holds: bool, sentence: str) -> None:
            if not holds:
                raise ValueError(f"Question {self.text[:40]!r}: {sentence}.")

        need(all(len(answer) == 3 for answer in self.answers), "each answer must be (answer, correct, feedback)")
        need(any(correct for _, correct, _ in self.answers), "no answer is correct")
        need(all(isinstance(f, str) and f for _, _, f in self.answers), "each answer needs a feedback of its own")
        texts = [isinstance(a, str) for a, _, _ in self.answers]
        need(all(texts) or not any(texts), "answers must be all texts or all numbers")
        need(not self.numeric or bool(self.otherwise), "a numeric question needs `otherwise`, for any other number")
        need(self.numeric or len(self.answers) >= 2, "a choice needs at least two answers")
        need(len({str(a) for a, _, _ in self.answers}) == len(self.answers), "two answers are the same")

    @property
    def numeric(self) -> bool:
        """Whether the answer is typed as a number."""
        return not isinstance(self.answers[0][0], str)
