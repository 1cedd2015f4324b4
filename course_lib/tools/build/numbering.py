"""A Sphinx extension: a chapter has the number its file name begins with, and a page that is no chapter has none.

An equation has the number of its label, eq-5-17, so that one that moves to another chapter takes its number along.
"""

import re

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx_external_toc.collectors import TocTreeCollectorWithStyles


def renumber(env: BuildEnvironment) -> None:
    """Put the chapter's own number first in the section numbers of its title, its contents and its headings."""
    for name, numbers in env.toc_secnumbers.items():
        chapter = re.match(r"book/(\d+)_", name)
        if not chapter:
            unnumber(env, name)
            continue
        own = int(chapter[1])
        for anchor, number in numbers.items():
            numbers[anchor] = (own, *number[1:]) if number else number
        for node in [env.titles[name], *env.tocs[name].findall(nodes.reference)]:
            if node.get("secnumber"):
                node["secnumber"] = [own, *node["secnumber"][1:]]


def unnumber(env: BuildEnvironment, name: str) -> None:
    """Take a page's numbers away: one that stands between chapters would share its number with the next."""
    env.toc_secnumbers[name].clear()
    for node in [env.titles[name], *env.tocs[name].findall(nodes.reference)]:
        node.attributes.pop("secnumber", None)


def by_label(env: BuildEnvironment) -> None:
    """Give every labelled equation the number that its label says."""
    for figures in env.toc_fignumbers.values():
        for anchor in figures.get("displaymath", {}):
            if label := re.fullmatch(r"equation-eq-(\d+)-(\d+)", anchor):
                figures["displaymath"][anchor] = (int(label[1]), int(label[2]))


def setup(app: Sphinx) -> dict[str, bool]:
    """Renumber right after the numbers are given, before figures and equations take them over."""
    given = TocTreeCollectorWithStyles.assign_section_numbers
    if not getattr(given, "renumbered", False):

        def assign_section_numbers(self, env: BuildEnvironment) -> list[str]:
            rewritten = given(self, env)
            renumber(env)
            return rewritten

        assign_section_numbers.renumbered = True
        TocTreeCollectorWithStyles.assign_section_numbers = assign_section_numbers
        figured = TocTreeCollectorWithStyles.assign_figure_numbers

        def assign_figure_numbers(self, env: BuildEnvironment) -> list[str]:
            rewritten = figured(self, env)
            by_label(env)
            return rewritten

        TocTreeCollectorWithStyles.assign_figure_numbers = assign_figure_numbers
    return {"parallel_read_safe": True, "parallel_write_safe": True}
