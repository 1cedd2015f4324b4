"""Every declared exercise: right answers pass, each wrong one is told its own sentence, the solution cell passes."""

import re
from functools import cache
from pathlib import Path

import pytest
import torch

from course_lib.exercises import all_exercises
from course_lib.exercises.answers import Answer, isolated, same
from course_lib.exercises.checking import broken_property, told, verdict_on
from course_lib.exercises.comparing import answer_of, draw, equal, expected, grade
from course_lib.exercises.portable import call_source, prelude
from course_lib.exercises.registry import chapters, module
from course_lib.tools.build.masters import Code, read_master
from course_lib.tools.build.notebooks import stubbed
from tests.homes import without_home

BOOK = Path(__file__).parents[1] / "book"
SEEDS, RATE_SEEDS = 100, 200
ALL = all_exercises()
GRADED = [e for e in ALL if e.kind != "judged"]
FUNCTIONS = [e for e in ALL if e.kind == "function"]
EXPERIMENTS = [e for e in ALL if e.kind == "experiment"]


def each(exercises):
    return pytest.mark.parametrize("exercise", exercises, ids=lambda e: e.id)


def variants(exercises, field):
    cases = [(e, i) for e in exercises for i in range(len(getattr(e, field)))]
    return pytest.mark.parametrize(("exercise", "index"), cases, ids=[f"{e.id}-{field}{i}" for e, i in cases])


def verdicts(exercise, fn, seeds=SEEDS):
    """The verdict for each of the seeds 0, 1, ..; a seed tries as many draws, from its own on, as `check` does."""
    answers = [answer_of(exercise, fn, seed) for seed in range(seeds + exercise.public_draws - 1)]
    for seed in range(seeds):
        last = seed + exercise.public_draws
        yield grade(exercise, answers[seed:last], range(seed, last))


@cache
def answers_of_wrong(exercise, index) -> list[Answer]:
    return [answer_of(exercise, exercise.wrong[index].fn, seed) for seed in range(SEEDS)]


@cache
def solution_cells(chapter: int) -> dict[str, str]:
    """The marked cell of each exercise of a chapter, from its master."""
    masters = [read_master(path, path.name) for path in BOOK.glob(f"{chapter:02d}_*.md")]
    cells = (block for master in masters for block in master.blocks if isinstance(block, Code))
    return {cell.exercise: cell.source for cell in cells if cell.exercise}


def solution(exercise) -> str:
    cells = solution_cells(exercise.chapter)
    assert exercise.id in cells, f"no cell of a master begins with # exercise {exercise.id}"
    return cells[exercise.id]


def run_cell(exercise, source: str, lines=None):
    """The function that a cell defines in an empty notebook in which `needs` is bound."""
    names = {}
    exec("\n".join([*(prelude(exercise) if lines is None else lines), source]), names)
    return names[exercise.name]


@each(FUNCTIONS)
def test_the_reference_passes_on_100_seeds(exercise):
    """The reference answers its own exercise whatever is drawn."""
    for verdict in verdicts(exercise, exercise.reference):
        assert verdict.passed, told(exercise, verdict)


@variants(FUNCTIONS, "right")
def test_another_correct_answer_passes_on_100_seeds(exercise, index):
    """A different formula or loop gets the same marks."""
    for verdict in verdicts(exercise, exercise.right[index]):
        assert verdict.passed, told(exercise, verdict)


@variants(FUNCTIONS, "wrong")
def test_a_wrong_answer_fails_with_its_own_sentence_on_100_seeds(exercise, index):
    """An anticipated wrong answer is recognised on every seed, and never taken for another."""
    for verdict in verdicts(exercise, exercise.wrong[index].fn):
        assert (verdict.wrong, verdict.sentence) == (index, exercise.wrong[index].sentence), told(exercise, verdict)


@each(FUNCTIONS)
def test_no_wrong_answer_equals_another_or_the_reference(exercise):
    """Two wrong answers that give the same arrays would share one learner between two sentences."""
    seeds = range(SEEDS)
    due = [expected(exercise, seed) for seed in seeds]
    told_apart = [("the reference", due)] + [
        (f"wrong {i}", answers_of_wrong(exercise, i)) for i in range(len(exercise.wrong))
    ]
    for i, (name, mine) in enumerate(told_apart):
        for other, theirs in told_apart[:i]:
            alike = all(equal(a, b, exercise.tolerance) for a, b in zip(mine, theirs))
            assert not alike, f"{exercise.id}: {name} equals {other}"


@each(EXPERIMENTS)
def test_the_reference_of_an_experiment_fails_in_under_1_percent(exercise):
    """Measured over 200 seeds: a correct answer may be unlucky in at most one of them."""
    failed = [verdict for verdict in verdicts(exercise, exercise.reference, RATE_SEEDS) if not verdict.passed]
    assert len(failed) < 0.01 * RATE_SEEDS, told(exercise, failed[0])


@variants(EXPERIMENTS, "right")
def test_another_correct_experiment_fails_in_under_1_percent(exercise, index):
    """The same rate holds for a correct answer that is not the reference, on 100 seeds without a failure."""
    for verdict in verdicts(exercise, exercise.right[index]):
        assert verdict.passed, told(exercise, verdict)


@variants(EXPERIMENTS, "wrong")
def test_a_wrong_experiment_fails_in_99_percent_with_its_own_sentence(exercise, index):
    """Over 100 seeds it passes at most once, and at least 95 learners read the sentence written for them."""
    found = list(verdicts(exercise, exercise.wrong[index].fn))
    assert sum(not verdict.passed for verdict in found) >= 0.99 * SEEDS
    own = sum(verdict.wrong == index for verdict in found)
    others = {told(exercise, verdict) for verdict in found if verdict.wrong != index}
    assert own >= 0.95 * SEEDS, f"only {own} of {SEEDS}; others read {others}"
    public = verdict_on(exercise, exercise.wrong[index].fn)
    assert public.wrong == index, told(exercise, public)


@each(GRADED)
def test_right_answers_have_the_properties_and_pass_the_check(exercise):
    """What `check` tries after the values is true of the reference and of every other correct answer."""
    for fn in (exercise.reference, *exercise.right):
        for seed in range(10):
            for holds in exercise.properties:
                assert not broken_property(exercise, fn, holds, seed)
        assert verdict_on(exercise, fn).passed, told(exercise, verdict_on(exercise, fn))


@each(GRADED)
def test_the_stub_of_the_student_notebook_reads_not_attempted(exercise):
    """The cell as the builder writes it for students, run as it stands."""
    fn = run_cell(exercise, stubbed(solution(exercise), exercise))
    assert told(exercise, verdict_on(exercise, fn)) == f"{exercise.id}  not attempted."


@each(GRADED)
def test_the_masters_solution_passes_where_only_needs_is_bound(exercise):
    """The solution cell defines the declared name, uses nothing that `needs` does not bind, and passes."""
    fn = run_cell(exercise, solution(exercise))
    assert verdict_on(exercise, fn).passed, told(exercise, verdict_on(exercise, fn))


@each([e for e in GRADED if e.call])
def test_call_runs_without_the_declarations(exercise):
    """Its source alone, with the imports it uses, gives the same arrays: this is what a class grader's worker has."""
    names = {}
    exec(call_source(exercise), names)
    elsewhere = type(exercise)(**{**vars(exercise), "call": names[exercise.call.__name__]})
    for seed in range(3):
        assert equal(answer_of(elsewhere, exercise.reference, seed), expected(exercise, seed), exercise.tolerance)


@each(GRADED)
def test_inputs_are_data_drawn_from_the_seed_alone(exercise):
    """The same draw twice, under another default dtype and another random state, and another one for another seed."""
    from course_lib.exercises.comparing import _drawn

    before = torch.get_default_dtype()
    first = draw(exercise, 0)
    try:
        torch.set_default_dtype(torch.float32)
        torch.manual_seed(5)
        _drawn.cache_clear()
        assert same(draw(exercise, 0), first)
    finally:
        torch.set_default_dtype(before)
    assert any(not same(draw(exercise, seed), first) for seed in range(1, 4))


@each([e for e in GRADED if e.home])
def test_the_reference_is_the_librarys_own_function(exercise, monkeypatch):
    """With the home function gone the reference cannot answer, so that there is no second truth."""
    without_home(exercise, monkeypatch)
    assert "home" in answer_of(exercise, exercise.reference, 0).detail


@each(ALL)
def test_every_equation_that_is_cited_is_numbered_in_its_chapter(exercise):
    """An exercise that cites (4.4) needs the label eq-4-4 in chapter 4's master."""
    sentences = " ".join([exercise.equation, exercise.rubric, *(w.sentence for w in exercise.wrong)])
    for chapter, number in re.findall(r"\((\d+)\.(\d+)\)", sentences):
        [path] = BOOK.glob(f"{int(chapter):02d}_*.md")
        assert re.search(rf"^:label: eq-{chapter}-{number}$", path.read_text(encoding="utf-8"), re.M)


@pytest.mark.parametrize("chapter", sorted({e.chapter for e in ALL}))
def test_each_chapter_has_at_least_four_graded_exercises_and_a_quiz(chapter):
    """Three to five questions, and four exercises that run."""
    assert len([e for e in GRADED if e.chapter == chapter]) >= 4
    assert 3 <= len(module(chapter).QUIZ) <= 5


def test_part_one_has_18_graded_exercises_one_in_four_of_another_kind():
    """Judged ones are not counted among the 18; about a quarter of all are experiments or judged."""
    first = [e for e in ALL if e.chapter <= 4]
    assert len([e for e in first if e.kind != "judged"]) >= 18
    share = sum(e.kind != "function" for e in first) / len(first)
    assert 0.15 <= share <= 0.4


@pytest.mark.parametrize("chapter", chapters())
def test_the_ids_of_a_chapter_run_without_gaps(chapter):
    """4.1, 4.2, ... in order."""
    ids = [e.id for e in ALL if e.chapter == chapter]
    assert ids == [f"{chapter}.{i + 1}" for i in range(len(ids))]


def test_the_cheap_run_of_exercise_6_7_is_the_sampler_on_the_ring():
    """Three products a step instead of the library's loop, and the same samples."""
    from course_lib.denoisers import ring
    from course_lib.exercises.ch06 import call_find
    from course_lib.samplers import geometric, sample

    seen = []

    def find(run, z, loss, near):
        seen.append((z[0], run(z[0])))
        return z[0]

    with isolated(0):
        call_find(find, 3)
        [(z, x)] = seen
        D = ring(6, radius=3.0, s=0.2, weights=torch.tensor([0.003] + 5 * [0.997 / 5]))
        torch.testing.assert_close(x, sample(D, 6.0 * z, geometric(6.0, 0.1, 8)), rtol=0, atol=1e-9)
