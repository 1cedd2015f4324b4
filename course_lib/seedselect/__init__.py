"""SeedSelect: gradients through the sampler choose a seed, and nothing else of the model changes.

`sampling` runs from seeds to samples with gradients, `losses` say what is near the references, `search` goes down them.
Like `metrics` this package re-exports its functions: `from course_lib.seedselect import seedselect`.
"""

from course_lib.seedselect.losses import (
    Loss,
    appearance,
    as_released,
    bootstrap_centroid,
    contrastive,
    over_last,
    semantic,
)
from course_lib.seedselect.sampling import best_of, checkpointed, sampler, success_of_best
from course_lib.seedselect.search import Selected, seedselect

__all__ = [
    "Loss",
    "Selected",
    "appearance",
    "as_released",
    "best_of",
    "bootstrap_centroid",
    "checkpointed",
    "contrastive",
    "over_last",
    "sampler",
    "seedselect",
    "semantic",
    "success_of_best",
]
