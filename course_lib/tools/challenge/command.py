"""`course challenge METHOD.py ..`: score method files on a term's hidden prompts, and write the board."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from course_lib.challenge import STRENGTHS, Judge
from course_lib.stable_diffusion import StableDiffusion
from course_lib.tools.challenge import board
from course_lib.tools.challenge.boxed import Box
from course_lib.tools.challenge.entries import BASELINE, shipped, source
from course_lib.tools.challenge.scored import Scored, begun, finished, hidden, keep
from course_lib.tools.environment import Problem
from course_lib.tools.grade.outside.sandbox import Limits, Sandbox

PRACTICE = "practice"  # the term of whoever names none: its prompts are no secret


def main(parsed: argparse.Namespace) -> int:
    """Score what is missing and write the board; the value is the exit status."""
    try:
        challenge(parsed)
    except (Problem, OSError) as error:
        print(f"course challenge: {error}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("course challenge: stopped; the same command goes on: finished groups are kept.", file=sys.stderr)
        return 1
    return 0


def challenge(parsed: argparse.Namespace) -> None:
    """Run the entries and independent sampling beside them; raises Problem."""
    files = entries(parsed.methods, parsed.board)
    if parsed.groups < 8:
        raise Problem(f"--groups must be at least 8, which the verdict needs, got {parsed.groups}")
    term, out = parsed.seed or PRACTICE, parsed.out
    kind = "none" if parsed.no_sandbox else "bwrap"
    limits = Limits(seconds=parsed.seconds)
    Sandbox(kind, limits).check()
    torch.set_num_threads(1)
    sd, judge = StableDiffusion.load("tiny", device="cpu"), Judge()
    played, found = hidden(term, sd, parsed.groups), []
    for name, path in files.items():
        kept = out / f"{name}.json"
        try:
            text = source(path)
        except Problem as error:
            one = failed(kept, name, term, str(error))
        else:
            box = Box(text, sd, kind, limits)
            one = finished(kept, name, text, term, played, lambda r, s, b=box: b.play(r, STRENGTHS, s), sd, judge)
        found.append(one)
        print(f"{name}: {'scores nothing: ' + one.failed if one.failed else 'scored'}", flush=True)
    write(out, found, parsed.groups)


def failed(kept: Path, name: str, term: str, said: str) -> Scored:
    """An entry whose file is none."""
    one = begun(kept, name, said, term)
    one.failed = said
    keep(kept, one)
    return one


def write(out: Path, found: Sequence[Scored], groups: int) -> None:
    """The board as a table and a page, and the table on the screen."""
    base = next(one for one in found if one.name == BASELINE)
    if base.failed:
        raise Problem(f"Independent sampling itself failed ({base.failed}): please report it")
    rows = board.ordered(found, base, groups)
    (out / "board.csv").write_text(board.table(rows), encoding="utf-8")
    (out / "board.html").write_text(board.page(rows), encoding="utf-8")
    print(board.table(rows))
    print(f"The board is {out / 'board.html'}.")


def entries(methods: Sequence[Path], folder: Path | None) -> dict[str, Path]:
    """Method files by name, independent sampling first; raises Problem where there is none, or two of one name."""
    files = [*methods, *(sorted(folder.glob("*.py")) if folder else ())]
    if folder and not folder.is_dir():
        raise Problem(f"{folder} is no folder of method files")
    if not files:
        raise Problem("Name a method file, or a folder of them with --board")
    found = {BASELINE: shipped()[BASELINE]}
    for path in files:
        if path.resolve() == found[BASELINE].resolve():
            continue
        if path.stem in found:
            raise Problem(f"Two entries are called {path.stem}: rename one")
        found[path.stem] = path
    return found
