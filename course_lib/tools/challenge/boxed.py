"""One round of a method in the sandbox: its calls are served and counted here, in a process that it never meets."""

import pickle
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from course_lib.challenge import CALLS, Budget, Overspent, Round
from course_lib.exercises.answers import Answer, run
from course_lib.tools.environment import Problem
from course_lib.tools.grade.inside.peer import Closed
from course_lib.tools.grade.inside.wire import only_tensors
from course_lib.tools.grade.outside.incoming import Refused, received
from course_lib.tools.grade.outside.library import modules
from course_lib.tools.grade.outside.measuring import Measured
from course_lib.tools.grade.outside.sandbox import Limits, Sandbox, Worker
from course_lib.tools.grade.outside.serving import Server, served
from course_lib.tools.grade.outside.session import Gone, Reply, ask, wait_until_ready

SECONDS = 20.0  # of a method's own computing in a round


class Failed(Exception):
    """A method made no pictures in a round; the text is one sentence for its author."""


@dataclass
class Purse(Server):
    """A server whose functions cost calls: rows forward, twice as many for each product back; too many are refused."""

    purse: Budget | None = None
    overspent: str = ""

    def answer(self, told: dict) -> dict:
        """What is said to a request, which is paid for first."""
        try:
            if self.purse is not None:
                self.purse.pay(self.price(told))
        except Overspent as error:
            self.overspent = str(error)
            return {"error": ("RuntimeError", str(error), "", "")}
        except (KeyError, IndexError, TypeError, AttributeError):
            pass  # a request of no kind: the server itself says so
        return super().answer(told)

    def price(self, told: dict) -> int:
        """Rows of the batch that is asked for, or whose way back is."""
        if told["do"] == "vjp":
            return 2 * sum(map(len, only_tensors(self.nodes[told["node"]][1])))
        given = only_tensors((told["args"], told.get("kwargs", {})))
        rows = max((len(one) for one in given if one.ndim), default=1)
        return rows if told["do"] == "call" else 3 * rows


@dataclass
class Conversation:
    """Plays one round with a method that is elsewhere, in a thread, as a measurer does for an exercise."""

    round: Round
    sd: object  # a StableDiffusion
    strengths: Sequence[float]
    seed: int
    found: dict[float, Tensor] = field(default_factory=dict)
    said: str = ""

    def begin(self, id: str, channel: socket.socket, seconds: float) -> None:
        """Start over a connection, which is the caller's to close."""
        self.thread = threading.Thread(target=self.guarded, args=(channel.dup(),), daemon=True)
        self.thread.start()

    def end(self, wait: float) -> Measured:
        """When it is over."""
        self.thread.join(wait)
        return Measured(ended="lost" if self.thread.is_alive() else "")

    def guarded(self, channel: socket.socket) -> None:
        with channel:
            try:
                self.converse(channel)
            except Closed:
                self.said = self.said or "it ended before it had answered"

    def converse(self, channel: socket.socket) -> None:
        """Ask for each strength; what fails ends it."""
        server, fn = served(channel, kind=Purse)
        for strength in self.strengths:
            server.purse = Budget(CALLS * len(self.round.x))
            server.ask(do="begin", seed=self.seed)
            answer = run(lambda s=strength: self.asked(fn, s), ())
            self.said = self.sentence(server, answer)
            if self.said:
                return
            try:
                self.found[strength] = self.round.checked(torch.from_numpy(answer.arrays[""].copy()))
            except (ValueError, TypeError, KeyError) as error:
                self.said = str(error).rstrip(".")
                return
        server.ask(do="end")

    def asked(self, fn: Callable, strength: float):
        prompted, unprompted = self.round.denoisers(self.sd)
        return fn(prompted, unprompted, self.round.x.clone(), self.round.levels.clone(), strength)

    def sentence(self, server: Purse, answer: Answer) -> str:
        """What is wrong with an answer, or ""."""
        if server.overspent:
            return server.overspent
        if server.ended:
            return "it ended before it had answered"
        if answer.problem in ("raised", "recursion", "exit", "stub", "missing return", "type", "device"):
            return f"it gave no latents ({answer.problem}: {answer.detail})" if answer.detail else "it gave no latents"
        return ""


def played(process: Worker, source: str, one: Round, sd, strengths: Sequence[float], seed: int, limits: Limits) -> dict:
    """Latents of a round by strength, made by a method's source in a worker; raises Failed, and Gone with the worker.

    seed: of what the method draws itself.
    """
    task = {"id": "16", "name": "method", "modules": modules(), "prelude": "", "call": None, "draws": [], "asked": True}
    task |= {"cells": [source], "place": 0}
    conversation = Conversation(one, sd, strengths, seed)
    reply = ask(process, pickle.dumps(task, protocol=5), limits, conversation, "16")
    if said := problem(reply, conversation, limits):
        raise Failed(said)
    return conversation.found


def problem(reply: Reply, conversation: Conversation, limits: Limits) -> str:
    """The one sentence where a round failed: the limits first, then what the function did, then its file."""
    over = {
        "cpu": f"it computed for more than {limits.seconds:.0f} seconds of its own",
        "wall": f"it did not end within {limits.wall:.0f} seconds",
        "memory": "it used too much memory",
        "files": "it wrote too many files",
        "flood": "it sent too much",
        "stopped": "it stopped itself",
        "killed": "it was killed by the system, as for too much memory or a forbidden call",
    }
    if conversation.said.startswith("the budget"):
        return conversation.said
    if reply.outcome != "ended":
        return over.get(reply.outcome, "it ended its process")
    try:
        first = received(reply.records).answers
    except Refused:
        return "it sent something that is no answer"
    if first and first[0].problem:
        return f"its file does not run ({first[0].problem}: {first[0].detail})".replace(": )", ")")
    if conversation.said or len(conversation.found) < len(conversation.strengths):
        return conversation.said or "it ended before it had answered"
    return ""


class Box:
    """A worker that is started anew where it is lost, for one method file."""

    def __init__(self, source: str, sd, kind: str = "bwrap", limits: Limits | None = None):
        self.source, self.sd = source, sd
        self.limits = limits or Limits(seconds=SECONDS)
        self.sandbox = Sandbox(kind, self.limits, data=())

    def play(self, one: Round, strengths: Sequence[float], seed: int) -> dict[float, Tensor]:
        """Latents by strength; raises Failed, and Problem where no sandbox can be had."""
        with self.sandbox.started() as process:
            try:
                wait_until_ready(process)
            except Gone as gone:
                raise Problem(f"The sandbox does not start ({gone or 'without a word'})") from None
            try:
                return played(process, self.source, one, self.sd, strengths, seed, self.limits)
            except Gone as gone:
                outcome = "wall" if gone.reply.outcome == "wall" else "gone"
                raise Failed(problem(Reply(outcome), Conversation(one, self.sd, (), 0), self.limits)) from None
