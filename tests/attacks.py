"""Answers that need no understanding, made from a declaration alone: arguments ignored, constants, answers kept.

Each is the reference with one thing spoiled. `attacks(exercise)` makes them, `passes` says whether one gets the points.
"""

import copy
import inspect
from dataclasses import dataclass, field

import torch

from course_lib.exercises.answers import same
from course_lib.exercises.checking import broken_property
from course_lib.exercises.comparing import answer_of, grade

ELSEWHERE = 1000  # a draw that is not judged: what an attack keeps, it has seen there


@dataclass
class Attack:
    """One spoiled reference; change(value, state) makes the spoiled value, and state is what it has kept so far."""

    name: str
    depth: int = 0  # 0: the answer itself; 1: the function that the answer returns
    place: int | None = None  # which argument is spoiled; None: what is returned; -1: luck; -2: all arguments
    change: object = None
    applies: bool = False  # whether there was anything that it could spoil
    did: bool = False  # whether anything was spoiled
    judged: bool = False  # whether this draw counts
    memory: dict = field(default_factory=dict)
    of_draw: dict = field(default_factory=dict)
    tape: list = field(default_factory=list)

    def spoiled(self, value):
        new = self.change(value, self)
        if new is NotImplemented:
            return value
        self.applies = True
        self.did = self.did or (new is not value and not getattr(new, "says_itself", False))
        return new


# what stands in for a value


def fitted(old, like):
    """A kept value in the shape of the one that is due, its rows repeated or cut."""
    if isinstance(like, torch.Tensor) and isinstance(old, torch.Tensor) and old.shape != like.shape and old.numel():
        if old.ndim == like.ndim:
            for axis, size in enumerate(like.shape):
                old = old.index_select(axis, torch.arange(size) % old.shape[axis])
            return old
        return old.flatten()[torch.arange(like.numel()) % old.numel()].reshape(like.shape)
    if isinstance(like, (list, tuple)) and isinstance(old, (list, tuple)) and len(old):
        return type(like)(fitted(old[i % len(old)], one) for i, one in enumerate(like))
    if isinstance(like, dict) and isinstance(old, dict):
        return {key: fitted(old.get(key, one), one) for key, one in like.items()}
    return old


def each_part(value, change):
    """A value with every tensor, number and text in it changed; the value itself where none of them was."""
    if isinstance(value, dict):
        parts = {key: each_part(one, change) for key, one in value.items()}
        return value if all(parts[key] is one for key, one in value.items()) else parts
    if isinstance(value, (list, tuple)):
        parts = [each_part(one, change) for one in value]
        return value if all(a is b for a, b in zip(parts, value)) else type(value)(parts)
    return change(value)


def kept(value):
    """A copy that later changes cannot reach; functions, modules and generators as they are."""
    return each_part(value, lambda one: one.detach().clone() if isinstance(one, torch.Tensor) else one)


def is_data(value):
    return isinstance(value, (torch.Tensor, bool, int, float, str, list, tuple, dict))


def is_function(value):
    return callable(value) and not isinstance(value, torch.nn.Module)


def alike(a, b):
    return type(a) is type(b) and is_data(a) and same(a, b)


def remembered(value, memory, key):
    """What stood under this key the first time, in the shape of the value; the value itself where they are alike."""
    if key not in memory:
        memory[key] = kept(value)
        return value
    old = fitted(memory[key], value)
    return value if alike(old, value) else kept(old)


def first(value, attack):
    """What stood here the first time, on another draw."""
    return remembered(value, attack.memory, "first")


def first_of_draw(value, attack):
    """What stood here the first time on this draw."""
    return remembered(value, attack.of_draw, "first")


def replayed(value, attack):
    """The answers of another draw, one after the other."""
    if not attack.judged:
        attack.tape.append(kept(value))
        return value
    attack.of_draw["at"] = at = attack.of_draw.get("at", -1) + 1
    old = fitted(attack.tape[at % len(attack.tape)], value)
    return value if alike(old, value) else kept(old)


def filled(number):
    """Each number replaced by one; functions by one that returns as much; generators by a fixed or a foreign one."""

    def one_of(value):
        if isinstance(value, torch.Tensor):
            new = torch.full_like(value, bool(number) if value.dtype == torch.bool else number)
            return value if alike(new, value.detach()) else new
        if isinstance(value, bool):
            return bool(number)
        if isinstance(value, (int, float)):
            return value if value == number else type(value)(number)
        return value

    def change(value, attack):
        if isinstance(value, torch.Generator):
            attack.memory["seed"] = seed = attack.memory.get("seed", 0) + 1
            return torch.Generator().manual_seed(0 if number == 0 else 10**6 + seed)
        if isinstance(value, torch.nn.Module):
            return copy.deepcopy(value)
        return (lambda *args, **named: much_like(args, number)) if callable(value) else each_part(value, one_of)

    return change


def much_like(args, number):
    """Zeros, or what went in."""
    tensor = next((a for a in args if isinstance(a, torch.Tensor)), torch.zeros(()))
    return tensor * 0 if number == 0 else tensor.clone()


def averaged(value, attack):
    """The mean of the numbers everywhere."""

    def one_of(value):
        if isinstance(value, torch.Tensor) and value.numel() > 1 and value.is_floating_point():
            return torch.full_like(value, value.detach().mean())
        return value

    return each_part(value, one_of)


def reordered(value, attack):
    """The rows in another order, those of several tensors alike."""

    def one_of(value):
        if not isinstance(value, torch.Tensor) or value.ndim == 0 or alike(value.roll(1, 0), value):
            return value
        return value.roll(1, 0)

    if isinstance(value, list) and len(value) > 1:
        return [value[-1], *value[:-1]]
    if is_function(value):
        return spoiling(attack, lambda *args, **named: (due := value(*args, **named), one_of(due)))
    return each_part(value, one_of)


def spoiling(attack, both):
    """A function that returns the second of the two that both(..) gives, and says where they differ."""

    def spoilt(*args, **named):
        due, new = both(*args, **named)
        attack.did = attack.did or (new is not due and not alike(due, new))
        return new

    spoilt.says_itself = True
    return spoilt


def in_vain(number):
    """A function that is called, and what it answers thrown away."""

    def change(value, attack):
        if not is_function(value):
            return NotImplemented
        return spoiling(attack, lambda *args, **named: (value(*args, **named), much_like(args, number)))

    return change


def deaf(place):
    """A function that ignores one of its arguments (None: all): it answers as for the first it saw on this draw."""

    def change(value, attack):
        if not is_function(value):
            return NotImplemented

        def both(*args, **named):
            due = value(*args, **named)
            if place is None:
                return due, remembered(due, attack.of_draw, "answer")
            if place >= len(args):
                return due, due
            old = remembered(args[place], attack.of_draw, place)
            return due, due if old is args[place] else value(*args[:place], old, *args[place + 1 :], **named)

        return spoiling(attack, both)

    return change


CHANGES = {
    "kept": first,
    "kept for a draw": first_of_draw,
    "zero": filled(0),
    "one": filled(1),
    "reordered": reordered,
}
FUNCTIONS = {
    "in vain, zero": in_vain(0),
    "in vain, same": in_vain(1),
    "deaf": deaf(None),
    "deaf to argument 1": deaf(0),
    "deaf to argument 2": deaf(1),
}
ANSWERS = CHANGES | {"averaged": averaged, "replayed": replayed}


def attacked(exercise, attack):
    """The reference, spoiled."""
    signature = inspect.signature(exercise.reference)

    def fn(*args, **kwargs):
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return _called(exercise.reference, attack, 0, list(bound.args))

    fn.__signature__ = signature
    return fn


def _called(function, attack, depth, args):
    if attack.depth == depth and attack.place == -2:
        new = [remembered(one, attack.memory, i) for i, one in enumerate(args)]
        attack.applies, attack.did = True, attack.did or any(a is not b for a, b in zip(new, args))
        args = new
    elif attack.depth == depth and attack.place is not None and 0 <= attack.place < len(args):
        args[attack.place] = attack.spoiled(args[attack.place])
    if attack.place == -1:
        before = torch.get_rng_state()
        torch.manual_seed(0)
        start = torch.get_rng_state()
    value = function(*args)
    if attack.place == -1:
        attack.applies = attack.did = attack.did or not torch.equal(start, torch.get_rng_state())
        torch.set_rng_state(before)
    if callable(value) and not isinstance(value, torch.nn.Module):
        inner = value
        return lambda *more, **named: _called(lambda *a: inner(*a, **named), attack, depth + 1, list(more))
    return attack.spoiled(value) if attack.place is None and value is not None else value


def attacks(exercise):
    """Every attack on an exercise, by the names of its arguments."""
    names = list(inspect.signature(exercise.reference).parameters)
    found = [Attack(f"answer {what}", change=change) for what, change in ANSWERS.items()]
    found += [Attack("all arguments kept", place=-2), Attack("luck kept", place=-1)]
    for place, name in enumerate(names):
        found += [Attack(f"{name} {what}", 0, place, change) for what, change in (CHANGES | FUNCTIONS).items()]
    for place in range(2):
        found += [
            Attack(f"argument {place + 1} of what is returned {what}", 1, place, change)
            for what, change in (CHANGES | FUNCTIONS).items()
        ]
    return found


def passes(exercise, attack):
    """Whether an attack gets the points on what `check` draws, and has spoiled something there."""
    fn = attacked(exercise, attack)
    answer_of(exercise, fn, ELSEWHERE)
    if not attack.applies:
        return False
    attack.judged, attack.did = True, False
    for seed in range(exercise.public_draws):
        attack.of_draw.clear()
        if not grade(exercise, [answer_of(exercise, fn, seed)], [seed]).passed:
            return False
    return attack.did and not any(broken_property(exercise, fn, holds, 0) for holds in exercise.properties)
