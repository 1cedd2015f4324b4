"""Features of a style classifier that is told the noise level, and reading one from a file."""

import json
from pathlib import Path

import torch
from torch import Tensor, nn

from course_lib.devices import chosen, handed
from course_lib.features.latents import channel_mean, rule_of_thirds
from course_lib.features.networks import LevelStyleNetwork

Level = Tensor | float


class LevelStyleClassifier:
    """Features of a style classifier that was trained on latents at every noise level.

    `load_network("style_levels")` is such a network, `load_style` reads another. A potential on x tells it the level of
    x, one on x0 tells it 0. Called, it gives means over positions, (N, C, H, W), sigma -> (N, K).
    Source: Pondaven (2023), "style classifier", trained there at 21 levels.
    """

    takes_sigma = True

    def __init__(self, network: nn.Module):
        self.network = network

    def _map(self, z: Tensor, sigma: Level) -> Tensor:
        return self.network.features(handed(z, self.network), sigma)

    def __call__(self, z: Tensor, sigma: Level) -> Tensor:
        return channel_mean(self._map(z, sigma)).to(z.dtype)

    def thirds(self, z: Tensor, sigma: Level) -> Tensor:
        """The rule of thirds on the classifier's map: style and place, (N, C, H, W), sigma -> (N, 4 K)."""
        return rule_of_thirds(self._map(z, sigma)).to(z.dtype)

    thirds.takes_sigma = True


def load_style(path: str | Path, device: str | torch.device | None = None) -> nn.Module:
    """A style classifier that `course train-style` wrote, ready to read; `.styles` are the names of its classes.

    It lives on `device` as for `load_network`.
    Raises FileNotFoundError where there is no such file, ValueError for a file that the command did not write.
    """
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise FileNotFoundError(f"load_style: there is no file {path}; make it with: course train-style --out {path}")
    try:
        with safe_open(path, "pt") as file:
            told = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
        styles, channels = json.loads(told["styles"]), int(told["channels"])
        network = LevelStyleNetwork(len(styles), channels)
        network.load_state_dict(weights)
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        said = str(error).splitlines()[0].rstrip(".:")
        raise ValueError(f"load_style: {path} was not written by course train-style ({said}).") from error
    network.styles = tuple(styles)
    return network.eval().requires_grad_(False).to(chosen(device))
