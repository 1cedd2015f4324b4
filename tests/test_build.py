"""From a master to its two notebooks: every translation, cell by cell."""

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace

import nbformat
import pytest

from course_lib.tools.build.execute import Run
from course_lib.tools.build.masters import BuildError
from course_lib.tools.build.notebooks import bootstrap, complete_notebook, stub_line, student_notebook, taking
from course_lib.tools.build.pages import Page
from course_lib.tools.build.project import Project
from tests.toy import CHAPTER, CONFIG, Course, cell


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    return Course(tmp_path_factory.mktemp("course"))


@pytest.fixture(scope="module")
def student(course):
    return student_notebook(course.project, course.master(), course.names())


@pytest.fixture(scope="module")
def complete(course):
    return complete_notebook(course.project, course.master(), course.names())


def source(notebook, identity: str) -> str:
    return next(one.source for one in notebook.cells if one.id == identity)


def text(notebook) -> str:
    return "\n\n".join(one.source for one in notebook.cells)


def test_the_toy_master_obeys_every_rule(course):
    assert course.problems() == []


def test_both_notebooks_are_valid_and_say_python_3(student, complete):
    for notebook in (student, complete):
        nbformat.validate(notebook)
        assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
        assert notebook.metadata.kernelspec.name == "python3"
        assert len({one.id for one in notebook.cells}) == len(notebook.cells)


def test_badge_and_bootstrap_come_first_with_the_address_of_the_configuration(course, student):
    badge, first, title = student.cells[:3]
    release = course.project.release
    assert (
        f"https://colab.research.google.com/github/somebody/toy/blob/{release}/notebooks/01_toy.ipynb" in badge.source
    )
    assert f'%pip install -q "diverse-diffusion @ git+https://github.com/somebody/toy@{release}"' in first.source
    assert title.source == "# 1 Toy"


def test_the_bootstrap_does_nothing_where_the_library_is(student):
    code = student.cells[1].source.replace("%pip install", "raise SystemExit  #")
    exec(compile(code, "bootstrap", "exec"), {})


@pytest.mark.parametrize(("found", "told"), [("2.3.4", ""), ("2.3.3", "finds 2.3.3"), (None, "finds an older one")])
def test_another_version_of_the_library_is_told_in_one_sentence(tmp_path, monkeypatch, capsys, found, told):
    """The notebook names the release it was made with, installs its tag, and compares."""
    (tmp_path / "_config.yml").write_text(CONFIG)
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "2.3.4"\n')
    project = Project(tmp_path)
    assert project.install.endswith('toy@v2.3.4"')
    assert "/blob/v2.3.4/notebooks/" in project.colab("01_toy")
    library = ModuleType("course_lib")
    library.__spec__ = ModuleSpec("course_lib", None)
    if found:
        library.__version__ = found
    monkeypatch.setitem(sys.modules, "course_lib", library)
    code = bootstrap(project).replace("%pip install -q", "raise SystemExit  #", 1)
    exec(compile(code, "bootstrap", "exec"), {})
    said = capsys.readouterr().out
    assert told in said
    assert said.count("\n") == (1 if told else 0)
    assert ("Made with course_lib 2.3.4" in said) == bool(told)


def test_a_stub_takes_the_place_and_the_indentation_of_the_solution(student):
    assert source(student, "ex-1-1") == (
        '# exercise 1.1\ndef double(x):\n    """x -> 2 x."""\n    scale = 2\n'
        '    raise NotImplementedError("Exercise 1.1: the double, eq. (1.1)")'
    )


@pytest.mark.parametrize(
    ("title", "equation", "told"),
    [
        ("Langevin steps", "(1.7)", "Exercise 1.1: Langevin steps, eq. (1.7)"),
        ("How alike?", "(4.3)", "Exercise 1.1: how alike? eq. (4.3)"),
        ("A vote", "", "Exercise 1.1: a vote"),
    ],
)
def test_a_stub_reads_as_a_sentence(title, equation, told):
    exercise = SimpleNamespace(id="1.1", title=title, equation=equation)
    assert stub_line(exercise) == f'raise NotImplementedError("{told}")'


def test_the_complete_notebook_keeps_the_solution_between_its_markers(complete):
    kept = source(complete, "ex-1-1")
    assert "    ### BEGIN SOLUTION\n    doubled = scale * x\n    return doubled\n    ### END SOLUTION" in kept


def test_words_of_solutions_are_in_the_complete_notebook_only(student, complete):
    assert "secret" not in text(student)
    assert "<summary>Solution of 1.1</summary>\n\nA secret: because First and Second (2020).\n\n</details>" in text(
        complete
    )
    assert "A secret rubric." in text(complete)


def test_a_judged_exercise_has_a_place_for_the_answer(student, complete):
    assert source(student, "ex-1-2") == "**Your answer:**"
    assert "Your answer" not in text(complete)


def test_the_grader_finds_exercises_by_metadata_and_by_marker(student, complete):
    for notebook in (student, complete):
        found = {
            one.metadata.course.exercise: one for one in notebook.cells if "exercise" in one.metadata.get("tags", [])
        }
        assert found["1.1"].source.startswith("# exercise 1.1\n")
    assert {one.metadata.get("course", {}).get("exercise") for one in student.cells} == {None, "1.1", "1.2"}


def test_an_exercise_opens_with_what_it_is_worth(student):
    first, *rest = source(student, "task-1-1").split("\n")
    line = "Exercise 1.1 · The double — 2 points · difficulty 2/5 · importance 5/5 · 10 minutes"
    assert first == f"> **{line}**"
    assert "> Write `double(x)` for (1.1)." in rest
    assert "1 point ·" in source(student, "task-1-2")


def test_hints_are_folded_and_counted(student):
    assert source(student, "hint-1-1-1") == "<details>\n<summary>Hint 1</summary>\n\nTwice (1.1).\n\n</details>"
    assert "<summary>Hint 2</summary>" in source(student, "hint-1-1-2")


def test_equations_get_their_number(student):
    assert "$$\n\\begin{aligned} a &= b \\\\ c &= d \\end{aligned}\n\\tag{1.1}\n$$" in text(student)
    assert "See (1.1), `{eq}` (Song et al., 2021; First and Second, 2020) and" in text(student)
    assert "> $$\n> x = 2\n> $$" in text(student)


def test_what_lies_in_other_chapters_is_a_link_to_the_site(course, student):
    site = "https://somebody.github.io/toy/book"
    assert f"[(2.1)]({site}/02_other.html#equation-eq-2-1) of [the other]({site}/02_other.html)" in text(student)
    other = student_notebook(course.project, course.master("02_other"), course.names())
    assert f"[(1.1)]({site}/01_toy.html#equation-eq-1-1) and [Exercise 1.1]({site}/01_toy.html#ex-1-1)." in text(other)


def test_the_site_may_have_its_own_address(tmp_path):
    course = Course(tmp_path)
    course.write("_config.yml", CONFIG + "html: {baseurl: https://course.example.org/}\n")
    notebook = student_notebook(course.project, course.master(), course.names())
    assert "(https://course.example.org/book/02_other.html)" in text(notebook)


def test_code_and_formulas_in_the_text_are_left_alone(student):
    assert 'x = "{eq}`nope`"' in text(student)
    assert "`{eq}`" in text(student)
    assert "$a_{[i](j)}$" in text(student)


def test_works_cited_are_listed_at_the_end_and_only_those(student, complete):
    assert "You read Song et al. (2021)" in text(student)
    entries = source(student, "references").split("\n")
    assert entries[0] == "## References"
    assert entries[2:] == [
        "- Ada First, Bob Second. *Pairs?* J. Pairs, 2020.",
        "- Yang Song, Stefano Ermon, Émile Schröder. *Score-based SDE models*. ICLR, 2021. "
        "[https://arxiv.org/abs/2011.13456](https://arxiv.org/abs/2011.13456)",
    ]


def test_a_work_cited_in_a_solution_only_is_not_listed_for_students(tmp_path):
    course = Course(tmp_path, CHAPTER.replace("{cite:p}`song2021, two2020`", "{cite:p}`song2021`"))
    make = (student_notebook, complete_notebook)
    student, complete = (source(one(course.project, course.master(), course.names()), "references") for one in make)
    assert "Ada First" not in student
    assert "Ada First" in complete


def test_admonitions_and_dropdowns_become_plain_markdown(student):
    assert "> **Note**\n>\n> Nested:\n>\n" in text(student)
    assert "<details>\n<summary>More on (1.1)</summary>\n\nFolded.\n\n</details>" in text(student)


def test_sections_are_numbered_and_open_a_cell(student):
    firsts = [one.source.split("\n")[0] for one in student.cells]
    assert [line for line in firsts if line.startswith("## 1.")] == ["## 1.1 Which way?", "## 1.2 Looking"]


def test_text_and_formulas_flow_in_one_cell(student):
    (one,) = [one for one in student.cells if one.source.startswith("## 1.1")]
    assert "Some text." in one.source
    assert "\\tag{1.1}" in one.source
    assert "nope" in one.source


def test_captions_stand_under_their_figures(student):
    at = next(n for n, one in enumerate(student.cells) if "plt.show()" in one.source)
    assert student.cells[at + 1].source == "*Up.*"


def test_the_quiz_is_a_cell_that_runs(student):
    assert source(student, "quiz-1") == "from course_lib.exercises import quiz\n\nquiz(1)"


def test_minutes_come_from_the_declarations(student):
    told = "*The exercises of the core path take about 10 minutes, those marked as further 5 more.*"
    assert told in text(student)
    assert "importance 1/5 · 5 minutes · further**" in text(student)
    assert "importance 5/5 · 10 minutes**" in text(student)


def test_where_nothing_is_further_no_core_path_is_told():
    one = SimpleNamespace(minutes=15, further=False)
    assert taking([one]) == "The exercises take about 15 minutes."
    assert taking([]) == ""


def test_students_get_no_tag_for_comparing_outputs(student, complete):
    tags = [
        sum("nbval-check-output" in one.metadata.get("tags", []) for one in book.cells) for book in (student, complete)
    ]
    assert tags == [0, 1]


def test_a_playground_is_on_the_site_only(tmp_path, student):
    block = "\n```{playground}\n:show: alpha h\n:set: density=ring alpha=5\n\nTry **it**.\n```\n"
    course = Course(tmp_path, CHAPTER.replace("\n## ", f"{block}\n## ", 1))
    assert course.problems() == []
    assert student_notebook(course.project, course.master(), course.names()) == student
    page = Page(course.project, course.master(), course.names(), Run(nbformat.v4.new_notebook(), 1.0, None, False))
    told = page.playground(next(b for b in course.master().blocks if getattr(b, "name", "") == "playground"))
    assert told.startswith("Try **it**.\n\n```{raw} html\n\n")
    assert '<div class="playground" data-show="alpha h" data-set="density=ring alpha=5">' in told


def test_no_directive_or_role_is_left_in_a_notebook(student, complete):
    for notebook in (student, complete):
        prose = text(notebook).replace('x = "{eq}`nope`"', "").replace("`{eq}`", "")
        assert "```{" not in prose
        assert "}`" not in prose


def test_ids_stay_when_a_cell_is_added(tmp_path, student):
    longer = Course(tmp_path, CHAPTER.replace("## Looking", "## New\n\nNew text.\n\n## Looking"))
    notebook = student_notebook(longer.project, longer.master(), longer.names())
    before, after = [one.id for one in student.cells], [one.id for one in notebook.cells]
    changed = set(before) - set(after)
    assert len(after) == len(before) + 1
    assert len(changed) == 1  # "## 1.2 Looking" became "## 1.3 Looking"


def test_two_cells_of_the_same_text_have_two_ids(tmp_path):
    course = Course(tmp_path, CHAPTER + "\n" + cell("1 + 1") + cell("1 + 1"))
    notebook = student_notebook(course.project, course.master(), course.names())
    ids = [one.id for one in notebook.cells if one.source == "1 + 1"]
    assert ids[1] == f"{ids[0]}-2"


def test_nbgrader_could_release_and_grade_the_complete_notebook(complete):
    """Its schema 3: unique ids, points on graded cells, locked tests, a hidden assertion on the check."""
    cells = {one.metadata.nbgrader.grade_id: one for one in complete.cells if "nbgrader" in one.metadata}
    assert set(cells) == {"ex-1-1", "check-1-1", "words-1-1", "ex-1-2"}
    facts = {
        name: (d.grade, d.solution, d.locked, d.get("points"))
        for name, one in cells.items()
        if (d := one.metadata.nbgrader)
    }
    assert facts["ex-1-1"] == (False, True, False, None)
    assert facts["check-1-1"] == (True, False, True, 2)
    assert facts["words-1-1"] == (True, True, False, 0)
    assert facts["ex-1-2"] == (True, True, False, 1)
    assert cells["check-1-1"].source == (
        'check("1.1", double)\n### BEGIN HIDDEN TESTS\nassert check("1.1", double)\n### END HIDDEN TESTS\n'
        'double = fallback("1.1", double)'
    )


def test_an_address_that_is_no_repository_is_refused(tmp_path):
    course = Course(tmp_path)
    course.write("_config.yml", "repository: {url: https://example.org}\n")
    with pytest.raises(BuildError, match=r"_config\.yml:1: repository\.url must be https://github\.com/OWNER/NAME"):
        student_notebook(course.project, course.master(), course.names())
