"""Chapters as slides: turned by keys and mouse, alive, nothing cut off, and back to the text."""

import pytest
from browsing import ROOT, Tab

from course_lib.tools.build.project import Project

WORKSHOP = [m.stem for m in map(Project(ROOT).read, Project(ROOT).master_paths()) if "workshop" in m.header["paths"]]
# Slides of which a part could be seen only by scrolling, or not at all.
CUT = """() => [...document.querySelectorAll('.slide')].filter(slide => {
  slide.classList.add('measured');
  const body = slide.querySelector('.slide-body');
  const cut = body.scrollHeight > body.clientHeight + 1 || body.scrollWidth > body.clientWidth + 1;
  slide.classList.remove('measured');
  return cut;
}).map(slide => slide.innerText.slice(0, 120))"""
# How far above the end of its slide the last thing on each ends, in the slide's pixels: machines' fonts differ.
RESERVE = """() => [...document.querySelectorAll('.slide')].map(slide => {
  slide.classList.add('measured');
  const body = slide.querySelector('.slide-body');
  const last = Math.max(...[...body.children].map(one => one.getBoundingClientRect().bottom));
  const left = (body.getBoundingClientRect().bottom - last) * 1120 / slide.getBoundingClientRect().width;
  slide.classList.remove('measured');
  return left;
})"""
ALIVE = "() => [...document.querySelectorAll('.playground')].every(one => one.playground)"
CURRENT = ".slide.current"


@pytest.fixture(scope="module")
def wide_tab(browser, address):
    """One tab for all tests: laying out a chapter's slides takes ten seconds."""
    tab = Tab(browser, address, width=1400)
    yield tab
    tab.page.context.close()


@pytest.fixture
def deck(wide_tab):
    """A function from a chapter's stem to its first slide; nothing was asked of others and no error told."""

    def open_(stem: str):
        page = wide_tab.page
        if f"/{stem}.html?slides" not in page.url:
            wide_tab.open(f"book/{stem}.html?slides")
            page.wait_for_selector(CURRENT)
        wide_tab.wide(1400)
        page.wait_for_selector("html:not(.reflowed)")
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("Home")
        return page

    yield open_
    asked, told = wide_tab.outside[:], wide_tab.errors[:]
    wide_tab.outside.clear()
    wide_tab.errors.clear()
    assert (asked, told) == ([], [])


@pytest.mark.parametrize("stem", WORKSHOP[::-1])  # the first one last: it stays open for the tests below
def test_a_workshop_chapter_has_slides_and_nothing_is_cut_off(deck, stem):
    page = deck(stem)
    slides = page.locator(".slide")
    assert 20 <= slides.count() <= 160
    assert page.locator(CURRENT).count() == 1
    page.wait_for_function(ALIVE)
    assert page.evaluate(CUT) == []
    assert min(page.evaluate(RESERVE)) >= 8
    assert page.locator(".slide .cell_input, .slide .sd-dropdown").count() == 0
    assert page.locator(".slide .course-slider").count() >= 1
    assert page.locator(".slide .claim").count() >= 1
    assert page.locator(".slide p.question").count() >= 3
    assert page.locator("mjx-merror").count() == 0


def test_a_playground_that_comes_after_the_slides_were_laid_out_is_not_cut_off(browser, address):
    tab, late = Tab(browser, address, width=1400), []
    tab.page.route("**/playground/playground.js", lambda route: late.append(route))
    page = tab.open(f"book/{WORKSHOP[1]}.html?slides")
    page.wait_for_selector(CURRENT)
    late[0].continue_()
    page.wait_for_function(ALIVE)
    assert page.evaluate(CUT) == []
    assert page.locator(".slide .playground canvas").count() >= 1
    tab.page.context.close()


def test_what_a_slide_says_later_is_not_cut_off(deck):
    page = deck(WORKSHOP[0])
    page.evaluate(f"document.querySelector('{CURRENT} .slide-body').append('more and more '.repeat(200))")
    page.evaluate("() => new Promise(requestAnimationFrame)")
    assert page.evaluate(CUT) == []
    page.evaluate(f"document.querySelector('{CURRENT} .slide-body').lastChild.remove()")


def test_on_a_slide_a_slider_keeps_its_keys_and_changes_its_picture(deck):
    page = deck(WORKSHOP[0])
    while not page.locator(f"{CURRENT} .course-slider").count():
        page.keyboard.press("ArrowRight")
    at, before = page.url, page.locator(CURRENT).screenshot()
    page.locator(f"{CURRENT} .course-slider input").focus()
    page.keyboard.press("ArrowRight")
    assert page.url == at
    assert page.locator(CURRENT).screenshot() != before


def test_slides_fit_every_window(deck):
    page = deck(WORKSHOP[0])
    for size in ((400, 800), (1024, 768), (1920, 1080)):
        page.set_viewport_size(dict(zip(("width", "height"), size)))
        page.wait_for_function("innerWidth > 0")
        box = page.locator(CURRENT).bounding_box()
        assert box["x"] >= -1
        assert box["x"] + box["width"] <= size[0] + 1
        assert box["y"] + box["height"] <= size[1] - 55


# Of each slide: how far it sticks out sideways, its text's size as it is seen, and whether its end can be scrolled to.
SMALL = """() => [...document.querySelectorAll('.slide')].map(slide => {
  slide.classList.add('measured');
  const body = slide.querySelector('.slide-body'), style = getComputedStyle(body);
  const scale = slide.getBoundingClientRect().width / slide.offsetWidth * style.zoom;
  body.scrollTop = 1e6;
  const last = Math.max(...[...body.children].map(one => one.getBoundingClientRect().bottom));
  const found = [body.scrollWidth - body.clientWidth, parseFloat(style.fontSize) * scale,
                 last <= body.getBoundingClientRect().bottom + 1];
  body.scrollTop = 0;
  slide.classList.remove('measured');
  return found;
})"""


def test_on_a_telephone_slides_keep_the_texts_size_and_scroll(deck):
    page = deck(WORKSHOP[0])
    page.wait_for_function(ALIVE)
    for width, height in ((400, 800), (844, 390)):
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_selector("html.reflowed")
        found = page.evaluate(SMALL)
        assert max(over for over, _, _ in found) <= 1
        assert min(size for _, size, _ in found) >= 16
        assert all(reached for _, _, reached in found)
        assert page.locator(f"{CURRENT} .slide-body").bounding_box()["height"] >= height / 2
    page.set_viewport_size({"width": 1400, "height": 900})
    page.wait_for_selector("html:not(.reflowed)")
    assert page.evaluate(CUT) == []
    assert min(page.evaluate(RESERVE)) >= 8


def test_keys_and_buttons_turn_the_slides(deck):
    page = deck(WORKSHOP[0])
    told, last = page.locator(".deck-bar [role=status]"), page.locator(".slide").count()
    seen = [page.screenshot()]
    for key, at in (
        ("ArrowRight", 2),
        ("PageDown", 3),
        (" ", 4),
        ("ArrowLeft", 3),
        ("End", last),
        ("ArrowRight", last),
    ):
        page.keyboard.press(key)
        assert told.inner_text() == f"{at} of {last}"
        seen.append(page.screenshot())
    assert len(set(seen)) >= 5
    page.keyboard.press("Home")
    page.get_by_role("button", name="Next slide").click()
    assert told.inner_text() == f"2 of {last}"
    assert page.url.endswith("?slides=#2")  # Sphinx's script for highlighting writes the =


def test_from_the_slides_to_the_chapter_and_back(deck):
    page = deck(WORKSHOP[0])
    page.keyboard.press("Escape")
    page.wait_for_selector("article h1")
    assert "slides" not in page.url
    page.locator(".chapter-links a", has_text="Slides").click()
    page.wait_for_selector(CURRENT)
