"""Scores of one entry on a term's hidden rounds, a group at a time, each kept as soon as it is there."""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from course_lib.challenge import STEPS, STRENGTHS, Judge, Round, rounds, scores
from course_lib.tools.challenge.boxed import Failed
from course_lib.tools.environment import Problem
from course_lib.tools.grade.marked.result import fingerprint
from course_lib.tools.grade.outside.plan import hashed

Play = Callable[[Round, int], dict[float, Tensor]]  # a round and a seed to latents by strength; raises Failed


@dataclass
class Scored:
    """What is known of an entry: scores [group][strength][spread, fit, quality], or why it scores nothing."""

    name: str
    digest: str
    term: str
    groups: list = field(default_factory=list)
    failed: str = ""

    def scores(self, groups: int) -> Tensor:
        """(groups, strengths, 3); zeros where the entry scores nothing."""
        if self.failed:
            return torch.zeros(groups, len(STRENGTHS), 3, dtype=torch.float64)
        return torch.tensor(self.groups[:groups], dtype=torch.float64)


def hidden(term: str, sd, groups: int) -> list[Round]:
    """The rounds of a term: prompts, starts and frames that nobody knows who does not know its seed."""
    generator = torch.Generator().manual_seed(hashed(f"{term} challenge"))
    return rounds(groups, generator, sd.levels(STEPS), shape=sd.shape)


def begun(path: Path, name: str, text: str, term: str) -> Scored:
    """What an earlier run left of the same file in the same term, or a new one; raises Problem for another term's."""
    new = Scored(name, hashlib.sha256(text.encode()).hexdigest(), fingerprint(term))
    try:
        old = Scored(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return new
    if old.term != new.term:
        raise Problem(f"{path.parent} holds scores of another term: name a new folder with --out")
    return old if old.digest == new.digest else new


def keep(path: Path, scored: Scored) -> None:
    """Write what is known, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mine = path.with_name(f".{path.name}.{os.getpid()}")
    mine.write_text(json.dumps(asdict(scored)), encoding="utf-8")
    mine.replace(path)


def finished(path: Path, name: str, text: str, term: str, played: list[Round], play: Play, sd, judge: Judge) -> Scored:
    """An entry's scores, of which only the missing groups are made; a failed one is not tried again."""
    scored = begun(path, name, text, term)
    for g in range(len(scored.groups), len(played)):
        if scored.failed:
            break
        one = played[g]
        try:
            made = play(one, hashed(f"{term} {g}") % 2**31)
            seen = [judge(one.pictures(sd, made[s]), one.prompt) for s in STRENGTHS]
        except Failed as error:
            scored.failed, scored.groups = str(error), []
        else:
            scored.groups.append([scores(each, one.prompt).tolist() for each in seen])
        keep(path, scored)
    return scored
