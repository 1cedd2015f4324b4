"""A synthetic course of one or two chapters in a folder, for the builder's tests."""

import argparse
from pathlib import Path
from types import SimpleNamespace

from course_lib.exercises.declare import Question
from course_lib.tools.build import command
from course_lib.tools.build.masters import Master
from course_lib.tools.build.project import Declared, Names, Project, names_of
from course_lib.tools.build.rules import problems

CONFIG = """\
title: Toy
repository: {url: https://github.com/somebody/toy, branch: trunk}
bibtex_bibfiles: [book/references.bib]
sphinx: {config: {bibtex_reference_style: author_year, suppress_warnings: [mystnb.unknown_mime_type]}}
"""
TOC = """\
format: jb-book
root: book/welcome
parts:
  - caption: Part I
    chapters: [{file: book/01_toy}, {file: book/02_other}]
  - caption: Pages
    chapters: [{file: book/ledger}, {file: book/references}]
"""
BIB = r"""
@inproceedings{song2021, author = {Song, Yang and Ermon, Stefano and Schr{\"o}der, {\'E}mile},
  title = {Score-based {SDE} models}, booktitle = {ICLR}, year = {2021}, eprint = {2011.13456}}
@article{two2020, author = {First, Ada and Second, Bob}, title = {Pairs?}, journal = {J. Pairs}, year = {2020}}
"""
PAGES = {
    "welcome.md": "# Welcome\n\nBegin with [toy](01_toy.md).\n",
    "ledger.md": "# Ledger\n\n```{ledger}\n```\n",
    "references.md": "# References\n\n```{bibliography}\n:all:\n```\n",
}


def front(number: int, title: str) -> str:
    """Front matter and title of a master."""
    return (
        "---\njupytext: {text_representation: {extension: .md, format_name: myst}}\n"
        "kernelspec: {display_name: Python 3, language: python, name: python3}\n"
        f"course: {{number: {number}, title: {title}, paths: [lab], needs: []}}\n---\n# {title}\n\n"
    )


def cell(source: str, *options: str) -> str:
    """A code cell as a master writes it."""
    return "```{code-cell} ipython3\n" + "".join(f"{option}\n" for option in options) + f"{source}\n```\n\n"


DOUBLE = '''\
# exercise 1.1
def double(x):
    """x -> 2 x."""
    scale = 2
    ### BEGIN SOLUTION
    doubled = scale * x
    return doubled
    ### END SOLUTION'''
GRADER = '''\
import course_lib


def check(number, fn):
    """Say whether 2 is doubled."""
    try:
        passed = fn(2) == 4
    except NotImplementedError:
        passed = False
    print(number, "passed" if passed else "not attempted")
    return passed


def fallback(number, fn):
    """Give the function back."""
    return fn


print(f"{course_lib.CONSTANT:.2f}")'''
EXERCISE = (
    "```{exercise} 1.1\nWrite `double(x)` for {eq}`eq-1-1`.\n```\n\n"
    + cell(DOUBLE)
    + cell('check("1.1", double)\ndouble = fallback("1.1", double)')
    + "```{hint} 1.1\nTwice {eq}`eq-1-1`.\n```\n\n```{hint} 1.1\nAdd it to itself.\n```\n\n"
    + "```{solution} 1.1\nA secret: because {cite:t}`two2020`.\n```\n\n"
)
JUDGED = "```{exercise} 1.2\nWhy?\n```\n\n```{solution} 1.2\nA secret rubric.\n```\n\n"
EQUATION = "```{math}\n:label: eq-1-1\n\n\\begin{aligned} a &= b \\\\ c &= d \\end{aligned}\n```\n\n"
CLAIM = '''\
class Claim:
    """What a claim displays."""

    def __init__(self, number, verdict, **rows):
        self.data = {"number": number, "sentence": f"Claim | {number}.", "verdict": verdict, "rows": list(rows.items())}
        self.data["reason"] = "too small" if verdict == "fails" else ""

    def _repr_mimebundle_(self, include=None, exclude=None):
        return {"text/plain": "claim", "text/html": "<b>claim</b>", "application/vnd.course.claim+json": self.data}


Claim("1.10", "holds", error="1e-9")'''
CHAPTER = (
    front(1, "Toy")
    + "You read {cite:t}`song2021` and $a_{[i](j)}$.\n\n```{measured}\n```\n\n"
    + "## Which way?\n\nSome text.\n\n"
    + EQUATION
    + "See {eq}`eq-1-1`, `{eq}` {cite:p}`song2021, two2020` and {eq}`eq-2-1` of [the other](02_other.md).\n\n"
    + '```python\nx = "{eq}`nope`"\n```\n\n'
    + cell(GRADER, ":tags: [nbval-check-output]")
    + EXERCISE
    + JUDGED
    + "````{note}\nNested:\n```{math}\nx = 2\n```\n````\n\n```{dropdown} More on {eq}`eq-1-1`\nFolded.\n```\n\n"
    + "## Looking\n\n"
    + cell("import matplotlib.pyplot as plt\n\nplt.plot([1, 2])\nplt.show()", ":caption: Up.", ":alt: A line.")
    + cell(CLAIM)
    + cell('Claim("1.2", "fails", measured="3 ± 1", baseline="2", control="1", published="9")')
    + "```{quiz} 1\n```\n"
)
OTHER = front(2, "Other") + "```{math}\n:label: eq-2-1\n\nx = 1\n```\n\nBack to {eq}`eq-1-1` and {ref}`ex-1-1`.\n"
QUESTION = Question("What is twice 2?", [(4.0, True, "Added to itself.")], "Add 2 to itself.")
QUIZ = "def quiz(number):\n    print('questions of', number)\n"

EXERCISES = {
    "1.1": SimpleNamespace(
        id="1.1", title="The double", points=2, difficulty=2, importance=5, minutes=10, equation="(1.1)", further=False
    ),
    "1.2": SimpleNamespace(
        id="1.2", title="Why", points=1, difficulty=1, importance=1, minutes=5, equation="", further=True
    ),
}
vars(EXERCISES["1.1"]).update(name="double", rubric="", kind="function")
vars(EXERCISES["1.2"]).update(name="", rubric="1 point: says why.", kind="judged")


def declared(number: int) -> Declared:
    return Declared(EXERCISES, [QUESTION]) if number == 1 else Declared({})


class Course:
    """A course in a folder, with what the tests ask of it."""

    def __init__(self, root: Path, chapter: str = CHAPTER, other: str | None = OTHER, declarations=declared):
        self.root, self.declarations = root, declarations
        texts = {"_config.yml": CONFIG, "book/_toc.yml": TOC, "book/references.bib": BIB, "constraints.txt": "x==1\n"}
        texts["pyproject.toml"] = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
        texts |= {f"book/{name}": text for name, text in PAGES.items()}
        texts |= {"course_lib/__init__.py": "CONSTANT = 3.14159\n", "course_lib/exercises/__init__.py": QUIZ}
        texts |= {"book/01_toy.md": chapter} | ({"book/02_other.md": other} if other else {})
        for name, text in texts.items():
            self.write(name, text)

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def read(self, name: str) -> str:
        return (self.root / name).read_text(encoding="utf-8")

    def change(self, name: str, old: str, new: str) -> None:
        assert old in self.read(name)
        self.write(name, self.read(name).replace(old, new))

    @property
    def project(self) -> Project:
        return Project(self.root, self.declarations)

    def master(self, stem: str = "01_toy") -> Master:
        return self.project.read(self.root / "book" / f"{stem}.md")

    def names(self) -> Names:
        return names_of(self.project, [self.project.read(path) for path in self.project.master_paths()])

    def problems(self) -> list:
        return problems(self.project, self.master(), self.names())

    def build(self, *options: str) -> None:
        """`course build` with these options, on this course."""
        from course_lib.tools.cli import parser

        arguments: argparse.Namespace = parser().parse_args(["build", "--root", str(self.root), *options])
        command.build(arguments, self.project)
