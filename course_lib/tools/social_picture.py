"""Makes the picture that other sites show with a link to the course, from the front page's two sheets.

Run `python -m course_lib.tools.social_picture` after these have changed.
"""

from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

from course_lib.tools.front_page import FRONT

PICTURE = FRONT.parent / "found" / "social.png"
SIZE, MARGIN = (1200, 630), 36
TITLE, UNDER = "Diverse diffusion", "From a dot in the plane to Stable Diffusion 2"


def social(left: Image.Image, right: Image.Image) -> Image.Image:
    """The title over two sheets, eight alike and eight that differ."""
    page = Image.new("RGB", SIZE, "white")
    draw = ImageDraw.Draw(page)
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    draw.text((MARGIN, 40), TITLE, "#14181f", ImageFont.truetype(fonts / "DejaVuSans-Bold.ttf", 84))
    draw.text((MARGIN, 160), UNDER, "#3a4250", ImageFont.truetype(fonts / "DejaVuSans.ttf", 40))
    width = (SIZE[0] - 3 * MARGIN) // 2
    for i, sheet in enumerate((left, right)):
        sheet = sheet.convert("RGBA").resize((width, width * sheet.height // sheet.width), Image.Resampling.LANCZOS)
        place = (MARGIN + i * (width + MARGIN), 260)
        page.paste(sheet, place, sheet)
        told = ("the same again", "as different as asked for")[i]
        font = ImageFont.truetype(fonts / "DejaVuSans.ttf", 30)
        draw.text((place[0], place[1] + sheet.height + 22), told, "#3a4250", font)
    return page


def main() -> None:
    left, right = (Image.open(FRONT / f"{name}.webp") for name in ("alike", "diverse"))
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    social(left, right).quantize(128).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()
