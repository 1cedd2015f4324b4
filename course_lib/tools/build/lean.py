"""What a page of the site does not need is taken out of it: scripts of megabytes that draw icons and run cells."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

# Icons come from fonts and a style sheet, the same once more as a script. Nothing runs by Thebe here.
NEVER = re.compile(
    r"""[ \t]*(?:<script\b[^>]*\bsrc="[^"]*(?:/fontawesome/[^"]*/all\.min|/sphinx-thebe)\.js[^>]*></script>"""
    r"""|<script>const\ THEBE_JS_URL\b.*?</script>"""
    r"""|<script\ type="text/x-thebe-config">.*?</script>"""
    r"""|<link\b[^>]*\bhref="[^"]*/sphinx-thebe\.css[^>]*>)\n?""",
    re.DOTALL | re.VERBOSE,
)


def lean(page: str) -> str:
    """A page's text without them."""
    return NEVER.sub("", page)


def rewrite(pages: Iterable[Path], change: Callable[[str], str]) -> None:
    """Write what becomes of each page's text; what stays the same is not written."""
    for path in pages:
        text = path.read_text(encoding="utf-8")
        if (new := change(text)) != text:
            path.write_text(new, encoding="utf-8")


def make_lean(folder: Path) -> None:
    """Every page below a folder; what is lean already stays as it is."""
    rewrite(folder.rglob("*.html"), lean)
