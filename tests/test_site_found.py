"""The site as others meet it: in searches, previews, frames, archives, on paper, and by a wrong address."""

import html
import re
import xml.etree.ElementTree as ET
import zipfile

import pytest
import yaml
from browsing import ROOT, SITE, Served, Tab, serve

from course_lib.tools.build import heads
from course_lib.tools.build.project import Project
from course_lib.tools.build.whereabouts import ZIP, moved
from course_lib.tools.social_picture import PICTURE, SIZE

PROJECT = Project(ROOT)
PAGES = PROJECT.toc
CHAPTER = "book/04_repulsion"


def text(name: str) -> str:
    return (SITE / f"{name}.html").read_text("utf-8")


def tags(page: str) -> dict[str, str]:
    return dict(re.findall(r'<meta (?:name|property)="([\w:]+)" content="([^"]*)"', page))


@pytest.mark.parametrize("name", PAGES)
def test_page_describes_itself(name):
    found = tags(text(name))
    assert 60 <= len(found["description"]) <= 165, found["description"]
    assert "\\" not in found["description"]
    assert found["og:description"] == found["description"]
    title = re.search(r"<title>(.*?) &#8212;", text(name))[1]
    assert html.unescape(found["og:title"]) == html.unescape(title)
    assert found["og:url"] == f"{PROJECT.site}/{name}.html"
    assert found["og:image"] == f"{PROJECT.site}/{PICTURE.relative_to(ROOT / 'book').as_posix()}"
    assert text(name).count('property="og:title"') == 1


def test_descriptions_differ():
    found = [tags(text(name))["description"] for name in PAGES]
    assert len(set(found)) == len(found)


def test_the_social_picture_is_small_and_of_the_usual_size():
    from PIL import Image

    assert Image.open(PICTURE).size == SIZE == (1200, 630)
    assert PICTURE.stat().st_size < 60_000
    assert (SITE / "_static" / "found" / PICTURE.name).read_bytes() == PICTURE.read_bytes()


def test_sitemap_names_every_page_and_robots_the_sitemap():
    root = ET.parse(SITE / "sitemap.xml").getroot()
    assert [one[0].text for one in root] == [f"{PROJECT.site}/{name}.html" for name in PAGES]
    assert f"Sitemap: {PROJECT.site}/sitemap.xml" in (SITE / "robots.txt").read_text()


class Lost(Served):
    """A host that answers a wrong address with 404.html, as GitHub Pages does."""

    def send_error(self, code, *_):
        body = (SITE / "404.html").read_bytes()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.mark.parametrize("prefix", ["course/", ""])
def test_a_wrong_address_leads_back(browser, tmp_path, prefix):
    """At any depth, below the published folder and at the root of another server."""
    target = SITE
    if prefix:
        (tmp_path / "course").symlink_to(SITE)
        target = tmp_path
    server = serve(target, answers=Lost)
    tab = Tab(browser, f"http://127.0.0.1:{server.server_address[1]}")
    page = tab.open(f"{prefix}book/nothing/at/all.html")
    assert page.locator("h1").inner_text() == "There is no such page"
    for link in page.locator("a").evaluate_all("all => all.map(a => a.href)"):
        assert page.request.get(link).status == 200
    page.locator("a").first.click()
    page.wait_for_selector("article h1")
    tab.page.context.close()
    server.shutdown()


def test_the_root_is_the_front_page_itself(tab):
    assert "refresh" not in (SITE / "index.html").read_text("utf-8").lower().split("<body")[0]
    page = tab.open("index.html")
    page.wait_for_selector(".playground canvas")
    assert tab.errors == []
    assert tab.outside == []
    links = page.locator("a[href]").evaluate_all("all => all.map(a => a.href)")
    for link in {link.split("#")[0] for link in links if link.startswith(tab.address)}:
        path = SITE / link.removeprefix(f"{tab.address}/").split("?")[0]
        assert path.is_file(), link
    assert page.locator("article img").first.evaluate("image => image.naturalWidth") > 0


def test_a_page_moved_up_keeps_its_targets():
    page = '<html data-content_root="../"><a href="x.html#y"><a href="#z"><img src="../_static/a.png"><a href="https://b.c">'
    assert moved(page, "book") == (
        '<html data-content_root="./"><a href="book/x.html#y"><a href="#z"><img src="_static/a.png"><a href="https://b.c">'
    )


@pytest.mark.parametrize("name", [CHAPTER, "book/setup"])
def test_a_page_says_how_to_cite_it_and_where_to_complain(tab, name):
    page = tab.open(f"{name}.html")
    foot = page.locator(".page-foot")
    assert not foot.locator("pre").is_visible()
    foot.locator("summary").press("Enter")
    entry = foot.locator("pre").inner_text()
    assert f"url = {{{PROJECT.site}/{name}.html}}" in entry
    assert f"Version {PROJECT.version}" in entry
    assert entry.count("{") == entry.count("}")
    link = foot.locator("a").get_attribute("href")
    assert link.startswith(f"{PROJECT.url}/issues/new?template=page.yml&title=")
    assert f"page={name}.html" in link


def test_issue_templates_ask_for_what_links_fill_in():
    folder = ROOT / ".github" / "ISSUE_TEMPLATE"
    for name in ("page", "code"):
        form = yaml.safe_load((folder / f"{name}.yml").read_text())
        assert {"name", "description", "body"} <= set(form)
        assert all(field["attributes"]["label"] for field in form["body"])
    fields = [field["id"] for field in yaml.safe_load((folder / "page.yml").read_text())["body"]]
    assert "page" in fields


def test_the_archive_holds_the_site(tab):
    with zipfile.ZipFile(SITE / ZIP) as archive:
        names = {name.removeprefix("diverse-diffusion/") for name in archive.namelist()}
        assert archive.read("diverse-diffusion/index.html") == (SITE / "index.html").read_bytes()
    files = {path.relative_to(SITE).as_posix() for path in SITE.rglob("*") if path.is_file()} - {ZIP}
    assert names == files
    href = tab.open("book/setup.html").locator(f"article a[href$='{ZIP}']").get_attribute("href")
    assert (SITE / "book" / href).resolve() == SITE / ZIP


def test_opened_as_a_file_a_chapter_has_its_formulas(browser):
    page = browser.new_context().new_page()
    page.goto((SITE / f"{CHAPTER}.html").as_uri())
    page.wait_for_selector("mjx-container")
    page.locator("nav a[href='05_manifolds.html']").first.click()
    page.wait_for_selector("article h1")
    page.context.close()


HIDDEN = (".bd-sidebar-primary", ".bd-sidebar-secondary", ".bd-header-article", ".page-foot")


def test_embedded_only_the_text_is_left_and_links_stay_so(tab):
    page = tab.open(f"{CHAPTER}.html")
    assert page.locator(".bd-sidebar-primary").is_visible()
    page = tab.open(f"{CHAPTER}.html?embed")
    assert not any(page.locator(part).first.is_visible() for part in HIDDEN)
    assert page.locator("article h1").is_visible()
    link = page.locator("article a[href*='05_manifolds.html'], .prev-next-area a[href*='05_manifolds.html']").first
    assert "embed" in link.get_attribute("href").split("#")[0]


# What scrolls or hides a part of itself, and what sticks out of the paper.
CLIPPED = """() => [...document.querySelectorAll('article *')].filter(e => e.checkVisibility() && e.clientWidth)
  .filter(e => !e.closest('mjx-assistive-mml, .visually-hidden, mjx-math, svg'))
  .filter(e => (/(auto|scroll|hidden)/.test(getComputedStyle(e).overflowX) && e.scrollWidth > e.clientWidth + 1)
               || e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 160))"""
BACKGROUND = "getComputedStyle(document.body).backgroundColor"


@pytest.mark.parametrize("name", [CHAPTER, "book/09_measuring_pictures", "book/ledger"])
def test_paper_is_white_and_nothing_is_clipped(tab, name):
    """700 pixels are A4 without its margins; on the way back the screen is dark again."""
    page = tab.open(f"{name}.html")
    tab.wide(700)
    tab.dark()
    dark = page.evaluate(BACKGROUND)
    page.emulate_media(media="print")
    page.wait_for_function("document.documentElement.dataset.theme === 'light'")
    assert page.evaluate(BACKGROUND) == "rgb(255, 255, 255)" != dark
    assert page.evaluate(CLIPPED) == []
    page.emulate_media(media="screen")
    page.wait_for_function("document.documentElement.dataset.theme === 'dark'")


def test_a_description_is_a_sentence_without_signs():
    page = '<article class="bd-article"><p>Colab</p><p>'
    page += r'At <span class="math notranslate nohighlight">\(\sigma_t\)</span>'
    page += " the <em>force</em> &amp; its kernel move every particle away from all of the others.</p></article>"
    assert (
        heads.description(page) == "At sigma_t the force & its kernel move every particle away from all of the others."
    )
    long = page.replace("every particle", "every particle of the group " * 9)
    assert len(heads.description(long)) <= 160
    assert heads.description(long).endswith("…")


def test_chapters_are_numbered_and_no_other_page_is():
    titles = {
        name: re.search(r"<h1>((?:(?!</h1>).)*?)<a class=\"headerlink\"", text(name), re.DOTALL) for name in PAGES
    }
    numbers = {
        name: re.match(r'<span class="section-number">(\d+)', found[1]) for name, found in titles.items() if found
    }
    told = {name: int(number[1]) for name, number in numbers.items() if number}
    assert told == {f"book/{m.stem}": m.number for m in map(PROJECT.read, PROJECT.master_paths())}
