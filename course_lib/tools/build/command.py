"""`course build`: what its options do, in order."""

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat

from course_lib.tools.build.compare import differences
from course_lib.tools.build.lint import cell_lines, format_master, lint, locate
from course_lib.tools.build.masters import BuildError, Master, Problem
from course_lib.tools.build.notebooks import KEPT_TAG, complete_notebook, student_notebook
from course_lib.tools.build.project import Names, Project, names_of
from course_lib.tools.build.rules import problems, problems_across

FOLDERS = ("notebooks", "solutions")


def build(arguments: argparse.Namespace, project: Project | None = None) -> None:
    """The whole build, or the part that the options name."""
    project = project or Project(arguments.root)
    if not (project.root / "book").is_dir():
        raise BuildError(f"There is no folder book/ in {project.root}: run `course build` where the course is.")
    if arguments.check and arguments.masters:
        return check_masters(project, [Path(name) for name in arguments.masters])
    if arguments.format:
        return format_masters(project, [Path(name) for name in arguments.masters] or project.master_paths())
    if arguments.masters:
        raise BuildError("Masters can be named with --check or --format; to run one chapter say --chapter NUMBER.")
    if arguments.check:
        return check_all(project)
    if arguments.chapter is not None:
        return build_chapter(project, arguments.chapter)
    chapters, names = valid_masters(project)
    for master in chapters:
        write_notebooks(project, master, names)
    if arguments.notebooks_only:
        return print(f"Wrote notebooks/ and solutions/ for {len(chapters)} chapters.")
    runs = run_all(project, chapters, names, arguments.jobs)
    from course_lib.tools.build.site import build_site

    return print(f"The course is at {build_site(project, chapters, names, runs)}")


def valid_masters(project: Project) -> tuple[list[Master], Names]:
    """All masters, if nothing is wrong with any."""
    masters, unreadable = readable_masters(project)
    names = names_of(project, masters)
    found = [*unreadable, *problems_across(masters), *outside_toc(project, masters)]
    found += [problem for master in masters for problem in problems(project, master, names)]
    if found:
        raise BuildError(*found)
    return masters, names


def outside_toc(project: Project, masters: list[Master]) -> list[Problem]:
    """Chapters that the table of contents forgets."""
    missing = [m for m in masters if f"book/{m.stem}" not in project.toc]
    return [master.problem(1, "this chapter is not in book/_toc.yml.") for master in missing]


def readable_masters(project: Project) -> tuple[list[Master], list[Problem]]:
    """The masters that can be read, and what is wrong with the others."""
    masters, found = [], []
    for path in project.master_paths():
        try:
            masters.append(project.read(path))
        except BuildError as error:
            found += error.problems
    return masters, found


def both(project: Project, master: Master, names: Names) -> dict[str, nbformat.NotebookNode]:
    """The two notebooks of a chapter by their folder."""
    makers = zip(FOLDERS, (student_notebook, complete_notebook))
    return {folder: make(project, master, names) for folder, make in makers}


def check_masters(project: Project, paths: list[Path]) -> None:
    """Rules and style of single masters; chapters that are not written yet are taken on trust."""
    for path in paths:
        master = project.read(path if path.is_absolute() else project.root / path)
        _, notebooks = checked_chapter(project, master)
        if found := lint(project, master, notebooks):
            raise BuildError(*found)
        print(f"{master.shown} is a good master.")


def format_masters(project: Project, paths: list[Path]) -> None:
    """Let ruff lay out the cells of masters."""
    for path in paths:
        master = project.read(path if path.is_absolute() else project.root / path)
        _, notebooks = checked_chapter(project, master)
        changed = format_master(project, master, notebooks["solutions"])
        print(f"{master.shown} {'is formatted now' if changed else 'was well formatted'}.")


def checked_chapter(project: Project, master: Master) -> tuple[Names, dict[str, nbformat.NotebookNode]]:
    """Names and notebooks of one chapter, if nothing is wrong with its master."""
    others = [other for other in readable_masters(project)[0] if other.stem != master.stem]
    names = names_of(project, [master, *others], complete=False)
    if found := problems(project, master, names):
        raise BuildError(*found)
    return names, both(project, master, names)


def check_all(project: Project) -> None:
    """Every master is good and every committed notebook is what its master gives."""
    chapters, names = valid_masters(project)
    found: list[Problem] = []
    for master in chapters:
        found += differences(project, master, both(project, master, names))
    stems = {master.stem for master in chapters}
    for folder in FOLDERS:
        strays = sorted(p for p in (project.root / folder).glob("*.ipynb") if p.stem not in stems)
        found += [Problem(project.shown(path), 1, "this notebook has no master: remove it.") for path in strays]
    if found:
        raise BuildError(*found)
    print(f"notebooks/ and solutions/ are what the {len(chapters)} masters give.")


def write_notebooks(project: Project, master: Master, names: Names, executed=None) -> None:
    """Write a chapter's two notebooks, with the outputs nbval compares, from a run or from the old file."""
    for folder, notebook in both(project, master, names).items():
        path = project.root / folder / f"{master.stem}.ipynb"
        path.parent.mkdir(exist_ok=True)
        if folder == "solutions":
            keep_outputs(notebook, executed or old_notebook(path), master)
        text = nbformat.writes(notebook) + "\n"
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def old_notebook(path: Path) -> nbformat.NotebookNode | None:
    try:
        return nbformat.read(path, as_version=4)
    except Exception:  # absent or unreadable: there is nothing to keep
        return None


def keep_outputs(notebook, source, master: Master) -> None:
    """Copy the text outputs of tagged cells from a notebook whose cells have the same ids."""
    outputs = {cell.id: cell.get("outputs", []) for cell in source.cells} if source else {}
    for cell in notebook.cells:
        if cell.cell_type == "code" and KEPT_TAG in cell.metadata.get("tags", []):
            cell.outputs = [text_output(output, cell, master) for output in outputs.get(cell.id, [])]
            cell.execution_count = 1 if cell.outputs else None  # nbval compares only cells that count as run


def text_output(output, cell, master: Master):
    """An output as text; anything else cannot be compared."""
    if output.output_type == "stream":
        return nbformat.v4.new_output("stream", name="stdout", text=output.text)
    if set(output.get("data", {})) == {"text/plain"}:
        return nbformat.v4.new_output(output.output_type, {"text/plain": output.data["text/plain"]})
    line = locate(cell.source, 1, cell_lines(master))
    raise BuildError(master.problem(line, f"this cell is tagged {KEPT_TAG} and must print text, nothing else."))


def build_chapter(project: Project, number: int) -> None:
    """Check, write and run one chapter."""
    paths = [path for path in project.master_paths() if path.name.startswith(f"{number:02d}_")]
    if not paths:
        raise BuildError(f"There is no chapter {number}: its master would be book/{number:02d}_topic.md.")
    master = project.read(paths[0])
    names, notebooks = checked_chapter(project, master)
    if found := lint(project, master, notebooks):
        raise BuildError(*found)
    run_all(project, [master], names, 1)


def run_all(project: Project, chapters: list[Master], names: Names, jobs: int) -> dict:
    """Run the chapters, say what each took, and keep the outputs that nbval compares; stem -> Run."""
    from course_lib.tools.build.execute import run

    def one(master: Master):
        result = run(project, master, complete_notebook(project, master, names))
        memory = f", {result.megabytes:.0f} MB" if result.megabytes else ""
        where = "unchanged since its last run, which took" if result.cached else "ran in"
        print(f"chapter {master.number:2d}  {where} {result.seconds:.0f} s{memory}", flush=True)
        return result

    runs, found = {}, []
    with ThreadPoolExecutor(max(1, jobs)) as pool:
        futures = [(master, pool.submit(one, master)) for master in chapters]
        for master, future in futures:
            try:
                runs[master.stem] = future.result()
                write_notebooks(project, master, names, runs[master.stem].notebook)
            except BuildError as error:
                found += error.problems
                pool.shutdown(wait=False, cancel_futures=True)
                break
    if found:
        raise BuildError(*found)
    return runs


def main(arguments: argparse.Namespace) -> int:
    """Run and turn what is wrong into sentences on standard error."""
    try:
        build(arguments)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    return 0
