"""What comes out of the sandbox is data that anybody may have written: it is validated, compared, and marked."""

import io
import json
import random
import struct
import zipfile

import numpy as np
import pytest
import torch

from course_lib.exercises import registry
from course_lib.exercises.answers import Answer, run
from course_lib.exercises.comparing import answer_of
from course_lib.exercises.declare import Exercise, Wrong
from course_lib.tools.environment import Problem
from course_lib.tools.grade.inside.records import LENGTH, MAGIC, MOST, OUTCOMES, encode, npy, packed
from course_lib.tools.grade.marked import comparer
from course_lib.tools.grade.marked.comparer import marked
from course_lib.tools.grade.marked.result import Mark
from course_lib.tools.grade.outside import library, plan
from course_lib.tools.grade.outside.incoming import Refused, array_from, received, text, unpacked
from course_lib.tools.grade.outside.measuring import Measured
from course_lib.tools.grade.outside.sandbox import Limits
from course_lib.tools.grade.outside.session import Reply

FORCE, DIVERSE = registry.exercise("4.2"), registry.exercise("4.7")
SEEDS, LIMITS = [3, 1], Limits()
ONE = Answer({"": np.eye(2)}, {"": "tensor"}, container="Tensor")
META = {"paths": [""], "types": ["tensor"], "problem": "", "detail": "", "container": "Tensor"}


def archive(*entries, method=zipfile.ZIP_STORED) -> bytes:
    """A record of these entries (name, bytes)."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as target:
        for name, data in entries:
            target.writestr(name, data)
    return file.getvalue()


def framed(record: bytes) -> bytes:
    return LENGTH.pack(len(record)) + record


def meta(data) -> tuple[str, bytes]:
    told = data if isinstance(data, bytes) else json.dumps(data).encode()
    return "meta.npy", npy(np.frombuffer(told, np.uint8))


def header(text: str, body: bytes = b"") -> bytes:
    """A .npy file with a header of one's own."""
    told = text.encode() + b"\n"
    return MAGIC + struct.pack("<H", len(told)) + told + body


def npy_header(descr: str = "'<f8'", order: str = "False", shape: str = "()") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"


NO_ARRAYS = [
    b"",
    b"x" * 100,
    b"\x93NUMPY",
    b"\x93NUMPY\x02\x00" + bytes(50),
    npy(np.eye(2))[:-1],
    npy(np.eye(2)) + b"x",
    header("(" * 3000),
    header(npy_header("[('a', '<f8')]", shape="(1,)"), bytes(8)),
    header(npy_header(order="True"), bytes(8)),
    header(npy_header("'<U1'"), struct.pack("<I", 0x110000)),
    header(npy_header("'|b1'"), b"\x02"),
]
for dtype in ("|O", "<O8", "<M8", ">f8", "<f3", "<f9999", "<U0", "|S8", "|V8", "<b1", "<i1", "|f8", "f8"):
    NO_ARRAYS.append(header(npy_header(repr(dtype)), bytes(8)))
for shape in (
    "(-1,)",
    "(1e9,)",
    "(2,)",
    "(999999999, 999999999)",
    f"({'1, ' * 9})",
    "(open('/'),)",
    "1",
    "(1,), 'x': (1,)",
):
    NO_ARRAYS.append(header(npy_header(shape=shape), bytes(8)))


@pytest.mark.parametrize("data", NO_ARRAYS)
def test_an_array_that_is_none_is_refused(data):
    with pytest.raises(Refused):
        array_from(data)


def test_arrays_of_numbers_and_texts_are_read():
    for array in (
        np.eye(3),
        np.zeros((2, 0, 3)),
        np.asarray(2.5),
        np.asarray("tüx"),
        np.arange(4) > 1,
        np.ones(8) * 1j,
    ):
        back = array_from(npy(array))
        assert back.dtype == array.dtype
        assert np.array_equal(back, array)
        assert back.flags.writeable


ENTRY = ("a0.npy", npy(np.eye(2)))
REFUSED = {
    "no archive": b"x" * 50,
    "an empty archive": archive(),
    "no meta data": archive(ENTRY),
    "another name": archive(meta(META), ("../a0.npy", ENTRY[1])),
    "a gap": archive(meta(META), ENTRY, ("a2.npy", ENTRY[1])),
    "compressed": archive(meta(META), ("a0.npy", npy(np.zeros(10_000))), method=zipfile.ZIP_DEFLATED),
    "too many arrays": archive(meta(META), *((f"a{i}.npy", ENTRY[1]) for i in range(65))),
    "no json": archive(meta(b"{")),
    "deep json": archive(meta(b"[" * 50_000)),
    "a list": archive(meta([1])),
    "no letters": archive(meta(b"\xff")),
    "other fields": archive(meta(META | {"more": 1}), ENTRY),
    "fewer fields": archive(meta({"paths": []})),
    "a property and an array": archive(meta({"property": ""}), ENTRY),
    "a property that is no text": archive(meta({"property": 3})),
    "no paths": archive(meta(META | {"paths": 3}), ENTRY),
    "paths that are no text": archive(meta(META | {"paths": [3]}), ENTRY),
    "more paths than arrays": archive(meta(META | {"paths": ["", "b"]}), ENTRY),
    "a path twice": archive(meta(META | {"paths": ["", ""], "types": ["tensor"] * 2}), ENTRY, ("a1.npy", ENTRY[1])),
    "another type": archive(meta(META | {"types": ["Liar"]}), ENTRY),
    "a type that is no text": archive(meta(META | {"types": [["tensor"]]}), ENTRY),
    "a text that is no text": archive(meta(META | {"types": ["text"]}), ENTRY),
    "a tensor that is a text": archive(meta(META), ("a0.npy", npy(np.asarray("x")))),
    "a number that is an array": archive(meta(META | {"types": ["number"]}), ENTRY),
    "another problem": archive(meta(META | {"problem": "passed"}), ENTRY),
    "a problem that is no text": archive(meta(META | {"problem": []}), ENTRY),
    "a problem with arrays": archive(meta(META | {"problem": "raised"}), ENTRY),
    "a detail that is no text": archive(meta(META | {"detail": 3}), ENTRY),
    "a container that is no text": archive(meta(META | {"container": None}), ENTRY),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_record_that_is_none_is_refused(name):
    with pytest.raises(Refused):
        received(framed(REFUSED[name]))


def test_an_archive_whose_sizes_lie_is_refused():
    record = bytearray(archive(meta(META), ENTRY))
    for offset in (20, 24):  # the sizes in the central directory
        for entry in [at for at in range(len(record)) if record[at : at + 4] == b"PK\x01\x02"]:
            record[entry + offset : entry + offset + 4] = b"\xff\xff\xff\x7f"
    with pytest.raises(Refused):
        unpacked(bytes(record))


def test_records_that_are_too_many_too_long_or_out_of_order_are_refused():
    with pytest.raises(Refused, match="too much"):
        received(LENGTH.pack(MOST + 1))
    with pytest.raises(Refused, match="too much"):
        received(packed({"property": ""}) * 5001)
    with pytest.raises(Refused, match="after the properties"):
        received(packed({"property": ""}) + encode(ONE))


def test_a_record_that_is_cut_off_does_not_count():
    for end in (1, 3, 4, 100, len(encode(ONE)) - 1):
        assert len(received(encode(ONE) + encode(ONE)[:end]).answers) == 1
    assert received(b"") == received(b"\0")


def test_ten_thousand_mutated_records_are_answers_or_refused():
    """Nothing else is raised, and nothing but numbers and texts gets through."""
    rng, passed = random.Random(0), 0
    record = encode(Answer({"a": np.eye(2), "b": np.asarray("x")}, {"a": "tensor", "b": "text"}, container="dict"))
    for _ in range(10_000):
        data = bytearray(record + packed({"property": "No."}))
        for _ in range(rng.choice((1, 1, 2, 10))):
            at = rng.randrange(len(data))
            data[at : at + rng.choice((0, 1, 4))] = rng.randbytes(rng.choice((0, 1, 1, 4)))
        try:
            sent = received(bytes(data))
        except Refused:
            continue
        passed += 1
        for answer in sent.answers:
            assert all(array.dtype.kind in "biufcU" for array in answer.arrays.values())
    assert 100 < passed < 5000


def test_texts_are_one_line_that_can_be_written():
    assert text(" a\n\tb\0\x1b[31m\u202e\ud800c ") == "a b [31m ?c"
    assert len(text("x" * 10_000)) == 300
    with pytest.raises(Refused):
        text(3)


def test_a_message_tells_no_decimals():
    """They may be hidden inputs."""
    sent = received(encode(Answer(problem="raised", detail="KeyError: 0.2345 of -1.5e-07, in line 3: x[12]")))
    assert sent.answers[0].detail == "KeyError: ... of ..., in line 3: x[12]"
    assert received(packed({"property": "It raised 0.25."})).properties == ("It raised ....",)


def records(fn, properties=6, exercise=FORCE) -> bytes:
    """What a worker sends for a function that is right about the properties."""
    answers = b""
    for seed in SEEDS:
        answer = answer_of(exercise, fn, seed)
        answers += encode(answer)
        if answer.problem not in ("", "mutated"):
            return answers
    return answers + packed({"property": ""}) * properties


ZIP_HEADER = 30  # bytes of an entry before its name
RIGHT = records(FORCE.reference)


def mark(data: bytes, outcome: str = "ended", code: int = 0, exercise=FORCE) -> Mark:
    """The mark for records, of which a worker sends the answers that nobody outside asks for, and no property."""
    assert outcome in (*OUTCOMES, "gone")
    cut = 0 if exercise.outside else len(data)
    if not exercise.outside and b'{"property"' in data:
        cut = data.rindex(b"meta.npy", 0, data.index(b'{"property"')) - ZIP_HEADER - LENGTH.size
    reply = Reply(outcome, code, 1.0, data[:cut], Measured(data[cut:]))
    return marked(exercise, reply, SEEDS, LIMITS)


def test_what_is_measured_outside_cannot_be_said_inside():
    """Neither that a property holds, nor an answer to an experiment; that there is none may be said."""
    answers = encode(answer_of(FORCE, FORCE.reference, 3)) + encode(answer_of(FORCE, FORCE.reference, 1))
    forged = marked(FORCE, Reply("ended", 0, 1.0, answers + packed({"property": ""}) * 6), SEEDS, LIMITS)
    assert (forged.status, "measured outside" in forged.sentence) == ("refused", True)
    data = b"".join(encode(answer_of(DIVERSE, DIVERSE.reference, seed)) for seed in SEEDS)
    forged = marked(DIVERSE, Reply("ended", 0, 1.0, data), SEEDS, LIMITS)
    assert (forged.status, "measured outside" in forged.sentence) == ("refused", True)
    none = marked(DIVERSE, Reply("ended", 0, 1.0, encode(Answer(problem="no function"))), SEEDS, LIMITS)
    assert none.sentence.startswith("Your cell defines no function")


def test_a_conversation_that_was_no_conversation_is_refused():
    told = marked(FORCE, Reply("ended", 0, 1.0, b"", Measured(ended="an array that is cut off")), SEEDS, LIMITS)
    assert (told.status, "an array that is cut off" in told.sentence) == ("refused", True)


def raises(*args):
    raise ValueError("0.5 is no number")


def stub(*args):
    raise NotImplementedError


def test_a_right_answer_earns_the_points():
    assert mark(RIGHT) == Mark("passed", 2.0, 2)


def test_what_is_not_right_earns_none_and_says_why():
    assert mark(records(lambda x, alpha, h: -FORCE.reference(x, alpha, h))) == Mark(
        "wrong", 0.0, 2, FORCE.wrong[0].sentence, 0
    )
    assert mark(records(stub)) == Mark("not attempted", 0.0, 2, "Not attempted.")
    other = mark(records(lambda x, alpha, h: x))
    assert (other.status, other.sentence) == ("wrong", "The values are not those of (4.4).")
    raised = mark(records(raises))
    assert raised.status == "error"
    assert raised.sentence.startswith("Your code raised ValueError: ... is no number, in line ")
    assert mark(encode(Answer(problem="recursion"))).status == "error"
    assert mark(encode(Answer(problem="exit", detail="SystemExit"))).status == "error"
    assert mark(encode(Answer(problem="type", detail="Liar"))).status == "wrong"
    assert (
        mark(encode(Answer(problem="missing return"))).sentence == "Your function returns None: is a `return` missing?"
    )
    keep = "Your cell defines no function force: keep the name that the exercise gave it."
    assert mark(encode(Answer(problem="no function"))) == Mark("error", 0.0, 2, keep)
    assert "no function but of type int" in mark(encode(Answer(problem="no function", detail="int"))).sentence


def test_a_property_counts_after_the_values():
    broken = packed({"property": ""}) * 2 + packed({"property": "No symmetry."}) + packed({"property": ""}) * 3
    assert mark(records(FORCE.reference, 0) + broken) == Mark("wrong", 0.0, 2, "No symmetry.")
    assert mark(records(lambda *a: -FORCE.reference(*a), 0) + broken).wrong == 0


@pytest.mark.parametrize(
    ("outcome", "code", "status", "said"),
    [
        (
            "cpu",
            24,
            "timeout",
            "Your code did not end within 20 seconds of computing (200 in all): is there an endless loop",
        ),
        (
            "wall",
            9,
            "timeout",
            "Your code did not end within 20 seconds of computing (200 in all): is there an endless loop",
        ),
        ("killed", 9, "error", "Your code was killed (SIGKILL): by itself, or because it used all the memory."),
        ("killed", 11, "error", "Your code crashed Python (SIGSEGV): does it recurse without end"),
        ("killed", 250, "error", "Your code was killed (signal 250): by itself"),
        ("memory", 9, "error", "Your code and the processes that it started used more than 2 GB together."),
        ("files", 9, "error", "Your code wrote more than 64 MB or 10,000 files."),
        ("stopped", 0, "error", "Your code stopped its own process (SIGSTOP): leave signals alone."),
        ("flood", 0, "refused", "Your code sent back more than 16 MB: return the answer only."),
        ("gone", 0, "error", "Your code ended the process that runs it: leave the other processes alone."),
        ("ended", 3, "error", "Your code ended Python (exit status 3) before it gave an answer."),
    ],
)
def test_how_code_ended_without_all_its_answers(outcome, code, status, said):
    for data in (b"", encode(answer_of(FORCE, FORCE.reference, 3)), records(FORCE.reference, 2)):
        got = mark(data, outcome, code)
        assert (got.status, got.points) == (status, 0.0)
        assert got.sentence.startswith(said)


def test_what_came_before_the_end_still_counts():
    """With all answers, or one that is none, or all values and wrong ones, it does not matter how the code ended."""
    for outcome in (*OUTCOMES, "gone"):
        assert mark(RIGHT, outcome).status == "passed"
        assert mark(records(stub), outcome).status == "not attempted"
        assert mark(records(lambda x, alpha, h: -FORCE.reference(x, alpha, h), 2), outcome).wrong == 0


@pytest.mark.parametrize(
    "data",
    [
        framed(REFUSED["no json"]),
        records(FORCE.reference, 0) + encode(ONE),
        RIGHT + packed({"property": ""}),
        encode(Answer(problem="stub")) + encode(ONE),
        encode(ONE) + packed({"property": ""}),
        encode(Answer(problem="stub")) + packed({"property": ""}),
    ],
)
def test_answers_that_no_worker_of_ours_sends_are_refused(data):
    got = mark(data)
    assert got.status == "refused"
    assert got.sentence.startswith("What your code sent back is no answer (")
    assert mark(data, "cpu").status == "timeout"


def test_an_experiment_is_judged_by_its_declaration():
    data = b"".join(encode(answer_of(DIVERSE, DIVERSE.reference, seed)) for seed in SEEDS)
    assert mark(data, exercise=DIVERSE) == Mark("passed", 4.0, 4)
    lazy = b"".join(encode(answer_of(DIVERSE, lambda D, size: D, seed)) for seed in SEEDS)
    assert mark(lazy, exercise=DIVERSE).wrong == 0


def broken(accept) -> Exercise:
    """An experiment whose declaration is at fault."""
    wrong = [Wrong(abs, "This is one mistake."), Wrong(abs, "This is another mistake.")]
    inputs = lambda g: (torch.randn(2, generator=g),)  # noqa: E731
    return Exercise(
        "4.9", "A", 3, 1, 1, 5, name="f", reference=abs, inputs=inputs, accept=accept, wrong=wrong, right=[abs]
    )


@pytest.mark.parametrize("error", [ValueError, KeyError, RuntimeError, ZeroDivisionError, AssertionError])
def test_a_declaration_that_raises_is_reported_and_stops_nothing(error):
    def accept(answer, inputs):
        raise error

    exercise = broken(accept)
    data = b"".join(encode(run(abs, (torch.ones(2),), seed=seed)) for seed in SEEDS)
    said = f"This exercise could not be graded ({error.__name__} in its declaration): please report it."
    assert mark(data, exercise=exercise) == Mark("error", 0.0, 3, said)


def test_numbers_of_any_kind_are_marked():
    """Infinite, not a number, complex, huge, of no dimension: a mark, and never an exception."""
    rng = np.random.default_rng(0)
    for kind in ("f8", "f4", "f2", "c16", "i8", "u1", "b1", "U3", "f16"):
        for shape in ((), (0,), (3, 3), (4, 3), (5, 3), (6, 3), (7, 3), (8, 3), (1, 1, 1, 1)):
            array = rng.integers(0, 2, shape).astype(kind)
            for value in (None, np.nan, np.inf):
                if value is not None and np.dtype(kind).kind in "fc":
                    array = np.full(shape, value, kind)
                answer = Answer({"": array}, {"": "text" if kind == "U3" else "tensor"})
                if kind == "U3" and shape:
                    continue
                assert mark(encode(answer) * 2 + packed({"property": ""}) * 6).status == "wrong"


def test_the_draws_of_a_term_are_the_same_everywhere_and_others_in_another_term():
    exercise = registry.exercise("3.7")
    assert plan.term_seeds(exercise, "spring") == plan.term_seeds(exercise, "spring")
    assert not {*plan.term_seeds(exercise, "spring")} & {*plan.term_seeds(exercise, "autumn"), *range(10)}
    assert plan.term_seeds(FORCE, "spring") == [plan.hashed(f"spring 4.2 0 {i}") for i in range(5)], (
        "marks of earlier terms would change"
    )


def test_a_term_on_which_a_right_answer_is_unlucky_is_not_used(monkeypatch):
    tried = []

    def fair(exercise, seeds):
        tried.append(seeds)
        return len(tried) == 3

    monkeypatch.setattr(plan, "fair", fair)
    assert plan.term_seeds(FORCE, "spring") == tried[2] == [plan.hashed(f"spring 4.2 2 {i}") for i in range(5)]
    monkeypatch.setattr(plan, "fair", lambda exercise, seeds: False)
    with pytest.raises(Problem, match="Exercise 4.2 tells right from wrong on none of 20 draws"):
        plan.term_seeds(FORCE, "spring")


def test_draws_are_fair_where_right_passes_and_wrong_fails():
    assert plan.fair(FORCE, [1, 2])
    fields = vars(FORCE) | {"right": [FORCE.wrong[0].fn, FORCE.reference]}
    assert not plan.fair(Exercise(**fields), [1, 2])
    fields = vars(FORCE) | {"wrong": [*FORCE.wrong[1:], Wrong(FORCE.reference, "This is not wrong at all.")]}
    assert not plan.fair(Exercise(**fields), [1, 2])


def test_a_chapter_without_exercises_that_run_is_told(monkeypatch):
    with pytest.raises(Problem, match="there are no exercises for chapter 77.*choose one with --chapter"):
        plan.made(77, "spring")
    words = registry.exercise("4.8")
    monkeypatch.setattr(plan.registry, "exercises", lambda chapter: (words,))
    with pytest.raises(Problem, match="Chapter 4 has no exercise that can be graded by running it"):
        plan.made(4, "spring")


@pytest.mark.parametrize("number", [one.id for one in registry.all_exercises() if one.kind != "judged"])
def test_a_worker_is_told_no_answer(number):
    """No declaration, tool or test is among the modules, and the home is there by name only."""
    exercise = registry.exercise(number)
    told = plan.told(exercise, [1])
    assert set(told) == {"id", "name", "modules", "prelude", "call", "draws", "asked"}
    assert not (exercise.outside and told["draws"]), "they are handed over one by one"
    assert told["asked"] == bool(exercise.outside or exercise.properties)
    assert "course_lib.exercises" in told["modules"]
    assert not [name for name in told["modules"] if name.startswith(("course_lib.exercises.", "course_lib.tools"))]
    home = library.removed(exercise)
    whole = library.plain()
    changed = {name for name, module in told["modules"].items() if module != whole[name]}
    assert changed == ({home[0]} if home else set())
    assert bool(home) == bool(exercise.home and exercise.home.split(":")[1] not in exercise.needs)


def test_a_home_that_is_not_there_is_an_error():
    import ast

    with pytest.raises(ValueError, match="There is no force to leave out"):
        library.take_out(ast.parse("x = 1"), "force")


def test_a_method_or_class_is_left_out_too():
    import ast

    source = "class A(B, metaclass=C):\n    x = 1\n\n    @property\n    def f(self):\n        return 1\n"
    source += "\n\nclass D:\n    y = 2\n"
    tree = ast.parse(source)
    library.take_out(tree, "A.f")
    library.take_out(tree, "D")
    names = {"B": object, "C": type}
    exec(compile(tree, "x", "exec"), names)
    assert names["A"].x == 1
    for call in (names["A"]().f, names["D"]):
        with pytest.raises(LookupError, match="is what this exercise asks you to write, so it is absent here"):
            call(1, 2, k=3)
    tree = ast.parse("class A(B):\n    pass")
    library.take_out(tree, "A")
    exec(compile(tree, "x", "exec"), {})
    assert comparer.crashed(6).startswith("Your code crashed Python (SIGABRT)")
