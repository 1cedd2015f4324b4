"""The search of the site: sections are found by words of their text, and little is loaded for it."""

import asyncio
import gzip
import re
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from browsing import SITE, Tab, serve

from course_lib.tools.build.searching import indexed, spoken, write_index

FIELD = ".bd-search-container input[type=search]"


def found(page) -> list[dict]:
    """The sections that the search page lists."""
    page.wait_for_selector("#search-results ul.search li li a")
    return page.locator("#search-results ul.search li li a").evaluate_all(
        "links => links.map(a => ({ path: a.pathname, hash: a.hash }))"
    )


def test_typing_a_word_lists_sections_and_loads_little(tab):
    asked = []
    tab.page.on("request", lambda request: asked.append(urlsplit(request.url).path))
    page = tab.open("search.html")
    page.wait_for_load_state("networkidle")
    before = [path for path in asked if not path.startswith("/pagefind/")]
    page.locator(FIELD).press_sequentially("guidance")
    sections = found(page)
    page.wait_for_load_state("networkidle")
    assert len(sections) >= 5
    assert all(one["path"].startswith("/book/") and len(one["hash"]) > 1 for one in sections)
    listed = {one["path"] + one["hash"] for one in sections}
    assert set(sections_about("guidance")) <= listed
    assert tab.page.locator("#search-results mark").count() >= 5
    assert re.match(r"Found on \d+ pages: guidance", page.locator("#search-results [role=status]").inner_text())
    assert tab.outside == []
    assert tab.errors == []
    loaded = set(asked) - set(before)
    assert any("fragment" in path for path in loaded)
    assert sum((SITE / path.lstrip("/")).stat().st_size for path in loaded) < 500_000


def sections_about(word: str) -> list[str]:
    """The addresses of all sections with the word in their heading."""
    heading = re.compile(r'<section[^>]* id="([^"]+)"[^>]*>(?:\s*<span[^>]*></span>)*\s*<h[23]>(.*?)</h[23]>', re.S)
    hits = []
    for path in (SITE / "book").glob("*.html"):
        headings = heading.findall(path.read_text("utf-8"))
        hits += [f"/book/{path.name}#{anchor}" for anchor, text in headings if word in text.lower()]
    assert len(hits) >= 3
    return hits


def test_a_section_that_was_found_is_there(tab):
    page = tab.open("search.html?q=bandwidth")
    for one in found(page):
        text = (SITE / one["path"].lstrip("/")).read_text("utf-8")
        assert f'id="{one["hash"][1:]}"' in text


def test_a_click_leads_to_the_section(tab):
    page = tab.open("search.html?q=median%20bandwidth")
    found(page)
    link = page.locator("#search-results ul.search li li a").first
    title = link.inner_text()
    link.click()
    page.wait_for_load_state("load")
    heading = page.locator(f"section[id='{page.evaluate('location.hash.slice(1)')}']").locator("h1, h2, h3, h4").first
    assert title.strip() in heading.inner_text()


def test_nothing_found_is_said(tab):
    page = tab.open("search.html?q=日本")
    page.wait_for_function("/0 pages/.test(document.querySelector('#search-results').innerText)")


def test_more_pages_come_when_asked_for(tab):
    page = tab.open("search.html?q=noise")
    found(page)
    before = page.locator("#search-results ul.search > li").count()
    page.locator("#search-results button").press("Enter")
    page.wait_for_function(f"document.querySelectorAll('#search-results ul.search > li').length > {before}")


def test_the_search_works_in_a_folder_of_a_server(browser, tmp_path):
    """As where the site is published: below the name of its repository."""
    (tmp_path / "course").symlink_to(SITE)
    server = serve(tmp_path)
    tab = Tab(browser, f"http://127.0.0.1:{server.server_address[1]}")
    assert all(one["path"].startswith("/course/book/") for one in found(tab.open("course/search.html?q=guidance")))
    tab.page.context.close()
    server.shutdown()


def test_opened_as_a_file_the_search_finds_pages(browser):
    page = browser.new_context().new_page()
    page.goto(f"{SITE.as_uri()}/search.html?q=guidance")
    page.wait_for_selector("#search-results ul.search li a")
    links = page.locator("#search-results ul.search li a").evaluate_all("all => all.map(a => a.href)")
    assert any(link.startswith(f"{SITE.as_uri()}/book/") for link in links)
    page.context.close()


@pytest.mark.parametrize(
    ("page", "wanted"),
    [
        ('<section id="a">\n<h2>A</h2>', '<section>\n<h2 id="a">A</h2>'),
        (
            '<section class="x" id="a">\n<span id="b"></span><h1>A',
            '<section class="x">\n<span id="b"></span><h1 id="a">A',
        ),
        (r'<span class="math notranslate nohighlight">\(\sigma_{t}\)</span>', "sigma_t"),
        ('<div class="math notranslate nohighlight" id="e">\n\\[x = 1\\]</div>', ""),
    ],
)
def test_headings_get_their_anchor_and_formulas_their_words(page, wanted):
    assert indexed(page) == wanted


def test_formulas_are_read_without_signs():
    assert spoken(r"\(p(x_t) &lt; \tfrac{1}{2}\)") == "p(x_t) &lt; tfrac12"


TOLD = """<html lang="en"><body><article class="bd-article"><h1>Title</h1><p>Before.</p>
<table><caption>Two ways</caption><thead><tr><th>Method</th><th>Share</th></tr></thead>
<tbody><tr><th scope="row">plain</th><td>0.5</td><td>1.5</td></tr></tbody></table>
<dl><dt>measured</dt><dd>0.4</dd></dl><details><summary>Claim</summary>holds<br>here</details></article></body></html>"""


def test_cells_and_terms_do_not_run_together(tmp_path):
    """What the index keeps of a page, of which excerpts are cut."""
    (tmp_path / "x.html").write_text(TOLD)
    with ThreadPoolExecutor(1) as elsewhere:  # a browser of another test keeps its event loop in this thread
        elsewhere.submit(asyncio.run, write_index(tmp_path, tmp_path / "pagefind", ["x"])).result()
    (kept,) = (gzip.decompress(path.read_bytes()).decode() for path in tmp_path.rglob("*.pf_fragment"))
    words = re.search('"content":"([^"]*)"', kept)[1].replace(".", " ").split()
    due = "Title Before Two ways Method Share plain 0 5 1 5 measured 0 4 Claim holds here"
    assert words == due.split()
