"""The ledger: every claim of every chapter, failed ones included, as a table for book/ledger.md."""

from collections import Counter
from dataclasses import dataclass

import nbformat

CLAIM = "application/vnd.course.claim+json"
COLUMNS = ("Claim", "Measured", "Baseline", "Control", "Published", "Verdict")
VERDICTS = ("holds", "reproduced", "not reproduced", "fails", "cannot be tested here")
WIDTHS = "34 16 16 16 9 9"


@dataclass(frozen=True)
class Entry:
    """A claim as it stands in an executed notebook."""

    stem: str
    data: dict

    @property
    def order(self) -> tuple[int, ...]:
        return tuple(int(part) for part in self.data["number"].split("."))

    def row(self, *labels: str) -> str:
        """The text of the first of these rows that the claim has."""
        rows = dict(map(tuple, self.data["rows"]))
        text = next((rows[label] for label in labels if label in rows), "–")
        return text.replace("(standard error, n = ", "(n = ")


def claims_of(stem: str, notebook: nbformat.NotebookNode) -> list[Entry]:
    """The claims a chapter's cells displayed."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [Entry(stem, output["data"][CLAIM]) for output in outputs if CLAIM in output.get("data", {})]


def ledger(entries: list[Entry]) -> str:
    """The table in MyST Markdown, with the counts over it."""
    if not entries:
        return "No chapter has made a claim yet."
    entries = sorted(entries, key=lambda entry: entry.order)
    rows = [row([f"**{name}**" for name in COLUMNS])] + [row(cells(entry)) for entry in entries]
    table = f"````{{list-table}}\n:header-rows: 1\n:widths: {WIDTHS}\n:class: ledger\n\n" + "\n".join(rows) + "\n````"
    return f"{counts(entries)}\n\n{table}"


def counts(entries: list[Entry]) -> str:
    """How many claims there are and how they came out."""
    found = Counter(entry.data["verdict"] for entry in entries)
    names = [*VERDICTS, *sorted(set(found) - set(VERDICTS))]
    parts = [f"{found[name]} {name}" for name in names if found[name]]
    chapters = len({entry.stem for entry in entries})
    claims = "1 claim" if len(entries) == 1 else f"{len(entries)} claims"
    told = f"**{claims} in {chapters} chapter{'' if chapters == 1 else 's'}**: {', '.join(parts)}."
    return f"{told} Behind ± stands one standard error, n is the number of repeats."


def cells(entry: Entry) -> list[str]:
    """One line of the table; an identity has its error and, as control, the variant that was broken on purpose."""
    data = entry.data
    reason = f" ({plain(data['reason'])})" if data.get("reason") else ""
    return [
        f"[{data['number']}]({entry.stem}.ipynb) {plain(data['sentence'])}",
        plain(entry.row("measured", "error")),
        plain(entry.row("baseline")),
        plain(entry.row("control", "broken on purpose")),
        plain(entry.row("published")),
        f"**{data['verdict']}**{reason}",
    ]


def row(texts: list[str]) -> str:
    first, *others = texts
    return "\n".join([f"* - {first}", *(f"  - {text}" for text in others)])


def plain(text: str) -> str:
    """Text that Markdown leaves alone and that stays on its line."""
    for character in "\\*_`$[]<>{}|~":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())
