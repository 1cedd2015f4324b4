"""Every method once at Stable Diffusion 2's real size, in its published configuration with random weights.

Run as `python benchmarks/sd2_size.py [cpu|cuda]`. On a CPU in float32: about 16 GB of memory and a quarter of an hour
on one core; two levels each. Random weights draw nothing, but every tensor has its real shape: latents are compared
with diffusers' own pipeline, repulsion must spread the particles, a gradient must reach the seed, an adapter must come
back.
Prompts are random embeddings (1, 77, 1024), since there is no tokenizer without a download.
"""

import sys
import tempfile
import time

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from torch import Tensor

from course_lib.denoisers import interval
from course_lib.features import RandomCNN, channel_mean, decoded, rule_of_thirds
from course_lib.guidance import Repulsion, flatten, guided, spell
from course_lib.seeds import Noise, coupled
from course_lib.seedselect import sampler, seedselect
from course_lib.stable_diffusion import StableDiffusion
from course_lib.tools import budget
from course_lib.training import add_lora, denoising_loss, save_lora, train

LEVELS, W, TOLERANCE = 2, 7.5, 1e-3


def random_pipeline(device: torch.device) -> StableDiffusionPipeline:
    """The pipeline with torch's own initial weights, seed 0; float32 on a CPU, float16 on a GPU."""
    torch.manual_seed(0)
    shapes = budget.pipeline()  # the configurations stand there alone
    parts = {}
    for name, kind in (("unet", UNet2DConditionModel), ("vae", AutoencoderKL)):
        parts[name] = kind.from_config(getattr(shapes, name).config).requires_grad_(False).eval()
    pipe = StableDiffusionPipeline(
        **parts,
        text_encoder=None,
        tokenizer=None,
        scheduler=DDIMScheduler.from_config(shapes.scheduler.config),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe.to(device, torch.float32 if device.type == "cpu" else torch.float16)


def timed(what: str, work):
    """The value of a call, its seconds printed beside it."""
    start = time.perf_counter()
    value = work()
    print(f"{what:44s}{time.perf_counter() - start:8.1f} s", flush=True)
    return value


def spread(z: Tensor) -> float:
    """Mean distance of the particles."""
    return torch.pdist(z.flatten(1)).mean().item()


def largest(a: Tensor, b: Tensor) -> float:
    """The largest difference of two sets of latents."""
    return (a - b).abs().max().item()


class Benchmark:
    """The model, one prompt and what was found so far."""

    def __init__(self, device: torch.device):
        self.device = device
        self.pipe = timed("random weights", lambda: random_pipeline(device))
        self.sd = StableDiffusion(self.pipe, "random Stable Diffusion 2")
        self.text, self.other = Noise([1, 2], device, self.pipe.unet.dtype).randn(77, 1024).split(1)
        self.noise = Noise([3, 4], device, torch.float32).randn(*self.sd.shape)
        self.failed = []

    def say(self, what: str, holds: bool, number: float) -> None:
        print(f"    {what}: {number:.3g}  {'holds' if holds else 'DOES NOT HOLD'}", flush=True)
        self.failed += [] if holds else [what]

    def generate(self, n: int = 2, method=None) -> Tensor:
        return self.sd.generate(
            self.text, noise=self.noise[:n], steps=LEVELS, w=W, negative=self.other, method=method, decode=False
        )

    def sampling(self) -> None:
        """Ours and diffusers' latents, then each force."""
        options = {"num_inference_steps": LEVELS, "guidance_scale": W, "output_type": "latent"}
        theirs = timed("diffusers' pipeline, 1 picture", lambda: self.pipe(
            prompt_embeds=self.text, negative_prompt_embeds=self.other, latents=self.noise[:1].to(self.text), **options
        ).images)  # fmt: skip
        ours = timed("ours, 1 picture", lambda: self.generate(1))
        error = largest(ours, theirs)
        self.say(f"largest difference of latents, at most {TOLERANCE}", error <= TOLERANCE, error)
        plain = spread(timed("independent, 2 pictures", self.generate))
        features = {"latents": torch.nn.Flatten(), "thirds": rule_of_thirds, "random network": RandomCNN(0)}
        features["decoded pictures"] = decoded(self.sd, channel_mean)
        for name, feature in features.items():
            force = Repulsion(1.0, features=feature, on="x0")
            pushed = timed(f"repulsion of {name}", lambda force=force: self.generate(
                method=lambda D: guided(D, force, relative=0.3)
            ))  # fmt: skip
            self.say(f"spread against {plain:.4g}", spread(pushed) > plain, spread(pushed))
        apart = timed("SPELL", lambda: self.generate(method=lambda D: spell(D, 2 * plain)))
        self.say(f"spread against {plain:.4g}", spread(apart) > plain, spread(apart))

    def strips(self) -> None:
        """What chapter 14 calls beyond that: forces on x in the thesis' units, noise, levels and weights."""
        last = self.sd.pipe.scheduler.config.num_train_timesteps - 1
        levels = torch.cat([self.sd.sigma_at(torch.linspace(last, 0, LEVELS)), torch.zeros(1, dtype=torch.float64)])
        before = self.run(self.noise, levels)
        for name, feature in (("latents", flatten), ("thirds", rule_of_thirds), ("channels", channel_mean)):
            pushed = timed(f"repulsion of {name} on x, alpha 1000", lambda feature=feature: self.run(
                self.noise, levels, lambda D: guided(D, Repulsion(1000.0, features=feature))
            ))  # fmt: skip
            self.say(f"spread against {spread(before):.4g}", spread(pushed) > spread(before), spread(pushed))
        apart = timed("coupled noise", lambda: self.run(coupled(self.noise), levels))
        self.say("largest change of latents", largest(apart, before) > 0, largest(apart, before))
        weighted = timed("interval guidance", lambda: self.run(self.noise, levels, w=interval(W, 0.28, 5.42)))
        self.say("largest change of latents", largest(weighted, before) > 0, largest(weighted, before))
        pictures = timed("decoding 2 pictures", lambda: self.sd.decode(before, 1))
        self.say("pixels on a side", pictures.shape[-1] == 8 * self.sd.shape[-1], pictures.shape[-1])

    def run(self, noise: Tensor, levels: Tensor, method=None, w=W) -> Tensor:
        """Latents at levels of one's own."""
        return self.sd.generate(
            self.text, noise=noise, steps=LEVELS, w=w, negative=self.other, method=method, sigmas=levels, decode=False
        )

    def selection(self) -> None:
        """One iteration of SeedSelect through the decoder."""
        run = sampler(self.sd.prompt(self.text, self.other, W), self.sd.levels(LEVELS))
        start = self.noise[:1]
        found = timed("one iteration of SeedSelect", lambda: seedselect(
            run, start, lambda z: channel_mean(self.sd.decode(z)).square().sum(1), iterations=2
        ))  # fmt: skip
        moved = (found.z - start).abs().max().item()
        self.say("loss after the step against before", found.history[1].item() < found.history[0].item(), moved)

    def adapter(self) -> None:
        """A step of LoRA, saved, and loaded by diffusers."""
        before = self.generate(1)
        adapter = add_lora(self.pipe.unet, 4, ["to_q", "to_k", "to_v", "to_out.0"])
        D = self.sd.prompt(self.text, self.other, w=1)
        x0, eps = self.noise[:1], self.noise[1:]
        timed("a step of LoRA", lambda: list(
            train(lambda sigma: denoising_loss(D, x0, sigma, eps), adapter, [torch.tensor(1.0)], lr=1e-2)
        ))  # fmt: skip
        changed = self.generate(1)
        self.say("largest change of latents by the step", not torch.equal(before, changed), largest(before, changed))
        with tempfile.TemporaryDirectory() as folder:
            save_lora(self.pipe.unet, folder)
            self.pipe = self.sd = None  # room for a second network
            self.pipe = timed("the same random weights", lambda: random_pipeline(self.device))
            timed("pipe.load_lora_weights", lambda: self.pipe.load_lora_weights(folder))
        self.sd = StableDiffusion(self.pipe)
        error = largest(self.generate(1), changed)
        self.say(f"difference to diffusers' reading, at most {TOLERANCE}", error <= TOLERANCE, error)


def main(device: str = "cpu") -> int:
    """Prints a line for each call and each thing that must hold; the value is how many did not."""
    run = Benchmark(torch.device(device))
    run.sampling()
    run.strips()
    run.selection()
    run.adapter()
    return len(run.failed)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
