"""Tables that spreadsheets and gradebooks read: written so that no cell is a formula, read as people save them."""

import csv
import io
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from course_lib.tools.grade.collected.encodings import decoded

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


def loaded(path: Path, said: list[str] | None = None) -> list[list[str]]:
    """The rows of a table as spreadsheets save it: in any of their encodings, with ",", ";" or tabs between cells.

    `said` gets a sentence where the encoding was guessed. Raises ValueError with a sentence where it cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}): name a table in CSV.") from None
    text, guess = text_of(data)
    if guess == "?":
        raise ValueError(f"{path.name} is not in UTF-8: save it again as CSV UTF-8.")
    if guess and said is not None:
        said.append(f"{path.name} does not say its encoding, and was read as {guess}: look at the names.")
    rows = rows_of(path, text.replace("\0", ""))
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    if not rows:
        raise ValueError(f"{path.name} is empty: a table with a line of headings is due.")
    width = len(rows[0])
    return [[*row[:width], *[""] * (width - len(row))] for row in rows]


def text_of(data: bytes) -> tuple[str, str]:
    """The text of a table, and the encoding where it was guessed, "?" where evidence is not clear."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace"), ""
    zeros = data[:400].count(0)
    if zeros > len(data[:400]) / 4:  # every other byte of plain letters
        return data.decode("utf-16-be" if data[:1] == b"\0" else "utf-16-le", "replace"), ""
    [text], guess = decoded([data], ("cp1252", "cp1250"))
    return text.removeprefix("\ufeff"), "" if guess == "utf-8" else guess


def rows_of(path: Path, text: str) -> list[list[str]]:
    """The rows with the separator by which most of them are as wide as the headings, of these the widest."""
    named = re.match(r"sep=(.)\r?\n", text)
    best, fits, broken = [], (-1.0, 0), ""
    for separator in named[1] if named else ",;\t":
        try:
            rows = list(
                csv.reader(
                    io.StringIO(text[named.end() :] if named else text, newline=""), delimiter=separator, strict=True
                )
            )
        except csv.Error as error:
            broken = str(error)
            continue
        rows = [row for row in rows if any(cell.strip() for cell in row)]
        wide = len(rows[0]) if rows else 0
        fit = (sum(len(row) == wide for row in rows) / len(rows) if wide > 1 else 0.0, wide)
        best, fits = (rows, fit) if fit > fits else (best, fits)
    if fits[1] < 2 and broken:
        raise ValueError(f"{path.name} is no table in CSV ({broken}): save it again as CSV UTF-8.")
    return best
