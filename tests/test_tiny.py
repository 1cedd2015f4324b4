"""The shipped model: its files are whole, and every part does what the model card says it does."""

import hashlib
import json
import math
import re
from pathlib import Path

import pytest
import torch
from scipy import stats

from course_lib import world
from course_lib.features import Oracle, load_clip, load_network
from course_lib.models import TINY
from course_lib.stable_diffusion import StableDiffusion
from course_lib.training import add_deltas, load_lora
from course_lib.world import COLOURS, HEAD, SHAPES, STYLES, TAIL_COUNTS

FACTORS = ("shape", "colour", "style")


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def sd():
    return StableDiffusion.load("tiny", device="cpu")


@pytest.fixture(scope="module")
def renders():
    """500 pictures that no part was trained on, every shape among them, with their factors."""
    factors = world.draw(500, seeded(20_260))
    return factors, world.render(factors)


@pytest.fixture(scope="module")
def drawings(sd):
    """64 drawings of head shapes at guidance 3 in 25 steps, with what each was asked to show."""
    pairs = [(i % 6, i // 6 % 6) for i in range(64)]
    lines = [world.phrase(HEAD[s], COLOURS[c]) for s, c in pairs]
    return torch.tensor(pairs).T, sd.generate(lines, seeds=range(64), w=3.0, chunk=64)


def at_least(p, n):
    """Successes that a thing which succeeds with probability p misses once in a million times, of n."""
    return stats.binom.ppf(1e-6, n, p)


def files():
    return {path.relative_to(TINY).as_posix(): path for path in TINY.rglob("*") if path.is_file()}


def test_checksums_cover_every_file():
    """Each file of the folder is listed with its SHA-256, and nothing else is."""
    lines = (TINY / "SHA256SUMS").read_text().splitlines()
    listed = dict(reversed(line.split("  ")) for line in lines)
    assert len(listed) == len(lines)
    assert listed == {
        name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files().items() if name != "SHA256SUMS"
    }


def test_files_are_small_and_cannot_run_code():
    """At most 20 MB together: safetensors in half precision, JSON and text."""
    found = files()
    assert sum(path.stat().st_size for path in found.values()) <= 20e6
    assert {Path(name).suffix for name in found if name != "SHA256SUMS"} <= {".safetensors", ".json", ".txt", ".md"}
    for name, path in found.items():
        text = path.read_bytes()
        if name.endswith(".safetensors"):
            header = json.loads(text[8 : 8 + int.from_bytes(text[:8], "little")])
            kinds = {entry["dtype"] for key, entry in header.items() if key != "__metadata__"}
            assert "F16" in kinds, name
            assert kinds <= {"F16", "I64"}, name
        else:
            assert "/tmp" not in text.decode("utf-8"), name
            assert "/root" not in text.decode("utf-8"), name
        if name.endswith(".json"):
            json.loads(text)


def quality():
    return json.loads((TINY / "quality.json").read_text())


def test_card_shows_the_measured_figures():
    """The table of the model card and quality.json have the same rows and the same numbers."""
    rows = re.findall(r"^\| (.+?) \| (-?[\d.]+) \|$", (TINY / "README.md").read_text(), re.MULTILINE)
    assert [name for name, _ in rows] == list(quality())
    assert {name: float(value) for name, value in rows} == pytest.approx(quality(), abs=6e-4)


def test_figures_are_what_the_course_needs():
    """Asked for a head shape and a colour it draws them; what is not named stays free; rare shapes fail by degrees."""
    figures = quality()
    for name in ("oracle", "oracle2"):
        assert min(figures[f"{name} {factor}"] for factor in FACTORS) >= 0.99
        assert figures[f"{name} position error"] < 0.02
    for reader in ("", ", second oracle"):
        assert figures[f"shape right{reader}"] >= 0.97
        assert figures[f"colour right{reader}"] >= 0.99
    assert figures["styles of 4, guidance 1"] >= 3.4
    free, due = (figures[f"thirds of 9 in groups of 8, {which}"] for which in ("guidance 1", "training set"))
    assert free >= 0.9 * due
    ladder = [figures[f"{name} ({count} pictures)"] for name, count in TAIL_COUNTS.items()]
    assert min(ladder[:3]) > 0.9
    assert sum(ladder[-3:]) / 3 < 0.2
    assert all(higher > lower - 0.3 for higher, lower in zip(ladder, ladder[1:]))  # it falls but for chance likeness


@pytest.mark.parametrize("second", [False, True])
def test_oracle_reads_held_out_pictures(renders, second):
    """Shape, colour and style right in 99 of 100; the centre within 2 % of the width, the size within 1 %."""
    factors, pictures = renders
    reading = Oracle(second)(pictures)
    for factor in FACTORS:
        assert (getattr(reading, factor) == getattr(factors, factor)).double().mean() >= 0.99, factor
    assert torch.hypot(reading.x - factors.x, reading.y - factors.y).mean() < 0.02
    assert (reading.size - factors.size).abs().mean() < 0.01
    assert len(factors.shape.unique()) == len(SHAPES)


def test_oracles_are_two_and_agree(renders, drawings):
    """Trained apart they are different networks that read renders and drawings alike."""
    first, second = Oracle(), Oracle(second=True)
    for pictures, n in ((renders[1], 500), (drawings[1], 64)):
        a, b = first(pictures), second(pictures)
        for factor in ("shape", "colour"):
            assert (getattr(a, factor) == getattr(b, factor)).sum() >= at_least(0.98, n), factor
        assert not torch.equal(a.shape_p, b.shape_p)
        assert torch.hypot(a.x - b.x, a.y - b.y).mean() < 0.03
    assert (first(drawings[1]).style == second(drawings[1]).style).sum() >= at_least(0.9, 64)


def test_oracle_reads_through_noise(renders):
    """With noise of a deviation of .1 it still reads 97 of 100, as its judging of drawings needs."""
    factors, pictures = renders
    noisy = pictures[:200] + 0.1 * torch.randn(200, 3, 48, 48, generator=seeded(1))
    reading = Oracle()(noisy)
    for factor in FACTORS:
        assert (getattr(reading, factor) == getattr(factors, factor)[:200]).sum() >= at_least(0.99, 200), factor


def test_drawings_show_what_they_were_asked_for(drawings):
    """By either oracle. A model that is right in 95 of 100 (colour: 98) falls below these bounds once in a million
    draws; one that does not listen is right in 1 of 6, and reaches them never.
    """
    (shape, colour), pictures = drawings
    assert pictures.shape == (64, 3, 48, 48)
    for second in (False, True):
        reading = Oracle(second)(pictures)
        assert (reading.shape == shape).sum() >= at_least(0.95, 64) > 45
        assert (reading.colour == colour).sum() >= at_least(0.98, 64) > 45
    assert stats.binom.sf(45, 64, 1 / 6) < 1e-20


def test_what_is_not_named_stays_free(sd):
    """Of 48 pictures of one prompt at guidance 1 every style and most cells of nine have some."""
    prompt = sd.embed(world.phrase("square", "blue"))
    reading = Oracle()(sd.generate(prompt, seeds=range(48), w=1.0, chunk=48))
    share = torch.bincount(reading.style, minlength=4).double() / 48
    entropy = -(share[share > 0] * share[share > 0].log()).sum()
    assert math.exp(entropy) > 2.5
    assert len(reading.cell.unique()) >= 7


def test_the_plain_pipeline_draws_from_the_folder():
    """diffusers alone, told nothing but the folder: a picture of what was asked for."""
    from diffusers import StableDiffusionPipeline

    pipe = StableDiffusionPipeline.from_pretrained(TINY)
    pipe.set_progress_bar_config(disable=True)
    images = pipe(
        "a red circle", num_images_per_prompt=4, num_inference_steps=25, generator=seeded(0), output_type="pt"
    ).images
    reading = Oracle()(2 * images.float() - 1)
    assert (reading.shape == HEAD.index("circle")).sum() >= 3
    assert (reading.colour == COLOURS.index("red")).sum() >= 3


def test_autoencoder_keeps_the_picture(sd, renders):
    """Latents of unit deviation; decoded again with a peak signal to noise ratio of 28 dB, and every factor legible."""
    factors, pictures = renders
    with torch.no_grad():
        latents = sd.encode(pictures[:128])
        again = sd.decode(latents).clamp(-1, 1)
    assert latents.shape == (128, 4, 12, 12)
    assert latents.std().item() == pytest.approx(1, abs=0.1)
    assert 10 * math.log10(4 / (again - pictures[:128]).square().mean()) > 28
    reading = Oracle()(again)
    for factor in FACTORS:
        assert (getattr(reading, factor) == getattr(factors, factor)[:128]).sum() >= at_least(0.97, 128), factor


def test_style_and_embedding_networks_name_what_they_see(sd, renders):
    """The style of a latent; shape, colour and style of a picture."""
    factors, pictures = renders
    with torch.no_grad():
        style = load_network("style")(sd.encode(pictures[:128])).argmax(1)
        named = [logits.argmax(1) for logits in load_network("embedding")(pictures)]
    assert (style == factors.style[:128]).sum() >= at_least(0.97, 128)
    for found, factor in zip(named, FACTORS):
        assert (found == getattr(factors, factor)).sum() >= at_least(0.98, 500), factor


def test_clip_finds_the_caption(renders):
    """Of the 78 captions of a shape and a colour it picks a picture's own, of the rare shapes too, and its style."""
    factors, pictures = renders
    clip = load_clip()
    with torch.no_grad():
        seen = clip(pictures)
        pairs = clip.texts([world.phrase(s, c) for s in SHAPES for c in COLOURS])
        styles = clip.texts([world.phrase(style=style) for style in STYLES])
    best = (seen @ pairs.T).argmax(1)
    assert (best % 6 == factors.colour).sum() >= at_least(0.98, 500)
    assert (best == factors.shape * 6 + factors.colour).sum() >= at_least(0.9, 500)
    assert ((seen @ styles.T).argmax(1) == factors.style).sum() >= at_least(0.9, 500)


def test_every_word_is_one_token(sd):
    """The shipped tokenizer knows the world's words, and an unknown letter does not end a prompt."""
    tokenizer = sd.pipe.tokenizer
    words = sorted(
        {word for name in (*SHAPES, *world.PLACES, *COLOURS, *STYLES, *world.ARTISTS) for word in name.split()}
    )
    assert all(len(row) == 3 for row in tokenizer(words).input_ids)
    assert tokenizer.eos_token_id not in tokenizer("a zebra ring").input_ids[1:-1]
    assert tokenizer.model_max_length == 16


def test_with_its_adapter_things_lie_in_the_middle(sd):
    """In the middle cell of nine lie most of sixteen squares with it and hardly any without; all are still read."""
    centred = StableDiffusion.load("tiny", device="cpu")
    assert (TINY / "centred.safetensors").stat().st_size < 300_000
    with torch.no_grad():
        add_deltas(centred.pipe.unet, load_lora(centred.pipe.unet, TINY / "centred.safetensors"))
    middle = []
    for model in (sd, centred):
        reading = Oracle()(model.generate(world.phrase("square", "blue"), seeds=range(16), steps=20, chunk=16))
        assert (reading.shape == HEAD.index("square")).sum() >= at_least(0.98, 16)
        middle.append(int((reading.cell == 4).sum()))
    assert middle[0] < 6 < middle[1]
