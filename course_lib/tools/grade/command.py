"""`course grade SUBMISSIONS --seed TERM --out grades/`: from what was handed in to a grade sheet."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from course_lib.tools.environment import Problem
from course_lib.tools.grade.collected.choosing import chapter_in
from course_lib.tools.grade.collected.submissions import submissions
from course_lib.tools.grade.marked import result
from course_lib.tools.grade.outside.batch import Batch
from course_lib.tools.grade.outside.plan import made
from course_lib.tools.grade.outside.sandbox import Limits, Sandbox
from course_lib.tools.grade.reported import write as reports


def main(parsed: argparse.Namespace) -> int:
    """Grade; the value is the exit status."""
    try:
        for sentence in grade(parsed):
            print(sentence)
    except (Problem, ValueError) as problem:
        print(f"{str(problem).rstrip('.')}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; what is graded is kept: run the same command again for the rest.", file=sys.stderr)
        return 130
    return 0


def grade(parsed: argparse.Namespace) -> list[str]:
    """Grade what is new and write the reports; sentences on what a person should know."""
    sandbox = sandbox_of(parsed)
    sandbox.check()
    found = submissions(parsed.submissions)
    chapter = parsed.chapter or chapter_in(found)
    if chapter is None:
        raise Problem("No notebook here has an exercise of the course: say --chapter if they should have one")
    folder = parsed.out / "results"
    refuse_others(folder, chapter, parsed.seed)
    jobs = max(1, parsed.jobs) if sandbox.kind != "user" else 1
    batch = Batch(made(chapter, parsed.seed), sandbox, folder, jobs)
    with tqdm(total=len(found), unit="notebook", disable=None) as bar:
        new = batch.grade(found, bar.update)
    words = not parsed.no_words
    said = reports.write_all(result.read_all(folder), parsed.out, parsed.sheet, parsed.roster, words, parsed.title)
    kept = f", {len(found) - new} as before" if new < len(found) else ""
    return [f"Chapter {chapter}: {new} graded{kept}. See {parsed.out / 'class.html'}.", *said]


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
        if (there.chapter, there.seed) != (chapter, term):
            other = f"chapter {there.chapter} with --seed {there.seed}"
            raise Problem(f"{folder} holds results of {other}: choose another folder with --out")
