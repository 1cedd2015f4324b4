"""What a page tells those who link to it: a description, a picture, how to cite it and where to say what is wrong."""

import html
import re
from pathlib import Path
from urllib.parse import quote

from course_lib.tools.build.project import Project
from course_lib.tools.build.searching import MATH, spoken

WIDEST = 160  # characters of a description that search engines show
PICTURE = "_static/found/social.png"
ARTICLE = re.compile(r'<article class="bd-article">(.*?)</article>', re.DOTALL)
PARAGRAPH = re.compile(r"<p(?: [^>]*)?>(.*?)</p>", re.DOTALL)
TITLE = re.compile(r'<h1>((?:(?!</h1>).)*?)<a class="headerlink"', re.DOTALL)  # print has another without
STYLE = (
    '<link rel="stylesheet" href="{up}_static/found/found.css" />',
    '<script src="{up}_static/found/found.js"></script>',
)


def plain_words(fragment: str) -> str:
    """The words of some HTML, formulas without their signs."""
    text = MATH.sub(lambda found: spoken(found["tex"]), fragment)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", text)).split())


def title_of(page: str) -> str:
    found = TITLE.search(page)
    return plain_words(found[1]) if found else ""


def description(page: str) -> str:
    """The first paragraph of a page that says something, cut after a word."""
    article = ARTICLE.search(page)
    texts = [plain_words(one) for one in PARAGRAPH.findall(article[1] if article else "")]
    text = next((one for one in texts if len(one) >= 60 and one.endswith((".", ":", "?", "!"))), "")
    return text if len(text) <= WIDEST else text[: WIDEST - 1].rsplit(" ", 1)[0].rstrip(",;:") + "…"


def with_head(page: str, name: str, project: Project) -> str:
    """A page with its description and the tags by which other sites preview it."""
    if 'property="og:title"' in page:
        return page
    course = project.config.get("title", "")
    told = description(page) or course
    title = title_of(page) or course
    tags = {"og:type": "article", "og:site_name": course, "og:title": title, "og:description": told}
    tags |= {"og:url": f"{project.site}/{name}.html", "og:image": f"{project.site}/{PICTURE}"}
    tags |= {"og:image:alt": "Eight pictures alike beside eight that differ, and the title of the course"}
    lines = [f'<meta name="description" content="{html.escape(told)}" />']
    lines += [f'<meta property="{key}" content="{html.escape(value)}" />' for key, value in tags.items()]
    lines += ['<meta name="twitter:card" content="summary_large_image" />']
    lines += [line.format(up="../" * name.count("/")) for line in STYLE]
    return page.replace("</head>", "".join(f"  {line}\n" for line in lines) + "  </head>", 1)


def with_foot(page: str, name: str, project: Project) -> str:
    """A page with its own BibTeX entry and a link to say what is wrong, before its article ends."""
    if 'class="page-foot' in page or "<h1>" not in page:
        return page
    label, title = f"page={quote(f'{name}.html')}", quote(f"{title_of(page)}: ")
    issue = f"{project.url}/issues/new?template=page.yml&title={title}&{label}"
    foot = (
        '<footer class="page-foot d-print-none">\n<details><summary>Cite this page</summary>'
        f'<pre tabindex="0">{html.escape(bibtex(page, name, project))}</pre></details>\n'
        f'<p><a href="{html.escape(issue)}">Say what is wrong or missing on this page</a></p>\n</footer>\n'
    )
    return page.replace("</article>", f"{foot}</article>", 1)


def bibtex(page: str, name: str, project: Project) -> str:
    """The entry of one page."""
    key = re.sub(r"\W|_", "", name.removeprefix("book/"))
    author, course = project.config.get("author", ""), project.config.get("title", "")
    note = f"  note = {{Version {project.version}}},\n" if project.version else ""
    return (
        f"@incollection{{diversediffusion-{key},\n  author = {{{{{author}}}}},\n  title = {{{title_of(page)}}},\n"
        f"  booktitle = {{{course}}},\n  year = {{{project.config.get('copyright', '')}}},\n{note}"
        f"  url = {{{project.site}/{name}.html}}\n}}"
    )


def make_heads(folder: Path, project: Project) -> None:
    """Every page of the table of contents; what has its head and foot already stays as it is."""
    for name in project.toc:
        path = folder / f"{name}.html"
        text = path.read_text(encoding="utf-8")
        if (new := with_foot(with_head(text, name, project), name, project)) != text:
            path.write_text(new, encoding="utf-8")
