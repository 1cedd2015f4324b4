"""Tables that spreadsheets and gradebooks read: written so that no cell is a formula, read as people save them."""

import csv
import io
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

# A cell that begins with one of these is a formula to a spreadsheet; the last four are the wide forms.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "＝", "＋", "－", "＠")
TURNING = re.compile("[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]")  # turns the text, and marks, around it


def tidy(text: str, lines: bool = False) -> str:
    """The text without control characters and without what turns the text around it; `lines` keeps line ends."""
    text = TURNING.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    kept = ("\n",) if lines else ()
    out = "".join(" " if unicodedata.category(c) == "Cc" and c not in kept else c for c in text)
    return out.encode("utf-8", "replace").decode("utf-8").strip()


def safe(text: str, lines: bool = False) -> str:
    """The text as a cell that no spreadsheet takes for a formula: an apostrophe stands before what looks like one."""
    text = tidy(text, lines)
    return f"'{text}" if text.startswith(FORMULA) else text


def unsafe(cell: str) -> str:
    """The inverse of safe."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA) else cell


def shown(number: float) -> str:
    """A mark: 2, 1.5."""
    return f"{round(number, 4):g}"


def dumped(rows: Sequence[Sequence[str]], for_spreadsheets: bool = False) -> str:
    """Rows as a CSV file by RFC 4180; for spreadsheets with the mark by which they know that it is UTF-8."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return ("\ufeff" if for_spreadsheets else "") + text.getvalue()


def loaded(path: Path) -> list[list[str]]:
    """The rows of a table as spreadsheets save it: UTF-8 or UTF-16, with commas, semicolons or tabs between cells.

    Raises ValueError with a sentence where it cannot be read.
    """
    data = path.read_bytes()
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path.name} is not in UTF-8: save it again as CSV UTF-8.") from None
    separator = max(",;\t", key=text.partition("\n")[0].count)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error as error:
        raise ValueError(f"{path.name} is no table in CSV ({error}): save it again as CSV UTF-8.") from None
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    if not rows:
        raise ValueError(f"{path.name} is empty: a table with a line of headings is due.")
    width = len(rows[0])
    return [[*row[:width], *[""] * (width - len(row))] for row in rows]
