"""Pages for everyone: that axe finds what is wrong, keys and names for what scripts draw, and the theme's mistakes."""

import re

import pytest
from browsing import SITE, Tab

from course_lib.tools.build.access import accessible, make_accessible
from tests.accessibility import AXE, assert_fits, assert_readable_by_everyone, found


@pytest.fixture
def wide_tab(browser, address):
    tab = Tab(browser, address, width=1400)
    yield tab
    tab.page.context.close()


@pytest.mark.parametrize("name", ["search", "genindex"])
def test_pages_that_sphinx_makes_can_be_read_by_everyone(wide_tab, name):
    """Those with a source are tried in test_pages_0.py and _1.py, where they are open already."""
    wide_tab.open(f"{name}.html").wait_for_load_state("networkidle")
    assert_readable_by_everyone(wide_tab)
    assert_fits(wide_tab)


BROKEN = {
    "image-alt": "<img src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>",
    "color-contrast": "<p style='color: #777; background: #666'>grey on grey</p>",
    "label-content-name-mismatch": "<button aria-label='Go'>Send the answer</button>",
    "empty-table-header": "<table><tr><th></th><th>x</th></tr><tr><td>1</td><td>2</td></tr></table>",
    "scrollable-region-focusable": "<div style='width: 50px; overflow: auto'><div style='width: 500px'>x</div></div>",
}


def test_the_test_sees_what_is_wrong(wide_tab):
    page = wide_tab.open("book/cite.html")
    page.evaluate(f"{AXE}; 0")
    page.evaluate(
        "html => document.querySelector('article').insertAdjacentHTML('beforeend', html)", "".join(BROKEN.values())
    )
    assert {one.split(":")[0] for one in found(wide_tab)} >= set(BROKEN)
    assert {one.split(":")[0] for one in found(wide_tab, dark=True)} == {"color-contrast"}


def test_formulas_and_outputs_that_scroll_can_be_scrolled_by_keys(tab):
    """On a telephone most wide things scroll; each can have the focus, and none that does not scroll."""
    tab.wide(400)
    page = tab.open("book/02_learning_a_score.html")
    page.wait_for_function("document.querySelector('mjx-container[display][tabindex]')")
    wide = page.locator("mjx-container[display]").evaluate_all(
        """all => all.map(e => {
          const scrolls = e.scrollWidth > e.clientWidth && /auto|scroll/.test(getComputedStyle(e).overflowX);
          return [scrolls, e.tabIndex]; })"""
    )
    assert any(scrolls for scrolls, _ in wide)
    assert all((index == 0) == scrolls for scrolls, index in wide)


def test_pictures_and_controls_that_scripts_draw_have_names(tab):
    page = tab.open("book/02_learning_a_score.html")
    page.wait_for_selector(".anim-slider[aria-label]")
    for image in page.locator(".animation img").all():
        assert len(image.get_attribute("alt")) > 30


PAGE = """<button class="btn search-button-field search-button__button" aria-label="Search">Search</button>
<button class="btn btn-sm search-button" aria-label="Search"></button>
<div class="bd-sidebar-primary bd-sidebar"><summary aria-label="Toggle hidden content">Show</summary></div>
<div role="list"><div class="citation" id="id1" role="doc-biblioentry">A</div></div>
<table><thead><th class="head"><p></p></th><th>x</th></thead>
<tr><td><p>y</p></td><td>1</td></tr><tr><td></td><td>2</td></tr></table>
<table><thead><th>a</th><th>x</th></thead><tr><td>y</td><td>1</td></tr></table>
<form title="Repetition mode" aria-label="Repetition mode">"""
MENDED = """<button class="btn search-button-field search-button__button">Search</button>
<button class="btn btn-sm search-button" aria-label="Search"></button>
<div class="bd-sidebar-primary bd-sidebar" role="complementary" aria-label="Course"><summary>Show</summary></div>
<div role="list"><div class="citation" id="id1" role="listitem">A</div></div>
<table><thead><td class="head"><p></p></td><th>x</th></thead>
<tr><th scope="row"><p>y</p></th><td>1</td></tr><tr><td></td><td>2</td></tr></table>
<table><thead><th>a</th><th>x</th></thead><tr><td>y</td><td>1</td></tr></table>
<form>"""


def test_what_the_theme_says_wrongly_is_mended_once(tmp_path):
    assert accessible(PAGE) == accessible(MENDED) == MENDED
    path = tmp_path / "book" / "x.html"
    path.parent.mkdir()
    path.write_text(PAGE, encoding="utf-8")
    make_accessible(tmp_path)
    assert path.read_text(encoding="utf-8") == MENDED


def test_the_site_is_mended():
    assert [
        path for path in SITE.rglob("*.html") if accessible(path.read_text("utf-8")) != path.read_text("utf-8")
    ] == []
    assert re.search("access.js", (SITE / "book" / "welcome.html").read_text("utf-8"))
