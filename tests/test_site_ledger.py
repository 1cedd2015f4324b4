"""The ledger leads to each claim and back, and shows one verdict or one chapter when asked, by keyboard."""

import re

import pytest
from browsing import SITE

from course_lib.tools.build.anchors import make_anchors, with_claims, with_rows

ROWS = "tr[data-verdict]"


def rows(page) -> list[dict]:
    return page.locator(ROWS).evaluate_all(
        "all => all.map(r => ({ id: r.id, chapter: r.dataset.chapter, verdict: r.dataset.verdict,"
        " link: r.querySelector('a').getAttribute('href'), seen: r.checkVisibility() }))"
    )


def test_every_row_leads_to_its_claim(tab):
    found = rows(tab.open("book/ledger.html"))
    assert len(found) > 80
    assert len({row["id"] for row in found}) == len(found)
    for row in found:
        number = row["id"].removeprefix("ledger-")
        page, _, anchor = row["link"].partition("#")
        assert anchor == f"claim-{number}"
        assert (SITE / "book" / page).read_text("utf-8").count(f'id="{anchor}"') == 1


def test_a_link_to_a_claim_shows_it(tab):
    page = tab.open("book/04_repulsion.html#claim-4-1")
    assert page.locator("#claim-4-1").inner_text().startswith("Claim 4.1.")
    page.wait_for_function("Math.abs(document.querySelector('#claim-4-1').getBoundingClientRect().top) < innerHeight")


def test_every_chapter_has_a_heading_in_the_ledger(tab):
    page = tab.open("book/ledger.html")
    headings = page.locator("article h2").all_inner_texts()
    chapters = sorted({int(row["chapter"]) for row in rows(page)})
    assert [int(re.match(r"Chapter (\d+): \w", heading)[1]) for heading in headings] == chapters


@pytest.mark.parametrize(("name", "key"), [("verdict", "verdict"), ("chapter", "chapter")])
def test_the_ledger_is_filtered_by_keyboard(tab, name, key):
    page = tab.open("book/ledger.html")
    page.locator(f".ledger-filter select[name={name}]").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    wanted = page.locator(f".ledger-filter select[name={name}]").input_value()
    found = rows(page)
    assert wanted
    assert all(row["seen"] == (row[key] == wanted) for row in found)
    assert any(row["seen"] for row in found)
    assert not all(row["seen"] for row in found)
    told = page.locator(".ledger-filter [role=status]").inner_text()
    assert told == f"{sum(row['seen'] for row in found)} of {len(found)} claims"
    empty = page.locator("article section section:visible").evaluate_all(
        "all => all.filter(s => ![...s.querySelectorAll('tr[data-verdict]')].some(r => !r.hidden)).length"
    )
    assert empty == 0
    page.evaluate(f"location.hash = {next(row['id'] for row in found if not row['seen'])!r}")
    page.wait_for_function("!document.querySelector('tr[data-verdict][hidden]')")


def test_without_scripts_the_whole_ledger_is_there(browser, address):
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(f"{address}/book/ledger.html")
    assert page.locator(ROWS).count() == page.locator(f"{ROWS}:visible").count() > 80
    assert page.locator(".ledger-filter").count() == 0
    page.context.close()


CLAIMS = """<div class="claim claim-holds" style="x"><p style="m"><strong>Claim 4.1.</strong> A</p></div>
<div class="output text_plain y"><div class="highlight"><pre><span></span>Claim 4.12. B [holds]</pre></div></div>
<div class="claim-small claim-holds"><details><summary><strong>Claim 4.3.</strong> C</summary></details></div>
<div class="output text_plain y"><div class="highlight"><pre><span></span>No claim</pre></div></div>"""
LEDGER = """<head></head><tr class="row-even"><td><p><a class="reference internal" href="04_x.html">\
<span class="std std-doc">4.1</span></a> S.</p></td>
<td><p><strong>not shown</strong> (why)</p></td>
</tr>"""


def test_anchors_are_set_once(tmp_path):
    page = with_claims(CLAIMS)
    assert re.findall(r'<div id="(claim-[\d-]+)" class="([\w-]+)', page) == [
        ("claim-4-1", "claim"),
        ("claim-4-12", "output"),
        ("claim-4-3", "claim-small"),
    ]
    assert with_claims(page) == page
    ledger = with_rows(LEDGER)
    assert '<tr id="ledger-4-1" data-chapter="4" data-verdict="not shown" class="row-even">' in ledger
    assert 'href="04_x.html#claim-4-1"' in ledger
    assert with_rows(ledger) == ledger
    (tmp_path / "book").mkdir()
    for name, text in {"ledger": LEDGER, "04_x": CLAIMS}.items():
        (tmp_path / "book" / f"{name}.html").write_text(text, encoding="utf-8")
    make_anchors(tmp_path)
    assert (tmp_path / "book" / "ledger.html").read_text("utf-8") == ledger
    assert (tmp_path / "book" / "04_x.html").read_text("utf-8") == page
