"""The seed of a term: made by the tool unless one is given, kept where only its owner reads it."""

import math
import os
import re
import secrets
from pathlib import Path

from course_lib.tools.environment import Problem

FILE = "seed.txt"
BITS = 64.0  # what cannot be tried out: two million million guesses a second would take a hundred days
GUESSABLE = "This --seed could be guessed, and with it the hidden inputs: leave --seed out, and one is made for you."
WORD, YEAR = 12.0, 7.0  # bits of a word of a dictionary, and of a year or another short number


def bits(text: str) -> float:
    """A generous estimate of how many bits a person who knows its pattern must guess, less than ten a sign."""
    total = 0.0
    for part in re.findall(r"[^\W\d_]+|\d+|[^\w\s]+", text):
        if part.isdigit():
            total += min(YEAR, len(part) * math.log2(10)) if len(part) <= 4 else len(part) * math.log2(10)
        elif part.isalpha():
            total += min(WORD, len(part) * math.log2(26))
    return total


def guessable(text: str) -> bool:
    """Whether a seed could be found from the feedback that it leads to, by trying."""
    mixed = re.fullmatch(r"[0-9a-f]{16,}|[A-Za-z0-9_-]{20,}", text) and re.search(r"\d\D+\d\D+\d", text)
    return not mixed and bits(text) < BITS


def generated() -> str:
    """A seed that nobody can guess."""
    return secrets.token_hex(16)


def seed_for(out: Path, given: str | None) -> tuple[str, list[str]]:
    """The seed of the results in a folder, and what to say of it; raises Problem where another one is given."""
    path = out / FILE
    kept = path.read_text(encoding="utf-8").strip() if path.exists() else ""
    if given is None and kept:
        return kept, [f"The seed is the one in {path}."]
    if given is None:
        return generated(), [f"A seed was made, which decides the hidden inputs: it is kept in {path}, for you alone."]
    if kept and given != kept:
        raise Problem(f"{out} was begun with another --seed: leave it out, or choose another folder with --out")
    return given, [GUESSABLE] if guessable(given) else []


def keep(out: Path, seed: str) -> None:
    """Write the seed where only its owner can read it, if it is not there."""
    path = out / FILE
    if not path.exists():
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(handle, "w", encoding="utf-8") as file:
            file.write(f"{seed}\n")
