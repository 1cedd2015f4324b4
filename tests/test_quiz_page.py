"""Quizzes and the page of progress in a browser, answered as a person would, by mouse and by keyboard."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from browsing import lone_page, serve

from course_lib.exercises import registry
from course_lib.exercises.declare import Question
from course_lib.tools.build.project import Declared
from course_lib.tools.build.quiz_page import identity, progress, quiz_form

STATIC = Path(__file__).resolve().parents[1] / "book" / "_static"
ONE = Question("Which way is < up?", [("North", False, "That is a map."), ("To the sky", True, "Off the ground.")])
MANY = Question(
    "Which are even?",
    [("2", True, "Twice 1."), ("3", False, "It is odd."), ("4", True, "Twice 2."), ("5", False, "It is odd too.")],
)
NUMBER = Question(
    "One half?", [(0.5, True, "Half."), (2.0, False, "Its inverse."), ((0.6, 0.7), False, "Near.")], "No."
)
LARGE = Question("A thousand?", [(1000.0, True, "Yes."), ((-3.0, -1.0), False, "Below zero.")], "No.")
QUESTIONS = [ONE, MANY, NUMBER, LARGE]
PAGE = """<!doctype html><html lang="en" data-theme="light"><head><meta charset="utf-8"><title>Quiz</title>
<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="course.css">
<link rel="stylesheet" href="quiz/quiz.css"><script src="course.js"></script></head>
<body><main><article class="bd-article"><h1>A page</h1>{body}</article></main></body></html>"""


@pytest.fixture(scope="module")
def address():
    project = SimpleNamespace(declared=lambda number: Declared({}, QUESTIONS if number == 4 else []))
    chapters = [SimpleNamespace(number=n, stem=f"0{n}_x", title=f"Chapter <{n}>") for n in (3, 4)]
    table = progress(project, chapters).removeprefix("```{raw} html\n").removesuffix("\n```")
    pages = {
        "/quiz.html": PAGE.format(body=quiz_form(4, QUESTIONS)),
        "/progress.html": PAGE.format(body=table),
    }
    server = serve(STATIC, pages)
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


@pytest.fixture
def page(browser, address):
    """The page with the quiz."""
    with lone_page(browser, address, "quiz.html") as page:
        page.wait_for_selector(".quiz form")
        yield page


@pytest.fixture(scope="module")
def numbers(browser, address):
    """The same page, open for all numbers that are typed one after the other."""
    with lone_page(browser, address, "quiz.html") as page:
        page.wait_for_selector(".quiz form")
        yield page


def form(page, question: Question):
    return page.locator(f".quiz form[data-id='{identity(question)}']")


def told(page, question: Question) -> str:
    return form(page, question).locator("[role=status]").inner_text()


def check(page, question: Question) -> str:
    """Press the button, and what is said."""
    form(page, question).get_by_role("button", name="Check").click()
    return told(page, question)


def kept(page) -> dict:
    return json.loads(page.evaluate("localStorage.getItem('diverse-diffusion-quizzes')") or "{}")


def test_every_question_is_a_fieldset_with_its_legend_under_a_heading(page):
    assert page.get_by_role("region", name="Quiz of chapter 4: 4 questions").count() == 1
    assert page.get_by_role("heading", name="Quiz of chapter 4: 4 questions").count() == 1
    assert page.get_by_role("group", name="1. Which way is < up? Choose one.").get_by_role("radio").count() == 2
    many = page.get_by_role("group", name="2. Which are even? Choose all that hold.")
    assert (many.get_by_role("checkbox").count(), many.get_by_role("radio").count()) == (4, 0)
    number = page.get_by_role("group", name="3. One half? Type a number.")
    assert number.get_by_role("textbox", name="Your number").get_attribute("inputmode") == "decimal"
    assert page.locator(".quiz [role=status]").count() == 4  # there before anything is said, so that it is heard


def test_one_of_is_judged_by_its_button_only(page):
    assert check(page, ONE) == "Choose an answer first."
    page.get_by_text("North").click()
    assert told(page, ONE) == ""
    assert check(page, ONE) == "Not correct. That is a map."
    page.get_by_label("To the sky").check()
    assert told(page, ONE) == ""  # what was said of another answer is taken back
    assert check(page, ONE) == "Correct. Off the ground."


def test_arrow_keys_choose_and_submit_nothing(page):
    page.get_by_label("North").focus()
    for key in ("Space", "ArrowDown", "ArrowUp", "ArrowDown"):
        page.keyboard.press(key)
        assert told(page, ONE) == ""
    assert page.get_by_label("To the sky").is_checked()
    assert kept(page) == {}
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert told(page, ONE) == "Correct. Off the ground."


def test_choose_all_needs_all_and_no_other(page):
    page.get_by_label("2", exact=True).check()
    assert check(page, MANY).split("\n")[0] == "Not correct. ✓ 2: Twice 1."
    assert told(page, MANY).strip().endswith("These hold, and they are not all.")
    page.get_by_label("3", exact=True).check()
    assert page.get_by_label("2", exact=True).is_checked()  # a second choice takes nothing back
    assert "✗ 3: It is odd." in check(page, MANY)
    assert told(page, MANY).strip().endswith("Others hold.")
    page.get_by_label("4", exact=True).check()
    assert check(page, MANY).startswith("Not correct.")
    page.get_by_label("3", exact=True).uncheck()
    assert check(page, MANY).startswith("Correct.")


def test_choose_all_by_keyboard(page):
    page.get_by_label("2", exact=True).focus()
    for key in ("Space", "Tab", "Tab", "Space", "Tab", "Tab", "Enter"):
        page.keyboard.press(key)
    assert told(page, MANY).startswith("Correct.")


@pytest.mark.parametrize("text", ["0.5", "0,5", ".5", ",5", " 0.50 ", "+0.5", "5e-1", "1/2", "1,0/2", "0.500000"])
def test_half_is_half_with_a_point_a_comma_or_as_a_fraction(numbers, text):
    field = form(numbers, NUMBER).get_by_label("Your number")
    field.fill(text)
    assert told(numbers, NUMBER) == ""
    field.press("Enter")
    assert told(numbers, NUMBER) == "Correct. Half."


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("05", "Not correct. No."),
        ("2,0", "Not correct. Its inverse."),
        ("0,65", "Not correct. Near."),
        ("0.50001", "Not correct. No."),
        ("", "Type a number first."),
        ("half", "That is no number: write it as 0.5, 0,5 or 1/2."),
        ("1/0", "That is no number: write it as 0.5, 0,5 or 1/2."),
        ("1/2/3", "That is no number: write it as 0.5, 0,5 or 1/2."),
        ("0.5.1", "That is no number: write it as 0.5, 0,5 or 1/2."),
        ("1e999", "Not correct. No."),
    ],
)
def test_other_texts_are_wrong_or_no_number(numbers, text, due):
    form(numbers, NUMBER).get_by_label("Your number").fill(text)
    assert check(numbers, NUMBER) == due


@pytest.mark.parametrize(
    ("text", "due"),
    [("1000", "Correct."), ("1,000", "Correct."), ("1 000", "Correct."), ("1,000.0", "Correct."), ("1,00", "Not"),
     ("−2", "Not correct. Below zero."), ("-2,5", "Not correct. Below zero.")],
)  # fmt: skip
def test_a_thousand_may_have_its_comma_and_a_minus_its_dash(numbers, text, due):
    form(numbers, LARGE).get_by_label("Your number").fill(text)
    assert check(numbers, LARGE).startswith(due)


def test_answers_stay_in_the_browser_and_the_page_of_progress_counts_and_clears_them(page, address):
    page.goto(f"{address}/progress.html")
    assert page.locator("tbody tr").all_inner_texts() == ["4\tChapter <4>\t4\t0\t0"]
    page.get_by_role("link", name="Chapter <4>").evaluate("link => link.href = 'quiz.html#quiz-4'")
    page.get_by_role("link", name="Chapter <4>").click()
    page.get_by_label("North").check()
    check(page, ONE)
    form(page, NUMBER).get_by_label("Your number").fill("0,5")
    check(page, NUMBER)
    assert page.locator(".quiz-kept").inner_text().startswith("Answered: 2 of 4, 1 correctly.")
    assert kept(page) == {"4": {identity(ONE): False, identity(NUMBER): True}}
    form(page, NUMBER).get_by_label("Your number").fill("7")
    check(page, NUMBER)  # once correct stays so
    page.reload()
    assert page.locator(".quiz-kept").inner_text().startswith("Answered: 2 of 4, 1 correctly.")
    page.get_by_role("link", name="Your progress").click()
    assert page.locator("tbody tr").inner_text() == "4\tChapter <4>\t4\t2\t1"
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.get_by_role("button", name="Clear my answers").click()
    assert kept(page) != {}
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Clear my answers").focus()
    page.keyboard.press("Enter")
    assert kept(page) == {}
    assert page.locator("tbody tr").inner_text() == "4\tChapter <4>\t4\t0\t0"
    assert page.get_by_role("status").inner_text() == "All answers are cleared."


def test_where_the_browser_keeps_nothing_quizzes_work_and_the_progress_says_so(browser, address):
    context = browser.new_context()
    refused = "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no'); } })"
    context.add_init_script(refused)
    page = context.new_page()
    page.goto(f"{address}/quiz.html")
    page.get_by_label("To the sky").check()
    assert check(page, ONE) == "Correct. Off the ground."
    assert page.locator(".quiz-kept").inner_text().startswith("Answered: 1 of 4")
    page.goto(f"{address}/progress.html")
    page.get_by_text("This browser keeps nothing for this site").wait_for()
    context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_focus_is_seen(page, theme):
    page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    page.evaluate("document.activeElement.blur()")
    for _ in range(10):
        page.keyboard.press("Tab")
        ring = "e => [e, e.closest('label')].some(one => one && parseFloat(getComputedStyle(one).outlineWidth) >= 2 &&"
        ring += " getComputedStyle(one).outlineStyle !== 'none')"
        focused = page.evaluate_handle("document.activeElement").as_element()
        assert focused.evaluate(ring), focused.evaluate("e => e.outerHTML")


def test_it_fits_a_telephone(page):
    page.set_viewport_size({"width": 400, "height": 800})
    page.get_by_label("North").check()
    check(page, ONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    heights = page.locator(".quiz :is(label, button)").evaluate_all("all => all.map(e => e.offsetHeight)")
    assert min(heights) >= 24


def test_without_scripts_questions_and_answers_are_text(browser, address):
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(f"{address}/quiz.html")
    shown = page.locator("article").inner_text()
    assert "1. Which way is < up?" in shown
    assert "1. b): Correct. Off the ground." in shown
    assert page.locator("button:visible").count() == 0
    page.close()


def test_a_reworded_question_has_not_been_answered():
    assert identity(ONE) != identity(Question("Which way is up?", ONE.answers))
    assert identity(ONE) == identity(Question(ONE.text, ONE.answers[::-1]))


def test_questions_of_a_chapter_have_names_of_their_own():
    for chapter in registry.chapters():
        names = [identity(question) for question in registry.module(chapter).QUIZ]
        assert len(set(names)) == len(names)


def test_it_is_small():
    assert sum(path.stat().st_size for path in (STATIC / "quiz").iterdir()) < 12_000
