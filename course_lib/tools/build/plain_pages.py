"""Pages that are no chapters: {{ placeholders }} filled with what the builder knows."""

import ast
import re
from collections.abc import Mapping
from pathlib import Path

from course_lib.exercises.declare import work
from course_lib.tools.build.masters import BuildError, Master, Problem, Text, walk
from course_lib.tools.build.project import Project
from course_lib.tools.build.quiz_page import progress

PACE = 200  # words that are read in a minute
COST = re.compile(r"(minute|hour)s?\b.*\b(one|two)( idle)? cores?\b")
PLACEHOLDER = re.compile(r"\{\{ *(\w+) *\}\}")


def fill(path: Path, project: Project, masters: list[Master], minutes: Mapping[str, float]) -> str:
    """The text of a page with its placeholders filled; `minutes` are the last build's, by the chapter's stem."""
    text = path.read_text(encoding="utf-8")
    values = {
        "repository": lambda: project.url,
        "branch": lambda: project.branch,
        "site": lambda: project.site,
        "install": lambda: project.install.strip('"'),
        "chapters": lambda: chapters(project, masters, minutes),
        "cards": lambda: cards(project, masters),
        "exercises": lambda: exercises(project, masters),
        "progress": lambda: progress(project, masters),
        "rubrics": lambda: rubrics(project, masters),
        "changelog": lambda: body(project, "CHANGELOG.md"),
        "contributing": lambda: body(project, "CONTRIBUTING.md"),
        "stored": lambda: stored(project.root / "course_lib" / "tools" / "precompute"),
    }
    for found in PLACEHOLDER.finditer(text):
        if found[1] not in values:
            line = text.count("\n", 0, found.start()) + 1
            known = ", ".join(sorted(values))
            raise BuildError(Problem(project.shown(path), line, f"{found[0]} is unknown: use one of {known}."))
    return PLACEHOLDER.sub(lambda found: values[found[1]](), text)


def stored(scripts: Path) -> str:
    """One row a script of a stored result: what it makes, and how long that takes, both from its docstring."""
    rows = []
    for path in sorted(scripts.glob("ch*.py")):
        text = " ".join((ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split())
        time = [part.strip() for part in re.split(r"\.(?= |$)", text) if COST.search(part)]
        if not time:
            raise BuildError(Problem(path.name, 1, "the docstring must say how long the script takes on one core."))
        rows.append([f"`course precompute {path.stem}`", re.split(r"\. |\.$", text)[0], time[-1]])
    return table(["command", "what it makes", "time"], rows)


def body(project: Project, name: str) -> str:
    """A file of the root without its title: what stands after the line <!-- begin -->."""
    return (project.root / name).read_text(encoding="utf-8").partition("<!-- begin -->\n")[2].strip()


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def declared(project: Project, master: Master) -> list:
    return list(project.declared(master.number).exercises.values())


def chapters(project: Project, masters: list[Master], minutes: Mapping[str, float]) -> str:
    """One row a chapter: paths through it, minutes of exercises and of computing, where to open it."""
    rows = []
    for master in masters:
        core, further = work(declared(project, master))
        ran = f"{minutes[master.stem]:.1f} min" if master.stem in minutes else "not yet measured"
        rows.append(
            [
                f"[{master.number}. {master.title}]({master.stem}.md)",
                ", ".join(master.header["paths"]),
                f"{core} min{f' + {further}' if further else ''}",
                ran,
                f"[Open in Colab]({project.colab(master.stem)})",
            ]
        )
    return table(["chapter", "paths", "exercises", "runs in", "notebook"], rows)


def reading_minutes(master: Master) -> int:
    """Minutes to read a chapter's text, without folds, hints, solutions and code, rounded up."""
    texts = [block.text for block, inside in walk(master.blocks, master.shown) if isinstance(block, Text)
             and not {"dropdown", "hint", "solution"} & set(inside)]  # fmt: skip
    return -(-sum(len(text.split()) for text in texts) // PACE)


def cards(project: Project, masters: list[Master]) -> str:
    """One card a chapter: how long it is to read, how long its exercises take, where to open it."""
    found = []
    for master in masters:
        core, further = work(declared(project, master))
        more = f" and {further} of further ones" if further else ""
        body = (
            f"**[{master.number}. {master.title}]({master.stem}.md)**\n\n"
            f"{reading_minutes(master)} min to read · {core} min of exercises{more}\n\n"
            f"[Open in Colab]({project.colab(master.stem)})"
        )
        found.append(f":::{{grid-item-card}}\n:class-card: chapter-card\n\n{body}\n:::")
    return "\n".join(["::::{grid} 1 2 2 3", ":gutter: 3", "", *found, "::::"])


def exercises(project: Project, masters: list[Master]) -> str:
    """One row an exercise, and a total a chapter."""
    rows = []
    for master in masters:
        mine = declared(project, master)
        for one in mine:
            kind = f"{one.kind}, further" if one.further else one.kind
            rows.append([one.id, one.title, kind, str(one.points), f"{one.difficulty}/5", f"{one.minutes} min"])
        points, minutes = sum(one.points for one in mine), sum(one.minutes for one in mine)
        rows.append(["", f"**chapter {master.number}**", "", f"**{points}**", "", f"**{minutes} min**"])
    return table(["", "exercise", "kind", "points", "difficulty", "time"], rows)


def rubrics(project: Project, masters: list[Master]) -> str:
    """The rubric of every exercise that is answered in words."""
    found = []
    for master in masters:
        for one in declared(project, master):
            if one.rubric:
                place = f"[chapter {master.number}]({master.stem}.md)"
                points = f"{one.points} point{'s' * (one.points != 1)}"
                found.append(f"### {one.id} {one.title}\n\n{points}, {place}.\n\n{one.rubric.strip()}")
    return "\n\n".join(found) or "No chapter has an exercise that is answered in words."
