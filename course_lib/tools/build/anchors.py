"""Places to point at: every claim on its page, and every row of the ledger, which lead to each other."""

import re
from pathlib import Path

from course_lib.tools.build.lean import rewrite

BOX = re.compile(
    r'<div (?=class="claim[ -])(?P<rest>[^>]*>(?:(?!</div>).)*?<strong>Claim (?P<n>[\d.]+)\.</strong>)', re.S
)
LINE = re.compile(
    r'<div (?=class="output text_plain)(?P<rest>[^>]*><div[^>]*><pre><span></span>Claim (?P<n>[\d.]+)\. )'
)
ROW = re.compile(
    r'<tr (?=class="row)(?P<row>[^>]*>\s*<td><p><a class="reference internal" href="[^"#]+\.html)'
    r'(?P<link>"[^>]*><span class="std std-doc">(?P<n>\d+\.\d+)</span></a>)(?P<cells>.*?)</tr>',
    re.DOTALL,
)
VERDICT = re.compile(r"<td><p><strong>([\w ]+)</strong>")
OURS = (
    '  <link rel="stylesheet" href="../_static/ledger/ledger.css" />\n'
    '  <script defer src="../_static/ledger/ledger.js"></script>\n'
)


def with_claims(page: str) -> str:
    """A chapter with an anchor at each claim: claim-4-1."""
    for claim in (BOX, LINE):
        page = claim.sub(lambda found: f'<div id="claim-{dashed(found["n"])}" {found["rest"]}', page)
    return page


def with_rows(page: str) -> str:
    """The ledger with an anchor at each row, ledger-4-1, its chapter and verdict, and links to the claims."""
    page = ROW.sub(anchored, page)
    return page if OURS in page else page.replace("</head>", f"{OURS}  </head>", 1)


def anchored(found: re.Match) -> str:
    number = found["n"]
    verdict = VERDICT.findall(found["cells"])[-1]
    data = f'id="ledger-{dashed(number)}" data-chapter="{number.split(".")[0]}" data-verdict="{verdict}"'
    return f"<tr {data} {found['row']}#claim-{dashed(number)}{found['link']}{found['cells']}</tr>"


def dashed(number: str) -> str:
    return number.replace(".", "-")


def make_anchors(folder: Path) -> None:
    """The chapters and the ledger below a folder; what has its anchors already stays as it is."""
    ledger, pages = folder / "book" / "ledger.html", set((folder / "book").glob("*.html"))
    rewrite(pages - {ledger}, with_claims)
    rewrite(pages & {ledger}, with_rows)
