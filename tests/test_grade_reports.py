"""What is written from the results of a class: values, formats, escaping, and marks by hand that are never lost."""

import csv
import io
import json
import random
import re
import unicodedata
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from course_lib.exercises import exercises
from course_lib.tools import cli
from course_lib.tools.grade.collected.naming import Named, canvas, moodle
from course_lib.tools.grade.collected.normal import words
from course_lib.tools.grade.marked.result import Mark, Result
from course_lib.tools.grade.reported import imports as reports_imports
from course_lib.tools.grade.reported import pages as reports_pages
from course_lib.tools.grade.reported import plots as reports_plots
from course_lib.tools.grade.reported import sheet as reports_sheet
from course_lib.tools.grade.reported import tables as reports_tables
from course_lib.tools.grade.reported import write as reports
from course_lib.tools.grade.reported.rosters import NEEDED
from course_lib.tools.grade.reported.tables import loaded, safe, shown, tidy, unsafe

CHAPTER = exercises(4)
RUN = [one for one in CHAPTER if one.kind != "judged"]
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "＝", "＋", "－", "＠")  # what spreadsheets calculate
NAMES = {
    "plain": "Ada Example",
    "equals": '=HYPERLINK("http://example.org","x")',
    "plus": "+1 Plus",
    "minus": "-2+3 Minus",
    "at": "@SUM(A1)",
    "tab": "\t=1+1",
    "wide": "＝1+1",
    "comma": 'Comma, "Quoted" O\'Name',
    "newline": "Line\r\nBreak",
    "script": "<script>alert('x')</script> & <img src=x onerror=alert(1)>",
    "right": "دانا الحسن",
    "turning": "eve\u202e31 fo 91\u2066",
    "chinese": "王小明",
    "same-1": "Sam Same",
    "same-2": "Sam Same",
    "null": "Nu\0ll",
    "surrogate": "Half \ud83d",
}


def result(key="plain", name=None, statuses=(), wrong=None, file="", digest="d" * 64, seed="T", problems=()):
    """A submission in which the exercises end as listed, the others passed."""
    marks = {one.id: Mark("passed", float(one.points), one.points) for one in RUN}
    for one, status in zip(RUN, statuses):
        points = one.points if status == "passed" else 0
        sentence = one.wrong[wrong].sentence if status == "wrong" and wrong is not None else ""
        marks[one.id] = Mark(status, float(points), one.points, sentence, wrong if status == "wrong" else None)
    name, file = NAMES.get(key, key) if name is None else name, file or f"{key}/04.ipynb"
    one = next(filter(None, (named(file.split("/")[0]) for named in (moodle, canvas))), Named("", "", ""))
    return Result(key, name, file, digest, seed, 4, marks, problems, one.system.lower(), one.number)


@pytest.fixture(autouse=True)
def without_plots(request, monkeypatch):
    """The class page without its plots, which take a second, except where a test asks for `plots`."""
    if "plots" not in request.fixturenames:
        for name in ("distribution", "outcomes"):
            monkeypatch.setattr(reports_pages, name, lambda *args: "<svg></svg>")


@pytest.fixture
def plots():
    """Asks for the plots."""


@pytest.fixture
def everybody():
    """One student for each hostile name, each with another mistake."""
    return [result(key, statuses=["wrong"] * (n % 4), wrong=n % 3) for n, key in enumerate(NAMES)]


def table(path, encoding="utf-8-sig"):
    """The rows of a written table as dictionaries, read without our reader."""
    return list(csv.DictReader(io.StringIO(path.read_text(encoding), newline="")))


def fill(path, changes, separator=",", encoding="utf-8-sig", comma=False):
    """Change cells of a sheet, {(key, column): text}, and save it as a spreadsheet would."""
    rows = table(path)
    for (key, column), text in changes.items():
        [row] = [row for row in rows if unsafe(row["key"]) == key]
        row[column] = text
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, rows[0], delimiter=separator)
    writer.writeheader()
    writer.writerows(
        {k: v.replace(".", ",") if comma and re.fullmatch(r"\d+\.\d+", v) else v for k, v in row.items()}
        for row in rows
    )
    path.write_bytes(text.getvalue().encode(encoding))


# the grade sheet


def test_the_sheet_has_a_row_a_student_and_a_column_an_exercise(tmp_path):
    marks = result("b", "Bea", ["wrong", "not attempted", "timeout"], 2)
    said = reports.write_all([marks, result("a", "Ann")], tmp_path)
    first, second = table(tmp_path / "grades.csv")
    heads = [f"{one.id} (of {one.points})" for one in CHAPTER]
    after = ["total", "of", "to mark", "problems", "file", "graded"]
    assert list(first) == ["key", "name", *heads, "adjustment", "comment", *after]
    assert [first[head] for head in heads] == ["1", "2", "2", "2", "2", "3", "4", ""]
    assert [second[head] for head in heads] == ["0", "0", "0", "2", "2", "3", "4", ""]
    assert (first["total"], first["of"], first["to mark"]) == ("16", "19", "4.8")
    assert (second["total"], second["key"], second["name"]) == ("11", "b", "Bea")
    assert said == [
        f"{name} has no grade yet for 2 of 2: mark 4.8 in grades.csv and run again."
        for name in ("canvas.csv", "moodle.csv")
    ]


def test_an_exercise_that_the_result_does_not_know_is_missing(tmp_path):
    bare = replace(result(), exercises={}, problems=["The file is no notebook."])
    reports.write_all([bare], tmp_path)
    [row] = table(tmp_path / "grades.csv")
    assert (row["4.1 (of 1)"], row["total"], row["problems"]) == ("0", "0", "The file is no notebook.")
    assert "The cell of this exercise is missing." in (tmp_path / "feedback/plain.html").read_text()


def test_marks_by_hand_come_back_from_the_sheet_and_count(tmp_path):
    both = [result("a", "Ann"), result("b", "Bea")]
    reports.write_all(both, tmp_path)
    fill(tmp_path / "grades.csv", {("a", "4.8 (of 3)"): "2.5", ("a", "adjustment"): "-1", ("a", "comment"): "Neat."})
    said = reports.write_all(both, tmp_path)
    first, second = table(tmp_path / "grades.csv")
    assert (first["4.8 (of 3)"], first["adjustment"], first["comment"]) == ("2.5", "-1", "Neat.")
    assert (first["total"], first["to mark"], second["to mark"]) == ("17.5", "", "4.8")
    assert table(tmp_path / "canvas.csv", "utf-8")[1]["Chapter 4"] == "17.5"
    assert "canvas.csv has no grade yet for 1 of 2: mark 4.8 in grades.csv and run again." in said
    page = (tmp_path / "feedback/a.html").read_text()
    assert "Neat." in page
    assert "Adjusted by hand: −1 points." in page
    assert "<b>17.5</b> of 19 points" in page


def test_nobody_is_sent_half_a_grade(tmp_path):
    """Until the words are marked the imports have no line: an empty one would take away what is there."""
    one = result("a", "Ann", ["wrong"], 1, file="Ann_101_assignsubmission_file_/04.ipynb")
    reports.write_all([one], tmp_path)
    assert len(table(tmp_path / "canvas.csv", "utf-8")) == 1  # the points possible
    assert list(moodle_reads(tmp_path / "moodle.csv")) == []
    fill(tmp_path / "grades.csv", {("a", "4.8 (of 3)"): "0"})
    assert reports.write_all([one], tmp_path) == []
    assert table(tmp_path / "canvas.csv", "utf-8")[1]["Chapter 4"] == "15"
    assert [row[1:] for row in moodle_reads(tmp_path / "moodle.csv")] == [(15.0, f"4.1: {RUN[0].wrong[1].sentence}")]


def test_a_third_run_changes_no_byte(tmp_path):
    everyone = [result("a", "Ann"), result("b", "Bea", ["wrong"], 1)]
    reports.write_all(everyone, tmp_path)
    changes = {("a", "4.8 (of 3)"): "0", ("b", "comment"): '=1+1\nsecond line, "quoted"', ("b", "adjustment"): "0,5"}
    fill(tmp_path / "grades.csv", changes)
    reports.write_all(everyone, tmp_path)
    once = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    reports.write_all(everyone, tmp_path, sheet=tmp_path / "grades.csv")
    assert once == {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    assert table(tmp_path / "grades.csv")[1]["comment"] == '\'=1+1\nsecond line, "quoted"'


@pytest.mark.parametrize(
    ("separator", "encoding", "comma"),
    [(",", "utf-8", False), (";", "utf-8-sig", True), ("\t", "utf-16", True), (";", "utf-16", False)],
)
def test_sheets_are_read_as_spreadsheets_save_them(tmp_path, everybody, separator, encoding, comma):
    reports.write_all(everybody, tmp_path)
    plain = (tmp_path / "grades.csv").read_bytes()
    changes = {(one.key, "4.8 (of 3)"): shown((n % 7) / 2) for n, one in enumerate(everybody)}
    fill(tmp_path / "grades.csv", changes, separator, encoding, comma)
    reports.write_all(everybody, tmp_path)
    rows = {row["key"]: row for row in table(tmp_path / "grades.csv")}
    assert {key: rows[key]["4.8 (of 3)"] for key, _ in changes} == {key: mark for (key, _), mark in changes.items()}
    fill(tmp_path / "grades.csv", {(key, "4.8 (of 3)"): "" for key, _ in changes})
    assert [row["name"] for row in table(tmp_path / "grades.csv")] == [r["name"] for r in rows.values()]
    (tmp_path / "grades.csv").unlink()
    reports.write_all(everybody, tmp_path)
    assert (tmp_path / "grades.csv").read_bytes() == plain


def test_a_filled_sheet_elsewhere_wins_over_the_one_that_is_there(tmp_path):
    reports.write_all([result("a", "Ann")], tmp_path)
    other = tmp_path / "filled.csv"
    other.write_bytes((tmp_path / "grades.csv").read_bytes())
    fill(tmp_path / "grades.csv", {("a", "4.8 (of 3)"): "1", ("a", "comment"): "old"})
    fill(other, {("a", "4.8 (of 3)"): "2"})
    said = reports.write_all([result("a", "Ann")], tmp_path, sheet=other)
    [row] = table(tmp_path / "grades.csv")
    assert (row["4.8 (of 3)"], row["comment"]) == ("2", "old")
    assert "filled.csv, line 2: 4.8 of Ann is 2 now and was 1." in said


@pytest.mark.parametrize(
    ("cell", "column", "sentence"),
    [
        ("4", "4.8 (of 3)", "grades.csv, line 2 (Ann), 4.8: a number from 0 to 3 is due, got '4'."),
        ("-1", "4.8 (of 3)", "grades.csv, line 2 (Ann), 4.8: a number from 0 to 3 is due, got '-1'."),
        ("01. Mai", "4.8 (of 3)", "grades.csv, line 2 (Ann), 4.8: a number from 0 to 3 is due, got '01. Mai'."),
        ("nan", "4.8 (of 3)", "grades.csv, line 2 (Ann), 4.8: a number from 0 to 3 is due, got 'nan'."),
        ("1e9", "adjustment", "grades.csv, line 2 (Ann), adjustment: a number from -1000 to 1000 is due, got '1e9'."),
    ],
)
def test_a_mark_that_is_none_is_refused_before_anything_is_written(tmp_path, cell, column, sentence):
    reports.write_all([result("a", "Ann")], tmp_path)
    fill(tmp_path / "grades.csv", {("a", column): cell})
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    with pytest.raises(ValueError, match=re.escape(sentence)):
        reports.write_all([result("a", "Ann", ["wrong"], 1)], tmp_path)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*.*")}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "grades.csv is empty: a table with a line of headings is due."),
        ("key,name\n", "grades.csv has no column 4.8: start from the grades.csv of this chapter."),
        ("name,4.8 (of 3)\n", "grades.csv has no column key: start from the grades.csv of this chapter."),
        ("key,name,4.8 (of 3),4.8 (of 4)\n", "grades.csv has two columns '4.8 (of 4)': delete one."),
        ("key,name,comment,comment,4.8 (of 3)\n", "grades.csv has two columns 'comment': delete one."),
        ('key,name,4.8 (of 3)\n"a,b,1\n', "grades.csv is no table in CSV"),
        ("key,name,4.8 (of 3)\na,Ann,1\na,Ann,2\n", "grades.csv, line 2 and grades.csv, line 3 differ"),
    ],
)
def test_a_sheet_that_cannot_be_read_is_refused(tmp_path, text, sentence):
    (tmp_path / "grades.csv").write_text(text)
    with pytest.raises(ValueError, match=re.escape(sentence)):
        reports.write_all([result("a", "Ann")], tmp_path)
    assert (tmp_path / "grades.csv").read_text() == text


def test_a_sheet_in_another_encoding_is_read_by_evidence_or_refused(tmp_path):
    (tmp_path / "grades.csv").write_bytes("key,name,4.8 (of 3)\na,Zoë,1\n".encode("latin-1"))
    said = reports.write_all([result("a", "Zoë")], tmp_path)
    assert said[0] == "grades.csv does not say its encoding, and was read as cp1252: look at the names."
    (tmp_path / "grades.csv").write_bytes(b"key,name,4.8 (of 3)\na,Zo\x81\xff,1\n")
    with pytest.raises(ValueError, match=r"grades.csv is not in UTF-8: save it again as CSV UTF-8\."):
        reports.write_all([result("a", "Zoë")], tmp_path)


def test_a_key_that_a_spreadsheet_made_a_number_is_found_by_its_name(tmp_path):
    everyone = [result("007", "James"), result("same-1"), result("same-2")]
    reports.write_all(everyone, tmp_path)
    fill(tmp_path / "grades.csv", {("007", "4.8 (of 3)"): "3", ("same-1", "4.8 (of 3)"): "1"})
    fill(tmp_path / "grades.csv", {("007", "key"): "7", ("same-1", "key"): "same"})
    said = reports.write_all(everyone, tmp_path)
    rows = {row["key"]: row["4.8 (of 3)"] for row in table(tmp_path / "grades.csv")}
    assert rows == {"007": "3", "same-1": "", "same-2": "", "same": "1"}
    assert "Sam Same has marks in the sheet and no submission here." in said


def test_marks_of_somebody_without_a_submission_stay(tmp_path):
    reports.write_all([result("a", "Ann"), result("b", "Bea")], tmp_path)
    fill(tmp_path / "grades.csv", {("b", "4.8 (of 3)"): "3"})
    for _ in range(2):
        said = reports.write_all([result("a", "Ann")], tmp_path)
        assert "Bea has marks in the sheet and no submission here." in said
        first, second = table(tmp_path / "grades.csv")
        assert (second["key"], second["4.8 (of 3)"], second["total"]) == ("b", "3", "3")
        assert (second["4.1 (of 1)"], second["problems"]) == ("", "No submission in this run.")
    assert "Bea" not in (tmp_path / "canvas.csv").read_text()
    reports.write_all([result("a", "Ann"), result("b", "Bea")], tmp_path)
    assert [row["4.8 (of 3)"] for row in table(tmp_path / "grades.csv")] == ["", "3"]


def test_a_new_notebook_after_marking_is_pointed_out_once(tmp_path):
    reports.write_all([result("a", "Ann")], tmp_path)
    fill(tmp_path / "grades.csv", {("a", "4.8 (of 3)"): "3"})
    again = [result("a", "Ann", digest="e" * 64)]
    sentence = "Ann has another notebook, or seed, than when 4.8 was marked: look at it again."
    assert sentence in reports.write_all(again, tmp_path)
    assert sentence not in reports.write_all(again, tmp_path)
    assert table(tmp_path / "grades.csv")[0]["4.8 (of 3)"] == "3"


def test_an_automatic_mark_changed_by_hand_is_pointed_out(tmp_path):
    reports.write_all([result("a", "Ann", ["wrong"], 1)], tmp_path)
    fill(tmp_path / "grades.csv", {("a", "4.1 (of 1)"): "1"})
    said = reports.write_all([result("a", "Ann", ["wrong"], 1)], tmp_path)
    assert said[0].startswith("grades.csv, line 2: 4.1 of Ann is 1 there and 0 in this run; to change it by hand")
    assert table(tmp_path / "grades.csv")[0]["4.1 (of 1)"] == "0"


def test_without_words_a_class_has_its_grades_at_once(tmp_path):
    said = reports.write_all([result("a", "Ann")], tmp_path, words=False)
    assert said == []
    [row] = table(tmp_path / "grades.csv")
    assert (row["total"], row["of"], row["to mark"], row["4.8 (of 3)"]) == ("16", "16", "", "")
    assert table(tmp_path / "canvas.csv", "utf-8")[1]["Chapter 4"] == "16"
    assert "4.8" not in (tmp_path / "feedback/a.html").read_text()


def test_the_total_is_never_below_zero(tmp_path):
    none = [result("a", "Ann", ["wrong"] * 7, 1)]
    reports.write_all(none, tmp_path)
    fill(tmp_path / "grades.csv", {("a", "adjustment"): "-5"})
    reports.write_all(none, tmp_path)
    assert table(tmp_path / "grades.csv")[0]["total"] == "0"


# determinism and refusal


@pytest.mark.usefixtures("plots")
def test_the_order_of_the_results_changes_no_byte(tmp_path, everybody):
    reports.write_all(everybody, tmp_path / "one")
    random.Random(0).shuffle(everybody)
    reports.write_all(everybody, tmp_path / "two")
    one, two = (
        {p.relative_to(f): p.read_bytes() for p in f.rglob("*.*")} for f in (tmp_path / "one", tmp_path / "two")
    )
    assert one == two
    assert len(one) == 4 + 2 * len(everybody)


def test_nothing_is_left_beside_the_files(tmp_path, everybody):
    reports.write_all(everybody, tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")]
    assert {path.name for path in tmp_path.iterdir()} == {
        "grades.csv", "canvas.csv", "moodle.csv", "class.html", "feedback", "gradescope"
    }  # fmt: skip


@pytest.mark.parametrize("key", ["../outside", "a/b", "", "."])
def test_a_key_that_is_no_file_name_is_refused(tmp_path, key):
    with pytest.raises(ValueError, match="is no key"):
        reports.write_all([result(key, "Ann")], tmp_path)
    assert not list(tmp_path.iterdir())


def test_two_results_of_one_key_and_two_chapters_are_refused(tmp_path):
    with pytest.raises(ValueError, match="Two results have the same key"):
        reports.write_all([result(), result()], tmp_path)
    with pytest.raises(ValueError, match=r"Results of one chapter are due, got \[3, 4\]"):
        reports.write_all([result(), replace(result("b"), chapter=3)], tmp_path)
    with pytest.raises(ValueError, match="Results of one chapter are due, got none at all"):
        reports.write_all([], tmp_path)


def test_a_page_of_an_earlier_run_is_pointed_out(tmp_path):
    reports.write_all([result("a", "Ann"), result("b", "Bea")], tmp_path)
    said = reports.write_all([result("a", "Ann")], tmp_path)
    assert "feedback/b.html is of an earlier run and belongs to nobody now: delete it." in said


# escaping


def test_no_cell_of_any_table_is_a_formula(tmp_path, everybody):
    everybody = [replace(one, file=f"=cmd/{one.key}.ipynb", problems=["@x", "-y"]) for one in everybody]
    reports.write_all(everybody, tmp_path)
    fill(tmp_path / "grades.csv", {(one.key, "comment"): f"{one.name[:1]}comment" for one in everybody})
    reports.write_all(everybody, tmp_path)
    for name in ("grades.csv", "canvas.csv", "moodle.csv"):
        rows = list(csv.reader(io.StringIO((tmp_path / name).read_text("utf-8-sig"), newline="")))
        assert len({len(row) for row in rows}) == 1
        for row in rows:
            assert not [c for c in row if c.startswith(FORMULA) and not re.fullmatch(r"-[\d.]*", c)], (name, row)


@pytest.mark.parametrize("text", [*NAMES.values(), "", "'", "'=x", "''=x", "=", "-1", "plain", "a\nb", " =1 "])
def test_what_is_made_safe_can_be_read_back(text):
    clean = tidy(text, lines=True)
    assert unsafe(safe(text, lines=True)) == (clean[1:] if clean.startswith("'") and clean[1:2] in FORMULA else clean)
    assert safe(unsafe(safe(text))) == safe(text)


def test_tidy_keeps_letters_and_drops_what_turns_or_hides():
    assert tidy(NAMES["turning"]) == "eve31 fo 91"
    assert tidy(NAMES["newline"]) == "Line Break"
    assert tidy("a\r\nb\x07", lines=True) == "a\nb"
    assert tidy(NAMES["right"]) == NAMES["right"]
    assert tidy(NAMES["surrogate"]) == "Half ?"


def test_a_table_comes_back_as_it_was(tmp_path):
    rows = [["key", "name"], ["a", 'He said "no", twice'], ["b", "two\nlines"], ["c", "王小明"]]
    (tmp_path / "t.csv").write_text(reports_tables.dumped(rows, for_spreadsheets=True), "utf-8", newline="")
    assert loaded(tmp_path / "t.csv") == rows
    assert (tmp_path / "t.csv").read_bytes().startswith(b"\xef\xbb\xbfkey,name\r\n")


class Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text, self.open = [], [], "", []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data if "style" not in self.open else ""


def test_a_students_page_shows_names_and_sentences_as_text(tmp_path, everybody):
    bad = "</li><script src=//x></script>"
    everybody = [replace(one, problems=[bad]) for one in everybody]
    everybody[0] = replace(everybody[0], exercises={"4.1": Mark("error", 0.0, 1, f"Your code raised {bad}.")})
    reports.write_all(everybody, tmp_path)
    fill(tmp_path / "grades.csv", {(one.key, "comment"): bad for one in everybody})
    reports.write_all(everybody, tmp_path)
    allowed = "html head meta title style body h1 h2 p b bdi ol li div span"
    for one in everybody:
        page = Page((tmp_path / f"feedback/{one.key}.html").read_text("utf-8"))
        assert set(page.tags) <= set(allowed.split())
        assert not page.open
        assert not [name for name, _ in page.attributes if name.startswith("on") or name in ("src", "href")]
        assert page.text.count(tidy(one.name)) == 2
        assert page.text.count(bad) == 2 + (one.key == "plain")


def test_a_students_page_has_the_sentence_of_the_mistake_and_its_equation(tmp_path):
    reports.write_all([result("a", "Ann", ["wrong", "wrong", "not attempted", "timeout", "refused"], 2)], tmp_path)
    text = Page((tmp_path / "feedback/a.html").read_text()).text
    for one in RUN[:2]:
        assert one.wrong[2].sentence in text
        assert f"Equation {one.equation}." in text
    for sentence in ("Not attempted.", "Your code did not end in time.", "What your code returned is no answer."):
        assert sentence in text
    assert "7 of 19" in text.replace("\n", "")


@pytest.mark.usefixtures("plots")
def test_pages_load_nothing_and_run_nothing(tmp_path, everybody):
    reports.write_all(everybody, tmp_path)
    for path in [*tmp_path.rglob("*.html")]:
        text = path.read_text("utf-8")
        assert "Content-Security-Policy\" content=\"default-src 'none'" in text
        assert "http" not in re.sub(r'xmlns(:xlink)?="[^"]*"|http-equiv|HYPERLINK\(.*?\)', "", text)


# the page about the class


@pytest.mark.usefixtures("plots")
def test_the_class_page_counts_and_names_nobody(tmp_path, everybody):
    many = [replace(one, key=f"{one.key}{n}") for n in range(3) for one in everybody]
    many += [result(f"z{n}", f"Secret {n}", ["wrong"] * 7, 0) for n in range(5)]
    reports.write_all(many, tmp_path)
    page = Page((tmp_path / "class.html").read_text("utf-8"))
    assert not [one.name for one in many if one.name in page.text]
    assert f"{len(many)} notebooks." in page.text
    for exercise in RUN:
        for index, wrong in enumerate(exercise.wrong):
            met = sum(one.exercises[exercise.id].wrong == index for one in many)
            assert (wrong.sentence in page.text) == (met > 0)
            if met:
                assert re.search(rf"(?<!\d){met}{re.escape(wrong.sentence)}", page.text)


def test_what_to_teach_again_is_ordered_by_weight():
    def rows(lost):
        marks = [result(f"k{n}", "N", ["wrong" if n < lost[i] else "passed" for i in range(7)], 0) for n in range(10)]
        return [reports_sheet.Row(one.key, one.name, CHAPTER, one) for one in marks]

    items = reports_pages.again(rows([5, 5, 0, 0, 1, 9, 0]), RUN)
    assert re.findall(r"<b>(4\.\d)", "".join(items)) == ["4.6", "4.2", "4.1"]
    assert "90% of the class" in items[1]
    assert RUN[5].wrong[0].sentence in items[1]
    assert "10 of 10" not in items[1]
    assert reports_pages.again(rows([1] * 7), RUN) == ["<p>At least 80% of the class passed each exercise.</p>"]


def test_every_status_has_its_group():
    marks = [Mark("wrong", 0.0, 1, "", 3), Mark("wrong", 0.0, 1), *(Mark(s, 0.0, 1) for s in ("missing", "timeout"))]
    assert [reports_pages.group(mark) for mark in marks] == [1, 2, 3, 4]
    for status in ("passed", "not attempted", "error", "refused"):
        assert reports_plots.GROUPS[reports_pages.group(Mark(status, 0.0, 1))] in (
            "passed",
            "not attempted",
            "did not run",
        )


def test_plots_take_the_colour_of_the_page_and_are_the_same_every_time():
    points, counts = [0, 3, 3, 16], {"4.1": [3, 1, 0, 0, 0], "4.10": [0, 1, 1, 1, 1]}
    drawn = []
    for draw in (lambda: reports_plots.distribution(points, 16), lambda: reports_plots.outcomes(counts)):
        svg = draw()
        assert svg == draw()
        root = ET.fromstring(svg)
        assert root.attrib["viewBox"]
        assert root.attrib["aria-label"]
        assert "width" not in root.attrib
        assert "currentColor" in svg
        assert reports_plots.INK not in svg
        assert not re.search(r"\d{4}-\d\d-\d\d", svg), "a date"
        drawn.append(set(re.findall(r'\bid="(\w*[0-9a-f]{6,})"', svg)))
    assert drawn[0]
    assert not drawn[0] & drawn[1], "two plots on one page would share a clip path"


def test_a_long_scale_is_drawn_in_bins_that_hold_everybody():
    heights = reports_plots.binned([0, 1, 2, 59, 60, 60], 60)
    assert sum(heights.values()) == 6
    assert max(heights) <= 60
    assert len(heights) <= 26


def test_a_class_of_nobody_has_a_page():
    assert "Nobody has handed anything in." in reports_pages.class_page([], 4)


# Canvas


def canvas_reads(path):
    """What Canvas makes of a file: lib/gradebook_importer.rb of instructure/canvas-lms, its rules written anew."""
    rows = list(csv.reader(io.StringIO(path.read_text("utf-8"), newline="")))
    head = rows[0]
    assert len(head) > 3
    assert "Student" in head[0] or head[:2] == ["LastName", "FirstName"]
    names = 2 - ("Student" in head[0])
    assert "ID" in head[names]
    width = names + 2
    if re.search(r"SIS\s+Login\s+ID", head[width - 1]):
        width += 1
    elif re.search(r"SIS\s+User\s+ID", head[width - 1]) and re.search(r"SIS\s+Login\s+ID", head[width]):
        width += 2 + ("Integration ID" in head[width + 1])
    assert "Section" in head[width - 1]
    read_only = "Current Score|Current Points|Current Grade|Final Score|Final Points|Final Grade|Override"
    titles = [title for title in head[width:] if not re.search(read_only, title)]
    points = [row for row in rows[1:] if "Points Possible" in row[0]]
    students = [row for row in rows[1:] if "Points Possible" not in row[0]]
    return titles, [row[width:] for row in points], [(row[:width], row[width:]) for row in students]


def test_the_canvas_file_is_what_canvas_reads(tmp_path):
    file = "exampleada_LATE_1234_98765_04_repulsion.ipynb"
    reports.write_all([result("a", "exampleada", file=file), result("b", "Bea")], tmp_path, words=False, title="Lab 4")
    titles, points, students = canvas_reads(tmp_path / "canvas.csv")
    assert (titles, points) == (["Lab 4"], [["16"]])
    assert students == [(["exampleada", "1234", "", "", ""], ["16"]), (["Bea", "", "", "", ""], ["16"])]


def test_canvas_own_export_is_filled_in(tmp_path):
    export = tmp_path / "export.csv"
    export.write_text(
        "Student,ID,SIS User ID,SIS Login ID,Section,Old (77),Final Score\n"
        "    Points Possible,,,,,5,(read only)\n"
        '"Example, Ada",1234,S1,ada,Lab A,5,90\n"Jones, Bob",99,S2,bob,Lab B,4,80\n'
        '"Absent, Cem",12,S3,cem,Lab B,4,70\n"Student, Test",7,,,Lab A,,\n'
    )
    mine = [
        result("a", "exampleada", file="exampleada_1234_98765_x.ipynb"),
        result("b", "Bob Jones", ["wrong"], 1, file="bob/x.ipynb"),
        result("c", "Nobody", file="nobody_55_1_x.ipynb"),
    ]
    said = reports.write_all(mine, tmp_path / "out", roster=export, words=False, title="Lab 4 (88)")
    titles, points, students = canvas_reads(tmp_path / "out/canvas.csv")
    assert (titles, points) == (["Lab 4 (88)"], [["16"]])
    assert students == [
        (["Example, Ada", "1234", "S1", "ada", "Lab A"], ["16"]),
        (["Jones, Bob", "99", "S2", "bob", "Lab B"], ["15"]),
    ]
    assert said == ["Nobody is not in the list of students, or is there twice: enter the grade by hand."]


def test_an_export_with_first_and_last_names_apart_is_filled_in(tmp_path):
    export = tmp_path / "export.csv"
    export.write_text("LastName,FirstName,ID,Section\nExample,Ada,1234,A\nJones,Bob,99,B\nStudent,Test,7,A\n")
    mine = [result("a", "exampleada", file="exampleada_1234_98765_x.ipynb"), result("b", "Bob Jones", file="b.ipynb")]
    assert reports.write_all(mine, tmp_path / "out", roster=export, words=False) == []
    assert canvas_reads(tmp_path / "out/canvas.csv")[2] == [
        (["Example", "Ada", "1234", "A"], ["16"]), (["Jones", "Bob", "99", "B"], ["16"])
    ]  # fmt: skip


def test_two_students_of_one_name_are_told_apart_by_number_or_left_out(tmp_path):
    export = tmp_path / "export.csv"
    export.write_text("Student,ID,Section\nSam Same,1,A\nSam Same,2,A\n")
    both = [result("s1", "Sam Same", file="same_2_5_x.ipynb"), result("s2", "Sam Same", ["wrong"], 1)]
    said = reports.write_all(both, tmp_path / "out", roster=export, words=False)
    assert canvas_reads(tmp_path / "out/canvas.csv")[2] == [(["Sam Same", "2", "A"], ["16"])]
    assert len(said) == 1


def test_a_number_that_two_submissions_have_is_given_one_grade(tmp_path):
    export = tmp_path / "export.csv"
    export.write_text("Student,ID,Section\nAnn,7,A\nBea,8,A\n")
    both = [result("a", "Ann", file="ann_7_5_x.ipynb"), result("b", "Xaver", ["wrong"], 1, file="xaver_7_6_x.ipynb")]
    said = reports.write_all(both, tmp_path / "out", roster=export, words=False)
    assert canvas_reads(tmp_path / "out/canvas.csv")[2] == [(["Ann", "7", "A"], ["16"])]
    assert said == ["Xaver has the number 7, which is Ann in the list of students: enter the grade by hand."]


# Moodle


def moodle_reads(path):
    """What Moodle makes of a worksheet: mod/assign/feedback/offline/importgradeslib.php, its rules written anew."""
    rows = list(csv.reader(io.StringIO(path.read_text("utf-8"), newline="")))
    head = rows[0]
    places = [head.index(name) for name in ("Identifier", "Grade", "Last modified (grade)", "Feedback comments")]
    for row in rows[1:]:
        number, grade, _, comment = (row[place] for place in places)
        yield int(number[len("Participant ") :]), float(grade) if grade else None, comment


def test_the_moodle_file_is_what_moodle_reads(tmp_path):
    mine = [
        result("a", "Ann", file="Ann Example_101_assignsubmission_file_/04.ipynb"),
        result("b", "Bea", ["wrong"], 1, file="Bea_102_assignsubmission_file/04.ipynb"),
        result("c", "Cem", file="Cem_103_assignsubmission_file_04_repulsion.ipynb"),
        result("d", "Dan", file="Dan/04.ipynb"),
    ]
    mine[1].exercises["4.2"] = Mark("error", 0.0, 2, "Your code raised ValueError: <b>a < b</b>.")
    said = reports.write_all(mine, tmp_path, words=False)
    first, second, third = moodle_reads(tmp_path / "moodle.csv")
    assert (first, third) == ((101, 16.0, ""), (103, 16.0, ""))
    assert second[:2] == (102, 13.0)
    assert second[2].split("<br>")[0] == f"4.1: {RUN[0].wrong[1].sentence}"
    assert second[2].split("<br>")[1] == "4.2: Your code raised ValueError: &lt;b&gt;a &lt; b&lt;/b&gt;."
    assert said == ["Dan has no participant's number of Moodle in the file name."]


def test_moodles_own_worksheet_is_filled_in(tmp_path):
    sheet = tmp_path / "worksheet.csv"
    sheet.write_text(
        "\ufeffIdentifier,Full name,Email address,Status,Grade,Maximum Grade,Last modified (grade),Feedback comments\n"
        "Participant 101,Ann Example,ann@example.org,Submitted,,19.00,-,\n"
        "Participant 102,Bea Other,bea@example.org,Submitted,,19.00,-,old\n"
        "Participant 103,Cem Absent,cem@example.org,No submission,,19.00,-,\n"
    )
    mine = [
        result("a", "Ann Example", file="Ann Example_101_assignsubmission_file_/04.ipynb"),
        result("b", "Other Bea", ["wrong"], 1),
    ]
    said = reports.write_all(mine, tmp_path / "out", roster=sheet, words=False)
    rows = table(tmp_path / "out/moodle.csv", "utf-8")
    assert [row["Grade"] for row in rows] == ["16", "15", ""]
    assert [row["Email address"] for row in rows] == [f"{name}@example.org" for name in ("ann", "bea", "cem")]
    assert [row["Feedback comments"] for row in rows] == ["", f"4.1: {RUN[0].wrong[1].sentence}", ""]
    assert said == []


@pytest.mark.parametrize(
    ("head", "sentence"),
    [
        ("Identifier,Note\nx,y\n", "The worksheet lacks one of Identifier, Grade, Last modified (grade)"),
        ("Name,Mark\nx,y\n", "The list of students has no columns Student, ID and Section"),
        ("Student\nx\n", "The list of students has no columns Student, ID and Section"),
    ],
)
def test_a_list_of_students_that_is_none_is_refused(tmp_path, head, sentence):
    (tmp_path / "list.csv").write_text(head)
    with pytest.raises(ValueError, match=re.escape(sentence)):
        reports.write_all([result("a", "Ann")], tmp_path / "out", roster=tmp_path / "list.csv")


@pytest.mark.parametrize(
    ("file", "moodle", "canvas"),
    [
        ("Ann Example_101_assignsubmission_file_/04.ipynb", "101", ""),
        ("Ann Example_101_assignsubmission_file/deep/04.ipynb", "101", ""),
        ("Ann_2_Example_101_assignsubmission_file_04_repulsion.ipynb", "101", ""),
        ("M_4800_assignsubmission_file_x_4821_assignsubmission_file_.ipynb", "4800", ""),
        ("Ann/M_4800_assignsubmission_file_x.ipynb", "", ""),
        ("exampleann_555_777_04_repulsion.ipynb", "", "555"),
        ("exampleann_LATE_555_777_04_repulsion-1.ipynb", "", "555"),
        ("Ann/04_repulsion.ipynb", "", ""),
        ("Ann/my_04_2_notebook.ipynb", "", ""),
    ],
)
def test_numbers_are_taken_from_the_names_that_downloads_have(file, moodle, canvas):
    one = result("a", file=file)
    assert (reports_imports.moodle_id(one), reports_imports.canvas_id(one)) == (moodle, canvas)


# Gradescope

TOP = {"score", "execution_time", "output", "output_format", "test_output_format", "test_name_format", "visibility",
       "stdout_visibility", "extra_data", "tests", "leaderboard"}  # fmt: skip
TEST = {"score", "max_score", "status", "name", "name_format", "number", "output", "output_format", "tags",
        "visibility", "extra_data"}  # fmt: skip


def test_gradescopes_file_has_its_documented_fields(tmp_path):
    """https://gradescope-autograders.readthedocs.io/en/latest/specs/"""
    one = result("a", "<b>Ann</b>", ["wrong", "not attempted", "timeout"], 2, problems=["<script>x</script>"])
    reports.write_all([one], tmp_path)
    data = json.loads((tmp_path / "gradescope/a.json").read_text("utf-8"))
    assert set(data) <= TOP
    assert data["output_format"] == "text"
    assert data["output"] == "<script>x</script>\nGraded by a person: 4.8."
    assert data["stdout_visibility"] == "hidden"
    for test, exercise in zip(data["tests"], RUN, strict=True):
        assert set(test) <= TEST
        assert (test["number"], test["max_score"]) == (exercise.id, exercise.points)
        assert test["status"] == ("passed" if test["score"] == test["max_score"] else "failed")
        assert test["name_format"] == test["output_format"] == "text"
    assert sum(test["score"] for test in data["tests"]) == one.points == 11
    assert data["tests"][0]["output"] == f"{RUN[0].wrong[2].sentence} {RUN[0].equation}"
    assert data["tests"][4]["output"] == "Passed."
    assert "Ann" not in json.dumps(data)


@pytest.mark.parametrize("visibility", ["hidden", "after_due_date", "after_published", "visible"])
def test_gradescope_shows_results_when_it_is_told_to(visibility):
    data = json.loads(reports_imports.gradescope(result(), CHAPTER, visibility))
    assert {data["visibility"], *(test["visibility"] for test in data["tests"])} == {visibility}


# the guide


def test_the_guide_names_every_file_that_is_written_and_every_column_to_fill_in(root, tmp_path):
    guide = (root / "book/instructors_grading.md").read_text("utf-8")
    reports.write_all([result()], tmp_path)
    assert all(f"`{path.name}`" in guide or f"`{path.name}/`" in guide for path in tmp_path.iterdir())
    assert all(f"`{column}`" in guide for column in reports_sheet.BY_HAND)


def test_the_guide_names_the_columns_of_the_imports(root):
    guide = (root / "book/instructors_systems.md").read_text("utf-8")
    assert all(f"`{column}`" in guide for column in (*reports_imports.CANVAS, *NEEDED))


def test_every_option_in_the_guide_exists(root):
    parsers = next(iter(cli.parser()._subparsers._group_actions)).choices
    options = {option for one in parsers.values() for option in one._option_string_actions}
    for path in (root / "book").glob("instructors*.md"):
        text = path.read_text("utf-8")
        assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) <= options, path.name
        assert set(re.findall(r"^ *course ([a-z-]+)", text, re.MULTILINE)) <= set(parsers), path.name


# lists of students as gradebooks and spreadsheets write them

WORKSHEETS = {
    "German": (
        'ID,"Vollständiger Name",E-Mail-Adresse,Status,Bewertung,Bestwertung,"Bewertung kann geändert werden",'
        '"Zuletzt geändert (Abgabe)","Zuletzt geändert (Bewertung)","Feedback als Kommentar"',
        '"Teilnehmer/in{0}","{1}",{2}@example.org,"Zur Bewertung abgegeben",,"19,00",Ja,"Montag, 2. März 2026",-,',
        4,
    ),
    "French": (
        'Identifiant,"Nom complet","Adresse de courriel",Statut,Note,"Note maximale","La note peut être modifiée",'
        '"Dernière modification (travail remis)","Dernière modification (note)","Feedback par commentaires"',
        '"Participant {0}","{1}",{2}@example.org,"Remis pour évaluation",,"19,00",Oui,"lundi 2 mars 2026",-,',
        4,
    ),
    "Japanese": (
        "ID,フルネーム,メールアドレス,ステータス,評点,最大評点,評点変更可否,"
        "最終更新日時 (提出),最終更新日時 (評定),フィードバックコメント",
        '"参加者 {0}","{1}",{2}@example.org,提出済み,,19.00,Yes,"2026年 03月 2日",-,',
        4,
    ),
    "Spanish, blind": (
        'Identificador,Estado,Calificación,"Calificación máxima","La calificación puede ser cambiada",'
        '"Última modificación (entrega)","Última modificación (calificación)","Comentarios de retroalimentación"',
        '"Participante {0}","Enviado para calificar",,"19,00",Sí,"lunes, 2 de marzo de 2026",-,',
        2,
    ),
}
CLASS = (("101", "Ann Example", "ann"), ("102", "Bea Other", "bea"), ("103", "Zoë Müller", "zoe"))


def handed(name: str, number: str):
    return result(f"k{number}", name, file=f"{name}_{number}_assignsubmission_file/04.ipynb")


@pytest.mark.parametrize("language", WORKSHEETS)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_moodles_worksheet_is_known_in_every_language(tmp_path, language, separator):
    head, line, grade = WORKSHEETS[language]
    text = "\n".join([head, *(line.format(*one) for one in CLASS)])
    rows = list(csv.reader(io.StringIO(text)))
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=separator).writerows(rows)
    (tmp_path / "worksheet.csv").write_text(out.getvalue(), encoding="utf-8-sig")
    mine = [handed(name, number) for number, name, _ in CLASS[:2]]
    assert reports.write_all(mine, tmp_path / "out", roster=tmp_path / "worksheet.csv", words=False) == []
    written = list(csv.reader(io.StringIO((tmp_path / "out/moodle.csv").read_text("utf-8"), newline="")))
    assert [row[grade] for row in written[1:]] == ["16", "16", ""]
    assert [[*row[:grade], *row[grade + 1 : -1]] for row in written] == [
        [*row[:grade], *row[grade + 1 : -1]] for row in rows
    ]


def test_a_worksheet_without_a_place_for_the_grade_is_called_what_it_is(tmp_path):
    (tmp_path / "w.csv").write_text("ID,Vollständiger Name,Status\nTeilnehmer/in101,Ann,x\nTeilnehmer/in102,Bea,x\n")
    with pytest.raises(ValueError, match=r"is Moodle's grading worksheet in another language \(ID, Vollständiger Name"):
        reports.check(None, tmp_path / "w.csv")


EXPORT = (
    'Student;ID;SIS User ID;SIS Login ID;Section;"Lab 3, a, b, c, d, e, f, g (77)";"Lab 4, part 1 (78)"\n'
    ' Points Possible;;;;;5;5\n"Example, Ada";1234;S1;ada;"Lab A, B";"3,5";\n"Müller, Zoë";99;S2;zoe;Lab B;4;\n'
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252", "latin-1"])
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_an_export_is_read_with_any_separator_encoding_and_form_of_letters(tmp_path, encoding, form):
    """Quoted titles with commas in a file of semicolons; the names come from a zip in the other form."""
    (tmp_path / "export.csv").write_bytes(EXPORT.encode(encoding))
    mine = [result("a", "Ada Example", file="a/x.ipynb"),
            result("z", unicodedata.normalize(form, "Zoë Müller"), ["wrong"], 1, file="z/x.ipynb")]  # fmt: skip
    said = reports.write_all(mine, tmp_path / "out", roster=tmp_path / "export.csv", words=False, title="Lab 4")
    students = canvas_reads(tmp_path / "out/canvas.csv")[2]
    assert students == [
        (["Example, Ada", "1234", "S1", "ada", "Lab A, B"], ["16"]),
        (["Müller, Zoë", "99", "S2", "zoe", "Lab B"], ["15"]),
    ]  # fmt: skip
    guess = "export.csv does not say its encoding, and was read as cp1252: look at the names."
    assert said == [guess] * (encoding in ("cp1252", "latin-1"))


def test_the_list_of_another_assignment_gives_nobody_anothers_mark(tmp_path):
    head, line, _ = WORKSHEETS["German"]
    others = (("101", "Bea Other", "b"), ("102", "Cem Third", "c"), ("103", "Ann Example", "a"))
    (tmp_path / "w.csv").write_text("\n".join([head, *(line.format(*one) for one in others)]), encoding="utf-8")
    mine = [handed("Ann Example", "101"), handed("Bea Other", "102"), handed("Cem Third", "103")]
    with pytest.raises(ValueError, match="Ann Example has the number 101, which is Bea Other .*this very assignment"):
        reports.write_all(mine, tmp_path / "out", roster=tmp_path / "w.csv", words=False)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Zoë", unicodedata.normalize("NFD", "Zoë")), ("علی\u200cرضا", "علیرضا"), ("Lee, Ann", "ann  LEE"),
     ("ΝΊΚΟΣ", "Νίκος"), ("Straße", "STRASSE"), ("ﬁona", "Fiona"), ("प्रिया शर्मा", "शर्मा प्रिया")],
)  # fmt: skip
def test_names_are_one_whatever_form_case_and_order_they_have(one, other):
    assert words(one) == words(other)
    assert words("Ann Lee") != words("Anne Lee")
    assert words("Zoë") != words("Zoe")
