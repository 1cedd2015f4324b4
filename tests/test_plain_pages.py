"""Pages that are no chapters: what is filled in, and what is refused."""

from types import SimpleNamespace

import pytest

from course_lib.tools.build.masters import BuildError, Code, Directive, Master, Text
from course_lib.tools.build.plain_pages import fill
from course_lib.tools.build.project import Declared, Project

EXERCISES = {
    "4.1": SimpleNamespace(
        id="4.1", title="The kernel", kind="function", points=2, difficulty=1, minutes=5, rubric="", further=True
    ),
    "4.2": SimpleNamespace(
        id="4.2",
        title="A judgement",
        kind="judged",
        points=1,
        difficulty=3,
        minutes=15,
        rubric="1 point: says why.",
        further=False,
    ),
}


@pytest.fixture
def filled(tmp_path):
    """A function from a page's text to what becomes of it."""
    config = "repository: {url: https://github.com/somebody/thing, branch: main}\n"
    (tmp_path / "_config.yml").write_text(config)
    project = Project(tmp_path, lambda number: Declared(EXERCISES if number == 4 else {}))
    path = tmp_path / "04_repulsion.md"
    text = Text(1, "# Repel\n\n" + "word " * 400)  # 402 words: three minutes, begun
    hint = Directive(9, "hint", "4.1", {}, "hidden " * 1000, 10)
    fold = Directive(12, "dropdown", "More", {}, "folded " * 1000, 13)
    header = {"paths": ["workshop", "lab"]}
    master = Master(path, "book/04_repulsion.md", 4, "Repel", header, [text, Code(8, "x = 1", {}, 8), hint, fold])

    def page(text: str) -> str:
        (tmp_path / "page.md").write_text(text)
        return fill(tmp_path / "page.md", project, [master], {"04_repulsion": 0.52})

    return page


def test_addresses_come_from_the_configuration(filled):
    assert (
        filled("```bash\ngit clone {{ repository }} x\n```")
        == "```bash\ngit clone https://github.com/somebody/thing x\n```"
    )
    assert filled("{{install}}") == "diverse-diffusion @ git+https://github.com/somebody/thing@main"
    assert filled("{{ site }} {{ branch }}") == "https://somebody.github.io/thing main"


def test_chapters_have_times_and_links(filled):
    row = filled("{{ chapters }}").splitlines()[-1]
    colab = "https://colab.research.google.com/github/somebody/thing/blob/main/notebooks/04_repulsion.ipynb"
    assert row == f"| [4. Repel](04_repulsion.md) | workshop, lab | 15 min + 5 | 0.5 min | [Open in Colab]({colab}) |"


def test_cards_tell_the_minutes_that_the_master_and_the_declarations_give(filled):
    card = filled("{{ cards }}")
    assert (
        "**[4. Repel](04_repulsion.md)**\n\n3 min to read · 15 min of exercises and 5 of further ones\n\n[Open in Colab](https://"
        in card
    )
    assert card.count(":::{grid-item-card}") == 1


def test_exercises_are_added_up(filled):
    lines = filled("{{ exercises }}").splitlines()
    assert lines[2] == "| 4.1 | The kernel | function, further | 2 | 1/5 | 5 min |"
    assert lines[3] == "| 4.2 | A judgement | judged | 1 | 3/5 | 15 min |"
    assert lines[-1] == "|  | **chapter 4** |  | **3** |  | **20 min** |"


def test_rubrics_are_those_of_judged_exercises(filled):
    text = filled("{{ rubrics }}")
    assert text.startswith("### 4.2 A judgement\n\n1 point, [chapter 4](04_repulsion.md).\n\n1 point: says why.")
    assert "The kernel" not in text


def test_files_of_the_root_are_taken_in_without_their_title(filled, tmp_path):
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n<!-- begin -->\n\n## 0.1.0\n\nnews\n")
    assert filled("# Title\n\n{{ changelog }}\n") == "# Title\n\n## 0.1.0\n\nnews\n"


def test_scripts_of_stored_results_say_what_they_make_and_how_long_that_takes(filled, tmp_path):
    """From their docstrings; a script that does not say its time is refused."""
    scripts = tmp_path / "course_lib" / "tools" / "precompute"
    scripts.mkdir(parents=True)
    (scripts / "ch04_ring.py").write_text('"""Rings: all of them.\n\nResumable. About two minutes\non one core.\n"""')
    row = "| `course precompute ch04_ring` | Rings: all of them | About two minutes on one core |"
    assert filled("{{ stored }}").splitlines()[2:] == [row]
    (scripts / "ch05_more.py").write_text('"""More rings. Quick."""')
    with pytest.raises(BuildError, match=r"ch05_more.py.*must say how long"):
        filled("{{ stored }}")


def test_an_unknown_name_is_a_sentence_with_its_line(filled):
    with pytest.raises(BuildError, match=r"page\.md:3: \{\{ repo \}\} is unknown: use one of branch, "):
        filled("# Title\n\n{{ repo }}\n")
