"""The networks behind the features: Inception as published, the shipped ones and their checksums, the oracle, CLIP."""

import dataclasses
import hashlib
import json
import math
import pickle
import re
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from course_lib import models
from course_lib.features import (
    CLIP,
    Inception,
    Oracle,
    StyleClassifier,
    default_embedding,
    embed,
    inception,
    load_clip,
    load_network,
    location_embedding,
    resize_clean,
    style_embedding,
    tiny,
)
from course_lib.features.inception import A, B, C, D, E, Unit, max_pool
from course_lib.features.networks import BUILD, build
from course_lib.world import COLOURS, HEAD, SHAPES, STYLES, draw, phrase, render, thirds

MANIFEST = json.loads((Path(__file__).parent / "inception_manifest.json").read_text())
FILE_BYTES = 95_628_359  # of the published file


@pytest.fixture
def random():
    """Makes a network with random weights and random statistics in its batch norms, in evaluation mode."""

    def made(make):
        before = torch.random.get_rng_state()
        torch.manual_seed(0)
        network = make().eval().requires_grad_(False)
        for name, value in network.state_dict().items():
            if "bn" in name and name.endswith(("weight", "running_var")):
                value.uniform_(0.8, 1.25)
            elif "bn" in name and value.is_floating_point():
                value.normal_(0, 0.1)
        torch.random.set_rng_state(before)
        return network

    return made


def randn(g, *shape):
    return torch.randn(*shape, generator=g)


def test_inception_has_the_names_and_shapes_of_the_published_weights():
    assert {name: list(value.shape) for name, value in Inception().state_dict().items()} == MANIFEST


def test_the_manifest_has_the_size_of_the_published_file():
    """566 entries; their bytes, and some 150 more of names and headers for each, are the file."""
    assert len(MANIFEST) == 566
    each = {name: 8 if name.endswith("num_batches_tracked") else 4 for name in MANIFEST}
    content = sum(each[name] * math.prod(shape) for name, shape in MANIFEST.items())
    assert 100 < (FILE_BYTES - content) / len(MANIFEST) < 200


def unit(weights, name, x, stride=1, padding=(0, 0)):
    """Convolution, normalisation with the stored statistics (their epsilon is 1e-3), ReLU, written out."""
    row = {key.split(".", 1)[1]: value for key, value in weights.items() if key.startswith(f"{name}.")}
    x = F.conv2d(x, row["conv.weight"], None, stride, padding)
    scale = row["bn.weight"] / (row["bn.running_var"] + 1e-3).sqrt()
    return (x * scale[:, None, None] + (row["bn.bias"] - row["bn.running_mean"] * scale)[:, None, None]).clamp(min=0)


def neighbours(x, how):
    """Mean or maximum over the places of the 3 x 3 neighbourhood that lie on the map, by a loop."""
    out = torch.empty_like(x)
    for i in range(x.shape[2]):
        for j in range(x.shape[3]):
            around = x[:, :, max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
            out[:, :, i, j] = how(around, (2, 3))
    return out


def chain(weights, x, *steps):
    """x through units; a step is (name, padding) or (name, padding, stride)."""
    for name, padding, *stride in steps:
        x = unit(weights, name, x, stride[0] if stride else 1, padding)
    return x


POINT, ROW, COLUMN, THREE, FIVE = (0, 0), (0, 3), (3, 0), (1, 1), (2, 2)


def block_a(w, x):
    pooled = neighbours(x, torch.mean)
    five = chain(w, x, ("branch5x5_1", POINT), ("branch5x5_2", FIVE))
    double = chain(w, x, ("branch3x3dbl_1", POINT), ("branch3x3dbl_2", THREE), ("branch3x3dbl_3", THREE))
    return [unit(w, "branch1x1", x), five, double, unit(w, "branch_pool", pooled)]


def block_b(w, x):
    double = chain(w, x, ("branch3x3dbl_1", POINT), ("branch3x3dbl_2", THREE), ("branch3x3dbl_3", POINT, 2))
    return [unit(w, "branch3x3", x, 2), double, neighbours(x, torch.amax)[:, :, 1:-1:2, 1:-1:2]]


def block_c(w, x):
    once = chain(w, x, ("branch7x7_1", POINT), ("branch7x7_2", ROW), ("branch7x7_3", COLUMN))
    names = [f"branch7x7dbl_{k}" for k in range(1, 6)]
    twice = chain(w, x, *zip(names, (POINT, COLUMN, ROW, COLUMN, ROW)))
    return [unit(w, "branch1x1", x), once, twice, unit(w, "branch_pool", neighbours(x, torch.mean))]


def block_d(w, x):
    three = chain(w, x, ("branch3x3_1", POINT), ("branch3x3_2", POINT, 2))
    seven = [("branch7x7x3_1", POINT), ("branch7x7x3_2", ROW), ("branch7x7x3_3", COLUMN), ("branch7x7x3_4", POINT, 2)]
    return [three, chain(w, x, *seven), neighbours(x, torch.amax)[:, :, 1:-1:2, 1:-1:2]]


def block_e(w, x, how=torch.mean):
    once, twice = unit(w, "branch3x3_1", x), chain(w, x, ("branch3x3dbl_1", POINT), ("branch3x3dbl_2", THREE))
    parts = [unit(w, "branch1x1", x)]
    for stem, y in (("branch3x3", once), ("branch3x3dbl", twice)):
        end = "2" if stem == "branch3x3" else "3"
        parts += [unit(w, f"{stem}_{end}a", y, padding=(0, 1)), unit(w, f"{stem}_{end}b", y, padding=(1, 0))]
    return [*parts, unit(w, "branch_pool", neighbours(x, how))]


BLOCKS = {
    "A": (lambda: A(8, 6), block_a),
    "B": (lambda: B(8), block_b),
    "C": (lambda: C(8, 5), block_c),
    "D": (lambda: D(8), block_d),
    "E": (lambda: E(8), block_e),
    "last E": (lambda: E(8, pool=max_pool), lambda w, x: block_e(w, x, torch.amax)),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_are_their_formulas(name, random, g):
    """Also on maps that are not square, where a row's kernel is not a column's, and where most of the map is edge."""
    make, formula = BLOCKS[name]
    block = random(make)
    for shape in ((2, 8, 7, 9), (1, 8, 3, 3)):
        x = randn(g, *shape)
        torch.testing.assert_close(block(x), torch.cat(formula(block.state_dict(), x), 1), rtol=1e-4, atol=1e-5)


def test_pools_of_the_whole_network():
    """Averages but in the last block, which takes the maximum."""
    network = Inception()
    assert network.Mixed_7c.pool is max_pool
    assert network.Mixed_7b.pool is not max_pool


def test_the_whole_network_is_its_blocks_in_their_order(random, g):
    network, images = random(Inception), randn(g, 1, 3, 299, 299).clamp(-1, 1)
    first, second, pooled = network.blocks(images)
    assert (first.shape, second.shape, pooled.shape) == ((1, 64, 73, 73), (1, 192, 35, 35), (1, 2048))
    w, x = network.state_dict(), images
    for name, stride, padding in (
        ("Conv2d_1a_3x3", 2, POINT),
        ("Conv2d_2a_3x3", 1, POINT),
        ("Conv2d_2b_3x3", 1, THREE),
    ):
        x = unit(w, name, x, stride, padding)
    x = x.unfold(2, 3, 2).unfold(3, 3, 2).amax((4, 5))
    torch.testing.assert_close(first, x, rtol=1e-4, atol=1e-5)
    x = chain(w, x, ("Conv2d_3b_1x1", POINT), ("Conv2d_4a_3x3", POINT)).unfold(2, 3, 2).unfold(3, 3, 2).amax((4, 5))
    torch.testing.assert_close(second, x, rtol=1e-4, atol=1e-5)
    sizes = {"5": (35, 35), "6": (17, 17), "7": (8, 8)}
    for name in list(dict.fromkeys(key.split(".")[0] for key in MANIFEST if key.startswith("Mixed"))):
        x = getattr(network, name)(x)
        assert x.shape[2:] == sizes[name[6]]
    torch.testing.assert_close(pooled, x.mean((2, 3)))
    logits = network(images)
    torch.testing.assert_close(logits, pooled @ w["fc.weight"].T + w["fc.bias"])
    assert logits.shape == (1, 1008)


def test_the_thesis_embeddings_have_the_thesis_sizes(random):
    network = random(Inception)
    dims = [make(network).dim for make in (default_embedding, location_embedding, style_embedding)]
    assert dims == [2048, 1225, 2080]
    assert style_embedding(network).name == "Inception style"


def test_inceptions_unit_keeps_the_size_or_not(g):
    x = randn(g, 1, 3, 9, 9)
    assert Unit(3, 4, 3)(x).shape == (1, 4, 9, 9)
    assert Unit(3, 4, (1, 7))(x).shape == (1, 4, 9, 9)
    assert Unit(3, 4, 3, 2, same=False)(x).shape == (1, 4, 4, 4)


def expect_sum_of(path, monkeypatch):
    """The registry's Inception is the file at this path."""
    module, digest = sys.modules["course_lib.features.inception"], hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(module, "INCEPTION", dataclasses.replace(models.INCEPTION, sha256=digest))


def test_inception_loads_a_file_with_the_right_checksum(tmp_path, monkeypatch, random):
    """In the format of the published file, named by argument or by the environment variable."""
    network, path = random(Inception), tmp_path / "weights.pth"
    torch.save(network.state_dict(), path, _use_new_zipfile_serialization=False)
    expect_sum_of(path, monkeypatch)
    monkeypatch.setenv("COURSE_INCEPTION", str(path))
    loaded = inception()
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in network.state_dict().items())


class Anything:
    """An object that only a full unpickler would make."""


def test_inception_opens_a_file_as_weights_only(tmp_path, monkeypatch):
    path = tmp_path / "weights.pth"
    torch.save({"fc.bias": Anything()}, path)
    expect_sum_of(path, monkeypatch)
    with pytest.raises(pickle.UnpicklingError, match="Anything"):
        inception(path)


def test_inception_says_what_to_fetch(tmp_path, monkeypatch):
    monkeypatch.delenv("COURSE_INCEPTION", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    what = r"get its 96 MB with `course get inception`, or name a copy of it in COURSE_INCEPTION\.$"
    missing = re.escape(str(tmp_path / "hub/checkpoints/pt_inception-2015-12-05-6726825d.pth"))
    with pytest.raises(FileNotFoundError, match=f"^inception: there is no file {missing}; {what}"):
        inception()
    with pytest.raises(FileNotFoundError, match=f"there is no file {tmp_path / 'absent'}; " + what):
        inception(tmp_path / "absent")
    path = tmp_path / "other.pth"
    torch.save({}, path)
    monkeypatch.setenv("COURSE_INCEPTION", str(path))
    begins = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    with pytest.raises(ValueError, match=f"not FID.s Inception of .* its SHA-256 begins with {begins}; " + what):
        inception()
    assert re.fullmatch("6726825d[0-9a-f]{56}", models.INCEPTION.sha256)


@pytest.fixture
def shipped(tmp_path, monkeypatch, random):
    """A folder of untrained networks in half precision with their checksums, in the place of course_lib/tiny."""
    for name in BUILD:
        state = random(lambda name=name: build(name)).state_dict()
        halved = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
        save_file(halved, tmp_path / f"{name}.safetensors")
    paths = sorted(tmp_path.glob("*.safetensors"))
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in paths]
    (tmp_path / "SHA256SUMS").write_text("".join(lines))
    monkeypatch.setattr(tiny, "TINY", tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", BUILD)
def test_shipped_networks_load_in_float32_ready_to_read(name, shipped):
    from safetensors.torch import load_file

    network = load_network(name)
    stored = load_file(shipped / f"{name}.safetensors")
    for key, value in network.state_dict().items():
        assert torch.equal(value, stored[key].to(value.dtype))
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())
    assert (network.name, network.size) == (name, 48)


def test_a_missing_or_changed_network_is_said(shipped):
    path = shipped / "style.safetensors"
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ValueError, match="style.safetensors is not the file .*; .* course train-tiny"):
        load_network("style")
    path.unlink()
    with pytest.raises(FileNotFoundError, match="style.safetensors or SHA256SUMS is missing .* course train-tiny"):
        load_network("style")
    with pytest.raises(ValueError, match="needs one of oracle"):
        load_network("inception")
    (shipped / "SHA256SUMS").write_text("")
    with pytest.raises(ValueError, match="oracle.safetensors is not the file"):
        load_network("oracle")


class Mock(nn.Module):
    """Answers as a factor network does, with numbers from a picture's first pixels; keeps the sizes of batches."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.batches = []

    def forward(self, images):
        self.batches.append(tuple(images.shape))
        number = (images[:, 0, 0, 0] * 100).round().long()
        logits = [3 * F.one_hot(number % n, n).float() for n in (len(SHAPES), len(COLOURS), len(STYLES))]
        return *logits, images[:, 1, 0, :3]


def test_oracle_reads_indices_probabilities_and_places(g):
    network, images = Mock(), torch.rand(7, 3, 48, 48, generator=g)
    reading = Oracle(network=network)(images, batch=3)
    number = (images[:, 0, 0, 0] * 100).round().long()
    assert network.batches == [(3, 3, 48, 48), (3, 3, 48, 48), (1, 3, 48, 48)]
    assert len(reading) == 7
    for name, values in (("shape", SHAPES), ("colour", COLOURS), ("style", STYLES)):
        n, index, p = len(values), getattr(reading, name), getattr(reading, f"{name}_p")
        assert torch.equal(index, number % n)
        assert p.shape == (7, n)
        torch.testing.assert_close(p.max(1).values, torch.full((7,), math.exp(3) / (math.exp(3) + n - 1)))
    assert torch.equal(torch.stack([reading.x, reading.y, reading.size], 1), images[:, 1, 0, :3])
    assert torch.equal(reading.cell, thirds(reading.x, reading.y))
    part = reading[torch.tensor([4, 0])]
    assert torch.equal(part.style_p, reading.style_p[[4, 0]])
    assert reading[-1].x.tolist() == [reading.x[6].item()]


def test_oracle_resizes_and_refuses_what_is_no_picture(g):
    network = Mock()
    images = torch.rand(2, 3, 96, 96, generator=g)
    reading = Oracle(network=network)(images.double())
    assert network.batches == [(2, 3, 48, 48)]
    torch.testing.assert_close(reading.x, resize_clean(images, 48)[:, 1, 0, 0])
    for shape in ((0, 3, 48, 48), (3, 48, 48), (1, 4, 48, 48)):
        with pytest.raises(ValueError, match="pictures have shape"):
            Oracle(network=network)(torch.zeros(shape))
    images[1, 2, 3, 4] = torch.nan
    with pytest.raises(ValueError, match="not finite"):
        Oracle(network=network)(images)


def test_there_are_two_oracles(shipped):
    images = torch.zeros(1, 3, 48, 48)
    for second, name in ((False, "oracle"), (True, "oracle2")):
        oracle = Oracle(second=second)
        assert oracle.network.name == name
        assert torch.equal(oracle(images).shape_p, load_network(name)(images)[0].softmax(1))


@pytest.fixture(scope="module")
def clip(tiny_tokenizer):
    """A transformers CLIP with random weights over single letters, pictures of 48 pixels."""
    from transformers import CLIPConfig, CLIPModel

    sizes = {"num_hidden_layers": 1, "num_attention_heads": 2, "hidden_size": 16, "intermediate_size": 32}
    text = {
        **sizes,
        "vocab_size": len(tiny_tokenizer),
        "max_position_embeddings": 12,
        "bos_token_id": tiny_tokenizer.bos_token_id,
        "eos_token_id": tiny_tokenizer.eos_token_id,
        "pad_token_id": tiny_tokenizer.pad_token_id,
    }
    vision = {**sizes, "image_size": 48, "patch_size": 12}
    before = torch.random.get_rng_state()
    torch.manual_seed(0)
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=9)).eval()
    torch.random.set_rng_state(before)
    return model


def test_clip_is_transformers_clip_on_normalised_pictures(clip, tiny_tokenizer, g):
    images = torch.rand(3, 3, 48, 48, generator=g) * 2 - 1
    lines = ["a red circle", "star", ""]
    ids = tiny_tokenizer(lines, padding="max_length", max_length=12, truncation=True, return_tensors="pt")
    mean, std = (
        torch.tensor(v)[:, None, None]
        for v in ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
    )
    own = CLIP(clip, tiny_tokenizer)
    with torch.no_grad():
        theirs = clip(**ids, pixel_values=((images + 1) / 2 - mean) / std)
        torch.testing.assert_close(own(images), theirs.image_embeds)
        torch.testing.assert_close(own.texts(lines), theirs.text_embeds)
        plain = CLIP(clip, tiny_tokenizer, (0.5,) * 3, (0.5,) * 3)
        torch.testing.assert_close(plain(images), clip(**ids, pixel_values=images).image_embeds)
    torch.testing.assert_close(own.texts(lines).norm(dim=1), torch.ones(3))
    assert own.dim == own(images).shape[1] == 9
    assert own.texts(["a" + " b" * 30]).shape == (1, 9)


def test_clip_resizes_and_gives_gradients(clip, tiny_tokenizer, g):
    own = CLIP(clip, tiny_tokenizer)
    images = torch.rand(2, 3, 60, 80, generator=g) * 1.8 - 0.9
    assert torch.equal(own(images), own(resize_clean(images, 48)))
    images.requires_grad_()
    (slope,) = torch.autograd.grad((own(images) @ own.texts(["star"]).T).sum(), images)
    assert slope.norm() > 0
    assert slope.isfinite().all()


def test_clip_loads_from_a_folder(clip, tiny_tokenizer, tmp_path, g, capsys):
    images, lines = torch.rand(2, 3, 48, 48, generator=g), ["a red circle"]
    expected = CLIP(clip, tiny_tokenizer)
    with pytest.raises(FileNotFoundError, match="there is no CLIP model in .*; name a folder"):
        load_clip(tmp_path)
    clip.save_pretrained(tmp_path)
    tiny_tokenizer.save_pretrained(tmp_path)
    capsys.readouterr()
    loaded = load_clip(tmp_path)
    assert capsys.readouterr() == ("", "")
    torch.testing.assert_close(loaded(images), expected(images))
    torch.testing.assert_close(loaded.texts(lines), expected.texts(lines))
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.5] * 3, "image_std": [0.25] * 3}))
    again = load_clip(tmp_path)
    assert (again.mean, again.std) == ((0.5,) * 3, (0.25,) * 3)
    assert (again(images) - loaded(images)).norm() > 1e-4


def test_the_courses_own_clip_is_checked_and_takes_pictures_as_they_are(clip, tiny_tokenizer, shipped, g):
    from transformers import CLIPModel

    images, folder = torch.rand(2, 3, 48, 48, generator=g), shipped / "clip"
    clip.save_pretrained(folder)
    CLIPModel.from_pretrained(folder).half().save_pretrained(folder)
    tiny_tokenizer.save_pretrained(shipped / "tokenizer")
    weights = folder / "model.safetensors"
    with pytest.raises(ValueError, match="clip/model.safetensors is not the file"):
        load_clip()
    with (shipped / "SHA256SUMS").open("a") as sums:
        sums.write(f"{hashlib.sha256(weights.read_bytes()).hexdigest()}  clip/model.safetensors\n")
    own = load_clip()
    assert own.name == "tiny CLIP"
    assert own(images).dtype == torch.float32
    assert {parameter.dtype for parameter in own.model.parameters()} == {torch.float32}
    torch.testing.assert_close(
        own(images), CLIP(clip, tiny_tokenizer, (0.5,) * 3, (0.5,) * 3)(images), rtol=0.02, atol=2e-3
    )


def test_what_ships_with_the_course_reads_its_world(g):
    """Every shipped network loads; the oracle names held-out renders and the CLIP tells their captions apart."""
    factors = draw(64, g, shape=HEAD)
    pictures, truth = render(factors), torch.stack([factors.shape, factors.colour, factors.style])
    reading = Oracle()(pictures)
    assert (torch.stack([reading.shape, reading.colour, reading.style]) == truth).double().mean() > 0.97
    away = (torch.stack([reading.x, reading.y]) - torch.stack([factors.x, factors.y])).norm(dim=0)
    assert away.mean() < 0.02
    found = embed(pictures, [make(load_network("embedding")) for make in (default_embedding, style_embedding)])
    assert {name: phi.shape[1] for name, phi in found.items()} == {"embedding default": 128, "embedding style": 528}
    z = torch.randn(5, 4, 12, 12, generator=g)
    assert StyleClassifier(load_network("style")).thirds(z).shape == (5, 128)
    clip, captions = load_clip(), [phrase(colour=colour) for colour in COLOURS]
    named = (clip(pictures) @ clip.texts(captions).T).argmax(1)
    assert (named == factors.colour).double().mean() > 0.9
