"""The shipped networks, checked against their checksums, and the oracle that reads a picture's factors."""

import hashlib
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from torch import Tensor, nn

from course_lib.devices import chosen, handed
from course_lib.features.images import checked, resize_clean
from course_lib.features.networks import build
from course_lib.world import thirds

TINY = Path(__file__).resolve().parents[1] / "tiny"
SIZE = 48  # width of the world's pictures
AGAIN = "install the course again or make it with: course train-tiny"


def shipped(name: str) -> Path:
    """The path of a file in course_lib/tiny, after its SHA-256 has been compared with tiny/SHA256SUMS.

    Raises FileNotFoundError or ValueError with one sentence that says what to do.
    """
    path, sums = TINY / name, TINY / "SHA256SUMS"
    if not path.is_file() or not sums.is_file():
        raise FileNotFoundError(f"load_network: {name} or SHA256SUMS is missing from course_lib/tiny; {AGAIN}.")
    lines = sums.read_text(encoding="utf-8").splitlines()
    known = {file.strip(" *"): digest for digest, _, file in (line.partition(" ") for line in lines)}
    if hashlib.sha256(path.read_bytes()).hexdigest() != known.get(name):
        raise ValueError(f"load_network: course_lib/tiny/{name} is not the file its checksum was taken from; {AGAIN}.")
    return path


def load_network(name: str, device: str | torch.device | None = None) -> nn.Module:
    """A shipped network in float32, ready to read: "oracle", "oracle2", "style" or "embedding".

    It lives on `device`: where that is None on COURSE_DEVICE, else on a GPU where there is one, else on the CPU.

    In evaluation mode, its parameters need no gradient, `.name` and `.size` say what it is and how wide its pictures
    are. Raises ValueError for another name or device or a file that changed, FileNotFoundError for a missing one.
    """
    from safetensors.torch import load_file

    network = build(name)
    network.load_state_dict(load_file(shipped(f"{name}.safetensors")))  # half precision on disk
    network.name, network.size = name, SIZE
    return network.eval().requires_grad_(False).to(chosen(device))


@dataclass(frozen=True)
class Reading:
    """What an oracle reads in N pictures: indices of shape, colour and style, their probabilities over all values, the
    centre (x, y) and the size as shares of the width. Indexed like a list of pictures.
    """

    shape: Tensor  # (N,)
    colour: Tensor
    style: Tensor
    shape_p: Tensor  # (N, shapes)
    colour_p: Tensor
    style_p: Tensor
    x: Tensor  # (N,)
    y: Tensor
    size: Tensor

    def __len__(self) -> int:
        return len(self.shape)

    def __getitem__(self, index) -> "Reading":
        """The readings of the pictures in a slice, a list or a tensor of indices."""
        if isinstance(index, int):
            index = [range(len(self))[index]]  # raises IndexError, which ends a loop over the readings
        return Reading(*(getattr(self, f.name)[index] for f in fields(self)))

    def cpu(self) -> "Reading":
        """The same reading on the CPU, beside the factors it is compared with."""
        return Reading(*(getattr(self, f.name).cpu() for f in fields(self)))

    @property
    def cell(self) -> Tensor:
        """The cell of the 3 x 3 grid that holds the centre, row first, (N,)."""
        return thirds(self.x, self.y)


@dataclass(frozen=True)
class Oracle:
    """Reads the factors of pictures back with a network that nothing was optimised against.

    `second` takes the other one, trained apart with another build on other pictures; `network` any FactorNetwork.
    `device` is where it lives, as for `load_network`.
    """

    second: bool = False
    network: nn.Module | None = None
    device: str | torch.device | None = None

    def __post_init__(self) -> None:
        if self.network is None:
            object.__setattr__(self, "network", load_network("oracle2" if self.second else "oracle", self.device))

    @torch.no_grad()
    def __call__(self, images: Tensor, batch: int = 500) -> Reading:
        """(N, 3, H, W) in [-1, 1] -> Reading, `batch` pictures at a time, resized to 48 pixels where they differ.

        The reading stays where the network is. Raises ValueError for what is no finite picture in [-1, 1].
        """
        images = checked(images.detach(), "Oracle")
        if tuple(images.shape[2:]) != (SIZE, SIZE):
            images = resize_clean(images, SIZE)
        parts = [self.network(handed(part, self.network)) for part in images.split(batch)]
        shape, colour, style, place = (torch.cat(column) for column in zip(*parts))
        logits = (shape, colour, style)
        return Reading(*(one.argmax(1) for one in logits), *(one.softmax(1) for one in logits), *place.unbind(1))
