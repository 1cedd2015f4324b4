"""The site's search: an index by Pagefind, in pieces of which a reader loads those that a word needs, by section."""

import asyncio
import html
import re
import shutil
from pathlib import Path

from pagefind.index import IndexConfig, PagefindIndex

from course_lib.tools.build.masters import BuildError

LEFT_OUT = ["a.headerlink", ".cell_input", ".chapter-links", ".visually-hidden", ".page-foot", "script"]
SECTION = re.compile(
    r'<section(?P<rest>[^>]*?) id="(?P<id>[^"]+)"(?P<more>[^>]*)>'
    r'(?P<spans>(?:\s*<span id="[^"]*"></span>)*\s*)<h(?P<n>\d)>'
)
MATH = re.compile(r'<(span|div) class="math notranslate nohighlight"[^>]*>(?P<tex>.*?)</\1>', re.DOTALL)
SPHINX = re.compile(r'[ \t]*<script src="(?:_static/(?:searchtools|language_data)|searchindex)\.js[^>]*></script>\n')
OURS = (
    '  <link rel="stylesheet" href="_static/search/search.css" />\n'
    '  <script defer src="_static/search/search.js"></script>\n'
)
# What Pagefind would write without a space before the next word: of the parts of a table it knows only td.
JOINED = re.compile(r"</(?:th|caption|figcaption|dt|dd|summary|label|legend|button|option)>|<br */?>")
UNUSED = ("pagefind-*ui.*", "pagefind-highlight.js")  # ready-made forms


def indexed(page: str) -> str:
    """A page as the index wants it: headings with their section's anchor, formulas as words."""
    page = SECTION.sub(r'<section\g<rest>\g<more>>\g<spans><h\g<n> id="\g<id>">', page)
    return MATH.sub(lambda found: spoken(found["tex"]), page)


def weighed(page: str) -> str:
    """A page whose headings have the most weight there is: with Pagefind's own they sink where a page is long."""
    return re.sub(r"<h([1-6])(?=[ >])", r'<h\1 data-pagefind-weight="10"', page)


def apart(page: str) -> str:
    """A page whose cells and terms have a space after them, as the eye sees one."""
    return JOINED.sub(lambda found: f"{found[0]} ", page)


def spoken(tex: str) -> str:
    """Inline TeX without its signs: sigma_t for \\(\\sigma_{t}\\); of a set-off formula nothing."""
    text = html.unescape(tex).strip()
    return html.escape(re.sub(r"[\\{}$]|\\[()]", "", text[2:-2])) if text.startswith("\\(") else ""


def make_search(folder: Path, pages: list[str]) -> None:
    """Write the index of these pages to the folder `pagefind`, and let search.html ask it."""
    target = folder / "pagefind"
    shutil.rmtree(target, ignore_errors=True)
    asyncio.run(write_index(folder, target, pages))
    for path in [path for pattern in UNUSED for path in target.glob(pattern)]:
        path.unlink()
    path = folder / "search.html"
    text = path.read_text(encoding="utf-8")
    new = SPHINX.sub("", text)
    path.write_text(new if OURS in new else new.replace("</head>", f"{OURS}  </head>", 1), encoding="utf-8")


async def write_index(folder: Path, target: Path, pages: list[str]) -> None:
    config = IndexConfig(root_selector="article.bd-article", exclude_selectors=LEFT_OUT, output_path=str(target))
    async with PagefindIndex(config=config) as index:
        for name in pages:
            text = (folder / f"{name}.html").read_text(encoding="utf-8")
            await index.add_html_file(content=apart(weighed(indexed(text))), url=f"{name}.html")
    if not (target / "pagefind.js").is_file():
        raise BuildError(f"Pagefind wrote no index for the search into {target}.")
