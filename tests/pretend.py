"""A pretend accelerator, for machines without a GPU.

Tensors say that they are on device "pretend" while their numbers lie on the CPU, so results are real, and what a GPU
refuses is refused: operands on two devices (a number, of no dimension, may mix; an index may lie on the CPU), a CPU
generator for a device's tensor, .numpy() of it, and, as on Apple's GPUs, float64 where `without` says so. `waits` lists
what the host had to wait for: .item(), bool(), float(), .tolist(), a copy to the CPU, and operators whose shape depends
on values (nonzero, unique, a mask as an index). Safetensors reads a tensor's storage, which a GPU's tensor has and one
here has not, so it is handed copies on the CPU.

What it cannot see: how fast anything is; that a GPU rounds in another order, or draws other random numbers where no
generator is passed; kernels that a device lacks or that differ there; waits inside a kernel (eigenvalues) and copies to
the device that wait for memory which is not pinned; torch.compile, several devices, streams, half precision's speed.
"""

import contextlib
from collections.abc import Iterator
from unittest import mock

import safetensors.torch
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend


class _Backend(_DummyBackendModule):
    """What torch asks a device's module for; a checkpoint enters autocast again, which asks the most."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.float16, torch.bfloat16]


# Autograd starts a thread for each device it knows at its first backward pass, and a process with such threads cannot
# be forked, as the grader's tests do: let the first pass come before the device.
torch.ones(1, requires_grad=True).sum().backward()
_setup_privateuseone_for_python_backend("pretend", _Backend())
DEVICE = torch.device("pretend:0")
waits: list[str] = []  # the operators the host waited for, in order
refused: set[torch.dtype] = set()  # number types that this device lacks

MOVES = {"aten::copy_", "aten::_to_copy", "aten::_copy_from"}
INDEXED = {"aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_"}
ASKED = {"aten::_local_scalar_dense", "aten::equal", "aten::nonzero", "aten::masked_select", "aten::_unique2",
         "aten::unique_dim", "aten::unique_consecutive", "aten::bincount", "aten::is_nonzero"}  # fmt: skip

SET_DATA = torch.Tensor.data.__set__  # a.data = b
MADE = {torch.tensor, torch.as_tensor, torch.asarray}
SEEN_HERE = MADE | {torch.Tensor.tolist, torch.Tensor.__format__, torch.Tensor.new_tensor, torch.Tensor.__setitem__}
SEEN_HERE |= {SET_DATA}


class OnDevice(torch.Tensor):
    """A tensor that claims to be on DEVICE; `raw` holds its numbers."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, raw):
        return torch.Tensor._make_wrapper_subclass(
            cls, raw.size(), strides=raw.stride(), storage_offset=raw.storage_offset(), dtype=raw.dtype,
            layout=raw.layout, device=DEVICE,
        )  # fmt: skip

    def __init__(self, raw):
        if raw.dtype in refused:
            raise TypeError(f"the pretend device has no {raw.dtype}; compute on the CPU what needs it")
        self.raw = raw

    def __repr__(self):
        return f"OnDevice({self.raw})"

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return run(func, args, kwargs or {})


def flat(tree, found: list) -> list[torch.Tensor]:
    """The tensors of an operator's arguments, in order, appended to `found`; ten times as fast as torch's pytree."""
    if isinstance(tree, torch.Tensor):
        found.append(tree)
    elif isinstance(tree, (list, tuple)):
        for one in tree:
            flat(one, found)
    elif isinstance(tree, dict):
        flat(tuple(tree.values()), found)
    return found


def mapped(tree, change):
    """The same arguments with each tensor changed."""
    if isinstance(tree, torch.Tensor):
        return change(tree)
    if isinstance(tree, (list, tuple)):
        return type(tree)([mapped(one, change) for one in tree])
    if isinstance(tree, dict):
        return {key: mapped(one, change) for key, one in tree.items()}
    return tree


def raw_of(a):
    return a.raw if isinstance(a, OnDevice) else a


def check(name: str, args, kwargs, tensors: list, to_device: bool) -> None:
    """Raises RuntimeError for what a GPU refuses."""
    indices = args[1] if name in INDEXED else ()
    operands = flat((args[0], args[2:], kwargs), []) if name in INDEXED else tensors
    there = [a for a in operands if isinstance(a, OnDevice)]
    here = [a for a in operands if not isinstance(a, OnDevice) and a.dim() > 0]  # numbers may mix, as on CUDA
    if not there and here and any(isinstance(a, OnDevice) for a in flat(indices, [])):
        raise RuntimeError(f"{name}: an index on pretend into a tensor on the CPU")
    if there and here and name not in MOVES:
        shapes = [tuple(a.shape) for a in there], [tuple(a.shape) for a in here]
        raise RuntimeError(f"{name}: operands on pretend {shapes[0]} and on the CPU {shapes[1]}")
    generator = kwargs.get("generator")
    if generator is not None and generator.device.type == "cpu" and (to_device or (there and name not in MOVES)):
        raise RuntimeError(f"{name}: a CPU generator for a tensor on pretend")


def is_wait(name: str, args, target: str | None) -> bool:
    """Whether the host must wait for the device, of which there are operands, before this operator can be answered."""
    if name in ("aten::copy_", "aten::_copy_from"):
        source, goal = (args[1], args[0]) if name == "aten::copy_" else args[:2]
        return isinstance(source, OnDevice) and not isinstance(goal, OnDevice)
    if name in INDEXED:
        return any(a.dtype in (torch.bool, torch.uint8) for a in flat(args[1], []))
    return name in ASKED or (name == "aten::_to_copy" and target == "cpu")


NAMES: dict = {}  # an operator's name, which torch looks up slowly


def run(func, args, kwargs):
    """Runs an operator on the raw tensors after the checks, and wraps what it gives."""
    name = NAMES.get(func) or NAMES.setdefault(func, func._schema.name)
    tensors = flat((args, kwargs), [])
    there = any(isinstance(a, OnDevice) for a in tensors)
    asked = kwargs.get("device")
    if not there and asked is None:
        return func(*args, **kwargs)  # on the CPU alone
    target = None if asked is None else torch.device(asked).type
    check(name, args, kwargs, tensors, target == "pretend")
    if there and is_wait(name, args, target):
        waits.append(name)
    kwargs = {key: value for key, value in mapped(kwargs, raw_of).items() if key != "pin_memory"}
    if target == "pretend":
        kwargs["device"] = torch.device("cpu")
    out = func(*mapped(args, raw_of), **kwargs)
    if name == "aten::copy_":
        return args[0]
    on = target == "pretend" if target is not None else there

    def wrapped(o):
        same = [a for a in tensors if raw_of(a) is o]  # an operator in place
        return same[0] if same else OnDevice(o) if on else o

    return mapped(out, wrapped)


class _Dispatch(TorchDispatchMode):
    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here, and being left out costs as much as a small operator

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return run(func, args, kwargs or {})


class _Factories(TorchFunctionMode):
    """torch.tensor(.., device=) and x[..] = number make their tensor before a dispatch mode sees it."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func not in SEEN_HERE:
            return func(*args, **(kwargs or {}))
        kwargs = dict(kwargs or {})
        if func in MADE and kwargs.get("device") is not None:
            device = torch.device(kwargs.pop("device"))
            return func(*args, **kwargs).to(device)
        if func is torch.Tensor.tolist and isinstance(args[0], OnDevice):
            waits.append("tolist")
            return args[0].raw.tolist()
        if func is torch.Tensor.__format__ and isinstance(args[0], OnDevice) and args[0].dim() == 0:
            return format(args[0].item(), args[1])
        if func is torch.Tensor.new_tensor and isinstance(args[0], OnDevice) and "device" not in kwargs:
            return torch.tensor(args[1], dtype=kwargs.get("dtype") or args[0].dtype).to(DEVICE)
        if func is torch.Tensor.__setitem__ and isinstance(args[0], OnDevice) and not isinstance(args[2], torch.Tensor):
            with torch.no_grad():
                args[0].raw[mapped(args[1], raw_of)] = args[2]
            return None
        if func == SET_DATA and isinstance(args[0], OnDevice) and isinstance(args[1], OnDevice):
            args[0].raw = args[1].raw
        return func(*args, **kwargs)


_run_backward = torch.autograd._engine_run_backward


def _backward(*args, **kwargs):
    """The backward pass with the mode that torch has left on the way to it: a checkpoint computes forward again."""
    with _Factories():
        return _run_backward(*args, **kwargs)


_save_file = safetensors.torch.save_file


def _save_copies(tensors, *args, **kwargs):
    """Writes the tensors' copies on the CPU."""
    _save_file({name: a.cpu() for name, a in tensors.items()}, *args, **kwargs)


@contextlib.contextmanager
def accelerator(without: tuple[torch.dtype, ...] = ()) -> Iterator[torch.device]:
    """While entered, device "pretend" works, but for the number types in `without`; `waits` starts empty."""
    before = set(refused)
    refused.clear()
    refused.update(without)
    waits.clear()
    torch.autograd._engine_run_backward = _backward
    saving = mock.patch.object(safetensors.torch, "save_file", _save_copies)
    try:
        with saving, torch.autograd.set_multithreading_enabled(False), _Dispatch(), _Factories():  # of one thread each
            yield DEVICE
    finally:
        torch.autograd._engine_run_backward = _run_backward
        refused.clear()
        refused.update(before)
