"""Outputs of cells as a page shows them: claims as boxes, printed tables as tables, nothing from other servers."""

import html
import io
import re
from base64 import b64decode, b64encode
from collections.abc import Iterator

import nbformat
from nbformat.v4 import new_output
from PIL import Image

from course_lib.tools.build.frames import SLIDER, with_paper
from course_lib.tools.build.ledger import CLAIM
from course_lib.tools.build.printed import printed

# matplotlib's style sheet; the theme has the same icons.
ELSEWHERE = re.compile(r'<link\s+rel="stylesheet"\s+href="https?://[^>]*>')


def shown(outputs: list) -> Iterator[nbformat.NotebookNode]:
    """Outputs without the data meant for the ledger and without what would be loaded from other servers."""
    for output in outputs:
        copy = nbformat.from_dict(output)
        if copy.get("name") == "stdout" and (tables := printed(copy.text)):
            copy = new_output("display_data", {"text/html": tables, "text/plain": copy.text})
        if "data" in copy:
            claim = copy.data.pop(CLAIM, None)
            if claim and "text/html" not in copy.data:
                copy.data["text/html"] = small_box(claim)
            if "text/html" in copy.data:
                copy.data["text/html"] = with_paper(ELSEWHERE.sub("", copy.data["text/html"]))
            if SLIDER in copy.data.get("text/html", ""):
                copy.data.pop("image/png", None)  # for what shows no HTML
            if "image/png" in copy.data:
                copy.data["image/png"] = without_alpha(copy.data["image/png"])
        yield copy


def without_alpha(data: str) -> str:
    """A figure in base64 without the channel that says it is opaque everywhere: a twelfth of its bytes."""
    picture = Image.open(io.BytesIO(b64decode(data)))
    if picture.mode != "RGBA" or picture.getextrema()[3] != (255, 255):
        return data
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "PNG", optimize=True, dpi=picture.info.get("dpi"))
    small = b64encode(buffer.getvalue()).decode()
    return small if len(small) < len(data) else data


def small_box(claim: dict) -> str:
    """A claim that a notebook gives one line: its sentence and verdict, and folded what they rest on."""
    verdict, reason = claim["verdict"], claim.get("reason")
    rows = "".join(f"<dt>{html.escape(label)}</dt><dd>{html.escape(text)}</dd>" for label, text in claim["rows"])
    told = f"{verdict}: {reason}" if reason else verdict
    told += f"; {claim['beside']} than the baseline" if claim.get("beside") else ""
    return (
        f'<div class="claim-small claim-{verdict.replace(" ", "-")}">'
        f"<details><summary><strong>Claim {html.escape(claim['number'])}.</strong> {html.escape(claim['sentence'])} "
        f"<em>{html.escape(told)}</em></summary><dl>{rows}</dl></details></div>"
    )
