"""The course's own style sheet, tried on a small page in a real browser."""

from pathlib import Path

import pytest

STYLE = (Path(__file__).resolve().parents[1] / "book" / "_static" / "course.css").read_text()
LINE = "print(" + "a_name, " * 40 + ")"
PAGE = f"""<style>pre {{ overflow: auto; white-space: pre; }} {STYLE}</style>
<article class="bd-article"><div class="highlight"><pre>{LINE}</pre></div></article>"""
HIDDEN = "() => { const e = document.querySelector('pre'); return e.scrollWidth - e.clientWidth; }"


def hidden_pixels(browser, width: int, medium: str) -> int:
    """How many pixels of a long line of code lie outside its box."""
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.emulate_media(media=medium)
    page.set_content(PAGE)
    found = page.evaluate(HIDDEN)
    page.close()
    return found


@pytest.mark.parametrize(("width", "medium"), [(400, "screen"), (1000, "print")])
def test_code_wraps_where_nobody_can_scroll(browser, width, medium):
    assert hidden_pixels(browser, width, medium) == 0


def test_code_keeps_its_lines_on_a_wide_screen(browser):
    assert hidden_pixels(browser, 1000, "screen") > 0
