"""What cells print, as HTML: a table where the text is one for certain, else the text as it stands."""

import html
import re
from dataclasses import dataclass
from itertools import pairwise

NUMBER = re.compile(r"[-+−]?\.?\d[^A-Za-z]*$")  # also 0.99 ± 0.01, 12 %, 2.1 > 2.5
BLANKS = re.compile(" {3,}")


@dataclass(frozen=True)
class Table:
    """Rows of cells, the first of which is the header; caption is the line that stood over it, or nothing."""

    rows: list[list[str]]
    caption: str = ""

    def html(self) -> str:
        """The first column and the first row are headers; an empty corner is none."""
        caption = f"<caption>{html.escape(self.caption)}</caption>" if self.caption else ""
        header = "".join(element(text, "col") for text in self.rows[0])
        body = "".join(
            f"<tr>{element(first, 'row')}{''.join(element(text) for text in rest)}</tr>"
            for first, *rest in self.rows[1:]
        )
        table = f'<table class="printed">{caption}<thead><tr>{header}</tr></thead><tbody>{body}</tbody></table>'
        return f'<div class="printed-table">{table}</div>'


def element(text: str, scope: str = "") -> str:
    """A header where there is a scope and a text, else a plain cell."""
    if scope and text:
        return f'<th scope="{scope}">{html.escape(text)}</th>'
    number = ' class="number"' if NUMBER.match(text) else ""
    return f"<td{number}>{html.escape(text)}</td>"


def printed(text: str) -> str | None:
    """A text with its tables as HTML; None where it has none."""
    parts = [part for block in re.split(r"\n\s*\n", text.strip("\n")) for part in parts_of(block.split("\n"))]
    if not any(isinstance(part, Table) for part in parts):
        return None
    return "".join(part.html() if isinstance(part, Table) else f"<pre>{html.escape(part)}</pre>" for part in parts)


def parts_of(lines: list[str]) -> list[Table | str]:
    """A block of lines, cut before and after each table; a single line over the first one is its caption.

    Where a line beside a table could be one more row of it, the block stays as it was printed.
    """
    whole = ["\n".join(lines)]
    found = ((i, j) for i in range(len(lines)) for j in range(len(lines), i + 1, -1) if rows_of(lines[i:j]))
    start, end = next(found, (0, 0))
    if not end:
        return whole
    beside = [line for line in [*lines[:start], *lines[end:]] if BLANKS.search(line)]
    if any(not line[slice(*cut)].strip() for cut in cuts(lines[start:end])[:1] for line in beside):
        return whole
    before = ["\n".join(lines[:start])] if start > 1 else []
    rest = parts_of(lines[end:]) if lines[end:] else []
    return [*before, Table(rows_of(lines[start:end]), lines[0].strip() if start == 1 else ""), *rest]


def rows_of(lines: list[str]) -> list[list[str]] | None:
    """The cells of lines that are a table with a header, else None."""
    header, *body = cells(lines)
    names, columns = header[1:], [[row[n] for row in body] for n in range(1, len(header))]
    if not names or not body or not all(row[0] and any(row[1:]) for row in body):
        return None
    if any(BLANKS.search(text) for row in (header, *body) for text in row):  # columns that could not be told apart
        return None
    if any(len(set(names) & set(row[1:]) - {""}) > 1 for row in body):  # two tables, one under the other
        return None
    return [header, *body] if is_header(header, columns) or counts_up(names, columns) else None


def is_header(row: list[str], columns: list[list[str]]) -> bool:
    """Names over numbers, or a name for each column beside an empty corner."""
    corner, *names = row
    words = [name for name in names if name]
    over_numbers = any(NUMBER.match(text) for column in columns for text in column)
    named = bool(words) and not any(NUMBER.match(name) for name in words)
    return named and (over_numbers or (not corner and len(words) == len(names) > 1))


def counts_up(names: list[str], columns: list[list[str]]) -> bool:
    """Settings of an experiment as a header: at least three numbers that rise, over others than plain or whole ones."""
    plain, below = re.compile(r"\d+\.?\d*"), [text for column in columns for text in column]
    if len(names) < 3 or not all(map(plain.fullmatch, names)):
        return False
    other = not any(map(plain.fullmatch, below)) or (all(map(str.isdigit, names)) and all("." in b for b in below))
    return other and all(float(a) < float(b) for a, b in pairwise(names))


def cells(lines: list[str]) -> list[list[str]]:
    """Each line cut at its gaps where all have as many, the header perhaps less its corner; else where all have one."""
    header, *body = [re.split(" {2,}", line.strip()) for line in lines]
    corner = [""] if lines[0].startswith("  ") and body and len(header) == len(body[0]) - 1 else []
    if all(len(row) == len(corner + header) for row in body):
        return [corner + header, *body]
    edges = [0, *(end for _, end in cuts(lines)), max(map(len, lines))]
    return [[line[a:b].strip() for a, b in pairwise(edges)] for line in lines]


def cuts(lines: list[str]) -> list[tuple[int, int]]:
    """Where columns end and begin: blank in all lines, and in each of them part of a gap of two spaces or more."""
    width = max(map(len, lines))
    padded = [line.ljust(width) for line in lines]
    blank = "".join("x" if any(line[n] != " " for line in padded) else " " for n in range(width))
    gaps = [gap.span() for gap in re.finditer("(?<=x) +(?=x)", blank)]
    return [(a, b) for a, b in gaps if all("  " in line[max(a - 1, 0) : b + 1] for line in padded)]
