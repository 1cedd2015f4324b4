"""Pages to read: one for each student, and one about the class, which names nobody. Whatever they show is escaped."""

import statistics
from collections import Counter
from collections.abc import Sequence
from html import escape

from course_lib.exercises.declare import Exercise
from course_lib.tools.grade.marked.result import Mark
from course_lib.tools.grade.reported.imports import said
from course_lib.tools.grade.reported.plots import GROUPS, distribution, outcomes
from course_lib.tools.grade.reported.sheet import Row
from course_lib.tools.grade.reported.tables import shown, tidy

MORE = 0.2  # share of a class from which on an exercise is worth teaching again
STYLE = """
:root { color-scheme: light dark; --soft: #f1f3f5; --line: #c9ced4; --ink: #1b1f24; --paper: #fff; --good: #00704f;
  --bad: #b04300; --dim: #57606a }
@media (prefers-color-scheme: dark) { :root { --soft: #22272e; --line: #444c56; --ink: #e6e9ec; --paper: #15191e;
  --good: #3fd6a4; --bad: #ff9d5c; --dim: #a3acb6 } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1rem; max-width: 50rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif; overflow-wrap: break-word }
h1 { font-size: 1.5rem; line-height: 1.25 } h2 { font-size: 1.2rem; margin-top: 2rem } h3 { font-size: 1rem }
ol.exercises { list-style: none; padding: 0 } ol.exercises > li { border-top: 1px solid var(--line); padding: .6rem 0 }
.row { display: flex; gap: .3rem 1rem; justify-content: space-between; flex-wrap: wrap } .row b { flex: 1 1 12rem }
.passed { color: var(--good) } .wrong { color: var(--bad) } .dim { color: var(--dim) } p { margin: .4rem 0 }
.total { font-size: 1.2rem; background: var(--soft); padding: .6rem .8rem; border-radius: .4rem }
.comment { white-space: pre-line; border-left: .25rem solid var(--line); padding-left: .8rem }
figure { margin: 1rem 0 } svg { width: 100%; max-width: 30rem; height: auto; display: block }
.wide { overflow-x: auto } table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; border-top: 1px solid var(--line) }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; min-width: 3rem }
th[scope="row"] { min-width: 10rem; font-weight: normal } ol.again > li { margin: .6rem 0 }
"""
HEAD = (
    '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
    '<meta name="robots" content="noindex">\n'
)


def page(title: str, body: Sequence[str]) -> str:
    """A page that loads nothing and runs nothing; title is plain text, body is HTML."""
    head = f"{HEAD}<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
    return "\n".join([f"{head}<body>", *body, "</body>\n</html>\n"])


def feedback(row: Row) -> str:
    """What one student reads: each exercise with its marks and its sentence, no input and no solution."""
    name, chapter = escape(tidy(row.name)), row.result.chapter
    waiting = f' <span class="dim">so far; {escape(", ".join(row.open))} to be marked</span>' if row.open else ""
    body = [
        f'<h1>Chapter {chapter}: <bdi dir="auto">{name}</bdi></h1>',
        f'<p class="total"><b>{shown(row.total)}</b> of {row.of} points{waiting}</p>',
        *(f'<p class="wrong">{escape(tidy(problem))}</p>' for problem in row.result.problems),
    ]
    if row.manual.comment:
        body += ["<h2>Comment</h2>", f'<p class="comment" dir="auto">{escape(row.manual.comment)}</p>']
    body += ["<h2>Exercises</h2>", '<ol class="exercises">', *(_item(row, one) for one in row.counted), "</ol>"]
    if row.manual.adjustment:
        sign = "+" if row.manual.adjustment > 0 else "−"
        body.append(f"<p>Adjusted by hand: {sign}{shown(abs(row.manual.adjustment))} points.</p>")
    return page(f"Chapter {chapter}: {tidy(row.name)}", body)


def _item(row: Row, exercise: Exercise) -> str:
    """One exercise on a student's page."""
    mark = row.mark(exercise)
    points = f"{'–' if mark is None else shown(mark)} of {exercise.points}"
    head = f'<div class="row"><b>{exercise.id} {escape(exercise.title)}</b> <span>{points}</span></div>'
    if exercise.kind == "judged":
        text = "Marked by hand, with the rubric of this exercise." if mark is not None else "To be marked by hand."
        return f"<li>{head}<p>{text}</p></li>"
    ran = row.ran(exercise)
    css = "passed" if ran.status == "passed" else "dim" if ran.status == "not attempted" else "wrong"
    cited = exercise.equation and ran.status == "wrong"
    where = f' <span class="dim">Equation {escape(exercise.equation)}.</span>' if cited else ""
    return f'<li>{head}<p class="{css}" dir="auto">{escape(tidy(said(ran)))}{where}</p></li>'


def group(mark: Mark) -> int:
    """Which of GROUPS an exercise's end belongs to."""
    if mark.status == "wrong":
        return 1 if mark.wrong is not None else 2
    return {"passed": 0, "not attempted": 3, "missing": 3}.get(mark.status, 4)


def class_page(rows: Sequence[Row], chapter: int) -> str:
    """How a class did: distribution, how each exercise ended, what to teach again, every anticipated mistake."""
    rows = [row for row in rows if row.result]
    ran = [one for one in rows[0].exercises if one.kind != "judged"] if rows else []
    title = f"Chapter {chapter}: the class"
    if not rows:
        return page(title, [f"<h1>{title}</h1>", "<p>Nobody has handed anything in.</p>"])
    of = sum(one.points for one in ran)
    points = [sum(row.ran(one).points for one in ran) for row in rows]
    counts = {one.id: [[group(row.ran(one)) for row in rows].count(n) for n in range(len(GROUPS))] for one in ran}
    body = [
        f"<h1>{title}</h1>",
        f"<p>{len(rows)} notebooks. Of the {of} points of the exercises that are graded by running them, half of the "
        f"class has {shown(statistics.median(points))} or more; the mean is {statistics.mean(points):.1f}. "
        "This page names nobody.</p>",
        f"<figure>{distribution(points, of)}</figure>",
        "<h2>What to teach again</h2>",
        *again(rows, ran),
        "<h2>How each exercise ended</h2>",
        f"<figure>{outcomes(counts)}</figure>",
        _counts_table(ran, counts),
        "<h2>Every anticipated mistake</h2>",
        *(_mistakes(rows, one) for one in ran),
    ]
    return page(title, body)


def again(rows: Sequence[Row], exercises: Sequence[Exercise]) -> list[str]:
    """The exercises whose failures weigh most: share of the class without the points, times importance."""
    lost = {one.id: sum(row.ran(one).status != "passed" for row in rows) / len(rows) for one in exercises}
    worst = sorted(exercises, key=lambda one: -lost[one.id] * one.importance)
    items = []
    for one in worst[:5]:
        if lost[one.id] < MORE:
            continue
        common = _met(rows, one).most_common(1)
        most = ""
        if common:
            index, number = common[0]
            most = f"<br>The most frequent mistake, {number} of {len(rows)}: {escape(one.wrong[index].sentence)}"
        where = f", equation {escape(one.equation)}" if one.equation else ""
        items.append(
            f"<li><b>{one.id} {escape(one.title)}</b>{where}: {lost[one.id]:.0%} of the class without its points"
            f" (importance {one.importance} of 5).{most}</li>"
        )
    nothing = [f"<p>At least {1 - MORE:.0%} of the class passed each exercise.</p>"]
    return ['<ol class="again">', *items, "</ol>"] if items else nothing


def _met(rows: Sequence[Row], exercise: Exercise) -> Counter:
    """How many students met each anticipated mistake; an index that the declaration does not have is nobody's."""
    marks = (row.ran(exercise) for row in rows)
    return Counter(mark.wrong for mark in marks if mark.wrong is not None and mark.wrong < len(exercise.wrong))


def _counts_table(exercises: Sequence[Exercise], counts: dict[str, Sequence[int]]) -> str:
    """The numbers of the bars."""
    head = "".join(f'<th class="n" scope="col">{name}</th>' for name in GROUPS)
    lines = [
        f'<tr><th scope="row">{one.id} {escape(one.title)}</th>'
        + "".join(f'<td class="n">{number}</td>' for number in counts[one.id])
        + "</tr>"
        for one in exercises
    ]
    return f'<div class="wide"><table><tr><th scope="col">exercise</th>{head}</tr>{"".join(lines)}</table></div>'


def _mistakes(rows: Sequence[Row], exercise: Exercise) -> str:
    """The anticipated mistakes of an exercise, the most frequent first; those nobody made are left out."""
    met = sorted(_met(rows, exercise).items(), key=lambda item: (-item[1], item[0]))
    if not met:
        return f"<h3>{exercise.id} {escape(exercise.title)}</h3><p>Nobody.</p>"
    lines = [f'<tr><td class="n">{n}</td><td>{escape(exercise.wrong[index].sentence)}</td></tr>' for index, n in met]
    return f"<h3>{exercise.id} {escape(exercise.title)}</h3><table>{''.join(lines)}</table>"
