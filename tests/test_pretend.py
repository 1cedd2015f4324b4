"""On a pretend accelerator: every function that takes tensors, the README's examples, and what the host waits for."""

import dataclasses
import re

import inspected
import numpy as np
import pretend
import pytest
import recipes
import safetensors.torch
import torch

from course_lib import devices
from course_lib.denoisers import MLPDenoiser, cfg, interval, ring
from course_lib.features import Oracle, load_clip, load_network
from course_lib.flow_pipelines import FlowMatching, untrained
from course_lib.guidance import Above, Determinantal, Groups, Repulsion, cads, guided, spell, svgd, switch
from course_lib.samplers import ddim, ddpm, dpmpp_2m, geometric, sample, trajectory
from course_lib.seeds import Noise
from course_lib.stable_diffusion import StableDiffusion

NO_FLOAT64 = (torch.float64,)  # as on Apple's GPUs


def leaves(answer) -> list:
    """The tensors and numbers of an answer, on the CPU, in order."""
    if dataclasses.is_dataclass(answer) and not isinstance(answer, type):
        answer = [getattr(answer, field.name) for field in dataclasses.fields(answer)]
    if isinstance(answer, dict):
        answer = list(answer.values())
    if isinstance(answer, (list, tuple)):
        return [leaf for one in answer for leaf in leaves(one)]
    if isinstance(answer, torch.Tensor):
        return [answer.detach().cpu()]
    return [torch.as_tensor(answer)] if isinstance(answer, (int, float, np.ndarray, np.number)) else [answer]


def assert_same(found, wanted) -> None:
    found, wanted = leaves(found), leaves(wanted)
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted):
        if isinstance(b, torch.Tensor):
            torch.testing.assert_close(a, b, rtol=2e-4, atol=2e-5, check_dtype=False)
        else:
            assert a == b


def test_every_function_that_takes_tensors_has_a_recipe():
    names = inspected.found()
    assert len(names) > 150
    missing = sorted(names - set(recipes.RECIPES))
    assert not missing, f"tests/recipes.py calls {', '.join(missing)} on no device: add a recipe for each."
    assert not set(recipes.RECIPES) - names - {"features.clip.CLIP.texts"}, "a recipe calls what is not there"


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_a_function_answers_there_as_on_the_cpu(name):
    wanted = recipes.RECIPES[name](recipes.Inputs("cpu"))
    with pretend.accelerator(without=NO_FLOAT64):
        assert_same(recipes.RECIPES[name](recipes.Inputs("pretend")), wanted)


STAYS = [
    name for name in recipes.RECIPES if re.match(r"stable_diffusion\.\w+\.(decode|enc|gen|prompt|start)|features", name)
]


@pytest.mark.parametrize("name", [n for n in STAYS if "finite" not in n])
def test_the_answer_of_a_network_stays_where_the_network_is(name):
    with pretend.accelerator():
        answer = recipes.RECIPES[name](recipes.Inputs("pretend"))
        while isinstance(answer, (dict, list, tuple)):
            answer = (list(answer.values()) if isinstance(answer, dict) else answer)[0]
        first = answer.x if hasattr(answer, "shape_p") else answer
        assert first.device == pretend.DEVICE


def test_the_readmes_examples(root, monkeypatch):
    """As they stand, with the seeds' noise on the device."""
    examples = re.findall(r"```python\n(.*?)```", (root / "README.md").read_text(), re.DOTALL)
    assert examples
    for example in examples:
        exec(example, wanted := {})
        with pretend.accelerator(), monkeypatch.context() as patch:
            patch.setattr(Noise.__init__, "__defaults__", (pretend.DEVICE, torch.float64))
            exec(example, found := {})
            assert found["x"].device == pretend.DEVICE
            assert_same(found["x"], wanted["x"])


# what the host waits for

D = ring(5)


def annealed(sigmas, x):
    toward = lambda y: lambda x, sigma: D(x + 0.1 * y, sigma)  # noqa: E731
    noise = Noise(range(len(x)), dtype=torch.float32)
    return cads(toward, torch.ones_like(x), sigmas, 0.1, 0.9, randn_like=noise.randn_like)


METHODS = {
    "plain": lambda sigmas, x: D,
    "guidance in an interval": lambda sigmas, x: cfg(D, D, interval(3.0, 0.3, 1.0)),
    "repulsion": lambda sigmas, x: guided(D, Repulsion(2.0), relative=0.3),
    "repulsion in groups": lambda sigmas, x: guided(D, Groups(4, Repulsion(2.0)), clip=0.3),
    "above a level": lambda sigmas, x: guided(D, Above(0.5, Repulsion(2.0, h=lambda sigma: sigma))),
    "determinantal": lambda sigmas, x: guided(D, Determinantal(1.0)),
    "a switch": lambda sigmas, x: switch(0.5, spell(D, 0.6), D),
    "spell": lambda sigmas, x: spell(D, 0.6, memory=x[:2]),
    "svgd": lambda sigmas, x: svgd(D),
    "cads": annealed,
    "a network": lambda sigmas, x: MLPDenoiser().to(x.device).requires_grad_(False),
}
STEPS = {"ddim": lambda: ddim, "ddpm": lambda: ddpm, "dpmpp_2m": dpmpp_2m}


def waited(run, steps: int) -> int:
    """How often the host waited in a run of so many steps."""
    pretend.waits.clear()
    run(steps)
    return len(pretend.waits)


def per_step(run) -> float:
    """Waits that a step more costs, whatever the start and the end of a run cost."""
    run(3)  # what is asked for once and kept
    return (waited(run, 7) - waited(run, 3)) / 4


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("step", STEPS)
def test_a_step_waits_once_whatever_the_method(name, step):
    """For the one answer that the docstring of `trajectory` names: whether all particles are finite."""
    with pretend.accelerator(without=NO_FLOAT64):
        x = torch.randn(8, 2, generator=torch.Generator().manual_seed(0)).to(pretend.DEVICE)
        randn_like = Noise(range(8), dtype=torch.float32).randn_like

        def run(steps):
            sigmas = geometric(3.0, 0.1, steps)
            method = METHODS[name](sigmas, x)
            return sample(method, x, sigmas, STEPS[step](), corrections=0, randn_like=randn_like)

        assert per_step(run) == 1
    assert "the host waits for" in trajectory.__doc__


def test_a_correction_waits_for_nothing_more():
    with pretend.accelerator(without=NO_FLOAT64):
        x = torch.zeros(4, 2, device=pretend.DEVICE)
        noise = Noise(range(4), dtype=torch.float32)
        run = lambda steps: sample(D, x, geometric(3.0, 0.1, steps), corrections=2, randn_like=noise.randn_like)  # noqa: E731
        assert per_step(run) == 1


@pytest.mark.parametrize("w", [3.0, interval(3.0, 0.5, 5.0)], ids=["weight", "interval"])
def test_a_step_of_a_text_to_image_model_waits_once(w):
    method = lambda D: guided(D, Above(0.4, Repulsion(30.0)))  # noqa: E731
    with pretend.accelerator(without=NO_FLOAT64):
        sd = recipes.loaded("pretend").sd
        assert per_step(lambda steps: sd.generate("a star", range(2), steps=steps, w=w, method=method)) == 1


def test_the_waits_are_seen():
    """Each way of asking a device for a value counts as one."""
    with pretend.accelerator():
        x = torch.tensor([1.0, 2.0, 0.0], device="pretend")
        asked = {
            "item": lambda: x[0].item(),
            "bool": lambda: bool((x > 0).all()),
            "float": lambda: float(x[0]),
            "tolist": lambda: x.tolist(),
            "cpu": lambda: x.cpu(),
            "format": lambda: f"{x[0]:.1f}",
            "nonzero": lambda: x.nonzero(),
            "mask": lambda: x[x > 0],
            "unique": lambda: x.unique(),
        }
        for name, ask in asked.items():
            pretend.waits.clear()
            ask()
            assert len(pretend.waits) == 1, name
        pretend.waits.clear()
        torch.linspace(0, 1, 3).to("pretend").add_(x)[torch.tensor([1])].where(x[:1] > 0, x[:1])
        assert not pretend.waits


REFUSED = {  # of a tensor on the device and one on the CPU
    "two devices": lambda x, here: x + here,
    "an index there": lambda x, here: here[x.long()],
    "values from here": lambda x, here: x.index_put_((torch.tensor([0, 1]),), here[:2]),
    "select with an index from here": lambda x, here: x.index_select(0, torch.tensor([0])),
    "cat": lambda x, here: torch.cat([x, here]),
    "numpy": lambda x, here: x.numpy(),
    "a generator of the CPU": lambda x, here: torch.randn(3, device="pretend", generator=torch.Generator()),
    "float64": lambda x, here: x.double(),
    "into a tensor of the CPU": lambda x, here: here.add_(x),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_gpu_refuses_is_refused(name):
    with pretend.accelerator(without=NO_FLOAT64):
        x, here = torch.ones(3, device="pretend"), torch.ones(3)
        with pytest.raises((RuntimeError, TypeError)):
            REFUSED[name](x, here)
        assert float((x * torch.tensor(2.0)).sum()) == 6  # a number may mix


# the rule


def test_the_device_of_a_loader(monkeypatch):
    """COURSE_DEVICE is the default, `device` goes before it, and every loader obeys."""
    loaders = {
        "network": lambda **to: next(load_network("style", **to).parameters()).device,
        "oracle": lambda **to: next(Oracle(**to).network.parameters()).device,
        "clip": lambda **to: load_clip(**to).model.device,
        "model": lambda **to: StableDiffusion.load("tiny", **to).device,
        "flow": lambda **to: FlowMatching(untrained(**to)).device,
    }
    for load in loaders.values():
        monkeypatch.delenv("COURSE_DEVICE", raising=False)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        assert load() == torch.device("cpu")
        with pretend.accelerator():
            assert load(device="pretend") == pretend.DEVICE
            monkeypatch.setenv("COURSE_DEVICE", "pretend:0")
            assert load() == pretend.DEVICE
            assert load(device="cpu") == torch.device("cpu")
        monkeypatch.setenv("COURSE_DEVICE", "gpu")
        with pytest.raises(ValueError, match="^COURSE_DEVICE: gpu is no device that works on this machine; use cpu, "):
            load()
        with pytest.raises(ValueError, match="^device: cuda:99 is no device"):
            load(device="cuda:99")
    monkeypatch.setenv("COURSE_DEVICE", "")
    assert devices.chosen() == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert devices.chosen() == torch.device("cuda")


def test_a_device_without_float64_is_found_whatever_the_default_is(monkeypatch):
    """A chapter that computes in float64 asks for the device, too."""
    monkeypatch.setenv("COURSE_DEVICE", "pretend")
    with pretend.accelerator(without=(torch.float64,)):
        torch.set_default_dtype(torch.float64)
        try:
            assert devices.chosen().type == "pretend"
        finally:
            torch.set_default_dtype(torch.float32)


def test_the_rule_is_written_once(root):
    """CONTRIBUTING.md has it, and no chapter names a device."""
    assert "networks live where they were loaded" in (root / "CONTRIBUTING.md").read_text()
    for master in sorted((root / "book").glob("[0-9][0-9]_*.md")):
        named = re.search(r"""device=["']|\.cuda\(|\.to\(["'](?:cpu|cuda|mps)""", master.read_text())
        assert not named, f"{master.name} names a device: {named[0]}"


def test_a_tensors_data_is_replaced_and_saved_there_as_on_a_gpu(tmp_path):
    with pretend.accelerator() as device:
        x = torch.nn.Parameter(torch.zeros(2, device=device))
        x.data = torch.tensor([1.0, 2.0]).to(device)
        assert x.sum().item() == 3
        safetensors.torch.save_file({"x": x}, tmp_path / "x.safetensors")
    assert safetensors.torch.load_file(tmp_path / "x.safetensors")["x"].tolist() == [1, 2]
