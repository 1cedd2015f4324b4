"""What is true of every page of the built site, in a browser; test_pages_0.py and _1.py ask it, each on its pages.

All tests of a page share one visit, with every other server out of reach.
"""

import gzip
import json
import re

import pytest
from browsing import ROOT, SITE, Tab

from course_lib.tools.build.project import Project
from tests.accessibility import SIDEWAYS, assert_readable_by_everyone

PROJECT = Project(ROOT)
CHAPTERS = [page for page in PROJECT.toc if re.match(r"book/\d\d_", page)]
PAGES = [*CHAPTERS, *(page for page in PROJECT.toc if page not in CHAPTERS)]
FILES = 2  # the pages k with k % FILES == PART are tried in test_pages_PART.py


def over(pages: list[str]):
    """Run a test on each of some pages."""

    def mark(test):
        test.pages = pages
        return test

    return mark


each_page, each_chapter = over(PAGES), over(CHAPTERS)


def pytest_generate_tests(metafunc):
    """The pages that belong to the file that asks; pytest puts the tests of one visit together by their order."""
    mine = [page for k, page in enumerate(metafunc.function.pages) if k % FILES == metafunc.module.PART]
    metafunc.parametrize("visited", mine, indirect=True)


@pytest.fixture(scope="module")
def visited(request, browser, address):
    """A tab for one page and all of its tests."""
    tab = Tab(browser, address)
    tab.name = request.param
    yield tab
    tab.page.context.close()


OPENED = "() => [...document.querySelectorAll('details')].map(one => one.open)"
REOPEN = "all => document.querySelectorAll('details').forEach((one, n) => { one.open = all[n]; })"


@pytest.fixture
def visit(visited):
    """The page, opened once for all tests of it; each finds it light, wide and folded."""
    if not visited.page.url.endswith(f"{visited.name}.html"):
        visited.open(f"{visited.name}.html").wait_for_load_state("networkidle")
    folds = visited.page.evaluate(OPENED)
    yield visited
    if visited.page.url.endswith(f"{visited.name}.html"):
        visited.dark(False)
        visited.wide(1280)
        visited.page.evaluate(REOPEN, folds)


@pytest.fixture(scope="module")
def ledger(browser, address) -> str:
    """The words of the ledger's page."""
    tab = Tab(browser, address)
    text = tab.open("book/ledger.html").locator("article").inner_text()
    tab.page.context.close()
    curly = str.maketrans("‘’“”", "''\"\"")  # a page in Markdown has typographic quotes, a claim's box has not
    return " ".join(text.translate(curly).split())


# Elements that stick out of a narrow window and that nobody can scroll to.
STICKING_OUT = """() => {
  const scrolls = e => e && (/(auto|scroll|hidden)/.test(getComputedStyle(e).overflowX) || scrolls(e.parentElement));
  const article = document.querySelector('article');
  return [...article.querySelectorAll('*')]
    .filter(e => e.checkVisibility() && e.getBoundingClientRect().right > innerWidth + 1)
    .filter(e => !e.closest('mjx-assistive-mml, .visually-hidden') && !scrolls(e.parentElement))
    .map(e => e.outerHTML.slice(0, 120));
}"""

# Texts whose colour is too close to the colour behind them (ratio below 4.5, the usual limit of legibility).
FAINT = """() => {
  const channel = v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const rgb = c => { const n = c.match(/[\\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
  const luminance = c => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
  const behind = e => { const c = e ? rgb(getComputedStyle(e).backgroundColor) : [255, 255, 255, 1];
    if (c[3] === 1 || !e) return c;
    const b = behind(e.parentElement); return [0, 1, 2].map(i => c[3] * c[i] + (1 - c[3]) * b[i]).concat(1); };
  const texts = 'p, li, td, th, dt, dd, summary, h1, h2, h3, label, button, .claim *, .Feedback';
  return [...document.querySelectorAll('article :is(' + texts + ')')]
    .filter(e => e.checkVisibility() && [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()))
    .map(e => { const both = [rgb(getComputedStyle(e).color), behind(e)];
      const l = both.map(luminance).sort((x, y) => y - x);
      return [(l[0] + 0.05) / (l[1] + 0.05), e]; })
    .filter(([ratio, e]) => ratio < 4.5).map(([ratio, e]) => ratio.toFixed(1) + ' ' + e.outerHTML.slice(0, 150));
}"""

# Pictures without words: those of animations are described by a hidden text after them.
SPEECHLESS = """() => [...document.querySelectorAll('article img')]
  .filter(i => !(i.getAttribute('alt') || '').trim() || /^(\\.\\.\\/_images|_images)/.test(i.alt))
  .filter(i => { const cell = i.closest('.cell'), next = cell && cell.nextElementSibling;
    return !(i.closest('.animation') && next && next.matches('.visually-hidden')
             && next.textContent.trim()); })
  .map(i => i.outerHTML.slice(0, 120))"""


@each_page
def test_page_loads_alone_and_without_errors(visit):
    page = visit.page
    assert visit.outside == []
    assert visit.errors == []
    assert page.locator("article h1").count() == 1
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.evaluate(SPEECHLESS) == []


# What the browser waits for before it paints, as paths; scripts in the head and style sheets.
BLOCKING = """() => performance.getEntriesByType('resource')
  .filter(e => e.renderBlockingStatus === 'blocking').map(e => new URL(e.name).pathname)"""


@each_page
def test_little_is_loaded_before_a_page_is_painted(visit):
    """400 kB as a static host sends them, compressed, are 2 seconds at 1.6 Mbit/s; no script of icons, no idle one."""
    page = visit.page
    paths = page.evaluate(BLOCKING)
    assert any(path.endswith(".css") for path in paths)
    assert not [path for path in paths if re.search("mathjax|fontawesome.*js", path)]
    assert sum(len(gzip.compress((SITE / path.lstrip("/")).read_bytes())) for path in paths) <= 400_000
    loaded = page.evaluate("[...document.scripts].map(s => s.src)")
    assert not page.locator("script[type*='widget-view']").count()
    assert not [path for path in loaded if re.search("fontawesome|thebe", path)]


@each_page
def test_page_fits_a_telephone_and_can_be_read_in_the_dark(visit):
    page = visit.page
    for dark in (False, True):
        visit.dark(dark)
        for width in (400, 1400):
            visit.wide(width)
            assert page.evaluate(SIDEWAYS) <= 0
            assert page.evaluate(STICKING_OUT) == []
        assert page.evaluate(FAINT) == [], f"too faint in {'dark' if dark else 'light'} mode"


@each_page
def test_page_can_be_read_by_everyone(visit):
    assert_readable_by_everyone(visit)


@each_chapter
def test_equations_are_set_numbered_and_linked(visit):
    page = visit.page
    labels = re.findall(r"^:label: (eq-\S+)", (ROOT / f"{visit.name}.md").read_text(), re.MULTILINE)
    assert labels
    page.evaluate("document.querySelectorAll('details').forEach(fold => { fold.open = true })")
    for label in labels:
        equation = page.locator(f"#equation-{label}")
        number = "({}.{})".format(*label.split("-")[1:])
        assert equation.locator(".eqno").inner_text().strip("#¶ \n") == number
        assert equation.locator("mjx-container[display=true] mjx-math").count() >= 1
    assert page.locator("mjx-merror").count() == 0
    references = page.locator("article a.reference[href*='#equation-eq-']")
    for reference in references.all():
        assert re.fullmatch(r"\(\d+\.\d+\)", reference.text_content().strip())
    raw = page.evaluate("document.querySelector('article').innerText")
    assert "\\(" not in raw
    assert "$$" not in raw


FOLDS = "article div.cell.tag_folded > details"


@each_chapter
def test_ideas_come_before_code(visit):
    """Imports, checks, claims, figures and printing are folded; what they show is not; a key opens them."""
    page = visit.page
    open_code = page.evaluate(
        "[...document.querySelectorAll('article pre')].filter(e => e.checkVisibility()).map(e => e.innerText)"
    )
    assert open_code
    folded = r"^(import |from \S+ import )|^(print|check|effect|identity)\(|\bplt\.show\("
    ideas = [code for code in open_code if not code.lstrip().startswith("# exercise ")]  # it may begin with an import
    assert [code for code in ideas if re.search(folded, code, re.MULTILINE)] == []
    folds = page.locator(FOLDS)
    names = {fold.locator("summary").inner_text().strip() for fold in folds.all()}
    assert names >= {f"Show code: {does}" for does in ("imports", "check", "claim", "figure", "numbers")}
    assert not page.locator("summary[aria-label]").count()
    first = folds.first
    first.locator("summary").focus()
    for visible in (True, False):
        page.keyboard.press("Enter")
        assert first.locator("pre").is_visible() == visible
    for result in page.locator(":is(.claim, .claim-small, table.printed)").all():
        assert result.is_visible() or result.locator("xpath=ancestor::details").count()
    assert not page.locator(".cell_output .text_plain", has_text=re.compile(r"^\s*Claim \d+\.\d+\. ")).count()


@each_chapter
def test_no_code_scrolls_sideways_on_a_wide_screen(visit):
    page = visit.page
    visit.wide(1400)
    page.evaluate("document.querySelectorAll('article details').forEach(one => { one.open = true; })")
    wide = "all => all.filter(e => e.scrollWidth > e.clientWidth).map(e => e.innerText.slice(0, 200))"
    assert page.locator("article div.highlight pre").evaluate_all(wide) == []


@each_chapter
def test_hints_and_solutions_are_folded_until_asked_for(visit):
    page = visit.page
    folded = page.locator("details.hint, details.solution").all()
    assert folded
    for one in folded:
        assert not one.locator(".sd-card-body, .sd-summary-content").first.is_visible()
    folded[0].locator("summary").click()
    assert folded[0].locator(".sd-card-body, .sd-summary-content").first.is_visible()
    assert not page.locator("details:not([open]) >> text=BEGIN SOLUTION").count()


ANIMATED = [name for name in CHAPTERS if "plots.animate(" in (ROOT / f"{name}.md").read_text()]


@each_chapter
def test_animations_play(visit):
    page = visit.page
    animations = page.locator(".animation").all()
    assert bool(animations) == (visit.name in ANIMATED)
    for animation in animations:
        image = animation.locator("img").first
        animation.locator("button[title='First frame']").click()
        before = image.get_attribute("src")
        animation.locator("button[title='Play']").click()
        wait_for_another(page, image, before)
    assert visit.outside == []


def wait_for_another(page, image, before: str) -> None:
    """Waits until an image shows something else."""
    page.wait_for_function(
        "([image, before]) => image.src !== before", arg=[image.element_handle(), before], timeout=5000
    )


SLIDERS = {  # what a chapter's sliders are about, in order; more may be added
    1: ["noise level", "prediction steps", "size of a correction, tau", "steps in the list"],
    2: ["noise level sigma", "training points n", "guidance weight w", "upper end"],
    3: ["order q", "bandwidth h", "guidance weight w"],
    4: ["bandwidth h", "alpha", "the push stops at", "radius of the shield r"],
    5: ["guidance weight w", "scale", "strength of the penalty"],
    6: ["weight of the rare mode", "dimensions d", "iterations"],
    8: ["share of the second", "noise level sigma", "guidance weight w", "upper end of the interval"],
    7: ["scale"],
    9: ["k", "noise"],
    10: ["share of the score's length"],
    11: ["iteration"],
    12: ["scale of the adapter"],
    13: ["guidance weight w", "push in every step"],
}


@each_chapter
def test_sliders_are_moved_by_keys_and_mouse_and_the_picture_changes(visit):
    """Each is named and says its value; its pictures are there before they are asked for."""
    page, wanted = visit.page, SLIDERS.get(int(visit.name[5:7]), [])
    sliders = page.locator(".course-slider input")
    names = page.locator(".course-slider label span").all_inner_texts()
    assert [one for one in names if one in wanted] == wanted
    assert sliders.count() == len(names)
    for slider, label in zip(sliders.all(), names, strict=True):
        box = slider.locator("xpath=ancestor::*[@class='course-slider']")
        pictures = box.locator("> div").last
        slider.scroll_into_view_if_needed()
        loaded = "e => [...e.querySelectorAll('img')].every(one => one.complete && one.naturalWidth)"
        page.wait_for_function(loaded, arg=box.element_handle())
        seen, start = [pictures.screenshot()], int(slider.input_value())
        slider.focus()
        assert slider.evaluate("e => parseFloat(getComputedStyle(e).outlineWidth)") >= 2
        page.keyboard.press("ArrowRight")
        seen.append(pictures.screenshot())
        assert slider.get_attribute("aria-valuetext") == box.locator("output").inner_text()
        place = slider.bounding_box()
        page.mouse.click(place["x"] + place["width"] - 3, place["y"] + place["height"] / 2)
        seen.append(pictures.screenshot())
        last = box.locator("figure").last
        assert last.is_visible()
        assert box.locator("output").inner_text() == last.get_attribute("data-told")
        to_the_end = box.locator("figure").count() - 1 - start
        assert len(set(seen)) == (3 if to_the_end > 1 else 2), label
    assert visit.outside == []
    assert visit.errors == []


PLAYED = [*CHAPTERS[:6], "book/welcome", "book/playground"]


@each_page
def test_playgrounds_answer_the_keyboard(visit):
    page = visit.page
    assert bool(page.locator(".playground").count()) == (visit.name in PLAYED)
    if visit.name not in PLAYED:
        return
    page.wait_for_selector(".playground canvas")
    shown = "document.querySelector('.playground canvas').toDataURL()"
    before = page.evaluate(shown)
    page.locator(".playground input").first.focus()
    page.keyboard.press("PageUp")
    assert page.evaluate(shown) != before
    assert page.locator(".playground-told").inner_text() != ""
    assert visit.outside == []


@each_chapter
def test_claims_have_a_verdict_and_stand_in_the_ledger(visit, ledger):
    page = visit.page
    claims = page.locator(".claim").all()
    assert 1 <= len(claims) <= 6
    sentences = [claim.locator("p").first.inner_text().split(". ", 1)[1] for claim in claims]
    for claim in claims:
        assert re.search(
            r"verdict\s+[✓✗?○–-]?\s*(holds|fails|(not )?(shown|reproduced)|cannot be tested)", claim.inner_text()
        )
    for sentence in sentences:
        assert " ".join(sentence.split()) in ledger


@each_chapter
def test_chapter_says_where_it_can_be_worked_on(visit):
    page = visit.page
    stem = visit.name.removeprefix("book/")
    colab = page.locator(".chapter-links a", has_text="Colab").get_attribute("href")
    assert colab == PROJECT.colab(stem)
    owner_and_name, path = colab.split("/github/")[1].split("/blob/")
    assert PROJECT.url.endswith(owner_and_name)
    assert (ROOT / path.split("/", 1)[1]).is_file()
    for link in page.locator(".chapter-links a.download").all():
        notebook = json.loads((SITE / "book" / link.get_attribute("href")).read_text())
        assert notebook["cells"]


@each_chapter
def test_quiz_answers_a_person_and_the_progress_knows(visit):
    page = visit.page
    forms = page.locator(".quiz form").all()
    assert 3 <= len(forms) <= 5
    for form in forms:
        told = form.locator("[role=status]")
        if form.locator("input[type=text]").count():
            form.locator("input").fill("123456")
            form.locator("input").press("Enter")
        else:
            form.locator("input").last.focus()
            page.keyboard.press("Space")
            page.keyboard.press("ArrowUp")
            assert told.inner_text() == ""
            page.keyboard.press("Tab")
            form.locator("label").first.click()
            form.get_by_role("button", name="Check").click()
        assert re.match(r"(Not c|C)orrect\. \S", told.inner_text())
    number = int(visit.name[5:7])
    visit.open("book/progress.html")
    assert page.locator(f"tr[data-chapter='{number}'] td").all_inner_texts()[1:3] == [str(len(forms))] * 2
    assert page.locator("tbody tr").count() >= 12
    assert visit.outside == []
    assert visit.errors == []
