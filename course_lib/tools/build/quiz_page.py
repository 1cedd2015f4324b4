"""Quizzes on the site: forms that book/_static/quiz/quiz.js reads, and the list of them for the page of progress."""

import hashlib
import html
import json
from collections.abc import Sequence

from course_lib.exercises.declare import Question
from course_lib.exercises.quizzes import as_text
from course_lib.tools.build.masters import Master
from course_lib.tools.build.project import Project

WHAT = {"one": "Choose one.", "many": "Choose all that hold.", "number": "Type a number."}


def quiz_form(number: int, questions: Sequence[Question]) -> str:
    """The quiz of a chapter: a form for each question; where scripts are off, questions and answers as text."""
    forms = "".join(question_form(number, count, question) for count, question in enumerate(questions, 1))
    without = f"<noscript><pre>{html.escape(as_text(questions))}</pre></noscript>"
    title = f'<h3 class="quiz-title" id="quiz-{number}">Quiz of chapter {number}: {len(questions)} questions</h3>'
    kept = '<p class="quiz-kept" hidden><span></span> <a href="progress.html">Your progress</a></p>'
    opened = f'<section class="quiz" data-chapter="{number}" aria-labelledby="quiz-{number}">'
    return f"{opened}{title}{without}{forms}{kept}</section>"


def question_form(number: int, count: int, question: Question) -> str:
    """One question: a fieldset under its legend, a button, and a place where the answer is told."""
    name = f"quiz-{number}-{count}"
    fields = number_field() if question.numeric else choices(name, question)
    data = html.escape(json.dumps(key_of(question), ensure_ascii=False), quote=True)
    return (
        f'<form class="quiz-question" data-id="{identity(question)}" data-key="{data}" hidden>'
        f"<fieldset><legend>{count}. {html.escape(question.text)} <small>{WHAT[kind(question)]}</small></legend>"
        f'{fields}<button type="submit">Check</button><div class="quiz-told" role="status"></div></fieldset></form>'
    )


def kind(question: Question) -> str:
    if question.numeric:
        return "number"
    return "many" if sum(correct for _, correct, _ in question.answers) > 1 else "one"


def choices(name: str, question: Question) -> str:
    """Radio buttons where one answer holds, else check boxes."""
    kind_ = "checkbox" if kind(question) == "many" else "radio"
    labels = (
        f'<label><input type="{kind_}" name="{name}" value="{n}"> <span>{html.escape(answer)}</span></label>'
        for n, (answer, _, _) in enumerate(question.answers)
    )
    return "".join(labels)


def number_field() -> str:
    field = '<input type="text" inputmode="decimal" autocomplete="off" size="12">'
    return f'<label class="quiz-number">Your number {field}</label>'


def key_of(question: Question) -> dict:
    """What the script needs to judge: for each answer what it is, whether it holds and what is said to it."""
    key = {"kind": kind(question), "answers": []}
    for answer, correct, feedback in question.answers:
        plain = list(answer) if isinstance(answer, tuple) else answer
        key["answers"].append({"answer": plain, "correct": bool(correct), "feedback": feedback})
    return key | ({"otherwise": question.otherwise} if question.numeric else {})


def identity(question: Question) -> str:
    """Names a question by its words: a reworded one has not been answered yet."""
    return hashlib.sha256(question.text.encode()).hexdigest()[:8]


def progress(project: Project, masters: list[Master]) -> str:
    """One row a chapter with a quiz, which the script fills from what this browser has kept."""
    rows = []
    for master in masters:
        if questions := project.declared(master.number).quiz:
            known = html.escape(json.dumps([identity(question) for question in questions]), quote=True)
            link = f'<a href="{master.stem}.html#quiz-{master.number}">{html.escape(master.title)}</a>'
            rows.append(
                f'<tr data-chapter="{master.number}" data-questions="{known}"><td>{master.number}</td>'
                f'<th scope="row">{link}</th><td>{len(questions)}</td><td>–</td><td>–</td></tr>'
            )
    names = ("number", "chapter", "questions", "answered", "correct")
    header = "".join(f'<th scope="col">{name}</th>' for name in names)
    table = f'<table class="table"><thead><tr>{header}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    table = f'<div class="table-wrapper">{table}</div>'
    clear = '<button type="button">Clear my answers</button><div role="status"></div>'
    element = f'<div class="quiz-progress"><noscript><p>This page needs JavaScript.</p></noscript>{table}{clear}</div>'
    return f"```{{raw}} html\n{element}\n```"
