"""The loop over shards: sample a block, decode, embed and forget it a chunk at a time, write what is kept."""

import io
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from course_lib import features
from course_lib.features import resize_clean
from course_lib.metrics import clip_score
from course_lib.stable_diffusion import StableDiffusion
from course_lib.tools.evaluate.folder import Folder, Shard
from course_lib.tools.evaluate.methods import latents
from course_lib.tools.evaluate.protocol import Protocol

THUMBNAIL, COLUMNS = 64, 10  # pixels; thumbnails in a row
KINDS = ("default", "location", "style")


class Reader:
    """The networks that look at pictures: the embeddings of the thesis' table and, where there is one, CLIP."""

    def __init__(self, protocol: Protocol, sd: StableDiffusion):
        own = protocol.embedding == "world"
        network = features.load_network("embedding", sd.device) if own else features.inception(device=sd.device)
        makers = (features.default_embedding, features.location_embedding, features.style_embedding)
        self.embeddings = [make(network) for make in makers]
        self.clip = None
        if protocol.clip:
            self.clip = features.load_clip(None if protocol.clip == "world" else protocol.clip, sd.device)

    def __call__(self, chunks: Iterator[Tensor], text: str) -> tuple[dict[str, np.ndarray], list[Image.Image]]:
        """Features of pictures that come in chunks, and their thumbnails; no chunk outlives the next.

        Where there is CLIP, its score is that of the bare prompt, which names no artist.
        """
        kept: dict[str, list[Tensor]] = {kind: [] for kind in KINDS}
        thumbnails = []

        def passing() -> Iterator[Tensor]:
            for images in chunks:
                thumbnails.extend(thumbnail(image) for image in images.cpu())
                if self.clip is not None:
                    with torch.no_grad():
                        seen = self.clip(images)
                    kept.setdefault("clip", []).append(seen)
                    kept.setdefault("score", []).append(clip_score(seen, self.clip.texts([text])))
                yield images
                del images  # before the next is made

        for part in features.streamed(passing(), self.embeddings):
            for kind, values in zip(KINDS, part.values(), strict=True):
                kept[kind].append(values)
        arrays = {name: torch.cat(parts).float().cpu().numpy() for name, parts in kept.items()}
        return arrays, thumbnails


def pictures(sd: StableDiffusion, z: Tensor, chunk: int) -> Iterator[Tensor]:
    """Pictures of latents (n, 4, h, w), `chunk` at a time and only when they are asked for."""
    with torch.no_grad():
        for part in z.split(chunk):
            yield sd.decode(part, chunk).clamp(-1, 1)


def thumbnail(image: Tensor) -> Image.Image:
    """A picture (3, H, W) in [-1, 1], shrunk where it is larger than a thumbnail."""
    if max(image.shape[1:]) > THUMBNAIL:
        image = resize_clean(image[None], THUMBNAIL)[0]
    return Image.fromarray(((image + 1) * 127.5).round().byte().permute(1, 2, 0).contiguous().numpy())


def sheet(thumbnails: list[Image.Image]) -> bytes:
    """Thumbnails in rows, as PNG."""
    width, height = thumbnails[0].size
    rows, columns = math.ceil(len(thumbnails) / COLUMNS), min(len(thumbnails), COLUMNS)
    whole = Image.new("RGB", (columns * width, rows * height), "grey")
    for i, one in enumerate(thumbnails):
        whole.paste(one, (i % COLUMNS * width, i // COLUMNS * height))
    buffer = io.BytesIO()
    whole.save(buffer, "PNG")
    return buffer.getvalue()


def make(shard: Shard, protocol: Protocol, sd: StableDiffusion, reader: Reader, chunk: int) -> tuple[bytes, bytes]:
    """One shard: its arrays as npz, which carries checksums, and its thumbnails as PNG."""
    text = protocol.prompts[shard.prompt]
    numbers = range(shard.first, shard.first + shard.n)
    texts = [protocol.wording(text, shard.set.prompt, i) for i in numbers]
    seeds = [shard.set.seed + i for i in numbers]
    z, strength = latents(sd, protocol, shard.set, texts, seeds, chunk)
    arrays, thumbnails = reader(pictures(sd, z, chunk), text)
    buffer = io.BytesIO()
    np.savez(buffer, seeds=np.array(seeds), strength=strength.numpy(), **arrays)
    return buffer.getvalue(), sheet(thumbnails)


def run(
    folder: Folder,
    shards: list[Shard],
    work: Callable[[Shard], tuple[bytes, bytes]],
    device: torch.device,
    tell: Callable[[str], None] = lambda line: print(line, flush=True),
) -> None:
    """Make the shards that are not there yet, each written whole; one line of progress each, with the time left."""
    missing = [shard for shard in shards if not folder.there(shard)]
    done, begun = sum(shard.n for shard in shards) - sum(shard.n for shard in missing), time.monotonic()
    total = sum(shard.n for shard in shards)
    if done:
        tell(f"{done} of {total} pictures are there already.")
    first = done
    for shard in missing:
        started = time.monotonic()
        arrays, thumbnails = work(shard)
        folder.put(f"{shard.name}.png", thumbnails)
        folder.put(f"{shard.name}.npz", arrays)  # the last: with it the shard is there
        done, now = done + shard.n, time.monotonic()
        left = (now - begun) / (done - first) * (total - done)
        tell(f"{done} of {total} pictures: {shard.prompt}, {shard.set.name}; {_clock(left)} left")
        log(folder.path, folder.rank, shard, now - started, device)


def _clock(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min" if seconds < 6000 else _hours(seconds)


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h"


def log(path: Path, rank: int, shard: Shard, seconds: float, device: torch.device) -> None:
    """Add a line to times/RANK.jsonl, apart from all else because no two runs agree on it."""
    entry = {
        "shard": shard.name,
        "set": shard.set.name,
        "pictures": shard.n,
        "seconds": round(seconds, 3),
        "peak bytes": peak(device),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }
    times = path / "times"
    times.mkdir(exist_ok=True)
    with (times / f"{rank}.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def peak(device: torch.device) -> int | None:
    """The most memory this process has held so far: of the GPU it runs on, else of the machine; None if unknown."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
