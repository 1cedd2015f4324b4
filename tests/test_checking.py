"""`check`, `fallback` and `quiz`: what a learner reads for every kind of answer, and what stays as it was."""

import random
import re
import sys
import warnings

import numpy as np
import pytest
import torch

from course_lib.exercises import all_exercises, check, fallback, quiz, registry
from course_lib.exercises.answers import Answer, run
from course_lib.exercises.calls import NO_GRADIENT
from course_lib.exercises.checking import told, verdict_on
from course_lib.exercises.comparing import NEARLY, answer_of, close, draw, expected, grade
from course_lib.exercises.declare import Exercise, Question, Wrong
from course_lib.exercises.quizzes import as_html, as_text


def force(x, alpha, h):
    """The repulsive force (4.4), (N, d) -> (N, d)."""
    d = x[:, None] - x[None]
    return 2 * alpha / (len(x) * h) * (d * torch.exp(-d.square().sum(-1) / h)[..., None]).sum(1)


def inputs(g):
    return torch.randn(4, 2, generator=g), 0.5 + torch.rand((), generator=g).item(), 0.7


def sums_to_zero(fn, inputs):
    if fn(*inputs).sum().abs() > 1e-9:
        return "Your forces do not sum to zero."
    return None


def declared(reference=force, inputs=inputs, **changes):
    """The toy exercise 4.2, with changes."""
    fields = {
        "id": "4.2", "title": "The repulsive force", "points": 2, "difficulty": 2, "importance": 5, "minutes": 10,
        "equation": "(4.4)", "name": "force", "reference": reference, "inputs": inputs,
        "right": [reference, reference],
        "wrong": [
            Wrong(lambda *a: -reference(*a), "Your particles attract each other."),
            Wrong(lambda *a: 4 * reference(*a), "The force grows with N: divide by N."),
            Wrong(lambda *a: reference(*a) / 2, "A factor 2 is missing."),
            Wrong(lambda *a: reference(*a) + float("nan"), "You divided zero by zero: leave out j = i."),
        ],
    }  # fmt: skip
    return Exercise(**fields | changes)


@pytest.fixture
def use(monkeypatch):
    """Declare a toy exercise as the only one of the course."""

    def use(exercise):
        monkeypatch.setattr(registry, "exercises", lambda chapter: (exercise,))
        return exercise

    use(declared())
    return use


def said(capsys, fn, id="4.2"):
    """What check prints, without its last line break."""
    capsys.readouterr()
    check(id, fn)
    out, err = capsys.readouterr()
    assert err == ""
    return out.rstrip("\n")


def not_yet(sentence):
    return f"4.2  not yet.  {sentence}   (4.4)"


def test_a_correct_answer_passes(use, capsys):
    """One line with the points."""
    assert said(capsys, force) == "4.2  passed.  2 points"
    assert check("4.2", force) is True


def test_one_point_is_singular(use, capsys):
    """1 point, not 1 points."""
    use(declared(points=1))
    assert said(capsys, force) == "4.2  passed.  1 point"


def stub(x, alpha, h):
    raise NotImplementedError("Exercise 4.2: the repulsive force, eq. (4.4)")


def half_done(x, alpha, h):
    d = x[:, None] - x[None]
    raise NotImplementedError(d)


def dots(x, alpha, h):
    """With a docstring."""
    ...


def empty(x, alpha, h):
    pass


def dots_returned(x, alpha, h):
    d = x[:, None] - x[None]
    return ... if d.ndim else d


@pytest.mark.parametrize(
    "fn", [stub, half_done, dots, dots_returned, empty, lambda x, alpha, h: None, lambda x, alpha, h: ...]
)
def test_a_stub_is_not_attempted(use, capsys, fn):
    """Whatever a learner leaves in the place of an answer."""
    assert said(capsys, fn) == "4.2  not attempted."
    assert check("4.2", fn) is False


def test_an_anticipated_wrong_answer_reads_its_own_sentence(use, capsys):
    """Also when it is NaN, which has a general sentence too."""
    for wrong in declared().wrong:
        assert said(capsys, wrong.fn) == not_yet(wrong.sentence)


def test_an_unknown_wrong_answer_reads_input_got_and_expected(use, capsys):
    """The first draw that differs, short enough to compare by eye."""
    exercise = use(declared(inputs=lambda g: (torch.tensor([[0.0, 0.0], [1.0, 0.0]]), 2.0, 1.0)))
    lines = said(capsys, lambda x, alpha, h: force(x, alpha, h) * 1.5).split("\n")
    assert lines == [
        not_yet("The values are not those of (4.4)."),
        "      input     x = [0, 0, 1, 0] (2, 2), alpha = 2, h = 1",
        "      got       [-1.104, 0, 1.104, 0] (2, 2)",
        "      expected  [-0.7358, 0, 0.7358, 0] (2, 2)",
    ]
    assert exercise.public_draws == 5


def test_a_difference_in_the_last_digits_is_shown_with_more_digits(use, capsys):
    """Got and expected must not print as the same numbers."""
    got, expected_ = said(capsys, lambda x, alpha, h: force(x, alpha, h) * (1 + 2e-5)).split("\n")[2:]
    assert got.split("[")[1] != expected_.split("[")[1]


def raises(x, alpha, h):
    return x @ x


def divides(x, alpha, h):
    return 1 / 0


def recursive(x, alpha, h):
    return recursive(x, alpha, h)


def leaves(x, alpha, h):
    sys.exit("bye")


def changes_input(x, alpha, h):
    f = force(x, alpha, h)
    x += 1
    return f


class Liar:
    """Says that it equals everything."""

    def __eq__(self, other):
        return True

    def __array__(self, *args, **kwargs):
        raise AssertionError("asked to be an array")

    __class__ = torch.Tensor


class Unreadable(Exception):
    """Cannot even be printed."""

    def __str__(self):
        raise ValueError("no")


def unreadable(x, alpha, h):
    raise Unreadable


DUE = "a tensor of shape (4, 2) is due"
REAL = "real numbers (float64) are due."
CONTAINER = f"{DUE}: torch.stack or torch.tensor makes one."
NAN, HALF_EYE = torch.tensor([float("nan"), 1]), torch.eye(4, 2) > 0
BAD = {
    "exception": (divides, "Your code raised ZeroDivisionError: division by zero, in line {line}: return 1 / 0."),
    "torch": (
        raises,
        "Your code raised RuntimeError: mat1 and mat2 shapes cannot be multiplied (4x2 and 4x2), "
        "in line {line}: return x @ x.",
    ),
    "unreadable": (
        unreadable,
        "Your code raised Unreadable: (its message cannot be read), in line {line}: raise Unreadable.",
    ),
    "recursion": (recursive, "Your function calls itself without end: nothing stops the recursion."),
    "exit": (leaves, "Your code leaves Python (SystemExit): return the answer instead."),
    "mutated": (changes_input, "Your function changes its input: work on a copy, x = x + ... and not x += ...."),
    "none": (lambda x, a, h: print(x), "Your function returns None: is a `return` missing?"),
    "nan": (lambda x, a, h: NAN.expand(4, 2), "4 of 8 numbers in your answer are NaN."),
    "inf": (lambda x, a, h: torch.where(HALF_EYE, 1.0, -torch.inf), "6 of 8 numbers in your answer are infinite."),
    "shape": (lambda x, a, h: force(x, a, h).sum(1), "Your answer has shape (4,); (4, 2) is due."),
    "kind": (lambda x, a, h: force(x, a, h).long(), f"Your answer holds whole numbers (int64); {REAL}"),
    "bool": (lambda x, a, h: force(x, a, h) > 0, f"Your answer holds true or false (bool); {REAL}"),
    "complex": (lambda x, a, h: force(x, a, h) + 0j, f"Your answer holds complex numbers (complex128); {REAL}"),
    "float32": (
        lambda x, a, h: force(x, a, h).float(),
        "Right, but only in float32: keep the dtype of the input, float64.",
    ),
    "list": (lambda x, a, h: list(force(x, a, h)), f"You returned a list; {CONTAINER}"),
    "long list": (
        lambda x, a, h: [0.0] * 1000,
        f"You returned more than 64 separate things (put numbers in a tensor); {DUE}.",
    ),
    "empty tuple": (lambda x, a, h: (), f"You returned a tuple; {CONTAINER}"),
    "dict": (lambda x, a, h: {"f": x}, f"You returned a dict of 1; {DUE}."),
    "numpy": (
        lambda x, a, h: force(x, a, h).numpy(),
        "You returned a NumPy array; a tensor is due, since the cells below go on with it.",
    ),
    "number": (lambda x, a, h: 3.0, "Your answer has shape (); (4, 2) is due."),
    "text": (lambda x, a, h: "away", "You returned a text; a tensor is due."),
    "liar": (lambda x, a, h: Liar(), f"You returned a Liar; {DUE}."),
    "function": (lambda x, a, h: force, f"You returned a function; {DUE}."),
    "device": (
        lambda x, a, h: force(x, a, h).to("meta"),
        "Your answer is on meta, the input on cpu: make new tensors with device=x.device.",
    ),
    "arguments": (lambda x, alpha: x, "Your function takes (x, alpha); force(x, alpha, h) is due."),
    "optional argument": (
        lambda x, alpha, *, h=0.7: x,
        "Your function takes (x, alpha, h); force(x, alpha, h) is due, with arguments by position.",
    ),
    "not a function": (
        torch.zeros(4, 2),
        'check needs your function, got a Tensor: write check("4.2", force), without calling the function.',
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_each_kind_of_bad_answer_has_a_sentence(use, capsys, kind):
    """One line, no traceback, and a False."""
    fn, sentence = BAD[kind]
    if "{line}" in sentence:
        sentence = sentence.format(line=fn.__code__.co_firstlineno + 1)
    assert said(capsys, fn) == not_yet(sentence)
    assert check("4.2", fn) is False


def test_an_unimplemented_operation_of_torch_is_no_stub(use, capsys):
    """torch raises NotImplementedError itself, for example for a kernel that has no integer version."""
    line = said(capsys, lambda x, alpha, h: torch.linalg.eigvals(x.to_sparse()))
    assert line.startswith("4.2  not yet.  Your code raised NotImplementedError")


def test_ctrl_c_comes_through(use):
    """A learner who stops a cell stops it."""

    def stopped(x, alpha, h):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check("4.2", stopped)
    assert torch.get_default_dtype() == torch.float32


def test_an_unknown_exercise_is_told_the_ids(capsys, monkeypatch):
    """A sentence with what there is, for check and for fallback, which hands back what it got."""
    monkeypatch.setattr(registry, "chapters", lambda: [3, 4])
    monkeypatch.setattr(registry, "exercises", lambda chapter: (declared(), declared(id="4.3")))
    assert said(capsys, force, "4.9") == "4.9  there is no exercise 4.9; chapter 4 has 4.2, 4.3."
    assert said(capsys, force, "force") == "force  an exercise's id looks like \"4.2\", got 'force'."
    assert said(capsys, force, force).startswith("?  an exercise's id looks like")
    assert fallback("4.9", force) is force
    monkeypatch.undo()
    assert "there are no exercises for chapter 77" in said(capsys, force, "77.1")


def test_declarations_that_cannot_be_loaded_end_in_a_sentence(capsys, monkeypatch):
    """A broken installation is no traceback in a learner's notebook."""

    def broken(chapter):
        raise ImportError("no module named x")

    monkeypatch.setattr(registry, "exercises", broken)
    assert said(capsys, force) == "4.2  the exercises could not be loaded: no module named x."


def test_an_answer_may_require_grad_and_be_a_view(use, capsys):
    """Neither is a mistake: by autograd, transposed twice, expanded, a Parameter."""

    def by_autograd(x, alpha, h):
        x.requires_grad_()
        k = torch.exp(-(x[:, None] - x[None]).square().sum(-1) / h)
        return -alpha / (2 * len(x)) * torch.autograd.grad(k.sum(), x, create_graph=True)[0]

    assert said(capsys, by_autograd) == "4.2  passed.  2 points"
    assert said(capsys, lambda x, alpha, h: torch.nn.Parameter(force(x, alpha, h))) == "4.2  passed.  2 points"
    assert said(capsys, lambda x, alpha, h: force(x, alpha, h).T.contiguous().T) == "4.2  passed.  2 points"
    with torch.no_grad():
        assert said(capsys, by_autograd) == "4.2  passed.  2 points"
    with torch.inference_mode():
        assert said(capsys, by_autograd) == "4.2  passed.  2 points"


LOSSES = [one for one in all_exercises() if one.name.endswith(("loss", "losses"))]


@pytest.mark.parametrize("one", LOSSES, ids=lambda one: one.id)
def test_a_loss_that_nothing_can_be_trained_with_is_told_so(one):
    """A plain number has the right value, and the learner's training loop would fail with PyTorch's own words."""

    def plain(*inputs):
        value = one.reference(*inputs)
        return tuple(v.detach() for v in value) if isinstance(value, tuple) else value.detach()

    assert verdict_on(one, one.reference).passed
    assert f"not yet.  N{NO_GRADIENT[1:]}." in told(one, verdict_on(one, plain))


def test_numbers_may_be_floats_or_tensors(use, capsys):
    """A 0-d tensor, a float and a NumPy number are one thing; 3 and 3.0 as well."""
    use(declared(lambda x, alpha, h: float(x.sum()), name="total"))
    for fn in (
        lambda x, alpha, h: x.sum(),
        lambda x, alpha, h: np.float64(x.sum()),
        lambda x, alpha, h: x.sum().item(),
    ):
        assert said(capsys, fn) == "4.2  passed.  2 points"
    assert said(capsys, lambda x, alpha, h: bool(x.sum() > 0)).endswith(
        "Your answer holds true or false (bool); real numbers (float64) are due.   (4.4)"
    )


def test_tuples_and_dicts_are_compared_part_by_part(use, capsys):
    """The part that is wrong is named."""

    def scaled(c):
        return lambda x: {"force": c * x, "norm": x.norm()}

    wrong = [Wrong(scaled(c), f"Your force is multiplied by {c}.") for c in range(2, 6)]
    use(declared(scaled(1), lambda g: (torch.randn(2, generator=g),), wrong=wrong))
    assert said(capsys, lambda x: {"norm": x.norm(), "force": x}) == "4.2  passed.  2 points"
    assert "Your dict has the keys force; due are force, norm." in said(capsys, lambda x: {"force": x})
    assert "You returned a tuple of 2; a dict of 2 is due." in said(capsys, lambda x: (x, x))
    assert "got at norm" in said(capsys, lambda x: {"force": x, "norm": 2 * x.norm()})
    assert "Your answer (at force) has shape (1,); (2,) is due." in said(
        capsys, lambda x: {"force": x[:1], "norm": 0.0}
    )


def test_a_property_is_tried_after_the_values(use, capsys):
    """Its sentence is read only by an answer whose values are right."""
    use(declared(properties=[sums_to_zero, lambda fn, inputs: "Never fine." if inputs[1] > 0 else None]))
    assert said(capsys, force) == not_yet("Never fine.")
    assert said(capsys, declared().wrong[0].fn) == not_yet("Your particles attract each other.")
    use(declared(properties=[lambda fn, inputs: fn(inputs[0][:0] @ inputs[0], 1.0, 1.0) and None]))
    assert said(capsys, force).startswith(
        "4.2  not yet.  On a special case your code raised RuntimeError: mat1 and mat2"
    )


def test_a_function_of_functions_is_checked_through_call(use, capsys):
    """A forgotten return inside is found although only `call` sees it."""

    def scaled(denoiser, w):
        return lambda x: w * denoiser(x)

    def call(fn, x, w):
        return fn(torch.tanh, w)(x)

    def fixed(c):
        return lambda denoiser, w: lambda x: c * denoiser(x)

    wrong = [Wrong(fixed(c), f"Your answer multiplies by {c}.") for c in range(1, 5)]
    use(declared(scaled, lambda g: (torch.randn(3, generator=g), 2.5), call=call, wrong=wrong))
    assert said(capsys, scaled) == "4.2  passed.  2 points"
    assert said(capsys, lambda denoiser, w: lambda x: 2 * denoiser(x)) == not_yet("Your answer multiplies by 2.")
    assert said(capsys, lambda denoiser, w: print(w)) == not_yet("Your function returns None: is a `return` missing?")
    assert said(capsys, lambda denoiser, w: ...) == "4.2  not attempted."
    assert said(capsys, lambda denoiser: denoiser) == not_yet(
        "Your function takes (denoiser); force(denoiser, w) is due."
    )
    assert "Your code raised TypeError: 'int' object is not callable" in said(capsys, lambda denoiser, w: 3)
    assert "input     x = [" in said(capsys, lambda denoiser, w: lambda x: 2.6 * denoiser(x))


def noisy(x, sigma):
    """x + sigma eps."""
    return x + sigma * torch.randn_like(x)


def experiment():
    """The answer is random; `accept` looks at its spread."""
    square = "The spread is sigma squared."

    def accept(answer, inputs):
        spread = (answer - inputs[0]).std()
        if abs(spread / inputs[1] ** 2 - 1) < 0.1:
            return square
        if abs(spread / inputs[1] - 1) > 0.1:
            return "The spread is not sigma."
        return None

    return declared(
        noisy, lambda g: (torch.randn(2000, generator=g), 0.5), accept=accept, right=[noisy],
        wrong=[
            Wrong(lambda x, sigma: noisy(x, sigma**2), square),
            Wrong(lambda x, sigma: noisy(x, 2 * sigma), "The spread is not sigma."),
        ],
    )  # fmt: skip


def test_an_experiment_is_judged_by_its_distribution(use, capsys):
    """Any draw of the right law passes; the form is compared with the reference's first."""
    exercise = use(experiment())
    assert exercise.kind == "experiment"
    assert exercise.public_draws == 1
    assert said(capsys, lambda x, sigma: torch.normal(x, sigma)) == "4.2  passed.  2 points"
    for wrong in exercise.wrong:
        assert said(capsys, wrong.fn) == not_yet(wrong.sentence)
    assert said(capsys, lambda x, sigma: x[:5]) == not_yet("Your answer has shape (5,); (2000,) is due.")
    assert grade(exercise, answer_of(exercise, exercise.wrong[1].fn, 3), 3).wrong == 1


def test_a_judged_exercise_says_that_nothing_is_run(use, capsys):
    """Words are graded against a rubric."""
    judged = Exercise("4.2", "When to repel", 3, 4, 4, 15, rubric="1 point: names the noise level.")
    use(judged)
    assert (
        said(capsys, force)
        == "4.2  not yet.  This exercise is answered in words, against a rubric: there is nothing to run."
    )
    assert fallback("4.2", force) is force


def test_the_state_of_the_notebook_is_untouched(use, capsys):
    """Random numbers, default dtype, warnings filters, gradient mode are as if check had not been called."""

    def careless(x, alpha, h):
        torch.manual_seed(0)
        random.seed(0)
        np.random.seed(0)
        torch.set_default_dtype(torch.float16)
        warnings.simplefilter("always")
        print("spam")
        print("spam", file=sys.stderr)
        warnings.warn("spam", stacklevel=1)
        return np.float64(1) / np.float64(0) + force(x, alpha, h)

    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist(), list(warnings.filters)
    for fn in (force, careless, divides, stub):
        check("4.2", fn)
        fallback("4.2", fn)
    out, err = capsys.readouterr()
    assert "spam" not in out + err
    after = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist(), list(warnings.filters)
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.filterwarnings("error")
def test_a_warning_is_no_mistake(use, capsys):
    """Also where the notebook turns warnings into errors, which is its own business."""

    def warns(x, alpha, h):
        warnings.warn("spam", stacklevel=1)
        return force(x, alpha, h)

    assert said(capsys, warns) == "4.2  passed.  2 points"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_verdict_does_not_depend_on_the_default_dtype(use, capsys, dtype):
    """Inputs are float64, and an answer that makes new tensors makes them in float64."""
    torch.set_default_dtype(dtype)
    try:
        assert said(capsys, lambda x, alpha, h: force(x, alpha, h) + torch.zeros(2)) == "4.2  passed.  2 points"
        assert draw(declared(), 0)[0].dtype == torch.float64
        assert torch.get_default_dtype() == dtype
    finally:
        torch.set_default_dtype(torch.float32)


def test_the_verdict_does_not_depend_on_the_random_state(use, capsys):
    """An answer that draws from the global generator gives the same verdict each time."""
    lines = set()
    for seed in range(3):
        torch.manual_seed(seed)
        lines.add(said(capsys, lambda x, alpha, h: torch.randn(4, 2)))
    assert len(lines) == 1


def test_the_default_device_does_not_matter(use, capsys):
    """A notebook that makes its tensors elsewhere is checked on the CPU, and keeps its device."""
    with torch.device("meta"):
        assert said(capsys, force) == "4.2  passed.  2 points"
        assert torch.empty(0).device.type == "meta"


def test_fallback_gives_yours_or_the_reference_and_says_which(use, capsys):
    """Without running the check a second time for the same function."""
    calls = []

    def counted(x, alpha, h):
        calls.append(1)
        return force(x, alpha, h)

    check("4.2", counted)
    done = len(calls)
    capsys.readouterr()
    assert fallback("4.2", counted) is counted
    assert len(calls) == done == 5
    assert capsys.readouterr().out == "4.2  going on with yours.\n"
    reference = registry.exercise("4.2").reference
    for fn in (stub, divides, 3, force):
        assert fallback("4.2", fn) is (reference if fn is not force else force)
    assert capsys.readouterr().out == "4.2  going on with the reference.\n" * 3 + "4.2  going on with yours.\n"


def test_a_verdict_is_not_remembered_for_another_function(use, capsys):
    """The verdict belongs to the function object that was checked, not to its name."""
    check("4.2", force)
    fallback("4.2", lambda x, alpha, h: force(x, alpha, h) * 3)
    assert capsys.readouterr().out.endswith("4.2  going on with the reference.\n")


def test_a_wrong_answer_never_passes_because_another_draw_hides_it(use, capsys):
    """An answer that is right on the first draw only is wrong, and no wrong answer's sentence is given to it."""
    first = draw(declared(), 0)[0]

    def hard_coded(x, alpha, h):
        return force(x, alpha, h) if torch.equal(x, first) else -force(x, alpha, h)

    def another_mistake_later(x, alpha, h):
        return -force(x, alpha, h) if torch.equal(x, first) else 3 * force(x, alpha, h)

    for fn in (hard_coded, another_mistake_later):
        assert said(capsys, fn).startswith(not_yet("The values are not those of (4.4)."))


def test_a_wrong_answer_is_named_only_where_it_differs_from_the_reference(use, capsys):
    """A wrong function that is right on some draws and fails on the others explains nothing about other failures."""

    def partly(x, alpha, h):
        return force(x, alpha, h) / (x[0, 0] > 0).nonzero().size(0) if x[0, 0] > 0 else 1 / 0

    use(declared(wrong=[Wrong(partly, "Half of your particles are missing."), *declared().wrong[1:]]))
    line = said(capsys, lambda x, alpha, h: force(x, alpha, h) if x[0, 0] > 0 else torch.zeros(4, 2))
    assert line.startswith(not_yet("The values are not those of (4.4)."))


def test_a_wrong_answer_in_float32_is_still_recognised(use, capsys):
    """Rounding does not hide the mistake."""
    line = said(capsys, lambda x, alpha, h: -force(x.float(), alpha, h))
    assert line == not_yet("Your particles attract each other.")


def test_the_verdict_says_which_wrong_answer_it_was():
    """The class page counts them."""
    exercise = declared()
    for index, wrong in enumerate(exercise.wrong):
        assert grade(exercise, answer_of(exercise, wrong.fn, 9), 9).wrong == index
    assert grade(exercise, answer_of(exercise, changes_input, 9), 9).wrong is None


def test_exercises_with_the_same_inputs_get_different_draws():
    """The seed of a draw depends on the exercise, so that no exercise gives another's inputs away."""
    assert not torch.equal(draw(declared(), 0)[0], draw(declared(id="4.3"), 0)[0])
    assert torch.equal(draw(declared(), 7)[0], draw(declared(), 7)[0])


def test_a_wrong_answer_that_changes_its_input_is_told_so_in_its_own_words(use, capsys):
    """An anticipated mutation has its sentence before the general one."""

    def in_place(x, alpha, h):
        return x.mul_(2)

    wrong = [*declared().wrong, Wrong(in_place, "mul_ writes into the particles themselves.")]
    use(declared(wrong=wrong))
    assert said(capsys, lambda x, alpha, h: x.mul_(2)) == not_yet("mul_ writes into the particles themselves.")
    assert said(capsys, changes_input).startswith("4.2  not yet.  Your function changes its input")
    assert said(capsys, lambda x, alpha, h: 2 * x).startswith(not_yet("The values are not those of (4.4)."))


def test_grading_is_a_pure_comparison_of_arrays():
    """The arrays of a correct answer pass wherever they come from; those of another draw do not."""
    exercise = declared()
    answers = [answer_of(exercise, force, seed) for seed in (70, 71)]
    copies = [Answer({"": a.arrays[""].copy()}, {"": "tensor"}, container="Tensor") for a in answers]
    assert grade(exercise, copies, (70, 71)).passed
    assert not grade(exercise, copies, (71, 70)).passed
    assert not grade(exercise, copies[:1], (70, 71)).passed
    assert not grade(exercise, [], (70,)).passed
    assert grade(exercise, [Answer(problem="stub")], (70, 71)).status == "not attempted"
    assert expected(exercise, 70).arrays[""].dtype == np.float64


def test_close_is_relative_to_the_largest_number():
    """Tolerance 1e-8 means 1e-8 of the largest; infinities must be in the same places; whole numbers are exact."""
    due = np.array([1000.0, 1e-3])
    assert close(due + 5e-6, due, 1e-8)
    assert not close(due + 5e-5, due, 1e-8)
    assert close(np.array([np.inf, 1.0]), np.array([np.inf, 1.0]), 1e-8)
    assert not close(np.array([-np.inf, 1.0]), np.array([np.inf, 1.0]), 1e-8)
    assert close(np.array([np.nan]), np.array([np.nan]), 1e-8)
    assert not close(np.array([1.0]), np.array([np.nan]), 1e-8)
    assert not close(np.array([0.0]), np.array([1e-6]), 1e-8)
    assert close(np.zeros(2), np.zeros(2), 1e-8)
    assert not close(np.array([10**9]), np.array([10**9 + 1]), 1e-2)
    assert close(np.asarray("away"), np.asarray("away"), 1e-8)
    assert not close(np.asarray("away"), np.asarray("to"), 1e-8)
    assert not close(np.zeros((2, 1)), np.zeros((1, 2)), 1e-8)


def test_inputs_that_are_no_data_are_refused():
    """Functions are made inside `call`, since inputs must be sent to where the exercise runs."""
    with pytest.raises(TypeError, match="inputs must be tensors, numbers and strings, got builtin_function_or_method"):
        draw(declared(inputs=lambda g: (torch.tanh,)), 0)
    with pytest.raises(TypeError, match="inputs must return a tuple, got Tensor"):
        draw(declared(inputs=lambda g: torch.zeros(3)), 0)


def test_a_reference_without_an_answer_is_an_error_of_ours(use, capsys):
    """It is not the learner's fault, and the notebook still goes on."""
    use(declared(lambda x, alpha, h: 1 / 0))
    assert said(capsys, force) == not_yet("This exercise could not be checked (RuntimeError); please report it.")


def test_run_returns_every_answer_as_arrays():
    """bfloat16, sparse, conjugated, nested and huge numbers all become plain arrays."""
    cases = {
        "bfloat16": (torch.ones(2, dtype=torch.bfloat16), np.ones(2, np.float32)),
        "sparse": (torch.eye(2).to_sparse(), np.eye(2, dtype=np.float32)),
        "conjugated": (torch.tensor([1j]).conj(), np.array([-1j], np.complex64)),
        "huge": (10**30, np.asarray(np.inf)),
    }
    for value, array in cases.values():
        got = run(lambda value=value: value, ())
        assert np.array_equal(got.arrays[""], array)
        assert got.arrays[""].dtype == array.dtype
    nested = run(lambda: {"a": (1.0, [torch.zeros(2)]), "b": "text"}, ())
    assert dict(nested.types.items()) == {"a.0": "number", "a.1.0": "tensor", "b": "text"}
    endless = []
    endless.append(endless)
    assert run(lambda: endless, ()).problem == "type"


DECLARATIONS = {
    "the id must look like": {"id": "4"},
    "the title must be words": {"title": "Force."},
    "points must be a whole number from 1 to 20, got 0": {"points": 0},
    "difficulty must be a whole number from 1 to 5, got 6": {"difficulty": 6},
    "importance must be a whole number from 1 to 5, got 2.5": {"importance": 2.5},
    "minutes must be a whole number": {"minutes": 0},
    "the equation must look like": {"equation": "4.4"},
    "name must be the function's name in the cell, got 'a b'": {"name": "a b"},
    "inputs must be a function": {"inputs": None},
    "at least 4 wrong answers are due, got 3": {"wrong": declared().wrong[:3]},
    "each of wrong must be Wrong": {"wrong": [force] * 4},
    "two wrong answers have the same sentence": {"wrong": declared().wrong[:1] * 4},
    "at least 2 other correct answers are due, got 1": {"right": [force]},
    "right and properties must hold functions": {"properties": [3]},
    "the tolerance must lie between 0 and 1, got 2": {"tolerance": 2},
    "home must look like": {"home": "rbf"},
    "needs must be a tuple of strings": {"needs": "ring"},
    "call must be a function or None": {"call": 3},
    "a rubric leaves no room for a reference": {"rubric": "1 point: this."},
}


@pytest.mark.parametrize("sentence", DECLARATIONS)
def test_a_declaration_that_does_not_fit_is_refused_in_a_sentence(sentence):
    """Each field is checked when the exercise is made."""
    with pytest.raises(ValueError, match=f"^Exercise 4.*: {sentence}"):
        declared(**DECLARATIONS[sentence])


def test_an_experiment_needs_two_wrong_answers_and_one_right():
    """Fewer than for a function."""
    with pytest.raises(ValueError, match="at least 2 wrong answers are due, got 1"):
        declared(accept=lambda a, i: None, wrong=declared().wrong[:1])
    assert declared(accept=lambda a, i: None, wrong=declared().wrong[:2], right=[force]).kind == "experiment"


@pytest.mark.parametrize("sentence", ["No full stop", "Short.", "Two\nlines are too many for one sentence."])
def test_the_sentence_of_a_wrong_answer_is_a_sentence(sentence):
    """One line that ends in a full stop and says something."""
    with pytest.raises(ValueError, match="the sentence must be one line ending in a full stop"):
        Wrong(force, sentence)


def test_the_registry_refuses_strays_and_doubles(monkeypatch):
    """An id of another chapter, or one that is twice there, is found when the module is read."""

    class Module:
        EXERCISES = [declared(), declared()]

    monkeypatch.setattr(registry, "module", lambda chapter: Module)
    for chapter in (4, 94):
        with pytest.raises(ValueError, match="Exercise 4.2: declared twice, or in the module of chapter"):
            registry.exercises.__wrapped__(chapter)  # without its memory


CHOICE = Question("Is 1 < 2 & true?", [("yes & always", True, "One is less."), ("no", False, "It is <b>less</b>.")])
MANY = Question("Which are even?", [("2", True, "Two."), ("3", False, "Three is odd."), ("4", True, "Four.")])
NUMERIC = Question(
    "What is pi?", [((3.14, 3.15), True, "Near enough."), (3, False, "In a bill only.")], otherwise="No."
)


def test_a_quiz_is_printed_where_nothing_can_be_clicked(capsys, monkeypatch):
    """All questions first, then every answer with its feedback."""
    monkeypatch.setattr(registry, "module", lambda chapter: type("Module", (), {"QUIZ": [CHOICE, MANY, NUMERIC]}))
    quiz(4)
    assert capsys.readouterr().out.split("\n") == [
        "1. Is 1 < 2 & true?",
        "   a) yes & always",
        "   b) no",
        "2. Which are even? (choose all that hold)",
        "   a) 2",
        "   b) 3",
        "   c) 4",
        "3. What is pi?",
        "",
        "Answers",
        "1. a): Correct. One is less.",
        "1. b): Not correct. It is <b>less</b>.",
        "2. a): Correct. Two.",
        "2. b): Not correct. Three is odd.",
        "2. c): Correct. Four.",
        "3. 3.14 to 3.15: Correct. Near enough.",
        "3. 3: Not correct. In a bill only.",
        "3. any other number: Not correct. No.",
        "",
    ]


def test_a_chapter_without_a_quiz_says_so(monkeypatch):
    """Asking for one is a mistake of the author's."""
    monkeypatch.setattr(registry, "module", lambda chapter: type("Module", (), {}))
    with pytest.raises(KeyError, match="chapter 4 has no quiz"):
        quiz(4)


def test_a_clickable_quiz_loads_nothing_and_holds_every_feedback():
    """No address in it, texts escaped, the same bytes each time, the random state untouched, plain text beside it."""
    state = random.getstate()
    shown = as_html([CHOICE, MANY, NUMERIC], "quiz-4")
    assert random.getstate() == state
    random.seed(3)
    assert shown == as_html([CHOICE, MANY, NUMERIC], "quiz-4") != as_html([CHOICE], "quiz-5")
    assert "://" not in shown
    assert "src=" not in shown
    assert "import(" not in shown
    assert "fetch(" not in shown
    assert re.findall(r"(\S+)\s+window\.MathJax = ", shown) == ["return;", "return;"]
    for text in (
        "One is less.",
        "It is &lt;b&gt;less&lt;/b&gt;.",
        "Three is odd.",
        "In a bill only.",
        '"feedback": "Not correct. No."',
    ):
        assert text in shown
    assert '"many_choice"' in shown
    assert '"multiple_choice"' in shown
    assert '"numeric"' in shown
    assert "<b>less" not in shown
    assert "then press Enter" in shown
    assert "<noscript><pre>1. Is 1 &lt; 2" in shown


def test_in_a_notebook_the_quiz_is_one_output_with_text(monkeypatch, capsys):
    """A kernel displays HTML; where jupyterquiz is missing the same kernel prints."""
    from course_lib.exercises import quizzes

    shown = []
    monkeypatch.setattr(registry, "module", lambda chapter: type("Module", (), {"QUIZ": [CHOICE]}))
    monkeypatch.setattr("IPython.get_ipython", lambda: type("Shell", (), {"kernel": 1})())
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data))
    monkeypatch.setattr(quizzes, "as_html", lambda questions, id: f"<p>{id}</p>")
    quiz(4)
    assert shown == [{"text/html": "<p>quiz-4</p>", "text/plain": as_text([CHOICE])}]
    monkeypatch.setattr(quizzes, "find_spec", lambda name: None)
    quiz(4)
    assert capsys.readouterr().out == as_text([CHOICE]) + "\n"
    assert len(shown) == 1


QUESTIONS = {
    "each answer must be": [("a", True)],
    "no answer is correct": [("a", False, "x"), ("b", False, "y")],
    "each answer needs a feedback of its own": [("a", True, ""), ("b", False, "y")],
    "answers must be all texts or all numbers": [("a", True, "x"), (3, False, "y")],
    "a numeric question needs `otherwise`": [(3, True, "x")],
    "a choice needs at least two answers": [("a", True, "x")],
    "two answers are the same": [("a", True, "x"), ("a", False, "y")],
}


@pytest.mark.parametrize("sentence", QUESTIONS)
def test_a_question_that_does_not_fit_is_refused_in_a_sentence(sentence):
    """Each answer has a feedback, at least one is correct."""
    with pytest.raises(ValueError, match=f"^Question 'Why': {sentence}"):
        Question("Why", QUESTIONS[sentence])


def test_a_number_that_was_computed_in_float32_is_told_so(use, capsys):
    """As a tensor in float32 is, and not that its values are wrong."""
    mean = lambda x, a, h: x.square().mean().item()  # noqa: E731
    use(declared(reference=mean, name="mean"))
    by_hand = lambda x, a, h: x.float().square().mean().item()  # noqa: E731
    assert said(capsys, by_hand) == not_yet("Right, but computed in float32: keep the dtype of the input, float64.")
    off = lambda x, a, h: mean(x, a, h) * (1 + 3e-4)  # noqa: E731
    assert said(capsys, off).startswith(not_yet("The values are not those of (4.4)."))


@pytest.mark.parametrize("change", [lambda f: f * (1 + 3e-6), lambda f: (f.float() + f) / 2])
def test_what_differs_by_rounding_or_a_small_number_is_told_so(change, use, capsys):
    """On all draws; where one of them differs by more, the values differ."""
    use(declared())
    assert said(capsys, lambda x, a, h: change(force(x, a, h))) == not_yet(NEARLY)
    far = lambda x, a, h: change(force(x, a, h)) + (x[0, 0] > 0)  # noqa: E731
    assert said(capsys, far).startswith(not_yet("The values are not those of (4.4)."))


def test_a_tensor_that_was_computed_in_float32_is_told_so(use, capsys):
    use(declared())
    inside = lambda x, a, h: force(x.float(), a, h).double()  # noqa: E731
    assert said(capsys, inside) == not_yet("Right, but computed in float32: keep the dtype of the input, float64.")


def test_an_experiment_tells_what_it_has_measured(use, capsys):
    def accept(answer, inputs):
        spread = answer.std()
        return ("Your particles are too close.", {"spread, .9 due": spread}) if spread < 0.9 else None

    use(declared(accept=accept, reference=lambda x, a, h: x / x.std(), right=[lambda x, a, h: x / x.std()]))
    told = said(capsys, lambda x, a, h: 0.25 * x / x.std()).splitlines()
    assert told[0] == not_yet("Your particles are too close.")
    assert told[1].split() == ["spread,", ".9", "due", "0.25"]


def test_noise_that_an_answer_draws_is_not_the_input_s():
    """The generator of the inputs has another seed than the global one while an answer runs."""
    exercise = declared(inputs=lambda g: (torch.randn(4, 2, generator=g), 1.0, 1.0))
    answer = answer_of(exercise, lambda x, a, h: x - torch.randn(4, 2), 0)
    assert np.abs(answer.arrays[""]).min() > 1e-6
