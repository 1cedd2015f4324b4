"""What of the library takes tensors, found by looking: public functions, and public methods of public classes."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable

import course_lib

APART = ("tools", "exercises", "plots")  # commands, a student's answers on the CPU, figures
TAKES = re.compile(
    r"\b(Tensor|Denoiser|Potential|Kernel|Feature|Loss|Step|Set|Blocks|Factors|Embedding|Text|GaussianStatistics|Scale)\b"
)


def modules() -> list:
    """Every module of the library but those that are apart."""
    names = [one.name for one in pkgutil.walk_packages(course_lib.__path__, "course_lib.")]
    return [importlib.import_module(name) for name in names if name.split(".")[1] not in APART]


def takes_tensors(function: Callable) -> bool:
    """Whether an argument's annotation names a tensor, or something that is made of tensors or takes them."""
    own = inspect.signature(function).parameters.values()
    return any(TAKES.search(str(one.annotation)) for one in own if one.annotation is not one.empty)


def public(owner, module: str) -> list[tuple[str, object]]:
    """Names and values of a module or class that are its own and not private."""
    return [(n, v) for n, v in vars(owner).items() if not n.startswith("_") and getattr(v, "__module__", "") == module]


def found() -> set[str]:
    """Dotted names below course_lib, as "metrics.gaussian.frechet" and "features.clip.CLIP.texts"."""
    names = set()
    for module in modules():
        for name, value in public(module, module.__name__):
            place = f"{module.__name__.removeprefix('course_lib.')}.{name}"
            if inspect.isfunction(value) and takes_tensors(value):
                names.add(place)
            if inspect.isclass(value) and not getattr(value, "_is_protocol", False):
                methods = [(n, v) for n, v in vars(value).items() if n == "__call__" or not n.startswith("_")]
                methods = [(n, getattr(v, "__func__", v)) for n, v in methods]
                names |= {f"{place}.{n}" for n, v in methods if inspect.isfunction(v) and takes_tensors(v)}
    return names
