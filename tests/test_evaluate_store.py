"""`course evaluate --store`: a finished run becomes a stored result with card and date; anything else one sentence."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from course_lib import claims, evaluations
from course_lib.evaluations import evaluation
from course_lib.metrics import GaussianStatistics, frechet
from course_lib.tools import cli, precompute
from course_lib.tools.evaluate import folder, store
from course_lib.tools.evaluate.protocol import read
from course_lib.tools.evaluate.run import KINDS

CARD, DAY = "NVIDIA Imaginary 9000", "2027-03-04"
SMALL = """\
# A test.
title = "Small"
model = "sd2"
steps = 2
group = 4
seeds = 4
draws = 5
artists = ["Amaro", "Belen"]

[prompts]
cave = "a cave"
tree = "a tree"

"""
SETS = {"minimum": ("all", 0), "maximum": ("each", 100), "second maximum": ("each", 200), "rule of thirds": ("all", 0)}
STRIPS = SMALL.replace('artists = ["Amaro", "Belen"]\n', "").replace("seeds = 4", "pictures = 4")


def text_of(head: str, sets=SETS, wording=True) -> str:
    parts = [f'[[sets]]\nname = "{name}"\nseed = {seed}\n' for name, (_, seed) in sets.items()]
    if wording:
        parts = [part + f'prompt = "{prompt}"\n' for part, (prompt, _) in zip(parts, sets.values())]
    return head + "\n".join(parts)


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """Two protocols that ship, and an empty folder of results."""
    protocols, results = tmp_path / "protocols", tmp_path / "results"
    protocols.mkdir(), results.mkdir()
    (protocols / "small.toml").write_text(text_of(SMALL))
    (protocols / "strips.toml").write_text(text_of(STRIPS, {"plain": ("", 0), "pushed": ("", 0)}, False))
    for module in (store, folder, cli, precompute, claims, evaluations):
        for name, value in (("PROTOCOLS", protocols), ("RESULTS", results)):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, value)
    monkeypatch.setattr("course_lib.tools.evaluate.protocol.PROTOCOLS", protocols)
    return protocols


def fake_run(path: Path, name: str = "small") -> Path:
    """A finished run whose features are drawn, the rule of thirds half-way between minimum and maximum."""
    protocol, g = read(name), torch.Generator().manual_seed(0)
    own, shards = folder.Folder(path), folder.plan(protocol)
    own.claim(protocol)
    began = {"model": "sd2", "parameters": 9, "dtype": "float16", "torch": "2.0", "clip": "", "style": "", "chunk": 4}
    own.begun(began, ())
    (path / "times").mkdir()
    entries = []
    for shard in shards:
        scale = {"minimum": 0.1, "rule of thirds": 0.6}.get(shard.set.name, 1.0)
        drawn = {kind: (scale * torch.randn(shard.n, 3, generator=g)).numpy() for kind in KINDS}
        buffer = io.BytesIO()
        seeds = np.array([shard.set.seed + shard.first + i for i in range(shard.n)])
        np.savez(buffer, seeds=seeds, strength=np.full(2, 0.25, np.float32), **drawn)
        own.put(f"{shard.name}.npz", buffer.getvalue())
        buffer = io.BytesIO()
        Image.new("RGB", (4 * 64, 64), (200, 40, 40) if shard.set.name == "pushed" else "blue").save(buffer, "PNG")
        own.put(f"{shard.name}.png", buffer.getvalue())
        entry = {"shard": shard.name, "set": shard.set.name, "pictures": shard.n, "seconds": 2.0 * shard.n}
        entries.append(json.dumps(entry | {"peak bytes": 5_000_000_000, "device": CARD, "date": DAY}))
    (path / "times" / "0.jsonl").write_text("\n".join(entries) + "\n")
    return path


def told(capsys, *arguments: str) -> str:
    """What a command that must fail says, one line."""
    assert cli.main(["evaluate", *arguments]) == 1
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    return line


def test_a_stored_run_is_shown_with_its_card_and_its_date(shipped, tmp_path, capsys):
    path = fake_run(tmp_path / "run")
    assert evaluation("small") is None
    assert cli.main(["evaluate", "--store", str(path)]) == 0
    assert f"({CARD}, {DAY})" in capsys.readouterr().out
    found = evaluation("small")
    assert str(found).startswith(f"Small: sd2 in float16 on {CARD}, {DAY}, 8 pictures a set of 2 prompts")
    assert f"on {CARD}, {DAY}, " in found.table()
    assert found.seconds.tolist() == [2.0] * 4
    assert found.peak.tolist() == [5e9] * 4
    assert found.sheet is None, "a protocol that names artists keeps no pictures"


def test_the_stored_numbers_are_those_of_the_features(shipped, tmp_path):
    """Distances from the shards by the library's own function, and the share of the gap by hand."""
    path = fake_run(tmp_path / "run")
    store.store(path)
    found, protocol = evaluation("small"), read("small")
    own = {}
    for one in protocol.sets:
        shards = [s for s in folder.plan(protocol) if s.prompt == "tree" and s.set == one]
        parts = [torch.from_numpy(folder.Folder(path).read(s, "style")[0]).double() for s in shards]
        own[one.name] = torch.cat(parts)
    maximum = GaussianStatistics.from_features(own["maximum"])
    d = {name: float(frechet(x, maximum)) for name, x in own.items()}
    row, kind = found.sets.index("rule of thirds"), found.kinds.index("style")
    assert float(found.distance[1, row, kind]) == pytest.approx(d["rule of thirds"], rel=1e-6)
    share = (d["minimum"] - d["rule of thirds"]) / (d["minimum"] - d["second maximum"])
    assert float(found.gap[1, row, kind]) == pytest.approx(share, rel=1e-6)
    line = next(line for line in found.table("tree").splitlines() if line.startswith("rule of thirds"))
    assert f"{d['rule of thirds']:.3g} ±" in line
    assert f"{share:.3g} ±" in line
    assert torch.isnan(found.gap[1, found.sets.index("maximum"), kind])
    with pytest.raises(ValueError, match="prompt must be one of cave, tree, got 'sea'"):
        found.table("sea")


def test_strips_keep_their_pictures(shipped, tmp_path):
    store.store(fake_run(tmp_path / "run", "strips"))
    sheet = evaluation("strips").sheet
    assert sheet.shape == (2, 3, 64, 4 * 64)
    assert float(sheet[1, 0].mean()) > 0.4 > -0.9 > float(sheet[0, 0].mean()), "each row is its own set's"


def test_a_stored_run_of_a_protocol_with_a_hyphen_is_found():
    """A thousand pictures a set, from which chapter 9 reads the thesis' bars."""
    run = evaluation("tiny-1000")
    assert (run.protocol, run.pictures, run.prompts) == ("tiny-1000", 1000, ["square"])
    assert run.kinds == ["default", "location", "style"]
    at = run.sets.index("minimum")
    assert (run.distance[0, at] > run.distance[0, run.sets.index("second maximum")]).all()


def test_an_unfinished_run_is_not_stored(shipped, tmp_path, capsys):
    path = fake_run(tmp_path / "run")
    (path / "sets" / "tree" / "minimum" / "000004.npz").unlink()
    line = told(capsys, "--store", str(path))
    assert "is not finished, 4 of 64 pictures are missing; run `course evaluate small --out" in line
    assert evaluation("small") is None


def test_another_protocol_is_not_stored(shipped, tmp_path, capsys):
    path = fake_run(tmp_path / "run")
    assert "was run by the protocol small, not strips" in told(capsys, "strips", "--store", str(path))
    changed = (path / "protocol.toml").read_text().replace("steps = 2", "steps = 3")
    (path / "protocol.toml").write_text(changed)
    assert "another protocol than those that ship (small, strips)" in told(capsys, "--store", str(path))
    assert "holds no run" in told(capsys, "--store", str(tmp_path))
    assert not list((tmp_path / "results").iterdir())


def test_a_run_without_a_date_is_not_stored(shipped, tmp_path, capsys):
    path = fake_run(tmp_path / "run")
    log = path / "times" / "0.jsonl"
    log.write_text(log.read_text().replace(f', "date": "{DAY}"', ""))
    assert "does not say when the run was made" in told(capsys, "--store", str(path))
    shutil.rmtree(path / "times")
    assert "does not say when the run was made" in told(capsys, "--store", str(path))


def test_without_protocol_and_folder_there_is_one_sentence(capsys):
    assert "name a protocol, or a finished run's folder with --store FOLDER" in told(capsys)
