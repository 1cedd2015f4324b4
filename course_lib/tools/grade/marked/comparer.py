"""From what a worker sent to points and a sentence, where the references are; no student's code runs here."""

import signal
from collections.abc import Sequence

from course_lib.exercises.answers import Answer
from course_lib.exercises.comparing import grade
from course_lib.exercises.declare import Exercise
from course_lib.tools.grade.marked.result import Mark
from course_lib.tools.grade.outside.incoming import Received, Refused, received
from course_lib.tools.grade.outside.sandbox import Limits
from course_lib.tools.grade.outside.session import Reply

CRASHES = ("SIGSEGV", "SIGBUS", "SIGABRT", "SIGFPE", "SIGILL")


def marked(exercise: Exercise, reply: Reply, seeds: Sequence[int], limits: Limits) -> Mark:
    """The mark for one exercise; whatever came, it is a mark."""
    try:
        sent = checked(exercise, sent_by(exercise, reply), seeds)
    except Refused as error:
        said = f"What your code sent back is no answer ({error}): return the answer, and leave all else as it is."
        return unfinished(exercise, reply, limits) or mark(exercise, "refused", said)
    values, properties = len(sent.answers) == len(seeds), len(exercise.properties) * len(seeds)
    if failed(sent.answers) or (values and len(sent.properties) == properties):
        return judged(exercise, sent, seeds)
    told = judged(exercise, sent, seeds) if values else None
    if told and told.status != "passed":
        return told
    said = f"Your code ended Python (exit status {reply.code}) before it gave an answer."
    return unfinished(exercise, reply, limits) or mark(exercise, "error", said)


def sent_by(exercise: Exercise, reply: Reply) -> Received:
    """What a worker sent and what was measured: neither may say what is the other's to say."""
    inside, outside = received(reply.records), received(reply.measured.records)
    if reply.measured.ended not in ("", "closed", "lost"):
        raise Refused(reply.measured.ended)
    if inside.properties or (exercise.outside and not all(failed([one]) for one in inside.answers)):
        raise Refused("what is measured outside")
    return Received(inside.answers + outside.answers, outside.properties)


def checked(exercise: Exercise, sent: Received, seeds: Sequence[int]) -> Received:
    """What was sent, if it is not more than is due."""
    most = len(exercise.properties) * len(seeds)
    if len(sent.answers) > len(seeds) or len(sent.properties) > most:
        raise Refused("more answers than were asked for")
    if failed(sent.answers[:-1]) or (sent.properties and (failed(sent.answers) or len(sent.answers) < len(seeds))):
        raise Refused("answers in another order than they were asked for")
    return sent


def mark(exercise: Exercise, status: str, sentence: str = "", wrong: int | None = None) -> Mark:
    """A Mark, with all points or none."""
    return Mark(status, float(exercise.points if status == "passed" else 0), exercise.points, sentence, wrong)


def failed(answers: Sequence[Answer]) -> Answer | None:
    """The answer that is none, if there is one."""
    return next((answer for answer in answers if answer.problem not in ("", "mutated")), None)


def unfinished(exercise: Exercise, reply: Reply, limits: Limits) -> Mark | None:
    """The mark of code that did not come to its end; None where it did."""
    if reply.outcome in ("cpu", "wall"):
        said = f"Your code did not end within {limits.seconds:g} seconds of computing ({limits.wall:g} in all)"
        return mark(exercise, "timeout", f"{said}: is there an endless loop, or does it wait for something?")
    if reply.outcome == "flood":
        return mark(exercise, "refused", "Your code sent back more than 16 MB: return the answer only.")
    sentences = {
        "memory": f"Your code and the processes that it started used more than {limits.memory / 1e9:g} GB together.",
        "files": f"Your code wrote more than {limits.disk / 1e6:g} MB or {limits.entries:,} files.",
        "killed": crashed(reply.code),
        "stopped": "Your code stopped its own process (SIGSTOP): leave signals alone.",
        "gone": "Your code ended the process that runs it: leave the other processes alone.",
    }
    return mark(exercise, "error", sentences[reply.outcome]) if reply.outcome in sentences else None


def crashed(number: int) -> str:
    """The sentence for a process that a signal has ended."""
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    if name in CRASHES:
        return f"Your code crashed Python ({name}): does it recurse without end, or reach into memory?"
    return f"Your code was killed ({name}): by itself, or because it used all the memory."


def judged(exercise: Exercise, sent: Received, seeds: Sequence[int]) -> Mark:
    """The mark for answers: that of `check`, on hidden inputs, and never a hidden input in the sentence."""
    bad = failed(sent.answers)
    if bad and bad.problem == "no function":
        return mark(exercise, "error", no_function(exercise, bad.detail))
    try:
        verdict = grade(exercise, sent.answers, seeds)
    except Exception as error:
        said = f"This exercise could not be graded ({type(error).__name__} in its declaration): please report it."
        return mark(exercise, "error", said)
    broken = next((sentence for sentence in sent.properties if sentence), "")
    if verdict.passed:
        return mark(exercise, "wrong", broken) if broken else mark(exercise, "passed")
    if verdict.status == "not attempted":
        return mark(exercise, "not attempted", "Not attempted.")
    status = "error" if bad and bad.problem in ("raised", "recursion", "exit") else "wrong"
    return mark(exercise, status, verdict.sentence, verdict.wrong)


def no_function(exercise: Exercise, kind: str) -> str:
    """The sentence for a cell that leaves no function under the exercise's name."""
    if not kind:
        return f"Your cell defines no function {exercise.name}: keep the name that the exercise gave it."
    return f"In your cell {exercise.name} is no function but of type {kind}: define it with def."
