"""`course grade SUBMISSIONS --out grades/`: from what was handed in to a grade sheet."""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from tqdm import tqdm

from course_lib.tools.environment import Problem
from course_lib.tools.grade.collected.submissions import HandedIn, handed_in
from course_lib.tools.grade.collected.voting import chapter_in
from course_lib.tools.grade.marked import result
from course_lib.tools.grade.marked.folder import CHOOSE, locked
from course_lib.tools.grade.outside import seed
from course_lib.tools.grade.outside.batch import Batch
from course_lib.tools.grade.outside.plan import made
from course_lib.tools.grade.outside.sandbox import Limits, Sandbox
from course_lib.tools.grade.reported import write as reports


def main(parsed: argparse.Namespace) -> int:
    """Grade; the value is the exit status."""
    try:
        for sentence in grade(parsed, partial(print, flush=True)):
            print(sentence)
    except (Problem, ValueError) as problem:
        print(f"{str(problem).rstrip('.')}.", file=sys.stderr)
        return 1
    except OSError as error:
        what = f"{parsed.out} cannot be written to ({error.strerror or error})"
        print(f"{what}: what is graded is kept; mend that and run the same command again.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; what is graded is kept: run the same command again for the rest.", file=sys.stderr)
        return 130
    return 0


def grade(parsed: argparse.Namespace, say: Callable[[str], object] = lambda sentence: None) -> list[str]:
    """Grade what is new and write the reports; `say` hears at once what was guessed, the value is said at the end."""
    sandbox = sandbox_of(parsed)
    sandbox.check()
    reports.check(parsed.sheet, parsed.roster)
    with locked(parsed.out):
        found, chapter, term = begun(parsed, say)
        folder = parsed.out / "results"
        jobs = max(1, parsed.jobs) if sandbox.kind != "user" else 1
        batch = Batch(made(chapter, term), sandbox, folder, jobs, log=logging_to(parsed.out))
        with tqdm(total=len(found), unit="notebook", disable=None) as bar:
            new = batch.grade(found, bar.update)
        results = result.read_all(folder)
        said = reports.write_all(results, parsed.out, parsed.sheet, parsed.roster, not parsed.no_words, parsed.title)
    kept = f", {len(found) - new} as before" if new < len(found) else ""
    done = f"Chapter {chapter}: {new} graded{kept}. See {parsed.out / 'class.html'}."
    return [done, *remarks(results, batch), *said]


def begun(parsed: argparse.Namespace, say: Callable[[str], object]) -> tuple[Sequence, int, str]:
    """The submissions, the chapter and the seed; what had to be guessed is said, and stands in collected.txt."""
    inside = parsed.out.resolve()
    if inside == parsed.submissions.resolve():
        raise Problem(f"{parsed.out} holds the submissions themselves: {CHOOSE}")
    class_: HandedIn = handed_in(parsed.submissions, parsed.students, inside)
    chapter, voted = (parsed.chapter, []) if parsed.chapter else chapter_in(class_.submissions)
    term, about = seed.seed_for(parsed.out, parsed.seed)
    refuse_others(parsed.out / "results", chapter, term)
    said = [*class_.said, *voted]
    for sentence in (*said, *about):
        say(sentence)
    seed.keep(parsed.out, term)
    result.write_text(parsed.out / "collected.txt", "".join(f"{sentence}\n" for sentence in said))
    return class_.submissions, chapter, term


def sandbox_of(parsed: argparse.Namespace) -> Sandbox:
    """The way that was asked for; the class and its results are hidden in it."""
    kind = "none" if parsed.no_sandbox else "user" if parsed.as_user else "bwrap"
    limits = replace(Limits(), seconds=parsed.seconds)
    return Sandbox(kind, limits, parsed.as_user, (parsed.submissions.absolute(), parsed.out.absolute()))


def refuse_others(folder: Path, chapter: int, term: str) -> None:
    """Raise Problem where the folder holds the results of another chapter or term, which would be mixed."""
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        try:
            there = result.read(path)
        except ValueError:
            continue
        if (there.chapter, there.seed) != (chapter, result.fingerprint(term)):
            other = "" if there.seed == result.fingerprint(term) else " with another --seed"
            raise Problem(f"{folder} holds results of chapter {there.chapter}{other}: {CHOOSE}")


def logging_to(out: Path) -> Callable[[str], object]:
    """Keeps what the grader itself did wrong, for those who maintain it."""

    def log(text: str) -> None:
        with (out / "errors.log").open("a", encoding="utf-8") as file:
            file.write(text)

    return log


def remarks(results: Sequence[result.Result], batch: Batch) -> list[str]:
    """What a person should know about how the submissions were read."""
    odd = sum(bool(one.problems) for one in results)
    said = [f"{odd} submissions have a remark on their files: see the column problems in grades.csv."] * bool(odd)
    if batch.failed:
        said.append(f"The grader itself failed on {', '.join(batch.failed)}: see errors.log, and look at them by hand.")
    return said
