"""What a notebook calls: `check` says one line about an answer, `fallback` gives a function to go on with."""

import inspect
from collections.abc import Callable

from course_lib.exercises import registry
from course_lib.exercises.answers import run
from course_lib.exercises.comparing import Verdict, answer_of, chance, draw, grade
from course_lib.exercises.declare import Exercise

_last: dict[str, tuple[Callable, Verdict]] = {}  # the last function checked for each id, and what was said


def check(id: str, fn: Callable) -> bool:
    """Say in one line whether a function answers an exercise, on public inputs; return whether it passes.

    Whatever the function does is an answer with a sentence of its own; only Ctrl-C comes through. The random state, the
    default dtype and the device are as before.
    """
    try:
        exercise = registry.exercise(id)
    except Exception as error:
        print(_unknown(id, error))
        return False
    verdict = verdict_on(exercise, fn)
    _last[id] = (fn, verdict)
    print(told(exercise, verdict))
    return verdict.passed


def fallback(id: str, fn: Callable) -> Callable:
    """The learner's function if it passes the check, else the reference; says which in one line."""
    try:
        exercise = registry.exercise(id)
    except Exception as error:
        print(_unknown(id, error))
        return fn
    if exercise.kind == "judged":
        print(f"{id}  answered in words: there is no function to go on with.")
        return fn
    checked, verdict = _last.get(id, (None, None))
    if checked is not fn or verdict is None:
        verdict = verdict_on(exercise, fn)
        _last[id] = (fn, verdict)
    print(f"{id}  going on with {'yours' if verdict.passed else 'the reference'}.")
    return fn if verdict.passed else exercise.reference


def verdict_on(exercise: Exercise, fn: Callable) -> Verdict:
    """The verdict on a function from the public inputs; never raises but for Ctrl-C."""
    if exercise.kind == "judged":
        return Verdict("wrong", "This exercise is answered in words, against a rubric: there is nothing to run.")
    if not callable(fn):
        ask = f'write check("{exercise.id}", {exercise.name}), without calling the function'
        return Verdict("wrong", f"check needs your function, got {_kind_of(fn)}: {ask}.")
    try:
        sentence = _wrong_arguments(exercise, fn)
        return Verdict("wrong", sentence) if sentence else _try(exercise, fn)
    except Exception as error:
        return Verdict("wrong", f"This exercise could not be checked ({type(error).__name__}); please report it.")


def _kind_of(value) -> str:
    return f"{'an' if type(value).__name__[:1] in 'aeiouAEIOU' else 'a'} {type(value).__name__}"


def _try(exercise: Exercise, fn: Callable) -> Verdict:
    """Run on the public draws, stop at the first that is no answer, grade, and then try the properties."""
    answers, seeds = [], range(exercise.public_draws)
    for seed in seeds:
        answers.append(answer_of(exercise, fn, seed))
        if answers[-1].problem not in ("", "mutated"):
            break
    verdict = grade(exercise, answers, seeds)
    if not verdict.passed:
        return verdict
    for seed in seeds:
        for holds in exercise.properties:
            sentence = broken_property(exercise, fn, holds, seed)
            if sentence:
                return Verdict("wrong", sentence)
    return verdict


def broken_property(exercise: Exercise, fn: Callable, holds: Callable, seed: int) -> str:
    """The sentence of a property that a function does not have on one draw, or ""."""
    said = []

    def tried(*inputs):
        said.append(holds(fn, inputs) or "")
        return 0

    answer = run(tried, draw(exercise, seed), seed=chance(exercise, seed))
    return said[0] if said else f"On a special case your code raised {answer.detail or answer.problem}."


def _wrong_arguments(exercise: Exercise, fn: Callable) -> str:
    """The sentence for a function that cannot be called as the reference can, or ""."""
    try:
        mine, theirs = inspect.signature(fn), inspect.signature(exercise.reference)
    except (TypeError, ValueError):
        return ""
    due = [p for p in theirs.parameters.values() if p.default is p.empty and p.kind < p.VAR_POSITIONAL]
    try:
        mine.bind(*(due if exercise.call else draw(exercise, 0)))
    except TypeError:
        same = list(mine.parameters) == list(theirs.parameters)
        takes, wanted = ", ".join(mine.parameters), ", ".join(theirs.parameters)
        by_position = ", with arguments by position" if same else ""
        return f"Your function takes ({takes}); {exercise.name}({wanted}) is due{by_position}."
    return ""


def _unknown(id, error: Exception) -> str:
    text = str(error.args[0]) if isinstance(error, KeyError) else f"the exercises could not be loaded: {error}"
    return f"{id if isinstance(id, str) else '?'}  {text}."


def told(exercise: Exercise, verdict: Verdict) -> str:
    """The line (or short block) that `check` prints."""
    if verdict.passed:
        return f"{exercise.id}  passed.  {exercise.points} point{'s' if exercise.points != 1 else ''}"
    if verdict.status == "not attempted":
        return f"{exercise.id}  not attempted."
    equation = f"   {exercise.equation}" if exercise.equation else ""
    lines = [f"{exercise.id}  not yet.  {verdict.sentence}{equation}"]
    width = max((len(label) for label, _ in verdict.lines), default=0)
    return "\n".join(lines + [f"      {label:{width}}  {text}" for label, text in verdict.lines])
