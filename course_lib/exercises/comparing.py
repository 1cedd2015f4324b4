"""Judging an answer: hidden or public inputs, the reference, the anticipated wrong answers, one sentence.

Nothing here runs a learner's code: arrays come in, a Verdict goes out.
"""

import hashlib
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from course_lib.exercises.answers import Answer, copied, isolated, run
from course_lib.exercises.calls import NO_GRADIENT
from course_lib.exercises.declare import Exercise

SINGLE = 100 * float(np.finfo(np.float32).eps)  # how exact float32's results can be
SHOWN = 8  # numbers of an array that a message holds
_KINDS = {"b": "true or false", "i": "whole numbers", "u": "whole numbers", "f": "real numbers", "c": "complex numbers"}


@dataclass(frozen=True)
class Verdict:
    """status: "passed", "not attempted" or "wrong"; the sentence; which anticipated wrong answer it is, if any; and
    lines (label, text): input, got and expected of plain wrong numbers, or what an experiment has measured."""

    status: str
    sentence: str = ""
    wrong: int | None = None
    lines: tuple[tuple[str, str], ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the points are earned."""
        return self.status == "passed"


def number(exercise: Exercise, seed: int) -> int:
    """The generator seed of a draw: differs between exercises, and is the same everywhere."""
    return int.from_bytes(hashlib.sha256(f"{exercise.id} {seed}".encode()).digest()[:7], "big")


def chance(exercise: Exercise, seed: int) -> int:
    """The seed of the global generators while a function answers a draw: its noise is not that of the inputs."""
    return number(exercise, seed) + 1


def draw(exercise: Exercise, seed: int) -> tuple:
    """The inputs of one draw, the same whatever the default dtype; raises TypeError where they are no tuple of data."""
    return copied(_drawn(exercise, seed))


@lru_cache(maxsize=512)
def _drawn(exercise: Exercise, seed: int) -> tuple:
    with isolated(0):
        inputs = exercise.inputs(torch.Generator().manual_seed(number(exercise, seed)))
    if not isinstance(inputs, tuple):
        raise TypeError(f"Exercise {exercise.id}: inputs must return a tuple, got {type(inputs).__name__}.")
    return inputs


def answer_of(exercise: Exercise, fn, seed: int) -> Answer:
    """A function's answer on one draw."""
    return run(fn, draw(exercise, seed), exercise.call, chance(exercise, seed))


@lru_cache(maxsize=2048)
def expected(exercise: Exercise, seed: int) -> Answer:
    """The reference's answer on one draw; raises RuntimeError if it has none."""
    answer = answer_of(exercise, exercise.reference, seed)
    if answer.problem or not answer.arrays:
        raise RuntimeError(f"Exercise {exercise.id}: the reference gives no answer ({answer.problem} {answer.detail}).")
    return answer


@lru_cache(maxsize=8192)
def anticipated(exercise: Exercise, index: int, seed: int) -> Answer:
    """The answer of one anticipated wrong function on one draw."""
    return answer_of(exercise, exercise.wrong[index].fn, seed)


def close(got: np.ndarray, due: np.ndarray, tolerance: float) -> bool:
    """Whether two arrays are equal, relative to the largest number that is due; whole numbers and texts exactly."""
    if got.shape != due.shape or (got.dtype.kind == "U") != (due.dtype.kind == "U"):
        return False
    if due.dtype.kind not in "fc" and got.dtype.kind not in "fc":
        return np.array_equal(got, due)
    got, due = got.astype(np.complex128), due.astype(np.complex128)
    finite = np.isfinite(due)
    scale = max(np.abs(due[finite]).max(initial=0.0), 1e-3)
    if not np.array_equal(np.isfinite(got), finite) or not np.array_equal(got[~finite], due[~finite], equal_nan=True):
        return False
    return bool((np.abs(got[finite] - due[finite]) <= tolerance * scale).all())


def equal(got: Answer, due: Answer, tolerance: float) -> bool:
    """Whether two answers hold the same arrays under the same names."""
    if got.arrays.keys() != due.arrays.keys() or got.problem != due.problem:
        return False
    return all(close(got.arrays[path], due.arrays[path], tolerance) for path in due.arrays)


def grade(exercise: Exercise, answers: Sequence[Answer] | Answer, seeds: Sequence[int] | int) -> Verdict:
    """The verdict on the answers to one or several draws; answers may end early, at the first that is no answer."""
    answers = [answers] if isinstance(answers, Answer) else list(answers)
    seeds = [seeds] if isinstance(seeds, int) else list(seeds)
    if any(answer.problem == "stub" for answer in answers):
        return Verdict("not attempted")
    if len(answers) < len(seeds) and not (answers and answers[-1].problem):
        return Verdict("wrong", "Some answers are missing.")
    if exercise.accept:
        return _grade_experiment(exercise, answers, seeds)
    pairs = list(zip(answers, seeds))
    fine = [_fits(answer, expected(exercise, seed), exercise.tolerance) for answer, seed in pairs]
    if all(fine):
        return Verdict("passed")
    for index, wrong in enumerate(exercise.wrong):
        if _is_wrong(exercise, index, pairs):
            return Verdict("wrong", wrong.sentence, index)
    answer, seed = pairs[fine.index(False)]
    sentence = unusable(answer, expected(exercise, seed), exercise.tolerance)
    sentence = sentence or _nearly([(got, expected(exercise, seed)) for got, seed in pairs])
    if sentence:
        return Verdict("wrong", sentence)
    return Verdict("wrong", _differs(exercise), lines=_shown(exercise, answer, seed))


def _fits(got: Answer, due: Answer, tolerance: float) -> bool:
    return equal(got, due, tolerance) and not unusable(got, due, tolerance)


def _differs(exercise: Exercise) -> str:
    return f"The values are not those of {exercise.equation}." if exercise.equation else "The values differ."


def _is_wrong(exercise: Exercise, index: int, pairs: list[tuple[Answer, int]]) -> bool:
    """Whether all answers equal those of one wrong function that somewhere differs from the reference."""
    told = False
    for answer, seed in pairs:
        wrong, due = anticipated(exercise, index, seed), expected(exercise, seed)
        if not wrong.arrays:
            continue
        if not equal(answer, wrong, max(exercise.tolerance, _precision(answer))):
            return False
        told = told or not _fits(wrong, due, exercise.tolerance)
    return told


def _precision(answer: Answer) -> float:
    """How exact numbers of this dtype can be: 1e-5 for float32, 0 for float64."""
    floats = [a.dtype for a in answer.arrays.values() if a.dtype.kind in "fc"]
    return max((100 * float(np.finfo(d).eps) for d in floats if np.finfo(d).bits < 64), default=0.0)


def _grade_experiment(exercise: Exercise, answers: list[Answer], seeds: list[int]) -> Verdict:
    """The verdict of `accept`, once the answer has the reference's form and is finite."""
    for answer, seed in zip(answers, seeds):
        told = unusable(answer, expected(exercise, seed), exercise.tolerance)
        if not told:
            with isolated(0):
                told = exercise.accept(structured(answer), draw(exercise, seed))
        if told:
            sentence, measured = told if isinstance(told, tuple) else (told, {})
            wrong = [index for index, wrong in enumerate(exercise.wrong) if wrong.sentence == sentence]
            lines = tuple((name, short(float(value), 3)) for name, value in measured.items())
            return Verdict("wrong", sentence, wrong[0] if wrong else None, lines)
    return Verdict("passed")


def structured(answer: Answer):
    """An answer as `accept` gets it: a tensor, number or text, or a tuple or dict of them (with dotted paths)."""

    def one(path: str):
        array = answer.arrays[path]
        return str(array) if answer.types[path] == "text" else array.item() if array.ndim == 0 else torch.tensor(array)

    if "" in answer.arrays:
        return one("")
    if all(path.isdigit() for path in answer.arrays):
        return tuple(one(path) for path in answer.arrays)
    return {path: one(path) for path in answer.arrays}


def unusable(got: Answer, due: Answer, tolerance: float) -> str:
    """The sentence for an answer whose numbers need not be looked at, or ""."""
    sentences = {
        "missing return": "Your function returns None: is a `return` missing?",
        "raised": f"N{NO_GRADIENT[1:]}." if NO_GRADIENT in got.detail else f"Your code raised {got.detail}.",
        "recursion": "Your function calls itself without end: nothing stops the recursion.",
        "exit": f"Your code leaves Python ({got.detail}): return the answer instead.",
        "device": f"Your answer is on {got.detail}, the input on cpu: make new tensors with device=x.device.",
        "type": f"You returned {_a(got.detail)}; {_described(due)} is due.",
        "mutated": "Your function changes its input: work on a copy, x = x + ... and not x += ....",
    }
    if got.problem:
        return sentences.get(got.problem, "Your code gave no answer.")
    if got.arrays.keys() != due.arrays.keys():
        return _wrong_structure(got, due)
    for path in due.arrays:
        sentence = _wrong_form(got, due, path, tolerance)
        if sentence:
            return sentence
    return ""


def _a(name: str) -> str:
    return name if " " in name else f"{'an' if name[:1] in 'aeioAEIO' else 'a'} {name}"


def _wrong_structure(got: Answer, due: Answer) -> str:
    if "" in due.arrays and due.types[""] == "tensor" and got.container in ("list", "tuple"):
        return f"You returned a {got.container}; {_described(due)} is due: torch.stack or torch.tensor makes one."
    if due.container == "dict" and got.container == "dict":
        return f"Your dict has the keys {', '.join(got.arrays)[:100]}; due are {', '.join(due.arrays)}."
    return f"You returned {_described(got)}; {_described(due)} is due."


def _described(answer: Answer) -> str:
    if "" not in answer.arrays:
        return f"a {answer.container} of {len(answer.arrays)}"
    array, kind = answer.arrays[""], answer.types[""]
    if kind == "text":
        return "a text"
    if array.ndim == 0:
        return "a number" if array.dtype.kind != "b" else "True or False"
    return f"a {'NumPy array' if kind == 'array' else 'tensor'} of shape {array.shape}"


def _wrong_form(got: Answer, due: Answer, path: str, tolerance: float) -> str:
    """The sentence for a wrong type, shape, kind of number, or NaN, in one array of an answer, or ""."""
    g, d, at = got.arrays[path], due.arrays[path], f" (at {path})" if path else ""
    types = got.types[path], due.types[path]
    if (types[0] == "text") != (types[1] == "text"):
        return f"You returned {_a(types[0])}{at}; {_a(types[1])} is due."
    if types == ("array", "tensor") and d.ndim:
        return f"You returned a NumPy array{at}; a tensor is due, since the cells below go on with it."
    if g.shape != d.shape:
        return f"Your answer{at} has shape {g.shape}; {d.shape} is due."
    kinds = [_KINDS.get(a.dtype.kind, "texts") for a in (g, d)]
    numbers = {"whole numbers", "real numbers"}
    if kinds[0] != kinds[1] and not (d.ndim == 0 and numbers == set(kinds)):
        return f"Your answer{at} holds {kinds[0]} ({g.dtype}); {kinds[1]} ({d.dtype}) are due."
    if g.dtype.kind in "fc":
        bad = ~np.isfinite(g) & np.isfinite(d)
        if bad.any():
            what = "NaN" if np.isnan(g[bad]).any() else "infinite"
            return (
                f"{int(bad.sum())} of {g.size} numbers{at} in your answer {'is' if bad.sum() == 1 else 'are'} {what}."
            )
        shown = g.astype(np.float32) if _is_single(g) and not _is_single(d) else g  # what float64 may hold
        rough = _precision(Answer({"": shown}))
        if rough and d.dtype.itemsize > shown.dtype.itemsize and not close(g, d, tolerance) and close(g, d, rough):
            how = "only" if g.dtype == shown.dtype else "computed"
            return f"Right, but {how} in {shown.dtype}: keep the dtype of the input, {d.dtype}."
    return ""


def _is_single(array: np.ndarray) -> bool:
    """Whether real numbers are exact in float32, as those are that were computed in it."""
    with np.errstate(over="ignore"):
        return array.dtype.kind == "f" and close(array, array.astype(np.float32), 0.0)


NEARLY = "Right in the first five digits only: do you compute in float32 somewhere, or add a small number?"


def _nearly(pairs: list[tuple[Answer, Answer]]) -> str:
    """The sentence for answers that differ from what is due by no more than rounding or a small number, or ""."""
    return NEARLY if all(equal(got, due, SINGLE) for got, due in pairs) else ""


def names(exercise: Exercise) -> list[str]:
    """What the inputs are called: the parameters of the function, or those of `call` after the first."""
    parameters = list(inspect.signature(exercise.call or exercise.reference).parameters)
    return parameters[1:] if exercise.call else parameters


def _shown(exercise: Exercise, answer: Answer, seed: int) -> tuple[tuple[str, str], ...]:
    """Input, got and expected of one draw, short enough to read."""
    due, inputs = expected(exercise, seed), draw(exercise, seed)
    path = next(p for p in due.arrays if not close(answer.arrays[p], due.arrays[p], exercise.tolerance))
    label = f" at {path}" if path else ""
    given = ", ".join(f"{name} = {short(value)}" for name, value in zip(names(exercise), inputs))
    mine, theirs = answer.arrays[path], due.arrays[path]
    far = _farthest(mine, theirs)
    if far >= SHOWN:
        mine, theirs, label = mine.reshape(-1)[far:], theirs.reshape(-1)[far:], f"{label} from number {far + 1} on"
    got, want = short(mine), short(theirs)
    if got == want:
        got, want = short(mine, 12), short(theirs, 12)
    return ("input", given), (f"got{label}", got), (f"expected{label}", want)


def _farthest(mine: np.ndarray, theirs: np.ndarray) -> int:
    """Where two arrays differ most, counted through; 0 where they cannot be subtracted."""
    if mine.shape != theirs.shape or mine.dtype.kind not in "fiub" or not mine.size:
        return 0
    return int(np.abs(np.subtract(mine, theirs, dtype=np.float64)).argmax())


def short(value, digits: int = 4) -> str:
    """One line for an input or an answer: all of it up to eight numbers, else its beginning and its shape."""
    if isinstance(value, torch.Tensor):
        value = value.detach().numpy()
    if isinstance(value, np.ndarray):
        if not value.ndim:
            return short(value.item(), digits)
        begin = ", ".join(short(one.item(), digits) for one in value.reshape(-1)[:SHOWN])
        shape = f" {value.shape}" if value.ndim > 1 or value.size > SHOWN else ""
        return f"[{begin}{', ...' if value.size > SHOWN else ''}]{shape}"
    if isinstance(value, (tuple, list)):
        begin = ", ".join(short(one, digits) for one in value[:4])
        return f"[{begin}{', ...' if len(value) > 4 else ''}]"
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)[:80]
