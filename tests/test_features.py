"""Features of latents and embeddings of pictures: hand-computed values, what each is blind to, gradients, resizing."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from course_lib.features import (
    RandomCNN,
    StyleClassifier,
    cell_means,
    channel_mean,
    decoded,
    default_embedding,
    embed,
    gram,
    gram_style,
    location,
    location_embedding,
    resize_clean,
    rule_of_thirds,
    style,
    style_embedding,
    thirds_mean,
    upper_triangle,
)
from course_lib.features.networks import build
from course_lib.guidance import Groups, Repulsion, guided

DOUBLE = torch.float64


def randn(g, *shape):
    return torch.randn(*shape, generator=g, dtype=DOUBLE)


def seeded(name, seed=0):
    """An untrained network of the course in double precision, the same every time."""
    before = torch.random.get_rng_state()
    torch.manual_seed(seed)
    network = build(name).double().eval().requires_grad_(False)
    torch.random.set_rng_state(before)
    return network


class Square:
    """A stand-in for a model with an autoencoder."""

    def decode(self, latents):
        return latents.square()


STYLE = StyleClassifier(seeded("style"))
FEATURES = {
    "channel mean": channel_mean,
    "rule of thirds": rule_of_thirds,
    "cells": lambda z: cell_means(z, 2),
    "thirds": thirds_mean,
    "random network": RandomCNN(3),
    "style": STYLE,
    "style and thirds": STYLE.thirds,
    "decoded": decoded(Square(), rule_of_thirds),
}


def test_channel_mean_by_hand():
    z = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]], [[0.0, 0.0], [0.0, 4.0]]]])
    assert channel_mean(z).tolist() == [[3.0, 1.0]]


def test_channel_mean_is_blind_to_place_and_thirds_see_it(g):
    z = randn(g, 3, 4, 12, 12)
    moved = z.roll((5, 2), (2, 3))
    torch.testing.assert_close(channel_mean(moved), channel_mean(z))
    for feature in (rule_of_thirds, thirds_mean, FEATURES["cells"], RandomCNN(0), STYLE.thirds):
        assert (feature(moved) - feature(z)).norm(dim=1).min() > 1e-3


def test_rule_of_thirds_by_hand():
    """Rows 0..5 hold their squares: thirds have means .5, 6.5, 20.5; columns do not vary. Then the same on its side."""
    rows = torch.arange(6.0).square()[:, None].expand(6, 6)
    z = torch.stack([rows, 10 * rows.T])[None]
    up, down = -6.0, -14.0
    assert rule_of_thirds(z).tolist() == [[up, 0.0, down, 0.0, 0.0, 10 * up, 0.0, 10 * down]]


@pytest.mark.parametrize(
    ("side", "slices"), [(64, (0, 21, 42, 22, 43, 64)), (12, (0, 4, 8, 4, 8, 12)), (4, (0, 1, 2, 2, 3, 4))]
)
def test_rule_of_thirds_takes_the_thesis_slices(side, slices, g):
    z = randn(g, 2, 3, side, side)
    a, b, c, d, e, f = slices
    rows = [
        z[:, :, a:b].mean((2, 3)) - z[:, :, b:c].mean((2, 3)),
        z[:, :, d:e].mean((2, 3)) - z[:, :, e:f].mean((2, 3)),
    ]
    z = z.transpose(2, 3)
    columns = [
        z[:, :, a:b].mean((2, 3)) - z[:, :, b:c].mean((2, 3)),
        z[:, :, d:e].mean((2, 3)) - z[:, :, e:f].mean((2, 3)),
    ]
    torch.testing.assert_close(rule_of_thirds(z.transpose(2, 3)), torch.cat(rows + columns, 1))


def test_rule_of_thirds_is_blind_to_a_constant_and_cells_are_not(g):
    z = randn(g, 2, 4, 9, 9)
    torch.testing.assert_close(rule_of_thirds(z + 5), rule_of_thirds(z))
    torch.testing.assert_close(thirds_mean(z + 5), thirds_mean(z) + 5)


def test_cell_means_by_hand():
    """One channel of 6 x 6 in cells of 2 x 2, and of 4 x 4, whose three rows of cells overlap."""
    z = torch.arange(36.0).reshape(1, 1, 6, 6)
    first = (0 + 1 + 6 + 7) / 4
    expected = [first + 2 * column + 12 * row for row in range(3) for column in range(3)]
    assert thirds_mean(z).tolist() == cell_means(z, 3).tolist() == [expected]
    assert cell_means(z, 1).tolist() == [[17.5]]
    z = torch.arange(4.0)[None, None, :, None].expand(1, 1, 4, 4)
    assert cell_means(z, 3).reshape(3, 3).tolist() == [[0.5] * 3, [1.5] * 3, [2.5] * 3]


def test_cell_means_keep_channels_together(g):
    z = randn(g, 2, 4, 12, 12)
    corner = cell_means(z, 3).reshape(2, 4, 3, 3)[:, :, 2, 0]
    torch.testing.assert_close(corner, z[:, :, 8:, :4].mean((2, 3)))


@pytest.mark.parametrize(
    ("feature", "shape"),
    [
        (rule_of_thirds, (1, 4, 2, 9)),
        (rule_of_thirds, (4, 9, 9)),
        (thirds_mean, (1, 4, 9, 2)),
        (lambda z: cell_means(z, 0), (1, 4, 9, 9)),
    ],
)
def test_maps_that_are_too_small_are_refused(feature, shape):
    with pytest.raises(ValueError, match="needs \\(N, C, H, W\\)"):
        feature(torch.zeros(shape))


def layered(z, seed, shapes):
    """A network of torch's own layers with weights drawn in the order of `shapes`; the last has no ReLU."""
    rng = np.random.default_rng(seed)
    for i, (out, into, kernel) in enumerate(shapes):
        last = i == len(shapes) - 1
        layer = nn.Conv2d(into, out, kernel, 1 if last else 2, 0 if last else 1, dtype=DOUBLE)
        bound = 1 / np.sqrt(into * kernel**2)
        layer.weight.data = torch.from_numpy(rng.uniform(-bound, bound, (out, into, kernel, kernel)))
        layer.bias.data = torch.from_numpy(rng.uniform(-bound, bound, out))
        z = layer(z) if last else layer(z).relu()
    return z.flatten(1)


THESIS = [(8, 4, 3), (8, 8, 3), (8, 8, 3), (16, 8, 3), (16, 16, 3), (16, 16, 2)]
LARGE = [(8, 4, 3), (8, 8, 3), (8, 8, 3), (16, 8, 3), (16, 16, 3), (16, 16, 3), (16, 16, 2)]


@pytest.mark.parametrize(
    ("side", "shapes"), [(64, THESIS), (12, [*THESIS[:3], (16, 8, 2)]), (96, LARGE), (2, [(16, 4, 2)])]
)
def test_random_network_is_the_thesis_on_its_maps_and_shrinks_with_them(side, shapes, g):
    z = randn(g, 2, 4, side, side)
    torch.testing.assert_close(RandomCNN(5)(z), layered(z, 5, shapes))


def test_random_network_follows_its_arguments(g):
    z = randn(g, 3, 4, 12, 12)
    phi = RandomCNN(0)(z)
    assert torch.equal(phi, RandomCNN(0)(z))
    torch.testing.assert_close(phi[1:2], RandomCNN(0)(z[1:2]))
    assert RandomCNN(0, d=7)(z).shape == (3, 7)
    widths = [(5, 4, 3), (6, 5, 3), (6, 6, 3), (16, 6, 2)]
    torch.testing.assert_close(RandomCNN(0, widths=(5, 6))(z), layered(z, 0, widths))
    assert (RandomCNN(1)(z) - phi).abs().min() > 1e-6
    assert RandomCNN(0)(z.float()).dtype == torch.float32
    for arguments in ({"d": 0}, {"widths": ()}, {"widths": (8, 0)}):
        with pytest.raises(ValueError, match="at least 1"):
            RandomCNN(0, **arguments)


def test_redrawn_random_network_takes_new_weights_at_every_call(g):
    z = randn(g, 3, 4, 12, 12)
    fixed = RandomCNN(4, d=5, widths=(6, 6, 6))
    moving, again = fixed.redrawn(), fixed.redrawn()
    first, second, third = moving(z), moving(z), moving(z)
    assert torch.equal(first, fixed(z))
    assert min((second - first).norm(), (third - second).norm(), (third - first).norm()) > 1e-2
    assert torch.equal(again(z), first)
    assert torch.equal(again(z), second)
    assert torch.equal(fixed(z), first)


def test_style_classifier_features_are_means_and_thirds_of_its_map(g):
    z, network = randn(g, 3, 4, 12, 12), seeded("style")
    phi = network.features(z)  # (N, 32, 12, 12)
    torch.testing.assert_close(STYLE(z), phi.mean((2, 3)))
    torch.testing.assert_close(STYLE.thirds(z), rule_of_thirds(phi))
    other = StyleClassifier(seeded("style", seed=1))
    assert (other(z) - STYLE(z)).norm() > 1e-2
    assert StyleClassifier(build("style").eval())(z).dtype == DOUBLE


def test_decoded_feature_looks_at_the_picture(g):
    z = randn(g, 3, 4, 12, 12)
    torch.testing.assert_close(FEATURES["decoded"](z), rule_of_thirds(z.square()))


@pytest.mark.parametrize("name", FEATURES)
def test_gradients_of_features_match_finite_differences(name, g):
    z, direction, step = randn(g, 2, 4, 12, 12), randn(g, 2, 4, 12, 12), 1e-6
    z.requires_grad_()
    phi = FEATURES[name](z)
    weight = randn(g, *phi.shape)
    (slope,) = torch.autograd.grad((weight * phi).sum(), z)
    with torch.no_grad():
        ahead, behind = (weight * FEATURES[name](z + s * step * direction) for s in (1, -1))
    actual = ((ahead - behind).sum() / (2 * step)).item()
    assert abs((slope * direction).sum().item() - actual) < 1e-6 * max(1, abs(actual))
    assert slope.norm() > 1e-4


@pytest.mark.parametrize("name", FEATURES)
def test_features_push_sets_apart_side_by_side(name, g):
    """Under `Groups`, which runs sets under torch.vmap, forces are those of each set alone; sets are not mixed."""
    x, sigma = randn(g, 6, 4, 12, 12), torch.tensor(1.0, dtype=DOUBLE)
    repulsion = Repulsion(30.0, features=FEATURES[name])
    still = lambda x, sigma: x  # noqa: E731
    together = guided(still, Groups(3, repulsion))(x, sigma)
    alone = torch.cat([guided(still, repulsion)(part, sigma) for part in x.split(3)])
    torch.testing.assert_close(together, alone)
    assert (together - x).norm() > 1e-6


def test_redrawn_random_network_runs_under_groups(g):
    x, sigma = randn(g, 6, 4, 12, 12), torch.tensor(1.0, dtype=DOUBLE)
    still = lambda x, sigma: x  # noqa: E731
    moving = guided(still, Groups(3, Repulsion(30.0, features=RandomCNN(0).redrawn())))
    first, second = moving(x, sigma), moving(x, sigma)
    torch.testing.assert_close(first, guided(still, Groups(3, Repulsion(30.0, features=RandomCNN(0))))(x, sigma))
    assert (first - second).norm() > 1e-6


def test_upper_triangle_by_hand():
    matrix = torch.arange(9.0).reshape(1, 3, 3)
    assert upper_triangle(matrix).tolist() == [[0.0, 1.0, 2.0, 4.0, 5.0, 8.0]]


def test_heads_by_hand():
    """Two channels in a row of two places, [1, 3] and [2, 0]: a = (2, 1), so a a' and the mean of f f' differ."""
    block = torch.tensor([[[[1.0, 3.0]], [[2.0, 0.0]]]])
    assert location(block).tolist() == [[1.5, 1.5]]
    assert style(block).tolist() == [[4.0, 2.0, 1.0]]
    assert gram(block).tolist() == [[5.0, 1.0, 2.0]]


def test_style_heads_are_blind_to_place_and_location_follows_it(g):
    block = randn(g, 3, 5, 4, 6)
    order = torch.randperm(24, generator=g)
    shuffled = block.flatten(2)[:, :, order].reshape(block.shape)
    torch.testing.assert_close(style(shuffled), style(block))
    torch.testing.assert_close(gram(shuffled), gram(block))
    torch.testing.assert_close(location(shuffled), location(block)[:, order])
    mixed = block[:, torch.randperm(5, generator=g)]
    torch.testing.assert_close(location(mixed), location(block))


def test_gram_is_the_rank_one_style_plus_the_covariance_of_channels(g):
    block = randn(g, 4, 5, 3, 6)
    f = block.flatten(2).numpy()
    covariance = torch.from_numpy(np.stack([np.cov(one, bias=True) for one in f]))
    torch.testing.assert_close(gram(block) - style(block), upper_triangle(covariance))
    whole = torch.zeros(4, 5, 5, dtype=DOUBLE)
    i, j = np.triu_indices(5)
    whole[:, i, j] = whole[:, j, i] = style(block)
    assert torch.linalg.matrix_rank(whole).tolist() == [1] * 4


class Stand(nn.Module):
    """A network whose blocks are simple functions of the picture; counts its passes."""

    name, size = "stand-in", 6

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0, dtype=DOUBLE))
        self.passes = 0

    def blocks(self, images):
        self.passes += 1
        first = torch.cat([images, images.square()], 1)
        return first, self.scale * images[:, :2, ::2, ::2], images.mean((2, 3))


MAKERS = (default_embedding, location_embedding, style_embedding, gram_style)


def test_embeddings_take_the_blocks_they_should(g):
    network, images = Stand(), randn(g, 3, 3, 6, 6).clamp(-1, 1)
    first, second, last = network.blocks(images)
    expected = (last, location(second), style(first), gram(first))
    names = ("default", "location", "style", "Gram style")
    for make, phi, kind in zip(MAKERS, expected, names):
        embedding = make(network)
        assert torch.equal(embedding(images), phi)
        assert embedding.dim == phi.shape[1]
        assert embedding.name == f"stand-in {kind}"


def test_embeddings_resize_what_does_not_fit(g):
    network = Stand()
    images = randn(g, 3, 3, 9, 14)
    expected = network.blocks(resize_clean(images, 6))[2]
    assert torch.equal(default_embedding(network)(images), expected)
    for shape in ((3, 1, 6, 6), (3, 6, 6)):
        with pytest.raises(ValueError, match="pictures have shape"):
            default_embedding(network)(torch.zeros(shape, dtype=DOUBLE))


def test_embed_gives_all_embeddings_in_one_pass_a_batch(g):
    network, images = Stand(), randn(g, 7, 3, 6, 6)
    other = Stand()
    other.name = "another"
    embeddings = [make(network) for make in MAKERS]
    expected = [embedding(images) for embedding in embeddings]
    network.passes = 0
    found = embed(images, [*embeddings, style_embedding(other)], batch=3)
    assert (network.passes, other.passes) == (3, 3)
    assert list(found) == [embedding.name for embedding in embeddings] + ["another style"]
    for embedding, phi in zip(embeddings, expected):
        torch.testing.assert_close(found[embedding.name], phi)
        assert not found[embedding.name].requires_grad
    for wrong in ([], [embeddings[0], default_embedding(Stand())]):
        with pytest.raises(ValueError, match="different names"):
            embed(images, wrong)


def test_the_worlds_own_embeddings(g):
    """Their sizes; and one gradient, since decode-then-embed needs it."""
    network = seeded("embedding")
    network.name, network.size = "embedding", 48
    assert [make(network).dim for make in MAKERS] == [128, 144, 528, 528]
    images, direction = randn(g, 1, 3, 48, 48).clamp(-1, 1).requires_grad_(), randn(g, 1, 3, 48, 48)
    for make in MAKERS:
        phi = make(network)
        (slope,) = torch.autograd.grad(phi(images).square().sum(), images)
        with torch.no_grad():
            ahead, behind = (phi(images + s * 1e-6 * direction).square().sum() for s in (1, -1))
        actual = (ahead - behind) / 2e-6
        torch.testing.assert_close((slope * direction).sum(), actual, rtol=1e-4, atol=1e-9)
        assert slope.norm() > 0


def pil(images, size):
    """PIL's bicubic filter on each channel in floating point, then clipped, as clean-fid does it; values 0 to 255."""
    out = np.empty((*images.shape[:2], size, size), dtype=np.float32)
    for n, image in enumerate(images):
        for c, channel in enumerate(image):
            resized = Image.fromarray(channel.astype(np.float32)).resize((size, size), Image.BICUBIC)
            out[n, c] = np.asarray(resized)
    return out.clip(0, 255)


@pytest.mark.parametrize("shape", [(48, 48), (200, 200), (299, 150), (70, 131)])
@pytest.mark.parametrize("size", [299, 48])
def test_resize_clean_is_pils_bicubic(shape, size, g):
    """On noise and on stripes, shrinking and growing, to 5e-5 of the range."""
    noise = torch.randint(0, 256, (1, 3, *shape), generator=g).float()
    stripes = 255.0 * (torch.arange(shape[1]) % 5 < 2).expand(1, 3, *shape)
    for pixels in (noise, stripes):
        ours = (resize_clean(pixels / 127.5 - 1, size) + 1) * 127.5
        assert (ours - torch.from_numpy(pil(pixels.numpy(), size))).abs().max() < 255 * 5e-5


def test_resize_clean_keeps_range_flat_pictures_and_size(g):
    images = torch.sign(randn(g, 2, 3, 40, 40))
    out = resize_clean(images, 65)
    assert out.shape == (2, 3, 65, 65)
    assert (out.min(), out.max()) == (-1, 1)
    torch.testing.assert_close(resize_clean(images, 40), images)
    torch.testing.assert_close(resize_clean(torch.full((1, 3, 31, 47), 0.3), 20), torch.full((1, 3, 20, 20), 0.3))
    for wrong in ((torch.zeros(3, 40, 40), 20), (torch.zeros(1, 3, 40, 40), 0)):
        with pytest.raises(ValueError, match="resize_clean"):
            resize_clean(*wrong)
