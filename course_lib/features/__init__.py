"""Features: maps from latents and pictures to numbers, (N, C, H, W) -> (N, d).

`latents` and `level_style` hold what a repulsive force looks at, `embeddings` and `clip` what a metric looks at,
`inception` and `networks` the networks behind them, `tiny` loads the shipped ones and holds the oracle, `silhouettes`
reads shapes without a network, `images` resizes. Like `metrics` this package re-exports its functions:
`from course_lib.features import channel_mean`.
"""

from course_lib.features.clip import CLIP, load_clip
from course_lib.features.embeddings import (
    Embedding,
    default_embedding,
    embed,
    gram,
    gram_style,
    location,
    location_embedding,
    streamed,
    style,
    style_embedding,
)
from course_lib.features.images import resize_clean
from course_lib.features.inception import Inception, inception
from course_lib.features.latents import (
    RandomCNN,
    StyleClassifier,
    cell_means,
    channel_mean,
    decoded,
    rule_of_thirds,
    thirds_mean,
    upper_triangle,
)
from course_lib.features.level_style import LevelStyleClassifier, load_style
from course_lib.features.silhouettes import arms, iou, overlap, profile, silhouette
from course_lib.features.tiny import Oracle, Reading, load_network

__all__ = [
    "CLIP",
    "Embedding",
    "Inception",
    "LevelStyleClassifier",
    "Oracle",
    "RandomCNN",
    "Reading",
    "StyleClassifier",
    "arms",
    "cell_means",
    "channel_mean",
    "decoded",
    "default_embedding",
    "embed",
    "gram",
    "gram_style",
    "inception",
    "iou",
    "load_clip",
    "load_network",
    "load_style",
    "location",
    "location_embedding",
    "overlap",
    "profile",
    "resize_clean",
    "rule_of_thirds",
    "silhouette",
    "streamed",
    "style",
    "style_embedding",
    "thirds_mean",
    "upper_triangle",
]
