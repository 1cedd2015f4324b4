"""The synthetic class: every variant of a declaration as a cell of its own, plausible notebooks, and its truth."""

import ast
import json
import re
import zipfile
from functools import cache

import nbformat
import pytest

from course_lib.exercises import all_exercises, exercise, exercises
from course_lib.exercises.answers import Answer
from course_lib.exercises.comparing import answer_of, grade
from course_lib.exercises.declare import Exercise, Wrong
from course_lib.exercises.portable import prelude
from course_lib.tools import cli
from course_lib.tools.grade.rehearsed import make_class, variants
from course_lib.tools.grade.rehearsed.make_class import Answers, make, students, template
from course_lib.tools.grade.rehearsed.variants import cell, node_of, renamed, unfinished, without_return
from tests.homes import without_home

GRADED = [one for one in all_exercises() if one.kind != "judged"]
each = pytest.mark.parametrize("exercise", GRADED, ids=lambda one: one.id)
STUDENTS = 30


def run(exercise, source):
    """The function that a cell defines where only the prelude is bound."""
    names = {}
    exec("\n".join([*prelude(exercise), source]), names)
    return names[exercise.name]


def answers(exercise, fn, monkeypatch) -> list[Answer]:
    """The answers to the public draws, without the library's own function unless the exercise hands it out."""
    with monkeypatch.context() as patch:
        if exercise.home.rpartition(":")[2] not in exercise.needs:
            without_home(exercise, patch)
        return [answer_of(exercise, fn, seed) for seed in range(exercise.public_draws)]


@each
@pytest.mark.parametrize("style", ["", "my_{}"], ids=["plain", "renamed"])
def test_every_variant_stands_on_its_own_and_gets_its_verdict(exercise, style, monkeypatch):
    """Each right and each wrong function, written as a cell, is graded as the function itself is."""
    seeds = range(exercise.public_draws)
    change = renamed(style) if style else None
    expected = [(fn, None) for fn in exercise.right] + [(one.fn, i) for i, one in enumerate(exercise.wrong)]
    for fn, index in expected:
        source = cell(exercise, fn, "What it does.", change)
        assert source.startswith(f"# exercise {exercise.id}\n")
        verdict = grade(exercise, answers(exercise, run(exercise, source), monkeypatch), seeds)
        assert (verdict.passed, verdict.wrong) == (index is None, index), f"{verdict}\n{source}"


@each
def test_half_solved_cells_pass_nothing(exercise, monkeypatch):
    """Without its end an answer is not attempted; without its return it is wrong."""
    stub = f'raise NotImplementedError("Exercise {exercise.id}")'
    seeds = range(exercise.public_draws)
    for fn in exercise.right:
        for change, status in ((unfinished(stub), "not attempted"), (without_return, "wrong")):
            source = make_class._changed(exercise, fn, "Half.", change)
            if source:
                verdict = grade(exercise, answers(exercise, run(exercise, source), monkeypatch), seeds)
                assert verdict.status == status, source


def test_a_cell_reads_as_a_student_would_write_it():
    wrong = next(one for one in exercise("4.2").wrong if "minus" in one.sentence)
    assert cell(exercise("4.2"), wrong.fn, "Pushes apart.", renamed("my_{}")) == (
        "# exercise 4.2\nimport torch\n\n\n"
        "def force_by_differences(x, alpha, h):\n"
        "    difference = x[:, None] - x\n"
        "    k = torch.exp(-difference.square().sum(-1) / h)\n"
        "    return 2 * alpha / (len(x) * h) * (difference * k[..., None]).sum(1)\n\n\n"
        'def force(my_x, my_alpha, my_h):\n    """Pushes apart."""\n'
        "    return -force_by_differences(my_x, my_alpha, my_h)"
    )


def test_arguments_that_callers_may_name_keep_their_names():
    def settle(x, calls, randn_like=None):
        total = [x for _ in range(calls)]
        return total, randn_like

    node = ast.parse(ast.unparse(node_of(settle))).body[0]
    assert ast.unparse(renamed("{}1")(node)).startswith("def settle(x1, calls1, randn_like=None):\n    total1 =")


def test_arguments_of_a_returned_function_keep_their_names():
    def make(x, h):
        def D(x, sigma):
            return x / sigma

        return D

    node = ast.parse(ast.unparse(node_of(make))).body[0]
    assert ast.unparse(renamed("{}1")(node)) == (
        "def make(x, h1):\n\n    def D(x, sigma):\n        return x / sigma\n    return D"
    )


def test_only_a_function_with_one_end_is_halved():
    def two_ends(x):
        if x is None:
            return 0
        return x + 1

    def one_line(x):
        """What it does."""
        return x

    tree = [ast.parse(ast.unparse(node_of(fn))).body[0] for fn in (two_ends, one_line)]
    assert [unfinished("raise NotImplementedError")(node) for node in tree] == [None, None]
    assert without_return(tree[0]) is None
    assert ast.unparse(without_return(tree[1]).body[-1]) == "answer = x"


def test_the_inner_of_two_functions_alike_is_found():
    inner = (lambda x: lambda x: x + 1)(0)
    assert ast.unparse(node_of(inner)) == "lambda x: x + 1"


def test_what_cannot_be_written_is_refused():
    table = object()

    def strange(x):
        return table, x

    some = Exercise(
        "9.1", "Some", 1, 1, 1, 1, name="f", reference=strange, inputs=lambda g: (1,), right=[strange, strange],
        wrong=[Wrong(lambda x, n=n: n, f"This is wrong answer number {n}.") for n in range(4)],
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"Exercise 9\.1: table cannot be written into a cell\."):
        cell(some, strange)
    namespace = {}
    exec(compile("def unseen(): return 1", "course_lib/nowhere.py", "exec"), namespace)
    with pytest.raises(FileNotFoundError):
        node_of(namespace["unseen"])
    with pytest.raises(ValueError, match="does not hold the function"):
        node_of(eval(compile("lambda odd_name: 1", variants.__file__, "eval")))


@cache
def handed_in(root):
    """The first class of chapter 4, without files."""
    return list(students(template(root, 4), 4, STUDENTS, "spring"))


def answer_cell(notebook, id):
    """An exercise's cell by its metadata or, as Colab leaves it, by its marker."""
    for one in notebook["cells"]:
        source = "".join(one["source"])
        if one["cell_type"] == "code" and re.match(rf"# exercise {re.escape(id)}\s", source):
            return source
    return None


@cache
def verdict_on(id, source):
    """Status and wrong answer of a cell, in process."""
    if source is None:
        return "missing", None
    one = exercise(id)
    try:
        fn = run(one, source)
    except SyntaxError:
        return "error", None
    seeds = range(one.public_draws)
    verdict = grade(one, [answer_of(one, fn, seed) for seed in seeds], seeds)
    return verdict.status, verdict.wrong


def test_the_truth_of_a_class_is_true(root):
    """Thirty students of chapter 4: every mark of the truth is the mark that grading the notebook's cell gives."""
    assert len(handed_in(root)) == STUDENTS
    for folder, _, notebook, handed in handed_in(root):
        for id, one in handed.items():
            found = verdict_on(id, answer_cell(notebook, id))
            assert found == (one.status, one.wrong), f"{folder} {id} {one.kind}\n{one.source}"
            assert one.points == (exercise(id).points if one.status == "passed" else 0)


def test_a_class_has_every_kind_of_answer_and_of_notebook(root):
    kinds = {one.kind.split(",")[0].split()[0] for _, _, _, handed in handed_in(root) for one in handed.values()}
    assert kinds == {"right", "wrong", "half", "stub", "syntax", "deleted"}
    assert any("renamed" in one.kind for *_, handed in handed_in(root) for one in handed.values())
    looks = {("colab" in n["metadata"], any(c.get("execution_count") for c in n["cells"])) for _, _, n, _ in
             handed_in(root)}  # fmt: skip
    assert looks == {(True, True), (False, True), (False, False)}
    assert any("scratch" in c.get("id", "") for _, _, n, _ in handed_in(root) for c in n["cells"])


def test_each_notebook_is_valid_and_still_the_chapters_notebook(root):
    """All text is there, in order; only the answers to judged exercises differ."""
    given = template(root, 4).notebook
    text = ["".join(c["source"]) for c in given["cells"] if c["cell_type"] == "markdown"]
    for _, _, notebook, handed in handed_in(root):
        nbformat.validate(json.loads(json.dumps(notebook)))
        mine = ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "markdown"]
        assert [a for a in mine if not a.startswith("**Your answer:**")] == [
            a for a in text if not a.startswith("**Your answer:**")
        ]
        assert len(mine) == len(text)
        deleted = sum(one.source is None for one in handed.values())
        scratch = len(notebook["cells"]) - len(given["cells"]) + deleted
        assert scratch in (0, 1)
        assert len({c.get("id", n) for n, c in enumerate(notebook["cells"])}) == len(notebook["cells"])


def test_names_have_scripts_doubles_and_unique_folders(root):
    folders, names = zip(*[one[:2] for one in handed_in(root)])
    assert len(set(folders)) == STUDENTS
    assert names[3] == names[7]
    assert any(not re.search("[a-z]", name) for name in names)
    assert all(re.fullmatch(rf"{re.escape(n)}_\d{{7}}_assignsubmission_file", f) for f, n in zip(folders, names))


def test_the_files_of_a_class(root, tmp_path):
    """The zip holds what the folders hold, byte for byte, twice the same, and a larger class begins with a smaller."""
    make(root, 4, 4, "spring", tmp_path / "one")
    make(root, 4, 4, "spring", tmp_path / "two")
    make(root, 4, 2, "autumn", tmp_path / "other")
    one, two, other = ((tmp_path / name / "submissions.zip").read_bytes() for name in ("one", "two", "other"))
    assert one == two != other
    truth = json.loads((tmp_path / "one/truth.json").read_text("utf-8"))
    assert (truth["chapter"], truth["seed"]) == (4, "spring")
    assert list(truth["students"]) == [folder for folder, *_ in handed_in(root)[:4]]
    with zipfile.ZipFile(tmp_path / "one/submissions.zip") as archive:
        assert archive.namelist() == [f"{folder}/04_repulsion.ipynb" for folder in truth["students"]]
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        for name in archive.namelist():
            assert archive.read(name) == (tmp_path / "one/submissions" / name).read_bytes()
    for student in truth["students"].values():
        assert student["points"] == sum(mark["points"] for mark in student["exercises"].values())
        assert set(student["exercises"]) == {one.id for one in exercises(4) if one.kind != "judged"}


@pytest.mark.parametrize("chapter", [2, 4])
def test_every_exercise_can_be_left_undone_in_every_way(root, chapter):
    for one in [e for e in exercises(chapter) if e.kind != "judged"]:
        source = template(root, chapter)
        answers = Answers(one, source.stubs[one.id], source.solutions[one.id])
        assert (answers.untouched().status, answers.deleted().source) == ("not attempted", None)
        assert verdict_on(one.id, answers.untouched().source)[0] == "not attempted"
        assert verdict_on(one.id, answers.broken().source)[0] == "error"
        assert verdict_on(one.id, answers.right(0, "my_{}").source)[0] == "passed"
        half = answers.half(0)
        assert verdict_on(one.id, half.source)[0] == half.status
        assert answers.right(1, "") is answers.right(1, "")


def test_half_of_chapter_4_can_be_handed_in_half_solved(root):
    source = template(root, 4)
    every = [
        Answers(one, source.stubs[one.id], source.solutions[one.id]) for one in exercises(4) if one.kind != "judged"
    ]
    assert all(one.half(0).kind.startswith("half") for one in every)


def test_an_answer_that_cannot_be_halved_is_left_undone(root, monkeypatch):
    source = template(root, 4)
    answers = Answers(exercise("4.2"), source.stubs["4.2"], source.solutions["4.2"])
    monkeypatch.setattr(make_class, "_changed", lambda *args: "")
    assert answers.half(0) == answers.untouched()


def test_the_command_writes_a_class_and_says_where(root, tmp_path, capsys):
    command = ["make-class", "--chapter", "4", "--students", "2", "--seed", "S", "--out", str(tmp_path / "class")]
    assert cli.main([*command, "--root", str(root)]) == 0
    assert capsys.readouterr().out == f"2 notebooks of chapter 4 are in {tmp_path / 'class' / 'submissions'}.\n"
    assert cli.main([*command, "--root", str(root)]) == 1
    assert capsys.readouterr().err == f"{tmp_path / 'class'} has a class already: name another folder.\n"
    assert cli.main([*command[:-1], str(tmp_path / "new"), "--root", str(tmp_path)]) == 1
    assert "has no notebook of chapter 4: run this in the checkout." in capsys.readouterr().err
