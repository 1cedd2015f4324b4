"""The complete notebooks of Parts II and III on a pretend accelerator; file 4 of as many as `make test` can spread."""

import pytest
from pretend_chapters import assert_runs_unchanged, share


@pytest.mark.parametrize("path", share(4), ids=lambda path: path.stem)
def test_a_chapter_runs_unchanged_on_a_second_device(path, tmp_path):
    assert_runs_unchanged(path, tmp_path)
