"""Functions across the wall: a student's, asked from outside, and ours, served to it, with gradients and counted."""

import contextlib
import json
import os
import random
import socket

import numpy as np
import pytest
import torch
from grading import conversed, source_of

from course_lib.exercises import registry
from course_lib.exercises.answers import run
from course_lib.exercises.comparing import answer_of
from course_lib.tools.grade.inside import serving as inside
from course_lib.tools.grade.inside.peer import Closed, Peer
from course_lib.tools.grade.inside.wire import LENGTHS, Function, NoData, Reader, Unreadable, Writer
from course_lib.tools.grade.outside import measuring, plan
from course_lib.tools.grade.outside.serving import served

DIVERSE = registry.exercise("4.7")


@contextlib.contextmanager
def student(fn, **limits):
    """The trusted side, and a function that runs in another process."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            ours.close()
            torch.set_num_threads(1)  # a pool of threads does not survive a fork
            inside.serve(fn, theirs.detach())
        os._exit(0)
    theirs.close()
    with ours:
        yield served(ours, **limits)
    os.waitpid(pid, 0)


def cubic(x, sigma):
    """A function of ours with a bend in it."""
    return (x**3).sum(1, keepdim=True) * x / (1 + sigma**2)


X = torch.linspace(-1, 2, 12, dtype=torch.float64).reshape(4, 3)
SIGMA = torch.tensor(0.5, dtype=torch.float64)


def twice(D, x):
    y = x.clone().requires_grad_()
    (first,) = torch.autograd.grad(D(y, SIGMA).square().sum(), y, create_graph=True)
    (second,) = torch.autograd.grad(first.sin().sum(), y)
    return first.detach(), second


DERIVATIVES = {
    "values": lambda D, x: D(x, SIGMA),
    "a gradient and its gradient": twice,
    "backward": lambda D, x: (lambda y: (D(y, SIGMA).sum().backward(), y.grad)[1])(x.clone().requires_grad_()),
    "a jacobian": lambda D, x: torch.autograd.functional.jacobian(lambda y: D(y, SIGMA), x),
    "func.grad": lambda D, x: torch.func.grad(lambda y: D(y, SIGMA).sum())(x),
    "func.jacrev": lambda D, x: torch.func.jacrev(lambda y: D(y, SIGMA))(x),
    "func.jacrev of func.grad": lambda D, x: torch.func.jacrev(torch.func.grad(lambda y: D(y, SIGMA).sum()))(x),
    "vmap": lambda D, x: torch.vmap(lambda y: D(y[None], SIGMA)[0])(x),
    "vmap of func.grad": lambda D, x: torch.vmap(torch.func.grad(lambda y: D(y[None], SIGMA).sum()))(x),
    "by sigma": lambda D, x: torch.func.grad(lambda s: D(x, s).sum())(SIGMA),
}


@pytest.mark.parametrize("name", DERIVATIVES)
def test_a_served_function_has_its_values_and_derivatives(name):
    """As where it is at hand, bit for bit or nearly."""
    use = DERIVATIVES[name]
    with student(use) as (server, fn):
        got, due = fn(cubic, X), use(cubic, X)
    for one, other in zip(got if type(due) is tuple else (got,), due if type(due) is tuple else (due,), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
    assert server.calls_of(cubic) >= 1


def test_a_students_function_can_be_differentiated_from_outside():
    """Through what it asks of ours, too."""

    def wrapped(D, x):
        return D(x, SIGMA).sin()

    y = X.clone().requires_grad_()
    with student(wrapped) as (_, fn):
        (first,) = torch.autograd.grad(fn(cubic, y).sum(), y, create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum(), y)
    (due,) = torch.autograd.grad(wrapped(cubic, y).sum(), y, create_graph=True)
    torch.testing.assert_close(first, due, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(second, torch.autograd.grad(due.square().sum(), y)[0], rtol=1e-12, atol=1e-12)


def test_calls_rows_and_products_are_counted_outside():
    def use(D, E, x):
        for _ in range(3):
            D(x, SIGMA)
        y = x[:2].clone().requires_grad_()
        E(y, SIGMA).sum().backward()
        return len(x)

    other = lambda x, sigma: x * sigma  # noqa: E731
    with student(use) as (server, fn):
        assert fn(cubic, other, X) == 4
        assert (server.calls_of(cubic), server.calls_of(other), server.products) == (3, 1, 1)
        assert sorted(server.rows.values()) == [2, 12]
        assert server.asked == 5


def test_a_budget_is_kept_and_the_student_is_told():
    def use(D, x):
        found = 0
        try:
            while True:
                D(x, SIGMA)
                found += 1
        except RuntimeError as error:
            return found, str(error)

    with student(use, budget=7) as (server, fn):
        assert fn(cubic, X) == (7, "the budget of 7 calls is spent")
        assert server.asked == 7


def test_graphs_that_are_no_longer_needed_are_let_go():
    def use(D, x):
        for _ in range(50):
            y = x.clone().requires_grad_()
            D(y, SIGMA).sum().backward()
        return D(x, SIGMA)

    with student(use) as (server, fn):
        fn(cubic, X)
        assert len(server.nodes) <= 2


def test_whether_gradients_are_asked_for_is_seen_on_the_other_side():
    """`z.requires_grad and torch.is_grad_enabled()` is how declarations count what a gradient costs."""
    seen = []

    def D(x):
        seen.append((x.requires_grad, torch.is_grad_enabled()))
        return x

    def use(D, x):
        y = x.clone().requires_grad_()
        D(x), D(y), D(y.detach())
        with torch.no_grad():
            D(y)
        return y

    with student(use) as (_, fn):
        assert fn(D, X).requires_grad
    assert seen == [(False, True), (True, True), (False, True), (True, False)]


def test_what_a_function_changes_is_changed_outside():
    """So that properties see it: numbers, flags, and what is drawn from a generator."""

    def use(x, y, g):
        x += 1
        y.requires_grad_()
        return torch.randn(2, generator=g)

    x, y, g, h = X.clone(), X.clone(), torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)
    with student(use) as (_, fn):
        drawn = fn(x, y, g)
    assert torch.equal(x, X + 1)
    assert (x.requires_grad, y.requires_grad) == (False, True)
    assert torch.equal(drawn, torch.randn(2, generator=h))
    assert torch.equal(torch.randn(2, generator=g), torch.randn(2, generator=h))


def test_functions_come_back_and_are_the_same():
    def use(D, make):
        inner = make(2.0)
        assert make(2.0) is not inner
        return D, D is D, inner(3.0), lambda x: D(x, SIGMA) + 1

    with student(use) as (_, fn):
        same, identical, product, wrapped = fn(cubic, lambda a: lambda b: a * b)
        assert same is cubic
        assert (identical, product) == (True, 6.0)
        assert torch.equal(wrapped(X), cubic(X, SIGMA) + 1)
        assert fn(cubic, lambda a: lambda b: a * b)[0] is cubic


def test_errors_pass_in_both_directions_as_what_they_are():
    def use(D, x, kind):
        if kind == "served":
            return D(x)
        if kind == "caught":
            try:
                return D(x)
            except TypeError as error:
                return str(error)
        if kind == "exit":
            raise SystemExit
        return torch.linalg.inv(torch.zeros(2, 2))

    with student(use) as (_, fn):
        assert "missing 1 required positional argument: 'sigma'" in fn(cubic, X, "caught")
        with pytest.raises(TypeError, match="missing 1 required"):
            fn(cubic, X, "served")
        with pytest.raises(RuntimeError, match="singular"):  # LinAlgError is one
            fn(cubic, X, "inverse")
        answer = run(lambda x: fn(cubic, x, "exit"), (X,))
        assert (answer.problem, answer.detail) == ("exit", "SystemExit")


def test_an_answer_from_afar_is_the_answer():
    """The line of an error, an empty body, a forgotten return, what is no data: as `run` says where it is at hand."""

    def empty(x):
        pass

    def forgets(x):
        x + 1

    def ellipsis(x):
        return ...

    def fails(x):
        raise ValueError("no")

    values = {"numpy": np.ones(2), "scalar": np.float32(2), "text": "ü", "complex": 1j, "nest": {"a": (1, [X])}}
    values |= {"object": object(), "half": X.bfloat16(), "bool": X > 0, "whole": 2**70, "nothing": X[:0]}
    functions = [empty, forgets, ellipsis, fails, *(lambda x, v=value: v for value in values.values())]
    for fn in functions:
        with student(fn) as (_, afar):
            got, due = run(afar, (X,)), run(fn, (X,))
        assert (got.problem, got.detail, got.types, got.container) == (
            due.problem, due.detail, due.types, due.container), fn  # fmt: skip
        assert {path: (a.dtype, a.tolist()) for path, a in got.arrays.items()} == {
            path: (a.dtype, a.tolist()) for path, a in due.arrays.items()
        }


def rare() -> dict:
    return {
        "quantized": torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.quint8),
        "float8": torch.ones(3).to(torch.float8_e4m3fn),
        "nested": torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
        "sparse": torch.sparse_coo_tensor([[0]], [1.0], (10**12,)),
        "meta": torch.ones(3, device="meta"),
    }


@pytest.mark.filterwarnings("ignore:torch.quantize", "ignore:The PyTorch API of nested", "ignore:Sparse invariant")
@pytest.mark.parametrize("name", ["quantized", "float8", "nested", "sparse", "meta"])
def test_a_tensor_without_plain_numbers_has_a_sentence(name):
    """Here and from afar; it does not end Python."""
    value = rare()[name]
    got = run(lambda x: value, (X,))
    assert got.problem == ("device" if name == "meta" else "type")
    assert name in got.detail
    with student(lambda x: value) as (_, afar):
        assert (run(afar, (X,)).problem, run(afar, (X,)).detail) == (got.problem, got.detail)


def test_a_sparse_tensor_is_its_numbers():
    with student(lambda x: x.to_sparse()) as (_, afar):
        assert np.array_equal(run(afar, (X,)).arrays[""], run(lambda x: x.to_sparse(), (X,)).arrays[""])


def message(**parts) -> tuple[bytes, bytes]:
    """The header and the body of a message."""
    data = Writer(lambda fn: Function(0, True)).message(**parts)
    size, _ = LENGTHS.unpack(data[: LENGTHS.size])
    return data[LENGTHS.size :][:size], data[LENGTHS.size :][size:]


GOOD = {"x": X, "a": np.ones(3), "n": [1, 2.5, None, True, "t"], "d": {"k": (1j, ...)}, "f": len, "t": torch.float32}


def test_no_bytes_are_more_than_unreadable():
    """Headers of ours with something else in them, bodies that are cut or grown: never another error."""
    header, body = message(**GOOD)
    reader, rng, refused = Reader(lambda told: len), random.Random(0), 0
    tokens = [b"1", b"-1", b"null", b"1e9", b'"x"', b"[]", b"true", b"99999999999999999999", b"{}", b'"tensor"', b"NaN"]
    for _ in range(4000):
        told = bytearray(header)
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(told))
            told[at : at + rng.randint(0, 8)] = rng.choice([rng.choice(tokens), bytes([rng.randrange(256)])])
        cut = body[: rng.choice([len(body), rng.randrange(len(body))])] + bytes(rng.choice([0, 0, 3]))
        try:
            reader.message(bytes(told), cut)
        except Unreadable:
            refused += 1
    assert refused > 3000
    for told in (
        b"",
        b"[" * 100_000,
        b"[1]",
        json.dumps({"x": ["tensor", "float64", [2**40, 2**40], False, 8]}).encode(),
    ):
        with pytest.raises(Unreadable):
            reader.message(told, bytes(8))


@pytest.mark.parametrize(
    "parts",
    [
        {"do": "call", "op": ["tuple", "call", 99], "args": ["list"], "kwargs": ["dict"], "grad": True},
        {"do": "vjp", "node": 99, "args": ["list"], "grad": True},
        {"do": "begin", "seed": 1},
        {"do": "call"},
        {"do": 7},
        {"error": 3},
        {"value": ["function", 5, False], "changes": ["list"], "node": None},
        {},
    ],
)
def test_a_student_who_speaks_the_language_himself_gets_nothing(parts):
    """A forged message ends the conversation, or is an error of the student's: never one of ours."""
    ours, theirs = socket.socketpair()
    header = json.dumps(parts).encode()
    with ours, theirs:
        theirs.sendall(Writer(lambda fn: Function(0, True)).message(fn=len, empty=False))
        server, fn = served(ours, budget=50)
        theirs.sendall(LENGTHS.pack(len(header), 0) + header)
        theirs.shutdown(socket.SHUT_WR)
        answer = run(fn, (X,))
    assert answer.problem in ("raised", "type")
    assert server.ended or not answer.arrays


def test_too_much_at_once_is_refused():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(LENGTHS.pack(10, 2**32 - 1))
        with pytest.raises(Closed):
            served(ours)
    with pytest.raises(NoData, match="too many for one call"):
        Writer(lambda fn: Function(0, True)).message(x=torch.zeros(20_000_000))


def test_functions_without_end_are_refused():
    peer = Peer(lambda message: None, lambda: (b"", b""), functions=[None] * 10_000)
    with pytest.raises(NoData, match="functions"):
        peer.number(len)


def test_a_side_that_computes_too_long_ends_the_conversation():
    with student(lambda D, x: D(x, SIGMA), seconds=-1.0) as (server, fn):
        with pytest.raises(Closed):
            fn(cubic, X)
        assert server.ended == "cpu"


def test_an_experiment_asked_from_outside_is_the_one_at_hand():
    """Bit for bit: the same draws, the same randomness, the same settings."""
    task = plan.told(DIVERSE, [3]) | {"cells": [source_of("4.7")], "place": 0}
    reply = conversed(DIVERSE, task, [3])
    from course_lib.tools.grade.outside.incoming import received

    [got], due = received(reply.measured.records).answers, answer_of(DIVERSE, DIVERSE.reference, 3)
    assert not received(reply.records).answers  # what the slice used, and no answer
    for path in ("x", "push", "leak"):  # the reference asks less often than the chapter's solution
        assert np.array_equal(got.arrays[path], due.arrays[path])
    assert got.arrays["calls"] == 40


def test_what_measures_is_replaced_where_it_is_lost():
    measurer = measuring.Measurer(plan.Plan(4, "x", [DIVERSE], {"4.7": [3]}))
    try:
        before = measurer.pid
        os.kill(before, 9)
        assert measurer.end(60.0) == measuring.Measured(ended="lost")
        assert measurer.pid != before
        ours, theirs = socket.socketpair()
        with ours:
            measurer.begin("4.7", ours, 20.0)
        theirs.close()
        assert measurer.end(60.0) == measuring.Measured(ended="closed")
    finally:
        measurer.stop()
