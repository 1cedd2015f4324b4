"""Sliders in a browser, moved as a person would, their pictures as files of the site, and animations on paper."""

import re
from pathlib import Path

import matplotlib as mpl
import pytest
import torch
from browsing import lone_page, serve

mpl.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402

from course_lib import plots  # noqa: E402
from course_lib.tools.build.frames import make_frames, with_files, with_paper  # noqa: E402
from course_lib.tools.build.outputs import shown  # noqa: E402

STATIC = Path(__file__).resolve().parents[1] / "book" / "_static"
VALUES = [0.1, 1.0, 10.0, 100.0]
PAGE = """<!doctype html><html lang="en" data-theme="light"><head><meta charset="utf-8"><title>Slider</title>
<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="{static}course.css"></head>
<body><main><article class="bd-article"><h1>A page</h1>{body}</article></main></body></html>"""


def disc(value):
    """A figure that differs much with the value."""
    fig, ax = plt.subplots(figsize=(4, 3))
    ax.bar([0], [VALUES.index(value) + 1], color=plots.PALETTE[VALUES.index(value)])
    ax.set(xlim=(-1, 1), ylim=(0, 5))
    return fig


@pytest.fixture(scope="module")
def made():
    return plots.slider(disc, VALUES, "strength <alpha>")


@pytest.fixture(scope="module")
def address(made):
    server = serve(STATIC, {"/page.html": PAGE.format(static="", body=made.html())})
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


@pytest.fixture
def page(browser, address):
    """The page with the slider."""
    with lone_page(browser, address, "page.html", has_touch=True) as page:
        yield page


def picture(page) -> bytes:
    """What can be seen below the handle."""
    return page.locator(".course-slider figure img").locator("visible=true").screenshot()


def told(page) -> tuple[str, str, str]:
    """The value that is written, that is spoken, and that the visible picture belongs to."""
    visible = [one for one in page.locator(".course-slider figure").all() if one.is_visible()]
    (alt,) = [one.locator("img").get_attribute("alt") for one in visible]
    spoken = page.get_by_role("slider").get_attribute("aria-valuetext")
    return page.locator(".course-slider output").inner_text(), spoken, alt


def test_keys_change_the_picture_and_the_value(page):
    slider = page.get_by_role("slider", name="strength <alpha>")
    assert told(page) == ("0.1", "0.1", "strength <alpha> 0.1")
    seen = [picture(page)]
    slider.focus()
    for key, value in (("ArrowRight", "1"), ("End", "100"), ("ArrowLeft", "10"), ("Home", "0.1")):
        page.keyboard.press(key)
        assert told(page) == (value, value, f"strength <alpha> {value}")
        seen.append(picture(page))
    assert len(set(seen)) == 4
    assert seen[0] == seen[-1]


@pytest.mark.parametrize("by", ["mouse", "finger"])
def test_mouse_and_finger_move_the_handle(page, by):
    box, before = page.get_by_role("slider").bounding_box(), picture(page)
    assert box["height"] >= 24
    at = (box["x"] + box["width"] * 0.99, box["y"] + box["height"] / 2)
    (page.mouse.click if by == "mouse" else page.touchscreen.tap)(*at)
    assert told(page)[0] == "100"
    assert picture(page) != before


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_who_comes_by_keys_sees_where_he_is(page, theme):
    page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.type") == "range"
    assert page.get_by_role("slider").evaluate("e => parseFloat(getComputedStyle(e).outlineWidth)") >= 2


def test_it_fits_a_telephone_and_keeps_its_height(page):
    page.set_viewport_size({"width": 360, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    height = "document.querySelector('.course-slider').offsetHeight"
    before = page.evaluate(height)
    page.get_by_role("slider").press("End")
    assert page.evaluate(height) == before


def test_beside_a_small_picture_a_long_name_stays_on_one_line(browser):
    context = browser.new_context(viewport={"width": 1000, "height": 900})
    page = context.new_page()
    small = plots.slider(lambda _: plt.figure(figsize=(2.8, 2.8)), VALUES, "weight of the rare mode")
    style = f"<style>{(STATIC / 'course.css').read_text()}</style>"
    page.set_content(PAGE.format(static="", body=small.html()).replace("</head>", f"{style}</head>"))
    name, line = (
        "document.querySelector('label span').getClientRects()[0].height",
        "parseFloat(getComputedStyle(document.body).fontSize)",
    )
    assert page.evaluate(name) < 2 * page.evaluate(line)
    context.close()


def test_paper_shows_all_pictures_each_under_its_value(page):
    page.emulate_media(media="print")
    figures = page.locator(".course-slider figure").all()
    assert all(one.is_visible() for one in figures)
    boxes = [one.bounding_box() for one in figures]
    places = {(round(box["x"]), round(box["y"])) for box in boxes}
    assert len(places) == len(VALUES)
    assert [one.evaluate("e => getComputedStyle(e, '::before').content") for one in figures][2] == '"10"'
    assert not page.get_by_role("slider").is_visible()


def test_on_the_site_the_pictures_are_files_and_old_ones_go(tmp_path, browser, made):
    """Opened as files: the page is small, and each picture is there before it is asked for."""
    (tmp_path / "book").mkdir()
    path, images = tmp_path / "book" / "x.html", tmp_path / "_images"
    path.write_text(PAGE.format(static=f"{STATIC.as_uri()}/", body=made.html()), encoding="utf-8")
    images.mkdir()
    for name in ("slider-0123456789abcdef.webp", "figure.png"):
        (images / name).write_bytes(b"old")
    make_frames(tmp_path)
    assert {path.name for path in images.iterdir()} >= {"figure.png"}
    assert sorted(path.read_bytes() for path in images.glob("*.webp")) == sorted(made.frames)
    once = path.read_text(encoding="utf-8")
    assert "base64" not in once
    make_frames(tmp_path)
    assert path.read_text(encoding="utf-8") == once
    page = browser.new_page(viewport={"width": 1000, "height": 900})
    page.goto(path.as_uri())
    page.wait_for_function("[...document.images].every(one => one.complete && one.naturalWidth === 576)")
    before = picture(page)
    page.get_by_role("slider").press("End")
    assert picture(page) != before
    page.close()


def test_pages_without_sliders_keep_their_pictures(tmp_path):
    page = '<img src="data:image/webp;base64,AAAA">'
    assert with_files(page, tmp_path) == page


def test_the_still_picture_is_for_what_shows_no_html(made):
    """The site has the slider; a notebook that is printed has the first picture."""
    output = {"output_type": "display_data", "metadata": {}, "data": made._repr_mimebundle_()}
    assert output["data"]["image/png"].startswith(b"\x89PNG")
    output["data"]["image/png"] = "text"
    (site,) = shown([output])
    assert set(site.data) == {"text/html"}
    assert re.search("course-slider", site.data["text/html"])


@pytest.fixture(scope="module")
def moving():
    """An animation of six steps as a page of the site has it."""
    animation = plots.animate([torch.full((1, 2), step / 10) for step in range(6)])
    (output,) = shown([{"output_type": "display_data", "metadata": {}, "data": {"text/html": animation.data}}])
    return output.data["text/html"]


@pytest.mark.parametrize("scripts", [True, False])
def test_paper_shows_four_pictures_of_an_animation_in_order(browser, moving, scripts):
    """Paper has no handle, and where no script runs the screen has none: the first and the last picture are there."""
    page = browser.new_page(viewport={"width": 700, "height": 900}, java_script_enabled=scripts)
    page.set_content(PAGE.format(static="", body=f"<style>{(STATIC / 'course.css').read_text()}</style>{moving}"))
    still, handle = page.locator(".animation-paper img"), page.locator(".animation")
    assert [one.is_visible() for one in (still.first, handle)] == [not scripts, scripts]
    page.emulate_media(media="print")
    assert not handle.is_visible()
    assert [one.get_attribute("alt") for one in still.all()] == [f"picture {n} of 6" for n in (1, 3, 4, 6)]
    boxes = [one.bounding_box() for one in still.all()]
    assert all(box["width"] > 100 and box["y"] == boxes[0]["y"] for box in boxes)
    assert all(a["x"] + a["width"] <= b["x"] for a, b in zip(boxes, boxes[1:]))
    assert boxes[-1]["x"] + boxes[-1]["width"] <= 700
    assert len({one.screenshot() for one in still.all()}) == 4
    page.close()


def test_a_page_without_animations_stays_and_a_short_one_shows_each_picture_once(moving):
    assert with_paper("<p>frames[0]</p>") == "<p>frames[0]</p>"
    (frame, *_) = re.findall(r"^\s*frames\[0\] = .*?\"$", moving, re.MULTILINE | re.DOTALL)
    short = with_paper(f'<div class="animation"></div>\n{frame}\n')
    (paper,) = re.findall(r'<img alt="picture 1 of 1" src="data:image/png;base64,([^"]*)">', short)
    assert len(paper) < len(frame) / 2
