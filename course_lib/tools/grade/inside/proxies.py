"""Functions of the other side, as functions here: asked over the wire, one request at a time, with their gradients.

Gradients pass: backward asks for the vector-Jacobian product where the function ran, and may be differentiated again.
torch.func works; torch.vmap asks once for each slice, and for gradients runs the function anew. Forward-mode
derivatives (torch.func.jvp, jacfwd) and second derivatives under vmap do not pass.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch.autograd import Function as Differentiable

from course_lib.tools.grade.inside.wire import only_tensors, tensors


class Lease:
    """As long as it lives, the other side keeps one graph."""

    def __init__(self, peer, node: int):
        self.peer, self.node = peer, node

    def __del__(self):
        self.peer.released.append(self.node)


@dataclass
class Request:
    """One request to the other side; hidden are tensors that only link the graph."""

    peer: object  # a Peer
    told: dict
    args: tuple
    kwargs: dict = field(default_factory=dict)
    hidden: tuple = ()
    lease: Lease | None = None
    skeleton: object = None
    sliced: bool = False

    def result(self):
        """The answer, through autograd where an argument asks for gradients."""
        given = [*self.hidden, *only_tensors((self.args, self.kwargs))]
        self.grad = torch.is_grad_enabled()
        self.flags = [one.requires_grad for one in given]
        traced = any(map(torch._C._functorch.is_functorch_wrapped_tensor, given))
        if not traced and not (self.grad and any(self.flags)):
            return self.asked(self.args, self.kwargs)
        outputs = list(Remote.apply(self, *given))
        found, self.skeleton = self.skeleton, None
        return replaced(found, iter(outputs))

    def asked(self, args, kwargs):
        """The value that the other side gives for these; what its function changed is changed here too."""
        told = self.peer.ask(**self.told, args=args, kwargs=kwargs, grad=self.grad)
        self.lease = Lease(self.peer, told["node"]) if told["node"] is not None else None
        given = list(tensors((self.args, self.kwargs)))
        for at, value in told["changes"]:
            change(given[at], value)
        return told["value"]

    def again(self) -> "Request":
        """The same request, for other tensors."""
        return Request(self.peer, self.told, self.args, self.kwargs, self.hidden)


class Remote(Differentiable):
    """A request as a function of its tensors."""

    @staticmethod
    def forward(request, *given):
        fresh = [one.detach().requires_grad_(flag) for one, flag in zip(given, request.flags)]
        sent = iter(fresh[len(request.hidden) :])
        request.skeleton = request.asked(*replaced((request.args, request.kwargs), sent))
        outputs = only_tensors(request.skeleton)
        request.differentiable = [one.requires_grad and request.lease is not None for one in outputs]
        return tuple(one.detach() for one in outputs) or (torch.empty(0),)

    @staticmethod
    def setup_context(ctx, inputs, output):
        request, *given = inputs
        ctx.save_for_backward(*given)
        ctx.request = request
        flags = request.differentiable or [False]
        ctx.mark_non_differentiable(*(one for one, flag in zip(output, flags) if not flag))

    @staticmethod
    def backward(ctx, *cotangents):
        request, given = ctx.request, ctx.saved_tensors
        if not request.sliced:
            told = {"do": "vjp", "node": request.lease.node}
            return None, *Request(request.peer, told, cotangents, {}, tuple(given)).result()
        if request.hidden:
            raise RuntimeError("This second derivative is not served under torch.vmap: take it without vmap.")
        told = {"do": "again", "op": ("product", request.told["op"])}
        inner = replaced((request.args, request.kwargs) if request.told["do"] == "call" else request.args, iter(given))
        return None, *Request(request.peer, told, (inner, cotangents)).result()

    @staticmethod
    def vmap(info, places, request, *given):
        """One request for each slice."""
        rows = []
        for row in range(info.batch_size):
            one = request.again()
            one.grad, one.flags = request.grad, request.flags
            sliced = [t if at is None else t.select(at, row) for t, at in zip(given, places[1:])]
            rows.append(Remote.apply(one, *sliced))
        request.skeleton, request.differentiable, request.sliced = one.skeleton, one.differentiable, True
        return tuple(map(torch.stack, zip(*rows))), (0,) * len(rows[0])


def replaced(value, found: Iterator):
    """A value with other tensors in the places of its own."""
    kind = type(value)
    if kind in (torch.Tensor, torch.nn.Parameter):
        return next(found)
    if issubclass(kind, tuple | list):
        return (tuple if issubclass(kind, tuple) else list)(replaced(one, found) for one in value)
    return {key: replaced(one, found) for key, one in value.items()} if issubclass(kind, dict) else value


def change(one, value) -> None:
    """Change a tensor or a generator into another."""
    if isinstance(one, torch.Generator) and isinstance(value, torch.Generator):
        one.set_state(value.get_state())
    elif isinstance(one, torch.Tensor) and isinstance(value, torch.Tensor):
        one.data = value.detach()
        if one.is_leaf and (value.requires_grad or not one.requires_grad):
            one.requires_grad_(value.requires_grad)
