"""The course's own style sheet, tried on a small page in a real browser."""

from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from course_lib.tools.environment import find_browser

STYLE = (Path(__file__).resolve().parents[1] / "book" / "_static" / "course.css").read_text()
LINE = "print(" + "a_name, " * 40 + ")"
PAGE = f"""<style>pre {{ overflow: auto; white-space: pre; }} {STYLE}</style>
<article class="bd-article"><div class="highlight"><pre>{LINE}</pre></div></article>"""
HIDDEN = "() => { const e = document.querySelector('pre'); return e.scrollWidth - e.clientWidth; }"


def hidden_pixels(width: int, medium: str) -> int:
    """How many pixels of a long line of code lie outside its box."""
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 800})
        page.emulate_media(media=medium)
        page.set_content(PAGE)
        found = page.evaluate(HIDDEN)
        browser.close()
    return found


@pytest.mark.parametrize(("width", "medium"), [(400, "screen"), (1000, "print")])
def test_code_wraps_where_nobody_can_scroll(width, medium):
    assert hidden_pixels(width, medium) == 0


def test_code_keeps_its_lines_on_a_wide_screen():
    assert hidden_pixels(1000, "screen") > 0
