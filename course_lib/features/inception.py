"""FID's Inception: the network of 2015-12-05 whose features the Frechet inception distance is defined by.

Names and shapes are those of the published PyTorch port of the weights, so that its file loads as it is. Two of its
habits differ from other Inceptions and change the features: average pools leave the padding out of their mean, and the
last block pools by the maximum. Source: Szegedy et al. (2016); Heusel et al. (2017); the port by Seitzer (2020).
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.devices import chosen, handed
from course_lib.models import INCEPTION

CLASSES = 1008


class Unit(nn.Module):
    """Convolution, batch norm, ReLU; `same` pads so that the map keeps its size."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int | tuple[int, int] = 1, stride: int = 1, same: bool = True
    ):
        super().__init__()
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = tuple(side // 2 for side in sides) if same else 0
        self.conv = nn.Conv2d(inputs, outputs, sides, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


def average_pool(x: Tensor) -> Tensor:
    """Mean of the 3 x 3 neighbours inside the map: at an edge of 6, in a corner of 4. TensorFlow pools so."""
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def max_pool(x: Tensor) -> Tensor:
    """Maximum of the 3 x 3 neighbours, in the place of an average in the last block of this network alone."""
    return F.max_pool2d(x, 3, stride=1, padding=1)


def halve(x: Tensor) -> Tensor:
    """Maximum of 3 x 3 neighbours at every other place."""
    return F.max_pool2d(x, 3, stride=2)


class Branches(nn.Module):
    """Units by the names of the published weights; the subclasses say how their outputs are joined."""

    def __init__(self, **units: Unit):
        super().__init__()
        for name, unit in units.items():
            self.add_module(name, unit)

    def through(self, branch: str, x: Tensor, last: int) -> Tensor:
        """x through the units branch_1 ... branch_last."""
        for number in range(1, last + 1):
            x = getattr(self, f"{branch}_{number}")(x)
        return x


class A(Branches):
    """35 x 35: kernels of 1, 5 and twice 3, and a pool."""

    def __init__(self, inputs: int, pool: int):
        super().__init__(
            branch1x1=Unit(inputs, 64),
            branch5x5_1=Unit(inputs, 48),
            branch5x5_2=Unit(48, 64, 5),
            branch3x3dbl_1=Unit(inputs, 64),
            branch3x3dbl_2=Unit(64, 96, 3),
            branch3x3dbl_3=Unit(96, 96, 3),
            branch_pool=Unit(inputs, pool),
        )

    def forward(self, x: Tensor) -> Tensor:
        by_5, by_3 = self.through("branch5x5", x, 2), self.through("branch3x3dbl", x, 3)
        return torch.cat([self.branch1x1(x), by_5, by_3, self.branch_pool(average_pool(x))], 1)


class B(Branches):
    """35 x 35 to 17 x 17."""

    def __init__(self, inputs: int):
        super().__init__(
            branch3x3=Unit(inputs, 384, 3, 2, same=False),
            branch3x3dbl_1=Unit(inputs, 64),
            branch3x3dbl_2=Unit(64, 96, 3),
            branch3x3dbl_3=Unit(96, 96, 3, 2, same=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch3x3(x), self.through("branch3x3dbl", x, 3), halve(x)], 1)


class C(Branches):
    """17 x 17: kernels of 7 split into a row and a column."""

    def __init__(self, inputs: int, width: int):
        row, column = (1, 7), (7, 1)
        super().__init__(
            branch1x1=Unit(inputs, 192),
            branch7x7_1=Unit(inputs, width),
            branch7x7_2=Unit(width, width, row),
            branch7x7_3=Unit(width, 192, column),
            branch7x7dbl_1=Unit(inputs, width),
            branch7x7dbl_2=Unit(width, width, column),
            branch7x7dbl_3=Unit(width, width, row),
            branch7x7dbl_4=Unit(width, width, column),
            branch7x7dbl_5=Unit(width, 192, row),
            branch_pool=Unit(inputs, 192),
        )

    def forward(self, x: Tensor) -> Tensor:
        once, twice = self.through("branch7x7", x, 3), self.through("branch7x7dbl", x, 5)
        return torch.cat([self.branch1x1(x), once, twice, self.branch_pool(average_pool(x))], 1)


class D(Branches):
    """17 x 17 to 8 x 8."""

    def __init__(self, inputs: int):
        super().__init__(
            branch3x3_1=Unit(inputs, 192),
            branch3x3_2=Unit(192, 320, 3, 2, same=False),
            branch7x7x3_1=Unit(inputs, 192),
            branch7x7x3_2=Unit(192, 192, (1, 7)),
            branch7x7x3_3=Unit(192, 192, (7, 1)),
            branch7x7x3_4=Unit(192, 192, 3, 2, same=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.through("branch3x3", x, 2), self.through("branch7x7x3", x, 4), halve(x)], 1)


class E(Branches):
    """8 x 8: kernels of 3 whose row and column stand side by side."""

    def __init__(self, inputs: int, pool=average_pool):
        row, column = (1, 3), (3, 1)
        super().__init__(
            branch1x1=Unit(inputs, 320),
            branch3x3_1=Unit(inputs, 384),
            branch3x3_2a=Unit(384, 384, row),
            branch3x3_2b=Unit(384, 384, column),
            branch3x3dbl_1=Unit(inputs, 448),
            branch3x3dbl_2=Unit(448, 384, 3),
            branch3x3dbl_3a=Unit(384, 384, row),
            branch3x3dbl_3b=Unit(384, 384, column),
            branch_pool=Unit(inputs, 192),
        )
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        once, twice = self.through("branch3x3", x, 1), self.through("branch3x3dbl", x, 2)
        parts = [self.branch1x1(x), self.branch3x3_2a(once), self.branch3x3_2b(once)]
        parts += [self.branch3x3dbl_3a(twice), self.branch3x3dbl_3b(twice), self.branch_pool(self.pool(x))]
        return torch.cat(parts, 1)


class Inception(nn.Module):
    """The whole network; `inception` makes one with the published weights.

    blocks (N, 3, 299, 299) in [-1, 1] -> first block (N, 64, 73, 73), second block (N, 192, 35, 35), pooled (N, 2048);
    forward -> logits (N, 1008).
    """

    name, size = "Inception", 299

    def __init__(self):
        super().__init__()
        self.Conv2d_1a_3x3 = Unit(3, 32, 3, 2, same=False)
        self.Conv2d_2a_3x3 = Unit(32, 32, 3, same=False)
        self.Conv2d_2b_3x3 = Unit(32, 64, 3)
        self.Conv2d_3b_1x1 = Unit(64, 80)
        self.Conv2d_4a_3x3 = Unit(80, 192, 3, same=False)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = A(192, 32), A(256, 64), A(288, 64)
        self.Mixed_6a, self.Mixed_6b = B(288), C(768, 128)
        self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = C(768, 160), C(768, 160), C(768, 192)
        self.Mixed_7a, self.Mixed_7b, self.Mixed_7c = D(768), E(1280), E(2048, pool=max_pool)
        self.fc = nn.Linear(2048, CLASSES)

    def blocks(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        first = halve(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(handed(images, self)))))
        second = halve(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(first)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(second)))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        return first, second, self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x))).mean((2, 3))

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.blocks(images)[2])


def inception(path: str | Path | None = None, device: str | torch.device | None = None) -> Inception:
    """Inception with the published weights, ready to read, on `device` as `load_network`.

    From a local file: `path`, what COURSE_INCEPTION names, or what `course get inception` fetched. Nothing is
    downloaded. The file's SHA-256 is checked before it is opened, and it is opened as weights only. Raises
    FileNotFoundError or ValueError with one sentence that says what to fetch.
    """
    network, file = Inception(), INCEPTION.find(path)
    network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    return network.eval().requires_grad_(False).to(chosen(device))
