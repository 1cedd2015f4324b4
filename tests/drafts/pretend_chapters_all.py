"""Every chapter from the eighth on is run by exactly one of the files beside this one."""

import pretend_chapters


def test_every_chapter_from_the_eighth_on_runs_here(root):
    """Each in exactly one of the test files, whichever chapters there are."""
    files = sorted((root / "tests").glob("test_pretend_chapters_*.py"))
    assert len(files) == pretend_chapters.FILES
    assert all(f"share({k})" in path.read_text() for k, path in enumerate(files, 1))
    shared = [path.name for k in range(1, len(files) + 1) for path in pretend_chapters.share(k)]
    assert len(shared) >= 5
    assert sorted(shared) == [p.name for p in sorted((root / "solutions").glob("*.ipynb")) if int(p.name[:2]) >= 8]
