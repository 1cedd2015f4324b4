"""Code of masters in few columns: what is cut, that it says the same, and that it stays as ruff lays it out."""

import ast
from pathlib import Path

import pytest

from course_lib.tools.build.narrow import narrowed
from course_lib.tools.build.notebooks import stubbed
from course_lib.tools.build.project import Project
from tests.toy import CHAPTER, EXERCISES, Course, cell

WORDS = "one two three four five six seven eight nine ten"


def value(source: str) -> object:
    """The value of a cell's last expression."""
    *before, last = ast.parse(source).body
    names = {"T": 3, "about": "x y"}
    exec(compile(ast.Module(before, []), "cell", "exec"), names)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names)


@pytest.mark.parametrize(
    "source",
    [
        f'print_ = ["{WORDS}", 1]\nprint_',
        f'dict(calls="{WORDS}", sets=3)',
        f'x = "{WORDS}"\nx',
        f"def f():\n    return '{WORDS}'\n\n\nf()",
        f'(f"{{T * 2}} calls: {{T:3d}} of them; {WORDS}")',
        f'[f"{{about + about}}: {{{{{WORDS[:20]}}}}} {{T:>8}} {{T:>8}}"]',
        f'"{WORDS} %s" % 3',
        f'("-".join(["a"]) + r"\\d {WORDS}")',
        '("a\\tb c\\td e\\"f g h i j k l m n o p q r s t u")',
        '[f"{T:10}{T:10}{T:10}{T:10}{T:10}{T:10}"]',
        f'[f"{{T}}" "{WORDS}"]',
    ],
)
def test_a_long_string_is_cut_and_keeps_its_value(source):
    new = narrowed(source, 30)
    assert max(map(len, source.split("\n"))) > 30 >= max(map(len, new.split("\n"))), new
    assert value(new) == value(source)


def test_short_lines_and_lines_of_ipython_stay():
    for source in (
        'x = "one two"',
        f'%pip install "{WORDS}"',
        f'!ls "{WORDS}"',
        "x = " + "a" * 40,
    ):
        assert narrowed(source, 30) == source


def test_a_part_without_a_value_is_no_f_string():
    assert narrowed(f'[f"{WORDS} {{T}}"]', 40).count('f"') == 1


def test_a_long_docstring_gets_lines_and_its_paragraphs_stay():
    source = f'def f():\n    """{WORDS}.\n\n    x (N, d) -> 1.\n    {WORDS}, {WORDS}.\n    """\n    return 1'
    new = narrowed(source, 40)
    assert max(map(len, new.split("\n"))) <= 40
    text = ast.get_docstring(ast.parse(new).body[0])
    assert [" ".join(part.split()) for part in text.split("\n\n")] == [f"{WORDS}.", f"x (N, d) -> 1. {WORDS}, {WORDS}."]
    one = narrowed(f'def f():\n    """{WORDS}."""', 4 + 3 + len(WORDS) + 2)  # only the closing quotes are too much
    assert max(map(len, one.split("\n"))) <= 58
    assert one.endswith('\n    """')


def test_a_comment_goes_above_its_line_or_is_wrapped():
    assert narrowed(f"x = f(1)  # {WORDS[:25]}", 30) == f"# {WORDS[:25].strip()}\nx = f(1)"
    assert narrowed(f"# {WORDS}", 30).split("\n")[0] == "# one two three four five six"
    assert narrowed(f"a = [1,  2]  # fmt: skip\nb = '{WORDS}'", 40).startswith("a = [1,  2]\n")


def test_both_kinds_of_notebooks_have_the_width_of_the_masters():
    project = Project(Path(__file__).resolve().parents[1])
    texts = {(project.root / folder / "ruff.toml").read_text() for folder in ("notebooks", "solutions")}
    assert len(texts) == 1
    assert project.columns == 88


LONG = f'''def f(x):
    """{WORDS}, and then {WORDS}: -> nothing."""
    print("{WORDS}", f"{{x}} {WORDS}: and {{x + 1:.2f}}, which is the end of it", x)
    return {{"what": "{WORDS}, and then {WORDS}"}}  # {WORDS}
'''


def test_format_makes_masters_as_narrow_as_the_notebooks_configuration_says(tmp_path):
    course = Course(tmp_path, CHAPTER + "\n" + cell(LONG.strip()))
    course.write("notebooks/ruff.toml", 'extend = "../pyproject.toml"\nline-length = 88\n')
    course.build("--format")
    new = course.read("book/01_toy.md")
    code = [part.split("```")[0] for part in new.split("```{code-cell} ipython3\n")[1:]]
    lines = [line for part in code for line in part.split("\n") if not line.startswith(":")]
    assert 80 < max(map(len, lines)) <= 88
    course.build("--check", "book/01_toy.md")  # nothing is left to be told, in stubs neither
    course.build("--format")
    assert course.read("book/01_toy.md") == new


def test_a_long_stub_is_laid_out_as_ruff_does():
    source = "def double(x):\n    ### BEGIN SOLUTION\n    return 2 * x\n    ### END SOLUTION"
    assert stubbed(source, EXERCISES["1.1"], 60) == (
        'def double(x):\n    raise NotImplementedError(\n        "Exercise 1.1: the double, eq. (1.1)"\n    )'
    )
    assert '\n    raise NotImplementedError("Exercise 1.1: ' in stubbed(source, EXERCISES["1.1"], 120)
