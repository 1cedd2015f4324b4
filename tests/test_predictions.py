"""Boxes for predictions: where they stand, and that the site's field keeps what is written."""

import nbformat
import pytest
from browsing import ROOT, lone_page, serve

from course_lib.tools.build.execute import Run
from course_lib.tools.build.notebooks import complete_notebook, student_notebook
from course_lib.tools.build.pages import Page
from course_lib.tools.build.predictions import BOX, field, question
from tests.toy import CHAPTER, Course


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("Noise grows. **Predict: which falls?** Then run.", "Predict: which falls?"),
        ("**Which of the five is farthest?** And why.", "Which of the five is farthest?"),
        ("**Predict** what it does.", "Predict"),
        ("**Before you start.** You need chapter 1.", ""),
        ("A claim: **repel early, then let go.**", ""),
        ("```python\nx = '**Predict?**'\n```", ""),
    ],
)
def test_a_bold_question_or_a_call_to_predict_asks(text, due):
    assert question(text) == due


@pytest.fixture
def asked(tmp_path):
    """The toy chapter with a prediction before its second section."""
    return Course(tmp_path, CHAPTER.replace("## Looking", "It moves. **Predict: up or down?**\n\n## Looking"))


@pytest.mark.parametrize("make", [student_notebook, complete_notebook])
def test_a_notebook_has_a_cell_of_its_own_under_the_question(asked, make):
    cells = make(asked.project, asked.master(), asked.names()).cells
    (at,) = [n for n, one in enumerate(cells) if one.source == BOX]
    assert cells[at].cell_type == "markdown"
    assert cells[at - 1].source.endswith("**Predict: up or down?**")
    assert cells[at + 1].source.startswith("## 1.2 Looking")


def test_a_page_has_a_field_under_the_question(asked):
    page = Page(asked.project, asked.master(), asked.names(), Run(nbformat.v4.new_notebook(), 1.0, None, False))
    page.add(next(b for b in asked.master().blocks if question(getattr(b, "text", ""))))
    told, box = (cell.source for cell in page.cells)
    assert told.endswith("**Predict: up or down?**")
    assert field(1, "Predict: up or down?") in box


def test_a_reworded_question_has_another_field():
    assert field(1, "Which?") == field(1, "Which?") != field(1, "Which one?")
    assert field(1, "Which?") != field(2, "Which?")


@pytest.fixture
def address():
    """A page with two fields beside the site's script, served."""
    fields = f"{field(1, 'Up?')}{field(1, 'Down?')}"
    page = f"<body>{fields}<script src='reader/reader.js'></script></body>"
    server = serve(ROOT / "book/_static", {"/page.html": page})
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_what_is_written_is_there_when_the_page_is_opened_again(browser, address):
    with lone_page(browser, address, "page.html") as page:
        page.get_by_label("Your prediction").first.fill("half as many")
        page.reload()
        assert [one.input_value() for one in page.get_by_label("Your prediction").all()] == ["half as many", ""]
