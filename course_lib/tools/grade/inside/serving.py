"""Inside the sandbox: a student's function, called from outside, one request at a time."""

import contextlib
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

from course_lib.exercises.answers import is_empty, isolated
from course_lib.tools.grade.inside.peer import Closed, Peer
from course_lib.tools.grade.inside.wire import HEADER, LENGTHS, MOST, Unreadable


@dataclass
class Inside(Peer):
    """The student's side: before each draw randomness and settings are as `run` makes them."""

    draw: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def answer(self, told: dict) -> dict:
        """What is said to a request; "begin" begins a draw, "end" is the last."""
        if told["do"] not in ("begin", "end"):
            return super().answer(told)
        self.draw.close()
        if told["do"] == "begin":
            self.draw.enter_context(isolated(told["seed"]))
        return {"value": None, "changes": [], "node": None}


def serve(fn: Callable, handle: int) -> None:
    """Answer what is asked of a function until the other side has had enough."""
    with socket.socket(fileno=handle) as channel, contextlib.suppress(Closed, OSError):
        converse(fn, channel)


def converse(fn: Callable, channel: socket.socket, id: str = "") -> None:
    """Answer what is asked of a function until the other side says "end"; id: the exercise, where there are several."""
    me = os.getpid()

    def send(message: bytes) -> None:
        if os.getpid() != me:  # a copy that the student's code forked
            os._exit(0)
        channel.sendall(message)

    peer = Inside(send, lambda: received(channel), notice=True)
    with peer.draw:
        peer.write(fn=fn, empty=is_empty(fn), id=id)
        told = {"do": ""}
        while told["do"] != "end":
            told = peer.read()
            peer.write(**peer.answer(told))


def received(channel: socket.socket) -> tuple[bytes, bytes]:
    """The header and the body of the next message; raises Closed where there is none."""
    sizes = LENGTHS.unpack(exactly(channel, LENGTHS.size))
    if sizes[0] > HEADER or sizes[1] > MOST:
        raise Unreadable("too much of it")
    message = exactly(channel, sum(sizes))
    return message[: sizes[0]], message[sizes[0] :]


def exactly(channel: socket.socket, size: int) -> bytes:
    """That many bytes of a connection."""
    parts = []
    while size:
        try:
            part = channel.recv(min(size, 1 << 20))
        except ConnectionError:
            part = b""
        if not part:
            raise Closed
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
