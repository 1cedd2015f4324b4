"""`course evaluate PROTOCOL`: make what is missing of a protocol's pictures, then the page; --store keeps a run."""

import argparse
import dataclasses
import os
import sys
from pathlib import Path

import torch

from course_lib import memory
from course_lib.stable_diffusion import StableDiffusion
from course_lib.tools.evaluate import page
from course_lib.tools.evaluate.folder import Folder, plan
from course_lib.tools.evaluate.methods import method
from course_lib.tools.evaluate.protocol import Protocol, read
from course_lib.tools.evaluate.run import Reader, make, run
from course_lib.tools.evaluate.store import store


def main(parsed: argparse.Namespace) -> int:
    """Run, or go on with, a protocol; the value is the exit status, 1 after one sentence that says what stopped it."""
    try:
        if parsed.store:
            print(store(parsed.store, parsed.protocol), flush=True)
        elif parsed.protocol is None:
            raise ValueError("name a protocol, or a finished run's folder with --store FOLDER.")
        else:
            evaluate(parsed)
    except (ValueError, FileNotFoundError, FloatingPointError) as error:
        return _stopped(str(error))
    except torch.cuda.OutOfMemoryError:
        return _stopped("the GPU's memory is too small for this chunk; begin a new --out with a smaller --chunk.")
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        return _stopped(
            f"could not write{where} ({error.strerror or error}); make room, or see who may write there, and run the "
            "same command again: finished pictures are kept."
        )
    except KeyboardInterrupt:
        return _stopped("stopped; run the same command again to go on: finished pictures are kept.")
    return 0


def _stopped(sentence: str) -> int:
    print(f"course evaluate: {sentence}", file=sys.stderr)
    return 1


def evaluate(parsed: argparse.Namespace) -> None:
    """This process's share of the shards, and the page if no other process has work left."""
    protocol = read(parsed.protocol)
    named = {name: str(path) for name, path in (("clip", parsed.clip), ("style", parsed.style)) if path}
    protocol = dataclasses.replace(protocol, **named)
    rank, world = process()
    sd = StableDiffusion.load(protocol.model, device=device(parsed.device))
    if sd.device.type == "cpu":
        torch.set_num_threads(1)  # the bits of a sum depend on how many threads add it up
    reader = Reader(protocol, sd)
    for one in protocol.sets:
        method(one, protocol, sd)  # a set that cannot be made stops here, before any picture
    out = parsed.out or Path("evaluation") / Path(parsed.protocol).stem
    folder, shards = Folder(out, rank), plan(protocol)
    folder.claim(protocol)
    began = folder.begun(beginning(protocol, sd, parsed.chunk), settled=() if parsed.chunk else ("chunk",))
    own = shards[rank::world]
    run(folder, own, lambda shard: make(shard, protocol, sd, reader, began["chunk"]), sd.device)
    if missing := sum(not folder.there(shard) for shard in shards):
        print(f"Other processes have {missing} files left; the last one writes the page.", flush=True)
        return
    folder.sweep(world)
    page.write(folder, protocol, shards, began)
    print(f"The page is {out / 'index.html'}.", flush=True)


def process() -> tuple[int, int]:
    """Which process this is, and of how many, as `accelerate launch` and `torchrun` say; raises ValueError."""
    try:
        rank, world = (int(os.environ.get(name, default)) for name, default in (("RANK", "0"), ("WORLD_SIZE", "1")))
    except ValueError as error:
        raise ValueError("RANK and WORLD_SIZE must be whole numbers, as accelerate launch sets them.") from error
    if not 0 <= rank < world:
        raise ValueError(f"RANK must be from 0 to WORLD_SIZE - 1, got {rank} of {world}.")
    return rank, world


def device(named: str | None) -> str | None:
    """The device that is named, else the GPU of this process where a machine has several, else what load chooses."""
    if named or "LOCAL_RANK" not in os.environ or not torch.cuda.is_available():
        return named
    return f"cuda:{int(os.environ['LOCAL_RANK']) % torch.cuda.device_count()}"


def beginning(protocol: Protocol, sd: StableDiffusion, chunk: int | None) -> dict:
    """What must stay as it is for a run to be one run. Another chunk would change latents by about 2e-5."""
    if chunk is not None and chunk < 1:
        raise ValueError(f"--chunk must be at least 1, got {chunk}.")
    vae, (_, height, width) = sd.pipe.vae, sd.shape
    pixels = height * width * 4 ** (len(vae.config.block_out_channels) - 1)
    fits = min(memory.particles_at_once(sd.pipe.unet, height * width), memory.pictures_at_once(vae, pixels))
    return {
        "model": sd.name,
        "parameters": sum(p.numel() for p in sd.pipe.unet.parameters()),
        "dtype": str(sd.pipe.unet.dtype).removeprefix("torch."),
        "device": sd.device.type,
        "torch": torch.__version__,
        "clip": Path(protocol.clip).name,
        "style": Path(protocol.style).name,
        "chunk": chunk or fits,
    }
