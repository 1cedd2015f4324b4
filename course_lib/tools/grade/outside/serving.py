"""Functions served to a student's process, and a student's function asked from here: counted, limited, validated.

Whatever needs a number that a student must not forge uses this: experiments, properties, methods under a budget of
network calls. Inside stands a proxy (inside/proxies.py); only arrays, numbers and texts cross.
"""

import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from course_lib.tools.grade.inside.peer import Closed, Peer
from course_lib.tools.grade.inside.serving import received
from course_lib.tools.grade.inside.wire import Unreadable


@dataclass
class Server(Peer):
    """The trusted side of a conversation with one student's process.

    budget: how many calls of our functions, vector-Jacobian products included, are answered; beyond it every call
    raises there. seconds: how long our side may compute. calls, rows and products count what was asked, by the
    function's number; ended says why the conversation is over ("" while it goes on).
    """

    budget: int = 200_000
    seconds: float = float("inf")
    calls: Counter = field(default_factory=Counter)
    rows: Counter = field(default_factory=Counter)
    products: int = 0
    ended: str = ""
    begun: float = field(default_factory=time.process_time)

    def ask(self, **parts) -> dict:
        """The other side's answer; raises Closed for ever once the conversation has ended."""
        if not self.ended and time.process_time() - self.begun > self.seconds:
            self.ended = "cpu"
        if self.ended:
            raise Closed
        try:
            return super().ask(**parts)
        except Unreadable as error:
            self.ended = str(error)
            raise Closed from None
        except (Closed, OSError):
            self.ended = self.ended or "closed"
            raise Closed from None

    def answer(self, told: dict) -> dict:
        """What is said to a request for one of our functions, which is counted first."""
        if self.asked >= self.budget:
            said = f"the budget of {self.budget:,} calls is spent"
            return {"error": ("RuntimeError", said, "", "")}
        if time.process_time() - self.begun > self.seconds:
            self.ended = "cpu"
            raise Closed
        try:
            self.count(told)
            return super().answer(told)
        except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
            raise Unreadable(type(error).__name__) from None

    def count(self, told: dict) -> None:
        """Count one request."""
        if told["do"] != "call":
            self.products += 1
            return
        number, first = told["op"][1], next(iter(told["args"]), None)
        self.calls[number] += 1
        self.rows[number] += len(first) if getattr(first, "ndim", 0) else 1

    @property
    def asked(self) -> int:
        """Requests so far."""
        return self.calls.total() + self.products

    def calls_of(self, fn: Callable) -> int:
        """How often one of our functions was called."""
        return sum(self.calls[number] for number, known in enumerate(self.functions) if known is fn)


def served(channel: socket.socket, kind: type[Server] = Server, **limits) -> tuple[Server, Callable]:
    """The trusted side of a connection, of this kind, and the student's function; raises Closed where there is none."""
    server = kind(channel.sendall, lambda: received(channel), **limits)
    try:
        told = server.read()
        fn = told["fn"]
        fn._empty_body, fn._id = told["empty"] is True, str(told.get("id", ""))
    except (Unreadable, OSError, KeyError, AttributeError, TypeError):
        raise Closed from None
    return server, fn
