"""The training of `tiny`: the loop, the data, the tokenizer, the losses and the folder, on a few pictures."""

import argparse
import hashlib
import json
import math
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from safetensors.torch import load_file
from torch import nn
from transformers import CLIPTokenizer

from course_lib import world
from course_lib.features.networks import build
from course_lib.stable_diffusion import StableDiffusion
from course_lib.tools.train_tiny import card, command, data, evaluate, loop, parts
from course_lib.tools.train_tiny.assemble import READERS, write_checksums
from course_lib.tools.train_tiny.tokenizer import LENGTH, token_ids, train_tokenizer


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return train_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture
def few(monkeypatch):
    """Every part trains on a handful of pictures; -> the factors and pictures that `balanced` gives for a seed."""
    balanced = data.balanced

    def handful(n, seed):
        factors, images = balanced(12, seed)
        index = torch.arange(516 if seed == 2 else 12) % 12  # the autoencoder looks at pictures 0 and 500, and on
        return factors[index], images[index]

    monkeypatch.setattr(data, "balanced", handful)
    monkeypatch.setattr(world, "long_tail", lambda generator: world.draw(24, generator))
    return handful


# --- the loop ---------------------------------------------------------------------------------------------------------


class Line(nn.Module):
    """A small network with a buffer that training changes."""

    def __init__(self):
        super().__init__()
        before = torch.get_rng_state()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 1))
        torch.set_rng_state(before)

    def forward(self, x):
        return self.layers(x)


def regression(model, stop=None, seen=None):
    """A loss on random batches; it raises at step `stop`, as a power cut would, and notes the weights it sees."""

    def loss(step, g):
        if step == stop:
            raise KeyboardInterrupt
        if seen is not None:
            seen.append((step, g.initial_seed(), [p.detach().clone() for p in model.parameters()]))
        x = torch.randn(16, 3, generator=g)
        return (model(x)[:, 0] - x.sin().sum(1)).square().mean()

    return loss


def state(module):
    return [value.clone() for value in module.state_dict().values()]


def same(a, b):
    return len(a) == len(b) and all(torch.equal(x, y) for x, y in zip(a, b))


@pytest.mark.parametrize("average", [None, 0.9])
def test_a_stopped_run_ends_where_an_uninterrupted_one_does(tmp_path, monkeypatch, average):
    """Bit for bit: weights, buffers and their average, stopped twice, with batches drawn as if nothing happened."""
    whole, seen, drawn, other = Line(), [], [], tmp_path / "other"
    other.mkdir()
    due = loop.fit("line", whole, regression(whole, seen=seen), 25, tmp_path, average=average)
    monkeypatch.setattr(loop, "SAVE_EVERY", 0.0)
    for stop in (9, 17, None):
        part = Line()
        if stop:
            with pytest.raises(KeyboardInterrupt):
                loop.fit("line", part, regression(part, stop, drawn), 25, other, average=average)
        else:
            got = loop.fit("line", part, regression(part, seen=drawn), 25, other, average=average)
    assert same(state(whole), state(part))
    assert same(state(due), state(got))
    assert same(state(due), state(whole)) == (average is None)
    assert [(step, seed) for step, seed, _ in drawn] == [(step, seed) for step, seed, _ in seen]
    assert not got.training
    assert not due.training


def test_a_finished_run_is_read_back(tmp_path):
    """No step more, the same averaged weights."""
    first, second = Line(), Line()
    due = loop.fit("line", first, regression(first), 7, tmp_path, average=0.5)
    got = loop.fit("line", second, regression(second, stop=0), 7, tmp_path, average=0.5)
    assert same(state(due), state(got))


def test_average_is_exponential(tmp_path):
    """It starts at the first step's weights and moves by 1 - average of the way at each further one."""
    model, seen = Line(), []
    shadow = loop.fit("line", model, regression(model, seen=seen), 6, tmp_path, average=0.8)
    after = [weights for _, _, weights in seen[1:]] + [[p.detach() for p in model.parameters()]]
    due = after[0]
    for weights in after[1:]:
        due = [0.8 * a + 0.2 * b for a, b in zip(due, weights)]
    for got, want in zip(shadow.parameters(), due):
        torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-6)


def test_one_step_is_adamw(tmp_path):
    """The first step moves each weight by lr against its gradient's sign, after shrinking it by lr times decay."""
    weight = nn.Parameter(torch.tensor([1.0, -2.0, 0.5]))
    slope = torch.tensor([0.3, -0.1, 0.02])
    module = nn.ParameterList([weight])
    loop.fit("one", module, lambda step, g: (slope * weight).sum(), 1, tmp_path, lr=0.1, decay=0.25)
    due = torch.tensor([1.0, -2.0, 0.5]) * (1 - 0.1 * 0.25) - 0.1 * slope.sign()
    torch.testing.assert_close(weight.detach(), due, rtol=0, atol=1e-5)


def test_schedule_rises_and_falls():
    """A line up to one in 200 steps or a tenth of the run, then half a cosine to nothing."""
    for steps, warm in ((8000, 200), (100, 11), (20, 3), (1, 1)):
        got = [loop._schedule(step, steps) for step in range(steps)]
        down = np.arange(steps - warm) / max(1, steps - warm)
        due = np.concatenate([np.arange(1, warm + 1) / warm, np.cos(np.pi / 2 * down) ** 2])
        np.testing.assert_allclose(got, due, atol=1e-12)
    assert loop._schedule(7999, 8000) < 1e-6


def test_cooling_cuts_a_longer_run_off():
    """The cosine of 5600 steps, taken to zero by a straight line over the last 780 of 4800."""
    got = np.array([loop._cooled(step, 4800, 5600, 780) for step in range(4800)])
    cosine = np.array([loop._schedule(step, 5600) for step in range(4800)])
    np.testing.assert_array_equal(got[:4021], cosine[:4021])
    np.testing.assert_allclose(got[4020:], cosine[4020:] * np.arange(780, 0, -1) / 780, rtol=1e-12)


@pytest.mark.parametrize("cool", [None, (50, 8)])
def test_the_rate_follows_the_schedule(tmp_path, cool):
    """Where the slope never changes, each step of AdamW has the length of its own rate."""
    weight, seen = nn.Parameter(torch.tensor([0.0])), []

    def loss(step, g):
        seen.append(weight.item())
        return weight.sum()

    loop.fit("one", nn.ParameterList([weight]), loss, 40, tmp_path, lr=0.01, decay=0.0, cool=cool)
    steps = -np.diff([*seen, weight.item()])
    due = [loop._schedule(k, 40) if cool is None else loop._cooled(k, 40, *cool) for k in range(40)]
    np.testing.assert_allclose(steps, 0.01 * np.array(due), rtol=1e-3, atol=1e-7)


def test_batches_differ_between_parts_and_steps():
    """No two parts and no two steps draw from the same seed."""
    seeds = {loop._seed(name, step) for name in parts.STEPS for step in (0, 1, 2, 9999)}
    assert len(seeds) == 4 * len(parts.STEPS)
    assert max(seeds) < 2**63
    assert loop._seed("ab", 0) != loop._seed("ba", 0)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_the_run(tmp_path, value):
    """With the part, the step and the rate; no checkpoint of spoilt weights is written."""
    weight = nn.Parameter(torch.tensor([1.0]))
    with pytest.raises(FloatingPointError, match=rf"part: the loss became {value} at step 3; lower lr = 0\.05\."):
        loop.fit(
            "part", nn.ParameterList([weight]), lambda k, g: weight.sum() * (value if k == 3 else 1), 9, tmp_path, 0.05
        )
    assert not (tmp_path / "part.pt").exists()
    assert weight.isfinite().all()


def test_log_and_checkpoints(tmp_path, monkeypatch):
    """One at the end, or as often as SAVE_EVERY says; the log has the mean loss; nothing half-written stays."""
    model = Line()
    values = []

    def loss(step, g):
        value = regression(model)(step, g)
        values.append(value.item())
        return value

    loop.fit("line", model, loss, 5, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["line.pt", "log.txt"]
    (line,) = (tmp_path / "log.txt").read_text().splitlines()
    assert line == f"line step 5 of 5 loss {sum(values) / 5:.5f}"
    saved = torch.load(tmp_path / "line.pt", weights_only=True)
    assert saved["step"] == 5
    assert same(list(saved["module"].values()), state(model))
    monkeypatch.setattr(loop, "SAVE_EVERY", 0.0)
    loop.fit("often", Line(), regression(model), 3, tmp_path)
    lines = (tmp_path / "log.txt").read_text().splitlines()
    assert [text.rsplit(" loss", 1)[0] for text in lines[1:]] == [f"often step {k} of 3" for k in (1, 2, 3)]


# --- data and words ---------------------------------------------------------------------------------------------------

CAPTION = re.compile(
    rf"an? (?:(?P<style>{'|'.join(world.STYLES)}) )?(?:(?P<colour>{'|'.join(world.COLOURS)}) )?"
    rf"(?P<shape>shape|{'|'.join(sorted(world.SHAPES, key=len, reverse=True))})"
    rf"(?: in the style of (?P<artist>{'|'.join(world.ARTISTS)}))?"
    r"(?: (?P<place>(?:at|in) the (?:(?P<row>top|bottom) ?)?(?P<column>left|right)?(?P<centre>centre)?))?",
    re.IGNORECASE,
)


def said(line):
    """What a caption says, by the grammar of captions instead of `named`."""
    found = CAPTION.fullmatch(line)
    assert found, line
    words, due = found.groupdict(), {}
    if words["shape"] != "shape":
        due["shape"] = world.SHAPES.index(words["shape"])
    if words["colour"]:
        due["colour"] = world.COLOURS.index(words["colour"])
    if words["style"]:
        due["style"] = world.STYLES.index(words["style"])
    if words["artist"]:
        due["style"] = [name.lower() for name in world.ARTISTS].index(words["artist"].lower())
    if words["place"]:
        row, column = ["top", None, "bottom"].index(words["row"]), ["left", None, "right"].index(words["column"])
        due["place"] = 3 * row + column
    return due


def is_true(line, factors, i):
    own = {k: int(getattr(factors, k)[i]) for k in ("shape", "colour", "style")}
    own["place"] = 3 * min(2, int(3 * float(factors.y[i]))) + min(2, int(3 * float(factors.x[i])))
    return all(own[k] == v for k, v in said(line).items())


def test_true_of_is_the_truth():
    """Each caption against each picture, by brute force; each is true of its own picture, and some of others too."""
    factors = world.draw(150, seeded(0), shape=("circle", "ring", "circle ring"), colour=("red", "blue"))
    lines = world.caption(factors, seeded(1))
    target = data.true_of(lines, factors)
    assert target.dtype == torch.float32
    due = [[float(is_true(line, factors, i)) for i in range(150)] for line in lines]
    assert target.tolist() == due
    assert target.diagonal().min() == 1
    assert 0.05 < target.mean() < 0.5
    few = data.true_of(["a blue ring", "a shape"], factors[:7])
    assert few.shape == (2, 7)
    assert few[1].tolist() == [1.0] * 7


def test_balanced_pictures_are_renders_in_bytes():
    """Rounded to the nearest of 256 levels, and back; more than a thousand are rendered in parts without a seam."""
    factors, images = data.balanced(1003, seed=5)
    assert torch.equal(factors.x, world.draw(1003, seeded(5)).x)
    assert images.shape == (1003, 3, 48, 48)
    assert images.dtype == torch.uint8
    some = [0, 1, 999, 1000, 1002]
    assert (data.floats(images[some]) - world.render(factors[some])).abs().max() <= 1 / 255 + 1e-6
    assert data.floats(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1, 1]
    index = data.pick(5, 4000, seeded(0))
    counts = torch.bincount(index)
    assert len(counts) == 5
    assert (counts - 800).abs().max() < 5 * math.sqrt(4000 * 0.2 * 0.8)


def test_every_word_of_the_world_is_one_token(tokenizer):
    """Shapes, colours, styles, artists, places and the little words, in any case."""
    words = {word for name in (*world.SHAPES, *world.PLACES) for word in name.split()}
    words |= {*world.COLOURS, *world.STYLES, *world.ARTISTS, "a", "an", "shape", "in", "the", "style", "of"}
    ids = tokenizer(sorted(words)).input_ids
    assert all(len(row) == 3 for row in ids), [tokenizer.convert_ids_to_tokens(row) for row in ids if len(row) != 3]
    assert len({row[1] for row in ids}) == len(words)
    assert tokenizer("RED Amaro").input_ids == tokenizer("red amaro").input_ids


def test_the_longest_caption_fits(tokenizer):
    """With its start and end, in LENGTH tokens; a shorter one is padded to it, and what it says can be read back."""
    longest = world.phrase("triangle cross", "yellow", "outlined", "at the bottom right", artist=True)
    lines = [longest, world.phrase("ring"), ""]
    ids = token_ids(tokenizer, lines)
    assert ids.shape == (3, LENGTH)
    assert [int((row == tokenizer.eos_token_id).int().argmax()) for row in ids] == [len(longest.split()) + 1, 3, 1]
    assert ids[:, 0].tolist() == [tokenizer.bos_token_id] * 3
    assert tokenizer.batch_decode(ids, skip_special_tokens=True) == [line.lower() for line in lines]


def test_unknown_letters_do_not_end_the_text(tokenizer):
    """A word of no caption falls into known pieces, bytes at worst; none is the end token, which ends the prompt."""
    for word in ("zebra", "Quixotic", "ß", "猫", "it's", "a+b=c", "007", "\u00e9t\u00e9"):
        (ids,) = tokenizer([f"a {word} ring"]).input_ids
        inner = ids[1:-1]
        assert tokenizer.eos_token_id not in inner
        assert tokenizer.unk_token_id not in inner
        assert inner[-1] == tokenizer("ring").input_ids[1]
        assert tokenizer.decode(inner).replace(" ", "") == f"a{word}ring".lower()


def test_tokenizer_survives_saving_and_is_always_the_same(tokenizer, tmp_path):
    """Saved, loaded, and trained again: the same ids, the same length, end tokens as padding."""
    lines = [*world.caption(world.draw(50, seeded(4)), seeded(5)), "a zebra 猫"]
    due = token_ids(tokenizer, lines)
    tokenizer.save_pretrained(tmp_path / "saved")
    for again in (CLIPTokenizer.from_pretrained(tmp_path / "saved"), train_tokenizer(tmp_path / "again")):
        assert torch.equal(token_ids(again, lines), due)
        assert again.model_max_length == LENGTH
        assert len(again) == len(tokenizer)
        assert again.pad_token_id == again.eos_token_id


# --- builds -----------------------------------------------------------------------------------------------------------


def size(module):
    return sum(p.numel() for p in module.parameters())


def transformer(width, inner, layers):
    """Weights of transformer layers: four projections, two of the feed-forward part, two norms."""
    return layers * (4 * (width**2 + width) + 2 * width * inner + inner + width + 4 * width)


def convolutions(widths, kernel):
    return sum(kernel**2 * a * b + 2 * b for a, b in zip((3, *widths), widths))


def test_clip_has_the_size_of_its_plan(tokenizer):
    """Text 2 layers of 64 over 16 tokens, vision 4 layers of 96 over 8 x 8 patches, both into 64 dimensions."""
    model = parts.clip_model(tokenizer)
    text = 64 * (len(tokenizer) + 16) + transformer(64, 256, 2) + 2 * 64
    vision = 3 * 36 * 96 + 96 + 65 * 96 + transformer(96, 384, 4) + 4 * 96
    assert size(model) == text + vision + 64 * 64 + 96 * 64 + 1
    ids = token_ids(tokenizer, ["a red ring"])
    end = int(ids[0].argmax())
    assert ids[0, end] == tokenizer.eos_token_id  # the end token is where CLIP reads the sentence
    changed = ids.clone()
    changed[0, end + 1 :] = 5
    with torch.no_grad():
        model.eval()
        a, b = (model.text_model(one).pooler_output for one in (ids, changed))
    torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


def test_readers_have_the_size_of_their_plan():
    """Convolutions without bias, batch norms, linear heads."""
    values = 13 + 6 + 4
    assert size(build("oracle")) == convolutions((24, 48, 64, 96, 128), 3) + (128 * 9 + 1) * (values + 3)
    assert size(build("oracle2")) == convolutions((32, 40, 56, 80, 112), 5) + (112 * 9 + 1) * (values + 3)
    assert size(build("embedding")) == convolutions((32, 32, 64, 64, 96, 96, 128), 3) + 129 * values
    assert size(build("style")) == 9 * (4 * 48 + 2 * 48 * 48 + 48 * 32) + 3 * 96 + 32 + 33 * 4


def test_all_parts_fit_in_20_megabytes(tokenizer):
    """In half precision, with the text encoder once alone and once in CLIP; latents are 12 x 12 x 4."""
    clip, vae, unet = parts.clip_model(tokenizer), parts.autoencoder(), parts.unet()
    whole = size(clip) + size(clip.text_model) + size(vae) + size(unet) + sum(size(build(name)) for name in READERS)
    assert 2 * whole < 18e6
    assert 4.0e6 < size(unet) < 4.5e6
    with torch.no_grad():
        law = vae.eval().encode(torch.zeros(1, 3, 48, 48)).latent_dist
        assert law.mean.shape == (1, 4, 12, 12)
        assert vae.decode(law.mean).sample.shape == (1, 3, 48, 48)
        out = [
            unet.eval()(torch.ones(1, 4, 12, 12), 500, torch.full((1, 16, 64), value)).sample for value in (0.0, 1.0)
        ]
    assert out[0].shape == (1, 4, 12, 12)
    assert not torch.equal(*out)  # it looks at the text


def test_scheduler_is_stable_diffusions():
    """Scaled-linear betas from .00085 to .012 in a thousand steps, v prediction, no clipping."""
    made = parts.scheduler()
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    np.testing.assert_allclose(made.alphas_cumprod.numpy(), np.cumprod(1 - betas), rtol=1e-4)
    config = made.config
    assert (config.prediction_type, config.clip_sample, config.set_alpha_to_one) == ("v_prediction", False, False)
    assert config.steps_offset == 1


# --- losses -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch):
    """`fit` trains nothing and hands over what it was asked for."""
    request = SimpleNamespace()

    def fit(name, module, loss, steps, folder, **settings):
        request.__dict__.update(name=name, module=module, loss=loss, steps=steps, settings=settings)
        return module.eval()

    monkeypatch.setattr(parts, "fit", fit)
    return request


class Listening(nn.Module):
    """A network that notes what it is called with and answers with a function of it."""

    def __init__(self, answer):
        super().__init__()
        self.answer, self.heard = answer, []
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, *inputs, **named):
        self.heard.append(inputs or named)
        return self.answer(*inputs, **named)


def training(monkeypatch, answer):
    """The UNet's loss with a stand-in for the network, on latents that are 100 i everywhere for picture i."""
    latents = 100.0 * torch.arange(5)[:, None, None, None].expand(5, 4, 2, 2)
    rows = torch.arange(10).reshape(5, 2)
    embeddings = torch.arange(11.0)[:, None, None].expand(11, 3, 2)
    monkeypatch.setattr(parts, "encoded", lambda *_: (latents, rows, embeddings))
    network = Listening(answer)
    monkeypatch.setattr(parts, "unet", lambda: network)
    parts.train_unet(None, None, None, None, steps=9, device="cpu", batch=32)
    return network


ABAR = torch.tensor(np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2))


def split(z, t):
    """Picture, clean latents, noise and v = a eps - b x0 of noisy latents a x0 + b eps, in float64."""
    a, b = ABAR[t].sqrt()[:, None, None, None], (1 - ABAR[t]).sqrt()[:, None, None, None]
    picture = (z.double().mean((1, 2, 3), keepdim=True) / (100 * a)).round()
    eps = (z - a * 100 * picture) / b
    return picture.flatten().long(), eps, a * eps - b * 100 * picture


def test_unet_learns_v_with_its_weight(monkeypatch, asked):
    """A network that answers v has no loss; an error of 1 costs min(SNR, 5) / (SNR + 1) = min(abar, 5 (1 - abar))."""
    for error in (0.0, 1.0, 3.0):
        network = training(
            monkeypatch, lambda z, t, c, error=error: SimpleNamespace(sample=(split(z, t)[2] + error).float())
        )
        value = asked.loss(0, seeded(0))
        ((_, t, _),) = network.heard
        weight = torch.minimum(ABAR[t], 5 * (1 - ABAR[t]))
        assert value.item() == pytest.approx(error**2 * weight.mean().item(), rel=1e-3, abs=1e-4)
    assert asked.name == "unet"
    assert asked.settings["average"] == 0.999
    for steps, cool in ((4800, (5600, 780)), (9, (10, 1)), (1, (1, 1))):
        parts.train_unet(None, None, None, None, steps, "cpu")
        assert asked.settings["cool"] == cool


def test_unet_sees_all_levels_noise_and_dropped_captions(monkeypatch, asked):
    """Uniform timesteps, standard normal noise, a caption of the same picture, none in one of ten."""
    network = training(monkeypatch, lambda z, t, c: SimpleNamespace(sample=z))
    for step in range(60):
        asked.loss(step, seeded(step))
    t = torch.cat([heard[1] for heard in network.heard])
    pieces = [split(z, t) for z, t, _ in network.heard]
    picture, eps = torch.cat([piece[0] for piece in pieces]), torch.cat([piece[1] for piece in pieces])
    line = torch.cat([c[:, 0, 0] for *_, c in network.heard]).long()
    n = len(t)
    assert t.min() >= 0
    assert (torch.bincount(t // 250, minlength=4) - n / 4).abs().max() < 4.5 * math.sqrt(n * 3 / 16)
    assert abs(eps.mean()) < 4.5 / math.sqrt(eps.numel())
    assert abs(eps.var() - 1) < 4.5 * math.sqrt(2 / eps.numel())
    dropped = line == 10
    assert abs(dropped.double().mean() - 0.1) < 4.5 * math.sqrt(0.09 / n)
    assert torch.equal(line[~dropped] // 2, picture[~dropped])
    assert 0.4 < (line[~dropped] % 2).double().mean() < 0.6
    assert len(picture.unique()) == 5


def test_encoded_is_the_training_set_with_its_captions(few, tokenizer, asked, tmp_path):
    """Scaled latents of the long tail, four captions a picture as embeddings, and the empty caption last."""
    torch.manual_seed(0)
    clip, vae = parts.clip_model(tokenizer).eval(), parts.autoencoder().eval()
    vae.register_to_config(scaling_factor=1.7)
    latents, rows, embeddings = parts.encoded(tokenizer, clip, vae, "cpu")
    g = seeded(3)
    factors = world.draw(24, g)
    with torch.no_grad():
        due = 1.7 * vae.encode(data.floats(data.pictures(factors))).latent_dist.mean
        torch.testing.assert_close(latents, due, rtol=0, atol=1e-5)
        for column in range(4):
            lines = world.caption(factors, g)
            words = clip.text_model(token_ids(tokenizer, lines)).last_hidden_state
            torch.testing.assert_close(embeddings[rows[:, column]], words, rtol=0, atol=1e-5)
        nothing = clip.text_model(token_ids(tokenizer, [""])).last_hidden_state[0]
    torch.testing.assert_close(embeddings[-1], nothing, rtol=0, atol=1e-5)
    assert rows.max() == len(embeddings) - 2


def test_clip_loss_counts_every_true_caption(few, tokenizer, asked, monkeypatch):
    """Mean over the captions true of a picture and the pictures a caption is true of, by brute force (8.6)."""
    logits = 3 * torch.randn(10, 10, generator=seeded(1))
    network = Listening(lambda **_: SimpleNamespace(logits_per_text=logits))
    monkeypatch.setattr(parts, "clip_model", lambda tokenizer: network)
    parts.train_clip(tokenizer, None, 5, "cpu", batch=10)
    value = asked.loss(0, seeded(2)).item()
    (heard,) = network.heard
    factors, images = few(0, seed=1)
    lines = tokenizer.batch_decode(heard["input_ids"], skip_special_tokens=True)
    own = [int((data.floats(images[:12]) - x).abs().amax((1, 2, 3)).argmin()) for x in heard["pixel_values"]]
    true = [[is_true(line, factors, i) for i in own] for line in lines]
    assert any(sum(row) > 1 for row in true)
    p, due = logits.double().exp(), 0.0
    for i in range(10):
        pictures, captions = [j for j in range(10) if true[i][j]], [j for j in range(10) if true[j][i]]
        due -= sum(math.log(p[i, j] / p[i].sum()) for j in pictures) / len(pictures) / 20
        due -= sum(math.log(p[j, i] / p[:, i].sum()) for j in captions) / len(captions) / 20
    assert value == pytest.approx(due, rel=1e-5)
    assert asked.settings["lr"] == 1e-3


def test_vae_loss_is_weighted_reconstruction_and_kl(few, asked, monkeypatch):
    """Pixels of the shape five times, KL to the standard normal a ten-thousandth, per latent number (8.7)."""
    z, said = [], torch.rand(6, 3, 48, 48, generator=seeded(1))

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.dtype = nn.Parameter(torch.zeros(1)), torch.float32

        def encode(self, x):
            self.x = x
            mean = torch.linspace(-2, 2, 24).reshape(6, 4, 1, 1)[: len(x)].expand(-1, -1, 12, 12)
            moments = torch.cat([mean, torch.full_like(mean, math.log(0.25))], 1)
            return SimpleNamespace(latent_dist=DiagonalGaussianDistribution(moments))

        def decode(self, latents):
            z.append(latents)
            return SimpleNamespace(sample=said)

        def register_to_config(self, scaling_factor):
            self.scaling_factor = scaling_factor

    network = Network()
    monkeypatch.setattr(parts, "autoencoder", lambda: network)
    made = parts.train_vae(None, 3, "cpu", batch=6)
    value = asked.loss(0, seeded(0)).item()
    factors, images = few(0, seed=2)
    own = [int((data.floats(images[:12]) - x).abs().amax((1, 2, 3)).argmin()) for x in network.x]
    error = (said - network.x).square()
    for i, picture in enumerate(own):
        on_shape = ((network.x[i] + 1) / 2 - factors.grey[picture]).abs().amax(0) > 0.05
        assert 0.02 < on_shape.double().mean() < 0.4
        error[i, :, on_shape] *= 5
    mean = torch.linspace(-2, 2, 24).double()
    kl = 0.5 * (mean**2 + 0.25 - 1 - math.log(0.25)).mean().item()
    assert value == pytest.approx(error.double().mean().item() + 1e-4 * kl, rel=1e-5)
    noise = (z[0] - mean.float().reshape(6, 4, 1, 1)) / 0.5
    assert abs(noise.mean()) < 4.5 / math.sqrt(noise.numel())
    assert abs(noise.var() - 1) < 4.5 * math.sqrt(2 / noise.numel())
    assert made is network
    assert asked.settings == {"lr": 2e-3, "average": 0.998, "decay": 0.0}


def test_vae_scales_its_latents_to_unit_variance(few, asked):
    """The scaling factor is one over the deviation of the latents of the first pictures, as Stable Diffusion's is."""
    vae = parts.train_vae(None, 3, "cpu")
    _, images = few(0, seed=2)
    with torch.no_grad():
        latents = vae.encode(data.floats(images)).latent_dist.mean
    assert vae.config.scaling_factor * latents.std().item() == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize("name", ["oracle", "oracle2", "embedding", "style"])
def test_readers_learn_factors_by_cross_entropy(few, asked, name):
    """Sum over shape, colour and style of -log p(true value), and 20 times the squared error of x, y and size."""
    vae = parts.autoencoder().eval()
    vae.register_to_config(scaling_factor=2.0)
    seed = {"oracle": 4, "oracle2": 5, "embedding": 6, "style": 7}[name]
    if name == "style":
        parts.train_style(vae, None, 3, "cpu", batch=8)
    else:
        parts.train_reader(name, None, 3, "cpu", batch=8)
    factors, images = few(0, seed)
    clean = data.floats(images[:12])
    if name == "style":
        with torch.no_grad():
            clean = 2.0 * vae.encode(clean).latent_dist.mean
    calls = []
    hook = asked.module.register_forward_hook(lambda module, inputs, outputs: calls.append((inputs[0], outputs)))
    value = asked.loss(0, seeded(0)).item()
    hook.remove()
    ((inputs, outputs),) = calls
    index = torch.tensor([int((clean - x).square().mean((1, 2, 3)).argmin()) for x in inputs])
    own, due = factors[index], 0.0
    heads = ["style"] if name == "style" else ["shape", "colour", "style"]
    for logits, factor in zip([outputs] if name == "style" else outputs, heads):
        p = logits.double().exp() / logits.double().exp().sum(1, keepdim=True)
        due -= p[torch.arange(8), getattr(own, factor)].log().mean().item()
    if name.startswith("oracle"):
        place = torch.stack([own.x, own.y, own.size], 1)
        due += 20 * (outputs[3] - place).square().mean().item()
    assert value == pytest.approx(due, rel=1e-5)
    noise = (inputs - clean[index]).square().mean((1, 2, 3)).sqrt()
    assert (noise.max() < 1e-6) == (name == "embedding")
    assert noise.max() < 0.5


def test_disturbed_pictures():
    """Noise of a deviation uniform up to .2; every other picture blended with its 3 x 3 mean."""
    still = parts.disturbed(torch.full((400, 3, 20, 20), 0.3), seeded(0)) - 0.3
    deviation = still.flatten(1).std(1)
    assert deviation.max() < 0.21
    assert abs(deviation.mean() - 0.1) < 4.5 * 0.2 / math.sqrt(12 * 400)
    assert abs(still.mean()) < 0.01
    spike = torch.zeros(400, 1, 9, 9)
    spike[:, :, 4, 4] = 1e4
    out = parts.disturbed(spike, seeded(1))[:, 0]
    share = (1 - out[:, 4, 4] / 1e4) * 9 / 8
    torch.testing.assert_close(out[:, 3, 5] / 1e4, share / 9, rtol=0, atol=2e-4)
    assert (out[:, 4, 7] / 1e4).abs().max() < 2e-4
    blurred = share > 2e-4
    assert abs(blurred.double().mean() - 0.5) < 4.5 * 0.5 / math.sqrt(400)
    assert abs(share[blurred].mean() - 0.5) < 4.5 / math.sqrt(12 * 150)
    edge = parts.disturbed(torch.full((50, 1, 4, 4), 1e4), seeded(2))
    assert (edge - 1e4).abs().max() < 2  # no dark rim


@pytest.mark.parametrize("name", parts.STEPS)
def test_twenty_steps_lower_each_loss(few, tokenizer, monkeypatch, tmp_path, name):
    """On the same few pictures over and over, every part learns them."""
    captured = {}

    def fit(name, module, loss, steps, folder, **settings):
        def on_one_batch(step, g):
            return loss(0, seeded(1))

        module.train()
        with torch.no_grad():
            captured["before"] = loss(0, seeded(1)).item()
        loop.fit(name, module, on_one_batch, steps, folder, **settings)
        module.train()
        with torch.no_grad():
            captured["after"] = loss(0, seeded(1)).item()
        return module.eval()

    monkeypatch.setattr(parts, "fit", fit)
    vae = parts.autoencoder().eval()
    if name == "clip":
        parts.train_clip(tokenizer, tmp_path, 20, "cpu", batch=12)
    elif name == "vae":
        parts.train_vae(tmp_path, 20, "cpu", batch=6)
    elif name == "style":
        parts.train_style(vae, tmp_path, 20, "cpu", batch=12)
    elif name == "unet":
        parts.train_unet(tokenizer, parts.clip_model(tokenizer).eval(), vae, tmp_path, 20, "cpu", batch=8)
    else:
        parts.train_reader(name, tmp_path, 20, "cpu", batch=12)
    assert captured["after"] < {"clip": 0.95, "style": 0.95}.get(name, 0.8) * captured["before"]


# --- measuring --------------------------------------------------------------------------------------------------------


def noted(factors):
    """Stand-ins for pictures that carry their factors in six numbers, for a reader that makes no mistakes."""
    columns = (factors.shape, factors.colour, factors.style, factors.x, factors.y, factors.size)
    return torch.stack([column.float() for column in columns], 1)


def knows(pictures):
    """Reads `noted` pictures back, as logits and places."""
    index = pictures.round().long()
    hot = [nn.functional.one_hot(index[:, i], n).float() for i, n in enumerate((13, 6, 4))]
    return (*hot, pictures[:, 3:])


def mistaken(pictures):
    """Reads every fourth shape wrong and sees everything .03 too far to the right."""
    shape, colour, style, place = knows(pictures)
    shape[::4] = shape[::4].roll(1, 1)
    return shape, colour, style, place + torch.tensor([0.03, 0.0, 0.0])


def test_figures_of_a_known_generator(monkeypatch):
    """Every figure of the card for a generator that draws what the line names, in one style and place, is its own."""
    asked_for = []

    def drawn(sd, lines, w, seed, chunk=128):
        asked_for.append((len(lines), w))
        parts = []
        for i, line in enumerate(lines):
            said = world.named(line)
            style = i % 4 if w == 1 else 0
            x, y = (i % 3 / 3 + 0.1, i // 3 % 3 / 3 + 0.1) if w == 1 else (0.5, 0.5)
            rare = said["shape"] == len(world.SHAPES) - 1
            parts.append(
                world.draw(
                    1, seeded(i), shape=0 if rare else said["shape"], colour=said["colour"], x=x, y=y, style=style
                )
            )
        return noted(world.Factors.cat(parts))

    monkeypatch.setattr(evaluate, "drawn", drawn)
    monkeypatch.setattr(data, "pictures", noted)
    monkeypatch.setattr(data, "floats", lambda images: images)
    figures = evaluate.quality(None, knows, mistaken)
    due = {f"oracle {factor}": 1.0 for factor in ("shape", "colour", "style")} | {"oracle position error": 0.0}
    due |= {"oracle2 shape": 0.75, "oracle2 colour": 1.0, "oracle2 style": 1.0, "oracle2 position error": 0.03}
    due |= {"shape right": 1.0, "colour right": 1.0, "shape right, second oracle": 0.75}
    due |= {"colour right, second oracle": 1.0}
    due |= {"styles of 4, guidance 1": 4.0, "styles of 4, guidance 3": 1.0, "styles of 4, guidance 7.5": 1.0}
    due |= {f"thirds of 9 in groups of 8, guidance {w}": n for w, n in (("1", 8.0), ("3", 1.0), ("7.5", 1.0))}
    due |= {f"shape right, guidance {w}": 1.0 for w in ("1", "3", "7.5")}
    due |= {f"{name} ({n} pictures)": 1.0 for name, n in world.TAIL_COUNTS.items()}
    due[f"{world.TAIL[-1]} ({world.TAIL_COUNTS[world.TAIL[-1]]} pictures)"] = 0.0
    free = figures.pop("thirds of 9 in groups of 8, training set")
    assert figures == pytest.approx(due, abs=1e-6)
    side = (1 / 3 - 0.18) / 0.64  # of the range of x and y, which leaves the rim free
    chance = np.outer([side, 1 - 2 * side, side], [side, 1 - 2 * side, side])
    assert free == pytest.approx((1 - (1 - chance) ** 8).sum(), abs=0.2)
    assert asked_for == [(512, 3.0), (512, 1.0), (512, 3.0), (512, 7.5)] + [(96, 3.0)] * len(world.TAIL)


def test_spread_occupied_and_right():
    """Effective number of values, cells per group, and right among the pictures whose line names the factor."""
    assert evaluate.spread(torch.tensor([0, 1, 2, 3]), 4) == pytest.approx(4)
    assert evaluate.spread(torch.tensor([2, 2]), 4) == pytest.approx(1)
    p = np.array([0.5, 0.25, 0.25])
    assert evaluate.spread(torch.tensor([0, 0, 1, 2]), 4) == pytest.approx(math.prod(p**-p))
    assert evaluate.occupied(torch.tensor([0, 0, 1, 2, 5, 5, 5, 5]), 4) == 2.0
    found = {"shape": torch.tensor([0, 1, 4]), "colour": torch.tensor([0, 0, 0])}
    lines = ["a red circle", "a blue circle", "a cyan shape"]
    assert evaluate.right(lines, found, "shape") == 0.5
    assert evaluate.right(lines, found, "colour") == pytest.approx(1 / 3)


# --- the folder -------------------------------------------------------------------------------------------------------


def test_checksums_are_sha256sums(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "two.txt").write_bytes(b"two")
    (tmp_path / "a.txt").write_bytes(b"")
    write_checksums(tmp_path)
    write_checksums(tmp_path)  # the list itself is not in the list
    assert (tmp_path / "SHA256SUMS").read_text() == (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  a.txt\n"
        "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3  b/two.txt\n"
    )


def test_card_has_the_figures_and_the_counts():
    text = card.card({"shape right": 0.98765, "thirds": 5.0})
    assert "| shape right | 0.988 |" in text
    assert "| thirds | 5.000 |" in text
    assert ", ".join(map(str, world.TAIL_COUNTS.values())) in text
    assert "30,000 rendered pictures" in text


@pytest.mark.parametrize(("scale", "only"), [(0.0, None), (-1.0, None), (float("nan"), None), (1.0, "gan")])
def test_command_refuses(tmp_path, scale, only):
    parsed = argparse.Namespace(work=tmp_path / "work", out=tmp_path / "out", device="cpu", scale=scale, only=only)
    with pytest.raises(
        SystemExit, match=f"--scale must be positive and --only one of clip, .*got {scale:g} and {only}"
    ):
        command.main(parsed)
    assert not parsed.work.exists()


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def check_weights(folder, made):
    """All in half precision; the text encoder is CLIP's own; each reader's file fits its network."""
    halves = [name for name in made if name.endswith(".safetensors")]
    assert len(halves) == 3 + 1 + len(READERS)
    for name in halves:
        weights = load_file(folder / name)
        assert {value.dtype for value in weights.values()} <= {torch.float16, torch.int64}
    text, clip = (
        load_file(folder / "text_encoder/model.safetensors"),
        load_file(folder / "clip/model.safetensors"),
    )
    shared = {key.removeprefix("text_model."): value for key, value in clip.items() if key.startswith("text_model.")}
    assert all(torch.equal(value, shared[key.removeprefix("text_model.")]) for key, value in text.items())
    for name in READERS:
        build(name).load_state_dict(load_file(folder / f"{name}.safetensors"))


def test_command_makes_a_folder_that_diffusers_loads(few, monkeypatch, tmp_path, capsys):
    """One step a part, stopped after the autoencoder and taken up again, and once more when nothing is left to train.

    The folder is a pipeline in half precision, computed in float32, with CLIP and the readers beside it.
    """
    monkeypatch.setattr(parts, "STEPS", dict.fromkeys(parts.STEPS, 10))
    monkeypatch.setattr(
        command, "quality", lambda sd, first, second: {"shape right": 0.12345, "name": float(len(str(sd)))}
    )
    parsed = argparse.Namespace(work=tmp_path / "work", out=tmp_path / "out", device="cpu", scale=0.1, only="vae")
    assert command.main(parsed) == 0
    assert sorted(path.name for path in parsed.work.glob("*.pt")) == ["clip.pt", "vae.pt"]
    assert not parsed.out.exists()
    parsed.only = None
    assert command.main(parsed) == 0
    assert str(parsed.out) in capsys.readouterr().out
    log = (parsed.work / "log.txt").read_text().splitlines()
    assert [line.split()[:5] for line in log] == [[name, "step", "1", "of", "1"] for name in parts.STEPS]
    made = files(parsed.out)
    assert {path.stat().st_mode & 0o777 for path in parsed.out.rglob("*") if path.is_file()} == {0o644}
    assert {path.rsplit(".", 1)[-1] for path in made} <= {"safetensors", "json", "txt", "md", "SHA256SUMS"}
    sums = dict(reversed(line.split("  ")) for line in made.pop("SHA256SUMS").decode().splitlines())
    assert sums == {path: hashlib.sha256(text).hexdigest() for path, text in made.items()}
    assert json.loads(made["quality.json"])["shape right"] == 0.1235
    assert b"| shape right | 0.123 |" in made["README.md"]

    pipe = StableDiffusionPipeline.from_pretrained(parsed.out)
    pipe.set_progress_bar_config(disable=True)
    assert {part.dtype for part in (pipe.text_encoder, pipe.vae, pipe.unet)} == {torch.float32}
    picture = pipe("a red circle", num_inference_steps=2, output_type="np", generator=seeded(0)).images
    assert picture.shape == (1, 48, 48, 3)
    assert StableDiffusion.load(str(parsed.out), device="cpu").shape == (4, 12, 12)
    check_weights(parsed.out, made)

    assert command.main(parsed) == 0
    assert (parsed.work / "log.txt").read_text().splitlines() == log
    assert files(parsed.out) == made | {"SHA256SUMS": (parsed.out / "SHA256SUMS").read_bytes()}
