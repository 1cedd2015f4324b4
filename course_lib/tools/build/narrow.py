"""Lines that a formatter leaves too long: strings are cut at a space, docstrings and comments get more lines."""

import io
import re
import textwrap
import tokenize
from collections.abc import Iterator

LITERAL = re.compile(r"""(?P<prefix>[A-Za-z]*)(?P<quote>"|')(?P<body>.*)(?P=quote)$""", re.DOTALL)


def narrowed(source: str, width: int) -> str:
    """The same code in lines of at most `width`, where a string, a docstring or a comment is what makes one longer.

    Only the words of docstrings and comments may stand on other lines than before; a string keeps its value. To be
    formatted once more afterwards.
    """
    if re.search(r"^\s*[%!]", source, re.MULTILINE):  # lines for IPython, in which a string is none
        return source
    for _ in range(source.count("\n") + len(source) // width + 1):
        change = next(changes(source, width), None)
        if change is None:
            return source
        (row, start), (end_row, end), text = change
        lines = source.split("\n")
        lines[row - 1 : end_row] = (lines[row - 1][:start] + text + lines[end_row - 1][end:]).split("\n")
        source = "\n".join(line.rstrip() for line in lines)
    return source


def changes(source: str, width: int) -> Iterator[tuple[tuple[int, int], tuple[int, int], str]]:
    """(from, to, new text) for each token that can be made narrower, in order."""
    lines, depth, statement = source.split("\n"), 0, True
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        long = any(len(line) > width for line in lines[token.start[0] - 1 : token.end[0]])
        indent = " " * (len(token.line) - len(token.line.lstrip()))
        new = None
        if long and token.type == tokenize.STRING:
            triple = token.string.lstrip("rRbBuUfF").startswith('"""')
            new = docstring(token, indent, width) if triple and statement else None
            new = new if triple else cut(token, depth, indent, width)
        elif token.type == tokenize.COMMENT and "fmt: skip" in token.string and max(map(len, lines)) > width:
            yield token.start, token.end, ""
        elif long and token.type == tokenize.COMMENT:
            yield moved(token, indent, width)
        if new and new != token.string:
            yield token.start, token.end, new
        depth += {**dict.fromkeys("([{", 1), **dict.fromkeys(")]}", -1)}.get(token.string, 0)
        if token.type not in (tokenize.COMMENT, tokenize.NL):
            statement = token.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)


def cut(token: tokenize.TokenInfo, depth: int, indent: str, width: int) -> str | None:
    """A string as two, the first as long as fits; in parentheses where there are none around it."""
    found = LITERAL.match(token.string)
    if not found or "\n" in token.string:
        return None
    prefix, quote, body = found["prefix"], found["quote"], found["body"]
    start = token.start[1] if depth else len(indent) + 4
    at = place(body, "f" in prefix.lower(), width - start - len(prefix) - 2)
    if not at:
        return None
    first, second = (f"{prefix_of(prefix, part)}{quote}{part}{quote}" for part in (body[:at], body[at:]))
    return f"{first}\n{indent}{second}" if depth else f"(\n{indent}    {first}\n{indent}    {second}\n{indent})"


def prefix_of(prefix: str, part: str) -> str:
    """A part of an f-string without a value in it is none."""
    return prefix if "{" in part or "}" in part else re.sub("[fF]", "", prefix)


def place(body: str, formatted: bool, limit: int) -> int:
    """How many characters of a string's body to keep in the first part: up to a space, or else up to a {value}."""
    depth, space, value = 0, 0, 0
    for n, character in enumerate(body[: min(limit, len(body) - 1)]):
        if formatted:
            depth += (character == "{") - (character == "}")
        if not depth and character == " " != body[n + 1]:
            space = n + 1
        elif not depth and formatted and character == "}" and body[n + 1] != "}":
            value = n + 1
    return space or value


def docstring(token: tokenize.TokenInfo, indent: str, width: int) -> str:
    """A docstring with its long lines wrapped, each with the lines of its paragraph after it."""
    wrapped = []
    for paragraph in re.split(r"\n[ \t]*\n", f"{indent}{token.string[:-3]}"):
        if any(len(line) > width for line in paragraph.split("\n")):
            lines = textwrap.wrap(" ".join(paragraph.split()), width - len(indent), break_on_hyphens=False)
            paragraph = "\n".join(indent + line for line in lines)
        wrapped.append(paragraph)
    text = "\n\n".join(wrapped).strip()
    if "\n" not in text and len(indent) + len(text) + 3 > width:  # ruff would put the closing quotes behind it again
        text = f"\n{indent}".join(textwrap.wrap(text, width - len(indent) - 3, break_on_hyphens=False))
    return f'{text}\n{indent}"""' if "\n" in text else f'{text}"""'


def moved(token: tokenize.TokenInfo, indent: str, width: int) -> tuple[tuple[int, int], tuple[int, int], str]:
    """A comment behind code goes above it; one alone on its line is wrapped."""
    code = token.line[: token.start[1]].strip()
    comment = [f"{indent}# {line}" for line in textwrap.wrap(token.string.lstrip("# "), width - len(indent) - 2)]
    return (token.start[0], 0), token.end, "\n".join(comment + ([indent + code] if code else []))
