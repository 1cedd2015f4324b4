"""MyST Markdown turned into plain Markdown that JupyterLab and Colab show well."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from course_lib.tools.build.masters import Block, Code, Directive, Text, parse_blocks
from course_lib.tools.build.project import Names, Project, equation_number, exercise_label

ADMONITIONS = {"note": "Note", "tip": "Tip", "important": "Important", "warning": "Warning"}
TITLED = ("admonition", "dropdown")
CITATIONS = ("cite", "cite:t", "cite:p")
ROLES = (*CITATIONS, "eq", "ref")
INLINE = re.compile(
    r"\{(?P<role>[a-z][\w:-]*)\}`(?P<content>[^`]+)`"
    r"|(?P<code>(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`))"
    r"|(?P<math>\$\$.+?\$\$|(?<!\\)\$[^$\n]+\$)"
    r"|\]\((?P<target>[^()\s]+)\)",
    re.DOTALL,
)
TITLED_ROLE = re.compile(r"^(?P<title>.+?)\s*<(?P<label>[^<>]+)>$", re.DOTALL)


def outside_fences(text: str, change: Callable[[str], str]) -> str:
    """Apply `change` to a Markdown text but leave its fenced code alone."""
    parts = re.split(r"(^(`{3,}|~{3,}).*?^\2[`~]*\s*$)", text, flags=re.MULTILINE | re.DOTALL)
    return "".join(change(part) if n % 3 == 0 else part if n % 3 == 1 else "" for n, part in enumerate(parts))


def role_parts(content: str) -> tuple[str | None, str]:
    """Title and label of a role's content, `title <label>` or `label`."""
    found = TITLED_ROLE.match(content.strip())
    return (found["title"], found["label"]) if found else (None, content.strip())


@dataclass(frozen=True)
class Plain:
    """Plain Markdown for one chapter: `stem` tells an equation of this page from one of another."""

    project: Project
    names: Names
    stem: str

    def text(self, text: str) -> str:
        """Roles and links resolved; code and formulas untouched."""
        return outside_fences(text, lambda part: INLINE.sub(self.inline, part))

    def inline(self, found: re.Match) -> str:
        if found["role"]:
            return self.role(found["role"], found["content"])
        if found["target"]:
            return f"]({self.target(found['target'])})"
        return found[0]

    def role(self, role: str, content: str) -> str:
        if role in CITATIONS:
            return self.citation(role, content)
        title, label = role_parts(content)
        if role == "eq":
            shown, stem = f"({equation_number(label)})", self.names.equations.get(label, self.stem)
        else:
            number = exercise_label(label)
            shown, stem = title or f"Exercise {number}", self.names.exercises.get(number, self.stem)
        return shown if stem == self.stem else f"[{shown}]({self.page(stem)}#{anchor(label)})"

    def citation(self, role: str, content: str) -> str:
        works = [self.names.references[key.strip()] for key in content.split(",")]
        if role == "cite:t":
            return ", ".join(work.textual() for work in works)
        return f"({'; '.join(work.parenthetical() for work in works)})"

    def page(self, stem: str) -> str:
        return f"{self.project.site}/book/{stem}.html"

    def target(self, target: str) -> str:
        """A page of the book as its published address; everything else as it stands."""
        name, _, fragment = target.partition("#")
        if not name.endswith(".md") or "://" in target:
            return target
        stem = name.removesuffix(".md").split("/")[-1]
        return self.page(stem) + (f"#{anchor(fragment)}" if fragment else "")

    def block(self, block: Block) -> str:
        """Any block but a cell, as plain Markdown."""
        if isinstance(block, Text):
            return self.text(block.text)
        assert not isinstance(block, Code)
        if block.name == "math":
            return equation(block)
        if block.name == "dropdown":
            return folded(self.text(block.argument), self.body(block))
        return quoted(self.text(ADMONITIONS.get(block.name, block.argument)), self.body(block))

    def body(self, directive: Directive) -> str:
        """The text inside a directive, nested directives included."""
        blocks = parse_blocks(directive.body.split("\n"), directive.body_line, self.stem)
        return "\n\n".join(self.block(block) for block in blocks)


def anchor(label: str) -> str:
    """The id of a label on the site."""
    return f"equation-{label}" if label.startswith("eq-") else label


def equation(block: Directive) -> str:
    """A displayed formula, with its number where it has a label."""
    label = block.options.get("label")
    tag = f"\n\\tag{{{equation_number(label)}}}" if label else ""
    return f"$$\n{block.body.strip()}{tag}\n$$"


def folded(summary: str, body: str) -> str:
    """Text the reader opens on demand; the blank lines let Markdown work inside."""
    return f"<details>\n<summary>{summary}</summary>\n\n{body}\n\n</details>"


def quoted(title: str, body: str) -> str:
    """An admonition as a block quote that opens with its title in bold."""
    lines = f"**{title}**\n\n{body}".split("\n")
    return "\n".join(f"> {line}".rstrip() for line in lines)
