"""Measures of diversity and of what is paid for it: features, kernels or samples in, numbers out.

Unlike the rest of the library this package re-exports its functions: `from course_lib.metrics import frechet`.
"""

from course_lib.metrics.bootstrap import Estimate, bootstrap, mean_and_error
from course_lib.metrics.distances import squared_distances
from course_lib.metrics.entropy import hill, in_batch_similarity, rke, vendi, vendi_features
from course_lib.metrics.factors import factor_coverage, factor_entropy
from course_lib.metrics.finite import Extrapolation, frechet_bias, frechet_infinity
from course_lib.metrics.gaussian import FrechetParts, MaxDiversity, frechet, frechet_parts, max_diversity_distance
from course_lib.metrics.kernel import kid, kid_subsets
from course_lib.metrics.modes import expected_modes, modes_covered, modes_hit, nearest_mode, on_mode
from course_lib.metrics.neighbours import (
    PRDC,
    coverage,
    density,
    expected_coverage,
    nearer_to_training,
    prdc,
    precision,
    recall,
)
from course_lib.metrics.similarity import clip_score, div, pres
from course_lib.metrics.statistics import GaussianStatistics

__all__ = [
    "PRDC",
    "Estimate",
    "Extrapolation",
    "FrechetParts",
    "GaussianStatistics",
    "MaxDiversity",
    "bootstrap",
    "clip_score",
    "coverage",
    "density",
    "div",
    "expected_coverage",
    "expected_modes",
    "factor_coverage",
    "factor_entropy",
    "frechet",
    "frechet_bias",
    "frechet_infinity",
    "frechet_parts",
    "hill",
    "in_batch_similarity",
    "kid",
    "kid_subsets",
    "max_diversity_distance",
    "mean_and_error",
    "modes_covered",
    "modes_hit",
    "nearer_to_training",
    "nearest_mode",
    "on_mode",
    "pres",
    "prdc",
    "precision",
    "recall",
    "rke",
    "squared_distances",
    "vendi",
    "vendi_features",
]
