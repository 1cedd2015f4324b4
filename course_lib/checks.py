"""What an argument must be, checked once where it enters, and the one sentence that says what it is not.

A check looks at a number, a type or a shape. It never looks at the values of a tensor, for which the host would have to
wait at every step of a sampler, unless its name says so: `finite` does, and belongs where no sampler passes.
"""

import functools
import inspect
import math
import numbers
import types
import typing
from collections.abc import Callable, Iterable

import torch
from torch import Tensor


def _fits(value, hint) -> bool:
    """Whether a value is what an annotation says: a bool is no number, and a string is no list."""
    if hint in (None, type(None)):
        return value is None
    zero_dim = isinstance(value, Tensor) and value.ndim == 0 and value.dtype != torch.bool and not value.is_complex()
    if hint is int:
        whole_tensor = zero_dim and not value.is_floating_point()
        return whole_tensor or (isinstance(value, numbers.Integral) and not isinstance(value, bool))
    if hint is float:
        return zero_dim or (isinstance(value, numbers.Real) and not isinstance(value, bool) and value == value)
    if hint is Tensor:
        return isinstance(value, Tensor) and value.is_floating_point()
    origin = typing.get_origin(hint) or hint
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, one) for one in typing.get_args(hint))
    if origin is Callable or getattr(hint, "_is_protocol", False):
        return callable(value)
    if isinstance(origin, type) and issubclass(origin, Iterable) and origin is not str:
        return isinstance(value, Iterable) and not isinstance(value, str | bytes)
    return not isinstance(origin, type) or isinstance(value, origin)


_WORDS = {int: "a whole number", float: "a number", Tensor: "a tensor of floating-point numbers", str: "a string"}


def _words(hint) -> str:
    """An annotation in words: "a number or a function"."""
    origin = typing.get_origin(hint) or hint
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(_words(one) for one in typing.get_args(hint)))
    if origin is Callable or getattr(hint, "_is_protocol", False):
        return "a function"
    if isinstance(origin, type) and issubclass(origin, Iterable) and hint not in _WORDS:
        return "a list of whole numbers, such as range(4)," if typing.get_args(hint) == (int,) else "a list"
    return "None" if hint in (None, type(None)) else _WORDS.get(hint, getattr(hint, "__name__", str(hint)))


def shown(value) -> str:
    """What was got, short enough for a sentence."""
    if isinstance(value, Tensor):
        return f"a tensor {tuple(value.shape)} of {str(value.dtype).removeprefix('torch.')}"
    text = repr(value)
    return text if len(text) <= 60 and "\n" not in text else f"a {type(value).__name__}"


def typed(function: Callable) -> Callable:
    """The same function, whose arguments must be what their annotations say: a number is no NaN, a tensor has a point.

    Raises ValueError in one sentence that names the function, the argument and what it got. For `__init__` too.
    """
    parameters = inspect.signature(function).parameters
    hints = {name: one.annotation for name, one in parameters.items() if one.annotation is not inspect.Parameter.empty}
    several = [name for name, one in parameters.items() if one.kind is one.VAR_POSITIONAL]
    names = [name for name, one in parameters.items() if one.kind is one.POSITIONAL_OR_KEYWORD]
    owner, _, own = function.__qualname__.rpartition(".")
    title = owner if own in ("__init__", "__call__") else function.__qualname__

    @functools.wraps(function)
    def call(*args, **kwargs):
        given = [*zip(names, args), *kwargs.items(), *((name, one) for name in several for one in args[len(names) :])]
        for name, value in given:
            if name in hints and not _fits(value, hints[name]):
                raise ValueError(f"{title}: {name} must be {_words(hints[name])}, got {shown(value)}.")
        return function(*args, **kwargs)

    return call


def whole(value, name: str, low: float = 0, high: float = math.inf) -> int:
    """A whole number from low to high; `name` is the function and its argument, as in "karras: T"."""
    if not _fits(value, int) or not low <= value <= high:
        limits = f"of at least {low}" if high == math.inf else f"between {low} and {high}"
        raise ValueError(f"{name} must be a whole number {limits}, got {shown(value)}.")
    return int(value)


def number(
    value,
    name: str,
    low: float = -math.inf,
    above: float = -math.inf,
    high: float = math.inf,
    infinite: bool = False,
) -> float:
    """A number of at least `low`, more than `above` and at most `high`, finite unless it may be infinite."""
    good = isinstance(value, numbers.Real | Tensor) and _fits(value, float) and not math.isnan(float(value))
    good = good and (infinite or math.isfinite(float(value)))
    if not (good and float(value) >= low and float(value) > above and float(value) <= high):
        limits = [f"of at least {low:g}"] if low > -math.inf else [f"above {above:g}"] if above > -math.inf else []
        limits += [f"up to {high:g}"] if high < math.inf else []
        kind = "number" if infinite else "finite number"
        raise ValueError(f"{name} must be a {kind} {' and '.join(limits)}".rstrip() + f", got {shown(value)}.")
    return float(value)


def shaped(x, name: str, shape: str, ndim: int, d: int | None = None, least: int = 1) -> Tensor:
    """A floating-point tensor of `ndim` axes, the last of size d if given, the first of `least` or more rows."""
    good = _fits(x, Tensor) and x.ndim == ndim and len(x) >= least and 0 not in x.shape[1:]
    if not good or (d is not None and x.shape[-1] != d):
        rows = f" with N >= {least}" if least else ""
        raise ValueError(f"{name} must be a tensor {shape} of floating-point numbers{rows}, got {shown(x)}.")
    return x


def numeric(values, name: str, dtype: torch.dtype | None = None) -> Tensor:
    """torch.as_tensor for a tensor, an array, a number or a list of real numbers; a string, None or True is none."""
    try:
        x = torch.as_tensor(values)
        if not x.is_complex() and not isinstance(values, bool):
            values = x.cpu() if x.device.type != "cpu" and dtype == torch.float64 else values  # not all devices have it
            return torch.as_tensor(values, dtype=dtype)
    except (TypeError, ValueError, RuntimeError):
        pass
    raise ValueError(f"{name} must be a tensor or a list of real numbers, got {shown(values)}.")


def finite(x: Tensor, name: str) -> Tensor:
    """A tensor without NaN and infinity. Looking makes the host wait, so no step of a sampler may ask."""
    if not x.isfinite().all():
        raise ValueError(f"{name} must be finite, but {int((~x.isfinite()).sum())} of its values are not.")
    return x


def points(x: Tensor, name: str, least: int = 1) -> Tensor:
    """Finite points (N, d) in float32 or float64, which nearest neighbours and decompositions need."""
    shaped(x, name, "(N, d)", 2, least=least)
    if x.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"{name} must be of float32 or float64, got {shown(x)}.")
    return finite(x, name)


def gradients_allowed(function: str, *tensors: Tensor) -> None:
    """Raises ValueError in torch.inference_mode, or for a tensor made there: neither can carry a gradient."""
    if torch.is_inference_mode_enabled() or any(isinstance(x, Tensor) and x.is_inference() for x in tensors):
        raise ValueError(
            f"{function}: takes gradients inside, which torch.inference_mode() rules out; use torch.no_grad() instead."
        )


def prompts(text: str | list[str]) -> list[str]:
    """One or several prompts as a list; raises ValueError for anything else."""
    texts = [text] if isinstance(text, str) else text
    if not (isinstance(texts, list | tuple) and texts and all(isinstance(one, str) for one in texts)):
        raise ValueError(f"embed: text must be a string or a list of strings, not empty, got {shown(text)}.")
    return list(texts)


def one_each(embeddings: Tensor, N: int, name: str) -> Tensor:
    """Embeddings of one prompt or of N, (1 or N, ...) -> (N, ...); raises ValueError for another number."""
    if len(embeddings) not in (1, N):
        raise ValueError(f"{name}: {len(embeddings)} prompts for {N} particles; give one, or one each.")
    return embeddings.expand(N, *embeddings.shape[1:])
