"""`course evaluate`: the same files whatever happens on the way, true numbers, and one sentence for what is wrong."""

import dataclasses
import io
import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from course_lib.features import default_embedding, load_network
from course_lib.metrics import GaussianStatistics, max_diversity_distance, prdc, vendi_features
from course_lib.stable_diffusion import StableDiffusion
from course_lib.tools import cli
from course_lib.tools.evaluate import command, folder, page, protocol
from course_lib.tools.evaluate.methods import Watched, feature, latents, levels
from course_lib.tools.evaluate.protocol import PictureSet
from course_lib.tools.evaluate.run import KINDS

HEAD = """\
# A test of the command.
title = "Small"
model = "tiny"
steps = 2
w = 3.0
group = 4
shard = 2
seeds = 4
draws = 5
embedding = "world"
clip = "world"
artists = ["Amaro", "Belen"]
each = "{prompt} in the style of {artist}"
all = "{prompt} in the style of {artists}"

[prompts]
square = "a blue square"
"""
SETS = """
[[sets]]
name = "minimum"
prompt = "all"

[[sets]]
name = "maximum"
prompt = "each"
seed = 100

[[sets]]
name = "second maximum"
prompt = "each"
seed = 200

[[sets]]
name = "Langevin"
prompt = "all"
method = "langevin"

[[sets]]
name = "rule of thirds"
prompt = "all"
method = "repulsion"
feature = "rule of thirds"
on = "x0"
alpha = 1
relative = 0.3
"""
SHARDS = 4 * 4 + 2
SETS_OF_ONE = '\n[[sets]]\nname = "one"\n'


def written(tmp: Path, text: str = HEAD + SETS, name: str = "small.toml") -> Path:
    path = tmp / name
    path.write_text(text, encoding="utf-8")
    return path


def evaluate(path: Path | str, out: Path, *more: str) -> int:
    return cli.main(["evaluate", str(path), "--out", str(out), "--device", "cpu", "--chunk", "2", *more])


def contents(out: Path) -> dict[str, bytes]:
    """Every file of a run but its times, which no two runs share."""
    paths = [path for path in out.rglob("*") if path.is_file() and path.parent.name != "times"]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in paths}


def same(out: Path, whole: Path) -> None:
    """The files of two runs are the same, byte for byte; says which are not."""
    ours, theirs = contents(out), contents(whole)
    assert set(ours) == set(theirs)
    assert [name for name in ours if ours[name] != theirs[name]] == []


def logged(out: Path) -> list[str]:
    """The names of the shards in the order in which they were finished, by all processes."""
    lines = [line for path in sorted((out / "times").glob("*.jsonl")) for line in path.read_text().splitlines()]
    return [json.loads(line)["shard"] for line in lines]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The folder of an undisturbed run in one process."""
    tmp = tmp_path_factory.mktemp("whole")
    assert evaluate(written(tmp), tmp / "out") == 0
    return tmp / "out"


class Killed(BaseException):
    """Stands for a kill: nothing between here and the test catches it."""


def deadly(monkeypatch, write: int, moment: str) -> None:
    """Die at the given write of a file: before it, in the midst of it, or after it."""
    count, put = itertools.count(), folder.Folder.put

    def struck(descriptor: int) -> None:
        raise Killed

    def dying(self, name: str, content: bytes) -> None:
        if next(count) < write:
            return put(self, name, content)
        if moment == "after":
            put(self, name, content)
        if moment == "amid":
            monkeypatch.setattr(os, "fsync", struck)  # half of it is written, under whatever name
            put(self, name, content[: len(content) // 2])
        raise Killed

    monkeypatch.setattr(folder.Folder, "put", dying)


def test_killed_five_times_it_writes_the_files_of_an_undisturbed_run(whole, tmp_path, monkeypatch):
    path, out, rng = written(tmp_path), tmp_path / "out", random.Random(11)
    for moment, rank, world in (("before", 0, 1), ("amid", 1, 2), ("after", 0, 2), ("amid", 0, 1), ("amid", 1, 3)):
        with monkeypatch.context() as patched:
            patched.setenv("RANK", str(rank))
            patched.setenv("WORLD_SIZE", str(world))
            deadly(patched, rng.randrange(1, 5), moment)
            with pytest.raises(Killed):
                evaluate(path, out)
    assert evaluate(path, out) == 0
    same(out, whole)
    shards = [name for name in contents(out) if name.startswith("sets") and name.endswith(".npz")]
    assert len(shards) == SHARDS
    assert len(logged(out)) == len(set(logged(out)))  # no shard was finished twice


def launched(*command_line: str) -> subprocess.Popen:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", *command_line],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def test_a_killed_process_is_gone_on_with(whole, tmp_path):
    path, out = written(tmp_path), tmp_path / "out"
    run = launched("course_lib.tools.cli", "evaluate", str(path), "--out", str(out), "--device", "cpu", "--chunk", "2")
    for _ in range(random.Random(5).randrange(2, 12)):
        assert " left" in run.stdout.readline()
    run.send_signal(signal.SIGKILL)
    run.communicate()
    assert run.returncode == -signal.SIGKILL
    assert not (out / "index.html").exists()
    assert evaluate(path, out) == 0
    same(out, whole)


def test_two_processes_of_accelerate_write_the_files_of_one(whole, tmp_path):
    path, out = written(tmp_path), tmp_path / "out"
    options = ["--multi_gpu", "--num_machines=1", "--num_processes=2", "--mixed_precision=no", "--dynamo_backend=no"]
    options += ["--main_process_port=0", "--module", "course_lib.tools.cli", "evaluate"]
    told = [str(path), "--out", str(out), "--device", "cpu", "--chunk", "2"]
    run = launched("accelerate.commands.accelerate_cli", "launch", *options, *told)
    said, errors = run.communicate()
    assert run.returncode == 0, errors[-2000:]
    same(out, whole)
    assert {file.name for file in (out / "times").glob("*.jsonl")} == {"0.jsonl", "1.jsonl"}
    assert sorted(logged(out)) == sorted(logged(whole))
    assert said.count("The page is") >= 1


def test_a_process_leaves_the_page_to_the_last(whole, tmp_path, monkeypatch, capsys):
    path, out = written(tmp_path), tmp_path / "out"
    monkeypatch.setenv("WORLD_SIZE", "3")
    for rank, left in ((1, 12), (2, 6), (0, 0)):
        monkeypatch.setenv("RANK", str(rank))
        assert evaluate(path, out) == 0
        assert (f"Other processes have {left} files left" in capsys.readouterr().out) == bool(left)
        assert (out / "index.html").exists() == (not left)
    same(out, whole)


def test_the_chunk_of_the_first_run_is_kept(whole, tmp_path):
    path, out = written(tmp_path), tmp_path / "out"
    assert evaluate(path, out) == 0
    (out / "sets/square/rule-of-thirds/000004.npz").unlink()
    assert cli.main(["evaluate", str(path), "--out", str(out), "--device", "cpu"]) == 0
    same(out, whole)


def test_a_picture_depends_on_its_seed_and_a_repelled_one_on_its_group(whole, tmp_path):
    """Other shards, another chunk, another order of sets: the features agree but for rounding."""
    listed = SETS.strip().split("\n\n")
    text = HEAD.replace("shard = 2", "shard = 4") + "\n" + "\n\n".join(reversed(listed)) + "\n"
    out = tmp_path / "out"
    assert evaluate(written(tmp_path, text), out, "--chunk", "3") == 0
    for name, n in (("minimum", 2), ("maximum", 2), ("langevin", 2), ("rule-of-thirds", 4)):
        ours, theirs = (np.load(where / f"sets/square/{name}/000004.npz") for where in (out, whole))
        assert ours["seeds"][:n].tolist() == theirs["seeds"][:n].tolist()
        np.testing.assert_allclose(ours["default"][:n], theirs["default"][:n], atol=2e-3)
        apart = np.abs(ours["default"][1] - theirs["default"][0]).max()
        assert apart > 0.05, f"two pictures of {name} are the same, so that the test says nothing"


def test_what_is_counted(whole):
    """Calls of the denoiser and the relative strength, which the protocol fixes for the repulsion."""
    read = lambda name: np.load(whole / f"sets/square/{name}/000000.npz")["strength"]  # noqa: E731
    assert read("minimum").tolist() == [0, 0]
    assert read("langevin").tolist() == [0, 0, 0]  # one correction, in the first half of two levels
    np.testing.assert_allclose(read("rule-of-thirds"), [0.3, 0.3], rtol=1e-4)


@pytest.mark.parametrize("spacing", ["pipeline", "linspace"])
def test_the_langevin_step_is_the_thesis(monkeypatch, tmp_path, spacing):
    """x + eps score + sqrt(2 eps) xi with eps = sigma (sigma - sigma'), then the step to sigma'."""
    sd = StableDiffusion.load("tiny", device="cpu")
    read = protocol.read(str(written(tmp_path, HEAD.replace("w = 3.0", f'w = 3.0\nspacing = "{spacing}"') + SETS)))
    target = torch.randn(1, 4, 12, 12, generator=torch.Generator().manual_seed(1))
    monkeypatch.setattr(sd, "prompt", lambda *_, **__: lambda x, sigma: target.expand_as(x))
    z, strength = latents(sd, read, PictureSet("one", method="langevin"), ["a circle"], [7], 1)
    sigmas, g = levels(sd, read), torch.Generator().manual_seed(7)
    x = (1 + sigmas[0] ** 2).sqrt().float() * torch.randn(1, 4, 12, 12, generator=g)
    eps = sigmas[0] * (sigmas[0] - sigmas[1])
    score = (target - x) / sigmas[0] ** 2
    x = x + eps * score + (2 * eps).sqrt() * torch.randn(1, 4, 12, 12, generator=g)
    for high, low in zip(sigmas[:-1], sigmas[1:]):
        x = target + low / high * (x - target)
    torch.testing.assert_close(z, (x * (1 + sigmas[-1] ** 2).rsqrt()).float(), atol=1e-4, rtol=1e-4)
    assert strength.shape == (3,)


def test_the_levels_of_the_thesis():
    """Its first four and its last three levels, as its slides' twenty steps have them."""
    sigmas = levels(StableDiffusion.load("tiny", device="cpu"), protocol.read("thesis"))
    assert [round(s, 3) for s in sigmas.tolist()[:4]] == [14.615, 10.747, 8.082, 6.205]
    assert [round(s, 3) for s in sigmas.tolist()[-3:]] == [0.232, 0.029, 0]


def test_watched_measures_the_share_of_the_score():
    D = Watched(lambda x, sigma: torch.zeros_like(x), lambda D: lambda x, sigma: D(x, sigma) + x / 4)
    D(torch.randn(3, 4, 2, 2), torch.tensor(2.0))
    torch.testing.assert_close(D.strength(), torch.tensor([0.25]))


def made_up(out: Path, spreads: dict[str, float]) -> tuple[protocol.Protocol, dict[str, torch.Tensor]]:
    """A finished run whose features are drawn around 0 with a known spread for each set, and these features."""
    text = HEAD.replace("seeds = 4", "seeds = 20")
    text += "".join(f'\n[[sets]]\nname = "{name}"\nprompt = "plain"\n' for name in spreads)
    read, store = protocol.read(str(written(out.parent, text))), folder.Folder(out)
    rng, features = np.random.default_rng(0), {}
    for shard in folder.plan(read):
        kinds = {kind: rng.normal(1, spreads[shard.set.name], (shard.n, 3)) for kind in KINDS}
        features.setdefault(shard.set.name, []).append(kinds["default"])
        buffer = io.BytesIO()
        seeds = np.arange(shard.first, shard.first + shard.n)
        np.savez(buffer, seeds=seeds, strength=np.zeros(2), score=np.full(shard.n, 20.0), **kinds)
        store.put(f"{shard.name}.npz", buffer.getvalue())
        store.put(f"{shard.name}.png", b"")
    (out / "times").mkdir()
    page.write(store, read, folder.plan(read), {})
    return read, {name: torch.from_numpy(np.concatenate(parts)) for name, parts in features.items()}


def test_the_numbers_on_the_page_are_those_of_the_metrics(tmp_path):
    spreads = {"minimum": 0.2, "maximum": 2.0, "second maximum": 2.0, "between": 1.0, "nearer": 1.5}
    read, features = made_up(tmp_path / "out", spreads)
    text = (tmp_path / "out" / "index.html").read_text()
    reference = [features[name] for name in ("maximum", "minimum", "second maximum")]
    shares = {}
    for name in ("between", "nearer"):
        expected = max_diversity_distance(features[name], *reference)
        table = re.search(rf"<td>{name}</td>(.*?)</tr>", text, re.DOTALL)[1]
        cells = re.findall(r"<td>(.*?)</td>", table)
        numbers = [cell.split(" ± ")[0] for cell in cells]
        assert numbers[:3] == ["2", "0", f"{expected.distance:.3g}"]
        assert numbers[5] == f"{100 * expected.gap_closed:.3g}"
        groups = features[name].split(read.group)
        assert numbers[8] == f"{torch.stack([vendi_features(g) for g in groups]).mean():.3g}"
        assert numbers[10] == "20"
        both = [prdc(real, fake, 3) for real, fake in zip(reference[0].split(read.group), groups)]
        assert numbers[11] == f"{sum(one.precision for one in both) / len(both):.3g}"
        assert numbers[12] == f"{sum(one.recall for one in both) / len(both):.3g}"
        assert float(cells[5].split(" ± ")[1]) > 0
        shares[name] = expected.gap_closed
    assert 0 < shares["between"] < shares["nearer"] < 1.1
    assert text.count("<svg") == 5  # the gap and four frontiers
    stored = np.load(tmp_path / "out/statistics/square/between-default.npz")
    torch.testing.assert_close(GaussianStatistics.from_arrays(stored).mean, features["between"].mean(0))


def test_where_there_is_no_gap_the_page_draws_none(tmp_path):
    made_up(tmp_path / "out", {"minimum": 2.0, "maximum": 2.0, "second maximum": 0.2, "between": 1.0})
    text = (tmp_path / "out" / "index.html").read_text()
    assert text.count("<svg") == 4
    assert re.search(r"<td>between</td>.*?</tr>", text, re.DOTALL)[0].count("<td>–</td>") == 3


def test_the_features_are_those_of_the_pictures(whole):
    """The first picture of the minimum set, made without the command."""
    sd = StableDiffusion.load("tiny", device="cpu")
    image = sd.generate("a blue square in the style of Amaro, Belen", [0], steps=2, w=3.0)
    own = default_embedding(load_network("embedding"))(image)[0]
    stored = np.load(whole / "sets/square/minimum/000000.npz")["default"][0]
    torch.testing.assert_close(torch.from_numpy(stored), own, atol=2e-3, rtol=0)


def test_the_page_needs_nothing_else_and_fits_everywhere(whole):
    text = (whole / "index.html").read_text(encoding="utf-8")
    assert "prefers-color-scheme: dark" in text
    assert "width=device-width" in text
    assert not re.search(r"https?://|<script", text)
    for source in re.findall(r'(?:src|href)="([^"]+)"', text):
        assert (whole / source).exists(), source
    assert "seconds a picture" in (whole / "times/costs.html").read_text()


@pytest.mark.parametrize("name", ["thesis", "afternoon", "strips", "tiny", "tiny-1000"])
def test_a_shipped_protocol_makes_every_picture_once(name):
    read = protocol.read(name)
    for one, prompt in itertools.product(read.sets, read.prompts):
        blocks = [(s.first, s.n) for s in folder.plan(read) if s.set == one and s.prompt == prompt]
        assert [i for first, n in blocks for i in range(first, first + n)] == list(range(read.pictures))
    assert len({shard.name for shard in folder.plan(read)}) == len(folder.plan(read))


def test_the_thesis_protocol_is_the_thesis():
    read = protocol.read("thesis")
    assert list(read.prompts) == ["cave", "tree", "vase", "kite", "parkour", "actress"]
    assert (len(read.artists), read.seeds, read.pictures, read.steps, read.w) == (50, 200, 10_000, 20, 8)
    own = {one.name: one for one in read.sets}
    minimum = read.wording("a tree", own["minimum"].prompt, 3)
    assert all(artist in minimum for artist in read.artists)
    assert read.wording("a tree", own["maximum"].prompt, 51) == "a tree, by Vincent Van Gogh"
    assert {one.alpha for one in read.sets if one.method == "repulsion"} == {1000}
    assert len(own) == 9
    short = protocol.read("afternoon")
    assert set(short.artists) < set(read.artists)
    assert short.prompts.items() < read.prompts.items()
    assert (short.pictures, short.steps, short.w, short.spacing) == (200, read.steps, read.w, read.spacing)
    strips = protocol.read("strips")
    first = [one.alpha for one in strips.sets if one.feature == "latent"]
    assert first == [0, 50, 100, 200, 300, 400, 500, 800, 1000, 2000]
    assert {one.seed for one in strips.sets} == {1024}
    assert strips.pictures == 5


WRONG = {
    "method": (HEAD + SETS.replace('"langevin"', '"langvin"'), r"method of the set Langevin must be plain, langevin"),
    "feature": (HEAD + SETS.replace('feature = "rule', 'feature = "role'), r"feature of the set rule of thirds must"),
    "key": (HEAD + SETS.replace("relative", "relativ"), r"relativ is unknown; there are name, prompt"),
    "missing": (HEAD.replace('title = "Small"\n', "") + SETS, r"title is missing"),
    "kind": (HEAD.replace("steps = 2", 'steps = "2"') + SETS, r"steps must be a whole number, got '2'"),
    "toml": (HEAD + "[[sets", r"is no protocol in TOML"),
    "no sets": (HEAD, r"needs at least one \[\[sets\]\]"),
    "group": (HEAD.replace("group = 4", "group = 3") + SETS, r"shard must divide group, and group the pictures"),
    "artists": (re.sub(r"artists = .*\n", "", HEAD).replace("seeds = 4", "pictures = 8") + SETS, r"names artists, but"),
    "twice": (HEAD + SETS + SETS, r"two sets have one name"),
    "strength": (HEAD + SETS.replace("alpha = 1", 'alpha = ["1"]'), r"alpha must be a number or a list of numbers"),
    "prompts": (HEAD.split("[prompts]")[0] + "prompts = 3\n" + SETS, r"needs \[prompts\] by name"),
    "template": (HEAD.replace("{artists}", "{painters}") + SETS, r"all may hold \{prompt\} and \{artists\}"),
    "spacing": (HEAD.replace("w = 3.0", 'w = 3.0\nspacing = "even"') + SETS, r"spacing must be pipeline or linspace"),
    "names": (HEAD.replace('["Amaro", "Belen"]', '"Amaro"') + SETS, r"artists must be a list of names, got 'Amaro'"),
    "model": (HEAD.replace('"tiny"', '"tny"') + SETS, r"tny is neither a model nor a folder"),
    "clip": (HEAD.replace('clip = "world"', 'clip = "nowhere"') + SETS, r"there is no CLIP model in nowhere"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_protocol_that_cannot_be_used_is_one_sentence(case, tmp_path, capsys):
    text, sentence = WRONG[case]
    out = tmp_path / "out"
    assert evaluate(written(tmp_path, text), out) == 1
    said = capsys.readouterr().err
    assert re.fullmatch(rf"course evaluate: .*{sentence}.*\.\n", said), said
    assert not out.exists()


def test_an_unknown_protocol_names_those_that_ship(tmp_path, capsys):
    assert evaluate("thsis", tmp_path / "out") == 1
    assert (
        "there is no protocol thsis; name one of afternoon, strips, thesis, tiny, tiny-1000, or a"
        in capsys.readouterr().err
    )


def test_a_model_that_is_not_here_says_how_to_get_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("course_lib.models.find", lambda model: None)
    assert evaluate("thesis", tmp_path / "out") == 1
    assert re.fullmatch(r"course evaluate: .*`course get sd2`.*\.\n", capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


@pytest.fixture
def begun(whole, tmp_path) -> Path:
    """A run that lacks one shard and the page."""
    import shutil

    out = tmp_path / "out"
    shutil.copytree(whole, out)
    for name in ("index.html", "sets/square/minimum/000002.npz"):
        (out / name).unlink()
    return out


def refused(path: Path, out: Path, sentence: str, capsys) -> None:
    """The command stops with the sentence and leaves every file as it was."""
    before = contents(out)
    capsys.readouterr()
    assert evaluate(path, out) == 1
    said = capsys.readouterr().err
    assert re.fullmatch(rf"course evaluate: .*{sentence}.*\.\n", said), said
    assert contents(out) == before


def test_a_folder_of_another_protocol_or_of_other_things_is_left_alone(begun, tmp_path, capsys):
    other = written(tmp_path, HEAD.replace("w = 3.0", "w = 4.0") + SETS)
    refused(other, begun, "belongs to another protocol", capsys)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("mine")
    refused(other, tmp_path / "mine", "holds other files", capsys)


def test_a_run_that_began_otherwise_is_left_alone(begun, tmp_path, capsys):
    path, began = written(tmp_path), json.loads((begun / "run.json").read_text())
    (begun / "run.json").write_text(json.dumps(began | {"dtype": "float16"}))
    refused(path, begun, "was begun with dtype = float16, now it is float32", capsys)
    (begun / "run.json").write_text(json.dumps(began | {"chunk": 3}))
    refused(path, begun, "was begun with chunk = 3, now it is 2", capsys)


def test_a_damaged_shard_is_named_and_then_made_anew(whole, begun, tmp_path, capsys):
    path, victim = written(tmp_path), begun / "sets/square/maximum/000000.npz"
    good = victim.read_bytes()
    victim.write_bytes(good[:-100])
    refused(path, begun, r"maximum/000000\.npz is damaged; delete it", capsys)
    victim.write_bytes(good)
    assert evaluate(path, begun) == 0
    same(begun, whole)
    middle = len(good) // 2
    victim.write_bytes(good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :])
    refused(path, begun, r"maximum/000000\.npz is damaged; delete it", capsys)
    victim.unlink()
    assert evaluate(path, begun) == 0
    same(begun, whole)


def test_a_flipped_bit_is_found_or_changes_nothing(whole, tmp_path):
    read = protocol.read(str(written(tmp_path)))
    shard, store = folder.plan(read)[0], folder.Folder(tmp_path / "out")
    good = (whole / f"{shard.name}.npz").read_bytes()
    store.put(f"{shard.name}.npz", good)
    names, found = ("strength", "default", "location", "style", "clip", "score"), 0
    expected = store.read(shard, *names)
    for at in range(0, len(good), 97):
        store.put(f"{shard.name}.npz", good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        try:
            arrays = store.read(shard, *names)
        except ValueError:
            found += 1
            continue
        assert all(np.array_equal(a, b) for a, b in zip(arrays, expected, strict=True))
    assert found > 0.8 * len(range(0, len(good), 97))


def test_a_full_disk_is_a_sentence_and_loses_nothing(whole, begun, tmp_path, capsys, monkeypatch):
    path = written(tmp_path)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        refused(path, begun, r"could not write \S+000002\.png \(No space left on device\); make room", capsys)
    assert evaluate(path, begun) == 0
    same(begun, whole)


def test_the_style_of_another_model_must_be_named(tmp_path):
    sd, read = StableDiffusion.load("tiny", device="cpu"), protocol.read("tiny")
    feature("style classifier", read, sd)
    sd.name = "sd2"
    with pytest.raises(ValueError, match=r"no style classifier for the latents of sd2; make one with .* --style FILE"):
        feature("style classifier and thirds", read, sd)
    with pytest.raises(FileNotFoundError, match=r"there is no file mine\.safetensors"):
        feature("style classifier", dataclasses.replace(read, style="mine.safetensors"), sd)


@pytest.mark.parametrize(("rank", "world"), [("2", "2"), ("-1", "1"), ("one", "2")])
def test_a_rank_that_cannot_be_is_refused(rank, world, monkeypatch):
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", world)
    with pytest.raises(ValueError, match=r"RANK"):
        command.process()
