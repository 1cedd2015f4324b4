"""The book and the slides as PDF: pages, bookmarks, numbers, and links that lead to places in the same file."""

import re

import pytest
from browsing import ROOT, built

from course_lib.tools import paper
from course_lib.tools.build.project import Project

PROJECT = Project(ROOT)
NAMES = ["book/welcome", "book/01_noise_and_scores", "book/glossary"]


@pytest.fixture(scope="module")
def page():
    return paper.one_page(built(), NAMES, PROJECT)


def test_places_are_unique_and_links_lead_to_them(page):
    places = re.findall(r'\bid="([^"]+)"', page)
    assert len(places) == len(set(places))
    inside = set(re.findall(r'\bhref="#([^"]+)"', page))
    assert inside
    assert {name for name in inside if name not in places} == set()
    assert "01_noise_and_scores--equation-eq-1-4" in places


def test_the_contents_name_every_page_by_its_title_alone(page):
    contents = re.search(r'<nav class="paper-contents.*?</nav>', page, re.DOTALL)[0]
    titles = [re.sub("<[^>]+>", "", entry) for entry in re.findall(r"<li>(.*?)</li>", contents, re.DOTALL)]
    assert titles == ["Diverse diffusion", "1 Noise and scores", "Glossary"]


def test_what_is_not_on_paper_is_linked_on_the_published_site(page):
    links = set(re.findall(r'<a [^>]*href="([^"#][^"]*)"', page))
    assert all(link.startswith(("https://", "mailto:")) for link in links), links
    assert f"{PROJECT.site}/book/04_repulsion.html" in {link.split("#")[0] for link in links}


def test_pictures_and_styles_are_found_from_where_the_page_lies(page):
    files = re.findall(r'(?:<img[^>]* src|<link[^>]* rel="stylesheet"[^>]* href)="([^"]+)"', page)
    local = [name.split("?")[0] for name in files if not name.startswith(("data:", "https:"))]
    assert len(local) > 20
    assert [name for name in local if not (built() / name).is_file()] == []


def test_formulas_have_the_size_of_the_text_and_wide_ones_fit(browser):
    page = browser.new_page(viewport=paper.PAPER)
    math = (
        '<mjx-container display="true"><mjx-math style="display:inline-block;width:{}em">x</mjx-math></mjx-container>'
    )
    page.set_content("".join(f'<div class="math" style="width:600px">{math.format(width)}</div>' for width in (10, 60)))
    page.evaluate(paper.FORMULAS)
    sizes = page.evaluate("() => [...document.querySelectorAll('mjx-container')].map(e => e.style.fontSize)")
    widths = page.evaluate("() => [...document.querySelectorAll('mjx-math')].map(e => e.offsetWidth)")
    assert sizes[0] == "115%"
    assert sizes[1] != "115%"
    assert max(widths) <= 600 - 64
    page.close()


def test_the_book_has_bookmarks_links_and_numbered_pages(browser, tmp_path):
    target = tmp_path / "book.pdf"
    paper.print_book(browser, built(), NAMES, PROJECT, target)
    data = target.read_bytes()
    pages = len(re.findall(rb"/Type /Page\b", data))
    assert 15 <= pages <= 90
    titles = re.findall(rb"/Title \((.*?)\)\n?\s*/", data)
    assert any(b"Noise and scores" in title for title in titles)
    assert any(b"The correction step" in title for title in titles)
    assert data.count(b"/Subtype /Link") > 50
    assert len(set(re.findall(rb"/Dest /(\S+)", data))) >= 8
    assert not list(built().glob("_paper*"))


def test_slides_are_pages_of_their_own(browser, tmp_path):
    target = tmp_path / "slides.pdf"
    paper.print_slides(browser, built(), "book/10_repelling_features", target)
    data = target.read_bytes()
    assert 20 <= len(re.findall(rb"/Type /Page\b", data)) <= 160
    assert set(re.findall(rb"/MediaBox \[0 0 (\d+)[.\d]* (\d+)", data)) == {(b"840", b"473")}


def test_without_a_site_a_sentence_says_what_to_do(tmp_path, capsys):
    from course_lib.tools.cli import main

    assert main(["pdf", "--root", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "`course pdf` needs a site in _build/html: run `course build`.\n"
