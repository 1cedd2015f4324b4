"""The style classifier that is told the noise level: its network, the shipped one, how a force uses it, its command."""

import argparse
import json
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from course_lib.features import LevelStyleClassifier, load_network, load_style, rule_of_thirds
from course_lib.features.networks import LevelStyleNetwork
from course_lib.features.tiny import TINY
from course_lib.guidance import Groups, Repulsion, guided
from course_lib.stable_diffusion import StableDiffusion
from course_lib.tools.train_style import command, latents, training
from course_lib.tools.train_tiny import data


def seeded(seed=0, **sizes):
    torch.manual_seed(seed)
    network = LevelStyleNetwork(**sizes).eval().requires_grad_(False)
    for norm in network.norms:  # as after a training: neither 0 nor 1
        norm.running_mean.normal_(0, 0.1)
        norm.running_var.uniform_(0.5, 2)
    return network


def randn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def held_out():
    """500 pictures that no network has seen, encoded, and their styles."""
    factors, images = data.balanced(500, seed=991)
    with torch.no_grad():
        return StableDiffusion.load("tiny", device="cpu").encode(data.floats(images), 100), factors.style


def test_the_level_acts_by_its_scale_and_by_gains_and_offsets():
    network, z = seeded(), randn(3, 4, 12, 12)
    sigma = torch.tensor([0.5, 2.0, 9.0])
    each = torch.cat([network.features(z[i : i + 1], float(s)) for i, s in enumerate(sigma)])
    torch.testing.assert_close(network.features(z, sigma), each)
    with torch.no_grad():
        for parameter in network.level.parameters():
            parameter.zero_()  # the network is told nothing but the scale of its input
    torch.testing.assert_close(network.features(z, 3.0), network.features(z * (5.0 / 10.0) ** 0.5, 2.0))


def test_below_the_lowest_level_every_level_is_the_lowest():
    network, z = seeded(), randn(2, 4, 12, 12)
    assert torch.equal(network(z, 0.0), network(z, LevelStyleNetwork.LOWEST))
    assert not torch.equal(network(z, 0.0), network(z, 2 * LevelStyleNetwork.LOWEST))


def test_latents_of_any_size_a_tiled_one_is_read_like_its_tile():
    network = seeded(styles=7, channels=16)
    flat = randn(2, 16, 1, 1)  # constant in space: away from the edges all positions are alike
    small, large = (network.features(flat.expand(2, 16, n, n), 1.0) for n in (24, 64))
    torch.testing.assert_close(large[:, :, 16, 16], small[:, :, 6, 6])
    assert network(flat.expand(2, 16, 64, 64), 1.0).shape == (2, 7)


def test_shipped_network_is_right_at_every_level_as_its_file_says(held_out):
    shipped = load_network("style_levels")
    right = training.accuracy(shipped, *held_out)
    for sigma, share in ((1.0, 0.90), (2.0, 0.75), (4.0, 0.45)):
        assert right[sigma] >= share, right
    told = json.loads((TINY / "style_levels.json").read_text())
    assert all(abs(told[f"{sigma:g}"] - share) < 0.08 for sigma, share in right.items()), right
    z, style = held_out
    old = (load_network("style")(z + 2 * randn(*z.shape)).argmax(1) == style).double().mean()
    assert right[2.0] > old + 0.2  # what the classifier of clean latents reads there


def test_thirds_and_means_of_the_map():
    network, z = seeded(), randn(3, 4, 12, 12)
    classifier = LevelStyleClassifier(network)
    torch.testing.assert_close(classifier(z, 2.0), network.features(z, 2.0).mean((2, 3)))
    torch.testing.assert_close(classifier.thirds(z, 2.0), rule_of_thirds(network.features(z, 2.0)))
    assert classifier(z.double(), 2.0).dtype == torch.float64


class Told:
    """Features that note the level they are told."""

    takes_sigma = True

    def __init__(self):
        self.levels = []

    def __call__(self, z, sigma):
        self.levels.append(float(sigma))
        return z.flatten(1)


@pytest.mark.parametrize(("on", "level"), [("x", 3.0), ("x0", 0.0)])
def test_a_force_tells_features_the_level_of_what_they_see(on, level):
    told, x = Told(), randn(4, 2)
    guided(lambda x, sigma: x, Repulsion(1.0, features=told, on=on))(x, torch.tensor(3.0))
    assert told.levels == [level]


def test_groups_of_a_level_classifier_are_its_groups_one_by_one():
    x, sigma = randn(6, 4, 12, 12), torch.tensor(2.0)
    for features in (LevelStyleClassifier(seeded()), LevelStyleClassifier(seeded()).thirds):
        one = Repulsion(1.0, features=features)
        apart = sum(one(part, part, sigma) for part in x.split(3))
        torch.testing.assert_close(Groups(3, one)(x, x, sigma), apart)


def test_a_written_network_comes_back_with_its_names(tmp_path):
    network, path = seeded(styles=3, channels=16), tmp_path / "deep" / "own.safetensors"
    command.write(network, ("Ada", "Bo", "Cy"), path)
    again, z = load_style(path), randn(2, 16, 9, 9)
    assert again.styles == ("Ada", "Bo", "Cy")
    assert not again.training
    torch.testing.assert_close(again(z, 1.5), network.half().float()(z, 1.5))


def test_other_files_are_named_as_such(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file .*none; make it with: course train-style"):
        load_style(tmp_path / "none")
    foreign, text, short = (
        tmp_path / name for name in ("foreign.safetensors", "text.safetensors", "short.safetensors")
    )
    save_file({"weight": torch.zeros(2)}, foreign, metadata={"format": "pt"})
    text.write_text("no weights")
    command.write(seeded(), ("a", "b", "c", "d"), short)
    short.write_bytes(short.read_bytes()[:-100])
    for path in (foreign, text, short):
        with pytest.raises(
            ValueError, match=rf"^load_style: .*{path.name} was not written by course train-style \(.+\)\.$"
        ):
            load_style(path)


# --- the command ------------------------------------------------------------------------------------------------------


def asked(tmp_path, **changes):
    options = {"model": "tiny", "artists": None, "subjects": None, "seeds": 2, "levels": 2, "w": 3.0, "steps": 3}
    options |= {"work": tmp_path / "work", "out": tmp_path / "out.safetensors", "device": "cpu"}
    return argparse.Namespace(**options | changes)


def listed(path, *lines):
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def lists(tmp_path):
    subjects = listed(tmp_path / "subjects.txt", "a circle", "a star", "", "a ring")
    return {"artists": listed(tmp_path / "artists.txt", "Ada", "Bo"), "subjects": subjects}


def test_generated_latents_go_on_where_a_run_was_stopped(tmp_path, lists, monkeypatch):
    subjects = command.lines_of(lists["subjects"])
    sd, drawn = StableDiffusion.load("tiny", device="cpu"), []
    generate = StableDiffusion.generate

    def noted(self, prompt, seeds, **options):
        if len(drawn) == 3:
            drawn.append(None)
            raise KeyboardInterrupt
        drawn.append((prompt, list(seeds)))
        return generate(self, prompt, seeds, **options)

    monkeypatch.setattr(StableDiffusion, "generate", noted)
    make = lambda: latents.generated(sd, ("Ada", "Bo"), subjects, 2, 2, 3.0, tmp_path / "work")  # noqa: E731
    with pytest.raises(KeyboardInterrupt):
        make()
    found = make()
    prompts = [f"{subject} by {artist}" for subject in subjects for artist in ("Ada", "Bo")]
    assert [one for one in drawn if one] == [(prompt, [2 * i, 2 * i + 1]) for i, prompt in enumerate(prompts)]
    assert found.styles == ("Ada", "Bo")
    assert (found.style.tolist(), found.held_out_style.tolist()) == ([0, 0, 1, 1] * 2, [0, 0, 1, 1])
    last = generate(sd, "a ring by Bo", [10, 11], steps=2, w=3.0, decode=False)
    torch.testing.assert_close(found.held_out[2:], last)


def test_the_command_trains_writes_and_says_how_often_it_is_right(tmp_path, lists, capsys):
    assert command.main(asked(tmp_path, **lists)) == 0
    said = capsys.readouterr().out
    network = load_style(tmp_path / "out.safetensors")
    told = json.loads((tmp_path / "out.json").read_text())
    assert list(told) == ["0", "0.1", "0.5", "1", "2", "4", "8"]
    assert f"chance {1 / len(network.styles):.2f}" in said
    assert command.main(asked(tmp_path, **lists, steps=3)) == 0  # nothing is trained twice
    assert command.main(asked(tmp_path, **lists, model="auto")) == 1
    assert "holds another run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"steps": 0}, "--steps and --seeds must be at least 1, got 0 and 2"),
        ({"model": "nowhere"}, "nowhere is neither a model nor a folder"),
        ({"artists": ("one",)}, "must hold at least two lines, all different, got 1"),
        ({"artists": ("one", "two")}, "needs --artists and --subjects"),
        ({"artists": ("one", "one"), "subjects": ("a", "b")}, "must hold at least two lines, all different, got 2"),
    ],
)
def test_what_the_command_refuses(tmp_path, capsys, changes, sentence):
    given = {k: listed(tmp_path / f"{k}.txt", *v) if isinstance(v, tuple) else v for k, v in changes.items()}
    assert command.main(asked(tmp_path, **given)) == 1
    said = capsys.readouterr().err
    assert said.startswith("course train-style: ")
    assert said.endswith(".\n")
    assert said.count("\n") == 1
    assert sentence in said


def test_the_loss_draws_levels_over_the_whole_range_and_learns(tmp_path, monkeypatch):
    """Two styles told apart by their mean: a hundred steps suffice, and levels from .03 to 15 were seen."""
    seen, forward = [], LevelStyleNetwork.forward

    def noted(self, z, sigma):
        seen.extend(torch.as_tensor(sigma).flatten().tolist() if self.training else [])
        return forward(self, z, sigma)

    monkeypatch.setattr(LevelStyleNetwork, "forward", noted)
    style = torch.arange(40) % 2
    z = (2.0 * style - 1)[:, None, None, None] + 0.1 * randn(40, 4, 6, 6)
    training.train(SimpleNamespace(latents=z, style=style, styles=("a", "b")), 100, tmp_path, "cpu", batch=16)
    last = float((tmp_path / "log.txt").read_text().split()[-1])
    assert last < 0.25  # log 2 = .69 by guessing
    levels = torch.tensor(seen).log()
    assert levels.exp().min() < 0.04
    assert levels.exp().max() > 11
    assert abs(levels.mean() - (torch.tensor(0.03 * 15).log() / 2)) < 0.2
