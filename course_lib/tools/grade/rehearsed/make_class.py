"""`course make-class`: a class of plausible student notebooks whose marks are known, for demonstrations and tests.

The answers are the correct and wrong variants of the declarations, written as cells; none is run here.
"""

import argparse
import ast
import json
import random
import re
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from course_lib.exercises import exercises
from course_lib.exercises.checking import told
from course_lib.exercises.comparing import Verdict
from course_lib.exercises.declare import Exercise
from course_lib.tools.grade.marked.result import write_text
from course_lib.tools.grade.rehearsed.variants import cell, renamed, unfinished, without_return

GIVEN = (  # parted by blanks
    "Ada Amir Anna Beatriz Björn Carlos Chiara Chloé Dmitri Élodie Emeka Fatima Giulia Hana Igor Ingrid Jamal Jana "
    "José Kofi Lars Léa Linh Mateo Mei Nadia Noor Olga Omar Paula Priya Quentin Rosa Sven Tomás Uma Vera Wei Yara Zoë"
)
FAMILY = (
    "Abe Acker Bakker Baumgartner Becker Chen Costa Dubois Eriksen Farouk Fischer García Haddad Horvat Ito Janssen "
    "Kaya Kim Kovács Lindqvist López Marino Mbeki Müller Nakamura Nguyen Novák O'Brien Okafor Park Petrov Quispe Rossi "
    "Sato Schmidt Silva Tanaka van·der·Berg Wójcik Yılmaz"
)
OTHER_SCRIPTS = ("王小明", "نور الهدى", "דוד כהן", "Ольга Петрова", "Γιώργος Παππάς", "김민준", "प्रिया शर्मा")
STYLES = ("my_{}", "{}_", "{}1")
LAYOUTS = ("jupyter", "colab", "cleared")
WORDS = (
    "I would not repel when I want to estimate shares, since rare modes would be drawn too often.",
    "When candidates are cheap, drawing many and keeping ten does as well.",
    "see my notes",
    "",
)


@dataclass(frozen=True)
class Handed:
    """One answer of one student: the cell, what check prints below it, and the mark it deserves.

    source None: the student has deleted the cell.
    """

    kind: str
    source: str | None
    status: str
    points: int
    wrong: int | None = None
    said: str = ""

    def truth(self) -> dict:
        """The mark it deserves, and why."""
        return {"kind": self.kind, "status": self.status, "points": self.points, "wrong": self.wrong}


@dataclass(frozen=True)
class Template:
    """A chapter's student notebook and the solution cells of its complete one, by exercise."""

    name: str
    notebook: Mapping
    solutions: Mapping[str, str]

    @property
    def stubs(self) -> dict[str, str]:
        """The exercise cells as students get them."""
        return _answer_cells(self.notebook)


def template(root: Path, chapter: int) -> Template:
    """The notebooks of a chapter in a checkout; raises ValueError with a sentence where there is none."""
    found = sorted((root / "notebooks").glob(f"{chapter:02d}_*.ipynb"))
    if not found:
        raise ValueError(f"{root / 'notebooks'} has no notebook of chapter {chapter}: run this in the checkout.")
    complete = json.loads((root / "solutions" / found[0].name).read_text(encoding="utf-8"))
    marks = ("### BEGIN SOLUTION", "### END SOLUTION")
    solutions = {
        id: "\n".join(line for line in source.split("\n") if line.strip() not in marks)
        for id, source in _answer_cells(complete).items()
    }
    return Template(found[0].name, json.loads(found[0].read_text(encoding="utf-8")), solutions)


def _answer_cells(notebook: Mapping) -> dict[str, str]:
    cells = [c for c in notebook["cells"] if c["cell_type"] == "code" and "course" in c["metadata"]]
    return {c["metadata"]["course"]["exercise"]: "".join(c["source"]) for c in cells}


class Answers:
    """Every way in which an exercise is answered, written once."""

    def __init__(self, exercise: Exercise, stub: str, solution: str):
        self.exercise, self.stub, self.solution = exercise, stub, solution
        given = ast.parse(stub).body[-1]
        self.doc = ast.get_docstring(given) or ""
        self.raising = ast.unparse([node for node in ast.walk(given) if isinstance(node, ast.Raise)][-1])
        self.right = cache(self._right)
        self.wrong = cache(self._wrong)

    def _right(self, index: int, style: str) -> Handed:
        """The master's own solution (index 0) or another correct answer; only the latter can change its names."""
        change = renamed(style) if style else None
        fns = self.exercise.right
        source = cell(self.exercise, fns[index - 1], self.doc, change) if index else self.solution
        said = told(self.exercise, Verdict("passed"))
        return Handed(f"right {index}" + " renamed" * bool(style and index), source, "passed", self.points, said=said)

    def _wrong(self, index: int, style: str) -> Handed:
        wrong = self.exercise.wrong[index]
        source = cell(self.exercise, wrong.fn, self.doc, renamed(style) if style else None)
        said = told(self.exercise, Verdict("wrong", wrong.sentence, index))
        return Handed(f"wrong {index}" + " renamed" * bool(style), source, "wrong", 0, index, said)

    @property
    def points(self) -> int:
        return self.exercise.points

    def untouched(self) -> Handed:
        """The cell as it was given out."""
        return Handed("stub", self.stub, "not attempted", 0, said=told(self.exercise, Verdict("not attempted")))

    def half(self, index: int) -> Handed:
        """A correct answer without its end, or without its return."""
        for fn in (self.exercise.right * 2)[index:]:
            for change, status in ((unfinished(self.raising), "not attempted"), (without_return, "wrong")):
                source = _changed(self.exercise, fn, self.doc, change)
                if source:
                    return Handed(f"half, {status}", source, status, 0)
        return self.untouched()

    def broken(self) -> Handed:
        """The solution with a bracket too many: its cell is no Python."""
        return Handed("syntax", self.solution.rstrip() + "\n)", "error", 0)

    def deleted(self) -> Handed:
        """No such cell."""
        return Handed("deleted", None, "missing", 0)


def _changed(exercise: Exercise, fn, doc: str, change) -> str:
    """The cell after a change, or "" where the change is impossible."""
    possible = []

    def tried(node):
        possible.append(change(node))
        return possible[0] or node

    source = cell(exercise, fn, doc, tried)
    return source if possible[0] is not None else ""


def choose(answers: Answers, ability: float, popular: Sequence[int], rng: random.Random) -> Handed:
    """One student's answer to one exercise; `popular` orders the wrong answers, the most frequent first."""
    style = rng.choice(STYLES) if rng.random() < 0.3 else ""
    chance = min(0.97, max(0.03, ability - 0.06 * (answers.exercise.difficulty - 2)))
    if rng.random() < chance:
        return answers.right(rng.randrange(len(answers.exercise.right) + 1), style)
    way = rng.random()
    if way < 0.72:
        weights = [1 / (rank + 1) for rank in range(len(popular))]
        return answers.wrong(rng.choices(popular, weights)[0], style)
    if way < 0.82:
        return answers.half(rng.randrange(len(answers.exercise.right)))
    return answers.untouched() if way < 0.94 else answers.broken() if way < 0.98 else answers.deleted()


def name_of(number: int, rng: random.Random) -> str:
    """An invented name; number 7 is called as number 3 is, and one in thirty has a name in another script."""
    first = random.Random(f"name {3 if number == 7 else number}")
    if number != 7 and number % 30 == 11:
        return OTHER_SCRIPTS[number // 30 % len(OTHER_SCRIPTS)]
    return f"{first.choice(GIVEN.split())} {first.choice(FAMILY.split())}".replace("·", " ")


def filled(template: Template, handed: Mapping[str, Handed], rng: random.Random) -> dict:
    """The student's notebook: the template with these answers, as Jupyter, Colab or a tidy student leaves it."""
    notebook = json.loads(json.dumps(template.notebook))
    layout, cells, count = rng.choices(LAYOUTS, (5, 4, 2))[0], [], 0
    for one in notebook["cells"]:
        course = one["metadata"].get("course", {}).get("exercise")
        checks = re.match(r'check\("([\d.]+)"', "".join(one["source"]))
        if course in handed:
            if handed[course].source is None:
                continue
            one["source"] = handed[course].source
        elif course:
            one["source"] = f"**Your answer:** {rng.choice(WORDS)}".rstrip()
        cells.append(one)
        if one["cell_type"] == "code" and layout != "cleared":
            count += 1
            one["execution_count"] = count
            if checks and handed[checks[1]].said:
                text = handed[checks[1]].said + "\n"
                one["outputs"] = [{"name": "stdout", "output_type": "stream", "text": text}]
    notebook["cells"] = cells
    if rng.random() < 0.3:
        cells.insert(rng.randrange(1, len(cells)), _scratch(rng))
    return _as_colab(notebook) if layout == "colab" else notebook


def _scratch(rng: random.Random) -> dict:
    """A cell of the student's own."""
    source = rng.choice(("x = torch.randn(5, 2)\nx.shape", "# why is this nan??", "import torch\ntorch.__version__"))
    fields = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": []}
    return {"id": f"scratch-{rng.randrange(10**6)}", "source": source, **fields}


def _as_colab(notebook: dict) -> dict:
    """Colab's way with a notebook: the cells' tags and ids are gone."""
    for number, one in enumerate(notebook["cells"]):
        one["metadata"] = {"id": f"c{number}"}
        one.pop("id")
    notebook["metadata"] = {"colab": {"provenance": []}, "kernelspec": notebook["metadata"]["kernelspec"]}
    notebook["nbformat_minor"] = 0
    return notebook


def students(template: Template, chapter: int, number: int, seed: str):
    """(folder, name, notebook, answers) of each student; the first ones are the same in a larger class."""
    every = [e for e in exercises(chapter) if e.kind != "judged"]
    answers = {e.id: Answers(e, template.stubs[e.id], template.solutions[e.id]) for e in every}
    popular = {}
    for e in every:
        popular[e.id] = list(range(len(e.wrong)))
        random.Random(f"{seed} {e.id}").shuffle(popular[e.id])
    for n in range(number):
        rng = random.Random(f"{seed} {chapter} {n}")
        name, ability = name_of(n, rng), rng.betavariate(4, 2)
        last = len(every) if rng.random() < 0.8 else rng.randrange(len(every) + 1)
        handed = {
            e.id: choose(answers[e.id], ability, popular[e.id], rng) if i < last else answers[e.id].untouched()
            for i, e in enumerate(every)
        }
        folder = f"{name}_{4000000 + 37 * n + rng.randrange(37)}_assignsubmission_file"
        yield folder, name, filled(template, handed, rng), handed


def make(root: Path, chapter: int, number: int, seed: str, out: Path) -> Path:
    """Write submissions/ (a folder a student), submissions.zip (as Moodle makes it) and truth.json into `out`."""
    if (out / "submissions").exists():
        raise ValueError(f"{out} has a class already: name another folder.")
    source, truth = template(root, chapter), {}
    out.mkdir(parents=True, exist_ok=True)
    beside = out / ".submissions.zip.part"
    with zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED) as archive:
        for folder, name, notebook, handed in students(source, chapter, number, seed):
            text = json.dumps(notebook, ensure_ascii=False, indent=1) + "\n"
            write_text(out / "submissions" / folder / source.name, text)
            archive.writestr(zipfile.ZipInfo(f"{folder}/{source.name}"), text, zipfile.ZIP_DEFLATED)
            marks = {id: one.truth() for id, one in handed.items()}
            truth[folder] = {"name": name, "points": sum(one.points for one in handed.values()), "exercises": marks}
    beside.replace(out / "submissions.zip")
    told = {"chapter": chapter, "seed": seed, "students": truth}
    write_text(out / "truth.json", json.dumps(told, ensure_ascii=False, indent=1) + "\n")
    return out


def main(parsed: argparse.Namespace) -> int:
    """`course make-class`: the value is the exit status."""
    try:
        make(parsed.root, parsed.chapter, parsed.students, parsed.seed, parsed.out)
    except (ValueError, KeyError, OSError) as error:
        print(error.args[0] if isinstance(error, KeyError) else error, file=sys.stderr)
        return 1
    print(f"{parsed.students} notebooks of chapter {parsed.chapter} are in {parsed.out / 'submissions'}.")
    return 0
