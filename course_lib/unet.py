"""A small UNet for pictures of 8 to 16 pixels, made of parts that chapter 13 builds: a block, a way down, a way up."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.checks import number, numeric, shown, whole
from course_lib.denoisers import Denoiser

GROUPS = 4  # of channels that are made mean 0 and variance 1 together


def normalised(h: Tensor) -> Tensor:
    """Each picture's groups of channels with mean 0 and variance 1, (N, C, H, W) -> (N, C, H, W)."""
    return F.group_norm(h, GROUPS)


def residual(h: Tensor, e: Tensor, first: Tensor, second: Tensor, P: Tensor) -> Tensor:
    """h + K_2 silu(norm(K_1 silu(norm(h)) + P e)) (13.2): the block, its answer added to what came in.

    h (N, C, H, W), e (N, E), kernels first and second (C, C, 3, 3), P (C, E) -> (N, C, H, W). Source: Ho et al. (2020).
    """
    inside = F.conv2d(F.silu(normalised(h)), first, padding=1) + (e @ P.T)[:, :, None, None]
    return h + F.conv2d(F.silu(normalised(inside)), second, padding=1)


def joined(h: Tensor, skip: Tensor) -> Tensor:
    """The way up (13.3): each pixel of h as 2 x 2 pixels, and behind its channels those kept on the way down.

    (N, C, H, W), (N, K, 2 H, 2 W) -> (N, C + K, 2 H, 2 W). Source: Ronneberger et al. (2015).
    """
    return torch.cat([h.repeat_interleave(2, 2).repeat_interleave(2, 3), skip], 1)


class Block(nn.Module):
    """The parameters of one `residual`; the second kernel starts at 0, so that a new block changes nothing."""

    def __init__(self, channels: int, e: int):
        super().__init__()
        bound = (9 * channels) ** -0.5
        self.first = nn.Parameter(bound * (2 * torch.rand(channels, channels, 3, 3) - 1))
        self.second = nn.Parameter(torch.zeros(channels, channels, 3, 3))
        self.P = nn.Parameter(e**-0.5 * (2 * torch.rand(channels, e) - 1))

    def forward(self, h: Tensor, e: Tensor) -> Tensor:
        return residual(h, e, self.first, self.second, self.P)


class SmallUNet(nn.Module):
    """D = c_skip x + c_out F(c_in x, sigma, label) (2.2), (2.3), where F is a UNet with one halving.

    Preconditioned as `MLPDenoiser`. Label `labels` means "no label". Calls without a label are unconditional.
    """

    def __init__(self, channels: int, width: int = 32, labels: int = 10, sigma_data: float = 0.5):
        super().__init__()
        for name, value in (("channels", channels), ("width", width), ("labels", labels)):
            whole(value, f"SmallUNet: {name}", 1)
        number(sigma_data, "SmallUNet: sigma_data", above=0)
        self.channels, self.labels, self.sigma_data, e = channels, labels, sigma_data, 4 * width
        self.embedding = nn.Embedding(labels + 1, e)  # the last row means "no label"
        self.level = nn.Sequential(nn.Linear(16, e), nn.SiLU(), nn.Linear(e, e))
        self.entry = nn.Conv2d(channels, width, 3, padding=1)
        self.high, self.widen = Block(width, e), nn.Conv2d(width, 2 * width, 1)
        self.low, self.middle = Block(2 * width, e), Block(2 * width, e)
        self.join, self.again = nn.Conv2d(3 * width, width, 1), Block(width, e)
        self.exit = nn.Conv2d(width, channels, 3, padding=1)

    def code(self, sigma: Tensor, label: Tensor) -> Tensor:
        """The level as sines and cosines of log sigma, with the label's embedding, (N, 1), (N,) -> (N, 4 width)."""
        turns = sigma.log() / 4 * torch.arange(1, 9, device=sigma.device)
        return F.silu(self.level(torch.cat([turns.sin(), turns.cos()], 1)) + self.embedding(label))

    def network(self, x: Tensor, e: Tensor) -> Tensor:
        """F: down, through the middle, and up, (N, C, H, W), (N, 4 width) -> (N, C, H, W)."""
        skip = self.high(self.entry(x), e)
        h = self.low(self.widen(F.avg_pool2d(skip, 2)), e)
        h = self.again(self.join(joined(self.middle(h, e), skip)), e)
        return self.exit(F.silu(normalised(h)))

    def forward(self, x: Tensor, sigma: Tensor | float, label: Tensor | None = None) -> Tensor:
        """x (N, C, H, W), H and W even, sigma () or (N, 1, 1, 1), label (N,) or None -> (N, C, H, W)."""
        if not isinstance(x, Tensor) or x.ndim != 4 or x.shape[1] != self.channels or x.shape[2] % 2 or x.shape[3] % 2:
            raise ValueError(f"SmallUNet: x must be (N, {self.channels}, H, W) with H and W even, got {shown(x)}.")
        x = x.to(self.exit.weight)
        sigma = numeric(sigma, "SmallUNet: sigma", x.dtype).to(x.device)
        if sigma.numel() not in (1, len(x)) or not ((sigma > 0) & (sigma < torch.inf)).all():
            raise ValueError(f"SmallUNet: sigma must be one positive level, or (N, 1, 1, 1), got {shown(sigma)}.")
        sigma = sigma.reshape(-1, 1, 1, 1).expand(len(x), 1, 1, 1)
        if label is None:
            label = torch.full((len(x),), self.labels)
        total = sigma**2 + self.sigma_data**2
        c_skip, c_out, c_in = self.sigma_data**2 / total, sigma * self.sigma_data / total.sqrt(), 1 / total.sqrt()
        e = self.code(sigma.flatten(1), label.to(x.device))
        return c_skip * x + c_out * self.network(c_in * x, e)

    def given(self, label: int) -> Denoiser:
        """The denoiser conditioned on one label for all particles; raises ValueError for a label it does not have."""
        if not 0 <= whole(label, "SmallUNet.given: label", -1) < self.labels:
            raise ValueError(f"SmallUNet.given: label must be in 0..{self.labels - 1}, got {label}.")
        return lambda x, sigma: self(x, sigma, torch.full((len(x),), label))
