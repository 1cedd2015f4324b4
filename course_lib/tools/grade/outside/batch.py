"""Grading a class: workers side by side, one comparer, and a result file for each submission as it comes."""

import queue
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from course_lib.exercises.declare import Exercise
from course_lib.tools.environment import Problem
from course_lib.tools.grade.collected.choosing import Chosen, choose
from course_lib.tools.grade.collected.notebook import Notebook, find
from course_lib.tools.grade.collected.submissions import Submission
from course_lib.tools.grade.marked import result
from course_lib.tools.grade.marked.comparer import mark, marked
from course_lib.tools.grade.marked.result import Mark, Result, fingerprint
from course_lib.tools.grade.outside.attempts import Attempts
from course_lib.tools.grade.outside.measuring import Measurer, measurers
from course_lib.tools.grade.outside.plan import Plan
from course_lib.tools.grade.outside.sandbox import Limits, Sandbox, kill
from course_lib.tools.grade.outside.session import Gone, Reply, ask, wait_until_ready


class Stopped(Exception):
    """The batch is being given up."""


@dataclass(frozen=True)
class Ran:
    """A submission whose code has run; marks is None where an earlier result still holds, or there is more to run.

    waited: something else on the machine may have ended it.
    """

    submission: Submission
    chosen: Chosen
    replies: Mapping[str, Reply] | None
    marks: Mapping[str, Mark] | None = None
    waited: bool = False

    @property
    def late(self) -> list[str]:
        """The exercises whose slice something else on the machine may have ended."""
        return [id for id, reply in (self.replies or {}).items() if reply.by_chance]


@dataclass
class Batch:
    """One run over a class; results go into `folder`."""

    plan: Plan
    sandbox: Sandbox
    folder: Path
    jobs: int = 1
    measurers: Mapping[int, Measurer] = field(default_factory=dict)
    log: Callable[[str], object] = sys.stderr.write
    live: set[subprocess.Popen] = field(default_factory=set)
    failed: list[str] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)
    comparing: threading.Lock = field(default_factory=threading.Lock)  # torch's default dtype and randomness are shared

    def grade(self, submissions: Sequence[Submission], step: Callable[[], object] = lambda: None) -> int:
        """Grade what is new or changed, calling `step` after each; how many that were."""
        with measurers(self.plan, self.jobs) as self.measurers:
            return self._grade(submissions, step)

    def _grade(self, submissions: Sequence[Submission], step: Callable[[], object]) -> int:
        slots: queue.SimpleQueue[int] = queue.SimpleQueue()
        for slot in range(self.jobs):
            slots.put(slot)
        graded, again, _ = 0, [], self.plan.given  # drawn once, before there are threads
        with ThreadPoolExecutor(self.jobs) as pool:
            try:
                for future in as_completed(
                    [pool.submit(self.guarded, one, self.run, one, slots) for one in submissions]
                ):
                    ran = future.result()
                    graded += ran.replies is not None
                    if ran.waited:
                        again.append(ran)
                        continue
                    self.finish(ran)
                    step()
            except BaseException:
                self.stop()
                pool.shutdown(cancel_futures=True)
                raise
        for ran in sorted(again, key=lambda ran: ran.submission.key):
            self.finish(self.guarded(ran.submission, self.run_alone, ran))
            step()
        return graded

    def stop(self) -> None:
        """End all workers."""
        self.stopped.set()
        for process in list(self.live):
            kill(process)

    def run(self, submission: Submission, slots: queue.SimpleQueue) -> Ran:
        """Read one submission and run its exercises, unless it has a result."""
        chosen = choose(submission, self.plan.exercises)
        if self.kept(submission, chosen):
            return Ran(submission, chosen, None)
        slot = slots.get()
        try:
            ran = Ran(submission, chosen, self.replies(chosen, list(chosen.found.places), slot))
            return replace(ran, waited=True) if ran.late else self.attempted(ran, slot)
        finally:
            slots.put(slot)

    def guarded(self, submission: Submission, work: Callable[..., Ran], *given) -> Ran:
        """What `work` gives; a fault of the grader's own costs this submission and no other."""
        try:
            return work(*given)
        except (Stopped, Problem, OSError):
            raise
        except Exception as error:
            return self.given_up(submission, error)

    def given_up(self, submission: Submission, error: Exception) -> Ran:
        """A submission that the grader itself failed on: a sentence for the student, the traceback for maintainers."""
        self.failed.append(submission.name)
        self.log(f"{submission.key}\n{''.join(traceback.format_exception(error))}\n")
        nothing = Notebook()
        said = f"The grader failed on this submission ({type(error).__name__}), which is not your fault: please say so."
        chosen = Chosen("", "", nothing, find(nothing, self.plan.exercises), (said,))
        return Ran(submission, chosen, {}, {one.id: absent(one, chosen) for one in self.plan.exercises})

    def run_alone(self, ran: Ran) -> Ran:
        """What something else may have ended once more, with nothing else of ours running."""
        replies = {**ran.replies, **(self.replies(ran.chosen, ran.late, 0) if ran.late else {})}
        return self.attempted(replace(ran, replies=replies), 0)

    def attempted(self, ran: Ran, slot: int) -> Ran:
        """With the marks, and what else was tried for them; one submission at a time is compared with references."""
        limits, places = self.sandbox.limits, ran.chosen.found.places
        with self.comparing:
            marks = {
                one.id: marked(one, ran.replies[one.id], self.plan.seeds[one.id], limits)
                if one.id in places
                else absent(one, ran.chosen)
                for one in self.plan.exercises
            }
            with self.asking(slot) as ask:
                attempts = Attempts(self.plan, ran.chosen, limits, ask, ran.replies, marks)
                return replace(ran, marks=attempts.best(), waited=attempts.waited)

    @contextmanager
    def asking(self, slot: int) -> Iterator[Callable[[bytes, Limits, str], Reply]]:
        """A function that asks a worker, which is started when first asked; others compare meanwhile.

        It takes the task, its limits, and the id of the exercise, or "" where there are several.
        """
        with ExitStack() as stack:
            held: list[subprocess.Popen] = []

            def asked(task: bytes, limits: Limits, id: str) -> Reply:
                self.comparing.release()
                try:
                    if not held:
                        held.append(stack.enter_context(self.worker(slot)))
                    measurer = self.measurers.get(slot) if not id or self.plan.given[id]["asked"] else None
                    return ask(held[0], task, limits, measurer, id)
                except Gone as gone:
                    held.clear()
                    stack.close()
                    return gone.reply
                finally:
                    self.comparing.acquire()

            yield asked

    def replies(self, chosen: Chosen, ids: Sequence[str], slot: int) -> dict[str, Reply]:
        """What the worker says to each exercise; a worker that is lost costs the exercise that ran, and no other."""
        exercises = {one.id: one for one in self.plan.exercises if one.id in ids}
        todo, found = list(exercises), {}
        cells = [cell.source for cell in chosen.notebook.code]
        while todo:
            with self.worker(slot) as process:
                try:
                    while todo:
                        task = self.plan.task(exercises[todo[0]], cells, chosen.found.places[todo[0]])
                        measurer = self.measurers.get(slot) if self.plan.given[todo[0]]["asked"] else None
                        found[todo[0]] = ask(process, task, self.sandbox.limits, measurer, todo[0])
                        todo.pop(0)
                except Gone as gone:
                    found[todo.pop(0)] = gone.reply
        return found

    @contextmanager
    def worker(self, slot: int) -> Iterator[subprocess.Popen]:
        """A worker that is ready, or Problem with what it said."""
        with self.sandbox.started(slot) as process:
            self.live.add(process)
            try:
                if self.stopped.is_set():
                    raise Stopped
                wait_until_ready(process)
                yield process
            except Gone as gone:
                raise Problem(f"The sandbox does not start ({gone or 'without a word'})") from None
            finally:
                self.live.discard(process)
            if self.stopped.is_set():
                raise Stopped

    def kept(self, submission: Submission, chosen: Chosen) -> bool:
        """Whether the result that is there is what this run would write."""
        try:
            there = result.read(self.folder / f"{submission.key}.json")
        except (OSError, ValueError):
            return False
        due = {one.id: one.points for one in self.plan.exercises}
        same = replace(there, exercises={}) == result_of(self.plan, submission, chosen, {})
        return same and {id: one.of for id, one in there.exercises.items()} == due

    def finish(self, ran: Ran) -> None:
        """Compare and write one result."""
        if ran.replies is None:
            return
        result.write(self.folder, result_of(self.plan, ran.submission, ran.chosen, ran.marks))


def absent(exercise: Exercise, chosen: Chosen) -> Mark:
    """The mark for an exercise that has no cell."""
    said = chosen.found.missing[exercise.id] if chosen.notebook.cells else "No notebook could be read."
    return mark(exercise, "missing", said)


def result_of(plan: Plan, submission: Submission, chosen: Chosen, marks: Mapping[str, Mark]) -> Result:
    """The result of one submission."""
    about = (submission.key, submission.name, chosen.file, chosen.digest)
    of_system = (submission.system, submission.number)
    return Result(*about, fingerprint(plan.term), plan.chapter, dict(marks), list(chosen.problems), *of_system)
