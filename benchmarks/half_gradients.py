"""How well SeedSelect's gradient keeps its direction in half precision: cosines to float32's, pooled over eight seeds.

Run as `python benchmarks/half_gradients.py`: `tiny`, 12 steps at weight 3, four prompts, two losses; about six minutes
on one core. "network" is a whole model in that half, "way back" a model of float32 whose checkpoints are computed again
in it. Beside the pooled cosine stands the smallest of a single seed.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from tqdm import tqdm

from course_lib import world
from course_lib.features import load_clip
from course_lib.seeds import Noise
from course_lib.seedselect import sampler, semantic
from course_lib.stable_diffusion import StableDiffusion

SEEDS, STEPS, W, SCALE = 8, 12, 3.0, 2.0**8
PROMPTS = {
    "a star": {"shape": "star", "style": "outlined"},
    "a triangle star": {"shape": "triangle star"},
    "a square star": {"shape": "square star"},
    "a red circle": {"shape": "circle", "style": "outlined"},
}
# name -> number type of the model, and of what checkpoints compute again
WAYS = {
    "float16, network": (torch.float16, None),
    "bfloat16, network": (torch.bfloat16, None),
    "float16, way back": (torch.float32, torch.float16),
    "bfloat16, way back": (torch.float32, torch.bfloat16),
}


def frozen(dtype: torch.dtype) -> StableDiffusion:
    """`tiny` in a number type, whose weights want no gradient."""
    sd = StableDiffusion.load("tiny", dtype=dtype, device="cpu")
    for part in (sd.pipe.unet, sd.pipe.vae, sd.pipe.text_encoder):
        part.requires_grad_(False)
    return sd


def looked_at(sd: StableDiffusion, kind: str, concept: dict) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """What a loss sees of latents, and the centre it goes to: CLIP's of five references, or white."""
    if kind == "colour":
        return lambda x: sd.decode(x).mean((2, 3)), torch.ones(3)
    clip = load_clip()
    shown = world.render(world.draw(5, torch.Generator().manual_seed(100), **concept))
    return lambda x: clip(sd.decode(x)), clip(shown).mean(0)


def slope(sd: StableDiffusion, half: torch.dtype | None, prompt: str, kind: str) -> Tensor:
    """The gradient of each seed's loss, (SEEDS, d), taken of SCALE times the loss, which float16 needs."""
    levels = sd.levels(STEPS)
    run = sampler(sd.prompt(prompt, w=W), levels, lambda z: sd.start(z, levels), half=half)
    loss = semantic(*looked_at(sd, kind, PROMPTS[prompt]), half=half)
    z = Noise(range(SEEDS), dtype=torch.float32).randn(*sd.shape).requires_grad_()
    (found,) = torch.autograd.grad(SCALE * loss(run(z)).sum(), z)
    return found.flatten(1) / SCALE


def main() -> None:
    torch.set_num_threads(1)
    models = {dtype: frozen(dtype) for dtype in (torch.float32, torch.float16, torch.bfloat16)}
    print(f"{'loss':8s}{'prompt':18s}{'half':20s}{'pooled':>8s}{'smallest':>10s}")
    cases = [(kind, prompt) for kind in ("clip", "colour") for prompt in PROMPTS]
    for kind, prompt in tqdm(cases, desc="prompts"):
        true = slope(models[torch.float32], None, prompt, kind)
        for name, (dtype, half) in WAYS.items():
            found = slope(models[dtype], half, prompt, kind)
            pooled = torch.cosine_similarity(found.flatten(), true.flatten(), dim=0)
            least = torch.cosine_similarity(found, true).min()
            print(f"{kind:8s}{prompt:18s}{name:20s}{pooled:8.4f}{least:10.4f}", flush=True)


if __name__ == "__main__":
    main()
