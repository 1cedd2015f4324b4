"""Stored results of the shipped model say which weights they were made with, and those are the ones shipped."""

import hashlib

import numpy as np
import pytest

from course_lib import models
from course_lib.claims import RESULTS

MADE_WITH_THE_MODEL = [path for path in sorted(RESULTS.glob("*.npz")) if "weights" in np.load(path).files]
TEXTS = [path for path in MADE_WITH_THE_MODEL if np.load(path)["weights"].dtype.kind == "U"]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_a_result_was_made_with_the_weights_that_are_shipped(path):
    """After a new training `course precompute NAME` has to run again, or a chapter shows the old model's numbers."""
    shipped = {hashlib.sha256(file.read_bytes()).hexdigest() for file in models.TINY.rglob("*.safetensors")}
    made = set(np.atleast_1d(np.load(path)["weights"]).tolist())  # one digest, or one for each file it depends on
    assert made
    assert made <= shipped, f"make it again: course precompute {path.stem}"


def test_chapter_8_has_such_results():
    assert {"ch08_guidance", "ch08_controls", "ch08_tail"} <= {path.stem for path in TEXTS}
