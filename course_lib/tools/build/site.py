"""The site: everything staged under _build/stage, built by jupyter-book with execution off, then looked over."""

import html
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import yaml

from course_lib.tools.build.access import make_accessible
from course_lib.tools.build.anchors import make_anchors
from course_lib.tools.build.execute import Run
from course_lib.tools.build.frames import make_frames
from course_lib.tools.build.heads import make_heads
from course_lib.tools.build.lean import make_lean
from course_lib.tools.build.ledger import claims_of, ledger
from course_lib.tools.build.masters import BuildError, Master, Problem
from course_lib.tools.build.pages import Page, site_text
from course_lib.tools.build.plain_pages import fill
from course_lib.tools.build.plain_script import make_plain_script
from course_lib.tools.build.project import Names, Project, equation_number
from course_lib.tools.build.searching import make_search
from course_lib.tools.build.whereabouts import make_whereabouts

FOLDERS = ("notebooks", "solutions")
LEDGER = re.compile(r"^```\{ledger\}\s*^```\s*$", re.MULTILINE)
SPHINX = {"numfig": True, "math_numfig": True, "numfig_secnum_depth": 1, "html_secnumber_suffix": " "}
NUMBERING = "course_lib.tools.build.numbering"
COMMAND = "import sys; from jupyter_book.cli.main import main; sys.exit(main())"


def build_site(project: Project, chapters: list[Master], names: Names, runs: dict[str, Run]) -> Path:
    """Stage, build and verify; returns the path of the first page."""
    stage = project.root / "_build" / "stage"
    pages = {master.stem: Page(project, master, names, runs[master.stem]).notebook() for master in chapters}
    entries = [claim for stem, run in runs.items() for claim in claims_of(stem, run.notebook)]
    minutes = {stem: run.seconds / 60 for stem, run in runs.items()}
    files = staged_files(project, pages, lambda path: plain_page(project, chapters, minutes, path, ledger(entries)))
    synchronise(stage, files)
    jupyter_book(project, stage, chapters, pages)
    finish(project)
    verify(project, chapters, names)
    return project.root / "_build" / "html" / "index.html"


def finish(project: Project) -> None:
    """What is done to pages that Sphinx has written; what is done already stays as it is."""
    folder = project.root / "_build" / "html"
    # Sphinx forgets a changed script or style where no page changed.
    if (static := project.root / "book" / "_static").is_dir():
        shutil.copytree(static, folder / "_static", dirs_exist_ok=True)
    make_plain_script(folder)
    make_frames(folder)
    make_lean(folder)
    make_accessible(folder)
    make_anchors(folder)
    make_heads(folder, project)
    make_search(folder, project.toc)
    make_whereabouts(folder, project)


def plain_page(project: Project, chapters: list[Master], minutes: dict, path: Path, ledger_text: str) -> bytes:
    """A page that is no chapter, with its placeholders and the ledger filled in."""
    text = site_text(fill(path, project, chapters, minutes), {master.stem for master in chapters})
    return LEDGER.sub(lambda _: ledger_text, text).encode()


def staged_files(project: Project, pages: dict, plain: Callable[[Path], bytes]) -> dict[str, bytes]:
    """Path in the stage -> content."""
    files = {"_config.yml": dump(staged_config(project)), "book/_toc.yml": dump(staged_toc(project, set(pages)))}
    for entry in project.toc:
        stem = Path(entry).name
        if stem in pages:
            files[f"{entry}.ipynb"] = nbformat.writes(pages[stem]).encode()
            continue
        path = project.root / f"{entry}.md"
        if not path.is_file():
            raise BuildError(Problem("book/_toc.yml", 1, f"the page {entry}.md is missing."))
        files[f"{entry}.md"] = plain(path)
    copied = [project.root / "book" / "references.bib"]
    copied += [path for folder in FOLDERS for path in (project.root / folder).glob("*.ipynb")]
    copied += [path for path in (project.root / "book" / "_static").rglob("*") if path.is_file()]
    for path in copied:
        if path.is_file():
            files[path.relative_to(project.root).as_posix()] = path.read_bytes()
    return files


def dump(value: dict) -> bytes:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True).encode()


def staged_config(project: Project) -> dict:
    """The project's _config.yml with what the stage depends on: no execution, equations numbered by chapter."""
    config = dict(project.config)
    config |= {"only_build_toc_files": True, "execute": {"execute_notebooks": "off"}}
    sphinx = dict(config.get("sphinx") or {})
    sphinx["config"] = dict(sphinx.get("config") or {}) | SPHINX
    sphinx["extra_extensions"] = [*(sphinx.get("extra_extensions") or []), NUMBERING]
    return config | {"sphinx": sphinx}


def staged_toc(project: Project, stems: set[str]) -> dict:
    """The table of contents with the parts that hold chapters numbered, sections too."""
    path = project.root / "book" / "_toc.yml"
    toc = yaml.safe_load(path.read_text(encoding="utf-8"))
    for part in toc.get("parts") or []:
        if any(Path(chapter.get("file", "")).name in stems for chapter in part.get("chapters") or []):
            part["numbered"] = 2
    return toc


def synchronise(stage: Path, files: dict[str, bytes]) -> None:
    """Make the folder hold these files; the unchanged ones keep their time, so that Sphinx skips them."""
    for name, content in files.items():
        path = stage / name
        if not path.is_file() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    for path in stage.rglob("*"):
        if path.is_file() and path.relative_to(stage).as_posix() not in files:
            path.unlink()


def jupyter_book(project: Project, stage: Path, chapters: list[Master], pages: dict) -> None:
    """Build the stage with warnings as errors; a failed build leaves nothing that the next could take for good."""
    output = project.root / "_build"
    options = ["--toc", str(stage / "book" / "_toc.yml"), "--config", str(stage / "_config.yml")]
    options += ["--path-output", str(project.root), "-W", "-n", "--keep-going"]
    command = [sys.executable, "-c", COMMAND, "build", str(stage), *options]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        shutil.rmtree(output / ".doctrees", ignore_errors=True)
        shutil.rmtree(output / "html", ignore_errors=True)
        lines = [line for line in (done.stdout + done.stderr).split("\n") if re.search("WARNING|ERROR|Error", line)]
        lines = lines or (done.stdout + done.stderr).strip().split("\n")[-5:]
        problems = [told(line, stage, chapters, pages) for line in dict.fromkeys(lines)]
        raise BuildError("jupyter-book could not build the site:", *problems)


def told(line: str, stage: Path, chapters: list[Master], pages: dict) -> str:
    """A message of Sphinx with the stage's path and cell number turned into the master's path and line."""
    line = re.sub(r"\x1b\[[0-9;]*m", "", line)
    found = re.match(rf"{re.escape(str(stage))}/(?P<name>.+?)(?::(?P<line>\d+))?: (?P<rest>.*)$", line)
    if not found:
        return line
    path, number = Path(found["name"]), int(found["line"] or 1)
    master = next((master for master in chapters if master.stem == path.stem), None)
    if master is None:
        return f"{path}:{number}: {found['rest']}"
    cells = pages[master.stem].cells
    cell = min(max(number // 10000 - 1, 0), len(cells) - 1)  # myst-nb counts 10000 lines a cell
    return f"{master.shown}:{cells[cell].metadata['line'] + number % 10000}: {found['rest']}"


def verify(project: Project, chapters: list[Master], names: Names) -> None:
    """Every page exists, and chapters and equations carry the numbers that notebooks and docstrings give them."""
    folder = project.root / "_build" / "html"
    missing = [entry for entry in ["index", *project.toc] if not (folder / f"{entry}.html").is_file()]
    if missing:
        raise BuildError(f"The site lacks the pages {', '.join(missing)}: jupyter-book did not write them.")
    found: list[Problem] = []
    for master in chapters:
        page = (folder / "book" / f"{master.stem}.html").read_text(encoding="utf-8")
        title = re.search(r'<h1><span class="section-number">([\d.]+)', page)
        if not title or title[1].strip(". ") != str(master.number):
            got = title[1] if title else "none"
            found.append(
                master.problem(1, f"the site gives this chapter the number {got}: order book/_toc.yml by number.")
            )
        for label in (label for label, stem in names.equations.items() if stem == master.stem):
            got = equation_on(page, label)
            if got != f"({equation_number(label)})":
                found.append(master.problem(1, f"the site numbers {label} {got}, not ({equation_number(label)})."))
    if found:
        raise BuildError(*found)


def equation_on(page: str, label: str) -> str:
    """The number printed beside an equation."""
    found = re.search(rf'id="equation-{re.escape(label)}">\s*<span class="eqno">(\([\d.]+\))', page)
    return html.unescape(found[1]) if found else "nowhere"
