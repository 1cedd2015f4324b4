"""Where things lie, what _config.yml says, and the names that pages may refer to."""

import importlib
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import yaml

from course_lib.tools.build.bibliography import Reference, read_references
from course_lib.tools.build.masters import BuildError, Directive, Master, Problem, read_master, walk

MASTER_NAME = re.compile(r"^\d\d_\w+\.md$")


@dataclass(frozen=True)
class Declared:
    """What course_lib/exercises/chNN.py declares: exercises by id, and the quiz."""

    exercises: dict
    quiz: list = field(default_factory=list)


def declared_in_library(number: int) -> Declared:
    """The declarations of a chapter; none where the module is missing."""
    name = f"course_lib.exercises.ch{number:02d}"
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in (name, "course_lib.exercises"):
            raise
        return Declared({})
    return Declared({e.id: e for e in getattr(module, "EXERCISES", [])}, list(getattr(module, "QUIZ", [])))


@dataclass(frozen=True)
class Project:
    """A checkout: its root, and where exercises are declared (tests pass their own)."""

    root: Path
    declared: Callable[[int], Declared] = declared_in_library

    @cached_property
    def config(self) -> dict:
        return read_yaml(self.root / "_config.yml", "_config.yml")

    @cached_property
    def url(self) -> str:
        """The public repository, the only place that knows it is _config.yml."""
        url = self.config.get("repository", {}).get("url", "")
        if not re.match(r"https://github\.com/[\w.-]+/[\w.-]+$", url):
            raise BuildError(
                Problem("_config.yml", 1, f"repository.url must be https://github.com/OWNER/NAME, got {url!r}.")
            )
        return url

    @property
    def owner_and_name(self) -> list[str]:
        return self.url.split("/")[-2:]

    @property
    def branch(self) -> str:
        return self.config.get("repository", {}).get("branch", "main")

    @cached_property
    def version(self) -> str:
        """The version in pyproject.toml; empty where there is none."""
        path = self.root / "pyproject.toml"
        return tomllib.loads(path.read_text(encoding="utf-8"))["project"]["version"] if path.is_file() else ""

    @property
    def release(self) -> str:
        """The tag that notebooks belong to; the branch where the project has no version."""
        return f"v{self.version}" if self.version else self.branch

    @property
    def site(self) -> str:
        """The published site: html.baseurl where it is given, else the repository's GitHub Pages."""
        owner, name = self.owner_and_name
        return (self.config.get("html", {}).get("baseurl") or f"https://{owner}.github.io/{name}").rstrip("/")

    @cached_property
    def columns(self) -> int:
        """How wide code in masters may be: what notebooks/ruff.toml says, else pyproject.toml, else 88."""
        for name, keys in (("notebooks/ruff.toml", ()), ("pyproject.toml", ("tool", "ruff"))):
            if (path := self.root / name).is_file():
                table = tomllib.loads(path.read_text(encoding="utf-8"))
                for key in keys:
                    table = table.get(key, {})
                if "line-length" in table:
                    return table["line-length"]
        return 88

    def colab(self, stem: str) -> str:
        owner, name = self.owner_and_name
        return f"https://colab.research.google.com/github/{owner}/{name}/blob/{self.release}/notebooks/{stem}.ipynb"

    @property
    def install(self) -> str:
        return f'"diverse-diffusion @ git+{self.url}@{self.release}"'

    @cached_property
    def toc(self) -> list[str]:
        """Every page of the table of contents in order, as paths without suffix, relative to the root."""
        path = self.root / "book" / "_toc.yml"
        return list(toc_files(read_yaml(path, "book/_toc.yml"))) if path.is_file() else []

    @cached_property
    def references(self) -> dict[str, Reference]:
        return read_references(self.root / "book" / "references.bib")

    def master_paths(self) -> list[Path]:
        """All masters in the order of their numbers."""
        return sorted(path for path in (self.root / "book").glob("*.md") if MASTER_NAME.match(path.name))

    def shown(self, path: Path) -> str:
        path = path.resolve()
        return (
            path.relative_to(self.root.resolve()).as_posix() if path.is_relative_to(self.root.resolve()) else str(path)
        )

    def read(self, path: Path) -> Master:
        return read_master(path, self.shown(path))


def read_yaml(path: Path, shown: str) -> dict:
    """A YAML mapping, or one sentence."""
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BuildError(Problem(shown, 1, "the file is missing.")) from None
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", 0) + 1
        raise BuildError(Problem(shown, line, "the file is not YAML.")) from None
    return value or {}


def toc_files(entry: object) -> Iterator[str]:
    """The files named anywhere in a table of contents, in order."""
    if isinstance(entry, dict):
        for key in ("root", "file"):
            if key in entry:
                yield str(entry[key]).removesuffix(".md")
        for key in ("chapters", "parts", "sections"):
            yield from toc_files(entry.get(key))
    elif isinstance(entry, list):
        for item in entry:
            yield from toc_files(item)


@dataclass(frozen=True)
class Names:
    """What a page may refer to: equations and exercises with the stem of their chapter, pages, works cited."""

    equations: dict[str, str]
    exercises: dict[str, str]
    pages: set[str]
    references: dict[str, Reference]
    complete: bool = True  # False: some masters are absent, their names are taken on trust
    chapters: frozenset[int] = frozenset()

    def trusts(self, label: str) -> bool:
        """Whether an unknown label may belong to a chapter that is not written yet."""
        found = re.match(r"(?:eq|ex)-(\d+)-\d+$", label)
        return not self.complete and found is not None and int(found[1]) not in self.chapters


def names_of(project: Project, masters: list[Master], complete: bool = True) -> Names:
    """The names defined by these masters and by the table of contents."""
    equations, exercises = {}, {}
    for master in masters:
        for block, _ in walk(master.blocks, master.shown):
            if isinstance(block, Directive) and block.name == "math" and block.options.get("label"):
                equations.setdefault(block.options["label"], master.stem)
            if isinstance(block, Directive) and block.name == "exercise":
                exercises.setdefault(block.argument, master.stem)
    pages = {Path(entry).name for entry in project.toc if entry.startswith("book/")}
    pages |= {path.stem for path in (project.root / "book").glob("*.md")}
    chapters = frozenset(master.number for master in masters)
    return Names(equations, exercises, pages, project.references, complete, chapters)


def exercise_label(label: str) -> str | None:
    """ "4.2" for "ex-4-2"."""
    found = re.match(r"ex-(\d+)-(\d+)$", label)
    return f"{found[1]}.{found[2]}" if found else None


def equation_number(label: str) -> str:
    """ "4.3" for "eq-4-3"."""
    return ".".join(label.split("-")[1:])
