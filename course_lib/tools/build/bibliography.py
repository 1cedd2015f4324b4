"""references.bib as plain text, for notebooks: who said it where, and how it is cited in a sentence."""

from dataclasses import dataclass
from pathlib import Path

from course_lib.tools.build.masters import BuildError, Problem


@dataclass(frozen=True)
class Reference:
    """One work: the last names of its authors, and what a reader needs to find it."""

    key: str
    names: tuple[str, ...]
    authors: str
    year: str
    title: str
    venue: str
    url: str

    @property
    def who(self) -> str:
        """One author by name, two joined, three or more as the first et al."""
        if len(self.names) > 2:
            return f"{self.names[0]} et al."
        return " and ".join(self.names)

    def textual(self) -> str:
        return f"{self.who} ({self.year})"

    def parenthetical(self) -> str:
        return f"{self.who}, {self.year}"

    def entry(self) -> str:
        """A line of the list of references."""
        end = "" if self.title.endswith(("?", "!", ".")) else "."
        venue = f" {self.venue}, {self.year}." if self.venue else f" {self.year}."
        link = f" [{self.url}]({self.url})" if self.url else ""
        return f"- {self.authors}. *{self.title}*{end}{venue}{link}"


def read_references(path: Path) -> dict[str, Reference]:
    """Every entry of a BibTeX file by its key; an absent file has none."""
    from pybtex.database import parse_file
    from pybtex.exceptions import PybtexError

    if not path.is_file():
        return {}
    try:
        entries = parse_file(str(path), bib_format="bibtex", encoding="utf-8").entries
    except PybtexError as error:
        line = getattr(error, "lineno", None) or 1
        raise BuildError(Problem(f"book/{path.name}", line, f"the bibliography cannot be read ({error}).")) from None
    return {key: reference(key, entry) for key, entry in entries.items()}


def reference(key: str, entry) -> Reference:
    """A pybtex entry with braces and LaTeX accents resolved."""
    people = entry.persons.get("author") or entry.persons.get("editor") or []
    full = [plain(" ".join(p.first_names + p.middle_names + p.prelast_names + p.last_names)) for p in people]
    names = tuple(plain(" ".join(p.prelast_names + p.last_names)) for p in people)
    fields = entry.fields
    venue = next((plain(fields[k]) for k in ("journal", "booktitle", "publisher", "howpublished") if k in fields), "")
    authors = ", ".join(full) if len(full) < 5 else f"{', '.join(full[:3])} and others"
    return Reference(
        key, names, authors, fields.get("year", "n.d."), plain(fields.get("title", key)), venue, link(fields)
    )


def plain(latex: str) -> str:
    """LaTeX text as plain text."""
    from pybtex.richtext import Text

    return " ".join(str(Text.from_latex(latex)).replace("~", " ").split())


def link(fields) -> str:
    """Where to read it: the url, else the DOI, else arXiv."""
    if fields.get("url"):
        return fields["url"]
    if fields.get("doi"):
        return f"https://doi.org/{fields['doi']}"
    arxiv = fields.get("eprint", "")
    return f"https://arxiv.org/abs/{arxiv}" if arxiv else ""
