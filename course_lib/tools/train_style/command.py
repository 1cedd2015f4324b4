"""`course train-style`: latents whose style is known, a classifier that is told their noise level, and its accuracy."""

import argparse
import json
import sys
from pathlib import Path

from safetensors.torch import save_file
from torch import nn

from course_lib.stable_diffusion import StableDiffusion
from course_lib.tools.train_style import latents
from course_lib.tools.train_style.training import accuracy, train


class Refused(Exception):
    """A sentence about what was asked for."""


def main(parsed: argparse.Namespace) -> int:
    """Make the latents, train, write the file and its accuracies; the value is the exit status."""
    try:
        run(parsed)
    except (Refused, OSError) as error:
        print(f"course train-style: {str(error).rstrip('.')}.", file=sys.stderr)
        return 1
    return 0


def run(parsed: argparse.Namespace) -> None:
    """The command itself; raises Refused or OSError with one sentence."""
    lists = lines_of(parsed.artists), lines_of(parsed.subjects)
    if parsed.steps < 1 or parsed.seeds < 1:
        raise Refused(f"--steps and --seeds must be at least 1, got {parsed.steps} and {parsed.seeds}")
    sd = StableDiffusion.load(parsed.model, device=parsed.device)
    if all(lists):
        styled = latents.generated(sd, *lists, parsed.seeds, parsed.levels, parsed.w, parsed.work / "latents")
    elif any(lists) or sd.name != "tiny":
        raise Refused("needs --artists and --subjects, files with a name and a subject a line; only tiny goes without")
    else:
        styled = latents.of_the_world(sd)
    parsed.work.mkdir(parents=True, exist_ok=True)
    note_or_compare(parsed.work / "run.json", {"model": str(parsed.model), "styles": list(styled.styles)})
    network = train(styled, parsed.steps, parsed.work, sd.device)
    write(network.cpu(), styled.styles, parsed.out)
    right = accuracy(network.half().float(), styled.held_out, styled.held_out_style)
    parsed.out.with_suffix(".json").write_text(json.dumps({f"{s:g}": round(a, 4) for s, a in right.items()}) + "\n")
    print(f"{parsed.out}; right on held-out latents, by noise level (chance {1 / len(styled.styles):.2f}):")
    print("  ".join(f"{sigma:g}: {share:.2f}" for sigma, share in right.items()))


def lines_of(path: Path | None) -> list[str]:
    """The lines of a text file without empty ones; none without a file. Raises Refused where lines are missing."""
    if path is None:
        return []
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if len(lines) < 2 or len(set(lines)) < len(lines):
        raise Refused(f"{path} must hold at least two lines, all different, got {len(lines)}")
    return lines


def note_or_compare(path: Path, run: dict) -> None:
    """Write down what is trained in this folder; raises Refused where the folder belongs to another run."""
    if path.is_file() and json.loads(path.read_text(encoding="utf-8")) != run:
        raise Refused(f"{path.parent} holds another run (see {path.name}); name another --work")
    path.write_text(json.dumps(run) + "\n", encoding="utf-8")


def write(network: nn.Module, styles: tuple[str, ...], out: Path) -> None:
    """The file that `load_style` reads, in half precision."""
    weights = {name: value.contiguous() for name, value in network.state_dict().items()}
    halved = {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}
    channels = str(network.convolutions[0].in_channels)
    out.parent.mkdir(parents=True, exist_ok=True)
    save_file(halved, out, metadata={"styles": json.dumps(list(styles)), "channels": channels})
    out.chmod(0o644)  # for everyone to read; the library writes weights for their owner alone
