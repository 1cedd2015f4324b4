"""Measures of diversity and of what is paid for it: features, kernels or samples in, numbers out.

Unlike the rest of the library this package re-exports its functions: `from course_lib.metrics import frechet`.
"""

from course_lib.metrics.bootstrap import Estimate, bootstrap, mean_and_error
from course_lib.metrics.coverage import expected_modes, modes_hit, nearest_mode, on_mode
from course_lib.metrics.distances import squared_distances
from course_lib.metrics.entropy import hill, in_batch_similarity, rke, vendi
from course_lib.metrics.gaussian import frechet

__all__ = [
    "Estimate",
    "bootstrap",
    "expected_modes",
    "frechet",
    "hill",
    "in_batch_similarity",
    "mean_and_error",
    "modes_hit",
    "nearest_mode",
    "on_mode",
    "rke",
    "squared_distances",
    "vendi",
]
