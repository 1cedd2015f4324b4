"""`course challenge`: entries in the sandbox, told what is wrong with them; what is finished is kept; the board."""

import csv
from pathlib import Path

import pytest
import torch

from course_lib.challenge import rounds
from course_lib.stable_diffusion import StableDiffusion
from course_lib.tools.challenge import board, command
from course_lib.tools.challenge.boxed import Box, Failed
from course_lib.tools.challenge.entries import MOST, loaded, shipped, source
from course_lib.tools.challenge.scored import Scored, finished, hidden
from course_lib.tools.cli import parser
from course_lib.tools.environment import Problem
from course_lib.tools.grade.marked.result import fingerprint
from course_lib.tools.grade.outside.sandbox import Limits

HEAD = "import torch\n\n\ndef method(prompted, unprompted, x, levels, strength):\n    "
WRONG = {
    "crashes": ("return 1 / 0", "ZeroDivisionError"),
    "leaves": ("import os; os._exit(3)", "it ended before it had answered"),
    "spends too much": ("while True: prompted(x, levels[0])", "the budget of 40 calls is spent: 40 were made"),
    "hides it": (
        "try:\n        while True: prompted(x, levels[0])\n    except Exception: return x",
        "the budget of 40 calls is spent",
    ),
    "asks for many rows at once": (
        "return prompted(x.repeat(100, 1, 1, 1), levels[0])[:2]",
        "the budget of 40 calls is spent: 0 were made, 200 more",
    ),
    "goes back for nothing": (
        "torch.set_grad_enabled(True); y = x.clone().requires_grad_(); z = prompted(y, levels[2]).sum()\n"
        "    while True: torch.autograd.grad(z, y, retain_graph=True)",
        "the budget of 40 calls is spent: 38 were made, 4 more",
    ),
    "hangs": ("import threading; threading.Event().wait()", "it did not end within 10 seconds"),
    "computes for ever": ("while True: pass", "it computed for more than 1 seconds of its own"),
    "has no numbers": ("return x * float('nan')", "its latents must be finite"),
    "has another shape": ("return x[:1]", "it must return latents of shape"),
    "brings the network": (
        "from course_lib.features import load_network; load_network('oracle'); return x",
        "it ended before it had answered",
    ),
}


@pytest.fixture(scope="module")
def sd():
    torch.set_grad_enabled(False)
    yield StableDiffusion.load("tiny", device="cpu")
    torch.set_grad_enabled(True)


@pytest.fixture(scope="module")
def one(sd):
    return rounds(1, torch.Generator().manual_seed(3), sd.levels(4), size=2)[0]


@pytest.mark.parametrize("name", WRONG)
def test_an_entry_that_does_not_keep_the_rules_is_told_so(name, sd, one):
    body, said = WRONG[name]
    limits = Limits(seconds=1.0 if name in ("hangs", "computes for ever") else 20.0)
    with pytest.raises(Failed) as error:
        Box(HEAD + body, sd, limits=limits).play(one, (0.0,), 7)
    assert said in str(error.value)


@pytest.mark.parametrize("name", ["independent", "thirds"])
def test_in_the_sandbox_an_entry_makes_what_it_makes_here(name, sd, one):
    """An entry that draws nothing itself, bit for bit."""
    found = Box(source(shipped()[name]), sd).play(one, (0.0, 1.0), 7)
    assert torch.equal(found[0.0], one.play(loaded(shipped()[name]), sd, 0.0))
    assert set(found) == {0.0, 1.0}


def test_what_an_entry_draws_itself_follows_from_the_seed(sd, one):
    """The same numbers in another process, others for another seed."""
    drawn = [Box(HEAD + "return torch.randn(x.shape)", sd).play(one, (0.0,), seed)[0.0] for seed in (7, 7, 8)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_what_is_finished_is_kept_and_taken_up(tmp_path, sd):
    """Groups that are there are not made again; another file begins anew; another term is refused."""

    class Judge:
        def __call__(self, images, prompt):
            from course_lib.challenge import Judged

            yes = torch.ones(len(images), dtype=torch.bool)
            kinds = torch.arange(len(images))
            return Judged(yes, yes, dict.fromkeys(("shape", "colour", "style", "place"), kinds))

    asked = []

    def play(one, seed):
        if len(asked) == 2 and not (tmp_path / "again").exists():
            raise KeyboardInterrupt
        asked.append(one.prompt)
        return dict.fromkeys((0.0, 0.5, 1.0), one.x)

    played, path = hidden("spring", sd, 3), tmp_path / "ada.json"
    with pytest.raises(KeyboardInterrupt):
        finished(path, "ada", "text", "spring", played, play, sd, Judge())
    (tmp_path / "again").touch()
    done = finished(path, "ada", "text", "spring", played, play, sd, Judge())
    assert asked == [one.prompt for one in played]
    assert done.scores(3).shape == (3, 3, 3)
    finished(path, "ada", "text", "spring", played, play, sd, Judge())
    assert len(asked) == 3
    finished(path, "ada", "another", "spring", played, play, sd, Judge())
    assert len(asked) == 6
    with pytest.raises(Problem, match="another term"):
        finished(path, "ada", "text", "autumn", played, play, sd, Judge())


def test_a_failed_entry_scores_nothing_and_is_not_asked_again(tmp_path, sd):
    def play(one, seed):
        raise Failed("it was tired")

    played, path = hidden("spring", sd, 2), tmp_path / "ada.json"
    assert finished(path, "ada", "text", "spring", played, play, sd, None).failed == "it was tired"
    again = finished(path, "ada", "text", "spring", played, lambda one, seed: 1 / 0, sd, None)
    assert again.failed == "it was tired"
    assert again.scores(8).abs().sum() == 0


def test_hidden_prompts_are_the_terms(sd):
    spring, autumn = ([one.prompt for one in hidden(term, sd, 8)] for term in ("spring", "autumn"))
    assert spring == [one.prompt for one in hidden("spring", sd, 8)] != autumn


def scored(name: str, shift=(0.0, 0.0, 0.0), failed: str = "") -> Scored:
    g = torch.Generator().manual_seed(0)
    groups = 0.6 + 0.05 * torch.rand(9, 3, 3, generator=g) + torch.tensor(shift)
    groups += 0.01 * torch.rand(9, 3, 3, generator=torch.Generator().manual_seed(len(name)))
    return Scored(name, "", fingerprint("x"), [] if failed else groups.tolist(), failed)


def test_the_board_orders_by_volume_and_says_why():
    base = scored("independent")
    rows = board.ordered(
        [
            scored("=worse", (-0.2, 0.0, 0.0)),
            scored("tired", failed="it was tired"),
            base,
            scored("better", (0.2, 0.02, 0.02)),
            scored("<b>dear", (0.3, -0.05, 0.0)),
        ],
        base,
        9,
    )
    assert [one.name for one in rows] == ["<b>dear", "better", "independent", "=worse", "tired"]
    verdicts = [one.verdict for one in rows]
    assert verdicts[0] == "larger volume, at the price of fit or quality: not above"
    assert verdicts[1] == "above independent sampling"
    assert verdicts[4] == "scores nothing: it was tired"
    lines = list(csv.DictReader(board.table(rows).splitlines()))
    assert lines[3]["entry"] == "'=worse"
    assert float(lines[4]["volume"]) == 0
    for line in lines[:4]:
        assert float(line["low"]) < float(line["volume"]) < float(line["high"])
    page = board.page(rows)
    assert "&lt;b&gt;dear" in page
    assert "<b>dear" not in page


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\n", "defines no function"),
        ("def method(:\n", "no Python"),
        ("def method(): pass\n" + "#" * MOST, "at most"),
        ("\0", "no Python"),
    ],
)
def test_a_file_that_is_no_entry_is_told_so(tmp_path, text, said):
    path = tmp_path / "ada.py"
    path.write_text(text)
    with pytest.raises(Problem, match=said):
        source(path)


def test_the_command_names_what_is_missing(tmp_path, capsys):
    def told(*words: str) -> str:
        assert command.main(parser().parse_args(["challenge", *words, "--out", str(tmp_path / "o")])) == 1
        return capsys.readouterr().err

    assert "Name a method file" in told()
    assert "no folder" in told("--board", str(tmp_path / "none"))
    twin = tmp_path / "a" / "independent.py"
    twin.parent.mkdir()
    twin.write_text("def method(): pass\n")
    assert "Two entries are called independent" in told(str(twin))
    assert "at least 8" in told(str(shipped()["thirds"]), "--groups", "3")


def test_every_shipped_entry_is_small_enough():
    for path in shipped().values():
        assert "def method(prompted, unprompted, x, levels, strength)" in source(Path(path))
