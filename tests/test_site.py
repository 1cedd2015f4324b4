"""The built site in a real browser, with every other server out of reach."""

import functools
import gzip
import http.server
import json
import re
import threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from playwright.sync_api import sync_playwright

from course_lib.tools.build.project import Project
from course_lib.tools.environment import find_browser

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "_build" / "html"
PROJECT = Project(ROOT)
PAGES = PROJECT.toc
CHAPTERS = [page for page in PAGES if re.match(r"book/\d\d_", page)]

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

# Pictures without words: those of animations and sliders are described by a hidden text after them.
SPEECHLESS = """() => [...document.querySelectorAll('article img')]
  .filter(i => !(i.getAttribute('alt') || '').trim() || /^(\\.\\.\\/_images|_images)/.test(i.alt))
  .filter(i => { const cell = i.closest('.cell'), next = cell && cell.nextElementSibling;
    return !(i.closest('.animation, .jupyter-widgets, .widget-box') && next && next.matches('.visually-hidden')
             && next.textContent.trim()); })
  .map(i => i.outerHTML.slice(0, 120))"""


def built() -> Path:
    """The site's folder; a test without it fails and says what to do."""
    if not (SITE / "index.html").is_file():
        pytest.fail("There is no site in _build/html to be tested: run make book first.", pytrace=False)
    return SITE


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address():
    """The site, served on this machine."""
    handler = functools.partial(Quiet, directory=str(built()))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


@pytest.fixture(scope="module")
def browser():
    path = find_browser()
    if path is None:
        pytest.fail("No Chromium was found: install it, or run make test, which says how.", pytrace=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


class Tab:
    """A browser's tab that notes requests to other servers and errors, and can reach this machine only."""

    def __init__(self, browser, address: str, width: int = 1280):
        self.address, self.outside, self.errors = address, [], []
        self.page = browser.new_context(viewport={"width": width, "height": 900}).new_page()
        self.page.route("**/*", self.pass_or_block)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)

    def pass_or_block(self, route):
        url = route.request.url
        if url.startswith((self.address, "data:", "blob:")):
            return route.continue_()
        self.outside.append(url)
        return route.abort()

    def open(self, name: str):
        """Goes to a page and waits until its formulas are set."""
        self.page.goto(f"{self.address}/{name}", wait_until="load", timeout=120_000)  # a busy machine is no fault
        self.page.evaluate("async () => { if (window.MathJax) await MathJax.startup.promise; }")
        return self.page

    def dark(self, on: bool = True):
        name = "dark" if on else "light"
        self.page.evaluate(f"document.documentElement.dataset.theme = document.documentElement.dataset.mode = '{name}'")

    def wide(self, width: int):
        self.page.set_viewport_size({"width": width, "height": 900})


@pytest.fixture
def tab(browser, address):
    tab = Tab(browser, address)
    yield tab
    tab.page.context.close()


@pytest.mark.parametrize("name", PAGES)
def test_page_loads_alone_and_without_errors(tab, name):
    page = tab.open(f"{name}.html")
    page.wait_for_load_state("networkidle")
    assert tab.outside == []
    assert tab.errors == []
    assert page.locator("article h1").count() == 1
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.evaluate(SPEECHLESS) == []


# What the browser waits for before it paints, as paths; scripts in the head and style sheets.
BLOCKING = """() => performance.getEntriesByType('resource')
  .filter(e => e.renderBlockingStatus === 'blocking').map(e => new URL(e.name).pathname)"""


@pytest.mark.parametrize("name", PAGES)
def test_little_is_loaded_before_a_page_is_painted(tab, name):
    """400 kB as a static host sends them, compressed, are 2 seconds at 1.6 Mbit/s; no script of icons, no idle one."""
    page = tab.open(f"{name}.html")
    paths = page.evaluate(BLOCKING)
    assert any(path.endswith(".css") for path in paths)
    assert not [path for path in paths if re.search("embed|mathjax|fontawesome.*js", path)]
    assert sum(len(gzip.compress((SITE / path.lstrip("/")).read_bytes())) for path in paths) <= 400_000
    loaded = page.evaluate("[...document.scripts].map(s => s.src)")
    assert any("embed.js" in path for path in loaded) == bool(page.locator("script[type*='widget-view']").count())
    assert not [path for path in loaded if re.search("fontawesome|thebe", path)]


def test_icons_are_drawn_without_a_script(tab):
    """From a font: the button that changes the theme has a sign of its own in it."""
    page = tab.open("book/04_repulsion.html")
    page.evaluate("document.fonts.ready")
    icons = page.locator(".theme-switch-button .fa-solid, .theme-switch-button .theme-switch")
    drawn = "e => [getComputedStyle(e, '::before').content, getComputedStyle(e).fontFamily]"
    found = [icon.evaluate(drawn) for icon in icons.all()]
    assert [content for content, family in found if content not in ("none", "normal") and "Font Awesome" in family]
    assert page.evaluate("[...document.fonts].some(f => /Font Awesome/.test(f.family) && f.status === 'loaded')")


@pytest.mark.parametrize("name", PAGES)
def test_page_fits_a_telephone_and_can_be_read_in_the_dark(tab, name):
    page = tab.open(f"{name}.html")
    for dark in (False, True):
        tab.dark(dark)
        for width in (400, 1280):
            tab.wide(width)
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
            assert page.evaluate(STICKING_OUT) == []
        assert page.evaluate(FAINT) == [], f"too faint in {'dark' if dark else 'light'} mode"


@pytest.mark.parametrize("name", CHAPTERS)
def test_equations_are_set_numbered_and_linked(tab, name):
    page = tab.open(f"{name}.html")
    labels = re.findall(r"^:label: (eq-\S+)", (ROOT / f"{name}.md").read_text(), re.MULTILINE)
    assert labels
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


@pytest.mark.parametrize("name", CHAPTERS)
def test_quiz_answers_a_click(tab, name):
    page = tab.open(f"{name}.html")
    quizzes = page.locator(".course-quiz .Quiz")
    assert 3 <= quizzes.count() <= 5
    for quiz in quizzes.all():
        feedback = quiz.locator(".Feedback")
        assert feedback.inner_text().strip() == ""
        if quiz.locator("input[type=text], input[type=number]").count():
            quiz.locator("input").fill("123456")
            quiz.locator("input").press("Enter")
        else:
            quiz.locator(".MCButton, label").first.click()
        assert re.match(r"(Not c|C)orrect\. \S", feedback.inner_text())
    assert tab.errors == []


@pytest.mark.parametrize("name", CHAPTERS)
def test_hints_and_solutions_are_folded_until_asked_for(tab, name):
    page = tab.open(f"{name}.html")
    folded = page.locator("details.hint, details.solution").all()
    assert folded
    for one in folded:
        assert not one.locator(".sd-card-body, .sd-summary-content").first.is_visible()
    folded[0].locator("summary").click()
    assert folded[0].locator(".sd-card-body, .sd-summary-content").first.is_visible()
    assert not page.locator("details:not([open]) >> text=BEGIN SOLUTION").count()


def pages_with(text: str) -> list[str]:
    """The chapters whose page holds a text."""
    return [name for name in CHAPTERS if text in (built() / f"{name}.html").read_text()]


def test_animations_play(tab):
    names = pages_with('class="animation"')
    assert names
    for name in names:
        page = tab.open(f"{name}.html")
        for animation in page.locator(".animation").all():
            image = animation.locator("img").first
            animation.locator("button[title='First frame']").click()
            before = image.get_attribute("src")
            animation.locator("button[title='Play']").click()
            wait_for_another(page, image, before)
        assert tab.outside == []


def wait_for_another(page, image, before: str) -> None:
    """Waits until an image shows something else."""
    page.wait_for_function(
        "([image, before]) => image.src !== before", arg=[image.element_handle(), before], timeout=5000
    )


def test_sliders_work_without_a_kernel(tab):
    names = pages_with("application/vnd.jupyter.widget-view+json")
    assert names
    for name in names:
        page = tab.open(f"{name}.html")
        page.wait_for_selector(".jupyter-widgets img:visible")
        for handle in page.locator(".jupyter-widgets .noUi-handle").all():
            box = handle.locator("xpath=ancestor::*[contains(@class, 'widget-vbox')][1]")
            before = box.locator("img:visible").first.get_attribute("src")
            handle.focus()
            page.keyboard.press("ArrowRight")
            page.wait_for_timeout(300)
            assert box.locator("img:visible").first.get_attribute("src") != before
        assert tab.outside == []


@pytest.mark.parametrize("name", ["book/welcome", "book/playground", *CHAPTERS[:6]])
def test_playgrounds_answer_the_keyboard(tab, name):
    page = tab.open(f"{name}.html")
    page.wait_for_selector(".playground canvas")
    shown = "document.querySelector('.playground canvas').toDataURL()"
    before = page.evaluate(shown)
    page.locator(".playground input").first.focus()
    page.keyboard.press("PageUp")
    assert page.evaluate(shown) != before
    assert page.locator(".playground-told").inner_text() != ""
    assert tab.outside == []


@pytest.mark.parametrize("name", CHAPTERS)
def test_claims_have_a_verdict_and_stand_in_the_ledger(tab, name):
    page = tab.open(f"{name}.html")
    claims = page.locator(".claim").all()
    assert 1 <= len(claims) <= 6
    sentences = [claim.locator("p").first.inner_text().split(". ", 1)[1] for claim in claims]
    for claim in claims:
        assert re.search(
            r"verdict\s+[✓✗?○–-]?\s*(holds|fails|(not )?(shown|reproduced)|cannot be tested)", claim.inner_text()
        )
    curly = str.maketrans("‘’“”", "''\"\"")  # a page in Markdown has typographic quotes, a claim's box has not
    ledger = " ".join(tab.open("book/ledger.html").locator("article").inner_text().translate(curly).split())
    for sentence in sentences:
        assert " ".join(sentence.split()) in ledger


@pytest.mark.parametrize("name", CHAPTERS)
def test_chapter_says_where_it_can_be_worked_on(tab, name):
    page = tab.open(f"{name}.html")
    stem = name.removeprefix("book/")
    colab = page.locator(".chapter-links a", has_text="Colab").get_attribute("href")
    assert colab == PROJECT.colab(stem)
    owner_and_name, path = colab.split("/github/")[1].split("/blob/")
    assert PROJECT.url.endswith(owner_and_name)
    assert (ROOT / path.split("/", 1)[1]).is_file()
    for link in page.locator(".chapter-links a.download").all():
        notebook = json.loads((SITE / "book" / link.get_attribute("href")).read_text())
        assert notebook["cells"]


def test_dark_mode_is_a_click_away(tab):
    page = tab.open(f"{PAGES[0]}.html")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    for _ in range(3):
        page.locator("button.theme-switch-button:visible").first.click()
        if page.evaluate("document.documentElement.dataset.theme") == "dark":
            break
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light


@pytest.mark.parametrize("word", ["denoiser", "bandwidth", "Colab"])
def test_search_finds_pages(tab, word):
    page = tab.open(f"search.html?q={word}")
    page.wait_for_selector("#search-results ul.search li a")
    links = page.locator("#search-results ul.search li a").evaluate_all("links => links.map(a => a.pathname)")
    assert any(link.startswith("/book/") for link in links)
    assert tab.outside == []


class Links(HTMLParser):
    """What a page refers to, what it loads, and the anchors it has."""

    def __init__(self):
        super().__init__()
        self.targets, self.loads, self.anchors = [], [], set()

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.anchors |= {values[key] for key in ("id", "name") if values.get(key)}
        if tag == "a" and values.get("href"):
            self.targets.append(values["href"])
        if tag in ("img", "script", "iframe", "source") and values.get("src"):
            self.loads.append(values["src"])
        if tag == "link" and values.get("rel") in ("stylesheet", "icon", "preload"):
            self.loads.append(values["href"])


@functools.cache
def links(page: Path) -> Links:
    parser = Links()
    parser.feed(page.read_text("utf-8"))
    return parser


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name):
    here = built() / f"{name}.html"
    for target in links(here).targets:
        url = urlsplit(target)
        if url.scheme:
            assert url.scheme in ("https", "mailto") or url.hostname == "127.0.0.1", target
            continue
        there = (here.parent / unquote(url.path)).resolve() if url.path else here
        assert there.is_file(), f"{target} leads nowhere"
        if url.fragment and there.suffix == ".html":
            assert unquote(url.fragment) in links(there).anchors, f"{target}: the page has no such place"


@pytest.mark.parametrize("name", PAGES)
def test_page_loads_nothing_from_other_servers(name):
    page = built() / f"{name}.html"
    for target in links(page).loads:
        assert target.startswith("data:") or not urlsplit(target).netloc, f"{target} is loaded from another server"
        if not urlsplit(target).scheme:
            assert (page.parent / unquote(urlsplit(target).path)).resolve().is_file(), f"{target} is missing"
