"""Claims: verdicts that can fail, boxes that can be read, stored results that are the ones they say."""

import hashlib
import json
from html.parser import HTMLParser

import numpy as np
import pytest

from course_lib import claims
from course_lib.claims import MIME, effect, identity, stored
from course_lib.metrics.bootstrap import Estimate

MEASURED, BASELINE, CONTROL = Estimate(9.712, 0.021, 300), Estimate(6.513, 0.06, 300), Estimate(6.49, 0.05, 300)


PUBLISHED = "9.99 (Corso et al. 2024, Table 1)"


def an_effect(**changes):
    fields = {
        "measured": MEASURED,
        "baseline": BASELINE,
        "control": CONTROL,
        "control_how": "shuffled partners",
        "above": 9.0,
        "calls": 40,
    }
    return effect("4.1", "Repulsion finds nearly every mode.", **fields | changes)


def an_identity(**changes):
    fields = {"error": 3e-15, "tolerance": 1e-9, "broken": 0.31, "broken_how": "s**2 left out"}
    return identity("1.1", "The exact score is the gradient of log p.", **fields | changes)


class Page(HTMLParser):
    """Collects the text and the tags, and fails on a tag that is not closed."""

    def __init__(self, markup):
        super().__init__()
        self.open, self.tags, self.text = [], [], ""
        self.feed(markup)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data + " "


def test_an_effect_is_shown_when_it_lies_beyond_its_limit_and_its_control_does_not():
    """The same rule is asked of both; without a publication nothing is called reproduced."""
    claim = an_effect()
    assert (claim.verdict, claim.reason, claim.kind, claim.beside) == ("shown", "", "effect", "better")
    assert an_effect(published=PUBLISHED).verdict == "reproduced"
    assert an_effect(published=PUBLISHED, measured=BASELINE).verdict == "not reproduced"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"measured": BASELINE}, "what was measured does not show it"),
        ({"control": MEASURED}, "the control shows it as well"),
        ({"measured": BASELINE, "control": MEASURED}, "what was measured does not show it"),
    ],
)
def test_an_effect_that_is_not_shown_says_which_part_failed(changes, reason):
    """A control that shows the effect takes the claim down with it."""
    claim = an_effect(**changes)
    assert (claim.verdict, claim.reason) == ("not shown", reason)
    assert f"[not shown: {reason}]" in str(claim)


def test_the_second_verdict_looks_at_the_baseline():
    """.97 against luck's 1.00: the effect is there, and no better than luck; a harm is worse, not better."""
    arms = {"measured": Estimate(0.97, 0.01, 9), "baseline": Estimate(1.0, 0.0, 9), "control": Estimate(0.2, 0.01, 9)}
    assert (an_effect(**arms, above=0.7).verdict, an_effect(**arms, above=0.7).beside) == ("shown", "not better")
    assert an_effect(harm=True).beside == "worse"
    assert an_effect(measured=BASELINE, baseline=MEASURED, control=MEASURED, below=7.0, above=None).beside == "better"
    assert an_effect(below=9.9).beside == ""  # between two limits there is no direction
    few = an_effect(baseline=Estimate(6.5, 0.01, 4))
    assert (few.verdict, few.beside) == ("shown", "not better")


def test_a_first_wording_stays():
    """What a claim said before its number was known is told beside what it says now, as not shown."""
    rows = dict(an_effect(first_wording="Repulsion finds all ten.").rows)
    assert rows["first wording"] == "Repulsion finds all ten. (not shown)"


@pytest.mark.parametrize("published", ["9.99", "9.99 (Corso et al. 2024)", "an earlier run (Figure 3)", "none", ""])
def test_published_is_a_citation_with_a_place(published):
    """A number without year, table or figure cannot be looked up."""
    with pytest.raises(ValueError, match=r"^Claim 4.1: published must cite \(year, Table or Figure\), got"):
        an_effect(published=published)


def test_an_effect_that_cannot_be_tested_says_so_whatever_the_numbers():
    """No verdict is made up."""
    assert an_effect(testable=False).verdict == "cannot be tested here"
    assert an_effect(testable=False, measured=BASELINE).reason == ""


def test_an_identity_holds_within_its_tolerance_when_the_broken_variant_does_not():
    """Both sides of the tolerance, and its edge."""
    assert an_identity().verdict == "holds"
    assert an_identity(error=1e-9).verdict == "holds"
    assert an_identity(error=-3e-15).verdict == "holds"
    too_large = an_identity(error=2e-9)
    assert (too_large.verdict, too_large.reason) == ("fails", "the error exceeds its tolerance")
    assert an_identity(error=-2e-9).verdict == "fails"
    blind = an_identity(broken=1e-9)
    assert (blind.verdict, blind.reason) == ("fails", "the broken variant passes as well, so the test shows nothing")


def test_the_line_says_everything():
    """What a terminal, or a reader without HTML, gets."""
    assert str(an_effect(published=PUBLISHED, unit="modes", decimals=1)) == (
        "Claim 4.1. Repulsion finds nearly every mode. [reproduced] "
        "measured: 9.7 ± 0.0 modes (standard error, n = 300); "
        "baseline: 6.5 ± 0.1 modes (standard error, n = 300), at the same network calls: 40; "
        "control: 6.5 ± 0.1 modes (standard error, n = 300): shuffled partners; "
        "rule: above 9.0 by Student's t, one-sided 1 %, over 5 repeats or more, run on this page; "
        "excess over the limit: 0.7 ± 0.0, and more than 0.0 was needed; "
        "over the baseline: better, by 3.2 ± 0.1; "
        "published: 9.99 (Corso et al. 2024, Table 1)"
    )
    assert str(an_identity()) == (
        "Claim 1.1. The exact score is the gradient of log p. [holds] "
        "error: below 1e-14, tolerance 1e-09; broken on purpose: 3.1e-01 (s**2 left out)"
    )
    assert "error: 2.5e-02," in str(an_identity(error=0.025))
    assert "error: 0," in str(an_identity(error=0.0))


def test_a_percentage_stands_without_a_space():
    """95.00 ± 1.00%, as the unit asks."""
    assert "9.71 ± 0.02% (" in str(an_effect(unit="%"))


def test_the_box_holds_each_row_and_the_verdict_in_words():
    """A table with a header for each line; text is escaped; no colour of its own, so that it reads in dark mode."""
    claim = an_effect(remark="<9 & more>", calls="40 + 8")
    bundle = claim._repr_mimebundle_()
    page = Page(bundle["text/html"])
    for text in ("Claim 4.1.", "Repulsion finds nearly every mode.", "9.71 ± 0.02", "6.51 ± 0.06", "40 + 8"):
        assert text in page.text
    for text in ("n = 300", "shuffled partners", "<9 & more>", "✓ shown"):
        assert text in page.text
    assert page.tags[0] == ("div", page.tags[0][1])
    assert page.tags[0][1]["class"] == "claim claim-shown"
    assert [attrs["scope"] for tag, attrs in page.tags if tag == "th"] == ["row"] * 8
    assert "<9" not in bundle["text/html"]
    colours = [part for _, attrs in page.tags for part in attrs.get("style", "").split(";") if "color" in part]
    assert set(colours) == {"color:inherit"}
    assert "#" not in bundle["text/html"]


def test_a_failed_box_shows_its_reason_and_another_edge():
    """Form and words, not colour, tell a failed claim from one that holds."""
    failed = an_effect(control=MEASURED)._repr_mimebundle_()["text/html"]
    assert "✗ not shown: the control shows it as well" in failed
    assert 'class="claim claim-not-shown"' in failed
    assert "6px double" in failed
    assert "6px solid" in an_effect()._repr_mimebundle_()["text/html"]
    assert 'class="claim claim-cannot-be-tested-here"' in an_effect(testable=False)._repr_mimebundle_()["text/html"]
    assert 'class="claim claim-fails"' in an_identity(error=1.0)._repr_mimebundle_()["text/html"]


def test_the_data_survive_a_saved_notebook():
    """The ledger reads rows and numbers from JSON."""
    data = an_effect()._repr_mimebundle_()[MIME]
    assert json.loads(json.dumps(data)) == data
    assert data["numbers"]["measured"] == [9.712, 0.021, 300]
    labels = ["measured", "baseline", "control", "rule", "excess over the limit", "over the baseline"]
    assert [label for label, _ in data["rows"]] == labels
    assert data["beside"] == "better"
    assert an_identity()._repr_mimebundle_()[MIME]["numbers"] == {"error": 3e-15, "tolerance": 1e-9, "broken": 0.31}


def test_a_claim_for_the_ledger_only_has_a_line_and_no_box():
    """At most six boxes a chapter; the rest are lines."""
    for claim in (an_effect(ledger_only=True), an_identity(ledger_only=True)):
        bundle = claim._repr_mimebundle_()
        assert set(bundle) == {"text/plain", MIME}
        assert bundle[MIME]["ledger_only"] is True


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"measured": Estimate(float("nan"), 0.1, 3)}, "measured.mean must be a finite number, got nan"),
        ({"baseline": Estimate(1.0, float("inf"), 3)}, "baseline.error must be a finite number of at least 0, got inf"),
        ({"control": Estimate(float("nan"), 0.1, 3)}, "control.mean must be a finite number, got nan"),
        ({"control_how": " "}, "control_how is missing"),
        ({"calls": ""}, "calls is missing"),
        ({"above": None}, "above or below must say what is claimed, got neither"),
        ({"above": float("nan")}, "above must be a finite number, got nan"),
        ({"source": "old"}, """source must be "live" or "stored", got 'old'"""),
        (
            {"paired": True, "measured": [1.0, 2.0], "baseline": [1.0, 2.0, 3.0]},
            "paired repeats must be equal in number",
        ),
    ],
)
def test_an_effect_without_numbers_or_control_is_refused(changes, sentence):
    """NaN is not a result, and a claim without a control cannot be judged."""
    with pytest.raises(ValueError, match=f"^Claim 4.1: {sentence}"):
        an_effect(**changes)


def test_an_effect_needs_estimates():
    """A bare number has no spread, and None is no control."""
    for name in ("measured", "baseline", "control"):
        for value in (None, 3.0):
            with pytest.raises(TypeError, match=f"Claim 4.1: {name} must be repeats"):
                an_effect(**{name: value})


def test_an_identity_without_numbers_is_refused():
    """The broken variant may not be NaN: NaN exceeds nothing."""
    for name in ("error", "tolerance", "broken"):
        with pytest.raises(ValueError, match=f"^Claim 1.1: {name} must be a finite number"):
            an_identity(**{name: float("nan")})
    with pytest.raises(ValueError, match="broken_how is missing"):
        an_identity(broken_how="")


def test_the_number_of_a_claim_is_that_of_a_chapter():
    """4.1, so that the ledger can sort and the builder can check."""
    with pytest.raises(ValueError, match="the number must look like"):
        identity("four", "x", error=0.0, tolerance=1.0, broken=2.0, broken_how="x")
    with pytest.raises(ValueError, match="sentence is missing"):
        identity("4.1", "", error=0.0, tolerance=1.0, broken=2.0, broken_how="x")


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A folder of results with one file and its checksum."""
    monkeypatch.setattr(claims, "RESULTS", tmp_path)
    np.savez(tmp_path / "ch04_ring.npz", modes=np.arange(3), share=np.ones(2))
    digest = hashlib.sha256((tmp_path / "ch04_ring.npz").read_bytes()).hexdigest()
    (tmp_path / "SHA256SUMS").write_text(f"{digest}  ch04_ring.npz\n")
    return tmp_path


def test_a_stored_result_is_read_after_its_checksum(results):
    """All arrays, by name."""
    arrays = stored("ch04_ring")
    assert set(arrays) == {"modes", "share"}
    assert arrays["modes"].tolist() == [0, 1, 2]


def test_a_stored_result_that_was_changed_is_refused(results):
    """One byte is enough; the sentence says how to make it again."""
    content = bytearray((results / "ch04_ring.npz").read_bytes())
    content[-1] ^= 1
    (results / "ch04_ring.npz").write_bytes(content)
    with pytest.raises(ValueError, match="is not the file its checksum was taken from.*course precompute ch04_ring"):
        stored("ch04_ring")


@pytest.mark.parametrize("name", ["ch04_square", "../{folder}/ch04_ring", ""])
def test_a_stored_result_that_is_missing_is_named(results, name):
    """Also a name that leads out of the folder."""
    name = name.format(folder=results.name)
    with pytest.raises(FileNotFoundError, match="stored: there is no result.*course precompute"):
        stored(name)


def test_a_stored_run_of_a_protocol_is_made_again_by_its_own_command(results):
    with pytest.raises(FileNotFoundError, match=r"make it again with: course evaluate tiny-1000\.$"):
        stored("evaluate_tiny-1000")


def test_a_stored_result_without_checksum_is_refused(results):
    """With or without the list."""
    for prepare in (lambda: (results / "SHA256SUMS").write_text(""), (results / "SHA256SUMS").unlink):
        prepare()
        with pytest.raises(ValueError, match="has no checksum in"):
            stored("ch04_ring")


def test_a_stored_result_holds_no_objects(results):
    """Pickles are never opened, even when the checksum fits."""
    np.savez(results / "evil.npz", x=np.array([{}], dtype=object))
    digest = hashlib.sha256((results / "evil.npz").read_bytes()).hexdigest()
    (results / "SHA256SUMS").write_text(f"{digest}  evil.npz\n")
    with pytest.raises(ValueError, match="Object arrays cannot be loaded"):
        stored("evil")


def test_every_result_of_the_course_has_a_script_and_is_the_file_it_says():
    """What is shipped can be read, and what can be read can be made again."""
    shipped = sorted(path.stem for path in claims.RESULTS.glob("*.npz"))
    listed = sorted(line.split()[1] for line in (claims.RESULTS / "SHA256SUMS").read_text().splitlines())
    assert listed == [f"{name}.npz" for name in shipped]
    for name in shipped:
        assert stored(name)
        script = claims.RESULTS.parent / "tools" / "precompute" / f"{name}.py"
        assert script.is_file() or name.startswith("evaluate_")  # a run of `course evaluate --store`


def test_a_claim_may_keep_something_else_equal_than_calls():
    """Words that begin with "at " stand as they are; a number is a number of network calls."""
    one = Estimate(1.0, 0.1, 5)
    said = {
        calls: dict(
            effect("1.1", "A thing happens.", measured=one, baseline=one, control=Estimate(0.0, 0.1, 5), calls=calls,
                   control_how="nothing is done", above=0.5).rows
        )["baseline"]
        for calls in (40, "at the same 4,000 training steps")
    }  # fmt: skip
    assert said[40].endswith(", at the same network calls: 40")
    assert said["at the same 4,000 training steps"].endswith("n = 5), at the same 4,000 training steps")
