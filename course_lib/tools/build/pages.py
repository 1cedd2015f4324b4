"""A chapter as a page of the site: MyST stays as it is, our own directives become MyST, cells bring their outputs."""

import html
import re
from dataclasses import dataclass, field

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course_lib.tools.build.execute import Run
from course_lib.tools.build.folding import Folding
from course_lib.tools.build.markdown import INLINE, anchor, outside_fences, role_parts
from course_lib.tools.build.masters import Code, Directive, Master, Text, parse_blocks, was, without_title
from course_lib.tools.build.notebooks import bootstrap, dashed, heading, stubbed, taking, unmarked
from course_lib.tools.build.outputs import shown
from course_lib.tools.build.plain_pages import reading_minutes
from course_lib.tools.build.predictions import field as prediction_field
from course_lib.tools.build.predictions import question
from course_lib.tools.build.project import Names, Project, exercise_label
from course_lib.tools.build.quiz_page import quiz_form

STATIC_IMAGES = ("image/png", "image/svg+xml", "image/jpeg")


def site_text(text: str, chapters: set[str]) -> str:
    """MyST as Sphinx reads it: links to chapters name their staged file, and exercises are named in references."""

    def change(found: re.Match) -> str:
        if found["role"] == "ref":
            title, label = role_parts(found["content"])
            number = exercise_label(label)
            return f"{{ref}}`{title or f'Exercise {number}'} <{label}>`" if number else found[0]
        if found["target"]:
            name, mark, fragment = found["target"].partition("#")
            stem = name.removesuffix(".md")
            return f"]({stem}.ipynb{mark}{fragment})" if name.endswith(".md") and stem in chapters else found[0]
        return found[0]

    return outside_fences(text, lambda part: INLINE.sub(change, part))


def fenced(name: str, argument: str, options: dict, body: str) -> str:
    """A directive with a fence longer than any inside."""
    longest = max((len(ticks) for ticks in re.findall(r"^`{3,}", body, flags=re.MULTILINE)), default=2)
    ticks = "`" * max(3, longest + 1)
    lines = [f":{key}: {value}" for key, value in options.items()]
    return "\n".join([f"{ticks}{{{name}}} {argument}".rstrip(), *lines, "", body.strip("\n"), ticks])


@dataclass
class Page:
    """Collects the cells of one page; each keeps its line in the master for messages."""

    project: Project
    master: Master
    names: Names
    run: Run
    cells: list = field(default_factory=list)
    folding: Folding = field(default_factory=Folding)

    def __post_init__(self):
        self.exercises = self.project.declared(self.master.number).exercises
        self.chapters = set(self.names.equations.values()) | set(self.names.exercises.values())
        self.chapters |= {path.stem for path in self.project.master_paths()}
        code = [cell for cell in self.run.notebook.cells if cell.cell_type == "code"]
        self.executed = iter([cell for cell in code if cell.source != bootstrap(self.project)])

    def notebook(self) -> nbformat.NotebookNode:
        """The page, to be staged and handed to myst-nb with execution off."""
        self.markdown(f"# {self.master.title}\n\n{self.links()}", 1)
        for block in without_title(self.master):
            self.add(block)
        metadata = {key: value for key, value in self.run.notebook.metadata.items() if key != "course"}
        notebook = new_notebook(cells=self.cells, metadata=metadata)
        notebook.nbformat_minor = 5
        for number, cell in enumerate(notebook.cells):
            cell.id = f"cell-{number}"
        return notebook

    def links(self) -> str:
        """Where the chapter can be worked on."""
        stem = self.master.stem
        body = (
            f"[Open in Colab]({self.project.colab(stem)})\n"
            f"{{download}}`Student notebook <../notebooks/{stem}.ipynb>`\n"
            f"{{download}}`Notebook with solutions <../solutions/{stem}.ipynb>`"
        )
        if "workshop" in self.master.header.get("paths", []):
            body += '\n<a href="?slides">Slides</a>'
        return fenced("container", "chapter-links", {}, body)

    def text(self, text: str) -> str:
        return site_text(text, self.chapters)

    def add(self, block: Text | Directive | Code) -> None:
        if isinstance(block, Code):
            self.add_code(block)
        elif isinstance(block, Text):
            self.markdown(self.text(block.text), block.line)
            if asked := question(block.text):
                self.markdown(fenced("raw", "html", {}, prediction_field(self.master.number, asked)), block.line)
        elif block.name == "quiz":
            next(self.executed)
            form = quiz_form(self.master.number, self.project.declared(self.master.number).quiz)
            self.markdown(fenced("raw", "html", {}, form), block.line)
        elif block.name == "exercise":
            self.add_exercise(block)
        elif block.name == "solution":
            title = f"Solution of {block.argument}" + ("" if self.exercises[block.argument].rubric else ", in words")
            self.markdown(fenced("dropdown", title, {"class-container": "solution"}, self.body(block)), block.line)
        elif block.name == "playground":
            self.markdown(self.playground(block), block.line)
        elif block.name == "moved":
            self.markdown(self.moved(block), block.line)
        elif block.name == "measured":
            self.markdown(measured(self.run, self.exercises, reading_minutes(self.master)), block.line)
        elif block.name != "hint":
            self.markdown(self.framed(block), block.line)

    def playground(self, block: Directive) -> str:
        """What to try, and the element that the site's script turns into a playground."""
        data = "".join(f' data-{key}="{html.escape(str(value))}"' for key, value in block.options.items())
        element = f'<div class="playground"{data}><p>This playground needs JavaScript.</p></div>'
        return f"{self.body(block)}\n\n{fenced('raw', 'html', {}, element)}"

    def moved(self, block: Directive) -> str:
        """Where it went, under every anchor by which it was linked."""
        places = "".join(f'<span id="{anchor(label)}"></span>' for label in was(block))
        return f"{fenced('raw', 'html', {}, places)}\n\n{self.body(block)}"

    def framed(self, block: Directive) -> str:
        """A directive that Sphinx knows."""
        if block.name == "math":
            lines = [line for line in block.body.split("\n") if line.strip()]
            return fenced("math", "", block.options, "\n".join(lines))
        return fenced(block.name, self.text(block.argument), block.options, self.body(block))

    def body(self, directive: Directive) -> str:
        blocks = parse_blocks(directive.body.split("\n"), directive.body_line, self.master.shown)
        return "\n\n".join(self.text(b.text) if isinstance(b, Text) else self.framed(b) for b in blocks)

    def add_exercise(self, block: Directive) -> None:
        """The task as a box, then for code its stub, then its hints, wherever the master has them."""
        exercise = self.exercises[block.argument]
        options = {"class": "exercise", "name": f"ex-{dashed(exercise.id)}"}
        self.markdown(fenced("admonition", heading(exercise), options, self.body(block)), block.line)
        blocks = self.master.blocks
        cell = next((b for b in blocks if isinstance(b, Code) and b.exercise == exercise.id), None)
        if cell:
            stub = stubbed(cell.source, exercise, self.project.columns)
            self.markdown(f"```python\n{stub}\n```", cell.line)
        hints = [b for b in blocks if isinstance(b, Directive) and (b.name, b.argument) == ("hint", exercise.id)]
        for number, hint in enumerate(hints, 1):
            self.markdown(fenced("dropdown", f"Hint {number}", {"class-container": "hint"}, self.body(hint)), hint.line)

    def add_code(self, block: Code) -> None:
        """A cell with its outputs: a solution is folded, and what is no idea; a figure has caption and alternative."""
        opened, hidden, does = self.folding.split(block)
        if block.exercise:
            words = f"olution of {block.exercise}"
            options = {"code_prompt_show": f"S{words}", "code_prompt_hide": f"Hide the s{words}"}
            self.cell(
                unmarked(block.source), sorted({*block.tags, "hide-input"}), block.line, next(self.executed), options
            )
            return
        caption, alt = (str(block.options.get(key) or "") for key in ("caption", "alt"))
        options = {"image": {"alt": alt}, "figure": {"caption": self.text(caption)}} if caption else {}
        tags, done = block.tags, next(self.executed)
        if hidden:
            tags = sorted({*tags, "folded", "hide-cell" if does == "check" else "hide-input"})
            options |= {f"code_prompt_{name}": f"{name.capitalize()} code: {does}" for name in ("show", "hide")}
        if opened and hidden:
            self.cell(opened, [], block.line)
        cell = self.cell(hidden or opened, tags, block.line, done, options)
        if caption and not any(set(output.get("data", {})) & set(STATIC_IMAGES) for output in cell.outputs):
            self.markdown(fenced("container", "visually-hidden", {}, alt), block.line)

    def cell(self, source, tags, line, done=None, options=None) -> nbformat.NotebookNode:
        """A code cell, with the outputs of an executed one."""
        metadata = {"line": line} | ({"tags": tags} if tags else {}) | ({"mystnb": options} if options else {})
        cell = new_code_cell(source, outputs=list(shown(done.outputs)) if done else [], metadata=metadata)
        cell.execution_count = done.execution_count if done else None
        self.cells.append(cell)
        return cell

    def markdown(self, source: str, line: int) -> None:
        self.cells.append(new_markdown_cell(source, metadata={"line": line}))


def measured(run: Run, exercises: dict, reading: int) -> str:
    """What the chapter cost when it was last executed, and the time that reading and exercises take."""
    memory = f" and at most {run.megabytes / 1000:.1f} GB of memory" if run.megabytes else ""
    told = f"Measured on the last build: all cells together took {run.seconds:.0f} s on one thread of a CPU{memory}."
    return f"{told} Reading takes about {reading} minutes. {taking(exercises.values())}".rstrip()
