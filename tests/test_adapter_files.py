"""Files of adapters: diffusers, peft and kohya's names on the other side, alpha in each, and what cannot be read."""

import copy
import json
import math
import tempfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from course_lib.denoisers import MLPDenoiser
from course_lib.models import quiet
from course_lib.stable_diffusion import StableDiffusion
from course_lib.training import add_deltas, add_lora, load_lora, lora_deltas, save_lora

TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]
FILE = "pytorch_lora_weights.safetensors"


@pytest.fixture(scope="module")
def sd(tiny_pipe):
    return StableDiffusion(tiny_pipe)


def stirred(module, g):
    """The module, its adapter no longer zero."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if "lora_" in name:
                parameter += 0.1 * torch.randn(parameter.shape, generator=g)
    return module


@pytest.fixture
def tuned(sd, g):
    """A pipeline with an adapter of alpha = 2 r."""
    tuned = copy.deepcopy(sd)
    add_lora(tuned.pipe.unet, 2, TARGETS, scale=2.0)
    stirred(tuned.pipe.unet, g)
    return tuned


def latents(sd):
    return sd.generate("a", seeds=[0, 1], steps=3, decode=False)


def apart(a, b):
    return (latents(a) - latents(b)).abs().max().item()


def same(deltas, others):
    assert deltas.keys() == others.keys()
    for name, delta in deltas.items():
        torch.testing.assert_close(delta, others[name], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("folder", [False, True])
def test_a_pipeline_of_diffusers_loads_what_we_save(sd, tuned, tmp_path, folder):
    """The same latents, with alpha = 2 r; the adapter's whole effect is what they would be off without it."""
    path = tmp_path / "mine" if folder else tmp_path / "mine.safetensors"
    save_lora(tuned.pipe.unet, path)
    friend = copy.deepcopy(sd)
    with quiet():
        friend.pipe.load_lora_weights(path)
    assert apart(friend, tuned) <= 1e-6
    assert apart(sd, tuned) > 0.1
    same(load_lora(sd.pipe.unet, path), lora_deltas(tuned.pipe.unet))


def test_layers_of_other_ranks_and_alphas_keep_theirs(sd, tuned, tmp_path):
    """As two adapters stacked on some layers have them: written as patterns, read by diffusers and by us."""
    from peft import LoraConfig

    other = copy.deepcopy(sd)
    unet, odd = other.pipe.unet, "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    unet.add_adapter(
        LoraConfig(r=2, lora_alpha=4, target_modules=TARGETS, rank_pattern={odd: 3}, alpha_pattern={odd: 9})
    )
    stirred(unet, torch.Generator().manual_seed(3))
    save_lora(unet, tmp_path)
    same(load_lora(sd.pipe.unet, tmp_path), lora_deltas(unet))
    friend = copy.deepcopy(sd)
    with quiet():
        friend.pipe.load_lora_weights(tmp_path)
    assert apart(friend, other) <= 1e-6


def written(tuned, folder, way):
    """The adapter as others write it."""
    from diffusers import StableDiffusionPipeline
    from diffusers.training_utils import _collate_lora_metadata
    from diffusers.utils import convert_state_dict_to_diffusers, convert_state_dict_to_kohya
    from peft import get_peft_model_state_dict

    unet = tuned.pipe.unet
    factors = get_peft_model_state_dict(unet)
    if way == "pipeline":
        layers, metadata = convert_state_dict_to_diffusers(factors), _collate_lora_metadata({"unet": unet})
        StableDiffusionPipeline.save_lora_weights(folder, unet_lora_layers=layers, **metadata)
    elif way == "without metadata":
        StableDiffusionPipeline.save_lora_weights(folder, unet_lora_layers=factors)
    elif way == "model":
        unet.save_lora_adapter(folder)
    else:
        named = convert_state_dict_to_kohya(factors)
        alphas = {key: torch.tensor(4.0) for key in named if key.endswith(".alpha")}
        if "tensors" in way:  # some tools write linear layers as convolutions of 1 x 1
            named = {key: value[:, :, None, None] if value.ndim == 2 else value for key, value in named.items()}
        named = {f"lora_unet_{key}": value for key, value in (named | alphas).items()}
        folder.mkdir()
        save_file({key: value.contiguous() for key, value in named.items()}, folder / FILE, metadata={"format": "pt"})


def peft_pipeline(sd, g):
    """Tuned with diffusers and peft alone, alpha = 2 r."""
    from peft import LoraConfig

    made = copy.deepcopy(sd)
    made.pipe.unet.add_adapter(LoraConfig(r=2, lora_alpha=4, target_modules=TARGETS))
    stirred(made.pipe.unet, g)
    return made


@pytest.mark.parametrize("way", ["pipeline", "model", "without metadata", "kohya", "kohya as four tensors"])
def test_what_others_write_is_read_as_diffusers_reads_it(sd, g, tmp_path, way):
    made, friend, ours = peft_pipeline(sd, g), copy.deepcopy(sd), copy.deepcopy(sd)
    with quiet():
        written(made, tmp_path / "theirs", way)
    deltas = load_lora(sd.pipe.unet, tmp_path / "theirs")
    assert all(delta.dtype == torch.float32 for delta in deltas.values())
    add_deltas(ours.pipe.unet, deltas)
    half = way == "without metadata"  # alpha is taken for r, by diffusers too
    same(deltas, {name: delta / 2 if half else delta for name, delta in lora_deltas(made.pipe.unet).items()})
    if way in ("pipeline", "without metadata"):
        with quiet():
            friend.pipe.load_lora_weights(tmp_path / "theirs")
        assert apart(friend, ours) <= 2e-4
    assert (apart(ours, made) <= 2e-4) != half


def test_a_network_of_its_own_is_written_and_read_by_peft(g, tmp_path):
    """peft's folder, with alpha in adapter_config.json; and our file, whose keys are peft's own behind unet."""
    from peft import LoraConfig, get_peft_model

    net = MLPDenoiser(2, width=16).double()
    with quiet():
        model = get_peft_model(copy.deepcopy(net), LoraConfig(r=2, lora_alpha=6, target_modules=["hidden.0"]))
        stirred(model, g).save_pretrained(tmp_path / "theirs")
    layer = model.base_model.model.hidden[0]
    expected = {"hidden.0": layer.get_delta_weight("default").detach()}
    same(load_lora(net, tmp_path / "theirs"), expected)
    save_lora(model.base_model.model, tmp_path / "ours")
    same(load_lora(net, tmp_path / "ours"), expected)
    assert set(load_file(tmp_path / "ours" / FILE)) == {f"unet.hidden.0.lora_{letter}.weight" for letter in "AB"}


def test_rslora_and_a_half_are_read_at_their_strength(g, tmp_path):
    A, B = torch.randn(4, 16, generator=g).half(), torch.randn(16, 4, generator=g).half()
    net = MLPDenoiser(2, width=16)
    settings = json.dumps({"r": 4, "lora_alpha": 6, "use_rslora": True})
    factors = {"hidden.0.lora_A.weight": A, "hidden.0.lora_B.weight": B}
    save_file(factors, tmp_path / "a.safetensors", metadata={"lora_adapter_metadata": settings})
    torch.testing.assert_close(load_lora(net, tmp_path / "a.safetensors")["hidden.0"], 3 * B.float() @ A.float())


def test_each_part_of_a_pipeline_has_its_own(sd, g, tmp_path):
    """The text encoder under its name, in a file of both: each call takes its own, and diffusers takes both."""
    tuned = copy.deepcopy(sd)
    encoder = tuned.pipe.text_encoder
    add_lora(encoder, 2, ["q_proj", "v_proj"], scale=3.0)
    stirred(encoder, g)
    save_lora(encoder, tmp_path / "text", part="text_encoder")
    friend = copy.deepcopy(sd)
    with quiet():
        friend.pipe.load_lora_weights(tmp_path / "text")
    torch.testing.assert_close(friend.embed("a"), tuned.embed("a"), atol=1e-6, rtol=0)
    assert (sd.embed("a") - tuned.embed("a")).abs().max() > 1e-2
    same(load_lora(sd.pipe.text_encoder, tmp_path / "text", part="text_encoder"), lora_deltas(encoder))
    with pytest.raises(ValueError, match="holds no adapter for the unet, only for: text_encoder"):
        load_lora(sd.pipe.unet, tmp_path / "text")
    older = {key.replace("encoder.layers", "text_model.encoder.layers"): value
             for key, value in load_file(tmp_path / "text" / FILE).items()}  # fmt: skip
    save_file(older, tmp_path / "older.safetensors")
    assert (
        load_lora(sd.pipe.text_encoder, tmp_path / "older.safetensors", part="text_encoder").keys()
        == lora_deltas(encoder).keys()
    )


GOOD = {"unet.hidden.0.lora_A.weight": torch.ones(2, 16), "unet.hidden.0.lora_B.weight": torch.ones(16, 2)}


@pytest.mark.parametrize(
    ("tensors", "metadata", "sentence"),
    [
        ({"hidden.0.A": torch.ones(2, 16)}, {"hidden.0": "1.0"}, "hidden.0.A, which is no factor of a LoRA adapter"),
        ({"unet.hidden.0.hada_w1_a": torch.ones(2, 2)}, {}, "which is no factor of a LoRA adapter"),
        ({**GOOD, "unet.hidden.0.lora_magnitude_vector": torch.ones(2)}, {}, "lora_magnitude_vector, which is no"),
        ({"unet.hidden.0.lora_A.weight": torch.ones(2, 16)}, {}, "only one of the two factors of layer hidden.0"),
        ({key.replace("hidden.0", "mid.7"): t for key, t in GOOD.items()}, {}, "layer mid.7, but this module lacks it"),
        ({key: t[:, :1].contiguous() for key, t in GOOD.items()}, {}, r"this module has weights \(16, 16\) there"),
        ({key: t[0].clone() for key, t in GOOD.items()}, {}, r"this module has weights \(16, 16\) there"),
        ({key: math.nan * t for key, t in GOOD.items()}, {}, "numbers for layer hidden.0 that are not finite"),
        (GOOD, {"lora_adapter_metadata": '{"lora_alpha": NaN}'}, "numbers for layer hidden.0 that are not finite"),
        (GOOD, {"lora_adapter_metadata": '{"lora_alpha": "much"}'}, "alpha must be a number, got 'much'"),
        (GOOD, {"lora_adapter_metadata": "[1]"}, "no readable safetensors file"),
        (GOOD, {"lora_adapter_metadata": "{"}, "no readable safetensors file"),
        ({}, {}, "holds no adapter for the unet"),
    ],
)
def test_a_file_that_does_not_fit_gets_a_sentence(tmp_path, tensors, metadata, sentence):
    path = tmp_path / "adapter.safetensors"
    save_file(tensors, path, metadata={"format": "pt"} | metadata)
    with pytest.raises(ValueError, match=sentence) as caught:
        load_lora(MLPDenoiser(2, width=16), path)
    assert "load_lora: " in str(caught.value)


def test_a_file_that_is_missing_cut_or_a_pickle_gets_a_sentence(tmp_path):
    net = MLPDenoiser(2, width=16)
    for path in (tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(FileNotFoundError, match="load_lora: (there is no file|needs one .safetensors file in)"):
            load_lora(net, path)
    save_file(GOOD, tmp_path / "whole.safetensors")
    whole = (tmp_path / "whole.safetensors").read_bytes()
    torch.save(GOOD, tmp_path / "adapter.bin")
    for name, content in (("cut", whole[:-9]), ("empty", b""), ("pickle", (tmp_path / "adapter.bin").read_bytes())):
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(content)
        with pytest.raises(ValueError, match="load_lora: .* is no readable safetensors file"):
            load_lora(net, path)


def test_saving_refuses_what_nobody_could_load():
    net = MLPDenoiser(2, width=16)
    with tempfile.TemporaryDirectory() as folder:
        with pytest.raises(ValueError, match="this module has no adapter"):
            save_lora(net, Path(folder) / "a.safetensors")
        add_lora(net, 2, "hidden.0")
        with pytest.raises(ValueError, match="ends in .safetensors, got .*a.bin"):
            save_lora(net, Path(folder) / "a.bin")
        with pytest.raises(ValueError, match="part must be one of unet, text_encoder"):
            save_lora(net, folder, part="vae")
        assert not list(Path(folder).iterdir())
