"""What the theme's pages say wrongly to readers who hear them: names that hide visible text, roles, empty headers."""

import re
from pathlib import Path

from course_lib.tools.build.lean import rewrite

MENDED = (
    # A name of its own would replace the words that can be seen, and who speaks to the browser says those.
    (re.compile(r'(<button class="btn search-button-field[^>]*?) aria-label="Search"'), r"\1"),
    (re.compile(r'<summary aria-label="Toggle hidden content">'), "<summary>"),
    # Entries of the references are the items of a list; the role they had is deprecated.
    (re.compile(r'(<div class="citation"[^>]*?) role="doc-biblioentry"'), r'\1 role="listitem"'),
    # The sidebar's name and search stand outside every landmark; the forms of animations have the name of one.
    (re.compile(r'<div class="bd-sidebar-primary bd-sidebar">'),
     '<div class="bd-sidebar-primary bd-sidebar" role="complementary" aria-label="Course">'),
    (re.compile(r'<form title="Repetition mode" aria-label="Repetition mode"'), "<form"),
)  # fmt: skip

TABLE = re.compile(r"<table\b.*?</table>", re.DOTALL)
EMPTY = re.compile(r"<th(?= |>)([^>]*)>(\s*<p>\s*</p>\s*|\s*)</th>")
FIRST = re.compile(r"(<tr\b[^>]*>\s*)<td\b([^>]*)>(?!\s*(?:<p>\s*</p>\s*)?</td>)(.*?)</td>", re.DOTALL)


def accessible(page: str) -> str:
    """A page's text with these mended."""
    for wrong, right in MENDED:
        page = wrong.sub(right, page)
    return TABLE.sub(lambda found: by_row(found[0]), page)


def by_row(table: str) -> str:
    """A table whose head has empty cells, which head nothing: there the first column heads the rows."""
    head, end, body = table.partition("</thead>")
    if not EMPTY.search(head):
        return table
    return EMPTY.sub(r"<td\1>\2</td>", head) + end + FIRST.sub(r'\1<th scope="row"\2>\3</th>', body)


def make_accessible(folder: Path) -> None:
    """Every page below a folder; what is mended already stays as it is."""
    rewrite(folder.rglob("*.html"), accessible)
