"""What a method is worth under a budget of network calls (chapter 16).

A method is a function `method(prompted, unprompted, x, levels, strength) -> x`: two denoisers whose every row costs a
call, starts at the first level (N, C, h, w), the levels, and how bold to be, from 0 to 1; it returns latents at the
last level. `rules` counts calls and draws rounds, `judging` reads pictures, `frontier` compares.
"""

from course_lib.challenge.frontier import Comparison, limits, pseudovalues, stands_above, volume, volumes
from course_lib.challenge.judging import Judge, Judged, renderings, scores, spread
from course_lib.challenge.rules import (
    CALLS,
    STEPS,
    STRENGTHS,
    Budget,
    Frame,
    Overspent,
    Round,
    hidden_frame,
    hidden_prompts,
    rounds,
)

__all__ = [
    "CALLS",
    "STEPS",
    "STRENGTHS",
    "Budget",
    "Comparison",
    "Frame",
    "Judge",
    "Judged",
    "Overspent",
    "Round",
    "hidden_frame",
    "hidden_prompts",
    "limits",
    "pseudovalues",
    "renderings",
    "rounds",
    "scores",
    "spread",
    "stands_above",
    "volume",
    "volumes",
]
