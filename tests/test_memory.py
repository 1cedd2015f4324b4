"""Chunks that follow from size and memory, and pictures that pass through without piling up."""

import weakref

import pytest
import torch

from course_lib import memory
from course_lib.features import default_embedding, embed, load_network, location_embedding, streamed
from course_lib.metrics import GaussianStatistics
from course_lib.stable_diffusion import StableDiffusion

WIDE = 256 * 512 * 512  # Stable Diffusion 2's decoder at 512 pixels: numbers a picture in its widest layer


@pytest.mark.parametrize(
    ("free", "dtype", "most", "expected"),
    [
        (float("inf"), torch.float16, None, 31),  # 32 pictures are 2**31 numbers
        (6e9, torch.float16, None, 5),
        (6e9, torch.float32, None, 2),
        (0.0, torch.float32, None, 1),
        (float("inf"), torch.float32, 8, 8),
    ],
)
def test_chunk_size(free, dtype, most, expected):
    assert memory.chunk_size(WIDE, dtype, free, most) == expected


def test_chunk_size_refuses_what_is_no_size():
    with pytest.raises(ValueError, match="needs elements >= 1 and free >= 0, got 0"):
        memory.chunk_size(0, torch.float32, 1.0)
    with pytest.raises(ValueError, match="got 3 and nan"):
        memory.chunk_size(3, torch.float32, float("nan"))


def test_free_memory_is_known_on_linux():
    assert 1e6 < memory.free_memory(torch.device("cpu")) <= float("inf")
    assert memory.free_memory(torch.device("meta")) == float("inf")


class Seen:
    """The sizes of the batches that pass through a method of the autoencoder."""

    def __init__(self, monkeypatch, sd: StableDiffusion, name: str):
        self.sizes, method = [], getattr(sd.pipe.vae, name)

        def watched(x):
            self.sizes.append(len(x))
            return method(x)

        monkeypatch.setattr(sd.pipe.vae, name, watched)


def test_decode_and_encode_take_what_fits(monkeypatch):
    """The free memory allows two pictures of 48 pixels in the widest layer's 32 channels."""
    sd = StableDiffusion.load("tiny", device="cpu")
    z = torch.randn(5, 4, 12, 12, generator=torch.Generator().manual_seed(0))
    images = sd.decode(z, chunk=5)
    latents = sd.encode(images, chunk=5)
    decoded, encoded = Seen(monkeypatch, sd, "decode"), Seen(monkeypatch, sd, "encode")
    monkeypatch.setattr(memory, "free_memory", lambda device: 2.5 * 2 * 4 * 4 * 32 * 48 * 48)
    torch.testing.assert_close(sd.decode(z), images, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(sd.encode(images), latents, atol=1e-4, rtol=1e-4)
    assert decoded.sizes == encoded.sizes == [2, 2, 1]
    sd.decode(z, chunk=4)
    assert decoded.sizes[3:] == [4, 1]


def test_particles_at_once_follow_from_memory():
    unet = StableDiffusion.load("tiny", device="cpu").pipe.unet
    assert memory.particles_at_once(unet, 144) == 16
    width = 2 * 8 * unet.config.block_out_channels[0]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(memory, "free_memory", lambda device: 3.5 * 2 * 4 * 4 * width * 4096)
        assert memory.particles_at_once(unet, 4096) == 3


def test_streamed_pictures_are_forgotten_and_give_the_statistics_of_all():
    network = load_network("embedding")
    takers = [default_embedding(network), location_embedding(network)]
    g = torch.Generator().manual_seed(0)
    parts, alive, most = [torch.rand(n, 3, 48, 48, generator=g) * 2 - 1 for n in (3, 1, 4, 2)], weakref.WeakSet(), 0

    class Picture(torch.Tensor):
        pass

    def chunks():
        nonlocal most
        for part in parts:
            chunk = part.clone().as_subclass(Picture)
            alive.add(chunk)
            most = max(most, len(alive))
            yield chunk
            del chunk

    statistics = {taker.name: GaussianStatistics(taker.name) for taker in takers}
    for features in streamed(chunks(), takers):
        for name, values in features.items():
            statistics[name].update(values.as_subclass(torch.Tensor))
    assert most == 1
    whole = embed(torch.cat(parts), takers)
    for name, own in statistics.items():
        expected = GaussianStatistics.from_features(whole[name])
        assert own.n == 10
        torch.testing.assert_close(own.mean, expected.mean, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(own.covariance, expected.covariance, atol=1e-5, rtol=1e-5)


def test_streamed_refuses_two_of_one_name_before_any_picture():
    taker = default_embedding(load_network("embedding"))
    with pytest.raises(ValueError, match="embeddings of different names, at least one, got"):
        streamed(iter(()), [taker, taker])
