"""The quiz at the end of a chapter: interactive in a notebook and on the site, plain text elsewhere."""

import contextlib
import html
import random
import re
from collections.abc import Iterator, Sequence
from importlib.util import find_spec

from course_lib.exercises import registry
from course_lib.exercises.declare import Question

_COLOURS = {  # white text on each has a contrast of at least 7; the feedback stands on the page itself
    "--jq-multiple-choice-bg": "#27406b",
    "--jq-many-choice-bg": "#5c3566",
    "--jq-numeric-bg": "#1f4d45",
    "--jq-mc-button-border": "#8a8a8a",
    "--jq-numeric-input-bg": "#1f4d45",
    "--jq-numeric-input-label": "currentColor",
    "--jq-correct-color": "#00691f",
    "--jq-incorrect-color": "#a40000",
}
_STYLE = """<style>
.course-quiz .Quiz {font-size: 1em; line-height: 1.4; margin-left: 0}
.course-quiz .Feedback {font-size: 1em; text-align: left; color: inherit}
.course-quiz .Feedback:not(:empty) {border-left: 4px solid; padding: .2em .8em}
.course-quiz .InpLabel {font-size: 1em}
.course-quiz .Input-text {font-size: 1em; line-height: 1.6}
.course-quiz .MCButton:focus-within, .course-quiz .Input-text:focus {outline: 3px solid #d98200; outline-offset: 2px}
.course-quiz .sr-only {position: absolute; width: 1px; height: 1px; opacity: 0}
</style>"""


def quiz(number: int) -> None:
    """Show the questions of a chapter, each answer with its feedback.

    In a notebook with jupyterquiz they can be clicked, also without a kernel; elsewhere all is printed.
    Raises KeyError for a chapter without questions.
    """
    questions = getattr(registry.module(number), "QUIZ", ())
    if not questions:
        raise KeyError(f"chapter {number} has no quiz")
    plain = as_text(questions)
    if _clickable():
        from IPython.display import display

        display({"text/html": as_html(questions, f"quiz-{number}"), "text/plain": plain}, raw=True)
    else:
        print(plain)


def _clickable() -> bool:
    """Whether the output is shown by a browser, and jupyterquiz is there."""
    if find_spec("jupyterquiz") is None or find_spec("IPython") is None:
        return False
    from IPython import get_ipython

    return hasattr(get_ipython(), "kernel")


def as_text(questions: Sequence[Question]) -> str:
    """Questions first, then every answer with its feedback."""
    asked, answered = [], ["Answers"]
    for i, question in enumerate(questions, 1):
        asked.append(f"{i}. {question.text}{'' if question.numeric else _how(question)}")
        for letter, (answer, correct, feedback) in zip("abcdefghij", question.answers):
            if not question.numeric:
                asked.append(f"   {letter}) {answer}")
            label = _number(answer) if question.numeric else f"{letter})"
            answered.append(f"{i}. {label}: {told(correct, feedback)}")
        if question.numeric:
            answered.append(f"{i}. any other number: {told(False, question.otherwise)}")
    return "\n".join([*asked, "", *answered])


def _how(question: Question) -> str:
    return " (choose all that hold)" if sum(correct for _, correct, _ in question.answers) > 1 else ""


def _number(answer: float | tuple[float, float]) -> str:
    return f"{answer[0]:g} to {answer[1]:g}" if isinstance(answer, tuple) else f"{answer:g}"


def told(correct: bool, feedback: str) -> str:
    """The feedback with its verdict in words, since a colour alone says nothing to some."""
    return f"{'Correct.' if correct else 'Not correct.'} {feedback}"


def as_data(question: Question) -> dict:
    """A question in jupyterquiz' form; its texts become HTML there, so they are escaped here."""
    answers = []
    for answer, correct, feedback in question.answers:
        said = {"correct": bool(correct), "feedback": html.escape(told(correct, feedback), quote=False)}
        if isinstance(answer, tuple):
            answers.append({"type": "range", "range": list(answer)} | said)
        elif question.numeric:
            answers.append({"type": "value", "value": answer} | said)
        else:
            answers.append({"answer": html.escape(answer, quote=False)} | said)
    kind = "many_choice" if _how(question) else "multiple_choice"
    if question.numeric:
        kind = "numeric"
        answers.append({"type": "default", "feedback": html.escape(told(False, question.otherwise), quote=False)})
    return {"question": html.escape(question.text, quote=False) + _how(question), "type": kind, "answers": answers}


def as_html(questions: Sequence[Question], id: str) -> str:
    """What jupyterquiz displays, as one piece of HTML that loads nothing, with plain text where scripts are off."""
    import jupyterquiz

    with _displayed(id) as outputs:
        jupyterquiz.display_quiz([as_data(question) for question in questions], shuffle_answers=False, colors=_COLOURS)
    markup = "".join(output["text/html"] for output in outputs if "text/html" in output)
    script = "".join(output["application/javascript"] for output in outputs if "application/javascript" in output)
    without = f"<noscript><pre>{html.escape(as_text(questions))}</pre></noscript>"
    return f'{_STYLE}<div class="course-quiz">{markup}</div></div><script>{offline(script)}</script>{without}'


def offline(script: str) -> str:
    """The script without its attempt to load MathJax, content where MathJax is not ready, and saying to press Enter."""
    script = re.sub(r"console\.log\('WARNING: Trying to force load MathJax 3'\);", "return;", script)
    script = re.sub(r"script\.src = '[^']*';", "return;", script)
    script = script.replace("Type numeric answer here:", "Type a number, then press Enter:")
    script = script.replace("MathJax.version", "(MathJax.version || '0')")
    return script.replace("MathJax.typeset(", "(MathJax.typeset || (() => {}))(")


@contextlib.contextmanager
def _displayed(id: str) -> Iterator[list[dict]]:
    """Collects what IPython is asked to display; the random names of elements become the same each time."""
    from IPython.core.displaypub import CapturingDisplayPublisher
    from IPython.core.interactiveshell import InteractiveShell

    shell, state = InteractiveShell.instance(), random.getstate()
    publisher, shell.display_pub = shell.display_pub, CapturingDisplayPublisher()
    outputs: list[dict] = []
    random.seed(id)
    try:
        yield outputs
        outputs += [output["data"] for output in shell.display_pub.outputs]
    finally:
        shell.display_pub = publisher
        random.setstate(state)
