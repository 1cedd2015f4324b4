"""Values on the wire between a student's process and a trusted one: data and names of functions, never pickles.

A message is two lengths, a header in JSON and the bytes of its arrays. The same code writes and reads on both sides;
the reader takes any bytes for what they are, and raises Unreadable, and nothing else, for whatever is no message.
"""

import json
import math
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from course_lib.exercises.answers import NUMBERS, rare

LENGTHS = struct.Struct(">II")  # bytes of the header, bytes of all arrays
MOST = 64_000_000  # bytes of one message
HEADER = 1_000_000
_ARRAY = re.compile(r"\|[biu]1|<[iu][248]|<f(?:2|4|8|16)|<c(?:8|16|32)")
_AXES, _DEEP, _WHOLE, _LONG = 8, 20, 2**63, 4000


class Unreadable(Exception):
    """These bytes are no message; the text says why, in a few words."""


class NoData(TypeError):
    """A value that cannot cross: neither data nor a function."""


@dataclass(frozen=True)
class Function:
    """A function on the wire: its number, and whether it is the reader's own that comes back."""

    number: int
    yours: bool


@dataclass
class Writer:
    """Makes one message; `number` gives the Function of whatever can be called."""

    number: Callable[[object], Function]

    def message(self, **parts) -> bytes:
        """The message with these parts."""
        self.buffers: list[bytes] = []
        header = json.dumps({name: self.tree(value) for name, value in parts.items()}).encode()
        body = b"".join(self.buffers)
        if len(body) > MOST or len(header) > HEADER:
            raise NoData(f"{len(body) + len(header):,} bytes are too many for one call: {MOST:,} may cross")
        return LENGTHS.pack(len(header), len(body)) + header + body

    def tree(self, value, deep: int = 0):
        """A value in JSON's terms; its arrays go into the buffers."""
        kind = type(value)
        if value is None or kind in (bool, float) or (kind is int and abs(value) < _WHOLE):
            return value
        if kind is str:
            return value[:1000].encode("utf-8", "replace").decode()
        if deep == _DEEP:
            return ["opaque", "a deeper nest than anybody reads"]
        if issubclass(kind, tuple | list):
            items = tuple.__iter__(value) if issubclass(kind, tuple) else list.__iter__(value)
            return ["tuple" if issubclass(kind, tuple) else "list", *(self.tree(one, deep + 1) for one in items)]
        if issubclass(kind, dict):
            return ["dict", *([self.tree(k, deep + 1), self.tree(v, deep + 1)] for k, v in dict.items(value))]
        if kind in (torch.Tensor, torch.nn.Parameter):
            return self.tensor(value)
        if kind is np.ndarray and _ARRAY.fullmatch(value.dtype.str):
            return ["array", value.dtype.str, list(value.shape), self.kept(value.tobytes())]
        return self.other(value, kind)

    def tensor(self, value: torch.Tensor):
        """A tensor, in C order; one without numbers of its own, or of a rare type, as an opaque thing."""
        name = str(value.dtype).removeprefix("torch.")
        grad, value = value.requires_grad, value.detach()
        if value.device.type == "meta":
            return ["meta"]
        if value.device.type != "cpu" or rare(value):
            return ["opaque", rare(value) or f"tensor on {value.device.type}"]
        value = value.to_dense() if value.layout != torch.strided else value
        value = value.resolve_conj().resolve_neg().contiguous()
        data = value.view(torch.int16) if name == "bfloat16" else value
        return ["tensor", name, list(value.shape), grad, self.kept(data.numpy().tobytes())]

    def other(self, value, kind: type):
        """Numbers of NumPy, complex ones, types, generators and functions; all else by the name of its type."""
        if kind is int and value.bit_length() < _LONG:
            return ["whole", hex(value)]
        if kind is complex:
            return ["complex", value.real, value.imag]
        if issubclass(kind, np.number | np.bool_) and _ARRAY.fullmatch(value.dtype.str):
            return ["scalar", value.dtype.str, [], self.kept(value.tobytes())]
        if kind is torch.dtype:
            return ["dtype", str(value).removeprefix("torch.")]
        if kind is torch.Generator:
            return ["generator", self.kept(value.get_state().numpy().tobytes())]
        if value is ...:
            return ["..."]
        if callable(value) and not isinstance(value, type):
            found = self.number(value)
            return ["function", found.number, not found.yours]
        return ["opaque", kind.__name__[:40]]

    def kept(self, data: bytes) -> int:
        """Keep the bytes of an array; how many they are."""
        self.buffers.append(data)
        return len(data)


@dataclass
class Reader:
    """Reads one message; `function` gives what stands for a Function."""

    function: Callable[[Function], Callable]

    def message(self, header: bytes, body: bytes) -> dict:
        """The parts of a message."""
        self.body, self.at = body, 0
        try:
            told = json.loads(header)
            if type(told) is not dict:
                raise Unreadable("no parts")
            parts = {name: self.value(tree) for name, tree in told.items()}
        except (ValueError, TypeError, KeyError, IndexError, RecursionError, OverflowError, RuntimeError) as error:
            raise Unreadable(type(error).__name__) from None
        if self.at != len(body):
            raise Unreadable("bytes that nobody asked for")
        return parts

    def value(self, tree):
        """The value that a tree stands for."""
        if tree is None or type(tree) in (bool, int, float, str):
            return tree
        kind, *rest = tree
        if kind in ("tuple", "list"):
            return (tuple if kind == "tuple" else list)(map(self.value, rest))
        if kind == "dict":
            return {self.value(key): self.value(value) for key, value in rest}
        return self.leaf(kind, rest)

    def leaf(self, kind: str, rest: list):
        """A value that is no nest."""
        if kind == "tensor":
            return self.tensor(*rest)
        if kind in ("array", "scalar"):
            descr, shape, size = rest
            if not _ARRAY.fullmatch(descr):
                raise Unreadable("an array of something else than numbers")
            found = self.numbers(np.dtype(descr), shape, size)
            return found if kind == "array" else found[()]
        if kind == "function":
            number, mine = rest
            if type(number) is not int or type(mine) is not bool:
                raise Unreadable("a function without a number")
            return self.function(Function(number, mine))
        if kind == "generator":
            (size,) = rest
            return torch.Generator().set_state(torch.tensor(list(self.taken(size)), dtype=torch.uint8))
        (first,) = rest[:1] or (None,)
        return simple(kind, first, rest)

    def tensor(self, name: str, shape: list, grad: bool, size: int) -> torch.Tensor:
        """A tensor with memory of its own, which asks for gradients as the one outside does."""
        if name not in NUMBERS:
            raise Unreadable("a tensor of something else than numbers")
        dtype = np.dtype("int16" if name == "bfloat16" else name)
        found = torch.from_numpy(self.numbers(dtype, shape, size))
        found = found.view(torch.bfloat16) if name == "bfloat16" else found
        return found.requires_grad_() if grad is True and (found.is_floating_point() or found.is_complex()) else found

    def numbers(self, dtype: np.dtype, shape: list, size: int) -> np.ndarray:
        """The next array, as long as it says."""
        if len(shape) > _AXES or not all(type(n) is int and 0 <= n <= MOST for n in shape):
            raise Unreadable("no shape")
        data = self.taken(size)
        if math.prod(shape) * dtype.itemsize != len(data):
            raise Unreadable("an array that is not as long as it says")
        if dtype.kind == "b" and any(data.translate(None, b"\0\1")):
            raise Unreadable("neither true nor false")
        return np.frombuffer(data, dtype).reshape(shape).copy()

    def taken(self, size: int) -> bytes:
        """The next bytes of the body."""
        if type(size) is not int or not 0 <= size <= len(self.body) - self.at:
            raise Unreadable("an array that is cut off")
        self.at += size
        return self.body[self.at - size : self.at]


def simple(kind: str, first, rest: list):
    """A value that needs no bytes."""
    if kind == "complex" and all(type(part) is float for part in rest):
        return complex(*rest)
    if kind == "whole" and type(first) is str and len(first) < _LONG:
        return int(first, 16)
    if kind == "dtype" and first in NUMBERS:
        return getattr(torch, first)
    if kind == "...":
        return ...
    if kind == "meta":
        return torch.empty(0, device="meta")
    if kind == "opaque" and type(first) is str:
        return type(re.sub(r"[^\w. ]", "?", first)[:40], (), {})()
    raise Unreadable("a value of no kind")


def tensors(value) -> Iterator[torch.Tensor | torch.Generator]:
    """The tensors and generators in a value, in the order in which they are written."""
    kind = type(value)
    if kind in (torch.Tensor, torch.nn.Parameter, torch.Generator):
        yield value
    elif issubclass(kind, tuple | list | dict):
        for one in dict.values(value) if issubclass(kind, dict) else value:
            yield from tensors(one)


def only_tensors(value) -> list[torch.Tensor]:
    """The tensors in a value."""
    return [one for one in tensors(value) if isinstance(one, torch.Tensor)]
