"""The registry of models, and loading by name, by folder and by the id of a repository, without network."""

import contextlib
import hashlib
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from course_lib import models
from course_lib.models import MODELS, TABLE
from course_lib.stable_diffusion import StableDiffusion
from course_lib.tools import cli

SD2 = MODELS["sd2"]
CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


@pytest.fixture(scope="module")
def folder(tiny_pipe, tmp_path_factory):
    """A small pipeline as diffusers saves it."""
    path = tmp_path_factory.mktemp("saved") / "small"
    with models.quiet():
        tiny_pipe.save_pretrained(path)
    return path


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for model in TABLE:
        if model.name != "tiny":  # a maintainer may try another tiny
            monkeypatch.delenv(model.variable, raising=False)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub that has what `hub.folders` says for each repository; it records what it was asked."""
    asked, folders = [], {}

    def snapshot_download(repository, *, revision=None, local_files_only=False, allow_patterns=None):
        asked.append((repository, revision, local_files_only, allow_patterns))
        found = folders.get((repository, local_files_only))
        if found is None:
            raise FileNotFoundError("no such snapshot")
        return str(found)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    return SimpleNamespace(asked=asked, folders=folders)


def parts_of(path: Path, *parts: str, suffix: str = "safetensors") -> Path:
    """A folder with the files of a pipeline, empty."""
    for part in parts:
        (path / part).mkdir(parents=True)
        (path / part / f"model.{suffix}").touch()
    (path / "model_index.json").touch()
    return path


# the table


def test_every_mirror_is_pinned_by_a_full_revision():
    for model in TABLE:
        assert bool(model.mirrors) != bool(model.folder), f"{model.name} is on hubs or in a folder"
        for repository, revision in model.mirrors:
            assert models.is_id(repository)
            assert re.fullmatch(r"[0-9a-f]{40}", revision)
    assert len({mirror for model in TABLE for mirror in model.mirrors}) == 2


def test_only_safetensors_of_half_precision_are_fetched():
    """Of what such repositories hold, the patterns choose one pipeline and no pickle."""
    from huggingface_hub.utils import filter_repo_objects

    wanted = [
        "model_index.json", "scheduler/scheduler_config.json", "tokenizer/merges.txt", "tokenizer/vocab.json",
        "text_encoder/config.json", "text_encoder/model.fp16.safetensors", "unet/config.json",
        "unet/diffusion_pytorch_model.fp16.safetensors", "vae/config.json",
        "vae/diffusion_pytorch_model.fp16.safetensors",
    ]  # fmt: skip
    others = [
        "512-base-ema.ckpt", "512-base-ema.safetensors", "README.md", "text_encoder/model.safetensors",
        "text_encoder/pytorch_model.fp16.bin", "unet/diffusion_pytorch_model.safetensors",
        "unet/diffusion_pytorch_model.bin", "vae/diffusion_pytorch_model.safetensors",
    ]  # fmt: skip
    assert list(filter_repo_objects(wanted + others, allow_patterns=list(SD2.patterns))) == wanted
    every = list(filter_repo_objects(wanted + others, allow_patterns=list(models.ANY_PIPELINE)))
    assert set(wanted) < set(every)
    assert not any(name.endswith((".bin", ".ckpt")) or name.startswith("512") for name in every)


def test_the_page_of_models_says_what_the_registry_says(root):
    page = (root / "book/models.md").read_text()
    for model in TABLE:
        (row,) = (line for line in page.splitlines() if line.startswith(f"| `{model.name}` |"))
        for fact in (f"{model.megabytes} MB", f"{model.memory:g} GB", model.licence, model.prediction, model.variable):
            assert fact in row, f"{model.name}: the page does not say {fact}"
    for repository, revision in SD2.mirrors:
        assert f"`{repository}` at revision `{revision}`" in page
    for file in models.FILES.values():
        (row,) = (line for line in page.splitlines() if line.startswith(f"| `{file.name}` |"))
        for fact in (f"{file.megabytes} MB", file.licence, file.variable, file.sha256[:8]):
            assert fact in row, f"{file.name}: the page does not say {fact}"
        assert all(url in page for url in file.urls)
        assert f"`course get {file.name}`" in page
    assert "`course get sd2`" in page
    assert "half precision" in page


# finding


def test_a_name_never_downloads(hub):
    """It looks through the mirrors on this machine only, and the sentence says how to get the model."""
    with pytest.raises(
        FileNotFoundError, match="is not on this machine; get its 2580 MB with `course get sd2`, or"
    ) as e:
        StableDiffusion.load("sd2")
    assert "COURSE_SD2" in str(e.value)
    assert hub.asked == [(*mirror, True, None) for mirror in SD2.mirrors]


def test_the_tiny_model_is_never_asked_for(hub, monkeypatch, tmp_path):
    monkeypatch.delenv("COURSE_TINY", raising=False)
    assert models.chosen("tiny").folder == models.TINY
    monkeypatch.setitem(MODELS, "tiny", models.dataclasses.replace(MODELS["tiny"], folder=tmp_path))
    with pytest.raises(FileNotFoundError, match="is not on this machine; install the course again, or name a folder"):
        StableDiffusion.load("tiny")
    assert hub.asked == []


def test_a_snapshot_is_found_without_network_by_its_revision(monkeypatch, tmp_path):
    """As the hub's own client lays it out; one that lacks a part is passed over, and the next mirror is taken."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert models.find(SD2) is None
    (first, second) = (
        tmp_path / f"models--{repository.replace('/', '--')}" / "snapshots" / revision
        for repository, revision in SD2.mirrors
    )
    parts_of(second, "unet", "vae", "text_encoder")
    assert models.find(SD2) == second
    parts_of(first, "vae")
    assert models.find(SD2) == second
    parts_of(first, "unet", "text_encoder", suffix="bin")
    assert models.find(SD2) == second
    for part in ("unet", "text_encoder"):
        (first / part / "model.fp16.safetensors").touch()
    assert models.find(SD2) == first


@pytest.mark.parametrize(("cuda", "here", "big", "expected"), [
    (True, True, True, "sd2"), (True, False, True, "tiny"), (True, True, False, "tiny"), (False, True, True, "tiny"),
])  # fmt: skip
def test_auto(monkeypatch, tmp_path, cuda, here, big, expected):
    """Stable Diffusion 2 where a large enough GPU and the weights are, else tiny."""
    memory = int(SD2.memory * 1e9) - (not big)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=memory))
    monkeypatch.setattr(models, "find", lambda model: tmp_path / model.name if here or model.name == "tiny" else None)
    assert models.locate("auto", GPU if cuda else CPU) == (expected, tmp_path / expected)


def test_the_environment_names_a_folder_or_another_repository(monkeypatch, hub, tmp_path):
    mine = parts_of(tmp_path / "mine", "unet", "vae", "text_encoder")
    monkeypatch.setenv("COURSE_SD2", str(mine))
    assert models.locate("sd2", CPU) == ("sd2", mine)
    monkeypatch.setenv("COURSE_SD2", "some/one@abc")
    hub.folders["some/one", True] = mine
    assert models.locate("sd2", CPU) == ("sd2", mine)
    assert hub.asked == [("some/one", "abc", True, None)]
    assert models.chosen("sd2").patterns == models.ANY_PIPELINE
    for wrong, sentence in ((str(tmp_path), "is not a whole pipeline"), ("/no/where", "there is no folder /no/where")):
        monkeypatch.setenv("COURSE_SD2", wrong)
        with pytest.raises(FileNotFoundError, match=sentence):
            models.locate("sd2", CPU)


def test_a_name_of_the_table_is_no_folder(monkeypatch, hub, tmp_path):
    """A folder called sd2 where one happens to work does not stand in for the model."""
    parts_of(tmp_path / "sd2", "unet", "vae", "text_encoder")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="not on this machine"):
        models.locate("sd2", CPU)
    assert models.locate("./sd2", CPU) == ("sd2", Path("sd2"))


@pytest.mark.parametrize("name", ["sd3", "/no/where", "~/x", "a/b/c", "./x"])
def test_what_is_neither_name_nor_folder_nor_id_is_refused(hub, name):
    with pytest.raises(FileNotFoundError, match=rf"{name} is neither a model nor a folder; use auto, tiny, sd2, a f"):
        models.locate(name, CPU)
    assert hub.asked == []


# fetching


def test_an_id_downloads_what_it_names(hub, tmp_path):
    """Another repository at its own revision; a mirror of the table at the revision that stands there."""
    hub.folders["some/one", False] = parts_of(tmp_path / "one", "unet", "vae", "text_encoder")
    assert models.locate("some/one", CPU) == ("some/one", tmp_path / "one")
    models.locate("some/one@abc", CPU)
    repository, revision = SD2.mirrors[1]
    with pytest.raises(OSError, match=rf"{repository} could not be downloaded \({repository}: FileNotFoundError\)"):
        models.locate(repository, CPU)
    asked = [("some/one", None), ("some/one", "abc"), (repository, revision)]
    assert hub.asked == [(*one, False, list(models.ANY_PIPELINE)) for one in asked]


def test_mirrors_are_tried_in_order(hub, tmp_path):
    (first, one), (second, two) = SD2.mirrors
    with pytest.raises(OSError, match=f"{first}: FileNotFoundError; {second}: FileNotFoundError.*check the connection"):
        models.fetch(SD2)
    assert hub.asked == [(first, one, False, list(SD2.patterns)), (second, two, False, list(SD2.patterns))]
    hub.folders[first, False] = parts_of(tmp_path / "first", "unet")
    hub.folders[second, False] = parts_of(tmp_path / "second", "unet", "vae", "text_encoder")
    assert models.fetch(SD2) == tmp_path / "second"
    parts_of(tmp_path / "first", "vae", "text_encoder")
    assert models.fetch(SD2) == tmp_path / "first"


def test_the_command_gets_a_model_once(hub, tmp_path, capsys):
    whole = parts_of(tmp_path / "whole", "unet", "vae", "text_encoder")
    hub.folders[SD2.mirrors[0][0], False] = whole
    assert cli.main(["get", "sd2"]) == 0
    told = f"Stable Diffusion 2 (base, 512 pixels): 2580 MB, licence {SD2.licence}\n"
    assert capsys.readouterr().out == f"{told}sd2 is in {whole}\n"
    hub.folders[SD2.mirrors[0][0], True] = whole
    assert cli.main(["get", "sd2"]) == 0
    assert capsys.readouterr().out == f"sd2 is in {whole}\n"
    hub.folders.clear()
    assert cli.main(["get", "sd2"]) == 1
    assert "course get: Stable Diffusion 2 (base, 512 pixels) could not be downloaded" in capsys.readouterr().err
    assert cli.main(["get", "sd3"]) == 1
    assert capsys.readouterr().err == "course get: no model sd3; there are tiny, sd2, inception\n"


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Inception's row with two local addresses, the first of them dead, and a folder of torch.hub's own."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("COURSE_INCEPTION", raising=False)
    there = tmp_path / "there.pth"
    there.write_bytes(b"weights")
    row = models.dataclasses.replace(
        models.INCEPTION,
        urls=((tmp_path / "gone.pth").as_uri(), there.as_uri()),
        sha256=hashlib.sha256(b"weights").hexdigest(),
    )
    monkeypatch.setitem(models.FILES, "inception", row)
    return row, there


def test_the_command_gets_inception_once(published, capsys):
    row, there = published
    assert cli.main(["get", "inception"]) == 0
    told = f"FID's Inception of 2015-12-05: 96 MB, licence {row.licence}\n"
    assert capsys.readouterr().out == f"{told}inception is in {row.place}\n"
    assert row.place.read_bytes() == b"weights"
    there.unlink()
    assert cli.main(["get", "inception"]) == 0
    assert capsys.readouterr().out == f"inception is in {row.place}\n"
    row.place.write_bytes(b"others")
    assert cli.main(["get", "inception"]) == 1
    assert f"course get: inception: {row.place} is not FID's Inception" in capsys.readouterr().err


def test_a_file_with_another_checksum_is_not_kept(published, capsys):
    row, there = published
    there.write_bytes(b"others")
    assert cli.main(["get", "inception"]) == 1
    told = capsys.readouterr().err
    assert "could not be downloaded (file:///" in told
    assert "gone.pth: URLError; file:///" in told
    assert "there.pth: RuntimeError); check the connection, or name a copy of it in COURSE_INCEPTION." in told
    assert not row.place.exists()


def test_the_environment_names_a_copy_of_inception(published, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("COURSE_INCEPTION", str(tmp_path / "there.pth"))
    assert cli.main(["get", "inception"]) == 0
    assert capsys.readouterr().out == f"inception is in {tmp_path / 'there.pth'}\n"
    monkeypatch.setenv("COURSE_INCEPTION", str(tmp_path / "nowhere.pth"))
    assert cli.main(["get", "inception"]) == 1
    assert f"course get: inception: there is no file {tmp_path / 'nowhere.pth'}; get its" in capsys.readouterr().err


# loading


@torch.no_grad()
def test_a_folder_gives_the_pipeline_that_was_saved(tiny_pipe, folder):
    sd = StableDiffusion.load(folder)
    assert (sd.name, str(sd), sd.prediction) == (
        "small", "small on cpu in float32", tiny_pipe.scheduler.config.prediction_type,
    )  # fmt: skip
    assert sd.device == CPU
    theirs = StableDiffusion(tiny_pipe).generate("a cat", steps=2)
    assert torch.equal(sd.generate("a cat", steps=2), theirs)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_dtype_and_device_are_obeyed(folder, dtype):
    sd = StableDiffusion.load(folder, dtype=dtype)
    parts = (sd.pipe.unet, sd.pipe.vae, sd.pipe.text_encoder)
    assert {part.dtype for part in parts} == {dtype}
    sd = StableDiffusion.load(folder, device="meta")
    assert str(sd) == "small on meta in float16"
    assert {part.device.type for part in (sd.pipe.unet, sd.pipe.vae, sd.pipe.text_encoder)} == {"meta"}


def test_tiny_is_computed_in_single_precision_everywhere(folder, monkeypatch):
    monkeypatch.setenv("COURSE_TINY", str(folder))
    assert str(StableDiffusion.load("tiny", device="meta")) == "tiny on meta in float32"
    assert str(StableDiffusion.load(device="cpu")) == "tiny on cpu in float32"


def test_half_precision_files_are_loaded_where_there_are_no_others(folder, tmp_path):
    """As the registry fetches Stable Diffusion 2; where both lie side by side the full ones are taken."""
    other = shutil.copytree(folder, tmp_path / "halves")
    for path in [*other.glob("*/*.safetensors")]:
        path.rename(path.with_name(path.name.replace(".safetensors", ".fp16.safetensors")))
    sd = StableDiffusion.load(other)
    for ours, theirs in zip(sd.pipe.unet.parameters(), StableDiffusion.load(folder).pipe.unet.parameters()):
        assert torch.equal(ours, theirs)


def test_pickles_are_not_loaded(folder, tmp_path):
    other = shutil.copytree(folder, tmp_path / "pickles")
    (weights,) = (other / "unet").glob("*.safetensors")
    weights.rename(weights.with_name("diffusion_pytorch_model.bin"))
    with pytest.raises(
        FileNotFoundError, match="is not a whole pipeline; it needs model_index.json and safetensors in"
    ):
        StableDiffusion.load(other)


# silence


def state() -> tuple:
    import diffusers.utils.logging as diffusers_logs
    import huggingface_hub.utils as hub
    import transformers.utils.logging as transformers_logs

    bars = (diffusers_logs.is_progress_bar_enabled(), transformers_logs.is_progress_bar_enabled())
    levels = (diffusers_logs.get_verbosity(), transformers_logs.get_verbosity(), logging.root.manager.disable)
    return bars, levels, hub.are_progress_bars_disabled(), list(warnings.filters)


@pytest.mark.parametrize("bars", [True, False])
def test_the_libraries_are_silenced_and_put_back(bars, capsys, caplog):
    """Their notes, warnings and progress bars are heard before and after, not within, whatever happens there."""
    import diffusers.utils.logging as diffusers_logs
    import transformers.utils.logging as transformers_logs

    libraries = (diffusers_logs, transformers_logs)

    def switch(on):
        for logs in libraries:
            (logs.enable_progress_bar if on else logs.disable_progress_bar)()

    def chatter():
        warnings.warn("chatter", stacklevel=1)
        for logs in libraries:
            logs.get_logger("chatter").addHandler(caplog.handler)
            logs.get_logger("chatter").warning("chatter")
            list(logs.tqdm(range(2), desc="bar"))
        heard = capsys.readouterr().err + caplog.text
        caplog.clear()
        return heard.count("chatter"), heard.count("bar")

    switch(bars)
    before = state()
    with pytest.warns(UserWarning, match="chatter"):
        loud = chatter()
    assert loud[0] >= 2
    assert bool(loud[1]) == bars
    with models.quiet():
        assert chatter() == (0, 0)
    assert state() == before
    with contextlib.suppress(ZeroDivisionError), models.quiet():
        raise ZeroDivisionError
    assert state() == before
    with pytest.warns(UserWarning, match="chatter"):
        assert chatter() == loud
    switch(True)


def test_tiny_loads_offline_without_a_word():
    """From a fresh interpreter, with no network at all, nothing is printed and a picture comes out."""
    script = (
        "import socket\n"
        "def refuse(*args, **kwargs): raise OSError('the network was asked')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from course_lib.stable_diffusion import StableDiffusion\n"
        "sd = StableDiffusion.load('tiny')\n"
        "assert sd.generate('a red circle', steps=2).shape == (1, 3, 48, 48)\n"
        "assert str(sd).startswith('tiny on ')\n"
    )
    env = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=env, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_the_table_says_of_tiny():
    """Its size, and the prediction type of what is shipped."""
    row = MODELS["tiny"]
    assert sum(path.stat().st_size for path in row.folder.rglob("*") if path.is_file()) <= row.megabytes * 1e6
    scheduler = json.loads((row.folder / "scheduler/scheduler_config.json").read_text())
    assert scheduler["prediction_type"] == row.prediction
