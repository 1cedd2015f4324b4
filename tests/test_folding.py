"""What a page folds, what stays open, and how outputs are shown: tables, small claim boxes."""

import re

import nbformat
import pytest
from nbformat.v4 import new_output

from course_lib.tools.build.execute import Run
from course_lib.tools.build.folding import Folding
from course_lib.tools.build.ledger import CLAIM
from course_lib.tools.build.masters import Code
from course_lib.tools.build.notebooks import complete_notebook
from course_lib.tools.build.outputs import shown
from course_lib.tools.build.pages import Page
from tests.toy import CHAPTER, Course, cell

START = (
    "from course_lib.samplers import sample\nfrom course_lib import plots, world\nfrom course_lib.claims import effect"
)


def split(*sources: str, tags: tuple[str, ...] = ()) -> tuple[str, str, str]:
    """How the last of these cells is split, after a cell of imports."""
    folding = Folding()
    *before, last = (Code(1, source, {}, 1) for source in (START, *sources))
    for one in before:
        folding.split(one)
    return folding.split(Code(1, last.source, {"tags": list(tags)}, 1))


@pytest.mark.parametrize(
    ("source", "does"),
    [
        ("import math\n\ntorch.set_default_dtype(torch.float64)", "imports"),
        ('check("4.1", force)\nforce = fallback("4.1", force)', "check"),
        ("best = max(rows)\neffect('4.1', 'x')", "claim"),
        ("if True:\n    claims = [identity(n, 'x') for n in numbers]", "claim"),
        ("x = start()\nfig, ax = plots.figure()\nplt.show()", "figure"),
        ("frames = sample(D, x, sigmas)\nplots.animate(frames)", "figure"),
        ("y = 1\nprint(y)", "numbers"),
        ("for a in b:\n    print(a)", "numbers"),
        ("print(table)\nplots.images(x)", "numbers"),
    ],
)
def test_what_imports_checks_claims_draws_or_prints_is_folded_whole(source, does):
    assert split(source) == ("", source, does)


@pytest.mark.parametrize(
    "source",
    ["x = sample(D, start, sigmas)", "def force(x):\n    return -x", "N, R = 10, 300", "class Net:\n    pass"],
)
def test_an_idea_stays_open(source):
    assert split(source) == (source, "", "")


@pytest.mark.parametrize(
    "idea", ["def f(x):\n    # an idea\n    return -x", "x = sample(D, x0, sigmas)", "y = world.draw(3)"]
)
def test_an_idea_before_printing_stays_open_and_the_rest_is_folded(idea):
    assert split(f"{idea}\n\n\nz = 1\nprint(z)") == (idea, "z = 1\nprint(z)", "numbers")


def test_before_a_claim_or_a_figure_only_definitions_stay_open():
    assert split("x = sample(D)\neffect('4.1', 'x')") == ("", "x = sample(D)\neffect('4.1', 'x')", "claim")
    method = "@no_grad\ndef couple(x):\n    return x"
    assert split(f"{method}\n\n\nx = couple(y)\nplt.show()") == (method, "x = couple(y)\nplt.show()", "figure")


def test_a_function_that_prints_or_draws_is_folded_and_so_is_what_calls_it():
    row = "def row(name):\n    print(name)"
    picture = "def picture(x):\n    return plots.images(x)"
    assert split(row) == ("", row, "numbers")
    assert split(row, 'kept = row("a")') == ("", 'kept = row("a")', "numbers")
    assert split(picture, "picture(x)") == ("", "picture(x)", "figure")
    assert split(row, "def row(name):\n    return name", 'row("a")') == ('row("a")', "", "")


def test_a_tag_says_otherwise():
    source = "x = sample(D)\nprint(x)"
    assert split(source, tags=("show-input",)) == (source, "", "")
    assert split(source, tags=("hide-input",)) == ("", source, "numbers")


def page(tmp_path, *cells: tuple[str, list]) -> list:
    """The cells of the page of a chapter with these cells and outputs."""
    course = Course(tmp_path, CHAPTER.split("```{code-cell}")[0] + "".join(cell(source) for source, _ in cells))
    notebook = complete_notebook(course.project, course.master(), course.names())
    for one in notebook.cells:
        one.outputs = next((outputs for source, outputs in cells if one.source == source), [])
    return Page(course.project, course.master(), course.names(), Run(notebook, 1.0, None, False)).notebook().cells


def test_the_page_shows_the_idea_then_the_folded_code_with_the_output(tmp_path):
    printed = new_output("stream", text="3\n")
    *_, before, idea, rest = page(tmp_path, ("import os", []), ("def f(x):\n    return x\n\n\nprint(f(3))", [printed]))
    assert (before.source, before.metadata["tags"]) == ("import os", ["folded", "hide-input"])
    assert before.metadata["mystnb"] == {
        "code_prompt_show": "Show code: imports",
        "code_prompt_hide": "Hide code: imports",
    }
    assert (idea.source, idea.outputs, "tags" in idea.metadata) == ("def f(x):\n    return x", [], False)
    assert (rest.source, rest.outputs[0].text) == ("print(f(3))", "3\n")
    assert rest.metadata["tags"] == ["folded", "hide-input"]


def test_notebooks_have_every_cell_whole_and_unfolded(tmp_path):
    source = "def f(x):\n    return x\n\n\nprint(f(3))"
    course = Course(tmp_path, CHAPTER + "\n" + cell(source))
    found = next(
        c for c in complete_notebook(course.project, course.master(), course.names()).cells if c.source == source
    )
    assert not found.metadata.get("tags")


# ---- outputs


def html_of(text: str) -> str | None:
    """The HTML that a printed text becomes; None where it stays as it is."""
    (output,) = shown([new_output("stream", text=text)])
    return output.data["text/html"] if "data" in output else None


RIGHT = """\
calls           DDIM   exact start            2M
   10         0.0166        0.0153        0.0132
  200         0.0107        0.0102
"""
CORNER = """\
                 nearest centre    within 3 s   calls
independent       6.51 ± 0.06     6.47 ± 0.06      40
"""
TWO = """\
"a square"   places   styles
iid            5.08     2.96
"a circle"   places   styles
iid            4.88     3.46
"""


def rows(text: str) -> list[list[str]]:
    found = html_of(text)
    assert found is not None
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall("<tr>(.*?)</tr>", found)]


def test_a_printed_table_is_a_table_with_headers_of_columns_and_rows():
    assert rows(RIGHT) == [
        ["calls", "DDIM", "exact start", "2M"],
        ["10", "0.0166", "0.0153", "0.0132"],
        ["200", "0.0107", "0.0102", ""],
    ]
    assert '<th scope="col">exact start</th>' in html_of(RIGHT)
    assert '<th scope="row">10</th><td class="number">0.0166</td>' in html_of(RIGHT)


def test_an_empty_corner_is_no_header():
    assert "<thead><tr><td></td><th" in html_of(CORNER)
    assert rows(CORNER)[1] == ["independent", "6.51 ± 0.06", "6.47 ± 0.06", "40"]


def test_lines_before_and_after_stay_text_and_a_single_one_before_is_the_caption():
    told = html_of(f"modes & shares\n{CORNER}largest error: 0.1\n\nThe end.\n")
    assert "<caption>modes &amp; shares</caption>" in told
    assert told.endswith("</table></div><pre>largest error: 0.1</pre><pre>The end.</pre>")
    assert html_of(f"one\ntwo\n{CORNER}").startswith("<pre>one\ntwo</pre><div")


def test_settings_that_count_up_are_a_header():
    assert rows("calls a sample     1     5    20\nnetwork         0.00  0.69  0.89\n")[0] == [
        "calls a sample",
        "1",
        "5",
        "20",
    ]


def test_columns_that_touch_in_a_common_blank_are_told_apart_by_their_gaps():
    text = "            fidelity   its cells\nbase      0.00 ± 0.00    5.09 ± 0.63\nfull    0.79 ± 0.12  1.38 ± 0.19\n"
    assert rows(text)[2] == ["full", "0.79 ± 0.12", "1.38 ± 0.19"]


@pytest.mark.parametrize(
    "text",
    [
        "4.1  passed.  1 point\n4.1  going on with yours.\n",
        "d =     2: lowest cosine -0.921\nd =   576: lowest cosine  0.998\n",
        "set A: modes 10   Hill  4.24\nset B: modes  5   Hill  5.00\n",
        "exact     98% on a mode, 10 modes covered\nbare      57% on a mode, 10 modes covered\n",
        "claim 4.1: holds\nclaim 4.2: reproduced\n",
        # a second row of names, and a row that has no name of its own
        TWO,
        "              success   spread\nweight .01       0.97     0.84\n                 0.86     0.93\n",
        "just a sentence\n",
        "",
    ],
)
def test_what_may_be_no_table_stays_as_it_was_printed(text):
    assert html_of(text) is None


QUIET = {
    "number": "4.3", "kind": "effect", "sentence": "Less < more.", "verdict": "not reproduced", "reason": "too small",
    "rows": [["measured", "1 ± 1"], ["control", "2: <none>"]], "numbers": {}, "ledger_only": True,
}  # fmt: skip


def test_a_claim_for_the_ledger_is_a_small_box():
    (output,) = shown([new_output("execute_result", {"text/plain": "Claim 4.3. ...", CLAIM: QUIET})])
    box = output.data["text/html"]
    assert CLAIM not in output.data
    assert '<div class="claim-small claim-not-reproduced"><details><summary><strong>Claim 4.3.</strong>' in box
    assert "Less &lt; more. <em>not reproduced: too small</em>" in box
    assert "<dt>control</dt><dd>2: &lt;none&gt;</dd>" in box


def test_a_claim_with_a_box_keeps_it():
    (output,) = shown([new_output("execute_result", {"text/html": "<b>box</b>", CLAIM: QUIET})])
    assert output.data == {"text/html": "<b>box</b>"}


def test_outputs_given_are_not_changed():
    given = [new_output("stream", text=CORNER), new_output("execute_result", {"text/plain": "x", CLAIM: QUIET})]
    before = nbformat.from_dict([dict(one) for one in given])
    list(shown(given))
    assert given == before
    assert CLAIM in given[1].data
