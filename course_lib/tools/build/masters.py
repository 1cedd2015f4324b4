"""Read a master: a MyST-Markdown notebook as a list of blocks, each of which knows its line in the file."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

FENCE = re.compile(r"^(?P<ticks>`{3,}|~{3,})(?:\{(?P<name>[^}]*)\}(?P<argument>.*)|(?P<info>.*))$")
OPTION = re.compile(r"^:(?P<key>[\w-]+):(?P<value>.*)$")
EXERCISE_MARKER = re.compile(r"^# exercise (?P<id>\S+)\s*$")
CHECK_CALL = re.compile(r"""^\s*check\(\s*["'](?P<id>[^"']+)["']""", re.MULTILINE)
SOLUTION_BEGIN, SOLUTION_END = "### BEGIN SOLUTION", "### END SOLUTION"


@dataclass(frozen=True, order=True)
class Problem:
    """One thing wrong with a source file: where, and a sentence."""

    path: str
    line: int
    sentence: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.sentence}"


class BuildError(Exception):
    """The build cannot go on; str() is one line a problem, each one sentence."""

    def __init__(self, *problems: "Problem | str"):
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


@dataclass(frozen=True)
class Text:
    """Markdown between directives; fenced code that is no directive stays inside."""

    line: int
    text: str


@dataclass(frozen=True)
class Directive:
    """```{name} argument, its :options: and its body; body_line is the line of the body's first line."""

    line: int
    name: str
    argument: str
    options: dict
    body: str
    body_line: int


@dataclass(frozen=True)
class Code:
    """A code cell; first is the line of its source's first line."""

    line: int
    source: str
    options: dict
    first: int

    @property
    def tags(self) -> list[str]:
        return list(self.options.get("tags", []))

    @property
    def exercise(self) -> str | None:
        """The id in the marker `# exercise 4.2` on the first line."""
        found = EXERCISE_MARKER.match(self.source.split("\n", 1)[0])
        return found["id"] if found else None

    @property
    def checks(self) -> str | None:
        """The id in a call check("4.2", ...)."""
        found = CHECK_CALL.search(self.source)
        return found["id"] if found and not self.exercise else None


Block = Text | Directive | Code


@dataclass(frozen=True)
class Master:
    """A chapter as it is written: path as shown in messages, header of the front matter, blocks."""

    path: Path
    shown: str
    number: int
    title: str
    header: dict
    blocks: list[Block] = field(default_factory=list)

    @property
    def stem(self) -> str:
        return self.path.stem

    def problem(self, line: int, sentence: str) -> Problem:
        return Problem(self.shown, line, sentence)


def read_master(path: Path, shown: str) -> Master:
    """The parsed master; a file that cannot be read as one raises BuildError."""
    if not path.is_file():
        raise BuildError(Problem(shown, 1, "there is no such master: name a file book/NN_topic.md."))
    lines = path.read_text(encoding="utf-8").split("\n")
    header, start = front_matter(lines, shown)
    blocks = list(parse_blocks(lines[start:], start + 1, shown))
    check_header(header, path, shown)
    title = page_title(blocks, shown, start + 1)
    if title != header["title"]:
        sentence = f"the heading reads {title!r} but the front matter's title is {header['title']!r}: make them equal."
        raise BuildError(Problem(shown, start + 1, sentence))
    return Master(path, shown, header["number"], title, header, blocks)


def front_matter(lines: list[str], shown: str) -> tuple[dict, int]:
    """The `course` entry of the YAML front matter and the index of the first line after it."""
    if lines[0].strip() != "---" or "---" not in [line.strip() for line in lines[1:]]:
        raise BuildError(Problem(shown, 1, "the front matter between two lines --- is missing."))
    end = next(n for n, line in enumerate(lines[1:], 1) if line.strip() == "---")
    try:
        values = yaml.safe_load("\n".join(lines[1:end])) or {}
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", 0) + 2
        raise BuildError(Problem(shown, line, "the front matter is not YAML.")) from None
    return values.get("course") or {}, end + 1


def check_header(header: dict, path: Path, shown: str) -> None:
    """The front matter has the keys a chapter needs and the number of its file's name."""
    missing = [key for key in ("number", "title", "paths", "needs") if key not in header]
    if missing:
        raise BuildError(Problem(shown, 1, f"the front matter's course entry lacks {', '.join(missing)}."))
    if not path.name.startswith(f"{header['number']:02d}_"):
        raise BuildError(
            Problem(shown, 1, f"chapter {header['number']} must be named {header['number']:02d}_topic.md.")
        )


def page_title(blocks: list[Block], shown: str, line: int) -> str:
    """The text of the first heading, which opens the page."""
    first = blocks[0].text.lstrip("\n") if blocks and isinstance(blocks[0], Text) else ""
    if not first.startswith("# "):
        raise BuildError(Problem(shown, line, "the page must open with its title, a line `# Title`."))
    return first.split("\n", 1)[0][2:].strip()


def parse_blocks(lines: list[str], start: int, shown: str) -> Iterator[Block]:
    """Blocks of these lines, the first of which is line `start` of the file."""
    text: list[str] = []
    opened, index = start, 0
    while index < len(lines):
        line = lines[index]
        fence = FENCE.match(line)
        if fence is None:
            refuse_hidden_directive(line, start + index, shown)
            if line.strip() == "+++" or line.startswith("## "):
                yield from flushed(text, opened)
                text, opened = [], start + index
            text.append("" if line.strip() == "+++" else line)
            index += 1
            continue
        end = closing(lines, index, fence["ticks"], start, shown)
        if fence["name"] is None:
            text += lines[index : end + 1]
        else:
            yield from flushed(text, opened)
            text, opened = [], start + end + 1
            yield directive(fence, lines[index + 1 : end], start + index, shown)
        index = end + 1
    yield from flushed(text, opened)


def refuse_hidden_directive(line: str, number: int, shown: str) -> None:
    """Indented and colon-fenced directives would slip through untranslated."""
    if re.match(r"^\s+`{3,}\{|^\s*:{3,}", line):
        raise BuildError(Problem(shown, number, "directives open with backticks at the beginning of a line."))


def flushed(text: list[str], line: int) -> Iterator[Text]:
    """A Text block if there is anything in it, without blank lines around."""
    while text and not text[0].strip():
        text, line = text[1:], line + 1
    if text:
        yield Text(line, "\n".join(text).rstrip())


def closing(lines: list[str], index: int, ticks: str, start: int, shown: str) -> int:
    """The index of the line that closes the fence opened at `index`."""
    for end in range(index + 1, len(lines)):
        line = lines[end].strip()
        if line and set(line) == {ticks[0]} and len(line) >= len(ticks):
            return end
    raise BuildError(Problem(shown, start + index, f"the {ticks} opened here is never closed."))


def directive(fence: re.Match, body: list[str], line: int, shown: str) -> Directive | Code:
    """A directive, or a cell where the name is code-cell."""
    options, used = read_options(body, line + 1, shown)
    while used < len(body) and not body[used].strip():
        used += 1
    source = "\n".join(body[used:]).rstrip()
    if fence["name"] == "code-cell":
        return Code(line, source, options, line + 1 + used)
    return Directive(line, fence["name"].strip(), fence["argument"].strip(), options, source, line + 1 + used)


def read_options(body: list[str], line: int, shown: str) -> tuple[dict, int]:
    """The :key: value lines that open a body, each value read as YAML, and how many lines they take."""
    options: dict = {}
    for used, text in enumerate(body):
        found = OPTION.match(text)
        if found is None:
            return options, used
        try:
            options[found["key"]] = yaml.safe_load(found["value"])
            readable = isinstance(options[found["key"]], (str, list, bool, int, float, type(None)))
        except yaml.YAMLError:
            readable = False
        if not readable:
            sentence = f"the option :{found['key']}: is not plain YAML: put its text between single quotes."
            raise BuildError(Problem(shown, line + used, sentence))
    return options, len(body)


def walk(blocks: list[Block], shown: str, inside: tuple[str, ...] = ()) -> Iterator[tuple[Block, tuple[str, ...]]]:
    """Every block, nested ones included, with the names of the directives around it."""
    for block in blocks:
        yield block, inside
        if isinstance(block, Directive) and block.name not in ("math", "code-cell"):
            nested = parse_blocks(block.body.split("\n"), block.body_line, shown)
            yield from walk(list(nested), shown, (*inside, block.name))


def was(moved: Directive) -> list[str]:
    """The anchors under which what {moved} names stood on its page."""
    return [one.strip() for one in str(moved.options.get("was", "")).split(",") if one.strip()]


def without_title(master: Master) -> list[Block]:
    """The blocks, less the line of the title."""
    first, *others = master.blocks
    return [*flushed(first.text.split("\n")[1:], first.line + 1), *others]
