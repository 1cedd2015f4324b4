"""What a master must obey; each breach is one sentence with file and line."""

import re
from collections.abc import Iterator
from itertools import count

from course_lib.tools.build.cell_rules import cell_problems
from course_lib.tools.build.markdown import ADMONITIONS, CITATIONS, INLINE, ROLES, TITLED, role_parts
from course_lib.tools.build.masters import Block, Code, Directive, Master, Problem, Text, walk, was
from course_lib.tools.build.project import Declared, Names, Project, exercise_label

FRAMES = {*ADMONITIONS, *TITLED}
KNOWN = {"measured", "math", "exercise", "hint", "solution", "quiz", "playground", "moved", *FRAMES}
OPTIONS = {"math": {"label"}, "code-cell": {"tags", "caption", "alt"}, "playground": {"show", "set"}, "moved": {"was"}}
OPTIONS |= {name: {"class"} for name in FRAMES}
PLAIN_LINK = re.compile(r"^(https?://|mailto:)")


def problems(project: Project, master: Master, names: Names) -> list[Problem]:
    """Everything wrong with a master, in the order of its lines."""
    declared = project.declared(master.number)
    found = [
        *structure(master),
        *exercises(master, declared),
        *equations(master, names),
        *moved(master, names),
        *references(master, names),
        *cell_problems(master, declared),
        *quizzes(master, declared),
    ]
    return sorted(set(found))


def structure(master: Master) -> Iterator[Problem]:
    """Directives and options are known, and stand where they may."""
    for block, inside in walk(master.blocks, master.shown):
        if isinstance(block, Text):
            continue
        name = "code-cell" if isinstance(block, Code) else block.name
        if name != "code-cell" and name not in KNOWN:
            yield master.problem(
                block.line, f"the directive {{{name}}} is unknown: use one of {', '.join(sorted(KNOWN))}."
            )
            continue
        if inside and name not in {"math", *FRAMES}:
            yield master.problem(block.line, f"{{{name}}} cannot stand inside {{{inside[-1]}}}: move it out.")
        for option in sorted(set(block.options) - OPTIONS.get(name, set())):
            yield master.problem(block.line, f"{{{name}}} has no option :{option}:.")


def exercises(master: Master, declared: Declared) -> Iterator[Problem]:
    """Every exercise is declared once, told once, and has its cells in order; hints and solutions belong to one."""
    told: dict[str, int] = {}
    for index, block in enumerate(master.blocks):
        if not isinstance(block, Directive) or block.name not in ("exercise", "hint", "solution"):
            continue
        number = block.argument
        if number not in declared.exercises:
            where = f"course_lib/exercises/ch{master.number:02d}.py"
            yield master.problem(block.line, f"exercise {number!r} is not declared in {where}.")
        elif block.name == "exercise" and number in told:
            yield master.problem(block.line, f"exercise {number} is already on line {told[number]}: change its id.")
        elif block.name == "exercise":
            told[number] = block.line
            yield from exercise_cells(master, block, master.blocks[index + 1 :], declared)
        elif number not in told:
            yield master.problem(block.line, f"the {block.name} of {number} stands before its exercise.")
    for number in sorted(set(declared.exercises) - set(told)):
        yield master.problem(1, f"exercise {number} is declared but is not in the chapter.")


def exercise_cells(master: Master, task: Directive, after: list[Block], declared: Declared) -> Iterator[Problem]:
    """A function or experiment is followed by its cell and then its check; a judged one by its solution in words."""
    number, line = task.argument, task.line
    if declared.exercises[number].rubric:
        if not any(isinstance(b, Directive) and b.name == "solution" and b.argument == number for b in after):
            yield master.problem(
                line, f"exercise {number} is judged and needs a {{solution}} with rubric and model answer."
            )
        return
    cells = [block for block in after if isinstance(block, Code)]
    if not cells or cells[0].exercise != number:
        at = cells[0].first if cells else line
        yield master.problem(at, f"the cell after exercise {number} must open with the line `# exercise {number}`.")
    elif len(cells) < 2 or cells[1].checks != number:
        at = cells[1].first if len(cells) > 1 else cells[0].line
        yield master.problem(
            at, f'the cell of exercise {number} must be followed by a cell with check("{number}", ...).'
        )


def equations(master: Master, names: Names) -> Iterator[Problem]:
    """Labels are eq-N-1, eq-N-2, ... in the order of the text, but for what moved from or to another chapter.

    What the front matter `keeps` came with its label; its old chapter leaves the number out.
    """
    kept, seen = set(master.header.get("keeps", [])), {}
    own = (f"eq-{master.number}-{n}" for n in count(1))
    free = (label for label in own if names.equations.get(label, master.stem) == master.stem)
    expected = next(free)
    for block, inside in walk(master.blocks, master.shown):
        if not isinstance(block, Directive) or block.name != "math":
            continue
        if "\\\\" in block.body and "\\begin{" not in block.body:
            yield master.problem(block.line, "a formula of several lines needs \\begin{aligned} ... \\end{aligned}.")
        if re.search(r"\\begin\{(align|equation|gather)\*?\}|\\tag\{", block.body):
            yield master.problem(block.line, "use aligned inside {math}, not align, equation, gather or \\tag.")
        label = block.options.get("label")
        if label is None:
            continue
        if label in seen:
            yield master.problem(block.line, f"the equation label {label} is already on line {seen[label]}.")
        elif label not in kept and label != expected:
            yield master.problem(
                block.line, f"the equation label here must be {expected}, got {label}: labels count up."
            )
        elif {"hint", "solution"} & set(inside):
            yield master.problem(
                block.line, f"{label} is inside a {inside[-1]}, which not every reader has: leave it unnumbered."
            )
        if label not in kept and label not in seen:
            expected = next(free)
        seen.setdefault(label, block.line)


def moved(master: Master, names: Names) -> Iterator[Problem]:
    """What stood here and moved names its new page, and each equation of it is there."""
    for block in master.blocks:
        if not isinstance(block, Directive) or block.name != "moved":
            continue
        stem = block.argument.removesuffix(".md")
        if stem not in names.pages:
            yield master.problem(block.line, f"{{moved}} must name the page where it is now, got {block.argument!r}.")
        for label in was(block):
            if label.startswith("eq-") and names.equations.get(label) != stem:
                yield master.problem(block.line, f"{label} is not on {stem}.")


def references(master: Master, names: Names) -> Iterator[Problem]:
    """Roles, citations and links lead somewhere, in text, captions and titles."""
    for block, _ in walk(master.blocks, master.shown):
        if isinstance(block, Text):
            text = spaced(block.text)
        elif isinstance(block, Code):
            text = str(block.options.get("caption", ""))
        else:
            text = block.argument if block.name in TITLED else ""
        for offset, sentence in inline_problems(text, names):
            yield master.problem(block.line + text.count("\n", 0, offset), sentence)


def spaced(text: str) -> str:
    """The text with its fenced code blanked, line for line."""
    fences = re.compile(r"^(`{3,}|~{3,}).*?^\1[`~]*\s*$", re.MULTILINE | re.DOTALL)
    return fences.sub(lambda found: "\n" * found[0].count("\n"), text)


def inline_problems(text: str, names: Names) -> Iterator[tuple[int, str]]:
    """Problems of the roles and links in a Markdown text, each with its offset."""
    for found in INLINE.finditer(text):
        if found["role"]:
            yield from ((found.start(), s) for s in role_problems(found["role"], found["content"], names))
        elif found["target"]:
            yield from ((found.start(), s) for s in link_problems(found["target"], names))
    for found in re.finditer(r"\$\$\s*\([\w-]+\)", text):
        yield found.start(), "number an equation with ```{math} and its :label:, not behind $$."


def role_problems(role: str, content: str, names: Names) -> Iterator[str]:
    if role not in ROLES:
        yield f"the role {{{role}}} is unknown: use one of {', '.join(ROLES)}."
    elif role in CITATIONS:
        for key in (key.strip() for key in content.split(",")):
            if key not in names.references:
                yield f"the citation {key!r} is not in book/references.bib."
    else:
        label = role_parts(content)[1]
        known = names.equations if role == "eq" else names.exercises
        kind = "equation" if role == "eq" else "exercise"
        if (label if role == "eq" else exercise_label(label)) not in known and not names.trusts(label):
            yield f"there is no {kind} {label!r} to refer to."


def link_problems(target: str, names: Names) -> Iterator[str]:
    """A link is an address, or a page of the book."""
    if PLAIN_LINK.match(target):
        return
    name, _, fragment = target.partition("#")
    stem = name.removesuffix(".md").split("/")[-1]
    if not name:
        yield f"the link #{fragment} stays on the page: refer with {{ref}} or {{eq}}."
    elif not name.endswith(".md") or "/" in name or stem not in names.pages:
        yield f"the link {target!r} leads nowhere: name a page of book/ as NN_topic.md, or a full address."


def quizzes(master: Master, declared: Declared) -> Iterator[Problem]:
    """The quiz is this chapter's and has questions."""
    for block in master.blocks:
        if isinstance(block, Directive) and block.name == "quiz":
            if block.argument != str(master.number):
                yield master.problem(
                    block.line, f"the quiz here must be {{quiz}} {master.number}, got {block.argument!r}."
                )
            elif not declared.quiz:
                yield master.problem(
                    block.line, f"QUIZ in course_lib/exercises/ch{master.number:02d}.py has no questions."
                )


def problems_across(masters: list[Master]) -> Iterator[Problem]:
    """What only shows between chapters: two masters of one number."""
    seen: dict[int, Master] = {}
    for master in masters:
        if master.number in seen:
            yield master.problem(1, f"chapter {master.number} is also {seen[master.number].shown}.")
        seen[master.number] = master
