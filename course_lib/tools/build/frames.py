"""Pictures of sliders as files that a page loads when they come near; a few pictures of animations for paper."""

import hashlib
import io
import re
from base64 import b64decode, b64encode
from pathlib import Path

from PIL import Image

from course_lib.tools.build.lean import rewrite

SLIDER = 'class="course-slider"'
INSIDE = re.compile(r'src="data:image/webp;base64,(?P<data>[A-Za-z0-9+/=]+)"')
ANIMATION = '<div class="animation">'
FRAME = re.compile(r'^\s*frames\[\d+\] = "data:image/png;base64,(?P<data>[^"]+)"', re.MULTILINE)
ON_PAPER = 4  # pictures of an animation, its first and last among them
COLOURS = 32  # of each of them, which dots, crosses and grey letters do not exhaust: a third of the bytes
NAMED = re.compile(r"slider-[0-9a-f]{16}\.webp")


def with_files(page: str, pictures: Path) -> str:
    """A page one folder deep whose sliders' pictures are files of the folder `pictures` beside its folder."""

    def change(found: re.Match) -> str:
        data = b64decode(found["data"])
        path = pictures / f"slider-{hashlib.sha256(data).hexdigest()[:16]}.webp"
        path.write_bytes(data)
        return f'loading="lazy" src="../{pictures.name}/{path.name}"'

    return INSIDE.sub(change, page) if SLIDER in page else page


def make_frames(folder: Path) -> None:
    """The pages of the folder `book`; what no page shows any longer is removed."""
    pages, pictures = sorted((folder / "book").glob("*.html")), folder / "_images"
    pictures.mkdir(exist_ok=True)
    rewrite(pages, lambda page: with_files(page, pictures))
    shown = {name for path in pages for name in NAMED.findall(path.read_text(encoding="utf-8"))}
    for path in pictures.glob("slider-*.webp"):
        if path.name not in shown:
            path.unlink()


def with_paper(text: str) -> str:
    """matplotlib's animation with a few of its pictures beside it, for paper and where no script runs."""
    frames = [re.sub(r"[\\\s]", "", data) for data in FRAME.findall(text)] if ANIMATION in text else []
    if not frames:
        return text
    last = len(frames) - 1
    chosen = sorted({round(n * last / (ON_PAPER - 1)) for n in range(ON_PAPER)})
    pictures = "".join(f'<img alt="picture {n + 1} of {last + 1}" src="{lighter(frames[n])}">' for n in chosen)
    return text.replace(ANIMATION, f'<div class="animation-paper">{pictures}</div>\n{ANIMATION}', 1)


def lighter(data: str) -> str:
    """A picture as an address that holds it, in few colours."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(b64decode(data))).convert("RGB").quantize(COLOURS).save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{b64encode(buffer.getvalue()).decode()}"
