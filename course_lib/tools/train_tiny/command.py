"""`course train-tiny`: every part from nothing, then the folder that ships, its measured quality and its checksums."""

import argparse
import json
from pathlib import Path

import torch

from course_lib.stable_diffusion import StableDiffusion
from course_lib.tools.train_tiny import parts
from course_lib.tools.train_tiny.assemble import READERS, assemble, readable, write_checksums
from course_lib.tools.train_tiny.card import card
from course_lib.tools.train_tiny.evaluate import quality
from course_lib.tools.train_tiny.tokenizer import train_tokenizer


def main(parsed: argparse.Namespace) -> int:
    """Train what is not trained yet, write the folder, measure it; the value is the exit status."""
    work, device = parsed.work, parsed.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if not parsed.scale > 0 or parsed.only not in (None, *parts.STEPS):
        raise SystemExit(
            f"course train-tiny: --scale must be positive and --only one of {', '.join(parts.STEPS)}, "
            f"got {parsed.scale:g} and {parsed.only}."
        )
    work.mkdir(parents=True, exist_ok=True)
    made = train_all(
        work, device, {name: max(1, round(n * parsed.scale)) for name, n in parts.STEPS.items()}, parsed.only
    )
    if parsed.only is None:
        write(parsed.out, made)
        print(f"The model is in {parsed.out}.")
    return 0


def train_all(work: Path, device: str, steps: dict[str, int], only: str | None = None) -> dict:
    """All parts in the order of STEPS, each taken up where its checkpoint stands."""
    tokenizer = train_tokenizer(work / "tokenizer")
    made = {"tokenizer": tokenizer}
    for name, n in steps.items():
        if name == "clip":
            made[name] = parts.train_clip(tokenizer, work, n, device)
        elif name == "vae":
            made[name] = parts.train_vae(work, n, device)
        elif name == "style":
            made[name] = parts.train_style(made["vae"], work, n, device)
        elif name == "unet":
            made[name] = parts.train_unet(tokenizer, made["clip"], made["vae"], work, n, device)
        else:
            made[name] = parts.train_reader(name, work, n, device)
        if name == only:
            break
    return made


def write(folder: Path, made: dict) -> None:
    """The folder in half precision, then its quality measured on what was written, the model card and the checksums."""
    readers = {name: made[name].cpu() for name in READERS}
    assemble(folder, made["tokenizer"], made["clip"].cpu(), made["vae"].cpu(), made["unet"].cpu(), readers)
    for name in READERS:
        readers[name] = readers[name].half().float()  # measure what ships
    figures = quality(StableDiffusion.load(str(folder), device="cpu"), readers["oracle"], readers["oracle2"])
    (folder / "quality.json").write_text(json.dumps({k: round(v, 4) for k, v in figures.items()}, indent=1) + "\n")
    (folder / "README.md").write_text(card(figures))
    readable(folder)
    write_checksums(folder)
