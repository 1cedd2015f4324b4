"""Running a learner's function: what it returns becomes arrays, and whatever goes wrong becomes an answer too.

Nothing here knows a reference or an exercise, so that the same code serves where the references must not be.
"""

import contextlib
import functools
import inspect
import io
import linecache
import random
import sysconfig
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

_LEAVES = 64  # more separate things than any exercise returns
_NOT_THE_LEARNERS = (
    str(Path(__file__).parents[1]),
    *map(sysconfig.get_path, ("stdlib", "purelib", "platlib")),
    "<frozen",
)
NUMBERS = ("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")
NUMBERS += ("float16", "bfloat16", "float32", "float64", "complex64", "complex128")
_DENSE = 2_000_000  # numbers that a sparse tensor may become
_EMPTY = {f.__code__.co_code for f in (lambda: None, lambda x: None)}


def _nothing():
    """With a docstring the compiled body differs."""


_EMPTY.add(_nothing.__code__.co_code)


@dataclass(frozen=True)
class Answer:
    """What a function returned: arrays by path ("" alone, "0", "1" in a tuple, keys in a dict), and their types.

    types say "tensor", "array", "number" or "text". problem is "" or one of stub, missing return, raised, recursion,
    exit, type, device, mutated; detail is its text, and only "mutated" comes with arrays. container names the type of
    the whole.
    """

    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    problem: str = ""
    detail: str = ""
    container: str = ""


class _Sink(io.TextIOBase):
    """Swallows what a learner's function prints."""

    def write(self, text: str) -> int:
        return len(text)


@contextlib.contextmanager
def isolated(seed: int) -> Iterator[None]:
    """Fixed randomness, float64, CPU, gradients on, nothing printed; every setting and random state is put back."""
    dtype, device = torch.get_default_dtype(), torch.empty(0).device
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()
    gpu = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    try:
        torch.set_default_dtype(torch.float64)
        if device.type != "cpu":
            torch.set_default_device("cpu")
        torch.default_generator.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        with contextlib.ExitStack() as stack:
            for context in (torch.inference_mode(False), warnings.catch_warnings(record=True)):
                stack.enter_context(context)
            stack.enter_context(np.errstate(all="ignore"))
            stack.enter_context(contextlib.redirect_stdout(_Sink()))
            stack.enter_context(contextlib.redirect_stderr(_Sink()))
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_default_dtype(dtype)
        if device.type != "cpu":
            torch.set_default_device(device)
        torch.set_rng_state(states[0])
        random.setstate(states[1])
        np.random.set_state(states[2])
        if gpu is not None:
            torch.cuda.set_rng_state_all(gpu)


def copied(inputs):
    """A copy of an exercise's inputs that shares no memory; raises TypeError for anything that is not data."""
    if isinstance(inputs, torch.Tensor):
        return inputs.detach().clone()
    if isinstance(inputs, (tuple, list)):
        return type(inputs)(map(copied, inputs))
    if inputs is None or type(inputs) in (bool, int, float, str):
        return inputs
    raise TypeError(
        f"inputs must be tensors, numbers and strings, got {type(inputs).__name__}; make the rest in `call`."
    )


def same(a, b) -> bool:
    """Whether two inputs are the same, bit for bit."""
    if isinstance(a, torch.Tensor):
        if a.shape != b.shape or a.dtype != b.dtype:
            return False
        return a.detach().numpy().tobytes() == b.detach().numpy().tobytes()
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def run(fn: Callable, inputs: tuple, call: Callable | None = None, seed: int = 0) -> Answer:
    """The Answer of fn, or of `call` with fn, to a copy of the inputs; only Ctrl-C comes through."""
    returned = []

    @functools.wraps(fn, updated=())
    def watched(*args, **kwargs):
        returned.append(fn(*args, **kwargs))
        return returned[-1]

    with isolated(seed):
        given = copied(inputs)
        try:
            value = call(watched, *given) if call else fn(*given)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            if call and returned and (returned[-1] is None or returned[-1] is ...):
                return _returned_nothing(fn, returned[-1])
            return failure(error)
        if value is None or value is ...:
            return _returned_nothing(fn, value)
        answer = _collect(value)
        if not answer.problem and not same(tuple(inputs), given):
            return replace(answer, problem="mutated")
    return answer


def _returned_nothing(fn: Callable, value) -> Answer:
    """None from an empty body, or `...`, is a stub; any other None is a forgotten return."""
    return Answer(problem="stub" if value is ... or is_empty(fn) else "missing return")


def is_empty(fn: Callable) -> bool:
    """Whether a function has no body; one that runs elsewhere was asked there, and carries the answer."""
    fn = inspect.unwrap(fn)
    code = getattr(fn, "__code__", None)
    return getattr(fn, "_empty_body", None) is True or (code is not None and code.co_code in _EMPTY)


def failure(error: BaseException) -> Answer:
    """The answer that an exception is; one that was raised elsewhere carries it."""
    if type(getattr(error, "answer", None)) is Answer and error.answer.problem:
        return error.answer
    try:
        text = " ".join(str(error).split())[:200].rstrip(".")
    except Exception:
        text = "(its message cannot be read)"
    from_torch = "not implemented for" in text or "Could not run" in text
    if isinstance(error, NotImplementedError) and not from_torch:
        return Answer(problem="stub")
    if isinstance(error, RecursionError):
        return Answer(problem="recursion")
    if isinstance(error, (SystemExit, GeneratorExit)):
        return Answer(problem="exit", detail=type(error).__name__)
    detail = type(error).__name__ + (f": {text}" if text else "")
    return Answer(problem="raised", detail=detail + _where(error))


def _where(error: BaseException) -> str:
    """The learner's own line that an exception passed last, or nothing."""
    place, frame = "", error.__traceback__
    while frame is not None:
        filename = frame.tb_frame.f_code.co_filename
        if not filename.startswith(_NOT_THE_LEARNERS):
            line = linecache.getline(filename, frame.tb_lineno).strip()
            place = f", in line {frame.tb_lineno}" + (f": {line[:100]}" if line else "")
        frame = frame.tb_next
    return place


class _Unusable(Exception):
    """A returned value that cannot become arrays: args are the problem and its detail."""


def _collect(value) -> Answer:
    """The arrays in a returned value; types are read with type(), so that no object can answer for itself."""
    arrays, types = {}, {}
    try:
        for path, item in _leaves(value, ""):
            if len(arrays) == _LEAVES:
                raise _Unusable("type", f"more than {_LEAVES} separate things (put numbers in a tensor)")
            arrays[path], types[path] = _leaf(item)
    except _Unusable as bad:
        return Answer(problem=bad.args[0], detail=bad.args[1])
    except Exception:  # of a tensor that PyTorch itself cannot read
        return Answer(problem="type", detail=f"{type(value).__name__} that cannot be read")
    return Answer(arrays, types, container=type(value).__name__)


def _leaves(value, path: str, depth: int = 0) -> Iterator[tuple[str, object]]:
    """What a value holds, with the path to it."""
    kind = type(value)
    if not issubclass(kind, tuple | list | dict) or depth > 4:
        yield path, value
        return
    if issubclass(kind, dict):
        entries = dict.items(value)
    else:
        entries = enumerate(tuple.__iter__(value) if issubclass(kind, tuple) else list.__iter__(value))
    for key, item in entries:
        yield from _leaves(item, f"{path}.{key}" if path else str(key), depth + 1)


def _leaf(item) -> tuple[np.ndarray, str]:
    """The array and the type of one thing; raises _Unusable for what is no array."""
    kind = type(item)
    if kind in (torch.Tensor, torch.nn.Parameter):
        item = item.detach()
        if item.device.type != "cpu":
            raise _Unusable("device", str(item.device))
        if rare(item):
            raise _Unusable("type", rare(item))
        item = item.to_dense() if item.layout != torch.strided else item
        item = item.float() if item.dtype == torch.bfloat16 else item
        return item.resolve_conj().resolve_neg().numpy().copy(), "tensor"
    if kind is np.ndarray and item.dtype.kind in "biufc":
        return item.copy(), "array"
    if kind in (bool, float, complex) or issubclass(kind, np.number | np.bool_):
        return np.asarray(item), "number"
    if kind is int:
        return np.asarray(item if abs(item) < 2**62 else float("inf")), "number"
    if kind is str:
        return np.asarray(item[:1000]), "text"
    raise _Unusable("type", kind.__name__)


def rare(tensor: torch.Tensor) -> str:
    """What a tensor is called that holds no plain numbers: "float8_e4m3fn tensor", "sparse tensor"; "" for others."""
    if tensor.is_nested:
        return "nested tensor"
    if tensor.layout != torch.strided and tensor.numel() > _DENSE:
        return "sparse tensor"
    if tensor.is_quantized:
        return "quantized tensor"
    name = str(tensor.dtype).removeprefix("torch.")
    return "" if name in NUMBERS else f"tensor of {name}"
