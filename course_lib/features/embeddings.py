"""Embeddings of pictures, (N, 3, H, W) in [-1, 1] -> (N, d), with a name that their statistics carry."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Protocol

import torch
from torch import Tensor

from course_lib.devices import handed
from course_lib.features.images import checked, resize_clean
from course_lib.features.latents import channel_mean, upper_triangle

Blocks = tuple[Tensor, Tensor, Tensor]


class BlockNetwork(Protocol):
    """A network that shows its first two blocks and what it pools: `inception()` and `load_network("embedding")`."""

    name: str
    size: int  # width of the pictures it takes

    def parameters(self) -> Iterator[Tensor]: ...

    def blocks(self, images: Tensor) -> Blocks: ...


def location(block: Tensor) -> Tensor:
    """Location embedding (9.4): the mean over channels at each position, (N, C, H, W) -> (N, H W).

    Source: Pondaven (2023), on the second block of Inception: 35 x 35 = 1225 numbers.
    """
    return block.mean(1).flatten(1)


def style(block: Tensor) -> Tensor:
    """The thesis' style embedding (9.5): a a' with a the mean over positions, upper triangle with the diagonal.

    (N, C, H, W) -> (N, C (C + 1) / 2). A matrix of rank one, so a function of C numbers; blind to where things are.
    Source: Pondaven (2023), on the first block of Inception: 64 channels, 2080 numbers.
    """
    a = channel_mean(block)
    return upper_triangle(a[:, :, None] * a[:, None, :])


def gram(block: Tensor) -> Tensor:
    """The Gram matrix of channels (9.6), the mean over positions of f f', upper triangle with the diagonal.

    (N, C, H, W) -> (N, C (C + 1) / 2). Unlike (9.5) it sees which channels are active in the same place. Divided by
    H W, so that both are on one scale. Source: Gatys et al. (2016), eq. (3).
    """
    f = block.flatten(2)
    return upper_triangle(f @ f.transpose(1, 2) / f.shape[2])


def pooled(blocks: Blocks) -> Tensor:
    """What the network pools at its end, (N, d): the default embedding."""
    return blocks[2]


@dataclass(frozen=True)
class Embedding:
    """A network and what is taken from its blocks: pictures (N, 3, H, W) in [-1, 1] -> (N, dim), differentiable.

    Pictures of another size are resized to the network's as clean-fid does; `.name` says network and head.
    They move to the network, and the features stay there. Raises ValueError for what is no picture in [-1, 1].
    """

    network: BlockNetwork
    head: Callable[[Blocks], Tensor]
    kind: str

    @property
    def name(self) -> str:
        return f"{self.network.name} {self.kind}"

    @cached_property
    def dim(self) -> int:
        """Numbers per picture."""
        like, size = next(self.network.parameters()), self.network.size
        with torch.no_grad():
            return self(like.new_zeros(1, 3, size, size)).shape[1]

    def __call__(self, images: Tensor) -> Tensor:
        return self.head(blocks_of(self.network, images))


def default_embedding(network: BlockNetwork) -> Embedding:
    """What the network pools at its end: 2048 numbers of Inception, 128 of the world's network."""
    return Embedding(network, pooled, "default")


def location_embedding(network: BlockNetwork) -> Embedding:
    """`location` (9.4) of the second block."""
    return Embedding(network, lambda blocks: location(blocks[1]), "location")


def style_embedding(network: BlockNetwork) -> Embedding:
    """`style` (9.5) of the first block."""
    return Embedding(network, lambda blocks: style(blocks[0]), "style")


def gram_style(network: BlockNetwork) -> Embedding:
    """`gram` (9.6) of the first block."""
    return Embedding(network, lambda blocks: gram(blocks[0]), "Gram style")


def blocks_of(network: BlockNetwork, images: Tensor) -> Blocks:
    """The blocks of a network on pictures of any size, where it is, resized where they have to be."""
    images = checked(images, "Embedding")
    images = images.to(next(network.parameters()).device)
    if tuple(images.shape[2:]) != (network.size, network.size):
        images = resize_clean(images, network.size)
    return network.blocks(handed(images, network))


@torch.no_grad()
def embed(images: Tensor, embeddings: Sequence[Embedding], batch: int = 100) -> dict[str, Tensor]:
    """Several embeddings of many pictures, by name, each (N, dim): a batch at a time, one pass for each network.

    Without gradients; call an embedding itself where you need them, and `streamed` where the pictures do not fit in
    memory. Raises ValueError where two have one name.
    """
    if batch < 1:
        raise ValueError(f"embed: needs batch >= 1, got {batch}.")
    parts = list(streamed(images.split(batch), embeddings))
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def streamed(chunks: Iterable[Tensor], embeddings: Sequence[Embedding]) -> Iterator[dict[str, Tensor]]:
    """Embeddings of chunks of pictures as they come, by name, (n, 3, H, W) -> (n, dim) each: embed and forget.

    No chunk is kept, so memory does not grow with their number: let `chunks` make its pictures when it is asked, and
    give what comes out to `GaussianStatistics.update`. Without gradients. Raises ValueError where two have one name.
    """
    names = [embedding.name for embedding in embeddings]
    if len(set(names)) < len(names) or not names:
        raise ValueError(f"embed: needs embeddings of different names, at least one, got {names}.")
    # a loop would keep the last chunk while the next is made
    return map(partial(_embedded, embeddings=embeddings), chunks)


@torch.no_grad()
def _embedded(images: Tensor, embeddings: Sequence[Embedding]) -> dict[str, Tensor]:
    """One chunk through each network once."""
    seen = {id(embedding.network): embedding.network for embedding in embeddings}
    blocks = {key: blocks_of(network, images) for key, network in seen.items()}
    return {one.name: one.head(blocks[id(one.network)]) for one in embeddings}
