"""The ledger: every claim of every chapter, failed ones included, as a table a chapter for book/ledger.md."""

from collections import Counter
from dataclasses import dataclass
from itertools import groupby

import nbformat

CLAIM = "application/vnd.course.claim+json"
COLUMNS = ("Claim", "Measured", "Baseline", "Control", "Rule", "Verdict")
VERDICTS = ("holds", "shown", "reproduced", "not shown", "not reproduced", "fails", "cannot be tested here")
WIDTHS = "32 14 14 14 14 12"


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
    """The tables in MyST Markdown, with the counts over them."""
    if not entries:
        return "No chapter has made a claim yet."
    entries = sorted(entries, key=lambda entry: entry.order)
    chapters = [list(group) for _, group in groupby(entries, key=lambda entry: entry.order[0])]
    return "\n\n".join([counts(entries), *map(chapter, chapters)])


def chapter(entries: list[Entry]) -> str:
    """The claims of one chapter under its heading."""
    first = entries[0]
    rows = [row([f"**{name}**" for name in COLUMNS])] + [row(cells(entry)) for entry in entries]
    table = f"````{{list-table}}\n:header-rows: 1\n:widths: {WIDTHS}\n:class: ledger\n\n" + "\n".join(rows) + "\n````"
    return f"## Chapter {first.order[0]}: {first.stem[3:].replace('_', ' ')}\n\n{table}"


def counts(entries: list[Entry]) -> str:
    """How many claims there are and how they came out."""
    found = Counter(entry.data["verdict"] for entry in entries)
    names = [*VERDICTS, *sorted(set(found) - set(VERDICTS))]
    parts = [f"{found[name]} {name}" for name in names if found[name]]
    chapters = len({entry.stem for entry in entries})
    claims = "1 claim" if len(entries) == 1 else f"{len(entries)} claims"
    told = f"**{claims} in {chapters} chapter{'' if chapters == 1 else 's'}**: {', '.join(parts)}."
    return f"{told} Behind ± stands one standard error, n is the number of repeats.\n\n{by_chance(entries)}"


def by_chance(entries: list[Entry]) -> str:
    """How many effects the rule would call shown if there were none, and how the shown ones stand over baselines."""
    effects = [entry.data for entry in entries if entry.data.get("kind") == "effect"]
    few = sum("the rule asks" in one["reason"] for one in effects)
    judged = len([one for one in effects if one["verdict"] != "cannot be tested here"]) - few
    shown = [one for one in effects if one["verdict"] in ("shown", "reproduced")]
    ahead = sum(one["beside"] in ("better", "worse") for one in shown)
    told = f"The rule judged {judged} effects by 1 % each: if none of them were there, it would call about "
    told += f"{0.01 * judged:.1f} of them shown by chance. It called {len(shown)} shown, and {ahead} of these beyond "
    told += "their baseline at equal calls (better, or worse where the claim is of a harm)."
    return told + (f" {few} have fewer repeats than it asks for, and count as not shown." if few else "")


def cells(entry: Entry) -> list[str]:
    """One line of the table; an identity has its error and, as control, the variant that was broken on purpose."""
    data = entry.data
    reason = f" ({plain(data['reason'])})" if data.get("reason") else ""
    beside = f"; {data['beside']} than the baseline" if data.get("beside") else ""
    first = entry.row("first wording")
    first = "" if first == "–" else f". First worded: {plain(first)}"
    return [
        f"[{data['number']}]({entry.stem}.ipynb) {plain(data['sentence'])}",
        plain(entry.row("measured", "error")),
        plain(entry.row("baseline")),
        plain(entry.row("control", "broken on purpose")),
        plain(rule(entry)),
        f"**{data['verdict']}**{reason}{beside}{first}",
    ]


def rule(entry: Entry) -> str:
    """What had to be exceeded, by which rule, and whether a publication says so: "ours" where none does."""
    if entry.data.get("kind") != "effect":
        return "error at most its tolerance, and not so when broken"
    published = entry.row("published")
    said = entry.row("rule").replace(" by Student's t, one-sided 1 %, over", "; t, 1 %,").replace(" or more", "")
    said = said.replace(", run on this page", ", live").replace(", whose runs are kept in a file", ", stored")
    return f"{said}; {'ours' if published == '–' else 'published: ' + published}"


def row(texts: list[str]) -> str:
    first, *others = texts
    return "\n".join([f"* - {first}", *(f"  - {text}" for text in others)])


def plain(text: str) -> str:
    """Text that Markdown leaves alone and that stays on its line."""
    for character in "\\*_`$[]<>{}|~":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())
