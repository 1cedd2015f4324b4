"""Running chapters: the cache, what is said when a cell fails, what is kept and committed, the ledger, the site."""

import re

import nbformat
import pytest
from nbformat.v4 import new_markdown_cell

from course_lib.tools.build import execute, site
from course_lib.tools.build.ledger import Entry, ledger
from course_lib.tools.build.masters import BuildError
from course_lib.tools.build.notebooks import complete_notebook
from course_lib.tools.build.project import Declared
from tests.toy import CHAPTER, Course, cell, front

SMALL = (
    front(1, "Toy")
    + "Hello.\n\n"
    + cell("import course_lib\n\nprint(course_lib.CONSTANT)", ":tags: [nbval-check-output]")
)


@pytest.fixture
def small(tmp_path):
    """A course of one small chapter without exercises."""
    course = Course(tmp_path, SMALL, other=None, declarations=lambda number: Declared({}))
    course.write("book/_toc.yml", "format: jb-book\nroot: book/welcome\nchapters: [{file: book/01_toy}]\n")
    return course


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The toy course with its site."""
    course = Course(tmp_path_factory.mktemp("built"))
    course.build("--jobs", "2")
    return course


def printed(course) -> str:
    notebook = nbformat.read(course.root / "solutions" / "01_toy.ipynb", as_version=4)
    return "".join(output.text for one in notebook.cells for output in one.get("outputs", []))


def test_an_edit_of_the_library_makes_a_chapter_run_again(small, capsys):
    small.build("--chapter", "1")
    assert "ran in" in capsys.readouterr().out
    assert printed(small) == "3.14159\n"
    small.build("--chapter", "1")
    assert "unchanged since its last run" in capsys.readouterr().out
    small.change("course_lib/__init__.py", "3.14159", "2.71828")
    small.build("--chapter", "1")
    assert "ran in" in capsys.readouterr().out
    assert printed(small) == "2.71828\n"


@pytest.mark.parametrize(
    ("name", "text", "again"),
    [
        ("course_lib/exercises/ch01.py", "EXERCISES = []\n", True),
        ("course_lib/results/long.npz", "numbers", True),
        ("constraints.txt", "x==2\n", True),
        ("course_lib/tools/build/site.py", "A = 1\n", False),
        ("course_lib/__pycache__/x.pyc", "bytes", False),
        ("book/welcome.md", "# Another\n", False),
        ("README.md", "Read\n", False),
    ],
)
def test_the_cache_knows_what_a_chapter_depends_on(small, name, text, again):
    def key():
        project, master = small.project, small.master()
        return execute.execution_key(project, complete_notebook(project, master, small.names()))

    before = key()
    small.write(name, text)
    assert (key() != before) == again


def test_prose_changes_without_a_run_and_code_does_not(small, monkeypatch):
    small.build("--chapter", "1")
    monkeypatch.setattr(execute, "execute", lambda *_: pytest.fail("ran"))
    small.change("book/01_toy.md", "Hello.", "Good day.")
    small.build("--chapter", "1")
    assert "Good day." in small.read("solutions/01_toy.ipynb")
    small.change("book/01_toy.md", "CONSTANT)", "CONSTANT + 1)")
    with pytest.raises(pytest.fail.Exception, match="ran"):
        small.build("--chapter", "1")


def test_a_failing_cell_is_one_sentence_at_its_line(small):
    small.write("book/01_toy.md", SMALL + "\n" + cell("total = 0\nfor n in range(3):\n    total += 1 / (1 - n)"))
    with pytest.raises(BuildError) as raised:
        small.build("--chapter", "1")
    line = small.read("book/01_toy.md").split("\n").index("    total += 1 / (1 - n)") + 1
    expected = f"book/01_toy.md:{line}: chapter 1 stops in the cell 'total = 0': ZeroDivisionError: division by zero."
    assert str(raised.value) == expected


def test_a_dead_kernel_is_a_sentence_too(small):
    small.write("book/01_toy.md", SMALL + "\n" + cell("import os\n\nos._exit(1)"))
    with pytest.raises(BuildError, match=r"chapter 1 stops in the cell 'import os': the kernel died"):
        small.build("--chapter", "1")


def test_a_failed_chapter_is_not_cached(small):
    small.write("book/01_toy.md", SMALL + "\n" + cell("1 / 0"))
    for _ in range(2):
        with pytest.raises(BuildError, match="ZeroDivisionError"):
            small.build("--chapter", "1")


def test_warnings_may_not_reach_the_page(small):
    small.write("book/01_toy.md", SMALL + "\n" + cell('import warnings\n\nwarnings.warn("careful", stacklevel=1)'))
    with pytest.raises(BuildError, match=r"this cell writes to standard error: .*careful"):
        small.build("--chapter", "1")


def test_what_a_cell_prints_over_time_is_one_output(small):
    """Where the kernel cuts a stream depends on the load of the machine, which must not reach a committed file."""
    slow = "import sys\n\nfor n in range(3):\n    print(n)\n    sys.stdout.flush()"
    small.write("book/01_toy.md", front(1, "Toy") + cell(slow, ":tags: [nbval-check-output]"))
    small.build("--chapter", "1")
    notebook = nbformat.read(small.root / "solutions" / "01_toy.ipynb", as_version=4)
    assert [one.outputs for one in notebook.cells if one.get("outputs")] == [
        [{"output_type": "stream", "name": "stdout", "text": "0\n1\n2\n"}]
    ]


def test_a_caption_belongs_to_one_figure(small):
    draw = "import matplotlib.pyplot as plt\n\nplt.plot([1])\nplt.show()\nplt.plot([2])\nplt.show()"
    small.write("book/01_toy.md", SMALL + "\n" + cell(draw, ":caption: Two.", ":alt: Two."))
    with pytest.raises(BuildError, match="this cell has one caption but displays 2 things"):
        small.build("--chapter", "1")


def test_a_tagged_cell_prints_text_only(small):
    small.write(
        "book/01_toy.md",
        front(1, "Toy") + cell('from IPython.display import HTML\n\nHTML("x")', ":tags: [nbval-check-output]"),
    )
    with pytest.raises(BuildError, match=r"01_toy\.md:\d+: this cell is tagged nbval-check-output and must print text"):
        small.build("--chapter", "1")


def test_peak_memory_and_seconds_are_recorded(built):
    (path,) = (built.root / ".cache" / "01_toy").glob("*.ipynb")
    cost = nbformat.read(path, as_version=4).metadata.course
    assert 0 < cost.seconds < 100
    assert 30 < cost.megabytes < 3000


def test_only_tagged_cells_keep_outputs(built):
    notebook = nbformat.read(built.root / "solutions" / "01_toy.ipynb", as_version=4)
    kept = [(one.metadata.tags, one.outputs) for one in notebook.cells if one.get("outputs")]
    assert kept == [(["nbval-check-output"], [{"output_type": "stream", "name": "stdout", "text": "3.14\n"}])]
    counts = [(one.execution_count, bool(one.outputs)) for one in notebook.cells if one.cell_type == "code"]
    assert set(counts) == {(1, True), (None, False)}  # nbval fails outputs without a count, and compares none


def test_committed_notebooks_agree_with_their_masters(built, capsys):
    built.build("--check")
    assert "notebooks/ and solutions/ are what the 2 masters give." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("folder", "change", "sentence"),
    [
        ("notebooks", lambda n: n.cells[2].update(source="# 1 Toys"), r"cell 3 \('# 1 Toy'\) differs .* in source"),
        ("notebooks", lambda n: n.cells[5].update(id="other"), "differs from its master in id"),
        ("notebooks", lambda n: n.cells[2].metadata.update(tags=["exercise"]), "differs from its master in tags"),
        ("notebooks", lambda n: n.cells.pop(), "it lacks cell"),
        ("notebooks", lambda n: n.cells.append(new_markdown_cell("more")), "it has cell"),
        ("notebooks", lambda n: n.cells[1].update(execution_count=1), "has outputs or a count"),
        ("notebooks", lambda n: n.metadata.kernelspec.update(name="julia"), "its metadata differ"),
        (
            "solutions",
            lambda n: [one.update(outputs=[]) for one in n.cells if one.cell_type == "code"],
            "keeps no output",
        ),
        ("solutions", lambda n: [one.metadata.pop("nbgrader", 0) for one in n.cells], "in nbgrader"),
    ],
)
def test_a_notebook_that_differs_is_named_with_its_cell(built, folder, change, sentence):
    path = built.root / folder / "01_toy.ipynb"
    good = path.read_text()
    notebook = nbformat.read(path, as_version=4)
    change(notebook)
    path.write_text(nbformat.writes(notebook))
    try:
        with pytest.raises(BuildError, match=sentence) as raised:
            built.build("--check")
        assert str(raised.value).startswith(f"{folder}/01_toy.ipynb:1: ")
    finally:
        path.write_text(good)


def test_a_stale_or_missing_or_stray_notebook_is_found(tmp_path):
    course = Course(tmp_path)
    with pytest.raises(BuildError, match=r"notebooks/01_toy\.ipynb:1: the notebook is missing"):
        course.build("--check")
    course.build("--notebooks-only")
    course.change("book/01_toy.md", "scale * x", "scale * x * 1")
    with pytest.raises(
        BuildError, match=r"solutions/01_toy\.ipynb:1: cell \d+ \('# exercise 1\.1'\) differs"
    ) as raised:
        course.build("--check")
    assert "notebooks/01_toy" not in str(raised.value)  # the stub is the same
    (tmp_path / "notebooks" / "09_old.ipynb").write_text("{}")
    with pytest.raises(BuildError, match=r"notebooks/09_old\.ipynb:1: this notebook has no master"):
        course.build("--check")


def test_outputs_survive_a_rewriting_of_prose_but_not_of_their_cell(small):
    small.build("--chapter", "1")
    small.change("book/01_toy.md", "Hello.", "Hello again.")
    small.build("--notebooks-only")
    assert printed(small) == "3.14159\n"
    small.change("book/01_toy.md", "CONSTANT)", "CONSTANT, 1)")
    small.build("--notebooks-only")
    assert printed(small) == ""


def test_building_twice_gives_the_same_bytes(tmp_path):
    texts = []
    for name in ("a", "b"):
        course = Course(tmp_path / name)
        course.build("--notebooks-only")
        texts.append([path.read_bytes() for path in sorted(course.root.rglob("*.ipynb"))])
    assert texts[0] == texts[1]
    assert len(texts[0]) == 4


def entry(number: str, verdict: str, reason: str = "", beside: str = "", **rows: str) -> Entry:
    data = {"number": number, "sentence": "So it is.", "verdict": verdict, "reason": reason, "beside": beside}
    return Entry("01_toy", data | {"rows": list(rows.items()), "kind": "effect" if "rule" in rows else "identity"})


def test_the_ledger_says_how_much_of_it_is_chance():
    """One in a hundred of what was judged; what has too few repeats was not judged, and is counted apart."""
    few = "n = 3 stored repeats, and the rule asks for 8"
    entries = [entry(f"1.{i}", "shown", beside="better", rule="above 1") for i in range(1, 31)]
    entries += [entry(f"1.{i}", "not shown", beside="not better", rule="above 1") for i in range(31, 41)]
    entries += [entry("1.41", "not shown", few, "not better", rule="above 1"), entry("1.42", "shown", rule="above 1")]
    told = ledger([*entries, entry("1.43", "cannot be tested here", rule="above 1"), entry("1.44", "holds")])
    assert "The rule judged 41 effects" in told
    assert "about 0.4 of them shown by chance. It called 31 shown, and 30 of these beyond their baseline" in told
    assert " 1 have fewer repeats than it asks for" in told


def test_the_ledger_keeps_the_rule_both_verdicts_and_the_first_wording():
    """n stands with the number; a claim without a publication is ours."""
    rule = "above 2 by Student's t, one-sided 1 %, over 8 repeats or more, whose runs are kept in a file"
    told = ledger(
        [
            entry("2.1", "shown", "", "not better", measured="3 ± 1 (standard error, n = 8)", rule=rule),
            Entry("01_toy", entry("2.2", "reproduced", rule=rule).data | {"rows": [("published", "9 (X 2024, Table 1)"),
                  ("rule", rule), ("first wording", "All ten. (not shown)")]}),
        ]
    )  # fmt: skip
    assert "above 2; t, 1 %, 8 repeats, stored; ours" in told
    assert "above 2; t, 1 %, 8 repeats, stored; published: 9 (X 2024, Table 1)" in told
    assert "**shown**; not better than the baseline" in told
    assert "**reproduced**. First worded: All ten. (not shown)" in told


def test_the_ledger_counts_sorts_and_hides_nothing():
    told = ledger(
        [
            entry("1.10", "holds", error="1e-9"),
            entry("1.9", "fails"),
            entry("2.1", "reproduced", measured="3 ± 1 (standard error, n = 5)"),
        ]
    )
    assert told.startswith("**3 claims in 1 chapter**: 1 holds, 1 reproduced, 1 fails.")
    assert re.findall(r"\* - \[([\d.]+)\]", told) == ["1.9", "1.10", "2.1"]
    assert told.index("**fails**") < told.index("1e-9") < told.index("3 ± 1 (n = 5)")


def test_the_ledger_page_has_the_claims_of_the_executed_chapters(built):
    text = built.read("_build/stage/book/ledger.md")
    assert "**2 claims in 1 chapter**: 1 holds, 1 fails." in text
    row = text[text.index("[1.2]") :].split("\n")[:6]
    assert row == [
        "[1.2](01_toy.ipynb) Claim \\| 1.2.",
        "  - 3 ± 1",
        "  - 2",
        "  - 1",
        "  - error at most its tolerance, and not so when broken",
        "  - **fails** (too small)",
    ]
    assert "Claim | 1.10." in re.sub(r"<[^>]+>", "", built.read("_build/html/book/ledger.html"))


def test_every_page_is_on_the_site_with_its_numbers(built):
    page = built.read("_build/html/book/01_toy.html")
    assert '<h1><span class="section-number">1 </span>Toy' in page
    assert '<span class="section-number">1.2 </span>Looking' in page
    assert site.equation_on(page, "eq-1-1") == "(1.1)"
    other = built.read("_build/html/book/02_other.html")
    assert site.equation_on(other, "eq-2-1") == "(2.1)"
    assert 'href="01_toy.html#equation-eq-1-1">(1.1)</a>' in other
    assert 'href="01_toy.html#ex-1-1"' in other
    assert "(2.1)</a>" in page


def test_the_page_of_a_chapter_has_all_that_a_reader_needs(built):
    page = built.read("_build/html/book/01_toy.html")
    for wanted in (
        f"https://colab.research.google.com/github/somebody/toy/blob/{built.project.release}/notebooks/01_toy.ipynb",
        "Exercise 1.1 · The double — 2 points · difficulty 2/5 · importance 5/5 · 10 minutes",
        "Hint 2",
        "Solution of 1.1",
        "A secret rubric.",
        'alt="A line."',
        "What is twice 2?",
        "on one thread of a CPU",
        "Song",
    ):
        assert wanted in page, wanted
    assert page.count("01_toy.ipynb") >= 3
    assert "### BEGIN SOLUTION" not in page
    stub, solution, check = (page.index(text) for text in ("Exercise 1.1: the double", ">doubled</span>", "1.1 passed"))
    assert stub < page.index("Hint 1") < solution < check
    staged = nbformat.read(built.root / "_build" / "stage" / "book" / "01_toy.ipynb", as_version=4)
    kinds = {kind for one in staged.cells for output in one.get("outputs", []) for kind in output.get("data", {})}
    assert kinds == {"text/plain", "text/html", "image/png"}


def test_an_unchanged_page_is_not_staged_again(built):
    path = built.root / "_build" / "stage" / "book" / "01_toy.ipynb"
    files = {
        p.relative_to(path.parents[1]).as_posix(): p.read_bytes() for p in path.parents[1].rglob("*") if p.is_file()
    }
    before = path.stat().st_mtime_ns
    (path.parent / "gone.md").write_text("# Old page\n")
    site.synchronise(path.parents[1], files)
    assert path.stat().st_mtime_ns == before
    assert not (path.parent / "gone.md").exists()


def test_a_page_without_its_number_or_its_file_stops_the_build(built):
    project, names = built.project, built.names()
    chapters = [built.master(), built.master("02_other")]
    site.verify(project, chapters, names)
    page = built.read("_build/html/book/01_toy.html")
    try:
        built.write("_build/html/book/01_toy.html", page.replace('class="eqno">(1.1)', 'class="eqno">(1.7)'))
        with pytest.raises(BuildError, match=r"the site numbers eq-1-1 \(1\.7\), not \(1\.1\)"):
            site.verify(project, chapters, names)
        built.write(
            "_build/html/book/01_toy.html", page.replace('section-number">1 </span>Toy', 'section-number">4 </span>Toy')
        )
        with pytest.raises(BuildError, match="the site gives this chapter the number 4"):
            site.verify(project, chapters, names)
        (built.root / "_build/html/book/01_toy.html").unlink()
        with pytest.raises(BuildError, match=r"The site lacks the pages book/01_toy"):
            site.verify(project, chapters, names)
    finally:
        built.write("_build/html/book/01_toy.html", page)


def test_a_warning_of_sphinx_stops_the_build_at_the_line_of_the_master(tmp_path):
    course = Course(
        tmp_path, CHAPTER.replace("Some text.", "Some text.\n\nA [foot](https://x.org) note[^none] and {eq}`eq-1-1`.")
    )
    course.change("book/welcome.md", "(01_toy.md)", "(gone.md)")
    with pytest.raises(BuildError) as raised:
        course.build()
    assert "book/welcome.md:3: WARNING" in str(raised.value)
    assert not (tmp_path / "_build" / "html").exists()


def test_what_moved_is_found_on_the_site_by_its_old_and_its_new_address(tmp_path):
    """An equation keeps its number in another chapter, the old page its anchors, and the next equation its number."""
    old = "```{moved} 02_other\n:was: sums, eq-1-1\n\nIn [the other](02_other.md#sums): {eq}`eq-1-1`.\n```\n\n"
    left = front(1, "Toy") + old + "## Rest\n\n```{math}\n:label: eq-1-2\n\ny = 2\n```\n"
    taken = front(2, "Other").replace("needs: []", "needs: [], keeps: [eq-1-1]")
    taken += "## Sums\n\n```{math}\n:label: eq-2-1\n\nz = 3\n```\n\n```{math}\n:label: eq-1-1\n\nx = 1\n```\n"
    course = Course(tmp_path, left, taken, declarations=lambda number: Declared({}))
    course.change("_config.yml", "config: {", "config: {myst_heading_anchors: 3, ")
    course.build("--jobs", "2")
    toy, other = (course.read(f"_build/html/book/{name}.html") for name in ("01_toy", "02_other"))
    assert 'id="sums"' in toy
    assert 'id="equation-eq-1-1"' in toy
    assert 'href="02_other.html#sums"' in toy
    assert 'href="02_other.html#equation-eq-1-1">(1.1)</a>' in toy
    numbers = [site.equation_on(page, f"eq-{n}") for page, n in ((toy, "1-2"), (other, "1-1"), (other, "2-1"))]
    assert numbers == ["(1.2)", "(1.1)", "(2.1)"]
