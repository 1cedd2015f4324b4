"""`course pdf`: the built site as a book on paper, and slides of the workshop chapters, printed by a browser."""

import argparse
import posixpath
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, sync_playwright

from course_lib.tools.build.project import Project
from course_lib.tools.environment import find_browser

LEFT_OUT = {"book/playground", "book/progress"}  # nothing of them is on paper
ARTICLE = re.compile(r'<article class="bd-article">(.*?)</article>', re.DOTALL)
HEAD = re.compile(r"<head>.*?</head>", re.DOTALL)
PLACES = re.compile(r'(?P<before>\b(?:id|for|aria-labelledby|aria-describedby)=")(?P<name>[^"\s]+)"')
ADDRESS = re.compile(r'(?P<name>\b(?:href|src))="(?P<url>[^"]*)"')
FOOTER = (
    '<div style="width:100%;margin:0 18mm;font:8px sans-serif;color:#555;display:flex;justify-content:space-between">'
    '<span>{title}, version {version}</span><span class="pageNumber"></span></div>'
)
STYLE = """<style>
html, body { background: white; }
article { max-width: none; }
article.chapter { break-before: page; }
article :is(h1, h2, h3, h4) { break-after: avoid; }
.tag_folded > details, .chapter-links, .page-foot, .headerlink, .quiz button, .playground { display: none !important; }
.paper-title { margin: 35vh 0 0; text-align: center; break-after: page; }
.paper-contents a { text-decoration: none; }
</style>"""
OPEN = """async () => {
  for (const one of document.querySelectorAll('details')) one.open = true;
  for (const image of document.images) image.loading = 'eager';
  document.documentElement.dataset.theme = document.documentElement.dataset.mode = 'light';
  if (window.MathJax) await MathJax.startup.promise;
  await Promise.all([...document.images].map(image => image.decode().catch(() => {})));
}"""

# Formulas of the text's size, the widest as much smaller as the page asks, with room for their number.
FORMULAS = """() => {
  for (const one of document.querySelectorAll('mjx-container[display="true"]')) {
    const size = (percent) => one.style.setProperty('font-size', percent + '%', 'important');
    size(115);
    const wide = one.querySelector('mjx-math').getBoundingClientRect().width;
    const room = one.parentElement.getBoundingClientRect().width - 64;
    if (room > 0 && wide > room) size(Math.floor(115 * room / wide));
  }
}"""
PAPER = {"width": 658, "height": 1000}  # what A4 leaves between its margins, in CSS pixels


def one_page(folder: Path, names: list[str], project: Project) -> str:
    """The articles of these pages one after the other, with links between them that stay on the paper."""
    texts = {name: (folder / f"{name}.html").read_text(encoding="utf-8") for name in names}
    articles = [
        f'<article class="bd-article chapter" id="{key(name)}">{placed(ARTICLE.search(text)[1], name, names, project)}'
        "</article>"
        for name, text in texts.items()
    ]
    head = elsewhere(HEAD.search(texts[names[0]])[0], posixpath.dirname(names[0]))
    head = re.sub(r"<title>.*?</title>", f"<title>{project.config['title']}</title>", head, flags=re.DOTALL)
    contents = "".join(f'<li><a href="#{key(name)}">{heading(text)}</a></li>' for name, text in texts.items())
    front = (
        f'<header class="paper-title"><h1>{project.config["title"]}</h1><p>{project.config["author"]}</p>'
        f"<p>Version {project.version} · {project.site}</p></header>"
        f'<nav class="paper-contents bd-article"><h1>Contents</h1><ul>{contents}</ul></nav>'
    )
    html = f'<!DOCTYPE html><html lang="en" data-theme="light" data-mode="light" data-content_root="./">{head}'
    return f"{html}<body>{STYLE}<main>{front}{''.join(articles)}</main></body></html>"


def key(name: str) -> str:
    return posixpath.basename(name)


def heading(page: str) -> str:
    """A page's title, with its number, without links."""
    found = re.search(r"<h1>((?:(?!</h1>).)*?)<a class=\"headerlink\"", page, re.DOTALL)
    return re.sub(r"<[^>]+>", "", found[1]) if found else ""


def elsewhere(text: str, folder: str) -> str:
    """A page's text with relative addresses as they read one folder up."""

    def change(found: re.Match) -> str:
        url = found["url"]
        if not url or url.startswith("#") or urlsplit(url).scheme:
            return found[0]
        return f'{found["name"]}="{posixpath.normpath(posixpath.join(folder, url))}"'

    return ADDRESS.sub(change, text)


def placed(article: str, name: str, names: list[str], project: Project) -> str:
    """An article whose places carry its page's name; links to what is not on paper lead to the published site."""
    article = PLACES.sub(lambda found: f'{found["before"]}{key(name)}--{found["name"]}"', article)

    def change(found: re.Match) -> str:
        url = found["url"]
        if found["name"] == "src" or urlsplit(url).scheme:
            return found[0]
        path, _, place = url.partition("#")
        target = posixpath.normpath(posixpath.join(posixpath.dirname(name), path)) if path else f"{name}.html"
        page = target.removesuffix(".html")
        if page not in names:
            return f'href="{project.site}/{target}{"#" + place if place else ""}"'
        return f'href="#{key(page)}{"--" + place if place else ""}"'

    return elsewhere_pictures(ADDRESS.sub(change, article), posixpath.dirname(name))


def elsewhere_pictures(article: str, folder: str) -> str:
    """Only pictures lie beside the page; links have been seen to."""
    return re.sub(r'\bsrc="[^"]*"', lambda found: elsewhere(found[0], folder), article)


def print_book(browser: Browser, folder: Path, names: list[str], project: Project, target: Path) -> None:
    """The pages as one PDF of A4 pages with bookmarks, numbers and links."""
    path = folder / "_paper.html"
    path.write_text(one_page(folder, names, project), encoding="utf-8")
    try:
        page = browser.new_page(viewport=PAPER)
        page.goto(path.as_uri(), timeout=300_000)
        page.emulate_media(media="print")
        page.evaluate(OPEN)
        page.evaluate(FORMULAS)
        margin = {"top": "16mm", "bottom": "18mm", "left": "18mm", "right": "18mm"}
        footer = FOOTER.format(title=project.config["title"], version=project.version)
        page.pdf(path=target, format="A4", margin=margin, display_header_footer=True, header_template="<span></span>",
                 footer_template=footer, print_background=True, outline=True, tagged=True)  # fmt: skip
        page.close()
    finally:
        path.unlink()


def print_slides(browser: Browser, folder: Path, name: str, target: Path) -> None:
    """The slides of a chapter, one a page."""
    page = browser.new_page(viewport={"width": 1120, "height": 700})
    page.goto(f"{(folder / f'{name}.html').as_uri()}?slides", timeout=300_000)
    page.wait_for_selector(".deck .slide.current")
    page.evaluate(OPEN)
    page.pdf(path=target, prefer_css_page_size=True, print_background=True, outline=True, tagged=True)
    page.close()


def main(parsed: argparse.Namespace) -> int:
    """Print what the site in _build/html holds."""
    project, folder = Project(parsed.root), parsed.root / "_build" / "html"
    browser_path = find_browser()
    if browser_path is None or not (folder / "index.html").is_file():
        missing = "Chromium" if browser_path is None else "a site in _build/html: run `course build`"
        print(f"`course pdf` needs {missing}.", file=sys.stderr)
        return 1
    parsed.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"])
        print_book(browser, folder, [n for n in project.toc if n not in LEFT_OUT], project, parsed.out / "book.pdf")
        for master in map(project.read, project.master_paths()):
            if "workshop" in master.header["paths"]:
                print_slides(browser, folder, f"book/{master.stem}", parsed.out / f"slides_{master.number:02d}.pdf")
        browser.close()
    print(f"The book and the slides are in {parsed.out}")
    return 0
