"""The front page's pictures: what they were when they were made, small, and as different as the page says."""

import hashlib
from pathlib import Path

import pytest

from course_lib import world
from course_lib.features import Oracle
from course_lib.tools.front_page import FRONT, PROMPT, tiles

PAGE = (Path(__file__).parents[1] / "book" / "welcome.md").read_text()


def test_pictures_have_their_checksums_and_are_small():
    sums = dict(reversed(line.split()) for line in (FRONT / "SHA256SUMS").read_text().splitlines())
    assert set(sums) == {"alike.webp", "diverse.webp"}
    for name, digest in sums.items():
        assert hashlib.sha256((FRONT / name).read_bytes()).hexdigest() == digest
        assert (FRONT / name).stat().st_size < 20_000
        assert f'src="../_static/front/{name}" width="594" height="294" alt="Eight small pictures' in PAGE


@pytest.mark.parametrize(("name", "colours"), [("alike", 1), ("diverse", 4)])
def test_an_oracle_sees_what_the_page_says(name, colours):
    """Eight striped squares on both sheets: all green on one, in four colours on the other."""
    seen = Oracle()(tiles(FRONT / f"{name}.webp").float())
    assert PROMPT == "a striped square"
    assert seen.shape.tolist() == [world.SHAPES.index("square")] * 8
    assert seen.style.tolist() == [world.STYLES.index("striped")] * 8
    named = {world.COLOURS[i] for i in seen.colour.tolist()}
    assert len(named) == colours
    assert "green" in named
    assert all(colour in PAGE for colour in named)
