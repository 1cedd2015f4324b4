"""What is true of every declared exercise; the files test_exercises_0.py to _5.py run it, each on its chapters.

Right answers pass, each wrong one is told its own sentence, the solution cell passes, and no answer that is made
without understanding gets the points.
"""

from functools import cache
from itertools import islice
from pathlib import Path

import torch

from course_lib.exercises import all_exercises
from course_lib.exercises.answers import Answer, same
from course_lib.exercises.checking import broken_property, told, verdict_on
from course_lib.exercises.comparing import answer_of, draw, equal, expected, grade
from course_lib.exercises.portable import call_source, prelude
from course_lib.tools.build.masters import Code, read_master
from course_lib.tools.build.notebooks import stubbed
from tests.attacks import attacks, passes
from tests.homes import without_home

BOOK = Path(__file__).parents[1] / "book"
SEEDS, RATE_SEEDS, FIRST = 100, 200, 30
FILES = 6  # the chapters c with c % FILES == k are tested in test_exercises_k.py
GRADED = [e for e in all_exercises() if e.kind != "judged"]
FUNCTIONS = [e for e in GRADED if e.kind == "function"]
EXPERIMENTS = [e for e in GRADED if e.kind == "experiment"]


def over(exercises, field=""):
    """Run a test on each exercise, or on each entry of one of its fields."""

    def mark(test):
        test.cases = [(e, i) for e in exercises for i in range(len(getattr(e, field)) if field else 1)]
        test.field = field
        return test

    return mark


def pytest_generate_tests(metafunc):
    """The cases whose chapters belong to the file that asks."""
    test = metafunc.function
    mine = [(e, i) for e, i in test.cases if e.chapter % FILES == metafunc.module.PART]
    if test.field:
        ids = [f"{e.id}-{test.field}{i}" for e, i in mine]
        metafunc.parametrize(("exercise", "index"), mine, ids=ids)
    else:
        metafunc.parametrize("exercise", [e for e, _ in mine], ids=[e.id for e, _ in mine])


def verdicts(exercise, fn, seeds=SEEDS, answers=()):
    """The verdict for each of the seeds 0, 1, ..; a seed tries as many draws, from its own on, as `check` does.

    `answers` are those of the first draws, where they are known.
    """
    answers = list(answers)
    for seed in range(seeds):
        last = seed + exercise.public_draws
        answers += [answer_of(exercise, fn, new) for new in range(len(answers), last)]
        yield grade(exercise, answers[seed:last], range(seed, last))


@cache
def answers_of_wrong(exercise, index) -> list[Answer]:
    """On all draws that 100 seeds try."""
    draws = range(SEEDS - 1 + exercise.public_draws)
    return [answer_of(exercise, exercise.wrong[index].fn, seed) for seed in draws]


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


@over(FUNCTIONS)
def test_the_reference_passes_on_100_seeds(exercise):
    """The reference answers its own exercise whatever is drawn."""
    for verdict in verdicts(exercise, exercise.reference):
        assert verdict.passed, told(exercise, verdict)


@over(FUNCTIONS, "right")
def test_another_correct_answer_passes_on_100_seeds(exercise, index):
    """A different formula or loop gets the same marks."""
    for verdict in verdicts(exercise, exercise.right[index]):
        assert verdict.passed, told(exercise, verdict)


@over(FUNCTIONS, "wrong")
def test_a_wrong_answer_fails_with_its_own_sentence_on_100_seeds(exercise, index):
    """An anticipated wrong answer is recognised on every seed, and never taken for another."""
    for verdict in verdicts(exercise, exercise.wrong[index].fn, answers=answers_of_wrong(exercise, index)):
        assert (verdict.wrong, verdict.sentence) == (index, exercise.wrong[index].sentence), told(exercise, verdict)


@over(FUNCTIONS)
def test_no_wrong_answer_equals_another_or_the_reference(exercise):
    """Two wrong answers that give the same arrays would share one learner between two sentences."""
    seeds = range(SEEDS)
    due = [expected(exercise, seed) for seed in seeds]
    told_apart = [("the reference", due)] + [
        (f"wrong {i}", answers_of_wrong(exercise, i)[:SEEDS]) for i in range(len(exercise.wrong))
    ]
    for i, (name, mine) in enumerate(told_apart):
        for other, theirs in told_apart[:i]:
            alike = all(equal(a, b, exercise.tolerance) for a, b in zip(mine, theirs))
            assert not alike, f"{exercise.id}: {name} equals {other}"


@over(EXPERIMENTS)
def test_the_reference_of_an_experiment_fails_in_under_1_percent(exercise):
    """Measured over 200 seeds: a correct answer may be unlucky in at most one of them."""
    failed = [verdict for verdict in verdicts(exercise, exercise.reference, RATE_SEEDS) if not verdict.passed]
    assert len(failed) < 0.01 * RATE_SEEDS, told(exercise, failed[0])


@over(EXPERIMENTS, "right")
def test_another_correct_experiment_fails_in_under_1_percent(exercise, index):
    """The same rate holds for a correct answer that is not the reference, on 100 seeds without a failure."""
    for verdict in verdicts(exercise, exercise.right[index]):
        assert verdict.passed, told(exercise, verdict)


@over(EXPERIMENTS, "wrong")
def test_a_wrong_experiment_fails_in_99_percent_with_its_own_sentence(exercise, index):
    """Over 100 seeds it passes at most once, and at least 95 learners read the sentence written for them.

    Where the first 30 all read it, the other 70 are not tried: what passes one time in ten is found in 24 of 25.
    """
    trials = verdicts(exercise, exercise.wrong[index].fn)
    found = list(islice(trials, FIRST))
    if any(verdict.wrong != index for verdict in found):
        found += trials
        assert sum(not verdict.passed for verdict in found) >= 0.99 * SEEDS
    own = sum(verdict.wrong == index for verdict in found)
    others = {told(exercise, verdict) for verdict in found if verdict.wrong != index}
    assert own >= 0.95 * len(found), f"only {own} of {len(found)}; others read {others}"
    public = verdict_on(exercise, exercise.wrong[index].fn)
    assert public.wrong == index, told(exercise, public)


@over(GRADED)
def test_right_answers_have_the_properties_and_pass_the_check(exercise):
    """What `check` tries after the values is true of the reference and of every other correct answer."""
    for fn in (exercise.reference, *exercise.right):
        for seed in range(10):
            for holds in exercise.properties:
                assert not broken_property(exercise, fn, holds, seed)
        assert verdict_on(exercise, fn).passed, told(exercise, verdict_on(exercise, fn))


@over(GRADED)
def test_the_stub_of_the_student_notebook_reads_not_attempted(exercise):
    """The cell as the builder writes it for students, run as it stands."""
    fn = run_cell(exercise, stubbed(solution(exercise), exercise))
    assert told(exercise, verdict_on(exercise, fn)) == f"{exercise.id}  not attempted."


@over(GRADED)
def test_the_masters_solution_passes_where_only_needs_is_bound(exercise):
    """The solution cell defines the declared name, uses nothing that `needs` does not bind, and passes."""
    fn = run_cell(exercise, solution(exercise))
    assert verdict_on(exercise, fn).passed, told(exercise, verdict_on(exercise, fn))


@over([e for e in GRADED if e.call])
def test_call_runs_without_the_declarations(exercise):
    """Its source alone, with the imports it uses, gives the same arrays: this is what a class grader's worker has."""
    names = {}
    exec(call_source(exercise), names)
    elsewhere = type(exercise)(**{**vars(exercise), "call": names[exercise.call.__name__]})
    for seed in range(3):
        assert equal(answer_of(elsewhere, exercise.reference, seed), expected(exercise, seed), exercise.tolerance)


@over(GRADED)
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


@over([e for e in GRADED if e.home])
def test_the_reference_is_the_librarys_own_function(exercise, monkeypatch):
    """With the home function gone the reference cannot answer, so that there is no second truth."""
    without_home(exercise, monkeypatch)
    assert "home" in answer_of(exercise, exercise.reference, 0).detail


@over(GRADED)
def test_no_answer_made_without_understanding_passes(exercise):
    """Arguments ignored, answers kept, functions not asked: what gets the points is declared, with why it may."""
    found = {attack.name for attack in attacks(exercise) if passes(exercise, attack)}
    assert found - set(exercise.may_pass) == set(), "these get the points without the algorithm"
    assert set(exercise.may_pass) - found == set(), "these are declared to pass, and no longer do"
