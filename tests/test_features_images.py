"""What the readers of pictures refuse, and what they must not refuse."""

import pytest
import torch

from course_lib import features, world
from course_lib.guidance import Groups, Repulsion, guided
from course_lib.stable_diffusion import StableDiffusion


@pytest.fixture(scope="module")
def readers():
    """Every function that reads pictures, by the name its sentences begin with."""
    default = features.default_embedding(features.load_network("embedding"))
    clip, oracle = features.load_clip(), features.Oracle()
    return {
        "Embedding": [default, lambda x: features.embed(x, [default])],
        "CLIP": [clip],
        "Oracle": [oracle],
        "silhouette": [features.silhouette, features.overlap],
    }


@pytest.fixture
def pictures(g):
    return world.render(world.draw(3, g))


BYTES = "scale those from 0 to 255 by x / 127.5 - 1"
WRONG = {
    "bytes": (lambda x: ((x + 1) * 127.5).byte(), rf"pictures are real numbers in \[-1, 1\], got torch.uint8; {BYTES}"),
    "0 to 255": (lambda x: (x + 1) * 127.5, rf"pictures lie in \[-1, 1\], got values from [\d.]+ to [\d.]+; {BYTES}"),
    "NaN": (
        lambda x: x.clone().index_fill_(3, torch.tensor(5), torch.nan),
        "these pictures hold values that are not f",
    ),
    "infinite": (lambda x: x - torch.inf, "these pictures hold values that are not finite; look at what made them"),
    "grey": (lambda x: x[:, :1], r"pictures have shape \(N, 3, H, W\) with N >= 1, got \(3, 1, 48, 48\)"),
    "one": (lambda x: x[0], r"pictures have shape \(N, 3, H, W\) with N >= 1, got \(3, 48, 48\)"),
    "none": (lambda x: x[:0], r"pictures have shape \(N, 3, H, W\) with N >= 1, got \(0, 3, 48, 48\)"),
}


@pytest.mark.parametrize("case", WRONG)
def test_readers_refuse_what_is_no_picture(readers, pictures, case):
    spoil, sentence = WRONG[case]
    for name, several in readers.items():
        for reader in several:
            with pytest.raises(ValueError, match=f"^{name}: {sentence}"):
                reader(spoil(pictures))


def test_readers_take_a_decoders_overshoot(readers, pictures):
    """Up to 6 is seen where a decoder gets noise of the highest level."""
    for several in readers.values():
        for reader in several:
            reader((6 * pictures).clamp(-6, 6))


def test_half_precision_and_double_pictures_are_pictures(readers, pictures):
    for reader in (readers["Embedding"][0], readers["CLIP"][0]):
        torch.testing.assert_close(reader(pictures.double()), reader(pictures))
        torch.testing.assert_close(reader(pictures.half()), reader(pictures), rtol=0.02, atol=0.02)


def test_pictures_inside_a_graph_or_a_vmap_are_not_looked_at(readers, g):
    """A force through a decoder: sets side by side are as one after the other."""
    sd = StableDiffusion.load("tiny", device="cpu")
    x, sigma = 3 * torch.randn(4, *sd.shape, generator=g), torch.tensor(2.0)
    feature = features.decoded(sd, readers["Embedding"][0])
    D = lambda x, sigma: x / 2  # noqa: E731
    whole = guided(D, Groups(2, Repulsion(5.0, features=feature)))(x, sigma)
    apart = [guided(D, Repulsion(5.0, features=feature))(part, sigma) for part in x.split(2)]
    torch.testing.assert_close(whole, torch.cat(apart), rtol=1e-4, atol=1e-4)


def test_masks_and_profiles_are_checked(pictures):
    masks = features.silhouette(pictures)
    with pytest.raises(ValueError, match=r"^profile: masks have shape \(N, H, W\), got \(48, 48\)"):
        features.profile(masks[0])
    with pytest.raises(ValueError, match="^profile: these masks hold values that are not finite"):
        features.profile(masks.float() / 0)
    with pytest.raises(ValueError, match="^arms: these profiles hold values that are not finite"):
        features.arms(features.profile(masks) * torch.nan)


def test_one_string_is_one_text():
    clip = features.load_clip()
    torch.testing.assert_close(clip.texts("a dog"), clip.texts(["a dog"]))
    assert clip.texts("a dog").shape == (1, clip.dim)
