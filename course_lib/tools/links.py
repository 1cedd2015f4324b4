"""Checks the site's links to other servers: `python -m course_lib.tools.links _build/html`, in the weekly workflow."""

import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path

HEADERS = {"User-Agent": "Mozilla/5.0 (link check of a course)"}
REFUSED = {401, 403, 405, 406, 418, 429}  # the server is there and does not talk to scripts


class Links(HTMLParser):
    """Collects the targets of a page's links."""

    def __init__(self):
        super().__init__()
        self.found = set()

    def handle_starttag(self, tag, attributes):
        target = dict(attributes).get("href") or ""
        if tag == "a" and target.startswith(("http://", "https://")):
            self.found.add(target.split("#")[0])


def outside(site: Path) -> dict[str, str]:
    """Every link to another server with one page that has it."""
    found = {}
    for page in sorted(site.rglob("*.html")):
        parser = Links()
        parser.feed(page.read_text("utf-8"))
        found |= {link: page.relative_to(site).as_posix() for link in parser.found}
    return found


def trouble(link: str, tries: int = 2, seconds: float = 30) -> str:
    """Why a link cannot be followed; nothing where it can."""
    try:
        with urllib.request.urlopen(urllib.request.Request(link, headers=HEADERS), timeout=seconds):
            return ""
    except urllib.error.HTTPError as error:
        reason = "" if error.code in REFUSED else str(error)
    except (OSError, ValueError) as error:
        reason = str(error)
    return trouble(link, tries - 1, seconds) if reason and tries > 1 else reason


def main(site: str) -> int:
    """Prints the links that are broken; 1 where there are any."""
    pages = {link: page for link, page in outside(Path(site)).items() if "://127.0.0.1" not in link}
    with ThreadPoolExecutor(8) as pool:
        reasons = dict(zip(pages, pool.map(trouble, pages)))
    broken = [f"{page}: {link}: {reasons[link]}" for link, page in pages.items() if reasons[link]]
    print("\n".join(broken) or f"All {len(pages)} links to other servers work.")
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
