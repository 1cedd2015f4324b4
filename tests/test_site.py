"""The built site as a whole: its links, what it loads, its search, and what one page shows for all."""

import functools
import gzip
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from browsing import SITE, built

from tests.each_page import ANIMATED, CHAPTERS, PAGES


def test_icons_are_drawn_without_a_script(tab):
    """From a font: the button that changes the theme has a sign of its own in it."""
    page = tab.open("book/04_repulsion.html")
    page.evaluate("document.fonts.ready")
    icons = page.locator(".theme-switch-button .fa-solid, .theme-switch-button .theme-switch")
    drawn = "e => [getComputedStyle(e, '::before').content, getComputedStyle(e).fontFamily]"
    found = [icon.evaluate(drawn) for icon in icons.all()]
    assert [content for content, family in found if content not in ("none", "normal") and "Font Awesome" in family]
    assert page.evaluate("[...document.fonts].some(f => /Font Awesome/.test(f.family) && f.status === 'loaded')")


def test_printed_tables_have_headers(tab):
    page = tab.open("book/04_repulsion.html")
    tables = page.locator("table.printed").all()
    assert len(tables) >= 15
    for table in tables:
        columns = table.locator("thead th").count()
        assert columns >= 2
        assert table.locator("tbody tr").count() == table.locator("tbody th[scope=row]").count() >= 1
        assert table.locator("thead tr > *").count() == table.locator("tbody tr").first.locator("> *").count()
    assert page.locator("table.printed caption").count() == 1


def test_some_chapters_have_animations():
    assert len(ANIMATED) >= 5


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_weighs_little_besides_its_animations(name):
    """Its HTML as a static host sends it, its figures and all pictures of its sliders: 1.5 MB."""
    text = (built() / f"{name}.html").read_text("utf-8")
    still = re.sub(r'<div class="animation-paper">.*?</script>', "", text, flags=re.DOTALL)
    pictures = {SITE / "_images" / one for one in re.findall(r'src="\.\./_images/([^"]+)"', text)}
    assert pictures
    assert len(gzip.compress(still.encode())) + sum(path.stat().st_size for path in pictures) <= 1_500_000


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
