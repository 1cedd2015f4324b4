"""A test that belongs to test_grade_kernel.py: alone it passes, in a long run it was red once."""

from test_grade_kernel import Child, watch  # noqa: F401, F811


def test_memory_is_added_up_over_all_processes(watch):  # noqa: F811
    """Of two that hold 60 MB each neither holds 100, private or shared; what is mapped from files does not count."""
    import mmap

    shared = mmap.mmap(-1, 60_000_000)
    with Child(lambda: bytearray(b"x") * 60_000_000):
        assert watch(memory=100_000_000).over() == ""
        with Child(lambda: bytearray(b"x") * 60_000_000):
            assert watch(memory=100_000_000).over() == "memory"
            assert watch().over() == ""
        with Child(lambda: shared.write(b"x" * 60_000_000)):
            assert watch(memory=100_000_000).over() == "memory"
