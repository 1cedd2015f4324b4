"""A bad master ends in one sentence with its file and line."""

from types import SimpleNamespace

import pytest
from nbformat.v4 import new_notebook

from course_lib.tools.build import command
from course_lib.tools.build.masters import BuildError
from course_lib.tools.build.notebooks import student_notebook
from course_lib.tools.build.numbering import by_label
from course_lib.tools.build.pages import Page
from course_lib.tools.build.rules import problems
from tests.toy import CHAPTER, DOUBLE, EQUATION, JUDGED, OTHER, Course, cell, front

EFFECTS = "\n".join(f'effect("1.{n}", "A sentence.", measured=1)' for n in range(20, 27))
CHECK = 'check("1.1", double)\ndouble = fallback("1.1", double)'

# name: (text of the toy chapter, what takes its place, text on the line that is named, sentence)
BAD = {
    "solution not closed": (
        "    ### END SOLUTION",
        "",
        "### BEGIN SOLUTION",
        "the solution opened here is never closed",
    ),
    "solution not opened": ("    ### BEGIN SOLUTION\n", "", "### END SOLUTION", "closes no solution"),
    "solution opened twice": (
        "    return doubled",
        "    ### BEGIN SOLUTION",
        "### BEGIN SOLUTION~2",
        "is not closed before the next one",
    ),
    "solution at top level": (
        "    ### BEGIN SOLUTION",
        "### BEGIN SOLUTION",
        "### BEGIN SOLUTION",
        "indent the solution",
    ),
    "marker misspelt": ("### END SOLUTION", "## END SOLUTION", "## END SOLUTION", "write the marker exactly as"),
    "no solution": (
        DOUBLE,
        '# exercise 1.1\ndef double(x):\n    """x -> 2 x."""\n    return 2 * x',
        "# exercise 1.1",
        "the cell of exercise 1.1 has no ### BEGIN SOLUTION",
    ),
    "undeclared exercise": (
        JUDGED,
        JUDGED.replace("1.2", "1.3"),
        "```{exercise} 1.3",
        "exercise '1.3' is not declared",
    ),
    "declared, not in the chapter": (JUDGED, "", "---", "exercise 1.2 is declared but is not in the chapter"),
    "exercise told twice": (JUDGED, JUDGED + JUDGED, "```{exercise} 1.2~2", "exercise 1.2 is already on line"),
    "hint before its exercise": (
        "## Which way?",
        "```{hint} 1.1\nEarly.\n```\n",
        "```{hint} 1.1",
        "the hint of 1.1 stands before its exercise",
    ),
    "judged without solution": (
        "```{solution} 1.2\nA secret rubric.\n```\n\n",
        "",
        "```{exercise} 1.2",
        "exercise 1.2 is judged and needs a {solution}",
    ),
    "no marker": ("# exercise 1.1\n", "# exercise 1.2\n", "# exercise 1.2", "must open with the line `# exercise 1.1`"),
    "no check": (CHECK, "1 + 1", "1 + 1", 'must be followed by a cell with check("1.1", ...)'),
    "another function": ("def double(x)", "def twice(x)", "# exercise 1.1", "must define double"),
    "unknown citation": ("{cite:t}`song2021`", "{cite:t}`nobody`", "nobody", "'nobody' is not in book/references.bib"),
    "unknown citation on a later line": (
        "Some text.",
        "Some\ntext {cite:p}`gone`.",
        "text {cite",
        "the citation 'gone'",
    ),
    "unknown equation": ("See {eq}`eq-1-1`", "See {eq}`eq-1-9`", "See {eq}", "there is no equation 'eq-1-9'"),
    "unknown exercise": ("Some text.", "Text {ref}`ex-1-7`.", "Text {ref}", "there is no exercise 'ex-1-7'"),
    "duplicate equation": (
        EQUATION,
        EQUATION + EQUATION,
        "```{math}~2",
        "the equation label eq-1-1 is already on line",
    ),
    "gap in equations": (
        ":label: eq-1-1",
        ":label: eq-1-2",
        "```{math}",
        "the equation label here must be eq-1-1, got eq-1-2",
    ),
    "number in a hint": (
        JUDGED,
        JUDGED + "````{hint} 1.2\n```{math}\n:label: eq-1-2\nx\n```\n````\n\n",
        "```{math}\n:label: eq-1-2",
        "is inside a hint, which not every reader has",
    ),
    "align": ("{aligned}", "{align}", "```{math}", "use aligned inside {math}"),
    "lines without aligned": ("\\begin{aligned} a", "a", "```{math}", "needs \\begin{aligned}"),
    "number behind dollars": ("Some text.", "$$x = 1$$ (eq-1-2)", "$$x = 1$$", "number an equation with ```{math}"),
    "no caption": (":caption: Up.\n", "", "```{code-cell} ipython3\n:alt:", "needs an option :caption:"),
    "no alternative text": (":alt: A line.\n", "", "```{code-cell} ipython3\n:caption:", "needs an option :alt:"),
    "caption without figure": ("plt.show()", "pass", "```{code-cell} ipython3\n:caption:", "but no plt.show()"),
    "unreadable option": (":alt: A line.", ":alt: {A: line", ":alt: {A", "put its text between single quotes"),
    "unknown option": (
        ":alt: A line.",
        ":alt: A\n:width: 3",
        "```{code-cell} ipython3\n:caption:",
        "no option :width:",
    ),
    "unknown tag": ("nbval-check-output", "slow", "```{code-cell} ipython3\n:tags:", "the tag 'slow' is unknown"),
    "unknown directive": ("````{note}", "````{figure}", "````{figure}", "the directive {figure} is unknown"),
    "exercise inside a note": (
        "Nested:",
        "```{exercise} 1.2\nx\n```",
        "```{exercise} 1.2~2",
        "cannot stand inside {note}",
    ),
    "unknown role": ("Some text.", "Text {doc}`x`.", "Text {doc}", "the role {doc} is unknown"),
    "unknown page": ("(02_other.md)", "(09_gone.md)", "See {eq}", "the link '09_gone.md' leads nowhere"),
    "link to a file": ("(02_other.md)", "(../README.md)", "See {eq}", "the link '../README.md' leads nowhere"),
    "link in the page": ("(02_other.md)", "(#here)", "See {eq}", "the link #here stays on the page"),
    "hub id": (
        "plt.plot([1, 2])",
        'plt.from_pretrained("stabilityai/sd-2")',
        "plt.from_pretrained",
        "the model id 'stabilityai/sd-2' belongs in the registry",
    ),
    "duplicate claim": (
        "plt.plot([1, 2])",
        'identity("1.3", "A")\nidentity("1.3", "B")',
        'identity("1.3", "B")',
        "claim 1.3 is already on line",
    ),
    "claim of another chapter": ("plt.plot([1, 2])", 'effect("4.1", "A")', 'effect("4.1"', "must be numbered 1.1"),
    "seven boxes": ("plt.plot([1, 2])", EFFECTS, 'effect("1.26"', "this is claim box 7; a chapter has 6"),
    "no Python": ("plt.plot([1, 2])", "plt.plot([1, 2)", "plt.plot([1, 2)", "this cell is not Python"),
    "another quiz": ("```{quiz} 1", "```{quiz} 2", "```{quiz} 2", "the quiz here must be {quiz} 1"),
    "fence not closed": ("```{quiz} 1\n```", "```{quiz} 1", "```{quiz} 1", "the ``` opened here is never closed"),
    "colon fence": ("Some text.", ":::{note}\nx\n:::", ":::{note}", "directives open with backticks"),
    "indented directive": (
        "Some text.",
        "- x\n\n  ```{note}\n  y\n  ```",
        "  ```{note}",
        "directives open with backticks",
    ),
    "other title": ("\n# Toy\n", "\n# Game\n", "# Game~0", "the heading reads 'Game' but"),
    "no number": ("number: 1, ", "", "---", "the front matter's course entry lacks number"),
    "number of another file": ("number: 1,", "number: 3,", "---", "chapter 3 must be named 03_topic.md"),
}


def line_of(text: str, wanted: str) -> int:
    """The line on which this text starts; `~2` at its end asks for the second occurrence."""
    wanted, _, count = wanted.partition("~")
    at = -1
    for _ in range(int(count or 1) or 1):
        at = text.index(wanted, at + 1)
    return text.count("\n", 0, at) + 1


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_said_with_file_and_line(tmp_path, name):
    old, new, place, sentence = BAD[name]
    assert old in CHAPTER
    course = Course(tmp_path, CHAPTER.replace(old, new, 1) if name != "other title" else CHAPTER.replace(old, new))
    with pytest.raises(BuildError) as raised:
        course.build("--notebooks-only")
    line = line_of(course.read("book/01_toy.md"), place)
    told = next(one for one in str(raised.value).split("\n") if sentence in one)
    assert told.startswith(f"book/01_toy.md:{line}: ")
    assert told.endswith(".")
    assert not (tmp_path / "notebooks").exists()


def test_an_equation_of_an_unwritten_chapter_is_trusted_in_a_single_check_only(tmp_path):
    course = Course(tmp_path, other=None)
    course.build("--check", "book/01_toy.md")
    with pytest.raises(BuildError, match=r"there is no equation 'eq-2-1' to refer to\."):
        course.build("--notebooks-only")


def test_two_masters_of_one_number(tmp_path):
    course = Course(tmp_path)
    course.write("book/02_again.md", front(2, "Again"))
    with pytest.raises(BuildError, match=r"book/02_other\.md:1: chapter 2 is also book/02_again\.md\."):
        course.build("--notebooks-only")


def test_a_chapter_outside_the_table_of_contents(tmp_path):
    course = Course(tmp_path)
    course.write("book/03_lost.md", front(3, "Lost"))
    with pytest.raises(BuildError, match=r"book/03_lost\.md:1: this chapter is not in book/_toc\.yml\."):
        course.build("--notebooks-only")


def test_a_bibliography_that_cannot_be_read(tmp_path):
    course = Course(tmp_path)
    course.write("book/references.bib", "@article{a, title = {A}\n\n@article{b,")
    with pytest.raises(BuildError, match=r"book/references\.bib:\d+: the bibliography cannot be read"):
        course.build("--notebooks-only")


@pytest.mark.parametrize(
    ("source", "line", "sentence"),
    [
        ("import os\n\nprint(nowhere)", 3, "ruff F821: Undefined name `nowhere`."),
        ("print( 1 )", 1, "ruff format would write 'print(1)' here."),
    ],
)
def test_style_is_told_at_the_line_of_the_master(tmp_path, source, line, sentence):
    course = Course(tmp_path, CHAPTER + "\n" + cell(source))
    with pytest.raises(BuildError) as raised:
        course.build("--check", "book/01_toy.md")
    at = line_of(course.read("book/01_toy.md"), source) + line - 1
    assert f"book/01_toy.md:{at}: {sentence}" in str(raised.value).split("\n")


def test_format_lays_out_the_cells_and_nothing_else(tmp_path):
    course = Course(tmp_path, CHAPTER + "\n" + cell("import sys\nimport os\nprint( os,sys )") + "Text  stays .\n")
    course.build("--format")
    expected = CHAPTER + "\n" + cell("import os\nimport sys\n\nprint(os, sys)") + "Text  stays .\n"
    assert course.read("book/01_toy.md") == expected
    course.build("--check", "book/01_toy.md")


def test_the_command_ends_with_the_sentence_and_a_status(tmp_path, capsys):
    from course_lib.tools.cli import main

    Course(tmp_path, "no front matter")
    assert main(["build", "--root", str(tmp_path), "--notebooks-only"]) == 1
    told = capsys.readouterr().err
    assert "book/01_toy.md:1: the front matter between two lines --- is missing." in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--check", "book/09_none.md"], "book/09_none.md:1: there is no such master"),
        (["book/01_toy.md"], "Masters can be named with --check or --format"),
        (["--chapter", "7"], "There is no chapter 7: its master would be book/07_topic.md."),
    ],
)
def test_the_command_refuses_what_it_cannot_do(tmp_path, options, sentence):
    with pytest.raises(BuildError) as raised:
        Course(tmp_path).build(*options)
    assert sentence in str(raised.value)


def test_a_folder_without_a_course(tmp_path, capsys):
    from course_lib.tools.cli import main

    assert main(["build", "--root", str(tmp_path)]) == 1
    assert "There is no folder book/" in capsys.readouterr().err


def test_the_rules_are_asked_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "write_notebooks", lambda *_: pytest.fail("wrote"))
    with pytest.raises(BuildError):
        Course(tmp_path, CHAPTER.replace("eq-1-1", "eq-1-2")).build()


MOVED = "```{moved} 02_other\n:was: sums, eq-1-1, claim-1-9\n\nNow in [the other](02_other.md#sums).\n```\n\n"
LEFT = CHAPTER.replace(EQUATION, MOVED + EQUATION.replace("eq-1-1", "eq-1-2"))
KEEPS = "needs: [], keeps: [eq-1-1, claim-1-9]"
TAKEN = OTHER.replace("needs: []", KEEPS) + "\n\n" + EQUATION + cell('identity("1.9", "A")')


def told(tmp_path, left=LEFT, taken=TAKEN) -> list[str]:
    """Problems of a course in which an equation and a claim moved from one chapter to the other."""
    course = Course(tmp_path, left, taken)
    masters = (course.master(), course.master("02_other"))
    return [str(one) for master in masters for one in problems(course.project, master, course.names())]


def test_what_moved_keeps_its_number_and_its_old_chapter_leaves_it_out(tmp_path):
    assert told(tmp_path) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"taken": TAKEN.replace(KEEPS, "needs: []")}, "the equation label here must be eq-2-2, got eq-1-1"),
        ({"taken": TAKEN.replace(KEEPS, "needs: []")}, "claim '1.9' must be numbered 2.1"),
        ({"left": LEFT.replace("eq-1-2", "eq-1-3")}, "the equation label here must be eq-1-2, got eq-1-3"),
        ({"left": LEFT.replace("sums, eq-1-1", "sums, eq-1-2")}, "eq-1-2 is not on 02_other"),
        ({"left": LEFT.replace("{moved} 02_other", "{moved} 09_gone")}, "must name the page where it is now"),
    ],
)
def test_what_moved_must_be_where_it_is_said_to_be(tmp_path, change, sentence):
    assert any(sentence in one for one in told(tmp_path, **change))


def test_the_site_leads_on_from_every_old_anchor_and_notebooks_say_where_to(tmp_path):
    course = Course(tmp_path, LEFT, TAKEN)
    page = Page(course.project, course.master(), course.names(), SimpleNamespace(notebook=new_notebook()))
    [block] = [one for one in course.master().blocks if getattr(one, "name", "") == "moved"]
    told = page.moved(block)
    for anchor in ("sums", "equation-eq-1-1", "claim-1-9"):
        assert f'<span id="{anchor}"></span>' in told
    assert "Now in [the other](02_other.ipynb#sums)." in told
    student = student_notebook(course.project, course.master(), course.names())
    text = "\n".join(one.source for one in student.cells)
    assert "Now in [the other](https://somebody.github.io/toy/book/02_other.html#sums)." in text
    assert "sums, eq-1-1" not in text


def test_an_equation_has_the_number_of_its_label_whatever_is_counted():
    given = {"equation-eq-5-17": (17, 1), "equation-eq-17-1": (17, 2), "id1": (17, 3)}
    env = SimpleNamespace(toc_fignumbers={"book/17_x": {"displaymath": given, "figure": {"id2": (17, 1)}}})
    by_label(env)
    assert given == {"equation-eq-5-17": (5, 17), "equation-eq-17-1": (17, 1), "id1": (17, 3)}
