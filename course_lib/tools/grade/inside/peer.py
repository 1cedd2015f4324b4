"""One side of a conversation: it asks the other for its functions, and answers for its own while it waits.

Both sides, the student's process and a trusted one, are a Peer; what crosses is data, never pickles (wire.py).
"""

import builtins
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from course_lib.exercises.answers import Answer, failure, same
from course_lib.tools.grade.inside.proxies import Request
from course_lib.tools.grade.inside.wire import Function, NoData, Reader, Unreadable, Writer, only_tensors, tensors

MOST_FUNCTIONS = 10_000
_WITH_MORE = (UnicodeDecodeError, UnicodeEncodeError, UnicodeTranslateError, ExceptionGroup)  # than a text


class Closed(Exception):
    """The other side is gone."""


@dataclass
class Peer:
    """One side of a conversation.

    send and receive carry whole messages; notice: tell the caller what a function of ours has changed in its arguments.
    """

    send: Callable[[bytes], None]
    receive: Callable[[], tuple[bytes, bytes]]
    notice: bool = False
    functions: list = field(default_factory=list)
    nodes: dict[int, tuple[list, list]] = field(default_factory=dict)
    released: list[int] = field(default_factory=list)
    proxies: dict[int, Callable] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    made: int = 0

    def ask(self, **parts) -> dict:
        """The other side's answer; raises what it raised."""
        with self.lock:
            self.write(**parts)
            while "do" in (told := self.read()):
                self.write(**self.answer(told))
        if "error" in told:
            raise raised(*told["error"])
        return told

    def write(self, **parts) -> None:
        """Send one message, and which graphs are no longer needed."""
        gone, self.released = self.released, []
        self.send(Writer(self.number).message(**parts, released=gone))

    def read(self) -> dict:
        """The next message."""
        told = Reader(self.function).message(*self.receive())
        for node in told.pop("released", ()):
            self.nodes.pop(node, None)
        return told

    def number(self, fn) -> Function:
        """The number of a function that is handed over, or handed back."""
        number = getattr(fn, "_number_of_proxy", None)
        if type(number) is int and self.proxies.get(number) is fn:
            return Function(number, False)
        for number, known in enumerate(self.functions):
            if known is fn:
                return Function(number, True)
        if len(self.functions) == MOST_FUNCTIONS:
            raise NoData(f"more than {MOST_FUNCTIONS:,} functions")
        self.functions.append(fn)
        return Function(len(self.functions) - 1, True)

    def function(self, told: Function) -> Callable:
        """What stands for a function of a message: our own, or a proxy of theirs, always the same."""
        if told.yours:
            if not 0 <= told.number < len(self.functions):
                raise Unreadable("a function that there is not")
            return self.functions[told.number]
        if told.number not in self.proxies:

            def proxy(*args, **kwargs):
                return Request(self, {"do": "call", "op": ("call", told.number)}, args, kwargs).result()

            proxy._number_of_proxy = told.number
            self.proxies[told.number] = proxy
        return self.proxies[told.number]

    def answer(self, told: dict) -> dict:
        """What is said to a request: a value, or what was raised."""
        try:
            return {"vjp": self.vjp, "again": self.anew}.get(told["do"], self.call)(told)
        except (Unreadable, Closed):
            raise
        except BaseException as error:
            return {"error": described(error)}

    def call(self, told: dict) -> dict:
        """Run one of our functions."""
        args, kwargs, fn = told["args"], told["kwargs"], self.functions[told["op"][1]]
        given = list(tensors((args, kwargs)))
        before = [kept(one) for one in given] if self.notice else []
        with torch.set_grad_enabled(told["grad"] is True):
            value = fn(*args, **kwargs)
        changes = [(at, kept(one)) for at, (one, old) in enumerate(zip(given, before)) if changed(one, old)]
        reply = {"value": value, "changes": changes}
        return reply | self.graph(only_tensors(given), value)

    def graph(self, inputs: list, value) -> dict:
        """Keep what backward will need: the number under which it is kept, or None."""
        outputs = only_tensors(value)
        asked = any(one.requires_grad for one in inputs) and any(one.requires_grad for one in outputs)
        if not asked:
            return {"node": None}
        self.made += 1
        self.nodes[self.made] = (inputs, outputs)
        return {"node": self.made}

    def vjp(self, told: dict) -> dict:
        """The vector-Jacobian product of one of our calls, which can be differentiated where that is asked for."""
        inputs, outputs = self.nodes[told["node"]]
        value = product(inputs, outputs, told["args"], told["grad"] is True)
        return {"value": value, "changes": []} | self.graph([*inputs, *told["args"]], value)

    def anew(self, told: dict) -> dict:
        """A product without a kept graph: the function runs anew, which torch.vmap needs for its slices."""
        value = self.evaluated(told["op"], told["args"], told["grad"] is True)
        return {"value": value, "changes": []} | self.graph(only_tensors(told["args"]), value)

    def evaluated(self, op: tuple, args: tuple, create: bool):
        """One of our functions, ("call", number), or the product of such an operation, ("product", operation)."""
        if op[0] == "call":
            with torch.enable_grad():
                return self.functions[op[1]](*args[0], **args[1])
        inner, cotangents = args
        outputs = only_tensors(self.evaluated(op[1], inner, True))
        return product(only_tensors(inner), outputs, cotangents, create)


def product(inputs: list, outputs: list, cotangents: tuple, create: bool) -> list[torch.Tensor]:
    """The vector-Jacobian product for each of the inputs: zeros where nothing depends on one."""
    asked = [one for one in inputs if one.requires_grad]
    with torch.enable_grad():
        pairs = [(out, cot) for out, cot in zip(outputs, cotangents, strict=True) if out.requires_grad]
        total = sum((out * cot.conj()).sum().real for out, cot in pairs)  # with cotangents torch would load sympy
        found = torch.autograd.grad(total, asked, allow_unused=True, retain_graph=True, create_graph=create)
    found = iter(found)
    value = [next(found) if one.requires_grad else None for one in inputs]
    return [torch.zeros_like(one) if grad is None else grad for one, grad in zip(inputs, value)]


def kept(one):
    """A copy of a tensor or a generator."""
    if isinstance(one, torch.Generator):
        return torch.Generator().set_state(one.get_state())
    return one.detach().clone().requires_grad_(one.requires_grad and one.is_leaf)


def changed(one, old) -> bool:
    """Whether a function has changed a tensor's numbers, form or flag, or drawn from a generator."""
    if isinstance(one, torch.Generator):
        return not torch.equal(one.get_state(), old.get_state())
    return not same(one, old) or (one.is_leaf and one.requires_grad != old.requires_grad)


def described(error: BaseException) -> tuple:
    """An exception as data: a built-in type, its text, and the answer that it is."""
    base = next(kind for kind in type(error).__mro__ if vars(builtins).get(kind.__name__) is kind)
    found = failure(error)
    return base.__name__, found.detail.partition(": ")[2][:300], found.problem, found.detail


def raised(base: str, text: str, problem: str, detail: str) -> Exception:
    """The exception to raise for one that was raised on the other side."""
    kind = vars(builtins).get(base)
    usual = isinstance(kind, type) and issubclass(kind, Exception) and kind not in _WITH_MORE
    error = (kind if usual else RuntimeError)(text)
    error.answer = Answer(problem=problem, detail=detail)
    return error
